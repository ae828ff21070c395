//! What explains an ESP packet whose ICV is wrong under the keys that its receiver has.

use crate::aka::{Ck, Ik};
use crate::ipsec::association::Algorithms;
use crate::ipsec::trial::{self, Expansion};
use std::fmt;

/// How the sender of a packet came to other keys than its receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// CK and IK became keys otherwise than TS 33.203 annex I has it.
    Expanded(Expansion),
    /// The keys are right, and the algorithms are not among those of the agreement.
    OtherPair(Algorithms),
    /// They are those of another challenge.
    OtherChallenge,
}

impl Mistake {
    /// The mistake that explains a packet, from SPI to ICV, which is to be under one of the pairs `agreed`.
    pub(super) fn of(esp: &[u8], agreed: &[Algorithms], ck: &Ck, ik: &Ik) -> Option<Self> {
        if let Some(fit) = trial::of_esp(esp, agreed, ck, ik) {
            return fit.assumptions.first().map(|expansion| Self::Expanded(*expansion));
        }
        let others: Vec<Algorithms> = Algorithms::ALL.into_iter().filter(|pair| !agreed.contains(pair)).collect();
        let fit = trial::of_esp(esp, &others, ck, ik).filter(|fit| fit.assumptions.is_empty());
        fit.map(|fit| Self::OtherPair(fit.algorithms))
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expanded(expansion) => expansion.fmt(f),
            Self::OtherPair(Algorithms { integrity, encryption }) => {
                write!(f, "{} with {}", integrity.as_str(), encryption.as_str())
            }
            Self::OtherChallenge => f.write_str("CK and IK of another challenge"),
        }
    }
}
