//! What lines look like, whatever form they are in.

use crate::sip::HeaderName;

/// True for `METHOD uri SIP/2.0` and `SIP/2.0 status`, white space after it included.
pub(super) fn is_start(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    if let Some(rest) = line.strip_prefix(b"SIP/2.0 ") {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        return digits == 3 && matches!(rest.get(3), None | Some(b' '));
    }
    let Some(rest) = line.strip_suffix(b" SIP/2.0") else { return false };
    let method = rest.iter().take_while(|&&b| is_token(b)).count();
    let Some((b' ', uri)) = rest[method..].split_first() else { return false };
    // A line of more words is one of prose, unless its first is a method as all known are.
    let is_usual = rest[..method].iter().all(u8::is_ascii_uppercase);
    method > 0 && uri.contains(&b':') && (is_usual || !uri.contains(&b' '))
}

/// The name of the header that a line begins with.
pub(super) fn header_name(line: &[u8]) -> Option<&[u8]> {
    let length = line.iter().take_while(|&&b| is_token(b)).count();
    let name = &line[..length];
    let after = line[length..].trim_ascii_start();
    (name.first()?.is_ascii_alphabetic() && after.first() == Some(&b':')).then_some(name)
}

/// What follows the colon of a header line.
pub(super) fn header_value(line: &[u8]) -> &[u8] {
    line.iter().position(|&b| b == b':').map_or(&[], |colon| line[colon + 1..].trim_ascii())
}

/// True for a header line of a name that everybody knows.
pub(super) fn is_known_header(line: &[u8]) -> bool {
    header_name(line).is_some_and(|name| HeaderName::from_bytes(name) != HeaderName::Other)
}

/// The value of a header among header lines, the first one.
pub(super) fn value_of(lines: &[Vec<u8>], name: HeaderName) -> Option<&[u8]> {
    let is_it = |line: &&Vec<u8>| header_name(line).is_some_and(|found| HeaderName::from_bytes(found) == name);
    lines.iter().find(is_it).map(|line| header_value(line))
}

/// True where nothing is to be seen. Web pages put no-break spaces there.
pub(super) fn is_blank(line: &[u8]) -> bool {
    let mut rest = line.trim_ascii();
    while let Some(after) = rest.strip_prefix(NO_BREAK_SPACE) {
        rest = after.trim_ascii_start();
    }
    rest.is_empty()
}

/// True for what stands between messages and says nothing: rules, fences of code, end marks of programs.
pub(super) fn is_mark(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    if line.starts_with(b"```") || line.starts_with(b"~~~") || line == b"--end msg--" || line == b"--start msg--" {
        return true;
    }
    match line.first() {
        Some(&first @ (b'-' | b'=' | b'~' | b'|' | b'*' | b'_')) => {
            line.len() >= 10 && line.iter().all(|&b| b == first)
        }
        // ngrep shows a packet that does not match by one.
        Some(b'#') => line.iter().all(|&b| b == b'#'),
        _ => false,
    }
}

/// The octets between messages that `line` begins with: indentation and the marks of quotations.
pub(super) fn lead(line: &[u8]) -> &[u8] {
    &line[..line.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'>' | b'|')).count()]
}

/// Where a start line begins that `line` ends with, and that something else stands before.
pub(super) fn start_at_end(line: &[u8]) -> Option<usize> {
    let line = line.trim_ascii_end();
    let at = match line.strip_suffix(b" SIP/2.0") {
        Some(rest) => method_before(rest)?,
        None => status_line(line)?,
    };
    let is_apart = at == 0 || matches!(line[at - 1], b' ' | b':' | b'>' | b'<' | b']' | b'|' | b'"' | b'\'' | b'\t');
    (is_apart && is_start(&line[at..])).then_some(at)
}

/// Where the method begins of `... METHOD uri`.
pub(super) fn method_before(line: &[u8]) -> Option<usize> {
    let uri = line.iter().rposition(|&b| b == b' ')?;
    let method = line[..uri].iter().rev().take_while(|b| b.is_ascii_uppercase()).count();
    (method > 1).then_some(uri - method)
}

fn status_line(line: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(line, b"SIP/2.0 ")
}

pub(super) const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

const NO_BREAK_SPACE: &[u8] = b"\xc2\xa0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_lines_are_told_from_prose() {
        for line in ["REGISTER sip:a.example SIP/2.0", "SIP/2.0 200 OK", "SIP/2.0 200", "OPTIONS tel:1 SIP/2.0  "] {
            assert!(is_start(line.as_bytes()), "{line}");
        }
        for line in ["200 OK F2", "* **SIP/2.0 401 Unauthorized** (or 407)", "SIP/2.0 4011 x", " SIP/2.0", "SIP/2.0 is"]
        {
            assert!(!is_start(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn start_lines_behind_a_prefix_are_found() {
        let at = |line: &str| start_at_end(line.as_bytes()).map(|at| line[at..].to_owned());
        assert_eq!(at("aucSipMsg:SIP/2.0 401 Unauthorized").as_deref(), Some("SIP/2.0 401 Unauthorized"));
        assert_eq!(at(" 0(12) INFO: <script>: REGISTER sip:a SIP/2.0").as_deref(), Some("REGISTER sip:a SIP/2.0"));
        assert_eq!(at("|  2.SIP/2.0 401 Unauthorized"), None);
        assert_eq!(at("we speak of SIP/2.0"), None);
    }

    #[test]
    fn headers_begin_with_a_letter() {
        assert_eq!(header_name(b"Call-ID : x"), Some(&b"Call-ID"[..]));
        assert_eq!(header_name(b"11:27:38.986 log"), None);
        assert_eq!(header_name(b"3gpp.smsip;x:"), None);
        assert!(is_known_header(b"v: SIP/2.0/UDP a") && !is_known_header(b"GenericID: 1"));
    }
}
