//! The answer to the offer, and the copies that prove that nobody changed it (diagnoses 1.3; RFC 3329 clause 2.3.1, TS 33.203
//! clauses 7.1 to 7.3).

use super::esp;
use super::gm::{self, answer_text, own_request, stopped, was_forwarded};
use super::offer::refused_copies;
use crate::diagnose::findings::EVERY_OTHER;
use crate::diagnose::{Case, Cause, Findings, Found};
use crate::sip::HeaderName;
use crate::trace::Mistake;
use crate::trace::story::{Attempt, Message, Outcome, Set};
use crate::validate::Finding;
use crate::validate::rules::element::{Element, Tuple, pairs};
use crate::validate::rules::walk::{self, answers_to_challenges};

pub(super) const CAUSES: &[&Cause] = &[&NOSERVER, &PICK, &VERIFY, &CLIENTCHG, &PREF, &NULLENC];

const NOSERVER: Cause = Cause {
    name: "DIAG-SEC-NOSERVER",
    clause: "TS 24.229 clause 5.2.2.2; TS 33.203 clause 7.2",
    meaning: "The UE offered a security agreement, and the 401 has no Security-Server: there are no SAs to answer over.",
    action: "Look at the P-CSCF: whether IPsec is on, whether it has ports and SPIs left, whether old SAs or policies stop it \
             from installing new ones.",
    behind: &["DIAG-ALG-DOWN"],
    find: |case, findings| {
        for attempt in case.registration.attempts() {
            for journey in attempt.journeys() {
                let Some(request) = journey.request().filter(|r| r.from() == Some(crate::event::Role::Ue)) else {
                    continue;
                };
                let Some(sip) = request.sip().filter(|_| !request.record().cut) else { continue };
                let Some((challenge, answer)) = walk::challenge_of(request) else { continue };
                let offered = gm::complete(sip);
                let served = Element::ipsec(answer, HeaderName::SecurityServer);
                if !offered.is_empty() && served.is_empty() && !challenge.record().cut {
                    let expected = format!("Security-Server for {}", pairs(&offered));
                    findings.of(attempt, [request, challenge], expected, "none in the 401");
                    break;
                }
            }
        }
    },
};

const PICK: Cause = Cause {
    name: "DIAG-SEC-PICK",
    clause: "TS 33.203 clause 7.2; RFC 3329 clause 2.3.1",
    meaning: "The two ends did not choose one pair of algorithms that was offered as a pair.",
    action: "Compare the pairs of both lists as wholes (alg, ealg, prot, mod): repair the end that mixes two elements or takes \
             none of them.",
    behind: &[],
    find: |case, findings| {
        for set in case.registration.sets() {
            let Some(attempt) = set.attempt() else { continue };
            let (offered, served) = lists(set);
            if offered.is_empty() || served.is_empty() {
                continue;
            }
            let messages = set.offer().into_iter().chain([set.challenge()]);
            if walk::best_of(set).is_none() {
                let found = mixed(&offered, &served).unwrap_or_else(|| pairs(&served));
                findings.of(attempt, messages, format!("one of {}", pairs(&offered)), found);
                continue;
            }
            if let Some(mistake @ Mistake::OtherPair(_)) = esp::mistake_of(set) {
                let agreed = walk::best_of(set).map(|tuple| tuple.to_string()).unwrap_or_default();
                stopped(case, findings, attempt, messages, format!("ESP under {agreed}"), mistake.to_string());
                continue;
            }
            let other = case.failed("SA-40").find(|finding| finding.messages.contains(&set.challenge().number));
            let Some(finding) = other else { continue };
            let used = case.messages_of(finding);
            findings.of(attempt, messages.chain(used), finding.expected.as_str(), finding.found.as_str());
        }
    },
};

/// Notes a REGISTER whose copy differs; with it the answer that it got.
fn copy_differs<'r, 'f>(
    case: &Case<'r>,
    findings: &'f mut Findings<'_>,
    finding: &Finding,
) -> Option<(&'f mut Found, Option<Message<'r>>)> {
    let messages: Vec<Message<'_>> = case.messages_of(finding).collect();
    let register = *messages.last()?;
    let attempt = gm::attempt_of(register)?;
    let end = register.exchange().and_then(|exchange| exchange.last());
    let (expected, text) = (finding.expected.as_str(), finding.found.as_str());
    Some((stopped(case, findings, attempt, messages.into_iter().chain(end), expected, text), end))
}

const VERIFY: Cause = Cause {
    name: "DIAG-SEC-VERIFY",
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.1.1.5.1; TS 33.203 clause 7.2",
    meaning: "Security-Verify is no copy of Security-Server, or was taken for none.",
    action: "Let the UE repeat every element of Security-Server, in its order, with every parameter and its value.",
    behind: &["DIAG-SEC-DEFAULTS"],
    find: |case, findings| {
        for finding in case.failed("SA-42").chain(case.failed("SL-02")) {
            let Some((found, end)) = copy_differs(case, findings, finding) else { continue };
            match end {
                Some(end) if speaks_of_the_agreement(end) => found,
                Some(end) if matches!(end.status(), Some(200..=299)) => {
                    found.action("Let the P-CSCF compare Security-Verify with what it served, and refuse what differs.")
                }
                _ => found.likely(),
            };
        }
        for (attempt, server, register, end) in refused_copies(case) {
            findings
                .of(attempt, [server, register, end], "no refusal of lists that say the same", answer_text(end))
                .action(
                    "Let the P-CSCF compare parameter by parameter: their order, the spelling of numbers and case mean \
                         nothing.",
                );
        }
        let Some((attempt, by, 400 | 403 | 494)) = case.refusal() else { return };
        if let Some((wanted, got)) = spelling(attempt).filter(|_| !findings.has("DIAG-SEC-VERIFY")) {
            let forwarded = was_forwarded(attempt.latest());
            let messages = attempt.latest().request().into_iter().chain([by]);
            let found = stopped(case, findings, attempt, messages, wanted, got);
            found.action("Security-Verify says what Security-Server said in other words: look whether the P-CSCF compares octets.");
            if forwarded == Some(false) {
                found.likely()
            } else {
                found.possible()
            };
        }
    },
};

const CLIENTCHG: Cause = Cause {
    name: "DIAG-SEC-CLIENTCHG",
    clause: "TS 33.203 clause 7.2; TS 24.229 clause 5.1.1.5.1",
    meaning: "The REGISTER that answers the challenge has another Security-Client than the one that was challenged.",
    action: "Let the UE repeat Security-Client as it was offered: new SPIs and ports are for the next REGISTER.",
    behind: &[],
    find: |case, findings| {
        for finding in case.failed("SA-43") {
            let Some((found, end)) = copy_differs(case, findings, finding) else { continue };
            if !end.is_some_and(|end| speaks_of_the_agreement(end) || matches!(end.status(), Some(200..=299))) {
                found.likely();
            }
        }
    },
};

const PREF: Cause = Cause {
    name: "DIAG-SEC-PREF",
    clause: "TS 33.203 clause 7.2",
    meaning: "Nothing is encrypted, although the UE offered encryption.",
    action: "Put the pairs with aes-cbc before those with null in the list of the P-CSCF, for each integrity algorithm.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let Some((set, tuple, offered)) = unencrypted(case.registration) else { return };
        let stronger: Vec<Tuple> = offered.into_iter().filter(|tuple| tuple.ealg() != "null").collect();
        if let Some(first) = stronger.first() {
            let messages = set.offer().into_iter().chain([set.challenge()]);
            findings.remark(messages, first.to_string(), tuple.to_string());
        }
    },
};

const NULLENC: Cause = Cause {
    name: "DIAG-NULLENC",
    clause: "TS 33.203 clause 7.2",
    meaning: "Nothing is encrypted: the UE offered null only.",
    action: "Let the UE offer aes-cbc where signalling is to be private. This trace can be read without keys.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let Some((set, tuple, offered)) = unencrypted(case.registration) else { return };
        if offered.iter().all(|tuple| tuple.ealg() == "null") {
            let messages = set.offer().into_iter().chain([set.challenge()]);
            findings.remark(messages, "a pair with aes-cbc", tuple.to_string());
        }
    },
};

/// The elements of both sides of a set.
fn lists(set: Set<'_>) -> (Vec<Element<'_>>, Vec<Element<'_>>) {
    let offered = set.offer().and_then(Message::sip).map(|sip| Element::ipsec(sip, HeaderName::SecurityClient));
    let served = set.challenge().sip().map(|sip| Element::ipsec(sip, HeaderName::SecurityServer));
    (offered.unwrap_or_default(), served.unwrap_or_default())
}

/// A pair whose halves were offered, in two elements.
fn mixed(offered: &[Element<'_>], served: &[Element<'_>]) -> Option<String> {
    let offered = gm::tuples(offered);
    let is_mixed = |tuple: &Tuple| {
        offered.iter().any(|other| other.alg() == tuple.alg())
            && offered.iter().any(|other| other.ealg() == tuple.ealg())
    };
    let tuple = gm::tuples(served).into_iter().find(is_mixed)?;
    Some(format!("{tuple}: both were offered, and not as a pair"))
}

/// 494, or another answer with the list of the P-CSCF.
fn speaks_of_the_agreement(end: Message<'_>) -> bool {
    let has_list = end.sip().is_some_and(|sip| sip.header(HeaderName::SecurityServer).is_some());
    end.status() == Some(494) || has_list && end.status() != Some(401)
}

/// Security-Server and Security-Verify of the last REGISTER of an attempt, where they say the same in other octets.
fn spelling(attempt: Attempt<'_>) -> Option<(&str, &str)> {
    let request = attempt.latest().request()?;
    let answer = answers_to_challenges(request.registration()).into_iter().find(|answer| answer.register == request)?;
    let (_, server) = answer.security_server()?;
    let verify = Element::all(request.sip()?, HeaderName::SecurityVerify);
    let other = server.iter().zip(&verify).find(|(a, b)| a.text != b.text && a.says_the_same(b))?;
    Some((other.0.text, other.1.text))
}

/// The last set of a UE that was registered over it, where it encrypts nothing: with its pair, and all that was offered.
fn unencrypted<'r>(registration: &'r crate::trace::story::Registration<'r>) -> Option<(Set<'r>, Tuple, Vec<Tuple>)> {
    let set = registration.sets().rev().find(|set| {
        set.established().is_some() && set.attempt().is_some_and(|attempt| attempt.outcome() == Outcome::Registered)
    })?;
    let tuple = walk::best_of(set).filter(|tuple| tuple.ealg() == "null")?;
    let (_, sip) = own_request(set.attempt()?)?;
    let offered = gm::tuples(&gm::complete(sip));
    (!offered.is_empty()).then_some((set, tuple, offered))
}
