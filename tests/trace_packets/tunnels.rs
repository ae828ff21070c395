//! What carries IP, and the same packet in several carriers.

use crate::build::{
    PCSCF, UE, address, bytes, gtp_u, head, identified, in_order, messages, raw, read, read_with, record, request, udp,
    unread,
};
use imsreg::ip;
use imsreg::ip::fragments::split;
use imsreg::trace::Options;

const GNB: &str = "172.16.0.1:2152";
const UPF: &str = "172.16.0.2:2152";
const INNER: &str = "172.17.0.2:2152";

/// LINKTYPE, and a frame around a packet.
fn framed(link: u32, packet: &[u8]) -> Vec<u8> {
    let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let head = match link {
        1 => [&macs[..], &[0x81, 0, 0, 7, 8, 0]].concat(),
        113 => vec![0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0],
        276 => vec![8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0],
        0 => vec![2, 0, 0, 0],
        _ => Vec::new(),
    };
    [&head, packet].concat()
}

#[test]
fn every_link_type_brings_the_message() {
    for link in [0, 1, 12, 14, 101, 113, 228, 276] {
        let mut file = head(link);
        let frame = framed(link, &udp(UE, PCSCF, &request(1, 30)));
        // Ethernet pads.
        let frame = if link == 1 { [frame, vec![0; 6]].concat() } else { frame };
        record(&mut file, 0, &frame, frame.len());
        let (sightings, _) = read(&file);
        assert_eq!(bytes(&sightings), [request(1, 30)], "{link}");
        let ends = messages(&sightings)[0].ends.unwrap();
        assert_eq!((ends.from, ends.to), (address(UE), address(PCSCF)));
    }
}

#[test]
fn fragments_of_both_families_in_any_order() {
    for (from, to) in [(UE, PCSCF), ("[2001:db8::2]:5060", "[2001:db8::1]:5060")] {
        let mut parts = Vec::new();
        split(&udp(from, to, &request(1, 4_000)), 1_280, 7, |part| parts.push(part.to_vec())).unwrap();
        for turn in 0..parts.len() {
            parts.rotate_left(turn);
            let (sightings, summary) = read(&in_order(&parts));
            assert_eq!(bytes(&sightings), [request(1, 4_000)]);
            assert_eq!((summary.sip, summary.unread.len()), (1, 0));
        }
        // One is missing.
        parts.sort();
        let (sightings, _) = read(&in_order(&parts[1..]));
        assert_eq!(unread(&sightings), ["an IP packet of which fragments are missing"]);
    }
}

#[test]
fn ip_in_ip_and_gtp_u_are_opened() {
    let packet = udp(UE, PCSCF, &request(1, 30));
    let mut in_ip = Vec::new();
    ip::write(&mut in_ip, address(GNB).ip(), address(UPF).ip(), 4, &packet);
    let v6 = udp("[2001:db8::2]:5060", "[2001:db8::1]:5060", &request(2, 0));
    let mut v6_in_ip = Vec::new();
    ip::write(&mut v6_in_ip, address(GNB).ip(), address(UPF).ip(), 41, &v6);
    let twice = gtp_u(GNB, UPF, 1, &gtp_u(UPF, INNER, 2, &udp(UE, PCSCF, &request(3, 0))));
    let (sightings, summary) = read(&in_order(&[in_ip, v6_in_ip, twice]));
    assert_eq!(bytes(&sightings), [request(1, 30), request(2, 0), request(3, 0)]);
    assert_eq!((summary.other, summary.unread.len()), (0, 0));
}

/// As on a host with gNB side, UPF and P-CSCF, captured on `any`.
#[test]
fn twice_in_gtp_u_and_then_plain_is_counted_once() {
    let sent = |number| identified(udp(UE, PCSCF, &request(1, 30)), number);
    let seen = |at: u64, packet: &[u8]| {
        [(at, gtp_u(GNB, UPF, 7, packet)), (at + 70, gtp_u(UPF, INNER, 8, packet)), (at + 110, packet.to_vec())]
    };
    // Sent again after T1 with another identification, and once more by a host that uses none.
    let packets =
        [seen(0, &sent(0x1111)), seen(500_000, &sent(0x1112)), seen(1_500_000, &sent(0)), seen(3_500_000, &sent(0))];
    let packets: Vec<(u64, Vec<u8>)> = packets.into_iter().flatten().collect();
    let file = raw(packets.iter().map(|(at, packet)| (*at, packet.as_slice())));
    let (sightings, summary) = read(&file);
    assert_eq!((bytes(&sightings).len(), summary.sip, summary.copies), (4, 4, 8));
    let (sightings, summary) = read_with(&file, Options { keep_copies: true, ..Options::default() });
    assert_eq!((bytes(&sightings).len(), summary.sip, summary.copies), (12, 12, 8));
}

/// A fragmented packet in three places: the parts lie between each other.
#[test]
fn fragments_in_several_places_are_one_packet() {
    let mut parts = Vec::new();
    split(&udp(UE, PCSCF, &request(1, 3_000)), 1_400, 7, |part| parts.push(part.to_vec())).unwrap();
    let packets: Vec<Vec<u8>> =
        parts.iter().flat_map(|part| [gtp_u(GNB, UPF, 7, part), gtp_u(UPF, INNER, 8, part), part.clone()]).collect();
    let (sightings, summary) = read(&in_order(&packets));
    assert_eq!(bytes(&sightings), [request(1, 3_000)]);
    assert!(summary.unread.is_empty(), "{summary}");
}

/// Offload leaves checksums, and the lengths of large segments, to the network card.
#[test]
fn checksums_are_not_judged() {
    let mut packet = udp(UE, PCSCF, &request(1, 0));
    packet[10..12].fill(0xee);
    packet[26..28].fill(0xee);
    assert_eq!(bytes(&read(&in_order(&[packet])).0), [request(1, 0)]);
}

#[test]
fn packets_inside_packets_have_an_end() {
    let mut packet = udp(UE, PCSCF, &request(1, 0));
    for _ in 0..40 {
        let inner = std::mem::take(&mut packet);
        ip::write(&mut packet, address(GNB).ip(), address(UPF).ip(), 4, &inner);
    }
    assert_eq!(unread(&read(&in_order(&[packet])).0), ["too many packets inside each other"]);
}

/// Mirrors of switches and clouds: the packet in GRE, as a frame in GRE or ERSPAN, in VXLAN; one seen both ways is one.
#[test]
fn mirrors_in_gre_erspan_and_vxlan() {
    let packet = udp(UE, PCSCF, &request(1, 200));
    let frame = framed(1, &packet);
    let gre = |head: &[u8], inner: &[u8]| {
        let mut out = Vec::new();
        ip::write(&mut out, "172.16.0.1".parse().unwrap(), "172.16.0.2".parse().unwrap(), 47, &[head, inner].concat());
        out
    };
    let vxlan = |port: &str| {
        let data = [&[8, 0, 0, 0, 0, 0, 7, 0], &frame[..]].concat();
        udp("172.16.0.1:50000", &format!("172.16.0.2:{port}"), &data)
    };
    let all = [
        gre(&[0, 0, 8, 0], &packet),
        gre(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7], &frame),
        gre(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0x10; 8]].concat(), &frame),
        vxlan("4789"),
        vxlan("8472"),
    ];
    for carried in &all {
        let (sightings, summary) = read(&in_order(std::slice::from_ref(carried)));
        assert_eq!(bytes(&sightings), [request(1, 200)], "{carried:02x?}");
        assert_eq!((summary.other, summary.unread.len()), (0, 0));
    }
    let (sightings, summary) = read(&in_order(&all));
    assert_eq!((bytes(&sightings).len(), summary.copies), (1, 4));
    // PPP of PPTP is none of ours; a head that is cut is said.
    let (sightings, summary) = read(&in_order(&[gre(&[0x30, 1, 0x88, 0x0b], &[0; 20]), gre(&[0, 0, 8], &[])]));
    assert_eq!((unread(&sightings), summary.other), (vec!["a GRE packet cut off in its head"], 1));
}

/// As Wireshark writes them with "Export PDUs to File": tags that tell the ends, then the message.
#[test]
fn exported_pdus_bring_their_message() {
    let tag = |tag: u16, value: &[u8]| {
        [&tag.to_be_bytes()[..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    };
    let ends = |kind: u32, from: u32, to: u32| {
        let ports = [(24, kind), (25, from), (26, to)].map(|(code, number)| tag(code, &number.to_be_bytes())).concat();
        [tag(20, &[10, 45, 0, 2]), tag(21, &[10, 45, 0, 1]), ports].concat()
    };
    let pdu = |name: &[u8], tags: &[u8], data: &[u8]| [&tag(12, name), tags, &tag(0, &[]), data].concat();
    let mut file = head(252);
    let dwr = crate::build::watchdog(7, 20);
    let pdus = [
        pdu(b"sip\0", &ends(3, 5060, 5060), &request(1, 30)),
        pdu(b"diameter", &ends(1, 40_000, 3868), &dwr),
        pdu(b"sip.tcp\0", &[], &request(2, 30)),
        pdu(b"ip\0\0", &[], &udp(UE, PCSCF, &request(3, 30))),
        pdu(b"http", &[], b"GET / HTTP/1.1\r\n\r\n"),
        tag(12, b"sip\0")[..6].to_vec(),
    ];
    for (at, pdu) in (0..).zip(&pdus) {
        record(&mut file, at * 1_000, pdu, pdu.len());
    }
    let (sightings, summary) = read(&file);
    assert_eq!(bytes(&sightings), [request(1, 30), dwr, request(2, 30), request(3, 30)]);
    let messages = messages(&sightings);
    assert_eq!(messages.iter().map(|message| message.ends.is_some()).collect::<Vec<_>>(), [true, true, false, true]);
    let first = messages[0].ends.unwrap();
    assert_eq!((first.from, first.to, first.transport), (address(UE), address(PCSCF), imsreg::packet::Transport::Udp));
    assert_eq!(messages[1].ends.unwrap().transport, imsreg::packet::Transport::Sctp);
    // Whether ESP was around it is not told.
    assert_eq!(messages[0].protection, imsreg::trace::Protection::Unknown);
    assert_eq!((unread(&sightings), summary.other), (vec!["an exported PDU that is cut in its tags"], 1));
}
