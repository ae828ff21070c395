//! Final answers to a REGISTER: a challenge, a grant, a refusal (TS 24.229 clauses 5.1.1.2 to 5.1.1.6).

use super::attempt::{Answer, Answering, Attempt, Registering, Securing, remove_temporary};
use super::challenge::{Challenge, Credentials, MAX_ANSWERS, Proof};
use super::failure::{Failure, Stage};
use super::gruu::Gruus;
use super::keep_alive::KeepAlive;
use super::misbehaviour::Misbehaviour;
use super::register::contact_uri;
use super::security::{Agreement, Allocator, BEYOND_REGISTRATION, Proposal, SET_UP, Set, TEMPORARY};
use super::timers::refresh_after;
use super::{Failed, Goal, Registration, State, Ue, UeConfig, Waiting, remove, retry_after, tell};
use crate::aka::usim::Verdict;
use crate::aka::{Ck, Ik};
use crate::event::What;
use crate::identity::Impu;
use crate::ipsec::association::{Algorithms, Mod, Mode, SaSet, SaSetId};
use crate::packet::{Effect, Outbox, SaFault, Transport};
use crate::pcscf::SecAgreePolicy;
use crate::sip::header::contact::{Contact, Contacts};
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Message, StartLine, Uri};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

impl Ue {
    pub(super) fn on_final(&mut self, now: Instant, client: ClientId, message: &Message<'_>, out: &mut Outbox) {
        let StartLine::Response { status, reason } = message.start() else { return };
        let Some((attempt, sent, answer)) = self.take_attempt(client) else { return };
        match status {
            200..=299 => self.on_accepted(now, attempt, answer, message, out),
            401 => {
                remove_temporary(answer, "challenged again", out);
                self.on_challenge(now, attempt, message, out);
            }
            407 if self.config.login.is_some() => self.on_proxy_challenge(now, attempt, answer, message, out),
            _ => {
                remove_temporary(answer, "the attempt ended without success", out);
                if let Err(attempt) = self.ask_otherwise(now, attempt, status, message, out) {
                    let (reason, stage, invalid) = (reason.into(), sent.stage, attempt.invalid);
                    let failure = match invalid {
                        0 => Failure::Refused { status, reason, stage },
                        _ => Failure::RefusedAfterInvalid { status, reason, invalid },
                    };
                    self.fail(now, &attempt, &failure, retry_after(message), out);
                }
            }
        }
    }

    /// A challenge: AUTN first, then the agreement, then the answer (TS 24.229 clause 5.1.1.5.1).
    fn on_challenge(&mut self, now: Instant, mut attempt: Attempt, message: &Message<'_>, out: &mut Outbox) {
        let challenge = match Challenge::pick(message, &self.config) {
            Ok(challenge) if attempt.nonce.as_deref() == Some(&*challenge.nonce) => {
                return self.fail(now, &attempt, &Failure::NonceRepeated, None, out);
            }
            Ok(challenge) => challenge,
            Err(failure) => return self.fail(now, &attempt, &failure, None, out),
        };
        attempt.nonce = Some(challenge.nonce.clone());
        let Some(((rand, autn), usim)) = challenge.aka.zip(self.config.usim.as_mut()) else {
            return self.on_password_asked(now, attempt, challenge, message, out);
        };
        let impi = &self.config.impi;
        let doubts = self.wrong.as_ref().is_some_and(|wrong| wrong.how == Misbehaviour::MacFailure);
        if self.wrong.as_mut().is_some_and(|wrong| wrong.has_seen_it()) {
            let _ = usim.authenticate(&rand, &autn);
        }
        match usim.authenticate(&rand, &autn) {
            Verdict::Accepted { .. } if doubts => {
                tell(out, || What::MacFailure { impi: impi.clone() });
                self.object(now, attempt, Credentials::new(challenge, Proof::MacFailure), out);
            }
            Verdict::Accepted { res, ck, ik, .. } => {
                tell(out, || What::AutnVerified { impi: impi.clone() });
                let res = self.wrong.as_ref().map_or_else(|| res.clone(), |wrong| wrong.answer(res.clone()));
                attempt.invalid = 0;
                attempt.answered += 1;
                if attempt.answered > MAX_ANSWERS {
                    return self.fail(now, &attempt, &Failure::ChallengedTooOften(MAX_ANSWERS), None, out);
                }
                match self.agree(now, &attempt, message, ck.clone(), ik.clone(), out) {
                    Ok(temporary) => {
                        let credentials = Credentials::new(challenge, Proof::Response { res, ck, ik });
                        let Some((temporary, algorithms)) = temporary else {
                            return self.answer(now, attempt, credentials, None, out);
                        };
                        let (credentials, patience_ends) = (Box::new(credentials), now + SET_UP);
                        let next = Securing { attempt, credentials, temporary, algorithms, patience_ends };
                        self.state = State::Securing(next);
                    }
                    Err(failure) => self.fail(now, &attempt, &failure, None, out),
                }
            }
            Verdict::MacFailure => {
                tell(out, || What::MacFailure { impi: impi.clone() });
                self.object(now, attempt, Credentials::new(challenge, Proof::MacFailure), out);
            }
            Verdict::SynchronisationFailure { auts, sqn, sqn_ms } => {
                tell(out, || What::SqnOutOfRange { impi: impi.clone(), sqn, sqn_ms });
                self.object(now, attempt, Credentials::new(challenge, Proof::Synchronisation { auts }), out);
            }
        }
    }

    /// The set of a challenge is there: its answer leaves.
    pub(super) fn on_set_up(&mut self, now: Instant, installed: SaSetId, out: &mut Outbox) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Securing(Securing { attempt, credentials, mut temporary, algorithms, .. })
                if temporary.id == installed =>
            {
                let Set { id, ue, mode, .. } = temporary;
                tell(out, || What::SaInstalled {
                    set: id,
                    ue: SocketAddr::new(self.config.local.ip(), ue.port_s),
                    algorithms: match mode {
                        Mod::Trans => algorithms.to_string(),
                        Mod::UdpEncTun => format!("{algorithms}, {mode}"),
                    },
                    spis: (ue.spi_c, ue.spi_s),
                    ports: (ue.port_c, ue.port_s),
                });
                temporary.ends_at = now + TEMPORARY;
                self.answer(now, attempt, *credentials, Some(temporary), out);
            }
            other => self.state = other,
        }
    }

    /// The set of a challenge could not be made: the attempt ends, nothing is downgraded (TS 33.203 clause 7.2).
    pub(super) fn on_set_up_failed(&mut self, now: Instant, set: SaSetId, cause: SaFault, out: &mut Outbox) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Securing(Securing { attempt, temporary, .. }) if temporary.id == set => {
                remove(out, set, "it could not be set up");
                self.fail(now, &attempt, &Failure::SaNotInstalled { cause }, None, out);
            }
            other => self.state = other,
        }
    }

    /// Installs the set that the 401 agrees to; `Ok(None)`: there is none and none is required.
    fn agree(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        message: &Message<'_>,
        ck: Ck,
        ik: Ik,
        out: &mut Outbox,
    ) -> Result<Option<(Set, Algorithms)>, Failure> {
        let Some(Proposal::Sas { endpoint, .. }) = &attempt.proposal else { return Ok(None) };
        let Some(agreement) = Agreement::read(message, &self.config)? else {
            // What runs over SAs stays there.
            let may_do_without = self.config.sec_agree == SecAgreePolicy::Offered && attempt.over.is_none();
            return if may_do_without { Ok(None) } else { Err(Failure::SecurityServerMissing) };
        };
        let Agreement { algorithms, mode, pcscf, verify } = agreement;
        let (ck, ik, ue) = match &mut self.wrong {
            Some(wrong) => wrong.install(ck, ik, *endpoint),
            None => (ck, ik, *endpoint),
        };
        if !attempt.renews {
            self.forget_overtaken(ue, pcscf, out);
        }
        let id = Allocator::name(&mut self.random);
        let ue_address = self.config.local.ip();
        let pcscf_address = self.config.pcscf.ip();
        let (addressed, public) = match mode {
            Mod::Trans => (Mode::Transport, None),
            Mod::UdpEncTun => {
                // Over SAs it is our own address inside.
                let seen = || message.via().ok().and_then(|via| via.received());
                let public = attempt.over.as_ref().map_or_else(seen, |set| set.public);
                (Mode::UdpTunnel { outer_ue: ue_address }, public)
            }
        };
        let set = SaSet { id, ue_address, pcscf_address, ue, pcscf, algorithms, mode: addressed, ck, ik, at_ue: true };
        out.push(Effect::InstallSa(Box::new(set)));
        if self.wrong.as_ref().is_some_and(|wrong| wrong.how == Misbehaviour::Replay) {
            out.push(Effect::ReplaySa(id));
        }
        Ok(Some((Set { id, ue, pcscf, mode, public, verify, ends_at: now + TEMPORARY }, algorithms)))
    }

    /// Sends the response to a valid challenge, through the new set.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        attempt: Attempt,
        mut credentials: Credentials,
        temporary: Option<Set>,
        out: &mut Outbox,
    ) {
        let authorization = credentials.authorization(&self.config, &mut self.random);
        let sent = self.send(now, &attempt, temporary.as_ref(), &authorization, Stage::Answer, out);
        self.state = State::Answering(Answering { attempt, sent, answer: Box::new(Answer { credentials, temporary }) });
    }

    /// Says that a challenge is invalid, outside any new set, with a new offer (TS 24.229 clause 5.1.1.5.3).
    fn object(&mut self, now: Instant, mut attempt: Attempt, mut credentials: Credentials, out: &mut Outbox) {
        attempt.invalid += 1;
        if attempt.invalid >= MAX_INVALID {
            return self.fail(now, &attempt, &Failure::ChallengesInvalid(attempt.invalid), None, out);
        }
        if attempt.proposal.is_some() {
            attempt.proposal = self.proposal();
        }
        if let Some(earlier) = self.registration.as_ref().and_then(|r| r.credentials.as_ref()) {
            credentials.count_on(earlier);
        }
        let authorization = credentials.authorization(&self.config, &mut self.random);
        let sent = self.send(now, &attempt, attempt.over.as_ref(), &authorization, Stage::Register, out);
        self.state = State::Registering(Registering { attempt, sent });
    }

    /// A 200.
    fn on_accepted(
        &mut self,
        now: Instant,
        attempt: Attempt,
        answer: Option<Box<Answer>>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        if let Some(impu) = &attempt.other
            && attempt.goal == Goal::Deregistered
        {
            remove_temporary(answer, "registration ended", out);
            return self.end_other(now, impu, "de-registered by the user", out);
        }
        if attempt.goal == Goal::Deregistered {
            remove_temporary(answer, "registration ended", out);
            return self.end_registration("de-registered by the user", now, out);
        }
        let carried = answer.as_ref().and_then(|a| a.temporary.as_ref()).or(attempt.over.as_ref());
        let is_protected = carried.is_some() || attempt.mirror.is_some();
        let wants_protection = self.config.usim.is_some() || self.config.transport == Transport::Tls;
        if !is_protected && wants_protection && self.config.sec_agree == SecAgreePolicy::Required {
            return self.fail(now, &attempt, &Failure::NotProtected, None, out);
        }
        let reachable = carried.map_or(self.config.local, |set| set.reachable(self.config.local.ip()));
        let contacts = message.contacts().ok();
        let own = contacts.as_ref().and_then(|contacts| own_contact(contacts, &self.config, reachable));
        let granted = own.and_then(|own| own.expires).or_else(|| message.expires()).unwrap_or(self.expires);
        if granted == 0 {
            remove_temporary(answer, "the attempt ended without success", out);
            return self.fail(now, &attempt, &Failure::NotBound, None, out);
        }
        let granted = Duration::from_secs(granted.into());
        let mut before = self.registration.take();
        let (set, mut credentials) = self.settle(now, granted, &attempt, answer, before.as_mut(), out);
        if let (Some(credentials), Some(info)) = (&mut credentials, message.header(HeaderName::AuthenticationInfo)) {
            let uri = format!("sip:{}", self.config.realm);
            if !credentials.take_info(info, &self.config, (&uri, message.body())) {
                tell(out, || What::AuthenticationFailed { impi: self.config.impi.clone(), cause: "rspauth is wrong" });
            }
        }
        if let Some(impu) = attempt.other {
            return self.on_other_accepted(now, *impu, granted, (set, credentials), before, out);
        }
        let associated = associated(message);
        let others = before.map_or_else(Vec::new, |r| r.others);
        let impu = associated.first().unwrap_or(&self.config.impu).clone();
        self.registration = Some(Registration {
            set,
            mirror: attempt.mirror,
            credentials,
            associated,
            service_route: message.elements(HeaderName::ServiceRoute).map(Into::into).collect(),
            path: message.elements(HeaderName::Path).map(Into::into).collect(),
            refresh_at: self.config.refresh.then(|| now + refresh_after(granted)),
            expires_at: now + granted,
            others: if attempt.renews { others } else { Vec::new() },
            gruus: own.filter(|_| self.config.gruu).and_then(Gruus::of),
        });
        self.keep_alive = KeepAlive::agreed(now, self.config.keep_alive, message, &mut self.random);
        self.failures = 0;
        self.failure = None;
        let impi = &self.config.impi;
        tell(out, || What::Registered { impi: impi.clone(), impu, expires: granted });
        if self.goal == Goal::Deregistered {
            self.start(now, Goal::Deregistered, false, out);
        } else {
            self.watch(now, !attempt.renews, out);
            self.form_second_flow(now, attempt.renews, message, out);
        }
    }

    /// Which set and which credentials serve the registration from now on.
    fn settle(
        &mut self,
        now: Instant,
        granted: Duration,
        attempt: &Attempt,
        answer: Option<Box<Answer>>,
        before: Option<&mut Registration>,
        out: &mut Outbox,
    ) -> (Option<Set>, Option<Credentials>) {
        let lifetime = now + granted + BEYOND_REGISTRATION;
        let (old_set, old_credentials) = before.map_or((None, None), |r| (r.set.take(), r.credentials.take()));
        if !attempt.renews {
            // TS 33.203 clause 7.4.1: an initial registration replaces all that was.
            for set in self.retiring.drain(..).chain(old_set) {
                remove(out, set.id, "replaced by an initial registration");
            }
            let Some(answer) = answer else { return (None, None) };
            let set = answer.temporary.map(|set| establish(now, set, lifetime, out));
            return (set, Some(answer.credentials));
        }
        let lifetime = old_set.as_ref().map_or(lifetime, |set| set.ends_at.max(lifetime));
        // Not challenged: set and credentials live on (TS 24.229 clause 5.1.1.4.1).
        let Some(answer) = answer else {
            if let Some(Set { id, .. }) = old_set {
                out.push(Effect::ExtendSa { set: id, until: lifetime });
            }
            return (old_set.map(|set| Set { ends_at: lifetime, ..set }), old_credentials);
        };
        let Answer { credentials, temporary } = *answer;
        let Some(set) = temporary else { return (old_set, Some(credentials)) };
        self.retiring.extend(old_set);
        (Some(establish(now, set, lifetime, out)), Some(credentials))
    }

    /// What a UE may ask again at once, differently. Gives the attempt back where there is nothing to try.
    fn ask_otherwise(
        &mut self,
        now: Instant,
        mut attempt: Attempt,
        status: u16,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Result<(), Box<Attempt>> {
        let agree = attempt.proposal.is_some();
        match status {
            423 if !attempt.too_brief && attempt.goal == Goal::Registered => {
                let wanted = message.header(HeaderName::MinExpires).and_then(|v| v.trim().parse::<u32>().ok());
                match wanted.filter(|secs| *secs > self.expires) {
                    Some(secs) => self.expires = secs,
                    None => return Err(attempt.into()),
                }
                attempt.too_brief = true;
                self.ask(now, attempt, agree, out);
            }
            439 if self.does_without_flow() => self.ask(now, attempt, agree, out),
            420 if agree && attempt.over.is_none() && self.config.sec_agree == SecAgreePolicy::Offered => {
                if !message.has_option(HeaderName::Unsupported, "sec-agree") {
                    return Err(attempt.into());
                }
                self.ask(now, attempt, false, out);
            }
            _ => return Err(attempt.into()),
        }
        Ok(())
    }

    /// The attempt is over: wait, or give up.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        failure: &Failure,
        retry_after: Option<Duration>,
        out: &mut Outbox,
    ) {
        let cause = failure.to_string();
        self.failure = Some(cause.clone());
        if let Some(impu) = &attempt.other {
            let status = failure.status();
            tell(out, || What::GaveUp { status, cause });
            return self.end_other(now, impu, "the registration of a further identity has failed", out);
        }
        if attempt.goal == Goal::Deregistered {
            return self.end_registration("de-registration unanswered or refused", now, out);
        }
        self.failures += 1;
        if self.registration.is_none() {
            self.end_session(out);
        }
        if self.goal == Goal::Deregistered {
            return self.deregister(now, out);
        }
        if Self::starts_over(attempt, failure, retry_after) {
            tell(out, || What::RetryAt { after: Duration::ZERO, cause });
            return self.start(now, Goal::Registered, true, out);
        }
        let tired = self.config.retry.attempts.is_some_and(|limit| self.failures >= limit);
        if failure.is_final() || tired {
            let status = failure.status();
            tell(out, || What::GaveUp { status, cause });
            self.state = State::Failed(Failed { status });
            return;
        }
        let after = retry_after.unwrap_or_else(|| self.wait_after_failure());
        tell(out, || What::RetryAt { after, cause });
        let retry_at = now + after;
        // A registration that outlives a wait that the network asked for is refreshed; else it starts over.
        let outlives = retry_after.is_some() && self.registration.as_ref().is_some_and(|r| r.expires_at > retry_at);
        self.state = State::Waiting(Waiting { retry_at, afresh: !outlives });
    }

    /// Nothing is registered any more, and no SA is left (TS 24.229 clause 5.1.1.6).
    pub(super) fn end_registration(&mut self, cause: &'static str, now: Instant, out: &mut Outbox) {
        self.state = State::Idle;
        let Some(registration) = self.registration.take() else { return };
        let impu = registration.associated.first().unwrap_or(&self.config.impu).clone();
        if self.is_watching() {
            // The network may yet say how it ended: the sets live until that transaction is over as well.
            let last = now + self.config.timers.t1 * 64;
            self.retiring.extend(registration.set);
            for set in &mut self.retiring {
                set.ends_at = set.ends_at.min(last);
            }
        } else {
            for set in self.retiring.drain(..).chain(registration.set) {
                remove(out, set.id, "registration ended");
            }
            self.end_session(out);
        }
        self.drop_calls("registration ended", out);
        let impi = &self.config.impi;
        tell(out, || What::Deregistered { impi: impi.clone(), impu, cause });
        if self.goal == Goal::Registered {
            self.start(now, Goal::Registered, true, out);
        }
    }
}

/// The temporary set becomes the one in use.
fn establish(now: Instant, set: Set, ends_at: Instant, out: &mut Outbox) -> Set {
    let id = set.id;
    out.push(Effect::ExtendSa { set: id, until: ends_at });
    tell(out, || What::SaEstablished { set: id, lifetime: ends_at - now });
    Set { ends_at, ..set }
}

/// Our own Contact of a 200, among all that the identity has (RFC 3261 clause 10.2.4).
fn own_contact<'c, 'a>(
    contacts: &'c Contacts<'a>,
    config: &UeConfig,
    reachable: SocketAddr,
) -> Option<&'c Contact<'a>> {
    let own = contact_uri(config, reachable);
    let own = Uri::parse(&own).ok();
    let Contacts::List(contacts) = contacts else { return None };
    let by_uri = contacts.iter().find(|c| own.as_ref().is_some_and(|own| own.equivalent(&c.address.uri)));
    let instance = config.instance.as_deref();
    let is_ours = |text: &str| instance.is_some_and(|i| text.trim_matches(['<', '>']).eq_ignore_ascii_case(i));
    by_uri.or_else(|| contacts.iter().find(|c| c.instance().is_some_and(is_ours)))
}

/// P-Associated-URI, order kept. Networks exist that leave out the commas, so the angle brackets count.
fn associated(message: &Message<'_>) -> Box<[Impu]> {
    let mut list = Vec::new();
    for element in message.elements(HeaderName::PAssociatedUri) {
        if !element.contains('<') {
            list.extend(element.split(';').next().map(Impu::from));
        }
        list.extend(element.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(uri, _)| Impu::from(uri)));
    }
    list.into()
}

/// The third invalid challenge in a row is not answered (TS 24.229 clause 5.1.1.5.3).
const MAX_INVALID: u8 = 3;
