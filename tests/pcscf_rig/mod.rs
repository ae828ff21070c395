//! A P-CSCF in virtual time between a scripted phone and a scripted core, over plane `none`.
//!
//! Times are milliseconds. The rig itself asserts what holds for every message: no key reaches a UE, nothing goes in
//! clear to a protected port, and what an SA must carry fits that SA.
#![expect(dead_code, reason = "every test program uses its own part")]

use imsreg::event::What;
use imsreg::ipsec::association::{Algorithms, Encryption, Integrity, SaSet, SaSetId};
use imsreg::ipsec::table::{Inbound, SaTable};
use imsreg::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, SaFailure, SaFault, Transport};
use imsreg::pcscf::{NatPolicy, Pcscf, PcscfConfig, SecAgreePolicy};
use imsreg::random::Random;
use imsreg::sip::overload::Limits;
use imsreg::sip::transaction::Timers;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::Instant;
use std::net::{IpAddr, SocketAddr};

pub(crate) const PCSCF: &str = "10.0.0.1:5060";
pub(crate) const CORE: &str = "10.0.0.2:4060";
pub(crate) const SECOND_CORE: &str = "10.0.0.3:4060";
pub(crate) const REALM: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const CK: &str = "d53c02758b376066fad0af7daa6df765";
pub(crate) const IK: &str = "e1763cf28cc2e584588800193137ec92";
pub(crate) const PORT_S: u16 = 6_100;

pub(crate) const SHA_AES: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
pub(crate) const SHA_NULL: Algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null };
pub(crate) const MD5_NULL: Algorithms = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null };

pub(crate) fn config() -> PcscfConfig {
    PcscfConfig {
        listen: vec![address(PCSCF)],
        host: "pcscf.visited.example".into(),
        port_s: PORT_S,
        port_c: 5_100..=5_163,
        tls: None,
        sec_agree: SecAgreePolicy::Required,
        algorithms: vec![SHA_AES, SHA_NULL, MD5_NULL],
        q: Vec::new(),
        full_list_in_401: true,
        nat: NatPolicy::Required,
        carries_tunnels: true,
        next_hops: vec![address(CORE)],
        core: address(PCSCF),
        core_transport: Transport::Udp,
        gm_timers: Timers::GM,
        core_timers: Timers::CORE,
        visited_network: "visited.example".into(),
        ioi: "visited.example".into(),
        outbound: true,
        many_ues_per_address: false,
        accept_challenge_without_keys: false,
        hosts: [(format!("scscf.{REALM}").into(), address(CORE).ip())].into(),
        trusted: Vec::new(),
        keep_alive: None,
        subscribe: false,
        options_interval: None,
        lines: Default::default(),
        limits: Limits::default(),
        strip_from_answers: Vec::new(),
        forms: std::collections::BTreeMap::new(),
    }
}

/// A message that left.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: u64,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) protected: bool,
    pub(crate) text: String,
    /// The same, where it is no text.
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    pub(crate) fn status(&self) -> u16 {
        self.message().status().expect("a response")
    }

    pub(crate) fn message(&self) -> Message<'_> {
        Message::parse(self.text.as_bytes()).expect("what we send can be read")
    }

    pub(crate) fn header(&self, name: HeaderName) -> Option<String> {
        self.message().header(name).map(str::to_owned)
    }
}

pub(crate) struct Rig {
    pub(crate) pcscf: Pcscf,
    pub(crate) plane: SaTable,
    now: u64,
    out: Outbox,
    pub(crate) to_ue: Vec<Sent>,
    pub(crate) to_core: Vec<Sent>,
    pub(crate) events: Vec<What>,
    pub(crate) installed: Vec<SaSet>,
    /// Effects in order: `install 1`, `remove 1`, `401`, `REGISTER`.
    pub(crate) order: Vec<String>,
    /// Packets that the plane kept from the P-CSCF.
    pub(crate) refused_by_plane: usize,
    /// The plane makes no SAs.
    pub(crate) broken_plane: bool,
    /// The plane answers when [`Rig::plane_answers`] says so.
    pub(crate) slow_plane: bool,
    /// The ends of sets that the plane was told, in seconds.
    pub(crate) extended: Vec<(SaSetId, u64)>,
}

impl Rig {
    pub(crate) fn new(config: PcscfConfig) -> Self {
        Self {
            pcscf: Pcscf::new(config, Random::seeded(7)),
            plane: SaTable::default(),
            now: 0,
            out: Outbox::new(),
            to_ue: Vec::new(),
            to_core: Vec::new(),
            events: Vec::new(),
            installed: Vec::new(),
            order: Vec::new(),
            refused_by_plane: 0,
            broken_plane: false,
            slow_plane: false,
            extended: Vec::new(),
        }
    }

    /// A packet of a UE, judged by the plane first.
    pub(crate) fn ue_sends(
        &mut self,
        at: u64,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
        text: &(impl AsRef<[u8]> + ?Sized),
    ) {
        self.drive(at);
        let protected = to.port() == PORT_S || (5_100..=5_163).contains(&to.port());
        let sa = match self.plane.inbound(from, to, protected) {
            Inbound::Protected(sa) => Some(sa),
            Inbound::Clear => None,
            Inbound::Refused => {
                self.refused_by_plane += 1;
                return;
            }
        };
        let packet = Packet { bytes: text.as_ref(), protocol: Protocol::Sip, transport, from, to, sa };
        self.pcscf.receive(Instant::from_millis(at), &packet, &mut self.out);
        self.collect(at);
    }

    /// A packet whose SA is forged: the plane has said nothing.
    pub(crate) fn packet(&mut self, at: u64, packet: &Packet<'_>) {
        self.drive(at);
        self.pcscf.receive(Instant::from_millis(at), packet, &mut self.out);
        self.collect(at);
    }

    /// News of a connection that the P-CSCF has opened.
    pub(crate) fn connection(&mut self, at: u64, local: SocketAddr, remote: SocketAddr, state: ConnectionState) {
        self.drive(at);
        let (transport, protocol) = (Transport::Tcp, Protocol::Sip);
        let news = Connection { local, remote, transport, protocol, inbound: false, state };
        self.pcscf.connection(Instant::from_millis(at), &news, &mut self.out);
        self.collect(at);
    }

    /// The TLS connection between these ends is gone.
    pub(crate) fn tls_lost(&mut self, at: u64, local: SocketAddr, remote: SocketAddr) {
        self.drive(at);
        let (transport, protocol, state) = (Transport::Tls, Protocol::Sip, ConnectionState::Closed);
        let news = Connection { local, remote, transport, protocol, inbound: true, state };
        self.pcscf.connection(Instant::from_millis(at), &news, &mut self.out);
        self.collect(at);
    }

    pub(crate) fn core_sends(&mut self, at: u64, text: &str) {
        self.drive(at);
        let (from, to) = (address(CORE), address(PCSCF));
        let packet =
            Packet { bytes: text.as_bytes(), protocol: Protocol::Sip, transport: Transport::Udp, from, to, sa: None };
        self.pcscf.receive(Instant::from_millis(at), &packet, &mut self.out);
        self.collect(at);
    }

    /// Runs every timer up to `at`.
    pub(crate) fn drive(&mut self, at: u64) {
        assert!(at >= self.now, "time goes forwards");
        while let Some(due) = self.pcscf.next_timeout().filter(|due| *due <= Instant::from_millis(at)) {
            self.pcscf.handle_timeout(due, &mut self.out);
            self.collect(due.as_micros() / 1_000);
        }
        self.now = at;
    }

    /// The only message to a UE since the last look.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Sent {
        let all = std::mem::take(&mut self.to_ue);
        assert_eq!(all.len(), 1, "one answer expected: {all:#?}");
        all.into_iter().next().expect("one")
    }

    /// The only message to the core since the last look.
    #[track_caller]
    pub(crate) fn forwarded(&mut self) -> Sent {
        let all = std::mem::take(&mut self.to_core);
        assert_eq!(all.len(), 1, "one request expected: {all:#?}");
        all.into_iter().next().expect("one")
    }

    #[track_caller]
    pub(crate) fn silent(&self) {
        assert!(self.to_ue.is_empty() && self.to_core.is_empty(), "{:#?} {:#?}", self.to_ue, self.to_core);
    }

    /// The core challenges what it got last; the UE gets a 401.
    #[track_caller]
    pub(crate) fn challenge(&mut self, at: u64, phone: &mut Phone) -> Sent {
        let request = self.forwarded();
        self.core_sends(at, &challenge(&request, &format!("nonce{at}")));
        let answer = self.answer();
        assert_eq!(answer.status(), 401, "{}", answer.text);
        phone.note(&answer);
        answer
    }

    /// The core challenges what it got last, and the plane makes no set: the UE gets a 500.
    #[track_caller]
    pub(crate) fn fail_to_challenge(&mut self, at: u64) -> Sent {
        let request = self.forwarded();
        self.core_sends(at, &challenge(&request, &format!("nonce{at}")));
        let answer = self.answer();
        assert_eq!(answer.status(), 500, "{}", answer.text);
        answer
    }

    /// The core accepts what it got last; the UE gets a 200.
    #[track_caller]
    pub(crate) fn accept(&mut self, at: u64, expires: u32) -> Sent {
        let request = self.forwarded();
        self.core_sends(at, &accepted(&request, expires));
        let answer = self.answer();
        assert_eq!(answer.status(), 200, "{}", answer.text);
        answer
    }

    /// The core answers the request that it got last by 200; the UE gets it.
    #[track_caller]
    pub(crate) fn served(&mut self, at: u64) -> Sent {
        let request = self.forwarded();
        self.core_sends(at, &response(&request, "200 OK", ""));
        self.answer()
    }

    /// The whole first registration, UDP, at `at` and the 30 ms after.
    #[track_caller]
    pub(crate) fn register(&mut self, at: u64, phone: &mut Phone, expires: u32) -> Sent {
        phone.send_first(self, at);
        self.challenge(at + 10, phone);
        phone.send_protected(self, at + 20);
        self.accept(at + 30, expires)
    }

    /// A re-registration with a challenge: over the set in use, then over the new one.
    #[track_caller]
    pub(crate) fn reauthenticate(&mut self, at: u64, phone: &mut Phone, expires: u32) -> (Sent, Sent) {
        let over = phone.clone();
        phone.change();
        phone.send_re_register(self, at, &over);
        let challenge = self.challenge(at + 10, phone);
        phone.send_protected(self, at + 20);
        (challenge, self.accept(at + 30, expires))
    }

    pub(crate) fn refusals(&self) -> Vec<u16> {
        let status = |what: &What| match what {
            What::Refused { status, .. } => Some(*status),
            _ => None,
        };
        self.events.iter().filter_map(status).collect()
    }

    /// What a slow plane says at last to the set that was wanted last.
    pub(crate) fn plane_answers(&mut self, at: u64) {
        self.drive(at);
        let id = self.installed.last().expect("a set was wanted").id;
        self.plane_answer(at, id);
        self.collect(at);
    }

    fn plane_answer(&mut self, at: u64, id: SaSetId) {
        let now = Instant::from_millis(at);
        let set = self.installed.iter().find(|set| set.id == id).expect("it was wanted");
        let refused = || SaFailure { set: id, cause: SaFault::Refused("broken".into()) };
        let answer = if self.broken_plane { Err(refused()) } else { self.plane.install(set).map_err(|_| refused()) };
        match answer {
            Ok(()) => self.pcscf.sa_installed(now, id, &mut self.out),
            Err(failure) => self.pcscf.sa_failed(now, &failure, &mut self.out),
        }
    }

    fn collect(&mut self, at: u64) {
        let (bytes, effects) = self.out.take();
        for effect in effects {
            match effect {
                Effect::Transmit { from, to, transport, sa, range, .. } => {
                    let bytes = bytes[range].to_vec();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let name = Message::parse(text.as_bytes()).map_or_else(
                        |_| "?".into(),
                        |m| match m.status() {
                            Some(status) => status.to_string(),
                            None => m.method().expect("a request").to_string(),
                        },
                    );
                    self.order.push(name);
                    let sent = Sent { at, from, to, transport, protected: sa.is_some(), text, bytes };
                    if [CORE, SECOND_CORE].iter().any(|core| to.ip() == address(core).ip()) {
                        self.to_core.push(sent);
                        continue;
                    }
                    let lower = sent.text.to_ascii_lowercase();
                    assert!(!lower.contains(CK) && !lower.contains(IK), "a key reached the UE: {}", sent.text);
                    assert!(
                        !lower.contains("ck=") && !lower.contains("ik="),
                        "a key's name reached the UE: {}",
                        sent.text
                    );
                    match sa {
                        Some(sa) => assert!(self.plane.outbound(sa, from, to), "no SA carries {from} to {to}"),
                        None => {
                            assert!(
                                !self.installed.iter().any(|s| self.plane.contains(s.id)
                                    && s.ue_address == to.ip()
                                    && [s.ue.port_c, s.ue.port_s].contains(&to.port())),
                                "clear text to a protected port: {}",
                                sent.text
                            )
                        }
                    }
                    self.to_ue.push(sent);
                }
                Effect::InstallSa(set) => {
                    self.order.push(format!("install {}", set.id));
                    let id = set.id;
                    self.installed.push(*set);
                    if !self.slow_plane {
                        self.plane_answer(at, id);
                    }
                }
                Effect::ExtendSa { set, until } => {
                    assert!(self.plane.contains(set), "a set that is not there is extended");
                    self.extended.push((set, until.as_micros() / 1_000_000));
                }
                Effect::RemoveSa(id) => {
                    self.order.push(format!("remove {id}"));
                    self.plane.remove(id);
                }
                Effect::Close { remote, .. } => self.order.push(format!("close {remote}")),
                Effect::Event(event) => self.events.push(event.what),
                other => panic!("unexpected effect {other:?}"),
            }
        }
        if !self.out.is_empty() {
            self.collect(at);
        }
    }
}

/// A phone that can be bent.
#[derive(Clone, Debug)]
pub(crate) struct Phone {
    pub(crate) ip: IpAddr,
    pub(crate) clear_port: u16,
    pub(crate) port_c: u16,
    pub(crate) port_s: u16,
    pub(crate) spis: (u32, u32),
    pub(crate) user: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) branch: u32,
    pub(crate) nonce: String,
    /// The Security-Server seen last.
    pub(crate) server: Option<String>,
    pub(crate) transport: Transport,
}

impl Phone {
    pub(crate) fn new(n: u8) -> Self {
        Self {
            ip: IpAddr::from([10, 1, 0, n]),
            clear_port: 5_060,
            port_c: 31_000,
            port_s: 31_001,
            spis: (1_000 + u32::from(n) * 10, 1_001 + u32::from(n) * 10),
            user: format!("0010100000000{n:02}"),
            call_id: format!("call{n}"),
            cseq: 0,
            branch: u32::from(n) * 1_000,
            nonce: String::new(),
            server: None,
            transport: Transport::Udp,
        }
    }

    /// New SPIs and client port, as every authentication wants them.
    pub(crate) fn change(&mut self) {
        self.spis = (self.spis.0 + 100_000, self.spis.1 + 100_000);
        self.port_c += 2;
    }

    pub(crate) fn clear(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.clear_port)
    }

    pub(crate) fn client(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port_c)
    }

    pub(crate) fn server(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port_s)
    }

    pub(crate) fn impi(&self) -> String {
        format!("{}@{REALM}", self.user)
    }

    pub(crate) fn impu(&self) -> String {
        format!("sip:{}", self.impi())
    }

    pub(crate) fn security_client(&self) -> String {
        let tail = format!("spi-c={};spi-s={};port-c={};port-s={}", self.spis.0, self.spis.1, self.port_c, self.port_s);
        ["alg=hmac-md5-96;prot=esp;mod=trans;ealg=null", "alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc"]
            .map(|pair| format!("ipsec-3gpp;{pair};{tail}"))
            .join(", ")
    }

    pub(crate) fn note(&mut self, answer: &Sent) {
        self.server = answer.header(HeaderName::SecurityServer).or_else(|| self.server.take());
        if let Some(challenge) = answer.message().challenges().expect("a challenge").first() {
            self.nonce = challenge.nonce.unwrap_or_default().to_owned();
        }
    }

    /// A request with a branch and CSeq of its own. `lines` end in CRLF.
    pub(crate) fn request(&mut self, method: &str, port: u16, lines: &str) -> String {
        self.cseq += 1;
        self.branch += 1;
        let rport = if port == self.clear_port { ";rport" } else { "" };
        format!(
            "{method} sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/{} {}:{port};branch=z9hG4bK{}{rport}\r\nMax-Forwards: 70\r\n\
             From: <{}>;tag=t{}\r\nTo: <{}>\r\nCall-ID: {}\r\nCSeq: {} {method}\r\n{lines}Content-Length: 0\r\n\r\n",
            self.transport,
            host(self.ip),
            self.branch,
            self.impu(),
            self.cseq,
            self.impu(),
            self.call_id,
            self.cseq
        )
    }

    pub(crate) fn contact(&self, port: u16) -> String {
        format!("Contact: <sip:{}@{}:{port}>;+sip.instance=\"<urn:x>\"\r\n", self.user, host(self.ip))
    }

    pub(crate) fn agreement(&self) -> String {
        format!(
            "Require: sec-agree\r\nProxy-Require: sec-agree\r\nSupported: path, sec-agree\r\nSecurity-Client: {}\r\n",
            self.security_client()
        )
    }

    pub(crate) fn credentials(&self, response: &str) -> String {
        format!(
            "Authorization: Digest username=\"{}\",realm=\"{REALM}\",nonce=\"{}\",uri=\"sip:{REALM}\",response=\"{response}\",algorithm=AKAv1-MD5\r\n",
            self.impi(),
            if response.is_empty() { "" } else { &self.nonce }
        )
    }

    /// The first REGISTER.
    pub(crate) fn first(&mut self) -> String {
        let lines = self.contact(self.clear_port) + "Expires: 600000\r\n" + &self.agreement() + &self.credentials("");
        let port = self.clear_port;
        self.request("REGISTER", port, &lines)
    }

    /// Lines of a protected REGISTER.
    pub(crate) fn protected_lines(&self) -> String {
        let verify = self.server.as_deref().unwrap_or_default();
        self.contact(self.port_s)
            + "Expires: 600000\r\n"
            + &self.agreement()
            + &format!("Security-Verify: {verify}\r\n")
            + &self.credentials("0123456789abcdef")
    }

    /// A protected REGISTER.
    pub(crate) fn protected(&mut self) -> String {
        let (lines, port) = (self.protected_lines(), self.port_s);
        self.request("REGISTER", port, &lines)
    }

    pub(crate) fn send_first(&mut self, rig: &mut Rig, at: u64) {
        let text = self.first();
        self.send_clear(rig, at, &text);
    }

    pub(crate) fn send_clear(&self, rig: &mut Rig, at: u64, text: &str) {
        rig.ue_sends(at, self.transport, self.clear(), address(PCSCF), text);
    }

    pub(crate) fn send_protected(&mut self, rig: &mut Rig, at: u64) {
        let text = self.protected();
        self.send_over_sa(rig, at, &text);
    }

    /// From port_uc to port_ps.
    pub(crate) fn send_over_sa(&self, rig: &mut Rig, at: u64, text: &str) {
        rig.ue_sends(at, self.transport, self.client(), port_ps(), text);
    }

    /// A REGISTER that offers what is new in `self` over the set of `over`.
    pub(crate) fn send_re_register(&mut self, rig: &mut Rig, at: u64, over: &Self) {
        let text = self.protected();
        over.send_over_sa(rig, at, &text);
    }
}

/// port_ps of the P-CSCF.
pub(crate) fn port_ps() -> SocketAddr {
    SocketAddr::new(address(PCSCF).ip(), PORT_S)
}

/// A 401 of the core with CK and IK.
pub(crate) fn challenge(request: &Sent, nonce: &str) -> String {
    let line = format!(
        "WWW-Authenticate: Digest realm=\"{REALM}\",nonce=\"{nonce}\",algorithm=AKAv1-MD5,qop=\"auth\",ck=\"{CK}\",ik=\"{IK}\"\r\n"
    );
    response(request, "401 Unauthorized", &line)
}

/// A 200 of the core that grants `expires` to the Contact of the request.
pub(crate) fn accepted(request: &Sent, expires: u32) -> String {
    let message = request.message();
    let contact =
        message.header(HeaderName::Contact).map_or(String::new(), |c| format!("Contact: {c};expires={expires}\r\n"));
    let path = message.header(HeaderName::Path).unwrap_or_default();
    let impu = message.to().expect("To").uri.text;
    let lines = format!(
        "{contact}Path: {path}\r\nService-Route: <sip:orig@scscf.{REALM}:6060;lr>\r\n\
         P-Associated-URI: <{impu}>, <tel:+99912345>\r\nP-Charging-Function-Addresses: ccf=10.0.0.9\r\n\
         P-Charging-Vector: icid-value=1;orig-ioi=visited.example;term-ioi=home.example\r\n"
    );
    response(request, "200 OK", &lines)
}

/// A response of the core. `lines` end in CRLF.
pub(crate) fn response(request: &Sent, status: &str, lines: &str) -> String {
    let message = request.message();
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in message.lines() {
        match line.name {
            HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                text += std::str::from_utf8(line.raw).expect("text");
            }
            HeaderName::To => text += &format!("To: {};tag=core\r\n", line.value),
            _ => {}
        }
    }
    text + lines + "Content-Length: 0\r\n\r\n"
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub(crate) fn host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
