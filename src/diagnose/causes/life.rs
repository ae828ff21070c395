//! The life of sets of SAs (diagnoses 1.3; TS 33.203 clauses 7.1 to 7.4).

use super::gm::{self, alive_at, attempt_of, is_sealed, own_request, stopped};
use super::ports::was_not_taken;
use crate::diagnose::{Case, Cause, Findings};
use crate::event::Role;
use crate::sip::Method;
use crate::time::Duration;
use crate::trace::story::{Attempt, Interface, Message, Registration, Set};
use crate::validate::rules::ends::{end_before, first_end};
use crate::validate::rules::walk::{is_shut, shown_after};

pub(super) const CAUSES: &[&Cause] = &[&SECOND_CHALLENGE, &SPIREUSE, &STALE, &LIFETIME, &EARLYDEL];

const SECOND_CHALLENGE: Cause = Cause {
    name: "DIAG-SA-2NDCHALLENGE",
    clause: "TS 33.203 clause 7.4; TS 24.229 clause 5.2.2.2",
    meaning: "The P-CSCF challenged a UE that has SAs and gave it the SPIs or the client port of the old set again, although CK \
              and IK are new.",
    action: "Let the P-CSCF make a whole new set for each challenge, and keep the old one until the new one is used.",
    behind: &[],
    find: |case, findings| {
        for (old, new, kept) in repeated(case.registration) {
            let Some(offer) = new.offer().filter(|offer| is_sealed(*offer)) else { continue };
            let Some(attempt) = new.attempt() else { continue };
            let messages = [old.challenge(), offer, new.challenge()];
            stopped(case, findings, attempt, messages, "new SPIs and a new port-c", kept);
        }
    },
};

const SPIREUSE: Cause = Cause {
    name: "DIAG-SEC-SPIREUSE",
    clause: "TS 24.229 clause 5.1.1.4.2; TS 33.203 clause 7.4; TS 34.229-1 clause 8.2",
    meaning: "The UE offers SPIs or the client port of its SAs again: new SAs collide with those in use.",
    action: "Let the UE choose spi-c, spi-s and port-c anew for each REGISTER, and keep port-s.",
    behind: &["DIAG-SA-2NDCHALLENGE"],
    find: |case, findings| {
        for attempt in case.registration.attempts() {
            let Some((request, sip)) = own_request(attempt) else { continue };
            let Some(offered) = gm::complete(sip).into_iter().next() else { continue };
            for set in alive_at(request) {
                let Some(ue) = set.ue() else { continue };
                let old = [
                    ("spi-c", vec![ue.spi_c.0, ue.spi_s.0]),
                    ("spi-s", vec![ue.spi_c.0, ue.spi_s.0]),
                    ("port-c", vec![u32::from(ue.port_c)]),
                ];
                let again = old.iter().find_map(|(name, old)| {
                    let value = offered.number(name)?;
                    old.contains(&value).then(|| format!("{name}={value} again"))
                });
                let Some(again) = again else { continue };
                let end = attempt.challenge();
                let messages = set.offer().into_iter().chain([request]).chain(end);
                let found = stopped(case, findings, attempt, messages, "new spi-c, spi-s and port-c", again);
                if !is_sealed(request) {
                    found.likely();
                }
                break;
            }
        }
    },
};

const STALE: Cause = Cause {
    name: "DIAG-SA-STALE",
    clause: "TS 33.203 clauses 7.1, 7.3 and 7.4; TS 24.229 clauses 5.2.2.2 and 5.2.5",
    meaning: "SAs of an earlier registration are still there.",
    action: "Let the P-CSCF delete sets when an authentication fails, when the registration ends and when another takes its \
             place; look at `ip xfrm state` and `ip xfrm policy` for what nobody owns, after a restart too.",
    behind: &[],
    find: |case, findings| {
        for (old, new, kept) in repeated(case.registration) {
            let Some(offer) = new.offer().filter(|offer| !is_sealed(*offer)) else { continue };
            let Some(attempt) = new.attempt() else { continue };
            let messages = [old.challenge(), offer, new.challenge()];
            stopped(case, findings, attempt, messages, "SPIs that no set before had", kept);
        }
        if let Some((attempt, by, 500..=599)) = case.refusal() {
            let text = gm::answer_text(by).to_ascii_lowercase();
            if text.contains("exist") && own_request(attempt).is_some_and(|(_, sip)| !gm::usable(sip).is_empty()) {
                let messages = attempt.request().into_iter().chain([by]);
                findings.cause(messages, "a new set of SAs", gm::answer_text(by)).likely();
            }
        }
        for id in ["SL-05", "DR-02", "SL-10"] {
            let Some(finding) = case.failed(id).next() else { continue };
            // An answer that lacks is another fault.
            if id == "SL-05" && finding.found == "none" {
                continue;
            }
            let messages: Vec<Message<'_>> = case.messages_of(finding).collect();
            let attempt = messages.first().and_then(|first| attempt_of(*first)).filter(|_| id == "SL-10");
            let (expected, found) = (finding.expected.as_str(), finding.found.as_str());
            match attempt {
                Some(attempt) => findings.of(attempt, messages, expected, found),
                None => findings.remark(messages, expected, found),
            };
        }
    },
};

const LIFETIME: Cause = Cause {
    name: "DIAG-SA-LIFETIME",
    clause: "TS 24.229 clauses 5.1.1.4.2 and 5.2.2.2; TS 33.203 clause 7.4",
    meaning: "The SAs ended while the registration went on: a refresh without a challenge did not move their end.",
    action: "Let the P-CSCF give the set that a refresh used the new expiry and 30 s more, also where it was not challenged.",
    behind: &["DIAG-SA-EARLYDEL"],
    find: |case, findings| {
        if let Some((set, request)) = ignored_over_old_set(case.registration) {
            let times = request.at().zip(first_end(set)).zip(end_before(set, request));
            let (expected, found) = match times {
                Some(((at, first), end)) if first < at && at < end => (
                    format!("an answer over SAs that live {} more", seconds(end - at)),
                    format!("none; without the refresh they had ended {} before", seconds(at - first)),
                ),
                Some((_, end)) if request.at().is_some_and(|at| at > end) => return,
                _ => {
                    ("an answer over SAs that live".to_owned(), "none, where they had been answered before".to_owned())
                }
            };
            let is_shown = found.contains("refresh");
            let messages = [set.challenge()].into_iter().chain(refresh_before(set, request)).chain([request]);
            let found = match attempt_of(request) {
                Some(attempt) => stopped(case, findings, attempt, messages, expected, found),
                None => findings.remark(messages, expected, found),
            };
            if !is_shown {
                found.possible();
            }
            return;
        }
        for finding in case.failed("SL-04") {
            let messages: Vec<Message<'_>> = case.messages_of(finding).collect();
            let Some(request) = messages.last().copied() else { continue };
            let (expected, found) = (finding.expected.as_str(), finding.found.as_str());
            match attempt_of(request) {
                Some(attempt) => stopped(case, findings, attempt, messages, expected, found),
                None => findings.remark(messages, expected, found),
            };
        }
    },
};

const EARLYDEL: Cause = Cause {
    name: "DIAG-SA-EARLYDEL",
    clause: "TS 24.229 clause 5.2.5; TS 33.203 clause 7.4",
    meaning: "The P-CSCF deleted the SAs before its 200 to the REGISTER that ends the registration had left over them.",
    action: "Let the P-CSCF keep the SAs for 64*T1 after the 200 to the de-registration, and after the last NOTIFY.",
    behind: &[],
    find: |case, findings| {
        for attempt in case.registration.attempts().filter(|attempt| attempt.is_deregistration()) {
            early(case, attempt, findings);
        }
    },
};

fn early(case: &Case<'_>, attempt: Attempt<'_>, findings: &mut Findings<'_>) {
    let Some(hop) = attempt.latest().on(Interface::Gm) else { return };
    let Some(request) = hop.request().filter(|request| is_sealed(*request)) else { return };
    let beyond = attempt.latest().hops().filter(|hop| hop.interface() == Interface::Mw);
    let granted = beyond.filter_map(|hop| hop.answered(200)).last();
    let told = case.registration.messages().skip(request.index() + 1).find(|message| {
        let is_over = message.subscription_state().is_some_and(|s| s.state.eq_ignore_ascii_case("terminated"));
        message.is(Method::Notify) && message.to() == Some(Role::Ue) && is_over
    });
    let shown = shown_after(request).is_some_and(|time| time >= TIMER_F);
    match hop.last() {
        Some(end) if end.status() == Some(200) && is_clear(case, end) => {
            let messages = [request].into_iter().chain(told).chain([end]);
            let (expected, found) = ("200 over the SAs", "200 in clear");
            if was_not_taken(case, attempt, end) {
                findings.cause(messages, expected, found);
            } else {
                findings.remark(messages, expected, found);
            }
        }
        None if granted.is_some() && attempt.next().is_none() && shown && !is_shut(case.registration) => {
            let messages = [request].into_iter().chain(told).chain(granted);
            findings.cause(messages, "200 over the SAs", "none over Gm, although the S-CSCF sent it");
        }
        None if gm::was_forwarded(attempt.latest()).is_none() => {
            if let Some(told) = told.filter(|_| case.failure().is_some_and(|failure| failure.attempt == attempt)) {
                findings.cause([request, told], "200 over the SAs", "none, and NOTIFY of the end").likely();
            }
        }
        _ => {}
    }
}

fn is_clear(case: &Case<'_>, message: Message<'_>) -> bool {
    crate::validate::rules::walk::is_protected(message, &case.policy) == Some(false)
}

/// Sets of the P-CSCF that have SPIs or the client port of one before, which was in use: old, new, what is the same.
fn repeated<'r>(registration: &'r Registration<'r>) -> Vec<(Set<'r>, Set<'r>, String)> {
    let mut all = Vec::new();
    for new in registration.sets() {
        let Some(now) = new.pcscf() else { continue };
        let before = registration.sets().take(new.index()).filter(|old| {
            old.attempt() != new.attempt() && old.established().is_some_and(|end| end.index() < new.challenge().index())
        });
        for old in before {
            let Some(then) = old.pcscf() else { continue };
            let mut kept: Vec<String> = [("spi-c", now.spi_c), ("spi-s", now.spi_s)]
                .into_iter()
                .filter(|(_, spi)| [then.spi_c, then.spi_s].contains(spi))
                .map(|(name, spi)| format!("{name}={}", spi.0))
                .collect();
            // A client port is free again once its set has gone.
            if now.port_c == then.port_c
                && new.offer().is_some_and(is_sealed)
                && alive_at(new.challenge()).last() == Some(old)
            {
                kept.push(format!("port-c={}", now.port_c));
            }
            if !kept.is_empty() {
                all.push((old, new, format!("{} again", kept.join(", "))));
                break;
            }
        }
    }
    all
}

/// A request of the UE over its latest SAs, which had served before, that nobody answers again and again.
fn ignored_over_old_set<'r>(registration: &'r Registration<'r>) -> Option<(Set<'r>, Message<'r>)> {
    registration.on(Interface::Gm).find_map(|exchange| {
        let request = exchange.request().filter(|request| request.from() == Some(Role::Ue) && is_sealed(*request))?;
        let set = registration.set(request.carried().sa()?.set);
        let tried = exchange.requests().count() >= TRIES
            || request.is_reliable() && shown_after(request).is_some_and(|time| time >= TIMER_F);
        let is_latest = alive_at(request).last() == Some(set);
        let mut back = set.messages().filter(|message| message.from() == Some(Role::Pcscf));
        let served = back.any(|message| message.index() < request.index());
        let was_heard = gm::was_forwarded(exchange.journey()) == Some(true);
        // What ends the registration may have ended them, see `EARLYDEL`.
        let told = registration.messages().take(request.index()).any(|message| {
            let is_over = message.subscription_state().is_some_and(|s| s.state.eq_ignore_ascii_case("terminated"));
            message.is(Method::Notify) && is_over && message.index() > set.challenge().index()
        });
        (tried && is_latest && served && !was_heard && !told && exchange.last().is_none()).then_some((set, request))
    })
}

/// The last 200 to an unchallenged REGISTER over a set before a message.
fn refresh_before<'r>(set: Set<'r>, message: Message<'r>) -> Option<Message<'r>> {
    let over = |request: Message<'r>| request.carried().sa().is_some_and(|sa| sa.set == set.index());
    let mut refreshes = message.registration().attempts().rev().filter(|attempt| attempt.challenge().is_none());
    refreshes.find_map(|attempt| {
        let end = attempt.end().filter(|end| end.index() < message.index())?;
        attempt.request().is_some_and(over).then_some(end)
    })
}

fn seconds(time: Duration) -> String {
    crate::validate::rules::walk::seconds(time)
}

const TIMER_F: Duration = Duration::from_secs(32);
/// A UE that got an answer does not send so often.
const TRIES: usize = 4;
