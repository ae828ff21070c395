//! Initial filter criteria: `user_data.json`, and each kind of condition.

use imsreg::cx::filter::{FilterCriteria, Headers, PatternFault, RegistrationType, Request, SessionCase};
use imsreg::cx::user_data::{ApplicationServer, Condition, ImsSubscription, InitialFilterCriteria, Spt, TriggerPoint};
use proptest::prelude::*;
use serde_json::Value;

const VECTORS: &str = include_str!("data/vectors/user_data.json");

/// Header names and values.
struct Lines(Vec<(String, String)>);

impl Headers for Lines {
    fn any(&self, test: &mut dyn FnMut(&str, &str) -> bool) -> bool {
        self.0.iter().any(|(name, value)| test(name, value))
    }
}

fn lines(lines: &[(&str, &str)]) -> Lines {
    Lines(lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn message(headers: &dyn Headers) -> Request<'_> {
    Request {
        method: "MESSAGE",
        request_uri: "sip:+99912345@ims.example",
        headers,
        session_description: "",
        session_case: SessionCase::OriginatingRegistered,
        registration: None,
    }
}

fn register(headers: &dyn Headers, kind: RegistrationType) -> Request<'_> {
    Request { method: "REGISTER", request_uri: "sip:ims.example", registration: Some(kind), ..message(headers) }
}

fn spt(condition: Condition, groups: &[u32], negated: bool) -> Spt {
    Spt { negated, groups: groups.to_vec(), condition, registration_types: Vec::new() }
}

fn criteria(priority: u32, trigger: Option<TriggerPoint>) -> InitialFilterCriteria {
    let server = ApplicationServer {
        server_name: format!("sip:as{priority}.example"),
        terminate_on_failure: false,
        service_info: None,
        include_register_request: false,
        include_register_response: false,
    };
    InitialFilterCriteria { priority, trigger, server, registered_part: None }
}

fn compiled(criteria: &[InitialFilterCriteria]) -> FilterCriteria {
    let mut faults = Vec::new();
    let compiled = FilterCriteria::compile(criteria, &mut faults);
    assert_eq!(faults, []);
    compiled
}

/// Criteria with one condition.
fn single(condition: Condition) -> FilterCriteria {
    let trigger = TriggerPoint { cnf: true, conditions: vec![spt(condition, &[0], false)] };
    compiled(&[criteria(0, Some(trigger))])
}

fn meets(criteria: &FilterCriteria, request: &Request<'_>) -> bool {
    criteria.matching(request).next().is_some()
}

fn priorities(criteria: &FilterCriteria, request: &Request<'_>) -> Vec<u32> {
    criteria.matching(request).map(|c| c.priority).collect()
}

#[test]
fn groups_and_negation_as_the_vectors_say() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut cases, mut rows) = (0, 0);
    for case in file["trigger_evaluation"].as_array().unwrap() {
        let conditions = case["spt"].as_array().unwrap().iter().map(|s| {
            // Each fact of the table is a header that is there or not.
            let header = s["condition"].as_str().unwrap().to_owned();
            let groups = s["groups"].as_array().unwrap().iter();
            let groups: Vec<u32> = groups.map(|g| g.as_u64().unwrap().try_into().unwrap()).collect();
            spt(Condition::SipHeader { header, content: None }, &groups, s["negated"] == 1)
        });
        let trigger = TriggerPoint { cnf: case["condition_type_cnf"] == 1, conditions: conditions.collect() };
        let criteria = compiled(&[criteria(0, Some(trigger))]);
        for row in case["table"].as_array().unwrap() {
            let facts = row["facts"].as_object().unwrap();
            let there = facts.iter().filter(|(_, holds)| **holds == true);
            let headers = Lines(there.map(|(name, _)| (name.clone(), String::new())).collect());
            let expected = row["match"].as_bool().unwrap();
            assert_eq!(meets(&criteria, &message(&headers)), expected, "{} {facts:?}", case["id"]);
            rows += 1;
        }
        cases += 1;
    }
    assert_eq!((cases, rows), (7, 36));
}

#[test]
fn criteria_of_the_user_data_vectors() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let valid = file["user_data"].as_array().unwrap().iter().filter(|case| case["valid"] == true);
    let mut with_criteria = 0;
    for case in valid {
        let subscription = ImsSubscription::parse(case["xml"].as_str().unwrap().as_bytes()).unwrap();
        let compiled = compiled(&subscription.profiles[0].filter_criteria);
        with_criteria += usize::from(!compiled.is_empty());
        if case["id"] == "ifc-register-includes" {
            // RegistrationType 0 and 2.
            use RegistrationType::{DeRegistration, InitialRegistration, ReRegistration};
            let met =
                [InitialRegistration, ReRegistration, DeRegistration].map(|t| meets(&compiled, &register(&(), t)));
            assert_eq!(met, [true, false, true]);
            assert!(!meets(&compiled, &message(&())));
        }
    }
    assert!(with_criteria >= 1, "{with_criteria}");
}

#[test]
fn without_trigger_point_always_and_by_priority() {
    let all = compiled(&[criteria(7, None), criteria(0, None), criteria(3, None)]);
    assert_eq!(priorities(&all, &message(&())), [0, 3, 7]);
    assert_eq!(priorities(&all, &register(&(), RegistrationType::DeRegistration)), [0, 3, 7]);
    assert_eq!(all.iter().count(), 3);
}

#[test]
fn request_uri_and_method() {
    let uri = |pattern: &str| meets(&single(Condition::RequestUri(pattern.into())), &message(&()));
    assert!(uri("sip:.*@ims\\.example") && uri("12345") && uri("^sip:\\+[0-9]{8}@"));
    assert!(!uri("tel:.*") && !uri("^12345"));
    let method = |name: &str| meets(&single(Condition::Method(name.into())), &message(&()));
    assert!(method("MESSAGE") && !method("message") && !method("REGISTER"));
}

#[test]
fn sip_headers_by_name_and_content() {
    let header = |name: &str, content: Option<&str>, there: &[(&str, &str)]| {
        let condition = Condition::SipHeader { header: name.into(), content: content.map(Into::into) };
        meets(&single(condition), &message(&lines(there)))
    };
    let there =
        [("Accept-Contact", "*;+g.3gpp.icsi-ref=\"urn%3Aurn-7%3Amm\""), ("Event", "reg"), ("Event", "presence")];
    assert!(header("event", None, &there) && header("Event", Some("presence"), &there));
    assert!(header("Accept-Contact", Some("icsi-ref=\"urn%3Aurn-7"), &there));
    assert!(!header("Event", Some("^dialog$"), &there) && !header("Subject", None, &there));
    assert!(!header("Contact", None, &there), "a part of a name is another name");
    assert!(header(".*-Contact", Some("^\\*;"), &there));
    // Name and content are those of one header.
    assert!(!header("Event", Some("icsi"), &there));
}

#[test]
fn session_description_by_line_and_content() {
    let sdp =
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 49170 RTP/AVP 0\r\nm=video 1 RTP/AVP 31\r\n";
    let holds = |line: &str, content: Option<&str>, session_description| {
        let condition = Condition::SessionDescription { line: line.into(), content: content.map(Into::into) };
        meets(&single(condition), &Request { session_description, method: "INVITE", ..message(&()) })
    };
    assert!(holds("m", Some("^video "), sdp) && holds("m", None, sdp) && holds("c", Some("192\\.0"), sdp));
    assert!(!holds("m", Some("^text "), sdp) && !holds("a", None, sdp) && !holds("m", None, ""));
}

#[test]
fn session_case_and_part_of_the_profile() {
    use SessionCase::{OriginatingCdiv, OriginatingRegistered, OriginatingUnregistered};
    use SessionCase::{TerminatingRegistered, TerminatingUnregistered};
    let all = [
        OriginatingRegistered,
        TerminatingRegistered,
        TerminatingUnregistered,
        OriginatingUnregistered,
        OriginatingCdiv,
    ];
    for (number, case) in (0..).zip(all) {
        let criteria = single(Condition::SessionCase(number));
        for other in all {
            let request = Request { session_case: other, ..message(&()) };
            assert_eq!(meets(&criteria, &request), other == case, "{number} {other:?}");
        }
    }
    for (part, expected) in [
        (None, [true, true, true, true, true]),
        (Some(true), [true, true, false, false, true]),
        (Some(false), [false, false, true, true, true]),
    ] {
        let criteria = compiled(&[InitialFilterCriteria { registered_part: part, ..criteria(0, None) }]);
        let met = all.map(|session_case| meets(&criteria, &Request { session_case, ..message(&()) }));
        assert_eq!(met, expected, "{part:?}");
    }
}

#[test]
fn registration_type_counts_for_register_only() {
    use RegistrationType::{DeRegistration, InitialRegistration, ReRegistration};
    let with = |method: &str, types: &[u8]| {
        let spt = Spt { registration_types: types.to_vec(), ..spt(Condition::Method(method.into()), &[0], false) };
        compiled(&[criteria(0, Some(TriggerPoint { cnf: false, conditions: vec![spt] }))])
    };
    let met = |criteria: &FilterCriteria| {
        [InitialRegistration, ReRegistration, DeRegistration].map(|kind| meets(criteria, &register(&(), kind)))
    };
    assert_eq!(met(&with("REGISTER", &[])), [true, true, true]);
    assert_eq!(met(&with("REGISTER", &[0])), [true, false, false]);
    assert_eq!(met(&with("REGISTER", &[1, 2])), [false, true, true]);
    assert!(meets(&with("MESSAGE", &[2]), &message(&())));
}

#[test]
fn a_condition_that_cannot_be_read_never_holds_and_is_told() {
    for negated in [false, true] {
        let unreadable = Condition::RequestUri("+99912345".into());
        let conditions = vec![spt(unreadable, &[0], negated), spt(Condition::Method("MESSAGE".into()), &[1], false)];
        let mut faults = Vec::new();
        let of = |cnf| criteria(4, Some(TriggerPoint { cnf, conditions: conditions.clone() }));
        let cnf = FilterCriteria::compile(&[of(true)], &mut faults);
        assert!(!meets(&cnf, &message(&())));
        let [PatternFault { priority: 4, element: "RequestURI", .. }] = &faults[..] else { panic!("{faults:?}") };
        let text = faults[0].to_string();
        assert_eq!(
            text,
            "filter criteria 4: RequestURI is no regular expression: repetition operator missing expression"
        );
        // The other group is as good as ever.
        let dnf = FilterCriteria::compile(&[of(false)], &mut faults);
        assert!(meets(&dnf, &message(&())));
    }
}

proptest! {
    /// Whatever the HSS sends is read or reported, and held against requests without harm.
    #[test]
    fn any_pattern_is_read_or_told(pattern in any::<String>(), value in any::<String>()) {
        let conditions = [
            Condition::RequestUri(pattern.clone()),
            Condition::SipHeader { header: pattern.clone(), content: Some(pattern.clone()) },
            Condition::SessionDescription { line: pattern.clone(), content: Some(pattern) },
        ];
        for condition in conditions {
            let trigger = TriggerPoint { cnf: true, conditions: vec![spt(condition, &[0], true)] };
            let mut faults = Vec::new();
            let compiled = FilterCriteria::compile(&[criteria(0, Some(trigger))], &mut faults);
            let headers = lines(&[("Subject", &*value)]);
            let met = meets(&compiled, &Request { request_uri: &value, session_description: &value, ..message(&headers) });
            prop_assert!(faults.is_empty() || !met);
        }
    }

    /// A bracket expression of single characters holds for these and no others.
    #[test]
    fn a_bracket_expression_is_a_set(set in "[]-~\\[^&a-c-]{1,8}", value in "[]-~\\[^&a-d-]") {
        // `-` between two characters is a range and `^` at the front a negation; both are for other tests.
        let set: String = set.chars().filter(|c| !matches!(c, '-' | '^' | ']')).collect();
        prop_assume!(!set.is_empty());
        let criteria = single(Condition::RequestUri(format!("^[{set}]$")));
        let met = meets(&criteria, &Request { request_uri: &value, ..message(&()) });
        prop_assert_eq!(met, set.contains(&value), "{} {}", set, value);
    }
}
