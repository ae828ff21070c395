//! A phone with a password: challenges of registrars and of proxies (RFC 3261 clause 22, RFC 2617, RFC 7616).

use crate::network::{Network, REALM, Sent, granted, reply};
use imsreg::aka::Password;
use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response, rspauth};
use imsreg::event::What;
use imsreg::pcscf::SecAgreePolicy;
use imsreg::ue::{Login, UeStatus};

const BOB: &str = "sip:bob@home.example";

fn phone() -> Network {
    Network::with(|config| {
        config.usim = None;
        config.login = Some(Login { username: "bob".into(), password: Password("open sesame".into()) });
    })
}

fn challenge(request: &Sent, status: &str, nonce: &str, more: &str) -> String {
    let name = if status.starts_with("407") { "Proxy-Authenticate" } else { "WWW-Authenticate" };
    reply(request, status, &[&format!("{name}: Digest realm=\"{REALM}\", nonce=\"{nonce}\"{more}")])
}

const QOP: &str = ", algorithm=MD5, qop=\"auth,auth-int\"";

fn parameter(header: &str, name: &str) -> Option<String> {
    let list = header.strip_prefix("Digest ").unwrap();
    let value = list.split(", ").find_map(|p| p.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.trim_matches('"').to_owned())
}

/// Checks credentials with the password; returns nonce and nc.
#[track_caller]
fn check(header: &str, method: &str, algorithm: Algorithm, body: &[u8]) -> (String, Option<String>) {
    let get = |name| parameter(header, name);
    let (nc, cnonce, nonce) = (get("nc"), get("cnonce"), get("nonce").unwrap());
    let qop = get("qop").map(|q| Qop {
        auth_int: q == "auth-int",
        nc: nc.as_deref().unwrap(),
        cnonce: cnonce.as_deref().unwrap(),
    });
    let (realm, uri) = (get("realm").unwrap(), get("uri").unwrap());
    let inputs = Inputs { algorithm, username: "bob", realm: &realm, nonce: &nonce, uri: &uri, method, qop, body };
    assert_eq!(get("username").as_deref(), Some("bob"));
    assert_eq!(get("response").as_deref(), Some(response(&inputs, Secret::Password(b"open sesame")).as_str()));
    (nonce, nc)
}

fn registered() -> Network {
    let mut n = phone();
    n.register();
    let first = n.sent();
    n.answer(&first, &challenge(&first, "401 Unauthorized", "n1", QOP));
    let second = n.sent();
    n.answer(&second, &granted(&second, 3_600));
    n
}

#[test]
fn a_password_registers_in_clear_without_any_agreement() {
    let mut n = phone();
    n.register();
    let first = n.sent();
    assert!(first.all("Security-Client").is_empty() && first.all("Require").is_empty(), "{}", first.text);
    assert_eq!(
        (first.credential("username").as_deref(), first.credential("nonce").as_deref()),
        (Some("bob"), Some(""))
    );
    n.answer(&first, &challenge(&first, "401 Unauthorized", "n1", QOP));
    let second = n.sent();
    let counted = check(second.header("Authorization"), "REGISTER", Algorithm::Md5, b"");
    assert_eq!(counted, ("n1".to_owned(), Some("00000001".to_owned())));
    n.answer(&second, &granted(&second, 3_600));
    assert_eq!((n.ue.status(), n.sets.len()), (UeStatus::Registered, 0));
    // The refresh counts on with the same nonce.
    let refresh = n.next_sent();
    let counted = check(refresh.header("Authorization"), "REGISTER", Algorithm::Md5, b"");
    assert_eq!(counted, ("n1".to_owned(), Some("00000002".to_owned())));
    // A stale nonce is no wrong password.
    n.answer(&refresh, &challenge(&refresh, "401 Unauthorized", "n2", &format!("{QOP}, stale=true")));
    let again = n.sent();
    let counted = check(again.header("Authorization"), "REGISTER", Algorithm::Md5, b"");
    assert_eq!(counted, ("n2".to_owned(), Some("00000001".to_owned())));
}

#[test]
fn the_first_challenge_that_can_be_answered_is_taken_and_without_qop_there_is_no_count() {
    let mut n = phone();
    n.register();
    let first = n.sent();
    let better = format!("WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"");
    let md5 = format!("WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"");
    let aka = better.replace("SHA-256", "AKAv1-MD5");
    n.answer(&first, &reply(&first, "401 Unauthorized", &[&aka, &better, &md5]));
    let second = n.sent();
    assert_eq!(second.credential("algorithm").as_deref(), Some("SHA-256"));
    check(second.header("Authorization"), "REGISTER", Algorithm::Sha256, b"");

    let mut n = phone();
    n.register();
    let first = n.sent();
    n.answer(&first, &challenge(&first, "401 Unauthorized", "n1", ", opaque=\"o1\""));
    let second = n.sent();
    assert_eq!(check(second.header("Authorization"), "REGISTER", Algorithm::Md5, b"").1, None);
    assert_eq!((second.credential("algorithm"), second.credential("opaque").as_deref()), (None, Some("o1")));
}

#[test]
fn a_second_challenge_that_is_not_stale_says_that_the_password_is_wrong() {
    let mut n = phone();
    n.register();
    let first = n.sent();
    n.answer(&first, &challenge(&first, "401 Unauthorized", "n1", QOP));
    let second = n.sent();
    n.answer(&second, &challenge(&second, "401 Unauthorized", "n2", QOP));
    assert_eq!(n.ue.status(), UeStatus::Failed { status: 401 });
    assert!(n.ue.failure().unwrap().contains("password"), "{:?}", n.ue.failure());
    n.quiet();
}

#[test]
fn authentication_info_brings_the_next_nonce_and_the_proof_of_the_network() {
    for right in [true, false] {
        let mut n = phone();
        n.register();
        let first = n.sent();
        n.answer(&first, &challenge(&first, "401 Unauthorized", "n1", QOP));
        let second = n.sent();
        let cnonce = second.credential("cnonce").unwrap();
        let inputs = Inputs {
            algorithm: Algorithm::Md5,
            username: "bob",
            realm: REALM,
            nonce: "n1",
            uri: &format!("sip:{REALM}"),
            method: "REGISTER",
            qop: Some(Qop { auth_int: false, nc: "00000001", cnonce: &cnonce }),
            body: b"",
        };
        let password: &[u8] = if right { b"open sesame" } else { b"guessed" };
        let proof = rspauth(&inputs, Secret::Password(password));
        let info = format!(
            "Authentication-Info: qop=auth, rspauth=\"{}\", cnonce=\"{cnonce}\", nc=00000001, nextnonce=\"n9\"\r\nContact",
            proof.as_str()
        );
        n.answer(&second, &granted(&second, 3_600).replacen("Contact", &info, 1));
        let is_told = n.told(|e| matches!(e, What::AuthenticationFailed { cause, .. } if cause.contains("rspauth")));
        assert_eq!(is_told, !right);
        let refresh = n.next_sent();
        let counted = check(refresh.header("Authorization"), "REGISTER", Algorithm::Md5, b"");
        assert_eq!(counted, ("n9".to_owned(), Some("00000001".to_owned())));
    }
}

#[test]
fn a_proxy_may_ask_within_a_registration() {
    let mut n = phone();
    n.register();
    let first = n.sent();
    n.answer(&first, &challenge(&first, "407 Proxy Authentication Required", "p1", QOP));
    let second = n.sent();
    check(second.header("Proxy-Authorization"), "REGISTER", Algorithm::Md5, b"");
    n.answer(&second, &challenge(&second, "401 Unauthorized", "n1", QOP));
    let third = n.sent();
    assert_eq!(check(third.header("Authorization"), "REGISTER", Algorithm::Md5, b"").0, "n1");
    let counted = check(third.header("Proxy-Authorization"), "REGISTER", Algorithm::Md5, b"");
    assert_eq!(counted, ("p1".to_owned(), Some("00000002".to_owned())));
    n.answer(&third, &granted(&third, 3_600));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn a_message_is_sent_again_with_credentials_and_the_next_one_has_them_at_once() {
    let mut n = registered();
    n.call(|ue, now, out| ue.message(now, BOB, "text/plain", b"hello", out).unwrap());
    let message = n.sent();
    assert!(message.all("Proxy-Authorization").is_empty());
    n.answer(&message, &challenge(&message, "407 Proxy Authentication Required", "p1", ", qop=\"auth-int\""));
    let again = n.sent();
    assert_eq!((again.cseq(), again.header("Call-ID")), (message.cseq() + 1, message.header("Call-ID")));
    assert_eq!(again.header("From"), message.header("From"));
    assert_ne!(again.header("Via"), message.header("Via"));
    assert!(again.text.ends_with("\r\n\r\nhello"), "{}", again.text);
    check(again.header("Proxy-Authorization"), "MESSAGE", Algorithm::Md5, b"hello");
    n.answer(&again, &reply(&again, "200 OK", &[]));
    assert!(n.told(|e| matches!(e, What::RequestAnswered { status: 200, .. })));

    n.call(|ue, now, out| ue.message(now, BOB, "text/plain", b"more", out).unwrap());
    let next = n.sent();
    let counted = check(next.header("Proxy-Authorization"), "MESSAGE", Algorithm::Md5, b"more");
    assert_eq!(counted, ("p1".to_owned(), Some("00000002".to_owned())));
    n.answer(&next, &challenge(&next, "407 Proxy Authentication Required", "p2", &format!("{QOP}, stale=TRUE")));
    let again = n.sent();
    assert_eq!(check(again.header("Proxy-Authorization"), "MESSAGE", Algorithm::Md5, b"more").0, "p2");
    // Refused though it was fresh: the password is wrong, and nobody is asked for ever.
    n.answer(&again, &challenge(&again, "407 Proxy Authentication Required", "p3", QOP));
    n.quiet();
    assert!(n.told(|e| matches!(e, What::RequestAnswered { status: 407, .. })));
}

#[test]
fn an_invite_is_sent_again_and_its_session_goes_on() {
    let mut n = registered();
    n.call(|ue, now, out| {
        ue.invite(now, BOB, "", out).unwrap();
    });
    let invite = n.sent();
    n.answer(&invite, &challenge(&invite, "407 Proxy Authentication Required", "p1", QOP));
    let ack = n.sent();
    assert!(ack.text.starts_with("ACK "), "{}", ack.text);
    let again = n.sent();
    check(again.header("Proxy-Authorization"), "INVITE", Algorithm::Md5, b"");
    let contact = "Contact: <sip:bob@192.0.2.9>";
    n.answer(&again, &reply(&again, "200 OK", &[contact]));
    let ack = n.sent();
    assert_eq!((ack.text.starts_with("ACK "), ack.cseq()), (true, again.cseq()));
    assert!(n.told(|e| matches!(e, What::DialogConfirmed { .. })));
}

/// With a USIM alone nobody types a password in.
#[test]
fn a_usim_answers_no_question_for_a_password() {
    let mut n = Network::with(|config| config.sec_agree = SecAgreePolicy::Offered);
    n.register();
    let first = n.sent();
    n.answer(&first, &challenge(&first, "401 Unauthorized", "n1", QOP));
    assert!(n.ue.failure().is_some());
}
