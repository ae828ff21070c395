//! `imsreg diagnose` as scripts use it (docs/diagnosis.md).

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const REFUSED: &str = "REGISTER sip:ims.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\nCSeq: 1 REGISTER\r\n\
                       From: <sip:u@ims.example>;tag=1\r\nTo: <sip:u@ims.example>\r\nCall-ID: c\r\n\
                       Authorization: Digest username=\"u@ims.example\",realm=\"ims.example\",uri=\"sip:ims.example\",\
                       nonce=\"\",response=\"\"\r\nContent-Length: 0\r\n\r\n\
                       SIP/2.0 403 Forbidden - HSS Roaming not allowed\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\n\
                       CSeq: 1 REGISTER\r\nFrom: <sip:u@ims.example>;tag=1\r\nTo: <sip:u@ims.example>;tag=2\r\nCall-ID: c\r\n\
                       Content-Length: 0\r\n\r\n";

/// `imsreg diagnose -` with more arguments.
fn diagnose(trace: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imsreg"));
    for key in ["IMSREG_K", "IMSREG_OPC", "IMSREG_OP"] {
        command.env_remove(key);
    }
    command.args(["diagnose", "-"]).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary that cargo built");
    child.stdin.take().expect("a pipe").write_all(trace.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_report_has_the_form_that_scripts_rely_on() {
    let output = diagnose(REFUSED, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let cause = &report["causes"][0];
    for key in [
        "name",
        "registration",
        "messages",
        "meaning",
        "expected",
        "found",
        "clause",
        "action",
        "certainty",
        "ruled_out",
    ] {
        assert!(!cause[key].is_null(), "{key} in {cause}");
    }
    assert_eq!((&cause["name"], &cause["certainty"]), (&"DIAG-VISITED".into(), &"likely".into()));
    assert_eq!((&cause["registration"], &cause["messages"]), (&1.into(), &serde_json::json!([1, 2])));
    assert!(report["remarks"].is_array());
    assert_eq!(output.status.code(), Some(1), "a cause was found");
}

#[test]
fn people_read_what_to_do() {
    let said = text(&diagnose(REFUSED, &[]).stdout);
    for words in
        ["Registration 1: sip:u@ims.example: failed", "DIAG-VISITED  likely  messages 1, 2", "do:", "TS 29.228"]
    {
        assert!(said.contains(words), "{words:?} in {said}");
    }
}

#[test]
fn a_trace_without_a_registration_and_bad_input() {
    let options = REFUSED.replace("REGISTER", "OPTIONS");
    let output = diagnose(&options, &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["causes"][0]["name"], "DIAG-NO-ATTEMPT");
    assert_eq!(output.status.code(), Some(1));
    for bad in [&["--registration", "7"][..], &["--k", "12"], &["--opc", "00112233445566778899aabbccddeeff"]] {
        assert_eq!(diagnose(REFUSED, bad).status.code(), Some(2), "{bad:?}");
    }
}

#[test]
fn nothing_is_said_of_what_is_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/seeds");
    let parts = ["ims-01-register.sip", "ims-02-401.sip", "ims-03-register-auth.sip", "ims-04-200.sip"];
    let recorded = parts.map(|part| std::fs::read_to_string(folder.join(part)).expect("a seed document")).join("\n\n");
    let output = diagnose(&recorded, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains(": registered"));
}
