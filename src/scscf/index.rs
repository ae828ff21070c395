//! Registrations by public identity. REGISTER never asks for this, so the index is made when a request first does.

use super::table::Id;
use foldhash::fast::FixedState;
use std::collections::BTreeSet;
use std::hash::BuildHasher;

/// Which registrations may hold an identity: 32 bits of a hash of its user part decide, so whoever looks one up compares.
/// A number as `tel:` and as `sip:` has one entry. It goes with its registration, so the slot of that says enough.
#[derive(Debug)]
pub(super) struct Index {
    entries: BTreeSet<(u32, u32)>,
    hasher: FixedState,
}

impl Index {
    pub(super) const fn new(hasher: FixedState) -> Self {
        Self { entries: BTreeSet::new(), hasher }
    }

    /// `id` holds `impu`, which is canonical.
    pub(super) fn insert(&mut self, impu: &str, id: Id) {
        self.entries.insert((self.hash(impu), id.index()));
    }

    /// `id` does not hold `impu` any more.
    pub(super) fn remove(&mut self, impu: &str, id: Id) {
        self.entries.remove(&(self.hash(impu), id.index()));
    }

    /// The slots of those that may hold `impu`.
    pub(super) fn find(&self, impu: &str) -> impl Iterator<Item = u32> {
        let hash = self.hash(impu);
        self.entries.range((hash, 0)..=(hash, u32::MAX)).map(|(_, slot)| *slot)
    }

    fn hash(&self, impu: &str) -> u32 {
        let behind_scheme = impu.split_once(':').map_or(impu, |(_, rest)| rest);
        let user = behind_scheme.split(['@', ';']).next().unwrap_or_default();
        self.hasher.hash_one(user) as u32
    }
}
