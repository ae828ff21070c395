//! The lines of one message, put together.

use super::body;
use super::dress::{Begin, Between, Dress};
use super::lines::Ahead;
use super::pasted::Joiner;
use super::{notes, shape};
use crate::sip::HeaderName;
use crate::sip::header::grammar;
use crate::sip::parse::limits;

/// A message of a text.
pub(super) struct Found {
    /// With CRLF line ends, and the empty line after the headers.
    pub(super) bytes: Vec<u8>,
    /// True where less of the body is there than Content-Length says.
    pub(super) is_cut: bool,
    /// Which line follows.
    pub(super) next: usize,
    /// Lines of others among its own.
    pub(super) between: Between,
}

/// Reads the message that begins here.
pub(super) fn read(ahead: &mut dyn Ahead, begin: Begin) -> Found {
    let between = Between::default();
    let mut head = Head { octets: begin.start.len(), lines: vec![begin.start], has_cr: begin.has_cr, between };
    let next = head.read(ahead, &begin.dress, begin.next);
    let of = |name| shape::value_of(&head.lines, name);
    let length = of(HeaderName::ContentLength).and_then(grammar::digits).and_then(|n| usize::try_from(n).ok());
    let wanted = body::Wanted { length, kind: of(HeaderName::ContentType), has_cr: head.has_cr };
    let body = body::read(ahead, &begin.dress, next, &wanted);
    let bytes = assemble(&head.lines, &body.bytes);
    head.between.add(body.between);
    Found { bytes, is_cut: body.is_cut, next: body.next, between: head.between }
}

/// Header lines and body as a message.
pub(super) fn assemble(lines: &[Vec<u8>], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 2).sum::<usize>() + 2 + body.len());
    for line in lines {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// Start line and headers as far as they are read.
struct Head {
    lines: Vec<Vec<u8>>,
    octets: usize,
    /// True where the text shows the line ends of the message itself.
    has_cr: bool,
    between: Between,
}

impl Head {
    /// Reads up to the body and returns where it is.
    fn read(&mut self, ahead: &mut dyn Ahead, dress: &Dress, mut at: usize) -> usize {
        let mut joiner = (*dress == Dress::Pasted).then(Joiner::default);
        while let Some(line) = dress.undress(ahead, at) {
            if self.octets > limits::HEADER_SECTION || self.lines.len() > limits::HEADERS {
                break;
            }
            if shape::is_blank(&line.text) {
                let after = dress.undress(ahead, line.next).map(|line| line.text);
                if after.is_some_and(|after| self.goes_on(&after, joiner.as_mut())) {
                    at = line.next;
                    continue;
                }
                return line.next;
            }
            if !self.take(&line.text, line.has_cr, joiner.as_mut()) {
                let next = dress.undress(ahead, line.next).map(|line| line.text);
                // A header that is none, among headers, is for the judge.
                if !next.is_some_and(|next| shape::is_known_header(&next)) || self.is_over(&line.text) {
                    break;
                }
                self.push(line.text);
            }
            self.between.add(line.between);
            at = line.next;
        }
        at
    }

    /// True where an empty line does not end the headers: below the start line, and inside of a value pasted in pieces.
    fn goes_on(&self, after: &[u8], joiner: Option<&mut Joiner>) -> bool {
        match (self.lines.last(), joiner) {
            (Some(_), _) if self.lines.len() == 1 && shape::is_known_header(after) => true,
            (Some(last), Some(joiner)) => joiner.spreads(last, after),
            _ => false,
        }
    }

    /// Takes a line that belongs to the header section.
    fn take(&mut self, text: &[u8], has_cr: bool, joiner: Option<&mut Joiner>) -> bool {
        if shape::is_start(text) || shape::is_mark(text) {
            return false;
        }
        let has_headers = self.lines.len() > 1;
        match (joiner, self.lines.last_mut()) {
            (Some(joiner), Some(last)) if has_headers => {
                let before = last.len();
                if joiner.join(last, text) {
                    self.octets += last.len().saturating_sub(before);
                    return true;
                }
            }
            (Some(joiner), _) => joiner.see(text),
            (None, _) => {}
        }
        // Whoever writes remarks has no line ends of the wire.
        if !has_cr && notes::is_remark(text) {
            return true;
        }
        let text = if has_cr { text } else { notes::without_remark(text) };
        let is_fold = has_headers && text.starts_with(b" ") || text.starts_with(b"\t");
        let is_line = is_fold || shape::header_name(text).is_some();
        if is_line {
            self.push(text.to_vec());
        }
        is_line
    }

    fn push(&mut self, line: Vec<u8>) {
        self.octets += line.len() + 2;
        self.lines.push(line);
    }

    /// True for a line that begins something else.
    fn is_over(&self, text: &[u8]) -> bool {
        shape::is_start(text) || shape::is_mark(text) || super::banner::is_banner(text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, only, text_of, unread};

    #[test]
    fn messages_follow_each_other_with_and_without_an_empty_line() {
        let text = "OPTIONS sip:a SIP/2.0\nVia: SIP/2.0/UDP a\nSIP/2.0 200 OK\nVia: SIP/2.0/UDP a\n\nSIP/2.0 200 OK\n\nVia: SIP/2.0/UDP a\n";
        let found = messages(text);
        let all: Vec<_> = found.iter().map(text_of).collect();
        let answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n\r\n";
        assert_eq!(all, ["OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n\r\n", answer, answer]);
        assert_eq!(unread(text), Vec::<u64>::new());
    }

    #[test]
    fn folds_and_lines_that_are_no_headers_stay() {
        let text = "OPTIONS sip:a SIP/2.0\nVia: SIP/2.0/UDP a\n ;received=10.0.0.1\nno header\nCall-ID: 1\n\n";
        let expected =
            "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\n ;received=10.0.0.1\r\nno header\r\nCall-ID: 1\r\n\r\n";
        assert_eq!(text_of(&only(text)), expected);
    }

    #[test]
    fn a_start_line_alone_is_prose() {
        let text = "OPTIONS sip:a SIP/2.0\n\nis a request.\n";
        assert!(messages(text).is_empty());
        assert_eq!(unread(text), [1]);
    }

    #[test]
    fn indentation_and_quotation_marks_are_taken_off() {
        for lead in ["    ", "> ", "| "] {
            let text =
                format!("{lead}SIP/2.0 200 OK\n{lead}Via: SIP/2.0/UDP a\n{lead} ;rport\n{}\nprose\n", lead.trim_end());
            assert_eq!(text_of(&only(&text)), "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n ;rport\r\n\r\n");
            assert_eq!(unread(&text), [5]);
        }
    }
}
