//! Writing a capture while it happens: pcapng with synthetic IP, UDP, TCP and SCTP headers, as Wireshark reads it.
//!
//! What went over SAs whose packets a plane hands in as well is there twice: as ESP on the interface `wire`, where all that
//! is in clear on the wire is too, and as text on the interface `clear`. What went over TLS is written in clear, on a TCP connection with its addresses: the file is for reading SIP, and keys of
//! sessions are nobody's business.

use super::headers::{self, ACK, FIN, LARGEST_PAYLOAD, PSH, SYN, TcpFields};
use super::{CLEAR_INTERFACE, Hop};
use crate::ipsec::association::SaSetId;
use crate::packet::Transport;
use crate::time::{Epoch, Instant};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_file::{DataLink, PcapError};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Appends messages to a pcapng file. Every block is whole once written, so the file can be read at any time.
pub struct Writer<W: Write> {
    blocks: PcapNgWriter<W>,
    epoch: Epoch,
    connections: HashMap<(SocketAddr, SocketAddr), Connection>,
    /// How many DATA chunks went each way, by sender and receiver.
    associations: HashMap<(SocketAddr, SocketAddr), u32>,
    /// Ports given to senders that only said "any port", by address and server.
    any_port: HashMap<(IpAddr, SocketAddr), u16>,
    /// Sets whose packets come in as they are on the wire.
    sealed: HashSet<SaSetId>,
    has_clear: bool,
    frame: Vec<u8>,
    last: Instant,
}

/// Both directions of a TCP connection, the client's first.
#[derive(Debug)]
struct Connection {
    next: [u32; 2],
    interface: u32,
}

impl<W: Write> Writer<W> {
    /// Writes the head of the file.
    pub fn new(out: W, epoch: Epoch) -> io::Result<Self> {
        let mut blocks = PcapNgWriter::new(out).map_err(to_io)?;
        blocks.write_pcapng_block(interface("wire")).map_err(to_io)?;
        Ok(Self {
            blocks,
            epoch,
            connections: HashMap::new(),
            associations: HashMap::new(),
            any_port: HashMap::new(),
            sealed: HashSet::new(),
            has_clear: false,
            frame: Vec::new(),
            last: Instant::ZERO,
        })
    }

    /// From now on, messages over the SAs of this set are clear text that is not on the wire.
    pub fn sealed(&mut self, set: SaSetId) -> io::Result<()> {
        self.sealed.insert(set);
        if !self.has_clear {
            self.blocks.write_pcapng_block(interface(CLEAR_INTERFACE)).map_err(to_io)?;
            self.has_clear = true;
        }
        Ok(())
    }

    /// Adds an IP packet as it is on the wire.
    pub fn wire(&mut self, at: Instant, packet: &[u8]) -> io::Result<()> {
        self.last = self.last.max(at);
        self.frame.clear();
        self.frame.extend_from_slice(packet);
        self.write(at, WIRE)
    }

    /// Adds a message. A TCP connection that was not seen before is opened first.
    pub fn hop(&mut self, hop: &Hop) -> io::Result<()> {
        self.last = self.last.max(hop.at);
        match hop.transport {
            Transport::Udp => {
                let payload = &hop.bytes[..hop.bytes.len().min(LARGEST_PAYLOAD)];
                self.frame.clear();
                headers::udp(&mut self.frame, hop.from, hop.to, payload);
                self.write(hop.at, self.interface_of(hop))
            }
            Transport::Tcp | Transport::Tls => self.stream(hop),
            Transport::Sctp => self.association(hop),
        }
    }

    /// Ends the connections and the file.
    pub fn finish(mut self) -> io::Result<()> {
        let mut open: Vec<_> = self.connections.keys().copied().collect();
        open.sort_unstable();
        let at = self.last;
        for (client, server) in open {
            self.segment(at, client, server, FIN | ACK, b"")?;
            self.segment(at, server, client, FIN | ACK, b"")?;
            self.segment(at, client, server, ACK, b"")?;
        }
        self.flush()
    }

    /// Writes buffered blocks through.
    pub fn flush(&mut self) -> io::Result<()> {
        self.blocks.get_mut().flush()
    }

    fn stream(&mut self, hop: &Hop) -> io::Result<()> {
        let at = hop.at;
        let (from, to) = self.ends(hop.from, hop.to);
        if !self.connections.contains_key(&(from, to)) && !self.connections.contains_key(&(to, from)) {
            self.connections.insert((from, to), Connection { next: [0, 0], interface: self.interface_of(hop) });
            self.segment(at, from, to, SYN, b"")?;
            self.segment(at, to, from, SYN | ACK, b"")?;
            self.segment(at, from, to, ACK, b"")?;
        }
        for part in hop.bytes.chunks(LARGEST_PAYLOAD) {
            self.segment(at, from, to, PSH | ACK, part)?;
        }
        Ok(())
    }

    /// One message as one DATA chunk. The handshake of an association tells a reader nothing and is left out.
    fn association(&mut self, hop: &Hop) -> io::Result<()> {
        let (from, to) = self.ends(hop.from, hop.to);
        let sent = self.associations.entry((from, to)).or_default();
        let number = *sent;
        *sent = sent.wrapping_add(1);
        self.frame.clear();
        headers::sctp(&mut self.frame, from, to, number, &hop.bytes[..hop.bytes.len().min(LARGEST_PAYLOAD)]);
        self.write(hop.at, WIRE)
    }

    /// The addresses to write: port 0 becomes a port of its own, and answers go to it.
    fn ends(&mut self, from: SocketAddr, to: SocketAddr) -> (SocketAddr, SocketAddr) {
        if from.port() == 0 {
            let given = u16::try_from(self.any_port.len() % 16_000).unwrap_or(0);
            let port = *self.any_port.entry((from.ip(), to)).or_insert(49_152 + given);
            return (SocketAddr::new(from.ip(), port), to);
        }
        let known = |a, b| self.connections.contains_key(&(a, b));
        match self.any_port.get(&(to.ip(), from)) {
            Some(port) if !known(from, to) && !known(to, from) => (from, SocketAddr::new(to.ip(), *port)),
            _ => (from, to),
        }
    }

    fn segment(&mut self, at: Instant, from: SocketAddr, to: SocketAddr, flags: u8, data: &[u8]) -> io::Result<()> {
        let forth = self.connections.contains_key(&(from, to));
        let key = if forth { (from, to) } else { (to, from) };
        let connection = self.connections.get_mut(&key).expect("opened before its segments");
        let (own, other) = if forth { (0, 1) } else { (1, 0) };
        let acknowledged = if flags & ACK == 0 { 0 } else { connection.next[other] };
        let fields = TcpFields { sequence: connection.next[own], acknowledged, flags };
        let counted = u32::from(flags & (SYN | FIN) != 0) + u32::try_from(data.len()).unwrap_or(0);
        connection.next[own] = connection.next[own].wrapping_add(counted);
        self.frame.clear();
        let interface = connection.interface;
        headers::tcp(&mut self.frame, from, to, fields, data);
        self.write(at, interface)
    }

    fn interface_of(&self, hop: &Hop) -> u32 {
        if hop.sa.is_some_and(|sa| self.sealed.contains(&sa.set)) { CLEAR } else { WIRE }
    }

    fn write(&mut self, at: Instant, interface_id: u32) -> io::Result<()> {
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_micros(self.epoch.unix_micros(at)),
            original_len: u32::try_from(self.frame.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(&self.frame),
            options: Vec::new(),
        };
        self.blocks.write_pcapng_block(block).map(drop).map_err(to_io)
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

fn interface(name: &'static str) -> InterfaceDescriptionBlock<'static> {
    // The crate counts nanoseconds; a reader takes microseconds unless it is told.
    let options = vec![InterfaceDescriptionOption::IfName(name.into()), InterfaceDescriptionOption::IfTsResol(9)];
    InterfaceDescriptionBlock { linktype: DataLink::RAW, snaplen: 0, options }
}

/// The interfaces, in the order in which they are described.
const WIRE: u32 = 0;
const CLEAR: u32 = 1;

fn to_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
