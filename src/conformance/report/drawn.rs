//! What was recorded of a case, as ladders and messages.

use crate::conformance::{Accused, Outcome};
use crate::event::Role;
use crate::ladder::draw::{self, Style};
use crate::ladder::{Row, full, summary, svg};
use crate::trace::drawn;
use crate::trace::story::{Group, Message, Registration};

/// A recording that was read: numbers are those of `show`.
pub(super) struct Drawn {
    groups: Vec<Group>,
    accused: Accused,
}

/// A message as reports show it.
pub(super) struct Shown {
    /// As `show` numbers it.
    pub(super) number: u64,
    /// Whether the accused has sent it.
    pub(super) is_theirs: bool,
    /// `UE to P-CSCF`.
    pub(super) way: String,
    /// What it says, in short.
    pub(super) summary: String,
    /// All of it, without keys.
    pub(super) lines: Vec<String>,
}

impl Drawn {
    /// `None`: the case was not played.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        let recording = outcome.recording.as_ref()?;
        Some(Self { groups: recording.groups(), accused: outcome.accused })
    }

    /// A ladder for each registration.
    pub(super) fn ladders(&self) -> Vec<(String, Vec<Row>, Style)> {
        let ladder = |group| {
            let registration = Registration::of(group);
            let messages: Vec<Message<'_>> = registration.messages().collect();
            let (rows, _) = drawn::rows(&messages, false, false);
            let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
            (!rows.is_empty()).then(|| (drawn::title(&registration), rows, drawn::style(&registration, false)))
        };
        self.groups.iter().filter_map(ladder).collect()
    }

    /// The ladders as text, at most 120 columns wide.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for (title, rows, style) in self.ladders() {
            out.push_str(&title);
            out.push('\n');
            out.push_str(&draw::head(&style));
            rows.iter().for_each(|row| out.push_str(&draw::row(row, &style)));
        }
        out
    }

    /// The ladders as one picture; `None`: there is nothing to draw.
    pub(super) fn picture(&self) -> Option<String> {
        let ladders = self.ladders();
        (!ladders.is_empty()).then(|| svg::picture(&ladders))
    }

    /// Every message, in their order.
    pub(super) fn all(&self) -> Vec<Shown> {
        self.chosen(|_| true)
    }

    /// What a failure is about: the messages of these numbers, and what the other side has sent last before the first.
    pub(super) fn around(&self, numbers: &[u64]) -> Vec<Shown> {
        let Some(first) = numbers.iter().min() else { return Vec::new() };
        let registrations: Vec<Registration<'_>> = self.groups.iter().map(Registration::of).collect();
        let all = || registrations.iter().flat_map(|registration| registration.messages());
        let at = all().find(|message| message.number == *first).map(|message| self.is_theirs(&message));
        let before = all().filter(|message| message.number < *first && Some(!self.is_theirs(message)) == at);
        let caused = before.map(|message| message.number).max();
        self.chosen(|number| numbers.contains(&number) || caused == Some(number))
    }

    fn is_theirs(&self, message: &Message<'_>) -> bool {
        (message.from() == Some(Role::Ue)) == (self.accused == Accused::Ue)
    }

    fn chosen(&self, wanted: impl Fn(u64) -> bool) -> Vec<Shown> {
        let registrations: Vec<Registration<'_>> = self.groups.iter().map(Registration::of).collect();
        let all = registrations.iter().flat_map(|registration| registration.messages());
        let mut shown: Vec<Shown> = all.filter(|message| wanted(message.number)).map(|m| self.show(m)).collect();
        shown.sort_by_key(|shown| shown.number);
        shown
    }

    fn show(&self, message: Message<'_>) -> Shown {
        let end = |role: Option<Role>| role.map_or("?", Role::as_str);
        Shown {
            number: message.number,
            is_theirs: self.is_theirs(&message),
            way: format!("{} to {}", end(message.from()), end(message.to())),
            summary: summary(message.protocol, &message.bytes, false).to_string(),
            lines: full::lines(message.protocol, &message.bytes, false),
        }
    }
}

impl Shown {
    /// `sent` by us, or what `came back`.
    pub(super) const fn side(&self) -> &'static str {
        if self.is_theirs { "came back" } else { "sent" }
    }
}
