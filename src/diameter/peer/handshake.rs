//! How a connection opens: both sides of the capabilities exchange, and the election (RFC 6733 clauses 5.3 and 5.6).

use super::capabilities::{self, read_cea, read_cer};
use super::link::{Link, State};
use super::node::Timer;
use super::watchdog::Watchdog;
use super::{Node, PeerConfig, PeerId, Received};
use crate::diameter::dictionary as d;
use crate::diameter::{Fault, Header};
use crate::event::What;
use crate::packet::{Connection, ConnectionState, Effect, Outbox, Protocol, Transport};
use crate::time::{Duration, Instant};
use std::cmp::Ordering;
use std::net::SocketAddr;

impl<C> Node<C> {
    /// News of a connection.
    pub fn connection(&mut self, now: Instant, connection: &Connection, out: &mut Outbox) {
        let &Connection { local, remote, transport, protocol, inbound, state } = connection;
        if protocol != Protocol::Diameter {
            return;
        }
        let awaited = |link: &Link| {
            link.state == State::AwaitingConnection && link.remote == remote && link.transport == transport
        };
        match state {
            ConnectionState::Opened if inbound => self.accept(now, transport, local, remote, out),
            ConnectionState::Opened => match self.links.find(awaited) {
                Some(peer) => self.send_cer(now, peer, local, out),
                None => out.push(Effect::Close { transport, local, remote }),
            },
            ConnectionState::Failed => {
                if let Some(peer) = self.links.find(awaited).or_else(|| self.links.between(transport, local, remote)) {
                    self.lose(now, peer, "no connection", out);
                }
            }
            ConnectionState::Closed => {
                if let Some(peer) = self.links.between(transport, local, remote) {
                    self.lose(now, peer, "connection closed", out);
                }
            }
        }
    }

    /// Asks for a connection to a configured peer.
    pub(super) fn connect(&mut self, target: usize, out: &mut Outbox) {
        let PeerConfig { address: remote, transport, .. } = self.targets[target].peer;
        let local = SocketAddr::new(self.config.address, 0);
        let link = new_link(transport, local, remote, Some(target), State::AwaitingConnection, Instant::ZERO);
        self.targets[target].link = self.links.insert(link);
        out.push(Effect::Connect { from: local, to: remote, transport, protocol: Protocol::Diameter });
    }

    /// A message on a connection that is not open yet, or closing.
    pub(super) fn receive_unopened<'a>(
        &mut self,
        now: Instant,
        peer: PeerId,
        message: &'a [u8],
        out: &mut Outbox,
    ) -> Received<'a, C> {
        let Some(state) = self.links.get(peer).map(|link| link.state) else { return Received::Handled };
        let header = Header::parse(message);
        let base = |header: &Header, request| header.application == d::BASE && header.request == request;
        match (state, header) {
            (State::AwaitingCer, Ok(header)) if base(&header, true) && header.command == d::CAPABILITIES_EXCHANGE => {
                self.receive_cer(now, peer, &header, message, out);
            }
            (State::AwaitingCea { hop_by_hop }, Ok(header))
                if base(&header, false)
                    && header.command == d::CAPABILITIES_EXCHANGE
                    && header.hop_by_hop == hop_by_hop =>
            {
                self.receive_cea(now, peer, message, out);
            }
            (State::Closing, Ok(header)) if base(&header, false) && header.command == d::DISCONNECT_PEER => {
                self.close(now, peer, "disconnected", out);
            }
            // An answer that was on its way.
            (State::Closing, Ok(header)) if !header.request => return self.receive_answer(header, message),
            (State::Closing, _) => {}
            // A CER that cannot even be parsed has a sender who may understand why.
            (State::AwaitingCer, Err(fault)) => {
                if let Some(header) = Header::read(message).filter(|h| h.request) {
                    self.refuse(peer, &header, &fault, message, out);
                }
                self.close(now, peer, "no CER", out);
            }
            _ => self.close(now, peer, "not a capabilities exchange", out),
        }
        Received::Handled
    }

    /// Takes a CER, the first one or (on an open connection) another.
    pub(super) fn receive_cer(
        &mut self,
        now: Instant,
        peer: PeerId,
        header: &Header,
        message: &[u8],
        out: &mut Outbox,
    ) {
        let Some(link) = self.links.get(peer) else { return };
        let capabilities = match read_cer(message) {
            _ if !self.is_known(link.remote) => Err(Fault::new(3010, "unknown peer")),
            read => read,
        };
        let host = match capabilities {
            Ok(capabilities) => capabilities.host,
            Err(fault) => {
                self.transmit(peer, &header.answer(fault.is_protocol_error()), out, |w| {
                    fault.encode(w);
                    capabilities::write_identity(&self.config, w);
                });
                return self.close(now, peer, fault.text, out);
            }
        };
        let was_open = link.is_open();
        if let Some(link) = self.links.get_mut(peer) {
            link.host = host.into();
        }
        if was_open {
            return self.send_cea(peer, header, out);
        }
        let ours = |link: &Link| {
            matches!(link.state, State::AwaitingCea { .. })
                && link.target.is_some_and(|t| self.targets[t].host.eq_ignore_ascii_case(host))
        };
        match self.links.find(ours) {
            Some(initiated) if self.wins_election(host) => self.close(now, initiated, "election", out),
            Some(_) => {
                if let Some(link) = self.links.get_mut(peer) {
                    link.state = State::AwaitingElection { cer: *header };
                }
                return;
            }
            None => {}
        }
        self.send_cea(peer, header, out);
        self.open(now, peer, Watchdog::okay(), out);
    }

    /// RFC 6733 clause 5.6.1: we lost the election, but our own connection came to nothing.
    pub(super) fn resume_election(&mut self, now: Instant, host: &str, out: &mut Outbox) {
        let waiting = |link: &Link| matches!(link.state, State::AwaitingElection { .. }) && link.is_host(host);
        let Some(peer) = self.links.find(waiting) else { return };
        if let Some(State::AwaitingElection { cer }) = self.links.get(peer).map(|link| link.state) {
            self.send_cea(peer, &cer, out);
            self.open(now, peer, Watchdog::okay(), out);
        }
    }

    fn receive_cea(&mut self, now: Instant, peer: PeerId, message: &[u8], out: &mut Outbox) {
        let Some(target) = self.links.get(peer).and_then(|link| link.target) else { return };
        let host = match read_cea(message) {
            Ok(capabilities) => capabilities.host,
            Err(fault) => {
                // Asking again soon would change nothing.
                self.targets[target].failures = u32::MAX;
                return self.close(now, peer, fault.text, out);
            }
        };
        self.targets[target].host = host.into();
        let accepted = |link: &Link| {
            link.target.is_none()
                && link.is_host(host)
                && matches!(link.state, State::Open(_) | State::AwaitingElection { .. })
        };
        if let Some(theirs) = self.links.find(accepted) {
            // Both sides connected before either knew the other's name.
            if self.links.get(theirs).is_some_and(Link::is_open) && self.wins_election(host) {
                self.targets[target].failures = u32::MAX;
                return self.close(now, peer, "election", out);
            }
            self.close(now, theirs, "election", out);
        }
        if let Some(link) = self.links.get_mut(peer) {
            link.host = host.into();
        }
        let lost = std::mem::take(&mut self.targets[target].lost);
        self.targets[target].failures = 0;
        self.open(now, peer, if lost { Watchdog::reopening() } else { Watchdog::okay() }, out);
    }

    fn accept(&mut self, now: Instant, transport: Transport, local: SocketAddr, remote: SocketAddr, out: &mut Outbox) {
        let link = new_link(transport, local, remote, None, State::AwaitingCer, now);
        match self.links.insert(link).filter(|_| !self.stopping) {
            Some(peer) => self.arm(peer, now + CAPABILITIES_TIMEOUT),
            None => out.push(Effect::Close { transport, local, remote }),
        }
    }

    fn send_cer(&mut self, now: Instant, peer: PeerId, local: SocketAddr, out: &mut Outbox) {
        let hop_by_hop = self.ids.base_hop_by_hop();
        let header = self.base_request(d::CAPABILITIES_EXCHANGE, hop_by_hop);
        let Some(link) = self.links.get_mut(peer) else { return };
        link.local = local;
        link.state = State::AwaitingCea { hop_by_hop };
        if let Some(target) = link.target {
            // I-Rcv-Conn-Ack while R-Open: the peer was faster.
            if self.is_open_to(target) {
                return self.close(now, peer, "election", out);
            }
        }
        self.transmit(peer, &header, out, |w| capabilities::write(&self.config, self.ids.started, w));
        self.arm(peer, now + CAPABILITIES_TIMEOUT);
    }

    fn send_cea(&self, peer: PeerId, cer: &Header, out: &mut Outbox) {
        self.transmit(peer, &cer.answer(false), out, |w| {
            w.u32(d::RESULT_CODE, 0, true, SUCCESS);
            capabilities::write(&self.config, self.ids.started, w);
        });
    }

    fn open(&mut self, now: Instant, peer: PeerId, watchdog: Watchdog, out: &mut Outbox) {
        let interval = self.watchdog_interval();
        let Some(link) = self.links.get_mut(peer) else { return };
        link.state = State::Open(watchdog);
        link.interval = interval;
        let host = link.host.clone();
        self.arm(peer, now + interval);
        if watchdog.is_okay() {
            self.event(out, || What::PeerOpen { host: host.into() });
            self.send_waiting(out);
        } else {
            self.send_dwr(peer, out);
        }
    }

    /// True when an open connection leads to the host that `target` was last.
    pub(super) fn is_open_to(&self, target: usize) -> bool {
        let host = &self.targets[target].host;
        !host.is_empty() && self.links.find(|link| link.is_open() && link.is_host(host)).is_some()
    }

    /// True for peers that were configured, and for all where that is allowed.
    fn is_known(&self, remote: SocketAddr) -> bool {
        let ip = remote.ip().to_canonical();
        self.config.accept_unknown_peers
            || ip.is_loopback()
            || self.config.peers.iter().any(|peer| peer.address.ip() == ip)
    }

    /// RFC 6733 clause 5.6.4: the larger Origin-Host keeps its responder connection.
    fn wins_election(&self, host: &str) -> bool {
        let lower = |text: &str| text.bytes().map(|b| b.to_ascii_lowercase()).collect::<Vec<_>>();
        lower(&self.config.origin_host).cmp(&lower(host)) == Ordering::Greater
    }

    /// Sets the timer of a connection.
    pub(super) fn arm(&mut self, peer: PeerId, at: Instant) {
        if let Some(link) = self.links.get_mut(peer) {
            link.deadline = at;
            self.timers.at(at, Timer::Link(peer));
        }
    }
}

fn new_link(
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    target: Option<usize>,
    state: State,
    now: Instant,
) -> Link {
    let host = Box::default();
    Link { transport, local, remote, target, host, state, heard: now, interval: Duration::ZERO, deadline: now }
}

/// How long the other side may take for its part of the exchange.
const CAPABILITIES_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const SUCCESS: u32 = 2001;
