//! Bytes to the table of lines.

use super::header::grammar;
use super::message::StartLine;
use super::octets;
use super::table::{Slot, Table};
use super::{HeaderName, Method};
use memchr::{memchr, memchr2};
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

/// What a message may be at most.
pub mod limits {
    /// Octets of start line and headers: what fits into a datagram, so that a range takes four octets.
    pub const HEADER_SECTION: usize = 65_535;
    /// Header lines.
    pub const HEADERS: usize = 512;
    /// Octets of a body on a stream.
    pub const BODY: usize = 1 << 20;
}

/// What a message is besides its table of lines.
pub(crate) struct Split<'a> {
    /// From the start line to the end of the body.
    pub(crate) bytes: &'a [u8],
    /// Start line and headers with the empty line.
    pub(crate) text: &'a str,
    pub(crate) start: StartLine<'a>,
}

/// Splits a message, its lines into `table`. Every fault ends it.
#[inline]
pub(crate) fn split<'a>(bytes: &'a [u8], table: &mut Table) -> Result<Split<'a>, ParseError> {
    let bytes = skip_line_ends(bytes);
    let most = within_limit(bytes);
    let too_large = |fault| match fault {
        ParseError::Truncated if most.len() < bytes.len() => ParseError::TooLarge,
        other => other,
    };
    let start_end = line_end(most, 0).map_err(too_large)?.1;
    let end = lines(most, start_end, table).map_err(too_large)?;
    let text = simdutf8::basic::from_utf8(&bytes[..end]).map_err(|_| ParseError::Encoding)?;
    let start = start_line(without_line_end(&text[..start_end]))?;
    let body = match content_length(text, table)? {
        Some(length) if length > bytes.len() - end => return Err(ParseError::ContentLength),
        Some(length) => length,
        None => bytes.len() - end,
    };
    Ok(Split { bytes: &bytes[..end + body], text, start })
}

/// Splits what can be split of a message that [`split`] refused, so that a request can be answered: lines up to the
/// first fault, no body. `None` without a request line.
pub(crate) fn salvage<'a>(bytes: &'a [u8], table: &mut Table) -> Option<Split<'a>> {
    let (bytes, text, start_end) = readable_lines(bytes, table)?;
    let line = without_line_end(&text[..start_end]);
    let (method, rest) = line.split_once(' ')?;
    let (uri, version) = rest.trim_ascii().rsplit_once(' ')?;
    let is_request = is_token(method) && version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("SIP/"));
    let start = StartLine::Request { method: Method::from_token(method), uri: uri.trim_ascii() };
    is_request.then_some(Split { bytes, text, start })
}

/// The same for whoever only reads: requests and responses, whose start line must be right.
pub(crate) fn beginning<'a>(bytes: &'a [u8], table: &mut Table) -> Option<Split<'a>> {
    let (bytes, text, start_end) = readable_lines(bytes, table)?;
    let start = start_line(without_line_end(&text[..start_end])).ok()?;
    Some(Split { bytes, text, start })
}

/// Fills `table` with the lines before the first fault. The octets and the text of these lines, and where the start line
/// ends.
fn readable_lines<'a>(bytes: &'a [u8], table: &mut Table) -> Option<(&'a [u8], &'a str, usize)> {
    let bytes = skip_line_ends(bytes);
    let bytes = within_limit(bytes);
    let bytes = match std::str::from_utf8(bytes) {
        Ok(_) => bytes,
        Err(fault) => &bytes[..fault.valid_up_to()],
    };
    let start_end = line_end(bytes, 0).ok()?.1;
    // The table holds the lines before the fault.
    let end = match lines(bytes, start_end, table) {
        Ok(end) => end,
        Err(_) => table.last_mut().map_or(start_end, |slot| usize::from(slot.end)),
    };
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((&bytes[..end], text, start_end))
}

/// As much as a header section may be.
fn within_limit(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(limits::HEADER_SECTION)]
}

/// Fills `table` from the line at `from` on and returns where the body starts. `bytes` are within the limit, so that their
/// places fit into a [`Slot`].
fn lines(bytes: &[u8], from: usize, table: &mut Table) -> Result<usize, ParseError> {
    let mut start = from;
    while let Some(rest) = bytes.get(start..) {
        // A known name up to the colon is a token, which need not be looked at octet by octet.
        let (name, name_length, colon) = match (HeaderName::at_start_of(rest), rest) {
            (Some((name, length)), _) => (name, length, length),
            (None, [b'\n', ..]) => return Ok(start + 1),
            (None, [b'\r', b'\n', ..]) => return Ok(start + 2),
            (None, [b' ' | b'\t', ..]) => {
                let slot = table.last_mut().ok_or(ParseError::HeaderLine)?;
                start = fold(bytes, start, slot)?;
                continue;
            }
            (None, _) => unusual_name(rest)?,
        };
        let value = start + colon + 1;
        let at = octets::line_break(bytes, value);
        // Nearly every value stands between one space and CRLF.
        let (value_start, value_end, end, is_plain) = if let Some(line) = rest.get(..at + 2 - start)
            && let Some(&[b' ', first, .., last, b'\r', b'\n']) = line.get(colon + 1..)
            && first > b' '
            && last > b' '
        {
            (value + 1, at, at + 2, true)
        } else {
            let (at, end, is_crlf) = line_end(bytes, at)?;
            let (value_start, value_end) = without_blanks(bytes, value, at);
            (value_start, value_end, end, is_crlf)
        };
        table.push(Slot {
            name,
            is_plain,
            start: start as u16,
            name_end: (start + name_length) as u16,
            value_start: value_start as u16,
            value_end: value_end as u16,
            end: end as u16,
        })?;
        start = end;
    }
    Err(ParseError::Truncated)
}

/// Adds the line at `start` to that before it and returns where it ends.
#[inline(never)]
fn fold(bytes: &[u8], start: usize, slot: &mut Slot) -> Result<usize, ParseError> {
    let (_, end, _) = line_end(bytes, start)?;
    let (value_start, value_end) = without_blanks(bytes, usize::from(slot.value_start), end);
    (slot.value_start, slot.value_end) = (value_start as u16, value_end as u16);
    (slot.end, slot.is_plain) = (end as u16, false);
    Ok(end)
}

/// The range from `start` to `end` without the white space at both ends.
#[inline(never)]
fn without_blanks(bytes: &[u8], start: usize, end: usize) -> (usize, usize) {
    let end = start + bytes[start..end].trim_ascii_end().len();
    let start = start + grammar::span(&bytes[start..end], grammar::LWS);
    (start, end)
}

/// The name of the line that `rest` begins with, its length, and where the colon is: an unknown name, a compact one, or
/// one with white space before its colon.
#[inline(never)]
fn unusual_name(rest: &[u8]) -> Result<(HeaderName, usize, usize), ParseError> {
    let length = grammar::span(rest, grammar::TOKEN);
    let colon = length + blanks(&rest[length..]);
    match rest.get(colon) {
        Some(b':') if length > 0 => Ok((HeaderName::from_bytes(&rest[..length]), length, colon)),
        None => Err(ParseError::Truncated),
        _ => Err(ParseError::HeaderLine),
    }
}

/// Where the line that has no line end before `from` has its CR or LF, where it ends, line end included, and whether that
/// is CRLF. A lone CR inside a line is a line end to some and none to others, so it is refused.
#[inline(never)]
fn line_end(bytes: &[u8], from: usize) -> Result<(usize, usize, bool), ParseError> {
    let mut at = octets::line_break(bytes, from);
    if !matches!(bytes.get(at), None | Some(b'\r' | b'\n')) {
        at += memchr2(b'\r', b'\n', &bytes[at..]).unwrap_or(bytes.len() - at);
    }
    match bytes[at..] {
        [b'\r', b'\n', ..] => Ok((at, at + 2, true)),
        [b'\n', ..] => Ok((at, at + 1, false)),
        [] | [_] => Err(ParseError::Truncated),
        _ => Err(ParseError::HeaderLine),
    }
}

/// The start line without its line end.
fn start_line(line: &str) -> Result<StartLine<'_>, ParseError> {
    if let Some(rest) = line.strip_prefix("SIP/") {
        return status_line(rest);
    }
    let bytes = line.as_bytes();
    let method_end = grammar::token_end(bytes, 0);
    // Nearly every request line is three words.
    if let Some(uri) = line[method_end..].strip_prefix(' ').and_then(|rest| rest.strip_suffix(" SIP/2.0"))
        && method_end > 0
        && !uri.is_empty()
        && grammar::visible_end(uri.as_bytes(), 0) == uri.len()
    {
        return Ok(StartLine::Request { method: Method::from_token(&line[..method_end]), uri });
    }
    if let Some(rest) = strip_sip(line) {
        return status_line(rest);
    }
    let uri_end =
        method_end + 1 + line.get(method_end + 1..).map_or(0, |rest| memchr(b' ', rest.as_bytes()).unwrap_or(0));
    if method_end == 0 || bytes.get(method_end) != Some(&b' ') || uri_end == method_end + 1 {
        return Err(ParseError::StartLine);
    }
    let (method, uri, version) = (&line[..method_end], &line[method_end + 1..uri_end], &line[uri_end + 1..]);
    check_version(strip_sip(version).ok_or(ParseError::StartLine)?)?;
    if uri.bytes().any(|b| b.is_ascii_control()) {
        return Err(ParseError::StartLine);
    }
    Ok(StartLine::Request { method: Method::from_token(method), uri })
}

/// What follows `SIP/` in the first line of a response.
fn status_line(rest: &str) -> Result<StartLine<'_>, ParseError> {
    // Nearly everybody writes it so.
    if let [b'2', b'.', b'0', b' ', hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9', b' ', ..] =
        *rest.as_bytes()
    {
        let digit = |digit: u8| u16::from(digit - b'0');
        let status = digit(hundreds) * 100 + digit(tens) * 10 + digit(ones);
        return Ok(StartLine::Response { status, reason: &rest["2.0 200 ".len()..] });
    }
    let (version, rest) = rest.split_once(' ').ok_or(ParseError::StartLine)?;
    check_version(version)?;
    // Some elements leave out the space before an empty reason phrase.
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = grammar::digits(code.as_bytes()).ok_or(ParseError::StartLine)?;
    match status {
        100..700 if code.len() == 3 => Ok(StartLine::Response { status: status as u16, reason }),
        _ => Err(ParseError::Status),
    }
}

fn check_version(version: &str) -> Result<(), ParseError> {
    match version {
        "2.0" => Ok(()),
        other if other.contains('.') && other.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            Err(ParseError::Version)
        }
        _ => Err(ParseError::StartLine),
    }
}

/// What follows `SIP/`, in any case.
fn strip_sip(text: &str) -> Option<&str> {
    let name = text.get(..4)?;
    name.eq_ignore_ascii_case("SIP/").then(|| &text[4..])
}

/// The one value of Content-Length, `None` if absent. Repetitions must agree.
fn content_length(text: &str, table: &Table) -> Result<Option<usize>, ParseError> {
    let Some(first) = table.first(HeaderName::ContentLength) else { return Ok(None) };
    let length = |slot: &Slot| parse_length(slot.value(text).as_bytes());
    let first = length(first).ok_or(ParseError::ContentLength)?;
    let has_other = |table: &Table| table.named(HeaderName::ContentLength).any(|slot| length(slot) != Some(first));
    if table.repeated().contains(HeaderName::ContentLength) && has_other(table) {
        return Err(ParseError::ContentLength);
    }
    Ok(Some(first))
}

/// A Content-Length.
pub(crate) fn parse_length(value: &[u8]) -> Option<usize> {
    usize::try_from(grammar::digits(value)?).ok()
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && grammar::span(text.as_bytes(), grammar::TOKEN) == text.len()
}

/// Spaces and tabs at the start.
pub(crate) fn blanks(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(bytes.len())
}

fn without_line_end(line: &str) -> &str {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.strip_suffix('\r').unwrap_or(line)
}

/// RFC 3261 clause 7.5: line ends before the start line are ignored.
fn skip_line_ends(bytes: &[u8]) -> &[u8] {
    let skip = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    &bytes[skip..]
}
