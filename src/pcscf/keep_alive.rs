//! Keep-alives of UEs: answered, and asked for in the 200 to a REGISTER (RFC 5626 clauses 4.4 and 5.4, RFC 6223).

use super::Pcscf;
use crate::event::{Event, Role, What};
use crate::packet::{Outbox, Packet, Transport};
use crate::sip::header::via::Via;
use crate::sip::keep_alive::answer;
use crate::time::Instant;

impl Pcscf {
    /// Answers a ping where a message would be taken: over an established set, or in clear where there is none.
    pub(super) fn on_keep_alive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        let over = self.books.carrier(packet);
        let established = over.and_then(|o| self.books.get(o)).filter(|set| set.phase.is_established());
        let is_welcome = match packet.sa {
            Some(_) => established.is_some(),
            None if packet.transport == Transport::Tls => true,
            None => !self.is_protected(packet.to) && !self.books.has_established(packet.from),
        };
        let flow = established.map(|set| set.flow);
        if !is_welcome {
            self.dropped += 1;
            let (from, to) = (packet.from, packet.to);
            let what = What::PacketDropped { from, to, cause: "keep-alive where no message is taken" };
            return out.event(|| Event { role: Role::Pcscf, what });
        }
        answer(packet, out);
        if let (Some(over), Some(flow)) = (over, flow) {
            self.books.used(now, over);
            self.heard(now, flow);
        }
    }
}

/// A Via line of a UE whose first element offers `keep`, with how often keep-alives are wanted in it (RFC 6223
/// clause 6); `None` where it does not offer.
pub(super) fn with_keep(line: &str, seconds: u64) -> Option<String> {
    let (via, _) = Via::parse(line).ok()?;
    if via.params.get("keep") != Some(None) {
        return None;
    }
    let params = via.params.text;
    let start = params.as_ptr() as usize - line.as_ptr() as usize;
    let mut at = 0;
    for parameter in params.split_inclusive(';') {
        let name = parameter.trim_end_matches(';').trim_end();
        if name.trim_start().eq_ignore_ascii_case("keep") {
            let end = start + at + name.len();
            return Some(format!("{}={seconds}{}", &line[..end], &line[end..]));
        }
        at += parameter.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_gets_its_value_and_nothing_else_changes() {
        for (line, expected) in [
            ("SIP/2.0/UDP h;branch=z9hG4bK1;keep", Some("SIP/2.0/UDP h;branch=z9hG4bK1;keep=30")),
            ("SIP/2.0/UDP h ; Keep ;branch=z9hG4bK1", Some("SIP/2.0/UDP h ; Keep=30 ;branch=z9hG4bK1")),
            ("SIP/2.0/UDP h;keep, SIP/2.0/UDP i;keep", Some("SIP/2.0/UDP h;keep=30, SIP/2.0/UDP i;keep")),
            ("SIP/2.0/UDP h;x=keep;keep", Some("SIP/2.0/UDP h;x=keep;keep=30")),
            ("SIP/2.0/UDP h;keep=7", None),
            ("SIP/2.0/UDP h;keeper", None),
            ("SIP/2.0/UDP h, SIP/2.0/UDP i;keep", None),
            ("x", None),
        ] {
            assert_eq!(with_keep(line, 30).as_deref(), expected, "{line}");
        }
    }
}
