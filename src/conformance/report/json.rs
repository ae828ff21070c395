//! For scripts: one object a line while a run lasts, and a report at its end.

use super::drawn::Drawn;
use super::{AtEnd, Counts, Run};
use crate::conformance::{Case, Failure, Outcome, Setting};
use crate::time::Duration;
use serde_json::{Map, Value, json};

/// A case that is over; `at`: since the run began.
pub fn case(at: Duration, outcome: &Outcome) -> Value {
    let Outcome { id, group, about, accused, rules, clause, severity, verdict, recording: _, took } = outcome;
    let failures = verdict.failures();
    let drawn = if failures.is_empty() { None } else { Drawn::of(outcome) };
    let failures: Vec<Value> = failures.iter().map(|failure| failed(failure, drawn.as_ref())).collect();
    json!({
        "event": "case",
        "at": at.as_secs_f64(),
        "id": id,
        "group": group,
        "about": about,
        "accused": accused.as_str(),
        "rules": rules,
        "clause": clause,
        "severity": severity.letter(),
        "verdict": verdict.as_str(),
        "why": verdict.why(),
        "failures": failures,
        "ladder": drawn.map(|drawn| drawn.text()),
        "took": took.as_secs_f64(),
    })
}

/// The last line.
pub fn report(at: Duration, run: &Run) -> Value {
    let failure = run.failure();
    let groups = run.by_group();
    let groups = groups.iter().map(|(group, counts)| with("group", group, counts));
    let rules = run.by_rule();
    let rules = rules.iter().map(|(rule, counts)| with("rule", rule.id, counts));
    json!({
        "event": "report",
        "at": at.as_secs_f64(),
        "ok": failure.is_none(),
        "failure": failure,
        "accused": run.accused.as_str(),
        "target": run.target,
        "setting": setting(&run.setting),
        "control": run.control.is_none(),
        "control_at_end": match &run.at_end {
            AtEnd::NotPlayed => None,
            other => Some(other.failure().is_none()),
        },
        "summary": summary(&run.counts()),
        "groups": groups.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "failed": run.failed().map(|outcome| &*outcome.id).collect::<Vec<_>>(),
    })
}

/// A case that could be played.
pub fn listed(case: &Case) -> Value {
    let Case { id, group, about, accused, rules, clause, severity, needs, waits, .. } = case;
    json!({
        "event": "listed",
        "id": id,
        "group": group,
        "about": about,
        "accused": accused.as_str(),
        "rules": rules,
        "clause": clause,
        "severity": severity.letter(),
        "needs": needs.iter().map(|need| need.as_str()).collect::<Vec<_>>(),
        "waits": waits.map(|waits| waits.as_secs()),
    })
}

fn failed(failure: &Failure, drawn: Option<&Drawn>) -> Value {
    let Failure { rule, severity, clause, expected, found, messages } = failure;
    let shown = drawn.map(|drawn| drawn.around(messages)).unwrap_or_default();
    let shown = shown
        .into_iter()
        .map(|shown| json!({"number": shown.number, "side": shown.side(), "way": shown.way, "summary": shown.summary, "lines": shown.lines}));
    json!({
        "rule": rule,
        "severity": severity.letter(),
        "clause": clause,
        "expected": expected,
        "found": found,
        "messages": messages,
        "shown": shown.collect::<Vec<_>>(),
    })
}

fn setting(setting: &Setting) -> Value {
    let Setting { esp, udp, tcp, ues, second_identity, operator, sec_agree, agreement, fast } = *setting;
    json!({
        "esp": esp, "udp": udp, "tcp": tcp, "ues": ues, "second_identity": second_identity, "operator": operator,
        "sec_agree": sec_agree, "agreement": agreement, "fast": fast,
    })
}

fn with(key: &str, name: &str, counts: &Counts) -> Value {
    let mut object = summary(counts);
    object.insert(key.to_owned(), name.into());
    object.into()
}

fn summary(counts: &Counts) -> Map<String, Value> {
    counts.named().into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}
