//! Size and transport (diagnoses 1.4; RFC 3261 clause 18.1.1).

use super::gm::{self, attempt_at, is_sealed};
use crate::diagnose::findings::EVERY_OTHER;
use crate::diagnose::{Cause, How};
use crate::event::Role;
use crate::ipsec::association::{Encryption, Integrity};
use crate::packet::Transport;
use crate::sip::HeaderName;
use crate::time::Duration;
use crate::trace::story::{Carried, LostPacket, Message, Registration};
use crate::trace::{Ends, Loss, Protection, Shut, Step};

pub(super) const CAUSES: &[&Cause] = &[&MTU, &TOO_LARGE, &CONTENT_LENGTH];

const TOO_LARGE: Cause = Cause {
    name: "DIAG-1300",
    clause: "RFC 3261 clause 18.1.1",
    meaning: "A REGISTER above 1300 octets goes over UDP in fragments that are lost, or over TCP, which nobody serves.",
    action: "Let the P-CSCF serve TCP on its unprotected port and on port-s, let the UE use it above 1300 octets, and offer \
             fewer algorithms.",
    behind: &["DIAG-MTU"],
    find: |case, findings| {
        if let Some(How::Unanswered(request)) = case.failure().map(|failure| failure.how)
            && request.is_udp()
            && request.carried() == Carried::Clear
            && request.from() == Some(Role::Ue)
            && request.exchange().is_some_and(|exchange| gm::was_forwarded(exchange.journey()) != Some(true))
        {
            let length = request.record().bytes.len();
            if length > LARGE {
                let lost = case.registration.lost().iter().find(|lost| is_part_of(lost, request));
                let of_it = lost.map(|lost| format!(", and a packet whose fragments never came ({})", lost.place));
                let found = format!("{length} octets over UDP, and no answer{}", of_it.unwrap_or_default());
                let noted = findings.cause([request], "TCP above 1300 octets", found);
                if lost.is_none() {
                    noted.likely();
                }
            }
        }
        let unserved = case.registration.connections().iter().find(|step| {
            let ends = step.connection.ends;
            let is_answered = case.registration.connections().iter().any(|back| {
                (back.connection.ends.from, back.connection.ends.to) == (ends.to, ends.from)
                    && back.connection.step == Step::Accepted
            });
            let waited =
                step.at.zip(case.registration.observable().until).is_some_and(|(at, end)| end - at > THIRD_SYN);
            step.connection.step == Step::Asked
                && step.connection.protection == Protection::Clear
                && ends.transport == Transport::Tcp
                && is_clear_port_of_pcscf(case.registration, ends.to)
                && !is_answered
                && waited
        });
        if let Some(step) = unserved {
            let to = step.connection.ends.to;
            let expected = format!("a connection to port {}", to.port());
            let found = format!("SYN ({}) without SYN and ACK", step.place);
            let attempt = attempt_at(case.registration, step.place).or_else(|| case.registration.attempts().next());
            let messages = attempt.and_then(|attempt| attempt.request());
            match attempt {
                Some(attempt) => gm::stopped(case, findings, attempt, messages, expected, found).likely(),
                None => findings.remark(messages, expected, found).likely(),
            };
        }
        let is_clear = |number: &u64| {
            case.registration.message(*number).is_some_and(|message| message.carried() == Carried::Clear)
        };
        let finding = case.failed("RG-14").find(|finding| finding.messages.iter().any(is_clear));
        if let Some(finding) = finding.filter(|_| !findings.has("DIAG-1300")) {
            let messages = case.messages_of(finding);
            findings.remark(messages, finding.expected.as_str(), finding.found.as_str()).likely();
        }
    },
};

const MTU: Cause = Cause {
    name: "DIAG-MTU",
    clause: "RFC 3261 clause 18.1.1; RFC 4303 clause 3.1.1; RFC 1191",
    meaning: "ESP packets that are too large for the path are lost: small ones pass, and large ones do not.",
    action: "Make the MTU of the UE 1400 or less (GTP-U and ESP need the rest), or let large messages go over TCP with a \
             segment size to match.",
    behind: &[],
    find: |case, findings| {
        let Some(failure) = case.failure() else { return };
        let begin = failure.attempt.request().map(|request| request.record().place);
        let told = case.registration.lost().iter().filter(|lost| begin.is_none_or(|begin| lost.place >= begin));
        let told = told.rev().find_map(|lost| match (lost.lost.why, failure.how) {
            (Loss::TooLarge(mtu), How::Unanswered(message) | How::Unheard(message) | How::Silent(message)) => {
                Some((lost, mtu, message))
            }
            _ => None,
        });
        if let Some((lost, mtu, message)) = told {
            let found = format!("ICMP tells {} that a packet was too large ({})", lost.lost.from, lost.place);
            let expected = if mtu > 0 { format!("packets up to {mtu} octets") } else { "smaller packets".to_owned() };
            findings.cause([message], expected, found);
            return;
        }
        let (last, size) = match failure.how {
            How::Unanswered(request) if is_sealed(request) && request.from() == Some(Role::Ue) => {
                (request, packet_of(request))
            }
            How::Unheard(challenge) => {
                let set = case.registration.sets().find(|set| set.challenge() == challenge);
                let shut = set.into_iter().flat_map(|set| set.shut().collect::<Vec<_>>());
                let header = shut.clone().map(|shut| ip_header(shut.from)).max().unwrap_or_default();
                let sealed: Vec<_> = shut.flat_map(|shut| shut.first.iter()).map(|(.., sealed)| sealed).collect();
                if !sealed.is_empty() && sealed.iter().all(|sealed| sealed.why == Shut::Cut) {
                    let found = "beginnings of packets only, and nothing back";
                    findings.cause([challenge], "whole ESP packets", found).possible();
                    return;
                }
                let sizes = sealed.iter().map(|sealed| sealed.esp.len() + header);
                (challenge, sizes.max().unwrap_or_default())
            }
            _ => return,
        };
        let was_heard =
            matches!(failure.how, How::Unanswered(_)) && gm::was_forwarded(failure.attempt.latest()) == Some(true);
        // A SYN is small.
        let mut syns = case.registration.connections().iter().filter(|step| {
            let is_recent = attempt_at(case.registration, step.place) == Some(failure.attempt);
            is_recent && matches!(step.connection.protection, Protection::Esp(_) | Protection::Set(_))
        });
        let small_ones_are_lost = syns.clone().any(|step| step.connection.step == Step::Asked)
            && !syns.any(|step| step.connection.step == Step::Accepted);
        if size <= PATH || was_heard || small_ones_are_lost {
            return;
        }
        let found = format!("a packet of {size} octets, {} in GTP-U, and nothing back", size + GTP_U);
        let found = findings.cause([last], format!("packets up to {PATH} octets"), found);
        // A stream is cut to what its ends think the path takes; and what nobody can open may be lost for its key.
        match failure.how {
            How::Unanswered(request) if !request.is_udp() => found.possible(),
            How::Unheard(_) if size <= ETHERNET => found.possible(),
            _ => found.likely(),
        };
    },
};

const CONTENT_LENGTH: Cause = Cause {
    name: "DIAG-CL",
    clause: "RFC 3261 clauses 18.3 and 20.14",
    meaning: "A message over UDP has no Content-Length. That is allowed: it ends with its datagram.",
    action: "Nothing has to be done; a parser that warns of it can be told to be quiet.",
    behind: &[EVERY_OTHER],
    find: |case, findings| {
        let is_without = |message: &Message<'_>| {
            let sip = message.sip().filter(|_| !message.record().cut && message.is_udp());
            sip.is_some_and(|sip| sip.header(HeaderName::ContentLength).is_none()) && is_whole(message)
        };
        let without: Vec<Message<'_>> = case.registration.messages().filter(is_without).collect();
        if let Some(first) = without.first() {
            findings.remark([*first], "Content-Length", format!("none in {} messages", without.len()));
        }
    },
};

/// True for fragments that went the way of a message, some of which never came.
fn is_part_of(lost: &LostPacket, message: Message<'_>) -> bool {
    let is_way = |ends: Ends| (ends.from.ip(), ends.to.ip()) == (lost.lost.from, lost.lost.to);
    lost.lost.why == Loss::Fragments && message.record().ends.is_some_and(is_way)
}

/// True where the headers end: what is behind a snap length is not known to be absent.
fn is_whole(message: &Message<'_>) -> bool {
    message.record().bytes.windows(4).any(|octets| octets == b"\r\n\r\n")
}

/// The IP packet that carried a message in ESP over UDP or TCP, as far as the agreement tells.
fn packet_of(message: Message<'_>) -> usize {
    let Carried::Sa(sa) = message.carried() else { return 0 };
    let algorithms = message.registration().set(sa.set).agreed().map(|offer| offer.algorithms);
    let (iv, block) = match algorithms.map(|pair| pair.encryption) {
        Some(Encryption::AesCbc) => (16, 16),
        Some(Encryption::DesEde3Cbc) => (8, 8),
        Some(Encryption::AesGcm) => (8, 4),
        Some(Encryption::Null) | None => (0, 4),
    };
    let icv = match algorithms.map(|pair| pair.integrity) {
        Some(Integrity::AesGmac | Integrity::Null) => 16,
        _ => 12,
    };
    let upper = if message.is_udp() { 8 } else { 20 };
    let sealed = (message.record().bytes.len() + upper + 2).div_ceil(block) * block;
    let header = message.record().ends.map_or(20, |ends| ip_header(ends.from.ip()));
    header + 8 + iv + sealed + icv
}

const fn ip_header(address: std::net::IpAddr) -> usize {
    if address.is_ipv6() { 40 } else { 20 }
}

/// Where first REGISTERs of the UE go to, or 5060.
fn is_clear_port_of_pcscf(registration: &Registration<'_>, to: std::net::SocketAddr) -> bool {
    let requests =
        registration.attempts().filter_map(|attempt| attempt.request()).filter(|request| !is_sealed(*request));
    let mut ends = requests.filter_map(|request| request.record().ends);
    ends.any(|ends| ends.to == to || ends.to.ip() == to.ip() && to.port() == 5060)
}

const LARGE: usize = 1_300;
const PATH: usize = 1_400;
const ETHERNET: usize = 1_500;
/// IPv4, UDP and GTP-U around a packet.
const GTP_U: usize = 20 + 8 + 8;
const THIRD_SYN: Duration = Duration::from_secs(7);
