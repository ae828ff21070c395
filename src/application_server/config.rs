//! What an application server is told.

use crate::packet::Transport;
use crate::sip::destination::Hosts;
use crate::sip::transaction::Timers;
use crate::time::Duration;
use std::net::SocketAddr;

/// Configuration of an [`super::ApplicationServer`].
#[derive(Clone, Debug)]
pub struct ApplicationServerConfig {
    /// Its name: the SIP URI that filter criteria have as ServerName.
    pub name: Box<str>,
    /// SIP listeners, UDP and TCP each.
    pub listen: Vec<SocketAddr>,
    /// Transport of own requests.
    pub transport: Transport,
    /// Timers.
    pub timers: Timers,
    /// Host names to addresses; no DNS.
    pub hosts: Hosts,
    /// What it does with a third-party REGISTER.
    pub register: Behaviour,
    /// What it does with any other request that the S-CSCF sends over.
    pub requests: Behaviour,
    /// Whether it subscribes to the registration state of a user it is told of.
    pub subscribe: bool,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Behaviour {
    /// The outcome.
    pub reaction: Reaction,
    /// How long it takes.
    pub delay: Duration,
}

impl Behaviour {
    /// Accepts at once.
    pub const ACCEPT: Self = Self { reaction: Reaction::Accept, delay: Duration::ZERO };
}

/// The outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// 200 to a REGISTER; any other request goes back to the S-CSCF.
    Accept,
    /// This status.
    Refuse(u16),
    /// No answer, ever.
    Silence,
}
