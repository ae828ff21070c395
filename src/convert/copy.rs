//! A capture taken over as it is, block by block, while it is being read; packets of our own stand among its packets.

use super::file::{self, Order, Written};
use super::packets::Packet;
use crate::capture::CLEAR_INTERFACE;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Blocks as they are.
    Pcapng,
    /// Packets alone, of one link type.
    Pcap,
}

/// Takes over octets of a capture.
pub struct Copier<W> {
    out: W,
    form: Form,
    source: Source,
    pending: Vec<u8>,
    /// Octets that belong to no block: what follows a broken one.
    is_lost: bool,
    interfaces: Vec<Interface>,
    has_mirror: bool,
    /// The number of our interface within the section, once it is described: behind the first, which packets without
    /// number are of.
    mirror: Option<u32>,
    /// The capture has such an interface already.
    pub has_clear: bool,
    packets: u64,
    queue: VecDeque<Waiting>,
    queued: usize,
    has_head: bool,
    /// Of a pcap that is written.
    link: Option<u16>,
    /// Comments, secrets and the like that have no place in pcap.
    pub left_out: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Unknown,
    Pcap { order: Order, nanoseconds: bool, link: u16, is_patched: bool },
    Pcapng(Order),
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    resolution: u8,
    snap_len: u32,
}

/// Something to be written, behind the packet of this number.
struct Waiting {
    number: u64,
    octets: Vec<u8>,
}

impl<W: Write> Copier<W> {
    /// Nothing read yet. `has_mirror`: there will be packets of our own.
    pub const fn new(out: W, form: Form, has_mirror: bool) -> Self {
        Self {
            out,
            form,
            source: Source::Unknown,
            pending: Vec::new(),
            is_lost: false,
            interfaces: Vec::new(),
            has_mirror,
            mirror: None,
            has_clear: false,
            packets: 0,
            queue: VecDeque::new(),
            queued: 0,
            has_head: false,
            link: None,
            left_out: 0,
        }
    }

    /// The next octets of the capture.
    pub fn feed(&mut self, octets: &[u8]) -> io::Result<()> {
        self.pending.extend_from_slice(octets);
        let mut at = 0;
        while !self.is_lost {
            let rest = &self.pending[at..];
            let len = match self.source {
                Source::Unknown => self.head(at)?,
                Source::Pcap { .. } => self.record(at)?,
                Source::Pcapng(_) => match block_len(rest, self.source) {
                    Some(len) if rest.len() >= len && len >= 12 => {
                        self.block(at, len)?;
                        Some(len)
                    }
                    Some(len) if len < 12 => {
                        self.is_lost = true;
                        None
                    }
                    _ => None,
                },
            };
            let Some(len) = len else { break };
            at += len;
        }
        self.pending.drain(..at);
        if self.is_lost {
            self.pending.clear();
        }
        self.flush_to(self.packets.saturating_sub(MOST_WAITING))
    }

    /// Adds a packet of our own behind the packet of this number, on an interface of its own.
    pub fn mirror(&mut self, number: u64, unix_micros: u64, packet: &Packet) {
        let order = match self.source {
            Source::Pcapng(order) => order,
            Source::Pcap { .. } | Source::Unknown => Order::Little,
        };
        let mut octets = Vec::new();
        let Some(interface) = self.mirror else { return };
        let Packet { octets: frame, original } = packet;
        let written =
            Written { interface, ticks: unix_micros, octets: Cow::Borrowed(frame), original: *original, comment: None };
        file::packet(&mut octets, order, &written);
        let at = self.queue.partition_point(|waiting| waiting.number <= number);
        self.queued += octets.len();
        self.queue.insert(at, Waiting { number, octets });
    }

    /// What stands before this packet will not be added to.
    pub fn settled(&mut self, number: u64) -> io::Result<()> {
        self.flush_to(number.saturating_sub(MOST_WAITING))
    }

    /// The end of the capture.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush_to(u64::MAX)?;
        if self.form == Form::Pcap && !self.has_head {
            let mut head = Vec::new();
            file::pcap_head(&mut head, file::RAW_IP, false);
            self.out.write_all(&head)?;
        }
        self.out.flush()?;
        Ok(self.out)
    }

    fn flush_to(&mut self, number: u64) -> io::Result<()> {
        while let Some(first) = self.queue.front() {
            if first.number > number && self.queued <= MOST_OCTETS {
                break;
            }
            let Some(Waiting { octets, .. }) = self.queue.pop_front() else { break };
            self.queued -= octets.len();
            self.out.write_all(&octets)?;
        }
        Ok(())
    }

    fn wait(&mut self, octets: Vec<u8>) {
        self.queued += octets.len();
        self.queue.push_back(Waiting { number: self.packets, octets });
    }

    /// The first octets tell what it is.
    fn head(&mut self, at: usize) -> io::Result<Option<usize>> {
        let rest = &self.pending[at..];
        let Some(first) = rest.first_chunk::<4>() else { return Ok(None) };
        let (order, nanoseconds, is_patched) = match first {
            [0x0a, 0x0d, 0x0d, 0x0a] => {
                self.source = Source::Pcapng(Order::Little);
                return Ok(Some(0));
            }
            [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false, false),
            [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false, false),
            [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true, false),
            [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true, false),
            [0x34, 0xcd, 0xb2, 0xa1] => (Order::Little, false, true),
            [0xa1, 0xb2, 0xcd, 0x34] => (Order::Big, false, true),
            _ => {
                self.is_lost = true;
                return Ok(None);
            }
        };
        if rest.len() < PCAP_HEAD {
            return Ok(None);
        }
        // The upper bits tell of check sequences of frames.
        let link = order.read_four(rest, 20) as u16;
        self.source = Source::Pcap { order, nanoseconds, link, is_patched };
        let mut head = Vec::new();
        match self.form {
            Form::Pcap => file::pcap_head(&mut head, link, nanoseconds),
            Form::Pcapng => {
                file::section(&mut head, Order::Little, None);
                file::interface(&mut head, Order::Little, None, link, if nanoseconds { 9 } else { 6 });
                if self.has_mirror {
                    file::interface(&mut head, Order::Little, Some(CLEAR_INTERFACE), file::RAW_IP, 6);
                    self.mirror = Some(1);
                }
            }
        }
        self.has_head = true;
        self.out.write_all(&head)?;
        Ok(Some(PCAP_HEAD))
    }

    /// A record of pcap.
    fn record(&mut self, at: usize) -> io::Result<Option<usize>> {
        let Source::Pcap { order, nanoseconds, is_patched, .. } = self.source else { return Ok(None) };
        let rest = &self.pending[at..];
        let head = if is_patched { 24 } else { 16 };
        if rest.len() < head {
            return Ok(None);
        }
        let word = |at| order.read_four(rest, at);
        let (seconds, fraction, len, original) = (word(0), word(4), word(8) as usize, word(12) as usize);
        if len > LARGEST {
            self.is_lost = true;
            return Ok(None);
        }
        let Some(octets) = rest.get(head..head + len) else { return Ok(None) };
        let mut out = Vec::with_capacity(len + 64);
        match self.form {
            Form::Pcap => file::pcap_packet(&mut out, seconds, fraction, octets, original),
            Form::Pcapng => {
                let unit = if nanoseconds { 1_000_000_000 } else { 1_000_000 };
                let ticks = u64::from(seconds) * unit + u64::from(fraction);
                let written = Written { interface: 0, ticks, octets: Cow::Borrowed(octets), original, comment: None };
                file::packet(&mut out, Order::Little, &written);
            }
        }
        self.packets += 1;
        self.wait(out);
        Ok(Some(head + len))
    }

    /// A block of pcapng.
    fn block(&mut self, at: usize, len: usize) -> io::Result<()> {
        let mut octets = self.pending[at..at + len].to_vec();
        if octets.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            let order = if octets[8] == 0x1a { Order::Big } else { Order::Little };
            self.source = Source::Pcapng(order);
            self.interfaces.clear();
            self.mirror = None;
        }
        let Source::Pcapng(order) = self.source else { return Ok(()) };
        let kind = order.read_four(&octets, 0);
        match kind {
            file::INTERFACE => {
                let (interface, is_clear) = interface(order, &octets);
                self.interfaces.push(interface);
                self.has_clear |= is_clear;
            }
            file::ENHANCED_PACKET | file::PACKET | file::SIMPLE_PACKET => self.packets += 1,
            _ => {}
        }
        if self.form == Form::Pcap {
            return self.record_of(order, kind, &octets);
        }
        if let Some(mirror) = self.mirror {
            // Interfaces that are described behind ours have numbers one higher.
            match kind {
                file::ENHANCED_PACKET | file::STATISTICS => {
                    let number = order.read_four(&octets, 8);
                    octets[8..12].copy_from_slice(&order.four(number + u32::from(number >= mirror)));
                }
                file::PACKET => {
                    let number = order.read_two(&octets, 8);
                    octets[8..10].copy_from_slice(&order.two(number + u16::from(u32::from(number) >= mirror)));
                }
                _ => {}
            }
        }
        self.wait(octets);
        if kind == file::INTERFACE && self.has_mirror && self.mirror.is_none() {
            let mut ours = Vec::new();
            file::interface(&mut ours, order, Some(CLEAR_INTERFACE), file::RAW_IP, 6);
            self.wait(ours);
            self.mirror = Some(1);
        }
        Ok(())
    }

    fn record_of(&mut self, order: Order, kind: u32, block: &[u8]) -> io::Result<()> {
        let word = |at| order.read_four(block, at);
        let (index, ticks, len, original, start) = match kind {
            file::ENHANCED_PACKET | file::PACKET => {
                let index = if kind == file::PACKET { u32::from(order.read_two(block, 8)) } else { word(8) };
                (index, u64::from(word(12)) << 32 | u64::from(word(16)), word(20) as usize, word(24) as usize, 28)
            }
            file::SIMPLE_PACKET => {
                let room = block.len() - 16;
                let limit = self.interfaces.first().map_or(0, |interface| interface.snap_len as usize);
                let len = room.min(word(8) as usize).min(if limit == 0 { usize::MAX } else { limit });
                (0, 0, len, word(8) as usize, 12)
            }
            file::INTERFACE | file::SECTION | file::STATISTICS => return Ok(()),
            _ => {
                self.left_out += 1;
                return Ok(());
            }
        };
        let (Some(interface), Some(octets)) =
            (self.interfaces.get(index as usize).copied(), block.get(start..start + len))
        else {
            self.left_out += 1;
            return Ok(());
        };
        let mut out = Vec::with_capacity(len + 64);
        if !self.has_head {
            self.has_head = true;
            self.link = Some(interface.link);
            file::pcap_head(&mut out, interface.link, true);
        }
        if self.link != Some(interface.link) {
            return Err(io::Error::other("the capture has several link types: pcap takes one, pcapng takes all"));
        }
        let nanos = interface.nanos(ticks);
        let (seconds, fraction) = ((nanos / 1_000_000_000) as u32, (nanos % 1_000_000_000) as u32);
        file::pcap_packet(&mut out, seconds, fraction, octets, original);
        self.wait(out);
        Ok(())
    }
}

impl<W> std::fmt::Debug for Copier<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copier").field("packets", &self.packets).finish_non_exhaustive()
    }
}

impl Interface {
    /// Nanoseconds since 1970, without the offset that hardly any file has.
    fn nanos(self, ticks: u64) -> u128 {
        let ticks = u128::from(ticks);
        match self.resolution {
            exponent @ 0..=9 => ticks * 10_u128.pow(9 - u32::from(exponent)),
            exponent @ 10..=38 => ticks / 10_u128.pow(u32::from(exponent) - 9),
            exponent => (ticks * 1_000_000_000) >> (exponent & 0x3f),
        }
    }
}

/// The interface of a block, and whether it is one for text out of ESP.
fn interface(order: Order, block: &[u8]) -> (Interface, bool) {
    let (mut resolution, mut is_clear) = (6, false);
    let mut at = 16;
    while let Some(head) = block.get(at..at + 4) {
        let (code, len) = (order.read_two(head, 0), usize::from(order.read_two(head, 2)));
        if code == 0 {
            break;
        }
        match (code, block.get(at + 4..at + 4 + len)) {
            (file::RESOLUTION, Some([value])) => resolution = *value,
            (file::NAME, Some(name)) => is_clear = name == CLEAR_INTERFACE.as_bytes(),
            _ => {}
        }
        at += 4 + len.next_multiple_of(4);
    }
    (Interface { link: order.read_two(block, 8), resolution, snap_len: order.read_four(block, 12) }, is_clear)
}

/// The length of the block that begins here; `None` where that cannot be told yet.
fn block_len(rest: &[u8], source: Source) -> Option<usize> {
    let head = rest.get(..12)?;
    let order = match (head, source) {
        ([0x0a, 0x0d, 0x0d, 0x0a, .., 0x1a, 0x2b, 0x3c, 0x4d], _) => Order::Big,
        ([0x0a, 0x0d, 0x0d, 0x0a, ..], _) => Order::Little,
        (_, Source::Pcapng(order)) => order,
        _ => Order::Little,
    };
    let len = (order.read_four(head, 4) as usize).next_multiple_of(4);
    Some(if len > LARGEST { 0 } else { len })
}

const PCAP_HEAD: usize = 24;
const LARGEST: usize = 16 << 20;
/// Packets that wait for what was in them, and their octets.
const MOST_WAITING: u64 = 16_384;
const MOST_OCTETS: usize = 32 << 20;
