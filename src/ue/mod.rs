//! A simulated UE: registration, answer to challenges, security agreement, refresh, de-registration (TS 24.229
//! clause 5.1.1), and then messages and sessions.
//!
//! Two things are independent: what the network has granted (`Registration`) and what is under way (`State`). A
//! refresh is a REGISTER under way while a registration lives.

mod answer;
mod attempt;
mod calls;
mod challenge;
mod config;
mod dialog;
mod emergency;
mod failure;
mod flows;
mod gruu;
mod identities;
mod keep_alive;
mod misbehaviour;
mod outgoing;
mod password;
mod register;
mod requests;
mod restoration;
mod sdp;
mod security;
mod timers;
mod tls;
mod watching;

pub use config::{InvitePolicy, KeepAlivePolicy, Login, RequestForms, RetryPolicy, UeConfig};
pub use misbehaviour::Misbehaviour;
pub use outgoing::CannotSend;

use crate::aka::usim::Usim;
use crate::event::{Event, Role, What};
use crate::identity::Impu;
use crate::ipsec::association::SaSetId;
use crate::packet::{Connection, ConnectionState, Effect, Outbox, Packet, SaFailure};
use crate::random::Random;
use crate::sip::keep_alive::is_keep_alive;
use crate::sip::transaction::{Incoming, Transactions};
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use attempt::{Answering, Registering, Securing, Sent};
use calls::Calls;
use challenge::Credentials;
use flows::Flow;
use gruu::Gruus;
use identities::Other;
use keep_alive::KeepAlive;
use misbehaviour::Wrong;
use register::Sequence;
use security::{Allocator, Set};
use std::net::SocketAddr;
use watching::{Haste, Watching};

/// The element.
#[derive(Debug)]
pub struct Ue {
    config: UeConfig,
    random: Random,
    transactions: Transactions<Asked>,
    allocator: Allocator,
    sequence: Sequence,
    /// What the owner wants in the end.
    goal: Goal,
    state: State,
    registration: Option<Registration>,
    /// For proxies that ask who we are (407).
    proxy_credentials: Option<Box<Credentials>>,
    calls: Calls,
    keep_alive: Option<KeepAlive>,
    /// The subscription to the registration.
    watching: Option<Box<Watching>>,
    haste: Haste,
    /// Registered for emergency calls, beside.
    emergency: Option<Box<Self>>,
    /// The second flow of RFC 5626, beside.
    second: Option<Box<Self>>,
    flow: Flow,
    /// Sets that newer ones have replaced, each until its end.
    retiring: Vec<Set>,
    /// Our end of the TLS connection, while there is one.
    session: Option<SocketAddr>,
    /// Expiry to ask for, in seconds: as configured, or what a 423 wanted.
    expires: u32,
    /// Attempts failed in a row.
    failures: u32,
    failure: Option<String>,
    /// Told to do it wrong.
    wrong: Option<Box<Wrong>>,
}

/// What a request of ours was for.
#[derive(Debug)]
enum Asked {
    /// The attempt that `State` knows.
    Register,
    /// To be told of the registration.
    Subscribe,
    /// A request outside of dialogs.
    Standalone { method: &'static str, to: Impu },
    /// The session of this number.
    Invite(u32),
    /// Another INVITE in that session.
    Reinvite(u32),
    /// The end of that session.
    Bye(u32),
    /// Nobody waits for the answer.
    Nothing,
}

/// Where a UE stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UeStatus {
    /// Nothing asked for yet, or de-registered.
    Idle,
    /// A REGISTER is on its way.
    Registering,
    /// Registered.
    Registered,
    /// Waiting for the next attempt.
    Waiting,
    /// Given up: the last status and why.
    Failed {
        /// The last status received, 0: none.
        status: u16,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Goal {
    Registered,
    Deregistered,
}

/// What is under way.
#[derive(Debug)]
enum State {
    Idle,
    Registering(Registering),
    Securing(Securing),
    Answering(Answering),
    Waiting(Waiting),
    Failed(Failed),
}

/// The next attempt starts at `retry_at`.
#[derive(Debug)]
struct Waiting {
    retry_at: Instant,
    /// It is an initial registration, in clear, even while an older registration lives.
    afresh: bool,
}

/// Given up.
#[derive(Debug)]
struct Failed {
    status: u16,
}

/// What the network has granted.
#[derive(Debug)]
struct Registration {
    set: Option<Set>,
    /// Security-Server of the agreement on TLS, which every request mirrors.
    mirror: Option<Box<str>>,
    /// `None` where the network never asked.
    credentials: Option<Credentials>,
    associated: Box<[Impu]>,
    service_route: Box<[Box<str>]>,
    /// Of the 200: its elements are the P-CSCF and what stands between it and the S-CSCF.
    path: Box<[Box<str>]>,
    refresh_at: Option<Instant>,
    expires_at: Instant,
    gruus: Option<Box<Gruus>>,
    /// Further identities that were registered over the same security associations.
    others: Vec<Other>,
}

impl Ue {
    /// Switched on, not registered.
    pub fn new(config: UeConfig, mut random: Random) -> Self {
        Self {
            transactions: Transactions::new(random.fork()),
            sequence: Sequence::new(&mut random),
            random,
            allocator: Allocator::default(),
            goal: Goal::Deregistered,
            state: State::Idle,
            registration: None,
            proxy_credentials: None,
            calls: Calls::default(),
            keep_alive: None,
            watching: None,
            haste: Haste::default(),
            emergency: None,
            second: None,
            flow: Flow::default(),
            retiring: Vec::new(),
            session: None,
            expires: u32::try_from(config.expires.as_secs()).unwrap_or(u32::MAX),
            failures: 0,
            failure: None,
            wrong: None,
            config,
        }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &UeConfig {
        &self.config
    }

    /// From now on it does its security associations wrong, or right again.
    pub fn misbehave(&mut self, how: Option<Misbehaviour>) {
        self.wrong = how.map(|how| Box::new(Wrong::new(how)));
    }

    /// Starts a registration, or a re-registration at once.
    pub fn register(&mut self, now: Instant, out: &mut Outbox) {
        self.goal = Goal::Registered;
        self.failures = 0;
        if !self.is_busy() {
            self.start(now, Goal::Registered, false, out);
        }
    }

    /// Starts a de-registration. A REGISTER under way is waited for. An emergency registration ends by its expiry.
    pub fn deregister(&mut self, now: Instant, out: &mut Outbox) {
        self.goal = Goal::Deregistered;
        if let Some(second) = &mut self.second {
            second.deregister(now, out);
        }
        if self.is_busy() {
            return;
        }
        if let Some(impu) = self.registration.as_ref().and_then(Registration::last_other) {
            self.start_other(now, Goal::Deregistered, impu, out);
        } else if self.registration.is_some() {
            self.start(now, Goal::Deregistered, false, out);
        } else {
            self.state = State::Idle;
        }
    }

    /// Where it stands.
    pub fn status(&self) -> UeStatus {
        match &self.state {
            State::Failed(failed) => UeStatus::Failed { status: failed.status },
            _ if self.registration.is_some() && self.goal == Goal::Registered => UeStatus::Registered,
            State::Idle => UeStatus::Idle,
            State::Registering(_) | State::Securing(_) | State::Answering(_) => UeStatus::Registering,
            State::Waiting(_) => UeStatus::Waiting,
        }
    }

    /// True while a REGISTER of ours waits for its answer.
    pub const fn is_registering(&self) -> bool {
        self.is_busy()
    }

    /// True while a set of SAs is being installed that the next REGISTER waits for.
    pub const fn is_securing(&self) -> bool {
        matches!(self.state, State::Securing(_))
    }

    /// Why the last attempt failed, in one line.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The USIM, whose SQNs the caller may keep in a file.
    pub const fn usim(&self) -> Option<&Usim> {
        self.config.usim.as_ref()
    }

    /// P-Associated-URI of the last 200; the first is the default identity. Empty while not registered.
    pub fn associated(&self) -> &[Impu] {
        self.registration.as_ref().map_or(&[], |r| &r.associated)
    }

    /// Service-Route of the last 200, each element as received. Empty while not registered.
    pub fn service_route(&self) -> &[Box<str>] {
        self.registration.as_ref().map_or(&[], |r| &r.service_route)
    }

    /// When the registration ends unless it is refreshed.
    pub fn expires_at(&self) -> Option<Instant> {
        self.registration.as_ref().map(|r| r.expires_at)
    }

    /// Takes a SIP packet.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        self.compare_flows();
        if let Some(other) = self.receiver(packet) {
            other.receive(now, packet, out);
            return self.share_usim();
        }
        if is_keep_alive(packet.bytes) {
            return self.on_keep_alive(now, packet, out);
        }
        let message = match Message::parse(packet.bytes) {
            Ok(message) => message,
            Err(e) => {
                let from = packet.from;
                return tell(out, || What::Discarded { from, cause: e.to_string() });
            }
        };
        if let Err(cause) = self.admit(packet, &message) {
            let (from, to) = (packet.from, packet.to);
            return tell(out, || What::PacketDropped { from, to, cause });
        }
        self.retire_old_sets(now, packet);
        match self.transactions.receive(now, self.config.timers, packet, &message, out) {
            Incoming::Request(server) => self.on_request(now, server, packet, &message, out),
            Incoming::Merged(server) => self.respond(now, server, 482, packet, &message, out),
            Incoming::Cancel { server, cancelled } => {
                let status = if cancelled.is_some() { 200 } else { 481 };
                self.respond(now, server, status, packet, &message, out);
                if let Some(invite) = cancelled {
                    self.on_invite_cancelled(now, invite, out);
                }
            }
            Incoming::Ack => self.on_ack(&message),
            Incoming::Provisional(client) => {
                if let Some(call) = self.call_of(client) {
                    self.on_invite_provisional(call, &message, out);
                }
            }
            Incoming::Accepted(client) => {
                if let Some(call) = self.call_of(client) {
                    self.on_invite_accepted(now, call, &message, out);
                }
            }
            Incoming::Final(client, Asked::Register) => self.on_final(now, client, &message, out),
            Incoming::Final(client, asked) => {
                let Some(asked) = self.ask_again(now, client, asked, &message, out) else { return };
                self.heed_alternative_service(now, &asked, &message, out);
                if matches!(asked, Asked::Subscribe) {
                    return self.on_subscribe_answered(now, Some(&message), out);
                }
                self.on_answered(asked, message.status().unwrap_or_default(), out);
            }
            Incoming::Absorbed | Incoming::Stray => {}
        }
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        self.compare_flows();
        self.beside_mut().for_each(|other| other.connection(now, connection, out));
        let mut ended = Vec::new();
        if connection.state != ConnectionState::Opened {
            self.transactions.connection_lost(now, connection, out, &mut ended);
        }
        self.on_ended(now, ended, out);
        self.on_tls_news(now, connection, out);
    }

    /// A set of SAs is installed: what waits for it may leave.
    pub fn sa_installed(&mut self, now: Instant, set: SaSetId, out: &mut Outbox) {
        self.beside_mut().for_each(|other| other.sa_installed(now, set, out));
        self.on_set_up(now, set, out);
    }

    /// A set of SAs could not be installed.
    pub fn sa_failed(&mut self, now: Instant, failure: &SaFailure, out: &mut Outbox) {
        self.beside_mut().for_each(|other| other.sa_failed(now, failure, out));
        self.on_set_up_failed(now, failure.set, failure.cause.clone(), out);
    }

    /// A request other than REGISTER is through: a final status, or 0 for none.
    fn on_answered(&mut self, asked: Asked, status: u16, out: &mut Outbox) {
        match asked {
            Asked::Register | Asked::Subscribe | Asked::Nothing => {}
            Asked::Standalone { method, to } => Self::on_standalone(method, to, status, out),
            Asked::Invite(call) => self.on_invite_failed(call, status, out),
            Asked::Reinvite(call) => self.on_reinvite_failed(call, status, out),
            Asked::Bye(call) => self.on_bye_through(call, out),
        }
    }

    const fn is_busy(&self) -> bool {
        matches!(self.state, State::Registering(_) | State::Securing(_) | State::Answering(_))
    }

    /// TS 33.203 clause 7.1: which packets may be looked at, given the SA that carried them.
    fn admit(&self, packet: &Packet<'_>, message: &Message<'_>) -> Result<(), &'static str> {
        if self.is_in_clear_beside_tls(packet) {
            return Err("clear text beside TLS");
        }
        let established = self.registration.as_ref().and_then(|r| r.set.as_ref());
        let sent = match &self.state {
            State::Registering(Registering { sent, .. }) | State::Answering(Answering { sent, .. }) => Some(sent),
            _ => None,
        };
        if message.status().is_some() {
            let branch = message.via().ok().and_then(|via| via.branch());
            let ours = sent.filter(|s| branch == Some(&*s.branch));
            return match ours {
                Some(sent) if sent.set.is_some() && packet.sa.is_none() => {
                    Err("answer in clear to a protected request")
                }
                // TS 33.203 clauses 7.1 and 7.4: the right SA is that which the P-CSCF must use for it. What refuses may come
                // over the set with which the attempt began.
                Some(sent) if !self.may_answer(sent, packet, message) => Err("answer through another set of SAs"),
                None if established.is_some() && packet.sa.is_none() => Err("answer in clear beside live SAs"),
                _ => Ok(()),
            };
        }
        match packet.sa {
            None if established.is_some() => Err("request in clear beside live SAs"),
            Some(sa) if self.temporary().is_some_and(|t| t.id == sa.set) => Err("request through a temporary SA"),
            _ => Ok(()),
        }
    }

    /// Whether the set that carried an answer to a REGISTER is one that may: that of the request, or for what is no 2xx
    /// that of the registration which is renewed.
    fn may_answer(&self, sent: &Sent, packet: &Packet<'_>, message: &Message<'_>) -> bool {
        let Some((wanted, sa)) = sent.set.zip(packet.sa) else { return true };
        let over = match &self.state {
            State::Answering(Answering { attempt, .. }) => attempt.over.as_ref().map(|set| set.id),
            _ => None,
        };
        let is_success = message.status().is_some_and(|status| (200..300).contains(&status));
        sa.set == wanted || !is_success && over == Some(sa.set)
    }

    fn temporary(&self) -> Option<&Set> {
        match &self.state {
            State::Securing(securing) => Some(&securing.temporary),
            State::Answering(answering) => answering.answer.temporary.as_ref(),
            _ => None,
        }
    }

    /// The first message through the new set ends the old ones as soon as no transaction can use them any more
    /// (TS 24.229 clause 5.1.1.5.1).
    fn retire_old_sets(&mut self, now: Instant, packet: &Packet<'_>) {
        let current = self.registration.as_ref().and_then(|r| r.set.as_ref());
        if current.is_none_or(|set| packet.sa.is_none_or(|sa| sa.set != set.id)) {
            return;
        }
        let last = now + self.config.timers.t1 * 64;
        for set in &mut self.retiring {
            set.ends_at = set.ends_at.min(last);
        }
    }
}

fn tell(out: &mut Outbox, what: impl FnOnce() -> What) {
    out.event(|| Event { role: Role::Ue, what: what() });
}

fn remove(out: &mut Outbox, set: SaSetId, cause: &'static str) {
    out.push(Effect::RemoveSa(set));
    tell(out, || What::SaRemoved { set, cause });
}

/// `Retry-After` in seconds, without comment and parameters (RFC 3261 clause 20.33).
fn retry_after(message: &Message<'_>) -> Option<Duration> {
    let digits = message.header(HeaderName::RetryAfter)?.split([' ', '\t', '(', ';']).next()?;
    digits.parse::<u32>().ok().filter(|secs| *secs > 0).map(|secs| Duration::from_secs(secs.into()))
}
