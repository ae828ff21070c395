//! ESP between the hosts of a world: what goes over an SA is sealed where it leaves and opened where it arrives, under
//! the keys that each side has by itself. A host is an address.

use crate::ims::ElementId;
use crate::ip::transport::{self, Segment, TcpFields, write_tcp, write_udp};
use crate::ip::{self, Upper};
use crate::ipsec::association::{SaSet, SaSetId};
use crate::ipsec::esp::{self, Carrier, Counters, Drop, Engine, KeepAlives, Opened};
use crate::ipsec::table::Collision;
use crate::packet::{Route, Transport};
use crate::random::Random;
use crate::time::Instant;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

/// An ESP packet on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EspPacket {
    /// The sender, as the IP header shows it.
    pub source: IpAddr,
    /// The receiver.
    pub destination: IpAddr,
    /// What it is put into.
    pub carrier: Carrier,
    /// From SPI to ICV; in UDP also a keep-alive.
    pub octets: Vec<u8>,
}

impl EspPacket {
    /// The whole packet, from its IP header.
    pub fn to_ip(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.carrier {
            Carrier::Ip => ip::write(&mut out, self.source, self.destination, ip::ESP, &self.octets),
            Carrier::Udp { source_port, destination_port } => {
                let begun = ip::begin(&mut out, self.source, self.destination, ip::UDP);
                let (from, to) =
                    (SocketAddr::new(self.source, source_port), SocketAddr::new(self.destination, destination_port));
                write_udp(&mut out, from, to, &self.octets);
                begun.finish(&mut out);
            }
        }
        out
    }

    /// What keeps the mapping of a NAT.
    fn keep_alive(source: IpAddr, destination: IpAddr) -> Self {
        let carrier = Carrier::Udp { source_port: esp::PORT, destination_port: esp::PORT };
        Self { source, destination, carrier, octets: esp::KEEP_ALIVE.to_vec() }
    }

    /// True for one that nobody answers nor opens.
    pub(super) fn is_keep_alive(&self) -> bool {
        self.octets == esp::KEEP_ALIVE && matches!(self.carrier, Carrier::Udp { .. })
    }
}

/// The ESP of all hosts.
#[derive(Debug)]
pub(super) struct Esp {
    hosts: BTreeMap<IpAddr, Engine>,
    /// On which host the sets of an element are, and when they end there by themselves.
    sets: HashMap<(ElementId, SaSetId), (IpAddr, Instant)>,
    keep_alives: KeepAlives,
    /// The next octet of each direction of a connection, by sender and receiver.
    streams: HashMap<(SocketAddr, SocketAddr), u32>,
    random: Random,
}

impl Esp {
    pub(super) fn new(random: Random) -> Self {
        Self {
            hosts: BTreeMap::new(),
            sets: HashMap::new(),
            keep_alives: KeepAlives::new(),
            streams: HashMap::new(),
            random,
        }
    }

    pub(super) fn install(
        &mut self,
        now: Instant,
        owner: ElementId,
        set: &SaSet,
        until: Instant,
    ) -> Result<(), Collision> {
        let here = if set.at_ue { set.ue_address } else { set.pcscf_address };
        let random = &mut self.random;
        self.hosts.entry(here).or_insert_with(|| Engine::new(random.fork())).install(set)?;
        self.sets.insert((owner, set.id), (here, until));
        self.keep_alives.add(now, set);
        Ok(())
    }

    pub(super) fn remove(&mut self, owner: ElementId, set: SaSetId) {
        if let Some((here, _)) = self.sets.remove(&(owner, set))
            && let Some(engine) = self.hosts.get_mut(&here)
        {
            engine.remove(set);
            self.keep_alives.remove(set);
        }
    }

    pub(super) fn extend(&mut self, owner: ElementId, set: SaSetId, until: Instant) {
        if let Some((_, end)) = self.sets.get_mut(&(owner, set)) {
            *end = until;
        }
    }

    /// When a set ends by itself.
    pub(super) fn end_of(&self, owner: ElementId, set: SaSetId) -> Option<Instant> {
        self.sets.get(&(owner, set)).map(|(_, end)| *end)
    }

    /// Takes away what a process has left that was killed.
    pub(super) fn sweep(&mut self, owner: ElementId) {
        let left: Vec<SaSetId> = self.sets.keys().filter(|(of, _)| *of == owner).map(|(_, set)| *set).collect();
        for set in left {
            self.remove(owner, set);
        }
    }

    /// Seals a message on the host that it leaves.
    pub(super) fn seal(&mut self, now: Instant, route: &Route, bytes: &[u8]) -> Result<EspPacket, Drop> {
        let flags = transport::PSH | transport::ACK;
        let packet = self.seal_segment(route.transport, route.from, route.to, flags, bytes)?;
        self.keep_alives.sent(now, packet.source, packet.destination);
        Ok(packet)
    }

    /// When keep-alives may be due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.keep_alives.next_timeout()
    }

    /// Keep-alives that leave now.
    pub(super) fn keep_alives(&mut self, now: Instant) -> Vec<EspPacket> {
        self.keep_alives.due(now).into_iter().map(|(from, to)| EspPacket::keep_alive(from, to)).collect()
    }

    /// Opens a packet on the host where it arrives; gives the data in `out`.
    pub(super) fn open(&mut self, packet: &EspPacket, out: &mut Vec<u8>) -> Result<Opened, Drop> {
        let engine = self.hosts.get_mut(&packet.destination).ok_or(Drop::UnknownSpi)?;
        engine.open(packet.source, packet.destination, packet.carrier, &packet.octets, out)
    }

    /// SYN and SYN-ACK: whether a connection between these ports comes about. `pass`: what the network makes of a packet.
    pub(super) fn shake_hands(
        &mut self,
        client: SocketAddr,
        server: SocketAddr,
        mut pass: impl FnMut(EspPacket) -> Option<EspPacket>,
    ) -> Result<(), Drop> {
        let legs = [(client, server, transport::SYN), (server, client, transport::SYN | transport::ACK)];
        for (from, to, flags) in legs {
            let packet = self.seal_segment(Transport::Tcp, from, to, flags, b"")?;
            let packet = pass(packet).ok_or(Drop::NatPortUnknown)?;
            self.open(&packet, &mut Vec::new())?;
        }
        Ok(())
    }

    fn seal_segment(
        &mut self,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
        flags: u8,
        data: &[u8],
    ) -> Result<EspPacket, Drop> {
        let mut octets = Vec::new();
        let upper = match transport {
            Transport::Udp => {
                write_udp(&mut octets, from, to, data);
                Upper::Udp
            }
            Transport::Tcp | Transport::Tls | Transport::Sctp => {
                // The streams of a world keep their order by themselves: numbers are for whoever reads a capture.
                if flags & transport::SYN != 0 {
                    self.streams.insert((from, to), 0);
                }
                let acknowledged = self.streams.get(&(to, from)).copied().unwrap_or_default();
                let next = self.streams.entry((from, to)).or_default();
                let sequence = *next;
                let taken = u32::try_from(data.len()).unwrap_or(u32::MAX) + u32::from(flags & transport::SYN != 0);
                *next = next.wrapping_add(taken);
                write_tcp(&mut octets, from, to, TcpFields { sequence, acknowledged, flags }, data);
                Upper::Tcp
            }
        };
        let segment = Segment { source: from.ip(), destination: to.ip(), upper, octets: &octets };
        let mut esp = Vec::new();
        let engine = self.hosts.get_mut(&from.ip()).ok_or(Drop::NoSa)?;
        let sealed = engine.seal(&segment, &mut esp)?;
        Ok(EspPacket { source: sealed.source, destination: sealed.destination, carrier: sealed.carrier, octets: esp })
    }

    /// How many sets there are on all hosts.
    pub(super) fn len(&self) -> usize {
        self.hosts.values().map(Engine::len).sum()
    }

    /// What went through the SAs of a host, and what did not.
    pub(super) fn counters(&self, host: IpAddr) -> Option<&Counters> {
        self.hosts.get(&host).map(Engine::counters)
    }

    /// The same for one set of an element.
    pub(super) fn counters_of(&self, owner: ElementId, set: SaSetId) -> Option<Counters> {
        let (host, _) = self.sets.get(&(owner, set))?;
        self.hosts.get(host)?.counters_of(set)
    }
}
