//! Sets of SAs with other keys.

use super::SetFaultKind;
use crate::aka::{Ck, Ik};
use crate::ipsec::association::SaSet;

impl SetFaultKind {
    /// The set with other keys, where that is the fault.
    pub fn altered(self, set: &SaSet) -> Option<SaSet> {
        let flipped = |mut key: [u8; 16]| {
            key[0] ^= 1;
            key
        };
        let (ck, ik) = match self {
            Self::SwappedKeys => (Ck(set.ik.0), Ik(set.ck.0)),
            Self::WrongCk => (Ck(flipped(set.ck.0)), Ik(set.ik.0)),
            Self::WrongIk => (Ck(set.ck.0), Ik(flipped(set.ik.0))),
            Self::EndsAfter(_) | Self::Refused => return None,
        };
        Some(SaSet { ck, ik, ..set.clone() })
    }
}
