//! Server-Assignment-Request and -Answer (command 301).

use super::{CxResult, Envelope, RequestEnvelope};
use crate::diameter::{Fault, Writer};

/// Server-Assignment-Type 614.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum ServerAssignmentType {
    NoAssignment,
    Registration,
    ReRegistration,
    UnregisteredUser,
    TimeoutDeregistration,
    UserDeregistration,
    TimeoutDeregistrationStoreServerName,
    UserDeregistrationStoreServerName,
    AdministrativeDeregistration,
    AuthenticationFailure,
    AuthenticationTimeout,
    DeregistrationTooMuchData,
}

/// SAR, from the S-CSCF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sar<'a> {
    /// Common AVPs.
    pub envelope: RequestEnvelope<'a>,
    /// User-Name: the IMPI.
    pub impi: Option<&'a str>,
    /// Public-Identity.
    pub impus: Vec<&'a str>,
    /// Server-Name.
    pub server_name: &'a str,
    /// Server-Assignment-Type.
    pub assignment: ServerAssignmentType,
    /// User-Data-Already-Available.
    pub user_data_already_available: bool,
}

/// Charging-Information 618.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charging<'a> {
    /// Primary-Event-Charging-Function-Name.
    pub primary_event: Option<&'a str>,
    /// Secondary-Event-Charging-Function-Name.
    pub secondary_event: Option<&'a str>,
    /// Primary-Charging-Collection-Function-Name.
    pub primary_collection: Option<&'a str>,
    /// Secondary-Charging-Collection-Function-Name.
    pub secondary_collection: Option<&'a str>,
}

/// SAA, from the HSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saa<'a> {
    /// Common AVPs.
    pub envelope: Envelope<'a>,
    /// Outcome.
    pub result: CxResult,
    /// User-Name.
    pub impi: Option<&'a str>,
    /// Server-Name: with 5005, the S-CSCF that is stored.
    pub server_name: Option<&'a str>,
    /// User-Data: XML, see [`super::user_data`].
    pub user_data: Option<&'a [u8]>,
    /// Charging-Information.
    pub charging: Option<Charging<'a>>,
    /// Associated-Identities: the other IMPIs of the subscription.
    pub associated_identities: Vec<&'a str>,
}

impl<'a> Sar<'a> {
    /// Command code.
    pub const COMMAND: u32 = 301;

    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}

impl<'a> Saa<'a> {
    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}
