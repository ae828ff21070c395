//! Twelve SIP and eight Cx messages, as a first registration has them.

use data_encoding::{BASE64, HEXLOWER};
use imsreg::capture::{Capture, Entry};
use imsreg::cx::sar::Charging;
use imsreg::cx::{
    APPLICATION, AuthItem, Capabilities, CxResult, Envelope, Maa, Mar, RequestEnvelope, Saa, Sar, ServerAssignmentType,
    Uaa, Uar, UserAuthorizationType,
};
use imsreg::diameter::{Header, Writer};
use imsreg::event::{Event, Role, What};
use imsreg::identity::{Impi, Impu, Spi};
use imsreg::ipsec::association::{PortPair, SaId, SaSetId};
use imsreg::packet::{Packet, Protocol, Transport};
use imsreg::time::{Duration, Instant};
use std::net::SocketAddr;

pub(crate) const CK: &[u8] = &[0xc1; 16];
pub(crate) const IK: &[u8] = &[0xd2; 16];
pub(crate) const XRES: &[u8] = &[0xe3; 8];
const IMPU: &str = "sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
const IMPI: &str = "001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
const SCSCF: &str = "sip:scscf.ims.mnc001.mcc001.3gppnetwork.org:6060";
const CLIENT: &str = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=11111;spi-s=22222;port-c=31000;port-s=31001, \
                      ipsec-3gpp;alg=hmac-sha-1-96;ealg=null;spi-c=11111;spi-s=22222;port-c=31000;port-s=31001";
const SERVER: &str = "ipsec-3gpp;q=0.1;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=5001;spi-s=5002;port-c=5100;port-s=6100";

/// The UE over UDP, all others over TCP from ports that nobody has told.
pub(crate) fn capture() -> Capture {
    let mut t = Tape { capture: Capture::new(), now: 0, sa: None };
    let nonce = BASE64.encode(&[7; 32]);
    let challenge = format!("Digest realm=\"r\", nonce=\"{nonce}\", algorithm=AKAv1-MD5");
    let keys = format!("{challenge}, ck=\"{}\", ik=\"{}\"", HEXLOWER.encode(CK), HEXLOWER.encode(IK));
    let first = "Digest username=\"i\", realm=\"r\", nonce=\"\", uri=\"sip:r\", response=\"\"";
    let answer =
        format!("{}, response=\"{}\"", challenge.replace("AKAv1-MD5", "AKAv1-MD5, uri=\"sip:r\""), "0f".repeat(16));
    let answer = answer.replace("Digest ", "Digest username=\"i\", ");

    t.diameter(40_001, 3868, &base(257, true));
    t.diameter(3868, 40_001, &base(257, false));

    let lines = [("Expires", "600000"), ("Security-Client", CLIENT), ("Authorization", first)];
    t.request(20_000, 5060, Transport::Udp, 1, &lines);
    t.response(5060, 20_000, Transport::Udp, "100 Trying", 1, &[]);
    let no = format!("{first}, integrity-protected=\"no\"");
    let lines = [("Expires", "600000"), ("Authorization", no.as_str())];
    t.request(40_002, 4060, Transport::Tcp, 2, &lines);
    t.cx(40_001, 3868, 300, |w| uar().encode(w));
    t.cx(3868, 40_001, 300, |w| uaa(CxResult::FIRST_REGISTRATION).encode(w));
    t.request(40_003, 6060, Transport::Tcp, 3, &lines);
    t.cx(40_004, 3868, 303, |w| mar().encode(w));
    t.cx(3868, 40_004, 303, |w| maa().encode(w));
    t.response(6060, 40_003, Transport::Tcp, "401 Unauthorized", 3, &[("WWW-Authenticate", &keys)]);
    t.response(4060, 40_002, Transport::Tcp, "401 Unauthorized", 2, &[("WWW-Authenticate", &keys)]);
    t.event(Role::Pcscf, installed(SaSetId(1), (Spi(5001), Spi(5002)), (5100, 6100)));
    let lines = [("WWW-Authenticate", challenge.as_str()), ("Security-Server", SERVER)];
    t.response(5060, 20_000, Transport::Udp, "401 Unauthorized", 1, &lines);
    t.event(Role::Ue, What::AutnVerified { impi: Impi::from(IMPI) });
    t.event(Role::Ue, installed(SaSetId(1 << 63), (Spi(11_111), Spi(22_222)), (31_000, 31_001)));

    t.sa = Some(SaId { set: SaSetId(1), pair: PortPair::UcPs });
    let lines = [
        ("Expires", "600000"),
        ("Security-Client", CLIENT),
        ("Security-Verify", SERVER),
        ("Authorization", answer.as_str()),
    ];
    t.request(31_000, 6100, Transport::Udp, 1, &lines);
    t.sa = None;
    let yes = format!("{answer}, integrity-protected=\"yes\"");
    let lines = [("Expires", "600000"), ("Authorization", yes.as_str())];
    t.request(40_002, 4060, Transport::Tcp, 2, &lines);
    t.cx(40_001, 3868, 300, |w| uar().encode(w));
    t.cx(3868, 40_001, 300, |w| uaa(CxResult::SUBSEQUENT_REGISTRATION).encode(w));
    t.request(40_003, 6060, Transport::Tcp, 3, &lines);
    t.event(Role::Scscf, What::ResponseVerified { impi: Impi::from(IMPI) });
    t.cx(40_004, 3868, 301, |w| sar().encode(w));
    t.cx(3868, 40_004, 301, |w| saa().encode(w));
    let lines = [
        ("Contact", "<sip:001010000000001@127.0.0.1:31001>;expires=3600"),
        ("P-Associated-URI", "<sip:+99912345@ims.example>, <tel:+99912345>"),
        ("Service-Route", "<sip:orig@scscf.example:6060;lr>"),
    ];
    t.response(6060, 40_003, Transport::Tcp, "200 OK", 3, &lines);
    t.response(4060, 40_002, Transport::Tcp, "200 OK", 2, &lines);
    t.sa = Some(SaId { set: SaSetId(1), pair: PortPair::UsPc });
    t.response(5100, 31_001, Transport::Udp, "200 OK", 1, &lines);
    let (impi, impu) = (Impi::from(IMPI), Impu::from("sip:+99912345@ims.example"));
    t.event(Role::Ue, What::Registered { impi, impu, expires: Duration::from_secs(3_600) });
    t.sa = None;
    t.push(20_000, 5060, Transport::Udp, Protocol::Sip, b"\r\n\r\n");
    t.capture
}

struct Tape {
    capture: Capture,
    now: u64,
    sa: Option<SaId>,
}

impl Tape {
    fn push(&mut self, from: u16, to: u16, transport: Transport, protocol: Protocol, bytes: &[u8]) {
        self.now += 125;
        let packet = Packet { bytes, protocol, transport, from: at(from), to: at(to), sa: self.sa };
        self.capture.entries.push(Entry::hop(Instant::from_micros(self.now), &packet));
    }

    fn event(&mut self, role: Role, what: What) {
        let at = Instant::from_micros(self.now);
        self.capture.entries.push(Entry::Event { at, event: Event { role, what } });
    }

    fn diameter(&mut self, from: u16, to: u16, bytes: &[u8]) {
        self.push(from, to, Transport::Tcp, Protocol::Diameter, bytes);
    }

    fn cx(&mut self, from: u16, to: u16, command: u32, write: impl FnOnce(&mut Writer<'_>)) {
        let mut bytes = Vec::new();
        let mut header = header(command, APPLICATION, to == 3868);
        header.hop_by_hop = u32::try_from(self.now).unwrap();
        let mut w = Writer::new(&mut bytes, &header);
        write(&mut w);
        w.finish();
        self.diameter(from, to, &bytes);
    }

    fn request(&mut self, from: u16, to: u16, transport: Transport, vias: usize, lines: &[(&str, &str)]) {
        let start = "REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org SIP/2.0";
        let bytes = sip(start, vias, from, lines);
        self.push(from, to, transport, Protocol::Sip, &bytes);
    }

    fn response(
        &mut self,
        from: u16,
        to: u16,
        transport: Transport,
        status: &str,
        vias: usize,
        lines: &[(&str, &str)],
    ) {
        let bytes = sip(&format!("SIP/2.0 {status}"), vias, to, lines);
        self.push(from, to, transport, Protocol::Sip, &bytes);
    }
}

fn sip(start: &str, vias: usize, ue: u16, lines: &[(&str, &str)]) -> Vec<u8> {
    let ue = if vias == 1 { ue } else { 20_000 };
    let ue = format!("Via: SIP/2.0/UDP 127.0.0.1:{ue};branch=z9hG4bKu\r\n");
    let all = [
        "Via: SIP/2.0/TCP 127.0.0.1:4060;branch=z9hG4bKi\r\n",
        "Via: SIP/2.0/TCP pcscf.example;branch=z9hG4bKp\r\n",
        &ue,
    ];
    let cseq = if lines.iter().any(|(_, value)| value.contains("response=\"0f") || value.contains("expires=")) {
        2
    } else {
        1
    };
    let mut text = format!("{start}\r\n{}", all[3 - vias..].concat());
    text += &format!("From: <{IMPU}>;tag=1\r\nTo: <{IMPU}>\r\nCall-ID: c\r\nCSeq: {cseq} REGISTER\r\n");
    for (name, value) in lines {
        text += &format!("{name}: {value}\r\n");
    }
    (text + "Content-Length: 0\r\n\r\n").into_bytes()
}

pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::new([127, 0, 0, 1].into(), port)
}

fn installed(set: SaSetId, spis: (Spi, Spi), ports: (u16, u16)) -> What {
    What::SaInstalled { set, ue: at(20_000), algorithms: "hmac-sha-1-96 / aes-cbc".into(), spis, ports }
}

fn header(command: u32, application: u32, request: bool) -> Header {
    Header {
        request,
        proxiable: true,
        error: false,
        retransmitted: false,
        command,
        application,
        hop_by_hop: 1,
        end_to_end: 1,
    }
}

fn base(command: u32, request: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    Writer::new(&mut bytes, &header(command, 0, request)).finish();
    bytes
}

fn asking() -> RequestEnvelope<'static> {
    RequestEnvelope {
        session_id: "s;1;1",
        origin_host: "scscf.example",
        origin_realm: "example",
        destination_host: None,
        destination_realm: "example",
    }
}

fn answering() -> Envelope<'static> {
    Envelope { session_id: "s;1;1", origin_host: "hss.example", origin_realm: "example" }
}

fn uar() -> Uar<'static> {
    Uar {
        envelope: asking(),
        impi: IMPI,
        impu: IMPU,
        visited_network: b"ims.mnc001.mcc001.3gppnetwork.org",
        authorization_type: UserAuthorizationType::Registration,
        emergency: false,
    }
}

fn uaa(result: CxResult) -> Uaa<'static> {
    let known = result == CxResult::SUBSEQUENT_REGISTRATION;
    let capabilities = Capabilities { mandatory: vec![1], optional: Vec::new(), server_names: Vec::new() };
    let capabilities = (!known).then_some(capabilities);
    Uaa { envelope: answering(), result, server_name: known.then_some(SCSCF), capabilities }
}

fn mar() -> Mar<'static> {
    Mar {
        envelope: asking(),
        impi: IMPI,
        impu: IMPU,
        items: 1,
        scheme: "Digest-AKAv1-MD5",
        resync: None,
        server_name: SCSCF,
    }
}

fn maa() -> Maa<'static> {
    let item = AuthItem {
        number: Some(1),
        scheme: Some("Digest-AKAv1-MD5"),
        authenticate: Some(&[7; 32]),
        xres: Some(XRES),
        ck: Some(CK),
        ik: Some(IK),
        ..AuthItem::default()
    };
    Maa { envelope: answering(), result: CxResult::SUCCESS, impi: Some(IMPI), impu: Some(IMPU), items: vec![item] }
}

fn sar() -> Sar<'static> {
    Sar {
        envelope: asking(),
        impi: Some(IMPI),
        impus: vec![IMPU],
        server_name: SCSCF,
        assignment: ServerAssignmentType::Registration,
        user_data_already_available: false,
        supports_restoration: false,
        supports_shared_ifc: false,
        multiple_registration: false,
        restoration: None,
    }
}

fn saa() -> Saa<'static> {
    Saa {
        envelope: answering(),
        result: CxResult::SUCCESS,
        impi: Some(IMPI),
        server_name: None,
        user_data: Some(b"<IMSSubscription/>"),
        charging: Some(Charging::default()),
        associated_identities: Vec::new(),
        supports_restoration: false,
        restoration: Vec::new(),
    }
}
