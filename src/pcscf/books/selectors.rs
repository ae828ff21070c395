//! From the addresses and ports of a packet to the set of SAs that carries it.

use crate::pcscf::flow::{Set, SetIndex};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::net::IpAddr;

/// The sets alive by the two pairs of ports that each has. What is looked for is compared with the set itself, so a place
/// in the list of sets is all that is kept.
#[derive(Debug)]
pub(super) struct Selectors {
    /// By port_uc and port_ps, then by port_us and port_pc.
    pairs: [HashTable<SetIndex>; 2],
    hasher: RandomState,
    port_s: u16,
}

/// What a UE's packet over an SA shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Selector {
    pub(super) ue: IpAddr,
    pub(super) theirs: u16,
    pub(super) ours: u16,
}

impl Selectors {
    pub(super) fn new(port_s: u16) -> Self {
        Self { pairs: Default::default(), hasher: RandomState::default(), port_s }
    }

    /// The set that has this pair.
    pub(super) fn find(&self, sets: &[Option<Set>], wanted: Selector) -> Option<SetIndex> {
        let hash = self.hasher.hash_one(wanted);
        let which = usize::from(wanted.ours != self.port_s);
        self.pairs[which].find(hash, |index| selectors(sets, *index, self.port_s)[which] == wanted).copied()
    }

    /// Adds the pairs of a set that has just come into the list.
    pub(super) fn insert(&mut self, sets: &[Option<Set>], set: SetIndex) {
        let Self { pairs, hasher, port_s } = self;
        for (which, pairs) in pairs.iter_mut().enumerate() {
            let hash = |index: &SetIndex| hasher.hash_one(selectors(sets, *index, *port_s)[which]);
            pairs.insert_unique(hash(&set), set, hash);
        }
    }

    /// Removes the pairs of a set that is still in the list.
    pub(super) fn remove(&mut self, sets: &[Option<Set>], set: SetIndex) {
        for (pairs, selector) in self.pairs.iter_mut().zip(selectors(sets, set, self.port_s)) {
            if let Ok(entry) = pairs.find_entry(self.hasher.hash_one(selector), |index| *index == set) {
                entry.remove();
            }
        }
    }
}

/// From port_uc to port_ps, and from port_us to port_pc.
fn selectors(sets: &[Option<Set>], index: SetIndex, port_s: u16) -> [Selector; 2] {
    let set = sets[index.at()].as_ref().expect("the pairs of a set go before it goes");
    [(set.ue.port_c, port_s), (set.ue.port_s, set.port_c)].map(|(theirs, ours)| Selector {
        ue: set.ue_address,
        theirs,
        ours,
    })
}
