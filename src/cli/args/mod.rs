//! The command line: what each command takes, and which keys of the profile its flags set.

mod check;
mod control;
mod register;
mod serve;
mod trace;
mod ue;

pub use check::{CheckArgs, CheckCommand, CheckPcscfArgs, CheckRunArgs, CheckUeArgs, Target};
pub use control::{CtlArgs, CtlCommand, Reason, SaArgs};
pub use register::RegisterArgs;
pub use serve::ServeArgs;
pub use trace::{
    Against, AkaAlgorithm, AkaArgs, ConvertArgs, ConvertFormat, DeriveArgs, DiagnoseArgs, ExplainArgs, ReplayArgs,
    SeverityArg, ShowArgs, TraceArgs, ValidateArgs,
};
pub use ue::UeArgs;

use crate::config::{Faults, Setting, hss_data_of, mask_value};
use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// IMS registration simulator. Without a command: P-CSCF, I-CSCF, S-CSCF and HSS on loopback, one simulated UE that
/// registers, and the ladder of its messages.
#[derive(Parser, Debug)]
#[command(name = "imsreg", version, args_conflicts_with_subcommands = true, after_help = FIRST_RUN_EXAMPLE)]
pub struct Cli {
    /// What to do; nothing: the first run.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of the first run.
    #[command(flatten)]
    pub first_run: FirstRunArgs,
}

impl Cli {
    /// The command line of this process. What is wrong with it is told without keys: they may stand in wrong places.
    pub fn from_command_line() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            let text = error.to_string();
            let masked = mask_value(&text);
            // Help and version have examples with keys that everybody knows.
            if error.use_stderr() && masked != text {
                eprint!("{masked}");
                std::process::exit(2);
            }
            error.exit()
        })
    }
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run any subset of the elements
    Serve(Box<ServeArgs>),
    /// Be one UE, or many, against any P-CSCF
    Register(Box<RegisterArgs>),
    /// Run a scenario in virtual time: same seed, same bytes
    Simulate(SimulateArgs),
    /// Check conformance: of a P-CSCF and the core behind it, or of a UE
    Check(CheckArgs),
    /// Draw a trace: who said what to whom, by registration
    Show(Box<ShowArgs>),
    /// Judge a trace: every rule over every registration
    Validate(Box<ValidateArgs>),
    /// Say why a registration of a trace failed
    Diagnose(Box<DiagnoseArgs>),
    /// Play a recorded registration again: the UE against a core, the network against a UE, or both in virtual time
    Replay(Box<ReplayArgs>),
    /// From a trace: a profile that makes our core, or our UE, behave as the recorded one
    Profile(Box<DeriveArgs>),
    /// Explain a rule of `validate`, or list them all
    Explain(ExplainArgs),
    /// Write a trace in another form, without what identifies anybody, or with what ESP holds in clear
    Convert(Box<ConvertArgs>),
    /// Calculate vectors, AUTN, AUTS and responses, and say which known mistake fits
    Aka(Box<AkaArgs>),
    /// Speak to a running `imsreg serve`
    Ctl(CtlArgs),
    /// Show the security associations of a running `imsreg serve`: the same as `ctl sa`
    Sa(SaArgs),
}

/// Flags that every command has.
#[derive(Args, Clone, Debug, Default)]
pub struct CommonArgs {
    /// One JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
    /// Log more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// Which configuration is used.
#[derive(Args, Clone, Debug)]
pub struct ProfileArgs {
    /// Network profile: a name (lab, volte, huawei-460-60, or a file of profiles/) or a path
    #[arg(long, value_name = "NAME|FILE", env = "IMSREG_PROFILE")]
    pub profile: Option<String>,
    /// Set any key of the profile; repeatable, the last one wins
    #[arg(long, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
}

impl ProfileArgs {
    /// The profile asked for.
    pub fn name(&self) -> &str {
        self.profile.as_deref().unwrap_or("lab")
    }

    fn settings(&self) -> Result<Vec<Setting>, Faults> {
        self.set.iter().map(|argument| Setting::from_set(argument)).collect()
    }
}

/// The first run.
#[derive(Args, Debug)]
pub struct FirstRunArgs {
    /// Exit when the UE has its 200
    #[arg(long)]
    pub once: bool,
    /// Show keys in the ladder (CK, IK, XRES)
    #[arg(long)]
    pub show_keys: bool,
    /// Subscribers: a file or a directory
    #[arg(long, value_name = "FILE|DIR")]
    pub hss_data: Option<PathBuf>,
    /// Write every message to a pcapng file
    #[arg(long, value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,
    /// Where the P-CSCF listens
    #[arg(long, value_name = "ADDR:PORT")]
    pub sip: Option<SocketAddr>,
    /// Protected server port of the P-CSCF
    #[arg(long, value_name = "PORT")]
    pub port_s: Option<u16>,
    /// Pool of protected client ports of the P-CSCF
    #[arg(long, value_name = "FIRST-LAST")]
    pub port_c: Option<String>,
    /// Where the I-CSCF listens
    #[arg(long, value_name = "ADDR:PORT")]
    pub icscf: Option<SocketAddr>,
    /// Where the S-CSCF listens
    #[arg(long, value_name = "ADDR:PORT")]
    pub scscf: Option<SocketAddr>,
    /// Where the HSS listens
    #[arg(long, value_name = "ADDR:PORT")]
    pub diameter: Option<SocketAddr>,
    /// Unprotected address of the UE
    #[arg(long, value_name = "ADDR:PORT")]
    pub ue: Option<SocketAddr>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub profile: ProfileArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

impl FirstRunArgs {
    /// What the flags set in the profile; `--set` comes last.
    pub fn settings(&self) -> Result<Vec<Setting>, Faults> {
        let mut settings = Settings::default();
        settings.flag("--sip", "pcscf.listen", self.sip);
        settings.flag("--port-s", "pcscf.port_s", self.port_s);
        settings.flag("--port-c", "pcscf.port_c", self.port_c.as_ref());
        settings.flag("--icscf", "icscf.listen", self.icscf);
        settings.flag("--scscf", "scscf.listen", self.scscf);
        settings.flag("--diameter", "hss.listen", self.diameter);
        settings.flag("--ue", "ue.address", self.ue);
        settings.with_set(&self.profile)
    }

    /// The subscribers' file.
    pub fn hss_data(&self) -> PathBuf {
        hss_data(self.hss_data.as_ref(), &self.profile)
    }
}

/// `simulate`
#[derive(Args, Debug)]
#[command(after_help = SIMULATE_EXAMPLE)]
pub struct SimulateArgs {
    /// Scenarios: names or files
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// Seed of all chance; else that of the scenario
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// A fault of the first UE, by its id in a file of mutations (docs/mutations.md) or among the cases of `check`
    #[arg(long, value_name = "ID|FILE:ID")]
    pub mutate: Option<String>,
    /// Write every message to FILE (pcapng), ESP as it is on the wire and its keys beside it; of one scenario
    #[arg(long, value_name = "FILE")]
    pub capture: Option<PathBuf>,
    /// Show keys in the ladder (CK, IK, XRES)
    #[arg(long)]
    pub show_keys: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// Key material from a flag. `Debug` shows nothing.
#[derive(Clone)]
pub struct KeyArg(String);

impl std::fmt::Debug for KeyArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyArg(..)")
    }
}

impl KeyArg {
    /// As it was given.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// 16 octets, if it is their hexadecimal digits.
    pub fn octets(&self) -> Option<[u8; 16]> {
        let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(self.0.trim().as_bytes()).ok()?;
        octets.try_into().ok()
    }

    /// Octets, as many as there are hexadecimal digits for.
    pub fn any(&self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        data_encoding::HEXLOWER_PERMISSIVE.decode(self.0.trim().as_bytes()).ok().map(zeroize::Zeroizing::new)
    }
}

impl From<String> for KeyArg {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The flag that changes a key of the profile, for messages: `--sip ADDR:PORT` or `--set KEY=VALUE`.
pub fn flag_for(command: FlagsOf, key: &str) -> String {
    let flag = match (command, key) {
        (FlagsOf::Replay | FlagsOf::Check, "pcscf.listen") => "--listen ADDR:PORT",
        (FlagsOf::Replay, "ue.address") => "--source ADDR:PORT",
        (_, "pcscf.listen") => "--sip ADDR:PORT",
        (_, "hss.listen") => "--diameter ADDR:PORT",
        (FlagsOf::FirstRun, "pcscf.port_s") => "--port-s PORT",
        (FlagsOf::FirstRun, "pcscf.port_c") => "--port-c FIRST-LAST",
        (FlagsOf::FirstRun, "icscf.listen") => "--icscf ADDR:PORT",
        (FlagsOf::FirstRun, "scscf.listen") => "--scscf ADDR:PORT",
        (FlagsOf::FirstRun, "ue.address") => "--ue ADDR:PORT",
        (FlagsOf::Register | FlagsOf::Check, "ue.address") => "--source ADDR:PORT",
        _ => return format!("--set {key}=VALUE"),
    };
    flag.to_owned()
}

/// Whose flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FlagsOf {
    FirstRun,
    Serve,
    Register,
    Replay,
    Check,
}

#[derive(Default)]
struct Settings(Vec<Setting>);

impl Settings {
    fn flag(&mut self, flag: &str, key: &str, value: Option<impl ToString>) {
        self.0.extend(value.map(|v| Setting::new(flag, key, v.to_string())));
    }

    fn list<T: ToString>(&mut self, flag: &str, key: &str, values: &[T]) {
        let quoted: Vec<String> = values.iter().map(|v| format!("'{}'", v.to_string().replace('\'', "''"))).collect();
        self.0.push(Setting::new(flag, key, format!("[{}]", quoted.join(", "))));
    }

    fn with_set(mut self, profile: &ProfileArgs) -> Result<Vec<Setting>, Faults> {
        self.0.extend(profile.settings()?);
        Ok(self.0)
    }
}

/// The file asked for, or the one that goes with the profile.
fn hss_data(given: Option<&PathBuf>, profile: &ProfileArgs) -> PathBuf {
    given.cloned().unwrap_or_else(|| hss_data_of(profile.name()))
}

/// An address alone leaves the port to the system.
fn source(text: &str) -> Result<SocketAddr, String> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    alone.or_else(|_| text.parse()).map_err(|_| "an address, with or without a port, expected".to_owned())
}

const FIRST_RUN_EXAMPLE: &str = "Example:\n  imsreg --once --capture first.pcapng";
const SIMULATE_EXAMPLE: &str = "Example:\n  imsreg simulate tests/scenarios/first-registration.yaml --seed 7";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_profile;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
        let mut command = Cli::command();
        assert!(command.render_long_help().to_string().contains("Example:"));
        for sub in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
            assert!(sub.render_long_help().to_string().contains("Example:"), "{}", sub.get_name());
        }
    }

    #[test]
    fn the_first_run_needs_nothing() {
        let cli = Cli::try_parse_from(["imsreg", "--once", "--sip", "127.0.0.1:5070"]).unwrap();
        assert!(cli.command.is_none() && cli.first_run.once);
        let profile = load_profile(cli.first_run.profile.name(), &cli.first_run.settings().unwrap()).unwrap();
        assert_eq!(profile.pcscf.listen[0].port(), 5070);
        assert_eq!(cli.first_run.hss_data(), PathBuf::from("hss-data/lab.yaml"));
    }
}
