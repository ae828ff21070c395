//! TCP and SCTP: order, loss, repetition, a beginning that is missing.

use crate::build::{
    PCSCF, UE, address, bytes, data, head, identified, in_order, messages, raw, read, record, request, steps, tcp, udp,
    unread, watchdog,
};
use imsreg::ip;
use imsreg::ip::transport::{ACK, FIN, RST, SYN};
use imsreg::packet::{Protocol, Transport};
use imsreg::random::Random;
use imsreg::trace::{Place, Seen, Step};

const SECOND: u64 = 1_000_000;

/// Three messages of several segments each, and where they are cut.
fn stream() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let messages = [request(1, 3_000), request(2, 0), request(3, 2_000)];
    let all = messages.concat();
    let mut sequence = u32::MAX - 1_500;
    let segments = all.chunks(700).map(|part| {
        let segment = data(sequence, part);
        // Numbers wrap on the way.
        sequence = sequence.wrapping_add(part.len() as u32);
        segment
    });
    (messages.to_vec(), segments.collect())
}

#[test]
fn segments_in_any_order_and_twice() {
    let (messages, segments) = stream();
    let mut random = Random::seeded(7);
    for round in 0..60 {
        let mut order: Vec<usize> = (0..segments.len()).chain(0..3).collect();
        // The first one tells what the stream is; the others come as they like.
        for at in 1..order.len() {
            let other = at + random.below((order.len() - at) as u32) as usize;
            order.swap(at, other);
        }
        let syn = tcp(UE, PCSCF, u32::MAX - 1_501, SYN, b"");
        let packets: Vec<Vec<u8>> = [syn]
            .into_iter()
            .chain(order.iter().enumerate().map(|(at, &which)| identified(segments[which].clone(), at as u16 + 1)))
            .collect();
        let (sightings, summary) = read(&in_order(&packets));
        assert_eq!(bytes(&sightings), messages, "{round}: {order:?}");
        assert_eq!((steps(&sightings), unread(&sightings).len()), (vec![Step::Asked], 0));
        assert_eq!((summary.retransmitted, summary.gaps), (3, 0), "{round}: {order:?}");
    }
}

#[test]
fn loss_costs_the_message_that_it_hits() {
    let (messages, segments) = stream();
    // The second segment of the first message.
    let kept: Vec<Vec<u8>> = segments.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, s)| s.clone()).collect();
    let (sightings, summary) = read(&in_order(&kept));
    let found = bytes(&sightings);
    assert_eq!(found[0], messages[0][..700], "its beginning");
    assert_eq!(found[1..], messages[1..]);
    assert!(messages_are_cut(&sightings) == [true, false, false]);
    assert_eq!((steps(&sightings), summary.gaps), (vec![Step::Gap], 1));
    assert_eq!(unread(&sightings), ["the rest of messages whose beginning is not in the trace"]);
}

fn messages_are_cut(sightings: &[imsreg::trace::Sighting]) -> Vec<bool> {
    messages(sightings).iter().map(|message| message.cut).collect()
}

/// Two seconds, or sixty segments: then reading goes on.
#[test]
fn what_is_missing_is_waited_for_and_not_for_ever() {
    let first = request(1, 0);
    let lost = request(2, 0);
    let rest = request(3, 0);
    let (second, third) = (1 + first.len() as u32, 1 + (first.len() + lost.len()) as u32);
    let other = udp(UE, PCSCF, &request(9, 0));
    let packets =
        [(0, data(1, &first)), (1, data(third, &rest)), (SECOND, data(second, &lost)), (9 * SECOND, other.clone())];
    let (sightings, summary) = read(&raw(packets.iter().map(|(at, packet)| (*at, packet.as_slice()))));
    assert_eq!(bytes(&sightings), [first.clone(), lost, rest.clone(), request(9, 0)]);
    assert_eq!(summary.gaps, 0);
    // It never comes. Any packet shows that time has passed.
    let packets = [(0, data(1, &first)), (1, data(third, &rest)), (2 * SECOND + 1, other)];
    let (sightings, summary) = read(&raw(packets.iter().map(|(at, packet)| (*at, packet.as_slice()))));
    assert_eq!(bytes(&sightings), [first, request(9, 0), rest]);
    assert_eq!((summary.gaps, sightings[3].place), (1, Place::Packet(2)), "{sightings:?}");
}

#[test]
fn a_stream_read_from_its_middle() {
    let whole = [request(1, 500), request(2, 10)].concat();
    let file = in_order(&[data(5_000, &whole[100..])]);
    let (sightings, _) = read(&file);
    assert_eq!(bytes(&sightings), [request(2, 10)]);
    assert_eq!(unread(&sightings), ["the rest of messages whose beginning is not in the trace"]);
    // On ports that tell nothing it is known by the first segment that begins with a message.
    let (from, to) = ("10.0.0.1:40000", "10.0.0.2:40001");
    let parts = [tcp(from, to, 1, ACK, &whole[100..300]), tcp(from, to, 201, ACK, &whole[300..600]), {
        let start = request(1, 500).len();
        tcp(from, to, start as u32 - 99, ACK, &whole[start..])
    }];
    assert_eq!(bytes(&read(&in_order(&parts)).0), [request(2, 10)]);
}

#[test]
fn steps_of_a_connection_are_told_where_it_carries_messages() {
    let (ue, server) = ("10.45.0.2:40000", "10.45.0.1:7777");
    let packets = |first: &[u8]| {
        let next = 1 + first.len() as u32;
        in_order(&[
            tcp(ue, server, 0, SYN, b""),
            tcp(server, ue, 0, SYN | ACK, b""),
            tcp(ue, server, 1, ACK, first),
            tcp(ue, server, next, FIN | ACK, b""),
            tcp(ue, server, next, FIN | ACK, b""),
            tcp(server, ue, 1, RST, b""),
        ])
    };
    let (sightings, _) = read(&packets(&request(1, 0)));
    assert_eq!(steps(&sightings), [Step::Asked, Step::Accepted, Step::Closed, Step::Reset]);
    assert_eq!(sightings[0].place, Place::Packet(1));
    let (sightings, summary) = read(&packets(b"GET / HTTP/1.1\r\n\r\n"));
    assert!(sightings.is_empty() && summary.other > 0);
    // A connection that nobody accepts, on a port of SIP.
    let (sightings, _) = read(&in_order(&[tcp(ue, PCSCF, 0, SYN, b""), tcp(PCSCF, ue, 0, RST | ACK, b"")]));
    assert_eq!(steps(&sightings), [Step::Asked, Step::Reset]);
}

/// The same ports again, other sequence numbers.
#[test]
fn a_connection_follows_another() {
    let first = [tcp(UE, PCSCF, 100, SYN, b""), data(101, &request(1, 0)[..40])];
    let second = [tcp(UE, PCSCF, 9_000_000, SYN, b""), data(9_000_001, &request(2, 0))];
    let (sightings, _) = read(&in_order(&[first, second].concat()));
    assert_eq!(bytes(&sightings), [request(1, 0)[..40].to_vec(), request(2, 0)]);
    assert_eq!(messages_are_cut(&sightings), [true, false]);
}

#[test]
fn keep_alives_are_no_messages() {
    let first = request(1, 0);
    let next = 1 + first.len() as u32;
    let file = in_order(&[
        data(1, &first),
        data(next, b"\r\n\r\n"),
        // TCP's own.
        data(next + 3, b"\n"),
        data(next + 4, &request(2, 0)),
        udp(UE, PCSCF, b"\r\n\r\n"),
        udp(UE, PCSCF, &[0; 4]),
    ]);
    let (sightings, summary) = read(&file);
    assert_eq!(bytes(&sightings), [first, request(2, 0)]);
    assert_eq!((summary.keep_alives, unread(&sightings).len()), (3, 0));
}

#[test]
fn a_snap_length_makes_beginnings_on_streams_as_well() {
    let packets = [data(1, &request(1, 900)), data(1 + request(1, 900).len() as u32, &request(2, 0))];
    let mut file = head(101);
    record(&mut file, 0, &packets[0][..300], packets[0].len());
    record(&mut file, 1_000, &packets[1], packets[1].len());
    let (sightings, _) = read(&file);
    assert_eq!(bytes(&sightings), [request(1, 900)[..260].to_vec(), request(2, 0)]);
    assert_eq!(messages_are_cut(&sightings), [true, false]);
}

#[test]
fn diameter_is_framed_by_its_length_on_any_port() {
    let all = [watchdog(1, 2_000), watchdog(2, 3), watchdog(3, 900)];
    for to in ["10.0.0.9:3868", "10.0.0.9:3871"] {
        let mut sequence = 1;
        let packets: Vec<Vec<u8>> = all
            .concat()
            .chunks(1_000)
            .map(|part| {
                let packet = tcp("10.0.0.8:40000", to, sequence, ACK, part);
                sequence += part.len() as u32;
                packet
            })
            .collect();
        let (sightings, summary) = read(&in_order(&packets));
        assert_eq!(bytes(&sightings), all);
        assert_eq!((summary.diameter, messages(&sightings)[0].protocol), (3, Protocol::Diameter));
        // From the middle of the first on, the next that begins a segment is found.
        let lone = tcp("10.0.0.8:40000", to, 9_000, ACK, &all[1]);
        let (sightings, _) = read(&in_order(&[packets[1].clone(), lone]));
        assert_eq!(bytes(&sightings), [all[1].clone()], "{to}");
    }
}

/// Bounded: many connections that begin and never go on.
#[test]
fn beginnings_without_end_are_forgotten_and_said() {
    let beginning = &request(1, 10)[..60];
    let packets: Vec<Vec<u8>> = (0..40_000_u32)
        .map(|n| {
            let from = format!("10.{}.{}.{}:5060", 1 + (n >> 16), n >> 8 & 0xff, n & 0xff);
            tcp(&from, PCSCF, 1, ACK, beginning)
        })
        .collect();
    let (sightings, _) = read(&in_order(&packets));
    assert_eq!(messages_are_cut(&sightings), vec![true; 40_000]);
}

fn chunk(number: u32, flags: u8, identifier: u32, octets: &[u8]) -> Vec<u8> {
    let mut chunk = vec![0, flags];
    chunk.extend_from_slice(&u16::try_from(16 + octets.len()).unwrap().to_be_bytes());
    chunk.extend_from_slice(&number.to_be_bytes());
    chunk.extend_from_slice(&[0, 0, 0, 7]);
    chunk.extend_from_slice(&identifier.to_be_bytes());
    chunk.extend_from_slice(octets);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn sctp(chunks: &[Vec<u8>]) -> Vec<u8> {
    let (from, to) = (address("10.0.0.8:40000"), address("10.0.0.9:3868"));
    let head = [&from.port().to_be_bytes()[..], &to.port().to_be_bytes(), &[0; 8]].concat();
    let mut out = Vec::new();
    ip::write(&mut out, from.ip(), to.ip(), 132, &[head, chunks.concat()].concat());
    out
}

#[test]
fn chunks_of_sctp_carry_diameter() {
    let (long, short) = (watchdog(1, 2_000), watchdog(2, 9));
    let part = |number: u32, flags: u8, at: std::ops::Range<usize>| chunk(number, flags, 46, &long[at]);
    let init = [1, 0, 0, 20].into_iter().chain([0; 16]).collect::<Vec<u8>>();
    let len = long.len();
    let packets = [
        sctp(&[init]),
        // Bundled: the first part and a whole one; the last part before the middle one.
        sctp(&[part(u32::MAX, 2, 0..800), chunk(7, 3, 0, &short)]),
        sctp(&[part(1, 1, 1_600..len)]),
        sctp(&[part(0, 0, 800..1_600)]),
        // Sent again.
        sctp(&[part(0, 0, 800..1_600), chunk(8, 3, 46, b"no Diameter")]),
        sctp(&[vec![7, 0, 0, 8, 0, 0, 0, 0]]),
    ];
    let (sightings, summary) = read(&in_order(&packets));
    assert_eq!(bytes(&sightings), [short, long]);
    assert_eq!(messages(&sightings)[0].ends.unwrap().transport, Transport::Sctp);
    assert_eq!(steps(&sightings), [Step::Asked, Step::Closed]);
    assert_eq!(unread(&sightings), ["a message of SCTP that is no Diameter message"]);
    assert_eq!(summary.retransmitted, 1);
}

#[test]
fn a_part_that_stays_alone_is_said() {
    let packets = [sctp(&[chunk(1, 2, 46, &watchdog(1, 500)[..200])])];
    let (sightings, _) = read(&in_order(&packets));
    assert!(matches!(&sightings[..], [one] if matches!(&one.seen, Seen::Unread(unread) if unread.octets == 200)));
}
