//! Size, transport and times.

use crate::kit::*;
use crate::trace::{Trace, change, cut, is_first, is_register_of_ue, is_second, to_ue};
use imsreg::diagnose::{Certainty, Diagnosis};
use imsreg::packet::Transport;
use imsreg::time::Duration;
use imsreg::trace::{Loss, Lost, Seen, Sighting};

/// A registration over UDP.
fn small() -> Trace {
    let one = "hmac-sha-1-96/aes-cbc";
    let set = [
        ("ue.algorithms", one),
        ("pcscf.algorithms", one),
        ("ue.instance", "urn:x"),
        ("ue.user_agent", "phone"),
        ("ue.features", ";audio"),
    ];
    let trace = Trace::with("first-registration", &set).gm();
    trace.moved(|_| true, |ends| ends.transport = Transport::Udp)
}

fn longer(text: &str, octets: usize) -> String {
    text.replacen("\r\n\r\n", &format!("\r\nX-Padding: {}\r\n\r\n", "x".repeat(octets)), 1)
}

/// The first message that `pick` takes is the last one, sent six times in all.
fn sent_again(trace: Trace, pick: impl Fn(&str) -> bool) -> Trace {
    let at = trace.position(pick);
    let trace = Trace { sightings: trace.sightings[..=at].to_vec() };
    let trace = (0..5).fold(trace, |trace, n| trace.copied(at, at + n, Duration::from_secs(2 << n), str::to_owned));
    trace.going_on(200)
}

#[track_caller]
fn does_not_remark(diagnosis: &Diagnosis, name: &str) {
    assert!(diagnosis.remarks.iter().all(|remark| remark.cause.name != name), "{diagnosis:#?}");
    assert!(diagnosis.causes.iter().all(|cause| cause.cause.name != name), "{diagnosis:#?}");
}

#[test]
fn a_large_register_over_udp() {
    let name = "DIAG-1300";
    let large = || small().edit(is_first, |text| longer(text, 1_300));
    diagnosed(&sent_again(large(), is_first)).caused_by(name, Certainty::Likely, "octets over UDP");
    diagnosed(&large()).remarks(name, "octets over UDP");
    let short = small();
    does_not_remark(&diagnosed(&short), name);
    diagnosed(&sent_again(short, is_first)).not_by(name);
}

/// Behind the first message that `pick` takes, the trace tells why a packet of its way was lost.
fn told(mut trace: Trace, pick: impl Fn(&str) -> bool, why: Loss) -> Trace {
    let at = trace.position(pick);
    let Seen::Message(message) = &trace.sightings[at].seen else { panic!("a message") };
    let ends = message.ends.expect("addresses");
    let ports = (why == Loss::Unreachable).then_some((ends.from.port(), ends.to.port()));
    let lost = Lost { from: ends.from.ip(), to: ends.to.ip(), ports, why };
    trace.sightings.insert(at + 1, Sighting { seen: Seen::Lost(lost), ..trace.sightings[at].clone() });
    trace
}

#[test]
fn what_fragments_and_icmp_tell() {
    let large = sent_again(small().edit(is_first, |text| longer(text, 1_300)), is_first);
    let lost = diagnosed(&told(large.clone(), is_first, Loss::Fragments));
    lost.caused_by("DIAG-1300", Certainty::Certain, "fragments never came");
    let path = diagnosed(&told(large, is_first, Loss::TooLarge(1_280)));
    path.caused_by("DIAG-MTU", Certainty::Certain, "up to 1280 octets");
    let unheard = sent_again(small(), is_first);
    diagnosed(&unheard).caused_by("DIAG-OTHER", Certainty::Possible, "no answer; ");
    let closed = diagnosed(&told(unheard.clone(), is_first, Loss::Unreachable));
    closed.caused_by("DIAG-OTHER", Certainty::Possible, "ICMP tells that nobody takes it");
    // Of another way it tells nothing.
    let mut other = told(unheard, is_first, Loss::Unreachable);
    for sighting in &mut other.sightings {
        if let Seen::Lost(lost) = &mut sighting.seen {
            lost.ports = Some((1, 2));
        }
    }
    diagnosed(&other).caused_by("DIAG-OTHER", Certainty::Possible, "no answer; ");
}

#[test]
fn esp_that_does_not_fit_the_path() {
    let name = "DIAG-MTU";
    let large = small().edit(is_second, |text| longer(text, 1_300));
    diagnosed(&sent_again(large, is_second)).caused_by(name, Certainty::Likely, "in GTP-U");
    diagnosed(&sent_again(small(), is_second)).not_by(name);
}

#[test]
fn no_content_length() {
    let name = "DIAG-CL";
    let without = || small().edit(is_first, |text| cut(text, "Content-Length"));
    diagnosed(&without()).remarks(name, "none in 1 messages");
    does_not_remark(&diagnosed(&small()), name);
    // On a stream that is a fault of another kind.
    let stream = without().moved(|_| true, |ends| ends.transport = Transport::Tcp);
    does_not_remark(&diagnosed(&stream), name);
}

#[test]
fn timers_of_the_wired_world() {
    let name = "DIAG-TIMERS";
    let again = |times: &[u64]| {
        let trace = small();
        let at = trace.position(is_first);
        let place = std::cell::Cell::new(at);
        times.iter().fold(trace, |trace, time| {
            let after = place.replace(place.get() + 1);
            trace.copied(at, after, Duration::from_millis(*time), str::to_owned)
        })
    };
    let quick = again(&[500, 1_000]);
    diagnosed(&delayed(quick, to_ue("401"), 3_000)).remarks(name, "2 retransmissions with T1 0.5 s");
    let slow = again(&[2_000, 4_000]);
    does_not_remark(&diagnosed(&delayed(slow, to_ue("401"), 8_000)), name);
}

fn delayed(mut trace: Trace, pick: impl Fn(&str) -> bool, millis: u64) -> Trace {
    let from = trace.position(pick);
    for sighting in &mut trace.sightings[from..] {
        sighting.at = sighting.at.map(|at| at + Duration::from_millis(millis));
    }
    trace
}

#[test]
fn a_refresh_that_comes_late() {
    let name = "DIAG-REREG-LATE";
    let granted = |text: &str| text.replace("expires=600000", "expires=60");
    let is_grant = |text: &str| to_ue("200")(text) && text.contains("CSeq: 2 REGISTER");
    let is_refresh = |text: &str| is_register_of_ue(text) && text.contains("CSeq: 3 REGISTER");
    let refreshed = || Trace::of("refresh").gm().edit(is_grant, granted);
    diagnosed(&delayed(refreshed(), is_refresh, 40_000)).remarks(name, "after the grant of 60 s");
    does_not_remark(&diagnosed(&refreshed()), name);
    let late = delayed(refreshed(), is_refresh, 60_000);
    diagnosed(&refused(late, 3, "403 Forbidden")).caused_by(name, Certainty::Certain, "after the grant of 60 s");
    // It never came.
    let never = refreshed();
    let end = never.position(is_grant);
    diagnosed(&Trace { sightings: never.sightings[..=end].to_vec() }.going_on(100)).remarks(name, "none in 100 s");
    // The registrar tells that the time is over: that does not end it earlier.
    let ran_out = |seconds: u64| {
        let whole = Trace::of("reg-event").gm().edit(is_grant, granted);
        let told = whole.position(|text| text.starts_with("NOTIFY ") && text.contains("state=\"terminated\""));
        let mut told = whole.sightings[told].clone();
        told.at = whole.sightings[whole.position(is_grant)].at.map(|at| at + Duration::from_secs(seconds));
        let mut kept = whole.sightings[..whole.position(is_refresh)].to_vec();
        kept.push(told);
        Trace { sightings: kept }.going_on(100)
    };
    diagnosed(&ran_out(60)).remarks(name, "none in 160 s");
    does_not_remark(&diagnosed(&ran_out(10)), name);
}

#[test]
fn a_stale_contact_with_less_time() {
    let name = "DIAG-NOTIFY-MINEXP";
    let watched = || Trace::of("reg-event").gm();
    let is_told = |text: &str| text.starts_with("NOTIFY ") && text.contains("event=\"registered\"");
    let beside = |expires: &'static str| {
        watched().edit(is_told, move |text| {
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            let stale = |uri: &str| {
                let contact =
                    format!("<contact id=\"old\" state=\"active\" event=\"registered\" expires=\"{expires}\">");
                format!("{contact}<uri>{uri}</uri></contact>")
            };
            let start = body.find("<contact ").expect("a contact");
            let uri = body.split("<uri>").nth(1).and_then(|rest| rest.split("</uri>").next()).expect("its address");
            let user = uri.split('@').next().expect("a user");
            let body = format!("{}{}{}", &body[..start], stale(&format!("{user}@10.64.9.9:5060")), &body[start..]);
            let head = change(head, "Content-Length", |_| body.len().to_string());
            format!("{head}\r\n\r\n{body}")
        })
    };
    diagnosed(&beside("60")).remarks(name, "10.64.9.9");
    does_not_remark(&diagnosed(&beside("700000")), name);
    does_not_remark(&diagnosed(&watched()), name);
}
