//! One message, as a rule sees it.

use super::exchange::Exchange;
use super::names;
use super::record::Record;
use super::registration::Registration;
use super::role::Interface;
use super::sets::Carried;
use crate::diameter::Header;
use crate::event::Role;
use crate::packet::Protocol;
use crate::sip::{self, Method};
use crate::time::{Duration, Instant};
use std::fmt;
use std::ops::Deref;

/// A message of a [`Registration`]. What a [`Record`] has, it has as fields.
#[derive(Clone, Copy)]
pub struct Message<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

/// What is known of a message besides its octets.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Facts {
    pub(super) exchange: Option<usize>,
    /// From the client of its exchange to the server.
    pub(super) downwards: bool,
    /// The message that said the same in the same exchange before.
    pub(super) repeats: Option<usize>,
    pub(super) carried: Carried,
}

/// What the octets are.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    Sip(Box<sip::Message<'a>>),
    Diameter(Header),
    Unreadable,
}

impl<'a> Parsed<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        match record.protocol {
            Protocol::Sip => names::read(&record.bytes).map_or(Self::Unreadable, |sip| Self::Sip(Box::new(sip))),
            Protocol::Diameter => Header::read(&record.bytes).map_or(Self::Unreadable, Self::Diameter),
        }
    }

    pub(super) fn sip(&self) -> Option<&sip::Message<'a>> {
        match self {
            Self::Sip(sip) => Some(sip),
            _ => None,
        }
    }
}

impl<'r> Message<'r> {
    /// Its place among the messages of the registration, from 0.
    pub const fn index(self) -> usize {
        self.index
    }

    /// The registration that it belongs to.
    pub const fn registration(self) -> &'r Registration<'r> {
        self.of
    }

    /// What is kept of it.
    pub fn record(self) -> &'r Record {
        &self.of.group.records[self.index]
    }

    /// The SIP message, parsed. Where its end is missing, or a line is wrong, what stands before that; then
    /// [`sip::Message::parse`] of its octets tells what is wrong.
    pub fn sip(self) -> Option<&'r sip::Message<'r>> {
        self.of.parsed[self.index].sip()
    }

    /// The header of a Diameter message; the commands of [`crate::cx`] decode the rest.
    pub fn diameter(self) -> Option<&'r Header> {
        match &self.of.parsed[self.index] {
            Parsed::Diameter(header) => Some(header),
            _ => None,
        }
    }

    /// The sender.
    pub fn from(self) -> Option<Role> {
        let exchange = self.exchange()?;
        if self.facts().downwards { exchange.client() } else { exchange.server() }
    }

    /// The receiver.
    pub fn to(self) -> Option<Role> {
        let exchange = self.exchange()?;
        if self.facts().downwards { exchange.server() } else { exchange.client() }
    }

    /// The reference point that it passed.
    pub fn interface(self) -> Interface {
        self.exchange().map_or(Interface::Unknown, Exchange::interface)
    }

    /// The exchange it belongs to; `None` for what cannot be read.
    pub fn exchange(self) -> Option<Exchange<'r>> {
        self.facts().exchange.map(|index| Exchange { of: self.of, index })
    }

    /// The message of the same exchange that said the same before: this one is a retransmission.
    pub fn repeats(self) -> Option<Self> {
        self.facts().repeats.map(|index| Self { index, ..self })
    }

    /// What carried it: nothing, or an SA of which set.
    pub fn carried(self) -> Carried {
        self.facts().carried
    }

    /// True for a SIP request or a Diameter request.
    pub fn is_request(self) -> bool {
        self.facts().downwards
    }

    /// The method of a SIP request, or of the request that a response answers.
    pub fn method(self) -> Option<Method<'r>> {
        names::method(self.sip()?)
    }

    /// True for a request of this method.
    pub fn is(self, method: Method<'_>) -> bool {
        self.sip().and_then(sip::Message::method) == Some(method)
    }

    /// The status of a SIP response.
    pub fn status(self) -> Option<u16> {
        self.sip()?.status()
    }

    /// The time from `earlier` to this one, where the trace shows both.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        Some(self.at? - earlier.at?)
    }

    /// The time, where the trace shows it.
    pub fn at(self) -> Option<Instant> {
        self.at
    }

    pub(super) fn facts(self) -> &'r Facts {
        &self.of.facts[self.index]
    }
}

impl Deref for Message<'_> {
    type Target = Record;

    fn deref(&self) -> &Record {
        self.record()
    }
}

impl PartialEq for Message<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.of.group, other.of.group) && self.index == other.index
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message {} ({:?} to {:?})", self.number, self.from(), self.to())
    }
}
