//! Overload: what is refused before the HSS is asked, and before anything is remembered.

use super::Scscf;
use super::refusal::Refusal;
use super::register::Register;
use crate::packet::Outbox;
use crate::sip::Message;
use crate::sip::overload::{Load, begins_anything};
use crate::sip::transaction::ServerId;
use crate::time::Instant;

impl Scscf {
    /// How many requests were shed by 503, and how many dropped unanswered in a flood.
    pub const fn refused_for_overload(&self) -> (u64, u64) {
        self.shedder.refused()
    }

    /// True for a REGISTER that would begin what there is no room for. Answers to challenges that we sent are known by
    /// their attempt or nonce, whatever a stranger writes there.
    pub(super) fn must_shed(&self, now: Instant, register: &Register<'_, '_>, in_attempt: bool) -> bool {
        let (load, limits) = (self.load(), self.shedder.limits());
        if in_attempt || !limits.shed_registrations(load) {
            return false;
        }
        let is_answer = register.nonce().is_some_and(|nonce| self.nonces.find(now, nonce, &register.impu).is_some());
        !is_answer && (register.registration.is_none() || limits.shed_requests(load))
    }

    /// Sheds a request other than REGISTER where there is far too much to do already. Returns whether it did.
    pub(super) fn sheds(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) -> bool {
        let load = self.load();
        if !self.shedder.limits().shed_requests(load) {
            return false;
        }
        if self.shedder.drops(&mut self.transactions, server, load) {
            return true;
        }
        let shed = begins_anything(message);
        if shed {
            self.shed(now, server, message, out);
        }
        shed
    }

    /// Refuses for overload.
    pub(super) fn shed(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) {
        self.shedder.shed(now, &mut self.transactions, server, message, out);
        self.tell_refused(&Refusal::Overloaded, out);
    }

    pub(super) fn load(&self) -> Load {
        Load { transactions: self.transactions.len(), waiting: self.attempts.len() }
    }
}
