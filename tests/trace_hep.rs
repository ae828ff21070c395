//! HEP packets inside of captures, over UDP and over TCP.

use imsreg::packet::{Protocol, Transport};
use imsreg::time::Duration;
use imsreg::trace::packets::{Options, Reader};
use imsreg::trace::{Ends, Message, Place, Protection, Seen, Sighting, hep};
use proptest::prelude::*;

/// A packet whose message has this Call-ID.
fn hep(call_id: &str) -> Vec<u8> {
    let ends = Ends { from: address("10.0.0.1:5060"), to: address("[2001:db8::1]:5062"), transport: Transport::Tcp };
    let bytes = format!("OPTIONS sip:a SIP/2.0\r\nCall-ID: {call_id}\r\n\r\n").into_bytes();
    let message =
        Message { protocol: Protocol::Sip, ends: Some(ends), protection: Protection::Unknown, cut: false, bytes };
    let mut packet = Vec::new();
    hep::write(&hep::Packet { since_epoch: Some(Duration::from_secs(9)), agent: Some(1), message }, &mut packet)
        .expect("short SIP");
    packet
}

fn address(text: &str) -> std::net::SocketAddr {
    text.parse().expect("an address")
}

/// A packet of IPv4 from 192.0.2.1 to 192.0.2.2.
fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("short").to_be_bytes();
    let mut packet = vec![0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend_from_slice(payload);
    packet
}

fn udp(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).expect("short").to_be_bytes();
    let mut datagram = vec![0xc0, 0, 0x23, 0x64, length[0], length[1], 0, 0];
    datagram.extend_from_slice(data);
    ip(17, &datagram)
}

fn tcp(sequence: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut segment = vec![0xc0, 0, 0x23, 0x64];
    segment.extend(sequence.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend_from_slice(data);
    ip(6, &segment)
}

/// What a capture of raw IP shows, its packets a second apart.
fn sightings(packets: &[Vec<u8>]) -> Vec<Sighting> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        file.extend(word.to_le_bytes());
    }
    for (second, packet) in (1_000_u32..).zip(packets) {
        let length = u32::try_from(packet.len()).expect("short");
        for word in [second, 0, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend_from_slice(packet);
    }
    let reader = Reader::new(&file[..], Options::default()).expect("a capture");
    reader.map(|sighting| sighting.expect("memory does not fail")).collect()
}

/// Place and Call-ID, or the reason.
fn shapes(sightings: &[Sighting]) -> Vec<(Place, String)> {
    let shape = |sighting: &Sighting| match &sighting.seen {
        Seen::Message(message) => {
            let ends = message.ends.expect("the packet names them");
            assert_eq!((ends.from, ends.to), (address("10.0.0.1:5060"), address("[2001:db8::1]:5062")));
            assert_eq!(message.protection, Protection::Unknown);
            let text = String::from_utf8_lossy(&message.bytes).into_owned();
            text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).expect("a Call-ID").to_owned()
        }
        Seen::Unread(unread) => unread.reason.to_owned(),
        seen => panic!("{seen:?}"),
    };
    sightings.iter().map(|sighting| (sighting.place, shape(sighting))).collect()
}

fn told(number: u64, what: &str) -> (Place, String) {
    (Place::Packet(number), what.to_owned())
}

#[test]
fn datagrams_show_what_they_hold() {
    let mut spoiled = hep("c");
    spoiled[11] = 0;
    let mut found = sightings(&[udp(&hep("a")), udp(&hep("b")), udp(&spoiled)]);
    // A message of unknown protection waits for the ESP that it may be a copy of.
    found.sort_by_key(|sighting| sighting.place);
    assert_eq!(shapes(&found), [told(1, "a"), told(2, "b"), told(3, "a HEP packet with a wrong length")]);
    assert_eq!(found[1].at, Some(imsreg::time::Instant::from_secs(1)), "when it passed, not when it was sent");
}

#[test]
fn streams_are_cut_into_packets() {
    let stream = [hep("a"), hep("b"), hep("c")].concat();
    let (first, rest) = stream.split_at(20);
    let (second, third) = rest.split_at(hep("a").len() + 3);
    let at = |offset: usize| 101 + u32::try_from(offset).expect("short");
    let found = sightings(&[
        tcp(100, 0x02, b""),
        tcp(at(0), 0x10, first),
        tcp(at(20 + second.len()), 0x10, third),
        tcp(at(20), 0x10, second),
        tcp(at(stream.len()), 0x11, b""),
    ]);
    let names: Vec<_> = shapes(&found).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "c"], "the connection itself is none of ours");
}

#[test]
fn a_stream_is_read_on_behind_what_is_missing() {
    let packet = hep("a");
    let length = u32::try_from(packet.len()).expect("short");
    let found = sightings(&[
        tcp(100, 0x10, &packet),
        tcp(100 + length + 1_000, 0x10, &packet[30..]),
        tcp(100 + length + 1_000 + length - 30, 0x10, &hep("b")),
    ]);
    let names: Vec<_> = shapes(&found).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "the rest of messages whose beginning is not in the trace", "b"]);
}

/// Octets near those of packets.
fn spoiled() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (prop::collection::vec(change, 0..6), any::<prop::sample::Index>()).prop_map(|(changes, end)| {
        let mut file = [hep("a"), b"HEP".to_vec(), hep("b"), hep("c")].concat();
        for (at, octet) in changes {
            let at = at.index(file.len());
            file[at] = octet;
        }
        file.truncate(end.index(file.len()) + 1);
        file
    })
}

proptest! {
    #[test]
    fn every_octet_of_a_file_is_read_or_told(file in prop_oneof![spoiled(), prop::collection::vec(any::<u8>(), 0..200)]) {
        let mut told = 0;
        for sighting in hep::Reader::new(&file[..]) {
            told += match sighting.expect("memory does not fail").seen {
                Seen::Unread(unread) => unread.octets,
                Seen::Message(message) => message.bytes.len() + 6,
                seen => panic!("{seen:?}"),
            };
        }
        prop_assert!(told <= file.len());
        prop_assert_eq!(told == 0, file.is_empty());
    }

    #[test]
    fn what_is_read_is_written_as_it_was(file in spoiled()) {
        if let Ok(packet) = hep::parse(&file) {
            let mut written = Vec::new();
            if hep::write(&packet, &mut written).is_ok() {
                prop_assert_eq!(hep::parse(&written), Ok(packet));
            }
        }
    }
}
