//! What is said of a capture.

use crate::world::{FIRST, Recorded, SECOND, Shape};
use imsreg::config::MutationCase;
use imsreg::diagnose::{self, Bystanders};
use imsreg::trace::keys::Keyring;
use imsreg::trace::story::{Group, Limits, Registration, Story};
use imsreg::trace::{self, Options};
use imsreg::validate::{self, Severity, Verdict};
use std::fmt;

/// What rules and causes say of one UE.
#[derive(Default, Debug)]
pub(crate) struct Said {
    /// Rules that fail.
    pub(crate) failed: Vec<&'static str>,
    /// Those of severity E, with what was expected and found.
    pub(crate) errors: Vec<String>,
    pub(crate) causes: Vec<&'static str>,
    pub(crate) remarks: Vec<&'static str>,
}

/// Of the faulty UE, and of the sound one.
#[derive(Default, Debug)]
pub(crate) struct Verdicts {
    pub(crate) first: Said,
    pub(crate) second: Said,
    /// Whether a registration of the second was found.
    pub(crate) second_was_seen: bool,
}

/// Reads a capture as `validate` and `diagnose` do.
pub(crate) fn judge(recorded: &Recorded, shape: &Shape, policy_known: bool) -> Verdicts {
    let mut keyring = Keyring::new();
    for (impi, keys) in &recorded.keys {
        keyring.add_subscriber(Some(impi), keys.clone());
    }
    let options = Options { keys: keyring, ..Options::default() };
    let source = trace::open(&recorded.capture[..], options).expect("a capture");
    let mut story = Story::new(Limits::default());
    let mut groups: Vec<Group> = Vec::new();
    for sighting in source {
        story.see(sighting.expect("a whole capture"));
        groups.extend(std::iter::from_fn(|| story.next()));
    }
    story.finish();
    groups.extend(std::iter::from_fn(|| story.next()));
    let keys_of = |impi: &str| recorded.keys.iter().find(|(of, _)| of == impi).map(|(_, keys)| keys);
    let judge = validate::Context {
        keys: (!recorded.keys.is_empty()).then_some(&keys_of as &validate::Keys<'_>),
        sec_agree_required: policy_known.then_some(true),
        pcscf_port: policy_known.then_some(5060),
        esp_is_off: !shape.esp,
    };
    let context = diagnose::Context { judge, ..diagnose::Context::default() };
    let mut verdicts = Verdicts::default();
    let mut bystanders = Bystanders::default();
    for group in &groups {
        let registration = Registration::of(group);
        if registration.id().is_none() {
            bystanders.see(&registration);
            continue;
        }
        let is_second = registration.impi().is_some_and(|impi| impi.contains(SECOND))
            || registration.impus().iter().any(|impu| impu.contains(SECOND) && !impu.contains(FIRST));
        let said = if is_second { &mut verdicts.second } else { &mut verdicts.first };
        for finding in validate::judge(&registration, &context.judge, |_| true) {
            if finding.verdict == Verdict::Fail {
                said.failed.push(finding.rule.id);
                if finding.rule.severity == Severity::Error {
                    let (id, expected, found) = (finding.rule.id, &finding.expected, &finding.found);
                    said.errors.push(format!("{id} {:?} expected: {expected}; found: {found}", finding.messages));
                }
            }
        }
        let diagnosis = diagnose::diagnose(&registration, &context);
        said.causes.extend(diagnosis.causes.iter().map(|found| found.cause.name));
        said.remarks.extend(diagnosis.remarks.iter().map(|found| found.cause.name));
        verdicts.second_was_seen |= is_second;
    }
    if let Some(found) = bystanders.no_attempt(story.totals()) {
        verdicts.first.causes.push(found.cause.name);
    }
    verdicts.first.failed.dedup();
    verdicts
}

impl Said {
    /// What a sound UE must not hear.
    pub(crate) fn blames(&self) -> bool {
        !self.errors.is_empty() || !self.causes.is_empty()
    }

    /// Why this is not what the case expects; `None`: it is.
    pub(crate) fn misses(&self, case: &MutationCase) -> Option<String> {
        let mut why = Vec::new();
        for rule in case.rules.iter().filter(|rule| !self.failed.contains(&&***rule)) {
            why.push(format!("{rule} does not fail"));
        }
        match case.cause.as_deref() {
            Some("none") if !self.causes.is_empty() => why.push("a cause is named".to_owned()),
            Some(cause) if cause != "none" && self.causes.first() != Some(&cause) => {
                why.push(format!("{cause} does not come first"));
            }
            _ => {}
        }
        for remark in case.remarks.iter().filter(|remark| !self.remarks.contains(&&***remark)) {
            why.push(format!("{remark} is not remarked on"));
        }
        if let Some(name) =
            case.named.as_deref().filter(|name| !self.causes.contains(name) && !self.remarks.contains(name))
        {
            why.push(format!("{name} is not named"));
        }
        (!why.is_empty()).then(|| why.join(", "))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed {:?}, causes {:?}, remarks {:?}", self.failed, self.causes, self.remarks)
    }
}
