//! Simulated TCP, TLS and SCTP: who is connected, and until when each direction is busy, so that streams keep their order.

use crate::ims::ElementId;
use crate::packet::{Protocol, Transport};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// All connections, by (client end, server end).
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: BTreeMap<(SocketAddr, SocketAddr), Ends>,
    opened: u16,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    /// The element that opened it; `None`: the outside.
    pub(super) client: Option<ElementId>,
    /// TCP, TLS or SCTP.
    pub(super) transport: Transport,
    /// What it carries.
    pub(super) protocol: Protocol,
    /// The last arrivals: at the server, at the client.
    last: [Instant; 2],
}

/// A connection seen from the sender of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) to_server: bool,
}

impl Connections {
    /// Registers a connection, on a free port where `from` names none. Nothing arrives before `ready`.
    pub(super) fn open(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        client: Option<ElementId>,
        transport: Transport,
        protocol: Protocol,
        ready: Instant,
    ) -> SocketAddr {
        let mut local = from;
        while local.port() == 0 || self.open.contains_key(&(local, to)) {
            // RFC 6335 clause 6: the ports that nobody registers.
            local.set_port(49_152 + self.opened % 16_000);
            self.opened = self.opened.wrapping_add(1);
        }
        self.open.insert((local, to), Ends { client, transport, protocol, last: [ready; 2] });
        local
    }

    /// The connection for a message between these addresses; `from` without port takes any of `owner` from that
    /// address, because elements at one address have connections of their own.
    pub(super) fn find(&self, owner: Option<ElementId>, from: SocketAddr, to: SocketAddr) -> Option<Direction> {
        if from.port() == 0 {
            let fits = |((client, server), ends): &(&(SocketAddr, SocketAddr), &Ends)| {
                *server == to && client.ip() == from.ip() && ends.client == owner
            };
            let found = self.open.iter().find(fits);
            return found.map(|(&(client, server), _)| Direction { client, server, to_server: true });
        }
        let forth = Direction { client: from, server: to, to_server: true };
        let back = Direction { client: to, server: from, to_server: false };
        [forth, back].into_iter().find(|direction| self.open.contains_key(&(direction.client, direction.server)))
    }

    pub(super) fn ends(&self, direction: Direction) -> Option<Ends> {
        self.open.get(&(direction.client, direction.server)).copied()
    }

    /// Books an arrival not before `at` and not before earlier ones.
    pub(super) fn arrival(&mut self, direction: Direction, at: Instant) -> Instant {
        let Some(ends) = self.open.get_mut(&(direction.client, direction.server)) else { return at };
        let last = &mut ends.last[usize::from(!direction.to_server)];
        *last = at.max(*last);
        *last
    }

    /// All of them, each seen from its client.
    pub(super) fn list(&self) -> Vec<(Direction, Ends)> {
        let seen = |(&(client, server), ends): (&(SocketAddr, SocketAddr), &Ends)| {
            (Direction { client, server, to_server: true }, *ends)
        };
        self.open.iter().map(seen).collect()
    }

    pub(super) fn close(&mut self, direction: Direction) -> Option<Ends> {
        self.open.remove(&(direction.client, direction.server))
    }
}
