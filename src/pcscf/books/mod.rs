//! The books of flows and sets of SAs: their making, change and end (TS 33.203 clause 7.4, TS 24.229 clause 5.2.2).

mod change;
mod open;
mod registrations;
mod selectors;

pub(super) use open::Opening;

use super::allocate::Allocator;
use super::flow::{Challenged, Flow, FlowKey, Held, Phase, Place, Registrations, Set, SetIndex, SetRef, Shared, Short};
use crate::event::{Event, Role, What};
use crate::ipsec::association::{Mod, SaSetId};
use crate::packet::{Effect, Outbox, Packet, SaFault, Transport};
use crate::time::{Duration, Instant, Timeouts};
use foldhash::fast::RandomState;
use selectors::{Selector, Selectors};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::Rc;

/// Everything that outlives a transaction.
#[derive(Debug)]
pub(super) struct Books {
    flows: HashMap<FlowKey, Flow, RandomState>,
    sets: Vec<Option<Set>>,
    free: Vec<SetIndex>,
    selectors: Selectors,
    /// The address of the NAT before the UE of each set in tunnel mode.
    nats: HashMap<SaSetId, IpAddr, RandomState>,
    /// How many sets a place has, all and established ones.
    places: HashMap<Short, (u16, u16), RandomState>,
    hasher: RandomState,
    /// Who is registered without SAs, by place.
    in_clear: HashMap<Place, FlowKey, RandomState>,
    /// Nonces whose answers must come protected, by hash.
    nonces: HashSet<Short, RandomState>,
    /// What is awaited over the sets that are [`Phase::Challenged`]. These may still fail to be installed.
    challenged: HashMap<SaSetId, Challenged, RandomState>,
    /// 401s whose set was never made, and why: the UE must hear something else.
    unheard: Vec<(Held, SaFault)>,
    allocator: Allocator,
    timeouts: Timeouts<Due>,
    /// Our addresses.
    addresses: Box<[IpAddr]>,
    settings: Settings,
    last_id: u64,
    /// Of the newest registration: most others have the same.
    shared: Rc<Shared>,
}

/// What the books need of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) port_s: u16,
    /// 64 * T1 of Gm.
    pub(super) grace: Duration,
    pub(super) many_ues_per_address: bool,
}

/// One of these is kept for every subscriber: 12 octets.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The lower half of its id tells whether it is still the same.
    Set {
        index: SetIndex,
        id: u32,
    },
    Flow(FlowKey),
    Nonce(Short),
}

impl Books {
    pub(super) fn new(addresses: Box<[IpAddr]>, allocator: Allocator, settings: Settings) -> Self {
        Self {
            flows: HashMap::default(),
            sets: Vec::new(),
            free: Vec::new(),
            selectors: Selectors::new(settings.port_s),
            nats: HashMap::default(),
            places: HashMap::default(),
            hasher: RandomState::default(),
            in_clear: HashMap::default(),
            nonces: HashSet::default(),
            challenged: HashMap::default(),
            unheard: Vec::new(),
            allocator,
            timeouts: Timeouts::new(),
            addresses,
            settings,
            last_id: 0,
            shared: Rc::default(),
        }
    }

    /// The set that carried a packet: the plane says so by its id, and the addresses agree.
    pub(super) fn carrier(&self, packet: &Packet<'_>) -> Option<SetRef> {
        let sa = packet.sa?;
        let (index, set) = self.at(packet.from, packet.to.port())?;
        let fits = set.id == sa.set && self.address(set) == packet.to.ip();
        fits.then_some(SetRef { index, id: set.id })
    }

    pub(super) fn get(&self, set: SetRef) -> Option<&Set> {
        self.sets.get(set.index.at())?.as_ref().filter(|s| s.id == set.id)
    }

    /// What the answer to the challenge of a set is compared with; `None` when none is awaited.
    pub(super) fn challenged(&self, set: &Set) -> Option<&Challenged> {
        self.challenged.get(&set.id)
    }

    /// How many challenges are not answered.
    pub(super) fn challenge_count(&self) -> usize {
        self.challenged.len()
    }

    /// Our address of a set.
    pub(super) fn address(&self, set: &Set) -> IpAddr {
        self.addresses[usize::from(set.here)]
    }

    /// The address of the NAT before the UE of a set in tunnel mode.
    pub(super) fn outside(&self, set: &Set) -> Option<IpAddr> {
        if set.mode == Mod::Trans { None } else { self.nats.get(&set.id).copied() }
    }

    /// True when the UE that sends clear text from `source` has established SAs.
    pub(super) fn has_established(&self, source: SocketAddr) -> bool {
        let has = |place| self.places.get(&self.short(place)).is_some_and(|&(_, established)| established > 0);
        has(self.place(source))
            || !self.nats.is_empty() && has(Place::behind_nat(source.ip(), source.port()))
            // Behind a shared address the protected client port gives it away, too.
            || self.at(source, self.settings.port_s).is_some_and(|(_, set)| set.phase.is_established())
    }

    /// True when `target` is a protected port of the UE that sends clear text from `source`.
    pub(super) fn is_protected_port(&self, source: SocketAddr, target: SocketAddr, ports: RangeInclusive<u16>) -> bool {
        let has = |ours| self.at(target, ours).is_some();
        self.places.contains_key(&self.short(self.place(source))) && (has(self.settings.port_s) || { ports }.any(has))
    }

    /// Who is registered without SAs at `source`.
    pub(super) fn registered_in_clear(&self, source: SocketAddr, transport: Transport) -> Option<FlowKey> {
        self.in_clear.get(&self.place_on(source, transport)).copied()
    }

    /// True when an answer to this nonce must come over SAs.
    pub(super) fn is_agreed(&self, nonce: Short) -> bool {
        self.nonces.contains(&nonce)
    }

    /// 401s whose set was never made, and why.
    pub(super) fn unheard(&mut self) -> Vec<(Held, SaFault)> {
        std::mem::take(&mut self.unheard)
    }

    /// All sets alive.
    pub(super) fn sets(&self) -> impl Iterator<Item = &Set> {
        self.sets.iter().flatten()
    }

    /// How many sets are alive.
    pub(super) fn set_count(&self) -> usize {
        self.sets.len() - self.free.len()
    }

    /// How many subscribers are known, registered or being challenged.
    pub(super) fn flow_count(&self) -> usize {
        self.flows.len()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(due) = self.timeouts.pop(now) {
            match due {
                Due::Set { index, id } => self.expire(now, index, id, out),
                Due::Flow(flow) => self.expire_flow(now, flow),
                Due::Nonce(nonce) => {
                    self.nonces.remove(&nonce);
                    if self.nonces.is_empty() && self.nonces.capacity() > KEPT_ENTRIES {
                        self.nonces.shrink_to_fit();
                    }
                    give_back(&mut self.challenged);
                }
            }
        }
    }

    fn expire(&mut self, now: Instant, index: SetIndex, id: u32, out: &mut Outbox) {
        let Some(set) = self.sets[index.at()].as_ref().filter(|s| low(s.id) == id) else { return };
        if set.ends > now {
            // Extended since: one timer a set is enough.
            self.timeouts.at(set.ends, Due::Set { index, id });
            return;
        }
        let cause = match set.phase {
            Phase::Challenged if self.challenged.get(&set.id).is_some_and(|c| c.held.is_some()) => {
                "the plane has not answered in time"
            }
            Phase::Challenged => "no answer to the challenge within reg-await-auth",
            Phase::Failed => "its attempt failed",
            Phase::Registered { .. } => "the registration has expired",
            Phase::Replaced => "a newer set took its place",
            Phase::Deregistered => "de-registered",
        };
        if let Phase::Registered { .. } = set.phase
            && let Some(flow) = self.flows.get_mut(&set.flow)
        {
            flow.registrations = Registrations::None;
        }
        self.remove(index, cause, out);
    }

    fn insert(&mut self, mut set: Set) -> SetIndex {
        let index = self.free.pop().unwrap_or_else(|| {
            self.sets.push(None);
            SetIndex::new(self.sets.len() - 1)
        });
        let place = self.place_of(&set);
        self.places.entry(self.short(place)).or_default().0 += 1;
        let flow = self.flows.entry(set.flow).or_default();
        set.next = flow.newest.replace(index);
        self.sets[index.at()] = Some(set);
        self.selectors.insert(&self.sets, index);
        index
    }

    fn remove(&mut self, index: SetIndex, cause: &'static str, out: &mut Outbox) {
        if self.sets[index.at()].is_some() {
            self.selectors.remove(&self.sets, index);
        }
        let Some(set) = self.sets[index.at()].take() else { return };
        self.free.push(index);
        self.allocator.release([set.spi_c, set.spi_s]);
        if let Some(Challenged { held: Some(held), .. }) = self.challenged.remove(&set.id) {
            self.unheard.push((held, SaFault::TooSlow));
        }
        let place = self.short(self.place_of(&set));
        if set.mode == Mod::UdpEncTun {
            self.nats.remove(&set.id);
            give_back(&mut self.nats);
        }
        if let Some((all, established)) = self.places.get_mut(&place) {
            *all -= 1;
            *established -= u16::from(set.phase.is_established());
            if *all == 0 {
                self.places.remove(&place);
            }
        }
        self.unlink(set.flow, index, set.next);
        out.push(Effect::RemoveSa(set.id));
        out.event(|| Event { role: Role::Pcscf, what: What::SaRemoved { set: set.id, cause } });
        self.tidy(set.flow);
    }

    fn unlink(&mut self, flow: FlowKey, index: SetIndex, next: Option<SetIndex>) {
        let Some(flow) = self.flows.get_mut(&flow) else { return };
        if flow.newest == Some(index) {
            flow.newest = next;
            return;
        }
        let mut at = flow.newest;
        while let Some(set) = at.and_then(|i| self.sets[i.at()].as_mut()) {
            if set.next == Some(index) {
                set.next = next;
                return;
            }
            at = set.next;
        }
    }

    /// Forgets a flow that has neither sets nor registrations.
    fn tidy(&mut self, flow: FlowKey) {
        if self.flows.get(&flow).is_some_and(|f| f.newest.is_none() && f.registrations.is_empty())
            && let Some(Flow { in_clear: Some(in_clear), .. }) = self.flows.remove(&flow)
        {
            self.in_clear.remove(&in_clear.place);
        }
    }

    /// Calls `act` for each set of a flow; `act` may remove that set.
    fn for_each(&mut self, flow: FlowKey, mut act: impl FnMut(&mut Self, SetIndex)) {
        let mut next = self.flows.get(&flow).and_then(|f| f.newest);
        while let Some(index) = next {
            next = self.sets[index.at()].as_ref().and_then(|s| s.next);
            act(self, index);
        }
    }

    fn shorten(&mut self, index: SetIndex, ends: Instant) {
        if let Some(set) = &mut self.sets[index.at()]
            && set.ends > ends
        {
            set.ends = ends;
            let id = low(set.id);
            self.timeouts.at(ends, Due::Set { index, id });
        }
    }

    fn get_mut(&mut self, set: SetRef) -> Option<&mut Set> {
        self.sets.get_mut(set.index.at())?.as_mut().filter(|s| s.id == set.id)
    }

    fn place(&self, source: SocketAddr) -> Place {
        let port = if self.settings.many_ues_per_address { source.port() } else { 0 };
        Place { address: source.ip(), port, over_tls: false }
    }

    /// Where clear text of the UE of a set comes from.
    fn place_of(&self, set: &Set) -> Place {
        match self.outside(set) {
            Some(nat) => Place::behind_nat(nat, set.clear_port),
            None => self.place(SocketAddr::new(set.ue_address, set.clear_port)),
        }
    }

    fn place_on(&self, source: SocketAddr, transport: Transport) -> Place {
        match transport {
            Transport::Tls => Place { address: source.ip(), port: source.port(), over_tls: true },
            _ => self.place(source),
        }
    }

    /// The set between a port of a UE and one of ours.
    fn at(&self, ue: SocketAddr, ours: u16) -> Option<(SetIndex, &Set)> {
        let selector = Selector { ue: ue.ip(), theirs: ue.port(), ours };
        let index = self.selectors.find(&self.sets, selector)?;
        Some((index, self.sets[index.at()].as_ref()?))
    }

    fn short(&self, key: impl Hash) -> Short {
        Short::new(self.hasher.hash_one(key))
    }
}

/// A wave of registrations must not keep its memory for ever.
fn give_back<K: Eq + Hash, V>(map: &mut HashMap<K, V, RandomState>) {
    if map.is_empty() && map.capacity() > KEPT_ENTRIES {
        map.shrink_to_fit();
    }
}

const fn low(id: SaSetId) -> u32 {
    (id.0 & 0xffff_ffff) as u32
}

/// Entries that an empty map may keep room for.
const KEPT_ENTRIES: usize = 4_096;
