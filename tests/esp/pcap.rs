//! ESP of a real phone and a real P-CSCF (corpus, `ims-ipsec-register.pcapng`), opened with its keys.

use imsreg::aka::{Ck, Ik};
use imsreg::identity::Spi;
use imsreg::ip::reassembly::{Reassembly, Taken};
use imsreg::ip::{self, Packet, Upper};
use imsreg::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, SaSet, SaSetId};
use imsreg::ipsec::esp::{Carrier, Drop, Engine};
use imsreg::random::Random;
use imsreg::time::Instant;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::io::Cursor;

#[test]
fn the_registration_of_a_tablet() {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").into(), std::path::PathBuf::from);
    let Ok(file) = std::fs::read(root.join("corpus/pcap/ims-ipsec-register.pcapng")) else {
        println!("not run: no corpus/pcap beside the repository (IMSREG_SHARED)");
        return;
    };
    let mut ends = [true, false].map(|at_ue| {
        let mut engine = Engine::new(Random::seeded(1));
        engine.install(&set(at_ue)).unwrap();
        (engine, Vec::new())
    });
    let mut reassembly = Reassembly::new();
    let mut reader = PcapNgReader::new(Cursor::new(&file[..])).unwrap();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(frame) = block.unwrap() else { continue };
        // Linux cooked capture: 16 octets.
        if frame.data[14..16] == [8, 0] {
            open_all(&frame.data[16..], &mut reassembly, &mut ends);
        }
    }
    let [(ue, to_ue), (pcscf, to_pcscf)] = ends;
    // Each packet was seen three times: bare and twice in GTP-U.
    for (engine, packets) in [(&ue, 7), (&pcscf, 7)] {
        let counters = engine.counters();
        assert_eq!((counters.opened, counters.dropped(Drop::Replayed)), (packets, 2 * packets));
        assert_eq!(counters.drops().count(), 1);
    }
    let stream = |segments: &[(Upper, Vec<u8>)]| {
        let data = segments.iter().filter(|(upper, _)| *upper == Upper::Tcp).flat_map(|(_, data)| data.clone());
        String::from_utf8(data.collect()).unwrap()
    };
    let first_lines = |segments: &[(Upper, Vec<u8>)]| -> Vec<String> {
        let datagrams = segments.iter().filter(|(upper, _)| *upper == Upper::Udp);
        datagrams.map(|(_, data)| String::from_utf8_lossy(data).lines().next().unwrap().to_owned()).collect()
    };
    let register = stream(&to_pcscf);
    assert!(register.starts_with("REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org SIP/2.0\r\n"), "{register}");
    assert!(register.contains("Security-Verify: ipsec-3gpp") && register.ends_with("\r\n\r\n"));
    assert!(stream(&to_ue).contains("SIP/2.0 200 OK\r\n"));
    assert_eq!(first_lines(&to_pcscf), ["SUBSCRIBE tel:0398765432100 SIP/2.0"]);
    assert_eq!(first_lines(&to_ue).len(), 2, "{:?}", first_lines(&to_ue));
}

type End = (Engine, Vec<(Upper, Vec<u8>)>);

fn open_all(octets: &[u8], reassembly: &mut Reassembly, ends: &mut [End; 2]) {
    let packet = Packet::parse(octets).unwrap();
    let whole;
    let (header, payload) = match reassembly.receive(Instant::ZERO, &packet) {
        Taken::NotAFragment => (packet.header, packet.payload),
        Taken::Whole(found) => {
            whole = found;
            (whole.header, &whole.payload[..])
        }
        Taken::Kept => return,
        Taken::Refused => panic!("fragments overlap"),
    };
    match header.protocol {
        ip::UDP if payload[2..4] == 2152_u16.to_be_bytes() => open_all(gtp(&payload[8..]), reassembly, ends),
        ip::ESP => {
            let (engine, segments) = &mut ends[usize::from(header.destination.to_string() == PCSCF)];
            let mut out = Vec::new();
            match engine.open(header.source, header.destination, Carrier::Ip, payload, &mut out) {
                Ok(opened) => segments.push((opened.upper, out[opened.data].to_vec())),
                Err(reason) => assert_eq!(reason, Drop::Replayed),
            }
        }
        _ => {}
    }
}

/// The packet in a G-PDU (TS 29.281 clause 5.1): eight octets, four more with any of the flags E, S, PN.
fn gtp(octets: &[u8]) -> &[u8] {
    assert_eq!(octets[1], 255, "a G-PDU");
    &octets[if octets[0] & 7 == 0 { 8 } else { 12 }..]
}

/// As Security-Client and Security-Server of the capture say, with the keys of its multimedia-auth-answer.
fn set(at_ue: bool) -> SaSet {
    SaSet {
        id: SaSetId(1),
        ue_address: "192.168.101.5".parse().unwrap(),
        pcscf_address: PCSCF.parse().unwrap(),
        ue: Endpoint { spi_c: Spi(25_656), spi_s: Spi(25_657), port_c: 6_301, port_s: 6_300 },
        pcscf: Endpoint { spi_c: Spi(100), spi_s: Spi(101), port_c: 5_100, port_s: 6_100 },
        algorithms: Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null },
        mode: Mode::Transport,
        ck: Ck(0xd53c_0275_8b37_6066_fad0_af7d_aa6d_f765_u128.to_be_bytes()),
        ik: Ik(0xe176_3cf2_8cc2_e584_5888_0019_3137_ec92_u128.to_be_bytes()),
        at_ue,
    }
}

const PCSCF: &str = "10.4.128.21";
