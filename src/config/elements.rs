//! From a profile to the configuration of each element: what the file leaves out is derived here.

use super::fault::Faults;
use super::profile::{DiameterIdentity, HostPort, Peer, PlaneChoice, Profile, SecurityMechanism};
use super::ue::Subscription;
use super::value::uri_host;
use crate::application_server::ApplicationServerConfig;
use crate::diameter::peer::{NodeConfig, PeerConfig, Side};
use crate::event::Role;
use crate::hss::HssConfig;
use crate::icscf::{IcscfConfig, ScscfEntry};
use crate::packet::Transport;
use crate::pcscf::{NatPolicy, PcscfConfig, SecAgreePolicy, TlsAccess, TlsRank};
use crate::scscf::ScscfConfig;
use crate::time::Epoch;
use crate::ue::UeConfig;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A set of elements: those of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Elements {
    pub pcscf: bool,
    pub icscf: bool,
    pub scscf: bool,
    pub hss: bool,
    pub application_server: bool,
}

impl Elements {
    /// All that a registration needs: no application server.
    pub const ALL: Self = Self { pcscf: true, icscf: true, scscf: true, hss: true, application_server: false };
    const NONE: Self = Self { pcscf: false, icscf: false, scscf: false, hss: false, application_server: false };

    /// Their roles.
    pub fn roles(self) -> Vec<Role> {
        let Self { pcscf, icscf, scscf, hss, application_server } = self;
        let all = [
            (pcscf, Role::Pcscf),
            (icscf, Role::Icscf),
            (scscf, Role::Scscf),
            (hss, Role::Hss),
            (application_server, Role::ApplicationServer),
        ];
        all.into_iter().filter(|(here, _)| *here).map(|(_, role)| role).collect()
    }
}

impl std::str::FromStr for Elements {
    type Err = String;

    /// Reads `pcscf,icscf`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut elements = Self::NONE;
        for name in text.split(',') {
            match name.trim() {
                "pcscf" => elements.pcscf = true,
                "icscf" => elements.icscf = true,
                "scscf" => elements.scscf = true,
                "hss" => elements.hss = true,
                "as" => elements.application_server = true,
                _ => return Err(format!("\"{name}\" found, pcscf, icscf, scscf, hss or as expected")),
            }
        }
        Ok(elements)
    }
}

impl Profile {
    /// The P-CSCF. `local` are the elements of this process.
    pub fn pcscf(&self, local: Elements) -> Result<PcscfConfig, Faults> {
        let section = &self.pcscf;
        let next_hops = match section.next_hop.as_slice() {
            [] if local.icscf => self.icscf.listen.clone(),
            [] => vec![self.neighbour("pcscf.next_hop", "I-CSCF", &self.icscf_host(), self.icscf.listen[0].port())?],
            hops => self.resolve_all("pcscf.next_hop", hops)?,
        };
        let same_family = |a: &&SocketAddr| a.is_ipv4() == next_hops[0].is_ipv4();
        let core = section.core.or_else(|| section.listen.iter().find(same_family).copied());
        let all_loopback = section.listen.iter().all(|a| a.ip().is_loopback());
        Ok(PcscfConfig {
            listen: section.listen.clone(),
            host: self.pcscf_host(),
            port_s: section.port_s,
            port_c: section.port_c.clone(),
            tls: section.tls.as_ref().map(|tls| TlsAccess { listen: tls.listen, rank: rank(&section.mechanisms) }),
            sec_agree: section.sec_agree,
            nat: section.nat.unwrap_or(match section.ipsec {
                PlaneChoice::None => NatPolicy::Offered,
                _ => NatPolicy::Required,
            }),
            carries_tunnels: section.ipsec != PlaneChoice::Kernel,
            algorithms: match section.mechanisms.contains(&SecurityMechanism::Ipsec3gpp) {
                true => section.algorithms.clone(),
                false => Vec::new(),
            },
            q: section.q.clone(),
            full_list_in_401: section.full_list_in_401,
            core: core.unwrap_or(section.listen[0]),
            next_hops,
            core_transport: self.core_transport,
            gm_timers: self.gm_timers,
            core_timers: self.core_timers,
            visited_network: section.visited_network.clone().unwrap_or_else(|| self.realm.clone()),
            ioi: section.ioi.clone().unwrap_or_else(|| self.realm.clone()),
            many_ues_per_address: section.many_ues_per_address.unwrap_or(all_loopback),
            accept_challenge_without_keys: section.accept_challenge_without_keys,
            hosts: self.hosts_with(local),
            trusted: section.trusted.clone(),
            outbound: section.outbound,
            keep_alive: section.keep_alive,
            options_interval: section.options_interval,
            lines: section.lines.clone(),
            subscribe: section.subscribe,
            limits: self.limits,
            strip_from_answers: section.strip_from_answers.clone(),
            forms: section.forms.clone(),
        })
    }

    /// The I-CSCF.
    pub fn icscf(&self, local: Elements, epoch: Epoch) -> Result<IcscfConfig, Faults> {
        let section = &self.icscf;
        let hosts = self.hosts_with(local);
        let scscfs = match section.scscfs.as_slice() {
            [] => vec![ScscfEntry { name: self.scscf_name(), capabilities: Vec::new() }],
            given => given.to_vec(),
        };
        for entry in &scscfs {
            let host = uri_host(&entry.name).map_or("", |(host, _)| host);
            if host.parse::<IpAddr>().is_err() && !hosts.contains_key(host) {
                return Err(self.fault(
                    &format!("hosts.{host}"),
                    format!("missing, the address of the S-CSCF {} expected", entry.name),
                ));
            }
        }
        Ok(IcscfConfig {
            listen: section.listen.clone(),
            host: self.icscf_host(),
            transport: self.core_transport,
            timers: self.core_timers,
            diameter: self.node(
                "icscf",
                &section.identity,
                section.listen[0].ip(),
                section.diameter_listen,
                self.hss_peers("icscf.hss", &section.hss, local)?,
                epoch,
            ),
            realm: self.realm.clone(),
            scscfs,
            limits: self.limits,
            hosts,
            trusted: section.trusted.clone(),
        })
    }

    /// The S-CSCF.
    pub fn scscf(&self, local: Elements, epoch: Epoch) -> Result<ScscfConfig, Faults> {
        let section = &self.scscf;
        let icscf = match &section.icscf {
            Some(given) => self.resolve_all("scscf.icscf", std::slice::from_ref(given))?.pop(),
            None if local.icscf => self.icscf.listen.first().copied(),
            None => self.hosts.get(&self.icscf_host()).map(|ip| SocketAddr::new(*ip, self.icscf.listen[0].port())),
        };
        Ok(ScscfConfig {
            icscf,
            name: self.scscf_name(),
            listen: section.listen.clone(),
            transport: self.core_transport,
            timers: self.core_timers,
            diameter: self.node(
                "scscf",
                &section.identity,
                section.listen[0].ip(),
                section.diameter_listen,
                self.hss_peers("scscf.hss", &section.hss, local)?,
                epoch,
            ),
            realm: self.realm.clone(),
            min_expires: section.min_expires,
            max_expires: section.max_expires,
            default_expires: section.default_expires,
            max_subscription: section.max_subscription,
            reg_await_auth: section.reg_await_auth,
            challenge: section.challenge,
            sar_at_refresh: section.sar_at_refresh,
            aka_without_sa: section.aka_without_sa,
            qop: section.qop.clone(),
            scheme: section.scheme.clone(),
            akav2: section.akav2,
            max_resyncs: section.max_resyncs,
            max_flows: usize::try_from(section.max_flows).unwrap_or(usize::MAX),
            ioi: section.ioi.clone().unwrap_or_else(|| self.realm.clone()),
            store_server_name: section.store_server_name,
            restoration: section.restoration,
            shared_ifc_sets: section.shared_ifc_sets.clone(),
            limits: self.limits,
            hosts: self.hosts_with(local),
            digest: section.digest.clone(),
            extra_headers_in_200: section.extra_headers_in_200.clone(),
            trusted: section.trusted.clone(),
        })
    }

    /// The HSS.
    pub fn hss(&self, epoch: Epoch) -> Result<HssConfig, Faults> {
        let section = &self.hss;
        Ok(HssConfig {
            diameter: self.node(
                "hss",
                &section.identity,
                section.listen.ip(),
                Some(section.listen),
                self.peers("hss.peers", &section.peers)?,
                epoch,
            ),
            realm: self.realm.clone(),
            visited_networks: section.visited_networks.clone(),
            capabilities: section.capabilities.clone(),
            store_server_name: section.store_server_name,
            sqn: section.sqn,
        })
    }

    /// The application server.
    pub fn application_server(&self, local: Elements) -> ApplicationServerConfig {
        let section = &self.application_server;
        ApplicationServerConfig {
            name: self.application_server_name(),
            listen: section.listen.clone(),
            transport: self.core_transport,
            timers: self.core_timers,
            hosts: self.hosts_with(local),
            register: section.register,
            requests: section.requests,
            subscribe: section.subscribe,
        }
    }

    /// Where a UE of this profile finds the P-CSCF of this profile.
    pub fn pcscf_for_ue(&self) -> SocketAddr {
        let tls = self.pcscf.tls.as_ref().filter(|_| self.ue.transport == Transport::Tls);
        tls.map_or(self.pcscf.listen[0], |tls| tls.listen)
    }

    /// Why a UE of this profile cannot be this subscription, if so.
    pub fn ue_fault(&self, subscription: &Subscription) -> Option<&'static str> {
        let (tls, agrees) = (self.ue.transport == Transport::Tls, self.ue.sec_agree != SecAgreePolicy::Off);
        // TS 33.203 annex O.1: TLS goes with SIP digest.
        (tls && agrees && subscription.usim.is_some()).then_some(
            "a USIM agrees on ipsec-3gpp, which is over udp or tcp: --transport udp, tcp, or --sec-agree off; TLS is agreed \
             with a password (--password)",
        )
    }

    /// A simulated UE with the habits of this profile. `local` is its unprotected address.
    pub fn ue(&self, subscription: &Subscription, pcscf: SocketAddr, local: SocketAddr, epoch: Epoch) -> UeConfig {
        let section = &self.ue;
        UeConfig {
            impi: subscription.impi.clone(),
            impu: subscription.impu.clone(),
            realm: subscription.realm.clone(),
            usim: subscription.usim.clone(),
            login: subscription.login.clone(),
            pcscf,
            local,
            protected_ports: (section.port_c.unwrap_or(UE_PORT_C), section.port_s.unwrap_or(UE_PORT_S)),
            port_c_pool: section.port_c_pool,
            transport: section.transport,
            sec_agree: section.sec_agree,
            algorithms: section.algorithms.clone(),
            modes: section.modes.clone(),
            expires: section.expires,
            timers: self.gm_timers,
            retry: section.retry,
            instance: section.instance.clone(),
            contact_user: section.contact_user.clone(),
            contact_parameters: section.contact_parameters.clone(),
            features: section.features.clone(),
            access_network: section.access_network.clone(),
            user_agent: section.user_agent.clone(),
            invite: section.invite,
            keep_alive: section.keep_alive,
            refresh: section.refresh,
            subscribe: section.subscribe,
            reg_id: section.reg_id,
            second_flow: section.second_flow,
            gruu: section.gruu,
            emergency: section.emergency,
            forms: section.forms.clone(),
            epoch,
        }
    }

    pub(crate) fn pcscf_host(&self) -> Box<str> {
        self.pcscf.host.clone().unwrap_or_else(|| format!("pcscf.{}", self.realm).into())
    }

    fn icscf_host(&self) -> Box<str> {
        self.icscf.host.clone().unwrap_or_else(|| format!("icscf.{}", self.realm).into())
    }

    fn hss_host(&self) -> Box<str> {
        self.hss.identity.origin_host.clone().unwrap_or_else(|| format!("hss.{}", self.realm).into())
    }

    /// The name of the S-CSCF, whether it is in this process or not.
    pub fn scscf_name(&self) -> Box<str> {
        let derived = || format!("sip:scscf.{}:{}", self.realm, self.scscf.listen[0].port()).into();
        self.scscf.name.clone().unwrap_or_else(derived)
    }

    fn application_server_name(&self) -> Box<str> {
        let section = &self.application_server;
        let derived = || format!("sip:as.{}:{}", self.realm, section.listen[0].port()).into();
        section.name.clone().unwrap_or_else(derived)
    }

    /// `hosts`, and the elements of this process under their own names: where they listen counts, for the P-CSCF
    /// towards the core, not what `hosts` says.
    fn hosts_with(&self, local: Elements) -> BTreeMap<Box<str>, IpAddr> {
        let mut hosts = self.hosts.clone();
        let scscf_name = self.scscf_name();
        let scscf_host: Box<str> = uri_host(&scscf_name).map_or("", |(host, _)| host).into();
        let as_name = self.application_server_name();
        let as_host: Box<str> = uri_host(&as_name).map_or("", |(host, _)| host).into();
        let own = [
            (local.application_server, as_host, self.application_server.listen[0].ip()),
            (local.pcscf, self.pcscf_host(), self.pcscf.core.unwrap_or(self.pcscf.listen[0]).ip()),
            (local.icscf, self.icscf_host(), self.icscf.listen[0].ip()),
            (local.scscf, scscf_host, self.scscf.listen[0].ip()),
        ];
        for (_, host, ip) in own.into_iter().filter(|(here, host, _)| *here && !host.is_empty()) {
            hosts.insert(host, ip);
        }
        hosts
    }

    fn node(
        &self,
        role: &str,
        identity: &DiameterIdentity,
        address: IpAddr,
        listen: Option<SocketAddr>,
        peers: Vec<PeerConfig>,
        epoch: Epoch,
    ) -> NodeConfig {
        NodeConfig {
            origin_host: identity.origin_host.clone().unwrap_or_else(|| format!("{role}.{}", self.realm).into()),
            origin_realm: identity.origin_realm.clone().unwrap_or_else(|| self.realm.clone()),
            address,
            listen,
            transports: self.diameter.transports.clone(),
            peers,
            watchdog: self.diameter.watchdog,
            reconnect: self.diameter.reconnect,
            request_timeout: self.diameter.request_timeout,
            accept_unknown_peers: self.diameter.accept_unknown_peers,
            epoch,
        }
    }

    fn hss_peers(&self, key: &str, given: &[Peer], local: Elements) -> Result<Vec<PeerConfig>, Faults> {
        let opening = |address| {
            let transport = self.diameter.transports.first().copied().unwrap_or(Transport::Tcp);
            vec![PeerConfig { address, transport, side: Side::Opening }]
        };
        match given {
            [] if local.hss => Ok(opening(self.hss.listen)),
            [] => Ok(opening(self.neighbour(key, "HSS", &self.hss_host(), self.hss.listen.port())?)),
            given => self.peers(key, given),
        }
    }

    fn peers(&self, key: &str, given: &[Peer]) -> Result<Vec<PeerConfig>, Faults> {
        let resolve = |peer: &Peer| {
            let address = self.resolve(key, &peer.at)?;
            Ok(PeerConfig { address, transport: peer.transport, side: peer.side })
        };
        given.iter().map(resolve).collect()
    }

    /// A neighbour that is not in this process: it must be in `hosts` under its name.
    fn neighbour(&self, key: &str, role: &str, host: &str, port: u16) -> Result<SocketAddr, Faults> {
        let missing = || {
            self.fault(
                key,
                format!(
                    "missing, ADDR:PORT of the {role} expected, because it is not in this process and hosts.{host} is \
                     not given"
                ),
            )
        };
        let ip = host.parse().ok().or_else(|| self.hosts.get(host).copied()).ok_or_else(missing)?;
        Ok(SocketAddr::new(ip, port))
    }

    fn resolve_all(&self, key: &str, given: &[HostPort]) -> Result<Vec<SocketAddr>, Faults> {
        given.iter().map(|at| self.resolve(key, at)).collect()
    }

    fn resolve(&self, key: &str, (host, port): &HostPort) -> Result<SocketAddr, Faults> {
        match host.parse().ok().or_else(|| self.hosts.get(host).copied()) {
            Some(ip) => Ok(SocketAddr::new(ip, *port)),
            None => Err(self.fault(&format!("hosts.{host}"), format!("missing, an address for {key} expected"))),
        }
    }

    fn fault(&self, key: &str, message: String) -> Faults {
        let source = self.origins.first().map_or_else(|| "profile".to_owned(), |origin| origin.path.clone());
        Faults::one(source, key, message)
    }
}

/// Where TLS stands among the mechanisms.
fn rank(mechanisms: &[SecurityMechanism]) -> TlsRank {
    let place = |wanted| mechanisms.iter().position(|m| *m == wanted);
    match (place(SecurityMechanism::Tls), place(SecurityMechanism::Ipsec3gpp)) {
        (None, _) => TlsRank::NotAgreed,
        (Some(tls), Some(ipsec)) if ipsec < tls => TlsRank::AfterIpsec,
        (Some(_), _) => TlsRank::Preferred,
    }
}

/// port_uc and port_us of a simulated UE.
const UE_PORT_C: u16 = 31_000;
const UE_PORT_S: u16 = 31_001;
