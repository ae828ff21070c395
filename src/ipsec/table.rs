//! The SAs that are alive, looked up by addresses and ports: what plane `none` has in place of ESP.

use super::association::{PortPair, SaId, SaSet, SaSetId};
use crate::identity::Spi;
use foldhash::fast::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// All sets alive on one host.
///
/// It holds what a packet shows and no keys: nothing here could decrypt anything.
#[derive(Debug, Default)]
pub struct SaTable {
    sets: HashMap<SaSetId, Entry, RandomState>,
    /// From the hash of a [`Selector`]. What is found is compared with what was looked for.
    selectors: HashMap<[u32; 2], Name, RandomState>,
    hasher: RandomState,
    /// SPIs of the SAs that end here: RFC 4303 clause 2.1 lets the receiver find an SA by its SPI alone.
    inbound_spis: HashSet<Spi, RandomState>,
    /// Our own addresses: few, and named by their place in this list.
    addresses: Vec<IpAddr>,
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
        let entry = self.entry(set);
        if let Some(alive) = self.sets.get(&set.id) {
            return if *alive == entry { Ok(()) } else { Err(Collision) };
        }
        let selectors = entry.selectors().map(|s| self.short(&s));
        let taken = selectors.iter().any(|s| self.selectors.contains_key(s))
            || entry.inbound_spis.iter().any(|spi| self.inbound_spis.contains(spi));
        if taken {
            return Err(Collision);
        }
        for (selector, pair) in selectors.into_iter().zip([PortPair::UcPs, PortPair::UsPc]) {
            self.selectors.insert(selector, Name::new(set.id, pair));
        }
        self.inbound_spis.extend(entry.inbound_spis);
        self.sets.insert(set.id, entry);
        Ok(())
    }

    /// Removes a set; unknown ones are ignored.
    pub fn remove(&mut self, set: SaSetId) {
        // Only what this set put in goes: another set of the same UE shares port_us and port_ps (TS 33.203 clause 7.4).
        if let Some(entry) = self.sets.remove(&set) {
            for selector in entry.selectors() {
                self.selectors.remove(&self.short(&selector));
            }
            for spi in &entry.inbound_spis {
                self.inbound_spis.remove(spi);
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
        let here = self.addresses.iter().position(|a| *a == local.ip()).and_then(|at| u16::try_from(at).ok())?;
        let selector =
            Selector { remote: wide(remote.ip()), here, local_port: local.port(), remote_port: remote.port() };
        let sa = self.selectors.get(&self.short(&selector))?.sa();
        let [uc_ps, us_pc] = self.sets.get(&sa.set)?.selectors();
        (selector == if sa.pair == PortPair::UcPs { uc_ps } else { us_pc }).then_some(sa)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of one number")]
    fn short(&self, selector: &Selector) -> [u32; 2] {
        let hash = self.hasher.hash_one(selector);
        [hash as u32, (hash >> 32) as u32]
    }

    fn entry(&mut self, set: &SaSet) -> Entry {
        let (local, remote) = if set.at_ue { (&set.ue, &set.pcscf) } else { (&set.pcscf, &set.ue) };
        let (here, there) = match set.at_ue {
            true => (set.ue_address, set.pcscf_address),
            false => (set.pcscf_address, set.ue_address),
        };
        let here = self.addresses.iter().position(|a| *a == here).unwrap_or_else(|| {
            self.addresses.push(here);
            self.addresses.len() - 1
        });
        let client = (local.port_c, remote.port_s);
        let server = (local.port_s, remote.port_c);
        Entry {
            remote: wide(there),
            here: u16::try_from(here).expect("a host has fewer than 65,536 addresses"),
            // Pairs are named from the side of the UE.
            ports: if set.at_ue { [client, server] } else { [server, client] },
            inbound_spis: [local.spi_c, local.spi_s],
        }
    }

    /// True while `set` is alive.
    pub fn contains(&self, set: SaSetId) -> bool {
        self.sets.contains_key(&set)
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

/// One set as its host sees it. Hundreds of thousands of these live in a large run: 36 octets.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    remote: Ipv6Addr,
    here: u16,
    /// Local and remote port of the pair (port_uc, port_ps), then of (port_us, port_pc).
    ports: [(u16, u16); 2],
    inbound_spis: [Spi; 2],
}

impl Entry {
    fn selectors(&self) -> [Selector; 2] {
        let Self { remote, here, .. } = *self;
        self.ports.map(|(local_port, remote_port)| Selector { remote, here, local_port, remote_port })
    }
}

/// Addresses and ports of one SA in each direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Selector {
    remote: Ipv6Addr,
    here: u16,
    local_port: u16,
    remote_port: u16,
}

/// A [`SaId`] in eight octets that need no alignment to eight.
#[derive(Clone, Copy, Debug)]
struct Name([u32; 2]);

impl Name {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of one number")]
    const fn new(set: SaSetId, pair: PortPair) -> Self {
        let number = set.0 << 1 | matches!(pair, PortPair::UsPc) as u64;
        Self([number as u32, (number >> 32) as u32])
    }

    const fn sa(self) -> SaId {
        let number = self.0[0] as u64 | (self.0[1] as u64) << 32;
        let pair = if number & 1 == 0 { PortPair::UcPs } else { PortPair::UsPc };
        SaId { set: SaSetId(number >> 1), pair }
    }
}

/// IPv4 addresses in their IPv6 form, which keeps the table small.
const fn wide(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
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
