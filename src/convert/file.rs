//! The octets of pcap and pcapng, for writing.

use std::borrow::Cow;

/// The byte order of a section.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Order {
    /// As nearly all write.
    #[default]
    Little,
    /// Of machines that are rare now.
    Big,
}

impl Order {
    /// Two octets.
    pub const fn two(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Four octets.
    pub const fn four(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Two octets read; zero where they are not there.
    pub fn read_two(self, octets: &[u8], at: usize) -> u16 {
        let word = octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Self::Little => u16::from_le_bytes(word),
            Self::Big => u16::from_be_bytes(word),
        }
    }

    /// Four octets read; zero where they are not there.
    pub fn read_four(self, octets: &[u8], at: usize) -> u32 {
        let word = octets.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(word),
            Self::Big => u32::from_be_bytes(word),
        }
    }
}

/// A packet of a file.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// Of the section, from 0.
    pub interface: u32,
    /// Since 1970, in the resolution of the interface.
    pub ticks: u64,
    /// What is there of it.
    pub octets: Cow<'a, [u8]>,
    /// How many octets it had.
    pub original: usize,
    /// Remarks on it.
    pub comment: Option<&'a str>,
}

/// Appends the head of a section, with a comment.
pub fn section(out: &mut Vec<u8>, order: Order, comment: Option<&str>) {
    let mut body = Vec::new();
    body.extend_from_slice(&order.four(0x1a2b_3c4d));
    body.extend_from_slice(&order.two(1));
    body.extend_from_slice(&order.two(0));
    // Of unknown length.
    body.extend_from_slice(&[0xff; 8]);
    options(&mut body, order, &[(COMMENT, comment.map(str::as_bytes)), (APPLICATION, Some(b"imsreg"))]);
    block(out, order, SECTION, &body);
}

/// Appends the description of an interface. `resolution` is the exponent of its time stamps: 6 for microseconds.
pub fn interface(out: &mut Vec<u8>, order: Order, name: Option<&str>, link: u16, resolution: u8) {
    let mut body = Vec::new();
    body.extend_from_slice(&order.two(link));
    body.extend_from_slice(&[0; 6]);
    options(&mut body, order, &[(NAME, name.map(str::as_bytes)), (RESOLUTION, Some(&[resolution]))]);
    block(out, order, INTERFACE, &body);
}

/// Appends a packet.
pub fn packet(out: &mut Vec<u8>, order: Order, packet: &Written<'_>) {
    let mut body = Vec::with_capacity(packet.octets.len() + 64);
    body.extend_from_slice(&order.four(packet.interface));
    body.extend_from_slice(&order.four((packet.ticks >> 32) as u32));
    body.extend_from_slice(&order.four(packet.ticks as u32));
    body.extend_from_slice(&order.four(packet.octets.len() as u32));
    body.extend_from_slice(&order.four(packet.original as u32));
    body.extend_from_slice(&packet.octets);
    pad(&mut body);
    if packet.comment.is_some() {
        options(&mut body, order, &[(COMMENT, packet.comment.map(str::as_bytes))]);
    }
    block(out, order, ENHANCED_PACKET, &body);
}

/// Appends a packet whose time is not known; it is of the first interface.
pub fn timeless(out: &mut Vec<u8>, order: Order, octets: &[u8], original: usize) {
    let mut body = order.four(original as u32).to_vec();
    body.extend_from_slice(octets);
    pad(&mut body);
    block(out, order, SIMPLE_PACKET, &body);
}

/// Appends the head of a pcap file.
pub fn pcap_head(out: &mut Vec<u8>, link: u16, has_nanoseconds: bool) {
    let magic: u32 = if has_nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    out.extend_from_slice(&magic.to_le_bytes());
    out.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out.extend_from_slice(&262_144_u32.to_le_bytes());
    out.extend_from_slice(&u32::from(link).to_le_bytes());
}

/// Appends a packet of a pcap file; `fraction` in micro- or nanoseconds.
pub fn pcap_packet(out: &mut Vec<u8>, seconds: u32, fraction: u32, octets: &[u8], original: usize) {
    for word in [seconds, fraction, octets.len() as u32, original as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(octets);
}

fn block(out: &mut Vec<u8>, order: Order, kind: u32, body: &[u8]) {
    let len = order.four((12 + body.len()) as u32);
    out.extend_from_slice(&order.four(kind));
    out.extend_from_slice(&len);
    out.extend_from_slice(body);
    out.extend_from_slice(&len);
}

fn options(body: &mut Vec<u8>, order: Order, list: &[(u16, Option<&[u8]>)]) {
    for (code, value) in list.iter().filter_map(|(code, value)| Some((code, (*value)?))) {
        let value = &value[..value.len().min(LONGEST_OPTION)];
        body.extend_from_slice(&order.two(*code));
        body.extend_from_slice(&order.two(value.len() as u16));
        body.extend_from_slice(value);
        pad(body);
    }
    body.extend_from_slice(&[0; 4]);
}

/// All that is in a block is a multiple of four octets long.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Packets that begin with their IP header.
pub const RAW_IP: u16 = 101;
pub(super) const SECTION: u32 = 0x0a0d_0d0a;
pub(super) const INTERFACE: u32 = 1;
pub(super) const PACKET: u32 = 2;
pub(super) const SIMPLE_PACKET: u32 = 3;
pub(super) const STATISTICS: u32 = 5;
pub(super) const ENHANCED_PACKET: u32 = 6;
const COMMENT: u16 = 1;
pub(super) const NAME: u16 = 2;
const APPLICATION: u16 = 4;
pub(super) const RESOLUTION: u16 = 9;
const LONGEST_OPTION: usize = 60_000;
