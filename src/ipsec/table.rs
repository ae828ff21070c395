//! The SAs that are alive, looked up by addresses and ports: what plane `none` has in place of ESP.

use super::association::{PortPair, SaId, SaSet, SaSetId};
use crate::identity::Spi;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// All sets alive on one host.
///
/// It holds what a packet shows and no keys: nothing here could decrypt anything.
#[derive(Debug, Default)]
pub struct SaTable {
    sets: HashMap<SaSetId, Entry, RandomState>,
    /// From the addresses of a packet that comes in.
    selectors: HashMap<Selector, (SaSetId, PortPair), RandomState>,
    /// SPIs of the SAs that end here: RFC 4303 clause 2.1 lets the receiver find an SA by its SPI alone.
    inbound_spis: HashSet<(Ipv6Addr, Spi), RandomState>,
}

/// What a plane says to an inbound packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inbound {
    /// It matches the selectors of this SA.
    Protected(SaId),
    /// Neither address belongs to a set: ordinary traffic.
    Clear,
    /// It goes to a protected port of ours without fitting any SA: dropped.
    Refused,
}

impl SaTable {
    /// Adds a set; an error if its selectors or SPIs collide with those of a set alive. Installing the same set again
    /// changes nothing.
    pub fn install(&mut self, set: &SaSet) -> Result<(), Collision> {
        let entry = Entry::of(set);
        if let Some(alive) = self.sets.get(&set.id) {
            return if *alive == entry { Ok(()) } else { Err(Collision) };
        }
        let taken = entry.selectors.iter().any(|s| self.selectors.contains_key(s))
            || entry.inbound_spis().any(|spi| self.inbound_spis.contains(&spi));
        if taken {
            return Err(Collision);
        }
        for (selector, pair) in entry.selectors.into_iter().zip([PortPair::UcPs, PortPair::UsPc]) {
            self.selectors.insert(selector, (set.id, pair));
        }
        self.inbound_spis.extend(entry.inbound_spis());
        self.sets.insert(set.id, entry);
        Ok(())
    }

    /// Removes a set; unknown ones are ignored.
    pub fn remove(&mut self, set: SaSetId) {
        // Only what this set put in goes: another set of the same UE shares port_us and port_ps (TS 33.203 clause 7.4).
        if let Some(entry) = self.sets.remove(&set) {
            for selector in &entry.selectors {
                self.selectors.remove(selector);
            }
            for spi in entry.inbound_spis() {
                self.inbound_spis.remove(&spi);
            }
        }
    }

    /// Judges a packet by its addresses. `protected_port` tells whether the local port serves protected traffic only.
    pub fn inbound(&self, from: SocketAddr, to: SocketAddr, protected_port: bool) -> Inbound {
        match self.between(to, from) {
            Some(sa) => Inbound::Protected(sa),
            None if protected_port => Inbound::Refused,
            None => Inbound::Clear,
        }
    }

    /// True when `sa` may carry a packet between these addresses.
    pub fn outbound(&self, sa: SaId, from: SocketAddr, to: SocketAddr) -> bool {
        self.between(from, to) == Some(sa)
    }

    /// The SA between a local and a remote address, in either direction.
    fn between(&self, local: SocketAddr, remote: SocketAddr) -> Option<SaId> {
        let selector = Selector::new(local.ip(), local.port(), remote.ip(), remote.port());
        self.selectors.get(&selector).map(|&(set, pair)| SaId { set, pair })
    }

    /// True while `set` is alive.
    pub fn contains(&self, _set: SaSetId) -> bool {
        todo!()
    }

    /// How many sets are alive.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A set whose SPIs or selectors are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collision;

/// One set as its host sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    /// Those of port_uc with port_ps and of port_us with port_pc.
    selectors: [Selector; 2],
    spis: [Spi; 2],
}

impl Entry {
    fn of(set: &SaSet) -> Self {
        let (local, remote) = if set.at_ue { (&set.ue, &set.pcscf) } else { (&set.pcscf, &set.ue) };
        let (here, there) =
            if set.at_ue { (set.ue_address, set.pcscf_address) } else { (set.pcscf_address, set.ue_address) };
        let client = Selector::new(here, local.port_c, there, remote.port_s);
        let server = Selector::new(here, local.port_s, there, remote.port_c);
        // Pairs are named from the side of the UE.
        let selectors = if set.at_ue { [client, server] } else { [server, client] };
        Self { selectors, spis: [local.spi_c, local.spi_s] }
    }

    fn inbound_spis(&self) -> impl Iterator<Item = (Ipv6Addr, Spi)> + use<> {
        let here = self.selectors[0].local;
        self.spis.into_iter().map(move |spi| (here, spi))
    }
}

/// Addresses and ports of one SA in each direction. IPv4 addresses in their IPv6 form, which keeps the table small.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Selector {
    local: Ipv6Addr,
    remote: Ipv6Addr,
    local_port: u16,
    remote_port: u16,
}

impl Selector {
    fn new(local: IpAddr, local_port: u16, remote: IpAddr, remote_port: u16) -> Self {
        let wide = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { local: wide(local), remote: wide(remote), local_port, remote_port }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aka::{Ck, Ik};
    use crate::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity};

    fn set(id: u64, ue: (u32, u16, u16), pcscf: (u32, u16)) -> SaSet {
        let endpoint = |spi, port_c, port_s| Endpoint { spi_c: Spi(spi), spi_s: Spi(spi + 1), port_c, port_s };
        SaSet {
            id: SaSetId(id),
            ue_address: "10.0.0.7".parse().unwrap(),
            pcscf_address: "10.0.0.1".parse().unwrap(),
            ue: endpoint(ue.0, ue.1, ue.2),
            pcscf: endpoint(pcscf.0, pcscf.1, 6_100),
            algorithms: Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null },
            ck: Ck([0; 16]),
            ik: Ik([0; 16]),
            at_ue: false,
        }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_packet_is_known_by_both_addresses_and_ports() {
        let mut table = SaTable::default();
        table.install(&set(1, (300, 31_000, 31_001), (400, 5_100))).unwrap();
        let sa = |pair| Inbound::Protected(SaId { set: SaSetId(1), pair });
        assert_eq!(table.inbound(at("10.0.0.7:31000"), at("10.0.0.1:6100"), true), sa(PortPair::UcPs));
        assert_eq!(table.inbound(at("10.0.0.7:31001"), at("10.0.0.1:5100"), true), sa(PortPair::UsPc));
        // SA 1 with the ports of SA 4, another source address, another source port.
        for (from, to) in [
            ("10.0.0.7:31001", "10.0.0.1:6100"),
            ("10.0.0.8:31000", "10.0.0.1:6100"),
            ("10.0.0.7:31002", "10.0.0.1:6100"),
        ] {
            assert_eq!(table.inbound(at(from), at(to), true), Inbound::Refused);
        }
        assert_eq!(table.inbound(at("10.0.0.7:5060"), at("10.0.0.1:5060"), false), Inbound::Clear);
        let us_pc = SaId { set: SaSetId(1), pair: PortPair::UsPc };
        assert!(table.outbound(us_pc, at("10.0.0.1:5100"), at("10.0.0.7:31001")));
        assert!(!table.outbound(us_pc, at("10.0.0.1:6100"), at("10.0.0.7:31000")));
        table.remove(SaSetId(1));
        assert_eq!(table.inbound(at("10.0.0.7:31000"), at("10.0.0.1:6100"), true), Inbound::Refused);
        assert!(table.is_empty());
    }

    #[test]
    fn the_side_of_the_ue_sees_the_same_pairs() {
        let mut table = SaTable::default();
        table.install(&SaSet { at_ue: true, ..set(9, (300, 31_000, 31_001), (400, 5_100)) }).unwrap();
        let us_pc = Inbound::Protected(SaId { set: SaSetId(9), pair: PortPair::UsPc });
        assert_eq!(table.inbound(at("10.0.0.1:5100"), at("10.0.0.7:31001"), true), us_pc);
        let uc_ps = SaId { set: SaSetId(9), pair: PortPair::UcPs };
        assert!(table.outbound(uc_ps, at("10.0.0.7:31000"), at("10.0.0.1:6100")));
    }

    /// Field lesson 8: installation is idempotent and atomic.
    #[test]
    fn lesson_08_installing_twice_is_harmless_and_a_collision_leaves_nothing() {
        let mut table = SaTable::default();
        let first = set(1, (300, 31_000, 31_001), (400, 5_100));
        assert_eq!(table.install(&first), Ok(()));
        assert_eq!(table.install(&first), Ok(()));
        assert_eq!(table.len(), 1);
        // Same port_uc and port_ps; same port_us and port_pc; one SPI of ours; another set under a name in use.
        for other in [
            set(2, (500, 31_000, 31_009), (600, 5_101)),
            set(2, (500, 31_008, 31_001), (600, 5_100)),
            set(2, (500, 31_008, 31_009), (401, 5_101)),
            set(1, (500, 31_008, 31_009), (600, 5_101)),
        ] {
            assert_eq!(table.install(&other), Err(Collision));
            assert_eq!((table.len(), table.selectors.len(), table.inbound_spis.len()), (1, 2, 2));
        }
    }

    /// Field lesson 17: two sets of one UE share port_us and port_ps.
    #[test]
    fn lesson_17_removing_the_old_set_leaves_the_selectors_of_the_new_one() {
        let mut table = SaTable::default();
        table.install(&set(1, (300, 31_000, 31_001), (400, 5_100))).unwrap();
        table.install(&set(2, (302, 31_002, 31_001), (402, 5_101))).unwrap();
        table.remove(SaSetId(1));
        let new = |pair| Inbound::Protected(SaId { set: SaSetId(2), pair });
        assert_eq!(table.inbound(at("10.0.0.7:31001"), at("10.0.0.1:5101"), true), new(PortPair::UsPc));
        assert_eq!(table.inbound(at("10.0.0.7:31002"), at("10.0.0.1:6100"), true), new(PortPair::UcPs));
        assert_eq!(table.inbound(at("10.0.0.7:31001"), at("10.0.0.1:5100"), true), Inbound::Refused);
    }
}
