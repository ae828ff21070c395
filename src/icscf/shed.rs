//! Overload: what is refused before the HSS is asked.

use super::Icscf;
use super::refusal::Refusal;
use crate::packet::Outbox;
use crate::sip::overload::{Load, begins_anything, begins_registration};
use crate::sip::transaction::ServerId;
use crate::sip::{Message, Method};
use crate::time::Instant;

impl Icscf {
    /// How many requests were shed by 503, and how many dropped unanswered in a flood.
    pub const fn refused_for_overload(&self) -> (u64, u64) {
        self.shedder.refused()
    }

    /// Sheds a request where there is too much to do already. Returns whether it did.
    pub(super) fn sheds(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) -> bool {
        let load = Load { transactions: self.transactions.len(), waiting: self.node.waiting() };
        let limits = *self.shedder.limits();
        if !limits.shed_registrations(load) {
            return false;
        }
        if message.method() != Some(Method::Register) && self.shedder.drops(&mut self.transactions, server, load) {
            return true;
        }
        let shed = match message.method() {
            // Whether it answers a challenge or refreshes, only its S-CSCF knows.
            Some(Method::Register) => begins_registration(message),
            _ => limits.shed_requests(load) && begins_anything(message),
        };
        if shed {
            self.shedder.shed(now, &mut self.transactions, server, message, out);
            self.tell_refused(&Refusal::Overloaded, out);
        }
        shed
    }
}
