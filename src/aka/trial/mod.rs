//! Which known mistake fits: AUTN, AUTS, CK and IK, and responses, tried under K and OP or OPc as somebody typed them.
//!
//! The reasons why an authentication fails in the field are few: OP entered where OPc is wanted and the other way round, an
//! AMF of one's own, a test USIM, a response over something else than the octets of RES. Each is tried, and the one with
//! the fewest assumptions that fits is told. Nothing here prints a key.

mod assumption;
mod response;

pub use assumption::{Assumption, Fit};
pub use response::{Answer, Others, Source, of_response};

use super::milenage::Milenage;
use super::tuak::TuakKeys;
use super::vector::{Outputs, SubscriberKeys};
use super::{Ck, Ik, K, Op, Opc};
use subtle::ConstantTimeEq;

/// K with OP or OPc as they were typed. `Debug` shows no key.
#[derive(Clone, Debug)]
pub struct Typed {
    k: K,
    operator: Operator,
    /// What is typed is of TUAK, or its values: K may have 32 octets.
    tuak: Option<Box<TuakKeys>>,
}

#[derive(Clone, Debug)]
enum Operator {
    Op(Op),
    Opc(Opc),
    /// The algorithm has none, or it is of TUAK.
    None,
}

/// Keys, and what has to be assumed for them.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// `None`: they are as typed.
    pub assumption: Option<Assumption>,
    /// The keys.
    pub keys: SubscriberKeys,
}

impl Typed {
    /// K and OPc.
    pub const fn opc(k: K, opc: Opc) -> Self {
        Self { k, operator: Operator::Opc(opc), tuak: None }
    }

    /// K and OP.
    pub const fn op(k: K, op: Op) -> Self {
        Self { k, operator: Operator::Op(op), tuak: None }
    }

    /// The keys if everything typed is right.
    pub fn keys(&self) -> SubscriberKeys {
        let k = || self.k.clone();
        match (&self.operator, &self.tuak) {
            (_, Some(tuak)) => SubscriberKeys::Tuak(tuak.clone()),
            (Operator::Opc(opc), None) => SubscriberKeys::Milenage { k: k(), opc: opc.clone() },
            (Operator::Op(op), None) => SubscriberKeys::Milenage { k: k(), opc: Milenage::opc(&self.k, op) },
            (Operator::None, None) => SubscriberKeys::Xor { k: k() },
        }
    }

    /// All keys to try, those as typed first.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut all = vec![Candidate { assumption: None, keys: self.keys() }];
        let mut add = |assumption, keys| all.push(Candidate { assumption: Some(assumption), keys });
        let milenage = |k: &K, opc: Opc| SubscriberKeys::Milenage { k: k.clone(), opc };
        match &self.operator {
            Operator::Opc(opc) => {
                add(Assumption::OpcExpandedAgain, milenage(&self.k, Milenage::opc(&self.k, &Op(opc.0))));
                add(Assumption::KAndOperatorExchanged, milenage(&K(opc.0), Opc(self.k.0)));
            }
            Operator::Op(op) => {
                let opc = Milenage::opc(&self.k, op);
                add(Assumption::OpTakenAsOpc, milenage(&self.k, Opc(op.0)));
                add(Assumption::OpcExpandedAgain, milenage(&self.k, Milenage::opc(&self.k, &Op(opc.0))));
                let exchanged = K(op.0);
                let opc = Milenage::opc(&exchanged, &Op(self.k.0));
                add(Assumption::KAndOperatorExchanged, milenage(&exchanged, opc));
            }
            Operator::None => {}
        }
        if !matches!((&self.operator, &self.tuak), (Operator::None, None)) {
            add(Assumption::Xor, SubscriberKeys::Xor { k: self.k.clone() });
        }
        if let Operator::Op(Op(value)) | Operator::Opc(Opc(value)) = &self.operator {
            // TOP and TOPc have 32 octets: a tool that takes 16 fills up with zeros.
            let mut filled = zeroize::Zeroizing::new([0; 32]);
            filled[..16].copy_from_slice(value);
            let made = [
                TuakKeys::with_top(&self.k.0, *filled, RES_OF_TUAK, 1),
                TuakKeys::new(&self.k.0, *filled, RES_OF_TUAK, 1),
            ];
            for keys in made.into_iter().flatten() {
                add(Assumption::Tuak, SubscriberKeys::Tuak(Box::new(keys)));
            }
        }
        all
    }
}

/// What is given is OPc: which OP it came from cannot be told.
impl From<&SubscriberKeys> for Typed {
    fn from(keys: &SubscriberKeys) -> Self {
        match keys {
            SubscriberKeys::Milenage { k, opc } => Self::opc(k.clone(), opc.clone()),
            SubscriberKeys::Xor { k } => Self { k: k.clone(), operator: Operator::None, tuak: None },
            SubscriberKeys::Tuak(tuak) => {
                Self { k: K(tuak.first_half_of_k()), operator: Operator::None, tuak: Some(tuak.clone()) }
            }
        }
    }
}

/// What AUTN was made with (TS 33.102 clause 6.3.2); its SQN. `None`: no mistake that is known.
pub fn of_autn(typed: &Typed, rand: &[u8; 16], autn: &[u8; 16]) -> Option<Fit> {
    let [concealed @ .., _, _, _, _, _, _, _, _, _, _] = *autn;
    let concealed: [u8; 6] = concealed;
    let said = [autn[6], autn[7]];
    let amfs = [said, [0x80, 0], [0x90, 1], [0, 0]];
    let mut mac = [0; 8];
    mac.copy_from_slice(&autn[8..]);
    best(typed.candidates().into_iter().flat_map(|Candidate { assumption, keys }| {
        let ak = keys.outputs(rand).ak;
        let mut found = None;
        for (at, amf) in amfs.into_iter().enumerate().filter(|(at, amf)| *at == 0 || *amf != said) {
            for (ak, in_clear) in [(ak, None), ([0; 6], Some(Assumption::SqnInClear))] {
                let sqn = sqn(concealed, ak);
                if found.is_none() && keys.mac_a(rand, sqn, amf).ct_eq(&mac).into() {
                    let amf = (at > 0).then_some(Assumption::Amf(amf));
                    let assumptions = assumption.iter().cloned().chain(amf).chain(in_clear).collect();
                    found = Some(Fit { assumptions, sqn: Some(sqn) });
                }
            }
        }
        found
    }))
}

/// What AUTS was made with (TS 33.102 clause 6.3.3), for the RAND and the AMF of its challenge; its SQN_MS.
pub fn of_auts(typed: &Typed, rand: &[u8; 16], amf: [u8; 2], auts: &[u8; 14]) -> Option<Fit> {
    let mut concealed = [0; 6];
    concealed.copy_from_slice(&auts[..6]);
    let mut mac = [0; 8];
    mac.copy_from_slice(&auts[6..]);
    let amfs = [[0, 0], amf, [0x80, 0], [0x90, 1]];
    best(typed.candidates().into_iter().flat_map(|Candidate { assumption, keys }| {
        let aks = [
            (keys.ak_star(rand), None),
            (keys.outputs(rand).ak, Some(Assumption::AkOfChallenge)),
            ([0; 6], Some(Assumption::SqnInClear)),
        ];
        let mut found: Option<Fit> = None;
        for (ak, how) in aks {
            let sqn_ms = sqn(concealed, ak);
            for (at, amf) in amfs.into_iter().enumerate() {
                // f1 instead of f1* is the same mistake in another place.
                let macs =
                    [(keys.mac_s_with(rand, sqn_ms, amf), None), (keys.mac_a(rand, sqn_ms, amf), Some(Assumption::F1))];
                for (made, f1) in macs {
                    if found.is_none() && made.ct_eq(&mac).into() {
                        let amf = (at > 0).then_some(Assumption::Amf(amf));
                        let assumptions = assumption.iter().cloned().chain(amf).chain(how.clone()).chain(f1).collect();
                        found = Some(Fit { assumptions, sqn: Some(sqn_ms) });
                    }
                }
            }
        }
        found
    }))
}

/// What CK and IK of a challenge, as a trace or a table of SAs shows them, were made with.
pub fn of_keys(typed: &Typed, rand: &[u8; 16], ck: &Ck, ik: &Ik) -> Option<Fit> {
    best(typed.candidates().into_iter().filter_map(|Candidate { assumption, keys }| {
        let Outputs { ck: made_ck, ik: made_ik, .. } = keys.outputs(rand);
        let exchanged = match (made_ck == *ck && made_ik == *ik, made_ck.0 == ik.0 && made_ik.0 == ck.0) {
            (true, _) => None,
            (false, true) => Some(Assumption::CkAndIkExchanged),
            (false, false) => return None,
        };
        Some(Fit { assumptions: assumption.into_iter().chain(exchanged).collect(), sqn: None })
    }))
}

/// The one with the fewest assumptions; of several, the first.
fn best(fits: impl Iterator<Item = Fit>) -> Option<Fit> {
    fits.min_by_key(|fit| fit.assumptions.len())
}

fn sqn(concealed: [u8; 6], ak: [u8; 6]) -> u64 {
    concealed.iter().zip(ak).fold(0, |sqn, (octet, ak)| sqn << 8 | u64::from(octet ^ ak))
}

/// Octets of RES where nobody tells (TS 35.231 leaves 4 to 32).
const RES_OF_TUAK: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aka::vector::{Vector, open_auts};
    use data_encoding::HEXLOWER;

    /// Set 1 of TS 35.208.
    fn set() -> (K, Op, Opc, [u8; 16], u64) {
        let octets = |text: &str| <[u8; 16]>::try_from(HEXLOWER.decode(text.as_bytes()).unwrap()).unwrap();
        (
            K(octets("465b5ce8b199b49faa5f0a2ee238a6bc")),
            Op(octets("cdc202d5123e20f62b6d676ac72cb318")),
            Opc(octets("cd63cb71954a9f4e48a5994e37a02baf")),
            octets("23553cbe9637a89d218ae64dae47bf35"),
            0xff9b_b4d0_b607,
        )
    }

    fn autn(keys: &SubscriberKeys, amf: [u8; 2]) -> [u8; 16] {
        let (.., rand, sqn) = set();
        Vector::compute(keys, rand, sqn, amf).autn
    }

    fn milenage(opc: Opc) -> SubscriberKeys {
        SubscriberKeys::Milenage { k: set().0, opc }
    }

    #[test]
    fn autn_of_ts_35_208_and_its_mistakes() {
        let (k, op, opc, rand, sqn) = set();
        let (with_opc, with_op) = (Typed::opc(k.clone(), opc.clone()), Typed::op(k.clone(), op.clone()));
        let right = autn(&milenage(opc.clone()), [0xb9, 0xb9]);
        assert_eq!(HEXLOWER.encode(&right), "55f328b43577b9b94a9ffac354dfafb3");
        for typed in [&with_opc, &with_op] {
            let fit = of_autn(typed, &rand, &right).unwrap();
            assert_eq!((fit.assumptions.as_slice(), fit.sqn), (&[][..], Some(sqn)));
        }
        let twice = Milenage::opc(&k, &Op(opc.0));
        let cases = [
            (&with_op, milenage(Opc(op.0)), Assumption::OpTakenAsOpc),
            (&with_op, milenage(twice.clone()), Assumption::OpcExpandedAgain),
            (&with_opc, milenage(twice), Assumption::OpcExpandedAgain),
            (&with_opc, SubscriberKeys::Xor { k: k.clone() }, Assumption::Xor),
            (&with_opc, SubscriberKeys::Milenage { k: K(opc.0), opc: Opc(k.0) }, Assumption::KAndOperatorExchanged),
        ];
        for (typed, keys, assumption) in cases {
            let fit = of_autn(typed, &rand, &autn(&keys, [0x80, 0])).unwrap();
            assert_eq!((fit.assumptions, fit.sqn), (vec![assumption], Some(sqn)));
        }
        assert_eq!(of_autn(&with_opc, &rand, &autn(&milenage(Opc([7; 16])), [0x80, 0])), None);
    }

    #[test]
    fn an_amf_other_than_in_autn_and_an_sqn_in_clear() {
        let (k, _, opc, rand, sqn) = set();
        let typed = Typed::opc(k, opc.clone());
        let keys = milenage(opc);
        for amf in [[0x80, 0], [0x90, 1], [0, 0]] {
            let mut autn = autn(&keys, amf);
            autn[6..8].copy_from_slice(&[0x12, 0x34]);
            let fit = of_autn(&typed, &rand, &autn).unwrap();
            assert_eq!((fit.assumptions, fit.sqn), (vec![Assumption::Amf(amf)], Some(sqn)));
        }
        let mut autn = autn(&keys, [0x80, 0]);
        autn[..6].copy_from_slice(&sqn.to_be_bytes()[2..]);
        assert_eq!(of_autn(&typed, &rand, &autn).unwrap().assumptions, [Assumption::SqnInClear]);
    }

    #[test]
    fn auts_and_its_mistakes() {
        let (k, op, opc, rand, _) = set();
        let typed = Typed::op(k, op.clone());
        let keys = milenage(opc);
        let sqn_ms = 0x20_0040;
        let make = |keys: &SubscriberKeys, ak: [u8; 6], mac: [u8; 8]| {
            let _ = keys;
            let mut auts = [0; 14];
            for (to, (octet, ak)) in auts.iter_mut().zip(u64::to_be_bytes(sqn_ms)[2..].iter().zip(ak)) {
                *to = octet ^ ak;
            }
            auts[6..].copy_from_slice(&mac);
            auts
        };
        let right = make(&keys, keys.ak_star(&rand), keys.mac_s(&rand, sqn_ms));
        assert_eq!(open_auts(&keys, &rand, &right).unwrap().sqn_ms, sqn_ms);
        let fit = |auts| of_auts(&typed, &rand, [0x80, 0], &auts).unwrap();
        assert_eq!((fit(right).assumptions, fit(right).sqn), (vec![], Some(sqn_ms)));
        let amf = make(&keys, keys.ak_star(&rand), keys.mac_s_with(&rand, sqn_ms, [0x80, 0]));
        assert_eq!(fit(amf).assumptions, [Assumption::Amf([0x80, 0])]);
        let ak = make(&keys, keys.outputs(&rand).ak, keys.mac_s(&rand, sqn_ms));
        assert_eq!(fit(ak).assumptions, [Assumption::AkOfChallenge]);
        let f1 = make(&keys, keys.ak_star(&rand), keys.mac_a(&rand, sqn_ms, [0, 0]));
        assert_eq!(fit(f1).assumptions, [Assumption::F1]);
        let other = milenage(Opc(op.0));
        let other = make(&other, other.ak_star(&rand), other.mac_s(&rand, sqn_ms));
        assert_eq!(fit(other).assumptions, [Assumption::OpTakenAsOpc]);
        assert_eq!(of_auts(&typed, &rand, [0x80, 0], &[0; 14]), None);
    }

    #[test]
    fn ck_and_ik() {
        let (k, op, opc, rand, _) = set();
        let typed = Typed::op(k, op.clone());
        let right = milenage(opc).outputs(&rand);
        assert_eq!(HEXLOWER.encode(&right.ck.0), "b40ba9a3c58b2a05bbf0d987b21bf8cb");
        assert_eq!(of_keys(&typed, &rand, &right.ck, &right.ik).unwrap().assumptions, []);
        let exchanged = of_keys(&typed, &rand, &Ck(right.ik.0), &Ik(right.ck.0)).unwrap();
        assert_eq!(exchanged.assumptions, [Assumption::CkAndIkExchanged]);
        let other = milenage(Opc(op.0)).outputs(&rand);
        assert_eq!(of_keys(&typed, &rand, &other.ck, &other.ik).unwrap().assumptions, [Assumption::OpTakenAsOpc]);
        assert_eq!(of_keys(&typed, &rand, &right.ck, &Ik([0; 16])), None);
    }

    #[test]
    fn no_key_is_shown() {
        let (k, op, ..) = set();
        let typed = Typed::op(k, op);
        let shown = format!("{typed:?} {:?}", typed.candidates());
        assert!(!shown.contains("205") && !shown.contains("0x"), "{shown}");
        assert!(shown.contains("K(..)") && shown.contains("Op(..)"));
    }
}
