//! What was found in a packet, on its way to whoever reads the trace.
//!
//! A live capture of our own holds messages over SAs twice: as ESP on one interface, as text on another. Where the ESP
//! could be opened, it is handed out and the text is a copy.

use super::Point;
use super::summary::Summary;
use crate::packet::Protocol;
use crate::time::{Duration, Instant};
use crate::trace::keys::Keyring;
use crate::trace::recent::Recent;
use crate::trace::{Connection, Ends, Message, Protection, Seen, Sighting, Unread};
use foldhash::fast::FixedState;
use std::collections::VecDeque;
use std::hash::BuildHasher;

/// Sightings in their order, and what is learnt from them.
#[derive(Debug)]
pub(super) struct Out {
    sightings: VecDeque<Sighting>,
    pub(super) keys: Keyring,
    /// A key became known since this was last asked.
    pub(super) has_new_keys: bool,
    pub(super) summary: Summary,
    /// Messages out of ESP, and when they were seen.
    opened: Recent<u64, Instant>,
    /// Texts that something protected, whose ESP may come.
    texts: VecDeque<Text>,
}

#[derive(Debug)]
struct Text {
    message: u64,
    at: Instant,
    sighting: Sighting,
}

impl Out {
    pub(super) fn new(keys: Keyring) -> Self {
        Self {
            sightings: VecDeque::new(),
            keys,
            has_new_keys: false,
            summary: Summary::default(),
            opened: Recent::new(MOST_OPENED),
            texts: VecDeque::new(),
        }
    }

    pub(super) fn pop(&mut self) -> Option<Sighting> {
        self.sightings.pop_front()
    }

    pub(super) fn message(&mut self, point: Point, protocol: Protocol, ends: Ends, is_cut: bool, bytes: &[u8]) {
        if !is_cut {
            self.has_new_keys |= self.keys.learn(protocol, &ends, bytes);
        }
        let Point { protection, now, .. } = point;
        let hash = || FixedState::default().hash_one((ends, bytes));
        let seen =
            Seen::Message(Message { protocol, ends: Some(ends), protection, cut: is_cut, bytes: bytes.to_vec() });
        match protection {
            Protection::Esp(_) => {
                let message = hash();
                self.opened.insert(message, now);
                if let Some(at) = self.texts.iter().position(|text| text.message == message) {
                    self.texts.remove(at);
                    self.summary.copies += 1;
                }
            }
            Protection::Unknown => {
                let message = hash();
                match self.opened.get_mut(&message) {
                    Some(at) if now.saturating_since(*at) <= PATIENCE => self.summary.copies += 1,
                    _ => self.texts.push_back(Text { message, at: now, sighting: point.sighting(seen) }),
                }
                return;
            }
            Protection::Clear | Protection::Set(_) => {}
        }
        self.push(point, seen);
    }

    /// A message without the packets that carried it.
    pub(super) fn exported(
        &mut self,
        point: Point,
        protocol: Protocol,
        ends: Option<Ends>,
        is_cut: bool,
        bytes: &[u8],
    ) {
        if let Some(ends) = ends.filter(|_| !is_cut) {
            self.has_new_keys |= self.keys.learn(protocol, &ends, bytes);
        }
        let message = Message { protocol, ends, protection: point.protection, cut: is_cut, bytes: bytes.to_vec() };
        self.push(point, Seen::Message(message));
    }

    /// Hands out texts whose ESP did not come; all of them, without a time.
    pub(super) fn pass_time(&mut self, now: Option<Instant>) {
        let is_old = |text: &Text| now.is_none_or(|now| text.at + PATIENCE <= now);
        while self.texts.len() > MOST_TEXTS || self.texts.front().is_some_and(is_old) {
            let Some(Text { sighting, .. }) = self.texts.pop_front() else { break };
            self.summary.count(&sighting);
            self.sightings.push_back(sighting);
        }
    }

    pub(super) fn connection(&mut self, point: Point, ends: Ends, step: crate::trace::Step) {
        // Connections around such texts are made up by who wrote them.
        if point.protection == Protection::Unknown {
            return;
        }
        self.push(point, Seen::Connection(Connection { ends, protection: point.protection, step }));
    }

    pub(super) fn unread(&mut self, point: Point, reason: &'static str, octets: usize) {
        self.push(point, Seen::Unread(Unread { reason, octets }));
    }

    pub(super) fn push(&mut self, point: Point, seen: Seen) {
        let sighting = point.sighting(seen);
        self.summary.count(&sighting);
        self.sightings.push_back(sighting);
    }
}

/// Text and ESP of one message are written within one turn of an event loop.
const PATIENCE: Duration = Duration::from_millis(400);
const MOST_TEXTS: usize = 1_024;
const MOST_OPENED: usize = 16_384;
