//! For build servers: JUnit XML, a suite for each group.

use super::table;
use super::{Run, severity};
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
    if let Some(why) = &run.control {
        let message = "the control registration did not succeed".to_owned();
        let outcome = junit::Outcome::Failed { message, text: why.clone() };
        let case = Case { class: "control".to_owned(), name: "control".to_owned(), outcome };
        suites
            .insert(0, Suite { name: format!("{} {}: control", run.accused.as_str(), run.target), cases: vec![case] });
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
