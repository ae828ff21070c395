//! Captures with ESP: a mirror beside it, and ESP sealed anew under keys that stand in the place of the real ones.

use crate::scratch::Scratch;
use crate::{convert, shown};
use data_encoding::{BASE64, HEXLOWER};
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{K, Opc};
use imsreg::convert::file::{self, Order, Written};
use imsreg::identity::Spi;
use imsreg::ip::transport::{Segment, write_udp};
use imsreg::ip::{self, Upper};
use imsreg::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, SaSet, SaSetId};
use imsreg::ipsec::esp::{Engine, write_packet};
use imsreg::random::Random;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;

const PAIRS: [(Integrity, Encryption); 5] = [
    (Integrity::HmacSha1, Encryption::AesCbc),
    (Integrity::HmacMd5, Encryption::Null),
    (Integrity::HmacMd5, Encryption::DesEde3Cbc),
    (Integrity::Null, Encryption::AesGcm),
    (Integrity::AesGmac, Encryption::Null),
];

/// REGISTER, the 401 on Mw with CK and IK, the 401 on Gm, and a REGISTER and its 200 in ESP.
fn capture(scratch: &Scratch, (integrity, encryption): (Integrity, Encryption)) -> (PathBuf, String) {
    let keys = SubscriberKeys::Milenage { k: K([0x46; 16]), opc: Opc([0xcd; 16]) };
    let vector = Vector::compute(&keys, [0x23; 16], 0x20, [0x80, 0]);
    let address = |text: &str| text.parse().expect("an address");
    let set = |at_ue| SaSet {
        id: SaSetId(7),
        ue_address: address("10.45.0.2"),
        pcscf_address: address("10.45.0.1"),
        ue: Endpoint { spi_c: Spi(300), spi_s: Spi(301), port_c: 31_000, port_s: 31_001 },
        pcscf: Endpoint { spi_c: Spi(400), spi_s: Spi(401), port_c: 5_100, port_s: 6_100 },
        algorithms: Algorithms { integrity, encryption },
        mode: Mode::Transport,
        ck: vector.ck.clone(),
        ik: vector.ik.clone(),
        at_ue,
    };
    let nonce = BASE64.encode(&[vector.rand, vector.autn].concat());
    let mechanism = |end: &Endpoint| {
        format!(
            "ipsec-3gpp;alg={};ealg={};prot=esp;mod=trans;spi-c={};spi-s={};port-c={};port-s={}",
            integrity.as_str(),
            encryption.as_str(),
            end.spi_c,
            end.spi_s,
            end.port_c,
            end.port_s
        )
    };
    let (ue, pcscf) = (set(true).ue, set(true).pcscf);
    let register = |cseq: u8, more: &str| {
        format!(
            "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.45.0.2:5060;branch=z9hG4bK{cseq}\r\n\
             From: <sip:001010000000001@ims.example>;tag=1\r\nTo: <sip:001010000000001@ims.example>\r\nCall-ID: c1\r\n\
             CSeq: {cseq} REGISTER\r\nContact: <sip:10.45.0.2>\r\nSecurity-Client: {}\r\n{more}Content-Length: 0\r\n\r\n",
            mechanism(&ue)
        )
    };
    let answer = |status: &str, cseq: u8, more: &str| {
        format!(
            "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 10.45.0.2:5060;branch=z9hG4bK{cseq}\r\n\
             From: <sip:001010000000001@ims.example>;tag=1\r\nTo: <sip:001010000000001@ims.example>;tag=2\r\nCall-ID: c1\r\n\
             CSeq: {cseq} REGISTER\r\n{more}Content-Length: 0\r\n\r\n"
        )
    };
    let digest = format!(
        "Authorization: Digest username=\"001010000000001@ims.example\",realm=\"ims.example\",nonce=\"{nonce}\",\
         uri=\"sip:ims.example\",response=\"00000000000000000000000000000000\"\r\nSecurity-Verify: {}\r\n",
        mechanism(&pcscf)
    );
    let (ck, ik) = (HEXLOWER.encode(&vector.ck.0), HEXLOWER.encode(&vector.ik.0));
    let challenge = format!("WWW-Authenticate: Digest realm=\"ims.example\",nonce=\"{nonce}\",algorithm=AKAv1-MD5");
    let plain = [
        ("10.45.0.2:5060", "10.45.0.1:5060", register(1, "")),
        (
            "10.45.0.9:5060",
            "10.45.0.1:5060",
            answer("401 Unauthorized", 1, &format!("{challenge},ck=\"{ck}\",ik=\"{ik}\"\r\n")),
        ),
        (
            "10.45.0.1:5060",
            "10.45.0.2:5060",
            answer("401 Unauthorized", 1, &format!("{challenge}\r\nSecurity-Server: {}\r\n", mechanism(&pcscf))),
        ),
    ];
    let sealed = [
        (true, "10.45.0.2:31000", "10.45.0.1:6100", register(2, &digest)),
        (false, "10.45.0.1:6100", "10.45.0.2:31000", answer("200 OK", 2, "")),
    ];
    let mut packets = Vec::new();
    let datagram = |from: &str, to: &str, text: &str| {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().expect("ends"), to.parse().expect("ends"));
        let mut octets = Vec::new();
        write_udp(&mut octets, from, to, text.as_bytes());
        (from.ip(), to.ip(), octets)
    };
    for (from, to, text) in plain {
        let (source, destination, octets) = datagram(from, to, &text);
        let mut packet = Vec::new();
        ip::write(&mut packet, source, destination, ip::UDP, &octets);
        packets.push(packet);
    }
    for (at_ue, from, to, text) in sealed {
        let mut engine = Engine::new(Random::seeded(u64::from(at_ue)));
        engine.install(&set(at_ue)).expect("a sound set");
        let (source, destination, octets) = datagram(from, to, &text);
        let segment = Segment { source, destination, upper: Upper::Udp, octets: &octets };
        let (mut esp, mut packet) = (Vec::new(), Vec::new());
        let sent = engine.seal(&segment, &mut esp).expect("an SA of the set");
        write_packet(&mut packet, sent.source, sent.destination, sent.carrier, &esp);
        packets.push(packet);
    }
    let mut out = Vec::new();
    file::section(&mut out, Order::Big, Some("a remark"));
    file::interface(&mut out, Order::Big, Some("any"), file::RAW_IP, 9);
    for (number, packet) in packets.iter().enumerate() {
        let written = Written {
            interface: 0,
            ticks: 1_700_000_000_000_000_000 + number as u64 * 1_000_001,
            octets: Cow::Borrowed(packet),
            original: packet.len(),
            comment: Some("of this packet"),
        };
        file::packet(&mut out, Order::Big, &written);
    }
    let path = scratch.0.join("esp.pcapng");
    std::fs::write(&path, out).expect("a place to write");
    (path, ck)
}

#[test]
fn esp_is_opened_beside_itself() {
    let scratch = Scratch::new("convert-mirror");
    let (capture, _) = capture(&scratch, PAIRS[0]);
    let out = scratch.0.join("out.pcapng");
    let said = convert(&capture, &out, &["--decrypt"]);
    assert!(said.contains("2 packets on the interface clear"), "{said}");
    assert_eq!(shown(&out, &[]), shown(&capture, &[]));
    let octets = std::fs::read(&out).expect("written");
    let count = |text: &str| memchr::memmem::find_iter(&octets, text.as_bytes()).count();
    // In the order of its section, with all that was remarked; the text once in clear.
    assert_eq!((count("a remark"), count("of this packet"), count("CSeq: 2 REGISTER")), (1, 5, 2));
    assert_eq!(octets[8..12], [0x1a, 0x2b, 0x3c, 0x4d]);
    // The packet in clear stands behind its own, before the next.
    let at = |text: &str| memchr::memmem::find(&octets, text.as_bytes()).expect("there");
    assert!(at("REGISTER sip:ims.example SIP/2.0") < at("CSeq: 2 REGISTER"));
    // A second time there is nothing to be added.
    let again = scratch.0.join("again.pcapng");
    let said = convert(&out, &again, &["--decrypt"]);
    assert!(said.contains("nothing was added"), "{said}");
    assert_eq!(shown(&again, &[]), shown(&capture, &[]));
}

#[test]
fn every_pair_is_sealed_anew() {
    for pair in PAIRS {
        let scratch = Scratch::new("convert-anew");
        let (capture, ck) = capture(&scratch, pair);
        let out = scratch.0.join("out.pcapng");
        // With a seed: an address that is drawn may begin as the one that is gone.
        let said = convert(&capture, &out, &["--redact", "--redact-seed", "sealed"]);
        // No XRES is in the trace.
        assert!(said.contains("1 messages whose digest no longer verifies"), "{said}");
        let of_whom = ["impi", "impu", "source", "destination", "details", "label", "lines"];
        let (before, after) = (shown(&capture, &of_whom), shown(&out, &of_whom));
        assert_eq!(after, before, "{pair:?}");
        assert!(before.iter().any(|message| message["esp"]["icv"] == "right"), "{before:?}");
        let octets = std::fs::read(&out).expect("written");
        for gone in [ck.as_bytes(), b"001010000000001", b"10.45.0.", b"a remark", b"of this packet"] {
            assert!(memchr::memmem::find(&octets, gone).is_none(), "{gone:?}");
        }
    }
}
