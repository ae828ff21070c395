//! Notes: remarks behind `//` at the ends of lines and on lines of their own.

use super::shape;
use crate::sip::HeaderName;

/// A line without the remark at its end. `//` of a URI, in quotes or in angle brackets is none, nor is one in a header of
/// free text.
pub(super) fn without_remark(line: &[u8]) -> &[u8] {
    let Some(at) = remark(line) else { return line };
    let is_free_text = shape::header_name(line).is_some_and(|name| {
        let name = HeaderName::from_bytes(name);
        matches!(name, HeaderName::Subject | HeaderName::UserAgent | HeaderName::Server | HeaderName::Warning)
    });
    if is_free_text { line } else { line[..at].trim_ascii_end() }
}

/// True for a line that is nothing but a remark.
pub(super) fn is_remark(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"//")
}

fn remark(line: &[u8]) -> Option<usize> {
    let (mut is_quoted, mut depth) = (false, 0_u32);
    for (at, &b) in line.iter().enumerate() {
        match b {
            b'"' => is_quoted = !is_quoted,
            b'<' if !is_quoted => depth += 1,
            b'>' if !is_quoted => depth = depth.saturating_sub(1),
            b'/' if !is_quoted && depth == 0 && line[at..].starts_with(b"//") => {
                let is_apart = at > 0 && line[at - 1].is_ascii_whitespace();
                let says_something = line.get(at + 2).is_some_and(|&next| next == b' ' || !next.is_ascii());
                if is_apart && says_something {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{only, text_of, unread};
    use super::*;

    #[test]
    fn only_remarks_are_taken_off() {
        let stays = [
            "Call-Info: http://a.example/x",
            "Contact: <sip:a> ;x=\"a // b\"",
            "User-Agent: we // them",
            "Alert-Info: <http://a // b>",
            "Via: x//y",
        ];
        for line in stays {
            assert_eq!(without_remark(line.as_bytes()), line.as_bytes());
        }
        assert_eq!(without_remark("To: <tel:1> // 新".as_bytes()), b"To: <tel:1>");
        assert_eq!(without_remark("To: <tel:1> //新".as_bytes()), b"To: <tel:1>");
    }

    #[test]
    fn remarks_belong_to_the_form() {
        let text = "OPTIONS sip:a SIP/2.0 // the first\nVia: SIP/2.0/UDP 10.0.0.1;branch=z // was y\n// between\nCall-ID: 1\n\nThe end.\n";
        assert_eq!(
            text_of(&only(text)),
            "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z\r\nCall-ID: 1\r\n\r\n"
        );
        assert_eq!(unread(text), [6]);
    }
}
