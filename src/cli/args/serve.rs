//! What `serve` takes.

use super::{CommonArgs, ProfileArgs, Settings};
use crate::config::{Elements, Faults, Setting};
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;

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
    /// A fault made on purpose, by its id in a file of mutations (docs/mutations.md) or among the cases of `check`; it concerns one UE
    #[arg(long, value_name = "ID|FILE:ID")]
    pub mutate: Option<String>,
    /// The UE that --mutate concerns, by its private identity; else the first that registers
    #[arg(long, value_name = "IMPI", requires = "mutate")]
    pub mutate_ue: Option<String>,
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
        super::hss_data(self.hss_data.as_ref(), &self.profile)
    }
}

const SERVE_EXAMPLE: &str = "Example:\n  imsreg serve --sip 192.0.2.1:5060 --sec-agree required --hss-data hss-data/lab.yaml \
                             --capture lab.pcapng";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::config::load_profile;
    use clap::Parser as _;

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
}
