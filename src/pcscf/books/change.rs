//! From a temporary set to the one that serves, and what becomes of its predecessors (TS 33.203 clause 7.4).

use super::{Books, Due, low};
use crate::event::{Event, Role, What};
use crate::packet::{Effect, Outbox};
use crate::pcscf::flow::{Phase, SetRef};
use crate::time::{Duration, Instant};

impl Books {
    /// Something new came over an established set. The first time tells that the UE has it, so the life that its
    /// predecessors still have is cut (TS 33.203 clause 7.4).
    pub(in crate::pcscf) fn used(&mut self, now: Instant, set: SetRef) {
        let Some(this) = self.get_mut(set) else { return };
        if let Phase::Registered { used: used @ false } = &mut this.phase {
            *used = true;
            let flow = this.flow;
            let ends = now + self.settings.grace;
            self.for_each(flow, |books, index| {
                if books.sets[index.at()].as_ref().is_some_and(|s| matches!(s.phase, Phase::Replaced)) {
                    books.shorten(index, ends);
                }
            });
        }
    }

    /// A 200 came for a REGISTER over `set`: it serves until 30 s after the registration, and not shorter than before.
    pub(in crate::pcscf) fn establish(&mut self, now: Instant, set: SetRef, expires: Duration, out: &mut Outbox) {
        let Some(this) = self.get(set) else { return };
        let before = this.ends;
        let mut ends = now + expires + BEYOND_REGISTRATION;
        match &this.phase {
            Phase::Failed => return,
            Phase::Challenged => ends = ends.max(self.promote(set, out)),
            Phase::Registered { .. } | Phase::Replaced => ends = ends.max(before),
            Phase::Deregistered => {}
        }
        let this = self.get_mut(set).expect("promotion removes other sets only");
        if matches!(this.phase, Phase::Challenged | Phase::Deregistered) {
            this.phase = Phase::Registered { used: false };
        }
        this.ends = ends;
        if ends < before {
            // A timer for a later end exists only; for an earlier one it finds the new end, see `expire`.
            self.timeouts.at(ends, Due::Set { index: set.index, id: low(set.id) });
        }
        out.push(Effect::ExtendSa { set: set.id, until: ends });
        let lifetime = ends - now;
        out.event(|| Event { role: Role::Pcscf, what: What::SaEstablished { set: set.id, lifetime } });
    }

    /// A 200 came over `set` for a REGISTER that ends a registration: a temporary set has had its answer, and serves what
    /// else is registered for as long as the one before it.
    pub(in crate::pcscf) fn answered(&mut self, set: SetRef, out: &mut Outbox) {
        if self.get(set).is_some_and(|this| matches!(this.phase, Phase::Challenged)) {
            let latest = self.promote(set, out);
            let this = self.get_mut(set).expect("promotion removes other sets only");
            this.phase = Phase::Registered { used: false };
            this.ends = this.ends.max(latest);
            out.push(Effect::ExtendSa { set: set.id, until: this.ends });
        }
    }

    /// A temporary set begins to serve: what it does to the other sets of its flow. Returns the end of those it replaces.
    fn promote(&mut self, set: SetRef, out: &mut Outbox) -> Instant {
        let this = self.get(set).expect("the caller holds it");
        let flow = this.flow;
        let place = self.place_of(this);
        let from_clear = self.challenged.remove(&set.id).is_some_and(|c| c.from_clear);
        self.places.entry(self.short(place)).or_default().1 += 1;
        let mut latest = Instant::ZERO;
        self.for_each(flow, |books, index| {
            let Some(other) = books.sets[index.at()].as_mut().filter(|o| o.id != set.id) else { return };
            match other.phase {
                // TS 33.203 clause 7.4: what was negotiated in clear replaces everything.
                _ if from_clear => books.remove(index, "the UE started again", out),
                Phase::Registered { .. } => {
                    other.phase = Phase::Replaced;
                    latest = latest.max(other.ends);
                }
                Phase::Challenged => books.remove(index, "another attempt succeeded", out),
                Phase::Failed | Phase::Replaced | Phase::Deregistered => {}
            }
        });
        latest
    }
}

/// TS 24.229 clause 5.2.2.1: how much longer SAs live than the registration.
pub(super) const BEYOND_REGISTRATION: Duration = Duration::from_secs(30);
