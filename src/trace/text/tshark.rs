//! `tshark -V`, and what Wireshark exports as plain text: the tree of every packet.
//!
//! Headers are shown as they are, unless they are long: then the text holds their beginning. Of bodies only SDP is shown in a
//! way that tells its octets, and Content-Length must agree.

use super::banner::Banner;
use super::lines::{Ahead, Lines};
use super::message;
use super::shape;
use super::stamp::Stamp;
use crate::packet::Transport;
use crate::sip::HeaderName;
use crate::sip::header::grammar;
use crate::sip::parse::limits;
use std::io::BufRead;
use std::net::{IpAddr, SocketAddr};

/// What the tree of one packet shows.
pub(super) struct Frame {
    /// Its lines, in octets.
    pub(super) octets: usize,
    pub(super) messages: Vec<Message>,
}

/// A SIP message of a tree.
pub(super) struct Message {
    pub(super) line: u64,
    pub(super) banner: Banner,
    pub(super) bytes: Vec<u8>,
    pub(super) is_cut: bool,
}

/// True for `Frame 1: 364 bytes on wire (2912 bits), ...`.
pub(super) fn is_frame(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"Frame ") else { return false };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let rest = &rest[digits..];
    digits > 0
        && (rest.starts_with(b": ") || rest.starts_with(b" ("))
        && memchr::memmem::find(rest, b" bytes").is_some()
}

/// Takes away the tree of the frame that begins here.
pub(super) fn read<R: BufRead>(lines: &mut Lines<R>) -> Frame {
    let mut tree = Tree::default();
    let mut frame = Frame { octets: lines.take().map_or(0, |line| line.octets), messages: Vec::new() };
    while frame.messages.len() < MOST_MESSAGES && lines.text(0).is_some_and(|line| !is_frame(line)) {
        let Some(line) = lines.take() else { break };
        frame.octets += line.octets;
        if let Some(message) = tree.take(&line.text, line.number) {
            frame.messages.push(message);
        }
    }
    frame.messages.extend(tree.finish());
    frame
}

/// What has been read of a tree.
#[derive(Default)]
struct Tree {
    stamp: Option<Stamp>,
    ips: Option<(IpAddr, IpAddr)>,
    ports: Option<(Transport, u16, u16)>,
    sip: Option<Sip>,
}

/// The SIP part of a tree.
struct Sip {
    line: u64,
    head: Vec<Vec<u8>>,
    /// Of the headers.
    octets: usize,
    body: Vec<u8>,
    is_truncated: bool,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Start,
    Header,
    Body,
    Sdp,
}

impl Tree {
    /// Takes a line; returns the message that it ends.
    fn take(&mut self, line: &[u8], number: u64) -> Option<Message> {
        let indent = line.iter().take_while(|&&b| b == b' ').count();
        if shape::is_blank(line) {
            return None;
        }
        if indent > 0 {
            match &mut self.sip {
                Some(sip) => sip.take(line, indent),
                None => self.take_time(line.trim_ascii()),
            }
            return None;
        }
        let ended = self.finish();
        if let Some(rest) = line.strip_prefix(b"Internet Protocol") {
            self.ips = pair(rest, b"Src: ", b"Dst: ", address).or(self.ips);
        } else if line.starts_with(b"Session Initiation Protocol") {
            self.sip = Some(Sip {
                line: number,
                head: Vec::new(),
                octets: 0,
                body: Vec::new(),
                is_truncated: false,
                part: Part::Start,
            });
        } else {
            let transport = TRANSPORTS.iter().find(|(name, _)| line.starts_with(name.as_bytes()));
            if let Some(&(_, transport)) = transport {
                let ports = pair(line, b"Src Port: ", b"Dst Port: ", port);
                self.ports = ports.map(|(from, to)| (transport, from, to)).or(self.ports);
            }
        }
        ended
    }

    fn take_time(&mut self, line: &[u8]) {
        // Both say the same; the second needs no calendar.
        for name in [&b"Epoch Time: "[..], b"Epoch Arrival Time: "] {
            if let Some(value) = line.strip_prefix(name) {
                self.stamp = Stamp::epoch(value).or(self.stamp);
            }
        }
        if let Some(value) = line.strip_prefix(b"Arrival Time: ") {
            self.stamp = self.stamp.or_else(|| Stamp::read(value).map(|(stamp, _)| stamp));
        }
    }

    /// The message whose part of the tree has ended.
    fn finish(&mut self) -> Option<Message> {
        let sip = self.sip.take().filter(|sip| sip.head.first().is_some_and(|start| shape::is_start(start)))?;
        let (from, to) = self.ips.unzip();
        let addresses = self.ports.and_then(|(_, source, destination)| {
            Some((SocketAddr::new(from?, source), SocketAddr::new(to?, destination)))
        });
        let banner = Banner { stamp: self.stamp, addresses, transport: self.ports.map(|(transport, ..)| transport) };
        let length = shape::value_of(&sip.head, HeaderName::ContentLength).and_then(grammar::digits).unwrap_or(0);
        let is_whole = sip.body.len() as u64 == length && sip.octets <= limits::HEADER_SECTION;
        let bytes = message::assemble(&sip.head, if is_whole { &sip.body } else { &[] });
        Some(Message { line: sip.line, banner, bytes, is_cut: sip.is_truncated || !is_whole })
    }
}

impl Sip {
    fn take(&mut self, line: &[u8], indent: usize) {
        let text = line.trim_ascii_start();
        match (indent, self.part) {
            (4, _) => {
                let start = [&b"Request-Line"[..], b"Status-Line"].iter().find_map(|name| text.strip_prefix(*name));
                if let (Some(start), true) = (start, self.head.is_empty()) {
                    let start = self.whole(start);
                    self.head.push(shape::header_value(&start).to_vec());
                }
                self.part = match text {
                    b"Message Header" => Part::Header,
                    b"Message Body" => Part::Body,
                    _ => Part::Start,
                };
            }
            // A line that is cut stands one column to the right.
            (8 | 9, Part::Header) if !text.starts_with(b"[Generated") => {
                let header = self.whole(text);
                self.octets += header.len();
                if shape::header_name(&header).is_some() && self.octets <= limits::HEADER_SECTION {
                    self.head.push(header);
                }
            }
            (8, Part::Body | Part::Sdp) => {
                let is_sdp = text.starts_with(b"Session Description Protocol");
                self.part = if is_sdp { Part::Sdp } else { Part::Body };
            }
            (12 | 13, Part::Sdp) => self.take_sdp(text),
            _ => {}
        }
    }

    /// `Media Attribute (a): rtpmap:0 PCMU/8000/1` is `a=rtpmap:0 PCMU/8000/1`.
    fn take_sdp(&mut self, text: &[u8]) {
        let text = self.whole(text);
        if self.body.len() > limits::BODY {
            return;
        }
        let Some(at) = memchr::memmem::find(&text, b"): ").filter(|&at| at >= 2 && text[at - 2] == b'(') else {
            return;
        };
        self.body.extend_from_slice(&[text[at - 1], b'=']);
        self.body.extend_from_slice(&text[at + 3..]);
        self.body.extend_from_slice(b"\r\n");
    }

    /// A line without the mark that tells that it is cut, and with line ends for their escapes.
    fn whole(&mut self, text: &[u8]) -> Vec<u8> {
        let mut plain = text.to_vec();
        for mark in ["[truncated]", "[…]", " […]"] {
            if let Some(at) = memchr::memmem::find(&plain, mark.as_bytes()) {
                plain.drain(at..at + mark.len());
                self.is_truncated = true;
            }
        }
        if let Some(at) = memchr::memmem::find(&plain, b" :").filter(|_| self.is_truncated) {
            plain.remove(at);
        }
        let mut whole = Vec::with_capacity(plain.len());
        let mut rest = plain.as_slice();
        while let Some(at) = memchr::memmem::find(rest, b"\\r\\n") {
            whole.extend_from_slice(&rest[..at]);
            whole.extend_from_slice(b"\r\n");
            rest = &rest[at + 4..];
        }
        whole.extend_from_slice(rest);
        whole
    }
}

/// The two values behind their names.
fn pair<T>(line: &[u8], first: &[u8], second: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<(T, T)> {
    let value = |name: &[u8]| {
        let at = memchr::memmem::find(line, name)? + name.len();
        let end = line[at..].iter().position(|&b| b == b',').map_or(line.len(), |length| at + length);
        read(&line[at..end])
    };
    Some((value(first)?, value(second)?))
}

/// `10.0.0.1`, and `host.example (10.0.0.1)`.
fn address(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.rsplit(' ').next()?.trim_matches(['(', ')']).parse().ok()
}

/// `5060`, and `sip (5060)`.
fn port(text: &[u8]) -> Option<u16> {
    str::from_utf8(text).ok()?.trim().rsplit(' ').next()?.trim_matches(['(', ')']).parse().ok()
}

const TRANSPORTS: [(&str, Transport); 3] = [
    ("User Datagram Protocol,", Transport::Udp),
    ("Transmission Control Protocol,", Transport::Tcp),
    ("Stream Control Transmission Protocol,", Transport::Sctp),
];

/// SIP messages of one packet.
const MOST_MESSAGES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::super::tests::{ends, messages, text_of, times, unread};

    /// Trees of tshark 4.0, lines that do not matter left out.
    const TREES: &str = "\
Frame 1: 60 bytes on wire (480 bits), 60 bytes captured (480 bits)
    Epoch Time: 1394112888.916000000 seconds
Internet Protocol Version 4, Src: 10.0.0.9, Dst: 10.0.0.8
User Datagram Protocol, Src Port: 53, Dst Port: 53
Domain Name System (query)

Frame 2: 364 bytes on wire (2912 bits), 364 bytes captured (2912 bits)
    Arrival Time: Mar  6, 2014 13:34:49.416000000 UTC
    Epoch Time: 1394112889.416000000 seconds
Internet Protocol Version 4, Src: 172.16.0.1, Dst: 172.16.0.2
User Datagram Protocol, Src Port: 2152, Dst Port: 2152
GPRS Tunneling Protocol
Internet Protocol Version 4, Src: 10.0.0.1, Dst: 10.0.0.2
Transmission Control Protocol, Src Port: 5060, Dst Port: 5062, Seq: 1, Ack: 1, Len: 336
Session Initiation Protocol (INVITE)
    Request-Line: INVITE sip:a.example SIP/2.0
        Method: INVITE
    Message Header
        Via: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK26b7a48d
            Transport: TCP
        Call-ID: 1
        [Generated Call-ID: 1]
        Content-Length: 20
    Message Body
        Session Description Protocol
            Session Description Protocol Version (v): 0
            Media Attribute (a): rtpmap:0 a\x20
                Media Attribute Fieldname: rtpmap

Frame 3: 335 bytes on wire (2680 bits), 335 bytes captured (2680 bits)
    Epoch Time: 1394112889.516000000 seconds
Internet Protocol Version 6, Src: 2001:db8::2, Dst: 2001:db8::1
User Datagram Protocol, Src Port: sip (5060), Dst Port: 5062
Session Initiation Protocol (401)
    Status-Line: SIP/2.0 401 Unauthorized
        Status-Code: 401
    Message Header
        Via: SIP/2.0/UDP 10.0.0.1:5060
         [truncated]WWW-Authenticate: Digest realm=\"a\", nonce=\"oJRM
            Realm: \"a\"
        Content-Length: 0
";

    #[test]
    fn trees_are_read_with_their_innermost_addresses() {
        let found = messages(TREES);
        assert_eq!(
            text_of(&found[0]),
            "INVITE sip:a.example SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK26b7a48d\r\nCall-ID: 1\r\n\
             Content-Length: 20\r\n\r\nv=0\r\na=rtpmap:0 a \r\n"
        );
        assert_eq!(ends(&found[0]), "10.0.0.1:5060 -> 10.0.0.2:5062 TCP");
        assert_eq!(ends(&found[1]), "[2001:db8::2]:5060 -> [2001:db8::1]:5062 UDP");
        assert_eq!(times(&found), [Some(0), Some(100_000)]);
        assert_eq!(unread(TREES), [1]);
    }

    #[test]
    fn a_header_that_is_cut_is_said() {
        let found = messages(TREES);
        assert_eq!([found[0].1.cut, found[1].1.cut], [false, true]);
        assert!(text_of(&found[1]).contains("\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"oJRM\r\n"));
        let shorter = TREES.replace("Content-Length: 20", "Content-Length: 21");
        let found = messages(&shorter);
        assert!(found[0].1.cut && text_of(&found[0]).ends_with("Content-Length: 21\r\n\r\n"));
    }
}
