//! What the nodes of the network do with a REGISTER (TS 24.229 clauses 5.2.2, 5.3.1, 5.4.1 and 5.4.8).

use super::life::was_ignored;
use super::walk::{self, is_protected, same_address};
use crate::cx::Uar;
use crate::event::Role;
use crate::sip::header::contact::Contacts;
use crate::sip::header::via::Via;
use crate::sip::{self, HeaderName, Method};
use crate::trace::story::{Attempt, Exchange, Interface, Journey, Message, Outcome, Registration};
use crate::validate::{Judgement, Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[&NW_01, &NW_02, &NW_03, &NW_04, &NW_05, &NW_06];

const NW_01: Rule = Rule {
    id: "NW-01",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clauses 5.2.2.1 and 5.2.2.2",
    text: "The REGISTER that the P-CSCF forwards has Path, Require: path, P-Charging-Vector and P-Visited-Network-ID.",
    why: "The HSS cannot judge roaming, bills do not match, and nothing reaches the UE.",
    right: "Path, Require: path, P-Charging-Vector, P-Visited-Network-ID",
    wrong: "no P-Visited-Network-ID",
    judge: |registration, _, j| {
        for (_, message, sip) in forwarded(registration, j) {
            let wanted = [
                (HeaderName::Path, "Path"),
                (HeaderName::PChargingVector, "P-Charging-Vector"),
                (HeaderName::PVisitedNetworkId, "P-Visited-Network-ID"),
            ];
            let mut missing: Vec<&str> =
                wanted.iter().filter(|(name, _)| sip.header(*name).is_none()).map(|(_, text)| *text).collect();
            if !sip.has_option(HeaderName::Require, "path") {
                missing.push("Require: path");
            }
            j.check(message, missing.is_empty(), || missing.join(", "), || "none".to_owned());
        }
    },
};

const NW_02: Rule = Rule {
    id: "NW-02",
    severity: Severity::Error,
    side: Side::Pcscf,
    clause: "TS 24.229 clauses 5.2.2.2 and 7.2A.2",
    text: "integrity-protected is \"yes\" for a REGISTER over an SA, \"no\" for one in clear that offers SAs, and never \"yes\" for \
           any other in clear.",
    why: "With yes in place of no the S-CSCF registers whom nobody has authenticated; with no in place of yes it challenges for \
          ever.",
    right: "integrity-protected=\"yes\" over the SAs",
    wrong: "integrity-protected=\"yes\" in clear",
    judge: |registration, context, j| {
        for (journey, message, _) in forwarded(registration, j) {
            let asked = journey.on(Interface::Gm).and_then(Exchange::request);
            let Some((asked, own)) = asked.and_then(|asked| Some((asked, asked.sip()?))) else {
                j.unseen("the REGISTER of the UE is not in the trace");
                continue;
            };
            let found = message.credentials().and_then(|digest| digest.integrity_protected);
            let offers = own.header(HeaderName::SecurityClient).is_some();
            let shown = found.unwrap_or("none");
            match is_protected(asked, context) {
                None => j.unseen("the trace does not tell what protected the REGISTER"),
                Some(true) if found != Some("yes") => j.wrong([asked, message], "yes", shown),
                Some(false) if offers && message.credentials().is_some() && found != Some("no") => {
                    j.wrong([asked, message], "no", shown);
                }
                Some(false) if found == Some("yes") => j.wrong([asked, message], "anything but yes", shown),
                Some(_) => j.right(message),
            }
        }
    },
};

const NW_03: Rule = Rule {
    id: "NW-03",
    severity: Severity::Warning,
    side: Side::Pcscf,
    clause: "RFC 3261 clause 18.1.1; TS 102 790-2 (TP_IC_IBCF_GC_01)",
    text: "Requests of more than 1300 octets are carried like any other.",
    why: "Fragments are lost on the way, and only UEs with long headers fail.",
    right: "a REGISTER of 1500 octets over TCP, and its answer",
    wrong: "the same over UDP again and again, and nothing",
    judge: |registration, _, j| {
        for exchange in registration.exchanges().filter(|exchange| exchange.method().is_some()) {
            let Some(request) = exchange.request().filter(|request| request.bytes.len() > LARGE) else { continue };
            if request.is(Method::Ack) {
                continue;
            }
            if let Some(answer) = exchange.last() {
                j.right(answer);
            } else if was_ignored(exchange) {
                j.wrong([request], "an answer", format!("none to {} octets", request.bytes.len()));
            } else {
                j.unseen("the answer to it is not in the trace");
            }
        }
    },
};

const NW_04: Rule = Rule {
    id: "NW-04",
    severity: Severity::Error,
    side: Side::Icscf,
    clause: "TS 24.229 clause 5.3.1.2; RFC 3261 clause 16.6; RFC 3327 clause 5",
    text: "The I-CSCF asks the HSS and then forwards the REGISTER to the S-CSCF: its own Via on top of those that came, Path \
           unchanged.",
    why: "The answer does not find its way back, or the S-CSCF is another than the one that challenged.",
    right: "UAR, UAA, REGISTER with three Vias",
    wrong: "REGISTER without the Via of the P-CSCF",
    judge: |registration, _, j| {
        for journey in registers(registration) {
            let between = |client, server| journey.between(client, server).and_then(Exchange::request);
            let Some((onward, out)) = between(Role::Icscf, Role::Scscf).and_then(|m| Some((m, m.sip()?))) else {
                continue;
            };
            let came = journey.hops().find(|hop| hop.server() == Some(Role::Icscf)).and_then(Exchange::request);
            let Some((came, sip)) = came.and_then(|came| Some((came, came.sip()?))) else {
                j.unseen("the REGISTER to the I-CSCF is not in the trace");
                continue;
            };
            let (before, after) = (branches(sip), branches(out));
            let path = |sip: &sip::Message<'_>| sip.elements(HeaderName::Path).map(str::to_owned).collect::<Vec<_>>();
            let asked = journey.cx(Uar::COMMAND).and_then(Exchange::request);
            if after.get(1..) != Some(&before[..]) {
                let found = format!("{} Vias after {}", after.len(), before.len());
                j.wrong([came, onward], "one Via more, the others unchanged", found);
            } else if path(sip) != path(out) {
                j.wrong([came, onward], path(sip).join(", "), path(out).join(", "));
            } else if !registration.observable().cx {
                j.unseen("the trace does not show Cx");
            } else if asked.is_none_or(|asked| asked.index() > onward.index()) {
                j.wrong([came, onward], "UAR before it", "none");
            } else {
                j.right(onward);
            }
        }
        hidden(registration, j);
    },
};

const NW_05: Rule = Rule {
    id: "NW-05",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 24.229 clause 5.4.1.2.2; RFC 3327 clause 5.3; RFC 3608 clause 5",
    text: "The 200 of the S-CSCF that grants a registration has Service-Route, P-Associated-URI, and the Path of the REGISTER.",
    why: "The P-CSCF checks its Path there, and takes routes and identities from the rest.",
    right: "200 with Path, Service-Route, P-Associated-URI",
    wrong: "200 without Path",
    judge: |registration, _, j| {
        for attempt in registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered) {
            let hop = attempt.latest().hops().filter(|hop| hop.interface() == Interface::Mw).last();
            let parts = hop.and_then(|hop| Some((hop.request()?.sip()?, hop.last()?)));
            let Some((asked, end)) = parts else { continue };
            let Some(sip) = end.sip() else { continue };
            let path = |sip: &sip::Message<'_>| sip.elements(HeaderName::Path).map(str::to_owned).collect::<Vec<_>>();
            if sip.header(HeaderName::ServiceRoute).is_none() {
                j.wrong([end], "Service-Route", "none");
            } else if sip.header(HeaderName::PAssociatedUri).is_none() {
                j.wrong([end], "P-Associated-URI", "none");
            } else if path(asked) != path(sip) {
                j.wrong([end], format!("Path {}", path(asked).join(", ")), path(sip).join(", "));
            } else {
                j.right(end);
            }
        }
        hidden(registration, j);
    },
};

const NW_06: Rule = Rule {
    id: "NW-06",
    severity: Severity::Info,
    side: Side::Scscf,
    clause: "TS 24.229 clauses 5.1.6 and 5.4.8",
    text: "An emergency registration is a binding of its own: the 200 repeats its Contact with `sos`.",
    why: "Without it a normal registration ends with the emergency one, and a call back finds nobody.",
    right: "Contact: <sip:u@10.0.0.7:31001;sos>;expires=600",
    wrong: "Contact: <sip:u@10.0.0.7:31001>;expires=600",
    judge: |registration, _, j| {
        for attempt in registration.attempts() {
            let asked = attempt.latest().request().and_then(Message::sip).and_then(emergency_contact);
            let Some(asked) = asked else { continue };
            let Some((end, sip)) = attempt.end().and_then(|end| Some((end, end.sip()?))) else {
                j.unseen("the answer to the REGISTER is not in the trace");
                continue;
            };
            if attempt.outcome() != Outcome::Registered {
                continue;
            }
            let echoed = walk::contacts(sip).iter().any(|(uri, _)| same_address(uri, asked));
            let kept = echoed && emergency_contact(sip).is_some();
            j.check(end, kept, || asked.to_owned(), || sip.header(HeaderName::Contact).unwrap_or("none").to_owned());
        }
    },
};

/// The REGISTERs that the P-CSCF sends on.
fn forwarded<'r>(
    registration: &'r Registration<'r>,
    j: &mut Judgement,
) -> Vec<(Journey<'r>, Message<'r>, &'r sip::Message<'r>)> {
    hidden(registration, j);
    let hops = registers(registration).into_iter().filter_map(|journey| {
        let mut hops = journey.hops().filter(|hop| hop.client() == Some(Role::Pcscf));
        let request = hops.find(|hop| hop.interface() == Interface::Mw)?.request()?;
        Some((journey, request, request.sip()?))
    });
    hops.collect()
}

fn registers<'r>(registration: &'r Registration<'r>) -> Vec<Journey<'r>> {
    registration.attempts().flat_map(|attempt: Attempt<'r>| attempt.journeys().collect::<Vec<_>>()).collect()
}

/// Notes that Mw is not in the trace.
fn hidden(registration: &Registration<'_>, j: &mut Judgement) {
    if registration.attempts().next().is_some() && !registration.observable().mw {
        j.unseen("the trace does not show Mw");
    }
}

fn branches<'a>(sip: &sip::Message<'a>) -> Vec<Option<&'a str>> {
    let vias = sip.elements(HeaderName::Via);
    vias.map(|via| Via::parse(via).ok().and_then(|(via, _)| via.branch())).collect()
}

fn emergency_contact<'a>(sip: &sip::Message<'a>) -> Option<&'a str> {
    let Ok(Contacts::List(list)) = sip.contacts() else { return None };
    list.iter().find(|contact| contact.address.uri.params.has("sos")).map(|contact| contact.address.uri.text)
}

/// From here on a request goes over TCP where nothing else is known (RFC 3261 clause 18.1.1).
const LARGE: usize = 1_300;
