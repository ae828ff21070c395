//! Initial filter criteria: whether a request is one that an application server wants to see (TS 29.228 annexes B and F,
//! TS 23.218 clause 5.2).
//!
//! [`FilterCriteria`] are compiled once for a service profile and held against requests as often as they come.

mod pattern;
mod trigger;

pub use pattern::PatternFault;

use super::user_data::{ApplicationServer, InitialFilterCriteria};
use trigger::Trigger;

/// The criteria of one service profile, in the order in which they are asked.
#[derive(Debug, Default)]
pub struct FilterCriteria {
    criteria: Box<[Criterion]>,
}

/// One of [`FilterCriteria`].
#[derive(Debug)]
pub struct Criterion {
    /// Priority: criteria are asked from the lowest to the highest.
    pub priority: u32,
    /// Who is to see the request.
    pub server: ApplicationServer,
    trigger: Trigger,
    registered_part: Option<bool>,
}

/// A request as triggers see it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI.
    pub request_uri: &'a str,
    /// Its headers.
    pub headers: &'a dyn Headers,
    /// The session description in its body, empty where there is none.
    pub session_description: &'a str,
    /// Whom the S-CSCF serves with it.
    pub session_case: SessionCase,
    /// Which kind of REGISTER it is.
    pub registration: Option<RegistrationType>,
}

/// The headers of a request.
pub trait Headers {
    /// True when `test` says so of the name and value of one of them. Compact names are written out.
    fn any(&self, test: &mut dyn FnMut(&str, &str) -> bool) -> bool;
}

/// No headers: of a REGISTER that nobody has sent.
impl Headers for () {
    fn any(&self, _test: &mut dyn FnMut(&str, &str) -> bool) -> bool {
        false
    }
}

/// SessionCase.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum SessionCase {
    OriginatingRegistered = 0,
    TerminatingRegistered = 1,
    TerminatingUnregistered = 2,
    OriginatingUnregistered = 3,
    OriginatingCdiv = 4,
}

/// RegistrationType.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum RegistrationType {
    InitialRegistration = 0,
    ReRegistration = 1,
    DeRegistration = 2,
}

impl FilterCriteria {
    /// Compiles the criteria of a service profile. A condition whose pattern cannot be read never holds, negated or not;
    /// `faults` tells of it.
    pub fn compile(criteria: &[InitialFilterCriteria], faults: &mut Vec<PatternFault>) -> Self {
        let mut criteria: Vec<Criterion> = criteria
            .iter()
            .map(|c| Criterion {
                priority: c.priority,
                server: c.server.clone(),
                trigger: Trigger::compile(c, faults),
                registered_part: c.registered_part,
            })
            .collect();
        criteria.sort_by_key(|c| c.priority);
        Self { criteria: criteria.into() }
    }

    /// The criteria that `request` meets, by priority.
    pub fn matching<'f>(&'f self, request: &'f Request<'_>) -> impl Iterator<Item = &'f Criterion> {
        self.criteria.iter().filter(|c| c.is_met(request))
    }

    /// True when no request meets any.
    pub fn is_empty(&self) -> bool {
        self.criteria.is_empty()
    }

    /// True when there are some for a user who is not registered (ProfilePartIndicator).
    pub fn serve_unregistered(&self) -> bool {
        self.criteria.iter().any(|c| c.registered_part != Some(true))
    }

    /// All of them, by priority.
    pub fn iter(&self) -> impl Iterator<Item = &Criterion> {
        self.criteria.iter()
    }
}

impl Criterion {
    /// True when the application server is to see `request`.
    pub fn is_met(&self, request: &Request<'_>) -> bool {
        let part = request.session_case.is_registered();
        self.registered_part.is_none_or(|wanted| part.is_none_or(|part| part == wanted)) && self.trigger.holds(request)
    }
}

impl SessionCase {
    /// True when the user served is the one called.
    pub const fn is_terminating(self) -> bool {
        matches!(self, Self::TerminatingRegistered | Self::TerminatingUnregistered)
    }

    /// ProfilePartIndicator: whether the registered part of the profile applies; either does to a request diverted.
    const fn is_registered(self) -> Option<bool> {
        match self {
            Self::OriginatingRegistered | Self::TerminatingRegistered => Some(true),
            Self::OriginatingUnregistered | Self::TerminatingUnregistered => Some(false),
            Self::OriginatingCdiv => None,
        }
    }
}

impl std::fmt::Debug for Request<'_> {
    /// Says nothing of whose it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Request({}, {:?}, {:?})", self.method, self.session_case, self.registration)
    }
}
