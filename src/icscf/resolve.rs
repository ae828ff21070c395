//! From an S-CSCF name to where it listens: the profile's `hosts` and IP literals, no DNS.

use super::IcscfConfig;
use crate::packet::{Route, Transport};
use crate::sip::Uri;
use std::net::{IpAddr, SocketAddr};

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
    let uri = Uri::parse(name).ok()?;
    let ip = uri.ip().or_else(|| host(config, uri.host))?;
    let to = SocketAddr::new(ip, uri.port.unwrap_or(SIP_PORT));
    let transport = match uri.params.value("transport") {
        Some(t) if t.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(t) if t.eq_ignore_ascii_case("udp") => Transport::Udp,
        _ => config.transport,
    };
    let listener = config.listen.iter().position(|own| own.is_ipv4() == to.is_ipv4())?;
    let own = config.listen[listener];
    let from = match transport {
        Transport::Udp => own,
        // Any connection from that address: a proxy listens on its own port.
        Transport::Tcp => SocketAddr::new(own.ip(), 0),
    };
    Some((Route::sip(transport, from, to), listener))
}

fn host(config: &IcscfConfig, host: &str) -> Option<IpAddr> {
    let known = config.hosts.get(host).copied();
    known.or_else(|| config.hosts.iter().find(|(name, _)| name.eq_ignore_ascii_case(host)).map(|(_, ip)| *ip))
}

/// RFC 3261 clause 19.1.2.
const SIP_PORT: u16 = 5060;
