//! `ifc`: initial filter criteria of a subscriber (TS 29.228 annexes B and F).

use crate::config::fault::Collector;
use crate::config::read::{Fields, Leaf, Path};
use crate::config::value::{FLAG, NUMBER, SIP_URI, TEXT, TOKEN};
use crate::config::yaml::Node;
use crate::cx::filter::FilterCriteria;
use crate::cx::user_data::{ApplicationServer, Condition, InitialFilterCriteria, Spt, TriggerPoint};

/// The list; what is wrong is noted.
pub(in crate::config) fn read(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Vec<InitialFilterCriteria>> {
    let items = f.items("ifc", faults)?;
    let path = Path::Key(&f.path, "ifc");
    let mut all: Vec<InitialFilterCriteria> = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let path = Path::Index(&path, i);
        let Some(criteria) = one(item, path, i, faults) else { continue };
        if all.iter().any(|other| other.priority == criteria.priority) {
            let message = format!("priority {} given twice, one for each criteria expected", criteria.priority);
            faults.at(item, path, message);
        }
        all.push(criteria);
    }
    Some(all)
}

fn one(node: &Node, path: Path<'_>, place: usize, faults: &mut Collector) -> Option<InitialFilterCriteria> {
    let before = faults.len();
    let mut f = Fields::new(node, path, faults);
    let by_place = u32::try_from(place).unwrap_or(u32::MAX);
    let priority = f.leaf("priority", NUMBER, faults).unwrap_or(by_place);
    let server_name = f.leaf("server", SIP_URI, faults);
    if server_name.is_none() && f.get("server").is_none() {
        f.missing("server", SIP_URI.expected, faults);
    }
    let terminate_on_failure = f.leaf("default_handling", DEFAULT_HANDLING, faults).unwrap_or(false);
    let service_info = f.leaf("service_info", TEXT, faults).map(Into::into);
    let include = f.list("include", INCLUDE, faults).unwrap_or_default();
    let registered_part = f.leaf("profile_part", PROFILE_PART, faults);
    let cnf = f.leaf("cnf", FLAG, faults).unwrap_or(false);
    let conditions = f.items("conditions", faults).unwrap_or_default();
    let conditions_path = Path::Key(&f.path, "conditions");
    let conditions: Vec<Spt> = (conditions.iter().enumerate())
        .filter_map(|(i, node)| condition(node, Path::Index(&conditions_path, i), faults))
        .collect();
    f.finish(faults);
    let server = ApplicationServer {
        server_name: server_name?.into(),
        terminate_on_failure,
        service_info,
        include_register_request: include.contains(&Part::Request),
        include_register_response: include.contains(&Part::Response),
    };
    let trigger = (!conditions.is_empty()).then_some(TriggerPoint { cnf, conditions });
    let criteria = InitialFilterCriteria { priority, trigger, server, registered_part };
    let mut unreadable = Vec::new();
    FilterCriteria::compile(std::slice::from_ref(&criteria), &mut unreadable);
    let is_sound = faults.len() == before;
    for fault in unreadable.iter().filter(|_| is_sound) {
        faults.at(node, path, fault.to_string());
    }
    Some(criteria)
}

/// One service point trigger: exactly one of the keys that say what is looked at.
fn condition(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<Spt> {
    let mut f = Fields::new(node, path, faults);
    let negated = f.leaf("not", FLAG, faults).unwrap_or(false);
    let groups = f.list("group", NUMBER, faults).unwrap_or_else(|| vec![0]);
    let method = f.leaf("method", TOKEN, faults).map(|m| Condition::Method(m.into()));
    let request_uri = f.leaf("request_uri", TEXT, faults).map(|uri| Condition::RequestUri(uri.into()));
    let session_case = f.leaf("session_case", SESSION_CASE, faults).map(Condition::SessionCase);
    let content: Option<String> = f.leaf("content", TEXT, faults).map(Into::into);
    let header = f.leaf("header", TEXT, faults);
    let header = header.map(|h| Condition::SipHeader { header: h.into(), content: content.clone() });
    let line = f.leaf("sdp_line", TEXT, faults);
    let line = line.map(|line| Condition::SessionDescription { line: line.into(), content });
    let registration_types = f.list("registration_type", REGISTRATION_TYPE, faults).unwrap_or_default();
    f.finish(faults);
    let mut given: Vec<Condition> = [method, request_uri, session_case, header, line].into_iter().flatten().collect();
    if given.len() != 1 {
        let message = format!("{} conditions found, one of {SUBJECTS} expected", given.len());
        faults.at(node, path, message);
        return None;
    }
    let condition = given.pop().expect("its length is 1");
    Some(Spt { negated, groups, condition, registration_types })
}

/// What `include` may name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Request,
    Response,
}

const SUBJECTS: &str = "method, request_uri, session_case, header or sdp_line";

const INCLUDE: Leaf<Part> = Leaf {
    read: |t| match t {
        "request" => Some(Part::Request),
        "response" => Some(Part::Response),
        _ => None,
    },
    expected: "request or response",
};

const DEFAULT_HANDLING: Leaf<bool> = Leaf {
    read: |t| match t {
        "continue" => Some(false),
        "terminate" => Some(true),
        _ => None,
    },
    expected: "continue or terminate",
};

const PROFILE_PART: Leaf<bool> = Leaf {
    read: |t| match t {
        "registered" => Some(true),
        "unregistered" => Some(false),
        _ => None,
    },
    expected: "registered or unregistered",
};

const SESSION_CASE: Leaf<u8> = Leaf {
    read: |t| match t {
        "originating" => Some(0),
        "terminating" => Some(1),
        "terminating_unregistered" => Some(2),
        "originating_unregistered" => Some(3),
        "originating_cdiv" => Some(4),
        _ => None,
    },
    expected: "originating, terminating, terminating_unregistered, originating_unregistered or originating_cdiv",
};

const REGISTRATION_TYPE: Leaf<u8> = Leaf {
    read: |t| match t {
        "initial" => Some(0),
        "re" => Some(1),
        "de" => Some(2),
        _ => None,
    },
    expected: "initial, re or de",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    const KEYS: &str = "k: 465b5ce8b199b49faa5f0a2ee238a6bc, opc: cd63cb71954a9f4e48a5994e37a02baf";

    /// The criteria of the first subscriber, or what is wrong with the file.
    fn read(text: &str) -> Result<Vec<InitialFilterCriteria>, Vec<String>> {
        testing::read(text, |root, faults| {
            let mut provisions = Vec::new();
            super::super::read_file(root, "x.example", &mut provisions, faults);
            provisions.first().map(|p| p.subscriber.profiles[0].filter_criteria.clone())
        })
    }

    #[test]
    fn every_key_of_ifc_is_read() {
        let text = format!(
            "subscribers:\n  - imsi: \"001010000000001\"\n    {}\n    ifc:\n      - server: sip:as.example:5090\n        \
             priority: 4\n        default_handling: terminate\n        service_info: a <b>\n        \
             include: [request, response]\n        profile_part: unregistered\n        cnf: true\n        conditions:\n          \
             - {{method: REGISTER, registration_type: [initial, de]}}\n          \
             - {{not: true, group: [0, 1], header: Event, content: ^reg$}}\n          - {{session_case: originating_cdiv}}\n          \
             - {{group: 2, request_uri: '^sip:\\+1'}}\n          - {{sdp_line: m, content: ^video}}\n      \
             - server: sip:other.example\n",
            KEYS.replace(", ", "\n    ")
        );
        let criteria = read(&text).unwrap();
        let [first, second] = &criteria[..] else { panic!("{criteria:?}") };
        assert_eq!((first.priority, first.registered_part), (4, Some(false)));
        let server = &first.server;
        assert_eq!((&*server.server_name, server.service_info.as_deref()), ("sip:as.example:5090", Some("a <b>")));
        assert!(server.terminate_on_failure && server.include_register_request && server.include_register_response);
        let trigger = first.trigger.as_ref().unwrap();
        assert!(trigger.cnf);
        let conditions: Vec<(bool, &[u32], &Condition, &[u8])> = (trigger.conditions.iter())
            .map(|spt| (spt.negated, &*spt.groups, &spt.condition, &*spt.registration_types))
            .collect();
        let content = |text: &str| Some(text.to_owned());
        let expected: [(bool, &[u32], Condition, &[u8]); 5] = [
            (false, &[0], Condition::Method("REGISTER".into()), &[0, 2]),
            (true, &[0, 1], Condition::SipHeader { header: "Event".into(), content: content("^reg$") }, &[]),
            (false, &[0], Condition::SessionCase(4), &[]),
            (false, &[2], Condition::RequestUri("^sip:\\+1".into()), &[]),
            (false, &[0], Condition::SessionDescription { line: "m".into(), content: content("^video") }, &[]),
        ];
        assert_eq!(conditions, expected.each_ref().map(|(n, groups, c, types)| (*n, *groups, c, *types)));
        // What is left out: its place as priority, continue, everything.
        assert_eq!((second.priority, &second.trigger, second.registered_part), (1, &None, None));
        assert!(!second.server.terminate_on_failure && !second.server.include_register_request);
    }

    #[test]
    fn defaults_reach_subscribers_and_ranges() {
        let text = format!(
            "defaults: {{ifc: [{{server: \"sip:as.example\"}}]}}\nsubscribers:\n  \
             - {{imsi: \"001010000000001\", range: 3, {KEYS}}}\n"
        );
        assert_eq!(read(&text).unwrap().len(), 1);
        let text = text.replace("range: 3,", "ifc: [],");
        assert_eq!(read(&text).unwrap(), []);
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = format!(
            "subscribers:\n  - imsi: \"001010000000001\"\n    {}\n    ifc:\n      - {{priority: 1}}\n      \
             - {{server: as.example, default_handling: maybe}}\n      \
             - {{server: sip:a, priority: 1, conditions: [{{method: A, header: B}}, {{not: true}}]}}\n      \
             - {{server: sip:a, priority: 7, conditions: [{{request_uri: +1234}}]}}\n      - {{server: sip:a, priority: 7}}\n",
            KEYS.replace(", ", "\n    ")
        );
        let faults = read(&text).unwrap_err();
        let expected = [
            "f.yaml:6:9: subscribers[0].ifc[0].server: missing, a SIP URI such as sip:scscf.example.org:6060 expected",
            "f.yaml:7:18: subscribers[0].ifc[1].server: \"as.example\" found, a SIP URI such as sip:scscf.example.org:6060 expected",
            "f.yaml:7:48: subscribers[0].ifc[1].default_handling: \"maybe\" found, continue or terminate expected",
            "f.yaml:8:51: subscribers[0].ifc[2].conditions[0]: 2 conditions found, one of method, request_uri, session_case, header or sdp_line expected",
            "f.yaml:8:75: subscribers[0].ifc[2].conditions[1]: 0 conditions found, one of method, request_uri, session_case, header or sdp_line expected",
            "f.yaml:9:9: subscribers[0].ifc[3]: filter criteria 7: RequestURI is no regular expression: repetition operator missing expression",
            "f.yaml:10:9: subscribers[0].ifc[4]: priority 7 given twice, one for each criteria expected",
        ];
        assert_eq!(faults, expected);
    }
}
