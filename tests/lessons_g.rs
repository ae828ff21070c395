//! Lessons of the field on the reg event package, each under its number. Those that are not here are named in
//! `docs/field-lessons.md` with the tests that hold them.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "reg_event/subscriber.rs"]
mod subscriber;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{header, headers, status};
use imsreg::cx::{CxResult, ServerAssignmentType as Assign};
use imsreg::event::What;
use imsreg::reginfo::{ContactEvent as E, RegistrationState};
use imsreg::time::Duration;
use subscriber::{DEFAULT, Subscriber, TEL, config, subscribed};
use user::{Register, lab_set, scscf};

/// An application server that serves and watches the user is reached at its own address, which is no contact of the user.
#[test]
fn lesson_75_an_application_server_is_no_contact_of_the_user() {
    let criteria = "<InitialFilterCriteria><Priority>0</Priority><ApplicationServer><ServerName>sip:as.example:5090\
                    </ServerName></ApplicationServer></InitialFilterCriteria>";
    let set = lab_set().replace("</ServiceProfile>", &format!("{criteria}</ServiceProfile>"));
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&set));
    assert_eq!(s.answered(), 200);
    // The third-party REGISTER, which names our S-CSCF as its Contact.
    while s.next_sent().is_some() {}
    let mut server = Subscriber {
        asserted: "<sip:as.example>".into(),
        call_id: "as@x",
        target: "sip:as.example:5090",
        ..Subscriber::ue()
    };
    let mut ue = Subscriber::ue();
    for watcher in [&mut server, &mut ue] {
        assert_eq!(status(&s.subscribe(watcher)), 200);
        let notify = s.sent().text;
        let told = watcher.judge(&notify);
        let uris: Vec<&str> = told.registrations.iter().flat_map(|r| &r.contacts).map(|c| c.uri.as_str()).collect();
        assert_eq!((uris, told.events()), (vec!["sip:001010000000001@127.0.0.1:31001"; 2], vec![E::Created; 2]));
        assert!(!notify.split("\r\n\r\n").nth(1).expect("a body").contains("as.example"), "{notify}");
        s.answer(&notify, 200);
    }
}

/// A strict handset finds its own contact by the Call-ID and CSeq of its REGISTER.
#[test]
fn lesson_76_a_contact_names_the_register_that_changed_it_last() {
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe(&mut ue);
    let notify = s.sent().text;
    assert_eq!(ue.judge(&notify).identified(), [("call-1@ue", 2, Some(0)); 2], "{notify}");
    s.answer(&notify, 200);
    // 100 s: a refresh.
    s.pass(Duration::from_secs(100));
    let third = second.next();
    s.register(&third);
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let notify = s.sent().text;
    assert_eq!(ue.judge(&notify).identified(), [("call-1@ue", 3, Some(100)); 2], "{notify}");
    s.answer(&notify, 200);
    // 200 s: the UE begins anew with another Call-ID and the same Contact.
    s.pass(Duration::from_secs(100));
    let again = Register { call_id: "call-9@ue".into(), ..Register::initial() };
    let challenge = s.challenge(&again, 5);
    let again = again.answering(&challenge);
    s.register(&again);
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let notify = s.sent().text;
    assert_eq!(ue.judge(&notify).identified(), [("call-9@ue", 2, Some(200)); 2], "{notify}");
    s.answer(&notify, 200);
    // And leaves.
    s.register(&Register { expires: Some(0), ..again.next() });
    assert_eq!(s.answered(), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    let notify = s.sent().text;
    assert_eq!(ue.judge(&notify).identified(), [("call-9@ue", 3, None); 2], "{notify}");
}

#[test]
fn lesson_76_one_registration_an_identity_with_all_of_its_contact_and_versions_of_each_subscription() {
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    let mut late = Subscriber { call_id: "late@ue", ..Subscriber::ue() };
    let version = |notify: &str| -> u32 {
        notify.split("version=\"").nth(2).and_then(|rest| rest.split('"').next()).expect("a version").parse().unwrap()
    };
    s.subscribe(&mut ue);
    let notify = s.sent().text;
    s.answer(&notify, 200);
    assert_eq!(notify.matches("<registration ").count(), 2, "{notify}");
    for (registration, aor) in ue.judge(&notify).registrations.iter().zip([DEFAULT, TEL]) {
        let contact = &registration.contacts[0];
        let names: Vec<&str> = contact.params.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((&*registration.aor, contact.event, contact.expires), (aor, E::Created, Some(600_000)));
        assert_eq!((registration.state, names), (RegistrationState::Active, vec!["+sip.instance", "+g.3gpp.smsip"]));
    }
    assert_eq!(version(&notify), 0);
    s.subscribe_and_listen(&mut late);
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let both = [s.sent().text, s.sent().text];
    assert_eq!(both.each_ref().map(|notify| version(notify)), [1, 1]);
    // Only one of them goes on.
    for notify in &both {
        s.answer(notify, if header(notify, "Call-ID") == "late@ue" { 481 } else { 200 });
    }
    s.register(&second.next().next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let notify = s.sent().text;
    assert_eq!((version(&notify), headers(&notify, "Call-ID").next()), (2, Some("reg-1@ue")));
    s.quiet();
    assert!(!s.events().iter().any(|what| matches!(what, What::Refused { .. })));
}
