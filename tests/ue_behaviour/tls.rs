//! Registration over TLS: proposal, judgement, mirror, and the session that carries it (RFC 3329, TS 24.229 clauses
//! 5.1.1.2.4 and 5.1.1.5.6, TS 33.203 annex O).

use crate::network::{Network, REALM, Sent, granted, reply};
use imsreg::aka::Password;
use imsreg::packet::{Connection, ConnectionState, Protocol, Transport};
use imsreg::pcscf::SecAgreePolicy;
use imsreg::ue::{Login, Ue, UeStatus};

fn phone(sec_agree: SecAgreePolicy) -> Network {
    let mut n = Network::with(|config| {
        config.usim = None;
        config.login = Some(Login { username: "bob".into(), password: Password("open sesame".into()) });
        config.transport = Transport::Tls;
        config.sec_agree = sec_agree;
    });
    n.register();
    n
}

/// The session between `port` of the UE and the P-CSCF.
fn news(n: &mut Network, port: u16, state: ConnectionState) {
    let (local, remote) = (([192, 0, 2, 10], port).into(), ([192, 0, 2, 1], 5060).into());
    let (transport, protocol) = (Transport::Tls, Protocol::Sip);
    let connection = Connection { local, remote, transport, protocol, inbound: false, state };
    n.call(|ue, now, out| ue.connection(now, &connection, out));
}

fn challenge(request: &Sent, nonce: &str, server: Option<&str>) -> String {
    let www = format!("WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"");
    let server = server.map(|list| format!("Security-Server: {list}"));
    let lines: Vec<&str> = std::iter::once(&*www).chain(server.as_deref()).collect();
    reply(request, "401 Unauthorized", &lines)
}

/// Registered over the session from port 40001.
fn registered() -> Network {
    let mut n = phone(SecAgreePolicy::Required);
    let first = n.sent();
    news(&mut n, 40_001, ConnectionState::Opened);
    n.answer(&first, &challenge(&first, "n1", Some("tls")));
    let second = n.sent();
    n.answer(&second, &granted(&second, 3_600));
    assert_eq!(n.ue.status(), UeStatus::Registered, "{:?}", n.ue.failure());
    n
}

#[test]
fn tls_is_proposed_and_what_the_network_says_is_mirrored() {
    let mut n = phone(SecAgreePolicy::Required);
    let first = n.sent();
    assert_eq!((first.transport, first.from.port()), (Transport::Tls, 0));
    assert!(first.header("Via").starts_with("SIP/2.0/TLS "), "{}", first.text);
    assert!(first.header("Contact").contains(";transport=tls>"), "{}", first.text);
    assert_eq!((first.header("Security-Client"), first.header("Require")), ("tls", "sec-agree"));
    assert!(first.all("Security-Verify").is_empty() && first.all("P-Access-Network-Info").is_empty());
    news(&mut n, 40_001, ConnectionState::Opened);
    n.answer(&first, &challenge(&first, "n1", Some("ipsec-3gpp;q=0.3;alg=hmac-md5-96, tls;q=0.01")));
    let second = n.sent();
    assert_eq!((second.transport, second.from.port()), (Transport::Tls, 40_001), "the same session");
    assert_eq!(second.header("Security-Client"), "tls");
    assert_eq!(second.header("Security-Verify"), "ipsec-3gpp;q=0.3;alg=hmac-md5-96, tls;q=0.01");
    assert_eq!(second.credential("nonce").as_deref(), Some("n1"));
    n.answer(&second, &granted(&second, 3_600));
    assert_eq!((n.ue.status(), n.sets.len()), (UeStatus::Registered, 0));
    // Every request from now on, over that session.
    n.call(|ue, now, out| ue.message(now, "sip:alice@home.example", "text/plain", b"hello", out).unwrap());
    let message = n.sent();
    assert_eq!((message.transport, message.from.port()), (Transport::Tls, 40_001));
    assert!(message.header("Security-Verify").ends_with("tls;q=0.01"));
    assert!(message.all("Route")[0].contains(";transport=tls;lr>"), "{}", message.text);
    n.answer(&message, &reply(&message, "200 OK", &[]));
    let refresh = n.next_sent();
    assert_eq!((refresh.transport, refresh.from.port()), (Transport::Tls, 40_001));
    assert!(refresh.header("Security-Verify").ends_with("tls;q=0.01"));
}

#[test]
fn an_attempt_without_a_usable_agreement_is_abandoned() {
    for (server, policy, goes_on) in [
        (None, SecAgreePolicy::Required, false),
        (None, SecAgreePolicy::Offered, true),
        (Some("ipsec-3gpp;alg=hmac-md5-96"), SecAgreePolicy::Offered, false),
        (Some("tls;mediasec"), SecAgreePolicy::Required, false),
        (Some("TLS"), SecAgreePolicy::Required, true),
    ] {
        let mut n = phone(policy);
        let first = n.sent();
        news(&mut n, 40_001, ConnectionState::Opened);
        n.answer(&first, &challenge(&first, "n1", server));
        if goes_on {
            let second = n.sent();
            assert_eq!(second.all("Security-Verify").first().map(|s| &**s), server, "{}", second.text);
            continue;
        }
        n.quiet();
        assert!(n.ue.failure().is_some_and(|why| why.contains("Security-Server")), "{:?}", n.ue.failure());
        // A new attempt has a new Call-ID, and the session of the old one is closed.
        let again = n.next_sent();
        assert_ne!(again.header("Call-ID"), first.header("Call-ID"));
        assert_eq!(again.from.port(), 0);
    }
    // Without a policy nothing is said.
    let mut n = phone(SecAgreePolicy::Off);
    assert!(n.sent().all("Security-Client").is_empty());
}

#[test]
fn a_200_without_agreement_is_not_taken_where_one_is_required() {
    let mut n = phone(SecAgreePolicy::Required);
    let first = n.sent();
    news(&mut n, 40_001, ConnectionState::Opened);
    n.answer(&first, &granted(&first, 3_600));
    assert_ne!(n.ue.status(), UeStatus::Registered);
    assert!(n.ue.failure().is_some_and(|why| why.contains("TS 33.203")), "{:?}", n.ue.failure());
}

#[test]
fn with_the_session_the_registration_starts_anew() {
    let mut n = registered();
    let before = "an earlier connection";
    news(&mut n, 40_000, ConnectionState::Closed);
    n.quiet();
    news(&mut n, 40_001, ConnectionState::Closed);
    let again = n.sent();
    assert_eq!((again.from.port(), again.header("CSeq")), (0, "1 REGISTER"), "{before} is nobody's business");
    assert_eq!(again.credential("nonce").as_deref(), Some(""), "{}", again.text);
    assert!(again.all("Security-Verify").is_empty(), "{}", again.text);
    // One that was ended on purpose stays ended.
    let mut n = registered();
    n.call(Ue::deregister);
    let gone = n.sent();
    n.answer(&gone, &reply(&gone, "200 OK", &[]));
    news(&mut n, 40_001, ConnectionState::Closed);
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Idle);
}

#[test]
fn nothing_is_taken_in_clear() {
    let mut n = registered();
    let text = "MESSAGE sip:bob@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK7\r\n\
                From: <sip:eve@x>;tag=1\r\nTo: <sip:bob@x>\r\nCall-ID: e\r\nCSeq: 1 MESSAGE\r\n\
                Max-Forwards: 9\r\nContent-Length: 0\r\n\r\n";
    for transport in [Transport::Udp, Transport::Tcp] {
        n.deliver(text, 5_060, 5_060, transport, None);
        n.quiet();
    }
    n.deliver(text, 5_060, 40_001, Transport::Tls, None);
    let answer = n.sent();
    assert!(answer.text.starts_with("SIP/2.0 200 "), "{}", answer.text);
    assert_eq!((answer.transport, answer.from.port()), (Transport::Tls, 40_001));
}
