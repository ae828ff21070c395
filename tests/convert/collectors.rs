//! HEP from one process to another.

use crate::scratch::Scratch;
use crate::{convert, imsreg, name, simulated, text};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// A command that a failing test must not leave behind.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn a_collector_shows_what_an_agent_sends() {
    let scratch = Scratch::new("convert-hep");
    let capture = simulated(&scratch.0, "first-registration.yaml");
    let text_of = scratch.0.join("messages.hep");
    convert(&capture, &text_of, &[]);
    let expected = crate::shown(&text_of, &[]).iter().filter(|value| value["event"] == "message").count();
    for protocol in ["udp", "tcp"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_imsreg"))
            .args(["show", &format!("hep:{protocol}:127.0.0.1:0"), "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary that cargo built");
        let mut line = String::new();
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        said.read_line(&mut line).expect("a line");
        let mut running = Running(child);
        let place = line.split([' ', ';']).find(|word| word.starts_with("hep:")).unwrap_or_else(|| panic!("{line}"));
        let output = imsreg(&["convert", name(&capture), place, "--rate", "5000"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let status = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().expect("kill");
        assert!(status.success());
        let mut shown = String::new();
        running.0.stdout.take().expect("a pipe").read_to_string(&mut shown).expect("UTF-8");
        assert!(running.0.wait().expect("a child").success());
        let messages = shown
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("an object a line"))
            .filter(|value| value["event"] == "message")
            .count();
        assert_eq!(messages, expected, "{protocol}");
    }
}
