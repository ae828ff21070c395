//! The command line: arguments to configuration to one run.

mod aka;
pub mod args;
mod check;
mod control;
mod convert;
mod diagnose;
mod first_run;
mod many;
mod mutation;
mod network;
mod out;
mod profile;
mod progress;
mod record;
mod register;
mod replay;
mod report;
mod serve;
mod show;
mod simulate;
mod tls;
mod trace;
mod validate;

use crate::config::Faults;
use crate::live::BindError;
use crate::live::plane::Unavailable;
use crate::packet::Transport;
use args::{Cli, Command, CommonArgs};
use std::future::Future;
use std::io::{self, IsTerminal};
use std::panic::resume_unwind;
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Why a command ends without having done its work.
#[derive(Debug)]
pub enum Failure {
    /// Configuration: exit status 2.
    Config(Faults),
    /// A port: exit status 2.
    Bind(BindError, args::FlagsOf),
    /// Bad input of another kind: exit status 2.
    Usage(String),
    /// The thing under test failed: exit status 1.
    Failed(String),
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Config(faults)
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Self::Usage(unavailable.to_string())
    }
}

/// Runs one command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let common = match &cli.command {
        None => &cli.first_run.common,
        Some(Command::Serve(a)) => &a.common,
        Some(Command::Register(a)) => &a.common,
        Some(Command::Simulate(a)) => &a.common,
        Some(Command::Check(a)) => a.common(),
        Some(Command::Show(a)) => &a.common,
        Some(Command::Validate(a)) => &a.common,
        Some(Command::Replay(a)) => &a.common,
        Some(Command::Diagnose(a)) => &a.common,
        Some(Command::Profile(a)) => &a.common,
        Some(Command::Convert(a)) => &a.common,
        Some(Command::Aka(a)) => &a.common,
        // They log nothing.
        Some(Command::Ctl(_) | Command::Sa(_) | Command::Explain(_)) => &CommonArgs { json: false, verbose: 0 },
    };
    log_to_stderr(common);
    let done = match cli.command {
        None => in_runtime(first_run::run(cli.first_run)),
        Some(Command::Serve(args)) => in_runtime(as_a_task(serve::run(*args))),
        Some(Command::Register(args)) => in_runtime(register::run(*args)),
        Some(Command::Simulate(args)) => simulate::run(&args),
        Some(Command::Check(args)) => in_runtime(check::run(args)),
        Some(Command::Show(args)) => show::run(&args),
        Some(Command::Validate(args)) => validate::run(&args),
        Some(Command::Replay(args)) => in_runtime(replay::run(*args)),
        Some(Command::Diagnose(args)) => diagnose::run(&args),
        Some(Command::Profile(args)) => profile::run(&args),
        Some(Command::Explain(args)) => validate::explain(&args),
        Some(Command::Convert(args)) => convert::run(&args),
        Some(Command::Aka(args)) => aka::run(&args),
        Some(Command::Ctl(args)) => control::run(&args),
        Some(Command::Sa(args)) => control::run(&args.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(faults)) => {
            let text = if io::stderr().is_terminal() { faults.draw(colour()) } else { format!("{faults}\n") };
            eprint!("{text}");
            ExitCode::from(2)
        }
        Err(Failure::Bind(error, _)) if error.transport == Transport::Sctp => {
            eprintln!("imsreg: {error}; --set diameter.transports=tcp does without");
            ExitCode::from(2)
        }
        Err(Failure::Bind(error, flags)) => {
            let flag = args::flag_for(flags, network::key_of(&error.listener));
            eprintln!("imsreg: {error}; choose another with {flag}");
            ExitCode::from(2)
        }
        Err(Failure::Usage(text)) => {
            eprintln!("imsreg: {text}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(text)) => {
            eprintln!("imsreg: {text}");
            ExitCode::FAILURE
        }
    }
}

/// One thread, and tasks that never leave it.
fn in_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Usage(format!("the system gives no event queue: {e}")))?;
    tokio::task::LocalSet::new().block_on(&runtime, command)
}

/// For [`in_runtime`]: what is no task there is looked at with every packet.
async fn as_a_task(command: impl Future<Output = Result<(), Failure>> + 'static) -> Result<(), Failure> {
    tokio::task::spawn_local(command).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

/// Ctrl-C and SIGTERM, caught from the moment this exists: whoever has read `ready` may send one.
struct Interrupt {
    int: Signal,
    term: Signal,
}

impl Interrupt {
    fn install() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(|e| Failure::Usage(format!("signals cannot be caught: {e}")));
        Ok(Self { int: catch(SignalKind::interrupt())?, term: catch(SignalKind::terminate())? })
    }

    /// Waits for either.
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// Standard output may be coloured: it is a terminal, and NO_COLOR is not set.
fn colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn log_to_stderr(common: &CommonArgs) {
    let level = match common.verbose {
        0 => "warn",
        1 => "imsreg=debug,info",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("IMSREG_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colour());
    // A second initialisation in one process (tests) keeps the first.
    let _ = if common.json { log.json().try_init() } else { log.try_init() };
}
