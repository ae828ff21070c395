//! `imsreg validate`: every rule over every registration of a trace. `imsreg explain`: one rule.

use super::args::{ExplainArgs, ValidateArgs};
use super::out::Out;
use super::{Failure, trace};
use crate::trace::story::Registration;
use crate::validate::{self, Context, Finding, Rule, Severity, Verdict};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;

pub(super) fn run(args: &ValidateArgs) -> Result<(), Failure> {
    for id in &args.only {
        if validate::rule(id).is_none() {
            return Err(Failure::Usage(format!("--only {id}: no such rule; imsreg explain lists them")));
        }
    }
    let subscribers = trace::subscribers(&args.trace)?;
    let keys_of = |impi: &str| trace::keys_of(&subscribers, impi);
    let context = Context { keys: Some(&keys_of), ..trace::policy(args.profile.as_deref())? };
    let mut source = trace::open(&args.trace)?;
    let mut report = Report {
        args,
        out: Out::new(),
        context,
        registrations: Vec::new(),
        findings: Vec::new(),
        totals: BTreeMap::new(),
        failed: 0,
    };
    let (_, fault) = trace::each_group(&mut source, |group| {
        let registration = Registration::of(group);
        if registration.id().is_some() {
            report.judge(&registration);
        }
        ControlFlow::Continue(())
    });
    let name = args.trace.trace.display().to_string();
    report.end(&name)?;
    if let Some(fault) = fault {
        return Err(Failure::Usage(format!("{name}: {fault}; what came before is judged")));
    }
    match report.failed {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("{name}: rules of severity error failed: {failed}"))),
    }
}

pub(super) fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let mut out = Out::new();
    let Some(id) = &args.rule else {
        for Rule { id, severity, side, text, .. } in validate::rules() {
            let first = text.split(". ").next().unwrap_or(text).trim_end_matches('.');
            out.line(&format!("{id}  {}  {side:<7} {first}", severity.letter()));
        }
        return Ok(());
    };
    let rule =
        validate::rule(id).ok_or_else(|| Failure::Usage(format!("{id}: no such rule; imsreg explain lists them")))?;
    out.text(&rule.explain());
    Ok(())
}

struct Report<'a> {
    args: &'a ValidateArgs,
    out: Out,
    context: Context<'a>,
    registrations: Vec<Value>,
    findings: Vec<Finding>,
    totals: BTreeMap<Verdict, u64>,
    /// Findings of severity error.
    failed: u64,
}

impl Report<'_> {
    fn judge(&mut self, registration: &Registration<'_>) {
        let least = self.args.severity.map_or(Severity::Info, Into::into);
        let is_wanted = |rule: &Rule| {
            rule.severity >= least
                && (self.args.only.is_empty() || self.args.only.iter().any(|id| id.eq_ignore_ascii_case(rule.id)))
        };
        let findings = validate::judge(registration, &self.context, is_wanted);
        let mut counts: BTreeMap<Verdict, u64> = BTreeMap::new();
        for finding in &findings {
            *counts.entry(finding.verdict).or_default() += 1;
            *self.totals.entry(finding.verdict).or_default() += 1;
            self.failed += u64::from(finding.verdict == Verdict::Fail && finding.rule.severity == Severity::Error);
        }
        if self.args.common.json {
            let messages: Vec<u64> = registration.messages().map(|message| message.number).collect();
            self.registrations
                .push(json!({"id": registration.id(), "impu": registration.impu(), "messages": messages}));
        } else {
            let (id, impu) =
                (registration.id().unwrap_or_default(), registration.impu().unwrap_or("an unknown identity"));
            self.out.line(&format!("Registration {id}: {impu}"));
            let shown = |finding: &&Finding| finding.verdict == Verdict::Fail || self.args.common.verbose > 0;
            findings.iter().filter(shown).for_each(|finding| self.out.text(&text_of(finding)));
            self.out.line(&format!("  {}\n", words(&counts)));
        }
        if self.args.common.json || self.args.junit.is_some() {
            self.findings.extend(findings);
        }
    }

    fn end(&mut self, name: &str) -> Result<(), Failure> {
        if let Some(path) = &self.args.junit {
            let text = validate::junit(name, &self.findings, Severity::Error);
            fs::write(path, text).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        }
        if self.args.common.json {
            let rules: Vec<Value> = self.findings.iter().map(value_of).collect();
            let summary: Map<String, Value> =
                VERDICTS.iter().map(|v| (v.as_str().to_owned(), self.count(*v).into())).collect();
            let report =
                json!({"trace": name, "registrations": self.registrations, "rules": rules, "summary": summary});
            self.out.line(&report.to_string());
        } else if self.totals.is_empty() {
            self.out.line(&format!("no registration in {name}"));
        }
        Ok(())
    }

    fn count(&self, verdict: Verdict) -> u64 {
        self.totals.get(&verdict).copied().unwrap_or_default()
    }
}

fn value_of(finding: &Finding) -> Value {
    let Finding { rule, registration, verdict, messages, expected, found } = finding;
    json!({
        "id": rule.id,
        "verdict": verdict.as_str(),
        "severity": rule.severity.letter(),
        "side": rule.side.as_str(),
        "registration": registration,
        "messages": messages,
        "clause": rule.clause,
        "text": rule.text,
        "expected": expected,
        "found": found,
    })
}

fn text_of(finding: &Finding) -> String {
    let Finding { rule, verdict, messages, expected, found, .. } = finding;
    let numbers: Vec<String> = messages.iter().map(u64::to_string).collect();
    let at = if numbers.is_empty() { String::new() } else { format!("  messages {}", numbers.join(", ")) };
    let head = format!("  {:<14} {} {} {}{at}\n", verdict.as_str(), rule.severity.letter(), rule.id, rule.side);
    match verdict {
        Verdict::Fail => format!("{head}      expected: {expected}\n      found:    {found}\n      {}\n", rule.clause),
        Verdict::NotObservable => format!("{head}      {expected}\n"),
        Verdict::Pass | Verdict::NotApplicable => head,
    }
}

fn words(counts: &BTreeMap<Verdict, u64>) -> String {
    let count = |verdict: &Verdict| counts.get(verdict).copied().unwrap_or_default();
    VERDICTS.iter().map(|verdict| format!("{verdict}: {}", count(verdict))).collect::<Vec<_>>().join(", ")
}

const VERDICTS: [Verdict; 4] = [Verdict::Pass, Verdict::Fail, Verdict::NotObservable, Verdict::NotApplicable];
