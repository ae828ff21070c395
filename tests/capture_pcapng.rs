//! Captures as other programs read them.
#![cfg(feature = "live")]

#[path = "ladder_rows/registration.rs"]
mod registration;

use imsreg::aka::{Ck, Ik};
use imsreg::capture::pcapng::Writer;
use imsreg::capture::{Entry, esp_sa};
use imsreg::identity::Spi;
use imsreg::ip::transport::{ACK, Segment, TcpFields, write_tcp, write_udp};
use imsreg::ip::{self, Upper};
use imsreg::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, PortPair, SaId, SaSet, SaSetId};
use imsreg::ipsec::esp::Engine;
use imsreg::packet::{Packet, Protocol, Transport};
use imsreg::random::Random;
use imsreg::time::{Epoch, Instant};
use pcap_file::pcapng::{Block, PcapNgReader};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::net::SocketAddr;
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

/// What is under ESP on one interface is the clear text of the other, for all pairs but aes-gmac, which tshark does not know.
#[test]
fn tshark_opens_esp_with_the_key_file() {
    let (mut file, mut keys) = (Vec::new(), String::new());
    let mut writer = Writer::new(&mut file, Epoch::SIMULATION).unwrap();
    let mut messages = 0;
    for (number, (integrity, encryption)) in (1..).zip(PAIRS) {
        for (ue, pcscf) in [("10.45.0.2", "10.45.0.1"), ("2001:db8::2", "2001:db8::1")] {
            let spi = if ue.contains(':') { 1_000 } else { 2_000 } + 10 * u32::from(number);
            let set = SaSet {
                id: SaSetId(spi.into()),
                ue_address: ue.parse().unwrap(),
                pcscf_address: pcscf.parse().unwrap(),
                ue: Endpoint { spi_c: Spi(spi), spi_s: Spi(spi + 1), port_c: 31_000 + number, port_s: 32_000 + number },
                pcscf: Endpoint { spi_c: Spi(spi + 2), spi_s: Spi(spi + 3), port_c: 19_900 + number, port_s: 19_800 },
                algorithms: Algorithms { integrity, encryption },
                mode: Mode::Transport,
                ck: Ck([0xc0 + number as u8; 16]),
                ik: Ik([0x10 + number as u8; 16]),
                at_ue: true,
            };
            keys.push_str(&esp_sa(&set).unwrap());
            writer.sealed(set.id).unwrap();
            let mut ends = [true, false].map(|at_ue| {
                let mut engine = Engine::new(Random::seeded(number.into()));
                engine.install(&SaSet { at_ue, ..set.clone() }).unwrap();
                engine
            });
            let at_ue = |port| SocketAddr::new(set.ue_address, port);
            let at_pcscf = |port| SocketAddr::new(set.pcscf_address, port);
            let (uc, us) = (at_ue(set.ue.port_c), at_ue(set.ue.port_s));
            let (pc, ps) = (at_pcscf(set.pcscf.port_c), at_pcscf(set.pcscf.port_s));
            let (uc_ps, us_pc) = (PortPair::UcPs, PortPair::UsPc);
            for (from, to, transport, pair) in [
                (uc, ps, Transport::Udp, uc_ps),
                (pc, us, Transport::Udp, us_pc),
                (ps, uc, Transport::Tcp, uc_ps),
                (us, pc, Transport::Udp, us_pc),
            ] {
                messages += 1;
                let text = format!(
                    "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{messages}\r\nCall-ID: {messages}@x\r\n\
                     From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCSeq: {messages} MESSAGE\r\nContent-Length: 0\r\n\r\n"
                );
                let mut segment = Vec::new();
                let upper = match transport {
                    Transport::Udp => {
                        write_udp(&mut segment, from, to, text.as_bytes());
                        Upper::Udp
                    }
                    _ => {
                        let fields = TcpFields { sequence: 1, acknowledged: 1, flags: ACK };
                        write_tcp(&mut segment, from, to, fields, text.as_bytes());
                        Upper::Tcp
                    }
                };
                let mut packet = Vec::new();
                let begun = ip::begin(&mut packet, from.ip(), to.ip(), ip::ESP);
                let inner = Segment { source: from.ip(), destination: to.ip(), upper, octets: &segment };
                ends[usize::from(from.ip() == set.pcscf_address)].seal(&inner, &mut packet).unwrap();
                begun.finish(&mut packet);
                let sa = Some(SaId { set: set.id, pair });
                let hop = Packet { bytes: text.as_bytes(), protocol: Protocol::Sip, transport, from, to, sa };
                let Entry::Hop(hop) = Entry::hop(Instant::from_millis(messages), &hop) else { unreachable!() };
                writer.hop(&hop).unwrap();
                writer.wire(Instant::from_millis(messages), &packet).unwrap();
            }
        }
    }
    writer.finish().unwrap();
    // A Wireshark profile that holds nothing else.
    let profile = std::env::temp_dir().join(format!("imsreg-capture-esp-{}", std::process::id()));
    std::fs::create_dir_all(&profile).unwrap();
    let path = profile.join("capture.pcapng");
    std::fs::write(&path, file).unwrap();
    std::fs::write(profile.join("esp_sa"), keys).unwrap();
    let tshark = |arguments: &[&str]| {
        let mut command = Command::new("tshark");
        command.env("WIRESHARK_CONFIG_DIR", &profile).current_dir(&profile);
        command.args(["-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE"]);
        let output = command.args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>())
    };
    // Apart, because a TCP connection that is on both interfaces is one for tshark.
    for interface in ["wire", "clear"] {
        let only = format!("frame.interface_name == \"{interface}\"");
        if tshark(&["-r", "capture.pcapng", "-Y", &only, "-w", interface]).is_none() {
            eprintln!("not run: tshark is not installed");
            return;
        }
    }
    let fields = ["-T", "fields", "-e", "sip.Call-ID", "-e", "sip.CSeq", "-e", "sip.Via"];
    let read = |file: &str, filter: &str| tshark(&[&["-r", file, "-Y", filter][..], &fields].concat()).unwrap();
    let (wire, clear) = (read("wire", "sip && esp.icv_good == 1"), read("clear", "sip"));
    assert_eq!((wire.len() as u64, read("wire", "!(esp.icv_good == 1)").len()), (messages, 0));
    assert_eq!(wire, clear);
    std::fs::remove_dir_all(&profile).unwrap();
}

const PAIRS: [(Integrity, Encryption); 7] = [
    (Integrity::HmacMd5, Encryption::Null),
    (Integrity::HmacMd5, Encryption::AesCbc),
    (Integrity::HmacMd5, Encryption::DesEde3Cbc),
    (Integrity::HmacSha1, Encryption::Null),
    (Integrity::HmacSha1, Encryption::AesCbc),
    (Integrity::HmacSha1, Encryption::DesEde3Cbc),
    (Integrity::Null, Encryption::AesGcm),
];
