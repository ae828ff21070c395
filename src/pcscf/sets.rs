//! The books of flows and sets of SAs: their making, change and end (TS 33.203 clause 7.4, TS 24.229 clause 5.2.2).

use super::allocate::Allocator;
use super::flow::{Agreement, Challenged, Flow, FlowKey, Phase, Place, Registration, Set, SetIndex, SetRef};
use super::from_core::Keys;
use super::refusal::Refusal;
use crate::event::{Event, Role, What};
use crate::ipsec::association::{SaSet, SaSetId};
use crate::packet::{Effect, Outbox, Packet};
use crate::random::Random;
use crate::time::{Duration, Instant, Timeouts};
use foldhash::fast::RandomState;
use std::collections::HashMap;
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
    /// From UE address, its port and our port.
    selectors: HashMap<Short, SetIndex, RandomState>,
    /// How many sets a place has, all and established ones.
    places: HashMap<Short, (u16, u16), RandomState>,
    hasher: RandomState,
    /// Who is registered without SAs, by place.
    in_clear: HashMap<Place, FlowKey, RandomState>,
    /// Nonces whose answers must come protected, by hash; false when their SAs could not be set up.
    nonces: HashMap<u64, bool, RandomState>,
    /// Sets that may still fail to be installed.
    pending: HashMap<SaSetId, SetIndex, RandomState>,
    allocator: Allocator,
    timeouts: Timeouts<Due>,
    /// Our addresses.
    addresses: Box<[IpAddr]>,
    settings: Settings,
    last_id: u64,
    service_route: Rc<str>,
}

/// What the books need of the configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) port_s: u16,
    /// 64 * T1 of Gm.
    pub(super) grace: Duration,
    pub(super) many_ues_per_address: bool,
}

/// What a set is made of.
pub(super) struct Opening {
    pub(super) flow: FlowKey,
    pub(super) ue: SocketAddr,
    pub(super) here: IpAddr,
    /// The set over which the REGISTER came.
    pub(super) over: Option<SetRef>,
    pub(super) agreement: Box<Agreement>,
    pub(super) keys: Keys,
    /// Hash of the nonce.
    pub(super) nonce: u64,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    /// The lower half of its id tells whether it is still the same.
    Set {
        index: SetIndex,
        id: u32,
    },
    Flow(FlowKey),
    Nonce(u64),
}

impl Books {
    pub(super) fn new(addresses: Box<[IpAddr]>, allocator: Allocator, settings: Settings) -> Self {
        Self {
            flows: HashMap::default(),
            sets: Vec::new(),
            free: Vec::new(),
            selectors: HashMap::default(),
            places: HashMap::default(),
            hasher: RandomState::default(),
            in_clear: HashMap::default(),
            nonces: HashMap::default(),
            pending: HashMap::default(),
            allocator,
            timeouts: Timeouts::new(),
            addresses,
            settings,
            last_id: 0,
            service_route: "".into(),
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
        self.sets.get(set.index as usize)?.as_ref().filter(|s| s.id == set.id)
    }

    /// Our address of a set.
    pub(super) fn address(&self, set: &Set) -> IpAddr {
        self.addresses[usize::from(set.here)]
    }

    /// True when the UE that sends clear text from `source` has established SAs.
    pub(super) fn has_established(&self, source: SocketAddr) -> bool {
        self.places.get(&self.short(self.place(source))).is_some_and(|&(_, established)| established > 0)
            // Behind a shared address the protected client port gives it away, too.
            || self.at(source, self.settings.port_s).is_some_and(|(_, set)| set.phase.is_established())
    }

    /// True when `target` is a protected port of the UE that sends clear text from `source`.
    pub(super) fn is_protected_port(&self, source: SocketAddr, target: SocketAddr, ports: RangeInclusive<u16>) -> bool {
        let has = |ours| self.at(target, ours).is_some();
        self.places.contains_key(&self.short(self.place(source))) && (has(self.settings.port_s) || { ports }.any(has))
    }

    /// True when somebody is registered without SAs at `source`.
    pub(super) fn is_registered_in_clear(&self, source: SocketAddr) -> bool {
        self.in_clear.contains_key(&self.place(source))
    }

    pub(super) fn is_registered(&self, flow: FlowKey) -> bool {
        !self.registrations(flow).is_empty()
    }

    /// What is registered for a subscriber, one item an implicit set.
    pub(super) fn registrations(&self, flow: FlowKey) -> &[Registration] {
        self.flows.get(&flow).map_or(&[], |f| &f.registrations)
    }

    /// How an answer to this nonce in clear must be refused; `None`: nothing was agreed for it.
    pub(super) fn agreed(&self, nonce: u64) -> Option<Refusal> {
        self.nonces.get(&nonce).map(|&set_up| if set_up { Refusal::AnswerInClear } else { Refusal::SetUpFailed })
    }

    /// Makes the temporary set of a challenge (TS 33.203 clause 7.4.1).
    pub(super) fn open(
        &mut self,
        now: Instant,
        opening: Opening,
        random: &mut Random,
        out: &mut Outbox,
    ) -> Result<SetRef, Refusal> {
        let Opening { flow, ue, here, over, agreement, keys, nonce } = opening;
        let from_clear = over.is_none();
        let clear_port = match over.and_then(|o| self.get(o)) {
            Some(set) => set.clear_port,
            None => ue.port(),
        };
        let place = self.place(SocketAddr::new(ue.ip(), clear_port));
        self.make_room(flow, (ue.ip(), place), over, &agreement, out)?;
        let Agreement { offer, client } = *agreement;
        let address = ue.ip();
        let port_c = self
            .allocator
            .port(|port| !self.selectors.contains_key(&Short::of(&self.hasher, (address, offer.endpoint.port_s, port))))
            .ok_or(Refusal::NoPortLeft)?;
        let (spi_c, spi_s) = self.allocator.spis(random, [offer.endpoint.spi_c, offer.endpoint.spi_s]);
        self.last_id += 1;
        let id = SaSetId(self.last_id);
        let here_index = self.addresses.iter().position(|a| *a == here).unwrap_or_default();
        let set = Set {
            id,
            flow,
            ends: now + REG_AWAIT_AUTH,
            next: None,
            ue_address: address,
            clear_port,
            here: u16::try_from(here_index).expect("a P-CSCF has fewer than 65,536 addresses"),
            ue: offer.endpoint,
            spi_c,
            spi_s,
            port_c,
            algorithms: offer.algorithms,
            phase: Phase::Challenged(Box::new(Challenged { client, nonce, from_clear })),
        };
        let pcscf = set.pcscf(self.settings.port_s);
        out.push(Effect::InstallSa(Box::new(SaSet {
            id,
            ue_address: address,
            pcscf_address: self.addresses[here_index],
            ue: offer.endpoint,
            pcscf,
            algorithms: offer.algorithms,
            ck: keys.ck,
            ik: keys.ik,
            at_ue: false,
        })));
        out.event(|| Event {
            role: Role::Pcscf,
            what: What::SaInstalled {
                set: id,
                ue,
                algorithms: offer.algorithms.to_string(),
                spis: (pcscf.spi_c, pcscf.spi_s),
                ports: (pcscf.port_c, pcscf.port_s),
            },
        });
        let index = self.insert(set);
        self.pending.insert(id, index);
        self.nonces.insert(nonce, true);
        self.timeouts.after(now, REG_AWAIT_AUTH, Due::Set { index, id: low(id) });
        self.timeouts.after(now, REG_AWAIT_AUTH, Due::Nonce(nonce));
        Ok(SetRef { index, id })
    }

    /// A plane could not make a set: its attempt is over, and nothing takes its place.
    pub(super) fn set_up_failed(&mut self, id: SaSetId, out: &mut Outbox) -> bool {
        let Some(index) = self.pending.remove(&id) else { return false };
        if let Some(Set { phase: Phase::Challenged(c), .. }) = &self.sets[index as usize] {
            self.nonces.insert(c.nonce, false);
        }
        self.remove(index, "it could not be set up", out);
        true
    }

    /// The attempt of a temporary set is over: it stays for retransmissions of the answer that says so.
    pub(super) fn fail(&mut self, now: Instant, set: SetRef) {
        let ends = now + self.settings.grace;
        if let Some(this) = self.get_mut(set).filter(|s| matches!(s.phase, Phase::Challenged(_))) {
            this.phase = Phase::Failed;
            self.pending.remove(&set.id);
            self.shorten(set.index, ends);
        }
    }

    /// Something new came over an established set. The first time tells that the UE has it, so the life that its
    /// predecessors still have is cut (TS 33.203 clause 7.4.2.1a).
    pub(super) fn used(&mut self, now: Instant, set: SetRef) {
        let Some(this) = self.get_mut(set) else { return };
        if let Phase::Registered { used: used @ false } = &mut this.phase {
            *used = true;
            let flow = this.flow;
            let ends = now + self.settings.grace;
            self.for_each(flow, |books, index| {
                if books.sets[index as usize].as_ref().is_some_and(|s| matches!(s.phase, Phase::Replaced)) {
                    books.shorten(index, ends);
                }
            });
        }
    }

    /// A 200 came for a REGISTER over `set`: it serves until 30 s after the registration, and not shorter than before.
    pub(super) fn establish(&mut self, now: Instant, set: SetRef, expires: Duration, out: &mut Outbox) {
        let Some(this) = self.get(set) else { return };
        let before = this.ends;
        let mut ends = now + expires + BEYOND_REGISTRATION;
        match &this.phase {
            Phase::Failed => return,
            Phase::Challenged(challenged) => ends = ends.max(self.promote(set, challenged.from_clear, out)),
            Phase::Registered { .. } | Phase::Replaced => ends = ends.max(before),
            Phase::Deregistered => {}
        }
        let this = self.get_mut(set).expect("promotion removes other sets only");
        if matches!(this.phase, Phase::Challenged(_) | Phase::Deregistered) {
            this.phase = Phase::Registered { used: false };
        }
        this.ends = ends;
        if ends < before {
            // A timer for a later end exists only; for an earlier one it finds the new end, see `expire`.
            self.timeouts.at(ends, Due::Set { index: set.index, id: low(set.id) });
        }
        let lifetime = ends - now;
        out.event(|| Event { role: Role::Pcscf, what: What::SaEstablished { set: set.id, lifetime } });
    }

    /// A temporary set begins to serve: what it does to the other sets of its flow. Returns the end of those it replaces.
    fn promote(&mut self, set: SetRef, from_clear: bool, out: &mut Outbox) -> Instant {
        let this = self.get(set).expect("the caller holds it");
        let flow = this.flow;
        let place = self.place(SocketAddr::new(this.ue_address, this.clear_port));
        self.pending.remove(&set.id);
        self.places.entry(self.short(place)).or_default().1 += 1;
        let mut latest = Instant::ZERO;
        self.for_each(flow, |books, index| {
            let Some(other) = books.sets[index as usize].as_mut().filter(|o| o.id != set.id) else { return };
            match other.phase {
                // TS 33.203 clause 7.4.1a: what was negotiated in clear replaces everything.
                _ if from_clear => books.remove(index, "the UE started again", out),
                Phase::Registered { .. } => {
                    other.phase = Phase::Replaced;
                    latest = latest.max(other.ends);
                }
                Phase::Challenged(_) => books.remove(index, "another attempt succeeded", out),
                Phase::Failed | Phase::Replaced | Phase::Deregistered => {}
            }
        });
        latest
    }

    /// Notes an implicit set as registered. `identities`: canonical, the default first, each ended by a line end.
    pub(super) fn register(
        &mut self,
        flow: FlowKey,
        until: Instant,
        identities: String,
        service_route: &str,
        in_clear: Option<SocketAddr>,
    ) {
        if *self.service_route != *service_route {
            self.service_route = service_route.into();
        }
        let new = Registration { until, identities: identities.into(), service_route: Rc::clone(&self.service_route) };
        let place = in_clear.map(|source| self.place(source));
        let this = self.flows.entry(flow).or_default();
        let mut all = std::mem::take(&mut this.registrations).into_vec();
        all.retain(|r| !new.identities.lines().any(|i| r.holds(i)));
        all.reserve_exact(1);
        all.push(new);
        this.registrations = all.into();
        if let Some(place) = place {
            let old = this.in_clear.replace(Box::new(place));
            if let Some(old) = old {
                self.in_clear.remove(&old);
            }
            self.in_clear.insert(place, flow);
            self.timeouts.at(until, Due::Flow(flow));
        }
    }

    /// Notes the end of the implicit set that holds `identity`. With the last one the sets of SAs end, once the
    /// transaction that says so is over.
    pub(super) fn deregister(&mut self, now: Instant, flow: FlowKey, identity: &str) {
        let Some(this) = self.flows.get_mut(&flow) else { return };
        let mut all = std::mem::take(&mut this.registrations).into_vec();
        all.retain(|r| !r.holds(identity));
        this.registrations = all.into();
        if !this.registrations.is_empty() {
            return;
        }
        let ends = now + self.settings.grace;
        self.for_each(flow, |books, index| {
            if let Some(set) = &mut books.sets[index as usize]
                && set.phase.is_established()
            {
                set.phase = Phase::Deregistered;
                books.shorten(index, ends);
            }
        });
        self.tidy(flow);
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
                }
            }
        }
    }

    fn expire(&mut self, now: Instant, index: SetIndex, id: u32, out: &mut Outbox) {
        let Some(set) = self.sets[index as usize].as_ref().filter(|s| low(s.id) == id) else { return };
        if set.ends > now {
            // Extended since: one timer a set is enough.
            self.timeouts.at(set.ends, Due::Set { index, id });
            return;
        }
        let cause = match set.phase {
            Phase::Challenged(_) => "no answer to the challenge within reg-await-auth",
            Phase::Failed => "its attempt failed",
            Phase::Registered { .. } => "the registration has expired",
            Phase::Replaced => "a newer set took its place",
            Phase::Deregistered => "de-registered",
        };
        if let Phase::Registered { .. } = set.phase
            && let Some(flow) = self.flows.get_mut(&set.flow)
        {
            flow.registrations = Box::default();
        }
        self.remove(index, cause, out);
    }

    fn expire_flow(&mut self, now: Instant, flow: FlowKey) {
        let Some(this) = self.flows.get_mut(&flow) else { return };
        if this.newest.is_none() {
            let mut all = std::mem::take(&mut this.registrations).into_vec();
            all.retain(|r| r.until > now);
            let next = all.iter().map(|r| r.until).min();
            this.registrations = all.into();
            if let Some(next) = next {
                self.timeouts.at(next, Due::Flow(flow));
            }
        }
        self.tidy(flow);
    }

    /// Removes what stands in the way of a new set, as far as it may: an unanswered attempt of the same UE, and, for a
    /// UE that starts again in clear, its own old sets with the same numbers. Everything else refuses the offer.
    fn make_room(
        &mut self,
        flow: FlowKey,
        (address, place): (IpAddr, Place),
        over: Option<SetRef>,
        agreement: &Agreement,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let theirs = agreement.offer.endpoint;
        let is_over = |set: &Set| over.is_some_and(|o| o.id == set.id);
        let mut doomed = Vec::new();
        let mut alive = 0;
        let mut oldest_attempt = None;
        let mut oldest_replaced = None;
        let mut next = self.flows.get(&flow).and_then(|f| f.newest);
        while let Some(index) = next {
            let set = self.sets[index as usize].as_ref().expect("the chain holds sets alive");
            next = set.next;
            let spis = [set.ue.spi_c, set.ue.spi_s];
            let same_address = set.ue_address == address;
            let clashes = same_address
                && (spis.contains(&theirs.spi_c) || spis.contains(&theirs.spi_s) || set.ue.port_c == theirs.port_c);
            let temporary = matches!(set.phase, Phase::Challenged(_) | Phase::Failed);
            let here = self.place(SocketAddr::new(set.ue_address, set.clear_port)) == place;
            if is_over(set) && (clashes || temporary) {
                return Err(Refusal::OfferInUse);
            }
            if temporary && here {
                doomed.push((index, "a newer challenge took its place"));
            } else if clashes {
                if over.is_some() {
                    return Err(Refusal::OfferInUse);
                }
                doomed.push((index, "the UE started again"));
            } else {
                alive += 1;
                // The chain begins with the newest: the last seen is the oldest.
                if temporary {
                    oldest_attempt = Some(index);
                } else if matches!(set.phase, Phase::Replaced | Phase::Deregistered) && !is_over(set) {
                    oldest_replaced = Some(index);
                }
            }
        }
        if alive >= MAX_SETS {
            // Somebody else may have asked for a challenge in this name: that must not lock the subscriber out.
            let victim = match over {
                None => oldest_attempt.or(oldest_replaced),
                Some(_) => oldest_attempt,
            };
            let victim = victim.ok_or(Refusal::TooManySets)?;
            doomed.push((victim, "more than three sets"));
        }
        let taken = self.selectors.get(&self.short((address, theirs.port_c, self.settings.port_s)));
        if taken.is_some_and(|index| !doomed.iter().any(|(d, _)| d == index)) {
            return Err(Refusal::OfferInUse);
        }
        for (index, cause) in doomed {
            self.remove(index, cause, out);
        }
        Ok(())
    }

    fn insert(&mut self, mut set: Set) -> SetIndex {
        let index = self.free.pop().unwrap_or_else(|| {
            self.sets.push(None);
            SetIndex::try_from(self.sets.len() - 1).expect("memory ends before 2^32 sets")
        });
        for selector in self.selectors_of(&set) {
            self.selectors.insert(selector, index);
        }
        let place = self.place(SocketAddr::new(set.ue_address, set.clear_port));
        self.places.entry(self.short(place)).or_default().0 += 1;
        let flow = self.flows.entry(set.flow).or_default();
        set.next = flow.newest.replace(index);
        self.sets[index as usize] = Some(set);
        index
    }

    fn remove(&mut self, index: SetIndex, cause: &'static str, out: &mut Outbox) {
        let Some(set) = self.sets[index as usize].take() else { return };
        self.free.push(index);
        for selector in self.selectors_of(&set) {
            self.selectors.remove(&selector);
        }
        self.allocator.release([set.spi_c, set.spi_s]);
        self.pending.remove(&set.id);
        let place = self.short(self.place(SocketAddr::new(set.ue_address, set.clear_port)));
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
        while let Some(set) = at.and_then(|i| self.sets[i as usize].as_mut()) {
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
            && let Some(Flow { in_clear: Some(place), .. }) = self.flows.remove(&flow)
        {
            self.in_clear.remove(&place);
        }
    }

    /// Calls `act` for each set of a flow; `act` may remove that set.
    fn for_each(&mut self, flow: FlowKey, mut act: impl FnMut(&mut Self, SetIndex)) {
        let mut next = self.flows.get(&flow).and_then(|f| f.newest);
        while let Some(index) = next {
            next = self.sets[index as usize].as_ref().and_then(|s| s.next);
            act(self, index);
        }
    }

    fn shorten(&mut self, index: SetIndex, ends: Instant) {
        if let Some(set) = &mut self.sets[index as usize]
            && set.ends > ends
        {
            set.ends = ends;
            let id = low(set.id);
            self.timeouts.at(ends, Due::Set { index, id });
        }
    }

    fn get_mut(&mut self, set: SetRef) -> Option<&mut Set> {
        self.sets.get_mut(set.index as usize)?.as_mut().filter(|s| s.id == set.id)
    }

    fn place(&self, source: SocketAddr) -> Place {
        let port = if self.settings.many_ues_per_address { source.port() } else { 0 };
        Place { address: source.ip(), port }
    }

    /// The set between a port of a UE and one of ours.
    fn at(&self, ue: SocketAddr, ours: u16) -> Option<(SetIndex, &Set)> {
        let index = *self.selectors.get(&self.short((ue.ip(), ue.port(), ours)))?;
        let set = self.sets[index as usize].as_ref()?;
        let ports = [(set.ue.port_c, self.settings.port_s), (set.ue.port_s, set.port_c)];
        (set.ue_address == ue.ip() && ports.contains(&(ue.port(), ours))).then_some((index, set))
    }

    /// From port_uc to port_ps, and from port_us to port_pc.
    fn selectors_of(&self, set: &Set) -> [Short; 2] {
        [(set.ue.port_c, self.settings.port_s), (set.ue.port_s, set.port_c)]
            .map(|(theirs, ours)| self.short((set.ue_address, theirs, ours)))
    }

    fn short(&self, key: impl Hash) -> Short {
        Short::of(&self.hasher, key)
    }
}

/// A hash in place of a key three times as large. What is found by it is compared with what was looked for; two keys
/// with one hash count as a collision of the keys, which is as good as never and does no harm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Short([u32; 2]);

impl Short {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of one number")]
    fn of(hasher: &RandomState, key: impl Hash) -> Self {
        let hash = hasher.hash_one(key);
        Self([hash as u32, (hash >> 32) as u32])
    }
}

const fn low(id: SaSetId) -> u32 {
    (id.0 & 0xffff_ffff) as u32
}

/// TS 24.229 clause 5.2.2.1: lifetime of a temporary set.
pub(super) const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);

/// TS 24.229 clause 5.2.2.1: how much longer SAs live than the registration.
const BEYOND_REGISTRATION: Duration = Duration::from_secs(30);

/// TS 33.203 clause 7.4: six SAs in each direction for one IMPI.
const MAX_SETS: usize = 3;
