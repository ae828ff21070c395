//! Identities that two subscribers have, ranges included.

use std::collections::{BTreeMap, HashMap};

/// The node of a subscriber: file and number.
pub(super) type At = (u16, u32);

/// All identities seen so far.
#[derive(Debug, Default)]
pub(super) struct Identities {
    single: HashMap<Box<str>, At, foldhash::fast::RandomState>,
    /// What stands around the digits that count, and how many digits there are; then the first number of each range.
    ranges: BTreeMap<(Box<str>, Box<str>, usize), Ranges>,
}

/// First number to last number.
type Ranges = BTreeMap<u64, (u64, At)>;

impl Identities {
    /// Adds the identity of one subscriber; who has it already is returned.
    pub(super) fn add(&mut self, identity: &str, at: At) -> Option<At> {
        for ((before, behind, digits), ranges) in &self.ranges {
            let middle = identity.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**behind));
            let number = middle.filter(|m| m.len() == *digits).and_then(number);
            if let Some(number) = number
                && let Some((_, (last, other))) = ranges.range(..=number).next_back()
                && number <= *last
            {
                return Some(*other);
            }
        }
        match self.single.entry(identity.into()) {
            std::collections::hash_map::Entry::Occupied(seen) => Some(*seen.get()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(at);
                None
            }
        }
    }

    /// Adds `count` identities that count up in the digits `counted` of `first`.
    pub(super) fn add_range(&mut self, first: &str, counted: &str, count: u64, at: At) -> Option<At> {
        let Some((before, behind)) = first.split_once(counted) else { return self.add(first, at) };
        let from = number(counted)?;
        let last = from.saturating_add(count - 1);
        let key = (Box::from(before), Box::from(behind), counted.len());
        let ranges = self.ranges.entry(key).or_default();
        if let Some((_, (_, other))) = ranges.range(..=last).next_back().filter(|(_, (end, _))| *end >= from) {
            return Some(*other);
        }
        ranges.insert(from, (last, at));
        // Singles are many and ranges few: each range looks at the singles once.
        let inside = |identity: &str| {
            let middle = identity.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
            let number = middle.filter(|m| m.len() == counted.len()).and_then(number);
            number.is_some_and(|n| (from..=last).contains(&n))
        };
        self.single.iter().filter(|(identity, _)| inside(identity)).map(|(_, other)| *other).min()
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_singles_meet() {
        let mut all = Identities::default();
        assert_eq!(all.add("sip:005@x", (0, 1)), None);
        assert_eq!(all.add("sip:005@x", (0, 2)), Some((0, 1)));
        assert_eq!(all.add("sip:005@y", (0, 3)), None);
        assert_eq!(all.add_range("sip:001@x", "001", 5, (0, 4)), Some((0, 1)));
        assert_eq!(all.add_range("sip:010@x", "010", 5, (0, 5)), None);
        assert_eq!(all.add_range("sip:014@x", "014", 5, (0, 6)), Some((0, 5)));
        assert_eq!(all.add_range("sip:006@x", "006", 5, (0, 7)), Some((0, 5)));
        assert_eq!(all.add_range("sip:015@x", "015", 5, (0, 8)), None);
        assert_eq!(all.add("sip:014@x", (0, 9)), Some((0, 5)));
        assert_eq!(all.add("sip:020@x", (0, 10)), None);
    }
}
