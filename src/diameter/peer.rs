//! Peer connections: capabilities exchange, watchdog (RFC 3539), disconnect; both sides.
//!
//! A [`Node`] is the Diameter side of one element. It owns all its connections: those it opens (to configured peers, with
//! back-off, watchdog and failover) and those others open to it. What is not base protocol is handed to the owner.

use super::Header;
use crate::packet::{Connection, Outbox, Packet};
use crate::random::Random;
use crate::time::{Duration, Epoch, Instant};
use std::net::SocketAddr;

/// How an element presents itself, and whom it talks to.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Origin-Host.
    pub origin_host: Box<str>,
    /// Origin-Realm.
    pub origin_realm: Box<str>,
    /// Host-IP-Address, and `from` of the connections that we open (port 0).
    pub address: std::net::IpAddr,
    /// Where others may connect to, if anywhere.
    pub listen: Option<SocketAddr>,
    /// Peers that we connect to, the first preferred, the others for failover.
    pub peers: Vec<SocketAddr>,
    /// Tw of RFC 3539, at least 6 s.
    pub watchdog: Duration,
    /// Tc of RFC 6733.
    pub reconnect: Duration,
    /// How long a request waits for its answer before it fails.
    pub request_timeout: Duration,
    /// Unknown peers are accepted only from loopback addresses, unless this says otherwise.
    pub accept_unknown_peers: bool,
    /// Calendar time, for end-to-end ids and Origin-State-Id.
    pub epoch: Epoch,
}

/// One connection of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PeerId(pub u32);

/// What [`Node::receive`] made of a message.
#[derive(Debug)]
pub enum Received<'a, C> {
    /// Base protocol: dealt with.
    Handled,
    /// A request of the application, from an open peer, its header and AVP structure sound. Answer it with
    /// [`Node::answer`].
    Request {
        /// Who asks.
        peer: PeerId,
        /// Its header.
        header: Header,
        /// The whole message.
        message: &'a [u8],
    },
    /// The answer to a request of ours.
    Answer {
        /// What the owner gave with the request.
        context: C,
        /// Its header.
        header: Header,
        /// The whole message.
        message: &'a [u8],
    },
}

/// A request that got no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestFailure {
    /// No peer is open.
    NoPeer,
    /// No answer in time.
    Timeout,
}

/// The Diameter side of an element. `C`: what its owner wants back with an answer.
#[derive(Debug)]
pub struct Node<C> {
    _config: NodeConfig,
    _contexts: Vec<C>,
}

impl<C> Node<C> {
    /// Nothing is open yet.
    pub fn new(config: NodeConfig, _random: Random) -> Self {
        Self { _config: config, _contexts: Vec::new() }
    }

    /// Asks for the connections to the configured peers.
    pub fn start(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }

    /// Takes one whole Diameter message.
    pub fn receive<'a>(&mut self, _now: Instant, _packet: &Packet<'a>, _out: &mut Outbox) -> Received<'a, C> {
        todo!()
    }

    /// News of a connection.
    pub fn connection(&mut self, _now: Instant, _connection: &Connection, _out: &mut Outbox) {
        todo!()
    }

    /// True when a peer is open for requests.
    pub fn is_open(&self) -> bool {
        todo!()
    }

    /// Sends a request to the preferred open peer and keeps it for failover. `write` writes every AVP (Session-Id
    /// first: use [`Node::session_id`]); the header is filled in here. With no open peer the request is kept until one
    /// opens or `request_timeout` is over.
    pub fn request(
        &mut self,
        _now: Instant,
        _command: u32,
        _application: u32,
        _context: C,
        _out: &mut Outbox,
        _write: impl FnOnce(&mut super::Writer<'_>),
    ) {
        todo!()
    }

    /// Sends a request to the peer whose Origin-Host is `host` (RTR, PPR of an HSS).
    pub fn request_to(
        &mut self,
        _now: Instant,
        _host: &str,
        _command: u32,
        _application: u32,
        _context: C,
        _out: &mut Outbox,
        _write: impl FnOnce(&mut super::Writer<'_>),
    ) -> Result<(), RequestFailure> {
        todo!()
    }

    /// A fresh Session-Id (RFC 6733 clause 8.8).
    pub fn session_id(&mut self) -> String {
        todo!()
    }

    /// Sends the answer to `request`. Flags, command and identifiers follow from it; `write` writes every AVP.
    pub fn answer(
        &mut self,
        _peer: PeerId,
        _request: &Header,
        _error: bool,
        _out: &mut Outbox,
        _write: impl FnOnce(&mut super::Writer<'_>),
    ) {
        todo!()
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Runs the timers that are due: watchdog, reconnection, requests without answer (to `failed`).
    pub fn handle_timeout(&mut self, _now: Instant, _out: &mut Outbox, _failed: &mut Vec<(C, RequestFailure)>) {
        todo!()
    }

    /// Sends DPR (REBOOTING) to every open peer, for an orderly stop.
    pub fn stop(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }
}
