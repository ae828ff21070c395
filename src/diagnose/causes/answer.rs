//! What SIP and Diameter answers say in short.

use crate::cx::CxResult;
use crate::diameter::Avps;
use crate::diameter::dictionary as d;
use crate::sip::StartLine;
use crate::trace::story::Message;

/// The reason phrase of a response.
pub(super) fn reason(response: Message<'_>) -> &str {
    match response.sip().map(|sip| sip.start()) {
        Some(StartLine::Response { reason, .. }) => reason,
        _ => "",
    }
}

/// Result-Code, or Experimental-Result-Code of whatever vendor.
pub(super) fn code(answer: Message<'_>) -> Option<CxResult> {
    let avps = Avps::of(&answer.record().bytes);
    if let Some(base) = avps.find(d::RESULT_CODE, 0) {
        return base.u32().ok().map(CxResult::Base);
    }
    let group = avps.find(d::EXPERIMENTAL_RESULT, 0)?;
    let code = group.group().filter_map(Result::ok).find(|avp| avp.code == d::EXPERIMENTAL_RESULT_CODE)?;
    code.u32().ok().map(CxResult::Experimental)
}
