//! From an S-CSCF name to where it listens.

use super::IcscfConfig;
use crate::packet::Route;
use crate::sip::{Uri, destination};
use std::rc::Rc;

/// An S-CSCF of the configuration that can be reached.
#[derive(Debug)]
pub(super) struct Known {
    name: Rc<str>,
    way: (Route, usize),
}

impl Known {
    /// All of them.
    pub(super) fn all(config: &IcscfConfig) -> Vec<Self> {
        let way = |name: &str| Some(Self { name: name.into(), way: resolve(config, name)? });
        config.scscfs.iter().filter_map(|entry| way(&entry.name)).collect()
    }

    /// `name`, to be kept; shared where it is one of them as written.
    pub(super) fn name(all: &[Self], name: &str) -> Rc<str> {
        all.iter().find(|known| *known.name == *name).map_or_else(|| name.into(), |known| Rc::clone(&known.name))
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
