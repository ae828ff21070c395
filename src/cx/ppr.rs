//! Push-Profile-Request and -Answer (command 305).

use super::mar::AuthItem;
use super::sar::Charging;
use super::{CxResult, Envelope, RequestEnvelope};
use crate::diameter::{Fault, Writer};

/// PPR, from the HSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ppr<'a> {
    /// Common AVPs.
    pub envelope: RequestEnvelope<'a>,
    /// User-Name: the IMPI.
    pub impi: &'a str,
    /// User-Data.
    pub user_data: Option<&'a [u8]>,
    /// Charging-Information.
    pub charging: Option<Charging<'a>>,
    /// SIP-Auth-Data-Item.
    pub auth: Option<AuthItem<'a>>,
}

/// PPA, from the S-CSCF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ppa<'a> {
    /// Common AVPs.
    pub envelope: Envelope<'a>,
    /// Outcome.
    pub result: CxResult,
}

impl<'a> Ppr<'a> {
    /// Command code.
    pub const COMMAND: u32 = 305;

    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}

impl<'a> Ppa<'a> {
    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}
