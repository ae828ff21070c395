//! Why a request is not forwarded: one variant a fault, each with its status and clause.

use crate::cx::CxResult;
use crate::sip::HeaderError;
use crate::sip::proxy::Fault;
use thiserror::Error;

/// A request that the I-CSCF answers itself.
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
    #[error("Max-Forwards is 0")]
    TooManyHops,
    #[error("Proxy-Require names {0}")]
    UnknownExtension(String),
    #[error("the HSS says {0}")]
    RegistrationRefused(CxResult),
    #[error("the HSS says {0}")]
    HssFault(CxResult),
    #[error("no answer from the HSS")]
    HssSilent,
    #[error("no S-CSCF has the capabilities that the HSS asks for")]
    NoneFits,
    #[error("no answer from the S-CSCF, and no other is left")]
    ScscfSilent,
    #[error("{0}")]
    Forwarding(Fault),
    #[error("the HSS does not know the user called")]
    CalledUnknown,
    #[error("an application server does not say for whom it calls")]
    CallerUnknown,
    #[error("the user called is not registered and has no services")]
    CalledNotRegistered,
    #[error("the next hop has no address")]
    NoWay,
    #[error("too much to do already")]
    Overloaded,
    #[error("the domain {0} is not of this network")]
    ForeignDomain(Box<str>),
    #[error("cancelled before it was forwarded")]
    Cancelled,
}

impl Refusal {
    /// The status to answer with.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Header(error) => error.status,
            Self::Forwarding(fault) => fault.status(),
            Self::CalledUnknown | Self::NoWay | Self::ForeignDomain(_) => 404,
            Self::Cancelled => 487,
            Self::OutsideTrustDomain | Self::RegistrationRefused(_) | Self::CallerUnknown => 403,
            Self::UnknownExtension(_) => 420,
            Self::HssFault(_) | Self::HssSilent | Self::CalledNotRegistered => 480,
            Self::NothingToCancel => 481,
            Self::Merged => 482,
            Self::TooManyHops => 483,
            Self::MethodNotImplemented => 501,
            Self::Overloaded => 503,
            Self::ScscfSilent => 504,
            Self::NoneFits => 600,
        }
    }

    /// The clause that asks for it.
    pub(super) const fn clause(&self) -> &'static str {
        match self {
            Self::Header(_) => "RFC 3261 clause 16.3",
            Self::Forwarding(fault) => fault.clause(),
            Self::CalledUnknown | Self::CalledNotRegistered | Self::NoWay => "TS 24.229 clause 5.3.2.1",
            Self::ForeignDomain(_) => "RFC 3261 clauses 10.3 and 21.4.5",
            Self::CallerUnknown => "TS 24.229 clause 5.3.2.1A",
            Self::Overloaded => "RFC 3261 clause 21.5.4",
            Self::Cancelled => "RFC 3261 clause 16.10",
            Self::OutsideTrustDomain => "TS 24.229 clause 5.3.1.1",
            Self::MethodNotImplemented => "RFC 3261 clause 8.2.1",
            Self::Merged => "RFC 3261 clause 8.2.2.2",
            Self::NothingToCancel => "RFC 3261 clause 9.2",
            Self::TooManyHops | Self::UnknownExtension(_) => "RFC 3261 clause 16.3",
            _ => "TS 24.229 clause 5.3.1.2",
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
            Fault::UnknownExtension(tags) => Self::UnknownExtension(tags),
            fault => Self::Forwarding(fault),
        }
    }
}
