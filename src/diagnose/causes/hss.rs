//! What the HSS refuses, each result code by its name (diagnoses 1.2).

use super::answer::{code, reason};
use crate::cx::{CxResult, Mar, Sar, Uar};
use crate::diagnose::{Case, Cause, Findings, Found};
use crate::trace::story::{Exchange, Journey, Message};

pub(super) const CAUSES: &[&Cause] = &[&HSS_UNKNOWN, &IMPU_LINK, &HSS_REJECT, &VISITED];

const HSS_UNKNOWN: Cause = Cause {
    name: "DIAG-HSS-UNKNOWN",
    clause: "TS 29.228 clauses 6.1.1.1 and 6.3.1; TS 29.229 clause 6.2.2.1",
    meaning: "The HSS does not know the private or the public identity of the UE.",
    action: "Provision these identities in the HSS with an IMS profile (an EPS profile is not enough), spelled as the UE spells \
             them: three digits of MNC, the same domain.",
    behind: &["DIAG-AUTH-ABSENT"],
    find: |case, findings| {
        let Some(by) = ByHss::of(case, &UNKNOWN) else { return };
        let nearest = by.impi(case).and_then(|impi| nearest_of(case, impi));
        let found = by.note(findings, "an identity that the HSS has");
        if let Some(nearest) = nearest {
            found.action(format!("The HSS has {nearest}: make the UE and the HSS spell the private identity alike."));
        }
    },
};

const IMPU_LINK: Cause = Cause {
    name: "DIAG-IMPU-LINK",
    clause: "TS 29.228 clause 6.1.1.1 step 2; TS 29.229 clause 6.2.2.2",
    meaning: "The HSS knows the private and the public identity, and they do not belong together.",
    action: "Link the public identity to the private one in the HSS.",
    behind: &[],
    find: |case, findings| {
        if let Some(by) = ByHss::of(case, &UNLINKED) {
            by.note(findings, "identities that belong to one subscription");
        }
    },
};

const HSS_REJECT: Cause = Cause {
    name: "DIAG-HSS-REJECT",
    clause: "TS 29.228 clause 6.1.1.1; TS 29.229 clause 6.2.1",
    meaning: "The HSS knows the user and does not let it register.",
    action: "Look in the HSS for an identity of the implicit registration set that is not barred, and for leave to register.",
    behind: &[],
    find: |case, findings| {
        if let Some(by) = ByHss::of(case, &REJECTED) {
            by.note(findings, "an identity that is not barred, and leave to register").ruled_out(
                "DIAG-HSS-UNKNOWN, DIAG-IMPU-LINK, DIAG-VISITED: the HSS would have answered 5001, 5002, 5004",
            );
        }
    },
};

const VISITED: Cause = Cause {
    name: "DIAG-VISITED",
    clause: "TS 29.228 clause 6.1.1.1 step 3; TS 29.229 clause 6.2.2.4",
    meaning: "The HSS does not allow the user to roam in the network that it came through.",
    action: "Add this P-Visited-Network-ID to the networks in which the HSS lets the user roam, or correct what the P-CSCF sends.",
    behind: &[],
    find: |case, findings| {
        if let Some(by) = ByHss::of(case, &NO_ROAMING) {
            by.note(findings, "a network in which the user may roam");
        }
    },
};

/// A result code and what cores write into the reason phrase for it.
struct Verdict {
    result: CxResult,
    name: &'static str,
    phrases: &'static [&'static str],
}

const UNKNOWN: Verdict = Verdict {
    result: CxResult::USER_UNKNOWN,
    name: "DIAMETER_ERROR_USER_UNKNOWN",
    phrases: &["user unknown", "unknown user"],
};
const UNLINKED: Verdict = Verdict {
    result: CxResult::IDENTITIES_DONT_MATCH,
    name: "DIAMETER_ERROR_IDENTITIES_DONT_MATCH",
    phrases: &["identities not matching", "identities don't match", "identities do not match"],
};
const REJECTED: Verdict = Verdict {
    result: CxResult::AUTHORIZATION_REJECTED,
    name: "DIAMETER_AUTHORIZATION_REJECTED",
    phrases: &["authorization rejected"],
};
const NO_ROAMING: Verdict = Verdict {
    result: CxResult::ROAMING_NOT_ALLOWED,
    name: "DIAMETER_ERROR_ROAMING_NOT_ALLOWED",
    phrases: &["roaming not allowed"],
};

/// An answer of the HSS that stopped the last attempt.
struct ByHss<'r> {
    verdict: &'static Verdict,
    register: Option<Message<'r>>,
    refusal: Message<'r>,
    /// `None`: only the reason phrase tells.
    cx: Option<Exchange<'r>>,
}

impl<'r> ByHss<'r> {
    fn of(case: &Case<'r>, verdict: &'static Verdict) -> Option<Self> {
        let (attempt, refusal, _) = case.refusal()?;
        let latest = attempt.latest();
        let cx = latest.diameter().find(|exchange| exchange.last().and_then(code) == Some(verdict.result));
        let told = || {
            let phrase = reason(refusal).to_ascii_lowercase();
            shows_no_cx(latest) && verdict.phrases.iter().any(|words| phrase.contains(words))
        };
        (cx.is_some() || told()).then(|| Self { verdict, register: latest.request(), refusal, cx })
    }

    fn note<'f>(&self, findings: &'f mut Findings<'_>, expected: &str) -> &'f mut Found {
        let Verdict { result, name, .. } = self.verdict;
        let cx = self.cx.into_iter().flat_map(Exchange::messages);
        let messages = cx.chain(self.register).chain([self.refusal]);
        match self.asked() {
            Some(asked) => findings.cause(messages, expected, format!("{result} ({name}) to {asked}")),
            None => findings.cause(messages, expected, format!("{} ({name})", reason(self.refusal))).likely(),
        }
    }

    /// What the HSS was asked about.
    fn asked(&self) -> Option<String> {
        let bytes = &self.cx?.request()?.record().bytes;
        if let Ok(uar) = Uar::decode(bytes) {
            let network = String::from_utf8_lossy(uar.visited_network);
            return Some(format!("UAR for {}, {}, in {network}", uar.impi, uar.impu));
        }
        if let Ok(mar) = Mar::decode(bytes) {
            return Some(format!("MAR for {}, {}", mar.impi, mar.impu));
        }
        let sar = Sar::decode(bytes).ok()?;
        Some(format!("SAR for {}, {}", sar.impi.unwrap_or("no private identity"), sar.impus.join(", ")))
    }

    fn impi<'c>(&self, case: &'c Case<'_>) -> Option<&'c str> {
        case.registration.impi()
    }
}

fn shows_no_cx(journey: Journey<'_>) -> bool {
    journey.diameter().next().is_none()
}

/// The identity of the HSS that differs least: by leading zeros of the MNC, by case, by domain.
fn nearest_of<'c>(case: &'c Case<'_>, impi: &str) -> Option<&'c str> {
    let known = case.provisioned?;
    let user = |text: &str| text.split('@').next().unwrap_or_default().to_ascii_lowercase();
    known.iter().map(String::as_str).find(|other| *other != impi && user(other) == user(impi))
}
