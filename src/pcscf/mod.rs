//! The P-CSCF: security agreement with the UE, then a stateful proxy towards the I-CSCF (TS 24.229 clause 5.2).
//!
//! A packet enters by [`Pcscf::receive`]. REGISTER: [`register`] compares and forwards, [`answer`] takes what the core
//! says, [`sets`] keeps the books of flows and security associations, and [`to_ue`] is the only way back to the UE.
//! What goes the other way is written by [`to_core`].

mod allocate;
mod answer;
mod auth_params;
mod config;
mod flow;
mod from_core;
mod refusal;
mod register;
mod sets;
mod to_core;
mod to_ue;

pub use config::{PcscfConfig, SecAgreePolicy};

use crate::event::{Event, Role, What};
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Endpoint, PortPair};
use crate::packet::{Connection, Outbox, Packet, Protocol, Route, SaFailure};
use crate::random::Random;
use crate::sip::transaction::{Incoming, ServerId, Transactions};
use crate::sip::{HeaderError, HeaderName, Message, Method, StartLine, Uri};
use crate::time::Instant;
use allocate::Allocator;
use flow::{Challenging, FlowKey, Phase, SetRef};
use foldhash::quality::FixedState;
use from_core::FromCore;
use refusal::Refusal;
use sets::{Books, Settings};
use std::net::{IpAddr, SocketAddr};
use to_core::Host;
use to_ue::{Answer, ToUe};

/// The element.
#[derive(Debug)]
pub struct Pcscf {
    config: PcscfConfig,
    texts: Texts,
    to_ue: ToUe,
    core: Transactions<Challenging>,
    books: Books,
    random: Random,
    hasher: FixedState,
    dropped: u64,
}

/// Parts of messages that never change.
#[derive(Debug)]
struct Texts {
    /// Host and port in Via towards the core.
    sent_by: Box<str>,
    /// Host and port in Path.
    path_host: Box<str>,
}

/// What may become of a packet before any transaction is made for it.
enum Admission {
    /// It came in clear.
    Clear,
    /// It came over this set.
    Protected(SetRef),
    /// It came over a set that takes nothing new: a transaction may repeat its answer.
    OnlyRepetitions,
    /// It is dropped.
    Dropped(&'static str),
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
            to_ue: ToUe::new(config.gm_timers, random.fork()),
            core: Transactions::new(random.fork()),
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
    pub fn identities(&self, impi: &str) -> impl Iterator<Item = &str> {
        self.books.registrations(FlowKey::of(&self.hasher, impi)).iter().flat_map(|r| r.identities.lines())
    }

    /// The Service-Route that requests of this IMPI take, elements separated by commas.
    pub fn service_route(&self, impi: &str) -> Option<&str> {
        self.books.registrations(FlowKey::of(&self.hasher, impi)).first().map(|r| &*r.service_route)
    }

    /// How many transactions are alive, on both sides.
    pub fn transactions(&self) -> usize {
        self.to_ue.len() + self.core.len()
    }

    /// Takes a packet addressed to one of its listeners.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        if is_keep_alive(packet.bytes) {
            return;
        }
        let message = match Message::parse(packet.bytes) {
            Ok(message) => message,
            Err(error) => return self.on_unreadable(now, packet, error, out),
        };
        match message.start() {
            StartLine::Request { method, .. } => self.on_request(now, packet, &message, method, out),
            StartLine::Response { .. } if packet.sa.is_none() => self.on_response(now, packet, &message, out),
            // Nothing was asked of the UE, so nothing is answered by it.
            StartLine::Response { .. } => {}
        }
    }

    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        if connection.protocol != Protocol::Sip {
            return;
        }
        self.to_ue.connection_lost(now, connection, out);
        let mut ended = Vec::new();
        self.core.connection_lost(now, connection, out, &mut ended);
        for ended in ended {
            self.on_silence(now, ended, out);
        }
    }

    /// A set of SAs could not be installed.
    pub fn sa_failed(&mut self, _now: Instant, failure: SaFailure, out: &mut Outbox) {
        if self.books.set_up_failed(failure.set, out) {
            tell(&Refusal::SetUpFailed, out);
        }
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.to_ue.next_timeout(), self.core.next_timeout(), self.books.next_timeout()].into_iter().flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.to_ue.handle_timeout(now, out);
        let mut ended = Vec::new();
        self.core.handle_timeout(now, out, &mut ended);
        for ended in ended {
            self.on_silence(now, ended, out);
        }
        self.books.handle_timeout(now, out);
    }

    fn on_request(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        method: Method<'_>,
        out: &mut Outbox,
    ) {
        let admission = self.admit(packet, message, method);
        if let Admission::Dropped(cause) = admission {
            self.dropped += 1;
            let (from, to) = (packet.from, packet.to);
            out.event(|| Event { role: Role::Pcscf, what: What::PacketDropped { from, to, cause } });
            return;
        }
        let incoming = self.to_ue.receive(now, packet, message, out);
        let (Incoming::Request(server) | Incoming::Merged(server) | Incoming::Cancel { server, .. }) = incoming else {
            return;
        };
        let over = match admission {
            Admission::OnlyRepetitions => return self.to_ue.abandon(now, server),
            Admission::Protected(set) => Some(set),
            Admission::Clear | Admission::Dropped(_) => None,
        };
        if let Some(set) = over.and_then(|o| self.books.get(o)) {
            let route = self.answer_route(packet, set);
            self.to_ue.set_route(server, route);
        } else if !self.can_answer_in_clear(packet, server) {
            return self.to_ue.abandon(now, server);
        }
        match incoming {
            Incoming::Merged(_) => return self.refuse(now, packet.from, message, server, &Refusal::Merged, out),
            Incoming::Cancel { cancelled, .. } => {
                return self.on_cancel(now, packet, message, server, cancelled.is_some(), out);
            }
            _ => {}
        }
        if let Some(set) = over {
            self.books.used(now, set);
        }
        if let Err(refusal) = self.check(message) {
            if message.via().is_err() {
                // An answer without Via could not be read by anybody.
                let (from, cause) = (packet.from, refusal.cause());
                out.event(|| Event { role: Role::Pcscf, what: What::Discarded { from, cause } });
                return self.to_ue.abandon(now, server);
            }
            return self.refuse(now, packet.from, message, server, &refusal, out);
        }
        match method {
            Method::Register => self.on_register(now, packet, message, server, over, out),
            _ => self.on_other(now, packet, message, server, over, out),
        }
    }

    fn on_response(&mut self, now: Instant, packet: &Packet<'_>, message: &Message<'_>, out: &mut Outbox) {
        // A 100 of the core tells the UE nothing: its own 100 is the matter of the server transaction (RFC 4320).
        if let Incoming::Final(client, context) = self.core.receive(now, self.config.core_timers, packet, message, out)
        {
            self.on_final(now, client, context, message, out);
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

    /// What the plane cannot know: whose SAs these are, and who must not speak in clear (TS 33.203 clause 7.1).
    fn admit(&self, packet: &Packet<'_>, message: &Message<'_>, method: Method<'_>) -> Admission {
        if packet.sa.is_none() {
            return if self.is_protected(packet.to) {
                Admission::Dropped("clear text at a protected port")
            } else if !self.books.has_established(packet.from)
                || method == Method::Register && self.begins_again(message)
            {
                Admission::Clear
            } else {
                Admission::Dropped("clear text beside live SAs")
            };
        }
        let Some(over) = self.books.carrier(packet) else { return Admission::Dropped("no SA fits this packet") };
        let set = self.books.get(over).expect("just found");
        if packet.sa != Some(set.sa(PortPair::UcPs)) {
            return Admission::Dropped("request over the SA of answers");
        }
        match set.phase {
            Phase::Challenged(_) if method != Method::Register => {
                Admission::Dropped("only REGISTER passes a temporary SA")
            }
            Phase::Failed => Admission::OnlyRepetitions,
            _ => Admission::Protected(over),
        }
    }

    /// Nothing goes in clear to a protected port (field lesson 23): not even where the Via of a request in clear names
    /// one, which is then answered where it came from.
    fn can_answer_in_clear(&mut self, packet: &Packet<'_>, server: ServerId) -> bool {
        let is_protected = |target| self.books.is_protected_port(packet.from, target, self.config.port_c.clone());
        let named = self.to_ue.route(server).map_or(packet.from, |r| r.to);
        if !is_protected(named) {
            return true;
        }
        let answerable = named != packet.from && !is_protected(packet.from);
        if answerable {
            self.to_ue.set_route(server, Route::sip(packet.transport, packet.to, packet.from));
        }
        answerable
    }

    /// RFC 3261 clause 16.3.
    fn check(&self, message: &Message<'_>) -> Result<(), Refusal> {
        message.check()?;
        if message.max_forwards()? == Some(0) {
            return Err(Refusal::TooManyHops);
        }
        let unknown: Vec<&str> = message
            .elements(HeaderName::ProxyRequire)
            .filter(|tag| !KNOWN_TAGS.iter().any(|known| tag.eq_ignore_ascii_case(known)))
            .collect();
        if unknown.is_empty() { Ok(()) } else { Err(Refusal::UnknownExtension { tags: unknown.join(", ") }) }
    }

    /// A request other than REGISTER. Those of registered UEs go no further than here yet.
    fn on_other(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        server: ServerId,
        over: Option<SetRef>,
        out: &mut Outbox,
    ) {
        let wants_agreement = |name| message.has_option(name, "sec-agree");
        let registered = match over.and_then(|o| self.books.get(o)) {
            Some(set) => self.books.is_registered(set.flow),
            None => self.books.is_registered_in_clear(packet.from),
        };
        let refusal = if message.method() == Some(Method::Options) && self.is_us(message) {
            let headers =
                [(HeaderName::Allow, "REGISTER, OPTIONS, CANCEL"), (HeaderName::Supported, "path, sec-agree")];
            let answer = Answer::Own { request: message, source: packet.from, status: 200, headers: &headers };
            return self.to_ue.answer(now, server, &answer, out);
        } else if over.is_none()
            && self.config.sec_agree != SecAgreePolicy::Off
            && (wants_agreement(HeaderName::Require) || wants_agreement(HeaderName::ProxyRequire))
        {
            Refusal::NoCommonMechanism
        } else if registered {
            Refusal::NotServed
        } else {
            Refusal::NotRegistered
        };
        self.refuse(now, packet.from, message, server, &refusal, out);
    }

    /// A REGISTER cannot be cancelled (RFC 3261 clause 9.1); its CANCEL is answered all the same.
    fn on_cancel(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        server: ServerId,
        known: bool,
        out: &mut Outbox,
    ) {
        if known {
            let answer = Answer::Own { request: message, source: packet.from, status: 200, headers: &[] };
            self.to_ue.answer(now, server, &answer, out);
        } else {
            self.refuse(now, packet.from, message, server, &Refusal::NothingToCancel, out);
        }
    }

    /// Answers a request of a UE with a refusal.
    fn refuse(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: &Message<'_>,
        server: ServerId,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        self.refuse_with_list(now, source, message, server, refusal, None, out);
    }

    /// The same; `sent` is what Security-Server named before, if the UE has seen one.
    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each found by somebody else")]
    fn refuse_with_list(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: &Message<'_>,
        server: ServerId,
        refusal: &Refusal,
        sent: Option<(Endpoint, Algorithms)>,
        out: &mut Outbox,
    ) {
        let list = self.list_of(refusal, sent);
        let mut headers = headers_of(refusal, list.as_deref());
        if let Refusal::UnknownExtension { tags } = refusal {
            headers.push((HeaderName::Unsupported, tags));
        }
        let answer = Answer::Own { request: message, source, status: refusal.status(), headers: &headers };
        self.to_ue.answer(now, server, &answer, out);
        tell(refusal, out);
    }

    /// Answers with a refusal in place of what the core said.
    fn refuse_instead(
        &mut self,
        now: Instant,
        server: ServerId,
        response: &FromCore<'_>,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        let list = self.list_of(refusal, None);
        let headers = headers_of(refusal, list.as_deref());
        let answer = Answer::Instead { response, status: refusal.status(), headers: &headers };
        self.to_ue.answer(now, server, &answer, out);
        tell(refusal, out);
    }

    /// 421 and 494 carry our list (RFC 3329 clause 2.3.1): the one that was sent, or one with numbers that nobody has.
    fn list_of(&mut self, refusal: &Refusal, sent: Option<(Endpoint, Algorithms)>) -> Option<String> {
        if !matches!(refusal.status(), 421 | 494) {
            return None;
        }
        if let Some((endpoint, algorithms)) = sent {
            return Some(self.security_server(algorithms, endpoint));
        }
        let mut spi = || Spi(self.random.next_u32() | Spi::FIRST.0);
        let (spi_c, spi_s) = (spi(), spi());
        let endpoint = Endpoint { spi_c, spi_s, port_c: *self.config.port_c.start(), port_s: self.config.port_s };
        Some(self.static_list(endpoint))
    }

    /// True for port_ps and the pool of port_pc.
    fn is_protected(&self, here: SocketAddr) -> bool {
        (here.port() == self.config.port_s || self.config.port_c.contains(&here.port()))
            && self.config.listen.iter().any(|l| l.ip() == here.ip())
            && !self.config.listen.contains(&here)
    }

    /// True for a Request-URI without user part that names this host.
    fn is_us(&self, message: &Message<'_>) -> bool {
        let Some(Ok(uri)) = message.request_uri().map(Uri::parse) else { return false };
        let ours = |ip: IpAddr| ip == self.config.core.ip() || self.config.listen.iter().any(|l| l.ip() == ip);
        uri.is_sip()
            && uri.user.is_none()
            && (uri.ip().is_some_and(ours) || uri.host.eq_ignore_ascii_case(&self.config.host))
    }
}

impl Texts {
    fn new(config: &PcscfConfig) -> Self {
        let (core, port) = (config.core, config.core.port());
        let sent_by = match &*config.host {
            "" => format!("{}:{port}", Host(core.ip())),
            host => format!("{host}:{port}"),
        };
        let path_host = match (&*config.host, port) {
            ("", _) => sent_by.clone(),
            (host, 5060) => host.to_owned(),
            (host, port) => format!("{host}:{port}"),
        };
        Self { sent_by: sent_by.into(), path_host: path_host.into() }
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::Malformed { status: error.status, fault: error.to_string() }
    }
}

fn headers_of<'a>(refusal: &Refusal, list: Option<&'a str>) -> Vec<(HeaderName, &'a str)> {
    let mut headers = Vec::new();
    if let Some(list) = list {
        headers.push((HeaderName::Require, "sec-agree"));
        headers.push((HeaderName::SecurityServer, list));
    }
    if matches!(refusal, Refusal::NotServed) {
        headers.push((HeaderName::Allow, "REGISTER, OPTIONS, CANCEL"));
    }
    headers
}

fn tell(refusal: &Refusal, out: &mut Outbox) {
    out.event(|| Event {
        role: Role::Pcscf,
        what: What::Refused { status: refusal.status(), cause: refusal.cause(), clause: refusal.clause() },
    });
}

/// Datagrams that keep a NAT open (RFC 5626 clauses 3.5.1 and 4.4): nothing, line ends, zeros, STUN.
fn is_keep_alive(bytes: &[u8]) -> bool {
    let is_stun = bytes.len() >= 20 && bytes[0] < 4 && bytes[4..8] == [0x21, 0x12, 0xa4, 0x42];
    is_stun || bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | 0))
}

/// Option tags that a proxy on the way of a REGISTER understands.
const KNOWN_TAGS: [&str; 2] = ["sec-agree", "path"];
