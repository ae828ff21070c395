//! Time as protocol code sees it: an argument, never a clock.
//!
//! [`Instant`] counts microseconds since the run began, so that a live run, a simulation and a replayed
//! capture use the same type. [`Epoch`] ties it to the calendar where a message carries a date.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
pub use std::time::Duration;

/// A point in time: microseconds since the run began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The start of the run.
    pub const ZERO: Self = Self(0);

    /// The instant `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000)
    }

    /// The instant `secs` seconds after the start.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, rhs: Duration) -> Self {
        let micros = rhs.as_secs().saturating_mul(1_000_000).saturating_add(rhs.subsec_micros().into());
        Self(self.0.saturating_add(micros))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, rhs: Self) -> Duration {
        self.saturating_since(rhs)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}s")
    }
}

/// The calendar time of [`Instant::ZERO`], in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epoch {
    unix_micros: u64,
}

impl Epoch {
    /// 2026-01-01T00:00:00Z: the epoch of every simulation, so that same seed means same bytes.
    pub const SIMULATION: Self = Self::from_unix_secs(1_767_225_600);

    /// An epoch `secs` seconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_secs(secs: u64) -> Self {
        Self { unix_micros: secs * 1_000_000 }
    }

    /// An epoch `micros` microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_unix_micros(micros: u64) -> Self {
        Self { unix_micros: micros }
    }

    /// Microseconds since 1970 at `now`.
    pub const fn unix_micros(self, now: Instant) -> u64 {
        self.unix_micros + now.as_micros()
    }

    /// Whole seconds since 1970 at `now`.
    pub const fn unix_secs(self, now: Instant) -> u64 {
        self.unix_micros(now) / 1_000_000
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Self::SIMULATION
    }
}

/// Deadlines of one owner: a queue for each constant interval, a heap for all others.
///
/// Nothing is cancelled here: the owner puts a generation into `K` and ignores a key that is out of date when it
/// comes due. So setting a timer with a constant interval costs a push and nothing else.
#[derive(Debug)]
pub struct Timeouts<K> {
    queues: Vec<(Duration, VecDeque<(Instant, K)>)>,
    heap: BinaryHeap<Reverse<Entry<K>>>,
    /// Of the last entry of the heap.
    serial: u32,
}

impl<K> Default for Timeouts<K> {
    fn default() -> Self {
        Self { queues: Vec::new(), heap: BinaryHeap::new(), serial: 0 }
    }
}

impl<K> Timeouts<K> {
    /// No deadline at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// `key` comes due `interval` after `now`, where `interval` is one of few constants (T1, Timer J, reg-await-auth).
    pub fn after(&mut self, now: Instant, interval: Duration, key: K) {
        let at = now + interval;
        let queue = match self.queues.iter().position(|(i, _)| *i == interval) {
            Some(at) => &mut self.queues[at].1,
            None => {
                self.queues.push((interval, VecDeque::new()));
                &mut self.queues.last_mut().expect("just pushed").1
            }
        };
        // A caller whose clock went back would break the order of the queue: take the heap then.
        if queue.back().is_some_and(|(last, _)| *last > at) {
            self.at(at, key);
        } else {
            queue.push_back((at, key));
        }
    }

    /// `key` comes due at `at`, an arbitrary moment (an expiry).
    pub fn at(&mut self, at: Instant, key: K) {
        if self.serial == u32::MAX {
            self.renumber();
        }
        self.serial += 1;
        self.heap.push(Reverse(Entry { at, serial: self.serial, key }));
    }

    /// Numbers the entries of the heap anew in their order, so that serials never wrap.
    fn renumber(&mut self) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.sort_unstable_by(|a, b| b.cmp(a));
        self.serial = 0;
        for Reverse(entry) in &mut entries {
            self.serial += 1;
            entry.serial = self.serial;
        }
        self.heap = entries.into();
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        let queued = self.queues.iter().filter_map(|(_, q)| q.front().map(|(at, _)| *at)).min();
        let heaped = self.heap.peek().map(|Reverse(e)| e.at);
        match (queued, heaped) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Takes one key that is due at `now`, the earliest first.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let queued = self.queues.iter().enumerate().filter_map(|(i, (_, q))| q.front().map(|(at, _)| (*at, i))).min();
        let heaped = self.heap.peek().map(|Reverse(e)| e.at);
        match (queued, heaped) {
            (Some((at, i)), heaped) if at <= now && heaped.is_none_or(|h| at <= h) => {
                let queue = &mut self.queues[i].1;
                let (_, key) = queue.pop_front().expect("its front was just seen");
                if is_spacious(queue.len(), queue.capacity()) {
                    queue.shrink_to(queue.len() * 2);
                }
                Some(key)
            }
            (_, Some(h)) if h <= now => {
                let key = self.heap.pop().map(|Reverse(e)| e.key);
                if is_spacious(self.heap.len(), self.heap.capacity()) {
                    self.heap.shrink_to(self.heap.len() * 2);
                }
                key
            }
            _ => None,
        }
    }

    /// Takes the earliest keys of each constant interval out for as long as `is_stale` says that they are out of date. Who
    /// sets what hardly ever comes due keeps no memory for it so, and is not called for nothing.
    pub fn drop_stale(&mut self, is_stale: impl Fn(&K) -> bool) {
        for (_, queue) in &mut self.queues {
            while queue.front().is_some_and(|(_, key)| is_stale(key)) {
                queue.pop_front();
            }
            if is_spacious(queue.len(), queue.capacity()) {
                queue.shrink_to(queue.len() * 2);
            }
        }
    }

    /// How many deadlines are held, stale ones included.
    pub fn len(&self) -> usize {
        self.queues.iter().map(|(_, q)| q.len()).sum::<usize>() + self.heap.len()
    }

    /// True when nothing will ever come due.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A burst of registrations must not keep its memory for ever. To move what is left costs no more than what has left.
const fn is_spacious(len: usize, capacity: usize) -> bool {
    capacity > 64 && len < capacity / 4
}

#[derive(Debug)]
struct Entry<K> {
    at: Instant,
    /// Equal times come out in the order in which they were set: same seed, same bytes.
    serial: u32,
    key: K,
}

impl<K> PartialEq for Entry<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.serial) == (other.at, other.serial)
    }
}

impl<K> Eq for Entry<K> {}

impl<K> PartialOrd for Entry<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Entry<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_deadline_comes_first_whatever_holds_it() {
        let mut t = Timeouts::new();
        t.after(Instant::ZERO, Duration::from_secs(32), "J");
        t.after(Instant::from_secs(1), Duration::from_secs(32), "J2");
        t.after(Instant::from_secs(1), Duration::from_millis(500), "E");
        t.at(Instant::from_secs(20), "expiry");
        assert_eq!(t.next(), Some(Instant::from_millis(1_500)));
        let mut order = Vec::new();
        while let Some(k) = t.pop(Instant::from_secs(32)) {
            order.push(k);
        }
        assert_eq!(order, ["E", "expiry", "J"]);
        assert_eq!(t.next(), Some(Instant::from_secs(33)));
        assert_eq!(t.len(), 1);
    }

    #[test]
    fn what_is_out_of_date_leaves_before_it_is_due_but_not_past_what_counts() {
        let mut t = Timeouts::new();
        for n in 0..5 {
            t.after(Instant::from_secs(n), Duration::from_secs(32), n);
        }
        t.drop_stale(|n| *n != 2);
        assert_eq!((t.next(), t.len()), (Some(Instant::from_secs(34)), 3));
        t.drop_stale(|_| true);
        assert_eq!(t.next(), None);
    }

    #[test]
    fn a_clock_that_goes_back_keeps_the_order() {
        let mut t = Timeouts::new();
        t.after(Instant::from_secs(10), Duration::from_secs(1), 'b');
        t.after(Instant::from_secs(5), Duration::from_secs(1), 'a');
        assert_eq!(t.pop(Instant::from_secs(30)), Some('a'));
        assert_eq!(t.pop(Instant::from_secs(30)), Some('b'));
        assert!(t.is_empty());
    }

    #[test]
    fn equal_times_keep_their_order() {
        let mut t = Timeouts::new();
        for i in 0..5 {
            t.at(Instant::from_secs(7), i);
        }
        let all: Vec<i32> = std::iter::from_fn(|| t.pop(Instant::from_secs(7))).collect();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn serials_that_are_used_up_change_no_order() {
        let mut t = Timeouts::new();
        t.serial = u32::MAX - 3;
        for (i, secs) in [7, 5, 7, 5, 7, 5].into_iter().enumerate() {
            t.at(Instant::from_secs(secs), i);
        }
        let all: Vec<usize> = std::iter::from_fn(|| t.pop(Instant::from_secs(7))).collect();
        assert_eq!((all, t.serial), (vec![1, 3, 5, 0, 2, 4], 6));
    }

    /// Cancelling is the owner's work, by a generation. What is held never exceeds what was armed and has not come due.
    #[test]
    fn a_million_timers_come_in_order_and_leave_no_memory() {
        const COUNT: u32 = 1_000_000;
        let mut random = crate::random::Random::seeded(1);
        let mut t = Timeouts::new();
        let mut generations = vec![0_u8; COUNT as usize];
        for timer in 0..COUNT {
            match timer % 4 {
                0 => t.after(Instant::ZERO, Duration::from_secs(240), (timer, 0)),
                1 => t.after(Instant::from_micros(timer.into()), Duration::from_secs(32), (timer, 0)),
                _ => t.at(Instant::from_micros(random.below(600_000_000).into()), (timer, 0)),
            }
            // Every third is cancelled.
            generations[timer as usize] = u8::from(timer % 3 == 0);
        }
        assert_eq!(t.len(), 1_000_000);
        let (mut now, mut live, mut popped) = (Instant::ZERO, 0, 0);
        while let Some(next) = t.next() {
            assert!(next >= now, "{next} after {now}");
            now = next;
            while let Some((timer, generation)) = t.pop(now) {
                popped += 1;
                live += u32::from(generations[timer as usize] == generation);
            }
        }
        assert_eq!((popped, live, t.len()), (COUNT, 666_666, 0));
        assert!(t.heap.capacity() <= 64 && t.queues.iter().all(|(_, q)| q.capacity() <= 64));
    }

    /// A refresh that replaces its timer each time: what is stale goes when it comes due, not later.
    #[test]
    fn timers_armed_again_and_again_are_held_no_longer_than_they_run() {
        let mut t = Timeouts::new();
        let mut most = 0;
        for micros in 0..1_000_000 {
            let now = Instant::from_micros(micros);
            t.after(now, Duration::from_millis(1), micros);
            t.at(now + Duration::from_millis(2), micros);
            while t.pop(now).is_some() {}
            most = most.max(t.len());
        }
        assert!(most <= 3_010, "{most}");
        assert!(t.heap.capacity() <= 8_192);
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry<[u32; 3]>>() <= 24);
    }
}
