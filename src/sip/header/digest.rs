//! Digest credentials and challenges (RFC 2617, RFC 7616, RFC 3310, TS 24.229 clause 7.2A).

use super::{HeaderError, HeaderName};

/// The parameters of one `Digest` value: credentials or challenge. Quotes are removed, escapes are not resolved: the
/// digest is computed over the text as it appears. Token and quoted forms are both accepted.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Digest<'a> {
    /// The whole value with its scheme.
    pub text: &'a str,
    pub username: Option<&'a str>,
    pub realm: Option<&'a str>,
    pub nonce: Option<&'a str>,
    pub uri: Option<&'a str>,
    pub response: Option<&'a str>,
    pub algorithm: Option<&'a str>,
    pub qop: Option<&'a str>,
    pub nc: Option<&'a str>,
    pub cnonce: Option<&'a str>,
    pub opaque: Option<&'a str>,
    pub stale: Option<&'a str>,
    pub auts: Option<&'a str>,
    pub integrity_protected: Option<&'a str>,
    pub ck: Option<&'a str>,
    pub ik: Option<&'a str>,
}

impl<'a> Digest<'a> {
    /// Reads one value. `Ok(None)`: another scheme.
    pub fn parse(_header: HeaderName, _value: &'a str) -> Result<Option<Self>, HeaderError> {
        todo!()
    }

    /// All parameters in order as written, unknown ones included: name, value without quotes, whether it was quoted.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str, bool)> + use<'a> {
        std::iter::empty()
    }
}
