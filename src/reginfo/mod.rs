//! Registration information: the document of the reg event package (RFC 3680) with GRUUs (RFC 5628) and wildcarded
//! identities (TS 24.229 clause 7.10.2).
//!
//! [`Reginfo`] is one document, read by [`Reginfo::read`] and written by [`Reginfo::write`]. [`Watcher`] takes the
//! documents of one subscription in order and says what a strict handset would find wrong with each.

mod fault;
mod read;
mod watcher;
mod write;

pub use fault::Fault;
pub use watcher::{Verdict, Watcher};

use crate::sip::Uri;
use std::borrow::Cow;

/// `application/reginfo+xml`: Content-Type of a document and Accept of its watcher (RFC 3680 clause 4.5).
pub const CONTENT_TYPE: &str = "application/reginfo+xml";

/// The event package (RFC 3680 clause 4.1).
pub const PACKAGE: &str = "reg";

/// One document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reginfo<'a> {
    /// From 0 on, one more for each document of the subscription.
    pub version: u32,
    /// How it relates to those before.
    pub state: DocumentState,
    /// In order.
    pub registrations: Vec<Registration<'a>>,
}

/// Whether a document says everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DocumentState {
    /// It replaces all that was said before.
    Full,
    /// It changes what was said before.
    Partial,
}

/// What is known of one public identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registration<'a> {
    /// The public identity. With a wildcard it is any one that matches, and without meaning.
    pub aor: Cow<'a, str>,
    /// Names this element in every document of the subscription.
    pub id: Cow<'a, str>,
    /// Whether contacts are bound.
    pub state: RegistrationState,
    /// In order.
    pub contacts: Vec<Contact<'a>>,
    /// The wildcarded identity that this element is about.
    pub wildcard: Option<Cow<'a, str>>,
}

/// State of a registration (RFC 3680 clause 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistrationState {
    /// Nothing is bound.
    Init,
    /// Something is bound.
    Active,
    /// The last contact has gone.
    Terminated,
}

/// One contact of one identity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact<'a> {
    /// Names this element in every document of the subscription.
    pub id: Cow<'a, str>,
    /// Whether it is bound.
    pub state: ContactState,
    /// What made it so.
    pub event: ContactEvent,
    /// Its address.
    pub uri: Cow<'a, str>,
    /// Its display name.
    pub display_name: Option<Cow<'a, str>>,
    /// Seconds until it ends.
    pub expires: Option<u64>,
    /// With `probation`: when to try again, in seconds.
    pub retry_after: Option<u64>,
    /// Seconds since it was bound.
    pub duration_registered: Option<u64>,
    /// As written.
    pub q: Option<Cow<'a, str>>,
    /// Call-ID of the REGISTER that changed it last.
    pub call_id: Option<Cow<'a, str>>,
    /// CSeq of that REGISTER.
    pub cseq: Option<u64>,
    /// Contact header parameters that RFC 3261 does not name: feature tags, `+sip.instance`. The value is as in the
    /// header, with its quotes.
    pub params: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Public GRUU.
    pub pub_gruu: Option<Cow<'a, str>>,
    /// Temporary GRUU, and the CSeq from which on it is valid.
    pub temp_gruu: Option<(Cow<'a, str>, u32)>,
}

/// State of a contact (RFC 3680 clause 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum ContactState {
    Active,
    Terminated,
}

/// What happened to a contact (RFC 3680 clause 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ContactEvent {
    /// Bound by a REGISTER for this identity.
    Registered,
    /// Bound without one: implicitly, or by the operator.
    Created,
    /// A REGISTER has prolonged it.
    Refreshed,
    /// The registrar has brought its end nearer.
    Shortened,
    /// Its time was over.
    Expired,
    /// The registrar ended it; the UE should register again at once.
    Deactivated,
    /// The registrar ended it; the UE may register again after a while.
    Probation,
    /// The UE ended it.
    Unregistered,
    /// The registrar ended it and will not take it again.
    Rejected,
}

impl Reginfo<'_> {
    /// What it says of the contact at `uri`, identity by identity.
    pub fn about<'s>(&'s self, uri: &'s str) -> impl Iterator<Item = (&'s Registration<'s>, &'s Contact<'s>)> {
        let parsed = Uri::parse(uri).ok();
        let is_it = move |c: &Contact<'_>| {
            let same = |own: Uri<'_>| parsed.as_ref().is_some_and(|other| own.equivalent(other));
            c.uri == uri || Uri::parse(&c.uri).is_ok_and(same)
        };
        let all = self.registrations.iter().flat_map(|r| r.contacts.iter().map(move |c| (r, c)));
        all.filter(move |(_, c)| is_it(c))
    }
}

impl<'a> Contact<'a> {
    /// A contact with nothing but what every one has.
    pub fn new(id: impl Into<Cow<'a, str>>, event: ContactEvent, uri: impl Into<Cow<'a, str>>) -> Self {
        Self {
            id: id.into(),
            state: event.state(),
            event,
            uri: uri.into(),
            display_name: None,
            expires: None,
            retry_after: None,
            duration_registered: None,
            q: None,
            call_id: None,
            cseq: None,
            params: Vec::new(),
            pub_gruu: None,
            temp_gruu: None,
        }
    }
}

impl DocumentState {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
        }
    }
}

impl RegistrationState {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Active => "active",
            Self::Terminated => "terminated",
        }
    }
}

impl ContactState {
    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Terminated => "terminated",
        }
    }
}

impl ContactEvent {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Registered,
        Self::Created,
        Self::Refreshed,
        Self::Shortened,
        Self::Expired,
        Self::Deactivated,
        Self::Probation,
        Self::Unregistered,
        Self::Rejected,
    ];

    /// As written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Created => "created",
            Self::Refreshed => "refreshed",
            Self::Shortened => "shortened",
            Self::Expired => "expired",
            Self::Deactivated => "deactivated",
            Self::Probation => "probation",
            Self::Unregistered => "unregistered",
            Self::Rejected => "rejected",
        }
    }

    /// The state that a contact is in after it.
    pub const fn state(self) -> ContactState {
        match self {
            Self::Registered | Self::Created | Self::Refreshed | Self::Shortened => ContactState::Active,
            Self::Expired | Self::Deactivated | Self::Probation | Self::Unregistered | Self::Rejected => {
                ContactState::Terminated
            }
        }
    }
}

/// Namespace of the document (RFC 3680 clause 5.4).
const REGINFO: &str = "urn:ietf:params:xml:ns:reginfo";

/// Namespace of GRUUs (RFC 5628 clause 6).
const GRUUINFO: &str = "urn:ietf:params:xml:ns:gruuinfo";

/// Namespace of `wildcardedIdentity` (TS 24.229 clause 7.10.2).
const EXT_REG_EXP: &str = "urn:3gpp:ns:extRegExp:1.0";
