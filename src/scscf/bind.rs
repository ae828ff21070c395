//! SAR, SAA, bindings and the 200 (TS 24.229 clause 5.4.1.2.2, TS 29.228 clause 6.1.2).

use super::answer::Granted;
use super::attempt::{Attempt, AwaitingSaa, State};
use super::challenge::UNABLE_TO_DELIVER;
use super::contacts::{Wanted, Wish, rebind};
use super::profile::UserData;
use super::refusal::Refusal;
use super::register::Register;
use super::registrar::{HssId, is_canonically};
use super::table::Id;
use super::{Awaited, Due, Scscf};
use crate::cx::{self, CxResult, RequestEnvelope, Saa, Sar, ServerAssignmentType};
use crate::event::What;
use crate::packet::Outbox;
use crate::sip::Message;
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
        let registration = self.registrar.find(register.impi, &register.impu);
        if self.flows_after(registration, wanted) > self.config.max_flows {
            return Err(Refusal::TooManyFlows);
        }
        // What went on before, a challenge that this REGISTER did not answer, has no purpose any more.
        if let Some(before) = self.attempts.find(register.impi, &register.impu) {
            self.fail_challenge(now, before, &Refusal::Replaced, out);
        }
        let state = State::AwaitingSaa(AwaitingSaa { server, request: register.message.bytes().into() });
        let attempt = self.attempts.insert(Attempt::new(register.impi, &register.impu, hss, state));
        self.send_assignment(now, register, attempt, hss, out);
        Ok(())
    }

    fn send_assignment(
        &mut self,
        now: Instant,
        register: &Register<'_, '_>,
        attempt: Id,
        hss: Option<HssId>,
        out: &mut Outbox,
    ) {
        let known = self.registrar.find(register.impi, &register.impu).is_some();
        let assignment = if known { ServerAssignmentType::ReRegistration } else { ServerAssignmentType::Registration };
        self.send_sar(now, register.impi, &register.impu, assignment, known, hss, Awaited::Saa(attempt), out);
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
        self.send_sar(now, impi, impu, assignment, false, hss, Awaited::Deregistering, out);
    }

    /// Registered at the HSS: binds, and answers 200.
    pub(super) fn on_saa(&mut self, now: Instant, attempt: Id, message: &[u8], out: &mut Outbox) {
        let Some(attempt) = self.attempts.remove(attempt) else { return };
        let (impi, impu) = (attempt.impi(), attempt.impu());
        let State::AwaitingSaa(AwaitingSaa { server, request }) = &attempt.state else { return };
        let server = *server;
        let message_of_ue = Message::parse(request).expect("it was parsed when it came");
        let saa = Saa::decode(message).map_err(|fault| Refusal::AssignmentFault(CxResult::Base(fault.code)));
        let outcome = Register::resume(&message_of_ue, impi, impu).and_then(|register| {
            let saa = saa?;
            if attempt.hss.is_some() && saa.result == UNABLE_TO_DELIVER {
                // Another HSS took the request over: it is asked by realm.
                let state = State::AwaitingSaa(AwaitingSaa { server, request: request.clone() });
                let again = self.attempts.insert(Attempt::new(register.impi, &register.impu, None, state));
                self.send_assignment(now, &register, again, None, out);
                return Ok(());
            }
            self.bind(now, server, &register, &saa, out)
        });
        if let Err(refusal) = outcome {
            self.refuse(now, server, &message_of_ue, &refusal, out);
        }
    }

    /// The HSS did not take the assignment: nothing is bound, what was bound before stays.
    pub(super) fn fail_assignment(&mut self, now: Instant, attempt: Id, refusal: &Refusal, out: &mut Outbox) {
        if let Some(Attempt { state: State::AwaitingSaa(waiting), .. }) = self.attempts.remove(attempt) {
            self.refuse_waiting(now, waiting.server, &waiting.request, refusal, out);
        }
    }

    fn bind(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        saa: &Saa<'_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        match saa.result {
            result if result.is_success() => {}
            result @ (CxResult::USER_UNKNOWN
            | CxResult::IDENTITIES_DONT_MATCH
            | CxResult::IDENTITY_ALREADY_REGISTERED
            | CxResult::IN_ASSIGNMENT_TYPE) => return Err(Refusal::IdentityRejected(result)),
            result => return Err(Refusal::AssignmentFault(result)),
        }
        let wish = Wish::read(register, &self.config)?;
        let Wish::Bind(wanted) = &wish else { return Err(Refusal::UnknownBinding) };
        let hss = self.registrar.hss_named(saa.envelope.origin_host);
        let before = self.registrar.find(register.impi, &register.impu);
        let registration = match (before, self.user_data(saa, &register.impu)) {
            (Some(id), Ok(None)) => id,
            (Some(id), Ok(Some(data))) => {
                self.registrar.update(id, register.impi, data);
                id
            }
            (None, Ok(Some(data))) => self.registrar.insert(now, register.impi, data),
            (None, Ok(None)) => return Err(self.undo(now, register, None, hss, Refusal::BadUserData, out)),
            (before, Err(refusal)) => return Err(self.undo(now, register, before, hss, refusal, out)),
        };
        self.registrar.set_hss(registration, Some(hss));
        let bindings = self.registrar.take_bindings(registration);
        let bindings = rebind(bindings, register, wanted, now, &self.registrar.compact);
        if let Some(deadline) = self.registrar.bind(registration, bindings) {
            self.timeouts.at(deadline, Due::Expiry(registration));
        }
        let others = self.sharing(register, saa);
        let granted = Granted { registration, others: &others, removed: &[], outbound: wish.uses_outbound() };
        self.answer_granted(now, server, register, &granted, out);
        self.tell(out, || {
            let entry = self.registrar.get(registration);
            let expires = entry.map(|r| r.bindings.as_slice().iter().map(|b| b.expires_at).max());
            What::Registered {
                impi: register.impi.into(),
                impu: entry.map_or_else(String::new, |r| self.registrar.default_impu(r)).into(),
                expires: expires.flatten().map_or(Duration::ZERO, |at| at.saturating_since(now)),
            }
        });
        Ok(())
    }

    /// The HSS has stored us for a user whom we cannot serve: it is told, and what was registered ends.
    fn undo(
        &mut self,
        now: Instant,
        register: &Register<'_, '_>,
        registration: Option<Id>,
        hss: HssId,
        refusal: Refusal,
        out: &mut Outbox,
    ) -> Refusal {
        if let Some(id) = registration {
            self.registrar.remove(id);
        }
        let assignment = ServerAssignmentType::AdministrativeDeregistration;
        self.end_assignment(now, register.impi, &register.impu, assignment, Some(hss), out);
        refusal
    }

    /// Registrations of other IMPIs that share the identity: their Contacts are bindings of it too.
    fn sharing(&self, register: &Register<'_, '_>, saa: &Saa<'_>) -> Vec<Id> {
        let others = saa.associated_identities.iter().filter(|impi| **impi != register.impi);
        others.filter_map(|impi| self.registrar.find(impi, &register.impu)).collect()
    }

    /// The set of the SAA: it must hold the identity registered, and one that is not barred.
    fn user_data<'x>(&mut self, saa: &Saa<'x>, impu: &str) -> Result<Option<UserData<'x>>, Refusal> {
        let Some(xml) = saa.user_data else { return Ok(None) };
        let data = self.registrar.user_data(xml, saa.charging).map_err(|_| Refusal::BadUserData)?;
        let refusal = if !data.identities.iter().any(|identity| is_canonically(identity, impu)) {
            Refusal::NotInSet
        } else if self.registrar.is_all_barred(&data) {
            Refusal::AllBarred
        } else {
            return Ok(Some(data));
        };
        self.registrar.discard(data);
        Err(refusal)
    }

    fn flows_after(&self, registration: Option<Id>, wanted: &[Wanted<'_>]) -> usize {
        let bound = wanted.iter().filter(|w| !w.expires.is_zero()).count();
        let replaces_all = wanted.iter().any(|w| w.flow.is_none() && !w.expires.is_zero());
        let before = registration.map_or(&[][..], |id| self.registrar.bindings(id));
        let stays = |b: &&super::binding::Binding| {
            (b.is_flow() || !replaces_all) && !wanted.iter().any(|w| b.is_of(w, &self.registrar.compact))
        };
        bound + before.iter().filter(stays).count()
    }

    #[expect(clippy::too_many_arguments, reason = "the AVPs of one message")]
    fn send_sar(
        &mut self,
        now: Instant,
        impi: &str,
        impu: &str,
        assignment: ServerAssignmentType,
        user_data_already_available: bool,
        hss: Option<HssId>,
        awaited: Awaited,
        out: &mut Outbox,
    ) {
        let session_id = self.node.session_id();
        let sar = Sar {
            envelope: RequestEnvelope {
                session_id: &session_id,
                origin_host: &self.config.diameter.origin_host,
                origin_realm: &self.config.diameter.origin_realm,
                destination_host: hss.and_then(|id| self.registrar.hss_host(id)),
                destination_realm: &self.config.realm,
            },
            impi: Some(impi),
            impus: vec![impu],
            server_name: &self.config.name,
            assignment,
            user_data_already_available,
        };
        self.node.request(now, Sar::COMMAND, cx::APPLICATION, awaited, out, |w| sar.encode(w));
    }
}
