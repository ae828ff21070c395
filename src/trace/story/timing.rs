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
        let attempt = self.exchange()?.journey().attempt()?;
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

#[cfg(test)]
mod tests {
    use super::Timer;
    use crate::time::Duration;
    use crate::trace::story::Registration;
    use crate::trace::story::testing::{Line, answer, down, groups, request, up};

    const SECOND: u64 = 1_000;

    fn timers(lines: Vec<Line>) -> Vec<(u64, String)> {
        let groups = groups(lines);
        let registration = Registration::of(&groups[0]);
        registration.waits().map(|(message, wait)| (message.number, wait.timer.to_string())).collect()
    }

    fn register(cseq: u32, headers: &str) -> String {
        request("REGISTER", cseq, &format!("z9hG4bK{cseq}"), headers)
    }

    fn answered(status: u16, cseq: u32, headers: &str) -> String {
        answer(status, "REGISTER", cseq, &format!("z9hG4bK{cseq}"), headers)
    }

    #[test]
    fn repetitions_double_up_to_t2_and_end_with_timer_f() {
        let times = [0, 2, 6, 14, 30, 46];
        let mut lines: Vec<Line> = times.iter().map(|at| up(at * SECOND, register(1, ""))).collect();
        lines.push(up(128 * SECOND, register(2, "")));
        let found = timers(lines);
        let expected = [1, 2, 3, 4, 5].map(|nth| (nth + 1, format!("retransmission {nth} with T1 2 s")));
        assert_eq!(found[..5], expected);
        assert_eq!(found[5..], [(7, "64*T1 with T1 2 s".to_owned())]);
    }

    #[test]
    fn what_a_refusal_tells_to_wait_for() {
        let found = timers(vec![
            up(0, register(1, "")),
            down(10, answered(503, 1, "Retry-After: 30 (busy)\r\n")),
            up(31 * SECOND, register(2, "")),
            down(32 * SECOND, answered(423, 2, "Min-Expires: 600\r\n")),
            up(33 * SECOND, register(3, "")),
        ]);
        assert_eq!(found, [(3, "Retry-After 30 s".to_owned()), (5, "Min-Expires 600".to_owned())]);
    }

    #[test]
    fn refreshes_come_at_half_or_600_seconds_before() {
        let credentials = "Authorization: Digest username=\"u@h\",nonce=\"n\",response=\"00\"\r\n";
        for (granted, at, expected) in [
            (1_200, 600, Some(Timer::HalfLife { granted: Duration::from_secs(1_200) })),
            (3_600, 3_000, Some(Timer::BeforeExpiry { granted: Duration::from_secs(3_600) })),
            (3_600, 1_800, None),
        ] {
            let contact = format!("Contact: <sip:u@10.0.0.7>;expires={granted}\r\n");
            let groups = groups(vec![
                up(0, register(1, credentials)),
                down(0, answered(200, 1, &contact)),
                up(at * SECOND, register(2, credentials)),
            ]);
            let registration = Registration::of(&groups[0]);
            assert_eq!(registration.message(3).unwrap().wait().map(|wait| wait.timer), expected, "{granted} {at}");
        }
    }

    #[test]
    fn a_late_answer_meets_reg_await_auth() {
        let credentials = "Authorization: Digest username=\"u@h\",nonce=\"n\",response=\"00\"\r\n";
        let challenge = "WWW-Authenticate: Digest realm=\"h\",nonce=\"n\"\r\n";
        let found = timers(vec![
            up(0, register(1, "")),
            down(0, answered(401, 1, challenge)),
            up(250 * SECOND, register(2, credentials)),
        ]);
        assert_eq!(found, [(3, "reg-await-auth".to_owned())]);
    }
}
