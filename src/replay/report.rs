//! What a replay has found.

use super::comparison::Comparison;
use crate::time::Instant;

/// One thing that happened, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at: Instant,
    /// The number of the recorded message, as `show` prints it; `None`: none was recorded.
    pub message: Option<u64>,
    /// Which message, as `401 to REGISTER`.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was sent.
    Sent,
    /// It came, and was compared.
    Came(Comparison),
    /// It did not come: why it is not waited for any more.
    Absent(String),
    /// It came and was not recorded.
    Added,
    /// It was not sent: why.
    NotSent(String),
    /// It was not played, because of what was told before.
    Skipped,
    /// Something to know.
    Note(String),
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// In order.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// True for a difference that matters.
    pub fn matters(&self) -> bool {
        match &self.outcome {
            Outcome::Came(comparison) => !comparison.is_same(),
            Outcome::Absent(_) | Outcome::Added | Outcome::NotSent(_) => true,
            Outcome::Sent | Outcome::Skipped | Outcome::Note(_) => false,
        }
    }
}

impl Report {
    /// How many messages differ in what matters.
    pub fn faults(&self) -> usize {
        self.entries.iter().filter(|entry| entry.matters()).count()
    }

    /// How many messages were compared.
    pub fn compared(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.outcome, Outcome::Came(_))).count()
    }

    /// True where nothing differs in what matters, and something was compared.
    pub fn is_same(&self) -> bool {
        self.faults() == 0 && self.compared() > 0
    }

    pub(super) fn note(&mut self, at: Instant, message: Option<u64>, name: &str, outcome: Outcome) {
        self.entries.push(Entry { at, message, name: name.to_owned(), outcome });
    }
}
