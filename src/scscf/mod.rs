//! The S-CSCF: registrar, authenticator (TS 24.229 clause 5.4.1).

mod config;

pub use config::{ChallengePolicy, ScscfConfig};

use crate::packet::{Connection, Outbox, Packet};
use crate::random::Random;
use crate::time::Instant;

/// The element.
#[derive(Debug)]
pub struct Scscf {
    config: ScscfConfig,
}

impl Scscf {
    /// With nothing registered.
    pub fn new(config: ScscfConfig, _random: Random) -> Self {
        Self { config }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &ScscfConfig {
        &self.config
    }

    /// Connects to the HSS.
    pub fn start(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }

    /// Takes a SIP or Diameter packet.
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

    /// Disconnects from the HSS in order.
    pub fn stop(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }
}
