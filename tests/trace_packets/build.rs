//! Captures made by hand: packets, and the files around them.

use imsreg::ip::transport::{ACK, PSH, TcpFields, write_tcp, write_udp};
use imsreg::ip::{self};
use imsreg::trace::{self, Message, Options, Seen, Sighting, Step, Summary};
use std::net::SocketAddr;

pub(crate) const UE: &str = "10.45.0.2:5060";
pub(crate) const PCSCF: &str = "10.45.0.1:5060";

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A request with a body of `len` octets.
pub(crate) fn request(number: u32, len: usize) -> Vec<u8> {
    let body = "b".repeat(len);
    format!(
        "MESSAGE sip:a@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.45.0.2;branch=z9hG4bK{number}\r\nCSeq: {number} \
         MESSAGE\r\nContent-Length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A Device-Watchdog-Request of at least `len` octets.
pub(crate) fn watchdog(number: u32, len: usize) -> Vec<u8> {
    use imsreg::diameter::{Header, Writer, dictionary};
    let header = Header {
        request: true,
        proxiable: false,
        error: false,
        retransmitted: false,
        command: dictionary::DEVICE_WATCHDOG,
        application: 0,
        hop_by_hop: number,
        end_to_end: number,
    };
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, &header);
    writer.octets(dictionary::ORIGIN_HOST, 0, true, &vec![b'h'; len]);
    writer.finish();
    out
}

pub(crate) fn udp(from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    let (from, to) = (address(from), address(to));
    let mut out = Vec::new();
    let begun = ip::begin(&mut out, from.ip(), to.ip(), ip::UDP);
    write_udp(&mut out, from, to, data);
    begun.finish(&mut out);
    out
}

pub(crate) fn tcp(from: &str, to: &str, sequence: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let (from, to) = (address(from), address(to));
    let mut out = Vec::new();
    let begun = ip::begin(&mut out, from.ip(), to.ip(), ip::TCP);
    write_tcp(&mut out, from, to, TcpFields { sequence, acknowledged: 0, flags }, data);
    begun.finish(&mut out);
    out
}

/// A segment with data from the UE.
pub(crate) fn data(sequence: u32, data: &[u8]) -> Vec<u8> {
    tcp(UE, PCSCF, sequence, ACK | PSH, data)
}

/// Another identification in an IPv4 header, as of a packet that was sent again.
pub(crate) fn identified(mut packet: Vec<u8>, identification: u16) -> Vec<u8> {
    packet[4..6].copy_from_slice(&identification.to_be_bytes());
    packet
}

/// IP in UDP between two nodes of the access network.
pub(crate) fn gtp_u(from: &str, to: &str, tunnel: u32, packet: &[u8]) -> Vec<u8> {
    let mut gtp = vec![0x34, 255];
    gtp.extend_from_slice(&u16::try_from(packet.len() + 8).unwrap().to_be_bytes());
    gtp.extend_from_slice(&tunnel.to_be_bytes());
    // A PDU session container.
    gtp.extend_from_slice(&[0, 0, 0, 0x85, 1, 0x10, 9, 0]);
    gtp.extend_from_slice(packet);
    udp(from, to, &gtp)
}

/// A classic pcap file, little-endian, raw IP.
pub(crate) fn raw<'a>(packets: impl IntoIterator<Item = (u64, &'a [u8])>) -> Vec<u8> {
    let mut file = head(101);
    for (micros, packet) in packets {
        record(&mut file, micros, packet, packet.len());
    }
    file
}

pub(crate) fn head(link: u32) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0];
    file.extend_from_slice(&link.to_le_bytes());
    file
}

/// A record of a packet that had `original` octets.
pub(crate) fn record(file: &mut Vec<u8>, micros: u64, packet: &[u8], original: usize) {
    for word in [1_700_000_000 + micros / 1_000_000, micros % 1_000_000, packet.len() as u64, original as u64] {
        file.extend_from_slice(&u32::try_from(word).unwrap().to_le_bytes());
    }
    file.extend_from_slice(packet);
}

/// One packet each millisecond.
pub(crate) fn in_order(packets: &[Vec<u8>]) -> Vec<u8> {
    raw(packets.iter().enumerate().map(|(at, packet)| (at as u64 * 1_000, packet.as_slice())))
}

pub(crate) fn read(file: &[u8]) -> (Vec<Sighting>, Summary) {
    read_with(file, Options::default())
}

pub(crate) fn read_with(file: &[u8], options: Options) -> (Vec<Sighting>, Summary) {
    let mut trace = trace::open(file, options).unwrap();
    let sightings = trace.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
    (sightings, trace.summary().clone())
}

pub(crate) fn messages(sightings: &[Sighting]) -> Vec<&Message> {
    let message = |sighting: &'_ Sighting| matches!(sighting.seen, Seen::Message(_));
    sightings
        .iter()
        .filter(|sighting| message(sighting))
        .filter_map(|sighting| match &sighting.seen {
            Seen::Message(message) => Some(message),
            _ => None,
        })
        .collect()
}

pub(crate) fn bytes(sightings: &[Sighting]) -> Vec<Vec<u8>> {
    messages(sightings).into_iter().map(|message| message.bytes.clone()).collect()
}

pub(crate) fn steps(sightings: &[Sighting]) -> Vec<Step> {
    sightings
        .iter()
        .filter_map(|sighting| match &sighting.seen {
            Seen::Connection(connection) => Some(connection.step),
            _ => None,
        })
        .collect()
}

pub(crate) fn unread(sightings: &[Sighting]) -> Vec<&'static str> {
    sightings
        .iter()
        .filter_map(|sighting| match &sighting.seen {
            Seen::Unread(unread) => Some(unread.reason),
            _ => None,
        })
        .collect()
}
