//! One JSON object a line: messages, then the registration that they are of, at last a report.

use super::words;
use crate::ladder::{full, summary};
use crate::trace::story::{Attempt, Kind, Message, Outcome, Registration, Set, Totals};
use crate::trace::{Protection, Summary};
use serde_json::{Value, json};

pub(super) fn message(registration: &Registration<'_>, message: Message<'_>, show_keys: bool) -> Value {
    let said = summary(message.protocol, &message.bytes, show_keys);
    let role = |role: Option<crate::event::Role>| role.map(|role| role.as_str());
    let esp = match message.protection {
        Protection::Esp(esp) => json!({
            "spi": esp.spi,
            "sequence": esp.sequence,
            "icv": format!("{:?}", esp.icv).to_lowercase(),
            "opened": format!("{:?}", esp.by).to_lowercase(),
        }),
        Protection::Clear | Protection::Set(_) | Protection::Unknown => Value::Null,
    };
    let wait = message.wait().map(|wait| {
        json!({"since": wait.since.number, "seconds": wait.elapsed.as_secs_f64(), "timer": wait.timer.to_string()})
    });
    json!({
        "event": "message",
        "at": message.at().map(|at| at.as_micros() as f64 / 1e6),
        "number": message.number,
        "place": message.place.to_string(),
        "registration": registration.id(),
        "from": role(message.from()),
        "to": role(message.to()),
        "interface": message.interface().as_str(),
        "source": message.ends.map(|ends| ends.from.to_string()),
        "destination": message.ends.map(|ends| ends.to.to_string()),
        "protocol": words::protocol(message.protocol),
        "transport": message.ends.map(|ends| ends.transport.as_str()),
        "set": message.carried().sa().map(|sa| sa.set + 1),
        "esp": esp,
        "repeats": message.repeats().map(|first| first.number),
        "wait": wait,
        "cut": message.cut,
        "label": said.label,
        "details": said.details,
        "lines": full::lines(message.protocol, &message.bytes, show_keys),
    })
}

pub(super) fn registration(registration: &Registration<'_>) -> Value {
    let seen = registration.observable();
    json!({
        "event": "registration",
        "at": seen.until.map(|at| at.as_micros() as f64 / 1e6),
        "id": registration.id(),
        "continued": registration.is_continued(),
        "impi": registration.impi(),
        "impu": registration.impu(),
        "messages": registration.messages().map(|message| message.number).collect::<Vec<_>>(),
        "attempts": registration.attempts().map(attempt).collect::<Vec<_>>(),
        "sets": registration.sets().map(set).collect::<Vec<_>>(),
        "shut": registration.shut().iter().map(|shut| json!({
            "spi": shut.spi, "from": shut.from, "to": shut.to, "packets": shut.count,
        })).collect::<Vec<_>>(),
        "seen": {
            "gm_clear": seen.gm_clear, "gm_inner": seen.gm_inner, "uplink": seen.uplink, "downlink": seen.downlink,
            "mw": seen.mw, "isc": seen.isc, "cx": seen.cx, "keys": seen.keys, "times": seen.times,
            "addresses": seen.addresses, "beginning": seen.beginning, "whole": seen.whole,
        },
    })
}

fn attempt(attempt: Attempt<'_>) -> Value {
    let kind = match attempt.kind() {
        Kind::Initial => "initial",
        Kind::Refresh => "refresh",
        Kind::Deregistration => "deregistration",
    };
    let (outcome, status) = match attempt.outcome() {
        Outcome::Registered => ("registered", None),
        Outcome::Deregistered => ("deregistered", None),
        Outcome::Refused(status) => ("refused", Some(status)),
        Outcome::Challenged => ("challenged", None),
        Outcome::Unanswered => ("unanswered", None),
    };
    json!({
        "kind": kind,
        "outcome": outcome,
        "status": status,
        "registers": attempt.journeys().filter_map(|journey| journey.request()).map(|m| m.number).collect::<Vec<_>>(),
        "challenges": attempt.challenges().map(|message| message.number).collect::<Vec<_>>(),
        "end": attempt.end().map(|message| message.number),
        "granted": attempt.granted().map(|granted| granted.as_secs()),
    })
}

fn set(set: Set<'_>) -> Value {
    json!({
        "challenge": set.challenge().number,
        "algorithms": set.agreed().map(|offer| offer.algorithms.to_string()),
        "messages": set.messages().map(|message| message.number).collect::<Vec<_>>(),
        "shut": set.shut().map(|shut| shut.count).sum::<u64>(),
    })
}

pub(super) fn report(totals: &Totals, summary: &Summary) -> Value {
    let unread = totals.unread.iter().map(|(reason, unread)| {
        json!({"reason": reason, "count": unread.count, "octets": unread.octets, "first": unread.first.to_string()})
    });
    let shut = totals.shut.iter().map(|(spi, packets)| json!({"spi": spi, "packets": packets}));
    json!({
        "event": "report",
        "ok": true,
        "failure": null,
        "sip": totals.sip,
        "diameter": totals.diameter,
        "registrations": totals.registrations,
        "keep_alives": totals.keep_alives.max(summary.keep_alives),
        "copies": summary.copies,
        "gaps": totals.gaps,
        "shut": shut.collect::<Vec<_>>(),
        "unread": unread.collect::<Vec<_>>(),
    })
}
