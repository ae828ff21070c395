//! Writing messages: appends to a buffer, in order, without intermediate copies.

use super::{HeaderName, Line};
use std::fmt;

/// Writes one message to the end of a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// `METHOD uri SIP/2.0`
    pub fn request(out: &'b mut Vec<u8>, method: &str, uri: &str) -> Self {
        let _ = (method, uri);
        Self { out }
    }

    /// `SIP/2.0 status reason`
    pub fn response(out: &'b mut Vec<u8>, status: u16, reason: &str) -> Self {
        let _ = (status, reason);
        Self { out }
    }

    /// A header line. Line ends inside `value` are folded to one space, so that no value can start a new header.
    pub fn header(&mut self, name: HeaderName, value: &str) -> &mut Self {
        let _ = (name, value);
        self
    }

    /// A header line whose value is formatted: `w.header_fmt(HeaderName::CSeq, format_args!("{n} REGISTER"))`.
    pub fn header_fmt(&mut self, name: HeaderName, value: fmt::Arguments<'_>) -> &mut Self {
        let _ = (name, value);
        self
    }

    /// A header line with a name that has no [`HeaderName`].
    pub fn header_named(&mut self, name: &str, value: &str) -> &mut Self {
        let _ = (name, value);
        self
    }

    /// A line as received.
    pub fn copy(&mut self, line: &Line<'_>) -> &mut Self {
        let _ = line;
        self
    }

    /// The buffer, for values written piece by piece. The caller writes whole lines with their CRLF.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Ends the message: Content-Length, empty line, body. Callers do not copy Content-Length themselves.
    pub fn finish(self, body: &[u8]) {
        let _ = body;
        todo!()
    }
}

/// The reason phrase of a status (RFC 3261 clause 21 and extensions).
pub const fn reason_phrase(status: u16) -> &'static str {
    let _ = status;
    todo!()
}
