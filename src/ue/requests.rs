//! Requests that reach a UE: messages, questions, sessions, and what it does not serve.

use super::outgoing::write_contact;
use super::{Ue, sdp, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::ipsec::association::{SaId, SaSetId};
use crate::packet::{Outbox, Packet, Route, Transport};
use crate::sip::emit::reason_phrase;
use crate::sip::transaction::{ServerId, copy_vias};
use crate::sip::{HeaderName, Message, Method, Writer};
use crate::time::Instant;
use std::net::SocketAddr;

/// What a response of ours holds beyond what it copies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply<'a> {
    pub(super) status: u16,
    /// Our tag where To has none; empty: any.
    pub(super) tag: &'a str,
    pub(super) with_contact: bool,
    /// A session description, or nothing.
    pub(super) body: &'a str,
}

impl Reply<'_> {
    pub(super) const fn new(status: u16) -> Self {
        Self { status, tag: "", with_contact: false, body: "" }
    }
}

impl Ue {
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        server: ServerId,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        self.aim(server, packet);
        if let Err(e) = message.check() {
            return self.respond(now, server, e.status, packet, message, out);
        }
        if message.elements(HeaderName::Require).any(is_unknown) {
            return self.respond(now, server, 420, packet, message, out);
        }
        let in_dialog = message.to().is_ok_and(|to| to.tag().is_some());
        let status = match message.method() {
            Some(Method::Other(_)) => 501,
            Some(Method::Notify) if self.on_notify(now, server, packet, message, out).is_some() => return,
            _ if in_dialog => {
                if self.on_in_dialog(now, server, packet, message, out).is_some() {
                    return;
                }
                481
            }
            Some(Method::Invite) => return self.on_invite(now, server, packet, message, out),
            Some(Method::Message) => {
                let content_type = message.header(HeaderName::ContentType).unwrap_or_default().to_owned();
                let from = message.from().map_or_else(|_| Impu::from(""), |from| Impu::from(from.uri.text));
                let octets = message.body().len();
                tell(out, || What::MessageReceived { from, content_type, octets });
                200
            }
            Some(Method::Options) => 200,
            // A NOTIFY that nobody asked for (RFC 6665 clause 4.1.3).
            Some(Method::Notify | Method::Bye | Method::Prack | Method::Update | Method::Info) => 481,
            _ => 405,
        };
        self.respond(now, server, status, packet, message, out);
    }

    /// Answers a request, on the way that its SA asks for.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        status: u16,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        self.aim(server, packet);
        self.reply(now, server, packet.from, message, &Reply::new(status), out);
    }

    /// Answers a request. Returns what was sent.
    pub(super) fn reply<'o>(
        &mut self,
        now: Instant,
        server: ServerId,
        source: SocketAddr,
        message: &Message<'_>,
        reply: &Reply<'_>,
        out: &'o mut Outbox,
    ) -> &'o [u8] {
        let tag = self.random.token::<12>();
        let reply = if reply.tag.is_empty() { Reply { tag: tag.as_str(), ..*reply } } else { *reply };
        let reachable = self.way().map_or(self.config.local, |way| way.reachable);
        let start = out.bytes().len();
        let Self { transactions, config, registration, .. } = self;
        transactions.respond(now, server, reply.status, out, |bytes| {
            let mut w = Writer::response(bytes, reply.status, reason_phrase(reply.status));
            copy_vias(message, source, &mut w);
            write_copied(message, &reply, &mut w);
            if reply.with_contact {
                write_contact(&mut w, config, registration.as_ref(), reachable);
            }
            if matches!(reply.status, 200 | 405) {
                w.header(HeaderName::Allow, ALLOW);
            }
            if !reply.body.is_empty() {
                w.header(HeaderName::ContentType, sdp::CONTENT_TYPE);
            }
            w.finish(reply.body.as_bytes());
        });
        &out.bytes()[start..]
    }

    /// Tells the transaction which way its answers go.
    fn aim(&mut self, server: ServerId, packet: &Packet<'_>) {
        if let Some(route) = packet.sa.and_then(|sa| self.protected_route(sa, packet)) {
            self.transactions.set_route(server, route);
        }
    }

    /// Over UDP port_uc to port_ps, whatever the request used; over TCP its connection (TS 33.203 clause 7.1).
    fn protected_route(&self, sa: SaId, packet: &Packet<'_>) -> Option<Route> {
        match packet.transport {
            Transport::Udp => {
                Some(self.set(sa.set)?.route(Transport::Udp, self.config.local.ip(), self.config.pcscf.ip()))
            }
            stream => Some(Route::sip(stream, packet.to, packet.from).protected(sa)),
        }
    }

    fn set(&self, id: SaSetId) -> Option<&super::Set> {
        let current = self.registration.as_ref().and_then(|r| r.set.as_ref());
        current.into_iter().chain(&self.retiring).chain(self.temporary()).find(|set| set.id == id)
    }
}

/// What a response takes from its request (RFC 3261 clause 8.2.6.2).
fn write_copied(message: &Message<'_>, reply: &Reply<'_>, w: &mut Writer<'_>) {
    for line in message.lines() {
        match line.name {
            HeaderName::To if message.to().is_ok_and(|to| to.tag().is_none()) => {
                w.header_fmt(HeaderName::To, format_args!("{};tag={}", line.value, reply.tag));
            }
            HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq | HeaderName::RecordRoute => {
                w.copy(&line);
            }
            _ => {}
        }
    }
    if reply.status == 420 {
        for tag in message.elements(HeaderName::Require).filter(|tag| is_unknown(tag)) {
            w.header(HeaderName::Unsupported, tag);
        }
    }
}

fn is_unknown(tag: &str) -> bool {
    !SUPPORTED.iter().any(|known| known.eq_ignore_ascii_case(tag))
}

/// The methods that a UE serves.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE, INFO, UPDATE, NOTIFY";

/// Option tags that a request may require.
const SUPPORTED: [&str; 1] = ["sec-agree"];
