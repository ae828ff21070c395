//! The operator: de-registration and re-authentication (TS 24.229 clauses 5.4.1.5 and 5.4.1.6).

use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::scscf::Scscf;
use crate::scscf::binding::Binding;
use crate::scscf::registrar::canonical;
use crate::scscf::table::Id;
use crate::time::{Duration, Instant};

/// What a UE is told that the operator de-registers (RFC 3680 clause 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Termination {
    /// Do not come back.
    Rejected,
    /// Register again at once.
    Deactivated,
    /// Register again after a while.
    Probation,
}

impl Scscf {
    /// Ends the registrations of an identity, and tells watchers, application servers and the HSS. Returns how many sets
    /// have ended. Bindings for emergency calls are left alone.
    pub fn deregister_by_operator(
        &mut self,
        now: Instant,
        impu: &str,
        termination: Termination,
        out: &mut Outbox,
    ) -> usize {
        let event = match termination {
            Termination::Rejected => ContactEvent::Rejected,
            Termination::Deactivated => ContactEvent::Deactivated,
            Termination::Probation => ContactEvent::Probation,
        };
        let mut ended = 0;
        for id in self.registrar.serving(&canonical(impu.to_owned())) {
            ended += usize::from(self.deregister_by_network(now, id, event, "the operator asked for it", out));
        }
        ended
    }

    /// Brings the end of the bindings of an identity as near as `within`: the UE registers again in time and is
    /// challenged. Returns how many sets are to be authenticated. Bindings for emergency calls are left alone.
    pub fn reauthenticate(&mut self, now: Instant, impu: &str, within: Duration, out: &mut Outbox) -> usize {
        let mut asked = 0;
        for id in self.registrar.serving(&canonical(impu.to_owned())) {
            self.registrar.challenge_next(id);
            let mut bindings = self.registrar.take_bindings(id);
            let shorten = |b: &mut Binding| !b.is_emergency() && b.shorten(now + within);
            let shortened = bindings.iter_mut().map(shorten).filter(|shortened| *shortened).count();
            self.rebind(id, bindings);
            if shortened > 0 {
                self.notify_changed(now, id, &[], ContactEvent::Shortened, out);
            }
            asked += 1;
        }
        asked
    }

    /// Puts bindings back that were taken out.
    pub(super) fn rebind(&mut self, id: Id, bindings: Vec<Binding>) {
        if let Some(deadline) = self.registrar.bind(id, bindings) {
            self.timeouts.at(deadline, crate::scscf::Due::Expiry(id));
        }
    }
}
