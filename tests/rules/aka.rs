//! Rules AK-01 to AK-14.

use crate::trace::{Trace, change, cut, is_first, is_register_of_ue, is_second, lab_keys, set, to_ue};
use data_encoding::BASE64;
use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Opc};
use imsreg::time::Duration;
use imsreg::trace::Seen;
use imsreg::validate::{Context, Finding, Verdict};

fn first() -> Trace {
    Trace::of("first-registration")
}

fn challenged(with: impl Fn(&str) -> String) -> Trace {
    first().gm().edit(to_ue("401"), move |text| change(text, "WWW-Authenticate", &with))
}

fn answered(with: impl Fn(&str) -> String) -> Trace {
    first().edit(is_second, move |text| change(text, "Authorization", &with))
}

fn unanswered() -> Trace {
    first().gm().without(|text| is_register_of_ue(text) && !is_first(text) || to_ue("200")(text))
}

/// Digest without AKA and without SAs.
fn plain() -> Trace {
    first().edit(
        |_| true,
        |text| {
            let names = ["Security-Client", "Security-Server", "Security-Verify", "Proxy-Require"];
            names.iter().fold(text.to_owned(), |text, name| cut(&text, name)).replace("AKAv1-MD5", "MD5")
        },
    )
}

/// The challenge asks for AKAv2, and the answer is right: IK and CK of the MAA are in its password.
fn answers_in_akav2() -> Trace {
    let second = |value: &str| value.replace("AKAv1-MD5", "AKAv2-MD5");
    let trace = first().edit(
        |text| text.contains("AKAv1-MD5"),
        |text| change(&change(text, "WWW-Authenticate", second), "Authorization", second),
    );
    let right = |value: &str| {
        let part = |name: &str| {
            let at = value.find(&format!("{name}=")).expect("a parameter") + name.len() + 1;
            value[at..].split(',').next().expect("its value").trim_matches('"').to_owned()
        };
        let (nonce, nc, cnonce) = (part("nonce"), part("nc"), part("cnonce"));
        let rand: [u8; 16] = BASE64.decode(nonce.as_bytes()).expect("base64")[..16].try_into().expect("RAND");
        let out = lab_keys().outputs(&rand);
        let inputs = Inputs {
            algorithm: Algorithm::AkaV2Md5,
            username: &part("username"),
            realm: &part("realm"),
            nonce: &nonce,
            uri: &part("uri"),
            method: "REGISTER",
            qop: Some(Qop { auth_int: false, nc: &nc, cnonce: &cnonce }),
            body: b"",
        };
        let secret = Secret::Aka { res: out.res.as_slice(), ik: &out.ik.0, ck: &out.ck.0 };
        set(value, "response", response(&inputs, secret).as_str())
    };
    let of_second = |text: &str| text.starts_with("REGISTER ") && text.contains("\r\nCSeq: 2 REGISTER\r\n");
    trace.edit(of_second, |text| change(text, "Authorization", right))
}

/// The UE refuses the challenge, as it should: outside SAs, with new SPIs and port-c.
fn refusing(with: impl Fn(&str) -> String) -> Trace {
    let trace = answered(with).gm().in_clear(is_second);
    trace.edit(is_second, |text| {
        change(&cut(text, "Security-Verify"), "Security-Client", |value| {
            value.replace("spi-c=", "spi-c=1").replace("spi-s=", "spi-s=1").replace("port-c=3", "port-c=4")
        })
    })
}

/// Judged with the keys of the lab, or with others.
pub(crate) fn with_keys(trace: &Trace, id: &str, keys: &SubscriberKeys) -> Vec<Finding> {
    let keys_of = |_: &str| Some(keys);
    trace.findings_with(id, &Context { keys: Some(&keys_of), ..Context::default() })
}

#[test]
fn ak_01() {
    first().passes("AK-01");
    challenged(|value| value.replace("AKAv1-MD5", "MD5")).fails("AK-01", "MD5");
    challenged(|value| set(value, "nonce", "!")).fails("AK-01", "base64");
    challenged(|value| set(value, "realm", "")).fails("AK-01", "a realm");
    first().gm().without(|text| text.starts_with("SIP/2.0")).is_not_observable("AK-01");
    plain().is_not_applicable("AK-01");
}

#[test]
fn ak_02() {
    first().passes("AK-02");
    challenged(|value| set(value, "nonce", "AAAA")).fails("AK-02", "3 octets");
    first().gm().without(|text| text.starts_with("SIP/2.0")).is_not_observable("AK-02");
    plain().is_not_applicable("AK-02");
}

#[test]
fn ak_03() {
    first().passes("AK-03");
    answered(|value| set(value, "response", "00112233445566778899aabbccddeeff")).fails("AK-03", "AKAv1-MD5");
    answers_in_akav2().passes("AK-03");
    first().gm().is_not_observable("AK-03");
    assert_eq!(with_keys(&first().gm(), "AK-03", &lab_keys())[0].verdict, Verdict::Pass);
    plain().is_not_applicable("AK-03");
}

#[test]
fn ak_04() {
    let empty = |value: &str| set(value, "response", "");
    refusing(empty).passes("AK-04");
    answered(empty).fails("AK-04", "over them");
    answered(empty).gm().in_clear(is_second).fails("AK-04", "spi-c, spi-s, port-c as before");
    let other = SubscriberKeys::Milenage { k: K([1; 16]), opc: Opc([2; 16]) };
    let believed = with_keys(&first().gm(), "AK-04", &other);
    assert_eq!((believed[0].verdict, &*believed[0].found), (Verdict::Fail, "a response"));
    unanswered().is_not_observable("AK-04");
    first().is_not_applicable("AK-04");
}

#[test]
fn ak_05_and_07() {
    let auts = |auts: &'static str| move |value: &str| format!("{},auts=\"{auts}\"", set(value, "response", ""));
    let good = "AAECAwQFBgcICQoLDA0=";
    refusing(auts(good)).passes("AK-05");
    refusing(auts("AAEC")).fails("AK-05", "3 octets");
    unanswered().is_not_observable("AK-05");
    first().is_not_applicable("AK-05");
    refusing(auts(good)).is_not_observable("AK-07");
    assert_eq!(with_keys(&refusing(auts(good)), "AK-07", &lab_keys())[0].verdict, Verdict::Fail);
    first().is_not_applicable("AK-07");
}

#[test]
fn ak_06() {
    first().is_not_applicable("AK-06");
}

#[test]
fn ak_08() {
    let empty = |value: &str| set(value, "response", "");
    refusing(empty).passes("AK-08");
    first().is_not_applicable("AK-08");
}

#[test]
fn ak_09() {
    first().passes("AK-09");
    answered(|value| set(value, "nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")).fails("AK-09", "AAAAAAAA");
    challenged(|value| format!("{value},opaque=\"x\"")).fails("AK-09", "opaque x");
    answered(|value| value.replace("nc=00000001", "nc=1")).fails("AK-09", "nc=1");
    unanswered().is_not_observable("AK-09");
    // RFC 3261 clause 22.4: of several challenges one is answered.
    let other = "Digest realm=\"other\",nonce=\"abc\",opaque=\"y\",algorithm=MD5";
    for id in ["AK-01", "AK-02", "AK-03", "AK-09"] {
        let with = |trace: Trace| with_keys(&trace, id, &lab_keys())[0].verdict;
        assert_eq!(with(challenged(|value| format!("{other}\r\nWWW-Authenticate: {value}"))), Verdict::Pass, "{id}");
        assert_eq!(with(challenged(|value| format!("{value}\r\nWWW-Authenticate: {other}"))), Verdict::Pass, "{id}");
    }
    let last = |value: &str| format!("{other}\r\nWWW-Authenticate: {value},opaque=\"x\"");
    challenged(last).fails("AK-09", "opaque x");
    let by_password = |value: &str| set(&value.replace("AKAv1-MD5", "MD5"), "nonce", "abc");
    let answering = challenged(|value| format!("{value}\r\nWWW-Authenticate: {other}"))
        .edit(is_second, |text| change(text, "Authorization", by_password));
    answering.fails("AK-09", "opaque y");
    first().gm().without(|text| !is_first(text)).is_not_applicable("AK-09");
}

#[test]
fn ak_10() {
    first().passes("AK-10");
    answered(|value| set(value, "username", "somebody@else")).fails("AK-10", "somebody@else");
    unanswered().is_not_observable("AK-10");
    first().edit(is_register_of_ue, |text| cut(text, "Authorization")).is_not_applicable("AK-10");
}

/// The nonces of the challenges in the opposite order.
fn reversed_challenges(trace: Trace) -> Trace {
    let nonce_of = |text: &str| {
        let at = text.find("nonce=\"").expect("a nonce") + 7;
        text[at..].split('"').next().expect("its end").to_owned()
    };
    let mut nonces = Vec::new();
    for sighting in &trace.sightings {
        if let Seen::Message(message) = &sighting.seen
            && let text = String::from_utf8_lossy(&message.bytes)
            && to_ue("401")(&text)
            && !nonces.contains(&nonce_of(&text))
        {
            nonces.push(nonce_of(&text));
        }
    }
    trace.edit(to_ue("401"), |text| {
        let own = nonce_of(text);
        let at = nonces.iter().rev().position(|nonce| *nonce == own).expect("one of them");
        change(text, "WWW-Authenticate", |value| set(value, "nonce", &nonces[at]))
    })
}

#[test]
fn ak_11() {
    Trace::of("re-authentication").passes("AK-11");
    let nonce = "nonce=\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"";
    let again = Trace::of("re-authentication").edit(to_ue("401"), |text| {
        change(text, "WWW-Authenticate", |value| set(value, "nonce", &nonce[7..nonce.len() - 1]))
    });
    again.fails("AK-11", "that of before");
    first().is_not_observable("AK-11");
    // SQN goes down where the USIM asked for it (TS 33.102 clause 6.3.5), and nowhere else.
    let keys = lab_keys();
    let down = reversed_challenges(Trace::of("re-authentication").gm());
    assert_eq!(with_keys(&down, "AK-11", &keys)[0].verdict, Verdict::Fail);
    let asked = |text: &str| is_register_of_ue(text) && !is_first(text) && !is_second(text);
    let synchronised = down
        .edit(asked, |text| change(text, "Authorization", |value| format!("{value},auts=\"AAAAAAAAAAAAAAAAAAA=\"")));
    assert_ne!(with_keys(&synchronised, "AK-11", &keys)[0].verdict, Verdict::Fail);
    plain().is_not_applicable("AK-11");
}

#[test]
fn ak_12() {
    first().passes("AK-12");
    let mut late = first().gm();
    let challenged = late
        .sightings
        .iter()
        .position(|s| matches!(&s.seen, Seen::Message(m) if m.bytes.starts_with(b"SIP/2.0 401")))
        .unwrap();
    for sighting in &mut late.sightings[challenged + 1..] {
        sighting.at = sighting.at.map(|at| at + Duration::from_secs(300));
    }
    late.fails("AK-12", "200 after 300 s");
    unanswered().is_not_observable("AK-12");
    first().gm().without(|text| !is_first(text)).is_not_applicable("AK-12");
}

#[test]
fn ak_13() {
    Trace::of("refresh").passes("AK-13");
    let third = |text: &str| is_register_of_ue(text) && text.contains("\r\nCSeq: 3 REGISTER\r\n");
    Trace::of("refresh")
        .edit(third, |text| change(text, "Authorization", |value| set(value, "nonce", "")))
        .fails("AK-13", "an empty one");
    first().is_not_applicable("AK-13");
}

#[test]
fn ak_14() {
    assert_eq!(with_keys(&first(), "AK-14", &lab_keys())[0].verdict, Verdict::Pass);
    let other = SubscriberKeys::Milenage { k: K([1; 16]), opc: Opc([2; 16]) };
    assert_eq!(with_keys(&first(), "AK-14", &other)[0].verdict, Verdict::Fail);
    first().is_not_observable("AK-14");
    plain().is_not_applicable("AK-14");
}
