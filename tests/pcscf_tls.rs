//! SIP digest over TLS at the P-CSCF (RFC 3329, TS 33.203 annex O, TS 24.229 clause 5.2.2.4): agreement, what binds a
//! registration to its session, and what is refused beside it.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::packet::Transport;
use imsreg::pcscf::{PcscfConfig, SecAgreePolicy, TlsAccess, TlsRank};
use imsreg::sip::HeaderName;
use imsreg::sip::header::digest::Digest;
use pcscf_rig::{CORE, PCSCF, REALM, Rig, Sent, accepted, address, config, response};

const LISTEN: &str = "10.0.0.1:5061";
const HOME: &str = "192.0.2.7:40001";
const OTHER: &str = "192.0.2.7:40002";
const ELSEWHERE: &str = "192.0.2.8:40001";

fn config_with(sec_agree: SecAgreePolicy, rank: TlsRank) -> PcscfConfig {
    let tls = Some(TlsAccess { listen: address(LISTEN), rank });
    PcscfConfig { sec_agree, tls, ..config() }
}

fn rig() -> Rig {
    Rig::new(config_with(SecAgreePolicy::Required, TlsRank::AfterIpsec))
}

const AGREE: &str = "Require: sec-agree\r\nProxy-Require: sec-agree\r\nSecurity-Client: tls\r\n";
const VERIFY: &str = "Security-Verify: tls\r\n";
const NO_ANSWER: &str = "";

/// A message of bob's phone.
fn text(method: &str, at: u64, transport: Transport, user: &str, nonce: &str, lines: &str) -> String {
    let response = if nonce.is_empty() { "" } else { "0123456789abcdef0123456789abcdef" };
    format!(
        "{method} sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.7:20000;branch=z9hG4bK{at}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{user}@{REALM}>;tag=u\r\nTo: <sip:{user}@{REALM}>\r\nCall-ID: {user}\r\n\
         CSeq: {at} {method}\r\nContact: <sip:{user}@192.0.2.7:20000;transport=tls>\r\nExpires: 3600\r\n\
         Authorization: Digest username=\"{user}@{REALM}\",realm=\"{REALM}\",uri=\"sip:{REALM}\",nonce=\"{nonce}\",\
         response=\"{response}\"\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

fn over_tls(rig: &mut Rig, at: u64, from: &str, nonce: &str, lines: &str) {
    let register = text("REGISTER", at, Transport::Tls, "bob", nonce, lines);
    rig.ue_sends(at, Transport::Tls, address(from), address(LISTEN), &register);
}

fn in_clear(rig: &mut Rig, at: u64, from: &str, nonce: &str, lines: &str) {
    let register = text("REGISTER", at, Transport::Udp, "bob", nonce, lines);
    rig.ue_sends(at, Transport::Udp, address(from), address(PCSCF), &register);
}

/// What the core sees in `integrity-protected`.
#[track_caller]
fn integrity(rig: &Rig) -> Option<String> {
    let credentials = rig.to_core.last().expect("it goes on").header(HeaderName::Authorization).unwrap();
    let credentials = Digest::parse(HeaderName::Authorization, &credentials).unwrap().unwrap();
    credentials.integrity_protected.map(str::to_owned)
}

#[track_caller]
fn challenge(rig: &mut Rig, at: u64, nonce: &str) -> Sent {
    let request = rig.forwarded();
    let line = format!("WWW-Authenticate: Digest realm=\"{REALM}\",nonce=\"{nonce}\",algorithm=MD5,qop=\"auth\"\r\n");
    rig.core_sends(at, &response(&request, "401 Unauthorized", &line));
    let answer = rig.answer();
    assert_eq!(answer.status(), 401);
    answer
}

#[track_caller]
fn accept(rig: &mut Rig, at: u64, expires: u32) -> Sent {
    let request = rig.forwarded();
    rig.core_sends(at, &accepted(&request, expires));
    let answer = rig.answer();
    assert_eq!(answer.status(), 200, "{}", answer.text);
    answer
}

/// Bob, agreed and registered over the session from `from`, in 40 ms.
#[track_caller]
fn registered(rig: &mut Rig, at: u64, from: &str) -> Sent {
    over_tls(rig, at, from, NO_ANSWER, AGREE);
    let nonce = format!("n{at}");
    challenge(rig, at + 10, &nonce);
    over_tls(rig, at + 20, from, &nonce, &format!("{AGREE}{VERIFY}"));
    assert_eq!(integrity(rig).as_deref(), Some("tls-pending"));
    let request = rig.to_core.last().unwrap().clone();
    accept(rig, at + 30, 3_600);
    request
}

#[track_caller]
fn refused(rig: &mut Rig, status: u16, list: Option<&str>) {
    let answer = rig.answer();
    assert_eq!(answer.status(), status, "{}", answer.text);
    assert_eq!(answer.header(HeaderName::SecurityServer).as_deref(), list, "{}", answer.text);
    rig.silent();
}

/// A MESSAGE of the core for bob: what leaves.
fn message_for_bob(rig: &mut Rig, at: u64, registered: &Sent) -> Vec<Sent> {
    let path = registered.header(HeaderName::Path).unwrap();
    let text = format!(
        "MESSAGE sip:bob@192.0.2.7:20000;transport=tls SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bKm{at}\r\n\
         Max-Forwards: 60\r\nRoute: {path}\r\nFrom: <sip:alice@{REALM}>;tag=a\r\nTo: <sip:bob@{REALM}>\r\n\
         Call-ID: m{at}\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    );
    rig.core_sends(at, &text);
    std::mem::take(&mut rig.to_ue)
}

#[test]
fn agreed_over_a_session_that_the_registration_is_bound_to() {
    let mut rig = rig();
    over_tls(&mut rig, 10, HOME, NO_ANSWER, AGREE);
    assert_eq!(integrity(&rig), None, "no would ask for AKA");
    let first = rig.to_core[0].clone();
    assert!(!first.text.contains("ecurity-") && !first.text.contains("sec-agree"), "{}", first.text);
    let answer = challenge(&mut rig, 20, "n1");
    assert_eq!(answer.header(HeaderName::SecurityServer).as_deref(), Some("tls"));
    let ends = (Transport::Tls, address(LISTEN), address(HOME));
    assert_eq!((answer.transport, answer.from, answer.to), ends);

    over_tls(&mut rig, 30, HOME, "n1", &format!("{AGREE}{VERIFY}"));
    assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));
    let request = rig.to_core[0].clone();
    assert!(!request.text.contains("ecurity-"), "{}", request.text);
    accept(&mut rig, 40, 3_600);
    assert!(rig.events.iter().any(|what| matches!(what, What::TlsBound { ue } if *ue == address(HOME))));

    // Known now, with or without an answer to a challenge.
    for (at, nonce) in [(50, "n1"), (60, NO_ANSWER)] {
        over_tls(&mut rig, at, HOME, nonce, &format!("{AGREE}{VERIFY}"));
        assert_eq!(integrity(&rig).as_deref(), Some("tls-yes"));
        accept(&mut rig, at + 5, 3_600);
    }
    let passed = message_for_bob(&mut rig, 100, &request);
    let [message] = passed.iter().filter(|m| m.text.starts_with("MESSAGE")).collect::<Vec<_>>()[..] else {
        panic!("{passed:#?}")
    };
    assert_eq!((message.transport, message.from, message.to), ends);
    assert!(message.text.contains(&format!("Via: SIP/2.0/TLS {LISTEN};")), "{}", message.text);
    assert_eq!(rig.pcscf.sa_sets(), 0);
}

#[test]
fn agreed_in_clear_and_answered_over_tls() {
    let mut rig = rig();
    in_clear(&mut rig, 10, "192.0.2.7:20000", NO_ANSWER, AGREE);
    assert_eq!(integrity(&rig), None);
    let answer = challenge(&mut rig, 20, "n1");
    assert_eq!((answer.header(HeaderName::SecurityServer).as_deref(), answer.transport), (Some("tls"), Transport::Udp));
    // TS 33.203 clause 7.2, as for SAs: never downgraded.
    in_clear(&mut rig, 30, "192.0.2.7:20000", "n1", &format!("{AGREE}{VERIFY}"));
    assert_eq!(rig.answer().status(), 494);
    over_tls(&mut rig, 40, HOME, "n1", &format!("{AGREE}{VERIFY}"));
    assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));
    accept(&mut rig, 50, 3_600);
    over_tls(&mut rig, 60, HOME, "n1", &format!("{AGREE}{VERIFY}"));
    assert_eq!(integrity(&rig).as_deref(), Some("tls-yes"));
}

#[test]
fn what_the_ue_repeats_is_compared_and_a_difference_ends_the_attempt() {
    let two = "Require: sec-agree\r\nProxy-Require: sec-agree\r\nSecurity-Client: tls, digest;d-qop=auth\r\n";
    for lines in [
        AGREE.to_owned(),
        format!("{AGREE}Security-Verify: tls;q=0.5\r\n"),
        format!("{AGREE}Security-Verify: ipsec-3gpp;alg=null\r\n"),
        format!("{AGREE}Security-Verify: tls, tls;q=0.1\r\n"),
        VERIFY.to_owned(),
        format!("{two}{VERIFY}"),
    ] {
        let mut rig = rig();
        over_tls(&mut rig, 10, HOME, NO_ANSWER, AGREE);
        challenge(&mut rig, 20, "n1");
        over_tls(&mut rig, 30, HOME, "n1", &lines);
        refused(&mut rig, 494, Some("tls"));
        // What is over is over, even for the right words.
        over_tls(&mut rig, 40, HOME, "n1", &format!("{AGREE}{VERIFY}"));
        refused(&mut rig, 494, Some("tls"));
    }
    // Case, white space and a default value are no difference.
    let mut rig = rig();
    over_tls(&mut rig, 10, HOME, NO_ANSWER, AGREE);
    challenge(&mut rig, 20, "n1");
    over_tls(&mut rig, 30, HOME, "n1", &format!("{AGREE}Security-Verify: TLS ;q=1.0\r\n"));
    assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));
}

#[test]
fn the_answer_comes_over_the_session_of_the_challenge_and_in_time() {
    for (at, from) in [(30, OTHER), (30, ELSEWHERE), (241_000, HOME)] {
        let mut rig = rig();
        over_tls(&mut rig, 10, HOME, NO_ANSWER, AGREE);
        challenge(&mut rig, 20, "n1");
        over_tls(&mut rig, at, from, "n1", &format!("{AGREE}{VERIFY}"));
        refused(&mut rig, 494, Some("tls"));
    }
}

#[test]
fn the_identity_is_served_by_its_session_alone() {
    let mut rig = rig();
    let request = registered(&mut rig, 10, HOME);
    // In clear, from wherever.
    for (at, nonce) in [(100, NO_ANSWER), (110, "n10")] {
        in_clear(&mut rig, at, "192.0.2.7:20000", nonce, "");
        let answer = rig.answer();
        assert!(matches!(answer.status(), 421 | 494), "{}", answer.text);
        rig.silent();
    }
    let clear = text("MESSAGE", 120, Transport::Udp, "bob", "", "");
    rig.ue_sends(120, Transport::Udp, address("192.0.2.7:20000"), address(PCSCF), &clear);
    refused(&mut rig, 403, None);
    // Over another session: no message, and no REGISTER that an eavesdropper could repeat.
    let message = text("MESSAGE", 130, Transport::Tls, "bob", "", "");
    rig.ue_sends(130, Transport::Tls, address(OTHER), address(LISTEN), &message);
    refused(&mut rig, 403, None);
    over_tls(&mut rig, 140, OTHER, "cached", AGREE);
    refused(&mut rig, 494, Some("tls"));
    over_tls(&mut rig, 150, OTHER, NO_ANSWER, VERIFY);
    refused(&mut rig, 494, Some("tls"));
    // And nobody else over this one.
    let eve = text("REGISTER", 160, Transport::Tls, "eve", "", AGREE);
    rig.ue_sends(160, Transport::Tls, address(HOME), address(LISTEN), &eve);
    refused(&mut rig, 403, None);
    // The session itself goes on.
    let own = text("MESSAGE", 170, Transport::Tls, "bob", "", VERIFY);
    rig.ue_sends(170, Transport::Tls, address(HOME), address(LISTEN), &own);
    assert!(rig.forwarded().text.starts_with("MESSAGE"));
    assert_eq!(message_for_bob(&mut rig, 180, &request).iter().filter(|m| m.to == address(HOME)).count(), 1);
}

#[test]
fn a_phone_that_begins_again_moves_to_its_new_session() {
    let mut rig = rig();
    registered(&mut rig, 10, HOME);
    let request = registered(&mut rig, 100, OTHER);
    assert!(rig.order.contains(&format!("close {HOME}")), "{:?}", rig.order);
    rig.tls_lost(200, address(LISTEN), address(HOME));
    let sent = message_for_bob(&mut rig, 210, &request);
    assert!(sent.iter().any(|m| m.to == address(OTHER) && m.text.starts_with("MESSAGE")), "{sent:#?}");
    // The old one is nobody's.
    over_tls(&mut rig, 300, HOME, "n10", &format!("{AGREE}{VERIFY}"));
    refused(&mut rig, 494, Some("tls"));
}

#[test]
fn with_the_connection_the_way_to_the_ue_is_gone() {
    let mut rig = rig();
    let request = registered(&mut rig, 10, HOME);
    rig.tls_lost(100, address(LISTEN), address(HOME));
    assert!(rig.events.iter().any(|what| matches!(what, What::TlsUnbound { .. })));
    message_for_bob(&mut rig, 110, &request);
    assert_eq!(rig.forwarded().status(), 430);
    // Another connection, even between the same ports, is not that session.
    let message = text("MESSAGE", 120, Transport::Tls, "bob", "", VERIFY);
    rig.ue_sends(120, Transport::Tls, address(HOME), address(LISTEN), &message);
    refused(&mut rig, 403, None);
    over_tls(&mut rig, 130, HOME, NO_ANSWER, AGREE);
    assert_eq!(integrity(&rig), None);
    challenge(&mut rig, 140, "n2");
    over_tls(&mut rig, 150, HOME, "n2", &format!("{AGREE}{VERIFY}"));
    assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));
}

#[test]
fn the_session_ends_with_a_failed_authentication_or_the_last_registration() {
    let mut rig = rig();
    over_tls(&mut rig, 10, HOME, NO_ANSWER, AGREE);
    challenge(&mut rig, 20, "n1");
    over_tls(&mut rig, 30, HOME, "n1", &format!("{AGREE}{VERIFY}"));
    let request = rig.forwarded();
    rig.core_sends(40, &response(&request, "403 Forbidden", ""));
    assert_eq!(rig.answer().status(), 403);
    assert_eq!(rig.order.last(), Some(&format!("close {HOME}")), "after the answer: {:?}", rig.order);

    rig.tls_lost(50, address(LISTEN), address(HOME));
    registered(&mut rig, 100, HOME);
    over_tls(&mut rig, 200, HOME, "n100", &format!("{AGREE}{VERIFY}"));
    // A refresh that fails leaves what is registered alone (TS 24.229 clause 5.4.1.2.3).
    let request = rig.forwarded();
    rig.core_sends(210, &response(&request, "403 Forbidden", ""));
    assert_eq!((rig.answer().status(), rig.order.last().map(String::as_str)), (403, Some("403")));
    over_tls(&mut rig, 220, HOME, "n100", &format!("{AGREE}{VERIFY}"));
    let request = rig.forwarded();
    rig.core_sends(230, &response(&request, "200 OK", ""));
    assert_eq!(rig.answer().status(), 200);
    assert_eq!(rig.order.last(), Some(&format!("close {HOME}")), "after the answer: {:?}", rig.order);
}

#[test]
fn policies() {
    let list = |answer: &Sent| answer.header(HeaderName::SecurityServer).unwrap_or_default();
    // Required: also of those who come by TLS. The list does not depend on what was offered.
    let mut rig = rig();
    over_tls(&mut rig, 10, HOME, NO_ANSWER, "");
    refused(&mut rig, 421, Some("tls"));
    in_clear(&mut rig, 20, "192.0.2.7:20000", NO_ANSWER, "");
    let answer = rig.answer();
    assert_eq!(answer.status(), 421);
    assert!(list(&answer).starts_with("ipsec-3gpp;q=0.3;") && list(&answer).ends_with(", tls;q=0.01"), "{answer:?}");

    // Offered: a soft phone without agreement is bound to its session all the same.
    let mut rig = Rig::new(config_with(SecAgreePolicy::Offered, TlsRank::AfterIpsec));
    over_tls(&mut rig, 10, HOME, NO_ANSWER, "");
    let answer = challenge(&mut rig, 20, "n1");
    assert_eq!(answer.header(HeaderName::SecurityServer), None);
    over_tls(&mut rig, 30, HOME, "n1", "");
    assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));
    accept(&mut rig, 40, 3_600);
    over_tls(&mut rig, 50, HOME, "n1", "");
    assert_eq!(integrity(&rig).as_deref(), Some("tls-yes"));
    accept(&mut rig, 60, 3_600);
    // Nobody mirrors what was not sent, and nothing goes in clear beside it.
    over_tls(&mut rig, 70, HOME, "n1", VERIFY);
    refused(&mut rig, 494, Some("tls"));
    in_clear(&mut rig, 80, "192.0.2.7:20000", "n1", "");
    assert_eq!(rig.answer().status(), 494);
    // Without an agreement it may come back over another session, which has to be authenticated.
    over_tls(&mut rig, 90, OTHER, "n1", "");
    assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));

    // Off, and not agreed at all.
    for (policy, rank) in [(SecAgreePolicy::Off, TlsRank::Preferred), (SecAgreePolicy::Offered, TlsRank::NotAgreed)] {
        let mut rig = Rig::new(config_with(policy, rank));
        let lines = if policy == SecAgreePolicy::Off { "Security-Client: tls\r\n" } else { "" };
        over_tls(&mut rig, 10, HOME, NO_ANSWER, lines);
        assert_eq!(challenge(&mut rig, 20, "n1").header(HeaderName::SecurityServer), None);
        over_tls(&mut rig, 30, HOME, "n1", lines);
        assert_eq!(integrity(&rig).as_deref(), Some("tls-pending"));
    }
    let mut rig = Rig::new(config_with(SecAgreePolicy::Offered, TlsRank::NotAgreed));
    over_tls(&mut rig, 10, HOME, NO_ANSWER, AGREE);
    assert_eq!(rig.answer().status(), 494);
}

#[test]
fn the_profile_ranks_the_mechanisms() {
    let ipsec = "ipsec-3gpp;alg=hmac-sha-1-96;ealg=aes-cbc;spi-c=1001;spi-s=1002;port-c=31000;port-s=31001";
    let both = format!("Require: sec-agree\r\nProxy-Require: sec-agree\r\nSecurity-Client: {ipsec}, tls\r\n");
    for (rank, wanted) in
        [(TlsRank::AfterIpsec, Some("no")), (TlsRank::Preferred, None), (TlsRank::NotAgreed, Some("no"))]
    {
        let mut rig = Rig::new(config_with(SecAgreePolicy::Required, rank));
        in_clear(&mut rig, 10, "192.0.2.7:20000", NO_ANSWER, &both);
        assert_eq!(integrity(&rig).as_deref(), wanted, "{rank:?}");
    }
    // There are no SAs under TLS.
    let mut rig = Rig::new(config_with(SecAgreePolicy::Required, TlsRank::AfterIpsec));
    over_tls(&mut rig, 10, HOME, NO_ANSWER, &both);
    assert_eq!(challenge(&mut rig, 20, "n1").header(HeaderName::SecurityServer).as_deref(), Some("tls"));
    over_tls(&mut rig, 30, OTHER, NO_ANSWER, &both.replace(", tls", ""));
    refused(&mut rig, 494, Some("tls"));
}

#[test]
fn nothing_is_taken_in_clear_at_the_port_of_tls() {
    let mut rig = rig();
    for (at, transport) in [(10, Transport::Udp), (20, Transport::Tcp)] {
        let register = text("REGISTER", at, transport, "bob", "", AGREE);
        rig.ue_sends(at, transport, address(HOME), address(LISTEN), &register);
        rig.silent();
    }
    assert_eq!(rig.pcscf.dropped(), 2);
}

#[test]
fn a_200_without_a_challenge_makes_no_session() {
    let mut rig = rig();
    in_clear(&mut rig, 10, "192.0.2.7:20000", NO_ANSWER, AGREE);
    let request = rig.forwarded();
    rig.core_sends(20, &accepted(&request, 3_600));
    assert_eq!(rig.answer().status(), 500);
    // Over TLS there is one already.
    over_tls(&mut rig, 30, HOME, NO_ANSWER, AGREE);
    accept(&mut rig, 40, 3_600);
}

/// In a dialog the UE comes back by what Record-Route names: the TLS port, by TLS.
#[test]
fn record_route_names_the_session() {
    let mut rig = rig();
    registered(&mut rig, 10, HOME);
    let invite = text("INVITE", 100, Transport::Tls, "bob", "", VERIFY);
    rig.ue_sends(100, Transport::Tls, address(HOME), address(LISTEN), &invite);
    let invite = rig.forwarded();
    let routes: Vec<String> = invite.message().values(HeaderName::RecordRoute).map(str::to_owned).collect();
    assert!(routes.join(", ").ends_with(&format!("<sip:{LISTEN};transport=tls;lr>")), "{routes:?}");
}
