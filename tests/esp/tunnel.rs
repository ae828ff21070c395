//! UDP-encapsulated tunnel mode (TS 33.203 annex M, RFC 3948): a NAT stands between.

use super::property::{ADDRESSES, Link, PAIRS, segment};
use imsreg::ip::transport::Segment;
use imsreg::ip::{self, Packet, Upper};
use imsreg::ipsec::esp::{Carrier, Datagram, Drop, KEEP_ALIVE, Opened, PORT, Sealed, write_packet};
use std::net::IpAddr;

fn from_ue(link: &mut Link) -> (Vec<u8>, Sealed) {
    let way = link.seal(0, Upper::Udp, b"REGISTER");
    (way.esp, way.sealed)
}

fn to_ue(link: &mut Link) -> Result<Carrier, Drop> {
    let (from, to) = link.ends(1);
    let octets = segment(from, to, Upper::Udp, b"200");
    let inner = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
    link.pcscf.seal(&inner, &mut Vec::new()).map(|sealed| sealed.carrier)
}

fn at_pcscf(link: &mut Link, nat: IpAddr, port: u16, esp: &[u8]) -> Result<Opened, Drop> {
    let carrier = Carrier::Udp { source_port: port, destination_port: PORT };
    let pcscf = link.set.pcscf_address;
    link.pcscf.open(nat, pcscf, carrier, esp, &mut Vec::new())
}

#[test]
fn the_port_of_the_nat_is_that_of_the_newest_packet() {
    for v6 in [false, true] {
        let nat: IpAddr = ADDRESSES[usize::from(v6)][2].parse().unwrap();
        let stranger: IpAddr = ADDRESSES[usize::from(v6)][3].parse().unwrap();
        let mut link = Link::new(PAIRS[4], v6, true);
        // As it is before any packet came.
        let id = link.set.id;
        link.pcscf.remove(id);
        link.pcscf.install(&link.set).unwrap();
        assert_eq!(to_ue(&mut link), Err(Drop::NatPortUnknown));

        let (first, sealed) = from_ue(&mut link);
        assert_eq!(sealed.carrier, Carrier::Udp { source_port: PORT, destination_port: PORT });
        assert_eq!((sealed.source, sealed.destination), (nat, link.set.pcscf_address));
        let (second, _) = from_ue(&mut link);
        let (third, _) = from_ue(&mut link);
        let opened = at_pcscf(&mut link, nat, 40_002, &second).unwrap();
        assert_eq!((opened.source, opened.destination), link.ends(0));
        let to_port = |destination_port| Ok(Carrier::Udp { source_port: PORT, destination_port });
        assert_eq!(to_ue(&mut link), to_port(40_002));
        // An older packet that comes late tells nothing new, a forged one even less.
        at_pcscf(&mut link, nat, 40_001, &first).unwrap();
        assert_eq!(to_ue(&mut link), to_port(40_002));
        let mut forged = third.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(at_pcscf(&mut link, nat, 40_009, &forged), Err(Drop::Icv));
        assert_eq!(to_ue(&mut link), to_port(40_002));
        at_pcscf(&mut link, nat, 40_003, &third).unwrap();
        assert_eq!(to_ue(&mut link), to_port(40_003));
        // Another address is not this UE's NAT.
        let (fourth, _) = from_ue(&mut link);
        assert_eq!(at_pcscf(&mut link, stranger, 40_004, &fourth), Err(Drop::Selector));
        assert_eq!(to_ue(&mut link), to_port(40_003));
    }
}

#[test]
fn answers_reach_the_ue() {
    let mut link = Link::new(PAIRS[7], false, true);
    let way = link.seal(1, Upper::Udp, b"200");
    let outer: IpAddr = ADDRESSES[0][2].parse().unwrap();
    let pcscf = link.set.pcscf_address;
    assert_eq!((way.sealed.source, way.sealed.destination), (pcscf, outer));
    let elsewhere = link.set.ue_address;
    let mut out = Vec::new();
    let opened = link.ue.open(pcscf, elsewhere, way.sealed.carrier, &way.esp, &mut out);
    assert_eq!(opened, Err(Drop::UnknownSpi), "outside, the UE is at its outer address");
    assert_eq!(link.open(1, &way.esp, &mut out).unwrap().source, link.ends(1).0);
}

#[test]
fn whole_packets_are_what_the_carrier_says() {
    let mut link = Link::new(PAIRS[4], false, true);
    let way = link.seal(0, Upper::Udp, b"REGISTER");
    let Sealed { source, destination, carrier, .. } = way.sealed;
    let mut out = Vec::new();
    write_packet(&mut out, source, destination, carrier, &way.esp);
    let packet = Packet::parse(&out).unwrap();
    let segment = Segment { source, destination, upper: Upper::Udp, octets: packet.payload };
    let checked = segment.check().unwrap();
    assert_eq!((checked.source.port(), checked.destination.port(), checked.data), (PORT, PORT, &way.esp[..]));
    out.clear();
    write_packet(&mut out, source, destination, Carrier::Ip, &way.esp);
    let packet = Packet::parse(&out).unwrap();
    assert_eq!((packet.header.protocol, packet.payload), (ip::ESP, &way.esp[..]));
}

#[test]
fn what_comes_to_port_4500() {
    assert_eq!(Datagram::of(&KEEP_ALIVE), Datagram::KeepAlive);
    assert_eq!(Datagram::of(&[0, 0, 0, 0, 1, 2]), Datagram::NonEsp);
    assert_eq!(Datagram::of(&[0, 0, 1, 0, 1, 2]), Datagram::Esp(&[0, 0, 1, 0, 1, 2]));
    assert_eq!(Datagram::of(&[0xff, 0xff]), Datagram::Esp(&[0xff, 0xff]));
    assert_eq!(Datagram::of(&[]), Datagram::Esp(&[]));
}
