//! What our own elements do breaks no rule.

use crate::trace::Trace;
use imsreg::trace::story::Registration;
use imsreg::validate::{self, Context, Severity, Verdict};
use std::path::Path;

#[test]
fn no_scenario_breaks_a_rule_of_severity_error() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut broken = Vec::new();
    let mut judged = 0;
    for entry in std::fs::read_dir(folder).expect("scenarios").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        for group in Trace::of(&name).groups() {
            judged += 1;
            for finding in validate::judge(&Registration::of(&group), &Context::default(), |_| true) {
                if finding.verdict == Verdict::Fail && finding.rule.severity == Severity::Error {
                    let (expected, found) = (&finding.expected, &finding.found);
                    broken.push(format!(
                        "{name}, registration {:?}: {:?} {:?}: {expected} / {found}",
                        group.id, finding.rule, finding.messages
                    ));
                }
            }
        }
    }
    assert!(judged > 10, "{judged} registrations");
    broken.dedup();
    assert!(broken.is_empty(), "{} times:\n{}", broken.len(), broken[..broken.len().min(60)].join("\n"));
}

#[test]
fn rules_have_names_of_their_own_and_say_everything() {
    let mut ids = std::collections::HashSet::new();
    for rule in validate::rules() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        for text in [rule.clause, rule.text, rule.why, rule.right, rule.wrong] {
            assert!(!text.is_empty(), "{}", rule.id);
        }
        let explained = rule.explain();
        assert!(explained.starts_with(rule.id) && explained.contains(rule.clause), "{explained}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    /// One octet of one message is another: every rule answers, and none fails to.
    #[test]
    fn no_rule_stumbles_over_what_is_sent(which in 0_usize..1_000, at in 0_usize..2_000, with in "[\u{0}-\u{ff}]|é|€|😀|\r\n|,|\"|;|=") {
        use imsreg::trace::Seen;
        let mut trace = FIRST.with(Clone::clone);
        let which = which % trace.sightings.len();
        let Seen::Message(message) = &mut trace.sightings[which].seen else { return Ok(()) };
        let at = at % message.bytes.len();
        message.bytes.splice(at..=at, with.bytes());
        for group in trace.groups() {
            let findings = validate::judge(&Registration::of(&group), &Context::default(), |_| true);
            proptest::prop_assert!(findings.len() >= validate::rules().count());
        }
    }
}

thread_local! {
    static FIRST: Trace = Trace::of("reg-event");
}

#[test]
fn an_algorithm_that_is_no_ascii_is_read() {
    let odd =
        Trace::of("first-registration").gm().edit(crate::trace::to_ue("401"), |text| text.replace("AKAv1-MD5", "AKA€"));
    odd.fails("AK-01", "AKA€");
}
