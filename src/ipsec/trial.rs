//! Which key expansion an ESP packet was made with: that of TS 33.203 annex I, or a mistake that is known.
//!
//! The ICV tells the integrity key; of the encryption key, what it decrypts: padding, next header and the length of what is
//! inside must be right. Nothing here prints a key.

use super::association::{Algorithms, Encryption, Integrity};
use super::esp::{Inside, Opener};
use super::keys::{EspKey, encryption_key, integrity_key};
use crate::aka::{Ck, Ik};
use crate::ip;
use std::fmt;

/// One thing that is not as TS 33.203 annex I has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Expansion {
    /// IK is followed by its own first octets. (HMAC itself fills up with zeros: those make no difference.)
    IkAndIk,
    /// The first eight octets of IK.
    IkCut,
    /// CK is the integrity key.
    CkForIntegrity,
    /// IK is the encryption key.
    IkForEncryption,
    /// 3DES with CK and eight zero octets.
    ZeroForThird,
    /// 3DES with CK and the second half of CK again.
    SecondForThird,
    /// 3DES with CK and the first half of IK.
    IkForThird,
    /// The parts of the 3DES key in the order CK2, CK1, CK2.
    SecondFirst,
    /// The salt of GCM or GMAC is zero.
    ZeroSalt,
    /// Nothing is encrypted although encryption was agreed on.
    NotEncrypted,
}

impl fmt::Display for Expansion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IkAndIk => "integrity key IK filled up with octets of IK",
            Self::IkCut => "integrity key cut to eight octets",
            Self::CkForIntegrity => "integrity key made of CK",
            Self::IkForEncryption => "encryption key made of IK",
            Self::ZeroForThird => "3DES key CK1 CK2 and zeros",
            Self::SecondForThird => "3DES key CK1 CK2 CK2",
            Self::IkForThird => "3DES key CK1 CK2 IK1",
            Self::SecondFirst => "3DES key CK2 CK1 CK2",
            Self::ZeroSalt => "a salt of zeros",
            Self::NotEncrypted => "not encrypted",
        })
    }
}

/// What an ESP packet was made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fit {
    /// Of those that were tried.
    pub algorithms: Algorithms,
    /// Nothing: as TS 33.203 has it.
    pub assumptions: Vec<Expansion>,
}

/// What `esp`, from SPI to ICV, was made with: the pairs one after the other, each with every expansion. `None`: nothing
/// that is known. Of an integrity key that fits and an encryption key that none fits, `None` as well.
pub fn of_esp(esp: &[u8], pairs: &[Algorithms], ck: &Ck, ik: &Ik) -> Option<Fit> {
    let fits = pairs.iter().flat_map(|&algorithms| {
        let ciphers = encryption_keys(algorithms.encryption, ck, ik);
        integrity_keys(algorithms.integrity, ck, ik).into_iter().flat_map(move |(integrity_by, integrity)| {
            let mut fits = Vec::new();
            for (cipher_by, cipher) in &ciphers {
                let is_clear = *cipher_by == Some(Expansion::NotEncrypted);
                let encryption = if is_clear { Encryption::Null } else { algorithms.encryption };
                let tried = Algorithms { encryption, ..algorithms };
                if Opener::new(tried, cipher, &integrity).is_some_and(|opener| opens(&opener, esp)) {
                    let assumptions = integrity_by.into_iter().chain(*cipher_by).collect();
                    fits.push(Fit { algorithms, assumptions });
                }
            }
            fits
        })
    });
    fits.min_by_key(|fit| fit.assumptions.len())
}

fn opens(opener: &Opener, esp: &[u8]) -> bool {
    let mut clear = zeroize::Zeroizing::new(Vec::new());
    opener.open(esp, &mut clear).is_ok_and(|inside| is_plausible(&inside, &clear))
}

/// A datagram as long as it says, a segment with a whole header, or a packet (annex M).
fn is_plausible(Inside { next_header, payload }: &Inside, clear: &[u8]) -> bool {
    let Some(octets) = clear.get(payload.clone()) else { return false };
    match (*next_header, octets) {
        (ip::UDP, [_, _, _, _, high, low, ..]) => usize::from(u16::from_be_bytes([*high, *low])) == octets.len(),
        (ip::TCP, octets) => {
            octets.get(12).is_some_and(|word| (5..=octets.len() / 4).contains(&usize::from(word >> 4)))
        }
        (IP_IN_IP, [first, ..]) => first >> 4 == 4,
        (IPV6_IN_IP, [first, ..]) => first >> 4 == 6,
        _ => false,
    }
}

fn integrity_keys(algorithm: Integrity, ck: &Ck, ik: &Ik) -> Vec<(Option<Expansion>, EspKey)> {
    let mut all = vec![(None, integrity_key(algorithm, ck, ik))];
    let mut add = |by, octets: &[u8]| all.extend(EspKey::of(octets).map(|key| (Some(by), key)));
    match algorithm {
        Integrity::HmacSha1 => {
            add(Expansion::IkAndIk, &joined(&ik.0, &ik.0[..4]));
            add(Expansion::CkForIntegrity, &ck.0);
            add(Expansion::IkCut, &ik.0[..8]);
        }
        Integrity::HmacMd5 => {
            add(Expansion::CkForIntegrity, &ck.0);
            add(Expansion::IkAndIk, &joined(&ik.0, &ik.0[..4]));
            add(Expansion::IkCut, &ik.0[..8]);
        }
        Integrity::AesGmac => {
            add(Expansion::ZeroSalt, &joined(&ik.0, &[0; 4]));
            add(Expansion::CkForIntegrity, integrity_key(algorithm, ck, &Ik(ck.0)).as_slice());
        }
        Integrity::Null => {}
    }
    all
}

fn encryption_keys(algorithm: Encryption, ck: &Ck, ik: &Ik) -> Vec<(Option<Expansion>, EspKey)> {
    let mut all = vec![(None, encryption_key(algorithm, ck, ik))];
    let mut add = |by, octets: &[u8]| all.extend(EspKey::of(octets).map(|key| (Some(by), key)));
    match algorithm {
        Encryption::DesEde3Cbc => {
            add(Expansion::ZeroForThird, &joined(&ck.0, &[0; 8]));
            add(Expansion::SecondForThird, &joined(&ck.0, &ck.0[8..]));
            add(Expansion::IkForThird, &joined(&ck.0, &ik.0[..8]));
            add(Expansion::SecondFirst, &joined(&joined(&ck.0[8..], &ck.0[..8]), &ck.0[8..]));
            add(Expansion::IkForEncryption, &joined(&ik.0, &ik.0[..8]));
        }
        Encryption::AesCbc => add(Expansion::IkForEncryption, &ik.0),
        Encryption::AesGcm => add(Expansion::ZeroSalt, &joined(&ck.0, &[0; 4])),
        Encryption::Null => {}
    }
    if matches!(algorithm, Encryption::DesEde3Cbc | Encryption::AesCbc) {
        add(Expansion::NotEncrypted, &[]);
    }
    all
}

fn joined(first: &[u8], second: &[u8]) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new([first, second].concat())
}

const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::transport::write_udp;
    use crate::ip::{Upper, transport::Segment};
    use crate::ipsec::association::SaSet;
    use crate::ipsec::esp::Engine;
    use crate::random::Random;
    use std::net::SocketAddr;

    const CK: Ck = Ck([0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 1, 2, 3, 4, 5, 6, 7, 8]);
    const IK: Ik = Ik([0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0, 1]);

    /// A REGISTER sealed by an engine that has `ck` and `ik` for its own.
    fn sealed(algorithms: Algorithms, ck: Ck, ik: Ik) -> Vec<u8> {
        let set = SaSet { algorithms, ck, ik, ..SaSet::for_tests(true) };
        let mut engine = Engine::new(Random::seeded(1));
        engine.install(&set).unwrap();
        let (from, to): (SocketAddr, SocketAddr) =
            ("10.0.0.7:31000".parse().unwrap(), "10.0.0.1:6100".parse().unwrap());
        let (mut octets, mut esp) = (Vec::new(), Vec::new());
        write_udp(&mut octets, from, to, b"REGISTER");
        let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
        engine.seal(&segment, &mut esp).unwrap();
        esp
    }

    fn pair(integrity: Integrity, encryption: Encryption) -> Algorithms {
        Algorithms { integrity, encryption }
    }

    #[test]
    fn annex_i_is_told_for_every_pair() {
        for algorithms in [
            pair(Integrity::HmacMd5, Encryption::Null),
            pair(Integrity::HmacSha1, Encryption::AesCbc),
            pair(Integrity::HmacSha1, Encryption::DesEde3Cbc),
            pair(Integrity::AesGmac, Encryption::Null),
            pair(Integrity::Null, Encryption::AesGcm),
        ] {
            let esp = sealed(algorithms, CK, IK);
            assert_eq!(of_esp(&esp, &[algorithms], &CK, &IK), Some(Fit { algorithms, assumptions: Vec::new() }));
            assert_eq!(of_esp(&esp, &[algorithms], &Ck([9; 16]), &Ik([8; 16])), None);
            for len in 0..esp.len() {
                assert_eq!(of_esp(&esp[..len], &[algorithms], &CK, &IK), None);
            }
        }
    }

    #[test]
    fn the_pair_is_found_among_several() {
        let md5 = pair(Integrity::HmacMd5, Encryption::DesEde3Cbc);
        let sha1 = pair(Integrity::HmacSha1, Encryption::AesCbc);
        let esp = sealed(sha1, CK, IK);
        assert_eq!(of_esp(&esp, &[md5, sha1], &CK, &IK).map(|fit| fit.algorithms), Some(sha1));
    }

    #[test]
    fn mistakes_are_told() {
        let sha1 = pair(Integrity::HmacSha1, Encryption::AesCbc);
        // Whoever takes CK for IK has made an SA with these keys.
        let esp = sealed(sha1, CK, Ik(CK.0));
        assert_eq!(of_esp(&esp, &[sha1], &CK, &IK).unwrap().assumptions, [Expansion::CkForIntegrity]);
        let esp = sealed(sha1, Ck(IK.0), IK);
        assert_eq!(of_esp(&esp, &[sha1], &CK, &IK).unwrap().assumptions, [Expansion::IkForEncryption]);
        let esp = sealed(sha1, Ck(IK.0), Ik(CK.0));
        let both = [Expansion::CkForIntegrity, Expansion::IkForEncryption];
        assert_eq!(of_esp(&esp, &[sha1], &CK, &IK).unwrap().assumptions, both);
        let des = pair(Integrity::HmacSha1, Encryption::DesEde3Cbc);
        let halves = Ck(std::array::from_fn(|i| CK.0[(i + 8) % 16]));
        let esp = sealed(des, halves, IK);
        assert_eq!(of_esp(&esp, &[des], &CK, &IK).unwrap().assumptions, [Expansion::SecondFirst]);
        let esp = sealed(pair(Integrity::HmacSha1, Encryption::Null), CK, IK);
        assert_eq!(of_esp(&esp, &[sha1], &CK, &IK).unwrap().assumptions, [Expansion::NotEncrypted]);
    }

    /// Every key of the list opens what it sealed: the third part of a 3DES key is not CK1.
    #[test]
    fn expansions_of_3des_differ() {
        let keys = encryption_keys(Encryption::DesEde3Cbc, &CK, &IK);
        for (at, (by, key)) in keys.iter().enumerate() {
            assert!(keys[..at].iter().all(|(_, other)| other != key), "{by:?}");
        }
        assert_eq!(keys.len(), 7);
    }
}
