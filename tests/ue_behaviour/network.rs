//! A network that says what a test tells it to, and remembers what the UE sent. It reads messages by itself, so that
//! it does not share the UE's mistakes.

use data_encoding::BASE64;
use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use imsreg::aka::usim::Usim;
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{K, Opc};
use imsreg::event::What;
use imsreg::identity::{Impi, Impu, Realm};
use imsreg::ipsec::association::{Algorithms, Encryption, Integrity, Mod, PortPair, SaId, SaSet, SaSetId};
use imsreg::packet::{Effect, Outbox, Packet, Protocol, Transport};
use imsreg::pcscf::SecAgreePolicy;
use imsreg::random::Random;
use imsreg::sip::transaction::Timers;
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{InvitePolicy, KeepAlivePolicy, RetryPolicy, Ue, UeConfig, UeStatus};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

pub(crate) const SECURITY_SERVER: &str =
    "ipsec-3gpp;q=0.9;alg=hmac-sha-1-96;prot=esp;mod=trans;ealg=aes-cbc;spi-c=5001;spi-s=5002;port-c=5100;port-s=6100";
pub(crate) const REALM: &str = "home.example";

pub(crate) struct Network {
    pub(crate) ue: Ue,
    pub(crate) now: Instant,
    pub(crate) sqn: u64,
    /// The vector of the last challenge.
    pub(crate) vector: Option<Vector>,
    pub(crate) sets: BTreeMap<SaSetId, SaSet>,
    pub(crate) events: Vec<What>,
    /// Sets are made when the test says so.
    pub(crate) silent_plane: bool,
    /// What the plane was told of the ends of sets.
    pub(crate) extended: Vec<(SaSetId, Instant)>,
    sent: VecDeque<Sent>,
    random: Random,
}

/// Something the UE sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) sa: Option<SaId>,
    pub(crate) text: String,
    /// The same, where it is no text.
    pub(crate) bytes: Vec<u8>,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut UeConfig)) -> Self {
        let mut config = UeConfig {
            impi: Impi::from("001010000000001@home.example"),
            impu: Impu::from("sip:001010000000001@home.example"),
            realm: Realm::from(REALM),
            usim: Some(Usim::new(keys(), 0)),
            login: None,
            pcscf: "192.0.2.1:5060".parse().unwrap(),
            local: "192.0.2.10:5060".parse().unwrap(),
            protected_ports: (31_000, 31_001),
            port_c_pool: 50,
            transport: Transport::Udp,
            sec_agree: SecAgreePolicy::Required,
            algorithms: vec![
                Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc },
                Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::Null },
            ],
            modes: vec![Mod::Trans],
            expires: Duration::from_secs(600_000),
            timers: Timers::GM,
            retry: RetryPolicy { base: Duration::from_secs(30), max: Duration::from_secs(1_800), attempts: None },
            instance: Some("urn:gsma:imei:86432005-123456-0".into()),
            contact_user: None,
            contact_parameters: "".into(),
            features: "".into(),
            access_network: Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001".into()),
            user_agent: "imsreg".into(),
            invite: InvitePolicy::default(),
            keep_alive: KeepAlivePolicy::Off,
            refresh: true,
            subscribe: false,
            reg_id: None,
            second_flow: None,
            gruu: false,
            emergency: false,
            forms: None,
            epoch: Epoch::SIMULATION,
        };
        change(&mut config);
        Self {
            ue: Ue::new(config, Random::seeded(3)),
            now: Instant::ZERO,
            sqn: 32,
            vector: None,
            sets: BTreeMap::new(),
            events: Vec::new(),
            silent_plane: false,
            extended: Vec::new(),
            sent: VecDeque::new(),
            random: Random::seeded(4),
        }
    }

    /// Registers through a challenge, with this expiry granted.
    pub(crate) fn registered(mut self, expires: u32) -> Self {
        self.register();
        let first = self.sent();
        let challenge = self.challenge(&first, |text| text);
        self.answer(&first, &challenge);
        let second = self.sent();
        self.answer(&second, &granted(&second, expires));
        assert_eq!(self.ue.status(), UeStatus::Registered);
        self
    }

    pub(crate) fn register(&mut self) {
        self.call(Ue::register);
    }

    pub(crate) fn deregister(&mut self) {
        self.call(Ue::deregister);
    }

    /// Lets time pass until `secs`, timers and all.
    pub(crate) fn at(&mut self, secs: f64) {
        let end = Instant::from_micros((secs * 1e6) as u64);
        while let Some(due) = self.ue.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.call(Ue::handle_timeout);
        }
        self.now = end;
    }

    /// Lets time pass until the UE sends something.
    pub(crate) fn next_sent(&mut self) -> Sent {
        while self.sent.is_empty() {
            self.now = self.ue.next_timeout().expect("something is due");
            self.call(Ue::handle_timeout);
        }
        self.sent()
    }

    /// The next message the UE sent; there must be one.
    pub(crate) fn sent(&mut self) -> Sent {
        self.sent.pop_front().unwrap_or_else(|| panic!("nothing sent; {:?} {:?}", self.ue.failure(), self.events))
    }

    /// The UE has sent nothing more.
    pub(crate) fn quiet(&self) {
        assert!(self.sent.is_empty(), "{}", self.sent[0].text);
    }

    /// Forgets what was sent.
    pub(crate) fn ignore(&mut self) {
        self.sent.clear();
    }

    /// A 401 to `request`, its text changed by `change` at the end.
    pub(crate) fn challenge(&mut self, request: &Sent, change: impl FnOnce(String) -> String) -> String {
        let vector = Vector::compute(&keys(), self.random.bytes(), self.sqn, [0x80, 0]);
        self.sqn += 32;
        let nonce = nonce(&vector);
        self.vector = Some(vector);
        change(reply(
            request,
            "401 Unauthorized",
            &[
                &format!(
                    "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=AKAv1-MD5, qop=\"auth\""
                ),
                &format!("Security-Server: {SECURITY_SERVER}"),
            ],
        ))
    }

    /// Sends `text` as the answer to `request`, on the way that TS 33.203 asks for.
    pub(crate) fn answer(&mut self, request: &Sent, text: &str) {
        match request.sa {
            Some(sa) if request.transport == Transport::Udp => {
                let set = &self.sets[&sa.set];
                let (from, to) = (set.pcscf.port_c, set.ue.port_s);
                let sa = SaId { set: sa.set, pair: PortPair::UsPc };
                self.deliver(text, from, to, Transport::Udp, Some(sa));
            }
            sa => self.deliver(text, request.to.port(), request.from.port(), request.transport, sa),
        }
    }

    /// Hands a packet to the UE.
    pub(crate) fn deliver(
        &mut self,
        text: &(impl AsRef<[u8]> + ?Sized),
        from: u16,
        to: u16,
        transport: Transport,
        sa: Option<SaId>,
    ) {
        let packet = Packet {
            bytes: text.as_ref(),
            protocol: Protocol::Sip,
            transport,
            from: SocketAddr::new([192, 0, 2, 1].into(), from),
            to: SocketAddr::new([192, 0, 2, 10].into(), to),
            sa,
        };
        self.call(|ue, now, out| ue.receive(now, &packet, out));
    }

    pub(crate) fn call(&mut self, f: impl FnOnce(&mut Ue, Instant, &mut Outbox)) {
        let mut out = Outbox::new();
        f(&mut self.ue, self.now, &mut out);
        while !out.is_empty() {
            self.carry_out(&mut out);
        }
    }

    fn carry_out(&mut self, out: &mut Outbox) {
        let (bytes, effects) = out.take();
        for effect in effects {
            match effect {
                Effect::Transmit { from, to, transport, sa, range, .. } => {
                    let bytes = bytes[range].to_vec();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    if let Some(sa) = sa {
                        let set = self.sets.get(&sa.set).expect("sent through a set that is installed");
                        let (local, remote) = match sa.pair {
                            PortPair::UcPs => (set.ue.port_c, set.pcscf.port_s),
                            PortPair::UsPc => (set.ue.port_s, set.pcscf.port_c),
                        };
                        assert_eq!((from.port(), to.port()), (local, remote), "selectors of the SA");
                    }
                    self.sent.push_back(Sent { at: self.now, from, to, transport, sa, text, bytes });
                }
                Effect::InstallSa(set) => {
                    assert!(set.at_ue);
                    for alive in self.sets.values() {
                        assert_ne!((alive.ue.port_s, alive.pcscf.port_c), (set.ue.port_s, set.pcscf.port_c));
                        assert_ne!((alive.ue.port_c, alive.pcscf.port_s), (set.ue.port_c, set.pcscf.port_s));
                    }
                    if !self.silent_plane {
                        self.ue.sa_installed(self.now, set.id, out);
                    }
                    assert!(self.sets.insert(set.id, *set).is_none());
                }
                Effect::ExtendSa { set, until } => {
                    assert!(self.sets.contains_key(&set));
                    self.extended.push((set, until));
                }
                Effect::RemoveSa(id) => {
                    self.sets.remove(&id).expect("removed once");
                }
                Effect::Close { .. } => {}
                Effect::Event(event) => self.events.push(event.what),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The one set alive.
    pub(crate) fn only_set(&self) -> &SaSet {
        assert_eq!(self.sets.len(), 1);
        self.sets.values().next().unwrap()
    }

    pub(crate) fn told(&self, wanted: impl Fn(&What) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// How long the UE said it would wait, last.
    pub(crate) fn wait(&self) -> f64 {
        let last = self.events.iter().rev().find_map(|e| match e {
            What::RetryAt { after, .. } => Some(*after),
            _ => None,
        });
        last.expect("it waits").as_secs_f64()
    }

    /// The response that the last vector asks for.
    pub(crate) fn expected(&self, request: &Sent) -> String {
        let vector = self.vector.as_ref().unwrap();
        let get = |name| request.credential(name);
        let (nc, cnonce) = (get("nc"), get("cnonce"));
        let qop = get("qop").map(|q| Qop {
            auth_int: q == "auth-int",
            nc: nc.as_deref().unwrap(),
            cnonce: cnonce.as_deref().unwrap(),
        });
        let inputs = Inputs {
            algorithm: Algorithm::AkaV1Md5,
            username: &get("username").unwrap(),
            realm: &get("realm").unwrap(),
            nonce: &nonce(vector),
            uri: &get("uri").unwrap(),
            method: "REGISTER",
            qop,
            body: b"",
        };
        let secret = Secret::Aka { res: vector.xres.as_slice(), ik: &vector.ik.0, ck: &vector.ck.0 };
        response(&inputs, secret).as_str().to_owned()
    }
}

impl Sent {
    /// The values of all lines of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.text.split("\r\n").filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in\n{}", self.text);
        all[0]
    }

    /// A parameter of Authorization, without quotes.
    pub(crate) fn credential(&self, name: &str) -> Option<String> {
        let list = self.header("Authorization").strip_prefix("Digest ").unwrap();
        let value = list.split(", ").find_map(|p| p.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches('"').to_owned())
    }

    /// The parameters of every element of Security-Client.
    pub(crate) fn offers(&self) -> Vec<BTreeMap<&str, &str>> {
        let elements = self.header("Security-Client").split(", ");
        elements.map(|e| e.split(';').skip(1).map(|p| p.split_once('=').unwrap()).collect()).collect()
    }

    pub(crate) fn cseq(&self) -> u32 {
        self.header("CSeq").split(' ').next().unwrap().parse().unwrap()
    }
}

/// A response to `request` with more header lines.
pub(crate) fn reply(request: &Sent, status: &str, lines: &[&str]) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let tag = if name == "To" { ";tag=network" } else { "" };
        text += &format!("{name}: {}{tag}\r\n", request.header(name));
    }
    for line in lines {
        text += line;
        text += "\r\n";
    }
    text + "Content-Length: 0\r\n\r\n"
}

/// A 200 to a REGISTER.
pub(crate) fn granted(request: &Sent, expires: u32) -> String {
    let contact = format!("Contact: {};expires={expires}", request.header("Contact"));
    reply(
        request,
        "200 OK",
        &[
            &contact,
            "P-Associated-URI: <sip:+99912345@ims.example>, <tel:+99912345>",
            "Service-Route: <sip:token@scscf.example:6060;lr>",
        ],
    )
}

pub(crate) fn keys() -> SubscriberKeys {
    SubscriberKeys::Milenage { k: K(*b"0123456789abcdef"), opc: Opc(*b"fedcba9876543210") }
}

pub(crate) fn nonce(vector: &Vector) -> String {
    BASE64.encode(&[vector.rand, vector.autn].concat())
}
