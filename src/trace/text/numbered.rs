//! Tutorial pages: `[ Line  1 ] ` before each line of a message, empty lines between.

use super::dress::{Between, Undressed};
use super::lines::Ahead;
use super::shape;

/// A line without its number.
pub(super) fn strip(line: &[u8]) -> Option<&[u8]> {
    let rest = line.trim_ascii_start().strip_prefix(b"[")?.trim_ascii_start().strip_prefix(b"Line")?.trim_ascii_start();
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = rest[digits..].trim_ascii_start().strip_prefix(b"]")?;
    (digits > 0).then(|| rest.strip_prefix(b" ").unwrap_or(rest))
}

/// The next line of the message.
pub(super) fn undress(ahead: &mut dyn Ahead, mut index: usize) -> Option<Undressed> {
    let last = index + MOST_BLANK;
    while index < last && ahead.text(index).is_some_and(shape::is_blank) {
        index += 1;
    }
    let line = ahead.get(index)?;
    let text = strip(&line.text)?.to_vec();
    Some(Undressed { text, has_cr: line.has_cr, next: index + 1, between: Between::default() })
}

/// Empty lines between two of a message.
const MOST_BLANK: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::tests::{only, text_of, unread};

    #[test]
    fn numbers_are_taken_off() {
        let text = "< Example >\n\n[ Line  1 ] OPTIONS sip:a SIP/2.0\n\n[ Line  2 ] Via: SIP/2.0/UDP 10.0.0.1\n\n\n[Line 10] Call-ID: 1\n\nThe end.\n";
        assert_eq!(text_of(&only(text)), "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nCall-ID: 1\r\n\r\n");
        assert_eq!(unread(text), [1, 10]);
    }
}
