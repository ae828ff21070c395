//! A simulated UE: registration, answer to challenges, security agreement, refresh, de-registration (TS 24.229
//! clause 5.1.1).

mod config;

pub use config::{RetryPolicy, UeConfig};

use crate::packet::{Connection, Outbox, Packet, SaFailure};
use crate::random::Random;
use crate::time::Instant;

/// The element.
#[derive(Debug)]
pub struct Ue {
    config: UeConfig,
}

/// Where a UE stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UeStatus {
    /// Nothing asked for yet, or de-registered.
    Idle,
    /// A REGISTER is on its way.
    Registering,
    /// Registered.
    Registered,
    /// Waiting for the next attempt.
    Waiting,
    /// Given up: the last status and why.
    Failed {
        /// The last status received, 0: none.
        status: u16,
    },
}

impl Ue {
    /// Switched on, not registered.
    pub fn new(config: UeConfig, _random: Random) -> Self {
        Self { config }
    }

    /// How it was told to behave.
    pub const fn config(&self) -> &UeConfig {
        &self.config
    }

    /// Starts a registration, or a re-registration at once.
    pub fn register(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }

    /// Starts a de-registration.
    pub fn deregister(&mut self, _now: Instant, _out: &mut Outbox) {
        todo!()
    }

    /// Where it stands.
    pub fn status(&self) -> UeStatus {
        todo!()
    }

    /// Why the last attempt failed, in one line.
    pub fn failure(&self) -> Option<&str> {
        todo!()
    }

    /// The USIM, whose SQNs the caller may keep in a file.
    pub fn usim(&self) -> &crate::aka::usim::Usim {
        todo!()
    }

    /// Takes a SIP packet.
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
