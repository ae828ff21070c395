//! The side of the UE: the only way for a message to Gm.
//!
//! [`ToUe`] owns the transactions with UEs. It answers what a UE sent in the P-CSCF's own words, or by a [`FromCore`]:
//! there is no third kind of answer to a REGISTER, so no path leads from a challenge of the core to a UE without losing
//! its keys. Requests that are passed on, either way, and their responses go through [`ToUe::io`], and what they lose
//! is written in `passing::rewrite`.

use super::from_core::{FromCore, Strip};
use super::passing::Asked;
use crate::packet::{Connection, Outbox, Packet, Route, Transport};
use crate::random::Random;
use crate::sip::emit::reason_phrase;
use crate::sip::form::Form;
use crate::sip::overload::{Limits, Load, Shedder};
use crate::sip::proxy::Io;
use crate::sip::transaction::{ClientId, Ended, Incoming, ServerId, Timers, Transactions, copy_vias};
use crate::sip::{HeaderName, Message, Method, Writer};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Transactions with UEs.
#[derive(Debug)]
pub(super) struct ToUe {
    transactions: Transactions<Asked>,
    timers: Timers,
    shedder: Shedder,
    /// The forms of answers to REGISTER by status, where they are not ours.
    forms: BTreeMap<u16, Form>,
    random: Random,
    /// For the next answer that is written for later, empty.
    spare: Vec<u8>,
}

/// What a UE may be told.
pub(super) enum Answer<'a> {
    /// What the core said.
    Relayed {
        /// It.
        response: &'a FromCore<'a>,
        /// Headers to leave out.
        strip: &'a Strip,
        /// Our list, in a challenge.
        security_server: Option<&'a str>,
    },
    /// Something in place of what the core said.
    Instead {
        /// What the core said.
        response: &'a FromCore<'a>,
        /// What the UE hears.
        status: u16,
        /// With these.
        headers: &'a [(HeaderName, &'a str)],
    },
    /// Our own word.
    Own {
        /// The request, as the UE sent it.
        request: &'a Message<'a>,
        /// Where it came from.
        source: SocketAddr,
        /// The status.
        status: u16,
        /// With these.
        headers: &'a [(HeaderName, &'a str)],
        /// The body, mostly none.
        body: &'a str,
    },
    /// What the core said, as it was written before its set of SAs was made.
    Held(&'a [u8]),
    /// Something in place of that.
    InsteadOfHeld {
        /// It.
        response: &'a Message<'a>,
        /// What the UE hears.
        status: u16,
    },
    /// Our own word, when all that is left of the request is what we made of it.
    Forwarded {
        /// The request as we sent it to the core.
        request: &'a Message<'a>,
        /// The status.
        status: u16,
    },
}

impl ToUe {
    pub(super) fn new(timers: Timers, limits: Limits, forms: BTreeMap<u16, Form>, mut random: Random) -> Self {
        let transactions = Transactions::new(random.fork());
        let shedder = Shedder::new(limits, random.next_u64());
        Self { transactions, timers, shedder, forms, random, spare: Vec::new() }
    }

    /// Takes what a UE sent.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Incoming<Asked> {
        self.transactions.receive(now, self.timers, packet, message, out)
    }

    /// Takes a request that the core sent for a UE.
    pub(super) fn receive_from_core(
        &mut self,
        now: Instant,
        timers: Timers,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Incoming<Asked> {
        self.transactions.receive(now, timers, packet, message, out)
    }

    /// What the proxy works on.
    pub(super) const fn io<'i>(&'i mut self, now: Instant, out: &'i mut Outbox) -> Io<'i, Asked> {
        Io { now, transactions: &mut self.transactions, out }
    }

    /// Sends a request of our own to a UE.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        route: Route,
        asked: Asked,
        out: &mut Outbox,
        write: impl FnMut(&mut Vec<u8>, Transport, &str),
    ) -> ClientId {
        self.transactions.request(now, self.timers, route, true, asked, out, write)
    }

    /// Waits no longer for the answer to a request of ours.
    pub(super) fn forget(&mut self, client: ClientId) {
        self.transactions.forget(client);
    }

    /// A request of ours as it was sent.
    pub(super) fn sent(&self, client: ClientId) -> Option<&[u8]> {
        self.transactions.sent(client)
    }

    /// What a request of ours that is still open was for.
    pub(super) fn context(&mut self, client: ClientId) -> Option<&mut Asked> {
        self.transactions.context(client)
    }

    /// Where the answers of `server` go.
    pub(super) fn route(&self, server: ServerId) -> Option<Route> {
        self.transactions.route(server)
    }

    /// Sends the answers of `server` over a security association.
    pub(super) fn set_route(&mut self, server: ServerId, route: Route) {
        self.transactions.set_route(server, route);
    }

    /// Answers.
    pub(super) fn answer(&mut self, now: Instant, server: ServerId, answer: &Answer<'_>, out: &mut Outbox) {
        let Self { random, forms, .. } = self;
        self.transactions.respond(now, server, answer.status(), out, |bytes| {
            let start = bytes.len();
            answer.write(bytes, random);
            if !forms.is_empty() {
                answer.dress(forms, bytes, start);
            }
        });
    }

    /// What `answer` says, for later.
    pub(super) fn write(&mut self, answer: &Answer<'_>) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.spare);
        answer.write(&mut bytes, &mut self.random);
        if !self.forms.is_empty() {
            answer.dress(&self.forms, &mut bytes, 0);
        }
        bytes
    }

    /// Takes a buffer of [`ToUe::write`] back.
    pub(super) fn give_back(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.spare = bytes;
    }

    /// Beyond what requests are shed.
    pub(super) const fn limits(&self) -> Limits {
        *self.shedder.limits()
    }

    /// Drops a request where there is no room even for what is never shed.
    pub(super) fn drops(&mut self, server: ServerId, load: Load) -> bool {
        self.shedder.drops(&mut self.transactions, server, load)
    }

    /// How many requests were shed, and how many dropped.
    pub(super) const fn refused(&self) -> (u64, u64) {
        self.shedder.refused()
    }

    /// Refuses a request for overload.
    pub(super) fn shed(&mut self, now: Instant, server: ServerId, request: &Message<'_>, out: &mut Outbox) {
        self.shedder.shed(now, &mut self.transactions, server, request, out);
    }

    /// Says nothing.
    pub(super) fn abandon(&mut self, now: Instant, server: ServerId) {
        self.transactions.abandon(now, server);
    }

    /// A connection has gone.
    pub(super) fn connection_lost(
        &mut self,
        now: Instant,
        connection: &Connection,
        out: &mut Outbox,
        ended: &mut Vec<Ended<Asked>>,
    ) {
        self.transactions.connection_lost(now, connection, out, ended);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.transactions.next_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox, ended: &mut Vec<Ended<Asked>>) {
        self.transactions.handle_timeout(now, out, ended);
    }

    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }
}

impl Answer<'_> {
    fn status(&self) -> u16 {
        match self {
            Self::Relayed { response, .. } => response.status(),
            // Only challenges wait for SAs.
            Self::Held(_) => 401,
            Self::Instead { status, .. }
            | Self::InsteadOfHeld { status, .. }
            | Self::Own { status, .. }
            | Self::Forwarded { status, .. } => *status,
        }
    }

    /// Gives it the form of its status, once.
    fn dress(&self, forms: &BTreeMap<u16, Form>, out: &mut Vec<u8>, start: usize) {
        let Some(form) = forms.get(&self.status()).filter(|_| !matches!(self, Self::Held(_))) else { return };
        let cseq = Message::parse(&out[start..]).ok().and_then(|message| message.cseq().ok().map(|c| c.method));
        if cseq == Some(Method::Register) {
            form.dress(out, start);
        }
    }

    fn write(&self, out: &mut Vec<u8>, random: &mut Random) {
        match *self {
            Self::Relayed { response, strip, security_server } => response.write(out, strip, security_server),
            Self::Instead { response, status, headers } => response.write_instead(out, status, headers),
            Self::Own { request, source, status, headers, body } => {
                let mut w = Writer::response(out, status, reason_phrase(status));
                copy_vias(request, source, &mut w);
                write_dialog_lines(request, &mut w, random);
                for (name, value) in headers {
                    w.header(*name, value);
                }
                w.finish(body.as_bytes());
            }
            Self::Held(bytes) => out.extend_from_slice(bytes),
            Self::InsteadOfHeld { response, status } => {
                let mut w = Writer::response(out, status, reason_phrase(status));
                for line in response.lines().filter(|l| l.name == HeaderName::Via) {
                    w.copy(&line);
                }
                write_dialog_lines(response, &mut w, random);
                w.finish(b"");
            }
            Self::Forwarded { request, status } => {
                let mut w = Writer::response(out, status, reason_phrase(status));
                // The topmost line is ours alone: it was written as one.
                for line in request.lines().filter(|l| l.name == HeaderName::Via).skip(1) {
                    w.copy(&line);
                }
                write_dialog_lines(request, &mut w, random);
                w.finish(b"");
            }
        }
    }
}

/// From, To with a tag, Call-ID and CSeq (RFC 3261 clause 8.2.6.2).
fn write_dialog_lines(request: &Message<'_>, w: &mut Writer<'_>, random: &mut Random) {
    for line in request.lines() {
        match line.name {
            HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                w.copy(&line);
            }
            HeaderName::To if request.to().is_ok_and(|to| to.tag().is_none()) => {
                w.header_fmt(HeaderName::To, format_args!("{};tag={}", line.value, random.token::<8>()));
            }
            HeaderName::To => {
                w.copy(&line);
            }
            _ => {}
        }
    }
}
