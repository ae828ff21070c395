//! The file `esp_sa` of a Wireshark profile: a line an SA, in quotes and commas.

use super::set::Candidate;
use crate::ipsec::association::{Algorithms, Encryption, Integrity};
use crate::ipsec::esp::Opener;
use crate::ipsec::keys::EspKey;
use crate::trace::OpenedBy;

/// What a file of keys held.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFile {
    /// SAs whose keys are known now.
    pub added: usize,
    /// Lines that were not understood.
    pub ignored: Vec<IgnoredLine>,
}

/// A line of a file of keys that was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IgnoredLine {
    /// From 1.
    pub line: usize,
    /// Why.
    pub reason: &'static str,
}

/// An SA of the file. Its addresses are not looked at: the ICV tells whether a packet is under its key.
pub(super) struct Line {
    /// `None` for all.
    pub(super) spi: Option<u32>,
    pub(super) candidate: Candidate,
}

pub(super) fn read(text: &str) -> (Vec<Line>, KeyFile) {
    let (mut lines, mut ignored) = (Vec::new(), Vec::new());
    for (at, text) in text.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match line(text) {
            Ok(line) => lines.push(line),
            Err(reason) => ignored.push(IgnoredLine { line: at + 1, reason }),
        }
    }
    let added = lines.len();
    (lines, KeyFile { added, ignored })
}

/// Protocol, source, destination, SPI, encryption, its key, authentication, its key.
fn line(text: &str) -> Result<Line, &'static str> {
    let fields: Vec<&str> = text.split(',').map(|field| field.trim().trim_matches('"')).collect();
    let [_, _, _, spi, encryption, encryption_key, integrity, integrity_key, ..] = fields[..] else {
        return Err("less than eight fields");
    };
    let spi = match spi {
        "*" | "0x*" => None,
        spi => Some(number(spi).ok_or("the SPI is no number")?),
    };
    let encryption = match encryption.split(' ').next() {
        Some("NULL") => Encryption::Null,
        Some("TripleDES-CBC") => Encryption::DesEde3Cbc,
        Some("AES-CBC") => Encryption::AesCbc,
        Some("AES-GCM") => Encryption::AesGcm,
        _ => return Err("an encryption that TS 33.203 does not have"),
    };
    let (integrity, is_judged) = match integrity.split(' ').next() {
        // GCM authenticates by itself.
        Some("NULL") if encryption == Encryption::AesGcm => (Integrity::Null, true),
        Some("ANY") if encryption == Encryption::AesGcm => (Integrity::Null, true),
        Some("HMAC-MD5-96") => (Integrity::HmacMd5, true),
        Some("HMAC-SHA-1-96") => (Integrity::HmacSha1, true),
        Some("AES-GMAC") => (Integrity::AesGmac, true),
        Some("ANY") if integrity.starts_with("ANY 96 bit") => (Integrity::HmacSha1, false),
        _ => return Err("an authentication that TS 33.203 does not have"),
    };
    let encryption_key = key(encryption_key)?;
    let integrity_key = match (integrity, is_judged) {
        (Integrity::Null, _) => key("")?,
        // Any key will do: what it makes is not looked at.
        (_, false) => key("0x00")?,
        _ => key(integrity_key)?,
    };
    let algorithms = Algorithms { integrity, encryption };
    if Opener::new(algorithms, &encryption_key, &integrity_key).is_none() {
        return Err("keys whose lengths are not those of the algorithms");
    }
    let mut candidate = Candidate::new(algorithms, encryption_key, integrity_key, OpenedBy::KeyFile);
    candidate.is_judged = is_judged;
    Ok(Line { spi, candidate })
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn key(text: &str) -> Result<EspKey, &'static str> {
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let octets =
        data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|_| "a key that is not hexadecimal")?;
    let octets = zeroize::Zeroizing::new(octets);
    EspKey::of(&octets).ok_or("a key longer than any of TS 33.203")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::esp_sa;
    use crate::ipsec::association::SaSet;

    #[test]
    fn what_we_write_is_read() {
        for (integrity, encryption) in [
            (Integrity::HmacMd5, Encryption::Null),
            (Integrity::HmacSha1, Encryption::AesCbc),
            (Integrity::HmacMd5, Encryption::DesEde3Cbc),
            (Integrity::Null, Encryption::AesGcm),
        ] {
            let set = SaSet { algorithms: Algorithms { integrity, encryption }, ..SaSet::for_tests(true) };
            let (lines, file) = read(&esp_sa(&set).unwrap());
            assert_eq!(file, KeyFile { added: 4, ignored: Vec::new() });
            assert!(lines.iter().all(|line| line.candidate.algorithms == set.algorithms));
            assert_eq!(
                lines.iter().map(|line| line.spi).collect::<Vec<_>>(),
                [Some(401), Some(301), Some(300), Some(400)]
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let text = "# keys\n\n\"IPv4\",\"*\",\"*\",\"*\",\"NULL\",\"\",\"HMAC-MD5-96 [RFC2403]\",\"0x00112233\"\n\
                    \"IPv4\",\"*\",\"*\",\"7\",\"BLOWFISH-CBC [RFC2451]\",\"0x00\",\"NULL\",\"\"\n\
                    \"IPv4\",\"*\",\"*\",\"0xzz\",\"NULL\",\"\",\"HMAC-MD5-96 [RFC2403]\",\"0x00\"\n\
                    \"IPv4\",\"*\",\"*\",\"7\",\"AES-CBC [RFC3602]\",\"0x00\",\"HMAC-MD5-96 [RFC2403]\",\"0x00\"\nnonsense\n";
        let (lines, file) = read(text);
        assert_eq!((lines.len(), lines[0].spi), (1, None));
        assert_eq!(file.ignored.iter().map(|ignored| ignored.line).collect::<Vec<_>>(), [4, 5, 6, 7]);
    }
}
