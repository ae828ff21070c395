//! Via (RFC 3261 clause 20.42, RFC 3581).

use super::HeaderError;
use super::params::Params;

/// One Via element.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The element as received.
    pub text: &'a str,
    /// `UDP`, `TCP`, `TLS`, ... as written.
    pub transport: &'a str,
    /// Host of sent-by, IPv6 with its brackets.
    pub host: &'a str,
    /// Port of sent-by.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `keep`, ...
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads one element; returns it and the rest of the line after the comma, if any.
    pub fn parse(_text: &'a str) -> Result<(Self, Option<&'a str>), HeaderError> {
        todo!()
    }

    /// `branch`
    pub fn branch(&self) -> Option<&'a str> {
        self.params.value("branch")
    }
}
