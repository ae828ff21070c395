//! Rules EV-01 to EV-08.

use crate::trace::{Trace, change, cut, is_register_of_ue, to_ue};
use imsreg::time::Duration;

fn watched() -> Trace {
    Trace::of("reg-event")
}

fn ended() -> Trace {
    Trace::of("network-deregistration")
}

/// A SUBSCRIBE as the UE sends it.
fn is_subscribe(text: &str) -> bool {
    text.starts_with("SUBSCRIBE ") && text.matches("\r\nVia:").count() == 1
}

fn is_notify(text: &str) -> bool {
    text.starts_with("NOTIFY ")
}

/// A NOTIFY whose document has these words.
fn telling(words: &'static str) -> impl Fn(&str) -> bool {
    move |text| is_notify(text) && text.contains(words)
}

/// The text with its body changed.
fn document(text: &str, with: impl Fn(&str) -> String) -> String {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let body = with(body);
    let head = change(head, "Content-Length", |_| body.len().to_string());
    format!("{head}\r\n\r\n{body}")
}

fn told(from: &'static str, to: &'static str) -> Trace {
    watched().edit(telling(from), move |text| document(text, |body| body.replace(from, to)))
}

/// Nobody watches.
fn unwatched() -> Trace {
    Trace::of("first-registration")
}

#[test]
fn what_is_sound_passes_and_what_did_not_happen_is_not_judged() {
    for id in ["EV-01", "EV-02", "EV-03", "EV-04", "EV-05", "EV-06"] {
        watched().passes(id);
    }
    for id in ["EV-02", "EV-03", "EV-04", "EV-05", "EV-06", "EV-07", "EV-08"] {
        unwatched().is_not_applicable(id);
    }
    for id in ["EV-02", "EV-03", "EV-05", "EV-06"] {
        watched().gm().without(is_notify).is_not_observable(id);
    }
}

#[test]
fn ev_01() {
    let with = |with: fn(&str) -> String| watched().edit(is_subscribe, with);
    with(|text| change(text, "Accept", |_| "application/pidf+xml".into())).fails("EV-01", "application/pidf+xml");
    with(|text| cut(text, "Accept")).passes("EV-01");
    with(|text| cut(text, "Route")).fails("EV-01", "Route");
    with(|text| text.replacen("SUBSCRIBE sip:", "SUBSCRIBE sip:other", 1)).fails("EV-01", "sip:other");
    watched().gm().in_clear(is_subscribe).fails("EV-01", "in clear");
    unwatched().is_not_observable("EV-01");
    // What it subscribes to is something else.
    with(|text| change(text, "Event", |_| "presence".into())).going_on(70).fails("EV-01", "presence");
    unwatched().gm().edit(to_ue("200"), |text| text.replace("200 OK", "403 Forbidden")).is_not_applicable("EV-01");
}

#[test]
fn ev_02() {
    let with = |name: &'static str, from: &'static str, to: &'static str| {
        watched().edit(is_notify, move |text| change(text, name, |value| value.replace(from, to)))
    };
    with("To", "<sip:", "<sip:other").fails("EV-02", "in To");
    with("To", ";tag=", ";tag=x").fails("EV-02", "in To");
    with("From", "<sip:", "<sip:other").fails("EV-02", "in From");
    with("From", ";tag=", ";tag=x").fails("EV-02", "in From");
    watched().edit(is_notify, |text| text.replacen("NOTIFY sip:", "NOTIFY sip:other", 1)).fails("EV-02", "Request-URI");
    watched().edit(is_notify, |text| change(text, "CSeq", |_| "1 NOTIFY".into())).fails("EV-02", "CSeq above 1");
    watched().gm().without(is_subscribe).is_not_observable("EV-02");
}

#[test]
fn ev_03() {
    told("version=\"0\"", "version=\"1\"").fails("EV-03", "version 0");
    told("version=\"1\"", "version=\"5\"").fails("EV-03", "version 1");
    told("state=\"full\"", "state=\"partial\"").fails("EV-03", "partial");
    told("aor=\"sip:", "aor=\"sip:other").fails("EV-03", "sip:other");
    told("event=\"registered\"", "event=\"expired\"").fails("EV-03", "active by expired");
    told("<registration", "<enlisting").fails("EV-03", "schema");
}

#[test]
fn ev_04() {
    let open = |text: &str| change(text, "Subscription-State", |_| "active;expires=600".into());
    watched().edit(telling("state=\"terminated\""), open).fails("EV-04", "active");
    watched().without(telling("state=\"terminated\"")).is_not_observable("EV-04");
}

#[test]
fn ev_05() {
    let stale = |text: &str| {
        document(text, |body| {
            body.replace("state=\"terminated\"", "state=\"active\"").replace("unregistered", "registered")
        })
    };
    watched().edit(telling("state=\"terminated\""), stale).fails("EV-05", "terminated");
    let beside = |uri: &'static str, instance: &'static str| {
        watched().edit(telling("state=\"active\""), move |text| {
            document(text, |body| {
                let start = body.find("<contact ").expect("a contact");
                let end = body.find("</contact>").expect("its end") + "</contact>".len();
                let own = &body[start..end];
                let at = own.find("<uri>").expect("its address") + "<uri>".len();
                let to = own.find("</uri>").expect("its end");
                let other = format!("{}{uri}{}", &own[..at], &own[to..]).replacen("id=\"", "id=\"x", 1);
                let other = other.replace("urn:gsma:imei:", instance);
                format!("{}{other}{}", &body[..end], &body[end..])
            })
        })
    };
    beside("sip:u@10.64.0.1:29999", "urn:gsma:imei:").fails("EV-05", "one active contact of an instance");
    beside("sip:u@10.64.0.1:29999", "urn:gsma:imei:9").passes("EV-05");
    // An emergency registration stands beside the other (TS 24.229 clause 5.4.8.2).
    beside("sip:u@10.64.0.1:29999;sos", "urn:gsma:imei:").passes("EV-05");
}

#[test]
fn ev_06() {
    ended().passes("EV-06");
    // RFC 6665 clause 4.1.3: what is of no subscription is refused, and nothing that it says is believed.
    let foreign = |status: &'static str| {
        let trace = watched().gm();
        let asked = trace.position(telling("version=\"0\""));
        let told = trace.position(|text| text.starts_with("SIP/2.0 200 ") && text.contains(" NOTIFY\r\n"));
        let elsewhere =
            |text: &str| change(text, "Call-ID", |id| format!("x{id}")).replace("branch=z9hG4bK", "branch=z9hG4bKx");
        let bad = move |text: &str| {
            let text = document(&elsewhere(text), |body| {
                body.replace("state=\"active\"", "state=\"terminated\"")
                    .replace("event=\"registered\"", "event=\"rejected\"")
            });
            change(&text, "Subscription-State", |_| "terminated;reason=rejected".into())
        };
        let answer = move |text: &str| elsewhere(text).replace("SIP/2.0 200 OK", &format!("SIP/2.0 {status} X"));
        trace.copied(told, told, Duration::from_millis(2), answer).copied(asked, told, Duration::from_millis(1), bad)
    };
    foreign("481").passes("EV-06");
    foreign("500").passes("EV-06");
    foreign("200").fails("EV-06", "of no subscription");
    watched()
        .gm()
        .without(|text| text.starts_with("SIP/2.0 200 ") && text.contains(" NOTIFY\r\n"))
        .is_not_observable("EV-06");
    watched()
        .gm()
        .edit(
            |text| text.starts_with("SIP/2.0 200 ") && text.contains(" NOTIFY\r\n"),
            |text| text.replace("200 OK", "400 Bad Request"),
        )
        .fails("EV-06", "400");
    // Sent five times, and never answered.
    let (mut ignored, at) = {
        let silent = watched().gm().without(|text| text.starts_with("SIP/2.0 200 ") && text.contains(" NOTIFY\r\n"));
        let at = silent.position(telling("version=\"0\""));
        (silent, at)
    };
    let answered = ignored.position(telling("version=\"0\""));
    ignored.sightings.truncate(at + 1);
    for n in 0..5 {
        ignored = ignored.copied(at, answered + n, Duration::from_secs(4), str::to_owned);
    }
    ignored.is_not_observable("EV-06");
    ignored.going_on(150).fails("EV-06", "none");
    let rejected = |text: &str| document(text, |body| body.replace("deactivated", "rejected"));
    ended().gm().edit(telling("event=\"deactivated\""), rejected).fails("EV-06", "nothing more of");
    let deactivated = |text: &str| document(text, |body| body.replace("rejected", "deactivated"));
    ended().gm().edit(telling("event=\"rejected\""), deactivated).going_on(70).fails("EV-06", "within 60 s");
}

#[test]
fn ev_07() {
    let shortened = || Trace::of("shortened").gm();
    shortened().passes("EV-07");
    let third =
        |text: &str| is_register_of_ue(text) && !text.contains("\r\nCSeq: 1 ") && !text.contains("\r\nCSeq: 2 ");
    shortened().without(third).going_on(90).fails("EV-07", "none");
    shortened()
        .edit(telling("event=\"shortened\""), |text| {
            document(text, |body| body.replace("expires=\"60\"", "expires=\"20\""))
        })
        .fails("EV-07", "within 10 s");
    shortened()
        .edit(telling("event=\"shortened\""), |text| {
            document(text, |body| body.replace("expires=\"60\"", "expires=\"1000\""))
        })
        .without(third)
        .is_not_observable("EV-07");
}

#[test]
fn ev_08() {
    let is_answer = |text: &str| to_ue("200")(text) && text.contains(" SUBSCRIBE\r\n");
    let refused = |with: &'static str| watched().gm().edit(is_answer, move |text| text.replace("200 OK\r\n", with));
    let first = |text: &str| is_subscribe(text) && text.contains("\r\nCSeq: 1 SUBSCRIBE");
    let busy = refused("503 Service Unavailable\r\nRetry-After: 60\r\n");
    busy.clone().going_on(70).passes("EV-08");
    refused("503 Service Unavailable\r\nRetry-After: 6000\r\n").is_not_observable("EV-08");
    refused("481 Gone\r\n").is_not_observable("EV-08");
    let at = busy.position(first);
    let early = Duration::from_secs(5);
    let again = |text: &str| text.replace("CSeq: 1 ", "CSeq: 2 ").replace("branch=z9hG4bK", "branch=z9hG4bKx");
    busy.clone().copied(at, at + 1, early, again).fails("EV-08", "60 s at least");
    let late = busy.sightings.len() - 1;
    busy.copied(at, late, Duration::from_secs(90), again).fails("EV-08", "a new Call-ID");
}
