//! IP, UDP, TCP and SCTP headers for packets that never had any (RFC 791, RFC 8200, RFC 768, RFC 9293, RFC 9260).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A TCP segment to write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
}

pub(super) const FIN: u8 = 0x01;
pub(super) const SYN: u8 = 0x02;
pub(super) const PSH: u8 = 0x08;
pub(super) const ACK: u8 = 0x10;

/// Appends a datagram.
pub(super) fn udp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let len = UDP_LEN + payload.len();
    let start = ip(out, from.ip(), to.ip(), UDP, len);
    ports(out, from, to);
    out.extend_from_slice(&length(len));
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(payload);
    let sum = match transport_checksum(from.ip(), to.ip(), UDP, &out[start..]) {
        // RFC 768: zero means that there is none.
        0 => 0xffff,
        sum => sum,
    };
    out[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
}

/// Appends a segment.
pub(super) fn tcp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, segment: Segment, payload: &[u8]) {
    let start = ip(out, from.ip(), to.ip(), TCP, TCP_LEN + payload.len());
    ports(out, from, to);
    out.extend_from_slice(&segment.sequence.to_be_bytes());
    out.extend_from_slice(&segment.acknowledged.to_be_bytes());
    // Five words of header, flags, a full window, checksum and urgent pointer.
    out.extend_from_slice(&[0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend_from_slice(payload);
    let sum = transport_checksum(from.ip(), to.ip(), TCP, &out[start..]);
    out[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
}

/// Appends an SCTP packet with one DATA chunk, the `number`th from this sender.
pub(super) fn sctp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, number: u32, payload: &[u8]) {
    let chunk = DATA_LEN + payload.len();
    let padding = chunk.next_multiple_of(4) - chunk;
    let start = ip(out, from.ip(), to.ip(), SCTP, SCTP_LEN + chunk + padding);
    ports(out, from, to);
    // A verification tag of the receiver's choice, the checksum.
    out.extend_from_slice(&u32::from(to.port()).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    // DATA, unfragmented; stream 0, the same count for transmission and stream.
    out.extend_from_slice(&[0, BEGIN_AND_END]);
    out.extend_from_slice(&length(chunk));
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&number.to_be_bytes()[2..]);
    out.extend_from_slice(&DIAMETER.to_be_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&[0; 3][..padding]);
    let sum = CRC32C.checksum(&out[start..]);
    // RFC 9260 appendix A: the octets of the CRC go out in the order of their significance reversed.
    out[start + 8..start + 12].copy_from_slice(&sum.to_le_bytes());
}

/// The most octets of payload that one packet of ours takes, whatever carries it.
pub(super) const LARGEST_PAYLOAD: usize = 60_000;

/// Appends the IP header; returns where its payload begins.
fn ip(out: &mut Vec<u8>, from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> usize {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let start = out.len();
            // Don't fragment, 64 hops.
            out.extend_from_slice(&[0x45, 0]);
            out.extend_from_slice(&length(20 + len));
            out.extend_from_slice(&[0, 0, 0x40, 0, 64, protocol, 0, 0]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
            let sum = !sum(&out[start..], 0);
            out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (from, to) => {
            out.extend_from_slice(&[0x60, 0, 0, 0]);
            out.extend_from_slice(&length(len));
            out.extend_from_slice(&[protocol, 64]);
            out.extend_from_slice(&v6(from).octets());
            out.extend_from_slice(&v6(to).octets());
        }
    }
    out.len()
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

fn ports(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr) {
    out.extend_from_slice(&from.port().to_be_bytes());
    out.extend_from_slice(&to.port().to_be_bytes());
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// Over the pseudo header and `segment`, whose checksum field is zero.
fn transport_checksum(from: IpAddr, to: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let start = u32::from(protocol) + u32::try_from(segment.len()).unwrap_or(u32::MAX);
    let addresses = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum(&[from.octets(), to.octets()].concat(), 0),
        (from, to) => sum(&[v6(from).octets(), v6(to).octets()].concat(), 0),
    };
    !sum(segment, start + u32::from(addresses))
}

/// The ones' complement sum of RFC 1071.
fn sum(octets: &[u8], start: u32) -> u16 {
    let pairs = octets.chunks(2).map(|pair| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u64::from(*b)));
    let mut sum = pairs.fold(u64::from(start), |sum, pair| sum + pair);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to sixteen bits")
}

/// RFC 9260 clause 6.8 and appendix A.
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
/// Payload protocol identifier of Diameter (RFC 6733 clause 2.1).
const DIAMETER: u32 = 46;
const BEGIN_AND_END: u8 = 3;
const SCTP: u8 = 132;
const SCTP_LEN: usize = 12;
const DATA_LEN: usize = 16;
const UDP: u8 = 17;
const TCP: u8 = 6;
const UDP_LEN: usize = 8;
const TCP_LEN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// "123456789", the check value of CRC-32C.
    #[test]
    fn an_sctp_packet_carries_its_message() {
        assert_eq!(CRC32C.checksum(b"123456789"), 0xe306_9283);
        let (from, to) = ("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:3868".parse().unwrap());
        let mut out = Vec::new();
        sctp(&mut out, from, to, 7, b"odd");
        assert_eq!((out.len(), out.len() % 4), (20 + 12 + 16 + 4, 0));
        let sum = u32::from_le_bytes(out[28..32].try_into().unwrap());
        out[28..32].fill(0);
        assert_eq!(CRC32C.checksum(&out[20..]), sum);
        // The length of the chunk does not count its padding.
        assert_eq!((&out[34..36], &out[44..48], &out[48..]), (&[0, 19][..], &[0, 0, 0, 46][..], &b"odd\0"[..]));
    }

    /// The example of RFC 1071 clause 3, and a sum that verifies to zero.
    #[test]
    fn checksums_verify() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0), 0xddf2);
        for (from, to) in [("10.0.0.1:5060", "10.0.0.2:5061"), ("[::1]:5060", "[fe80::2]:7")] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            for payload in [&b"odd"[..], b"even"] {
                for protocol in [UDP, TCP] {
                    let mut out = Vec::new();
                    match protocol {
                        UDP => udp(&mut out, from, to, payload),
                        _ => tcp(&mut out, from, to, Segment { sequence: 7, acknowledged: 9, flags: ACK }, payload),
                    }
                    let start = if from.is_ipv4() { 20 } else { 40 };
                    assert_eq!(transport_checksum(from.ip(), to.ip(), protocol, &out[start..]), 0);
                    if from.is_ipv4() {
                        assert_eq!(!sum(&out[..20], 0), 0);
                    }
                }
            }
        }
    }
}
