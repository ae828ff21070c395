//! Authentication vectors, SQN and AUTS on the side of the home network.

use super::{Ck, Ik, K, Opc, Xres};

/// What the AuC and the USIM share: algorithm and keys. `Debug` shows the algorithm only.
#[derive(Clone, Debug)]
pub enum SubscriberKeys {
    /// TS 35.206.
    Milenage {
        /// Subscriber key.
        k: K,
        /// Operator value.
        opc: Opc,
    },
    /// TS 35.231; K of 16 or 32 octets.
    Tuak(Box<super::tuak::TuakKeys>),
    /// TS 34.108 clause 8.1.2.
    Xor {
        /// Subscriber key.
        k: K,
    },
}

/// All functions of one RAND, whatever the algorithm.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of TS 33.102")]
pub struct Outputs {
    pub res: Xres,
    pub ck: Ck,
    pub ik: Ik,
    pub ak: [u8; 6],
}

impl SubscriberKeys {
    /// MAC-A.
    pub fn mac_a(&self, _rand: &[u8; 16], _sqn: u64, _amf: [u8; 2]) -> [u8; 8] {
        todo!()
    }

    /// MAC-S (f1* with AMF 0000).
    pub fn mac_s(&self, _rand: &[u8; 16], _sqn_ms: u64) -> [u8; 8] {
        todo!()
    }

    /// RES, CK, IK, AK.
    pub fn outputs(&self, _rand: &[u8; 16]) -> Outputs {
        todo!()
    }

    /// f5*.
    pub fn ak_star(&self, _rand: &[u8; 16]) -> [u8; 6] {
        todo!()
    }
}

/// An authentication vector of TS 33.102 clause 6.3.2.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are those of TS 33.102")]
pub struct Vector {
    pub rand: [u8; 16],
    pub autn: [u8; 16],
    pub xres: Xres,
    pub ck: Ck,
    pub ik: Ik,
}

impl Vector {
    /// Computes the vector of `rand` and `sqn` (48 bits).
    pub fn compute(_keys: &SubscriberKeys, _rand: [u8; 16], _sqn: u64, _amf: [u8; 2]) -> Self {
        todo!()
    }
}

/// The result of [`open_auts`]: SQN_MS, whose MAC-S was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resynchronisation {
    /// The highest SQN that the USIM has accepted.
    pub sqn_ms: u64,
}

/// Verifies AUTS (14 octets) for the RAND of its challenge; `None` if MAC-S is wrong.
pub fn open_auts(_keys: &SubscriberKeys, _rand: &[u8; 16], _auts: &[u8; 14]) -> Option<Resynchronisation> {
    todo!()
}
