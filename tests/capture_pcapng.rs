//! Captures as other programs read them.
#![cfg(feature = "live")]

#[path = "ladder_rows/registration.rs"]
mod registration;

use imsreg::capture::Entry;
use imsreg::capture::pcapng::Writer;
use imsreg::packet::{Packet, Protocol, Transport};
use imsreg::time::{Epoch, Instant};
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::process::Command;

struct Frame {
    micros: u128,
    bytes: Vec<u8>,
}

fn frames(file: &[u8]) -> Vec<Frame> {
    let mut reader = PcapNgReader::new(Cursor::new(file)).unwrap();
    let mut out = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            out.push(Frame { micros: packet.timestamp.as_micros(), bytes: packet.data.into_owned() });
        }
    }
    out
}

fn written() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Epoch::SIMULATION).unwrap();
    for hop in registration::capture().hops() {
        writer.hop(hop).unwrap();
    }
    writer.finish().unwrap();
    file
}

/// Each connection: SYN, SYN ACK, ACK, then octets without gaps, then FIN from both sides.
#[test]
fn streams_have_no_gaps() {
    let mut next: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    let mut opened = 0;
    let file = written();
    for frame in frames(&file).iter().filter(|f| f.bytes[9] == 6) {
        let tcp = &frame.bytes[20..];
        let (from, to) = (u16::from_be_bytes([tcp[0], tcp[1]]), u16::from_be_bytes([tcp[2], tcp[3]]));
        let sequence = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        let acknowledged = u32::from_be_bytes(tcp[8..12].try_into().unwrap());
        if tcp[13] & 2 != 0 {
            assert!(next.insert((from, to), sequence.wrapping_add(1)).is_none());
            opened += 1;
            continue;
        }
        assert_eq!(Some(&sequence), next.get(&(from, to)));
        assert_eq!(Some(&acknowledged), next.get(&(to, from)));
        let counted = u32::try_from(tcp.len()).unwrap() - 20 + u32::from(tcp[13] & 1);
        *next.get_mut(&(from, to)).unwrap() += counted;
    }
    assert_eq!(opened, 8, "four connections, both directions");
    let all = frames(&file);
    assert_eq!(all[0].micros, u128::from(Epoch::SIMULATION.unix_micros(Instant::from_micros(125))));
}

/// A sender that does not name its port gets one, and the answers to it stay on its connection.
#[test]
fn any_port_becomes_one_port() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Epoch::SIMULATION).unwrap();
    for (from, to) in [("[::1]:0", "[::1]:4060"), ("[::1]:4060", "[::1]:40123"), ("[::1]:0", "[::1]:4060")] {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let bytes = &[b'x'; 70_000];
        let packet = Packet { bytes, protocol: Protocol::Sip, transport: Transport::Tcp, from, to, sa: None };
        let Entry::Hop(hop) = Entry::hop(Instant::ZERO, &packet) else { unreachable!("it was made of a packet") };
        writer.hop(&hop).unwrap();
    }
    writer.finish().unwrap();
    let ports: Vec<(u16, u16)> = frames(&file)
        .iter()
        .map(|f| (u16::from_be_bytes([f.bytes[40], f.bytes[41]]), u16::from_be_bytes([f.bytes[42], f.bytes[43]])))
        .collect();
    assert_eq!(ports.len(), 3 + 6 + 3, "handshake, three messages in two segments each, end");
    assert!(ports.iter().all(|ports| matches!(ports, (49_152, 4060) | (4060, 49_152))), "{ports:?}");
}

/// A file that is still being written can be read.
#[test]
fn every_block_is_whole() {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Epoch::SIMULATION).unwrap();
    let capture = registration::capture();
    let hop = capture.hops().next().unwrap();
    writer.hop(hop).unwrap();
    writer.flush().unwrap();
    drop(writer);
    assert_eq!(frames(&file).len(), 3 + 1);
}

#[test]
fn tshark_reads_sip_and_diameter_and_finds_nothing_malformed() {
    let path = std::env::temp_dir().join(format!("imsreg-capture-{}.pcapng", std::process::id()));
    std::fs::write(&path, written()).unwrap();
    let run = |filter: &str| {
        let output = Command::new("tshark")
            .args(["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"])
            // Wireshark takes ports 6000 to 6063 for X11.
            .args(["-d", "tcp.port==6060,sip", "-Y", filter, "-r"])
            .arg(&path)
            .output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).lines().count())
    };
    if run("frame").is_none() {
        eprintln!("not run: tshark is not installed");
        return;
    }
    let counts: Vec<usize> = ["sip.CSeq", "diameter.cmd.code >= 300", "_ws.malformed", "tcp.analysis.flags"]
        .into_iter()
        .map(|filter| run(filter).unwrap())
        .collect();
    let wrong = run("ip.checksum.status == Bad || tcp.checksum.status == Bad || udp.checksum.status == Bad").unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!((counts, wrong), (vec![13, 8, 0, 0], 0));
}
