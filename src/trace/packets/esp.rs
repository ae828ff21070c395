//! ESP: opened where nothing is encrypted or a key is known, kept for a while where one may become known.

use super::content;
use super::network::Payload;
use super::{Octets, Out, Point, Protection};
use crate::ip::transport::Segment;
use crate::ip::{self, Packet, Upper};
use crate::ipsec::esp::{Inside, in_clear};
use crate::time::{Duration, Instant};
use crate::trace::keys::{Judged, Mistake};
use crate::trace::{Icv, OpenedBy, Sealed, Seen, Shut, Verified};
use std::collections::VecDeque;
use std::net::IpAddr;

/// ESP packets that wait for a key.
#[derive(Default, Debug)]
pub(super) struct Esp {
    waiting: Kept,
    /// Nothing is encrypted, and their ICV could not be judged.
    unjudged: Kept,
    clear: Vec<u8>,
}

/// Packets in the order in which they came.
#[derive(Default, Debug)]
struct Kept {
    packets: VecDeque<Waiting>,
    octets: usize,
}

#[derive(Debug)]
struct Waiting {
    point: Point,
    why: Shut,
    mistake: Option<Mistake>,
    source: IpAddr,
    destination: IpAddr,
    in_udp: bool,
    esp: Vec<u8>,
}

/// Why a packet stays shut, and what explains a wrong ICV.
type Closed = (Shut, Option<Mistake>);

/// What was in an ESP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Inner {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    pub(super) octets: Vec<u8>,
    pub(super) missing: usize,
}

impl Esp {
    /// Takes a packet from SPI on. What is in it, if that can be told now.
    pub(super) fn receive(
        &mut self,
        point: Point,
        payload: Payload<'_>,
        in_udp: bool,
        out: &mut Out,
    ) -> Option<(Point, Inner)> {
        let Payload { source, destination, octets, .. } = payload;
        let Some((spi, sequence)) = head(octets.bytes) else {
            out.unread(point, "an ESP packet cut off in its head", octets.bytes.len());
            return None;
        };
        if octets.is_cut() {
            let Some(inner) = cut(payload, in_udp) else {
                let esp = Vec::new();
                let (from, to) = (source, destination);
                let why = Shut::Cut;
                out.push(point, Seen::Sealed(Sealed { from, to, spi, sequence, why, mistake: None, esp }));
                return None;
            };
            let (icv, by) = (Icv::Unknown, OpenedBy::Trial);
            let esp = crate::trace::Esp { spi, sequence, icv, by, pair: None, mistake: None };
            return Some((opened(point, esp, out), inner));
        }
        let (why, mistake) = (Shut::NoKey, None);
        let waiting = Waiting { point, why, mistake, source, destination, in_udp, esp: Vec::new() };
        match self.open(&waiting, octets.bytes, out) {
            Ok(found) => {
                if matches!(found.0.protection, Protection::Esp(esp) if (esp.icv, esp.by) == UNJUDGED) {
                    self.unjudged.push(Waiting { esp: octets.bytes.to_vec(), ..waiting });
                }
                Some(found)
            }
            Err((why, mistake)) => {
                self.waiting.push(Waiting { why, mistake, esp: octets.bytes.to_vec(), ..waiting });
                None
            }
        }
    }

    /// True when something waited long enough.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.waiting.is_due(now) || self.unjudged.is_due(now)
    }

    /// Tries what waits under the keys that became known, and judges what was not encrypted.
    pub(super) fn open_again(&mut self, out: &mut Out) -> Vec<(Point, Inner)> {
        let fresh = out.keys.take_fresh();
        let is_tried = |waiting: &Waiting| {
            let Waiting { source, destination, ref esp, .. } = *waiting;
            head(esp).is_some_and(|(spi, _)| fresh.iter().any(|fresh| fresh.fits(spi, source, destination)))
        };
        let mut unjudged = self.unjudged.take(is_tried);
        unjudged.retain(|waiting| !verify(waiting, out));
        self.unjudged.put_back(unjudged);
        let (mut found, mut shut) = (Vec::new(), Vec::new());
        for waiting in self.waiting.take(is_tried) {
            match self.open(&waiting, &waiting.esp, out) {
                Ok(inner) => found.push(inner),
                Err((why, mistake)) => shut.push(Waiting { why, mistake, ..waiting }),
            }
        }
        self.waiting.put_back(shut);
        found
    }

    /// What waited long enough stays shut; all of it, without a time.
    pub(super) fn give_up(&mut self, now: Option<Instant>, out: &mut Out) {
        while now.is_none_or(|now| self.unjudged.is_due(now)) && self.unjudged.pop().is_some() {}
        while now.is_none_or(|now| self.waiting.is_due(now)) {
            let Some(Waiting { point, why, mistake, source: from, destination: to, esp, .. }) = self.waiting.pop()
            else {
                break;
            };
            let (spi, sequence) = head(&esp).expect("what waits was long enough");
            out.push(point, Seen::Sealed(Sealed { from, to, spi, sequence, why, mistake, esp }));
        }
    }

    fn open(&mut self, packet: &Waiting, esp: &[u8], out: &mut Out) -> Result<(Point, Inner), Closed> {
        let &Waiting { point, source, destination, in_udp, .. } = packet;
        let (spi, sequence) = head(esp).ok_or((Shut::Cut, None))?;
        let plausible = |inside: &Inside, clear: &[u8]| -> Option<Inner> {
            let payload = clear.get(inside.payload.clone())?;
            let inner =
                Inner { source, destination, protocol: inside.next_header, octets: payload.to_vec(), missing: 0 };
            inner.is_plausible(in_udp).then_some(inner)
        };
        // Nothing encrypted: the shape tells. GMAC has an ICV of 16 octets, and an IV in front.
        for (iv_len, icv_len) in [(0, 12), (8, 16), (0, 16)] {
            let inside = in_clear(esp, icv_len).map(|Inside { next_header, payload }| Inside {
                next_header,
                payload: payload.start + iv_len..payload.end,
            });
            if let Some(inner) = inside.and_then(|inside| plausible(&inside, esp)) {
                let (icv, pair, mistake) = out.keys.judge(spi, source, destination, esp);
                let esp = crate::trace::Esp { spi, sequence, icv, by: OpenedBy::Trial, pair, mistake };
                return Ok((opened(point, esp, out), inner));
            }
        }
        self.clear.clear();
        match out
            .keys
            .open(spi, source, destination, esp, &mut self.clear, |inside, clear| plausible(inside, clear).is_some())
        {
            Judged::Opened { inside, by, icv, pair, mistake } => match plausible(&inside, &self.clear) {
                Some(inner) => {
                    Ok((opened(point, crate::trace::Esp { spi, sequence, icv, by, pair, mistake }, out), inner))
                }
                None => Err((Shut::Inside, mistake)),
            },
            Judged::WrongIcv(mistake) => Err((Shut::WrongIcv, mistake)),
            Judged::NoKey => Err((Shut::NoKey, None)),
        }
    }
}

impl Kept {
    fn push(&mut self, packet: Waiting) {
        self.octets += packet.esp.len();
        self.packets.push_back(packet);
    }

    fn pop(&mut self) -> Option<Waiting> {
        let packet = self.packets.pop_front()?;
        self.octets -= packet.esp.len();
        Some(packet)
    }

    /// True when something was kept long enough.
    fn is_due(&self, now: Instant) -> bool {
        let is_old = |packet: &Waiting| packet.point.now + PATIENCE <= now;
        self.octets > MOST_OCTETS || self.packets.len() > MOST_PACKETS || self.packets.front().is_some_and(is_old)
    }

    /// Takes out those that are meant.
    fn take(&mut self, is_meant: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        if !self.packets.iter().any(&is_meant) {
            return Vec::new();
        }
        let (meant, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.packets).into_iter().partition(is_meant);
        self.packets = kept.into();
        self.octets -= meant.iter().map(|packet| packet.esp.len()).sum::<usize>();
        meant
    }

    /// Puts back what was taken out, where it was.
    fn put_back(&mut self, packets: Vec<Waiting>) {
        if !packets.is_empty() {
            packets.into_iter().for_each(|packet| self.push(packet));
            self.packets.make_contiguous().sort_by_key(|packet| packet.point.number);
        }
    }
}

/// Tells what the ICV says that could not be judged before; false: that is not known yet.
fn verify(packet: &Waiting, out: &mut Out) -> bool {
    let &Waiting { point, source, destination, ref esp, .. } = packet;
    let (spi, sequence) = head(esp).expect("what is kept was long enough");
    let (icv, pair, mistake) = out.keys.judge(spi, source, destination, esp);
    if icv == Icv::Unknown {
        return false;
    }
    let by = OpenedBy::Trial;
    out.summary.count_verified(by, icv);
    let esp = crate::trace::Esp { spi, sequence, icv, by, pair, mistake };
    out.push(point, Seen::Verified(Verified { to: destination, esp }));
    true
}

impl Inner {
    /// True for a datagram, segment or packet that is all there. The checksum of a segment counts octets that a NAT has
    /// changed since, so behind one, in UDP, its text does as well.
    fn is_plausible(&self, in_udp: bool) -> bool {
        let Self { source, destination, protocol, ref octets, .. } = *self;
        match protocol {
            IP_IN_IP | IPV6_IN_IP => Packet::captured(octets).is_ok_and(|(packet, missing)| {
                packet.header.source.is_ipv4() == (protocol == IP_IN_IP)
                    && missing == 0
                    && packet.payload_start + packet.payload.len() == octets.len()
            }),
            _ => Upper::from_number(protocol).is_some_and(|upper| {
                let segment = Segment { source, destination, upper, octets };
                match segment.check() {
                    Ok(checked) => checked.octets.len() == octets.len() && octets.len() >= 8,
                    Err(_) => in_udp && text(protocol, octets).is_some_and(|text| content::sip_start(text) == Some(0)),
                }
            }),
        }
    }
}

/// The point of what is inside.
fn opened(point: Point, esp: crate::trace::Esp, out: &mut Out) -> Point {
    out.summary.count_opened(esp.by, esp.icv);
    Point { protection: Protection::Esp(esp), ..point }
}

/// The beginning of a packet whose trailer was not captured: in clear if a message stands where it would stand.
fn cut(payload: Payload<'_>, in_udp: bool) -> Option<Inner> {
    let Payload { source, destination, octets, .. } = payload;
    let body = octets.from(8)?;
    for start in [0, 8] {
        let Some(body) = body.from(start) else { continue };
        for protocol in [ip::UDP, ip::TCP] {
            let Octets { bytes, missing } = body;
            if text(protocol, bytes).is_some_and(|text| content::sip_start(text) == Some(0)) {
                // Trailer and ICV are missing as well, and are none of it.
                let missing = missing.saturating_sub(if in_udp { 0 } else { 14 }).max(1);
                return Some(Inner { source, destination, protocol, octets: bytes.to_vec(), missing });
            }
        }
    }
    None
}

/// The data of a datagram or segment.
fn text(protocol: u8, octets: &[u8]) -> Option<&[u8]> {
    match protocol {
        ip::UDP => octets.get(8..),
        _ => octets.get(usize::from(octets.get(12)? >> 4) * 4..).filter(|_| octets[12] >> 4 >= 5),
    }
}

/// SPI and sequence number.
fn head(esp: &[u8]) -> Option<(u32, u32)> {
    let &[s0, s1, s2, s3, n0, n1, n2, n3] = esp.first_chunk()?;
    Some((u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([n0, n1, n2, n3])))
}

const UNJUDGED: (Icv, OpenedBy) = (Icv::Unknown, OpenedBy::Trial);
const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
/// How far apart in time two taps of one trace may be.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_OCTETS: usize = 8 << 20;
const MOST_PACKETS: usize = 8_192;
