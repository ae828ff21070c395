//! UDP datagrams and TCP segments with their headers (RFC 768, RFC 9293).

use super::{TCP, UDP, checksum};
use std::net::{IpAddr, SocketAddr};

/// What an SA of Gm carries (TS 33.203 clause 7.1: the transport is a wildcard, UDP and TCP share an SA).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Upper {
    /// UDP, 17.
    Udp,
    /// TCP, 6.
    Tcp,
}

impl Upper {
    /// The protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Udp => UDP,
            Self::Tcp => TCP,
        }
    }

    /// The transport of a protocol number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            UDP => Some(Self::Udp),
            TCP => Some(Self::Tcp),
            _ => None,
        }
    }
}

/// A datagram or segment between two addresses, its header included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// The sender.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// What it is.
    pub upper: Upper,
    /// Header and data.
    pub octets: &'a [u8],
}

/// Header and data of a segment that was found good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked<'a> {
    /// Address and port of the sender.
    pub source: SocketAddr,
    /// Address and port of the receiver.
    pub destination: SocketAddr,
    /// The segment to its own end: header and data, without octets behind a UDP datagram's length.
    pub octets: &'a [u8],
    /// Its data.
    pub data: &'a [u8],
}

/// What is wrong with a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Wrong {
    /// Its header, or what its length promises, is not all there.
    #[error("segment cut off")]
    CutOff,
    /// Its checksum; over IPv6 also one that is absent (RFC 8200 clause 8.1).
    #[error("wrong checksum")]
    Checksum,
}

/// Whether a segment asks for a connection: SYN without ACK.
pub fn begins(upper: Upper, octets: &[u8]) -> bool {
    upper == Upper::Tcp && octets.get(13).is_some_and(|flags| flags & 0x12 == 0x02)
}

impl<'a> Segment<'a> {
    /// Both ports, when there are so many octets.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let [s0, s1, d0, d1] = *self.octets.first_chunk()?;
        Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
    }

    /// Checks lengths and checksum.
    pub fn check(&self) -> Result<Checked<'a>, Wrong> {
        let Self { source, destination, upper, octets } = *self;
        let (source_port, destination_port) = self.ports().ok_or(Wrong::CutOff)?;
        let (octets, header_len) = match upper {
            Upper::Udp => {
                let fixed: &[u8; UDP_LEN] = octets.first_chunk().ok_or(Wrong::CutOff)?;
                let len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
                (octets.get(..len).ok_or(Wrong::CutOff)?, UDP_LEN)
            }
            Upper::Tcp => (octets, usize::from(octets.get(12).ok_or(Wrong::CutOff)? >> 4) * 4),
        };
        let least = if upper == Upper::Tcp { TCP_LEN } else { UDP_LEN };
        if header_len < least || octets.len() < header_len {
            return Err(Wrong::CutOff);
        }
        // RFC 768: a sender over IPv4 may leave it out.
        let absent = upper == Upper::Udp && octets[6..8] == [0, 0] && source.is_ipv4();
        if !absent && checksum::with_pseudo_header(source, destination, upper.number(), octets) != 0xffff {
            return Err(Wrong::Checksum);
        }
        Ok(Checked {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
            octets,
            data: &octets[header_len..],
        })
    }
}

/// Appends a UDP datagram: header with checksum, and data.
pub fn write_udp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, data: &[u8]) {
    let start = out.len();
    ports(out, from, to);
    let len = u16::try_from(UDP_LEN + data.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(data);
    let sum = match !checksum::with_pseudo_header(from.ip(), to.ip(), UDP, &out[start..]) {
        // RFC 768: zero means that there is none.
        0 => u16::MAX,
        sum => sum,
    };
    out[start + 6..start + 8].copy_from_slice(&sum.to_be_bytes());
}

/// The fields of a TCP header without options that are not ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TcpFields {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledged: u32,
    /// Flags: [`FIN`], [`SYN`], [`RST`], [`PSH`], [`ACK`].
    pub flags: u8,
}

/// Appends a TCP segment: header with a full window and a checksum, and data.
pub fn write_tcp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, fields: TcpFields, data: &[u8]) {
    let start = out.len();
    ports(out, from, to);
    out.extend_from_slice(&fields.sequence.to_be_bytes());
    out.extend_from_slice(&fields.acknowledged.to_be_bytes());
    // Five words of header; checksum and urgent pointer.
    out.extend_from_slice(&[0x50, fields.flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend_from_slice(data);
    let sum = !checksum::with_pseudo_header(from.ip(), to.ip(), TCP, &out[start..]);
    out[start + 16..start + 18].copy_from_slice(&sum.to_be_bytes());
}

fn ports(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr) {
    out.extend_from_slice(&from.port().to_be_bytes());
    out.extend_from_slice(&to.port().to_be_bytes());
}

/// No more data from the sender.
pub const FIN: u8 = 0x01;
/// The first segment of a direction.
pub const SYN: u8 = 0x02;
/// The connection is no more.
pub const RST: u8 = 0x04;
/// Data for the reader at once.
pub const PSH: u8 = 0x08;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;
/// Octets of a UDP header.
pub const UDP_LEN: usize = 8;
/// Octets of a TCP header without options.
pub const TCP_LEN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(from: SocketAddr, to: SocketAddr, upper: Upper, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match upper {
            Upper::Udp => write_udp(&mut out, from, to, data),
            Upper::Tcp => {
                write_tcp(&mut out, from, to, TcpFields { sequence: 7, acknowledged: 9, flags: ACK | PSH }, data);
            }
        }
        out
    }

    #[test]
    fn what_is_written_is_good_and_every_other_octet_is_not() {
        for (from, to) in [("10.0.0.1:5060", "10.0.0.2:5061"), ("[::1]:5060", "[fe80::2]:7")] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            for (upper, data) in [(Upper::Udp, &b"odd"[..]), (Upper::Udp, b"even"), (Upper::Tcp, b"odd")] {
                let octets = written(from, to, upper, data);
                let segment = Segment { source: from.ip(), destination: to.ip(), upper, octets: &octets };
                let checked = segment.check().unwrap();
                assert_eq!((checked.source, checked.destination, checked.data), (from, to, data));
                for at in 0..octets.len() {
                    let mut octets = octets.clone();
                    octets[at] ^= 1;
                    assert!(Segment { octets: &octets, ..segment }.check().is_err(), "{upper:?} {at}");
                    assert!(Segment { octets: &octets[..at], ..segment }.check().is_err(), "{upper:?} {at}");
                }
                let elsewhere = Segment { source: to.ip(), destination: to.ip(), ..segment };
                assert_eq!(elsewhere.check(), Err(Wrong::Checksum));
            }
        }
    }

    #[test]
    fn only_udp_over_ipv4_may_leave_its_checksum_out() {
        for (from, to, good) in [("10.0.0.1:1", "10.0.0.2:2", true), ("[::1]:1", "[::2]:2", false)] {
            let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
            let mut octets = written(from, to, Upper::Udp, b"data");
            octets[6..8].fill(0);
            let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
            assert_eq!(segment.check().is_ok(), good);
        }
    }

    /// A sum of zero is sent as 0xffff: zero would mean that there is none.
    #[test]
    fn a_checksum_of_zero_is_sent_as_all_ones() {
        let (from, to) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
        let plain = written(from, to, Upper::Udp, &[0, 0]);
        // Data that takes up the difference.
        let difference = u16::from_be_bytes([plain[6], plain[7]]);
        let octets = written(from, to, Upper::Udp, &difference.to_be_bytes());
        assert_eq!(octets[6..8], [0xff, 0xff]);
        let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
        assert!(segment.check().is_ok());
    }
}
