//! What comes due: retransmissions, the next attempt, refresh, expiry, ends of sets.

use super::attempt::Securing;
use super::{Goal, RetryPolicy, State, Ue, remove};
use crate::event::What;
use crate::packet::{Outbox, SaFault};
use crate::random::Random;
use crate::time::{Duration, Instant};

impl Ue {
    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        let retry = match &self.state {
            State::Waiting(waiting) => Some(waiting.retry_at),
            State::Securing(securing) => Some(securing.patience_ends),
            _ => None,
        };
        // While a REGISTER is under way its answer decides, not the clock of the old registration.
        let registration = self.registration.as_ref().filter(|_| !self.is_busy());
        let idle = matches!(self.state, State::Idle);
        let refresh = registration.and_then(|r| r.refresh_at).filter(|_| idle);
        let expiry = registration.map(|r| r.expires_at);
        let sets = self.retiring.iter().map(|set| set.ends_at).min();
        let calls = self.next_call_timeout();
        let keep_alive = self.keep_alive.as_ref().map(|k| k.due());
        let watching = self.next_watching_timeout();
        let refresh = refresh.into_iter().chain(registration.filter(|_| idle).and_then(|r| r.next_other())).min();
        let beside = self.beside().filter_map(Self::next_timeout).min();
        let all = [self.transactions.next_timeout(), retry, refresh, expiry, sets, calls, keep_alive, watching, beside];
        all.into_iter().flatten().min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.compare_flows();
        self.beside_mut().for_each(|other| other.handle_timeout(now, out));
        let mut ended = Vec::new();
        self.transactions.handle_timeout(now, out, &mut ended);
        self.on_ended(now, ended, out);
        self.handle_call_timeout(now, out);
        self.handle_keep_alive_timeout(now, out);
        self.handle_watching_timeout(now, out);
        self.retiring.retain(|set| {
            let lives = set.ends_at > now;
            if !lives {
                remove(out, set.id, "replaced, and its last transaction is over");
            }
            lives
        });
        if let State::Securing(Securing { temporary, patience_ends, .. }) = &self.state
            && *patience_ends <= now
        {
            let set = temporary.id;
            return self.on_set_up_failed(now, set, SaFault::TooSlow, out);
        }
        if self.is_busy() {
            return;
        }
        if self.registration.as_ref().is_some_and(|r| r.expires_at <= now) {
            self.expire(out);
        }
        let registration = self.registration.as_ref();
        match &self.state {
            State::Waiting(waiting) if waiting.retry_at <= now => {
                let afresh = waiting.afresh;
                match self.goal {
                    Goal::Registered => self.start(now, Goal::Registered, afresh, out),
                    Goal::Deregistered if registration.is_some() => self.start(now, Goal::Deregistered, false, out),
                    Goal::Deregistered => self.state = State::Idle,
                }
            }
            State::Idle if registration.and_then(|r| r.refresh_at).is_some_and(|at| at <= now) => {
                if self.config.emergency && self.calls() == 0 {
                    // Only an emergency call prolongs it (TS 24.229 clause 5.1.6.4).
                    self.registration.iter_mut().for_each(|r| r.refresh_at = None);
                    return;
                }
                self.start(now, Goal::Registered, false, out);
            }
            State::Idle => self.refresh_other(now, out),
            _ => {}
        }
    }

    /// The registration ran out; its set goes at its own time.
    fn expire(&mut self, out: &mut Outbox) {
        let Some(registration) = self.registration.take() else { return };
        let impu = registration.associated.first().unwrap_or(&self.config.impu).clone();
        self.retiring.extend(registration.set);
        self.drop_calls("the registration has expired", out);
        let impi = self.config.impi.clone();
        super::tell(out, || What::Deregistered { impi, impu, cause: "expired" });
    }
}

/// When to refresh: 600 s before expiry if more than 1,200 s were granted, else at half (TS 24.229 clause 5.1.1.4.1).
pub(super) fn refresh_after(granted: Duration) -> Duration {
    if granted > Duration::from_secs(1_200) { granted - Duration::from_secs(600) } else { granted / 2 }
}

/// RFC 5626 clause 4.5: the upper bound doubles with each failure; half of it is certain, half is chance.
pub(super) fn back_off(policy: &RetryPolicy, failures: u32, random: &mut Random) -> Duration {
    let factor = 1_u32.checked_shl(failures.min(31)).unwrap_or(u32::MAX);
    let upper = policy.base.saturating_mul(factor).min(policy.max);
    let half = u32::try_from((upper / 2).as_millis()).unwrap_or(u32::MAX - 1);
    Duration::from_millis(u64::from(half) + u64::from(random.below(half + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refreshed_as_ts_24_229_says() {
        let secs = Duration::from_secs;
        assert_eq!(refresh_after(secs(600_000)), secs(599_400));
        assert_eq!(refresh_after(secs(1_201)), secs(601));
        assert_eq!(refresh_after(secs(1_200)), secs(600));
        assert_eq!(refresh_after(secs(60)), secs(30));
    }

    #[test]
    fn waits_grow_to_the_maximum_and_differ() {
        let policy = RetryPolicy { base: Duration::from_secs(30), max: Duration::from_secs(1_800), attempts: None };
        let mut random = Random::seeded(5);
        for (failures, low, high) in [(1, 30, 60), (2, 60, 120), (5, 480, 960), (6, 900, 1_800), (40, 900, 1_800)] {
            let waits: Vec<Duration> = (0..50).map(|_| back_off(&policy, failures, &mut random)).collect();
            assert!(waits.iter().all(|w| (low..=high).contains(&w.as_secs())), "{failures}: {waits:?}");
            assert!(waits.iter().any(|w| *w != waits[0]));
        }
    }
}
