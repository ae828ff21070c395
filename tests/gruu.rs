//! Globally routable user agent URIs (RFC 5627, TS 24.229 clause 5.4.7A): given with a registration, called, told to
//! watchers, ended. A line has a time and a message.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[expect(dead_code, reason = "most of it is for the tests of the reg event package")]
#[path = "reg_event/subscriber.rs"]
mod subscriber;
#[expect(dead_code, reason = "most of it is for the tests of the registrar")]
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, header, headers, status};
use imsreg::cx::{CxResult, ServerAssignmentType as Assign};
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::time::Duration;
use subscriber::{DEFAULT, Subscriber, config};
use user::{ICSCF, OWN, Register, lab_set, scscf};

const PHONE: &str =
    "<sip:001010000000001@127.0.0.1:31001>;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-000000000001>\"";
const PUBLIC: &str = "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org;gr=urn:uuid:00000000-0000-4000-8000-000000000001";

fn first() -> Register {
    Register {
        contacts: vec![PHONE.into()],
        extra: vec!["Supported: gruu".into()],
        path: format!("<sip:token@pcscf.{REALM};lr>"),
        ..Register::initial()
    }
}

/// A registered phone that supports GRUUs: its last REGISTER and the 200.
fn phone(first: &Register) -> (Driver<Scscf>, Register, String) {
    let mut s = scscf(config());
    let challenge = s.challenge(first, 1);
    let second = first.answering(&challenge);
    s.register(&second);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    let text = s.sent().text;
    assert_eq!(status(&text), 200, "{text}");
    (s, second, text)
}

fn refreshed(s: &mut Driver<Scscf>, register: &Register) -> String {
    s.register(register);
    s.assign_again();
    s.sent().text
}

/// Public and temporary GRUU of the first Contact of a 200.
fn gruus(text: &str) -> (String, String) {
    let contact = header(text, "Contact");
    let of =
        |name: &str| contact.split(&format!(";{name}=\"")).nth(1).unwrap_or_else(|| panic!("{text}")).split('"').next();
    (of("pub-gruu").unwrap().to_owned(), of("temp-gruu").unwrap().to_owned())
}

fn message(uri: &str, n: u32) -> String {
    format!(
        "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {ICSCF};branch=z9hG4bKm{n}\r\nMax-Forwards: 60\r\n\
         From: <sip:alice@example.com>;tag=a\r\nTo: <{uri}>\r\nCall-ID: m{n}@alice\r\nCSeq: 1 MESSAGE\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// What becomes of a message: the Request-URI at the P-CSCF, or the status of the refusal.
fn called(s: &mut Driver<Scscf>, uri: &str, n: u32) -> Result<String, u16> {
    s.sip(ICSCF, &message(uri, n));
    let text = s.sent().text;
    match text.strip_prefix("MESSAGE ") {
        Some(rest) => {
            s.answer(&text, 200);
            assert_eq!(status(&s.sent().text), 200);
            Ok(rest.split(' ').next().unwrap().to_owned())
        }
        None => Err(status(&text)),
    }
}

const AT_PHONE: &str = "sip:001010000000001@127.0.0.1:31001";

#[test]
fn a_ue_that_supports_gruu_is_given_both_kinds() {
    let (_, _, text) = phone(&first());
    let (public, temporary) = gruus(&text);
    // The identity registered is barred: the default one is named.
    assert_eq!(public, PUBLIC);
    assert!(temporary.starts_with("sip:tgruu."), "{temporary}");
    assert!(temporary.ends_with(&format!("@scscf.{REALM}:6060;gr")), "{temporary}");
    assert!(!temporary.contains("99912345") && !temporary.contains("001010000000001"), "{temporary}");

    // Who does not support them, or has no instance, is given none.
    for register in [
        Register { extra: Vec::new(), ..first() },
        Register { contacts: vec!["<sip:001010000000001@127.0.0.1:31001>".into()], ..first() },
    ] {
        let (_, _, text) = phone(&register);
        assert!(!text.contains("gruu="), "{text}");
    }
}

#[test]
fn an_imei_stays_between_ue_and_registrar() {
    let contact = user::contact(31_001);
    let (mut s, _, text) = phone(&Register { contacts: vec![contact], ..first() });
    let (public, temporary) = gruus(&text);
    assert!(public.starts_with(&format!("{DEFAULT};gr=urn:uuid:")) && !public.contains("86774304"), "{public}");
    assert_eq!(called(&mut s, &public, 1).as_deref(), Ok(AT_PHONE));
    assert_eq!(called(&mut s, &temporary, 2).as_deref(), Ok(AT_PHONE));
}

#[test]
fn each_register_brings_another_temporary_gruu_and_all_of_one_call_id_live() {
    let (mut s, second, text) = phone(&first());
    let (public, old) = gruus(&text);
    // 300 s: a refresh of the same Call-ID.
    s.pass(Duration::from_secs(300));
    let third = second.next();
    let text = refreshed(&mut s, &third);
    let (same, new) = gruus(&text);
    assert_eq!(public, same);
    assert_ne!(old, new);
    for (n, uri) in [&public, &old, &new].into_iter().enumerate() {
        assert_eq!(called(&mut s, uri, n as u32).as_deref(), Ok(AT_PHONE), "{uri}");
    }
    // 600 s: the same phone with another Call-ID. What was given before is not valid any more.
    s.pass(Duration::from_secs(300));
    let fourth = Register { call_id: "call-2@ue".into(), cseq: 1, ..third };
    let text = refreshed(&mut s, &fourth);
    let (same, newest) = gruus(&text);
    assert_eq!(public, same);
    assert_eq!(called(&mut s, &old, 10), Err(404));
    assert_eq!(called(&mut s, &new, 11), Err(404));
    assert_eq!(called(&mut s, &newest, 12).as_deref(), Ok(AT_PHONE));
    assert_eq!(called(&mut s, &public, 13).as_deref(), Ok(AT_PHONE));
    // 900 s: the phone de-registers. The public GRUU is one still, of a user who is not there.
    s.pass(Duration::from_secs(300));
    s.register(&Register { expires: Some(0), ..fourth.next() });
    assert_eq!(status(&s.sent().text), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    assert_eq!(called(&mut s, &newest, 14), Err(404));
    s.sip(ICSCF, &message(&public, 15));
    s.assign(Assign::UnregisteredUser, CxResult::USER_UNKNOWN, None);
    assert_eq!(status(&s.sent().text), 480);
}

#[test]
fn what_nobody_gave_is_no_gruu() {
    let (mut s, _, text) = phone(&first());
    let (_, temporary) = gruus(&text);
    let mut made_up = temporary.clone();
    made_up.replace_range(10..12, if &temporary[10..12] == "00" { "01" } else { "00" });
    assert_eq!(called(&mut s, &made_up, 1), Err(404));
    assert_eq!(called(&mut s, &temporary.replace("tgruu.", "tgruu.0"), 2), Err(404));
    // A device that is not there.
    assert_eq!(called(&mut s, &PUBLIC.replace("000001", "000002"), 3), Err(480));
}

/// TS 23.380 has nothing to keep a temporary GRUU by: the next process reads none of the one before it. Public ones go on.
#[test]
fn another_process_knows_the_public_gruus_only() {
    let (_, _, text) = phone(&first());
    let (public, temporary) = gruus(&text);
    let mut next = Driver::new(Scscf::new(config(), Random::seeded(99)), OWN);
    let challenge = next.challenge(&first(), 1);
    next.register(&first().answering(&challenge));
    next.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    let (same, other) = gruus(&next.sent().text);
    assert_eq!((same.as_str(), called(&mut next, &temporary, 1)), (public.as_str(), Err(404)));
    assert_eq!(called(&mut next, &public, 2).as_deref(), Ok(AT_PHONE));
    assert_eq!(called(&mut next, &other, 3).as_deref(), Ok(AT_PHONE));
}

#[test]
fn of_two_devices_the_one_named_is_called() {
    let flow = |n: u32| {
        let contact = PHONE.replace("31001", &format!("3100{n}")).replace("000001\"", &format!("00000{n}\""));
        let contact = contact.replace("000001>", &format!("00000{n}>"));
        Register {
            contacts: vec![format!("{contact};reg-id=1")],
            extra: vec!["Supported: gruu, outbound".into()],
            path: format!("<sip:token{n}@pcscf.{REALM};lr;ob>"),
            call_id: format!("call-{n}@ue"),
            ..first()
        }
    };
    let (mut s, _, _) = phone(&flow(1));
    let challenge = s.challenge(&flow(2), 2);
    s.register(&flow(2).answering(&challenge));
    s.assign_again();
    let text = s.sent().text;
    assert_eq!(headers(&text, "Contact").filter(|c| c.contains("pub-gruu")).count(), 2, "{text}");
    let second = PUBLIC.replace("000000000001", "000000000002");
    assert_eq!(called(&mut s, PUBLIC, 1).as_deref(), Ok(AT_PHONE));
    assert_eq!(called(&mut s, &second, 2).as_deref(), Ok("sip:001010000000001@127.0.0.1:31002"));
    // Its own temporary GRUU too: that of the Contact in the 200 that names it.
    let own = headers(&text, "Contact").find(|c| c.contains("31002")).unwrap();
    let temporary = own.split("temp-gruu=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(called(&mut s, temporary, 3).as_deref(), Ok("sip:001010000000001@127.0.0.1:31002"));
}

#[test]
fn within_a_dialog_a_gruu_becomes_the_contact() {
    let (mut s, _, text) = phone(&first());
    let (public, temporary) = gruus(&text);
    for (n, uri) in [public, temporary].iter().enumerate() {
        // The way is what was recorded: us, then the P-CSCF.
        let bye = message(uri, 20 + n as u32)
            .replace("MESSAGE", "BYE")
            .replace(&format!("To: <{uri}>"), "To: <sip:+99912345@home>;tag=b")
            .replace(
                "Max-Forwards",
                &format!("Route: <sip:mt@scscf.{REALM}:6060;lr>, <sip:rr@pcscf.{REALM};lr>\r\nMax-Forwards"),
            );
        s.sip(ICSCF, &bye);
        let text = s.sent().text;
        assert!(text.starts_with(&format!("BYE {AT_PHONE} ")), "{text}");
        assert_eq!(header(&text, "Route"), format!("<sip:rr@pcscf.{REALM};lr>"));
        s.answer(&text, 200);
        assert_eq!(status(&s.sent().text), 200);
    }
}

#[test]
fn watchers_are_told_the_gruus_of_every_identity() {
    let (mut s, second, _) = phone(&first());
    let mut ue = Subscriber::ue();
    s.subscribe(&mut ue);
    let notify = s.sent().text;
    ue.judge(&notify);
    s.answer(&notify, 200);
    let told = |notify: &str| {
        let temporary = notify.split("<gr:temp-gruu uri=\"").nth(1).unwrap();
        let (uri, rest) = temporary.split_once('"').unwrap();
        (uri.to_owned(), rest.split('"').nth(1).unwrap().to_owned())
    };
    assert!(notify.contains(&format!("<gr:pub-gruu uri=\"{PUBLIC}\"/>")), "{notify}");
    // A telephone number has none.
    assert_eq!(notify.matches("pub-gruu").count(), 1, "{notify}");
    let (_, first_cseq) = told(&notify);
    assert_eq!(first_cseq, "2", "the CSeq of the REGISTER that was granted first");

    let text = refreshed(&mut s, &second.next());
    let (_, temporary) = gruus(&text);
    let notify = s.sent().text;
    ue.judge(&notify);
    assert_eq!(told(&notify), (temporary, "2".to_owned()), "the newest, valid since the first");
    s.answer(&notify, 200);

    let text = refreshed(&mut s, &Register { call_id: "call-2@ue".into(), cseq: 41, ..second });
    let notify = s.sent().text;
    assert_eq!(told(&notify), (gruus(&text).1, "41".to_owned()));
}
