//! Users who have registered with a password are asked for it with every request (TS 24.229 clause 5.4.3.6): 407 through
//! the whole core, and the answer.
#![cfg(feature = "live")]

mod common;
mod digest_core;
#[path = "common/scratch.rs"]
mod scratch;

use common::address;
use digest_core::Core;
use imsreg::aka::digest::{Algorithm, Inputs, Qop, Secret, response};
use imsreg::config::{load_profile, load_subscribers};
use imsreg::ims::Outward;
use imsreg::random::Random;
use imsreg::sip::header::digest::Digest;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::{Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use scratch::Scratch;

const ALICE: &str = "192.0.2.1:5060";
const BOB: &str = "192.0.2.2:5060";

const SUBSCRIBERS: &str = "subscribers:
  - {impus: [\"sip:alice@sip.example.org\"], password: wonderland}
  - {impus: [\"sip:bob@sip.example.org\"], password: zanzibar}
";

fn request(method: &str, user: &str, from: &str, to: &str, cseq: u32, lines: &str, body: &str) -> String {
    let target =
        if method == "REGISTER" { "sip:sip.example.org".to_owned() } else { format!("sip:{to}@sip.example.org") };
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{user}{cseq};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@sip.example.org>;tag={user}\r\nTo: <sip:{to}@sip.example.org>\r\nCall-ID: {method}{user}\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:{user}@{from}>\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Credentials for the first challenge of `text`.
fn answer(text: &str, user: &str, password: &str, method: &str, uri: &str, nc: &str) -> String {
    let message = Message::parse(text.as_bytes()).unwrap();
    let (challenge, name) = match message.status() {
        Some(407) => (HeaderName::ProxyAuthenticate, "Proxy-Authorization"),
        _ => (HeaderName::WwwAuthenticate, "Authorization"),
    };
    let value = message.header(challenge).expect(text);
    let challenge = Digest::parse(challenge, value).unwrap().unwrap();
    let username = format!("{user}@sip.example.org");
    let (realm, nonce) = (challenge.realm.unwrap(), challenge.nonce.unwrap());
    let inputs = Inputs {
        algorithm: Algorithm::Md5,
        username: &username,
        realm,
        nonce,
        uri,
        method,
        qop: Some(Qop { auth_int: false, nc, cnonce: "c0" }),
        body: b"",
    };
    let response = response(&inputs, Secret::Password(password.as_bytes()));
    format!(
        "{name}: Digest username=\"{username}\",realm=\"{realm}\",nonce=\"{nonce}\",uri=\"{uri}\",\
         response=\"{}\",algorithm=MD5,qop=auth,nc={nc},cnonce=\"c0\"\r\n",
        response.as_str()
    )
}

fn status(text: &str) -> u16 {
    Message::parse(text.as_bytes()).unwrap().status().unwrap()
}

fn is_stale(text: &str) -> bool {
    text.contains(",stale=true")
}

/// Both are registered.
fn core(test: &str, proxy_auth: bool) -> Core {
    let scratch = Scratch::new(test);
    let setting = format!("scscf.proxy_auth={proxy_auth}");
    let mut core = Core::with("plain-digest", &[&setting], &scratch.file("s.yaml", SUBSCRIBERS));
    for (user, from, password) in [("alice", ALICE, "wonderland"), ("bob", BOB, "zanzibar")] {
        let asked = core.hears(from, &request("REGISTER", user, from, user, 1, "", ""));
        let credentials = answer(&asked, user, password, "REGISTER", "sip:sip.example.org", "00000001");
        let accepted = core.hears(from, &request("REGISTER", user, from, user, 2, &credentials, ""));
        assert_eq!(status(&accepted), 200, "{accepted}");
    }
    core
}

const TO_BOB: &str = "sip:bob@sip.example.org";
const NOW: Instant = Instant::ZERO;

#[test]
fn a_message_passes_when_its_sender_has_shown_the_password() {
    let mut core = core("proxy-auth", true);
    let asked = core.hears(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 1, "", "hello"));
    assert_eq!((status(&asked), is_stale(&asked)), (407, false), "{asked}");
    assert!(Message::parse(asked.as_bytes()).unwrap().header(HeaderName::WwwAuthenticate).is_none());
    let credentials = answer(&asked, "alice", "wonderland", "MESSAGE", TO_BOB, "00000001");
    let sent = core.sends(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 2, &credentials, "hello"));
    let [(to, text)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(
        (*to, text.starts_with("MESSAGE sip:bob@192.0.2.2:5060 "), text.ends_with("hello")),
        (address(BOB), true, true)
    );

    // The same count again is stale, the next one is good.
    let again = core.hears(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 3, &credentials, "hello"));
    assert_eq!((status(&again), is_stale(&again)), (407, true));
    let next = answer(&asked, "alice", "wonderland", "MESSAGE", TO_BOB, "00000002");
    let sent = core.sends(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 4, &next, "hello"));
    // Bob has not answered the first one, which is repeated meanwhile.
    assert!(sent.iter().any(|(to, text)| *to == address(BOB) && text.contains("CSeq: 4 MESSAGE")), "{sent:?}");
}

#[test]
fn a_wrong_password_is_403_and_the_nonce_of_another_user_another_challenge() {
    let mut core = core("proxy-auth-wrong", true);
    let asked = core.hears(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 1, "", "hello"));
    let wrong = answer(&asked, "alice", "guessed", "MESSAGE", TO_BOB, "00000001");
    assert_eq!(status(&core.hears(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 2, &wrong, "hello"))), 403);
    // Bob knows his own password, and answers the challenge of Alice.
    let asked = core.hears(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 3, "", "hello"));
    let his = answer(&asked, "bob", "zanzibar", "MESSAGE", "sip:alice@sip.example.org", "00000001");
    let refused = core.hears(BOB, &request("MESSAGE", "bob", BOB, "alice", 4, &his, "hello"));
    assert_eq!((status(&refused), is_stale(&refused)), (407, true));
}

/// Our own UEs in the same process: registration with the better algorithm, and a message that is asked for the
/// password.
#[test]
fn our_ues_register_by_password_and_send_messages() {
    let scratch = Scratch::new("password-ues");
    let better = SUBSCRIBERS.replace("wonderland", "wonderland, digest: {algorithm: SHA-256, qop: \"auth,auth-int\"}");
    let file = scratch.file("s.yaml", &better);
    let mut core = Core::with("plain-digest", &["scscf.proxy_auth=true"], &file);
    let profile = load_profile("plain-digest", &[]).unwrap();
    let subscribers = load_subscribers(&file, &profile).unwrap();
    let mut out = Outward::new();
    let mut ues = Vec::new();
    for (seed, impu, local) in [(1, "sip:alice@sip.example.org", "127.0.0.1:20001"), (2, TO_BOB, "127.0.0.1:20002")] {
        let subscription = subscribers.subscription_of_impu(impu).unwrap();
        let config = profile.ue(&subscription, address("127.0.0.1:5060"), address(local), Epoch::SIMULATION);
        let id = core.ims.add(Ue::new(config, Random::seeded(seed))).unwrap();
        core.ims.command(id, NOW, &mut out, &mut core.tap, |e, out| e.as_ue_mut().unwrap().register(NOW, out));
        let ue = core.ims.element(id).as_ue().unwrap();
        assert_eq!(ue.status(), UeStatus::Registered, "{:?}\n{}", ue.failure(), core.tap.trace());
        ues.push(id);
    }
    core.ims.command(ues[0], NOW, &mut out, &mut core.tap, |e, out| {
        e.as_ue_mut().unwrap().message(NOW, TO_BOB, "text/plain", b"hello", out).unwrap();
    });
    let trace = core.tap.trace();
    for expected in ["407 ", "MESSAGE", "200 "] {
        assert!(trace.contains(expected), "{expected} in\n{trace}");
    }
    let messages = trace.lines().filter(|line| line.contains("MESSAGE") && line.contains("20002")).count();
    assert!(messages >= 1, "{trace}");
    assert!(out.is_empty(), "all of it stays in the process");
}

#[test]
fn without_the_setting_nobody_is_asked() {
    let mut core = core("no-proxy-auth", false);
    let sent = core.sends(ALICE, &request("MESSAGE", "alice", ALICE, "bob", 1, "", "hello"));
    assert_eq!((sent.len(), sent[0].0), (1, address(BOB)), "{sent:?}");
}
