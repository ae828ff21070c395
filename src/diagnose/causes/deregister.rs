//! The end of a registration (diagnoses 1.5; TS 24.229 clauses 5.1.1.6 and 5.1.1.7, RFC 3261 clause 10.2.2).

use super::gm::{answer_text, attempt_of};
use crate::diagnose::Cause;
use crate::diagnose::findings::EVERY_OTHER;
use crate::event::Role;
use crate::sip::Method;
use crate::sip::header::contact::Contacts;
use crate::time::Duration;
use crate::trace::story::{Attempt, Message, Outcome};
use crate::validate::rules::reg_event::subscribes;

pub(super) const CAUSES: &[&Cause] = &[&DEREG_STAR, &DEREG_IGNORED, &SUBDEREG];

const DEREG_STAR: Cause = Cause {
    name: "DIAG-DEREG-STAR",
    clause: "RFC 3261 clause 10.2.2; TS 24.229 clause 5.1.1.6",
    meaning: "The registrar refuses `Contact: *`.",
    action: "Let the registrar end every binding of the identity for `Contact: *` with Expires: 0.",
    behind: &[],
    find: |case, findings| {
        for attempt in case.registration.attempts().filter(|attempt| attempt.is_deregistration()) {
            let Outcome::Refused(status) = attempt.outcome() else { continue };
            let (Some(request), Some(end)) = (attempt.latest().request(), attempt.end()) else { continue };
            let sip =
                request.sip().filter(|sip| matches!(sip.contacts(), Ok(Contacts::Star)) && sip.expires() == Some(0));
            // Those have reasons of their own.
            if sip.is_none() || matches!(status, 300..=399 | 408 | 421 | 423 | 480 | 481 | 494 | 503 | 504) {
                continue;
            }
            let later = std::iter::successors(attempt.next(), |attempt| attempt.next());
            let named = later.filter(|later| later.outcome() == Outcome::Deregistered).find_map(|later| {
                let sip = later.latest().request()?.sip()?;
                matches!(sip.contacts(), Ok(Contacts::List(_))).then(|| later.end()).flatten()
            });
            let messages = [request, end].into_iter().chain(named);
            let found = findings.of(attempt, messages, "200 to Contact: *", answer_text(end));
            match (named, status) {
                (Some(_), _) | (None, 400 | 405 | 406 | 416 | 500 | 501) => found,
                _ => found.likely(),
            };
        }
    },
};

const DEREG_IGNORED: Cause = Cause {
    name: "DIAG-DEREG-IGNORED",
    clause: "TS 24.229 clause 5.1.1.7; TS 34.229-1 clause 11.1",
    meaning: "The network ended the registration, and the UE does not do what the NOTIFY told it.",
    action: "Let the UE read reginfo: after `rejected` it stays away, after `deactivated` it registers anew at once.",
    behind: &[],
    find: |case, findings| {
        for finding in case.failed("EV-06").filter(|finding| finding.expected != "200") {
            let messages: Vec<Message<'_>> = case.messages_of(finding).collect();
            let again = messages.last().copied().filter(|last| last.is(Method::Register));
            let (expected, found) = (finding.expected.as_str(), finding.found.as_str());
            match again.and_then(attempt_of) {
                Some(attempt) => findings.of(attempt, messages, expected, found),
                None => findings.remark(messages, expected, found),
            };
        }
    },
};

const SUBDEREG: Cause = Cause {
    name: "DIAG-SUBDEREG",
    clause: "TS 24.229 clauses 5.1.1.3 and 5.1.1.6; TS 34.229-1 annex C.30",
    meaning: "The UE ends its subscription beside its registration, before it or behind it. Either order is allowed.",
    action: "Nothing has to be done: a network must take both orders.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let leaving: Vec<Message<'_>> = case
            .registration
            .attempts()
            .filter(|attempt| attempt.is_deregistration())
            .filter_map(Attempt::request)
            .filter(|request| request.from() == Some(Role::Ue))
            .collect();
        let ends = subscribes(case.registration).into_iter().filter(|(_, sip)| sip.expires() == Some(0));
        for (subscribe, _) in ends {
            let beside = leaving.iter().find(|request| {
                let apart = subscribe.since(**request).into_iter().chain(request.since(subscribe)).min();
                apart.is_none_or(|apart| apart <= BESIDE)
            });
            let Some(request) = beside else { continue };
            let order = if subscribe.index() < request.index() { "before" } else { "after" };
            let answer = subscribe.exchange().and_then(|exchange| exchange.last());
            let answered = answer.map(|answer| format!(", {}", answer_text(answer))).unwrap_or_default();
            let found = format!("SUBSCRIBE with Expires: 0 {order} it{answered}");
            findings.remark([subscribe, *request].into_iter().chain(answer), "REGISTER with expiry 0", found);
            return;
        }
    },
};

/// 64*T1 towards a UE.
const BESIDE: Duration = Duration::from_secs(128);
