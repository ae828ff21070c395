//! One attempt: its REGISTERs and what waits for their answers.

use super::challenge::{self, Credentials};
use super::failure::{Failure, Stage};
use super::register::{Register, Sequence};
use super::security::{Proposal, Set};
use super::{Asked, Goal, State, Ue, remove};
use crate::identity::Impu;
use crate::ipsec::association::{Algorithms, SaSetId};
use crate::packet::{Outbox, Transport};
use crate::sip::transaction::{ClientId, EndCause, Ended};
use crate::time::Instant;

/// A REGISTER has left; a challenge or a 200 is awaited.
#[derive(Debug)]
pub(super) struct Registering {
    pub(super) attempt: Attempt,
    pub(super) sent: Sent,
}

/// The set of SAs that the answer to a challenge needs is awaited.
#[derive(Debug)]
pub(super) struct Securing {
    pub(super) attempt: Attempt,
    pub(super) credentials: Box<Credentials>,
    pub(super) temporary: Set,
    pub(super) algorithms: Algorithms,
    /// The attempt fails then.
    pub(super) patience_ends: Instant,
}

/// The answer to a challenge has left; a 200 is awaited.
#[derive(Debug)]
pub(super) struct Answering {
    pub(super) attempt: Attempt,
    pub(super) sent: Sent,
    pub(super) answer: Box<Answer>,
}

/// What a challenge was answered with.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) credentials: Credentials,
    /// The temporary set that carries it; `None`: no agreement.
    pub(super) temporary: Option<Set>,
}

/// Everything from the first REGISTER to the final answer.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) goal: Goal,
    /// For another identity than the first.
    pub(super) other: Option<Box<Impu>>,
    /// It renews or ends the registration that lives; otherwise it replaces whatever there is.
    pub(super) renews: bool,
    /// The set of the registration that is refreshed or ended; `None`: in clear.
    pub(super) over: Option<Set>,
    /// The Security-Client of the last REGISTER; `None`: no agreement is wanted.
    pub(super) proposal: Option<Proposal>,
    /// Security-Server of the agreement on TLS.
    pub(super) mirror: Option<Box<str>>,
    /// The nonce answered last.
    pub(super) nonce: Option<Box<str>>,
    /// Valid challenges answered.
    pub(super) answered: u8,
    /// Challenges of proxies answered.
    pub(super) proxied: u8,
    /// Invalid challenges in a row.
    pub(super) invalid: u8,
    /// A 423 was obeyed already.
    pub(super) too_brief: bool,
}

/// The REGISTER that waits for its answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) client: ClientId,
    pub(super) branch: Box<str>,
    pub(super) set: Option<SaSetId>,
    pub(super) stage: Stage,
}

impl Ue {
    /// Begins an attempt: over the set of the registration, if there is one and it is not `afresh`.
    pub(super) fn start(&mut self, now: Instant, goal: Goal, afresh: bool, out: &mut Outbox) {
        if goal == Goal::Deregistered && self.config.emergency {
            // TS 24.229 clause 5.1.6.6: it lives until its expiry.
            self.state = State::Idle;
            return;
        }
        let attempt = self.attempt(goal, afresh);
        self.begin(now, attempt, out);
    }

    /// A new attempt: over the set of the registration, if there is one and it is not `afresh`.
    pub(super) fn attempt(&mut self, goal: Goal, afresh: bool) -> Attempt {
        let registration = self.registration.as_ref().filter(|_| !afresh);
        let over = registration.and_then(|r| r.set.clone());
        // Of a challenge for a USIM the SQN says whether it is an old one (TS 24.229 clause 5.1.1.5.3).
        let credentials = registration.and_then(|r| r.credentials.as_ref()).filter(|c| c.challenge.aka.is_none());
        let nonce = credentials.map(|c| c.challenge.nonce.clone());
        let renews = registration.is_some();
        let mirror = registration.and_then(|r| r.mirror.clone());
        if !renews {
            self.sequence = Sequence::new(&mut self.random);
        }
        Attempt {
            goal,
            other: None,
            renews,
            over,
            proposal: None,
            mirror,
            nonce,
            answered: 0,
            proxied: 0,
            invalid: 0,
            too_brief: false,
        }
    }

    /// Sends its first REGISTER.
    pub(super) fn begin(&mut self, now: Instant, attempt: Attempt, out: &mut Outbox) {
        self.ask(now, attempt, true, out);
    }

    /// Sends the REGISTER that expects a challenge. `agree`: with what the policy wants of an agreement.
    pub(super) fn ask(&mut self, now: Instant, mut attempt: Attempt, agree: bool, out: &mut Outbox) {
        attempt.proposal = if agree { self.proposal() } else { None };
        // TS 24.229 clause 5.1.1.4.2: the last credentials go with the registration that they belong to.
        let credentials = self.registration.as_mut().filter(|_| attempt.renews).and_then(|r| r.credentials.as_mut());
        let authorization = match credentials {
            Some(credentials) => credentials.authorization(&self.config, &mut self.random),
            None => challenge::unchallenged(&self.config),
        };
        let stage = if attempt.renews { Stage::Refresh } else { Stage::Register };
        let sent = self.send(now, &attempt, attempt.over.as_ref(), &authorization, stage, out);
        self.state = State::Registering(Registering { attempt, sent });
    }

    pub(super) fn propose(&mut self) -> Proposal {
        let mut live: Vec<&Set> = self.retiring.iter().collect();
        live.extend(self.registration.as_ref().and_then(|r| r.set.as_ref()));
        let honest = self.allocator.propose(&self.config, &live, &mut self.random);
        match &mut self.wrong {
            Some(wrong) => wrong.propose(&self.config, honest),
            None => honest,
        }
    }

    /// Sends one REGISTER, through `set` or in clear.
    pub(super) fn send(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        set: Option<&Set>,
        authorization: &str,
        stage: Stage,
        out: &mut Outbox,
    ) -> Sent {
        self.sequence.advance();
        let proxy_authorization = match self.proxy_credentials {
            Some(_) => self.proxy_authorization(("REGISTER", &format!("sip:{}", self.config.realm), b"")),
            None => None,
        };
        let register = Register {
            config: &self.config,
            sequence: &self.sequence,
            impu: attempt.other.as_deref().unwrap_or(&self.config.impu),
            reachable: set.map_or(self.config.local, |set| set.reachable(self.config.local.ip())),
            expires: if attempt.goal == Goal::Registered { self.expires } else { 0 },
            authorization,
            proxy_authorization: proxy_authorization.as_deref(),
            security_client: attempt.proposal.as_ref().map(Proposal::text),
            security_verify: set.map(|s| &*s.verify).or(attempt.mirror.as_deref()),
            form: self.config.forms.as_deref().and_then(|forms| stage.form(forms)),
        };
        let route = match set {
            Some(set) => set.route(self.config.transport, self.config.local.ip(), self.config.pcscf.ip()),
            None => self.clear_route(),
        };
        let mut branch = String::new();
        let write = |bytes: &mut Vec<u8>, transport: Transport, id: &str| {
            branch.clear();
            branch.push_str(id);
            register.write(bytes, transport, id);
        };
        let client = self.transactions.request(now, self.config.timers, route, true, Asked::Register, out, write);
        Sent { client, branch: branch.into(), set: set.map(|s| s.id), stage }
    }

    pub(super) fn on_ended(&mut self, now: Instant, ended: Vec<Ended<Asked>>, out: &mut Outbox) {
        for Ended { client, context, cause } in ended {
            if matches!(context, Asked::Subscribe) {
                self.on_subscribe_answered(now, None, out);
                continue;
            }
            if !matches!(context, Asked::Register) {
                self.on_answered(context, 0, out);
                continue;
            }
            let Some((attempt, sent, answer)) = self.take_attempt(client) else { continue };
            remove_temporary(answer, "the attempt ended without success", out);
            let stage = sent.stage;
            let failure = match cause {
                EndCause::Timeout => Failure::Timeout { stage },
                EndCause::TransportError => Failure::Transport { stage },
            };
            self.fail(now, &attempt, &failure, None, out);
        }
    }

    /// Takes the attempt out of the state if `client` is what it waits for.
    pub(super) fn take_attempt(&mut self, client: ClientId) -> Option<(Attempt, Sent, Option<Box<Answer>>)> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Registering(Registering { attempt, sent }) if sent.client == client => Some((attempt, sent, None)),
            State::Answering(Answering { attempt, sent, answer }) if sent.client == client => {
                Some((attempt, sent, Some(answer)))
            }
            other => {
                self.state = other;
                None
            }
        }
    }
}

pub(super) fn remove_temporary(answer: Option<Box<Answer>>, cause: &'static str, out: &mut Outbox) {
    if let Some(set) = answer.and_then(|a| a.temporary) {
        remove(out, set.id, cause);
    }
}
