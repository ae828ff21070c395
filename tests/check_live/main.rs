//! Faults made on purpose on sockets, and `imsreg check` over them: against `imsreg serve`, and with `imsreg register` as
//! the UE under test. On loopback addresses of its own.
#![cfg(feature = "live")]

#[path = "../common/scratch.rs"]
mod scratch;

mod check;
mod mutate;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// An address of 127/8 for one test of one program.
fn host(test: u8) -> String {
    let [.., a, b] = std::process::id().to_be_bytes();
    format!("127.{}.{b}.{test}", a.max(1))
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imsreg"));
    command
        .args(args)
        .env_remove("IMSREG_PROFILE")
        .env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command
}

fn imsreg(args: &[&str]) -> Output {
    command(args).output().expect("the binary that cargo built")
}

/// What it said on both outputs.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A served core; it is killed with this.
struct Core {
    child: Child,
    /// It would end at a pipe that nobody holds.
    _stdout: BufReader<ChildStdout>,
    /// Where the P-CSCF is.
    pcscf: String,
}

impl Drop for Core {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the core of a test, with `more` flags, and reads its ready line.
fn serve(test: u8, more: &[&str]) -> Core {
    let at = |port: u16| format!("{}:{port}", host(test));
    let listen = [format!("icscf.listen={}", at(4060)), format!("scscf.listen={}", at(6060))];
    let (sip, diameter) = (at(5060), at(3868));
    let mut args = vec!["serve", "--sip", &sip, "--diameter", &diameter];
    args.extend(listen.iter().flat_map(|set| ["--set", set]));
    args.extend(more);
    let mut child = command(&args).stdout(Stdio::piped()).spawn().expect("the binary that cargo built");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let lines = stdout.by_ref().lines().map_while(Result::ok);
    let is_ready = { lines }.any(|line| line.starts_with("ready "));
    assert!(is_ready, "the core of test {test} did not start");
    Core { child, _stdout: stdout, pcscf: sip }
}

/// A UE registers.
fn register(test: u8, core: &Core, imsi: &str, more: &[&str]) -> Output {
    let source = host(test + 100);
    let base = ["register", "--pcscf", &core.pcscf, "--source", &source, "--imsi", imsi, "--timeout", "2"];
    imsreg(&[&base[..], &["--subscriber", "hss-data/lab.yaml"], more].concat())
}

const FIRST: &str = "001010000000001";
const SECOND: &str = "001010000001000";
