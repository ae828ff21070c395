//! Bodies. Texts lose line ends, so Content-Length tells which they were.

use super::banner;
use super::dress::{Between, Dress};
use super::lines::Ahead;
use super::shape;
use crate::sip::parse::limits;

/// What the headers say of the body.
pub(super) struct Wanted<'a> {
    /// Content-Length.
    pub(super) length: Option<usize>,
    /// Content-Type.
    pub(super) kind: Option<&'a [u8]>,
    /// True where the text shows the line ends of the message itself.
    pub(super) has_cr: bool,
}

/// A body of a text.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    /// True where there is less than Content-Length says.
    pub(super) is_cut: bool,
    /// Which line follows.
    pub(super) next: usize,
    /// Lines of others among its own.
    pub(super) between: Between,
}

/// Reads the body at `index`.
pub(super) fn read(ahead: &mut dyn Ahead, dress: &Dress, index: usize, wanted: &Wanted<'_>) -> Body {
    let mut pieces = Pieces { lines: Vec::new(), text: 0, returns: 0, next: index, between: Between::default() };
    match wanted.length {
        Some(0) => {}
        Some(length) => return pieces.of_length(ahead, dress, wanted, length),
        None if wanted.kind.is_some() => while pieces.take(ahead, dress, wanted, true) {},
        None => {}
    }
    let ends = if wanted.has_cr { LineEnds::AS_THEY_ARE } else { LineEnds::CRLF };
    let bytes = pieces.bytes(pieces.lines.len(), ends);
    Body { bytes, is_cut: false, next: pieces.next, between: pieces.between }
}

/// Lines that may belong to a body.
struct Pieces {
    /// Text, whether it ends in CR, and which line follows.
    lines: Vec<(Vec<u8>, bool, usize)>,
    /// Octets of all texts.
    text: usize,
    /// How many end in CR.
    returns: usize,
    next: usize,
    between: Between,
}

/// What stood at the ends of the lines.
#[derive(Clone, Copy)]
struct LineEnds {
    kind: Kind,
    /// True for the last line as well.
    is_last: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crlf,
    Lf,
    AsTheyAre,
}

impl LineEnds {
    const CRLF: Self = Self { kind: Kind::Crlf, is_last: false };
    const CRLF_ALL: Self = Self { kind: Kind::Crlf, is_last: true };
    const LF: Self = Self { kind: Kind::Lf, is_last: false };
    const LF_ALL: Self = Self { kind: Kind::Lf, is_last: true };
    const AS_THEY_ARE: Self = Self { kind: Kind::AsTheyAre, is_last: false };
    const AS_THEY_ARE_ALL: Self = Self { kind: Kind::AsTheyAre, is_last: true };
}

impl Pieces {
    /// Takes lines until one way of ending them gives `length` octets.
    fn of_length(mut self, ahead: &mut dyn Ahead, dress: &Dress, wanted: &Wanted<'_>, length: usize) -> Body {
        let ways: &[LineEnds] = if wanted.has_cr {
            &[
                LineEnds::AS_THEY_ARE,
                LineEnds::AS_THEY_ARE_ALL,
                LineEnds::CRLF,
                LineEnds::CRLF_ALL,
                LineEnds::LF,
                LineEnds::LF_ALL,
            ]
        } else {
            &[LineEnds::CRLF, LineEnds::CRLF_ALL, LineEnds::LF, LineEnds::LF_ALL]
        };
        let mut fits = None;
        loop {
            let fit = ways.iter().find(|&&ends| !self.lines.is_empty() && self.octets(ends) == length);
            if let Some(&ends) = fit {
                let is_settled = self.is_over(ahead, dress, wanted);
                if is_settled || fits.is_none() {
                    fits = Some((self.lines.len(), ends));
                }
                if is_settled {
                    break;
                }
            }
            let shortest = self.octets(LineEnds::LF);
            let is_enough = !self.lines.is_empty() && (shortest >= length || shortest > limits::BODY);
            if is_enough || !self.take(ahead, dress, wanted, false) {
                break;
            }
        }
        if let Some((count, ends)) = fits {
            let next = self.lines[count - 1].2;
            return Body { bytes: self.bytes(count, ends), is_cut: false, next, between: self.between };
        }
        while self.lines.last().is_some_and(|(text, ..)| text.is_empty()) {
            self.lines.pop();
            self.next = self.lines.last().map_or(self.next, |&(.., next)| next);
        }
        self.recount();
        // The longest way that there is: where even that is too short, something is missing.
        let is_cut = self.octets(LineEnds::CRLF_ALL) < length;
        let ends = match (wanted.has_cr, is_cut) {
            (true, _) => LineEnds::AS_THEY_ARE,
            (false, true) => LineEnds::CRLF,
            (false, false) => LineEnds::CRLF_ALL,
        };
        Body { bytes: self.bytes(self.lines.len(), ends), is_cut, next: self.next, between: self.between }
    }

    /// Takes one more line, unless the body ends before it; `at_blank`: also before an empty one.
    fn take(&mut self, ahead: &mut dyn Ahead, dress: &Dress, wanted: &Wanted<'_>, at_blank: bool) -> bool {
        let Some(line) = dress.undress(ahead, self.next) else { return false };
        if ends_body(&line.text, wanted) || (at_blank && shape::is_blank(&line.text)) || self.text > limits::BODY {
            return false;
        }
        self.text += line.text.len();
        self.returns += usize::from(line.has_cr);
        self.between.add(line.between);
        self.next = line.next;
        self.lines.push((line.text, line.has_cr, line.next));
        true
    }

    /// True where what follows is no more of the body.
    fn is_over(&self, ahead: &mut dyn Ahead, dress: &Dress, wanted: &Wanted<'_>) -> bool {
        let line = dress.undress(ahead, self.next);
        line.is_none_or(|line| shape::is_blank(&line.text) || ends_body(&line.text, wanted))
    }

    /// How many octets the lines have with these ends.
    fn octets(&self, ends: LineEnds) -> usize {
        let ended = if ends.is_last { self.lines.len() } else { self.lines.len().saturating_sub(1) };
        let last_return = !ends.is_last && self.lines.last().is_some_and(|&(_, has_cr, _)| has_cr);
        self.text
            + match ends.kind {
                Kind::Crlf => 2 * ended,
                Kind::Lf => ended,
                Kind::AsTheyAre => ended + self.returns - usize::from(last_return),
            }
    }

    fn bytes(&self, count: usize, ends: LineEnds) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (n, (text, has_cr, _)) in self.lines[..count].iter().enumerate() {
            bytes.extend_from_slice(text);
            if n + 1 < count || ends.is_last {
                let has_cr = ends.kind == Kind::Crlf || (ends.kind == Kind::AsTheyAre && *has_cr);
                bytes.extend_from_slice(if has_cr { b"\r\n" } else { b"\n" });
            }
        }
        bytes
    }

    fn recount(&mut self) {
        self.text = self.lines.iter().map(|(text, ..)| text.len()).sum();
        self.returns = self.lines.iter().filter(|(_, has_cr, _)| *has_cr).count();
    }
}

/// True for a line that no body holds. Bodies that are messages themselves hold start lines.
fn ends_body(line: &[u8], wanted: &Wanted<'_>) -> bool {
    let holds_messages = wanted.kind.is_some_and(|kind| {
        let kind = kind.to_ascii_lowercase();
        kind.starts_with(b"message/") || kind.starts_with(b"multipart/")
    });
    shape::is_mark(line) || (!holds_messages && shape::is_start(line)) || banner::is_banner(line)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, only, text_of, unread};

    fn body(length: &str, text: &str) -> (String, bool) {
        let head = format!("MESSAGE sip:a SIP/2.0\nVia: SIP/2.0/UDP a\nContent-Type: text/plain\n{length}\n");
        let found = only(&format!("{head}{text}"));
        let (_, body) =
            text_of(&found).split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).expect("a body");
        (body, found.1.cut)
    }

    #[test]
    fn the_length_tells_the_line_ends() {
        assert_eq!(body("Content-Length: 8\n", "one\ntwo\n\nprose\n"), ("one\r\ntwo".to_owned(), false));
        assert_eq!(body("Content-Length: 10\n", "one\ntwo\n\nprose\n"), ("one\r\ntwo\r\n".to_owned(), false));
        assert_eq!(body("Content-Length: 7\n", "one\ntwo\n\nprose\n"), ("one\ntwo".to_owned(), false));
        assert_eq!(body("Content-Length: 13\n", "one\n\ntwo\nend\n```\n"), ("one\n\ntwo\nend\n".to_owned(), false));
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(body("Content-Length: 99\n", "one\ntwo\n"), ("one\r\ntwo".to_owned(), true));
        assert_eq!(body("Content-Length: 9\n", "one\ntwo\n"), ("one\r\ntwo\r\n".to_owned(), false));
        assert_eq!(body("Content-Length: 9\n", ""), (String::new(), true));
    }

    #[test]
    fn without_a_length_an_empty_line_ends_it() {
        assert_eq!(body("", "one\ntwo\n\nprose\n"), ("one\r\ntwo".to_owned(), false));
    }

    #[test]
    fn a_message_inside_of_a_body_is_no_message() {
        let text = "NOTIFY sip:a SIP/2.0\nVia: SIP/2.0/UDP a\nContent-Type: message/sipfrag\nContent-Length: 14\n\n\
            SIP/2.0 200 OK\nSIP/2.0 200 OK\nVia: SIP/2.0/UDP a\n\n";
        let found = messages(text);
        assert_eq!(found.len(), 2);
        assert!(text_of(&found[0]).ends_with("\r\n\r\nSIP/2.0 200 OK"));
        assert_eq!(unread(text), Vec::<u64>::new());
    }
}
