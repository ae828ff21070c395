//! The times between messages, and the timers that explain them (RFC 3261 table 4, TS 24.229 clauses 5.1.1.4 and 7.8).

use super::attempt::{Attempt, Kind, Outcome};
use super::message::Message;
use super::registration::Registration;
use crate::sip::{HeaderName, Method};
use crate::time::Duration;
use std::fmt;

/// How long a message has waited, and for which timer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Wait<'r> {
    /// The message since which the time counts.
    pub since: Message<'r>,
    /// The time.
    pub elapsed: Duration,
    /// What explains it.
    pub timer: Timer,
}

/// A timer, or a time that a header told to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// A retransmission, the `nth`, of timer A, E or G: T1, doubled up to T2.
    Retransmission {
        /// Of the sender, from what it waited.
        t1: Duration,
        /// From 1.
        nth: u32,
    },
    /// Timer B or F: a request without a final answer ended after 64*T1.
    Transaction {
        /// Of the sender.
        t1: Duration,
    },
    /// reg-await-auth: a challenge waits four minutes for its answer.
    RegAwaitAuth,
    /// Half of an expiry of 1200 s or less.
    HalfLife {
        /// What was granted.
        granted: Duration,
    },
    /// 600 s before an expiry above 1200 s.
    BeforeExpiry {
        /// What was granted.
        granted: Duration,
    },
    /// Retry-After.
    RetryAfter(Duration),
    /// Min-Expires of a 423: asked for again with a longer expiry.
    MinExpires(u32),
}

impl fmt::Display for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |duration: &Duration| duration.as_secs_f64();
        match self {
            Self::Retransmission { t1, nth } => write!(f, "retransmission {nth} with T1 {} s", secs(t1)),
            Self::Transaction { t1 } => write!(f, "64*T1 with T1 {} s", secs(t1)),
            Self::RegAwaitAuth => f.write_str("reg-await-auth"),
            Self::HalfLife { granted } => write!(f, "half of {} s", secs(granted)),
            Self::BeforeExpiry { granted } => write!(f, "600 s before {} s are over", secs(granted)),
            Self::RetryAfter(after) => write!(f, "Retry-After {} s", secs(after)),
            Self::MinExpires(least) => write!(f, "Min-Expires {least}"),
        }
    }
}

impl<'r> Message<'r> {
    /// The timer that explains when it was sent, where one does.
    pub fn wait(self) -> Option<Wait<'r>> {
        let wait = |since: Message<'r>, timer| Some(Wait { since, elapsed: self.since(since)?, timer });
        if self.repeats().is_some() {
            return self.retransmission();
        }
        if self.status() == Some(408) || self.status() == Some(504) {
            let since = self.exchange()?.request()?;
            let t1 = transaction_t1(self.since(since)?)?;
            return wait(since, Timer::Transaction { t1 });
        }
        if !self.is(Method::Register) || self.exchange()?.journey().request() != Some(self) {
            return None;
        }
        let attempt =
            self.of.attempts().find(|attempt| attempt.journeys().any(|journey| journey.request() == Some(self)))?;
        if attempt.request() == Some(self) {
            return self.begins(attempt);
        }
        let challenge = attempt.challenges().filter(|challenge| challenge.index() < self.index()).last()?;
        let waited = self.since(challenge)?;
        if waited >= REG_AWAIT_AUTH { wait(challenge, Timer::RegAwaitAuth) } else { None }
    }

    /// A REGISTER that begins an attempt: what the one before it was told.
    fn begins(self, attempt: Attempt<'r>) -> Option<Wait<'r>> {
        let wait = |since: Message<'r>, timer| Some(Wait { since, elapsed: self.since(since)?, timer });
        let before = attempt.previous()?;
        if before.outcome() == Outcome::Unanswered {
            let since = before.latest().request()?;
            let t1 = transaction_t1(self.since(since)?)?;
            return wait(since, Timer::Transaction { t1 });
        }
        let end = before.latest().last()?;
        let header = |name| end.sip().and_then(|sip| sip.header(name));
        if let Some(after) = header(HeaderName::RetryAfter).and_then(leading_number) {
            return wait(end, Timer::RetryAfter(Duration::from_secs(after)));
        }
        if let Some(least) =
            header(HeaderName::MinExpires).and_then(leading_number).filter(|_| end.status() == Some(423))
        {
            return wait(end, Timer::MinExpires(u32::try_from(least).unwrap_or(u32::MAX)));
        }
        if attempt.kind() != Kind::Refresh {
            return None;
        }
        let granted_by = self.of.granted_before(self)?;
        let (end, granted) = (granted_by.end()?, granted_by.granted()?);
        let elapsed = self.since(end)?;
        let half = granted <= HALF_UP_TO;
        let due = if half { granted / 2 } else { granted - BEFORE_EXPIRY };
        let timer = if half { Timer::HalfLife { granted } } else { Timer::BeforeExpiry { granted } };
        if is_about(elapsed, due, due / 20) { wait(end, timer) } else { None }
    }

    fn retransmission(self) -> Option<Wait<'r>> {
        let same: Vec<Message<'r>> =
            self.exchange()?.messages().filter(|other| *other == self || other.says_as(self)).collect();
        let place = same.iter().position(|other| *other == self)?;
        let since = *same.get(place.checked_sub(1)?)?;
        let elapsed = self.since(since)?;
        let nth = u32::try_from(place).ok()?;
        let expected = |(t1, t2): (Duration, Duration)| (t1 * 2_u32.saturating_pow(nth - 1)).min(t2);
        let (t1, _) = TIMERS.into_iter().find(|timers| is_about(elapsed, expected(*timers), expected(*timers) / 5))?;
        Some(Wait { since, elapsed, timer: Timer::Retransmission { t1, nth } })
    }

    fn says_as(self, other: Self) -> bool {
        self.repeats() == other.repeats() && self.repeats().is_some() || other.repeats() == Some(self)
    }
}

impl<'r> Registration<'r> {
    /// The waits that timers explain, in order.
    pub fn waits(&'r self) -> impl Iterator<Item = (Message<'r>, Wait<'r>)> {
        self.messages().filter_map(|message| Some((message, message.wait()?)))
    }
}

/// T1 of a transaction that ended after this time.
fn transaction_t1(elapsed: Duration) -> Option<Duration> {
    let found = TIMERS.into_iter().find(|(t1, _)| is_about(elapsed, *t1 * 64, *t1 * 2));
    found.map(|(t1, _)| t1)
}

fn is_about(elapsed: Duration, expected: Duration, tolerance: Duration) -> bool {
    elapsed.abs_diff(expected) <= tolerance
}

fn leading_number(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[..digits].parse().ok()
}

/// T1 and T2 of RFC 3261 and of TS 24.229 table 7.7.1.
const TIMERS: [(Duration, Duration); 2] =
    [(Duration::from_millis(500), Duration::from_secs(4)), (Duration::from_secs(2), Duration::from_secs(16))];
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
const HALF_UP_TO: Duration = Duration::from_secs(1_200);
const BEFORE_EXPIRY: Duration = Duration::from_secs(600);
