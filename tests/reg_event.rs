//! The S-CSCF as notifier of the reg event package (TS 24.229 clause 5.4.2.1, RFC 3680, RFC 6665). Every document is
//! judged as a strict handset judges it.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "reg_event/subscriber.rs"]
mod subscriber;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{REALM, header, headers, status};
use imsreg::cx::{CxResult, Saa, Sar, ServerAssignmentType as Assign};
use imsreg::event::What;
use imsreg::packet::Transport;
use imsreg::reginfo::{ContactEvent as E, Fault, RegistrationState};
use imsreg::scscf::ScscfConfig;
use imsreg::sip::Message;
use imsreg::time::Duration;
use subscriber::{DEFAULT, PCSCF, Subscriber, TEL, config, subscribed};
use user::{Register, TEMPORARY, contact, envelope, lab_set, scscf, user_data};

fn tag(subscriber: &Subscriber) -> &str {
    subscriber.to_tag.as_deref().expect("it has subscribed")
}

#[test]
fn a_subscription_from_the_200_to_its_end() {
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    let text = s.subscribe(&mut ue);
    assert_eq!((status(&text), header(&text, "Expires")), (200, "600000"));
    assert_eq!(header(&text, "Contact"), format!("<sip:scscf.{REALM}:6060>"));
    assert_eq!(header(&text, "Record-Route"), ue.route);

    let notify = s.sent();
    assert_eq!(notify.to, PCSCF.parse().unwrap(), "the first entry of the route set");
    let text = &notify.text;
    assert!(text.starts_with(&format!("NOTIFY {} SIP/2.0\r\n", ue.target)), "{text}");
    assert_eq!(header(text, "Route"), ue.route);
    // Both sides are named as in the dialog, never by a Contact.
    assert_eq!(header(text, "From"), format!("<{DEFAULT}>;tag={}", tag(&ue)));
    assert_eq!(header(text, "To"), format!("<{DEFAULT}>;tag=ue"));
    assert_eq!((header(text, "Call-ID"), header(text, "CSeq")), ("reg-1@ue", "1 NOTIFY"));
    assert_eq!((header(text, "Event"), header(text, "Content-Type")), ("reg", "application/reginfo+xml"));
    assert_eq!(header(text, "Subscription-State"), "active;expires=600000");
    let told = ue.judge(text);
    assert_eq!(told.registrations.len(), 2, "the temporary identity is barred");
    let [first, tel] = &told.registrations[..] else { panic!("two identities") };
    assert_eq!((first.aor.as_str(), tel.aor.as_str()), (DEFAULT, TEL));
    let c = &first.contacts[0];
    assert_eq!(
        (c.event, c.uri.as_str(), c.expires),
        (E::Created, "sip:001010000000001@127.0.0.1:31001", Some(600_000))
    );
    assert_eq!(
        c.params,
        [("+sip.instance", "\"<urn:gsma:imei:86774304-000024-0>\""), ("+g.3gpp.smsip", "")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
    );
    s.answer(&notify.text, 200);
    s.quiet();

    // A refresh of the registration.
    s.pass(Duration::from_secs(100));
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let notify = s.sent().text;
    assert_eq!((header(&notify, "CSeq"), header(&notify, "Subscription-State")), ("2 NOTIFY", "active;expires=599900"));
    let told = ue.judge(&notify);
    assert_eq!(told.events(), [E::Refreshed, E::Refreshed]);
    assert_eq!(told.identified(), [("call-1@ue", 3, Some(100)); 2]);
    s.answer(&notify, 200);

    // A refresh of the subscription, and its end.
    let text = s.subscribe(&mut ue);
    assert_eq!((status(&text), header(&text, "Expires")), (200, "600000"));
    let notify = s.sent().text;
    assert_eq!(header(&notify, "Subscription-State"), "active;expires=600000");
    ue.judge(&notify);
    s.answer(&notify, 200);
    ue.expires = 0;
    let text = s.subscribe(&mut ue);
    assert_eq!((status(&text), header(&text, "Expires")), (200, "0"));
    let notify = s.sent().text;
    assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(ue.judge(&notify).events(), [E::Refreshed, E::Refreshed]);
    s.answer(&notify, 200);
    assert_eq!((s.element.subscriptions(), s.element.registrations()), (0, 1));
    assert_eq!(status(&s.subscribe(&mut ue)), 481);
    s.quiet();
}

#[test]
fn an_identity_that_was_registered_itself_is_not_created() {
    let mut s = scscf(config());
    let first = Register { impu: DEFAULT.into(), ..Register::initial() };
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
    let mut ue = Subscriber::ue();
    s.subscribe(&mut ue);
    assert_eq!(ue.judge(&s.sent().text).events(), [E::Registered, E::Created]);
}

#[test]
fn what_ends_by_the_ue_by_time_and_by_a_new_contact() {
    // De-registration: the 200 first, then NOTIFY, SAR as before.
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    s.register(&Register { expires: Some(0), ..second.next() });
    assert_eq!(s.answered(), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    let notify = s.sent().text;
    assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=deactivated");
    let told = ue.judge(&notify);
    assert_eq!(told.events(), [E::Unregistered, E::Unregistered]);
    assert!(told.registrations.iter().all(|r| r.state == RegistrationState::Terminated));
    assert_eq!((s.element.subscriptions(), s.element.registrations()), (0, 0));
    s.answer(&notify, 200);
    s.quiet();

    // Expiry.
    let (mut s, _) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    ue.expires = 600_000;
    s.pass(Duration::from_secs(599_999));
    s.quiet();
    s.pass(Duration::from_secs(2));
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
    let notify = s.sent().text;
    assert_eq!(ue.judge(&notify).events(), [E::Expired, E::Expired]);
    assert_eq!(s.element.subscriptions(), 0);

    // A new Contact takes the place of the old one.
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    let first = Register { contacts: vec![contact(31_003)], integrity_protected: Some("no"), ..second.next() };
    let first = Register { answer: "nonce=\"\",response=\"\"".into(), ..first };
    let challenge = s.challenge(&first, 2);
    s.register(&first.answering(&challenge));
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let told = ue.judge(&s.sent().text);
    assert_eq!(told.events(), [E::Created, E::Unregistered, E::Created, E::Unregistered]);
    let uris: Vec<&str> = told.registrations[0].contacts.iter().map(|c| c.uri.as_str()).collect();
    assert_eq!(uris, ["sip:001010000000001@127.0.0.1:31003", "sip:001010000000001@127.0.0.1:31001"]);
}

#[test]
fn what_is_refused() {
    let (mut s, _) = subscribed();
    let ue = Subscriber::ue;
    let refused = |s: &mut driver::Driver<_>, mut subscriber: Subscriber| {
        let text = s.subscribe(&mut subscriber);
        s.quiet();
        text
    };
    let text = refused(&mut s, Subscriber { event: "dialog", own_uri: true, ..ue() });
    assert_eq!((status(&text), header(&text, "Allow-Events")), (489, "reg"));
    let text = refused(&mut s, Subscriber { event: "", ..ue() });
    assert_eq!(status(&text), 489);
    let text = refused(&mut s, Subscriber { accept: "application/pidf+xml", ..ue() });
    assert_eq!((status(&text), header(&text, "Accept")), (406, "application/reginfo+xml"));
    let text = refused(&mut s, Subscriber { body: "<filter/>", ..ue() });
    assert_eq!(status(&text), 415);
    let text = refused(&mut s, Subscriber { expires: 59, ..ue() });
    assert_eq!((status(&text), header(&text, "Min-Expires")), (423, "60"));
    let text = refused(&mut s, Subscriber { to_tag: Some("00000000deadbeef".into()), own_uri: true, ..ue() });
    assert_eq!(status(&text), 481);
    let text = refused(&mut s, Subscriber { impu: "sip:nobody@ims.mnc001.mcc001.3gppnetwork.org", ..ue() });
    assert_eq!(status(&text), 480);
    for asserted in ["", "<sip:mallory@ims.mnc001.mcc001.3gppnetwork.org>", &format!("<{TEMPORARY}>")] {
        let text = refused(&mut s, Subscriber { asserted: asserted.into(), ..ue() });
        assert_eq!(status(&text), 403, "{asserted}");
    }
    let text = refused(&mut s, Subscriber { target: "", ..ue() });
    assert_eq!(status(&text), 400);
    let text = refused(&mut s, Subscriber { route: "<sip:elsewhere.example;lr>".into(), ..ue() });
    assert_eq!(status(&text), 400, "nobody could be told");
    let clauses = s.events().into_iter().filter_map(|e| match e {
        What::Refused { clause, .. } => Some(clause),
        _ => None,
    });
    let known = ["RFC 6665 ", "RFC 3680 ", "RFC 3261 clause 10.2.8", "TS 24.229 clause 5.4.2.1.1"];
    let known = clauses.filter(|clause| known.iter().any(|k| clause.starts_with(k))).count();
    assert_eq!(known, 12, "each refusal says which clause asks for it");
    assert_eq!(s.element.subscriptions(), 0);
}

#[test]
fn the_entities_of_path_and_of_the_filter_criteria_may_watch() {
    let criteria = "<InitialFilterCriteria><Priority>0</Priority><ApplicationServer><ServerName>sip:as.example:5090\
                    </ServerName></ApplicationServer><ProfilePartIndicator>1</ProfilePartIndicator></InitialFilterCriteria>";
    let set = lab_set().replace("</ServiceProfile>", &format!("{criteria}</ServiceProfile>"));
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&set));
    assert_eq!(s.answered(), 200);
    s.quiet();
    for (n, (asserted, expected)) in
        [(format!("<sip:pcscf.{REALM}>"), 200), ("<sip:AS.example>".into(), 200), ("<sip:as2.example>".into(), 403)]
            .into_iter()
            .enumerate()
    {
        let call_id = ["a@x", "b@x", "c@x"][n];
        let mut watcher = Subscriber { asserted, call_id, ..Subscriber::ue() };
        assert_eq!(status(&s.subscribe(&mut watcher)), expected, "{call_id}");
        if expected == 200 {
            watcher.judge(&s.sent().text);
        }
    }
    assert_eq!(s.element.subscriptions(), 2);
}

#[test]
fn one_notify_at_a_time_and_later_changes_together() {
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe(&mut ue);
    let initial = s.sent().text;
    ue.judge(&initial);
    // Two refreshes while the first NOTIFY waits for its answer.
    let third = second.next();
    for register in [third.clone(), third.next()] {
        s.register(&register);
        s.assign_again();
        assert_eq!(s.answered(), 200);
        s.quiet();
    }
    s.answer(&initial, 200);
    let notify = s.sent().text;
    assert_eq!(header(&notify, "CSeq"), "2 NOTIFY");
    assert_eq!(ue.judge(&notify).events(), [E::Refreshed, E::Refreshed]);
    s.quiet();
    // What ends while a NOTIFY waits is told last, with its own events.
    s.register(&Register { expires: Some(0), ..third.next().next() });
    assert_eq!(s.answered(), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    s.quiet();
    s.answer(&notify, 200);
    let last = s.sent().text;
    assert_eq!(header(&last, "Subscription-State"), "terminated;reason=deactivated");
    assert_eq!(ue.judge(&last).events(), [E::Unregistered, E::Unregistered]);
    assert_eq!(s.element.subscriptions(), 0);
}

#[test]
fn a_watcher_that_refuses_or_is_silent_is_forgotten() {
    for (status, remain) in [(481, 0), (489, 0), (500, 0)] {
        let (mut s, _) = subscribed();
        let mut ue = Subscriber::ue();
        s.subscribe(&mut ue);
        let notify = s.sent().text;
        s.answer(&notify, status);
        assert_eq!(s.element.subscriptions(), remain, "{status}");
        let ended = |e: &What| matches!(e, What::SubscriptionEnded { impu, cause } if impu.as_str() == DEFAULT && *cause == "a NOTIFY was refused");
        assert!(s.events().iter().any(ended));
    }
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe(&mut ue);
    s.sent();
    s.pass(Duration::from_secs(31));
    assert_eq!(s.element.subscriptions(), 1);
    s.pass(Duration::from_secs(2));
    assert_eq!(s.element.subscriptions(), 0, "64*T1 without an answer");
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    s.quiet();

    let (mut s, _) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe(&mut ue);
    let notify = s.sent().text;
    s.answer_with(&notify, 503, "Retry-After: 5\r\n");
    assert_eq!(s.element.subscriptions(), 1, "a refusal with a time is not the end");
}

#[test]
fn a_subscription_ends_by_time_on_its_own() {
    let (mut s, _) = subscribed();
    let mut ue = Subscriber { expires: 3_600, ..Subscriber::ue() };
    s.subscribe_and_listen(&mut ue);
    s.pass(Duration::from_secs(3_000));
    ue.expires = 7_200;
    s.subscribe_and_listen(&mut ue);
    s.pass(Duration::from_secs(7_199));
    s.quiet();
    s.pass(Duration::from_secs(2));
    let notify = s.sent().text;
    assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(ue.judge(&notify).events(), [E::Created, E::Created], "the registration goes on");
    assert_eq!((s.element.subscriptions(), s.element.registrations()), (0, 1));
}

#[test]
fn expires_0_without_dialog_is_one_look() {
    let (mut s, _) = subscribed();
    let mut ue = Subscriber { expires: 0, ..Subscriber::ue() };
    let text = s.subscribe(&mut ue);
    assert_eq!(status(&text), 200);
    let notify = s.sent().text;
    assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=timeout");
    assert_eq!(ue.judge(&notify).events(), [E::Created, E::Created]);
    assert_eq!(s.element.subscriptions(), 0);
}

#[test]
fn a_dialog_takes_newer_requests_of_its_own_only() {
    let (mut s, _) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    let mut stranger = Subscriber { call_id: "other@ue", ..ue.clone() };
    assert_eq!(status(&s.subscribe(&mut stranger)), 481);
    let mut old = Subscriber { cseq: 0, ..ue.clone() };
    assert_eq!(status(&s.subscribe(&mut old)), 500);
    // Contact is optional in a refresh; where it is there, NOTIFY follows it.
    let mut without = Subscriber { target: "", ..ue.clone() };
    assert_eq!(status(&s.subscribe(&mut without)), 200);
    let notify = s.sent().text;
    assert!(notify.starts_with(&format!("NOTIFY {} ", ue.target)), "{notify}");
    s.answer(&notify, 200);
    let mut moved = Subscriber { target: "sip:001010000000001@127.0.0.1:31009", ..without };
    assert_eq!(status(&s.subscribe(&mut moved)), 200);
    assert!(s.sent().text.starts_with("NOTIFY sip:001010000000001@127.0.0.1:31009 "));
}

#[test]
fn without_record_route_the_ue_is_reached_by_its_path() {
    let (mut s, _) = subscribed();
    let mut ue = Subscriber { route: String::new(), ..Subscriber::ue() };
    s.subscribe(&mut ue);
    let notify = s.sent();
    assert_eq!(header(&notify.text, "Route"), format!("<sip:token@pcscf.{REALM};lr>"));
    assert_eq!(notify.to, PCSCF.parse().unwrap());
}

#[test]
fn a_notify_too_large_for_a_datagram_goes_by_tcp() {
    let identities: Vec<(String, bool)> = (0..8).map(|n| (format!("sip:+9991234{n}@{REALM}"), false)).collect();
    let identities: Vec<(&str, bool)> = identities.iter().map(|(i, b)| (i.as_str(), *b)).collect();
    let set = user_data(&[&[(TEMPORARY, true)], &identities[..]].concat());
    let config = ScscfConfig { transport: Transport::Udp, ..config() };
    let mut s = scscf(config.clone());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&set));
    assert_eq!(s.answered(), 200);
    let impu = "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org";
    let mut ue = Subscriber { impu, asserted: format!("<{impu}>"), ..Subscriber::ue() };
    assert_eq!(status(&s.subscribe(&mut ue)), 200);
    let notify = s.sent().text;
    assert!(notify.len() > 1_300 && header(&notify, "Via").starts_with("SIP/2.0/TCP "), "{notify}");

    let mut s = scscf(config);
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    let small = user_data(&[(TEMPORARY, true), (DEFAULT, false)]);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&small));
    assert_eq!(s.answered(), 200);
    s.subscribe(&mut Subscriber::ue());
    assert!(header(&s.sent().text, "Via").starts_with("SIP/2.0/UDP "));
}

#[test]
fn emergency_bindings_are_nobodys_business() {
    let sos = contact(31_001).replace(":31001", ":31001;sos");
    let mut s = scscf(config());
    let first = Register { contacts: vec![sos], ..Register::initial() };
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
    assert_eq!(status(&s.subscribe(&mut Subscriber::ue())), 403);
    s.quiet();
}

#[test]
fn watchers_are_bounded() {
    let (mut s, _) = subscribed();
    for n in 0..33 {
        let call_id = Box::leak(format!("{n}@ue").into_boxed_str());
        let text = s.subscribe(&mut Subscriber { call_id, ..Subscriber::ue() });
        assert_eq!(status(&text), if n < 32 { 200 } else { 503 }, "{n}");
        if n < 32 {
            s.sent();
        }
    }
}

/// Lesson 77: a subscription is found by its dialog, and each has versions of its own.
#[test]
fn several_watchers_have_dialogs_of_their_own() {
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    let mut pcscf = Subscriber {
        asserted: format!("<sip:pcscf.{REALM}>"),
        call_id: "reg-1@pcscf",
        target: "sip:127.0.0.1:5060",
        route: String::new(),
        ..Subscriber::ue()
    };
    s.subscribe_and_listen(&mut ue);
    s.subscribe_and_listen(&mut ue);
    s.subscribe_and_listen(&mut pcscf);
    assert_ne!(tag(&ue), tag(&pcscf));
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    for _ in 0..2 {
        let notify = s.sent().text;
        let watcher = if header(&notify, "Call-ID") == "reg-1@ue" { &mut ue } else { &mut pcscf };
        assert_eq!(watcher.judge(&notify).events(), [E::Refreshed, E::Refreshed]);
        assert_eq!(headers(&notify, "Route").count(), usize::from(!watcher.route.is_empty()));
        s.answer(&notify, 200);
    }
    assert_eq!((ue.watcher.version(), pcscf.watcher.version()), (Some(2), Some(1)));
    s.quiet();
}

/// TS 23.380: what the HSS has of the subscription brings it back in another process, tag and all.
#[test]
fn a_subscription_outlives_the_s_cscf() {
    let config = ScscfConfig { restoration: true, ..config() };
    let mut s = scscf(config.clone());
    s.registered();
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    let request = s.asked();
    let sar = Sar::decode(&request).expect("a SAR");
    assert_eq!((sar.assignment, sar.user_data_already_available), (Assign::ReRegistration, true));
    let left = sar.restoration.expect("what is left with the HSS");
    let subscription = left.bindings[0].subscription.expect("that of the UE");
    assert_eq!(subscription.call_id, b"reg-1@ue");
    assert_eq!((left.bindings[0].call_id, left.bindings[0].cseq), (Some(&b"call-1@ue"[..]), Some(2)));
    assert_eq!(subscription.to, format!("<{DEFAULT}>;tag={}", tag(&ue)).as_bytes());
    assert_eq!(subscription.record_route, Some(ue.route.as_bytes()));
    s.answer_sar(&request, CxResult::SUCCESS, None);
    s.quiet();

    let mut s = scscf(config);
    s.sip(PCSCF, &ue.text());
    let request = s.asked();
    let sar = Sar::decode(&request).expect("a SAR");
    assert_eq!((sar.assignment, &*sar.impus), (Assign::NoAssignment, &[DEFAULT][..]));
    assert!(sar.supports_restoration);
    let xml = lab_set();
    let saa = Saa {
        envelope: envelope(sar.envelope.session_id),
        result: CxResult::SUCCESS,
        impi: None,
        server_name: None,
        user_data: Some(xml.as_bytes()),
        charging: None,
        associated_identities: Vec::new(),
        supports_restoration: true,
        restoration: vec![*left],
    };
    s.hss(&request, false, |w| saa.encode(w));
    let answer = s.sent().text;
    assert_eq!((status(&answer), header(&answer, "To")), (200, &*format!("<{DEFAULT}>;tag={}", tag(&ue))));
    let notify = s.sent().text;
    assert_eq!(header(&notify, "From"), format!("<{DEFAULT}>;tag={}", tag(&ue)));
    assert_eq!((header(&notify, "To"), header(&notify, "Route")), (&*format!("<{DEFAULT}>;tag=ue"), &*ue.route));
    let cseq: u32 = header(&notify, "CSeq").split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(cseq > 1, "beyond what was sent before");
    // The new process does not know how far the old one counted. The document has the full state, so a gap does no harm.
    let message = Message::parse(notify.as_bytes()).expect("a NOTIFY");
    let verdict = ue.watcher.take(message.body(), &[DEFAULT, TEL]);
    assert!(matches!(verdict.faults[..], [Fault::VersionGap { before: 0, .. }]), "{:?}", verdict.faults);
    let document = verdict.document.expect("it counts");
    let contact = &document.registrations[0].contacts[0];
    assert_eq!(contact.uri, "sip:001010000000001@127.0.0.1:31001");
    // The HSS keeps the dialog identity, but not since when.
    assert_eq!((contact.call_id.as_deref(), contact.cseq), (Some("call-1@ue"), Some(2)));
    assert_eq!(contact.duration_registered, None);
    s.answer(&notify, 200);
    assert_eq!((s.element.registrations(), s.element.subscriptions()), (1, 1));
    // And the dialog goes on by itself.
    ue.cseq += 1;
    s.subscribe_and_listen(&mut ue);
    s.quiet();
}

#[test]
fn a_subscription_that_does_not_come_back_is_481_or_480() {
    let config = ScscfConfig { restoration: true, ..config() };
    let mut ue = Subscriber::ue();
    for in_dialog in [true, false] {
        let mut s = scscf(config.clone());
        ue.to_tag = in_dialog.then(|| "0123abcd1".to_owned());
        s.sip(PCSCF, &ue.text());
        s.assign(Assign::NoAssignment, CxResult::UNABLE_TO_COMPLY, None);
        let status = status(&s.sent().text);
        assert_eq!(status, if in_dialog { 481 } else { 480 });
        s.quiet();
    }
}
