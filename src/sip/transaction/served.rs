//! One server transaction, until it is answered; that of an INVITE until its ACK.

use super::Timers;
use super::key::{Head, KeyShape};
use super::route::copy_vias;
use crate::packet::{Outbox, Route};
use crate::sip::{HeaderName, Message, Writer};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

#[derive(Debug)]
pub(super) struct Server {
    pub(super) state: State,
    pub(super) is_invite: bool,
    pub(super) is_reliable: bool,
    /// In `Servers::sides`.
    pub(super) side: u8,
    pub(super) since: Instant,
    pub(super) source: SocketAddr,
    pub(super) route: Route,
    pub(super) reconnect: Option<Reconnect>,
    pub(super) key_hash: u64,
    /// `NO_CALL` where there is none.
    pub(super) call_hash: u64,
    pub(super) shape: KeyShape,
    /// Key, From value, then the message kept: the request until it is answered, afterwards the last answer.
    pub(super) buffer: Vec<u8>,
    pub(super) key_length: u32,
    pub(super) message_start: u32,
}

/// How a response finds its way when the connection of the request is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reconnect {
    /// At the host that the request came from.
    pub(super) port: u16,
    /// In `Servers::on_connections`.
    pub(super) place: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Not answered.
    Trying,
    /// A provisional response has been sent.
    Proceeding,
    /// A final response to INVITE has been sent, and is repeated for every copy of the request and by itself, next
    /// after this interval, until the ACK comes.
    Completed(Duration),
    /// The ACK has come; copies of it are absorbed.
    Confirmed,
    /// A 2xx to INVITE has been sent (RFC 6026 clause 7.1): repeating it is not our work.
    Accepted,
    /// Nothing is answered, copies are absorbed.
    Abandoned,
}

impl Server {
    pub(super) fn head(&self) -> Head<'_> {
        let (key, from) = self.buffer[..self.message_start as usize].split_at(self.key_length as usize);
        Head { key, shape: self.shape, from }
    }

    /// What is kept behind key and From.
    pub(super) fn message(&self) -> &[u8] {
        &self.buffer[self.message_start as usize..]
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// RFC 4320 clause 4.1.
    pub(super) fn may_be_provisional(&self, now: Instant, status: u16, timers: Timers) -> bool {
        self.is_invite || (status == 100 && (self.is_reliable || now >= self.since + until_t2(timers)))
    }

    /// Answers a copy of the request, where there is an answer.
    pub(super) fn repeat(&self, out: &mut Outbox) {
        if matches!(self.state, State::Proceeding | State::Completed(_)) {
            out.transmit(self.route, |bytes| bytes.extend_from_slice(self.message()));
        }
    }

    pub(super) fn send_trying(&mut self, out: &mut Outbox) {
        let Ok(request) = Message::parse(self.message()) else { return };
        let trying = out.transmit(self.route, |bytes| write_trying(bytes, &request, self.source));
        self.keep(trying);
        self.state = State::Proceeding;
    }

    /// Keeps an answer in place of what was kept before.
    pub(super) fn keep(&mut self, answer: &[u8]) {
        self.buffer.truncate(self.message_start as usize);
        self.buffer.extend_from_slice(answer);
    }

    pub(super) fn answered_with_tag_of(&self, ack: &Message<'_>) -> bool {
        let Ok(answer) = Message::parse(self.message()) else { return false };
        match (answer.to(), ack.to()) {
            (Ok(answered), Ok(acknowledged)) => answered.tag() == acknowledged.tag(),
            _ => false,
        }
    }
}

fn write_trying(out: &mut Vec<u8>, request: &Message<'_>, source: SocketAddr) {
    let mut writer = Writer::response(out, 100, "Trying");
    copy_vias(request, source, &mut writer);
    for line in request.lines() {
        let is_timestamp = line.name_text.eq_ignore_ascii_case("Timestamp");
        if matches!(line.name, HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq)
            || is_timestamp
        {
            writer.copy(&line);
        }
    }
    writer.finish(b"");
}

/// How long a client over UDP takes until its timer E is set to T2.
pub(super) fn until_t2(timers: Timers) -> Duration {
    let (mut elapsed, mut interval) = (Duration::ZERO, timers.t1.max(Duration::from_millis(1)));
    while interval < timers.t2 {
        elapsed += interval;
        interval *= 2;
    }
    elapsed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_e_grows_to_t2() {
        assert_eq!(until_t2(Timers::CORE), Duration::from_millis(3_500));
        assert_eq!(until_t2(Timers::GM), Duration::from_secs(14));
    }
}
