//! One thread's elements and what they need around them.

use super::clock::Clock;
use super::plane::OpenPlane;
use super::protected::{self, Protected};
use super::sockets::UdpSockets;
use super::state::StateDir;
use super::state::journal::{self, Journal};
use super::stray;
use super::stream::Streams;
use super::tls::Tls;
use crate::ims::{ElementId, Ims, Outward, SaAnswers, Tap};
use crate::packet::{Connection, Effect, Packet, Route, Transport};
use crate::time::{Duration, Instant};
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use tokio::sync::Notify;

pub(super) type Shared = Rc<RefCell<Shard>>;

/// Elements, sockets and the box in between.
pub(super) struct Shard {
    pub(super) ims: Ims,
    pub(super) tap: Box<dyn Tap>,
    pub(super) out: Outward,
    pub(super) clock: Clock,
    pub(super) udp: UdpSockets,
    pub(super) streams: Streams,
    pub(super) tls: Tls,
    pub(super) protected: Protected,
    /// Where records go, with a state directory.
    pub(super) journal: Option<Journal>,
    /// The only host that anything may leave for.
    pub(super) only: Option<IpAddr>,
    /// Wakes whoever watches ([`super::Live::changed`]).
    pub(super) changed: Rc<Notify>,
    /// Wakes the timer task when an earlier deadline has appeared.
    earlier: Rc<Notify>,
    armed: Option<Instant>,
}

impl Shard {
    pub(super) fn new(
        mut ims: Ims,
        plane: OpenPlane,
        clock: Clock,
        tap: Box<dyn Tap>,
        state: Option<StateDir>,
    ) -> Self {
        ims.set_sa_answers(SaAnswers::Driver);
        Self {
            ims,
            tap,
            out: Outward::new(),
            clock,
            udp: UdpSockets::default(),
            streams: Streams::default(),
            tls: Tls::default(),
            protected: Protected::new(plane),
            journal: state.map(Journal::new),
            only: None,
            changed: Rc::new(Notify::new()),
            earlier: Rc::new(Notify::new()),
            armed: None,
        }
    }

    /// True while there is something left to send, or somebody to send it to.
    pub(super) fn is_busy(&self) -> bool {
        self.streams.is_busy() || self.journal.as_ref().is_some_and(Journal::is_busy)
    }

    /// Hands in one packet. Call [`finish`] after a batch.
    pub(super) fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        self.ims.receive(now, packet, &mut self.out, &mut *self.tap);
    }
}

/// Runs `call` on the shard and carries out what follows.
pub(super) fn with(shared: &Shared, call: impl FnOnce(&mut Shard, Instant)) {
    let mut shard = shared.borrow_mut();
    let now = shard.clock.now();
    call(&mut shard, now);
    drop(shard);
    finish(shared);
}

/// News of a connection.
pub(super) fn news(shared: &Shared, owner: Option<ElementId>, connection: Connection) {
    with(shared, |s, now| s.ims.connection(now, owner, &connection, &mut s.out, &mut *s.tap));
}

/// Carries out the effects that have gathered, arms the timer, wakes watchers.
pub(super) fn finish(shared: &Shared) {
    carry_out_all(&mut shared.borrow_mut(), shared);
    journal::write(shared);
    let shard = shared.borrow();
    let next = shard.ims.next_timeout();
    if next.is_some_and(|at| shard.armed.is_none_or(|armed| at < armed)) {
        shard.earlier.notify_one();
    }
    shard.changed.notify_waiters();
}

/// Carries out what waited for records that are durable now.
pub(super) fn release(shared: &Shared, mut waited: Outward) {
    {
        let mut shard = shared.borrow_mut();
        let now = shard.clock.now();
        let (effects, bytes) = waited.drain();
        for (owner, effect) in effects {
            carry_out(&mut shard, shared, now, owner, effect, bytes);
        }
    }
    finish(shared);
}

fn carry_out_all(shard: &mut Shard, shared: &Shared) {
    // Carrying out an effect can fail at once, and the elements then have more to say.
    while !shard.out.is_empty() {
        let mut out = std::mem::take(&mut shard.out);
        let now = shard.clock.now();
        {
            let (effects, bytes) = out.drain();
            for (owner, effect) in effects {
                let effect = match &mut shard.journal {
                    Some(journal) => journal.pass(owner, effect, bytes),
                    None => Some(effect),
                };
                if let Some(effect) = effect {
                    carry_out(shard, shared, now, owner, effect, bytes);
                }
            }
        }
        out.clear();
        if shard.out.is_empty() {
            shard.out = out;
        }
    }
}

fn carry_out(shard: &mut Shard, shared: &Shared, now: Instant, owner: ElementId, effect: Effect, bytes: &[u8]) {
    match effect {
        Effect::Transmit { from, to, transport, protocol, sa, range } => {
            let route = Route { from, to, transport, protocol, sa };
            if shard.only.is_some_and(|only| only != to.ip()) {
                tracing::warn!(%to, "nothing is sent there");
                return;
            }
            if shard.ims.is_mutated() && stray::send(shard, shared, owner, route, &bytes[range.clone()]) {
                return;
            }
            match transport {
                Transport::Udp
                    if sa.is_some()
                        && let Some(inside) = shard.protected.plane.inside() =>
                {
                    inside.send(route, &bytes[range]);
                }
                Transport::Udp => shard.udp.send(route, &bytes[range]),
                Transport::Tcp | Transport::Tls | Transport::Sctp => {
                    shard.streams.send(shared, owner, route, &bytes[range])
                }
            }
        }
        Effect::Connect { from, to, transport, protocol } => {
            let route = Route { from, to, transport, protocol, sa: None };
            shard.streams.connect(shared, owner, route, Vec::new());
        }
        Effect::Close { transport, local, remote } => shard.streams.close((transport, local, remote)),
        Effect::InstallSa(set) => protected::install(shard, shared, now, owner, set),
        Effect::ExtendSa { set, until } => protected::extend(shard, now, set, until),
        Effect::RemoveSa(set) => protected::remove(shard, shared, set),
        Effect::ReplaySa(set) => protected::replay(shard, set),
        Effect::Reset { local, remote, .. } => {
            shard.streams.reset(&[(local, remote)]);
        }
        Effect::TransmitPart { to, .. } if shard.only.is_some_and(|only| only != to.ip()) => {
            tracing::warn!(%to, "nothing is sent there");
        }
        Effect::TransmitPart { from, to, range, .. } => stray::send_part(from, to, &bytes[range]),
        // No record leaves an element unless a state directory was opened for it.
        Effect::Record { .. } | Effect::Event(_) => {}
    }
}

/// The task that sleeps until the earliest deadline. Under load timers come due every moment, and each time the process
/// wakes up for one of them it finds cold caches: those that follow soon wait for each other.
pub(super) fn run_timers(shared: &Shared) {
    let shared = Rc::clone(shared);
    let earlier = Rc::clone(&shared.borrow().earlier);
    tokio::task::spawn_local(async move {
        let mut ran = None;
        loop {
            let (next, clock) = {
                let mut shard = shared.borrow_mut();
                shard.armed = shard.ims.next_timeout();
                (shard.armed, shard.clock)
            };
            let Some(at) = next else {
                earlier.notified().await;
                continue;
            };
            let at = ran.map_or(at, |ran| at.max(ran + BETWEEN_TIMERS));
            tokio::select! {
                () = tokio::time::sleep_until(clock.deadline(at)) => {
                    with(&shared, |s, now| s.ims.handle_timeout(now, &mut s.out, &mut *s.tap));
                    ran = Some(clock.now());
                }
                () = earlier.notified() => {}
            }
        }
    });
}

/// A twenty-fifth of T1.
const BETWEEN_TIMERS: Duration = Duration::from_millis(20);
