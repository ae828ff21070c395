//! Ladders for terminals.

use super::{Arrow, Aside, Counts, Ladder, Note, Row, Summary};
use crate::event::Role;
use crate::packet::Protocol;
use crate::time::Instant;

/// How rows look. Columns must be known before the first row is printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Style {
    /// From left to right; what happens elsewhere is not drawn.
    pub columns: Vec<Role>,
    /// The longest line, in characters.
    pub width: usize,
    /// ANSI colours.
    pub colour: bool,
    /// Times count from here.
    pub start: Instant,
    /// Rows have times; those of a text may not.
    pub times: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            columns: vec![Role::Ue, Role::Pcscf, Role::Icscf, Role::Scscf, Role::Hss],
            width: 120,
            colour: false,
            start: Instant::ZERO,
            times: true,
        }
    }
}

/// The whole ladder with its head and foot.
pub fn ladder(ladder: &Ladder, style: &Style) -> String {
    let mut out = head(style);
    for row in &ladder.rows {
        out.push_str(&self::row(row, style));
    }
    out.push_str(&foot(ladder.counts));
    out
}

/// The names of the columns.
pub fn head(style: &Style) -> String {
    let mut line = Line::default();
    for (i, role) in style.columns.iter().enumerate() {
        let name = role.as_str();
        line.put(style.place(i).saturating_sub(name.len() / 2), name);
    }
    let mut out = line.end();
    out.push_str(&style.lifelines().end());
    out
}

/// A row: one line or more, each with its line end; empty for what happens in no column.
pub fn row(row: &Row, style: &Style) -> String {
    match row {
        Row::Arrow(arrow) => style.arrow(arrow),
        Row::Note(note) => style.note(note),
        Row::Aside(aside) => style.aside(aside),
    }
}

/// What was drawn and what was not.
pub fn foot(counts: Counts) -> String {
    let Counts { sip, cx, trying, base, other } = counts;
    let mut out = format!("{sip} SIP and {cx} Cx messages");
    let rest = [(trying, "100 Trying"), (base, "CER, DWR, DPR and answers"), (other, "keep-alives and strangers")];
    let rest: Vec<String> = rest.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} × {what}")).collect();
    if !rest.is_empty() {
        out.push_str("; not drawn: ");
        out.push_str(&rest.join(", "));
    }
    out.push('\n');
    out
}

impl Style {
    pub(super) fn place(&self, column: usize) -> usize {
        let gaps = self.columns.len().saturating_sub(1).max(1);
        MARGIN + column * (self.width.saturating_sub(MARGIN + 4) / gaps)
    }

    pub(super) fn column(&self, role: Role) -> Option<usize> {
        self.columns.iter().position(|column| *column == role)
    }

    fn lifelines(&self) -> Line {
        let mut line = Line::default();
        for i in 0..self.columns.len() {
            line.put(self.place(i), "│");
        }
        line
    }

    fn arrow(&self, arrow: &Arrow) -> String {
        let (Some(from), Some(to)) = (self.column(arrow.from), self.column(arrow.to)) else { return String::new() };
        let (left, right) = (self.place(from.min(to)) + 1, self.place(from.max(to)));
        let mut line = self.lifelines();
        line.put(0, &self.margin(arrow.number, arrow.at));
        line.put(left, &if arrow.sa.is_some() { "═" } else { "─" }.repeat(right - left));
        if from < to {
            line.put(right - 1, "▶");
        } else {
            line.put(left, "◀");
        }
        let room = right.saturating_sub(left + 4);
        let label = cut(&arrow.summary.label, room);
        let start = left + 2;
        line.put(start, &label);
        if let Some(number) = arrow.sa.filter(|_| label.chars().count() + SA_ROOM < room) {
            line.put(right - SA_ROOM, &format!("SA{number}"));
        }
        let code = self.paint(arrow);
        let mut out = line.painted(start, label.chars().count(), code);
        let mut details = arrow.summary.details.clone();
        if let Some(first) = arrow.repeats {
            details = vec![format!("again, as {first}")];
        }
        let start = self.room_from(from.min(to));
        for parts in [&details, &arrow.notes] {
            for text in wrap(parts.iter().map(String::as_str), ", ", self.width - start) {
                out.push_str(&self.beside(start, &text).end());
            }
        }
        out
    }

    fn aside(&self, aside: &Aside) -> String {
        let mut line = self.lifelines();
        line.put(0, &self.margin(aside.number, aside.at));
        let start = self.place(0) + 2;
        let text = cut(&format!("{}: {}", aside.way, aside.summary), self.width.saturating_sub(start));
        line.clear(start - 1, text.chars().count() + 2);
        line.put(start, &text);
        line.end()
    }

    /// Number and time.
    fn margin(&self, number: usize, at: Instant) -> String {
        let at = at.saturating_since(self.start);
        let time = format!("{number:>3} {:>4}.{:06}", at.as_secs(), at.subsec_micros());
        match self.times {
            true => time.get(..MARGIN - 1).unwrap_or(&time).to_owned(),
            false => format!("{number:>3}"),
        }
    }

    /// The lifelines with a text on top of them.
    fn beside(&self, start: usize, text: &str) -> Line {
        let mut line = self.lifelines();
        line.clear(start - 1, text.chars().count() + 2);
        line.put(start, text);
        line
    }

    /// Where details of an arrow begin whose left end is at `column`: there, or further left where it is too narrow.
    fn room_from(&self, column: usize) -> usize {
        let mut starts = (0..=column).rev().map(|column| self.place(column) + 2);
        starts.find(|start| start + ENOUGH <= self.width).unwrap_or(MARGIN + 2)
    }

    fn note(&self, note: &Note) -> String {
        let Some(column) = self.column(note.role) else { return String::new() };
        let place = self.place(column);
        let (right, left) = (self.width.saturating_sub(place + 2), place.saturating_sub(MARGIN + 2));
        let to_the_right = right >= left || right >= note.text.chars().count();
        let room = if to_the_right { right } else { left };
        let mut out = String::new();
        // At commas where that is enough, else between words.
        let clauses = note.text.split(", ").all(|clause| clause.chars().count() <= room);
        let between = if clauses { ", " } else { " " };
        for (i, text) in wrap(note.text.split(between), between, room).iter().enumerate() {
            let start = if to_the_right { place + 2 } else { place - 1 - text.chars().count() };
            let mut line = self.beside(start, text);
            line.put(place, if i == 0 { "◆" } else { "│" });
            out.push_str(&line.painted(place, 1, self.colour.then_some(CYAN)));
        }
        out
    }

    fn paint(&self, arrow: &Arrow) -> Option<&'static str> {
        let Summary { label, .. } = &arrow.summary;
        self.colour.then(|| match (arrow.protocol, label.as_bytes().first()) {
            (Protocol::Diameter, _) => BLUE,
            (Protocol::Sip, Some(b'2')) => GREEN,
            (Protocol::Sip, Some(b'4')) if label.starts_with("401") => YELLOW,
            (Protocol::Sip, Some(b'3'..=b'6')) => RED,
            _ => BOLD,
        })
    }
}

/// What the name of an SA needs before the head of an arrow.
const SA_ROOM: usize = 6;

/// Characters at places.
#[derive(Default, Debug)]
struct Line(Vec<char>);

impl Line {
    fn put(&mut self, at: usize, text: &str) {
        for (i, c) in text.chars().enumerate() {
            if self.0.len() <= at + i {
                self.0.resize(at + i + 1, ' ');
            }
            self.0[at + i] = if c.is_control() { ' ' } else { c };
        }
    }

    fn clear(&mut self, at: usize, len: usize) {
        let end = (at + len).min(self.0.len());
        if at < end {
            self.0[at..end].fill(' ');
        }
    }

    fn end(&self) -> String {
        let text: String = self.0.iter().collect();
        format!("{}\n", text.trim_end())
    }

    /// The line with `len` characters from `at` in a colour.
    fn painted(&self, at: usize, len: usize, code: Option<&str>) -> String {
        let Some(code) = code else { return self.end() };
        let end = (at + len).min(self.0.len());
        let part = |range: std::ops::Range<usize>| self.0[range].iter().collect::<String>();
        let (before, inside, after) = (part(0..at), part(at..end), part(end..self.0.len()));
        format!("{before}\u{1b}[{code}m{inside}\u{1b}[0m{}\n", after.trim_end())
    }
}

/// Puts parts into lines of at most `room` characters.
fn wrap<'a>(parts: impl Iterator<Item = &'a str>, between: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        let part = cut(part, room);
        match lines.last_mut() {
            Some(line) if line.chars().count() + between.len() + part.chars().count() <= room => {
                line.push_str(between);
                line.push_str(&part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(1)).collect();
    kept + "…"
}

/// Room that details should have.
const ENOUGH: usize = 50;

/// What stands left of the first column: number and time.
const MARGIN: usize = 16;
const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";
const CYAN: &str = "36";
