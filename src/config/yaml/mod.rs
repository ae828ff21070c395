//! YAML as a tree of texts. With `locate` the only part that knows the YAML crate.
//!
//! Leaves are kept as they were written: `8e12` and `001010000000001` are texts, whatever number YAML sees in them. A
//! first walk tells mappings, sequences and scalars apart; a second one, which can ask for text because it knows where
//! scalars are, reads what the first has turned into numbers.

mod locate;

pub(super) use locate::locate;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Deserializer;
use std::fmt;

/// A value of a document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Which file or flag it came from.
    pub(super) source: u16,
    /// Its number in that document, counted from its start, keys included.
    pub(super) id: u32,
    /// What it is.
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`, without quotes.
    Null,
    /// Any other scalar, as written.
    Text(Box<str>),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in its order, keys given twice included.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key as written.
    pub(super) key: Box<str>,
    /// Number of the key, in the document of `key_source`.
    pub(super) key_id: u32,
    /// Document of the key.
    pub(super) key_source: u16,
    /// Its value.
    pub(super) value: Node,
}

/// Line and column, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Why a document cannot be read at all.
#[derive(Clone, Debug)]
pub(super) struct SyntaxError {
    pub(super) position: Position,
    pub(super) message: String,
}

/// Reads a document; `source` is put into every node.
pub(super) fn parse(text: &str, source: u16) -> Result<Node, SyntaxError> {
    let mut next_id = 0;
    let mut root = Shape { source, next_id: &mut next_id }
        .deserialize(Deserializer::from_str(text))
        .map_err(|e| syntax_error(text, &e))?;
    Fill(&mut root).deserialize(Deserializer::from_str(text)).map_err(|e| syntax_error(text, &e))?;
    Ok(root)
}

/// Reads the lines before a syntax error, as many as make a document: the document, and its length in octets.
pub(super) fn parse_front(text: &str, source: u16, error: &SyntaxError) -> Option<(Node, usize)> {
    let ends: Vec<usize> = text
        .split_inclusive('\n')
        .scan(0, |at, l| {
            *at += l.len();
            Some(*at)
        })
        .collect();
    let before = ends.get(..error.position.line.saturating_sub(1))?;
    // What is wrong may have begun some lines above the place where it shows.
    before.iter().rev().take(20).find_map(|end| Some((parse(&text[..*end], source).ok()?, *end)))
}

fn syntax_error(text: &str, error: &serde_yaml::Error) -> SyntaxError {
    let shown = error.to_string();
    let message = shown.split(" at line ").next().unwrap_or_default();
    let position = match error.location() {
        Some(l) => Position { line: l.line(), column: l.column() },
        None => second_document(text).unwrap_or(Position { line: 1, column: 1 }),
    };
    let message = if shown.contains("more than one document") { "a second document" } else { message };
    SyntaxError { position, message: message.to_owned() }
}

fn second_document(text: &str) -> Option<Position> {
    let line = text.lines().enumerate().skip(1).filter(|(_, l)| l.starts_with("---")).last()?.0 + 1;
    Some(Position { line, column: 1 })
}

/// First walk: everything but the text of scalars that YAML takes for numbers or truth values.
struct Shape<'a> {
    source: u16,
    next_id: &'a mut u32,
}

impl Shape<'_> {
    fn id(&mut self) -> u32 {
        let id = *self.next_id;
        *self.next_id += 1;
        id
    }

    fn node(mut self, value: Value) -> Node {
        Node { source: self.source, id: self.id(), value }
    }
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = Node;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(self.node(Value::Null))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(self.node(Value::Text("".into())))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(self.node(Value::Text("".into())))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(self.node(Value::Text("".into())))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(self.node(Value::Text("".into())))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(self.node(Value::Text("".into())))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(self.node(Value::Text("".into())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(self.node(Value::Text(text.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Node, A::Error> {
        let id = self.id();
        let mut list = Vec::new();
        while let Some(node) = access.next_element_seed(Shape { source: self.source, next_id: self.next_id })? {
            list.push(node);
        }
        Ok(Node { source: self.source, id, value: Value::List(list) })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Node, A::Error> {
        let id = self.id();
        let mut map = Vec::new();
        while let Some(key) = access.next_key_seed(Key)? {
            let key_id = self.id();
            let value = access.next_value_seed(Shape { source: self.source, next_id: self.next_id })?;
            map.push(Entry { key, key_id, key_source: self.source, value });
        }
        Ok(Node { source: self.source, id, value: Value::Map(map) })
    }

    /// A tag says nothing here; what it stands before is read.
    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        let (_, content) = access.variant::<IgnoredAny>()?;
        de::VariantAccess::newtype_variant_seed(content, self)
    }
}

/// A key, as written.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Box<str>;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Box<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Box<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, text: &str) -> Result<Box<str>, E> {
        Ok(text.into())
    }
}

/// Second walk: the text of every scalar, now that it is known which nodes are scalars.
struct Fill<'a>(&'a mut Node);

impl<'de> DeserializeSeed<'de> for Fill<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match &self.0.value {
            Value::Text(text) if text.is_empty() => deserializer.deserialize_str(self),
            Value::Text(_) | Value::Null => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
            Value::List(_) => deserializer.deserialize_seq(self),
            Value::Map(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for Fill<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value of the first walk")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.value = Value::Text(text.into());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if let Value::List(list) = &mut self.0.value {
            for node in list {
                access.next_element_seed(Fill(node))?;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if let Value::Map(map) = &mut self.0.value {
            for entry in map {
                access.next_key::<IgnoredAny>()?;
                access.next_value_seed(Fill(&mut entry.value))?;
            }
        }
        Ok(())
    }
}
