//! Challenges and their answers (RFC 3310, RFC 7616, TS 33.102 clause 6.3, TS 24.229 clauses 5.1.1.5 and 5.4.1.2).

use super::credentials::{
    ResOf, decode, digest_of, first_challenge, given_by_rand, inputs, keys_for, mac_is_right, rand_autn, rand_of,
};
use super::element::Element;
use super::walk::{self, Answering, answers_to_challenges, challenges, is_aka};
use crate::aka::digest::{Algorithm, response};
use crate::aka::vector::{open_autn, open_auts};
use crate::event::Role;
use crate::sip::HeaderName;
use crate::sip::header::digest::Digest;
use crate::time::Duration;
use crate::trace::story::{Carried, Kind, Message, Registration};
use crate::validate::{Judgement, Rule, Severity, Side};
use std::collections::HashMap;

pub(super) const RULES: &[&Rule] =
    &[&AK_01, &AK_02, &AK_03, &AK_04, &AK_05, &AK_06, &AK_07, &AK_08, &AK_09, &AK_10, &AK_11, &AK_12, &AK_13, &AK_14];

const AK_01: Rule = Rule {
    id: "AK-01",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "RFC 3310 clause 3.2; TS 24.229 clause 5.4.1.2.1",
    text: "The challenge to a UE that offers ipsec-3gpp has a realm, a nonce of RAND and AUTN in base64, and the algorithm \
           AKAv1-MD5 or AKAv2.",
    why: "A challenge of plain digest makes no keys: there can be no SAs, and the UE falls silent or answers with a password.",
    right: "WWW-Authenticate: Digest realm=\"ims..\",nonce=\"(44 characters)\",algorithm=AKAv1-MD5",
    wrong: "WWW-Authenticate: Digest realm=\"ims..\",nonce=\"5f3e9a\",algorithm=MD5",
    judge: |registration, _, j| {
        for (message, digest) in challenges_read(registration) {
            let offer = message.exchange().and_then(|exchange| exchange.request()).and_then(Message::sip);
            let offers = offer.is_some_and(walk::has_sound_offer);
            let Some(digest) = digest else {
                if offers {
                    j.wrong([message], "WWW-Authenticate: Digest", "none");
                }
                continue;
            };
            if !is_aka(digest) && !offers {
                continue;
            }
            let algorithm = digest.algorithm.unwrap_or("none, which is MD5");
            if !is_aka(digest) {
                j.wrong([message], "AKAv1-MD5 or AKAv2", algorithm);
            } else if Algorithm::from_token(algorithm).is_none() {
                j.wrong([message], "AKAv1-MD5, AKAv2-MD5 or AKAv2-SHA-256", algorithm);
            } else if digest.realm.is_none_or(str::is_empty) {
                j.wrong([message], "a realm", "none");
            } else if decode(digest.nonce.unwrap_or_default()).is_none() {
                j.wrong([message], "a nonce in base64", digest.nonce.unwrap_or("none"));
            } else {
                j.right(message);
            }
        }
        unseen_challenges(registration, j);
    },
};

const AK_02: Rule = Rule {
    id: "AK-02",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "RFC 3310 clause 3.2",
    text: "The nonce of an AKA challenge holds 32 octets or more: RAND and AUTN.",
    why: "The USIM cannot authenticate the network with less; handsets drop the challenge without a word.",
    right: "44 characters of base64",
    wrong: "32 characters of base64",
    judge: |registration, _, j| {
        for (message, digest) in challenges_read(registration) {
            let Some(digest) = digest.filter(|digest| is_aka(digest)) else { continue };
            let length = decode(digest.nonce.unwrap_or_default()).map_or(0, |octets| octets.len());
            j.check(message, length >= 32, || "32 octets".to_owned(), || format!("{length} octets"));
        }
        unseen_challenges(registration, j);
    },
};

const AK_03: Rule = Rule {
    id: "AK-03",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3310 clause 3.3; RFC 7616 clause 3.4.1",
    text: "The response is the digest with RES, as octets, for the password.",
    why: "The S-CSCF answers 403. RES taken as text, cut at a zero octet, or hashed in another variant are the usual mistakes.",
    right: "the digest of RES (8 octets)",
    wrong: "the digest of RES in hexadecimal",
    judge: |registration, context, j| {
        let known = given_by_rand(registration);
        for answer in answers_to_challenges(registration).into_iter().filter(Answering::has_response) {
            let Some(given) = digest_of(answer.register) else { continue };
            let Some(challenge) = answer.asked().filter(is_aka) else {
                continue;
            };
            let Some(algorithm) = challenge.algorithm.and_then(Algorithm::from_token) else { continue };
            let res = ResOf::the(&answer, &known, context);
            let Some(secret) = res.as_ref().and_then(|res| res.secret(algorithm)) else {
                j.unseen("neither the keys of the subscriber nor XRES are known");
                continue;
            };
            let (Some(sip), received) = (answer.register.sip(), given.response.unwrap_or_default()) else { continue };
            let holds = response(&inputs(algorithm, given, sip), secret).matches(received);
            let expected = || format!("the response of RES in {}", algorithm.as_str());
            j.check(answer.register, holds, expected, || received.to_owned());
        }
        unseen_answers(registration, j);
    },
};

const AK_04: Rule = Rule {
    id: "AK-04",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.5.3; TS 34.229-1 clause 9.1",
    text: "A challenge whose MAC is wrong is answered by an empty response without auts, with new SPIs and a new port-c, and \
           not over SAs of that challenge.",
    why: "A UE that goes on believes a network that does not know its key.",
    right: "response=\"\" and Security-Client with new spi-c, spi-s, port-c",
    wrong: "a response, or the old SPIs",
    judge: |registration, context, j| {
        for answer in answers_to_challenges(registration) {
            let Some(given) = digest_of(answer.register) else { continue };
            let is_empty = given.auts.is_none() && given.response.is_none_or(str::is_empty);
            let mac = mac_is_right(&answer, context);
            if given.auts.is_none() && !is_empty && mac == Some(false) {
                j.wrong(
                    [answer.challenge, answer.register],
                    "an empty response: MAC is wrong under K and OPc",
                    "a response",
                );
            } else if is_empty && mac != Some(true) {
                judge_refusal(&answer, registration, j);
            }
        }
        unseen_answers(registration, j);
    },
};

const AK_05: Rule = Rule {
    id: "AK-05",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3310 clause 3.4; TS 24.229 clause 5.1.1.5.3; TS 34.229-1 clause 9.2",
    text: "A challenge whose SQN is out of range is answered with auts of 14 octets in base64, with new SPIs and a new port-c, \
           and not over SAs of that challenge.",
    why: "With another auts the HSS cannot resynchronise: the loop never ends.",
    right: "auts=\"(20 characters)\"",
    wrong: "auts in hexadecimal",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration) {
            let Some(auts) = digest_of(answer.register).and_then(|digest| digest.auts) else { continue };
            let length = decode(auts).map_or(0, |octets| octets.len());
            if length == 14 {
                judge_refusal(&answer, registration, j);
            } else {
                j.wrong([answer.register], "14 octets in base64", format!("{length} octets: {auts}"));
            }
        }
        unseen_answers(registration, j);
    },
};

const AK_06: Rule = Rule {
    id: "AK-06",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 34.229-1 clauses 9.1 and 9.2",
    text: "After a failed challenge the next valid one is answered over the SAs that it makes.",
    why: "The SAs of the failed challenge have other keys.",
    right: "the answer over the SPIs of the second 401",
    wrong: "the answer over the SPIs of the first 401",
    judge: |registration, _, j| {
        let answers = answers_to_challenges(registration);
        for (index, answer) in answers.iter().enumerate().filter(|(_, answer)| answer.has_response()) {
            let recovers = index > 0
                && !answers[index - 1].has_response()
                && answers[index - 1].register.exchange() == answer.challenged.and_then(Message::exchange);
            let Some(set) = registration.set_of(answer.challenge).filter(|_| recovers) else { continue };
            match answer.register.carried() {
                Carried::Unknown => j.unseen("the trace does not tell what protected it"),
                carried => {
                    let holds = carried.sa().is_some_and(|sa| sa.set == set.index());
                    let messages = || "the SAs of the last challenge".to_owned();
                    j.check(answer.register, holds, messages, || format!("{carried:?}"));
                }
            }
        }
    },
};

const AK_07: Rule = Rule {
    id: "AK-07",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.102 clause 6.3.3",
    text: "AUTS verifies: MAC-S under K and OPc, the RAND of its challenge, and AMF 0000.",
    why: "The HSS refuses it, and the loop goes on.",
    right: "f1* over SQN, RAND and AMF 0000",
    wrong: "f1* over AMF 8000",
    judge: |registration, context, j| {
        for answer in answers_to_challenges(registration) {
            let Some(digest) = digest_of(answer.register) else { continue };
            let Some(auts) = digest.auts.and_then(decode).and_then(|auts| <[u8; 14]>::try_from(auts).ok()) else {
                continue;
            };
            let (Some(rand), Some(keys)) = (rand_of(&answer), keys_for(&answer, context)) else {
                j.unseen("the keys of the subscriber are not known");
                continue;
            };
            let holds = open_auts(keys, &rand, &auts).is_some();
            j.check(answer.register, holds, || "a right MAC-S".to_owned(), || "a wrong one".to_owned());
        }
    },
};

const AK_08: Rule = Rule {
    id: "AK-08",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.5.3",
    text: "A UE answers at most two invalid challenges in a row, and then gives up.",
    why: "A UE with the wrong keys would load the network for ever.",
    right: "two REGISTERs with an empty response, then silence",
    wrong: "a third one",
    judge: |registration, _, j| {
        let mut row: Vec<Message<'_>> = Vec::new();
        for answer in answers_to_challenges(registration) {
            if answer.has_response() {
                row.clear();
                continue;
            }
            row.push(answer.register);
            if row.len() > 2 {
                j.wrong(
                    row.iter().copied(),
                    "two invalid challenges answered at most",
                    format!("{} in a row", row.len()),
                );
            } else {
                j.right(answer.register);
            }
        }
    },
};

const AK_09: Rule = Rule {
    id: "AK-09",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 7616 clauses 3.3 and 3.4; TS 24.229 clause 5.1.1.4.2",
    text: "nonce and opaque of a challenge come back unchanged, of several those of one; nc is eight hexadecimal digits from 00000001 on, and grows with each new \
           response of a nonce.",
    why: "The S-CSCF does not find its challenge and challenges again, or takes the response for a replay.",
    right: "nonce as sent, nc=00000001, then nc=00000002",
    wrong: "nc=1",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration) {
            let (Some(given), Some(asked)) = (digest_of(answer.register), answer.asked()) else {
                continue;
            };
            let shown = |text: Option<&str>| text.unwrap_or("none").to_owned();
            if given.nonce != asked.nonce {
                // An empty one after a failed challenge asks for another (TS 24.229 clause 5.1.1.5.3 keeps it; both occur).
                if given.nonce.is_some_and(|nonce| !nonce.is_empty()) {
                    j.wrong([answer.challenge, answer.register], shown(asked.nonce), shown(given.nonce));
                }
            } else if asked.opaque.is_some() && given.opaque != asked.opaque {
                j.wrong(
                    [answer.challenge, answer.register],
                    format!("opaque {}", shown(asked.opaque)),
                    shown(given.opaque),
                );
            } else {
                j.right(answer.register);
            }
        }
        judge_counts(registration, j);
        unseen_answers(registration, j);
    },
};

const AK_10: Rule = Rule {
    id: "AK-10",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clauses 5.1.1.2.2, 5.1.1.4.2 and 5.1.1.5.1",
    text: "username, realm and uri of Authorization are the same in every REGISTER of a registration.",
    why: "The challenge is for one private identity: the answer of another is refused with 403.",
    right: "username=\"001010000000001@ims..\" in both",
    wrong: "username=\"001010000000001@ims..\", then username=\"001010000000001\"",
    judge: |registration, _, j| {
        let with: Vec<_> = walk::registers(registration)
            .into_iter()
            .filter_map(|(message, sip)| Some((message, sip.to().ok()?.uri.text, digest_of(message)?)))
            .collect();
        let mut known: HashMap<&str, &(Message<'_>, &str, &Digest<'_>)> = HashMap::new();
        for register in &with {
            let (message, impu, digest) = register;
            let Some((first, _, before)) = known.get(impu) else {
                known.insert(impu, register);
                if with.len() == 1 {
                    j.unseen("the trace shows one REGISTER with Authorization only");
                }
                continue;
            };
            let parts = [
                ("username", before.username, digest.username),
                ("realm", before.realm, digest.realm),
                ("uri", before.uri, digest.uri),
            ];
            match parts.into_iter().find(|(_, old, new)| old != new) {
                Some((name, old, new)) => {
                    let shown = |value: Option<&str>| format!("{name} {}", value.unwrap_or("absent"));
                    j.wrong([*first, *message], shown(old), shown(new));
                }
                None => j.right(*message),
            }
        }
    },
};

const AK_11: Rule = Rule {
    id: "AK-11",
    severity: Severity::Warning,
    side: Side::Hss,
    clause: "TS 33.102 clause 6.3.2",
    text: "No RAND comes twice, and SQN grows from vector to vector.",
    why: "A USIM refuses an SQN of before, and a RAND of before has CK and IK of before.",
    right: "another nonce in each 401",
    wrong: "the same nonce in two 401s",
    judge: |registration, context, j| {
        let mut known: HashMap<[u8; 16], Message<'_>> = HashMap::new();
        let (mut before, mut count): (Option<(Message<'_>, Option<u64>)>, usize) = (None, 0);
        for (message, digest) in challenges_read(registration) {
            let Some((rand, autn)) = digest.filter(|digest| is_aka(digest)).and_then(|_| rand_autn(message)) else {
                continue;
            };
            let keys = registration.impi().and_then(|impi| context.keys_of(impi));
            let sqn = keys.map(|keys| open_autn(keys, &rand, &autn).sqn);
            // After AUTS it goes on from that of the USIM, which may be lower (TS 33.102 clause 6.3.5).
            let asked = message.exchange().and_then(|exchange| exchange.request()).and_then(digest_of);
            let is_synchronised = asked.is_some_and(|digest| digest.auts.is_some());
            let older = before
                .filter(|(_, old)| !is_synchronised && matches!((old, sqn), (Some(old), Some(new)) if new <= *old));
            if let Some(first) = known.get(&rand) {
                j.wrong([*first, message], "a new RAND", "that of before");
            } else if let Some((last, old)) = older {
                let text = |sqn: Option<u64>| sqn.map_or_else(String::new, |sqn| format!("{sqn:012x}"));
                j.wrong([last, message], format!("SQN above {}", text(old)), text(sqn));
            } else if before.is_some() {
                j.right(message);
            }
            known.entry(rand).or_insert(message);
            count += 1;
            before = Some((message, sqn));
        }
        if count == 1 {
            j.unseen("the trace shows one challenge only");
        }
    },
};

const AK_12: Rule = Rule {
    id: "AK-12",
    severity: Severity::Warning,
    side: Side::Scscf,
    clause: "TS 24.229 clauses 5.4.1.2.1 and 7.8 (reg-await-auth)",
    text: "A challenge waits four minutes for its answer; a later answer is challenged again or refused.",
    why: "A nonce that never ends can be used by whoever recorded it.",
    right: "401 to an answer after five minutes",
    wrong: "200 to it",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration).into_iter().filter(Answering::has_response) {
            let Some(waited) = answer.register.since(answer.challenge) else {
                j.unseen("the trace does not show times");
                continue;
            };
            let end = answer.register.exchange().and_then(|exchange| exchange.last());
            match end {
                Some(end) if waited > REG_AWAIT_AUTH && end.status() == Some(200) => {
                    let found = format!("200 after {}", walk::seconds(waited));
                    j.wrong(
                        [answer.challenge, answer.register, end],
                        "another challenge, or a refusal, after 240 s",
                        found,
                    );
                }
                Some(end) => j.right(end),
                None => j.unseen("the answer to it is not in the trace"),
            }
        }
        unseen_answers(registration, j);
    },
};

const AK_13: Rule = Rule {
    id: "AK-13",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.4.2",
    text: "A re-registration repeats the last nonce and response, or answers a new challenge; its nonce is not empty.",
    why: "An empty nonce forces a challenge, and a new set of SAs, at each refresh.",
    right: "the Authorization of before",
    wrong: "nonce=\"\"",
    judge: |registration, _, j| {
        for attempt in registration.attempts_of(Kind::Refresh) {
            let Some(request) = attempt.request().filter(|request| request.from() == Some(Role::Ue)) else { continue };
            match digest_of(request) {
                Some(digest) if digest.nonce.is_none_or(str::is_empty) => {
                    j.wrong([request], "the last nonce", "an empty one")
                }
                Some(_) => j.right(request),
                None => j.wrong([request], "Authorization with the last nonce", "none"),
            }
        }
        walk::unseen_where_shut(registration, j);
    },
};

const AK_14: Rule = Rule {
    id: "AK-14",
    severity: Severity::Error,
    side: Side::Hss,
    clause: "TS 33.102 clause 6.3.3",
    text: "MAC-A of AUTN verifies under K, OPc and the AMF in AUTN.",
    why: "The UE refuses the challenge: it sends an empty response, or nothing. K, OP taken for OPc, OPc expanded again, or \
          another algorithm are the usual causes.",
    right: "f1 over SQN, RAND and AMF",
    wrong: "f1 with OP in place of OPc",
    judge: |registration, context, j| {
        for (message, digest) in challenges_read(registration) {
            let Some((rand, autn)) = digest.filter(|digest| is_aka(digest)).and_then(|_| rand_autn(message)) else {
                continue;
            };
            let Some(keys) = registration.impi().and_then(|impi| context.keys_of(impi)) else {
                j.unseen("the keys of the subscriber are not known");
                continue;
            };
            j.check(
                message,
                open_autn(keys, &rand, &autn).is_genuine,
                || "a right MAC-A".to_owned(),
                || "a wrong one".to_owned(),
            );
        }
    },
};

/// New SPIs and port-c, and nothing over SAs of the challenge that was refused.
fn judge_refusal(answer: &Answering<'_>, registration: &Registration<'_>, j: &mut Judgement) {
    let set = registration.set_of(answer.challenge);
    let over_it = set.filter(|set| answer.register.carried().sa().is_some_and(|sa| sa.set == set.index()));
    if over_it.is_some() {
        return j.wrong([answer.challenge, answer.register], "outside the SAs of that challenge", "over them");
    }
    let list = |message: Option<Message<'_>>| {
        let sip = message.and_then(Message::sip);
        sip.and_then(|sip| {
            Element::ipsec(sip, HeaderName::SecurityClient)
                .first()
                .map(|e| ["spi-c", "spi-s", "port-c"].map(|n| e.number(n)))
        })
    };
    let (Some(before), Some(now)) = (list(answer.challenged), list(Some(answer.register))) else {
        return j.right(answer.register);
    };
    let kept: Vec<&str> = ["spi-c", "spi-s", "port-c"]
        .into_iter()
        .zip(before.iter().zip(&now))
        .filter(|(_, (a, b))| a == b)
        .map(|(name, _)| name)
        .collect();
    if kept.is_empty() {
        j.right(answer.register);
    } else {
        j.wrong(
            answer.challenged.into_iter().chain([answer.register]),
            "new spi-c, spi-s and port-c",
            format!("{} as before", kept.join(", ")),
        );
    }
}

/// nc over all uses of a nonce.
fn judge_counts(registration: &Registration<'_>, j: &mut Judgement) {
    let mut used: HashMap<&str, (&str, u64, Message<'_>)> = HashMap::new();
    for (message, _) in walk::registers(registration) {
        let Some(digest) = digest_of(message) else { continue };
        let (Some(nonce), Some(_), Some(nc)) = (digest.nonce, digest.qop, digest.nc) else { continue };
        let is_form = nc.len() == 8 && nc.bytes().all(|b| b.is_ascii_hexdigit());
        let count = u64::from_str_radix(nc, 16).unwrap_or_default();
        match used.insert(nonce, (digest.text, count, message)) {
            _ if !is_form => j.wrong([message], "eight hexadecimal digits", format!("nc={nc}")),
            None if count != 1 && registration.observable().beginning => {
                j.wrong([message], "nc=00000001", format!("nc={nc}"))
            }
            // An octet-equal repetition is the old response, not a new one.
            Some((text, before, earlier)) if count <= before && text != digest.text => {
                j.wrong([earlier, message], format!("nc above {before:08x}"), format!("nc={nc}"));
            }
            _ => j.right(message),
        }
    }
}

/// Challenges as the UE gets them, with what they say.
fn challenges_read<'r>(registration: &'r Registration<'r>) -> Vec<(Message<'r>, Option<&'r Digest<'r>>)> {
    challenges(registration).into_iter().map(|(message, _)| (message, first_challenge(message))).collect()
}

fn unseen_challenges(registration: &Registration<'_>, j: &mut Judgement) {
    if challenges(registration).is_empty()
        && !registration.observable().downlink
        && registration.messages().next().is_some()
    {
        j.unseen("the trace shows nothing that the UE was sent");
    }
}

/// Notes challenges without an answer that the trace shows.
fn unseen_answers(registration: &Registration<'_>, j: &mut Judgement) {
    let answered = walk::answered(&answers_to_challenges(registration));
    if challenges(registration).iter().any(|(challenge, _)| !answered.contains(&challenge.index())) {
        j.unseen("the trace shows no answer to a challenge");
    }
}

const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);
