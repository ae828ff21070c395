//! Pasted texts and logs of programs, read as messages.
//!
//! A form is what a program or an author puts around messages, and each has a file here. What is taken off, joined and
//! unescaped is only what the form prescribes; the message comes with CRLF line ends, its headers as they stand. A text
//! that names addresses mostly names no transport: then it is that of the topmost Via, and where there is none the ends stay
//! unknown.

mod arrow;
mod banner;
mod body;
mod dress;
mod escaped;
mod kamailio;
mod lines;
mod logcat;
mod message;
mod ngrep;
mod notes;
mod numbered;
mod pasted;
mod pjsua;
mod sbc;
mod shape;
mod stamp;
mod tshark;
mod write;

pub use write::write;

use super::{Ends, Message, Place, Protection, Seen, Sighting, Unread};
use crate::packet::Protocol;
use crate::sip;
use banner::Banner;
use lines::{Ahead, Lines};
use stamp::Clock;
use std::collections::VecDeque;
use std::io::{self, BufRead};

/// Reads a text, one [`Sighting`] after the other, a message at a time.
///
/// What stands between messages is one [`Unread`] a block, but for what belongs to a form.
pub struct Reader<R> {
    lines: Lines<R>,
    clock: Clock,
    /// What the text told of the message that comes next, with its place and length.
    announced: Option<(Banner, Block)>,
    /// Text that is no message, up to here.
    block: Option<Block>,
    ready: VecDeque<Sighting>,
}

/// Lines that are no message.
#[derive(Clone, Copy)]
struct Block {
    line: u64,
    octets: usize,
    /// Empty lines and marks at its end, which count when more follows.
    trailing: usize,
    reason: &'static str,
}

impl<R: BufRead> Reader<R> {
    /// A reader from the first line on.
    pub fn new(input: R) -> Self {
        let lines = Lines::new(input);
        Self { lines, clock: Clock::default(), announced: None, block: None, ready: VecDeque::new() }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = io::Result<Sighting>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(sighting) = self.ready.pop_front() {
                return Some(Ok(sighting));
            }
            if self.lines.get(0).is_none() {
                self.end_block();
                return self.ready.pop_front().map(Ok).or_else(|| self.lines.fault().map(Err));
            }
            self.step();
        }
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads what begins at the next line.
    fn step(&mut self) {
        let Some(line) = self.lines.get(0) else { return };
        let (number, is_cut) = (line.number, line.is_cut);
        if is_cut {
            self.end_block();
            let octets = self.lines.take().map_or(0, |line| line.octets);
            self.push(number, None, Seen::Unread(Unread { reason: TOO_LONG, octets }));
        } else if let Some(head) = write::head(&line.text) {
            self.take_written(number, &head);
        } else if tshark::is_frame(&line.text) {
            self.take_frame(number);
        } else if let Some(found) = escaped::read(&line.text) {
            let stamp = stamp::Stamp::read(&line.text).map(|(stamp, _)| stamp);
            let banner = self.announcement(stamp);
            self.lines.skip(1);
            for message in found {
                self.push_sip(number, &banner, message.bytes, message.is_cut);
            }
        } else if let Some(begin) = dress::begin(&mut self.lines) {
            let banner = self.announcement(begin.stamp);
            let found = message::read(&mut self.lines, begin);
            self.lines.skip(found.next);
            self.push_sip(number, &banner, found.bytes, found.is_cut);
            if let Some(first) = found.between.first {
                self.push(first, None, Seen::Unread(Unread { reason: BETWEEN, octets: found.between.octets }));
            }
        } else if let Some((banner, count)) = banner::read(&mut self.lines) {
            self.give_up_announced();
            let octets = (0..count).filter_map(|_| self.lines.take()).map(|line| line.octets).sum();
            self.announced = Some((banner, Block { line: number, octets, trailing: 0, reason: NO_MESSAGE }));
        } else {
            self.take_other();
        }
    }

    /// A line that is neither a message nor announces one.
    fn take_other(&mut self) {
        let Some(line) = self.lines.take() else { return };
        if shape::is_blank(&line.text) || shape::is_mark(&line.text) {
            if let Some(block) = self.block.as_mut().filter(|_| self.announced.is_none()) {
                block.trailing += line.octets;
            }
            return;
        }
        self.give_up_announced();
        self.add_to_block(Block { line: line.number, octets: line.octets, trailing: 0, reason: NO_MESSAGE });
    }

    /// A message that [`write()`] has written.
    fn take_written(&mut self, number: u64, head: &write::Head) {
        self.give_up_announced();
        self.end_block();
        self.lines.skip(1);
        let text = self.lines.take_octets(head.text_octets());
        let octets = text.len();
        match head.message(text) {
            Some(bytes) => {
                let is_cut = head.is_cut || bytes.len() < head.octets;
                self.push_message(number, &head.banner, head.protocol, bytes, is_cut);
            }
            None => self.push(number, None, Seen::Unread(Unread { reason: NO_HEX, octets })),
        }
    }

    /// The tree of a packet.
    fn take_frame(&mut self, number: u64) {
        self.give_up_announced();
        let frame = tshark::read(&mut self.lines);
        if frame.messages.is_empty() {
            self.add_to_block(Block { line: number, octets: frame.octets, trailing: 0, reason: NO_SIP });
            return;
        }
        self.end_block();
        for message in frame.messages {
            self.push_sip(message.line, &message.banner, message.bytes, message.is_cut);
        }
    }

    /// What was told of the message that begins here; what stands before it is over.
    fn announcement(&mut self, stamp: Option<stamp::Stamp>) -> Banner {
        self.end_block();
        let mut banner = self.announced.take().map(|(banner, _)| banner).unwrap_or_default();
        banner.stamp = banner.stamp.or(stamp);
        banner
    }

    /// What was announced did not come.
    fn give_up_announced(&mut self) {
        if let Some((_, block)) = self.announced.take() {
            self.add_to_block(block);
        }
    }

    fn add_to_block(&mut self, more: Block) {
        if self.block.is_some_and(|block| block.reason != more.reason) {
            self.end_block();
        }
        match &mut self.block {
            Some(block) => block.octets += std::mem::take(&mut block.trailing) + more.octets,
            None => self.block = Some(more),
        }
    }

    fn end_block(&mut self) {
        // At the end of a text something may still be announced.
        if self.lines.get(0).is_none() {
            self.give_up_announced();
        }
        if let Some(Block { line, octets, reason, .. }) = self.block.take() {
            self.push(line, None, Seen::Unread(Unread { reason, octets }));
        }
    }

    fn push_sip(&mut self, line: u64, banner: &Banner, bytes: Vec<u8>, is_cut: bool) {
        let transport = banner.transport.or_else(|| transport_of_via(&bytes).filter(|_| banner.addresses.is_some()));
        let banner = Banner { transport, ..*banner };
        self.push_message(line, &banner, Protocol::Sip, bytes, is_cut);
    }

    fn push_message(&mut self, line: u64, banner: &Banner, protocol: Protocol, bytes: Vec<u8>, cut: bool) {
        let ends = banner.addresses.zip(banner.transport);
        let ends = ends.map(|((from, to), transport)| Ends { from, to, transport });
        let message = Message { protocol, ends, protection: Protection::Unknown, cut, bytes };
        self.push(line, banner.stamp, Seen::Message(message));
    }

    fn push(&mut self, line: u64, stamp: Option<stamp::Stamp>, seen: Seen) {
        let at = stamp.and_then(|stamp| self.clock.at(stamp));
        self.ready.push_back(Sighting { place: Place::Line(line), at, seen });
    }
}

/// The transport that the topmost Via names: that of the message, whether request or response (RFC 3261 clause 18).
fn transport_of_via(bytes: &[u8]) -> Option<crate::packet::Transport> {
    let message = sip::Message::parse(bytes).or_else(|_| sip::Message::salvage(bytes).ok_or(())).ok()?;
    let via = message.via().ok()?;
    banner::transport(via.transport.as_bytes())
}

const NO_MESSAGE: &str = "text that is no message";
const NO_SIP: &str = "packets in which no SIP message is shown";
const TOO_LONG: &str = "a line of more than 16 MiB";
const BETWEEN: &str = "lines of others among those of a message";
const NO_HEX: &str = "hex digits are missing";

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) type Found = (Sighting, Message);

    /// The messages of a text.
    pub(super) fn messages(text: &str) -> Vec<Found> {
        let all = Reader::new(text.as_bytes()).map(|sighting| sighting.expect("memory does not fail"));
        all.filter_map(|sighting| match &sighting.seen {
            Seen::Message(message) => Some((sighting.clone(), message.clone())),
            _ => None,
        })
        .collect()
    }

    #[track_caller]
    pub(super) fn only(text: &str) -> Found {
        let mut found = messages(text);
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    pub(super) fn text_of(found: &Found) -> String {
        String::from_utf8(found.1.bytes.clone()).expect("a text")
    }

    pub(super) fn ends(found: &Found) -> String {
        found.1.ends.map_or_else(String::new, |ends| format!("{} -> {} {}", ends.from, ends.to, ends.transport))
    }

    pub(super) fn times(found: &[Found]) -> Vec<Option<u64>> {
        found.iter().map(|found| found.0.at.map(|at| at.as_micros())).collect()
    }

    /// Where something stands that could not be read.
    pub(super) fn unread(text: &str) -> Vec<u64> {
        let all = Reader::new(text.as_bytes()).map(|sighting| sighting.expect("memory does not fail"));
        all.filter_map(|sighting| match (sighting.place, sighting.seen) {
            (Place::Line(line), Seen::Unread(_)) => Some(line),
            _ => None,
        })
        .collect()
    }
}
