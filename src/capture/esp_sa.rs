//! Keys of ESP in the form that Wireshark and tshark read: lines of the file `esp_sa` of a Wireshark profile.

use crate::ipsec::association::{Encryption, Integrity, Mode, SaSet};
use crate::ipsec::keys::{EspKey, encryption_key, integrity_key};
use std::fmt::Write;

/// The four SAs of a set, a line each, keys in clear: for a file that its owner alone may read. `None` for aes-gmac, which
/// tshark does not know.
pub fn esp_sa(set: &SaSet) -> Option<String> {
    let integrity = match set.algorithms.integrity {
        Integrity::HmacMd5 => "HMAC-MD5-96 [RFC2403]",
        Integrity::HmacSha1 => "HMAC-SHA-1-96 [RFC2404]",
        Integrity::Null => "NULL",
        Integrity::AesGmac => return None,
    };
    let encryption = match set.algorithms.encryption {
        Encryption::Null => "NULL",
        Encryption::DesEde3Cbc => "TripleDES-CBC [RFC2451]",
        Encryption::AesCbc => "AES-CBC [RFC3602]",
        // The key is followed by the salt.
        Encryption::AesGcm => "AES-GCM with 16 octet ICV [RFC4106]",
    };
    let keys = (
        encryption_key(set.algorithms.encryption, &set.ck, &set.ik),
        integrity_key(set.algorithms.integrity, &set.ck, &set.ik),
    );
    let ue = match set.mode {
        Mode::Transport => set.ue_address,
        Mode::UdpTunnel { outer_ue } => outer_ue,
    };
    let pcscf = set.pcscf_address;
    // The receiver chose the SPI.
    let sas = [
        (ue, pcscf, set.pcscf.spi_s),
        (pcscf, ue, set.ue.spi_s),
        (pcscf, ue, set.ue.spi_c),
        (ue, pcscf, set.pcscf.spi_c),
    ];
    let mut out = String::new();
    for (source, destination, spi) in sas {
        let family = if source.is_ipv4() { "IPv4" } else { "IPv6" };
        write!(out, "\"{family}\",\"{source}\",\"{destination}\",\"0x{:08x}\",", spi.0).expect("a String takes it");
        writeln!(out, "\"{encryption}\",\"{}\",\"{integrity}\",\"{}\"", hex(&keys.0), hex(&keys.1))
            .expect("a String takes it");
    }
    Some(out)
}

fn hex(key: &EspKey) -> String {
    match key.as_slice() {
        [] => String::new(),
        octets => format!("0x{}", data_encoding::HEXLOWER.encode(octets)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipsec::association::Algorithms;

    #[test]
    fn four_lines_in_the_columns_of_wireshark() {
        let mut set = SaSet::for_tests(false);
        let text = esp_sa(&set).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let keys = format!(
            "\"AES-CBC [RFC3602]\",\"0x{}\",\"HMAC-SHA-1-96 [RFC2404]\",\"0x{}00000000\"",
            "cc".repeat(16),
            "11".repeat(16)
        );
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], format!("\"IPv4\",\"10.0.0.7\",\"10.0.0.1\",\"0x00000191\",{keys}"));
        assert_eq!(lines[1], format!("\"IPv4\",\"10.0.0.1\",\"10.0.0.7\",\"0x0000012d\",{keys}"));
        assert_eq!(lines[2], format!("\"IPv4\",\"10.0.0.1\",\"10.0.0.7\",\"0x0000012c\",{keys}"));
        assert_eq!(lines[3], format!("\"IPv4\",\"10.0.0.7\",\"10.0.0.1\",\"0x00000190\",{keys}"));
        set.algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null };
        set.mode = Mode::UdpTunnel { outer_ue: "192.0.2.1".parse().unwrap() };
        let text = esp_sa(&set).unwrap();
        assert!(text.starts_with("\"IPv4\",\"192.0.2.1\",\"10.0.0.1\",\"0x00000191\",\"NULL\",\"\",\"HMAC-MD5-96"));
        set.algorithms.integrity = Integrity::AesGmac;
        assert_eq!(esp_sa(&set), None);
    }
}
