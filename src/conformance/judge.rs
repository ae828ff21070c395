//! A recording against a case.

use super::seen::Gm;
use super::{Case, Recording, Verdict};

/// What is said of a case that was played.
pub fn judge(case: &Case, recording: &Recording) -> Verdict {
    if let Some(why) = case.obstacle(&recording.setting) {
        return Verdict::NotApplicable(why);
    }
    if !recording.control && case.expects_refusal() {
        return Verdict::NotJudged("the control registration did not succeed".to_owned());
    }
    Gm::read(recording).judge(case)
}

#[cfg(test)]
#[cfg(feature = "live")]
mod tests {
    use super::*;
    use crate::capture::Hop;
    use crate::capture::pcapng::Writer;
    use crate::conformance::{Accused, Condition, End, Expectation, Need, Nth, Party, Selector, Setting, Status, Test};
    use crate::packet::{Protocol, Transport};
    use crate::time::{Duration, Epoch, Instant};
    use crate::validate::Severity;

    /// Milliseconds, whether the UE sends it, start line, CSeq, further headers.
    type Line = (u64, bool, &'static str, &'static str, &'static str);

    const STORY: &[Line] = &[
        (0, true, "REGISTER sip:h SIP/2.0", "1 REGISTER", "Security-Client: ipsec-3gpp;alg=a;spi-c=300\r\n"),
        (50, false, "SIP/2.0 401 No", "1 REGISTER", "Security-Server: ipsec-3gpp;alg=a;ealg=b;spi-c=400\r\n"),
        (90, true, "REGISTER sip:h SIP/2.0", "2 REGISTER", "Security-Verify: ipsec-3gpp;alg=a;ealg=b; spi-c=400\r\n"),
        (500, true, "REGISTER sip:h SIP/2.0", "2 REGISTER", "Security-Verify: ipsec-3gpp;alg=a;ealg=b; spi-c=400\r\n"),
        (9_000, false, "SIP/2.0 403 No", "2 REGISTER", ""),
        (60_000, true, "REGISTER sip:h SIP/2.0", "3 REGISTER", ""),
    ];

    fn recording(lines: &[Line]) -> Recording {
        let (ue, network) = ("10.0.0.7:5060".parse().unwrap(), "10.0.0.1:5060".parse().unwrap());
        let mut capture = Vec::new();
        let mut writer = Writer::new(&mut capture, Epoch::SIMULATION).unwrap();
        for (at, of_ue, start, cseq, headers) in lines {
            let (from, to) = if *of_ue { (ue, network) } else { (network, ue) };
            let number = cseq.split(' ').next().unwrap();
            let text = format!(
                "{start}\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK{number}\r\nFrom: <sip:u@h>;tag=1\r\nTo: <sip:u@h>\r\n\
                 Call-ID: c\r\nCSeq: {cseq}\r\n{headers}Content-Length: 0\r\n\r\n"
            );
            let (at, bytes) = (Instant::from_millis(*at), text.into_bytes());
            let (transport, protocol) = (Transport::Udp, Protocol::Sip);
            writer.hop(&Hop { at, from, to, transport, protocol, sa: None, bytes }).unwrap();
        }
        writer.finish().unwrap();
        let names = vec![("ue1.user".into(), "u".into())];
        let setting = Setting::full(false);
        let ues = vec![End::host("10.0.0.7".parse().unwrap())];
        Recording { capture, ues, network: Vec::new(), names, keys: Vec::new(), setting, control: true }
    }

    fn case(expect: Vec<Expectation>) -> Case {
        Case {
            id: "c".into(),
            group: "g".into(),
            about: "".into(),
            accused: Accused::Pcscf,
            rules: Vec::new(),
            excused: validate_rules(),
            clause: "RFC 3261".into(),
            severity: Severity::Warning,
            needs: Vec::new(),
            waits: None,
            expect,
        }
    }

    /// These traces are no registrations.
    fn validate_rules() -> Vec<Box<str>> {
        crate::validate::rules().map(|rule| rule.id.into()).collect()
    }

    fn verdict(expect: Expectation) -> Verdict {
        judge(&case(vec![expect]), &recording(STORY))
    }

    fn request(nth: Nth) -> Selector {
        Selector { from: Some(Party::Ue), nth, ..Selector::of("REGISTER") }
    }

    fn condition(header: &str, test: Test) -> Condition {
        Condition { header: header.into(), parameter: None, test }
    }

    #[test]
    fn answers_and_their_absence() {
        let answer = |nth, statuses: &[Status]| Expectation::Answer {
            to: request(nth),
            statuses: statuses.to_vec(),
            with: Vec::new(),
        };
        // A retransmission is no request of its own, and a challenge is no 4xx.
        assert_eq!(verdict(answer(Nth::Number(2), &[Status::Class(4)])), Verdict::Passed);
        assert_eq!(verdict(answer(Nth::Number(1), &[Status::Code(401)])), Verdict::Passed);
        let Verdict::Failed(failures) = verdict(answer(Nth::Number(1), &[Status::Class(4)])) else { panic!() };
        assert_eq!((&*failures[0].found, &failures[0].messages[..]), ("401", &[1, 2][..]));
        assert_eq!((failures[0].rule, failures[0].severity), (None, Severity::Warning));
        assert!(matches!(verdict(answer(Nth::Last, &[Status::Code(200)])), Verdict::Failed(_)), "no answer at all");
        assert!(matches!(verdict(answer(Nth::Number(9), &[Status::Code(200)])), Verdict::NotObservable(_)));
        assert_eq!(verdict(Expectation::Silence { to: request(Nth::Last) }), Verdict::Passed);
        assert!(matches!(verdict(Expectation::Silence { to: request(Nth::Number(2)) }), Verdict::Failed(_)));
        assert_eq!(verdict(Expectation::Refused { to: request(Nth::Number(2)) }), Verdict::Passed);
        assert!(matches!(verdict(Expectation::Refused { to: request(Nth::Number(1)) }), Verdict::Failed(_)));
        assert!(matches!(verdict(Expectation::Serves { ue: 1, after: None }), Verdict::Failed(_)));
        assert!(matches!(verdict(Expectation::Serves { ue: 2, after: None }), Verdict::NotObservable(_)));
    }

    #[test]
    fn what_follows_and_when() {
        let follows = |within, after| Expectation::Follows {
            message: Selector { from: Some(Party::Network), ..Selector::of("403") },
            after,
            within: Some(Duration::from_secs(within)),
            with: Vec::new(),
        };
        assert_eq!(verdict(follows(9, None)), Verdict::Passed);
        assert_eq!(verdict(follows(9, Some(Selector::of("401")))), Verdict::Passed);
        assert!(matches!(verdict(follows(8, None)), Verdict::Failed(_)), "too late");
        assert!(matches!(verdict(follows(9, Some(Selector::of("200")))), Verdict::NotObservable(_)));
        let never = |text: &str, within| Expectation::Never {
            message: Selector { has: vec![text.into()], ..Selector::of("") },
            after: Some(Selector::of("401")),
            within,
        };
        assert_eq!(verdict(never("{ue1.user}@elsewhere", None)), Verdict::Passed);
        assert!(matches!(verdict(never("{ue1.user}@h", None)), Verdict::Failed(_)), "names are filled");
        assert!(matches!(verdict(never("CSeq: 3", None)), Verdict::Failed(_)));
        assert_eq!(verdict(never("CSeq: 3", Some(Duration::from_secs(30)))), Verdict::Passed);
        let when = |status| Expectation::When {
            message: Selector::of(status),
            with: Vec::new(),
            then: Box::new(Expectation::Silence { to: request(Nth::Last) }),
        };
        assert_eq!(verdict(when("401")), Verdict::Passed);
        assert!(matches!(verdict(when("423")), Verdict::NotApplicable(_)), "nothing that it is about happened");
    }

    #[test]
    fn conditions() {
        let second = |conditions: Vec<Condition>| Expectation::Follows {
            message: request(Nth::Number(2)),
            after: None,
            within: None,
            with: conditions,
        };
        let holds = |condition: Condition| verdict(second(vec![condition])) == Verdict::Passed;
        assert!(holds(condition("Security-Verify", Test::Copies("Security-Server".into()))));
        assert!(!holds(condition("Security-Verify", Test::Copies("WWW-Authenticate".into()))));
        assert!(holds(condition("CSeq", Test::Next)) && holds(condition("CSeq", Test::Changed)));
        assert!(holds(condition("Call-ID", Test::Same)) && !holds(condition("Call-ID", Test::Changed)));
        assert!(holds(condition("Security-Client", Test::Absent)) && !holds(condition("To", Test::Absent)));
        assert!(holds(condition("Content-Length", Test::AtMost(0))) && !holds(condition("CSeq", Test::AtLeast(3))));
        let parameter = |test| Condition { parameter: Some("spi-c".into()), ..condition("Security-Verify", test) };
        assert!(holds(parameter(Test::Is("400".into()))) && !holds(parameter(Test::IsNot("400".into()))));
        let challenge = |test| Expectation::Follows {
            message: Selector::of("401"),
            after: None,
            within: None,
            with: vec![condition("Security-Server", test)],
        };
        // The UE offered a with null.
        assert_eq!(verdict(challenge(Test::NoPairOf("Security-Client".into()))), Verdict::Passed);
        assert!(matches!(verdict(challenge(Test::Lacks("EALG=B".into()))), Verdict::Failed(_)));
    }

    #[test]
    fn what_cannot_be_judged() {
        let silence = || Expectation::Silence { to: request(Nth::Last) };
        let failed = Recording { control: false, ..recording(STORY) };
        assert!(matches!(judge(&case(vec![silence()]), &failed), Verdict::NotJudged(_)));
        assert!(matches!(judge(&case(vec![silence()]), &recording(&[])), Verdict::NotObservable(_)));
        let mut esp = case(vec![silence()]);
        esp.needs = vec![Need::Esp];
        assert!(matches!(judge(&esp, &recording(STORY)), Verdict::NotApplicable(_)));
        let mut slow = case(vec![silence()]);
        slow.waits = Some(Duration::from_secs(240));
        let fast = Recording { setting: Setting { fast: true, ..Setting::full(false) }, ..recording(STORY) };
        assert!(matches!(judge(&slow, &fast), Verdict::NotApplicable(_)));
        assert_eq!(judge(&slow, &recording(STORY)), Verdict::Passed);
        // A rule that the case names and that cannot be seen keeps it from passing.
        let mut named = case(vec![silence()]);
        named.rules = vec!["NW-01".into()];
        named.excused.retain(|id| **id != *"NW-01");
        assert!(matches!(judge(&named, &recording(STORY)), Verdict::NotObservable(_)));
    }
}
