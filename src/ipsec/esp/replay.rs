//! The anti-replay window (RFC 4303 clause 3.4.3).

use super::Drop;

/// Which of the last 64 sequence numbers of an SA have come in.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Window {
    /// The highest sequence number that came in.
    highest: u32,
    /// In halves, which need no alignment to eight. Bit n: `highest - n` came in.
    seen: [u32; 2],
}

impl Window {
    /// Before the ICV: a sequence number that cannot be new costs no more than this.
    pub(super) fn check(&self, sequence: u32) -> Result<(), Drop> {
        if sequence == 0 {
            return Err(Drop::Replayed);
        }
        match self.highest.checked_sub(sequence) {
            Some(back) if back >= WIDTH => Err(Drop::TooOld),
            Some(back) if self.bits() & (1 << back) != 0 => Err(Drop::Replayed),
            _ => Ok(()),
        }
    }

    /// After the ICV was found good. True when no later one had come in before it.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of one number")]
    pub(super) fn update(&mut self, sequence: u32) -> bool {
        let newest = sequence > self.highest;
        let seen = match self.highest.checked_sub(sequence) {
            Some(back) => self.bits() | 1_u64.checked_shl(back).unwrap_or(0),
            None => self.bits().checked_shl(sequence - self.highest).unwrap_or(0) | 1,
        };
        self.highest = self.highest.max(sequence);
        self.seen = [(seen >> 32) as u32, seen as u32];
        newest
    }

    fn bits(&self) -> u64 {
        u64::from(self.seen[0]) << 32 | u64::from(self.seen[1])
    }
}

const WIDTH: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use std::collections::BTreeSet;

    fn take(window: &mut Window, sequence: u32) -> Result<bool, Drop> {
        window.check(sequence)?;
        Ok(window.update(sequence))
    }

    #[test]
    fn the_edges_of_the_window() {
        let mut w = Window::default();
        assert_eq!(take(&mut w, 0), Err(Drop::Replayed));
        assert_eq!(take(&mut w, 64), Ok(true));
        assert_eq!(take(&mut w, 64), Err(Drop::Replayed));
        assert_eq!(take(&mut w, 1), Ok(false));
        assert_eq!(take(&mut w, 1), Err(Drop::Replayed));
        assert_eq!(take(&mut w, 65), Ok(true));
        assert_eq!(take(&mut w, 1), Err(Drop::TooOld));
        assert_eq!(take(&mut w, 2), Ok(false));
        // By 63, by 64 and by far more than the window is wide.
        assert_eq!(take(&mut w, 128), Ok(true));
        assert_eq!(take(&mut w, 65), Err(Drop::Replayed));
        assert_eq!(take(&mut w, 66), Ok(false));
        assert_eq!(take(&mut w, 192), Ok(true));
        assert_eq!(take(&mut w, 128), Err(Drop::TooOld));
        assert_eq!(take(&mut w, 129), Ok(false));
        assert_eq!(take(&mut w, u32::MAX), Ok(true));
        assert_eq!(take(&mut w, u32::MAX), Err(Drop::Replayed));
        assert_eq!(take(&mut w, u32::MAX - 63), Ok(false));
        assert_eq!(take(&mut w, u32::MAX - 64), Err(Drop::TooOld));
    }

    /// Against a set of all numbers that ever came in.
    #[test]
    fn it_judges_as_a_full_memory_would() {
        let mut random = Random::seeded(5);
        for _ in 0..200 {
            let (mut window, mut seen) = (Window::default(), BTreeSet::new());
            let mut top = random.below(300);
            for _ in 0..500 {
                top += [0, 1, 1, 2, 63, 64, 65][random.below(7) as usize];
                let sequence = top.saturating_sub(random.below(80));
                let highest = seen.last().copied().unwrap_or(0);
                let fresh = sequence > 0 && !seen.contains(&sequence) && sequence + 64 > highest;
                assert_eq!(take(&mut window, sequence).is_ok(), fresh, "{sequence} after {highest}");
                if fresh {
                    seen.insert(sequence);
                }
            }
        }
    }
}
