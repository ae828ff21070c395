//! The suites of conformance prove themselves: our own elements pass every case, and for every case an element made faulty on
//! purpose is caught by it, and by the rules that fit.
#![cfg(feature = "live")]

mod pcscf;
mod ue;

use imsreg::conformance::Verdict;

fn described(verdict: &Verdict) -> String {
    let failures = verdict.failures().iter().map(|failure| {
        let rule = failure.rule.unwrap_or("expectation");
        format!("\n    {rule} {:?}: expected {}; found {}", failure.messages, failure.expected, failure.found)
    });
    format!("{} {}{}", verdict.as_str(), verdict.why().unwrap_or_default(), failures.collect::<String>())
}
