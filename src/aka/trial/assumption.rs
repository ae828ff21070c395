//! The mistakes that are known, with the words of a report.

use crate::identity::Impi;
use std::fmt;

/// One thing that is not as it should be, or not as it was given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Assumption {
    /// OP was entered where OPc is wanted.
    OpTakenAsOpc,
    /// OPc was taken for an OP, from which OPc is computed.
    OpcExpandedAgain,
    /// Each was entered in the place of the other.
    KAndOperatorExchanged,
    /// The algorithm of test USIMs (TS 34.108 clause 8.1.2).
    Xor,
    /// TS 35.231.
    Tuak,
    /// MAC was computed with this AMF: not that in AUTN, or for AUTS not 0000.
    Amf([u8; 2]),
    /// AK conceals nothing.
    SqnInClear,
    /// AK of f5, not of f5*, conceals SQN_MS.
    AkOfChallenge,
    /// MAC-A in the place of MAC-S.
    F1,
    /// Each stands in the place of the other.
    CkAndIkExchanged,
    /// RES ends before its first zero octet.
    ResCut,
    /// The first octets of RES only.
    ResShortened(usize),
    /// The digits of RES, in lower or upper case.
    ResInHex {
        /// Upper case.
        upper: bool,
    },
    /// RES in base64.
    ResInBase64,
    /// The response is that of resynchronisation (RFC 3310 clause 3.4).
    EmptyPassword,
    /// Another algorithm than the challenge names.
    Algorithm(&'static str),
    /// Without qop, nc and cnonce.
    QopNone,
    /// qop `auth`.
    QopAuth,
    /// qop `auth-int`.
    QopAuthInt,
    /// Another user name than in Authorization.
    Username(Impi),
    /// Another realm.
    Realm(Box<str>),
    /// Another URI.
    Uri(Box<str>),
    /// Another nonce.
    Nonce(Box<str>),
    /// Another method.
    Method(Box<str>),
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::OpTakenAsOpc => "OP taken as OPc",
            Self::OpcExpandedAgain => "OPc expanded again: the value given as OPc is an OP, or was entered as one",
            Self::KAndOperatorExchanged => "K and OPc exchanged",
            Self::Xor => "XOR instead of Milenage",
            Self::Tuak => "TUAK instead of Milenage",
            Self::Amf([a, b]) => return write!(f, "MAC over AMF {a:02x}{b:02x}"),
            Self::SqnInClear => "SQN not concealed by AK",
            Self::AkOfChallenge => "AK of f5 instead of f5*",
            Self::F1 => "f1 instead of f1*",
            Self::CkAndIkExchanged => "CK and IK exchanged",
            Self::ResCut => "RES cut at its first zero octet",
            Self::ResShortened(octets) => return write!(f, "the first {octets} octets of RES"),
            Self::ResInHex { upper: false } => "RES as hexadecimal text",
            Self::ResInHex { upper: true } => "RES as hexadecimal text in upper case",
            Self::ResInBase64 => "RES in base64",
            Self::EmptyPassword => "an empty password",
            Self::Algorithm(name) => return write!(f, "algorithm {name}"),
            Self::QopNone => "without qop",
            Self::QopAuth => "qop auth",
            Self::QopAuthInt => "qop auth-int",
            Self::Username(text) => return write!(f, "username \"{text}\""),
            Self::Realm(text) => return write!(f, "realm \"{text}\""),
            Self::Uri(text) => return write!(f, "uri \"{text}\""),
            Self::Nonce(text) => return write!(f, "nonce \"{text}\""),
            Self::Method(text) => return write!(f, "method {text}"),
        };
        f.write_str(text)
    }
}

/// What has to be assumed for a value to be as it is; nothing: it is right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fit {
    /// All of them together.
    pub assumptions: Vec<Assumption>,
    /// SQN of an AUTN, SQN_MS of an AUTS.
    pub sqn: Option<u64>,
}

impl Fit {
    /// Nothing has to be assumed.
    pub fn is_as_given(&self) -> bool {
        self.assumptions.is_empty()
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.assumptions.is_empty() {
            return f.write_str("as given");
        }
        for (at, assumption) in self.assumptions.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            assumption.fmt(f)?;
        }
        Ok(())
    }
}
