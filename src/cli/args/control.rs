//! What `ctl` and `sa` take.

use clap::{Args, Subcommand};
use std::path::PathBuf;

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

const CTL_EXAMPLE: &str = "Example:\n  imsreg ctl registrations sip:+99900000001@ims.mnc001.mcc001.3gppnetwork.org";
const SA_EXAMPLE: &str = "Example:\n  imsreg sa --json";
