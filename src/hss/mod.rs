//! The HSS: subscribers, authentication centre, registration state (TS 29.228 clause 6; `docs/cx.md`).

mod config;
pub mod store;

pub use config::HssConfig;
pub use store::{Store, Subscriber};

use crate::packet::{Connection, Outbox, Packet};
use crate::random::Random;
use crate::time::Instant;

/// The element.
#[derive(Debug)]
pub struct Hss {
    config: HssConfig,
    _store: Store,
}

impl Hss {
    /// With the subscribers of `store`, none of them registered.
    pub fn new(config: HssConfig, store: Store, _random: Random) -> Self {
        Self { config, _store: store }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &HssConfig {
        &self.config
    }

    /// Nothing to connect to; peers come.
    pub fn start(&mut self, _now: Instant, _out: &mut Outbox) {}

    /// Takes a Diameter packet.
    pub fn receive(&mut self, _now: Instant, _packet: &Packet<'_>, _out: &mut Outbox) {
        todo!()
    }

    /// News of a connection.
    pub fn connection(&mut self, _now: Instant, _connection: &Connection, _out: &mut Outbox) {
        todo!()
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }

    /// Disconnects its peers in order.
    pub fn stop(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }
}
