//! Why a request of a UE is not served, with the status that says so and the clause that asks for it.

use crate::packet::SaFault;
use std::net::IpAddr;

/// A fault of a request, or of what the core made of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Syntax: what [`crate::sip::Message::check`] found.
    Malformed { status: u16, fault: String },
    /// No security agreement asked for, and one is wanted.
    AgreementWanted,
    /// An agreement asked for, without a mechanism that we have.
    NoCommonMechanism,
    /// The UE is behind a NAT, and no SAs that pass it can be agreed on.
    BehindNat { inside: IpAddr },
    /// An agreement asked for across another proxy.
    NotFirstHop,
    /// The answer to a challenge whose agreement names SAs or TLS came without them.
    AnswerInClear,
    /// The answer to a challenge came over another TLS session than the challenge went.
    AnswerElsewhere,
    /// The identity has a TLS session, and this came by another way.
    BesideTls,
    /// The set of SAs of this attempt could not be made.
    SetUpFailed { cause: SaFault },
    /// Security-Verify is missing or not what was sent.
    VerifyDiffers,
    /// Security-Client is missing or not what was challenged.
    ClientDiffers,
    /// The SA or TLS session belongs to another IMPI.
    ForeignIdentity,
    /// Via names another address than the SA's.
    ForeignVia,
    /// A challenge came, and there are no new SPIs and ports to make SAs of.
    NothingToInstall,
    /// SPIs or ports offered are in use.
    OfferInUse,
    /// Three sets are alive for this IMPI.
    TooManySets,
    /// No port_pc is left for this UE.
    NoPortLeft,
    /// The challenge came without CK and IK.
    NoKeys,
    /// The registrar accepted without a challenge what had to be protected.
    NotChallenged,
    /// Max-Forwards has run out.
    TooManyHops,
    /// Proxy-Require names what we do not know.
    UnknownExtension { tags: String },
    /// A merged request.
    Merged,
    /// A CANCEL of nothing.
    NothingToCancel,
    /// A request of nobody registered.
    NotRegistered,
    /// A request within a dialog whose Route is not the one recorded.
    ForeignRoute,
    /// A request that was here before.
    Loop,
    /// A request for a UE whose token is not ours.
    ForgedToken,
    /// A request for a UE that is not registered any more, or cannot be reached.
    FlowGone,
    /// There is too much to do already.
    Overloaded,
    /// No answer from any I-CSCF.
    CoreSilent,
}

impl Refusal {
    /// What the UE hears.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Malformed { status, .. } => *status,
            Self::ForeignRoute => 400,
            Self::ForeignIdentity
            | Self::ForeignVia
            | Self::OfferInUse
            | Self::TooManySets
            | Self::NotRegistered
            | Self::ForgedToken => 403,
            Self::UnknownExtension { .. } => 420,
            Self::AgreementWanted => 421,
            Self::FlowGone => 430,
            Self::NothingToCancel => 481,
            Self::Merged | Self::Loop => 482,
            Self::TooManyHops => 483,
            Self::NoCommonMechanism
            | Self::BehindNat { .. }
            | Self::AnswerInClear
            | Self::AnswerElsewhere
            | Self::BesideTls
            | Self::VerifyDiffers
            | Self::ClientDiffers
            | Self::NothingToInstall => 494,
            Self::SetUpFailed { .. } | Self::NoPortLeft | Self::NoKeys | Self::NotChallenged => 500,
            Self::NotFirstHop => 502,
            Self::Overloaded => 503,
            Self::CoreSilent => 504,
        }
    }

    /// Where it is written.
    pub(super) const fn clause(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "RFC 3261 clause 16.3",
            Self::AgreementWanted | Self::NoCommonMechanism | Self::NotFirstHop => "RFC 3329 clause 2.3.1",
            Self::BehindNat { .. } => "TS 33.203 clause M.7.1",
            Self::AnswerInClear | Self::SetUpFailed { .. } => "TS 33.203 clause 7.2",
            Self::AnswerElsewhere | Self::BesideTls => "TS 33.203 clause O.4.2",
            Self::VerifyDiffers | Self::ClientDiffers => "RFC 3329 clause 2.3.1, TS 33.203 clause 7.2",
            Self::ForeignIdentity | Self::ForeignVia | Self::NothingToInstall => "TS 24.229 clause 5.2.2.2",
            Self::NoKeys | Self::NotChallenged => "TS 24.229 clause 5.2.2.1",
            Self::OfferInUse | Self::TooManySets | Self::NoPortLeft => "TS 33.203 clause 7.4",
            Self::TooManyHops | Self::UnknownExtension { .. } | Self::Loop => "RFC 3261 clause 16.3",
            Self::Merged => "RFC 3261 clause 8.2.2.2",
            Self::NothingToCancel => "RFC 3261 clause 9.2",
            Self::NotRegistered | Self::ForeignRoute => "TS 24.229 clause 5.2.6.3",
            Self::ForgedToken | Self::FlowGone => "RFC 5626 clause 5.3.1",
            Self::Overloaded => "RFC 3261 clause 21.5.4",
            Self::CoreSilent => "TS 24.229 clause 5.2.2.1, RFC 4320",
        }
    }

    /// In words.
    pub(super) fn cause(&self) -> String {
        let text = match self {
            Self::Malformed { fault, .. } => return fault.clone(),
            Self::SetUpFailed { cause } => return format!("the SAs of this attempt could not be set up: {cause}"),
            Self::BehindNat { inside } => {
                return format!(
                    "the UE is behind a NAT, at {inside} by its Via, and there is no common mod=UDP-enc-tun"
                );
            }
            Self::UnknownExtension { tags } => return format!("Proxy-Require: {tags}"),
            Self::AgreementWanted => "no security agreement asked for",
            Self::NoCommonMechanism => "no usable mechanism in Security-Client",
            Self::NotFirstHop => "security agreement asked for across another proxy",
            Self::AnswerInClear => "answer to a challenge in clear, after protection was agreed",
            Self::AnswerElsewhere => "answer to a challenge over another TLS session than that of the challenge",
            Self::BesideTls => "the identity has a TLS session, and this did not come over it",
            Self::VerifyDiffers => "Security-Verify is not the Security-Server that was sent",
            Self::ClientDiffers => "Security-Client is not the one that was challenged",
            Self::ForeignIdentity => "the SA or TLS session belongs to another private identity",
            Self::ForeignVia => "Via names another address than that of the SA",
            Self::NothingToInstall => "challenged without a Security-Client to make SAs of",
            Self::OfferInUse => "SPIs or ports of Security-Client are in use",
            Self::TooManySets => "three sets of SAs are alive",
            Self::NoPortLeft => "every port_pc is in use for this UE",
            Self::NoKeys => "challenge without CK and IK",
            Self::NotChallenged => "accepted without a challenge, so that nothing protects it",
            Self::TooManyHops => "Max-Forwards is 0",
            Self::Merged => "the same request came by another branch",
            Self::NothingToCancel => "CANCEL of no request",
            Self::NotRegistered => "no registration known",
            Self::ForeignRoute => "the Route of a request within a dialog is not the one recorded",
            Self::Loop => "it was here before",
            Self::ForgedToken => "the token is not one of ours",
            Self::FlowGone => "no way leads to the UE any more",
            Self::Overloaded => "too much to do already",
            Self::CoreSilent => "nobody of the core can be asked",
        };
        text.to_owned()
    }
}
