//! Keep-alives of a UE, and what it does when they are not answered (RFC 5626 clauses 4.4 and 4.5, RFC 6223).

use super::{Goal, KeepAlivePolicy, Ue, tell};
use crate::event::What;
use crate::packet::{Outbox, Packet, Route, Transport};
use crate::random::Random;
use crate::sip::keep_alive::{PING, PONG, answer};
use crate::sip::stun::{self, Stun, TransactionId};
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

/// Where the keep-alives of one registration stand.
#[derive(Debug)]
pub(super) struct KeepAlive {
    /// What the P-CSCF asks for, or the configuration.
    interval: Duration,
    state: State,
    /// Our address as the P-CSCF saw it.
    mapped: Option<SocketAddr>,
}

#[derive(Debug)]
enum State {
    /// Until the next one.
    Resting { next: Instant },
    /// CRLF CRLF was sent.
    AwaitingPong { until: Instant },
    /// A binding request was sent; it is repeated at `next`, after which `left` repetitions are left.
    AwaitingResponse { id: TransactionId, next: Instant, interval: Duration, left: u8 },
}

impl KeepAlive {
    /// What a 200 to a REGISTER asks for, or `policy` wants.
    pub(super) fn agreed(
        now: Instant,
        policy: KeepAlivePolicy,
        response: &Message<'_>,
        random: &mut Random,
    ) -> Option<Self> {
        let interval = match policy {
            KeepAlivePolicy::Off => return None,
            KeepAlivePolicy::Every(interval) => interval,
            KeepAlivePolicy::Negotiated => {
                let keep = response.via().ok().and_then(|via| via.params.value("keep"));
                let asked = keep.or_else(|| response.header(HeaderName::FlowTimer));
                Duration::from_secs(asked?.trim().parse::<u32>().ok().filter(|secs| *secs > 0)?.into())
            }
        };
        let state = State::Resting { next: now + spread(interval, random) };
        Some(Self { interval, state, mapped: None })
    }

    pub(super) const fn due(&self) -> Instant {
        match self.state {
            State::Resting { next } | State::AwaitingResponse { next, .. } => next,
            State::AwaitingPong { until } => until,
        }
    }
}

impl Ue {
    /// What is no message: an answer to our keep-alive, or a ping.
    pub(super) fn on_keep_alive(&mut self, now: Instant, packet: &Packet<'_>, out: &mut Outbox) {
        let established = self.registration.as_ref().and_then(|r| r.set.as_ref());
        if packet.sa.is_none() && established.is_some() {
            return;
        }
        if answer(packet, out) {
            return;
        }
        let Some(keep_alive) = &mut self.keep_alive else { return };
        match (&keep_alive.state, Stun::read(packet.bytes)) {
            (State::AwaitingPong { .. }, None) if packet.transport.is_stream() && packet.bytes == PONG => {}
            (State::AwaitingResponse { id, .. }, Some(Stun::Response { id: of, mapped })) if *id == of => {
                let before = keep_alive.mapped.replace(mapped);
                if before.is_some_and(|before| before != mapped) {
                    // RFC 5626 clause 4.4.2: somebody between has given us another address.
                    return self.flow_failed(now, "the P-CSCF sees another address", out);
                }
            }
            _ => return,
        }
        keep_alive.state = State::Resting { next: now + spread(keep_alive.interval, &mut self.random) };
    }

    pub(super) fn handle_keep_alive_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let Some(route) = self.way().map(|way| way.route) else {
            self.keep_alive = None;
            return;
        };
        let Some(keep_alive) = self.keep_alive.as_mut().filter(|k| k.due() <= now) else { return };
        match &mut keep_alive.state {
            State::Resting { .. } => keep_alive.state = ping(now, route, &mut self.random, out),
            State::AwaitingResponse { id, next, interval, left } if *left > 0 => {
                *left -= 1;
                *interval *= 2;
                // RFC 5389 clause 7.2.1: Rm.
                *next = now + if *left > 0 { *interval } else { RTO * 16 };
                out.transmit(route, |bytes| stun::write_request(id, bytes));
            }
            State::AwaitingPong { .. } | State::AwaitingResponse { .. } => {
                self.flow_failed(now, "the P-CSCF does not answer keep-alives", out);
            }
        }
    }

    /// RFC 5626 clause 4.5: the flow is made anew by an initial registration.
    fn flow_failed(&mut self, now: Instant, cause: &'static str, out: &mut Outbox) {
        self.keep_alive = None;
        tell(out, || What::RetryAt { after: Duration::ZERO, cause: cause.to_owned() });
        if self.goal == Goal::Registered && !self.is_busy() {
            self.start(now, Goal::Registered, true, out);
        }
    }
}

fn ping(now: Instant, route: Route, random: &mut Random, out: &mut Outbox) -> State {
    if route.transport == Transport::Udp {
        let id = random.bytes();
        out.transmit(route, |bytes| stun::write_request(&id, bytes));
        return State::AwaitingResponse { id, next: now + RTO, interval: RTO, left: REPETITIONS };
    }
    out.transmit(route, |bytes| bytes.extend_from_slice(PING));
    State::AwaitingPong { until: now + PONG_PATIENCE }
}

/// 80 to 100 per cent (RFC 5626 clause 4.4).
fn spread(interval: Duration, random: &mut Random) -> Duration {
    let fifth = u32::try_from((interval / 5).as_millis()).unwrap_or(u32::MAX - 1);
    interval - Duration::from_millis(random.below(fifth + 1).into())
}

/// RFC 5626 clause 4.4.1.
const PONG_PATIENCE: Duration = Duration::from_secs(10);
/// RFC 5389 clause 7.2.1: RTO, and Rc is 7.
const RTO: Duration = Duration::from_millis(500);
const REPETITIONS: u8 = 6;
