//! `imsreg replay` as its users start it: over loopback sockets, exit status, what it prints.

use crate::scratch::Scratch;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

const IMSI: &str = "001010000000001";
const KEYS: [&str; 4] = ["--k", "465b5ce8b199b49faa5f0a2ee238a6bc", "--opc", "cd63cb71954a9f4e48a5994e37a02baf"];

/// A loopback address of this test.
fn host(test: u8) -> String {
    let [.., a, b] = std::process::id().to_be_bytes();
    format!("127.{}.{b}.{test}", a.max(1))
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imsreg"));
    command.args(args).env_remove("IMSREG_PROFILE").env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"));
    command.stdin(Stdio::null());
    command
}

fn imsreg(args: &[&str]) -> Output {
    command(args).output().expect("the binary that cargo built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that says `ready`; it ends with the test.
struct Running(Child, BufReader<ChildStdout>);

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).stdout(Stdio::piped()).spawn().expect("the binary that cargo built");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.starts_with("ready ") {
            line.clear();
            assert_ne!(out.read_line(&mut line).expect("text"), 0, "it ended before it was ready");
        }
        Self(child, out)
    }

    /// What it says until it ends by itself.
    fn ended(mut self) -> (Option<i32>, String) {
        let lines: Vec<String> = self.1.by_ref().lines().map_while(Result::ok).collect();
        let status = self.0.wait().expect("a child");
        (status.code(), lines.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A registration of our own UE at our own core.
fn captured(scratch: &Scratch, host: &str) -> PathBuf {
    let file = scratch.0.join("first.pcapng");
    let at = |port: u16| format!("{host}:{port}");
    let output = imsreg(&[
        "--once",
        "--capture",
        path(&file),
        "--sip",
        &at(5060),
        "--icscf",
        &at(4060),
        "--scscf",
        &at(6060),
        "--diameter",
        &at(3868),
        "--ue",
        &at(20_000),
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    file
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn serve(host: &str, more: &[&str]) -> Running {
    let at = |port: u16| format!("{host}:{port}");
    let (icscf, scscf) = (format!("icscf.listen={}", at(4060)), format!("scscf.listen={}", at(6060)));
    let (sip, diameter) = (at(5060), at(3868));
    let own = ["serve", "--sip", &sip, "--diameter", &diameter, "--set", &icscf, "--set", &scscf];
    Running::start(&[&own, more].concat())
}

#[test]
fn the_recorded_ue_against_a_served_core() {
    let (scratch, host) = (Scratch::new("replay-core"), host(31));
    let trace = captured(&scratch, &host);
    let _core = serve(&host, &[]);
    let pcscf = format!("{host}:5060");
    let flags = ["replay", path(&trace), "--pcscf", &pcscf, "--source", &host, "--speed", "0"];
    let output = imsreg(&[&flags[..], &KEYS].concat());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    assert!(out.ends_with("compared 2 messages: no difference that matters\n"), "{out}");
    assert!(out.contains("note: ESP is not carried"), "{out}");

    let output = imsreg(&[&flags[..], &["--json"]].concat());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "without K: {out}");
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&lines[0]["event"], &lines[0]["plays"]), (&"replay".into(), &"ue".into()));
    let last = lines.last().expect("lines");
    assert_eq!((&last["event"], &last["ok"]), (&"report".into(), &false.into()));
    assert!(lines.iter().any(|line| line["event"] == "not-sent" && line["message"].is_number()), "{out}");
}

#[test]
fn a_core_that_agrees_on_nothing_differs() {
    let (scratch, host) = (Scratch::new("replay-differs"), host(32));
    let trace = captured(&scratch, &host);
    let _core = serve(&host, &["--sec-agree", "off"]);
    let pcscf = format!("{host}:5060");
    let flags = ["replay", path(&trace), "--pcscf", &pcscf, "--source", &host, "--speed", "0"];
    let output = imsreg(&[&flags[..], &KEYS].concat());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}{}", text(&output.stderr));
    assert!(out.contains("absent   Security-Server[0]"), "{out}");
}

#[test]
fn the_recorded_network_against_a_ue() {
    let (scratch, host) = (Scratch::new("replay-ue"), host(33));
    let trace = captured(&scratch, &host);
    let listen = format!("{host}:5070");
    let flags = [
        "replay",
        path(&trace),
        "--listen",
        &listen,
        "--speed",
        "0",
        "--set",
        "pcscf.port_s=6170",
        "--set",
        "pcscf.port_c=5170-5180",
    ];
    let network = Running::start(&[&flags[..], &KEYS].concat());
    let register = ["register", "--pcscf", &listen, "--imsi", IMSI, "--source", &host];
    let output = imsreg(&[&register[..], &KEYS].concat());
    let (status, out) = network.ended();
    assert!(output.status.success(), "{}{}\n{out}", text(&output.stdout), text(&output.stderr));
    assert_eq!(status, Some(0), "{out}");
}

/// The plane that needs no rights carries ESP between a replay and its other side, whichever that is.
#[test]
fn esp_is_carried_where_k_is_known() {
    let (scratch, host) = (Scratch::new("replay-esp"), host(35));
    let (trace, ue) = (captured(&scratch, &host), self::host(36));
    let plane = ["--ipsec", "unprivileged", "--esp-port", "4571"];
    let pcscf = format!("{host}:5060");
    {
        let _core = serve(&host, &[&plane[..], &["--sec-agree", "required"]].concat());
        let flags = ["replay", path(&trace), "--pcscf", &pcscf, "--source", &ue, "--speed", "0"];
        let without_k = imsreg(&[&flags[..], &plane].concat());
        assert_eq!(without_k.status.code(), Some(2));
        assert!(text(&without_k.stderr).contains("CK and IK follow from K"), "{}", text(&without_k.stderr));
        let output = imsreg(&[&flags[..], &plane, &KEYS].concat());
        let out = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
        assert!(!out.contains("ESP is not carried"), "{out}");
    }
    let flags = ["replay", path(&trace), "--listen", &pcscf, "--speed", "0"];
    let network = Running::start(&[&flags[..], &plane, &KEYS].concat());
    let register = ["register", "--pcscf", &pcscf, "--imsi", IMSI, "--source", &ue];
    let output = imsreg(&[&register[..], &plane, &KEYS].concat());
    let (status, out) = network.ended();
    assert!(output.status.success(), "{}{}\n{out}", text(&output.stdout), text(&output.stderr));
    assert_eq!(status, Some(0), "{out}");
}

#[test]
fn in_virtual_time_nothing_is_needed_but_the_trace() {
    let (scratch, host) = (Scratch::new("replay-virtual"), host(34));
    let trace = captured(&scratch, &host);
    let output = imsreg(&[&["replay", path(&trace)][..], &KEYS].concat());
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    assert!(out.ends_with("compared 4 messages: no difference that matters\n"), "{out}");
    let output = imsreg(&["replay", path(&trace)]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    assert!(
        out.contains("note: without K") && out.ends_with("compared 2 messages: no difference that matters\n"),
        "{out}"
    );
}

#[test]
fn bad_input_is_exit_status_2() {
    let scratch = Scratch::new("replay-bad");
    let empty = scratch.file("empty.txt", "nothing to see\n");
    for (args, word) in [
        (&["replay", path(&empty)][..], "no registration"),
        (&["replay", path(&empty), "--registration", "3"], "no registration 3"),
        (&["replay", "/does/not/exist"], "/does/not/exist"),
        (&["replay", path(&empty), "--pcscf", "127.0.0.1:5060", "--listen", "127.0.0.1:5061"], "--listen"),
    ] {
        let output = imsreg(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
}
