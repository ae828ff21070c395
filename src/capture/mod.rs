//! What moved, in order: the common currency of ladder, files and (later) judge and replay.

#[cfg(feature = "live")]
pub mod pcapng;

use crate::event::Event;
use crate::ipsec::association::SaId;
use crate::packet::{Packet, Protocol, Transport};
use crate::time::Instant;
use std::net::SocketAddr;

/// One message that moved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// When.
    pub at: Instant,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// What carried it.
    pub transport: Transport,
    /// What it is.
    pub protocol: Protocol,
    /// The SA that carried it.
    pub sa: Option<SaId>,
    /// The message.
    pub bytes: Vec<u8>,
}

/// A message, or something that an element told between two messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A message.
    Hop(Hop),
    /// An event.
    Event {
        /// When.
        at: Instant,
        /// What.
        event: Event,
    },
}

impl Entry {
    /// The entry of a packet.
    pub fn hop(at: Instant, packet: &Packet<'_>) -> Self {
        let Packet { bytes, protocol, transport, from, to, sa } = *packet;
        Self::Hop(Hop { at, from, to, transport, protocol, sa, bytes: bytes.to_vec() })
    }
}

/// Messages and events in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Capture {
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Capture {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The messages.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.entries.iter().filter_map(|e| match e {
            Entry::Hop(hop) => Some(hop),
            Entry::Event { .. } => None,
        })
    }
}
