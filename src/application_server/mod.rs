//! An application server behind the S-CSCF (ISC, TS 24.229 clause 5.7), as simple as one can be: it takes third-party
//! REGISTERs, subscribes to the registration state of its users, and sends every other request back to the S-CSCF.
//!
//! It is there to be seen at work, and to fail on demand: [`Behaviour`] says how.

mod answer;
mod body;
mod config;
mod forward;
mod register;
mod subscription;

pub use config::{ApplicationServerConfig, Behaviour, Reaction};

use crate::event::{Event, Role, What};
use crate::identity::Impu;
use crate::packet::{Connection, Outbox, Packet, Protocol};
use crate::random::Random;
use crate::sip::keep_alive::{answer as answer_keep_alive, is_keep_alive};
use crate::sip::proxy::{Branch, ContextId, Proxy};
use crate::sip::transaction::{Ended, Incoming, ServerId, Transactions};
use crate::sip::{Message, Method, Uri};
use crate::time::{Instant, Timeouts};
use forward::Forwarding;
use register::Users;
use std::net::SocketAddr;
use subscription::Subscriptions;

/// The element.
#[derive(Debug)]
pub struct ApplicationServer {
    config: ApplicationServerConfig,
    random: Random,
    transactions: Transactions<Asked>,
    proxy: Proxy<Forwarding>,
    users: Users,
    subscriptions: Subscriptions,
    timeouts: Timeouts<Due>,
    /// Host of our name.
    host: Box<str>,
    /// sent-by of our Via, one for each listener.
    sent_by: Vec<Box<str>>,
}

/// What a request of ours was for.
#[derive(Debug)]
enum Asked {
    /// It came from somebody else.
    Forwarded(Branch),
    /// SUBSCRIBE of the subscription with this Call-ID.
    Subscription(Box<str>),
}

impl From<Branch> for Asked {
    fn from(branch: Branch) -> Self {
        Self::Forwarded(branch)
    }
}

/// What a timer is for.
enum Due {
    /// A third-party REGISTER is answered.
    Answer(ServerId, Vec<u8>),
    /// A request is sent on, or refused.
    Decide(ContextId),
    /// A user is registered no longer, unless it was told otherwise.
    Expiry(Impu),
    /// The subscription with this Call-ID is to be refreshed.
    Refresh(Box<str>),
}

impl ApplicationServer {
    /// That knows no user.
    pub fn new(config: ApplicationServerConfig, mut random: Random) -> Self {
        let host = Uri::parse(&config.name).map_or("", |uri| uri.host);
        Self {
            transactions: Transactions::new(random.fork()),
            proxy: Proxy::new(random.fork()),
            users: Users::default(),
            subscriptions: Subscriptions::default(),
            timeouts: Timeouts::new(),
            sent_by: config.listen.iter().map(|own| format!("{host}:{}", own.port()).into()).collect(),
            host: host.into(),
            random,
            config,
        }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &ApplicationServerConfig {
        &self.config
    }

    /// How many users are registered, as far as it was told.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// How many subscriptions it has.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Takes a SIP packet.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        if packet.protocol != Protocol::Sip {
            return;
        }
        if is_keep_alive(packet.bytes) {
            answer_keep_alive(packet, out);
            return;
        }
        let message = match Message::parse(packet.bytes) {
            Ok(message) => message,
            Err(error) => return tell(out, || What::Discarded { from: packet.from, cause: error.to_string() }),
        };
        match self.transactions.receive(now, self.config.timers, packet, &message, out) {
            Incoming::Request(server) => self.on_request(now, server, &message, out),
            Incoming::Merged(server) => self.answer(now, server, &message, 482, out),
            Incoming::Cancel { server, cancelled: Some(cancelled) } => {
                self.answer(now, server, &message, 200, out);
                self.on_cancel(now, cancelled, &message, out);
            }
            Incoming::Cancel { server, cancelled: None } => self.answer(now, server, &message, 481, out),
            Incoming::Ack => self.forward_ack(&message, out),
            Incoming::Provisional(client) => {
                if let Some(branch) = self.branch_of(client) {
                    self.on_provisional(now, branch, &message, out);
                }
            }
            Incoming::Accepted(client) => {
                if let Some(branch) = self.branch_of(client) {
                    self.on_accepted(now, branch, &message, out);
                }
            }
            Incoming::Final(_, Asked::Forwarded(branch)) => self.on_answered(now, branch, &message, out),
            Incoming::Final(_, Asked::Subscription(call_id)) => self.on_subscribed(now, &call_id, &message, out),
            Incoming::Absorbed | Incoming::Stray => {}
        }
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        let mut ended = Vec::new();
        self.transactions.connection_lost(now, connection, out, &mut ended);
        self.on_ended(now, ended, out);
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        let all = [self.transactions.next_timeout(), self.proxy.next_timeout(), self.timeouts.next()];
        all.into_iter().flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut ended = Vec::new();
        self.transactions.handle_timeout(now, out, &mut ended);
        self.on_ended(now, ended, out);
        self.on_proxy_timers(now, out);
        while let Some(due) = self.timeouts.pop(now) {
            match due {
                Due::Answer(server, register) => {
                    if let Ok(register) = Message::parse(&register) {
                        self.answer_register(now, server, &register, out);
                    }
                }
                Due::Decide(context) => self.decide(now, context, out),
                Due::Expiry(impu) => self.users.end(&impu, now),
                Due::Refresh(call_id) => self.refresh(now, &call_id, out),
            }
        }
    }

    fn on_request(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) {
        if let Err(error) = message.check() {
            return self.answer(now, server, message, error.status, out);
        }
        let is_for_us = message.header(crate::sip::HeaderName::Route).is_none()
            && message.request_uri().and_then(|uri| Uri::parse(uri).ok()).is_some_and(|uri| self.is_own(&uri));
        match message.method() {
            Some(Method::Register) => self.on_register(now, server, message, out),
            Some(Method::Notify) if is_for_us => self.on_notify(now, server, message, out),
            Some(Method::Options) if is_for_us => self.answer(now, server, message, 200, out),
            // No dialog ends here but those of subscriptions, and nobody else is served.
            _ if is_for_us => self.answer(now, server, message, 404, out),
            _ => self.on_isc_request(now, server, message, out),
        }
    }

    fn on_ended(&mut self, now: Instant, ended: Vec<Ended<Asked>>, out: &mut Outbox) {
        for Ended { client, context, cause } in ended {
            match context {
                Asked::Forwarded(branch) => self.on_unanswered(now, client, branch, cause, out),
                Asked::Subscription(call_id) => self.on_subscribe_failed(&call_id, 0, out),
            }
        }
    }

    /// True for URIs that lead to us.
    fn is_own(&self, uri: &Uri<'_>) -> bool {
        let at = |own: &SocketAddr| {
            own.port() == uri.port.unwrap_or(SIP_PORT)
                && (uri.host.eq_ignore_ascii_case(&self.host) || uri.ip() == Some(own.ip()))
        };
        uri.is_sip() && self.config.listen.iter().any(at)
    }
}

fn tell(out: &mut Outbox, what: impl FnOnce() -> What) {
    out.event(|| Event { role: Role::ApplicationServer, what: what() });
}

/// A message may hold an identity.
impl std::fmt::Debug for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answer(..) => "Answer",
            Self::Decide(_) => "Decide",
            Self::Expiry(_) => "Expiry",
            Self::Refresh(_) => "Refresh",
        })
    }
}

/// RFC 3261 clause 19.1.2.
const SIP_PORT: u16 = 5060;
