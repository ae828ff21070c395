//! The messages of a registration as rows of a ladder.

use super::words;
use crate::diameter::dictionary;
use crate::event::Role;
use crate::ladder::{Arrow, Aside, Row, draw::Style, sa_number, summary};
use crate::packet::Protocol;
use crate::time::Instant;
use crate::trace::story::{Interface, Message, Registration};

/// What is drawn and what is not.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Counts {
    pub(super) sip: u64,
    pub(super) cx: u64,
    pub(super) other_diameter: u64,
    pub(super) trying: u64,
    pub(super) base: u64,
}

/// Rows and what they count; without `all`, 100 Trying and the talk of Diameter peers are counted only.
pub(super) fn of<'r>(messages: &[Message<'r>], all: bool, show_keys: bool) -> (Vec<(Message<'r>, Row)>, Counts) {
    let (mut rows, mut counts, mut last) = (Vec::new(), Counts::default(), Instant::ZERO);
    for message in messages {
        last = message.at().unwrap_or(last);
        let is_trying = message.status() == Some(100);
        let is_base = message.diameter().is_some_and(|header| header.application == dictionary::BASE);
        match (message.protocol, is_trying || is_base) {
            (_, true) if !all => {
                counts.trying += u64::from(is_trying);
                counts.base += u64::from(is_base);
                continue;
            }
            (Protocol::Sip, _) => counts.sip += 1,
            (Protocol::Diameter, _) if message.interface() == Interface::Cx => counts.cx += 1,
            (Protocol::Diameter, _) => counts.other_diameter += 1,
        }
        rows.push((*message, row(*message, last, show_keys)));
    }
    (rows, counts)
}

fn row(message: Message<'_>, at: Instant, show_keys: bool) -> Row {
    let number = usize::try_from(message.number).unwrap_or(usize::MAX);
    let summary = summary(message.protocol, &message.bytes, show_keys);
    let repeats = message.repeats().map(|first| usize::try_from(first.number).unwrap_or(usize::MAX));
    match (message.from(), message.to()) {
        (Some(from), Some(to)) if from != to => Row::Arrow(Arrow {
            number,
            at,
            from,
            to,
            protocol: message.protocol,
            sa: message.carried().sa().map(|sa| sa_number(sa.pair, from)),
            summary,
            repeats,
            notes: words::notes(message),
        }),
        (from, to) => {
            let end = |role: Option<Role>, address| match (role, address) {
                (Some(role), _) => role.to_string(),
                (None, Some(address)) => format!("{address}"),
                (None, None) => "?".to_owned(),
            };
            let (source, destination) = (message.ends.map(|ends| ends.from), message.ends.map(|ends| ends.to));
            let way = format!("{} to {}", end(from, source), end(to, destination));
            Row::Aside(Aside { number, at, way, summary })
        }
    }
}

/// A column for each role that was found.
pub(super) fn style(registration: &Registration<'_>, colour: bool) -> Style {
    let roles = registration.roles();
    let columns = ORDER.into_iter().filter(|role| roles.contains(role)).collect();
    let times = registration.messages().any(|message| message.at().is_some());
    Style { columns, colour, times, ..Style::default() }
}

const ORDER: [Role; 6] = [Role::Ue, Role::Pcscf, Role::Icscf, Role::Scscf, Role::ApplicationServer, Role::Hss];
