//! SCTP (RFC 9260): chunks with Diameter, fragmented ones put together.

use super::content;
use super::network::Payload;
use super::{Out, Point};
use crate::diameter::header;
use crate::packet::{Protocol, Transport};
use crate::trace::recent::Recent;
use crate::trace::{Ends, Step};
use std::net::SocketAddr;

/// Both directions of every association apart.
#[derive(Debug)]
pub(super) struct Associations {
    directions: Recent<(SocketAddr, SocketAddr), Direction>,
}

impl Default for Associations {
    fn default() -> Self {
        Self { directions: Recent::new(MOST_DIRECTIONS) }
    }
}

/// What went one way.
#[derive(Default, Debug)]
struct Direction {
    /// The numbers of chunks that were taken of late.
    taken: Vec<u32>,
    next: usize,
    /// In the order of their numbers.
    parts: Vec<Part>,
}

/// A chunk that is a part of a message.
#[derive(Debug)]
struct Part {
    point: Point,
    number: u32,
    flags: u8,
    data: Vec<u8>,
}

/// True for a packet in which there is something for us.
pub(super) fn wants(payload: Payload<'_>) -> bool {
    let Some(&[s0, s1, d0, d1]) = payload.octets.bytes.first_chunk() else { return true };
    let is_expected = [[s0, s1], [d0, d1]].into_iter().any(|port| content::is_diameter_port(u16::from_be_bytes(port)));
    is_expected
        || Chunks::of(payload).any(|chunk| {
            chunk.kind == DATA && data(&chunk).is_some_and(|data| data.identifier == 46 || is_diameter(&data))
        })
}

impl Associations {
    pub(super) fn receive(&mut self, point: Point, payload: Payload<'_>, out: &mut Out) {
        let Payload { source, destination, octets, .. } = payload;
        let Some(&[s0, s1, d0, d1]) = octets.bytes.first_chunk() else {
            return out.unread(point, "an SCTP packet cut off in its head", octets.bytes.len());
        };
        let from = SocketAddr::new(source, u16::from_be_bytes([s0, s1]));
        let to = SocketAddr::new(destination, u16::from_be_bytes([d0, d1]));
        let ends = Ends { from, to, transport: Transport::Sctp };
        for chunk in Chunks::of(payload) {
            match chunk.kind {
                DATA => self.data(point, ends, &chunk, out),
                INIT | INIT_ACK => {
                    // Chunks are numbered anew.
                    self.directions.insert((from, to), Direction::default());
                    out.connection(point, ends, if chunk.kind == INIT { Step::Asked } else { Step::Accepted });
                }
                ABORT => out.connection(point, ends, Step::Reset),
                SHUTDOWN => out.connection(point, ends, Step::Closed),
                _ => {}
            }
        }
    }

    /// Parts that never became a message are gaps.
    pub(super) fn finish(&mut self, out: &mut Out) {
        let mut parts: Vec<Part> = self.directions.drain().flat_map(|(_, direction)| direction.parts).collect();
        parts.sort_unstable_by_key(|part| part.point.number);
        for part in parts {
            out.unread(part.point, MISSING, part.data.len());
        }
    }

    fn data(&mut self, point: Point, ends: Ends, chunk: &Chunk<'_>, out: &mut Out) {
        let Some(data) = data(chunk) else {
            return out.unread(point, "a chunk of SCTP cut off in its head", chunk.body.len());
        };
        let key = (ends.from, ends.to);
        if self.directions.get_mut(&key).is_none() {
            self.directions.insert(key, Direction::default());
        }
        let direction = self.directions.get_mut(&key).expect("inserted above");
        if direction.taken.contains(&data.number) {
            out.summary.retransmitted += 1;
            return;
        }
        direction.note(data.number);
        if matches!(data.identifier, 46 | 47) && matches!(data.octets, [0x14..=0x17, 0xfe, ..]) {
            return out.unread(point, "Diameter over DTLS, whose keys are not in the trace", data.octets.len());
        }
        if chunk.flags & BOTH == BOTH {
            return message(point, ends, chunk.missing > 0, data.octets, out);
        }
        if chunk.missing > 0 {
            return out.unread(point, "a part of a message of SCTP that is cut", data.octets.len());
        }
        let part = Part { point, number: data.number, flags: chunk.flags, data: data.octets.to_vec() };
        if let Some(whole) = direction.insert(part) {
            message(point, ends, false, &whole, out);
        } else if direction.parts.len() > MOST_PARTS {
            let part = direction.parts.remove(0);
            out.unread(part.point, MISSING, part.data.len());
        }
    }
}

fn message(point: Point, ends: Ends, is_cut: bool, octets: &[u8], out: &mut Out) {
    if content::begins_diameter(octets) {
        let len = header::frame(octets, content::LONGEST_DIAMETER);
        let len = len.and_then(Result::ok).unwrap_or(octets.len());
        let is_cut = is_cut || len > octets.len();
        out.message(point, Protocol::Diameter, ends, is_cut, &octets[..len.min(octets.len())]);
    } else if content::sip_start(octets) == Some(0) {
        out.message(point, Protocol::Sip, ends, is_cut, octets);
    } else {
        out.unread(point, "a message of SCTP that is no Diameter message", octets.len());
    }
}

impl Direction {
    fn note(&mut self, number: u32) {
        if self.taken.len() < MOST_TAKEN {
            self.taken.push(number);
        } else {
            self.taken[self.next % MOST_TAKEN] = number;
            self.next += 1;
        }
    }

    /// Puts a part to the others: the message that it completes.
    fn insert(&mut self, part: Part) -> Option<Vec<u8>> {
        let at = self.parts.partition_point(|other| (other.number.wrapping_sub(part.number) as i32) < 0);
        self.parts.insert(at, part);
        let follows =
            |a: &Part, b: &Part| a.flags & END == 0 && b.flags & BEGIN == 0 && a.number.wrapping_add(1) == b.number;
        let mut first = at;
        while first > 0 && follows(&self.parts[first - 1], &self.parts[first]) {
            first -= 1;
        }
        let mut last = at;
        while last + 1 < self.parts.len() && follows(&self.parts[last], &self.parts[last + 1]) {
            last += 1;
        }
        if self.parts[first].flags & BEGIN != 0 && self.parts[last].flags & END != 0 {
            return Some(self.parts.drain(first..=last).flat_map(|part| part.data).collect());
        }
        None
    }
}

#[derive(Clone, Copy)]
struct Chunk<'a> {
    kind: u8,
    flags: u8,
    body: &'a [u8],
    missing: usize,
}

/// The chunks of a packet.
struct Chunks<'a> {
    rest: &'a [u8],
    missing: usize,
}

impl<'a> Chunks<'a> {
    /// Behind the common header.
    fn of(payload: Payload<'a>) -> Self {
        Self { rest: payload.octets.bytes.get(12..).unwrap_or_default(), missing: payload.octets.missing }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let [kind, flags, l0, l1] = *self.rest.first_chunk()?;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len < 4 {
            return None;
        }
        let body = &self.rest[4..len.min(self.rest.len())];
        let missing = if len > self.rest.len() { self.missing.max(len - self.rest.len()) } else { 0 };
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Chunk { kind, flags, body, missing })
    }
}

/// A DATA chunk behind its first four octets.
struct Data<'a> {
    number: u32,
    identifier: u32,
    octets: &'a [u8],
}

fn data<'a>(chunk: &Chunk<'a>) -> Option<Data<'a>> {
    let head: &[u8; 12] = chunk.body.first_chunk()?;
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    Some(Data { number: word(0), identifier: word(8), octets: &chunk.body[12..] })
}

/// RFC 6733 clause 2.1 has 46 and 47; older stacks leave it at 0.
fn is_diameter(data: &Data<'_>) -> bool {
    matches!(data.identifier, 0 | 47) && content::begins_diameter(data.octets)
}

const MISSING: &str = "a part of a message of SCTP whose other parts are missing";
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const ABORT: u8 = 6;
const SHUTDOWN: u8 = 7;
const END: u8 = 1;
const BEGIN: u8 = 2;
const BOTH: u8 = 3;
const MOST_DIRECTIONS: usize = 1_024;
const MOST_TAKEN: usize = 64;
const MOST_PARTS: usize = 64;
