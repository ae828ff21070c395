//! What is due, what has not come, and the end.

use super::player::{Cue, Player};
use super::report::Outcome;
use super::script::Step;
use crate::packet::Outbox;
use crate::sip::header::contact::Contacts;
use crate::sip::transaction::EndCause;
use crate::time::{Duration, Instant};

impl Player {
    /// What the other side has to be told to do, and when it did it in the recording: for whoever runs both.
    pub fn cue(&self) -> Option<(Option<Instant>, Cue)> {
        let next = self.settled.iter().position(|settled| !settled).filter(|_| self.end.is_none())?;
        let step = &self.script.steps[next];
        if step.sender == self.config.side || !step.is_request() || !step.is_register() {
            return None;
        }
        let sip = step.sip()?;
        // The answer to a challenge needs no word from outside.
        let answers = sip.authorization().ok().flatten().and_then(|digest| digest.nonce);
        if answers.is_some_and(|nonce| self.challenges.last().is_some_and(|last| last.recorded.nonce == nonce))
            && self.is_behind_a_challenge(next)
        {
            return None;
        }
        let ends = sip.expires() == Some(0)
            || sip.contacts().is_ok_and(|contacts| match contacts {
                Contacts::Star => true,
                Contacts::List(list) => !list.is_empty() && list.iter().all(|contact| contact.expires == Some(0)),
            });
        let due = self.last.map(|last| last + self.gap_before(next));
        Some((due, if ends { Cue::Deregister } else { Cue::Register }))
    }

    fn is_behind_a_challenge(&self, index: usize) -> bool {
        let before = self.script.steps[..index].iter().rev().find(|step| step.is_register());
        before.is_some_and(|step| matches!(step.status, Some(401 | 407)))
    }

    /// Plays every step that is due, in order.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Outbox) {
        self.wake = None;
        while self.end.is_none() && self.installing.is_none() {
            let Some(next) = self.settled.iter().position(|settled| !settled) else {
                self.end = Some(now);
                return;
            };
            // A 401 that waited for its set has waited long enough.
            let gap = if self.prepared.contains(&next) { Duration::ZERO } else { self.gap_before(next) };
            let step = &self.script.steps[next];
            // What comes first from the other side is waited for by whoever runs this.
            let Some(last) = self.last else { return };
            if step.sender == self.config.side {
                let due = last + gap;
                if due > now {
                    self.wake = Some(due);
                    return;
                }
                self.settle(next, now);
                self.play(now, next, out);
            } else {
                let until = last + gap + self.config.patience;
                if until > now {
                    self.wake = Some(until);
                    return;
                }
                self.miss(now, next, "it did not come in time");
            }
        }
    }

    /// Notes that step `index` is through.
    pub(super) fn settle(&mut self, index: usize, now: Instant) {
        self.settled[index] = true;
        self.last = Some(now);
    }

    /// Step `index` will not come.
    fn miss(&mut self, now: Instant, index: usize, why: &str) {
        let step = self.script.steps[index].clone();
        self.settle(index, now);
        self.report.note(now, Some(step.number), &step.name(), Outcome::Absent(why.to_owned()));
        if step.is_register() {
            self.finish(now);
        } else if step.is_request() {
            // Nobody asks, so nobody is answered.
            let answers: Vec<usize> = self.of_exchange(step.exchange).collect();
            for answer in answers {
                self.settled[answer] = true;
                let step = &self.script.steps[answer];
                self.report.note(now, Some(step.number), &step.name(), Outcome::Skipped);
            }
        }
    }

    /// No answer came to the request of step `index`.
    pub(super) fn unanswered(&mut self, now: Instant, index: usize, cause: EndCause) {
        let exchange = self.script.steps[index].exchange;
        let why = match cause {
            EndCause::Timeout => "there was no answer",
            EndCause::TransportError => "there is no connection",
        };
        let awaited = self.of_exchange(exchange).find(|other| self.script.steps[*other].status.is_some());
        match awaited.filter(|_| self.end.is_none()) {
            Some(awaited) => self.miss(now, awaited, why),
            None => self.report.note(now, None, &self.script.steps[index].name(), Outcome::Note(why.to_owned())),
        }
    }

    /// Ends the play for a reason that is told already: what is left is neither sent nor awaited.
    pub(super) fn finish(&mut self, now: Instant) {
        for (index, step) in self.script.steps.iter().enumerate() {
            if !std::mem::replace(&mut self.settled[index], true) {
                self.report.note(now, Some(step.number), &step.name(), Outcome::Skipped);
            }
        }
        self.wake = None;
        self.end = Some(now);
    }

    /// Ends the play at the next step, for this reason.
    pub(super) fn stop(&mut self, now: Instant, why: &str) {
        if let Some(next) = self.settled.iter().position(|settled| !settled) {
            self.settled[next] = true;
            let step = &self.script.steps[next];
            let why = why.to_owned();
            let outcome = if step.sender == self.config.side { Outcome::NotSent(why) } else { Outcome::Absent(why) };
            self.report.note(now, Some(step.number), &step.name(), outcome);
        }
        self.finish(now);
    }

    /// Steps of an exchange that are still to come.
    pub(super) fn of_exchange(&self, exchange: usize) -> impl Iterator<Item = usize> {
        let open = self.settled.iter().zip(&self.script.steps).enumerate();
        open.filter(move |(_, (settled, step))| !**settled && step.exchange == exchange).map(|(index, _)| index)
    }

    /// The time between a step and the one before it, at the speed asked for.
    fn gap_before(&self, index: usize) -> Duration {
        let at = |step: &Step| step.at;
        let before = index.checked_sub(1).and_then(|before| at(&self.script.steps[before]));
        let gap = before.zip(at(&self.script.steps[index])).map(|(before, at)| at.saturating_since(before));
        match gap {
            Some(gap) if self.config.speed > 0.0 => {
                Duration::try_from_secs_f64(gap.as_secs_f64() / self.config.speed).unwrap_or(Duration::MAX)
            }
            _ => Duration::ZERO,
        }
    }
}
