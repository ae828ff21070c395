//! The one source of chance: a seeded generator that its owner carries.
//!
//! RAND, SPIs, tags, branches and ICIDs come from here. The same seed gives the same bytes; a live run takes its
//! seed from the operating system.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded generator. Each element owns one, so elements do not disturb each other's sequence.
#[derive(Clone)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// A generator for simulations and tests.
    pub fn seeded(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A generator from 32 octets, for a live run.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// An independent generator, for a part of the owner.
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.fill(&mut seed);
        Self::from_seed(seed)
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..below`; `below` is not zero. The bias is below 2^-32 for every bound used here.
    pub fn below(&mut self, below: u32) -> u32 {
        u32::try_from((u128::from(self.next_u64()) * u128::from(below)) >> 64).expect("less than `below`")
    }

    /// Fills `out`.
    pub fn fill(&mut self, out: &mut [u8]) {
        // Word by word gives the same octets as `fill_bytes`, whose set-up costs more than the few octets wanted here.
        for word in out.chunks_mut(4) {
            word.copy_from_slice(&self.0.next_u32().to_le_bytes()[..word.len()]);
        }
    }

    /// `N` random octets.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// `N` characters of `[a-z2-7]`, five random bits each: for tags, branches, Call-IDs, tokens.
    pub fn token<const N: usize>(&mut self) -> Token<N> {
        let mut out = self.bytes::<N>();
        for b in &mut out {
            *b = b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(*b & 31)];
        }
        Token(out)
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The state would foretell every RAND to come.
        f.write_str("Random(..)")
    }
}

/// A short random text on the stack.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token<const N: usize>([u8; N]);

impl<const N: usize> Token<N> {
    /// The text as octets, each ASCII.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("characters of the alphabet above")
    }
}

impl<const N: usize> std::fmt::Display for Token<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> std::fmt::Debug for Token<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_bytes() {
        let (mut a, mut b) = (Random::seeded(7), Random::seeded(7));
        assert_eq!(a.bytes::<40>(), b.bytes::<40>());
        assert_eq!(a.token::<12>(), b.token::<12>());
        let (mut fa, mut fb) = (a.fork(), b.fork());
        assert_eq!(fa.next_u64(), fb.next_u64());
        assert_ne!(fa.next_u64(), a.next_u64());
    }

    #[test]
    fn octets_are_those_of_the_generator() {
        for len in 0..300 {
            let (mut ours, mut theirs) = (Random::seeded(9), ChaCha8Rng::seed_from_u64(9));
            let (mut a, mut b) = (vec![0; len], vec![0; len]);
            ours.fill(&mut a);
            theirs.fill_bytes(&mut b);
            assert_eq!((a, ours.next_u64()), (b, theirs.next_u64()), "{len}");
        }
    }

    #[test]
    fn below_stays_below() {
        let mut r = Random::seeded(1);
        let mut seen = [false; 10];
        for _ in 0..1_000 {
            seen[usize::try_from(r.below(10)).unwrap()] = true;
        }
        assert_eq!(seen, [true; 10]);
    }
}
