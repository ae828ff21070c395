use super::*;
use crate::conformance::{End, Failure, Recording};
use crate::time::Duration;
use quick_xml::Reader;
use quick_xml::events::Event;

/// A UE that registers in clear, whose network lets CK and IK out.
const TRACE: &str = "\
2026/01/01 10:00:00.000000 10.64.0.1:5060 -> 127.0.0.1:5060\n\
REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.64.0.1:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
From: <sip:alice@a.example>;tag=1\r\nTo: <sip:alice@a.example>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n\
Contact: <sip:10.64.0.1:5060>\r\nContent-Length: 0\r\n\r\n\n\
2026/01/01 10:00:00.100000 127.0.0.1:5060 -> 10.64.0.1:5060\n\
SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 10.64.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:alice@a.example>;tag=1\r\n\
To: <sip:alice@a.example>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\nWWW-Authenticate: Digest realm=\"a.example\", \
nonce=\"AAAA\", algorithm=AKAv1-MD5, ck=\"00112233445566778899aabbccddeeff\", ik=\"ffeeddccbbaa99887766554433221100\"\r\n\
Content-Length: 0\r\n\r\n";

fn outcome(id: &str, group: &str, rules: &[&str], verdict: Verdict) -> Outcome {
    let address = "10.64.0.1".parse().expect("an address");
    let recording = Recording {
        capture: TRACE.as_bytes().to_vec(),
        ues: vec![End::host(address)],
        network: Vec::new(),
        names: Vec::new(),
        keys: Vec::new(),
        setting: Setting::full(false),
        control: true,
    };
    Outcome {
        id: id.into(),
        group: group.into(),
        about: "a \"fault\" <made> on purpose & for a test\u{1}".into(),
        accused: Accused::Ue,
        rules: rules.iter().map(|rule| (*rule).into()).collect(),
        clause: "TS 24.229 clause 5.1.1.5.1".into(),
        severity: Severity::Error,
        verdict,
        recording: Some(recording),
        took: Duration::from_millis(1_500),
    }
}

fn failure(rule: Option<&'static str>, severity: Severity) -> Failure {
    Failure {
        rule,
        severity,
        clause: "RFC 3329 clause 2.3.1".into(),
        expected: "no REGISTER <in clear>".to_owned(),
        found: "REGISTER & \u{0}".to_owned(),
        messages: vec![1, 2],
    }
}

fn run() -> Run {
    let fails = Verdict::Failed(vec![failure(None, Severity::Error), failure(Some("SA-46"), Severity::Error)]);
    let warns = Verdict::Failed(vec![failure(Some("SA-07"), Severity::Warning)]);
    Run {
        accused: Accused::Ue,
        target: "self".to_owned(),
        setting: Setting::full(false),
        control: None,
        at_end: AtEnd::NotPlayed,
        outcomes: vec![
            outcome("sound", "answers", &["SA-42"], Verdict::Passed),
            outcome("broken", "server", &["SA-42", "SA-43"], fails),
            outcome("odd", "server", &["SA-07"], warns),
            outcome("unseen", "server", &["SA-42"], Verdict::NotObservable("no keys <&>".to_owned())),
            outcome("esp", "life", &[], Verdict::NotApplicable("needs esp".to_owned())),
            outcome("late", "life", &[], Verdict::NotJudged("left out".to_owned())),
        ],
    }
}

/// Every element is closed, and every text and attribute can be read: the names of the elements.
fn elements(document: &str) -> Vec<String> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().check_end_names = true;
    let (mut found, mut depth) = (Vec::new(), 0_usize);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) | Event::Empty(start) => {
                start.attributes().for_each(|attribute| {
                    attribute
                        .expect("an attribute")
                        .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                        .expect("a text");
                });
                found.push(String::from_utf8(start.name().as_ref().to_vec()).expect("UTF-8"));
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            Event::Text(text) => {
                let text = text.decode().expect("UTF-8");
                assert!(text.chars().all(|c| c >= ' ' || matches!(c, '\n' | '\t')), "{text:?}");
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let _ = depth;
    found
}

#[test]
fn verdicts_are_counted_by_group_and_by_rule() {
    let run = run();
    let counts = run.counts();
    assert_eq!(counts, Counts { passed: 1, failed: 2, not_observable: 1, not_applicable: 1, not_judged: 1 });
    assert_eq!(counts.all(), run.outcomes.len());
    let groups: Vec<(&str, usize)> = run.by_group().iter().map(|(group, counts)| (*group, counts.all())).collect();
    assert_eq!(groups, [("answers", 1), ("server", 3), ("life", 2)]);
    let rules: Vec<(&str, usize, usize)> =
        run.by_rule().iter().map(|(rule, counts)| (rule.id, counts.passed, counts.failed)).collect();
    // SA-46 fails in a case that does not name it.
    assert_eq!(rules, [("SA-07", 0, 1), ("SA-42", 1, 1), ("SA-43", 0, 1), ("SA-46", 0, 1)]);
    assert_eq!(run.failure().as_deref(), Some("1 case fails with severity error"));
}

#[test]
fn a_terminal_gets_a_line_a_case_and_a_table() {
    let run = run();
    let line = table::progress(2, 100, &run.outcomes[1]);
    assert!(line.starts_with("  2/100  failed          broken  1.5 s: expected no REGISTER <in clear>"), "{line}");
    let end = table::end(&run);
    for part in
        ["what was done: a \"fault\"", "RFC 3329 clause 2.3.1", "SA-46", "sent:      message 2, P-CSCF to UE: 401", "▶"]
    {
        assert!(end.contains(part), "{part}: {end}");
    }
    let all = end.lines().find(|line| line.starts_with("all")).expect("the last row");
    assert_eq!(all.split_whitespace().collect::<Vec<_>>(), ["all", "1", "2", "1", "1", "1"]);
}

#[test]
fn scripts_get_an_object_a_case_and_a_report() {
    let run = run();
    let case = json::case(Duration::from_secs(3), &run.outcomes[1]);
    assert_eq!((&case["event"], &case["at"], &case["verdict"]), (&"case".into(), &3.0.into(), &"failed".into()));
    assert_eq!(case["failures"][0]["shown"][1]["number"], 2, "{case:#}");
    assert!(case["ladder"].as_str().is_some_and(|ladder| ladder.contains("401")), "{case:#}");
    let report = json::report(Duration::from_secs(4), &run);
    assert_eq!((&report["event"], &report["ok"]), (&"report".into(), &false.into()));
    assert_eq!((&report["summary"]["failed"], &report["failed"][0]), (&2.into(), &"broken".into()));
    assert_eq!(report["rules"][1]["rule"], "SA-42");
    let sound = Run { outcomes: vec![run.outcomes[0].clone()], ..run };
    assert_eq!(json::report(Duration::ZERO, &sound)["failure"], serde_json::Value::Null);
}

#[test]
fn build_servers_get_well_formed_xml() {
    let xml = junit::junit(&run());
    let elements = elements(&xml);
    let count = |name: &str| elements.iter().filter(|element| *element == name).count();
    assert_eq!((count("testsuite"), count("testcase"), count("failure"), count("skipped")), (3, 6, 1, 3), "{xml}");
    let blind = Run { control: Some("no answer".to_owned()), ..run() };
    assert!(junit::junit(&blind).contains("did not succeed"));
}

#[test]
fn every_report_tells_that_the_accused_stopped_serving() {
    let stopped = Run { at_end: AtEnd::Failed("no <answer>".to_owned()), ..run() };
    let said = "the control registration behind the last case did not succeed: no <answer>";
    let whole = format!("1 case fails with severity error; {said}");
    assert_eq!(stopped.failure().as_deref(), Some(&*whole));
    let quiet = Run { outcomes: Vec::new(), ..stopped.clone() };
    assert_eq!(quiet.failure().as_deref(), Some(said));
    let text = table::end(&stopped);
    assert!(text.contains("no sound registration is served any more") && text.contains(said), "{text}");
    let report = json::report(Duration::ZERO, &stopped);
    assert_eq!((&report["control_at_end"], &report["failure"]), (&false.into(), &whole.into()));
    let xml = junit::junit(&stopped);
    assert!(xml.contains("control at the end") && xml.contains("behind the last case"), "{xml}");
    let page = html::html(&stopped);
    assert!(page.contains("No sound registration") && page.contains("no &lt;answer&gt;"), "{page}");
    assert_eq!(elements(&xml).iter().filter(|element| *element == "failure").count(), 2);
    assert!(!elements(&page).is_empty());
    let served = Run { at_end: AtEnd::Succeeded, ..run() };
    assert_eq!(json::report(Duration::ZERO, &served)["control_at_end"], true);
    assert_eq!(json::report(Duration::ZERO, &run())["control_at_end"], serde_json::Value::Null);
    assert!(served.failure() == run().failure() && !html::html(&served).contains("No sound registration"));
}

#[test]
fn people_get_one_well_formed_page_with_ladders() {
    let page = html::html(&run());
    let elements = elements(&page);
    let count = |name: &str| elements.iter().filter(|element| *element == name).count();
    assert_eq!((count("svg"), count("h3"), count("details")), (2, 2, 12), "{page}");
    // It needs nothing else.
    assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("<link"), "{page}");
}

#[test]
fn keys_are_in_no_report() {
    let run = run();
    let texts = [
        table::end(&run),
        json::case(Duration::ZERO, &run.outcomes[1]).to_string(),
        json::report(Duration::ZERO, &run).to_string(),
        junit::junit(&run),
        html::html(&run),
    ];
    for text in texts {
        assert!(!text.contains("00112233") && !text.contains("ffeeddcc"), "{text}");
    }
}
