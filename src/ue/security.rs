//! The UE's side of the security agreement: SPIs, ports, offers, sets (TS 33.203 clauses 7.1 and 7.4).

use super::UeConfig;
use super::failure::Failure;
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Endpoint, Mod, PortPair, SaId, SaSetId};
use crate::ipsec::negotiate;
use crate::packet::{Route, Transport};
use crate::random::Random;
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::net::{IpAddr, SocketAddr};

/// What one Security-Client says.
#[derive(Clone, Debug)]
pub(super) enum Proposal {
    /// ipsec-3gpp.
    Sas {
        /// SPIs and ports, the same in every element.
        endpoint: Endpoint,
        /// The header value.
        text: Box<str>,
    },
    /// TLS.
    Tls,
}

impl Proposal {
    /// The header value.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Sas { text, .. } => text,
            Self::Tls => "tls",
        }
    }
}

/// A set of SAs as the UE remembers it, without keys.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// Its name.
    pub(super) id: SaSetId,
    /// Our SPIs and ports.
    pub(super) ue: Endpoint,
    /// Those of the P-CSCF.
    pub(super) pcscf: Endpoint,
    /// How ESP goes over IP.
    pub(super) mode: Mod,
    /// Our address as the network sees it, where a NAT is between.
    pub(super) public: Option<IpAddr>,
    /// Security-Server as received: what Security-Verify mirrors.
    pub(super) verify: Box<str>,
    /// The set is removed then.
    pub(super) ends_at: Instant,
}

impl Set {
    /// The way of our requests and, over UDP, of our responses: port_uc to port_ps, SA 1.
    pub(super) fn route(&self, transport: Transport, ue: IpAddr, pcscf: IpAddr) -> Route {
        let from = SocketAddr::new(ue, self.ue.port_c);
        let to = SocketAddr::new(pcscf, self.pcscf.port_s);
        Route::sip(transport, from, to).protected(SaId { set: self.id, pair: PortPair::UcPs })
    }

    /// What Via and Contact name: port_us of the address that the network sees (TS 24.229 clauses 5.1.1.2.2 and
    /// F.2.1.2.2).
    pub(super) fn reachable(&self, local: IpAddr) -> SocketAddr {
        SocketAddr::new(self.public.unwrap_or(local), self.ue.port_s)
    }
}

/// What a Security-Server offers us.
#[derive(Debug)]
pub(super) struct Agreement {
    /// The pair both sides use.
    pub(super) algorithms: Algorithms,
    /// How ESP goes over IP.
    pub(super) mode: Mod,
    /// SPIs and ports of the P-CSCF.
    pub(super) pcscf: Endpoint,
    /// The header as received.
    pub(super) verify: Box<str>,
}

impl Agreement {
    /// Reads the Security-Server of a 401; `Ok(None)`: there is none.
    pub(super) fn read(message: &Message<'_>, config: &UeConfig) -> Result<Option<Self>, Failure> {
        if message.elements(HeaderName::SecurityServer).next().is_none() {
            return Ok(None);
        }
        // What cannot be read is of no use, and is mirrored all the same (RFC 3329 clauses 2.2 and 2.3.1).
        let server = message.sound_security(HeaderName::SecurityServer);
        let chosen = negotiate::choose_at_ue(&server, &config.algorithms, &config.modes);
        let negotiate::Offer { algorithms, mode, endpoint, .. } = chosen.ok_or(Failure::NoCommonMechanism)?;
        let elements: Vec<&str> = message.elements(HeaderName::SecurityServer).collect();
        Ok(Some(Self { algorithms, mode, pcscf: endpoint, verify: elements.join(", ").into() }))
    }
}

/// Security-Client: an element for each mode and pair of algorithms.
pub(super) fn offer(config: &UeConfig, endpoint: &Endpoint) -> Box<str> {
    let mut text = String::new();
    for &mode in &config.modes {
        for &algorithms in &config.algorithms {
            text.push_str(if text.is_empty() { "" } else { ", " });
            negotiate::write_element(&mut text, algorithms, mode, endpoint, None);
        }
    }
    text.into()
}

/// Makes SPIs, ports and names of sets that no set in use has.
#[derive(Debug, Default)]
pub(super) struct Allocator {
    /// How many values of port_uc were given out.
    given: u16,
}

impl Allocator {
    /// Fresh SPIs and port_uc; port_us stays (TS 33.203 clause 7.4). `live`: sets that must not be met.
    pub(super) fn propose(&mut self, config: &UeConfig, live: &[&Set], random: &mut Random) -> Proposal {
        let (first, port_s) = config.protected_ports;
        let mut port_c = first;
        for _ in 0..config.port_c_pool.max(1) {
            port_c = first.wrapping_add(2 * (self.given % config.port_c_pool.max(1)));
            self.given = self.given.wrapping_add(1);
            if port_c > 1023
                && port_c != port_s
                && !matches!(port_c, 5060 | 5061)
                && !live.iter().any(|s| s.ue.port_c == port_c)
            {
                break;
            }
        }
        let mut spi = |other: Spi| loop {
            let spi = Spi(random.next_u32());
            let taken = live.iter().any(|s| s.ue.spi_c == spi || s.ue.spi_s == spi);
            if spi >= Spi::FIRST && spi != other && !taken {
                return spi;
            }
        };
        let spi_c = spi(Spi(0));
        let spi_s = spi(spi_c);
        let endpoint = Endpoint { spi_c, spi_s, port_c, port_s };
        Proposal::Sas { endpoint, text: offer(config, &endpoint) }
    }

    /// A name for a set. The P-CSCF of the same process counts from zero: the top bit of a name keeps them apart.
    pub(super) fn name(random: &mut Random) -> SaSetId {
        SaSetId(random.next_u64() >> 1 | 1 << 62)
    }
}

/// Life of a temporary set: reg-await-auth (TS 24.229 table 7.8.1).
pub(super) const TEMPORARY: Duration = Duration::from_secs(240);

/// How long a set may take to be made.
pub(super) const SET_UP: Duration = Duration::from_secs(5);

/// What a set outlives its registration by (TS 24.229 clause 5.1.1.5.1).
pub(super) const BEYOND_REGISTRATION: Duration = Duration::from_secs(30);
