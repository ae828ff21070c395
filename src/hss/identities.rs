//! From an identity to the entry of the store that has it.

use super::source::{Place, Source};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The identities of single subscribers; those of a range follow from its digits. What is looked for is compared with the
/// subscriber himself, who is needed next anyway: a copy of each identity would be one more piece of memory that is in no
/// cache when its subscriber comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Identities {
    impis: HashTable<u32>,
    impus: HashTable<(u32, Place)>,
    hasher: RandomState,
}

impl Identities {
    /// Whose private identity this is.
    pub(super) fn by_impi(&self, sources: &[Source], impi: &str) -> Option<u32> {
        let is_it = |index: &u32| sources[*index as usize].impi() == impi;
        self.impis.find(self.hasher.hash_one(impi), is_it).copied()
    }

    /// Whose public identity this is, and which of his.
    pub(super) fn by_impu(&self, sources: &[Source], impu: &str) -> Option<(u32, Place)> {
        let is_it = |(index, place): &(u32, Place)| sources[*index as usize].impu(*place) == impu;
        self.impus.find(self.hasher.hash_one(impu), is_it).copied()
    }

    /// All private identities.
    pub(super) fn impis<'a>(&'a self, sources: &'a [Source]) -> impl Iterator<Item = &'a str> {
        self.impis.iter().map(|index| sources[*index as usize].impi())
    }

    /// All public identities.
    pub(super) fn impus<'a>(&'a self, sources: &'a [Source]) -> impl Iterator<Item = &'a str> {
        self.impus.iter().map(|(index, place)| sources[*index as usize].impu(*place))
    }

    /// Adds the private identity of a subscriber who has just come into the store.
    pub(super) fn insert_impi(&mut self, sources: &[Source], index: u32) {
        let Self { impis, hasher, .. } = self;
        let hash = |index: &u32| hasher.hash_one(sources[*index as usize].impi());
        impis.insert_unique(hash(&index), index, hash);
    }

    /// Adds his public identities.
    pub(super) fn insert_impus(&mut self, sources: &[Source], index: u32) {
        let Self { impus, hasher, .. } = self;
        let hash = |(index, place): &(u32, Place)| hasher.hash_one(sources[*index as usize].impu(*place));
        for (_, place) in sources[index as usize].impus() {
            impus.insert_unique(hash(&(index, place)), (index, place), hash);
        }
    }

    /// Takes them out, before he gets others.
    pub(super) fn remove_impus(&mut self, sources: &[Source], index: u32) {
        for (impu, place) in sources[index as usize].impus() {
            if let Ok(entry) = self.impus.find_entry(self.hasher.hash_one(impu), |found| *found == (index, place)) {
                entry.remove();
            }
        }
    }
}
