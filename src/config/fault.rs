//! What is wrong with a file or a flag, and where.

use super::mask::{mask_line, mask_value};
use super::source::Sources;
use super::yaml::{Node, Position, SyntaxError, locate};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::collections::BTreeMap;
use std::fmt;

/// One fault, ready to be shown. No key material is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// File or flag.
    pub source: String,
    /// Line and column, counted from 1; `None` for a flag or a file that cannot be read.
    pub place: Option<(usize, usize)>,
    /// The key, as `pcscf.listen[0]`; empty where the whole file is meant.
    pub path: String,
    /// What was found, and what was expected.
    pub message: String,
    /// The line as it may be shown, keys replaced by dots.
    line: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// All faults of what was read, in the order of files and lines. There is at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// One fault without a place.
    pub fn one(source: impl Into<String>, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self(vec![Fault { source: source.into(), place: None, path: path.into(), message: message.into(), line: None }])
    }

    /// The faults with the line each is in, for a terminal.
    pub fn draw(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut out = String::new();
        for fault in &self.0 {
            out.push_str(&fault.draw(&renderer));
            out.push('\n');
        }
        out
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl Fault {
    fn draw(&self, renderer: &Renderer) -> String {
        let title =
            if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) };
        let (Some((line, column)), Some(text)) = (self.place, &self.line) else {
            return renderer
                .render(&[Group::with_title(Level::ERROR.primary_title(format!("{}: {title}", self.source)))]);
        };
        let start = text.char_indices().nth(column - 1).map_or(text.len(), |(at, _)| at);
        let len = text[start..].find([',', '}', ']', ' ']).unwrap_or(text.len() - start).max(1);
        let snippet = Snippet::source(text.as_str())
            .line_start(line)
            .path(self.source.as_str())
            .annotation(AnnotationKind::Primary.span(start..(start + len).min(text.len())));
        renderer.render(&[Level::ERROR.primary_title(title.as_str()).element(snippet)])
    }
}

/// Faults while they are collected, by node. [`Collector::finish`] finds their places.
#[derive(Debug, Default)]
pub(super) struct Collector {
    raw: Vec<Raw>,
    /// Documents that end in a syntax error.
    cut: Vec<u16>,
}

#[derive(Debug)]
struct Raw {
    source: u16,
    id: Option<u32>,
    position: Option<Position>,
    path: String,
    message: Message,
}

#[derive(Debug)]
enum Message {
    Text(String),
    /// A text and the place of another node, which is named behind it.
    See(String, u16, u32),
}

impl Collector {
    /// A fault at `node`.
    pub(super) fn at(&mut self, node: &Node, path: impl fmt::Display, message: impl Into<String>) {
        self.at_id(node.source, node.id, path, message);
    }

    /// A fault at a key or node given by its number.
    pub(super) fn at_id(&mut self, source: u16, id: u32, path: impl fmt::Display, message: impl Into<String>) {
        let message = Message::Text(message.into());
        self.raw.push(Raw { source, id: Some(id), position: None, path: path.to_string(), message });
    }

    /// A fault at one place that names another: `message` ends before the name of that place.
    pub(super) fn at_with_other(
        &mut self,
        at: (u16, u32),
        path: impl fmt::Display,
        message: impl Into<String>,
        other: (u16, u32),
    ) {
        let message = Message::See(message.into(), other.0, other.1);
        self.raw.push(Raw { source: at.0, id: Some(at.1), position: None, path: path.to_string(), message });
    }

    /// A document that cannot be read to its end. From now on nothing is missed in it.
    pub(super) fn syntax(&mut self, source: u16, error: SyntaxError) {
        let message = Message::Text(format!("not YAML: {}", error.message));
        self.raw.push(Raw { source, id: None, position: Some(error.position), path: String::new(), message });
        self.cut.push(source);
    }

    /// True for a document that ends in a syntax error.
    pub(super) fn is_cut(&self, source: u16) -> bool {
        self.cut.contains(&source)
    }

    /// A file as a whole.
    pub(super) fn whole(&mut self, source: u16, message: impl Into<String>) {
        let message = Message::Text(message.into());
        self.raw.push(Raw { source, id: None, position: None, path: String::new(), message });
    }

    pub(super) fn len(&self) -> usize {
        self.raw.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// `value`, unless a fault was found.
    pub(super) fn finish<T>(self, sources: &Sources, value: Option<T>) -> Result<T, Faults> {
        if self.raw.is_empty()
            && let Some(value) = value
        {
            return Ok(value);
        }
        let mut wanted: BTreeMap<u16, Vec<u32>> = BTreeMap::new();
        for raw in &self.raw {
            if let Some(id) = raw.id {
                wanted.entry(raw.source).or_default().push(id);
            }
            if let Message::See(_, source, id) = raw.message {
                wanted.entry(source).or_default().push(id);
            }
        }
        let places: BTreeMap<u16, BTreeMap<u32, Position>> = wanted
            .into_iter()
            .filter(|(source, _)| sources.is_file(*source))
            .map(|(source, ids)| (source, locate(sources.sound_text(source), ids)))
            .collect();
        let place = |source: u16, id: u32| places.get(&source).and_then(|p| p.get(&id)).copied();
        let mut faults: Vec<(u16, Option<Position>, Fault)> = Vec::new();
        let mut lines: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for raw in self.raw {
            let position = raw.position.or_else(|| place(raw.source, raw.id?));
            let message = match raw.message {
                Message::Text(text) => text,
                Message::See(text, source, id) => {
                    let name = sources.name(source);
                    match place(source, id) {
                        Some(p) => format!("{text} {name}:{}:{}", p.line, p.column),
                        None => format!("{text} {name}"),
                    }
                }
            };
            let lines = lines.entry(raw.source).or_insert_with(|| sources.text(raw.source).lines().collect());
            let line = position.and_then(|p| lines.get(p.line - 1)).map(|l| mask_line(l));
            let fault = Fault {
                source: sources.name(raw.source).to_owned(),
                place: position.map(|p| (p.line, p.column)),
                path: mask_value(&raw.path),
                message,
                line,
            };
            faults.push((raw.source, position, fault));
        }
        faults.sort_by_key(|(source, position, _)| (*source, *position));
        Err(Faults(faults.into_iter().map(|(_, _, fault)| fault).collect()))
    }
}
