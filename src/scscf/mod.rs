//! The S-CSCF: registrar, authenticator (TS 24.229 clause 5.4.1).
//!
//! A REGISTER without usable answer leads to MAR and a 401 (`challenge`), its answer is checked (`verify`), then SAR and
//! a 200 (`bind`). `attempt` holds what is awaited meanwhile, `registrar` who is registered.

mod answer;
mod attempt;
mod bind;
mod binding;
mod challenge;
mod compact;
mod config;
mod contacts;
mod deregister;
mod digest;
mod expiry;
mod gruu;
mod index;
mod network;
mod notifier;
mod profile;
mod proxy;
mod refresh;
mod refusal;
mod register;
mod registrar;
mod reply;
mod restoration;
mod shed;
mod table;
mod third_party;
mod unregistered;
mod verify;
mod view;

pub use config::{ChallengePolicy, SarAtRefresh, ScscfConfig};
pub use digest::{DateForm, DigestConfig, Unauthenticated};
pub use network::Termination;
pub use view::{ContactView, RegistrationView};

use crate::aka::digest::LastHa2;
use crate::diameter::peer::{Node, Received, RequestFailure};
use crate::event::{Event, Role, What};
use crate::packet::{Connection, Outbox, Packet, Protocol};
use crate::random::Random;
use crate::sip::keep_alive::{answer as answer_keep_alive, is_keep_alive};
use crate::sip::overload::Shedder;
use crate::sip::proxy::Branch;
use crate::sip::transaction::{ClientId, Ended, Incoming, ServerId, Transactions};
use crate::sip::{Message, Method};
use crate::time::{Instant, Timeouts};
use attempt::Attempts;
use digest::Nonces;
use gruu::Gruus;
use notifier::Notifier;
use proxy::Proxying;
use refusal::Refusal;
use registrar::Registrar;
use restoration::Restoring;
use std::net::IpAddr;
use table::Id;
use third_party::{Kept, ThirdParty};
use unregistered::Unregistered;

/// The element.
#[derive(Debug)]
pub struct Scscf {
    config: ScscfConfig,
    random: Random,
    transactions: Transactions<Asked>,
    node: Node<Awaited>,
    attempts: Attempts,
    nonces: Nonces,
    shedder: Shedder,
    registrar: Registrar,
    notifier: Notifier,
    proxying: Proxying,
    restoring: Restoring,
    unregistered: Unregistered,
    timeouts: Timeouts<Due>,
    /// Host, port and parameters of our name: what follows the token in Service-Route.
    route_base: Box<str>,
    /// The Session-Id of the request to the HSS at hand.
    session_id: String,
    /// What is being written, to be kept in its final size.
    scratch: Scratch,
    /// REGISTERs until their 200.
    kept: Kept,
    gruus: Gruus,
    last_ha2: LastHa2,
}

/// A buffer that is used again. What was written last stays in it and is nobody's business.
#[derive(Default)]
struct Scratch(Vec<u8>);

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scratch({} octets)", self.0.len())
    }
}

/// Whose answer of the HSS this is.
#[derive(Clone, Copy, Debug)]
enum Awaited {
    /// Of an attempt in `AwaitingMaa`.
    Maa(Id),
    /// Of an attempt in `AwaitingSaa`.
    Saa(Id),
    /// Of a request whose user was not known here.
    Restoration(u32),
    /// Of a server assignment that nobody waits for: the registration or attempt has ended already.
    Deregistering,
}

/// What a SIP request of ours was for, and so whose its answer is.
#[derive(Debug)]
enum Asked {
    /// A request of somebody else that was forwarded.
    Forwarded(Branch),
    /// A NOTIFY of this subscription.
    Notify(Id),
    /// A third-party REGISTER.
    ThirdParty(Box<ThirdParty>),
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// reg-await-auth of an attempt.
    RegAwaitAuth(Id),
    /// The first binding of a registration ends.
    Expiry(Id),
    /// The profile of a user who is not registered has been kept for long.
    Unregistered(Id),
}

impl Scscf {
    /// With nothing registered.
    pub fn new(mut config: ScscfConfig, mut random: Random) -> Self {
        let longest = config.limits.longest_wait;
        config.diameter.request_timeout = config.diameter.request_timeout.min(longest);
        let route_base = config.name.split_once(':').map_or(&*config.name, |(_, rest)| rest);
        let route_base = route_base.split_once('@').map_or(route_base, |(_, host)| host).trim_end_matches(";lr").into();
        Self {
            transactions: Transactions::new(random.fork()),
            node: Node::new(config.diameter.clone(), random.fork()).with_role(Role::Scscf),
            attempts: Attempts::new(random.next_u64()),
            nonces: Nonces::new(random.next_u64(), config.digest.nonce_lifetime),
            registrar: Registrar::of(&config, random.next_u64()),
            proxying: Proxying::new(&config, random.fork()),
            restoring: Restoring::default(),
            unregistered: Unregistered::default(),
            notifier: Notifier::new(random.next_u64()),
            timeouts: Timeouts::new(),
            shedder: Shedder::new(config.limits, random.next_u64()),
            route_base,
            session_id: String::new(),
            scratch: Scratch::default(),
            kept: Kept::default(),
            gruus: Gruus::default(),
            last_ha2: LastHa2::default(),
            random,
            config,
        }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &ScscfConfig {
        &self.config
    }

    /// Connects to the HSS.
    pub fn start(&mut self, now: Instant, out: &mut Outbox) {
        self.node.start(now, out);
    }

    /// Takes a SIP or Diameter packet.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        match packet.protocol {
            Protocol::Sip if is_keep_alive(packet.bytes) => {
                answer_keep_alive(packet, out);
            }
            Protocol::Sip => self.receive_sip(now, packet, out),
            Protocol::Diameter => self.receive_diameter(now, packet, out),
        }
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        match connection.protocol {
            Protocol::Sip => {
                let mut ended = Vec::new();
                self.transactions.connection_lost(now, connection, out, &mut ended);
                self.on_ended(now, ended, out);
            }
            Protocol::Diameter => self.node.connection(now, connection, out),
        }
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        let own = [self.proxying.next_timeout(), self.nonces.next_timeout()].into_iter();
        let shared = [self.transactions.next_timeout(), self.node.next_timeout(), self.timeouts.next()];
        own.chain(shared).flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut ended = Vec::new();
        self.transactions.handle_timeout(now, out, &mut ended);
        self.on_ended(now, ended, out);
        self.handle_forwarding_timeout(now, out);
        let mut failed = Vec::new();
        self.node.handle_timeout(now, out, &mut failed);
        for (awaited, failure) in failed {
            self.on_hss_silent(now, awaited, failure, out);
        }
        self.end_unanswered(now, out);
        while let Some(due) = self.timeouts.pop(now) {
            match due {
                Due::RegAwaitAuth(attempt) => self.on_reg_await_auth(now, attempt, out),
                Due::Expiry(registration) => self.on_expiry(now, registration, out),
                Due::Unregistered(id) => self.on_unregistered_due(now, id, out),
            }
        }
    }

    /// Disconnects from the HSS in order.
    pub fn stop(&mut self, now: Instant, out: &mut Outbox) {
        self.node.stop(now, out);
    }

    /// How many implicit registration sets are registered.
    pub fn registrations(&self) -> usize {
        self.registrar.len()
    }

    /// How many requests of others wait for their final response.
    pub fn forwarding(&self) -> usize {
        self.proxying.len()
    }

    /// How many authentication attempts go on.
    pub fn attempts(&self) -> usize {
        self.attempts.len()
    }

    fn receive_sip(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        if packet.bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        // By reference: a message has half a kilobyte of table.
        let parsed = Message::parse(packet.bytes);
        let message = match &parsed {
            Ok(message) => message,
            Err(error) => {
                let from = packet.from;
                return self.tell(out, || What::Discarded { from, cause: error.to_string() });
            }
        };
        match self.transactions.receive(now, self.config.timers, packet, message, out) {
            Incoming::Request(server) => self.on_request(now, server, packet.from.ip(), message, out),
            // Copies of one request may pass a proxy on several ways, and come back to it (RFC 3261 clause 16.3).
            Incoming::Merged(server) if message.method() != Some(Method::Register) => {
                self.on_request(now, server, packet.from.ip(), message, out);
            }
            Incoming::Merged(server) => self.refuse(now, server, message, &Refusal::Merged, out),
            Incoming::Cancel { server, cancelled: Some(cancelled) } => {
                self.respond(now, server, message, 200, out, |_| ());
                self.on_cancel(now, cancelled, message, out);
            }
            Incoming::Cancel { server, cancelled: None } => {
                self.refuse(now, server, message, &Refusal::NothingToCancel, out);
            }
            Incoming::Provisional(client) => self.on_provisional(now, client, message, out),
            Incoming::Final(client, asked) => self.on_final(now, client, asked, message, out),
            Incoming::Accepted(client) => self.on_accepted(now, client, message, out),
            Incoming::Ack => self.on_ack(packet.from.ip(), message, out),
            Incoming::Absorbed | Incoming::Stray => {}
        }
    }

    /// A 1xx to a request of ours. Only who forwards wants to know.
    fn on_provisional(&mut self, now: Instant, client: ClientId, response: &Message<'_>, out: &mut Outbox) {
        match self.transactions.context(client) {
            Some(&mut Asked::Forwarded(branch)) => self.on_forwarded_provisional(now, branch, response, out),
            Some(Asked::ThirdParty(_) | Asked::Notify(_)) | None => {}
        }
    }

    /// A 2xx to an INVITE. We send none of our own.
    fn on_accepted(&mut self, now: Instant, client: ClientId, response: &Message<'_>, out: &mut Outbox) {
        if let Some(&mut Asked::Forwarded(branch)) = self.transactions.context(client) {
            self.on_forwarded_accepted(now, branch, response, out);
        }
    }

    /// The final answer to a request of ours.
    fn on_final(&mut self, now: Instant, _: ClientId, asked: Asked, response: &Message<'_>, out: &mut Outbox) {
        match asked {
            Asked::Forwarded(branch) => self.on_forwarded_final(now, branch, response, out),
            Asked::Notify(subscription) => self.on_notified(now, subscription, response, out),
            Asked::ThirdParty(asked) => {
                self.on_third_party_answered(now, *asked, response.status().unwrap_or_default(), out);
            }
        }
    }

    /// Requests of ours that will not be answered.
    fn on_ended(&mut self, now: Instant, ended: Vec<Ended<Asked>>, out: &mut Outbox) {
        for Ended { client, context, cause } in ended {
            match context {
                Asked::Forwarded(branch) => self.on_forwarded_ended(now, client, branch, cause, out),
                Asked::Notify(subscription) => self.on_not_notified(subscription, "a NOTIFY was not answered", out),
                Asked::ThirdParty(asked) => self.on_third_party_failed(now, *asked, 0, out),
            }
        }
    }

    fn on_request(&mut self, now: Instant, server: ServerId, from: IpAddr, message: &Message<'_>, out: &mut Outbox) {
        if message.method() == Some(Method::Register)
            && self.is_trusted(from)
            && self.refresh(now, server, message, out)
        {
            return;
        }
        let mut contacts = Vec::new();
        let see = |contact| {
            if contacts.is_empty() {
                // One is the rule.
                contacts.reserve_exact(1);
            }
            contacts.push(contact);
        };
        let checked = message.checked_with(see);
        let checked = match &checked {
            Ok(checked) => checked,
            Err(error) => return self.refuse(now, server, message, &error.clone().into(), out),
        };
        if !self.is_trusted(from) {
            return self.refuse(now, server, message, &Refusal::OutsideTrustDomain, out);
        }
        match message.method() {
            Some(Method::Register) => self.on_register(now, server, from, message, checked, contacts, out),
            Some(Method::Subscribe) if self.is_for_notifier(message) => {
                self.on_subscribe(now, server, from, message, checked, out);
            }
            _ if self.sheds(now, server, message, out) => {}
            _ => self.on_forwardable(now, server, from, message, out),
        }
    }

    fn receive_diameter(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        match self.node.receive(now, packet, out) {
            Received::Handled => {}
            Received::Request { peer, header, message } => {
                self.on_hss_request(now, peer, &header, message, out);
            }
            Received::Answer { context: Awaited::Maa(attempt), message, .. } => {
                self.on_maa(now, attempt, message, out);
            }
            Received::Answer { context: Awaited::Saa(attempt), message, .. } => {
                self.on_saa(now, attempt, message, out);
            }
            Received::Answer { context: Awaited::Restoration(number), message, .. } => {
                self.on_restoration(now, number, message, out);
            }
            Received::Answer { context: Awaited::Deregistering, .. } => {}
        }
    }

    fn on_hss_silent(&mut self, now: Instant, awaited: Awaited, _: RequestFailure, out: &mut Outbox) {
        match awaited {
            Awaited::Maa(attempt) => self.fail_challenge(now, attempt, &Refusal::HssSilent, out),
            Awaited::Saa(attempt) => self.fail_assignment(now, attempt, &Refusal::AssignmentSilent, out),
            Awaited::Restoration(number) => self.fail_restoration(now, number, out),
            Awaited::Deregistering => {}
        }
    }

    fn is_trusted(&self, from: IpAddr) -> bool {
        if !self.config.trusted.is_empty() {
            return self.config.trusted.contains(&from);
        }
        from.is_loopback() || self.config.hosts.values().any(|host| *host == from)
    }

    fn tell(&self, out: &mut Outbox, what: impl FnOnce() -> What) {
        out.event(|| Event { role: Role::Scscf, what: what() });
    }
}
