//! Addresses at which elements are reached.

use crate::event::Role;
use crate::packet::{Protocol, Transport};
use std::net::SocketAddr;

/// Where an element is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The address.
    pub address: SocketAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whose it is.
    pub role: Role,
    /// True for port_ps and the pool of port_pc.
    pub protected: bool,
    /// False for the pool of port_pc, from which TCP connections are only opened.
    pub tcp: bool,
    /// False for Diameter.
    pub udp: bool,
    /// True for Diameter where SCTP is wanted.
    pub sctp: bool,
    /// True for SIP over TLS, which has a port of its own.
    pub tls: bool,
}

impl Listener {
    /// UDP and TCP, unprotected.
    pub const fn sip(address: SocketAddr, role: Role) -> Self {
        Self { address, protocol: Protocol::Sip, role, protected: false, tcp: true, udp: true, sctp: false, tls: false }
    }

    /// TLS alone.
    pub const fn tls(address: SocketAddr, role: Role) -> Self {
        Self { tcp: false, udp: false, tls: true, ..Self::sip(address, role) }
    }

    /// For Diameter peers, over TCP, SCTP or both.
    pub fn diameter(address: SocketAddr, role: Role, transports: &[Transport]) -> Self {
        let has = |transport| transports.contains(&transport);
        let (tcp, sctp) = (has(Transport::Tcp), has(Transport::Sctp));
        Self { protocol: Protocol::Diameter, tcp, sctp, udp: false, ..Self::sip(address, role) }
    }
}
