//! The life of SA sets: how they are made anew, how long they last, what ends them (TS 33.203 clauses 7.1 to 7.4, TS 24.229
//! clauses 5.1.1.2.1, 5.1.1.4.2, 5.1.1.5, 5.2.2.2, 5.2.5 and 7.8).

use super::element::{Element, difference};
use super::ends::{Ends, LINGER, end_of, ends_for_good, ends_of_life, first_end, is_elsewhere};
use super::walk::{answers_to_challenges, is_protected, is_shut, seconds, shown_after};
use crate::event::Role;
use crate::sip::header::contact::Contacts;
use crate::sip::{self, HeaderName, Method};
use crate::time::{Duration, Instant};
use crate::trace::story::{Attempt, Carried, Exchange, Interface, Kind, Message, Registration, Set, SetEnd};
use crate::validate::{Context, Judgement, Rule, Severity, Side};
use std::collections::HashMap;

pub(super) const RULES: &[&Rule] =
    &[&SA_29, &SL_01, &SL_02, &SL_03, &SL_04, &SL_05, &SL_06, &SL_07, &SL_08, &SL_09, &SL_10];

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
        // Where each SPI was agreed first.
        let mut used: HashMap<u32, usize> = HashMap::new();
        for (end, established) in registration.sets().filter_map(|set| set.ue().zip(set.established())) {
            for spi in [end.spi_c.0, end.spi_s.0] {
                let first = used.entry(spi).or_insert(usize::MAX);
                *first = established.index().min(*first);
            }
        }
        for (request, sip) in begun_over_sas(registration, context, j) {
            if sip.header(HeaderName::SecurityClient).is_none() {
                continue;
            }
            let Some(offer) = Element::ipsec(sip, HeaderName::SecurityClient).into_iter().next() else { continue };
            let Some(now) = latest_before(request).and_then(Set::ue) else { continue };
            let value = |name: &str| offer.number(name);
            let is_used = |spi: u32| used.get(&spi).is_some_and(|first| *first < request.index());
            let again = ["spi-c", "spi-s"].into_iter().find(|name| value(name).is_some_and(is_used));
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
            let Some(set) = latest_before(request) else {
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
            let Some(old) = latest_before(new.challenge()) else { continue };
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
        let ends = Ends::of(registration);
        let left = registration.attempts().filter(|attempt| attempt.is_deregistration()).filter_map(Attempt::end);
        let left = left.map(Message::index).min();
        for set in registration.sets() {
            let Some(first) = first_end(set) else { continue };
            let mut judged = false;
            for (exchange, request) in set.messages().filter_map(begun_by) {
                let (Some(at), Some(end)) = (request.at(), ends.before(set, request)) else { continue };
                let has_left = left.is_some_and(|left| left < request.index());
                if exchange.last().is_some() && at > end + TOLERANCE {
                    judged = true;
                    let found = format!("{} after its end", seconds(at - end));
                    j.wrong([set.challenge(), request], "no answer over SAs that have ended", found);
                } else if at > first && was_ignored_before(exchange, end) && !has_left {
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
        let gm = registration.on(Interface::Gm).filter_map(|exchange| exchange.request());
        let latest = gm.map(Message::index).max().unwrap_or_default();
        for set in registration.sets() {
            let Some(SetEnd::Refused(refusal)) = set.end() else { continue };
            let taken =
                set.messages_after(refusal).filter_map(begun_by).find(|(exchange, _)| exchange.last().is_some());
            let cut = latest_before(set.challenge()).and_then(|old| {
                old.messages_after(refusal)
                    .filter_map(begun_by)
                    .find(|(exchange, request)| request.from() == Some(Role::Ue) && was_ignored(*exchange))
            });
            if let Some((_, request)) = taken {
                j.wrong([refusal, request], "nothing over the SAs of a failed authentication", "an answer");
            } else if let Some((_, request)) = cut {
                j.wrong([refusal, request], "an answer over the SAs of before", "none");
            } else if latest <= refusal.index() {
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
        let (ends, lives) = (Ends::of(registration), ends_of_life(registration));
        let gm = registration
            .messages()
            .filter(|message| message.interface() == Interface::Gm && message.repeats().is_none());
        let unprotected = gm.filter_map(|message| {
            let protected = is_protected(message, context);
            let is_judged = match protected {
                Some(true) => false,
                Some(false) => !is_allowed_in_clear(message, context),
                None => true,
            };
            is_judged.then_some((message, protected))
        });
        let unprotected: Vec<(Message<'_>, Option<bool>)> = unprotected.collect();
        for set in registration.sets() {
            let Some(established) = set.established() else {
                if set.shut().next().is_some() {
                    j.blind("ESP stays shut: the trace does not tell whether the SAs live");
                }
                continue;
            };
            let end = lives.iter().copied().find(|end| *end > set.challenge().index());
            let from = unprotected.partition_point(|(message, _)| message.index() <= established.index());
            let alive = unprotected[from..].iter().take_while(|(m, _)| end.is_none_or(|end| m.index() < end));
            let mut clean = true;
            for (message, protected) in alive {
                if protected.is_none() {
                    j.blind("the trace does not tell what was protected");
                } else if !is_elsewhere(*message, set) && !ends.is_over(set, *message) {
                    clean = false;
                    let what = message.method().map_or("a message", |method| method.as_str());
                    j.wrong(
                        [established, *message],
                        "everything but REGISTER over the SAs",
                        format!("{what} in clear"),
                    );
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
        // The last messages over the sets that are in use.
        let mut used: Vec<Message<'_>> = Vec::new();
        for newest in registration.sets() {
            used.extend(newest.messages().last());
            used.retain(|last| last.index() > newest.challenge().index());
            if used.is_empty() {
                j.unseen("the trace shows nothing over the SAs");
            } else {
                let challenge = newest.challenge();
                j.check(challenge, used.len() <= 3, || "3 sets".to_owned(), || format!("{} sets in use", used.len()));
            }
        }
        for set in registration.sets() {
            let Some(fourth) = place_of_fourth(set) else { continue };
            let is_served = |message: &Message<'_>| message.from() == Some(Role::Pcscf) && message.repeats().is_none();
            if let Some(served) = set.messages_after(fourth).find(is_served) {
                j.wrong([set.challenge(), served], "3 sets", "a set before the old one serves");
            }
        }
        if is_shut(registration) {
            j.blind("ESP of the UE stays shut");
        }
    },
};

const SL_09: Rule = Rule {
    id: "SL-09",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clauses 7.3 and 7.4; TS 24.229 clauses 5.2.2.2 and 5.2.5",
    text: "When all is over, no SA is left: 64*T1 (128 s) after a refused authentication, after the 200 to the last \
           de-registration or the NOTIFY that ends the registration, and after the end of its lifetime, a set serves nobody. \
           Only who tries it sees that it is gone.",
    why: "SAs and policies that nobody owns keep SPIs and ports until the P-CSCF is restarted, and the next registration that \
          gets the same ones fails.",
    right: "200 to the de-registration, OPTIONS of the UE over the SAs 5 minutes later, no answer",
    wrong: "NOTIFY with terminated, a MESSAGE over the SAs 5 minutes later",
    judge: |registration, _, j| {
        let (ends, for_good) = (Ends::of(registration), ends_for_good(registration));
        for set in registration.sets() {
            let Some((by, end)) = end_of(set, &ends, &for_good) else { continue };
            let is_late = |message: &Message<'_>| message.at().is_some_and(|at| at > end + TOLERANCE);
            let late = set.messages_after(by).filter(|message| is_late(message) && message.repeats().is_none());
            let late: Vec<Message<'_>> = late.collect();
            let mut tried = late.iter().copied().filter_map(begun_by);
            if let Some(served) = late.iter().copied().find(|message| message.from() == Some(Role::Pcscf)) {
                let found = served.since(by).map(seconds).unwrap_or_default();
                j.wrong([by, served], "no SA", format!("a message over the SAs after {found}"));
            } else if let Some((_, request)) = tried.find(|(exchange, _)| was_ignored(*exchange)) {
                j.right(request);
            } else {
                j.unseen("nobody tried the SAs after their end");
            }
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
            let challenge = attempt.challenges().last();
            let new = challenge.and_then(|challenge| registration.set_of(challenge));
            let new = new.filter(|set| set.established() == Some(end) && !has_reg_id && !old.is_empty());
            let Some(new) = new else { continue };
            let over_old = old.iter().filter_map(|set| {
                let mut later = set.messages_after(end).filter_map(begun_by);
                let is_served = |exchange: Exchange<'_>, request: Message<'_>| {
                    request.from() == Some(Role::Pcscf) || exchange.last().is_some()
                };
                later.find(|(exchange, request)| is_served(*exchange, *request)).map(|(_, request)| request)
            });
            if let Some(request) = over_old.min_by_key(|request| request.index()) {
                j.wrong([end, request], "the new SAs", "SAs of before");
            } else if new.messages_after(end).next().is_some() {
                j.right(end);
            } else {
                j.unseen("the trace shows nothing over SAs after the 200");
            }
        }
    },
};

/// Where a set is the fourth: two later ones have been proved, and there is a third.
fn place_of_fourth(set: Set<'_>) -> Option<Message<'_>> {
    let registration = set.challenge().registration();
    let later = registration.sets().skip(set.index() + 1);
    let mut proved: Vec<(usize, Message<'_>)> =
        later.filter_map(|later| Some((later.index(), later.established()?))).collect();
    proved.sort_by_key(|(_, end)| end.index());
    let (current, end) = *proved.get(1)?;
    let third = registration.sets().skip(current + 1).map(Set::challenge).find(|c| c.index() > end.index());
    third.filter(|_| set.established().is_some())
}

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

/// The last of them.
fn latest_before<'r>(message: Message<'r>) -> Option<Set<'r>> {
    let mut sets = message.registration().sets();
    sets.rfind(|set| set.established().is_some_and(|end| end.index() < message.index()))
}

/// The exchange over Gm that a message began.
fn begun_by<'r>(message: Message<'r>) -> Option<(Exchange<'r>, Message<'r>)> {
    let exchange = message.exchange().filter(|exchange| exchange.interface() == Interface::Gm)?;
    (exchange.request() == Some(message)).then_some((exchange, message))
}

/// True where nobody answered although the UE tried as often as it does, or over a transport that loses nothing.
pub(super) fn was_ignored(exchange: Exchange<'_>) -> bool {
    let Some(request) = exchange.request() else { return false };
    let tried = request.is_reliable() || exchange.requests().count() >= TRIES;
    exchange.last().is_none() && tried && shown_after(request).is_some_and(|time| time >= LINGER)
}

/// The same, where the UE had tried often enough before the SAs could end.
fn was_ignored_before(exchange: Exchange<'_>, end: Instant) -> bool {
    let Some(request) = exchange.request() else { return false };
    let last_try = match exchange.requests().nth(TRIES - 1).filter(|_| request.from() == Some(Role::Ue)) {
        Some(last_try) => last_try.at(),
        None => request.at().map(|at| at + LINGER),
    };
    last_try.is_some_and(|at| at < end) && was_ignored(exchange)
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

/// Timer reg-await-auth (TS 24.229 clause 7.8).
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
const TOLERANCE: Duration = Duration::from_secs(2);
/// Times a UE has sent a request over UDP when loss alone no longer explains the silence.
const TRIES: usize = 5;
