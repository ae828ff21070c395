//! The live driver: sockets and a clock around an [`Ims`].
//!
//! One thread runs everything. Each socket has a small task that, when bytes are there, borrows the `Shard` and calls
//! straight into the elements: no channel, no lock, no copy of what was received. One more task sleeps until the
//! earliest deadline. The elements see none of it.
#![expect(clippy::disallowed_methods, reason = "this module is where sockets and clocks are")]

mod clock;
mod control;
pub mod descriptors;
pub mod hep;
pub mod plane;
pub mod ports;
mod protected;
mod shard;
mod sockets;
mod state;
mod stray;
mod stream;
mod tls;

pub use clock::Clock;
pub use control::{Answer, ControlSocket};
pub use protected::SaTraffic;
pub use sockets::{BindError, Sockets};
pub use state::{Recovered, StateDir, StateFault};
pub use stray::obstacle;
pub use tls::{Tls, TlsFault, Trust};

use crate::ims::{Element, ElementId, Fault, Ims, Tap};
use crate::ipsec::association::SaSetId;
use crate::packet::Outbox;
use crate::time::{Duration, Instant};
use shard::{Shard, Shared};
use state::journal::Journal;
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

/// A running [`Ims`]. Lives inside a `tokio::task::LocalSet`.
pub struct Live {
    shared: Shared,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

impl Live {
    /// Opens what is not open yet of the listeners of `ims`, starts the tasks and the elements.
    pub fn start(ims: Ims, sockets: Sockets, clock: Clock, tap: Box<dyn Tap>) -> Result<Self, BindError> {
        Self::start_with_state(ims, sockets, clock, tap, None)
    }

    /// The same; what elements record goes to `state`.
    pub fn start_with_state(
        ims: Ims,
        mut sockets: Sockets,
        clock: Clock,
        tap: Box<dyn Tap>,
        state: Option<StateDir>,
    ) -> Result<Self, BindError> {
        for listener in ims.listeners() {
            sockets.bind(&listener)?;
        }
        let mut plane = std::mem::take(&mut sockets.plane);
        if let Some(wire) = tap.wire() {
            plane.0.watch(wire);
        }
        let tls = std::mem::take(&mut sockets.speaks);
        let shared = Rc::new(RefCell::new(Shard::new(ims, plane, clock, tap, state)));
        shared.borrow_mut().tls = tls;
        sockets.serve(&shared);
        shared.borrow_mut().protected.plane.start(&shared);
        shard::run_timers(&shared);
        shard::with(&shared, |s, now| s.ims.start(now, &mut s.out, &mut *s.tap));
        Ok(Self { shared })
    }

    /// Gives one element a command.
    pub fn command<T>(&self, id: ElementId, command: impl FnOnce(&mut Element, Instant, &mut Outbox) -> T) -> T {
        let mut done = None;
        shard::with(&self.shared, |s, now| {
            s.ims.command(id, now, &mut s.out, &mut *s.tap, |e, o| done = Some(command(e, now, o)));
        });
        done.expect("a command runs at once")
    }

    /// From now on what has to do with a UE is altered ([`Ims::mutate`]). [`obstacle`] tells what cannot be done.
    pub fn mutate(&self, fault: Option<Fault>) {
        let mut shard = self.shared.borrow_mut();
        shard.ims.mutate(fault);
        let deaf = shard.ims.deaf().is_some();
        shard.protected.plane.deafen(deaf);
    }

    /// From now on nothing leaves for any other host than this.
    pub fn confine(&self, host: IpAddr) {
        self.shared.borrow_mut().only = Some(host);
    }

    /// Looks at the elements.
    pub fn look<T>(&self, look: impl FnOnce(&Ims) -> T) -> T {
        look(&self.shared.borrow().ims)
    }

    /// The same, with the time at which it is.
    pub fn look_now<T>(&self, look: impl FnOnce(&Ims, Instant) -> T) -> T {
        let shard = self.shared.borrow();
        look(&shard.ims, shard.clock.now())
    }

    /// What a set of SAs has carried, while it is alive.
    pub fn sa_traffic(&self, set: SaSetId) -> Option<SaTraffic> {
        let shard = self.shared.borrow();
        protected::traffic(&shard, shard.clock.now(), set)
    }

    /// Waits until something has happened.
    pub async fn changed(&self) {
        let changed = self.shared.borrow().changed.clone();
        changed.notified().await;
    }

    /// Waits until the state directory has failed: nothing leaves any more, the process is better ended.
    pub async fn state_lost(&self) -> String {
        if self.shared.borrow().journal.is_none() {
            return std::future::pending().await;
        }
        let changed = self.shared.borrow().changed.clone();
        loop {
            let notified = changed.notified();
            if let Some(fault) = self.shared.borrow().journal.as_ref().and_then(Journal::failure) {
                return fault.to_string();
            }
            notified.await;
        }
    }

    /// Ends in order: Diameter peers are told, what waits to be written is written; at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        shard::with(&self.shared, |s, now| s.ims.stop(now, &mut s.out, &mut *s.tap));
        let deadline = tokio::time::Instant::now() + patience;
        while self.shared.borrow().is_busy() && tokio::time::Instant::now() < deadline {
            let left = tokio::time::timeout_at(deadline, self.changed());
            if left.await.is_err() {
                break;
            }
        }
        let _ = tokio::time::timeout(patience.max(RESETS), protected::stop(&self.shared)).await;
        self.shared.borrow().streams.close_all();
    }
}

/// Resets wait for nobody; what takes time is that there may be thousands.
const RESETS: Duration = Duration::from_secs(10);
/// After a listener that cannot accept: others may end meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
