//! The registration event package: what its watchers are told (RFC 3680, RFC 6665, TS 24.229 clause 5.4.2.1).

use super::bindings::Bindings;
use super::walk::{self, Read, same_address, same_identity};
use super::watcher::{EV_01, EV_06, EV_07, EV_08, nothing_told};
use crate::cx::Ppr;
use crate::event::Role;
use crate::reginfo::{Contact, ContactEvent, ContactState, DocumentState, RegistrationState};
use crate::sip::{HeaderName, Method};
use crate::trace::story::{Attempt, Message, Outcome, Registration, Subscription};
use crate::validate::{Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[&EV_01, &EV_02, &EV_03, &EV_04, &EV_05, &EV_06, &EV_07, &EV_08];

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
            let subscribes: Vec<Message<'_>> =
                subscription.subscribes().filter_map(|journey| journey.request()).collect();
            for (notify, sip) in sent(subscription) {
                let asked = subscribes.iter().rfind(|request| request.index() < notify.index()).copied();
                let Some((asked, subscribe)) = asked.and_then(|asked| Some((asked, asked.sip()?))) else {
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
                let (document, faults): (_, &[_]) = match notify.document() {
                    Some(document) => (document.reginfo.as_ref(), &document.faults),
                    None => (None, &[]),
                };
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
                let Some(document) = walk::reginfo(notify) else { continue };
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
    text: "A contact that was replaced or de-registered is not told as active: nor are two contacts of one instance, unless \
           reg-id tells them apart or one is for emergency calls.",
    why: "The UE takes itself for registered at an address that it gave up, and calls are sent there.",
    right: "the contact of the last 200 active, the one before terminated",
    wrong: "both active",
    judge: |registration, _, j| {
        let mut bindings = Bindings::new(registration);
        for subscription in registration.subscriptions() {
            for (notify, _) in sent(subscription) {
                let Some(document) = walk::reginfo(notify) else { continue };
                if let Some((one, other)) = document.registrations.iter().find_map(|aor| twins(&aor.contacts)) {
                    let found = format!("{} and {}", one.uri, other.uri);
                    j.wrong([notify], "one active contact of an instance", found);
                }
                let contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
                for contact in contacts.filter(|contact| contact.state == ContactState::Active) {
                    match bindings.gone_by(notify, &contact.uri) {
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

/// SUBSCRIBEs of the UE to its registration, retransmissions left out, in order.
pub(crate) fn subscribes<'r>(registration: &'r Registration<'r>) -> Vec<Read<'r>> {
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
pub(crate) fn sent<'r>(subscription: Subscription<'r>) -> Vec<Read<'r>> {
    let mut all: Vec<Read<'r>> = subscription
        .notifies()
        .filter_map(|journey| journey.request())
        .filter_map(|message| Some((message, message.sip()?)))
        .collect();
    all.sort_by_key(|(message, _)| (message.at(), message.index()));
    all
}

/// The NOTIFYs that the UE gets, retransmissions left out.
pub(crate) fn told_to_ue<'r>(registration: &'r Registration<'r>) -> impl Iterator<Item = Message<'r>> {
    registration
        .messages()
        .filter(|message| message.is(Method::Notify) && message.to() == Some(Role::Ue) && message.repeats().is_none())
        .filter(|message| walk::reginfo(*message).is_some())
}

/// Every identity that a 200 lists.
pub(crate) fn implicit_set<'r>(registration: &'r Registration<'r>) -> Vec<&'r str> {
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
pub(crate) fn gone_by<'r>(message: Message<'r>, contact: &str) -> Option<Option<Message<'r>>> {
    Bindings::new(message.registration()).gone_by(message, contact)
}

/// Two active contacts of an identity of which one must have replaced the other: the instance is the same (RFC 5626 clause
/// 6, TS 24.229 clause 5.4.1.2.2), and they are neither flows of it nor for emergency calls.
fn twins<'d, 'a>(contacts: &'d [Contact<'a>]) -> Option<(&'d Contact<'a>, &'d Contact<'a>)> {
    fn param<'d>(contact: &'d Contact<'_>, name: &str) -> Option<&'d str> {
        let mut params = contact.params.iter();
        params.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
    let is_sos = |contact: &Contact<'_>| contact.uri.to_ascii_lowercase().contains(";sos");
    let active = || contacts.iter().filter(|contact| contact.state == ContactState::Active && !is_sos(contact));
    active().enumerate().find_map(|(at, one)| {
        let instance = param(one, "+sip.instance")?;
        let is_same = |other: &&Contact<'_>| {
            param(other, "+sip.instance").is_some_and(|of| of.eq_ignore_ascii_case(instance))
                && param(other, "reg-id") == param(one, "reg-id")
                && !same_address(&one.uri, &other.uri)
        };
        active().skip(at + 1).find(is_same).map(|other| (one, other))
    })
}
