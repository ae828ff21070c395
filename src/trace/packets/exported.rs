//! PDUs that Wireshark exported (LINKTYPE_WIRESHARK_UPPER_PDU): tags that tell the ends, and the message itself.

use super::out::Out;
use super::{Octets, Point, Protection, content};
use crate::packet::{Protocol, Transport};
use crate::trace::Ends;
use std::net::{IpAddr, SocketAddr};

pub(super) const LINKTYPE: u16 = 252;

/// What a PDU is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pdu<'a> {
    Message(Protocol, Option<Ends>, Octets<'a>),
    /// An IP packet: the tunnels around it were left out.
    Ip(Octets<'a>),
    Other,
}

/// Hands out a message, or an IP packet to `packet`.
pub(super) fn take<'a>(point: Point, frame: Octets<'a>, out: &mut Out, packet: impl FnOnce(Octets<'a>, &mut Out)) {
    match read(frame) {
        None => out.unread(point, "an exported PDU that is cut in its tags", frame.bytes.len()),
        Some(Pdu::Other) => out.summary.other += 1,
        Some(Pdu::Ip(octets)) => packet(octets, out),
        // Whether ESP was around it is not told.
        Some(Pdu::Message(protocol, ends, octets)) => {
            let point = Point { protection: Protection::Unknown, ..point };
            out.exported(point, protocol, ends, octets.is_cut(), octets.bytes);
        }
    }
}

fn read(frame: Octets<'_>) -> Option<Pdu<'_>> {
    let (mut rest, mut name) = (frame, &b""[..]);
    let (mut ips, mut ports, mut transport) = ([None; 2], [None; 2], None);
    loop {
        let &[t0, t1, l0, l1] = rest.bytes.first_chunk()?;
        let (tag, len) = (u16::from_be_bytes([t0, t1]), usize::from(u16::from_be_bytes([l0, l1])));
        let value = rest.bytes.get(4..4 + len)?;
        rest = rest.from(4 + len)?;
        match tag {
            END => break,
            DISSECTOR => name = value,
            IPV4_SOURCE | IPV4_DESTINATION => {
                ips[usize::from(tag - IPV4_SOURCE)] = value.first_chunk::<4>().map(|octets| IpAddr::from(*octets));
            }
            IPV6_SOURCE | IPV6_DESTINATION => {
                ips[usize::from(tag - IPV6_SOURCE)] = value.first_chunk::<16>().map(|octets| IpAddr::from(*octets));
            }
            PORT_TYPE => {
                transport = match number(value)? {
                    1 => Some(Transport::Sctp),
                    2 => Some(Transport::Tcp),
                    3 => Some(Transport::Udp),
                    _ => None,
                }
            }
            SOURCE_PORT | DESTINATION_PORT => {
                ports[usize::from(tag - SOURCE_PORT)] = u16::try_from(number(value)?).ok();
            }
            _ => {}
        }
    }
    let end = |at: usize| Some(SocketAddr::new(ips[at]?, ports[at]?));
    let ends = || Some(Ends { from: end(0)?, to: end(1)?, transport: transport? });
    // Names are padded with zeros.
    let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
    Some(match name {
        b"ip" | b"ipv6" => Pdu::Ip(rest),
        _ if content::begins_diameter(rest.bytes) => Pdu::Message(Protocol::Diameter, ends(), rest),
        _ => match content::sip_start(rest.bytes).and_then(|start| rest.from(start)) {
            Some(message) => Pdu::Message(Protocol::Sip, ends(), message),
            None => Pdu::Other,
        },
    })
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|word| u32::from_be_bytes(*word))
}

const END: u16 = 0;
const DISSECTOR: u16 = 12;
const IPV4_SOURCE: u16 = 20;
const IPV4_DESTINATION: u16 = 21;
const IPV6_SOURCE: u16 = 22;
const IPV6_DESTINATION: u16 = 23;
const PORT_TYPE: u16 = 24;
const SOURCE_PORT: u16 = 25;
const DESTINATION_PORT: u16 = 26;
