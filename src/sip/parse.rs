//! Bytes to the table of lines.

use thiserror::Error;

/// Why bytes are not a SIP message. `status` tells what a request of that kind is answered, `None`: dropped silently.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum ParseError {
    /// No start line, or one that is neither a request nor a response.
    #[error("start line is neither METHOD SP URI SP SIP/2.0 nor SIP/2.0 SP status")]
    StartLine,
    /// SIP/x.y other than 2.0.
    #[error("SIP version is not 2.0")]
    Version,
    /// A status outside 100 to 699.
    #[error("status is not 100 to 699")]
    Status,
    /// The header section has no end.
    #[error("no empty line after the headers")]
    Truncated,
    /// A line without a colon or with an empty or illegal name.
    #[error("header line is not name: value")]
    HeaderLine,
    /// Octets that are not UTF-8 in the header section.
    #[error("header section is not UTF-8")]
    Encoding,
    /// More headers or octets than we take.
    #[error("header section is larger than the limit")]
    TooLarge,
    /// Content-Length says more than there is, or is no number.
    #[error("Content-Length does not fit the message")]
    ContentLength,
}

impl ParseError {
    /// The status that a request with this fault is answered with, where it can be answered.
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::TooLarge => 513,
            _ => 400,
        }
    }
}
