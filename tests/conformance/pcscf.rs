//! The suite of cases against a P-CSCF proves itself: our own core passes every case, and for every case a core made faulty
//! on purpose is caught by it, and by the rules that fit.
//!
//! `IMSREG_CASE` takes the cases that begin with it, `IMSREG_KEEP` is a folder for their captures, `IMSREG_SEED` draws
//! other keys, SPIs and tokens.
use super::described;
use imsreg::config::{CheckCase, MutationCase, embedded_cases, load_cases, load_mutations};
use imsreg::conformance::{Accused, Need, Outcome, Setting, Verdict};
use imsreg::sim::CheckRig;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// As they are in the repository.
fn cases() -> Vec<CheckCase> {
    let read = |path: &PathBuf| load_cases(path).unwrap_or_else(|faults| panic!("{faults}"));
    let cases = files("profiles/cases/pcscf").iter().flat_map(read).collect::<Vec<_>>();
    let wanted = std::env::var("IMSREG_CASE").unwrap_or_default();
    cases.into_iter().filter(|case| case.case.id.starts_with(&wanted)).collect()
}

fn rig(setting: Setting) -> CheckRig {
    let seed = std::env::var("IMSREG_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let rig = CheckRig::new(setting, seed).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(rig.control(), "the control registration fails");
    rig
}

fn played(rig: &CheckRig, case: &CheckCase, faulty: Option<&MutationCase>) -> Outcome {
    let id = &case.case.id;
    let outcome = rig.check(case, faulty).unwrap_or_else(|faults| panic!("{id}: {faults}"));
    if let (Ok(folder), Some(recording)) = (std::env::var("IMSREG_KEEP"), &outcome.recording) {
        let name = faulty.map_or_else(|| id.to_string(), |faulty| format!("{id}.{}", faulty.mutation.id));
        std::fs::write(Path::new(&folder).join(name + ".pcapng"), &recording.capture).expect("a folder");
    }
    outcome
}

#[test]
fn every_file_is_in_the_binary() {
    let embedded: Vec<CheckCase> = embedded_cases(Accused::Pcscf);
    let ids = |cases: &[CheckCase]| cases.iter().map(|case| case.case.id.clone()).collect::<BTreeSet<_>>();
    let there =
        files("profiles/cases/pcscf").iter().flat_map(|path| load_cases(path).expect("sound")).collect::<Vec<_>>();
    assert_eq!(ids(&embedded), ids(&there));
    assert!(embedded.len() >= 100, "{}", embedded.len());
}

/// In virtual time, with ESP, without, and without a security agreement.
#[test]
fn our_own_core_passes_every_case() {
    let cases = cases();
    let mut wrong = Vec::new();
    let mut passed = 0;
    for setting in [Setting::full(false), Setting::full(true), Setting::full(false).in_clear()] {
        let rig = rig(setting);
        let obstacles = match (setting.agreement, setting.esp) {
            (false, _) => &[Need::Agreement, Need::SecAgree, Need::Esp, Need::NoEsp][..],
            (true, true) => &[Need::NoEsp],
            (true, false) => &[Need::Esp],
        };
        for case in &cases {
            let outcome = played(&rig, case, None);
            match outcome.verdict {
                Verdict::Passed => passed += 1,
                Verdict::NotApplicable(_) if obstacles.iter().any(|need| needs(case, *need)) => {}
                verdict => {
                    println!("{} ({setting:?}): {}", case.case.id, described(&verdict));
                    wrong.push(case.case.id.clone());
                }
            }
        }
    }
    println!("{passed} of {} cases passed, with ESP, without, and in clear", cases.len());
    assert!(wrong.is_empty(), "{} fail: {wrong:?}", wrong.len());
}

fn needs(case: &CheckCase, need: Need) -> bool {
    case.case.needs.contains(&need)
}

/// Cores that are faulty, `remarks` naming the cases that catch each, `rules` those that may fail with it.
fn faulty() -> Vec<MutationCase> {
    let files = files("tests/conformance/faulty").into_iter();
    let of_pcscf =
        files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("pcscf")));
    of_pcscf.flat_map(|path| load_mutations(&path).unwrap_or_else(|faults| panic!("{faults}"))).collect()
}

/// A faulty core is caught by each of the cases that it names, and by no rule that does not fit.
#[test]
fn faulty_cores_are_caught() {
    let (cases, faulty, rigs) = (cases(), faulty(), [rig(Setting::full(false)), rig(Setting::full(true))]);
    let mut missed = Vec::new();
    for fault in &faulty {
        let mut failed = BTreeSet::new();
        for case in cases.iter().filter(|case| is_for(fault, case)) {
            let esp = needs(case, Need::Esp) || fault.needs.iter().any(|need| &**need == "esp");
            let outcome = played(&rigs[usize::from(esp)], case, Some(fault));
            let rules: BTreeSet<&str> = outcome.verdict.failures().iter().filter_map(|failure| failure.rule).collect();
            let unfit: Vec<&&str> =
                rules.iter().filter(|rule| !fault.rules.iter().any(|fit| **fit == ***rule)).collect();
            if outcome.verdict.failures().is_empty() || !unfit.is_empty() {
                println!("{} by {}: {}", fault.mutation.id, case.case.id, described(&outcome.verdict));
                missed.push((fault.mutation.id.clone(), case.case.id.clone()));
            }
            failed.extend(rules);
        }
        if let Some(rule) = fault.rules.iter().find(|rule| !failed.contains(&***rule))
            && std::env::var("IMSREG_CASE").is_err()
        {
            println!("{}: {rule} never fails", fault.mutation.id);
            missed.push((fault.mutation.id.clone(), rule.clone()));
        }
    }
    println!("{} faulty cores", faulty.len());
    assert!(missed.is_empty(), "{} missed: {missed:?}", missed.len());
    assert!(faulty.len() >= 40, "{}", faulty.len());
}

/// Without a security agreement each case that can be played catches a faulty core, too, and no rule fails that does not fit.
#[test]
fn faulty_cores_are_caught_in_clear() {
    let (cases, faulty, rig) = (cases(), faulty(), rig(Setting::full(false).in_clear()));
    let (mut missed, mut unfit, mut runs, mut caught) = (Vec::new(), Vec::new(), 0, BTreeSet::new());
    for case in cases.iter().filter(|case| case.case.obstacle(&Setting::full(false).in_clear()).is_none()) {
        let mut is_caught = false;
        for fault in faulty.iter().filter(|fault| is_for(fault, case)) {
            let outcome = played(&rig, case, Some(fault));
            runs += 1;
            let fits = |rule: &str| fault.rules.iter().any(|fit| **fit == *rule);
            let failures = outcome.verdict.failures();
            if failures.iter().filter_map(|failure| failure.rule).any(|rule| !fits(rule)) {
                println!("{} by {}: {}", fault.mutation.id, case.case.id, described(&outcome.verdict));
                unfit.push((fault.mutation.id.clone(), case.case.id.clone()));
            }
            if !failures.is_empty() {
                is_caught = true;
                caught.insert(fault.mutation.id.clone());
            }
        }
        if !is_caught {
            missed.push(case.case.id.clone());
        }
    }
    println!("{} faulty cores caught in clear, {runs} runs", caught.len());
    assert!(missed.is_empty() && unfit.is_empty(), "nothing caught by {missed:?}; {unfit:?}");
    assert!(caught.len() >= 25 || std::env::var("IMSREG_CASE").is_ok(), "{}", caught.len());
}

/// What the standards leave open is held against nobody.
#[test]
fn lenient_cores_pass() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/lenient.yaml");
    let lenient = load_mutations(&path).unwrap_or_else(|faults| panic!("{faults}"));
    let rig = rig(Setting::full(false));
    for core in &lenient {
        for case in cases().iter().filter(|case| is_for(core, case)) {
            let outcome = played(&rig, case, Some(core));
            let about = format!("{} by {}", core.mutation.id, case.case.id);
            assert!(outcome.verdict == Verdict::Passed, "{about}: {}", described(&outcome.verdict));
        }
    }
}

/// `remarks` of a faulty core: ids of cases; a star stands for anything.
fn is_for(fault: &MutationCase, case: &CheckCase) -> bool {
    fault.remarks.iter().any(|name| match name.split_once('*') {
        Some((start, end)) => case.case.id.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => **name == *case.case.id,
    })
}

#[test]
fn every_case_has_a_faulty_core() {
    let (cases, faulty) = (cases(), faulty());
    let without: Vec<&str> = cases
        .iter()
        .filter(|case| !faulty.iter().any(|fault| is_for(fault, case)))
        .map(|case| &*case.case.id)
        .collect();
    let named: Vec<&str> = WITHOUT.iter().map(|(id, _)| *id).collect();
    assert_eq!(without, named);
}

/// Cases that no faulty core shows, and why.
const WITHOUT: &[(&str, &str)] = &[];
