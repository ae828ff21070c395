//! Who serves a user: what UAA and LIA tell, in the same AVPs (TS 29.229 clauses 6.1.2 and 6.1.6).

use super::envelope::{AnswerParts, once};
use super::{Capabilities, CxResult, Envelope, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

/// The AVPs of either answer.
pub(super) struct Serving<'a> {
    pub(super) envelope: Envelope<'a>,
    pub(super) result: CxResult,
    pub(super) server_name: Option<&'a str>,
    pub(super) capabilities: Option<Capabilities<'a>>,
}

impl<'a> Serving<'a> {
    pub(super) fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = AnswerParts::default();
        let (mut server_name, mut capabilities) = (None, None);
        Avps::of(message).try_each(|avp| match (avp.vendor, avp.code) {
            (VENDOR, d::SERVER_NAME) => once(&mut server_name, avp, Avp::utf8),
            (VENDOR, d::SERVER_CAPABILITIES) => once(&mut capabilities, avp, Capabilities::decode),
            _ => common.take(avp),
        })?;
        let (envelope, result) = common.finish()?;
        Ok(Self { envelope, result, server_name, capabilities })
    }
}

/// Writes every AVP of either answer.
pub(super) fn encode(
    envelope: &Envelope<'_>,
    result: CxResult,
    server_name: Option<&str>,
    capabilities: Option<&Capabilities<'_>>,
    w: &mut Writer<'_>,
) {
    envelope.encode(w);
    result.encode(w);
    if let Some(name) = server_name {
        w.octets(d::SERVER_NAME, VENDOR, true, name.as_bytes());
    }
    if let Some(capabilities) = capabilities {
        capabilities.encode(w);
    }
}
