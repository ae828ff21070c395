//! Several flows of one device at the S-CSCF (RFC 5626 clauses 5.3 and 7): which is tried, and what follows a 430. A line
//! has a time and a message.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[expect(dead_code, reason = "most of it is for the tests of the reg event package")]
#[path = "reg_event/subscriber.rs"]
mod subscriber;
#[expect(dead_code, reason = "most of it is for the tests of the registrar")]
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, status};
use imsreg::cx::{CxResult, ServerAssignmentType as Assign};
use imsreg::scscf::Scscf;
use imsreg::time::Duration;
use subscriber::{DEFAULT, Subscriber, config};
use user::{ICSCF, Register, lab_set, scscf};

fn flow(n: u32) -> Register {
    Register {
        contacts: vec![format!("<sip:u@127.0.0.1:3100{n}>;+sip.instance=\"<urn:uuid:1>\";reg-id={n}")],
        extra: vec!["Supported: outbound".into()],
        path: format!("<sip:token{n}@pcscf.{REALM};lr;ob>"),
        call_id: format!("call-{n}@ue"),
        ..Register::initial()
    }
}

/// One device with two flows, the second made 10 s after the first.
fn two_flows() -> (Driver<Scscf>, Register, Register) {
    let mut s = scscf(config());
    let challenge = s.challenge(&flow(1), 1);
    let first = flow(1).answering(&challenge);
    s.register(&first);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(status(&s.sent().text), 200);
    s.pass(Duration::from_secs(10));
    let challenge = s.challenge(&flow(2), 2);
    let second = flow(2).answering(&challenge);
    s.register(&second);
    s.assign_again();
    assert_eq!(status(&s.sent().text), 200);
    (s, first, second)
}

fn call(s: &mut Driver<Scscf>, n: u32) {
    let text = format!(
        "MESSAGE {DEFAULT} SIP/2.0\r\nVia: SIP/2.0/TCP {ICSCF};branch=z9hG4bKm{n}\r\nMax-Forwards: 60\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <{DEFAULT}>\r\nCall-ID: m{n}@alice\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n"
    );
    s.sip(ICSCF, &text);
}

/// The flow by which the only request went that left.
#[track_caller]
fn went_by(s: &mut Driver<Scscf>) -> (String, u32) {
    let text = s.sent().text;
    s.quiet();
    let by = (1..=2).find(|n| text.starts_with(&format!("MESSAGE sip:u@127.0.0.1:3100{n} ")));
    (text.clone(), by.unwrap_or_else(|| panic!("{text}")))
}

fn bound(s: &Driver<Scscf>) -> usize {
    s.element.registration_views(None).iter().map(|view| view.contacts.len()).sum()
}

#[test]
fn the_newest_flow_of_a_device_is_tried_alone() {
    let (mut s, first, _) = two_flows();
    assert_eq!(bound(&s), 2);
    call(&mut s, 1);
    let (text, by) = went_by(&mut s);
    assert_eq!(by, 2);
    s.answer(&text, 200);
    assert_eq!(status(&s.sent().text), 200);
    // 20 s: the first flow is refreshed, and is the newest now.
    s.pass(Duration::from_secs(10));
    s.register(&first.next());
    s.assign_again();
    assert_eq!(status(&s.sent().text), 200);
    call(&mut s, 2);
    assert_eq!(went_by(&mut s).1, 1);
}

#[test]
fn a_flow_that_has_failed_gives_way_to_the_other_and_is_forgotten() {
    let (mut s, ..) = two_flows();
    let mut ue = Subscriber { target: "sip:u@127.0.0.1:31001", ..Subscriber::ue() };
    s.subscribe_and_listen(&mut ue);
    call(&mut s, 1);
    let (text, by) = went_by(&mut s);
    assert_eq!(by, 2);
    s.answer(&text, 430);
    // The watcher hears that the flow has ended; the request goes by the other flow, and its sender hears nothing.
    let notify = s.sent().text;
    assert!(ue.judge(&notify).events().contains(&imsreg::reginfo::ContactEvent::Expired), "{notify}");
    let (text, by) = went_by(&mut s);
    assert_eq!((by, bound(&s)), (1, 1));
    s.answer(&text, 200);
    assert_eq!(status(&s.sent().text), 200);
}

#[test]
fn a_refusal_of_the_device_is_not_asked_again_by_its_other_flow() {
    let (mut s, ..) = two_flows();
    call(&mut s, 1);
    let (text, _) = went_by(&mut s);
    s.answer(&text, 486);
    assert_eq!((status(&s.sent().text), bound(&s)), (486, 2));
    s.quiet();
}
