//! What the S-CSCF changes in what it forwards, and keeps for the responses (TS 24.229 clauses 5.4.3.2 and 5.4.3.3).

use super::services::AtServer;
use crate::identity::Shortened;
use crate::scscf::binding::pieces;
use crate::scscf::table::Id;
use crate::sip::proxy::{Branch, Received, Rewrite};
use crate::sip::{HeaderName, Line, NameSet, Writer};
use std::fmt;

/// For whom a request is forwarded.
#[derive(Clone, Debug)]
pub(super) enum Side {
    /// For the caller.
    Originating(Caller),
    /// For the user called.
    Terminating(Called),
    /// For a dialog that is there already.
    InDialog,
}

/// A caller who may call.
#[derive(Clone)]
pub(super) struct Caller {
    /// The registration that he calls with; `None`: an application server calls for a user who is not registered.
    pub(super) registration: Option<Id>,
    /// What P-Asserted-Identity lacks of a pair of SIP and tel URI.
    pub(super) other_identity: Option<String>,
}

/// A user called who may be called.
#[derive(Clone)]
pub(super) struct Called {
    /// The identity called, canonical.
    pub(super) impu: String,
    /// The device called, where a GRUU names one: `gr` of its public GRUU.
    pub(super) device: Option<Box<str>>,
}

/// What is kept of a request until its final response.
pub(super) struct Kept {
    pub(super) side: Side,
    /// As it came.
    pub(super) request: Box<[u8]>,
    /// The lowest q of the bindings that it was sent to, in thousandths; at first above any.
    pub(super) reached: u16,
    /// `orig-ioi` as it came.
    orig_ioi: Option<Box<str>>,
    /// Our own.
    ioi: Box<str>,
    /// The application server that has it.
    pub(super) server: Option<Box<AtServer>>,
    /// The copies for bindings of the user called.
    pub(super) ends: Vec<Tried>,
}

/// A copy for a binding of the user called.
#[derive(Clone)]
pub(super) struct Tried {
    pub(super) branch: Branch,
    pub(super) registration: Id,
    /// The Contact.
    pub(super) contact: Box<str>,
    /// `+sip.instance` of a flow.
    pub(super) instance: Option<Box<str>>,
}

/// What is changed in a request.
pub(super) struct Request {
    /// Added to P-Asserted-Identity.
    pub(super) asserted: Option<String>,
    /// P-Called-Party-ID.
    pub(super) called: Option<String>,
    /// `orig-ioi` of P-Charging-Vector.
    pub(super) orig_ioi: Box<str>,
}

impl Kept {
    pub(super) fn new(received: &Received<'_, '_>, side: Side, ioi: &str) -> Self {
        let vector = received.message.charging_vector().ok().flatten();
        Self {
            side,
            request: received.message.bytes().into(),
            reached: u16::MAX,
            orig_ioi: vector.and_then(|vector| vector.orig_ioi).map(Into::into),
            ioi: ioi.into(),
            server: None,
            ends: Vec::new(),
        }
    }
}

impl Rewrite for Request {
    fn names(&self) -> NameSet {
        match self.called {
            Some(_) => TERMINATING,
            None => ORIGINATING,
        }
    }

    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        // P-Access-Network-Info is for the home network of its user; P-Called-Party-ID is written anew; P-Served-User
        // is between us and application servers.
        if line.name == HeaderName::PChargingVector {
            w.header(line.name, &with_ioi(line.value, Some(&self.orig_ioi), None));
        } else if line.name == HeaderName::Other && !is_served_user(line) {
            w.copy(line);
        }
    }

    fn add(&self, w: &mut Writer<'_>) {
        if let Some(identity) = &self.asserted {
            w.header_parts(HeaderName::PAssertedIdentity, &["<", identity, ">"]);
        }
        if let Some(called) = &self.called {
            w.header_parts(HeaderName::PCalledPartyId, &["<", called, ">"]);
        }
    }
}

/// For the responses.
impl Rewrite for Kept {
    fn names(&self) -> NameSet {
        match self.side {
            Side::Originating(_) => NameSet::of(&[HeaderName::PChargingVector]),
            Side::Terminating(_) => NameSet::of(&[HeaderName::PChargingVector, HeaderName::PAccessNetworkInfo]),
            Side::InDialog => NameSet::default(),
        }
    }

    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        if line.name == HeaderName::PChargingVector {
            w.header(line.name, &with_ioi(line.value, self.orig_ioi.as_deref(), Some(&self.ioi)));
        }
    }
}

impl fmt::Debug for Kept {
    /// Shows no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kept({:?})", self.side)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shortened = self.other_identity.as_deref().map(Shortened);
        f.debug_struct("Caller").field("other_identity", &shortened).finish()
    }
}

impl fmt::Debug for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Called").field("impu", &Shortened(&self.impu)).finish()
    }
}

/// P-Charging-Vector with these inter-operator identifiers in place of its own.
pub(super) fn with_ioi(vector: &str, orig: Option<&str>, term: Option<&str>) -> String {
    let mut out = String::with_capacity(vector.len() + 64);
    for piece in pieces(vector).map(str::trim_ascii).filter(|piece| !is_ioi(piece)) {
        if !out.is_empty() {
            out.push(';');
        }
        out.push_str(piece);
    }
    for (name, value) in [("orig-ioi", orig), ("term-ioi", term)] {
        if let Some(value) = value {
            out.extend([";", name, "=\"", value, "\""]);
        }
    }
    out
}

/// P-Served-User, which has no name of its own here (RFC 5502).
pub(super) fn is_served_user(line: &Line<'_>) -> bool {
    line.name == HeaderName::Other && line.name_text.eq_ignore_ascii_case("P-Served-User")
}

fn is_ioi(piece: &str) -> bool {
    let name = piece.split('=').next().unwrap_or_default().trim_ascii_end();
    name.eq_ignore_ascii_case("orig-ioi") || name.eq_ignore_ascii_case("term-ioi")
}

const ORIGINATING: NameSet =
    NameSet::of(&[HeaderName::PChargingVector, HeaderName::PAccessNetworkInfo, HeaderName::Other]);
const TERMINATING: NameSet = ORIGINATING.union(NameSet::of(&[HeaderName::PCalledPartyId]));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_of_operators_are_replaced() {
        let vector = "icid-value=\"a;orig-ioi=b\"; Orig-IOI = \"x;y\" ;icid-generated-at=192.0.2.1;term-ioi=z";
        assert_eq!(
            with_ioi(vector, Some("Type 1home"), None),
            "icid-value=\"a;orig-ioi=b\";icid-generated-at=192.0.2.1;orig-ioi=\"Type 1home\""
        );
        assert_eq!(with_ioi("icid-value=a", Some("b"), Some("c")), "icid-value=a;orig-ioi=\"b\";term-ioi=\"c\"");
        assert_eq!(with_ioi("icid-value=a;orig-ioi=b", None, None), "icid-value=a");
    }
}
