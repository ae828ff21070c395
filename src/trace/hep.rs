//! HEP 3, the encapsulation of captured messages that Homer and its agents speak.

use super::Message;
use crate::time::Duration;
use thiserror::Error;

/// One HEP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// When the agent saw the message, since 1970-01-01T00:00:00Z.
    pub since_epoch: Option<Duration>,
    /// The number of the capture agent.
    pub agent: Option<u32>,
    /// The message. Its protection is unknown: an agent does not tell.
    pub message: Message,
}

/// Why octets are not a HEP packet with a message in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HepError {
    /// Other first octets.
    #[error("no HEP 3")]
    Magic,
    /// Less octets than a length says, or a length below that of its own field.
    #[error("HEP packet is cut")]
    Cut,
}

impl HepError {
    /// As [`std::fmt::Display`] writes it, for [`super::Unread`].
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Magic => "no HEP 3",
            Self::Cut => "HEP packet is cut",
        }
    }
}

/// The length of the packet that `bytes` begin with, `None` while they are too few to tell: for streams and files.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, HepError> {
    if !MAGIC.starts_with(&bytes[..bytes.len().min(4)]) {
        return Err(HepError::Magic);
    }
    match bytes {
        [_, _, _, _, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length < HEADER { Err(HepError::Cut) } else { Ok(Some(length)) }
        }
        _ => Ok(None),
    }
}

/// Reads one packet.
pub fn parse(bytes: &[u8]) -> Result<Packet, HepError> {
    match length(bytes)? {
        Some(length) if length <= bytes.len() => Err(HepError::Cut),
        _ => Err(HepError::Cut),
    }
}

const MAGIC: &[u8; 4] = b"HEP3";

/// Magic and length.
const HEADER: usize = 6;
