//! For people at a terminal, or who read a log.

use super::drawn::Drawn;
use super::{Counts, Run, severity};
use crate::conformance::{Case, Failure, Outcome};
use std::fmt::Write;

/// The line of a case that is over, the `number`th of `all`.
pub fn progress(number: usize, all: usize, outcome: &Outcome) -> String {
    let Outcome { id, about, verdict, took, .. } = outcome;
    let width = all.to_string().len();
    let took = match took.as_secs_f64() {
        0.0 => String::new(),
        took => format!("  {took:.1} s"),
    };
    let said = match (verdict.why(), verdict.failures().first()) {
        (Some(why), _) => why.to_owned(),
        (None, Some(Failure { expected, found, .. })) => format!("expected {expected}, found {found}"),
        (None, None) => about.to_string(),
    };
    format!("{number:>width$}/{all}  {:<14}  {id}{took}: {said}", verdict.as_str())
}

/// The cases that there are, each with what it needs.
pub fn list<'c>(cases: impl IntoIterator<Item = &'c Case>) -> String {
    let mut out = String::new();
    for Case { id, group, about, rules, clause, severity, needs, waits, .. } in cases {
        let _ = writeln!(out, "{id}  {}  {group}  {about}", severity.letter());
        let mut more = vec![clause.to_string()];
        if !rules.is_empty() {
            more.push(format!("rules {}", rules.join(", ")));
        }
        if !needs.is_empty() {
            more.push(format!("needs {}", needs.iter().map(|need| need.as_str()).collect::<Vec<_>>().join(", ")));
        }
        more.extend(waits.map(|waits| format!("waits {} s", waits.as_secs())));
        let _ = writeln!(out, "    {}", more.join("; "));
    }
    out
}

/// What a run came to: failures first, then by group, by rule, and all together.
pub fn end(run: &Run) -> String {
    let mut out = String::new();
    for outcome in run.failed() {
        out.push_str(&failure(outcome));
        out.push('\n');
    }
    heading(&mut out, "group");
    run.by_group().iter().for_each(|(group, counts)| row(&mut out, group, counts));
    out.push('\n');
    heading(&mut out, "rule");
    run.by_rule().iter().for_each(|(rule, counts)| row(&mut out, rule.id, counts));
    out.push('\n');
    heading(&mut out, "");
    row(&mut out, "all", &run.counts());
    if run.setting.fast {
        out.push_str("\n--fast: cases that wait for a timer of the peer were left out\n");
    }
    if run.at_end.failure().is_some() {
        out.push_str(
            "\nno sound registration is served any more: what cases near the end came to says nothing of the accused\n",
        );
    }
    if let Some(why) = run.failure() {
        let _ = writeln!(out, "\n{}: {why}", run.target);
    }
    out
}

/// All that is known of a case that fails.
pub fn failure(outcome: &Outcome) -> String {
    let Outcome { id, about, verdict, .. } = outcome;
    let mut out = format!("failed {} {id}\n  what was done: {about}\n", severity(outcome).letter());
    let drawn = Drawn::of(outcome);
    for Failure { rule, clause, expected, found, messages, severity } in verdict.failures() {
        let rule = rule.map(|rule| format!("{rule}, ")).unwrap_or_default();
        let _ =
            writeln!(out, "  {} {rule}{clause}\n    expected:  {expected}\n    found:     {found}", severity.letter());
        for shown in drawn.iter().flat_map(|drawn| drawn.around(messages)) {
            let side = format!("{}:", shown.side());
            let _ = writeln!(out, "    {side:<10} message {}, {}: {}", shown.number, shown.way, shown.summary);
        }
    }
    out.extend(drawn.map(|drawn| indented(&drawn.text())));
    out
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

fn heading(out: &mut String, what: &str) {
    let _ = write!(out, "{what:<WIDTH$}");
    for (name, _) in Counts::default().named() {
        let _ = write!(out, "  {name:>14}");
    }
    out.push('\n');
}

fn row(out: &mut String, what: &str, counts: &Counts) {
    let _ = write!(out, "{what:<WIDTH$}");
    for (_, count) in counts.named() {
        let _ = write!(out, "  {count:>14}");
    }
    out.push('\n');
}

/// Of the first column.
const WIDTH: usize = 20;
