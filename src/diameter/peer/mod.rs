//! Peer connections: capabilities exchange, watchdog (RFC 3539), disconnect; both sides.
//!
//! A [`Node`] is the Diameter side of one element. It owns all its connections: those it opens (to configured peers, with
//! back-off, watchdog and failover) and those others open to it. What is not base protocol is handed to the owner.

mod capabilities;
mod delivery;
mod handshake;
mod identifiers;
mod link;
mod liveness;
mod node;
mod pending;
mod watchdog;

pub use node::Node;

use super::Header;
use crate::packet::Transport;
use crate::time::{Duration, Epoch};
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
    /// What is listened for there: TCP, SCTP or both.
    pub transports: Vec<Transport>,
    /// Whom our requests go to: the first preferred, the others for failover.
    pub peers: Vec<PeerConfig>,
    /// Tw of RFC 3539, at least 6 s.
    pub watchdog: Duration,
    /// Tc of RFC 6733: the longest wait before the next attempt. The first ones come sooner.
    pub reconnect: Duration,
    /// How long a request waits for its answer before it fails.
    pub request_timeout: Duration,
    /// Unknown peers are accepted only from loopback addresses, unless this says otherwise.
    pub accept_unknown_peers: bool,
    /// Calendar time, for end-to-end ids and Origin-State-Id.
    pub epoch: Epoch,
}

impl NodeConfig {
    /// Origin-Host and Origin-Realm.
    pub fn origin(&self) -> (&str, &str) {
        (&self.origin_host, &self.origin_realm)
    }
}

/// A configured peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    /// Its address. The port of one that we wait for is its own choice.
    pub address: SocketAddr,
    /// TCP or SCTP.
    pub transport: Transport,
    /// Who opens the connection.
    pub side: Side,
}

impl PeerConfig {
    /// A peer that we connect to over TCP.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Tcp, side: Side::Opening }
    }
}

/// Our side of a connection to a peer (RFC 6733 clause 5.6: I and R).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// We connect, and connect again.
    Opening,
    /// The peer connects to where we listen.
    Waiting,
}

/// One connection of a node. Never names another one later.
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
