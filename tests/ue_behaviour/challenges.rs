use crate::network::{Network, REALM, granted, keys, nonce, reply};
use data_encoding::BASE64;
use imsreg::aka::usim::Usim;
use imsreg::aka::vector::open_auts;
use imsreg::event::What;
use imsreg::ue::UeStatus;

fn bad_mac(text: String, n: &str) -> String {
    let mut octets = BASE64.decode(n.as_bytes()).unwrap();
    octets[31] ^= 1;
    text.replace(n, &BASE64.encode(&octets))
}

/// Lesson 49; TS 24.229 clause 5.1.1.5.3.
#[test]
fn a_wrong_mac_is_told_and_the_next_challenge_answered() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    let good = n.challenge(&first, |text| text);
    let right = nonce(n.vector.as_ref().unwrap());
    n.answer(&first, &bad_mac(good, &right));
    let second = n.sent();
    n.quiet();
    assert!(n.told(|e| matches!(e, What::MacFailure { .. })));
    assert_eq!((second.sa, second.from.port(), second.to.port()), (None, 5060, 5060), "no SA from a bad challenge");
    assert!(n.sets.is_empty());
    assert_eq!(second.credential("response").unwrap(), "");
    assert_eq!(second.credential("auts"), None);
    assert_ne!(second.credential("nonce").unwrap(), "");
    assert_eq!(second.header("Call-ID"), first.header("Call-ID"));
    assert_eq!(second.cseq(), 2);
    for name in ["spi-c", "spi-s", "port-c"] {
        assert_ne!(second.offers()[0][name], first.offers()[0][name], "{name}");
    }
    assert_eq!(second.offers()[0]["port-s"], first.offers()[0]["port-s"]);
    let challenge = n.challenge(&second, |text| text);
    n.answer(&second, &challenge);
    let third = n.sent();
    assert_eq!(third.credential("response").unwrap(), n.expected(&third));
    assert_eq!(third.header("Security-Client"), second.header("Security-Client"));
    n.answer(&third, &granted(&third, 600));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn the_third_wrong_mac_is_not_answered() {
    let mut n = Network::new();
    n.register();
    for _ in 0..3 {
        let m = n.sent();
        let good = n.challenge(&m, |text| text);
        let right = nonce(n.vector.as_ref().unwrap());
        n.answer(&m, &bad_mac(good, &right));
    }
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Failed { status: 401 });
    assert!(n.ue.failure().unwrap().contains("5.1.1.5.3"));
    assert!(n.told(|e| matches!(e, What::GaveUp { status: 401, .. })));
    n.at(100_000.0);
    n.quiet();
}

/// TS 33.102 clause 6.3.5.
#[test]
fn an_old_sqn_is_answered_by_auts() {
    let mut n = Network::with(|c| c.usim = Some(Usim::new(keys(), 0x1000)));
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    assert!(n.told(|e| matches!(e, What::SqnOutOfRange { sqn: 32, sqn_ms: 0x1000, .. })));
    assert_eq!((second.sa, second.from.port()), (None, 5060));
    assert_ne!(second.offers()[0]["spi-s"], first.offers()[0]["spi-s"]);
    let auts: [u8; 14] = BASE64.decode(second.credential("auts").unwrap().as_bytes()).unwrap().try_into().unwrap();
    let rand = n.vector.as_ref().unwrap().rand;
    assert_eq!(open_auts(&keys(), &rand, &auts).unwrap().sqn_ms, 0x1000);
    n.sqn = 0x1020;
    let challenge = n.challenge(&second, |text| text);
    n.answer(&second, &challenge);
    let third = n.sent();
    assert_eq!(third.credential("response").unwrap(), n.expected(&third));
    assert_eq!(n.ue.usim().unwrap().sqn_ms(), 0x1020);
}

/// RFC 3310 clause 3.2 and TS 24.229 clause 5.1.1.5.1: what is no challenge is not answered.
#[test]
fn unusable_challenges_end_the_attempt() {
    for (fault, change) in [
        ("shorter", (|t, n| t.replace(n, &BASE64.encode(&[7; 31]))) as fn(&str, &str) -> String),
        ("base64", |t, n| t.replace(n, "???")),
        ("no nonce", |t, n| t.replace(&format!(" nonce=\"{n}\","), "")),
        ("algorithm", |t, _| t.replace("AKAv1-MD5", "MD5")),
        ("algorithm", |t, _| t.replace(", algorithm=AKAv1-MD5", "")),
        ("qop", |t, _| t.replace("qop=\"auth\"", "qop=\"conf\"")),
        ("scheme Digest", |t, _| t.replace("Digest realm", "Bearer realm")),
        ("no realm", |t, _| t.replace(&format!("realm=\"{REALM}\","), "")),
    ] {
        let mut n = Network::new();
        n.register();
        let first = n.sent();
        let challenge = n.challenge(&first, |text| text);
        let right = nonce(n.vector.as_ref().unwrap());
        n.answer(&first, &change(&challenge, &right));
        n.quiet();
        assert_eq!(n.ue.status(), UeStatus::Waiting, "{fault}");
        assert!(n.ue.failure().unwrap().contains(fault), "{fault}: {}", n.ue.failure().unwrap());
        assert!(n.sets.is_empty());
        n.at(61.0);
        let again = n.sent();
        assert_ne!(again.header("Call-ID"), first.header("Call-ID"));
        assert_ne!(again.offers()[0]["spi-c"], first.offers()[0]["spi-c"]);
        assert_ne!(again.offers()[0]["port-c"], first.offers()[0]["port-c"]);
    }
}

#[test]
fn challenges_may_be_written_in_many_ways() {
    for (what, change) in [
        ("any case", (|t| t.replace("AKAv1-MD5", "\"akaV1-mD5\"")) as fn(String) -> String),
        ("keys that should have gone", |t| {
            t.replace("qop=", "ck=\"000102030405060708090a0b0c0d0e0f\", ik=\"000102030405060708090a0b0c0d0e0f\", qop=")
        }),
        ("auth-int", |t| t.replace("qop=\"auth\"", "qop=\"auth-int\"")),
        ("both", |t| t.replace("qop=\"auth\"", "qop=\"auth-int,auth\"")),
        ("none", |t| t.replace(", qop=\"auth\"", "")),
        ("other realm", |t| t.replace(&format!("realm=\"{REALM}\""), "realm=\"other.example\"")),
        ("opaque", |t| t.replace("qop=", "opaque=\"xyz\", qop=")),
        ("a second one", |t| {
            t.replace("WWW-", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5\r\nWWW-")
        }),
    ] {
        let mut n = Network::new();
        n.register();
        let first = n.sent();
        let challenge = n.challenge(&first, change);
        n.answer(&first, &challenge);
        let second = n.sent();
        assert_eq!(second.credential("response").unwrap(), n.expected(&second), "{what}");
        assert_eq!((second.credential("ck"), second.credential("ik")), (None, None));
        match what {
            "none" => assert_eq!(second.credential("qop").or_else(|| second.credential("cnonce")), None),
            "auth-int" => assert_eq!(second.credential("qop").unwrap(), "auth-int"),
            "both" => assert_eq!(second.credential("qop").unwrap(), "auth"),
            "other realm" => assert_eq!(second.credential("realm").unwrap(), "other.example"),
            "opaque" => assert_eq!(second.credential("opaque").unwrap(), "xyz"),
            _ => {}
        }
    }
}

/// RFC 3261 clause 17.1.2: copies end in the transaction.
#[test]
fn copies_of_a_challenge_are_answered_once() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    for _ in 0..3 {
        n.answer(&first, &challenge);
    }
    let second = n.sent();
    n.quiet();
    for _ in 0..3 {
        n.answer(&second, &granted(&second, 600));
    }
    assert_eq!(n.events.iter().filter(|e| matches!(e, What::Registered { .. })).count(), 1);
    n.quiet();
}

/// Lesson 53: no loop of challenges.
#[test]
fn a_nonce_is_answered_once() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    let lines: Vec<&str> =
        challenge.split("\r\n").filter(|l| l.starts_with("WWW-") || l.starts_with("Security-")).collect();
    n.answer(&second, &reply(&second, "401 Unauthorized", &lines));
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Waiting);
    assert!(n.sets.is_empty());
}

#[test]
fn a_second_challenge_is_answered_a_fourth_is_not() {
    let mut n = Network::new();
    n.register();
    for count in 1..=4 {
        let m = n.sent();
        let challenge = n.challenge(&m, |text| text);
        n.answer(&m, &challenge);
        assert_eq!(n.sets.len(), usize::from(count < 4), "the set of the challenge before has gone");
    }
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Waiting);
}

/// TS 24.229 clause 5.1.1.5.3 with SAs: over the set that is in use, with the Security-Verify that belongs to it.
#[test]
fn an_invalid_challenge_to_a_refresh_is_told_over_the_old_set() {
    let mut n = Network::new().registered(1_200);
    let old = n.only_set().id;
    n.at(600.0);
    let refresh = n.sent();
    let good = n.challenge(&refresh, |t| t.replace("spi-c=5001", "spi-c=9001"));
    let right = nonce(n.vector.as_ref().unwrap());
    n.answer(&refresh, &bad_mac(good, &right));
    let m = n.sent();
    assert_eq!(m.sa.unwrap().set, old);
    assert!(m.header("Security-Verify").contains("spi-c=5001"));
    assert_eq!(m.credential("response").unwrap(), "");
    assert_eq!(n.only_set().id, old);
}

/// TS 24.229 clause 5.1.1.5.3: RAND and AUTN of before are for the USIM to judge.
#[test]
fn a_refresh_challenged_with_the_vector_of_before_is_answered_by_auts() {
    let mut n = Network::new().registered(1_200);
    let (old, used) = (n.only_set().id, nonce(n.vector.as_ref().unwrap()));
    n.at(600.0);
    let refresh = n.sent();
    let challenge = n.challenge(&refresh, |text| text);
    let fresh = nonce(n.vector.as_ref().unwrap());
    n.answer(&refresh, &challenge.replace(&fresh, &used));
    let m = n.sent();
    assert_eq!((m.sa.unwrap().set, m.credential("nonce").unwrap()), (old, used));
    assert!(m.credential("auts").is_some());
    // RFC 2617 clause 3.2.2: it counts all that was sent with the nonce.
    assert_eq!(m.credential("nc").unwrap(), "00000003");
}
