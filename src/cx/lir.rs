//! Location-Info-Request and -Answer (command 302).

use super::uar::Capabilities;
use super::{CxResult, Envelope, RequestEnvelope, UserAuthorizationType};
use crate::diameter::{Fault, Writer};

/// LIR, from an I-CSCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lir<'a> {
    /// Common AVPs.
    pub envelope: RequestEnvelope<'a>,
    /// Public-Identity.
    pub impu: &'a str,
    /// Originating-Request.
    pub originating: bool,
    /// User-Authorization-Type.
    pub authorization_type: Option<UserAuthorizationType>,
}

/// LIA, from the HSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lia<'a> {
    /// Common AVPs.
    pub envelope: Envelope<'a>,
    /// Outcome.
    pub result: CxResult,
    /// Server-Name.
    pub server_name: Option<&'a str>,
    /// Server-Capabilities.
    pub capabilities: Option<Capabilities<'a>>,
}

impl<'a> Lir<'a> {
    /// Command code.
    pub const COMMAND: u32 = 302;

    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}

impl<'a> Lia<'a> {
    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}
