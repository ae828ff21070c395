//! From an S-CSCF name to where it listens.

use super::IcscfConfig;
use crate::packet::Route;
use crate::sip::{Uri, destination};

/// An S-CSCF of the configuration that can be reached.
#[derive(Debug)]
pub(super) struct Known {
    name: Box<str>,
    way: (Route, usize),
}

impl Known {
    /// All of them.
    pub(super) fn all(config: &IcscfConfig) -> Vec<Self> {
        let way = |name: &str| Some(Self { name: name.into(), way: resolve(config, name)? });
        config.scscfs.iter().filter_map(|entry| way(&entry.name)).collect()
    }

    /// What [`resolve`] says of `name`, if it is one of them as written.
    pub(super) fn find(all: &[Self], name: &str) -> Option<(Route, usize)> {
        all.iter().find(|known| *known.name == *name).map(|known| known.way)
    }
}

/// How to reach `name`, a SIP URI, and which of our listeners its Via names; `None` where it has no address, or we
/// none of its family.
pub(super) fn resolve(config: &IcscfConfig, name: &str) -> Option<(Route, usize)> {
    destination::resolve(&Uri::parse(name).ok()?, &config.hosts, &config.listen, config.transport)
}
