//! Who somebody is, and over what they talk.

use crate::event::Role;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The reference point between two elements.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum Interface {
    /// UE and P-CSCF.
    Gm,
    /// Between CSCFs.
    Mw,
    /// S-CSCF and application server.
    Isc,
    /// I-CSCF or S-CSCF and HSS.
    Cx,
    /// Diameter of another application: Rx of a P-CSCF, or the base protocol.
    OtherDiameter,
    /// The trace does not tell.
    #[default]
    Unknown,
}

impl Interface {
    /// Of two roles.
    pub const fn between(a: Option<Role>, b: Option<Role>) -> Self {
        match (a, b) {
            (Some(Role::Ue), Some(Role::Pcscf)) | (Some(Role::Pcscf), Some(Role::Ue)) => Self::Gm,
            (Some(Role::Hss), Some(_)) | (Some(_), Some(Role::Hss)) => Self::Cx,
            (Some(Role::ApplicationServer), Some(_)) | (Some(_), Some(Role::ApplicationServer)) => Self::Isc,
            (Some(Role::Pcscf | Role::Icscf | Role::Scscf), Some(Role::Pcscf | Role::Icscf | Role::Scscf)) => Self::Mw,
            _ => Self::Unknown,
        }
    }

    /// As people write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gm => "Gm",
            Self::Mw => "Mw",
            Self::Isc => "ISC",
            Self::Cx => "Cx",
            Self::OtherDiameter => "Diameter",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which roles have been seen at which addresses. All-in-one cores have several at one address.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Known {
    addresses: HashMap<SocketAddr, Roles, RandomState>,
    hosts: HashMap<IpAddr, Roles, RandomState>,
}

impl Known {
    /// Notes that `role` was seen at `address`.
    pub fn note(&mut self, address: SocketAddr, role: Role) {
        self.add(address, Roles::of(role));
    }

    /// The only role at an address and port; else the only role at any port of the address.
    pub fn role(&self, address: SocketAddr) -> Option<Role> {
        match self.at(address) {
            Some(roles) => roles.only(),
            None => self.of_host(address.ip()).only(),
        }
    }

    /// The roles at an address and port.
    pub fn at(&self, address: SocketAddr) -> Option<Roles> {
        self.addresses.get(&address).copied()
    }

    /// The roles at any port of an address.
    pub fn of_host(&self, address: IpAddr) -> Roles {
        self.hosts.get(&address).copied().unwrap_or_default()
    }

    /// Adds what `other` knows of an address.
    pub fn learn(&mut self, other: &Self, address: SocketAddr) {
        if let Some(roles) = other.at(address) {
            self.add(address, roles);
        }
        let roles = other.of_host(address.ip());
        if !roles.is_empty() {
            self.hosts.entry(address.ip()).or_default().0 |= roles.0;
        }
    }

    fn add(&mut self, address: SocketAddr, roles: Roles) {
        if self.addresses.len() < MOST_ADDRESSES || self.addresses.contains_key(&address) {
            self.addresses.entry(address).or_default().0 |= roles.0;
        }
        if self.hosts.len() < MOST_ADDRESSES || self.hosts.contains_key(&address.ip()) {
            self.hosts.entry(address.ip()).or_default().0 |= roles.0;
        }
    }
}

/// A set of roles.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Roles(u8);

impl Roles {
    /// One role.
    pub const fn of(role: Role) -> Self {
        Self(1 << role as u8)
    }

    pub(super) const fn add(&mut self, role: Role) {
        self.0 |= Self::of(role).0;
    }

    /// True when there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when it is among them.
    pub const fn has(self, role: Role) -> bool {
        self.0 >> role as u8 & 1 != 0
    }

    /// The role, where there is exactly one.
    pub fn only(self) -> Option<Role> {
        if self.0.count_ones() == 1 { ROLES.into_iter().find(|role| self.has(*role)) } else { None }
    }
}

const ROLES: [Role; 6] = [Role::Ue, Role::Pcscf, Role::Icscf, Role::Scscf, Role::Hss, Role::ApplicationServer];
/// Elements of a network are few; a trace of nonsense must not fill the memory.
const MOST_ADDRESSES: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_tells_apart_what_an_address_does_not() {
        let (pcscf, scscf): (SocketAddr, SocketAddr) =
            ("10.0.0.1:5060".parse().unwrap(), "10.0.0.1:6060".parse().unwrap());
        let client: SocketAddr = "10.0.0.1:40000".parse().unwrap();
        let mut known = Known::default();
        known.note(pcscf, Role::Pcscf);
        assert_eq!((known.role(pcscf), known.role(client)), (Some(Role::Pcscf), Some(Role::Pcscf)));
        known.note(scscf, Role::Scscf);
        assert_eq!(
            (known.role(pcscf), known.role(scscf), known.role(client)),
            (Some(Role::Pcscf), Some(Role::Scscf), None)
        );
        known.note(scscf, Role::Icscf);
        assert_eq!(known.role(scscf), None);
        assert!(known.at(scscf).unwrap().has(Role::Icscf));
    }

    #[test]
    fn interfaces() {
        let between = |a, b| (Interface::between(Some(a), Some(b)), Interface::between(Some(b), Some(a)));
        assert_eq!(between(Role::Ue, Role::Pcscf), (Interface::Gm, Interface::Gm));
        assert_eq!(between(Role::Pcscf, Role::Scscf), (Interface::Mw, Interface::Mw));
        assert_eq!(between(Role::Icscf, Role::Hss), (Interface::Cx, Interface::Cx));
        assert_eq!(between(Role::Scscf, Role::ApplicationServer), (Interface::Isc, Interface::Isc));
        assert_eq!(between(Role::Ue, Role::Scscf), (Interface::Unknown, Interface::Unknown));
    }
}
