//! What `check` takes.

use super::{CommonArgs, KeyArg, ProfileArgs, Settings, UeArgs, source};
use crate::config::{Faults, Setting, UeFlags};
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// `check`
#[derive(Args, Debug)]
#[command(after_help = CHECK_EXAMPLE)]
pub struct CheckArgs {
    /// Who is looked at
    #[command(subcommand)]
    pub accused: CheckCommand,
}

impl CheckArgs {
    /// The flags that every command has.
    pub const fn common(&self) -> &CommonArgs {
        match &self.accused {
            CheckCommand::Pcscf(args) => &args.run.common,
            CheckCommand::Ue(args) => &args.run.common,
        }
    }
}

/// Who is looked at.
#[derive(Subcommand, Debug)]
pub enum CheckCommand {
    /// A P-CSCF, and the core behind it: imsreg is the UEs
    #[command(after_help = PCSCF_EXAMPLE)]
    Pcscf(Box<CheckPcscfArgs>),
    /// A UE: imsreg is the network
    #[command(after_help = UE_EXAMPLE)]
    Ue(Box<CheckUeArgs>),
}

/// Which cases, and what becomes of them.
#[derive(Args, Debug)]
pub struct CheckRunArgs {
    /// These cases only: their ids, groups or rules
    #[arg(long, value_name = "ID|GROUP|RULE", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Further cases, out of a file (docs/conformance.md); repeatable
    #[arg(long, value_name = "FILE")]
    pub cases: Vec<PathBuf>,
    /// Play nothing: list the cases
    #[arg(long)]
    pub list: bool,
    /// Play everything so many times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Leave out cases that wait for a timer of the peer
    #[arg(long)]
    pub fast: bool,
    /// Write the report for build servers
    #[arg(long, value_name = "FILE.xml")]
    pub junit: Option<PathBuf>,
    /// Write the report as one page with the ladders of what failed
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,
    /// Write what passed on Gm to a pcapng file, or to one for each case in a directory
    #[arg(long, value_name = "FILE.pcapng|DIR")]
    pub capture: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// `check pcscf`
#[derive(Args, Debug)]
pub struct CheckPcscfArgs {
    /// Unprotected address of the P-CSCF; or `self`: our own elements, in virtual time
    #[arg(value_name = "ADDR:PORT|self", required_unless_present = "list", value_parser = target)]
    pub target: Option<Target>,
    /// IMSI of the first UE; else the first of --subscriber
    #[arg(long)]
    pub imsi: Option<String>,
    /// Take keys and identities from a subscriber file; a second UE is the next in it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["k", "opc", "op"])]
    pub subscriber: Option<PathBuf>,
    /// IMSI of the second UE, in --subscriber
    #[arg(long, value_name = "IMSI", requires = "subscriber")]
    pub second_imsi: Option<String>,
    /// K, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_K", requires = "imsi")]
    pub k: Option<KeyArg>,
    /// Private identity; else IMSI@realm
    #[arg(long, requires = "imsi")]
    pub impi: Option<String>,
    /// Identity to register; else sip:IMPI
    #[arg(long, requires = "imsi")]
    pub impu: Option<String>,
    /// Our address; a second UE has the one after it
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = source)]
    pub source: Option<SocketAddr>,
    /// How many addresses, from --source on, the UEs have in turn: a P-CSCF may hold the SAs of one against the next case
    /// for a while. Those of loopback are many anyway
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub addresses: Option<u32>,
    /// Whether the P-CSCF wants a security agreement of everybody: required or offered; off: it knows none, everything
    /// stays in clear, and cases about the agreement are not applicable
    #[arg(long, value_name = "POLICY", default_value = "required", value_parser = ["required", "offered", "off"])]
    pub sec_agree: String,
    /// So many requests in a second at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub ue: UeArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub run: CheckRunArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub profile: ProfileArgs,
}

impl CheckPcscfArgs {
    /// The profile whose `ue` section holds the UE's habits.
    pub fn profile_name(&self) -> &str {
        self.profile.profile.as_deref().unwrap_or("volte")
    }

    /// What the flags set in the profile; `--set` comes last.
    pub fn settings(&self) -> Result<Vec<Setting>, Faults> {
        let mut settings = Settings::default();
        self.ue.set(&mut settings);
        settings.flag("--sec-agree", "ue.sec_agree", (self.sec_agree == "off").then_some("off"));
        settings.with_set(&self.profile)
    }

    /// The flags that make a subscription.
    pub fn ue_flags(&self) -> UeFlags {
        UeFlags {
            impi: self.impi.clone(),
            impu: self.impu.clone(),
            ..self.ue.flags(self.imsi.as_ref(), self.k.as_ref())
        }
    }
}

/// `check ue`
#[derive(Args, Debug)]
pub struct CheckUeArgs {
    /// `self`: our own elements, in virtual time; else the UE that comes to --listen
    #[arg(value_name = "self", value_parser = ["self"], conflicts_with_all = ["listen", "ue_command"])]
    pub target: Option<String>,
    /// Where the P-CSCF listens for the UE
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Starts the UE for each case, by the shell; its processes are ended afterwards
    #[arg(long, value_name = "CMD")]
    pub ue_command: Option<String>,
    /// The UE command reads orders from its standard input, a line each: register, deregister, second-identity, message URI
    #[arg(long, requires = "ue_command")]
    pub ue_orders: bool,
    /// So many cases side by side, each with a P-CSCF at an address of its own from that of --listen on; the UE command is
    /// told the number of the address in IMSREG_CHECK_PLACE, from 0
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=MANY_PLACES))]
    pub jobs: u32,
    /// How long a REGISTER of the UE is waited for, in seconds
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub patience: u32,
    /// Home domain
    #[arg(long)]
    pub realm: Option<String>,
    /// Subscribers: a file or a directory
    #[arg(long, value_name = "FILE|DIR")]
    pub hss_data: Option<PathBuf>,
    /// What carries protected messages: none (they stay in clear), userspace, kernel, unprivileged
    #[arg(long, value_name = "PLANE")]
    pub ipsec: Option<String>,
    /// UDP port of the P-CSCF for ESP, with plane unprivileged: 4500 where it is not given
    #[arg(long, value_name = "PORT")]
    pub esp_port: Option<u16>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub run: CheckRunArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub profile: ProfileArgs,
}

impl CheckUeArgs {
    /// What the flags set in the profile; `--set` comes last.
    pub fn settings(&self) -> Result<Vec<Setting>, Faults> {
        let mut settings = Settings::default();
        settings.flag("--realm", "realm", self.realm.as_ref());
        settings.flag("--listen", "pcscf.listen", self.listen);
        settings.flag("--ipsec", "pcscf.ipsec", self.ipsec.as_ref());
        settings.flag("--esp-port", "pcscf.esp_port", self.esp_port);
        settings.with_set(&self.profile)
    }

    /// The subscribers' file.
    pub fn hss_data(&self) -> PathBuf {
        super::hss_data(self.hss_data.as_ref(), &self.profile)
    }
}

/// What is checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Our own elements, in virtual time.
    Own,
    /// Whoever is there.
    At(SocketAddr),
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "self" => Ok(Target::Own),
        _ => text.parse().map(Target::At).map_err(|_| "ADDR:PORT or self expected".to_owned()),
    }
}

/// More sockets than that are more than a process may have.
const MANY_PLACES: i64 = 100;
const CHECK_EXAMPLE: &str = "Example:\n  imsreg check pcscf self";
const PCSCF_EXAMPLE: &str = "Example:\n  imsreg check pcscf 192.0.2.1:5060 --imsi 001010000000001 \
                             --k 465b5ce8b199b49faa5f0a2ee238a6bc --opc cd63cb71954a9f4e48a5994e37a02baf --html report.html";
const UE_EXAMPLE: &str =
    "Example:\n  imsreg check ue --listen 192.0.2.1:5060 --hss-data hss-data/lab.yaml --html report.html";
