//! What a network does to packets: latency, loss, duplication, disorder, outages.

use crate::event::Role;
use crate::random::Random;
use crate::time::{Duration, Instant};

/// A link between two elements, the same in both directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// The time of every packet.
    pub latency: Duration,
    /// Up to this much more, drawn for each datagram: later ones overtake.
    pub jitter: Duration,
    /// Datagrams lost, of a thousand. A stream repeats a lost segment by itself and is late.
    pub loss: u32,
    /// Datagrams that arrive twice, of a thousand.
    pub duplication: u32,
}

impl Link {
    /// One millisecond, no faults.
    pub const CLEAN: Self = Self { latency: Duration::from_millis(1), jitter: Duration::ZERO, loss: 0, duplication: 0 };

    /// When the copies of a datagram sent now arrive, counted from now.
    pub(super) fn datagram(&self, random: &mut Random) -> impl Iterator<Item = Duration> + use<> {
        let lost = hits(self.loss, random);
        let twice = hits(self.duplication, random);
        let first = (!lost).then(|| self.passage(random));
        let second = (!lost && twice).then(|| self.passage(random));
        first.into_iter().chain(second)
    }

    /// When a segment sent now arrives, its repetitions included.
    pub(super) fn segment(&self, random: &mut Random) -> Duration {
        let mut at = self.latency;
        let mut repeat_after = SEGMENT_REPEAT;
        while hits(self.loss, random) && repeat_after < LONGEST_SEGMENT_REPEAT {
            at += repeat_after;
            repeat_after *= 2;
        }
        at
    }

    fn passage(&self, random: &mut Random) -> Duration {
        let jitter = u32::try_from(self.jitter.as_micros()).unwrap_or(u32::MAX);
        let extra = if jitter == 0 { 0 } else { random.below(jitter) };
        self.latency + Duration::from_micros(extra.into())
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::CLEAN
    }
}

fn hits(of_thousand: u32, random: &mut Random) -> bool {
    of_thousand > 0 && random.below(1_000) < of_thousand
}

/// The time in which nothing reaches an element or leaves it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outage {
    /// Whose links are down.
    pub role: Role,
    /// From this moment on.
    pub from: Instant,
    /// Until this one.
    pub until: Instant,
}

/// Every link of a world.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Links {
    /// Where nothing else is said.
    pub default: Link,
    /// Between two roles, in either order.
    pub between: Vec<(Role, Role, Link)>,
    /// When what is down.
    pub outages: Vec<Outage>,
}

impl Links {
    /// The link between two roles.
    pub fn link(&self, a: Role, b: Role) -> Link {
        let found = self.between.iter().find(|(x, y, _)| (*x, *y) == (a, b) || (*x, *y) == (b, a));
        found.map_or(self.default, |(_, _, link)| *link)
    }

    /// The end of the outage that cuts these two apart at `now`.
    pub fn down_until(&self, a: Role, b: Role, now: Instant) -> Option<Instant> {
        let cuts =
            |outage: &&Outage| (outage.role == a || outage.role == b) && outage.from <= now && now < outage.until;
        self.outages.iter().filter(cuts).map(|outage| outage.until).max()
    }
}

/// RFC 6298 clause 2.4 allows no less than a second; stacks use this.
const SEGMENT_REPEAT: Duration = Duration::from_millis(200);
const LONGEST_SEGMENT_REPEAT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_duplication_come_near_their_rates() {
        let link = Link { loss: 200, duplication: 100, jitter: Duration::from_millis(5), ..Link::CLEAN };
        let mut random = Random::seeded(11);
        let (mut none, mut two) = (0, 0);
        for _ in 0..10_000 {
            let arrivals: Vec<Duration> = link.datagram(&mut random).collect();
            assert!(arrivals.iter().all(|at| *at >= link.latency && *at < link.latency + link.jitter));
            none += u32::from(arrivals.is_empty());
            two += u32::from(arrivals.len() == 2);
        }
        assert!((1_900..2_100).contains(&none), "{none}");
        assert!((700..900).contains(&two), "{two}");
    }

    #[test]
    fn a_stream_is_late_and_never_loses() {
        let link = Link { loss: 500, ..Link::CLEAN };
        let mut random = Random::seeded(11);
        let arrivals: Vec<Duration> = (0..1_000).map(|_| link.segment(&mut random)).collect();
        assert!(arrivals.contains(&link.latency) && arrivals.contains(&(link.latency + 3 * SEGMENT_REPEAT)));
        assert_eq!(Link::CLEAN.segment(&mut random), Link::CLEAN.latency);
    }

    #[test]
    fn an_outage_cuts_one_element_off() {
        let (from, until) = (Instant::from_secs(5), Instant::from_secs(8));
        let links = Links { outages: vec![Outage { role: Role::Hss, from, until }], ..Links::default() };
        assert_eq!(links.down_until(Role::Icscf, Role::Hss, from), Some(until));
        assert_eq!(links.down_until(Role::Hss, Role::Scscf, Instant::from_secs(7)), Some(until));
        assert_eq!(links.down_until(Role::Icscf, Role::Hss, until), None);
        assert_eq!(links.down_until(Role::Icscf, Role::Scscf, from), None);
    }
}
