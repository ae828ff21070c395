//! ESP: nothing encrypted, keys of a file, keys that the trace shows or that follow from K, keys that come late.

use crate::build::{bytes, data, identified, in_order, messages, raw, read, read_with, request, udp};
use data_encoding::{BASE64, HEXLOWER};
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{Ck, Ik, K, Opc};
use imsreg::capture::esp_sa;
use imsreg::diameter::{Header, Writer, dictionary};
use imsreg::identity::Spi;
use imsreg::ip::Upper;
use imsreg::ip::transport::{Segment, write_udp};
use imsreg::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, SaSet, SaSetId};
use imsreg::ipsec::esp::{Engine, write_packet};
use imsreg::random::Random;
use imsreg::trace::keys::Keyring;
use imsreg::trace::story::{Limits, Story};
use imsreg::trace::{Esp, Icv, OpenedBy, Options, Place, Protection, Seen, Shut, Sighting};
use std::net::{IpAddr, SocketAddr};

const AES: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
const NULL: Algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null };
const CALL: &str = "call@10.45.0.2";

/// A registration of which every packet can be had.
struct Registration {
    set: SaSet,
    ue: Engine,
    vector: Vector,
    keys: SubscriberKeys,
}

impl Registration {
    fn new(algorithms: Algorithms) -> Self {
        Self::with(algorithms, Mode::Transport)
    }

    fn with(algorithms: Algorithms, mode: Mode) -> Self {
        let keys = SubscriberKeys::Milenage { k: K([0x46; 16]), opc: Opc([0xcd; 16]) };
        let vector = Vector::compute(&keys, [0x23; 16], 0x20, [0x80, 0]);
        let set = SaSet {
            id: SaSetId(7),
            ue_address: ip("10.45.0.2"),
            pcscf_address: ip("10.45.0.1"),
            ue: Endpoint { spi_c: Spi(300), spi_s: Spi(301), port_c: 31_000, port_s: 31_001 },
            pcscf: Endpoint { spi_c: Spi(400), spi_s: Spi(401), port_c: 5_100, port_s: 6_100 },
            algorithms,
            mode,
            ck: vector.ck.clone(),
            ik: vector.ik.clone(),
            at_ue: true,
        };
        let mut ue = Engine::new(Random::seeded(1));
        ue.install(&set).unwrap();
        Self { set, ue, vector, keys }
    }

    fn nonce(&self) -> String {
        BASE64.encode(&[self.vector.rand, self.vector.autn].concat())
    }

    fn mechanism(&self, end: &Endpoint) -> String {
        let Algorithms { integrity, encryption } = self.set.algorithms;
        let Endpoint { spi_c, spi_s, port_c, port_s } = end;
        format!(
            "ipsec-3gpp;alg={};ealg={};spi-c={};spi-s={};port-c={port_c};port-s={port_s}",
            integrity.as_str(),
            encryption.as_str(),
            spi_c.0,
            spi_s.0
        )
    }

    /// The first REGISTER on Gm.
    fn register(&self) -> Vec<u8> {
        let text = format!(
            "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.45.0.2;branch=z9hG4bK1\r\nCall-ID: {CALL}\r\nCSeq: 1 \
             REGISTER\r\nAuthorization: Digest username=\"user@ims.example\",realm=\"r\",nonce=\"\",uri=\"sip:a\",\
             response=\"\"\r\nSecurity-Client: {}\r\nContent-Length: 0\r\n\r\n",
            self.mechanism(&self.set.ue)
        );
        udp("10.45.0.2:5060", "10.45.0.1:5060", text.as_bytes())
    }

    fn challenge(&self, from: &str, to: &str, keys: &str, more: &str) -> Vec<u8> {
        let text = format!(
            "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 10.45.0.2;branch=z9hG4bK1\r\nCall-ID: {CALL}\r\nCSeq: 1 \
             REGISTER\r\nWWW-Authenticate: Digest realm=\"r\",nonce=\"{}\",algorithm=AKAv1-MD5{keys}\r\n{more}\
             Content-Length: 0\r\n\r\n",
            self.nonce()
        );
        udp(from, to, text.as_bytes())
    }

    /// The 401 on Mw, with ck and ik.
    fn on_mw(&self) -> Vec<u8> {
        let keys =
            format!(",ck=\"{}\",ik=\"{}\"", HEXLOWER.encode(&self.vector.ck.0), HEXLOWER.encode(&self.vector.ik.0));
        self.challenge("10.45.1.3:5060", "10.45.0.1:5060", &keys, "")
    }

    /// The 401 on Gm, with Security-Server.
    fn on_gm(&self) -> Vec<u8> {
        let server = format!("Security-Server: {};q=0.9\r\n", self.mechanism(&self.set.pcscf));
        self.challenge("10.45.0.1:5060", "10.45.0.2:5060", "", &server)
    }

    fn maa(&self) -> Vec<u8> {
        let header = Header {
            request: false,
            proxiable: true,
            error: false,
            retransmitted: false,
            command: dictionary::MULTIMEDIA_AUTH,
            application: dictionary::CX,
            hop_by_hop: 1,
            end_to_end: 1,
        };
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, &header);
        writer.octets(dictionary::SESSION_ID, 0, true, b"a;1;2");
        writer.group(dictionary::SIP_AUTH_DATA_ITEM, dictionary::TGPP, true, |item| {
            let nonce = [self.vector.rand, self.vector.autn].concat();
            item.octets(dictionary::SIP_AUTHENTICATE, dictionary::TGPP, true, &nonce);
            item.octets(dictionary::CONFIDENTIALITY_KEY, dictionary::TGPP, true, &self.vector.ck.0);
            item.octets(dictionary::INTEGRITY_KEY, dictionary::TGPP, true, &self.vector.ik.0);
        });
        writer.finish();
        crate::build::tcp("10.45.1.4:3868", "10.45.1.3:40000", 1, 16, &out)
    }

    /// A message of the UE under SA 1.
    fn sealed(&mut self, message: &[u8]) -> Vec<u8> {
        let from = SocketAddr::new(self.set.ue_address, 31_000);
        let to = SocketAddr::new(self.set.pcscf_address, 6_100);
        let mut octets = Vec::new();
        write_udp(&mut octets, from, to, message);
        let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
        let (mut esp, mut packet) = (Vec::new(), Vec::new());
        let sealed = self.ue.seal(&segment, &mut esp).unwrap();
        write_packet(&mut packet, sealed.source, sealed.destination, sealed.carrier, &esp);
        packet
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn protections(sightings: &[Sighting]) -> Vec<Protection> {
    messages(sightings).iter().map(|message| message.protection).filter(|p| *p != Protection::Clear).collect()
}

const fn esp(sequence: u32, icv: Icv, by: OpenedBy) -> Protection {
    Protection::Esp(Esp { spi: 401, sequence, icv, by, pair: None, mistake: None })
}

/// An ICV that is right is right under one pair.
fn proven(algorithms: Algorithms, by: OpenedBy) -> Protection {
    Protection::Esp(Esp { spi: 401, sequence: 1, icv: Icv::Right, by, pair: Some(algorithms), mistake: None })
}

#[test]
fn null_encryption_is_found_by_trial() {
    for algorithms in [NULL, Algorithms { integrity: Integrity::AesGmac, encryption: Encryption::Null }] {
        let mut one = Registration::new(algorithms);
        let (sightings, _) = read(&in_order(&[one.sealed(&request(1, 9)), one.sealed(&request(2, 0))]));
        assert_eq!(bytes(&sightings), [request(1, 9), request(2, 0)]);
        let by = OpenedBy::Trial;
        assert_eq!(protections(&sightings), [esp(1, Icv::Unknown, by), esp(2, Icv::Unknown, by)]);
        let ends = messages(&sightings)[0].ends.unwrap();
        assert_eq!((ends.from.port(), ends.to.port()), (31_000, 6_100));
    }
}

#[test]
fn icvs_are_judged_once_the_key_is_shown() {
    let mut one = Registration::new(NULL);
    let right = one.sealed(&request(1, 0));
    let mut wrong = one.sealed(&request(2, 0));
    *wrong.last_mut().unwrap() ^= 1;
    let packets = [one.register(), one.on_mw(), one.on_gm(), right, wrong];
    let (sightings, _) = read(&in_order(&packets));
    let by = OpenedBy::Trial;
    assert_eq!(protections(&sightings), [proven(NULL, by), esp(2, Icv::Wrong, by)]);
}

#[test]
fn keys_of_the_401_on_mw_and_of_the_maa_open() {
    for algorithms in pairs() {
        for shown in [Registration::on_mw, Registration::maa] {
            let mut one = Registration::new(algorithms);
            let packets = [one.register(), shown(&one), one.on_gm(), one.sealed(&request(1, 50))];
            let (sightings, summary) = read(&in_order(&packets));
            assert_eq!(bytes(&sightings).last(), Some(&request(1, 50)), "{algorithms}\n{summary}");
            assert_eq!(protections(&sightings), [proven(algorithms, OpenedBy::Revealed)]);
        }
    }
}

/// Pairs with one integrity key have the same ICV: only what is under it tells which it is.
#[test]
fn the_pair_is_found_whichever_stands_first() {
    let mut one = Registration::new(AES);
    let others = [Encryption::Null, Encryption::DesEde3Cbc];
    let first = others.map(|encryption| Registration::new(Algorithms { encryption, ..AES }).mechanism(&one.set.pcscf));
    let server = format!("Security-Server: {}, {}\r\n", first.join(", "), one.mechanism(&one.set.pcscf));
    let challenge = one.challenge("10.45.0.1:5060", "10.45.0.2:5060", "", &server);
    let mut packets = vec![one.register(), one.on_mw(), challenge];
    packets.extend((0..20).map(|number| one.sealed(&request(number, 0))));
    let (sightings, summary) = read(&in_order(&packets));
    assert_eq!(protections(&sightings)[0], proven(AES, OpenedBy::Revealed));
    assert_eq!((bytes(&sightings).len(), summary.sealed.len()), (23, 0));
}

fn pairs() -> Vec<Algorithms> {
    let all = [Integrity::HmacMd5, Integrity::HmacSha1, Integrity::AesGmac, Integrity::Null].map(|integrity| {
        [Encryption::Null, Encryption::AesCbc, Encryption::DesEde3Cbc, Encryption::AesGcm]
            .map(|encryption| Algorithms { integrity, encryption })
    });
    all.into_iter().flatten().filter(|pair| pair.is_valid() && pair.encryption != Encryption::Null).collect()
}

/// Two taps: what is sealed comes before what reveals its key.
#[test]
fn keys_that_come_late_open_what_waited() {
    let mut one = Registration::new(AES);
    let early = [one.sealed(&request(1, 0)), one.sealed(&request(2, 0))];
    let packets = [&early[..], &[one.register(), one.on_gm(), one.on_mw()]].concat();
    let (sightings, summary) = read(&in_order(&packets));
    assert_eq!(bytes(&sightings)[3..], [request(1, 0), request(2, 0)]);
    assert_eq!(sightings.iter().map(|s| s.place).collect::<Vec<_>>(), [3, 4, 5, 1, 2].map(Place::Packet));
    assert!(summary.sealed.is_empty());
    // Ten seconds are too long.
    let late = [(0, &early[0]), (10_000_001, &packets[2]), (10_000_002, &packets[3]), (10_000_003, &packets[4])];
    let (sightings, summary) = read(&raw(late.iter().map(|(at, packet)| (*at, packet.as_slice()))));
    assert_eq!((bytes(&sightings).len(), summary.sealed[&401].no_key), (3, 1));
    assert!(matches!(&sightings[1].seen, Seen::Sealed(sealed) if sealed.why == Shut::NoKey && !sealed.esp.is_empty()));
}

/// The same where nothing is encrypted: what is inside is handed out at once, and what its ICV says follows.
#[test]
fn icvs_are_judged_when_the_key_comes_late() {
    let by = OpenedBy::Trial;
    let mut one = Registration::new(NULL);
    let right = one.sealed(&request(1, 0));
    let mut wrong = one.sealed(&request(2, 0));
    *wrong.last_mut().unwrap() ^= 1;
    let packets = [one.register(), one.on_gm(), right, wrong, one.on_mw()];
    let verified = |sightings: &[Sighting]| -> Vec<(Place, IpAddr, Protection)> {
        let each = sightings.iter().filter_map(|sighting| match sighting.seen {
            Seen::Verified(verified) => Some((sighting.place, verified.to, Protection::Esp(verified.esp))),
            _ => None,
        });
        each.collect()
    };
    let (sightings, summary) = read(&in_order(&packets));
    assert_eq!(protections(&sightings), [esp(1, Icv::Unknown, by), esp(2, Icv::Unknown, by)]);
    let pcscf = one.set.pcscf_address;
    let expected = [(Place::Packet(3), pcscf, proven(NULL, by)), (Place::Packet(4), pcscf, esp(2, Icv::Wrong, by))];
    assert_eq!(verified(&sightings), expected);
    assert_eq!(summary.opened[&by], [1, 1, 0]);
    // A registration has messages that are judged.
    let mut story = Story::new(Limits::default());
    sightings.into_iter().for_each(|sighting| story.see(sighting));
    story.finish();
    let group = story.next().expect("a registration");
    let judged: Vec<Protection> =
        group.records.iter().map(|record| record.protection).filter(|p| *p != Protection::Clear).collect();
    assert_eq!(judged, [proven(NULL, by), esp(2, Icv::Wrong, by)]);
    // Ten seconds are too long.
    let packets = [&packets[..4], &[data(77, &request(3, 0)), one.on_mw()]].concat();
    let times = [0, 1, 2, 3, 10_000_004, 10_000_005];
    let late = times.into_iter().zip(&packets).map(|(at, packet)| (at, packet.as_slice()));
    let (sightings, summary) = read(&raw(late));
    assert_eq!((verified(&sightings), summary.opened[&by]), (Vec::new(), [0, 0, 2]));
}

#[test]
fn keys_follow_from_k() {
    for impi in [None, Some("user@ims.example"), Some("other@ims.example")] {
        let mut one = Registration::new(AES);
        let packets = [one.register(), one.on_gm(), one.sealed(&request(1, 0))];
        let mut keys = Keyring::new();
        keys.add_subscriber(impi, one.keys.clone());
        let (sightings, summary) = read_with(&in_order(&packets), Options { keys, ..Options::default() });
        match impi {
            Some("other@ims.example") => assert_eq!(summary.sealed[&401].no_key, 1),
            _ => assert_eq!(protections(&sightings), [proven(AES, OpenedBy::Computed)]),
        }
        // Nobody is named: AUTN tells.
        let mut keys = Keyring::new();
        keys.add_subscriber(impi, one.keys.clone());
        let (sightings, _) = read_with(&in_order(&packets[1..]), Options { keys, ..Options::default() });
        assert_eq!(protections(&sightings), [proven(AES, OpenedBy::Computed)]);
    }
}

#[test]
fn keys_of_a_file_open_in_tunnel_mode_as_well() {
    let tunnel = Mode::UdpTunnel { outer_ue: ip("192.0.2.77") };
    // Nothing is encrypted: the message stands in the open, behind heads that are no junk (TS 33.203 annex M).
    let mut bare = Registration::with(NULL, tunnel);
    let (sightings, _) = read(&in_order(&[bare.sealed(&request(1, 0))]));
    assert_eq!(protections(&sightings), [esp(1, Icv::Unknown, OpenedBy::Trial)]);
    assert_eq!(messages(&sightings)[0].ends.unwrap().from, SocketAddr::new(bare.set.ue_address, 31_000));
    for mode in [Mode::Transport, tunnel] {
        let mut one = Registration::with(AES, mode);
        let packet = one.sealed(&request(1, 0));
        let mut keys = Keyring::new();
        assert_eq!(keys.add_file(&esp_sa(&one.set).unwrap()).added, 4);
        let (sightings, _) = read_with(&in_order(&[packet]), Options { keys, ..Options::default() });
        assert_eq!(protections(&sightings), [proven(one.set.algorithms, OpenedBy::KeyFile)]);
        assert_eq!(messages(&sightings)[0].ends.unwrap().from, SocketAddr::new(one.set.ue_address, 31_000));
    }
}

#[test]
fn what_stays_shut_is_counted_by_spi_and_reason() {
    let mut one = Registration::new(AES);
    let mut broken = one.sealed(&request(1, 0));
    let middle = broken.len() - 30;
    // Of the last block: the trailer is nonsense as well.
    broken[middle] ^= 0xff;
    let packets = [one.register(), one.on_mw(), one.on_gm(), broken];
    let (_, summary) = read(&in_order(&packets));
    assert_eq!((summary.sealed[&401].wrong_icv, summary.sealed[&401].total()), (1, 1));
    let (_, summary) = read(&in_order(&packets[3..]));
    assert_eq!(summary.sealed[&401].no_key, 1);
    assert!(summary.to_string().contains("1 ESP packets of SPI 0x00000191 stay shut: 1 no key"));
}

/// Right key, and an ICV under another: it can be read, and its receiver would not have taken it.
#[test]
fn a_wrong_icv_hides_nothing_where_the_cipher_is_right() {
    let mut one = Registration::new(AES);
    let mut wrong = one.sealed(&request(1, 0));
    *wrong.last_mut().unwrap() ^= 1;
    let packets = [one.register(), one.on_mw(), one.on_gm(), wrong];
    let (sightings, _) = read(&in_order(&packets));
    assert_eq!(protections(&sightings), [esp(1, Icv::Wrong, OpenedBy::Revealed)]);
}

/// Only one side of Gm was captured: addresses tell which keys to try.
#[test]
fn an_spi_that_nobody_named_is_tried_by_addresses() {
    let mut one = Registration::new(AES);
    let packets = [one.on_mw(), one.on_gm()];
    // Towards the UE, whose SPIs stand in a REGISTER that is missing.
    let mut pcscf = Engine::new(Random::seeded(2));
    pcscf.install(&SaSet { at_ue: false, ..one.set.clone() }).unwrap();
    one.ue = pcscf;
    let (from, to) = (SocketAddr::new(one.set.pcscf_address, 6_100), SocketAddr::new(one.set.ue_address, 31_000));
    let mut octets = Vec::new();
    write_udp(&mut octets, from, to, &request(1, 0));
    let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
    let (mut esp, mut packet) = (Vec::new(), Vec::new());
    let sealed = one.ue.seal(&segment, &mut esp).unwrap();
    write_packet(&mut packet, sealed.source, sealed.destination, sealed.carrier, &esp);
    let (sightings, _) = read(&in_order(&[&packets[..], &[packet]].concat()));
    let expected =
        Esp { spi: 300, sequence: 1, icv: Icv::Right, by: OpenedBy::Revealed, pair: Some(AES), mistake: None };
    assert_eq!(protections(&sightings), [Protection::Esp(expected)]);
}

#[test]
fn secrets_are_not_shown() {
    let mut keys = Keyring::new();
    keys.add_subscriber(Some("user"), SubscriberKeys::Milenage { k: K([0x46; 16]), opc: Opc([0xcd; 16]) });
    let mut one = Registration::new(AES);
    one.set.ck = Ck([0x5a; 16]);
    one.set.ik = Ik([0x5b; 16]);
    keys.add_file(&esp_sa(&one.set).unwrap());
    let options = Options { keys, ..Options::default() };
    let shown = format!("{options:?}");
    assert_eq!(shown, "Options { keys: Keyring { subscribers: 1, .. }, keep_copies: false }");
}

/// A live capture of our own has the text of what is sealed on an interface of its own.
#[cfg(feature = "live")]
#[test]
fn text_beside_its_esp_is_a_copy() {
    use imsreg::capture::Hop;
    use imsreg::capture::pcapng::Writer as CaptureWriter;
    use imsreg::ipsec::association::{PortPair, SaId};
    use imsreg::packet::{Protocol, Transport};
    use imsreg::time::{Epoch, Instant};

    for (algorithms, sealed_first) in [(NULL, false), (NULL, true), (AES, false)] {
        let mut one = Registration::new(algorithms);
        let mut file = Vec::new();
        let mut writer = CaptureWriter::new(&mut file, Epoch::SIMULATION).unwrap();
        writer.sealed(one.set.id).unwrap();
        let hop = Hop {
            at: Instant::from_millis(5),
            from: SocketAddr::new(one.set.ue_address, 31_000),
            to: SocketAddr::new(one.set.pcscf_address, 6_100),
            transport: Transport::Udp,
            protocol: Protocol::Sip,
            sa: Some(SaId { set: one.set.id, pair: PortPair::UcPs }),
            bytes: request(1, 9),
        };
        let packet = one.sealed(&hop.bytes);
        if sealed_first {
            writer.wire(hop.at, &packet).unwrap();
        }
        writer.hop(&hop).unwrap();
        if !sealed_first {
            writer.wire(hop.at, &packet).unwrap();
        }
        writer.finish().unwrap();
        let (sightings, summary) = read(&file);
        assert_eq!((bytes(&sightings), summary.sip), (vec![request(1, 9)], 1));
        let expected = match algorithms {
            NULL => esp(1, Icv::Unknown, OpenedBy::Trial),
            // Something protected it; the trace does not show what.
            _ => Protection::Unknown,
        };
        assert_eq!(protections(&sightings), [expected]);
        assert_eq!(summary.copies, u64::from(algorithms == NULL));
    }
}

/// TCP inside ESP, over several packets, and the same text elsewhere in clear.
#[test]
fn streams_inside_esp_are_their_own() {
    use imsreg::ip::transport::{ACK, TcpFields, write_tcp};
    let mut one = Registration::new(NULL);
    let message = request(1, 2_000);
    let (from, to) = (SocketAddr::new(one.set.ue_address, 31_000), SocketAddr::new(one.set.pcscf_address, 6_100));
    let mut packets = Vec::new();
    let mut sequence = 1;
    for part in message.chunks(900) {
        let mut octets = Vec::new();
        write_tcp(&mut octets, from, to, TcpFields { sequence, acknowledged: 0, flags: ACK }, part);
        sequence += part.len() as u32;
        let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Tcp, octets: &octets };
        let (mut esp, mut packet) = (Vec::new(), Vec::new());
        let sealed = one.ue.seal(&segment, &mut esp).unwrap();
        write_packet(&mut packet, sealed.source, sealed.destination, sealed.carrier, &esp);
        packets.push(identified(packet, sequence as u16));
    }
    packets.push(data(77, &request(2, 0)));
    let (sightings, _) = read(&in_order(&packets));
    assert_eq!(bytes(&sightings), [message, request(2, 0)]);
    assert_eq!(protections(&sightings), [esp(3, Icv::Unknown, OpenedBy::Trial)]);
}
