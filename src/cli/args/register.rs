//! What `register` takes.

use super::{CommonArgs, KeyArg, ProfileArgs, Settings, UeArgs, source};
use crate::config::{Faults, Setting, UeFlags};
use crate::ue::Misbehaviour;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// Password of SIP digest, for a subscriber without USIM
    #[arg(long, value_name = "TEXT", hide_env_values = true, env = "IMSREG_PASSWORD", conflicts_with_all = ["k", "opc", "op"])]
    pub password: Option<KeyArg>,
    /// User name of SIP digest; else the IMPI
    #[arg(long, value_name = "NAME", requires = "password")]
    pub username: Option<String>,
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
    /// required, offered or off
    #[arg(long, value_name = "POLICY")]
    pub sec_agree: Option<String>,
    /// Do security associations wrong: old-keys, wrong-expansion, reused-spi, replay, wrong-ports, wrong-response or mac-failure
    #[arg(long, value_name = "HOW", value_parser = misbehaviour)]
    pub misbehave: Option<Misbehaviour>,
    /// A fault made on purpose, by its id in a file of mutations (docs/mutations.md) or among the cases of `check`; with --count the first UE has it
    #[arg(long, value_name = "ID|FILE:ID")]
    pub mutate: Option<String>,
    /// Register for emergency calls (sos): such a registration is not ended, it expires
    #[arg(long, conflicts_with = "deregister")]
    pub emergency: bool,
    /// Send a MESSAGE to this identity once registered; its refusal is a failure
    #[arg(long, value_name = "URI")]
    pub message: Option<String>,
    /// Stay registered until Ctrl-C
    #[arg(long)]
    pub stay: bool,
    /// With --stay: read orders from standard input, a line each: register, deregister, second-identity, message URI
    #[arg(long, requires = "stay", conflicts_with = "count")]
    pub orders: bool,
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
    pub ue: UeArgs,
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
        self.ue.set(&mut settings);
        settings.flag("--transport", "ue.transport", self.transport.as_ref());
        settings.flag("--sec-agree", "ue.sec_agree", self.sec_agree.as_ref());
        settings.flag("--emergency", "ue.emergency", self.emergency.then_some(true));
        settings.with_set(&self.profile)
    }

    /// The flags that make a subscription.
    pub fn ue_flags(&self) -> UeFlags {
        UeFlags {
            password: self.password.as_ref().map(|p| p.0.clone()),
            username: self.username.clone(),
            impi: self.impi.clone(),
            impu: self.impu.clone(),
            ..self.ue.flags(self.imsi.as_ref(), self.k.as_ref())
        }
    }
}

fn misbehaviour(text: &str) -> Result<Misbehaviour, String> {
    let found = Misbehaviour::ALL.into_iter().find(|how| how.as_str() == text);
    found.ok_or_else(|| format!("one of {} expected", Misbehaviour::ALL.map(Misbehaviour::as_str).join(", ")))
}

const REGISTER_EXAMPLE: &str = "Example:\n  imsreg register --pcscf 127.0.0.1:5060 --imsi 001010000000001 \
                                --k 465b5ce8b199b49faa5f0a2ee238a6bc --opc cd63cb71954a9f4e48a5994e37a02baf --deregister";

#[cfg(test)]
mod tests {
    use crate::cli::args::{Cli, Command};
    use crate::config::load_profile;
    use clap::Parser as _;

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
}
