//! What is wrong with a message, and the Result-Code that says so (RFC 6733 clause 7).

use thiserror::Error;

/// A fault with its Result-Code and, where clause 7.1.5 asks for it, the content of Failed-AVP.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("Result-Code {code}: {text}")]
pub struct Fault {
    /// 3xxx or 5xxx.
    pub code: u32,
    /// In words, for Error-Message.
    pub text: &'static str,
    /// A whole AVP, header and padding included; for a missing AVP one of minimum size, zero-filled.
    pub failed_avp: Option<Vec<u8>>,
}
