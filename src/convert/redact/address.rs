//! Addresses: IPv4 into 10.0.0.0/8, IPv6 into 2001:db8::/32, where a prefix of 64 bits stays one. As texts they are about as
//! long as they were, so that messages do not grow above what UDP carries.

use super::cipher::{Cipher, Class};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses seen so far. Two that are different must not become one, so those given are known.
#[derive(Default, Debug)]
pub(super) struct Addresses {
    v4: Table<u32>,
    prefixes: Table<u64>,
}

#[derive(Default, Debug)]
struct Table<K> {
    given: HashMap<K, u32>,
    used: HashSet<u32>,
}

impl Addresses {
    pub(super) fn replace(&mut self, cipher: &Cipher, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(v4) => self.v4(cipher, v4).into(),
            IpAddr::V6(v6) => self.v6(cipher, v6).into(),
        }
    }

    /// Octets that are an address which was replaced before.
    pub(super) fn known(&mut self, cipher: &Cipher, octets: &[u8]) -> Option<Vec<u8>> {
        if let Ok(v4) = <[u8; 4]>::try_from(octets) {
            let is_known = self.v4.given.contains_key(&u32::from_be_bytes(v4));
            return is_known.then(|| self.v4(cipher, Ipv4Addr::from(v4)).octets().to_vec());
        }
        let v6 = <[u8; 16]>::try_from(octets).ok()?;
        let is_known = self.prefixes.given.contains_key(&((u128::from_be_bytes(v6) >> 64) as u64));
        is_known.then(|| self.v6(cipher, Ipv6Addr::from(v6)).octets().to_vec())
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.v4.given.len() + self.prefixes.given.len()
    }

    fn v4(&mut self, cipher: &Cipher, address: Ipv4Addr) -> Ipv4Addr {
        // They are nobody's.
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() || address.is_broadcast() {
            return address;
        }
        let octets = address.octets();
        let host = self.v4.give(address.to_bits(), |attempt| {
            let made = cipher.octets(Class::Address, &[b"4", &octets, &attempt.to_be_bytes()], 6);
            let like = |at: usize| {
                let (first, many) = match octets[at] {
                    _ if attempt > ATTEMPTS / 2 => (0, 256),
                    0..=9 => (0, 10),
                    10..=99 => (10, 90),
                    100.. => (100, 156),
                };
                let random = u16::from_be_bytes([made[at * 2 - 2], made[at * 2 - 1]]);
                u32::from(first + random % many)
            };
            let host = like(1) << 16 | like(2) << 8 | like(3);
            // Those of a whole network are no host's.
            (!matches!(host & 0xff, 0 | 0xff)).then_some(host)
        });
        Ipv4Addr::from_bits(0x0a00_0000 | host)
    }

    fn v6(&mut self, cipher: &Cipher, address: Ipv6Addr) -> Ipv6Addr {
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
            return address;
        }
        if let Some(v4) = address.to_ipv4_mapped() {
            return self.v4(cipher, v4).to_ipv6_mapped();
        }
        let bits = address.to_bits();
        let (prefix, host) = ((bits >> 64) as u64, bits as u64);
        let prefix = if address.is_unicast_link_local() {
            prefix
        } else {
            let given = self.prefixes.give(prefix, |attempt| {
                let made = cipher.octets(Class::Address, &[b"6", &prefix.to_be_bytes(), &attempt.to_be_bytes()], 4);
                let made = made.first_chunk().map_or(0, |octets| u32::from_be_bytes(*octets));
                let [.., third, fourth] = [0, 1, 2, 3].map(|at| (prefix >> (48 - at * 16)) as u16);
                let like = |was: u16, made: u16| if attempt > ATTEMPTS / 2 { made } else { as_long(was, made) };
                Some(u32::from(like(third, (made >> 16) as u16)) << 16 | u32::from(like(fourth, made as u16)))
            });
            0x2001_0db8_0000_0000 | u64::from(given)
        };
        // Groups of zeros stay, and with them the length of the text: the others change places with those of their length.
        let mut nibbles: Vec<u8> = (0..16).map(|at| (host >> (60 - at * 4) & 15) as u8).collect();
        cipher.groups(&mut nibbles);
        let host = nibbles.into_iter().fold(0_u64, |host, nibble| host << 4 | u64::from(nibble));
        Ipv6Addr::from_bits(u128::from(prefix) << 64 | u128::from(host))
    }
}

impl<K: Eq + std::hash::Hash> Table<K> {
    /// What was given before, or the first of the candidates that nobody has.
    fn give(&mut self, key: K, candidate: impl Fn(u32) -> Option<u32>) -> u32 {
        if let Some(given) = self.given.get(&key) {
            return *given;
        }
        let mut made = 0;
        for attempt in 0..ATTEMPTS {
            let Some(next) = candidate(attempt) else { continue };
            made = next;
            if !self.used.contains(&made) {
                break;
            }
        }
        // Beyond, equality stays, and two that are different may become one.
        if self.given.len() < MOST {
            self.used.insert(made);
            self.given.insert(key, made);
        }
        made
    }
}

/// A group of IPv6 with as many digits as another.
const fn as_long(was: u16, made: u16) -> u16 {
    match was {
        0 => 0,
        1..=0xf => 1 + made % 0xf,
        0x10..=0xff => 0x10 + made % 0xf0,
        0x100..=0xfff => 0x100 + made % 0xf00,
        0x1000.. => 0x1000 + made % 0xf000,
    }
}

const ATTEMPTS: u32 = 1_000;
const MOST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_stays_a_prefix_and_nobodys_address_stays() {
        let (cipher, mut addresses) = (Cipher::of_seed("x"), Addresses::default());
        let mut of = |text: &str| addresses.replace(&cipher, text.parse().unwrap());
        for kept in ["127.0.0.1", "0.0.0.0", "::1", "::", "224.0.0.1", "ff02::1"] {
            assert_eq!(of(kept).to_string(), kept);
        }
        let (IpAddr::V6(a), IpAddr::V6(b), IpAddr::V6(c)) =
            (of("2a01:1:2:3::1"), of("2a01:1:2:3::2"), of("2a01:1:2:4::1"))
        else {
            panic!("IPv6")
        };
        assert_eq!(a.segments()[..4], b.segments()[..4]);
        assert_ne!(a.segments()[..4], c.segments()[..4]);
        assert_eq!(a.segments()[..2], [0x2001, 0xdb8]);
        assert_ne!(a, b);
        assert_eq!((a.segments()[4..7].to_vec(), a.to_string().len() <= "2001:db8:2:3::1".len()), (vec![0; 3], true));
        assert_eq!(of("192.168.7.20").to_string().len(), "10.168.7.20".len());
        let all: HashSet<IpAddr> =
            (0..2_000_u32).map(|n| of(&Ipv4Addr::from_bits(0xc0a8_0000 | n).to_string())).collect();
        assert_eq!(all.len(), 2_000);
        assert!(all.iter().all(|ip| matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 10)));
    }
}
