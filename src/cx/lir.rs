//! Location-Info-Request and -Answer (command 302).

use super::envelope::{RequestParts, once, required};
use super::serving::{self, Serving};
use super::uar::Capabilities;
use super::{CxResult, Envelope, RequestEnvelope, UserAuthorizationType, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

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
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = RequestParts::default();
        let (mut impu, mut originating, mut authorization_type) = (None, None, None);
        for avp in Avps::of(message) {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (VENDOR, d::PUBLIC_IDENTITY) => once(&mut impu, avp, Avp::utf8)?,
                (VENDOR, d::ORIGINATING_REQUEST) => once(&mut originating, avp, |avp| avp.enumerated(0))?,
                (VENDOR, d::USER_AUTHORIZATION_TYPE) => {
                    once(&mut authorization_type, avp, UserAuthorizationType::decode)?;
                }
                _ => common.take(avp)?,
            }
        }
        Ok(Self {
            envelope: common.finish()?,
            impu: required(impu, d::PUBLIC_IDENTITY, VENDOR)?,
            originating: originating.is_some(),
            authorization_type,
        })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        if self.originating {
            w.u32(d::ORIGINATING_REQUEST, VENDOR, true, 0);
        }
        w.octets(d::PUBLIC_IDENTITY, VENDOR, true, self.impu.as_bytes());
        if let Some(kind) = self.authorization_type {
            w.u32(d::USER_AUTHORIZATION_TYPE, VENDOR, true, kind as u32);
        }
    }
}

impl<'a> Lia<'a> {
    /// Reads a whole message.
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let Serving { envelope, result, server_name, capabilities } = Serving::decode(message)?;
        Ok(Self { envelope, result, server_name, capabilities })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        serving::encode(&self.envelope, self.result, self.server_name, self.capabilities.as_ref(), w);
    }
}
