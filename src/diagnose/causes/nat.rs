//! Addresses that change on the way (diagnoses 1.3; TS 33.203 clause 7.1 and annex M).

use super::gm::{self, answer_text, own_request};
use super::offer::refused_offer;
use crate::diagnose::{Cause, How};
use crate::event::Role;
use crate::ipsec::association::Mod;
use crate::sip::header::contact::Contacts;
use crate::trace::story::{Message, Outcome};
use std::net::IpAddr;

pub(super) const CAUSES: &[&Cause] = &[&NAT, &VIA5060];

const NAT: Cause = Cause {
    name: "DIAG-NAT",
    clause: "TS 33.203 clause 7.1 and annex M",
    meaning: "There is a NAT between UE and P-CSCF: the addresses that the UE made its SAs with are not those of its packets. \
              ESP in transport mode cannot pass.",
    action: "Route the pool of the UEs to the P-CSCF without NAT, or let both ends use mod=UDP-enc-tun.",
    behind: &[],
    find: |case, findings| {
        let Some(failure) = case.failure() else {
            // It worked all the same.
            let worked = case.registration.sets().rev().find(|set| {
                let is_registered = set.attempt().is_some_and(|attempt| attempt.outcome() == Outcome::Registered);
                is_registered && set.agreed().is_some_and(|offer| offer.mode == Mod::Trans)
            });
            let offer = worked.and_then(|set| set.offer());
            if let Some((offer, (inside, outside))) = offer.and_then(|offer| Some((offer, is_behind(offer)?))) {
                findings.remark([offer], inside.to_string(), format!("packets from {outside}"));
            }
            return;
        };
        let attempt = failure.attempt;
        let Some((request, sip)) = own_request(attempt) else { return };
        let Some((inside, outside)) = is_behind(request) else { return };
        let found = format!("packets from {outside}");
        match failure.how {
            How::Refused(_) => {
                let refused = refused_offer(case).filter(|(.., status)| matches!(status, 400 | 403 | 494));
                let Some((.., by, _)) = refused.filter(|_| !gm::usable(sip).is_empty()) else { return };
                if gm::was_forwarded(attempt.first()) != Some(true) {
                    let text = format!("{found}, and {}", answer_text(by));
                    findings.cause([request, by], inside.to_string(), text).likely();
                }
            }
            How::Silent(last) | How::Unheard(last) | How::Unanswered(last) => {
                let set = case.registration.sets().rev().find(|set| set.attempt() == Some(attempt));
                let in_transport_mode = set.and_then(|set| set.agreed()).is_some_and(|offer| offer.mode == Mod::Trans);
                let was_heard =
                    matches!(failure.how, How::Unanswered(_)) && gm::was_forwarded(attempt.latest()) == Some(true);
                if in_transport_mode && !was_heard {
                    findings.cause([request, last], inside.to_string(), found).likely();
                }
            }
        }
    },
};

const VIA5060: Cause = Cause {
    name: "DIAG-VIA5060",
    clause: "TS 33.203 clause 7.1; TS 24.229 clauses 5.1.1.2.2 and 5.2.2.2",
    meaning: "The P-CSCF looks the SAs up by the port in Via of the first REGISTER and sends protected messages there.",
    action: "Let the P-CSCF find SAs by the address of the UE and the negotiated ports only: Via of the first REGISTER may \
             name any port.",
    behind: &[],
    find: |case, findings| {
        for set in case.registration.sets() {
            let (Some(offer), Some(ue)) = (set.offer(), set.ue()) else { continue };
            let Some(via) = offer.sip().and_then(|sip| sip.via().ok()).filter(|_| !gm::is_sealed(offer)) else {
                continue;
            };
            let port = via.port.unwrap_or(5060);
            if [ue.port_c, ue.port_s].contains(&port) {
                continue;
            }
            let astray = case.registration.messages().skip(set.challenge().index() + 1).find(|message| {
                let ends = message.record().ends;
                let protected = set.pcscf().map_or([0; 2], |pcscf| [pcscf.port_c, pcscf.port_s]);
                // To another port no SA of most planes fits: then it leaves in clear.
                let is_meant =
                    gm::is_sealed(*message) || ends.is_some_and(|ends| protected.contains(&ends.from.port()));
                message.from() == Some(Role::Pcscf) && is_meant && ends.is_some_and(|ends| ends.to.port() == port)
            });
            let Some(astray) = astray else { continue };
            let (expected, found) = (format!("port {} of the UE", ue.port_s), format!("port {port}, of Via"));
            super::ports::not_taken(case, findings, [offer, astray], astray, expected, found);
            break;
        }
    },
};

/// The address that a UE gives as its own in clear, and the one that its packets come from, where they differ.
pub(super) fn is_behind(request: Message<'_>) -> Option<(IpAddr, IpAddr)> {
    let source = request.record().ends?.from.ip();
    let sip = request.sip().filter(|_| !gm::is_sealed(request) && request.from() == Some(Role::Ue))?;
    let sent_by = sip.via().ok()?.ip()?;
    let contact = match sip.contacts() {
        Ok(Contacts::List(list)) => list.first().and_then(|contact| contact.address.uri.ip()),
        _ => None,
    };
    (sent_by != source && contact.is_none_or(|contact| contact != source)).then_some((sent_by, source))
}
