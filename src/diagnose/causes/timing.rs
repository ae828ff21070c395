//! Timers and refreshes (diagnoses 1.4; TS 24.229 clauses 5.1.1.4.1, 7.7 and 7.8).

use super::gm::attempt_of;
use crate::diagnose::{Case, Cause, How};
use crate::event::Role;
use crate::reginfo::ContactState;
use crate::sip::{HeaderName, Method};
use crate::time::Duration;
use crate::trace::story::{Attempt, Interface, Kind, Message, Outcome, Registration, Timer};
use crate::validate::rules::reg_event::{gone_by, told_to_ue};
use crate::validate::rules::walk::{self, is_shut, same_address, seconds, shown_after};

pub(super) const CAUSES: &[&Cause] = &[&TIMERS, &REREG_LATE, &NOTIFY_MINEXP];

const TIMERS: Cause = Cause {
    name: "DIAG-TIMERS",
    clause: "TS 24.229 clause 7.7, table 7.7.1",
    meaning: "Timers of RFC 3261 are used over radio: T1 is 0.5 s there and 2 s here, timer F 32 s and 128 s.",
    action: "Set T1 to 2 s, T2 to 16 s and T4 to 17 s in the UE, and in the P-CSCF towards UEs.",
    behind: &[],
    find: |case, findings| {
        if !is_of_ims(case.registration) {
            return;
        }
        // It gave up, and the answer came.
        let late = case.registration.attempts().find_map(|attempt| {
            let exchange = attempt.latest().first();
            let (request, answer) = (exchange.request()?, exchange.last()?);
            let waited = answer.since(request)?;
            let is_late = waited > TIMER_F && waited <= TIMER_F_OF_IMS && request.from() == Some(Role::Ue);
            let last = exchange.requests().last()?;
            let gave_up = answer.since(last).is_some_and(|time| time > LONGEST_GAP);
            (is_late && gave_up).then_some((attempt, request, answer, waited))
        });
        if let Some((attempt, request, answer, waited)) = late {
            let found = format!("the UE gave up, and the answer came after {}", seconds(waited));
            let has_moved_on = attempt.next().is_none() && answer.status().is_some_and(|status| status < 300);
            if has_moved_on
                && !case.registration.messages().skip(answer.index() + 1).any(|m| m.from() == Some(Role::Ue))
            {
                findings.cause([request, answer], "a request that waits 128 s", found).likely();
            } else {
                findings.of(attempt, [request, answer], "a request that waits 128 s", found).likely();
            }
            return;
        }
        let quick: Vec<Message<'_>> = case
            .registration
            .waits()
            .filter(|(message, _)| message.interface() == Interface::Gm && message.is_udp())
            .filter(|(_, wait)| matches!(wait.timer, Timer::Retransmission { t1, .. } if t1 == T1_OF_RFC_3261))
            .map(|(message, _)| message)
            .collect();
        // One may be a chance.
        let [first, .., last] = quick[..] else { return };
        let found = format!("{} retransmissions with T1 0.5 s", quick.len());
        let messages = [first.repeats().unwrap_or(first), first, last];
        match case.failure() {
            Some(failure) if matches!(failure.how, How::Unanswered(request) if first.repeats() == Some(request)) => {
                findings.cause(messages, "T1 of 2 s", found).possible()
            }
            _ => findings.remark(messages, "T1 of 2 s", found).likely(),
        };
    },
};

const REREG_LATE: Cause = Cause {
    name: "DIAG-REREG-LATE",
    clause: "TS 24.229 clause 5.1.1.4.1; TS 34.229-1 clauses 8.2 and 11.2",
    meaning: "The UE refreshes its registration too late, or not at all.",
    action: "Let the UE send its REGISTER 600 s before the end of a registration of more than 1200 s, and when half is over of \
             a shorter one; a NOTIFY with `shortened` counts.",
    behind: &[],
    find: |case, findings| {
        for finding in case.failed("OK-07") {
            let request = finding.messages.first().and_then(|number| case.registration.message(*number));
            let Some(request) = request else { continue };
            let granted = case.registration.granted_before(request).and_then(Attempt::end);
            let messages = granted.into_iter().chain([request]);
            let (expected, found) = (finding.expected.as_str(), finding.found.as_str());
            match attempt_of(request) {
                Some(attempt) => findings.of(attempt, messages, expected, found),
                None => findings.remark(messages, expected, found),
            };
        }
        for finding in case.failed("EV-07") {
            let messages: Vec<Message<'_>> = case.messages_of(finding).collect();
            let attempt = messages.last().and_then(|last| attempt_of(*last));
            let (expected, found) = (finding.expected.as_str(), finding.found.as_str());
            match attempt {
                Some(attempt) => findings.of(attempt, messages, expected, found),
                None => findings.remark(messages, expected, found),
            };
        }
        if let Some((end, granted, shown)) = lapsed(case).filter(|_| !findings.has("DIAG-REREG-LATE")) {
            let found = format!("none in {}", seconds(shown));
            findings.remark([end], format!("a REGISTER within {}", seconds(granted)), found).likely();
        }
    },
};

const NOTIFY_MINEXP: Cause = Cause {
    name: "DIAG-NOTIFY-MINEXP",
    clause: "TS 24.229 clauses 5.4.1.2.2 and 5.4.2.1.2; RFC 3680 clause 5.2",
    meaning: "NOTIFY lists a contact that has gone, with less time left than the one that is bound: the UE refreshes too early.",
    action: "Let the registrar remove the old contact of an instance when a new one takes its place.",
    behind: &[],
    find: |case, findings| {
        for notify in told_to_ue(case.registration) {
            let Some(document) = notify.reginfo(&mut Vec::new()) else { continue };
            for aor in &document.registrations {
                let active = || aor.contacts.iter().filter(|contact| contact.state == ContactState::Active);
                let bound = bound_before(notify);
                let own = bound.and_then(|uri| active().find(|contact| same_address(&contact.uri, uri)));
                let Some((own, left)) = own.and_then(|own| Some((own, own.expires?))) else { continue };
                let stale = active().find(|contact| {
                    let is_other = !same_address(&contact.uri, &own.uri);
                    let is_gone =
                        matches!(gone_by(notify, &contact.uri), Some(Some(_))) || is_same_user(&contact.uri, &own.uri);
                    is_other && is_gone && contact.expires.is_some_and(|expires| expires < left)
                });
                let Some(stale) = stale else { continue };
                let early = case.registration.attempts().find_map(|attempt| {
                    let request = attempt.request().filter(|request| request.index() > notify.index())?;
                    let waited = request.since(notify)?;
                    let is_early = attempt.kind() == Kind::Refresh && waited < Duration::from_secs(left / 2);
                    is_early.then_some(request)
                });
                let expected = format!("{} alone, {left} s", own.uri);
                let found = format!("{} beside it, {} s", stale.uri, stale.expires.unwrap_or_default());
                let messages = [notify].into_iter().chain(early);
                findings.remark(messages, expected, found);
                return;
            }
        }
    },
};

/// The last 200, where the registration that it granted ran out while the trace went on and the UE said nothing.
fn lapsed<'r>(case: &Case<'r>) -> Option<(Message<'r>, Duration, Duration)> {
    let registration = case.registration;
    let last = registration.attempts().next_back().filter(|last| last.outcome() == Outcome::Registered)?;
    let (end, granted) = (last.end()?, last.granted()?);
    let shown = shown_after(end)?;
    // What is told when the time is over says that it ran out; before, that somebody ended it.
    let is_over = registration.messages().skip(end.index() + 1).any(|message| {
        let state = message.subscription_state();
        let is_early = message.since(end).is_none_or(|time| time + Duration::from_secs(1) < granted);
        message.is(Method::Notify) && is_early && state.is_some_and(|s| s.state.eq_ignore_ascii_case("terminated"))
    });
    let observable = registration.observable();
    let is_seen = observable.uplink && observable.downlink && !is_shut(registration);
    (shown > granted + Duration::from_secs(1) && !is_over && is_seen).then_some((end, granted, shown))
}

/// The contact that the last REGISTER before a message bound.
fn bound_before(message: Message<'_>) -> Option<&str> {
    let granted = message.registration().granted_before(message)?;
    walk::contacts(granted.latest().request()?.sip()?).first().map(|(uri, _)| *uri)
}

/// True where a security agreement or AKA tells that this is IMS: elsewhere the timers of RFC 3261 are right.
pub(super) fn is_of_ims(registration: &Registration<'_>) -> bool {
    registration.messages().filter_map(Message::sip).any(|sip| {
        let is_challenged = || sip.challenges().is_ok_and(|digests| digests.iter().any(walk::is_aka));
        sip.header(HeaderName::SecurityClient).is_some() || is_challenged()
    })
}

fn is_same_user(a: &str, b: &str) -> bool {
    let user = |text: &str| crate::sip::Uri::parse(text).ok().and_then(|uri| uri.user.map(str::to_owned));
    user(a).is_some_and(|a| Some(a) == user(b))
}

const T1_OF_RFC_3261: Duration = Duration::from_millis(500);
const TIMER_F: Duration = Duration::from_secs(32);
const TIMER_F_OF_IMS: Duration = Duration::from_secs(128);
/// T2 of RFC 3261, and some.
const LONGEST_GAP: Duration = Duration::from_secs(6);
