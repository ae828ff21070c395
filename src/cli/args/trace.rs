//! What the commands on traces take.

use super::{CommonArgs, KeyArg, ProfileArgs, Settings, source};
use crate::config::{Faults, Setting};
use crate::trace::story::Filter;
use crate::validate::Severity;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

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

/// `diagnose`
#[derive(Args, Debug)]
#[command(after_help = DIAGNOSE_EXAMPLE)]
pub struct DiagnoseArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub trace: TraceArgs,
    /// Only the registration with this number
    #[arg(long, value_name = "N")]
    pub registration: Option<u64>,
    /// What the network allows: its security agreement, and whether it runs ESP
    #[arg(long, value_name = "NAME|FILE")]
    pub profile: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// `replay`
#[derive(Args, Debug)]
#[command(after_help = REPLAY_EXAMPLE)]
pub struct ReplayArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub trace: TraceArgs,
    /// Be the recorded UE against this P-CSCF. Without it and without --listen: both sides in virtual time, against ours
    #[arg(long, value_name = "ADDR:PORT")]
    pub pcscf: Option<SocketAddr>,
    /// Be the recorded network, and wait here for a UE; port 0: any, told in the ready line
    #[arg(long, value_name = "ADDR:PORT", conflicts_with = "pcscf")]
    pub listen: Option<SocketAddr>,
    /// Only one side, in virtual time
    #[arg(long, value_enum, value_name = "WHOM", conflicts_with_all = ["pcscf", "listen"])]
    pub against: Option<Against>,
    /// The registration to play; else the first that can be played
    #[arg(long, value_name = "N")]
    pub registration: Option<u64>,
    /// Timing: 1 as recorded, 10 ten times as fast, 0 without any pause
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Do not compare this header; repeatable
    #[arg(long, value_name = "HEADER")]
    pub ignore: Vec<String>,
    /// Password of the recorded subscriber, where it is no USIM
    #[arg(long, value_name = "TEXT", hide_env_values = true, env = "IMSREG_PASSWORD", conflicts_with_all = ["k", "opc", "op"])]
    pub password: Option<KeyArg>,
    /// Our address as the UE
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = source, requires = "pcscf")]
    pub source: Option<SocketAddr>,
    /// What carries protected messages: none (they stay in clear), userspace, kernel, unprivileged
    #[arg(long, value_name = "PLANE")]
    pub ipsec: Option<String>,
    /// UDP port of the P-CSCF for ESP, with plane unprivileged: 4500 where it is not given
    #[arg(long, value_name = "PORT")]
    pub esp_port: Option<u16>,
    /// How long to wait for a message beyond the recorded time, in seconds
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: u32,
    /// Seed of all chance, in virtual time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
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

/// `profile`
#[derive(Args, Debug)]
#[command(after_help = PROFILE_EXAMPLE)]
pub struct DeriveArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub trace: TraceArgs,
    /// Only the network: for `imsreg serve --profile`
    #[arg(long, conflicts_with = "device")]
    pub network: bool,
    /// Only the device: for `imsreg register --device`
    #[arg(long)]
    pub device: bool,
    /// The registration with this number in `imsreg show`; else the first that there is anything to tell of
    #[arg(long, value_name = "N")]
    pub registration: Option<u64>,
    /// Write the profile there, not to standard output
    #[arg(short, long, value_name = "FILE.yaml")]
    pub output: Option<PathBuf>,
    /// Write the subscriber as well: identities, recorded challenges and responses, for --hss-data
    #[arg(long, value_name = "FILE.yaml")]
    pub hss_data_out: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

impl ReplayArgs {
    /// What the flags set in the profile; `--set` comes last.
    pub fn settings(&self) -> Result<Vec<Setting>, Faults> {
        let mut settings = Settings::default();
        for side in ["pcscf", "ue"] {
            settings.flag("--ipsec", &format!("{side}.ipsec"), self.ipsec.as_ref());
            settings.flag("--esp-port", &format!("{side}.esp_port"), self.esp_port);
        }
        settings.with_set(&self.profile)
    }
}

/// What a recording is played against in virtual time.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Against {
    /// The recorded UE against our core
    Core,
    /// The recorded network against our UE
    Ue,
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

/// `convert`
#[derive(Args, Debug)]
#[command(after_help = CONVERT_EXAMPLE)]
pub struct ConvertArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub trace: TraceArgs,
    /// Where to: a file, - for standard output, hep:udp:ADDR:PORT or hep:tcp:ADDR:PORT
    #[arg(value_name = "OUT")]
    pub out: String,
    /// What to write; else the name of OUT tells
    #[arg(long, value_enum)]
    pub format: Option<ConvertFormat>,
    /// Add what ESP holds in clear, on an interface of its own (pcapng)
    #[arg(long, conflicts_with = "redact")]
    pub decrypt: bool,
    /// Replace IMSI, MSISDN, IMEI, names of users, addresses and keys: the same value always by the same one
    #[arg(long)]
    pub redact: bool,
    /// Makes replacements repeatable: the same in every trace that is redacted with it. Whoever knows it can undo them
    #[arg(long, value_name = "TEXT", hide_env_values = true, env = "IMSREG_REDACT_SEED", requires = "redact")]
    pub redact_seed: Option<KeyArg>,
    /// To a collector of HEP: so many messages in a second
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: u32,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// A form of traces.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConvertFormat {
    /// Packets with interfaces, comments and secrets
    Pcapng,
    /// Packets
    Pcap,
    /// Messages below a line with time, addresses and length
    Text,
    /// HEP 3 packets one after the other
    Hep,
}

/// `aka`
#[derive(Args, Debug)]
#[command(after_help = AKA_EXAMPLE)]
pub struct AkaArgs {
    /// K, 32 hexadecimal digits (TUAK: 32 or 64)
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_K")]
    pub k: KeyArg,
    /// OPc (TUAK: TOPc, 64 digits)
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OPC", conflicts_with = "op")]
    pub opc: Option<KeyArg>,
    /// OP, where OPc is not known (TUAK: TOP)
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OP")]
    pub op: Option<KeyArg>,
    /// Functions of the USIM
    #[arg(long, value_enum, default_value = "milenage")]
    pub algorithm: AkaAlgorithm,
    /// Octets of RES, TUAK only
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub res_len: u8,
    /// Rounds of Keccak, TUAK only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub iterations: u8,
    /// RAND; else that of --nonce
    #[arg(long, value_name = "HEX")]
    pub rand: Option<String>,
    /// SQN of the vector
    #[arg(long, value_name = "HEX", default_value = "000000000000")]
    pub sqn: String,
    /// AMF of the vector
    #[arg(long, value_name = "HEX", default_value = "8000")]
    pub amf: String,
    /// Check this AUTN; also that of --nonce is checked
    #[arg(long, value_name = "HEX")]
    pub autn: Option<String>,
    /// Open this AUTS
    #[arg(long, value_name = "HEX|BASE64")]
    pub auts: Option<String>,
    /// Make the AUTS of a USIM that has accepted this SQN
    #[arg(long, value_name = "HEX")]
    pub sqn_ms: Option<String>,
    /// Calculate the digest response of this user name
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// Its realm; else that of the user name
    #[arg(long, requires = "username")]
    pub realm: Option<String>,
    /// Nonce of the challenge; else the vector's
    #[arg(long, value_name = "BASE64")]
    pub nonce: Option<String>,
    /// URI of the digest; else sip: and the realm
    #[arg(long, requires = "username")]
    pub uri: Option<String>,
    /// Method of the request
    #[arg(long, default_value = "REGISTER")]
    pub method: String,
    /// none, auth or auth-int (without body)
    #[arg(long, default_value = "none")]
    pub qop: String,
    /// Nonce count
    #[arg(long, default_value = "00000001")]
    pub nc: String,
    /// Nonce of the client
    #[arg(long, default_value = "")]
    pub cnonce: String,
    /// Algorithm of the challenge
    #[arg(long, value_name = "NAME", default_value = "AKAv1-MD5")]
    pub digest_algorithm: String,
    /// Say what this response was calculated with
    #[arg(long, value_name = "HEX", requires = "username")]
    pub response: Option<String>,
    /// Show OPc, XRES, CK, IK and AK
    #[arg(long)]
    pub show_keys: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it as help")]
    pub common: CommonArgs,
}

/// The functions of a USIM.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum AkaAlgorithm {
    /// TS 35.206
    Milenage,
    /// TS 35.231
    Tuak,
    /// TS 34.108 clause 8.1.2
    Xor,
}

/// Zero or more.
fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed: &f64| speed.is_finite() && *speed >= 0.0);
    speed.ok_or_else(|| "0, or how many times as fast, expected".to_owned())
}

const VALIDATE_EXAMPLE: &str = "Example: imsreg validate trace.pcapng --keys esp_sa --severity W";
const REPLAY_EXAMPLE: &str = "Example:\n  imsreg replay trace.pcapng --pcscf 192.0.2.1:5060 --speed 0 --k 465b5ce8b199b49faa5f0a2ee238a6bc --opc \
                              cd63cb71954a9f4e48a5994e37a02baf\n  imsreg replay trace.pcapng --listen 192.0.2.1:5060";
const CONVERT_EXAMPLE: &str = "Example:\n  imsreg convert trace.pcapng anonymous.pcapng --redact\n  \
                               imsreg convert trace.pcapng hep:udp:127.0.0.1:9060 --rate 500";
const AKA_EXAMPLE: &str = "Example:\n  imsreg aka --k 465b5ce8b199b49faa5f0a2ee238a6bc --opc cd63cb71954a9f4e48a5994e37a02baf \
                           --rand 23553cbe9637a89d218ae64dae47bf35 --sqn ff9bb4d0b607 --show-keys";
const EXPLAIN_EXAMPLE: &str = "Example: imsreg explain SA-42";
const DIAGNOSE_EXAMPLE: &str = "Example: imsreg diagnose trace.pcapng --imsi 001010000000001 --k 000102030405060708090a0b0c0d0e0f --opc 101112131415161718191a1b1c1d1e1f";
const SHOW_EXAMPLE: &str = "Example:\n  imsreg show trace.pcapng --filter 'interface=gm status=4xx' --full\n  imsreg show - --keys esp_sa < trace.pcap";
const PROFILE_EXAMPLE: &str = "Example:\n  imsreg profile trace.pcapng -o net.yaml --hss-data-out subscriber.yaml\n  imsreg serve --profile net.yaml --hss-data subscriber.yaml\n  imsreg profile trace.pcapng --device -o phone.yaml\n  imsreg register --device phone.yaml --pcscf 127.0.0.1:5060 --imsi 001010000000001 --subscriber hss-data/lab.yaml";
