//! The offer of the UE: Security-Client of a REGISTER (RFC 3329, TS 33.203 annex H).

use super::element::{Element, Tuple, pairs};
use super::walk::{self, first_registers, offers};
use crate::sip::HeaderName;
use crate::trace::story::Message;
use crate::validate::{Judgement, Rule, Severity, Side};

pub(super) const RULES: &[&Rule] =
    &[&SA_01, &SA_02, &SA_03, &SA_04, &SA_05, &SA_06, &SA_07, &SA_08, &SA_09, &SA_10, &SA_11, &SA_12];

const SA_01: Rule = Rule {
    id: "SA-01",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.1.1.2.2",
    text: "A first REGISTER that wants a security agreement has Security-Client, and sec-agree in Require and in \
           Proxy-Require.",
    why: "A proxy that finds the option tag in one of the two only treats the request as one without agreement: it answers \
          420 or 421, or challenges without Security-Server.",
    right: "Require: sec-agree\nProxy-Require: sec-agree\nSecurity-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=..",
    wrong: "Supported: sec-agree\nSecurity-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi-c=..",
    judge: |registration, _, j| {
        for (message, sip) in first_registers(registration, j) {
            let client = sip.header(HeaderName::SecurityClient).is_some();
            let require = sip.has_option(HeaderName::Require, SEC_AGREE);
            let proxy_require = sip.has_option(HeaderName::ProxyRequire, SEC_AGREE);
            if !(client || require || proxy_require) {
                continue;
            }
            let parts = [
                (client, "Security-Client"),
                (require, "Require: sec-agree"),
                (proxy_require, "Proxy-Require: sec-agree"),
            ];
            let missing: Vec<&str> = parts.iter().filter(|(there, _)| !there).map(|(_, name)| *name).collect();
            let expected = || "Security-Client, Require: sec-agree and Proxy-Require: sec-agree".to_owned();
            j.check(message, missing.is_empty(), expected, || format!("no {}", missing.join(", no ")));
        }
    },
};

const SA_02: Rule = Rule {
    id: "SA-02",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1",
    text: "Supported may name sec-agree as well; alone it asks for nothing.",
    why: "The UE believes that it has offered an agreement, and is registered without one or refused with 494.",
    right: "Supported: path,sec-agree\nRequire: sec-agree\nProxy-Require: sec-agree\nSecurity-Client: ..",
    wrong: "Supported: path,sec-agree",
    judge: |registration, _, j| {
        for (message, sip) in first_registers(registration, j) {
            if sip.has_option(HeaderName::Supported, SEC_AGREE) {
                // An offer beside it asks for nothing either (RFC 3329 clause 2.3.1).
                let alone = !sip.has_option(HeaderName::Require, SEC_AGREE)
                    && !sip.has_option(HeaderName::ProxyRequire, SEC_AGREE);
                let expected = || "sec-agree in Require and Proxy-Require beside it".to_owned();
                j.check(message, !alone, expected, || "sec-agree in Supported only".to_owned());
            }
        }
    },
};

const SA_03: Rule = Rule {
    id: "SA-03",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.203 annex H.2",
    text: "Every ipsec-3gpp element of Security-Client has alg, spi-c, spi-s, port-c and port-s.",
    why: "An element without them is no offer: the P-CSCF skips it, or refuses the whole list.",
    right: "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=4096;spi-s=4097;port-c=31000;port-s=31001",
    wrong: "Security-Client: ipsec-3gpp;alg=hmac-sha-1-96;spi=4096;port-c=31000;port-s=31001",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            let mut elements = Element::all(sip, HeaderName::SecurityClient);
            elements.retain(|element| !element.has("mediasec"));
            for element in &elements {
                let missing = element.missing();
                if element.is_ipsec_3gpp() && !missing.is_empty() {
                    j.wrong(
                        [message],
                        "alg, spi-c, spi-s, port-c, port-s",
                        format!("no {} in {}", missing.join(", "), element.text),
                    );
                }
            }
            if elements.iter().any(Element::is_ipsec_3gpp) {
                j.right(message);
            } else if !elements.is_empty() && elements.iter().all(|element| !is_known(element.name)) {
                let names: Vec<&str> = elements.iter().map(|element| element.name).collect();
                j.wrong([message], "ipsec-3gpp", names.join(", "));
            }
        }
    },
};

const SA_04: Rule = Rule {
    id: "SA-04",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 annex H.2",
    text: "prot is esp, mod is trans and ealg is null where they are absent, and pairs are compared so.",
    why: "Oracle's and older handsets leave the defaults out: a P-CSCF that compares text finds nothing in common and \
          refuses a UE that is right.",
    right: "offered ipsec-3gpp;alg=hmac-sha-1-96;..  served as hmac-sha-1-96 with null",
    wrong: "the same answered by 494",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            let elements = Element::ipsec(sip, HeaderName::SecurityClient);
            let leaves_out = |element: &&Element<'_>| {
                element.missing().is_empty() && ["prot", "mod", "ealg"].iter().any(|name| !element.has(name))
            };
            let defaulted: Vec<Tuple> = elements.iter().filter(leaves_out).filter_map(Element::tuple).collect();
            if defaulted.is_empty() {
                continue;
            }
            judge_answer(message, &defaulted, "is in common, defaults filled in", j);
        }
    },
};

const SA_05: Rule = Rule {
    id: "SA-05",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.1; RFC 4303 clause 2.1",
    text: "spi-c and spi-s are decimal numbers of 32 bits, 256 or more, and differ.",
    why: "0 to 255 are reserved: kernels refuse the SA. Equal SPIs make one SA of two, and the second is refused.",
    right: "spi-c=26157848;spi-s=69326023",
    wrong: "spi-c=255;spi-s=255",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            for element in Element::ipsec(sip, HeaderName::SecurityClient) {
                let spis = ["spi-c", "spi-s"].map(|name| (name, element.value(name), element.number(name)));
                let [(_, Some(_), c), (_, Some(_), s)] = spis else { continue };
                let bad = spis.iter().find(|(.., number)| number.is_none_or(|n| n < 256));
                if let Some((name, text, _)) = bad {
                    j.wrong(
                        [message],
                        "a decimal number from 256 to 4294967295",
                        format!("{name}={}", text.unwrap_or_default()),
                    );
                } else if c == s {
                    j.wrong([message], "spi-c and spi-s that differ", format!("both are {}", c.unwrap_or_default()));
                } else {
                    j.right(message);
                }
            }
        }
    },
};

const SA_06: Rule = Rule {
    id: "SA-06",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.1",
    text: "port-c and port-s are ports from 1 to 65535, differ, and neither is 5060 or 5061.",
    why: "A protected port that is the unprotected one cannot be told from it by policy: clear text would be dropped, or \
          protected text be taken in clear.",
    right: "port-c=31100;port-s=31800",
    wrong: "port-c=5060;port-s=5060",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            for element in Element::ipsec(sip, HeaderName::SecurityClient) {
                let ports = ["port-c", "port-s"].map(|name| (name, element.value(name), element.number(name)));
                let [(_, Some(_), c), (_, Some(_), s)] = ports else { continue };
                let is_good = |port: u32| (1..=65_535).contains(&port) && !matches!(port, 5060 | 5061);
                let bad = ports.iter().find(|(.., number)| !number.is_some_and(is_good));
                if let Some((name, text, _)) = bad {
                    let expected = "a port from 1 to 65535 other than 5060 and 5061";
                    j.wrong([message], expected, format!("{name}={}", text.unwrap_or_default()));
                } else if c == s {
                    j.wrong([message], "port-c and port-s that differ", format!("both are {}", c.unwrap_or_default()));
                } else {
                    j.right(message);
                }
            }
        }
    },
};

const SA_07: Rule = Rule {
    id: "SA-07",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.2, as handsets do",
    text: "All ipsec-3gpp elements of one Security-Client have the same SPIs and ports.",
    why: "Many P-CSCFs read SPIs and ports of the first element whatever they choose.",
    right: "..alg=hmac-sha-1-96;spi-c=1000;.., ..alg=hmac-md5-96;spi-c=1000;..",
    wrong: "..alg=hmac-sha-1-96;spi-c=1000;.., ..alg=hmac-md5-96;spi-c=1002;..",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            let elements = Element::ipsec(sip, HeaderName::SecurityClient);
            let numbers = |element: &Element<'_>| NUMBERS.map(|name| element.value(name).map(str::to_owned));
            let Some((first, others)) = elements.split_first().filter(|(_, others)| !others.is_empty()) else {
                continue;
            };
            match others.iter().find(|other| numbers(other) != numbers(first)) {
                Some(other) => j.wrong([message], format!("SPIs and ports of {}", first.text), other.text),
                None => j.right(message),
            }
        }
    },
};

const SA_08: Rule = Rule {
    id: "SA-08",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 34.229-1 clause 8.1, test purposes 4 and 5; TS 33.203 clause 7.2",
    text: "The UE offers hmac-sha-1-96, and both aes-cbc and null.",
    why: "A network with one pair only finds nothing in common with a UE that offers less.",
    right: "hmac-sha-1-96 with aes-cbc, hmac-sha-1-96 with null",
    wrong: "hmac-md5-96 with null",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            let elements = Element::ipsec(sip, HeaderName::SecurityClient);
            let tuples: Vec<Tuple> = elements.iter().filter_map(Element::tuple).collect();
            if tuples.is_empty() {
                continue;
            }
            let parts = [
                (tuples.iter().any(|tuple| tuple.alg() == "hmac-sha-1-96"), "hmac-sha-1-96"),
                (tuples.iter().any(|tuple| tuple.ealg() == "aes-cbc"), "aes-cbc"),
                (tuples.iter().any(|tuple| tuple.ealg() == "null"), "null"),
            ];
            let missing: Vec<&str> = parts.iter().filter(|(there, _)| !there).map(|(_, name)| *name).collect();
            let expected = || "hmac-sha-1-96, aes-cbc and null".to_owned();
            j.check(message, missing.is_empty(), expected, || {
                format!("no {} in {}", missing.join(", no "), pairs(&elements))
            });
        }
    },
};

const SA_09: Rule = Rule {
    id: "SA-09",
    severity: Severity::Info,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.1 (later releases)",
    text: "hmac-md5-96 and des-ede3-cbc are no longer for use.",
    why: "Releases from 13 on withdraw them; networks that follow refuse a UE that offers nothing else.",
    right: "hmac-sha-1-96 with aes-cbc",
    wrong: "hmac-md5-96 with des-ede3-cbc",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            let elements = Element::ipsec(sip, HeaderName::SecurityClient);
            let tuples: Vec<Tuple> = elements.iter().filter_map(Element::tuple).collect();
            if tuples.is_empty() {
                continue;
            }
            let is_old = |tuple: &&Tuple| tuple.alg() == "hmac-md5-96" || tuple.ealg() == "des-ede3-cbc";
            let old: Vec<String> = tuples.iter().filter(is_old).map(Tuple::to_string).collect();
            j.check(message, old.is_empty(), || "no hmac-md5-96, no des-ede3-cbc".to_owned(), || old.join(", "));
        }
    },
};

const SA_10: Rule = Rule {
    id: "SA-10",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "RFC 3329 clause 2.2",
    text: "q is 0 to 1 with at most three digits, and no two elements of one header have the same q.",
    why: "Two elements of one rank leave the choice to chance: both ends may choose otherwise.",
    right: "ipsec-3gpp;q=0.2;.., ipsec-3gpp;q=0.1;..",
    wrong: "ipsec-3gpp;q=0.1;.., ipsec-3gpp;q=0.1;..",
    judge: |registration, _, j| {
        for (message, sip) in walk::security_headers(registration) {
            for header in [HeaderName::SecurityClient, HeaderName::SecurityServer] {
                let elements = Element::all(sip, header);
                let given: Vec<_> = elements.iter().filter_map(|element| element.q().map(|q| (element, q))).collect();
                if let Some((element, _)) = given.iter().find(|(_, q)| q.is_none()) {
                    j.wrong([message], "q from 0 to 1 with at most three digits", element.text);
                    continue;
                }
                let twice = given.iter().enumerate().find_map(|(i, (element, q))| {
                    given[..i].iter().find(|(_, earlier)| earlier == q).map(|(earlier, _)| (*earlier, *element))
                });
                match twice {
                    Some((a, b)) => {
                        let found = format!("{} and {}", a.text, b.text);
                        j.wrong([message], "another q for each element", found);
                    }
                    None if !given.is_empty() => j.right(message),
                    None => {}
                }
            }
        }
    },
};

const SA_11: Rule = Rule {
    id: "SA-11",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "RFC 3329 clause 2.2; TS 24.229 clause 7.2A.7",
    text: "Unknown mechanisms and parameters are passed over; an offer beside them counts.",
    why: "Handsets add elements of later releases, such as mediasec: a P-CSCF that stumbles refuses what it could serve.",
    right: "sdes-srtp;mediasec, ipsec-3gpp;alg=hmac-sha-1-96;..  served by the second element",
    wrong: "the same answered by 494",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            let all = Element::all(sip, HeaderName::SecurityClient);
            let has_unknown = all.iter().any(|element| {
                !element.is_ipsec_3gpp()
                    || element.params.iter().any(|(name, _)| !KNOWN.contains(&&*name.to_ascii_lowercase()))
            });
            let sound = all.iter().filter(|e| e.is_ipsec_3gpp() && e.missing().is_empty());
            let sound: Vec<Tuple> = sound.filter_map(Element::tuple).collect();
            if has_unknown && !sound.is_empty() {
                judge_answer(message, &sound, "taken, the rest passed over", j);
            }
        }
    },
};

const SA_12: Rule = Rule {
    id: "SA-12",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "RFC 3261 clause 7.3.1",
    text: "Several lines of Security-Client are one list in the order of the lines.",
    why: "A P-CSCF that reads the first line only misses the pair that it has in common with the UE.",
    right: "Security-Client: ipsec-3gpp;alg=hmac-md5-96;..\nSecurity-Client: ipsec-3gpp;alg=hmac-sha-1-96;..  served by the second",
    wrong: "the same answered by 494",
    judge: |registration, _, j| {
        for (message, sip) in offers(registration, j) {
            if sip.lines_of(HeaderName::SecurityClient).count() < 2 {
                continue;
            }
            let first = sip.header(HeaderName::SecurityClient).unwrap_or_default();
            let all = Element::ipsec(sip, HeaderName::SecurityClient);
            let later = all.iter().filter(|e| e.missing().is_empty() && !first.contains(e.text));
            let later: Vec<Tuple> = later.filter_map(Element::tuple).collect();
            judge_answer(message, &later, "of a later line taken", j);
        }
    },
};

/// An offer with these pairs may not be refused by who has one of them: `expected` says what to do with that pair.
fn judge_answer(offer: Message<'_>, pairs: &[Tuple], expected: &str, j: &mut Judgement) {
    match walk::refusal_of_offer(offer) {
        Some((refusal, server)) => {
            let served: Vec<Tuple> = server.iter().filter_map(Element::tuple).collect();
            if let Some(tuple) = pairs.iter().find(|tuple| served.contains(tuple)) {
                let status = refusal.status().unwrap_or_default();
                let found = format!("{status}, though its own list holds {tuple}");
                j.wrong([offer, refusal], format!("{tuple} {expected}"), found);
            }
        }
        None if walk::has_final_answer(offer) => j.right(offer),
        None => j.unseen("the answer to the offer is not in the trace"),
    }
}

/// Mechanisms of RFC 3329 clause 2.2 and of TS 33.203.
fn is_known(name: &str) -> bool {
    ["ipsec-3gpp", "tls", "digest", "ipsec-ike", "ipsec-man"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

const SEC_AGREE: &str = "sec-agree";
const NUMBERS: [&str; 4] = ["spi-c", "spi-s", "port-c", "port-s"];
const KNOWN: [&str; 9] = ["q", "alg", "ealg", "prot", "mod", "spi-c", "spi-s", "port-c", "port-s"];
