//! Packets that did not get through: fragments that never came, and what ICMP tells.

use crate::build::{data, in_order, raw, read, request, udp};
use imsreg::ip;
use imsreg::ip::fragments::split;
use imsreg::trace::{Loss, Lost, Place, Seen, Sighting};
use std::net::IpAddr;

fn lost(sightings: &[Sighting]) -> Vec<(Place, Lost)> {
    let each = sightings.iter().filter_map(|sighting| match sighting.seen {
        Seen::Lost(lost) => Some((sighting.place, lost)),
        _ => None,
    });
    each.collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An ICMP message of a router about a packet, of which it holds the first 28 octets.
fn icmp(kind: u8, code: u8, mtu: u16, packet: &[u8]) -> Vec<u8> {
    let [a, b] = mtu.to_be_bytes();
    let message = [&[kind, code, 0, 0, 0, 0, a, b], &packet[..28]].concat();
    let mut out = Vec::new();
    ip::write(&mut out, address("192.0.2.9"), address("10.45.0.2"), 1, &message);
    out
}

#[test]
fn icmp_tells_of_whose_packet() {
    let packet = udp("10.45.0.2:5060", "10.45.0.1:5064", &request(1, 0));
    let (from, to, ports) = (address("10.45.0.2"), address("10.45.0.1"), Some((5060, 5064)));
    let told = |kind, code, mtu| lost(&read(&in_order(&[packet.clone(), icmp(kind, code, mtu, &packet)])).0);
    let expected = |why| vec![(Place::Packet(2), Lost { from, to, ports, why })];
    assert_eq!(told(3, 3, 0), expected(Loss::Unreachable));
    assert_eq!(told(3, 4, 1_280), expected(Loss::TooLarge(1_280)));
    // An echo, and what is cut.
    assert!(told(8, 0, 0).is_empty());
    let short = icmp(3, 3, 0, &packet)[..40].to_vec();
    assert!(lost(&read(&in_order(&[short])).0).is_empty());
}

#[test]
fn fragments_that_never_came() {
    let packet = udp("10.45.0.2:5060", "10.45.0.1:5060", &request(1, 2_000));
    let mut parts: Vec<Vec<u8>> = Vec::new();
    split(&packet, 1_280, 7, |part| parts.push(part.to_vec())).expect("it may be split");
    let later = data(77, &request(2, 0));
    let (sightings, _) = read(&raw([(0, parts[0].as_slice()), (61_000_000, later.as_slice())]));
    let (from, to) = (address("10.45.0.2"), address("10.45.0.1"));
    assert_eq!(lost(&sightings), [(Place::Packet(2), Lost { from, to, ports: None, why: Loss::Fragments })]);
    let whole: Vec<(u64, &[u8])> = (0..).zip(parts.iter().map(Vec::as_slice)).collect();
    assert!(lost(&read(&raw(whole)).0).is_empty());
}
