//! Headers: one file each, typed values parsed on demand.

pub mod access_network;
pub mod charging_vector;
pub mod contact;
pub mod cseq;
pub mod digest;
pub mod event;
pub(crate) mod grammar;
pub mod name;
pub mod name_addr;
pub mod params;
pub mod sec_agree;
pub mod served_user;
pub mod via;

pub use name::{HeaderName, NameSet};

use std::fmt;
use thiserror::Error;

/// A header that cannot be used: which one, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{}{fault}", Prefix(*.header))]
pub struct HeaderError {
    /// The header.
    pub header: HeaderName,
    /// What was expected, in words, without quoting the value.
    pub fault: &'static str,
    /// The status to answer a request with.
    pub status: u16,
}

impl HeaderError {
    /// A fault answered by 400.
    pub const fn bad(header: HeaderName, fault: &'static str) -> Self {
        Self { header, fault, status: 400 }
    }

    /// The same fault as part of another header.
    pub(crate) const fn within(self, header: HeaderName) -> Self {
        Self { header, ..self }
    }
}

/// `Name: `, or nothing for the start line and unknown headers.
struct Prefix(HeaderName);

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            HeaderName::Other => Ok(()),
            name => write!(f, "{name}: "),
        }
    }
}
