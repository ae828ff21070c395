//! The answer of the P-CSCF to the offer: Security-Server, and the refusals (RFC 3329 clause 2.3.1, TS 24.229 clause 5.2.2.2).

use super::element::{Element, Tuple, pairs};
use super::walk::{self, Read, challenges, first_registers, offers};
use crate::event::Role;
use crate::sip::{HeaderName, Method};
use crate::trace::story::{Carried, Interface, Message};
use crate::validate::{Rule, Severity, Side};
use std::collections::HashMap;

pub(super) const RULES: &[&Rule] =
    &[&SA_13, &SA_20, &SA_21, &SA_22, &SA_23, &SA_24, &SA_25, &SA_26, &SA_27, &SA_28, &SA_30, &SA_31];

const SA_13: Rule = Rule {
    id: "SA-13",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "RFC 3329 clause 2.2",
    text: "Where Security-Server has several elements, q tells which the P-CSCF prefers.",
    why: "Without q it is open whether the order counts: UEs choose by their own taste.",
    right: "ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;.., ipsec-3gpp;q=0.1;alg=hmac-md5-96;..",
    wrong: "ipsec-3gpp;alg=hmac-sha-1-96;.., ipsec-3gpp;alg=hmac-md5-96;..",
    judge: |registration, _, j| {
        for (message, sip) in walk::security_headers(registration) {
            let elements = Element::all(sip, HeaderName::SecurityServer);
            if elements.len() > 1 {
                let ranked = elements.iter().any(|element| element.q().is_some());
                j.check(
                    message,
                    ranked,
                    || "q in the elements".to_owned(),
                    || format!("{} elements without q", elements.len()),
                );
            }
        }
    },
};

const SA_20: Rule = Rule {
    id: "SA-20",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clause 5.2.2.2",
    text: "A 401 to a REGISTER with Security-Client has Security-Server with spi-c, spi-s, port-c and port-s.",
    why: "The UE cannot make its SAs: it falls silent, or goes on in clear.",
    right: "Security-Server: ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1;spi-s=2;port-c=5100;port-s=6100",
    wrong: "401 Unauthorized with WWW-Authenticate only",
    judge: |registration, _, j| {
        for (offer, _) in offers(registration, j) {
            let Some((challenge, sip)) = walk::challenge_of(offer) else {
                if !walk::has_final_answer(offer) {
                    j.unseen("the answer to the offer is not in the trace");
                }
                continue;
            };
            let elements = Element::ipsec(sip, HeaderName::SecurityServer);
            let numbers = |element: &Element<'_>| {
                ["spi-c", "spi-s", "port-c", "port-s"].iter().all(|n| element.number(n).is_some())
            };
            let offered = Element::all(offer.sip().expect("an offer is SIP"), HeaderName::SecurityClient);
            if offered.iter().all(|element| !element.is_ipsec_3gpp()) {
                continue;
            }
            match (elements.is_empty(), elements.iter().find(|element| !numbers(element))) {
                (true, _) => j.wrong([offer, challenge], "Security-Server", "none in the 401"),
                (false, Some(element)) => j.wrong([challenge], "spi-c, spi-s, port-c and port-s", element.text),
                (false, None) => j.right(challenge),
            }
        }
    },
};

const SA_21: Rule = Rule {
    id: "SA-21",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.2",
    text: "At least one element of Security-Server is a whole one (algorithms, protocol, mode) of those that the UE offered. \
           Others may be there.",
    why: "The UE has nothing to choose, or mixes the integrity of one element with the encryption of another.",
    right: "offered hmac-sha-1-96 with aes-cbc; served hmac-sha-1-96 with aes-cbc",
    wrong: "offered hmac-sha-1-96 with null and hmac-md5-96 with aes-cbc; served hmac-sha-1-96 with aes-cbc",
    judge: |registration, _, j| {
        for (offer, client) in offers(registration, j) {
            let Some((challenge, sip)) = walk::challenge_of(offer) else { continue };
            let offered = Element::ipsec(client, HeaderName::SecurityClient);
            let served = Element::ipsec(sip, HeaderName::SecurityServer);
            if served.is_empty() || offered.is_empty() {
                continue;
            }
            let known: Vec<Tuple> = offered.iter().filter_map(Element::tuple).collect();
            let common = served.iter().filter_map(Element::tuple).any(|tuple| known.contains(&tuple));
            if common {
                j.right(challenge);
            } else {
                j.wrong([offer, challenge], format!("one of {}", pairs(&offered)), pairs(&served));
            }
        }
    },
};

const SA_22: Rule = Rule {
    id: "SA-22",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "RFC 3329 clauses 2.3.1 and 2.4",
    text: "Security-Server is the P-CSCF's own list, whatever the UE offered.",
    why: "A list cut to the offer protects nobody from a man in the middle who cut the offer. Most cores return one element.",
    right: "the same pairs to every UE",
    wrong: "the pair that was chosen only",
    judge: |registration, _, j| {
        let lists = challenges(registration).into_iter().filter_map(|(challenge, sip)| {
            let served: Vec<Tuple> =
                Element::ipsec(sip, HeaderName::SecurityServer).iter().filter_map(Element::tuple).collect();
            let offer = challenge.exchange()?.request()?;
            let offered = Element::ipsec(offer.sip()?, HeaderName::SecurityClient);
            let offered: Vec<Tuple> = offered.iter().filter_map(Element::tuple).collect();
            (!served.is_empty()).then_some((challenge, served, offered))
        });
        // Each combination once: the same comes again with every challenge.
        let mut before: Vec<(Message<'_>, Vec<Tuple>, Vec<Tuple>)> = Vec::new();
        for (challenge, served, offered) in lists {
            let same_sender = |other: Message<'_>| {
                let of = |message: Message<'_>| message.record().ends.map(|ends| ends.from.ip());
                of(other).zip(of(challenge)).is_none_or(|(a, b)| a == b)
            };
            let other = before.iter().find(|(other, before, _)| *before != served && same_sender(*other));
            if let Some((before, earlier, _)) = other {
                let text = |list: &[Tuple]| list.iter().map(Tuple::to_string).collect::<Vec<_>>().join(", ");
                j.wrong([*before, challenge], text(earlier), text(&served));
            } else if served.iter().any(|tuple| !offered.contains(tuple)) {
                j.right(challenge);
            } else {
                j.unseen("a list of pairs that were all offered may be the P-CSCF's own or a cut one");
            }
            if !before.iter().any(|(_, list, asked)| *list == served && *asked == offered) {
                before.push((challenge, served, offered));
            }
        }
    },
};

const SA_23: Rule = Rule {
    id: "SA-23",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.1",
    text: "The SPIs of Security-Server differ from each other, from those of the UE, and from those of SAs alive.",
    why: "Two SAs with one SPI: the second installation fails, or takes the first one's packets.",
    right: "spi-c=2605593363;spi-s=3790665812 for a UE with spi-c=26157848;spi-s=69326023",
    wrong: "spi-c=26157848;spi-s=69326023 for the same UE",
    judge: |registration, _, j| {
        let mut alive: HashMap<u32, Vec<&str>> = HashMap::new();
        for (challenge, sip) in challenges(registration) {
            let spis = |element: &Element<'_>| ["spi-c", "spi-s"].map(|name| element.number(name));
            let Some(element) = Element::ipsec(sip, HeaderName::SecurityServer).first().copied() else { continue };
            let [Some(c), Some(s)] = spis(&element) else { continue };
            let offer = challenge.exchange().and_then(|exchange| exchange.request());
            let client = offer.and_then(|offer| offer.sip()).map(|sip| Element::ipsec(sip, HeaderName::SecurityClient));
            let of_ue: Vec<u32> = client.iter().flatten().flat_map(spis).flatten().collect();
            let expected = "SPIs that nobody has";
            if c == s {
                j.wrong([challenge], expected, format!("spi-c and spi-s are {c}"));
            } else if let Some(spi) = [c, s].into_iter().find(|spi| of_ue.contains(spi)) {
                j.wrong(offer.into_iter().chain([challenge]), expected, format!("{spi} is the UE's"));
            } else if let Some(spi) =
                [c, s].iter().find(|spi| alive.get(spi).is_some_and(|texts| texts.iter().any(|t| *t != element.text)))
            {
                j.wrong([challenge], expected, format!("{spi} is of a set before"));
            } else {
                j.right(challenge);
            }
            for spi in [c, s] {
                let texts = alive.entry(spi).or_default();
                if !texts.contains(&element.text) {
                    texts.push(element.text);
                }
            }
        }
    },
};

const SA_24: Rule = Rule {
    id: "SA-24",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "TS 33.203 clauses 7.1 and 7.4",
    text: "The protected ports of the P-CSCF are not 5060 and 5061; at a re-authentication port-s stays, port-c and both SPIs \
           are new.",
    why: "With the old port-c old and new SAs share selectors, and what is sent to the UE takes either.",
    right: "first port-c=5100;port-s=6100, then port-c=5101;port-s=6100",
    wrong: "port-c=5060;port-s=5060",
    judge: |registration, _, j| {
        let mut before: Option<(Message<'_>, Element<'_>)> = None;
        for (challenge, sip) in challenges(registration) {
            let Some(element) = Element::ipsec(sip, HeaderName::SecurityServer).first().copied() else { continue };
            let number = |element: &Element<'_>, name| element.number(name);
            if let Some(name) =
                ["port-c", "port-s"].into_iter().find(|n| matches!(element.number(n), Some(5060 | 5061)))
            {
                j.wrong(
                    [challenge],
                    "ports other than 5060 and 5061",
                    format!("{name}={}", element.value(name).unwrap_or_default()),
                );
            } else if let Some((earlier, old)) = before.filter(|(earlier, _)| {
                // Another attempt in clear starts anew.
                challenge.carried().sa().is_some() && earlier.exchange() != challenge.exchange()
            }) {
                let same = |name| number(&old, name).is_some() && number(&old, name) == number(&element, name);
                let kept: Vec<&str> = ["port-c", "spi-c", "spi-s"].into_iter().filter(|name| same(name)).collect();
                if !kept.is_empty() {
                    j.wrong(
                        [earlier, challenge],
                        "new port-c, spi-c and spi-s",
                        format!("{} as before", kept.join(", ")),
                    );
                } else if !same("port-s") {
                    j.wrong(
                        [earlier, challenge],
                        format!("port-s={}", old.value("port-s").unwrap_or_default()),
                        element.text,
                    );
                } else {
                    j.right(challenge);
                }
            } else {
                j.right(challenge);
            }
            before = Some((challenge, element));
        }
    },
};

const SA_25: Rule = Rule {
    id: "SA-25",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clause 5.2.2.2",
    text: "No ck and no ik reach the UE.",
    why: "They are the keys of its SAs, and they are sent in clear: whoever listens can read and forge everything.",
    right: "WWW-Authenticate: Digest realm=\"..\",nonce=\"..\",algorithm=AKAv1-MD5",
    wrong: "WWW-Authenticate: Digest realm=\"..\",nonce=\"..\",algorithm=AKAv1-MD5,ck=\"..\",ik=\"..\"",
    judge: |registration, _, j| {
        let to_ue = registration.messages().filter(|m| m.to() == Some(Role::Ue) && m.repeats().is_none());
        for message in to_ue {
            let Some(sip) = message.sip().filter(|sip| {
                [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate].iter().any(|n| sip.header(*n).is_some())
            }) else {
                continue;
            };
            let found: Vec<&str> = walk::digest_values(sip).into_iter().filter(|value| has_key(value)).collect();
            if found.is_empty() {
                j.right(message);
            } else {
                j.wrong([message], "neither ck nor ik", "ck or ik in the challenge (values not shown)");
            }
        }
    },
};

const SA_26: Rule = Rule {
    id: "SA-26",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 24.229 clause 5.4.1.2.1",
    text: "The 401 of the S-CSCF has ck and ik, 32 hexadecimal digits each, where the challenge is AKA.",
    why: "The P-CSCF cannot make its SAs, and challenges without Security-Server or drops the 401.",
    right: "WWW-Authenticate: Digest ..,algorithm=AKAv1-MD5,ck=\"00112233445566778899aabbccddeeff\",ik=\"..\"",
    wrong: "WWW-Authenticate: Digest ..,algorithm=AKAv1-MD5",
    judge: |registration, _, j| {
        let mut aka = false;
        for message in registration.messages().filter(|m| m.status() == Some(401) && m.repeats().is_none()) {
            let challenges = message.sip().and_then(|sip| sip.challenges().ok()).unwrap_or_default();
            let Some(challenge) = challenges.iter().find(|challenge| walk::is_aka(challenge)) else { continue };
            aka = true;
            if message.interface() != Interface::Mw {
                continue;
            }
            let bad = |key: Option<&str>| {
                !key.is_some_and(|key| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()))
            };
            let wrong: Vec<&str> = [("ck", challenge.ck), ("ik", challenge.ik)]
                .into_iter()
                .filter(|(_, key)| bad(*key))
                .map(|(name, _)| name)
                .collect();
            let expected = || "ck and ik of 32 hexadecimal digits".to_owned();
            j.check(message, wrong.is_empty(), expected, || {
                format!("{} absent or of another form", wrong.join(" and "))
            });
        }
        if aka && !registration.observable().mw {
            j.unseen("the trace does not show Mw");
        }
    },
};

const SA_27: Rule = Rule {
    id: "SA-27",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.2.2.2",
    text: "Where the network wants a security agreement, a REGISTER without an offer is refused and not challenged; a 421 names \
           sec-agree in Require.",
    why: "A challenge to such a UE registers it without protection, or leaves it silent after the 401.",
    right: "421 Extension Required\nRequire: sec-agree",
    wrong: "401 Unauthorized",
    judge: |registration, context, j| {
        let mut required = context.sec_agree_required;
        let without: Vec<Read<'_>> =
            first_registers(registration, j).into_iter().filter(|(_, sip)| !walk::has_sound_offer(sip)).collect();
        let status = |(message, _): &Read<'_>| message.exchange().and_then(|exchange| exchange.status());
        if without.iter().any(|register| matches!(status(register), Some(421 | 494))) {
            required = required.or(Some(true));
        }
        for register in &without {
            let (message, _) = *register;
            let answer = message.exchange().and_then(|exchange| exchange.last());
            let Some((answer, sip)) = answer.and_then(|answer| Some((answer, answer.sip()?))) else {
                j.unseen("the answer to a REGISTER without an offer is not in the trace");
                continue;
            };
            match (sip.status().unwrap_or_default(), required) {
                (421, _) if !sip.has_option(HeaderName::Require, "sec-agree") => {
                    j.wrong([answer], "Require: sec-agree", "a 421 without it");
                }
                (401 | 407, Some(true)) => j.wrong([message, answer], "a refusal", "a challenge"),
                (401 | 407 | 200..=299, None) => {
                    j.unseen("the trace does not show whether the network wants an agreement")
                }
                (400..=499, _) => j.right(answer),
                _ => {}
            }
        }
    },
};

const SA_28: Rule = Rule {
    id: "SA-28",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "RFC 3329 clause 2.3.1",
    text: "An unprotected request other than REGISTER that requires sec-agree gets 494 with Security-Server.",
    why: "Anything else lets a request pass in clear that asked for protection.",
    right: "494 Security Agreement Required\nSecurity-Server: ..",
    wrong: "200 OK",
    judge: |registration, _, j| {
        for message in registration.messages().filter(|m| m.is_request() && m.repeats().is_none()) {
            let Some(sip) =
                message.sip().filter(|_| message.from() == Some(Role::Ue) && message.carried() == Carried::Clear)
            else {
                continue;
            };
            let other = !matches!(sip.method(), Some(Method::Register | Method::Ack | Method::Cancel) | None);
            if !other || !sip.has_option(HeaderName::Require, "sec-agree") {
                continue;
            }
            let answer = message.exchange().and_then(|exchange| exchange.last());
            match answer.and_then(|answer| Some((answer, answer.sip()?))) {
                Some((answer, sip))
                    if sip.status() == Some(494) && sip.header(HeaderName::SecurityServer).is_some() =>
                {
                    j.right(answer);
                }
                Some((answer, sip)) => {
                    let list =
                        if sip.header(HeaderName::SecurityServer).is_some() { "" } else { " without Security-Server" };
                    j.wrong(
                        [message, answer],
                        "494 with Security-Server",
                        format!("{}{list}", sip.status().unwrap_or_default()),
                    );
                }
                None => j.unseen("the answer is not in the trace"),
            }
        }
    },
};

const SA_30: Rule = Rule {
    id: "SA-30",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clause 5.2.2.2",
    text: "The P-CSCF takes Security-Client, Security-Verify and the option tag sec-agree out before it forwards a REGISTER.",
    why: "The next element does not know the extension that it is required to know, and answers 420.",
    right: "Require: path",
    wrong: "Require: sec-agree,path\nSecurity-Client: ..",
    judge: |registration, _, j| {
        let mut wanted = false;
        for message in registration.messages().filter(|m| m.is(Method::Register) && m.repeats().is_none()) {
            let Some(sip) = message.sip() else { continue };
            let left: Vec<&str> = [
                (sip.header(HeaderName::SecurityClient).is_some(), "Security-Client"),
                (sip.header(HeaderName::SecurityVerify).is_some(), "Security-Verify"),
                (sip.has_option(HeaderName::Require, "sec-agree"), "Require: sec-agree"),
                (sip.has_option(HeaderName::ProxyRequire, "sec-agree"), "Proxy-Require: sec-agree"),
            ]
            .into_iter()
            .filter(|(there, _)| *there)
            .map(|(_, name)| name)
            .collect();
            match (message.from(), message.interface()) {
                (Some(Role::Ue), _) => wanted |= !left.is_empty(),
                (Some(Role::Pcscf), Interface::Mw) if wanted => {
                    j.check(message, left.is_empty(), || "none of them".to_owned(), || left.join(", "));
                }
                _ => {}
            }
        }
        if wanted && !registration.observable().mw {
            j.unseen("the trace does not show Mw");
        }
    },
};

const SA_31: Rule = Rule {
    id: "SA-31",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.2.2.2",
    text: "A REGISTER that names sec-agree nowhere is refused with 421; one that names it in Supported only, or in Require \
           without a usable offer, with 494. Both have Security-Server with the whole list.",
    why: "Without the list the UE does not learn what it should have offered.",
    right: "494 Security Agreement Required\nSecurity-Server: ipsec-3gpp;q=0.2;.., ipsec-3gpp;q=0.1;..",
    wrong: "403 Forbidden",
    judge: |registration, context, j| {
        let rules_of_the_list = ["SA-04", "SA-11", "SA-12"];
        if rules_of_the_list.iter().any(|id| walk::fails(id, registration, context)) {
            return;
        }
        for (message, sip) in first_registers(registration, j) {
            let Some((answer, refusal)) =
                message.exchange().and_then(|e| e.last()).and_then(|answer| Some((answer, answer.sip()?)))
            else {
                continue;
            };
            let status = refusal.status().unwrap_or_default();
            let is_about_agreement = matches!(status, 420 | 421 | 494) || context.sec_agree_required == Some(true);
            if !(400..500).contains(&status) || matches!(status, 401 | 407 | 423) || !is_about_agreement {
                continue;
            }
            let served = Element::ipsec(refusal, HeaderName::SecurityServer);
            let offered = Element::ipsec(sip, HeaderName::SecurityClient);
            let known: Vec<Tuple> = served.iter().filter_map(Element::tuple).collect();
            let in_common = offered
                .iter()
                .filter(|e| e.missing().is_empty())
                .filter_map(Element::tuple)
                .any(|t| known.contains(&t));
            if in_common {
                continue;
            }
            let named = [HeaderName::Require, HeaderName::ProxyRequire, HeaderName::Supported]
                .iter()
                .any(|name| sip.has_option(*name, "sec-agree"));
            let expected = if named || sip.header(HeaderName::SecurityClient).is_some() { 494 } else { 421 };
            if status == expected && !served.is_empty() {
                j.right(answer);
            } else {
                let list = if served.is_empty() { " without Security-Server" } else { "" };
                j.wrong([message, answer], format!("{expected} with Security-Server"), format!("{status}{list}"));
            }
        }
    },
};

/// True for a challenge that holds a key.
fn has_key(value: &str) -> bool {
    let mut parameters = value.split([',', ' ']).map(str::trim_start);
    parameters.any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default().trim();
        parameter.contains('=') && (name.eq_ignore_ascii_case("ck") || name.eq_ignore_ascii_case("ik"))
    })
}
