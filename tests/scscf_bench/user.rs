//! A subscriber of the scripted HSS: his REGISTERs as the I-CSCF sends them on, his vectors, his user data.

use crate::driver::{Driver, REALM, header, node, status};
use imsreg::aka::digest::{self, Algorithm, Inputs, Qop, Secret};
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::aka::{K, Opc};
use imsreg::cx::sar::Charging;
use imsreg::cx::{AuthItem, CxResult, Envelope, Maa, Mar, Saa, Sar, ServerAssignmentType};
use imsreg::packet::Transport;
use imsreg::random::Random;
use imsreg::scscf::{ChallengePolicy, SarAtRefresh, Scscf, ScscfConfig};
use imsreg::sip::overload::Limits;
use imsreg::sip::transaction::Timers;
use imsreg::time::Duration;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const OWN: &str = "127.0.0.1:6060";
pub(crate) const ICSCF: &str = "127.0.0.1:4060";
pub(crate) const IMPI: &str = "001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const TEMPORARY: &str = "sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org";

/// An S-CSCF as in the lab profile.
pub(crate) fn config() -> ScscfConfig {
    ScscfConfig {
        name: format!("sip:scscf.{REALM}:6060").into(),
        listen: vec![OWN.parse().unwrap()],
        icscf: Some(ICSCF.parse().unwrap()),
        transport: Transport::Tcp,
        timers: Timers::CORE,
        diameter: node("scscf.example"),
        realm: REALM.into(),
        min_expires: Duration::from_secs(60),
        max_expires: Duration::from_secs(600_000),
        default_expires: Duration::from_secs(3_600),
        max_subscription: None,
        reg_await_auth: Duration::from_secs(240),
        challenge: ChallengePolicy::Never,
        sar_at_refresh: SarAtRefresh::Always,
        aka_without_sa: true,
        qop: None,
        scheme: "Digest-AKAv1-MD5".into(),
        akav2: true,
        max_resyncs: 2,
        max_flows: 4,
        ioi: "home1.net".into(),
        store_server_name: false,
        restoration: false,
        shared_ifc_sets: Default::default(),
        limits: Limits::default(),
        hosts: Default::default(),
        trusted: Vec::new(),
        digest: Default::default(),
        extra_headers_in_200: Vec::new(),
    }
}

pub(crate) fn scscf(config: ScscfConfig) -> Driver<Scscf> {
    Driver::new(Scscf::new(config, Random::seeded(7)), OWN)
}

/// A REGISTER as it reaches the S-CSCF. Each use gets its own branch.
#[derive(Clone)]
pub(crate) struct Register {
    pub(crate) impi: String,
    pub(crate) impu: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) contacts: Vec<String>,
    pub(crate) expires: Option<u32>,
    pub(crate) integrity_protected: Option<&'static str>,
    /// Parameters of Authorization after username, realm and uri.
    pub(crate) answer: String,
    pub(crate) path: String,
    /// Further lines.
    pub(crate) extra: Vec<String>,
}

impl Register {
    /// The first REGISTER of a UE.
    pub(crate) fn initial() -> Self {
        Self {
            impi: IMPI.into(),
            impu: TEMPORARY.into(),
            call_id: "call-1@ue".into(),
            cseq: 1,
            contacts: vec![contact(31_001)],
            expires: Some(600_000),
            integrity_protected: Some("no"),
            answer: "nonce=\"\",response=\"\"".into(),
            path: format!("<sip:token@pcscf.{REALM};lr>"),
            extra: Vec::new(),
        }
    }

    /// The next REGISTER of the same Call-ID, over the SA.
    pub(crate) fn next(&self) -> Self {
        Self { cseq: self.cseq + 1, integrity_protected: Some("yes"), ..self.clone() }
    }

    /// The next one, which answers a challenge.
    pub(crate) fn answering(&self, challenge: &Challenge) -> Self {
        Self { answer: challenge.answer(&self.impi, None), ..self.next() }
    }

    pub(crate) fn text(&self) -> String {
        use std::fmt::Write;
        let Self { impi, impu, call_id, cseq, path, answer, .. } = self;
        static BRANCHES: AtomicU32 = AtomicU32::new(0);
        let branch = BRANCHES.fetch_add(1, Ordering::Relaxed);
        let mut text = format!(
            "REGISTER sip:scscf.{REALM}:6060 SIP/2.0\r\n\
             Via: SIP/2.0/TCP {ICSCF};branch=z9hG4bKi{branch}\r\n\
             Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bKp{branch}\r\n\
             Max-Forwards: 68\r\nFrom: <{impu}>;tag=ue\r\nTo: <{impu}>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\n\
             Path: {path}\r\nRequire: path\r\nSupported: path\r\nP-Visited-Network-ID: {REALM}\r\n\
             P-Charging-Vector: icid-value=\"icid-1\";orig-ioi=\"Type 1visited1.net\"\r\n",
        );
        for contact in &self.contacts {
            write!(text, "Contact: {contact}\r\n").unwrap();
        }
        if let Some(expires) = self.expires {
            write!(text, "Expires: {expires}\r\n").unwrap();
        }
        let protected = self.integrity_protected.map_or_else(String::new, |v| format!(",integrity-protected=\"{v}\""));
        write!(
            text,
            "Authorization: Digest username=\"{impi}\",realm=\"{REALM}\",uri=\"sip:{REALM}\",{answer}{protected}\r\n"
        )
        .unwrap();
        for line in &self.extra {
            write!(text, "{line}\r\n").unwrap();
        }
        text + "Content-Length: 0\r\n\r\n"
    }
}

pub(crate) fn contact(port: u16) -> String {
    format!("<sip:001010000000001@127.0.0.1:{port}>;+sip.instance=\"<urn:gsma:imei:86774304-000024-0>\";+g.3gpp.smsip")
}

/// A challenge as the UE sees it, with the vector behind it.
pub(crate) struct Challenge {
    pub(crate) nonce: String,
    pub(crate) vector: Vector,
}

impl Challenge {
    /// Right credentials for it.
    pub(crate) fn answer(&self, impi: &str, qop: Option<Qop<'_>>) -> String {
        self.answer_by(Algorithm::AkaV1Md5, impi, qop)
    }

    pub(crate) fn answer_by(&self, algorithm: Algorithm, impi: &str, qop: Option<Qop<'_>>) -> String {
        let Vector { xres, ck, ik, .. } = &self.vector;
        let uri = format!("sip:{REALM}");
        let inputs = Inputs {
            algorithm,
            username: impi,
            realm: REALM,
            nonce: &self.nonce,
            uri: &uri,
            method: "REGISTER",
            qop,
            body: b"",
        };
        let response = digest::response(&inputs, Secret::Aka { res: xres.as_slice(), ik: &ik.0, ck: &ck.0 });
        let qop = qop.map_or_else(String::new, |q| {
            let qop = if q.auth_int { "auth-int" } else { "auth" };
            format!(",qop={qop},nc={},cnonce=\"{}\"", q.nc, q.cnonce)
        });
        let (nonce, response) = (&self.nonce, response.as_str());
        format!("nonce=\"{nonce}\",algorithm={},response=\"{response}\"{qop}", algorithm.as_str())
    }
}

/// The vector of this number.
pub(crate) fn vector(n: u8) -> Vector {
    let keys = SubscriberKeys::Milenage { k: K([0x46; 16]), opc: Opc([0xcd; 16]) };
    Vector::compute(&keys, [n; 16], u64::from(n) * 32, [0x80, 0])
}

/// User data with one service profile: identities, and whether each is barred.
pub(crate) fn user_data(identities: &[(&str, bool)]) -> String {
    let identities: String = identities
        .iter()
        .map(|(identity, barred)| {
            let barring = if *barred { "<BarringIndication>1</BarringIndication>" } else { "" };
            format!("<PublicIdentity>{barring}<Identity>{identity}</Identity></PublicIdentity>")
        })
        .collect();
    format!(
        "<IMSSubscription><PrivateID>{IMPI}</PrivateID><ServiceProfile>{identities}</ServiceProfile></IMSSubscription>"
    )
}

/// The set of the lab: the temporary identity barred, one SIP URI, one tel URI.
pub(crate) fn lab_set() -> String {
    user_data(&[
        (TEMPORARY, true),
        ("sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org", false),
        ("tel:+99912345", false),
    ])
}

impl Driver<Scscf> {
    /// The REGISTER arrives from the I-CSCF.
    pub(crate) fn register(&mut self, register: &Register) {
        self.sip(ICSCF, &register.text());
    }

    /// The status of the next response.
    pub(crate) fn answered(&mut self) -> u16 {
        let sent = self.sent();
        assert_eq!(sent.to, ICSCF.parse().unwrap());
        status(&sent.text)
    }

    /// The HSS gives the vector of this number.
    pub(crate) fn give_vector(&mut self, n: u8) {
        let request = self.asked();
        self.give_vector_to(&request, n);
    }

    pub(crate) fn give_vector_to(&mut self, request: &[u8], n: u8) {
        let vector = vector(n);
        let authenticate = [vector.rand, vector.autn].concat();
        let item = AuthItem {
            number: Some(1),
            scheme: Some("Digest-AKAv1-MD5"),
            authenticate: Some(&authenticate),
            xres: Some(vector.xres.as_slice()),
            ck: Some(&vector.ck.0),
            ik: Some(&vector.ik.0),
            ..AuthItem::default()
        };
        self.maa(request, CxResult::SUCCESS, vec![item]);
    }

    pub(crate) fn maa(&mut self, request: &[u8], result: CxResult, items: Vec<AuthItem<'_>>) {
        let mar = Mar::decode(request).unwrap();
        let maa = Maa { envelope: envelope(mar.envelope.session_id), result, impi: None, impu: None, items };
        self.hss(request, false, |w| maa.encode(w));
    }

    /// The HSS answers a SAR of this type.
    pub(crate) fn assign(&mut self, assignment: ServerAssignmentType, result: CxResult, xml: Option<&str>) {
        let request = self.asked();
        assert_eq!(Sar::decode(&request).unwrap().assignment, assignment);
        self.answer_sar(&request, result, xml);
    }

    /// RE_REGISTRATION is granted without data; returns whether the S-CSCF said that it has them.
    pub(crate) fn assign_again(&mut self) -> bool {
        let request = self.asked();
        let sar = Sar::decode(&request).unwrap();
        assert_eq!(sar.assignment, ServerAssignmentType::ReRegistration);
        self.answer_sar(&request, CxResult::SUCCESS, None);
        sar.user_data_already_available
    }

    pub(crate) fn answer_sar(&mut self, request: &[u8], result: CxResult, xml: Option<&str>) {
        self.answer_sar_beside(request, result, xml, Vec::new());
    }

    /// The same where other private identities share the public one.
    pub(crate) fn answer_sar_beside(&mut self, request: &[u8], result: CxResult, xml: Option<&str>, others: Vec<&str>) {
        let sar = Sar::decode(request).unwrap();
        let saa = Saa {
            envelope: envelope(sar.envelope.session_id),
            result,
            impi: sar.impi,
            server_name: None,
            user_data: xml.map(str::as_bytes),
            charging: xml.map(|_| Charging { primary_collection: Some("aaa://ccf.example"), ..Charging::default() }),
            associated_identities: others,
            supports_restoration: false,
            restoration: Vec::new(),
        };
        self.hss(request, false, |w| saa.encode(w));
    }

    /// REGISTER, MAR, MAA, 401.
    pub(crate) fn challenge(&mut self, register: &Register, n: u8) -> Challenge {
        self.register(register);
        self.give_vector(n);
        let text = self.sent().text;
        assert_eq!(status(&text), 401, "{text}");
        Challenge { nonce: nonce(&text), vector: vector(n) }
    }

    /// A whole registration; returns its last REGISTER and the 200.
    pub(crate) fn registered(&mut self) -> (Register, String) {
        let first = Register::initial();
        let challenge = self.challenge(&first, 1);
        let second = first.answering(&challenge);
        self.register(&second);
        self.assign(ServerAssignmentType::Registration, CxResult::SUCCESS, Some(&lab_set()));
        let text = self.sent().text;
        assert_eq!(status(&text), 200, "{text}");
        self.quiet();
        (second, text)
    }
}

/// The nonce of a 401.
pub(crate) fn nonce(text: &str) -> String {
    let challenge = header(text, "WWW-Authenticate");
    challenge.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
}

pub(crate) fn envelope(session_id: &str) -> Envelope<'_> {
    Envelope { session_id, origin_host: "hss.example", origin_realm: REALM }
}
