//! The answer of the UE to the challenge, over its new SAs, and what the P-CSCF makes of it (TS 24.229 clauses 5.1.1.5.1 and
//! 5.2.2.2, TS 33.203 clauses 7.1 to 7.3, RFC 3329 clause 2.3.1).

use super::element::{Element, Tuple, difference, pairs};
use super::walk::{self, Answering, answers_to_challenges, best_of};
use crate::event::Role;
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, PortPair};
use crate::packet::Transport;
use crate::sip::header::contact::Contacts;
use crate::sip::{HeaderName, Method};
use crate::trace::story::{Carried, Interface, Message, Set};
use crate::trace::{Esp, Icv, OpenedBy, Place, Protection, Shut, Step};
use crate::validate::{Judgement, Rule, Severity, Side};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

pub(super) const RULES: &[&Rule] =
    &[&SA_40, &SA_41, &SA_42, &SA_43, &SA_44, &SA_45, &SA_46, &SA_47, &SA_48, &SA_49, &SA_50, &SA_51];

const SA_40: Rule = Rule {
    id: "SA-40",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1; TS 34.229-1 clause 8.1, step 3b",
    text: "The UE takes the element of Security-Server with the highest q of those that it offered as a whole, and does not \
           mix the algorithms of two.",
    why: "The two ends use different keys or algorithms: ESP that nobody opens, and silence.",
    right: "offered sha1 with aes-cbc and md5 with null, served both: sha1 with aes-cbc in ESP",
    wrong: "the same: sha1 with null in ESP",
    judge: |registration, _, j| {
        for set in registration.sets() {
            // SA-10 says so: which element has the highest q is not told.
            let server = set.challenge().sip().map(|sip| Element::ipsec(sip, HeaderName::SecurityServer));
            if server.is_some_and(|all| all.iter().any(|element| element.q() == Some(None))) {
                continue;
            }
            let Some(tuple) = best_of(set) else { continue };
            let from_ue = set.messages().filter(|message| message.from() == Some(Role::Ue));
            let mut seen = false;
            for message in from_ue {
                let Protection::Esp(esp) = message.record().protection else { continue };
                seen = true;
                if let Some(found) = under_another(&tuple, &esp) {
                    j.wrong([set.challenge(), message], tuple.to_string(), found);
                } else if esp.icv == Icv::Right {
                    j.right(message);
                } else {
                    j.unseen("no key is known that tells the integrity algorithm");
                }
            }
            // Over TCP a SYN may be all that the UE gets to send.
            let pcscf = set.pcscf();
            let asked = set.connections().find_map(|step| match step.connection.protection {
                Protection::Esp(esp) if pcscf.is_some_and(|end| [end.spi_c, end.spi_s].contains(&Spi(esp.spi))) => {
                    under_another(&tuple, &esp)
                }
                _ => None,
            });
            if let Some(found) = asked.filter(|_| !seen) {
                j.wrong([set.challenge()], tuple.to_string(), found);
            } else if !seen {
                j.unseen("ESP of the UE is not in the trace, or stays shut");
            }
        }
    },
};

const SA_41: Rule = Rule {
    id: "SA-41",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.1.1.5.1",
    text: "Where nothing is in common the UE gives up; it does not go on in clear.",
    why: "A man in the middle who cuts the lists would take the protection away.",
    right: "no answer to the challenge, or a new REGISTER with another offer",
    wrong: "the answer to the challenge in clear",
    judge: |registration, _, j| {
        let answers = answers_to_challenges(registration);
        let by_challenge: HashMap<usize, &Answering<'_>> =
            answers.iter().rev().map(|answer| (answer.challenge.index(), answer)).collect();
        for set in registration.sets() {
            let (Some(offer), None) = (set.offer(), best_of(set)) else { continue };
            let Some(sip) = offer.sip().filter(|sip| !Element::ipsec(sip, HeaderName::SecurityClient).is_empty())
            else {
                continue;
            };
            let answered = by_challenge
                .get(&set.challenge().index())
                .filter(|answer| answer.has_response() && answer.register.carried() == Carried::Clear);
            match answered {
                Some(answer) => {
                    let expected = format!(
                        "nothing after a list without {}",
                        pairs(&Element::ipsec(sip, HeaderName::SecurityClient))
                    );
                    j.wrong([set.challenge(), answer.register], expected, "an answer in clear");
                }
                None => j.right(set.challenge()),
            }
        }
    },
};

const SA_42: Rule = Rule {
    id: "SA-42",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.1.1.5.1",
    text: "The REGISTER that answers the challenge repeats Security-Server as Security-Verify: all elements in the same order, \
           every parameter with its value, q too. With auts or an empty response over an SA of before: that of the last \
           successful authentication.",
    why: "The copy proves that nobody changed the list on its way; a P-CSCF refuses anything else with 494 or 403.",
    right: "Security-Verify: ipsec-3gpp;q=0.2;alg=hmac-sha-1-96;.., ipsec-3gpp;q=0.1;alg=hmac-md5-96;..",
    wrong: "Security-Verify: ipsec-3gpp;alg=hmac-sha-1-96;..",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration) {
            let Some((server, wanted)) = answer.security_server() else { continue };
            let Some(sip) = answer.register.sip() else { continue };
            let verify = Element::all(sip, HeaderName::SecurityVerify);
            match difference(&wanted, &verify) {
                _ if verify.is_empty() => j.wrong([server, answer.register], "Security-Verify", "none"),
                Some((wanted, found)) => j.wrong([server, answer.register], wanted, found),
                None => j.right(answer.register),
            }
        }
        unseen_answers(registration, j);
    },
};

const SA_43: Rule = Rule {
    id: "SA-43",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.5.1; TS 33.203 clause 7.2",
    text: "The REGISTER that answers the challenge has the Security-Client of the REGISTER that was challenged.",
    why: "The P-CSCF compares both: a difference is a man in the middle, and ends the registration.",
    right: "spi-c=4096;spi-s=4097 in both",
    wrong: "spi-c=4096;spi-s=4097, then spi-c=4098;spi-s=4099",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration).into_iter().filter(Answering::has_response) {
            let (Some(sip), Some(before)) = (answer.register.sip(), answer.challenged.and_then(Message::sip)) else {
                continue;
            };
            let offered = Element::all(before, HeaderName::SecurityClient);
            if offered.is_empty() || answer.security_server().is_none() {
                continue;
            }
            let again = Element::all(sip, HeaderName::SecurityClient);
            let messages = answer.challenged.into_iter().chain([answer.register]);
            match difference(&offered, &again) {
                _ if again.is_empty() => j.wrong(messages, "Security-Client", "none"),
                Some((wanted, found)) => j.wrong(messages, wanted, found),
                None => j.right(answer.register),
            }
        }
        unseen_answers(registration, j);
    },
};

const SA_44: Rule = Rule {
    id: "SA-44",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1",
    text: "The REGISTER that answers the challenge names sec-agree in Require and in Proxy-Require again.",
    why: "Security-Verify without the option tags is not looked at, or the request is refused.",
    right: "Require: sec-agree\nProxy-Require: sec-agree\nSecurity-Verify: ..",
    wrong: "Security-Verify: ..",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration).into_iter().filter(Answering::has_response) {
            let (Some(sip), Some(_)) = (answer.register.sip(), answer.security_server()) else { continue };
            check_tags(answer.register, sip, j);
        }
        unseen_answers(registration, j);
    },
};

const SA_45: Rule = Rule {
    id: "SA-45",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.1",
    text: "The REGISTER that answers the challenge goes in ESP from port-c of the UE to port-s of the P-CSCF.",
    why: "In clear it is dropped; from another port no SA takes it.",
    right: "ESP, 31000 to 6100",
    wrong: "UDP 5060 to 5060 in clear",
    judge: |registration, context, j| {
        for answer in answers_to_challenges(registration).into_iter().filter(Answering::has_response) {
            let Some(set) = registration.set_of(answer.challenge) else { continue };
            let (Some(ue), Some(pcscf)) = (set.ue(), set.pcscf()) else { continue };
            if best_of(set).is_none() {
                continue;
            }
            let register = answer.register;
            let expected = format!("ESP from port {} to port {}", ue.port_c, pcscf.port_s);
            match register.carried() {
                Carried::Sa(sa) if (sa.set, sa.pair) == (set.index(), PortPair::UcPs) => match register.record().ends {
                    Some(ends) if (ends.from.port(), ends.to.port()) != (ue.port_c, pcscf.port_s) => {
                        j.wrong(
                            [register],
                            expected,
                            format!("ESP from port {} to port {}", ends.from.port(), ends.to.port()),
                        );
                    }
                    _ => j.right(register),
                },
                Carried::Ports(sa) if context.esp_is_off && (sa.set, sa.pair) == (set.index(), PortPair::UcPs) => {
                    j.right(register)
                }
                Carried::Sa(_) => j.wrong([register], expected, "another SA"),
                Carried::Clear | Carried::Ports(_) => j.wrong([register], expected, "in clear"),
                Carried::Foreign => j.wrong([register], expected, "ESP of another agreement"),
                Carried::Unknown => j.unseen("the trace does not tell what protected it"),
            }
        }
        unseen_answers(registration, j);
    },
};

const SA_46: Rule = Rule {
    id: "SA-46",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.2; TS 34.229-1 annex A.1.1, condition A2",
    text: "In a protected REGISTER Contact and, over UDP, sent-by of Via name port-s of the UE.",
    why: "What the network sends to the UE goes there: to another port it finds no SA.",
    right: "Contact: <sip:u@10.0.0.7:31001>\nVia: SIP/2.0/UDP 10.0.0.7:31001;..",
    wrong: "Contact: <sip:u@10.0.0.7:5060>",
    judge: |registration, context, j| {
        for (register, sip) in walk::registers(registration) {
            let sa = match register.carried() {
                Carried::Sa(sa) => sa,
                Carried::Ports(sa) if context.esp_is_off => sa,
                _ => continue,
            };
            let Some(port_s) = registration.set(sa.set).ue().map(|ue| ue.port_s) else { continue };
            let contact = match sip.contacts() {
                Ok(Contacts::List(contacts)) => contacts.first().map(|contact| contact.address.uri.port),
                _ => None,
            };
            let via = sip.via().ok().filter(|via| via.transport.eq_ignore_ascii_case("UDP")).map(|via| via.port);
            let shown = |port: Option<u16>| port.map_or_else(|| "no port".to_owned(), |port| port.to_string());
            if let Some(port) = contact.filter(|port| *port != Some(port_s)) {
                j.wrong([register], format!("port {port_s} in Contact"), shown(port));
            } else if let Some(port) = via.filter(|port| *port != Some(port_s)) {
                j.wrong([register], format!("port {port_s} in Via"), shown(port));
            } else {
                j.right(register);
            }
        }
        unseen_answers(registration, j);
    },
};

const SA_47: Rule = Rule {
    id: "SA-47",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.1; TS 24.229 clause 5.1.1.2.2",
    text: "The answer to a protected REGISTER comes over UDP from port-c of the P-CSCF to port-s of the UE, over TCP on the \
           connection of the REGISTER.",
    why: "From another port it belongs to no SA of the UE, which drops it. One network in the corpus answers from port-s to \
          port-c, and its UE takes that.",
    right: "200 over UDP, 5100 to 31001",
    wrong: "200 over UDP, 6100 to 31000",
    judge: |registration, context, j| {
        for (register, _) in walk::registers(registration) {
            let set = match register.carried() {
                Carried::Sa(sa) => sa.set,
                Carried::Ports(sa) if context.esp_is_off => sa.set,
                _ => continue,
            };
            let set = registration.set(set);
            let (Some(ue), Some(pcscf), Some(exchange)) = (set.ue(), set.pcscf(), register.exchange()) else {
                continue;
            };
            for answer in exchange.answers().filter(|answer| answer.repeats().is_none()) {
                let (Some(asked), Some(ends)) = (register.record().ends, answer.record().ends) else {
                    j.unseen("the trace does not show addresses");
                    continue;
                };
                let found = format!("{} from port {} to port {}", ends.transport, ends.from.port(), ends.to.port());
                if asked.transport == Transport::Udp {
                    let ports = (ends.from.port(), ends.to.port());
                    let expected = || format!("UDP from port {} to port {}", pcscf.port_c, ue.port_s);
                    j.check(answer, ports == (pcscf.port_c, ue.port_s), expected, || found);
                } else {
                    let expected = || format!("the connection {} to {}", asked.to, asked.from);
                    j.check(answer, (ends.from, ends.to) == (asked.to, asked.from), expected, || found);
                }
            }
        }
        unseen_answers(registration, j);
    },
};

const SA_48: Rule = Rule {
    id: "SA-48",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.3.3; TS 24.229 clause 5.2.2.2; RFC 3329 clause 2.3.1",
    text: "A Security-Verify or Security-Client that differs ends the registration, and one that says the same does not.",
    why: "Taking a changed list makes the agreement worthless; refusing a list for its spelling keeps sound handsets out.",
    right: "494 to a Security-Verify without one element; 200 to one with its parameters in another order",
    wrong: "200 to the first, or 494 to the second",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration).into_iter().filter(Answering::has_response) {
            let (Some(sip), Some((_, wanted))) = (answer.register.sip(), answer.security_server()) else { continue };
            let Some(end) = answer.register.exchange().and_then(|exchange| exchange.last()) else {
                j.unseen("the answer to it is not in the trace");
                continue;
            };
            let verify = Element::all(sip, HeaderName::SecurityVerify);
            let offered =
                answer.challenged.and_then(Message::sip).map(|sip| Element::all(sip, HeaderName::SecurityClient));
            let client = Element::all(sip, HeaderName::SecurityClient);
            let differs = difference(&wanted, &verify).is_some()
                || offered.as_ref().is_some_and(|offered| difference(offered, &client).is_some());
            let status = end.status().unwrap_or_default();
            let about_it = status == 494
                || (400..500).contains(&status)
                    && end.sip().is_some_and(|sip| sip.header(HeaderName::SecurityServer).is_some() && status != 401);
            match (differs, status) {
                (true, 200..=299) => {
                    j.wrong([answer.register, end], "a refusal", format!("{status} to lists that differ"))
                }
                // One in clear is refused for that.
                (false, _) if about_it && answer.register.carried() != Carried::Clear => {
                    j.wrong([answer.register, end], "no refusal of lists that say the same", status.to_string());
                }
                _ => j.right(end),
            }
        }
        unseen_answers(registration, j);
    },
};

const SA_49: Rule = Rule {
    id: "SA-49",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "RFC 3329 clause 2.3.1; TS 24.229 clause 5.1.1.4.2",
    text: "Later requests over the SAs (not ACK and CANCEL) repeat Security-Verify and both option tags.",
    why: "The first hop cannot know that the agreement is still the one it made; some P-CSCFs refuse with 494.",
    right: "SUBSCRIBE with Require, Proxy-Require and Security-Verify",
    wrong: "SUBSCRIBE without them",
    judge: |registration, context, j| {
        let answers: HashSet<usize> =
            answers_to_challenges(registration).iter().map(|answer| answer.register.index()).collect();
        for message in
            registration.messages().filter(|m| m.is_request() && m.from() == Some(Role::Ue) && m.repeats().is_none())
        {
            let protected = match message.carried() {
                Carried::Sa(_) | Carried::Foreign => true,
                Carried::Ports(_) => context.esp_is_off,
                Carried::Clear | Carried::Unknown => false,
            };
            if protected && message.cut {
                j.unseen("the capture holds only the beginning of a request");
                continue;
            }
            let Some(sip) = message.sip().filter(|_| protected && !answers.contains(&message.index())) else {
                continue;
            };
            if matches!(sip.method(), Some(Method::Ack | Method::Cancel)) {
                continue;
            }
            if sip.header(HeaderName::SecurityVerify).is_none() {
                j.wrong([message], "Security-Verify", "none");
            } else {
                check_tags(message, sip, j);
            }
        }
        walk::unseen_where_shut(registration, j);
    },
};

const SA_50: Rule = Rule {
    id: "SA-50",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 33.203 clause 7.1 and annex I; RFC 4303 clause 3.4.4",
    text: "Every ESP packet on an agreed SPI has a good ICV, and decrypts, under the keys that the agreed pair makes of CK and IK.",
    why: "One end expands the keys otherwise, or has another CK or IK: the other end drops everything without a word.",
    right: "hmac-sha-1-96: IK and 32 zero bits; hmac-md5-96: IK; aes-cbc: CK",
    wrong: "CK used for integrity",
    judge: |registration, _, j| {
        for set in registration.sets().filter(|set| !is_refused_by_ue(*set)) {
            for message in set.messages() {
                match message.record().protection {
                    Protection::Esp(esp) if esp.icv == Icv::Right => j.right(message),
                    Protection::Esp(esp) if esp.icv == Icv::Wrong => {
                        j.wrong(
                            [set.challenge(), message],
                            "a good ICV under the agreed keys",
                            format!("a wrong one on SPI {}", esp.spi),
                        );
                    }
                    Protection::Esp(_) => j.unseen("the keys of the SAs are not known"),
                    _ => {}
                }
            }
            // Over TCP the first SYN is all that there will be.
            let mut asked = set.connections().filter_map(|step| match step.connection.protection {
                Protection::Esp(esp) if esp.icv == Icv::Wrong => Some((step.place, esp.spi)),
                _ => None,
            });
            if let Some((place, spi)) = asked.next() {
                let found = format!("a wrong one on SPI {spi}, around a segment without data ({place})");
                j.wrong([set.challenge()], "a good ICV under the agreed keys", found);
            }
            for shut in set.shut() {
                let bad = shut.first.iter().any(|(.., sealed)| matches!(sealed.why, Shut::WrongIcv | Shut::Inside));
                if bad {
                    let found = format!("{} packets on SPI {} that do not verify or decrypt", shut.count, shut.spi);
                    j.wrong([set.challenge()], "ESP that the agreed keys open", found);
                } else {
                    j.unseen("the keys of the SAs are not known");
                }
            }
        }
    },
};

const SA_51: Rule = Rule {
    id: "SA-51",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 33.203 clause 7.1",
    text: "A connection that is opened over an SA to port-s (of the P-CSCF, or of the UE) is accepted.",
    why: "One set of SAs is for UDP and TCP; who listens on UDP only loses every message that is too large for it.",
    right: "SYN to 6100 in ESP, SYN and ACK",
    wrong: "SYN to 6100 in ESP again and again",
    judge: |registration, _, j| {
        let steps = registration.connections();
        // Where each connection was accepted last, by its client and its server.
        let mut accepted: HashMap<(SocketAddr, SocketAddr), Place> = HashMap::new();
        for step in steps.iter().filter(|step| step.connection.step == Step::Accepted) {
            let ends = step.connection.ends;
            let last = accepted.entry((ends.to, ends.from)).or_insert(step.place);
            *last = step.place.max(*last);
        }
        let mut sets: HashMap<u16, Set<'_>> = HashMap::new();
        for set in registration.sets() {
            for end in [set.ue(), set.pcscf()].into_iter().flatten() {
                sets.entry(end.port_s).or_insert(set);
            }
        }
        for asked in steps.iter().filter(|step| step.connection.step == Step::Asked) {
            let ends = asked.connection.ends;
            let is_protected = matches!(asked.connection.protection, Protection::Esp(_) | Protection::Set(_));
            let Some(set) = sets.get(&ends.to.port()).filter(|_| is_protected) else { continue };
            let answered = accepted.get(&(ends.from, ends.to)).is_some_and(|last| *last >= asked.place);
            if answered {
                j.right(set.challenge());
            } else if patience_is_over(asked.at, registration.observable().until) {
                j.wrong(
                    [set.challenge()],
                    format!("a connection to port {}", ends.to.port()),
                    format!("SYN ({}) without SYN and ACK", asked.place),
                );
            } else {
                j.unseen("the trace ends before the connection could be accepted");
            }
        }
    },
};

/// True where the UE answered the challenge with auts or an empty response: it made no SAs of it.
fn is_refused_by_ue(set: Set<'_>) -> bool {
    let challenge = set.challenge();
    let attempt = set.attempt();
    attempt.into_iter().flat_map(|attempt| attempt.journeys().collect::<Vec<_>>()).any(|journey| {
        let request = journey.request().filter(|request| request.index() > challenge.index());
        let digest = request.and_then(Message::credentials);
        digest.is_some_and(|digest| digest.auts.is_some() || digest.response.is_none_or(str::is_empty))
    })
}

/// What ESP shows, where it is not under these algorithms.
fn under_another(tuple: &Tuple, esp: &Esp) -> Option<String> {
    if esp.by == OpenedBy::Trial && tuple.ealg() != "null" {
        return Some("ESP with null encryption".to_owned());
    }
    let pair = esp.pair.filter(|pair| !is_pair(tuple, *pair))?;
    Some(format!("ESP under {} with {}", pair.integrity.as_str(), pair.encryption.as_str()))
}

fn is_pair(tuple: &Tuple, pair: Algorithms) -> bool {
    tuple.alg() == pair.integrity.as_str() && tuple.ealg() == pair.encryption.as_str()
}

fn check_tags(message: Message<'_>, sip: &crate::sip::Message<'_>, j: &mut Judgement) {
    let missing: Vec<&str> = [(HeaderName::Require, "Require"), (HeaderName::ProxyRequire, "Proxy-Require")]
        .into_iter()
        .filter(|(name, _)| !sip.has_option(*name, "sec-agree"))
        .map(|(_, text)| text)
        .collect();
    let expected = || "sec-agree in Require and Proxy-Require".to_owned();
    j.check(message, missing.is_empty(), expected, || format!("none in {}", missing.join(" and ")));
}

/// Notes challenges whose answer may be in ESP that stays shut, or behind the end of the trace.
fn unseen_answers(registration: &crate::trace::story::Registration<'_>, j: &mut Judgement) {
    let answered = walk::answered(&answers_to_challenges(registration));
    for set in registration.sets() {
        if answered.contains(&set.challenge().index()) {
            continue;
        }
        if set.shut().next().is_some() {
            j.unseen("the answer to the challenge is in ESP that stays shut");
        } else {
            j.unseen("the trace shows no answer to the challenge");
        }
    }
    let offered = || {
        registration
            .on(Interface::Gm)
            .filter_map(|exchange| exchange.request())
            .filter_map(Message::sip)
            .any(walk::has_sound_offer)
    };
    if registration.sets().next().is_none() && offered() && !registration.observable().downlink {
        j.unseen("the trace shows nothing that the UE was sent");
    }
}

/// Longer than any stack takes to send its third SYN.
fn patience_is_over(since: Option<crate::time::Instant>, until: Option<crate::time::Instant>) -> bool {
    matches!((since, until), (Some(since), Some(until)) if until - since > crate::time::Duration::from_secs(7))
}
