//! ESP in UDP (RFC 3948): what a datagram on port 4500 is.

use super::Carrier;
use crate::ip;
use crate::ip::transport::write_udp;
use std::net::{IpAddr, SocketAddr};

/// Appends the whole IP packet around an ESP packet.
pub fn write_packet(out: &mut Vec<u8>, source: IpAddr, destination: IpAddr, carrier: Carrier, esp: &[u8]) {
    match carrier {
        Carrier::Ip => ip::write(out, source, destination, ip::ESP, esp),
        Carrier::Udp { source_port, destination_port } => {
            let begun = ip::begin(out, source, destination, ip::UDP);
            let from = SocketAddr::new(source, source_port);
            write_udp(out, from, SocketAddr::new(destination, destination_port), esp);
            begun.finish(out);
        }
    }
}

/// The port of UDP-encapsulated ESP.
pub const PORT: u16 = 4500;
/// A datagram that keeps the NAT's mapping alive (RFC 3948 clause 2.3). Nobody answers it.
pub const KEEP_ALIVE: [u8; 1] = [0xff];

/// A datagram to port 4500.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Datagram<'a> {
    /// An ESP packet, for [`Engine::open`](super::Engine::open).
    Esp(&'a [u8]),
    /// [`KEEP_ALIVE`]
    KeepAlive,
    /// With the non-ESP marker of four zero octets: IKE, which IMS does not use here.
    NonEsp,
}

impl<'a> Datagram<'a> {
    /// Tells them apart (RFC 3948 clause 2.2: an SPI is never zero).
    pub fn of(octets: &'a [u8]) -> Self {
        if octets == KEEP_ALIVE {
            Self::KeepAlive
        } else if octets.starts_with(&[0; 4]) {
            Self::NonEsp
        } else {
            Self::Esp(octets)
        }
    }
}
