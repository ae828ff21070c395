//! What was found in a packet, on its way to whoever reads the trace.

use super::Point;
use super::summary::Summary;
use crate::packet::Protocol;
use crate::trace::keys::Keyring;
use crate::trace::{Connection, Ends, Message, Seen, Sighting, Unread};
use std::collections::VecDeque;

/// Sightings in their order, and what is learnt from them.
#[derive(Debug)]
pub(super) struct Out {
    sightings: VecDeque<Sighting>,
    pub(super) keys: Keyring,
    /// A key became known since this was last asked.
    pub(super) has_new_keys: bool,
    pub(super) summary: Summary,
}

impl Out {
    pub(super) fn new(keys: Keyring) -> Self {
        Self { sightings: VecDeque::new(), keys, has_new_keys: false, summary: Summary::default() }
    }

    pub(super) fn pop(&mut self) -> Option<Sighting> {
        self.sightings.pop_front()
    }

    pub(super) fn message(&mut self, point: Point, protocol: Protocol, ends: Ends, is_cut: bool, bytes: &[u8]) {
        if !is_cut {
            self.has_new_keys |= self.keys.learn(protocol, &ends, bytes);
        }
        let Point { protection, .. } = point;
        let ends = Some(ends);
        self.push(point, Seen::Message(Message { protocol, ends, protection, cut: is_cut, bytes: bytes.to_vec() }));
    }

    pub(super) fn connection(&mut self, point: Point, ends: Ends, step: crate::trace::Step) {
        self.push(point, Seen::Connection(Connection { ends, protection: point.protection, step }));
    }

    pub(super) fn unread(&mut self, point: Point, reason: &'static str, octets: usize) {
        self.push(point, Seen::Unread(Unread { reason, octets }));
    }

    pub(super) fn push(&mut self, point: Point, seen: Seen) {
        let sighting = Sighting { place: point.place(), at: point.at, seen };
        self.summary.count(&sighting);
        self.sightings.push_back(sighting);
    }
}
