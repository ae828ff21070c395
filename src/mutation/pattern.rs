//! Which messages are meant.

use super::sip::SipText;
use crate::diameter::Header;
use crate::event::Role;
use crate::packet::Protocol;
use memchr::memmem;

/// Which messages are meant: all that fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// Who sends them.
    pub from: Role,
    /// Who receives them.
    pub to: Option<Role>,
    /// What they are: `REGISTER`, `401`, `4xx`, `200 REGISTER`, `UAR`, `MAA`; empty: all.
    pub message: Box<str>,
    /// Whether they go over an SA.
    pub protected: Option<bool>,
    /// What must be in them.
    pub has: Option<Box<str>>,
    /// What must not be in them.
    pub lacks: Option<Box<str>>,
    /// Which of those that fit. A retransmission counts as what it repeats.
    pub occurrences: Occurrences,
}

/// Some of all, from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Occurrences {
    /// Every one.
    All,
    /// These.
    Only(Vec<usize>),
    /// This one and all behind it.
    From(usize),
}

impl Occurrences {
    pub(super) fn has(&self, number: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(numbers) => numbers.contains(&number),
            Self::From(first) => number >= *first,
        }
    }
}

impl Pattern {
    /// Everything that a role sends.
    pub fn from(from: Role) -> Self {
        let occurrences = Occurrences::All;
        Self { from, to: None, message: "".into(), protected: None, has: None, lacks: None, occurrences }
    }

    pub(super) fn fits(&self, protocol: Protocol, protected: bool, bytes: &[u8]) -> bool {
        let has = |text: &Option<Box<str>>, wanted: bool| {
            text.as_deref().is_none_or(|text| memmem::find(bytes, text.as_bytes()).is_some() == wanted)
        };
        self.protected.is_none_or(|wanted| wanted == protected)
            && is_message(&self.message, protocol, bytes)
            && has(&self.has, true)
            && has(&self.lacks, false)
    }
}

/// Whether a message is what a pattern calls it.
pub(crate) fn is_message(name: &str, protocol: Protocol, bytes: &[u8]) -> bool {
    if name.is_empty() {
        return true;
    }
    match protocol {
        Protocol::Sip => is_sip(name, bytes),
        Protocol::Diameter => Header::read(bytes).is_some_and(|header| {
            let initials = COMMANDS.iter().find(|(command, _)| *command == header.command).map(|(_, name)| *name);
            let kind = if header.request { 'R' } else { 'A' };
            initials.is_some_and(|initials| name.strip_prefix(initials).is_some_and(|rest| rest.chars().eq([kind])))
        }),
    }
}

fn is_sip(name: &str, bytes: &[u8]) -> bool {
    let Some(text) = SipText::read(bytes) else { return false };
    let (first, cseq) = name.split_once(' ').map_or((name, None), |(first, cseq)| (first, Some(cseq)));
    match text.status() {
        None => cseq.is_none() && text.start.split(' ').next() == Some(first),
        Some(status) => {
            let fits = first.len() == 3 && first.chars().zip(status.chars()).all(|(a, b)| a == 'x' || a == b);
            let method = || text.value("CSeq").and_then(|value| value.split_ascii_whitespace().nth(1));
            fits && cseq.is_none_or(|cseq| method() == Some(cseq))
        }
    }
}

/// The commands of Cx (TS 29.229 clause 6.1).
const COMMANDS: [(u32, &str); 6] = [(300, "UA"), (301, "SA"), (302, "LI"), (303, "MA"), (304, "RT"), (305, "PP")];
