//! The P-CSCF's own URIs: which are in Path and Record-Route, and what their user part says.
//!
//! Towards the core each names a subscriber by a token (RFC 5626 clause 5.3.1); towards UEs there is none, because the
//! security association tells who sends. So a Route also tells from which side a request within a dialog comes.

use crate::packet::Transport;
use crate::pcscf::PcscfConfig;
use crate::pcscf::flow::FlowKey;
use crate::sip::destination::usual_port;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::{HeaderName, Message, Uri};
use foldhash::quality::FixedState;
use std::net::{IpAddr, SocketAddr};

/// What the P-CSCF is called.
#[derive(Debug)]
pub(in crate::pcscf) struct Names {
    host: Box<str>,
    core: SocketAddr,
    listen: Box<[SocketAddr]>,
    port_s: u16,
}

/// What the user part of one of our URIs says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::pcscf) enum Token {
    /// We wrote it for this subscriber.
    Genuine(FlowKey),
    /// An earlier run of ours wrote it: whoever it stood for is not known any more.
    Outdated,
    /// Somebody else wrote it.
    Forged,
}

impl Names {
    pub(in crate::pcscf) fn new(config: &PcscfConfig) -> Self {
        let (core, port_s) = (config.core, config.port_s);
        let listen = config.listen.iter().copied().chain(config.tls.map(|tls| tls.listen)).collect();
        Self { host: config.host.clone(), core, listen, port_s }
    }

    /// True for a URI that names us, on either side; the port counts (field lesson 31).
    pub(in crate::pcscf) fn is_own(&self, uri: &Uri<'_>) -> bool {
        if !uri.is_sip() {
            return false;
        }
        let port = uri.port.unwrap_or_else(|| usual_port(transport_of(uri)));
        let ports = |ip: IpAddr| {
            let own = |a: &SocketAddr| a.ip() == ip && (a.port() == port || port == self.port_s);
            own(&self.core) || self.listen.iter().any(own)
        };
        match uri.ip() {
            Some(ip) => ports(ip),
            None => !self.host.is_empty() && uri.host.eq_ignore_ascii_case(&self.host) && self.is_own_port(port),
        }
    }

    fn is_own_port(&self, port: u16) -> bool {
        self.core.port() == port || port == self.port_s || self.listen.iter().any(|a| a.port() == port)
    }

    /// The user part of the topmost Route, where that names us.
    pub(in crate::pcscf) fn user_in_route<'a>(&self, message: &Message<'a>) -> Option<&'a str> {
        let top = message.elements(HeaderName::Route).next()?;
        let top = NameAddr::parse(HeaderName::Route, top).ok()?;
        top.uri.user.filter(|_| self.is_own(&top.uri))
    }
}

impl Token {
    pub(in crate::pcscf) fn read(text: &str, hasher: &FixedState) -> Self {
        match FlowKey::read(text.as_bytes(), hasher) {
            Some(flow) => Self::Genuine(flow),
            None if FlowKey::is_of_other_run(text.as_bytes(), hasher) => Self::Outdated,
            None => Self::Forged,
        }
    }
}

fn transport_of(uri: &Uri<'_>) -> Transport {
    let names_tls = || uri.params.value("transport").is_some_and(|named| named.eq_ignore_ascii_case("tls"));
    if uri.is_sips() || names_tls() { Transport::Tls } else { Transport::Udp }
}
