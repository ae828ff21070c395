//! What an S-CSCF is told.

use super::DigestConfig;
use crate::cx::user_data::InitialFilterCriteria;
use crate::diameter::peer::NodeConfig;
use crate::packet::Transport;
use crate::sip::overload::Limits;
use crate::sip::transaction::Timers;
use crate::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// When a protected re-REGISTER is challenged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChallengePolicy {
    /// Every time.
    Always,
    /// Only when it must be (`integrity-protected` no).
    Never,
    /// Every n-th.
    Every(u32),
    /// When the last authentication is older than this.
    After(Duration),
}

/// When the HSS hears of a re-registration that was not challenged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SarAtRefresh {
    /// Each time: SAR RE_REGISTRATION (TS 29.228 clause 6.1.2).
    Always,
    /// Where there is something to tell or to ask: with restoration, or where other IMPIs share the identity. The HSS
    /// knows the rest already (TS 23.228 clause 5.2.2.4 lets an S-CSCF leave it out).
    WhenChanged,
}

/// Configuration of an [`super::Scscf`].
#[derive(Clone, Debug)]
pub struct ScscfConfig {
    /// Its name: the SIP URI that the HSS stores, and the base of Service-Route.
    pub name: Box<str>,
    /// SIP listeners, UDP and TCP each.
    pub listen: Vec<SocketAddr>,
    /// The I-CSCF of the home network, which finds whoever a request is for; `None`: all of them are served here.
    pub icscf: Option<SocketAddr>,
    /// Transport of own requests.
    pub transport: Transport,
    /// Timers.
    pub timers: Timers,
    /// The Diameter side.
    pub diameter: NodeConfig,
    /// Home domain: realm of challenges, Destination-Realm.
    pub realm: Box<str>,
    /// Shortest expiry granted; below it 423.
    pub min_expires: Duration,
    /// Longest expiry granted.
    pub max_expires: Duration,
    /// Longest subscription granted; `None`: as long as a registration.
    pub max_subscription: Option<Duration>,
    /// Expiry where the UE asks for none.
    pub default_expires: Duration,
    /// reg-await-auth (TS 24.229 clause 7.8: 4 minutes).
    pub reg_await_auth: Duration,
    /// Challenges of re-registrations.
    pub challenge: ChallengePolicy,
    /// SAR at re-registrations without challenge.
    pub sar_at_refresh: SarAtRefresh,
    /// With AKA credentials and `integrity-protected` no or absent, an answer to a pending challenge is verified
    /// (`true`), or every such REGISTER is challenged anew and never accepted (`false`).
    pub aka_without_sa: bool,
    /// `qop` of challenges: `None` leaves it out.
    pub qop: Option<Box<str>>,
    /// SIP-Authentication-Scheme asked for.
    pub scheme: Box<str>,
    /// Offer AKAv2-SHA-256 to a UE that asks for it.
    pub akav2: bool,
    /// At most this many resynchronisations for one attempt.
    pub max_resyncs: u32,
    /// Flows (bindings) allowed for one IMPI.
    pub max_flows: usize,
    /// term-ioi of type 1.
    pub ioi: Box<str>,
    /// SAR *_STORE_SERVER_NAME at the end of a registration.
    pub store_server_name: bool,
    /// Leave with the HSS what another process of ours needs to go on, and ask for it (TS 23.380).
    pub restoration: bool,
    /// The filter criteria that a SharedIFCSetID of user data stands for (TS 29.228 annex B.2.1).
    pub shared_ifc_sets: BTreeMap<u32, Vec<InitialFilterCriteria>>,
    /// What is taken on; beyond it new registrations are shed.
    pub limits: Limits,
    /// Host names to addresses; no DNS.
    pub hosts: BTreeMap<Box<str>, std::net::IpAddr>,
    /// Senders whose requests are taken (I-CSCFs, P-CSCFs): who may write `integrity-protected` must be of the trust
    /// domain. Empty: loopback and the own network's addresses in `hosts`.
    pub trusted: Vec<std::net::IpAddr>,
    /// Users without USIM.
    pub digest: DigestConfig,
    /// Further headers of a 200 to REGISTER, as recorded networks add them: name and value.
    pub extra_headers_in_200: Vec<(Box<str>, Box<str>)>,
}
