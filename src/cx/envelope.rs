//! The AVPs that every Cx message has.

use super::{APPLICATION, CxResult, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::fault::encode_session_id;
use crate::diameter::{Avp, Fault, Header, Writer};

/// What every request carries besides its own AVPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEnvelope<'a> {
    /// Session-Id.
    pub session_id: &'a str,
    /// Origin-Host.
    pub origin_host: &'a str,
    /// Origin-Realm.
    pub origin_realm: &'a str,
    /// Destination-Host; the S-CSCF learns it from the first answer.
    pub destination_host: Option<&'a str>,
    /// Destination-Realm.
    pub destination_realm: &'a str,
}

/// What every answer carries besides its own AVPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Session-Id of the request.
    pub session_id: &'a str,
    /// Origin-Host.
    pub origin_host: &'a str,
    /// Origin-Realm.
    pub origin_realm: &'a str,
}

impl<'a> RequestEnvelope<'a> {
    /// That of a request from `origin` (host and realm) to `destination`: a host, where one is known, of a realm.
    pub const fn new(
        session_id: &'a str,
        (origin_host, origin_realm): (&'a str, &'a str),
        (destination_host, destination_realm): (Option<&'a str>, &'a str),
    ) -> Self {
        Self { session_id, origin_host, origin_realm, destination_host, destination_realm }
    }

    /// Writes Session-Id, Vendor-Specific-Application-Id, Auth-Session-State, Origin-*, Destination-*.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.octets(d::SESSION_ID, 0, true, self.session_id.as_bytes());
        w.raw(&APPLICATION_AVPS);
        w.octets(d::ORIGIN_HOST, 0, true, self.origin_host.as_bytes());
        w.octets(d::ORIGIN_REALM, 0, true, self.origin_realm.as_bytes());
        if let Some(host) = self.destination_host {
            w.octets(d::DESTINATION_HOST, 0, true, host.as_bytes());
        }
        w.octets(d::DESTINATION_REALM, 0, true, self.destination_realm.as_bytes());
    }
}

impl Envelope<'_> {
    /// Writes Session-Id, Vendor-Specific-Application-Id, Auth-Session-State, Origin-*.
    pub fn encode(&self, w: &mut Writer<'_>) {
        w.octets(d::SESSION_ID, 0, true, self.session_id.as_bytes());
        w.raw(&APPLICATION_AVPS);
        w.octets(d::ORIGIN_HOST, 0, true, self.origin_host.as_bytes());
        w.octets(d::ORIGIN_REALM, 0, true, self.origin_realm.as_bytes());
    }
}

/// Writes an answer that reports `fault`: Session-Id (if the request had one), Origin-*, Result-Code, Error-Message,
/// Failed-AVP. The caller sets the E bit for 3xxx ([`Fault::is_protocol_error`]).
pub fn encode_fault(
    fault: &Fault,
    request: &[u8],
    header: &Header,
    origin_host: &str,
    origin_realm: &str,
    w: &mut Writer<'_>,
) {
    if fault.is_protocol_error() || header.application != APPLICATION {
        return fault.encode_answer(request, origin_host, origin_realm, w);
    }
    // Without E the answer follows the command's own grammar, which wants these two as well.
    encode_session_id(request, w);
    w.raw(&APPLICATION_AVPS);
    w.octets(d::ORIGIN_HOST, 0, true, origin_host.as_bytes());
    w.octets(d::ORIGIN_REALM, 0, true, origin_realm.as_bytes());
    fault.encode(w);
    if fault.vendor == VENDOR && fault.code == FEATURE_UNSUPPORTED {
        // TS 29.229 clause 7.2.3: the answer names what is supported.
        w.group(d::SUPPORTED_FEATURES, VENDOR, false, |w| {
            w.u32(d::VENDOR_ID, 0, true, VENDOR);
            w.u32(d::FEATURE_LIST_ID, VENDOR, false, 1).u32(d::FEATURE_LIST, VENDOR, false, SUPPORTED_FEATURES);
        });
    }
}

/// Vendor-Specific-Application-Id and Auth-Session-State, the same octets in every message.
#[rustfmt::skip]
const APPLICATION_AVPS: [u8; 44] = [
    // Vendor-Specific-Application-Id 260: Vendor-Id 266, 10415; Auth-Application-Id 258, 16777216.
    0, 0, 1, 4, 0x40, 0, 0, 32,
    0, 0, 1, 10, 0x40, 0, 0, 12, 0, 0, 0x28, 0xaf,
    0, 0, 1, 2, 0x40, 0, 0, 12, 1, 0, 0, 0,
    // Auth-Session-State 277: NO_STATE_MAINTAINED.
    0, 0, 1, 21, 0x40, 0, 0, 12, 0, 0, 0, 1,
];

/// Collects the common AVPs of a request while it is read.
#[derive(Default)]
pub(super) struct RequestParts<'a> {
    session_id: Option<&'a str>,
    application: Option<()>,
    session_state: Option<u32>,
    origin_host: Option<&'a str>,
    origin_realm: Option<&'a str>,
    destination_host: Option<&'a str>,
    destination_realm: Option<&'a str>,
}

impl<'a> RequestParts<'a> {
    /// Takes an AVP that the command itself does not use.
    #[inline]
    pub(super) fn take(&mut self, avp: &Avp<'a>) -> Result<(), Fault> {
        match (avp.vendor, avp.code) {
            (0, d::SESSION_ID) => once(&mut self.session_id, avp, Avp::utf8),
            (0, d::VENDOR_SPECIFIC_APPLICATION_ID) => once(&mut self.application, avp, |avp| avp.group().check()),
            (0, d::AUTH_SESSION_STATE) => once(&mut self.session_state, avp, |avp| avp.enumerated(1)),
            (0, d::ORIGIN_HOST) => once(&mut self.origin_host, avp, Avp::utf8),
            (0, d::ORIGIN_REALM) => once(&mut self.origin_realm, avp, Avp::utf8),
            (0, d::DESTINATION_HOST) => once(&mut self.destination_host, avp, Avp::utf8),
            (0, d::DESTINATION_REALM) => once(&mut self.destination_realm, avp, Avp::utf8),
            _ if avp.mandatory => other_with_m(avp),
            _ => Ok(()),
        }
    }

    /// The envelope, once every AVP was seen.
    pub(super) fn finish(self) -> Result<RequestEnvelope<'a>, Fault> {
        let session_id = required(self.session_id, d::SESSION_ID, 0)?;
        required(self.application, d::VENDOR_SPECIFIC_APPLICATION_ID, 0)?;
        required(self.session_state, d::AUTH_SESSION_STATE, 0)?;
        Ok(RequestEnvelope {
            session_id,
            origin_host: required(self.origin_host, d::ORIGIN_HOST, 0)?,
            origin_realm: required(self.origin_realm, d::ORIGIN_REALM, 0)?,
            destination_host: self.destination_host,
            destination_realm: required(self.destination_realm, d::DESTINATION_REALM, 0)?,
        })
    }
}

/// An AVP with M that no command reads: fine if the dictionary has it.
#[cold]
fn other_with_m(avp: &Avp<'_>) -> Result<(), Fault> {
    if d::lookup(avp.code, avp.vendor).is_none() {
        return Err(Fault::unsupported(avp));
    }
    if avp.vendor == VENDOR && avp.code == d::SUPPORTED_FEATURES {
        // M: the sender requires these features (TS 29.229 clause 7.2.1).
        for inner in avp.group() {
            let inner = inner?;
            if inner.code == d::FEATURE_LIST && inner.u32()? & !SUPPORTED_FEATURES != 0 {
                let fault = Fault::new(FEATURE_UNSUPPORTED, "a required feature is not supported");
                return Err(Fault { vendor: VENDOR, ..fault });
            }
        }
    }
    Ok(())
}

/// Collects the common AVPs of an answer while it is read. Others are ignored, with M or not: there is nobody to tell.
#[derive(Default)]
pub(super) struct AnswerParts<'a> {
    session_id: Option<&'a str>,
    origin_host: Option<&'a str>,
    origin_realm: Option<&'a str>,
    result: Option<CxResult>,
}

impl<'a> AnswerParts<'a> {
    /// Takes an AVP that the command itself does not use.
    #[inline]
    pub(super) fn take(&mut self, avp: &Avp<'a>) -> Result<(), Fault> {
        match (avp.vendor, avp.code) {
            (0, d::SESSION_ID) => once(&mut self.session_id, avp, Avp::utf8),
            (0, d::ORIGIN_HOST) => once(&mut self.origin_host, avp, Avp::utf8),
            (0, d::ORIGIN_REALM) => once(&mut self.origin_realm, avp, Avp::utf8),
            (0, d::RESULT_CODE) => once(&mut self.result, avp, |avp| avp.u32().map(CxResult::Base)),
            // Some HSSs set V here.
            (0 | VENDOR, d::EXPERIMENTAL_RESULT) => once(&mut self.result, avp, CxResult::decode_experimental),
            _ => Ok(()),
        }
    }

    /// The envelope and the outcome, once every AVP was seen. An answer of a relay may lack Session-Id
    /// (RFC 6733 clause 7.2): it is empty then.
    pub(super) fn finish(self) -> Result<(Envelope<'a>, CxResult), Fault> {
        let envelope = Envelope {
            session_id: self.session_id.unwrap_or_default(),
            origin_host: required(self.origin_host, d::ORIGIN_HOST, 0)?,
            origin_realm: required(self.origin_realm, d::ORIGIN_REALM, 0)?,
        };
        Ok((envelope, required(self.result, d::RESULT_CODE, 0)?))
    }
}

/// Fills `slot`; 5009 if that has happened before.
#[inline]
pub(super) fn once<'a, T>(
    slot: &mut Option<T>,
    avp: &Avp<'a>,
    read: impl FnOnce(&Avp<'a>) -> Result<T, Fault>,
) -> Result<(), Fault> {
    if slot.is_some() {
        return Err(Fault::repeated(avp));
    }
    *slot = Some(read(avp)?);
    Ok(())
}

/// What must be there; 5005 if it is not.
#[inline]
pub(super) fn required<T>(slot: Option<T>, code: u32, vendor: u32) -> Result<T, Fault> {
    match slot {
        Some(value) => Ok(value),
        None => Err(Fault::missing(code, vendor)),
    }
}

/// DIAMETER_ERROR_FEATURE_UNSUPPORTED.
const FEATURE_UNSUPPORTED: u32 = 5011;
/// Feature-List 1 of TS 29.229 clause 7.2.3.
const SUPPORTED_FEATURES: u32 = super::restoration::RESTORATION_FEATURE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_avps_of_the_application_are_those_that_the_writer_writes() {
        let mut out = Vec::new();
        let mut w = Writer::avps(&mut out);
        w.group(d::VENDOR_SPECIFIC_APPLICATION_ID, 0, true, |w| {
            w.u32(d::VENDOR_ID, 0, true, VENDOR).u32(d::AUTH_APPLICATION_ID, 0, true, APPLICATION);
        });
        w.u32(d::AUTH_SESSION_STATE, 0, true, 1);
        assert_eq!(out, APPLICATION_AVPS);
    }
}
