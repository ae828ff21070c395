//! SIP, SIPS and tel URIs (RFC 3261 clause 19.1, RFC 3966).

use super::HeaderError;
use super::header::params::Params;

/// A URI in its parts, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Uri<'a> {
    /// The whole text.
    pub text: &'a str,
    /// `sip`, `sips`, `tel`, or any other scheme, as written.
    pub scheme: &'a str,
    /// User part (with password) as written; for tel the number.
    pub user: Option<&'a str>,
    /// Host as written, IPv6 with its brackets; empty for tel and unknown schemes.
    pub host: &'a str,
    /// Port.
    pub port: Option<u16>,
    /// URI parameters.
    pub params: Params<'a>,
    /// What follows `?`.
    pub headers: Option<&'a str>,
}

impl<'a> Uri<'a> {
    /// Reads a whole URI; nothing may follow it.
    pub fn parse(_text: &'a str) -> Result<Self, HeaderError> {
        todo!()
    }

    /// Equality of RFC 3261 clause 19.1.4.
    pub fn equivalent(&self, _other: &Uri<'_>) -> bool {
        todo!()
    }

    /// The host as an IP address, if it is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        todo!()
    }

    /// Appends the address of record (RFC 3261 clause 10.3 step 5): parameters and headers removed, escapes of
    /// unreserved characters resolved, scheme and host in lower case. For tel: visual separators removed.
    pub fn canonical(&self, _out: &mut String) {
        todo!()
    }
}
