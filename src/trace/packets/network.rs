//! IP, and what carries IP: fragments, IP in IP, GTP-U, the authentication header.

use super::copies::Copies;
use super::esp::Esp;
use super::link::{self, Frame};
use super::sctp::Associations;
use super::tcp::Streams;
use super::tunnel::{self, Carried};
use super::{Octets, Out, Point, exported, hep, udp};
use crate::ip::reassembly::{Reassembly, Taken};
use crate::ip::{self, Malformed, Packet};
use crate::time::Instant;
use crate::trace::{Loss, Lost, Seen};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::IpAddr;

/// All that is kept between packets.
#[derive(Debug)]
pub(super) struct Network {
    fragments: Reassembly,
    /// Of those that `fragments` dropped, what was said already.
    dropped_fragments: u64,
    copies: Copies,
    keep_copies: bool,
    streams: Streams,
    associations: Associations,
    esp: Esp,
}

/// What an IP packet carries, fragments put together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) protocol: u8,
    /// Of IPv4; IPv6 has one in fragments only.
    pub(super) identification: u32,
    pub(super) octets: Octets<'a>,
}

impl Network {
    pub(super) fn new(keep_copies: bool) -> Self {
        Self {
            fragments: Reassembly::new(),
            dropped_fragments: 0,
            copies: Copies::new(),
            keep_copies,
            streams: Streams::default(),
            associations: Associations::default(),
            esp: Esp::default(),
        }
    }

    /// Takes the frame of a packet of the file.
    pub(super) fn frame(&mut self, point: Point, link: u16, frame: Octets<'_>, out: &mut Out) {
        out.summary.packets += 1;
        out.summary.octets += (frame.bytes.len() + frame.missing) as u64;
        if link == exported::LINKTYPE {
            exported::take(point, frame, out, |packet, out| self.packet(point, packet, out));
        } else {
            self.link(point, link, frame, out);
        }
        self.streams.pass_time(point.now, out);
        out.pass_time(Some(point.now));
        if out.has_new_keys || self.esp.is_due(point.now) {
            self.open_again(Some(point), out);
        }
    }

    /// Takes a frame of a link, or one that a tunnel carries.
    fn link(&mut self, point: Point, link: u16, frame: Octets<'_>, out: &mut Out) {
        match link::open(link, frame) {
            Frame::Ip(packet, seen_at) => {
                let point = Point { vantage: mix(point.vantage, seen_at), ..point };
                self.packet(point, packet, out);
            }
            Frame::Other => out.summary.other += 1,
            Frame::Short => out.unread(point, "a frame cut off in its head", frame.bytes.len()),
            Frame::Unknown => out.unread(point, "a link type that is not read", frame.bytes.len()),
        }
    }

    /// Takes what a tunnel carries.
    fn carried(&mut self, point: Point, payload: Payload<'_>, carried: Carried<'_>, out: &mut Out) {
        match carried {
            Carried::Ip(number, packet) => self.packet(inside(point, payload, number), packet, out),
            Carried::Frame(number, frame) => self.link(inside(point, payload, number), link::ETHERNET, frame, out),
            Carried::Other => out.summary.other += 1,
        }
    }

    /// The end of the file: what waited for more waits no longer.
    pub(super) fn finish(&mut self, out: &mut Out) {
        self.fragments.expire(Instant::from_micros(u64::MAX));
        self.say_lost_fragments(Point::outside(out.summary.packets, Instant::ZERO), out);
        self.open_again(None, out);
        self.streams.finish(out);
        self.associations.finish(out);
        self.open_again(None, out);
        out.pass_time(None);
    }

    /// Takes an IP packet. What follows its own length is padding of the link.
    pub(super) fn packet(&mut self, point: Point, octets: Octets<'_>, out: &mut Out) {
        let (packet, missing) = match Packet::captured(octets.bytes) {
            Ok(found) => found,
            Err(Malformed::CutOff) => return out.unread(point, "an IP packet cut off in its head", octets.bytes.len()),
            Err(Malformed::Fragment) => return out.unread(point, "an impossible IP fragment", octets.bytes.len()),
            Err(Malformed::Extensions) => {
                return out.unread(point, "too many IPv6 extension headers", octets.bytes.len());
            }
            Err(Malformed::Version(_) | Malformed::HeaderChecksum) => {
                return out.unread(point, "no IP packet where the link layer tells of one", octets.bytes.len());
            }
        };
        // A capture that was not cut and still lacks octets was cut by whoever put the packet there.
        let part = Octets { bytes: packet.payload, missing };
        let ip::Header { source, destination, protocol, fragment } = packet.header;
        let identification = match fragment {
            Some(fragment) => fragment.identification,
            None if source.is_ipv4() => u32::from(u16::from_be_bytes([octets.bytes[4], octets.bytes[5]])),
            None => 0,
        };
        let payload = Payload { source, destination, protocol, identification, octets: part };
        match fragment {
            Some(fragment) if part.is_cut() && fragment.offset > 0 => {
                out.unread(point, "an IP fragment that is cut", part.bytes.len());
            }
            // Nothing can be put together with it: its own octets are all there will be.
            Some(_) if part.is_cut() => self.payload(point, payload, out),
            Some(_) => match self.fragments.receive(point.now, &packet) {
                Taken::Whole(whole) => {
                    let protocol = whole.header.protocol;
                    let payload = Payload { protocol, octets: Octets::whole(&whole.payload), ..payload };
                    self.payload(point, payload, out);
                }
                Taken::Refused => {
                    self.dropped_fragments += 1;
                    out.unread(point, "IP fragments that lie over each other", part.bytes.len());
                }
                Taken::Kept | Taken::NotAFragment => {}
            },
            None => self.payload(point, payload, out),
        }
        self.say_lost_fragments(point, out);
    }

    /// Takes what an IP packet carries.
    pub(super) fn payload(&mut self, point: Point, payload: Payload<'_>, out: &mut Out) {
        let octets = payload.octets;
        if point.depth > MOST_DEPTH {
            return out.unread(point, "too many packets inside each other", octets.bytes.len());
        }
        match payload.protocol {
            ip::UDP => self.udp(point, payload, out),
            ip::TCP => {
                let Some(segment) = super::tcp::Segment::read(payload) else {
                    return out.unread(point, "a TCP segment cut off in its head", octets.bytes.len());
                };
                if !self.streams.wants(point, &segment) {
                    out.summary.other += 1;
                } else if !self.is_copy(point, payload, out) {
                    self.streams.receive(point, &segment, out);
                }
            }
            SCTP => {
                if !super::sctp::wants(payload) {
                    out.summary.other += 1;
                } else if !self.is_copy(point, payload, out) {
                    self.associations.receive(point, payload, out);
                }
            }
            ip::ESP => {
                if !self.is_copy(point, payload, out) {
                    self.sealed(point, payload, false, out);
                }
            }
            IP_IN_IP | IPV6_IN_IP => self.packet(inside(point, payload, 0), octets, out),
            tunnel::GRE => match tunnel::gre(octets) {
                Some(carried) => self.carried(point, payload, carried, out),
                None => out.unread(point, "a GRE packet cut off in its head", octets.bytes.len()),
            },
            AUTHENTICATION => {
                let len = octets.bytes.get(1).map_or(0, |len| (usize::from(*len) + 2) * 4);
                let point = Point { depth: point.depth + 1, ..point };
                match (octets.bytes.first(), octets.from(len)) {
                    (Some(&protocol), Some(octets)) => {
                        self.payload(point, Payload { protocol, octets, ..payload }, out)
                    }
                    _ => out.unread(point, "an authentication header that is cut", octets.bytes.len()),
                }
            }
            ICMP | ICMPV6 => {
                out.summary.other += 1;
                if let Some(lost) = super::icmp::lost(payload.protocol == ICMPV6, octets.bytes)
                    && !self.is_copy(point, payload, out)
                {
                    out.push(point, Seen::Lost(lost));
                }
            }
            _ => out.summary.other += 1,
        }
    }

    fn udp(&mut self, point: Point, payload: Payload<'_>, out: &mut Out) {
        let Some(datagram) = udp::Datagram::read(payload) else {
            return out.unread(point, "a UDP datagram cut off in its head", payload.octets.bytes.len());
        };
        match datagram.kind(point) {
            udp::Kind::GtpU { tunnel, packet } => self.packet(inside(point, payload, tunnel), packet, out),
            udp::Kind::Vxlan(carried) => self.carried(point, payload, carried, out),
            udp::Kind::Esp => {
                if !self.is_copy(point, payload, out) {
                    self.sealed(point, Payload { octets: datagram.data, ..payload }, true, out);
                }
            }
            udp::Kind::Sip { start } => {
                if !self.is_copy(point, payload, out) {
                    datagram.message(point, start, out);
                }
            }
            udp::Kind::Hep => {
                if !self.is_copy(point, payload, out) {
                    hep::packet(point, datagram.data.bytes, out);
                }
            }
            udp::Kind::KeepAlive => out.summary.keep_alives += 1,
            udp::Kind::Other => out.summary.other += 1,
            udp::Kind::Unread(reason) => {
                if !self.is_copy(point, payload, out) {
                    out.unread(point, reason, datagram.data.bytes.len());
                }
            }
        }
    }

    /// Takes an ESP packet, from SPI on.
    fn sealed(&mut self, point: Point, payload: Payload<'_>, in_udp: bool, out: &mut Out) {
        if let Some((point, inner)) = self.esp.receive(point, payload, in_udp, out) {
            self.opened(point, inner, out);
        }
    }

    fn opened(&mut self, point: Point, inner: super::esp::Inner, out: &mut Out) {
        let super::esp::Inner { source, destination, protocol, octets, missing } = inner;
        let octets = Octets { bytes: &octets, missing };
        // Of what is inside no copy is looked for: sequence numbers differ, and the packet around it was looked at.
        let point = Point { depth: point.depth + 1, ..point };
        match protocol {
            IP_IN_IP | IPV6_IN_IP => self.packet(point, octets, out),
            protocol => self.payload(point, Payload { source, destination, protocol, identification: 0, octets }, out),
        }
    }

    /// Tries ESP packets that waited: all, after a key became known; those whose time is over stay shut.
    fn open_again(&mut self, point: Option<Point>, out: &mut Out) {
        // What is opened may reveal the next key.
        for _ in 0..MOST_DEPTH {
            if std::mem::take(&mut out.has_new_keys) {
                for (point, inner) in self.esp.open_again(out) {
                    self.opened(point, inner, out);
                }
            }
            if !out.has_new_keys {
                break;
            }
        }
        self.esp.give_up(point.map(|point| point.now), out);
    }

    fn is_copy(&mut self, point: Point, payload: Payload<'_>, out: &mut Out) -> bool {
        // Inside ESP the packet around was looked at.
        if matches!(point.protection, super::Protection::Esp(_)) {
            return false;
        }
        let Payload { source, destination, protocol, identification, octets } = payload;
        let mut hasher = FixedState::default().build_hasher();
        (source, destination, protocol, identification).hash(&mut hasher);
        hasher.write(octets.bytes);
        let is_copy = self.copies.is_copy(hasher.finish(), point.vantage, point.at);
        out.summary.copies += u64::from(is_copy);
        is_copy && !self.keep_copies
    }

    /// Packets whose fragments never came together, since this was last asked.
    fn say_lost_fragments(&mut self, point: Point, out: &mut Out) {
        let lost = self.fragments.dropped();
        for _ in self.dropped_fragments..lost {
            out.unread(point, "an IP packet of which fragments are missing", 0);
        }
        self.dropped_fragments = lost;
        for (from, to) in self.fragments.take_given_up() {
            out.push(point, Seen::Lost(Lost { from, to, ports: None, why: Loss::Fragments }));
        }
    }
}

/// The same point, inside `payload`.
fn inside(point: Point, payload: Payload<'_>, tunnel: u32) -> Point {
    let ends = FixedState::default().hash_one((payload.source, payload.destination, payload.protocol, tunnel));
    Point { vantage: mix(point.vantage, ends), depth: point.depth + 1, ..point }
}

fn mix(a: u64, b: u64) -> u64 {
    FixedState::default().hash_one((a, b))
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const AUTHENTICATION: u8 = 51;
const MOST_DEPTH: u8 = 8;
