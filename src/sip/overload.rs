//! What an element takes on, and what it sheds beyond that: new registrations first, by 503 with a Retry-After that is
//! spread, never BYE, ACK or CANCEL, nor the answer to a challenge that was sent.

use super::emit::reason_phrase;
use super::transaction::{ServerId, Transactions, copy_vias};
use super::{HeaderName, Message, Method, Writer};
use crate::packet::Outbox;
use crate::random::Random;
use crate::time::{Duration, Instant};
use foldhash::quality::FixedState;
use std::hash::BuildHasher;

/// How much an element takes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// SIP transactions alive. At this number new registrations are shed; at twice this number whatever begins anything;
    /// at four times this number nothing is taken on at all, be it a BYE.
    pub transactions: usize,
    /// Registrations begun: requests that wait for the HSS, and challenges that wait for an answer.
    pub waiting: usize,
    /// How long a request waits for the HSS at most (field lesson 88).
    pub longest_wait: Duration,
    /// Retry-After: drawn from half of it to one and a half of it, so that those who were shed do not come back as one.
    pub retry_after: Duration,
}

/// What an element carries at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// As [`Limits::transactions`].
    pub transactions: usize,
    /// As [`Limits::waiting`].
    pub waiting: usize,
}

impl Limits {
    /// True when no new registration is taken on.
    pub const fn shed_registrations(&self, load: Load) -> bool {
        load.transactions >= self.transactions || load.waiting >= self.waiting
    }

    /// True when nothing is taken on that begins anything.
    pub const fn shed_requests(&self, load: Load) -> bool {
        load.transactions / 2 >= self.transactions
    }

    /// True when there is no room even for what is never shed: it is dropped unanswered, so that its sender repeats it.
    pub const fn is_flooded(&self, load: Load) -> bool {
        load.transactions / 4 >= self.transactions
    }

    /// Seconds until the sender may try again.
    pub fn retry_after(&self, random: &mut Random) -> u32 {
        let seconds = u32::try_from(self.retry_after.as_secs()).unwrap_or(u32::MAX / 2).max(1);
        (seconds / 2).saturating_add(random.below(seconds.saturating_add(1))).max(1)
    }
}

impl Default for Limits {
    /// A million transactions are about one gigabyte.
    fn default() -> Self {
        Self {
            transactions: 1_000_000,
            waiting: 200_000,
            longest_wait: Duration::from_secs(8),
            retry_after: Duration::from_secs(30),
        }
    }
}

/// Sheds a request: 503, and nothing is remembered of it.
#[derive(Clone, Debug)]
pub struct Shedder {
    limits: Limits,
    hasher: FixedState,
    /// Requests that were shed, and those that were dropped.
    refused: (u64, u64),
}

impl Shedder {
    /// One that sheds beyond `limits`; `seed` keeps its tags unpredictable from outside.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self { limits, hasher: FixedState::with_seed(seed), refused: (0, 0) }
    }

    /// Beyond what it sheds.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many requests were shed, and how many dropped because of a flood.
    pub const fn refused(&self) -> (u64, u64) {
        self.refused
    }

    /// Drops a request where the element is flooded ([`Limits::is_flooded`]): nothing is said, and nothing is kept. True
    /// when it is dropped.
    pub fn drops<C>(&mut self, transactions: &mut Transactions<C>, server: ServerId, load: Load) -> bool {
        let drops = self.limits.is_flooded(load);
        if drops {
            self.refused.1 += 1;
            transactions.forget_unanswered(server);
        }
        drops
    }

    /// Answers without keeping a transaction: what is shed must cost no memory. A copy of the request gets the same
    /// answer all the same, as RFC 3261 clause 8.2.7 asks of a server without state.
    pub fn shed<C>(
        &mut self,
        now: Instant,
        transactions: &mut Transactions<C>,
        server: ServerId,
        request: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Some(source) = transactions.source(server) else { return };
        self.refused.0 += 1;
        let same = (request.call_id().ok(), request.cseq().ok().map(|cseq| cseq.number));
        let mut random = Random::seeded(self.hasher.hash_one(same));
        transactions.respond_once(now, server, STATUS, out, |bytes| {
            let mut w = Writer::response(bytes, STATUS, reason_phrase(STATUS));
            copy_vias(request, source, &mut w);
            for line in request.lines() {
                match line.name {
                    HeaderName::To if request.to().is_ok_and(|to| to.tag().is_none()) => {
                        w.header_parts(HeaderName::To, &[line.value, ";tag=", random.token::<10>().as_str()]);
                    }
                    HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq => {
                        w.copy(&line);
                    }
                    _ => {}
                }
            }
            w.header_number(HeaderName::RetryAfter, self.limits.retry_after(&mut random).into());
            w.finish(b"");
        });
    }
}

/// Service Unavailable (RFC 3261 clause 21.5.4).
pub const STATUS: u16 = 503;

/// True for what begins a registration: a REGISTER that answers no challenge and came over no security association.
pub fn begins_registration(request: &Message<'_>) -> bool {
    let credentials = request.authorization().ok().flatten();
    credentials.is_none_or(|c| {
        c.nonce.is_none_or(str::is_empty) && c.integrity_protected.is_none_or(|v| !v.eq_ignore_ascii_case("yes"))
    })
}

/// True for what begins a dialog or a transaction of its own. What ends one, or belongs to a dialog, is never shed.
pub fn begins_anything(request: &Message<'_>) -> bool {
    let is_end = matches!(request.method(), Some(Method::Ack | Method::Bye | Method::Cancel | Method::Prack));
    let in_dialog = request.to().is_ok_and(|to| to.tag().is_some());
    !is_end && !in_dialog
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, lines: &str) -> String {
        format!(
            "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nCall-ID: c\r\n\
             CSeq: 1 {method}\r\nMax-Forwards: 70\r\n{lines}Content-Length: 0\r\n\r\n"
        )
    }

    fn is(test: fn(&Message<'_>) -> bool, method: &str, lines: &str) -> bool {
        test(&Message::parse(request(method, lines).as_bytes()).expect("a message"))
    }

    #[test]
    fn an_answer_to_a_challenge_begins_no_registration() {
        let first = "To: <sip:a@b>\r\nAuthorization: Digest username=\"a@b\",nonce=\"\",response=\"\"\r\n";
        assert!(is(begins_registration, "REGISTER", first));
        assert!(is(begins_registration, "REGISTER", "To: <sip:a@b>\r\n"));
        for answer in ["nonce=\"n\",response=\"r\"", "nonce=\"n\",response=\"\"", "integrity-protected=\"yes\""] {
            let line = format!("To: <sip:a@b>\r\nAuthorization: Digest username=\"a@b\",{answer}\r\n");
            assert!(!is(begins_registration, "REGISTER", &line), "{answer}");
        }
    }

    #[test]
    fn what_belongs_to_a_dialog_begins_nothing() {
        for method in ["INVITE", "MESSAGE", "SUBSCRIBE", "REGISTER"] {
            assert!(is(begins_anything, method, "To: <sip:a@b>\r\n"), "{method}");
        }
        for method in ["INVITE", "NOTIFY", "BYE"] {
            assert!(!is(begins_anything, method, "To: <sip:a@b>;tag=2\r\n"), "{method}");
        }
        for method in ["BYE", "CANCEL", "PRACK"] {
            assert!(!is(begins_anything, method, "To: <sip:a@b>\r\n"), "{method}");
        }
    }

    #[test]
    fn retry_after_is_spread_around_its_mean() {
        let limits = Limits { retry_after: Duration::from_secs(40), ..Limits::default() };
        let mut random = Random::seeded(5);
        let drawn: Vec<u32> = (0..1_000).map(|_| limits.retry_after(&mut random)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&20), Some(&60)));
        let mean = drawn.iter().sum::<u32>() / 1_000;
        assert!((38..=42).contains(&mean), "{mean}");
        let shortest = Limits { retry_after: Duration::from_millis(1), ..limits };
        assert!((1..=2).contains(&shortest.retry_after(&mut random)));
    }

    #[test]
    fn registrations_are_shed_first() {
        let limits = Limits { transactions: 10, waiting: 3, ..Limits::default() };
        let shed = |transactions, waiting| {
            let load = Load { transactions, waiting };
            (limits.shed_registrations(load), limits.shed_requests(load))
        };
        assert_eq!([shed(9, 2), shed(9, 3), shed(10, 0)], [(false, false), (true, false), (true, false)]);
        assert_eq!([shed(19, 0), shed(20, 0)], [(true, false), (true, true)]);
        let flooded = |transactions| limits.is_flooded(Load { transactions, waiting: 0 });
        assert_eq!([flooded(39), flooded(40)], [false, true]);
    }
}
