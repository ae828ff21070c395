//! The USIM: what a UE does with a challenge (TS 33.102 clause 6.3.3, annex C).

use super::vector::{OpenedAutn, SubscriberKeys, make_auts, open_autn};
use super::{Ck, Ik, Xres};

/// A USIM: keys and the array of sequence numbers.
#[derive(Clone, Debug)]
pub struct Usim {
    keys: SubscriberKeys,
    /// The highest SQN accepted in each slot; IND, the last five bits of an SQN, names the slot.
    accepted: [u64; SLOTS],
    /// L of TS 33.102 annex C.2.2.
    age_limit: Option<u64>,
}

/// What a USIM says to RAND and AUTN.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// MAC and SQN are right.
    Accepted {
        /// RES.
        res: Xres,
        /// CK.
        ck: Ck,
        /// IK.
        ik: Ik,
        /// SQN of the challenge.
        sqn: u64,
    },
    /// MAC-A is wrong: no AUTS.
    MacFailure,
    /// MAC-A is right, SQN is not acceptable.
    SynchronisationFailure {
        /// AUTS.
        auts: [u8; 14],
        /// SQN of the challenge.
        sqn: u64,
        /// SQN_MS.
        sqn_ms: u64,
    },
}

impl Usim {
    /// Algorithm and keys.
    pub const fn keys(&self) -> &SubscriberKeys {
        &self.keys
    }

    /// A USIM whose highest accepted SQN is `sqn` in every slot.
    pub fn new(keys: SubscriberKeys, sqn: u64) -> Self {
        Self { keys, accepted: [sqn & SQN_BITS; SLOTS], age_limit: None }
    }

    /// Refuses a SEQ that is `limit` or more below the highest accepted one, even where its slot is older still.
    #[must_use]
    pub fn with_age_limit(mut self, limit: u64) -> Self {
        self.age_limit = Some(limit);
        self
    }

    /// Judges a challenge and, when it is accepted, remembers its SQN (TS 33.102 annex C.2).
    pub fn authenticate(&mut self, rand: &[u8; 16], autn: &[u8; 16]) -> Verdict {
        let OpenedAutn { sqn, is_genuine, outputs: out } = open_autn(&self.keys, rand, autn);
        if !is_genuine {
            return Verdict::MacFailure;
        }
        if !self.is_fresh(sqn) {
            let sqn_ms = self.sqn_ms();
            return Verdict::SynchronisationFailure { auts: make_auts(&self.keys, rand, sqn_ms), sqn, sqn_ms };
        }
        self.accepted[slot(sqn)] = sqn;
        Verdict::Accepted { res: out.res, ck: out.ck, ik: out.ik, sqn }
    }

    /// SEQ_MS of all 32 slots as SQNs, for a USIM file.
    pub fn sqn_array(&self) -> [u64; 32] {
        self.accepted
    }

    /// Restores what [`Usim::sqn_array`] gave.
    pub fn set_sqn_array(&mut self, array: [u64; 32]) {
        self.accepted = array.map(|sqn| sqn & SQN_BITS);
    }

    /// SQN_MS: the highest accepted SQN.
    pub fn sqn_ms(&self) -> u64 {
        self.accepted.iter().copied().max().unwrap_or_default()
    }

    /// TS 33.102 annex C.2.1 and C.2.2.
    fn is_fresh(&self, sqn: u64) -> bool {
        let (new, highest) = (seq(sqn), seq(self.sqn_ms()));
        let jumps = new > highest && new - highest > DELTA;
        let is_old = self.age_limit.zip(highest.checked_sub(new)).is_some_and(|(limit, age)| age >= limit);
        new > seq(self.accepted[slot(sqn)]) && !jumps && !is_old
    }
}

const SLOTS: usize = 32;
/// Bits of IND within an SQN.
const IND_BITS: u32 = 5;
const SQN_BITS: u64 = (1 << 48) - 1;
/// The protection of TS 33.102 annex C.3 against a jump of the counter.
const DELTA: u64 = 1 << 28;

fn seq(sqn: u64) -> u64 {
    sqn >> IND_BITS
}

fn slot(sqn: u64) -> usize {
    (sqn % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aka::vector::{Vector, open_auts};
    use crate::aka::{K, Op, milenage::Milenage};

    const RAND: [u8; 16] = [0x5a; 16];

    /// SEQ and IND as one SQN.
    fn sqn(seq: u64, ind: u64) -> u64 {
        (seq << IND_BITS) | ind
    }

    fn keys() -> SubscriberKeys {
        let k = K([0x11; 16]);
        let opc = Milenage::opc(&k, &Op([0x22; 16]));
        SubscriberKeys::Milenage { k, opc }
    }

    fn offer(usim: &mut Usim, sqn: u64) -> Verdict {
        let autn = Vector::compute(&keys(), RAND, sqn, [0x80, 0]).autn;
        usim.authenticate(&RAND, &autn)
    }

    fn accepts(usim: &mut Usim, sqn: u64) -> bool {
        matches!(offer(usim, sqn), Verdict::Accepted { sqn: seen, .. } if seen == sqn)
    }

    #[test]
    fn a_vector_serves_once() {
        let mut usim = Usim::new(keys(), 0);
        assert!(accepts(&mut usim, sqn(1, 0)));
        assert!(!accepts(&mut usim, sqn(1, 0)));
    }

    #[test]
    fn each_slot_has_its_own_order() {
        let mut usim = Usim::new(keys(), 0);
        assert!(accepts(&mut usim, sqn(9, 1)));
        assert!(accepts(&mut usim, sqn(5, 2)), "older, but its slot has seen nothing");
        assert!(!accepts(&mut usim, sqn(5, 1)));
        let mut usim = Usim::new(keys(), 0);
        for (value, good) in [(32, true), (96, true), (64, false)] {
            assert_eq!(accepts(&mut usim, value), good, "SQN {value}");
        }
    }

    #[test]
    fn sqn_plus_one_is_another_slot() {
        let mut usim = Usim::new(keys(), 0);
        assert!(accepts(&mut usim, sqn(1, 0)));
        assert!(accepts(&mut usim, sqn(1, 0) + 1));
        assert!(!accepts(&mut usim, sqn(1, 0) + 1));
    }

    #[test]
    fn a_jump_ends_at_delta() {
        let mut usim = Usim::new(keys(), 0);
        assert!(!accepts(&mut usim, sqn(DELTA + 1, 0)));
        assert!(accepts(&mut usim, sqn(DELTA, 0)));
        assert!(accepts(&mut usim, sqn(2 * DELTA, 7)), "the jump is counted from the highest of all slots");
    }

    #[test]
    fn age_limit() {
        let mut usim = Usim::new(keys(), 0).with_age_limit(10);
        assert!(accepts(&mut usim, sqn(100, 0)));
        assert!(!accepts(&mut usim, sqn(90, 1)));
        assert!(accepts(&mut usim, sqn(91, 1)));
    }

    #[test]
    fn auts_tells_the_highest_of_all_slots() {
        let mut usim = Usim::new(keys(), 0);
        assert!(accepts(&mut usim, sqn(40, 3)));
        assert!(accepts(&mut usim, sqn(20, 4)));
        let Verdict::SynchronisationFailure { auts, sqn: seen, sqn_ms } = offer(&mut usim, sqn(20, 4)) else {
            panic!("not fresh");
        };
        assert_eq!((seen, sqn_ms, usim.sqn_ms()), (sqn(20, 4), sqn(40, 3), sqn(40, 3)));
        assert_eq!(open_auts(&keys(), &RAND, &auts).unwrap().sqn_ms, sqn(40, 3));
        assert!(open_auts(&keys(), &[0; 16], &auts).is_none());
        assert!(!accepts(&mut usim, sqn_ms));
        assert!(accepts(&mut usim, sqn_ms + 32));
    }

    #[test]
    fn every_flipped_bit_of_autn_is_seen() {
        let autn = Vector::compute(&keys(), RAND, sqn(1, 0), [0x80, 0]).autn;
        for bit in 0..128 {
            let mut bad = autn;
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut usim = Usim::new(keys(), 0);
            assert!(matches!(usim.authenticate(&RAND, &bad), Verdict::MacFailure), "bit {bit}");
            assert_eq!(usim.sqn_ms(), 0);
        }
    }

    #[test]
    fn the_array_survives_a_file() {
        let mut usim = Usim::new(keys(), 0);
        assert!(accepts(&mut usim, sqn(7, 30)));
        let mut restored = Usim::new(keys(), 0);
        restored.set_sqn_array(usim.sqn_array());
        assert!(!accepts(&mut restored, sqn(7, 30)));
        assert!(accepts(&mut restored, sqn(8, 30)));
    }
}
