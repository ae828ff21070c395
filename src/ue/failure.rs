//! Why an attempt failed: what arrived, what was expected, and the clause that asks for it.

use super::config::RequestForms;
use crate::packet::SaFault;
use crate::sip::form::Form;
use thiserror::Error;

/// The end of an attempt without a registration.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(super) enum Failure {
    #[error("{status} {reason} {stage}; a 200 was expected (TS 24.229 clause 5.1.1.2.1)")]
    Refused { status: u16, reason: Box<str>, stage: Stage },
    #[error(
        "{status} {reason} after {invalid} challenges with a wrong MAC or SQN; a valid AUTN was expected, are K and OPc \
         those of the HSS? (TS 24.229 clause 5.1.1.5.3)"
    )]
    RefusedAfterInvalid { status: u16, reason: Box<str>, invalid: u8 },
    #[error("no answer {stage} within 64*T1; a final response was expected (RFC 3261 clause 17.1.2.2, Timer F)")]
    Timeout { stage: Stage },
    #[error("the transport failed {stage}; a connection to the P-CSCF was expected (RFC 3261 clause 17.1.4)")]
    Transport { stage: Stage },
    #[error(
        "401 whose WWW-Authenticate cannot be used: {fault}; a challenge for a USIM or a password that we have was \
         expected (RFC 3310 clause 3, RFC 3261 clause 22.1)"
    )]
    Challenge { fault: &'static str },
    #[error(
        "401 with the nonce that was just answered; a 200 or a fresh challenge was expected (TS 24.229 clause 5.4.1.2)"
    )]
    NonceRepeated,
    #[error("401 again after the password; a 200 was expected, is it that of the network? (RFC 3261 clause 22.2)")]
    PasswordRefused,
    #[error("challenged again after {0} answers; a 200 was expected (TS 24.229 clause 5.1.1.5.1)")]
    ChallengedTooOften(u8),
    #[error("{0} challenges in a row with a wrong MAC or SQN; a valid AUTN was expected (TS 24.229 clause 5.1.1.5.3)")]
    ChallengesInvalid(u8),
    #[error("401 without Security-Server; the mechanism of the P-CSCF was expected (TS 24.229 clause 5.1.1.5.1)")]
    SecurityServerMissing,
    #[error("401 whose Security-Server holds no complete mechanism that was offered (RFC 3329 clause 2.3.1)")]
    NoCommonMechanism,
    #[error("200 without a challenge or a security agreement, which is required here (TS 33.203 clause 7.2)")]
    NotProtected,
    #[error(
        "the security associations could not be installed: {cause}; no registration goes on without them \
         (TS 33.203 clause 7.2)"
    )]
    SaNotInstalled { cause: SaFault },
    #[error("200 that grants 0 s; a binding of the Contact was expected (RFC 3261 clause 10.2.4)")]
    NotBound,
}

impl Failure {
    /// The status that arrived; 0: none.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Refused { status, .. } | Self::RefusedAfterInvalid { status, .. } => *status,
            Self::Timeout { .. } | Self::Transport { .. } | Self::SaNotInstalled { .. } => 0,
            Self::NotProtected | Self::NotBound => 200,
            Self::Challenge { .. }
            | Self::NonceRepeated
            | Self::PasswordRefused
            | Self::ChallengedTooOften(_)
            | Self::ChallengesInvalid(_)
            | Self::SecurityServerMissing
            | Self::NoCommonMechanism => 401,
        }
    }

    /// True where another attempt cannot end otherwise.
    pub(super) const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused { status: 403 | 439, .. }
                | Self::RefusedAfterInvalid { status: 403, .. }
                | Self::ChallengesInvalid(_)
                | Self::PasswordRefused
        )
    }
}

/// Which REGISTER it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The one that expects a challenge.
    Register,
    /// The answer to a challenge.
    Answer,
    /// Over the SAs of a registration.
    Refresh,
}

impl Stage {
    /// The form of a REGISTER of this stage.
    pub(super) fn form(self, forms: &RequestForms) -> Option<&Form> {
        match self {
            Self::Register => forms.register.as_ref(),
            Self::Answer => forms.answer.as_ref(),
            Self::Refresh => forms.refresh.as_ref().or(forms.answer.as_ref()),
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Register => "to the first REGISTER",
            Self::Answer => "to the answer to the challenge",
            Self::Refresh => "to a REGISTER of a living registration",
        })
    }
}
