//! Who is registered, by what identities, until when.

use super::change::BEYOND_REGISTRATION;
use super::{Books, Due};
use crate::event::{Event, Role, What};
use crate::packet::{Effect, Outbox, Route, Transport};
use crate::pcscf::flow::{
    Alike, Flow, FlowKey, InClear, Phase, Registration, Registrations, Set, SetRef, Shared, Short, Stated,
};
use crate::time::{Duration, Instant};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

impl Books {
    pub(in crate::pcscf) fn is_registered(&self, flow: FlowKey) -> bool {
        !self.registrations(flow).is_empty()
    }

    /// What is registered for a subscriber, one item an implicit set.
    pub(in crate::pcscf) fn registrations(&self, flow: FlowKey) -> &[Registration] {
        self.flows.get(&flow).map_or(&[], |f| &f.registrations)
    }

    /// The set for requests to a UE: the newest that the UE is known to have. A set that is new at the P-CSCF waits for
    /// the UE's first message, unless the life of its predecessor is about to end (TS 33.203 clause 7.4).
    pub(in crate::pcscf) fn towards(&self, now: Instant, flow: FlowKey) -> Option<&Set> {
        let mut next = self.flows.get(&flow)?.newest;
        let mut unused = None;
        while let Some(set) = next.and_then(|index| self.sets[index.at()].as_ref()) {
            match set.phase {
                Phase::Registered { used: true } => return Some(set),
                Phase::Registered { used: false } => unused = unused.or(Some(set)),
                Phase::Replaced if unused.is_some() && set.ends > now + self.settings.grace => return Some(set),
                _ => {}
            }
            next = set.next;
        }
        unused
    }

    /// The way to a UE that is registered without SAs.
    pub(in crate::pcscf) fn way_in_clear(&self, flow: FlowKey) -> Option<Route> {
        self.flows.get(&flow)?.in_clear.as_ref().map(|in_clear| in_clear.route)
    }

    /// Where the UE of a subscriber is, as its Contact names it: behind a NAT that is the NAT (TS 24.229 clause
    /// F.2.1.2.2).
    pub(in crate::pcscf) fn ue_address(&self, flow: FlowKey) -> Option<IpAddr> {
        let this = self.flows.get(&flow)?;
        let newest = || {
            let set = self.sets[this.newest?.at()].as_ref()?;
            Some(self.outside(set).unwrap_or(set.ue_address))
        };
        this.in_clear.as_ref().map(|in_clear| in_clear.source.ip()).or_else(newest)
    }

    /// True when the subscriber has registered from this address and port without SAs, and nobody since.
    pub(in crate::pcscf) fn is_associated(&self, source: SocketAddr, flow: FlowKey) -> bool {
        let in_clear = self.flows.get(&flow).and_then(|f| f.in_clear.as_ref());
        in_clear
            .is_some_and(|c| c.source == source && self.registered_in_clear(source, c.route.transport) == Some(flow))
    }

    /// The way from `source` is gone. False: it led to nobody.
    pub(in crate::pcscf) fn lose_way(&mut self, source: SocketAddr, transport: Transport) -> bool {
        let place = self.place_on(source, transport);
        let Some(flow) = self.in_clear.remove(&place) else { return false };
        if let Some(flow) = self.flows.get_mut(&flow) {
            flow.in_clear = None;
        }
        true
    }

    /// True for the likeness of the REGISTER over `set` that was granted last.
    pub(in crate::pcscf) fn is_refresh(&self, set: SetRef, likeness: Short) -> bool {
        let flow = self.get(set).and_then(|set| self.flows.get(&set.flow));
        flow.and_then(Flow::last).is_some_and(|last| last.request == likeness)
    }

    /// A 200 that is like the one before, to a REGISTER that is, too: it prolongs what is registered. Returns what it
    /// grants.
    pub(in crate::pcscf) fn prolong(
        &mut self,
        now: Instant,
        flow: FlowKey,
        request: Short,
        answer: Short,
    ) -> Option<Duration> {
        let Registrations::One(known) = &mut self.flows.get_mut(&flow)?.registrations else { return None };
        let last = known.last.filter(|last| last.request == request && last.answer == answer)?;
        let granted = Duration::from_secs(last.granted.get().into());
        known.until = now + granted;
        Some(granted)
    }

    /// What a refresh of the only registration of a flow would be like.
    pub(in crate::pcscf) fn remember(&mut self, flow: FlowKey, last: Option<Alike>) {
        if let Some(Flow { registrations: Registrations::One(known), .. }) = self.flows.get_mut(&flow) {
            known.last = last;
        }
    }

    /// Notes an implicit set as registered.
    pub(in crate::pcscf) fn register(
        &mut self,
        flow: FlowKey,
        until: Instant,
        stated: Stated<'_>,
        in_clear: Option<(SocketAddr, Route)>,
    ) {
        self.shared = Shared::of(stated, &self.shared);
        let in_clear =
            in_clear.map(|(source, route)| InClear { place: self.place_on(source, route.transport), source, route });
        let this = self.flows.entry(flow).or_default();
        let new = || Registration::new(until, stated, Rc::clone(&self.shared));
        match &mut this.registrations {
            Registrations::None => this.registrations = Registrations::One(new()),
            Registrations::One(known) if known.is_of(stated, &self.shared) => known.until = until,
            all => {
                let mut all = std::mem::take(all).into_vec();
                all.retain(|r| !stated.identities.lines().any(|i| r.holds(i)));
                all.push(new());
                this.registrations = all.into();
            }
        }
        if let Some(in_clear) = in_clear {
            let place = in_clear.place;
            let old = this.in_clear.replace(Box::new(in_clear));
            if let Some(old) = old {
                self.in_clear.remove(&old.place);
            }
            self.in_clear.insert(place, flow);
            self.timeouts.at(until, Due::Flow(flow));
        }
    }

    /// Notes the end of the implicit set that holds `identity`. With the last one the sets of SAs end, once the
    /// transaction that says so is over.
    pub(in crate::pcscf) fn deregister(&mut self, now: Instant, flow: FlowKey, identity: &str) {
        let Some(this) = self.flows.get_mut(&flow) else { return };
        let mut all = std::mem::take(&mut this.registrations).into_vec();
        all.retain(|r| !r.holds(identity));
        this.registrations = all.into();
        if !this.registrations.is_empty() {
            return;
        }
        let ends = now + self.settings.grace;
        self.for_each(flow, |books, index| {
            if let Some(set) = &mut books.sets[index.at()]
                && set.phase.is_established()
            {
                set.phase = Phase::Deregistered;
                books.shorten(index, ends);
            }
        });
        self.tidy(flow);
    }

    /// The network has brought the end of what is registered nearer: the sets that serve end with it, and 30 s, too.
    pub(in crate::pcscf) fn shorten_registration(
        &mut self,
        now: Instant,
        flow: FlowKey,
        until: Instant,
        out: &mut Outbox,
    ) {
        let Some(this) = self.flows.get_mut(&flow) else { return };
        let mut all = std::mem::take(&mut this.registrations).into_vec();
        all.iter_mut().for_each(|r| r.until = r.until.min(until));
        this.registrations = all.into();
        let in_clear = this.in_clear.is_some();
        if in_clear {
            self.timeouts.at(until, Due::Flow(flow));
        }
        let ends = until + BEYOND_REGISTRATION;
        let mut shortened = Vec::new();
        self.for_each(flow, |books, index| {
            let Some(set) = books.sets[index.at()].as_ref().filter(|set| set.ends > ends) else { return };
            if set.phase.is_established() {
                shortened.push(set.id);
                books.shorten(index, ends);
            }
        });
        for set in shortened {
            out.push(Effect::ExtendSa { set, until: ends });
            let lifetime = ends.saturating_since(now);
            out.event(|| Event { role: Role::Pcscf, what: What::SaEstablished { set, lifetime } });
        }
    }

    pub(super) fn expire_flow(&mut self, now: Instant, flow: FlowKey) {
        let Some(this) = self.flows.get_mut(&flow) else { return };
        let mut all = std::mem::take(&mut this.registrations).into_vec();
        all.retain(|r| r.until > now);
        let next = all.iter().map(|r| r.until).min();
        this.registrations = all.into();
        if let Some(next) = next {
            self.timeouts.at(next, Due::Flow(flow));
        }
        self.tidy(flow);
    }
}
