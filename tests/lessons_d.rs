//! Lessons of the field on AKA, Cx and the registrar, each under its number: what went wrong elsewhere and must not here.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{header, headers, status};
use imsreg::aka::digest::Qop;
use imsreg::cx::{AuthItem, CxResult, Mar, Sar, ServerAssignmentType as Assign};
use imsreg::diameter::Avps;
use imsreg::scscf::{ChallengePolicy, ScscfConfig};
use imsreg::time::Duration;
use user::{Challenge, IMPI, Register, TEMPORARY, config, contact, lab_set, nonce, scscf, user_data, vector};

const OTHER_IMPI: &str = "001010000000002@ims.mnc001.mcc001.3gppnetwork.org";
const OTHER_IMPU: &str = "sip:001010000000002@ims.mnc001.mcc001.3gppnetwork.org";

#[test]
fn lesson_44_the_nonce_is_base64_of_rand_and_autn() {
    let mut s = scscf(config());
    let challenge = s.challenge(&Register::initial(), 1);
    let rand_autn = [challenge.vector.rand, challenge.vector.autn].concat();
    assert_eq!(data_encoding::BASE64.decode(challenge.nonce.as_bytes()).unwrap(), rand_autn);
}

#[test]
fn lesson_45_res_is_hashed_as_octets_whatever_they_are() {
    // Among these vectors some hold NUL, CR, LF or a colon in RES; all register.
    let odd = (1..=250).filter(|n| vector(*n).xres.as_slice().iter().any(|b| b"\0\r\n:".contains(b))).count();
    assert!(odd > 5);
    for n in 1..=250 {
        let mut s = scscf(config());
        let first = Register::initial();
        let challenge = s.challenge(&first, n);
        s.register(&first.answering(&challenge));
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        assert_eq!(s.answered(), 200);
    }
}

#[test]
fn lesson_46_the_answer_is_checked_against_the_stored_vector_once() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    // No MAR was sent for the answer, or `registered` would have failed. The same answer again is none: without SA it
    // is a new REGISTER, with another nonce.
    let again = Register { integrity_protected: Some("no"), ..last.next() };
    let challenge = s.challenge(&again, 2);
    assert_ne!(challenge.nonce, s.challenge(&Register { cseq: 9, call_id: "c".into(), ..again }, 3).nonce);
    // And what waits for an answer is bounded in time.
    s.pass(Duration::from_secs(240));
    s.asked();
    assert_eq!(s.element.attempts(), 0);
}

#[test]
fn lesson_47_the_response_is_verified() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let answer = format!("nonce=\"{}\",response=\"00112233445566778899aabbccddeeff\"", challenge.nonce);
    s.register(&Register { answer, ..first.next() });
    assert_eq!(s.answered(), 403);
    assert_eq!(s.element.registrations(), 0);
}

#[test]
fn lesson_48_auts_goes_to_the_hss_with_the_rand_of_its_challenge() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 5);
    let auts = data_encoding::BASE64.encode(b"fourteen octet");
    let answer = format!("nonce=\"{}\",response=\"\",auts=\"{auts}\"", challenge.nonce);
    s.register(&Register { answer, integrity_protected: Some("no"), ..first.next() });
    let request = s.asked();
    assert_eq!(Mar::decode(&request).unwrap().resync, Some(&[&[5; 16][..], b"fourteen octet"].concat()[..]));
}

#[test]
fn lesson_50_only_a_complete_vector_of_the_scheme_asked_for_is_a_challenge() {
    let vector = vector(1);
    let authenticate = [vector.rand, vector.autn].concat();
    let whole = AuthItem {
        scheme: Some("Digest-AKAv1-MD5"),
        authenticate: Some(&authenticate),
        xres: Some(vector.xres.as_slice()),
        ck: Some(&vector.ck.0),
        ik: Some(&vector.ik.0),
        ..AuthItem::default()
    };
    let faulty = [
        vec![],
        vec![AuthItem { authenticate: None, ..whole.clone() }],
        vec![AuthItem { authenticate: Some(&authenticate[..31]), ..whole.clone() }],
        vec![AuthItem { xres: None, ..whole.clone() }],
        vec![AuthItem { ck: None, ..whole.clone() }],
        vec![AuthItem { ik: Some(&[0; 15]), ..whole.clone() }],
        vec![AuthItem { scheme: Some("SIP Digest"), ..whole.clone() }],
    ];
    for items in faulty {
        let mut s = scscf(config());
        s.register(&Register::initial());
        let request = s.asked();
        s.maa(&request, CxResult::SUCCESS, items);
        assert_eq!(s.answered(), 480);
        assert_eq!(s.element.attempts(), 0);
    }
}

#[test]
fn lesson_51_a_nonce_serves_only_the_identities_it_was_made_for() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let right = first.answering(&challenge);
    // Another user name and To, with the right answer of the first user: no challenge of theirs is open.
    s.register(&Register { impi: OTHER_IMPI.into(), impu: OTHER_IMPU.into(), ..right.clone() });
    assert_eq!(s.answered(), 500);
    s.register(&Register { impu: OTHER_IMPU.into(), ..right.clone() });
    assert_eq!(s.answered(), 500);
    // Without SA they are challenged for themselves, and that nonce is their own.
    let other = Register { impi: OTHER_IMPI.into(), impu: OTHER_IMPU.into(), integrity_protected: Some("no"), ..right };
    s.register(&other);
    let request = s.asked();
    assert_eq!(Mar::decode(&request).unwrap().impi, OTHER_IMPI);
    s.give_vector_to(&request, 2);
    let text = s.sent().text;
    assert_eq!(status(&text), 401);
    let theirs = Challenge { nonce: nonce(&text), vector: vector(2) };
    // Two open challenges: each answer under the other's name is refused.
    s.register(&Register { answer: theirs.answer(IMPI, None), ..first.next() });
    assert_eq!(s.answered(), 403);
    s.register(&Register { answer: challenge.answer(OTHER_IMPI, None), cseq: 9, ..other });
    assert_eq!(s.answered(), 403);
    assert_eq!(s.element.registrations(), 0);
}

#[test]
fn lesson_52_a_protected_register_counts_for_the_impi_that_registered() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    // Over his own SA another user names our subscriber's public identity.
    for expires in [0, 600_000] {
        let theft = Register {
            impi: OTHER_IMPI.into(),
            call_id: format!("theft-{expires}"),
            expires: Some(expires),
            ..last.next()
        };
        s.register(&theft);
        assert_eq!(s.answered(), 500);
    }
    s.quiet();
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn lesson_53_a_nonce_used_again_with_a_higher_count_makes_no_loop() {
    for policy in [ChallengePolicy::Never, ChallengePolicy::Always] {
        let mut s = scscf(ScscfConfig { challenge: policy, qop: Some("auth".into()), ..config() });
        let first = Register::initial();
        let challenge = s.challenge(&first, 1);
        let qop = |nc| Some(Qop { auth_int: false, nc, cnonce: "doubango" });
        let second = Register { answer: challenge.answer(IMPI, qop("00000001")), ..first.next() };
        s.register(&second);
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        assert_eq!(s.answered(), 200);
        let mut leave = Register { answer: challenge.answer(IMPI, qop("00000002")), expires: Some(0), ..second.next() };
        s.register(&leave);
        match policy {
            ChallengePolicy::Never => assert_eq!(s.answered(), 200),
            _ => {
                s.give_vector(2);
                assert_eq!(s.answered(), 401);
                // A client that clings to the old nonce is told so, not challenged for ever.
                leave = leave.next();
                s.register(&leave);
                assert_eq!(s.answered(), 403);
                s.quiet();
                let challenge = Challenge { nonce: nonce_of(2), vector: vector(2) };
                s.register(&Register { answer: challenge.answer(IMPI, qop("00000001")), ..leave.next() });
                assert_eq!(s.answered(), 200);
            }
        }
        assert_eq!(s.element.registrations(), 0);
    }
}

#[test]
fn lesson_54_to_must_be_an_identity_of_the_user() {
    // The HSS is asked for exactly the pair, and its word counts.
    let mut s = scscf(config());
    s.register(&Register { impu: OTHER_IMPU.into(), ..Register::initial() });
    let request = s.asked();
    let mar = Mar::decode(&request).unwrap();
    assert_eq!((mar.impi, mar.impu), (IMPI, OTHER_IMPU));
    s.maa(&request, CxResult::IDENTITIES_DONT_MATCH, Vec::new());
    assert_eq!(s.answered(), 403);
    // So does the set that it returns.
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&user_data(&[(OTHER_IMPU, false)])));
    s.asked();
    assert_eq!(s.answered(), 403);
}

#[test]
fn lesson_55_mar_and_sar_name_user_server_and_scheme() {
    let mut s = scscf(config());
    let first = Register::initial();
    s.register(&first);
    let request = s.asked();
    for (code, vendor) in [(1, 0), (601, 10_415), (602, 10_415), (607, 10_415), (612, 10_415)] {
        assert!(Avps::of(&request).find(code, vendor).is_some(), "MAR lacks {code}");
    }
    s.give_vector_to(&request, 1);
    let challenge = Challenge { nonce: nonce(&s.sent().text), vector: vector(1) };
    s.register(&first.answering(&challenge));
    let request = s.asked();
    for (code, vendor) in [(1, 0), (601, 10_415), (602, 10_415), (614, 10_415), (624, 10_415)] {
        assert!(Avps::of(&request).find(code, vendor).is_some(), "SAR lacks {code}");
    }
}

#[test]
fn lesson_56_public_identity_is_the_bare_uri_of_to() {
    let mut s = scscf(config());
    let text =
        Register::initial().text().replace(&format!("To: <{TEMPORARY}>"), &format!("t: \"UE\" <{TEMPORARY};x=y>;z"));
    s.sip(user::ICSCF, &text);
    let request = s.asked();
    assert_eq!(Mar::decode(&request).unwrap().impu, TEMPORARY);
}

#[test]
fn lesson_57_result_code_and_experimental_result_are_two_things() {
    // 5001 as a Result-Code is "AVP unsupported": no verdict on the user.
    for (result, expected) in [(CxResult::Experimental(5001), 403), (CxResult::Base(5001), 480)] {
        let mut s = scscf(config());
        s.register(&Register::initial());
        let request = s.asked();
        s.maa(&request, result, Vec::new());
        assert_eq!(s.answered(), expected);
    }
}

#[test]
fn lesson_65_the_200_states_what_was_granted() {
    let mut s = scscf(ScscfConfig { max_expires: Duration::from_secs(900), ..config() });
    let (_, text) = s.registered();
    assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', ">;expires=900", 1));
}

#[test]
fn lesson_66_a_fault_in_one_contact_leaves_all_as_they_were() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let contacts = vec![contact(31_001), format!("{};expires=1", contact(31_002))];
    s.register(&Register { contacts, ..last.next() });
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "Min-Expires")), (423, "60"));
    let star = vec!["*".to_owned(), contact(31_001)];
    s.register(&Register { contacts: star, expires: Some(0), cseq: 9, ..last.clone() });
    assert_eq!(s.answered(), 400);
    s.register(&Register { contacts: Vec::new(), expires: None, cseq: 10, ..last });
    let text = s.sent().text;
    assert_eq!(headers(&text, "Contact").count(), 1);
}

#[test]
fn lesson_67_a_ue_that_comes_back_elsewhere_replaces_its_binding() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let back = Register {
        contacts: vec![contact(31_077)],
        call_id: "call-9@ue".into(),
        cseq: 1,
        integrity_protected: Some("no"),
        answer: "nonce=\"\",response=\"\"".into(),
        ..last
    };
    let challenge = s.challenge(&back, 2);
    s.register(&back.answering(&challenge));
    assert!(s.assign_again());
    let text = s.sent().text;
    assert_eq!(headers(&text, "Contact").count(), 1);
    assert!(header(&text, "Contact").contains(":31077>"));
}

#[test]
fn lesson_68_the_path_comes_back_in_the_200() {
    let mut s = scscf(config());
    let mut first = Register::initial();
    first.path = "<sip:a@edge.example;lr>, <sip:b@pcscf.example;lr>".into();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(header(&s.sent().text, "Path"), first.path);
}

#[test]
fn lesson_69_the_set_is_found_by_any_of_its_identities_in_any_spelling() {
    let mut s = scscf(config());
    let (mut last, _) = s.registered();
    for (n, impu) in
        ["tel:+999-123-45", "sip:+%399912345@ims.MNC001.mcc001.3gppnetwork.org", TEMPORARY].iter().enumerate()
    {
        last = Register { impu: (*impu).into(), call_id: format!("call-{n}"), ..last.next() };
        s.register(&last);
        assert!(s.assign_again(), "{impu}");
        assert_eq!(s.answered(), 200);
    }
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn lesson_70_the_end_of_a_registration_leaves_no_routes() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.register(&Register { expires: Some(0), ..last.next() });
    let text = s.sent().text;
    for name in ["Service-Route", "P-Associated-URI", "Path"] {
        assert_eq!(headers(&text, name).count(), 0, "{name}");
    }
}

#[test]
fn no_key_and_no_whole_identity_reaches_an_event_or_debug() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let pending = format!("{:?}", s.element);
    s.register(&Register { answer: challenge.answer("x", None), ..first.next() });
    s.asked();
    assert_eq!(s.answered(), 403);
    let told = format!("{:?}{pending}", s.events());
    assert!(!told.contains(IMPI) && !told.contains(format!("{:?}", IMPI.as_bytes()).trim_matches(['[', ']'])));
    let keys = &challenge.vector;
    for secret in [keys.xres.as_slice(), &keys.ck.0, &keys.ik.0] {
        let octets = format!("{secret:?}");
        assert!(!told.contains(&*data_encoding::HEXLOWER.encode(secret)));
        assert!(!told.contains(octets.trim_matches(['[', ']'])), "{octets}");
    }
}

#[test]
fn lesson_73_an_identity_with_a_domain_gets_no_second_one() {
    let mut s = scscf(config());
    s.sip(user::ICSCF, &Register::initial().text().replace("Authorization: Digest", "X-Other: Digest"));
    let request = s.asked();
    let mar = Mar::decode(&request).unwrap();
    assert_eq!((mar.impi, mar.impu), (IMPI, TEMPORARY));
}

#[test]
fn the_type_of_an_assignment_names_one_identity() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.register(&last.next());
    let request = s.asked();
    assert_eq!(Sar::decode(&request).unwrap().impus, [TEMPORARY]);
}

/// The nonce of this vector.
fn nonce_of(n: u8) -> String {
    let vector = vector(n);
    data_encoding::BASE64.encode(&[vector.rand, vector.autn].concat())
}
