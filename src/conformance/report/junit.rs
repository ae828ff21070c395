//! For build servers: JUnit XML, a suite for each group.

use super::table;
use super::{AtEnd, Run, severity};
use crate::conformance::{Outcome, Verdict};
use crate::validate::Severity;
use crate::validate::junit::{self, Case, Suite};

/// The report of a run. What fails with a severity below error is said, and is no failure of the build.
pub fn junit(run: &Run) -> String {
    let mut suites: Vec<Suite> = run
        .by_group()
        .iter()
        .map(|(group, _)| Suite {
            name: format!("{} {}: {group}", run.accused.as_str(), run.target),
            cases: run.outcomes.iter().filter(|outcome| *outcome.group == **group).map(case).collect(),
        })
        .collect();
    let control = |name: &str, message: &str, why: &str| {
        let outcome = junit::Outcome::Failed { message: message.to_owned(), text: why.to_owned() };
        let case = Case { class: "control".to_owned(), name: name.to_owned(), outcome };
        Suite { name: format!("{} {}: {name}", run.accused.as_str(), run.target), cases: vec![case] }
    };
    if let Some(why) = &run.control {
        suites.insert(0, control("control", "the control registration did not succeed", why));
    }
    if let AtEnd::Failed(why) = &run.at_end {
        suites.push(control(
            "control at the end",
            "the control registration behind the last case did not succeed",
            why,
        ));
    }
    junit::write(&suites)
}

fn case(outcome: &Outcome) -> Case {
    let came_of_it = match &outcome.verdict {
        Verdict::Passed => junit::Outcome::Passed,
        Verdict::Failed(_) if severity(outcome) == Severity::Error => junit::Outcome::Failed {
            message: format!("{} ({})", outcome.about, outcome.clause),
            text: table::failure(outcome),
        },
        Verdict::Failed(_) => junit::Outcome::Remarked(table::failure(outcome)),
        Verdict::NotObservable(why) | Verdict::NotApplicable(why) | Verdict::NotJudged(why) => {
            junit::Outcome::Skipped(format!("{}: {why}", outcome.verdict.as_str()))
        }
    };
    Case { class: outcome.group.to_string(), name: outcome.id.to_string(), outcome: came_of_it }
}
