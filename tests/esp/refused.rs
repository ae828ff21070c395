//! What is refused, by reason, and what that leaves behind.

use super::property::{ADDRESSES, Link, PAIRS, segment};
use imsreg::aka::{Ck, Ik};
use imsreg::ip::Upper;
use imsreg::ip::transport::Segment;
use imsreg::ipsec::association::SaSet;
use imsreg::ipsec::esp::{Carrier, Drop, Engine};
use imsreg::random::Random;
use std::net::{IpAddr, SocketAddr};

fn refused(link: &mut Link, sa: usize, esp: &[u8]) -> Drop {
    let mut out = b"before".to_vec();
    let reason = link.open(sa, esp, &mut out).expect_err("it must not be let in");
    assert_eq!(out, b"before");
    reason
}

fn accepted(link: &mut Link, sa: usize, esp: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let opened = link.open(sa, esp, &mut out).expect("it is good");
    out[opened.data].to_vec()
}

/// `docs/ipsec.md`: any octet between SPI and ICV.
#[test]
fn every_octet_is_protected() {
    for algorithms in PAIRS {
        for v6 in [false, true] {
            let mut link = Link::new(algorithms, v6, false);
            let way = link.seal(0, Upper::Udp, b"REGISTER sip:example.org SIP/2.0");
            for at in 0..way.esp.len() {
                for change in [1, 0x80, 0xff] {
                    let mut esp = way.esp.clone();
                    esp[at] ^= change;
                    let expected = match (at, change) {
                        // The other SPI of the P-CSCF: 50,000 and 50,001.
                        (3, 1) => Drop::Icv,
                        (0..4, _) => Drop::UnknownSpi,
                        // Sequence number 1 becomes 0.
                        (7, 1) => Drop::Replayed,
                        _ => Drop::Icv,
                    };
                    assert_eq!(refused(&mut link, 0, &esp), expected, "{algorithms} octet {at}");
                }
            }
            for len in 0..way.esp.len() {
                assert!(matches!(refused(&mut link, 0, &way.esp[..len]), Drop::Length | Drop::Icv));
            }
            assert_eq!(accepted(&mut link, 0, &way.esp), b"REGISTER sip:example.org SIP/2.0");
        }
    }
}

#[test]
fn replay_and_reordering() {
    let mut link = Link::new(PAIRS[4], false, false);
    let ways: Vec<_> = (0..200_u8).map(|n| link.seal(0, Upper::Udp, &[n]).esp).collect();
    for n in [0, 2, 1, 63] {
        assert_eq!(accepted(&mut link, 0, &ways[n]), [u8::try_from(n).unwrap()]);
    }
    for n in [0, 1, 2, 63] {
        assert_eq!(refused(&mut link, 0, &ways[n]), Drop::Replayed);
    }
    // Sequence number 67: the window begins at 4.
    accepted(&mut link, 0, &ways[66]);
    assert_eq!(refused(&mut link, 0, &ways[2]), Drop::TooOld);
    accepted(&mut link, 0, &ways[3]);
    // What fails its ICV moves nothing, however high its number.
    let mut high = ways[199].clone();
    *high.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&mut link, 0, &high), Drop::Icv);
    accepted(&mut link, 0, &ways[4]);
    // The other SAs of the set have windows of their own.
    let other = link.seal(3, Upper::Udp, b"x").esp;
    accepted(&mut link, 3, &other);
    accepted(&mut link, 0, &ways[199]);
    assert_eq!(refused(&mut link, 0, &ways[135]), Drop::TooOld);
    accepted(&mut link, 0, &ways[136]);
}

/// A UE with the right keys that puts other addresses or ports inside.
#[test]
fn selectors_of_another_sa() {
    let mut stolen: Vec<(&str, SaSet)> = Vec::new();
    let set = Link::new(PAIRS[4], false, false).set;
    let mut other = |what, change: fn(&mut SaSet)| {
        let mut set = SaSet { at_ue: true, ..set.clone() };
        change(&mut set);
        stolen.push((what, set));
    };
    other("SPI of SA 4 with the ports of SA 1", |set| {
        (set.pcscf.spi_c, set.pcscf.spi_s) = (set.pcscf.spi_s, set.pcscf.spi_c);
    });
    other("the source port of another UE", |set| set.ue.port_c += 1);
    other("another port of the P-CSCF", |set| set.pcscf.port_s = 5_060);
    for (what, set) in stolen {
        let mut link = Link::new(PAIRS[4], false, false);
        link.ue = Engine::new(Random::seeded(3));
        link.ue.install(&set).unwrap();
        let from = SocketAddr::new(set.ue_address, set.ue.port_c);
        let to = SocketAddr::new(set.pcscf_address, set.pcscf.port_s);
        let octets = segment(from, to, Upper::Udp, b"x");
        let mut esp = Vec::new();
        let inner = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
        link.ue.seal(&inner, &mut esp).unwrap();
        assert_eq!(refused(&mut link, 0, &esp), Drop::Selector, "{what}");
        assert_eq!(refused(&mut link, 0, &esp), Drop::Replayed, "its number is used up");
    }
}

/// ESP in transport mode does not cover the source address, and without a UDP checksum nothing else does.
#[test]
fn the_address_of_a_neighbour() {
    for v6 in [false, true] {
        let mut link = Link::new(PAIRS[3], v6, false);
        let stranger: IpAddr = ADDRESSES[usize::from(v6)][3].parse().unwrap();
        let (from, to) = link.ends(0);
        for zero in [false, true] {
            let mut octets = segment(from, to, Upper::Udp, b"x");
            if zero {
                octets[6..8].fill(0);
            }
            let inner = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
            let mut esp = Vec::new();
            link.ue.seal(&inner, &mut esp).unwrap();
            let opened = link.pcscf.open(stranger, to.ip(), Carrier::Ip, &esp, &mut Vec::new());
            assert_eq!(opened, Err(Drop::Selector));
            let mut esp = Vec::new();
            link.ue.seal(&inner, &mut esp).unwrap();
            let opened = link.pcscf.open(from.ip(), stranger, Carrier::Ip, &esp, &mut Vec::new());
            assert_eq!(opened, Err(Drop::Selector), "to an address that is none of the SA's");
        }
    }
}

#[test]
fn inner_checksums_and_lengths() {
    for (v6, upper) in [(false, Upper::Udp), (true, Upper::Udp), (false, Upper::Tcp), (true, Upper::Tcp)] {
        let mut link = Link::new(PAIRS[1], v6, false);
        let (from, to) = link.ends(0);
        let good = segment(from, to, upper, b"data");
        let at = if upper == Upper::Udp { 6 } else { 16 };
        let changes: [(&[u8], usize, bool); 3] = [
            (&[good[at] ^ 1, good[at + 1]], at, false),
            // Over IPv4, a UDP datagram may come without.
            (&[0, 0], at, !v6 && upper == Upper::Udp),
            // Longer than what is there: length of UDP, data offset of TCP.
            (&[0xf0, 0xf0], if upper == Upper::Udp { 4 } else { 12 }, false),
        ];
        for (octets, at, is_good) in changes {
            let mut changed = good.clone();
            changed[at..at + 2].copy_from_slice(octets);
            let inner = Segment { source: from.ip(), destination: to.ip(), upper, octets: &changed };
            let mut esp = Vec::new();
            link.ue.seal(&inner, &mut esp).unwrap();
            match is_good {
                true => assert_eq!(accepted(&mut link, 0, &esp), b"data"),
                false => assert_eq!(refused(&mut link, 0, &esp), Drop::InnerChecksum, "{upper:?} {at}"),
            }
        }
    }
}

/// A UE that derived its keys from another RAND, and one whose CK alone is wrong.
#[test]
fn wrong_keys() {
    for algorithms in PAIRS {
        let mut link = Link::new(algorithms, false, false);
        let set = SaSet { at_ue: true, ck: Ck([1; 16]), ik: Ik([2; 16]), ..link.set.clone() };
        link.ue = Engine::new(Random::seeded(3));
        link.ue.install(&set).unwrap();
        let way = link.seal(0, Upper::Udp, b"REGISTER");
        assert_eq!(refused(&mut link, 0, &way.esp), Drop::Icv, "{algorithms}");
    }
    let mut link = Link::new(PAIRS[4], false, false);
    let set = SaSet { at_ue: true, ck: Ck([1; 16]), ..link.set.clone() };
    link.ue = Engine::new(Random::seeded(3));
    link.ue.install(&set).unwrap();
    let way = link.seal(0, Upper::Udp, b"REGISTER");
    let reason = refused(&mut link, 0, &way.esp);
    assert!(matches!(reason, Drop::Padding | Drop::NextHeader), "{reason}");
    // Its ICV was good, so its number is used up.
    assert_eq!(refused(&mut link, 0, &way.esp), Drop::Replayed);
}

#[test]
fn what_cannot_be_sealed() {
    let mut link = Link::new(PAIRS[4], false, false);
    let (from, to) = link.ends(0);
    let mut seal = |source, destination, octets: &[u8]| {
        let mut out = Vec::new();
        let reason = link.ue.seal(&Segment { source, destination, upper: Upper::Udp, octets }, &mut out);
        assert!(out.is_empty());
        reason.map(|_| ())
    };
    let good = segment(from, to, Upper::Udp, b"x");
    assert_eq!(seal(from.ip(), to.ip(), &good[..3]), Err(Drop::Unsealable));
    let long = [&good[..], &[0; 65_400]].concat();
    assert_eq!(seal(from.ip(), to.ip(), &long), Err(Drop::Unsealable));
    assert_eq!(seal(to.ip(), from.ip(), &good), Err(Drop::NoSa));
    assert_eq!(seal(from.ip(), ADDRESSES[1][1].parse().unwrap(), &good), Err(Drop::NoSa));
}

#[test]
fn encapsulation_belongs_to_the_set() {
    let udp = Carrier::Udp { source_port: 4500, destination_port: 4500 };
    let mut link = Link::new(PAIRS[0], false, false);
    let way = link.seal(0, Upper::Udp, b"x");
    let (source, destination) = (way.sealed.source, way.sealed.destination);
    let mut out = Vec::new();
    assert_eq!(link.pcscf.open(source, destination, udp, &way.esp, &mut out), Err(Drop::Encapsulation));
    let mut link = Link::new(PAIRS[0], false, true);
    let way = link.seal(0, Upper::Udp, b"x");
    assert_eq!(link.pcscf.open(source, destination, Carrier::Ip, &way.esp, &mut out), Err(Drop::Encapsulation));
}
