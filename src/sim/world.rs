//! The virtual clock, and what is on its way.

use super::connections::{Connections, Direction, Ends};
use super::esp::{Esp, EspPacket};
use super::link::Links;
use super::nat::Nat;
use crate::event::{Event, Role};
use crate::ims::{Element, ElementId, Ims, Outward, SaAnswers, Tap};
use crate::ip;
use crate::ipsec::association::SaSetId;
use crate::mutation::{Fate, Lost, MTU, Mutator};
use crate::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, Route, SaFailure, Transport};
use crate::random::Random;
use crate::time::{Duration, Instant, Timeouts};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

/// Elements, links and a clock. `T` sees every packet as it is sent, also one that gets lost.
#[derive(Debug)]
pub struct World<T> {
    pub(super) ims: Ims,
    /// What the network does.
    pub links: Links,
    /// What sees everything.
    pub tap: T,
    pub(super) now: Instant,
    pub(super) random: Random,
    pub(super) on_the_way: Timeouts<Arrival>,
    pub(super) connections: Connections,
    pub(super) listeners: BTreeMap<SocketAddr, Role>,
    /// Addresses of the party outside, whom it plays, and what has arrived there.
    outside: BTreeMap<SocketAddr, Role>,
    letters: Vec<Letter>,
    pub(super) plane: Plane,
    pub(super) sa_latency: Duration,
    /// Local and remote end of the two pairs of ports of each set.
    pub(super) sets: HashMap<(ElementId, SaSetId), [(SocketAddr, SocketAddr); 2]>,
    /// False: what a process that was killed has left stays when it runs again.
    pub(super) sweeps: bool,
    /// `None`: what goes over an SA is in clear.
    pub(super) esp: Option<Esp>,
    /// `None`: every address is that of its host.
    pub(super) nat: Option<Nat>,
    pub(super) esp_seen: Vec<EspPacket>,
    pub(super) keeps_esp: bool,
    /// What leaves over these leaves twice.
    pub(super) replays: Vec<SaSetId>,
    /// Segments that pass until one meets a reset.
    reset_after: Option<(usize, Reset)>,
    /// What elements have recorded: their disk.
    journal: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// Whose process does not run.
    down: Vec<ElementId>,
    /// Faults made on purpose, each with the UE that it has to do with.
    pub(super) mutators: Vec<(ElementId, Mutator)>,
    pub(super) out: Outward,
    pub(super) notes: Notes,
}

/// A message that arrived at an address outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// When.
    pub at: Instant,
    /// From where, to where and how.
    pub route: Route,
    /// The message.
    pub bytes: Vec<u8>,
}

/// What the plane does with sets of SAs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plane {
    /// It makes them.
    Works,
    /// It refuses them.
    Refuses,
    /// It never answers.
    IsSilent,
}

/// How a segment meets the reset of its connection. Both ends learn of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reset {
    /// It is lost.
    InsteadOf,
    /// It is the last that arrives.
    Behind,
}

#[derive(Clone, Debug)]
pub(super) enum Arrival {
    Message(Route, Vec<u8>),
    /// It leaves only now, and arrives unless it gets lost.
    Departure {
        owner: Option<ElementId>,
        route: Route,
        bytes: Vec<u8>,
        fate: Fate,
    },
    /// The plane of this element lets the set end before its time.
    EarlyEnd(ElementId, SaSetId),
    /// On this connection, or as a datagram.
    Esp(EspPacket, Protocol, Option<Direction>),
    /// The plane of this element lets the set end by itself, unless it was told a later end.
    Backstop(ElementId, SaSetId),
    /// To the element that asked for the connection, or to the one that listens.
    News(Option<ElementId>, Connection),
    /// Nothing came through for too long.
    Broken(Direction, Transport, Protocol),
    /// What the plane says to a set of this element.
    Sa(ElementId, Result<SaSetId, SaFailure>),
}

impl Arrival {
    /// How long the packet of a datagram is, IP header and all.
    fn len_on_wire(&self, datagram: &[u8]) -> usize {
        match self {
            Self::Esp(packet, ..) => packet.to_ip().len(),
            Self::Message(route, _) => datagram.len() + ip::header_len(route.from.ip()) + UDP_HEADER,
            _ => datagram.len(),
        }
    }
}

impl<T: Tap> World<T> {
    /// `ims` must be wired by the driver. The seed decides about loss, duplication and jitter, nothing else.
    pub fn new(mut ims: Ims, links: Links, seed: u64, tap: T) -> Self {
        ims.set_sa_answers(SaAnswers::Driver);
        let listeners = ims.listeners().into_iter().map(|listener| (listener.address, listener.role)).collect();
        Self {
            ims,
            links,
            tap,
            now: Instant::ZERO,
            random: Random::seeded(seed),
            on_the_way: Timeouts::new(),
            connections: Connections::default(),
            listeners,
            outside: BTreeMap::new(),
            letters: Vec::new(),
            plane: Plane::Works,
            sa_latency: Duration::ZERO,
            sets: HashMap::new(),
            sweeps: true,
            esp: None,
            nat: None,
            esp_seen: Vec::new(),
            keeps_esp: false,
            replays: Vec::new(),
            reset_after: None,
            journal: BTreeMap::new(),
            down: Vec::new(),
            mutators: Vec::new(),
            out: Outward::new(),
            notes: Notes::default(),
        }
    }

    /// The elements, to look at.
    pub const fn ims(&self) -> &Ims {
        &self.ims
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Opens an address for a party outside that plays `role`; it listens on UDP and TCP.
    pub fn open_outside(&mut self, address: SocketAddr, role: Role) {
        self.outside.insert(address, role);
    }

    /// What has arrived outside since the last look.
    pub fn take_letters(&mut self) -> Vec<Letter> {
        std::mem::take(&mut self.letters)
    }

    /// After `passed` more segments the connection of the next one is reset.
    pub const fn reset_after(&mut self, passed: usize, reset: Reset) {
        self.reset_after = Some((passed, reset));
    }

    /// True while a reset is still to come.
    pub const fn awaits_reset(&self) -> bool {
        self.reset_after.is_some()
    }

    /// The connections of a host, client first.
    pub fn connections_of(&self, host: IpAddr) -> Vec<(SocketAddr, SocketAddr)> {
        let all = self.connections.list().into_iter().map(|(direction, _)| (direction.client, direction.server));
        all.filter(|(client, server)| client.ip() == host || server.ip() == host).collect()
    }

    /// What the elements have recorded, by key: it outlives [`World::crash`].
    pub const fn journal(&self) -> &BTreeMap<Box<[u8]>, Box<[u8]>> {
        &self.journal
    }

    /// The process of an element is killed: what it knew is gone, its connections break, nothing reaches it. `successor`
    /// takes its place, with the same addresses, and runs from [`World::restart`] on.
    pub fn crash(&mut self, id: ElementId, successor: impl Into<Element>) {
        for (direction, Ends { client, transport, protocol, .. }) in self.connections.list() {
            let server = self.ims.owner(direction.server);
            if client != Some(id) && server != Some(id) {
                continue;
            }
            let inbound = client == Some(id);
            let towards = Direction { to_server: inbound, ..direction };
            let at = self.connections.arrival(towards, self.now + self.links.default.latency);
            let news = self.end_of(direction, inbound, transport, protocol, ConnectionState::Closed);
            self.end_connection(direction);
            self.tell(at, if inbound { server } else { client }, news);
        }
        self.ims.replace(id, successor);
        self.down.push(id);
    }

    /// The process of an element that crashed runs again.
    pub fn restart(&mut self, id: ElementId) {
        self.down.retain(|down| *down != id);
        if self.sweeps {
            self.sweep_sets(id);
        }
        self.command(id, |element, now, out| element.start(now, out));
    }

    /// Lets the elements open their Diameter connections.
    pub fn start(&mut self) {
        self.notes.wants_events = self.tap.wants_events();
        self.ims.start(self.now, &mut self.out, &mut self.notes);
        self.carry_out();
    }

    /// Gives an element a command.
    pub fn command(&mut self, id: ElementId, command: impl FnOnce(&mut Element, Instant, &mut Outbox)) {
        let now = self.now;
        self.notes.wants_events = self.tap.wants_events();
        self.ims.command(id, now, &mut self.out, &mut self.notes, |element, out| command(element, now, out));
        self.carry_out();
    }

    /// A message leaves an address outside.
    pub fn send_from_outside(&mut self, route: Route, bytes: &[u8]) {
        self.transmit(None, route, bytes);
    }

    /// Lets everything happen until `at`.
    pub fn run_until(&mut self, at: Instant) {
        while self.next().is_some_and(|next| next <= at) {
            self.step();
        }
        self.now = self.now.max(at);
    }

    /// Lets things happen until `is_done`, or until `at`. Returns whether it is done.
    pub fn run_while(&mut self, at: Instant, mut is_done: impl FnMut(&Ims) -> bool) -> bool {
        loop {
            if is_done(&self.ims) {
                return true;
            }
            if self.next().is_none_or(|next| next > at) {
                self.now = self.now.max(at);
                return false;
            }
            self.step();
        }
    }

    fn next(&self) -> Option<Instant> {
        let keep_alives = self.esp.as_ref().and_then(Esp::next_timeout);
        [self.on_the_way.next(), self.ims.next_timeout(), keep_alives].into_iter().flatten().min()
    }

    /// One arrival, or the timers of one moment. What arrives at the moment of a timer comes first.
    fn step(&mut self) {
        let Some(next) = self.next() else { return };
        self.now = self.now.max(next);
        self.notes.wants_events = self.tap.wants_events();
        match self.on_the_way.pop(self.now) {
            Some(arrival) => self.arrive(arrival),
            None => {
                self.keep_tunnels_alive();
                self.ims.handle_timeout(self.now, &mut self.out, &mut self.notes);
            }
        }
        self.carry_out();
    }

    fn arrive(&mut self, arrival: Arrival) {
        let now = self.now;
        match arrival {
            Arrival::Message(route, bytes) if self.is_outside(&route) => {
                self.letters.push(Letter { at: now, route, bytes });
            }
            Arrival::Message(route, _) if self.is_down(self.ims.owner(route.to)) => {}
            Arrival::News(owner, news) if self.is_down(owner.or_else(|| self.ims.owner(news.local))) => {}
            Arrival::Message(route, bytes) if self.stops(&route, &bytes) => {}
            Arrival::Departure { owner, route, bytes, fate } => self.send(owner, route, &bytes, fate),
            Arrival::EarlyEnd(owner, set) => self.end_early(owner, set),
            Arrival::Backstop(owner, set) => self.end_by_itself(owner, set),
            Arrival::Esp(packet, protocol, direction) => self.arrive_esp(&packet, protocol, direction),
            Arrival::Message(route, bytes) => {
                let bytes = self.as_received(&route, route.sa.is_some(), bytes);
                self.notes.arriving = true;
                self.ims.receive(now, &packet_of(&route, &bytes), &mut self.out, &mut self.notes);
            }
            Arrival::News(owner, news) => {
                self.ims.connection(now, owner, &news, &mut self.out, &mut self.notes);
            }
            Arrival::Broken(direction, transport, protocol) => {
                let news = [true, false]
                    .map(|inbound| self.end_of(direction, inbound, transport, protocol, ConnectionState::Closed));
                if let Some(ends) = self.end_connection(direction) {
                    for (news, owner) in news.into_iter().zip([None, ends.client]) {
                        self.ims.connection(now, owner, &news, &mut self.out, &mut self.notes);
                    }
                }
            }
            Arrival::Sa(owner, _) if self.is_down(Some(owner)) => {}
            Arrival::Sa(owner, Ok(set)) => self.ims.sa_installed(now, owner, set, &mut self.out, &mut self.notes),
            Arrival::Sa(owner, Err(failure)) => {
                self.ims.sa_failed(now, owner, &failure, &mut self.out, &mut self.notes);
            }
        }
    }

    pub(super) fn is_down(&self, id: Option<ElementId>) -> bool {
        id.is_some_and(|id| self.down.contains(&id))
    }

    fn is_outside(&self, route: &Route) -> bool {
        self.outside.contains_key(&route.to)
            || (route.transport.is_reliable() && {
                let connection = Direction { client: route.to, server: route.from, to_server: false };
                self.connections.ends(connection).is_some_and(|ends| ends.client.is_none())
            })
    }

    fn carry_out(&mut self) {
        // Nothing below calls an element, so one round is enough.
        let mut out = std::mem::take(&mut self.out);
        {
            let (effects, bytes) = out.drain();
            for (owner, effect) in effects {
                match effect {
                    Effect::Transmit { from, to, transport, protocol, sa, range } => {
                        self.show_events();
                        self.transmit(Some(owner), Route { from, to, transport, protocol, sa }, &bytes[range]);
                    }
                    Effect::Connect { from, to, transport, protocol } => {
                        self.connect(Some(owner), from, to, transport, protocol);
                    }
                    Effect::Close { local, remote, .. } => self.close(local, remote),
                    Effect::InstallSa(set) => self.install(owner, &set),
                    Effect::Record { key, value } => {
                        self.journal.insert(bytes[key].into(), bytes[value].into());
                    }
                    Effect::RemoveSa(set) => self.remove_set(owner, set),
                    Effect::ExtendSa { set, until } => self.extend(owner, set, until),
                    Effect::ReplaySa(set) => self.replays.push(set),
                    // Faults made on purpose come about in the world itself.
                    Effect::Reset { .. } | Effect::TransmitPart { .. } | Effect::Event(_) => {}
                }
            }
        }
        self.show_events();
        out.clear();
        self.out = out;
    }

    /// Shows what was told before the next packet.
    fn show_events(&mut self) {
        while let Some(Note::Event(event)) = self.notes.list.pop_front() {
            self.tap.event(self.now, &event);
        }
    }

    fn transmit(&mut self, owner: Option<ElementId>, route: Route, bytes: &[u8]) {
        if self.mutators.is_empty() {
            self.send(owner, route, bytes, Fate::default());
        } else {
            self.send_altered(owner, route, bytes);
        }
    }

    /// What gets lost is seen as it leaves, and does not arrive.
    pub(super) fn send(&mut self, owner: Option<ElementId>, route: Route, bytes: &[u8], fate: Fate) {
        match route.transport {
            Transport::Udp => self.transmit_datagram(owner, route, bytes, fate.lost),
            Transport::Tcp | Transport::Tls | Transport::Sctp => self.transmit_segment(owner, route, bytes, fate),
        }
    }

    fn transmit_datagram(&mut self, owner: Option<ElementId>, route: Route, bytes: &[u8], lost: Option<Lost>) {
        self.tap.packet(self.now, &packet_of(&route, bytes));
        let (a, b) = (self.sender(owner, route.from), self.receiver(route.to));
        let arrivals: Vec<Duration> = self.links.link(a, b).datagram(&mut self.random).collect();
        let Some(arrival) = self.on_wire(&route, bytes, None) else { return };
        let lost = match lost {
            Some(Lost::Whole) => true,
            Some(Lost::Fragment) => arrival.len_on_wire(bytes) > MTU,
            None => false,
        };
        if !lost && self.links.down_until(a, b, self.now).is_none() {
            for after in arrivals {
                self.on_the_way.at(self.now + after, arrival.clone());
            }
        }
    }

    fn transmit_segment(&mut self, owner: Option<ElementId>, route: Route, bytes: &[u8], fate: Fate) {
        let route = Route { to: self.nat.as_ref().map_or(route.to, |nat| nat.hidden(route.to)), ..route };
        let Some(direction) =
            self.connections.find(owner, route.from, route.to).or_else(|| self.reconnect(owner, &route))
        else {
            return;
        };
        let from = if direction.to_server { direction.client } else { direction.server };
        let route = Route { from, ..route };
        self.tap.packet(self.now, &packet_of(&route, bytes));
        let client = self.connections.ends(direction).and_then(|ends| ends.client);
        let a = self.sender(owner, route.from);
        let b = match client {
            Some(client) if !direction.to_server => self.ims.element(client).role(),
            _ => self.receiver(route.to),
        };
        let passage = self.links.link(a, b).segment(&mut self.random);
        let start = match self.links.down_until(a, b, self.now) {
            Some(until) if until.saturating_since(self.now) > PATIENCE => {
                self.on_the_way.at(self.now + PATIENCE, Arrival::Broken(direction, route.transport, route.protocol));
                return;
            }
            until => until.unwrap_or(self.now),
        };
        let at = self.connections.arrival(direction, start + passage);
        let Some(arrival) = self.on_wire(&route, bytes, Some(direction)) else { return };
        let broken = Arrival::Broken(direction, route.transport, route.protocol);
        if fate.lost == Some(Lost::Whole) {
            if fate.reset {
                self.on_the_way.at(at, broken);
            }
            return;
        }
        let reset = match &mut self.reset_after {
            Some((passed @ 1.., _)) => {
                *passed -= 1;
                None
            }
            due => due.take(),
        };
        if !matches!(reset, Some((_, Reset::InsteadOf))) {
            self.on_the_way.at(at, arrival);
        }
        if fate.reset || reset.is_some() {
            self.on_the_way.at(at, broken);
        }
    }

    /// Opens a connection for a message that finds none. That of a TLS session is not replaced.
    fn reconnect(&mut self, owner: Option<ElementId>, route: &Route) -> Option<Direction> {
        let Route { from, to, transport, protocol, .. } = *route;
        if transport == Transport::Tls && from.port() != 0 {
            let state = ConnectionState::Failed;
            self.tell(
                self.now,
                owner,
                Connection { local: from, remote: to, transport, protocol, inbound: false, state },
            );
            return None;
        }
        self.connect(owner, from, to, transport, protocol)
    }

    /// Opens a connection, or tells the owner that it cannot be.
    fn connect(
        &mut self,
        owner: Option<ElementId>,
        from: SocketAddr,
        to: SocketAddr,
        transport: Transport,
        protocol: Protocol,
    ) -> Option<Direction> {
        let (a, b) = (self.sender(owner, from), self.receiver(to));
        let latency = self.links.link(a, b).latency;
        let listens = !self.is_down(self.ims.owner(to))
            && (self.listeners.contains_key(&to) || self.outside.contains_key(&to) || self.ims.owner(to).is_some());
        let failure = match self.links.down_until(a, b, self.now) {
            Some(_) => Some(CONNECT_TIMEOUT),
            None if !listens => Some(2 * latency),
            None => (!self.may_connect(from, to)).then_some(CONNECT_TIMEOUT),
        };
        if let Some(after) = failure {
            let state = ConnectionState::Failed;
            let news = Connection { local: from, remote: to, transport, protocol, inbound: false, state };
            self.tell(self.now + after, owner, news);
            return None;
        }
        let client = self.connections.open(from, to, owner, transport, protocol, self.now + 3 * latency);
        let direction = Direction { client, server: to, to_server: true };
        if let Some(nat) = self.nat.as_mut().filter(|_| !self.ims.is_protected(from)) {
            nat.connect(client);
        }
        let [inside, outside] =
            [false, true].map(|inbound| self.end_of(direction, inbound, transport, protocol, ConnectionState::Opened));
        if !self.outside.contains_key(&to) {
            self.on_the_way.at(self.now + latency, Arrival::News(None, outside));
        }
        self.tell(self.now + 2 * latency, owner, inside);
        Some(direction)
    }

    /// The end that did not close is told.
    fn close(&mut self, local: SocketAddr, remote: SocketAddr) {
        let remote = self.nat.as_ref().map_or(remote, |nat| nat.hidden(remote));
        let Some(direction) = self.connections.find(None, local, remote) else { return };
        let arrival = self.connections.arrival(direction, self.now + self.links.default.latency);
        let Some(ends) = self.connections.ends(direction) else { return };
        let news = self.end_of(direction, direction.to_server, ends.transport, ends.protocol, ConnectionState::Closed);
        self.end_connection(direction);
        if direction.to_server {
            self.on_the_way.at(arrival, Arrival::News(None, news));
        } else {
            self.tell(arrival, ends.client, news);
        }
    }

    /// News for the client of a connection; a party outside is told nothing.
    fn tell(&mut self, at: Instant, owner: Option<ElementId>, news: Connection) {
        if owner.is_some() {
            self.on_the_way.at(at, Arrival::News(owner, news));
        }
    }

    /// What one end of a connection is told.
    fn end_of(
        &self,
        direction: Direction,
        inbound: bool,
        transport: Transport,
        protocol: Protocol,
        state: ConnectionState,
    ) -> Connection {
        let Direction { client, server, .. } = direction;
        let shown = || self.nat.as_ref().map_or(client, |nat| nat.shown(client));
        let (local, remote) = if inbound { (server, shown()) } else { (client, server) };
        Connection { local, remote, transport, protocol, inbound, state }
    }

    fn end_connection(&mut self, direction: Direction) -> Option<Ends> {
        let ends = self.connections.close(direction)?;
        let last = || !self.connections.list().iter().any(|(other, _)| other.client == direction.client);
        if let Some(nat) = &mut self.nat
            && last()
        {
            nat.disconnect(direction.client);
        }
        Some(ends)
    }

    fn sender(&self, owner: Option<ElementId>, from: SocketAddr) -> Role {
        owner.map_or_else(|| self.receiver(from), |owner| self.ims.element(owner).role())
    }

    /// Ports that nobody listens at for ever are those of UEs.
    pub(super) fn receiver(&self, to: SocketAddr) -> Role {
        let element = || self.ims.owner(to).map(|owner| self.ims.element(owner).role());
        let known = self.outside.get(&to).or_else(|| self.listeners.get(&to)).copied();
        known.or_else(element).unwrap_or(Role::Ue)
    }
}

/// What the elements did in one call, in order. Packets are shown once their connections, and so their ports, are known.
#[derive(Debug, Default)]
pub(super) struct Notes {
    list: VecDeque<Note>,
    /// The next packet arrives: it has been shown when it was sent.
    pub(super) arriving: bool,
    wants_events: bool,
}

#[derive(Debug)]
enum Note {
    Packet,
    Event(Event),
}

impl Tap for Notes {
    fn packet(&mut self, _now: Instant, _packet: &Packet<'_>) {
        if !std::mem::take(&mut self.arriving) {
            self.list.push_back(Note::Packet);
        }
    }

    fn event(&mut self, _now: Instant, event: &Event) {
        self.list.push_back(Note::Event(event.clone()));
    }

    fn wants_events(&self) -> bool {
        self.wants_events
    }
}

pub(super) fn packet_of<'a>(route: &Route, bytes: &'a [u8]) -> Packet<'a> {
    let Route { from, to, transport, protocol, sa } = *route;
    Packet { bytes, protocol, transport, from, to, sa }
}

/// How long a stream waits for an outage to end before it breaks.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
const UDP_HEADER: usize = 8;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
