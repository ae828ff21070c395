//! Requests of users and for users: back to the S-CSCF, by Route (TS 24.229 clause 5.7.3, RFC 3261 clause 16).

use super::{ApplicationServer, ApplicationServerConfig, Asked, Due, Reaction};
use crate::packet::Outbox;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::proxy::{Branch, Cancelled, ContextId, Fault, Hop, Io, Progress, Received, Rewrite, Target};
use crate::sip::transaction::{ClientId, EndCause, ServerId};
use crate::sip::{HeaderName, Message, Uri, destination};
use crate::time::{Duration, Instant};

/// A request that is served: kept until it has been sent on.
pub(super) struct Forwarding {
    request: Vec<u8>,
}

impl Rewrite for Forwarding {}

/// It may hold identities.
impl std::fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Forwarding({} octets)", self.request.len())
    }
}

impl ApplicationServer {
    pub(super) fn on_isc_request(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) {
        let received = match self.proxy.read(message, |uri| self.is_own(uri), &[]) {
            Ok(received) => received,
            Err(fault) => return self.refuse(now, server, message, &fault, out),
        };
        let context = self.proxy.open(server, &received, Forwarding { request: message.bytes().to_vec() });
        match self.config.requests.delay {
            Duration::ZERO => self.decide(now, context, out),
            delay => self.timeouts.after(now, delay, Due::Decide(context)),
        }
    }

    /// It is time to send a request on, to refuse it, or to say nothing.
    pub(super) fn decide(&mut self, now: Instant, context: ContextId, out: &mut Outbox) {
        // Cancelled meanwhile, perhaps.
        let Some(kept) = self.proxy.kept(context) else { return };
        let request = std::mem::take(&mut kept.request);
        let (Ok(message), Some(server)) = (Message::parse(&request), self.proxy.server(context)) else { return };
        let refusal = match self.config.requests.reaction {
            Reaction::Accept => return self.forward(now, server, context, &message, out),
            Reaction::Refuse(status) => Some(status),
            Reaction::Silence => None,
        };
        self.close(now, context, out);
        match refusal {
            Some(status) => self.answer(now, server, &message, status, out),
            None => self.transactions.abandon(now, server),
        }
    }

    fn forward(&mut self, now: Instant, server: ServerId, context: ContextId, message: &Message<'_>, out: &mut Outbox) {
        let received = match self.proxy.read(message, |uri| self.is_own(uri), &[]) {
            Ok(received) => received,
            Err(fault) => {
                self.close(now, context, out);
                return self.refuse(now, server, message, &fault, out);
            }
        };
        let Some(hop) = hop(&self.config, &self.sent_by, &received) else {
            self.close(now, context, out);
            return self.answer(now, server, message, 404, out);
        };
        let target = Target { uri: received.uri, routes: &received.routes, record_route: None, hop };
        let mut io = Io { now, transactions: &mut self.transactions, out };
        self.proxy.forward(&mut io, context, &received, &target, &());
    }

    /// An ACK for a 2xx passes us only when we are in its Route.
    pub(super) fn forward_ack(&self, message: &Message<'_>, out: &mut Outbox) {
        let Ok(received) = self.proxy.read(message, |uri| self.is_own(uri), &[]) else { return };
        if let Some(hop) = hop(&self.config, &self.sent_by, &received) {
            let target = Target { uri: received.uri, routes: &received.routes, record_route: None, hop };
            self.proxy.forward_ack(out, &received, &target, &());
        }
    }

    pub(super) fn on_cancel(&mut self, now: Instant, server: ServerId, cancel: &Message<'_>, out: &mut Outbox) {
        let mut io = Io { now, transactions: &mut self.transactions, out };
        let reason = cancel.header_named("Reason");
        if let Cancelled::NotForwarded(Forwarding { request }) = self.proxy.cancel(&mut io, server, reason)
            && let Ok(request) = Message::parse(&request)
        {
            self.answer(now, server, &request, 487, out);
        }
    }

    pub(super) fn branch_of(&mut self, client: ClientId) -> Option<Branch> {
        match self.transactions.context(client) {
            Some(Asked::Forwarded(branch)) => Some(*branch),
            _ => None,
        }
    }

    pub(super) fn on_provisional(&mut self, now: Instant, branch: Branch, response: &Message<'_>, out: &mut Outbox) {
        self.proxy.provisional(&mut Io { now, transactions: &mut self.transactions, out }, branch, response);
    }

    pub(super) fn on_accepted(&mut self, now: Instant, branch: Branch, response: &Message<'_>, out: &mut Outbox) {
        self.proxy.accepted(&mut Io { now, transactions: &mut self.transactions, out }, branch, response);
    }

    pub(super) fn on_answered(&mut self, now: Instant, branch: Branch, response: &Message<'_>, out: &mut Outbox) {
        let mut io = Io { now, transactions: &mut self.transactions, out };
        let progress = self.proxy.answered(&mut io, branch, response);
        self.settle(now, progress, out);
    }

    pub(super) fn on_unanswered(
        &mut self,
        now: Instant,
        client: ClientId,
        branch: Branch,
        cause: EndCause,
        out: &mut Outbox,
    ) {
        let mut io = Io { now, transactions: &mut self.transactions, out };
        let progress = self.proxy.ended(&mut io, client, branch, cause);
        self.settle(now, progress, out);
    }

    pub(super) fn on_proxy_timers(&mut self, now: Instant, out: &mut Outbox) {
        let mut all = Vec::new();
        self.proxy.handle_timeout(&mut Io { now, transactions: &mut self.transactions, out }, &mut all);
        for progress in all {
            self.settle(now, progress, out);
        }
    }

    /// There is one way only: what came of it goes back.
    fn settle(&mut self, now: Instant, progress: Progress, out: &mut Outbox) {
        if let Progress::Exhausted { context, .. } = progress {
            self.proxy.conclude(&mut Io { now, transactions: &mut self.transactions, out }, context);
        }
    }

    fn close(&mut self, now: Instant, context: ContextId, out: &mut Outbox) {
        self.proxy.close(&mut Io { now, transactions: &mut self.transactions, out }, context);
    }

    fn refuse(&mut self, now: Instant, server: ServerId, message: &Message<'_>, fault: &Fault, out: &mut Outbox) {
        self.answer_with(now, server, message, fault.status(), out, |w| {
            if let Fault::UnknownExtension(tags) = fault {
                w.header(HeaderName::Unsupported, tags);
            }
        });
    }
}

/// The topmost Route that is left, else the Request-URI.
fn hop<'h>(config: &ApplicationServerConfig, sent_by: &'h [Box<str>], received: &Received<'_, '_>) -> Option<Hop<'h>> {
    let uri = match received.routes.first() {
        Some(route) => NameAddr::parse(HeaderName::Route, route).ok()?.uri,
        None => Uri::parse(received.uri).ok()?,
    };
    let (route, listener) = destination::resolve(&uri, &config.hosts, &config.listen, config.transport)?;
    Some(Hop { route, may_switch: true, sent_by: &sent_by[listener], timers: config.timers })
}
