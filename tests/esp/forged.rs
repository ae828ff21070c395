//! Packets with a good ICV that no honest peer sends, made by hand.

use super::property::{Link, PAIRS, segment};
use hmac::{Hmac, KeyInit, Mac};
use imsreg::ip::{self, Upper};
use imsreg::ipsec::esp::Drop;
use md5::Md5;

/// Under SA 1, hmac-md5-96 and null.
fn under(link: &Link, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut esp = link.set.pcscf.spi_s.0.to_be_bytes().to_vec();
    esp.extend_from_slice(&sequence.to_be_bytes());
    esp.extend_from_slice(body);
    let mut mac = <Hmac<Md5> as KeyInit>::new_from_slice(&link.set.ik.0).unwrap();
    mac.update(&esp);
    esp.extend_from_slice(&mac.finalize().into_bytes()[..12]);
    esp
}

fn judged(link: &mut Link, sequence: u32, parts: &[&[u8]]) -> Result<Vec<u8>, Drop> {
    let esp = under(link, sequence, &parts.concat());
    let mut out = Vec::new();
    let opened = link.open(0, &esp, &mut out);
    assert!(opened.is_ok() || out.is_empty());
    opened.map(|opened| out[opened.data].to_vec())
}

/// A trailer, and the data or the reason.
type Case = (&'static [u8], Result<&'static [u8], Drop>);

#[test]
fn trailers() {
    let mut link = Link::new(PAIRS[0], false, false);
    let (from, to) = link.ends(0);
    let datagram = segment(from, to, Upper::Udp, b"dat");
    let cases: &[Case] = &[
        (&[1, 2, 3, 3, 17], Ok(b"dat")),
        // More padding than needed hides a length (RFC 4303 clause 2.4).
        (&[1, 2, 3, 4, 5, 6, 7, 7, 17], Ok(b"dat")),
        (&[1, 2, 4, 3, 17], Err(Drop::Padding)),
        (&[0, 0, 0, 3, 17], Err(Drop::Padding)),
        (&[1, 2, 3, 15, 17], Err(Drop::Padding)),
        (&[1, 2, 3, 255, 17], Err(Drop::Padding)),
        (&[1, 2, 3, 3, 1], Err(Drop::NextHeader)),
        (&[1, 2, 3, 3, 50], Err(Drop::NextHeader)),
        (&[1, 2, 3, 3, 4], Err(Drop::NextHeader)),
        (&[1, 2, 3, 3, 59], Err(Drop::Dummy)),
        (&[1, 2, 3, 3, 6], Err(Drop::InnerChecksum)),
        (&[1, 2, 2, 17], Err(Drop::Length)),
        // Octets behind the datagram, whose own length ends it (RFC 4303 clause 2.7).
        (&[9, 9, 9, 9, 1, 2, 3, 3, 17], Ok(b"dat")),
    ];
    for (sequence, (trailer, expected)) in (1..).zip(cases) {
        let found = judged(&mut link, sequence, &[&datagram, trailer]);
        assert_eq!(found.as_deref(), expected.as_ref().map(|data| *data), "{trailer:?}");
    }
    let counters = link.pcscf.counters();
    assert_eq!((counters.dropped(Drop::Padding), counters.dropped(Drop::Dummy)), (4, 1));
}

#[test]
fn next_to_nothing() {
    let mut link = Link::new(PAIRS[0], false, false);
    assert_eq!(judged(&mut link, 1, &[]), Err(Drop::Length));
    assert_eq!(judged(&mut link, 2, &[&[1, 2, 2, 17]]), Err(Drop::InnerChecksum));
    assert_eq!(judged(&mut link, 3, &[&[1, 2, 3, 17]]), Err(Drop::Padding));
    assert_eq!(judged(&mut link, 4, &[&[0, 1, 0, 17]]), Err(Drop::InnerChecksum));
    assert_eq!(judged(&mut link, 0, &[&[1, 2, 2, 17]]), Err(Drop::Replayed));
}

/// Ports of the SA, but not a whole header.
#[test]
fn short_segments() {
    let mut link = Link::new(PAIRS[0], false, false);
    let (from, to) = link.ends(0);
    let datagram = segment(from, to, Upper::Udp, b"");
    let stream = segment(from, to, Upper::Tcp, b"");
    assert_eq!(judged(&mut link, 1, &[&datagram, &[1, 2, 2, 17]]), Ok(Vec::new()));
    assert_eq!(judged(&mut link, 2, &[&datagram[..6], &[0, 17]]), Err(Drop::InnerChecksum));
    assert_eq!(judged(&mut link, 3, &[&stream, &[1, 2, 2, 6]]), Ok(Vec::new()));
    assert_eq!(judged(&mut link, 4, &[&stream[..16], &[1, 2, 2, 6]]), Err(Drop::InnerChecksum));
}

#[test]
fn packets_in_a_tunnel() {
    for v6 in [false, true] {
        let mut link = Link::new(PAIRS[0], v6, true);
        let (from, to) = link.ends(0);
        let datagram = segment(from, to, Upper::Udp, b"data");
        let mut packet = Vec::new();
        ip::write(&mut packet, from.ip(), to.ip(), ip::UDP, &datagram);
        let next = if v6 { 41 } else { 4 };
        let good: &[u8] = &[1, 2, 2, next];
        assert_eq!(judged(&mut link, 100, &[&packet, good]).as_deref(), Ok(&b"data"[..]));
        assert_eq!(judged(&mut link, 101, &[&packet, &[1, 2, 2, 45 - next]]), Err(Drop::NextHeader));
        assert_eq!(judged(&mut link, 102, &[&packet, &[1, 2, 2, 17]]), Err(Drop::NextHeader));
        assert_eq!(judged(&mut link, 103, &[&packet, &[1, 2, 2, 59]]), Err(Drop::Dummy));
        assert_eq!(judged(&mut link, 104, &[&packet[..packet.len() - 4], good]), Err(Drop::InnerPacket));
        let mut other = Vec::new();
        ip::write(&mut other, to.ip(), from.ip(), ip::UDP, &datagram);
        assert_eq!(judged(&mut link, 105, &[&other, good]), Err(Drop::Selector));
        let mut icmp = Vec::new();
        ip::write(&mut icmp, from.ip(), to.ip(), 1, &datagram);
        assert_eq!(judged(&mut link, 106, &[&icmp, good]), Err(Drop::NextHeader));
        let mut fragments = Vec::new();
        let mut long = Vec::new();
        ip::write(&mut long, from.ip(), to.ip(), ip::UDP, &segment(from, to, Upper::Udp, &[7; 100]));
        ip::fragments::split(&long, 96, 1, |part| fragments.push(part.to_vec())).unwrap();
        let padding: Vec<u8> = (1..=(6 - fragments[0].len() % 4) % 4).map(|n| u8::try_from(n).unwrap()).collect();
        let trailer = [&padding[..], &[u8::try_from(padding.len()).unwrap(), next]].concat();
        assert_eq!(judged(&mut link, 107, &[&fragments[0], &trailer]), Err(Drop::InnerPacket));
    }
}
