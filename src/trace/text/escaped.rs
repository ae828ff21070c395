//! Messages on one line: `\r\n` and `\"` in a string of JSON or of a log, `#015#012` of a syslog daemon.

use super::dress::{self, Dress};
use super::lines::{Ahead, Lines};
use super::message::{self, Found};
use super::shape;

/// The messages of a line; `None` where it is none of this form.
pub(super) fn read(line: &[u8]) -> Option<Vec<Found>> {
    let first_end = next_escape(line, 0)?;
    memchr::memmem::find(line, b"SIP/2.0")?;
    let mut found = Vec::new();
    let mut at = 0;
    let mut end = Some(first_end);
    while let Some(line_end) = end {
        match start_before(&line[at..line_end]) {
            Some(start) => {
                let start = at + start;
                let stop = end_of_string(line, start);
                let text = unescape(&line[start..stop]);
                take_messages(&text, &mut found);
                at = stop;
            }
            None => at = line_end + 1,
        }
        end = next_escape(line, at);
    }
    (!found.is_empty()).then_some(found)
}

/// Reads unescaped text.
fn take_messages(text: &[u8], found: &mut Vec<Found>) {
    let mut lines = Lines::new(text);
    while lines.get(0).is_some() {
        let Some(begin) = dress::begin(&mut lines).filter(|begin| begin.dress == Dress::Plain { lead: Vec::new() })
        else {
            lines.skip(1);
            continue;
        };
        let message = message::read(&mut lines, begin);
        lines.skip(message.next);
        found.push(message);
    }
}

/// Where a start line begins that `line` ends with.
fn start_before(line: &[u8]) -> Option<usize> {
    let at = match line.strip_suffix(b" SIP/2.0") {
        Some(rest) => shape::method_before(rest)?,
        None => memchr::memmem::rfind(line, b"SIP/2.0 ")?,
    };
    shape::is_start(&line[at..]).then_some(at)
}

/// Where the string ends that begins at `start`: at the quotation mark that stands before it, else with the line.
fn end_of_string(line: &[u8], start: usize) -> usize {
    let Some(&quote @ (b'"' | b'\'' | b'`')) = start.checked_sub(1).and_then(|before| line.get(before)) else {
        return line.len();
    };
    let mut at = start;
    while at < line.len() {
        match line[at] {
            b'\\' => at += 1,
            b if b == quote => return at,
            _ => {}
        }
        at += 1;
    }
    line.len()
}

/// Where the next escaped line end is, at or after `from`.
fn next_escape(line: &[u8], from: usize) -> Option<usize> {
    let rest = line.get(from..)?;
    memchr::memchr2_iter(b'\\', b'#', rest)
        .find(|&at| LINE_ENDS.iter().any(|end| rest[at..].starts_with(end.as_bytes())))
        .map(|at| from + at)
}

/// Text without its escapes.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let (octets, used): ([u8; 4], usize) = match (first, after) {
            (b'\\', [b'n', ..]) => ([1, b'\n', 0, 0], 2),
            (b'\\', [b'r', ..]) => ([1, b'\r', 0, 0], 2),
            (b'\\', [b't', ..]) => ([1, b'\t', 0, 0], 2),
            (b'\\', [b'u', a, b, c, d, ..]) => match hex(&[*a, *b, *c, *d]) {
                Some(code) => (utf8(code), 6),
                None => ([1, b'\\', 0, 0], 1),
            },
            (b'\\', [b'x', a, b, ..]) => match hex(&[*a, *b]) {
                Some(code) => ([1, code as u8, 0, 0], 4),
                None => ([1, b'\\', 0, 0], 1),
            },
            (b'\\', [b'0', a, b, ..]) if octal(*a, *b).is_some() => ([1, octal(*a, *b).unwrap_or_default(), 0, 0], 4),
            (b'\\', [quoted @ (b'"' | b'\'' | b'\\' | b'/'), ..]) => ([1, *quoted, 0, 0], 2),
            (b'#', [b'0', a, b, ..]) if octal(*a, *b).is_some_and(|o| o < b' ') => {
                ([1, octal(*a, *b).unwrap_or_default(), 0, 0], 4)
            }
            _ => ([1, first, 0, 0], 1),
        };
        plain.extend_from_slice(&octets[1..=usize::from(octets[0])]);
        rest = &rest[used..];
    }
    plain
}

fn octal(a: u8, b: u8) -> Option<u8> {
    ((b'0'..=b'7').contains(&a) && (b'0'..=b'7').contains(&b)).then(|| (a - b'0') * 8 + b - b'0')
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?, 16).ok()
}

/// How many octets, and the octets, of a character.
fn utf8(code: u32) -> [u8; 4] {
    let mut octets = [0; 4];
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    octets[0] = character.encode_utf8(&mut octets[1..]).len() as u8;
    octets
}

const LINE_ENDS: [&str; 7] = ["\\r\\n", "\\n", "#015#012", "#012", "\\015\\012", "\\x0d\\x0a", "\\u000d\\u000a"];

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, only, text_of, times, unread};

    const EXPECTED: &str = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 10.0.0.1\r\n\
        WWW-Authenticate: Digest realm=\"a\", nonce=\"x\"\r\nTo: <sip:a>\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn strings_of_json_are_read() {
        let json = EXPECTED.replace('"', "\\\"").replace("\r\n", "\\r\\n").replace('<', "\\u003c");
        let text = format!("{{\"id\":1,\"raw\":\"{json}\",\"more\":[\"{json}\"]}}\n");
        let found = messages(&text);
        assert_eq!(found.iter().map(text_of).collect::<Vec<_>>(), [EXPECTED, EXPECTED]);
        assert_eq!(unread(&text), Vec::<u64>::new());
    }

    #[test]
    fn lines_of_a_syslog_daemon_are_read() {
        let escaped = EXPECTED.replace("\r\n", "#015#012");
        let text = format!(
            "Mar  6 13:34:49 core kamailio[12]: INFO: <script>: {escaped}\nMar  6 13:34:50 core kamailio[12]: INFO: {escaped}\n"
        );
        let found = messages(&text);
        assert_eq!(found.iter().map(text_of).collect::<Vec<_>>(), [EXPECTED, EXPECTED]);
        assert_eq!(times(&found), [Some(0), Some(1_000_000)]);
    }

    #[test]
    fn several_messages_in_one_string_are_read() {
        let escaped = EXPECTED.replace("\r\n", "\\r\\n");
        let text = format!("log: {escaped}{escaped}\n");
        assert_eq!(messages(&text).len(), 2);
    }

    #[test]
    fn bodies_have_their_line_ends() {
        let text =
            "x=\"MESSAGE sip:a SIP/2.0\\r\\nContent-Type: text/plain\\r\\nContent-Length: 7\\r\\n\\r\\none\\ntwo\"\n";
        let expected = "MESSAGE sip:a SIP/2.0\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\none\ntwo";
        assert_eq!(text_of(&only(text)), expected);
    }

    #[test]
    fn other_strings_are_prose() {
        let text = "printf(\"SIP/2.0\\n\");\nprintf(\"OPTIONS sip:a SIP/2.0\\r\\n\");\n";
        assert!(messages(text).is_empty());
        assert_eq!(unread(text), [1]);
    }
}
