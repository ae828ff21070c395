//! Traces for unit tests, a line each: milliseconds, sender, receiver, message.

use super::{Group, Limits, Story};
use crate::packet::{Protocol, Transport};
use crate::time::Instant;
use crate::trace::{Ends, Esp, Icv, Message, OpenedBy, Place, Protection, Seen, Sighting};

pub(super) const UE: &str = "10.0.0.7:5060";
pub(super) const PCSCF: &str = "10.0.0.1:5060";

/// A message and how it came.
pub(super) struct Line {
    pub(super) at: u64,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// ESP that carried it.
    pub(super) spi: Option<u32>,
    pub(super) text: String,
}

pub(super) fn up(at: u64, text: String) -> Line {
    Line { at, from: UE, to: PCSCF, spi: None, text }
}

pub(super) fn down(at: u64, text: String) -> Line {
    Line { at, from: PCSCF, to: UE, spi: None, text }
}

/// `REGISTER 1 branch` with further headers.
pub(super) fn request(method: &str, cseq: u32, branch: &str, headers: &str) -> String {
    format!("{method} sip:h SIP/2.0\r\n{}", rest(method, cseq, branch, headers))
}

/// Its answer.
pub(super) fn answer(status: u16, method: &str, cseq: u32, branch: &str, headers: &str) -> String {
    format!("SIP/2.0 {status} X\r\n{}", rest(method, cseq, branch, headers))
}

fn rest(method: &str, cseq: u32, branch: &str, headers: &str) -> String {
    let branch = if branch.is_empty() { String::new() } else { format!(";branch={branch}") };
    format!(
        "Via: SIP/2.0/UDP 10.0.0.7:5060{branch}\r\nFrom: <sip:u@h>;tag=1\r\nTo: <sip:u@h>\r\nCall-ID: c\r\n\
         CSeq: {cseq} {method}\r\n{headers}\r\n"
    )
}

pub(super) fn groups(lines: Vec<Line>) -> Vec<Group> {
    let mut story = Story::new(Limits::default());
    for (number, Line { at, from, to, spi, text }) in (1..).zip(lines) {
        let address = |text: &str| text.parse().expect("an address");
        let ends = Some(Ends { from: address(from), to: address(to), transport: Transport::Udp });
        let esp = |spi| Esp { spi, sequence: 1, icv: Icv::Unknown, by: OpenedBy::Trial, pair: None, mistake: None };
        let protection = spi.map_or(Protection::Clear, |spi| Protection::Esp(esp(spi)));
        let message = Message { protocol: Protocol::Sip, ends, protection, cut: false, bytes: text.into_bytes() };
        let (place, at) = (Place::Packet(number), Some(Instant::from_millis(at)));
        story.see(Sighting { place, at, seen: Seen::Message(message) });
    }
    story.finish();
    std::iter::from_fn(|| story.next()).collect()
}
