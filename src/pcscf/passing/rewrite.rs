//! What the P-CSCF changes in what it passes on: the trust boundary (TS 24.229 clauses 4.4 and 5.2.6, RFC 3325).

use super::restoration::Initial;
use crate::pcscf::auth_params::rewrite;
use crate::pcscf::from_core::KEY_PARAMETERS;
use crate::pcscf::to_core::{NETWORK_ONLY, Texts, write_access_network, write_tags};
use crate::sip::proxy::Rewrite;
use crate::sip::transaction::copy_vias;
use crate::sip::{HeaderName, Line, Message, NameSet, Writer};
use std::cell::Cell;
use std::net::SocketAddr;

/// A request of a UE, for the core.
pub(super) struct FromUe<'a> {
    pub(super) message: &'a Message<'a>,
    /// Where it came from: stamped into its Via.
    pub(super) source: SocketAddr,
    pub(super) texts: &'a Texts,
    /// P-Asserted-Identity; `None` for ACK.
    pub(super) identity: Option<&'a str>,
    /// icid-value, for a request outside of dialogs.
    pub(super) icid: Option<&'a str>,
    /// The Via lines are written.
    vias: Cell<bool>,
}

impl<'a> FromUe<'a> {
    pub(super) const fn new(message: &'a Message<'a>, source: SocketAddr, texts: &'a Texts) -> Self {
        Self { message, source, texts, identity: None, icid: None, vias: Cell::new(false) }
    }
}

impl Rewrite for FromUe<'_> {
    fn names(&self) -> NameSet {
        UNTRUSTED.union(NameSet::of(&[HeaderName::Via, HeaderName::Require, HeaderName::ProxyRequire]))
    }

    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        match line.name {
            HeaderName::Via if self.vias.replace(true) => {}
            HeaderName::Via => copy_vias(self.message, self.source, w),
            HeaderName::PAccessNetworkInfo => write_access_network(w, line),
            HeaderName::Other => write_unless_private(w, line),
            _ => {}
        }
    }

    fn add(&self, w: &mut Writer<'_>) {
        // A large request is written twice, for another transport.
        self.vias.set(false);
        write_tags(w, self.message, HeaderName::Require, "");
        write_tags(w, self.message, HeaderName::ProxyRequire, "");
        if let Some(identity) = self.identity {
            w.header_parts(HeaderName::PAssertedIdentity, &["<", identity, ">"]);
        }
        if let Some(icid) = self.icid {
            w.header_parts(HeaderName::PChargingVector, &["icid-value=", icid, self.texts.charging.trim_ascii_end()]);
        }
    }
}

/// A request of the core, for a UE.
pub(super) struct ToUe {
    /// Privacy asks that the identity stays within the network.
    pub(super) is_private: bool,
}

impl Rewrite for ToUe {
    fn names(&self) -> NameSet {
        NETWORK
    }

    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        write_towards_ue(w, line, self.is_private);
    }
}

/// What is kept with a request while it is out, and what is changed in its responses.
#[derive(Debug)]
pub(in crate::pcscf) enum Passage {
    /// Of a UE: its responses come from the core.
    FromUe {
        /// Privacy of the response at hand.
        is_private: bool,
        /// The request, outside of dialogs.
        initial: Option<Box<Initial>>,
    },
    /// For a UE: its responses come from there.
    ToUe {
        /// Who answers (TS 24.229 clause 5.2.6.4.4): P-Asserted-Identity.
        identity: Box<str>,
        /// P-Charging-Vector of the request, with our `term-ioi`; empty where it had none.
        charging: Box<str>,
    },
}

impl Rewrite for Passage {
    fn names(&self) -> NameSet {
        match self {
            Self::FromUe { .. } => NETWORK.union(CHALLENGES),
            Self::ToUe { .. } => UNTRUSTED,
        }
    }

    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        match self {
            Self::FromUe { .. } if CHALLENGES.contains(line.name) => write_challenge(w, line),
            Self::FromUe { is_private, .. } => write_towards_ue(w, line, *is_private),
            Self::ToUe { .. } if line.name == HeaderName::PAccessNetworkInfo => write_access_network(w, line),
            Self::ToUe { .. } if line.name == HeaderName::Other => write_unless_private(w, line),
            Self::ToUe { .. } => {}
        }
    }

    fn add(&self, w: &mut Writer<'_>) {
        if let Self::ToUe { identity, charging } = self {
            w.header_parts(HeaderName::PAssertedIdentity, &["<", identity, ">"]);
            if !charging.is_empty() {
                w.header(HeaderName::PChargingVector, charging);
            }
        }
    }
}

/// True when Privacy keeps the asserted identity from whoever is not trusted (RFC 3325 clause 7).
pub(super) fn is_private(message: &Message<'_>) -> bool {
    let ids = |value: &str| value.split([';', ',']).any(|token| token.trim().eq_ignore_ascii_case("id"));
    message.values(HeaderName::Privacy).any(ids)
}

fn write_towards_ue(w: &mut Writer<'_>, line: &Line<'_>, is_private: bool) {
    match line.name {
        HeaderName::PAssertedIdentity if !is_private => {
            w.copy(line);
        }
        HeaderName::Other => write_unless_private(w, line),
        _ => {}
    }
}

/// Private headers between elements of a network end here, either way.
fn write_unless_private(w: &mut Writer<'_>, line: &Line<'_>) {
    if !NETWORK_ONLY.iter().any(|name| line.name_text.eq_ignore_ascii_case(name)) {
        w.copy(line);
    }
}

/// Keys are for the P-CSCF alone, whoever sends them for whatever request (field lesson 1).
fn write_challenge(w: &mut Writer<'_>, line: &Line<'_>) {
    let start = w.raw().len();
    w.raw().extend_from_slice(line.name.as_str().as_bytes());
    w.raw().extend_from_slice(b": ");
    let read = rewrite(line.value, w.raw(), |name, _| KEY_PARAMETERS.iter().any(|k| name.eq_ignore_ascii_case(k)));
    match read {
        Ok(()) => w.raw().extend_from_slice(b"\r\n"),
        // What cannot be read safely does not leave.
        Err(_) => w.raw().truncate(start),
    }
}

/// What a UE cannot say for itself, what ends here, and what is written anew.
const UNTRUSTED: NameSet = NameSet::of(&[
    HeaderName::PAccessNetworkInfo,
    HeaderName::Other,
    HeaderName::PAssertedIdentity,
    HeaderName::PPreferredIdentity,
    HeaderName::PAssociatedUri,
    HeaderName::PCalledPartyId,
    HeaderName::PChargingVector,
    HeaderName::PChargingFunctionAddresses,
    HeaderName::PVisitedNetworkId,
    HeaderName::Path,
    HeaderName::ServiceRoute,
    HeaderName::SecurityClient,
    HeaderName::SecurityServer,
    HeaderName::SecurityVerify,
]);

/// What the network keeps from a UE.
const NETWORK: NameSet = NameSet::of(&[
    HeaderName::Other,
    HeaderName::PAssertedIdentity,
    HeaderName::PPreferredIdentity,
    HeaderName::PChargingVector,
    HeaderName::PChargingFunctionAddresses,
    HeaderName::PVisitedNetworkId,
    HeaderName::SecurityClient,
    HeaderName::SecurityServer,
    HeaderName::SecurityVerify,
]);

const CHALLENGES: NameSet =
    NameSet::of(&[HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate, HeaderName::AuthenticationInfo]);
