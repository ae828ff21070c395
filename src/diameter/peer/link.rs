//! One connection and its state; the slab of them.

use super::watchdog::Watchdog;
use super::{PeerConfig, PeerId};
use crate::diameter::Header;
use crate::packet::{Route, Transport};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    /// TCP or SCTP.
    pub(super) transport: Transport,
    /// Our end; port 0 while the connection is being opened.
    pub(super) local: SocketAddr,
    /// The other end.
    pub(super) remote: SocketAddr,
    /// The configured peer that we opened it to; `None`: the other side opened it.
    pub(super) target: Option<usize>,
    /// Origin-Host of the peer, empty before CER or CEA.
    pub(super) host: Box<str>,
    /// What is awaited.
    pub(super) state: State,
    /// When the last message came.
    pub(super) heard: Instant,
    /// Tw of this connection, with its jitter.
    pub(super) interval: Duration,
    /// When the timer of the state is due; one that comes earlier is out of date.
    pub(super) deadline: Instant,
}

/// The states of RFC 6733 clause 5.6, and within `Open` those of RFC 3539.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Wait-Conn-Ack.
    AwaitingConnection,
    /// Wait-I-CEA.
    AwaitingCea {
        /// Of our CER.
        hop_by_hop: u32,
    },
    /// The other side connected and owes a CER.
    AwaitingCer,
    /// Wait-Returns: we lost the election; the CER is answered only if our own connection fails.
    AwaitingElection {
        /// The CER.
        cer: Header,
    },
    /// I-Open, R-Open.
    Open(Watchdog),
    /// Closing: DPR was sent, or was answered; whoever sent it closes.
    Closing,
}

impl Link {
    /// The way of a message to the peer.
    pub(super) const fn route(&self) -> Route {
        Route::diameter(self.transport, self.local, self.remote)
    }

    /// True when the other side opened it, and is the one that `peer` says to wait for: its port is its own choice.
    pub(super) fn is_accepted_from(&self, peer: &PeerConfig) -> bool {
        self.target.is_none()
            && self.transport == peer.transport
            && self.remote.ip().to_canonical() == peer.address.ip().to_canonical()
    }

    /// True when capabilities were exchanged.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// True when requests may be sent.
    pub(super) const fn is_usable(&self) -> bool {
        matches!(&self.state, State::Open(watchdog) if watchdog.is_okay())
    }

    /// True when its Origin-Host is `host`.
    pub(super) fn is_host(&self, host: &str) -> bool {
        self.host.eq_ignore_ascii_case(host)
    }

    /// Origin-Host, or the address as long as that is unknown: for events.
    pub(super) fn name(&self) -> String {
        if self.host.is_empty() { self.remote.to_string() } else { self.host.to_string() }
    }
}

/// All connections. A [`PeerId`] is index and generation.
#[derive(Debug, Default)]
pub(super) struct Links {
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Slot {
    generation: u16,
    link: Option<Link>,
}

impl Links {
    /// `None`: there are too many.
    pub(super) fn insert(&mut self, link: Link) -> Option<PeerId> {
        let index = match self.slots.iter().position(|slot| slot.link.is_none()) {
            Some(index) => index,
            None if self.slots.len() < LIMIT => {
                self.slots.push(Slot { generation: 0, link: None });
                self.slots.len() - 1
            }
            None => return None,
        };
        self.slots[index].link = Some(link);
        Some(self.id(index))
    }

    pub(super) fn remove(&mut self, id: PeerId) -> Option<Link> {
        self.get(id)?;
        let slot = &mut self.slots[index(id)];
        slot.generation = slot.generation.wrapping_add(1);
        slot.link.take()
    }

    pub(super) fn get(&self, id: PeerId) -> Option<&Link> {
        let slot = self.slots.get(index(id))?;
        slot.link.as_ref().filter(|_| slot.generation == generation(id))
    }

    pub(super) fn get_mut(&mut self, id: PeerId) -> Option<&mut Link> {
        let slot = self.slots.get_mut(index(id))?;
        slot.link.as_mut().filter(|_| slot.generation == generation(id))
    }

    /// The connection between two addresses.
    pub(super) fn between(&self, transport: Transport, local: SocketAddr, remote: SocketAddr) -> Option<PeerId> {
        self.find(|link| link.remote == remote && link.local == local && link.transport == transport)
    }

    /// The first connection that `accept` accepts.
    pub(super) fn find(&self, mut accept: impl FnMut(&Link) -> bool) -> Option<PeerId> {
        let index = self.slots.iter().position(|slot| slot.link.as_ref().is_some_and(&mut accept))?;
        Some(self.id(index))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerId, &Link)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| Some((self.id(index), slot.link.as_ref()?)))
    }

    fn id(&self, index: usize) -> PeerId {
        let low = u32::try_from(index).expect("below the limit");
        PeerId(u32::from(self.slots[index].generation) << 16 | low)
    }
}

const fn index(id: PeerId) -> usize {
    (id.0 & 0xffff) as usize
}

const fn generation(id: PeerId) -> u16 {
    (id.0 >> 16) as u16
}

/// More connections than any core has: a stranger cannot fill the memory.
const LIMIT: usize = 4096;
