//! Where something with a hash is.

use super::answered::SERIALS;
use hashbrown::HashTable;

/// Where a server transaction is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In this slot.
    Slot(u32),
    /// Among the answered requests of this side, with this serial number.
    Answered { side: u8, serial: u32 },
}

/// Places by 32 bits of a hash, of which what is there has the whole: eight octets an entry, because under load each
/// look-up finds the table in no cache, and the larger it is the less so.
///
/// What ends by itself is not taken out, for that would bring two cold lines into the cache each time: it leaves when
/// the table is full.
#[derive(Debug, Default)]
pub(super) struct Places(HashTable<(u32, Packed)>);

/// Three bits for the side, of which [`SLOT`] is none, and 29 for the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Packed(u32);

impl Places {
    /// The place of this hash that is meant.
    pub(super) fn find(&self, hash: u64, mut is_meant: impl FnMut(Place) -> bool) -> Option<Place> {
        let short = shortened(hash);
        let found = self.0.find(spread(short), |(other, place)| *other == short && is_meant(place.unpacked()));
        found.map(|(_, place)| place.unpacked())
    }

    /// `is_alive` tells whether a place still means something.
    pub(super) fn insert(&mut self, hash: u64, place: Place, is_alive: impl Fn(Place) -> bool) {
        let rehash = |(other, _): &(u32, Packed)| spread(*other);
        if self.0.len() == self.0.capacity() {
            self.0.retain(|(_, place)| is_alive(place.unpacked()));
            // However little has left, the next time is a quarter of the table away.
            self.0.reserve(self.0.len() / 4 + 1, rehash);
        }
        let short = shortened(hash);
        self.0.insert_unique(spread(short), (short, place.packed()), rehash);
    }

    /// Nothing happens where it is not.
    pub(super) fn relocate(&mut self, hash: u64, from: Place, to: Place) {
        let (short, from) = (shortened(hash), from.packed());
        if let Some((_, place)) = self.0.find_mut(spread(short), |entry| *entry == (short, from)) {
            *place = to.packed();
        }
    }

    /// Nothing happens where it is not.
    pub(super) fn remove(&mut self, hash: u64, place: Place) {
        let (short, place) = (shortened(hash), place.packed());
        if let Ok(entry) = self.0.find_entry(spread(short), |entry| *entry == (short, place)) {
            entry.remove();
        }
    }

    /// No place means anything any more.
    pub(super) fn clear(&mut self) {
        if self.0.capacity() > KEPT {
            self.0 = HashTable::new();
        } else {
            self.0.clear();
        }
    }
}

impl Place {
    fn packed(self) -> Packed {
        let (side, number) = match self {
            Self::Slot(index) => (SLOT, index),
            Self::Answered { side, serial } => (u32::from(side), serial),
        };
        assert!(number < SERIALS, "memory ends before 2^29 transactions");
        Packed((side * SERIALS) | number)
    }
}

impl Packed {
    const fn unpacked(self) -> Place {
        match ((self.0 / SERIALS) as u8, self.0 % SERIALS) {
            (SIDES, index) => Place::Slot(index),
            (side, serial) => Place::Answered { side, serial },
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

/// How many sides there can be.
pub(super) const SIDES: u8 = 7;
/// In the place of a side.
const SLOT: u32 = SIDES as u32;
/// A burst must not keep its memory for ever.
const KEPT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::Place::{Answered, Slot};
    use super::*;

    #[test]
    fn places_that_share_32_bits_are_told_apart_by_who_asks() {
        let mut places = Places::default();
        places.insert(7, Slot(1), |_| true);
        places.insert(7 | 1 << 40, Slot(2), |_| true);
        assert_eq!(places.find(7, |place| place == Slot(2)), Some(Slot(2)));
        places.remove(7, Slot(2));
        assert_eq!((places.find(7, |_| true), places.find(8, |_| true)), (Some(Slot(1)), None));
        places.remove(7, Slot(2));
        assert_eq!(places.find(7, |_| true), Some(Slot(1)));
    }

    #[test]
    fn what_moves_is_found_where_it_is() {
        let mut places = Places::default();
        for place in [Slot(SERIALS - 1), Answered { side: 6, serial: SERIALS - 1 }, Answered { side: 0, serial: 0 }] {
            let from = places.find(7, |_| true).unwrap_or(Slot(0));
            places.insert(7, from, |_| true);
            places.relocate(7, from, place);
            assert_eq!(places.find(7, |found| found == place), Some(place));
            places.remove(7, from);
        }
        places.relocate(8, Slot(9), Slot(10));
        assert_eq!(places.find(8, |_| true), None);
    }

    #[test]
    fn what_has_ended_makes_room_and_what_lives_stays() {
        let hash = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let mut places = Places::default();
        for n in 0..100_000 {
            // The last thousand are alive.
            places.insert(hash(n), Slot(n), |place| matches!(place, Slot(other) if other + 1_000 > n));
            assert!(places.0.capacity() <= 4_000, "{n}: {}", places.0.capacity());
        }
        for n in 99_000..100_000 {
            assert_eq!(places.find(hash(n), |place| place == Slot(n)), Some(Slot(n)));
        }
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut places = Places::default();
        for index in 0..10_000 {
            places.insert(u64::from(index) << 20 | u64::from(index), Slot(index), |_| true);
        }
        places.clear();
        assert_eq!((places.0.capacity(), places.find(0, |_| true)), (0, None));
    }
}
