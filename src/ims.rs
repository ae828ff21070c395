//! Elements wired at addresses.
//!
//! [`Ims`] owns the elements of one process. It hands every packet to the element that owns its destination, keeps the
//! plane `none` at the edge of P-CSCF and UE ([`SaTable`]), and delivers between its own elements without sockets when
//! wired [`Wiring::Local`]: first in, first out, as bytes, with the addresses that the wire would show. What leaves the
//! process goes to the driver's [`Outward`]; everything that moves passes a [`Tap`].

mod address;
mod element;
mod listener;
mod local;
mod mutate;
mod order;
mod outward;
mod tap;

pub use element::Element;
pub use listener::Listener;
pub use mutate::{Fault, Whom, led_by};
pub use order::Order;
pub use outward::{ElementId, Outward};
pub use tap::{Tap, Wire};

use crate::event::{Event, Role, What};
use crate::ipsec::association::{SaSet, SaSetId};
use crate::ipsec::table::{Collision, Inbound, SaTable};
use crate::mutation::{Fate, Lost};
use crate::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Route, SaFailure, SaFault, Transport};
use crate::time::Instant;
use address::Address;
use local::{Delivery, LocalConnections};
use mutate::Mutant;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;

/// How elements of one process reach each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wiring {
    /// In memory.
    Local,
    /// By the driver, as if they were apart.
    Wire,
}

/// Who answers [`Effect::InstallSa`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum SaAnswers {
    /// The [`Ims`] at once, by its table alone (plane `none`): the driver sees nothing of sets.
    #[default]
    Own,
    /// The driver, by [`Ims::sa_installed`] or [`Ims::sa_failed`], unless the table refuses already.
    Driver,
}

/// The elements of one process.
#[derive(Debug)]
pub struct Ims {
    wiring: Wiring,
    sa_answers: SaAnswers,
    slots: Vec<Slot>,
    dues: Vec<Cell<Due>>,
    /// Addresses that elements listen at, and protected ports of UEs while their sets live.
    owners: HashMap<Address, Owner, foldhash::fast::RandomState>,
    queue: VecDeque<Delivery>,
    spare: Vec<Vec<u8>>,
    connections: LocalConnections,
    scratch: Outbox,
    /// A fault made on purpose.
    mutant: Option<Box<Mutant>>,
}

#[derive(Debug)]
struct Slot {
    element: Element,
    /// The sets alive on this element's host.
    sas: SaTable,
}

/// The earliest timer of an element.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// Not looked up since it was called.
    Changed,
    At(Option<Instant>),
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    slot: usize,
    protected: bool,
}

/// What a call on an [`Ims`] writes to.
struct World<'w> {
    now: Instant,
    out: &'w mut Outward,
    tap: &'w mut dyn Tap,
}

impl Ims {
    /// Without elements.
    pub fn new(wiring: Wiring) -> Self {
        Self {
            wiring,
            sa_answers: SaAnswers::Own,
            slots: Vec::new(),
            dues: Vec::new(),
            owners: HashMap::default(),
            queue: VecDeque::new(),
            spare: Vec::new(),
            connections: LocalConnections::default(),
            scratch: Outbox::new(),
            mutant: None,
        }
    }

    /// Lets the driver make sets of SAs, from now on.
    pub const fn set_sa_answers(&mut self, answers: SaAnswers) {
        self.sa_answers = answers;
    }

    /// Adds an element; its addresses must be free.
    pub fn add(&mut self, element: impl Into<Element>) -> Result<ElementId, AddressTaken> {
        let element = element.into();
        let slot = self.slots.len();
        self.connections.forget_ways();
        for listener in element.listeners() {
            let owner = Owner { slot, protected: listener.protected };
            if let Some(other) = self.owners.insert(Address::of(listener.address), owner).filter(|o| o.slot != slot) {
                return Err(AddressTaken {
                    address: listener.address,
                    by: self.slots[other.slot].element.role(),
                    wanted_by: element.role(),
                });
            }
        }
        self.slots.push(Slot { element, sas: SaTable::default() });
        self.dues.push(Cell::new(Due::Changed));
        Ok(ElementId(slot))
    }

    /// Puts an element in the place of another that had the same addresses, and that is gone with its SAs.
    pub fn replace(&mut self, id: ElementId, element: impl Into<Element>) {
        self.connections.forget_ways();
        self.slots[id.0] = Slot { element: element.into(), sas: SaTable::default() };
        self.dues[id.0].set(Due::Changed);
    }

    /// Every address that a driver must open before [`Ims::start`].
    pub fn listeners(&self) -> Vec<Listener> {
        self.slots.iter().flat_map(|s| s.element.listeners()).collect()
    }

    /// The element, to look at.
    pub fn element(&self, id: ElementId) -> &Element {
        &self.slots[id.0].element
    }

    /// The first element of this role.
    pub fn of_role(&self, role: Role) -> Option<ElementId> {
        self.slots.iter().position(|slot| slot.element.role() == role).map(ElementId)
    }

    /// Whose address this is: a listener's, or a protected port of a UE.
    pub fn owner(&self, address: SocketAddr) -> Option<ElementId> {
        self.owners.get(&Address::of(address)).map(|owner| ElementId(owner.slot))
    }

    /// True for an address that takes protected traffic only.
    pub fn is_protected(&self, address: SocketAddr) -> bool {
        self.owners.get(&Address::of(address)).is_some_and(|owner| owner.protected)
    }

    /// Lets elements open their Diameter connections.
    pub fn start(&mut self, now: Instant, out: &mut Outward, tap: &mut dyn Tap) {
        let mut world = World { now, out, tap };
        for slot in 0..self.slots.len() {
            self.call(slot, &mut world, |e, o| e.start(now, o));
        }
        self.deliver(&mut world);
    }

    /// Gives an element a command of its own (register, de-register), and carries out what follows.
    pub fn command(
        &mut self,
        id: ElementId,
        now: Instant,
        out: &mut Outward,
        tap: &mut dyn Tap,
        command: impl FnOnce(&mut Element, &mut Outbox),
    ) {
        let mut world = World { now, out, tap };
        self.call(id.0, &mut world, command);
        self.deliver(&mut world);
    }

    /// Takes a packet from outside. `packet.sa` is decided here.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outward, tap: &mut dyn Tap) {
        let mut world = World { now, out, tap };
        match self.owner_of(packet.to, packet.from) {
            Some(owner) => {
                let judged = self.judge(owner, packet);
                world.tap.packet(now, &Packet { sa: judged.sa(), ..*packet });
                self.accept(owner, judged, packet, &mut world);
            }
            None => world.tap.packet(now, packet),
        }
        self.deliver(&mut world);
    }

    /// Takes news of a connection from the driver. `owner`: the element that asked for it; `None` for one that the other
    /// side opened, which belongs to the listener.
    pub fn connection(
        &mut self,
        now: Instant,
        owner: Option<ElementId>,
        connection: &Connection,
        out: &mut Outward,
        tap: &mut dyn Tap,
    ) {
        let mut world = World { now, out, tap };
        let slot = owner.map(|o| o.0).or_else(|| self.owners.get(&Address::of(connection.local)).map(|o| o.slot));
        if let Some(slot) = slot {
            self.connections.remember(connection, slot);
            self.call(slot, &mut world, |e, o| e.connection(now, connection, o));
        }
        self.deliver(&mut world);
    }

    /// The driver has installed a set for its `owner`. One that was removed meanwhile is of no interest any more.
    pub fn sa_installed(&mut self, now: Instant, owner: ElementId, set: SaSetId, out: &mut Outward, tap: &mut dyn Tap) {
        let mut world = World { now, out, tap };
        if self.slots[owner.0].sas.contains(set) {
            self.call(owner.0, &mut world, |e, o| e.sa_installed(now, set, o));
        }
        self.deliver(&mut world);
    }

    /// The driver could not install a set for its `owner`; nothing is left of it there.
    pub fn sa_failed(
        &mut self,
        now: Instant,
        owner: ElementId,
        failure: &SaFailure,
        out: &mut Outward,
        tap: &mut dyn Tap,
    ) {
        let mut world = World { now, out, tap };
        if self.slots[owner.0].sas.contains(failure.set) {
            self.end_set(owner.0, failure.set);
            self.call(owner.0, &mut world, |e, o| e.sa_failed(now, failure, o));
        }
        self.deliver(&mut world);
    }

    /// The earliest timer of all elements.
    pub fn next_timeout(&self) -> Option<Instant> {
        (0..self.slots.len()).filter_map(|slot| self.due(slot)).chain(self.next_departure()).min()
    }

    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outward, tap: &mut dyn Tap) {
        let mut world = World { now, out, tap };
        if self.mutant.is_some() {
            self.depart(&mut world);
        }
        for slot in 0..self.slots.len() {
            if self.due(slot).is_some_and(|at| at <= now) {
                self.call(slot, &mut world, |e, o| e.handle_timeout(now, o));
            }
        }
        self.deliver(&mut world);
    }

    /// Ends Diameter connections in order.
    pub fn stop(&mut self, now: Instant, out: &mut Outward, tap: &mut dyn Tap) {
        let mut world = World { now, out, tap };
        for slot in 0..self.slots.len() {
            self.call(slot, &mut world, |e, o| e.stop(now, o));
        }
        self.deliver(&mut world);
    }

    /// Sets of SAs alive over all elements.
    pub fn sa_sets(&self) -> usize {
        self.slots.iter().map(|s| s.sas.len()).sum()
    }

    /// The earliest timer of an element: looked up once after a call, because one process may have thousands of UEs.
    fn due(&self, slot: usize) -> Option<Instant> {
        if let Due::At(at) = self.dues[slot].get() {
            return at;
        }
        let at = self.slots[slot].element.next_timeout();
        self.dues[slot].set(Due::At(at));
        at
    }

    /// Runs one call of one element and carries out its effects.
    fn call(&mut self, slot: usize, world: &mut World<'_>, call: impl FnOnce(&mut Element, &mut Outbox)) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.set_wants_events(world.tap.wants_events());
        call(&mut self.slots[slot].element, &mut scratch);
        self.dues[slot].set(Due::Changed);
        {
            let (effects, bytes) = scratch.drain();
            for effect in effects {
                self.carry_out(slot, effect, bytes, world);
            }
        }
        scratch.clear();
        self.scratch = scratch;
    }

    fn carry_out(&mut self, slot: usize, effect: Effect, bytes: &mut Vec<u8>, world: &mut World<'_>) {
        match effect {
            Effect::Transmit { from, to, transport, protocol, sa, range } => {
                let route = Route { from, to, transport, protocol, sa };
                self.transmit(slot, route, bytes, range, world);
            }
            Effect::Connect { from, to, transport, protocol } => {
                if self.wiring == Wiring::Local && self.owners.contains_key(&Address::of(to)) {
                    let from = self.connections.open(from, to, slot);
                    for (local, remote, inbound) in [(to, from, true), (from, to, false)] {
                        let state = ConnectionState::Opened;
                        let news = Connection { local, remote, transport, protocol, inbound, state };
                        self.queue.push_back(Delivery::News(news));
                    }
                } else {
                    world.out.push(slot, Effect::Connect { from, to, transport, protocol });
                }
            }
            Effect::Close { transport, local, remote } => {
                if let Some((slot, news)) = self.connections.close(transport, local, remote) {
                    let slot = slot.or_else(|| self.owners.get(&Address::of(news.local)).map(|o| o.slot));
                    self.queue.extend(slot.map(|slot| Delivery::Closed(slot, news)));
                } else {
                    world.out.push(slot, Effect::Close { transport, local, remote });
                }
            }
            Effect::InstallSa(set) if !set.is_between_hosts() => {
                let failure = SaFailure { set: set.id, cause: SaFault::Addresses };
                self.queue.push_back(Delivery::Sa(slot, Err(failure)));
            }
            Effect::InstallSa(set) => match self.slots[slot].sas.install(&set) {
                Ok(()) => {
                    self.own_protected_ports(slot, &set);
                    match self.sa_answers {
                        SaAnswers::Own => self.queue.push_back(Delivery::Sa(slot, Ok(set.id))),
                        SaAnswers::Driver => world.out.push(slot, Effect::InstallSa(set)),
                    }
                }
                Err(Collision) => {
                    let failure = SaFailure { set: set.id, cause: SaFault::Collision };
                    self.queue.push_back(Delivery::Sa(slot, Err(failure)));
                }
            },
            Effect::RemoveSa(set) => {
                self.end_set(slot, set);
                if self.sa_answers == SaAnswers::Driver {
                    world.out.push(slot, Effect::RemoveSa(set));
                }
            }
            Effect::ExtendSa { set, until } => {
                if self.sa_answers == SaAnswers::Driver {
                    world.out.push(slot, Effect::ExtendSa { set, until });
                }
            }
            Effect::ReplaySa(set) => {
                if self.sa_answers == SaAnswers::Driver {
                    world.out.push(slot, Effect::ReplaySa(set));
                }
            }
            Effect::Reset { .. } | Effect::TransmitPart { .. } => world.out.append(ElementId(slot), effect, bytes),
            Effect::Record { key, value } => world.out.record(slot, &bytes[key], &bytes[value]),
            Effect::Event(event) => world.tap.event(world.now, &event),
        }
    }

    fn transmit(&mut self, slot: usize, route: Route, bytes: &mut Vec<u8>, range: Range<usize>, world: &mut World<'_>) {
        if let Some(sa) = route.sa
            && !self.slots[slot].sas.outbound(sa, route.from, route.to)
        {
            let role = self.slots[slot].element.role();
            let what = What::PacketDropped { from: route.from, to: route.to, cause: "no SA carries these addresses" };
            world.tap.event(world.now, &Event { role, what });
            return;
        }
        if self.mutant.is_none() || self.leave_altered(slot, route, &bytes[range.clone()], world).is_none() {
            self.send(slot, route, bytes, range, Fate::default(), world);
        }
    }

    /// Sends `bytes[range]`; takes the buffer where there is nothing else in it, which spares a copy. What gets lost is seen,
    /// and does not arrive.
    fn send(
        &mut self,
        slot: usize,
        mut route: Route,
        bytes: &mut Vec<u8>,
        range: Range<usize>,
        fate: Fate,
        world: &mut World<'_>,
    ) {
        let mut owner = None;
        let is_reliable = route.transport.is_reliable();
        if self.wiring == Wiring::Local
            && is_reliable
            && let Some((receiver, from)) = self.connections.way(slot, route.from, route.to)
        {
            owner = Some(receiver);
            route.from = from;
        } else if self.wiring == Wiring::Local {
            let from = route.from;
            owner = self.owners.get(&Address::of(route.to)).copied();
            if is_reliable {
                match self.connections.client(route.to, route.from) {
                    // It goes to the end that opened the connection.
                    Some(client) => owner = owner.or(Some(Owner { slot: client, protected: false })),
                    None if owner.is_some() => route.from = self.connections.from(route.from, route.to, slot),
                    None => {}
                }
                if let Some(owner) = owner {
                    self.connections.remember_way(slot, from, route.to, (owner, route.from));
                }
            }
        }
        let packet = packet_of(&route, &bytes[range.clone()]);
        world.tap.packet(world.now, &packet);
        let lost = fate.lost.filter(|lost| *lost == Lost::Whole || route.transport == Transport::Udp);
        if let Some(lost) = lost {
            if lost == Lost::Fragment {
                world.out.transmit_part(slot, &route, &bytes[range]);
            }
        } else if let Some(owner) = owner {
            let mut message = self.spare.pop().unwrap_or_default();
            if range.len() == bytes.len() {
                std::mem::swap(&mut message, bytes);
            } else {
                message.extend_from_slice(&bytes[range]);
            }
            self.queue.push_back(Delivery::Packet(owner, route, message));
        } else {
            world.out.transmit(slot, route, &bytes[range]);
        }
        if fate.reset && route.transport.is_reliable() {
            world.out.push(slot, Effect::Reset { transport: route.transport, local: route.from, remote: route.to });
        }
    }

    fn deliver(&mut self, world: &mut World<'_>) {
        while let Some(delivery) = self.queue.pop_front() {
            match delivery {
                Delivery::Packet(owner, route, mut bytes) => {
                    let packet = packet_of(&Route { sa: None, ..route }, &bytes);
                    self.accept(owner, self.judge(owner, &packet), &packet, world);
                    bytes.clear();
                    if self.spare.len() < SPARE_BUFFERS {
                        self.spare.push(bytes);
                    }
                }
                Delivery::Sa(slot, answer) => {
                    let now = world.now;
                    self.call(slot, world, |e, o| match answer {
                        Ok(set) => e.sa_installed(now, set, o),
                        Err(failure) => e.sa_failed(now, &failure, o),
                    });
                }
                Delivery::Closed(slot, news) => {
                    let now = world.now;
                    self.call(slot, world, |e, o| e.connection(now, &news, o));
                }
                Delivery::News(news) => {
                    let listener = self.owners.get(&Address::of(news.local)).map(|o| o.slot);
                    let client = self.connections.owner(news.local, news.remote);
                    if let Some(slot) = if news.inbound { listener } else { client.or(listener) } {
                        let now = world.now;
                        self.call(slot, world, |e, o| e.connection(now, &news, o));
                    }
                }
            }
        }
    }

    /// Whose packets `from` sends to `to`: a listener's, or those of the end that opened the connection.
    fn owner_of(&self, to: SocketAddr, from: SocketAddr) -> Option<Owner> {
        self.owners.get(&Address::of(to)).copied().or_else(|| {
            let slot = self.connections.owner(to, from)?;
            Some(Owner { slot, protected: false })
        })
    }

    /// What the SAs of the owner's host say to a packet for it: they end at its protected ports, which take nothing else.
    fn judge(&self, Owner { slot, protected }: Owner, packet: &Packet<'_>) -> Inbound {
        if !protected {
            return Inbound::Clear;
        }
        self.slots[slot].sas.inbound(packet.from, packet.to, protected)
    }

    /// Hands a packet to its owner unless it was refused.
    fn accept(&mut self, owner: Owner, judged: Inbound, packet: &Packet<'_>, world: &mut World<'_>) {
        let slot = owner.slot;
        if judged == Inbound::Refused {
            let role = self.slots[slot].element.role();
            let what = What::PacketDropped { from: packet.from, to: packet.to, cause: "no SA fits this packet" };
            world.tap.event(world.now, &Event { role, what });
            return;
        }
        let sa = judged.sa();
        let altered = match self.mutant {
            Some(_) => self.arrive_altered(owner, packet, sa.is_some()),
            None => None,
        };
        let packet = Packet { sa, bytes: altered.as_deref().unwrap_or(packet.bytes), ..*packet };
        let now = world.now;
        self.call(slot, world, |e, o| e.receive(now, &packet, o));
    }

    /// Takes a set out of the table, and the ports of a UE that no other set of it has.
    fn end_set(&mut self, slot: usize, set: SaSetId) {
        let Slot { element, sas } = &mut self.slots[slot];
        let ends = sas.local_ends(set).filter(|_| element.role() == Role::Ue);
        sas.remove(set);
        for end in ends.into_iter().flatten().filter(|end| !sas.has_local_end(*end)) {
            self.connections.forget_ways();
            self.owners.remove(&Address::of(end));
        }
    }

    /// A UE's protected ports come and go with its sets; those of a P-CSCF are listeners.
    fn own_protected_ports(&mut self, slot: usize, set: &SaSet) {
        if set.at_ue {
            self.connections.forget_ways();
            for port in [set.ue.port_c, set.ue.port_s] {
                self.owners.insert(Address::of(SocketAddr::new(set.ue_address, port)), Owner { slot, protected: true });
            }
        }
    }
}

/// Two elements want the same address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{address} is wanted by the {wanted_by} and belongs to the {by} already")]
pub struct AddressTaken {
    /// The address.
    pub address: SocketAddr,
    /// Who has it.
    pub by: Role,
    /// Who wants it.
    pub wanted_by: Role,
}

fn packet_of<'a>(route: &Route, bytes: &'a [u8]) -> Packet<'a> {
    Packet { bytes, protocol: route.protocol, transport: route.transport, from: route.from, to: route.to, sa: route.sa }
}

/// Buffers kept for local delivery.
const SPARE_BUFFERS: usize = 64;
