//! Key expansion of TS 33.203 annex I: from CK and IK to the keys of ESP.

use super::association::{Encryption, Integrity};
use crate::aka::{Ck, Ik};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key of ESP. `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EspKey {
    octets: [u8; LONGEST],
    len: u8,
}

impl EspKey {
    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// A key as it stands in a file; `None` above 24 octets, which no algorithm of TS 33.203 takes.
    pub fn of(octets: &[u8]) -> Option<Self> {
        (octets.len() <= LONGEST).then(|| Self::empty().then(octets))
    }

    fn empty() -> Self {
        Self { octets: [0; LONGEST], len: 0 }
    }

    fn then(mut self, octets: &[u8]) -> Self {
        let at = usize::from(self.len);
        self.octets[at..at + octets.len()].copy_from_slice(octets);
        self.len += octets.len() as u8;
        self
    }
}

impl std::fmt::Debug for EspKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EspKey({} octets)", self.len)
    }
}

/// The integrity key; for `aes-gmac` the AES key followed by the salt of four octets.
pub fn integrity_key(algorithm: Integrity, ck: &Ck, ik: &Ik) -> EspKey {
    let key = EspKey::empty();
    match algorithm {
        Integrity::HmacMd5 => key.then(&ik.0),
        Integrity::HmacSha1 => key.then(&ik.0).then(&[0; 4]),
        Integrity::AesGmac => key.then(&ik.0).then(&salt(0x58, b"AES_GMAC_SALT", ck, ik)),
        Integrity::Null => key,
    }
}

/// The encryption key; for `aes-gcm` the AES key followed by the salt of four octets.
pub fn encryption_key(algorithm: Encryption, ck: &Ck, ik: &Ik) -> EspKey {
    let key = EspKey::empty();
    match algorithm {
        Encryption::Null => key,
        // Parity bits stay as they are.
        Encryption::DesEde3Cbc => key.then(&ck.0).then(&ck.0[..8]),
        Encryption::AesCbc => key.then(&ck.0),
        Encryption::AesGcm => key.then(&ck.0).then(&salt(0x59, b"AES_GCM_SALT", ck, ik)),
    }
}

/// The last 32 bits of the KDF of TS 33.220 annex B.2 under CK||IK.
fn salt(fc: u8, p0: &[u8], ck: &Ck, ik: &Ik) -> [u8; 4] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&ck.0);
    key[16..].copy_from_slice(&ik.0);
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).expect("HMAC takes keys of any length");
    key.zeroize();
    mac.update(&[fc]);
    mac.update(p0);
    mac.update(&(p0.len() as u16).to_be_bytes());
    let out = mac.finalize().into_bytes();
    std::array::from_fn(|i| out[28 + i])
}

/// 192 bits of triple DES.
const LONGEST: usize = 24;
