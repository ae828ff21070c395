//! The leaves of subscriber files.

use super::common::Algorithm;
use crate::config::keys::KeyText;
use crate::config::read::Leaf;
use crate::config::value::HOST;
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

pub(super) const ALGORITHM: Leaf<Algorithm> = Leaf {
    read: |t| match t {
        "milenage" => Some(Algorithm::Milenage),
        "tuak" => Some(Algorithm::Tuak),
        "xor" => Some(Algorithm::Xor),
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

fn octets_16(text: &str) -> Option<[u8; 16]> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}
