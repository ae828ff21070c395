//! User-Authorization-Request and -Answer (command 300).

use super::{CxResult, Envelope, RequestEnvelope};
use crate::diameter::{Fault, Writer};

/// User-Authorization-Type 623.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum UserAuthorizationType {
    #[default]
    Registration,
    DeRegistration,
    RegistrationAndCapabilities,
}

/// UAR, from the I-CSCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uar<'a> {
    /// Common AVPs.
    pub envelope: RequestEnvelope<'a>,
    /// User-Name: the IMPI.
    pub impi: &'a str,
    /// Public-Identity.
    pub impu: &'a str,
    /// Visited-Network-Identifier.
    pub visited_network: &'a [u8],
    /// User-Authorization-Type, absent: REGISTRATION.
    pub authorization_type: UserAuthorizationType,
    /// UAR-Flags bit 0.
    pub emergency: bool,
}

/// UAA, from the HSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uaa<'a> {
    /// Common AVPs.
    pub envelope: Envelope<'a>,
    /// Outcome.
    pub result: CxResult,
    /// Server-Name.
    pub server_name: Option<&'a str>,
    /// Server-Capabilities.
    pub capabilities: Option<Capabilities<'a>>,
}

/// Server-Capabilities 603.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities<'a> {
    /// Mandatory-Capability.
    pub mandatory: Vec<u32>,
    /// Optional-Capability.
    pub optional: Vec<u32>,
    /// Server-Name inside the group: the operator's list, in order.
    pub server_names: Vec<&'a str>,
}

impl<'a> Uar<'a> {
    /// Command code.
    pub const COMMAND: u32 = 300;

    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}

impl<'a> Uaa<'a> {
    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}
