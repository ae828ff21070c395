//! One connection: what it carries, and its two directions.

use super::half::Half;
use super::{Out, Point, Segment, content};
use crate::ip::transport::{ACK, FIN, RST, SYN};
use crate::time::Instant;
use crate::trace::{Ends, Step};
use std::net::SocketAddr;

/// A connection as far as it was seen.
#[derive(Debug)]
pub(super) struct Connection {
    /// The end whose sending is the first half.
    low: SocketAddr,
    pub(super) carries: Carries,
    halves: [Half; 2],
    /// Who was connected to.
    pub(super) server: Option<SocketAddr>,
    /// Steps that are handed out once it is known that somebody wants them.
    held_steps: Vec<(Point, Ends, Step)>,
    /// The last packet.
    pub(super) last: u64,
}

/// What a connection carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carries {
    /// Not enough was seen.
    Unknown,
    Sip,
    Diameter,
    /// What an agent captured: its own connection is none of ours.
    Hep,
    /// Something that is none of ours.
    Other,
}

impl Carries {
    pub(super) const fn is_ours(self) -> bool {
        matches!(self, Self::Sip | Self::Diameter)
    }
}

impl Connection {
    pub(super) fn new(low: SocketAddr) -> Self {
        Self {
            low,
            carries: Carries::Unknown,
            halves: [Half::default(), Half::default()],
            server: None,
            held_steps: Vec::new(),
            last: 0,
        }
    }

    /// Octets kept.
    pub(super) fn held(&self) -> usize {
        self.halves.iter().map(Half::held).sum()
    }

    pub(super) fn receive(&mut self, point: Point, segment: &Segment<'_>, is_expected: bool, out: &mut Out) {
        let ends = segment.ends();
        let side = usize::from(segment.from != self.low);
        self.last = point.number;
        let mut sequence = segment.sequence;
        if segment.has(SYN) {
            if !self.halves[side].begins_with(sequence) {
                // The same ports again, for another connection.
                if !segment.has(ACK) && self.halves[side].is_used() {
                    self.finish(out);
                    *self = Self { last: self.last, ..Self::new(self.low) };
                }
                self.halves[side].begin(sequence);
            }
            sequence = sequence.wrapping_add(1);
            let is_answer = segment.has(ACK);
            self.server = Some(if is_answer { segment.from } else { segment.to });
            self.step(point, ends, if is_answer { Step::Accepted } else { Step::Asked }, is_expected, out);
        }
        if !segment.data.bytes.is_empty() || segment.data.is_cut() {
            self.data(point, segment, side, sequence, is_expected, out);
        }
        if segment.has(FIN) && self.halves[side].close() {
            self.step(point, ends, Step::Closed, is_expected, out);
        }
        if segment.has(RST) {
            self.step(point, ends, Step::Reset, is_expected, out);
        }
    }

    /// Since when a half waits, if that was not asked before.
    pub(super) fn began_to_wait(&mut self) -> Option<Instant> {
        self.halves.iter_mut().find_map(Half::began_to_wait)
    }

    /// Gives up what was waited for since then.
    pub(super) fn give_up(&mut self, since: Instant, out: &mut Out) {
        for half in &mut self.halves {
            if half.is_waiting_since(since) {
                half.give_up(self.carries, out);
            }
        }
    }

    pub(super) fn finish(&mut self, out: &mut Out) {
        for half in &mut self.halves {
            half.finish(self.carries, out);
        }
    }

    fn data(
        &mut self,
        point: Point,
        segment: &Segment<'_>,
        side: usize,
        sequence: u32,
        is_expected: bool,
        out: &mut Out,
    ) {
        if self.carries == Carries::Other {
            if !segment.begins_message() {
                return;
            }
            // It began in the middle of a message, and what it carries shows only now.
            self.carries = Carries::Unknown;
            self.halves[side] = Half::default();
        }
        let half = &mut self.halves[side];
        half.meet(segment.ends(), sequence, segment.begins_message());
        if self.carries == Carries::Unknown {
            self.carries = half.guess(segment, sequence, is_expected);
            match self.carries {
                Carries::Other => {
                    if content::begins_tls(segment.data.bytes) && is_expected {
                        out.unread(point, "TLS, whose keys are not in the trace", segment.data.bytes.len());
                    }
                    self.halves.iter_mut().for_each(Half::drop_all);
                    self.held_steps = Vec::new();
                    return;
                }
                Carries::Hep => self.held_steps = Vec::new(),
                Carries::Sip | Carries::Diameter => {
                    for (point, ends, step) in std::mem::take(&mut self.held_steps) {
                        out.connection(point, ends, step);
                    }
                }
                Carries::Unknown => {}
            }
        }
        self.halves[side].receive(point, sequence, segment.data, self.carries, out);
    }

    fn step(&mut self, point: Point, ends: Ends, step: Step, is_expected: bool, out: &mut Out) {
        match self.carries {
            Carries::Hep | Carries::Other => {}
            Carries::Unknown if !is_expected => {
                if self.held_steps.len() < MOST_STEPS {
                    self.held_steps.push((point, ends, step));
                }
            }
            _ => out.connection(point, ends, step),
        }
    }
}

const MOST_STEPS: usize = 4;
