//! What a run tells: a line for each case while it lasts, at the end a table, and files for scripts, build servers and
//! people.
//!
//! A [`Run`] is all that is said; [`table`], `json`, [`junit`] and [`html`] write it. Keys of subscribers, and CK and IK
//! that somebody lets out, are in none of them.

pub mod html;
#[cfg(feature = "live")]
pub mod json;
pub mod junit;
pub mod table;

mod drawn;

use super::{Accused, Outcome, Setting, Verdict};
use crate::validate::{self, Severity};
use std::collections::BTreeMap;

/// A run that is over.
#[derive(Clone, Debug)]
pub struct Run {
    /// Who was looked at.
    pub accused: Accused,
    /// Where it is, in words: an address, or `self`.
    pub target: String,
    /// What the run offered.
    pub setting: Setting,
    /// Why the control registration did not succeed; `None`: it did.
    pub control: Option<String>,
    /// What became of another one behind the last case.
    pub at_end: AtEnd,
    /// Every case, in the order of the run.
    pub outcomes: Vec<Outcome>,
}

/// A control registration behind the last case: whether the accused served until then. Where it did not, cases near the end say
/// nothing of it, whatever their verdict.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub enum AtEnd {
    /// There was none.
    #[default]
    NotPlayed,
    /// It succeeded.
    Succeeded,
    /// It did not, and why.
    Failed(String),
}

impl AtEnd {
    /// That in a sentence, where it did not succeed.
    pub fn failure(&self) -> Option<String> {
        match self {
            Self::NotPlayed | Self::Succeeded => None,
            Self::Failed(why) => Some(format!("the control registration behind the last case did not succeed: {why}")),
        }
    }
}

/// How many cases there are of each verdict.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Everything that was expected followed.
    pub passed: usize,
    /// Something did not.
    pub failed: usize,
    /// The recording does not show it.
    pub not_observable: usize,
    /// The setting does not offer what is needed.
    pub not_applicable: usize,
    /// Left out, or without a control registration.
    pub not_judged: usize,
}

impl Run {
    /// All of it.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        self.outcomes.iter().for_each(|outcome| counts.add(&outcome.verdict));
        counts
    }

    /// By the groups of cases, in the order of the run.
    pub fn by_group(&self) -> Vec<(&str, Counts)> {
        let mut groups: Vec<(&str, Counts)> = Vec::new();
        for outcome in &self.outcomes {
            let at = groups.iter().position(|(group, _)| *group == &*outcome.group).unwrap_or_else(|| {
                groups.push((&outcome.group, Counts::default()));
                groups.len() - 1
            });
            groups[at].1.add(&outcome.verdict);
        }
        groups
    }

    /// By the rules that cases name, in the order of the catalogue. A case that fails by a rule that it does not name counts
    /// there, too; one that fails otherwise counts with all that it names.
    pub fn by_rule(&self) -> Vec<(&'static validate::Rule, Counts)> {
        let mut rules: BTreeMap<&'static str, Counts> = BTreeMap::new();
        for outcome in &self.outcomes {
            let named = outcome.rules.iter().filter_map(|id| validate::rule(id)).map(|rule| rule.id);
            let failed = outcome.verdict.failures().iter().filter_map(|failure| failure.rule);
            let mut of_case: Vec<&'static str> = named.chain(failed).collect();
            of_case.sort_unstable();
            of_case.dedup();
            for id in of_case {
                rules.entry(id).or_default().add(&outcome.verdict);
            }
        }
        validate::rules().filter_map(|rule| Some((rule, *rules.get(rule.id)?))).collect()
    }

    /// Cases that fail.
    pub fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
    }

    /// Whether the run ends with status 1, and why in a line.
    pub fn failure(&self) -> Option<String> {
        if let Some(why) = &self.control {
            return Some(format!("the control registration did not succeed: {why}"));
        }
        let failed = match self.outcomes.iter().filter(|outcome| outcome.verdict.is_error()).count() {
            0 => None,
            1 => Some("1 case fails with severity error".to_owned()),
            count => Some(format!("{count} cases fail with severity error")),
        };
        match (failed, self.at_end.failure()) {
            (Some(failed), Some(at_end)) => Some(format!("{failed}; {at_end}")),
            (failed, at_end) => failed.or(at_end),
        }
    }
}

impl Counts {
    /// One more.
    pub const fn add(&mut self, verdict: &Verdict) {
        let count = match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed(_) => &mut self.failed,
            Verdict::NotObservable(_) => &mut self.not_observable,
            Verdict::NotApplicable(_) => &mut self.not_applicable,
            Verdict::NotJudged(_) => &mut self.not_judged,
        };
        *count += 1;
    }

    /// How many there are.
    pub const fn all(&self) -> usize {
        self.passed + self.failed + self.not_observable + self.not_applicable + self.not_judged
    }

    /// With their names, in the order of reports.
    pub const fn named(&self) -> [(&'static str, usize); 5] {
        [
            ("passed", self.passed),
            ("failed", self.failed),
            ("not-observable", self.not_observable),
            ("not-applicable", self.not_applicable),
            ("not-judged", self.not_judged),
        ]
    }
}

/// The worst that fails in a case.
fn severity(outcome: &Outcome) -> Severity {
    outcome.verdict.failures().iter().map(|failure| failure.severity).max().unwrap_or(outcome.severity)
}

#[cfg(all(test, feature = "live"))]
mod tests;
