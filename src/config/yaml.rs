//! YAML as a tree of texts, and the place of any node in it. The only file that knows the YAML crate.
//!
//! Leaves are kept as they were written: `8e12` and `001010000000001` are texts, whatever number YAML sees in them. The
//! crate tells no place with a value but one with every error, so [`locate`] walks again, raises an error at each node
//! whose place is wanted, and reads the place off it.

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Deserializer;
use std::collections::BTreeMap;
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

/// The places of the nodes and keys numbered in `wanted`.
pub(super) fn locate(text: &str, wanted: impl IntoIterator<Item = u32>) -> BTreeMap<u32, Position> {
    let Ok(root) = parse(text, 0) else { return BTreeMap::new() };
    let found = wanted.into_iter().map(|id| (id, None)).collect();
    let mut places = Places { found, ends: BTreeMap::new(), next_id: 0, raised: None, lost: false };
    ends(&root, &mut places.ends);
    // A walk finds every scalar, and each mapping or sequence that holds nothing else to be found. An empty one ends it.
    loop {
        let before = places.missing();
        (places.next_id, places.lost) = (0, false);
        // Its error, if any, is one of ours.
        let _ = Locate(&mut places).deserialize(Deserializer::from_str(text));
        if places.missing() == 0 || places.missing() == before {
            break;
        }
    }
    places.found.into_iter().filter_map(|(id, found)| Some((id, found?))).collect()
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

/// What the walks of [`locate`] look for.
struct Places {
    found: BTreeMap<u32, Option<Position>>,
    /// For each node the number after its last descendant.
    ends: BTreeMap<u32, u32>,
    next_id: u32,
    /// The node for whose place an error is under way.
    raised: Option<u32>,
    /// The walk cannot go on after that error.
    lost: bool,
}

impl Places {
    fn missing(&self) -> usize {
        self.found.values().filter(|p| p.is_none()).count()
    }

    fn is_wanted(&self, id: u32) -> bool {
        self.found.get(&id).is_some_and(Option::is_none)
    }

    fn is_wanted_within(&self, id: u32, end: u32) -> bool {
        self.found.range(id + 1..end).any(|(_, p)| p.is_none())
    }
}

/// Every mapping and sequence with the number after its last descendant.
fn ends(node: &Node, out: &mut BTreeMap<u32, u32>) -> u32 {
    let end = match &node.value {
        Value::Null | Value::Text(_) => return node.id + 1,
        Value::List(list) => list.iter().map(|n| ends(n, out)).last(),
        Value::Map(map) => map.iter().map(|e| ends(&e.value, out)).last(),
    };
    let end = end.unwrap_or(node.id + 1);
    out.insert(node.id, end);
    end
}

struct Locate<'a>(&'a mut Places);

/// Raised where a place is wanted.
const HERE: &str = "here";

impl Locate<'_> {
    fn scalar<E: de::Error>(self) -> Result<(), E> {
        let id = self.0.next_id;
        self.0.next_id += 1;
        if self.0.is_wanted(id) {
            self.0.raised = Some(id);
            return Err(E::custom(HERE));
        }
        Ok(())
    }

    /// True when the mapping or sequence that begins here is to be left alone.
    fn leave<E: de::Error>(&mut self) -> Result<bool, E> {
        let id = self.0.next_id;
        self.0.next_id += 1;
        let end = self.0.ends.get(&id).copied().unwrap_or(id + 1);
        if !self.0.is_wanted(id) || self.0.is_wanted_within(id, end) {
            return Ok(false);
        }
        self.0.raised = Some(id);
        if end == id + 1 {
            self.0.lost = true;
            return Err(E::custom(HERE));
        }
        // The crate passes over what is not read, complains of it with the right place, and stands behind it.
        self.0.next_id = end;
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let places = self.0;
        let id = places.next_id;
        let result = deserializer.deserialize_any(Locate(places));
        let Err(error) = result else { return Ok(()) };
        if places.raised != Some(id) {
            return Err(error);
        }
        places.raised = None;
        places.found.insert(id, Some(position_in(&error.to_string())));
        // Nothing can follow an error, except that this crate stands where it would stand without it.
        if places.lost { Err(error) } else { Ok(()) }
    }
}

/// The error's own words end in the place, which is left out for the first character of a file.
fn position_in(error: &str) -> Position {
    let numbers = error.rsplit_once(" at line ").and_then(|(_, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some(Position { line: line.parse().ok()?, column: column.parse().ok()? })
    });
    numbers.unwrap_or(Position { line: 1, column: 1 })
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_none<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        if !self.leave()? {
            while access.next_element_seed(Locate(self.0))?.is_some() {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        if !self.leave()? {
            while access.next_key_seed(Locate(self.0))?.is_some() {
                access.next_value_seed(Locate(self.0))?;
            }
        }
        Ok(())
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        let (_, content) = access.variant::<IgnoredAny>()?;
        // The content is the node: the seed above has noted its number already.
        de::VariantAccess::newtype_variant_seed(content, Content(self.0))
    }
}

/// What stands behind a tag.
struct Content<'a>(&'a mut Places);

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Locate(self.0))
    }
}
