//! Sets of SAs in a world, and what goes over them: as ESP where the world carries it, in clear otherwise.

use super::connections::Direction;
use super::esp::{Esp, EspPacket};
use super::nat::Nat;
use super::world::{Arrival, PATIENCE, Plane, World, packet_of};
use crate::event::{Event, Role, What};
use crate::ims::{ElementId, Tap};
use crate::ipsec::association::{SaSet, SaSetId};
use crate::ipsec::esp::{Counters, Drop};
use crate::mutation::SetFaultKind;
use crate::packet::{Packet, Protocol, Route, SaFailure, SaFault, Transport};
use crate::random::Random;
use crate::time::{Duration, Instant};
use std::net::{IpAddr, SocketAddr};

impl<T: Tap> World<T> {
    /// From now on what goes over an SA is ESP. To be called before the first set.
    pub fn carry_esp(&mut self) {
        // Of its own, so that the rest of the world is the same with and without.
        self.esp = Some(Esp::new(Random::seeded(IVS)));
    }

    /// What becomes of sets of SAs from now on.
    pub const fn set_plane(&mut self, plane: Plane) {
        self.plane = plane;
    }

    /// Whether a process that was killed and runs again takes away the sets of its predecessor.
    pub const fn set_sweeps(&mut self, sweeps: bool) {
        self.sweeps = sweeps;
    }

    /// How long a plane that works takes to answer, from now on.
    pub const fn set_sa_latency(&mut self, latency: Duration) {
        self.sa_latency = latency;
    }

    /// Keeps ESP packets for [`World::take_esp`] from now on.
    pub const fn keep_esp(&mut self) {
        self.keeps_esp = true;
    }

    /// ESP packets that were sent since the last look, also those that got lost.
    pub fn take_esp(&mut self) -> Vec<EspPacket> {
        std::mem::take(&mut self.esp_seen)
    }

    /// An ESP packet that nobody sent arrives now.
    pub fn inject_esp(&mut self, packet: EspPacket) {
        self.on_the_way.at(self.now, Arrival::Esp(packet, Protocol::Sip, None));
    }

    /// The hosts in `inside` reach others only through a NAT, which has one address outside and forgets where a datagram
    /// came from after `timeout`. To be called before the first packet.
    pub fn put_nat(&mut self, outside: IpAddr, timeout: Duration, inside: impl IntoIterator<Item = IpAddr>) {
        self.nat = Some(Nat::new(outside, timeout, inside.into_iter().collect()));
    }

    /// The NAT restarts: it has forgotten where datagrams came from, and chooses other ports.
    pub fn restart_nat(&mut self) {
        if let Some(nat) = &mut self.nat {
            nat.restart();
        }
    }

    /// How many sets all planes hold; `None` where no ESP is carried.
    pub fn esp_sets(&self) -> Option<usize> {
        self.esp.as_ref().map(Esp::len)
    }

    /// What went through the SAs of a host, and what did not.
    pub fn esp_counters(&self, host: IpAddr) -> Option<&Counters> {
        self.esp.as_ref()?.counters(host)
    }

    /// The same for one set of an element.
    pub fn esp_counters_of(&self, owner: ElementId, set: SaSetId) -> Option<Counters> {
        self.esp.as_ref()?.counters_of(owner, set)
    }

    pub(super) fn install(&mut self, owner: ElementId, set: &SaSet) {
        let temporary = self.now + REG_AWAIT_AUTH + BACKSTOP;
        let fault = self.set_fault(owner, set);
        let altered = fault.and_then(|fault| fault.altered(set));
        let set = altered.as_ref().unwrap_or(set);
        let plane = if fault == Some(SetFaultKind::Refused) { Plane::Refuses } else { self.plane };
        let made = match (plane, &mut self.esp) {
            (Plane::Works, Some(esp)) => esp.install(self.now, owner, set, temporary).map_err(|_| SaFault::Collision),
            (Plane::Works, None) => Ok(()),
            (Plane::Refuses, _) => Err(SaFault::Refused("so it was told".into())),
            (Plane::IsSilent, _) => return,
        };
        let pair = |ue, pcscf| {
            let (ue, pcscf) = (SocketAddr::new(set.ue_address, ue), SocketAddr::new(set.pcscf_address, pcscf));
            if set.at_ue { (ue, pcscf) } else { (pcscf, ue) }
        };
        let pairs = [pair(set.ue.port_c, set.pcscf.port_s), pair(set.ue.port_s, set.pcscf.port_c)];
        if made.is_ok() {
            self.sets.insert((owner, set.id), pairs);
            if self.esp.is_some() {
                self.tap.sealed(self.now, set);
                if let Some(SetFaultKind::EndsAfter(life)) = fault {
                    self.on_the_way.at(self.now + life, Arrival::EarlyEnd(owner, set.id));
                }
                self.on_the_way.at(temporary, Arrival::Backstop(owner, set.id));
            }
        }
        let answer = made.map(|()| set.id).map_err(|cause| SaFailure { set: set.id, cause });
        self.on_the_way.at(self.now + self.sa_latency, Arrival::Sa(owner, answer));
    }

    /// The plane lets the set live a little longer than the SIP timers.
    pub(super) fn extend(&mut self, owner: ElementId, set: SaSetId, until: Instant) {
        if let Some(esp) = &mut self.esp {
            esp.extend(owner, set, until + BACKSTOP);
        }
    }

    /// A set whose process has died ends at last.
    pub(super) fn end_by_itself(&mut self, owner: ElementId, set: SaSetId) {
        let Some(esp) = &mut self.esp else { return };
        match esp.end_of(owner, set) {
            Some(end) if end > self.now => self.on_the_way.at(end, Arrival::Backstop(owner, set)),
            Some(_) => esp.remove(owner, set),
            None => {}
        }
    }

    /// Connections over a set end before it: what they would send afterwards could leave in clear only.
    pub(super) fn remove_set(&mut self, owner: ElementId, set: SaSetId) {
        for (local, remote) in self.sets.remove(&(owner, set)).into_iter().flatten() {
            if let Some(direction) = self.connections.find(None, local, remote)
                && let Some(ends) = self.connections.ends(direction)
            {
                self.on_the_way.at(self.now, Arrival::Broken(direction, ends.transport, ends.protocol));
            }
        }
        if let Some(esp) = &mut self.esp {
            esp.remove(owner, set);
        }
    }

    /// What a process that was killed had, its next one finds and takes away.
    pub(super) fn sweep_sets(&mut self, owner: ElementId) {
        self.sets.retain(|(of, _), _| *of != owner);
        if let Some(esp) = &mut self.esp {
            esp.sweep(owner);
        }
    }

    /// What a message is on the wire; `None`: nothing, because no SA takes it.
    pub(super) fn on_wire(&mut self, route: &Route, bytes: &[u8], direction: Option<Direction>) -> Option<Arrival> {
        let Some(esp) = self.esp.as_mut().filter(|_| route.sa.is_some()) else {
            let route = self.past_nat(route, direction)?;
            return Some(Arrival::Message(route, bytes.to_vec()));
        };
        match esp.seal(self.now, route, bytes) {
            Ok(packet) => {
                self.show_esp(&packet);
                let Some(packet) = self.esp_past_nat(packet) else {
                    self.break_later(direction, route.transport, route.protocol);
                    return None;
                };
                if self.keeps_esp {
                    self.esp_seen.push(packet.clone());
                }
                if route.sa.is_some_and(|sa| self.replays.contains(&sa.set)) {
                    // Behind the first, which may have to wait for its connection.
                    let link = self.links.link(self.receiver(route.from), self.receiver(route.to));
                    let again = self.now + (link.latency + link.jitter) * 8;
                    self.on_the_way.at(again, Arrival::Esp(packet.clone(), route.protocol, None));
                }
                Some(Arrival::Esp(packet, route.protocol, direction))
            }
            Err(reason) => {
                self.tell_drop(route.from, route.to, reason);
                self.break_later(direction, route.transport, route.protocol);
                None
            }
        }
    }

    /// What a clear message is behind the NAT; `None`: nothing.
    fn past_nat(&mut self, route: &Route, direction: Option<Direction>) -> Option<Route> {
        let Some(nat) = &mut self.nat else { return Some(*route) };
        let ends = match direction {
            Some(direction) if direction.to_server => Some((nat.shown(route.from), route.to)),
            Some(direction) => Some((route.from, direction.client)),
            None => nat.datagram(self.now, route.from, route.to),
        };
        let Some((from, to)) = ends else {
            self.tell_lost(route.from, route.to);
            return None;
        };
        Some(Route { from, to, ..*route })
    }

    fn esp_past_nat(&mut self, packet: EspPacket) -> Option<EspPacket> {
        let Some(nat) = &mut self.nat else { return Some(packet) };
        let (from, to) = (SocketAddr::new(packet.source, 0), SocketAddr::new(packet.destination, 0));
        let passed = nat.esp(self.now, packet);
        if passed.is_none() {
            self.tell_lost(from, to);
        }
        passed
    }

    fn tell_lost(&mut self, from: SocketAddr, to: SocketAddr) {
        let what = What::PacketDropped { from, to, cause: "the NAT knows no way" };
        self.tap.event(self.now, &Event { role: Role::Ue, what });
    }

    /// Keep-alives of tunnels leave. Nobody but the NAT needs them.
    pub(super) fn keep_tunnels_alive(&mut self) {
        let Some(esp) = &mut self.esp else { return };
        for packet in esp.keep_alives(self.now) {
            self.show_esp(&packet);
            let Some(packet) = self.esp_past_nat(packet) else { continue };
            if self.keeps_esp {
                self.esp_seen.push(packet);
            }
        }
    }

    /// An ESP packet is there: what is in it goes on, or nothing does.
    pub(super) fn arrive_esp(&mut self, packet: &EspPacket, protocol: Protocol, direction: Option<Direction>) {
        let Some(esp) = self.esp.as_mut().filter(|_| !packet.is_keep_alive()) else { return };
        let transport = if direction.is_some() { Transport::Tcp } else { Transport::Udp };
        let mut data = Vec::new();
        match esp.open(packet, &mut data) {
            Ok(opened) => {
                let (from, to) = (opened.source, opened.destination);
                if self.is_down(self.ims.owner(to)) {
                    return;
                }
                let route = Route { from, to, transport, protocol, sa: None };
                let bytes = &self.as_received(&route, true, data[opened.data].to_vec());
                let packet = Packet { bytes, protocol, transport, from, to, sa: None };
                self.notes.arriving = true;
                self.ims.receive(self.now, &packet, &mut self.out, &mut self.notes);
            }
            Err(reason) => {
                let at = |address| SocketAddr::new(address, 0);
                self.tell_drop(at(packet.source), at(packet.destination), reason);
                self.break_later(direction, transport, protocol);
            }
        }
    }

    /// The wall before protected ports: clear text does not pass where ESP is carried.
    pub(super) fn stops(&mut self, route: &Route, bytes: &[u8]) -> bool {
        let stops = self.esp.is_some()
            && packet_of(route, bytes).protocol == Protocol::Sip
            && [route.from, route.to].into_iter().any(|end| self.ims.is_protected(end));
        if stops {
            let what = What::PacketDropped { from: route.from, to: route.to, cause: "clear text at a protected port" };
            self.tap.event(self.now, &Event { role: self.host(route.to.ip()), what });
        }
        stops
    }

    /// Whether a connection between protected ports comes about.
    pub(super) fn may_connect(&mut self, from: SocketAddr, to: SocketAddr) -> bool {
        if !self.ims.is_protected(from) && !self.ims.is_protected(to) {
            return true;
        }
        let is_deaf = self.is_deaf(from, to);
        let Self { esp, nat, now, tap, .. } = self;
        let mut left = 0;
        let pass = |packet: EspPacket| {
            left += 1;
            if is_deaf && left > 1 {
                return None;
            }
            tap.esp(*now, &packet.to_ip());
            match nat {
                Some(nat) => nat.esp(*now, packet),
                None => Some(packet),
            }
        };
        let shaken = esp.as_mut().map_or(Ok(()), |esp| esp.shake_hands(from, to, pass));
        if let Err(reason) = shaken {
            self.tell_drop(from, to, reason);
        }
        shaken.is_ok()
    }

    /// A stream repeats what is not acknowledged until it gives up.
    fn break_later(&mut self, direction: Option<Direction>, transport: Transport, protocol: Protocol) {
        if let Some(direction) = direction {
            self.on_the_way.at(self.now + PATIENCE, Arrival::Broken(direction, transport, protocol));
        }
    }

    fn tell_drop(&mut self, from: SocketAddr, to: SocketAddr, reason: Drop) {
        let outbound = matches!(reason, Drop::NoSa | Drop::Unsealable | Drop::SequenceExhausted | Drop::NatPortUnknown);
        let role = self.host(if outbound { from.ip() } else { to.ip() });
        let what = What::PacketDropped { from, to, cause: reason.as_str() };
        self.tap.event(self.now, &Event { role, what });
    }

    /// Who has the protected ports of a host.
    fn host(&self, address: IpAddr) -> Role {
        if self.listeners.keys().any(|listener| listener.ip() == address) { Role::Pcscf } else { Role::Ue }
    }
}

/// TS 24.229 table 7.8.1: nothing is said of the end of a set before.
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
/// How long a plane lets a set live beyond its end by the SIP timers.
const BACKSTOP: Duration = Duration::from_secs(60);
/// Seed of the IVs of all hosts.
const IVS: u64 = 0x4553_5000;
