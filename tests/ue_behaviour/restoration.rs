//! A network that has lost the registration (TS 24.229 clauses 5.1.1.4.1 and 5.1.2A.1.6).

use super::network::{Network, Sent, granted, reply};
use imsreg::event::What;
use imsreg::sip::alternative_service::{CONTENT_TYPE, INITIAL_REGISTRATION};
use imsreg::ue::UeStatus;

/// A 504 to a MESSAGE, as an S-CSCF or P-CSCF sends it.
fn lost(request: &Sent, asserted: &str, kind: &str, body: &str) -> String {
    let lines = [format!("P-Asserted-Identity: <{asserted}>"), format!("Content-Type: {kind}")];
    let head = reply(request, "504 Server Time-out", &[&lines[0], &lines[1]]);
    let head = head.trim_end_matches("\r\n").trim_end_matches("Content-Length: 0").to_owned();
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn message(n: &mut Network) -> Sent {
    n.call(|ue, now, out| ue.message(now, "sip:bob@home.example", "text/plain", b"hi", out).expect("registered"));
    n.sent()
}

const SCSCF: &str = "sip:token@scscf.example:6060;lr";

#[test]
fn a_504_of_its_own_s_cscf_sends_it_to_an_initial_registration() {
    let mut n = Network::new().registered(7_200);
    let old = n.only_set().id;
    let sent = message(&mut n);
    n.answer(&sent, &lost(&sent, SCSCF, CONTENT_TYPE, INITIAL_REGISTRATION));
    let first = n.sent();
    assert!(first.text.starts_with("REGISTER ") && first.sa.is_none(), "in clear: {}", first.text);
    assert_eq!(first.credential("nonce").unwrap(), "");
    let challenge = n.challenge(&first, |t| t.replace("port-c=5100", "port-c=5101"));
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &granted(&second, 7_200));
    assert_ne!(n.only_set().id, old);
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn who_does_not_serve_it_or_asks_for_something_else_is_not_heeded() {
    let emergency = INITIAL_REGISTRATION.replace("restoration", "emergency");
    let cases = [
        ("sip:token@scscf.other:6060;lr", CONTENT_TYPE, INITIAL_REGISTRATION),
        (SCSCF, "text/plain", INITIAL_REGISTRATION),
        (SCSCF, CONTENT_TYPE, &*emergency),
        (SCSCF, CONTENT_TYPE, ""),
    ];
    for (asserted, kind, body) in cases {
        let mut n = Network::new().registered(7_200);
        let sent = message(&mut n);
        n.answer(&sent, &lost(&sent, asserted, kind, body));
        n.quiet();
        assert!(n.told(|e| matches!(e, What::RequestAnswered { status: 504, .. })), "{asserted} {kind}");
        assert_eq!(n.ue.status(), UeStatus::Registered);
    }
}

#[test]
fn a_refresh_that_finds_nobody_who_knows_of_it_begins_anew_at_once() {
    for status in ["408 Request Timeout", "500 Server Internal Error", "504 Server Time-out"] {
        let mut n = Network::new().registered(1_200);
        n.at(600.0);
        let refresh = n.sent();
        n.answer(&refresh, &reply(&refresh, status, &[]));
        let first = n.sent();
        assert_eq!((first.at, first.sa), (refresh.at, None), "{status}");
        // It is not answered either: from now on it waits as long as with any other failure.
        n.answer(&first, &reply(&first, status, &[]));
        n.quiet();
        assert!(n.wait() >= 30.0, "{status}");
    }
}

/// Field lesson 9, at the other end: the P-CSCF has lost its sets, and gives their ports away again.
#[test]
fn a_set_whose_ports_are_given_to_another_is_over() {
    let mut n = Network::new().registered(1_200);
    let old = n.only_set().id;
    n.at(600.0);
    let refresh = n.sent();
    n.answer(&refresh, &reply(&refresh, "504 Server Time-out", &[]));
    let first = n.sent();
    let challenge = n.challenge(&first, |t| t);
    n.answer(&first, &challenge);
    assert_ne!(n.only_set().id, old, "the old set has made room");
    let second = n.sent();
    assert!(second.sa.is_some());
    n.answer(&second, &granted(&second, 1_200));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}
