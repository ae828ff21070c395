//! ESP packets of others, opened with a key and without a set: for whoever reads what was captured. Sequence numbers and
//! selectors are not judged here.

use super::Drop;
use super::set::trailer;
use super::transform::{HEAD_LEN, Transform};
use crate::ipsec::association::{Algorithms, Encryption, Integrity};
use crate::ipsec::keys::EspKey;
use std::fmt;
use std::ops::Range;

/// Both algorithms of an SA with their keys. `Debug` shows neither.
pub struct Opener {
    transform: Transform,
}

/// What was in an ESP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inside {
    /// The protocol of the payload.
    pub next_header: u8,
    /// Where in the buffer the payload is.
    pub payload: Range<usize>,
}

impl Opener {
    /// `None` for a pair that TS 33.203 does not have, or keys whose lengths are not those of the algorithms. A key of
    /// GCM or GMAC ends with its salt.
    pub fn new(algorithms: Algorithms, encryption: &EspKey, integrity: &EspKey) -> Option<Self> {
        let cipher_len = match algorithms.encryption {
            Encryption::Null => 0,
            Encryption::DesEde3Cbc => 24,
            Encryption::AesCbc => 16,
            Encryption::AesGcm => 20,
        };
        let key_fits = match algorithms.integrity {
            // HMAC takes any length: who made a key of another length by mistake made an SA with it.
            Integrity::HmacMd5 | Integrity::HmacSha1 => !integrity.as_slice().is_empty(),
            Integrity::AesGmac => integrity.as_slice().len() == 20,
            Integrity::Null => integrity.as_slice().is_empty(),
        };
        if encryption.as_slice().len() != cipher_len || !key_fits {
            return None;
        }
        Some(Self { transform: Transform::of(algorithms, encryption, integrity)? })
    }

    /// Opens a packet from SPI to ICV: appends payload and trailer to `out`. Under a wrong ICV, [`Drop::Icv`], `out` is as
    /// it was.
    pub fn open(&self, esp: &[u8], out: &mut Vec<u8>) -> Result<Inside, Drop> {
        self.check_length(esp)?;
        let start = out.len();
        self.transform.verify(esp, out).inspect_err(|_| out.truncate(start))?;
        self.transform.decrypt(&esp[HEAD_LEN..HEAD_LEN + self.transform.shape().iv], &mut out[start..]);
        inside(start, out)
    }

    /// As [`Opener::open`], whatever the ICV says.
    pub fn open_unverified(&self, esp: &[u8], out: &mut Vec<u8>) -> Result<Inside, Drop> {
        self.check_length(esp)?;
        let start = out.len();
        self.transform.open_unverified(esp, out).ok_or(Drop::Icv)?;
        inside(start, out)
    }

    /// Seals `content`, a protocol number and octets, into a packet with this SPI and sequence number: appends it. The IV
    /// is the caller's to choose, as long as the algorithms take. False for a payload that no packet holds.
    pub fn seal(&self, head: (u32, u32), iv: &[u8; 16], content: (u8, &[u8]), out: &mut Vec<u8>) -> bool {
        let shape = self.transform.shape();
        let start = out.len();
        if content.1.len() > usize::from(u16::MAX) {
            return false;
        }
        out.extend_from_slice(&head.0.to_be_bytes());
        out.extend_from_slice(&head.1.to_be_bytes());
        out.extend_from_slice(&iv[..shape.iv]);
        out.extend_from_slice(content.1);
        let len = content.1.len() + 2;
        let padding = len.next_multiple_of(shape.block) - len;
        out.extend((1..=padding).map(|octet| octet as u8));
        out.push(padding as u8);
        out.push(content.0);
        self.transform.seal(out, start);
        true
    }

    fn check_length(&self, esp: &[u8]) -> Result<(), Drop> {
        let shape = self.transform.shape();
        let sealed = esp.len().checked_sub(HEAD_LEN + shape.iv + shape.icv).ok_or(Drop::Length)?;
        if sealed == 0 || sealed % shape.block != 0 { Err(Drop::Length) } else { Ok(()) }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener(..)")
    }
}

/// Takes `esp` as a packet that nothing encrypts, with an ICV of `icv` octets: where its payload is, if the padding is as
/// RFC 4303 wants it.
pub fn in_clear(esp: &[u8], icv: usize) -> Option<Inside> {
    let end = esp.len().checked_sub(icv)?;
    let clear = esp.get(HEAD_LEN..end)?;
    let (len, next_header) = trailer(clear).ok()?;
    Some(Inside { next_header, payload: HEAD_LEN..HEAD_LEN + len })
}

fn inside(start: usize, out: &[u8]) -> Result<Inside, Drop> {
    let (len, next_header) = trailer(&out[start..])?;
    Ok(Inside { next_header, payload: start..start + len })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::transport::{Segment, write_udp};
    use crate::ip::{self, Upper};
    use crate::ipsec::association::SaSet;
    use crate::ipsec::esp::Engine;
    use crate::ipsec::keys::{encryption_key, integrity_key};
    use crate::random::Random;
    use std::net::SocketAddr;

    #[test]
    fn what_an_engine_seals_every_pair_opens() {
        let pairs = [Integrity::HmacMd5, Integrity::HmacSha1, Integrity::AesGmac, Integrity::Null].map(|integrity| {
            [Encryption::Null, Encryption::AesCbc, Encryption::DesEde3Cbc, Encryption::AesGcm]
                .map(|encryption| Algorithms { integrity, encryption })
        });
        let mut tried = 0;
        for algorithms in pairs.into_iter().flatten().filter(|pair| pair.is_valid()) {
            let set = SaSet { algorithms, ..SaSet::for_tests(true) };
            let mut engine = Engine::new(Random::seeded(1));
            engine.install(&set).unwrap();
            let (from, to): (SocketAddr, SocketAddr) =
                ("10.0.0.7:31000".parse().unwrap(), "10.0.0.1:6100".parse().unwrap());
            let mut octets = Vec::new();
            write_udp(&mut octets, from, to, b"REGISTER");
            let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
            let mut esp = Vec::new();
            engine.seal(&segment, &mut esp).unwrap();
            let keys = (
                encryption_key(algorithms.encryption, &set.ck, &set.ik),
                integrity_key(algorithms.integrity, &set.ck, &set.ik),
            );
            let opener = Opener::new(algorithms, &keys.0, &keys.1).unwrap();
            let mut out = b"before".to_vec();
            let inside = opener.open(&esp, &mut out).unwrap();
            assert_eq!((inside.next_header, &out[inside.payload]), (ip::UDP, &octets[..]));
            assert_eq!(
                in_clear(&esp, 12).is_some_and(|inside| esp[inside.payload] == octets),
                algorithms.encryption == Encryption::Null && algorithms.integrity != Integrity::AesGmac
            );
            // A wrong ICV is said, and hides nothing where encryption is apart from it.
            *esp.last_mut().unwrap() ^= 1;
            assert_eq!(opener.open(&esp, &mut Vec::new()), Err(Drop::Icv));
            let mut out = Vec::new();
            match opener.open_unverified(&esp, &mut out) {
                Ok(inside) => assert_eq!(out[inside.payload], octets),
                Err(reason) => assert_eq!((algorithms.encryption, reason), (Encryption::AesGcm, Drop::Icv)),
            }
            for len in 0..esp.len() {
                assert!(opener.open(&esp[..len], &mut Vec::new()).is_err());
            }
            tried += 1;
        }
        assert_eq!(tried, 8);
        let short = EspKey::of(&[1; 15]).unwrap();
        let pair = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::AesCbc };
        assert!(Opener::new(pair, &short, &short).is_none());
    }
}
