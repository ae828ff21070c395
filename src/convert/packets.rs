//! IP packets of what a trace shows: a datagram, segment or chunk for each message, and those steps of connections that
//! the trace has.

use crate::capture::headers::{self, ACK, FIN, PSH, SYN};
use crate::ip;
use crate::ip::transport::{RST, TcpFields, write_tcp, write_udp};
use crate::packet::Transport;
use crate::trace::{Connection, Ends, Esp, Message, Protection, Sealed, Step};
use memchr::memmem;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

/// Makes packets. Sequence numbers go on from packet to packet.
#[derive(Default, Debug)]
pub struct Packets {
    streams: HashMap<(SocketAddr, SocketAddr), u32>,
    chunks: HashMap<(SocketAddr, SocketAddr), u32>,
}

/// A packet from its IP header on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// What is there of it.
    pub octets: Vec<u8>,
    /// How many octets it had.
    pub original: usize,
}

/// Seals what was in an ESP packet: appends the packet from SPI to ICV to the last argument. False: it cannot.
pub type Seal<'a> = dyn FnMut(&Esp, IpAddr, IpAddr, u8, &[u8], &mut Vec<u8>) -> bool + 'a;

impl Packets {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The packets of a message. With `seal`, one that came in ESP goes into ESP.
    pub fn message(&mut self, message: &Message, ends: Ends, mut seal: Option<&mut Seal<'_>>) -> Vec<Packet> {
        self.forget();
        let mut packets = Vec::new();
        let mut rest = &message.bytes[..];
        loop {
            let (part, behind) = rest.split_at(rest.len().min(headers::LARGEST_PAYLOAD));
            let is_last = behind.is_empty();
            // One octet more, and then cut: a reader sees that more was sent.
            let is_cut = message.cut && is_last;
            let longer = if is_cut { [part, b" "].concat() } else { Vec::new() };
            let data = if is_cut { &longer[..] } else { part };
            let mut packet = self.packet(message.protection, ends, PSH | ACK, data, &mut seal);
            if is_cut && let Some(start) = memmem::rfind(&packet.octets, data) {
                // With what ESP puts behind it. What is encrypted cannot be read at all where it is cut.
                packet.octets.truncate(start + part.len());
            }
            packets.push(packet);
            rest = behind;
            if is_last || !ends.transport.is_stream() {
                return packets;
            }
        }
    }

    /// The packet of a step in the life of a connection; those of SCTP associations are left out.
    pub fn step(&mut self, connection: &Connection, mut seal: Option<&mut Seal<'_>>) -> Option<Packet> {
        let Connection { ends, protection, step } = *connection;
        if !ends.transport.is_stream() {
            return None;
        }
        let flags = match step {
            Step::Asked => SYN,
            Step::Accepted => SYN | ACK,
            Step::Closed => FIN | ACK,
            Step::Reset => RST | ACK,
            Step::Gap => {
                let next = self.next(ends.from, ends.to);
                *next = next.wrapping_add(A_GAP);
                return None;
            }
        };
        if flags & SYN != 0 {
            // A connection anew: far from the numbers of one before it.
            let next = self.next(ends.from, ends.to);
            *next = next.wrapping_add(A_CONNECTION);
        }
        Some(self.packet(protection, ends, flags, b"", &mut seal))
    }

    /// An ESP packet that stays shut.
    pub fn sealed(&self, sealed: &Sealed) -> Packet {
        let mut octets = Vec::new();
        let head = [sealed.spi.to_be_bytes(), sealed.sequence.to_be_bytes()].concat();
        let is_cut = sealed.esp.is_empty();
        ip::write(&mut octets, sealed.from, sealed.to, ip::ESP, if is_cut { &head } else { &sealed.esp });
        let original = octets.len() + if is_cut { A_CUT } else { 0 };
        Packet { octets, original }
    }

    fn packet(
        &mut self,
        protection: Protection,
        ends: Ends,
        flags: u8,
        data: &[u8],
        seal: &mut Option<&mut Seal<'_>>,
    ) -> Packet {
        let Ends { from, to, transport } = ends;
        let mut segment = Vec::new();
        let number = match transport {
            Transport::Udp => {
                write_udp(&mut segment, from, to, data);
                ip::UDP
            }
            Transport::Sctp => {
                let sent = self.chunks.entry((from, to)).or_default();
                let number = *sent;
                *sent = sent.wrapping_add(1);
                let mut octets = Vec::new();
                headers::sctp(&mut octets, from, to, number, data);
                let original = octets.len();
                return Packet { octets, original };
            }
            Transport::Tcp | Transport::Tls => {
                let acknowledged = if flags & ACK == 0 { 0 } else { *self.next(to, from) };
                let next = self.next(from, to);
                let fields = TcpFields { sequence: *next, acknowledged, flags };
                let counted = data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
                *next = next.wrapping_add(counted);
                write_tcp(&mut segment, from, to, fields, data);
                ip::TCP
            }
        };
        let mut octets = Vec::new();
        let mut esp = Vec::new();
        let is_sealed = match (protection, seal) {
            (Protection::Esp(head), Some(seal)) => seal(&head, from.ip(), to.ip(), number, &segment, &mut esp),
            _ => false,
        };
        if is_sealed {
            ip::write(&mut octets, from.ip(), to.ip(), ip::ESP, &esp);
        } else {
            ip::write(&mut octets, from.ip(), to.ip(), number, &segment);
        }
        let original = octets.len();
        Packet { octets, original }
    }

    fn next(&mut self, from: SocketAddr, to: SocketAddr) -> &mut u32 {
        self.streams.entry((from, to)).or_insert(1)
    }

    /// Of very many connections, none is long.
    fn forget(&mut self) {
        if self.streams.len() > MOST_STREAMS {
            self.streams.clear();
        }
        if self.chunks.len() > MOST_STREAMS {
            self.chunks.clear();
        }
    }
}

const MOST_STREAMS: usize = 1 << 18;
const A_GAP: u32 = 10_000;
const A_CONNECTION: u32 = 10_000_000;
const A_CUT: usize = 64;
