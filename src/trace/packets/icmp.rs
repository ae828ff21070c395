//! ICMP: what it says of packets that did not get through.

use crate::ip::{self, Packet};
use crate::trace::{Loss, Lost};

/// What a message tells of a packet that its router or receiver did not take (RFC 792, RFC 1191, RFC 4443 clauses 3.1 and 3.2).
pub(super) fn lost(is_v6: bool, message: &[u8]) -> Option<Lost> {
    let &[kind, code, _, _, a, b, c, d] = message.first_chunk()?;
    let why = match (is_v6, kind, code) {
        (false, 3, 4) => Loss::TooLarge(u32::from(u16::from_be_bytes([c, d]))),
        (true, 2, _) => Loss::TooLarge(u32::from_be_bytes([a, b, c, d])),
        (false, 3, _) | (true, 1, _) => Loss::Unreachable,
        _ => return None,
    };
    // As much of the packet as fits in: its header, and eight octets behind it at least.
    let (packet, _) = Packet::captured(&message[8..]).ok()?;
    let ip::Header { source: from, destination: to, protocol, fragment } = packet.header;
    let has_ports = matches!(protocol, ip::UDP | ip::TCP) && fragment.is_none_or(|fragment| fragment.offset == 0);
    let ports = packet.payload.first_chunk().filter(|_| has_ports);
    let ports = ports.map(|&[a, b, c, d]| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
    Some(Lost { from, to, ports, why })
}
