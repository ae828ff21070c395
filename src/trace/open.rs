//! Any trace: the first octets tell what it is.

use super::packets::file::{Input, foreign, is_capture};
use super::packets::{self, Options, Summary};
use super::{Sighting, hep, text};
use crate::time::{Epoch, Instant};
use std::fmt;
use std::io::{self, Read};
use thiserror::Error;

/// Why a trace cannot be read, or not further.
#[derive(Debug, Error)]
pub enum Fault {
    /// The source.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("{found}; a capture (pcap, pcapng) or a text is wanted")]
    NotACapture {
        /// What its first octets say that it is.
        found: &'static str,
    },
}

/// A trace, a [`Sighting`] after the other.
pub struct Trace<R> {
    reader: Reader<R>,
}

enum Reader<R> {
    Packets(Box<packets::Reader<R>>),
    Text(Box<text::Reader<Input<R>>>, Summary),
    Hep(Box<hep::Reader<Input<R>>>, Summary),
}

/// Opens a trace of any kind.
pub fn open<R: Read>(read: R, options: Options) -> Result<Trace<R>, Fault> {
    let mut input = Input::new(read);
    input.need(LOOKED_AT)?;
    let first = &input.ahead()[..input.ahead().len().min(LOOKED_AT)];
    let reader = if is_capture(first) {
        Reader::Packets(Box::new(packets::Reader::of(input, options)?))
    } else if let Some(found) = foreign(first) {
        return Err(Fault::NotACapture { found });
    } else if first.starts_with(b"HEP3") {
        Reader::Hep(Box::new(hep::Reader::new(input)), Summary::default())
    } else if is_text(first) {
        Reader::Text(Box::new(text::Reader::new(input)), Summary::default())
    } else {
        return Err(Fault::NotACapture { found: "octets of no known form" });
    };
    Ok(Trace { reader })
}

/// Reads packets of HEP as they come, one after the other: from a socket, which nobody waits to be full.
pub fn receive<R: Read>(read: R) -> Trace<R> {
    Trace { reader: Reader::Hep(Box::new(hep::Reader::new(Input::new(read))), Summary::default()) }
}

impl<R: Read> Trace<R> {
    /// The calendar time of what came first, where the trace has one.
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.reader {
            Reader::Packets(reader) => reader.epoch(),
            Reader::Hep(reader, _) => reader.epoch(),
            Reader::Text(..) => None,
        }
    }

    /// What was found so far; complete when the iterator has ended.
    pub fn summary(&self) -> &Summary {
        match &self.reader {
            Reader::Packets(reader) => reader.summary(),
            Reader::Text(_, summary) | Reader::Hep(_, summary) => summary,
        }
    }

    /// The time of the last packet that was read, whatever was in it: for so long somebody has listened. `None` for a text,
    /// which holds messages only.
    pub fn until(&self) -> Option<Instant> {
        self.packets().map(packets::Reader::until)
    }

    /// The reader of packets, if it is a capture.
    pub fn packets(&self) -> Option<&packets::Reader<R>> {
        match &self.reader {
            Reader::Packets(reader) => Some(reader),
            Reader::Text(..) | Reader::Hep(..) => None,
        }
    }
}

impl<R: Read> Iterator for Trace<R> {
    type Item = Result<Sighting, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (next, summary) = match &mut self.reader {
            Reader::Packets(reader) => return reader.next(),
            Reader::Text(reader, summary) => (reader.next()?, summary),
            Reader::Hep(reader, summary) => (reader.next()?, summary),
        };
        if let Ok(sighting) = &next {
            summary.count(sighting);
        }
        Some(next.map_err(Fault::from))
    }
}

impl<R: Read> fmt::Debug for Trace<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("summary", self.summary()).finish_non_exhaustive()
    }
}

/// Text has line ends and hardly any control characters. Escapes colour the logs of some programs.
fn is_text(first: &[u8]) -> bool {
    let controls = first.iter().filter(|b| b.is_ascii_control() && !b.is_ascii_whitespace() && **b != 0x1b).count();
    controls * 50 <= first.len()
}

const LOOKED_AT: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(octets: &[u8]) -> String {
        open(octets, Options::default()).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_trace_is_named() {
        assert_eq!(
            fault(&[0x1f, 0x8b, 8, 0]),
            "a gzip file: unpack it first; a capture (pcap, pcapng) or a text is wanted"
        );
        assert!(fault(&[]).starts_with("an empty file"));
        assert!(fault(&[0; 100]).starts_with("octets of no known form"));
        assert!(fault(b"snoop\0\0\0").starts_with("a snoop capture"));
        assert!(open(&b"REGISTER sip:a SIP/2.0\r\n"[..], Options::default()).unwrap().packets().is_none());
    }
}
