//! Bytes to the table of lines.

use super::header::grammar;
use super::message::StartLine;
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
    let start_end = line_end(bytes, 0)?.0;
    let end = lines(bytes, start_end, table)?;
    let text = simdutf8::basic::from_utf8(&bytes[..end]).map_err(|_| ParseError::Encoding)?;
    let start = start_line(without_line_end(&text[..start_end]))?;
    let body = match content_length(bytes, table)? {
        Some(length) if length > bytes.len() - end => return Err(ParseError::ContentLength),
        Some(length) => length,
        None => bytes.len() - end,
    };
    Ok(Split { bytes: &bytes[..end + body], text, start })
}

/// Splits what can be split of a message that [`split`] refused, so that a request can be answered: lines up to the
/// first fault, no body. `None` without a request line.
pub(crate) fn salvage<'a>(bytes: &'a [u8], table: &mut Table) -> Option<Split<'a>> {
    let bytes = skip_line_ends(bytes);
    let bytes = &bytes[..bytes.len().min(limits::HEADER_SECTION)];
    let bytes = match std::str::from_utf8(bytes) {
        Ok(_) => bytes,
        Err(fault) => &bytes[..fault.valid_up_to()],
    };
    let start_end = line_end(bytes, 0).ok()?.0;
    // The table holds the lines before the fault.
    let end = match lines(bytes, start_end, table) {
        Ok(end) => end,
        Err(_) => table.iter().last().map_or(start_end, |slot| usize::from(slot.end)),
    };
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let line = without_line_end(&text[..start_end]);
    let (method, rest) = line.split_once(' ')?;
    let (uri, version) = rest.trim_ascii().rsplit_once(' ')?;
    let is_request = is_token(method) && version.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("SIP/"));
    let start = StartLine::Request { method: Method::from_token(method), uri: uri.trim_ascii() };
    is_request.then_some(Split { bytes: &bytes[..end], text, start })
}

/// Fills `table` from the line at `from` on and returns where the body starts.
fn lines(bytes: &[u8], from: usize, table: &mut Table) -> Result<usize, ParseError> {
    let mut start = from;
    loop {
        if let Some(b'\r' | b'\n') = bytes.get(start) {
            match bytes[start..] {
                [b'\n', ..] => return Ok(start + 1),
                [b'\r', b'\n', ..] => return Ok(start + 2),
                _ => {}
            }
        }
        let (name, name_end, colon) = name(bytes, start)?;
        let text_end = line_break(bytes, colon + 1);
        let (mut end, mut is_plain) = behind_line_break(bytes, text_end)?;
        // Nearly every value stands between one space and CRLF.
        let mut value_end = text_end;
        if is_blank(bytes, end) || bytes[text_end - 1] <= b' ' {
            while is_blank(bytes, end) {
                (end, is_plain) = (line_end(bytes, end)?.0, false);
            }
            value_end = colon + 1 + bytes[colon + 1..end].trim_ascii_end().len();
        }
        let value_start = match bytes[colon + 1..value_end] {
            [b' ', first, ..] if first > b' ' => colon + 2,
            ref value => colon + 1 + grammar::span(value, grammar::LWS),
        };
        table.push(Slot {
            name,
            is_plain,
            start: start as u16,
            name_end: name_end as u16,
            value_start: value_start as u16,
            value_end: value_end as u16,
            end: end as u16,
        })?;
        start = end;
    }
}

/// The name of the line at `start`, where it ends, and where its colon is.
#[inline]
fn name(bytes: &[u8], start: usize) -> Result<(HeaderName, usize, usize), ParseError> {
    // A known name up to the colon is a token, which need not be looked at octet by octet.
    if let Some(length) = near_colon(&bytes[start..]) {
        let name = HeaderName::from_bytes(&bytes[start..start + length]);
        if name != HeaderName::Other {
            return Ok((name, start + length, start + length));
        }
    }
    unusual_name(bytes, start)
}

/// As [`name`], of a name that is unknown or has white space before its colon.
#[inline(never)]
fn unusual_name(bytes: &[u8], start: usize) -> Result<(HeaderName, usize, usize), ParseError> {
    let name_end = start + grammar::span(&bytes[start..], grammar::TOKEN);
    let colon = name_end + blanks(&bytes[name_end..]);
    match bytes.get(colon) {
        Some(b':') if name_end > start => Ok((HeaderName::from_bytes(&bytes[start..name_end]), name_end, colon)),
        None => Err(ParseError::Truncated),
        _ => Err(ParseError::HeaderLine),
    }
}

/// Where the colon is in the first 32 octets.
#[inline]
fn near_colon(line: &[u8]) -> Option<usize> {
    let colon_in = |block: &[u8; 16]| first_below(u128::from_le_bytes(*block) ^ (ONES * b':' as u128), 1);
    let (first, rest) = line.split_first_chunk()?;
    match colon_in(first) {
        16 => rest.first_chunk().map(|second| 16 + colon_in(second)).filter(|&colon| colon < 32),
        colon => Some(colon),
    }
}

/// Where the first CR or LF at or after `from` is; where the bytes end, if there is none.
#[inline]
fn line_break(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    // Lines are so short that a search in larger steps is done before it pays. Without a way out on the first such octet,
    // all of a block are looked at together.
    for block in bytes[from..].as_chunks::<16>().0 {
        if block.iter().fold(false, |found, &b| found | (b <= b'\r')) {
            at += first_below(u128::from_le_bytes(*block), b'\r' + 1);
            break;
        }
        at += 16;
    }
    if matches!(bytes.get(at), Some(b'\r' | b'\n')) { at } else { next_line_break(bytes, at) }
}

/// As [`line_break`], behind a tab and among the last octets.
#[cold]
fn next_line_break(bytes: &[u8], from: usize) -> usize {
    memchr2(b'\r', b'\n', &bytes[from..]).map_or(bytes.len(), |length| from + length)
}

/// Which octet of `block` is the first below `limit` (at most 128), 16 if none. Subtraction sets the highest bit of that
/// octet, and borrows only from those above it.
#[inline]
const fn first_below(block: u128, limit: u8) -> usize {
    let marks = block.wrapping_sub(ONES * limit as u128) & !block & (ONES << 7);
    marks.trailing_zeros() as usize / 8
}

const ONES: u128 = u128::from_le_bytes([1; 16]);

/// Where the line whose CR or LF is at `at` ends, its line end included, and whether that is CRLF. A lone CR inside a
/// line is a line end to some and none to others, so it is refused.
#[inline]
fn behind_line_break(bytes: &[u8], at: usize) -> Result<(usize, bool), ParseError> {
    let (end, is_crlf) = match bytes[at..] {
        [b'\r', b'\n', ..] => (at + 2, true),
        [b'\n', ..] => (at + 1, false),
        [] if at > limits::HEADER_SECTION => return Err(ParseError::TooLarge),
        [] | [_] => return Err(ParseError::Truncated),
        _ => return Err(ParseError::HeaderLine),
    };
    if end > limits::HEADER_SECTION { Err(ParseError::TooLarge) } else { Ok((end, is_crlf)) }
}

/// Where the line that has no line end before `from` ends, its line end included, and whether that is CRLF.
fn line_end(bytes: &[u8], from: usize) -> Result<(usize, bool), ParseError> {
    behind_line_break(bytes, line_break(bytes, from))
}

/// True when a space or tab is at `at`: there, the line before it goes on.
#[inline]
fn is_blank(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b' ' | b'\t'))
}

/// The start line without its line end.
fn start_line(line: &str) -> Result<StartLine<'_>, ParseError> {
    if let Some(rest) = strip_sip(line) {
        let (version, rest) = rest.split_once(' ').ok_or(ParseError::StartLine)?;
        check_version(version)?;
        // Some elements leave out the space before an empty reason phrase.
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = grammar::digits(code.as_bytes()).ok_or(ParseError::StartLine)?;
        return match status {
            100..700 if code.len() == 3 => Ok(StartLine::Response { status: status as u16, reason }),
            _ => Err(ParseError::Status),
        };
    }
    let bytes = line.as_bytes();
    let method_end = grammar::span(bytes, grammar::TOKEN);
    let uri_end =
        method_end + 1 + line.get(method_end + 1..).map_or(0, |rest| memchr(b' ', rest.as_bytes()).unwrap_or(0));
    if method_end == 0 || bytes.get(method_end) != Some(&b' ') || uri_end == method_end + 1 {
        return Err(ParseError::StartLine);
    }
    let (method, uri, version) = (&line[..method_end], &line[method_end + 1..uri_end], &line[uri_end + 1..]);
    check_version(strip_sip(version).ok_or(ParseError::StartLine)?)?;
    // Without a way out on the first such octet, many are looked at together.
    if uri.bytes().fold(false, |found, b| found | b.is_ascii_control()) {
        return Err(ParseError::StartLine);
    }
    Ok(StartLine::Request { method: Method::from_token(method), uri })
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
fn content_length(bytes: &[u8], table: &Table) -> Result<Option<usize>, ParseError> {
    let mut length = None;
    for slot in table.named(HeaderName::ContentLength) {
        let value = &bytes[usize::from(slot.value_start)..usize::from(slot.value_end)];
        let value = parse_length(value).ok_or(ParseError::ContentLength)?;
        if length.replace(value).is_some_and(|other| other != value) {
            return Err(ParseError::ContentLength);
        }
    }
    Ok(length)
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
