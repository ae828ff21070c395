//! Files of captured packets: pcap and pcapng, one packet after the other.
//!
//! Our own reader for both: a pipe cannot seek, memory stays bounded, and a resolution of time stamps other than that of
//! the writer counts.

mod input;
mod pcap;
mod pcapng;
mod remarks;

pub use input::Input;
pub use remarks::{Comment, Remarks, Secrets};

use std::io::{self, Read};

/// A capture that is being read.
#[derive(Debug)]
pub(super) struct File<R> {
    input: Input<R>,
    format: Format,
    packets: u64,
    remarks: Remarks,
    is_over: bool,
}

#[derive(Debug)]
enum Format {
    Pcap(pcap::Head),
    PcapNg(pcapng::Section),
}

/// A packet as the file holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captured<'a> {
    /// From 1.
    pub(super) number: u64,
    /// Microseconds since 1970.
    pub(super) micros: Option<i64>,
    /// LINKTYPE of the interface.
    pub(super) link: u16,
    /// From 0, over all sections.
    pub(super) interface: u32,
    /// What our own live capture calls `clear`: the messages of SAs whose packets are on another interface.
    pub(super) is_clear_text: bool,
    pub(super) octets: &'a [u8],
    /// How many octets the packet had beyond these.
    pub(super) missing: usize,
}

/// What comes next in a file.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Packet(Captured<'a>),
    /// A packet, or the place behind the last one, that cannot be read.
    Broken {
        number: u64,
        reason: &'static str,
        octets: usize,
    },
}

impl<R: Read> File<R> {
    /// Reads on where the magic number of a capture stands.
    pub(super) fn new(mut input: Input<R>) -> io::Result<Option<Self>> {
        input.need(pcap::HEAD_LEN)?;
        let format = match *input.ahead() {
            [0x0a, 0x0d, 0x0d, 0x0a, ..] => Format::PcapNg(pcapng::Section::default()),
            ref ahead => match pcap::Head::read(ahead) {
                Some(head) => {
                    input.pull(pcap::HEAD_LEN);
                    Format::Pcap(head)
                }
                None => return Ok(None),
            },
        };
        Ok(Some(Self { input, format, packets: 0, remarks: Remarks::default(), is_over: false }))
    }

    /// The next packet; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        if self.is_over {
            return Ok(None);
        }
        match &mut self.format {
            Format::Pcap(head) => match head.next(&mut self.input)? {
                pcap::Record::End => {
                    self.is_over = true;
                    Ok(None)
                }
                pcap::Record::Broken { reason, octets } => {
                    self.is_over = true;
                    Ok(Some(Item::Broken { number: self.packets + 1, reason, octets }))
                }
                pcap::Record::Packet { micros, len, missing } => {
                    self.packets += 1;
                    let octets = self.input.pull(len);
                    let packet = Captured {
                        number: self.packets,
                        micros: Some(micros),
                        link: head.link,
                        interface: 0,
                        is_clear_text: false,
                        octets,
                        missing,
                    };
                    Ok(Some(Item::Packet(packet)))
                }
            },
            Format::PcapNg(section) => match section.next(&mut self.input, &mut self.packets, &mut self.remarks)? {
                pcapng::Block::End => {
                    self.is_over = true;
                    Ok(None)
                }
                pcapng::Block::Broken { reason, octets, goes_on } => {
                    self.is_over = !goes_on;
                    let number = if goes_on { self.packets } else { self.packets + 1 };
                    Ok(Some(Item::Broken { number, reason, octets }))
                }
                pcapng::Block::Packet { mut packet, range, block } => {
                    packet.octets = &self.input.pull(block)[range];
                    Ok(Some(Item::Packet(packet)))
                }
            },
        }
    }

    /// Comments and secrets so far.
    pub(super) const fn remarks(&self) -> &Remarks {
        &self.remarks
    }
}

/// True for the first octets of a capture; what else they may be is said by [`foreign`].
pub fn is_capture(first: &[u8]) -> bool {
    matches!(first, [0x0a, 0x0d, 0x0d, 0x0a, ..]) || pcap::Head::has_magic(first)
}

/// What a file is that begins so, where that is known and no capture that is read here.
pub fn foreign(first: &[u8]) -> Option<&'static str> {
    Some(match first {
        [] => "an empty file",
        [0x1f, 0x8b, ..] => "a gzip file: unpack it first",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "a zstd file: unpack it first",
        [0x04, 0x22, 0x4d, 0x18, ..] => "an lz4 file: unpack it first",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "an xz file: unpack it first",
        [b'B', b'Z', b'h', ..] => "a bzip2 file: unpack it first",
        [b'P', b'K', 3, 4, ..] => "a zip archive: unpack it first",
        [b's', b'n', b'o', b'o', b'p', 0, ..] => "a snoop capture: editcap of Wireshark makes pcapng of it",
        [b'R', b'T', b'S', b'S', ..] | [b'G', b'M', b'B', b'U', ..] => {
            "a Microsoft Network Monitor capture: editcap of Wireshark makes pcapng of it"
        }
        [0x7f, b'E', b'L', b'F', ..] => "a program",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document",
        [0x89, b'P', b'N', b'G', ..] => "a picture",
        _ => return None,
    })
}

/// The byte order of a file.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Order {
    #[default]
    Little,
    Big,
}

impl Order {
    fn u16(self, octets: &[u8], at: usize) -> u16 {
        let word = octets.get(at..at + 2).and_then(|word| word.try_into().ok()).unwrap_or_default();
        match self {
            Self::Little => u16::from_le_bytes(word),
            Self::Big => u16::from_be_bytes(word),
        }
    }

    fn u32(self, octets: &[u8], at: usize) -> u32 {
        let word = octets.get(at..at + 4).and_then(|word| word.try_into().ok()).unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(word),
            Self::Big => u32::from_be_bytes(word),
        }
    }
}

/// A packet that is longer is none.
const LARGEST: usize = 16 << 20;
const CUT_OFF: &str = "the file ends within a packet";
const TOO_LONG: &str = "a length that no packet has: the rest of the file is not read";
