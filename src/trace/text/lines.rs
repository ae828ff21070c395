//! Lines of a text with sight of those that follow.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    /// Without its line end.
    pub(super) text: Vec<u8>,
    /// True where CR stands before LF.
    pub(super) has_cr: bool,
    /// With its line end.
    pub(super) octets: usize,
    /// True where it was longer than [`LONGEST`]; the rest is skipped.
    pub(super) is_cut: bool,
}

/// The lines from here on, and those that follow them.
pub(super) trait Ahead {
    /// The line `index` lines from here.
    fn get(&mut self, index: usize) -> Option<&Line>;

    /// Its text.
    fn text(&mut self, index: usize) -> Option<&[u8]> {
        self.get(index).map(|line| line.text.as_slice())
    }
}

/// Reads lines as they are asked for.
pub(super) struct Lines<R> {
    input: R,
    ahead: VecDeque<Line>,
    read: u64,
    fault: Option<io::Error>,
    is_over: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, ahead: VecDeque::new(), read: 0, fault: None, is_over: false }
    }

    /// Takes the next line away.
    pub(super) fn take(&mut self) -> Option<Line> {
        self.get(0)?;
        self.ahead.pop_front()
    }

    /// Takes `count` lines away.
    pub(super) fn skip(&mut self, count: usize) {
        for _ in 0..count {
            self.take();
        }
    }

    /// The fault that ended the text, once.
    pub(super) fn fault(&mut self) -> Option<io::Error> {
        self.fault.take()
    }

    /// Takes away and returns `count` octets as they are, over line ends; fewer at the end of the text.
    pub(super) fn take_octets(&mut self, count: usize) -> Vec<u8> {
        let mut octets = Vec::with_capacity(count.min(LONGEST));
        while octets.len() < count {
            let Some(mut line) = self.take() else { break };
            let line_end: &[u8] = match (line.has_cr, line.octets > line.text.len() + usize::from(line.has_cr)) {
                (true, true) => b"\r\n",
                (true, false) => b"\r",
                (false, true) => b"\n",
                (false, false) => b"",
            };
            line.text.extend_from_slice(line_end);
            let part = line.text.len().min(count - octets.len());
            octets.extend_from_slice(&line.text[..part]);
            if part < line.text.len() {
                self.ahead.push_front(rest_of(&line, part));
            }
        }
        octets
    }

    fn read_line(&mut self) {
        let mut text = Vec::new();
        let limit = LONGEST as u64 + 1;
        match self.input.by_ref().take(limit).read_until(b'\n', &mut text) {
            Ok(0) => self.is_over = true,
            Ok(octets) => {
                self.read += 1;
                let is_cut = octets as u64 == limit && text.last() != Some(&b'\n');
                let octets = if is_cut { octets + self.skip_line() } else { octets };
                if self.read == 1 && text.starts_with(BYTE_ORDER_MARK) {
                    text.drain(..BYTE_ORDER_MARK.len());
                }
                self.ahead.push_back(line(self.read, text, octets, is_cut));
            }
            Err(fault) => {
                self.fault = Some(fault);
                self.is_over = true;
            }
        }
    }

    /// Reads the rest of a line and forgets it.
    fn skip_line(&mut self) -> usize {
        let mut skipped = 0;
        loop {
            let (used, is_over) = match self.input.fill_buf() {
                Ok([]) => return skipped,
                Ok(buffer) => match memchr::memchr(b'\n', buffer) {
                    Some(at) => (at + 1, true),
                    None => (buffer.len(), false),
                },
                Err(fault) => {
                    self.fault = Some(fault);
                    self.is_over = true;
                    return skipped;
                }
            };
            self.input.consume(used);
            skipped += used;
            if is_over {
                return skipped;
            }
        }
    }
}

impl<R: BufRead> Ahead for Lines<R> {
    fn get(&mut self, index: usize) -> Option<&Line> {
        while self.ahead.len() <= index && !self.is_over {
            self.read_line();
        }
        self.ahead.get(index)
    }
}

fn line(number: u64, mut text: Vec<u8>, octets: usize, is_cut: bool) -> Line {
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    let has_cr = !is_cut && text.last() == Some(&b'\r');
    if has_cr {
        text.pop();
    }
    Line { number, text, has_cr, octets, is_cut }
}

/// What is left of a line with its line end after its first `used` octets.
fn rest_of(whole: &Line, used: usize) -> Line {
    let text = whole.text[used..].to_vec();
    let octets = text.len();
    line(whole.number, text, octets, whole.is_cut)
}

/// Longer lines are cut.
const LONGEST: usize = 16 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_known_and_octets_counted() {
        let mut lines = Lines::new(&b"\xef\xbb\xbfone\r\ntwo\n\nfour"[..]);
        let shapes: Vec<_> =
            (0..5).map(|n| lines.get(n).map(|l| (l.number, l.text.clone(), l.has_cr, l.octets))).collect();
        assert_eq!(shapes[0], Some((1, b"one".to_vec(), true, 8)));
        assert_eq!(shapes[1], Some((2, b"two".to_vec(), false, 4)));
        assert_eq!(shapes[2], Some((3, Vec::new(), false, 1)));
        assert_eq!(shapes[3], Some((4, b"four".to_vec(), false, 4)));
        assert_eq!(shapes[4], None);
    }

    #[test]
    fn octets_are_taken_over_line_ends() {
        let mut lines = Lines::new(&b"one\r\ntwo\nthree\r"[..]);
        assert_eq!(lines.take_octets(7), b"one\r\ntw");
        assert_eq!(lines.take_octets(99), b"o\nthree\r");
        assert!(lines.take().is_none());
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let text = vec![b'x'; LONGEST + 4_000];
        let mut lines = Lines::new(io::Cursor::new([text.as_slice(), b"\nnext\n"].concat()));
        let line = lines.take().expect("a line");
        assert!(line.is_cut && line.text.len() <= LONGEST + 1);
        assert_eq!(line.octets, LONGEST + 4_001);
        assert_eq!(lines.take().expect("a line").text, b"next");
    }
}
