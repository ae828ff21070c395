//! Flags of whoever is a UE of ours: `register` and `check pcscf`.

use super::{KeyArg, Settings};
use crate::config::UeFlags;
use clap::Args;
use std::path::PathBuf;

/// Of a UE, beside who it is.
#[derive(Args, Debug)]
pub struct UeArgs {
    /// OPc, 32 hexadecimal digits
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OPC")]
    pub opc: Option<KeyArg>,
    /// OP, where OPc is not known
    #[arg(long, value_name = "HEX", hide_env_values = true, env = "IMSREG_OP")]
    pub op: Option<KeyArg>,
    /// Home domain; else that of the IMSI
    #[arg(long)]
    pub realm: Option<String>,
    /// Habits of a device on top of the profile: a name of profiles/ue/ or a path; `imsreg profile` makes such files
    #[arg(long, value_name = "NAME|FILE")]
    pub device: Option<String>,
    /// What carries protected messages: none (they stay in clear), userspace, kernel, unprivileged
    #[arg(long, value_name = "PLANE")]
    pub ipsec: Option<String>,
    /// UDP port of the P-CSCF for ESP, with plane unprivileged: 4500 where it is not given
    #[arg(long, value_name = "PORT")]
    pub esp_port: Option<u16>,
    /// Highest SQN accepted so far, hexadecimal
    #[arg(long, value_name = "HEX", conflicts_with = "usim")]
    pub sqn: Option<String>,
    /// File that keeps the SQNs of the (first) UE's USIM, read before and written after; YAML, or JSON by its name
    #[arg(long, value_name = "FILE")]
    pub usim: Option<PathBuf>,
}

impl UeArgs {
    /// What they set in the profile.
    pub(super) fn set(&self, settings: &mut Settings) {
        settings.flag("--realm", "realm", self.realm.as_ref());
        settings.flag("--ipsec", "ue.ipsec", self.ipsec.as_ref());
        settings.flag("--esp-port", "ue.esp_port", self.esp_port);
    }

    /// What they say of a subscription with this IMSI and K.
    pub(super) fn flags(&self, imsi: Option<&String>, k: Option<&KeyArg>) -> UeFlags {
        UeFlags {
            imsi: imsi.cloned().unwrap_or_default(),
            k: k.map(|k| k.0.clone()).unwrap_or_default(),
            opc: self.opc.as_ref().map(|k| k.0.clone()),
            op: self.op.as_ref().map(|k| k.0.clone()),
            realm: self.realm.clone(),
            sqn: self.sqn.clone(),
            usim: self.usim.clone(),
            ..UeFlags::default()
        }
    }
}
