//! What a rule finds while it looks at one message after the other.

use super::{Rule, Verdict};
use crate::trace::story::Message;

/// Collects what a rule finds in one registration.
///
/// Nothing noted means that nothing happened which the rule is about: not applicable.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    right: Vec<u64>,
    wrong: Vec<Violation>,
    unseen: Option<&'static str>,
    blind: Option<&'static str>,
}

/// One way in which a rule fails.
#[derive(Clone, Debug)]
struct Violation {
    messages: Vec<u64>,
    expected: String,
    found: String,
}

/// What a rule says of one registration.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The registration, from 1.
    pub registration: Option<u64>,
    /// What it says.
    pub verdict: Verdict,
    /// The messages that show it, by the numbers of `show`.
    pub messages: Vec<u64>,
    /// What the rule wants, where it fails; why it cannot be judged, where it cannot.
    pub expected: String,
    /// What is there instead.
    pub found: String,
}

impl Judgement {
    /// A case that keeps the rule.
    pub fn right(&mut self, message: Message<'_>) {
        self.right.push(message.number);
    }

    /// A case that breaks it: what was expected, and what is there, as people read them.
    pub fn wrong<'m>(
        &mut self,
        messages: impl IntoIterator<Item = Message<'m>>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) {
        let mut messages: Vec<u64> = messages.into_iter().map(|message| message.number).collect();
        messages.dedup();
        self.wrong.push(Violation { messages, expected: expected.into(), found: found.into() });
    }

    /// A case by a condition: `expected` and `found` are asked only where it does not hold.
    pub fn check(
        &mut self,
        message: Message<'_>,
        holds: bool,
        expected: impl FnOnce() -> String,
        found: impl FnOnce() -> String,
    ) {
        if holds {
            self.right(message);
        } else {
            self.wrong([message], expected(), found());
        }
    }

    /// A case that the trace does not show, and why. Others that it shows count.
    pub const fn unseen(&mut self, why: &'static str) {
        self.unseen = Some(why);
    }

    /// The rule is about everything there was, and the trace does not show everything: it can fail, but not pass.
    pub const fn blind(&mut self, why: &'static str) {
        self.blind = Some(why);
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        match (self.wrong.is_empty(), self.blind, self.right.is_empty(), self.unseen) {
            (false, ..) => Verdict::Fail,
            (true, Some(_), ..) | (true, None, true, Some(_)) => Verdict::NotObservable,
            (true, None, false, _) => Verdict::Pass,
            (true, None, true, None) => Verdict::NotApplicable,
        }
    }

    pub(super) fn findings(self, rule: &'static Rule, registration: Option<u64>) -> Vec<Finding> {
        let verdict = self.verdict();
        let finding = |messages, expected, found| Finding { rule, registration, verdict, messages, expected, found };
        if verdict == Verdict::Fail {
            return self.wrong.into_iter().map(|v| finding(v.messages, v.expected, v.found)).collect();
        }
        let why = if verdict == Verdict::NotObservable { self.blind.or(self.unseen) } else { None };
        vec![finding(self.right, why.unwrap_or_default().to_owned(), String::new())]
    }
}
