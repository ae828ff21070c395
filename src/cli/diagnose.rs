//! `imsreg diagnose`: why registrations of a trace failed.

use super::args::DiagnoseArgs;
use super::out::Out;
use super::{Failure, trace};
use crate::aka::vector::SubscriberKeys;
use crate::diagnose::{self, Bystanders, Context, Diagnosis, Found};
use crate::trace::keys::Keyring;
use crate::trace::story::{Outcome, Registration};
use crate::trace::{Options, open};
use crate::validate;
use serde_json::{Value, json};
use std::ops::ControlFlow;

pub(super) fn run(args: &DiagnoseArgs) -> Result<(), Failure> {
    let subscribers = trace::subscribers(&args.trace)?;
    let keys_of = |impi: &str| trace::keys_of(&subscribers, impi);
    let op = trace::op(&args.trace)?;
    let provisioned: Vec<String> = subscribers.iter().filter_map(|(impi, _)| impi.clone()).collect();
    let context = Context {
        judge: validate::Context { keys: Some(&keys_of), ..trace::policy(args.profile.as_deref())? },
        op: op.as_ref(),
        provisioned: args.trace.hss_data.is_some().then_some(&provisioned[..]),
    };
    let mut source = trace::open(&args.trace)?;
    let mut report = Report { args, out: Out::new(), context, all: Vec::new(), causes: 0 };
    let mut bystanders = Bystanders::default();
    let (totals, fault) = trace::each_group(&mut source, |group| {
        let registration = Registration::of(group);
        match registration.id() {
            None => bystanders.see(&registration),
            Some(id) if args.registration.is_none_or(|wanted| wanted == id) => report.diagnose(&registration),
            Some(_) => {}
        }
        ControlFlow::Continue(())
    });
    let name = args.trace.trace.display().to_string();
    if let Some(fault) = fault {
        report.end();
        return Err(Failure::Usage(format!("{name}: {fault}; what came before is diagnosed")));
    }
    if let Some(wanted) = args.registration.filter(|wanted| *wanted > totals.registrations) {
        return Err(Failure::Usage(format!(
            "--registration {wanted}: {name} has {} registrations",
            totals.registrations
        )));
    }
    if let Some(found) = bystanders.no_attempt(&totals) {
        report.take(Diagnosis { causes: vec![found], remarks: Vec::new() });
    }
    report.end();
    match report.causes {
        0 => Ok(()),
        1 => Err(Failure::Failed(format!("{name}: one cause of failure"))),
        causes => Err(Failure::Failed(format!("{name}: {causes} causes of failure"))),
    }
}

/// What is wrong with the registrations of a capture, in words.
pub(super) fn of_capture(capture: &[u8], keys: &[(Box<str>, SubscriberKeys)]) -> String {
    let mut ring = Keyring::new();
    keys.iter().for_each(|(impi, keys)| ring.add_subscriber(Some(impi), keys.clone()));
    let keys_of = |wanted: &str| keys.iter().find(|(impi, _)| **impi == *wanted).map(|(_, keys)| keys);
    let judge = validate::Context { keys: Some(&keys_of), ..validate::Context::default() };
    let context = Context { judge, ..Context::default() };
    let mut text = String::new();
    let Ok(mut source) = open(capture, Options { keys: ring, ..Options::default() }) else { return text };
    trace::each_group(&mut source, |group| {
        let diagnosis = diagnose::diagnose(&Registration::of(group), &context);
        diagnosis.causes.iter().for_each(|found| text.push_str(&text_of(found)));
        ControlFlow::Continue(())
    });
    text
}

struct Report<'a> {
    args: &'a DiagnoseArgs,
    out: Out,
    context: Context<'a>,
    /// For JSON, one a registration.
    all: Vec<Diagnosis>,
    causes: usize,
}

impl Report<'_> {
    fn diagnose(&mut self, registration: &Registration<'_>) {
        let diagnosis = diagnose::diagnose(registration, &self.context);
        if !self.args.common.json {
            let id = registration.id().unwrap_or_default();
            let impu = registration.impu().unwrap_or("an unknown identity");
            self.out.line(&format!("Registration {id}: {impu}: {}", state_of(registration, &diagnosis)));
        }
        self.take(diagnosis);
    }

    fn take(&mut self, diagnosis: Diagnosis) {
        self.causes += diagnosis.causes.len();
        if self.args.common.json {
            self.all.push(diagnosis);
            return;
        }
        diagnosis.causes.iter().for_each(|found| self.out.text(&text_of(found)));
        if !diagnosis.remarks.is_empty() {
            self.out.line("  Remarks: faults that did not stop it");
            diagnosis.remarks.iter().for_each(|found| self.out.text(&text_of(found)));
        }
        self.out.line("");
    }

    fn end(&mut self) {
        if self.args.common.json {
            // What explains one registration stays in its order.
            self.all.sort_by_key(|diagnosis| diagnosis.causes.first().map(|found| found.certainty));
            let causes: Vec<Value> = self.all.iter().flat_map(|diagnosis| &diagnosis.causes).map(value_of).collect();
            let remarks: Vec<Value> = self.all.iter().flat_map(|diagnosis| &diagnosis.remarks).map(value_of).collect();
            let report = json!({"causes": causes, "remarks": remarks});
            self.out.line(&report.to_string());
        }
    }
}

fn state_of(registration: &Registration<'_>, diagnosis: &Diagnosis) -> &'static str {
    let ended = registration.attempts().next_back().map(|attempt| attempt.outcome());
    match ended {
        _ if !diagnosis.causes.is_empty() => "failed",
        Some(Outcome::Registered) => "registered",
        Some(Outcome::Deregistered) => "registered, and de-registered",
        _ => "the trace does not show how it ended",
    }
}

fn value_of(found: &Found) -> Value {
    let Found { cause, registration, messages, expected, found, action, certainty, ruled_out } = found;
    json!({
        "name": cause.name,
        "registration": registration,
        "messages": messages,
        "meaning": cause.meaning,
        "expected": expected,
        "found": found,
        "clause": cause.clause,
        "action": action,
        "certainty": certainty.as_str(),
        "ruled_out": ruled_out,
    })
}

fn text_of(found: &Found) -> String {
    let Found { cause, messages, expected, found, action, certainty, ruled_out, .. } = found;
    let numbers: Vec<String> = messages.iter().map(u64::to_string).collect();
    let at = if numbers.is_empty() { String::new() } else { format!("  messages {}", numbers.join(", ")) };
    let mut text = format!(
        "  {}  {certainty}{at}\n      {}\n      expected: {expected}\n      found:    {found}\n      do:       {action}\n      \
         {}\n",
        cause.name, cause.meaning, cause.clause
    );
    for reason in ruled_out {
        text.push_str(&format!("      ruled out: {reason}\n"));
    }
    text
}
