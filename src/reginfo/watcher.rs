//! The watcher of one subscription: takes document after document, as a strict handset does (RFC 3680 clause 5.2).

use super::{
    Contact, ContactEvent, ContactState, DocumentState, Fault, Reginfo, Registration as Element, RegistrationState,
};
use crate::identity::Impu;
use crate::sip::Uri;
use std::collections::HashSet;

/// What the documents of one subscription have said so far.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    /// Of the last document taken.
    version: Option<u32>,
    registrations: Vec<Known>,
}

/// What became of one document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict<'a> {
    /// Everything that is wrong with it, in the order found.
    pub faults: Vec<Fault>,
    /// The document, if it counts: it can be read, and it is newer than those before.
    pub document: Option<Reginfo<'a>>,
    /// Something was missed: only a new subscription or a refresh brings full state again.
    pub needs_full_state: bool,
}

/// One identity, by its registration element.
#[derive(Clone, Debug)]
struct Known {
    aor: Impu,
    id: Box<str>,
    contacts: Vec<KnownContact>,
}

/// A contact that is active.
#[derive(Clone, Debug)]
struct KnownContact {
    id: Box<str>,
    uri: Box<str>,
}

impl Watcher {
    /// Nothing was said yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The version of the last document that counted.
    pub const fn version(&self) -> Option<u32> {
        self.version
    }

    /// Takes the body of the next NOTIFY. `set` is the implicit registration set as P-Associated-URI states it; where
    /// it is empty, identities are not judged.
    pub fn take<'a>(&mut self, body: &'a [u8], set: &[&str]) -> Verdict<'a> {
        let mut faults = Vec::new();
        let Some(document) = Reginfo::read(body, &mut faults) else {
            return Verdict { faults, document: None, needs_full_state: false };
        };
        let counts = self.order(&document, &mut faults);
        judge_set(&document, set, &mut faults);
        judge_ids(&document, &mut faults);
        for registration in &document.registrations {
            registration.contacts.iter().for_each(|c| judge_contact(c, &mut faults));
        }
        if let Err(needs_full_state) = counts {
            return Verdict { faults, document: None, needs_full_state };
        }
        self.version = Some(document.version);
        let before = match document.state {
            DocumentState::Full => std::mem::take(&mut self.registrations),
            DocumentState::Partial => self.registrations.clone(),
        };
        for registration in &document.registrations {
            self.merge(registration, &before, &mut faults);
        }
        Verdict { faults, document: Some(document), needs_full_state: false }
    }

    /// Whether the document counts; `Err`: it does not, and whether full state must be asked for.
    fn order(&self, document: &Reginfo<'_>, faults: &mut Vec<Fault>) -> Result<(), bool> {
        let found = document.version;
        match (self.version, document.state) {
            (None, DocumentState::Partial) => {
                faults.push(Fault::FirstIsPartial);
                Err(true)
            }
            (None, DocumentState::Full) => {
                if found != 0 {
                    faults.push(Fault::FirstVersion(found));
                }
                Ok(())
            }
            (Some(before), _) if found <= before => {
                faults.push(Fault::VersionNotNewer { before, found });
                Err(false)
            }
            (Some(before), state) if found - before > 1 => {
                faults.push(Fault::VersionGap { before, found });
                if state == DocumentState::Full { Ok(()) } else { Err(true) }
            }
            _ => Ok(()),
        }
    }

    fn merge(&mut self, element: &Element<'_>, before: &[Known], faults: &mut Vec<Fault>) {
        let aor = || Impu::from(&*element.aor);
        let known = before.iter().find(|k| same(k.aor.as_str(), &element.aor));
        if known.is_some_and(|k| *k.id != *element.id) {
            faults.push(Fault::RegistrationIdChanged(aor()));
        }
        let contacts = known.map_or(&[][..], |k| &k.contacts);
        let changed = |c: &Contact<'_>| contacts.iter().any(|k| same(&k.uri, &c.uri) && *k.id != *c.id);
        if element.contacts.iter().any(changed) {
            faults.push(Fault::ContactIdChanged(aor()));
        }
        // In full state only what is listed lives on: `registrations` is empty then.
        let at = self.registrations.iter().position(|k| same(k.aor.as_str(), &element.aor));
        let mut now = at.map_or_else(Vec::new, |at| self.registrations.swap_remove(at).contacts);
        for contact in &element.contacts {
            now.retain(|k| *k.id != *contact.id);
            if contact.state == ContactState::Active {
                now.push(KnownContact { id: (&*contact.id).into(), uri: (&*contact.uri).into() });
            }
        }
        match element.state {
            RegistrationState::Active if now.is_empty() => faults.push(Fault::ActiveWithoutContact(aor())),
            RegistrationState::Init | RegistrationState::Terminated if !now.is_empty() => {
                faults.push(Fault::ContactOutlivesRegistration(aor()));
            }
            _ => {}
        }
        if element.state == RegistrationState::Active {
            self.registrations.push(Known { aor: aor(), id: (&*element.id).into(), contacts: now });
        }
    }
}

/// Only identities of the set, each once, and in full state all of them.
fn judge_set(document: &Reginfo<'_>, set: &[&str], faults: &mut Vec<Fault>) {
    let of_set = |aor: &str| set.is_empty() || set.iter().any(|impu| same(impu, aor));
    for (n, registration) in document.registrations.iter().enumerate() {
        // The aor of a wildcarded identity is arbitrary.
        if registration.wildcard.is_some() {
            continue;
        }
        if !of_set(&registration.aor) {
            faults.push(Fault::ForeignAor(Impu::from(&*registration.aor)));
        }
        let earlier = document.registrations[..n].iter().filter(|r| r.wildcard.is_none());
        if earlier.into_iter().any(|r| same(&r.aor, &registration.aor)) {
            faults.push(Fault::RepeatedAor(Impu::from(&*registration.aor)));
        }
    }
    if document.state == DocumentState::Full {
        let is_told = |impu: &&&str| document.registrations.iter().any(|r| same(&r.aor, impu));
        faults.extend(set.iter().filter(|impu| !is_told(impu)).map(|impu| Fault::IdentityMissing(Impu::from(*impu))));
    }
}

/// RFC 3680 clause 5.1: ids are unique among the elements of their kind.
fn judge_ids(document: &Reginfo<'_>, faults: &mut Vec<Fault>) {
    let mut seen = HashSet::new();
    if !document.registrations.iter().all(|r| seen.insert(&*r.id)) {
        faults.push(Fault::RepeatedRegistrationId);
    }
    seen.clear();
    if !document.registrations.iter().flat_map(|r| &r.contacts).all(|c| seen.insert(&*c.id)) {
        faults.push(Fault::RepeatedContactId);
    }
}

fn judge_contact(contact: &Contact<'_>, faults: &mut Vec<Fault>) {
    if contact.event.state() != contact.state {
        let (state, event) = (contact.state.as_str(), contact.event.as_str());
        faults.push(Fault::StateOfOtherEvent { state, event });
    }
    match (contact.state, contact.event, contact.expires) {
        (ContactState::Active, _, Some(0)) => faults.push(Fault::ActiveWithoutTime),
        (_, ContactEvent::Shortened, None) => faults.push(Fault::ShortenedWithoutExpires),
        _ => {}
    }
    if contact.retry_after.is_some() && contact.event != ContactEvent::Probation {
        faults.push(Fault::RetryAfterWithoutProbation);
    }
}

/// Whether two texts are one URI.
fn same(a: &str, b: &str) -> bool {
    a == b || matches!((Uri::parse(a), Uri::parse(b)), (Ok(a), Ok(b)) if a.equivalent(&b))
}
