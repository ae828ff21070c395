//! The recorded UE against our core.

use crate::common::Recorder;
use crate::stage::{
    Shared, captured, course, faults, lab_keys, lab_store, of_capture, profile, scripts, shared, simulated, stage,
};
use imsreg::capture::Entry;
use imsreg::replay::{Known, Outcome, Report, Script};
use imsreg::sim::replay::{Stage, subscriber};
use imsreg::sip::{HeaderName, Message};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

fn operator() -> Script {
    let mut scripts = scripts(&operator_text());
    assert_eq!(scripts.len(), 1);
    scripts.remove(0)
}

fn operator_text() -> Vec<u8> {
    let name = |name: &str| format!("{}/tests/data/seeds/{name}.sip", env!("CARGO_MANIFEST_DIR"));
    let names = ["ims-01-register", "ims-02-401", "ims-03-register-auth", "ims-04-200"];
    let texts = names.map(|file| std::fs::read_to_string(name(file)).expect("in the repository"));
    texts.join("\r\n\r\n").into_bytes()
}

fn of_operator(settings: &[&str]) -> Report {
    let (script, profile) = (operator(), profile("huawei-460-60", settings));
    let store = subscriber(&script, &Known::Nothing).expect("a subscriber");
    stage(&profile, Known::Nothing).core(&script, store, ()).unwrap()
}

#[test]
fn the_operator_trace_without_k() {
    let report = of_operator(&[]);
    assert_eq!(course(&report), ["sent REGISTER", "came 401 to REGISTER", "sent REGISTER", "came 200 to REGISTER"]);
    assert_eq!(faults(&report), [""; 0]);
    assert!(report.is_same());
}

#[test]
fn a_core_that_differs_is_found() {
    let changes = [
        (
            "scscf.extra_headers_in_200={}",
            "200 to REGISTER: accept-resource-priority[0]: \"wps.4\" recorded, nothing came",
        ),
        ("scscf.expires={max: 800s}", "200 to REGISTER: Contact[0] ;expires: \"900\" recorded, \"800\" came"),
        (
            "pcscf.algorithms=[[hmac-md5-96, aes-cbc]]",
            "401 to REGISTER: Security-Server[0] ;alg: \"hmac-sha-1-96\" recorded, \"hmac-md5-96\" came",
        ),
        ("pcscf.strip_from_answers=[]", "200 to REGISTER: Service-Route[0]: nothing recorded, \"<sip:"),
    ];
    for (setting, found) in changes {
        let report = of_operator(&[setting]);
        assert!(faults(&report).iter().any(|fault| fault.starts_with(found)), "{setting}: {:#?}", faults(&report));
        assert!(!report.is_same());
    }
}

#[test]
fn what_nobody_wants_to_know_does_not_matter() {
    let (script, profile) = (operator(), profile("huawei-460-60", &["scscf.extra_headers_in_200={}"]));
    let store = subscriber(&script, &Known::Nothing).expect("a subscriber");
    let ignored = vec!["Accept-Resource-Priority".to_owned()];
    let report = Stage { ignored, ..stage(&profile, Known::Nothing) }.core(&script, store, ()).unwrap();
    assert_eq!(faults(&report), [""; 0]);
}

/// A challenge of its own cannot be answered without K: that is said, and the play ends.
#[test]
fn another_challenge_without_k() {
    let script = simulated("first-registration", &[]).remove(0);
    let profile = profile("lab", &[]);
    let report = stage(&profile, Known::Nothing).core(&script, lab_store(&profile), ()).unwrap();
    let why = report.entries.iter().find_map(|entry| match &entry.outcome {
        Outcome::NotSent(why) => Some(why.as_str()),
        _ => None,
    });
    assert!(why.is_some_and(|why| why.contains("without K")), "{:?}", course(&report));
    assert!(!report.is_same());
}

const SCENARIOS: [(&str, &[&str]); 5] = [
    ("first-registration", &[]),
    ("refresh", &[]),
    ("re-authentication", &["scscf.challenge=always"]),
    ("reg-event", &[]),
    ("life", &[]),
];

#[test]
fn our_own_captures_show_no_difference_with_k() {
    for (scenario, own) in SCENARIOS {
        for settings in
            [&[][..], &["ue.transport=tcp"], &["pcscf.listen=[\"[::1]:5060\"]", "pcscf.core=127.0.0.1:5060"]]
        {
            let profile = profile("lab", &[own, settings].concat());
            for script in simulated(scenario, settings) {
                let known = Known::Keys(lab_keys(&script));
                let report = stage(&profile, known).core(&script, lab_store(&profile), ()).unwrap();
                assert_eq!(faults(&report), [""; 0], "{scenario} {settings:?}: {:#?}", course(&report));
                assert!(report.is_same(), "{scenario}");
            }
        }
    }
}

#[test]
fn our_own_captures_show_no_difference_with_recorded_vectors() {
    let profile = profile("lab", &["pcscf.accept_challenge_without_keys=true"]);
    for script in simulated("first-registration", &[]) {
        let store = subscriber(&script, &Known::Nothing).expect("a subscriber");
        let report = stage(&profile, Known::Nothing).core(&script, store, ()).unwrap();
        assert_eq!(faults(&report), [""; 0], "{:#?}", course(&report));
    }
}

#[test]
fn with_k_esp_is_carried() {
    let profile = profile("lab", &["pcscf.sec_agree=required"]);
    let script = simulated("first-registration", &[]).remove(0);
    let known = Known::Keys(lab_keys(&script));
    let stage = Stage { esp: true, ..stage(&profile, known) };
    let report = stage.core(&script, lab_store(&profile), Recorder::default()).unwrap();
    assert_eq!(faults(&report), [""; 0], "{:#?}", course(&report));
}

/// What must be fresh is: no Call-ID, tag, branch or SPI of one play is that of another, or of the recording.
#[test]
fn what_must_be_fresh_is() {
    let profile = profile("lab", &[]);
    let recorded = captured("first-registration");
    let script = of_capture(&recorded).remove(0);
    let known = Known::Keys(lab_keys(&script));
    let mut plays = vec![fresh(&recorded)];
    for seed in [101, 102] {
        let record = Rc::new(RefCell::new(Recorder::default()));
        let stage = Stage { seed, ..stage(&profile, known.clone()) };
        stage.core(&script, lab_store(&profile), Shared(Rc::clone(&record))).unwrap();
        plays.push(fresh(&record.borrow().capture.entries));
    }
    assert_eq!(plays[0].len(), 10);
    for (at, value) in plays[0].iter().enumerate() {
        let [a, b, c] = [value, &plays[1][at], &plays[2][at]];
        assert!(a != b && b != c && a != c, "{a} {b} {c}");
    }
}

/// Branch, tag of From, Call-ID, SPIs of the two REGISTERs of a UE.
fn fresh(entries: &[Entry]) -> Vec<String> {
    let hops = entries.iter().filter_map(|entry| if let Entry::Hop(hop) = entry { Some(hop) } else { None });
    let mut all = Vec::new();
    for hop in hops {
        let Ok(message) = Message::parse(&hop.bytes) else { continue };
        let Ok(client) = message.security(HeaderName::SecurityClient) else { continue };
        let Some(first) = client.0.first().filter(|_| message.status().is_none()) else { continue };
        let via = message.via().unwrap();
        all.extend(
            [via.branch(), message.from().unwrap().tag(), message.call_id().ok()].map(|v| v.unwrap().to_owned()),
        );
        all.extend([first.spi_c, first.spi_s].map(|spi| spi.unwrap().to_string()));
    }
    all
}

/// Phones with a password, whose recorded answer serves: what differs is what the recorded registrar does otherwise.
#[test]
fn recorded_digests_of_the_seed_documents() {
    let ours = ["Path[0]", "Service-Route[0]", "P-Associated-URI[0]"];
    for (name, of_401, of_200) in [
        ("gb28181", &[][..], ["Expires[0]", "Contact[0] ;expires"]),
        ("hikvision", &["User-Agent[0]", "Expires[0]"], ["User-Agent[0]", "Contact[0] ;expires"]),
    ] {
        let names = ["01-register", "02-401", "03-register-auth", "04-200"];
        let read = |part: &str| {
            let path = format!("{}/tests/data/seeds/{name}-{part}.sip", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).expect("in the repository")
        };
        let scripts = scripts(names.map(read).join("\r\n\r\n").as_bytes());
        let script = &scripts[0];
        let realm = format!("realm={}", script.realm().expect("a domain"));
        let profile = profile(name, &[&realm]);
        let store = subscriber(script, &Known::Nothing).expect("a subscriber");
        let report = stage(&profile, Known::Nothing).core(script, store, ()).unwrap();
        assert_eq!(course(&report).len(), 4, "{name}: {:#?} {:#?}", course(&report), faults(&report));
        let found = report.entries.iter().filter_map(|entry| match &entry.outcome {
            Outcome::Came(comparison) => Some(comparison.faults().map(|item| item.at.clone()).collect::<Vec<_>>()),
            _ => None,
        });
        let of_200: Vec<&str> = of_200.into_iter().chain(ours).collect();
        assert_eq!(found.collect::<Vec<_>>(), [of_401.to_vec(), of_200], "{name}");
    }
}

/// Whatever stands in a recording: nothing panics, and the play ends.
#[test]
fn a_recording_with_any_octet_changed() {
    let text = operator_text();
    let profile = profile("huawei-460-60", &[]);
    for at in (0..text.len()).step_by(31) {
        let mut changed = text.clone();
        changed[at] = [b';', b':', b'[', 0xe9, b'9', b'<', b' '][at % 7];
        for script in scripts(&changed) {
            let Some(store) = subscriber(&script, &Known::Nothing) else { continue };
            let report = stage(&profile, Known::Nothing).core(&script, store, ()).unwrap();
            assert!(!report.entries.is_empty(), "octet {at}");
        }
    }
}

/// Any trace is played to its end, whatever comes of it: no message of a script is left without a word.
#[test]
fn every_trace_of_the_corpus_is_played_to_its_end() {
    let all = [shared("corpus/pcap"), shared("corpus/dumps"), shared("corpus/seeds")].concat();
    if all.is_empty() {
        println!("not run: no corpus beside the repository (IMSREG_SHARED)");
        return;
    }
    let mut played = 0;
    for path in all {
        let bytes = std::fs::read(&path).expect("readable");
        for script in scripts(&bytes) {
            let realm = format!("realm={}", script.realm().unwrap_or_default());
            let profile = profile("lab", &["pcscf.accept_challenge_without_keys=true", &realm]);
            let Some(store) = subscriber(&script, &Known::Nothing) else { continue };
            let report = stage(&profile, Known::Nothing).core(&script, store, ()).unwrap();
            let told: BTreeSet<u64> = report.entries.iter().filter_map(|entry| entry.message).collect();
            assert_eq!(told.len(), script.len(), "{}: {:#?}", path.display(), course(&report));
            played += 1;
        }
    }
    assert!(played >= 20, "{played}");
}
