//! Headers: one file each, typed values parsed on demand.

pub mod contact;
pub mod cseq;
pub mod digest;
pub mod name;
pub mod name_addr;
pub mod params;
pub mod sec_agree;
pub mod via;

pub use name::HeaderName;

use thiserror::Error;

/// A header that cannot be used: which one, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{header}: {fault}")]
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
}
