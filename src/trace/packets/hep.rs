//! HEP packets inside of a capture, on their way from an agent to its collector. What they hold is handed out with the
//! addresses that they name, when it passed here.

use super::{Out, Point, Protection};
use crate::trace::{Seen, hep};

/// What begins every packet.
pub(super) const MAGIC: &[u8] = b"HEP3";

/// Hands out what one packet holds.
pub(super) fn packet(point: Point, bytes: &[u8], out: &mut Out) {
    let point = Point { protection: Protection::Unknown, ..point };
    match hep::parse(bytes) {
        Ok(hep::Packet { message, .. }) => match message.ends {
            Some(ends) => out.message(point, message.protocol, ends, message.cut, &message.bytes),
            None => out.push(point, Seen::Message(message)),
        },
        Err(fault) => out.unread(point, fault.reason(), bytes.len()),
    }
}
