//! What an I-CSCF is told.

use crate::diameter::peer::NodeConfig;
use crate::packet::Transport;
use crate::sip::overload::Limits;
use crate::sip::transaction::Timers;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// An S-CSCF that may be selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScscfEntry {
    /// Its name: the SIP URI that the HSS stores.
    pub name: Box<str>,
    /// What it can do.
    pub capabilities: Vec<u32>,
}

/// Configuration of an [`super::Icscf`].
#[derive(Clone, Debug)]
pub struct IcscfConfig {
    /// SIP listeners, UDP and TCP each.
    pub listen: Vec<SocketAddr>,
    /// Host name in Via.
    pub host: Box<str>,
    /// Transport towards S-CSCFs.
    pub transport: Transport,
    /// Timers.
    pub timers: Timers,
    /// The Diameter side.
    pub diameter: NodeConfig,
    /// Destination-Realm.
    pub realm: Box<str>,
    /// S-CSCFs to select from.
    pub scscfs: Vec<ScscfEntry>,
    /// What is taken on; beyond it new registrations are shed.
    pub limits: Limits,
    /// Host names to addresses (profile key `hosts`); no DNS.
    pub hosts: BTreeMap<Box<str>, std::net::IpAddr>,
    /// Senders whose requests are taken (P-CSCFs); empty: loopback and the own network's addresses in `hosts`.
    pub trusted: Vec<std::net::IpAddr>,
}
