//! Responses that were refused: what they were computed over, and what became of them (diagnoses 1.1).

use super::gm::answer_text;
use super::routing::is_about_qos;
use super::turn::{Said, Turn, is_forged};
use crate::aka::trial::{Assumption, Fit};
use crate::diagnose::{Case, Cause};
use crate::trace::story::{Attempt, Carried, Message, Outcome};
use crate::validate::rules::credentials::{decode, digest_of, rand_autn};
use crate::validate::rules::walk::{is_aka, is_protected};
use crate::validate::{Finding, Severity};

pub(super) const CAUSES: &[&Cause] = &[&RES_BINARY, &AKA_VARIANT, &NONCE_REUSE, &IP_MARK];

const RES_BINARY: Cause = Cause {
    name: "DIAG-RES-BINARY",
    clause: "RFC 3310 clause 3.3",
    meaning: "RES holds an octet of zero, and somebody takes it for the end of a text: the registration fails for some RANDs only.",
    action: "Make who computes the response take RES as octets of a known length, not as a text that ends at 00.",
    behind: &[],
    find: |case, findings| {
        for judged in Judged::all(case) {
            let Judged { attempt, turn, fit, refused } = &judged;
            let octets = turn.res(case).map(|res| res.as_slice().to_vec()).unwrap_or_default();
            let Some(at) = octets.iter().position(|octet| *octet == 0) else { continue };
            let length = octets.len();
            match fit {
                Some(fit) if fit.assumptions.contains(&Assumption::ResCut) => {
                    let expected = format!("the response of all {length} octets of RES");
                    findings.of(*attempt, turn.messages(), expected, format!("that of the first {at}: {fit}"));
                }
                Some(fit) if fit.is_as_given() && *refused && !judged.is_marked(case) => {
                    let found = format!("a refusal of the right response; octet {} of RES is 00", at + 1);
                    findings.of(*attempt, turn.messages(), "200 to the right response", found).likely().action(
                        "See that the S-CSCF takes XRES as octets of a known length, not as a text that ends at 00.",
                    );
                }
                _ => {}
            }
        }
    },
};

const AKA_VARIANT: Cause = Cause {
    name: "DIAG-AKA-VARIANT",
    clause: "RFC 3310 clause 3.3; RFC 4169 clause 3; RFC 7616 clause 3.4",
    meaning: "The UE has the right RES and computes the response otherwise than the challenge asks.",
    action: "Make the UE compute the response as the challenge says (algorithm, qop, RES as octets), or have the network ask for the \
             variant that this UE knows.",
    behind: &["DIAG-ALG-DOWN", "DIAG-REALM"],
    find: |case, findings| {
        for Judged { attempt, turn, fit, .. } in Judged::all(case) {
            let Some(fit) = fit.filter(|fit| is_variant(fit) && !turn.is_of_another_challenge()) else { continue };
            let asked = turn.asked.algorithm.unwrap_or("MD5");
            let expected = format!("the response of {asked}, {}", qop(turn.given.qop));
            findings.of(attempt, turn.messages(), expected, format!("a response that fits this: {fit}"));
        }
    },
};

const NONCE_REUSE: Cause = Cause {
    name: "DIAG-NONCE-REUSE",
    clause: "RFC 7616 clauses 3.3 and 3.4; TS 33.102 clause 6.3.2; TS 24.229 clause 5.4.1.2.2",
    meaning: "A nonce is used once more where a new one, or a higher nc, is due.",
    action: "Let the HSS make a new vector for each challenge, and the UE count nc up or answer the newest challenge.",
    behind: &[],
    find: |case, findings| {
        let mut before: Vec<([u8; 16], Message<'_>)> = Vec::new();
        for attempt in case.registration.attempts() {
            for challenge in attempt.challenges() {
                let Some((rand, _)) = rand_autn(challenge) else { continue };
                if let Some((_, first)) = before.iter().find(|(known, _)| *known == rand) {
                    findings.of(attempt, [*first, challenge], "a nonce with a new RAND", "the RAND of before");
                }
                before.push((rand, challenge));
            }
            for turn in Turn::all(attempt).into_iter().filter(|turn| turn.said() == Said::Response) {
                let old = rand_of(turn.register).and_then(|rand| before.iter().find(|(known, _)| *known == rand));
                let is_newest = turn.given.nonce == turn.asked.nonce;
                if let Some((_, first)) = old.filter(|_| !is_newest) {
                    let messages = turn.messages().chain([*first]);
                    findings.of(attempt, messages, "the nonce of the newest challenge", "that of an earlier one");
                }
            }
            for finding in case.failed_in("AK-09", attempt).filter(|finding| finding.found.starts_with("nc=")) {
                findings.of(attempt, case.messages_of(finding), finding.expected.clone(), finding.found.clone());
            }
        }
    },
};

const IP_MARK: Cause = Cause {
    name: "DIAG-IP-MARK",
    clause: "TS 24.229 clauses 5.2.2.2 and 5.4.1.2.2",
    meaning: "The S-CSCF cannot tell what protected the REGISTER: integrity-protected is missing or wrong.",
    action: "Make the P-CSCF set integrity-protected by what carried the REGISTER, and remove what the UE wrote there.",
    behind: &[],
    find: |case, findings| {
        for attempt in case.registration.attempts() {
            // Between the ports of an SA, and not in ESP: what protected it is not in the trace, or nothing did on purpose.
            let is_bare = |finding: &&Finding| {
                let is_between = |m: Message<'_>| matches!(m.carried(), Carried::Ports(_));
                !case.policy.esp_is_off && case.messages_of(finding).any(is_between)
            };
            if let Some(finding) = case.failed_in("NW-02", attempt).filter(|finding| !is_bare(finding)).last() {
                let messages = case.messages_of(finding).chain(attempt.end());
                let expected = format!("integrity-protected {}", finding.expected);
                findings.of(attempt, messages, expected, finding.found.clone());
            }
            if let Some(finding) = case.failed_in("RG-17", attempt).last() {
                let messages = case.messages_of(finding).chain(attempt.end());
                findings.of(attempt, messages, finding.expected.clone(), finding.found.clone()).likely();
            }
        }
        if !findings.is_explained()
            && let Some((turn, by)) = refused_unseen(case)
        {
            let found = format!("{}, and nothing of Mw and Cx in the trace", answer_text(by));
            findings
                .cause(turn.messages(), "200 to the right response over the SAs", found)
                .possible()
                .action(
                    "Capture Mw: the S-CSCF refuses what does not say integrity-protected=\"yes\". If it says so, capture Cx: \
                     XRES of the MAA, and the result of the SAR.",
                )
                .ruled_out("DIAG-RES, DIAG-AKA-VARIANT, DIAG-RES-BINARY: the response is that of K and OPc");
        }
    },
};

/// The refusal of a response that is right under the keys and came over sound SAs, where the trace shows nothing of what is
/// behind the P-CSCF and the answer gives no other reason.
fn refused_unseen<'r>(case: &Case<'r>) -> Option<(Turn<'r>, Message<'r>)> {
    let (attempt, by, 403) = case.refusal()? else { return None };
    let observable = case.registration.observable();
    let turn = Turn::all(attempt).into_iter().last().filter(|turn| turn.said() == Said::Response)?;
    let is_protected = is_protected(turn.register, &case.policy) == Some(true);
    let is_right = turn.fit(case).flatten().is_some_and(|fit| fit.is_as_given());
    let is_seen = observable.mw || observable.cx || is_about_qos(by);
    (is_protected && is_right && !is_seen && !breaks_a_rule(turn.register, case)).then_some((turn, by))
}

/// True for a message that breaks a rule of severity error.
fn breaks_a_rule(message: Message<'_>, case: &Case<'_>) -> bool {
    let mut errors = case.failures().filter(|finding| finding.rule.severity == Severity::Error);
    errors.any(|finding| finding.messages.contains(&message.number))
}

/// It comes with the last family: without keys it is what remains.
pub(super) const RES: Cause = Cause {
    name: "DIAG-RES",
    clause: "RFC 3310 clause 3.3; TS 24.229 clause 5.4.1.2.3",
    meaning: "The UE accepts the challenge and answers with a response that no variant of the right RES gives.",
    action: "Compare K and OPc of the USIM with those given: AUTN fits them and RES does not. Look at how the UE reads RES.",
    behind: &[],
    find: |case, findings| {
        for Judged { attempt, turn, fit, refused } in Judged::all(case) {
            if let Some(fit) = fit.as_ref().filter(|fit| fit.is_as_given() || is_variant(fit) || is_cut(fit)) {
                if fit.is_as_given() && refused && turn.is_xres_other(case) {
                    findings
                        .of(attempt, turn.messages(), "XRES that follows from K and OPc", "another XRES in the MAA")
                        .action("Repair the HSS: the response of the UE is right, and XRES of the vector is not.");
                }
                continue;
            }
            let inputs = format!(
                "username {}, realm {}, uri {}, {}",
                turn.given.username.unwrap_or_default(),
                turn.given.realm.unwrap_or_default(),
                turn.given.uri.unwrap_or_default(),
                qop(turn.given.qop)
            );
            let found = match &fit {
                Some(fit) => format!("a response that fits this: {fit}"),
                None => format!("one that fits no variant, over {inputs}"),
            };
            let noted = findings.of(attempt, turn.messages(), "the response of RES", found);
            // Without the cnonce that went into it, a response of -sess cannot be made again (RFC 7616 clause 3.4.2).
            let is_whole = fit.is_some() || turn.given.cnonce.is_some();
            if is_whole {
                noted.ruled_out(
                    "DIAG-AKA-VARIANT, DIAG-RES-BINARY: qop, -sess, AKAv2, text of RES and RES cut at 00 were tried",
                );
            } else {
                noted.ruled_out("DIAG-RES-BINARY: RES cut at 00 was tried").ruled_out(
                    "DIAG-AKA-VARIANT, but for -sess: qop, AKAv2 and text of RES were tried; -sess takes a cnonce, and \
                     Authorization has none",
                );
            }
            if !(refused && is_whole) {
                noted.likely();
            }
        }
        if !findings.is_explained()
            && let Some((turn, by)) = refused_unjudged(case)
        {
            findings
                .cause(turn.messages(), "200", format!("{} to a response that cannot be judged without keys", answer_text(by)))
                .possible()
                .action("Give K and OPc (--k, --opc, or --hss-data): then this command says what the response was computed over.");
        }
    },
};

/// The refusal of a response that breaks no rule, where neither keys nor XRES are known.
fn refused_unjudged<'r>(case: &Case<'r>) -> Option<(Turn<'r>, Message<'r>)> {
    let (attempt, by, 403) = case.refusal()? else { return None };
    let turn = Turn::all(attempt).into_iter().last().filter(|turn| turn.said() == Said::Response)?;
    let is_unjudged = turn.fit(case).is_none() && !breaks_a_rule(turn.register, case);
    (is_aka(&turn.asked) && is_unjudged).then_some((turn, by))
}

/// A response that can be judged.
struct Judged<'r> {
    attempt: Attempt<'r>,
    turn: Turn<'r>,
    /// `None`: nothing fits.
    fit: Option<Fit>,
    refused: bool,
}

impl<'r> Judged<'r> {
    /// Responses to challenges that are genuine under the keys: what others said is another matter. Of an attempt the last
    /// one: it decides.
    fn all(case: &Case<'r>) -> Vec<Self> {
        let of = |attempt: Attempt<'r>| {
            if attempt.outcome() == Outcome::Registered && case.failed_in("AK-03", attempt).next().is_none() {
                return None;
            }
            let turn = Turn::all(attempt).into_iter().rfind(|turn| turn.said() == Said::Response)?;
            let fit = turn.fit(case).filter(|_| !is_forged(turn.challenge, case))?;
            let refused = turn.reply().and_then(|reply| reply.status()).is_some_and(|status| status >= 300);
            Some(Self { attempt, turn, fit, refused })
        };
        case.registration.attempts().filter_map(of).collect()
    }

    /// True where what refused it has a narrower name.
    fn is_marked(&self, case: &Case<'_>) -> bool {
        ["NW-02", "RG-17", "AK-09", "AK-10"].iter().any(|id| case.failed_in(id, self.attempt).next().is_some())
    }
}

fn is_cut(fit: &Fit) -> bool {
    fit.assumptions.contains(&Assumption::ResCut)
}

/// True where RES is right, and what is made of it is not.
fn is_variant(fit: &Fit) -> bool {
    use Assumption as A;
    let of_keys = |assumption: &A| {
        matches!(
            assumption,
            A::OpTakenAsOpc | A::OpcExpandedAgain | A::KAndOperatorExchanged | A::Xor | A::Tuak | A::ResCut
        )
    };
    !fit.is_as_given() && !fit.assumptions.iter().any(of_keys)
}

fn qop(qop: Option<&str>) -> String {
    qop.map_or_else(|| "without qop".to_owned(), |qop| format!("qop {qop}"))
}

fn rand_of(register: Message<'_>) -> Option<[u8; 16]> {
    let octets = decode(digest_of(register)?.nonce?)?;
    octets.get(..16)?.try_into().ok()
}
