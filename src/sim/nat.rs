//! A NAT between UEs and the rest of the world: one address outside, a port for each address and port inside (RFC 4787).
//!
//! UDP mappings end after a silence from inside, those of connections with them. What has no ports does not pass.

use super::esp::EspPacket;
use crate::ipsec::esp::Carrier;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// The NAT of a world.
#[derive(Debug)]
pub(super) struct Nat {
    outside: IpAddr,
    timeout: Duration,
    hosts: BTreeSet<IpAddr>,
    /// From an address inside to the port outside, and the end of that.
    datagrams: BTreeMap<SocketAddr, (u16, Instant)>,
    /// Clients of connections.
    streams: BTreeMap<SocketAddr, u16>,
    given: u16,
}

impl Nat {
    /// `hosts`: the addresses inside.
    pub(super) fn new(outside: IpAddr, timeout: Duration, hosts: BTreeSet<IpAddr>) -> Self {
        Self { outside, timeout, hosts, datagrams: BTreeMap::new(), streams: BTreeMap::new(), given: 0 }
    }

    /// It restarts: what it knew of datagrams is gone, and it chooses other ports.
    pub(super) fn restart(&mut self) {
        self.datagrams.clear();
    }

    /// A datagram passes: its ends as the receiver sees them; `None` where nothing leads inside.
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<(SocketAddr, SocketAddr)> {
        if self.hosts.contains(&from.ip()) {
            return Some((self.outward(now, from), to));
        }
        if to.ip() != self.outside {
            return Some((from, to));
        }
        let leads = |(_, (port, end)): &(&SocketAddr, &(u16, Instant))| *port == to.port() && *end > now;
        let (inside, _) = self.datagrams.iter().find(leads)?;
        Some((from, *inside))
    }

    /// The same for an ESP packet.
    pub(super) fn esp(&mut self, now: Instant, packet: EspPacket) -> Option<EspPacket> {
        let EspPacket { source, destination, carrier, octets } = packet;
        match carrier {
            Carrier::Ip if self.hosts.contains(&source) || destination == self.outside => None,
            Carrier::Ip => Some(EspPacket { source, destination, carrier, octets }),
            Carrier::Udp { source_port, destination_port } => {
                let (from, to) = (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port));
                let (from, to) = self.datagram(now, from, to)?;
                let carrier = Carrier::Udp { source_port: from.port(), destination_port: to.port() };
                Some(EspPacket { source: from.ip(), destination: to.ip(), carrier, octets })
            }
        }
    }

    /// A connection from `client` comes about.
    pub(super) fn connect(&mut self, client: SocketAddr) {
        if self.hosts.contains(&client.ip()) && !self.streams.contains_key(&client) {
            let port = self.port();
            self.streams.insert(client, port);
        }
    }

    /// That connection is over.
    pub(super) fn disconnect(&mut self, client: SocketAddr) {
        self.streams.remove(&client);
    }

    /// The client of a connection as its server sees it.
    pub(super) fn shown(&self, client: SocketAddr) -> SocketAddr {
        self.streams.get(&client).map_or(client, |port| SocketAddr::new(self.outside, *port))
    }

    /// The client that a server sees there.
    pub(super) fn hidden(&self, shown: SocketAddr) -> SocketAddr {
        let found = self.streams.iter().find(|(_, port)| shown == SocketAddr::new(self.outside, **port));
        found.map_or(shown, |(client, _)| *client)
    }

    fn outward(&mut self, now: Instant, from: SocketAddr) -> SocketAddr {
        let known = self.datagrams.get(&from).filter(|(_, end)| *end > now).map(|(port, _)| *port);
        let port = known.unwrap_or_else(|| self.port());
        // RFC 4787 clause 4.3: packets from inside refresh it, those from outside need not.
        self.datagrams.insert(from, (port, now + self.timeout));
        SocketAddr::new(self.outside, port)
    }

    fn port(&mut self) -> u16 {
        self.given = (self.given + 1) % 20_000;
        FIRST_PORT + self.given
    }
}

const FIRST_PORT: u16 = 40_000;
