//! JUnit XML, as build servers read it: a suite for each registration, a case for each rule.

use super::{Finding, Severity, Verdict};
use crate::ladder::svg::escaped;
use std::fmt::Write;

/// A suite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suite {
    /// Its name.
    pub name: String,
    /// In their order.
    pub cases: Vec<Case>,
}

/// A case of a suite.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// What it belongs to.
    pub class: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// All is right.
    Passed,
    /// All is right as far as the build goes, and this is to be said.
    Remarked(String),
    /// It was not judged.
    Skipped(String),
    /// It failed.
    Failed {
        /// In a line.
        message: String,
        /// At length.
        text: String,
    },
}

/// The findings on a trace. `failing`: the least severity of a rule whose failure counts as one.
pub fn junit(trace: &str, findings: &[Finding], failing: Severity) -> String {
    let mut suites = Vec::new();
    let mut rest = findings;
    while let Some(first) = rest.first() {
        let (suite, after) = rest.split_at(rest.iter().take_while(|f| f.registration == first.registration).count());
        let name = first.registration.map_or_else(|| trace.to_owned(), |id| format!("{trace}: registration {id}"));
        suites.push(Suite { name, cases: suite.iter().map(|finding| case(finding, failing)).collect() });
        rest = after;
    }
    write(&suites)
}

/// The report of some suites.
pub fn write(suites: &[Suite]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    suites.iter().for_each(|suite| write_suite(&mut out, suite));
    out.push_str("</testsuites>\n");
    out
}

fn write_suite(out: &mut String, Suite { name, cases }: &Suite) {
    let count = |wanted: fn(&Outcome) -> bool| cases.iter().filter(|case| wanted(&case.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let (name, tests) = (escaped(name), cases.len());
    let _ =
        writeln!(out, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\">");
    cases.iter().for_each(|case| write_case(out, case));
    out.push_str("  </testsuite>\n");
}

fn write_case(out: &mut String, Case { class, name, outcome }: &Case) {
    let _ = write!(out, "    <testcase classname=\"{}\" name=\"{}\"", escaped(class), escaped(name));
    let _ = match outcome {
        Outcome::Passed => writeln!(out, "/>"),
        Outcome::Remarked(text) => writeln!(out, "><system-out>{}</system-out></testcase>", escaped(text)),
        Outcome::Skipped(why) => writeln!(out, "><skipped message=\"{}\"/></testcase>", escaped(why)),
        Outcome::Failed { message, text } => {
            let (message, text) = (escaped(message), escaped(text));
            writeln!(out, "><failure message=\"{message}\">{text}</failure></testcase>")
        }
    };
}

fn case(finding: &Finding, failing: Severity) -> Case {
    let Finding { rule, verdict, messages, expected, found, .. } = finding;
    let numbers: Vec<String> = messages.iter().map(u64::to_string).collect();
    let said = || format!("messages {}: expected {expected}, found {found} ({})", numbers.join(", "), rule.clause);
    let outcome = match verdict {
        Verdict::Pass => Outcome::Passed,
        Verdict::Fail if rule.severity >= failing => Outcome::Failed { message: rule.text.to_owned(), text: said() },
        Verdict::Fail => Outcome::Remarked(said()),
        Verdict::NotObservable | Verdict::NotApplicable => Outcome::Skipped(format!("{verdict}: {expected}")),
    };
    Case { class: rule.side.to_string(), name: rule.id.to_owned(), outcome }
}
