//! One thread's elements and what they need around them.

use super::clock::Clock;
use super::protected::ProtectedPorts;
use super::sockets::UdpSockets;
use super::stream::Streams;
use crate::ims::{ElementId, Ims, Outward, Tap};
use crate::packet::{Connection, Effect, Packet, Route, SaFailure, Transport};
use crate::time::Instant;
use std::cell::RefCell;
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
    pub(super) protected: ProtectedPorts,
    /// Wakes whoever watches ([`super::Live::changed`]).
    pub(super) changed: Rc<Notify>,
    /// Wakes the timer task when an earlier deadline has appeared.
    earlier: Rc<Notify>,
    armed: Option<Instant>,
}

impl Shard {
    pub(super) fn new(ims: Ims, clock: Clock, tap: Box<dyn Tap>) -> Self {
        Self {
            ims,
            tap,
            out: Outward::new(),
            clock,
            udp: UdpSockets::default(),
            streams: Streams::default(),
            protected: ProtectedPorts::default(),
            changed: Rc::new(Notify::new()),
            earlier: Rc::new(Notify::new()),
            armed: None,
        }
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
    let mut shard = shared.borrow_mut();
    // Carrying out an effect can fail at once, and the elements then have more to say.
    while !shard.out.is_empty() {
        let mut out = std::mem::take(&mut shard.out);
        let now = shard.clock.now();
        {
            let (effects, bytes) = out.drain();
            for (owner, effect) in effects {
                carry_out(&mut shard, shared, now, owner, effect, bytes);
            }
        }
        out.clear();
        if shard.out.is_empty() {
            shard.out = out;
        }
    }
    let next = shard.ims.next_timeout();
    if next.is_some_and(|at| shard.armed.is_none_or(|armed| at < armed)) {
        shard.earlier.notify_one();
    }
    shard.changed.notify_waiters();
}

fn carry_out(shard: &mut Shard, shared: &Shared, now: Instant, owner: ElementId, effect: Effect, bytes: &[u8]) {
    match effect {
        Effect::Transmit { from, to, transport, protocol, sa, range } => {
            let route = Route { from, to, transport, protocol, sa };
            match transport {
                Transport::Udp => shard.udp.send(route, &bytes[range]),
                Transport::Tcp => shard.streams.send(shared, owner, route, &bytes[range]),
            }
        }
        Effect::Connect { from, to, protocol } => shard.streams.connect(shared, owner, from, to, protocol, Vec::new()),
        Effect::Close { local, remote } => shard.streams.close(local, remote),
        Effect::InstallSa(set) => {
            if let Err(error) = shard.protected.open(&set, &mut shard.udp, shared) {
                tracing::warn!(set = %set.id, %error, "protected ports could not be opened");
                let failure = SaFailure { set: set.id };
                shard.ims.sa_failed(now, failure, &mut shard.out, &mut *shard.tap);
            }
        }
        Effect::RemoveSa(set) => shard.protected.close(set, &mut shard.udp),
        Effect::Event(_) => {}
    }
}

/// The task that sleeps until the earliest deadline.
pub(super) fn run_timers(shared: &Shared) {
    let shared = Rc::clone(shared);
    let earlier = Rc::clone(&shared.borrow().earlier);
    tokio::task::spawn_local(async move {
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
            tokio::select! {
                () = tokio::time::sleep_until(clock.deadline(at)) => {
                    with(&shared, |s, now| s.ims.handle_timeout(now, &mut s.out, &mut *s.tap));
                }
                () = earlier.notified() => {}
            }
        }
    });
}
