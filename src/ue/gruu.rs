//! GRUUs that a 200 gave (RFC 5627 clause 4, TS 24.229 clauses 5.1.1.2.1 and 5.1.2A.1).

use super::{Registration, Ue};
use crate::sip::header::contact::Contact;

/// What the Contact of a 200 says.
#[derive(Debug)]
pub(super) struct Gruus {
    public: Box<str>,
    temporary: Option<Box<str>>,
}

impl Gruus {
    /// Those of our own Contact, if it has any.
    pub(super) fn of(contact: &Contact<'_>) -> Option<Box<Self>> {
        let value = |name| contact.address.params.value(name).map(Into::into);
        Some(Box::new(Self { public: value("pub-gruu")?, temporary: value("temp-gruu") }))
    }
}

impl Registration {
    /// How peers in dialogs know this UE, where not by its address.
    pub(super) fn public_gruu(&self) -> Option<&str> {
        self.gruus.as_ref().map(|gruus| &*gruus.public)
    }
}

impl Ue {
    /// The public GRUU of the last 200.
    pub fn public_gruu(&self) -> Option<&str> {
        self.registration.as_ref().and_then(Registration::public_gruu)
    }

    /// The temporary GRUU of the last 200.
    pub fn temporary_gruu(&self) -> Option<&str> {
        self.registration.as_ref().and_then(|r| r.gruus.as_ref()).and_then(|gruus| gruus.temporary.as_deref())
    }
}
