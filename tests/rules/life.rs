//! Rules SA-29 and SL-01 to SL-10.

use crate::trace::{Trace, change, cut, is_register_of_ue, is_second, to_ue};
use imsreg::time::Duration;

fn first() -> Trace {
    Trace::of("first-registration")
}

fn again() -> Trace {
    Trace::of("re-authentication")
}

/// Without a challenge to the refresh; then the end.
fn left() -> Trace {
    Trace::of("reg-event")
}

/// A network without SAs.
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

/// The REGISTER with a CSeq, as the UE sends it.
fn number(number: u32) -> impl Fn(&str) -> bool {
    move |text| is_register_of_ue(text) && text.contains(&format!("\r\nCSeq: {number} REGISTER\r\n"))
}

/// Everything from the first message on that `pick` takes comes later.
fn delayed(mut trace: Trace, pick: impl Fn(&str) -> bool, seconds: u64) -> Trace {
    let from = trace.position(pick);
    for sighting in &mut trace.sightings[from..] {
        sighting.at = sighting.at.map(|at| at + Duration::from_secs(seconds));
    }
    trace
}

/// The request that `pick` takes is sent five times, and nobody answers.
fn ignored(trace: Trace, pick: impl Fn(&str) -> bool) -> Trace {
    let at = trace.position(pick);
    (0..5).fold(trace, |trace, n| trace.copied(at, at + n, Duration::from_secs(2), str::to_owned))
}

fn offering(pick: impl Fn(&str) -> bool, with: impl Fn(&str) -> String) -> Trace {
    again().gm().edit(pick, |text| change(text, "Security-Client", &with))
}

/// Parameter `name` of the Security-Client of REGISTER 1.
fn offered(name: &str) -> String {
    let trace = again().gm();
    let imsreg::trace::Seen::Message(message) = &trace.sightings[trace.position(number(1))].seen else {
        panic!("a message")
    };
    let text = String::from_utf8_lossy(&message.bytes).into_owned();
    let value = text.split(&format!("{name}=")).nth(1).expect("the parameter");
    value.chars().take_while(char::is_ascii_digit).collect()
}

/// The value of a parameter replaced wherever it stands.
fn replaced(value: &str, name: &str, with: &str) -> String {
    let parts: Vec<String> = value
        .split(';')
        .map(|part| match part.strip_prefix(&format!("{name}=")) {
            Some(rest) => format!("{name}={with}{}", rest.trim_start_matches(|c: char| c.is_ascii_digit())),
            None => part.to_owned(),
        })
        .collect();
    parts.join(";")
}

#[test]
fn nothing_without_sas() {
    for id in ["SA-29", "SL-01", "SL-02", "SL-03", "SL-04", "SL-05", "SL-06", "SL-07", "SL-08", "SL-09", "SL-10"] {
        plain().is_not_applicable(id);
    }
}

#[test]
fn sa_29() {
    first().is_not_observable("SA-29");
    delayed(first().gm(), is_second, 250).fails("SA-29", "an answer to a REGISTER");
    let silent = first().gm().without(to_ue("200"));
    ignored(delayed(silent.clone(), is_second, 250), is_second).going_on(130).passes("SA-29");
    ignored(silent, is_second).going_on(130).fails("SA-29", "no answer to a REGISTER");
}

#[test]
fn sl_01() {
    again().passes("SL-01");
    for name in ["spi-c", "spi-s", "port-c"] {
        let old = offered(name);
        offering(number(3), |value| replaced(value, name, &old)).fails("SL-01", name);
    }
    offering(number(3), |value| replaced(value, "port-s", "40001")).fails("SL-01", "port-s=40001");
    untold(again()).is_not_observable("SL-01");
}

/// As in a text that does not tell what was protected.
fn untold(mut trace: Trace) -> Trace {
    for sighting in &mut trace.sightings {
        if let imsreg::trace::Seen::Message(message) = &mut sighting.seen {
            message.protection = imsreg::trace::Protection::Unknown;
        }
    }
    trace
}

#[test]
fn sl_02() {
    again().passes("SL-02");
    again().edit(number(3), |text| cut(text, "Security-Verify")).fails("SL-02", "none");
    again()
        .edit(number(3), |text| change(text, "Security-Verify", |value| replaced(value, "port-s", "7000")))
        .fails("SL-02", "7000");
    untold(again()).is_not_observable("SL-02");
}

#[test]
fn sl_03() {
    again().going_on(140).passes("SL-03");
    let short = again().gm();
    let end = short.position(number(4));
    let mut short = short;
    short.sightings.truncate(end + 2);
    short.is_not_observable("SL-03");
    first().is_not_applicable("SL-03");
    let again = again().gm();
    let old = again.position(to_ue("200"));
    let last = again.sightings.len() - 1;
    let late = |text: &str| text.replace("branch=z9hG4bK", "branch=z9hG4bKx");
    again.copied(old, last, Duration::from_secs(140), late).fails("SL-03", "a message after");
}

#[test]
fn sl_04() {
    first().is_not_observable("SL-04");
    let granted = |text: &str| text.replace("expires=600000", "expires=60");
    let short =
        || left().gm().edit(|text| text.starts_with("SIP/2.0 200 ") && text.contains("CSeq: 2 REGISTER"), granted);
    // The refresh moves the end: what comes after the first one is answered.
    delayed(short(), |text| is_register_of_ue(text) && text.contains("CSeq: 4 "), 100).passes("SL-04");
    delayed(short(), number(3), 100).fails("SL-04", "no answer over SAs that have ended");
    // The refresh has moved the end to 240 s; the UE tries from 120 s on, and in vain.
    let is_second_grant = |text: &str| text.starts_with("SIP/2.0 200 ") && text.contains("CSeq: 3 REGISTER");
    let refreshed = short().edit(is_second_grant, |text| text.replace("expires=600000", "expires=200"));
    let mut unanswered = delayed(refreshed, number(4), 100);
    unanswered.sightings.truncate(unanswered.position(number(4)) + 1);
    unanswered.is_not_observable("SL-04");
    ignored(unanswered, number(4)).going_on(150).fails("SL-04", "before its end");
}

#[test]
fn sl_05() {
    let failed = || {
        again().gm().edit(
            |text| to_ue("200")(text) && text.contains("CSeq: 4 REGISTER"),
            |text| text.replace("200 OK", "403 Forbidden"),
        )
    };
    failed().fails("SL-05", "nothing over the SAs of a failed authentication");
    failed().without(|text| text.contains("CSeq: 5 ") || text.contains("CSeq: 6 ")).is_not_observable("SL-05");
    first().is_not_applicable("SL-05");
    let gone_on = |text: &str| text.contains("CSeq: 6 ") || to_ue("401")(text) && text.contains("CSeq: 5 ");
    failed().without(gone_on).in_clear(number(5)).passes("SL-05");
}

#[test]
fn sl_06() {
    left().passes("SL-06");
    let is_last = |text: &str| to_ue("200")(text) && text.contains("CSeq: 4 REGISTER");
    left().gm().in_clear(is_last).fails("SL-06", "200 in clear");
    left().gm().without(is_last).is_not_observable("SL-06");
    ignored(left().without(is_last), number(4)).going_on(130).fails("SL-06", "none over Gm");
    first().is_not_applicable("SL-06");
}

#[test]
fn sl_07() {
    left().passes("SL-07");
    let is_subscribe = |text: &str| text.starts_with("SUBSCRIBE ") && text.matches("\r\nVia:").count() == 1;
    left().gm().in_clear(is_subscribe).fails("SL-07", "SUBSCRIBE in clear");
    untold(left()).is_not_observable("SL-07");
}

#[test]
fn sl_08() {
    again().passes("SL-08");
    let unanswered =
        first().gm().without(|text| is_register_of_ue(text) && !text.contains("CSeq: 1 ") || to_ue("200")(text));
    unanswered.is_not_observable("SL-08");
}

#[test]
fn sl_08_four_sets() {
    let mut trace = again().gm();
    let later = Duration::from_secs(1);
    // Two challenges more, each with other SPIs and ports.
    for cseq in [7, 9] {
        let fresh = |text: &str| {
            let text = text.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{cseq}"));
            let text = text.replace("CSeq: 5 ", &format!("CSeq: {cseq} "));
            let value_of = |value: &str, side: u32| {
                let value = replaced(value, "spi-c", &format!("{side}0{cseq}"));
                replaced(&value, "port-c", &format!("{side}000{cseq}"))
            };
            let text = change(&text, "Security-Client", |value| value_of(value, 3));
            change(&text, "Security-Server", |value| value_of(value, 4))
        };
        let challenged = trace.position(|text| to_ue("401")(text) && text.contains("CSeq: 5 REGISTER"));
        for place in [trace.position(number(5)), challenged] {
            let last = trace.sightings.len() - 1;
            trace = trace.copied(place, last, later, fresh);
        }
    }
    for (request, cseq) in [(4, 14), (6, 16), (6, 8), (6, 10)] {
        let (place, last) = (trace.position(number(request)), trace.sightings.len() - 1);
        let again = |text: &str| {
            let text = text.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{cseq}"));
            text.replace(&format!("CSeq: {request} "), &format!("CSeq: {cseq} "))
        };
        trace = trace.copied(place, last, later, again);
    }
    let trace = trace.moved(number(8), |ends| ends.from.set_port(30_007));
    trace.moved(number(10), |ends| ends.from.set_port(30_009)).fails("SL-08", "4 sets in use");
}

/// A copy of the first SUBSCRIBE of the UE after so many seconds, as a request of its own.
fn tried_again(trace: Trace, seconds: u64) -> Trace {
    let is_subscribe = |text: &str| text.starts_with("SUBSCRIBE ") && text.matches("\r\nVia:").count() == 1;
    let (at, last) = (trace.position(is_subscribe), trace.sightings.len() - 1);
    trace.copied(at, last, Duration::from_secs(seconds), |text| {
        let text = text.replace("branch=z9hG4bK", "branch=z9hG4bKx").replace("\r\nCall-ID: ", "\r\nCall-ID: x");
        text.replace("CSeq: 1 ", "CSeq: 901 ")
    })
}

#[test]
fn sl_09() {
    let name = "SL-09";
    // Registered to the end.
    first().is_not_applicable(name);
    // The UE leaves; who does not try the SAs does not see whether they are gone.
    left().gm().is_not_observable(name);
    let is_tried = |text: &str| text.contains("CSeq: 901 SUBSCRIBE");
    ignored(tried_again(left().gm(), 300), is_tried).going_on(130).passes(name);
    let is_answer = |text: &str| to_ue("200")(text) && text.contains(" SUBSCRIBE\r\n");
    let answered = |trace: Trace, seconds: u64| {
        let trace = tried_again(trace, seconds);
        let (answer, last) = (trace.position(is_answer), trace.sightings.len() - 1);
        trace.copied(answer, last, Duration::from_millis(10), |text| {
            let text = text.replace("branch=z9hG4bK", "branch=z9hG4bKx").replace("\r\nCall-ID: ", "\r\nCall-ID: x");
            text.replace("CSeq: 1 ", "CSeq: 901 ")
        })
    };
    answered(left().gm(), 300).fails(name, "a message over the SAs after");
    // 64*T1 are for what is under way.
    let short = |mut trace: Trace| {
        let last = trace.position(|text| to_ue("200")(text) && text.contains("CSeq: 4 REGISTER"));
        trace.sightings.truncate(last + 1);
        trace
    };
    answered(short(left().gm()), 60).is_not_observable(name);
    answered(short(left().gm()), 140).fails(name, "140 s");
    // The HSS ends a registration for good: only the NOTIFY tells.
    answered(Trace::of("network-deregistration").gm(), 300).fails(name, "a message over the SAs");
    // A registration that ran out.
    let granted = |text: &str| text.replace("expires=600000", "expires=60");
    let is_grant = |text: &str| text.starts_with("SIP/2.0 200 ") && text.contains("CSeq: 2 REGISTER");
    let forgotten = || {
        left()
            .gm()
            .edit(is_grant, granted)
            .without(|text| text.contains(" REGISTER\r\n") && text.contains("CSeq: 4 "))
            .without(|text| text.contains(" REGISTER\r\n") && text.contains("CSeq: 3 "))
    };
    answered(forgotten(), 300).fails(name, "a message over the SAs");
    ignored(tried_again(forgotten(), 300), is_tried).going_on(130).passes(name);
    // A refused authentication leaves nothing.
    let refused = again().gm().edit(
        |text| to_ue("200")(text) && text.contains("CSeq: 4 REGISTER"),
        |text| text.replace("200 OK", "403 Forbidden"),
    );
    refused.is_not_observable(name);
}

#[test]
fn sl_10() {
    let anew = || Trace::of("network-deregistration").gm();
    anew().passes("SL-10");
    let is_told = |text: &str| text.starts_with("NOTIFY ") && text.contains("event=\"rejected\"");
    anew().moved(is_told, |ends| ends.from.set_port(5100)).fails("SL-10", "SAs of before");
    let mut short = anew();
    let seen = std::cell::Cell::new(0);
    let end = short.position(|text| {
        let is_it = to_ue("200")(text) && text.contains(" REGISTER\r\n");
        seen.set(seen.get() + u32::from(is_it));
        seen.get() == 2
    });
    short.sightings.truncate(end + 1);
    short.is_not_observable("SL-10");
    first().is_not_applicable("SL-10");
}

/// Every set of SAs hands its rest on to the next: what sixty of them come to is found without trying all ways to it.
#[test]
fn a_life_of_many_sets_is_judged_like_a_short_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/re-authentication.yaml");
    let mut scenario = imsreg::config::load_scenario(&path).expect("a scenario");
    let again = *scenario.steps.last().expect("a re-registration");
    let apart = Duration::from_secs(200);
    scenario.steps.extend((1..60).map(|nth| imsreg::config::Step { at: again.at + apart * nth, ..again }));
    scenario.until = again.at + apart * 61;
    let trace = Trace::of_scenario(scenario);
    let groups = trace.groups();
    let registration = imsreg::trace::story::Registration::of(&groups[0]);
    assert_eq!((groups.len(), registration.sets().count()), (1, 62));
    let findings = imsreg::validate::judge(&registration, &imsreg::validate::Context::default(), |_| true);
    let is_broken = |finding: &&imsreg::validate::Finding| {
        finding.verdict == imsreg::validate::Verdict::Fail && finding.rule.severity == imsreg::validate::Severity::Error
    };
    let broken: Vec<&str> = findings.iter().filter(is_broken).map(|finding| finding.rule.id).collect();
    assert_eq!(broken, Vec::<&str>::new());
}
