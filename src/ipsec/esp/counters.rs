//! What went through and what did not.

use super::Drop;

/// Packets and octets (those of the UDP datagrams and TCP segments) through the SAs of a set, or of all sets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Packets sealed.
    pub sealed: u64,
    /// Octets in them.
    pub sealed_octets: u64,
    /// Packets opened.
    pub opened: u64,
    /// Octets in them.
    pub opened_octets: u64,
    pub(super) drops: Drops,
}

impl Counters {
    /// How often a packet was dropped for `reason`.
    pub const fn dropped(&self, reason: Drop) -> u64 {
        self.drops.0[reason as usize]
    }

    /// The reasons that occurred, with their numbers.
    pub fn drops(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        Drop::ALL.into_iter().map(|reason| (reason, self.dropped(reason))).filter(|(_, count)| *count > 0)
    }

    /// Adds drops that somebody else has counted.
    pub const fn add_drops(&mut self, reason: Drop, count: u64) {
        self.drops.0[reason as usize] += count;
    }

    pub(super) const fn drop(&mut self, reason: Drop) {
        self.drops.count(reason);
    }
}

/// Numbers by reason. A set has them once something was dropped on it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Drops([u64; Drop::ALL.len()]);

impl Drops {
    pub(super) const fn count(&mut self, reason: Drop) {
        self.0[reason as usize] += 1;
    }
}
