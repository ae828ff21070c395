//! The registration event package, and the end of a registration.

use crate::kit::*;
use crate::trace::{Trace, change, cut, is_register_of_ue, to_ue};
use imsreg::diagnose::{Certainty, Diagnosis};
use imsreg::time::Duration;

fn watched() -> Trace {
    Trace::of("reg-event")
}

fn ended() -> Trace {
    Trace::of("network-deregistration").gm()
}

fn is_notify(text: &str) -> bool {
    text.starts_with("NOTIFY ")
}

fn is_subscribe(text: &str) -> bool {
    text.starts_with("SUBSCRIBE ") && text.matches("\r\nVia:").count() == 1
}

fn telling(words: &'static str) -> impl Fn(&str) -> bool {
    move |text| is_notify(text) && text.contains(words)
}

fn document(text: &str, with: impl Fn(&str) -> String) -> String {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let body = with(body);
    let head = change(head, "Content-Length", |_| body.len().to_string());
    format!("{head}\r\n\r\n{body}")
}

fn told(from: &'static str, to: &'static str) -> Trace {
    watched().edit(telling(from), move |text| document(text, |body| body.replace(from, to)))
}

#[track_caller]
fn does_not_remark(diagnosis: &Diagnosis, name: &str) {
    assert!(diagnosis.remarks.iter().all(|remark| remark.cause.name != name), "{diagnosis:#?}");
    assert!(diagnosis.causes.iter().all(|cause| cause.cause.name != name), "{diagnosis:#?}");
}

#[test]
fn what_is_sound_is_not_named() {
    let names = ["NOTIFY-DIALOG", "NOTIFY-ZERO", "NOTIFY-AOR", "NOTIFY-STATE", "NOTIFY-DUP", "SUB-IMPU", "DEREG-STAR"];
    for trace in [watched(), watched().gm(), ended(), first()] {
        let diagnosis = diagnosed(&trace);
        for name in names.iter().chain(&["DEREG-IGNORED", "SUBDEREG"]) {
            does_not_remark(&diagnosis, &format!("DIAG-{name}"));
        }
    }
}

#[test]
fn a_notify_outside_its_dialog() {
    let contact = |text: &str| change(text, "To", |value| value.replace("<sip:", "<sip:other"));
    let diagnosis = diagnosed(&watched().gm().edit(is_notify, contact));
    diagnosis.remarks("DIAG-NOTIFY-DIALOG", "the UE leaves after");
}

#[test]
fn a_document_that_misleads() {
    let zero = |text: &str| {
        document(text, |body| {
            let at = body.find(" expires=\"").expect("an expiry") + 10;
            let end = at + body[at..].find('"').expect("its end");
            format!("{}0{}", &body[..at], &body[end..])
        })
    };
    let active = |text: &str| telling("event=\"registered\"")(text) && text.contains(" expires=\"");
    diagnosed(&watched().edit(active, zero)).remarks("DIAG-NOTIFY-ZERO", "expires 0");
    diagnosed(&told("aor=\"sip:", "aor=\"sip:other")).remarks("DIAG-NOTIFY-AOR", "sip:other");
    let open = |text: &str| change(text, "Subscription-State", |_| "active;expires=600".into());
    let last = watched().edit(telling("state=\"terminated\""), open);
    diagnosed(&last).remarks("DIAG-NOTIFY-STATE", "active");
}

#[test]
fn the_same_told_twice() {
    let trace = watched().gm();
    let at = trace.position(is_notify);
    let again = trace.copied(at, at, Duration::from_millis(500), |text| {
        let text = text.replace("branch=z9hG4bK", "branch=z9hG4bKx");
        let text = change(&text, "CSeq", |value| {
            let number: u32 = value.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
            format!("{} NOTIFY", number + 100)
        });
        document(&text, |body| body.replace("version=\"0\"", "version=\"1\""))
    });
    diagnosed(&again).remarks("DIAG-NOTIFY-DUP", "say the same");
    // The 200 to SUBSCRIBE is still on its way to the UE when the S-CSCF notifies.
    let trace = watched();
    let first = trace.position(is_notify);
    let to_subscribe = |text: &str| {
        text.starts_with("SIP/2.0 200 ") && text.contains(" SUBSCRIBE\r\n") && text.matches("\r\nVia:").count() == 1
    };
    assert!(first < trace.position(to_subscribe), "it crosses the NOTIFY");
    let last = trace.position(|text| text.starts_with("SIP/2.0 200 ") && text.contains(" NOTIFY\r\n"));
    let again = trace.copied(first, last, Duration::from_millis(500), |text| {
        let text = text.replace("branch=z9hG4bK", "branch=z9hG4bKx");
        let text = change(&text, "CSeq", |value| {
            let number: u32 = value.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
            format!("{} NOTIFY", number + 100)
        });
        document(&text, |body| body.replace("version=\"0\"", "version=\"1\""))
    });
    diagnosed(&again).remarks("DIAG-NOTIFY-DUP", "say the same");
}

#[test]
fn a_barred_identity() {
    let name = "DIAG-SUB-IMPU";
    let refusal = |trace: Trace| {
        trace.edit(
            |text| to_ue("200")(text) && text.contains(" SUBSCRIBE\r\n"),
            |text| text.replace("200 OK", "403 Forbidden"),
        )
    };
    let barred = |text: &str| text.replacen("SUBSCRIBE sip:", "SUBSCRIBE sip:other", 1);
    diagnosed(&refusal(watched().gm().edit(is_subscribe, barred))).remarks(name, "403");
    does_not_remark(&diagnosed(&refusal(watched().gm())), name);
}

fn is_leaving(text: &str) -> bool {
    is_register_of_ue(text) && text.contains("CSeq: 4 REGISTER")
}

#[test]
fn every_contact_at_once() {
    let name = "DIAG-DEREG-STAR";
    let star = |expires: &'static str| {
        let leaving = move |text: &str| {
            let text = change(&cut(text, "Expires"), "Contact", |_| "*".into());
            text.replacen("\r\n\r\n", &format!("\r\nExpires: {expires}\r\n\r\n"), 1)
        };
        refused(watched().gm().edit(is_leaving, leaving), 4, "400 Bad Request")
    };
    diagnosed(&star("0")).caused_by(name, Certainty::Certain, "400 Bad Request");
    diagnosed(&star("3600")).not_by(name);
    diagnosed(&refused(watched().gm(), 4, "400 Bad Request")).not_by(name);
}

#[test]
fn an_end_that_the_ue_ignores() {
    let name = "DIAG-DEREG-IGNORED";
    let deactivated = |text: &str| document(text, |body| body.replace("rejected", "deactivated"));
    diagnosed(&ended().edit(telling("event=\"rejected\""), deactivated).going_on(70)).remarks(name, "within 60 s");
    does_not_remark(&diagnosed(&ended().going_on(70)), name);
}

#[test]
fn both_ends_at_once() {
    let name = "DIAG-SUBDEREG";
    let trace = watched().gm();
    let (subscribe, leaving) = (trace.position(is_subscribe), trace.position(is_leaving));
    let again = trace.copied(subscribe, leaving, Duration::from_millis(10), |text| {
        let text = text.replace("branch=z9hG4bK", "branch=z9hG4bKx").replace("CSeq: 1 ", "CSeq: 9 ");
        change(&text, "Expires", |_| "0".into())
    });
    diagnosed(&again).remarks(name, "after it");
}
