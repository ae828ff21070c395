//! Faults made on purpose in a world.

use super::esp::EspPacket;
use super::world::{Arrival, World};
use crate::event::Role;
use crate::ims::{ElementId, Tap};
use crate::ipsec::association::{SaSet, SaSetId};
use crate::mutation::{Fate, Leaving, Mutator, Passing, SetFaultKind};
use crate::packet::Route;
use std::net::{IpAddr, SocketAddr};

impl<T: Tap> World<T> {
    /// From now on what has to do with this UE is altered.
    pub fn mutate(&mut self, ue: ElementId, mutator: Mutator) {
        self.mutators.push((ue, mutator));
    }

    /// A message leaves, or what the mutators make of it.
    pub(super) fn send_altered(&mut self, owner: Option<ElementId>, route: Route, bytes: &[u8]) {
        let sender = owner.map_or_else(|| self.end(route.from), |owner| self.ims.element(owner).role());
        let receiver = self.end(route.to);
        self.hand_keys(owner, bytes);
        let Some(leaving) = self.altered(owner, &route, sender, receiver, bytes) else {
            return self.send(owner, route, bytes, Fate::default());
        };
        for Leaving { after, fate, clear, from_port, to_port, over, bytes } in leaving {
            let other = owner.zip(over).and_then(|(owner, way)| self.ims.other_way(owner, &route, way));
            let route = other.unwrap_or(route);
            let with_port = |address: SocketAddr, port: Option<u16>| {
                port.map_or(address, |port| SocketAddr::new(address.ip(), port))
            };
            let (from, to) = (with_port(route.from, from_port), with_port(route.to, to_port));
            let sa = route.sa.filter(|_| !clear);
            let route = Route { from, to, sa, ..route };
            if after.is_zero() {
                self.send(owner, route, &bytes, fate);
            } else {
                self.on_the_way.at(self.now + after, Arrival::Departure { owner, route, bytes, fate });
            }
        }
    }

    /// Mutators that must fit the keys of their UE get them where the HSS shows whose they are.
    fn hand_keys(&mut self, sender: Option<ElementId>, bytes: &[u8]) {
        let Self { ims, mutators, .. } = self;
        for (ue, mutator) in mutators.iter_mut().filter(|(_, mutator)| mutator.wants_keys()) {
            let impi = ims.element(*ue).as_ue().map(|ue| ue.config().impi.as_str().to_owned());
            let is_meant = impi.is_some_and(|impi| memchr::memmem::find(bytes, impi.as_bytes()).is_some());
            if let Some(keys) = sender.filter(|_| is_meant).and_then(|sender| ims.keys_for(sender, bytes)) {
                mutator.hold_keys(keys);
            }
        }
    }

    /// What the mutators make of a message, each of what the one before has left; `None`: it leaves as it is.
    fn altered(
        &mut self,
        owner: Option<ElementId>,
        route: &Route,
        sender: Role,
        receiver: Role,
        bytes: &[u8],
    ) -> Option<Vec<Leaving>> {
        let ends = [owner.or_else(|| self.element_at(route.from)), self.element_at(route.to)];
        let Self { ims, mutators, .. } = self;
        let Route { protocol, sa, .. } = *route;
        let mut leaving: Option<Vec<Leaving>> = None;
        for (ue, mutator) in mutators.iter_mut() {
            let of_ue = is_of(ims, *ue, ends, route, sender, receiver);
            let mut next = |bytes: &[u8], clear: bool| {
                let protected = sa.is_some() && !clear;
                mutator.leaves(&Passing { sender, receiver, protocol, protected, of_ue, bytes })
            };
            leaving = match leaving {
                None => next(bytes, false),
                Some(before) => Some(
                    before
                        .into_iter()
                        .flat_map(|earlier| match next(&earlier.bytes, earlier.clear) {
                            Some(later) => later.into_iter().map(|later| later.behind(&earlier)).collect(),
                            None => vec![earlier],
                        })
                        .collect(),
                ),
            };
        }
        leaving
    }

    /// What a receiver gets of a message that arrives.
    pub(super) fn as_received(&mut self, route: &Route, protected: bool, bytes: Vec<u8>) -> Vec<u8> {
        if self.mutators.is_empty() {
            return bytes;
        }
        let (sender, receiver) = (self.end(route.from), self.end(route.to));
        let ends = [self.element_at(route.from), self.element_at(route.to)];
        let Self { ims, mutators, .. } = self;
        mutators.iter_mut().fold(bytes, |bytes, (ue, mutator)| {
            let of_ue = is_of(ims, *ue, ends, route, sender, receiver);
            let protocol = route.protocol;
            let got = mutator.arrives(&Passing { sender, receiver, protocol, protected, of_ue, bytes: &bytes });
            got.unwrap_or(bytes)
        })
    }

    /// Whose an address is; ports of connections are those of their clients.
    fn element_at(&self, address: SocketAddr) -> Option<ElementId> {
        self.ims.owner(address).or_else(|| self.client_at(address))
    }

    fn client_at(&self, address: SocketAddr) -> Option<ElementId> {
        let connections = self.connections.list();
        connections.into_iter().find(|(direction, _)| direction.client == address).and_then(|(_, ends)| ends.client)
    }

    /// Who is at an address; ports of connections are those of their clients.
    fn end(&self, address: SocketAddr) -> Role {
        match self.receiver(address) {
            Role::Ue => self.client_at(address).map_or(Role::Ue, |client| self.ims.element(client).role()),
            role => role,
        }
    }

    /// What is wrong with a set that is made now.
    pub(super) fn set_fault(&mut self, owner: ElementId, set: &SaSet) -> Option<SetFaultKind> {
        let role = self.ims.element(owner).role();
        let Self { ims, mutators, .. } = self;
        let of_ue = mutators.iter_mut().filter(|(ue, _)| host(ims, *ue) == Some(set.ue_address));
        let faults: Vec<_> = of_ue.filter_map(|(_, mutator)| mutator.makes_set(role)).collect();
        faults.into_iter().next()
    }

    /// Whether nobody answers SYN on the way to a protected port.
    pub(super) fn is_deaf(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let role = self.receiver(to);
        self.mutators.iter().any(|(ue, mutator)| {
            let ue = host(&self.ims, *ue);
            mutator.mutation().deaf == Some(role) && (ue == Some(from.ip()) || ue == Some(to.ip()))
        })
    }

    /// The plane has taken a set away, and told nobody.
    pub(super) fn end_early(&mut self, owner: ElementId, set: SaSetId) {
        if let Some(esp) = &mut self.esp {
            esp.remove(owner, set);
        }
    }

    /// A packet of this host that carries ESP is seen.
    pub(super) fn show_esp(&mut self, packet: &EspPacket) {
        self.tap.esp(self.now, &packet.to_ip());
    }
}

/// The address of a UE.
fn host(ims: &crate::ims::Ims, ue: ElementId) -> Option<IpAddr> {
    ims.element(ue).as_ue().map(|ue| ue.config().local.ip())
}

/// False where another UE is an end. `ends`: who sends and who receives, as far as that is known; hosts tell else.
fn is_of(
    ims: &crate::ims::Ims,
    ue: ElementId,
    ends: [Option<ElementId>; 2],
    route: &Route,
    sender: Role,
    receiver: Role,
) -> bool {
    let is_it = |end: Option<ElementId>, address: SocketAddr| match end {
        Some(end) => end == ue,
        None => host(ims, ue) == Some(address.ip()),
    };
    let [from, to] = ends;
    (sender != Role::Ue || is_it(from, route.from)) && (receiver != Role::Ue || is_it(to, route.to))
}
