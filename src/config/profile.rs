//! A network profile: what its file may say, and what holds where it says nothing (3GPP's defaults).

use super::fault::{Collector, Faults};
use super::read::{Fields, Path, found};
use super::source::Sources;
use super::value::{
    ACCEPT, ALGORITHMS, CHALLENGE, COUNT, DURATION, ENCRYPTION, FLAG, HOST, HOST_PORT, INTEGRITY, IP, LISTENER, NUMBER,
    PLANE, PORT, PORTS, REALM, SEC_AGREE, SIP_URI, SQN_SCHEME, TEXT, TOKEN, TRANSPORT, WATCHDOG, WIRING,
};
use super::yaml::{Node, Value};
use super::{Origin, layers};
use crate::hss::SqnScheme;
use crate::icscf::ScscfEntry;
use crate::ims::Wiring;
use crate::ipsec::association::{Algorithms, Encryption, Integrity};
use crate::packet::Transport;
use crate::pcscf::SecAgreePolicy;
use crate::scscf::ChallengePolicy;
use crate::sip::transaction::Timers;
use crate::time::Duration;
use crate::ue::RetryPolicy;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

/// A whole profile. `None` stands for "derived", see [`super::elements`].
#[derive(Clone, Debug)]
pub struct Profile {
    /// The files it was made of, the one asked for first.
    pub origins: Vec<Origin>,
    /// `realm`: the home domain.
    pub realm: Box<str>,
    /// `wiring`
    pub wiring: Wiring,
    /// `hosts`: names to addresses; there is no DNS.
    pub hosts: BTreeMap<Box<str>, IpAddr>,
    /// `core_transport`: SIP between the CSCFs.
    pub core_transport: Transport,
    /// `timers.gm`: between UE and P-CSCF.
    pub gm_timers: Timers,
    /// `timers.core`
    pub core_timers: Timers,
    /// `diameter`
    pub diameter: DiameterSection,
    /// `pcscf`
    pub pcscf: PcscfSection,
    /// `icscf`
    pub icscf: IcscfSection,
    /// `scscf`
    pub scscf: ScscfSection,
    /// `hss`
    pub hss: HssSection,
    /// `ue`: simulated UEs.
    pub ue: UeSection,
}

/// `diameter`: what all Diameter nodes share.
#[derive(Clone, Debug)]
pub struct DiameterSection {
    /// `watchdog`: Tw of RFC 3539.
    pub watchdog: Duration,
    /// `reconnect`: Tc of RFC 6733.
    pub reconnect: Duration,
    /// `request_timeout`
    pub request_timeout: Duration,
    /// `accept_unknown_peers`: from addresses other than loopback too.
    pub accept_unknown_peers: bool,
}

/// A host name or address, and a port.
pub type HostPort = (Box<str>, u16);

/// `pcscf`
#[derive(Clone, Debug)]
pub struct PcscfSection {
    /// `listen`
    pub listen: Vec<SocketAddr>,
    /// `host`; else `pcscf.<realm>`.
    pub host: Option<Box<str>>,
    /// `port_s`
    pub port_s: u16,
    /// `port_c`
    pub port_c: RangeInclusive<u16>,
    /// `sec_agree`
    pub sec_agree: SecAgreePolicy,
    /// `algorithms`
    pub algorithms: Vec<Algorithms>,
    /// `full_list_in_401`
    pub full_list_in_401: bool,
    /// `next_hop`; empty: the I-CSCF of this process, or its name in `hosts`.
    pub next_hop: Vec<HostPort>,
    /// `core`: our address towards the core; else the first listener of the family of the next hop.
    pub core: Option<SocketAddr>,
    /// `visited_network`; else the realm.
    pub visited_network: Option<Box<str>>,
    /// `ioi`; else the realm.
    pub ioi: Option<Box<str>>,
    /// `many_ues_per_address`; else true where all listeners are loopback.
    pub many_ues_per_address: Option<bool>,
    /// `accept_challenge_without_keys`
    pub accept_challenge_without_keys: bool,
    /// `strip_from_answers`
    pub strip_from_answers: Vec<Box<str>>,
}

/// How an element is named in Diameter; else by its role and the realm.
#[derive(Clone, Debug, Default)]
pub struct DiameterIdentity {
    /// `origin_host`
    pub origin_host: Option<Box<str>>,
    /// `origin_realm`
    pub origin_realm: Option<Box<str>>,
}

/// `icscf`
#[derive(Clone, Debug)]
pub struct IcscfSection {
    /// `listen`
    pub listen: Vec<SocketAddr>,
    /// `host`; else `icscf.<realm>`.
    pub host: Option<Box<str>>,
    /// `hss`: the first preferred; empty: the HSS of this process, or `hss.<realm>` in `hosts`.
    pub hss: Vec<HostPort>,
    /// `scscfs`; empty: the one S-CSCF of this profile.
    pub scscfs: Vec<ScscfEntry>,
    /// `trusted`
    pub trusted: Vec<IpAddr>,
    /// `origin_host`, `origin_realm`
    pub identity: DiameterIdentity,
}

/// `scscf`
#[derive(Clone, Debug)]
pub struct ScscfSection {
    /// `name`; else `sip:scscf.<realm>:<port of the first listener>`.
    pub name: Option<Box<str>>,
    /// `listen`
    pub listen: Vec<SocketAddr>,
    /// `hss`, as for the I-CSCF.
    pub hss: Vec<HostPort>,
    /// `expires.min`
    pub min_expires: Duration,
    /// `expires.max`
    pub max_expires: Duration,
    /// `expires.default`
    pub default_expires: Duration,
    /// `reg_await_auth`
    pub reg_await_auth: Duration,
    /// `challenge`
    pub challenge: ChallengePolicy,
    /// `aka_without_sa`
    pub aka_without_sa: bool,
    /// `qop`; `none` leaves it out.
    pub qop: Option<Box<str>>,
    /// `scheme`
    pub scheme: Box<str>,
    /// `akav2`
    pub akav2: bool,
    /// `max_resyncs`
    pub max_resyncs: u32,
    /// `max_flows`
    pub max_flows: u32,
    /// `ioi`; else the realm.
    pub ioi: Option<Box<str>>,
    /// `store_server_name`
    pub store_server_name: bool,
    /// `extra_headers_in_200`
    pub extra_headers_in_200: Vec<(Box<str>, Box<str>)>,
    /// `trusted`
    pub trusted: Vec<IpAddr>,
    /// `origin_host`, `origin_realm`
    pub identity: DiameterIdentity,
}

/// `hss`
#[derive(Clone, Debug)]
pub struct HssSection {
    /// `listen`
    pub listen: SocketAddr,
    /// `visited_networks`
    pub visited_networks: Vec<Box<str>>,
    /// `capabilities.mandatory` and `capabilities.optional`
    pub capabilities: (Vec<u32>, Vec<u32>),
    /// `store_server_name`
    pub store_server_name: bool,
    /// `sqn`
    pub sqn: SqnScheme,
    /// `origin_host`, `origin_realm`
    pub identity: DiameterIdentity,
}

/// `ue`
#[derive(Clone, Debug)]
pub struct UeSection {
    /// `address`: the first UE's unprotected address; the port counts up with each further one.
    pub address: SocketAddr,
    /// `port_c`: the first port_uc.
    pub port_c: u16,
    /// `port_s`: port_us.
    pub port_s: u16,
    /// `port_c_pool`
    pub port_c_pool: u16,
    /// `transport`
    pub transport: Transport,
    /// `sec_agree`
    pub sec_agree: SecAgreePolicy,
    /// `algorithms`
    pub algorithms: Vec<Algorithms>,
    /// `expires`
    pub expires: Duration,
    /// `retry`
    pub retry: RetryPolicy,
    /// `instance`
    pub instance: Option<Box<str>>,
    /// `features`
    pub features: Box<str>,
    /// `access_network`
    pub access_network: Option<Box<str>>,
    /// `user_agent`
    pub user_agent: Box<str>,
    /// `refresh`
    pub refresh: bool,
}

/// What the command line says of one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The flag, as faults name it: `--realm`, `--set pcscf.port_s`.
    pub flag: String,
    /// The key: `pcscf.listen`, `icscf.scscfs[0].name`.
    pub path: String,
    /// Its value as YAML: `a`, `[a, b]`; what is no YAML is taken as a text.
    pub value: String,
}

impl Setting {
    /// The value of one flag.
    pub fn new(flag: &str, path: &str, value: impl Into<String>) -> Self {
        Self { flag: flag.to_owned(), path: path.to_owned(), value: value.into() }
    }

    /// The value of `--set key.path=value`.
    pub fn from_set(argument: &str) -> Result<Self, Faults> {
        match argument.split_once('=') {
            Some((path, value)) if !path.is_empty() => Ok(Self::new(&format!("--set {path}"), path, value)),
            _ => Err(Faults::one("--set", "", format!("\"{argument}\" found, KEY.PATH=VALUE expected"))),
        }
    }
}

/// Reads a profile: `name` is `lab`, the name of another one in the binary or under `profiles/`, or a path. `settings`
/// come on top, the last one wins.
pub fn load_profile(name: &str, settings: &[Setting]) -> Result<Profile, Faults> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let root = layers::read(name, settings, &mut sources, &mut faults);
    let profile = root.map(|root| {
        let mut profile = decode(&root, &mut faults);
        profile.origins = sources.origins();
        profile
    });
    faults.finish(&sources, profile)
}

fn decode(root: &Node, faults: &mut Collector) -> Profile {
    let mut f = Fields::new(root, Path::Root, faults);
    // Read already, by `layers`.
    f.get("extends");
    let mut profile = Profile::default();
    match f.leaf("realm", REALM, faults) {
        Some(realm) => profile.realm = realm,
        None if f.get("realm").is_none() => f.missing("realm", REALM.expected, faults),
        None => {}
    }
    set(&mut profile.wiring, f.leaf("wiring", WIRING, faults));
    set(&mut profile.hosts, f.entries("hosts", IP, faults).map(|hosts| hosts.into_iter().collect()));
    set(&mut profile.core_transport, f.leaf("core_transport", TRANSPORT, faults));
    if let Some(mut t) = f.fields("timers", faults) {
        timers("gm", &mut profile.gm_timers, &mut t, faults);
        timers("core", &mut profile.core_timers, &mut t, faults);
        t.finish(faults);
    }
    if let Some(mut d) = f.fields("diameter", faults) {
        let section = &mut profile.diameter;
        set(&mut section.watchdog, d.leaf("watchdog", WATCHDOG, faults));
        set(&mut section.reconnect, d.leaf("reconnect", DURATION, faults));
        set(&mut section.request_timeout, d.leaf("request_timeout", DURATION, faults));
        set(&mut section.accept_unknown_peers, d.leaf("accept_unknown_peers", FLAG, faults));
        d.finish(faults);
    }
    if let Some(s) = f.fields("pcscf", faults) {
        pcscf(&mut profile.pcscf, s, faults);
    }
    if let Some(s) = f.fields("icscf", faults) {
        icscf(&mut profile.icscf, s, faults);
    }
    if let Some(s) = f.fields("scscf", faults) {
        scscf(&mut profile.scscf, s, faults);
    }
    if let Some(s) = f.fields("hss", faults) {
        hss(&mut profile.hss, s, faults);
    }
    if let Some(s) = f.fields("ue", faults) {
        ue(&mut profile.ue, s, faults);
    }
    f.finish(faults);
    profile
}

fn pcscf(section: &mut PcscfSection, mut f: Fields<'_>, faults: &mut Collector) {
    listeners(&mut section.listen, &mut f, faults);
    set_some(&mut section.host, f.leaf("host", HOST, faults));
    set(&mut section.port_s, f.leaf("port_s", PORT, faults));
    set(&mut section.port_c, f.leaf("port_c", PORTS, faults));
    f.leaf("ipsec", PLANE, faults);
    set(&mut section.sec_agree, f.leaf("sec_agree", SEC_AGREE, faults));
    algorithms(&mut section.algorithms, &mut f, faults);
    set(&mut section.full_list_in_401, f.leaf("full_list_in_401", FLAG, faults));
    set(&mut section.next_hop, f.list("next_hop", HOST_PORT, faults));
    set_some(&mut section.core, f.leaf("core", LISTENER, faults));
    set_some(&mut section.visited_network, f.leaf("visited_network", TEXT, faults));
    set_some(&mut section.ioi, f.leaf("ioi", TEXT, faults));
    set_some(&mut section.many_ues_per_address, f.leaf("many_ues_per_address", FLAG, faults));
    set(&mut section.accept_challenge_without_keys, f.leaf("accept_challenge_without_keys", FLAG, faults));
    set(&mut section.strip_from_answers, f.list("strip_from_answers", TOKEN, faults));
    f.finish(faults);
}

fn icscf(section: &mut IcscfSection, mut f: Fields<'_>, faults: &mut Collector) {
    listeners(&mut section.listen, &mut f, faults);
    set_some(&mut section.host, f.leaf("host", HOST, faults));
    set(&mut section.hss, f.list("hss", HOST_PORT, faults));
    if let Some(items) = f.items("scscfs", faults) {
        let path = Path::Key(&f.path, "scscfs");
        let entry = |(i, item)| {
            let mut f = Fields::new(item, Path::Index(&path, i), faults);
            let name = f.leaf("name", SIP_URI, faults);
            if name.is_none() && f.get("name").is_none() {
                f.missing("name", SIP_URI.expected, faults);
            }
            let capabilities = f.list("capabilities", NUMBER, faults).unwrap_or_default();
            f.finish(faults);
            Some(ScscfEntry { name: name?, capabilities })
        };
        section.scscfs = items.iter().enumerate().filter_map(entry).collect();
    }
    set(&mut section.trusted, f.list("trusted", IP, faults));
    identity(&mut section.identity, &mut f, faults);
    f.finish(faults);
}

fn scscf(section: &mut ScscfSection, mut f: Fields<'_>, faults: &mut Collector) {
    set_some(&mut section.name, f.leaf("name", SIP_URI, faults));
    listeners(&mut section.listen, &mut f, faults);
    set(&mut section.hss, f.list("hss", HOST_PORT, faults));
    if let Some(mut e) = f.fields("expires", faults) {
        let given = e.get("default").is_some();
        set(&mut section.min_expires, e.leaf("min", DURATION, faults));
        set(&mut section.max_expires, e.leaf("max", DURATION, faults));
        set(&mut section.default_expires, e.leaf("default", DURATION, faults));
        if section.min_expires > section.max_expires {
            let at = e.get("max").or_else(|| e.get("min")).unwrap_or(e.node());
            let message = format!("{} found, a time not below expires.min expected", found(at, ""));
            faults.at(at, Path::Key(&e.path, "max"), message);
        } else if !given {
            section.default_expires = section.default_expires.clamp(section.min_expires, section.max_expires);
        }
        e.finish(faults);
    }
    set(&mut section.reg_await_auth, f.leaf("reg_await_auth", DURATION, faults));
    set(&mut section.challenge, f.leaf("challenge", CHALLENGE, faults));
    set(&mut section.aka_without_sa, f.leaf("aka_without_sa", ACCEPT, faults));
    if let Some(qop) = f.leaf("qop", TEXT, faults) {
        section.qop = (&*qop != "none").then_some(qop);
    }
    set(&mut section.scheme, f.leaf("scheme", TOKEN, faults));
    set(&mut section.akav2, f.leaf("akav2", FLAG, faults));
    set(&mut section.max_resyncs, f.leaf("max_resyncs", NUMBER, faults));
    set(&mut section.max_flows, f.leaf("max_flows", COUNT, faults));
    set_some(&mut section.ioi, f.leaf("ioi", TEXT, faults));
    set(&mut section.store_server_name, f.leaf("store_server_name", FLAG, faults));
    set(&mut section.extra_headers_in_200, f.entries("extra_headers_in_200", TEXT, faults));
    set(&mut section.trusted, f.list("trusted", IP, faults));
    identity(&mut section.identity, &mut f, faults);
    f.finish(faults);
}

fn hss(section: &mut HssSection, mut f: Fields<'_>, faults: &mut Collector) {
    set(&mut section.listen, f.leaf("listen", LISTENER, faults));
    set(&mut section.visited_networks, f.list("visited_networks", TEXT, faults));
    set(&mut section.capabilities, capabilities(&mut f, faults));
    set(&mut section.store_server_name, f.leaf("store_server_name", FLAG, faults));
    set(&mut section.sqn, f.leaf("sqn", SQN_SCHEME, faults));
    identity(&mut section.identity, &mut f, faults);
    f.finish(faults);
}

fn ue(section: &mut UeSection, mut f: Fields<'_>, faults: &mut Collector) {
    set(&mut section.address, f.leaf("address", LISTENER, faults));
    set(&mut section.port_c, f.leaf("port_c", PORT, faults));
    set(&mut section.port_s, f.leaf("port_s", PORT, faults));
    set(&mut section.port_c_pool, f.leaf("port_c_pool", PORT, faults));
    set(&mut section.transport, f.leaf("transport", TRANSPORT, faults));
    f.leaf("ipsec", PLANE, faults);
    set(&mut section.sec_agree, f.leaf("sec_agree", SEC_AGREE, faults));
    algorithms(&mut section.algorithms, &mut f, faults);
    set(&mut section.expires, f.leaf("expires", DURATION, faults));
    if let Some(mut r) = f.fields("retry", faults) {
        set(&mut section.retry.base, r.leaf("base", DURATION, faults));
        set(&mut section.retry.max, r.leaf("max", DURATION, faults));
        set_some(&mut section.retry.attempts, r.leaf("attempts", COUNT, faults));
        r.finish(faults);
    }
    set_some(&mut section.instance, f.leaf("instance", TEXT, faults));
    set(&mut section.features, f.leaf("features", TEXT, faults));
    set_some(&mut section.access_network, f.leaf("access_network", TEXT, faults));
    set(&mut section.user_agent, f.leaf("user_agent", TEXT, faults));
    set(&mut section.refresh, f.leaf("refresh", FLAG, faults));
    f.finish(faults);
}

fn timers(key: &'static str, timers: &mut Timers, parent: &mut Fields<'_>, faults: &mut Collector) {
    let Some(mut f) = parent.fields(key, faults) else { return };
    set(&mut timers.t1, f.leaf("t1", DURATION, faults));
    set(&mut timers.t2, f.leaf("t2", DURATION, faults));
    set(&mut timers.t4, f.leaf("t4", DURATION, faults));
    f.finish(faults);
}

fn listeners(slot: &mut Vec<SocketAddr>, f: &mut Fields<'_>, faults: &mut Collector) {
    let Some(list) = f.list("listen", LISTENER, faults) else { return };
    match f.get("listen") {
        Some(node) if matches!(&node.value, Value::List(items) if items.is_empty()) => {
            let message = format!("an empty list found, {} expected", LISTENER.expected);
            faults.at(node, Path::Key(&f.path, "listen"), message);
        }
        _ => *slot = list,
    }
}

fn identity(slot: &mut DiameterIdentity, f: &mut Fields<'_>, faults: &mut Collector) {
    set_some(&mut slot.origin_host, f.leaf("origin_host", HOST, faults));
    set_some(&mut slot.origin_realm, f.leaf("origin_realm", HOST, faults));
}

/// `capabilities: {mandatory: [1], optional: [2]}`, of the HSS and of a subscriber.
pub(super) fn capabilities(f: &mut Fields<'_>, faults: &mut Collector) -> Option<(Vec<u32>, Vec<u32>)> {
    let mut c = f.fields("capabilities", faults)?;
    let mandatory = c.list("mandatory", NUMBER, faults).unwrap_or_default();
    let optional = c.list("optional", NUMBER, faults).unwrap_or_default();
    c.finish(faults);
    Some((mandatory, optional))
}

/// `algorithms: [[alg, ealg], ..]`, or `alg/ealg` where a flag gives it.
fn algorithms(slot: &mut Vec<Algorithms>, f: &mut Fields<'_>, faults: &mut Collector) {
    let Some(node) = f.get("algorithms") else { return };
    let path = Path::Key(&f.path, "algorithms");
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut pairs = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let path = Path::Index(&path, i);
        let pair = match &item.value {
            Value::List(pair) => match pair.as_slice() {
                [integrity, encryption] => {
                    let integrity = super::read::leaf(integrity, Path::Index(&path, 0), INTEGRITY, faults);
                    let encryption = super::read::leaf(encryption, Path::Index(&path, 1), ENCRYPTION, faults);
                    let (Some(integrity), Some(encryption)) = (integrity, encryption) else { continue };
                    Some(Algorithms { integrity, encryption }).filter(|pair| pair.is_valid())
                }
                _ => None,
            },
            Value::Text(text) => (ALGORITHMS.read)(text),
            _ => None,
        };
        match pair {
            Some(pair) => pairs.push(pair),
            None => faults.at(item, path, format!("{} found, {} expected", pair_found(item), ALGORITHMS.expected)),
        }
    }
    if items.is_empty() {
        faults.at(node, path, format!("an empty list found, {} expected", ALGORITHMS.expected));
    }
    *slot = pairs;
}

fn pair_found(node: &Node) -> String {
    let Value::List(items) = &node.value else { return found(node, "") };
    let words: Vec<String> = items
        .iter()
        .map(|n| if let Value::Text(t) = &n.value { (**t).to_owned() } else { "null".to_owned() })
        .collect();
    format!("[{}]", words.join(", "))
}

pub(super) fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

pub(super) fn set_some<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

/// 3GPP's defaults where there are any; listeners and ports are those of the lab, all on loopback.
impl Default for Profile {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            realm: "".into(),
            wiring: Wiring::Local,
            hosts: BTreeMap::new(),
            core_transport: Transport::Tcp,
            gm_timers: Timers::GM,
            core_timers: Timers::CORE,
            diameter: DiameterSection {
                // RFC 3539 clause 3.4.1 and RFC 6733 clause 12.
                watchdog: Duration::from_secs(30),
                reconnect: Duration::from_secs(30),
                request_timeout: Duration::from_secs(5),
                accept_unknown_peers: false,
            },
            pcscf: PcscfSection {
                listen: vec![loopback(5060)],
                host: None,
                port_s: 6100,
                port_c: 5100..=5163,
                sec_agree: SecAgreePolicy::Required,
                algorithms: default_algorithms(),
                full_list_in_401: true,
                next_hop: Vec::new(),
                core: None,
                visited_network: None,
                ioi: None,
                many_ues_per_address: None,
                accept_challenge_without_keys: false,
                strip_from_answers: Vec::new(),
            },
            icscf: IcscfSection {
                listen: vec![loopback(4060)],
                host: None,
                hss: Vec::new(),
                scscfs: Vec::new(),
                trusted: Vec::new(),
                identity: DiameterIdentity::default(),
            },
            scscf: ScscfSection {
                name: None,
                listen: vec![loopback(6060)],
                hss: Vec::new(),
                min_expires: Duration::from_secs(60),
                max_expires: Duration::from_secs(600_000),
                default_expires: Duration::from_secs(600_000),
                // TS 24.229 table 7.8.1.
                reg_await_auth: Duration::from_secs(240),
                challenge: ChallengePolicy::Always,
                aka_without_sa: false,
                qop: Some("auth".into()),
                scheme: "Digest-AKAv1-MD5".into(),
                akav2: false,
                max_resyncs: 2,
                max_flows: 8,
                ioi: None,
                store_server_name: false,
                extra_headers_in_200: Vec::new(),
                trusted: Vec::new(),
                identity: DiameterIdentity::default(),
            },
            hss: HssSection {
                listen: loopback(3868),
                visited_networks: Vec::new(),
                capabilities: (Vec::new(), Vec::new()),
                store_server_name: true,
                sqn: SqnScheme::Counter,
                identity: DiameterIdentity::default(),
            },
            ue: UeSection {
                address: loopback(20_000),
                port_c: 31_000,
                port_s: 31_001,
                port_c_pool: 64,
                transport: Transport::Udp,
                sec_agree: SecAgreePolicy::Required,
                algorithms: default_algorithms(),
                expires: Duration::from_secs(600_000),
                // TS 24.229 clause 5.1.1.2.1: base 30 s, maximum 1800 s where the network sets nothing.
                retry: RetryPolicy { base: Duration::from_secs(30), max: Duration::from_secs(1_800), attempts: None },
                instance: Some("urn:gsma:imei:35000000-000000-0".into()),
                features: ";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";+g.3gpp.smsip;audio".into(),
                access_network: Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101".into()),
                user_agent: concat!("imsreg/", env!("CARGO_PKG_VERSION")).into(),
                refresh: true,
            },
        }
    }
}

/// The suites that handsets share (md5 with null is all that some can do), the strongest first.
fn default_algorithms() -> Vec<Algorithms> {
    let pair = |integrity, encryption| Algorithms { integrity, encryption };
    vec![
        pair(Integrity::HmacSha1, Encryption::AesCbc),
        pair(Integrity::HmacSha1, Encryption::Null),
        pair(Integrity::HmacMd5, Encryption::AesCbc),
        pair(Integrity::HmacMd5, Encryption::Null),
    ]
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
