//! Faults made on purpose at the edge of the elements of this process: what leaves them is altered before the tap sees
//! it and before anything is sealed, what arrives after the tap has seen it.

use super::address::Address;
use super::{ElementId, Ims, Owner, World};
use crate::aka::vector::SubscriberKeys;
use crate::diameter::{Avps, Header};
use crate::event::Role;
use crate::ipsec::association::SaSet;
use crate::mutation::{Fate, Leaving, Mutation, Mutator, Passing, SetFaultKind, Way};
use crate::packet::{Packet, Protocol, Route};
use crate::sip::{HeaderName, Message, StartLine};
use crate::time::{Instant, Timeouts};
use memchr::memmem;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

/// With which UE a mutation has to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Whom {
    /// One of this process, and the text that stands in whatever tells of it: its IMSI.
    Own(ElementId, Box<str>),
    /// One outside: that of this private identity, else the first that registers.
    Outside(Option<Box<str>>),
}

/// A mutation, for an [`Ims`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// With which UE it has to do.
    pub whom: Whom,
    /// What is wrong.
    pub mutation: Mutation,
    /// What its placeholders call the UEs by.
    pub names: Vec<(Box<str>, Box<str>)>,
}

/// A mutation at work in an [`Ims`].
#[derive(Debug)]
pub(super) struct Mutant {
    fault: Fault,
    /// Once it is known whom it concerns.
    mutator: Option<Mutator>,
    /// The text that stands in whatever tells of a UE outside.
    identity: Box<str>,
    /// Addresses of a UE outside, as seen so far.
    ends: HashSet<SocketAddr>,
    /// Where it was heard first: outside of any SA.
    first: Option<SocketAddr>,
    /// What leaves later.
    later: Timeouts<Departure>,
}

#[derive(Debug)]
struct Departure {
    slot: usize,
    route: Route,
    bytes: Vec<u8>,
    fate: Fate,
}

impl Fault {
    fn mutator(&self, identity: &str) -> Mutator {
        Mutator::new(self.mutation.clone(), identity).naming(&self.names)
    }
}

/// Makes the UE with this user part of an IMPI the first of those that `names` tells of: `ue1` is the one that a mutation
/// concerns.
pub fn led_by(names: &mut [(Box<str>, Box<str>)], user: &str) {
    let number = |name: &str| name.strip_prefix("ue")?.strip_suffix(".user").map(str::to_owned);
    let Some(found) = names.iter().find(|(_, value)| **value == *user).and_then(|(name, _)| number(name)) else {
        return;
    };
    let (first, its) = ("ue1.".to_owned(), format!("ue{found}."));
    for (name, _) in names {
        let other = [(&first, &its), (&its, &first)];
        let renamed = other.iter().find_map(|(of, to)| Some(format!("{to}{}", name.strip_prefix(of.as_str())?)));
        if let Some(renamed) = renamed {
            *name = renamed.into();
        }
    }
}

impl Mutant {
    fn new(fault: Fault) -> Self {
        let (identity, mutator) = match &fault.whom {
            Whom::Own(_, identity) => (identity.clone(), Some(fault.mutator(identity))),
            Whom::Outside(_) => ("".into(), None),
        };
        Self { fault, mutator, identity, ends: HashSet::new(), first: None, later: Timeouts::new() }
    }

    /// A message comes from outside: it may tell who the UE is, and at a P-CSCF also where.
    fn hear(&mut self, packet: &Packet<'_>) {
        let Whom::Outside(wanted) = &self.fault.whom else { return };
        if self.mutator.is_none() {
            let user = match packet.protocol {
                Protocol::Sip => registering(packet.bytes),
                Protocol::Diameter => asked_for(packet.bytes),
            };
            let Some(user) = user else { return };
            let wanted = wanted.as_deref().map(user_part);
            if wanted.is_some_and(|wanted| wanted != &*user) {
                return;
            }
            led_by(&mut self.fault.names, &user);
            self.mutator = Some(self.fault.mutator(&user));
            self.identity = user;
        }
        // Others may write to this UE; it alone registers under its identity.
        if packet.bytes.starts_with(b"REGISTER ") && memmem::find(packet.bytes, self.identity.as_bytes()).is_some() {
            self.first.get_or_insert(packet.from);
            self.ends.insert(packet.from);
            let ports = ports_offered(packet.bytes);
            self.ends.extend(ports.into_iter().map(|port| SocketAddr::new(packet.from.ip(), port)));
        }
    }
}

impl Ims {
    /// From now on what has to do with a UE is altered; `None`: nothing is any more, and what was to leave later does not.
    pub fn mutate(&mut self, fault: Option<Fault>) {
        self.mutant = fault.map(|fault| Box::new(Mutant::new(fault)));
    }

    /// True while a mutation is at work.
    pub const fn is_mutated(&self) -> bool {
        self.mutant.is_some()
    }

    /// The user part of the IMPI of whom it concerns, once that is known.
    pub fn mutated_user(&self) -> Option<&str> {
        let mutant = self.mutant.as_ref()?;
        mutant.mutator.is_some().then_some(&*mutant.identity)
    }

    /// Whether the mutation has altered anything so far, where it is to.
    pub fn has_mutated(&self) -> bool {
        let mutator = self.mutant.as_ref().and_then(|mutant| mutant.mutator.as_ref());
        mutator.is_some_and(Mutator::has_acted)
    }

    /// Whose answer to SYN inside an SA is missing.
    pub fn deaf(&self) -> Option<Role> {
        self.mutant.as_ref().and_then(|mutant| mutant.fault.mutation.deaf)
    }

    /// What is wrong with a set that the driver makes now for `owner`.
    pub fn set_fault(&mut self, owner: ElementId, set: &SaSet) -> Option<SetFaultKind> {
        let role = self.element(owner).role();
        let mutant = self.mutant.as_mut()?;
        let concerns = match &mutant.fault.whom {
            Whom::Own(ue, _) => *ue == owner,
            Whom::Outside(_) => mutant.ends.contains(&SocketAddr::new(set.ue_address, set.ue.port_s)),
        };
        mutant.mutator.as_mut().filter(|_| concerns)?.makes_set(role)
    }

    /// What leaves in place of a message, or `None`: it leaves as it is.
    pub(super) fn leave_altered(
        &mut self,
        slot: usize,
        route: Route,
        bytes: &[u8],
        world: &mut World<'_>,
    ) -> Option<()> {
        let sender = self.slots[slot].element.role();
        let receiver = self.receiver(sender, &route, bytes);
        let of_ue = self.is_of_mutated(sender, Some(slot), receiver, &route);
        let Route { protocol, sa, .. } = route;
        if let Some(keys) = self.keys_wanted(ElementId(slot), bytes)
            && let Some(mutator) = self.mutant.as_mut().and_then(|mutant| mutant.mutator.as_mut())
        {
            mutator.hold_keys(keys);
        }
        let mutator = self.mutant.as_mut()?.mutator.as_mut()?;
        let passing = Passing { sender, receiver, protocol, protected: sa.is_some(), of_ue, bytes };
        for Leaving { after, fate, clear, from_port, to_port, over, mut bytes } in mutator.leaves(&passing)? {
            let route = over.and_then(|way| self.other_way(ElementId(slot), &route, way)).unwrap_or(route);
            let from = self.with_port(route.from, from_port, Some(sender));
            let to = self.with_port(route.to, to_port, None);
            let route = Route { from, to, sa: route.sa.filter(|_| !clear), ..route };
            if after.is_zero() {
                let whole = 0..bytes.len();
                self.send(slot, route, &mut bytes, whole, fate, world);
            } else if let Some(mutant) = &mut self.mutant {
                mutant.later.at(world.now + after, Departure { slot, route, bytes, fate });
            }
        }
        Some(())
    }

    fn keys_wanted(&self, sender: ElementId, bytes: &[u8]) -> Option<SubscriberKeys> {
        let mutant = self.mutant.as_ref()?;
        let is_wanted = mutant.mutator.as_ref().is_some_and(Mutator::wants_keys);
        if !is_wanted || memmem::find(bytes, mutant.identity.as_bytes()).is_none() {
            return None;
        }
        self.keys_for(sender, bytes)
    }

    /// The keys of whom a message of an HSS is about.
    pub fn keys_for(&self, sender: ElementId, bytes: &[u8]) -> Option<SubscriberKeys> {
        let hss = self.element(sender).as_hss()?;
        let name = Avps::of(bytes).find(USER_NAME, 0)?;
        hss.keys(std::str::from_utf8(name.data).ok()?)
    }

    /// The way of a message over another SA of its element; `None`: there is none.
    pub fn other_way(&self, element: ElementId, route: &Route, way: Way) -> Option<Route> {
        let sas = &self.slots[element.0].sas;
        let (sa, from, to) = match way {
            Way::OtherPorts => sas.other_ports(route.sa?),
            Way::OtherSet => sas.other_set(route.sa?),
        }?;
        Some(Route { from, to, sa: Some(sa), ..*route })
    }

    /// What the receiver gets of a message that arrives.
    pub(super) fn arrive_altered(&mut self, owner: Owner, packet: &Packet<'_>, protected: bool) -> Option<Vec<u8>> {
        let receiver = self.slots[owner.slot].element.role();
        let from = self.owners.get(&Address::of(packet.from)).copied();
        if let (None, Some(mutant)) = (from, &mut self.mutant) {
            mutant.hear(packet);
        }
        let sender = match from {
            Some(from) => self.slots[from.slot].element.role(),
            None => self.sender(receiver, packet),
        };
        let Packet { from, to, transport, protocol, bytes, .. } = *packet;
        let route = Route { from: to, to: from, transport, protocol, sa: None };
        let of_ue = self.is_of_mutated(receiver, Some(owner.slot), sender, &route);
        let mutator = self.mutant.as_mut()?.mutator.as_mut()?;
        mutator.arrives(&Passing { sender, receiver, protocol, protected, of_ue, bytes })
    }

    /// When a message that was held back leaves.
    pub fn next_departure(&self) -> Option<Instant> {
        self.mutant.as_ref().and_then(|mutant| mutant.later.next())
    }

    /// What was held back leaves.
    pub(super) fn depart(&mut self, world: &mut World<'_>) {
        while let Some(departure) = self.mutant.as_mut().and_then(|mutant| mutant.later.pop(world.now)) {
            let Departure { slot, route, mut bytes, fate } = departure;
            let whole = 0..bytes.len();
            self.send(slot, route, &mut bytes, whole, fate, world);
        }
    }

    /// False where another UE is an end. `here` is the slot of this end, which plays `own`.
    fn is_of_mutated(&self, own: Role, here: Option<usize>, other: Role, route: &Route) -> bool {
        let Some(mutant) = &self.mutant else { return false };
        match &mutant.fault.whom {
            Whom::Own(ue, _) => {
                let there = self.owners.get(&Address::of(route.to)).map(|owner| owner.slot);
                (own != Role::Ue || here == Some(ue.0)) && (other != Role::Ue || there == Some(ue.0))
            }
            Whom::Outside(_) => other != Role::Ue || mutant.ends.contains(&route.to),
        }
    }

    /// A port of a mutation: [`UNPROTECTED`] stands for the one that this host has outside of SAs.
    fn with_port(&self, address: SocketAddr, port: Option<u16>, own: Option<Role>) -> SocketAddr {
        let Some(port) = port else { return address };
        let ip = address.ip();
        let unprotected = || match own {
            Some(role) => self.unprotected(role, ip),
            None => self.unprotected(Role::Pcscf, ip).or_else(|| self.remote_unprotected(ip)),
        };
        let port = if port == UNPROTECTED { unprotected().unwrap_or(port) } else { port };
        SocketAddr::new(ip, port)
    }

    fn unprotected(&self, role: Role, ip: IpAddr) -> Option<u16> {
        let listeners =
            self.slots.iter().filter(|slot| slot.element.role() == role).flat_map(|s| s.element.listeners());
        let mut sip = listeners.filter(|l| l.protocol == Protocol::Sip && !l.protected && !l.tls);
        sip.find(|listener| listener.address.ip() == ip).map(|listener| listener.address.port())
    }

    /// Of the P-CSCF that our UE knows, or of the UE that our P-CSCF has heard first.
    fn remote_unprotected(&self, ip: IpAddr) -> Option<u16> {
        let mutant = self.mutant.as_ref()?;
        match &mutant.fault.whom {
            Whom::Own(ue, _) => self.element(*ue).as_ue().map(|ue| ue.config().pcscf.port()),
            Whom::Outside(_) => mutant.first.filter(|first| first.ip() == ip).map(|first| first.port()),
        }
    }

    /// Who is at the other end of what one of our elements sends.
    fn receiver(&self, sender: Role, route: &Route, bytes: &[u8]) -> Role {
        let local = self.owners.get(&Address::of(route.to)).map(|owner| owner.slot);
        let local = local.or_else(|| self.connections.client(route.to, route.from));
        match local {
            Some(slot) => self.slots[slot].element.role(),
            None => self.other_end(sender, route.to, bytes, true),
        }
    }

    /// Who is at the other end of what one of our elements receives.
    fn sender(&self, receiver: Role, packet: &Packet<'_>) -> Role {
        match self.connections.owner(packet.from, packet.to) {
            Some(slot) => self.slots[slot].element.role(),
            None => self.other_end(receiver, packet.from, packet.bytes, false),
        }
    }

    /// Whom an element of ours speaks with outside of this process, by what it says or hears.
    fn other_end(&self, own: Role, at: SocketAddr, bytes: &[u8], sends: bool) -> Role {
        let is_ue = || self.mutant.as_ref().is_some_and(|mutant| mutant.ends.contains(&at));
        let is_register = || bytes.starts_with(b"REGISTER ");
        match own {
            Role::Ue => Role::Pcscf,
            Role::Pcscf if is_ue() => Role::Ue,
            Role::Pcscf if is_request(bytes) && !is_register() => Role::Scscf,
            // A REGISTER goes the other way than its answer.
            Role::Pcscf if is_register() == sends => Role::Icscf,
            Role::Pcscf => Role::Ue,
            Role::ApplicationServer => Role::Scscf,
            Role::Icscf | Role::Scscf if !is_sip(bytes) => Role::Hss,
            Role::Icscf if is_request(bytes) == sends => Role::Scscf,
            Role::Scscf if is_register() => Role::Icscf,
            Role::Icscf | Role::Scscf => Role::Pcscf,
            Role::Hss => match Header::read(bytes).map(|header| header.command) {
                Some(UAR | LIR) => Role::Icscf,
                _ => Role::Scscf,
            },
        }
    }
}

fn is_sip(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok()
}

fn is_request(bytes: &[u8]) -> bool {
    Message::parse(bytes).is_ok_and(|message| matches!(message.start(), StartLine::Request { .. }))
}

/// The user part of who registers, if somebody does: it stands in IMPI and IMPU of whoever has a USIM.
fn registering(bytes: &[u8]) -> Option<Box<str>> {
    let message =
        Message::parse(bytes).ok().filter(|message| bytes.starts_with(b"REGISTER ") && message.via().is_ok())?;
    let credentials = message.authorization().ok().flatten().and_then(|digest| digest.username).map(user_part);
    let user = match credentials {
        Some(user) => user,
        None => message.to().ok()?.uri.user?,
    };
    (!user.is_empty()).then(|| user.into())
}

/// The same of a request of Diameter.
fn asked_for(bytes: &[u8]) -> Option<Box<str>> {
    let name = Avps::of(bytes).find(USER_NAME, 0)?;
    let user = std::str::from_utf8(name.data).ok().map(user_part)?;
    Header::read(bytes).filter(|header| header.request).map(|_| user.into())
}

fn user_part(identity: &str) -> &str {
    identity.split_once('@').map_or(identity, |(user, _)| user)
}

/// The ports that a Security-Client names.
fn ports_offered(bytes: &[u8]) -> Vec<u16> {
    let offered = Message::parse(bytes).ok().and_then(|message| message.security(HeaderName::SecurityClient).ok());
    let mechanisms = offered.iter().flat_map(|offered| &offered.0);
    mechanisms.flat_map(|mechanism| [mechanism.port_c, mechanism.port_s]).flatten().collect()
}

/// In `from_port` and `to_port`: the port that this end has outside of SAs, whatever it is.
const UNPROTECTED: u16 = 5060;
const USER_NAME: u32 = 1;
const UAR: u32 = 300;
const LIR: u32 = 302;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_is_the_first_ue() {
        let name = |(name, value): (&str, &str)| (Box::<str>::from(name), Box::<str>::from(value));
        let names =
            [("ue1.user", "001"), ("ue1.impi", "001@h"), ("realm", "h"), ("ue12.user", "012"), ("ue12.impi", "012@h")];
        let mut of = names.map(name);
        led_by(&mut of, "012");
        let led =
            [("ue12.user", "001"), ("ue12.impi", "001@h"), ("realm", "h"), ("ue1.user", "012"), ("ue1.impi", "012@h")];
        assert_eq!(of, led.map(name));
        for same in ["012", "999"] {
            led_by(&mut of, same);
            assert_eq!(of, led.map(name));
        }
    }
}
