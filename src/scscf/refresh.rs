//! A re-registration that is like the REGISTER before it: nothing new is asked for, so that what is bound goes on
//! (TS 24.229 clause 5.4.1.2.2).
//!
//! What was read and judged of that REGISTER is known again by a keyed hash of its lines, kept with the binding. What
//! differs each time is read each time: Via, From, CSeq, Authorization and what only goes back with the answer. Whatever is
//! otherwise is the matter of `register`.

use super::attempt::{Attempt, AwaitingSaa, State, Subject};
use super::binding::Likeness;
use super::contacts::{Planned, Wanted, Wish};
use super::register::{Protection, Register};
use super::registrar::Registrar;
use super::table::Id;
use super::{Scratch, Scscf};
use crate::packet::Outbox;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, NameSet, uri};
use crate::time::Instant;

/// The binding that a REGISTER prolongs, and what it changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prolonged {
    pub(super) registration: Id,
    pub(super) likeness: Likeness,
    pub(super) cseq: u32,
    /// For how many seconds.
    granted: u32,
    /// See `Binding::is_as_written`.
    is_as_written: bool,
}

impl Scscf {
    /// Serves a REGISTER that is like the one before it and proves itself by how it came. False: it must be read.
    pub(super) fn refresh(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) -> bool {
        let Some((prolonged, impi)) = self.like_before(now, message) else { return false };
        let mut canonical = String::new();
        let impu = match message.header(HeaderName::To).and_then(uri::canonical_address) {
            Some(impu) => impu,
            None => {
                let Ok(to) = message.to() else { return false };
                to.uri.canonical(&mut canonical);
                &canonical
            }
        };
        let id = prolonged.registration;
        self.registrar.count_unchallenged(id);
        let must_tell_hss = self.must_tell_hss(id);
        let register = match must_tell_hss {
            // Should the binding be another when the HSS has answered, this is read after all.
            true => self.kept.take(message.bytes()),
            false => self.keep_register(Some(id), message.bytes()),
        };
        let waiting = AwaitingSaa {
            reply: self.reply_to_refresh(server, message, prolonged.granted, prolonged.is_as_written),
            planned: Vec::new(),
            prolonged: Some(prolonged),
            outbound: false,
            gruu: false,
            register,
            left: Vec::new(),
            is_outdated: false,
        };
        let subject = Subject::new(impi, impu, false);
        if must_tell_hss {
            let attempt = Attempt::of(subject, self.registrar.hss_of(id), State::AwaitingSaa(waiting));
            let attempt = self.attempts.insert(attempt);
            self.send_assignment(now, attempt, true, out);
        } else {
            self.bind(now, &subject, id, &[], waiting, out);
        }
        true
    }

    /// What this REGISTER prolongs, and its private identity: where nothing else is under way, and it came over a security
    /// association and need not be challenged.
    fn like_before<'a>(&self, now: Instant, message: &Message<'a>) -> Option<(Prolonged, &'a str)> {
        let impi = message.first_username()?;
        let bound = self.registrar.bound_alone(impi);
        let mut bound = bound.filter(|(_, binding)| binding.likeness().is_some()).peekable();
        bound.peek()?;
        let likeness = self.registrar.likeness(message);
        let (registration, before) = bound.find(|(_, binding)| binding.likeness() == Some(likeness))?;
        let (cseq, _) = message.check_anew().ok()?;
        let bearer = message.bearer().ok()??;
        let is_refresh = before.cseq() < cseq.number
            && bearer.username == Some(impi)
            && Protection::of(bearer.integrity_protected) == Protection::SecurityAssociation
            && !self.attempts.has_any(impi)
            && !self.shedder.limits().shed_registrations(self.load())
            && !self.must_challenge(now, registration);
        let (granted, is_as_written) = (before.granted(), before.is_as_written());
        let prolonged = Prolonged { registration, likeness, cseq: cseq.number, granted, is_as_written };
        is_refresh.then_some((prolonged, impi))
    }

    /// What a REGISTER like this one has, too; `None` for one that is to be read each time.
    pub(super) fn likeness(&self, register: &Register<'_, '_>, wanted: &[Wanted<'_>]) -> Option<Likeness> {
        let [only] = wanted else { return None };
        let is_usual = register.protection() == Protection::SecurityAssociation
            && register.message.first_username() == Some(register.impi)
            && only.flow.is_none()
            && !only.is_emergency()
            && !(register.supports_gruu || register.has_to_tag || self.config.restoration);
        is_usual.then(|| self.registrar.likeness(register.message))
    }

    /// What a REGISTER binds that was taken for one like that before it.
    pub(super) fn read_again(&mut self, register: &[u8]) -> Vec<Planned> {
        let Ok(message) = Message::parse(register) else { return Vec::new() };
        let mut contacts = Vec::new();
        let Ok(checked) = message.checked_with(|contact| contacts.push(contact)) else { return Vec::new() };
        let Ok(register) = Register::read(&message, &checked, contacts) else { return Vec::new() };
        let Ok(Wish::Bind(wanted)) = Wish::read(&register, &self.config) else { return Vec::new() };
        let Self { registrar, scratch: Scratch(scratch), .. } = self;
        wanted.iter().map(|w| Planned::new(&register, w, &registrar.compact, scratch)).collect()
    }
}

impl Registrar {
    /// True while what a REGISTER prolongs is bound.
    pub(super) fn still_binds(&self, prolonged: &Prolonged) -> bool {
        let binding = self.bindings(prolonged.registration);
        matches!(binding, [only] if only.likeness() == Some(prolonged.likeness))
    }

    /// A REGISTER like that of the only binding of a registration: it lasts as long again, which is no shorter than before,
    /// so that its timer does. False: something else is bound.
    pub(super) fn prolong(&mut self, now: Instant, prolonged: &Prolonged) -> bool {
        let binding = self.only_binding(prolonged.registration);
        let Some(binding) = binding.filter(|b| b.likeness() == Some(prolonged.likeness)) else { return false };
        binding.prolong(now, prolonged.cseq);
        true
    }
}

/// What decides what a REGISTER asks for, besides what differs each time. Path and P-Visited-Network-ID tell where the
/// P-CSCF is.
pub(super) const DECIDING: NameSet = NameSet::of(&[
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::Contact,
    HeaderName::Expires,
    HeaderName::Supported,
    HeaderName::Require,
    HeaderName::Path,
    HeaderName::PVisitedNetworkId,
]);
