//! SAR, SAA, bindings and the 200 (TS 24.229 clause 5.4.1.2.2, TS 29.228 clause 6.1.2).

use super::answer::Granted;
use super::attempt::{Attempt, AwaitingSaa, State, Subject};
use super::challenge::UNABLE_TO_DELIVER;
use super::contacts::{Planned, Wanted, rebind};
use super::profile::UserData;
use super::refresh::Prolonged;
use super::refusal::Refusal;
use super::register::Register;
use super::registrar::{HssId, Registrar, is_canonically};
use super::restoration::Left;
use super::table::Id;
use super::{Awaited, Due, Scscf, ScscfConfig};
use crate::cx::{self, CxResult, RequestEnvelope, Saa, Sar, ServerAssignmentType};
use crate::diameter::peer::Node;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::sip::transaction::ServerId;
use crate::time::{Duration, Instant};

impl Scscf {
    /// Tells the HSS that the user is registered, or still is.
    pub(super) fn assign(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        wanted: &[Wanted<'_>],
        hss: Option<HssId>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let waiting = self.plan(now, server, register, wanted, out)?;
        let attempt = self.attempts.insert(Attempt::new(register, hss, State::AwaitingSaa(waiting)));
        self.send_assignment(now, attempt, register.registration.is_some(), out);
        Ok(())
    }

    /// The same for a registration of which the HSS needs to hear nothing.
    pub(super) fn prolong(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        wanted: &[Wanted<'_>],
        registration: Id,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let planned = self.plan(now, server, register, wanted, out)?;
        self.bind(now, &Subject::of(register), registration, &[], planned, out);
        Ok(())
    }

    /// What will be bound and answered.
    fn plan(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        wanted: &[Wanted<'_>],
        out: &mut Outbox,
    ) -> Result<AwaitingSaa, Refusal> {
        let registration = register.registration;
        if self.flows_after(registration, wanted) > self.config.max_flows {
            return Err(Refusal::TooManyFlows);
        }
        // What went on before, a challenge that this REGISTER did not answer, has no purpose any more.
        if let Some(before) = register.attempt {
            self.fail_challenge(now, before, &Refusal::Replaced, out);
        }
        let planned = wanted.iter().map(|w| Planned::new(register, w, &self.registrar.compact, &mut self.scratch.0));
        let mut planned: Vec<Planned> = planned.collect();
        if let [only] = &mut *planned {
            only.likeness = self.likeness(register, wanted);
        }
        let left = if self.config.restoration { self.leave(now, register, &planned) } else { Vec::new() };
        let outbound = wanted.iter().any(|w| w.flow.is_some());
        let kept = self.keep_register(registration, register.message.bytes());
        let reply = self.reply_to_granted(server, register, wanted);
        let gruu = register.supports_gruu;
        let prolonged = None;
        Ok(AwaitingSaa { reply, planned, prolonged, outbound, gruu, register: kept, left, is_outdated: false })
    }

    /// The AVP that lets another process of ours go on.
    fn leave(&self, now: Instant, register: &Register<'_, '_>, planned: &[Planned]) -> Vec<u8> {
        let before = register.registration.map_or(&[][..], |id| self.registrar.bindings(id));
        let (config, compact) = (&self.config, &self.registrar.compact);
        let subscriptions = register.registration.map_or_else(Vec::new, |id| self.subscriptions_left(id));
        Left { config, compact, now, impi: register.impi, subscriptions }.write(planned, before)
    }

    /// Sends SAR for an attempt in `AwaitingSaa`.
    pub(super) fn send_assignment(&mut self, now: Instant, id: Id, known: bool, out: &mut Outbox) {
        let Self { attempts, node, session_id, config, registrar, .. } = self;
        let Some(attempt) = attempts.get(id) else { return };
        let State::AwaitingSaa(waiting) = &attempt.state else { return };
        let kind = if known { ServerAssignmentType::ReRegistration } else { ServerAssignmentType::Registration };
        let (impi, impu, hss) = (Some(attempt.impi()), attempt.impu(), attempt.hss);
        // With restoration the HSS gives back the other flows, should we have lost them.
        let multiple = config.restoration && waiting.outbound && !known;
        let assignment = Assignment { impi, impu, kind, known, hss, multiple, left: &waiting.left };
        Wire { node, session_id, config, registrar }.send(now, &assignment, Awaited::Saa(id), out);
    }

    /// Ends what the HSS holds of an identity; nobody waits for the answer.
    pub(super) fn end_assignment(
        &mut self,
        now: Instant,
        impi: &str,
        impu: &str,
        assignment: ServerAssignmentType,
        hss: Option<HssId>,
        out: &mut Outbox,
    ) {
        let kind = assignment;
        let assignment = Assignment { impi: Some(impi), impu, kind, known: false, hss, multiple: false, left: &[] };
        self.send_sar(now, &assignment, Awaited::Deregistering, out);
    }

    /// Registered at the HSS: binds, and answers 200.
    pub(super) fn on_saa(&mut self, now: Instant, attempt: Id, message: &[u8], out: &mut Outbox) {
        let Some(mut attempt) = self.attempts.remove(attempt) else { return };
        let State::AwaitingSaa(waiting) = attempt.state else { return };
        let saa = Saa::decode(message).map_err(|fault| Refusal::AssignmentFault(CxResult::Base(fault.code)));
        if attempt.hss.is_some() && saa.as_ref().is_ok_and(|saa| saa.result == UNABLE_TO_DELIVER) {
            // Another HSS took the request over: it is asked by realm.
            attempt.hss = None;
            attempt.state = State::AwaitingSaa(waiting);
            let known = self.registrar.find(attempt.impi(), attempt.impu()).is_some();
            let again = self.attempts.insert(attempt);
            return self.send_assignment(now, again, known, out);
        }
        let came_back = saa.as_ref().is_ok_and(|saa| !saa.restoration.is_empty());
        let known = waiting.prolonged.filter(|p| self.registrar.still_binds(p)).map(|p| p.registration);
        match saa.and_then(|saa| self.registered(now, &attempt.subject, known, &saa, out)) {
            Ok((registration, others)) => {
                self.bind(now, &attempt.subject, registration, &others, waiting, out);
                if came_back {
                    // This SAR has taken the place of what was left with the other Contacts.
                    self.leave_again(now, registration, out);
                }
            }
            Err(refusal) => self.refuse_waiting(now, &waiting.reply, &refusal, out),
        }
    }

    /// The HSS did not take the assignment: nothing is bound, what was bound before stays.
    pub(super) fn fail_assignment(&mut self, now: Instant, attempt: Id, refusal: &Refusal, out: &mut Outbox) {
        if let Some(Attempt { state: State::AwaitingSaa(waiting), .. }) = self.attempts.remove(attempt) {
            self.refuse_waiting(now, &waiting.reply, refusal, out);
        }
    }

    /// The registration of the SAA (`known`, if it is), and those of other IMPIs that share the identity: their Contacts
    /// are bindings of it too.
    fn registered(
        &mut self,
        now: Instant,
        subject: &Subject,
        known: Option<Id>,
        saa: &Saa<'_>,
        out: &mut Outbox,
    ) -> Result<(Id, Vec<Id>), Refusal> {
        let (impi, impu) = (subject.impi(), subject.impu());
        match saa.result {
            result if result.is_success() => {}
            result @ (CxResult::USER_UNKNOWN
            | CxResult::IDENTITIES_DONT_MATCH
            | CxResult::IDENTITY_ALREADY_REGISTERED
            | CxResult::IN_ASSIGNMENT_TYPE) => return Err(Refusal::IdentityRejected(result)),
            result => return Err(Refusal::AssignmentFault(result)),
        }
        let hss = self.registrar.hss_named(saa.envelope.origin_host);
        let before = known.or_else(|| self.registrar.find(impi, impu));
        let registration = match (before, self.user_data(saa, impu, subject.is_emergency, out)) {
            (Some(id), Ok(None)) => id,
            (Some(id), Ok(Some(data))) => {
                self.registrar.update(id, impi, data);
                id
            }
            (None, Ok(Some(data))) => {
                let id = self.registrar.insert(now, impi, data);
                self.forget_unregistered_set(id);
                self.go_on_beside(now, id, (impi, impu), &saa.restoration, out);
                id
            }
            (None, Ok(None)) => return Err(self.undo(now, (impi, impu), None, hss, Refusal::BadUserData, out)),
            (before, Err(refusal)) => return Err(self.undo(now, (impi, impu), before, hss, refusal, out)),
        };
        self.registrar.set_hss(registration, Some(hss));
        let others: Vec<&str> = saa.associated_identities.iter().copied().filter(|other| *other != impi).collect();
        self.registrar.set_shared(registration, !others.is_empty());
        Ok((registration, others.into_iter().filter_map(|other| self.registrar.find(other, impu)).collect()))
    }

    pub(super) fn bind(
        &mut self,
        now: Instant,
        subject: &Subject,
        registration: Id,
        others: &[Id],
        waiting: AwaitingSaa,
        out: &mut Outbox,
    ) {
        let AwaitingSaa { reply, mut planned, prolonged, outbound, gruu, register, left: _, is_outdated } = waiting;
        let is_same = |p: &Prolonged| p.registration == registration;
        let (mut is_first, mut replaced) = (false, Vec::new());
        if !prolonged.filter(is_same).is_some_and(|p| self.registrar.prolong(now, &p)) {
            if prolonged.is_some() {
                planned = self.read_again(&register);
            }
            let bindings = self.registrar.take_bindings(registration);
            let compact = &self.registrar.compact;
            is_first = bindings.iter().all(|b| b.is_emergency());
            let parallel = self.config.digest.parallel_contacts;
            let (bindings, gone) = rebind(bindings, planned, parallel, now, compact);
            replaced = gone;
            if let Some(deadline) = self.registrar.bind(registration, bindings) {
                self.timeouts.at(deadline, Due::Expiry(registration));
            }
        }
        let gruu = gruu.then(|| subject.impu());
        if self.config.restoration {
            self.outdate_other(subject);
        }
        self.answer_granted(now, &reply, &Granted { registration, others, removed: &[], outbound, gruu }, out);
        self.tell(out, || {
            let entry = self.registrar.get(registration);
            let expires = entry.map(|r| r.bindings.as_slice().iter().map(|b| b.expires_at).max());
            What::Registered {
                impi: subject.impi().into(),
                impu: entry.map_or_else(String::new, |r| self.registrar.default_impu(r)).into(),
                expires: expires.flatten().map_or(Duration::ZERO, |at| at.saturating_since(now)),
            }
        });
        if is_outdated {
            self.leave_again(now, registration, out);
        }
        if subject.is_emergency {
            // Neither application servers nor watchers hear of it (TS 24.229 clause 5.4.8.2).
            return self.kept.give(register);
        }
        self.announce_registered(now, registration, is_first, register, out);
        self.notify_changed(now, registration, &replaced, ContactEvent::Unregistered, out);
    }

    /// A usual and an emergency registration of one UE may be under way at once; the HSS keeps what it heard last.
    fn outdate_other(&mut self, subject: &Subject) {
        let other = self.attempts.find(subject.impi(), subject.impu(), !subject.is_emergency);
        if let Some(Attempt { state: State::AwaitingSaa(waiting), .. }) = other.and_then(|id| self.attempts.get_mut(id))
        {
            waiting.is_outdated = true;
        }
    }

    /// The HSS has stored us for a user whom we cannot serve: it is told, and what was registered ends.
    fn undo(
        &mut self,
        now: Instant,
        (impi, impu): (&str, &str),
        registration: Option<Id>,
        hss: HssId,
        refusal: Refusal,
        out: &mut Outbox,
    ) -> Refusal {
        if let Some(id) = registration {
            self.end_registration(now, id, Vec::new(), ContactEvent::Rejected, out);
        }
        let assignment = ServerAssignmentType::AdministrativeDeregistration;
        self.end_assignment(now, impi, impu, assignment, Some(hss), out);
        refusal
    }

    /// The set of the SAA: it must hold the identity registered, and one that is not barred, unless the registration is
    /// for emergency calls.
    pub(super) fn user_data<'x>(
        &mut self,
        saa: &Saa<'x>,
        impu: &str,
        emergency: bool,
        out: &mut Outbox,
    ) -> Result<Option<UserData<'x>>, Refusal> {
        let Some(xml) = saa.user_data else { return Ok(None) };
        let data = self.registrar.user_data(xml, saa.charging).map_err(|_| Refusal::BadUserData)?;
        for cause in self.registrar.take_criteria_faults() {
            self.tell(out, || What::FilterFault { cause });
        }
        let refusal = if !data.identities.iter().any(|identity| is_canonically(identity, impu)) {
            Refusal::NotInSet
        } else if !emergency && self.registrar.is_all_barred(&data) {
            Refusal::AllBarred
        } else {
            return Ok(Some(data));
        };
        self.registrar.discard(data);
        Err(refusal)
    }

    fn flows_after(&self, registration: Option<Id>, wanted: &[Wanted<'_>]) -> usize {
        let bound = wanted.iter().filter(|w| !w.expires.is_zero() && !w.is_emergency()).count();
        let replaces_all =
            !self.config.digest.parallel_contacts && wanted.iter().any(|w| w.flow.is_none() && !w.expires.is_zero());
        let before = registration.map_or(&[][..], |id| self.registrar.bindings(id));
        let stays = |b: &&super::binding::Binding| {
            (b.is_flow() || !replaces_all)
                && !b.is_emergency()
                && !wanted.iter().any(|w| b.is_of(&w.key(), &self.registrar.compact))
        };
        bound + before.iter().filter(stays).count()
    }

    /// Sends a SAR.
    pub(super) fn send_sar(&mut self, now: Instant, assignment: &Assignment<'_>, awaited: Awaited, out: &mut Outbox) {
        let Self { node, session_id, config, registrar, .. } = self;
        Wire { node, session_id, config, registrar }.send(now, assignment, awaited, out);
    }
}

/// What a SAR says.
pub(super) struct Assignment<'a> {
    pub(super) impi: Option<&'a str>,
    pub(super) impu: &'a str,
    pub(super) kind: ServerAssignmentType,
    /// The user data are here already.
    pub(super) known: bool,
    pub(super) hss: Option<HssId>,
    /// A flow beside others (RFC 5626).
    pub(super) multiple: bool,
    /// SCSCF-Restoration-Info, or nothing.
    pub(super) left: &'a [u8],
}

/// What it takes to ask the HSS.
struct Wire<'s> {
    node: &'s mut Node<Awaited>,
    session_id: &'s mut String,
    config: &'s ScscfConfig,
    registrar: &'s Registrar,
}

impl Wire<'_> {
    fn send(self, now: Instant, assignment: &Assignment<'_>, awaited: Awaited, out: &mut Outbox) {
        let Self { node, session_id, config, registrar } = self;
        session_id.clear();
        node.write_session_id(session_id);
        let hss = assignment.hss.and_then(|id| registrar.hss_host(id));
        let sar = Sar {
            envelope: RequestEnvelope::new(session_id, config.diameter.origin(), (hss, &config.realm)),
            impi: assignment.impi,
            impus: vec![assignment.impu],
            server_name: &config.name,
            assignment: assignment.kind,
            user_data_already_available: assignment.known,
            supports_restoration: config.restoration,
            supports_shared_ifc: !config.shared_ifc_sets.is_empty(),
            multiple_registration: assignment.multiple,
            restoration: None,
        };
        node.request(now, Sar::COMMAND, cx::APPLICATION, awaited, out, |w| {
            sar.encode(w);
            w.raw(assignment.left);
        });
    }
}
