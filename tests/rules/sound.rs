//! What our own elements do breaks no rule.

use crate::common::{pass, run};
use crate::trace::Trace;
use imsreg::capture::Entry;
use imsreg::config::{Setting, load_scenario};
use imsreg::event::{Role, What};
use imsreg::trace::story::Registration;
use imsreg::ue::UeStatus;
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

/// SL-09 for simulations: five minutes after the end of each, who is not registered has no SA, at either end, and who is has
/// three sets at most.
#[test]
fn no_scenario_leaves_a_set_of_sas_behind() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut installed = 0;
    for entry in std::fs::read_dir(folder).expect("scenarios").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
        scenario.esp = true;
        // It hears of an end by the network only if it asks for that (TS 24.229 clauses 5.2.3 and 5.2.5.2).
        scenario.settings.push(Setting::new("set", "pcscf.subscribe", "true"));
        let mut simulation = run(&scenario);
        pass(&mut simulation, 300);
        let registered =
            simulation.ues().filter(|ue| !matches!(ue.status(), UeStatus::Idle | UeStatus::Failed { .. })).count();
        for role in [Role::Ue, Role::Pcscf] {
            let events = simulation.world().tap.capture.entries.iter().filter_map(|entry| match entry {
                Entry::Event { event, .. } if event.role == role => Some(&event.what),
                _ => None,
            });
            let (mut begun, mut gone) = (0, 0);
            for what in events {
                begun += usize::from(matches!(what, What::SaInstalled { .. }));
                gone += usize::from(matches!(what, What::SaRemoved { .. }));
            }
            installed += begun;
            let left = begun - gone;
            assert!(
                left <= 3 * registered,
                "{}: {left} sets at the {role}, {registered} UEs registered",
                path.display()
            );
        }
    }
    assert!(installed > 20, "{installed} sets");
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
        let Some(trace) = FIRST.with(Clone::clone).with_octet(which, at, &with) else { return Ok(()) };
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
