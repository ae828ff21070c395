//! Rules SA-40 to SA-51.

use crate::trace::{Trace, change, cut, is_first, is_register_of_ue, is_second, to_ue};
use imsreg::trace::{Esp, Icv, OpenedBy, Protection, Seen};

fn first() -> Trace {
    Trace::of("first-registration")
}

/// A network with digest only has no sets.
fn unanswered() -> Trace {
    first().gm().without(|text| is_register_of_ue(text) && !text.contains("CSeq: 1 REGISTER") || to_ue("200")(text))
}

fn plain() -> Trace {
    first().edit(
        |_| true,
        |text| {
            let names = ["Security-Client", "Security-Server", "Security-Verify", "Proxy-Require"];
            let text = names.iter().fold(text.to_owned(), |text, name| cut(&text, name));
            text.replace("Require: sec-agree\r\n", "").replace(",sec-agree", "").replace("sec-agree,", "")
        },
    )
}

/// Protected messages as ESP that was opened so.
fn opened(icv: Icv, by: OpenedBy) -> Trace {
    let mut trace = first().gm();
    let spi = trace.spi_s_of_pcscf();
    for sighting in &mut trace.sightings {
        if let Seen::Message(message) = &mut sighting.seen
            && matches!(message.protection, Protection::Set(_))
        {
            message.protection = Protection::Esp(Esp { spi, sequence: 1, icv, by, pair: None, mistake: None });
        }
    }
    trace
}

#[test]
fn sa_40() {
    opened(Icv::Right, OpenedBy::Computed).passes("SA-40");
    opened(Icv::Unknown, OpenedBy::Trial).fails("SA-40", "ESP with null encryption");
    first().is_not_observable("SA-40");
    plain().is_not_applicable("SA-40");
}

#[test]
fn sa_41() {
    let nothing = first()
        .gm()
        .edit(to_ue("401"), |text| change(text, "Security-Server", |value| value.replace("hmac-", "hmax-")));
    nothing.clone().without(is_second).passes("SA-41");
    nothing.in_clear(is_second).fails("SA-41", "an answer in clear");
    first().is_not_applicable("SA-41");
}

#[test]
fn sa_42() {
    first().passes("SA-42");
    first().edit(is_second, |text| cut(text, "Security-Verify")).fails("SA-42", "none");
    first()
        .edit(is_second, |text| change(text, "Security-Verify", |value| value.replacen("port-s=", "port-s=1", 1)))
        .fails("SA-42", "port-s=1");
    first().edit(is_second, |text| change(text, "Security-Verify", |value| value.to_uppercase())).passes("SA-42");
    unanswered().is_not_observable("SA-42");
    plain().is_not_applicable("SA-42");
}

#[test]
fn sa_43() {
    first().passes("SA-43");
    first()
        .edit(is_second, |text| change(text, "Security-Client", |value| value.replacen("spi-c=", "spi-c=1", 1)))
        .fails("SA-43", "spi-c=1");
    first().edit(is_second, |text| cut(text, "Security-Client")).fails("SA-43", "none");
    unanswered().is_not_observable("SA-43");
    plain().is_not_applicable("SA-43");
}

#[test]
fn sa_44() {
    first().passes("SA-44");
    first().edit(is_second, |text| cut(text, "Proxy-Require")).fails("SA-44", "Proxy-Require");
    unanswered().is_not_observable("SA-44");
    plain().is_not_applicable("SA-44");
}

#[test]
fn sa_45() {
    first().passes("SA-45");
    first().gm().in_clear(is_second).fails("SA-45", "in clear");
    unanswered().is_not_observable("SA-45");
    plain().is_not_applicable("SA-45");
}

#[test]
fn sa_46() {
    first().passes("SA-46");
    first().edit(is_second, |text| text.replace("@10.64.0.1:31001", "@10.64.0.1:5060")).fails("SA-46", "Contact");
    unanswered().is_not_observable("SA-46");
    plain().is_not_applicable("SA-46");
}

#[test]
fn sa_47() {
    first().passes("SA-47");
    first().gm().moved(to_ue("200"), |ends| ends.to.set_port(39_999)).fails("SA-47", "39999");
    unanswered().is_not_observable("SA-47");
    plain().is_not_applicable("SA-47");
}

#[test]
fn sa_48() {
    first().passes("SA-48");
    let verify = |text: &str| change(text, "Security-Verify", |value| value.replacen("port-s=", "port-s=1", 1));
    first().gm().edit(is_second, verify).fails("SA-48", "200 to lists that differ");
    first()
        .gm()
        .edit(to_ue("200"), |text| text.replace("200 OK", "494 Security Agreement Required"))
        .fails("SA-48", "494");
    // A trace that begins behind the first REGISTER of the UE shows it on Mw, where it has no offer any more.
    first().without(is_first).passes("SA-48");
    unanswered().is_not_observable("SA-48");
    plain().is_not_applicable("SA-48");
}

#[test]
fn sa_49() {
    let is_subscribe = |text: &str| text.starts_with("SUBSCRIBE ") && text.matches("\r\nVia:").count() == 1;
    Trace::of("reg-event").gm().passes("SA-49");
    Trace::of("reg-event").gm().edit(is_subscribe, |text| cut(text, "Security-Verify")).fails("SA-49", "none");
    plain().is_not_applicable("SA-49");
}

#[test]
fn sa_50() {
    opened(Icv::Right, OpenedBy::Computed).passes("SA-50");
    opened(Icv::Wrong, OpenedBy::Computed).fails("SA-50", "a wrong one on SPI");
    opened(Icv::Unknown, OpenedBy::Trial).is_not_observable("SA-50");
    plain().is_not_applicable("SA-50");
}
