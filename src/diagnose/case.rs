//! A registration that is looked at, and how it failed.

use super::Context;
use crate::aka::trial::Typed;
use crate::aka::vector::SubscriberKeys;
use crate::time::Duration;
use crate::trace::story::{Attempt, Journey, Message, Outcome, Registration};
use crate::validate::rules::walk;
use crate::validate::{self, Finding, Verdict};

/// A registration that is looked at.
#[derive(Debug)]
pub struct Case<'r> {
    /// What the trace shows of it.
    pub registration: &'r Registration<'r>,
    /// The keys of its subscriber.
    pub keys: Option<&'r SubscriberKeys>,
    /// The same as somebody typed them.
    pub typed: Option<Typed>,
    /// The private identities that the HSS has; `None`: nobody told.
    pub provisioned: Option<&'r [String]>,
    /// What rules are told, but for the keys.
    pub policy: validate::Context<'static>,
    findings: Vec<Finding>,
    failure: Option<Failure<'r>>,
}

/// The last attempt of a registration, which failed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Failure<'r> {
    /// The attempt.
    pub attempt: Attempt<'r>,
    /// How it ended.
    pub how: How<'r>,
}

/// How an attempt failed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum How<'r> {
    /// By a final answer: this one. It is a challenge where every answer is challenged again.
    Refused(Message<'r>),
    /// The last thing said is this challenge, and the trace goes on for longer than anybody waits.
    Silent(Message<'r>),
    /// This challenge is followed by ESP of the UE on its SPIs that stays shut, and by nothing back.
    Unheard(Message<'r>),
    /// This REGISTER has no final answer, and the trace goes on for longer than anybody waits.
    Unanswered(Message<'r>),
}

impl<'r> Case<'r> {
    pub(super) fn of(registration: &'r Registration<'r>, context: &'r Context<'_>) -> Self {
        let judge = &context.judge;
        let keys = registration.impi().and_then(|impi| judge.keys_of(impi));
        let typed = keys.map(|keys| match (keys, context.op) {
            (SubscriberKeys::Milenage { k, .. }, Some(op)) => Typed::op(k.clone(), op.clone()),
            _ => Typed::from(keys),
        });
        Self {
            registration,
            keys,
            typed,
            provisioned: context.provisioned,
            policy: validate::Context { keys: None, ..*judge },
            findings: validate::judge(registration, judge, |_| true),
            failure: failure(registration),
        }
    }

    /// The last attempt, where it failed. `None`: it did not, or the trace ends before that can be told.
    pub const fn failure(&self) -> Option<Failure<'r>> {
        self.failure
    }

    /// The status, by a response, that refused the last attempt.
    pub fn refusal(&self) -> Option<(Attempt<'r>, Message<'r>, u16)> {
        let Failure { attempt, how: How::Refused(by) } = self.failure? else { return None };
        Some((attempt, by, by.status()?))
    }

    /// The challenge that the last attempt left without an answer.
    pub fn silence(&self) -> Option<(Attempt<'r>, Message<'r>)> {
        let Failure { attempt, how: How::Silent(challenge) } = self.failure? else { return None };
        Some((attempt, challenge))
    }

    /// The ways in which a rule fails.
    pub fn failed(&self, id: &str) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |f| f.rule.id == id && f.verdict == Verdict::Fail)
    }

    /// The ways in which a rule fails by messages of one attempt.
    pub fn failed_in(&self, id: &str, attempt: Attempt<'r>) -> impl Iterator<Item = &Finding> {
        let is_of = move |number: &u64| {
            let mut exchanges = attempt.journeys().flat_map(|journey| journey.hops().chain(journey.diameter()));
            exchanges.any(|exchange| exchange.messages().any(|message| message.number == *number))
        };
        self.failed(id).filter(move |finding| finding.messages.iter().any(is_of))
    }

    /// The messages that a finding names.
    pub fn messages_of(&self, finding: &Finding) -> impl Iterator<Item = Message<'r>> {
        finding.messages.iter().filter_map(|number| self.registration.message(*number))
    }

    /// Every rule that fails, in the order of the catalogue.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.verdict == Verdict::Fail)
    }

    /// What a rule says.
    pub fn verdict(&self, id: &str) -> Verdict {
        let finding = self.findings.iter().find(|finding| finding.rule.id == id);
        finding.map_or(Verdict::NotApplicable, |finding| finding.verdict)
    }
}

/// The last attempt whose end is known, if it failed: of one public identity a later success repairs what was before it.
fn failure<'r>(registration: &'r Registration<'r>) -> Option<Failure<'r>> {
    let mut succeeded: Vec<Attempt<'r>> = Vec::new();
    for attempt in registration.attempts().rev() {
        if succeeded.iter().any(|other| is_about_the_same(attempt, *other)) {
            continue;
        }
        match attempt.outcome() {
            Outcome::Registered | Outcome::Deregistered => succeeded.push(attempt),
            _ => {
                if let Some(how) = how(attempt) {
                    return Some(Failure { attempt, how });
                }
            }
        }
    }
    None
}

fn is_about_the_same(a: Attempt<'_>, b: Attempt<'_>) -> bool {
    match (a.impu(), b.impu()) {
        (Some(a), Some(b)) => walk::same_identity(a, b),
        _ => true,
    }
}

fn how<'r>(attempt: Attempt<'r>) -> Option<How<'r>> {
    match attempt.outcome() {
        Outcome::Registered | Outcome::Deregistered => None,
        Outcome::Refused(_) => attempt.end().map(How::Refused),
        // Who switches off leaves without waiting.
        Outcome::Challenged if attempt.is_deregistration() => None,
        Outcome::Challenged => {
            let challenge = attempt.latest().last()?;
            if goes_round(attempt) {
                return Some(How::Refused(challenge));
            }
            let is_over = waited_in_vain(challenge) || begins_anew(attempt, challenge);
            if is_over { after_challenge(challenge) } else { None }
        }
        Outcome::Unanswered => {
            let request = attempt.latest().request()?;
            let is_shown = request.registration().observable().downlink || was_repeated(request);
            (waited_in_vain(request) && is_shown).then_some(How::Unanswered(request))
        }
    }
}

/// True where every answer is challenged again: two responses, or three answers of any kind.
fn goes_round(attempt: Attempt<'_>) -> bool {
    let has_response = |request: Message<'_>| {
        let digest = request.sip().and_then(|sip| sip.authorization().ok().flatten());
        digest
            .is_some_and(|digest| digest.auts.is_none() && digest.response.is_some_and(|response| !response.is_empty()))
    };
    let answers: Vec<Journey<'_>> = attempt.journeys().skip(1).collect();
    let responses =
        answers.iter().filter_map(|journey| journey.request()).filter(|request| has_response(*request)).count();
    responses >= 2 || answers.len() >= 3
}

/// True where the UE registers the same identity anew after a challenge, and does not answer it.
fn begins_anew(attempt: Attempt<'_>, challenge: Message<'_>) -> bool {
    let later = std::iter::successors(attempt.next(), |attempt| attempt.next());
    later
        .filter(|other| is_about_the_same(attempt, *other))
        .filter_map(Attempt::request)
        .any(|request| request.index() > challenge.index())
}

/// True where the sender itself shows that nothing came: it tried again and again, whatever directions the trace has.
fn was_repeated(request: Message<'_>) -> bool {
    request.exchange().is_some_and(|exchange| exchange.requests().count() >= TRIES)
}

/// True where the trace goes on for longer than 64*T1 after a message (RFC 3261 clause 17.1.2.2, timer F).
fn waited_in_vain(message: Message<'_>) -> bool {
    walk::shown_after(message).is_some_and(|time| time >= TIMER_F)
}

/// What the trace shows after a challenge that nothing readable answers. `None`: the answer may be there, on a side of the
/// exchange that the trace does not show, or in ESP that stays shut and is talked back to.
fn after_challenge(challenge: Message<'_>) -> Option<How<'_>> {
    let registration = challenge.registration();
    let set = registration.sets().find(|set| set.challenge() == challenge);
    let ue = set.and_then(|set| set.addresses()).map(|(ue, _)| ue);
    let shut: Vec<_> = set.into_iter().flat_map(|set| set.shut()).collect();
    match () {
        () if !registration.observable().uplink => None,
        () if shut.is_empty() => Some(How::Silent(challenge)),
        () if shut.iter().all(|shut| Some(shut.from) == ue) => Some(How::Unheard(challenge)),
        () => None,
    }
}

const TIMER_F: Duration = Duration::from_secs(32);
/// A capture of one direction holds no more of an exchange that loses a message or two.
const TRIES: usize = 4;
