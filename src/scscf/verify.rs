//! The answer to a challenge (TS 24.229 clauses 5.4.1.2.2 and 5.4.1.2.3).

use super::Scscf;
use super::attempt::{Challenged, Expected, RAND_LEN, RESYNC_LEN, State};
use super::contacts::Wish;
use super::digest::inputs;
use super::refusal::Refusal;
use super::register::Register;
use super::table::Id;
use crate::aka::digest::{self, Algorithm, Secret};
use crate::cx::ServerAssignmentType;
use crate::event::What;
use crate::packet::Outbox;
use crate::sip::header::digest::Digest;
use crate::sip::transaction::ServerId;
use crate::time::Instant;
use data_encoding::BASE64;
use subtle::ConstantTimeEq;

impl Scscf {
    /// A REGISTER of the Call-ID that was challenged, with a nonce.
    pub(super) fn on_answer(
        &mut self,
        now: Instant,
        server: ServerId,
        attempt: Id,
        register: &Register<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let state = self.attempts.get_mut(attempt).map(|a| &mut a.state);
        let (Some(State::Challenged(challenged)), Some(credentials)) = (state, &register.credentials) else {
            return Err(Refusal::WrongNonce);
        };
        // A wrong nonce does not end the attempt: anybody may write one.
        if !challenged.has_nonce(register.nonce().unwrap_or_default()) {
            return Err(Refusal::WrongNonce);
        }
        if credentials.algorithm.is_some_and(|a| Algorithm::from_token(a) != Some(challenged.algorithm)) {
            return Err(Refusal::WrongAlgorithm);
        }
        if let Some(auts) = credentials.auts {
            return self.on_synchronisation_failure(now, server, attempt, register, auts, out);
        }
        let Some(response) = credentials.response.filter(|r| !r.is_empty()) else {
            return self.on_mac_failure(now, server, attempt, register, out);
        };
        let right = is_right(challenged, credentials, response, register)?;
        let wish = Wish::read(register, &self.config);
        // The UE may ask again otherwise, with the answer that it has given (TS 24.229 clause 5.1.1.2.1).
        if right
            && let Err(refusal) = &wish
            && matches!(refusal, Refusal::IntervalTooBrief { .. } | Refusal::FirstHopLacksOutbound)
        {
            challenged.cseq = register.cseq;
            return wish.map(drop);
        }
        let hss = self.attempts.remove(attempt).and_then(|a| a.hss);
        let impi = register.impi;
        if !right {
            self.tell(out, || What::AuthenticationFailed { impi: impi.into(), cause: "response is wrong" });
            let failure = ServerAssignmentType::AuthenticationFailure;
            self.end_assignment(now, impi, &register.impu, failure, hss, out);
            return Err(Refusal::WrongResponse);
        }
        self.tell(out, || What::ResponseVerified { impi: impi.into() });
        if let Some(id) = register.registration {
            self.registrar.authenticated(id, now);
        }
        self.fulfil(now, server, register, &wish?, hss, out)
    }

    /// The USIM found the SQN out of range: a new vector, made after AUTS.
    fn on_synchronisation_failure(
        &mut self,
        now: Instant,
        server: ServerId,
        attempt: Id,
        register: &Register<'_, '_>,
        auts: &str,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let auts = BASE64.decode(auts.as_bytes()).ok().filter(|a| a.len() == AUTS_LEN).ok_or(Refusal::BadAuts)?;
        let most = self.config.max_resyncs;
        let mut waiting = self.awaiting_maa(server, register, None);
        let Some(going_on) = self.attempts.get_mut(attempt) else { return Err(Refusal::WrongNonce) };
        let State::Challenged(challenged) = &going_on.state else { return Err(Refusal::WrongNonce) };
        if going_on.resyncs >= most {
            return Err(self.give_up(now, attempt, register, Refusal::TooManyResyncs, out));
        }
        let mut rand_auts = [0; RESYNC_LEN];
        rand_auts[..RAND_LEN].copy_from_slice(&challenged.rand());
        rand_auts[RAND_LEN..].copy_from_slice(&auts);
        going_on.resyncs += 1;
        going_on.mac_failures = 0;
        waiting.resync = Some(rand_auts);
        going_on.state = State::AwaitingMaa(waiting);
        self.send_mar(now, attempt, out);
        Ok(())
    }

    /// The USIM found the MAC wrong. A UE answers two invalid challenges in a row, so a new one is sent twice: the second may
    /// be right (TS 24.229 clauses 5.1.1.5.3 and 5.4.1.2.3; TS 34.229-1 clause 9.1).
    fn on_mac_failure(
        &mut self,
        now: Instant,
        server: ServerId,
        attempt: Id,
        register: &Register<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let waiting = self.awaiting_maa(server, register, None);
        let Some(going_on) = self.attempts.get_mut(attempt) else { return Err(Refusal::WrongNonce) };
        going_on.mac_failures += 1;
        if going_on.mac_failures >= MAC_FAILURES {
            return Err(self.give_up(now, attempt, register, Refusal::TooManyMacFailures, out));
        }
        going_on.state = State::AwaitingMaa(waiting);
        self.send_mar(now, attempt, out);
        Ok(())
    }

    fn give_up(
        &mut self,
        now: Instant,
        attempt: Id,
        register: &Register<'_, '_>,
        refusal: Refusal,
        out: &mut Outbox,
    ) -> Refusal {
        let hss = self.attempts.remove(attempt).and_then(|a| a.hss);
        let cause = match refusal {
            Refusal::TooManyResyncs => "too many resynchronisations",
            _ => "the UE found the challenges invalid",
        };
        let impi = register.impi;
        self.tell(out, || What::AuthenticationFailed { impi: impi.into(), cause });
        self.end_assignment(now, impi, &register.impu, ServerAssignmentType::AuthenticationFailure, hss, out);
        refusal
    }
}

/// Compares in constant time. Each nonce is used once, so any count but zero is larger than the one before.
fn is_right(
    challenged: &Challenged,
    credentials: &Digest<'_>,
    response: &str,
    register: &Register<'_, '_>,
) -> Result<bool, Refusal> {
    let (xres, ck, ik) = match &challenged.expected {
        Expected::Recorded(recorded) => return Ok(bool::from(recorded.ct_eq(response.as_bytes()))),
        Expected::Vector { xres, ck, ik } => (xres, ck, ik),
    };
    let inputs = inputs(credentials, challenged.algorithm, "REGISTER", register.message.body())?;
    Ok(digest::response(&inputs, Secret::Aka { res: xres.as_slice(), ik: &ik.0, ck: &ck.0 }).matches(response))
}

const AUTS_LEN: usize = RESYNC_LEN - RAND_LEN;
const MAC_FAILURES: u32 = 3;
