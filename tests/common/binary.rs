//! The binary that cargo built, run as its users run it, on addresses of 127/8 of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// An address for one test of one program.
pub(crate) fn host(test: u8) -> String {
    let [.., a, b] = std::process::id().to_be_bytes();
    format!("127.{}.{b}.{test}", a.max(1))
}

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imsreg"));
    command
        .args(args)
        .env_remove("IMSREG_PROFILE")
        .env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command
}

pub(crate) fn imsreg(args: &[&str]) -> Output {
    command(args).output().expect("the binary that cargo built")
}

/// A served core; it is killed with this.
pub(crate) struct Core {
    child: Child,
    /// It would end at a pipe that nobody holds.
    _stdout: BufReader<ChildStdout>,
    /// Its ready line.
    ready: String,
}

impl Core {
    /// Starts the core of a test, with `more` flags: its P-CSCF is at port 5060 of [`host`].
    pub(crate) fn start(test: u8, more: &[&str]) -> Self {
        let at = |port: u16| format!("{}:{port}", host(test));
        let listen = [format!("icscf.listen={}", at(4060)), format!("scscf.listen={}", at(6060))];
        let (sip, diameter) = (at(5060), at(3868));
        let mut args = vec!["serve", "--sip", &sip, "--diameter", &diameter];
        args.extend(listen.iter().flat_map(|set| ["--set", set]));
        args.extend(more);
        let mut child = command(&args).stdout(Stdio::piped()).spawn().expect("the binary that cargo built");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let lines = stdout.by_ref().lines().map_while(Result::ok);
        let ready = { lines }.find(|line| line.starts_with("ready "));
        let ready = ready.unwrap_or_else(|| panic!("the core of test {test} did not start"));
        Self { child, _stdout: stdout, ready }
    }

    /// Where a listener is, by its name in the ready line.
    pub(crate) fn at(&self, listener: &str) -> &str {
        let found = self.ready.split(' ').find_map(|word| word.strip_prefix(listener)?.strip_prefix('='));
        found.unwrap_or_else(|| panic!("no {listener} in {}", self.ready))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
