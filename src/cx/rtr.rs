//! Registration-Termination-Request and -Answer (command 304).

use super::envelope::{AnswerParts, RequestParts, once, required};
use super::sar::{decode_user_names, encode_user_names};
use super::{CxResult, Envelope, RequestEnvelope, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

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
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = RequestParts::default();
        let (mut impi, mut impus, mut reason, mut identities) = (None, Vec::new(), None, None);
        for avp in Avps::of(message) {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8)?,
                (VENDOR, d::PUBLIC_IDENTITY) => impus.push(avp.utf8()?),
                (VENDOR, d::DEREGISTRATION_REASON) => once(&mut reason, avp, decode_reason)?,
                (VENDOR, d::ASSOCIATED_IDENTITIES) => once(&mut identities, avp, decode_user_names)?,
                _ => common.take(avp)?,
            }
        }
        let envelope = common.finish()?;
        let impi = required(impi, d::USER_NAME, 0)?;
        let (reason, reason_info) = required(reason, d::DEREGISTRATION_REASON, VENDOR)?;
        let associated_identities = identities.unwrap_or_default();
        Ok(Self { envelope, impi, impus, reason, reason_info, associated_identities })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        w.octets(d::USER_NAME, 0, true, self.impi.as_bytes());
        encode_user_names(&self.associated_identities, w);
        for impu in &self.impus {
            w.octets(d::PUBLIC_IDENTITY, VENDOR, true, impu.as_bytes());
        }
        w.group(d::DEREGISTRATION_REASON, VENDOR, true, |w| {
            w.u32(d::REASON_CODE, VENDOR, true, self.reason as u32);
            if let Some(info) = self.reason_info {
                w.octets(d::REASON_INFO, VENDOR, true, info.as_bytes());
            }
        });
    }
}

impl<'a> Rta<'a> {
    /// Reads a whole message.
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = AnswerParts::default();
        let mut emergency = Vec::new();
        for avp in Avps::of(message) {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (VENDOR, d::IDENTITY_WITH_EMERGENCY_REGISTRATION) => emergency.push(decode_identity_pair(avp)?),
                _ => common.take(avp)?,
            }
        }
        let (envelope, result) = common.finish()?;
        Ok(Self { envelope, result, emergency })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        self.result.encode(w);
        for (impi, impu) in &self.emergency {
            w.group(d::IDENTITY_WITH_EMERGENCY_REGISTRATION, VENDOR, false, |w| {
                w.octets(d::USER_NAME, 0, true, impi.as_bytes());
                w.octets(d::PUBLIC_IDENTITY, VENDOR, true, impu.as_bytes());
            });
        }
    }
}

/// Reads Deregistration-Reason.
fn decode_reason<'a>(group: &Avp<'a>) -> Result<(ReasonCode, Option<&'a str>), Fault> {
    let (mut code, mut info) = (None, None);
    for avp in group.group() {
        let avp = &avp?;
        match (avp.vendor, avp.code) {
            (VENDOR, d::REASON_CODE) => once(&mut code, avp, ReasonCode::decode)?,
            (VENDOR, d::REASON_INFO) => once(&mut info, avp, Avp::utf8)?,
            _ => {}
        }
    }
    Ok((required(code, d::REASON_CODE, VENDOR)?, info))
}

/// Reads Identity-with-Emergency-Registration.
fn decode_identity_pair<'a>(group: &Avp<'a>) -> Result<(&'a str, &'a str), Fault> {
    let (mut impi, mut impu) = (None, None);
    for avp in group.group() {
        let avp = &avp?;
        match (avp.vendor, avp.code) {
            (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8)?,
            (VENDOR, d::PUBLIC_IDENTITY) => once(&mut impu, avp, Avp::utf8)?,
            _ => {}
        }
    }
    Ok((required(impi, d::USER_NAME, 0)?, required(impu, d::PUBLIC_IDENTITY, VENDOR)?))
}

impl ReasonCode {
    fn decode(avp: &Avp<'_>) -> Result<Self, Fault> {
        Ok(match avp.u32()? {
            0 => Self::PermanentTermination,
            1 => Self::NewServerAssigned,
            2 => Self::ServerChange,
            3 => Self::RemoveScscf,
            _ => return Err(Fault::invalid_value(avp)),
        })
    }
}
