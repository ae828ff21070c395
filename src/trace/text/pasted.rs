//! Text pasted into a document: names in bold (`**Security-Client**`), lines cut at a column inside of tokens, the value
//! of a header on the lines that follow, empty lines among them.

use super::lines::Ahead;
use super::{notes, shape};
use crate::sip::parse::limits;

/// True where the message that begins here looks so: a name in bold, or a line cut at a usual column.
pub(super) fn applies(ahead: &mut dyn Ahead) -> bool {
    let mut width = 0;
    for index in 1..MOST_LINES {
        let Some(line) = ahead.text(index) else { return false };
        let line = line.trim_ascii_end();
        let is_long = line.len() > limits::HEADER_SECTION;
        if line.is_empty() || is_long || shape::is_start(line) || shape::is_mark(line) {
            return false;
        }
        if is_bold_name(line) {
            return true;
        }
        let goes_on = !begins_header(line) && !line.starts_with(b" ") && !notes::is_remark(line) && line.is_ascii();
        if goes_on && USUAL_WIDTHS.contains(&width) && line.iter().any(|b| b";=<>\",:@".contains(b)) {
            return true;
        }
        width = line.len();
    }
    false
}

/// A line without the asterisks around its names.
pub(super) fn without_bold(line: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memmem::find(rest, BOLD) {
        let (before, after) = (&rest[..at], &rest[at + BOLD.len()..]);
        plain.extend_from_slice(before);
        let length = after.iter().take_while(|&&b| shape::is_token(b) && b != b'*').count();
        if length > 0 && after[0].is_ascii_alphabetic() && after[length..].starts_with(BOLD) {
            plain.extend_from_slice(&after[..length]);
            rest = &after[length + BOLD.len()..];
        } else {
            plain.extend_from_slice(BOLD);
            rest = after;
        }
    }
    plain.extend_from_slice(rest);
    plain
}

/// Joins the parts of lines to whole ones.
#[derive(Default, Debug)]
pub(super) struct Joiner {
    /// Of the part before.
    width: usize,
    /// True after an empty line inside of a value.
    is_spread: bool,
}

impl Joiner {
    /// True where the empty line that stands before `after` is inside of the header section whose last line is `last`.
    pub(super) fn spreads(&mut self, last: &[u8], after: &[u8]) -> bool {
        let goes_on = is_waiting(last) && !shape::is_start(after) && !shape::is_blank(after);
        // The last value of such a list has no comma at its end.
        let ends_list = self.is_spread && begins_header(after);
        self.is_spread |= goes_on;
        goes_on || ends_list
    }

    /// Sees the first header line.
    pub(super) fn see(&mut self, part: &[u8]) {
        self.width = part.len();
    }

    /// Joins `part` to `last`, unless it begins a line of its own or follows no cut.
    pub(super) fn join(&mut self, last: &mut Vec<u8>, part: &[u8]) -> bool {
        let width = std::mem::replace(&mut self.width, part.len());
        if begins_header(part) {
            self.is_spread = false;
            return false;
        }
        if is_waiting(last) {
            if is_empty(last) {
                last.truncate(last.trim_ascii_end().len());
                last.push(b' ');
            }
            last.extend_from_slice(part.trim_ascii());
            return true;
        }
        // A fold is none of our business.
        let is_cut = if part.starts_with(b" ") { USUAL_WIDTHS.contains(&width) } else { width >= LEAST_WIDTH };
        if is_cut {
            last.extend_from_slice(part);
        }
        is_cut
    }
}

/// True for a header line whose value is still to come, in whole or in part.
fn is_waiting(line: &[u8]) -> bool {
    line.trim_ascii_end().ends_with(b",") || is_empty(line)
}

/// True for a header line without value.
fn is_empty(line: &[u8]) -> bool {
    shape::header_name(line).is_some() && shape::header_value(line).is_empty()
}

/// True for a known name, and for another with a space behind its colon: what is cut inside of a URI has none.
fn begins_header(line: &[u8]) -> bool {
    let Some(name) = shape::header_name(line) else { return false };
    let after = line[name.len()..].trim_ascii_start();
    shape::is_known_header(line) || matches!(after, [b':'] | [b':', b' ', ..])
}

fn is_bold_name(line: &[u8]) -> bool {
    line.starts_with(BOLD) && begins_header(&without_bold(line))
}

const BOLD: &[u8] = b"**";

/// Where consoles and pages cut, one octet more or less.
const USUAL_WIDTHS: [usize; 4] = [78, 79, 80, 132];

/// A part before a cut may have lost its name to a line of its own.
const LEAST_WIDTH: usize = 60;

/// No header section has more.
const MOST_LINES: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::tests::{only, text_of, unread};
    use super::*;

    #[test]
    fn bold_names_are_told_from_star_codes() {
        assert_eq!(without_bold(b"**Authorization**: Digest **realm**=\"a\""), b"Authorization: Digest realm=\"a\"");
        assert_eq!(without_bold(b"To: <sip:**21*7#@a>"), b"To: <sip:**21*7#@a>");
        assert_eq!(without_bold(b"**"), b"**");
    }

    #[test]
    fn values_on_the_lines_that_follow_are_joined() {
        let text = "aucSipMsg:OPTIONS sip:a SIP/2.0\nTo: <sip:a>\n**Security-Client**: \n\n**ipsec-3gpp**;alg=a,\n\nipsec-3gpp;alg=b\n\n\
            **Call-ID**: 1\n\nSecurity-Client: prose\n";
        assert_eq!(
            text_of(&only(text)),
            "OPTIONS sip:a SIP/2.0\r\nTo: <sip:a>\r\nSecurity-Client: ipsec-3gpp;alg=a,ipsec-3gpp;alg=b\r\nCall-ID: 1\r\n\r\n"
        );
        assert_eq!(unread(text), [11]);
    }

    #[test]
    fn cuts_are_told_by_the_column() {
        let front = format!("Contact: <sip:1@10.0.0.1>;x={}", "y".repeat(52));
        let text = format!("OPTIONS sip:a SIP/2.0\n{front}\nyy;z=1\nCall-ID: 1\n");
        let expected = format!("OPTIONS sip:a SIP/2.0\r\n{front}yy;z=1\r\nCall-ID: 1\r\n\r\n");
        assert_eq!(text_of(&only(&text)), expected);
        // No cut at that column: the line after it is no part of the message.
        let text = format!("OPTIONS sip:a SIP/2.0\n{front}yyy\nyy;z=1\n");
        assert_eq!(text_of(&only(&text)), format!("OPTIONS sip:a SIP/2.0\r\n{front}yyy\r\n\r\n"));
        assert_eq!(unread(&text), [3]);
    }
}
