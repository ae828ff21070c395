//! What a trace held, by kind.

use crate::packet::Protocol;
use crate::time::Instant;
use crate::trace::{Place, Step};
use std::collections::BTreeMap;

/// Counts over a whole trace.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// SIP messages.
    pub sip: u64,
    /// Diameter messages.
    pub diameter: u64,
    /// CRLF and STUN between SIP messages; they have no number.
    pub keep_alives: u64,
    /// Registrations.
    pub registrations: u64,
    /// ESP packets that stayed shut, by SPI.
    pub shut: BTreeMap<u32, u64>,
    /// The same of SPIs beyond the first 4,096.
    pub shut_elsewhere: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Places where octets of a connection are missing.
    pub gaps: u64,
    /// What could not be read, by reason.
    pub unread: BTreeMap<&'static str, Unread>,
    /// The time of the last thing seen, or of the last packet that others sent.
    pub until: Option<Instant>,
}

/// What could not be read for one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unread {
    /// How often.
    pub count: u64,
    /// How many octets.
    pub octets: u64,
    /// Where it was first.
    pub first: Place,
}

impl Totals {
    /// SIP and Diameter messages.
    pub const fn messages(&self) -> u64 {
        self.sip + self.diameter
    }

    pub(super) fn message(&mut self, protocol: Protocol) -> u64 {
        match protocol {
            Protocol::Sip => self.sip += 1,
            Protocol::Diameter => self.diameter += 1,
        }
        self.messages()
    }

    pub(super) fn shut(&mut self, spi: u32) {
        if self.shut.len() < MOST_SPIS || self.shut.contains_key(&spi) {
            *self.shut.entry(spi).or_default() += 1;
        } else {
            self.shut_elsewhere += 1;
        }
    }

    pub(super) const fn step(&mut self, step: Step) {
        match step {
            Step::Reset => self.resets += 1,
            Step::Gap => self.gaps += 1,
            Step::Asked | Step::Accepted | Step::Closed => {}
        }
    }

    pub(super) fn unread(&mut self, place: Place, unread: &crate::trace::Unread) {
        let counted = self.unread.entry(unread.reason).or_insert(Unread { count: 0, octets: 0, first: place });
        counted.count += 1;
        counted.octets += unread.octets as u64;
    }
}

const MOST_SPIS: usize = 4_096;
