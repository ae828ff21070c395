//! Responses that were refused (diagnoses 1.1).

use crate::kit::*;
use crate::trace::{Trace, change, lab_keys, set};
use data_encoding::HEXLOWER;
use imsreg::aka::digest::{Algorithm, Inputs, Secret, response};
use imsreg::cx::{Maa, Mar};
use imsreg::diagnose::Certainty;
use imsreg::sip::Message;
use imsreg::trace::{Protection, Seen};

/// The UE answers with what `made` makes of RES and the texts of its Authorization; the answer is refused.
fn responding(trace: Trace, rand: [u8; 16], made: impl Fn(&[u8], Inputs<'_>) -> String) -> Trace {
    let trace = with_vector(trace, &lab_keys(), rand, 64);
    let res = lab_keys().outputs(&rand).res.as_slice().to_vec();
    let made = |value: &str| {
        let text = format!("Authorization: {value}");
        let field = |name: &str| {
            let at = text.find(&format!("{name}=\"")).map(|at| at + name.len() + 2).expect("a parameter");
            text[at..].split('"').next().expect("its end").to_owned()
        };
        let (username, realm, nonce, uri) = (field("username"), field("realm"), field("nonce"), field("uri"));
        let inputs = Inputs {
            algorithm: Algorithm::AkaV1Md5,
            username: &username,
            realm: &realm,
            nonce: &nonce,
            uri: &uri,
            method: "REGISTER",
            qop: None,
            body: b"",
        };
        let value: String = value.split(',').filter(|part| !is_of_qop(part)).collect::<Vec<_>>().join(",");
        set(&value, "response", &made(&res, inputs))
    };
    refused(answered(trace, made), 2, "403 Forbidden")
}

fn is_of_qop(part: &str) -> bool {
    ["qop=", "nc=", "cnonce="].iter().any(|name| part.trim().starts_with(name))
}

fn right(res: &[u8], inputs: Inputs<'_>) -> String {
    response(&inputs, Secret::Password(res)).as_str().to_owned()
}

/// A RAND whose RES has an octet of zero that is not its first.
fn rand_with_a_zero() -> ([u8; 16], usize) {
    (0_u32..)
        .find_map(|number| {
            let mut rand = [3; 16];
            rand[..4].copy_from_slice(&number.to_be_bytes());
            let res = lab_keys().outputs(&rand).res;
            let at = res.as_slice().iter().position(|octet| *octet == 0).filter(|at| *at > 0)?;
            Some((rand, at))
        })
        .expect("one in some dozens has")
}

#[test]
fn res_that_ends_at_a_zero() {
    let (rand, at) = rand_with_a_zero();
    let cut = responding(first().gm(), rand, |res, inputs| right(&res[..at], inputs));
    with_lab_keys(&cut).caused_by("DIAG-RES-BINARY", Certainty::Certain, "RES cut");
    // The UE is right, and the S-CSCF is not.
    let whole = responding(first().gm(), rand, right);
    with_lab_keys(&whole).caused_by("DIAG-RES-BINARY", Certainty::Likely, "XRES as octets");
    with_lab_keys(&responding(first().gm(), [9; 16], right)).not_by("DIAG-RES-BINARY");
    with_lab_keys(&responding(first().gm(), rand, |_, inputs| right(b"other", inputs))).not_by("DIAG-RES-BINARY");
}

#[test]
fn res_in_another_variant() {
    let hex = responding(first().gm(), [9; 16], |res, inputs| right(HEXLOWER.encode(res).as_bytes(), inputs));
    with_lab_keys(&hex).caused_by("DIAG-AKA-VARIANT", Certainty::Certain, "hexadecimal");
    let out = lab_keys().outputs(&[9; 16]);
    let second = responding(first().gm(), [9; 16], |res, inputs| {
        let secret = Secret::Aka { res, ik: &out.ik.0, ck: &out.ck.0 };
        response(&Inputs { algorithm: Algorithm::AkaV2Md5, ..inputs }, secret).as_str().to_owned()
    });
    with_lab_keys(&second).caused_by("DIAG-AKA-VARIANT", Certainty::Certain, "AKAv2-MD5");
    with_lab_keys(&responding(first().gm(), [9; 16], right)).not_by("DIAG-AKA-VARIANT");
    diagnosed(&hex).not_by("DIAG-AKA-VARIANT");
}

#[test]
fn a_response_of_nothing_known() {
    let wrong = responding(first().gm(), [9; 16], |_, inputs| right(b"something", inputs));
    // -sess over a cnonce that was not sent remains.
    with_lab_keys(&wrong).caused_by("DIAG-RES", Certainty::Likely, "-sess takes a cnonce, and Authorization has none");
    let told = answered(wrong.clone(), |value| format!("{value},cnonce=\"0a4f\""));
    with_lab_keys(&told).caused_by("DIAG-RES", Certainty::Certain, "qop, -sess, AKAv2");
    diagnosed(&wrong).caused_by("DIAG-RES", Certainty::Possible, "--opc");
    with_lab_keys(&responding(first().gm(), [9; 16], right)).not_by("DIAG-RES");
}

#[test]
fn a_right_response_that_is_refused_out_of_sight() {
    let right_one = || responding(first().gm(), [9; 16], right);
    with_lab_keys(&right_one()).caused_by("DIAG-IP-MARK", Certainty::Possible, "nothing of Mw and Cx");
    // Who sees what is behind the P-CSCF, or knows no keys, says something else.
    with_lab_keys(&responding(first(), [9; 16], right)).not_by("DIAG-IP-MARK");
    diagnosed(&right_one()).not_by("DIAG-IP-MARK");
    with_lab_keys(&right_one().in_clear(crate::trace::is_second)).not_by("DIAG-IP-MARK");
    let named =
        |phrase| right_one().edit(|text| text.contains("403 Forbidden"), move |text| text.replace("Forbidden", phrase));
    with_lab_keys(&named("Can't register to QoS for signalling")).caused_by("DIAG-QOS", Certainty::Likely, "QoS");
    with_lab_keys(&named("Can't register to QoS for signalling")).not_by("DIAG-IP-MARK");
}

#[test]
fn xres_of_the_hss_does_as_well_as_keys() {
    let wrong = answered(first(), |value| set(value, "response", "00112233445566778899aabbccddeeff"));
    diagnosed(&refused(wrong, 2, "403 Forbidden")).caused_by("DIAG-RES", Certainty::Certain, "no variant");
}

#[test]
fn xres_that_does_not_follow_from_k() {
    let other = first().rewritten(Mar::COMMAND, false, |bytes, w| {
        let mut maa = Maa::decode(bytes).expect("an MAA");
        maa.items[0].xres = Some(b"otherres");
        maa.encode(w);
    });
    with_lab_keys(&refused(other, 2, "403 Forbidden")).caused_by("DIAG-RES", Certainty::Certain, "another XRES");
    with_lab_keys(&refused(first(), 2, "403 Forbidden")).not_by("DIAG-RES");
}

#[test]
fn a_nonce_that_nobody_sent() {
    let other = answered(first(), |value| set(value, "nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    let diagnosis = with_lab_keys(&refused(other, 2, "403 Forbidden"));
    diagnosis.caused_by("DIAG-OTHER", Certainty::Possible, "AK-09");
    for name in ["DIAG-AKA-VARIANT", "DIAG-RES", "DIAG-NONCE-REUSE"] {
        diagnosis.not_by(name);
    }
}

#[test]
fn a_nonce_of_before() {
    let twice = |trace: Trace| {
        let nonce = trace.sightings.iter().find_map(|sighting| match &sighting.seen {
            Seen::Message(message) => {
                let sip = Message::parse(&message.bytes).ok().filter(|sip| sip.status() == Some(401))?;
                Some(sip.challenges().ok()?.first()?.nonce?.to_owned())
            }
            _ => None,
        });
        let nonce = nonce.expect("a challenge");
        trace.edit(
            |text| text.starts_with("SIP/2.0 401 ") || text.starts_with("REGISTER ") && text.contains("nonce="),
            |text| {
                let text = change(text, "WWW-Authenticate", |value| set(value, "nonce", &nonce));
                change(&text, "Authorization", |value| set(value, "nonce", &nonce))
            },
        )
    };
    let again = twice(Trace::of("re-authentication").gm());
    diagnosed(&again).remarks("DIAG-NONCE-REUSE", "the RAND of before");
    let last = again.sightings.len();
    let cseq = (1..20)
        .rfind(|cseq| {
            let line = format!("CSeq: {cseq} REGISTER");
            again.sightings[..last].iter().any(|sighting| match &sighting.seen {
                Seen::Message(message) => {
                    let text = String::from_utf8_lossy(&message.bytes);
                    text.starts_with("SIP/2.0 200 ") && text.contains(&line)
                }
                _ => false,
            })
        })
        .expect("a REGISTER that was granted");
    diagnosed(&refused(again, cseq, "403 Forbidden")).caused_by(
        "DIAG-NONCE-REUSE",
        Certainty::Certain,
        "the RAND of before",
    );
    let sound = refused(Trace::of("re-authentication").gm(), cseq, "403 Forbidden");
    diagnosed(&sound).not_by("DIAG-NONCE-REUSE");
}

#[test]
fn a_register_that_is_marked_wrong() {
    let marked = |from: &'static str, to: &'static str| {
        first().edit(
            move |text| text.starts_with("REGISTER ") && text.contains("CSeq: 2 REGISTER") && text.contains(from),
            move |text| text.replace(from, to),
        )
    };
    let unmarked = marked("integrity-protected=\"yes\"", "integrity-protected=\"no\"");
    diagnosed(&refused(unmarked, 2, "403 Forbidden")).caused_by("DIAG-IP-MARK", Certainty::Certain, "no");
    diagnosed(&refused(first(), 2, "403 Forbidden")).not_by("DIAG-IP-MARK");
    // Where ESP is off on purpose, the ports tell what counts as protected.
    let unmarked = || {
        let mut trace =
            refused(marked("integrity-protected=\"yes\"", "integrity-protected=\"no\""), 2, "403 Forbidden");
        for sighting in &mut trace.sightings {
            if let Seen::Message(message) = &mut sighting.seen {
                message.protection = Protection::Clear;
            }
        }
        trace
    };
    let judge = imsreg::validate::Context { esp_is_off: true, ..imsreg::validate::Context::default() };
    let told = imsreg::diagnose::Context { judge, ..imsreg::diagnose::Context::default() };
    diagnosed_in(&unmarked(), &told).caused_by("DIAG-IP-MARK", Certainty::Certain, "no");
    diagnosed(&unmarked()).not_by("DIAG-IP-MARK");
}
