//! Rules DR-01 to DR-04.

use crate::trace::{Trace, change, cut, is_register_of_ue};
use imsreg::time::Duration;

fn left() -> Trace {
    Trace::of("reg-event")
}

/// The REGISTER that ends the registration, as the UE sends it.
fn is_end(text: &str) -> bool {
    is_register_of_ue(text) && (text.contains("expires=0") || text.contains("\r\nExpires: 0\r\n"))
}

#[test]
fn dr_01() {
    left().passes("DR-01");
    left().edit(is_end, |text| cut(text, "Security-Verify")).fails("DR-01", "Security-Verify");
    left()
        .edit(is_end, |text| change(text, "Contact", |value| value.replace("<sip:", "<sip:x")))
        .fails("DR-01", "sip:x");
    left().in_clear(is_end).fails("DR-01", "in clear");
    left()
        .edit(is_end, |text| change(&cut(text, "Expires"), "Contact", |_| "*\r\nExpires: 60".into()))
        .fails("DR-01", "Expires: 0");
    left().gm().without(is_register_of_ue_up_to_second).is_not_observable("DR-01");
    Trace::of("first-registration").is_not_applicable("DR-01");
}

fn is_register_of_ue_up_to_second(text: &str) -> bool {
    let early = ["\r\nCSeq: 1 REGISTER", "\r\nCSeq: 2 REGISTER", "\r\nCSeq: 3 REGISTER"];
    early.iter().any(|number| text.contains(number))
}

#[test]
fn dr_02() {
    left().passes("DR-02");
    Trace::of("first-registration").is_not_applicable("DR-02");
    let mut late = left().gm();
    let last = late.sightings.last_mut().expect("the answer to NOTIFY");
    last.at = last.at.map(|at| at + Duration::from_secs(150));
    late.fails("DR-02", "an answer after");
    let mut short = left();
    let end = short.position(is_end);
    short.sightings.truncate(end + 12);
    short.is_not_observable("DR-02");
}

#[test]
fn dr_03() {
    let challenged = Trace::with("reg-event", &[("scscf.challenge", "always")]);
    challenged.passes("DR-03");
    let answers = |text: &str| is_end(text) && text.contains("CSeq: 6 ");
    let rest = |text: &str| answers(text) || text.contains("CSeq: 6 REGISTER");
    let silent = challenged.gm().without(rest);
    silent.is_not_observable("DR-03");
    let last = silent.sightings.len() - 1;
    let silent = silent.copied(0, last, Duration::from_secs(600), str::to_owned);
    silent.fails("DR-03", "none");
    left().is_not_applicable("DR-03");
}

#[test]
fn dr_04() {
    let ended = || Trace::of("network-deregistration");
    ended().passes("DR-04");
    let is_rejected = |text: &str| text.starts_with("NOTIFY ") && text.contains("event=\"rejected\"");
    ended()
        .edit(is_rejected, |text| text.replace("event=\"rejected\"", "event=\"expired\" "))
        .fails("DR-04", "expired");
    ended().without(is_rejected).fails("DR-04", "NOTIFY with rejected");
    // The NOTIFY is due at once: half a minute without it is enough.
    let mut silent = ended().without(is_rejected);
    let is_rtr = |s: &imsreg::trace::Sighting| {
        matches!(&s.seen, imsreg::trace::Seen::Message(m)
        if imsreg::diameter::Header::read(&m.bytes).is_some_and(|h| h.command == imsreg::cx::Rtr::COMMAND && !h.request))
    };
    let rta = silent.sightings.iter().rposition(is_rtr).expect("an RTA");
    silent.sightings.truncate(rta + 1);
    silent.clone().going_on(40).fails("DR-04", "NOTIFY with rejected");
    silent.is_not_observable("DR-04");
    ended().without(|text| text.starts_with("NOTIFY ")).is_not_observable("DR-04");
    left().is_not_applicable("DR-04");
}
