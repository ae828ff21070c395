//! Keep-alives between SIP messages (RFC 5626 clauses 3.5 and 4.4): CRLF CRLF on a connection, STUN over UDP.

use super::stun::{self, Stun};
use crate::packet::{Outbox, Packet, Route, Transport};

/// True for what is no message and never answered as one: nothing, line ends, zeros, STUN.
pub fn is_keep_alive(bytes: &[u8]) -> bool {
    stun::is_stun(bytes) || bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | 0))
}

/// Answers a ping where it came from, over the security association that carried it: CRLF to CRLF CRLF on a connection,
/// a binding response to a binding request over UDP. Returns whether there was something to answer.
pub fn answer(packet: &Packet<'_>, out: &mut Outbox) -> bool {
    let route = Route {
        from: packet.to,
        to: packet.from,
        sa: packet.sa,
        ..Route::sip(packet.transport, packet.to, packet.from)
    };
    match (packet.transport, packet.bytes) {
        (Transport::Tcp, PING) => {
            out.transmit(route, |bytes| bytes.extend_from_slice(PONG));
            true
        }
        (Transport::Udp, bytes) => match Stun::read(bytes) {
            Some(Stun::Request { id, unknown: None }) => {
                out.transmit(route, |bytes| stun::write_response(&id, packet.from, bytes));
                true
            }
            Some(Stun::Request { id, unknown: Some(unknown) }) => {
                out.transmit(route, |bytes| stun::write_unknown_attribute(&id, unknown, bytes));
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// RFC 5626 clause 3.5.1.
pub const PING: &[u8] = b"\r\n\r\n";
/// Its answer.
pub const PONG: &[u8] = b"\r\n";
