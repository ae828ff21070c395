//! What happened, as data. Elements say it, drivers print it; no key is ever part of it.

use crate::identity::{Impi, Impu, Spi};
use crate::ipsec::association::SaSetId;
use crate::time::Duration;
use std::fmt;
use std::net::SocketAddr;

/// The network element or UE that speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The user equipment.
    Ue,
    /// Proxy-CSCF.
    Pcscf,
    /// Interrogating-CSCF.
    Icscf,
    /// Serving-CSCF.
    Scscf,
    /// Home subscriber server.
    Hss,
    /// Application server.
    ApplicationServer,
}

impl Role {
    /// As in ladders: `UE`, `P-CSCF`, ...
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ue => "UE",
            Self::Pcscf => "P-CSCF",
            Self::Icscf => "I-CSCF",
            Self::Scscf => "S-CSCF",
            Self::Hss => "HSS",
            Self::ApplicationServer => "AS",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One event of one element.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Who speaks.
    pub role: Role,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum What {
    /// The UE found the MAC of a challenge right and its SQN fresh.
    AutnVerified {
        /// The subscriber.
        impi: Impi,
    },
    /// The UE found the MAC of a challenge wrong (TS 33.102 clause 6.3.3).
    MacFailure {
        /// The subscriber.
        impi: Impi,
    },
    /// The UE found the SQN out of range and asks for resynchronisation.
    SqnOutOfRange {
        /// The subscriber.
        impi: Impi,
        /// SQN of the challenge, 48 bits.
        sqn: u64,
        /// The highest SQN that the USIM has accepted.
        sqn_ms: u64,
    },
    /// The HSS set its SQN after a valid AUTS, or kept it after an invalid one.
    SqnResynchronised {
        /// The subscriber.
        impi: Impi,
        /// SQN_HE before.
        before: u64,
        /// SQN_HE after.
        after: u64,
        /// Whether MAC-S was right.
        mac_s_valid: bool,
    },
    /// The S-CSCF sent a challenge.
    Challenged {
        /// The subscriber.
        impi: Impi,
        /// The identity being registered.
        impu: Impu,
    },
    /// An element verified the digest response.
    ResponseVerified {
        /// The subscriber.
        impi: Impi,
    },
    /// An authentication ended without success.
    AuthenticationFailed {
        /// The subscriber.
        impi: Impi,
        /// Why, in words.
        cause: &'static str,
    },
    /// An implicit registration set is registered, or was refreshed.
    Registered {
        /// The subscriber.
        impi: Impi,
        /// The default identity of the set.
        impu: Impu,
        /// What was granted.
        expires: Duration,
    },
    /// A registration that was lost goes on, from what the HSS had of it.
    RegistrationRestored {
        /// The subscriber.
        impi: Impi,
        /// The default identity of the set.
        impu: Impu,
        /// What is left of it.
        expires: Duration,
    },
    /// A registration has ended.
    Deregistered {
        /// The subscriber.
        impi: Impi,
        /// The identity named.
        impu: Impu,
        /// Why, in words.
        cause: &'static str,
    },
    /// A REGISTER was refused.
    Refused {
        /// The status sent.
        status: u16,
        /// Why, in words.
        cause: String,
        /// The clause that asks for it.
        clause: &'static str,
    },
    /// A set of SAs is there (temporary until the 200).
    SaInstalled {
        /// Which.
        set: SaSetId,
        /// The UE.
        ue: SocketAddr,
        /// Algorithms, as `hmac-sha-1-96 / aes-cbc`.
        algorithms: String,
        /// Inbound SPIs of the speaker: client, server.
        spis: (Spi, Spi),
        /// Ports of the speaker: client, server.
        ports: (u16, u16),
    },
    /// The set serves a registration now, until `lifetime` from now.
    SaEstablished {
        /// Which.
        set: SaSetId,
        /// How long.
        lifetime: Duration,
    },
    /// A set has gone.
    SaRemoved {
        /// Which.
        set: SaSetId,
        /// Why, in words.
        cause: &'static str,
    },
    /// A TLS session carries a registration from now on.
    TlsBound {
        /// Its far end.
        ue: SocketAddr,
    },
    /// A TLS session carries nothing any more.
    TlsUnbound {
        /// Its far end.
        ue: SocketAddr,
        /// Why, in words.
        cause: &'static str,
    },
    /// Clear text arrived where an SA must be used, or the other way round.
    PacketDropped {
        /// The sender.
        from: SocketAddr,
        /// Where it arrived.
        to: SocketAddr,
        /// Why, in words.
        cause: &'static str,
    },
    /// Elements of an offer that were skipped, by name.
    OfferSkipped {
        /// The texts not understood, as `alg=hmac-sha-2-256-128`.
        unknown: String,
    },
    /// A Diameter peer is open for requests.
    PeerOpen {
        /// Its Origin-Host.
        host: String,
    },
    /// A Diameter peer is gone or suspect.
    PeerDown {
        /// Its Origin-Host or address.
        host: String,
        /// Why, in words.
        cause: String,
    },
    /// Bytes that no rule lets an answer: dropped.
    Discarded {
        /// The sender.
        from: SocketAddr,
        /// Why, in words.
        cause: String,
    },
    /// A MESSAGE came and was accepted (RFC 3428).
    MessageReceived {
        /// The sender, as From names it.
        from: Impu,
        /// Content-Type.
        content_type: String,
        /// How long the body is.
        octets: usize,
    },
    /// A request outside of dialogs that the speaker sent is through.
    RequestAnswered {
        /// Its method.
        method: &'static str,
        /// The target.
        to: Impu,
        /// The final status, 0: none came.
        status: u16,
    },
    /// A dialog of a session is early: the called side has answered by a provisional response.
    DialogEarly {
        /// Numbers the sessions of the speaker.
        call: u32,
        /// The other side.
        peer: Impu,
        /// The status.
        status: u16,
    },
    /// A dialog of a session is confirmed.
    DialogConfirmed {
        /// Numbers the sessions of the speaker.
        call: u32,
        /// The other side.
        peer: Impu,
    },
    /// A session has ended, or never came about.
    DialogEnded {
        /// Numbers the sessions of the speaker.
        call: u32,
        /// The other side.
        peer: Impu,
        /// The final status of the INVITE that failed; 200 after a BYE, 0: none came.
        status: u16,
        /// Why, in words.
        cause: &'static str,
    },
    /// A watcher subscribed to the reg event package.
    Subscribed {
        /// Whose registration.
        impu: Impu,
        /// The watcher, as From names it.
        watcher: Impu,
        /// What was granted.
        expires: Duration,
    },
    /// A subscription to the reg event package has ended.
    SubscriptionEnded {
        /// Whose registration.
        impu: Impu,
        /// Why, in words.
        cause: &'static str,
    },
    /// A NOTIFY of the registration is not as it should be. It was accepted all the same.
    NotifyFault {
        /// What is wrong.
        cause: String,
        /// The clause that asks for it otherwise.
        clause: &'static str,
    },
    /// A condition of filter criteria cannot be read: it never holds.
    FilterFault {
        /// Which, and why.
        cause: String,
    },
    /// An application server did not take a registration.
    ServiceFailed {
        /// Its SIP URI.
        server: String,
        /// The identity that it was told of.
        impu: Impu,
        /// What it answered, 0: nothing.
        status: u16,
        /// DefaultHandling: the registration ends, or goes on.
        ends_registration: bool,
    },
    /// An application server did not serve a request.
    ServiceLeftOut {
        /// Its SIP URI.
        server: String,
        /// What it answered, 0: it cannot be reached.
        status: u16,
        /// DefaultHandling: the request goes on without it, or ends.
        goes_on: bool,
    },
    /// The S-CSCF tells an application server of a registration (third-party REGISTER).
    RegistrationTold {
        /// The identity in To.
        impu: Impu,
        /// Expires, 0: it has ended.
        expires: u64,
        /// What came with it, one text a part.
        content: Vec<String>,
    },
    /// A NOTIFY of the reg event package came.
    RegistrationNotified {
        /// The identity subscribed to.
        impu: Impu,
        /// Subscription-State.
        subscription: String,
        /// What it says: identity, state, contact, event; one text each.
        registrations: Vec<String>,
        /// What is wrong with it.
        faults: Vec<String>,
    },
    /// A registered UE answers nothing any more, for all that the P-CSCF can tell.
    UeSilent {
        /// Where it was asked.
        ue: SocketAddr,
        /// How long nothing has come.
        since: Duration,
    },
    /// The UE starts over, or gives up until `after`.
    RetryAt {
        /// How long it waits.
        after: Duration,
        /// Why, in words.
        cause: String,
    },
    /// The UE gives up for good.
    GaveUp {
        /// The last status received, 0: none.
        status: u16,
        /// Why, in words.
        cause: String,
    },
}
