//! `imsreg validate` and `imsreg explain` as scripts use them (docs/validation.md).
#![cfg(feature = "live")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn imsreg(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imsreg"));
    for key in ["IMSREG_K", "IMSREG_OPC", "IMSREG_OP"] {
        command.env_remove(key);
    }
    command.args(args).output().expect("the binary that cargo built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// The operator's recording, as it was pasted.
fn recording() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/seeds");
    let parts = ["ims-01-register.sip", "ims-02-401.sip", "ims-03-register-auth.sip", "ims-04-200.sip"];
    parts.map(|part| std::fs::read_to_string(folder.join(part)).expect("a seed document")).join("\n\n")
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).expect("a place to write");
    path
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", text(&output.stdout), text(&output.stderr)))
}

#[test]
fn the_report_has_the_form_that_scripts_rely_on() {
    let trace = file("validate.txt", &recording());
    let output = imsreg(&["validate", trace.to_str().unwrap(), "--json"]);
    let report = json(&output);
    assert_eq!(report["registrations"][0]["id"], 1);
    assert_eq!(report["registrations"][0]["messages"], serde_json::json!([1, 2, 3, 4]));
    let rules = report["rules"].as_array().expect("a list");
    for rule in rules {
        for key in
            ["id", "verdict", "severity", "side", "registration", "messages", "clause", "text", "expected", "found"]
        {
            assert!(!rule[key].is_null(), "{key} in {rule}");
        }
    }
    let verdict =
        |id: &str| rules.iter().find(|rule| rule["id"] == id).map(|rule| rule["verdict"].as_str().expect("a word"));
    // The export lost Service-Route and a comma of P-Associated-URI; it shows neither addresses nor Mw.
    assert_eq!((verdict("SA-42"), verdict("SA-01")), (Some("pass"), Some("pass")));
    assert_eq!((verdict("OK-04"), verdict("OK-01")), (Some("fail"), Some("fail")));
    assert_eq!((verdict("SA-45"), verdict("SA-26")), (Some("not-observable"), Some("not-observable")));
    let failed = rules.iter().filter(|rule| rule["verdict"] == "fail").count();
    assert_eq!(report["summary"]["fail"], failed);
    assert_eq!(output.status.code(), Some(1), "a rule of severity E failed");
}

#[test]
fn rules_can_be_chosen_and_a_report_for_build_servers_written() {
    let trace = file("validate-chosen.txt", &recording());
    let xml = Path::new(env!("CARGO_TARGET_TMPDIR")).join("validate.xml");
    let chosen = ["validate", trace.to_str().unwrap(), "--only", "sa-42,OK-04", "--junit", xml.to_str().unwrap()];
    let output = imsreg(&chosen);
    let said = text(&output.stdout);
    assert!(said.contains("OK-04") && said.contains("expected: Service-Route"), "{said}");
    assert!(said.contains("pass: 1, fail: 1, not-observable: 0, not-applicable: 0"), "{said}");
    let xml = std::fs::read_to_string(xml).expect("the report");
    assert!(xml.contains("tests=\"2\" failures=\"1\"") && xml.contains("name=\"OK-04\"><failure"), "{xml}");
    let severe = json(&imsreg(&["validate", trace.to_str().unwrap(), "--severity", "E", "--json"]));
    assert!(severe["rules"].as_array().unwrap().iter().all(|rule| rule["severity"] == "E"));
    let sound = imsreg(&["validate", trace.to_str().unwrap(), "--only", "SA-42"]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stdout));
}

#[test]
fn a_rule_is_explained_and_bad_input_is_said() {
    let explained = text(&imsreg(&["explain", "sa-42"]).stdout);
    for part in ["SA-42  error, side UE", "RFC 3329", "Why it matters", "Right", "Wrong"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let list = text(&imsreg(&["explain"]).stdout);
    assert!(list.lines().count() > 60 && list.contains("AK-14  E"), "{list}");
    for (args, words) in [
        (&["explain", "SA-99"][..], "SA-99: no such rule"),
        (&["validate", "/nowhere", "--only", "XX-01"], "--only XX-01: no such rule"),
        (&["validate", "/nowhere"], "/nowhere: "),
        (&["validate", env!("CARGO_BIN_EXE_imsreg")], "a capture (pcap, pcapng) or a text is wanted"),
    ] {
        let output = imsreg(args);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(words), "{args:?}: {said}");
    }
    let prose = file("validate-prose.txt", "nothing that anybody sent\n");
    let output = imsreg(&["validate", prose.to_str().unwrap()]);
    assert!(
        output.status.success() && text(&output.stdout).starts_with("no registration in"),
        "{}",
        text(&output.stdout)
    );
}

/// As by `head`: nobody reads on, which is no fault.
#[test]
fn a_closed_pipe_ends_the_report_quietly() {
    let trace = file("validate-piped.txt", &recording());
    for args in [
        &["explain"][..],
        &["validate", trace.to_str().unwrap(), "-v"],
        &["validate", trace.to_str().unwrap(), "--json"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(env!("CARGO_BIN_EXE_imsreg")).args(args).stdout(writer).output().expect("the binary");
        let said = text(&output.stderr);
        assert!(!said.contains("panicked") && matches!(output.status.code(), Some(0 | 1)), "{args:?}: {said}");
    }
}
