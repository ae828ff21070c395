//! The places of nodes. The YAML crate tells none with a value but one with every error: a second walk raises an error
//! at each node whose place is wanted, and reads the place off it.

use super::{Node, Position, Value, parse};
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Deserializer;
use std::collections::BTreeMap;
use std::fmt;

/// The places of the nodes and keys numbered in `wanted`.
pub(in crate::config) fn locate(text: &str, wanted: impl IntoIterator<Item = u32>) -> BTreeMap<u32, Position> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every node and key with its place, as `text@line:column`.
    fn places(text: &str) -> Vec<String> {
        let root = parse(text, 0).unwrap();
        let mut all = Vec::new();
        collect(&root, &mut all);
        let places = locate(text, all.iter().map(|(id, _)| *id));
        all.iter().map(|(id, name)| format!("{name}@{}:{}", places[id].line, places[id].column)).collect()
    }

    fn collect(node: &Node, out: &mut Vec<(u32, String)>) {
        match &node.value {
            Value::Null => out.push((node.id, "null".to_owned())),
            Value::Text(text) => out.push((node.id, text.to_string())),
            Value::List(items) => {
                out.push((node.id, "[]".to_owned()));
                items.iter().for_each(|n| collect(n, out));
            }
            Value::Map(entries) => {
                out.push((node.id, "{}".to_owned()));
                for entry in entries {
                    out.push((entry.key_id, entry.key.to_string()));
                    collect(&entry.value, out);
                }
            }
        }
    }

    #[test]
    fn every_node_has_its_place() {
        let text = "a: [1, {b: 0x10}, []]\nc:\n  - d: {}\n    e: ~\n  - \"f\"\n? g\n: !t 1e5\n";
        let expected = [
            "{}@1:1",
            "a@1:1",
            "[]@1:4",
            "1@1:5",
            "{}@1:8",
            "b@1:9",
            "0x10@1:12",
            "[]@1:19",
            "c@2:1",
            "[]@3:3",
            "{}@3:5",
            "d@3:5",
            "{}@3:8",
            "e@4:5",
            "null@4:8",
            "f@5:5",
            "g@6:3",
            "1e5@7:3",
        ];
        assert_eq!(places(text), expected);
    }

    #[test]
    fn scalars_keep_their_text() {
        for text in
            ["001010000000001", "310410123456789", "8e12345", "1e400", "0x1F", "0o17", "+99912345", "yes", "true", ".5"]
        {
            let root = parse(text, 0).unwrap();
            assert!(matches!(&root.value, Value::Text(t) if **t == *text), "{text}: {root:?}");
        }
        assert!(matches!(parse("~", 0).unwrap().value, Value::Null));
        assert!(matches!(parse("\"~\"", 0).unwrap().value, Value::Text(_)));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_every_node_is_found(text in "([ab:,\\[\\]{}&*!|>~'\"#? -]|\n|\n  |: |- |1|&a |\\*a ){0,40}") {
            if parse(&text, 0).is_ok() {
                // `places` panics where one is not found.
                places(&text);
            }
        }
    }
}
