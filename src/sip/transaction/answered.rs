//! Requests answered over a transport that loses datagrams: what repeats their answers until Timer J (RFC 3261 clause
//! 17.2.2).
//!
//! Under load these are nearly all the transactions there are, and when one ends, 64 T1 after its answer, nothing of it
//! is in any cache. So they lie in the order in which they end and leave in blocks; nothing is looked up to end one.
//! Nobody outside can tell when the memory of one goes, so a process is not woken for each.

use super::key::{Head, KeyShape};
use crate::packet::Route;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Those of one side, the eldest first. They have serial numbers, which begin anew after [`SERIALS`].
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// Full but for the last.
    blocks: VecDeque<Block>,
    /// The serial number of the first record there is.
    begin: u32,
    /// How many of the first block have ended.
    ended: usize,
    len: usize,
    /// A block that was left, for the next one.
    spare: Block,
}

#[derive(Debug, Default)]
struct Block {
    records: Vec<Record>,
    octets: Vec<u8>,
}

/// Its octets are key, From value and answer.
#[derive(Debug)]
struct Record {
    until: Instant,
    route: Route,
    call_hash: u64,
    shape: KeyShape,
    start: u32,
    from_start: u32,
    answer_start: u32,
    end: u32,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    /// Where its answers go.
    pub(super) route: Route,
    /// Of Call-ID and CSeq number.
    pub(super) call_hash: u64,
    /// Key and From value.
    pub(super) head: Head<'a>,
}

impl Answered {
    /// Keeps an answer, which must be for no shorter than that of the call before; returns its serial number.
    pub(super) fn push(&mut self, until: Instant, request: &Request<'_>, answer: &[u8]) -> u32 {
        if self.blocks.back().is_none_or(|block| block.records.len() == BLOCK) {
            let spare = std::mem::take(&mut self.spare);
            let block = match self.blocks.back() {
                // The first grows with its owner, which may be one UE of many.
                Some(last) if spare.records.capacity() == 0 => Block::like(last),
                _ => spare,
            };
            self.blocks.push_back(block);
        }
        self.len += 1;
        let serial = self.serial(self.ended + self.len - 1);
        self.blocks.back_mut().expect("there is one with room").push(until, request, answer);
        serial
    }

    /// The request of this number and its answer, unless it has ended.
    pub(super) fn get(&self, now: Instant, serial: u32) -> Option<(Request<'_>, &[u8])> {
        let at = self.place(serial)?;
        self.blocks[at / BLOCK].get(now, at % BLOCK)
    }

    /// True while it is there: until it has ended, and a little longer.
    pub(super) fn holds(&self, serial: u32) -> bool {
        self.place(serial).is_some()
    }

    /// Those that have ended leave. Returns when to call again, no sooner than after `pause`.
    pub(super) fn leave(&mut self, now: Instant, pause: Duration) -> Option<Instant> {
        loop {
            let until = self.blocks.front()?.records[self.ended].until;
            if until > now {
                return Some(until.max(now + pause));
            }
            self.drop_eldest();
        }
    }

    fn drop_eldest(&mut self) {
        self.len -= 1;
        self.ended += 1;
        if self.len == 0 {
            // A burst must not keep its memory for ever.
            *self = Self { begin: self.serial(self.ended), ..Self::default() };
        } else if self.ended == BLOCK {
            self.begin = self.serial(BLOCK);
            self.ended = 0;
            self.spare = self.blocks.pop_front().expect("what has not ended lies behind it").emptied();
        }
    }

    /// How many are there.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The number of the record at this place.
    fn serial(&self, at: usize) -> u32 {
        let at = u32::try_from(at).expect("memory ends before 2^32 transactions");
        self.begin.wrapping_add(at) % SERIALS
    }

    fn place(&self, serial: u32) -> Option<usize> {
        let at = (serial.wrapping_sub(self.begin) % SERIALS) as usize;
        (self.ended..self.ended + self.len).contains(&at).then_some(at)
    }
}

impl Block {
    /// An empty one with room for as much.
    fn like(other: &Self) -> Self {
        Self { records: Vec::with_capacity(BLOCK), octets: Vec::with_capacity(other.octets.len()) }
    }

    fn emptied(mut self) -> Self {
        self.records.clear();
        self.octets.clear();
        self
    }

    fn push(&mut self, until: Instant, request: &Request<'_>, answer: &[u8]) {
        let Request { route, call_hash, head: Head { key, shape, from } } = *request;
        let start = self.here();
        self.octets.extend_from_slice(key);
        let from_start = self.here();
        self.octets.extend_from_slice(from);
        let answer_start = self.here();
        self.octets.extend_from_slice(answer);
        let end = self.here();
        self.records.push(Record { until, route, call_hash, shape, start, from_start, answer_start, end });
    }

    fn get(&self, now: Instant, at: usize) -> Option<(Request<'_>, &[u8])> {
        let record = self.records.get(at).filter(|record| record.until > now)?;
        let &Record { route, call_hash, shape, start, from_start, answer_start, end, .. } = record;
        let octets = |from: u32, to: u32| &self.octets[from as usize..to as usize];
        let head = Head { key: octets(start, from_start), shape, from: octets(from_start, answer_start) };
        Some((Request { route, call_hash, head }, octets(answer_start, end)))
    }

    fn here(&self) -> u32 {
        u32::try_from(self.octets.len()).expect("datagrams of a block are shorter than 2^32 octets")
    }
}

/// Serial numbers there are; fewer are in use at a time.
pub(super) const SERIALS: u32 = 1 << 29;
/// Records of a block.
const BLOCK: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Transport;

    const PAUSE: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// The text is its key, and with a mark its answer.
    fn push(answered: &mut Answered, until: u64, text: &str) -> u32 {
        let address = "127.0.0.1:5060".parse().expect("an address");
        let route = Route::sip(Transport::Udp, address, address);
        let shape = KeyShape { identity: 1, cookie: true };
        let head = Head { key: text.as_bytes(), shape, from: b"sip:a@b" };
        answered.push(at(until), &Request { route, call_hash: 7, head }, &[text.as_bytes(), b"!"].concat())
    }

    fn text(answered: &Answered, now: u64, serial: u32) -> Option<&str> {
        let (request, answer) = answered.get(at(now), serial)?;
        assert_eq!((request.head.from, request.call_hash), (&b"sip:a@b"[..], 7));
        let (text, mark) = answer.split_at(answer.len() - 1);
        assert_eq!((request.head.key, mark), (text, &b"!"[..]));
        std::str::from_utf8(text).ok()
    }

    #[test]
    fn each_is_found_until_it_ends_and_none_afterwards() {
        // So that the numbers begin anew on the way.
        let mut answered = Answered { begin: SERIALS - 300, ..Answered::default() };
        let serials: Vec<u32> = (0..1_000).map(|n| push(&mut answered, n + 1, &n.to_string())).collect();
        for ended in 0..=1_000 {
            for leaves in [false, true] {
                if leaves {
                    answered.leave(at(ended), PAUSE);
                    assert_eq!(answered.len(), 1_000 - usize::try_from(ended).expect("few"));
                }
                for (serial, n) in serials.iter().zip(0..) {
                    let expected = (n >= ended).then(|| n.to_string());
                    assert_eq!(text(&answered, ended, *serial), expected.as_deref(), "{n} after {ended}");
                    assert!(expected.is_none() || answered.holds(*serial));
                    assert!(expected.is_some() || !leaves || !answered.holds(*serial));
                }
            }
        }
    }

    #[test]
    fn nobody_is_called_for_each() {
        let mut answered = Answered::default();
        for until in [100, 900, 1_100, 1_101, 5_000] {
            push(&mut answered, until, "x");
        }
        assert_eq!((answered.leave(at(99), PAUSE), answered.len()), (Some(at(1_099)), 5));
        assert_eq!((answered.leave(at(1_100), PAUSE), answered.len()), (Some(at(2_100)), 2));
        assert_eq!((answered.leave(at(2_100), PAUSE), answered.len()), (Some(at(5_000)), 1));
        assert_eq!((answered.leave(at(5_000), PAUSE), answered.len()), (None, 0));
    }

    #[test]
    fn what_leaves_makes_room_for_what_comes() {
        let mut answered = Answered::default();
        let mut alive = VecDeque::new();
        for n in 0..20_000 {
            alive.push_back((push(&mut answered, n + 100, &n.to_string()), n.to_string()));
            answered.leave(at(n), PAUSE);
            if n >= 100 {
                alive.pop_front();
            }
            assert!(answered.blocks.len() <= 3);
        }
        assert!(alive.iter().all(|(serial, expected)| text(&answered, 19_999, *serial) == Some(expected)));
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut answered = Answered::default();
        let serials: Vec<u32> = (0..5_000).map(|n| push(&mut answered, n, &n.to_string())).collect();
        assert_eq!(answered.leave(at(5_000), PAUSE), None);
        assert_eq!((answered.blocks.capacity(), answered.spare.octets.capacity()), (0, 0));
        // No number of before means something new.
        push(&mut answered, 9_000, "new");
        assert!(serials.iter().all(|serial| !answered.holds(*serial)));
    }
}
