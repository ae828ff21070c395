//! The offer of the UE, and the P-CSCF that refuses it (diagnoses 1.3; RFC 3329, TS 33.203 annex H).

use super::gm::{self, answer_text, own_request, stopped, was_forwarded};
use super::nat;
use crate::diagnose::{Case, Cause};
use crate::sip::{self, HeaderName};
use crate::trace::story::{Attempt, Interface, Message};
use crate::validate::rules::element::{Element, Tuple, pairs};

pub(super) const CAUSES: &[&Cause] = &[&NOOFFER, &DEFAULTS, &PARSE, &EMPTYLIST, &PORT_EXHAUST];

const NOOFFER: Cause = Cause {
    name: "DIAG-SEC-NOOFFER",
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clauses 5.1.1.2.2 and 5.2.2.2",
    meaning: "The network wants a security agreement, and the UE offers none that can be used.",
    action: "Let the UE offer ipsec-3gpp with alg, spi-c, spi-s, port-c and port-s, or let the P-CSCF allow registration \
             without IPsec.",
    behind: &[],
    find: |case, findings| {
        let Some((attempt, request, sip, by, status)) = refused_offer(case) else { return };
        if !matches!(status, 400 | 403 | 421 | 494 | 503) || !gm::complete(sip).is_empty() {
            return;
        }
        let asks = sip.header(HeaderName::SecurityClient).is_some() || names_sec_agree(sip);
        let told = matches!(status, 421 | 494)
            || by.sip().is_some_and(|sip| {
                sip.header(HeaderName::SecurityServer).is_some() || sip.has_option(HeaderName::Require, "sec-agree")
            });
        let forwarded = was_forwarded(attempt.first());
        // Who names himself in the first REGISTER is a UE of IMS.
        let is_of_ims = sip.authorization().is_ok_and(|digest| digest.is_some());
        if !told && (forwarded == Some(true) || !(asks || is_of_ims)) {
            return;
        }
        let found = match Element::all(sip, HeaderName::SecurityClient).first() {
            None => "no Security-Client".to_owned(),
            Some(element) if element.is_ipsec_3gpp() => {
                format!("{} without {}", element.text, element.missing().join(", "))
            }
            Some(element) => element.text.to_owned(),
        };
        let expected = "ipsec-3gpp with alg, spi-c, spi-s, port-c and port-s in Security-Client";
        let cause = findings.cause([request, by], expected, found);
        cause.ruled_out(format!("the answer is {}", answer_text(by)));
        match (told, asks || forwarded == Some(false)) {
            (true, _) => cause,
            (false, true) => cause.likely(),
            (false, false) => cause.possible(),
        };
    },
};

const DEFAULTS: Cause = Cause {
    name: "DIAG-SEC-DEFAULTS",
    clause: "TS 33.203 annex H.2",
    meaning: "Two lists that are equal once prot=esp, mod=trans and ealg=null are filled in were taken for different.",
    action: "Let the P-CSCF fill the defaults in before it compares; until then let the UE write prot, mod and ealg.",
    behind: &["DIAG-NAT"],
    find: |case, findings| {
        if let Some(Refused { attempt, messages, common, .. }) = refused_common(case)
            && common.iter().all(|(offered, served)| leaves_out(offered) || leaves_out(served))
        {
            let Some((offered, served)) = common.first() else { return };
            findings.of(attempt, messages, format!("{} taken for {}", offered.text, served.text), "a refusal");
        }
        for (attempt, server, register, end) in refused_copies(case) {
            let (Some(list), Some(sip)) = (server.sip(), register.sip()) else { continue };
            let server = Element::all(list, HeaderName::SecurityServer);
            let verify = Element::all(sip, HeaderName::SecurityVerify);
            let differs = |(a, b): (&Element<'_>, &Element<'_>)| DEFAULTED.iter().any(|n| a.has(n) != b.has(n));
            if let Some((a, b)) = server.iter().zip(&verify).find(|(a, b)| differs((a, b))) {
                stopped(case, findings, attempt, [register, end], a.text, b.text);
            }
        }
    },
};

const PARSE: Cause = Cause {
    name: "DIAG-SEC-PARSE",
    clause: "RFC 3329 clause 2.2; RFC 3261 clause 7.3.1; TS 24.229 clause 7.2A.7",
    meaning: "The P-CSCF refuses an offer that it could serve: it stumbles over an unknown mechanism or parameter, or reads the \
              first line of Security-Client only.",
    action: "Let the P-CSCF pass over what it does not know, and read all lines of Security-Client as one list.",
    behind: &["DIAG-NAT"],
    find: |case, findings| {
        if let Some(Refused { attempt, sip, messages, common }) = refused_common(case) {
            let Some((offered, _)) = common.iter().find(|(a, b)| !leaves_out(a) && !leaves_out(b)) else { return };
            let Some(stumbled) = stumbling_block(sip) else { return };
            findings.of(attempt, messages, format!("{} taken", offered.text), format!("a refusal, beside {stumbled}"));
            return;
        }
        // No list tells what it would have taken; what every P-CSCF has to take was there.
        let Some((attempt, request, sip, by, 400 | 420 | 421 | 494 | 500)) = refused_offer(case) else { return };
        let has_list = by.sip().is_some_and(|sip| sip.header(HeaderName::SecurityServer).is_some());
        let Some(sound) = gm::usable(sip).into_iter().find(|e| e.tuple().is_some_and(|tuple| is_mandatory(&tuple)))
        else {
            return;
        };
        if let Some(stumbled) =
            stumbling_block(sip).filter(|_| !has_list && was_forwarded(attempt.first()) != Some(true))
        {
            let found = format!("{}, beside {stumbled}", answer_text(by));
            findings.cause([request, by], format!("{} taken", sound.text), found).likely();
        }
    },
};

const EMPTYLIST: Cause = Cause {
    name: "DIAG-SEC-EMPTYLIST",
    clause: "RFC 3329 clause 2.3.1; TS 33.203 clause 7.2",
    meaning: "UE and P-CSCF have no pair of algorithms in common.",
    action: "Add a pair that the UE offers to the list of the P-CSCF, or let the UE offer hmac-sha-1-96 with aes-cbc and null.",
    behind: &["DIAG-NAT", "DIAG-SEC-PARSE", "DIAG-SEC-DEFAULTS"],
    find: |case, findings| {
        let Some((attempt, request, sip, by, status)) = refused_offer(case) else { return };
        let offered = gm::usable(sip);
        let served = by.sip().map(|sip| Element::ipsec(sip, HeaderName::SecurityServer)).unwrap_or_default();
        let (ours, theirs) = (gm::tuples(&offered), gm::tuples(&served));
        if ours.is_empty() || ours.iter().any(|tuple| theirs.contains(tuple)) {
            return;
        }
        let is_served = !theirs.is_empty();
        let is_odd = !ours.iter().any(is_mandatory);
        let forwarded = was_forwarded(attempt.first());
        let fits = is_served || status == 494 || is_odd && matches!(status, 400 | 403 | 420 | 421 | 500 | 503);
        if !fits || forwarded == Some(true) && !is_served {
            return;
        }
        let expected = if is_served { format!("one of {}", pairs(&served)) } else { "a pair of the P-CSCF".to_owned() };
        let cause = findings.cause([request, by], expected, pairs(&offered));
        match (is_served, status == 494 || forwarded == Some(false)) {
            (true, _) => cause,
            (false, true) => cause.likely(),
            (false, false) => cause.possible(),
        };
    },
};

const PORT_EXHAUST: Cause = Cause {
    name: "DIAG-PORT-EXHAUST",
    clause: "TS 33.203 clause 7.4",
    meaning: "The P-CSCF has no port or SPI left for another set of SAs.",
    action: "Enlarge the pool of client ports and SPIs of the P-CSCF, and look for sets that it never deletes.",
    behind: &[],
    find: |case, findings| {
        let Some((attempt, by, status)) = case.refusal().filter(|(.., status)| matches!(status, 400..=599)) else {
            return;
        };
        let Some((request, sip)) = own_request(attempt) else { return };
        if gm::usable(sip).is_empty() {
            return;
        }
        let words = words_of(by);
        let names = ["port", "spi", "ipsec", "tunnel"].iter().any(|word| words.contains(word));
        let none_left = ["no free", "exhaust", "left", "in use", "unavailable", "not available", "no more"];
        if names && none_left.iter().any(|word| words.contains(word)) {
            findings.cause([request, by], "Security-Server with ports and SPIs", answer_text(by));
            return;
        }
        // The S-CSCF challenged and gave the keys, and the P-CSCF made nothing of it.
        let challenge =
            attempt.latest().hops().filter(|hop| hop.interface() == Interface::Mw).find_map(|hop| hop.answered(401));
        let has_keys = |challenge: &Message<'_>| {
            let digests = challenge.sip().and_then(|sip| sip.challenges().ok()).unwrap_or_default();
            digests.iter().any(|digest| digest.ck.is_some() && digest.ik.is_some())
        };
        if let Some(challenge) = challenge.filter(|challenge| matches!(status, 500 | 503) && has_keys(challenge)) {
            let expected = "401 with Security-Server";
            findings.cause([request, challenge, by], expected, answer_text(by)).likely();
        }
    },
};

/// The last attempt, where its first REGISTER was refused and not challenged: REGISTER, refusal, status.
pub(super) fn refused_offer<'r>(
    case: &Case<'r>,
) -> Option<(Attempt<'r>, Message<'r>, &'r sip::Message<'r>, Message<'r>, u16)> {
    let (attempt, by, status) = case.refusal()?;
    let (request, sip) = own_request(attempt)?;
    let is_first = attempt.challenge().is_none() && sip.header(HeaderName::SecurityVerify).is_none();
    (is_first && !request.carried().sa().is_some_and(|_| gm::is_sealed(request)))
        .then_some((attempt, request, sip, by, status))
}

/// A refusal with a list that has something in common with the offer.
struct Refused<'r> {
    attempt: Attempt<'r>,
    sip: &'r sip::Message<'r>,
    messages: [Message<'r>; 2],
    /// Elements of both lists that say the same.
    common: Vec<(Element<'r>, Element<'r>)>,
}

fn refused_common<'r>(case: &Case<'r>) -> Option<Refused<'r>> {
    let (attempt, request, sip, by, _) = refused_offer(case)?;
    if nat::is_behind(request).is_some() {
        return None;
    }
    let served = Element::ipsec(by.sip()?, HeaderName::SecurityServer);
    let mut common = Vec::new();
    for offered in gm::usable(sip) {
        common
            .extend(served.iter().filter(|served| served.tuple() == offered.tuple()).map(|served| (offered, *served)));
    }
    (!common.is_empty()).then_some(Refused { attempt, sip, messages: [request, by], common })
}

/// REGISTERs that were refused over Security-Verify although it says what Security-Server said: attempt, 401, REGISTER,
/// refusal.
pub(super) fn refused_copies<'r>(case: &Case<'r>) -> Vec<(Attempt<'r>, Message<'r>, Message<'r>, Message<'r>)> {
    let mut all = Vec::new();
    for finding in case.failed("SA-48") {
        let [register, end] = finding.messages[..] else { continue };
        let message = |number| case.registration.message(number);
        let (Some(register), Some(end)) = (message(register), message(end)) else { continue };
        // Refused for what it lacks besides.
        if case.failed("SA-44").any(|other| other.messages.contains(&register.number)) {
            continue;
        }
        let Some(attempt) = gm::attempt_of(register).filter(|_| end.status().is_some_and(|s| s >= 300)) else {
            continue;
        };
        let server = attempt.challenges().filter(|challenge| challenge.index() < register.index()).last();
        all.extend(server.map(|server| (attempt, server, register, end)));
    }
    all
}

fn leaves_out(element: &Element<'_>) -> bool {
    DEFAULTED.iter().any(|name| !element.has(name))
}

/// An unknown mechanism or parameter, or a second line.
fn stumbling_block(sip: &sip::Message<'_>) -> Option<String> {
    for element in Element::all(sip, HeaderName::SecurityClient) {
        if !element.is_ipsec_3gpp() {
            return Some(element.text.to_owned());
        }
        let unknown = element.params.iter().find(|(name, _)| !KNOWN.contains(&&*name.to_ascii_lowercase()));
        if let Some((name, _)) = unknown {
            return Some(format!("the parameter {name}"));
        }
    }
    let lines = sip.lines_of(HeaderName::SecurityClient).count();
    (lines > 1).then(|| format!("{lines} lines of Security-Client"))
}

/// What TS 33.203 clause 7.1 makes every P-CSCF support.
fn is_mandatory(tuple: &Tuple) -> bool {
    tuple.to_string() == "hmac-sha-1-96 with null" || tuple.to_string() == "hmac-sha-1-96 with aes-cbc"
}

fn names_sec_agree(sip: &sip::Message<'_>) -> bool {
    let names = [HeaderName::Require, HeaderName::ProxyRequire, HeaderName::Supported];
    names.iter().any(|name| sip.has_option(*name, "sec-agree"))
}

/// What an answer says in words.
fn words_of(answer: Message<'_>) -> String {
    let mut words = answer_text(answer);
    for name in ["Warning", "Reason", "Error-Info"] {
        let value = answer.sip().and_then(|sip| sip.header_named(name));
        words.push(' ');
        words.push_str(value.unwrap_or_default());
    }
    words.make_ascii_lowercase();
    words
}

const DEFAULTED: [&str; 3] = ["prot", "mod", "ealg"];
const KNOWN: [&str; 9] = ["q", "alg", "ealg", "prot", "mod", "spi-c", "spi-s", "port-c", "port-s"];
