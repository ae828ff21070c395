//! Rules OK-01 to OK-11.

use crate::trace::{Trace, change, cut, is_register_of_ue, to_ue};
use imsreg::time::Duration;
use imsreg::trace::Seen;

fn first() -> Trace {
    Trace::of("first-registration")
}

fn granted(with: impl Fn(&str) -> String) -> Trace {
    first().edit(to_ue("200"), with)
}

/// The 200 is not seen.
fn unanswered() -> Trace {
    first().gm().without(to_ue("200"))
}

/// Refused.
fn refused() -> Trace {
    first().gm().edit(to_ue("200"), |text| text.replace("200 OK", "403 Forbidden"))
}

#[test]
fn what_is_sound_passes_and_what_is_not_there_is_told() {
    for id in ["OK-01", "OK-03", "OK-04", "OK-05"] {
        first().passes(id);
        refused().is_not_applicable(id);
    }
    for id in ["OK-01", "OK-03", "OK-04"] {
        unanswered().is_not_observable(id);
    }
}

#[test]
fn ok_01() {
    granted(|text| cut(text, "P-Associated-URI")).fails("OK-01", "none");
    granted(|text| change(text, "P-Associated-URI", |value| value.replacen(',', " ", 1))).fails("OK-01", "commas");
}

#[test]
fn ok_02() {
    granted(|text| change(text, "P-Associated-URI", |_| "<sip:other@ims.example>".into()))
        .fails("OK-02", "it is barred");
    refused().is_not_applicable("OK-02");
}

#[test]
fn ok_03_and_04() {
    granted(|text| change(text, "P-Associated-URI", |_| "<sip:001010000000001@ims.example>".into()))
        .fails("OK-03", "user=phone");
    granted(|text| cut(text, "Service-Route")).fails("OK-04", "none");
}

#[test]
fn ok_05() {
    granted(|text| cut(text, "Contact")).fails("OK-05", "not among");
    granted(|text| change(text, "Contact", |value| value.replace("expires=600000", "expires=700000")))
        .fails("OK-05", "700000");
}

#[test]
fn ok_06() {
    first().passes("OK-06");
    let forwarded = |text: &str| text.starts_with("REGISTER ") && !is_register_of_ue(text);
    first().edit(forwarded, |text| cut(text, "Path")).fails("OK-06", "Path");
    first().gm().is_not_observable("OK-06");
}

#[test]
fn ok_07() {
    Trace::of("refresh").passes("OK-07");
    let third = |text: &[u8]| String::from_utf8_lossy(text).contains("\r\nCSeq: 3 REGISTER\r\n");
    let mut late = Trace::of("refresh").gm();
    let at = late
        .sightings
        .iter()
        .position(|s| matches!(&s.seen, Seen::Message(m) if third(&m.bytes)))
        .expect("the refresh");
    for sighting in &mut late.sightings[at..] {
        sighting.at = sighting.at.map(|at| at + Duration::from_secs(600_000));
    }
    late.fails("OK-07", "after the grant of");
    // The 200 comes twice: the first may have been lost, and the UE counts from the other.
    let mut twice = Trace::of("refresh").gm();
    for sighting in &mut twice.sightings[at..] {
        sighting.at = sighting.at.map(|at| at + Duration::from_secs(599_395));
    }
    twice.fails("OK-07", "after the grant of");
    let grant = twice.position(|text| to_ue("200")(text) && text.contains("CSeq: 2 REGISTER"));
    twice.copied(grant, grant, Duration::from_secs(5), str::to_owned).passes("OK-07");
    // No refresh at all.
    let short = || {
        Trace::with("first-registration", &[("ue.subscribe", "true")])
            .gm()
            .edit(to_ue("200"), |text| text.replace("expires=600000", "expires=60"))
    };
    short().going_on(50).is_not_observable("OK-07");
    short().going_on(200).fails("OK-07", "none");
    // Others go on, and the UE may be off.
    let told = short().without(|text| text.starts_with("SIP/2.0 200 ") && text.contains(" NOTIFY\r\n"));
    told.going_on(200).is_not_observable("OK-07");
    first().gm().is_not_observable("OK-07");
    refused().is_not_applicable("OK-07");
}

#[test]
fn ok_08() {
    let asked = |least: &'static str| {
        first().gm().edit(to_ue("401"), move |text| {
            cut(&cut(text, "WWW-Authenticate"), "Security-Server")
                .replace("401 Unauthorized\r\n", &format!("423 Interval Too Brief\r\n{least}"))
        })
    };
    asked("").fails("OK-08", "Min-Expires");
    asked("Min-Expires: 600001\r\n").fails("OK-08", "at least 600001");
    asked("Min-Expires: 600000\r\n").passes("OK-08");
    asked("Min-Expires: 60\r\n")
        .without(|text| is_register_of_ue(text) && !text.contains("CSeq: 1 REGISTER"))
        .is_not_observable("OK-08");
    first().is_not_applicable("OK-08");
}

#[test]
fn ok_09() {
    let busy = first().gm().edit(to_ue("401"), |text| {
        cut(&cut(text, "WWW-Authenticate"), "Security-Server")
            .replace("401 Unauthorized\r\n", "503 Service Unavailable\r\nRetry-After: 60\r\n")
    });
    busy.fails("OK-09", "60 s at least");
    busy.without(|text| is_register_of_ue(text) && !text.contains("CSeq: 1 REGISTER")).passes("OK-09");
    first().is_not_applicable("OK-09");
}

#[test]
fn ok_10() {
    Trace::of("application-server").passes("OK-10");
    // The same at the UE.
    let trace = first().gm();
    let (grant, register) = (trace.position(to_ue("200")), trace.position(is_register_of_ue));
    let at_ue = trace.copied(grant, grant, Duration::from_secs(1), |_| {
        "REGISTER sip:001010000000001@10.64.0.1:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:6100;branch=z9hG4bKt1\r\n\
         Via: SIP/2.0/UDP 127.0.0.1:6060;branch=z9hG4bKt2\r\nMax-Forwards: 68\r\nCSeq: 1 REGISTER\r\nCall-ID: third\r\n\
         From: <sip:scscf.ims.mnc001.mcc001.3gppnetwork.org>;tag=t\r\n\
         To: <sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org>\r\n\
         Contact: <sip:scscf.ims.mnc001.mcc001.3gppnetwork.org>\r\nExpires: 600000\r\nContent-Length: 0\r\n\r\n"
            .to_owned()
    });
    assert!(register < grant);
    at_ue.fails("OK-10", "Gm");
    first().is_not_applicable("OK-10");
}

#[test]
fn ok_11() {
    let is_subscribe = |text: &str| text.starts_with("SUBSCRIBE ") && text.matches("\r\nVia:").count() == 1;
    Trace::of("reg-event").passes("OK-11");
    Trace::of("reg-event").edit(is_subscribe, |text| cut(text, "Route")).fails("OK-11", "no Route");
    first().is_not_applicable("OK-11");
}
