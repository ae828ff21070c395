//! name-addr and addr-spec with header parameters (RFC 3261 clause 20.10): From, To, Path, Route, P-Associated-URI.

use super::params::Params;
use super::{HeaderError, HeaderName};
use crate::sip::Uri;

/// One element. Without angle brackets every parameter belongs to the header.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    /// The element as received.
    pub text: &'a str,
    /// Display name as written, quotes included.
    pub display: Option<&'a str>,
    /// The URI.
    pub uri: Uri<'a>,
    /// Header parameters.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one whole element of `header` (which the error names).
    pub fn parse(_header: HeaderName, _text: &'a str) -> Result<Self, HeaderError> {
        todo!()
    }

    /// `tag`
    pub fn tag(&self) -> Option<&'a str> {
        self.params.value("tag")
    }
}
