//! Writing messages: appends to a buffer, in order, without intermediate copies.

use super::header::grammar;
use super::{HeaderName, Line, Run};
use crate::decimal::Decimal;
use memchr::memchr2;
use std::fmt;
use std::io::Write;

/// Writes one message to the end of a buffer.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// `METHOD uri SIP/2.0`. White space inside either is left out, so that no value can end the line.
    pub fn request(out: &'b mut Vec<u8>, method: &str, uri: &str) -> Self {
        out.reserve(USUAL);
        word(out, method);
        out.push(b' ');
        word(out, uri);
        out.extend_from_slice(b" SIP/2.0\r\n");
        Self { out }
    }

    /// `SIP/2.0 status reason`
    pub fn response(out: &'b mut Vec<u8>, status: u16, reason: &str) -> Self {
        begin_response(out, status);
        one_line(out, reason.as_bytes());
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// The response with the reason phrase of its status.
    pub fn usual_response(out: &'b mut Vec<u8>, status: u16) -> Self {
        begin_response(out, status);
        out.extend_from_slice(reason_phrase(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        Self { out }
    }

    /// Header lines without a message around them; nothing is to be finished.
    pub const fn lines(out: &'b mut Vec<u8>) -> Self {
        Self { out }
    }

    /// A header line. Line ends inside `value` are folded to one space, so that no value can start a new header.
    pub fn header(&mut self, name: HeaderName, value: &str) -> &mut Self {
        self.line(name.as_str(), value)
    }

    /// A header line whose value is formatted: `w.header_fmt(HeaderName::CSeq, format_args!("{n} REGISTER"))`.
    pub fn header_fmt(&mut self, name: HeaderName, value: fmt::Arguments<'_>) -> &mut Self {
        if let Some(text) = value.as_str() {
            return self.line(name.as_str(), text);
        }
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        // Writing to a Vec cannot fail; a Display that fails leaves its value short.
        let _ = self.out.write_fmt(value);
        self.end_line(start)
    }

    /// A header line whose value is these pieces one after the other: cheaper than [`Writer::header_fmt`].
    pub fn header_parts(&mut self, name: HeaderName, value: &[&str]) -> &mut Self {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        let start = self.out.len();
        for piece in value {
            self.out.extend_from_slice(piece.as_bytes());
        }
        self.end_line(start)
    }

    /// A header line whose value is a number.
    pub fn header_number(&mut self, name: HeaderName, value: u64) -> &mut Self {
        self.out.extend_from_slice(name.as_str().as_bytes());
        self.out.extend_from_slice(b": ");
        self.out.extend_from_slice(Decimal::new(value).as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self
    }

    /// A header line with a name that has no [`HeaderName`]. What is no token character is left out of the name.
    pub fn header_named(&mut self, name: &str, value: &str) -> &mut Self {
        self.out.extend(name.bytes().filter(|&b| grammar::is(b, grammar::TOKEN)));
        self.value(value)
    }

    /// A line as received; line ends become CRLF.
    pub fn copy(&mut self, line: &Line<'_>) -> &mut Self {
        lines_as_received(self.out, line.raw, line.is_plain);
        self
    }

    /// Lines as received, between those that the caller writes itself; line ends become CRLF.
    ///
    /// ```
    /// # use imsreg::sip::{HeaderName, Message, NameSet, Part, Writer};
    /// # let message = Message::parse(b"OPTIONS sip:a SIP/2.0\r\nTo: x\r\nExpires: 7\r\nVia: y\r\n\r\n").unwrap();
    /// # let mut out = Vec::new();
    /// # let mut writer = Writer::request(&mut out, "OPTIONS", "sip:a");
    /// for part in message.parts(NameSet::of(&[HeaderName::Expires, HeaderName::ContentLength])) {
    ///     match part {
    ///         Part::Run(run) => writer.copy_run(&run),
    ///         Part::Line(line) if line.name == HeaderName::Expires => writer.header_number(line.name, 3600),
    ///         Part::Line(_) => &mut writer,
    ///     };
    /// }
    /// writer.finish(&[]);
    /// # let expected = "OPTIONS sip:a SIP/2.0\r\nTo: x\r\nExpires: 3600\r\nVia: y\r\nContent-Length: 0\r\n\r\n";
    /// # assert_eq!(String::from_utf8(out).unwrap(), expected);
    /// ```
    pub fn copy_run(&mut self, run: &Run<'_>) -> &mut Self {
        lines_as_received(self.out, run.raw, run.is_plain);
        self
    }

    /// The buffer, for values written piece by piece. The caller writes whole lines with their CRLF.
    pub fn raw(&mut self) -> &mut Vec<u8> {
        self.out
    }

    /// Ends the message: Content-Length, empty line, body. Callers do not copy Content-Length themselves.
    pub fn finish(self, body: &[u8]) {
        self.out.extend_from_slice(b"Content-Length: ");
        self.out.extend_from_slice(Decimal::new(body.len() as u64).as_bytes());
        self.out.extend_from_slice(b"\r\n\r\n");
        self.out.extend_from_slice(body);
    }

    /// Ends the line whose value begins at `start`.
    fn end_line(&mut self, start: usize) -> &mut Self {
        if !is_one_line(&self.out[start..]) {
            let value = self.out.split_off(start);
            one_line(self.out, &value);
        }
        self.out.extend_from_slice(b"\r\n");
        self
    }

    fn line(&mut self, name: &str, value: &str) -> &mut Self {
        self.out.extend_from_slice(name.as_bytes());
        self.value(value)
    }

    fn value(&mut self, value: &str) -> &mut Self {
        self.out.extend_from_slice(b": ");
        one_line(self.out, value.as_bytes());
        self.out.extend_from_slice(b"\r\n");
        self
    }
}

/// Room made at once for a message: that of a REGISTER after all its hops.
const USUAL: usize = 2048;

/// The reason phrase of a status (RFC 3261 clause 21 and extensions).
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        417 => "Unknown Resource-Priority",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        424 => "Bad Location Information",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        470 => "Consent Needed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        other => match other / 100 {
            1 => "Session Progress",
            2 => "OK",
            3 => "Multiple Choices",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Busy Everywhere",
        },
    }
}

/// All of a status line but its reason phrase.
fn begin_response(out: &mut Vec<u8>, status: u16) {
    out.reserve(USUAL);
    out.extend_from_slice(b"SIP/2.0 ");
    out.extend_from_slice(Decimal::new(status).as_bytes());
    out.push(b' ');
}

/// Appends a method or URI.
fn word(out: &mut Vec<u8>, text: &str) {
    // Without a way out on the first such octet, many are looked at together.
    if text.bytes().fold(true, |clean, b| clean & (b > b' ')) {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend(text.bytes().filter(|&b| b > b' '));
    }
}

/// Appends lines; what is not plain has folds or comes from a sender of bare LF.
#[inline]
fn lines_as_received(out: &mut Vec<u8>, raw: &[u8], is_plain: bool) {
    if is_plain {
        out.extend_from_slice(raw);
        return;
    }
    for piece in raw.split_inclusive(|&b| b == b'\n') {
        let piece = piece.strip_suffix(b"\n").unwrap_or(piece);
        out.extend_from_slice(piece.strip_suffix(b"\r").unwrap_or(piece));
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends a value; a run of line ends and white space around it becomes one space.
fn one_line(out: &mut Vec<u8>, value: &[u8]) {
    if is_one_line(value) {
        return out.extend_from_slice(value);
    }
    let mut rest = value;
    while let Some(end) = memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(rest[..end].trim_ascii_end());
        out.push(b' ');
        rest = rest[end..].trim_ascii_start();
    }
    out.extend_from_slice(rest);
}

/// True when there is nothing in `value` that could end a line; false for some others, too.
fn is_one_line(value: &[u8]) -> bool {
    // Without a way out on the first such octet, all of a block are looked at together.
    let is_clean = |block: &[u8; 16]| block.iter().fold(true, |clean, &b| clean & (b > b'\r'));
    match value.last_chunk() {
        Some(last) => is_clean(last) && value.as_chunks().0.iter().all(is_clean),
        None => value.iter().all(|&b| b > b'\r'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{Message, NameSet, Part};

    #[test]
    fn a_request_line_by_line() {
        let mut out = b"before".to_vec();
        let mut writer = Writer::request(&mut out, "REGISTER", "sip:example.com");
        writer.header(HeaderName::CallId, "x@y").header_fmt(HeaderName::CSeq, format_args!("{} REGISTER", 7));
        writer.header_number(HeaderName::MaxForwards, 70).header_named("X-Y", "z");
        writer.finish(b"body");
        let expected = "beforeREGISTER sip:example.com SIP/2.0\r\nCall-ID: x@y\r\nCSeq: 7 REGISTER\r\n\
                        Max-Forwards: 70\r\nX-Y: z\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn no_value_starts_a_line() {
        let mut out = Vec::new();
        let mut writer = Writer::response(&mut out, 400, "Bad\r\nVia: x");
        writer.header(HeaderName::Subject, "a \r\n\r\n\t b\rc\nd");
        writer.header_fmt(HeaderName::Server, format_args!("{}", "x\r\nVia: y"));
        writer.header_parts(HeaderName::Path, &["<sip:", "a\r\nVia: z", ">"]);
        writer.header_named("X\r\n: Y", "");
        writer.finish(&[]);
        let expected = "SIP/2.0 400 Bad Via: x\r\nSubject: a b c d\r\nServer: x Via: y\r\nPath: <sip:a Via: z>\r\nXY: \r\nContent-Length: 0\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn copied_lines_end_in_crlf() {
        let message = Message::parse(b"SIP/2.0 200 OK\nVia: a\n  ;b\r\nTo: c\n\n").unwrap();
        let mut out = Vec::new();
        let mut writer = Writer::response(&mut out, 200, "OK");
        for line in message.lines() {
            writer.copy(&line);
        }
        writer.finish(&[]);
        assert_eq!(out, b"SIP/2.0 200 OK\r\nVia: a\r\n  ;b\r\nTo: c\r\nContent-Length: 0\r\n\r\n");
    }

    #[test]
    fn runs_are_what_lies_between() {
        let text = b"SIP/2.0 200 OK\r\nVia: a\r\nTo: b\r\nFrom: c\r\n d\r\nX-Y: e\r\nVia: f\nCSeq: g\r\n\r\n";
        let message = Message::parse(text).unwrap();
        let copied = |names: &[HeaderName]| {
            let mut out = Vec::new();
            let mut writer = Writer::response(&mut out, 200, "OK");
            let mut runs = Vec::new();
            for part in message.parts(NameSet::of(names)) {
                match part {
                    Part::Run(run) => {
                        runs.push(run.raw.len());
                        writer.copy_run(&run);
                    }
                    Part::Line(line) => {
                        writer.header(line.name, "");
                    }
                }
            }
            (String::from_utf8(out).unwrap().split_off(16), runs)
        };
        let all = "Via: a\r\nTo: b\r\nFrom: c\r\n d\r\nX-Y: e\r\nVia: f\r\nCSeq: g\r\n";
        assert_eq!(copied(&[]), (all.into(), vec![all.len() - 1]));
        let (text, runs) = copied(&[HeaderName::Via, HeaderName::ContentLength]);
        assert_eq!(text, "Via: \r\nTo: b\r\nFrom: c\r\n d\r\nX-Y: e\r\nVia: \r\nCSeq: g\r\n");
        assert_eq!(runs, [28, 9]);
        assert_eq!(copied(&[HeaderName::Other, HeaderName::CSeq]).1, [28, 7]);
    }

    #[test]
    fn every_status_has_a_phrase() {
        assert_eq!((reason_phrase(401), reason_phrase(494)), ("Unauthorized", "Security Agreement Required"));
        assert_eq!((reason_phrase(199), reason_phrase(499)), ("Early Dialog Terminated", "Bad Request"));
        assert!((100..700).all(|status| !reason_phrase(status).is_empty()));
    }
}
