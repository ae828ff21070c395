//! Values under ids, found again by a hash: a slab whose slots form chains of equal hash.

use foldhash::fast::FixedState;
use std::collections::HashMap;

/// Where a value is. Stale ids find nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Id {
    index: u32,
    generation: u32,
}

impl Id {
    /// The id of this slot and generation.
    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// Its slot.
    pub(super) const fn index(self) -> u32 {
        self.index
    }

    /// Which use of the slot.
    pub(super) const fn generation(self) -> u32 {
        self.generation
    }

    /// The id that [`Id::to_bits`] was asked for.
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }

    /// The id as one number, for texts that lead back to it.
    pub(super) const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }
}

/// The slab. Several values may share a hash: whoever looks one up says which it means.
#[derive(Debug)]
pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    /// First unused slot; unused slots are chained by `next`.
    free: u32,
    /// By 32 bits of the hash: to mix two chains does no harm.
    heads: HashMap<u32, u32, FixedState>,
    len: usize,
    /// Of a slot that is new.
    first_generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    hash: u32,
    generation: u32,
    /// The next slot of this hash, or the next unused one; [`NONE`] ends a chain.
    next: u32,
    /// See [`Table::mark`].
    mark: u32,
    value: Option<T>,
}

impl<T> Table<T> {
    /// Empty; `seed` keeps chains unpredictable from outside.
    pub(super) fn new(seed: u64) -> Self {
        let heads = HashMap::with_hasher(FixedState::with_seed(seed));
        Self { slots: Vec::new(), free: NONE, heads, len: 0, first_generation: 0 }
    }

    /// With ids that the table of another process hardly has: its ids find nothing here.
    pub(super) fn with_ids_of_its_own(seed: u64, generation: u32) -> Self {
        Self { first_generation: generation, ..Self::new(seed) }
    }

    /// Adds a value.
    pub(super) fn insert(&mut self, hash: u64, value: T) -> Id {
        let hash = hash as u32;
        let index = match self.slots.get_mut(self.free as usize) {
            Some(slot) => {
                let index = self.free;
                self.free = slot.next;
                slot.hash = hash;
                slot.mark = NONE;
                slot.value = Some(value);
                index
            }
            None => {
                let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 - 1 values fit in memory");
                let generation = self.first_generation;
                self.slots.push(Slot { hash, generation, next: NONE, mark: NONE, value: Some(value) });
                index
            }
        };
        self.len += 1;
        let behind = self.heads.insert(hash, index).unwrap_or(NONE);
        let slot = &mut self.slots[index as usize];
        slot.next = behind;
        Id { index, generation: slot.generation }
    }

    /// All ids of this hash.
    pub(super) fn chain(&self, hash: u64) -> impl Iterator<Item = (Id, &T)> {
        let mut at = self.heads.get(&(hash as u32)).copied().unwrap_or(NONE);
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            let id = Id { index: at, generation: slot.generation };
            at = slot.next;
            Some((id, slot.value.as_ref().expect("only used slots are chained to a hash")))
        })
    }

    /// The value, if it is still there.
    pub(super) fn get(&self, id: Id) -> Option<&T> {
        self.slots.get(id.index as usize).filter(|s| s.generation == id.generation)?.value.as_ref()
    }

    /// What is in a slot.
    pub(super) fn at(&self, index: u32) -> Option<(Id, &T)> {
        let slot = self.slots.get(index as usize)?;
        Some((Id { index, generation: slot.generation }, slot.value.as_ref()?))
    }

    /// The value, if it is still there.
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation)?.value.as_mut()
    }

    /// A word that belongs to the value and takes no room beside it: [`NONE`] until it is set, or where there is no such
    /// value.
    pub(super) fn mark(&self, id: Id) -> u32 {
        self.slots.get(id.index as usize).filter(|s| s.generation == id.generation).map_or(NONE, |s| s.mark)
    }

    /// Sets the word.
    pub(super) fn set_mark(&mut self, id: Id, mark: u32) {
        if let Some(slot) = self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation) {
            slot.mark = mark;
        }
    }

    /// All values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| {
            let id = Id { index, generation: slot.generation };
            slot.value.as_ref().map(|value| (id, value))
        })
    }

    /// Takes the value out.
    pub(super) fn remove(&mut self, id: Id) -> Option<T> {
        let slot = self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation)?;
        let value = slot.value.take()?;
        let (hash, next) = (slot.hash, slot.next);
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = self.free;
        self.free = id.index;
        self.unchain(hash, id.index, next);
        self.len -= 1;
        Some(value)
    }

    /// How many values there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn unchain(&mut self, hash: u32, index: u32, next: u32) {
        let head = self.heads.get_mut(&hash).expect("a used slot is chained to its hash");
        if *head != index {
            let mut at = *head;
            while self.slots[at as usize].next != index {
                at = self.slots[at as usize].next;
            }
            self.slots[at as usize].next = next;
        } else if next == NONE {
            self.heads.remove(&hash);
        } else {
            *head = next;
        }
    }
}

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hashes_form_a_chain_that_survives_removals_in_any_order() {
        for first in 0..3 {
            let mut t = Table::new(1);
            let ids: Vec<Id> = (0..3).map(|n| t.insert(7, n)).collect();
            t.insert(8, 9);
            assert_eq!(t.remove(ids[first]), Some(first));
            assert_eq!(t.remove(ids[first]), None);
            let mut left: Vec<usize> = t.chain(7).map(|(_, v)| *v).collect();
            left.sort_unstable();
            assert_eq!(left, (0..3).filter(|n| *n != first).collect::<Vec<_>>());
            assert_eq!(t.len(), 3);
        }
    }

    #[test]
    fn a_slot_used_again_does_not_answer_to_the_old_id() {
        let mut t = Table::new(1);
        let old = t.insert(7, 'a');
        t.remove(old);
        let new = t.insert(7, 'b');
        assert_eq!((old.index, t.get(old), t.get(new)), (new.index, None, Some(&'b')));
        assert_eq!((Id::from_bits(new.to_bits()), t.iter().collect::<Vec<_>>()), (new, vec![(new, &'b')]));
        assert_eq!(t.chain(7).count(), 1);
        t.remove(new);
        assert_eq!(t.chain(7).count(), 0);
    }
}
