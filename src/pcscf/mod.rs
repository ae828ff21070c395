//! The P-CSCF: security agreement with the UE, then a stateful proxy towards the I-CSCF (TS 24.229 clause 5.2).
//!
//! A packet enters by [`Pcscf::receive`]. REGISTER: `register` compares and forwards, `answer` takes what the core
//! says, `books` keeps the books of flows and security associations, and `to_ue` is the only way back to the UE.
//! What goes the other way is written by `to_core`. Every other request is `passing`.

mod allocate;
mod answer;
mod auth_params;
mod books;
mod config;
mod flow;
mod from_core;
mod keep_alive;
mod liveness;
mod nat;
mod passing;
mod refusal;
mod refuse;
mod register;
mod request;
mod shed;
mod tls;
mod to_core;
mod to_ue;
mod view;
mod watching;

pub use config::{NatPolicy, PcscfConfig, SecAgreePolicy};
pub use tls::{TlsAccess, TlsRank};
pub use view::SaSetView;

use crate::event::{Event, Role, What};
use crate::ipsec::association::{Mod, SaSetId};
use crate::ipsec::negotiate::StaticText;
use crate::packet::{Connection, Outbox, Packet, Protocol, SaFailure};
use crate::random::Random;
use crate::sip::keep_alive::is_keep_alive;
use crate::sip::proxy::Proxy;
use crate::sip::transaction::{Incoming, Transactions};
use crate::sip::{Message, StartLine};
use crate::time::Instant;
use allocate::Allocator;
use books::{Books, Settings};
use flow::{Challenging, FlowKey, Registration};
use foldhash::quality::FixedState;
use from_core::Strip;
use liveness::Liveness;
use passing::{Names, Passage};
use refusal::Refusal;
use std::net::IpAddr;
use tls::Tls;
use to_core::Texts;
use to_ue::ToUe;
use watching::Watching;

/// The element.
#[derive(Debug)]
pub struct Pcscf {
    config: PcscfConfig,
    texts: Texts,
    /// By mode.
    static_texts: [StaticText; 2],
    strip: Strip,
    to_ue: ToUe,
    core: Transactions<Challenging>,
    proxy: Proxy<Passage>,
    names: Names,
    /// `None` where nobody is probed.
    liveness: Option<Box<Liveness>>,
    /// `None` where registrations are not watched.
    watching: Option<Box<Watching>>,
    /// `None` where nobody is served over TLS.
    tls: Option<Box<Tls>>,
    books: Books,
    random: Random,
    hasher: FixedState,
    dropped: u64,
}

impl Pcscf {
    /// With nothing registered.
    pub fn new(config: PcscfConfig, mut random: Random) -> Self {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for listener in &config.listen {
            if !addresses.contains(&listener.ip()) {
                addresses.push(listener.ip());
            }
        }
        let settings = Settings {
            port_s: config.port_s,
            grace: config.gm_timers.t1 * 64,
            many_ues_per_address: config.many_ues_per_address,
        };
        let books = Books::new(addresses.into(), Allocator::new(config.port_c.clone()), settings);
        Self {
            texts: Texts::new(&config),
            static_texts: [Mod::Trans, Mod::UdpEncTun]
                .map(|mode| StaticText::ranked(&config.algorithms, &config.q, mode)),
            strip: Strip::new(&config.strip_from_answers, config.keep_alive),
            to_ue: ToUe::new(config.gm_timers, config.limits, config.forms.clone(), random.fork()),
            core: Transactions::new(random.fork()),
            proxy: Proxy::new(random.fork()),
            names: Names::new(&config),
            liveness: config.options_interval.map(|interval| Box::new(Liveness::new(interval))),
            watching: config.subscribe.then(Box::default),
            tls: config.tls.map(|access| Box::new(Tls::new(access))),
            books,
            hasher: FixedState::with_seed(random.next_u64()),
            random,
            dropped: 0,
            config,
        }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &PcscfConfig {
        &self.config
    }

    /// How many packets were dropped because they came in clear beside live SAs, or over none that fits.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How many sets of SAs are alive, temporary ones included.
    pub fn sa_sets(&self) -> usize {
        self.books.set_count()
    }

    /// How many subscribers are registered or being challenged.
    pub fn subscribers(&self) -> usize {
        self.books.flow_count()
    }

    /// The identities that are registered with this IMPI, in canonical form, the default of each implicit set first.
    /// Neither for emergency calls nor by flows of RFC 5626.
    pub fn identities(&self, impi: &str) -> impl Iterator<Item = String> {
        self.books.registrations(FlowKey::of(&self.hasher, impi)).iter().flat_map(Registration::identities)
    }

    /// The Service-Route that requests of this IMPI take, elements separated by commas.
    pub fn service_route(&self, impi: &str) -> Option<String> {
        self.books.registrations(FlowKey::of(&self.hasher, impi)).first().map(Registration::service_route)
    }

    /// How many transactions are alive, on both sides.
    pub fn transactions(&self) -> usize {
        self.to_ue.len() + self.core.len()
    }

    /// Takes a packet addressed to one of its listeners.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        if is_keep_alive(packet.bytes) {
            return self.on_keep_alive(now, packet, out);
        }
        match &Message::parse(packet.bytes) {
            Ok(message) => match message.start() {
                StartLine::Request { method, .. } => self.on_request(now, packet, message, method, out),
                StartLine::Response { .. } => self.on_response(now, packet, message, out),
            },
            Err(error) => self.on_unreadable(now, packet, *error, out),
        }
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        if connection.protocol != Protocol::Sip {
            return;
        }
        let mut unanswered = Vec::new();
        self.to_ue.connection_lost(now, connection, out, &mut unanswered);
        self.on_unanswered(now, unanswered, out);
        self.on_tls_news(connection, out);
        let mut ended = Vec::new();
        self.core.connection_lost(now, connection, out, &mut ended);
        for ended in ended {
            self.on_silence(now, ended, out);
        }
    }

    /// A set of SAs is installed: its challenge may leave.
    pub fn sa_installed(&mut self, now: Instant, set: SaSetId, out: &mut Outbox) {
        self.on_set_up(now, set, out);
    }

    /// A set of SAs could not be installed.
    pub fn sa_failed(&mut self, now: Instant, failure: &SaFailure, out: &mut Outbox) {
        self.books.set_up_failed(failure.set, failure.cause.clone(), out);
        self.answer_unheard(now, out);
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        let transactions = [self.to_ue.next_timeout(), self.core.next_timeout(), self.proxy.next_timeout()];
        let liveness = self.liveness.as_ref().and_then(|l| l.next_timeout());
        let watching = self.watching.as_ref().and_then(|w| w.next_timeout());
        let tls = self.tls.as_ref().and_then(|t| t.next_timeout());
        transactions.into_iter().chain([self.books.next_timeout(), liveness, watching, tls]).flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut unanswered = Vec::new();
        self.to_ue.handle_timeout(now, out, &mut unanswered);
        self.on_unanswered(now, unanswered, out);
        self.handle_passing_timeout(now, out);
        self.handle_liveness_timeout(now, out);
        self.handle_watching_timeout(now, out);
        let mut ended = Vec::new();
        self.core.handle_timeout(now, out, &mut ended);
        for ended in ended {
            self.on_silence(now, ended, out);
        }
        self.books.handle_timeout(now, out);
        self.answer_unheard(now, out);
        if let Some(tls) = &mut self.tls {
            tls.handle_timeout(now);
        }
    }

    fn on_response(&mut self, now: Instant, packet: &Packet<'_>, message: &Message<'_>, out: &mut Outbox) {
        // No REGISTER is sent to a UE.
        if packet.sa.is_some() {
            return self.on_passed_response(now, packet, message, out);
        }
        // A 100 of the core tells the UE nothing: its own 100 is the matter of the server transaction (RFC 4320).
        match self.core.receive(now, self.config.core_timers, packet, message, out) {
            Incoming::Final(client, context) => self.on_final(now, client, context, message, out),
            Incoming::Stray => self.on_passed_response(now, packet, message, out),
            _ => {}
        }
    }

    /// Bytes that are no message. A request that can still be answered is.
    fn on_unreadable(&mut self, now: Instant, packet: &Packet<'_>, error: crate::sip::ParseError, out: &mut Outbox) {
        let from = packet.from;
        out.event(|| Event { role: Role::Pcscf, what: What::Discarded { from, cause: error.to_string() } });
        let salvaged = Message::salvage(packet.bytes).filter(|_| packet.sa.is_none() && !self.is_protected(packet.to));
        if let Some(message) = salvaged.filter(|_| !self.books.has_established(packet.from))
            && let Incoming::Request(server) = self.to_ue.receive(now, packet, &message, out)
        {
            let refusal = Refusal::Malformed { status: error.status(), fault: error.to_string() };
            self.refuse(now, packet.from, &message, server, &refusal, out);
        }
    }
}
