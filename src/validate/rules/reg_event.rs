//! The registration event package: what the UE asks, what it is told, and what it makes of it (RFC 3680, RFC 6665, TS 24.229
//! clauses 5.1.1.3, 5.1.1.5.1, 5.1.1.7, 5.4.2.1).

use super::walk::{self, Read, same_address, same_identity, seconds, shown_after};
use crate::cx::Ppr;
use crate::event::Role;
use crate::reginfo::{Contact, ContactEvent, ContactState, DocumentState, RegistrationState};
use crate::sip::{HeaderName, Method};
use crate::time::Duration;
use crate::trace::story::{Attempt, Kind, Message, Outcome, Registration, Subscription};
use crate::validate::{Judgement, Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[&EV_01, &EV_02, &EV_03, &EV_04, &EV_05, &EV_06, &EV_07, &EV_08];

const EV_01: Rule = Rule {
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
        if !seen && registered {
            j.unseen("the trace shows no SUBSCRIBE of the UE");
        }
    },
};

const EV_02: Rule = Rule {
    id: "EV-02",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "RFC 3261 clause 12.2.1.1; RFC 6665 clause 4.2.2",
    text: "A NOTIFY is a request within the dialog that SUBSCRIBE made: From and To with its URIs and tags, CSeq larger than \
           before, and the Contact of the watcher as Request-URI, nowhere else.",
    why: "The UE answers 481, and hears nothing of its registration.",
    right: "NOTIFY sip:u@10.0.0.7:31001\nTo: <sip:+15550100@ims..>;tag=ue",
    wrong: "To: <sip:u@10.0.0.7:31001>;tag=ue",
    judge: |registration, _, j| {
        for subscription in registration.subscriptions() {
            let mut last: Option<(u32, Message<'_>)> = None;
            for (notify, sip) in sent(subscription) {
                let Some((asked, subscribe)) = subscribe_before(subscription, notify) else {
                    j.unseen("the SUBSCRIBE of the dialog is not in the trace");
                    continue;
                };
                let (Ok(from), Ok(to), Ok(cseq)) = (sip.from(), sip.to(), sip.cseq()) else { continue };
                let (Ok(watcher), Ok(watched)) = (subscribe.from(), subscribe.to()) else { continue };
                let answer = asked.exchange().and_then(|exchange| exchange.last()).and_then(Message::sip);
                let answer = answer.filter(|answer| answer.status().is_some_and(|status| status < 300));
                let tag = answer.and_then(|answer| answer.to().ok()).and_then(|to| to.tag());
                let target = sip.request_uri().unwrap_or_default();
                let contacts = walk::contacts(subscribe);
                let contact = contacts.first().map(|(uri, _)| *uri);
                let before = last.replace((cseq.number, notify));
                if !to.uri.equivalent(&watcher.uri) {
                    j.wrong([asked, notify], format!("{} in To", watcher.uri.text), to.uri.text);
                } else if to.tag() != watcher.tag() {
                    let found = to.tag().unwrap_or("no tag");
                    j.wrong([asked, notify], format!("tag {} in To", watcher.tag().unwrap_or_default()), found);
                } else if !from.uri.equivalent(&watched.uri) {
                    j.wrong([asked, notify], format!("{} in From", watched.uri.text), from.uri.text);
                } else if from.tag().is_none() || tag.is_some() && from.tag() != tag {
                    let found = from.tag().unwrap_or("no tag");
                    j.wrong([asked, notify], format!("tag {} in From", tag.unwrap_or("of the dialog")), found);
                } else if let Some(contact) = contact.filter(|contact| !same_address(contact, target)) {
                    j.wrong([asked, notify], format!("Request-URI {contact}"), target);
                } else if let Some((number, earlier)) = before.filter(|(number, _)| *number >= cseq.number) {
                    j.wrong([earlier, notify], format!("CSeq above {number}"), cseq.number.to_string());
                } else {
                    j.right(notify);
                }
            }
        }
        nothing_told(registration, j);
    },
};

const EV_03: Rule = Rule {
    id: "EV-03",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "RFC 3680 clauses 4.7.1, 5.1 and 5.2; TS 24.229 clause 5.4.2.1.2",
    text: "The first document of a subscription is full and has version 0, each later one the next version. It names identities \
           of the implicit set only, states and events belong together, and an active contact has time left.",
    why: "A strict UE drops the document, or believes that it is not registered.",
    right: "<reginfo version=\"0\" state=\"full\">..<contact state=\"active\" event=\"registered\" expires=\"3600\">",
    wrong: "version=\"1\" first, or state=\"active\" event=\"expired\"",
    judge: |registration, _, j| {
        let changed = registration.from_hss().any(|exchange| exchange.command() == Some(Ppr::COMMAND));
        let set = if changed { Vec::new() } else { implicit_set(registration) };
        for subscription in registration.subscriptions() {
            let begins = subscription.subscribes().any(|journey| {
                let sip = journey.request().and_then(Message::sip);
                sip.and_then(|sip| sip.to().ok()).is_some_and(|to| to.tag().is_none())
            });
            let mut before: Option<(u32, u32)> = None;
            for (notify, sip) in sent(subscription) {
                if sip.body().is_empty() {
                    j.unseen("a NOTIFY without a document");
                    continue;
                }
                let mut faults = Vec::new();
                let document = notify.reginfo(&mut faults);
                let number = sip.cseq().map_or(0, |cseq| cseq.number);
                let Some(document) = document.filter(|_| faults.is_empty()) else {
                    let found = faults.first().map_or_else(|| "none".to_owned(), ToString::to_string);
                    j.wrong([notify], "a document of the schema", found);
                    continue;
                };
                let expected = match before {
                    Some((version, cseq)) if number == cseq + 1 => Some(version + 1),
                    Some((version, _)) if document.version <= version => Some(version + 1),
                    None if begins => Some(0),
                    _ => None,
                };
                let first = before.replace((document.version, number)).is_none();
                let stranger = |aor: &&crate::reginfo::Registration<'_>| {
                    aor.wildcard.is_none() && !set.is_empty() && !set.iter().any(|impu| same_identity(impu, &aor.aor))
                };
                let contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
                if let Some(expected) = expected.filter(|expected| *expected != document.version) {
                    j.wrong([notify], format!("version {expected}"), format!("version {}", document.version));
                } else if first && begins && document.state == DocumentState::Partial {
                    j.wrong([notify], "full state first", "partial state");
                } else if let Some(aor) = document.registrations.iter().find(stranger) {
                    j.wrong([notify], set.join(", "), aor.aor.to_string());
                } else if let Some(fault) = contacts.clone().find_map(fault_of) {
                    j.wrong([notify], "state, event and expiry that belong together", fault);
                } else if expected.is_some() {
                    j.right(notify);
                } else {
                    j.unseen("the document before it is not in the trace");
                }
            }
        }
        nothing_told(registration, j);
    },
};

const EV_04: Rule = Rule {
    id: "EV-04",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 24.229 clause 5.4.2.1.2; RFC 6665 clause 4.2.2",
    text: "The NOTIFY that tells that nothing is registered any more ends the subscription: Subscription-State terminated.",
    why: "Watchers keep a dialog that nobody serves, and the UE refreshes it.",
    right: "Subscription-State: terminated;reason=deactivated",
    wrong: "Subscription-State: active;expires=3600",
    judge: |registration, _, j| {
        for subscription in registration.subscriptions() {
            let mut known: Vec<(String, bool)> = Vec::new();
            for (notify, _) in sent(subscription) {
                let Some(document) = notify.reginfo(&mut Vec::new()) else { continue };
                if document.state == DocumentState::Full {
                    known.clear();
                }
                for aor in &document.registrations {
                    known.retain(|(known, _)| known != &aor.aor);
                    known.push((aor.aor.to_string(), aor.state == RegistrationState::Terminated));
                }
                if known.is_empty() || !known.iter().all(|(_, over)| *over) {
                    continue;
                }
                let state = notify.subscription_state();
                let is_over = state.is_some_and(|state| state.state.eq_ignore_ascii_case("terminated"));
                let found = || state.map_or_else(|| "none".to_owned(), |state| state.state.to_owned());
                j.check(notify, is_over, || "Subscription-State: terminated".to_owned(), found);
            }
        }
        let ended = registration.attempts().any(|attempt| attempt.outcome() == Outcome::Deregistered);
        if ended && (walk::is_shut(registration) || registration.subscriptions().next().is_some()) {
            j.unseen("the NOTIFY of the end is not in the trace");
        }
    },
};

const EV_05: Rule = Rule {
    id: "EV-05",
    severity: Severity::Warning,
    side: Side::Scscf,
    clause: "TS 24.229 clauses 5.4.1.2.2 and 5.4.2.1.2",
    text: "A contact that was replaced or de-registered is not told as active.",
    why: "The UE takes itself for registered at an address that it gave up, and calls are sent there.",
    right: "the contact of the last 200 active, the one before terminated",
    wrong: "both active",
    judge: |registration, _, j| {
        for subscription in registration.subscriptions() {
            for (notify, _) in sent(subscription) {
                let Some(document) = notify.reginfo(&mut Vec::new()) else { continue };
                let contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
                for contact in contacts.filter(|contact| contact.state == ContactState::Active) {
                    match gone_by(notify, &contact.uri) {
                        None => j.unseen("the trace does not show the REGISTER of the contact"),
                        Some(None) => j.right(notify),
                        Some(Some(end)) => j.wrong([end, notify], format!("{} terminated", contact.uri), "active"),
                    }
                }
            }
        }
        nothing_told(registration, j);
    },
};

const EV_06: Rule = Rule {
    id: "EV-06",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.7; RFC 3680 clause 4.7.1; TS 34.229-1 clause 11.1",
    text: "The UE answers NOTIFY with 200 and does what it says: after `rejected` no REGISTER and no SUBSCRIBE of that identity, \
           after `deactivated` a new initial REGISTER within 60 s.",
    why: "A UE that comes back after `rejected` loads a network that wants to be rid of it; one that stays away after \
          `deactivated` cannot be called.",
    right: "event=\"deactivated\", then REGISTER in clear",
    wrong: "event=\"rejected\", then REGISTER",
    judge: |registration, _, j| {
        for notify in told_to_ue(registration) {
            match notify.exchange().and_then(|exchange| exchange.last()) {
                Some(answer) if answer.status().is_some_and(|status| status < 300) => j.right(answer),
                // The dialog of a UE that has left or begun anew is gone.
                Some(answer) if answer.status() == Some(481) && has_turned(registration, notify) => j.right(answer),
                Some(answer) => {
                    j.wrong([notify, answer], "200", answer.status().map_or_else(String::new, |s| s.to_string()));
                }
                None => j.unseen("the answer to the NOTIFY is not in the trace"),
            }
            let Some(document) = notify.reginfo(&mut Vec::new()) else { continue };
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

const EV_07: Rule = Rule {
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
            let Some(document) = notify.reginfo(&mut Vec::new()) else { continue };
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

const EV_08: Rule = Rule {
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

/// SUBSCRIBEs of the UE to its registration, retransmissions left out, in order.
fn subscribes<'r>(registration: &'r Registration<'r>) -> Vec<Read<'r>> {
    let subscriptions =
        registration.subscriptions().flat_map(|subscription| subscription.subscribes().collect::<Vec<_>>());
    let mut all: Vec<Read<'r>> = subscriptions
        .filter_map(|journey| journey.request())
        .filter(|message| message.from() == Some(Role::Ue))
        .filter_map(|message| Some((message, message.sip()?)))
        .collect();
    all.sort_by_key(|(message, _)| message.index());
    all
}

/// The NOTIFYs of a subscription, as near to the S-CSCF as the trace shows them, in the order in which they were sent.
pub(super) fn sent<'r>(subscription: Subscription<'r>) -> Vec<Read<'r>> {
    let mut all: Vec<Read<'r>> = subscription
        .notifies()
        .filter_map(|journey| journey.request())
        .filter_map(|message| Some((message, message.sip()?)))
        .collect();
    all.sort_by_key(|(message, _)| (message.at(), message.index()));
    all
}

/// The NOTIFYs that the UE gets, retransmissions left out.
pub(super) fn told_to_ue<'r>(registration: &'r Registration<'r>) -> impl Iterator<Item = Message<'r>> {
    registration
        .messages()
        .filter(|message| message.is(Method::Notify) && message.to() == Some(Role::Ue) && message.repeats().is_none())
        .filter(|message| message.reginfo(&mut Vec::new()).is_some())
}

/// The SUBSCRIBE that a NOTIFY follows, as near to its sender as the trace shows it.
fn subscribe_before<'r>(subscription: Subscription<'r>, notify: Message<'r>) -> Option<Read<'r>> {
    let requests = subscription.subscribes().filter_map(|journey| journey.request());
    let last = requests.filter(|request| request.index() < notify.index()).last()?;
    Some((last, last.sip()?))
}

/// Notes that documents may be in ESP that stays shut.
fn nothing_told(registration: &Registration<'_>, j: &mut Judgement) {
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

/// Every identity that a 200 lists.
fn implicit_set<'r>(registration: &'r Registration<'r>) -> Vec<&'r str> {
    let ends = registration.attempts().filter_map(Attempt::end).filter_map(Message::sip);
    let mut all: Vec<&str> = Vec::new();
    for address in ends.filter_map(|sip| sip.name_addrs(HeaderName::PAssociatedUri).ok()).flatten() {
        if !all.contains(&address.uri.text) {
            all.push(address.uri.text);
        }
    }
    all
}

/// What is wrong with a contact (RFC 3680 clauses 4.7.1 and 5.1).
fn fault_of(contact: &Contact<'_>) -> Option<String> {
    use ContactEvent as E;
    let active = matches!(contact.event, E::Registered | E::Created | E::Refreshed | E::Shortened);
    match contact.state {
        ContactState::Active if !active => Some(format!("active by {}", name_of(contact.event))),
        ContactState::Terminated if active => Some(format!("terminated by {}", name_of(contact.event))),
        ContactState::Active if contact.expires == Some(0) => Some("active with expires 0".to_owned()),
        ContactState::Active if contact.event == E::Shortened && contact.expires.is_none() => {
            Some("shortened without expires".to_owned())
        }
        _ => None,
    }
}

pub(super) const fn name_of(event: ContactEvent) -> &'static str {
    match event {
        ContactEvent::Registered => "registered",
        ContactEvent::Created => "created",
        ContactEvent::Refreshed => "refreshed",
        ContactEvent::Shortened => "shortened",
        ContactEvent::Expired => "expired",
        ContactEvent::Deactivated => "deactivated",
        ContactEvent::Probation => "probation",
        ContactEvent::Unregistered => "unregistered",
        ContactEvent::Rejected => "rejected",
    }
}

/// Whether a contact had gone before a message, and by which 2xx; `None` where the trace never shows it bound.
fn gone_by<'r>(message: Message<'r>, contact: &str) -> Option<Option<Message<'r>>> {
    let mut holders: Vec<&str> = Vec::new();
    let mut gone = None;
    let mut seen = false;
    for attempt in message.registration().attempts() {
        let Some((end, sip)) = attempt.end().and_then(|end| Some((end, end.sip()?))) else { continue };
        // The registrar sends its 200 before the NOTIFY, whenever the UE gets it.
        let answers = attempt.latest().hops().filter_map(|hop| hop.last()).map(Message::index);
        if end.status().is_none_or(|status| status >= 300) || answers.min().is_none_or(|at| at > message.index()) {
            continue;
        }
        let impu = attempt.impu().unwrap_or_default();
        let is_bound = walk::contacts(sip).iter().any(|(uri, expiry)| same_address(uri, contact) && *expiry != Some(0));
        let held = holders.iter().position(|holder| same_identity(holder, impu));
        match (is_bound, held) {
            (true, None) => holders.push(impu),
            (false, Some(at)) => {
                holders.remove(at);
                gone = Some(end);
            }
            _ => {}
        }
        seen |= is_bound;
    }
    seen.then(|| gone.filter(|_| holders.is_empty()))
}

/// True for a contact that the UE registered before the NOTIFY.
fn is_of_ue(notify: Message<'_>, contact: &Contact<'_>) -> bool {
    let registers = walk::registers(notify.registration());
    let own = registers.iter().filter(|(register, _)| register.index() < notify.index());
    own.flat_map(|(_, sip)| walk::contacts(sip)).any(|(uri, _)| same_address(uri, &contact.uri))
}

/// True where an identity of the UE has ended, its contact by this event.
fn is_ended_by(notify: Message<'_>, aor: &crate::reginfo::Registration<'_>, event: ContactEvent) -> bool {
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
