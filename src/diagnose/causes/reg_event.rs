//! What the registration event package tells, and to whom (diagnoses 1.5; RFC 3680, RFC 6665, TS 24.229 clauses 5.1.1.3 and
//! 5.4.2.1).

use super::gm::answer_text;
use crate::diagnose::Cause;
use crate::diagnose::findings::EVERY_OTHER;
use crate::event::Role;
use crate::reginfo::{Contact, ContactState, Reginfo};
use crate::sip::{HeaderName, Method};
use crate::time::Duration;
use crate::trace::story::{Attempt, Message, Registration, Subscription};
use crate::validate::rules::reg_event::{implicit_set, sent, subscribes};
use crate::validate::rules::walk::{same_identity, seconds};

pub(super) const CAUSES: &[&Cause] =
    &[&NOTIFY_DIALOG, &NOTIFY_ZERO, &NOTIFY_AOR, &NOTIFY_STATE, &SUB_IMPU, &NOTIFY_DUP];

const NOTIFY_DIALOG: Cause = Cause {
    name: "DIAG-NOTIFY-DIALOG",
    clause: "RFC 3261 clause 12.2.1.1; RFC 6665 clause 4.2.2",
    meaning: "NOTIFY is no request of the dialog that SUBSCRIBE made: a strict handset refuses it and ends its registration.",
    action: "Let the notifier take From and To, with their tags, from the dialog; Contact of the watcher is the Request-URI \
             only.",
    behind: &[],
    find: |case, findings| {
        let Some(finding) = case.failed("EV-02").next() else { return };
        let messages: Vec<Message<'_>> = case.messages_of(finding).collect();
        let Some(notify) = messages.last().copied() else { return };
        let refusal = case.registration.messages().skip(notify.index()).find_map(|message| {
            let is_of_it = message.sip()?.call_id().ok()? == notify.sip()?.call_id().ok()?;
            (is_of_it && !message.is_request() && message.status()? >= 300).then_some(message)
        });
        let left = case.registration.attempts().filter(|attempt| attempt.is_deregistration()).find_map(|attempt| {
            let request = attempt.request().filter(|request| request.from() == Some(Role::Ue))?;
            let waited = request.since(notify).filter(|_| request.index() > notify.index())?;
            (waited <= SOON).then_some((request, waited))
        });
        let mut found = finding.found.clone();
        if let Some(refusal) = refusal {
            found.push_str(&format!(", answered with {}", answer_text(refusal)));
        }
        if let Some((_, waited)) = left {
            found.push_str(&format!(", and the UE leaves after {}", seconds(waited)));
        }
        let all = messages.into_iter().chain(refusal).chain(left.map(|(request, _)| request));
        findings.remark(all, finding.expected.as_str(), found);
    },
};

const NOTIFY_ZERO: Cause = Cause {
    name: "DIAG-NOTIFY-ZERO",
    clause: "RFC 3680 clause 5.2; TS 24.229 clause 5.4.2.1.2",
    meaning: "NOTIFY tells of a contact that is registered and has no time left: the UE takes its registration for ended.",
    action: "Let the registrar notify after it has stored the contact, with the event and the expiry that it granted.",
    behind: &[],
    find: |case, findings| {
        each_document(case.registration, |_, notify, document| {
            let contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
            let zero = contacts
                .into_iter()
                .find(|contact| contact.state == ContactState::Active && contact.expires == Some(0));
            let Some(zero) = zero.filter(|_| !findings.has("DIAG-NOTIFY-ZERO")) else { return };
            let granted = case.registration.granted_before(notify);
            let expected = granted.and_then(Attempt::granted).map_or_else(|| "time left".to_owned(), seconds);
            let messages = granted.and_then(Attempt::end).into_iter().chain([notify]);
            findings.remark(messages, format!("expires {expected}"), format!("expires 0 for {}", zero.uri));
        });
    },
};

const NOTIFY_AOR: Cause = Cause {
    name: "DIAG-NOTIFY-AOR",
    clause: "RFC 3680 clause 5.1; TS 24.229 clause 5.4.2.1.2",
    meaning: "NOTIFY tells of an identity that is none of the user's: a border controller or UE refuses it.",
    action: "Let the notifier write each public identity of the implicit set as aor.",
    behind: &[],
    find: |case, findings| {
        let was_changed =
            case.registration.from_hss().any(|exchange| exchange.command() == Some(crate::cx::Ppr::COMMAND));
        let set = implicit_set(case.registration);
        if set.is_empty() || was_changed {
            return;
        }
        each_document(case.registration, |_, notify, document| {
            let stranger = document
                .registrations
                .iter()
                .find(|aor| aor.wildcard.is_none() && !set.iter().any(|impu| same_identity(impu, &aor.aor)));
            let Some(stranger) = stranger.filter(|_| !findings.has("DIAG-NOTIFY-AOR")) else { return };
            let answer = notify.exchange().and_then(|exchange| exchange.last());
            let refusal = answer.filter(|answer| answer.status().is_some_and(|status| status >= 300));
            let refused =
                refusal.map(|refusal| format!(", answered with {}", answer_text(refusal))).unwrap_or_default();
            let found = format!("aor {}{refused}", stranger.aor);
            findings.remark([notify].into_iter().chain(refusal), set.join(", "), found);
        });
    },
};

const NOTIFY_STATE: Cause = Cause {
    name: "DIAG-NOTIFY-STATE",
    clause: "TS 24.229 clause 5.4.2.1.2; RFC 6665 clause 4.2.2",
    meaning: "The NOTIFY that tells of the end of everything leaves the subscription open: watchers stay.",
    action: "Let the registrar send Subscription-State: terminated with the last NOTIFY.",
    behind: &[],
    find: |case, findings| {
        if let Some(finding) = case.failed("EV-04").next() {
            let messages = case.messages_of(finding);
            let found = format!("Subscription-State: {}", finding.found);
            findings.remark(messages, finding.expected.as_str(), found);
        }
    },
};

const SUB_IMPU: Cause = Cause {
    name: "DIAG-SUB-IMPU",
    clause: "TS 24.229 clause 5.1.1.3; TS 34.229-1 clause 8.1, test purpose 9",
    meaning: "The UE subscribes with an identity that is barred: it is absent from P-Associated-URI.",
    action: "Let the UE subscribe with its default public identity, the first of P-Associated-URI.",
    behind: &[],
    find: |case, findings| {
        for (message, sip) in subscribes(case.registration) {
            let Some(granted) = case.registration.granted_before(message).and_then(Attempt::end) else { continue };
            let listed =
                granted.sip().and_then(|sip| sip.name_addrs(HeaderName::PAssociatedUri).ok()).unwrap_or_default();
            let asked = [sip.request_uri(), sip.from().ok().map(|from| from.uri.text)];
            let barred = asked
                .into_iter()
                .flatten()
                .find(|impu| !listed.is_empty() && !listed.iter().any(|address| same_identity(address.uri.text, impu)));
            let answer = message.exchange().and_then(|exchange| exchange.last());
            let refusal = answer.filter(|answer| answer.status().is_some_and(|status| (400..700).contains(&status)));
            let (Some(barred), Some(refusal)) = (barred, refusal) else { continue };
            let expected = listed.iter().map(|address| address.uri.text).collect::<Vec<_>>().join(" or ");
            let found = format!("{barred}, answered with {}", answer_text(refusal));
            findings.remark([granted, message, refusal], expected, found);
            return;
        }
    },
};

const NOTIFY_DUP: Cause = Cause {
    name: "DIAG-NOTIFY-DUP",
    clause: "RFC 3680 clause 4.7; TS 24.229 clause 5.4.2.1.2",
    meaning: "A watcher is told the same twice.",
    action: "Nothing has to be done; look whether the refresh of one subscription wakes all watchers.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let mut before: Option<(&str, Message<'_>, String)> = None;
        each_document(case.registration, |subscription, notify, document| {
            let says = said(document);
            if let Some((call, earlier, said)) = &before
                && *call == subscription.call_id()
                && *said == says
                && nothing_between(case.registration, *earlier, notify)
                && !findings.has("DIAG-NOTIFY-DUP")
            {
                findings.remark([*earlier, notify], "one NOTIFY for a change", "two that say the same");
            }
            before = Some((subscription.call_id(), notify, says));
        });
    },
};

/// Every document, subscription by subscription, in the order in which they were sent.
fn each_document<'r>(
    registration: &'r Registration<'r>,
    mut see: impl FnMut(Subscription<'r>, Message<'r>, &Reginfo<'r>),
) {
    for subscription in registration.subscriptions() {
        for (notify, _) in sent(subscription) {
            if let Some(document) = notify.reginfo(&mut Vec::new()) {
                see(subscription, notify, &document);
            }
        }
    }
}

/// What a document says, but for its number and the times.
fn said(document: &Reginfo<'_>) -> String {
    let contact = |contact: &Contact<'_>| format!("{} {:?} {:?}", contact.uri, contact.state, contact.event);
    let all = document.registrations.iter().map(|aor| {
        let contacts: Vec<String> = aor.contacts.iter().map(contact).collect();
        format!("{} {:?}: {}", aor.aor, aor.state, contacts.join(", "))
    });
    all.collect::<Vec<_>>().join("; ")
}

/// True where neither a SUBSCRIBE nor a REGISTER explains the later of two NOTIFYs.
fn nothing_between(registration: &Registration<'_>, earlier: Message<'_>, later: Message<'_>) -> bool {
    let mut between =
        registration.messages().filter(|message| message.index() > earlier.index() && message.index() < later.index());
    let is_soon = later.since(earlier).is_none_or(|time| time <= AT_ONCE);
    // An answer that was under way already explains nothing.
    let is_old = |message: Message<'_>| {
        let journey = message.exchange().map(|exchange| exchange.journey());
        let answered = journey.and_then(|journey| journey.hops().last()).and_then(|hop| hop.last());
        !message.is_request() && answered.is_some_and(|answer| answer.index() < earlier.index())
    };
    let explains = |message: Message<'_>| {
        let is_of_it = matches!(message.method(), Some(Method::Register | Method::Subscribe));
        is_of_it && !is_old(message) || message.sip().is_none()
    };
    is_soon && !between.any(explains)
}

/// Longer than timer F of a strict handset.
const SOON: Duration = Duration::from_secs(60);
const AT_ONCE: Duration = Duration::from_secs(10);
