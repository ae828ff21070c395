//! Identifiers that a node gives out: end-to-end ids, hop-by-hop ids of base messages, Session-Ids.

use crate::decimal::Decimal;
use crate::random::Random;
use crate::time::{Epoch, Instant};

/// Counters, started at a moment.
#[derive(Debug)]
pub(super) struct Identifiers {
    /// Seconds since 1970 at the start: Origin-State-Id, the high part of Session-Ids.
    pub(super) started: u32,
    end_to_end: u32,
    base: u32,
    session: u64,
    /// Session-Id up to its low part: it changes once in 2^32.
    session_prefix: String,
}

impl Identifiers {
    /// RFC 6733 clause 3: the high 12 bits of the first end-to-end id are the low 12 bits of the time, the rest is random.
    pub(super) fn new(host: &str, epoch: Epoch, now: Instant, random: &mut Random) -> Self {
        let started = epoch.unix_secs(now) as u32;
        let end_to_end = started << 20 | random.below(1 << 20);
        let session_prefix = session_prefix(host, started, 0);
        Self { started, end_to_end, base: 0, session: 0, session_prefix }
    }

    /// The id of one request of ours.
    pub(super) const fn end_to_end(&mut self) -> u32 {
        self.end_to_end = self.end_to_end.wrapping_add(1);
        self.end_to_end
    }

    /// A hop-by-hop id for CER, DWR or DPR: outside of what [`super::pending::Pending`] gives out.
    pub(super) const fn base_hop_by_hop(&mut self) -> u32 {
        self.base = self.base.wrapping_add(1);
        BASE_MESSAGES | self.base & !BASE_MESSAGES
    }

    /// Appends a fresh Session-Id (RFC 6733 clause 8.8).
    pub(super) fn write_session_id(&mut self, host: &str, out: &mut String) {
        self.session += 1;
        let low = self.session as u32;
        if low == 0 {
            self.session_prefix = session_prefix(host, self.started, self.session >> 32);
        }
        out.push_str(&self.session_prefix);
        out.push_str(Decimal::new(low).as_str());
    }
}

/// The high part moves on when the low one has been used up `turns` times.
fn session_prefix(host: &str, started: u32, turns: u64) -> String {
    format!("{host};{};", u64::from(started) + turns)
}

/// The twelve high bits of a hop-by-hop id that no generation reaches.
pub(super) const BASE_MESSAGES: u32 = 0xfff0_0000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formed_as_rfc_6733_says() {
        let mut ids = Identifiers::new(
            "scscf.example",
            Epoch::from_unix_secs(1_767_225_600),
            Instant::ZERO,
            &mut Random::seeded(1),
        );
        let first = ids.end_to_end();
        assert_eq!(first >> 20, 1_767_225_600 & 0xfff);
        assert_eq!(ids.end_to_end(), first.wrapping_add(1));
        let mut session = String::new();
        ids.write_session_id("scscf.example", &mut session);
        ids.session = u64::from(u32::MAX);
        session.push(' ');
        ids.write_session_id("scscf.example", &mut session);
        assert_eq!(session, "scscf.example;1767225600;1 scscf.example;1767225601;0");
    }
}
