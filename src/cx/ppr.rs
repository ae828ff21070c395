//! Push-Profile-Request and -Answer (command 305).

use super::envelope::{AnswerParts, RequestParts, once, required};
use super::mar::AuthItem;
use super::sar::Charging;
use super::{CxResult, Envelope, RequestEnvelope, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

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
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = RequestParts::default();
        let (mut impi, mut user_data, mut charging, mut auth) = (None, None, None, None);
        for avp in Avps::of(message) {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8)?,
                (VENDOR, d::USER_DATA) => once(&mut user_data, avp, Avp::octets)?,
                (VENDOR, d::CHARGING_INFORMATION) => once(&mut charging, avp, Charging::decode)?,
                (VENDOR, d::SIP_AUTH_DATA_ITEM) => once(&mut auth, avp, AuthItem::decode)?,
                _ => common.take(avp)?,
            }
        }
        let envelope = common.finish()?;
        Ok(Self { envelope, impi: required(impi, d::USER_NAME, 0)?, user_data, charging, auth })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        w.octets(d::USER_NAME, 0, true, self.impi.as_bytes());
        if let Some(xml) = self.user_data {
            w.octets(d::USER_DATA, VENDOR, true, xml);
        }
        if let Some(charging) = &self.charging {
            charging.encode(w);
        }
        if let Some(item) = &self.auth {
            item.encode(w);
        }
    }
}

impl<'a> Ppa<'a> {
    /// Reads a whole message.
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = AnswerParts::default();
        for avp in Avps::of(message) {
            common.take(&avp?)?;
        }
        let (envelope, result) = common.finish()?;
        Ok(Self { envelope, result })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        self.result.encode(w);
    }
}
