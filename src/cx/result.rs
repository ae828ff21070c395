//! Result-Code or Experimental-Result.

use super::VENDOR;
use super::envelope::required;
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Fault, Writer};
use std::fmt;

/// The outcome of a Cx command. The same number means different things in the two AVPs (diameter-cx.md section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CxResult {
    /// Result-Code 268.
    Base(u32),
    /// Experimental-Result 297 of vendor 10415.
    Experimental(u32),
}

#[expect(missing_docs, reason = "the names are those of the standard")]
impl CxResult {
    pub const SUCCESS: Self = Self::Base(2001);
    pub const LIMITED_SUCCESS: Self = Self::Base(2002);
    pub const AUTHORIZATION_REJECTED: Self = Self::Base(5003);
    pub const AVP_OCCURS_TOO_MANY_TIMES: Self = Self::Base(5009);
    pub const UNABLE_TO_COMPLY: Self = Self::Base(5012);
    pub const FIRST_REGISTRATION: Self = Self::Experimental(2001);
    pub const SUBSEQUENT_REGISTRATION: Self = Self::Experimental(2002);
    pub const UNREGISTERED_SERVICE: Self = Self::Experimental(2003);
    pub const SERVER_NAME_NOT_STORED: Self = Self::Experimental(2004);
    pub const USER_UNKNOWN: Self = Self::Experimental(5001);
    pub const IDENTITIES_DONT_MATCH: Self = Self::Experimental(5002);
    pub const IDENTITY_NOT_REGISTERED: Self = Self::Experimental(5003);
    pub const ROAMING_NOT_ALLOWED: Self = Self::Experimental(5004);
    pub const IDENTITY_ALREADY_REGISTERED: Self = Self::Experimental(5005);
    pub const AUTH_SCHEME_NOT_SUPPORTED: Self = Self::Experimental(5006);
    pub const IN_ASSIGNMENT_TYPE: Self = Self::Experimental(5007);
    pub const TOO_MUCH_DATA: Self = Self::Experimental(5008);
    pub const NOT_SUPPORTED_USER_DATA: Self = Self::Experimental(5009);
    pub const FEATURE_UNSUPPORTED: Self = Self::Experimental(5011);
}

impl CxResult {
    /// Writes the AVP.
    pub fn encode(self, w: &mut Writer<'_>) {
        match self {
            Self::Base(code) => w.u32(d::RESULT_CODE, 0, true, code),
            Self::Experimental(code) => w.group(d::EXPERIMENTAL_RESULT, 0, true, |w| {
                w.u32(d::VENDOR_ID, 0, true, VENDOR).u32(d::EXPERIMENTAL_RESULT_CODE, 0, true, code);
            }),
        };
    }

    /// Reads Experimental-Result.
    pub(super) fn decode_experimental(group: &Avp<'_>) -> Result<Self, Fault> {
        let mut code = None;
        for avp in group.group() {
            let avp = avp?;
            if avp.code == d::EXPERIMENTAL_RESULT_CODE {
                code = Some(avp.u32()?);
            }
        }
        required(code, d::EXPERIMENTAL_RESULT_CODE, 0).map(Self::Experimental)
    }

    /// 2xxx of either kind.
    pub const fn is_success(self) -> bool {
        let (Self::Base(n) | Self::Experimental(n)) = self;
        n / 1000 == 2
    }
}

impl fmt::Display for CxResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(n) => write!(f, "Result-Code {n}"),
            Self::Experimental(n) => write!(f, "Experimental-Result {n}"),
        }
    }
}
