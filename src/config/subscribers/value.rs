//! The leaves of subscriber files.

use super::common::Algorithm as AkaAlgorithm;
use crate::aka::digest::Algorithm;
use crate::aka::{Ha1, Password};
use crate::config::keys::KeyText;
use crate::config::read::Leaf;
use crate::config::value::HOST;
use crate::hss::store::AccessAddress;
use crate::identity::Impi;

pub(in crate::config) const IMSI: Leaf<Box<str>> = Leaf {
    read: |t| ((6..=15).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.into()),
    expected: "6 to 15 digits",
};

/// With `+`, whether it was written or not.
pub(in crate::config) const MSISDN: Leaf<Box<str>> = Leaf {
    read: |t| {
        let digits = t.strip_prefix('+').unwrap_or(t);
        let sound = (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| format!("+{digits}").into())
    },
    expected: "+ and 3 to 15 digits",
};

pub(in crate::config) const IMPI: Leaf<Impi> = Leaf {
    read: |t| {
        let (user, realm) = t.rsplit_once('@')?;
        let sound = !user.is_empty() && (HOST.read)(realm).is_some() && !realm.is_empty() && is_plain(t);
        sound.then(|| Impi::from(t))
    },
    expected: "user@realm",
};

pub(in crate::config) const IMPU: Leaf<Box<str>> = Leaf {
    read: |t| {
        let rest = t.strip_prefix("sip:").or_else(|| t.strip_prefix("tel:"))?;
        (!rest.is_empty() && !rest.contains('!') && is_plain(t)).then(|| t.into())
    },
    expected: "a SIP or tel URI without wildcard",
};

/// Fit for a header field and for XML without quoting.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\",".contains(&b))
}

pub(in crate::config) const KEY_16: Leaf<KeyText> =
    Leaf { read: |t| KeyText::read(t, 16), expected: "32 hexadecimal digits" };

pub(in crate::config) const KEY_32: Leaf<KeyText> =
    Leaf { read: |t| KeyText::read(t, 32), expected: "64 hexadecimal digits" };

/// TUAK has long ones too; for the other algorithms the length is looked at when the algorithm is known.
pub(in crate::config) const KEY_K: Leaf<KeyText> =
    Leaf { read: |t| KeyText::read(t, 16).or_else(|| KeyText::read(t, 32)), expected: "32 hexadecimal digits" };

pub(super) const ALGORITHM: Leaf<AkaAlgorithm> = Leaf {
    read: |t| match t {
        "milenage" => Some(AkaAlgorithm::Milenage),
        "tuak" => Some(AkaAlgorithm::Tuak),
        "xor" => Some(AkaAlgorithm::Xor),
        _ => None,
    },
    expected: "milenage, tuak or xor",
};

pub(in crate::config) const RES_LEN: Leaf<u8> =
    Leaf { read: |t| t.parse().ok().filter(|n| matches!(n, 4 | 8 | 16 | 32)), expected: "4, 8, 16 or 32 octets" };

pub(in crate::config) const ITERATIONS: Leaf<u8> =
    Leaf { read: |t| t.parse().ok().filter(|n| *n > 0), expected: "a number from 1 to 255" };

pub(in crate::config) const AMF: Leaf<[u8; 2]> = Leaf {
    read: |t| {
        let sound = t.len() == 4 && t.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| u16::from_str_radix(t, 16).ok()).flatten().map(u16::to_be_bytes)
    },
    expected: "4 hexadecimal digits",
};

pub(in crate::config) const SQN: Leaf<u64> = Leaf {
    read: |t| {
        let sound = (1..=12).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| u64::from_str_radix(t, 16).ok()).flatten()
    },
    expected: "1 to 12 hexadecimal digits",
};

pub(in crate::config) const MNC_DIGITS: Leaf<usize> =
    Leaf { read: |t| t.parse().ok().filter(|n| matches!(n, 2 | 3)), expected: "2 or 3" };

pub(in crate::config) const RANGE: Leaf<u64> = Leaf {
    read: |t| t.parse().ok().filter(|n| (1..=100_000_000).contains(n)),
    expected: "a number from 1 to 100000000",
};

pub(in crate::config) const OCTETS_16: Leaf<[u8; 16]> = Leaf { read: octets_16, expected: "32 hexadecimal digits" };

pub(in crate::config) const NONCE: Leaf<([u8; 16], [u8; 16])> = Leaf {
    read: |t| {
        let octets = data_encoding::BASE64.decode(t.as_bytes()).ok()?;
        let (rand, autn) = octets.split_at_checked(16)?;
        Some((rand.try_into().ok()?, autn.try_into().ok()?))
    },
    expected: "base64 of 32 octets, RAND and AUTN",
};

pub(in crate::config) const RESPONSE: Leaf<Box<str>> = Leaf {
    read: |t| (t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit())).then(|| t.into()),
    expected: "32 hexadecimal digits",
};

pub(in crate::config) const PASSWORD: Leaf<Password> = Leaf {
    read: |t| (!t.is_empty() && !t.chars().any(char::is_control)).then(|| Password(t.into())),
    expected: "a password in one line",
};

pub(super) const HA1: Leaf<Ha1> = Leaf {
    read: |t| (RESPONSE.read)(t).map(|hex| Ha1(hex.to_ascii_lowercase().into())),
    expected: "32 hexadecimal digits, the MD5 of username:realm:password",
};

/// Stands between quotes in credentials.
pub(in crate::config) const USERNAME: Leaf<Box<str>> = Leaf {
    read: |t| (!t.is_empty() && !t.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))).then(|| t.into()),
    expected: "a text without quotes",
};

pub(super) const QOP: Leaf<Box<str>> = Leaf {
    read: |t| match t {
        "none" => Some("".into()),
        "auth" | "auth-int" | "auth,auth-int" => Some(t.into()),
        _ => None,
    },
    expected: "auth, auth-int, \"auth,auth-int\" or none",
};

/// `None`: MD5, and a challenge does not say so.
pub(super) const DIGEST_ALGORITHM: Leaf<Option<Algorithm>> = Leaf {
    read: |t| match t {
        "unstated" => Some(None),
        "MD5" => Some(Some(Algorithm::Md5)),
        "SHA-256" => Some(Some(Algorithm::Sha256)),
        "SHA-512-256" => Some(Some(Algorithm::Sha512_256)),
        _ => None,
    },
    expected: "MD5, SHA-256, SHA-512-256 or unstated",
};

pub(super) const CHALLENGE_NONCE: Leaf<Box<str>> = USERNAME;

pub(super) const LINE: Leaf<Box<str>> = USERNAME;

pub(super) const ADDRESS: Leaf<AccessAddress> = Leaf {
    read: |t| match t.split_once('/') {
        None => AccessAddress::new(t.parse().ok()?, 128),
        Some((prefix, length)) => {
            let prefix = prefix.parse().ok().filter(std::net::IpAddr::is_ipv6)?;
            AccessAddress::new(prefix, length.parse().ok()?)
        }
    },
    expected: "an address, or an IPv6 prefix such as 2001:db8::/64",
};

fn octets_16(text: &str) -> Option<[u8; 16]> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}
