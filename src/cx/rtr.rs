//! Registration-Termination-Request and -Answer (command 304).

use super::{CxResult, Envelope, RequestEnvelope};
use crate::diameter::{Fault, Writer};

/// Reason-Code 616.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum ReasonCode {
    PermanentTermination,
    NewServerAssigned,
    ServerChange,
    RemoveScscf,
}

/// RTR, from the HSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtr<'a> {
    /// Common AVPs.
    pub envelope: RequestEnvelope<'a>,
    /// User-Name: the IMPI.
    pub impi: &'a str,
    /// Public-Identity.
    pub impus: Vec<&'a str>,
    /// Reason-Code.
    pub reason: ReasonCode,
    /// Reason-Info.
    pub reason_info: Option<&'a str>,
    /// Associated-Identities.
    pub associated_identities: Vec<&'a str>,
}

/// RTA, from the S-CSCF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rta<'a> {
    /// Common AVPs.
    pub envelope: Envelope<'a>,
    /// Outcome.
    pub result: CxResult,
    /// Identity-with-Emergency-Registration: IMPI and IMPU.
    pub emergency: Vec<(&'a str, &'a str)>,
}

impl<'a> Rtr<'a> {
    /// Command code.
    pub const COMMAND: u32 = 304;

    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}

impl<'a> Rta<'a> {
    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}
