//! Ladders: messages as arrows between the columns of UE, P-CSCF, I-CSCF, S-CSCF and HSS, events as notes between them.
//!
//! A [`Draughtsman`] turns one packet or event after the other into a [`Row`], so a ladder can grow while its traffic
//! runs; [`Ladder::of`] draws a whole [`Capture`]. [`draw`] and [`json`] print them.

mod columns;
mod cx;
pub mod draw;
pub mod full;
pub mod json;
mod notes;
mod sip;
pub mod svg;

pub use columns::Columns;
pub use cx::asks;

use crate::capture::{Capture, Entry};
use crate::diameter::{Header, dictionary};
use crate::event::{Event, Role};
use crate::ipsec::association::PortPair;
use crate::packet::{Packet, Protocol};
use crate::sip::{Message, Method};
use crate::time::Instant;
use notes::SetNumbers;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// How to draw.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose addresses they are.
    pub columns: Columns,
    /// Show CK, IK and XRES.
    pub show_keys: bool,
    /// Use terminal colours.
    pub colour: bool,
}

/// The ladder as text, at most 120 columns wide.
pub fn text(capture: &Capture, options: &Options) -> String {
    let ladder = Ladder::of(capture, options);
    draw::ladder(&ladder, &style(&ladder, options))
}

/// The same in two: up to the first 200 to a REGISTER that a UE gets, and what follows, if anything does.
pub fn texts(capture: &Capture, options: &Options) -> (String, Option<String>) {
    let mut draughtsman = Draughtsman::new(options);
    let registered = capture.entries.iter().position(|entry| is_registration(entry, options));
    // What elements tell of that 200 stands below it.
    let rest = registered.map_or(&[][..], |at| &capture.entries[at + 1..]);
    let told = rest.iter().take_while(|entry| matches!(entry, Entry::Event { .. })).count();
    let (before, after) = capture.entries.split_at(registered.map_or(capture.entries.len(), |at| at + 1 + told));
    let first = Ladder::drawn_by(&mut draughtsman, before);
    let mut second = Ladder::drawn_by(&mut draughtsman, after);
    second.counts = second.counts.since(first.counts);
    let style = style(&first, options);
    let second = (second.counts.sip + second.counts.cx > 0).then(|| draw::ladder(&second, &style));
    (draw::ladder(&first, &style), second)
}

fn style(ladder: &Ladder, options: &Options) -> draw::Style {
    let start = ladder.rows.first().map_or(Instant::ZERO, Row::at);
    let mut style = draw::Style { colour: options.colour, start, ..draw::Style::default() };
    if options.columns.has(Role::ApplicationServer) {
        style.columns.insert(4, Role::ApplicationServer);
    }
    style
}

/// True for a 200 to REGISTER on its way to a UE.
fn is_registration(entry: &Entry, options: &Options) -> bool {
    let Entry::Hop(hop) = entry else { return false };
    let packet = hop.packet();
    let is_200 = |message: &Message<'_>| {
        message.status() == Some(200) && message.cseq().is_ok_and(|cseq| cseq.method == Method::Register)
    };
    packet.protocol == Protocol::Sip
        && Message::parse(packet.bytes).is_ok_and(|message| is_200(&message))
        && options.columns.ends(&packet).is_some_and(|(_, to)| to == Role::Ue)
}

/// What a message says, in short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Method, status, or name and code of a Diameter command.
    pub label: String,
    /// The parameters that matter.
    pub details: Vec<String>,
}

impl Summary {
    const fn new(label: String) -> Self {
        Self { label, details: Vec::new() }
    }

    fn say(&mut self, detail: Option<String>) {
        self.details.extend(detail.filter(|detail| !detail.is_empty()));
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.label)?;
        for (i, detail) in self.details.iter().enumerate() {
            write!(f, "{}{detail}", if i == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// Reads a SIP or Diameter message; what cannot be read is said to be so.
pub fn summary(protocol: Protocol, bytes: &[u8], show_keys: bool) -> Summary {
    let unreadable = || Summary::new(format!("{} octets", bytes.len()));
    match protocol {
        Protocol::Sip => {
            let other = || sip::keep_alive(bytes).unwrap_or_else(unreadable);
            Message::parse(bytes).map_or_else(|_| other(), |message| sip::summary(&message, show_keys))
        }
        Protocol::Diameter => {
            Header::parse(bytes).map_or_else(|_| unreadable(), |header| cx::summary(bytes, &header, show_keys))
        }
    }
}

/// One line of a ladder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Row {
    /// A message.
    Arrow(Arrow),
    /// An event.
    Note(Note),
    /// A message of a stranger.
    Aside(Aside),
}

impl Row {
    /// When.
    pub const fn at(&self) -> Instant {
        match self {
            Self::Arrow(arrow) => arrow.at,
            Self::Note(note) => note.at,
            Self::Aside(aside) => aside.at,
        }
    }
}

/// A message between two columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrow {
    /// Counts the arrows from 1.
    pub number: usize,
    /// When.
    pub at: Instant,
    /// Tail.
    pub from: Role,
    /// Head.
    pub to: Role,
    /// SIP or Diameter.
    pub protocol: Protocol,
    /// The SA that carried it, by its number in TS 33.203 clause 7.1: 1 and 4 towards the P-CSCF, 2 and 3 towards the UE.
    pub sa: Option<u8>,
    /// What it says.
    pub summary: Summary,
    /// The number of the arrow that carried the same bytes the same way before.
    pub repeats: Option<usize>,
    /// What is known beside what it says: how it was opened, why it waited.
    pub notes: Vec<String>,
}

/// A message that is drawn without an arrow: one end of it is in no column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Aside {
    /// Counts with the arrows.
    pub number: usize,
    /// When.
    pub at: Instant,
    /// From where to where.
    pub way: String,
    /// What it says.
    pub summary: Summary,
}

/// An event at a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// When.
    pub at: Instant,
    /// Whose.
    pub role: Role,
    /// In words.
    pub text: String,
}

/// What was seen, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// SIP messages drawn, repetitions included.
    pub sip: usize,
    /// Cx messages drawn.
    pub cx: usize,
    /// 100 Trying, which is not drawn.
    pub trying: usize,
    /// CER, DWR, DPR and their answers, which are not drawn.
    pub base: usize,
    /// Packets that no column could be found for, and keep-alives.
    pub other: usize,
}

impl Counts {
    /// What was seen after `earlier` had been.
    const fn since(self, earlier: Self) -> Self {
        Self {
            sip: self.sip - earlier.sip,
            cx: self.cx - earlier.cx,
            trying: self.trying - earlier.trying,
            base: self.base - earlier.base,
            other: self.other - earlier.other,
        }
    }
}

/// Draws row by row.
#[derive(Debug)]
pub struct Draughtsman {
    columns: Columns,
    show_keys: bool,
    counts: Counts,
    seen: HashMap<u64, usize>,
    hasher: RandomState,
    sets: SetNumbers,
}

impl Draughtsman {
    /// Nothing drawn yet.
    pub fn new(options: &Options) -> Self {
        let (counts, seen, sets) = (Counts::default(), HashMap::new(), SetNumbers::default());
        let (columns, show_keys) = (options.columns.clone(), options.show_keys);
        Self { columns, show_keys, counts, seen, hasher: RandomState::new(), sets }
    }

    /// The arrow of a packet, `None` for what is only counted.
    pub fn packet(&mut self, at: Instant, packet: &Packet<'_>) -> Option<Arrow> {
        let ends = self.columns.ends(packet);
        let counts = &mut self.counts;
        match (Kind::of(packet), ends) {
            (Kind::Sip, Some(_)) => counts.sip += 1,
            (Kind::Cx, Some(_)) => counts.cx += 1,
            (Kind::Trying, _) => counts.trying += 1,
            (Kind::Base, _) => counts.base += 1,
            (Kind::Other, _) | (_, None) => counts.other += 1,
        }
        let (Kind::Sip | Kind::Cx, Some((from, to))) = (Kind::of(packet), ends) else { return None };
        let number = counts.sip + counts.cx;
        let first = *self.seen.entry(self.hasher.hash_one((packet.bytes, from, to))).or_insert(number);
        Some(Arrow {
            number,
            at,
            from,
            to,
            protocol: packet.protocol,
            sa: packet.sa.map(|sa| sa_number(sa.pair, from)),
            summary: summary(packet.protocol, packet.bytes, self.show_keys),
            repeats: (first != number).then_some(first),
            notes: Vec::new(),
        })
    }

    /// The note of an event, `None` for what a ladder does not show.
    pub fn event(&mut self, at: Instant, event: &Event) -> Option<Note> {
        let text = notes::text(event, &mut self.sets)?;
        Some(Note { at, role: event.role, text })
    }

    /// What was seen so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

/// The number of the SA in TS 33.203 clause 7.1 that carries what `from` sends between a pair of ports.
pub const fn sa_number(pair: PortPair, from: Role) -> u8 {
    match (pair, from) {
        (PortPair::UcPs, Role::Ue) => 1,
        (PortPair::UsPc, Role::Ue) => 4,
        (PortPair::UsPc, _) => 2,
        (PortPair::UcPs, _) => 3,
    }
}

/// A whole ladder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ladder {
    /// From top to bottom.
    pub rows: Vec<Row>,
    /// What was seen.
    pub counts: Counts,
}

impl Ladder {
    /// Draws all of `capture`.
    pub fn of(capture: &Capture, options: &Options) -> Self {
        Self::drawn_by(&mut Draughtsman::new(options), &capture.entries)
    }

    fn drawn_by(draughtsman: &mut Draughtsman, entries: &[Entry]) -> Self {
        let row = |entry: &Entry| match entry {
            Entry::Hop(hop) => draughtsman.packet(hop.at, &hop.packet()).map(Row::Arrow),
            Entry::Event { at, event } => draughtsman.event(*at, event).map(Row::Note),
        };
        let rows = entries.iter().filter_map(row).collect();
        Self { rows, counts: draughtsman.counts() }
    }
}

/// What a packet counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Sip,
    Cx,
    Trying,
    Base,
    Other,
}

impl Kind {
    fn of(packet: &Packet<'_>) -> Self {
        match packet.protocol {
            Protocol::Sip => match Message::parse(packet.bytes) {
                Ok(message) if message.status() == Some(100) => Self::Trying,
                Ok(_) => Self::Sip,
                Err(_) => Self::Other,
            },
            Protocol::Diameter => match Header::read(packet.bytes) {
                Some(header) if header.application == dictionary::CX => Self::Cx,
                Some(_) => Self::Base,
                None => Self::Other,
            },
        }
    }
}

fn key(show: bool, hex: &str) -> &str {
    if show { hex } else { "****" }
}

/// Eight characters are enough to tell nonces apart.
fn short(text: &str) -> String {
    match text.char_indices().nth(8) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// An identity without scheme and domain, which are the same in the whole ladder.
fn identity(text: &str) -> String {
    let user = text.split(['@', ';']).next().unwrap_or_default();
    user.strip_prefix("sip:").or_else(|| user.strip_prefix("tel:")).unwrap_or(user).to_owned()
}
