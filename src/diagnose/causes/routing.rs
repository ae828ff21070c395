//! Identities that do not match, and requests that go astray (diagnoses 1.2).

use super::answer::{code, reason};
use super::gm::{answer_text, was_forwarded};
use super::timing::is_of_ims;
use super::turn::Turn;
use crate::cx::user_data::ImsSubscription;
use crate::cx::{CxResult, Saa, Sar};
use crate::diagnose::{Cause, How};
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Message as Sip, StartLine, Uri};
use crate::trace::story::{Exchange, Interface, Message, Outcome};

pub(super) const CAUSES: &[&Cause] = &[&QOS, &ROUTE_LOOP, &PAU, &REALM];

const QOS: Cause = Cause {
    name: "DIAG-QOS",
    clause: "TS 29.214 clause 4.4.5; TS 24.229 clause 5.2.2",
    meaning: "The P-CSCF cannot have the bearer of the signalling watched by the PCRF, and refuses the UE.",
    action: "Look at the Rx peer of the P-CSCF and at the session of the UE in the PCRF, or switch the reservation for signalling \
             off in the P-CSCF.",
    behind: &[],
    find: |case, findings| {
        let Some((attempt, by, _)) = case.refusal() else { return };
        let request = attempt.latest().request();
        let rx = case.registration.on(Interface::OtherDiameter).filter(|exchange| exchange.command() == Some(AA));
        let during = |exchange: &Exchange<'_>| {
            let first = exchange.messages().next().map(|message| message.index());
            first.is_some_and(|at| attempt.request().is_none_or(|begin| at > begin.index()) && at < by.index())
        };
        let failed = rx.filter(during).find(|exchange| !exchange.last().is_some_and(is_success));
        if let Some(rx) = failed {
            let found = match rx.last().and_then(code) {
                Some(code) => format!("AA-Answer with {code}, then {}", answer_text(by)),
                None => format!("AA-Request without an answer, then {}", answer_text(by)),
            };
            findings.cause(rx.messages().chain(request).chain([by]), "AA-Answer with Result-Code 2001", found);
        } else if is_about_qos(by) {
            findings.cause(request.into_iter().chain([by]), "200", answer_text(by)).likely();
        }
    },
};

/// True for an answer that names the reason itself.
pub(super) fn is_about_qos(answer: Message<'_>) -> bool {
    reason(answer).to_ascii_lowercase().split(|c: char| !c.is_alphanumeric()).any(|word| word == "qos")
}

const ROUTE_LOOP: Cause = Cause {
    name: "DIAG-ROUTE-LOOP",
    clause: "RFC 3261 clauses 16.3 and 16.4; TS 24.229 clause 5.2.2.1",
    meaning: "The REGISTER goes round in the network and never arrives.",
    action: "Make the P-CSCF remove a Route that names itself before it forwards; see that no element forwards to where the \
             REGISTER came from. A UE that sends no Route in REGISTER avoids it.",
    behind: &[],
    find: |case, findings| {
        let Some(failure) = case.failure() else { return };
        let latest = failure.attempt.latest();
        let Some(request) = latest.request() else { return };
        let route = request.sip().and_then(|sip| sip.header(HeaderName::Route)).map(str::to_owned);
        let with_route = route.map_or_else(|| "a REGISTER without Route".to_owned(), |route| format!("Route {route}"));
        let rounds: Vec<Message<'_>> = latest.hops().filter_map(Exchange::request).collect();
        let is_round = |message: &Message<'_>| {
            let ends = |message: &Message<'_>| message.ends.map(|ends| (ends.from.ip(), ends.to));
            ends(message).is_some() && rounds.iter().filter(|other| ends(other) == ends(message)).count() > 2
        };
        let again: Vec<Message<'_>> = rounds.iter().copied().filter(is_round).collect();
        match failure.how {
            How::Refused(by) if matches!(by.status(), Some(482 | 483)) => {
                let found = format!("{} to {with_route}", answer_text(by));
                findings.cause([request, by].into_iter().chain(again), "the REGISTER at the S-CSCF once", found);
            }
            _ if !again.is_empty() => {
                let found = format!("{} times over one hop, {with_route}", again.len());
                findings.cause([request].into_iter().chain(again), "the REGISTER over each hop once", found);
            }
            How::Unanswered(_) if with_route.starts_with("Route ") => {
                let found = format!("no answer to {with_route}");
                findings.cause([request], "an answer to the REGISTER", found).likely();
            }
            How::Refused(by)
                if with_route.starts_with("Route ")
                    && matches!(by.status(), Some(408 | 480 | 500 | 503 | 504))
                    && was_forwarded(latest) != Some(true) =>
            {
                let found = format!("{} to {with_route}", answer_text(by));
                findings.cause([request, by], "the REGISTER at the I-CSCF", found).possible();
            }
            _ => {}
        }
    },
};

const PAU: Cause = Cause {
    name: "DIAG-PAU",
    clause: "TS 24.229 clause 5.4.1.2.2; TS 23.228 clause 5.2.1a; GSMA IR.92 clause 2.2.2",
    meaning: "P-Associated-URI does not give the UE what it calls by: a default identity that is not barred, and a tel URI.",
    action: "Give the implicit registration set a public identity that is not barred, and the MSISDN as tel URI, default first.",
    behind: &[],
    find: |case, findings| {
        if let Some((attempt, by, 403)) = case.refusal()
            && let Some(saa) = attempt.latest().cx(Sar::COMMAND).and_then(Exchange::last)
            && all_are_barred(saa)
        {
            let messages = attempt.latest().request().into_iter().chain([saa, by]);
            findings.cause(messages, "a public identity that is not barred", "barred ones only");
        }
        let registered = case.registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered);
        for attempt in registered.filter(|_| is_of_ims(case.registration)) {
            for finding in ["OK-01", "OK-03"].iter().flat_map(|id| case.failed_in(id, attempt)) {
                let tel = finding.rule.id == "OK-03";
                let noted = findings.remark(case.messages_of(finding), finding.expected.clone(), finding.found.clone());
                if tel {
                    // Without telephony nobody misses it.
                    noted.possible();
                }
            }
        }
    },
};

const REALM: Cause = Cause {
    name: "DIAG-REALM",
    clause: "TS 24.229 clauses 5.1.1.2.1 and 5.1.1.2.2; TS 23.003 clause 13.2; RFC 6733 clause 7.1.3",
    meaning: "The domains that the UE names are not one home domain, or not one that this network serves.",
    action: "Set Request-URI, realm and the domains of IMPI and IMPU to the home domain of the subscription, spelled alike, and \
             have the core serve it.",
    behind: &["DIAG-AUTH-ABSENT"],
    find: |case, findings| {
        let Some((attempt, by, status)) = case.refusal() else { return };
        let unserved = attempt
            .latest()
            .diameter()
            .find(|exchange| exchange.last().and_then(code) == Some(CxResult::Base(REALM_NOT_SERVED)));
        let request = attempt.request();
        if let Some(cx) = unserved {
            let messages = cx.messages().chain(request).chain([by]);
            let found = format!("Result-Code {REALM_NOT_SERVED} (DIAMETER_REALM_NOT_SERVED)");
            findings.cause(messages, "a realm that a Diameter peer serves", found);
            return;
        }
        let last = Turn::all(attempt).into_iter().last();
        if let Some(turn) = last.filter(|turn| turn.asked.realm.is_some() && turn.given.realm != turn.asked.realm) {
            let realm = |realm: Option<&str>| format!("realm {}", realm.unwrap_or("absent"));
            findings.cause(turn.messages(), realm(turn.asked.realm), realm(turn.given.realm));
            return;
        }
        let Some((message, domains)) = request.and_then(|request| Some((request, Domains::of(request.sip()?)?))) else {
            return;
        };
        if matches!(status, 400 | 403 | 404 | 480 | 500 | 504)
            && attempt.challenge().is_none()
            && let Some((name, other)) = domains.odd_one()
        {
            let expected = format!("{} as in the Request-URI", domains.home);
            findings.cause([message, by], expected, format!("{name} {other}")).likely();
        }
    },
};

/// The domains of a REGISTER.
struct Domains<'a> {
    home: &'a str,
    realm: Option<&'a str>,
    impi: Option<&'a str>,
    impu: &'a str,
}

impl<'a> Domains<'a> {
    fn of(sip: &Sip<'a>) -> Option<Self> {
        let StartLine::Request { uri, .. } = sip.start() else { return None };
        let digest: Option<Digest<'a>> = sip.authorization().ok().flatten();
        Some(Self {
            home: Uri::parse(uri).ok()?.host,
            realm: digest.and_then(|digest| digest.realm).filter(|realm| !realm.is_empty()),
            impi: digest.and_then(|digest| digest.username?.split_once('@')).map(|(_, domain)| domain),
            impu: sip.to().ok()?.uri.host,
        })
    }

    /// The first that is not the home domain.
    fn odd_one(&self) -> Option<(&'static str, &'a str)> {
        let all =
            [("realm", self.realm), ("the domain of the IMPU", Some(self.impu)), ("the domain of the IMPI", self.impi)];
        let is_odd = |domain: &&'a str| !domain.eq_ignore_ascii_case(self.home);
        all.into_iter().find_map(|(name, domain)| Some((name, domain.filter(is_odd)?)))
    }
}

fn all_are_barred(saa: Message<'_>) -> bool {
    let Ok(saa) = Saa::decode(&saa.record().bytes) else { return false };
    let profile = saa.user_data.map(ImsSubscription::parse);
    profile.and_then(Result::ok).is_some_and(|profile| {
        let mut identities = profile.profiles.iter().flat_map(|profile| &profile.identities).peekable();
        identities.peek().is_some() && identities.all(|identity| identity.barred)
    })
}

fn is_success(answer: Message<'_>) -> bool {
    code(answer).is_some_and(CxResult::is_success)
}

/// AA-Request of Rx (TS 29.214 clause 5.6.1).
const AA: u32 = 265;
const REALM_NOT_SERVED: u32 = 3003;
