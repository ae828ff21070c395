//! The two file formats: byte orders, resolutions, sections, interfaces, ends that are cut off.

use crate::build::{PCSCF, UE, bytes, head, in_order, messages, raw, read, record, request, udp, unread};
use imsreg::time::Instant;
use imsreg::trace::packets::Reader;
use imsreg::trace::{Options, Place, Seen};

/// A writer of either byte order.
#[derive(Clone, Copy)]
struct Order(bool);

impl Order {
    fn u16(self, out: &mut Vec<u8>, value: u16) {
        out.extend_from_slice(&if self.0 { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn u32(self, out: &mut Vec<u8>, value: u32) {
        out.extend_from_slice(&if self.0 { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn block(self, out: &mut Vec<u8>, kind: u32, body: &[u8]) {
        let len = u32::try_from(12 + body.len().next_multiple_of(4)).unwrap();
        self.u32(out, kind);
        self.u32(out, len);
        out.extend_from_slice(body);
        out.resize(out.len().next_multiple_of(4), 0);
        self.u32(out, len);
    }

    fn option(self, out: &mut Vec<u8>, code: u16, value: &[u8]) {
        self.u16(out, code);
        self.u16(out, u16::try_from(value.len()).unwrap());
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }

    fn section(self, out: &mut Vec<u8>, comment: &str) {
        let mut body = Vec::new();
        self.u32(&mut body, 0x1a2b_3c4d);
        self.u16(&mut body, 1);
        self.u16(&mut body, 0);
        body.extend_from_slice(&[0xff; 8]);
        self.option(&mut body, 1, comment.as_bytes());
        self.option(&mut body, 0, b"");
        self.block(out, 0x0a0d_0d0a, &body);
    }

    fn interface(self, out: &mut Vec<u8>, link: u16, resolution: Option<u8>, offset: i64) {
        let mut body = Vec::new();
        self.u16(&mut body, link);
        self.u16(&mut body, 0);
        self.u32(&mut body, 0);
        if let Some(resolution) = resolution {
            self.option(&mut body, 9, &[resolution]);
        }
        if offset != 0 {
            self.option(&mut body, 14, &if self.0 { offset.to_be_bytes() } else { offset.to_le_bytes() });
        }
        self.option(&mut body, 0, b"");
        self.block(out, 1, &body);
    }

    fn enhanced(self, out: &mut Vec<u8>, interface: u32, ticks: u64, packet: &[u8], comment: Option<&str>) {
        let mut body = Vec::new();
        let len = u32::try_from(packet.len()).unwrap();
        for word in [interface, (ticks >> 32) as u32, ticks as u32, len, len] {
            self.u32(&mut body, word);
        }
        body.extend_from_slice(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        if let Some(comment) = comment {
            self.option(&mut body, 1, comment.as_bytes());
        }
        self.block(out, 6, &body);
    }
}

fn times(sightings: &[imsreg::trace::Sighting]) -> Vec<Option<u64>> {
    sightings.iter().map(|sighting| sighting.at.map(Instant::as_micros)).collect()
}

#[test]
fn pcap_in_both_byte_orders_with_micro_and_nanoseconds() {
    let packets = [udp(UE, PCSCF, &request(1, 0)), udp(UE, PCSCF, &request(2, 0))];
    for (magic, big, per_micro) in
        [(0xa1b2_c3d4_u32, true, 1), (0xa1b2_c3d4, false, 1), (0xa1b2_3c4d, true, 1_000), (0xa1b2_3c4d, false, 1_000)]
    {
        let (order, mut file) = (Order(big), Vec::new());
        order.u32(&mut file, magic);
        order.u16(&mut file, 2);
        order.u16(&mut file, 4);
        for word in [0, 0, 65_535, 101] {
            order.u32(&mut file, word);
        }
        for (at, packet) in packets.iter().enumerate() {
            let len = u32::try_from(packet.len()).unwrap();
            for word in [1_700_000_000 + at as u32, 250_000 * per_micro, len, len] {
                order.u32(&mut file, word);
            }
            file.extend_from_slice(packet);
        }
        let mut reader = Reader::new(&file[..], Options::default()).unwrap();
        let sightings = reader.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(bytes(&sightings), [request(1, 0), request(2, 0)]);
        assert_eq!(times(&sightings), [Some(0), Some(1_000_000)]);
        assert_eq!(sightings[1].place, Place::Packet(2));
        assert_eq!(reader.epoch().unwrap().unix_micros(Instant::ZERO), 1_700_000_000_250_000);
    }
}

#[test]
fn pcapng_with_sections_interfaces_and_resolutions() {
    let packet = |number| udp(UE, PCSCF, &request(number, 0));
    let ethernet = |number| [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0][..], &packet(number)].concat();
    let mut file = Vec::new();
    for big in [false, true] {
        let order = Order(big);
        order.section(&mut file, "a section");
        order.interface(&mut file, 101, None, 0);
        order.interface(&mut file, 1, Some(9), 0);
        order.interface(&mut file, 101, Some(0x80 | 10), 1_700_000_000);
        // Statistics, names, and a block that nobody knows.
        order.block(&mut file, 5, &[0; 12]);
        order.block(&mut file, 0x0bad_cafe, &[1, 2, 3]);
        let number = if big { 10 } else { 0 };
        order.enhanced(&mut file, 0, 1_700_000_000_000_000, &packet(number), Some("first"));
        order.enhanced(&mut file, 1, 1_700_000_001_000_000_000, &ethernet(number + 1), None);
        order.enhanced(&mut file, 2, 2 * 1_024 + 512, &packet(number + 2), None);
        // A simple packet of the first interface, and one of the obsolete kind.
        let simple = packet(number + 3);
        let mut body = Vec::new();
        order.u32(&mut body, u32::try_from(simple.len()).unwrap());
        body.extend_from_slice(&simple);
        order.block(&mut file, 3, &body);
        let old = packet(number + 4);
        let mut body = Vec::new();
        order.u16(&mut body, 0);
        order.u16(&mut body, 0);
        let ticks = 1_700_000_004_000_000_u64;
        let len = u32::try_from(old.len()).unwrap();
        for word in [(ticks >> 32) as u32, ticks as u32, len, len] {
            order.u32(&mut body, word);
        }
        body.extend_from_slice(&old);
        order.block(&mut file, 2, &body);
        order.enhanced(&mut file, 7, 0, &packet(99), None);
        let mut secrets = Vec::new();
        order.u32(&mut secrets, 0x544c_534b);
        order.u32(&mut secrets, 6);
        secrets.extend_from_slice(b"SECRET");
        order.block(&mut file, 10, &secrets);
    }
    let mut reader = Reader::new(&file[..], Options::default()).unwrap();
    let sightings = reader.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
    let (first, second) = sightings.split_at(6);
    for (sightings, number) in [(first, 0), (second, 10)] {
        assert_eq!(bytes(sightings), (number..number + 5).map(|number| request(number, 0)).collect::<Vec<_>>());
        assert_eq!(times(&sightings[..5]), [Some(0), Some(1_000_000), Some(2_500_000), None, Some(4_000_000)]);
        assert_eq!(unread(sightings), ["a packet of an interface that is not described"]);
    }
    assert_eq!(second[5].place, Place::Packet(12));
    let remarks = reader.remarks();
    let comments: Vec<_> = remarks.comments.iter().map(|comment| (comment.packet, &*comment.text)).collect();
    let expected = [(None, "a section"), (Some(1), "first"), (None, "a section"), (Some(7), "first")];
    assert_eq!(comments, expected);
    assert_eq!((remarks.secrets.len(), &remarks.secrets[0].data[..]), (2, &b"SECRET"[..]));
    assert!(!format!("{reader:?}{remarks:?}").contains("83, 69, 67"), "secrets are not shown");
}

/// Wherever a file ends, what was whole before is read, and the rest is said.
#[test]
fn a_cut_off_end_is_said() {
    let packet = udp(UE, PCSCF, &request(1, 20));
    let pcap = in_order(&[packet.clone(), udp(UE, PCSCF, &request(2, 20))]);
    let mut pcapng = Vec::new();
    Order(false).section(&mut pcapng, "");
    Order(false).interface(&mut pcapng, 101, None, 0);
    Order(false).enhanced(&mut pcapng, 0, 0, &packet, None);
    let first = pcapng.len();
    Order(false).enhanced(&mut pcapng, 0, 1_000_000, &packet, None);
    for (file, first) in [(pcap, 24 + 16 + packet.len()), (pcapng, first)] {
        for len in first..=file.len() {
            let (sightings, summary) = read(&file[..len]);
            let is_whole = len == first || len == file.len();
            assert_eq!(summary.sip, if len == file.len() { 2 } else { 1 }, "{len}");
            let expected: &[&str] = if is_whole { &[] } else { &["the file ends within a packet"] };
            assert_eq!(unread(&sightings), expected, "{len}");
        }
    }
}

#[test]
fn lengths_that_no_packet_has_end_the_reading() {
    let packet = udp(UE, PCSCF, &request(1, 0));
    let mut file = in_order(&[packet]);
    file.extend_from_slice(&[0xff; 64]);
    let (sightings, summary) = read(&file);
    assert_eq!((summary.sip, unread(&sightings).len()), (1, 1));
    let mut file = Vec::new();
    Order(true).section(&mut file, "");
    file.extend_from_slice(&[0; 64]);
    assert_eq!(unread(&read(&file).0).len(), 1);
}

#[test]
fn unknown_link_types_are_said_packet_by_packet() {
    let mut file = head(195);
    for at in 0..3 {
        record(&mut file, at, &[0; 50], 50);
    }
    let (sightings, summary) = read(&file);
    assert_eq!(unread(&sightings), ["a link type that is not read"; 3]);
    assert_eq!(summary.unread["a link type that is not read"], (3, 150));
    assert!(summary.to_string().contains("3 not read, 150 octets: a link type that is not read"));
}

/// A snap length cuts a datagram: its beginning is there, and said to be no more.
#[test]
fn a_snap_length_makes_beginnings() {
    let packet = udp(UE, PCSCF, &request(1, 400));
    let mut file = head(101);
    record(&mut file, 0, &packet[..200], packet.len());
    let (sightings, summary) = read(&file);
    let message = messages(&sightings)[0];
    assert!(message.cut && message.bytes == request(1, 400)[..200 - 28]);
    assert_eq!((summary.sip, summary.cut), (1, 1));
}

#[test]
fn nothing_but_captures_is_read_as_one() {
    let fault = |octets: &[u8]| Reader::new(octets, Options::default()).map(drop).unwrap_err().to_string();
    assert!(fault(b"REGISTER sip:example.org SIP/2.0\r\n").starts_with("octets of no known form"));
    assert!(fault(&[0x1f, 0x8b]).starts_with("a gzip file"));
    let (sightings, summary) = read(&raw([]));
    assert!(sightings.is_empty() && summary.packets == 0);
}

/// A source that gives an octet at a time, as a pipe may.
#[test]
fn a_pipe_may_give_as_little_as_it_likes() {
    struct Drops<'a>(&'a [u8]);
    impl std::io::Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (out[0], self.0) = (*first, rest);
            Ok(1)
        }
    }
    let file = in_order(&[udp(UE, PCSCF, &request(1, 0)), udp(UE, PCSCF, &request(2, 9))]);
    let trace = imsreg::trace::open(Drops(&file), Options::default()).unwrap();
    assert_eq!(trace.filter(|sighting| matches!(sighting.as_ref().unwrap().seen, Seen::Message(_))).count(), 2);
}

/// What an agent sends to its collector, as a file and inside a capture.
#[test]
fn hep_is_read_wherever_it_is() {
    use imsreg::packet::{Protocol, Transport};
    use imsreg::time::Duration;
    use imsreg::trace::{Ends, Message, Protection, hep};
    let ends = Ends { from: UE.parse().unwrap(), to: PCSCF.parse().unwrap(), transport: Transport::Tcp };
    let message = Message {
        protocol: Protocol::Sip,
        ends: Some(ends),
        protection: Protection::Unknown,
        cut: false,
        bytes: request(1, 5),
    };
    let mut packet = Vec::new();
    let since_epoch = Some(Duration::from_secs(1_700_000_000));
    hep::write(&hep::Packet { since_epoch, agent: None, message: message.clone() }, &mut packet).unwrap();
    for file in [packet.clone(), in_order(&[udp("10.9.0.1:9060", "10.9.0.2:9060", &packet)])] {
        let (sightings, summary) = read(&file);
        assert_eq!((messages(&sightings), summary.sip), (vec![&message], 1));
    }
}

#[test]
fn a_capture_goes_on_while_others_send() {
    let asked = udp(
        "192.0.2.7:40000",
        "192.0.2.53:53",
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01",
    );
    let first = udp(UE, PCSCF, &request(1, 400));
    let file = raw([(1_000_000, &first[..]), (71_000_000, &asked[..])]);
    let mut trace = imsreg::trace::open(&file[..], Options::default()).unwrap();
    let seen: Vec<_> = trace.by_ref().map(Result::unwrap).collect();
    assert_eq!(messages(&seen).len(), 1);
    assert_eq!(trace.until(), Some(Instant::from_micros(70_000_000)), "a query for a name was the last packet");

    let mut story = imsreg::trace::story::Story::new(imsreg::trace::story::Limits::default());
    seen.into_iter().for_each(|sighting| story.see(sighting));
    story.passed(trace.until().unwrap());
    story.finish();
    assert_eq!(story.next().unwrap().seen_until, trace.until());
}
