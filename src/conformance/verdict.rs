//! What a run comes to.

use super::{Accused, Case, Recording};
use crate::time::Duration;
use crate::validate::Severity;

/// What is said of one case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything that was expected followed, and no rule fails.
    Passed,
    /// Something did not; at least one.
    Failed(Vec<Failure>),
    /// The recording does not show it.
    NotObservable(String),
    /// The setting does not offer what the case needs.
    NotApplicable(String),
    /// It was not run, or says nothing: the control registration failed.
    NotJudged(String),
}

/// One way in which a case fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The rule of the catalogue that fails; `None`: an expectation of the case is not met.
    pub rule: Option<&'static str>,
    /// How bad it is.
    pub severity: Severity,
    /// Where it is written.
    pub clause: Box<str>,
    /// What was expected, as people read it.
    pub expected: String,
    /// What is there instead.
    pub found: String,
    /// The messages that show it, by the numbers of `show`.
    pub messages: Vec<u64>,
}

/// A case that was played, or left out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The id of the case.
    pub id: Box<str>,
    /// Its group.
    pub group: Box<str>,
    /// Its sentence.
    pub about: Box<str>,
    /// Who was looked at.
    pub accused: Accused,
    /// The rules that it is about.
    pub rules: Vec<Box<str>>,
    /// Its clause.
    pub clause: Box<str>,
    /// Its severity.
    pub severity: Severity,
    /// What is said of it.
    pub verdict: Verdict,
    /// What was recorded; `None` where it was not played.
    pub recording: Option<Recording>,
    /// How long it took, of the clock of the rig.
    pub took: Duration,
}

impl Verdict {
    /// As in reports.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::NotObservable(_) => "not-observable",
            Self::NotApplicable(_) => "not-applicable",
            Self::NotJudged(_) => "not-judged",
        }
    }

    /// Whether something of severity E fails: then a run ends with status 1.
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Failed(failures) if failures.iter().any(|failure| failure.severity == Severity::Error))
    }

    /// Why there is no judgement.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::NotObservable(why) | Self::NotApplicable(why) | Self::NotJudged(why) => Some(why),
            Self::Passed | Self::Failed(_) => None,
        }
    }

    /// The ways in which it fails.
    pub fn failures(&self) -> &[Failure] {
        match self {
            Self::Failed(failures) => failures,
            _ => &[],
        }
    }
}

impl Outcome {
    /// Of a case and what was said of it.
    pub fn new(case: &Case, verdict: Verdict, recording: Option<Recording>, took: Duration) -> Self {
        let Case { id, group, about, accused, rules, clause, severity, .. } = case.clone();
        Self { id, group, about, accused, rules, clause, severity, verdict, recording, took }
    }
}
