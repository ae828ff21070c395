//! Overload: what is refused before anything is done for it.

use super::Pcscf;
use super::flow::{Phase, SetRef};
use super::refusal::Refusal;
use crate::packet::Outbox;
use crate::sip::overload::{Load, begins_anything, begins_registration};
use crate::sip::transaction::ServerId;
use crate::sip::{Message, Method};
use crate::time::Instant;

impl Pcscf {
    /// How many requests were shed by 503, and how many dropped unanswered in a flood.
    pub const fn refused_for_overload(&self) -> (u64, u64) {
        self.to_ue.refused()
    }

    /// Sheds a request of either side where there is too much to do already. Returns whether it did.
    pub(super) fn sheds(
        &mut self,
        now: Instant,
        message: &Message<'_>,
        server: ServerId,
        over: Option<SetRef>,
        out: &mut Outbox,
    ) -> bool {
        let core = self.core.len();
        let load = Load { transactions: self.to_ue.len() + core, waiting: core + self.books.challenge_count() };
        let limits = self.to_ue.limits();
        if !limits.shed_registrations(load) {
            return false;
        }
        if message.method() != Some(Method::Register) && self.to_ue.drops(server, load) {
            return true;
        }
        let shed = match message.method() {
            Some(Method::Register) if over.is_none() => begins_registration(message),
            // An answer to a challenge is never shed, a refresh after all new registrations.
            Some(Method::Register) => {
                let is_answer = over.and_then(|o| self.books.get(o)).is_some_and(|s| s.phase == Phase::Challenged);
                !is_answer && limits.shed_requests(load)
            }
            _ => limits.shed_requests(load) && begins_anything(message),
        };
        if shed {
            self.to_ue.shed(now, server, message, out);
            super::refuse::tell(&Refusal::Overloaded, out);
        }
        shed
    }
}
