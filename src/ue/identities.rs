//! Further identities over the security associations of the first (TS 24.229 clause 5.1.1.2.1: one set serves all
//! identities that a UE registers).

use super::challenge::Credentials;
use super::outgoing::CannotSend;
use super::security::Set;
use super::timers::refresh_after;
use super::{Goal, Registration, State, Ue, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::Outbox;
use crate::time::{Duration, Instant};

/// One further identity.
#[derive(Debug)]
pub(super) struct Other {
    impu: Impu,
    refresh_at: Instant,
}

impl Ue {
    /// Registers a further identity of this user. The first must be registered, and no REGISTER under way.
    pub fn register_identity(&mut self, now: Instant, impu: Impu, out: &mut Outbox) -> Result<(), CannotSend> {
        if self.registration.is_none() || !matches!(self.state, State::Idle) {
            return Err(CannotSend::NotRegistered);
        }
        self.start_other(now, Goal::Registered, impu, out);
        Ok(())
    }

    /// Further identities registered.
    pub fn other_identities(&self) -> impl Iterator<Item = &Impu> {
        self.registration.iter().flat_map(|r| &r.others).map(|other| &other.impu)
    }

    /// Begins an attempt for a further identity, over the set of the registration.
    pub(super) fn start_other(&mut self, now: Instant, goal: Goal, impu: Impu, out: &mut Outbox) {
        let mut attempt = self.attempt(goal, false);
        attempt.other = Some(Box::new(impu));
        self.begin(now, attempt, out);
    }

    /// A 200: the rest of the registration is as `before`.
    pub(super) fn on_other_accepted(
        &mut self,
        now: Instant,
        impu: Impu,
        granted: Duration,
        (set, credentials): (Option<Set>, Option<Credentials>),
        before: Option<Registration>,
        out: &mut Outbox,
    ) {
        let impi = &self.config.impi;
        tell(out, || What::Registered { impi: impi.clone(), impu: impu.clone(), expires: granted });
        if let Some(mut registration) = before {
            registration.others.retain(|other| other.impu != impu);
            registration.others.push(Other { impu, refresh_at: now + refresh_after(granted) });
            self.registration = Some(Registration { set, credentials, ..registration });
        }
        if self.goal == Goal::Deregistered {
            self.deregister(now, out);
        }
    }

    /// An identity is not registered any more, the first is.
    pub(super) fn end_other(&mut self, now: Instant, impu: &Impu, cause: &'static str, out: &mut Outbox) {
        if let Some(registration) = &mut self.registration {
            registration.others.retain(|other| other.impu != *impu);
        }
        let impi = &self.config.impi;
        tell(out, || What::Deregistered { impi: impi.clone(), impu: impu.clone(), cause });
        if self.goal == Goal::Deregistered {
            self.deregister(now, out);
        }
    }

    /// Refreshes an identity when it is time.
    pub(super) fn refresh_other(&mut self, now: Instant, out: &mut Outbox) {
        let others = self.registration.iter().flat_map(|r| &r.others);
        if let Some(impu) = { others }.find(|other| other.refresh_at <= now).map(|other| other.impu.clone()) {
            self.start_other(now, Goal::Registered, impu, out);
        }
    }
}

impl Registration {
    /// The identity that was registered last of those that have to be de-registered for themselves: one of the same
    /// implicit set ends with the first (TS 24.229 clause 5.1.1.6.1).
    pub(super) fn last_other(&self) -> Option<Impu> {
        let impus = self.others.iter().map(|other| &other.impu);
        impus.rev().find(|impu| !self.associated.contains(impu)).cloned()
    }

    /// When the next one is to be refreshed.
    pub(super) fn next_other(&self) -> Option<Instant> {
        self.others.iter().map(|other| other.refresh_at).min()
    }
}
