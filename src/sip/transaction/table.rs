//! Where transactions live: slots with a generation, and buffers that are used again.

/// A slot and which use of it. An id of an earlier use finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Handle {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Values in slots; freed slots are used again under a new generation.
#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Slots<T>,
    /// First free slot of the chain, [`END`] if there is none.
    free: u32,
    len: usize,
    /// No id was ever given out with this generation or a later one for a slot that does not exist now.
    first_generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Free { next: u32 },
    Used(T),
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Slots::new(), free: END, len: 0, first_generation: 0 }
    }

    /// Fills a slot with what `make` makes for it.
    pub(super) fn insert(&mut self, make: impl FnOnce(Handle) -> T) -> Handle {
        if self.free == END {
            let slot = Slot { generation: self.first_generation, content: Content::Free { next: END } };
            self.free = u32::try_from(self.slots.len()).expect("memory ends before 2^32 transactions");
            self.slots.push(slot);
        }
        let index = self.free;
        let slot = self.slots.get_mut(index).expect("the chain of free slots holds slots");
        let Content::Free { next } = slot.content else { unreachable!("the chain of free slots holds free slots") };
        self.free = next;
        self.len += 1;
        let handle = Handle { index, generation: slot.generation };
        slot.content = Content::Used(make(handle));
        handle
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&T> {
        match self.slots.get(handle.index) {
            Some(Slot { generation, content: Content::Used(value) }) if *generation == handle.generation => Some(value),
            _ => None,
        }
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        match self.slots.get_mut(handle.index) {
            Some(Slot { generation, content: Content::Used(value) }) if *generation == handle.generation => Some(value),
            _ => None,
        }
    }

    /// The current use of a slot, and its value.
    pub(super) fn current(&self, index: u32) -> Option<(Handle, &T)> {
        match self.slots.get(index) {
            Some(Slot { generation, content: Content::Used(value) }) => {
                Some((Handle { index, generation: *generation }, value))
            }
            _ => None,
        }
    }

    /// The same, to change the value.
    pub(super) fn current_mut(&mut self, index: u32) -> Option<(Handle, &mut T)> {
        match self.slots.get_mut(index) {
            Some(Slot { generation, content: Content::Used(value) }) => {
                Some((Handle { index, generation: *generation }, value))
            }
            _ => None,
        }
    }

    /// Drops the value of a slot where it is. Returns whether there was one.
    pub(super) fn free(&mut self, handle: Handle) -> bool {
        let used =
            |slot: &&mut Slot<T>| slot.generation == handle.generation && matches!(slot.content, Content::Used(_));
        let Some(slot) = self.slots.get_mut(handle.index).filter(used) else { return false };
        slot.generation = slot.generation.wrapping_add(1);
        slot.content = Content::Free { next: std::mem::replace(&mut self.free, handle.index) };
        self.len -= 1;
        if self.len == 0 && self.slots.len() > KEPT_SLOTS {
            // A burst must not keep its memory for ever; generations go on where the latest ended.
            let latest = self.slots.iter().map(|slot| slot.generation).max().unwrap_or(0);
            self.slots = Slots::new();
            self.free = END;
            self.first_generation = latest;
        }
        true
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

/// Slots in blocks: those that are there never move, however many there are.
#[derive(Debug)]
struct Slots<T>(Vec<Vec<Slot<T>>>);

impl<T> Slots<T> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn get(&self, index: u32) -> Option<&Slot<T>> {
        self.0.get(index as usize / BLOCK)?.get(index as usize % BLOCK)
    }

    fn get_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.0.get_mut(index as usize / BLOCK)?.get_mut(index as usize % BLOCK)
    }

    fn push(&mut self, slot: Slot<T>) {
        match self.0.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => block.push(slot),
            None => {
                // The first grows with its owner, which may be one UE of many.
                let mut block = Vec::with_capacity(if self.0.is_empty() { 1 } else { BLOCK });
                block.push(slot);
                self.0.push(block);
            }
        }
    }

    fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * BLOCK + last.len())
    }

    fn iter(&self) -> impl Iterator<Item = &Slot<T>> {
        self.0.iter().flatten()
    }
}

/// Slots of a block.
const BLOCK: usize = 256;

/// Indices of those that wait on a TCP connection. Each member remembers its place, so leaving costs no search.
#[derive(Debug)]
pub(super) struct Members(Vec<u32>);

impl Members {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a slot and returns its place.
    pub(super) fn join(&mut self, index: u32) -> u32 {
        self.0.push(index);
        u32::try_from(self.0.len() - 1).expect("memory ends before 2^32 transactions")
    }

    /// Frees a place; the slot returned, if any, has moved to it.
    pub(super) fn leave(&mut self, place: u32) -> Option<u32> {
        self.0.swap_remove(place as usize);
        self.0.get(place as usize).copied()
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

/// Buffers for messages kept; a bounded number is held back for the next user.
#[derive(Debug, Default)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(USUAL_CAPACITY))
    }

    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < KEPT_BUFFERS && (USUAL_CAPACITY..=KEPT_CAPACITY).contains(&buffer.capacity()) {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

const END: u32 = u32::MAX;
const KEPT_SLOTS: usize = 1_024;
const KEPT_BUFFERS: usize = 1_024;
const KEPT_CAPACITY: usize = 8 * 1_024;
/// What [`crate::sip::Writer`] makes room for.
const USUAL_CAPACITY: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_handle_finds_nothing() {
        let mut slab = Slab::new();
        let first = slab.insert(|_| 'a');
        assert!(slab.free(first));
        let second = slab.insert(|_| 'b');
        assert_eq!(second.index, first.index);
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert!(!slab.free(first));
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn generations_survive_the_release_of_memory() {
        let mut slab = Slab::new();
        let handles: Vec<Handle> = (0..5_000).map(|n| slab.insert(|_| n)).collect();
        for handle in &handles {
            slab.free(*handle);
        }
        assert_eq!(slab.slots.0.capacity(), 0);
        slab.insert(|_| 7);
        assert!(handles.iter().all(|handle| slab.get(*handle).is_none()));
    }

    #[test]
    fn leaving_moves_the_last_member() {
        let mut members = Members::new();
        let places: Vec<u32> = [10, 11, 12].map(|index| members.join(index)).to_vec();
        assert_eq!(members.leave(places[0]), Some(12));
        assert_eq!(members.leave(1), None);
        assert_eq!(members.as_slice(), [12]);
    }
}
