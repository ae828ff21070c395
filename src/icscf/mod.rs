//! The I-CSCF: asks the HSS which S-CSCF serves a user and forwards (TS 24.229 clause 5.3, TS 29.228 clause 6.1.1).

mod answer;
mod config;
mod locate;
mod refusal;
mod register;
mod resolve;
mod select;
mod shed;

pub use config::{IcscfConfig, ScscfEntry};

use crate::cx::envelope::encode_fault;
use crate::diameter::Fault;
use crate::diameter::peer::{Node, Received};
use crate::event::{Event, Role, What};
use crate::identity::Shortened;
use crate::packet::{Connection, Outbox, Packet, Protocol};
use crate::random::Random;
use crate::sip::keep_alive::{answer as answer_keep_alive, is_keep_alive};
use crate::sip::overload::Shedder;
use crate::sip::proxy::Branch;
use crate::sip::transaction::{ClientId, Ended, Incoming, ServerId, Transactions};
use crate::sip::{Message, Method};
use crate::time::Instant;
use locate::{AwaitingLia, Locating};
use refusal::Refusal;
use register::{AwaitingScscf, AwaitingUaa};
use resolve::Known;
use std::net::IpAddr;

/// The element: a stateful proxy. What it knows lives in transactions and in requests to the HSS.
#[derive(Debug)]
pub struct Icscf {
    config: IcscfConfig,
    random: Random,
    transactions: Transactions<Asked>,
    node: Node<Awaited>,
    locating: Locating,
    shedder: Shedder,
    /// sent-by of our Via, one for each listener.
    sent_by: Vec<Box<str>>,
    /// Where the S-CSCFs of the configuration listen.
    known: Vec<Known>,
    /// The Session-Id of the request to the HSS at hand.
    session_id: String,
    /// The public identity of the REGISTER at hand.
    impu: Impu,
    /// Buffers for requests that wait for the HSS, empty.
    spare: Vec<Vec<u8>>,
}

/// What a request that was forwarded was.
#[derive(Debug)]
enum Asked {
    /// A REGISTER.
    Register(AwaitingScscf),
    /// Any other request.
    Forwarded(Branch),
}

/// Whose answer of the HSS this is.
#[derive(Debug)]
enum Awaited {
    /// Of a REGISTER.
    Uaa(AwaitingUaa),
    /// Of any other request.
    Lia(AwaitingLia),
}

/// A public identity; shortened in logs.
#[derive(Default)]
struct Impu(String);

impl std::fmt::Debug for Impu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", Shortened(&self.0))
    }
}

impl Icscf {
    /// With no request open.
    pub fn new(mut config: IcscfConfig, mut random: Random) -> Self {
        let longest = config.limits.longest_wait;
        config.diameter.request_timeout = config.diameter.request_timeout.min(longest);
        let host = match config.host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => config.host.to_string(),
        };
        Self {
            transactions: Transactions::new(random.fork()),
            node: Node::new(config.diameter.clone(), random.fork()).with_role(Role::Icscf),
            locating: Locating::new(random.fork()),
            shedder: Shedder::new(config.limits, random.next_u64()),
            sent_by: config.listen.iter().map(|own| format!("{host}:{}", own.port()).into()).collect(),
            known: Known::all(&config),
            session_id: String::new(),
            impu: Impu::default(),
            spare: Vec::new(),
            random,
            config,
        }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &IcscfConfig {
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
        let locating = self.locating.next_timeout();
        [self.transactions.next_timeout(), self.node.next_timeout(), locating].into_iter().flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut ended = Vec::new();
        self.transactions.handle_timeout(now, out, &mut ended);
        self.on_ended(now, ended, out);
        self.handle_locating_timeout(now, out);
        let mut failed = Vec::new();
        self.node.handle_timeout(now, out, &mut failed);
        for (awaited, _) in failed {
            match awaited {
                Awaited::Uaa(AwaitingUaa { server, request, .. }) => {
                    self.refuse_waiting(now, server, &request, &Refusal::HssSilent, out);
                }
                Awaited::Lia(waiting) => self.on_lia_missing(now, waiting, out),
            }
        }
    }

    /// Disconnects from the HSS in order.
    pub fn stop(&mut self, now: Instant, out: &mut Outbox) {
        self.node.stop(now, out);
    }

    fn receive_sip(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        if packet.bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let parsed = Message::parse(packet.bytes);
        let message = match &parsed {
            Ok(message) => message,
            Err(error) => {
                let what = || What::Discarded { from: packet.from, cause: error.to_string() };
                return out.event(|| Event { role: Role::Icscf, what: what() });
            }
        };
        match self.transactions.receive(now, self.config.timers, packet, message, out) {
            Incoming::Request(server) => self.on_request(now, server, packet.from.ip(), message, out),
            Incoming::Final(client, Asked::Register(waiting)) => self.on_response(now, client, waiting, message, out),
            Incoming::Final(_, Asked::Forwarded(branch)) => self.on_forwarded_final(now, branch, message, out),
            // RFC 4320: no provisional response but 100, which goes one hop, is sent for REGISTER.
            Incoming::Provisional(client) => {
                if let Some(&mut Asked::Forwarded(branch)) = self.transactions.context(client) {
                    self.on_forwarded_provisional(now, branch, message, out);
                }
            }
            Incoming::Accepted(client) => {
                if let Some(&mut Asked::Forwarded(branch)) = self.transactions.context(client) {
                    self.on_forwarded_accepted(now, branch, message, out);
                }
            }
            // Copies of one request may pass a proxy on several ways (RFC 3261 clause 16.3).
            Incoming::Merged(server) if message.method() != Some(Method::Register) => {
                self.on_request(now, server, packet.from.ip(), message, out);
            }
            Incoming::Merged(server) => self.refuse(now, server, message, &Refusal::Merged, out),
            Incoming::Cancel { server, cancelled: Some(cancelled) } => {
                self.accept(now, server, message, out);
                self.on_cancel(now, cancelled, message, out);
            }
            Incoming::Cancel { server, cancelled: None } => {
                self.refuse(now, server, message, &Refusal::NothingToCancel, out);
            }
            Incoming::Ack if self.is_trusted(packet.from.ip()) => self.on_ack(message, out),
            Incoming::Ack | Incoming::Absorbed | Incoming::Stray => {}
        }
    }

    fn on_request(&mut self, now: Instant, server: ServerId, from: IpAddr, message: &Message<'_>, out: &mut Outbox) {
        // A proxy looks at what it needs (RFC 3261 clause 16.3); the registrar judges the rest.
        let outcome = match message.call_id().and_then(|_| message.cseq()) {
            Err(error) => Err(error.into()),
            Ok(_) if !self.is_trusted(from) => Err(Refusal::OutsideTrustDomain),
            Ok(_) if self.sheds(now, server, message, out) => return,
            Ok(_) => match message.method() {
                Some(Method::Register) => self.on_register(now, server, message, out),
                _ => self.on_forwardable(now, server, message, out),
            },
        };
        if let Err(refusal) = outcome {
            self.refuse(now, server, message, &refusal, out);
        }
    }

    fn on_response(
        &mut self,
        now: Instant,
        client: ClientId,
        waiting: AwaitingScscf,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        match response.status() {
            Some(300..=399 | 480) => self.on_scscf_failed(now, client, waiting, Some(response.bytes()), out),
            // RFC 4320: a 408 is not forwarded, it says no more than silence.
            Some(408) => self.on_scscf_failed(now, client, waiting, None, out),
            _ => self.relay(now, waiting.server, response, out),
        }
    }

    fn on_ended(&mut self, now: Instant, ended: Vec<Ended<Asked>>, out: &mut Outbox) {
        for Ended { client, context, cause } in ended {
            match context {
                Asked::Register(waiting) => self.on_scscf_failed(now, client, waiting, None, out),
                Asked::Forwarded(branch) => self.on_forwarded_ended(now, client, branch, cause, out),
            }
        }
    }

    fn receive_diameter(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        match self.node.receive(now, packet, out) {
            Received::Handled => {}
            Received::Answer { context: Awaited::Uaa(waiting), message, .. } => self.on_uaa(now, waiting, message, out),
            Received::Answer { context: Awaited::Lia(waiting), message, .. } => self.on_lia(now, waiting, message, out),
            Received::Request { peer, header, message } => {
                // No Cx command is addressed to an I-CSCF.
                let fault = Fault::new(COMMAND_UNSUPPORTED, "an I-CSCF serves no Cx command");
                let own = &self.config.diameter;
                self.node.answer(peer, &header, true, out, |w| {
                    encode_fault(&fault, message, &header, &own.origin_host, &own.origin_realm, w);
                });
            }
        }
    }

    fn is_trusted(&self, from: IpAddr) -> bool {
        if !self.config.trusted.is_empty() {
            return self.config.trusted.contains(&from);
        }
        from.is_loopback() || self.config.hosts.values().any(|host| *host == from)
    }
}

/// DIAMETER_COMMAND_UNSUPPORTED (RFC 6733 clause 7.1.3).
const COMMAND_UNSUPPORTED: u32 = 3001;
