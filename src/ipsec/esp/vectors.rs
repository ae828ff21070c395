//! Published packets, octet for octet: with their IVs, which no engine would use.

use super::transform::{Cipher, HEAD_LEN, Transform};
use crate::aka::{Ck, Ik};
use crate::identity::Spi;
use crate::ip::{self, Packet};
use crate::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, SaSet, SaSetId};
use crate::ipsec::esp::{Carrier, Engine};
use crate::ipsec::keys::EspKey;
use crate::random::Random;
use serde_json::Value;

fn file() -> Value {
    serde_json::from_str(include_str!("../../../tests/data/ipsec.json")).unwrap()
}

fn text<'a>(v: &'a Value, name: &str) -> &'a str {
    v[name].as_str().unwrap_or_else(|| panic!("{name} of {v}"))
}

fn number(v: &Value, name: &str) -> usize {
    usize::try_from(v[name].as_u64().unwrap_or_else(|| panic!("{name} of {v}"))).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

fn octets(v: &Value, name: &str) -> Vec<u8> {
    hex(text(v, name))
}

fn key(v: &Value, name: &str) -> [u8; 16] {
    octets(v, name).try_into().unwrap()
}

/// SPI to trailer, nothing encrypted yet.
fn in_clear(v: &Value, payload: &str) -> Vec<u8> {
    let mut packet = octets(v, "spi");
    packet.extend_from_slice(&u32::try_from(number(v, "seq")).unwrap().to_be_bytes());
    packet.extend(octets(v, "iv"));
    packet.extend(octets(v, payload));
    let padding = u8::try_from(number(v, "pad_length")).unwrap();
    packet.extend(1..=padding);
    packet.push(padding);
    packet.push(u8::try_from(number(v, "next_header")).unwrap());
    packet
}

/// The set whose SA 1 the packet goes under, at the P-CSCF.
fn set(v: &Value) -> SaSet {
    let port = |name| u16::try_from(number(v, name)).unwrap();
    let spi = Spi(u32::from_str_radix(text(v, "spi"), 16).unwrap());
    SaSet {
        id: SaSetId(1),
        ue_address: text(v, "src").parse().unwrap(),
        pcscf_address: text(v, "dst").parse().unwrap(),
        ue: Endpoint { spi_c: Spi(300), spi_s: Spi(301), port_c: port("sport"), port_s: 1 },
        pcscf: Endpoint { spi_c: Spi(400), spi_s: spi, port_c: 2, port_s: port("dport") },
        algorithms: Algorithms {
            integrity: Integrity::from_token(text(v, "alg")).unwrap(),
            encryption: Encryption::from_token(text(v, "ealg")).unwrap(),
        },
        mode: Mode::Transport,
        ck: Ck(key(v, "ck")),
        ik: Ik(key(v, "ik")),
        at_ue: false,
    }
}

#[test]
fn own_packets() {
    let file = file();
    let packets = file["esp_packets"].as_array().unwrap();
    assert_eq!(packets.len(), 25);
    for v in packets {
        let (set, esp, upper) = (set(v), octets(v, "esp"), octets(v, "upper_layer"));
        let transform = Transform::new(&set).unwrap();
        // In front: what is in the buffer before stays as it is.
        let mut packet = [b"before".to_vec(), in_clear(v, "upper_layer")].concat();
        transform.seal(&mut packet, 6);
        assert_eq!(packet[6..], esp, "{}", v["id"]);

        let whole = octets(v, "ip_packet");
        let outer = Packet::parse(&whole).unwrap();
        assert_eq!((outer.payload, outer.header.protocol), (&esp[..], ip::ESP));
        let mut engine = Engine::new(Random::seeded(1));
        engine.install(&set).unwrap();
        let mut out = Vec::new();
        let opened = engine.open(outer.header.source, outer.header.destination, Carrier::Ip, &esp, &mut out);
        let opened = opened.unwrap_or_else(|reason| panic!("{}: {reason}", v["id"]));
        assert_eq!(out, upper, "{}", v["id"]);
        assert_eq!(opened.upper.number(), u8::try_from(number(v, "next_header")).unwrap());
    }
}

/// Cases 5 to 8 of RFC 3602: no ICV, so the cipher alone.
#[test]
fn rfc_3602() {
    let file = file();
    let cases = file["rfc3602_esp"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    let blocks = file["aes_cbc"].as_array().unwrap();
    assert_eq!(blocks.len(), 4);
    let cipher = |v: &Value| {
        let aes = aes::cipher::KeyInit::new_from_slice(&octets(v, "key")).unwrap();
        Cipher::Aes(Box::new(aes))
    };
    for v in cases {
        let mut packet = in_clear(v, "payload");
        let clear = packet.clone();
        let (head, body) = packet.split_at_mut(HEAD_LEN + 16);
        cipher(v).encrypt(&head[HEAD_LEN..], body);
        assert_eq!(packet, octets(v, "esp"), "{}", v["id"]);
        let (head, body) = packet.split_at_mut(HEAD_LEN + 16);
        cipher(v).decrypt(&head[HEAD_LEN..], body);
        assert_eq!(packet, clear);
    }
    for v in blocks {
        let mut body = octets(v, "plaintext");
        cipher(v).encrypt(&octets(v, "iv"), &mut body);
        assert_eq!(body, octets(v, "ciphertext"), "{}", v["id"]);
    }
}

/// The cases of draft-mcgrew-gcm-test-01 (test cases for RFC 4106 and RFC 4543) that have a key of 128 bits and a sequence
/// number of 32, and the packet of tests/data.
#[test]
fn rfc_4106_and_rfc_4543() {
    let file = file();
    let own = &file["aes_gcm"].as_array().unwrap()[0];
    let clear = in_clear(own, "upper_layer");
    let (esp, salt, iv) = (octets(own, "esp"), text(own, "salt"), text(own, "iv"));
    let body = data_encoding::HEXLOWER.encode(&clear[16..]);
    let own = [text(own, "enc_key"), salt, &text(own, "esp")[..16], iv, &body];
    assert_eq!(combined(Transform::gcm, own), esp);
    for case in GCM {
        let [key, salt, head, iv, body, sealed] = case;
        assert_eq!(combined(Transform::gcm, [key, salt, head, iv, body]), hex(&[head, iv, sealed].concat()));
    }
    for case in GMAC {
        let [key, salt, head, iv, body, icv] = case;
        assert_eq!(combined(Transform::gmac, [key, salt, head, iv, body]), hex(&[head, iv, body, icv].concat()));
    }
}

fn combined(make: fn(&EspKey) -> Transform, [key, salt, head, iv, body]: [&str; 5]) -> Vec<u8> {
    let transform = make(&EspKey::of(&hex(&[key, salt].concat())).unwrap());
    let mut packet = hex(&[head, iv, body].concat());
    let clear = packet.clone();
    transform.seal(&mut packet, 0);
    let mut back = Vec::new();
    transform.verify(&packet, &mut back).unwrap();
    assert_eq!(back, clear[16..]);
    packet
}

/// Key, salt, SPI and sequence number, IV, payload with trailer, the same encrypted with its ICV.
const GCM: [[&str; 6]; 3] = [
    [
        "feffe9928665731c6d6a8f9467308308",
        "cafebabe",
        "0000a5f80000000a",
        "facedbaddecaf888",
        "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100000100000000000003736970096379626572636974790\
2646b00000100010001",
        "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0eec416642cfbb85a5b47e4\
8a4ec3b9ba95d918bd183b70d3aa8bc6ee4c309e9d85a41ad4a",
    ],
    [
        "00000000000000000000000000000000",
        "00000000",
        "0000000000000001",
        "0000000000000000",
        "4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c6d6e6f70717273747576776162636\
4656667686901020201",
        "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb64de7d9dca1e1d894bc3bd57873ed4\
d181d19d4d5c8c18af3f821d496eeb096e98ad2b69e4799c71d",
    ],
    [
        "7d773d00c144c525ac619d18c84a3f47",
        "d9664267",
        "335467aeffffffff",
        "43457e9182443bc6",
        "01020201",
        "437f866bcb3f699fe9b0822bac961c4504bef270",
    ],
];

/// Key, salt, SPI and sequence number, IV, payload with trailer, ICV.
const GMAC: [[&str; 6]; 1] = [[
    "4c80cdefbb5d10da906ac73c3613a634",
    "22433c64",
    "0000432100000007",
    "0000000000000000",
    "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f707172737401020201",
    "f2a9a836e155106aa8dcd618e4099aaa",
]];
