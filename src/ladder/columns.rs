//! Which column an address belongs to.

use super::cx::asks;
use crate::diameter::Header;
use crate::event::Role;
use crate::packet::{Packet, Protocol};
use crate::sip::{HeaderName, Message};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Which address belongs to which column.
///
/// Addresses that nobody listens at, such as protected ports of UEs and client ends of connections, are told apart by
/// what they do: by their SA, by Via, by the Cx command.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    roles: BTreeMap<SocketAddr, Role>,
}

impl Columns {
    /// From the listeners of elements.
    pub fn from_listeners(listeners: impl IntoIterator<Item = (SocketAddr, Role)>) -> Self {
        Self { roles: listeners.into_iter().collect() }
    }

    /// The column of an address, if a listener has it.
    pub fn role(&self, address: SocketAddr) -> Option<Role> {
        self.roles.get(&address).copied()
    }

    /// True when somebody of this role listens.
    pub fn has(&self, role: Role) -> bool {
        self.roles.values().any(|known| *known == role)
    }

    /// Sender and receiver of a packet, if they can be told.
    pub(super) fn ends(&self, packet: &Packet<'_>) -> Option<(Role, Role)> {
        let (from, to) = (self.role(packet.from), self.role(packet.to));
        let (from, to) = match (from, to) {
            (Some(from), Some(to)) => (from, to),
            (Some(from), None) if packet.sa.is_some() => (from, other_end_of_gm(from)),
            (None, Some(to)) if packet.sa.is_some() => (other_end_of_gm(to), to),
            (None, None) if packet.sa.is_some() && self.is_pcscf(packet.from) && !self.is_pcscf(packet.to) => {
                (Role::Pcscf, Role::Ue)
            }
            (None, None) if packet.sa.is_some() && self.is_pcscf(packet.to) && !self.is_pcscf(packet.from) => {
                (Role::Ue, Role::Pcscf)
            }
            _ => match packet.protocol {
                Protocol::Diameter => by_command(packet, from, to)?,
                Protocol::Sip => self.by_via(packet, from, to)?,
            },
        };
        (from != to).then_some((from, to))
    }

    /// True for any port of a P-CSCF: a UE on its own learns the protected ones from the 401.
    fn is_pcscf(&self, address: SocketAddr) -> bool {
        self.roles.iter().any(|(listener, role)| *role == Role::Pcscf && listener.ip() == address.ip())
    }

    /// The topmost Via names the sender of a request, and the receiver of its response.
    fn by_via(&self, packet: &Packet<'_>, from: Option<Role>, to: Option<Role>) -> Option<(Role, Role)> {
        let message = Message::parse(packet.bytes).ok()?;
        let is_request = message.status().is_none();
        let (client, server) = if is_request { (from, to) } else { (to, from) };
        let client = client.or_else(|| self.sent_by(&message)).or_else(|| by_vias(&message))?;
        let server = server.or_else(|| next_hop(client))?;
        Some(if is_request { (client, server) } else { (server, client) })
    }

    fn sent_by(&self, message: &Message<'_>) -> Option<Role> {
        let via = message.via().ok()?;
        match via.host.trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(ip) => self.role(SocketAddr::new(ip, via.port.unwrap_or(5060))),
            Err(_) => by_name(via.host),
        }
    }
}

fn by_command(packet: &Packet<'_>, from: Option<Role>, to: Option<Role>) -> Option<(Role, Role)> {
    let header = Header::read(packet.bytes)?;
    let (client, server) = asks(header.command)?;
    let (sender, receiver) = if header.request { (client, server) } else { (server, client) };
    Some((from.unwrap_or(sender), to.unwrap_or(receiver)))
}

/// A REGISTER has one Via more at each element that it has passed.
fn by_vias(message: &Message<'_>) -> Option<Role> {
    let count = message.elements(HeaderName::Via).count();
    [Role::Ue, Role::Pcscf, Role::Icscf].get(count.checked_sub(1)?).copied()
}

/// Elements are named by their role unless their profile says otherwise.
fn by_name(host: &str) -> Option<Role> {
    match host.split('.').next()? {
        "pcscf" => Some(Role::Pcscf),
        "icscf" => Some(Role::Icscf),
        "scscf" => Some(Role::Scscf),
        "as" => Some(Role::ApplicationServer),
        _ => None,
    }
}

/// SAs are between UE and P-CSCF only.
const fn other_end_of_gm(role: Role) -> Role {
    match role {
        Role::Ue => Role::Pcscf,
        _ => Role::Ue,
    }
}

/// Whom a REGISTER goes to from here.
const fn next_hop(role: Role) -> Option<Role> {
    match role {
        Role::Ue => Some(Role::Pcscf),
        Role::Pcscf => Some(Role::Icscf),
        Role::Icscf | Role::ApplicationServer => Some(Role::Scscf),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipsec::association::{PortPair, SaId, SaSetId};
    use crate::packet::Transport;

    #[test]
    fn protected_ports_of_both_ends_belong_to_the_pcscf_whose_address_is_known() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let columns = Columns::from_listeners([(address("192.0.2.1:5060"), Role::Pcscf)]);
        let bytes = b"NOTIFY sip:u@192.0.2.7:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:6100;branch=z9hG4bKa\r\n\r\n";
        let sa = Some(SaId { set: SaSetId(1), pair: PortPair::UsPc });
        let ends = |from, to| {
            let (from, to) = (address(from), address(to));
            columns.ends(&Packet { bytes, protocol: Protocol::Sip, transport: Transport::Udp, from, to, sa })
        };
        assert_eq!(ends("192.0.2.1:5100", "192.0.2.7:31001"), Some((Role::Pcscf, Role::Ue)));
        assert_eq!(ends("192.0.2.7:31000", "192.0.2.1:6100"), Some((Role::Ue, Role::Pcscf)));
    }
}
