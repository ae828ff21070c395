//! Is a silent UE still there? OPTIONS on the way that a request for it would take (field lessons 38 and 39).
//!
//! The time of the last message is kept at the level of SIP: that of an SA says nothing about who answered. Two probes
//! without an answer make the flow silent: requests for the UE are refused by 430 until it is heard again. Nothing is
//! de-registered, because a UE at idle may be out of reach for a while (field lesson 37).

use super::Pcscf;
use super::flow::FlowKey;
use super::passing::{Asked, WayToUe};
use crate::event::{Event, Role, What};
use crate::packet::{Outbox, Transport};
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Writer};
use crate::time::{Duration, Instant, Timeouts};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Who was heard when. There is one only where the configuration wants probes.
#[derive(Debug)]
pub(super) struct Liveness {
    interval: Duration,
    known: HashMap<FlowKey, Seen, RandomState>,
    timeouts: Timeouts<FlowKey>,
}

#[derive(Debug)]
struct Seen {
    last: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It was heard, or will be asked when it has been silent for long enough.
    Alive,
    /// It was asked this often.
    Asked { client: ClientId, times: u8 },
    /// It has not answered; it is asked every now and then.
    Silent(Option<ClientId>),
}

impl Liveness {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, known: HashMap::default(), timeouts: Timeouts::new() }
    }

    /// The earliest timer.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.next()
    }
}

impl Pcscf {
    /// A flow has registered.
    pub(super) fn watch(&mut self, now: Instant, flow: FlowKey) {
        let Some(liveness) = &mut self.liveness else { return };
        let Liveness { known, timeouts, interval } = &mut **liveness;
        let seen = known.entry(flow).or_insert_with(|| {
            timeouts.after(now, *interval, flow);
            Seen { last: now, state: State::Alive }
        });
        seen.last = now;
        seen.state = State::Alive;
    }

    /// A message or a keep-alive of a UE has come.
    pub(super) fn heard(&mut self, now: Instant, flow: FlowKey) {
        let Some(liveness) = &mut self.liveness else { return };
        if let Some(seen) = liveness.known.get_mut(&flow) {
            *seen = Seen { last: now, state: State::Alive };
        }
    }

    /// True for a flow that answers nothing any more.
    pub(super) fn is_silent(&self, flow: FlowKey) -> bool {
        let seen = self.liveness.as_ref().and_then(|l| l.known.get(&flow));
        seen.is_some_and(|seen| matches!(seen.state, State::Silent(_)))
    }

    /// Asks those who have been silent, and judges those who were asked.
    pub(super) fn handle_liveness_timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(flow) = self.liveness.as_mut().and_then(|l| l.timeouts.pop(now)) {
            let again = self.look_after(now, flow, out);
            let Some(liveness) = &mut self.liveness else { return };
            match again {
                Some(after) => liveness.timeouts.after(now, after, flow),
                None => {
                    liveness.known.remove(&flow);
                }
            }
        }
    }

    /// Returns when to look again; `None`: nobody is registered any more.
    fn look_after(&mut self, now: Instant, flow: FlowKey, out: &mut Outbox) -> Option<Duration> {
        let liveness = self.liveness.as_ref()?;
        let (interval, seen) = (liveness.interval, liveness.known.get(&flow)?);
        let (state, silent) = (seen.state, now - seen.last);
        if let State::Asked { client, .. } | State::Silent(Some(client)) = state {
            self.to_ue.forget(client);
        }
        let way = self.way_to_ue(now, flow, false)?;
        let (next, after) = match state {
            State::Alive if silent < interval => return Some(interval - silent),
            State::Asked { times: PROBES, .. } => {
                let ue = way.route.to;
                out.event(|| Event { role: Role::Pcscf, what: What::UeSilent { ue, since: silent } });
                (State::Silent(None), interval)
            }
            State::Silent(Some(_)) => (State::Silent(None), interval),
            State::Silent(None) => (State::Silent(Some(self.probe(now, flow, way, out))), PATIENCE),
            State::Alive => (State::Asked { client: self.probe(now, flow, way, out), times: 1 }, PATIENCE),
            State::Asked { times, .. } => {
                (State::Asked { client: self.probe(now, flow, way, out), times: times + 1 }, PATIENCE)
            }
        };
        if let Some(seen) = self.liveness.as_mut().and_then(|l| l.known.get_mut(&flow)) {
            seen.state = next;
        }
        Some(after)
    }

    /// Sends OPTIONS to a UE.
    fn probe(&mut self, now: Instant, flow: FlowKey, way: WayToUe, out: &mut Outbox) -> ClientId {
        let WayToUe { route, here } = way;
        let ue = route.to;
        let (call_id, tag) = (self.random.token::<20>(), self.random.token::<10>());
        let write = |bytes: &mut Vec<u8>, transport: Transport, branch: &str| {
            let mut w = Writer::request(bytes, "OPTIONS", &format!("sip:{ue}"));
            w.header_fmt(HeaderName::Via, format_args!("SIP/2.0/{transport} {here};branch={branch}"));
            w.header(HeaderName::MaxForwards, "70");
            w.header_fmt(HeaderName::From, format_args!("<sip:{here}>;tag={tag}"));
            w.header_fmt(HeaderName::To, format_args!("<sip:{ue}>"));
            w.header(HeaderName::CallId, call_id.as_str());
            w.header(HeaderName::CSeq, "1 OPTIONS");
            w.finish(b"");
        };
        self.to_ue.ask(now, route, Asked::Probe(flow), out, write)
    }
}

/// Questions before a flow counts as silent.
const PROBES: u8 = 2;
/// How long each waits for its answer (field lesson 38).
const PATIENCE: Duration = Duration::from_secs(4);
