//! Streams to messages: where one message ends (RFC 3261 clause 18.3, RFC 5626 clause 4.4.1).

use super::HeaderName;
use super::header::grammar::{self, TOKEN};
use super::parse::{blanks, limits, parse_length};
use memchr::memchr;

/// What the front of a stream buffer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A message of this many octets.
    Message(usize),
    /// A keep-alive ping (CRLF CRLF) of this many octets: answer CRLF.
    Ping(usize),
    /// Octets to skip: a pong, or line ends or junk before a start line.
    Skip(usize),
    /// Not enough yet.
    Incomplete,
}

/// The stream cannot be framed any more: answer `status` if a request line was readable, and close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unframeable {
    /// 400 or 513.
    pub status: u16,
}

/// Looks at the front of `buffer`. What it says does not depend on how the stream was cut into segments: a CRLF that
/// may become a ping stays until the next octet comes.
pub fn next(buffer: &[u8]) -> Result<Frame, Unframeable> {
    match buffer {
        [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Ok(Frame::Incomplete),
        [b'\r', b'\n', b'\r', b'\n', ..] => return Ok(Frame::Ping(4)),
        [b'\r', b'\n', ..] => return Ok(Frame::Skip(2)),
        [b'\r' | b'\n', ..] => return Ok(Frame::Skip(1)),
        _ => {}
    }
    let Some(end) = memchr(b'\n', buffer) else { return incomplete(buffer, limits::HEADER_SECTION) };
    match start_of_line(&buffer[..end]) {
        Some(0) => message(buffer, end + 1),
        Some(junk) => Ok(Frame::Skip(junk)),
        None => Ok(Frame::Skip(end + 1)),
    }
}

/// Where in `line` a start line begins, `None` if there is none.
pub(crate) fn start_of_line(line: &[u8]) -> Option<usize> {
    let line = line.trim_ascii_end();
    if let Some(response) = find_status(line) {
        return Some(response);
    }
    // Whatever ends in a SIP version was meant as a request, well-formed or not.
    let before_version = &line[..line.iter().rposition(|&b| b == b' ')?];
    if !is_version(&line[before_version.len() + 1..]) {
        return None;
    }
    // The method is the first token that a space follows.
    let mut at = 0;
    while at < before_version.len() {
        let token = grammar::span(&line[at..], TOKEN);
        if token > 0 && line.get(at + token) == Some(&b' ') {
            return Some(at);
        }
        at += token.max(1);
    }
    None
}

/// Where `SIP/x.y 3DIGIT` begins.
fn find_status(line: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(slash) = memchr(b'/', &line[at..]) {
        at += slash + 1;
        let start = at.checked_sub(4).filter(|&start| line[start..at].eq_ignore_ascii_case(b"SIP/"));
        let space = line[at..].iter().position(|&b| b == b' ').map(|space| at + space);
        if let (Some(start), Some(space)) = (start, space)
            && is_version(&line[start..space])
            && line.get(space + 1..space + 4).is_some_and(|code| code.iter().all(u8::is_ascii_digit))
        {
            return Some(start);
        }
    }
    None
}

/// `SIP/x.y`
fn is_version(word: &[u8]) -> bool {
    let Some((name, version)) = word.split_at_checked(4) else { return false };
    name.eq_ignore_ascii_case(b"SIP/")
        && version.first().is_some_and(u8::is_ascii_digit)
        && version.iter().all(|b| b.is_ascii_digit() || *b == b'.')
}

/// The message at the front of `buffer`, whose headers begin at `from`.
fn message(buffer: &[u8], from: usize) -> Result<Frame, Unframeable> {
    let mut at = from;
    let mut length = None;
    loop {
        match &buffer[at..] {
            [b'\n', ..] => {
                at += 1;
                break;
            }
            [b'\r', b'\n', ..] => {
                at += 2;
                break;
            }
            _ => {}
        }
        let start = at;
        loop {
            match memchr(b'\n', &buffer[at..]) {
                Some(end) if at + end < limits::HEADER_SECTION => at += end + 1,
                Some(_) => return Err(TOO_LARGE),
                None => return incomplete(buffer, limits::HEADER_SECTION),
            }
            match buffer.get(at) {
                Some(b' ' | b'\t') => {}
                Some(_) => break,
                None => return Ok(Frame::Incomplete),
            }
        }
        if let Some(value) = content_length(&buffer[start..at]) {
            let value = parse_length(value).ok_or(MALFORMED)?;
            if length.replace(value).is_some_and(|other| other != value) {
                return Err(MALFORMED);
            }
        }
    }
    // Content-Length is mandatory on streams (RFC 3261 clause 20.14); without it there is no body.
    match length.unwrap_or(0) {
        length if length > limits::BODY => Err(TOO_LARGE),
        length if length <= buffer.len() - at => Ok(Frame::Message(at + length)),
        _ => Ok(Frame::Incomplete),
    }
}

/// The value of `line` if it is Content-Length.
fn content_length(line: &[u8]) -> Option<&[u8]> {
    if !matches!(line.first(), Some(b'C' | b'c' | b'L' | b'l')) {
        return None;
    }
    let name = grammar::span(line, TOKEN);
    if HeaderName::from_bytes(&line[..name]) != HeaderName::ContentLength {
        return None;
    }
    let value = &line[name + blanks(&line[name..])..];
    value.strip_prefix(b":").map(<[u8]>::trim_ascii)
}

fn incomplete(buffer: &[u8], limit: usize) -> Result<Frame, Unframeable> {
    if buffer.len() >= limit { Err(TOO_LARGE) } else { Ok(Frame::Incomplete) }
}

const MALFORMED: Unframeable = Unframeable { status: 400 };
const TOO_LARGE: Unframeable = Unframeable { status: 513 };

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc";

    #[test]
    fn a_message_ends_where_content_length_says() {
        assert_eq!(next(REQUEST), Ok(Frame::Message(REQUEST.len())));
        assert_eq!(next(&[REQUEST, REQUEST].concat()), Ok(Frame::Message(REQUEST.len())));
        for end in 0..REQUEST.len() {
            assert_eq!(next(&REQUEST[..end]), Ok(Frame::Incomplete), "{end}");
        }
        assert_eq!(next(b"SIP/2.0 200 OK\nVia: x\n\n"), Ok(Frame::Message(23)));
        assert_eq!(next(b"SIP/2.0 200 OK\r\nContent-Length :\r\n 1\r\n\r\nx"), Ok(Frame::Message(41)));
    }

    #[test]
    fn pings_pongs_and_junk() {
        assert_eq!(next(b"\r\n\r\nX"), Ok(Frame::Ping(4)));
        assert_eq!(next(b"\r\nX"), Ok(Frame::Skip(2)));
        assert_eq!(next(b"\r\n"), Ok(Frame::Incomplete));
        assert_eq!(next(b"\n"), Ok(Frame::Skip(1)));
        assert_eq!(next(b"junk line\r\nOPTIONS"), Ok(Frame::Skip(11)));
        assert_eq!(next(&[b"\x00\xff", REQUEST].concat()), Ok(Frame::Skip(2)));
        assert_eq!(next(b"xx\x00SIP/2.0 200 OK\r\n\r\n"), Ok(Frame::Skip(3)));
        assert_eq!(next(b"GET / HTTP/1.1\r\n"), Ok(Frame::Skip(16)));
    }

    #[test]
    fn what_was_meant_as_a_request_is_framed_so_that_it_can_be_refused() {
        for line in ["INVITE sip:user@example.com; lr SIP/2.0", "INVITE  sip:a  SIP/2.0", "OPTIONS sip:a SIP/7.0  "] {
            let bytes = format!("{line}\r\nVia: x\r\n\r\n");
            assert_eq!(next(bytes.as_bytes()), Ok(Frame::Message(bytes.len())), "{line}");
        }
    }

    #[test]
    fn a_stream_without_sound_length_is_closed() {
        for length in ["-1", "x", "", "1\r\nContent-Length: 2"] {
            let bytes = format!("OPTIONS sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\n");
            assert_eq!(next(bytes.as_bytes()), Err(Unframeable { status: 400 }), "{length}");
        }
        assert_eq!(next(b"OPTIONS sip:a SIP/2.0\r\nl: 9999999\r\n\r\n"), Err(Unframeable { status: 513 }));
        let long = [b"OPTIONS sip:a SIP/2.0\r\nA: ", &[b'x'; limits::HEADER_SECTION][..]].concat();
        assert_eq!(next(&long), Err(Unframeable { status: 513 }));
        assert_eq!(next(&[b'x'; limits::HEADER_SECTION]), Err(Unframeable { status: 513 }));
    }
}
