//! Where in a slab something with a hash is.

use hashbrown::HashTable;

/// Slots by 32 bits of a hash, which the slot itself has whole: eight octets an entry, because under load each look-up
/// finds the table in no cache, and the larger it is the less so.
#[derive(Debug, Default)]
pub(super) struct Places(HashTable<(u32, u32)>);

impl Places {
    /// The slot of this hash that is meant.
    pub(super) fn find(&self, hash: u64, mut is_meant: impl FnMut(u32) -> bool) -> Option<u32> {
        let short = shortened(hash);
        self.0.find(spread(short), |(other, index)| *other == short && is_meant(*index)).map(|(_, index)| *index)
    }

    pub(super) fn insert(&mut self, hash: u64, index: u32) {
        let short = shortened(hash);
        self.0.insert_unique(spread(short), (short, index), |(other, _)| spread(*other));
    }

    /// Nothing happens where it is not.
    pub(super) fn remove(&mut self, hash: u64, index: u32) {
        let short = shortened(hash);
        if let Ok(entry) = self.0.find_entry(spread(short), |entry| *entry == (short, index)) {
            entry.remove();
        }
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = HashTable::new();
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
const fn shortened(hash: u64) -> u32 {
    hash as u32
}

/// The table takes the place from the low bits and a mark from the highest seven.
const fn spread(short: u32) -> u64 {
    (short as u64) << 32 | short as u64
}

/// A burst must not keep its memory for ever.
const KEPT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_share_32_bits_are_told_apart_by_who_asks() {
        let mut places = Places::default();
        places.insert(7, 1);
        places.insert(7 | 1 << 40, 2);
        assert_eq!(places.find(7, |index| index == 2), Some(2));
        places.remove(7, 2);
        assert_eq!((places.find(7, |_| true), places.find(8, |_| true)), (Some(1), None));
        places.remove(7, 2);
        assert_eq!(places.find(7, |_| true), Some(1));
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut places = Places::default();
        for index in 0..10_000 {
            places.insert(u64::from(index) << 20 | u64::from(index), index);
        }
        for index in 0..10_000 {
            assert_eq!(places.find(u64::from(index) << 20 | u64::from(index), |i| i == index), Some(index));
            places.remove(u64::from(index) << 20 | u64::from(index), index);
        }
        assert_eq!(places.0.capacity(), 0);
    }
}
