//! What our own elements do has no cause; and every cause says everything.

use crate::trace::Trace;
use imsreg::diagnose::{self, Cause, Context};
use imsreg::trace::story::Registration;
use std::path::Path;

#[test]
fn no_scenario_has_a_cause() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = Vec::new();
    let mut looked_at = 0;
    for entry in std::fs::read_dir(root.join("tests/scenarios")).expect("scenarios").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        for group in Trace::of(&name).groups() {
            looked_at += 1;
            let diagnosis = diagnose::diagnose(&Registration::of(&group), &Context::default());
            if name == REFUSED {
                // Its UE gets 504, as it should: that is a failure without a fault.
                let causes: Vec<&str> = diagnosis.causes.iter().map(|found| found.cause.name).collect();
                assert_eq!(causes, ["DIAG-OTHER"]);
                continue;
            }
            named.extend(diagnosis.causes.iter().map(|found| {
                format!("{name}, registration {:?}: {:?} {:?} {}", group.id, found.cause, found.messages, found.found)
            }));
        }
    }
    assert!(looked_at > 10, "{looked_at} registrations");
    assert!(named.is_empty(), "{}", named.join("\n"));
}

/// The scenario whose only REGISTER finds no way to the S-CSCF.
const REFUSED: &str = "icscf-outage";

#[test]
fn causes_have_names_of_their_own_and_say_everything() {
    let table =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md")).expect("the page");
    let mut names = std::collections::HashSet::new();
    for Cause { name, clause, meaning, action, behind, .. } in diagnose::causes() {
        assert!(names.insert(*name), "{name} twice");
        assert!([clause, meaning, action].iter().all(|text| !text.is_empty()), "{name}");
        assert!(table.contains(&format!("`{name}`")), "{name} is not in docs/diagnosis.md");
        assert!(diagnose::cause(&name.to_lowercase()).is_some_and(|cause| cause.name == *name));
        for other in behind.iter().filter(|other| other.starts_with("DIAG-")) {
            assert!(diagnose::cause(other).is_some(), "{name} waits for {other}, which nobody knows");
        }
    }
    for word in table.split('`').filter(|word| word.starts_with("DIAG-") && !word.contains(' ')) {
        assert!(diagnose::cause(word).is_some(), "docs/diagnosis.md tells of {word}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    /// One octet of one message is another: every cause answers.
    #[test]
    fn no_cause_stumbles_over_what_is_sent(which in 0_usize..1_000, at in 0_usize..2_000, with in "[\u{0}-\u{ff}]|€|\r\n|,|\"|;|=") {
        let Some(trace) = FIRST.with(Clone::clone).with_octet(which, at, &with) else { return Ok(()) };
        for group in trace.groups() {
            diagnose::diagnose(&Registration::of(&group), &Context::default());
        }
    }
}

thread_local! {
    static FIRST: Trace = Trace::of("reg-event");
}
