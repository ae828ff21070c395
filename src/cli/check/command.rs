//! `--ue-command`: the UE under test, started for each case and ended behind it.

use crate::cli::Failure;
use crate::time::Duration;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// What a command is told about its case.
pub(super) struct Told<'a> {
    /// Where the P-CSCF is.
    pub(super) pcscf: SocketAddr,
    /// Which case it is.
    pub(super) case: &'a str,
    /// The number of the P-CSCF's address among those of cases side by side.
    pub(super) place: u32,
    /// Its standard input brings orders.
    pub(super) takes_orders: bool,
}

/// A command that runs, in a process group of its own.
pub(super) struct Started(Child);

impl Started {
    /// Runs `command` by the shell.
    pub(super) fn new(command: &str, told: &Told<'_>) -> Result<Self, Failure> {
        let child = Command::new("sh")
            .args(["-c", command])
            .env("IMSREG_CHECK_PCSCF", told.pcscf.to_string())
            .env("IMSREG_CHECK_CASE", told.case)
            .env("IMSREG_CHECK_PLACE", told.place.to_string())
            .stdin(if told.takes_orders { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::null())
            .process_group(0)
            .spawn();
        child.map(Self).map_err(|e| Failure::Usage(format!("--ue-command {command}: {e}")))
    }

    /// What the UE is to do now.
    pub(super) fn order(&self, line: &str) {
        if let Some(mut orders) = self.0.stdin.as_ref() {
            // Whoever is gone does nothing: the recording shows as much.
            let _ = orders.write_all(format!("{line}\n").as_bytes());
        }
    }

    /// Ends all processes of the group: those that do not hear in time are killed.
    pub(super) async fn end(mut self) {
        self.signal(Signal::SIGTERM);
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.runs() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.0.id()) {
            // Whoever is gone needs none.
            let _ = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(20);
