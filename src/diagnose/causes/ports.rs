//! Ports, and what goes past the SAs (diagnoses 1.3 and 1.4; TS 33.203 clause 7.1).

use super::gm::{self, answer_text, attempt_at, attempt_of, is_sealed};
use crate::diagnose::{Case, Cause, Findings, Found};
use crate::event::Role;
use crate::packet::Transport;
use crate::sip::Method;
use crate::time::Duration;
use crate::trace::story::{Attempt, Carried, ConnectionStep, Message, Registration, Set};
use crate::trace::{Connection, Protection, Step};
use crate::validate::rules::walk::answers_to_challenges;

pub(super) const CAUSES: &[&Cause] = &[&PORT_TCP, &PORT_SRC, &CLEAR, &KEEPALIVE];

const PORT_TCP: Cause = Cause {
    name: "DIAG-PORT-TCP",
    clause: "TS 33.203 clause 7.1",
    meaning: "A connection over the SAs to port-s is not accepted: who should listen there does so on UDP only, or the SAs are \
              for UDP only.",
    action: "Let port-s be served over UDP and TCP, and let selectors of the SAs leave the transport open.",
    behind: &[],
    find: |case, findings| {
        let steps = case.registration.connections();
        let asked: Vec<(&ConnectionStep, Set<'_>)> =
            steps.iter().filter_map(|step| Some((step, over_sas(case.registration, step)?))).collect();
        let in_vain = asked.iter().find(|(asked, set)| is_in_vain(case, asked) && !is_silent_over_udp(*set, asked));
        let Some((first, set)) = in_vain else { return };
        let to = first.connection.ends.to;
        let accepted_later = steps.iter().any(|step| {
            step.connection.step == Step::Accepted && step.connection.ends.from == to && step.place > first.place
        });
        let is_reset = steps.iter().any(|step| {
            step.connection.step == Step::Reset && step.connection.ends.from == to && step.place > first.place
        });
        let times = asked.iter().filter(|(asked, _)| asked.connection.ends.to == to).count();
        let answer = if is_reset { "RST" } else { "no SYN and ACK" };
        let found = format!("SYN ({}) {times} times, {answer}", first.place);
        let expected = format!("a connection to port {}", to.port());
        let messages = [set.challenge()];
        let found = match attempt_at(case.registration, first.place).filter(|_| !accepted_later) {
            Some(attempt) => gm::stopped(case, findings, attempt, messages, expected, found),
            None => findings.remark(messages, expected, found),
        };
        if times < 2 && !is_reset {
            found.likely();
        }
    },
};

const PORT_SRC: Cause = Cause {
    name: "DIAG-PORT-SRC",
    clause: "TS 33.203 clause 7.1; TS 24.229 clause 5.1.1.2.2",
    meaning: "The P-CSCF sends to the UE from a wrong port: no SA of the UE takes that.",
    action: "Let the P-CSCF send over UDP from port-c to port-s of the UE, and over TCP on the connection of the request or on \
             one of its own from port-c.",
    behind: &["DIAG-VIA5060", "DIAG-SA-EARLYDEL"],
    find: |case, findings| {
        for finding in case.failed("SA-47") {
            let answer = finding.messages.first().and_then(|number| case.registration.message(*number));
            let Some((answer, attempt)) = answer.and_then(|answer| Some((answer, attempt_of(answer)?))) else {
                continue;
            };
            if attempt.is_deregistration() && !is_sealed(answer) {
                continue;
            }
            let (expected, text) = (finding.expected.as_str(), finding.found.as_str());
            not_taken(case, findings, [answer], answer, expected, text);
        }
        for message in requests_of_pcscf(case.registration) {
            let Some(ends) = message.record().ends.filter(|ends| ends.transport == Transport::Udp) else { continue };
            let set = match message.carried() {
                Carried::Sa(sa) => Some(case.registration.set(sa.set)),
                _ => None,
            };
            let Some(port) = set.and_then(|set| set.pcscf()).map(|pcscf| pcscf.port_c) else { continue };
            if ends.from.port() != port {
                let (expected, found) = (format!("port {port}"), format!("port {}", ends.from.port()));
                findings.remark([message], expected, found);
                break;
            }
        }
        for (established, message) in past_the_sas(case) {
            let port_s = case.registration.sets().rev().find(|set| set.established() == Some(established));
            let port_s = port_s.and_then(|set| set.ue()).map(|ue| ue.port_s);
            let ends = message.record().ends;
            let is_to_port_s = port_s.is_some() && ends.map(|ends| ends.to.port()) == port_s;
            if message.from() == Some(Role::Pcscf) && !message.is(Method::Options) && is_to_port_s {
                let from = ends.map_or(0, |ends| ends.from.port());
                let what = described(message);
                findings.remark([established, message], "ESP from port-c", format!("{what} in clear from port {from}"));
                break;
            }
        }
        let outside = case.registration.connections().iter().find_map(|step| {
            let ends = step.connection.ends;
            let is_open = step.connection.step == Step::Asked && step.connection.protection == Protection::Clear;
            let to_port_s = case.registration.sets().filter(|set| {
                let goes_there = set.ue().is_some_and(|ue| ue.port_s == ends.to.port());
                goes_there && set.addresses() == Some((ends.to.ip(), ends.from.ip())) && set.pcscf().is_some()
            });
            // Port-s stays, and each set has a port-c of its own (TS 33.203 clause 7.4).
            let is_port_c = |set: &Set<'_>| set.pcscf().is_some_and(|pcscf| pcscf.port_c == ends.from.port());
            let sets: Vec<Set<'_>> = to_port_s.collect();
            let set = sets.last().copied().filter(|_| !sets.iter().any(is_port_c));
            set.filter(|_| is_open).map(|set| (set, ends))
        });
        if let Some((set, ends)) = outside {
            let found = format!("a connection in clear from port {}", ends.from.port());
            findings.remark([set.challenge()], "a connection over the SAs, from port-c", found);
        }
    },
};

const CLEAR: Cause = Cause {
    name: "DIAG-CLEAR",
    clause: "TS 33.203 clause 7.1; TS 24.229 clauses 5.1.1.5.1 and 5.2.6.3",
    meaning: "SIP goes in clear between a UE and a P-CSCF that have SAs.",
    action: "Look at the policies of the sender: what goes between the protected addresses must go over the SAs. A P-CSCF that \
             takes it in clear lets anybody speak for the user.",
    behind: &["DIAG-KEEPALIVE", "DIAG-PORT-SRC", "DIAG-SEC-PICK", "DIAG-SEC-NOSERVER", "DIAG-SA-EARLYDEL"],
    find: |case, findings| {
        for answer in answers_to_challenges(case.registration) {
            let register = answer.register;
            let fails = case.failed("SA-45").any(|finding| finding.messages.contains(&register.number));
            let is_clear = matches!(register.carried(), Carried::Clear | Carried::Ports(_));
            let Some(attempt) = attempt_of(register).filter(|_| fails && is_clear) else { continue };
            let end = register.exchange().and_then(|exchange| exchange.last());
            let messages = [answer.challenge, register].into_iter().chain(end);
            let expected = "the answer to the challenge in ESP";
            match end {
                // It speaks in clear from its protected port itself.
                Some(end) if matches!(end.carried(), Carried::Ports(_)) => {
                    findings.remark(messages, expected, format!("in clear, and {}", answer_text(end)))
                }
                Some(end) => {
                    let found = format!("in clear, and {}", answer_text(end));
                    gm::stopped(case, findings, attempt, messages, expected, found)
                }
                None => gm::stopped(case, findings, attempt, messages, expected, "in clear"),
            };
        }
        if let Some(register) = register_to_port_s(case) {
            let end = register.exchange().and_then(|exchange| exchange.last());
            let Some(attempt) = attempt_of(register) else { return };
            let messages = [register].into_iter().chain(end);
            gm::stopped(case, findings, attempt, messages, "ESP to port-s", "REGISTER in clear to port-s");
        }
        let narrower = |message: Message<'_>, established: Message<'_>| {
            let set = case.registration.sets().rev().find(|set| set.established() == Some(established));
            let port_s = set.and_then(|set| set.ue()).map(|ue| ue.port_s);
            let to = message.record().ends.map(|ends| ends.to.port());
            message.is(Method::Options) || message.from() == Some(Role::Pcscf) && to.is_some() && to == port_s
        };
        let all = past_the_sas(case);
        if let Some((established, message)) =
            all.into_iter().find(|(established, message)| !narrower(*message, *established))
        {
            let what = described(message);
            let taken = message.exchange().and_then(|exchange| exchange.last()).filter(|_| message.is_request());
            let found = match taken {
                Some(answer) => format!("{what} in clear, answered with {}", answer_text(answer)),
                None => format!("{what} in clear"),
            };
            let messages = [established, message].into_iter().chain(taken);
            findings.remark(messages, "everything but REGISTER over the SAs", found);
        }
    },
};

const KEEPALIVE: Cause = Cause {
    name: "DIAG-KEEPALIVE",
    clause: "TS 33.203 clause 7.1; RFC 5626 clause 3.5; RFC 6223",
    meaning: "The P-CSCF asks whether the UE is there in a way that the UE cannot answer, or takes its silence for its end.",
    action: "Let the P-CSCF send its OPTIONS over the SAs, and more than once, before it gives a UE up that radio has put to \
             sleep.",
    behind: &[],
    find: |case, findings| {
        let outside = past_the_sas(case)
            .into_iter()
            .find(|(_, message)| message.is(Method::Options) && message.from() == Some(Role::Pcscf));
        if let Some((established, message)) = outside {
            let from = message.record().ends.map_or(0, |ends| ends.from.port());
            findings.remark([established, message], "OPTIONS over the SAs", format!("in clear from port {from}"));
        }
        let unanswered = case.registration.exchanges().find_map(|exchange| {
            let request = exchange.request()?;
            let is_ping =
                request.is(Method::Options) && request.from() == Some(Role::Pcscf) && request.to() == Some(Role::Ue);
            (is_ping && exchange.last().is_none()).then_some(request)
        });
        let soon = |message: &Message<'_>, ping| message.since(ping).is_some_and(|time| time <= PATIENCE);
        if let Some(ping) = unanswered
            && let Some(ended) = case.registration.after(ping).find(|m| soon(m, ping) && ends_the_registration(*m))
        {
            findings.remark([ping, ended], "an answer to OPTIONS", "none, and the end of the registration").likely();
        } else if let Some((closed, ended)) = closed_and_ended(case.registration) {
            let Connection { ends, step, .. } = closed.connection;
            let how = if step == Step::Reset { "a reset of" } else { "the end of" };
            let found = format!(
                "{how} the connection from {} to {} ({}), and of the registration",
                ends.from, ends.to, closed.place
            );
            findings.remark([ended], "a registration that outlives its connection", found).likely().action(
                "Let the P-CSCF keep the registration when a connection of the UE ends: what is for the UE goes over a new one \
                 to its port-s. Keep-alives below the idle time of whatever is between help as well.",
            );
        }
    },
};

/// A connection of a UE that is registered, and the end of its registration right after the end of that.
fn closed_and_ended<'r>(registration: &'r Registration<'r>) -> Option<(&'r ConnectionStep, Message<'r>)> {
    let ended = registration.messages().filter(|message| ends_the_registration(*message));
    let wants_to_leave = |by: Message<'_>| {
        let leaving = registration.attempts().filter(|attempt| attempt.is_deregistration());
        leaving
            .filter_map(Attempt::request)
            .any(|request| request.from() == Some(Role::Ue) && by.since(request).is_some_and(|time| time <= PATIENCE))
    };
    ended.filter(|ended| !wants_to_leave(*ended)).find_map(|ended| {
        let before = registration.connections().iter().rev().find(|step| {
            let is_soon = step.at.zip(ended.at()).is_some_and(|(at, end)| at <= end && end - at <= AT_ONCE);
            let is_over = matches!(step.connection.step, Step::Closed | Step::Reset);
            is_over && is_soon && step.place < ended.record().place
        })?;
        Some((before, ended))
    })
}

/// The network tells the UE that it is registered no more, or ends the registration in its name.
fn ends_the_registration(message: Message<'_>) -> bool {
    let is_over = || message.subscription_state().is_some_and(|s| s.state.eq_ignore_ascii_case("terminated"));
    message.is(Method::Notify) && message.is_request() && is_over() || is_network_deregistration(message)
}

/// Notes a message of the P-CSCF that the UE cannot take: a cause where the trace shows that it did not.
pub(super) fn not_taken<'f, 'm>(
    case: &Case<'_>,
    findings: &'f mut Findings<'_>,
    messages: impl IntoIterator<Item = Message<'m>>,
    message: Message<'_>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> &'f mut Found {
    match attempt_of(message) {
        Some(attempt) if !message.is_request() && was_not_taken(case, attempt, message) => {
            findings.cause(messages, expected, found)
        }
        _ => findings.remark(messages, expected, found),
    }
}

/// True where the last attempt ended with this answer, and the UE went on as if there were none.
pub(super) fn was_not_taken(case: &Case<'_>, attempt: Attempt<'_>, answer: Message<'_>) -> bool {
    if case.failure().is_some_and(|failure| failure.attempt == attempt) {
        return true;
    }
    let is_last = attempt.next().is_none();
    let after = || case.registration.messages().skip(answer.index() + 1).filter(|m| m.from() == Some(Role::Ue));
    let of_it = answer.exchange().and_then(|exchange| exchange.request());
    let mut again = after().filter(|message| message.is_request() && message.repeats() == of_it);
    // Its repetition may have crossed the answer.
    let repeats = again.any(|message| message.since(answer).is_some_and(|time| time >= CROSSING));
    let goes_on = after().any(|message| message.is_request() && message.repeats().is_none());
    is_last && repeats && !goes_on
}

/// What rule SL-07 found in clear while SAs were there, each with the 200 that made them.
fn past_the_sas<'r>(case: &Case<'r>) -> Vec<(Message<'r>, Message<'r>)> {
    let message = |number: u64| case.registration.message(number);
    let found = case.failed("SL-07").filter_map(|finding| {
        let [established, clear] = finding.messages[..] else { return None };
        Some((message(established)?, message(clear)?))
    });
    found.collect()
}

/// A REGISTER in clear to port-s that begins an attempt.
fn register_to_port_s<'r>(case: &Case<'r>) -> Option<Message<'r>> {
    if case.policy.esp_is_off {
        return None;
    }
    let requests = case.registration.attempts().filter_map(Attempt::request);
    requests.into_iter().find(|request| {
        let answer = request.exchange().and_then(|exchange| exchange.last());
        let is_of_that_plane = answer.is_some_and(|answer| matches!(answer.carried(), Carried::Ports(_)));
        request.from() == Some(Role::Ue) && matches!(request.carried(), Carried::Ports(_)) && !is_of_that_plane
    })
}

/// `SUBSCRIBE`, or `an answer to it`.
fn described(message: Message<'_>) -> String {
    let method = message.method().map_or("a message", |method| method.as_str());
    if message.is_request() { method.to_owned() } else { format!("an answer to {method}") }
}

fn requests_of_pcscf<'r>(registration: &'r Registration<'r>) -> impl Iterator<Item = Message<'r>> {
    registration
        .messages()
        .filter(|message| message.is_request() && message.from() == Some(Role::Pcscf) && message.to() == Some(Role::Ue))
}

/// The set of a SYN over its SAs to port-s of one of its ends.
fn over_sas<'r>(registration: &'r Registration<'r>, step: &ConnectionStep) -> Option<Set<'r>> {
    let is_open = step.connection.step == Step::Asked;
    let is_protected = matches!(step.connection.protection, Protection::Esp(_) | Protection::Set(_));
    let (from, to) = (step.connection.ends.from.port(), step.connection.ends.to.port());
    let joins = |set: &Set<'_>| match (set.ue(), set.pcscf()) {
        (Some(ue), Some(pcscf)) => [(ue.port_c, pcscf.port_s), (pcscf.port_c, ue.port_s)].contains(&(from, to)),
        _ => false,
    };
    registration.sets().rev().find(joins).filter(|_| is_open && is_protected)
}

/// True where the same end said nothing to what came over UDP either: then it is not the transport.
fn is_silent_over_udp(set: Set<'_>, asked: &ConnectionStep) -> bool {
    let asker = asked.connection.ends.from.ip();
    let of_asker = |message: &Message<'_>| message.record().ends.is_some_and(|ends| ends.from.ip() == asker);
    let later = || set.messages().filter(|message| message.record().place > asked.place);
    let tried = later().any(|message| message.is_udp() && message.is_request() && of_asker(&message));
    let is_shut = set.shut().any(|shut| shut.from == asker);
    (tried || is_shut) && !later().any(|message| !of_asker(&message))
}

/// True for a SYN that nobody accepted for longer than any stack takes to send its third.
fn is_in_vain(case: &Case<'_>, asked: &ConnectionStep) -> bool {
    let ends = asked.connection.ends;
    let back = case.registration.connections().iter().filter(|step| {
        (step.connection.ends.from, step.connection.ends.to) == (ends.to, ends.from) && step.place >= asked.place
    });
    let mut accepted = back.clone().filter(|step| step.connection.step == Step::Accepted);
    let mut reset = back.filter(|step| step.connection.step == Step::Reset);
    let until = case.registration.observable().until;
    let waited = asked.at.zip(until).is_some_and(|(at, until)| until - at > THIRD_SYN);
    accepted.next().is_none() && (waited || reset.next().is_some())
}

/// A REGISTER of the P-CSCF that ends a registration in the name of the UE.
fn is_network_deregistration(message: Message<'_>) -> bool {
    let is_end = attempt_of(message).is_some_and(Attempt::is_deregistration);
    message.is(Method::Register)
        && is_end
        && attempt_of(message).and_then(Attempt::request) == Some(message)
        && message.from() == Some(Role::Pcscf)
}

const THIRD_SYN: Duration = Duration::from_secs(7);
/// Longer than an answer is under way.
const CROSSING: Duration = Duration::from_millis(400);
/// A P-CSCF that takes a connection for the registration acts as soon as it is closed.
const AT_ONCE: Duration = Duration::from_secs(10);
/// 64*T1 towards a UE, and the time of a de-registration.
const PATIENCE: Duration = Duration::from_secs(180);
