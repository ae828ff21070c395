//! IPv4 and IPv6 packets with UDP and TCP inside, as bytes (RFC 791, RFC 8200, RFC 768, RFC 9293): what ESP is put into
//! and taken out of.

pub mod fragments;
pub mod reassembly;
pub mod transport;

mod checksum;
mod packet;

pub use packet::{Fragment, Header, Malformed, Packet};
pub use transport::Upper;

use std::net::{IpAddr, Ipv6Addr};

/// Appends an IP header whose length is not known yet, for a payload that is appended next. `finish` with what this
/// returns completes it.
pub fn begin(out: &mut Vec<u8>, source: IpAddr, destination: IpAddr, protocol: u8) -> Begun {
    let start = out.len();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            // Don't fragment: then the identification may be zero (RFC 6864 clause 4.1).
            out.extend_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, protocol, 0, 0]);
            out.extend_from_slice(&source.octets());
            out.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            out.extend_from_slice(&[0x60, 0, 0, 0, 0, 0, protocol, HOPS]);
            out.extend_from_slice(&wide(source).octets());
            out.extend_from_slice(&wide(destination).octets());
        }
    }
    Begun { start }
}

/// A packet whose header is written and whose payload is being appended.
#[derive(Clone, Copy, Debug)]
#[must_use = "the header has no length before `finish`"]
pub struct Begun {
    start: usize,
}

impl Begun {
    /// Writes length and header checksum: the payload ends where `out` ends. Lengths above what the header holds are cut
    /// to the largest it holds.
    pub fn finish(self, out: &mut [u8]) {
        let packet = &mut out[self.start..];
        if packet[0] >> 4 == 4 {
            let len = u16::try_from(packet.len()).unwrap_or(u16::MAX);
            packet[2..4].copy_from_slice(&len.to_be_bytes());
            packet[10..12].fill(0);
            let sum = !checksum::sum(&packet[..V4_LEN], 0);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            let len = u16::try_from(packet.len() - V6_LEN).unwrap_or(u16::MAX);
            packet[4..6].copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// Appends a whole packet.
pub fn write(out: &mut Vec<u8>, source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) {
    let begun = begin(out, source, destination, protocol);
    out.extend_from_slice(payload);
    begun.finish(out);
}

/// Octets of a header without options, for packets between addresses of this family.
pub const fn header_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => V4_LEN,
        IpAddr::V6(_) => V6_LEN,
    }
}

/// IPv4 addresses in their IPv6 form.
const fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Protocol number of ESP (RFC 4303).
pub const ESP: u8 = 50;
/// Protocol number of UDP.
pub const UDP: u8 = 17;
/// Protocol number of TCP.
pub const TCP: u8 = 6;
const V4_LEN: usize = 20;
const V6_LEN: usize = 40;
const HOPS: u8 = 64;
