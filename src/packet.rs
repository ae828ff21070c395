//! The words that elements and drivers share: a packet that came in, and the effects that go out.
//!
//! An element is a plain struct. The world calls `receive`, `connection`, `handle_timeout` with `now` and an
//! [`Outbox`]; the element answers by effects, in order. It knows neither sockets nor clocks.

use crate::event::Event;
use crate::ipsec::association::{SaId, SaSet, SaSetId};
use crate::time::Instant;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

/// What a packet holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// SIP (RFC 3261).
    Sip,
    /// Diameter (RFC 6733).
    Diameter,
}

/// What carries a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Transport {
    /// One message, one datagram.
    Udp,
    /// A stream; drivers frame it before elements see it.
    Tcp,
    /// The same, and nobody else reads it: drivers encrypt it (RFC 3261 clause 26.2.1). SIP only.
    Tls,
    /// Diameter only (RFC 6733 clause 2.1): one message, one user message of an association.
    Sctp,
}

impl Transport {
    /// True where retransmission is the transport's own work (RFC 3261 clause 17).
    pub const fn is_reliable(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls | Self::Sctp)
    }

    /// True for a stream of octets, in which messages are framed by their length.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// As in Via and in a URI parameter.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Sctp => "SCTP",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One whole message with its addresses. A TCP or TLS connection is known by its pair of addresses.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The message: one SIP message (or a keep-alive), or one Diameter message.
    pub bytes: &'a [u8],
    /// What the bytes are.
    pub protocol: Protocol,
    /// What carried them.
    pub transport: Transport,
    /// The sender's address, as the packet shows it.
    pub from: SocketAddr,
    /// Our address, as the packet shows it.
    pub to: SocketAddr,
    /// The inbound SA that carried it, when one did. Under plane `none` the address pair stands for it.
    pub sa: Option<SaId>,
}

/// What happened to a TCP or TLS connection, or an SCTP association.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionState {
    /// It is open; for one we asked for, `local` is final now.
    Opened,
    /// It could not be opened.
    Failed,
    /// It was open and has ended.
    Closed,
}

/// News of a connection, from the driver to the element that owns `local`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Our end. For a connection we asked for that failed: the address asked for, port 0 included.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// TCP, TLS or SCTP.
    pub transport: Transport,
    /// What it carries.
    pub protocol: Protocol,
    /// True when the other side opened it.
    pub inbound: bool,
    /// What happened.
    pub state: ConnectionState,
}

/// One thing an element wants done.
#[derive(Debug)]
pub enum Effect {
    /// Send `bytes[range]`.
    ///
    /// UDP: from the socket bound to `from`. TCP, TLS and SCTP: on the connection (`from`, `to`); `from` with port 0 means any
    /// connection from that address to `to`, opened if there is none. When the connection of a full pair is gone, the
    /// driver binds `from` and connects, and reports [`ConnectionState::Failed`] where it cannot. For TLS it does not
    /// try: another session is not the one that was meant.
    Transmit {
        /// Our address.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// What carries it.
        transport: Transport,
        /// What it is.
        protocol: Protocol,
        /// The outbound SA that must carry it, `None`: in clear.
        sa: Option<SaId>,
        /// Where in [`Outbox::bytes`].
        range: Range<usize>,
    },
    /// Open a connection and report it by [`Connection`]. `from` with port 0: any port.
    Connect {
        /// Our address.
        from: SocketAddr,
        /// The peer.
        to: SocketAddr,
        /// TCP, TLS or SCTP.
        transport: Transport,
        /// What it will carry.
        protocol: Protocol,
    },
    /// Close a connection after what was sent on it has left.
    Close {
        /// TCP, TLS or SCTP.
        transport: Transport,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Make a set of four SAs, which live at least reg-await-auth (TS 24.229 table 7.8.1). The answer is `sa_installed` or
    /// `sa_failed`, at once or later; what depends on the set waits for it.
    InstallSa(Box<SaSet>),
    /// The set serves until then by its SIP timers. For planes that let SAs end by themselves should nobody remove
    /// them: there they live a little longer.
    ExtendSa {
        /// Which set.
        set: SaSetId,
        /// Its end.
        until: Instant,
    },
    /// Remove a set, also one whose installation has not been answered. SIP timers end an SA, nothing else
    /// (TS 33.203 clause 7.4).
    RemoveSa(SaSetId),
    /// From now on what leaves over a set leaves twice, octet for octet: for UEs that misbehave on request. Where nothing
    /// is sealed, nothing happens.
    ReplaySa(SaSetId),
    /// Reset a connection behind what was sent on it, for faults made on purpose: its peer gets a RST.
    Reset {
        /// TCP, TLS or SCTP.
        transport: Transport,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Send the fragments of a datagram but for the last, for faults made on purpose: nothing where it needs one only.
    TransmitPart {
        /// Our address.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// The outbound SA that must carry it, `None`: in clear.
        sa: Option<SaId>,
        /// Where in [`Outbox::bytes`].
        range: Range<usize>,
    },
    /// Remember `value` under `key` for good, in place of what was remembered under it before. What comes after it may
    /// promise it to somebody: it must not leave before the record is durable.
    Record {
        /// Where in [`Outbox::bytes`].
        key: Range<usize>,
        /// Where in [`Outbox::bytes`].
        value: Range<usize>,
    },
    /// Something worth telling.
    Event(Box<Event>),
}

/// A set of SAs could not be made: the registration that needed it fails, it is never downgraded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SaFailure {
    /// Which set. Nothing of it is left.
    pub set: SaSetId,
    /// Why.
    pub cause: SaFault,
}

/// Why a set of SAs could not be made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SaFault {
    /// Another set alive has one of its SPIs or its addresses and ports.
    #[error("SPIs or ports are those of a set alive")]
    Collision,
    /// The two addresses are of two families, or one is that of no host.
    #[error("no SA can be between these addresses")]
    Addresses,
    /// A protected port cannot be opened: in the words of the system.
    #[error("a protected port cannot be opened: {0}")]
    Port(Box<str>),
    /// The plane refuses: in its words.
    #[error("the plane refuses: {0}")]
    Refused(Box<str>),
    /// The plane has not answered in time.
    #[error("the plane has not answered in time")]
    TooSlow,
}

/// Effects in order, and the bytes they refer to.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    effects: Vec<Effect>,
    wants_events: bool,
}

impl Outbox {
    /// An empty box whose owner reads events.
    pub fn new() -> Self {
        Self { bytes: Vec::new(), effects: Vec::new(), wants_events: true }
    }

    /// An empty box whose owner does not look at events: none is made.
    pub fn without_events() -> Self {
        Self { wants_events: false, ..Self::new() }
    }

    /// Writes one message with `write` and sends it. Returns the bytes written, for whoever must repeat them.
    pub fn transmit(&mut self, route: Route, write: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        let start = self.bytes.len();
        write(&mut self.bytes);
        let range = start..self.bytes.len();
        let Route { from, to, transport, protocol, sa } = route;
        self.effects.push(Effect::Transmit { from, to, transport, protocol, sa, range: range.clone() });
        &self.bytes[range]
    }

    /// Sends the fragments of a datagram but for the last.
    pub fn transmit_part(&mut self, route: &Route, bytes: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let Route { from, to, sa, .. } = *route;
        self.effects.push(Effect::TransmitPart { from, to, sa, range: start..self.bytes.len() });
    }

    /// Writes a record, key and value, that must be durable before what follows leaves.
    pub fn record(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        write(&mut self.bytes);
        self.effects.push(Effect::Record { key: start..middle, value: middle..self.bytes.len() });
    }

    /// Adds an effect other than a transmission.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Tells what happened; `event` is called only if somebody listens.
    pub fn event(&mut self, event: impl FnOnce() -> Event) {
        if self.wants_events {
            self.effects.push(Effect::Event(Box::new(event())));
        }
    }

    /// Tells whether somebody reads events.
    pub const fn set_wants_events(&mut self, wants: bool) {
        self.wants_events = wants;
    }

    /// True when events are read.
    pub const fn wants_events(&self) -> bool {
        self.wants_events
    }

    /// The bytes that ranges of [`Effect::Transmit`] refer to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The effects so far.
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    /// True when nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// Hands out effects and bytes, leaving the capacity of neither. See [`Outbox::clear`] to keep it.
    pub fn take(&mut self) -> (Vec<u8>, Vec<Effect>) {
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.effects))
    }

    /// Empties the box and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.effects.clear();
    }

    /// Splits into effects, drained, and the bytes they refer to, which may be taken with the only effect that refers to
    /// them. Call [`Outbox::clear`] afterwards.
    pub fn drain(&mut self) -> (std::vec::Drain<'_, Effect>, &mut Vec<u8>) {
        (self.effects.drain(..), &mut self.bytes)
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a message goes, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// Our address.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// What carries it.
    pub transport: Transport,
    /// What it is.
    pub protocol: Protocol,
    /// The outbound SA, if it must be protected.
    pub sa: Option<SaId>,
}

impl Route {
    /// A SIP message in clear.
    pub const fn sip(transport: Transport, from: SocketAddr, to: SocketAddr) -> Self {
        Self { from, to, transport, protocol: Protocol::Sip, sa: None }
    }

    /// A Diameter message on its connection.
    pub const fn diameter(transport: Transport, from: SocketAddr, to: SocketAddr) -> Self {
        Self { from, to, transport, protocol: Protocol::Diameter, sa: None }
    }

    /// The same, through `sa`.
    #[must_use]
    pub const fn protected(mut self, sa: SaId) -> Self {
        self.sa = Some(sa);
        self
    }
}
