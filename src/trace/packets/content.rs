//! What octets are, by what they look like.

use crate::diameter::{Header, dictionary, header};
use crate::sip::frame;
use memchr::{memchr, memmem};

/// Where in a datagram a SIP message begins: with its first octet, or behind line ends or junk.
pub(super) fn sip_start(datagram: &[u8]) -> Option<usize> {
    if datagram.starts_with(b"SIP/2.0 ") {
        return Some(0);
    }
    let window = &datagram[..datagram.len().min(JUNK)];
    memmem::find(window, b"SIP/")?;
    let mut at = 0;
    for line in window.split_inclusive(|b| *b == b'\n') {
        if let Some(start) = frame::start_of_line(line) {
            return Some(at + start);
        }
        at += line.len();
    }
    None
}

/// True if a SIP message begins with the first octet.
pub(super) fn begins_sip(octets: &[u8]) -> bool {
    memchr(b'\n', octets).is_some_and(|end| frame::start_of_line(&octets[..end]) == Some(0))
}

/// True if a Diameter message begins with the first octet: what a header must be, and an AVP of the base protocol behind
/// it.
pub(super) fn begins_diameter(octets: &[u8]) -> bool {
    let Some(head) = Header::read(octets) else { return false };
    let Some(Ok(len)) = header::frame(octets, LONGEST_DIAMETER) else { return false };
    if octets[0] != 1 || octets[4] & 0x0f != 0 || len % 4 != 0 || head.command == 0 || (head.request && head.error) {
        return false;
    }
    if len == header::LEN {
        return true;
    }
    let Some(avp) = octets.get(header::LEN..header::LEN + 8) else { return false };
    let word = |at: usize| u32::from_be_bytes([avp[at], avp[at + 1], avp[at + 2], avp[at + 3]]);
    let avp_len = (word(4) & 0xff_ffff) as usize;
    dictionary::lookup(word(0), 0).is_some() && (8..=len - header::LEN).contains(&avp_len)
}

/// True for octets that may be the beginning of a first line.
pub(super) fn may_become_sip(octets: &[u8]) -> bool {
    octets.len() < JUNK && octets.iter().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\r'))
}

/// True for the first record of a TLS connection.
pub(super) const fn begins_tls(octets: &[u8]) -> bool {
    matches!(octets, [0x14..=0x17, 3, 0..=4, ..])
}

/// True for a port on which SIP is expected.
pub(super) const fn is_sip_port(port: u16) -> bool {
    matches!(port, 5060 | 5061)
}

/// True for a port on which Diameter is expected.
pub(super) const fn is_diameter_port(port: u16) -> bool {
    matches!(port, 3868 | 5868)
}

/// Octets before a message in which its first line is looked for.
const JUNK: usize = 4_096;
/// A header and the head of an AVP: what is shorter cannot be told.
pub(super) const LEAST_DIAMETER: usize = 28;
/// What is longer is no message.
pub(super) const LONGEST_DIAMETER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_is_found_behind_junk_and_nowhere_else() {
        assert_eq!(sip_start(b"SIP/2.0 200 OK\r\n\r\n"), Some(0));
        assert_eq!(sip_start(b"REGISTER sip:a SIP/2.0\r\n\r\n"), Some(0));
        assert_eq!(sip_start(b"\r\n\x00\x01junk\r\nREGISTER sip:a SIP/2.0\r\n\r\n"), Some(10));
        assert_eq!(sip_start(b"Via: SIP/2.0/UDP a\r\n"), None);
        assert_eq!(sip_start(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert!(begins_sip(b"OPTIONS sip:a SIP/2.0\r\n") && !begins_sip(b"x\r\nOPTIONS sip:a SIP/2.0\r\n"));
    }

    #[test]
    fn diameter_is_known_by_header_and_first_avp() {
        let mut cer = vec![1, 0, 0, 32, 0x80, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
        cer.extend_from_slice(&[0, 0, 1, 8, 0x40, 0, 0, 11, b'a', b'.', b'b', 0]);
        assert!(begins_diameter(&cer));
        for (at, octet) in [(0, 2), (3, 31), (4, 0x81), (4, 0xa0), (20, 9), (27, 7), (27, 13)] {
            let mut other = cer.clone();
            other[at] = octet;
            assert!(!begins_diameter(&other), "{at}");
        }
        assert!(!begins_diameter(&cer[..24]) && !begins_diameter(b"GET / HTTP/1.1\r\n\r\n\r\n\r\n\r\n\r\n"));
    }
}
