//! One side of a recorded registration, played: what it waits for, what it sends, when.

use super::answers::{Challenge, Known};
use super::comparison::Sender;
use super::renewals::Renewals;
use super::report::{Outcome, Report};
use super::script::Script;
use crate::ipsec::association::{Endpoint, SaSetId};
use crate::packet::{Connection, Outbox, Packet, Route, SaFailure};
use crate::random::Random;
use crate::sip::Message;
use crate::sip::keep_alive::is_keep_alive;
use crate::sip::transaction::{ClientId, Incoming, ServerId, Timers, Transactions};
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

/// How a [`Player`] plays.
#[derive(Clone, Debug)]
pub struct PlayerConfig {
    /// Whose messages it sends.
    pub side: Sender,
    /// Its unprotected address.
    pub local: SocketAddr,
    /// The P-CSCF; a player of the network waits for its UE instead.
    pub pcscf: SocketAddr,
    /// Its protected client ports, one for each set, and its protected server port.
    pub protected_ports: (RangeInclusive<u16>, u16),
    /// What is known of the subscriber.
    pub known: Known,
    /// Timing as recorded (1), faster (2), slower (0.5), or without any pause (0).
    pub speed: f64,
    /// How long it waits for a message beyond the recorded time.
    pub patience: Duration,
    /// Headers that are not compared.
    pub ignored: Vec<String>,
}

/// One side of a [`Script`]: sends its own messages with everything renewed that must be, and compares what comes with
/// what was recorded. Driven like an element, and none.
#[derive(Debug)]
pub struct Player {
    pub(super) config: PlayerConfig,
    pub(super) script: Script,
    /// One a step.
    pub(super) settled: Vec<bool>,
    pub(super) renewals: Renewals,
    pub(super) transactions: Transactions<usize>,
    pub(super) random: Random,
    /// Requests that came, by exchange.
    pub(super) asked: BTreeMap<usize, Asked>,
    /// Requests that were sent, by exchange.
    pub(super) clients: BTreeMap<usize, ClientId>,
    /// Those requests, by step.
    pub(super) sent: BTreeMap<usize, Vec<u8>>,
    pub(super) challenges: Vec<Challenge>,
    /// Challenges that were made anew: the recorded value of the header, and that of now.
    pub(super) values: Vec<(String, String)>,
    /// Steps whose challenge is made.
    pub(super) made: Vec<usize>,
    /// Steps whose set was asked for.
    pub(super) prepared: Vec<usize>,
    /// Security-Server as recorded, and as it came.
    pub(super) mirrors: Vec<(String, String)>,
    /// Recorded route sets, and those of now.
    pub(super) routes: Vec<(Vec<String>, Vec<String>)>,
    /// Our own SPIs and ports, recorded and now.
    pub(super) endpoints: Vec<(Endpoint, Endpoint)>,
    pub(super) sets: Vec<LiveSet>,
    pub(super) installing: Option<SaSetId>,
    /// Where the other side is, in clear.
    pub(super) other: Option<Route>,
    /// SQN of the last challenge.
    pub(super) sqn: u64,
    /// When the last step was settled.
    pub(super) last: Option<Instant>,
    pub(super) wake: Option<Instant>,
    pub(super) report: Report,
    pub(super) end: Option<Instant>,
}

/// What a UE does of its own accord.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cue {
    /// It registers, or registers again.
    Register,
    /// It ends its registration.
    Deregister,
}

/// A request that came.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) server: ServerId,
    pub(super) bytes: Vec<u8>,
    pub(super) source: SocketAddr,
    pub(super) route: Route,
}

/// A set of SAs.
#[derive(Clone, Copy, Debug)]
pub(super) struct LiveSet {
    pub(super) id: SaSetId,
    pub(super) ue: Endpoint,
    pub(super) pcscf: Endpoint,
    pub(super) is_there: bool,
}

impl Player {
    /// Nothing is sent before [`Player::begin`].
    pub fn new(config: PlayerConfig, script: Script, mut random: Random) -> Self {
        let mut this = Self {
            settled: vec![false; script.steps.len()],
            renewals: Renewals::default(),
            transactions: Transactions::new(random.fork()),
            random,
            asked: BTreeMap::new(),
            clients: BTreeMap::new(),
            sent: BTreeMap::new(),
            challenges: Vec::new(),
            values: Vec::new(),
            made: Vec::new(),
            prepared: Vec::new(),
            mirrors: Vec::new(),
            routes: Vec::new(),
            endpoints: Vec::new(),
            sets: Vec::new(),
            installing: None,
            other: None,
            sqn: 0,
            last: None,
            wake: None,
            report: Report::default(),
            end: None,
            config,
            script,
        };
        this.renew_addresses();
        this
    }

    /// How it was told to play.
    pub const fn config(&self) -> &PlayerConfig {
        &self.config
    }

    /// True where a 401 of the recording has a Security-Server.
    pub fn has_agreement(&self) -> bool {
        self.script.has_agreement()
    }

    /// What it has found so far.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// True when there is nothing left to send or to wait for.
    pub const fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// The first step.
    pub fn begin(&mut self, now: Instant, out: &mut Outbox) {
        if self.config.side == Sender::Ue {
            self.last = Some(now);
        }
        self.advance(now, out);
    }

    /// Nobody waits any longer: what has not come will not come.
    pub fn give_up(&mut self, now: Instant, why: &str) {
        if self.end.is_none() {
            self.stop(now, why);
        }
    }

    /// Takes a packet.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        if is_keep_alive(packet.bytes) {
            return;
        }
        let Ok(message) = Message::parse(packet.bytes) else {
            self.report.note(now, None, "octets that are no message", Outcome::Added);
            return;
        };
        match self.transactions.receive(now, Timers::GM, packet, &message, out) {
            Incoming::Request(server) => self.hear_request(now, server, packet, &message, out),
            Incoming::Final(_, step) => self.hear_response(now, step, packet, &message, out),
            Incoming::Merged(server) | Incoming::Cancel { server, .. } => self.refuse(now, server, &message, 481, out),
            Incoming::Provisional(_) | Incoming::Accepted(_) | Incoming::Ack | Incoming::Absorbed | Incoming::Stray => {
            }
        }
        self.advance(now, out);
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        let mut ended = Vec::new();
        self.transactions.connection_lost(now, connection, out, &mut ended);
        for ended in ended {
            self.unanswered(now, ended.context, ended.cause);
        }
        self.advance(now, out);
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.transactions.next_timeout(), self.wake].into_iter().flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut ended = Vec::new();
        self.transactions.handle_timeout(now, out, &mut ended);
        for ended in ended {
            self.unanswered(now, ended.context, ended.cause);
        }
        if self.wake.is_some_and(|wake| wake <= now) {
            self.wake = None;
            self.advance(now, out);
        }
    }

    /// A set of SAs is there.
    pub fn sa_installed(&mut self, now: Instant, set: SaSetId, out: &mut Outbox) {
        if let Some(set) = self.sets.iter_mut().find(|known| known.id == set) {
            set.is_there = true;
        }
        self.installing = self.installing.filter(|waiting| *waiting != set);
        self.advance(now, out);
    }

    /// A set of SAs could not be made.
    pub fn sa_failed(&mut self, now: Instant, failure: &SaFailure, _out: &mut Outbox) {
        self.sets.retain(|known| known.id != failure.set);
        if self.installing == Some(failure.set) {
            self.installing = None;
            self.stop(now, &format!("the security associations could not be made: {}", failure.cause));
        }
    }

    /// What is known of addresses before anything is said.
    fn renew_addresses(&mut self) {
        let Self { config, script, renewals, .. } = self;
        let (own, theirs) = match config.side {
            Sender::Ue => (&script.ue, &script.pcscf),
            Sender::Network => (&script.pcscf, &script.ue),
        };
        let is_shared = |address: &SocketAddr| theirs.iter().any(|other| other.ip() == address.ip());
        for address in own {
            renewals.end(*address, config.local);
            if !is_shared(address) {
                renewals.host(address.ip(), config.local.ip());
            }
        }
        if config.side == Sender::Ue {
            for address in theirs {
                renewals.end(*address, config.pcscf);
                if !own.iter().any(|other| other.ip() == address.ip()) {
                    renewals.host(address.ip(), config.pcscf.ip());
                }
            }
        }
    }
}
