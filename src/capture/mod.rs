//! Traffic and events in the order in which they happened: what ladders are drawn from and captures written.

mod esp_sa;
#[cfg(feature = "live")]
pub(crate) mod headers;
#[cfg(feature = "live")]
pub mod pcapng;

pub use esp_sa::esp_sa;

use crate::event::Event;
use crate::ipsec::association::SaId;
use crate::packet::{Packet, Protocol, Transport};
use crate::time::Instant;
use std::net::SocketAddr;

/// The interface of a live capture on which text stands whose packets are on another one.
pub(crate) const CLEAR_INTERFACE: &str = "clear";

/// Everything that was seen, in order.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Capture {
    /// Packets and events.
    pub entries: Vec<Entry>,
}

/// One thing seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A message on its way.
    Hop(Hop),
    /// What an element told.
    Event {
        /// When.
        at: Instant,
        /// What.
        event: Event,
    },
}

/// One message between two addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// When.
    pub at: Instant,
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
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

impl Capture {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The messages.
    pub fn hops(&self) -> impl Iterator<Item = &Hop> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Hop(hop) => Some(hop),
            Entry::Event { .. } => None,
        })
    }
}

impl Entry {
    /// The entry of a packet.
    pub fn hop(at: Instant, packet: &Packet<'_>) -> Self {
        let Packet { bytes, protocol, transport, from, to, sa } = *packet;
        Self::Hop(Hop { at, from, to, transport, protocol, sa, bytes: bytes.to_vec() })
    }
}

impl Hop {
    /// As a packet again.
    pub fn packet(&self) -> Packet<'_> {
        let Self { from, to, transport, protocol, sa, .. } = *self;
        Packet { bytes: &self.bytes, protocol, transport, from, to, sa }
    }
}
