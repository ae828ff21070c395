//! Sightings as text: a line of time, ends and length above each message, as sngrep has it, and the octets themselves.

use super::banner::{self, Banner};
use super::stamp::Stamp;
use crate::packet::Protocol;
use crate::trace::{Seen, Sighting};
use std::io::Write;

/// Appends a sighting as text, which [`super::Reader`] reads back.
///
/// `+0.020000 10.0.0.1:5060 -> 10.0.0.2:5060 UDP Sip 512 octets`, then the message and an empty line; `-` stands for what is
/// not known. Octets that are no text, Diameter among them, are written in hex. What protected a message is not told. What is
/// no message is a line that begins with `#`, which is read as text that is no message.
pub fn write(sighting: &Sighting, out: &mut Vec<u8>) {
    let message = match &sighting.seen {
        Seen::Message(message) => message,
        Seen::Sealed(sealed) => {
            let (from, to, spi) = (sealed.from, sealed.to, sealed.spi);
            return line(out, format_args!("# {}: ESP {from} -> {to} SPI {spi:#010x}, not opened", sighting.place));
        }
        // It is told of a message that is written already.
        Seen::Verified(_) => return,
        Seen::Connection(connection) => {
            let (from, to) = (connection.ends.from, connection.ends.to);
            let (transport, step) = (connection.ends.transport, connection.step);
            return line(out, format_args!("# {}: {transport} {from} -> {to} {step:?}", sighting.place));
        }
        Seen::Lost(lost) => {
            let (from, to, why) = (lost.from, lost.to, lost.why);
            return line(out, format_args!("# {}: a packet {from} -> {to} was lost, {why:?}", sighting.place));
        }
        Seen::Unread(unread) => {
            return line(out, format_args!("# {}: {} octets, {}", sighting.place, unread.octets, unread.reason));
        }
    };
    let octets = message.bytes.len();
    if octets > LONGEST {
        return line(out, format_args!("# {}: {octets} octets, a message that is too long for a text", sighting.place));
    }
    let is_text = octets <= LONGEST_TEXT && message.bytes.iter().all(|&b| is_text(b));
    match sighting.at {
        Some(at) => put(out, format_args!("+{at}")),
        None => put(out, format_args!("-")),
    }
    match message.ends {
        Some(ends) => put(out, format_args!(" {} -> {} {}", ends.from, ends.to, ends.transport)),
        None => put(out, format_args!(" - -> - -")),
    }
    put(out, format_args!(" {:?} {octets} octets", message.protocol));
    let (cut, hex) = (if message.cut { " cut" } else { "" }, if is_text { "" } else { " hex" });
    line(out, format_args!("{cut}{hex}"));
    if is_text {
        out.extend_from_slice(&message.bytes);
    } else {
        let lines = message.bytes.chunks(OCTETS_ON_A_LINE).map(|part| data_encoding::HEXLOWER.encode(part));
        put(out, format_args!("{}", lines.collect::<Vec<_>>().join("\n")));
    }
    out.extend_from_slice(b"\n\n");
}

/// What stands above a message that [`write()`] has written.
pub(super) struct Head {
    pub(super) banner: Banner,
    pub(super) protocol: Protocol,
    pub(super) octets: usize,
    pub(super) is_cut: bool,
    pub(super) is_hex: bool,
}

/// Reads the line above a message.
pub(super) fn head(line: &[u8]) -> Option<Head> {
    if line.len() > LONGEST_HEAD || !matches!(line.first(), Some(b'+' | b'-')) {
        return None;
    }
    let mut words = line.split(|&b| b == b' ');
    let mut next = || words.next();
    let stamp = match next()? {
        b"-" => None,
        time => Some(Stamp::since_first(time.strip_prefix(b"+")?).filter(|(_, rest)| rest.is_empty())?.0),
    };
    let (from, arrow, to, transport) = (next()?, next()?, next()?, next()?);
    let protocol = match next()? {
        b"Sip" => Protocol::Sip,
        b"Diameter" => Protocol::Diameter,
        _ => return None,
    };
    let octets = str::from_utf8(next()?).ok()?.parse().ok().filter(|&octets: &usize| octets <= LONGEST)?;
    if arrow != b"->" || next()? != b"octets" {
        return None;
    }
    let (addresses, transport) = match (from, to, transport) {
        (b"-", b"-", b"-") => (None, None),
        _ => (Some((banner::socket(from)?, banner::socket(to)?)), Some(banner::transport(transport)?)),
    };
    let (mut is_cut, mut is_hex) = (false, false);
    for flag in words {
        match flag {
            b"cut" => is_cut = true,
            b"hex" => is_hex = true,
            _ => return None,
        }
    }
    Some(Head { banner: Banner { stamp, addresses, transport }, protocol, octets, is_cut, is_hex })
}

impl Head {
    /// How many octets of text the message takes.
    pub(super) fn text_octets(&self) -> usize {
        let line_ends = if self.is_hex { self.octets.saturating_sub(1) / OCTETS_ON_A_LINE } else { 0 };
        let octets = if self.is_hex { self.octets.saturating_mul(2) } else { self.octets };
        octets.saturating_add(line_ends)
    }

    /// The message of its text. `None` where hex digits were expected.
    pub(super) fn message(&self, text: Vec<u8>) -> Option<Vec<u8>> {
        if !self.is_hex {
            return Some(text);
        }
        let digits: Vec<u8> = text.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        let whole = digits.len() / 2 * 2;
        data_encoding::HEXLOWER_PERMISSIVE.decode(&digits[..whole]).ok()
    }
}

const fn is_text(b: u8) -> bool {
    (b >= b' ' && b != 0x7f) || matches!(b, b'\t' | b'\n' | b'\r')
}

fn line(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    put(out, text);
    out.push(b'\n');
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every write");
}

const OCTETS_ON_A_LINE: usize = 32;

/// Longer ones are written in hex, so that no line of them is longer than a reader takes.
const LONGEST_TEXT: usize = 8 << 20;

/// Still longer ones are no messages that anybody sends.
const LONGEST: usize = 16 << 20;

const LONGEST_HEAD: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;
    use crate::packet::Transport;
    use crate::time::Instant;
    use crate::trace::{Connection, Ends, Message, Place, Protection, Step, Unread};

    fn ends() -> Ends {
        Ends {
            from: "10.0.0.1:5060".parse().expect("an address"),
            to: "[2001:db8::1]:5062".parse().expect("an address"),
            transport: Transport::Tcp,
        }
    }

    fn sighting(protocol: Protocol, bytes: &[u8]) -> Sighting {
        let message = Message {
            protocol,
            ends: Some(ends()),
            protection: Protection::Unknown,
            cut: false,
            bytes: bytes.to_vec(),
        };
        Sighting { place: Place::Line(1), at: Some(Instant::from_micros(20_000)), seen: Seen::Message(message) }
    }

    fn again(written: &[u8]) -> Vec<Sighting> {
        Reader::new(written).map(|sighting| sighting.expect("memory does not fail")).collect()
    }

    #[test]
    fn a_message_is_written_as_it_is() {
        let mut written = Vec::new();
        let message = sighting(Protocol::Sip, b"SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nx\ny");
        write(&message, &mut written);
        let expected = "+0.020000 10.0.0.1:5060 -> [2001:db8::1]:5062 TCP Sip 40 octets\n\
            SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nx\ny\n\n";
        assert_eq!(String::from_utf8_lossy(&written), expected);
        assert_eq!(again(&written), [message]);
    }

    #[test]
    fn octets_that_are_no_text_are_written_in_hex() {
        let mut written = Vec::new();
        let message = sighting(Protocol::Diameter, &[1; 70]);
        write(&message, &mut written);
        assert!(written.is_ascii() && written.iter().all(|&b| is_text(b)));
        assert_eq!(again(&written), [message]);
        let cut = again(&written[..written.len() - 20]);
        assert!(matches!(&cut[0].seen, Seen::Message(message) if message.cut && message.bytes == [1; 61]));
        let spoiled = String::from_utf8_lossy(&written).replacen("0101", "01x1", 1);
        let Seen::Unread(unread) = &again(spoiled.as_bytes())[0].seen else { panic!("hex is spoiled") };
        assert_eq!(unread.reason, super::super::NO_HEX);
    }

    #[test]
    fn what_is_no_message_is_said_and_read_as_such() {
        let mut written = Vec::new();
        let step = Connection { ends: ends(), protection: Protection::Clear, step: Step::Reset };
        for seen in [Seen::Connection(step), Seen::Unread(Unread { reason: "prose", octets: 12 })] {
            write(&Sighting { place: Place::Packet(7), at: None, seen }, &mut written);
        }
        let text = "# packet 7: TCP 10.0.0.1:5060 -> [2001:db8::1]:5062 Reset\n# packet 7: 12 octets, prose\n";
        assert_eq!(String::from_utf8_lossy(&written), text);
        let [Sighting { seen: Seen::Unread(unread), .. }] = &again(&written)[..] else { panic!("one block") };
        assert_eq!(unread.octets, written.len());
    }
}
