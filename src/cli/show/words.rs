//! What a ladder cannot draw, in words.

use crate::ipsec::association::Endpoint;
use crate::packet::Protocol;
use crate::trace::drawn::{Counts, counted, opened};
use crate::trace::story::{Attempt, Carried, Kind, Outcome, Registration, Set, SetEnd, ShutSpi, Totals};
use crate::trace::{Shut, Step, Summary};

/// The line below a ladder.
pub(super) fn foot(counts: Counts) -> String {
    let Counts { sip, cx, other_diameter, trying, base } = counts;
    let kinds = [(sip, "SIP"), (cx, "Cx"), (other_diameter, "other Diameter")];
    let kinds: Vec<String> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let drawn = if kinds.is_empty() { "nothing to draw".to_owned() } else { kinds.join(", ") };
    let rest = [(trying, "100 Trying"), (base, "CER, DWR, DPR and answers")];
    let rest: Vec<String> = rest.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} × {what}")).collect();
    if rest.is_empty() { drawn } else { format!("{drawn}; not drawn: {}", rest.join(", ")) }
}

/// The lines below a ladder: attempts, sets, ESP that stayed shut, connections, what cannot be seen.
pub(super) fn of(registration: &Registration<'_>) -> Vec<String> {
    let mut lines: Vec<String> = registration.attempts().map(attempt).collect();
    lines.extend(registration.sets().map(set));
    lines.extend(registration.shut().iter().map(shut));
    for step in registration.connections() {
        let ends = step.connection.ends;
        match step.connection.step {
            Step::Reset => lines.push(format!("{}: {} resets its connection with {}", step.place, ends.from, ends.to)),
            Step::Gap => lines.push(format!("{}: octets from {} to {} are missing", step.place, ends.from, ends.to)),
            Step::Asked | Step::Accepted | Step::Closed => {}
        }
    }
    if registration.id().is_some() {
        lines.extend(not_seen(registration));
    }
    lines
}

fn attempt(attempt: Attempt<'_>) -> String {
    let kind = match attempt.kind() {
        Kind::Initial => "registration",
        Kind::Refresh => "re-registration",
        Kind::Deregistration => "de-registration",
    };
    let mut text = format!("attempt {}: {kind}", attempt.index() + 1);
    if let Some(request) = attempt.request() {
        text.push_str(&format!(", asked by {}", request.number));
    }
    let challenges: Vec<String> = attempt.challenges().map(|challenge| challenge.number.to_string()).collect();
    if !challenges.is_empty() {
        text.push_str(&format!(", challenged by {}", challenges.join(", ")));
    }
    if let Some(answer) = attempt.answer().and_then(|answer| answer.request()) {
        text.push_str(&format!(", answered by {}", answer.number));
    }
    let by = attempt.end().map_or_else(String::new, |end| format!(" by {}", end.number));
    let granted = attempt.granted().map_or_else(String::new, |granted| format!(" for {} s", granted.as_secs()));
    let end = match attempt.outcome() {
        Outcome::Registered => format!("registered{by}{granted}"),
        Outcome::Deregistered => format!("de-registered{by}"),
        Outcome::Refused(status) => format!("refused with {status}{by}"),
        Outcome::Challenged => "the challenge is not answered".to_owned(),
        Outcome::Unanswered => "no final answer".to_owned(),
    };
    format!("{text}: {end}")
}

fn set(set: Set<'_>) -> String {
    let end = |name, end: Option<Endpoint>| match end {
        Some(Endpoint { spi_c, spi_s, port_c, port_s }) => format!("{name} spi {spi_c}/{spi_s} port {port_c}/{port_s}"),
        None => format!("{name} unknown"),
    };
    let agreed = set.agreed().map_or_else(|| "no common pair".to_owned(), |offer| offer.algorithms.to_string());
    let sides = format!("{}, {}", end("UE", set.ue()), end("P-CSCF", set.pcscf()));
    let mut text = format!("SA set {} of {}: {agreed}, {sides}", set.index() + 1, set.challenge().number);
    let messages = set.messages().count() as u64;
    // A text does not tell what went over it.
    if messages > 0 || set.challenge().carried() != Carried::Unknown {
        text.push_str(&format!("; {} over it", counted(messages, "message")));
    }
    let sealed: u64 = set.shut().map(|shut| shut.count).sum();
    if sealed > 0 {
        text.push_str(&format!(", {} shut", counted(sealed, "packet")));
    }
    match set.end() {
        Some(SetEnd::Refused(message)) => text.push_str(&format!("; refused by {}", message.number)),
        Some(SetEnd::Replaced(message)) => text.push_str(&format!("; replaced with {}", message.number)),
        Some(SetEnd::Deregistered(message)) => text.push_str(&format!("; ended by {}", message.number)),
        None => {}
    }
    text
}

fn shut(shut: &ShutSpi) -> String {
    let why = shut.first.first().map_or("", |(.., sealed)| match sealed.why {
        Shut::NoKey => ": no key is known",
        Shut::WrongIcv => ": the ICV is wrong",
        Shut::Inside => ": what is inside cannot be read",
        Shut::Cut => ": cut by the capture",
    });
    let first = shut.first.first().map_or_else(String::new, |(place, ..)| format!(", first in {place}"));
    let packets = counted(shut.count, "packet");
    format!("ESP spi {} (0x{:08x}), {} to {}: {packets} shut{first}{why}", shut.spi, shut.spi, shut.from, shut.to)
}

fn not_seen(registration: &Registration<'_>) -> Option<String> {
    let seen = registration.observable();
    let all = [
        (seen.gm_clear, "Gm in clear"),
        (seen.gm_inner, "Gm behind the security agreement"),
        (seen.uplink, "messages of the UE"),
        (seen.downlink, "messages to the UE"),
        (seen.mw, "Mw"),
        (seen.cx, "Cx"),
        (seen.keys, "CK and IK"),
        (seen.times, "times"),
        (seen.addresses, "addresses"),
    ];
    let missing: Vec<&str> = all.into_iter().filter(|(seen, _)| !seen).map(|(_, what)| what).collect();
    (!missing.is_empty()).then(|| format!("not in the trace: {}", missing.join(", ")))
}

/// The lines at the end of a trace.
pub(super) fn totals(totals: &Totals, summary: &Summary) -> Vec<String> {
    let messages = format!(
        "{} SIP and {} Diameter messages, {}",
        totals.sip,
        totals.diameter,
        counted(totals.registrations, "registration")
    );
    let mut lines = vec![messages];
    let more = [
        (totals.keep_alives.max(summary.keep_alives), "keep-alives between messages"),
        (summary.copies, "packets captured more than once"),
        (summary.retransmitted, "segments or chunks sent again"),
        (totals.resets, "connections reset"),
        (totals.gaps, "gaps in connections"),
        (summary.cut, "messages of which only the beginning is there"),
    ];
    lines.extend(more.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    for (by, [right, wrong, unknown]) in &summary.opened {
        let all = counted(right + wrong + unknown, "packet");
        lines.push(format!("ESP {}: {all}; ICV right {right}, wrong {wrong}, not judged {unknown}", opened(*by)));
    }
    for (spi, count) in &totals.shut {
        lines.push(format!("ESP spi {spi} (0x{spi:08x}) stayed shut: {}", counted(*count, "packet")));
    }
    if totals.shut_elsewhere > 0 {
        lines.push(format!("ESP of other SPIs stayed shut: {}", counted(totals.shut_elsewhere, "packet")));
    }
    for (reason, unread) in &totals.unread {
        let (count, octets, first) = (unread.count, unread.octets, unread.first);
        lines.push(format!("not read, {reason}: {count} times, {octets} octets, first in {first}"));
    }
    lines
}

/// `SIP` or `Diameter`.
pub(super) const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Sip => "SIP",
        Protocol::Diameter => "Diameter",
    }
}
