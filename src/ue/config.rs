//! What a UE is told: its subscription, its network, its habits.

use crate::aka::Password;
use crate::aka::usim::Usim;
use crate::identity::{Impi, Impu, Realm};
use crate::ipsec::association::{Algorithms, Mod};
use crate::packet::Transport;
use crate::pcscf::SecAgreePolicy;
use crate::sip::form::Form;
use crate::sip::transaction::Timers;
use crate::time::{Duration, Epoch};
use std::net::SocketAddr;

/// Configuration of a [`super::Ue`].
#[derive(Clone, Debug)]
pub struct UeConfig {
    /// Private identity.
    pub impi: Impi,
    /// The identity to register.
    pub impu: Impu,
    /// Home domain: Request-URI and realm of the first REGISTER.
    pub realm: Realm,
    /// Keys and SQNs; `None`: a phone without USIM, which agrees on no SAs.
    pub usim: Option<Usim>,
    /// What a challenge of SIP digest is answered with.
    pub login: Option<Login>,
    /// Unprotected port of the P-CSCF.
    pub pcscf: SocketAddr,
    /// Our unprotected address.
    pub local: SocketAddr,
    /// The first pair of protected ports (port_uc, port_us): port_us stays, port_uc counts up by two for each new set.
    pub protected_ports: (u16, u16),
    /// How many values port_uc may take before it starts again.
    pub port_c_pool: u16,
    /// Transport of the first REGISTER; a large one goes by TCP all the same.
    pub transport: Transport,
    /// Required: no registration without an agreement. Offered: Security-Client is sent, an answer without
    /// Security-Server is accepted. Off: no security headers.
    pub sec_agree: SecAgreePolicy,
    /// Pairs to offer, in order.
    pub algorithms: Vec<Algorithms>,
    /// Modes to offer them in, in order: UDP-encapsulated tunnel mode passes a NAT (TS 33.203 annex M).
    pub modes: Vec<Mod>,
    /// Expiry asked for.
    pub expires: Duration,
    /// Timers (TS 24.229 table 7.7.1).
    pub timers: Timers,
    /// Waiting after failures.
    pub retry: RetryPolicy,
    /// `+sip.instance` without quotes and brackets, as `urn:gsma:imei:...`.
    pub instance: Option<Box<str>>,
    /// User part of the Contact URI, where it is not that of the identity; empty: none.
    pub contact_user: Option<Box<str>>,
    /// Parameters of the Contact URI, as text beginning with `;`.
    pub contact_parameters: Box<str>,
    /// Further Contact feature tags, as text beginning with `;`.
    pub features: Box<str>,
    /// P-Access-Network-Info.
    pub access_network: Option<Box<str>>,
    /// User-Agent.
    pub user_agent: Box<str>,
    /// What becomes of an INVITE that comes.
    pub invite: InvitePolicy,
    /// How the flow to the P-CSCF is kept open.
    pub keep_alive: KeepAlivePolicy,
    /// Subscribe to the reg event package after the 200 (TS 24.229 clause 5.1.1.3).
    pub subscribe: bool,
    /// A flow of RFC 5626 is asked for by this reg-id, where there is an instance.
    pub reg_id: Option<u32>,
    /// The P-CSCF of a second flow, of the next reg-id; it may be the same one.
    pub second_flow: Option<SocketAddr>,
    /// GRUUs are supported: those given name this UE to its peers (RFC 5627).
    pub gruu: bool,
    /// Registered for emergency calls (`sos`; TS 24.229 clause 5.1.6): it is not refreshed unless a call goes on, nobody
    /// subscribes to it, and it ends by its expiry.
    pub emergency: bool,
    /// The forms of its requests, where they are those of another make.
    pub forms: Option<Box<RequestForms>>,
    /// Refresh before expiry; off for a UE that ends at its 200.
    pub refresh: bool,
    /// Calendar time.
    pub epoch: Epoch,
}

/// The forms of the requests of a UE; `None`: our own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestForms {
    /// REGISTER that expects a challenge.
    pub register: Option<Form>,
    /// REGISTER that answers one.
    pub answer: Option<Form>,
    /// REGISTER of a living registration; else as the answer.
    pub refresh: Option<Form>,
    /// SUBSCRIBE.
    pub subscribe: Option<Form>,
}

/// User name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// As in credentials: the IMPI, or any name that the network knows.
    pub username: Box<str>,
    /// Never shown.
    pub password: Password,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(..)")
    }
}

/// What a UE does with an INVITE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InvitePolicy {
    /// 180 at once, 200 after this long.
    Answer {
        /// How long it rings.
        after: Duration,
    },
    /// 180 at once, and nobody answers.
    Ring,
    /// Refused by this status: 486 for busy, 603 for declined.
    Refuse {
        /// 300 to 699.
        status: u16,
    },
}

impl Default for InvitePolicy {
    /// Answered after two seconds.
    fn default() -> Self {
        Self::Answer { after: Duration::from_secs(2) }
    }
}

/// Which keep-alives a UE sends: CRLF CRLF on a connection, STUN binding requests over UDP (RFC 5626 clause 4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeepAlivePolicy {
    /// None.
    #[default]
    Off,
    /// `keep` in Via: as often as the P-CSCF asks for by its value or by Flow-Timer (RFC 6223 clause 4).
    Negotiated,
    /// This often, asked for or not.
    Every(Duration),
}

/// How a UE waits (RFC 5626 clause 4.5: base and maximum).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// First wait.
    pub base: Duration,
    /// Longest wait.
    pub max: Duration,
    /// Attempts before it gives up; `None`: never.
    pub attempts: Option<u32>,
}
