//! The end of a REGISTER and what the UE does with it (TS 24.229 clauses 5.1.1.2 to 5.1.1.4 and 5.4.1.2.2, RFC 3608).

use super::walk::{self, seconds};
use crate::event::Role;
use crate::reginfo::{ContactEvent, ContactState};
use crate::sip::header::contact::Contacts;
use crate::sip::{self, HeaderName, Method, Uri};
use crate::time::Duration;
use crate::trace::story::{Attempt, Carried, Interface, Kind, Message, Outcome, Registration};
use crate::validate::{Judgement, Rule, Severity, Side};
use std::iter::successors;

pub(super) const RULES: &[&Rule] =
    &[&OK_01, &OK_02, &OK_03, &OK_04, &OK_05, &OK_06, &OK_07, &OK_08, &OK_09, &OK_10, &OK_11];

const OK_01: Rule = Rule {
    id: "OK-01",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 24.229 clause 5.4.1.2.2",
    text: "A 200 to a registration has P-Associated-URI: the identities of the implicit set, with commas between them, the \
           default one first.",
    why: "The UE takes its identities from there: without it there is nothing to call with, and without commas it reads one \
          identity of two.",
    right: "P-Associated-URI: <sip:+15550100@ims..>,<tel:+15550100>",
    wrong: "P-Associated-URI: <sip:+15550100@ims..> <tel:+15550100>",
    judge: |registration, _, j| {
        for (end, sip) in granted(registration, j) {
            if sip.header(HeaderName::PAssociatedUri).is_none() {
                j.wrong([end], "P-Associated-URI", "none");
                continue;
            }
            // Elements that stand beside each other read as one.
            let whole = sip.elements(HeaderName::PAssociatedUri).all(|element| element.matches('<').count() <= 1);
            match sip.name_addrs(HeaderName::PAssociatedUri) {
                Ok(list) if whole && !list.is_empty() => j.right(end),
                _ => j.wrong(
                    [end],
                    "identities with commas between them",
                    sip.header(HeaderName::PAssociatedUri).unwrap_or_default(),
                ),
            }
        }
    },
};

const OK_02: Rule = Rule {
    id: "OK-02",
    severity: Severity::Info,
    side: Side::Scscf,
    clause: "TS 24.229 clause 5.1.1.2.1 c)",
    text: "An identity that was registered and is not in P-Associated-URI is barred: the UE may not use it.",
    why: "The UE that sends requests for it is refused; it has to take the default identity.",
    right: "the temporary identity registered and left out, the default one used",
    wrong: "the temporary identity in From of a SUBSCRIBE",
    judge: |registration, _, j| {
        for attempt in registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered) {
            let (Some(impu), Some(end)) = (attempt.impu(), attempt.end()) else { continue };
            let list = end.sip().and_then(|sip| sip.name_addrs(HeaderName::PAssociatedUri).ok()).unwrap_or_default();
            if list.is_empty() {
                continue;
            }
            let listed = Uri::parse(impu).is_ok_and(|impu| list.iter().any(|uri| uri.uri.equivalent(&impu)));
            j.check(end, listed, || format!("{impu} among them"), || "it is barred".to_owned());
        }
    },
};

const OK_03: Rule = Rule {
    id: "OK-03",
    severity: Severity::Warning,
    side: Side::Scscf,
    clause: "IR.92 clause 2.2.2; TS 23.003 clause 13.4",
    text: "P-Associated-URI has a telephone number: a tel URI, or a SIP URI with user=phone or a number.",
    why: "Handsets show VoLTE, and can be called, only with a number of their own.",
    right: "P-Associated-URI: <sip:+15550100@ims..;user=phone>,<tel:+15550100>",
    wrong: "P-Associated-URI: <sip:001010000000001@ims..>",
    judge: |registration, _, j| {
        for (end, sip) in granted(registration, j) {
            let Ok(list) = sip.name_addrs(HeaderName::PAssociatedUri) else { continue };
            if list.is_empty() {
                continue;
            }
            let is_number = |uri: &Uri<'_>| {
                uri.is_tel()
                    || uri.params.value("user").is_some_and(|user| user.eq_ignore_ascii_case("phone"))
                    || uri.user.is_some_and(|user| user.starts_with('+'))
            };
            let holds = list.iter().any(|address| is_number(&address.uri));
            let found = || list.iter().map(|address| address.uri.text).collect::<Vec<_>>().join(", ");
            j.check(end, holds, || "a tel URI, or one with user=phone".to_owned(), found);
        }
    },
};

const OK_04: Rule = Rule {
    id: "OK-04",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "RFC 3608 clause 5; TS 24.229 clause 5.4.1.2.2",
    text: "A 200 to a registration has Service-Route.",
    why: "What the UE sends then does not come to its S-CSCF: calls and SUBSCRIBE fail.",
    right: "Service-Route: <sip:orig@scscf.ims..:6060;lr>",
    wrong: "no Service-Route",
    judge: |registration, _, j| {
        for (end, sip) in granted(registration, j) {
            let there = sip.header(HeaderName::ServiceRoute).is_some();
            j.check(end, there, || "Service-Route".to_owned(), || "none".to_owned());
        }
    },
};

const OK_05: Rule = Rule {
    id: "OK-05",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "RFC 3261 clause 10.3",
    text: "A 200 repeats the Contact of the REGISTER with the expiry granted: not more than asked for.",
    why: "The UE cannot tell whether it is registered, nor when to refresh.",
    right: "Contact: <sip:..@10.0.0.7:31001>;expires=600000",
    wrong: "no Contact",
    judge: |registration, _, j| {
        for attempt in registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered) {
            let (Some(end), Some(request)) = (attempt.end(), attempt.latest().request()) else {
                j.unseen("the REGISTER or its 200 is not in the trace");
                continue;
            };
            let (Some(sip), Some(asked)) = (end.sip(), request.sip()) else { continue };
            let (Ok(Contacts::List(wanted)), Ok(Contacts::List(given))) = (asked.contacts(), sip.contacts()) else {
                continue;
            };
            for contact in wanted.iter().filter(|contact| contact.expires != Some(0)) {
                let asked_for = contact.expires.or_else(|| asked.expires());
                let echo = given.iter().find(|echo| echo.address.uri.equivalent(&contact.address.uri));
                match echo.map(|echo| echo.expires.or_else(|| sip.expires())) {
                    None => j.wrong([request, end], contact.address.uri.text, "not among the Contacts of the 200"),
                    Some(None) => j.wrong([end], "an expiry", "none"),
                    Some(Some(expires)) if asked_for.is_some_and(|asked_for| expires > asked_for) => {
                        j.wrong(
                            [request, end],
                            format!("at most {}", asked_for.unwrap_or_default()),
                            expires.to_string(),
                        );
                    }
                    Some(Some(_)) => j.right(end),
                }
            }
        }
    },
};

const OK_06: Rule = Rule {
    id: "OK-06",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "RFC 3327 clause 5; TS 24.229 clause 5.2.2.1",
    text: "The REGISTER that the P-CSCF forwards has Path with its own address, and names path in Require or Supported.",
    why: "What the network sends to the UE would not come through the P-CSCF, and no other element reaches the UE.",
    right: "Path: <sip:term@pcscf.ims..;lr>\nRequire: path",
    wrong: "no Path",
    judge: |registration, _, j| {
        let mut forwarded = false;
        for message in registration.messages().filter(|m| m.is(Method::Register) && m.repeats().is_none()) {
            let Some(sip) =
                message.sip().filter(|_| message.from() == Some(Role::Pcscf) && message.interface() == Interface::Mw)
            else {
                continue;
            };
            forwarded = true;
            let path = sip.header(HeaderName::Path).is_some();
            let tagged = [HeaderName::Require, HeaderName::Supported].iter().any(|name| sip.has_option(*name, "path"));
            match (path, tagged) {
                (true, true) => j.right(message),
                (false, _) => j.wrong([message], "Path", "none"),
                (true, false) => j.wrong([message], "path in Require or Supported", "in neither"),
            }
        }
        if !forwarded && !walk::registers(registration).is_empty() {
            j.unseen("the trace does not show Mw");
        }
    },
};

const OK_07: Rule = Rule {
    id: "OK-07",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.4.1; TS 34.229-1 clause 8.2",
    text: "A UE refreshes 600 s before the end of a registration of more than 1200 s, of a shorter one when half of it is over.",
    why: "A refresh that is lost has no second chance, and the registration lapses.",
    right: "a REGISTER 1800 s after a grant of 3600 s",
    wrong: "a REGISTER after 3700 s",
    judge: |registration, _, j| {
        let granted: Vec<Attempt<'_>> =
            registration.attempts().filter(|a| a.outcome() == Outcome::Registered).collect();
        for attempt in &granted {
            let (Some(end), Some(expiry)) = (attempt.end(), attempt.granted()) else { continue };
            let mut later = successors(attempt.next(), |next| next.next());
            let next = later.find(|next| next.impu() == attempt.impu());
            let Some(next) = next else {
                if has_lapsed(registration, *attempt, end, expiry) {
                    j.wrong([end], format!("a REGISTER within {}", seconds(expiry)), "none");
                } else {
                    j.unseen("the trace shows no REGISTER after the grant");
                }
                continue;
            };
            let request = next.request().filter(|request| request.from() == Some(Role::Ue));
            let waited = request.and_then(|request| request.since(reached(end, request)));
            let (Some(request), Some(waited)) = (request, waited) else {
                j.unseen("the trace does not show the refresh, or no times");
                continue;
            };
            // One that was off may come back when all is over; one that still has its SAs was there.
            let begins_anew = next.kind() == Kind::Initial && waited > expiry;
            if was_shortened(registration, end, request)
                || begins_anew && !was_there(registration, request, end, expiry)
            {
                continue;
            }
            let due = if expiry > LONG { expiry.saturating_sub(BEFORE) } else { expiry / 2 };
            let allowed = due + TOLERANCE;
            j.check(
                request,
                waited <= allowed,
                || format!("{} after the grant of {}", seconds(due), seconds(expiry)),
                || seconds(waited),
            );
        }
    },
};

const OK_08: Rule = Rule {
    id: "OK-08",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3261 clauses 10.2.8 and 10.3; TS 34.229-1 clause 8.4",
    text: "A 423 has Min-Expires, and the UE asks for at least that.",
    why: "Without it, or against it, the two never agree on a time.",
    right: "423 with Min-Expires: 1800, then Expires: 1800",
    wrong: "423 without Min-Expires",
    judge: |registration, _, j| {
        let all = walk::registers(registration);
        for (index, (message, _)) in all.iter().enumerate() {
            let Some(refusal) = message.exchange().and_then(|exchange| exchange.answered(423)) else { continue };
            let least = refusal
                .sip()
                .and_then(|sip| sip.header(HeaderName::MinExpires))
                .and_then(|text| text.trim().parse::<u32>().ok());
            let Some(least) = least else {
                j.wrong([refusal], "Min-Expires", "none");
                continue;
            };
            let Some((next, sip)) = all.get(index + 1) else {
                j.unseen("the trace shows no REGISTER after the 423");
                continue;
            };
            let asked = asked_by(sip);
            let shown = || asked.map_or_else(|| "no expiry".to_owned(), |asked| asked.to_string());
            if asked.is_some_and(|asked| asked >= least) {
                j.right(*next);
            } else {
                j.wrong([refusal, *next], format!("at least {least}"), shown());
            }
        }
    },
};

const OK_09: Rule = Rule {
    id: "OK-09",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "RFC 3261 clause 20.33; TS 24.229 clause 5.1.1.2.1; TS 34.229-1 clause 10.1",
    text: "A UE waits as long as Retry-After says, and does not start again at once after 403.",
    why: "Networks that are full or that refuse would be asked for ever.",
    right: "503 with Retry-After: 60, a REGISTER 60 s later",
    wrong: "a REGISTER 5 s later",
    judge: |registration, _, j| {
        let all = walk::registers(registration);
        for (index, (message, _)) in all.iter().enumerate() {
            let Some((refusal, sip)) =
                message.exchange().and_then(|e| e.last()).and_then(|last| Some((last, last.sip()?)))
            else {
                continue;
            };
            let retry_after = sip.header(HeaderName::RetryAfter).and_then(|text| {
                text.split([';', ' ', '('])
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .parse::<u64>()
                    .ok()
                    .map(Duration::from_secs)
            });
            let wait = match (sip.status(), retry_after) {
                (Some(403), None) => AT_ONCE,
                (Some(400..=699), Some(wait)) => wait,
                _ => continue,
            };
            let Some((next, _)) = all.get(index + 1) else {
                j.right(refusal);
                continue;
            };
            let Some(waited) = next.since(refusal) else {
                j.unseen("the trace does not show times");
                continue;
            };
            if waited >= wait {
                j.right(*next);
            } else {
                j.wrong([refusal, *next], format!("{} at least", seconds(wait)), seconds(waited));
            }
        }
    },
};

const OK_10: Rule = Rule {
    id: "OK-10",
    severity: Severity::Info,
    side: Side::Scscf,
    clause: "TS 24.229 clause 5.4.1.7",
    text: "Third-party REGISTERs go to application servers, not over Gm.",
    why: "On Gm it would be an element that talks to the wrong address.",
    right: "REGISTER of the S-CSCF to the AS over ISC",
    wrong: "the same at the P-CSCF",
    judge: |registration, _, j| {
        for message in registration.messages().filter(|m| m.is(Method::Register) && m.is_request()) {
            if message.to() == Some(Role::Ue) && message.repeats().is_none() {
                j.wrong([message], "ISC", "Gm");
            }
        }
        for journey in registration.third_party() {
            for hop in journey.hops() {
                let Some(request) = hop.request() else { continue };
                j.check(
                    request,
                    hop.interface() == Interface::Isc,
                    || "ISC".to_owned(),
                    || hop.interface().to_string(),
                );
            }
        }
    },
};

const OK_11: Rule = Rule {
    id: "OK-11",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3608 clause 6.1; TS 24.229 clause 5.1.2A.1.1",
    text: "Route of an initial request of the UE ends with Service-Route of the last 200, behind the P-CSCF.",
    why: "The request does not reach the S-CSCF of the UE.",
    right: "Route: <sip:pcscf..;lr>,<sip:orig@scscf..;lr>",
    wrong: "Route: <sip:pcscf..;lr>",
    judge: |registration, _, j| {
        for message in
            registration.messages().filter(|m| m.is_request() && m.from() == Some(Role::Ue) && m.repeats().is_none())
        {
            let Some(sip) = message.sip().filter(|sip| is_initial(sip)) else { continue };
            let Some(grant) = registration.granted_before(message).and_then(Attempt::end) else { continue };
            let service_route =
                grant.sip().and_then(|sip| sip.name_addrs(HeaderName::ServiceRoute).ok()).unwrap_or_default();
            if service_route.is_empty() {
                continue;
            }
            let route = sip.name_addrs(HeaderName::Route).unwrap_or_default();
            let tail = route.len().checked_sub(service_route.len()).map(|at| &route[at..]);
            let holds = tail.is_some_and(|tail| tail.iter().zip(&service_route).all(|(a, b)| a.uri.equivalent(&b.uri)));
            let text = |list: &[sip::header::name_addr::NameAddr<'_>]| {
                list.iter().map(|a| a.uri.text).collect::<Vec<_>>().join(", ")
            };
            if holds {
                j.right(message);
            } else {
                let found = if route.is_empty() { "no Route".to_owned() } else { text(&route) };
                j.wrong([grant, message], text(&service_route), found);
            }
        }
        walk::unseen_where_shut(registration, j);
    },
};

/// The 200s that grant a registration, as the UE gets them.
fn granted<'r>(registration: &'r Registration<'r>, j: &mut Judgement) -> Vec<walk::Read<'r>> {
    let ends = registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered);
    let all: Vec<walk::Read<'r>> =
        ends.filter_map(|attempt| attempt.end()).filter_map(|end| Some((end, end.sip()?))).collect();
    let unanswered = |attempt: Attempt<'_>| matches!(attempt.outcome(), Outcome::Unanswered | Outcome::Challenged);
    if all.is_empty() && registration.attempts().next_back().is_some_and(unanswered) {
        j.unseen("the end of the registration is not in the trace");
    }
    all
}

/// What a REGISTER asks for.
fn asked_by(sip: &sip::Message<'_>) -> Option<u32> {
    let of_contact = match sip.contacts() {
        Ok(Contacts::List(contacts)) => contacts.first().and_then(|contact| contact.expires),
        _ => None,
    };
    of_contact.or_else(|| sip.expires())
}

/// True for a request outside dialogs that Service-Route is for.
fn is_initial(sip: &sip::Message<'_>) -> bool {
    let outside = sip.to().is_ok_and(|to| !to.params.has("tag"));
    outside && !matches!(sip.method(), Some(Method::Register | Method::Ack | Method::Cancel) | None)
}

/// True where a NOTIFY between the two shortened the registration: then EV-07 tells when to refresh.
fn was_shortened(registration: &Registration<'_>, after: Message<'_>, before: Message<'_>) -> bool {
    registration.between(after, before).any(|message| {
        walk::reginfo(message).is_some_and(|document| {
            document
                .registrations
                .iter()
                .flat_map(|r| &r.contacts)
                .any(|contact| contact.event == ContactEvent::Shortened)
        })
    })
}

/// The last copy of a 200 before a request: those of before may have been lost.
fn reached<'r>(end: Message<'r>, before: Message<'r>) -> Message<'r> {
    let copies = end.exchange().into_iter().flat_map(|exchange| exchange.answers()).filter(|copy| {
        let is_late = copy.since(end).is_none_or(|time| time > LINGER);
        copy.status() == end.status() && !is_late && copy.index() < before.index()
    });
    copies.last().unwrap_or(end)
}

/// True for a NOTIFY of an end that is not that of time.
fn ends_registration(message: Message<'_>) -> bool {
    match walk::reginfo(message) {
        Some(document) => {
            let mut contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
            contacts.any(|c| c.state == ContactState::Terminated && c.event != ContactEvent::Expired)
        }
        None => message.subscription_state().is_some_and(|state| state.state.eq_ignore_ascii_case("terminated")),
    }
}

/// True where a UE says something over its SAs when its registration has run out, and nobody had ended it.
fn was_there(registration: &Registration<'_>, anew: Message<'_>, end: Message<'_>, expiry: Duration) -> bool {
    let is_over_sas = |message: &Message<'_>| {
        message.from() == Some(Role::Ue) && matches!(message.carried(), Carried::Sa(_) | Carried::Ports(_))
    };
    let ended = registration.between(end, anew).any(ends_registration);
    let late = |message: &Message<'_>| message.since(end).is_some_and(|time| time >= expiry);
    !ended && registration.between(end, anew).any(|message| late(&message) && is_over_sas(&message))
}

/// True where a registration that nobody has ended ran out, and the UE was there all the same.
fn has_lapsed(registration: &Registration<'_>, attempt: Attempt<'_>, end: Message<'_>, expiry: Duration) -> bool {
    // One that says nothing any more may be off.
    let is_later = |message: &Message<'_>| message.since(end).is_some_and(|time| time >= expiry);
    let was_there = registration.after(end).any(|m| m.from() == Some(Role::Ue) && is_later(&m));
    let seen = registration.observable();
    let is_for_emergency = end.sip().is_some_and(|sip| walk::contacts(sip).iter().any(|(uri, _)| uri.contains(";sos")));
    was_there
        && attempt.next().is_none()
        && seen.uplink
        && seen.downlink
        && seen.whole
        && !is_for_emergency
        && !walk::is_shut(registration)
        && registration.from_hss().next().is_none()
        && !registration.after(end).any(ends_registration)
}

const LONG: Duration = Duration::from_secs(1_200);
const BEFORE: Duration = Duration::from_secs(600);
const TOLERANCE: Duration = Duration::from_secs(1);
/// 64*T1 towards a UE (TS 24.229 table 7.7.1).
const LINGER: Duration = Duration::from_secs(128);
const AT_ONCE: Duration = Duration::from_secs(10);
