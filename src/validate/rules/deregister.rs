//! The end of a registration, by the UE and by the network (TS 24.229 clauses 5.1.1.6, 5.1.1.7, 5.2.5, 5.4.1.4 and 5.4.1.5,
//! TS 29.228 clause 6.1.3).

use super::reg_event::{name_of, sent};
use super::walk::{self, same_address, same_identity, seconds, shown_after, succeeded_before};
use crate::cx::{ReasonCode, Rta, Rtr, Sar, ServerAssignmentType};
use crate::event::Role;
use crate::reginfo::{ContactEvent, ContactState};
use crate::sip::HeaderName;
use crate::sip::header::contact::Contacts;
use crate::time::Duration;
use crate::trace::story::{Attempt, Interface, Message, Outcome, Registration};
use crate::validate::{Judgement, Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[&DR_01, &DR_02, &DR_03, &DR_04];

const DR_01: Rule = Rule {
    id: "DR-01",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.6; RFC 3261 clause 10.2.2",
    text: "A UE ends its registration with expiry 0 for the contact that it bound, over its SAs and with Security-Verify. \
           `Contact: *` stands alone and with Expires: 0.",
    why: "The network ends nothing, or something else, and the identity stays bound to an address where nobody is.",
    right: "Contact: <sip:u@10.0.0.7:31001>;expires=0\nSecurity-Verify: ..",
    wrong: "Contact: *\nExpires: 3600",
    judge: |registration, context, j| {
        for (register, sip) in walk::registers(registration) {
            if sip.header(HeaderName::Contact).is_some_and(|contact| contact.trim() == "*") && sip.expires() != Some(0)
            {
                let found =
                    sip.expires().map_or_else(|| "no Expires".to_owned(), |expires| format!("Expires: {expires}"));
                j.wrong([register], "Expires: 0 with Contact: *", found);
            }
        }
        for attempt in registration.attempts().filter(|attempt| attempt.is_deregistration()) {
            let request = attempt.request().filter(|request| request.from() == Some(Role::Ue));
            let Some((request, sip)) = request.and_then(|request| Some((request, request.sip()?))) else {
                j.unseen("the REGISTER that ends the registration is not in the trace");
                continue;
            };
            // The latest first: it nearly always has them.
            let bound = || {
                let before = succeeded_before(request).rev();
                let registers = before.filter_map(|(attempt, _)| attempt.latest().request()?.sip());
                registers.flat_map(|sip| walk::contacts(sip).into_iter().rev()).map(|(uri, _)| uri)
            };
            let last = bound().next();
            let stranger = match sip.contacts() {
                Ok(Contacts::List(_)) if last.is_some() => walk::contacts(sip)
                    .into_iter()
                    .find(|(uri, _)| !bound().any(|bound| same_address(bound, uri)))
                    .map(|(uri, _)| uri),
                _ => None,
            };
            let has_sas =
                registration.sets().any(|set| set.established().is_some_and(|end| end.index() < request.index()));
            let is_protected = walk::is_protected(request, context);
            if let Some(stranger) = stranger {
                j.wrong([request], last.unwrap_or_default(), stranger);
            } else if has_sas && is_protected == Some(false) {
                j.wrong([request], "a REGISTER over the SAs", "in clear");
            } else if has_sas && sip.header(HeaderName::SecurityVerify).is_none() {
                j.wrong([request], "Security-Verify", "none");
            } else if last.is_none() || has_sas && is_protected.is_none() {
                j.unseen("the trace does not show what was bound, or what protected the REGISTER");
            } else {
                j.right(request);
            }
        }
        walk::unseen_where_shut(registration, j);
    },
};

const DR_02: Rule = Rule {
    id: "DR-02",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clauses 5.1.1.6.2 and 5.2.5.1; TS 33.203 clause 7.4",
    text: "When the last registration over a set of SAs has ended, both ends delete it after the transactions of the REGISTER \
           and of the NOTIFY: 64*T1 (128 s) after the 200 nothing is taken over it any more.",
    why: "SAs that stay fill the tables of the P-CSCF, and keep ports from others.",
    right: "200, NOTIFY, 200, then nothing over the SAs",
    wrong: "SUBSCRIBE over the SAs 10 minutes after the 200, and its answer",
    judge: |registration, _, j| {
        let oldest = oldest_sets(registration);
        for attempt in registration.attempts().filter(|attempt| ends_everything(registration, *attempt)) {
            let Some(end) = attempt.end() else { continue };
            // Sets stand in the order of their challenges.
            let sets = registration.sets().take_while(|set| set.challenge().index() < end.index()).count();
            if sets == 0 {
                continue;
            }
            let over = |message: &Message<'_>| message.carried().sa().is_some_and(|sa| sa.set < sets);
            let is_late = |message: &Message<'_>| message.since(end).is_some_and(|time| time > LINGER);
            // Where no older set is used at all any more, nothing is late.
            let answers = registration.after(end).take_while(|message| oldest[message.index()] < sets);
            let late = answers.filter(|m| over(m) && !m.is_request()).find(is_late);
            if let Some(late) = late {
                let found = late.since(end).map(seconds).unwrap_or_default();
                j.wrong([end, late], "nothing over the SAs after 128 s", format!("an answer after {found}"));
            } else if walk::is_shut(registration) {
                j.unseen("ESP of the UE stays shut");
            } else if shown_after(end).is_some_and(|time| time > LINGER) {
                j.right(end);
            } else {
                j.unseen("the trace ends before the SAs must have");
            }
        }
    },
};

const DR_03: Rule = Rule {
    id: "DR-03",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clauses 5.1.1.6.2 and 5.1.1.5.1",
    text: "A challenge to the REGISTER that ends the registration is answered like any other.",
    why: "The registration stays until it expires.",
    right: "REGISTER (expires 0), 401, REGISTER (expires 0) with a response, 200",
    wrong: "REGISTER (expires 0), 401, nothing",
    judge: |registration, _, j| {
        for attempt in registration.attempts().filter(|attempt| attempt.is_deregistration()) {
            let journeys: Vec<_> = attempt.journeys().collect();
            for (index, journey) in journeys.iter().enumerate() {
                let challenge = journey.hops().find_map(|hop| hop.answered(401)).filter(|c| c.to() == Some(Role::Ue));
                let Some(challenge) = challenge else { continue };
                match journeys.get(index + 1).and_then(|next| next.request()) {
                    Some(answer) => j.right(answer),
                    None if !walk::is_shut(registration)
                        && shown_after(challenge).is_some_and(|time| time > LINGER) =>
                    {
                        j.wrong([challenge], "a REGISTER with a response", "none");
                    }
                    None => j.unseen("the trace does not show what the UE did after the challenge"),
                }
            }
        }
    },
};

const DR_04: Rule = Rule {
    id: "DR-04",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 29.228 clause 6.1.3; TS 24.229 clause 5.4.1.5",
    text: "The S-CSCF answers a Registration-Termination-Request, tells the watchers what its reason means \
           (PERMANENT_TERMINATION: rejected, SERVER_CHANGE: deactivated, the others: nothing), and sends no \
           Server-Assignment-Request for it.",
    why: "With another event the UE comes back when it must not, or stays away when it should come; an SAR undoes what the HSS \
          has just done.",
    right: "RTR PERMANENT_TERMINATION, RTA, NOTIFY with rejected",
    wrong: "RTR NEW_SERVER_ASSIGNED, RTA, NOTIFY with deactivated",
    judge: |registration, _, j| {
        for exchange in registration.from_hss().filter(|exchange| exchange.command() == Some(Rtr::COMMAND)) {
            let Some(request) = exchange.request() else { continue };
            let Ok(rtr) = Rtr::decode(&request.record().bytes) else {
                j.unseen("the RTR cannot be read");
                continue;
            };
            let Some(answer) = exchange.last() else {
                if shown_after(request).is_some_and(|time| time > PATIENCE) {
                    j.wrong([request], "RTA", "none");
                } else {
                    j.unseen("the trace ends before the RTA");
                }
                continue;
            };
            if let Some(sar) = deregistering_sar(registration, request) {
                j.wrong([request, sar], "no SAR", "an SAR that de-registers");
            }
            let is_done = Rta::decode(&answer.record().bytes).is_ok_and(|rta| rta.result.is_success());
            if !is_done {
                j.right(answer);
                continue;
            }
            let wanted = match rtr.reason {
                ReasonCode::PermanentTermination => Some(ContactEvent::Rejected),
                ReasonCode::ServerChange => Some(ContactEvent::Deactivated),
                ReasonCode::NewServerAssigned | ReasonCode::RemoveScscf => None,
            };
            judge_notifies(registration, request, answer, wanted, j);
        }
    },
};

/// For each message the oldest set that an answer from there on went over.
fn oldest_sets(registration: &Registration<'_>) -> Vec<usize> {
    let mut oldest = usize::MAX;
    let answered = |message: Message<'_>| message.carried().sa().filter(|_| !message.is_request()).map(|sa| sa.set);
    let mut all: Vec<usize> = registration
        .messages()
        .rev()
        .map(|message| {
            oldest = answered(message).map_or(oldest, |set| set.min(oldest));
            oldest
        })
        .collect();
    all.reverse();
    all
}

/// What the watchers that were there when the RTR came are told.
fn judge_notifies(
    registration: &Registration<'_>,
    request: Message<'_>,
    answer: Message<'_>,
    wanted: Option<ContactEvent>,
    j: &mut Judgement,
) {
    let next = next_register(registration, request);
    let mut watched = false;
    for subscription in registration.subscriptions() {
        let notifies = sent(subscription);
        let (before, after): (Vec<_>, Vec<_>) =
            notifies.into_iter().partition(|(notify, _)| notify.index() < request.index());
        let is_over = |notify: Message<'_>| {
            notify.subscription_state().is_some_and(|state| state.state.eq_ignore_ascii_case("terminated"))
        };
        if before.last().is_none_or(|(last, _)| is_over(*last)) {
            continue;
        }
        watched = true;
        let ended =
            after.into_iter().map(|(notify, _)| notify).take_while(|notify| notify.index() < next).find_map(|notify| {
                let document = walk::reginfo(notify)?;
                let mut contacts = document.registrations.iter().flat_map(|aor| &aor.contacts);
                let ended =
                    contacts.find(|contact| contact.state == ContactState::Terminated).map(|contact| contact.event);
                Some((notify, ended?))
            });
        match (wanted, ended) {
            (Some(wanted), Some((notify, found))) if wanted == found => j.right(notify),
            (Some(wanted), Some((notify, found))) => j.wrong([request, notify], name_of(wanted), name_of(found)),
            (Some(wanted), None)
                if shown_after(answer).is_some_and(|time| time > PATIENCE) && !walk::is_shut(registration) =>
            {
                j.wrong([request], format!("NOTIFY with {}", name_of(wanted)), "none");
            }
            (Some(_), None) => j.unseen("the NOTIFY is not in the trace"),
            (None, Some((notify, found @ (ContactEvent::Rejected | ContactEvent::Deactivated)))) => {
                j.wrong([request, notify], "no NOTIFY of the end", name_of(found));
            }
            (None, _) => j.right(answer),
        }
    }
    match (watched, wanted) {
        (false, Some(_)) => j.unseen("the trace shows no subscription that would be told"),
        (false, None) => j.right(answer),
        (true, _) => {}
    }
}

/// The place of the first REGISTER after a message.
fn next_register(registration: &Registration<'_>, message: Message<'_>) -> usize {
    let requests = registration.attempts().filter_map(Attempt::request).map(Message::index);
    requests.filter(|at| *at > message.index()).min().unwrap_or(usize::MAX)
}

/// An SAR that ends what the RTR had ended.
fn deregistering_sar<'r>(registration: &'r Registration<'r>, rtr: Message<'r>) -> Option<Message<'r>> {
    use ServerAssignmentType as T;
    let next = next_register(registration, rtr);
    let after = registration.on(Interface::Cx).filter(|exchange| exchange.command() == Some(Sar::COMMAND));
    after
        .filter_map(|exchange| exchange.request())
        .filter(|request| (rtr.index()..next).contains(&request.index()))
        .find(|request| {
            let types = [
                T::TimeoutDeregistration,
                T::UserDeregistration,
                T::TimeoutDeregistrationStoreServerName,
                T::UserDeregistrationStoreServerName,
                T::AdministrativeDeregistration,
            ];
            Sar::decode(&request.record().bytes).is_ok_and(|sar| types.contains(&sar.assignment))
        })
}

/// True for a de-registration after which no identity is registered.
pub(super) fn ends_everything<'r>(registration: &'r Registration<'r>, attempt: Attempt<'r>) -> bool {
    let Some(end) = attempt.end().filter(|_| attempt.outcome() == Outcome::Deregistered) else { return false };
    let own = attempt.impu().unwrap_or_default();
    let others: Vec<&str> = registration.impus().into_iter().filter(|impu| !same_identity(impu, own)).collect();
    if others.is_empty() {
        return true;
    }
    // Its implicit set went with it.
    let with_it: Vec<&str> = succeeded_before(end)
        .filter(|(earlier, _)| earlier.impu().is_some_and(|impu| same_identity(impu, own)))
        .filter_map(|(_, (_, sip))| sip.name_addrs(HeaderName::PAssociatedUri).ok())
        .flatten()
        .map(|address| address.uri.text)
        .collect();
    others.into_iter().all(|impu| {
        let gone = with_it.iter().any(|other| same_identity(impu, other));
        let last = succeeded_before(end).rfind(|(a, _)| a.impu().is_some_and(|other| same_identity(other, impu)));
        gone || last.is_none_or(|(last, _)| last.is_deregistration())
    })
}

/// 64*T1 towards a UE (TS 24.229 table 7.7.1).
const LINGER: Duration = Duration::from_secs(128);
/// Longer than a Diameter node waits for an answer, and an S-CSCF until it tells what has changed.
const PATIENCE: Duration = Duration::from_secs(30);
