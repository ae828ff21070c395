//! The P-CSCF: security agreement with the UE, then a stateful proxy towards the I-CSCF (TS 24.229 clause 5.2).

mod config;

pub use config::{PcscfConfig, SecAgreePolicy};

use crate::packet::{Connection, Outbox, Packet, SaFailure};
use crate::random::Random;
use crate::time::Instant;

/// The element.
#[derive(Debug)]
pub struct Pcscf {
    config: PcscfConfig,
}

impl Pcscf {
    /// With nothing registered.
    pub fn new(config: PcscfConfig, _random: Random) -> Self {
        Self { config }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &PcscfConfig {
        &self.config
    }

    /// Takes a packet addressed to one of its listeners.
    pub fn receive(&mut self, _now: Instant, _packet: &Packet<'_>, _out: &mut Outbox) {
        todo!()
    }

    /// News of a connection.
    pub fn connection(&mut self, _now: Instant, _connection: &Connection, _out: &mut Outbox) {
        todo!()
    }

    /// A set of SAs could not be installed.
    pub fn sa_failed(&mut self, _now: Instant, _failure: SaFailure, _out: &mut Outbox) {
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
}
