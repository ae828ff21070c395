//! TCP: connections that carry SIP or Diameter, put together from their segments.
//!
//! What a connection carries is told by its first octets, or by its ports where it began before the capture. Of others
//! nothing is kept but that they are others. Steps of a connection are handed out where it carries messages, once that is
//! known, or at once on the ports of SIP and Diameter and inside ESP.

mod connection;
mod framing;
mod half;

use super::network::Payload;
use super::{Octets, Out, Point, Protection};
use super::{content, hep};
use crate::ip::transport::{FIN, RST, SYN};
use crate::packet::Transport;
use crate::time::{Duration, Instant};
use crate::trace::Ends;
use connection::{Carries, Connection};
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

/// A segment out of a capture. Its checksum is not judged: network cards compute it behind the capture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    from: SocketAddr,
    to: SocketAddr,
    sequence: u32,
    flags: u8,
    data: Octets<'a>,
}

/// The connections of late.
#[derive(Default, Debug)]
pub(super) struct Streams {
    connections: HashMap<Key, Connection, FixedState>,
    /// Who was connected to by somebody with SIP or Diameter.
    servers: HashSet<SocketAddr, FixedState>,
    /// When a connection was found to wait for octets that are missing, and which.
    waiting: VecDeque<(Instant, Key)>,
    /// Octets kept by all connections.
    held: usize,
}

/// The same text may stand beside its ESP in one capture, with sequence numbers of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Key {
    low: SocketAddr,
    high: SocketAddr,
    in_esp: bool,
}

impl<'a> Segment<'a> {
    /// `None` where not even the header is there.
    pub(super) fn read(payload: Payload<'a>) -> Option<Self> {
        let Payload { source, destination, octets, .. } = payload;
        let head: &[u8; 20] = octets.bytes.first_chunk()?;
        let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let header_len = usize::from(head[12] >> 4) * 4;
        if header_len < head.len() {
            return None;
        }
        let data = match octets.from(header_len) {
            Some(data) => data,
            // Cut within its options.
            None => Octets { bytes: &[], missing: octets.missing.saturating_sub(header_len - octets.bytes.len()) },
        };
        Some(Self {
            from: SocketAddr::new(source, port(0)),
            to: SocketAddr::new(destination, port(2)),
            sequence: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            flags: head[13],
            data,
        })
    }

    fn key(&self, point: Point) -> Key {
        let in_esp = matches!(point.protection, Protection::Esp(_));
        Key { low: self.from.min(self.to), high: self.from.max(self.to), in_esp }
    }

    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    const fn ends(&self) -> Ends {
        Ends { from: self.from, to: self.to, transport: Transport::Tcp }
    }

    fn begins_message(&self) -> bool {
        content::begins_sip(self.data.bytes)
            || content::begins_diameter(self.data.bytes)
            || self.data.bytes.starts_with(hep::MAGIC)
    }

    fn is_of_port(&self, is_expected: fn(u16) -> bool) -> bool {
        is_expected(self.from.port()) || is_expected(self.to.port())
    }
}

impl Streams {
    /// True for a segment that may tell something.
    pub(super) fn wants(&self, point: Point, segment: &Segment<'_>) -> bool {
        let has_data = !segment.data.bytes.is_empty() || segment.data.is_cut();
        let is_step = segment.has(SYN | FIN | RST);
        match self.connections.get(&segment.key(point)).map(|connection| connection.carries) {
            Some(Carries::Other) => segment.has(SYN) || (has_data && segment.begins_message()),
            Some(_) => has_data || is_step,
            None => has_data || segment.has(SYN) || (is_step && self.is_expected(point, segment)),
        }
    }

    /// Takes a segment that is no copy.
    pub(super) fn receive(&mut self, point: Point, segment: &Segment<'_>, out: &mut Out) {
        let key = segment.key(point);
        let is_expected = self.is_expected(point, segment);
        let connection = self.connections.entry(key).or_insert_with(|| Connection::new(key.low));
        let held = connection.held();
        let carried = connection.carries;
        connection.receive(point, segment, is_expected, out);
        if let Some(since) = connection.began_to_wait() {
            self.waiting.push_back((since, key));
        }
        self.held = self.held + connection.held() - held;
        if !carried.is_ours()
            && connection.carries.is_ours()
            && let Some(server) = connection.server
            && self.servers.len() < MOST_SERVERS
        {
            self.servers.insert(server);
        }
        if self.connections.len() > MOST_CONNECTIONS || self.held > MOST_HELD {
            self.forget_oldest(out);
        }
    }

    /// Gives up octets that were waited for too long.
    pub(super) fn pass_time(&mut self, now: Instant, out: &mut Out) {
        while self
            .waiting
            .front()
            .is_some_and(|(since, _)| *since + PATIENCE <= now || self.waiting.len() > MOST_CONNECTIONS)
        {
            let Some((since, key)) = self.waiting.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(&key) {
                let held = connection.held();
                connection.give_up(since, out);
                self.held = self.held + connection.held() - held;
            }
        }
    }

    /// The end of the trace: nothing more comes.
    pub(super) fn finish(&mut self, out: &mut Out) {
        let mut rest: Vec<_> = self.connections.drain().collect();
        rest.sort_unstable_by_key(|(key, connection)| (connection.last, *key));
        for (_, mut connection) in rest {
            connection.finish(out);
        }
        self.held = 0;
    }

    /// A quarter of the connections, those that said nothing for longest.
    fn forget_oldest(&mut self, out: &mut Out) {
        let mut ages: Vec<(u64, Key)> =
            self.connections.iter().map(|(key, connection)| (connection.last, *key)).collect();
        ages.sort_unstable();
        for (_, key) in &ages[..ages.len().div_ceil(4)] {
            if let Some(mut connection) = self.connections.remove(key) {
                self.held -= connection.held();
                connection.finish(out);
            }
        }
    }

    fn is_expected(&self, point: Point, segment: &Segment<'_>) -> bool {
        matches!(point.protection, Protection::Esp(_) | Protection::Unknown)
            || segment.is_of_port(|port| content::is_sip_port(port) || content::is_diameter_port(port))
            || self.servers.contains(&segment.to)
            || self.servers.contains(&segment.from)
    }
}

/// How long a segment that is missing is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_CONNECTIONS: usize = 16_384;
const MOST_SERVERS: usize = 4_096;
const MOST_HELD: usize = 32 << 20;
