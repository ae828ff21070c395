//! The key `ipsec`: what carries ESP.

use std::fmt;

/// What carries the protected part of Gm.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum PlaneChoice {
    /// Nothing: protected messages stay in clear.
    #[default]
    None,
    /// Our own ESP, over a raw socket and a TUN device.
    Userspace,
    /// ESP of the kernel.
    Kernel,
    /// Our own ESP, as payload of UDP between two imsreg ends.
    Unprivileged,
}

impl PlaneChoice {
    const ALL: [Self; 4] = [Self::None, Self::Userspace, Self::Kernel, Self::Unprivileged];

    /// As in a profile.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Userspace => "userspace",
            Self::Kernel => "kernel",
            Self::Unprivileged => "unprivileged",
        }
    }

    pub(in crate::config) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plane| plane.as_str() == name)
    }
}

impl fmt::Display for PlaneChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
