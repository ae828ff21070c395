//! Connections and packets between elements of one process.

use super::Owner;
use super::address::Address;
use crate::ipsec::association::SaSetId;
use crate::packet::{Connection, ConnectionState, Protocol, Route, SaFailure, Transport};
use std::collections::HashMap;
use std::net::SocketAddr;

/// Something on its way between two elements.
#[derive(Debug)]
pub(super) enum Delivery {
    Packet(Owner, Route, Vec<u8>),
    News(Connection),
    /// The other end closed; the connection is forgotten already, so the slot comes along.
    Closed(usize, Connection),
    /// What the plane says to a set of this slot's element.
    Sa(usize, Result<SaSetId, SaFailure>),
}

/// Where the last messages on connections within the process went: an element speaks to few others, and each look-up is
/// three of hashed addresses. Forgotten whenever a connection or an owner of an address comes or goes.
#[derive(Debug, Default)]
struct Ways(Vec<Way>);

#[derive(Debug)]
struct Way {
    slot: usize,
    /// As the sender wrote them.
    from: SocketAddr,
    to: SocketAddr,
    found: (Owner, SocketAddr),
}

impl Ways {
    fn find(&self, slot: usize, from: SocketAddr, to: SocketAddr) -> Option<(Owner, SocketAddr)> {
        self.0.iter().find(|way| way.slot == slot && way.to == to && way.from == from).map(|way| way.found)
    }

    fn remember(&mut self, slot: usize, from: SocketAddr, to: SocketAddr, found: (Owner, SocketAddr)) {
        if self.0.len() >= MOST_WAYS {
            self.0.clear();
        }
        self.0.push(Way { slot, from, to, found });
    }

    fn forget(&mut self) {
        self.0.clear();
    }
}

/// More than the connections of a core of one element of each kind.
const MOST_WAYS: usize = 16;

/// The two ends of a connection as a key.
type Ends = (Address, Address);

fn ends(one: SocketAddr, other: SocketAddr) -> Ends {
    (Address::of(one), Address::of(other))
}

/// TCP and TLS connections: those within the process, and who owns the local end of those that the driver holds.
#[derive(Debug, Default)]
pub(super) struct LocalConnections {
    /// Client ends within the process: (client end, server end) to the slot of the client.
    inside: HashMap<Ends, usize, foldhash::fast::RandomState>,
    /// The same the other way: which client end of a slot serves (client address, server end), for reuse.
    reuse: HashMap<(usize, Ends), SocketAddr, foldhash::fast::RandomState>,
    /// Connections of the driver: (local, remote) to the slot.
    outside: HashMap<Ends, usize, foldhash::fast::RandomState>,
    opened: u32,
    ways: Ways,
}

impl LocalConnections {
    /// Who got the last message that `slot` sent this way, and the full address of its sender.
    pub(super) fn way(&self, slot: usize, from: SocketAddr, to: SocketAddr) -> Option<(Owner, SocketAddr)> {
        self.ways.find(slot, from, to)
    }

    /// The next message that `slot` sends this way goes there, too.
    pub(super) fn remember_way(&mut self, slot: usize, from: SocketAddr, to: SocketAddr, found: (Owner, SocketAddr)) {
        self.ways.remember(slot, from, to, found);
    }

    /// An address has another owner, or none.
    pub(super) fn forget_ways(&mut self) {
        self.ways.forget();
    }

    /// A connection that an element asked for; gives the client's end.
    pub(super) fn open(&mut self, from: SocketAddr, to: SocketAddr, slot: usize) -> SocketAddr {
        self.ways.forget();
        let mut client = from;
        while client.port() == 0 || self.inside.contains_key(&ends(client, to)) {
            // The ports of RFC 6335 clause 6 that nobody registers.
            let offset = u16::try_from(self.opened % 16_000).expect("below 16,000");
            client.set_port(49_152 + offset);
            self.opened += 1;
        }
        self.inside.insert(ends(client, to), slot);
        client
    }

    /// The full address of the sender of a packet to a listener, on a connection that is opened if `from` names no port.
    pub(super) fn from(&mut self, from: SocketAddr, to: SocketAddr, slot: usize) -> SocketAddr {
        if from.port() != 0 {
            self.inside.entry(ends(from, to)).or_insert(slot);
            return from;
        }
        if let Some(client) = self.reuse.get(&(slot, ends(from, to))) {
            return *client;
        }
        let client = self.open(from, to, slot);
        self.reuse.insert((slot, ends(from, to)), client);
        client
    }

    /// Whose the client's end `local` is, of a connection within the process. Without its port `remote` is the end of
    /// none yet.
    pub(super) fn client(&self, local: SocketAddr, remote: SocketAddr) -> Option<usize> {
        if remote.port() == 0 {
            return None;
        }
        self.inside.get(&ends(local, remote)).copied()
    }

    /// Whose `local` is on the connection with `remote`, for client ends.
    pub(super) fn owner(&self, local: SocketAddr, remote: SocketAddr) -> Option<usize> {
        self.client(local, remote).or_else(|| self.outside.get(&ends(local, remote)).copied())
    }

    /// Keeps or forgets whose a connection of the driver is.
    pub(super) fn remember(&mut self, connection: &Connection, slot: usize) {
        self.ways.forget();
        let key = ends(connection.local, connection.remote);
        match connection.state {
            ConnectionState::Opened if !connection.inbound => {
                self.outside.insert(key, slot);
            }
            ConnectionState::Opened => {}
            ConnectionState::Failed | ConnectionState::Closed => {
                self.outside.remove(&key);
            }
        }
    }

    /// Ends a connection within the process: what its other end is told, and whose that is if it is the client's.
    /// `None` if there is no such connection.
    pub(super) fn close(
        &mut self,
        transport: Transport,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<(Option<usize>, Connection)> {
        self.ways.forget();
        let by_client = self.inside.remove(&ends(local, remote)).is_some();
        let client = if by_client { None } else { Some(self.inside.remove(&ends(remote, local))?) };
        self.reuse.retain(|_, end| *end != local && *end != remote);
        let news = Connection {
            local: remote,
            remote: local,
            transport,
            protocol: if transport == Transport::Tls { Protocol::Sip } else { Protocol::Diameter },
            inbound: by_client,
            state: ConnectionState::Closed,
        };
        Some((client, news))
    }
}
