//! The command line: what each command takes, and which keys of the profile its flags set.

use crate::config::{Elements, Faults, Setting, UeFlags, hss_data_of, mask_value};
use crate::trace::story::Filter;
use crate::ue::Misbehaviour;
use crate::validate::Severity;
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
    /// Draw a trace: who said what to whom, by registration
    Show(Box<ShowArgs>),
    /// Judge a trace: every rule over every registration
    Validate(Box<ValidateArgs>),
    /// Explain a rule of `validate`, or list them all
    Explain(ExplainArgs),
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

/// `serve`
#[derive(Args, Debug)]
#[command(after_help = SERVE_EXAMPLE)]
pub struct ServeArgs {
    /// Home domain
    #[arg(long)]
    pub realm: Option<String>,
    /// Unprotected Gm listener of the P-CSCF, UDP and TCP; without P-CSCF the listener of the first element in --only;
    /// repeatable
    #[arg(long, value_name = "ADDR:PORT")]
    pub sip: Vec<SocketAddr>,
    /// Where the HSS listens
    #[arg(long, value_name = "ADDR:PORT")]
    pub diameter: Option<SocketAddr>,
    /// The HSS that the CSCFs ask, when it is not in this process; repeatable, others for failover
    #[arg(long, value_name = "ADDR:PORT")]
    pub hss: Vec<String>,
    /// Subscribers: a file or a directory
    #[arg(long, value_name = "FILE|DIR")]
    pub hss_data: Option<PathBuf>,
    /// Where the HSS keeps SQNs and registrations over a restart; made if it is not there. Only `serve` has it: a first
    /// run and `register` begin and end with their process
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// What carries protected messages: none (they stay in clear), userspace, kernel, unprivileged
    #[arg(long, value_name = "PLANE")]
    pub ipsec: Option<String>,
    /// UDP port of the P-CSCF for ESP, with plane unprivileged: 4500 where it is not given
    #[arg(long, value_name = "PORT")]
    pub esp_port: Option<u16>,
    /// required: no registration without a security agreement; offered: with those who ask; off
    #[arg(long, value_name = "POLICY")]
    pub sec_agree: Option<String>,
    /// Elements to run, of pcscf,icscf,scscf,hss,as; without it all but as
    #[arg(long, value_name = "LIST", value_parser = clap::value_parser!(Elements))]
    pub only: Option<Elements>,
    /// Where `imsreg ctl` finds this process; else imsreg.sock in XDG_RUNTIME_DIR, or one of our own beside it
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Write every message to a pcapng file
    #[arg(long, value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,
    /// Show keys in ladders (CK, IK, XRES)
    #[arg(long)]
    pub show_keys: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub profile: ProfileArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

impl ServeArgs {
    /// The elements to run.
    pub fn elements(&self) -> Elements {
        self.only.unwrap_or(Elements::ALL)
    }

    /// What the flags set in the profile; `--set` comes last.
    pub fn settings(&self) -> Result<Vec<Setting>, Faults> {
        let elements = self.elements();
        let mut settings = Settings::default();
        settings.flag("--realm", "realm", self.realm.as_ref());
        if !self.sip.is_empty() {
            let key = match elements {
                Elements { pcscf: true, .. } => "pcscf.listen",
                Elements { icscf: true, .. } => "icscf.listen",
                Elements { scscf: true, .. } => "scscf.listen",
                Elements { application_server: true, .. } => "as.listen",
                _ => return Err(Faults::one("--sip", "", "no element that speaks SIP is in --only")),
            };
            settings.list("--sip", key, &self.sip);
        }
        if self.state.is_some() && !elements.hss {
            return Err(Faults::one("--state", "", "the HSS, which keeps it, is not in --only"));
        }
        settings.flag("--diameter", "hss.listen", self.diameter);
        if !self.hss.is_empty() {
            settings.list("--hss", "icscf.hss", &self.hss);
            settings.list("--hss", "scscf.hss", &self.hss);
        }
        settings.flag("--ipsec", "pcscf.ipsec", self.ipsec.as_ref());
        settings.flag("--esp-port", "pcscf.esp_port", self.esp_port);
        settings.flag("--sec-agree", "pcscf.sec_agree", self.sec_agree.as_ref());
        settings.with_set(&self.profile)
    }

    /// The subscribers' file.
    pub fn hss_data(&self) -> PathBuf {
        hss_data(self.hss_data.as_ref(), &self.profile)
    }
}

/// `register`
#[derive(Args, Debug)]
#[command(after_help = REGISTER_EXAMPLE)]
pub struct RegisterArgs {
    /// Unprotected address of the P-CSCF
    #[arg(long, value_name = "ADDR:PORT")]
    pub pcscf: SocketAddr,
    /// IMSI
    #[arg(long, required_unless_present = "impu")]
    pub imsi: Option<String>,
    /// Take keys and identities of this IMSI from a subscriber file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["k", "opc", "op", "password"])]
    pub subscriber: Option<PathBuf>,
    /// K, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_K", required_unless_present_any = ["subscriber", "password"])]
    pub k: Option<KeyArg>,
    /// OPc, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OPC")]
    pub opc: Option<KeyArg>,
    /// OP, where OPc is not known
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OP")]
    pub op: Option<KeyArg>,
    /// Password of SIP digest, for a subscriber without USIM
    #[arg(long, value_name = "TEXT", hide_env_values = true, env = "IMSREG_PASSWORD", conflicts_with_all = ["k", "opc", "op"])]
    pub password: Option<KeyArg>,
    /// User name of SIP digest; else the IMPI
    #[arg(long, value_name = "NAME", requires = "password")]
    pub username: Option<String>,
    /// Home domain; else that of the IMSI
    #[arg(long)]
    pub realm: Option<String>,
    /// Private identity; else IMSI@realm
    #[arg(long)]
    pub impi: Option<String>,
    /// Identity to register; else sip:IMPI
    #[arg(long)]
    pub impu: Option<String>,
    /// Our address
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = source)]
    pub source: Option<SocketAddr>,
    /// Transport of the first REGISTER: udp or tcp; or tls for all messages
    #[arg(long)]
    pub transport: Option<String>,
    /// Certificates of the authorities that the P-CSCF is believed by, or its own
    #[arg(long, value_name = "FILE.pem", conflicts_with = "tls_insecure")]
    pub tls_trust: Option<PathBuf>,
    /// Name that the certificate of the P-CSCF must have; else its address
    #[arg(long, value_name = "NAME", requires = "tls_trust")]
    pub tls_name: Option<String>,
    /// Believe any certificate: for a lab
    #[arg(long)]
    pub tls_insecure: bool,
    /// What carries protected messages: none (they stay in clear), userspace, kernel, unprivileged
    #[arg(long, value_name = "PLANE")]
    pub ipsec: Option<String>,
    /// UDP port of the P-CSCF for ESP, with plane unprivileged: 4500 where it is not given
    #[arg(long, value_name = "PORT")]
    pub esp_port: Option<u16>,
    /// required, offered or off
    #[arg(long, value_name = "POLICY")]
    pub sec_agree: Option<String>,
    /// Do security associations wrong: old-keys, wrong-expansion, reused-spi, replay, wrong-ports, wrong-response or mac-failure
    #[arg(long, value_name = "HOW", value_parser = misbehaviour)]
    pub misbehave: Option<Misbehaviour>,
    /// Register for emergency calls (sos): such a registration is not ended, it expires
    #[arg(long, conflicts_with = "deregister")]
    pub emergency: bool,
    /// Highest SQN accepted so far, hexadecimal
    #[arg(long, value_name = "HEX", conflicts_with = "usim")]
    pub sqn: Option<String>,
    /// File that keeps the SQNs of the USIM, read before and written after; YAML, or JSON by its name
    #[arg(long, value_name = "FILE")]
    pub usim: Option<PathBuf>,
    /// Send a MESSAGE to this identity once registered; its refusal is a failure
    #[arg(long, value_name = "URI")]
    pub message: Option<String>,
    /// Stay registered until Ctrl-C
    #[arg(long)]
    pub stay: bool,
    /// De-register at the end
    #[arg(long)]
    pub deregister: bool,
    /// Be so many UEs: IMSI and address are counted up from --imsi and --source; a summary instead of the ladder
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), requires_all = ["imsi", "source"],
        conflicts_with_all = ["impi", "impu", "usim", "message", "misbehave"])]
    pub count: u32,
    /// With --count: so many begin in a second; without it all at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "count")]
    pub rate: Option<u32>,
    /// Give up after so many seconds
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: u32,
    /// Write every message to a pcapng file
    #[arg(long, value_name = "FILE.pcapng")]
    pub capture: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub profile: ProfileArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

impl RegisterArgs {
    /// The profile whose `ue` section holds the UE's habits: 3GPP's unless another is named.
    pub fn profile_name(&self) -> &str {
        self.profile.profile.as_deref().unwrap_or("volte")
    }

    /// What the flags set in the profile; `--set` comes last.
    pub fn settings(&self) -> Result<Vec<Setting>, Faults> {
        let mut settings = Settings::default();
        settings.flag("--realm", "realm", self.realm.as_ref());
        settings.flag("--transport", "ue.transport", self.transport.as_ref());
        settings.flag("--ipsec", "ue.ipsec", self.ipsec.as_ref());
        settings.flag("--esp-port", "ue.esp_port", self.esp_port);
        settings.flag("--sec-agree", "ue.sec_agree", self.sec_agree.as_ref());
        settings.flag("--emergency", "ue.emergency", self.emergency.then_some(true));
        settings.with_set(&self.profile)
    }

    /// The flags that make a subscription.
    pub fn ue_flags(&self) -> UeFlags {
        UeFlags {
            imsi: self.imsi.clone().unwrap_or_default(),
            password: self.password.as_ref().map(|p| p.0.clone()),
            username: self.username.clone(),
            k: self.k.as_ref().map(|k| k.0.clone()).unwrap_or_default(),
            opc: self.opc.as_ref().map(|k| k.0.clone()),
            op: self.op.as_ref().map(|k| k.0.clone()),
            realm: self.realm.clone(),
            impi: self.impi.clone(),
            impu: self.impu.clone(),
            sqn: self.sqn.clone(),
            usim: self.usim.clone(),
        }
    }
}

/// A trace, and the keys that open it.
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// A capture (pcap, pcapng) or a text with messages; - reads standard input
    #[arg(value_name = "TRACE")]
    pub trace: PathBuf,
    /// Keys of ESP, a file esp_sa of Wireshark
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Subscribers whose keys follow from their challenges: a file or a directory
    #[arg(long, value_name = "FILE|DIR")]
    pub hss_data: Option<PathBuf>,
    /// The subscriber whose K this is; without it, everybody's
    #[arg(long, requires = "k")]
    pub imsi: Option<String>,
    /// K, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_K")]
    pub k: Option<KeyArg>,
    /// OPc, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OPC", conflicts_with = "op")]
    pub opc: Option<KeyArg>,
    /// OP, where OPc is not known
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OP")]
    pub op: Option<KeyArg>,
}

/// `show`
#[derive(Args, Debug)]
#[command(after_help = SHOW_EXAMPLE)]
pub struct ShowArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub trace: TraceArgs,
    /// Print whole messages
    #[arg(long)]
    pub full: bool,
    /// Only messages that fit: method=, status=, identity=, call-id=, interface=, role=; != for those that do not
    #[arg(long, value_name = "KEY=VALUE,..", value_parser = clap::value_parser!(Filter))]
    pub filter: Vec<Filter>,
    /// Only the registration with this number
    #[arg(long, value_name = "N")]
    pub registration: Option<u64>,
    /// Draw into a picture instead
    #[arg(long, value_name = "FILE.svg", conflicts_with_all = ["full", "json"])]
    pub svg: Option<PathBuf>,
    /// Show keys (CK, IK, XRES)
    #[arg(long)]
    pub show_keys: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// `validate`
#[derive(Args, Debug)]
#[command(after_help = VALIDATE_EXAMPLE)]
pub struct ValidateArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub trace: TraceArgs,
    /// Only these rules
    #[arg(long, value_name = "RULE,..", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only rules of this severity and above
    #[arg(long, value_name = "E|W|I")]
    pub severity: Option<SeverityArg>,
    /// What the network allows: its security agreement, and whether it runs ESP
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    /// Write a JUnit report as well
    #[arg(long, value_name = "FILE.xml")]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// How bad it is to break a rule.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeverityArg {
    /// Error
    #[value(name = "E")]
    Error,
    /// Warning
    #[value(name = "W")]
    Warning,
    /// Info
    #[value(name = "I")]
    Info,
}

impl From<SeverityArg> for Severity {
    fn from(severity: SeverityArg) -> Self {
        match severity {
            SeverityArg::Error => Self::Error,
            SeverityArg::Warning => Self::Warning,
            SeverityArg::Info => Self::Info,
        }
    }
}

/// `explain`
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_EXAMPLE)]
pub struct ExplainArgs {
    /// For example SA-42; without one, all are listed
    pub rule: Option<String>,
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
    /// Show keys in the ladder (CK, IK, XRES)
    #[arg(long)]
    pub show_keys: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// `ctl`
#[derive(Args, Debug)]
#[command(after_help = CTL_EXAMPLE)]
pub struct CtlArgs {
    /// What to do or show
    #[command(subcommand)]
    pub command: CtlCommand,
    /// The socket, as the ready line names it; else that of the first `imsreg serve` of this user
    #[arg(long, value_name = "PATH", env = "IMSREG_SOCKET", global = true)]
    pub socket: Option<PathBuf>,
    /// The answer as one JSON object
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `ctl` can do.
#[derive(Subcommand, Clone, Debug)]
pub enum CtlCommand {
    /// Sets of security associations of the P-CSCF
    Sa,
    /// Registrations at the S-CSCF: all, or those of one identity
    Registrations {
        /// Public user identity
        impu: Option<String>,
    },
    /// End the registrations of an identity: by the S-CSCF, or by the HSS (RTR)
    Deregister {
        /// Public user identity
        impu: String,
        /// Of the S-CSCF: what the UE is told; of the HSS: Reason-Code of the RTR
        #[arg(long, value_enum, default_value_t = Reason::Deactivated)]
        reason: Reason,
    },
    /// Want an identity authenticated again: its registrations are shortened, its next REGISTER is challenged
    Reauth {
        /// Public user identity
        impu: String,
        /// How long its bindings last now, in seconds
        #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
        within: u32,
    },
    /// Give an identity another profile at the HSS, which pushes it to the S-CSCF (PPR)
    Profile {
        /// Public user identity
        impu: String,
        /// Subscriber file that has this identity
        file: PathBuf,
    },
}

/// Why a registration ends by the network.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// S-CSCF: the UE registers again at once
    Deactivated,
    /// S-CSCF: the UE registers again after a while
    Probation,
    /// S-CSCF: the UE stays away
    Rejected,
    /// HSS: PERMANENT_TERMINATION
    PermanentTermination,
    /// HSS: NEW_SERVER_ASSIGNED
    NewServerAssigned,
    /// HSS: SERVER_CHANGE
    ServerChange,
    /// HSS: REMOVE_S-CSCF
    RemoveScscf,
}

/// `sa`
#[derive(Args, Debug)]
#[command(after_help = SA_EXAMPLE)]
pub struct SaArgs {
    /// The socket, as for `ctl`
    #[arg(long, value_name = "PATH", env = "IMSREG_SOCKET")]
    pub socket: Option<PathBuf>,
    /// The answer as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl From<SaArgs> for CtlArgs {
    fn from(SaArgs { socket, json }: SaArgs) -> Self {
        Self { command: CtlCommand::Sa, socket, json }
    }
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
    /// 16 octets, if it is their hexadecimal digits.
    pub fn octets(&self) -> Option<[u8; 16]> {
        let octets = data_encoding::HEXLOWER_PERMISSIVE.decode(self.0.trim().as_bytes()).ok()?;
        octets.try_into().ok()
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
        (_, "pcscf.listen") => "--sip ADDR:PORT",
        (_, "hss.listen") => "--diameter ADDR:PORT",
        (FlagsOf::FirstRun, "pcscf.port_s") => "--port-s PORT",
        (FlagsOf::FirstRun, "pcscf.port_c") => "--port-c FIRST-LAST",
        (FlagsOf::FirstRun, "icscf.listen") => "--icscf ADDR:PORT",
        (FlagsOf::FirstRun, "scscf.listen") => "--scscf ADDR:PORT",
        (FlagsOf::FirstRun, "ue.address") => "--ue ADDR:PORT",
        (FlagsOf::Register, "ue.address") => "--source ADDR:PORT",
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

fn misbehaviour(text: &str) -> Result<Misbehaviour, String> {
    let found = Misbehaviour::ALL.into_iter().find(|how| how.as_str() == text);
    found.ok_or_else(|| format!("one of {} expected", Misbehaviour::ALL.map(Misbehaviour::as_str).join(", ")))
}

/// An address alone leaves the port to the system.
fn source(text: &str) -> Result<SocketAddr, String> {
    let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    alone.or_else(|_| text.parse()).map_err(|_| "an address, with or without a port, expected".to_owned())
}

const SA_EXAMPLE: &str = "Example:\n  imsreg sa --json";
const CTL_EXAMPLE: &str = "Example:\n  imsreg ctl registrations sip:+99900000001@ims.mnc001.mcc001.3gppnetwork.org";
const FIRST_RUN_EXAMPLE: &str = "Example:\n  imsreg --once --capture first.pcapng";
const SERVE_EXAMPLE: &str = "Example:\n  imsreg serve --sip 192.0.2.1:5060 --sec-agree required --hss-data hss-data/lab.yaml \
                             --capture lab.pcapng";
const REGISTER_EXAMPLE: &str = "Example:\n  imsreg register --pcscf 127.0.0.1:5060 --imsi 001010000000001 \
                                --k 465b5ce8b199b49faa5f0a2ee238a6bc --opc cd63cb71954a9f4e48a5994e37a02baf --deregister";
const VALIDATE_EXAMPLE: &str = "Example: imsreg validate trace.pcapng --keys esp_sa --severity W";
const EXPLAIN_EXAMPLE: &str = "Example: imsreg explain SA-42";
const SHOW_EXAMPLE: &str = "Example:\n  imsreg show trace.pcapng --filter 'interface=gm status=4xx' --full\n  imsreg show - --keys esp_sa < trace.pcap";
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

    fn serve(arguments: &str) -> ServeArgs {
        let all = ["imsreg", "serve"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(all).unwrap().command {
            Some(Command::Serve(args)) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn serve_takes_the_forms_of_the_contract() {
        let args = serve(
            "--realm ims.example.org --sip 127.0.0.1:5070 --sip [::1]:5070 --diameter 127.0.0.1:3900 --ipsec none \
             --sec-agree required --only pcscf,icscf,scscf,hss --capture x.pcapng --set pcscf.port_s=6200 --json",
        );
        let profile = load_profile(args.profile.name(), &args.settings().unwrap()).unwrap();
        assert_eq!(&*profile.realm, "ims.example.org");
        assert_eq!(profile.pcscf.listen, ["127.0.0.1:5070".parse().unwrap(), "[::1]:5070".parse().unwrap()]);
        assert_eq!(profile.hss.listen, "127.0.0.1:3900".parse().unwrap());
        assert_eq!(profile.pcscf.port_s, 6200);
        assert_eq!(args.elements(), Elements::ALL);
    }

    #[test]
    fn sip_is_the_listener_of_the_first_element() {
        let args = serve("--only scscf,hss --sip 127.0.0.1:6070 --hss 192.0.2.9:3868 --hss [2001:db8::9]:3868");
        let profile = load_profile("lab", &args.settings().unwrap()).unwrap();
        assert_eq!(profile.scscf.listen, ["127.0.0.1:6070".parse().unwrap()]);
        let at: Vec<_> = profile.icscf.hss.iter().map(|peer| peer.at.clone()).collect();
        assert_eq!(at, [("192.0.2.9".into(), 3868), ("2001:db8::9".into(), 3868)]);
        assert!(serve("--only hss --sip 127.0.0.1:6070").settings().is_err());
    }

    #[test]
    fn a_plane_that_does_not_exist_is_named() {
        let faults = load_profile("lab", &serve("--ipsec esp").settings().unwrap()).unwrap_err();
        assert_eq!(
            faults.to_string(),
            "--ipsec: pcscf.ipsec: \"esp\" found, none, userspace, kernel or unprivileged expected"
        );
    }

    #[test]
    fn register_takes_the_forms_of_the_contract() {
        let arguments = "imsreg register --pcscf [::1]:5060 --imsi 001010000000001 --k 00 --op 11 --realm r.example \
                         --impi a@b --impu sip:a@b --source 127.0.0.2 --transport tcp --ipsec none --sec-agree off \
                         --sqn 20 --stay --deregister --timeout 5";
        let cli = Cli::try_parse_from(arguments.split_whitespace()).unwrap();
        let Some(Command::Register(args)) = &cli.command else { panic!("{cli:?}") };
        assert_eq!(args.source, Some("127.0.0.2:0".parse().unwrap()));
        assert!(!format!("{cli:?}").contains("\"00\""), "{cli:?}");
        let profile = load_profile(args.profile_name(), &args.settings().unwrap()).unwrap();
        assert_eq!(profile.ue.sec_agree, crate::pcscf::SecAgreePolicy::Off);
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
