//! The algorithms with their keys: prepared once, when a set is installed, and used on every packet of its four SAs.

use super::Drop;
use crate::ipsec::association::{Algorithms, Encryption, Integrity, SaSet};
use crate::ipsec::keys::{EspKey, encryption_key, integrity_key};
use aes::{Aes128, Aes128Enc};
use aes_gcm::AesGcm;
use aes_gcm::aead::AeadInOut;
use cbc::cipher::consts::U12;
use cbc::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
};
use des::TdesEde3;
use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;

/// Both algorithms of a pair. What is large is boxed, so that a set without encryption pays for none.
pub(super) enum Transform {
    /// RFC 2403 and RFC 2404 with RFC 2410, RFC 3602 or RFC 2451.
    Separate(Authenticator, Cipher),
    /// RFC 4106.
    Gcm(Box<Combined>),
    /// RFC 4543.
    Gmac(Box<Combined>),
}

pub(super) enum Authenticator {
    Md5(Box<Hmac<Md5>>),
    Sha1(Box<Hmac<Sha1>>),
}

pub(super) enum Cipher {
    Null,
    Aes(Box<Aes128>),
    TripleDes(Box<TdesEde3>),
}

pub(super) struct Combined {
    cipher: AesGcm<Aes128Enc, U12>,
    salt: [u8; 4],
}

impl std::ops::Drop for Combined {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.salt);
    }
}

impl Transform {
    /// `None` for a pair that TS 33.203 does not have.
    pub(super) fn new(set: &SaSet) -> Option<Self> {
        let SaSet { algorithms, ck, ik, .. } = set;
        let integrity = integrity_key(algorithms.integrity, ck, ik);
        let encryption = encryption_key(algorithms.encryption, ck, ik);
        Self::of(*algorithms, &encryption, &integrity)
    }

    /// `None` for a pair that TS 33.203 does not have. The keys have the lengths that the algorithms take.
    pub(super) fn of(algorithms: Algorithms, encryption: &EspKey, integrity: &EspKey) -> Option<Self> {
        if !algorithms.is_valid() {
            return None;
        }
        let authenticator = match algorithms.integrity {
            Integrity::HmacMd5 => Authenticator::Md5(Box::new(mac(integrity))),
            Integrity::HmacSha1 => Authenticator::Sha1(Box::new(mac(integrity))),
            Integrity::AesGmac => return Some(Self::gmac(integrity)),
            Integrity::Null => return Some(Self::gcm(encryption)),
        };
        let cipher = match algorithms.encryption {
            Encryption::AesCbc => Cipher::Aes(Box::new(keyed(encryption))),
            Encryption::DesEde3Cbc => Cipher::TripleDes(Box::new(keyed(encryption))),
            Encryption::Null | Encryption::AesGcm => Cipher::Null,
        };
        Some(Self::Separate(authenticator, cipher))
    }

    pub(super) fn gcm(key: &EspKey) -> Self {
        Self::Gcm(Combined::new(key))
    }

    pub(super) fn gmac(key: &EspKey) -> Self {
        Self::Gmac(Combined::new(key))
    }

    pub(super) const fn shape(&self) -> Shape {
        match self {
            Self::Separate(_, Cipher::Null) => Shape { iv: 0, block: 4, icv: 12 },
            Self::Separate(_, Cipher::TripleDes(_)) => Shape { iv: 8, block: 8, icv: 12 },
            Self::Separate(_, Cipher::Aes(_)) => Shape { iv: 16, block: 16, icv: 12 },
            Self::Gcm(_) | Self::Gmac(_) => Shape { iv: 8, block: 4, icv: 16 },
        }
    }

    /// True where the IV is a counter, not random octets.
    pub(super) const fn counts(&self) -> bool {
        matches!(self, Self::Gcm(_) | Self::Gmac(_))
    }

    /// `packet` holds SPI, sequence number, IV, and the payload with its trailer in clear. Encrypts it in place and
    /// appends the ICV.
    pub(super) fn seal(&self, packet: &mut Vec<u8>, start: usize) {
        let Shape { iv, .. } = self.shape();
        match self {
            Self::Separate(authenticator, cipher) => {
                let (head, body) = packet[start..].split_at_mut(HEAD_LEN + iv);
                cipher.encrypt(&head[HEAD_LEN..], body);
                let icv = authenticator.icv(&packet[start..]);
                packet.extend_from_slice(&icv);
            }
            Self::Gcm(combined) => {
                let (head, body) = packet[start..].split_at_mut(HEAD_LEN + iv);
                let (associated, iv) = head.split_at(HEAD_LEN);
                let tag = combined.tag(iv, associated, body);
                packet.extend_from_slice(&tag);
            }
            Self::Gmac(combined) => {
                let whole = &packet[start..];
                let tag = combined.tag(&whole[HEAD_LEN..HEAD_LEN + iv], whole, &mut []);
                packet.extend_from_slice(&tag);
            }
        }
    }

    /// Checks the ICV of a packet whose length fits [`Shape`], and then appends payload and trailer to `out` as they are.
    pub(super) fn verify(&self, packet: &[u8], out: &mut Vec<u8>) -> Result<(), Drop> {
        let Shape { iv, icv, .. } = self.shape();
        let (covered, icv) = packet.split_at(packet.len() - icv);
        let (head, body) = covered.split_at(HEAD_LEN + iv);
        let (associated, iv) = head.split_at(HEAD_LEN);
        match self {
            Self::Separate(authenticator, _) => {
                authenticator.verify(covered, icv)?;
                out.extend_from_slice(body);
                Ok(())
            }
            Self::Gcm(combined) => {
                let start = out.len();
                out.extend_from_slice(body);
                combined.verify(iv, associated, &mut out[start..], icv)
            }
            Self::Gmac(combined) => {
                combined.verify(iv, covered, &mut [], icv)?;
                out.extend_from_slice(body);
                Ok(())
            }
        }
    }

    /// After [`Transform::verify`]: what is still encrypted of `body`. GCM decrypts as it verifies.
    pub(super) fn decrypt(&self, iv: &[u8], body: &mut [u8]) {
        if let Self::Separate(_, cipher) = self {
            cipher.decrypt(iv, body);
        }
    }

    /// What [`Transform::verify`] and [`Transform::decrypt`] append, whatever the ICV says. `None` for GCM, which gives
    /// nothing out under a wrong tag.
    pub(super) fn open_unverified(&self, packet: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let Shape { iv, icv, .. } = self.shape();
        let body = &packet[HEAD_LEN + iv..packet.len() - icv];
        let start = out.len();
        if matches!(self, Self::Gcm(_)) {
            return None;
        }
        out.extend_from_slice(body);
        self.decrypt(&packet[HEAD_LEN..HEAD_LEN + iv], &mut out[start..]);
        Some(())
    }
}

impl Authenticator {
    fn icv(&self, covered: &[u8]) -> [u8; 12] {
        match self {
            Self::Md5(mac) => first_96_bits(&(**mac).clone().chain_update(covered).finalize().into_bytes()),
            Self::Sha1(mac) => first_96_bits(&(**mac).clone().chain_update(covered).finalize().into_bytes()),
        }
    }

    fn verify(&self, covered: &[u8], icv: &[u8]) -> Result<(), Drop> {
        let good = match self {
            Self::Md5(mac) => (**mac).clone().chain_update(covered).verify_truncated_left(icv),
            Self::Sha1(mac) => (**mac).clone().chain_update(covered).verify_truncated_left(icv),
        };
        good.map_err(|_| Drop::Icv)
    }
}

impl Cipher {
    pub(super) fn encrypt(&self, iv: &[u8], body: &mut [u8]) {
        match self {
            Self::Null => {}
            Self::Aes(cipher) => encrypt_cbc(&**cipher, iv, body),
            Self::TripleDes(cipher) => encrypt_cbc(&**cipher, iv, body),
        }
    }

    pub(super) fn decrypt(&self, iv: &[u8], body: &mut [u8]) {
        match self {
            Self::Null => {}
            Self::Aes(cipher) => decrypt_cbc(&**cipher, iv, body),
            Self::TripleDes(cipher) => decrypt_cbc(&**cipher, iv, body),
        }
    }
}

impl Combined {
    /// The AES key is followed by the salt.
    fn new(key: &EspKey) -> Box<Self> {
        let (key, salt) = key.as_slice().split_last_chunk().expect("the key of GCM and GMAC ends with its salt");
        let cipher = AesGcm::new_from_slice(key).expect("CK and IK are AES keys of 128 bits");
        Box::new(Self { cipher, salt: *salt })
    }

    fn nonce(&self, iv: &[u8]) -> Array<u8, U12> {
        let mut nonce = Array::default();
        nonce[..4].copy_from_slice(&self.salt);
        nonce[4..].copy_from_slice(iv);
        nonce
    }

    fn tag(&self, iv: &[u8], associated: &[u8], body: &mut [u8]) -> [u8; 16] {
        let tag = self.cipher.encrypt_inout_detached(&self.nonce(iv), associated, body.into());
        tag.expect("a packet is far shorter than what GCM may encrypt").into()
    }

    fn verify(&self, iv: &[u8], associated: &[u8], body: &mut [u8], icv: &[u8]) -> Result<(), Drop> {
        let tag = icv.try_into().expect("the shape of GCM and GMAC has 16 octets of ICV");
        self.cipher.decrypt_inout_detached(&self.nonce(iv), associated, body.into(), tag).map_err(|_| Drop::Icv)
    }
}

/// How long the fields are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) iv: usize,
    /// Payload, padding and the two octets of trailer fill whole blocks.
    pub(super) block: usize,
    pub(super) icv: usize,
}

/// The most octets that ESP in transport mode adds to a segment.
pub fn overhead(algorithms: Algorithms) -> usize {
    let (iv, block, icv) = match (algorithms.integrity, algorithms.encryption) {
        (Integrity::AesGmac, _) | (_, Encryption::AesGcm) => (8, 4, 16),
        (_, Encryption::Null) => (0, 4, 12),
        (_, Encryption::DesEde3Cbc) => (8, 8, 12),
        (_, Encryption::AesCbc) => (16, 16, 12),
    };
    HEAD_LEN + iv + (block - 1) + TRAILER_LEN + icv
}

fn mac<M: Mac + KeyInit>(key: &EspKey) -> M {
    M::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length")
}

fn keyed<C: KeyInit>(key: &EspKey) -> C {
    C::new_from_slice(key.as_slice()).expect("key expansion gives as many octets as the cipher takes")
}

fn encrypt_cbc<C>(cipher: &C, iv: &[u8], body: &mut [u8])
where
    C: BlockCipherEncrypt,
{
    let iv = iv.try_into().expect("the IV is one block");
    let (blocks, rest) = Array::slice_as_chunks_mut(body);
    debug_assert!(rest.is_empty(), "the trailer ends at a block");
    cbc::Encryptor::inner_iv_init(cipher, iv).encrypt_blocks(blocks);
}

fn decrypt_cbc<C>(cipher: &C, iv: &[u8], body: &mut [u8])
where
    C: BlockCipherDecrypt,
{
    let iv = iv.try_into().expect("the IV is one block");
    let (blocks, rest) = Array::slice_as_chunks_mut(body);
    debug_assert!(rest.is_empty(), "lengths are checked before");
    cbc::Decryptor::inner_iv_init(cipher, iv).decrypt_blocks(blocks);
}

fn first_96_bits(mac: &[u8]) -> [u8; 12] {
    *mac.first_chunk().expect("MD5 and SHA-1 are longer")
}

/// SPI and sequence number.
pub(super) const HEAD_LEN: usize = 8;
/// Pad length and next header.
pub(super) const TRAILER_LEN: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// What keys cost is told in docs/ipsec.md.
    #[test]
    fn prepared_keys_are_small() {
        let sizes = [
            size_of::<Hmac<Md5>>(),
            size_of::<Hmac<Sha1>>(),
            size_of::<Aes128>(),
            size_of::<TdesEde3>(),
            size_of::<Combined>(),
        ];
        let most = [128, 144, 720, 384, 800];
        assert!(sizes.iter().zip(most).all(|(size, most)| *size <= most), "{sizes:?}");
    }
}
