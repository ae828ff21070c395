//! The USIM: what a UE does with a challenge (TS 33.102 clause 6.3.3, annex C).

use super::vector::SubscriberKeys;
use super::{Ck, Ik, Xres};

/// A USIM: keys and the array of sequence numbers.
#[derive(Clone, Debug)]
pub struct Usim {
    keys: SubscriberKeys,
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
    /// A USIM whose highest accepted SQN is `sqn` in every slot.
    pub fn new(keys: SubscriberKeys, _sqn: u64) -> Self {
        Self { keys }
    }

    /// Judges a challenge and, when it is accepted, remembers its SQN (TS 33.102 annex C.2).
    pub fn authenticate(&mut self, _rand: &[u8; 16], _autn: &[u8; 16]) -> Verdict {
        let _ = &self.keys;
        todo!()
    }

    /// SEQ_MS of all 32 slots as SQNs, for a USIM file.
    pub fn sqn_array(&self) -> [u64; 32] {
        todo!()
    }

    /// Restores what [`Usim::sqn_array`] gave.
    pub fn set_sqn_array(&mut self, _array: [u64; 32]) {
        todo!()
    }

    /// SQN_MS: the highest accepted SQN.
    pub fn sqn_ms(&self) -> u64 {
        todo!()
    }
}
