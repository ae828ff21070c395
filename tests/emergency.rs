//! Emergency registrations (`sos`; TS 24.229 clauses 5.1.6, 5.2.10 and 5.4.8) at the S-CSCF. A line has a time and a
//! message.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[expect(dead_code, reason = "most of it is for the tests of the reg event package")]
#[path = "reg_event/subscriber.rs"]
mod subscriber;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, header, headers, status};
use imsreg::cx::{CxResult, ServerAssignmentType as Assign};
use imsreg::event::What;
use imsreg::reginfo::ContactEvent;
use imsreg::scscf::Scscf;
use imsreg::time::Duration;
use subscriber::{Subscriber, subscribed};
use user::{Challenge, Register, TEMPORARY, config, contact, lab_set, nonce, scscf, user_data, vector};

fn sos(port: u16) -> String {
    contact(port).replacen('>', ";sos>", 1)
}

/// The emergency REGISTER of a UE that may be registered already.
fn emergency() -> Register {
    Register {
        call_id: "sos@ue".into(),
        contacts: vec![sos(31_009)],
        path: format!("<sip:sos-token@pcscf.{};lr>", driver::REALM),
        expires: Some(3_600),
        ..Register::initial()
    }
}

/// Registers for emergency calls beside whatever there is; returns the last REGISTER and the 200.
fn register(s: &mut Driver<Scscf>, first: &Register, is_known: bool) -> (Register, String) {
    let challenge = s.challenge(first, 9);
    let second = first.answering(&challenge);
    s.register(&second);
    if is_known {
        s.assign_again();
    } else {
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    }
    let text = s.sent().text;
    assert_eq!(status(&text), 200, "{text}");
    (second, text)
}

fn bound(s: &Driver<Scscf>) -> Vec<String> {
    let views = s.element.registration_views(None);
    let mut all: Vec<_> = views.iter().flat_map(|view| view.contacts.iter().map(|c| c.uri.clone())).collect();
    all.sort();
    all
}

fn deregistered(s: &mut Driver<Scscf>) -> Vec<&'static str> {
    let causes = s.events().into_iter().filter_map(|e| match e {
        What::Deregistered { cause, .. } => Some(cause),
        _ => None,
    });
    causes.collect()
}

const USUAL: &str = "sip:001010000000001@127.0.0.1:31001";
const EMERGENCY: &str = "sip:001010000000001@127.0.0.1:31009;sos";

#[test]
fn both_bindings_live_side_by_side() {
    let mut s = scscf(config());
    let (second, _) = s.registered();
    let (_, text) = register(&mut s, &emergency(), true);
    assert!(headers(&text, "Contact").any(|c| c.starts_with(&format!("<{EMERGENCY}>;expires=3600"))), "{text}");
    assert_eq!(bound(&s), [USUAL, EMERGENCY]);
    assert_eq!(s.element.registrations(), 1);
    // The usual one is refreshed, and moves; the other stays.
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    assert_eq!(bound(&s), [USUAL, EMERGENCY]);
    let moved = Register { call_id: "call-2@ue".into(), contacts: vec![contact(31_003)], ..Register::initial() };
    let challenge = s.challenge(&moved, 3);
    s.register(&moved.answering(&challenge));
    s.assign_again();
    assert_eq!(s.answered(), 200);
    assert_eq!(bound(&s), ["sip:001010000000001@127.0.0.1:31003".to_owned(), EMERGENCY.to_owned()]);
    // Another emergency registration takes the place of the first.
    let again = Register { call_id: "sos-2@ue".into(), contacts: vec![sos(31_011)], ..emergency() };
    register(&mut s, &again, true);
    assert_eq!(bound(&s), ["sip:001010000000001@127.0.0.1:31003", "sip:001010000000001@127.0.0.1:31011;sos"]);
    // The same address and port is still another binding.
    let same = Register { call_id: "sos-3@ue".into(), contacts: vec![sos(31_003)], ..emergency() };
    register(&mut s, &same, true);
    assert_eq!(bound(&s), ["sip:001010000000001@127.0.0.1:31003", "sip:001010000000001@127.0.0.1:31003;sos"]);
}

/// Clause 5.4.8.2: an emergency registration is a matter of its own, from its first REGISTER on.
#[test]
fn both_may_be_made_at_the_same_moment() {
    let mut s = scscf(imsreg::scscf::ScscfConfig { restoration: true, ..config() });
    let [usual, sos] = [Register::initial(), emergency()];
    for register in [&usual, &sos] {
        s.register(register);
    }
    // Neither ends the other while the HSS is asked.
    let mars = [s.asked(), s.asked()];
    s.quiet();
    let mut answers = Vec::new();
    for (n, (register, mar)) in (1..).zip([&usual, &sos].into_iter().zip(&mars)) {
        s.give_vector_to(mar, n);
        let text = s.sent().text;
        assert_eq!((status(&text), header(&text, "Call-ID")), (401, &*register.call_id), "{text}");
        answers.push(register.answering(&Challenge { nonce: nonce(&text), vector: vector(n) }));
    }
    assert_eq!(s.element.attempts(), 2);
    for answer in &answers {
        s.register(answer);
    }
    // Nor while it is told.
    let sars = [s.asked(), s.asked()];
    s.quiet();
    for (answer, sar) in answers.iter().zip(&sars) {
        s.answer_sar(sar, CxResult::SUCCESS, Some(&lab_set()));
        let text = s.sent().text;
        assert_eq!((status(&text), header(&text, "Call-ID")), (200, &*answer.call_id), "{text}");
    }
    assert_eq!((bound(&s), s.element.registrations()), (vec![USUAL.to_owned(), EMERGENCY.to_owned()], 1));
    assert_eq!(s.element.attempts(), 0);
    // What either left with the HSS lacks the other: both are left once more.
    let last = s.asked();
    let left = imsreg::cx::Sar::decode(&last).unwrap().restoration.expect("SCSCF-Restoration-Info");
    let left: Vec<_> = left.bindings.iter().map(|b| String::from_utf8_lossy(b.contact).into_owned()).collect();
    assert!(left[0].starts_with(&format!("<{USUAL}>")) && left[1].starts_with(&format!("<{EMERGENCY}>")), "{left:?}");
    s.quiet();
}

/// The nonce of one is none of the other's.
#[test]
fn a_challenge_is_answered_by_its_own_register() {
    let mut s = scscf(config());
    let usual = Register::initial();
    let challenge = s.challenge(&usual, 1);
    s.challenge(&emergency(), 2);
    let mixed = Register { answer: challenge.answer(&usual.impi, None), ..emergency().next() };
    s.register(&mixed);
    assert_eq!(s.answered(), 403);
    s.register(&usual.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
    assert_eq!(bound(&s), [USUAL]);
}

#[test]
fn a_barred_user_may_register_for_emergency_calls_only() {
    let barred = user_data(&[(TEMPORARY, true), ("sip:+99912345@example.com", true)]);
    let mut s = scscf(config());
    for (first, expected) in [(Register::initial(), 403), (emergency(), 200)] {
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&barred));
        let text = s.sent().text;
        assert_eq!(status(&text), expected, "{text}");
        if expected == 403 {
            s.assign(Assign::AdministrativeDeregistration, CxResult::SUCCESS, None);
        } else {
            assert_eq!(headers(&text, "P-Associated-URI").count(), 0, "{text}");
        }
    }
    // 3600 s: it ends, and the HSS is told by the identity registered.
    s.pass(Duration::from_secs(3_600));
    let request = s.asked();
    let sar = imsreg::cx::Sar::decode(&request).unwrap();
    assert_eq!((sar.assignment, sar.impus), (Assign::TimeoutDeregistration, vec![TEMPORARY]));
}

#[test]
fn its_ue_cannot_end_it() {
    let mut s = scscf(config());
    let (second, _) = register(&mut s, &emergency(), false);
    for register in [
        Register { expires: Some(0), ..second.next() },
        Register { contacts: vec![format!("{};expires=0", sos(31_009))], ..second.next() },
    ] {
        s.register(&register);
        assert_eq!(s.answered(), 501);
        s.quiet();
    }
    // Nor by `*`, which finds nothing else.
    s.register(&Register { contacts: vec!["*".into()], expires: Some(0), ..second.next() });
    assert_eq!(s.answered(), 481);
    assert_eq!(bound(&s), [EMERGENCY]);
}

#[test]
fn it_outlives_a_deregistration_and_ends_by_expiry() {
    for star in [false, true] {
        let (mut s, second) = subscribed();
        let mut ue = Subscriber::ue();
        s.subscribe_and_listen(&mut ue);
        register(&mut s, &emergency(), true);
        // No watcher hears of it.
        s.quiet();
        // 10 s: the UE de-registers.
        s.pass(Duration::from_secs(10));
        let contacts = if star { vec!["*".into()] } else { second.contacts.clone() };
        s.register(&Register { contacts, expires: Some(0), ..second.next() });
        let text = s.sent().text;
        assert_eq!((status(&text), headers(&text, "Contact").filter(|c| c.contains("expires=0")).count()), (200, 1));
        let notify = s.sent().text;
        assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=deactivated");
        let told = ue.judge(&notify);
        assert_eq!(told.events(), [ContactEvent::Unregistered, ContactEvent::Unregistered]);
        assert!(!notify.contains("sos"), "{notify}");
        s.answer(&notify, 200);
        assert_eq!(deregistered(&mut s), ["the UE asked for it"]);
        // The HSS hears nothing yet.
        s.quiet();
        assert_eq!((bound(&s), s.element.subscriptions()), (vec![EMERGENCY.to_owned()], 0));
        // 3600 s: it is over.
        s.pass(Duration::from_secs(3_589));
        s.quiet();
        s.pass(Duration::from_secs(1));
        s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
        s.quiet();
        assert_eq!((s.element.registrations(), deregistered(&mut s)), (0, vec!["expired"]));
    }
}

#[test]
fn either_may_expire_first() {
    // The usual one first.
    let mut s = scscf(config());
    let first = Register { expires: Some(600), ..Register::initial() };
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
    register(&mut s, &emergency(), true);
    s.events();
    s.pass(Duration::from_secs(600));
    s.quiet();
    assert_eq!((bound(&s), deregistered(&mut s)), (vec![EMERGENCY.to_owned()], vec!["expired"]));
    // A usual one comes back: for application servers and watchers it is a new one.
    let (second, _) = {
        let again = Register { call_id: "call-7@ue".into(), ..Register::initial() };
        let challenge = s.challenge(&again, 2);
        let second = again.answering(&challenge);
        s.register(&second);
        s.assign_again();
        (second, s.answered())
    };
    // And then the emergency registration.
    s.pass(Duration::from_secs(3_000));
    s.quiet();
    assert_eq!((bound(&s), deregistered(&mut s)), (vec![USUAL.to_owned()], vec![]));
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
}

#[test]
fn it_needs_no_flow_of_its_own_and_is_refreshed_by_its_own_contact() {
    let mut s = scscf(imsreg::scscf::ScscfConfig { max_flows: 1, ..config() });
    s.registered();
    let (second, _) = register(&mut s, &emergency(), true);
    // 1800 s: half of the time is over.
    s.pass(Duration::from_secs(1_800));
    s.register(&second.next());
    s.assign_again();
    let text = s.sent().text;
    assert!(headers(&text, "Contact").any(|c| c.starts_with(&format!("<{EMERGENCY}>;expires=3600"))), "{text}");
    assert_eq!(bound(&s), [USUAL, EMERGENCY]);
}
