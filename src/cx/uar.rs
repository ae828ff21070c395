//! User-Authorization-Request and -Answer (command 300).

use super::envelope::{RequestParts, once, required};
use super::serving::{self, Serving};
use super::{CxResult, Envelope, RequestEnvelope, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

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
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = RequestParts::default();
        let (mut impi, mut impu, mut visited_network, mut authorization_type, mut flags) =
            (None, None, None, None, None);
        Avps::of(message).try_each(|avp| match (avp.vendor, avp.code) {
            (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8),
            (VENDOR, d::PUBLIC_IDENTITY) => once(&mut impu, avp, Avp::utf8),
            (VENDOR, d::VISITED_NETWORK_IDENTIFIER) => once(&mut visited_network, avp, Avp::octets),
            (VENDOR, d::USER_AUTHORIZATION_TYPE) => once(&mut authorization_type, avp, UserAuthorizationType::decode),
            (VENDOR, d::UAR_FLAGS) => once(&mut flags, avp, Avp::u32),
            _ => common.take(avp),
        })?;
        Ok(Self {
            envelope: common.finish()?,
            impi: required(impi, d::USER_NAME, 0)?,
            impu: required(impu, d::PUBLIC_IDENTITY, VENDOR)?,
            visited_network: required(visited_network, d::VISITED_NETWORK_IDENTIFIER, VENDOR)?,
            authorization_type: authorization_type.unwrap_or_default(),
            emergency: flags.unwrap_or(0) & EMERGENCY != 0,
        })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        w.octets(d::USER_NAME, 0, true, self.impi.as_bytes());
        w.octets(d::PUBLIC_IDENTITY, VENDOR, true, self.impu.as_bytes());
        w.octets(d::VISITED_NETWORK_IDENTIFIER, VENDOR, true, self.visited_network);
        w.u32(d::USER_AUTHORIZATION_TYPE, VENDOR, true, self.authorization_type as u32);
        if self.emergency {
            w.u32(d::UAR_FLAGS, VENDOR, false, EMERGENCY);
        }
    }
}

impl<'a> Uaa<'a> {
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

impl UserAuthorizationType {
    pub(super) fn decode(avp: &Avp<'_>) -> Result<Self, Fault> {
        Ok(match avp.u32()? {
            0 => Self::Registration,
            1 => Self::DeRegistration,
            2 => Self::RegistrationAndCapabilities,
            _ => return Err(Fault::invalid_value(avp)),
        })
    }
}

impl<'a> Capabilities<'a> {
    pub(super) fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let mut this = Self::default();
        for avp in group.group() {
            let avp = avp?;
            match (avp.vendor, avp.code) {
                (VENDOR, d::MANDATORY_CAPABILITY) => this.mandatory.push(avp.u32()?),
                (VENDOR, d::OPTIONAL_CAPABILITY) => this.optional.push(avp.u32()?),
                (VENDOR, d::SERVER_NAME) => this.server_names.push(avp.utf8()?),
                _ => {}
            }
        }
        Ok(this)
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.group(d::SERVER_CAPABILITIES, VENDOR, true, |w| {
            for n in &self.mandatory {
                w.u32(d::MANDATORY_CAPABILITY, VENDOR, true, *n);
            }
            for n in &self.optional {
                w.u32(d::OPTIONAL_CAPABILITY, VENDOR, true, *n);
            }
            for name in &self.server_names {
                w.octets(d::SERVER_NAME, VENDOR, true, name.as_bytes());
            }
        });
    }
}

/// UAR-Flags bit 0: IMS emergency registration.
const EMERGENCY: u32 = 1;
