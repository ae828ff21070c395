//! The systems of the seed documents other than the IMS flow (tests/operator_trace.rs): our core with the profile of each
//! answers their recorded messages, and our UE answers their recorded challenges.
//!
//! Where the password is known the devices are played by what they sent, with the nonce that our core gave and the
//! response that it asks for; where it is not, the challenge of our core is the recorded one and so is the answer.
#![cfg(feature = "live")]

mod common;
#[expect(dead_code, reason = "these devices only register")]
#[path = "common/device.rs"]
mod device;
mod digest_core;

use device::{Device, like};
use digest_core::Core;
use imsreg::aka::digest::{Algorithm, Inputs, Secret, response};
use imsreg::sip::header::contact::Contacts;
use imsreg::sip::header::digest::Digest;
use imsreg::sip::{HeaderName, Message};
use imsreg::ue::UeStatus;
use std::path::{Path, PathBuf};

fn core(profile: &str, subscribers: &str) -> Core {
    Core::with(profile, &[], &in_repository(&format!("hss-data/{subscribers}.yaml")))
}

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn seed(name: &str) -> String {
    let path = in_repository("tests/data/seeds").join(format!("{name}.sip"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn status(text: &str) -> u16 {
    Message::parse(text.as_bytes()).unwrap().status().unwrap()
}

fn header(text: &str, name: HeaderName) -> Option<String> {
    Message::parse(text.as_bytes()).unwrap().header(name).map(str::to_owned)
}

/// The parameters of the first challenge, sorted, without the nonce, which is made anew.
fn challenge(text: &str) -> (String, Vec<(String, String)>) {
    let value = header(text, HeaderName::WwwAuthenticate).expect(text);
    let digest = Digest::parse(HeaderName::WwwAuthenticate, &value).unwrap().unwrap();
    let mut all: Vec<_> = digest.params().map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect();
    all.retain(|(name, _)| name != "nonce");
    all.sort();
    (digest.nonce.unwrap().to_owned(), all)
}

/// The recorded credentials made anew for `nonce`.
fn answering(recorded: &str, nonce: &str, password: &str) -> String {
    let value = header(recorded, HeaderName::Authorization).unwrap();
    let digest = Digest::parse(HeaderName::Authorization, &value).unwrap().unwrap();
    let inputs = |nonce| Inputs {
        algorithm: Algorithm::Md5,
        username: digest.username.unwrap(),
        realm: digest.realm.unwrap(),
        nonce,
        uri: digest.uri.unwrap(),
        method: "REGISTER",
        qop: None,
        body: b"",
    };
    let secret = Secret::Password(password.as_bytes());
    let then = response(&inputs(digest.nonce.unwrap()), secret);
    assert_eq!(digest.response, Some(then.as_str()), "the password is that of the trace");
    let now = response(&inputs(nonce), secret);
    recorded.replacen(digest.nonce.unwrap(), nonce, 1).replacen(then.as_str(), now.as_str(), 1)
}

/// Another branch and another number: a dump shows the same message twice.
fn later(recorded: &str, branch: &str, cseq: u32) -> String {
    let old = header(recorded, HeaderName::CSeq).unwrap();
    let at = recorded.find("branch=").unwrap() + "branch=".len();
    let end = at + recorded[at..].find(['\r', ';']).unwrap();
    let text = format!("{}z9hG4bK{branch}{}", &recorded[..at], &recorded[end..]);
    text.replacen(&format!("CSeq: {old}"), &format!("CSeq: {cseq} REGISTER"), 1)
}

fn contacts(text: &str) -> Vec<String> {
    let message = Message::parse(text.as_bytes()).unwrap();
    let Contacts::List(list) = message.contacts().unwrap() else { panic!("{text}") };
    list.iter().map(|contact| contact.address.uri.text.to_owned()).collect()
}

/// Seed document 2: `Authorization: Capability`, a challenge without algorithm and qop, Date in the 200.
#[test]
fn a_gb28181_camera_registers_and_is_told_the_time() {
    let mut core = core("gb28181", "gb28181");
    let camera = "192.168.10.117:5061";
    let asked = core.hears(camera, &seed("gb28181-01-register"));
    let (nonce, parameters) = challenge(&asked);
    assert_eq!((status(&asked), parameters), (401, challenge(&seed("gb28181-02-401")).1));
    let accepted = core.hears(camera, &answering(&seed("gb28181-03-register-auth"), &nonce, "12345678"));
    assert_eq!(status(&accepted), 200, "{accepted}");
    assert_eq!(contacts(&accepted), contacts(&seed("gb28181-04-200")));
    let (ours, theirs) = [accepted, seed("gb28181-04-200")].map(|text| header(&text, HeaderName::Date).unwrap()).into();
    assert_eq!(ours.len(), theirs.len(), "{ours}, {theirs}");
    assert!(ours.starts_with("2026-01-01T00:00:02"), "{ours}");
}

/// Seed document 5: opaque, and a user name that every camera of the make has.
#[test]
fn a_hikvision_camera_registers_by_a_name_that_is_no_identity() {
    let mut core = core("hikvision", "gb28181");
    let camera = "10.64.49.218:7100";
    let asked = core.hears(camera, &seed("hikvision-01-register"));
    let (nonce, parameters) = challenge(&asked);
    assert_eq!((status(&asked), parameters), (401, challenge(&seed("hikvision-02-401")).1));
    let accepted = core.hears(camera, &answering(&seed("hikvision-03-register-auth"), &nonce, "12345"));
    assert_eq!((status(&accepted), contacts(&accepted)), (200, contacts(&seed("hikvision-04-200"))));
    assert!(header(&accepted, HeaderName::Date).is_some());
}

/// Seed document 5: nonces of an earlier run, the digest over another URI than the Request-URI, keep-alives, and the
/// de-registration, which begins with a stale nonce too.
#[test]
fn an_ivms_server_registers_reports_and_leaves() {
    let mut core = core("gb28181", "gb28181");
    let server = "192.168.1.93:5060";
    let keep_alive = seed("ivms-keepalive-01-message");
    assert_eq!(status(&core.hears(server, &keep_alive.replace("nddru7fy", "early"))), 403, "not registered yet");

    let asked = core.hears(server, &seed("ivms-01-register-stale"));
    let (nonce, mut parameters) = challenge(&asked);
    // The digest is right for a nonce that we have never given: RFC 2617 clause 3.2.1 has a word for that.
    assert_eq!(parameters.pop(), Some(("stale".to_owned(), "true".to_owned())));
    assert_eq!((status(&asked), parameters), (401, challenge(&seed("ivms-02-401")).1));
    let accepted = core.hears(server, &answering(&seed("ivms-03-register-auth"), &nonce, "12345678"));
    assert_eq!((status(&accepted), contacts(&accepted)), (200, contacts(&seed("ivms-04-200"))), "{accepted}");
    assert!(header(&accepted, HeaderName::Contact).unwrap().ends_with(";expires=200"));

    let answered = core.hears(server, &keep_alive);
    assert_eq!((status(&answered), status(&seed("ivms-keepalive-02-200"))), (200, 200), "{answered}");

    // The page shows the same branches and numbers again.
    let stale = later(&seed("ivms-dereg-01-register-stale"), "leave1", 7);
    let asked = core.hears(server, &stale);
    let (nonce, _) = challenge(&asked);
    assert_eq!(status(&asked), 401);
    let leave = later(&answering(&seed("ivms-dereg-03-register-auth"), &nonce, "12345678"), "leave2", 8);
    let left = core.hears(server, &leave);
    assert_eq!(status(&left), 200, "{left}");
    assert_eq!(contacts(&seed("ivms-dereg-04-200")), ["sip:64000000002000000001@192.168.1.93:5060"]);
    assert_eq!(status(&core.hears(server, &keep_alive.replace("nddru7fy", "late"))), 403, "gone");
}

/// Seed document 4: another Call-ID, From tag and Contact after the challenge, and seven more Contacts of the user.
#[test]
fn a_phone_that_changes_its_call_registers_beside_seven_others() {
    let mut core = core("plain-digest", "plain-digest");
    let phone = "192.168.1.119:26023";
    let asked = core.hears(phone, &seed("ngrep-01-register"));
    let (nonce, parameters) = challenge(&asked);
    assert_eq!((status(&asked), parameters), (401, challenge(&seed("ngrep-02-401")).1));
    let recorded = seed("ngrep-03-register-auth");
    let others = contacts(&seed("ngrep-04-200"));
    let (own, others) = others.split_last().unwrap();
    assert_eq!(others.len(), 7);
    let mut nonce = nonce;
    for (n, other) in (10..).zip(others) {
        let text = later(&answering(&recorded, &nonce, "1000"), &format!("other{n}"), n).replace(own, other);
        let accepted = core.hears(phone, &text);
        assert_eq!(status(&accepted), 200, "{accepted}");
        let info = header(&accepted, HeaderName::AuthenticationInfo).unwrap();
        nonce = info.split('"').nth(1).unwrap().to_owned();
    }
    let accepted = core.hears(phone, &later(&answering(&recorded, &nonce, "1000"), "own", 30));
    let (mut ours, mut theirs) = (contacts(&accepted), contacts(&seed("ngrep-04-200")));
    ours.sort();
    theirs.sort();
    assert_eq!((status(&accepted), ours), (200, theirs));
    // A nonce of somebody else's challenge is none of ours.
    let foreign = challenge(&seed("ngrep-05-401-other")).0;
    let refused = core.hears(phone, &later(&answering(&recorded, &foreign, "1000"), "foreign", 31));
    assert_eq!(status(&refused), 401);
}

/// Seed document 5: no branch in Via (RFC 2543), no Expires; one user without password, one whose password nobody knows.
#[test]
fn the_rtc_client_registers_without_branch_with_and_without_password() {
    let mut core = core("plain-digest", "plain-digest");
    let accepted = core.hears("192.168.2.161:10586", &seed("rtc-01-register"));
    assert_eq!((status(&accepted), contacts(&accepted)), (200, contacts(&seed("rtc-02-200"))), "{accepted}");
    assert!(header(&accepted, HeaderName::Contact).unwrap().contains(";expires=3600"), "{accepted}");

    let client = "192.168.2.161:8021";
    let asked = core.hears(client, &seed("rtc-03-register"));
    let (nonce, ours) = challenge(&asked);
    let (recorded, theirs) = challenge(&seed("rtc-04-401"));
    assert_eq!((status(&asked), nonce), (401, recorded));
    // Theirs says also what means nothing: opaque is empty, stale is false.
    let meaningless = |p: &&(String, String)| p.1.is_empty() || p.1 == "FALSE";
    let (theirs, rest): (Vec<_>, Vec<_>) = theirs.iter().partition(|p| !meaningless(p));
    assert_eq!((ours.iter().collect::<Vec<_>>(), rest.len()), (theirs, 2));
    let wrong = seed("rtc-05-register-auth").replace("f57e47ce", "f57e47cf");
    assert_eq!(status(&core.hears(client, &wrong)), 403);
    let asked = core.hears(client, &seed("rtc-03-register").replace("CSeq: 1 ", "CSeq: 4 "));
    assert_eq!(status(&asked), 401);
    let right = seed("rtc-05-register-auth").replace("CSeq: 2 ", "CSeq: 5 ");
    let accepted = core.hears(client, &right);
    assert_eq!((status(&accepted), contacts(&accepted)), (200, contacts(&seed("rtc-06-200"))), "{accepted}");
}

/// Seed document 3 (RFC 3261 clause 24.1).
#[test]
fn bob_registers_at_biloxi() {
    let mut core = core("plain-digest", "plain-digest");
    let accepted = core.hears("192.0.2.4:5060", &seed("biloxi-01-register"));
    assert_eq!((status(&accepted), contacts(&accepted)), (200, contacts(&seed("biloxi-02-200"))), "{accepted}");
    assert!(header(&accepted, HeaderName::Contact).unwrap().contains(";expires=7200"));
    let to = header(&accepted, HeaderName::To).unwrap();
    assert!(to.starts_with("Bob <sip:bob@biloxi.com>;tag="), "{to}");
}

/// Our UE in the place of the device: it hears the recorded answers, and its response is the recorded one.
#[test]
fn our_ue_answers_the_recorded_challenges() {
    for (system, username, password, aor) in [
        ("gb28181", "34020000001320000001", "12345678", "sip:34020000001320000001@192.168.10.177"),
        ("hikvision", "admin", "12345", "sip:130909113319427420@10.64.49.218:7100"),
        ("ivms", "34020000002000000001", "12345678", "sip:64000000002000000001@192.168.1.93:5060"),
        ("ngrep", "1000", "1000", "sip:1000@192.168.1.88"),
    ] {
        let recorded = seed(&format!("{system}-03-register-auth"));
        let value = header(&recorded, HeaderName::Authorization).unwrap();
        let expected = Digest::parse(HeaderName::Authorization, &value).unwrap().unwrap();
        let mut device = Device::new(username, password, aor, expected.uri.unwrap());
        let first = device.sent();
        device.hears(&like(&first, &seed(&format!("{system}-02-401"))));
        let second = device.sent();
        let value = header(&second, HeaderName::Authorization).unwrap();
        let ours = Digest::parse(HeaderName::Authorization, &value).unwrap().unwrap();
        assert_eq!((ours.response, ours.opaque), (expected.response, expected.opaque), "{system}");
        // Their 200 lists our Contact as the last.
        let own = contacts(&second).remove(0);
        let accepted = seed(&format!("{system}-04-200"));
        let theirs = contacts(&accepted).pop().unwrap();
        device.hears(&like(&second, &accepted.replace(&theirs, &own)));
        assert_eq!(device.ue.status(), UeStatus::Registered, "{system}: {:?}", device.ue.failure());
    }
}

/// A password, and no 200 without challenge is needed: what is not asked for is not told.
#[test]
fn our_ue_takes_what_is_granted_without_a_question() {
    for (system, aor) in [("biloxi", "sip:bob@biloxi.com"), ("rtc", "sip:01062237496@192.168.2.89")] {
        let mut device = Device::new("bob", "zanzibar", aor, "sip:biloxi.com");
        let first = device.sent();
        let accepted = seed(&format!("{system}-02-200"));
        let (own, theirs) = (contacts(&first).remove(0), contacts(&accepted).remove(0));
        device.hears(&like(
            &first,
            &accepted.replace(&format!("Contact: {theirs}"), &format!("Contact: <{theirs}>")).replace(&theirs, &own),
        ));
        assert_eq!(device.ue.status(), UeStatus::Registered, "{system}: {:?}", device.ue.failure());
    }
}
