//! The suite against a UE: our own UE passes, and faulty ones are caught.

use super::described;
use imsreg::config::{Action, CheckCase, MutationCase, Scenario, Step, load_cases, load_mutations};
use imsreg::conformance::{Need, Outcome, Setting, Verdict};
use imsreg::sim::{CheckRig, Simulation};
use imsreg::time::Duration;
use imsreg::validate::Side;
use std::path::{Path, PathBuf};

/// The cases, as they are in the binary.
fn all() -> Vec<CheckCase> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/cases/ue");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).expect("the cases").flatten().map(|e| e.path()).collect();
    files.sort();
    let read = |path: &PathBuf| load_cases(path).unwrap_or_else(|faults| panic!("{faults}"));
    files.iter().flat_map(read).collect()
}

/// Those that are wanted.
fn cases() -> Vec<CheckCase> {
    let mut cases = all();
    if let Ok(wanted) = std::env::var("IMSREG_CASE") {
        cases.retain(|case| case.case.id.starts_with(&wanted));
    }
    cases
}

fn rig(esp: bool) -> CheckRig {
    let rig = CheckRig::new(Setting::full(esp), 1).expect("a world");
    assert!(rig.control(), "the control registration fails");
    rig
}

/// Keeps the capture where somebody wants to look at it.
fn keep(outcome: &Outcome, id: &str) {
    if let (Ok(folder), Some(recording)) = (std::env::var("IMSREG_KEEP"), &outcome.recording) {
        std::fs::write(Path::new(&folder).join(format!("{id}.pcapng")), &recording.capture).expect("a folder");
    }
}

/// Our own UE in virtual time, with ESP and without.
#[test]
fn our_own_ue_passes_every_case() {
    let mut wrong = Vec::new();
    for esp in [false, true] {
        let rig = rig(esp);
        for case in cases() {
            let id = &case.case.id;
            let outcome = rig.check(&case, None).unwrap_or_else(|faults| panic!("{id}: {faults}"));
            keep(&outcome, id);
            if !matches!(outcome.verdict, Verdict::Passed | Verdict::NotApplicable(_)) {
                println!("{id} (ESP {esp}): {}", described(&outcome.verdict));
                wrong.push(id.clone());
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:?}", wrong.len(), cases().len());
}

/// UEs made faulty on purpose.
fn faulty() -> Vec<MutationCase> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/faulty/ue.yaml");
    let mut all = load_mutations(&file).unwrap_or_else(|faults| panic!("{faults}"));
    if let Ok(wanted) = std::env::var("IMSREG_FAULTY") {
        all.retain(|faulty| faulty.mutation.id.starts_with(&*wanted));
    }
    all
}

/// The case with a faulty UE in its world.
fn with(case: &CheckCase, faulty: &MutationCase) -> CheckCase {
    let mut case = case.clone();
    case.world.mutation.alterations.extend_from_slice(&faulty.mutation.alterations);
    case.world.mutation.sets.extend_from_slice(&faulty.mutation.sets);
    case.world.ue_settings.extend_from_slice(&faulty.ue_settings);
    case.world.settings.extend_from_slice(&faulty.settings);
    case.world.misbehaviour = faulty.misbehaviour.or(case.world.misbehaviour);
    case
}

fn catches(faulty: &MutationCase, id: &str) -> bool {
    faulty.needs.iter().any(|name| match name.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning),
        None => **name == *id,
    })
}

/// Each is caught by the cases that it names, and by no rule that does not fit.
#[test]
fn faulty_ues_are_caught() {
    let (cases, faulty) = (cases(), faulty());
    let rigs = [false, true].map(rig);
    let (mut wrong, mut runs) = (Vec::new(), 0);
    for faulty in &faulty {
        let id = &faulty.mutation.id;
        let mut seen: Vec<&str> = Vec::new();
        for case in cases.iter().filter(|case| catches(faulty, &case.case.id)) {
            let rig = &rigs[usize::from(case.case.needs.contains(&Need::Esp))];
            let outcome = rig.check(&with(case, faulty), None).unwrap_or_else(|faults| panic!("{id}: {faults}"));
            keep(&outcome, &format!("{}-{id}", case.case.id));
            runs += 1;
            let failed: Vec<&str> = outcome.verdict.failures().iter().filter_map(|failure| failure.rule).collect();
            let strange: Vec<&str> =
                failed.iter().copied().filter(|rule| !faulty.rules.iter().any(|known| **known == **rule)).collect();
            if outcome.verdict.failures().is_empty() || !strange.is_empty() {
                println!("{id} in {}: does not fit {strange:?}: {}", case.case.id, described(&outcome.verdict));
                wrong.push(format!("{id} in {}", case.case.id));
            }
            seen.extend(failed);
        }
        let unseen: Vec<&str> = faulty.rules.iter().map(|rule| &**rule).filter(|rule| !seen.contains(rule)).collect();
        if !unseen.is_empty() && std::env::var("IMSREG_CASE").is_err() {
            println!("{id}: {unseen:?} fail nowhere");
            wrong.push(id.to_string());
        }
    }
    println!("{} faulty UEs, {runs} runs", faulty.len());
    assert!(wrong.is_empty(), "{} of {runs}: {wrong:?}", wrong.len());
}

/// How often a REGISTER leaves in a case, copies and all.
fn registers(id: &str, altered: impl Fn(&mut CheckCase)) -> usize {
    let mut case = all().into_iter().find(|case| &*case.case.id == id).expect("it is there");
    altered(&mut case);
    let recording = rig(false).play(&case, None).expect("a world");
    memchr::memmem::find_iter(&recording.capture, "REGISTER sip:").count()
}

#[test]
fn a_fragment_is_lost_of_the_first_copy_of_what_needs_several() {
    let is_whole = |case: &mut CheckCase| case.world.mutation.alterations.clear();
    let is_small = |case: &mut CheckCase| case.world.mutation.alterations[0].edits.clear();
    let id = "timing-fragment-lost";
    let sound = registers(id, is_whole);
    assert_eq!((registers(id, |_| {}), registers(id, is_small)), (sound + 1, sound));
}

#[test]
fn a_reset_ends_the_connection_outside_of_the_sas() {
    let case = all().into_iter().find(|case| &*case.case.id == "timing-reset").expect("it is there");
    let mut left = [true, false].map(|is_reset| {
        let mut case = case.clone().in_setting(&Setting::full(false));
        case.world.mutation.alterations[0].passage.reset = is_reset;
        let scenario = Scenario {
            seed: 1,
            profile: "volte".to_owned(),
            settings: case.habits(),
            hss_data: "hss-data/lab.yaml".into(),
            ues: 1,
            application_server: false,
            esp: false,
            nat: None,
            steps: vec![Step { at: Duration::ZERO, ue: Some(0), action: Action::Register, to: None }],
            faults: Vec::new(),
            until: Duration::from_secs(30),
        };
        let mut simulation = Simulation::mutated(&scenario, &case.world, ()).expect("a world");
        simulation.run();
        let ue = simulation.ues().next().expect("one").config().local.ip();
        simulation.world().connections_of(ue)
    });
    left.iter_mut().for_each(|all| all.retain(|(_, server)| server.port() == 5060));
    assert!(left[0].is_empty() && left[1].len() == 1, "{left:?}");
}

/// A rule of somebody else is not judged here, and would look kept.
#[test]
fn cases_name_rules_of_ues() {
    for case in cases() {
        for rule in &case.case.rules {
            let side = imsreg::validate::rule(rule).expect("it was read").side;
            assert_eq!(side, Side::Ue, "{rule} of {}", case.case.id);
        }
    }
}

/// Cases that nobody could fail would prove nothing.
#[test]
fn every_case_catches_a_faulty_ue() {
    let (cases, faulty) = (cases(), faulty());
    let without = cases.iter().map(|case| &*case.case.id).filter(|id| !faulty.iter().any(|of| catches(of, id)));
    let without: Vec<&str> = without.collect();
    assert!(without.is_empty(), "{without:?}");
    let idle = faulty.iter().filter(|of| !cases.iter().any(|case| catches(of, &case.case.id)));
    let idle: Vec<&str> = idle.map(|faulty| &*faulty.mutation.id).collect();
    assert!(idle.is_empty() || std::env::var("IMSREG_CASE").is_ok(), "{idle:?}");
    assert!(cases.len() >= 150 || std::env::var("IMSREG_CASE").is_ok(), "{}", cases.len());
}
