//! Findings as JUnit XML, as build servers read it: a suite for each registration, a case for each rule.

use super::{Finding, Severity, Verdict};
use quick_xml::escape::escape;
use std::fmt::Write;

/// The report. `failing`: the least severity of a rule whose failure counts as one.
pub fn junit(trace: &str, findings: &[Finding], failing: Severity) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let mut rest = findings;
    while let Some(first) = rest.first() {
        let (suite, after) = rest.split_at(rest.iter().take_while(|f| f.registration == first.registration).count());
        write_suite(&mut out, trace, suite, failing);
        rest = after;
    }
    out.push_str("</testsuites>\n");
    out
}

fn write_suite(out: &mut String, trace: &str, findings: &[Finding], failing: Severity) {
    let is_failure = |finding: &Finding| finding.verdict == Verdict::Fail && finding.rule.severity >= failing;
    let is_skipped = |finding: &Finding| matches!(finding.verdict, Verdict::NotObservable | Verdict::NotApplicable);
    let failures = findings.iter().filter(|finding| is_failure(finding)).count();
    let skipped = findings.iter().filter(|finding| is_skipped(finding)).count();
    let name = findings[0].registration.map_or_else(|| trace.to_owned(), |id| format!("{trace}: registration {id}"));
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\">",
        escape(&name),
        findings.len()
    );
    for finding in findings {
        write_case(out, finding, is_failure(finding), is_skipped(finding));
    }
    out.push_str("  </testsuite>\n");
}

fn write_case(out: &mut String, finding: &Finding, is_failure: bool, is_skipped: bool) {
    let Finding { rule, messages, expected, found, .. } = finding;
    let _ = write!(out, "    <testcase classname=\"{}\" name=\"{}\"", rule.side, rule.id);
    let numbers: Vec<String> = messages.iter().map(u64::to_string).collect();
    let said = format!("messages {}: expected {expected}, found {found} ({})", numbers.join(", "), rule.clause);
    if is_failure {
        let _ = writeln!(out, "><failure message=\"{}\">{}</failure></testcase>", escape(rule.text), escape(&said));
    } else if is_skipped {
        let _ =
            writeln!(out, "><skipped message=\"{}\"/></testcase>", escape(format!("{}: {expected}", finding.verdict)));
    } else if finding.verdict == Verdict::Fail {
        let _ = writeln!(out, "><system-out>{}</system-out></testcase>", escape(&said));
    } else {
        out.push_str("/>\n");
    }
}
