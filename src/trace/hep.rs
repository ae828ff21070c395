//! HEP 3, the encapsulation in which Homer and its agents send captured messages: a flat list of chunks behind a magic word
//! and a length, over UDP, TCP or in a file.

use super::{Ends, Message, Place, Protection, Seen, Sighting, Unread};
use crate::packet::{Protocol, Transport};
use crate::time::{Duration, Epoch, Instant};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

/// One HEP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// When the agent saw the message, since 1970-01-01T00:00:00Z.
    pub since_epoch: Option<Duration>,
    /// The number of the capture agent.
    pub agent: Option<u32>,
    /// The message. Its protection is unknown: an agent does not tell.
    pub message: Message,
}

/// Why octets are not a HEP packet with a message in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HepError {
    /// Other first octets.
    #[error("no HEP 3")]
    Magic,
    /// Less octets than a length says.
    #[error("a HEP packet that is cut")]
    Cut,
    /// A length below that of its own field, or a chunk that is longer than the packet.
    #[error("a HEP packet with a wrong length")]
    Length,
    /// A chunk of another length than its type has.
    #[error("a HEP packet with a chunk of a wrong length")]
    Chunk,
    /// No chunk of payload, or an empty one, or nothing but the line ends of a keep-alive.
    #[error("a HEP packet without message")]
    NoMessage,
    /// The payload is compressed.
    #[error("a HEP packet with a compressed payload, which is not unpacked")]
    Compressed,
    /// The payload is neither SIP nor Diameter.
    #[error("a HEP packet of another protocol")]
    Protocol,
}

impl HepError {
    /// As [`std::fmt::Display`] writes it, for [`super::Unread`].
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Magic => "no HEP 3",
            Self::Cut => "a HEP packet that is cut",
            Self::Length => "a HEP packet with a wrong length",
            Self::Chunk => "a HEP packet with a chunk of a wrong length",
            Self::NoMessage => "a HEP packet without message",
            Self::Compressed => "a HEP packet with a compressed payload, which is not unpacked",
            Self::Protocol => "a HEP packet of another protocol",
        }
    }
}

/// Why a message cannot be written as a HEP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Unwritable {
    /// Agents agree on no protocol type for Diameter.
    #[error("HEP has no type for Diameter")]
    Diameter,
    /// Longer than the length of a HEP packet can say.
    #[error("a message too long for a HEP packet")]
    TooLong,
}

/// The length of the packet that `bytes` begin with, `None` while they are too few to tell: for streams and files.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, HepError> {
    if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
        return Err(HepError::Magic);
    }
    match *bytes {
        [_, _, _, _, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length < HEADER { Err(HepError::Length) } else { Ok(Some(length)) }
        }
        _ => Ok(None),
    }
}

/// Reads one packet. What follows it is not looked at.
pub fn parse(bytes: &[u8]) -> Result<Packet, HepError> {
    let length = length(bytes)?.ok_or(HepError::Cut)?;
    let chunks = Chunks::read(bytes.get(HEADER..length).ok_or(HepError::Cut)?)?;
    let payload = match (chunks.payload, chunks.is_compressed) {
        (Some(payload), _) if payload.iter().any(|b| !matches!(b, b'\r' | b'\n' | 0)) => payload,
        (None, true) => return Err(HepError::Compressed),
        _ => return Err(HepError::NoMessage),
    };
    let protocol = match chunks.protocol {
        Some(SIP) => Protocol::Sip,
        _ if is_diameter(payload) => Protocol::Diameter,
        _ => return Err(HepError::Protocol),
    };
    let micros = chunks.seconds.map(|s| u64::from(s) * 1_000_000 + u64::from(chunks.micros.unwrap_or(0)));
    let message =
        Message { protocol, ends: chunks.ends(), protection: Protection::Unknown, cut: false, bytes: payload.to_vec() };
    Ok(Packet { since_epoch: micros.map(Duration::from_micros), agent: chunks.agent, message })
}

/// Appends a packet. Ends that are not known are left out.
pub fn write(packet: &Packet, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    let message = &packet.message;
    if message.protocol == Protocol::Diameter {
        return Err(Unwritable::Diameter);
    }
    let begin = out.len();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[0; 2]);
    if let Some(Ends { from, to, transport }) = message.ends {
        put(out, FAMILY, &[if from.is_ipv4() { AF_INET } else { AF_INET6 }]);
        put(out, IP_PROTOCOL, &[ip_protocol(transport)]);
        for (end, address) in [from.ip(), to.ip()].into_iter().enumerate() {
            match address {
                IpAddr::V4(ip) => put(out, IPV4[end], &ip.octets()),
                IpAddr::V6(ip) => put(out, IPV6[end], &ip.octets()),
            }
        }
        put(out, PORTS[0], &from.port().to_be_bytes());
        put(out, PORTS[1], &to.port().to_be_bytes());
    }
    if let Some(time) = packet.since_epoch {
        // HEP counts seconds in 32 bits, up to the year 2106.
        put(out, SECONDS, &u32::try_from(time.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
        put(out, MICROS, &time.subsec_micros().to_be_bytes());
    }
    put(out, PROTOCOL_TYPE, &[SIP]);
    if let Some(agent) = packet.agent {
        put(out, AGENT, &agent.to_be_bytes());
    }
    let length = u16::try_from(out.len() - begin + HEADER + message.bytes.len());
    let Ok(length) = length else {
        out.truncate(begin);
        return Err(Unwritable::TooLong);
    };
    put(out, PAYLOAD, &message.bytes);
    out[begin + 4..begin + 6].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Reads a file or stream of packets, one [`Sighting`] after the other; places are the numbers of packets.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    buffer: VecDeque<u8>,
    packets: u64,
    first: Option<Duration>,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// A reader from the first packet on.
    pub const fn new(input: R) -> Self {
        Self { input, buffer: VecDeque::new(), packets: 0, first: None, is_over: false }
    }

    /// The calendar time of the first packet.
    pub fn epoch(&self) -> Option<Epoch> {
        self.first.and_then(|first| u64::try_from(first.as_micros()).ok()).map(Epoch::from_unix_micros)
    }

    /// Sees to it that `count` octets are in the buffer; false where the file ends before.
    fn fill(&mut self, count: usize) -> io::Result<bool> {
        let mut block = [0; 8_192];
        while self.buffer.len() < count && !self.is_over {
            match self.input.read(&mut block) {
                Ok(0) => self.is_over = true,
                Ok(octets) => self.buffer.extend(&block[..octets]),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => {
                    self.is_over = true;
                    self.buffer.clear();
                    return Err(fault);
                }
            }
        }
        Ok(self.buffer.len() >= count)
    }

    /// What begins at the front of the buffer, which is not empty.
    fn read(&mut self) -> io::Result<Sighting> {
        self.packets += 1;
        self.fill(HEADER)?;
        let length = match length(self.buffer.make_contiguous()) {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(self.unread(HepError::Cut, self.buffer.len())),
            Err(fault) => {
                let octets = self.octets_to_magic()?;
                return Ok(self.unread(fault, octets));
            }
        };
        if !self.fill(length)? {
            return Ok(self.unread(HepError::Cut, self.buffer.len()));
        }
        match parse(self.buffer.make_contiguous()) {
            Ok(packet) => {
                self.buffer.drain(..length);
                let at = packet.since_epoch.and_then(|time| time.checked_sub(*self.first.get_or_insert(time)));
                let at = at.map(|since| Instant::ZERO + since);
                Ok(Sighting { place: Place::Packet(self.packets), at, seen: Seen::Message(packet.message) })
            }
            Err(fault) => Ok(self.unread(fault, length)),
        }
    }

    /// How many octets stand before the next magic word; all of the buffer, when it has grown large without one.
    fn octets_to_magic(&mut self) -> io::Result<usize> {
        let mut from = 1;
        loop {
            let octets = self.buffer.make_contiguous();
            if let Some(at) = memchr::memmem::find(&octets[from.min(octets.len())..], MAGIC) {
                return Ok(from + at);
            }
            // The word may begin in what is here.
            from = octets.len().saturating_sub(MAGIC.len() - 1).max(1);
            if self.buffer.len() > MOST_SKIPPED {
                return Ok(from);
            }
            if !self.fill(self.buffer.len() + 1)? {
                return Ok(self.buffer.len());
            }
        }
    }

    fn unread(&mut self, fault: HepError, octets: usize) -> Sighting {
        self.buffer.drain(..octets.min(self.buffer.len()));
        let seen = Seen::Unread(Unread { reason: fault.reason(), octets });
        Sighting { place: Place::Packet(self.packets), at: None, seen }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Sighting>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill(1) {
            Ok(true) => Some(self.read()),
            Ok(false) => None,
            Err(fault) => Some(Err(fault)),
        }
    }
}

/// The chunks that matter.
#[derive(Default)]
struct Chunks<'a> {
    ip_protocol: Option<u8>,
    addresses: [Option<IpAddr>; 2],
    ports: [Option<u16>; 2],
    seconds: Option<u32>,
    micros: Option<u32>,
    protocol: Option<u8>,
    agent: Option<u32>,
    payload: Option<&'a [u8]>,
    is_compressed: bool,
}

impl<'a> Chunks<'a> {
    fn read(mut rest: &'a [u8]) -> Result<Self, HepError> {
        let mut chunks = Self::default();
        while let Some((head, _)) = rest.split_first_chunk::<HEADER>() {
            let [vendor_high, vendor_low, high, low, length_high, length_low] = *head;
            let length = usize::from(u16::from_be_bytes([length_high, length_low]));
            let value = rest.get(HEADER..length).ok_or(HepError::Length)?;
            // Chunks of vendors have types of their own.
            if [vendor_high, vendor_low] == [0, 0] {
                chunks.take(u16::from_be_bytes([high, low]), value)?;
            }
            rest = &rest[length..];
        }
        if rest.is_empty() { Ok(chunks) } else { Err(HepError::Length) }
    }

    fn take(&mut self, kind: u16, value: &'a [u8]) -> Result<(), HepError> {
        match kind {
            IP_PROTOCOL => self.ip_protocol = Some(u8::from_be_bytes(fixed(value)?)),
            PROTOCOL_TYPE => self.protocol = Some(u8::from_be_bytes(fixed(value)?)),
            SECONDS => self.seconds = Some(u32::from_be_bytes(fixed(value)?)),
            MICROS => self.micros = Some(u32::from_be_bytes(fixed(value)?)),
            AGENT => self.agent = Some(u32::from_be_bytes(fixed(value)?)),
            PAYLOAD => self.payload = Some(value),
            COMPRESSED => self.is_compressed = true,
            _ => {
                let is = |kinds: [u16; 2]| kinds.iter().position(|&known| known == kind);
                if let Some(end) = is(IPV4) {
                    self.addresses[end] = Some(Ipv4Addr::from(fixed::<4>(value)?).into());
                } else if let Some(end) = is(IPV6) {
                    self.addresses[end] = Some(Ipv6Addr::from(fixed::<16>(value)?).into());
                } else if let Some(end) = is(PORTS) {
                    self.ports[end] = Some(u16::from_be_bytes(fixed(value)?));
                }
            }
        }
        Ok(())
    }

    fn ends(&self) -> Option<Ends> {
        let [from, to] = [0, 1].map(|end| Some(SocketAddr::new(self.addresses[end]?, self.ports[end]?)));
        Some(Ends { from: from?, to: to?, transport: self.ip_protocol.and_then(transport)? })
    }
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], HepError> {
    value.try_into().map_err(|_| HepError::Chunk)
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(HEADER + value.len()).expect("the length of the whole packet was found to fit");
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

/// One whole message of Diameter (RFC 6733 clause 3).
fn is_diameter(payload: &[u8]) -> bool {
    let [1, a, b, c, ..] = *payload else { return false };
    u32::from_be_bytes([0, a, b, c]) as usize == payload.len() && payload.len() >= 20
}

const fn transport(ip_protocol: u8) -> Option<Transport> {
    match ip_protocol {
        6 => Some(Transport::Tcp),
        17 => Some(Transport::Udp),
        TLS => Some(Transport::Tls),
        132 => Some(Transport::Sctp),
        _ => None,
    }
}

const fn ip_protocol(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
        Transport::Tls => TLS,
        Transport::Sctp => 132,
    }
}

const MAGIC: &[u8; 4] = b"HEP3";

/// Magic and length of a packet; vendor, type and length of a chunk.
const HEADER: usize = 6;

const FAMILY: u16 = 1;
const IP_PROTOCOL: u16 = 2;
const IPV4: [u16; 2] = [3, 4];
const IPV6: [u16; 2] = [5, 6];
const PORTS: [u16; 2] = [7, 8];
const SECONDS: u16 = 9;
const MICROS: u16 = 10;
const PROTOCOL_TYPE: u16 = 11;
const AGENT: u16 = 12;
const PAYLOAD: u16 = 15;
const COMPRESSED: u16 = 16;

/// As Linux numbers families, wherever the agent runs.
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The protocol type of SIP.
const SIP: u8 = 1;

/// Agents borrow the number of XNS-IDP for TLS, which has none.
const TLS: u8 = 22;

/// Octets without magic word that are kept while one is looked for.
const MOST_SKIPPED: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[u8] = b"OPTIONS sip:a SIP/2.0\r\n\r\n";

    fn packet(from: &str, to: &str, transport: Transport) -> Packet {
        let socket = |text: &str| text.parse().expect("an address");
        let ends = Some(Ends { from: socket(from), to: socket(to), transport });
        Packet {
            since_epoch: Some(Duration::new(1_394_112_889, 416_000_000)),
            agent: Some(2001),
            message: Message {
                protocol: Protocol::Sip,
                ends,
                protection: Protection::Unknown,
                cut: false,
                bytes: OPTIONS.to_vec(),
            },
        }
    }

    fn written(packet: &Packet) -> Vec<u8> {
        let mut out = Vec::new();
        write(packet, &mut out).expect("short SIP");
        out
    }

    /// Magic and length around chunks.
    fn framed(chunks: &[(u16, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = b"HEP3\0\0".to_vec();
        for (vendor, kind, value) in chunks {
            let length = u16::try_from(6 + value.len()).expect("short");
            bytes.extend([vendor.to_be_bytes(), kind.to_be_bytes(), length.to_be_bytes()].concat());
            bytes.extend_from_slice(value);
        }
        let length = u16::try_from(bytes.len()).expect("short").to_be_bytes();
        bytes[4..6].copy_from_slice(&length);
        bytes
    }

    #[test]
    fn the_chunks_are_those_of_the_specification() {
        let bytes = written(&packet("10.0.0.1:5060", "10.0.0.2:5062", Transport::Udp));
        let expected = [
            &b"HEP3\0\x7c"[..],
            b"\0\0\0\x01\0\x07\x02",
            b"\0\0\0\x02\0\x07\x11",
            b"\0\0\0\x03\0\x0a\x0a\0\0\x01",
            b"\0\0\0\x04\0\x0a\x0a\0\0\x02",
            b"\0\0\0\x07\0\x08\x13\xc4",
            b"\0\0\0\x08\0\x08\x13\xc6",
            b"\0\0\0\x09\0\x0a\x53\x18\x79\x79",
            b"\0\0\0\x0a\0\x0a\0\x06\x59\0",
            b"\0\0\0\x0b\0\x07\x01",
            b"\0\0\0\x0c\0\x0a\0\0\x07\xd1",
            b"\0\0\0\x0f\0\x1f",
            OPTIONS,
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for transport in [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Sctp] {
            for (from, to) in [("10.0.0.1:5060", "10.0.0.2:0"), ("[2001:db8::1]:5060", "[::]:65535")] {
                let packet = packet(from, to, transport);
                assert_eq!(parse(&written(&packet)), Ok(packet));
            }
        }
        let mut bare = packet("10.0.0.1:1", "10.0.0.2:2", Transport::Udp);
        (bare.since_epoch, bare.agent, bare.message.ends) = (None, None, None);
        assert_eq!(parse(&written(&bare)), Ok(bare));
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let mut packet = packet("10.0.0.1:1", "10.0.0.2:2", Transport::Udp);
        let mut out = b"before".to_vec();
        packet.message.bytes = vec![b'x'; 65_500];
        assert_eq!(write(&packet, &mut out), Err(Unwritable::TooLong));
        packet.message.protocol = Protocol::Diameter;
        assert_eq!((write(&packet, &mut out), out), (Err(Unwritable::Diameter), b"before".to_vec()));
    }

    #[test]
    fn chunks_of_vendors_and_unknown_types_are_passed_over() {
        let bytes = framed(&[(3, 15, b"no payload"), (0, 11, &[1]), (0, 17, b"correlation"), (0, 15, OPTIONS)]);
        assert_eq!(parse(&bytes).map(|packet| packet.message.bytes), Ok(OPTIONS.to_vec()));
    }

    #[test]
    fn each_fault_has_its_reason() {
        let of = |chunks: &[(u16, u16, &[u8])]| parse(&framed(chunks));
        let mut cut = framed(&[(0, 15, OPTIONS)]);
        cut.pop();
        let mut long = framed(&[(0, 15, OPTIONS)]);
        long[11] += 1;
        let mut rest = framed(&[(0, 11, &[1]), (0, 15, OPTIONS)]);
        rest[11] = 0;
        let all = [
            (parse(b"HEP2"), HepError::Magic),
            (parse(b"HEP3\0"), HepError::Cut),
            (parse(b"HEP3\0\x05"), HepError::Length),
            (parse(&cut), HepError::Cut),
            (parse(&long), HepError::Length),
            (parse(&rest), HepError::Length),
            (of(&[(0, 7, &[1]), (0, 15, OPTIONS)]), HepError::Chunk),
            (of(&[(0, 11, &[1])]), HepError::NoMessage),
            (of(&[(0, 11, &[1]), (0, 15, b"\r\n\r\n")]), HepError::NoMessage),
            (of(&[(0, 11, &[1]), (0, 16, b"x\x9c")]), HepError::Compressed),
            (of(&[(0, 11, &[5]), (0, 15, b"{}")]), HepError::Protocol),
        ];
        for (found, fault) in all {
            assert_eq!(found, Err(fault));
            assert_eq!(fault.reason(), fault.to_string());
        }
    }

    #[test]
    fn diameter_is_known_by_its_length() {
        let mut message = [0; 20];
        (message[0], message[3]) = (1, 20);
        let found = parse(&framed(&[(0, 11, &[56]), (0, 15, &message)]));
        assert_eq!(found.map(|packet| packet.message.protocol), Ok(Protocol::Diameter));
    }

    #[test]
    fn a_file_is_read_over_what_is_no_packet() {
        let first = packet("10.0.0.1:5060", "10.0.0.2:5060", Transport::Udp);
        let mut second = first.clone();
        second.since_epoch = Some(Duration::new(1_394_112_890, 0));
        let compressed = framed(&[(0, 16, b"x")]);
        let file = [&written(&first)[..], b"rubbish", &compressed, &written(&second), b"HEP3\0\xff"].concat();
        let found: Vec<_> = Reader::new(&file[..]).map(|sighting| sighting.expect("memory does not fail")).collect();
        let shapes: Vec<_> = found
            .iter()
            .map(|sighting| match &sighting.seen {
                Seen::Unread(unread) => (sighting.place, unread.reason, unread.octets),
                _ => (sighting.place, "", 0),
            })
            .collect();
        let place = Place::Packet;
        let expected = [
            (place(1), "", 0),
            (place(2), "no HEP 3", 7),
            (place(3), "a HEP packet with a compressed payload, which is not unpacked", 13),
            (place(4), "", 0),
            (place(5), "a HEP packet that is cut", 6),
        ];
        assert_eq!(shapes, expected);
        let times = [found[0].at, found[3].at].map(|at| at.map(Instant::as_micros));
        assert_eq!(times, [Some(0), Some(584_000)]);
    }

    #[test]
    fn rubbish_does_not_fill_the_memory() {
        let rubbish = vec![b'H'; 3 * MOST_SKIPPED];
        let found: Vec<_> = Reader::new(&rubbish[..]).map(|sighting| sighting.expect("memory does not fail")).collect();
        let octets: usize = found
            .iter()
            .map(|sighting| match &sighting.seen {
                Seen::Unread(unread) => unread.octets,
                _ => 0,
            })
            .sum();
        assert_eq!(octets, rubbish.len());
        assert!(found.len() < 10);
    }
}
