//! What is converted shows the same.

use crate::scratch::Scratch;
use crate::{beside, convert, imsreg, name, shown, simulated, text, verdicts};
use std::process::Command;

#[test]
fn a_capture_of_ours_in_every_form() {
    let scratch = Scratch::new("convert-forms");
    let capture = simulated(&scratch.0, "first-registration.yaml");
    let before = shown(&capture, &[]);
    assert!(before.len() > 10, "{before:?}");
    for form in ["pcapng", "pcap"] {
        let out = scratch.0.join(format!("copy.{form}"));
        convert(&capture, &out, &[]);
        assert_eq!(shown(&out, &[]), before, "{form}");
        assert_eq!(verdicts(&out), verdicts(&capture), "{form}");
    }
    let out = scratch.0.join("messages.txt");
    convert(&capture, &out, &[]);
    let left_out = ["seen", "set", "sets", "esp"];
    assert_eq!(shown(&out, &left_out), shown(&capture, &left_out), "text");
    // And from there to packets again.
    let again = scratch.0.join("again.pcapng");
    convert(&out, &again, &[]);
    assert_eq!(shown(&again, &left_out), shown(&out, &left_out), "text to pcapng");
    let out = scratch.0.join("messages.hep");
    let said = convert(&capture, &out, &[]);
    assert!(said.contains("messages of Diameter"), "{said}");
    let sip = |value: &&serde_json::Value| value["event"] == "message" && value["protocol"] == "sip";
    let (found, expected) = (shown(&out, &[]), before.iter().filter(sip).count());
    assert_eq!(found.iter().filter(sip).count(), expected);
}

#[test]
fn every_file_beside_the_repository() {
    let scratch = Scratch::new("convert-corpus");
    let captures = beside("corpus/pcap", &[".pcap", ".pcapng"]);
    for file in &captures {
        for form in ["pcapng", "pcap"] {
            let out = scratch.0.join(format!("copy.{form}"));
            convert(file, &out, &[]);
            assert_eq!(shown(&out, &[]), shown(file, &[]), "{} {form}", file.display());
        }
        let out = scratch.0.join("mirrored.pcapng");
        convert(file, &out, &["--decrypt"]);
        assert_eq!(shown(&out, &[]), shown(file, &[]), "{}: the mirror is a copy", file.display());
    }
    let texts = [
        beside("corpus/dumps", &[".txt"]),
        beside("corpus/seeds", &[".txt"]),
        beside("corpus/pcap", &[".txt"]),
        captures,
    ];
    for file in texts.iter().flatten() {
        let out = scratch.0.join("messages.txt");
        convert(file, &out, &[]);
        let left_out = ["seen", "set", "sets", "shut", "esp", "from", "to", "interface", "attempts"];
        assert_eq!(shown(&out, &left_out), shown(file, &left_out), "{}", file.display());
    }
    for file in texts[..3].iter().flatten() {
        let (out, messages) = (scratch.0.join("packets.pcapng"), |file| {
            let all = shown(file, &[]);
            all.into_iter()
                .filter(|value| value["event"] == "message")
                .map(|value| value["lines"].clone())
                .collect::<Vec<_>>()
        });
        convert(file, &out, &[]);
        let sorted = |mut all: Vec<serde_json::Value>| {
            all.sort_by_key(ToString::to_string);
            all
        };
        assert_eq!(sorted(messages(&out)), sorted(messages(file)), "{}", file.display());
    }
}

/// Ends that are made up are the same in each direction, and that they are made up is said.
#[test]
fn a_text_without_ends_becomes_packets() {
    let scratch = Scratch::new("convert-ends");
    let notes = scratch.file(
        "notes.txt",
        "REGISTER sip:home.example SIP/2.0\nVia: SIP/2.0/UDP ue.example:5070;branch=z9hG4bK1\nFrom: <sip:a@home.example>;tag=1\n\
         To: <sip:a@home.example>\nCall-ID: c1\nCSeq: 1 REGISTER\nContact: <sip:a@ue.example:5070>\nContent-Length: 0\n\n\
         SIP/2.0 200 OK\nVia: SIP/2.0/UDP ue.example:5070;branch=z9hG4bK1\nFrom: <sip:a@home.example>;tag=1\n\
         To: <sip:a@home.example>;tag=2\nCall-ID: c1\nCSeq: 1 REGISTER\nContact: <sip:a@ue.example:5070>;expires=60\n\
         Content-Length: 0\n",
    );
    for form in ["pcapng", "pcap"] {
        let out = scratch.0.join(format!("out.{form}"));
        let said = convert(&notes, &out, &[]);
        assert!(said.contains("2 messages whose ends are made up"), "{said}");
        let found = shown(&out, &[]);
        let ends = |at: usize| (found[at]["source"].clone(), found[at]["destination"].clone());
        let ((from, to), answer) = (ends(0), ends(1));
        assert_eq!(answer, (to, from.clone()));
        assert!(from.as_str().expect("ends").starts_with("198.18.0."), "{from}");
    }
}

#[test]
fn tshark_reads_what_is_written() {
    let scratch = Scratch::new("convert-tshark");
    let capture = simulated(&scratch.0, "first-registration.yaml");
    for (form, flags) in [("pcap", &["--redact"][..]), ("pcapng", &["--redact"]), ("pcapng", &["--decrypt"])] {
        let out = scratch.0.join(format!("out.{form}"));
        convert(&capture, &out, flags);
        let output = Command::new("tshark")
            .args(["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"])
            .args([
                "-d",
                "tcp.port==6060,sip",
                "-Y",
                "_ws.malformed || _ws.expert.severity >= 0x800000",
                "-r",
                name(&out),
            ])
            .output();
        let Ok(output) = output else {
            println!("not run: no tshark on this machine");
            return;
        };
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{form}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let scratch = Scratch::new("convert-refused");
    let trace = scratch.file("a.txt", "OPTIONS sip:a SIP/2.0\nCall-ID: x\n\n");
    let cases: [(&[&str], &str); 4] = [
        (&["a.xyz"], "--format"),
        (&["b.pcap", "--decrypt"], "--decrypt"),
        (&["hep:udp:nowhere"], "hep:udp:ADDR:PORT"),
        (&["hep:udp:127.0.0.1:1", "--format", "pcap"], "a collector takes hep"),
    ];
    for (flags, word) in cases {
        let output = imsreg(&[&["convert", name(&trace)], flags].concat());
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
    let output = imsreg(&["convert", name(&trace), name(&trace), "--format", "text"]);
    assert!(text(&output.stderr).contains("over itself"), "{}", text(&output.stderr));
}
