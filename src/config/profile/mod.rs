//! A network profile.

mod decode;
mod default;
mod forms;
mod plane;

pub(super) use decode::capabilities;
pub use plane::PlaneChoice;

use super::fault::{Collector, Faults};
use super::source::Sources;
use super::{Origin, TlsSection, layers};
use crate::application_server::Behaviour;
use crate::cx::user_data::InitialFilterCriteria;
use crate::diameter::peer::Side;
use crate::hss::SqnScheme;
use crate::icscf::ScscfEntry;
use crate::ims::Wiring;
use crate::ipsec::association::{Algorithms, Mod};
use crate::packet::Transport;
use crate::pcscf::{NatPolicy, SecAgreePolicy};
use crate::scscf::{ChallengePolicy, DigestConfig, SarAtRefresh};
use crate::sip::form::Form;
use crate::sip::overload::Limits;
use crate::sip::transaction::Timers;
use crate::time::Duration;
use crate::ue::{InvitePolicy, KeepAlivePolicy, RequestForms, RetryPolicy};
use decode::decode;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// A whole profile. `None` stands for "derived", see `elements`.
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
    /// `limits`: of each CSCF.
    pub limits: Limits,
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
    /// `as`: the built-in application server.
    pub application_server: ApplicationServerSection,
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
    /// `transports`: what is listened for; the first is also that of the HSS of this profile where no peer is named.
    pub transports: Vec<Transport>,
}

/// A Diameter peer: `hss.example.org:3868;transport=sctp;side=waiting`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Host and port.
    pub at: HostPort,
    /// `transport`, else TCP.
    pub transport: Transport,
    /// `side`, else opening.
    pub side: Side,
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
    /// `ipsec`
    pub ipsec: PlaneChoice,
    /// `esp_port`: UDP port of ESP under plane `unprivileged`.
    pub esp_port: u16,
    /// `tls`; else nobody is served over TLS.
    pub tls: Option<TlsSection>,
    /// `mechanisms`: what security agreements are made on, the preferred first.
    pub mechanisms: Vec<SecurityMechanism>,
    /// `sec_agree`
    pub sec_agree: SecAgreePolicy,
    /// `nat`; else offered under plane `none`, required under others.
    pub nat: Option<NatPolicy>,
    /// `algorithms`
    pub algorithms: Vec<Algorithms>,
    /// `q`: of each of `algorithms`, in thousandths.
    pub q: Vec<u16>,
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
    /// `trusted`
    pub trusted: Vec<IpAddr>,
    /// `outbound`
    pub outbound: bool,
    /// `keep_alive`
    pub keep_alive: Option<Duration>,
    /// `subscribe`
    pub subscribe: bool,
    /// `options_interval`
    pub options_interval: Option<Duration>,
    /// `lines`
    pub lines: BTreeMap<IpAddr, Box<str>>,
    /// `strip_from_answers`
    pub strip_from_answers: Vec<Box<str>>,
    /// `forms`: of answers to REGISTER, by status.
    pub forms: BTreeMap<u16, Form>,
}

/// A mechanism of RFC 3329.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityMechanism {
    /// `ipsec-3gpp`
    Ipsec3gpp,
    /// `tls`, which counts where there is a listener for it.
    Tls,
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
    pub hss: Vec<Peer>,
    /// `diameter_listen`: where an HSS that we wait for connects to.
    pub diameter_listen: Option<SocketAddr>,
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
    pub hss: Vec<Peer>,
    /// `icscf`; else the I-CSCF of this process, or `icscf.<realm>` in `hosts`.
    pub icscf: Option<HostPort>,
    /// `diameter_listen`, as for the I-CSCF.
    pub diameter_listen: Option<SocketAddr>,
    /// `expires.min`
    pub min_expires: Duration,
    /// `expires.max`
    pub max_expires: Duration,
    /// `max_subscription`
    pub max_subscription: Option<Duration>,
    /// `expires.default`
    pub default_expires: Duration,
    /// `reg_await_auth`
    pub reg_await_auth: Duration,
    /// `challenge`
    pub challenge: ChallengePolicy,
    /// `sar_at_refresh`
    pub sar_at_refresh: SarAtRefresh,
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
    /// `restoration`
    pub restoration: bool,
    /// `shared_ifc_sets`, by SharedIFCSetID.
    pub shared_ifc_sets: BTreeMap<u32, Vec<InitialFilterCriteria>>,
    /// `digest`
    pub digest: DigestConfig,
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
    /// `peers`: CSCFs that this HSS connects to; others connect to it.
    pub peers: Vec<Peer>,
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

/// `as`
#[derive(Clone, Debug)]
pub struct ApplicationServerSection {
    /// `name`; else `sip:as.<realm>:<port of the first listener>`.
    pub name: Option<Box<str>>,
    /// `listen`
    pub listen: Vec<SocketAddr>,
    /// `register` and `register_delay`
    pub register: Behaviour,
    /// `requests` and `requests_delay`
    pub requests: Behaviour,
    /// `subscribe`
    pub subscribe: bool,
}

/// `ue`
#[derive(Clone, Debug)]
pub struct UeSection {
    /// `address`: the first UE's unprotected address; the port counts up with each further one.
    pub address: SocketAddr,
    /// `port_c`: the first port_uc; else 31000, for `register` any that is free.
    pub port_c: Option<u16>,
    /// `port_s`: port_us; else 31001, for `register` any that is free.
    pub port_s: Option<u16>,
    /// `port_c_pool`
    pub port_c_pool: u16,
    /// `transport`
    pub transport: Transport,
    /// `ipsec`
    pub ipsec: PlaneChoice,
    /// `esp_port`: that of the P-CSCF, under plane `unprivileged`.
    pub esp_port: u16,
    /// `sec_agree`
    pub sec_agree: SecAgreePolicy,
    /// `algorithms`
    pub algorithms: Vec<Algorithms>,
    /// `modes`
    pub modes: Vec<Mod>,
    /// `expires`
    pub expires: Duration,
    /// `retry`
    pub retry: RetryPolicy,
    /// `instance`
    pub instance: Option<Box<str>>,
    /// `contact_user`
    pub contact_user: Option<Box<str>>,
    /// `contact_parameters`
    pub contact_parameters: Box<str>,
    /// `features`
    pub features: Box<str>,
    /// `access_network`
    pub access_network: Option<Box<str>>,
    /// `user_agent`
    pub user_agent: Box<str>,
    /// `invite`
    pub invite: InvitePolicy,
    /// `keep_alive`
    pub keep_alive: KeepAlivePolicy,
    /// `refresh`
    pub refresh: bool,
    /// `subscribe`
    pub subscribe: bool,
    /// `reg_id`
    pub reg_id: Option<u32>,
    /// `second_flow`
    pub second_flow: Option<SocketAddr>,
    /// `gruu`
    pub gruu: bool,
    /// `emergency`
    pub emergency: bool,
    /// `forms`: of its requests.
    pub forms: Option<Box<RequestForms>>,
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
    load_device(name, None, settings)
}

/// The same with the habits of a device: a name of `profiles/ue/`, or a path to a file with `ue` and `timers` only.
pub fn load_device(name: &str, device: Option<&str>, settings: &[Setting]) -> Result<Profile, Faults> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let root = layers::read(name, device, settings, &mut sources, &mut faults);
    let profile = root.map(|root| {
        let mut profile = decode(&root, &mut faults);
        profile.origins = sources.origins();
        profile
    });
    faults.finish(&sources, profile)
}
