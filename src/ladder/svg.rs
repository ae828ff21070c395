//! Ladders as pictures: SVG without scripts, fonts or anything else to load.

use super::draw::Style;
use super::{Arrow, Row};
use crate::packet::Protocol;

/// Ladders with their titles, one below the other.
pub fn picture(ladders: &[(String, Vec<Row>, Style)]) -> String {
    let mut body = String::new();
    let mut y = MARGIN;
    for (title, rows, style) in ladders {
        y = one(title, rows, style, y, &mut body);
    }
    let height = y + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"monospace\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

/// Draws one from `top` on and returns where it ends.
fn one(title: &str, drawn: &[Row], style: &Style, top: usize, out: &mut String) -> usize {
    text(out, MARGIN, top + ROW, "font-weight=\"bold\" font-size=\"13\"", title);
    let head = top + 2 * ROW;
    let places: Vec<usize> = (0..style.columns.len()).map(|column| place(column, style.columns.len())).collect();
    let mut rows = String::new();
    let mut y = head + ROW;
    for row in drawn {
        y = match row {
            Row::Arrow(arrow) => draw_arrow(arrow, style, &places, y, &mut rows),
            Row::Note(note) => {
                text(&mut rows, MARGIN, y + ROW / 2, "fill=\"teal\"", &format!("{}: {}", note.role, note.text));
                y + ROW
            }
            Row::Aside(aside) => {
                margin(&mut rows, aside.number, aside.at, style, y);
                let shown = format!("{}: {}", aside.way, aside.summary);
                text(&mut rows, place(0, 2) + 6, y + ROW / 2, "fill=\"dimgray\"", &shown);
                y + ROW
            }
        };
    }
    for (role, x) in style.columns.iter().zip(&places) {
        text(out, *x, head, "text-anchor=\"middle\" font-weight=\"bold\"", role.as_str());
        let top = head + 6;
        line(out, format!("<line x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{y}\" stroke=\"silver\"/>"));
    }
    out.push_str(&rows);
    y + ROW
}

fn draw_arrow(arrow: &Arrow, style: &Style, places: &[usize], y: usize, out: &mut String) -> usize {
    let (Some(from), Some(to)) = (style.column(arrow.from), style.column(arrow.to)) else { return y };
    let (x1, x2) = (places[from], places[to]);
    let head = if x1 < x2 { x2 - 6 } else { x2 + 6 };
    let colour = colour(arrow);
    let width = if arrow.sa.is_some() { 3 } else { 1 };
    let y_line = y + ROW;
    margin(out, arrow.number, arrow.at, style, y_line - ROW / 2);
    let details: Vec<&str> = match arrow.repeats {
        Some(_) => arrow.notes.iter().map(String::as_str).collect(),
        None => arrow.summary.details.iter().chain(&arrow.notes).map(String::as_str).collect(),
    };
    let whole = escaped(&format!("{}: {}", arrow.summary.label, details.join(", ")));
    line(out, format!("<g stroke=\"{colour}\" fill=\"{colour}\"><title>{whole}</title>"));
    line(out, format!("<line x1=\"{x1}\" y1=\"{y_line}\" x2=\"{head}\" y2=\"{y_line}\" stroke-width=\"{width}\"/>"));
    let (above, below) = (y_line - 4, y_line + 4);
    line(out, format!("<polygon points=\"{x2},{y_line} {head},{above} {head},{below}\"/></g>"));
    let left = x1.min(x2) + 6;
    let sa = arrow.sa.map(|sa| format!(" · SA{sa}")).unwrap_or_default();
    let again = arrow.repeats.map(|first| format!(" · again, as {first}")).unwrap_or_default();
    text(out, left, y_line - 4, &format!("fill=\"{colour}\""), &format!("{}{sa}{again}", arrow.summary.label));
    let mut y = y_line + ROW;
    for detail in details {
        text(out, left, y - 3, "fill=\"dimgray\" font-size=\"9\"", detail);
        y += DETAIL;
    }
    y
}

fn margin(out: &mut String, number: usize, at: crate::time::Instant, style: &Style, y: usize) {
    let time =
        if style.times { format!(" {:.6}", at.saturating_since(style.start).as_secs_f64()) } else { String::new() };
    text(out, MARGIN, y + ROW / 2, "fill=\"gray\"", &format!("{number}{time}"));
}

fn text(out: &mut String, x: usize, y: usize, attributes: &str, text: &str) {
    line(out, format!("<text x=\"{x}\" y=\"{y}\" {attributes}>{}</text>", escaped(text)));
}

fn line(out: &mut String, text: String) {
    out.push_str(&text);
    out.push('\n');
}

const fn place(column: usize, columns: usize) -> usize {
    let gaps = if columns > 1 { columns - 1 } else { 1 };
    LEFT + column * (WIDTH - LEFT - RIGHT) / gaps
}

fn colour(arrow: &Arrow) -> &'static str {
    match (arrow.protocol, arrow.summary.label.as_bytes().first()) {
        (Protocol::Diameter, _) => "royalblue",
        (Protocol::Sip, Some(b'2')) => "green",
        (Protocol::Sip, Some(b'4')) if arrow.summary.label.starts_with("401") => "darkorange",
        (Protocol::Sip, Some(b'3'..=b'6')) => "crimson",
        _ => "black",
    }
}

/// A text as it stands in XML and HTML, between tags or in a quoted attribute (XML 1.0 clauses 2.2 and 2.4).
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

const WIDTH: usize = 1_240;
const LEFT: usize = 150;
/// Details of the last arrow reach beyond its head.
const RIGHT: usize = 60;
const MARGIN: usize = 16;
const ROW: usize = 18;
const DETAIL: usize = 12;
