//! Octets in order to messages.

use super::{Out, Point, content, hep};
use crate::diameter::header;
use crate::packet::Protocol;
use crate::sip::frame::{self, Frame};
use crate::trace::Ends;
use memchr::{memchr, memmem};

/// Where in a stream reading is.
#[derive(Default, Debug)]
pub(super) struct Framing {
    /// The next octet is the first of a message, as far as can be told.
    pub(super) is_at_message: bool,
    /// Octets that were passed over since the last message, of messages whose beginning is missing.
    skipped: usize,
}

/// What a stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// Messages.
    Message(Protocol),
    /// Packets of an agent.
    Hep,
}

/// What the last octets of a stream are when no more come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    Nothing,
    /// The beginning of a message.
    Message(Protocol),
    Unread,
}

impl Framing {
    /// Hands out the messages at the front of `bytes` and returns how many octets are done with.
    pub(super) fn read(&mut self, content: Content, point: Point, ends: Ends, bytes: &[u8], out: &mut Out) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let step = match content {
                _ if !self.is_at_message => self.look_for(content, point, rest, out),
                Content::Message(Protocol::Sip) => self.sip(point, ends, rest, out),
                Content::Message(Protocol::Diameter) => self.diameter(point, ends, rest, out),
                Content::Hep => self.hep(point, rest, out),
            };
            match step {
                Step::Used(octets) => at += octets,
                Step::Incomplete => break,
            }
        }
        at
    }

    /// Tells of octets that were passed over.
    pub(super) fn tell_skipped(&mut self, point: Option<Point>, out: &mut Out) {
        let skipped = std::mem::take(&mut self.skipped);
        if let (Some(point), 1..) = (point, skipped) {
            out.unread(point, "the rest of messages whose beginning is not in the trace", skipped);
        }
    }

    fn sip(&mut self, point: Point, ends: Ends, rest: &[u8], out: &mut Out) -> Step {
        match frame::next(rest) {
            Ok(Frame::Message(len)) => {
                out.message(point, Protocol::Sip, ends, false, &rest[..len]);
                Step::Used(len)
            }
            Ok(Frame::Ping(len)) => {
                out.summary.keep_alives += 1;
                Step::Used(len)
            }
            Ok(Frame::Skip(len)) => {
                match rest[..len].iter().all(u8::is_ascii_whitespace) {
                    true => out.summary.keep_alives += u64::from(len > 1),
                    false => out.unread(point, "octets between messages of a stream", len),
                }
                Step::Used(len)
            }
            Ok(Frame::Incomplete) => Step::Incomplete,
            Err(_) => {
                out.unread(point, "a SIP message without sound length on a stream", 0);
                self.is_at_message = false;
                // Not the same message again.
                let line = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                self.skipped += line;
                Step::Used(line)
            }
        }
    }

    fn diameter(&mut self, point: Point, ends: Ends, rest: &[u8], out: &mut Out) -> Step {
        match header::frame(rest, content::LONGEST_DIAMETER) {
            None => Step::Incomplete,
            Some(Ok(len)) if rest[0] == 1 => match rest.get(..len) {
                Some(message) => {
                    out.message(point, Protocol::Diameter, ends, false, message);
                    Step::Used(len)
                }
                None => Step::Incomplete,
            },
            Some(_) => {
                self.is_at_message = false;
                Step::Used(0)
            }
        }
    }

    fn hep(&mut self, point: Point, rest: &[u8], out: &mut Out) -> Step {
        match crate::trace::hep::length(rest) {
            Ok(None) => Step::Incomplete,
            Ok(Some(len)) => match rest.get(..len) {
                Some(packet) => {
                    hep::packet(point, packet, out);
                    Step::Used(len)
                }
                None => Step::Incomplete,
            },
            Err(_) => {
                self.is_at_message = false;
                self.skipped += 1;
                Step::Used(1)
            }
        }
    }

    /// Passes over octets up to the next message.
    fn look_for(&mut self, content: Content, point: Point, rest: &[u8], out: &mut Out) -> Step {
        let found = match content {
            // A message begins with a segment, nearly always.
            Content::Message(Protocol::Diameter) if content::begins_diameter(rest) => Some(0),
            Content::Message(Protocol::Diameter) => None,
            Content::Hep => memmem::find(rest, hep::MAGIC),
            Content::Message(Protocol::Sip) => {
                let Some(end) = memchr(b'\n', rest) else {
                    let is_long = rest.len() > LONGEST_LINE;
                    self.skipped += if is_long { rest.len() } else { 0 };
                    return if is_long { Step::Used(rest.len()) } else { Step::Incomplete };
                };
                let line = &rest[..end];
                match frame::start_of_line(line) {
                    None => {
                        self.skipped += end + 1;
                        return Step::Used(end + 1);
                    }
                    Some(start) => Some(start + glued(&line[start..])),
                }
            }
        };
        match found {
            Some(start) => {
                self.skipped += start;
                self.tell_skipped(Some(point), out);
                self.is_at_message = true;
                Step::Used(start)
            }
            None => {
                // The word that begins a packet of HEP may be cut here.
                let kept = if content == Content::Hep { rest.len().min(hep::MAGIC.len() - 1) } else { 0 };
                let used = rest.len() - kept;
                self.skipped += used;
                if used == 0 { Step::Incomplete } else { Step::Used(used) }
            }
        }
    }
}

/// How many octets of a body, which need not end with a line, stand before the method.
fn glued(line: &[u8]) -> usize {
    let token = &line[..memchr(b' ', line).unwrap_or(line.len())];
    let method = METHODS.iter().filter(|method| token.ends_with(method.as_bytes())).map(|method| method.len()).max();
    method.map_or(0, |len| token.len() - len)
}

enum Step {
    Used(usize),
    Incomplete,
}

impl Rest {
    pub(super) fn of(bytes: &[u8], is_at_message: bool) -> Self {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            Self::Nothing
        } else if is_at_message && content::begins_sip(bytes) {
            Self::Message(Protocol::Sip)
        } else if is_at_message && content::begins_diameter(bytes) {
            Self::Message(Protocol::Diameter)
        } else {
            Self::Unread
        }
    }
}

const METHODS: [&str; 14] = [
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "PRACK",
    "UPDATE",
    "OPTIONS",
    "MESSAGE",
    "PUBLISH",
    "REFER",
    "INFO",
];
const LONGEST_LINE: usize = 8_192;
