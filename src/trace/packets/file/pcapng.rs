//! The newer format: sections of blocks, interfaces with link types and resolutions of their own.

use super::{CUT_OFF, Captured, Input, LARGEST, Order, Remarks, TOO_LONG};
use std::io::{self, Read};
use std::ops::Range;

/// The section that is being read.
#[derive(Default, Debug)]
pub(super) struct Section {
    order: Order,
    interfaces: Vec<Interface>,
    /// Of the sections before.
    interfaces_before: u32,
    /// A block that could not be read: there is no way to the next.
    is_lost: bool,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    snap_len: u32,
    resolution: Resolution,
    /// Seconds.
    offset: i64,
    is_clear_text: bool,
}

#[derive(Clone, Copy, Debug)]
enum Resolution {
    Decimal(u8),
    Binary(u8),
}

pub(super) enum Block<'a> {
    /// The packet is in `range` of the next `block` octets.
    Packet {
        packet: Captured<'a>,
        range: Range<usize>,
        block: usize,
    },
    End,
    Broken {
        reason: &'static str,
        octets: usize,
        goes_on: bool,
    },
}

impl Section {
    /// Reads up to the next packet.
    pub(super) fn next<R: Read>(
        &mut self,
        input: &mut Input<R>,
        packets: &mut u64,
        remarks: &mut Remarks,
    ) -> io::Result<Block<'static>> {
        loop {
            if self.is_lost {
                return Ok(Block::End);
            }
            if !input.need(HEAD_LEN)? {
                let octets = input.ahead().len();
                return Ok(match octets {
                    0 => Block::End,
                    _ => Block::Broken { reason: CUT_OFF, octets, goes_on: false },
                });
            }
            let head = &input.ahead()[..HEAD_LEN];
            let is_section = head[..4] == SECTION;
            if is_section {
                self.order = match head[8..] {
                    [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                    [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                    _ => return Ok(self.lost("a section without byte order: the rest of the file is not read", 0)),
                };
            }
            let kind = self.order.u32(head, 0);
            // Padding counts in the length; writers that forget it are forgiven.
            let len = (self.order.u32(head, 4) as usize).next_multiple_of(4);
            if len < HEAD_LEN {
                return Ok(
                    self.lost("a block that is shorter than its own head: the rest of the file is not read", len)
                );
            }
            let wanted = is_section || matches!(kind, INTERFACE | SIMPLE_PACKET | ENHANCED_PACKET | PACKET | SECRETS);
            if !wanted {
                match input.skip(len)? {
                    true => continue,
                    false => return Ok(self.lost(CUT_OFF, len)),
                }
            }
            if len > LARGEST {
                return Ok(self.lost(TOO_LONG, len));
            }
            if !input.need(len)? {
                let octets = input.ahead().len();
                return Ok(self.lost(CUT_OFF, octets));
            }
            let body = &input.ahead()[8..len - 4];
            let found = match kind {
                _ if is_section => {
                    self.interfaces_before += self.interfaces.len() as u32;
                    self.interfaces.clear();
                    self.comments(body.get(16..), None, remarks);
                    None
                }
                INTERFACE => {
                    self.interface(body, remarks);
                    None
                }
                SECRETS => {
                    let data = body.get(8..).unwrap_or_default();
                    let data = &data[..data.len().min(self.order.u32(body, 4) as usize)];
                    remarks.secrets(self.order.u32(body, 0), data);
                    None
                }
                _ => {
                    *packets += 1;
                    Some(self.packet(kind, body, *packets, remarks))
                }
            };
            match found {
                Some(Ok((packet, range))) => {
                    return Ok(Block::Packet { packet, range: range.start + 8..range.end + 8, block: len });
                }
                Some(Err(reason)) => {
                    input.pull(len);
                    return Ok(Block::Broken { reason, octets: len, goes_on: true });
                }
                None => {
                    input.pull(len);
                }
            }
        }
    }

    const fn lost(&mut self, reason: &'static str, octets: usize) -> Block<'static> {
        self.is_lost = true;
        Block::Broken { reason, octets, goes_on: false }
    }

    fn interface(&mut self, body: &[u8], remarks: &mut Remarks) {
        let mut interface = Interface {
            link: self.order.u16(body, 0),
            snap_len: self.order.u32(body, 4),
            resolution: Resolution::Decimal(6),
            offset: 0,
            is_clear_text: false,
        };
        for (code, value) in self.options(body.get(8..)) {
            match (code, value) {
                (COMMENT, text) => remarks.comment(None, text),
                (NAME, name) => interface.is_clear_text = name == crate::capture::CLEAR_INTERFACE.as_bytes(),
                (RESOLUTION, [exponent]) if exponent & 0x80 != 0 => {
                    interface.resolution = Resolution::Binary(exponent & 0x7f);
                }
                (RESOLUTION, [exponent]) => interface.resolution = Resolution::Decimal(*exponent),
                (OFFSET, octets) if octets.len() == 8 => {
                    let halves = (self.order.u32(octets, 0), self.order.u32(octets, 4));
                    let (high, low) = if self.order == Order::Big { halves } else { (halves.1, halves.0) };
                    interface.offset = (u64::from(high) << 32 | u64::from(low)) as i64;
                }
                _ => {}
            }
        }
        if self.interfaces.len() < MOST_INTERFACES {
            self.interfaces.push(interface);
        }
    }

    /// The packet of a block, and where in its body the octets are.
    fn packet(
        &self,
        kind: u32,
        body: &[u8],
        number: u64,
        remarks: &mut Remarks,
    ) -> Result<(Captured<'static>, Range<usize>), &'static str> {
        let word = |at| self.order.u32(body, at);
        let (index, time, lens, start) = match kind {
            SIMPLE_PACKET => (0, None, None, 4),
            ENHANCED_PACKET => (word(0), Some((word(4), word(8))), Some((word(12), word(16))), 20),
            _ => (u32::from(self.order.u16(body, 0)), Some((word(4), word(8))), Some((word(12), word(16))), 20),
        };
        let interface = self.interfaces.get(index as usize).ok_or("a packet of an interface that is not described")?;
        let room = body.len().checked_sub(start).ok_or("a block too short for its fields")?;
        let (len, original) = match lens {
            Some((len, original)) => (len as usize, original as usize),
            None => {
                let limit = if interface.snap_len == 0 { usize::MAX } else { interface.snap_len as usize };
                (room.min(word(0) as usize).min(limit), word(0) as usize)
            }
        };
        if len > room {
            return Err("a packet longer than its block");
        }
        self.comments(body.get(start + len.next_multiple_of(4)..), Some(number), remarks);
        let packet = Captured {
            number,
            micros: time.map(|(high, low)| interface.micros(u64::from(high) << 32 | u64::from(low))),
            link: interface.link,
            interface: self.interfaces_before + index,
            is_clear_text: interface.is_clear_text,
            octets: &[],
            missing: original.saturating_sub(len),
        };
        Ok((packet, start..start + len))
    }

    fn comments(&self, options: Option<&[u8]>, packet: Option<u64>, remarks: &mut Remarks) {
        for (_, text) in self.options(options).filter(|(code, _)| *code == COMMENT) {
            remarks.comment(packet, text);
        }
    }

    /// Codes and values.
    fn options<'a>(&self, octets: Option<&'a [u8]>) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let (order, mut rest) = (self.order, octets.unwrap_or_default());
        std::iter::from_fn(move || {
            let head = rest.get(..4)?;
            let (code, len) = (order.u16(head, 0), usize::from(order.u16(head, 2)));
            let value = rest.get(4..4 + len)?;
            rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
            (code != 0).then_some((code, value))
        })
    }
}

impl Interface {
    /// Microseconds since 1970.
    fn micros(&self, ticks: u64) -> i64 {
        let micros = match self.resolution {
            Resolution::Decimal(6) => u128::from(ticks),
            Resolution::Decimal(9) => u128::from(ticks / 1_000),
            Resolution::Decimal(exponent @ 0..=5) => u128::from(ticks) * 10_u128.pow(6 - u32::from(exponent)),
            Resolution::Decimal(exponent @ 7..=38) => u128::from(ticks) / 10_u128.pow(u32::from(exponent) - 6),
            Resolution::Binary(exponent @ 0..=64) => (u128::from(ticks) * 1_000_000) >> exponent,
            Resolution::Decimal(_) | Resolution::Binary(_) => 0,
        };
        i64::try_from(micros).unwrap_or(i64::MAX).saturating_add(self.offset.saturating_mul(1_000_000))
    }
}

const HEAD_LEN: usize = 12;
const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const SECRETS: u32 = 10;
const COMMENT: u16 = 1;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const OFFSET: u16 = 14;
const MOST_INTERFACES: usize = 65_536;
