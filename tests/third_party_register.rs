//! Third-party REGISTER (TS 24.229 clause 5.4.1.7): the S-CSCF between a scripted HSS, a scripted I-CSCF and scripted
//! application servers.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, header, headers, status};
use imsreg::cx::user_data::{ApplicationServer, Condition, ImsSubscription, InitialFilterCriteria, PublicIdentity};
use imsreg::cx::user_data::{ServiceProfile, Spt, TriggerPoint};
use imsreg::cx::{CxResult, Sar, ServerAssignmentType as Assign};
use imsreg::event::What;
use imsreg::scscf::{Scscf, ScscfConfig};
use imsreg::time::Duration;
use user::{ICSCF, IMPI, Register, TEMPORARY, config, scscf};

const DEFAULT: &str = "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org";
/// Two application servers by name, one that has no address.
const TAS: &str = "sip:tas.example:5090";
const IPSMGW: &str = "sip:ipsmgw.example";
const NOWHERE: &str = "sip:nowhere.example";
const TAS_AT: &str = "192.0.2.7:5090";
const IPSMGW_AT: &str = "192.0.2.8:5060";

fn with_hosts() -> ScscfConfig {
    let hosts = [("tas.example", "192.0.2.7"), ("ipsmgw.example", "192.0.2.8")];
    let hosts = hosts.map(|(name, ip)| (name.into(), ip.parse().unwrap())).into();
    let trusted = vec!["127.0.0.1".parse().unwrap()];
    ScscfConfig { hosts, trusted, ..config() }
}

/// Criteria for REGISTER.
fn criteria(priority: u32, server: &str) -> InitialFilterCriteria {
    let on_register = Spt {
        negated: false,
        groups: vec![0],
        condition: Condition::Method("REGISTER".into()),
        registration_types: Vec::new(),
    };
    InitialFilterCriteria {
        priority,
        trigger: Some(TriggerPoint { cnf: false, conditions: vec![on_register] }),
        server: ApplicationServer {
            server_name: server.into(),
            terminate_on_failure: false,
            service_info: None,
            include_register_request: false,
            include_register_response: false,
        },
        registered_part: None,
    }
}

fn terminating(mut criteria: InitialFilterCriteria) -> InitialFilterCriteria {
    criteria.server.terminate_on_failure = true;
    criteria
}

fn for_types(mut criteria: InitialFilterCriteria, types: &[u8]) -> InitialFilterCriteria {
    criteria.trigger.as_mut().unwrap().conditions[0].registration_types = types.to_vec();
    criteria
}

/// The set of the lab with these criteria.
fn profile(filter_criteria: Vec<InitialFilterCriteria>) -> String {
    let mut identities: Vec<PublicIdentity> =
        [TEMPORARY, DEFAULT, "tel:+99912345"].into_iter().map(PublicIdentity::new).collect();
    identities[0].barred = true;
    let profile = ServiceProfile { identities, filter_criteria, ..ServiceProfile::default() };
    document(vec![profile])
}

fn document(profiles: Vec<ServiceProfile>) -> String {
    let mut xml = Vec::new();
    ImsSubscription { private_id: IMPI.into(), profiles }.write(&mut xml);
    String::from_utf8(xml).unwrap()
}

/// Registers with this user data; returns the last REGISTER as sent and the 200. What follows the 200 waits.
fn registered(s: &mut Driver<Scscf>, xml: &str) -> (Register, String, String) {
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    let mut second = first.answering(&challenge);
    second.extra.push("P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101".into());
    let request = second.text();
    s.sip(ICSCF, &request);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(xml));
    let answer = s.sent().text;
    assert_eq!(status(&answer), 200, "{answer}");
    (second, request, answer)
}

/// The next message is a third-party REGISTER; returns its text.
fn told(s: &mut Driver<Scscf>, to: &str) -> String {
    let sent = s.sent();
    assert!(sent.text.starts_with("REGISTER "), "{}", sent.text);
    assert_eq!(sent.to, to.parse().unwrap(), "{}", sent.text);
    sent.text
}

/// The application server answers.
fn answer(s: &mut Driver<Scscf>, from: &str, request: &str, status: u16) {
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text += &format!("{name}: {}\r\n", header(request, name));
    }
    s.sip(from, &(text + "Content-Length: 0\r\n\r\n"));
}

fn body(text: &str) -> &str {
    text.split_once("\r\n\r\n").unwrap().1
}

fn failures(s: &mut Driver<Scscf>) -> Vec<(u16, bool)> {
    let failed = |what| match what {
        What::ServiceFailed { status, ends_registration, .. } => Some((status, ends_registration)),
        _ => None,
    };
    s.events().into_iter().filter_map(failed).collect()
}

#[test]
fn application_servers_hear_of_a_registration_in_the_order_of_priority() {
    let mut s = scscf(with_hosts());
    // The 200 comes first, whatever the servers will say.
    registered(&mut s, &profile(vec![criteria(5, IPSMGW), criteria(2, TAS)]));
    let first = told(&mut s, TAS_AT);
    let second = told(&mut s, IPSMGW_AT);
    s.quiet();
    assert!(
        first.starts_with("REGISTER sip:tas.example:5090 SIP/2.0\r\n")
            && second.starts_with("REGISTER sip:ipsmgw.example ")
    );
    let scscf = format!("<sip:scscf.{REALM}:6060>");
    for text in [&first, &second] {
        assert!(header(text, "Via").starts_with(&format!("SIP/2.0/TCP scscf.{REALM}:6060;branch=z9hG4bK")));
        assert!(header(text, "From").starts_with(&format!("{scscf};tag=")));
        assert_eq!(header(text, "To"), format!("<{DEFAULT}>"));
        assert_eq!((header(text, "Contact"), header(text, "Expires")), (&*scscf, "600000"));
        assert_eq!(header(text, "P-Visited-Network-ID"), REALM);
        assert_eq!(header(text, "P-Access-Network-Info"), "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000101");
        assert_eq!(header(text, "P-Charging-Vector"), "icid-value=\"icid-1\";orig-ioi=\"Type 3home1.net\"");
        assert_eq!(header(text, "P-Charging-Function-Addresses"), "ccf=\"aaa://ccf.example\"");
        assert_eq!((headers(text, "Content-Type").count(), body(text)), (0, ""));
        assert_eq!(headers(text, "Authorization").count(), 0);
    }
    assert_ne!(header(&first, "Call-ID"), header(&second, "Call-ID"));
    answer(&mut s, TAS_AT, &first, 200);
    answer(&mut s, IPSMGW_AT, &second, 200);
    assert_eq!(failures(&mut s), []);
    s.pass(Duration::from_secs(100));
    s.quiet();
    assert_eq!(s.element.registrations(), 1);
}

#[test]
fn bodies_are_those_that_the_criteria_ask_for() {
    for which in 0..8 {
        let (info, wants_request, wants_response) = (which & 1 > 0, which & 2 > 0, which & 4 > 0);
        let mut asking = criteria(0, TAS);
        asking.server.service_info = info.then(|| "mmtel <1>".into());
        asking.server.include_register_request = wants_request;
        asking.server.include_register_response = wants_response;
        let mut s = scscf(with_hosts());
        let (_, register, response) = registered(&mut s, &profile(vec![asking]));
        let text = told(&mut s, TAS_AT);
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
                   <ims-3gpp version=\"1\"><service-info>mmtel &lt;1&gt;</service-info></ims-3gpp>";
        let expected: Vec<(&str, &str)> = [
            (info, "application/3gpp-ims+xml", xml),
            (wants_request, "message/sip", &*register),
            (wants_response, "message/sip", &*response),
        ]
        .into_iter()
        .filter_map(|(wanted, content_type, part)| wanted.then_some((content_type, part)))
        .collect();
        assert_eq!(header(&text, "Content-Length"), body(&text).len().to_string());
        match expected[..] {
            [] => assert_eq!((headers(&text, "Content-Type").count(), body(&text)), (0, "")),
            [(content_type, part)] => assert_eq!((header(&text, "Content-Type"), body(&text)), (content_type, part)),
            _ => {
                let boundary = header(&text, "Content-Type").strip_prefix("multipart/mixed;boundary=").unwrap();
                let parts: String = expected
                    .iter()
                    .map(|(content_type, part)| {
                        format!("--{boundary}\r\nContent-Type: {content_type}\r\n\r\n{part}\r\n")
                    })
                    .collect();
                assert_eq!(body(&text), parts + &format!("--{boundary}--\r\n"));
            }
        }
    }
}

#[test]
fn registration_types_tell_the_beginning_the_refresh_and_the_end() {
    let mut s = scscf(with_hosts());
    let only = |types: &[u8], at: u32| for_types(criteria(at, &format!("sip:192.0.2.{at}")), types);
    let xml = profile(vec![only(&[0], 10), only(&[1], 11), only(&[2], 12), only(&[0, 2], 13)]);
    let (last, ..) = registered(&mut s, &xml);
    for to in ["192.0.2.10:5060", "192.0.2.13:5060"] {
        assert_eq!(header(&told(&mut s, to), "Expires"), "600000");
    }
    s.quiet();
    s.register(&Register { expires: Some(7_200), ..last.next() });
    assert!(s.assign_again());
    assert_eq!(s.answered(), 200);
    assert_eq!(header(&told(&mut s, "192.0.2.11:5060"), "Expires"), "7200");
    s.quiet();
    s.register(&Register { cseq: last.cseq + 2, expires: Some(0), contacts: vec!["*".into()], ..last.next() });
    assert_eq!(s.answered(), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    for to in ["192.0.2.12:5060", "192.0.2.13:5060"] {
        let text = told(&mut s, to);
        assert_eq!((header(&text, "Expires"), header(&text, "To")), ("0", &*format!("<{DEFAULT}>")));
        assert_eq!(header(&text, "P-Visited-Network-ID"), REALM);
    }
    s.quiet();
}

#[test]
fn the_end_by_time_is_told_without_bodies() {
    let mut asking = criteria(0, TAS);
    asking.server.service_info = Some("mmtel".into());
    asking.server.include_register_request = true;
    let mut s = scscf(with_hosts());
    registered(&mut s, &profile(vec![asking]));
    let text = told(&mut s, TAS_AT);
    answer(&mut s, TAS_AT, &text, 200);
    s.pass(Duration::from_secs(600_000));
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
    let text = told(&mut s, TAS_AT);
    assert_eq!((header(&text, "Expires"), body(&text)), ("0", ""));
    assert_eq!(headers(&text, "P-Visited-Network-ID").count(), 0);
    assert!(header(&text, "P-Charging-Vector").starts_with("icid-value=\""));
    s.quiet();
}

#[test]
fn session_terminated_ends_the_registration_and_expires_0_ends_nothing_twice() {
    for refusal in [408, 500, 503, 599] {
        let mut s = scscf(with_hosts());
        registered(&mut s, &profile(vec![terminating(criteria(0, TAS)), terminating(criteria(1, IPSMGW))]));
        let (first, second) = (told(&mut s, TAS_AT), told(&mut s, IPSMGW_AT));
        s.events();
        answer(&mut s, TAS_AT, &first, refusal);
        s.assign(Assign::AdministrativeDeregistration, CxResult::SUCCESS, None);
        assert_eq!(s.element.registrations(), 0);
        let (last, other) = (told(&mut s, TAS_AT), told(&mut s, IPSMGW_AT));
        for text in [&last, &other] {
            assert_eq!(header(text, "Expires"), "0");
        }
        assert_eq!(failures(&mut s), [(refusal, true)]);
        // The same server refuses that too, the other one refuses what is over: nothing follows.
        answer(&mut s, TAS_AT, &last, refusal);
        answer(&mut s, IPSMGW_AT, &second, refusal);
        answer(&mut s, IPSMGW_AT, &other, 200);
        assert_eq!(failures(&mut s), [(refusal, false), (refusal, false)]);
        s.pass(Duration::from_secs(700_000));
        s.quiet();
    }
}

#[test]
fn other_refusals_and_session_continued_change_nothing() {
    for (handling, refusal, failed) in
        [(true, 403, None), (true, 423, None), (true, 302, None), (false, 503, Some(503)), (false, 408, Some(408))]
    {
        let mut s = scscf(with_hosts());
        let criteria = criteria(0, TAS);
        registered(&mut s, &profile(vec![if handling { terminating(criteria) } else { criteria }]));
        let text = told(&mut s, TAS_AT);
        answer(&mut s, TAS_AT, &text, refusal);
        assert_eq!(failures(&mut s), failed.map(|status| (status, false)).into_iter().collect::<Vec<_>>());
        s.quiet();
        assert_eq!(s.element.registrations(), 1, "{refusal}");
    }
}

#[test]
fn silence_lasts_64_t1_and_counts_as_a_refusal() {
    for (handling, left) in [(true, 0), (false, 1)] {
        let mut s = scscf(with_hosts());
        let criteria = criteria(0, TAS);
        registered(&mut s, &profile(vec![if handling { terminating(criteria) } else { criteria }]));
        told(&mut s, TAS_AT);
        s.events();
        s.pass(Duration::from_millis(31_999));
        s.quiet();
        s.pass(Duration::from_millis(1));
        assert_eq!(failures(&mut s), [(0, handling)]);
        assert_eq!(s.element.registrations(), left);
        if handling {
            s.assign(Assign::AdministrativeDeregistration, CxResult::SUCCESS, None);
            told(&mut s, TAS_AT);
        }
        s.quiet();
    }
}

#[test]
fn a_server_without_address_counts_as_silent() {
    for (handling, left) in [(true, 0), (false, 1)] {
        let mut s = scscf(with_hosts());
        let criteria = criteria(0, NOWHERE);
        registered(&mut s, &profile(vec![if handling { terminating(criteria) } else { criteria }]));
        assert_eq!(s.element.registrations(), left);
        let expected: &[_] = if handling { &[(0, true), (0, false)] } else { &[(0, false)] };
        assert_eq!(failures(&mut s), expected);
        if handling {
            s.assign(Assign::AdministrativeDeregistration, CxResult::SUCCESS, None);
        }
        s.quiet();
    }
}

#[test]
fn criteria_look_at_the_register_and_each_service_profile_names_its_own_identity() {
    let mut by_header = criteria(0, TAS);
    by_header.trigger.as_mut().unwrap().conditions[0].condition =
        Condition::SipHeader { header: "P-Visited-Network-ID".into(), content: Some("mnc001".into()) };
    let mut elsewhere = by_header.clone();
    elsewhere.priority = 1;
    elsewhere.trigger.as_mut().unwrap().conditions[0].condition =
        Condition::SipHeader { header: "P-Visited-Network-ID".into(), content: Some("mnc002".into()) };
    let barred = |identity: &str| PublicIdentity { barred: true, ..PublicIdentity::new(identity) };
    let service =
        |identities, filter_criteria| ServiceProfile { identities, filter_criteria, ..ServiceProfile::default() };
    let xml = document(vec![
        service(vec![barred(TEMPORARY)], vec![criteria(0, NOWHERE)]),
        service(vec![PublicIdentity::new(DEFAULT)], vec![by_header, elsewhere]),
        service(vec![PublicIdentity::new("tel:+99912345")], vec![criteria(0, IPSMGW)]),
    ]);
    let mut s = scscf(with_hosts());
    registered(&mut s, &xml);
    assert_eq!(header(&told(&mut s, TAS_AT), "To"), format!("<{DEFAULT}>"));
    assert_eq!(header(&told(&mut s, IPSMGW_AT), "To"), "<tel:+99912345>");
    s.quiet();
    assert_eq!(failures(&mut s), [], "a service profile whose identities are all barred has nobody to name");
}

#[test]
fn a_pattern_that_cannot_be_read_is_told_once() {
    let mut bad = criteria(3, TAS);
    bad.trigger.as_mut().unwrap().conditions[0].condition = Condition::RequestUri("+1".into());
    let mut s = scscf(with_hosts());
    let xml = profile(vec![bad]);
    let (last, ..) = registered(&mut s, &xml);
    let told =
        |s: &mut Driver<Scscf>| s.events().into_iter().filter(|what| matches!(what, What::FilterFault { .. })).count();
    assert_eq!(told(&mut s), 1);
    s.register(&last.next());
    let request = s.asked();
    assert_eq!(Sar::decode(&request).unwrap().assignment, Assign::ReRegistration);
    s.answer_sar(&request, CxResult::SUCCESS, Some(&xml));
    assert_eq!((s.answered(), told(&mut s)), (200, 0));
    s.quiet();
}

#[test]
fn a_query_is_told_to_nobody_and_without_criteria_nothing_is() {
    let mut s = scscf(with_hosts());
    let (last, ..) = registered(&mut s, &profile(vec![criteria(0, TAS)]));
    told(&mut s, TAS_AT);
    s.register(&Register { contacts: Vec::new(), expires: None, ..last.next() });
    assert_eq!(s.answered(), 200);
    s.quiet();
    // `registered` of the rig looks that nothing follows.
    let mut s = scscf(with_hosts());
    let (last, _) = s.registered();
    s.register(&Register { expires: Some(0), ..last.next() });
    assert_eq!(s.answered(), 200);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    s.quiet();
}

#[test]
fn an_emergency_registration_is_told_to_nobody() {
    let mut s = scscf(with_hosts());
    let first = Register { contacts: vec![user::contact(31_001).replacen('>', ";sos>", 1)], ..Register::initial() };
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&profile(vec![criteria(0, TAS)])));
    assert_eq!(s.answered(), 200);
    s.quiet();
}
