//! Every recorded trace of the corpus, read, judged and diagnosed as people would: what comes out is in a file of
//! `tests/golden/corpus` that was read against the standards before it was kept. `IMSREG_BLESS=1` writes them anew.
#![cfg(feature = "live")]

use imsreg::diagnose::{self, Bystanders, Found};
use imsreg::time::Instant;
use imsreg::trace::story::{Limits, Registration, Story};
use imsreg::trace::{Options, open};
use imsreg::validate::{self, Finding, Verdict};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDERS: [&str; 3] = ["pcap", "dumps", "seeds"];

/// Recordings by folder and name; empty, and said so, where the corpus is absent.
fn recordings() -> Vec<(String, PathBuf)> {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("corpus");
    let mut all = Vec::new();
    for folder in FOLDERS {
        let Ok(files) = fs::read_dir(root.join(folder)) else {
            println!("not run: no corpus/{folder} beside the repository (IMSREG_SHARED)");
            continue;
        };
        for file in files.map(|file| file.expect("a folder that can be read").path()) {
            if file.extension().is_none_or(|extension| extension != "yaml") {
                let name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8");
                all.push((format!("{folder}-{name}"), file));
            }
        }
    }
    all.sort_unstable();
    all
}

#[test]
fn the_verdicts_on_every_recording_are_those_that_were_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/corpus");
    let mut changed = Vec::new();
    let recordings = recordings();
    for (name, path) in &recordings {
        let golden = golden.join(format!("{name}.txt"));
        let found = verdicts(path);
        if std::env::var_os("IMSREG_BLESS").is_some() {
            fs::write(&golden, &found).expect("a place to write");
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if found != expected {
            changed.push(format!("{name}:\n{}", difference(&expected, &found)));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
    if !recordings.is_empty() {
        let names: BTreeSet<String> = recordings.iter().map(|(name, _)| format!("{name}.txt")).collect();
        let files = fs::read_dir(&golden).expect("the golden files").map(|file| file.expect("a file").file_name());
        let kept: BTreeSet<String> = files.map(|name| name.into_string().expect("UTF-8")).collect();
        assert_eq!(kept, names, "a golden file for each recording, and no other");
    }
}

#[test]
fn every_recording_is_shown() {
    for (name, path) in recordings() {
        let output = Command::new(env!("CARGO_BIN_EXE_imsreg")).args(["show", "--full"]).arg(&path).output();
        let output = output.expect("the binary that cargo built");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!shown.is_empty(), "{name}");
    }
}

fn verdicts(path: &Path) -> String {
    let mut trace = open(File::open(path).expect("a recording"), Options::default()).expect("a trace");
    let mut story = Story::new(Limits::default());
    for sighting in trace.by_ref() {
        story.see(sighting.expect("a whole trace"));
    }
    story.passed(trace.until().unwrap_or(Instant::ZERO));
    story.finish();
    let mut text = String::new();
    let mut bystanders = Bystanders::default();
    while let Some(group) = story.next() {
        let registration = Registration::of(&group);
        match registration.id() {
            Some(_) => judged(&registration, &mut text),
            None => bystanders.see(&registration),
        }
    }
    let totals = story.totals();
    for (reason, unread) in &totals.unread {
        line(&mut text, format_args!("not read: {}, {} times", reason, unread.count));
    }
    let shut: u64 = totals.shut.values().sum();
    line(&mut text, format_args!("{} SIP, {} Diameter, {shut} ESP shut", totals.sip, totals.diameter));
    if let Some(found) = bystanders.no_attempt(totals) {
        said("cause", &found, &mut text);
    }
    text
}

fn judged(registration: &Registration<'_>, text: &mut String) {
    let (id, impu) = (registration.id().unwrap_or_default(), registration.impu().unwrap_or("nobody"));
    line(text, format_args!("registration {id}: {impu}, {} messages", registration.messages().count()));
    for attempt in registration.attempts() {
        line(text, format_args!("  {:?}: {:?}", attempt.kind(), attempt.outcome()));
    }
    let findings = validate::judge(registration, &validate::Context::default(), |_| true);
    for Finding { rule, messages, expected, found, .. } in findings.iter().filter(|f| f.verdict == Verdict::Fail) {
        let letter = rule.severity.letter();
        line(text, format_args!("  {} {letter} fails, {messages:?}: expected {expected}; found {found}", rule.id));
    }
    let those = |verdict| {
        let ids: Vec<&str> = findings.iter().filter(|f| f.verdict == verdict).map(|f| f.rule.id).collect();
        ids.join(" ")
    };
    line(text, format_args!("  pass: {}", those(Verdict::Pass)));
    line(text, format_args!("  not observable: {}", those(Verdict::NotObservable)));
    line(text, format_args!("  not applicable: {}", those(Verdict::NotApplicable)));
    let diagnosis = diagnose::diagnose(registration, &diagnose::Context::default());
    diagnosis.causes.iter().for_each(|found| said("cause", found, text));
    diagnosis.remarks.iter().for_each(|found| said("remark", found, text));
}

fn said(what: &str, found: &Found, text: &mut String) {
    let Found { cause, messages, expected, found, certainty, .. } = found;
    line(text, format_args!("  {what} {}, {certainty}, {messages:?}: expected {expected}; found {found}", cause.name));
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("a text takes every line");
}

/// The lines of one that the other lacks.
fn difference(expected: &str, found: &str) -> String {
    let lacks = |in_it: &str, other: &str, sign: char| {
        let others: BTreeSet<&str> = other.lines().collect();
        in_it.lines().filter(|l| !others.contains(l)).map(|l| format!("{sign} {l}\n")).collect::<String>()
    };
    lacks(expected, found, '-') + &lacks(found, expected, '+')
}
