//! What a REGISTER of the UE holds (TS 24.229 clauses 5.1.1.2 and 5.1.1.4, TS 34.229-1 annex A.1.1).

use super::walk::{answers_to_challenges, first_registers, registers_or_unseen};
use crate::identity::home_domain;
use crate::packet::Transport;
use crate::sip::header::contact::{Contact, Contacts};
use crate::sip::{self, HeaderName};
use crate::time::Duration;
use crate::trace::story::{Carried, Message};
use crate::validate::{Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[
    &RG_01, &RG_02, &RG_03, &RG_04, &RG_05, &RG_06, &RG_07, &RG_08, &RG_09, &RG_10, &RG_11, &RG_12, &RG_13, &RG_14,
    &RG_15, &RG_16, &RG_17,
];

const RG_01: Rule = Rule {
    id: "RG-01",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1 f)",
    text: "The Request-URI of a REGISTER is the SIP URI of the home domain, without a user part.",
    why: "Routing to the home network goes by that domain; with a user part the request is for somebody, not for the registrar.",
    right: "REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org SIP/2.0",
    wrong: "REGISTER sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org SIP/2.0",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            let text = sip.request_uri().unwrap_or_default();
            let holds = sip::Uri::parse(text)
                .is_ok_and(|uri| (uri.is_sip() || uri.is_sips()) && uri.user.is_none() && uri.ip().is_none());
            j.check(message, holds, || "sip: and the home domain".to_owned(), || text.to_owned());
        }
    },
};

const RG_02: Rule = Rule {
    id: "RG-02",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1 a) and b); TS 23.003 clause 13",
    text: "From and To of a REGISTER are the public identity to be registered, a SIP URI; without ISIM that which follows from \
           the IMSI.",
    why: "With two identities the S-CSCF takes a third-party registration, which no UE may do.",
    right: "From: <sip:001010000000001@ims..>;tag=1\nTo: <sip:001010000000001@ims..>",
    wrong: "From: <tel:+15550100>;tag=1\nTo: <sip:001010000000001@ims..>",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            let (Ok(from), Ok(to)) = (sip.from(), sip.to()) else {
                j.wrong([message], "From and To", "one that cannot be read");
                continue;
            };
            let is_sip = to.uri.is_sip() || to.uri.is_sips();
            let expected = || "one SIP URI in From and To".to_owned();
            j.check(message, is_sip && from.uri.equivalent(&to.uri), expected, || {
                format!("{} and {}", from.uri.text, to.uri.text)
            });
        }
    },
};

const RG_03: Rule = Rule {
    id: "RG-03",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 23.003 clause 13.2",
    text: "A home domain that follows from an IMSI is ims.mncNNN.mccMMM.3gppnetwork.org, an MNC of two digits with a zero before \
           it.",
    why: "A domain that nobody serves: the request ends at the first proxy, or the HSS knows no such identity.",
    right: "ims.mnc060.mcc460.3gppnetwork.org for 46060..",
    wrong: "ims.mnc60.mcc460.3gppnetwork.org",
    judge: |registration, _, j| {
        for (message, sip) in first_registers(registration, j) {
            let digest = message.credentials();
            let impi = digest.and_then(|digest| digest.username).filter(|name| !name.is_empty());
            let imsi = impi
                .or_else(|| sip.to().ok().and_then(|to| to.uri.user))
                .map(|name| name.split('@').next().unwrap_or(name));
            let imsi = imsi.filter(|imsi| (14..=15).contains(&imsi.len()) && imsi.bytes().all(|b| b.is_ascii_digit()));
            let Some(host) =
                sip.request_uri().and_then(|uri| sip::Uri::parse(uri).ok()).map(|uri| uri.host.to_ascii_lowercase())
            else {
                continue;
            };
            if !host.ends_with(".3gppnetwork.org") {
                continue;
            }
            let derived: Vec<String> = imsi
                .into_iter()
                .flat_map(|imsi| [2, 3].map(|digits| home_domain(imsi, digits)))
                .flatten()
                .map(|realm| realm.as_str().to_owned())
                .collect();
            let holds = if derived.is_empty() { is_home_domain(&host) } else { derived.contains(&host) };
            let expected = || {
                if derived.is_empty() { "ims.mncNNN.mccMMM.3gppnetwork.org".to_owned() } else { derived.join(" or ") }
            };
            j.check(message, holds, expected, || host.clone());
        }
    },
};

const RG_04: Rule = Rule {
    id: "RG-04",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1 e)",
    text: "The UE asks for 600000 seconds.",
    why: "A shorter time makes it register more often than the network wants, and 423 more likely.",
    right: "Expires: 600000",
    wrong: "Expires: 3600",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            let asked = contact(sip).and_then(|contact| contact.expires).or_else(|| sip.expires());
            match asked {
                Some(0) => {}
                Some(600_000) => j.right(message),
                Some(other) => j.wrong([message], "600000", other.to_string()),
                None => j.wrong([message], "600000", "no expiry"),
            }
        }
    },
};

const RG_05: Rule = Rule {
    id: "RG-05",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1 g)",
    text: "Supported names path, also gruu and outbound where they are used.",
    why: "A registrar may not store a Path for a UE that does not support it (RFC 3327), and answers 421.",
    right: "Supported: path,gruu",
    wrong: "Supported: sec-agree",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            let has = |tag| sip.has_option(HeaderName::Supported, tag);
            let outbound = contact(sip).is_some_and(|contact| contact.address.params.has("reg-id"));
            if !has("path") {
                j.wrong([message], "path in Supported", sip.header(HeaderName::Supported).unwrap_or("no Supported"));
            } else if outbound && !has("outbound") {
                j.wrong(
                    [message],
                    "outbound in Supported beside reg-id",
                    sip.header(HeaderName::Supported).unwrap_or_default(),
                );
            } else {
                j.right(message);
            }
        }
    },
};

const RG_06: Rule = Rule {
    id: "RG-06",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.2",
    text: "The first REGISTER has Authorization with the private identity, the home domain as realm, uri, and an empty nonce and \
           response.",
    why: "Without it the network does not learn the private identity: 403, or a challenge for somebody else.",
    right: "Authorization: Digest username=\"001010000000001@ims..\",realm=\"ims..\",uri=\"sip:ims..\",nonce=\"\",response=\"\"",
    wrong: "no Authorization",
    judge: |registration, _, j| {
        for (message, sip) in first_registers(registration, j) {
            let uri = sip.request_uri().unwrap_or_default();
            let Some(digest) = message.credentials() else {
                // GIBA and NASS-bundled authentication do without (TS 24.229 clauses 5.1.1.2.5 and 5.1.1.2.6).
                let granted =
                    message.exchange().and_then(|e| e.status()).is_some_and(|status| (200..300).contains(&status));
                if !granted {
                    j.wrong([message], "Authorization with the private identity", "none");
                }
                continue;
            };
            // Over the SAs of another identity the last credentials are repeated.
            let in_clear = message.carried().sa().is_none();
            let home = sip::Uri::parse(uri).map(|uri| uri.host).unwrap_or_default();
            let parts = [
                ("username", digest.username.is_some_and(|name| !name.is_empty()), "the private identity"),
                ("realm", digest.realm.is_some_and(|realm| realm.eq_ignore_ascii_case(home)), home),
                ("uri", digest.uri.is_some_and(|named| named.eq_ignore_ascii_case(uri)), uri),
                ("nonce", digest.nonce.is_some_and(|nonce| nonce.is_empty() || !in_clear), "empty"),
                ("response", digest.response.is_some_and(|response| response.is_empty() || !in_clear), "empty"),
            ];
            match parts.iter().find(|(_, holds, _)| !holds) {
                Some((name, _, expected)) => {
                    let found = digest
                        .params()
                        .find(|(n, ..)| n.eq_ignore_ascii_case(name))
                        .map_or("absent", |(_, value, _)| value);
                    let found = if *name == "response" && found != "absent" { "not empty" } else { found };
                    j.wrong([message], format!("{name}: {expected}"), format!("{name}: {found}"));
                }
                None => j.right(message),
            }
        }
    },
};

const RG_07: Rule = Rule {
    id: "RG-07",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1 h)",
    text: "P-Access-Network-Info is sent only once a security association or TLS protects it.",
    why: "It tells in clear where the subscriber is. Several handsets send it at once.",
    right: "P-Access-Network-Info in the second REGISTER",
    wrong: "P-Access-Network-Info in the first one",
    judge: |registration, _, j| {
        for (message, sip) in first_registers(registration, j) {
            let protected = message.carried() != Carried::Clear && message.carried() != Carried::Unknown
                || message.record().ends.is_some_and(|ends| ends.transport == Transport::Tls);
            if protected {
                continue;
            }
            match sip.header(HeaderName::PAccessNetworkInfo) {
                Some(value) => {
                    j.wrong([message], "none before there are SAs", value.split(';').next().unwrap_or(value))
                }
                None => j.right(message),
            }
        }
    },
};

const RG_08: Rule = Rule {
    id: "RG-08",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "IR.92 clause 2.2.1; TS 24.229 clause 5.1.1.2.1 c); TS 24.341 clause 5.3.2.2",
    text: "Contact has +sip.instance with the IMEI as a URN, and +g.3gpp.icsi-ref with mmtel where audio or video is claimed.",
    why: "The network tells devices apart by the instance, and services by the ICSI: without them there is no voice.",
    right: "Contact: <sip:..>;+sip.instance=\"<urn:gsma:imei:86774304-000024-0>\";+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
    wrong: "Contact: <sip:..>",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            let Some(contact) = contact(sip) else { continue };
            let params = contact.address.params;
            let instance = params.value("+sip.instance").map(str::to_ascii_lowercase);
            let is_urn = |text: &String| ["<urn:gsma:imei:", "<urn:uuid:"].iter().any(|start| text.starts_with(start));
            let speaks = params.has("audio") || params.has("video");
            let icsi = params.value("+g.3gpp.icsi-ref").unwrap_or_default();
            if !instance.as_ref().is_some_and(is_urn) {
                let found = instance.unwrap_or_else(|| "none".to_owned());
                j.wrong([message], "+sip.instance=\"<urn:gsma:imei:..>\"", found);
            } else if speaks && !icsi.contains("mmtel") {
                j.wrong(
                    [message],
                    "mmtel in +g.3gpp.icsi-ref beside audio or video",
                    if icsi.is_empty() { "none" } else { icsi },
                );
            } else {
                j.right(message);
            }
        }
    },
};

const RG_09: Rule = Rule {
    id: "RG-09",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clauses 7.2A.8 and 7.9.2",
    text: "The value of +g.3gpp.icsi-ref is quoted, and its colons are written %3A.",
    why: "Application servers compare the value as text: another spelling is another service.",
    right: "+g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"",
    wrong: "+g.3gpp.icsi-ref=urn:urn-7:3gpp-service.ims.icsi.mmtel",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            for line in sip.values(HeaderName::Contact) {
                let lower = line.to_ascii_lowercase();
                let Some(at) = lower.find("+g.3gpp.icsi-ref=") else { continue };
                let value = &line[at + "+g.3gpp.icsi-ref=".len()..];
                let quoted = value.strip_prefix('"').and_then(|value| value.split('"').next());
                let text = quoted.unwrap_or_else(|| value.split([';', ',']).next().unwrap_or(value));
                let holds = quoted.is_some() && !text.contains(':') && text.to_ascii_lowercase().contains("%3a");
                let found = || if quoted.is_some() { format!("\"{text}\"") } else { text.to_owned() };
                j.check(message, holds, || "\"urn%3Aurn-7%3A3gpp-service.ims.icsi...\"".to_owned(), found);
            }
        }
    },
};

const RG_10: Rule = Rule {
    id: "RG-10",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1 d); RFC 3581",
    text: "Via of an unprotected REGISTER over UDP has rport.",
    why: "Behind a NAT the answer goes to the port in Via and is lost.",
    right: "Via: SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bK1;rport",
    wrong: "Via: SIP/2.0/UDP 10.0.0.7:5060;branch=z9hG4bK1",
    judge: |registration, _, j| {
        for (message, sip) in first_registers(registration, j) {
            let Some(via) = sip.via().ok().filter(|via| via.transport.eq_ignore_ascii_case("UDP")) else { continue };
            if message.carried().sa().is_none() {
                j.check(message, via.params.has("rport"), || "rport".to_owned(), || via.text.to_owned());
            }
        }
    },
};

const RG_11: Rule = Rule {
    id: "RG-11",
    severity: Severity::Info,
    side: Side::Ue,
    clause: "TS 34.229-1 annex A.1.1",
    text: "A REGISTER has no Route; a P-CSCF that meets one with its own name takes it off.",
    why: "A P-CSCF that does not routes the request to itself: 482.",
    right: "no Route",
    wrong: "Route: <sip:pcscf.example;lr>",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            let route = sip.header(HeaderName::Route);
            j.check(message, route.is_none(), || "no Route".to_owned(), || route.unwrap_or_default().to_owned());
        }
    },
};

const RG_12: Rule = Rule {
    id: "RG-12",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3261 clause 10.2; TS 34.229-1 clauses 9.1 and 9.2",
    text: "The REGISTER after a challenge has the Call-ID of the one before, and the next CSeq.",
    why: "Another Call-ID is another registration to the S-CSCF: the nonce is not its own, and it challenges again.",
    right: "CSeq: 1 REGISTER, then CSeq: 2 REGISTER, one Call-ID",
    wrong: "CSeq: 1 REGISTER twice",
    judge: |registration, _, j| {
        for answer in answers_to_challenges(registration) {
            let (Some(before), Some(sip)) = (answer.challenged.and_then(Message::sip), answer.register.sip()) else {
                continue;
            };
            let (Ok(old), Ok(new)) = (before.cseq(), sip.cseq()) else { continue };
            let messages = answer.challenged.into_iter().chain([answer.register]);
            if before.call_id() != sip.call_id() {
                let text = |sip: &sip::Message<'_>| sip.call_id().unwrap_or_default().to_owned();
                j.wrong(messages, format!("Call-ID {}", text(before)), text(sip));
            } else if new.number != old.number.wrapping_add(1) {
                j.wrong(messages, format!("CSeq {}", old.number.wrapping_add(1)), new.number.to_string());
            } else {
                j.right(answer.register);
            }
        }
        if registration.sets().any(|set| set.shut().next().is_some()) {
            j.unseen("the answer to the challenge is in ESP that stays shut");
        }
    },
};

const RG_13: Rule = Rule {
    id: "RG-13",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3261 clause 10.2; TS 24.229 clause 5.1.1.2.1",
    text: "A UE sends no new REGISTER for an identity before the last one has its final answer or has timed out.",
    why: "Two registrations at once: the answer to one meets the challenge of the other.",
    right: "REGISTER, 401, REGISTER",
    wrong: "REGISTER, REGISTER with another Call-ID, 401, 401",
    judge: |registration, _, j| {
        let all = registers_or_unseen(registration, j);
        for pair in all.windows(2) {
            let [(before, old), (after, new)] = [pair[0], pair[1]];
            if old.to().ok().map(|to| to.uri.text) != new.to().ok().map(|to| to.uri.text) {
                continue;
            }
            let answer = before.exchange().and_then(|exchange| exchange.last());
            match answer {
                Some(answer) if answer.index() < after.index() => j.right(after),
                Some(answer) => j.wrong(
                    [before, after, answer],
                    "the final answer first",
                    format!("message {} before it", after.number),
                ),
                None => match after.since(before) {
                    // 64*T1 of RFC 3261; of 3GPP it is four times as long.
                    Some(waited)
                        if waited < TIMER_F
                            && registration.observable().downlink
                            && !was_reset(registration, before, after) =>
                    {
                        j.wrong([before, after], "a final answer or 32 s", format!("{:.1} s", waited.as_secs_f64()));
                    }
                    Some(waited) if waited >= TIMER_F => j.right(after),
                    _ => j.unseen("the trace does not show the answers, or no times"),
                },
            }
        }
    },
};

const RG_14: Rule = Rule {
    id: "RG-14",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "RFC 3261 clause 18.1.1",
    text: "An unprotected request above 1300 octets goes over TCP.",
    why: "Over UDP it is fragmented, and fragments are what radio networks and firewalls lose.",
    right: "TCP for a REGISTER of 1500 octets",
    wrong: "UDP for it",
    judge: |registration, _, j| {
        for (message, _) in registers_or_unseen(registration, j) {
            let Some(ends) = message.record().ends else {
                j.unseen("the trace does not tell the transport");
                continue;
            };
            if message.carried().sa().is_some() {
                continue;
            }
            let length = message.record().bytes.len();
            let holds = length <= 1_300 || ends.transport != Transport::Udp;
            j.check(message, holds, || "TCP above 1300 octets".to_owned(), || format!("{length} octets over UDP"));
        }
    },
};

const RG_15: Rule = Rule {
    id: "RG-15",
    severity: Severity::Warning,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.1.1.2.1",
    text: "The first REGISTER goes to the port that P-CSCF discovery gave, 5060 where it gave none.",
    why: "Nobody listens elsewhere.",
    right: "to port 5060",
    wrong: "to a port that nobody announced",
    judge: |registration, context, j| {
        for (message, _) in first_registers(registration, j) {
            let Some(ends) = message.record().ends else {
                j.unseen("the trace does not show addresses");
                continue;
            };
            let port = ends.to.port();
            let is_standard = port == 5060 || ends.transport == Transport::Tls && port == 5061;
            match context.pcscf_port {
                Some(announced) if announced != port && !(is_standard && announced == 5060) => {
                    j.wrong([message], format!("port {announced}"), format!("port {port}"));
                }
                None if !is_standard => j.unseen("the trace does not tell which port was announced"),
                _ => j.right(message),
            }
        }
    },
};

const RG_16: Rule = Rule {
    id: "RG-16",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "RFC 3261 clauses 8.1.1 and 18.3",
    text: "A REGISTER has Via, From with a tag, To, Call-ID, CSeq and Max-Forwards, and Content-Length on a stream.",
    why: "Without Content-Length nobody knows where a message on a stream ends; without the others it is refused with 400.",
    right: "Content-Length: 0 on TCP",
    wrong: "no Content-Length on TCP",
    judge: |registration, _, j| {
        for (message, sip) in registers_or_unseen(registration, j) {
            if message.record().cut {
                j.unseen("the capture holds only the beginning of the message");
                continue;
            }
            let on_stream = message.record().ends.is_some_and(|ends| ends.transport.is_stream());
            let parts = [
                (sip.via().is_ok(), "Via"),
                (sip.from().is_ok_and(|from| from.params.has("tag")), "From with a tag"),
                (sip.to().is_ok(), "To"),
                (sip.call_id().is_ok(), "Call-ID"),
                (sip.cseq().is_ok(), "CSeq"),
                (matches!(sip.max_forwards(), Ok(Some(_))), "Max-Forwards"),
                (!on_stream || sip.header(HeaderName::ContentLength).is_some(), "Content-Length"),
            ];
            let missing: Vec<&str> = parts.iter().filter(|(there, _)| !there).map(|(_, name)| *name).collect();
            j.check(message, missing.is_empty(), || missing.join(", "), || "absent or unreadable".to_owned());
        }
    },
};

const RG_17: Rule = Rule {
    id: "RG-17",
    severity: Severity::Error,
    side: Side::Ue,
    clause: "TS 24.229 clause 5.2.2",
    text: "A UE sends no integrity-protected.",
    why: "It is the P-CSCF's word to the S-CSCF. One that lets it through lets anybody claim to be protected.",
    right: "Authorization: Digest username=\"..\",..",
    wrong: "Authorization: Digest username=\"..\",integrity-protected=\"yes\",..",
    judge: |registration, _, j| {
        for (message, _) in registers_or_unseen(registration, j) {
            let Some(digest) = message.credentials() else { continue };
            let claims = digest.integrity_protected;
            j.check(
                message,
                claims.is_none(),
                || "none".to_owned(),
                || format!("integrity-protected={}", claims.unwrap_or_default()),
            );
        }
    },
};

fn contact<'a>(sip: &sip::Message<'a>) -> Option<Contact<'a>> {
    match sip.contacts() {
        Ok(Contacts::List(contacts)) => contacts.first().copied(),
        _ => None,
    }
}

fn is_home_domain(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let digits = |label: &str, prefix: &str| {
        label.strip_prefix(prefix).is_some_and(|number| number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(labels[..], ["ims", mnc, mcc, "3gppnetwork", "org"] if digits(mnc, "mnc") && digits(mcc, "mcc"))
}

/// True where the connection of a request was reset before the next one: there was nothing left to wait for.
fn was_reset(registration: &crate::trace::story::Registration<'_>, before: Message<'_>, after: Message<'_>) -> bool {
    use crate::trace::Step;
    registration.connections().iter().any(|step| {
        matches!(step.connection.step, Step::Reset | Step::Closed)
            && step.place >= before.record().place
            && step.place <= after.record().place
    })
}

const TIMER_F: Duration = Duration::from_secs(32);
