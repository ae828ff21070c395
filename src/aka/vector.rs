//! Authentication vectors, SQN and AUTS on the side of the home network.

use super::milenage::Milenage;
use super::tuak::TuakKeys;
use super::{Ck, Ik, K, Opc, Xres, xor};
use subtle::ConstantTimeEq;

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
    Tuak(Box<TuakKeys>),
    /// TS 34.108 clause 8.1.2.
    Xor {
        /// Subscriber key.
        k: K,
    },
}

/// All functions of one RAND, whatever the algorithm.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names are those of TS 33.102")]
pub struct Outputs {
    pub res: Xres,
    pub ck: Ck,
    pub ik: Ik,
    pub ak: [u8; 6],
}

impl SubscriberKeys {
    /// MAC-A.
    pub fn mac_a(&self, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> [u8; 8] {
        match self {
            Self::Milenage { k, opc } => Milenage::new(k, opc).f1(rand, sqn, amf).0,
            Self::Tuak(keys) => keys.f1(rand, sqn, amf),
            Self::Xor { k } => xor::f1(k, rand, sqn, amf),
        }
    }

    /// MAC-S (f1* with AMF 0000).
    pub fn mac_s(&self, rand: &[u8; 16], sqn_ms: u64) -> [u8; 8] {
        self.mac_s_with(rand, sqn_ms, [0; 2])
    }

    /// f1* with another AMF, which no AUTS should have.
    pub(super) fn mac_s_with(&self, rand: &[u8; 16], sqn_ms: u64, amf: [u8; 2]) -> [u8; 8] {
        match self {
            Self::Milenage { k, opc } => Milenage::new(k, opc).f1(rand, sqn_ms, amf).1,
            Self::Tuak(keys) => keys.f1_star(rand, sqn_ms, amf),
            Self::Xor { k } => xor::f1(k, rand, sqn_ms, amf),
        }
    }

    /// RES, CK, IK, AK.
    pub fn outputs(&self, rand: &[u8; 16]) -> Outputs {
        match self {
            Self::Milenage { k, opc } => Milenage::new(k, opc).f2345(rand).into(),
            Self::Tuak(keys) => {
                let out = keys.f2345(rand);
                Outputs { res: out.res, ck: Ck(out.ck), ik: Ik(out.ik), ak: out.ak }
            }
            Self::Xor { k } => {
                let (res, ck, ik, ak) = xor::f2345(k, rand);
                Outputs { res: Xres::new(&res).expect("16 octets"), ck, ik, ak }
            }
        }
    }

    /// f5*.
    pub fn ak_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        match self {
            Self::Milenage { k, opc } => Milenage::new(k, opc).f5_star(rand),
            Self::Tuak(keys) => keys.f5_star(rand),
            Self::Xor { k } => xor::f2345(k, rand).3,
        }
    }

    /// MAC-A and the other outputs together: with Milenage one key schedule serves all.
    fn all(&self, rand: &[u8; 16], sqn: u64, amf: [u8; 2]) -> ([u8; 8], Outputs) {
        match self {
            Self::Milenage { k, opc } => {
                let (mac_a, out) = Milenage::new(k, opc).f1_to_f5(rand, sqn, amf);
                (mac_a, out.into())
            }
            Self::Tuak(_) | Self::Xor { .. } => (self.mac_a(rand, sqn, amf), self.outputs(rand)),
        }
    }
}

impl From<super::milenage::F2345> for Outputs {
    fn from(out: super::milenage::F2345) -> Self {
        Self { res: Xres::new(&out.res).expect("eight octets"), ck: out.ck, ik: out.ik, ak: out.ak }
    }
}

impl std::fmt::Debug for Outputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outputs(..)")
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
    pub fn compute(keys: &SubscriberKeys, rand: [u8; 16], sqn: u64, amf: [u8; 2]) -> Self {
        let (mac_a, out) = keys.all(&rand, sqn, amf);
        let mut autn = [0; 16];
        autn[..6].copy_from_slice(&conceal(sqn, out.ak));
        autn[6..8].copy_from_slice(&amf);
        autn[8..].copy_from_slice(&mac_a);
        Self { rand, autn, xres: out.res, ck: out.ck, ik: out.ik }
    }
}

/// The result of [`open_autn`].
#[derive(Clone, Debug)]
pub struct OpenedAutn {
    /// SQN.
    pub sqn: u64,
    /// MAC-A is right: whoever made AUTN has the keys.
    pub is_genuine: bool,
    /// RES, CK, IK and AK of the RAND.
    pub outputs: Outputs,
}

/// Reads AUTN (TS 33.102 clause 6.3.3).
pub fn open_autn(keys: &SubscriberKeys, rand: &[u8; 16], autn: &[u8; 16]) -> OpenedAutn {
    let [a, b, c, d, e, f, amf0, amf1, mac_a @ ..] = autn;
    let outputs = keys.outputs(rand);
    let sqn = reveal([*a, *b, *c, *d, *e, *f], outputs.ak);
    let is_genuine = keys.mac_a(rand, sqn, [*amf0, *amf1]).ct_eq(mac_a).into();
    OpenedAutn { sqn, is_genuine, outputs }
}

/// The result of [`open_auts`]: SQN_MS, whose MAC-S was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resynchronisation {
    /// The highest SQN that the USIM has accepted.
    pub sqn_ms: u64,
}

/// Verifies AUTS (14 octets) for the RAND of its challenge; `None` if MAC-S is wrong.
pub fn open_auts(keys: &SubscriberKeys, rand: &[u8; 16], auts: &[u8; 14]) -> Option<Resynchronisation> {
    let [a, b, c, d, e, f, mac_s @ ..] = auts;
    let sqn_ms = reveal([*a, *b, *c, *d, *e, *f], keys.ak_star(rand));
    let right = bool::from(keys.mac_s(rand, sqn_ms).ct_eq(mac_s));
    right.then_some(Resynchronisation { sqn_ms })
}

/// AUTS for the RAND of a challenge and SQN_MS (TS 33.102 clause 6.3.3).
pub fn make_auts(keys: &SubscriberKeys, rand: &[u8; 16], sqn_ms: u64) -> [u8; 14] {
    let mut auts = [0; 14];
    auts[..6].copy_from_slice(&conceal(sqn_ms, keys.ak_star(rand)));
    auts[6..].copy_from_slice(&keys.mac_s(rand, sqn_ms));
    auts
}

/// SQN xor AK, six octets.
fn conceal(sqn: u64, ak: [u8; 6]) -> [u8; 6] {
    let sqn = sqn.to_be_bytes();
    std::array::from_fn(|i| sqn[2 + i] ^ ak[i])
}

/// The SQN of six octets that AK conceals.
fn reveal(concealed: [u8; 6], ak: [u8; 6]) -> u64 {
    let mut sqn = [0; 8];
    for (i, octet) in sqn[2..].iter_mut().enumerate() {
        *octet = concealed[i] ^ ak[i];
    }
    u64::from_be_bytes(sqn)
}
