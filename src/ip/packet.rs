//! IP headers taken apart.

use super::{V4_LEN, V6_LEN, checksum};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an IP packet says in its header, extension headers walked over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// What the payload is: protocol of IPv4, last next header of IPv6.
    pub protocol: u8,
    /// Set when the payload is a part of one.
    pub fragment: Option<Fragment>,
}

/// Where a fragment belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// Names the packet, together with its addresses (and the protocol, in IPv4).
    pub identification: u32,
    /// Where its octets begin, a multiple of eight.
    pub offset: usize,
    /// True for all but the last.
    pub more: bool,
}

/// One IP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the headers.
    pub payload: &'a [u8],
    /// Where it begins in the packet.
    pub payload_start: usize,
}

/// Octets that are no IP packet for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// Neither 4 nor 6.
    #[error("IP version {0}")]
    Version(u8),
    /// The header, or what its length promises, is not all there.
    #[error("packet cut off")]
    CutOff,
    /// The checksum of an IPv4 header.
    #[error("wrong header checksum")]
    HeaderChecksum,
    /// More extension headers than any honest packet has, one out of place, or a routing header with a way to go.
    #[error("extension headers")]
    Extensions,
    /// RFC 791, RFC 8200 clause 4.5: all but the last fragment hold a multiple of eight octets; none ends above 65,535.
    #[error("impossible fragment")]
    Fragment,
}

impl<'a> Packet<'a> {
    /// Reads a packet; octets behind its end are ignored.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        read(octets, Reader::Receiver).map(|(packet, _)| packet)
    }

    /// Reads a packet out of a capture, and how many octets of it are missing there at its end. A checksum that the
    /// network card would have filled in is not judged, nor a routing header; a length of zero, which segmentation
    /// offload leaves behind, means all there is.
    pub fn captured(octets: &'a [u8]) -> Result<(Self, usize), Malformed> {
        read(octets, Reader::Capture)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Takes what it may take only.
    Receiver,
    /// Takes what there is.
    Capture,
}

fn read(octets: &[u8], reader: Reader) -> Result<(Packet<'_>, usize), Malformed> {
    let first = octets.first().ok_or(Malformed::CutOff)?;
    match first >> 4 {
        4 => v4(octets, reader),
        6 => v6(octets, reader),
        version => Err(Malformed::Version(version)),
    }
}

fn v4(octets: &[u8], reader: Reader) -> Result<(Packet<'_>, usize), Malformed> {
    let fixed: &[u8; V4_LEN] = octets.first_chunk().ok_or(Malformed::CutOff)?;
    let header_len = usize::from(fixed[0] & 0xf) * 4;
    let mut len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if reader == Reader::Capture && len == 0 {
        len = octets.len();
    }
    let missing = len.saturating_sub(octets.len());
    if header_len < V4_LEN || len < header_len || octets.len() < header_len {
        return Err(Malformed::CutOff);
    }
    match reader {
        Reader::Receiver if missing > 0 => return Err(Malformed::CutOff),
        Reader::Receiver if checksum::sum(&octets[..header_len], 0) != 0xffff => return Err(Malformed::HeaderChecksum),
        Reader::Receiver | Reader::Capture => {}
    }
    let place = u16::from_be_bytes([fixed[6], fixed[7]]);
    let (offset, more) = (usize::from(place & 0x1fff) * 8, place & 0x2000 != 0);
    let identification = u32::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    let payload = &octets[header_len..len - missing];
    let header = Header {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        protocol: fixed[9],
        fragment: fragment(identification, offset, more, payload.len() + missing)?,
    };
    Ok((Packet { header, payload, payload_start: header_len }, missing))
}

fn v6(octets: &[u8], reader: Reader) -> Result<(Packet<'_>, usize), Malformed> {
    let fixed: &[u8; V6_LEN] = octets.first_chunk().ok_or(Malformed::CutOff)?;
    let mut len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
    let behind = &octets[V6_LEN..];
    if reader == Reader::Capture && len == 0 {
        len = behind.len();
    }
    let missing = len.saturating_sub(behind.len());
    if reader == Reader::Receiver && missing > 0 {
        return Err(Malformed::CutOff);
    }
    let len = len - missing;
    let mut payload = &behind[..len];
    let address = |at: usize| -> Ipv6Addr {
        <[u8; 16]>::try_from(&fixed[at..at + 16]).expect("both addresses are in the fixed header").into()
    };
    let mut header =
        Header { source: address(8).into(), destination: address(24).into(), protocol: fixed[6], fragment: None };
    for _ in 0..=EXTENSIONS {
        let extension = match header.protocol {
            HOP_BY_HOP | DESTINATION_OPTIONS => 8 + 8 * usize::from(*payload.get(1).ok_or(Malformed::CutOff)?),
            ROUTING => {
                // Segments left: we are not where it goes.
                if *payload.get(3).ok_or(Malformed::CutOff)? != 0 && reader == Reader::Receiver {
                    return Err(Malformed::Extensions);
                }
                8 + 8 * usize::from(payload[1])
            }
            FRAGMENT => {
                let [_, _, p0, p1, i0, i1, i2, i3] = *payload.first_chunk().ok_or(Malformed::CutOff)?;
                let place = u16::from_be_bytes([p0, p1]);
                let identification = u32::from_be_bytes([i0, i1, i2, i3]);
                // One that is all of its packet is as if there were no such header (RFC 6946).
                let part = payload.len() - 8 + missing;
                header.fragment = fragment(identification, usize::from(place & !7), place & 1 != 0, part)?;
                8
            }
            _ => {
                let payload_start = V6_LEN + len - payload.len();
                return Ok((Packet { header, payload, payload_start }, missing));
            }
        };
        header.protocol = payload[0];
        payload = payload.get(extension..).ok_or(Malformed::CutOff)?;
        if header.fragment.is_some() {
            // What follows is a part, whatever its first octets look like.
            return Ok((Packet { header, payload, payload_start: V6_LEN + len - payload.len() }, missing));
        }
    }
    Err(Malformed::Extensions)
}

fn fragment(identification: u32, offset: usize, more: bool, part_len: usize) -> Result<Option<Fragment>, Malformed> {
    if offset == 0 && !more {
        return Ok(None);
    }
    let whole_words = !more || part_len.is_multiple_of(8);
    if part_len == 0 || !whole_words || offset + part_len > usize::from(u16::MAX) {
        return Err(Malformed::Fragment);
    }
    Ok(Some(Fragment { identification, offset, more }))
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(super) const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;
const EXTENSIONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip;

    fn written(source: &str, destination: &str, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0xaa];
        ip::write(&mut out, source.parse().unwrap(), destination.parse().unwrap(), ip::ESP, payload);
        out.split_off(1)
    }

    #[test]
    fn what_is_written_is_read() {
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "fe80::2")] {
            let mut octets = written(source, destination, b"payload");
            let header = Header {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                protocol: ip::ESP,
                fragment: None,
            };
            let packet = Packet { header, payload: b"payload", payload_start: ip::header_len(header.source) };
            assert_eq!(Packet::parse(&octets), Ok(packet));
            // Padding of a link is no part of the packet; a packet cut off is none.
            octets.push(0);
            assert_eq!(Packet::parse(&octets), Ok(packet));
            for len in 0..octets.len() - 1 {
                assert_eq!(Packet::parse(&octets[..len]), Err(Malformed::CutOff));
            }
        }
        assert_eq!(Packet::parse(&[0x50]), Err(Malformed::Version(5)));
    }

    #[test]
    fn of_a_capture_what_there_is_is_taken() {
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "fe80::2")] {
            let mut octets = written(source, destination, b"payload");
            let whole = Packet::parse(&octets).unwrap();
            assert_eq!(Packet::captured(&octets), Ok((whole, 0)));
            let (cut, missing) = Packet::captured(&octets[..octets.len() - 3]).unwrap();
            assert_eq!((cut.header, cut.payload, missing), (whole.header, &b"payl"[..], 3));
            assert!(Packet::captured(&octets[..whole.payload_start - 1]).is_err());
            // Offload: no checksum, no length.
            let header = whole.header;
            match source.len() {
                8 => octets[2..4].fill(0),
                _ => octets[4..6].fill(0),
            }
            let (packet, missing) = Packet::captured(&octets).unwrap();
            assert_eq!((packet.header, packet.payload, missing), (header, &b"payload"[..], 0));
        }
    }

    #[test]
    fn a_wrong_octet_in_an_ipv4_header_is_seen() {
        let octets = written("10.0.0.1", "10.0.0.2", b"payload");
        for at in 0..20 {
            let mut octets = octets.clone();
            octets[at] ^= 0x10;
            assert!(Packet::parse(&octets).is_err(), "{at}");
        }
    }

    #[test]
    fn extension_headers_are_walked_over() {
        let plain = written("2001:db8::1", "fe80::2", &[]);
        let with = |first: u8, extensions: &[u8]| {
            let mut octets = plain.clone();
            octets[6] = first;
            octets[4..6].copy_from_slice(&u16::try_from(extensions.len() + 4).unwrap().to_be_bytes());
            octets.extend_from_slice(extensions);
            octets.extend_from_slice(b"rest");
            octets
        };
        let options = |next| [next, 0, 1, 4, 0, 0, 0, 0];
        let chain = [options(DESTINATION_OPTIONS), options(ROUTING), [ip::ESP, 0, 0, 0, 0, 0, 0, 0]].concat();
        let octets = with(HOP_BY_HOP, &chain);
        let packet = Packet::parse(&octets).unwrap();
        assert_eq!((packet.header.protocol, packet.payload), (ip::ESP, &b"rest"[..]));
        let segments_left = with(ROUTING, &[ip::ESP, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(Packet::parse(&segments_left), Err(Malformed::Extensions));
        assert_eq!(Packet::parse(&with(HOP_BY_HOP, &[options(HOP_BY_HOP); 9].concat())), Err(Malformed::Extensions));
        assert_eq!(Packet::parse(&with(HOP_BY_HOP, &[ip::ESP, 9, 0, 0, 0, 0, 0, 0])), Err(Malformed::CutOff));
        // An atomic fragment, and a first fragment whose length is no multiple of eight.
        let octets = with(FRAGMENT, &[ip::ESP, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(Packet::parse(&octets).unwrap().header.fragment, None);
        assert_eq!(Packet::parse(&with(FRAGMENT, &[ip::ESP, 0, 0, 1, 0, 0, 0, 7])), Err(Malformed::Fragment));
    }
}
