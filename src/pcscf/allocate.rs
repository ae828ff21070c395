//! SPIs and client ports of the P-CSCF (TS 33.203 clause 7.1).

use crate::identity::Spi;
use crate::random::Random;
use foldhash::fast::RandomState;
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// Hands out SPIs and port_pc.
#[derive(Debug)]
pub(super) struct Allocator {
    /// Of the SAs that end here.
    spis: HashSet<Spi, RandomState>,
    ports: RangeInclusive<u16>,
    /// Where the next search begins, so that a port that was just freed is not taken at once.
    next: u16,
}

impl Allocator {
    pub(super) fn new(ports: RangeInclusive<u16>) -> Self {
        Self { spis: HashSet::default(), next: *ports.start(), ports }
    }

    /// Two SPIs for one set: unique among our inbound SAs, and not those of the UE. A released value comes back by a
    /// chance of one in four thousand million only.
    pub(super) fn spis(&mut self, random: &mut Random, ue: [Spi; 2]) -> (Spi, Spi) {
        (self.spi(random, ue), self.spi(random, ue))
    }

    /// A port_pc that is free by the judgement of `is_free`; `None` if none of the pool is.
    pub(super) fn port(&mut self, is_free: impl Fn(u16) -> bool) -> Option<u16> {
        let (first, last) = self.ports.clone().into_inner();
        let start = if self.ports.contains(&self.next) { self.next } else { first };
        let found = (start..=last).chain(first..start).find(|&port| is_free(port))?;
        self.next = found.checked_add(1).unwrap_or(first);
        Some(found)
    }

    /// The set has gone.
    pub(super) fn release(&mut self, spis: [Spi; 2]) {
        for spi in spis {
            self.spis.remove(&spi);
        }
    }

    fn spi(&mut self, random: &mut Random, ue: [Spi; 2]) -> Spi {
        loop {
            let spi = Spi(random.next_u32());
            if spi >= Spi::FIRST && !ue.contains(&spi) && self.spis.insert(spi) {
                return spi;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field lesson 19: at least 256, never one in use, no end of them at thousands of UEs.
    #[test]
    fn lesson_19_spis_are_unique_and_above_255() {
        let mut allocator = Allocator::new(5_100..=5_163);
        let mut random = Random::seeded(19);
        let mut seen = HashSet::new();
        for n in 0..20_000 {
            let ue = [Spi(n + 256), Spi(n + 257)];
            let (c, s) = allocator.spis(&mut random, ue);
            assert!(c >= Spi::FIRST && s >= Spi::FIRST && !ue.contains(&c) && !ue.contains(&s));
            assert!(seen.insert(c) && seen.insert(s), "given twice");
        }
        assert_eq!(allocator.spis.len(), 40_000);
        allocator.release([*seen.iter().next().unwrap(), Spi(1)]);
        assert_eq!(allocator.spis.len(), 39_999);
    }

    #[test]
    fn ports_go_round_and_skip_those_taken() {
        let mut allocator = Allocator::new(5_100..=5_102);
        assert_eq!(allocator.port(|_| true), Some(5_100));
        assert_eq!(allocator.port(|_| true), Some(5_101), "what was freed just now is not taken at once");
        assert_eq!(allocator.port(|p| p != 5_102), Some(5_100));
        assert_eq!(allocator.port(|_| false), None);
        let mut last = Allocator::new(65_535..=65_535);
        assert_eq!((last.port(|_| true), last.port(|_| true)), (Some(65_535), Some(65_535)));
    }
}
