//! CSeq (RFC 3261 clause 20.16).

use super::HeaderError;
use crate::sip::Method;

/// Number and method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CSeq<'a> {
    /// Below 2^31.
    pub number: u32,
    /// Same as in the request line.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads the value.
    pub fn parse(_value: &'a str) -> Result<Self, HeaderError> {
        todo!()
    }
}
