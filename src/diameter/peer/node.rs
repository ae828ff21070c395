//! The node: what its owner calls, and where a message goes.

use super::identifiers::Identifiers;
use super::link::{Links, State};
use super::pending::Pending;
use super::{NodeConfig, PeerConfig, PeerId, Received, Side};
use crate::diameter::dictionary as d;
use crate::diameter::{Avps, Fault, Header, Writer};
use crate::event::{Event, Role, What};
use crate::packet::{Outbox, Packet};
use crate::random::Random;
use crate::time::{Duration, Instant, Timeouts};

/// The Diameter side of an element. `C`: what its owner wants back with an answer.
#[derive(Debug)]
pub struct Node<C> {
    pub(super) config: NodeConfig,
    pub(super) random: Random,
    pub(super) ids: Identifiers,
    pub(super) targets: Vec<Target>,
    pub(super) links: Links,
    pub(super) pending: Pending<C>,
    /// Requests that there was no room for.
    pub(super) refused: Vec<C>,
    pub(super) timers: Timeouts<Timer>,
    pub(super) stopping: bool,
    /// Proxy-Info of requests that the owner has not answered yet.
    proxied: Vec<Proxied>,
    role: Option<Role>,
}

/// A configured peer.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) peer: PeerConfig,
    /// Of a peer that we open: its connection.
    pub(super) link: Option<PeerId>,
    /// When to connect again, while there is no link.
    pub(super) retry_at: Option<Instant>,
    /// Attempts without success since it was last open.
    pub(super) failures: u32,
    /// Origin-Host of its last CEA.
    pub(super) host: Box<str>,
    /// It was open and went without DPR: three DWAs before it is used again (RFC 3539 clause 3.4.1).
    pub(super) lost: bool,
}

/// What comes due.
#[derive(Debug)]
pub(super) enum Timer {
    Link(PeerId),
    Target(usize),
}

/// Proxy-Info of one request, to be returned in its answer (RFC 6733 clause 6.2).
#[derive(Debug)]
struct Proxied {
    peer: PeerId,
    hop_by_hop: u32,
    avps: Vec<u8>,
}

impl<C> Node<C> {
    /// Nothing is open yet.
    pub fn new(mut config: NodeConfig, mut random: Random) -> Self {
        config.watchdog = config.watchdog.max(SHORTEST_WATCHDOG);
        let ids = Identifiers::new(&config.origin_host, config.epoch, Instant::ZERO, &mut random);
        let target = |peer| Target { peer, link: None, retry_at: None, failures: 0, host: Box::default(), lost: false };
        let targets = config.peers.iter().copied().map(target).collect();
        Self {
            config,
            random,
            ids,
            targets,
            links: Links::default(),
            pending: Pending::new(),
            refused: Vec::new(),
            timers: Timeouts::new(),
            stopping: false,
            proxied: Vec::new(),
            role: None,
        }
    }

    /// Makes the node tell of peers that open and go, as `role`.
    #[must_use]
    pub const fn with_role(mut self, role: Role) -> Self {
        self.role = Some(role);
        self
    }

    /// Asks for the connections to the configured peers.
    pub fn start(&mut self, now: Instant, out: &mut Outbox) {
        self.ids = Identifiers::new(&self.config.origin_host, self.config.epoch, now, &mut self.random);
        for target in 0..self.targets.len() {
            if self.targets[target].peer.side == Side::Opening {
                self.connect(target, out);
            }
        }
    }

    /// Takes one whole Diameter message.
    pub fn receive<'a>(&mut self, now: Instant, packet: &Packet<'a>, out: &mut Outbox) -> Received<'a, C> {
        let message = packet.bytes;
        let Some(peer) = self.links.between(packet.transport, packet.to, packet.from) else { return Received::Handled };
        let link = self.links.get_mut(peer).expect("just found");
        link.heard = now;
        let State::Open(watchdog) = &mut link.state else {
            return self.receive_unopened(now, peer, message, out);
        };
        let header = match Header::parse(message) {
            Ok(header) => header,
            Err(fault) => {
                if let Some(header) = Header::read(message).filter(|header| header.request) {
                    self.refuse(peer, &header, &fault, message, out);
                }
                return Received::Handled;
            }
        };
        let is_dwa = header.command == d::DEVICE_WATCHDOG && !header.request;
        if !is_dwa && watchdog.heard() {
            self.send_waiting(out);
        }
        if header.application == d::BASE {
            self.receive_base(now, peer, &header, message, out);
            return Received::Handled;
        }
        if !header.request {
            return self.receive_answer(header, message);
        }
        match self.check_request(peer, &header, message) {
            Ok(()) => Received::Request { peer, header, message },
            Err(fault) => {
                self.refuse(peer, &header, &fault, message, out);
                Received::Handled
            }
        }
    }

    /// Sends the answer to `request`. Flags, command and identifiers follow from it; `write` writes every AVP.
    pub fn answer(
        &mut self,
        peer: PeerId,
        request: &Header,
        error: bool,
        out: &mut Outbox,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let is_it = |p: &Proxied| p.peer == peer && p.hop_by_hop == request.hop_by_hop;
        let proxied = self.proxied.iter().position(is_it).map(|at| self.proxied.remove(at));
        self.transmit(peer, &request.answer(error), out, |w| {
            write(w);
            if let Some(proxied) = &proxied {
                w.raw(&proxied.avps);
            }
        });
    }

    /// A fresh Session-Id (RFC 6733 clause 8.8).
    pub fn session_id(&mut self) -> String {
        let mut text = String::new();
        self.write_session_id(&mut text);
        text
    }

    /// Appends a fresh Session-Id to a text that its owner keeps.
    pub fn write_session_id(&mut self, out: &mut String) {
        self.ids.write_session_id(&self.config.origin_host, out);
    }

    /// How many requests of ours wait for their answer, or for a peer.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// True when a peer is open for requests.
    pub fn is_open(&self) -> bool {
        self.route(None).is_some()
    }

    /// The answer to a request of ours, if it is one.
    pub(super) fn receive_answer<'a>(&mut self, header: Header, message: &'a [u8]) -> Received<'a, C> {
        match self.pending.take_answered(&header) {
            Some(context) => Received::Answer { context, header, message },
            None => Received::Handled,
        }
    }

    /// Writes one message to a connection, if it is still there.
    pub(super) fn transmit(
        &self,
        peer: PeerId,
        header: &Header,
        out: &mut Outbox,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let Some(link) = self.links.get(peer) else { return };
        out.transmit(link.route(), |buffer| {
            let mut w = Writer::new(buffer, header);
            write(&mut w);
            w.finish();
        });
    }

    /// Refuses a request in the grammar of RFC 6733 clause 7.2, which has E whatever the code.
    pub(super) fn refuse(&self, peer: PeerId, request: &Header, fault: &Fault, message: &[u8], out: &mut Outbox) {
        self.transmit(peer, &request.answer(true), out, |w| {
            fault.encode_answer(message, &self.config.origin_host, &self.config.origin_realm, w);
            for avp in Avps::of(message).map_while(Result::ok) {
                if (avp.vendor, avp.code) == (0, d::PROXY_INFO) {
                    w.raw(avp.raw);
                }
            }
        });
    }

    pub(super) fn event(&self, out: &mut Outbox, what: impl FnOnce() -> What) {
        if let Some(role) = self.role {
            out.event(|| Event { role, what: what() });
        }
    }

    /// What base protocol demands of a request of the application (RFC 6733 clauses 6.1.4, 6.1.6 and 7.1).
    fn check_request(&mut self, peer: PeerId, header: &Header, message: &[u8]) -> Result<(), Fault> {
        if header.application != d::CX {
            return Err(Fault::new(3007, "application not supported"));
        }
        if !(d::USER_AUTHORIZATION..=d::PUSH_PROFILE).contains(&header.command) {
            return Err(Fault::new(3001, "command not supported"));
        }
        let (mut host, mut realm, mut proxy_info) = (None, None, Vec::new());
        Avps::of(message).try_each(|avp| {
            match (avp.vendor, avp.code) {
                (0, d::DESTINATION_HOST) => host = Some(avp.data),
                (0, d::DESTINATION_REALM) => realm = Some(avp.data),
                (0, d::PROXY_INFO) => {
                    Writer::avps(&mut proxy_info).raw(avp.raw);
                }
                _ => {}
            }
            Ok(())
        })?;
        match (host, realm) {
            (Some(host), _) if !is_same(host, &self.config.origin_host) => {
                return Err(Fault::new(3002, "Destination-Host is somebody else"));
            }
            (None, Some(realm)) if !is_same(realm, &self.config.origin_realm) => {
                return Err(Fault::new(3003, "Destination-Realm is not served here"));
            }
            _ => {}
        }
        if !proxy_info.is_empty() {
            if self.proxied.len() >= PROXIED_LIMIT {
                self.proxied.remove(0);
            }
            self.proxied.push(Proxied { peer, hop_by_hop: header.hop_by_hop, avps: proxy_info });
        }
        Ok(())
    }
}

/// Nearly every peer writes our name as we do.
fn is_same(received: &[u8], own: &str) -> bool {
    received == own.as_bytes() || received.eq_ignore_ascii_case(own.as_bytes())
}

/// RFC 3539 clause 3.4.1: "Tw MUST NOT be lower than 6 seconds".
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(6);
/// Requests through proxies that the owner may leave unanswered.
const PROXIED_LIMIT: usize = 256;
