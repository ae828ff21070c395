//! What ends by itself: bindings, and challenges without answer (TS 24.229 clauses 5.4.1.2.1, 5.4.1.4 and 7.8).

use super::attempt::State;
use super::binding::Binding;
use super::table::Id;
use super::{Due, Scscf};
use crate::cx::ServerAssignmentType;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::time::Instant;

impl Scscf {
    /// reg-await-auth is over: the authentication has failed, an earlier registration is untouched.
    pub(super) fn on_reg_await_auth(&mut self, now: Instant, attempt: Id, out: &mut Outbox) {
        if !matches!(self.attempts.state(attempt), Some(State::Challenged(c)) if c.until <= now) {
            return;
        }
        let Some(attempt) = self.attempts.remove(attempt) else { return };
        self.tell(out, || What::AuthenticationFailed {
            impi: attempt.impi().into(),
            cause: "no answer within reg-await-auth",
        });
        let assignment = ServerAssignmentType::AuthenticationTimeout;
        self.end_assignment(now, attempt.impi(), attempt.impu(), assignment, attempt.hss, out);
    }

    /// A binding may have ended; with the last one the registration ends.
    pub(super) fn on_expiry(&mut self, now: Instant, id: Id, out: &mut Outbox) {
        self.registrar.timer_over(id);
        self.end_what_is_over(now, id, "expired", out);
    }

    /// A binding is of no use any more.
    pub(super) fn end_binding(&mut self, now: Instant, id: Id, contact: &str, cause: &'static str, out: &mut Outbox) {
        let mut bindings = self.registrar.take_bindings(id);
        for binding in &mut bindings {
            if binding.contact(&self.registrar.compact) == contact {
                binding.shorten(now);
            }
        }
        // What has ended needs no timer: it is taken away at once.
        let _ = self.registrar.bind(id, bindings);
        self.registrar.timer_over(id);
        self.end_what_is_over(now, id, cause, out);
    }

    fn end_what_is_over(&mut self, now: Instant, id: Id, cause: &'static str, out: &mut Outbox) {
        let mut bindings = self.registrar.take_bindings(id);
        let gone: Vec<Binding> = bindings.extract_if(.., |b| b.expires_at <= now).collect();
        if !bindings.is_empty() {
            if let Some(deadline) = self.registrar.bind(id, bindings) {
                self.timeouts.at(deadline, Due::Expiry(id));
            }
            let is_usual = |b: &Binding| !b.is_emergency();
            match (gone.iter().any(is_usual), self.registrar.bindings(id).iter().any(is_usual)) {
                (false, _) => {}
                (true, true) => self.notify_changed(now, id, &gone, ContactEvent::Expired, out),
                // What is left is for emergency calls.
                (true, false) => {
                    self.tell_deregistered(id, cause, out);
                    self.announce_deregistered(now, id, None, out);
                    self.end_watching(now, id, &gone, ContactEvent::Expired, out);
                }
            }
            self.expire_subscriptions(now, id, out);
            return;
        }
        let was_announced = gone.iter().any(|b| !b.is_emergency());
        let hss = self.registrar.hss_of(id);
        let Some(registration) = self.registrar.get(id) else { return };
        let (impi, impu) = (self.registrar.impi(registration), self.registrar.default_impu(registration));
        let assignment = match self.config.store_server_name {
            true => ServerAssignmentType::TimeoutDeregistrationStoreServerName,
            false => ServerAssignmentType::TimeoutDeregistration,
        };
        self.end_assignment(now, &impi, &impu, assignment, hss, out);
        self.tell_deregistered(id, cause, out);
        if was_announced {
            self.announce_deregistered(now, id, None, out);
        }
        self.end_registration(now, id, gone, ContactEvent::Expired, out);
    }

    /// A registration has ended, or all of it but what is for emergency calls.
    pub(super) fn tell_deregistered(&self, id: Id, cause: &'static str, out: &mut Outbox) {
        self.tell(out, || {
            let registration = self.registrar.get(id);
            What::Deregistered {
                impi: registration.map_or_else(String::new, |r| self.registrar.impi(r)).into(),
                impu: registration.map_or_else(String::new, |r| self.registrar.default_impu(r)).into(),
                cause,
            }
        });
    }
}
