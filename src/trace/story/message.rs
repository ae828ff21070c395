//! One message, as a rule sees it.

use super::exchange::{Exchange, ExchangeData};
use super::names;
use super::record::Record;
use super::registration::Registration;
use super::role::Interface;
use super::sets::Carried;
use crate::diameter::Header;
use crate::event::Role;
use crate::packet::Protocol;
use crate::sip::header::digest::Digest;
use crate::sip::{self, HeaderName, Method};
use crate::time::{Duration, Instant};
use std::fmt;
use std::ops::Deref;

/// A message of a [`Registration`]. What a [`Record`] has, it has as fields.
#[derive(Clone, Copy)]
pub struct Message<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

/// What is known of a message besides its octets, and what rules ask of each again and again: they go over all messages without
/// a look at any.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Facts<'a> {
    pub(super) exchange: Option<usize>,
    /// Of SIP: the own method, or that of the request that is answered.
    pub(super) method: Option<Method<'a>>,
    pub(super) status: Option<u16>,
    /// From whom to whom, and the reference point; known once roles are.
    pub(super) from: Option<Role>,
    pub(super) to: Option<Role>,
    pub(super) interface: Interface,
    /// From the client of its exchange to the server.
    pub(super) downwards: bool,
    /// The message that said the same in the same exchange before.
    pub(super) repeats: Option<usize>,
    pub(super) carried: Carried,
}

/// What the octets are.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    /// With what many ask of it: Authorization of a request, the first of WWW-Authenticate of a response.
    Sip(Box<sip::Message<'a>>, Option<Box<Digest<'a>>>),
    Diameter(Header),
    Unreadable,
}

impl<'a> Parsed<'a> {
    pub(super) fn of(record: &'a Record) -> Self {
        match record.protocol {
            Protocol::Sip => names::read(&record.bytes).map_or(Self::Unreadable, |sip| {
                let digest = digest_of(&sip).map(Box::new);
                Self::Sip(Box::new(sip), digest)
            }),
            Protocol::Diameter => Header::read(&record.bytes).map_or(Self::Unreadable, Self::Diameter),
        }
    }

    pub(super) fn sip(&self) -> Option<&sip::Message<'a>> {
        match self {
            Self::Sip(sip, _) => Some(sip),
            _ => None,
        }
    }

    /// Authorization of a request; `None` where it has none that can be read.
    pub(super) fn credentials(&self) -> Option<&Digest<'a>> {
        match self {
            Self::Sip(sip, digest) if sip.status().is_none() => digest.as_deref(),
            _ => None,
        }
    }

    fn first_challenge(&self) -> Option<&Digest<'a>> {
        match self {
            Self::Sip(sip, digest) if sip.status().is_some() => digest.as_deref(),
            _ => None,
        }
    }
}

fn digest_of<'a>(message: &sip::Message<'a>) -> Option<Digest<'a>> {
    match message.status() {
        None if message.header(HeaderName::Authorization).is_some() => message.authorization().ok().flatten(),
        Some(_) if message.header(HeaderName::WwwAuthenticate).is_some() => {
            let all = message.challenges().ok()?;
            let start = |digest: &Digest<'a>| digest.algorithm.and_then(|algorithm| algorithm.get(..3));
            let is_aka = |digest: &&Digest<'a>| start(digest).is_some_and(|start| start.eq_ignore_ascii_case("AKA"));
            all.iter().find(is_aka).or_else(|| all.first()).copied()
        }
        _ => None,
    }
}

impl Facts<'_> {
    /// Notes who is who.
    pub(super) fn name(&mut self, exchange: &ExchangeData) {
        let (client, server) = (exchange.client, exchange.server);
        (self.from, self.to) = if self.downwards { (client, server) } else { (server, client) };
        self.interface = exchange.interface();
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

    /// Authorization of a request, read once; `None` where it has none that can be read.
    pub fn credentials(self) -> Option<&'r Digest<'r>> {
        self.of.parsed[self.index].credentials()
    }

    /// The first challenge for a USIM in WWW-Authenticate of a response, else the first of any kind, read once; `None`
    /// where one of them cannot be read.
    pub fn first_challenge(self) -> Option<&'r Digest<'r>> {
        self.of.parsed[self.index].first_challenge()
    }

    /// The challenge of a response that these credentials answer: of several the one with their nonce (RFC 3261 clause
    /// 22.4, RFC 8760 clause 2.4), else [`Self::first_challenge`].
    pub fn challenge_for(self, credentials: &Digest<'_>) -> Option<Digest<'r>> {
        let first = *self.first_challenge()?;
        if first.nonce == credentials.nonce {
            return Some(first);
        }
        let all = self.sip()?.challenges().ok()?;
        Some(all.into_iter().find(|challenge| challenge.nonce == credentials.nonce).unwrap_or(first))
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
        self.facts().from
    }

    /// The receiver.
    pub fn to(self) -> Option<Role> {
        self.facts().to
    }

    /// The reference point that it passed.
    pub fn interface(self) -> Interface {
        self.facts().interface
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
        self.facts().method
    }

    /// True for a request of this method.
    pub fn is(self, method: Method<'_>) -> bool {
        let facts = self.facts();
        facts.status.is_none() && facts.method == Some(method)
    }

    /// The status of a SIP response.
    pub fn status(self) -> Option<u16> {
        self.facts().status
    }

    /// The time from `earlier` to this one, where the trace shows both.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        Some(self.at? - earlier.at?)
    }

    /// The time, where the trace shows it.
    pub fn at(self) -> Option<Instant> {
        self.at
    }

    pub(super) fn facts(self) -> &'r Facts<'r> {
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
