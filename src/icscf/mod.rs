//! The I-CSCF: asks the HSS which S-CSCF serves a user and forwards (TS 24.229 clause 5.3, TS 29.228 clause 6.1.1).

mod config;

pub use config::{IcscfConfig, ScscfEntry};

use crate::packet::{Connection, Outbox, Packet};
use crate::random::Random;
use crate::time::Instant;

/// The element.
#[derive(Debug)]
pub struct Icscf {
    config: IcscfConfig,
}

impl Icscf {
    /// With no request open.
    pub fn new(config: IcscfConfig, _random: Random) -> Self {
        Self { config }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &IcscfConfig {
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
