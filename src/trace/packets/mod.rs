//! Captures of packets, read as messages: pcap and pcapng, down from the link layer to SIP and Diameter.
//!
//! Each file is a room: [`mod@file`] the two formats, `link` the frames, `network` IP and what is put into it, `tunnel` what carries frames, `udp`, `tcp`
//! and `sctp` the transports, `esp` what is sealed, `copies` what was captured twice. `docs/traces.md` tells what is read
//! and where the limits are.

pub mod file;

mod content;
mod copies;
mod esp;
mod exported;
mod hep;
mod icmp;
mod link;
mod network;
mod out;
mod sctp;
mod summary;
mod tcp;
mod tunnel;
mod udp;

pub use summary::{SealedCount, Summary};

use super::keys::Keyring;
use super::{Fault, Place, Protection, Seen, Sighting};
use crate::time::{Epoch, Instant};
use file::{Captured, File, Input, Item};
use network::Network;
use out::Out;
use std::fmt;
use std::io::Read;

/// How a capture is read.
#[derive(Default, Debug)]
pub struct Options {
    /// The keys that are known beforehand.
    pub keys: Keyring,
    /// Hands out every copy of a packet that was captured more than once, as if it had been sent again.
    pub keep_copies: bool,
}

/// Reads a capture, a [`Sighting`] after the other.
///
/// What waits for a key, for the rest of a stream or for a missing fragment comes out later than what was captured after
/// it: its place tells where it belongs.
pub struct Reader<R> {
    file: File<R>,
    network: Network,
    out: Out,
    /// Microseconds since 1970 of the first packet.
    origin: Option<i64>,
    last: Instant,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Reading,
    /// What was kept for later is handed out.
    Ending,
    Over,
}

impl<R: Read> Reader<R> {
    /// A reader of what `read` brings; an error where that is no capture.
    pub fn new(read: R, options: Options) -> Result<Self, Fault> {
        Self::of(Input::new(read), options)
    }

    /// A reader behind octets that were looked at already.
    pub fn of(mut input: Input<R>, options: Options) -> Result<Self, Fault> {
        input.need(24)?;
        let found = file::foreign(input.ahead()).unwrap_or("octets of no known form");
        let Some(file) = File::new(input)? else { return Err(Fault::NotACapture { found }) };
        let Options { keys, keep_copies } = options;
        Ok(Self {
            file,
            network: Network::new(keep_copies),
            out: Out::new(keys),
            origin: None,
            last: Instant::ZERO,
            state: State::Reading,
        })
    }

    /// What was found so far; complete when the iterator has ended.
    pub const fn summary(&self) -> &Summary {
        &self.out.summary
    }

    /// The calendar time of the first packet.
    pub fn epoch(&self) -> Option<Epoch> {
        self.origin.and_then(|micros| u64::try_from(micros).ok()).map(Epoch::from_unix_micros)
    }

    /// The time of the last packet that was read, whatever was in it.
    pub const fn until(&self) -> Instant {
        self.last
    }

    /// Comments and decryption secrets of the file so far.
    pub const fn remarks(&self) -> &file::Remarks {
        self.file.remarks()
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Sighting, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sighting) = self.out.pop() {
                return Some(Ok(sighting));
            }
            match self.state {
                State::Reading => {}
                State::Ending => {
                    self.state = State::Over;
                    continue;
                }
                State::Over => return None,
            }
            match self.file.next() {
                Ok(Some(Item::Packet(packet))) => {
                    let at = packet.micros.map(|micros| {
                        let since = micros.saturating_sub(*self.origin.get_or_insert(micros));
                        Instant::from_micros(u64::try_from(since).unwrap_or(0))
                    });
                    self.last = at.unwrap_or(self.last);
                    let point = Point::of(&packet, at, self.last);
                    let octets = Octets { bytes: packet.octets, missing: packet.missing };
                    self.network.frame(point, packet.link, octets, &mut self.out);
                }
                Ok(Some(Item::Broken { number, reason, octets })) => {
                    let point = Point::outside(number, self.last);
                    self.out.unread(point, reason, octets);
                }
                Ok(None) => {
                    self.network.finish(&mut self.out);
                    self.state = State::Ending;
                }
                Err(fault) => {
                    self.state = State::Over;
                    return Some(Err(fault.into()));
                }
            }
        }
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("summary", &self.out.summary).finish_non_exhaustive()
    }
}

/// Where and when a packet was captured, and what was around it.
#[derive(Clone, Copy, Debug)]
struct Point {
    number: u64,
    at: Option<Instant>,
    /// `at`, or of the packet before.
    now: Instant,
    /// Names interface and encapsulation.
    vantage: u64,
    /// How many packets this one is inside of.
    depth: u8,
    protection: Protection,
}

impl Point {
    fn of(packet: &Captured<'_>, at: Option<Instant>, now: Instant) -> Self {
        let &Captured { number, interface, is_clear_text, .. } = packet;
        // Text whose ESP is on another interface of the file: something protected it.
        let protection = if is_clear_text { Protection::Unknown } else { Protection::Clear };
        Self { number, at, now, vantage: u64::from(interface), depth: 0, protection }
    }

    /// No packet at all.
    const fn outside(number: u64, now: Instant) -> Self {
        Self { number, at: None, now, vantage: 0, depth: 0, protection: Protection::Clear }
    }

    const fn sighting(&self, seen: Seen) -> Sighting {
        Sighting { place: Place::Packet(self.number), at: self.at, seen }
    }
}

/// Octets of a packet, and how many it had beyond those that were captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Octets<'a> {
    bytes: &'a [u8],
    missing: usize,
}

impl<'a> Octets<'a> {
    const fn whole(bytes: &'a [u8]) -> Self {
        Self { bytes, missing: 0 }
    }

    /// What follows the first `start` octets; `None` where not so many were captured.
    fn from(self, start: usize) -> Option<Self> {
        Some(Self { bytes: self.bytes.get(start..)?, missing: self.missing })
    }

    /// The first `len` octets, as many of them as were captured.
    fn up_to(self, len: usize) -> Self {
        match self.bytes.get(..len) {
            Some(bytes) => Self { bytes, missing: 0 },
            None => Self { bytes: self.bytes, missing: (len - self.bytes.len()).min(self.missing) },
        }
    }

    const fn is_cut(&self) -> bool {
        self.missing > 0
    }
}
