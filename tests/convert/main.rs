//! `imsreg convert` and `imsreg aka` as their users start them (docs/traces.md, docs/aka.md).
#![cfg(feature = "live")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scratch.rs"]
mod scratch;

mod aka;
mod collectors;
mod redacted;
mod round_trips;
mod sealed;

use imsreg::capture::pcapng::Writer;
use imsreg::config::load_scenario;
use imsreg::time::Epoch;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn imsreg(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imsreg"));
    for key in ["IMSREG_K", "IMSREG_OPC", "IMSREG_OP", "IMSREG_REDACT_SEED"] {
        command.env_remove(key);
    }
    command.args(args).output().expect("the binary that cargo built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn name(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[track_caller]
fn convert(from: &Path, to: &Path, flags: &[&str]) -> String {
    let output = imsreg(&[&["convert", name(from), name(to)], flags].concat());
    assert!(output.status.success(), "{}: {}", from.display(), text(&output.stderr));
    text(&output.stdout)
}

/// What `show --json` says, without what `left_out` names. Times count from the first message, in us: a copy without the
/// packets that hold none may begin later.
fn shown(trace: &Path, left_out: &[&str]) -> Vec<Value> {
    let output = imsreg(&["show", name(trace), "--json"]);
    assert!(output.status.success(), "{}: {}", trace.display(), text(&output.stderr));
    let lines = text(&output.stdout);
    let objects = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object a line"));
    let mut first = None;
    objects
        .map(|mut value| {
            let object = value.as_object_mut().expect("an object");
            if let Some(at) = object.get("at").and_then(Value::as_f64) {
                let since = at - *first.get_or_insert(at);
                // How long a trace goes on is not in every form.
                let at =
                    if object["event"] == "message" { format!("{:.0} us", since * 1e6).into() } else { Value::Null };
                object.insert("at".to_owned(), at);
            }
            // A report counts packets as well.
            for key in ["place", "copies", "unread", "keep_alives", "gaps"].iter().chain(left_out) {
                object.remove(*key);
            }
            value
        })
        .collect()
}

/// Rule, verdict, registration and messages.
fn verdicts(trace: &Path) -> BTreeSet<(String, String, u64, String)> {
    let output = imsreg(&["validate", name(trace), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{}: {e}: {}", trace.display(), text(&output.stderr)));
    let rules = report["rules"].as_array().expect("rules");
    let of = |rule: &Value| {
        let word = |key: &str| rule[key].as_str().expect("a text").to_owned();
        (word("id"), word("verdict"), rule["registration"].as_u64().unwrap_or_default(), rule["messages"].to_string())
    };
    rules.iter().map(of).collect()
}

/// A simulated registration with Cx, written as a live run writes it.
fn simulated(folder: &Path, scenario: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(scenario);
    let simulation = common::run(&load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}")));
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, Epoch::SIMULATION).expect("memory");
    for hop in simulation.world().tap.capture.hops() {
        writer.hop(hop).expect("memory");
    }
    writer.finish().expect("memory");
    let capture = folder.join("simulated.pcapng");
    std::fs::write(&capture, file).expect("a place to write");
    capture
}

/// Files of a folder beside the repository, by IMSREG_SHARED or `../shared`, with one of these endings.
fn beside(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let Ok(files) = std::fs::read_dir(root.join(folder)) else {
        println!("not run: no {folder} beside the repository (IMSREG_SHARED)");
        return Vec::new();
    };
    let fits = |path: &PathBuf| endings.iter().any(|ending| name(path).ends_with(ending));
    let mut found: Vec<PathBuf> = files.flatten().map(|file| file.path()).filter(fits).collect();
    found.sort();
    found
}
