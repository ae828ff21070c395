//! What holds where a profile says nothing.

use super::{
    ApplicationServerSection, DiameterIdentity, DiameterSection, HssSection, IcscfSection, PcscfSection, PlaneChoice,
    Profile, ScscfSection, SecurityMechanism, UeSection,
};
use crate::application_server::Behaviour;
use crate::hss::SqnScheme;
use crate::ims::Wiring;
use crate::ipsec::association::{Algorithms, Encryption, Integrity, Mod};
use crate::ipsec::esp;
use crate::packet::Transport;
use crate::pcscf::SecAgreePolicy;
use crate::scscf::{ChallengePolicy, DigestConfig, SarAtRefresh};
use crate::sip::overload::Limits;
use crate::sip::transaction::Timers;
use crate::time::Duration;
use crate::ue::{InvitePolicy, KeepAlivePolicy, RetryPolicy};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
            limits: Limits::default(),
            diameter: DiameterSection {
                // RFC 3539 clause 3.4.1 and RFC 6733 clause 12.
                watchdog: Duration::from_secs(30),
                reconnect: Duration::from_secs(30),
                request_timeout: Duration::from_secs(5),
                accept_unknown_peers: false,
                transports: vec![Transport::Tcp],
            },
            pcscf: PcscfSection {
                listen: vec![loopback(5060)],
                host: None,
                port_s: 6100,
                port_c: 5100..=5163,
                ipsec: PlaneChoice::None,
                esp_port: esp::PORT,
                tls: None,
                mechanisms: vec![SecurityMechanism::Ipsec3gpp, SecurityMechanism::Tls],
                sec_agree: SecAgreePolicy::Required,
                nat: None,
                algorithms: default_algorithms(),
                q: Vec::new(),
                full_list_in_401: true,
                next_hop: Vec::new(),
                core: None,
                visited_network: None,
                ioi: None,
                many_ues_per_address: None,
                accept_challenge_without_keys: false,
                trusted: Vec::new(),
                outbound: true,
                keep_alive: None,
                subscribe: true,
                options_interval: None,
                lines: BTreeMap::new(),
                strip_from_answers: Vec::new(),
                forms: BTreeMap::new(),
            },
            icscf: IcscfSection {
                listen: vec![loopback(4060)],
                host: None,
                hss: Vec::new(),
                diameter_listen: None,
                scscfs: Vec::new(),
                trusted: Vec::new(),
                identity: DiameterIdentity::default(),
            },
            scscf: ScscfSection {
                name: None,
                listen: vec![loopback(6060)],
                hss: Vec::new(),
                icscf: None,
                diameter_listen: None,
                min_expires: Duration::from_secs(60),
                max_expires: Duration::from_secs(600_000),
                default_expires: Duration::from_secs(600_000),
                max_subscription: None,
                // TS 24.229 table 7.8.1.
                reg_await_auth: Duration::from_secs(240),
                challenge: ChallengePolicy::Always,
                sar_at_refresh: SarAtRefresh::Always,
                aka_without_sa: false,
                qop: Some("auth".into()),
                scheme: "Digest-AKAv1-MD5".into(),
                akav2: false,
                max_resyncs: 2,
                max_flows: 8,
                ioi: None,
                store_server_name: false,
                restoration: false,
                shared_ifc_sets: Default::default(),
                digest: DigestConfig::default(),
                extra_headers_in_200: Vec::new(),
                trusted: Vec::new(),
                identity: DiameterIdentity::default(),
            },
            hss: HssSection {
                listen: loopback(3868),
                peers: Vec::new(),
                visited_networks: Vec::new(),
                capabilities: (Vec::new(), Vec::new()),
                store_server_name: true,
                sqn: SqnScheme::Counter,
                identity: DiameterIdentity::default(),
            },
            application_server: ApplicationServerSection {
                name: None,
                listen: vec![loopback(5090)],
                register: Behaviour::ACCEPT,
                requests: Behaviour::ACCEPT,
                subscribe: true,
            },
            ue: UeSection {
                address: loopback(20_000),
                port_c: None,
                port_s: None,
                port_c_pool: 64,
                transport: Transport::Udp,
                ipsec: PlaneChoice::None,
                esp_port: esp::PORT,
                sec_agree: SecAgreePolicy::Required,
                algorithms: default_algorithms(),
                modes: vec![Mod::Trans],
                expires: Duration::from_secs(600_000),
                // TS 24.229 clause 5.1.1.2.1: base 30 s, maximum 1800 s where the network sets nothing.
                retry: RetryPolicy { base: Duration::from_secs(30), max: Duration::from_secs(1_800), attempts: None },
                instance: Some("urn:gsma:imei:35000000-000000-0".into()),
                contact_user: None,
                contact_parameters: "".into(),
                features: ";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\";+g.3gpp.smsip;audio".into(),
                access_network: Some("3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101".into()),
                user_agent: concat!("imsreg/", env!("CARGO_PKG_VERSION")).into(),
                invite: InvitePolicy::default(),
                keep_alive: KeepAlivePolicy::Off,
                refresh: true,
                subscribe: true,
                reg_id: None,
                second_flow: None,
                gruu: false,
                emergency: false,
                forms: None,
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
