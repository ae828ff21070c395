//! Key expansion of TS 33.203 annex I: from CK and IK to the keys of ESP.

use super::association::{Encryption, Integrity};
use crate::aka::{Ck, Ik};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key of ESP. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EspKey(Vec<u8>);

impl EspKey {
    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for EspKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EspKey({} octets)", self.0.len())
    }
}

/// The integrity key; for `aes-gmac` the AES key followed by the salt of four octets.
pub fn integrity_key(_algorithm: Integrity, _ck: &Ck, _ik: &Ik) -> EspKey {
    todo!()
}

/// The encryption key; for `aes-gcm` the AES key followed by the salt of four octets.
pub fn encryption_key(_algorithm: Encryption, _ck: &Ck, _ik: &Ik) -> EspKey {
    todo!()
}
