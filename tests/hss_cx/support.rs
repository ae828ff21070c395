//! An HSS with a peer, asked in encoded Cx messages.

use imsreg::aka::milenage::Milenage;
use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Op};
use imsreg::cx::user_data::{ApplicationServer, IdentityType, InitialFilterCriteria, PublicIdentity, ServiceProfile};
use imsreg::cx::{
    self, CxResult, Lir, Mar, RequestEnvelope, RestorationInfo, Sar, ScscfRestorationInfo, ServerAssignmentType, Uar,
    UserAuthorizationType, VENDOR,
};
use imsreg::diameter::peer::NodeConfig;
use imsreg::diameter::{Avps, Header, Writer, dictionary as d};
use imsreg::event::Event;
use imsreg::hss::store::AuthVectors;
use imsreg::hss::{Hss, HssConfig, SqnScheme, Store, Subscriber};
use imsreg::identity::Impi;
use imsreg::packet::{Connection, ConnectionState, Effect, Outbox, Packet, Protocol, Transport};
use imsreg::random::Random;
use imsreg::time::{Duration, Epoch, Instant};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub(crate) const REALM: &str = "ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const HOST: &str = "hss.ims.mnc001.mcc001.3gppnetwork.org";
pub(crate) const SCSCF: &str = "sip:scscf.ims.mnc001.mcc001.3gppnetwork.org:6060";
pub(crate) const OTHER_SCSCF: &str = "sip:scscf2.ims.mnc001.mcc001.3gppnetwork.org:6060";

/// An HSS and one open peer.
pub(crate) struct Lab {
    pub(crate) hss: Hss,
    pub(crate) now: Instant,
    pub(crate) events: Vec<Event>,
    /// What was recorded, the newest of each key.
    pub(crate) journal: Journal,
    /// What the next SARs carry: IMPI and Contact of SCSCF-Restoration-Info; they say that they know of it.
    pub(crate) restoration: Option<(String, &'static str)>,
    pub(crate) supports_restoration: bool,
    pub(crate) multiple_registration: bool,
    hop_by_hop: u32,
}

pub(crate) type Journal = BTreeMap<Vec<u8>, Vec<u8>>;

/// What an answer says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn config() -> HssConfig {
    HssConfig {
        diameter: NodeConfig {
            origin_host: HOST.into(),
            origin_realm: REALM.into(),
            address: server().ip(),
            listen: Some(server()),
            transports: vec![Transport::Tcp],
            peers: Vec::new(),
            watchdog: Duration::from_secs(30),
            reconnect: Duration::from_secs(30),
            request_timeout: Duration::from_secs(5),
            accept_unknown_peers: true,
            epoch: Epoch::SIMULATION,
        },
        realm: REALM.into(),
        visited_networks: vec!["partner.example".into()],
        capabilities: (vec![1, 7], vec![20]),
        store_server_name: false,
        sqn: SqnScheme::Counter,
    }
}

/// A subscriber with AKA keys; identities without scheme get `sip:` and the realm.
pub(crate) fn subscriber(name: &str, impus: &[&str]) -> Subscriber {
    let identities = impus.iter().map(|impu| identity(impu)).collect();
    Subscriber {
        impi: Impi::new(format!("{name}@{REALM}")),
        profiles: vec![ServiceProfile { identities, ..ServiceProfile::default() }],
        auth: AuthVectors::Algorithm(keys()),
        amf: [0x80, 0],
        sqn: 0,
        capabilities: None,
        visited_networks: None,
        charging: [None, None, None, None],
    }
}

pub(crate) fn identity(impu: &str) -> PublicIdentity {
    PublicIdentity {
        identity: full(impu),
        barred: false,
        kind: IdentityType::PublicUserIdentity,
        wildcard: None,
        display_name: None,
    }
}

/// A criterion that always matches.
pub(crate) fn criteria(registered_part: Option<bool>) -> InitialFilterCriteria {
    InitialFilterCriteria {
        priority: 0,
        trigger: None,
        server: ApplicationServer {
            server_name: "sip:as.example".to_owned(),
            terminate_on_failure: false,
            service_info: None,
            include_register_request: false,
            include_register_response: false,
        },
        registered_part,
    }
}

pub(crate) fn keys() -> SubscriberKeys {
    let k = K([0x46; 16]);
    let opc = Milenage::opc(&k, &Op([0xcd; 16]));
    SubscriberKeys::Milenage { k, opc }
}

pub(crate) fn full(identity: &str) -> String {
    if identity.contains(':') { identity.to_owned() } else { format!("sip:{identity}@{REALM}") }
}

fn server() -> SocketAddr {
    "127.0.0.1:3868".parse().unwrap()
}

fn client() -> SocketAddr {
    "127.0.0.1:40000".parse().unwrap()
}

impl Lab {
    pub(crate) fn new(config: HssConfig, store: Store) -> Self {
        let mut lab = Self {
            hss: Hss::new(config, store, Random::seeded(1)),
            now: Instant::ZERO,
            events: Vec::new(),
            journal: Journal::new(),
            restoration: None,
            supports_restoration: false,
            multiple_registration: false,
            hop_by_hop: 0,
        };
        let mut out = Outbox::new();
        lab.hss.start(lab.now, &mut out);
        let connection = Connection {
            local: server(),
            remote: client(),
            transport: Transport::Tcp,
            protocol: Protocol::Diameter,
            inbound: true,
            state: ConnectionState::Opened,
        };
        lab.hss.connection(lab.now, &connection, &mut out);
        let cea = lab.ask(d::CAPABILITIES_EXCHANGE, 0, |w| {
            w.octets(d::ORIGIN_HOST, 0, true, b"cscf.example").octets(d::ORIGIN_REALM, 0, true, REALM.as_bytes());
            w.address(d::HOST_IP_ADDRESS, 0, true, client().ip());
            w.u32(d::VENDOR_ID, 0, true, VENDOR).octets(d::PRODUCT_NAME, 0, false, b"test");
            w.group(d::VENDOR_SPECIFIC_APPLICATION_ID, 0, true, |w| {
                w.u32(d::VENDOR_ID, 0, true, VENDOR).u32(d::AUTH_APPLICATION_ID, 0, true, cx::APPLICATION);
            });
        });
        assert_eq!(cea.result(), CxResult::SUCCESS);
        lab
    }

    /// Sends a request and returns its answer.
    pub(crate) fn ask(&mut self, command: u32, application: u32, write: impl FnOnce(&mut Writer<'_>)) -> Answer {
        let sent = self.ask_all(command, application, write);
        self.answer(sent)
    }

    /// What comes first is the answer, and the only one.
    fn answer(&self, mut sent: Vec<Vec<u8>>) -> Answer {
        let bytes = sent.remove(0);
        let header = Header::parse(&bytes).unwrap();
        assert!(!header.request && sent.iter().all(|bytes| Header::parse(bytes).unwrap().request), "one answer");
        assert_eq!((header.hop_by_hop, header.end_to_end), (self.hop_by_hop, 0xabc0_0000 + self.hop_by_hop));
        Answer { header, bytes }
    }

    fn ask_all(&mut self, command: u32, application: u32, write: impl FnOnce(&mut Writer<'_>)) -> Vec<Vec<u8>> {
        self.hop_by_hop += 1;
        let header = Header {
            request: true,
            proxiable: application != 0,
            error: false,
            retransmitted: false,
            command,
            application,
            hop_by_hop: self.hop_by_hop,
            end_to_end: 0xabc0_0000 + self.hop_by_hop,
        };
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes, &header);
        write(&mut w);
        w.finish();
        self.receive(&bytes)
    }

    /// Somebody commands the HSS; what it sends.
    pub(crate) fn command<T>(&mut self, with: impl FnOnce(&mut Hss, Instant, &mut Outbox) -> T) -> Vec<Vec<u8>> {
        let mut out = Outbox::new();
        with(&mut self.hss, self.now, &mut out);
        self.collect(&mut out)
    }

    /// Hands in a message; what the HSS sends.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let packet = Packet {
            bytes,
            protocol: Protocol::Diameter,
            transport: Transport::Tcp,
            from: client(),
            to: server(),
            sa: None,
        };
        let mut out = Outbox::new();
        self.hss.receive(self.now, &packet, &mut out);
        self.collect(&mut out)
    }

    fn collect(&mut self, out: &mut Outbox) -> Vec<Vec<u8>> {
        let (bytes, effects) = out.take();
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Transmit { range, .. } => answers.push(bytes[range].to_vec()),
                Effect::Event(event) => self.events.push(*event),
                Effect::Record { key, value } => {
                    assert!(answers.is_empty(), "a record comes before what promises it");
                    self.journal.insert(bytes[key].to_vec(), bytes[value].to_vec());
                }
                _ => {}
            }
        }
        answers
    }

    /// Sends a Cx request and returns its answer.
    pub(crate) fn cx(&mut self, ask: &Ask) -> Answer {
        let sent = self.cx_sends(ask);
        self.answer(sent)
    }

    /// Sends a Cx request; all that the HSS sends then.
    pub(crate) fn cx_sends(&mut self, ask: &Ask) -> Vec<Vec<u8>> {
        let is_other = matches!(ask, Ask::Mar { server, .. } | Ask::Sar { server, .. } if *server == OTHER_SCSCF);
        let envelope = RequestEnvelope {
            session_id: "cscf.example;1;2",
            origin_host: if is_other { "other.example" } else { "cscf.example" },
            origin_realm: REALM,
            destination_host: None,
            destination_realm: REALM,
        };
        match ask {
            Ask::Uar { impi, impu, kind, visited, emergency } => {
                let uar = Uar {
                    envelope,
                    impi,
                    impu,
                    visited_network: visited.as_bytes(),
                    authorization_type: *kind,
                    emergency: *emergency,
                };
                self.ask_all(Uar::COMMAND, cx::APPLICATION, |w| uar.encode(w))
            }
            Ask::Mar { impi, impu, items, scheme, server, resync } => {
                let resync = resync.as_deref();
                let mar = Mar { envelope, impi, impu, items: *items, scheme, resync, server_name: server };
                self.ask_all(Mar::COMMAND, cx::APPLICATION, |w| mar.encode(w))
            }
            Ask::Sar { impi, impus, kind, server, have } => {
                let restoration = self.restoration.clone();
                let sar = Sar {
                    envelope,
                    impi: impi.as_deref(),
                    impus: impus.iter().map(String::as_str).collect(),
                    server_name: server,
                    assignment: *kind,
                    user_data_already_available: *have,
                    supports_restoration: self.supports_restoration,
                    supports_shared_ifc: false,
                    multiple_registration: self.multiple_registration,
                    restoration: restoration.as_ref().map(|(impi, contact)| Box::new(left_for(impi, contact))),
                };
                self.ask_all(Sar::COMMAND, cx::APPLICATION, |w| sar.encode(w))
            }
            Ask::Lir { impu, originating, kind } => {
                let lir = Lir { envelope, impu, originating: *originating, authorization_type: *kind };
                self.ask_all(Lir::COMMAND, cx::APPLICATION, |w| lir.encode(w))
            }
        }
    }
}

fn left_for<'a>(impi: &'a str, contact: &'a str) -> ScscfRestorationInfo<'a> {
    let binding = RestorationInfo {
        path: b"<sip:token@pcscf.example;lr>",
        contact: contact.as_bytes(),
        cseq: Some(2),
        call_id: Some(b"a@b"),
        subscription: None,
        pcscf_subscription: None,
    };
    let (ends_at, scheme) = (Some(1_800_000_000), Some("Digest-AKAv1-MD5"));
    ScscfRestorationInfo { impi, bindings: vec![binding], ends_at, scheme }
}

/// A Cx request of the tests. Names stand for identities of the realm.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Uar { impi: String, impu: String, kind: UserAuthorizationType, visited: &'static str, emergency: bool },
    Mar { impi: String, impu: String, items: u32, scheme: &'static str, server: &'static str, resync: Option<Vec<u8>> },
    Sar { impi: Option<String>, impus: Vec<String>, kind: ServerAssignmentType, server: &'static str, have: bool },
    Lir { impu: String, originating: bool, kind: Option<UserAuthorizationType> },
}

fn impi(name: &str) -> String {
    format!("{name}@{REALM}")
}

pub(crate) fn uar(name: &str, impu: &str) -> Ask {
    let kind = UserAuthorizationType::Registration;
    Ask::Uar { impi: impi(name), impu: full(impu), kind, visited: REALM, emergency: false }
}

pub(crate) fn uar_of(kind: UserAuthorizationType, name: &str, impu: &str) -> Ask {
    Ask::Uar { impi: impi(name), impu: full(impu), kind, visited: REALM, emergency: false }
}

pub(crate) fn mar(name: &str, impu: &str) -> Ask {
    let scheme = "Digest-AKAv1-MD5";
    Ask::Mar { impi: impi(name), impu: full(impu), items: 1, scheme, server: SCSCF, resync: None }
}

pub(crate) fn sar(kind: ServerAssignmentType, name: &str, impus: &[&str]) -> Ask {
    let impi = (!name.is_empty()).then(|| impi(name));
    Ask::Sar { impi, impus: impus.iter().map(|impu| full(impu)).collect(), kind, server: SCSCF, have: false }
}

pub(crate) fn lir(impu: &str) -> Ask {
    Ask::Lir { impu: full(impu), originating: false, kind: None }
}

impl Ask {
    /// Asked by the other S-CSCF.
    #[must_use]
    pub(crate) fn by_other(mut self) -> Self {
        if let Self::Mar { server, .. } | Self::Sar { server, .. } = &mut self {
            *server = OTHER_SCSCF;
        }
        self
    }

    #[must_use]
    pub(crate) fn in_network(mut self, network: &'static str) -> Self {
        if let Self::Uar { visited, .. } = &mut self {
            *visited = network;
        }
        self
    }

    #[must_use]
    pub(crate) fn emergency(mut self) -> Self {
        if let Self::Uar { emergency, .. } = &mut self {
            *emergency = true;
        }
        self
    }
}

impl Answer {
    pub(crate) fn result(&self) -> CxResult {
        if let Some(code) = self.find(d::RESULT_CODE, 0) {
            return CxResult::Base(u32::from_be_bytes(code.try_into().unwrap()));
        }
        let group = self.find(d::EXPERIMENTAL_RESULT, 0).expect("a result");
        let code = Avps::new(group).find(d::EXPERIMENTAL_RESULT_CODE, 0).unwrap();
        CxResult::Experimental(code.u32().unwrap())
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.find(d::SERVER_NAME, VENDOR).map(|name| std::str::from_utf8(name).unwrap())
    }

    pub(crate) fn find(&self, code: u32, vendor: u32) -> Option<&[u8]> {
        Avps::of(&self.bytes).find(code, vendor).map(|avp| avp.data)
    }

    pub(crate) fn has(&self, code: u32) -> bool {
        self.find(code, VENDOR).is_some()
    }
}
