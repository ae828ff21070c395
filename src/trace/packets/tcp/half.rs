//! One direction of a connection: segments put into their order.

use super::connection::Carries;
use super::framing::{Content, Framing, Rest};
use super::{Octets, Out, Point, Segment, content, hep};
use crate::packet::{Protocol, Transport};
use crate::time::Instant;
use crate::trace::{Ends, Step};
use std::net::{Ipv4Addr, SocketAddr};

/// What was sent one way.
#[derive(Debug)]
pub(super) struct Half {
    ends: Ends,
    /// The sequence number of the SYN.
    first: Option<u32>,
    /// The number of the next octet.
    next: Option<u32>,
    /// In order, and not a whole message yet.
    buffer: Vec<u8>,
    framing: Framing,
    /// Where the last octets of `buffer` were seen.
    point: Option<Point>,
    /// Beyond what is missing, by their distance from it.
    ahead: Vec<Ahead>,
    /// The first of them when it was last looked at.
    waits_with: Option<u64>,
    is_closed: bool,
}

/// A segment that came before others that belong in front of it.
#[derive(Debug)]
struct Ahead {
    point: Point,
    sequence: u32,
    data: Vec<u8>,
    missing: usize,
}

impl Default for Half {
    fn default() -> Self {
        let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        Self {
            ends: Ends { from: nowhere, to: nowhere, transport: Transport::Tcp },
            first: None,
            next: None,
            buffer: Vec::new(),
            framing: Framing::default(),
            point: None,
            ahead: Vec::new(),
            waits_with: None,
            is_closed: false,
        }
    }
}

impl Half {
    pub(super) fn held(&self) -> usize {
        self.buffer.len() + self.ahead.iter().map(|ahead| ahead.data.len() + size_of::<Ahead>()).sum::<usize>()
    }

    /// True for the SYN that was seen already.
    pub(super) fn begins_with(&self, sequence: u32) -> bool {
        self.first == Some(sequence)
    }

    pub(super) const fn is_used(&self) -> bool {
        self.next.is_some()
    }

    /// A SYN.
    pub(super) const fn begin(&mut self, sequence: u32) {
        self.first = Some(sequence);
        self.next = Some(sequence.wrapping_add(1));
        self.framing.is_at_message = true;
    }

    /// A segment with data. Without a SYN the stream is read from here on.
    pub(super) const fn meet(&mut self, ends: Ends, sequence: u32, begins_message: bool) {
        self.ends = ends;
        if self.next.is_none() {
            self.next = Some(sequence);
            self.framing.is_at_message = begins_message;
        }
    }

    /// Notes a FIN. False if there was one before.
    pub(super) const fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.is_closed, true)
    }

    /// What the stream carries, told by what is in order, and by its ports where that tells nothing.
    pub(super) fn guess(&self, segment: &Segment<'_>, sequence: u32, is_expected: bool) -> Carries {
        if self.next != Some(sequence) {
            // Whatever comes before it may tell.
            return if segment.begins_message() { carried(segment.data.bytes) } else { Carries::Unknown };
        }
        let mut joined;
        let bytes = match self.buffer.is_empty() {
            true => segment.data.bytes,
            false => {
                joined = self.buffer.clone();
                joined.extend_from_slice(segment.data.bytes);
                &joined
            }
        };
        let bytes = &bytes[bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count()..];
        let found = carried(bytes);
        let is_short = !segment.data.is_cut() && bytes.len() < content::LEAST_DIAMETER && bytes.first() == Some(&1);
        match found {
            Carries::Unknown if bytes.is_empty() || is_short => Carries::Unknown,
            Carries::Unknown if !segment.data.is_cut() && self.framing.is_at_message && may_become_sip(bytes) => {
                Carries::Unknown
            }
            Carries::Unknown if content::begins_tls(bytes) => Carries::Other,
            Carries::Unknown if is_expected && segment.is_of_port(content::is_diameter_port) => Carries::Diameter,
            Carries::Unknown if is_expected => Carries::Sip,
            Carries::Unknown => Carries::Other,
            found => found,
        }
    }

    pub(super) fn receive(&mut self, point: Point, sequence: u32, data: Octets<'_>, carries: Carries, out: &mut Out) {
        let next = self.next.unwrap_or(sequence);
        let distance = sequence.wrapping_sub(next) as i32;
        if distance.unsigned_abs() > FARTHEST {
            // Another connection of the same ports, whose beginning was not seen.
            self.finish(carries, out);
            self.next = Some(sequence);
            self.framing.is_at_message = carried(data.bytes) != Carries::Unknown;
            return self.take(point, data, carries, out);
        }
        let behind = distance.min(0).unsigned_abs() as usize;
        if distance > 0 {
            let at = self.ahead.partition_point(|other| (other.sequence.wrapping_sub(sequence) as i32) < 0);
            let known = self
                .ahead
                .get(at)
                .is_some_and(|other| other.sequence == sequence && other.data.len() >= data.bytes.len());
            if known {
                out.summary.retransmitted += 1;
                return;
            }
            let Octets { bytes, missing } = data;
            self.ahead.insert(at, Ahead { point, sequence, data: bytes.to_vec(), missing });
            if self.ahead.len() > MOST_AHEAD || self.held() > MOST_HELD {
                self.give_up(carries, out);
            }
        } else if behind >= data.bytes.len() + data.missing && behind > 0 {
            // One octet before the next is how TCP asks whether the other side is alive.
            out.summary.retransmitted += u64::from(data.bytes.len() > 1);
        } else {
            let data = Octets { bytes: data.bytes.get(behind..).unwrap_or_default(), ..data };
            self.take(point, data, carries, out);
            self.catch_up(carries, out);
        }
    }

    /// Since when something is missing, if that was not asked before.
    pub(super) fn began_to_wait(&mut self) -> Option<Instant> {
        let first = self.ahead.first()?;
        let is_new = self.waits_with.replace(first.point.number) != Some(first.point.number);
        is_new.then_some(first.point.now)
    }

    pub(super) fn is_waiting_since(&self, since: Instant) -> bool {
        self.ahead.first().is_some_and(|first| first.point.now <= since)
    }

    /// What is missing will not come: reading goes on behind it, at the next message.
    pub(super) fn give_up(&mut self, carries: Carries, out: &mut Out) {
        let Some(first) = self.ahead.first() else { return };
        let (point, sequence) = (first.point, first.sequence);
        self.drop_rest(out);
        if carries.is_ours() {
            out.connection(point, self.ends, Step::Gap);
        }
        self.framing.is_at_message = false;
        self.next = Some(sequence);
        self.catch_up(carries, out);
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self, carries: Carries, out: &mut Out) {
        while !self.ahead.is_empty() {
            self.give_up(carries, out);
        }
        self.drop_rest(out);
        self.framing.tell_skipped(self.point, out);
    }

    pub(super) fn drop_all(&mut self) {
        *self = Self { first: self.first, next: self.next, is_closed: self.is_closed, ..Self::default() };
    }

    /// Segments that belong next.
    fn catch_up(&mut self, carries: Carries, out: &mut Out) {
        while let Some(first) = self.ahead.first() {
            let behind = self.next.map_or(0, |next| next.wrapping_sub(first.sequence) as i32);
            if behind < 0 {
                break;
            }
            let Ahead { point, data, missing, .. } = self.ahead.remove(0);
            let behind = behind.unsigned_abs() as usize;
            if behind < data.len() + missing {
                let bytes = data.get(behind..).unwrap_or_default();
                self.take(point, Octets { bytes, missing }, carries, out);
            }
        }
    }

    /// Takes octets that are next.
    fn take(&mut self, point: Point, data: Octets<'_>, carries: Carries, out: &mut Out) {
        let len = (data.bytes.len() + data.missing) as u32;
        self.next = self.next.map(|next| next.wrapping_add(len));
        self.point = Some(point);
        let content = match carries {
            Carries::Sip => Content::Message(Protocol::Sip),
            Carries::Diameter => Content::Message(Protocol::Diameter),
            Carries::Hep => Content::Hep,
            Carries::Unknown | Carries::Other => {
                self.buffer.extend_from_slice(data.bytes);
                return;
            }
        };
        let mut bytes = std::mem::take(&mut self.buffer);
        if bytes.is_empty() {
            // Nearly every segment begins with a message and ends with one.
            let used = self.framing.read(content, point, self.ends, data.bytes, out);
            bytes.extend_from_slice(&data.bytes[used..]);
        } else {
            bytes.extend_from_slice(data.bytes);
            let used = self.framing.read(content, point, self.ends, &bytes, out);
            bytes.drain(..used);
        }
        self.buffer = bytes;
        if data.is_cut() {
            self.drop_rest(out);
            self.framing.is_at_message = false;
        }
    }

    /// What is there of a message whose rest will not come.
    fn drop_rest(&mut self, out: &mut Out) {
        let bytes = std::mem::take(&mut self.buffer);
        let Some(point) = self.point else { return };
        match Rest::of(&bytes, self.framing.is_at_message) {
            Rest::Nothing => {}
            Rest::Message(protocol) => out.message(point, protocol, self.ends, true, &bytes),
            Rest::Unread => out.unread(point, "the rest of a stream, no message", bytes.len()),
        }
    }
}

fn carried(bytes: &[u8]) -> Carries {
    if content::begins_sip(bytes) {
        Carries::Sip
    } else if content::begins_diameter(bytes) {
        Carries::Diameter
    } else if bytes.starts_with(hep::MAGIC) {
        Carries::Hep
    } else {
        Carries::Unknown
    }
}

fn may_become_sip(bytes: &[u8]) -> bool {
    content::may_become_sip(bytes)
}

/// Half of what a window without scaling could hold many times.
const FARTHEST: u32 = 1 << 24;
const MOST_AHEAD: usize = 64;
const MOST_HELD: usize = 3 << 20;
