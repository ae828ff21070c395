//! The older format: one link type, a record a packet.

use super::{CUT_OFF, Input, LARGEST, Order, TOO_LONG};
use std::io::{self, Read};

/// The head of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    order: Order,
    nanoseconds: bool,
    record_len: usize,
    pub(super) link: u16,
}

pub(super) enum Record {
    /// So many octets behind the record's head are the packet.
    Packet {
        micros: i64,
        len: usize,
        missing: usize,
    },
    End,
    Broken {
        reason: &'static str,
        octets: usize,
    },
}

impl Head {
    pub(super) fn has_magic(first: &[u8]) -> bool {
        magic(first).is_some()
    }

    pub(super) fn read(first: &[u8]) -> Option<Self> {
        let (order, nanoseconds, record_len) = magic(first)?;
        // The upper half tells the length of a frame check sequence.
        let link = order.u32(first.get(..HEAD_LEN)?, 20) & 0xffff;
        Some(Self { order, nanoseconds, record_len, link: link as u16 })
    }

    pub(super) fn next<R: Read>(self, input: &mut Input<R>) -> io::Result<Record> {
        if !input.need(self.record_len)? {
            let octets = input.ahead().len();
            return Ok(if octets == 0 { Record::End } else { Record::Broken { reason: CUT_OFF, octets } });
        }
        let head = input.pull(self.record_len);
        let word = |at| self.order.u32(head, at);
        let fraction = if self.nanoseconds { word(4) / 1_000 } else { word(4) };
        let micros = i64::from(word(0)) * 1_000_000 + i64::from(fraction);
        let (len, original) = (word(8) as usize, word(12) as usize);
        if len > LARGEST {
            return Ok(Record::Broken { reason: TOO_LONG, octets: len });
        }
        if !input.need(len)? {
            return Ok(Record::Broken { reason: CUT_OFF, octets: input.ahead().len() });
        }
        Ok(Record::Packet { micros, len, missing: original.saturating_sub(len) })
    }
}

/// Byte order, nanoseconds, and the length of the head of a record.
fn magic(first: &[u8]) -> Option<(Order, bool, usize)> {
    Some(match first {
        [0xa1, 0xb2, 0xc3, 0xd4, ..] => (Order::Big, false, 16),
        [0xd4, 0xc3, 0xb2, 0xa1, ..] => (Order::Little, false, 16),
        [0xa1, 0xb2, 0x3c, 0x4d, ..] => (Order::Big, true, 16),
        [0x4d, 0x3c, 0xb2, 0xa1, ..] => (Order::Little, true, 16),
        // That of a patched libpcap: interface, protocol and type of packet follow the lengths.
        [0xa1, 0xb2, 0xcd, 0x34, ..] => (Order::Big, false, 24),
        [0x34, 0xcd, 0xb2, 0xa1, ..] => (Order::Little, false, 24),
        _ => return None,
    })
}

pub(super) const HEAD_LEN: usize = 24;
