//! A cause, and what was found of it.

use super::{Case, Findings};
use std::fmt;

/// A cause of the catalogue.
#[derive(Clone, Copy)]
pub struct Cause {
    /// For example `DIAG-AKA-MAC`; it never changes.
    pub name: &'static str,
    /// Where it is written what should have happened.
    pub clause: &'static str,
    /// What went wrong, in one sentence.
    pub meaning: &'static str,
    /// What to do, where nothing found says it better.
    pub action: &'static str,
    /// Names that say more: where one of them is found as well, it goes first.
    pub behind: &'static [&'static str],
    /// Looks for it in one registration.
    pub find: fn(&Case<'_>, &mut Findings<'_>),
}

/// How sure a cause is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Certainty {
    /// The trace shows it, and nothing else fits.
    Certain,
    /// The usual reason for what the trace shows.
    Likely,
    /// One of several reasons.
    Possible,
}

/// A cause that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The cause.
    pub cause: &'static Cause,
    /// The registration, from 1.
    pub registration: Option<u64>,
    /// The messages that show it, by the numbers of `show`.
    pub messages: Vec<u64>,
    /// One of the two values that disagree: what should be there.
    pub expected: String,
    /// The other: what is there.
    pub found: String,
    /// What to do.
    pub action: String,
    /// How sure it is.
    pub certainty: Certainty,
    /// Other reasons, and why they are none.
    pub ruled_out: Vec<String>,
}

impl Found {
    /// Certain is what is not said to be less.
    pub const fn likely(&mut self) -> &mut Self {
        self.certainty = Certainty::Likely;
        self
    }

    /// One of several reasons.
    pub const fn possible(&mut self) -> &mut Self {
        self.certainty = Certainty::Possible;
        self
    }

    /// An action that fits better than that of the cause.
    pub fn action(&mut self, action: impl Into<String>) -> &mut Self {
        self.action = action.into();
        self
    }

    /// Another reason, and why it is none.
    pub fn ruled_out(&mut self, what: impl Into<String>) -> &mut Self {
        self.ruled_out.push(what.into());
        self
    }
}

impl Certainty {
    /// As in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Possible => "possible",
        }
    }
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
