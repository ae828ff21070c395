//! What is sealed is opened, for all pairs of algorithms, families, transports and SAs.

use super::property::{ADDRESSES, Link, PAIRS, esp, segment};
use imsreg::ip::reassembly::{Reassembly, Taken};
use imsreg::ip::transport::Segment;
use imsreg::ip::{self, Packet, Upper, fragments};
use imsreg::ipsec::association::{Algorithms, Encryption, Integrity, SaId, SaSet, SaSetId};
use imsreg::ipsec::esp::{Carrier, Counters, Drop, Engine, overhead};
use imsreg::random::Random;
use imsreg::time::Instant;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn every_size_of_every_kind() {
    let sizes = || (0..70).chain([576, 1_100, 1_371, 1_372, 1_373, 1_440, 65_000]);
    for algorithms in PAIRS {
        for (v6, tunnel) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut link = Link::new(algorithms, v6, tunnel);
            let mut most = 0;
            for len in sizes() {
                let data: Vec<u8> = (0..len).map(|at: u32| at.to_le_bytes()[0] ^ 0x5a).collect();
                for (sa, upper) in [(0, Upper::Udp), (1, Upper::Tcp), (2, Upper::Udp), (3, Upper::Tcp)] {
                    let way = link.seal(sa, upper, &data);
                    let mut out = b"before".to_vec();
                    let opened = link.open(sa, &way.esp, &mut out).unwrap();
                    let (from, to) = link.ends(sa);
                    assert_eq!((opened.sa, opened.upper), (way.sealed.sa, upper));
                    assert_eq!(out[..6], *b"before");
                    assert!(out[opened.segment.clone()] == segment(from, to, upper, &data), "{algorithms} {len}");
                    assert!(opened.segment.end == out.len() && out[opened.data] == data);
                    most = most.max(way.esp.len() - opened.segment.len());
                }
            }
            let inner = if tunnel { ip::header_len(link.set.ue_address) } else { 0 };
            assert_eq!(most, overhead(algorithms) + inner, "{algorithms}");
        }
    }
}

/// From a segment to fragments of an ESP packet on a link, and back.
#[test]
fn a_large_segment_crosses_a_link_with_a_small_mtu() {
    for v6 in [false, true] {
        let mut link = Link::new(PAIRS[4], v6, false);
        let data = vec![b'x'; 5_000];
        let way = link.seal(1, Upper::Udp, &data);
        let mut packet = Vec::new();
        let begun = ip::begin(&mut packet, way.sealed.source, way.sealed.destination, ip::ESP);
        packet.extend_from_slice(&way.esp);
        begun.finish(&mut packet);
        let (mut reassembly, mut whole) = (Reassembly::new(), None);
        fragments::split(&packet, 1_280, 77, |part| {
            assert!(part.len() <= 1_280);
            let part = Packet::parse(part).unwrap();
            if let Taken::Whole(found) = reassembly.receive(Instant::ZERO, &part) {
                whole = Some(found);
            }
        })
        .unwrap();
        let whole = whole.unwrap();
        assert_eq!(whole.header.protocol, ip::ESP);
        let mut out = Vec::new();
        let (source, destination) = (whole.header.source, whole.header.destination);
        let opened = link.ue.open(source, destination, Carrier::Ip, &whole.payload, &mut out).unwrap();
        assert!(out[opened.data] == data);
    }
}

/// All four SAs of a set have one key, and both ends use it.
#[test]
fn no_iv_comes_again() {
    for algorithms in PAIRS {
        let len = match (algorithms.integrity, algorithms.encryption) {
            (Integrity::AesGmac, _) | (_, Encryption::AesGcm | Encryption::DesEde3Cbc) => 8,
            (_, Encryption::AesCbc) => 16,
            _ => continue,
        };
        let mut link = Link::new(algorithms, false, false);
        let mut seen = BTreeSet::new();
        for _ in 0..500 {
            for sa in 0..4 {
                let way = link.seal(sa, Upper::Udp, b"data");
                assert!(seen.insert(way.esp[8..8 + len].to_vec()), "{algorithms}");
            }
        }
        // Those of CBC cannot be foretold: no two are near each other.
        if algorithms.encryption == Encryption::AesCbc {
            let heads: BTreeSet<_> = seen.iter().map(|iv| iv[..4].to_vec()).collect();
            assert_eq!(heads.len(), seen.len());
        }
    }
}

#[test]
fn a_set_is_installed_once_and_goes_whole() {
    let mut link = Link::new(PAIRS[0], false, false);
    let first = link.seal(0, Upper::Udp, b"1");
    let at_ue = SaSet { at_ue: true, ..link.set.clone() };
    link.ue.install(&at_ue).unwrap();
    let second = link.seal(0, Upper::Udp, b"2");
    assert_eq!((first.esp[7], second.esp[7]), (1, 2), "installing again does not begin again");
    assert!(link.ue.install(&SaSet { id: SaSetId(8), ..at_ue.clone() }).is_err());
    let unheard_of = Algorithms { integrity: Integrity::Null, encryption: Encryption::Null };
    let mut other = SaSet { id: SaSetId(9), algorithms: unheard_of, ..at_ue };
    (other.ue.port_c, other.ue.port_s, other.ue.spi_c.0, other.ue.spi_s.0) = (1, 2, 3, 4);
    assert!(link.ue.install(&other).is_err());
    assert_eq!((link.ue.len(), link.ue.contains(SaSetId(9))), (1, false));
    other.algorithms = PAIRS[0];
    link.ue.install(&other).unwrap();
    assert_eq!(link.ue.len(), 2);

    link.ue.remove(SaSetId(7));
    link.ue.remove(SaSetId(7));
    assert_eq!(link.ue.len(), 1);
    let to_ue = link.seal(1, Upper::Udp, b"late");
    assert_eq!(link.open(1, &to_ue.esp, &mut Vec::new()), Err(Drop::UnknownSpi));
    let (from, to) = link.ends(0);
    let octets = segment(from, to, Upper::Udp, b"late");
    let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
    assert_eq!(link.ue.outbound(from, to), None);
    assert_eq!(link.ue.seal(&segment, &mut Vec::new()), Err(Drop::NoSa));
    assert_eq!(link.ue.counters_of(SaSetId(7)), None);
    link.ue.remove(SaSetId(9));
    assert!(link.ue.is_empty());
}

#[test]
fn counters_tell_packets_octets_and_reasons() {
    let mut link = Link::new(PAIRS[1], false, false);
    let ways: Vec<_> = (0..3).map(|_| link.seal(0, Upper::Udp, &[0; 92])).collect();
    let mut out = Vec::new();
    for way in &ways {
        link.open(0, &way.esp, &mut out).unwrap();
    }
    let _ = link.open(0, &ways[0].esp, &mut out);
    let _ = link.open(0, &[0, 0, 9, 9, 0, 0, 0, 1], &mut out);
    let _ = link.open(0, &ways[0].esp[..7], &mut out);
    let of_ue = link.ue.counters_of(SaSetId(7)).unwrap();
    assert_eq!((of_ue.sealed, of_ue.sealed_octets, of_ue.opened), (3, 300, 0));
    let of_set = link.pcscf.counters_of(SaSetId(7)).unwrap();
    assert_eq!((of_set.opened, of_set.opened_octets, of_set.sealed), (3, 300, 0));
    assert_eq!(of_set.drops().collect::<Vec<_>>(), [(Drop::Length, 1), (Drop::Replayed, 1)]);
    link.pcscf.remove(SaSetId(7));
    let total: &Counters = link.pcscf.counters();
    assert_eq!((total.opened, total.opened_octets), (3, 300));
    let drops: Vec<_> = total.drops().collect();
    assert_eq!(drops, [(Drop::Length, 1), (Drop::UnknownSpi, 1), (Drop::Replayed, 1)]);
}

/// One host of many UEs, each with an address of its own, and a P-CSCF with all of their sets.
#[test]
fn a_thousand_sets_on_one_host() {
    let template = Link::new(PAIRS[4], false, false).set;
    let (mut ues, mut pcscf) = (Engine::new(Random::seeded(1)), Engine::new(Random::seeded(2)));
    let numbered = |n: u32| {
        let mut set = SaSet { id: SaSetId(n.into()), ..template.clone() };
        set.ue_address = std::net::Ipv4Addr::from(0x0a2e_0000 + n).into();
        (set.ue.spi_c.0, set.ue.spi_s.0) = (1_000 + 2 * n, 1_001 + 2 * n);
        (set.pcscf.spi_c.0, set.pcscf.spi_s.0) = (5_000 + 2 * n, 5_001 + 2 * n);
        set
    };
    for n in 0..1_000 {
        pcscf.install(&numbered(n)).unwrap();
        ues.install(&SaSet { at_ue: true, ..numbered(n) }).unwrap();
    }
    let (mut esp, mut out) = (Vec::new(), Vec::new());
    for n in [0, 1, 499, 999, 0] {
        let set = numbered(n);
        let from = (set.ue_address, set.ue.port_c).into();
        let to = (set.pcscf_address, set.pcscf.port_s).into();
        let octets = segment(from, to, Upper::Udp, b"REGISTER");
        esp.clear();
        out.clear();
        let inner =
            Segment { source: set.ue_address, destination: set.pcscf_address, upper: Upper::Udp, octets: &octets };
        let sealed = ues.seal(&inner, &mut esp).unwrap();
        let opened = pcscf.open(sealed.source, sealed.destination, sealed.carrier, &esp, &mut out).unwrap();
        assert_eq!((opened.sa, opened.source), (SaId { set: set.id, ..sealed.sa }, from));
    }
    for n in 0..1_000 {
        ues.remove(SaSetId(n));
        pcscf.remove(SaSetId(n));
    }
    assert!(ues.is_empty() && pcscf.is_empty());
    assert_eq!(ADDRESSES[0][1].parse(), Ok(template.pcscf_address));
}

#[test]
fn seeds_of_the_fuzz_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/esp");
    let seeds: Vec<_> = std::fs::read_dir(folder).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(seeds.len() >= 12);
    for seed in seeds {
        esp(&std::fs::read(seed).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_octets(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        esp(&bytes);
    }
}
