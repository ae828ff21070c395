//! What a trace held.

use crate::packet::Protocol;
use crate::trace::{Icv, OpenedBy, Sealed, Seen, Shut, Sighting, Step};
use std::collections::BTreeMap;
use std::fmt;

/// Counts of what a trace held, whatever became of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Summary {
    /// Packets in the file.
    pub packets: u64,
    /// Octets of them.
    pub octets: u64,
    /// SIP messages.
    pub sip: u64,
    /// Diameter messages.
    pub diameter: u64,
    /// Messages of which only the beginning is there; counted in the two above as well.
    pub cut: u64,
    /// Packets that were captured more than once, each time after the first.
    pub copies: u64,
    /// Segments and chunks that were sent again.
    pub retransmitted: u64,
    /// Keep-alives between messages.
    pub keep_alives: u64,
    /// Packets with something else: media, names, web pages.
    pub other: u64,
    /// Places in streams where octets are missing.
    pub gaps: u64,
    /// ESP packets that were opened, by how, and what their ICV said: right, wrong, not judged.
    pub opened: BTreeMap<OpenedBy, [u64; 3]>,
    /// ESP packets that stayed shut, by SPI.
    pub sealed: BTreeMap<u32, SealedCount>,
    /// What could not be read, by reason: how often, and how many octets.
    pub unread: BTreeMap<&'static str, (u64, u64)>,
}

/// ESP packets of one SPI that stayed shut.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SealedCount {
    /// No key is known.
    pub no_key: u64,
    /// The ICV is wrong under the key that is known.
    pub wrong_icv: u64,
    /// Opened, with nothing readable inside.
    pub inside: u64,
    /// Cut by the capture.
    pub cut: u64,
}

impl Summary {
    /// Counts what is handed out.
    pub fn count(&mut self, sighting: &Sighting) {
        match &sighting.seen {
            Seen::Message(message) => {
                match message.protocol {
                    Protocol::Sip => self.sip += 1,
                    Protocol::Diameter => self.diameter += 1,
                }
                self.cut += u64::from(message.cut);
            }
            Seen::Sealed(sealed) => self.count_sealed(sealed),
            Seen::Verified(_) | Seen::Lost(_) => {}
            Seen::Connection(connection) => self.gaps += u64::from(connection.step == Step::Gap),
            Seen::Unread(unread) => {
                let (times, octets) = self.unread.entry(unread.reason).or_default();
                *times += 1;
                *octets += unread.octets as u64;
            }
        }
    }

    pub(super) fn count_opened(&mut self, by: OpenedBy, icv: Icv) {
        self.opened.entry(by).or_default()[icv as usize] += 1;
    }

    /// What was not judged is now.
    pub(super) fn count_verified(&mut self, by: OpenedBy, icv: Icv) {
        let counts = self.opened.entry(by).or_default();
        counts[Icv::Unknown as usize] = counts[Icv::Unknown as usize].saturating_sub(1);
        counts[icv as usize] += 1;
    }

    fn count_sealed(&mut self, sealed: &Sealed) {
        let spi = if self.sealed.len() < MOST_SPIS { sealed.spi } else { 0 };
        let count = self.sealed.entry(spi).or_default();
        match sealed.why {
            Shut::NoKey => count.no_key += 1,
            Shut::WrongIcv => count.wrong_icv += 1,
            Shut::Inside => count.inside += 1,
            Shut::Cut => count.cut += 1,
        }
    }
}

impl SealedCount {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.no_key + self.wrong_icv + self.inside + self.cut
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} packets, {} octets", self.packets, self.octets)?;
        writeln!(f, "{} SIP messages, {} Diameter messages", self.sip, self.diameter)?;
        let counts = [
            (self.cut, "messages of which only the beginning is there"),
            (self.copies, "packets captured more than once, counted once"),
            (self.retransmitted, "segments sent again"),
            (self.keep_alives, "keep-alives"),
            (self.gaps, "gaps in streams"),
            (self.other, "packets with something else"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            writeln!(f, "{count} {what}")?;
        }
        for (by, [right, wrong, unknown]) in &self.opened {
            let how = match by {
                OpenedBy::Trial => "not encrypted",
                OpenedBy::KeyFile => "opened with keys of the file",
                OpenedBy::Revealed => "opened with keys that the trace shows",
                OpenedBy::Computed => "opened with keys computed from K",
            };
            writeln!(
                f,
                "{} ESP packets {how}: ICV right {right}, wrong {wrong}, not judged {unknown}",
                right + wrong + unknown
            )?;
        }
        for (spi, count) in &self.sealed {
            write!(f, "{} ESP packets of SPI 0x{spi:08x} stay shut:", count.total())?;
            let reasons = [
                (count.no_key, "no key"),
                (count.wrong_icv, "wrong ICV"),
                (count.inside, "nothing readable inside"),
                (count.cut, "cut"),
            ];
            let mut separator = " ";
            for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
                write!(f, "{separator}{count} {reason}")?;
                separator = ", ";
            }
            writeln!(f)?;
        }
        for (reason, (times, octets)) in &self.unread {
            writeln!(f, "{times} not read, {octets} octets: {reason}")?;
        }
        Ok(())
    }
}

const MOST_SPIS: usize = 65_536;
