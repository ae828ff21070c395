//! What a watcher is told: full state of one registered set (TS 24.229 clause 5.4.2.1.2).

use crate::reginfo::{Contact, ContactEvent, DocumentState, Reginfo, Registration as Element, RegistrationState};
use crate::scscf::binding::{Binding, LastEvent, pieces};
use crate::scscf::compact::Compact;
use crate::scscf::registrar::{Registrar, Registration, canonical};
use crate::time::Instant;
use foldhash::fast::FixedState;
use std::fmt::Write;
use std::hash::BuildHasher;

/// A contact that has ended.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    uri: String,
    params: String,
    call_id: String,
    cseq: u32,
    event: ContactEvent,
}

impl Gone {
    /// Bindings that `event` ended. Those for emergency calls are nobody's business.
    pub(super) fn all(bindings: &[Binding], event: ContactEvent, compact: &Compact) -> Vec<Self> {
        let reported = bindings.iter().filter(|b| !b.is_emergency());
        let gone = |b: &Binding| {
            let (uri, params, call_id, cseq) = (b.contact(compact), b.params(compact), b.call_id(compact), b.cseq());
            Self { uri, params, call_id, cseq, event }
        };
        reported.map(gone).collect()
    }
}

/// Appends the document of this version.
pub(super) fn write(
    registrar: &Registrar,
    now: Instant,
    registration: &Registration,
    gone: &[Gone],
    version: u32,
    gruus: impl Fn(&Binding, &str) -> Option<(String, String, u32)>,
    out: &mut Vec<u8>,
) {
    let compact = &registrar.compact;
    let bindings = registration.bindings.as_slice().iter().filter(|b| !b.is_emergency());
    let bound: Vec<_> = bindings.map(|b| (b, b.contact(compact), b.params(compact), b.call_id(compact))).collect();
    let state = match (bound.is_empty(), gone.is_empty()) {
        (false, _) => RegistrationState::Active,
        (true, false) => RegistrationState::Terminated,
        (true, true) => RegistrationState::Init,
    };
    let stated = registrar.identities(registration).filter(|(_, is_stated)| *is_stated);
    let registrations = stated.map(|(aor, _)| {
        let mut contacts = Vec::with_capacity(bound.len() + gone.len());
        for (binding, uri, params, call_id) in &bound {
            let event = match binding.event() {
                LastEvent::Refreshed => ContactEvent::Refreshed,
                LastEvent::Shortened => ContactEvent::Shortened,
                LastEvent::Registered if binding.names(&canonical(aor.clone())) => ContactEvent::Registered,
                LastEvent::Registered => ContactEvent::Created,
            };
            let mut contact = contact(&aor, event, uri, params, (call_id, binding.cseq()));
            contact.duration_registered = binding.age(now);
            let left = binding.expires_at.saturating_since(now);
            contact.expires = Some(left.as_secs() + u64::from(left.subsec_nanos() > 0));
            if let Some((public, temporary, first_cseq)) = gruus(binding, &aor) {
                contact.pub_gruu = Some(public.into());
                contact.temp_gruu = Some((temporary.into(), first_cseq));
            }
            contacts.push(contact);
        }
        contacts.extend(gone.iter().map(|g| contact(&aor, g.event, &g.uri, &g.params, (&g.call_id, g.cseq))));
        Element { id: id("r", &[&aor]).into(), aor: aor.into(), state, contacts, wildcard: None }
    });
    Reginfo { version, state: DocumentState::Full, registrations: registrations.collect() }.write(out);
}

/// `callid` and `cseq` are those of the REGISTER that changed it last (RFC 3680 clause 5.1), where they are known.
fn contact<'a>(
    aor: &str,
    event: ContactEvent,
    uri: &'a str,
    params: &'a str,
    (call_id, cseq): (&'a str, u32),
) -> Contact<'a> {
    let mut contact = Contact::new(id("c", &[aor, uri]), event, uri);
    if !call_id.is_empty() {
        contact.call_id = Some(call_id.into());
        contact.cseq = Some(cseq.into());
    }
    for piece in pieces(params.strip_prefix(';').unwrap_or(params)).filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        if name.eq_ignore_ascii_case("q") {
            contact.q = Some(value.into());
        } else {
            contact.params.push((name.into(), value.into()));
        }
    }
    contact
}

/// The same texts have the same id for as long as this program runs: nothing need be stored.
fn id(kind: &str, of: &[&str]) -> String {
    let mut id = String::with_capacity(kind.len() + 16);
    write!(id, "{kind}{:x}", FixedState::default().hash_one(of)).expect("a String takes every write");
    id
}
