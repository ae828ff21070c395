//! The same packet, captured more than once: on several interfaces, on its way into a tunnel and out of it.
//!
//! A packet is known by its addresses, protocol, identification and payload. Seen from another place within a short
//! time, or from the same place at once, it is a copy. From the same place later it was sent again.

use crate::time::{Duration, Instant};
use crate::trace::recent::Recent;

/// What was seen of late.
#[derive(Debug)]
pub(super) struct Copies {
    seen: Recent<u64, Seen>,
}

/// A packet, and the places it was seen from.
#[derive(Debug)]
struct Seen {
    first: Instant,
    from: Vec<(u64, Instant)>,
}

impl Copies {
    pub(super) fn new() -> Self {
        Self { seen: Recent::new(MOST) }
    }

    /// Notes a packet. True if it was seen before and not sent again since.
    pub(super) fn is_copy(&mut self, packet: u64, vantage: u64, at: Option<Instant>) -> bool {
        // Without times the place alone tells.
        let now = at.unwrap_or_default();
        let Some(seen) = self.seen.get_mut(&packet) else {
            self.seen.insert(packet, Seen { first: now, from: vec![(vantage, now)] });
            return false;
        };
        let is_copy = match seen.from.iter_mut().find(|(other, _)| *other == vantage) {
            Some((_, last)) => {
                let since = distance(now, *last);
                *last = now;
                at.is_some() && since <= AT_ONCE
            }
            None => {
                seen.from.push((vantage, now));
                distance(now, seen.first) <= ELSEWHERE && seen.from.len() <= MOST_PLACES
            }
        };
        if !is_copy {
            (seen.first, seen.from) = (now, vec![(vantage, now)]);
        }
        is_copy
    }
}

/// Captures of several interfaces are not always in order.
fn distance(a: Instant, b: Instant) -> Duration {
    a.saturating_since(b).max(b.saturating_since(a))
}

/// On one interface, in one encapsulation: a mirror that sees a packet come and go.
const AT_ONCE: Duration = Duration::from_millis(3);
/// On the way through tunnels. Below T1 of SIP (500 ms), after which a sender may repeat itself.
const ELSEWHERE: Duration = Duration::from_millis(400);
const MOST: usize = 32_768;
const MOST_PLACES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Option<Instant> {
        Some(Instant::from_millis(millis))
    }

    #[test]
    fn twice_in_gtp_and_then_plain_is_one_packet() {
        let mut copies = Copies::new();
        let seen = [(1, 0), (2, 1), (3, 2), (1, 500), (2, 501), (3, 502)].map(|(v, t)| copies.is_copy(9, v, at(t)));
        assert_eq!(seen, [false, true, true, false, true, true]);
    }

    #[test]
    fn sent_again_is_no_copy() {
        let mut copies = Copies::new();
        let seen = [0, 2, 10, 510].map(|t| copies.is_copy(9, 1, at(t)));
        assert_eq!(seen, [false, true, false, false]);
        assert!(!copies.is_copy(8, 1, at(510)));
        // Much later elsewhere.
        assert!(!copies.is_copy(8, 2, at(1_000)));
        // Out of order.
        assert!(copies.is_copy(8, 1, at(990)));
    }

    #[test]
    fn without_times_only_another_place_makes_a_copy() {
        let mut copies = Copies::new();
        let seen = [1, 1, 2].map(|vantage| copies.is_copy(9, vantage, None));
        assert_eq!(seen, [false, false, true]);
    }
}
