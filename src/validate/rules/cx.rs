//! Cx between I-CSCF, S-CSCF and HSS (TS 29.228 clauses 6.1 and 6.3, TS 24.229 clauses 5.3.1 and 5.4.1, TS 33.102 annex C).

use super::walk::{same_identity, shown_after};
use crate::aka::vector::open_autn;
use crate::cx::mar::scheme;
use crate::cx::uar::UserAuthorizationType;
use crate::cx::user_data::ImsSubscription;
use crate::cx::{AuthItem, CxResult, Maa, Mar, Saa, Sar, ServerAssignmentType, Uaa, Uar};
use crate::diameter::Fault;
use crate::event::Role;
use crate::sip::HeaderName;
use crate::time::Duration;
use crate::trace::story::{Attempt, Exchange, Interface, Journey, Kind, Message, Outcome, Registration};
use crate::validate::{Judgement, Rule, Severity, Side};

pub(super) const RULES: &[&Rule] = &[&CX_01, &CX_02, &CX_03, &CX_04, &CX_05, &CX_06, &CX_07];

const CX_01: Rule = Rule {
    id: "CX-01",
    severity: Severity::Error,
    side: Side::Icscf,
    clause: "TS 29.228 clause 6.1.1; TS 29.229 clauses 6.1.1 and 6.1.2",
    text: "UAR has Public-Identity, User-Name, Visited-Network-Identifier and the type of the REGISTER. A positive UAA to \
           REGISTRATION is FIRST_REGISTRATION, or SUBSEQUENT_REGISTRATION with Server-Name; to the other types \
           SUBSEQUENT_REGISTRATION too, or Result-Code 2001. SERVER_SELECTION is obsolete.",
    why: "Without Server-Name the I-CSCF selects anew, and the answer to the challenge comes to an S-CSCF that did not challenge.",
    right: "UAA: Experimental-Result 2002, Server-Name sip:scscf..",
    wrong: "UAA: Experimental-Result 2002 without Server-Name",
    judge: |registration, _, j| {
        for (request, answer) in asked(registration, Uar::COMMAND, j) {
            let uar = match Uar::decode(&request.record().bytes) {
                Ok(uar) => uar,
                Err(fault) => {
                    j.wrong([request], "UAR as its grammar has it", describe(&fault));
                    continue;
                }
            };
            let Some(answer) = answer else {
                j.unseen("the UAA is not in the trace");
                continue;
            };
            let uaa = match Uaa::decode(&answer.record().bytes) {
                Ok(uaa) => uaa,
                Err(fault) => {
                    j.wrong([answer], "UAA as its grammar has it", describe(&fault));
                    continue;
                }
            };
            let is_first = uar.authorization_type == UserAuthorizationType::Registration;
            let found = || uaa.result.to_string();
            match uaa.result {
                CxResult::SUBSEQUENT_REGISTRATION if uaa.server_name.is_none() && uaa.capabilities.is_none() => {
                    j.wrong([request, answer], "Server-Name with SUBSEQUENT_REGISTRATION", "none");
                }
                CxResult::Experimental(2005) => j.wrong([answer], "a result of TS 29.229", found()),
                CxResult::FIRST_REGISTRATION if uar.authorization_type == UserAuthorizationType::DeRegistration => {
                    j.wrong([request, answer], "SUBSEQUENT_REGISTRATION or Result-Code 2001", found());
                }
                CxResult::SUCCESS if is_first => {
                    j.wrong([request, answer], "FIRST_REGISTRATION or SUBSEQUENT_REGISTRATION", found());
                }
                _ => j.right(answer),
            }
        }
    },
};

const CX_02: Rule = Rule {
    id: "CX-02",
    severity: Severity::Error,
    side: Side::Icscf,
    clause: "TS 24.229 clause 5.3.1.2; TS 29.228 clause 6.1.1",
    text: "An HSS that refuses the user (Experimental-Result 5001, 5002, 5004, Result-Code 5003) makes 403; a query that fails \
           otherwise does not.",
    why: "403 stops the UE for good; any other status makes it try again and again.",
    right: "UAA 5004, 403",
    wrong: "UAA 5004, 500",
    judge: |registration, _, j| {
        for journey in registers(registration) {
            let Some(exchange) = journey.cx(Uar::COMMAND) else { continue };
            let Some(answer) = exchange.last() else { continue };
            let Ok(uaa) = Uaa::decode(&answer.record().bytes) else { continue };
            let refused = matches!(
                uaa.result,
                CxResult::USER_UNKNOWN
                    | CxResult::IDENTITIES_DONT_MATCH
                    | CxResult::ROAMING_NOT_ALLOWED
                    | CxResult::AUTHORIZATION_REJECTED
            );
            if uaa.result.is_success() {
                continue;
            }
            let Some((end, status)) = journey.last().and_then(|end| Some((end, end.status()?))) else {
                j.unseen("the answer to the REGISTER is not in the trace");
                continue;
            };
            let found = format!("{status} after {}", uaa.result);
            match (refused, status) {
                (true, 403) => j.right(end),
                (true, _) => j.wrong([answer, end], "403", found),
                (false, 403) => j.wrong([answer, end], "480", found),
                (false, 200..=299) => j.wrong([answer, end], "a refusal", found),
                (false, _) => j.right(end),
            }
        }
        hidden(registration, j);
    },
};

const CX_03: Rule = Rule {
    id: "CX-03",
    severity: Severity::Error,
    side: Side::Hss,
    clause: "TS 29.228 clause 6.3.1; TS 29.229 clauses 6.1.7 and 6.1.8",
    text: "MAR says how many vectors of which scheme it wants. A positive MAA has User-Name, and for each AKA item RAND and AUTN (32 octets), \
           XRES, CK and IK (16 octets each), those that K gives where it is known.",
    why: "The S-CSCF cannot challenge, or the UE and the P-CSCF have different keys.",
    right: "SIP-Authenticate of 32 octets, SIP-Authorization of 8, CK and IK of 16",
    wrong: "an item without IK",
    judge: |registration, context, j| {
        for (request, answer) in asked(registration, Mar::COMMAND, j) {
            if let Err(fault) = Mar::decode(&request.record().bytes) {
                j.wrong([request], "MAR as its grammar has it", describe(&fault));
                continue;
            }
            let Some(answer) = answer else {
                j.unseen("the MAA is not in the trace");
                continue;
            };
            let maa = match Maa::decode(&answer.record().bytes) {
                Ok(maa) => maa,
                Err(fault) => {
                    j.wrong([answer], "MAA as its grammar has it", describe(&fault));
                    continue;
                }
            };
            if !maa.result.is_success() {
                continue;
            }
            let keys = registration.impi().and_then(|impi| context.keys_of(impi));
            let fault = maa.items.iter().filter(|item| is_aka(item)).find_map(|item| {
                let rand: Option<[u8; 16]> = item.authenticate.and_then(|a| a.get(..16)?.try_into().ok());
                let outputs = keys.zip(rand).map(|(keys, rand)| keys.outputs(&rand));
                match item {
                    AuthItem { authenticate, .. } if authenticate.is_none_or(|a| a.len() != 32) => {
                        Some("RAND and AUTN of 32 octets")
                    }
                    AuthItem { xres, context: None, .. } if xres.is_none_or(|x| !(4..=16).contains(&x.len())) => {
                        Some("XRES of 4 to 16 octets")
                    }
                    AuthItem { ck, .. } if ck.is_none_or(|ck| ck.len() != 16) => Some("CK of 16 octets"),
                    AuthItem { ik, .. } if ik.is_none_or(|ik| ik.len() != 16) => Some("IK of 16 octets"),
                    AuthItem { ck, ik, .. } => outputs.and_then(|outputs| {
                        let differs = *ck != Some(&outputs.ck.0[..]) || *ik != Some(&outputs.ik.0[..]);
                        differs.then_some("CK and IK that follow from K")
                    }),
                }
            });
            match fault {
                _ if maa.items.is_empty() => j.wrong([answer], "SIP-Auth-Data-Item", "none"),
                // The grammar of TS 29.229 leaves it out, TS 29.228 table 6.3.2 does not.
                _ if maa.impi.is_none() => j.wrong([answer], "User-Name", "none"),
                Some(expected) => j.wrong([answer], expected, "missing, or other octets"),
                None => j.right(answer),
            }
        }
    },
};

const CX_04: Rule = Rule {
    id: "CX-04",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 29.228 clause 6.3.1; TS 33.102 clause 6.3.5",
    text: "When the UE answered with auts, the next MAR has RAND of that challenge and AUTS in SIP-Authorization, 30 octets.",
    why: "The HSS cannot set its SQN right, and every challenge after it is refused again.",
    right: "SIP-Authorization of 30 octets",
    wrong: "MAR without SIP-Authorization",
    judge: |registration, _, j| {
        for journey in registers(registration) {
            let request = journey.request().and_then(|request| Some((request, request.credentials()?)));
            let Some((request, digest)) = request.filter(|(_, digest)| digest.auts.is_some()) else { continue };
            let Some(mar) = journey.cx(Mar::COMMAND).and_then(Exchange::request) else {
                j.unseen("the MAR after it is not in the trace");
                continue;
            };
            let resync = Mar::decode(&mar.record().bytes).ok().and_then(|mar| mar.resync.map(<[u8]>::to_vec));
            let decoded = |text: Option<&str>| text.and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
            let mut wanted = decoded(digest.nonce).unwrap_or_default();
            wanted.truncate(16);
            wanted.extend(decoded(digest.auts).unwrap_or_default());
            let found = resync.as_ref().map_or_else(|| "none".to_owned(), |found| format!("{} octets", found.len()));
            if resync == Some(wanted) {
                j.right(mar);
            } else {
                j.wrong([request, mar], "RAND and AUTS in SIP-Authorization", found);
            }
        }
    },
};

const CX_05: Rule = Rule {
    id: "CX-05",
    severity: Severity::Error,
    side: Side::Scscf,
    clause: "TS 29.228 clause 6.1.2; TS 29.229 clause 6.3.15; TS 24.229 clause 5.4.1.2.3",
    text: "SAR has the type of what happened (RE_REGISTRATION not where UAA said FIRST_REGISTRATION, AUTHENTICATION_FAILURE \
           with the 403 to a response), and one Public-Identity unless it de-registers. The profile of the SAA can be read, \
           and at least one identity in it is not barred.",
    why: "The HSS keeps another state than the S-CSCF: calls go astray, or the identity is blocked until somebody clears it.",
    right: "SAR REGISTRATION after the answer to the challenge",
    wrong: "SAR REGISTRATION for a de-registration",
    judge: |registration, _, j| {
        use ServerAssignmentType as T;
        for attempt in registration.attempts() {
            for exchange in attempt.journeys().filter_map(|journey| journey.cx(Sar::COMMAND)) {
                let Some(request) = exchange.request() else { continue };
                let Ok(sar) = Sar::decode(&request.record().bytes) else {
                    j.wrong([request], "SAR as its grammar has it", "something else");
                    continue;
                };
                let leaves = matches!(sar.assignment, T::UserDeregistration | T::UserDeregistrationStoreServerName);
                let fits = match (attempt.kind(), attempt.outcome()) {
                    (Kind::Deregistration, Outcome::Deregistered) => leaves,
                    (_, Outcome::Registered) if sar.assignment == T::ReRegistration => !is_new_to_hss(attempt),
                    (_, Outcome::Registered) => matches!(sar.assignment, T::NoAssignment | T::Registration),
                    (_, Outcome::Refused(403)) => sar.assignment != T::AuthenticationTimeout && !leaves,
                    _ => true,
                };
                let profile = exchange.last().and_then(|answer| {
                    let data = Saa::decode(&answer.record().bytes).ok()?.user_data?.to_vec();
                    Some((answer, ImsSubscription::parse(&data)))
                });
                if !fits {
                    let expected = format!("a type for {:?}, {:?}", attempt.kind(), attempt.outcome());
                    j.wrong([request], expected, format!("{:?}", sar.assignment));
                } else if !leaves && sar.impus.len() != 1 {
                    j.wrong([request], "one Public-Identity", sar.impus.len().to_string());
                } else {
                    match profile {
                        Some((answer, Err(_))) => j.wrong([answer], "a profile that can be read", "something else"),
                        Some((answer, Ok(profile))) if profile.default_impu().is_none() => {
                            j.wrong([answer], "an identity that is not barred", "none");
                        }
                        _ => j.right(request),
                    }
                }
            }
            if let Some(refusal) = ended_by_scscf(attempt) {
                let sars = registration.on(Interface::Cx).filter(|exchange| exchange.command() == Some(Sar::COMMAND));
                let begin = attempt.answer().and_then(|answer| answer.request());
                let is_later = |sar: Message<'_>| begin.is_some_and(|begin| sar.index() > begin.index());
                let was_told = sars.filter_map(|exchange| exchange.request()).any(is_later);
                if !was_told && shown_after(refusal).is_some_and(|time| time > PATIENCE) {
                    j.wrong([refusal], "SAR AUTHENTICATION_FAILURE", "none");
                } else if !was_told {
                    j.unseen("the trace ends before the SAR");
                }
            }
        }
        hidden(registration, j);
    },
};

const CX_06: Rule = Rule {
    id: "CX-06",
    severity: Severity::Warning,
    side: Side::Hss,
    clause: "TS 33.102 clause 6.3.2 and annex C.1",
    text: "SQN grows from vector to vector.",
    why: "The USIM refuses an SQN of before, and each attempt begins with a resynchronisation.",
    right: "SQN 000000000021, then 000000000041",
    wrong: "the same SQN twice",
    judge: |registration, context, j| {
        let keys = registration.impi().and_then(|impi| context.keys_of(impi));
        let mut before: Option<(Message<'_>, u64)> = None;
        for (request, answer) in asked(registration, Mar::COMMAND, j) {
            if Mar::decode(&request.record().bytes).is_ok_and(|mar| mar.resync.is_some()) {
                // SQN goes on from that of the USIM, which may be lower (TS 33.102 clause 6.3.5).
                before = None;
            }
            let Some(answer) = answer else { continue };
            let Ok(maa) = Maa::decode(&answer.record().bytes) else { continue };
            for item in maa.items.iter().filter(|item| is_aka(item)) {
                let Some(octets) = item.authenticate.filter(|octets| octets.len() == 32) else { continue };
                let Some(keys) = keys else {
                    j.unseen("the keys of the subscriber are not known");
                    continue;
                };
                let (Ok(rand), Ok(autn)) = (octets[..16].try_into(), octets[16..].try_into()) else { continue };
                let sqn = open_autn(keys, &rand, &autn).sqn;
                match before.replace((answer, sqn)) {
                    Some((earlier, old)) if sqn <= old => {
                        j.wrong([earlier, answer], format!("SQN above {old:012x}"), format!("{sqn:012x}"));
                    }
                    Some(_) => j.right(answer),
                    None => j.unseen("the trace shows one vector only"),
                }
            }
        }
    },
};

const CX_07: Rule = Rule {
    id: "CX-07",
    severity: Severity::Warning,
    side: Side::Scscf,
    clause: "TS 29.228 clause 6.6; TS 24.229 clause 5.4.1.2.2",
    text: "P-Associated-URI of the 200 lists the identities of User-Data that are not barred, in their order.",
    why: "The UE takes the first for its default identity, the network another.",
    right: "User-Data: A, B; P-Associated-URI: <A>,<B>",
    wrong: "P-Associated-URI: <B>,<A>",
    judge: |registration, _, j| {
        for attempt in registration.attempts().filter(|attempt| attempt.outcome() == Outcome::Registered) {
            let answer = attempt.latest().cx(Sar::COMMAND).and_then(Exchange::last);
            let data = answer.and_then(|answer| Saa::decode(&answer.record().bytes).ok()?.user_data);
            let profile = data.and_then(|data| ImsSubscription::parse(data).ok());
            let (Some(profile), Some(end), Some(answer)) = (profile, attempt.end(), answer) else { continue };
            let listed: Vec<&str> = end
                .sip()
                .and_then(|sip| sip.name_addrs(HeaderName::PAssociatedUri).ok())
                .unwrap_or_default()
                .iter()
                .map(|address| address.uri.text)
                .collect();
            let wanted: Vec<&str> = profile.associated_uris().collect();
            let holds = listed.len() == wanted.len() && listed.iter().zip(&wanted).all(|(a, b)| same_identity(a, b));
            if holds {
                j.right(end);
            } else {
                j.wrong([answer, end], wanted.join(", "), listed.join(", "));
            }
        }
        hidden(registration, j);
    },
};

/// True where the HSS has said that the identity is not registered.
fn is_new_to_hss(attempt: Attempt<'_>) -> bool {
    let answer = attempt.first().cx(Uar::COMMAND).and_then(Exchange::last);
    answer.is_some_and(|answer| {
        Uaa::decode(&answer.record().bytes).is_ok_and(|uaa| uaa.result == CxResult::FIRST_REGISTRATION)
    })
}

/// The 403 with which an S-CSCF, whose Cx the trace shows, ended an authentication.
fn ended_by_scscf(attempt: Attempt<'_>) -> Option<Message<'_>> {
    let answer = attempt.answer()?;
    let digest = answer.request()?.credentials()?;
    let is_response = digest.auts.is_none() && digest.response.is_some_and(|response| !response.is_empty());
    let shows_cx = attempt.journeys().any(|journey| journey.cx(Mar::COMMAND).is_some());
    let mut at_scscf = answer.hops().filter(|hop| hop.server() == Some(Role::Scscf));
    at_scscf.find_map(|hop| hop.answered(403)).filter(|_| is_response && shows_cx)
}

/// The exchanges of a command that REGISTERs caused.
fn asked<'r>(
    registration: &'r Registration<'r>,
    command: u32,
    j: &mut Judgement,
) -> Vec<(Message<'r>, Option<Message<'r>>)> {
    hidden(registration, j);
    let exchanges = registration.on(Interface::Cx).filter(|exchange| exchange.command() == Some(command));
    exchanges.filter_map(|exchange| Some((exchange.request()?, exchange.last()))).collect()
}

/// Every REGISTER.
fn registers<'r>(registration: &'r Registration<'r>) -> Vec<Journey<'r>> {
    registration.attempts().flat_map(|attempt: Attempt<'r>| attempt.journeys().collect::<Vec<_>>()).collect()
}

/// Notes that Cx is not in the trace.
fn hidden(registration: &Registration<'_>, j: &mut Judgement) {
    if registration.attempts().next().is_some() && !registration.observable().cx {
        j.unseen("the trace does not show Cx");
    }
}

fn is_aka(item: &AuthItem<'_>) -> bool {
    item.scheme.is_none_or(|name| name.eq_ignore_ascii_case(scheme::AKA))
}

fn describe(fault: &Fault) -> String {
    fault.to_string()
}

/// An S-CSCF that refuses tells the HSS at once.
const PATIENCE: Duration = Duration::from_secs(10);
