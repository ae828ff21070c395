//! Typed values out of a tree: everything that does not fit is noted and reading goes on.

use super::fault::Collector;
use super::mask::{SECRET_KEYS, mask_value};
use super::yaml::{Entry, Node, Value};
use std::fmt;

/// The way from the root to a node.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Self, &'a str),
    Index(&'a Self, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(Self::Root, key) => f.write_str(key),
            Self::Key(parent, key) => write!(f, "{parent}.{key}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What a leaf must be: how to read it and how to name it.
pub(super) struct Leaf<T> {
    pub(super) read: fn(&str) -> Option<T>,
    pub(super) expected: &'static str,
}

impl<T> Clone for Leaf<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Leaf<T> {}

/// The keys of one mapping.
pub(super) struct Fields<'n> {
    node: &'n Node,
    entries: &'n [Entry],
    pub(super) path: Path<'n>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The mapping `node`; anything else is a fault, and an empty mapping is read instead.
    pub(super) fn new(node: &'n Node, path: Path<'n>, faults: &mut Collector) -> Self {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => {
                faults.at(node, path, format!("{} found, a mapping expected", found(node, "")));
                &[]
            }
        };
        Self { node, entries, path, known: Vec::new() }
    }

    /// The value of `key`, unless it is absent or empty.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let node = &self.entries.iter().find(|e| &*e.key == key)?.value;
        if matches!(node.value, Value::Null) { None } else { Some(node) }
    }

    /// A leaf.
    pub(super) fn leaf<T>(&mut self, key: &'static str, leaf: Leaf<T>, faults: &mut Collector) -> Option<T> {
        let node = self.get(key)?;
        read_leaf(node, Path::Key(&self.path, key), key, leaf, faults)
    }

    /// A leaf with its node, for checks that come later.
    pub(super) fn leaf_at<T>(
        &mut self,
        key: &'static str,
        leaf: Leaf<T>,
        faults: &mut Collector,
    ) -> Option<(&'n Node, T)> {
        let node = self.get(key)?;
        Some((node, read_leaf(node, Path::Key(&self.path, key), key, leaf, faults)?))
    }

    /// A list of leaves; one leaf alone is a list of one.
    pub(super) fn list<T>(&mut self, key: &'static str, leaf: Leaf<T>, faults: &mut Collector) -> Option<Vec<T>> {
        let node = self.get(key)?;
        let path = Path::Key(&self.path, key);
        match &node.value {
            Value::List(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .filter_map(|(i, item)| read_leaf(item, Path::Index(&path, i), key, leaf, faults))
                    .collect(),
            ),
            _ => read_leaf(node, path, key, leaf, faults).map(|value| vec![value]),
        }
    }

    /// A mapping within; `None` when it is absent.
    pub(super) fn fields<'s>(&'s mut self, key: &'static str, faults: &mut Collector) -> Option<Fields<'s>>
    where
        'n: 's,
    {
        let node = self.get(key)?;
        Some(Fields::new(node, Path::Key(&self.path, key), faults))
    }

    /// The items of a list of anything; anything but a list is a fault.
    pub(super) fn items(&mut self, key: &'static str, faults: &mut Collector) -> Option<&'n [Node]> {
        let node = self.get(key)?;
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                let path = Path::Key(&self.path, key);
                faults.at(node, path, format!("{} found, a list expected", found(node, key)));
                None
            }
        }
    }

    /// All keys of a mapping whose keys are the user's, each a `name` with a leaf.
    pub(super) fn entries<T>(
        &mut self,
        key: &'static str,
        name: Leaf<Box<str>>,
        leaf: Leaf<T>,
        faults: &mut Collector,
    ) -> Option<Vec<(Box<str>, T)>> {
        let node = self.get(key)?;
        let path = Path::Key(&self.path, key);
        let inner = Fields::new(node, path, faults);
        inner.duplicates(faults);
        let read = |e: &Entry| {
            if (name.read)(&e.key).is_none() {
                let message = format!("{:?} found, {} expected", mask_value(&e.key), name.expected);
                faults.at_id(e.key_source, e.key_id, path, message);
            }
            let value = read_leaf(&e.value, Path::Key(&path, &e.key), &e.key, leaf, faults)?;
            Some((e.key.clone(), value))
        };
        Some(inner.entries.iter().filter_map(read).collect())
    }

    /// Notes that `key` is missing: at the mapping, or at the key if it is there without a value. What is no mapping at
    /// all, or one that a syntax error cuts short, misses nothing.
    pub(super) fn missing(&self, key: &str, expected: &str, faults: &mut Collector) {
        if faults.is_cut(self.node.source) || matches!(self.node.value, Value::Text(_) | Value::List(_)) {
            return;
        }
        let path = Path::Key(&self.path, key);
        let message = format!("missing, {expected} expected");
        match self.entries.iter().find(|e| &*e.key == key) {
            Some(entry) => faults.at_id(entry.key_source, entry.key_id, path, message),
            None => faults.at(self.node, path, message),
        }
    }

    /// Where the mapping is.
    pub(super) const fn node(&self) -> &'n Node {
        self.node
    }

    /// The value of `key` for a fault, or the mapping where there is none.
    pub(super) fn node_of(&self, key: &str) -> &'n Node {
        self.entries.iter().find(|e| &*e.key == key).map_or(self.node, |e| &e.value)
    }

    /// Notes keys that nobody asked for, and keys given twice.
    pub(super) fn finish(self, faults: &mut Collector) {
        for entry in self.entries {
            if !self.known.contains(&&*entry.key) {
                let message = format!("unknown key, one of {} expected", self.known.join(", "));
                faults.at_id(entry.key_source, entry.key_id, Path::Key(&self.path, &entry.key), message);
            }
        }
        self.duplicates(faults);
    }

    fn duplicates(&self, faults: &mut Collector) {
        for (i, entry) in self.entries.iter().enumerate() {
            if let Some(first) = self.entries[..i].iter().find(|e| e.key == entry.key) {
                let other = (first.key_source, first.key_id);
                let path = Path::Key(&self.path, &entry.key);
                faults.at_with_other((entry.key_source, entry.key_id), path, "given twice, first at", other);
            }
        }
    }
}

/// A leaf that is no value of a key, an item of an inner list for instance.
pub(super) fn leaf<T>(node: &Node, path: Path<'_>, leaf: Leaf<T>, faults: &mut Collector) -> Option<T> {
    read_leaf(node, path, "", leaf, faults)
}

fn read_leaf<T>(node: &Node, path: Path<'_>, key: &str, leaf: Leaf<T>, faults: &mut Collector) -> Option<T> {
    let value = match &node.value {
        Value::Text(text) => (leaf.read)(text),
        // `[hmac-sha-1-96, null]`: what is meant is the word.
        Value::Null => (leaf.read)("null"),
        _ => None,
    };
    if value.is_none() {
        faults.at(node, path, format!("{} found, {} expected", found(node, key), leaf.expected));
    }
    value
}

/// A node as a message may show it: never a key.
pub(super) fn found(node: &Node, key: &str) -> String {
    match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Text(text) if SECRET_KEYS.contains(&key) => format!("\"..\" ({} characters)", text.chars().count()),
        Value::Text(text) => {
            let masked = mask_value(text);
            let shown: String = masked.chars().take(60).flat_map(char::escape_debug).collect();
            let rest = if masked.chars().nth(60).is_some() { ".." } else { "" };
            format!("\"{shown}{rest}\"")
        }
    }
}
