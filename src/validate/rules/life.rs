//! The life of SA sets: how they are made anew, how long they last, what ends them (TS 33.203 clauses 7.1 to 7.4, TS 24.229
//! clauses 5.1.1.2.1, 5.1.1.4.2, 5.1.1.5, 5.2.2.2 and 7.8). SL-09, that nothing is left when a simulation has ended, is no
//! rule of a trace: simulations check it of themselves.

use super::deregister::ends_everything;
use super::element::{Element, difference};
use super::walk::{answers_to_challenges, is_protected, is_shut, seconds, shown_after};
use crate::event::Role;
use crate::sip::header::contact::Contacts;
use crate::sip::{self, HeaderName, Method};
use crate::time::{Duration, Instant};
use crate::trace::story::{Attempt, Carried, Exchange, Interface, Kind, Message, Outcome, Registration, Set, SetEnd};
use crate::validate::{Context, Judgement, Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[&SA_29, &SL_01, &SL_02, &SL_03, &SL_04, &SL_05, &SL_06, &SL_07, &SL_08, &SL_10];

const SA_29: Rule = Rule {
    id: "SA-29",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "TS 24.229 clauses 5.2.2.2 and 7.8; TS 33.203 clause 7.4",
    text: "SAs that a challenge made wait for the answer as long as reg-await-auth, 4 minutes, and no longer. An answer that \
           comes at once does not show it.",
    why: "A user who has to enter a PIN, or a slow radio, is too late for a P-CSCF that waits less; one that waits for ever \
          fills its tables.",
    right: "401, nothing for 250 s, a REGISTER that nobody answers",
    wrong: "the same, and 200",
    judge: |registration, _, j| {
        for set in registration.sets() {
            let challenge = set.challenge();
            let before = |message: &Message<'_>| set.established().is_none_or(|end| message.index() < end.index());
            let request = set.messages().find(|m| m.is_request() && m.from() == Some(Role::Ue) && before(m));
            let Some((request, exchange)) = request.and_then(|request| Some((request, request.exchange()?))) else {
                j.unseen("the trace shows nothing of the UE over the new SAs");
                continue;
            };
            let Some(waited) = request.since(challenge) else {
                j.unseen("the trace does not show times");
                continue;
            };
            let late = waited > REG_AWAIT_AUTH + TOLERANCE;
            match (late, exchange.last()) {
                (true, Some(answer)) => {
                    let found = format!("an answer to a REGISTER {} after the challenge", seconds(waited));
                    j.wrong([challenge, request, answer], "nothing after 240 s", found);
                }
                (true, None) if was_ignored(exchange) => j.right(request),
                (false, None) if was_ignored(exchange) && waited + LINGER < REG_AWAIT_AUTH => {
                    let found = format!("no answer to a REGISTER {} after the challenge", seconds(waited));
                    j.wrong([challenge, request], "SAs for 240 s", found);
                }
                _ => j.unseen("the answer came before the SAs could end"),
            }
        }
    },
};

const SL_01: Rule = Rule {
    id: "SL-01",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.4.2; TS 33.203 clause 7.4; TS 34.229-1 clause 8.2",
    text: "A REGISTER over SAs offers new spi-c, spi-s and port-c, and the port-s of before.",
    why: "The challenge that may follow makes SAs that collide with those in use.",
    right: "spi-c=1001;spi-s=1002;port-c=31002;port-s=31001 after 4096, 4097, 31000, 31001",
    wrong: "the same values again",
    judge: |registration, context, j| {
        for (request, sip) in begun_over_sas(registration, context, j) {
            if sip.header(HeaderName::SecurityClient).is_none() {
                continue;
            }
            let Some(offer) = Element::ipsec(sip, HeaderName::SecurityClient).into_iter().next() else { continue };
            let used: Vec<Set<'_>> = established_before(request).collect();
            let Some(now) = used.last().and_then(|set| set.ue()) else { continue };
            let old_spis: Vec<u32> =
                used.iter().filter_map(|set| set.ue()).flat_map(|end| [end.spi_c.0, end.spi_s.0]).collect();
            let value = |name: &str| offer.number(name);
            let again =
                ["spi-c", "spi-s"].into_iter().find(|name| value(name).is_some_and(|spi| old_spis.contains(&spi)));
            if let Some(name) = again {
                let found = format!("{name}={}", value(name).unwrap_or_default());
                j.wrong([request], format!("a new {name}"), found);
            } else if value("port-c") == Some(u32::from(now.port_c)) {
                j.wrong([request], "a new port-c", format!("port-c={}", now.port_c));
            } else if let Some(port) = value("port-s").filter(|port| *port != u32::from(now.port_s)) {
                j.wrong([request], format!("port-s={}", now.port_s), format!("port-s={port}"));
            } else {
                j.right(request);
            }
        }
    },
};

const SL_02: Rule = Rule {
    id: "SL-02",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clauses 5.1.1.4.2 e) and 5.1.1.5.3; RFC 3329 clause 2.3.1",
    text: "A REGISTER over SAs that were there before, with auts or an empty response too, has the Security-Verify of the last \
           successful authentication.",
    why: "The P-CSCF compares it with what it served then, and refuses what differs.",
    right: "Security-Verify as in the REGISTER that was answered with 200",
    wrong: "Security-Verify of a challenge that was not answered",
    judge: |registration, context, j| {
        let mut all = begun_over_sas(registration, context, j);
        let refusing = answers_to_challenges(registration).into_iter().filter(|answer| !answer.has_response());
        all.extend(refusing.filter_map(|answer| {
            let protected = is_protected(answer.register, context) == Some(true);
            Some((answer.register, answer.register.sip().filter(|_| protected)?))
        }));
        for (request, sip) in all {
            let Some(set) = established_before(request).last() else {
                j.unseen("the last successful authentication is not in the trace");
                continue;
            };
            let server = set.challenge();
            let Some(wanted) = server.sip().map(|sip| Element::all(sip, HeaderName::SecurityServer)) else { continue };
            let verify = Element::all(sip, HeaderName::SecurityVerify);
            match difference(&wanted, &verify) {
                _ if verify.is_empty() => j.wrong([server, request], "Security-Verify", "none"),
                Some((wanted, found)) => j.wrong([server, request], wanted, found),
                None => j.right(request),
            }
        }
    },
};

const SL_03: Rule = Rule {
    id: "SL-03",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "TS 24.229 clause 5.2.2.2; TS 33.203 clause 7.4",
    text: "A challenge within a registration makes a new set of SAs; the old one serves until the first message over the new one, \
           and 64*T1 (128 s) longer at most.",
    why: "A P-CSCF that drops the old set at once loses what is under way; one that keeps it runs out of SAs.",
    right: "SPIs of its own choice in the second 401; nothing over the old set after 128 s",
    wrong: "the SPIs of the first 401 in the second",
    judge: |registration, _, j| {
        for new in registration.sets() {
            let Some(old) = established_before(new.challenge()).last() else { continue };
            if let (Some(a), Some(b)) = (old.pcscf(), new.pcscf())
                && [b.spi_c, b.spi_s].iter().any(|spi| [a.spi_c, a.spi_s].contains(spi))
            {
                let found = format!("spi-c={};spi-s={} again", b.spi_c.0, b.spi_s.0);
                j.wrong([old.challenge(), new.challenge()], "new SPIs", found);
                continue;
            }
            let (Some(_), Some(first)) = (new.established(), new.messages().next()) else {
                j.unseen("the trace shows nothing over the new SAs");
                continue;
            };
            let late = old
                .messages()
                .filter(|message| message.from() == Some(Role::Pcscf))
                .find(|message| message.since(first).is_some_and(|time| time > LINGER + TOLERANCE));
            match late {
                Some(late) => {
                    let found = late.since(first).map(seconds).unwrap_or_default();
                    j.wrong([first, late], "nothing over the old SAs after 128 s", format!("a message after {found}"));
                }
                None if shown_after(first).is_some_and(|time| time > LINGER) && old.shut().next().is_none() => {
                    j.right(new.challenge());
                }
                None => j.unseen("the trace ends before the old SAs must"),
            }
        }
    },
};

const SL_04: Rule = Rule {
    id: "SL-04",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clauses 5.1.1.4.2 and 5.2.2.2; TS 33.203 clause 7.4",
    text: "A set of SAs lives 30 s longer than the registration, and every 200 to a REGISTER over it moves its end forward, with \
           or without a challenge.",
    why: "A P-CSCF that forgets to move it drops everything of a UE that is registered.",
    right: "granted 600 s, refreshed after 300 s without a challenge, an answer after 700 s",
    wrong: "the same, no answer after 630 s",
    judge: |registration, _, j| {
        for set in registration.sets() {
            let Some(first) = first_end(set) else { continue };
            let mut judged = false;
            for exchange in registration.on(Interface::Gm) {
                let Some(request) = exchange.request().filter(|request| goes_over(*request, set)) else { continue };
                let (Some(at), Some(end)) = (request.at(), end_before(set, request)) else { continue };
                if exchange.last().is_some() && at > end + TOLERANCE {
                    judged = true;
                    let found = format!("{} after its end", seconds(at - end));
                    j.wrong([set.challenge(), request], "no answer over SAs that have ended", found);
                } else if at > first && at + LINGER < end && was_ignored(exchange) && !has_left(registration, request) {
                    judged = true;
                    let found = format!("no answer, {} before its end", seconds(end - at));
                    j.wrong([set.challenge(), request], "an answer over SAs that live", found);
                } else if at > first && at < end && exchange.last().is_some() {
                    judged = true;
                    j.right(request);
                }
            }
            if !judged {
                j.unseen("the trace shows nothing over the SAs after their first end");
            }
        }
    },
};

const SL_05: Rule = Rule {
    id: "SL-05",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.3; TS 24.229 clause 5.2.2.2",
    text: "After a failed authentication the SAs that it made are deleted, and those of before stay.",
    why: "Who failed would go on over SAs that nobody authenticated, or a UE that is registered is cut off by a failed refresh.",
    right: "403, then nothing over the new SAs; requests over the old ones are answered",
    wrong: "403, then a SUBSCRIBE over the new SAs and its 200",
    judge: |registration, _, j| {
        for set in registration.sets() {
            let Some(SetEnd::Refused(refusal)) = set.end() else { continue };
            let after = registration.on(Interface::Gm).filter_map(|exchange| Some((exchange, exchange.request()?)));
            let after: Vec<_> = after.filter(|(_, request)| request.index() > refusal.index()).collect();
            let taken = after.iter().find(|(exchange, request)| goes_over(*request, set) && exchange.last().is_some());
            let cut = established_before(set.challenge()).last().and_then(|old| {
                let ignored = |(exchange, request): &&(Exchange<'_>, Message<'_>)| {
                    request.from() == Some(Role::Ue) && goes_over(*request, old) && was_ignored(*exchange)
                };
                after.iter().find(ignored)
            });
            if let Some((_, request)) = taken {
                j.wrong([refusal, *request], "nothing over the SAs of a failed authentication", "an answer");
            } else if let Some((_, request)) = cut {
                j.wrong([refusal, *request], "an answer over the SAs of before", "none");
            } else if after.is_empty() {
                j.unseen("the trace shows nothing of the UE after the failure");
            } else {
                j.right(refusal);
            }
        }
    },
};

const SL_06: Rule = Rule {
    id: "SL-06",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clause 5.2.5.1; TS 33.203 clause 7.1",
    text: "The 200 to a protected REGISTER that ends the registration is protected; the SAs go afterwards.",
    why: "The UE does not get it, sends the REGISTER again and again, and times out.",
    right: "200 in ESP from port-c to port-s",
    wrong: "200 in clear, or none over Gm although the S-CSCF sent it",
    judge: |registration, context, j| {
        for attempt in registration.attempts().filter(|attempt| attempt.is_deregistration()) {
            let Some(hop) = attempt.latest().on(Interface::Gm) else { continue };
            let Some(request) = hop.request().filter(|request| is_protected(*request, context) == Some(true)) else {
                if hop.request().is_none_or(|request| request.carried() == Carried::Unknown) {
                    j.unseen("the trace does not show what protected the REGISTER");
                }
                continue;
            };
            match hop.last() {
                Some(end) if end.status().is_none_or(|status| status >= 300) => {}
                Some(end) => match is_protected(end, context) {
                    Some(true) => j.right(end),
                    Some(false) => j.wrong([request, end], "200 over the SAs", "200 in clear"),
                    None => j.unseen("the trace does not tell what protected the 200"),
                },
                None => {
                    let granted = attempt.latest().hops().filter_map(Exchange::last).find(|a| a.status() == Some(200));
                    match granted.filter(|_| was_ignored(hop) && !is_shut(registration)) {
                        Some(granted) => j.wrong([request, granted], "200 over the SAs", "none over Gm"),
                        None => j.unseen("the answer to the REGISTER is not in the trace"),
                    }
                }
            }
        }
    },
};

const SL_07: Rule = Rule {
    id: "SL-07",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.1; TS 24.229 clauses 5.1.1.3 and 5.2.6.3",
    text: "Between a UE with SAs and its P-CSCF nothing goes in clear but a REGISTER and its answers; emergency calls are apart.",
    why: "Whoever listens reads it, and whoever sends it in the name of the user is believed.",
    right: "SUBSCRIBE in ESP",
    wrong: "SUBSCRIBE in clear to port 5060",
    judge: |registration, context, j| {
        for set in registration.sets() {
            let Some(established) = set.established() else {
                if set.shut().next().is_some() {
                    j.blind("ESP stays shut: the trace does not tell whether the SAs live");
                }
                continue;
            };
            let end = end_of_life(registration, set);
            let alive = registration.messages().filter(|message| {
                message.index() > established.index() && end.is_none_or(|end| message.index() < end.index())
            });
            let mut clean = true;
            for message in alive.filter(|message| message.interface() == Interface::Gm && message.repeats().is_none()) {
                match is_protected(message, context) {
                    Some(true) => {}
                    None => j.blind("the trace does not tell what was protected"),
                    Some(false) => {
                        if is_allowed_in_clear(message, context)
                            || is_elsewhere(message, set)
                            || is_too_old(message, set)
                        {
                            continue;
                        }
                        clean = false;
                        let what = message.method().map_or("a message", |method| method.as_str());
                        j.wrong(
                            [established, message],
                            "everything but REGISTER over the SAs",
                            format!("{what} in clear"),
                        );
                    }
                }
            }
            if clean {
                j.right(established);
            }
        }
        let observable = registration.observable();
        if registration.sets().next().is_some() && !(observable.uplink && observable.downlink) {
            j.blind("the trace shows one direction only");
        }
    },
};

const SL_08: Rule = Rule {
    id: "SL-08",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.1",
    text: "A UE has three sets of SAs at most: the old, the current and the temporary one.",
    why: "Every failed attempt leaves four SAs behind until the table of the kernel is full.",
    right: "traffic over the set of the second challenge and that of the third",
    wrong: "traffic over four sets at a time",
    judge: |registration, _, j| {
        for newest in registration.sets() {
            let used: Vec<Set<'_>> = registration
                .sets()
                .take(newest.index() + 1)
                .filter(|set| set.messages().any(|message| message.index() > newest.challenge().index()))
                .collect();
            if used.is_empty() {
                j.unseen("the trace shows nothing over the SAs");
            } else {
                let challenge = newest.challenge();
                j.check(challenge, used.len() <= 3, || "3 sets".to_owned(), || format!("{} sets in use", used.len()));
            }
        }
        if is_shut(registration) {
            j.blind("ESP of the UE stays shut");
        }
    },
};

const SL_10: Rule = Rule {
    id: "SL-10",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "TS 24.229 clauses 5.1.1.2.1 and 5.2.2.2; TS 33.203 clause 7.4",
    text: "Where a UE that has SAs registers anew in clear (without reg-id), the new set takes the place of all others with its \
           200.",
    why: "The P-CSCF goes on to send over SAs that the UE forgot when it was restarted: calls do not reach it.",
    right: "NOTIFY over the new SAs",
    wrong: "NOTIFY over the SAs of before",
    judge: |registration, _, j| {
        for attempt in registration.attempts_of(Kind::Initial) {
            let in_clear = attempt.request().filter(|request| request.carried() == Carried::Clear);
            let (Some(request), Some(end)) = (in_clear, attempt.end()) else { continue };
            let has_reg_id = request.sip().is_some_and(|sip| match sip.contacts() {
                Ok(Contacts::List(list)) => list.iter().any(|contact| contact.reg_id().is_some()),
                _ => false,
            });
            let old: Vec<Set<'_>> = established_before(request).filter(|set| !is_elsewhere(request, *set)).collect();
            let new = registration.sets().find(|set| set.established() == Some(end));
            let Some(new) = new.filter(|_| !has_reg_id && !old.is_empty()) else { continue };
            let mut later = registration.on(Interface::Gm).filter_map(|exchange| Some((exchange, exchange.request()?)));
            let mut later_over = |sets: &[Set<'_>]| {
                later.by_ref().find(|(exchange, request)| {
                    let served = request.from() == Some(Role::Pcscf) || exchange.last().is_some();
                    request.index() > end.index() && served && sets.iter().any(|set| goes_over(*request, *set))
                })
            };
            if let Some((_, request)) = later_over(&old) {
                j.wrong([end, request], "the new SAs", "SAs of before");
            } else if registration.messages().any(|message| message.index() > end.index() && goes_over(message, new)) {
                j.right(end);
            } else {
                j.unseen("the trace shows nothing over SAs after the 200");
            }
        }
    },
};

/// The REGISTERs of the UE over SAs that begin an attempt.
fn begun_over_sas<'r>(
    registration: &'r Registration<'r>,
    context: &Context<'_>,
    j: &mut Judgement,
) -> Vec<(Message<'r>, &'r sip::Message<'r>)> {
    let requests = registration.attempts().filter_map(Attempt::request).filter(|r| r.from() == Some(Role::Ue));
    let protected: Vec<_> = requests
        .filter(|request| is_protected(*request, context) == Some(true))
        .filter_map(|request| Some((request, request.sip()?)))
        .collect();
    if protected.is_empty() && is_shut(registration) {
        j.unseen("ESP of the UE stays shut");
    }
    let untold = registration.attempts_of(Kind::Refresh).filter_map(Attempt::request);
    if untold.into_iter().any(|request| request.carried() == Carried::Unknown) {
        j.unseen("the trace does not tell what was protected");
    }
    protected
}

/// The sets whose 200 came before a message, in order.
fn established_before<'r>(message: Message<'r>) -> impl Iterator<Item = Set<'r>> {
    let sets = message.registration().sets();
    sets.filter(move |set| set.established().is_some_and(|end| end.index() < message.index()))
}

fn goes_over(message: Message<'_>, set: Set<'_>) -> bool {
    message.carried().sa().is_some_and(|sa| sa.set == set.index())
}

/// True where nobody answered although the UE tried as often as it does, or over a transport that loses nothing.
pub(super) fn was_ignored(exchange: Exchange<'_>) -> bool {
    let Some(request) = exchange.request() else { return false };
    let tried = request.is_reliable() || exchange.requests().count() >= TRIES;
    exchange.last().is_none() && tried && shown_after(request).is_some_and(|time| time >= LINGER)
}

/// The end of a set as its own 200 gives it.
fn first_end(set: Set<'_>) -> Option<Instant> {
    let attempt = set.attempt()?;
    Some(set.established()?.at()? + attempt.granted()? + BEYOND)
}

/// The end of a set, moved by every 200 to a REGISTER over it that came before a message; the set of before gives its
/// rest to the one that takes its place.
fn end_before(set: Set<'_>, message: Message<'_>) -> Option<Instant> {
    let first = first_end(set)?;
    let older = established_before(set.established()?).filter_map(|old| end_before(old, set.challenge()));
    let moved = message.registration().attempts().filter_map(|attempt| {
        let end = attempt.end().filter(|end| end.index() < message.index())?;
        let over = attempt.latest().request().is_some_and(|request| goes_over(request, set));
        (over && attempt.outcome() == Outcome::Registered).then_some(end.at()? + attempt.granted()? + BEYOND)
    });
    older.chain(moved).max().map_or(Some(first), |last| Some(last.max(first)))
}

/// True where the registration had ended before a message.
fn has_left(registration: &Registration<'_>, message: Message<'_>) -> bool {
    let ends = registration.attempts().filter(|attempt| attempt.is_deregistration()).filter_map(Attempt::end);
    ends.into_iter().any(|end| end.index() < message.index())
}

/// What ended a set for the UE: a de-registration, or a NOTIFY that ends everything.
fn end_of_life<'r>(registration: &'r Registration<'r>, set: Set<'r>) -> Option<Message<'r>> {
    let after = |message: &Message<'_>| message.index() > set.challenge().index();
    let left = registration.attempts().filter(|attempt| ends_everything(registration, *attempt));
    let left = left.filter_map(Attempt::end).find(after);
    let told = registration.messages().filter(after).find(|message| {
        let state = message.subscription_state();
        message.is(Method::Notify) && state.is_some_and(|state| state.state.eq_ignore_ascii_case("terminated"))
    });
    left.into_iter().chain(told).min_by_key(|message| message.index())
}

/// REGISTER and its answers, emergency calls, answers to what came in clear, and what the P-CSCF refuses.
fn is_allowed_in_clear(message: Message<'_>, context: &Context<'_>) -> bool {
    let request = message.exchange().and_then(Exchange::request);
    let is_emergency = request
        .and_then(Message::sip)
        .and_then(sip::Message::request_uri)
        .is_some_and(|uri| uri.to_ascii_lowercase().starts_with("urn:service:sos"));
    let asked_in_clear = !message.is_request() && request.is_none_or(|r| is_protected(r, context) != Some(true));
    message.method() == Some(Method::Register) && asked_in_clear | message.is_request()
        || is_emergency
        || asked_in_clear
}

/// True for another address of the UE than that of the set.
fn is_elsewhere(message: Message<'_>, set: Set<'_>) -> bool {
    let (Some(ends), Some((ue, _))) = (message.record().ends, set.addresses()) else { return false };
    ![ends.from.ip(), ends.to.ip()].contains(&ue)
}

/// True after the end that the set has by its times.
fn is_too_old(message: Message<'_>, set: Set<'_>) -> bool {
    message.at().zip(end_before(set, message)).is_some_and(|(at, end)| at > end)
}

/// Timer reg-await-auth (TS 24.229 clause 7.8).
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
/// What SAs live longer than the registration.
const BEYOND: Duration = Duration::from_secs(30);
/// 64*T1 towards a UE (TS 24.229 table 7.7.1).
const LINGER: Duration = Duration::from_secs(128);
const TOLERANCE: Duration = Duration::from_secs(2);
/// Times a UE has sent a request over UDP when loss alone no longer explains the silence.
const TRIES: usize = 5;
