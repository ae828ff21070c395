//! The S-CSCF as registrar and authenticator (TS 24.229 clause 5.4.1), between a scripted HSS and a scripted I-CSCF.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{header, headers, status};
use imsreg::aka::digest::{Algorithm, Qop};
use imsreg::cx::{AuthItem, CxResult, Mar, Sar, ServerAssignmentType as Assign};
use imsreg::event::What;
use imsreg::scscf::{ChallengePolicy, SarAtRefresh, ScscfConfig};
use imsreg::time::Duration;
use user::{IMPI, Register, TEMPORARY, config, contact, lab_set, nonce, scscf, user_data, vector};

const DEFAULT: &str = "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org";

#[test]
fn a_registration_from_the_first_register_to_the_200() {
    let mut s = scscf(config());
    let first = Register::initial();
    s.register(&first);

    let request = s.asked();
    let mar = Mar::decode(&request).unwrap();
    assert_eq!((mar.impi, mar.impu, mar.items, mar.scheme), (IMPI, TEMPORARY, 1, "Digest-AKAv1-MD5"));
    assert_eq!((mar.resync, mar.server_name), (None, &*config().name));
    assert_eq!(mar.envelope.destination_host, None);
    s.quiet();
    s.give_vector_to(&request, 1);

    let text = s.sent().text;
    assert_eq!(status(&text), 401);
    let ck = data_encoding::HEXLOWER.encode(&vector(1).ck.0);
    let ik = data_encoding::HEXLOWER.encode(&vector(1).ik.0);
    let nonce = nonce(&text);
    assert_eq!(
        header(&text, "WWW-Authenticate"),
        format!("Digest realm=\"{}\",nonce=\"{nonce}\",algorithm=AKAv1-MD5,ck=\"{ck}\",ik=\"{ik}\"", driver::REALM)
    );
    assert_eq!(headers(&text, "Via").count(), 2);
    assert!(header(&text, "To").starts_with(&format!("<{TEMPORARY}>;tag=")));
    assert_eq!((header(&text, "Call-ID"), header(&text, "CSeq")), ("call-1@ue", "1 REGISTER"));
    let challenge = user::Challenge { nonce, vector: vector(1) };

    s.register(&first.answering(&challenge));
    let request = s.asked();
    let sar = Sar::decode(&request).unwrap();
    assert_eq!((sar.impi, sar.impus, sar.assignment), (Some(IMPI), vec![TEMPORARY], Assign::Registration));
    assert!(!sar.user_data_already_available);
    assert_eq!(sar.envelope.destination_host, Some("hss.example"));
    s.quiet();

    let mut s = scscf(config());
    let (_, text) = s.registered();
    assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', ">;expires=600000", 1));
    assert_eq!(header(&text, "Path"), first.path);
    assert_eq!(header(&text, "P-Associated-URI"), format!("<{DEFAULT}>, <tel:+99912345>"));
    let route = header(&text, "Service-Route");
    assert!(route.starts_with("<sip:o") && route.ends_with(&format!("@scscf.{}:6060;lr>", driver::REALM)), "{route}");
    assert_eq!(
        header(&text, "P-Charging-Vector"),
        "icid-value=\"icid-1\";orig-ioi=\"Type 1visited1.net\";term-ioi=\"home1.net\""
    );
    assert_eq!(header(&text, "P-Charging-Function-Addresses"), "ccf=\"aaa://ccf.example\"");
    assert_eq!((s.element.registrations(), s.element.attempts()), (1, 0));
    let names: Vec<&str> = s
        .events()
        .iter()
        .map(|e| match e {
            What::Challenged { .. } => "challenged",
            What::ResponseVerified { .. } => "verified",
            What::Registered { impu, expires, .. } => {
                assert_eq!((impu.as_str(), expires.as_secs()), (DEFAULT, 600_000));
                "registered"
            }
            _ => "",
        })
        .filter(|name| !name.is_empty())
        .collect();
    assert_eq!(names, ["challenged", "verified", "registered"]);
}

#[test]
fn a_profile_may_add_headers_to_the_200() {
    let extra_headers_in_200 = vec![("Accept-Resource-Priority".into(), "wps.4".into())];
    let mut s = scscf(ScscfConfig { extra_headers_in_200, ..config() });
    let (_, text) = s.registered();
    assert_eq!(header(&text, "Accept-Resource-Priority"), "wps.4");
}

#[test]
fn charging_addresses_stay_in_the_home_network() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let text = first
        .answering(&challenge)
        .text()
        .replace(&format!("P-Visited-Network-ID: {}", driver::REALM), "P-Visited-Network-ID: \"other.example\"");
    s.sip(user::ICSCF, &text);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    let text = s.sent().text;
    assert_eq!((status(&text), headers(&text, "P-Charging-Function-Addresses").count()), (200, 0));
}

#[test]
fn what_does_not_match_the_challenge_is_403_and_the_challenge_stays() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let good = first.answering(&challenge);
    let other_call = Register { call_id: "call-2@ue".into(), ..good.clone() };
    let other_nonce = Register { answer: good.answer.replace(&challenge.nonce, "AAAA"), ..good.clone() };
    let other_algorithm = Register { answer: good.answer.replace("AKAv1-MD5", "MD5"), ..good.clone() };
    for bad in [other_call, other_nonce, other_algorithm] {
        s.register(&bad);
        assert_eq!(s.answered(), 403, "{}", bad.text());
        s.quiet();
    }
    s.register(&Register { cseq: 5, ..good });
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_wrong_response_is_403_and_the_hss_is_told() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let mut wrong = first.answering(&challenge);
    wrong.answer = user::Challenge { nonce: challenge.nonce.clone(), vector: vector(2) }.answer(IMPI, None);
    s.register(&wrong);
    assert_eq!(s.answered(), 403);
    s.assign(Assign::AuthenticationFailure, CxResult::SUCCESS, None);
    // The nonce is spent: the right answer comes too late.
    s.register(&Register { cseq: 3, ..first.answering(&challenge) });
    assert_eq!(s.answered(), 500);
    s.quiet();
    assert_eq!(s.element.attempts(), 0);
}

#[test]
fn a_registered_user_stays_registered_when_an_answer_is_wrong() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let again = Register { call_id: "call-2@ue".into(), integrity_protected: Some("no"), ..last.next() };
    let challenge = s.challenge(&again, 2);
    let mut wrong = again.answering(&challenge);
    wrong.answer = wrong.answer.replace("response=\"", "response=\"0");
    s.register(&wrong);
    assert_eq!(s.answered(), 403);
    s.assign(Assign::AuthenticationFailure, CxResult::SUCCESS, None);
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn auts_leads_to_a_new_vector_at_most_twice() {
    let mut s = scscf(config());
    let mut last = Register::initial();
    let mut challenge = s.challenge(&last, 1);
    let auts = data_encoding::BASE64.encode(&[9; 14]);
    for n in [2, 3] {
        // The UE has no SA from a challenge that it does not accept.
        last = Register {
            answer: format!(
                "nonce=\"{}\",response=\"00000000000000000000000000000000\",auts=\"{auts}\"",
                challenge.nonce
            ),
            integrity_protected: Some("no"),
            ..last.next()
        };
        s.register(&last);
        let request = s.asked();
        let rand_auts = [vec![n - 1; 16], vec![9; 14]].concat();
        assert_eq!(Mar::decode(&request).unwrap().resync, Some(&rand_auts[..]));
        s.give_vector_to(&request, n);
        let text = s.sent().text;
        assert_eq!(status(&text), 401);
        challenge = user::Challenge { nonce: nonce(&text), vector: vector(n) };
    }
    s.register(&Register { cseq: last.cseq + 1, answer: last.answer.replace("nonce=\"", "nonce=\"x"), ..last.clone() });
    assert_eq!(s.answered(), 403, "the nonce is wrong");
    let third = Register {
        cseq: last.cseq + 2,
        answer: format!("nonce=\"{}\",response=\"\",auts=\"{auts}\"", challenge.nonce),
        ..last
    };
    s.register(&third);
    assert_eq!(s.answered(), 403);
    s.assign(Assign::AuthenticationFailure, CxResult::SUCCESS, None);
    s.quiet();
}

#[test]
fn auts_of_another_length_is_refused() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    for (auts, expected) in [("", 403), ("AAAA", 403), ("!!!!", 400)] {
        let answer = format!("nonce=\"{}\",response=\"\",auts=\"{auts}\"", challenge.nonce);
        s.register(&Register { answer, ..first.next() });
        assert_eq!(s.answered(), expected, "{auts}");
        s.quiet();
    }
}

#[test]
fn an_empty_response_gets_another_challenge_twice() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let empty = |nonce: &str| format!("nonce=\"{nonce}\",response=\"\"");
    let second = Register { answer: empty(&challenge.nonce), integrity_protected: Some("no"), ..first.next() };
    let challenge = s.challenge(&second, 2);
    let third = Register { answer: empty(&challenge.nonce), ..second.next() };
    let challenge = s.challenge(&third, 3);
    let fourth = Register { answer: empty(&challenge.nonce), ..third.next() };
    s.register(&fourth);
    assert_eq!(s.answered(), 403);
    s.assign(Assign::AuthenticationFailure, CxResult::SUCCESS, None);
    s.quiet();
}

/// TS 34.229-1 clause 9.1: two invalid challenges, then a valid one.
#[test]
fn the_third_challenge_may_be_answered() {
    let mut s = scscf(config());
    let mut last = Register::initial();
    let mut challenge = s.challenge(&last, 1);
    for n in [2, 3] {
        let answer = format!("nonce=\"{}\",response=\"\"", challenge.nonce);
        last = Register { answer, integrity_protected: Some("no"), ..last.next() };
        challenge = s.challenge(&last, n);
    }
    s.register(&last.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
}

#[test]
fn reg_await_auth_ends_an_attempt_after_four_minutes() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.pass(Duration::from_secs(239));
    s.quiet();
    s.pass(Duration::from_secs(1));
    s.assign(Assign::AuthenticationTimeout, CxResult::SUCCESS, None);
    s.register(&first.answering(&challenge));
    assert_eq!(s.answered(), 500, "nobody of that name is registered or expected");
    s.quiet();
}

#[test]
fn a_new_challenge_starts_reg_await_auth_again() {
    let mut s = scscf(config());
    let first = Register::initial();
    s.challenge(&first, 1);
    s.pass(Duration::from_secs(200));
    let second = Register { call_id: "call-2@ue".into(), ..first };
    let challenge = s.challenge(&second, 2);
    s.pass(Duration::from_secs(200));
    s.quiet();
    s.register(&second.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
}

#[test]
fn the_vector_of_a_replaced_attempt_is_not_used() {
    let mut s = scscf(config());
    let first = Register::initial();
    s.register(&first);
    let old = s.asked();
    let second = Register { cseq: 2, ..first };
    s.register(&second);
    // The REGISTER that nobody will answer any more ends, and its transaction with it.
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "CSeq")), (500, "1 REGISTER"));
    let new = s.asked();
    s.give_vector_to(&old, 1);
    s.quiet();
    s.give_vector_to(&new, 2);
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "CSeq")), (401, "2 REGISTER"));
    let challenge = user::Challenge { nonce: nonce(&text), vector: vector(2) };
    s.register(&second.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_register_while_the_assignment_is_awaited_is_asked_to_come_later() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.register(&Register { call_id: "call-2@ue".into(), ..first });
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "Retry-After")), (500, "5"));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_recorded_vector_is_compared_by_its_response_and_has_no_keys() {
    let expected = "01b656a14d1bc707e362cfb27a8accdb";
    for (response, outcome) in [(expected, 200), ("01b656a14d1bc707e362cfb27a8accdc", 403)] {
        let mut s = scscf(config());
        let first = Register::initial();
        s.register(&first);
        let request = s.asked();
        let item = AuthItem {
            scheme: Some("Digest-AKAv1-MD5"),
            authenticate: Some(&[7; 32]),
            context: Some(expected.as_bytes()),
            ..AuthItem::default()
        };
        s.maa(&request, CxResult::SUCCESS, vec![item]);
        let text = s.sent().text;
        let challenge = header(&text, "WWW-Authenticate");
        assert!(challenge.ends_with("algorithm=AKAv1-MD5"), "{challenge}");
        let answer = format!("nonce=\"{}\",response=\"{response}\",algorithm=AKAv1-MD5", nonce(&text));
        s.register(&Register { answer, ..first.next() });
        if outcome == 200 {
            s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        }
        assert_eq!(s.answered(), outcome);
    }
}

#[test]
fn qop_is_offered_as_configured_and_both_kinds_are_verified() {
    for (auth_int, nc, outcome) in [(false, "00000001", 200), (true, "00000001", 200), (false, "00000000", 400)] {
        let mut s = scscf(ScscfConfig { qop: Some("auth,auth-int".into()), ..config() });
        let first = Register::initial();
        s.register(&first);
        s.give_vector(1);
        let text = s.sent().text;
        assert!(header(&text, "WWW-Authenticate").contains(",qop=\"auth,auth-int\""));
        let challenge = user::Challenge { nonce: nonce(&text), vector: vector(1) };
        let qop = Qop { auth_int, nc, cnonce: "c" };
        s.register(&Register { answer: challenge.answer(IMPI, Some(qop)), ..first.next() });
        if outcome == 200 {
            s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        }
        assert_eq!(s.answered(), outcome);
    }
}

#[test]
fn akav2_sha_256_where_asked_for_and_allowed() {
    for (allowed, algorithm) in [(true, Algorithm::AkaV2Sha256), (false, Algorithm::AkaV1Md5)] {
        let mut s = scscf(ScscfConfig { akav2: allowed, ..config() });
        let mut first = Register::initial();
        first.answer = "nonce=\"\",response=\"\",algorithm=AKAv2-SHA-256".into();
        s.register(&first);
        let request = s.asked();
        assert_eq!(Mar::decode(&request).unwrap().scheme, "Digest-AKAv1-MD5");
        s.give_vector_to(&request, 1);
        let text = s.sent().text;
        assert!(header(&text, "WWW-Authenticate").contains(&format!(",algorithm={},", algorithm.as_str())));
        let challenge = user::Challenge { nonce: nonce(&text), vector: vector(1) };
        s.register(&Register { answer: challenge.answer_by(algorithm, IMPI, None), ..first.next() });
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        assert_eq!(s.answered(), 200);
    }
}

#[test]
fn without_sa_an_answer_counts_by_policy_only() {
    for (accepts, protection) in [(true, Some("no")), (true, None), (false, Some("no")), (false, None)] {
        let mut s = scscf(ScscfConfig { aka_without_sa: accepts, ..config() });
        let first = Register { integrity_protected: protection, ..Register::initial() };
        let challenge = s.challenge(&first, 1);
        s.register(&Register { integrity_protected: protection, ..first.answering(&challenge) });
        if accepts {
            s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
            assert_eq!(s.answered(), 200);
        } else {
            s.give_vector(2);
            assert_eq!(s.answered(), 401);
            assert_eq!(s.element.registrations(), 0);
        }
    }
}

#[test]
fn a_user_authenticated_by_a_trusted_node_is_not_challenged() {
    let mut s = scscf(config());
    s.register(&Register { integrity_protected: Some("auth-done"), ..Register::initial() });
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
    assert_eq!(s.answered(), 200);
}

#[test]
fn what_the_hss_says_to_mar_decides_the_status() {
    for (result, expected) in [
        (CxResult::USER_UNKNOWN, 403),
        (CxResult::IDENTITIES_DONT_MATCH, 403),
        (CxResult::AUTH_SCHEME_NOT_SUPPORTED, 403),
        (CxResult::UNABLE_TO_COMPLY, 480),
        (CxResult::Base(3004), 480),
    ] {
        let mut s = scscf(config());
        s.register(&Register::initial());
        let request = s.asked();
        s.maa(&request, result, Vec::new());
        assert_eq!(s.answered(), expected, "{result}");
        s.quiet();
        assert_eq!(s.element.attempts(), 0);
    }
}

#[test]
fn what_the_hss_says_to_sar_decides_the_status() {
    for (result, expected) in [
        (CxResult::USER_UNKNOWN, 403),
        (CxResult::IDENTITIES_DONT_MATCH, 403),
        (CxResult::IDENTITY_ALREADY_REGISTERED, 403),
        (CxResult::IN_ASSIGNMENT_TYPE, 403),
        (CxResult::UNABLE_TO_COMPLY, 500),
    ] {
        let mut s = scscf(config());
        let first = Register::initial();
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        s.assign(Assign::Registration, result, None);
        let text = s.sent().text;
        assert_eq!(status(&text), expected, "{result}");
        assert_eq!(headers(&text, "Retry-After").count(), usize::from(expected == 500));
        assert_eq!((s.element.registrations(), s.element.attempts()), (0, 0));
    }
}

#[test]
fn a_silent_hss_is_480_for_a_challenge_and_500_for_an_assignment() {
    let mut s = scscf(config());
    let first = Register::initial();
    s.register(&first);
    s.asked();
    s.pass(Duration::from_secs(6));
    assert_eq!(s.answered(), 480);
    let second = Register { call_id: "call-2@ue".into(), ..first };
    let challenge = s.challenge(&second, 1);
    s.register(&second.answering(&challenge));
    s.asked();
    s.pass(Duration::from_secs(6));
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "Retry-After")), (500, "30"));
    assert_eq!((s.element.registrations(), s.element.attempts()), (0, 0));
}

#[test]
fn a_set_that_cannot_be_served_is_403_and_the_hss_forgets_us() {
    let barred = user_data(&[(TEMPORARY, true), (DEFAULT, true)]);
    let foreign = user_data(&[(DEFAULT, false)]);
    for (xml, expected) in
        [(Some(&*barred), 403), (Some(&*foreign), 403), (Some("<IMSSubscription/>"), 500), (None, 500)]
    {
        let mut s = scscf(config());
        let first = Register::initial();
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        s.assign(Assign::Registration, CxResult::SUCCESS, xml);
        s.assign(Assign::AdministrativeDeregistration, CxResult::SUCCESS, None);
        assert_eq!(s.answered(), expected, "{xml:?}");
        assert_eq!(s.element.registrations(), 0);
    }
}

#[test]
fn wildcarded_identities_are_left_out_and_several_profiles_are_one_set() {
    let mut s = scscf(config());
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    let wild = "sip:+9990!.*!@ims.example";
    let xml = lab_set().replace(
        "</IMSSubscription>",
        &format!(
            "<ServiceProfile><PublicIdentity><Identity>{wild}</Identity><Extension><IdentityType>4</IdentityType>\
             <Extension><Extension><WildcardedIMPU>{wild}</WildcardedIMPU></Extension></Extension></Extension>\
             </PublicIdentity><PublicIdentity><Identity>sip:work@ims.example</Identity></PublicIdentity>\
             </ServiceProfile></IMSSubscription>"
        ),
    );
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&xml));
    let text = s.sent().text;
    assert_eq!(header(&text, "P-Associated-URI"), format!("<{DEFAULT}>, <tel:+99912345>, <sip:work@ims.example>"));
}

#[test]
fn faults_of_the_request() {
    let star = |expires| Register { contacts: vec!["*".into()], expires, ..Register::initial() };
    let mut s = scscf(config());
    let unknown = Register { extra: vec!["Require: foo, bar".into()], ..Register::initial() };
    s.register(&unknown);
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "Unsupported")), (420, "foo, bar"));
    let text = Register::initial().text().replace("CSeq: 1 REGISTER", "CSeq: 1 INVITE");
    s.sip(user::ICSCF, &text);
    assert_eq!(s.answered(), 400);
    s.sip("192.0.2.9:5060", &Register { cseq: 3, ..Register::initial() }.text());
    assert_eq!(status(&s.sent().text), 403, "the sender is not of the trust domain");
    s.quiet();
    for bad in [star(Some(3_600)), star(None)] {
        let mut s = scscf(config());
        let challenged = Register { contacts: vec![contact(31_001)], ..bad.clone() };
        let challenge = s.challenge(&challenged, 1);
        s.register(&Register { contacts: bad.contacts, ..challenged.answering(&challenge) });
        assert_eq!(s.answered(), 400);
    }
}

#[test]
fn expiry_is_reduced_defaulted_or_refused() {
    for (contact_expires, header_expires, outcome) in [
        (None, Some(9_000_000), Ok(600_000)),
        (Some("120"), Some(600_000), Ok(120)),
        (None, None, Ok(3_600)),
        (Some("junk"), Some(600_000), Ok(3_600)),
        (None, Some(60), Ok(60)),
        (None, Some(59), Err(423)),
        (Some("1"), Some(600_000), Err(423)),
    ] {
        let mut s = scscf(config());
        let contacts =
            vec![contact_expires.map_or_else(|| contact(31_001), |e| format!("{};expires={e}", contact(31_001)))];
        let first = Register { contacts, expires: header_expires, ..Register::initial() };
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        match outcome {
            Ok(granted) => {
                s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
                let text = s.sent().text;
                assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', &format!(">;expires={granted}"), 1));
            }
            Err(expected) => {
                let text = s.sent().text;
                assert_eq!((status(&text), header(&text, "Min-Expires")), (expected, "60"));
                s.quiet();
            }
        }
    }
}

/// TS 24.229 clause 5.1.1.2.1: what is asked again otherwise is no failure of authentication. The UE has the SAs of its
/// challenge still (clause 5.1.1.5.1), and its answer stays right.
#[test]
fn an_answer_refused_for_its_contact_may_come_again_otherwise() {
    let flow = vec![format!("{};reg-id=1", contact(31_001))];
    let outbound = vec!["Supported: outbound".to_owned()];
    for (contacts, extra, expires, refused) in
        [(vec![contact(31_001)], Vec::new(), 59, 423), (flow, outbound, 600_000, 439)]
    {
        let mut s = scscf(config());
        let first = Register { contacts, extra, expires: Some(expires), ..Register::initial() };
        let challenge = s.challenge(&first, 1);
        let answer = first.answering(&challenge);
        s.register(&answer);
        assert_eq!(s.answered(), refused);
        let again = Register { contacts: vec![contact(31_001)], extra: Vec::new(), expires: Some(60), ..answer.next() };
        s.register(&Register { cseq: answer.cseq, ..again.clone() });
        assert_eq!(s.answered(), 500, "an older REGISTER");
        s.register(&again);
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        assert_eq!(status(&s.sent().text), 200);
        assert_eq!((s.element.registrations(), s.element.attempts()), (1, 0));
        // Who does not come again is told to the HSS as one who did not answer.
        let mut s = scscf(config());
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        assert_eq!(s.answered(), refused);
        s.pass(Duration::from_secs(241));
        let request = s.asked();
        assert_eq!(Sar::decode(&request).unwrap().assignment, Assign::AuthenticationTimeout);
        assert_eq!(s.element.attempts(), 0);
    }
}

#[test]
fn reg_id_needs_ob_in_the_first_path() {
    let flow = format!("{};reg-id=1", contact(31_001));
    let outbound = vec!["Supported: outbound".to_owned()];
    let ob = format!("<sip:token@pcscf.{};lr;ob>", driver::REALM);
    for (path, extra, expected) in
        [(None, &outbound, 439), (None, &Vec::new(), 200), (Some(&ob), &Vec::new(), 200), (Some(&ob), &outbound, 201)]
    {
        let mut s = scscf(config());
        let mut first = Register { contacts: vec![flow.clone()], extra: extra.clone(), ..Register::initial() };
        first.path = path.unwrap_or(&first.path).clone();
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        if expected != 439 {
            s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        }
        let text = s.sent().text;
        let uses_outbound = usize::from(expected == 201);
        assert_eq!(status(&text), if expected == 201 { 200 } else { expected });
        assert_eq!(headers(&text, "Require").filter(|r| *r == "outbound").count(), uses_outbound);
    }
}

#[test]
fn flows_live_side_by_side_up_to_the_limit() {
    let mut s = scscf(ScscfConfig { max_flows: 2, ..config() });
    let ob = format!("<sip:token@pcscf.{};lr;ob>", driver::REALM);
    let mut last = Register { path: ob, extra: vec!["Supported: outbound".into()], ..Register::initial() };
    for n in 1..=3 {
        last.contacts = vec![format!("{};reg-id={n}", contact(31_000 + n))];
        last.call_id = format!("call-{n}@ue");
        last.cseq = 1;
        last.integrity_protected = Some("no");
        last.answer = "nonce=\"\",response=\"\"".into();
        let challenge = s.challenge(&last, u8::try_from(n).unwrap());
        last = last.answering(&challenge);
        s.register(&last);
        if n < 3 {
            let assignment = if n == 1 { Assign::Registration } else { Assign::ReRegistration };
            s.assign(assignment, CxResult::SUCCESS, Some(&lab_set()));
        }
        let text = s.sent().text;
        match n {
            3 => assert_eq!(status(&text), 403),
            n => assert_eq!((status(&text), headers(&text, "Contact").count()), (200, usize::from(n))),
        }
    }
    // The same flow from another address replaces itself.
    let moved = Register { contacts: vec![format!("{};reg-id=2", contact(31_009))], ..last.next() };
    s.register(&moved);
    s.assign(Assign::ReRegistration, CxResult::SUCCESS, None);
    let text = s.sent().text;
    let ports: Vec<&str> = headers(&text, "Contact").filter_map(|c| c.split(['>', ':']).nth(2)).collect();
    assert_eq!(ports, ["31001", "31009"]);
    let two = Register {
        contacts: vec![format!("{};reg-id=1", contact(31_001)), format!("{};reg-id=2", contact(31_002))],
        ..moved.next()
    };
    s.register(&two);
    assert_eq!(s.answered(), 400);
}

#[test]
fn a_protected_reregistration_is_challenged_by_policy() {
    for (policy, challenged) in [
        (ChallengePolicy::Always, [true, true, true]),
        (ChallengePolicy::Never, [false, false, false]),
        (ChallengePolicy::Every(2), [false, true, false]),
        (ChallengePolicy::After(Duration::from_secs(150)), [false, true, false]),
    ] {
        let mut s = scscf(ScscfConfig { challenge: policy, ..config() });
        let (mut last, _) = s.registered();
        for (n, challenged) in (2..).zip(challenged) {
            s.pass(Duration::from_secs(100));
            last = last.next();
            if challenged {
                let challenge = s.challenge(&last, n);
                last = last.answering(&challenge);
            }
            s.register(&last);
            let request_has_data = s.assign_again();
            assert!(request_has_data, "User-Data-Already-Available");
            assert_eq!(s.answered(), 200);
            s.quiet();
        }
    }
}

#[test]
fn a_refresh_that_changes_nothing_can_do_without_the_hss() {
    let mut s = scscf(ScscfConfig { sar_at_refresh: SarAtRefresh::WhenChanged, ..config() });
    let (last, _) = s.registered();
    s.pass(Duration::from_secs(599_000));
    let last = Register { expires: Some(7_200), ..last.next() };
    s.register(&last);
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "P-Associated-URI")), (200, &*format!("<{DEFAULT}>, <tel:+99912345>")));
    assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', ">;expires=7200", 1));
    s.quiet();
    // Of a challenge the HSS knows, so it hears how it ended.
    let again = Register { integrity_protected: Some("no"), call_id: "call-2@ue".into(), ..last.next() };
    let challenge = s.challenge(&again, 2);
    s.register(&again.answering(&challenge));
    assert!(s.assign_again());
    assert_eq!(s.answered(), 200);
    // The registration ends with what was granted last, and of that it hears too.
    let last = again.answering(&challenge).next();
    s.pass(Duration::from_secs(7_000));
    s.register(&last);
    assert_eq!(s.answered(), 200);
    s.pass(Duration::from_secs(7_199));
    s.quiet();
    s.pass(Duration::from_secs(1));
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
    assert_eq!(s.element.registrations(), 0);
}

#[test]
fn a_refresh_tells_the_hss_what_it_keeps_for_others() {
    // With restoration it keeps the end of each binding.
    let config = ScscfConfig { sar_at_refresh: SarAtRefresh::WhenChanged, ..config() };
    let mut s = scscf(ScscfConfig { restoration: true, ..config.clone() });
    let (last, _) = s.registered();
    s.register(&last.next());
    assert!(s.assign_again());
    assert_eq!(s.answered(), 200);
    // It alone knows who else has the identity, and has a Contact to be stated.
    let mut s = scscf(config);
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let mut last = first.answering(&challenge);
    for others in [vec!["other@ims.example"], Vec::new()] {
        s.register(&last);
        let request = s.asked();
        s.answer_sar_beside(&request, CxResult::SUCCESS, Some(&lab_set()), others);
        assert_eq!(s.answered(), 200);
        last = last.next();
    }
    s.register(&last);
    assert_eq!(s.answered(), 200);
    s.quiet();
}

#[test]
fn a_refresh_like_the_one_before_prolongs_what_is_bound() {
    for sar_at_refresh in [SarAtRefresh::Always, SarAtRefresh::WhenChanged] {
        let mut s = scscf(ScscfConfig { sar_at_refresh, ..config() });
        let (mut last, first) = s.registered();
        for _ in 0..3 {
            s.pass(Duration::from_secs(500_000));
            last = last.next();
            s.register(&last);
            assert!(sar_at_refresh == SarAtRefresh::WhenChanged || s.assign_again());
            let text = s.sent().text;
            for name in ["Contact", "Path", "Service-Route", "P-Associated-URI", "P-Charging-Vector"] {
                assert_eq!(header(&text, name), header(&first, name), "{text}");
            }
            assert_eq!((status(&text), header(&text, "CSeq")), (200, &*format!("{} REGISTER", last.cseq)));
        }
        // One of its own is older, and it is no answer to a challenge that was not sent.
        s.register(&last);
        assert_eq!(s.answered(), 500);
        s.register(&Register { integrity_protected: Some("no"), ..last.next() });
        s.give_vector(2);
        assert_eq!(s.answered(), 401);
        s.pass(Duration::from_secs(240));
        s.absorb();
        s.pass(Duration::from_secs(599_759));
        assert_eq!(s.element.registrations(), 1);
        s.pass(Duration::from_secs(1));
        assert_eq!(s.element.registrations(), 0);
    }
}

#[test]
fn a_refresh_states_its_contact_as_the_200_before_did() {
    for written in [
        contact(31_001),
        contact(31_001).replacen('>', ">;expires=70000", 1),
        contact(31_001).replacen('>', ">;q=0.5;pub-gruu=\"sip:x\"", 1),
        contact(31_001).replacen('>', "> ", 1),
        format!("\"A\" {}", contact(31_001)),
        format!("{},", contact(31_001)),
        "sip:001010000000001@192.0.2.1:31001".into(),
        "sip:001010000000001@192.0.2.1:31001  ;q=0.5".into(),
    ] {
        let mut s = scscf(config());
        let first = Register { contacts: vec![written.clone()], ..Register::initial() };
        let challenge = s.challenge(&first, 1);
        let mut last = first.answering(&challenge);
        s.register(&last);
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        let text = s.sent().text;
        for _ in 0..2 {
            last = last.next();
            s.register(&last);
            assert!(s.assign_again());
            let again = s.sent().text;
            assert_eq!(header(&again, "Contact"), header(&text, "Contact"), "{written}");
        }
    }
}

#[test]
fn a_refresh_whose_binding_was_replaced_meanwhile_binds_again() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.register(&last.next());
    let waiting = s.asked();
    // Another identity of the set takes the binding's place while the HSS thinks.
    let other = Register {
        impu: "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org".into(),
        call_id: "call-2@ue".into(),
        contacts: vec![contact(31_009)],
        ..Register::initial()
    };
    let challenge = s.challenge(&other, 2);
    s.register(&other.answering(&challenge));
    assert!(s.assign_again());
    assert!(header(&s.sent().text, "Contact").starts_with(contact(31_009).split_once('>').unwrap().0));
    s.answer_sar(&waiting, CxResult::SUCCESS, None);
    let text = s.sent().text;
    assert_eq!((status(&text), headers(&text, "Contact").count()), (200, 1), "{text}");
    assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', ">;expires=600000", 1));
}

#[test]
fn a_reregistration_without_challenge_brings_no_new_contact() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.register(&Register { contacts: vec![contact(31_002)], ..last.next() });
    assert_eq!(s.answered(), 403);
    s.quiet();
}

#[test]
fn a_protected_register_of_an_unknown_user_is_500() {
    let mut s = scscf(config());
    s.register(&Register { integrity_protected: Some("yes"), ..Register::initial() });
    assert_eq!(s.answered(), 500);
    s.quiet();
}

#[test]
fn a_new_contact_replaces_the_old_one_of_the_same_impi() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let moved = Register {
        call_id: "call-2@ue".into(),
        contacts: vec![contact(31_002)],
        integrity_protected: Some("no"),
        ..last.next()
    };
    let challenge = s.challenge(&moved, 2);
    s.register(&moved.answering(&challenge));
    s.assign(Assign::ReRegistration, CxResult::SUCCESS, None);
    let text = s.sent().text;
    let contacts: Vec<&str> = headers(&text, "Contact").collect();
    assert_eq!(contacts, [contact(31_002).replacen('>', ">;expires=600000", 1)]);
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn another_identity_of_the_set_refreshes_the_same_registration() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    // The UE registers its MSISDN over the SA of the temporary identity, in another spelling of the same URI.
    let second = Register {
        impu: "sip:+99912345@IMS.mnc001.mcc001.3gppnetwork.org;user=phone".into(),
        call_id: "call-2@ue".into(),
        ..last.next()
    };
    s.register(&second);
    s.assign(Assign::ReRegistration, CxResult::SUCCESS, None);
    let text = s.sent().text;
    assert_eq!((status(&text), headers(&text, "Contact").count()), (200, 1));
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn an_identity_outside_the_set_is_challenged_and_registered_apart() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let other = "sip:second@ims.mnc001.mcc001.3gppnetwork.org";
    let second = Register { impu: other.into(), call_id: "call-2@ue".into(), ..last.next() };
    let challenge = s.challenge(&second, 2);
    s.register(&second.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&user_data(&[(other, false)])));
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "P-Associated-URI")), (200, &*format!("<{other}>")));
    assert_eq!(s.element.registrations(), 2);
}

#[test]
fn an_older_cseq_of_the_same_call_id_is_500() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    for cseq in [1, 2] {
        s.register(&Register { cseq, answer: format!("nonce=\"old{cseq}\""), ..last.clone() });
        assert_eq!(s.answered(), 500);
        s.quiet();
    }
    s.register(&last.next());
    assert!(s.assign_again());
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_register_without_contact_is_a_query() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.pass(Duration::from_secs(100));
    s.register(&Register { contacts: Vec::new(), expires: None, ..last.next() });
    let text = s.sent().text;
    assert_eq!(status(&text), 200);
    assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', ">;expires=599900", 1));
    s.quiet();
    let first = Register { contacts: Vec::new(), call_id: "call-3@ue".into(), ..Register::initial() };
    let mut s = scscf(config());
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    let text = s.sent().text;
    assert_eq!((status(&text), headers(&text, "Contact").count()), (200, 0));
}

#[test]
fn the_ue_deregisters_by_contact_or_by_star() {
    for (contacts, store) in [(vec![contact(31_001)], false), (vec!["*".to_owned()], true)] {
        let mut s = scscf(ScscfConfig { store_server_name: store, ..config() });
        let (last, _) = s.registered();
        s.register(&Register { contacts, expires: Some(0), ..last.next() });
        let text = s.sent().text;
        assert_eq!((status(&text), headers(&text, "Service-Route").count()), (200, 0));
        assert_eq!(header(&text, "Contact"), contact(31_001).replacen('>', ">;expires=0", 1));
        let request = s.asked();
        let sar = Sar::decode(&request).unwrap();
        let assignment = if store { Assign::UserDeregistrationStoreServerName } else { Assign::UserDeregistration };
        assert_eq!((sar.assignment, sar.impus), (assignment, vec![TEMPORARY]));
        assert_eq!(s.element.registrations(), 0);
        assert!(s.events().iter().any(|e| matches!(e, What::Deregistered { .. })));
        // What was registered once is unknown now: no timer of it is left to fire.
        s.pass(Duration::from_secs(700_000));
        s.quiet();
    }
}

#[test]
fn an_unprotected_deregistration_is_challenged_first() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let leave = Register {
        call_id: "call-2@ue".into(),
        expires: Some(0),
        integrity_protected: Some("no"),
        answer: "nonce=\"\",response=\"\"".into(),
        ..last.next()
    };
    let challenge = s.challenge(&leave, 2);
    assert_eq!(s.element.registrations(), 1);
    s.register(&leave.answering(&challenge));
    assert_eq!(s.answered(), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    assert_eq!(s.element.registrations(), 0);
}

#[test]
fn an_unknown_binding_cannot_be_removed() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    let both = vec![contact(31_001), contact(31_002)];
    s.register(&Register { contacts: both, expires: Some(0), ..last.next() });
    assert_eq!(s.answered(), 481);
    s.quiet();
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn several_contacts_are_served_together_or_not_at_all() {
    let mut s = scscf(ScscfConfig { max_flows: 2, ..config() });
    let (last, _) = s.registered();
    let with = |contacts: Vec<String>| Register {
        contacts,
        call_id: "call-2@ue".into(),
        integrity_protected: Some("auth-done"),
        ..last.next()
    };
    // One removed, one added.
    s.register(&with(vec![format!("{};expires=0", contact(31_001)), contact(31_002)]));
    s.assign(Assign::ReRegistration, CxResult::SUCCESS, None);
    let text = s.sent().text;
    let contacts: Vec<&str> = headers(&text, "Contact").collect();
    assert_eq!(contacts, [contact(31_002).replacen('>', ">;expires=600000", 1)]);
    // One of them too brief, then too many: nothing changes.
    s.register(&Register { cseq: 10, ..with(vec![contact(31_003), format!("{};expires=5", contact(31_004))]) });
    assert_eq!(s.answered(), 423);
    s.register(&Register { cseq: 11, ..with(vec![contact(31_005), contact(31_006), contact(31_007)]) });
    assert_eq!(s.answered(), 403);
    s.quiet();
    s.register(&Register { cseq: 12, ..with(Vec::new()) });
    let text = s.sent().text;
    assert_eq!(headers(&text, "Contact").collect::<Vec<_>>(), contacts);
}

#[test]
fn a_registration_ends_when_its_time_is_over() {
    let mut s = scscf(config());
    let (mut last, _) = s.registered();
    s.pass(Duration::from_secs(599_000));
    last = Register { expires: Some(7_200), ..last.next() };
    s.register(&last);
    assert!(s.assign_again());
    assert_eq!(s.answered(), 200);
    s.pass(Duration::from_secs(7_199));
    s.quiet();
    assert_eq!(s.element.registrations(), 1);
    s.pass(Duration::from_secs(1));
    let request = s.asked();
    let sar = Sar::decode(&request).unwrap();
    assert_eq!((sar.assignment, sar.impi, sar.impus), (Assign::TimeoutDeregistration, Some(IMPI), vec![DEFAULT]));
    assert_eq!(s.element.registrations(), 0);
    s.quiet();
}

#[test]
fn a_shorter_grant_ends_earlier() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.register(&Register { expires: Some(100), ..last.next() });
    assert!(s.assign_again());
    assert_eq!(s.answered(), 200);
    s.pass(Duration::from_secs(100));
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
}

#[test]
fn when_another_hss_takes_over_it_is_asked_by_realm() {
    let mut s = scscf(config());
    let (last, _) = s.registered();
    s.register(&last.next());
    let request = s.asked();
    assert_eq!(Sar::decode(&request).unwrap().envelope.destination_host, Some("hss.example"));
    s.answer_sar(&request, CxResult::Base(3002), None);
    let request = s.asked();
    assert_eq!(Sar::decode(&request).unwrap().envelope.destination_host, None);
    s.answer_sar(&request, CxResult::SUCCESS, None);
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_command_that_no_s_cscf_serves_is_answered_3001() {
    let mut s = scscf(config());
    let rtr = imsreg::cx::Rtr {
        envelope: imsreg::cx::RequestEnvelope {
            session_id: "hss;1;1",
            origin_host: "hss.example",
            origin_realm: driver::REALM,
            destination_host: Some("scscf.example"),
            destination_realm: driver::REALM,
        },
        impi: IMPI,
        impus: Vec::new(),
        reason: imsreg::cx::rtr::ReasonCode::PermanentTermination,
        reason_info: None,
        associated_identities: Vec::new(),
    };
    let header = imsreg::diameter::Header {
        request: true,
        proxiable: true,
        error: false,
        retransmitted: false,
        command: imsreg::cx::Uar::COMMAND,
        application: imsreg::cx::APPLICATION,
        hop_by_hop: 5,
        end_to_end: 6,
    };
    let mut bytes = Vec::new();
    let mut w = imsreg::diameter::Writer::new(&mut bytes, &header);
    rtr.encode(&mut w);
    w.finish();
    s.diameter(&bytes);
    let answer = s.asked();
    let header = imsreg::diameter::Header::parse(&answer).unwrap();
    assert!(header.error && !header.request);
    let avps = imsreg::diameter::Avps::of(&answer);
    assert_eq!(avps.find(268, 0).unwrap().u32().unwrap(), 3001);
}

#[test]
fn other_methods_and_keep_alives() {
    let mut s = scscf(config());
    let of =
        |method: &str| Register { call_id: method.into(), ..Register::initial() }.text().replace("REGISTER", method);
    for (method, expected) in [("OPTIONS", 200), ("MESSAGE", 501), ("INVITE", 501), ("CANCEL", 481)] {
        s.sip(user::ICSCF, &of(method));
        assert_eq!(s.answered(), expected, "{method}");
    }
    // A ping and its pong (RFC 5626 clause 3.5.1).
    s.sip(user::ICSCF, "\r\n\r\n");
    assert_eq!(s.sent().text, "\r\n");
    s.sip(user::ICSCF, "junk\r\n\r\n");
    s.quiet();
}

#[test]
fn a_thousand_users_keep_apart() {
    let mut s = scscf(config());
    for n in 0..1_000 {
        let user = format!("{:015}", 1_010_000_000_000_u64 + n);
        let impu = format!("sip:{user}@{}", driver::REALM);
        let first = Register {
            impi: format!("{user}@{}", driver::REALM),
            impu: impu.clone(),
            call_id: format!("{n}@ue"),
            ..Register::initial()
        };
        let vector = u8::try_from(n % 250).unwrap();
        let challenge = s.challenge(&first, vector);
        s.register(&first.answering(&challenge));
        s.assign(Assign::Registration, CxResult::SUCCESS, Some(&user_data(&[(&impu, false)])));
        let text = s.sent().text;
        assert_eq!(header(&text, "P-Associated-URI"), format!("<{impu}>"));
    }
    assert_eq!((s.element.registrations(), s.element.attempts()), (1_000, 0));
    s.pass(Duration::from_secs(600_000));
    assert_eq!(s.element.registrations(), 0);
}
