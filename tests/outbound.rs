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

use driver::{Driver, REALM, headers, status};
use imsreg::cx::{CxResult, Envelope, Saa, Sar, ScscfRestorationInfo, ServerAssignmentType as Assign};
use imsreg::random::Random;
use imsreg::scscf::{Scscf, ScscfConfig};
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

/// The S-CSCF that comes after one that was lost.
fn another() -> Driver<Scscf> {
    Driver::new(Scscf::new(ScscfConfig { restoration: true, ..config() }, Random::seeded(8)), user::OWN)
}

/// The HSS grants a SAR, with the user data and what was left with an earlier one.
fn grant(s: &mut Driver<Scscf>, sar: &[u8], left: &[u8]) {
    let asked = Sar::decode(sar).unwrap();
    let left = Sar::decode(left).unwrap().restoration.expect("something was left");
    let xml = lab_set();
    let saa = Saa {
        envelope: Envelope { session_id: asked.envelope.session_id, origin_host: "hss.example", origin_realm: REALM },
        result: CxResult::SUCCESS,
        impi: asked.impi,
        server_name: None,
        user_data: Some(xml.as_bytes()),
        charging: None,
        associated_identities: Vec::new(),
        supports_restoration: true,
        restoration: vec![*left],
    };
    s.hss(sar, false, |w| saa.encode(w));
}

/// Contact lines of a 200: reg-id and seconds.
fn granted(text: &str) -> Vec<(u32, u32)> {
    assert_eq!(status(text), 200, "{text}");
    let contacts = headers(text, "Contact").flat_map(|line| line.split(", <"));
    let number = |contact: &str, name: &str| {
        let value = contact.split(&format!(";{name}=")).nth(1).unwrap().split(';').next().unwrap();
        value.parse().unwrap()
    };
    contacts.map(|contact| (number(contact, "reg-id"), number(contact, "expires"))).collect()
}

/// Two flows of an S-CSCF with restoration, that of an hour made 10 s before that of 10 minutes: the two SARs.
fn two_left() -> (Vec<u8>, Vec<u8>, Register) {
    let mut s = scscf(ScscfConfig { restoration: true, ..config() });
    let [first, second] = [(1, 3_600), (2, 600)].map(|(n, expires)| Register { expires: Some(expires), ..flow(n) });
    let challenge = s.challenge(&first, 1);
    let first = first.answering(&challenge);
    s.register(&first);
    let one = s.asked();
    s.answer_sar(&one, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(granted(&s.sent().text), [(1, 3_600)]);
    s.pass(Duration::from_secs(10));
    let challenge = s.challenge(&second, 2);
    let second = second.answering(&challenge);
    s.register(&second);
    let both = s.asked();
    s.answer_sar(&both, CxResult::SUCCESS, None);
    assert_eq!(granted(&s.sent().text), [(1, 3_590), (2, 600)]);
    (one, both, first)
}

fn info(sar: &[u8]) -> ScscfRestorationInfo<'_> {
    *Sar::decode(sar).unwrap().restoration.unwrap()
}

/// TS 29.229 clause 6.3.52: Registration-Time-Out is one for all Contacts of an IMPI.
#[test]
fn flows_come_back_with_an_end_of_their_own() {
    let (one, both, first) = two_left();
    assert_eq!(info(&one).ends_at, info(&both).ends_at, "that of the longer one");
    let text = |sar: &[u8], n: usize| String::from_utf8(info(sar).bindings[n].contact.to_vec()).unwrap();
    assert!(!text(&one, 0).contains("expires"), "the time-out says it");
    assert!(text(&both, 0).ends_with(";expires=3590") && text(&both, 1).ends_with(";expires=600"));

    // 100 s after the second REGISTER the first flow is refreshed at another process: it is granted an hour again.
    let mut s = another();
    s.pass(Duration::from_secs(110));
    s.register(&Register { expires: Some(3_600), ..first.next() });
    let sar = s.asked();
    assert_eq!(Sar::decode(&sar).unwrap().assignment, Assign::NoAssignment);
    grant(&mut s, &sar, &both);
    s.assign_again();
    assert_eq!(granted(&s.sent().text), [(2, 500), (1, 3_600)]);

    // 700 s after it the second one has ended.
    let mut s = another();
    s.pass(Duration::from_secs(710));
    s.register(&Register { expires: Some(3_600), ..first.next() });
    let sar = s.asked();
    grant(&mut s, &sar, &both);
    s.assign_again();
    assert_eq!(granted(&s.sent().text), [(1, 3_600)]);
}

/// TS 29.228 clause 6.1.2: Multiple-Registration-Indication.
#[test]
fn with_a_new_flow_the_others_come_back() {
    let (one, ..) = two_left();
    let mut s = another();
    s.pass(Duration::from_secs(10));
    // The device makes its second flow at a process that does not know of the first.
    let fresh = Register { expires: Some(600), ..flow(2) };
    let challenge = s.challenge(&fresh, 2);
    s.register(&Register { expires: Some(600), ..fresh.answering(&challenge) });
    let sar = s.asked();
    let asked = Sar::decode(&sar).unwrap();
    assert!(asked.assignment == Assign::Registration && asked.multiple_registration);
    assert_eq!(info(&sar).bindings.len(), 1);
    grant(&mut s, &sar, &one);
    assert_eq!(granted(&s.sent().text), [(1, 3_590), (2, 600)]);
    // The HSS is told of both.
    let sar = s.asked();
    let asked = Sar::decode(&sar).unwrap();
    assert!(asked.assignment == Assign::ReRegistration && !asked.multiple_registration);
    assert_eq!(info(&sar).bindings.len(), 2);
    s.answer_sar(&sar, CxResult::SUCCESS, None);

    // Without reg-id nobody speaks of several.
    let mut s = another();
    let plain = Register::initial();
    let challenge = s.challenge(&plain, 3);
    s.register(&plain.answering(&challenge));
    assert!(!Sar::decode(&s.asked()).unwrap().multiple_registration);
}

/// RFC 5626 clause 11.5: an end never receives a 430.
#[test]
fn where_every_flow_has_failed_the_sender_hears_480() {
    let (mut s, ..) = two_flows();
    call(&mut s, 1);
    for expected in [2, 1] {
        let (text, by) = went_by(&mut s);
        assert_eq!(by, expected);
        s.answer(&text, 430);
    }
    assert_eq!(status(&s.sent().text), 480);
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
    assert_eq!((bound(&s), s.element.forwarding()), (0, 0));
}
