//! Security-Client, Security-Server, Security-Verify (RFC 3329 clause 2.2, TS 33.203 annex H).

use super::params::Params;
use super::{HeaderError, HeaderName};

/// The elements of one of the three headers, in order over all lines.
#[derive(Clone, Debug, Default)]
pub struct Mechanisms<'a>(pub Vec<Mechanism<'a>>);

/// One element: `mechanism *( ; parameter )`.
///
/// Values are kept as text: what an algorithm name means is decided by `ipsec::negotiate`. Numbers are checked here;
/// an element whose number is not one is malformed.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Mechanism<'a> {
    /// The element as received.
    pub text: &'a str,
    /// `ipsec-3gpp`, `tls`, ...
    pub name: &'a str,
    /// `q` in thousandths; absent counts as 1000.
    pub q: u16,
    pub alg: Option<&'a str>,
    pub ealg: Option<&'a str>,
    pub prot: Option<&'a str>,
    pub mode: Option<&'a str>,
    pub spi_c: Option<u32>,
    pub spi_s: Option<u32>,
    pub port_c: Option<u16>,
    pub port_s: Option<u16>,
    /// All parameters, unknown ones included.
    pub params: Params<'a>,
}

impl<'a> Mechanism<'a> {
    /// Reads one element of `header`.
    pub fn parse(_header: HeaderName, _text: &'a str) -> Result<Self, HeaderError> {
        todo!()
    }
}
