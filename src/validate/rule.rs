//! One rule.

use super::{Context, Judgement};
use crate::trace::story::Registration;
use std::fmt;

/// A rule of the catalogue.
#[derive(Clone, Copy)]
pub struct Rule {
    /// For example `SA-42`; it never changes.
    pub id: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// Who breaks it.
    pub side: Side,
    /// Where it is written.
    pub clause: &'static str,
    /// The rule in a sentence or two.
    pub text: &'static str,
    /// What happens in the field where it is broken.
    pub why: &'static str,
    /// A line or two that keep it.
    pub right: &'static str,
    /// The like that break it.
    pub wrong: &'static str,
    /// Judges one registration.
    pub judge: fn(&Registration<'_>, &Context<'_>, &mut Judgement),
}

/// How bad it is to break a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// It may fail with others.
    Warning,
    /// It is wrong.
    Error,
}

/// Whose a rule is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Side {
    /// The user equipment.
    Ue,
    /// The P-CSCF.
    Pcscf,
    /// The I-CSCF.
    Icscf,
    /// The S-CSCF.
    Scscf,
    /// The HSS.
    Hss,
}

/// What a rule says of a registration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Everything that the rule is about is there, and right.
    Pass,
    /// Something is wrong.
    Fail,
    /// The trace does not show what the rule is about.
    NotObservable,
    /// Nothing that the rule is about happened.
    NotApplicable,
}

impl Rule {
    /// The rule for people who want to know more.
    pub fn explain(&self) -> String {
        let Self { id, clause, text, why, right, wrong, .. } = self;
        let (severity, side) = (self.severity, self.side);
        format!(
            "{id}  {severity}, side {side}\n{clause}\n\n{text}\n\nWhy it matters\n  {}\n\nRight\n{}\n\nWrong\n{}\n",
            why.replace('\n', "\n  "),
            indent(right),
            indent(wrong)
        )
    }
}

fn indent(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl Severity {
    /// As in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// As in the catalogue: E, W, I.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::Info => "I",
            Self::Warning => "W",
            Self::Error => "E",
        }
    }
}

impl Side {
    /// As in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ue => "UE",
            Self::Pcscf => "P-CSCF",
            Self::Icscf => "I-CSCF",
            Self::Scscf => "S-CSCF",
            Self::Hss => "HSS",
        }
    }
}

impl Verdict {
    /// As in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotObservable => "not-observable",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
