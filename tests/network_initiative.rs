//! What the network begins: RTR and PPR of the HSS, de-registration and re-authentication by the operator
//! (TS 24.229 clauses 5.4.1.5 and 5.4.1.6, TS 29.228 clauses 6.1.3 and 6.2).

#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "reg_event/subscriber.rs"]
mod subscriber;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, header, headers, status};
use imsreg::cx::sar::Charging;
use imsreg::cx::{self, CxResult, Ppa, Ppr, ReasonCode, RequestEnvelope, Rta, Rtr, ServerAssignmentType as Assign};
use imsreg::diameter::{Header, Writer};
use imsreg::event::What;
use imsreg::packet::Outbox;
use imsreg::reginfo::{ContactEvent as E, RegistrationState};
use imsreg::scscf::{Scscf, Termination};
use imsreg::time::{Duration, Instant};
use subscriber::{DEFAULT, PCSCF, Subscriber, TEL, config, subscribed};
use user::{IMPI, Register, TEMPORARY, contact, lab_set, scscf, user_data};

fn envelope() -> RequestEnvelope<'static> {
    RequestEnvelope {
        session_id: "hss.example;1;1",
        origin_host: "hss.example",
        origin_realm: REALM,
        destination_host: Some("scscf.example"),
        destination_realm: REALM,
    }
}

fn send(s: &mut Driver<Scscf>, command: u32, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let header = Header {
        request: true,
        proxiable: true,
        error: false,
        retransmitted: false,
        command,
        application: cx::APPLICATION,
        hop_by_hop: 7,
        end_to_end: 7,
    };
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes, &header);
    write(&mut w);
    w.finish();
    s.diameter(&bytes);
    s.asked()
}

/// Somebody commands the element.
fn command<T>(s: &mut Driver<Scscf>, with: impl FnOnce(&mut Scscf, Instant, &mut Outbox) -> T) -> T {
    let result = with(&mut s.element, s.now, &mut s.out);
    s.absorb();
    result
}

/// The HSS ends registrations: the outcome, and the pairs with emergency registrations.
fn rtr(s: &mut Driver<Scscf>, impi: &str, impus: &[&str], reason: ReasonCode) -> (CxResult, Vec<(String, String)>) {
    let rtr = Rtr {
        envelope: envelope(),
        impi,
        impus: impus.to_vec(),
        reason,
        reason_info: None,
        associated_identities: Vec::new(),
    };
    let answer = send(s, Rtr::COMMAND, |w| rtr.encode(w));
    let rta = Rta::decode(&answer).unwrap();
    assert_eq!(rta.envelope.session_id, "hss.example;1;1");
    (rta.result, rta.emergency.iter().map(|(impi, impu)| (impi.to_string(), impu.to_string())).collect())
}

fn ppr(s: &mut Driver<Scscf>, impi: &str, xml: Option<&str>, charging: Option<Charging<'_>>) -> CxResult {
    let ppr = Ppr { envelope: envelope(), impi, user_data: xml.map(str::as_bytes), charging, auth: None };
    let answer = send(s, Ppr::COMMAND, |w| ppr.encode(w));
    Ppa::decode(&answer).unwrap().result
}

/// A registered user whose UE watches the registration.
fn watched() -> (Driver<Scscf>, Register, Subscriber) {
    let (mut s, second) = subscribed();
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    s.events();
    (s, second, ue)
}

fn deregistered(s: &mut Driver<Scscf>) -> Vec<&'static str> {
    let causes = s.events().into_iter().filter_map(|e| match e {
        What::Deregistered { cause, .. } => Some(cause),
        _ => None,
    });
    causes.collect()
}

#[test]
fn the_reason_of_an_rtr_decides_what_the_ue_hears() {
    for (reason, event, cause) in [
        (ReasonCode::PermanentTermination, E::Rejected, "the HSS: permanent termination"),
        (ReasonCode::ServerChange, E::Deactivated, "the HSS: another S-CSCF is to be selected"),
    ] {
        let (mut s, _, mut ue) = watched();
        assert_eq!(rtr(&mut s, IMPI, &[], reason), (CxResult::SUCCESS, vec![]));
        let notify = s.sent().text;
        assert_eq!(header(&notify, "Subscription-State"), "terminated;reason=deactivated");
        let told = ue.judge(&notify);
        assert_eq!(told.events(), [event, event]);
        let (first, gone) = (&told.registrations[0], &told.registrations[0].contacts[0]);
        assert_eq!((first.aor.as_str(), gone.params.len()), (DEFAULT, 2));
        assert_eq!(gone.uri, "sip:001010000000001@127.0.0.1:31001");
        assert!(told.registrations.iter().all(|r| r.state == RegistrationState::Terminated));
        assert_eq!((s.element.registrations(), s.element.subscriptions()), (0, 0));
        assert_eq!(deregistered(&mut s), [cause]);
        s.answer(&notify, 200);
        // The HSS knows: no SAR follows.
        s.quiet();
    }
    let (mut s, ..) = watched();
    let outcome = rtr(&mut s, IMPI, &[TEMPORARY, DEFAULT], ReasonCode::NewServerAssigned);
    assert_eq!(outcome, (CxResult::SUCCESS, vec![]));
    assert_eq!((s.element.registrations(), s.element.subscriptions()), (0, 0));
    s.quiet();

    let (mut s, ..) = watched();
    assert_eq!(rtr(&mut s, IMPI, &[], ReasonCode::RemoveScscf), (CxResult::SUCCESS, vec![]));
    assert_eq!(s.element.registrations(), 1, "it is about users who are not registered");
    s.quiet();
}

#[test]
fn an_rtr_names_whom_it_means() {
    let (mut s, ..) = watched();
    let reason = ReasonCode::PermanentTermination;
    assert_eq!(rtr(&mut s, "nobody@x", &[], reason).0, CxResult::USER_UNKNOWN);
    assert_eq!(rtr(&mut s, IMPI, &["tel:+1"], reason).0, CxResult::USER_UNKNOWN);
    assert_eq!(rtr(&mut s, "nobody@x", &[], ReasonCode::RemoveScscf).0, CxResult::SUCCESS);
    assert_eq!(s.element.registrations(), 1);
    s.quiet();
    // The whole set goes with one of its identities.
    assert_eq!(rtr(&mut s, IMPI, &["tel:+9991-2345"], reason).0, CxResult::SUCCESS);
    assert_eq!(s.element.registrations(), 0);
}

#[test]
fn a_request_that_cannot_be_read_is_answered_by_its_fault() {
    let (mut s, ..) = watched();
    let answer = send(&mut s, Rtr::COMMAND, |w| envelope().encode(w));
    let header = Header::parse(&answer).unwrap();
    assert_eq!((header.command, header.request, header.error), (304, false, false));
    assert!(Rta::decode(&answer).unwrap().result == CxResult::Base(5005), "User-Name is missing");
    let answer = send(&mut s, 300, |w| envelope().encode(w));
    assert!(Header::parse(&answer).unwrap().error, "UAR is not for an S-CSCF: 3001");
}

#[test]
fn bindings_for_emergency_calls_outlive_an_rtr() {
    let sos = contact(31_001).replace(":31001", ":31001;sos");
    let pair = vec![(IMPI.to_owned(), DEFAULT.to_owned())];
    let registered = |contacts: Vec<String>| {
        let mut s = scscf(config());
        let first = Register { contacts, path: format!("<sip:token@pcscf.{REALM};lr;ob>"), ..Register::initial() };
        let first = Register { extra: vec!["Supported: outbound".into()], ..first };
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        assert_eq!(s.answered(), 200);
        s
    };
    let mut s = registered(vec![sos.clone()]);
    let outcome = rtr(&mut s, IMPI, &[], ReasonCode::PermanentTermination);
    assert_eq!(outcome, (CxResult::UNABLE_TO_COMPLY, pair.clone()), "nothing was ended");
    assert_eq!(s.element.registrations(), 1);

    // A flow of its own beside the emergency binding.
    let mut s = registered(vec![sos, format!("{};reg-id=1", contact(31_003))]);
    let mut ue = Subscriber::ue();
    s.subscribe_and_listen(&mut ue);
    let outcome = rtr(&mut s, IMPI, &[], ReasonCode::PermanentTermination);
    assert_eq!(outcome, (CxResult::LIMITED_SUCCESS, pair));
    let notify = s.sent().text;
    assert_eq!(ue.judge(&notify).events(), [E::Rejected, E::Rejected]);
    assert_eq!((s.element.registrations(), s.element.subscriptions()), (1, 0));
    let again =
        |element: &mut Scscf, now, out: &mut _| element.reauthenticate(now, DEFAULT, Duration::from_secs(60), out);
    command(&mut s, again);
    s.pass(Duration::from_secs(61));
    assert_eq!(s.element.registrations(), 1, "it is not shortened either");
}

#[test]
fn a_profile_that_is_pushed_takes_the_place_of_the_old_one() {
    let (mut s, second, mut ue) = watched();
    // The same identities: nothing to tell.
    let same = lab_set().replace("</ServiceProfile>", "<CoreNetworkServicesAuthorization><SubscribedMediaProfileId>3</SubscribedMediaProfileId></CoreNetworkServicesAuthorization></ServiceProfile>");
    assert_eq!(ppr(&mut s, IMPI, Some(&same), None), CxResult::SUCCESS);
    s.quiet();
    // One more identity.
    let third = format!("sip:third@{REALM}");
    let more = user_data(&[(TEMPORARY, true), (DEFAULT, false), (TEL, false), (&third, false)]);
    assert_eq!(ppr(&mut s, IMPI, Some(&more), None), CxResult::SUCCESS);
    let notify = s.sent().text;
    let verdict = ue.watcher.take(notify.split_once("\r\n\r\n").unwrap().1.as_bytes(), &[DEFAULT, TEL, &third]);
    assert_eq!(verdict.faults, []);
    s.answer(&notify, 200);
    s.register(&second.next());
    assert!(s.assign_again(), "the S-CSCF has user data");
    let text = s.sent().text;
    assert_eq!(header(&text, "P-Associated-URI"), format!("<{DEFAULT}>, <{TEL}>, <{third}>"));
    assert_eq!(header(&text, "P-Charging-Function-Addresses"), "ccf=\"aaa://ccf.example\"", "it was not changed");
    let notify = s.sent().text;
    s.answer(&notify, 200);
    // Other charging addresses alone.
    let charging = Charging { primary_event: Some("aaa://ecf.example"), ..Charging::default() };
    assert_eq!(ppr(&mut s, IMPI, None, Some(charging)), CxResult::SUCCESS);
    s.quiet();
    s.register(&second.next().next());
    s.assign_again();
    let text = s.sent().text;
    assert_eq!(header(&text, "P-Charging-Function-Addresses"), "ecf=\"aaa://ecf.example\"");
    assert_eq!(headers(&text, "P-Associated-URI").count(), 1);
}

#[test]
fn what_cannot_be_pushed() {
    let (mut s, second, _) = watched();
    assert_eq!(ppr(&mut s, "nobody@x", Some(&lab_set()), None), CxResult::USER_UNKNOWN);
    assert_eq!(ppr(&mut s, IMPI, None, None), CxResult::UNABLE_TO_COMPLY);
    assert_eq!(ppr(&mut s, IMPI, Some("<IMSSubscription>"), None), CxResult::NOT_SUPPORTED_USER_DATA);
    let barred = user_data(&[(TEMPORARY, true), (DEFAULT, true)]);
    assert_eq!(ppr(&mut s, IMPI, Some(&barred), None), CxResult::UNABLE_TO_COMPLY);
    let foreign = user_data(&[("sip:other@example.com", false)]);
    assert_eq!(ppr(&mut s, IMPI, Some(&foreign), None), CxResult::USER_UNKNOWN);
    s.quiet();
    s.register(&second.next());
    s.assign_again();
    assert_eq!(header(&s.sent().text, "P-Associated-URI"), format!("<{DEFAULT}>, <{TEL}>"));
}

#[test]
fn the_operator_ends_a_registration() {
    for (how, event) in [
        (Termination::Rejected, E::Rejected),
        (Termination::Deactivated, E::Deactivated),
        (Termination::Probation, E::Probation),
    ] {
        let (mut s, _, mut ue) = watched();
        let ended = command(&mut s, |element, now, out| element.deregister_by_operator(now, TEL, how, out));
        assert_eq!(ended, 1);
        s.assign(Assign::AdministrativeDeregistration, CxResult::SUCCESS, None);
        let notify = s.sent().text;
        assert_eq!(ue.judge(&notify).events(), [event, event]);
        assert_eq!((s.element.registrations(), s.element.subscriptions()), (0, 0));
        assert_eq!(deregistered(&mut s), ["the operator asked for it"]);
    }
    let (mut s, ..) = watched();
    let nobody = |element: &mut Scscf, now, out: &mut _| {
        element.deregister_by_operator(now, "sip:nobody@x", Termination::Rejected, out)
    };
    assert_eq!(command(&mut s, nobody), 0);
}

#[test]
fn the_operator_has_a_ue_authenticated_again() {
    let (mut s, second, mut ue) = watched();
    let again =
        |element: &mut Scscf, now, out: &mut _| element.reauthenticate(now, DEFAULT, Duration::from_secs(60), out);
    assert_eq!(command(&mut s, again), 1);
    let notify = s.sent().text;
    assert_eq!(header(&notify, "Subscription-State"), "active;expires=600000");
    let told = ue.judge(&notify);
    assert_eq!(told.events(), [E::Shortened, E::Shortened]);
    // No REGISTER has done it.
    assert_eq!(
        told.identified().iter().map(|(call_id, cseq, _)| (*call_id, *cseq)).collect::<Vec<_>>(),
        [("call-1@ue", 2); 2]
    );
    assert_eq!(told.registrations[0].contacts[0].expires, Some(60));
    s.answer(&notify, 200);
    // The policy is never to challenge; this time it must be.
    s.pass(Duration::from_secs(30));
    let third = Register { answer: "nonce=\"\",response=\"\"".into(), ..second.next() };
    let challenge = s.challenge(&third, 2);
    s.register(&third.answering(&challenge));
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let notify = s.sent().text;
    let told = ue.judge(&notify);
    assert_eq!((told.events(), told.registrations[0].contacts[0].expires), (vec![E::Refreshed; 2], Some(600_000)));
    s.answer(&notify, 200);
    s.register(&third.next().next());
    s.assign_again();
    assert_eq!(s.answered(), 200, "and only this time");
    s.sent();

    // Who does not come is not registered any more.
    let (mut s, _, mut ue) = watched();
    command(&mut s, again);
    let notify = s.sent().text;
    ue.judge(&notify);
    s.answer(&notify, 200);
    s.pass(Duration::from_secs(61));
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
    assert_eq!(ue.judge(&s.sent().text).events(), [E::Expired, E::Expired]);
}

/// The network's end comes while a NOTIFY waits for its answer: the last word waits for it and is not lost.
#[test]
fn the_last_notify_waits_for_the_one_before() {
    let (mut s, second, mut ue) = watched();
    s.register(&second.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    let refreshed = s.sent();
    assert_eq!(refreshed.to, PCSCF.parse().unwrap());
    assert_eq!(rtr(&mut s, IMPI, &[], ReasonCode::ServerChange).0, CxResult::SUCCESS);
    s.quiet();
    ue.judge(&refreshed.text);
    assert_eq!(status(&s.subscribe(&mut ue)), 481, "it has ended already");
    s.answer(&refreshed.text, 200);
    assert_eq!(ue.judge(&s.sent().text).events(), [E::Deactivated, E::Deactivated]);
}
