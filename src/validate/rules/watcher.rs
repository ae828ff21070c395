//! The UE as a watcher of its registration: what it subscribes to, and what it does of what it is told (TS 24.229 clauses
//! 5.1.1.3 and 5.1.1.7, RFC 3680, RFC 6665).

use super::life::was_ignored;
use super::reg_event::{subscribes, told_to_ue};
use super::walk::{self, same_address, same_identity, seconds, shown_after};
use crate::event::Role;
use crate::reginfo::{Contact, ContactEvent};
use crate::sip::{self, HeaderName, Method};
use crate::time::Duration;
use crate::trace::story::{Attempt, Carried, Kind, Message, Outcome, Registration};
use crate::validate::{Judgement, Rule, Severity, Side};

pub(super) const EV_01: Rule = Rule {
    id: "EV-01",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.3; RFC 3680 clause 4.5; TS 34.229-1 clause 8.1",
    text: "After the 200 the UE subscribes to its registration over the SAs: Event reg, Accept (where there is one) with \
           application/reginfo+xml, for its default public identity or the one it registered where that is not barred, Route \
           through port-s of the P-CSCF and along Service-Route.",
    why: "A UE that hears nothing stays registered for itself when the network has ended it.",
    right: "SUBSCRIBE sip:+15550100@ims..\nEvent: reg\nAccept: application/reginfo+xml",
    wrong: "SUBSCRIBE of a barred identity, or in clear",
    judge: |registration, context, j| {
        let mut seen = false;
        for (message, sip) in subscribes(registration) {
            if sip.to().is_ok_and(|to| to.tag().is_some()) {
                continue;
            }
            let Some(grant) = registration.granted_before(message) else {
                j.unseen("the 200 before the SUBSCRIBE is not in the trace");
                continue;
            };
            seen = true;
            let mut wrong = |expected: String, found: &str| j.wrong([message], expected, found);
            let accepts: Vec<&str> = sip.elements(HeaderName::Accept).collect();
            let is_reginfo = |accept: &&str| {
                let kind = accept.split(';').next().unwrap_or_default().trim();
                ["application/reginfo+xml", "application/*", "*/*"].iter().any(|known| kind.eq_ignore_ascii_case(known))
            };
            let identities = [Some(default_identity(grant)), Some(grant.impu().filter(|impu| is_listed(grant, impu)))];
            let allowed: Vec<&str> = identities.into_iter().flatten().flatten().collect();
            let target = sip.request_uri().unwrap_or_default();
            let set = registration.sets().rev().find(|set| set.established().is_some());
            let route = sip.name_addrs(HeaderName::Route).unwrap_or_default();
            let port_s = set.and_then(|set| set.pcscf()).map(|end| end.port_s);
            let first = route.first().map(|first| first.uri.port);
            if !accepts.is_empty() && !accepts.iter().any(is_reginfo) {
                wrong("application/reginfo+xml".to_owned(), &accepts.join(", "));
            } else if !allowed.is_empty() && !allowed.iter().any(|impu| same_identity(impu, target)) {
                wrong(allowed.join(" or "), target);
            } else if set.is_some() && walk::is_protected(message, context) == Some(false) {
                wrong("SUBSCRIBE over the SAs".to_owned(), "in clear");
            } else if let (Some(port_s), Some(first), Some(true)) =
                (port_s, first, walk::is_protected(message, context))
                && first != Some(port_s)
            {
                let found = first.map_or_else(|| "no port".to_owned(), |port| format!("port {port}"));
                wrong(format!("port {port_s} of the P-CSCF in Route"), &found);
            } else if route.is_empty() && port_s.is_some() {
                wrong("Route".to_owned(), "none");
            } else {
                j.right(message);
            }
        }
        let registered = registration.attempts().any(|attempt| attempt.outcome() == Outcome::Registered);
        match instead(registration).filter(|_| !seen && registered) {
            Some(other) => {
                let found = other.sip().and_then(|sip| sip.header(HeaderName::Event)).unwrap_or("none");
                j.wrong([other], "SUBSCRIBE with Event: reg", format!("Event: {found}"));
            }
            None if !seen && registered => j.unseen("the trace shows no SUBSCRIBE of the UE"),
            None => {}
        }
    },
};

pub(super) const EV_06: Rule = Rule {
    id: "EV-06",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.7; RFC 3680 clause 4.7.1; RFC 6665 clause 4.1.3; TS 34.229-1 clause 11.1",
    text: "The UE answers NOTIFY with 200, one of no subscription of its own with 481, and does what it says: after `rejected` no REGISTER and no SUBSCRIBE of that identity, \
           after `deactivated` a new initial REGISTER within 60 s.",
    why: "A UE that comes back after `rejected` loads a network that wants to be rid of it; one that stays away after \
          `deactivated` cannot be called.",
    right: "event=\"deactivated\", then REGISTER in clear",
    wrong: "event=\"rejected\", then REGISTER",
    judge: |registration, _, j| {
        for notify in told_to_ue(registration) {
            if is_of_no_subscription(registration, notify) {
                judge_refusal(notify, j);
                continue;
            }
            match notify.exchange().and_then(|exchange| exchange.last()) {
                Some(answer) if answer.status().is_some_and(|status| status < 300) => j.right(answer),
                // The dialog of a UE that has left or begun anew is gone.
                Some(answer) if answer.status() == Some(481) && has_turned(registration, notify) => j.right(answer),
                Some(answer) => {
                    j.wrong([notify, answer], "200", answer.status().map_or_else(String::new, |s| s.to_string()));
                }
                None if is_left_unanswered(registration, notify) => j.wrong([notify], "200", "none"),
                None => j.unseen("the answer to the NOTIFY is not in the trace"),
            }
            let Some(document) = walk::reginfo(notify) else { continue };
            let after_rejected =
                document.registrations.iter().filter(|aor| is_ended_by(notify, aor, ContactEvent::Rejected));
            for aor in after_rejected {
                let again =
                    registration.messages().skip(notify.index() + 1).find(|message| wants_more(*message, &aor.aor));
                match again {
                    Some(again) => j.wrong(
                        [notify, again],
                        format!("nothing more of {}", aor.aor),
                        again.method().map_or("", |m| m.as_str()),
                    ),
                    None => j.right(notify),
                }
            }
            if document.registrations.iter().any(|aor| is_ended_by(notify, aor, ContactEvent::Deactivated)) {
                returns_soon(registration, notify, j);
            }
        }
        nothing_told(registration, j);
    },
};

pub(super) const EV_07: Rule = Rule {
    id: "EV-07",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clauses 5.1.1.4.1 and 5.1.1.5.1; TS 34.229-1 clause 11.2",
    text: "A UE whose registration was shortened refreshes it in time: at half of what is left, or 600 s before the end where \
           more than 1200 s are left.",
    why: "The network wants to authenticate it again; it ends the registration otherwise.",
    right: "event=\"shortened\" expires=\"60\", a REGISTER 30 s later",
    wrong: "the same, no REGISTER for 60 s",
    judge: |registration, _, j| {
        for notify in told_to_ue(registration) {
            let Some(document) = walk::reginfo(notify) else { continue };
            let contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
            let left = contacts
                .filter(|contact| contact.event == ContactEvent::Shortened && is_of_ue(notify, contact))
                .filter_map(|contact| contact.expires)
                .min();
            let Some(left) = left else { continue };
            let due = if left > LONG { left - BEFORE } else { left.div_ceil(2) };
            let allowed = Duration::from_secs(due + 1);
            let next = walk::registers(registration).into_iter().find(|(next, _)| next.index() > notify.index());
            let expected = || format!("a REGISTER within {due} s");
            match next.and_then(|(next, _)| Some((next, next.since(notify)?))) {
                Some((next, waited)) if waited <= allowed => j.right(next),
                Some((next, waited)) => j.wrong([notify, next], expected(), format!("after {}", seconds(waited))),
                None if next.is_some() => j.unseen("the trace does not show times"),
                None if !walk::is_shut(registration) && shown_after(notify).is_some_and(|time| time > allowed) => {
                    j.wrong([notify], expected(), "none");
                }
                None => j.unseen("the trace does not show what the UE did after it"),
            }
        }
    },
};

pub(super) const EV_08: Rule = Rule {
    id: "EV-08",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "RFC 3261 clause 21.5.4; RFC 6665 clause 4.1.2.2; TS 34.229-1 clause 10.1",
    text: "After 503 to a SUBSCRIBE the UE waits as long as Retry-After says; after 481 it subscribes in a new dialog. Both times \
           with a new Call-ID.",
    why: "A network that is full is asked for ever, and a dialog that is gone does not come back.",
    right: "503 with Retry-After: 60, a SUBSCRIBE with a new Call-ID 60 s later",
    wrong: "the same SUBSCRIBE again at once",
    judge: |registration, _, j| {
        let all = subscribes(registration);
        for (index, (message, sip)) in all.iter().enumerate() {
            let Some((answer, refusal)) =
                message.exchange().and_then(|exchange| exchange.last()).and_then(|last| Some((last, last.sip()?)))
            else {
                continue;
            };
            let wait = match refusal.status() {
                Some(503) => refusal.header(HeaderName::RetryAfter).and_then(retry_after),
                Some(481) => Some(Duration::ZERO),
                _ => continue,
            };
            let Some(wait) = wait else { continue };
            let Some((next, again)) = all.get(index + 1) else {
                if wait.is_zero() {
                    j.unseen("the trace shows no SUBSCRIBE after the 481");
                } else if shown_after(answer).is_some_and(|time| time >= wait) {
                    j.right(answer);
                } else {
                    j.unseen("the trace does not go on as long as Retry-After");
                }
                continue;
            };
            match next.since(answer) {
                Some(waited) if waited < wait => {
                    j.wrong([answer, *next], format!("{} at least", seconds(wait)), seconds(waited));
                }
                _ if sip.call_id() == again.call_id() => {
                    j.wrong([answer, *next], "a new Call-ID", "the same");
                }
                None if !wait.is_zero() => j.unseen("the trace does not show times"),
                _ => j.right(*next),
            }
        }
    },
};

/// What a registered UE subscribes to where a trace that goes on shows no SUBSCRIBE to its registration.
fn instead<'r>(registration: &'r Registration<'r>) -> Option<Message<'r>> {
    let is_initial = |sip: &sip::Message<'_>| sip.to().is_ok_and(|to| to.tag().is_none());
    let mut asked = registration.messages().filter(|message| {
        message.is(Method::Subscribe)
            && message.is_request()
            && message.from() == Some(Role::Ue)
            && message.sip().is_some_and(is_initial)
    });
    let other = asked.next().filter(|other| registration.granted_before(*other).is_some())?;
    let goes_on = shown_after(other).is_some_and(|time| time > SOON);
    (goes_on
        && subscribes(registration).is_empty()
        && !walk::is_shut(registration)
        && registration.observable().beginning)
        .then_some(other)
}

/// Notes that documents may be in ESP that stays shut.
pub(super) fn nothing_told(registration: &Registration<'_>, j: &mut Judgement) {
    if walk::is_shut(registration) {
        j.unseen("ESP of the UE stays shut");
    } else if !subscribes(registration).is_empty() {
        j.unseen("the trace shows no NOTIFY of the subscription");
    }
}

/// The first entry of P-Associated-URI.
fn default_identity(grant: Attempt<'_>) -> Option<&str> {
    let sip = grant.end()?.sip()?;
    sip.name_addrs(HeaderName::PAssociatedUri).ok()?.first().map(|first| first.uri.text)
}

fn is_listed(grant: Attempt<'_>, impu: &str) -> bool {
    let list = grant.end().and_then(Message::sip).and_then(|sip| sip.name_addrs(HeaderName::PAssociatedUri).ok());
    list.unwrap_or_default().iter().any(|address| same_identity(address.uri.text, impu))
}

/// True for a contact that the UE registered before the NOTIFY.
pub(super) fn is_of_ue(notify: Message<'_>, contact: &Contact<'_>) -> bool {
    let registers = walk::registers(notify.registration());
    let own = registers.iter().filter(|(register, _)| register.index() < notify.index());
    own.flat_map(|(_, sip)| walk::contacts(sip)).any(|(uri, _)| same_address(uri, &contact.uri))
}

/// True where an identity of the UE has ended, its contact by this event.
fn is_ended_by(notify: Message<'_>, aor: &crate::reginfo::Registration<'_>, event: ContactEvent) -> bool {
    if !aor.contacts.iter().any(|contact| contact.event == event) {
        return false;
    }
    let mut own = aor.contacts.iter().filter(|contact| is_of_ue(notify, contact)).peekable();
    own.peek().is_some() && own.all(|contact| contact.event == event)
}

/// A REGISTER of the UE that wants to be registered, or a SUBSCRIBE, for an identity.
fn wants_more(message: Message<'_>, aor: &str) -> bool {
    let Some(sip) = message.sip().filter(|_| message.from() == Some(Role::Ue) && message.repeats().is_none()) else {
        return false;
    };
    match sip.method() {
        Some(Method::Register) => {
            let leaves = walk::contacts(sip).iter().all(|(_, expiry)| *expiry == Some(0));
            !leaves && sip.to().is_ok_and(|to| same_identity(to.uri.text, aor))
        }
        Some(Method::Subscribe) => sip.request_uri().is_some_and(|uri| same_identity(uri, aor)),
        _ => false,
    }
}

/// True where the trace shows every SUBSCRIBE of the UE before a NOTIFY, and none is of its dialog (RFC 6665 clause 4.4.1:
/// Call-ID, and the tag that the watcher gave).
fn is_of_no_subscription(registration: &Registration<'_>, notify: Message<'_>) -> bool {
    let dialog = |sip: &sip::Message<'_>, tag: Option<&str>| Some((sip.call_id().ok()?.to_owned(), tag?.to_owned()));
    let Some(sip) = notify.sip().filter(|_| registration.observable().beginning && !walk::is_shut(registration)) else {
        return false;
    };
    let told = dialog(sip, sip.to().ok().and_then(|to| to.tag()));
    let asked = subscribes(registration);
    let before = || asked.iter().filter(|(message, _)| message.index() < notify.index());
    before().next().is_some()
        && before().all(|(_, sip)| dialog(sip, sip.from().ok().and_then(|from| from.tag())) != told)
}

/// RFC 6665 clause 4.1.3: a NOTIFY that matches nothing is refused, 481 unless another error fits better.
fn judge_refusal(notify: Message<'_>, j: &mut Judgement) {
    match notify.exchange().and_then(|exchange| exchange.last()) {
        Some(answer) if answer.status().is_some_and(|status| status >= 400) => j.right(answer),
        Some(answer) => {
            let found = answer.status().map_or_else(String::new, |status| status.to_string());
            j.wrong([notify, answer], "481: the NOTIFY is of no subscription", found);
        }
        None => j.unseen("the answer to the NOTIFY is not in the trace"),
    }
}

/// True where the UE has begun anew, or left, between its last SUBSCRIBE and a NOTIFY.
fn has_turned(registration: &Registration<'_>, notify: Message<'_>) -> bool {
    let asked =
        subscribes(registration).iter().map(|(message, _)| message.index()).filter(|at| *at < notify.index()).max();
    registration
        .attempts()
        .filter(|attempt| attempt.kind() != Kind::Refresh)
        .filter_map(Attempt::request)
        .any(|request| request.index() < notify.index() && asked.is_none_or(|asked| request.index() > asked))
}

/// True where a UE that has neither left nor begun anew leaves every copy of a NOTIFY over its SAs unanswered.
fn is_left_unanswered(registration: &Registration<'_>, notify: Message<'_>) -> bool {
    let is_reachable = matches!(notify.carried(), Carried::Sa(_) | Carried::Ports(_)) && !walk::is_shut(registration);
    let has_left = || {
        let later = registration.attempts().filter(|attempt| attempt.kind() != Kind::Refresh);
        later.filter_map(Attempt::request).any(|request| request.index() > notify.index())
    };
    let is_ignored = notify.exchange().is_some_and(was_ignored);
    is_reachable && is_ignored && !has_turned(registration, notify) && !has_left()
}

/// After `deactivated` the UE registers anew within a minute.
fn returns_soon(registration: &Registration<'_>, notify: Message<'_>, j: &mut Judgement) {
    let next = registration.attempts().find(|attempt| {
        let request = attempt.request().filter(|request| request.from() == Some(Role::Ue));
        request.is_some_and(|request| request.index() > notify.index())
    });
    let expected = "a new initial REGISTER within 60 s";
    match next.and_then(|next| Some((next, next.request()?))) {
        Some((next, request)) if next.kind() == Kind::Initial => match request.since(notify) {
            Some(waited) if waited > SOON => j.wrong([notify, request], expected, format!("after {}", seconds(waited))),
            Some(_) => j.right(request),
            None => j.unseen("the trace does not show times"),
        },
        Some((_, request)) => j.wrong([notify, request], expected, "a REGISTER within the old registration"),
        None if shown_after(notify).is_some_and(|time| time > SOON) => j.wrong([notify], expected, "none"),
        None => j.unseen("the trace ends before the UE could come back"),
    }
}

fn retry_after(text: &str) -> Option<Duration> {
    text.split([';', ' ', '(']).next()?.trim().parse().ok().map(Duration::from_secs)
}

const LONG: u64 = 1_200;

const BEFORE: u64 = 600;

const SOON: Duration = Duration::from_secs(60);
