//! The SAs that are alive, looked up by addresses and ports: what plane `none` has in place of ESP.

use super::association::{PortPair, SaId, SaSet, SaSetId};
use crate::identity::Spi;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// All sets alive on one host.
///
/// It holds what a packet shows and no keys: nothing here could decrypt anything.
#[derive(Debug, Default)]
pub struct SaTable {
    /// Those alive, and in between those of `free`, which no index names.
    sets: Vec<Entry>,
    free: Vec<u32>,
    ids: Index<SaSetId>,
    /// By the first and by the second pair of ports.
    selectors: [Index<Selector>; 2],
    /// SPIs of the SAs that end here, client and server: RFC 4303 clause 2.1 lets the receiver find an SA by its SPI
    /// alone.
    inbound_spis: [Index<Spi>; 2],
    /// Our own addresses, named by their place in this list.
    addresses: Vec<IpAddr>,
    /// By address.
    places: HashTable<u32>,
    hasher: RandomState,
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

impl Inbound {
    /// The SA that carried it.
    pub const fn sa(self) -> Option<SaId> {
        match self {
            Self::Protected(sa) => Some(sa),
            Self::Clear | Self::Refused => None,
        }
    }
}

impl SaTable {
    /// Adds a set; an error if its selectors or SPIs collide with those of a set alive. Installing the same set again
    /// changes nothing.
    pub fn install(&mut self, set: &SaSet) -> Result<(), Collision> {
        let entry = self.entry(set);
        if let Some(alive) = self.ids.find(&self.sets, &set.id, Entry::id) {
            return if self.sets[alive as usize] == entry { Ok(()) } else { Err(Collision) };
        }
        let [client, server] = &self.inbound_spis;
        let holds = |spi: &Spi| {
            client.find(&self.sets, spi, Entry::spi::<0>).is_some()
                || server.find(&self.sets, spi, Entry::spi::<1>).is_some()
        };
        if self.pair(&entry.selector::<0>()).is_some()
            || self.pair(&entry.selector::<1>()).is_some()
            || entry.inbound_spis.iter().any(holds)
        {
            return Err(Collision);
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.sets.push(entry.clone());
            u32::try_from(self.sets.len() - 1).expect("memory ends before 2^32 sets")
        });
        self.sets[at as usize] = entry;
        self.ids.insert(&self.sets, at, Entry::id);
        let [uc_ps, us_pc] = &mut self.selectors;
        uc_ps.insert(&self.sets, at, Entry::selector::<0>);
        us_pc.insert(&self.sets, at, Entry::selector::<1>);
        let [client, server] = &mut self.inbound_spis;
        client.insert(&self.sets, at, Entry::spi::<0>);
        server.insert(&self.sets, at, Entry::spi::<1>);
        Ok(())
    }

    /// Removes a set; unknown ones are ignored.
    pub fn remove(&mut self, set: SaSetId) {
        // Only what this set put in goes: another set of the same UE shares port_us and port_ps (TS 33.203 clause 7.4).
        if let Some(at) = self.ids.find(&self.sets, &set, Entry::id) {
            let entry = &self.sets[at as usize];
            self.ids.remove(&set, at);
            self.selectors[0].remove(&entry.selector::<0>(), at);
            self.selectors[1].remove(&entry.selector::<1>(), at);
            self.inbound_spis[0].remove(&entry.spi::<0>(), at);
            self.inbound_spis[1].remove(&entry.spi::<1>(), at);
            self.free.push(at);
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
        let (place, pair) = self.find(local, remote)?;
        Some(SaId { set: self.id(place), pair })
    }

    /// Where the set is that has an SA between a local and a remote address, and by which ports.
    pub(super) fn find(&self, local: SocketAddr, remote: SocketAddr) -> Option<(usize, PortPair)> {
        let here = self.here(local.ip())?;
        self.pair(&Selector { remote: wide(remote.ip()), here, local_port: local.port(), remote_port: remote.port() })
    }

    /// Where the set is whose inbound SPI this is; true for that of its server port.
    pub(super) fn find_spi(&self, spi: Spi) -> Option<(usize, bool)> {
        let [client, server] = &self.inbound_spis;
        match client.find(&self.sets, &spi, Entry::spi::<0>) {
            Some(at) => Some((at as usize, false)),
            None => server.find(&self.sets, &spi, Entry::spi::<1>).map(|at| (at as usize, true)),
        }
    }

    /// Where a set is: below what [`SaTable::len`] ever was, and the same until it is removed.
    pub(super) fn place(&self, set: SaSetId) -> Option<usize> {
        self.ids.find(&self.sets, &set, Entry::id).map(|at| at as usize)
    }

    /// The name of the set at a place.
    pub(super) fn id(&self, place: usize) -> SaSetId {
        self.sets[place].id()
    }

    /// True when the SA of these ports of the set at a place is between these addresses.
    pub(super) fn fits(&self, place: usize, pair: PortPair, local: SocketAddr, remote: SocketAddr) -> bool {
        let entry = &self.sets[place];
        entry.ports[pair as usize] == (local.port(), remote.port())
            && entry.remote == wide(remote.ip())
            && self.addresses[entry.here as usize] == local.ip()
    }

    /// The SA of the same set between the other ports, with its local and its remote end.
    pub fn other_ports(&self, sa: SaId) -> Option<(SaId, SocketAddr, SocketAddr)> {
        let pair = match sa.pair {
            PortPair::UcPs => PortPair::UsPc,
            PortPair::UsPc => PortPair::UcPs,
        };
        self.route_of(SaId { pair, ..sa })
    }

    /// The same SA of another set between the same hosts and with the same port_us, which are those of one UE: that made
    /// last before it, if there is one.
    pub fn other_set(&self, sa: SaId) -> Option<(SaId, SocketAddr, SocketAddr)> {
        let own = &self.sets[self.place(sa.set)?];
        let port_us = |entry: &Entry| entry.ports[PortPair::UsPc as usize];
        let is_alive = |entry: &&Entry| self.contains(entry.id()) && entry.id() != sa.set;
        let of_ue =
            |entry: &&Entry| entry.remote == own.remote && entry.here == own.here && port_us(entry).1 == port_us(own).1;
        let others = self.sets.iter().filter(is_alive).filter(of_ue);
        let set = others.map(Entry::id).max_by_key(|id| (id.0 < sa.set.0, id.0))?;
        self.route_of(SaId { set, ..sa })
    }

    fn route_of(&self, sa: SaId) -> Option<(SaId, SocketAddr, SocketAddr)> {
        let entry = &self.sets[self.place(sa.set)?];
        let (local, remote) = entry.ports[sa.pair as usize];
        let here = SocketAddr::new(self.addresses[entry.here as usize], local);
        Some((sa, here, SocketAddr::new(entry.remote.to_canonical(), remote)))
    }

    fn pair(&self, selector: &Selector) -> Option<(usize, PortPair)> {
        let [uc_ps, us_pc] = &self.selectors;
        match uc_ps.find(&self.sets, selector, Entry::selector::<0>) {
            Some(at) => Some((at as usize, PortPair::UcPs)),
            None => us_pc.find(&self.sets, selector, Entry::selector::<1>).map(|at| (at as usize, PortPair::UsPc)),
        }
    }

    /// The place of one of our addresses. A P-CSCF has few, a host of UEs one for each.
    fn here(&self, address: IpAddr) -> Option<u32> {
        if self.addresses.first() == Some(&address) {
            return Some(0);
        }
        self.places.find(self.hasher.hash_one(address), |at| self.addresses[*at as usize] == address).copied()
    }

    fn name_address(&mut self, address: IpAddr) -> u32 {
        if let Some(known) = self.here(address) {
            return known;
        }
        self.addresses.push(address);
        let Self { addresses, places, hasher, .. } = self;
        let at = u32::try_from(addresses.len() - 1).expect("memory ends before 2^32 addresses");
        let hash = |at: &u32| hasher.hash_one(addresses[*at as usize]);
        places.insert_unique(hash(&at), at, hash);
        at
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves of one number")]
    fn entry(&mut self, set: &SaSet) -> Entry {
        let (local, remote) = if set.at_ue { (&set.ue, &set.pcscf) } else { (&set.pcscf, &set.ue) };
        let (here, there) = match set.at_ue {
            true => (set.ue_address, set.pcscf_address),
            false => (set.pcscf_address, set.ue_address),
        };
        let here = self.name_address(here);
        let client = (local.port_c, remote.port_s);
        let server = (local.port_s, remote.port_c);
        Entry {
            id: [(set.id.0 >> 32) as u32, set.id.0 as u32],
            remote: wide(there),
            here,
            // Pairs are named from the side of the UE.
            ports: if set.at_ue { [client, server] } else { [server, client] },
            inbound_spis: [local.spi_c, local.spi_s],
        }
    }

    /// The local ends of the SAs of a set that is alive.
    pub fn local_ends(&self, set: SaSetId) -> Option<[SocketAddr; 2]> {
        let at = self.ids.find(&self.sets, &set, Entry::id)?;
        Some(self.ends_of(&self.sets[at as usize]))
    }

    /// True when a set alive has a local end at this address and port. Looks at all of them: for UEs, who have few.
    pub fn has_local_end(&self, end: SocketAddr) -> bool {
        let alive = |at: &usize| !self.free.iter().any(|free| *free as usize == *at);
        (0..self.sets.len()).filter(alive).any(|at| self.ends_of(&self.sets[at]).contains(&end))
    }

    fn ends_of(&self, entry: &Entry) -> [SocketAddr; 2] {
        entry.ports.map(|(local, _)| SocketAddr::new(self.addresses[entry.here as usize], local))
    }

    /// True while `set` is alive.
    pub fn contains(&self, set: SaSetId) -> bool {
        self.ids.find(&self.sets, &set, Entry::id).is_some()
    }

    /// How many sets are alive.
    pub fn len(&self) -> usize {
        self.sets.len() - self.free.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A set whose SPIs or selectors are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collision;

/// One set as its host sees it. Hundreds of thousands of these live in a large run.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    /// In halves, which need no alignment to eight.
    id: [u32; 2],
    remote: Ipv6Addr,
    here: u32,
    /// Local and remote port of the pair (port_uc, port_ps), then of (port_us, port_pc).
    ports: [(u16, u16); 2],
    inbound_spis: [Spi; 2],
}

impl Entry {
    fn id(&self) -> SaSetId {
        SaSetId(u64::from(self.id[0]) << 32 | u64::from(self.id[1]))
    }

    fn selector<const PAIR: usize>(&self) -> Selector {
        let Self { remote, here, .. } = *self;
        let (local_port, remote_port) = self.ports[PAIR];
        Selector { remote, here, local_port, remote_port }
    }

    fn spi<const END: usize>(&self) -> Spi {
        self.inbound_spis[END]
    }
}

const _: () = assert!(size_of::<Entry>() == 44, "halves and octets only: nothing is aligned to eight");

/// Where in the list of sets those with a certain key are. The key is in the set, so that only its place is kept.
#[derive(Debug)]
struct Index<K> {
    places: HashTable<u32>,
    hasher: RandomState,
    key: PhantomData<K>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self { places: HashTable::new(), hasher: RandomState::default(), key: PhantomData }
    }
}

impl<K: Hash + PartialEq> Index<K> {
    fn find(&self, sets: &[Entry], key: &K, key_of: impl Fn(&Entry) -> K) -> Option<u32> {
        self.places.find(self.hasher.hash_one(key), |at| key_of(&sets[*at as usize]) == *key).copied()
    }

    fn insert(&mut self, sets: &[Entry], at: u32, key_of: impl Fn(&Entry) -> K) {
        let Self { places, hasher, .. } = self;
        let hash = |at: &u32| hasher.hash_one(key_of(&sets[*at as usize]));
        places.insert_unique(hash(&at), at, hash);
    }

    fn remove(&mut self, key: &K, at: u32) {
        if let Ok(entry) = self.places.find_entry(self.hasher.hash_one(key), |other| *other == at) {
            entry.remove();
        }
    }
}

/// Addresses and ports of one SA in each direction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Selector {
    remote: Ipv6Addr,
    here: u32,
    local_port: u16,
    remote_port: u16,
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
    use crate::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode};

    fn set(id: u64, ue: (u32, u16, u16), pcscf: (u32, u16)) -> SaSet {
        let endpoint = |spi, port_c, port_s| Endpoint { spi_c: Spi(spi), spi_s: Spi(spi + 1), port_c, port_s };
        SaSet {
            id: SaSetId(id),
            ue_address: "10.0.0.7".parse().unwrap(),
            pcscf_address: "10.0.0.1".parse().unwrap(),
            ue: endpoint(ue.0, ue.1, ue.2),
            pcscf: endpoint(pcscf.0, pcscf.1, 6_100),
            algorithms: Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null },
            mode: Mode::Transport,
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
    fn beside_an_sa_there_are_others() {
        let mut table = SaTable::default();
        table.install(&set(1, (300, 31_000, 31_001), (400, 5_100))).unwrap();
        let sa = |set, pair| SaId { set: SaSetId(set), pair };
        assert_eq!(table.other_set(sa(1, PortPair::UsPc)), None);
        // Another UE at that address is no other set of this one.
        table.install(&set(2, (500, 32_000, 32_001), (600, 5_102))).unwrap();
        assert_eq!(table.other_set(sa(1, PortPair::UsPc)), None);
        table.install(&set(3, (700, 31_002, 31_001), (800, 5_104))).unwrap();
        let old = (sa(1, PortPair::UsPc), at("10.0.0.1:5100"), at("10.0.0.7:31001"));
        assert_eq!(table.other_set(sa(3, PortPair::UsPc)), Some(old));
        let other = (sa(3, PortPair::UcPs), at("10.0.0.1:6100"), at("10.0.0.7:31002"));
        assert_eq!(table.other_ports(sa(3, PortPair::UsPc)), Some(other));
        table.remove(SaSetId(1));
        assert_eq!((table.other_set(sa(3, PortPair::UsPc)), table.other_ports(sa(1, PortPair::UsPc))), (None, None));
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
            assert_eq!((table.len(), table.selectors[1].places.len(), table.inbound_spis[1].places.len()), (1, 1, 1));
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
