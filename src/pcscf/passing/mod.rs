//! Requests other than REGISTER on their way through the P-CSCF (TS 24.229 clauses 5.2.6 to 5.2.8): from UEs by
//! `from_ue`, to UEs by `to_ue`, their responses by `responses`. What is changed in each is in `rewrite`.

mod from_ue;
mod names;
mod responses;
mod restoration;
mod rewrite;
mod to_ue;

pub(super) use names::Names;
pub(super) use rewrite::Passage;
pub(super) use to_ue::WayToUe;

use super::Pcscf;
use super::flow::{FlowKey, SetRef};
use super::refusal::Refusal;
use super::to_ue::Answer;
use crate::packet::{Outbox, Transport};
use crate::sip::proxy::{Branch, Cancelled, Fault};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message};
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

/// What a request other than REGISTER that we sent was for.
#[derive(Debug)]
pub(super) enum Asked {
    /// Somebody else's, passed on.
    Passed(Branch),
    /// Our own OPTIONS to a UE.
    Probe(FlowKey),
    /// Our own SUBSCRIBE to the registration of a subscriber.
    Watch(FlowKey),
}

impl From<Branch> for Asked {
    fn from(branch: Branch) -> Self {
        Self::Passed(branch)
    }
}

/// Who sends: a registered UE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) flow: FlowKey,
    /// The set that carried it; `None`: in clear.
    pub(super) over: Option<SetRef>,
    pub(super) source: SocketAddr,
    /// Where it arrived.
    pub(super) here: SocketAddr,
    pub(super) transport: Transport,
}

impl Pcscf {
    /// A CANCEL of either side: answered here; what was passed on is cancelled in turn (RFC 3261 clause 16.10).
    pub(super) fn on_cancel(
        &mut self,
        now: Instant,
        source: SocketAddr,
        message: &Message<'_>,
        server: ServerId,
        cancelled: Option<ServerId>,
        out: &mut Outbox,
    ) {
        let Some(invite) = cancelled else {
            return self.refuse(now, source, message, server, &Refusal::NothingToCancel, out);
        };
        let answer = Answer::Own { request: message, source, status: 200, headers: &[], body: "" };
        self.to_ue.answer(now, server, &answer, out);
        let reason = message.header_named("Reason");
        // A REGISTER cannot be cancelled (RFC 3261 clause 9.1), and nothing waits here before it is passed on.
        match self.proxy.cancel(&mut self.to_ue.io(now, out), invite, reason) {
            Cancelled::Passed | Cancelled::NotForwarded(_) | Cancelled::Unknown => {}
        }
    }

    /// True for an address that may send requests for UEs.
    pub(super) fn is_core(&self, from: IpAddr) -> bool {
        let config = &self.config;
        if !config.trusted.is_empty() {
            return config.trusted.contains(&from);
        }
        from.is_loopback()
            || config.next_hops.iter().any(|hop| hop.ip() == from)
            || config.hosts.values().any(|host| *host == from)
    }

    /// Our elements of Record-Route, the topmost first: that of the side to which a request goes (RFC 5658).
    fn record_route(&self, flow: FlowKey, ue_side: (SocketAddr, Transport), towards_ue: bool) -> String {
        let (ue_side, transport) = ue_side;
        // What follows in the dialog stays on the TLS session.
        let tls = if transport == Transport::Tls { ";transport=tls" } else { "" };
        let token = flow.token(&self.hasher);
        let token = std::str::from_utf8(&token).expect("characters of an alphabet");
        let core = format!("<sip:{token}{}", self.texts.path.trim_ascii_end());
        if towards_ue { format!("<sip:{ue_side}{tls};lr>, {core}") } else { format!("{core}, <sip:{ue_side}{tls};lr>") }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Header(error) => error.into(),
            Fault::TooManyHops => Self::TooManyHops,
            Fault::Loop => Self::Loop,
            Fault::UnknownExtension(tags) => Self::UnknownExtension { tags },
        }
    }
}

/// Option tags of Proxy-Require that are understood.
const UNDERSTOOD: [&str; 1] = ["sec-agree"];

/// The next hop of a request: the topmost Route, else the Request-URI.
fn next_uri<'t>(routes: &[&'t str], uri: &'t str) -> &'t str {
    let first = routes.first().and_then(|r| crate::sip::header::name_addr::NameAddr::parse(HeaderName::Route, r).ok());
    first.map_or(uri, |first| first.uri.text)
}
