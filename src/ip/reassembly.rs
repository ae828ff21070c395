//! Putting fragments together (RFC 791, RFC 8200 clause 4.5, RFC 5722): bounded in memory and in time.

use super::{Fragment, Header, Packet};
use crate::time::{Duration, Instant};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Packets whose fragments are coming in. What never becomes whole is dropped: the oldest when there is no room, all
/// after [`LIFETIME`].
#[derive(Debug, Default)]
pub struct Reassembly {
    /// The oldest first.
    packets: VecDeque<Partial>,
    octets: usize,
    /// Fragments that were refused, and packets given up.
    dropped: u64,
    /// Senders and receivers of packets given up, until somebody asks.
    given_up: Vec<(IpAddr, IpAddr)>,
    /// Packets that became whole a short while ago: what comes of them again is no loss.
    finished: VecDeque<Key>,
}

/// A packet that is whole again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole {
    /// The header of its first fragment, no fragment any more.
    pub header: Header,
    /// What its fragments held.
    pub payload: Vec<u8>,
}

/// What a packet turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// No fragment: the caller goes on with it as it is.
    NotAFragment,
    /// The last that was missing.
    Whole(Whole),
    /// More is to come.
    Kept,
    /// It overlaps what is there, or changes where the packet ends: the packet is given up, and the rest of its fragments
    /// with it (RFC 5722 clause 3).
    Refused,
}

impl Reassembly {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet that came in at `now`.
    pub fn receive(&mut self, now: Instant, packet: &Packet<'_>) -> Taken {
        let Some(fragment) = packet.header.fragment else { return Taken::NotAFragment };
        self.expire(now);
        let key = Key::of(&packet.header, fragment);
        let at = self.packets.iter().position(|partial| partial.key == key).unwrap_or_else(|| {
            self.packets.push_back(Partial::new(key, now + LIFETIME));
            self.packets.len() - 1
        });
        let partial = &mut self.packets[at];
        if partial.refused {
            self.dropped += 1;
            return Taken::Refused;
        }
        let before = partial.octets;
        let kept = partial.insert(&packet.header, fragment, packet.payload);
        self.octets = self.octets + partial.octets - before;
        if kept.is_err() {
            self.dropped += 1;
            return Taken::Refused;
        }
        if partial.is_whole() {
            let partial = self.packets.remove(at).expect("found above");
            self.octets -= partial.octets;
            if self.finished.len() == MOST_PACKETS {
                self.finished.pop_front();
            }
            self.finished.push_back(key);
            return Taken::Whole(partial.join());
        }
        while self.octets > MOST_OCTETS || self.packets.len() > MOST_PACKETS {
            self.drop_oldest();
        }
        Taken::Kept
    }

    /// When the oldest is given up: call [`Reassembly::expire`] then, or with the next fragment.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.packets.front().map(|partial| partial.until)
    }

    /// Gives up what is too old.
    pub fn expire(&mut self, now: Instant) {
        while self.packets.front().is_some_and(|partial| partial.until <= now) {
            self.drop_oldest();
        }
    }

    /// Fragments refused and packets given up so far.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Senders and receivers of packets given up since this was last asked; of very many the first.
    pub fn take_given_up(&mut self) -> Vec<(IpAddr, IpAddr)> {
        std::mem::take(&mut self.given_up)
    }

    fn drop_oldest(&mut self) {
        let Some(partial) = self.packets.pop_front() else { return };
        self.octets -= partial.octets;
        if partial.refused || self.finished.contains(&partial.key) {
            return;
        }
        self.dropped += 1;
        if self.given_up.len() < MOST_PACKETS {
            self.given_up.push((partial.key.source, partial.key.destination));
        }
    }
}

/// What fragments of one packet have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    /// In IPv6 the next header of the first fragment alone counts.
    protocol: Option<u8>,
    identification: u32,
}

impl Key {
    fn of(header: &Header, fragment: Fragment) -> Self {
        let Header { source, destination, protocol, .. } = *header;
        let protocol = source.is_ipv4().then_some(protocol);
        Self { source, destination, protocol, identification: fragment.identification }
    }
}

#[derive(Debug)]
struct Partial {
    key: Key,
    until: Instant,
    /// In the order of their offsets, none over another.
    pieces: Vec<(usize, Box<[u8]>)>,
    octets: usize,
    /// Of the first fragment.
    header: Option<Header>,
    /// Where the packet ends.
    end: Option<usize>,
    /// It keeps its place until its time is over, so that late fragments make no new packet.
    refused: bool,
}

struct Overlap;

impl Partial {
    const fn new(key: Key, until: Instant) -> Self {
        Self { key, until, pieces: Vec::new(), octets: 0, header: None, end: None, refused: false }
    }

    fn insert(&mut self, header: &Header, fragment: Fragment, octets: &[u8]) -> Result<(), Overlap> {
        let (start, end) = (fragment.offset, fragment.offset + octets.len());
        let at = self.pieces.partition_point(|(other, _)| *other < start);
        // A network may deliver twice what was sent once (RFC 8200 clause 4.5).
        if self.pieces.get(at).is_some_and(|(other, piece)| *other == start && **piece == *octets) {
            return Ok(());
        }
        let before = at.checked_sub(1).map_or(0, |before| {
            let (start, piece) = &self.pieces[before];
            start + piece.len()
        });
        let after = self.pieces.get(at).map_or(usize::MAX, |(start, _)| *start);
        let last = self.pieces.last().map_or(0, |(start, piece)| start + piece.len());
        let ends_differently = match self.end {
            Some(known) => end > known || (!fragment.more && end != known),
            None => !fragment.more && end < last,
        };
        if start < before || end > after || ends_differently || self.pieces.len() == MOST_PIECES {
            self.refused = true;
            (self.pieces, self.octets) = (Vec::new(), 0);
            return Err(Overlap);
        }
        if !fragment.more {
            self.end = Some(end);
        }
        if start == 0 {
            self.header = Some(*header);
        }
        self.octets += octets.len() + PIECE_COST;
        self.pieces.insert(at, (start, octets.into()));
        Ok(())
    }

    fn is_whole(&self) -> bool {
        let held = self.octets - self.pieces.len() * PIECE_COST;
        self.end == Some(held) && self.header.is_some()
    }

    fn join(self) -> Whole {
        let header = self.header.expect("a whole packet has a first fragment");
        let payload = self.pieces.iter().flat_map(|(_, piece)| piece.iter().copied()).collect();
        Whole { header: Header { fragment: None, ..header }, payload }
    }
}

/// How long a packet may take to become whole (RFC 8200 clause 4.5; RFC 1122 clause 3.3.2 wants 60 to 120 s).
pub const LIFETIME: Duration = Duration::from_secs(60);
/// For all packets together: what one piece costs is counted with it.
pub const MOST_OCTETS: usize = 1 << 20;
/// Packets at a time.
pub const MOST_PACKETS: usize = 256;
/// Fragments of a packet: 65,535 octets over an MTU of 576, which every link takes (RFC 791).
pub const MOST_PIECES: usize = 128;
const PIECE_COST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::{self, fragments::split};
    use crate::random::Random;

    fn parts(source: &str, len: usize, mtu: usize, identification: u32) -> (Vec<u8>, Vec<Vec<u8>>) {
        let (mut packet, mut parts) = (Vec::new(), Vec::new());
        let mut payload = vec![0; len];
        Random::seeded(u64::from(identification)).fill(&mut payload);
        let source: IpAddr = source.parse().unwrap();
        let destination = if source.is_ipv4() { "10.0.0.2" } else { "fe80::2" };
        ip::write(&mut packet, source, destination.parse().unwrap(), ip::ESP, &payload);
        split(&packet, mtu, identification, |part| parts.push(part.to_vec())).unwrap();
        (payload, parts)
    }

    fn take(r: &mut Reassembly, at: u64, part: &[u8]) -> Taken {
        r.receive(Instant::from_secs(at), &Packet::parse(part).unwrap())
    }

    #[test]
    fn in_any_order_and_twice() {
        let mut random = Random::seeded(3);
        let mut r = Reassembly::new();
        for round in 0..200 {
            let source = ["10.0.0.1", "2001:db8::1"][round % 2];
            let (payload, mut parts) = parts(source, 4_000, 600, u32::try_from(round).unwrap());
            let count = u32::try_from(parts.len()).unwrap();
            for i in 0..parts.len() {
                parts.swap(i, random.below(count) as usize);
            }
            let last = parts.pop().unwrap();
            for part in &parts {
                assert_eq!(take(&mut r, 0, part), Taken::Kept);
                assert_eq!(take(&mut r, 0, part), Taken::Kept);
            }
            let Taken::Whole(whole) = take(&mut r, 0, &last) else { panic!("not whole in round {round}") };
            assert_eq!((whole.header.protocol, whole.header.fragment), (ip::ESP, None));
            assert!(whole.payload == payload);
        }
        assert_eq!((r.packets.len(), r.octets, r.dropped()), (0, 0, 0));
    }

    #[test]
    fn what_is_no_fragment_goes_on_as_it_is() {
        let (_, whole) = parts("10.0.0.1", 100, 1_500, 1);
        assert_eq!(take(&mut Reassembly::new(), 0, &whole[0]), Taken::NotAFragment);
    }

    /// RFC 5722 clause 3: all that belongs to the packet goes, also what comes later.
    #[test]
    fn an_overlap_ends_the_packet() {
        let (_, a) = parts("2001:db8::1", 4_000, 600, 9);
        let (_, b) = parts("2001:db8::1", 4_000, 1_280, 9);
        let mut r = Reassembly::new();
        assert_eq!(take(&mut r, 0, &a[0]), Taken::Kept);
        assert_eq!(take(&mut r, 0, &a[2]), Taken::Kept);
        assert_eq!(take(&mut r, 0, &b[0]), Taken::Refused);
        for part in &a {
            assert_eq!(take(&mut r, 1, part), Taken::Refused);
        }
        assert_eq!(r.octets, 0);
        // The name is free again when its time is over.
        for part in &a[..a.len() - 1] {
            assert_eq!(take(&mut r, 60, part), Taken::Kept);
        }
        assert!(matches!(take(&mut r, 60, &a[a.len() - 1]), Taken::Whole(_)));
        // The same place with other octets, and an end that moves.
        let mut other = a[1].clone();
        *other.last_mut().unwrap() ^= 1;
        for (first, second) in [(&a[1], &other), (&a[a.len() - 1], &b[b.len() - 1])] {
            let mut r = Reassembly::new();
            assert_eq!(take(&mut r, 0, first), Taken::Kept);
            assert_eq!(take(&mut r, 0, second), Taken::Refused);
        }
    }

    #[test]
    fn time_ends_what_does_not_become_whole() {
        let (_, a) = parts("10.0.0.1", 4_000, 600, 9);
        let mut r = Reassembly::new();
        assert_eq!(take(&mut r, 0, &a[0]), Taken::Kept);
        assert_eq!(r.next_timeout(), Some(Instant::from_secs(60)));
        r.expire(Instant::from_secs(59));
        assert_eq!(r.dropped(), 0);
        r.expire(Instant::from_secs(60));
        assert_eq!((r.dropped(), r.octets, r.next_timeout()), (1, 0, None));
        // What is left of it waits in vain.
        for part in &a[1..] {
            assert_eq!(take(&mut r, 61, part), Taken::Kept);
        }
    }

    /// First fragments without end, and fragments of one octet.
    #[test]
    fn memory_is_bounded() {
        let mut r = Reassembly::new();
        for identification in 0..3_000 {
            let (_, a) = parts("2001:db8::1", 20_000, 9_000, identification);
            assert_eq!(take(&mut r, 0, &a[0]), Taken::Kept);
            assert!(r.octets <= MOST_OCTETS && r.packets.len() <= MOST_PACKETS);
        }
        assert!(r.packets.len() > 100);
        let (_, a) = parts("10.0.0.1", 20_000, 28, 7);
        let mut r = Reassembly::new();
        let taken: Vec<Taken> = a[1..].iter().map(|part| take(&mut r, 0, part)).collect();
        let kept = taken.iter().filter(|taken| **taken == Taken::Kept).count();
        assert_eq!((kept, r.octets), (MOST_PIECES, 0));
        assert!(taken[MOST_PIECES..].iter().all(|taken| *taken == Taken::Refused));
    }
}
