//! Why a request is refused: one variant a fault, each with its status and clause.

use crate::cx::CxResult;
use crate::sip::HeaderError;
use crate::sip::proxy::Fault;
use thiserror::Error;

/// A request that is not served.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(super) enum Refusal {
    #[error("{0}")]
    Header(HeaderError),
    #[error("the sender is not of the trust domain")]
    OutsideTrustDomain,
    #[error("no such request is served here")]
    MethodNotImplemented,
    #[error("merged request")]
    Merged,
    #[error("CANCEL for no transaction")]
    NothingToCancel,
    #[error("Require names {0}")]
    UnknownExtension(String),
    #[error("Contact * with another Contact or an expiry other than 0")]
    BadStar,
    #[error("an emergency registration is not ended by its UE")]
    EmergencyRegistrationStays,
    #[error("several Contacts with reg-id")]
    SeveralFlows,
    #[error("reg-id, but the first hop of Path lacks ob")]
    FirstHopLacksOutbound,
    #[error("CSeq is not larger than before for this Call-ID")]
    CSeqNotNewer,
    #[error("the HSS says {0}")]
    IdentityRejected(CxResult),
    #[error("the HSS says {0}")]
    HssFault(CxResult),
    #[error("no answer from the HSS")]
    HssSilent,
    #[error("the HSS says {0}")]
    AssignmentFault(CxResult),
    #[error("no answer from the HSS to the server assignment")]
    AssignmentSilent,
    #[error("no complete vector of the scheme asked for")]
    VectorIncomplete,
    #[error("answer to a challenge of another Call-ID")]
    WrongCallId,
    #[error("nonce is not that of the challenge")]
    WrongNonce,
    #[error("algorithm is not that of the challenge")]
    WrongAlgorithm,
    #[error("credentials are incomplete")]
    IncompleteCredentials,
    #[error("response is wrong")]
    WrongResponse,
    #[error("the access network says another line or address")]
    AccessDiffers,
    #[error("auts is not 14 octets in base64")]
    BadAuts,
    #[error("too many resynchronisations")]
    TooManyResyncs,
    #[error("the UE found three challenges in a row invalid")]
    TooManyMacFailures,
    #[error("the challenge was replaced by a newer one")]
    Replaced,
    #[error("an earlier REGISTER is still being served")]
    Busy,
    #[error("protected REGISTER of a user who is not registered here")]
    UnknownUser,
    #[error("the registration is lost, and the HSS has nothing to restore it from")]
    RegistrationLost,
    #[error("a Contact never seen before in a REGISTER that was not challenged")]
    NewContactUnchallenged,
    #[error("expiry below {min_expires} s")]
    IntervalTooBrief { min_expires: u64 },
    #[error("more flows than allowed")]
    TooManyFlows,
    #[error("no such binding")]
    UnknownBinding,
    #[error("the event package is not reg")]
    UnknownEvent,
    #[error("application/reginfo+xml is not accepted")]
    NothingAcceptable,
    #[error("a body in a SUBSCRIBE")]
    BodyNotUnderstood,
    #[error("nothing is bound to this identity")]
    NothingBound,
    #[error("this sender may not watch this registration")]
    MayNotWatch,
    #[error("no such subscription")]
    UnknownSubscription,
    #[error("no Contact that can be reached")]
    NoContact,
    #[error("the registration has too many watchers")]
    TooManyWatchers,
    #[error("user data cannot be used")]
    BadUserData,
    #[error("identity not of the set that the HSS returned")]
    NotInSet,
    #[error("every identity of the set is barred")]
    AllBarred,
    #[error("{0}")]
    Forwarding(Fault),
    #[error("Service-Route of no registration")]
    RegistrationGone,
    #[error("the user for whom an application server calls is not registered, and has no services")]
    CallerNotRegistered,
    #[error("no P-Asserted-Identity")]
    NotAsserted,
    #[error("P-Asserted-Identity is not of the registered set, or barred")]
    AssertedNotOfSet,
    #[error("the next hop has no address")]
    NoWay,
    #[error("the user called is not of this network")]
    NotServed,
    #[error("the temporary GRUU called is not valid, or no more")]
    NoSuchGruu,
    #[error("the user called is barred")]
    CalledBarred,
    #[error("the user called is not registered")]
    NotRegistered,
    #[error("no binding of the user called can be reached")]
    NotReachable,
    #[error("an application server that must serve the request cannot be reached")]
    NoApplicationServer,
    #[error("too much to do already")]
    Overloaded,
    #[error("no such dialog")]
    NoDialog,
}

impl Refusal {
    /// The status to answer with.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Header(error) => error.status,
            Self::Forwarding(fault) => fault.status(),
            Self::BadStar | Self::SeveralFlows | Self::IncompleteCredentials | Self::NoContact => 400,
            Self::OutsideTrustDomain
            | Self::IdentityRejected(_)
            | Self::WrongCallId
            | Self::WrongNonce
            | Self::WrongAlgorithm
            | Self::WrongResponse
            | Self::AccessDiffers
            | Self::BadAuts
            | Self::TooManyResyncs
            | Self::TooManyMacFailures
            | Self::NewContactUnchallenged
            | Self::TooManyFlows
            | Self::MayNotWatch
            | Self::NotInSet
            | Self::AllBarred
            | Self::RegistrationGone
            | Self::CallerNotRegistered
            | Self::NotAsserted
            | Self::AssertedNotOfSet => 403,
            Self::NoWay | Self::NotServed | Self::CalledBarred | Self::NoSuchGruu => 404,
            Self::NothingAcceptable => 406,
            Self::BodyNotUnderstood => 415,
            Self::UnknownExtension(_) => 420,
            Self::IntervalTooBrief { .. } => 423,
            Self::FirstHopLacksOutbound => 439,
            // With 480 the I-CSCF may try another S-CSCF, which may reach the HSS.
            Self::HssFault(_)
            | Self::HssSilent
            | Self::VectorIncomplete
            | Self::NotRegistered
            | Self::NotReachable
            | Self::NothingBound => 480,
            Self::UnknownBinding | Self::NothingToCancel | Self::NoDialog | Self::UnknownSubscription => 481,
            Self::Merged => 482,
            Self::UnknownEvent => 489,
            Self::CSeqNotNewer
            | Self::NoApplicationServer
            | Self::Replaced
            | Self::Busy
            | Self::UnknownUser
            | Self::BadUserData
            | Self::AssignmentFault(_)
            | Self::AssignmentSilent => 500,
            Self::MethodNotImplemented | Self::EmergencyRegistrationStays => 501,
            Self::TooManyWatchers | Self::Overloaded => 503,
            Self::RegistrationLost => 504,
        }
    }

    /// Retry-After in seconds, where trying again soon may help.
    pub(super) const fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Busy => Some(5),
            Self::AssignmentFault(_) | Self::AssignmentSilent => Some(30),
            Self::BadUserData | Self::TooManyWatchers => Some(300),
            _ => None,
        }
    }

    /// The clause that asks for it.
    pub(super) const fn clause(&self) -> &'static str {
        match self {
            Self::Header(_) => "RFC 3261 clause 8.2",
            Self::Forwarding(fault) => fault.clause(),
            Self::RegistrationGone
            | Self::CallerNotRegistered
            | Self::NotAsserted
            | Self::AssertedNotOfSet
            | Self::NoWay
            | Self::NoApplicationServer => "TS 24.229 clause 5.4.3.2",
            Self::NotServed | Self::CalledBarred | Self::NotRegistered | Self::NotReachable => {
                "TS 24.229 clause 5.4.3.3"
            }
            Self::NoDialog => "RFC 3261 clause 12.2.2",
            Self::Overloaded => "RFC 3261 clause 21.5.4",
            Self::Merged => "RFC 3261 clause 8.2.2.2",
            Self::NothingToCancel => "RFC 3261 clause 9.2",
            Self::MethodNotImplemented => "RFC 3261 clause 8.2.1",
            Self::UnknownExtension(_) => "RFC 3261 clause 8.2.2.3",
            Self::BadStar | Self::CSeqNotNewer => "RFC 3261 clause 10.3",
            Self::IntervalTooBrief { .. } => "RFC 3261 clause 10.2.8",
            Self::SeveralFlows | Self::FirstHopLacksOutbound => "RFC 5626 clause 6",
            Self::EmergencyRegistrationStays => "TS 24.229 clause 5.4.8.3",
            Self::NoSuchGruu => "RFC 5627 clause 5.1",
            Self::OutsideTrustDomain => "TS 24.229 clause 4.4",
            Self::IncompleteCredentials => "RFC 2617 clause 3.2.2",
            Self::BadAuts | Self::TooManyResyncs | Self::TooManyMacFailures => "TS 24.229 clause 5.4.1.2.3",
            Self::UnknownEvent | Self::NothingAcceptable | Self::UnknownSubscription | Self::NoContact => {
                "RFC 6665 clause 4.2.1"
            }
            Self::BodyNotUnderstood => "RFC 3680 clause 4.3",
            Self::NothingBound | Self::MayNotWatch | Self::TooManyWatchers => "TS 24.229 clause 5.4.2.1.1",
            Self::UnknownBinding => "TS 24.229 clause 5.4.1.4",
            Self::HssFault(_) | Self::HssSilent | Self::VectorIncomplete => "TS 29.228 clause 6.3",
            Self::IdentityRejected(_) => "TS 29.228 clause 6.1",
            Self::Replaced => "TS 24.229 clause 5.4.1.2.1",
            _ => "TS 24.229 clause 5.4.1.2.2",
        }
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        Self::Header(error)
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Header(error) => Self::Header(error),
            fault => Self::Forwarding(fault),
        }
    }
}
