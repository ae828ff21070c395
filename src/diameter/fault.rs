//! What is wrong with a message, and the Result-Code that says so (RFC 6733 clause 7).

use super::avp::{self, Avp, Avps, Writer};
use super::dictionary as d;
use thiserror::Error;

/// A fault with its Result-Code and, where clause 7.1.5 asks for it, the content of Failed-AVP.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{} {code}: {text}", if *.vendor == 0 { "Result-Code" } else { "Experimental-Result" })]
pub struct Fault {
    /// 3xxx or 5xxx.
    pub code: u32,
    /// 0: `code` is a Result-Code. Otherwise it is an Experimental-Result-Code of this vendor.
    pub vendor: u32,
    /// In words, for Error-Message.
    pub text: &'static str,
    /// A whole AVP, header and padding included; for a missing AVP one of minimum size, zero-filled.
    pub failed_avp: Option<Vec<u8>>,
}

impl Fault {
    /// A fault without Failed-AVP.
    pub const fn new(code: u32, text: &'static str) -> Self {
        Self { code, vendor: 0, text, failed_avp: None }
    }

    /// DIAMETER_MISSING_AVP.
    #[cold]
    pub fn missing(code: u32, vendor: u32) -> Self {
        Self::new(5005, "missing AVP").with(avp::zero_filled(code, vendor))
    }

    /// DIAMETER_AVP_OCCURS_TOO_MANY_TIMES: `avp` is the first one too many.
    #[cold]
    pub fn repeated(avp: &Avp<'_>) -> Self {
        Self::new(5009, "AVP occurs too many times").with(avp.raw.to_vec())
    }

    /// DIAMETER_AVP_UNSUPPORTED.
    #[cold]
    pub fn unsupported(avp: &Avp<'_>) -> Self {
        Self::new(5001, "AVP with M not understood").with(avp.raw.to_vec())
    }

    /// DIAMETER_INVALID_AVP_VALUE.
    #[cold]
    pub fn invalid_value(avp: &Avp<'_>) -> Self {
        Self::new(5004, "invalid AVP value").with(avp.raw.to_vec())
    }

    /// DIAMETER_INVALID_AVP_LENGTH: the data does not fit its type.
    #[cold]
    pub fn invalid_length(avp: &Avp<'_>) -> Self {
        Self::new(5014, "invalid AVP length").with(avp.raw.to_vec())
    }

    /// DIAMETER_INVALID_AVP_LENGTH: the AVP at the front of `rest` does not end where it could. What can be read of its
    /// header is given back with zero-filled data of minimum size (RFC 6733 clause 7.1.5).
    #[cold]
    pub fn broken(rest: &[u8]) -> Self {
        let fault = Self::new(5014, "AVP length beyond its message, or below its header");
        let Some(head) = rest.first_chunk::<8>() else { return fault };
        let code = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let vendor = match rest.get(8..12) {
            Some(v) if head[4] & 0x80 != 0 => u32::from_be_bytes([v[0], v[1], v[2], v[3]]),
            _ => 0,
        };
        fault.with(avp::zero_filled(code, vendor))
    }

    /// True for 3xxx: the answer sets the E bit (RFC 6733 clause 7.1.3).
    pub const fn is_protocol_error(&self) -> bool {
        self.vendor == 0 && self.code / 1000 == 3
    }

    /// Writes Result-Code or Experimental-Result, Error-Message and Failed-AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        if self.vendor == 0 {
            w.u32(d::RESULT_CODE, 0, true, self.code);
        } else {
            w.group(d::EXPERIMENTAL_RESULT, 0, true, |w| {
                w.u32(d::VENDOR_ID, 0, true, self.vendor).u32(d::EXPERIMENTAL_RESULT_CODE, 0, true, self.code);
            });
        }
        w.octets(d::ERROR_MESSAGE, 0, false, self.text.as_bytes());
        if let Some(avp) = &self.failed_avp {
            w.group(d::FAILED_AVP, 0, true, |w| {
                w.raw(avp);
            });
        }
    }

    /// Writes the answer of RFC 6733 clause 7.2: Session-Id if `request` has one, Origin-Host, Origin-Realm, the fault.
    pub fn encode_answer(&self, request: &[u8], origin_host: &str, origin_realm: &str, w: &mut Writer<'_>) {
        encode_session_id(request, w);
        w.octets(d::ORIGIN_HOST, 0, true, origin_host.as_bytes());
        w.octets(d::ORIGIN_REALM, 0, true, origin_realm.as_bytes());
        self.encode(w);
    }

    #[must_use]
    fn with(mut self, failed_avp: Vec<u8>) -> Self {
        let padded = failed_avp.len().next_multiple_of(4);
        let mut failed_avp = failed_avp;
        failed_avp.resize(padded, 0);
        self.failed_avp = Some(failed_avp);
        self
    }
}

/// Copies the Session-Id of `request`, if it has one, to the front of an answer.
pub fn encode_session_id(request: &[u8], w: &mut Writer<'_>) {
    if let Some(session) = Avps::of(request).find(d::SESSION_ID, 0) {
        w.octets(d::SESSION_ID, 0, true, session.data);
    }
}
