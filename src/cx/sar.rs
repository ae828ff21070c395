//! Server-Assignment-Request and -Answer (command 301).

use super::envelope::{AnswerParts, RequestParts, once, required};
use super::restoration::{self, RESTORATION_FEATURE, SHARED_IFC_FEATURE, ScscfRestorationInfo};
use super::{CxResult, Envelope, RequestEnvelope, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

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
    /// Supported-Features with IMSRestorationInd.
    pub supports_restoration: bool,
    /// Supported-Features with SiFC: SharedIFCSetID is understood.
    pub supports_shared_ifc: bool,
    /// Multiple-Registration-Indication: a Contact beside others, by reg-id.
    pub multiple_registration: bool,
    /// SCSCF-Restoration-Info.
    pub restoration: Option<Box<ScscfRestorationInfo<'a>>>,
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
    /// Supported-Features with IMSRestorationInd.
    pub supports_restoration: bool,
    /// SCSCF-Restoration-Info: one for each private identity with which the public ones are registered.
    pub restoration: Vec<ScscfRestorationInfo<'a>>,
}

impl<'a> Sar<'a> {
    /// Command code.
    pub const COMMAND: u32 = 301;

    /// Reads a whole message.
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = RequestParts::default();
        let (mut impi, mut impus, mut server_name) = (None, Vec::new(), None);
        let (mut assignment, mut available) = (None, None);
        let (mut features, mut multiple, mut restoration) = (0, None, None);
        Avps::of(message).try_each(|avp| match (avp.vendor, avp.code) {
            (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8),
            (VENDOR, d::PUBLIC_IDENTITY) => {
                if impus.is_empty() {
                    impus.reserve_exact(1);
                }
                impus.push(avp.utf8()?);
                Ok(())
            }
            (VENDOR, d::SERVER_NAME) => once(&mut server_name, avp, Avp::utf8),
            (VENDOR, d::SERVER_ASSIGNMENT_TYPE) => once(&mut assignment, avp, ServerAssignmentType::decode),
            (VENDOR, d::USER_DATA_ALREADY_AVAILABLE) => once(&mut available, avp, |avp| avp.enumerated(1)),
            (VENDOR, d::SUPPORTED_FEATURES) => {
                features |= restoration::features(avp)?;
                common.take(avp)
            }
            (VENDOR, d::MULTIPLE_REGISTRATION_INDICATION) => once(&mut multiple, avp, |avp| avp.enumerated(1)),
            (VENDOR, d::SCSCF_RESTORATION_INFO) => {
                once(&mut restoration, avp, |avp| ScscfRestorationInfo::decode(avp).map(Box::new))
            }
            _ => common.take(avp),
        })?;
        let envelope = common.finish()?;
        let server_name = required(server_name, d::SERVER_NAME, VENDOR)?;
        let assignment = required(assignment, d::SERVER_ASSIGNMENT_TYPE, VENDOR)?;
        let available = required(available, d::USER_DATA_ALREADY_AVAILABLE, VENDOR)?;
        // TS 29.228 table 6.1.2.1: which of the two identities must be there follows from the type.
        if impus.is_empty() && (assignment.is_for_one_identity() || impi.is_none()) {
            return Err(Fault::missing(d::PUBLIC_IDENTITY, VENDOR));
        }
        if assignment.is_registration() {
            required(impi, d::USER_NAME, 0)?;
        }
        Ok(Self {
            envelope,
            impi,
            impus,
            server_name,
            assignment,
            user_data_already_available: available == 1,
            supports_restoration: features & RESTORATION_FEATURE != 0,
            supports_shared_ifc: features & SHARED_IFC_FEATURE != 0,
            multiple_registration: multiple == Some(1),
            restoration,
        })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        if let Some(impi) = self.impi {
            w.octets(d::USER_NAME, 0, true, impi.as_bytes());
        }
        for impu in &self.impus {
            w.octets(d::PUBLIC_IDENTITY, VENDOR, true, impu.as_bytes());
        }
        w.octets(d::SERVER_NAME, VENDOR, true, self.server_name.as_bytes());
        w.u32(d::SERVER_ASSIGNMENT_TYPE, VENDOR, true, self.assignment as u32);
        w.u32(d::USER_DATA_ALREADY_AVAILABLE, VENDOR, true, u32::from(self.user_data_already_available));
        let mut features = if self.supports_restoration { RESTORATION_FEATURE } else { 0 };
        if self.supports_shared_ifc {
            features |= SHARED_IFC_FEATURE;
        }
        if features != 0 {
            restoration::encode_features(features, w);
        }
        if self.multiple_registration {
            w.u32(d::MULTIPLE_REGISTRATION_INDICATION, VENDOR, false, 1);
        }
        if let Some(restoration) = &self.restoration {
            restoration.encode(w);
        }
    }
}

impl<'a> Saa<'a> {
    /// Reads a whole message.
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = AnswerParts::default();
        let (mut impi, mut server_name, mut user_data) = (None, None, None);
        let (mut charging, mut identities) = (None, None);
        let (mut supports_restoration, mut restoration) = (false, Vec::new());
        Avps::of(message).try_each(|avp| match (avp.vendor, avp.code) {
            (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8),
            (VENDOR, d::SERVER_NAME) => once(&mut server_name, avp, Avp::utf8),
            (VENDOR, d::USER_DATA) => once(&mut user_data, avp, Avp::octets),
            (VENDOR, d::CHARGING_INFORMATION) => once(&mut charging, avp, Charging::decode),
            (VENDOR, d::ASSOCIATED_IDENTITIES) => once(&mut identities, avp, decode_user_names),
            (VENDOR, d::SUPPORTED_FEATURES) => {
                supports_restoration |= restoration::features(avp)? & RESTORATION_FEATURE != 0;
                Ok(())
            }
            (VENDOR, d::SCSCF_RESTORATION_INFO) => {
                restoration.push(ScscfRestorationInfo::decode(avp)?);
                Ok(())
            }
            _ => common.take(avp),
        })?;
        let (envelope, result) = common.finish()?;
        let associated_identities = identities.unwrap_or_default();
        Ok(Self {
            envelope,
            result,
            impi,
            server_name,
            user_data,
            charging,
            associated_identities,
            supports_restoration,
            restoration,
        })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        self.result.encode(w);
        if let Some(impi) = self.impi {
            w.octets(d::USER_NAME, 0, true, impi.as_bytes());
        }
        if let Some(name) = self.server_name {
            w.octets(d::SERVER_NAME, VENDOR, true, name.as_bytes());
        }
        if let Some(xml) = self.user_data {
            w.octets(d::USER_DATA, VENDOR, true, xml);
        }
        if let Some(charging) = &self.charging {
            charging.encode(w);
        }
        encode_user_names(&self.associated_identities, w);
        if self.supports_restoration {
            restoration::encode_features(RESTORATION_FEATURE, w);
        }
        for restoration in &self.restoration {
            restoration.encode(w);
        }
    }
}

impl ServerAssignmentType {
    /// True for the types that concern exactly one public identity (TS 29.229 clause 6.3.15).
    pub const fn is_for_one_identity(self) -> bool {
        matches!(self, Self::NoAssignment | Self::UnregisteredUser | Self::AuthenticationFailure)
            || matches!(self, Self::AuthenticationTimeout)
            || self.is_registration()
    }

    /// True for a first registration and a refresh.
    pub const fn is_registration(self) -> bool {
        matches!(self, Self::Registration | Self::ReRegistration)
    }

    fn decode(avp: &Avp<'_>) -> Result<Self, Fault> {
        Ok(match avp.u32()? {
            0 => Self::NoAssignment,
            1 => Self::Registration,
            2 => Self::ReRegistration,
            3 => Self::UnregisteredUser,
            4 => Self::TimeoutDeregistration,
            5 => Self::UserDeregistration,
            6 => Self::TimeoutDeregistrationStoreServerName,
            7 => Self::UserDeregistrationStoreServerName,
            8 => Self::AdministrativeDeregistration,
            9 => Self::AuthenticationFailure,
            10 => Self::AuthenticationTimeout,
            11 => Self::DeregistrationTooMuchData,
            // 12 to 14 belong to SWx.
            _ => return Err(Fault::invalid_value(avp)),
        })
    }
}

impl<'a> Charging<'a> {
    pub(super) fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let mut this = Self::default();
        for avp in group.group() {
            let avp = &avp?;
            let slot = match (avp.vendor, avp.code) {
                (VENDOR, d::PRIMARY_EVENT_CHARGING_FUNCTION_NAME) => &mut this.primary_event,
                (VENDOR, d::SECONDARY_EVENT_CHARGING_FUNCTION_NAME) => &mut this.secondary_event,
                (VENDOR, d::PRIMARY_CHARGING_COLLECTION_FUNCTION_NAME) => &mut this.primary_collection,
                (VENDOR, d::SECONDARY_CHARGING_COLLECTION_FUNCTION_NAME) => &mut this.secondary_collection,
                _ => continue,
            };
            once(slot, avp, Avp::utf8)?;
        }
        Ok(this)
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.group(d::CHARGING_INFORMATION, VENDOR, true, |w| {
            for (code, name) in [
                (d::PRIMARY_EVENT_CHARGING_FUNCTION_NAME, self.primary_event),
                (d::SECONDARY_EVENT_CHARGING_FUNCTION_NAME, self.secondary_event),
                (d::PRIMARY_CHARGING_COLLECTION_FUNCTION_NAME, self.primary_collection),
                (d::SECONDARY_CHARGING_COLLECTION_FUNCTION_NAME, self.secondary_collection),
            ] {
                if let Some(name) = name {
                    w.octets(code, VENDOR, true, name.as_bytes());
                }
            }
        });
    }
}

/// Reads Associated-Identities.
pub(super) fn decode_user_names<'a>(group: &Avp<'a>) -> Result<Vec<&'a str>, Fault> {
    let mut names = Vec::new();
    for avp in group.group() {
        let avp = avp?;
        if (avp.vendor, avp.code) == (0, d::USER_NAME) {
            names.push(avp.utf8()?);
        }
    }
    Ok(names)
}

/// Writes Associated-Identities, if there are any.
pub(super) fn encode_user_names(names: &[&str], w: &mut Writer<'_>) {
    if !names.is_empty() {
        w.group(d::ASSOCIATED_IDENTITIES, VENDOR, false, |w| {
            for name in names {
                w.octets(d::USER_NAME, 0, true, name.as_bytes());
            }
        });
    }
}
