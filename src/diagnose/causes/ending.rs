//! What is said when no narrower name fits, or behind it.

use super::answer::code;
use super::gm::answer_text;
use super::response::RES;
use super::timing::is_of_ims;
use crate::cx::CxResult;
use crate::diagnose::findings::EVERY_OTHER;
use crate::diagnose::{Case, Cause, How};
use crate::diameter::dictionary;
use crate::event::Role;
use crate::trace::story::{Exchange, LostPacket, Message};
use crate::trace::{Ends, Loss};
use crate::validate::Severity;

pub(super) const CAUSES: &[&Cause] = &[&RES, &AKA_SILENT, &OTHER];

const AKA_SILENT: Cause = Cause {
    name: "DIAG-AKA-SILENT",
    clause: "TS 24.229 clauses 5.1.1.5.1 and 5.2.2.2",
    meaning: "The UE was challenged, and nothing of it followed: no REGISTER, and no ESP on the SPIs that were agreed.",
    action: "Read the log of the modem for its reason: a MAC that it refused, SAs that it could not make. Then look whether \
             the 401 reaches it, and whether port-s of the P-CSCF answers it over UDP and TCP.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let Some((attempt, challenge)) = case.silence().filter(|_| is_of_ims(case.registration)) else { return };
        let broken = rules_broken_by(case, challenge);
        let repeated = attempt.latest().first().requests().find(|request| request.index() > challenge.index());
        let found = match challenge.to() {
            Some(Role::Ue) | None if repeated.is_some() => {
                "the UE repeats its REGISTER: the 401 does not reach it".to_owned()
            }
            Some(role @ (Role::Pcscf | Role::Icscf | Role::Scscf)) => {
                format!("silence; the 401 stops at the {}", name_of(role))
            }
            _ if broken.is_empty() => "silence; the 401 breaks no rule that the trace can show".to_owned(),
            _ => format!("silence; the 401 breaks {broken}"),
        };
        let messages = attempt.request().into_iter().chain([challenge]).chain(repeated);
        findings.cause(messages, "an answer to the challenge", found).likely();
    },
};

const OTHER: Cause = Cause {
    name: "DIAG-OTHER",
    clause: "TS 24.229 clause 5.1.1.2.1",
    meaning: "The registration failed, and no name of the catalogue fits.",
    action: "Read the answer and its Reason or Warning header, and repair what breaks the rules named here.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let Some(failure) = case.failure().filter(|_| !findings.is_explained()) else { return };
        let (message, how) = match failure.how {
            How::Refused(by) => (by, answer_text(by)),
            How::Silent(challenge) => (challenge, "a challenge without an answer".to_owned()),
            How::Unheard(challenge) => (challenge, "ESP of the UE that stays shut, and nothing back".to_owned()),
            How::Unanswered(request) => (request, no_answer(request)),
        };
        let broken: Vec<&str> = errors(case).map(|finding| finding.rule.id).collect();
        let found = if broken.is_empty() {
            format!("{how}; no rule of severity error fails")
        } else {
            format!("{how}; rules that fail: {}", listed(broken))
        };
        let hss: Vec<Exchange<'_>> = failure.attempt.latest().diameter().filter(|cx| !is_granted(*cx)).collect();
        let said: String = hss.iter().map(|exchange| format!("; {}", diameter_text(*exchange))).collect();
        let messages = failure.attempt.request().into_iter().chain([message]);
        let messages = messages.chain(hss.iter().flat_map(|exchange| exchange.messages()));
        findings.cause(messages, "200", format!("{found}{said}")).possible();
    },
};

/// Why there is no answer, where ICMP tells it.
fn no_answer(request: Message<'_>) -> String {
    let is_way = |lost: &&LostPacket| {
        let is_it = |ends: Ends| {
            (ends.from.ip(), ends.to.ip()) == (lost.lost.from, lost.lost.to)
                && lost.lost.ports.is_none_or(|ports| ports == (ends.from.port(), ends.to.port()))
        };
        lost.lost.why == Loss::Unreachable && request.record().ends.is_some_and(is_it)
    };
    match request.registration().lost().iter().find(is_way) {
        Some(lost) => format!("no answer: ICMP tells that nobody takes it at {} ({})", lost.lost.to, lost.place),
        None => "no answer".to_owned(),
    }
}

fn errors<'c>(case: &'c Case<'_>) -> impl Iterator<Item = &'c crate::validate::Finding> {
    case.failures().filter(|finding| finding.rule.severity == Severity::Error)
}

fn rules_broken_by(case: &Case<'_>, message: Message<'_>) -> String {
    let of_it = case.failures().filter(|finding| finding.messages.contains(&message.number));
    listed(of_it.map(|finding| finding.rule.id).collect())
}

fn is_granted(exchange: Exchange<'_>) -> bool {
    exchange.last().and_then(code).is_some_and(CxResult::is_success)
}

/// `UAR: Result-Code 5012`.
fn diameter_text(exchange: Exchange<'_>) -> String {
    let command = exchange.command().unwrap_or_default();
    let name = dictionary::command_names(command).map_or("a Diameter request", |(request, _)| request);
    match exchange.last().and_then(code) {
        Some(code) => format!("{name}: {code}"),
        None => format!("{name}: no answer"),
    }
}

const fn name_of(role: Role) -> &'static str {
    match role {
        Role::Pcscf => "P-CSCF",
        Role::Icscf => "I-CSCF",
        _ => "S-CSCF",
    }
}

/// Each once.
fn listed(mut ids: Vec<&str>) -> String {
    ids.dedup();
    ids.join(", ")
}
