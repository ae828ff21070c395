//! Requests that reach a UE: OPTIONS, NOTIFY, and what it does not serve.

use super::Ue;
use crate::ipsec::association::{SaId, SaSetId};
use crate::packet::{Outbox, Packet, Route, Transport};
use crate::random::Token;
use crate::sip::emit::reason_phrase;
use crate::sip::transaction::{ServerId, copy_vias};
use crate::sip::{HeaderName, Message, Method, Writer};
use crate::time::Instant;
use std::net::SocketAddr;

impl Ue {
    pub(super) fn on_request(
        &mut self,
        now: Instant,
        server: ServerId,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let status = match message.check() {
            Ok(()) => judge(message),
            Err(e) => e.status,
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
        if let Some(route) = packet.sa.and_then(|sa| self.protected_route(sa, packet)) {
            self.transactions.set_route(server, route);
        }
        let tag = self.random.token();
        self.transactions.respond(now, server, status, out, |bytes| write(bytes, status, packet.from, message, tag));
    }

    /// Over UDP port_uc to port_ps, whatever the request used; over TCP its connection (TS 33.203 clause 7.1).
    fn protected_route(&self, sa: SaId, packet: &Packet<'_>) -> Option<Route> {
        match packet.transport {
            Transport::Udp => {
                Some(self.set(sa.set)?.route(Transport::Udp, self.config.local.ip(), self.config.pcscf.ip()))
            }
            Transport::Tcp => Some(Route::sip(Transport::Tcp, packet.to, packet.from).protected(sa)),
        }
    }

    fn set(&self, id: SaSetId) -> Option<&super::Set> {
        let current = self.registration.as_ref().and_then(|r| r.set.as_ref());
        current.into_iter().chain(&self.retiring).chain(self.temporary()).find(|set| set.id == id)
    }
}

/// RFC 3261 clauses 8.2.1 and 8.2.2: what a UE that only registers says.
fn judge(message: &Message<'_>) -> u16 {
    if message.elements(HeaderName::Require).any(|tag| !SUPPORTED.iter().any(|s| s.eq_ignore_ascii_case(tag))) {
        return 420;
    }
    let in_dialog = message.to().is_ok_and(|to| to.tag().is_some());
    match message.method() {
        Some(Method::Options | Method::Notify) => 200,
        Some(Method::Bye | Method::Prack | Method::Update | Method::Info) => 481,
        Some(Method::Other(_)) => 501,
        _ if in_dialog => 481,
        _ => 405,
    }
}

fn write(out: &mut Vec<u8>, status: u16, source: SocketAddr, message: &Message<'_>, tag: Token<12>) {
    let mut w = Writer::response(out, status, reason_phrase(status));
    copy_vias(message, source, &mut w);
    for line in message.lines() {
        match line.name {
            HeaderName::To if message.to().is_ok_and(|to| to.tag().is_none()) => {
                w.header_fmt(HeaderName::To, format_args!("{};tag={tag}", line.value));
            }
            HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq | HeaderName::RecordRoute => {
                w.copy(&line);
            }
            _ => {}
        }
    }
    if matches!(status, 200 | 405) {
        w.header(HeaderName::Allow, "OPTIONS, NOTIFY");
    }
    if status == 420 {
        for tag in message.elements(HeaderName::Require) {
            if !SUPPORTED.iter().any(|s| s.eq_ignore_ascii_case(tag)) {
                w.header(HeaderName::Unsupported, tag);
            }
        }
    }
    w.finish(b"");
}

/// Option tags that a request may require.
const SUPPORTED: [&str; 1] = ["sec-agree"];
