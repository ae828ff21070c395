//! The messages of a registration as a ladder: a title, columns, rows.

use super::story::{Carried, Interface, Message, Registration};
use super::{Icv, OpenedBy, Protection};
use crate::diameter::dictionary;
use crate::event::Role;
use crate::ladder::{Arrow, Aside, Row, draw::Style, sa_number, summary};
use crate::packet::Protocol;
use crate::time::Instant;

/// What is drawn and what is not.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    /// SIP messages drawn.
    pub sip: u64,
    /// Cx messages drawn.
    pub cx: u64,
    /// Diameter messages of other applications, drawn.
    pub other_diameter: u64,
    /// 100 Trying, which is not drawn.
    pub trying: u64,
    /// CER, DWR, DPR and their answers, which are not drawn.
    pub base: u64,
}

/// The line above a ladder.
pub fn title(registration: &Registration<'_>) -> String {
    let count = registration.messages().count();
    let messages = counted(count as u64, "message");
    let Some(id) = registration.id() else { return format!("Of no registration: {messages}") };
    let continued = if registration.is_continued() { ", continued" } else { "" };
    let impu = registration.impu().map_or_else(String::new, |impu| format!(": {impu}"));
    let impi = registration.impi().map_or_else(String::new, |impi| format!(" ({impi})"));
    format!("Registration {id}{continued}{impu}{impi}, {messages}")
}

/// Rows and what they count; without `all`, 100 Trying and the talk of Diameter peers are counted only.
pub fn rows<'r>(messages: &[Message<'r>], all: bool, show_keys: bool) -> (Vec<(Message<'r>, Row)>, Counts) {
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
            notes: notes(message),
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

/// What stands beside an arrow: how it was opened, for which timer it waited.
fn notes(message: Message<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Protection::Esp(esp) = message.protection {
        let icv = match esp.icv {
            Icv::Right => "ICV right",
            Icv::Wrong => "ICV wrong",
            Icv::Unknown => "ICV not judged",
        };
        notes.push(format!("ESP spi {}: {}, {icv}", esp.spi, opened(esp.by)));
    }
    match message.carried() {
        Carried::Ports(_) => notes.push("in clear between protected ports".to_owned()),
        Carried::Foreign => notes.push("the agreement of its SA is not in the trace".to_owned()),
        Carried::Clear | Carried::Sa(_) | Carried::Unknown => {}
    }
    if message.cut {
        notes.push("only its beginning was captured".to_owned());
    }
    if let Some(wait) = message.wait() {
        notes.push(format!("{:.3} s after {}: {}", wait.elapsed.as_secs_f64(), wait.since.number, wait.timer));
    }
    notes
}

/// A column for each role that was found.
pub fn style(registration: &Registration<'_>, colour: bool) -> Style {
    let roles = registration.roles();
    let columns = ORDER.into_iter().filter(|role| roles.contains(role)).collect();
    let times = registration.messages().any(|message| message.at().is_some());
    Style { columns, colour, times, ..Style::default() }
}

/// How ESP was opened, in words.
pub const fn opened(by: OpenedBy) -> &'static str {
    match by {
        OpenedBy::Trial => "not encrypted",
        OpenedBy::KeyFile => "opened with the key file",
        OpenedBy::Revealed => "opened with keys in the trace",
        OpenedBy::Computed => "opened with keys from K",
    }
}

/// `1 message`, `2 messages`.
pub fn counted(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

const ORDER: [Role; 6] = [Role::Ue, Role::Pcscf, Role::Icscf, Role::Scscf, Role::ApplicationServer, Role::Hss];
