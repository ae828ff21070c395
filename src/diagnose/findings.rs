//! What causes find while they look at one registration.

use super::{Case, Cause, Certainty, Found};
use crate::trace::story::{Attempt, Message};

/// Why a registration failed, and what else is wrong with it; both empty where nothing is.
#[derive(Clone, Debug, Default)]
pub struct Diagnosis {
    /// First the one that explains the end.
    pub causes: Vec<Found>,
    /// What did not stop it, or what a later attempt repaired.
    pub remarks: Vec<Found>,
}

/// Collects what is found in one registration.
#[derive(Debug)]
pub struct Findings<'c> {
    registration: Option<u64>,
    failed: Option<Attempt<'c>>,
    /// That is looked for.
    current: Option<&'static Cause>,
    diagnosis: Diagnosis,
}

impl<'c> Findings<'c> {
    pub(super) fn new(case: &Case<'c>) -> Self {
        Self {
            registration: case.registration.id(),
            failed: case.failure().map(|failure| failure.attempt),
            current: None,
            diagnosis: Diagnosis::default(),
        }
    }

    pub(super) fn look_for(&mut self, cause: &'static Cause, case: &Case<'c>) {
        self.current = Some(cause);
        (cause.find)(case, self);
    }

    /// It explains why the last attempt failed: by these messages, this should be there, and that is.
    pub fn cause<'m>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'m>>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> &mut Found {
        let found = self.found(messages, expected.into(), found.into());
        pushed(&mut self.diagnosis.causes, found)
    }

    /// It is wrong, and did not stop the registration.
    pub fn remark<'m>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'m>>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> &mut Found {
        let found = self.found(messages, expected.into(), found.into());
        pushed(&mut self.diagnosis.remarks, found)
    }

    /// It was wrong in `attempt`: a cause where that is the failure to be explained, else a remark.
    pub fn of<'m>(
        &mut self,
        attempt: Attempt<'_>,
        messages: impl IntoIterator<Item = Message<'m>>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> &mut Found {
        if self.failed.is_some_and(|failed| failed == attempt) {
            self.cause(messages, expected, found)
        } else {
            self.remark(messages, expected, found)
        }
    }

    /// True where a cause has been found that says more than the present one could.
    pub fn is_explained(&self) -> bool {
        !self.diagnosis.causes.is_empty()
    }

    /// True where a cause or a remark of this name has been found.
    pub fn has(&self, name: &str) -> bool {
        let Diagnosis { causes, remarks } = &self.diagnosis;
        causes.iter().chain(remarks).any(|found| found.cause.name == name)
    }

    pub(super) fn sorted(self) -> Diagnosis {
        let Diagnosis { mut causes, mut remarks } = self.diagnosis;
        sort(&mut causes);
        sort(&mut remarks);
        Diagnosis { causes, remarks }
    }

    fn found<'m>(&self, messages: impl IntoIterator<Item = Message<'m>>, expected: String, found: String) -> Found {
        let cause = self.current.expect("only a cause that is looked for finds something");
        let mut messages: Vec<u64> = messages.into_iter().map(|message| message.number).collect();
        messages.sort_unstable();
        messages.dedup();
        Found {
            cause,
            registration: self.registration,
            messages,
            expected,
            found,
            action: cause.action.to_owned(),
            certainty: Certainty::Certain,
            ruled_out: Vec::new(),
        }
    }
}

fn pushed(list: &mut Vec<Found>, found: Found) -> &mut Found {
    list.push(found);
    list.last_mut().expect("it was pushed")
}

/// Likelier ones first, of equal ones the catalogue decides; names that say more go before others. What comes behind every
/// other name comes behind those that are likely at least.
fn sort(list: &mut Vec<Found>) {
    merge(list);
    let is_last = |found: &Found| found.cause.behind.contains(&EVERY_OTHER);
    list.sort_by_key(|found| (found.certainty == Certainty::Possible, is_last(found), found.certainty));
    let mut sorted: Vec<Found> = Vec::with_capacity(list.len());
    while !list.is_empty() {
        let waits = |found: &Found| {
            list.iter()
                .any(|other| found.cause.behind.contains(&other.cause.name) && other.cause.name != found.cause.name)
        };
        // Two that wait for each other are a mistake of the catalogue: then the first goes.
        let next = list.iter().position(|found| !waits(found)).unwrap_or_default();
        sorted.push(list.remove(next));
    }
    *list = sorted;
}

/// What is wrong in the same way again and again is said once.
fn merge(list: &mut Vec<Found>) {
    let mut kept: Vec<Found> = Vec::with_capacity(list.len());
    for found in list.drain(..) {
        let is_same = |other: &&mut Found| {
            other.cause.name == found.cause.name
                && (&other.expected, &other.found, other.certainty) == (&found.expected, &found.found, found.certainty)
        };
        match kept.iter_mut().find(is_same) {
            Some(other) => {
                other.messages.extend(found.messages);
                other.messages.sort_unstable();
                other.messages.dedup();
            }
            None => kept.push(found),
        }
    }
    *list = kept;
}

/// In [`Cause::behind`]: every other name goes first.
pub(super) const EVERY_OTHER: &str = "every other";
