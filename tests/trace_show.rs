//! `imsreg show` as its users start it, over traces of the repository and those beside it.
//!
//! `tests/golden/show/NAME.txt` is what the trace NAME must look like; with `IMSREG_BLESS` set, the test writes it.
#![cfg(feature = "live")]

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn show(args: &[&str], input: Option<&[u8]>) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_imsreg"))
        .arg("show")
        .args(args)
        .env_remove("IMSREG_K")
        .env_remove("IMSREG_OPC")
        .env_remove("IMSREG_OP")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary that cargo built");
    // Who refuses a flag reads nothing, and may have closed the pipe.
    let _ = child.stdin.take().expect("a pipe").write_all(input.unwrap_or_default());
    child.wait_with_output().expect("the command ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A file beside the repository, by IMSREG_SHARED or `../shared`.
fn beside(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let file = root.join(path);
    if !file.exists() {
        println!("not run: no {path} beside the repository (IMSREG_SHARED)");
        return None;
    }
    Some(file)
}

#[track_caller]
fn assert_golden(name: &str, found: &str) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/show").join(format!("{name}.txt"));
    if std::env::var_os("IMSREG_BLESS").is_some() {
        std::fs::write(&golden, found).expect("a place to write");
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{name}.txt: {e}"));
    assert!(found == expected, "{name} looks different now:\n{found}");
}

const GOLDEN: [(&str, &str); 3] = [
    ("operator-trace", "corpus/seeds/ims-full.dump.txt"),
    ("ims-ipsec-register", "corpus/pcap/ims-ipsec-register.pcapng"),
    ("mw-cx", "probes/captures/clean/c004-mw-cx.pcapng"),
];

#[test]
fn ladders_of_recorded_traces() {
    for (name, path) in GOLDEN {
        let Some(file) = beside(path) else { continue };
        let output = show(&[file.to_str().unwrap()], None);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{name}");
        let found = text(&output.stdout);
        let widest = found.lines().map(|line| line.chars().count()).filter(|width| *width > 120).count();
        let tables = found.lines().filter(|line| line.contains('│') && line.chars().count() > 120).count();
        assert_eq!(tables, 0, "{name}: {widest} lines");
        assert_golden(name, &found);
    }
}

/// Keys are there for whoever asks for them, and for nobody else.
#[test]
fn keys_are_masked() {
    const CK: &str = "d53c02758b376066fad0af7daa6df765";
    let Some(file) = beside("corpus/pcap/ims-ipsec-register.pcapng") else { return };
    let file = file.to_str().unwrap();
    for args in [&[file, "--full"][..], &[file, "--json"], &[file]] {
        let output = show(args, None);
        for secret in [CK, "e1763cf28cc2e584588800193137ec92", "17447172f62cf13e"] {
            assert!(!text(&output.stdout).to_lowercase().contains(secret), "{args:?} shows {secret}");
        }
    }
    let output = show(&[file, "--full", "--show-keys"], None);
    assert!(text(&output.stdout).contains(CK));
}

#[test]
fn standard_input_filter_and_number() {
    let Some(file) = beside("corpus/pcap/ims-ipsec-register.pcapng") else { return };
    let capture = std::fs::read(file).unwrap();
    let output = show(&["-", "--registration", "1", "--filter", "interface=gm method=REGISTER"], Some(&capture));
    let found = text(&output.stdout);
    let arrows = found.lines().filter(|line| line.contains('▶') || line.contains('◀')).count();
    // REGISTER, 100, 401, REGISTER, 100, 200: the 100s as well, for they were asked for.
    assert_eq!((output.status.code(), arrows), (Some(0), 6), "{found}");
    assert!(!found.contains("SUBSCRIBE") && !found.contains("UAR"), "{found}");

    let output = show(&["-", "--registration", "2"], Some(&capture));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no registration 2"), "{}", text(&output.stderr));
    let output = show(&["-", "--filter", "methode=REGISTER"], Some(&capture));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no such key"), "{}", text(&output.stderr));
}

#[test]
fn what_is_no_trace_is_refused() {
    let output = show(&["-"], Some(&[0; 64]));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()));
    let output = show(&["/does/not/exist"], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/does/not/exist"), "{}", text(&output.stderr));
    let output = show(&["-", "--k", "00"], Some(b"REGISTER sip:a SIP/2.0\r\n\r\n"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--k: expected 32"), "{}", text(&output.stderr));
}

#[test]
fn a_picture_is_one_document() {
    let Some(file) = beside("probes/captures/clean/c004-mw-cx.pcapng") else { return };
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("show.svg");
    let output = show(&[file.to_str().unwrap(), "--svg", picture.to_str().unwrap()], None);
    assert_eq!(output.status.code(), Some(0));
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    // 20 SIP and 8 Cx messages; CER and CEA are not drawn.
    assert_eq!(svg.matches("<polygon").count(), 28);
    assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    for line in svg.lines() {
        assert_eq!(line.matches('<').count(), line.matches('>').count(), "{line}");
    }
}

/// Every capture of the probes has as many messages as were put on the wire, one registration where one begins in it, and
/// both ends of each message.
#[test]
fn probes_are_counted() {
    let Some(truth) = beside("probes/captures/truth.yaml") else { return };
    let truth = std::fs::read_to_string(truth).unwrap();
    let captures = truth.split("\n- file: ").skip(1);
    let mut seen = 0;
    for capture in captures {
        let name = capture.lines().next().unwrap();
        let value = |key: &str| {
            let line = capture.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
            line.map(|value| value.trim_matches(['\'', '"']).to_owned())
        };
        let file = beside(&format!("probes/captures/{name}")).expect("truth has no file that is not there");
        let mut args = vec![file.to_str().unwrap().to_owned(), "--json".to_owned()];
        for key in ["k", "opc", "op"] {
            args.extend(value(key).into_iter().flat_map(|value| [format!("--{key}"), value]));
        }
        let output = show(&args.iter().map(String::as_str).collect::<Vec<_>>(), None);
        assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output.stderr));
        let lines: Vec<Value> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let report = lines.last().unwrap();
        let counted = |key: &str| report[key].as_u64().unwrap().to_string();
        let expected = (value("sip").unwrap(), value("diameter").unwrap());
        assert_eq!((counted("sip"), counted("diameter")), expected, "{name}");
        let registrations = u64::from(!name.contains("starts-after"));
        assert_eq!(report["registrations"], registrations, "{name}");
        // 200 octets do not always hold what tells.
        for message in lines.iter().filter(|line| line["event"] == "message" && line["cut"] == false) {
            assert!(message["from"].is_string() && message["to"].is_string(), "{name}: {message}");
        }
        seen += 1;
    }
    assert!(seen > 40, "{seen}");
}
