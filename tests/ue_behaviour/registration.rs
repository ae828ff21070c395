use crate::network::{Network, REALM, SECURITY_SERVER, Sent, granted, reply};
use imsreg::event::What;
use imsreg::ipsec::association::{PortPair, SaId};
use imsreg::packet::Transport;
use imsreg::pcscf::SecAgreePolicy;
use imsreg::time::{Duration, Instant};
use imsreg::ue::UeStatus;

#[test]
fn first_register_is_that_of_ts_24_229_clause_5_1_1_2() {
    let mut n = Network::new();
    n.register();
    let m = n.sent();
    n.quiet();
    assert_eq!(m.text.lines().next().unwrap(), format!("REGISTER sip:{REALM} SIP/2.0"));
    assert_eq!((m.from.port(), m.to.port(), m.sa), (5060, 5060, None));
    let impu = format!("<sip:001010000000001@{REALM}>");
    assert_eq!(m.header("To"), impu);
    assert!(m.header("From").starts_with(&format!("{impu};tag=")));
    assert!(m.header("Via").starts_with("SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK"));
    assert!(m.header("Via").ends_with(";rport"));
    assert_eq!(
        m.header("Contact"),
        "<sip:001010000000001@192.0.2.10:5060>;+sip.instance=\"<urn:gsma:imei:86432005-123456-0>\""
    );
    assert_eq!(m.header("Expires"), "600000");
    assert_eq!(m.header("Supported"), "path");
    assert_eq!(m.header("Require"), "sec-agree");
    assert_eq!(m.header("Proxy-Require"), "sec-agree");
    assert_eq!(m.header("Content-Length"), "0");
    assert_eq!(m.all("P-Access-Network-Info").len(), 0, "only once there is an SA");
    assert_eq!(m.credential("username").unwrap(), format!("001010000000001@{REALM}"));
    assert_eq!(m.credential("realm").unwrap(), REALM);
    assert_eq!(m.credential("uri").unwrap(), format!("sip:{REALM}"));
    assert_eq!((m.credential("nonce").unwrap(), m.credential("response").unwrap()), (String::new(), String::new()));
    let offers = m.offers();
    assert_eq!(offers.len(), 2, "one mechanism a pair");
    assert_eq!((offers[0]["alg"], offers[0]["ealg"]), ("hmac-sha-1-96", "aes-cbc"));
    assert_eq!((offers[1]["alg"], offers[1]["ealg"]), ("hmac-sha-1-96", "null"));
    for name in ["spi-c", "spi-s", "port-c", "port-s"] {
        assert_eq!(offers[0][name], offers[1][name]);
    }
    assert_eq!((offers[0]["port-c"], offers[0]["port-s"]), ("31000", "31001"));
    assert_ne!(offers[0]["spi-c"], offers[0]["spi-s"]);
}

#[test]
fn registers_through_a_security_agreement() {
    let mut n = Network::new();
    n.register();
    let first = n.sent();
    n.at(0.1);
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    n.quiet();
    protected(&n, &second);
    assert_eq!(second.header("Call-ID"), first.header("Call-ID"));
    assert_eq!(second.cseq(), first.cseq() + 1);
    assert_eq!(second.header("Security-Client"), first.header("Security-Client"));
    assert_eq!(second.header("Security-Verify"), SECURITY_SERVER);
    assert_eq!(second.header("P-Access-Network-Info"), "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001");
    assert_eq!(second.credential("response").unwrap(), n.expected(&second));
    assert_eq!(
        (second.credential("nc").unwrap(), second.credential("qop").unwrap()),
        ("00000001".into(), "auth".into())
    );
    assert_eq!(n.ue.status(), UeStatus::Registering);
    n.at(0.2);
    n.answer(&second, &granted(&second, 7_200));
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Registered);
    let identities: Vec<&str> = n.ue.associated().iter().map(|i| i.as_str()).collect();
    assert_eq!(identities, ["sip:+99912345@ims.example", "tel:+99912345"]);
    assert_eq!(&*n.ue.service_route()[0], "<sip:token@scscf.example:6060;lr>");
    assert_eq!(n.ue.expires_at(), Some(Instant::from_millis(7_200_200)));
    let kinds: Vec<&str> = n.events.iter().map(kind).collect();
    assert_eq!(kinds, ["AutnVerified", "SaInstalled", "SaEstablished", "Registered"]);
    assert!(n.told(|e| matches!(e, What::SaEstablished { lifetime, .. } if *lifetime == Duration::from_secs(7_230))));
    assert!(n.told(|e| matches!(e, What::Registered { impu, .. } if impu.as_str() == "sip:+99912345@ims.example")));
}

/// Field: networks answer from port_ps to port_uc (TS 33.203 clause 7.1 has it otherwise).
#[test]
fn answers_on_the_client_pair_are_accepted() {
    let mut n = Network::new();
    let second = challenged(&mut n);
    let sa = SaId { set: second.sa.unwrap().set, pair: PortPair::UcPs };
    n.deliver(&granted(&second, 600), 6100, 31_000, Transport::Udp, Some(sa));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn an_answer_in_clear_to_a_protected_register_is_dropped() {
    let mut n = Network::new();
    let second = challenged(&mut n);
    n.deliver(&granted(&second, 600), 5060, 5060, Transport::Udp, None);
    n.deliver(&reply(&second, "403 Forbidden", &[]), 6100, 31_000, Transport::Udp, None);
    assert_eq!(n.ue.status(), UeStatus::Registering);
    assert!(n.told(|e| matches!(e, What::PacketDropped { .. })));
    n.answer(&second, &granted(&second, 600));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn refreshed_600_s_before_expiry_over_the_set() {
    let mut n = Network::new().registered(7_200);
    n.at(6_599.0);
    n.quiet();
    n.at(6_600.0);
    let refresh = n.sent();
    assert_eq!(refresh.at, Instant::from_secs(6_600));
    protected(&n, &refresh);
    assert_eq!(refresh.header("Security-Verify"), SECURITY_SERVER);
    assert_eq!(refresh.credential("nc").unwrap(), "00000002", "the nonce is used again");
    assert_eq!(refresh.credential("response").unwrap(), n.expected(&refresh));
    assert_eq!((refresh.offers()[0]["port-c"], refresh.offers()[0]["port-s"]), ("31002", "31001"));
    assert_eq!(refresh.cseq(), 3);
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n.answer(&refresh, &granted(&refresh, 1_000));
    n.at(7_100.0);
    let next = n.sent();
    assert_eq!(next.at, Instant::from_secs(7_100), "half of what was granted");
    assert_eq!(next.sa.unwrap().set, refresh.sa.unwrap().set, "no challenge, no new set");
}

#[test]
fn a_challenged_refresh_changes_the_set() {
    let mut n = Network::new().registered(1_200);
    let old = n.only_set().clone();
    n.at(600.0);
    let refresh = n.sent();
    let challenge = n.challenge(&refresh, other_server);
    n.answer(&refresh, &challenge);
    let answer = n.sent();
    assert_eq!(n.sets.len(), 2);
    let new = n.sets[&answer.sa.unwrap().set].clone();
    assert_ne!(new.id, old.id);
    assert_eq!(new.ue.port_s, old.ue.port_s, "port_us stays");
    assert_ne!(new.ue.port_c, old.ue.port_c);
    assert_ne!(new.ue.spi_c, old.ue.spi_c);
    assert_eq!(new.ue.spi_c.to_string(), refresh.offers()[0]["spi-c"]);
    assert_eq!(answer.header("Security-Client"), refresh.header("Security-Client"));
    assert!(answer.header("Security-Verify").contains("spi-c=7001"));
    n.answer(&answer, &granted(&answer, 1_200));
    // The old set serves on until the first message through the new one, and 64*T1 from there.
    n.at(700.0);
    assert_eq!(n.sets.len(), 2);
    let sa = Some(SaId { set: new.id, pair: PortPair::UsPc });
    n.deliver(&options("z9hG4bKnew"), 7100, 31_001, Transport::Udp, sa);
    assert_eq!(n.sent().sa, Some(SaId { set: new.id, pair: PortPair::UcPs }));
    n.at(827.9);
    assert_eq!(n.sets.len(), 2);
    n.at(828.1);
    assert_eq!(n.only_set().id, new.id);
}

#[test]
fn deregistered_over_the_set() {
    let mut n = Network::new().registered(7_200);
    n.at(10.0);
    n.deregister();
    let m = n.sent();
    protected(&n, &m);
    assert_eq!(m.header("Expires"), "0");
    assert_eq!(m.credential("nc").unwrap(), "00000002");
    assert_eq!(n.ue.status(), UeStatus::Registering);
    n.answer(&m, &reply(&m, "200 OK", &[]));
    assert_eq!(n.ue.status(), UeStatus::Idle);
    assert!(n.sets.is_empty());
    assert!(n.told(|e| matches!(e, What::Deregistered { .. })));
    n.at(100_000.0);
    n.quiet();
}

#[test]
fn a_challenged_deregistration_is_answered() {
    let mut n = Network::new().registered(7_200);
    n.at(10.0);
    n.deregister();
    let m = n.sent();
    let challenge = n.challenge(&m, other_server);
    n.answer(&m, &challenge);
    let answer = n.sent();
    assert_eq!(answer.header("Expires"), "0");
    assert_eq!(answer.to.port(), 7200);
    assert_eq!(answer.credential("response").unwrap(), n.expected(&answer));
    n.answer(&answer, &reply(&answer, "200 OK", &[]));
    assert_eq!(n.ue.status(), UeStatus::Idle);
    assert!(n.sets.is_empty());
}

#[test]
fn an_unanswered_deregistration_ends_all_the_same() {
    let mut n = Network::new().registered(7_200);
    n.deregister();
    n.at(200.0);
    n.ignore();
    assert_eq!(n.ue.status(), UeStatus::Idle);
    assert!(n.sets.is_empty());
    assert!(n.ue.failure().unwrap().contains("Timer F"));
}

#[test]
fn deregistration_asked_for_during_registration_follows_it() {
    let mut n = Network::new();
    let second = challenged(&mut n);
    n.deregister();
    n.quiet();
    n.answer(&second, &granted(&second, 600));
    assert_eq!(n.sent().header("Expires"), "0");
}

/// Lesson 65: the own Contact among several, `expires` of it before the header.
#[test]
fn the_grant_is_that_of_the_own_contact() {
    let mut n = Network::new();
    let second = challenged(&mut n);
    let lines = [
        "Contact: <sip:001010000000001@192.0.2.99:31001>;expires=50, <sip:tablet@192.0.2.10:31001>;expires=60",
        "Contact: <sip:001010000000001@192.0.2.10:31001;alias=x>;expires=3000",
        "Expires: 70",
    ];
    n.answer(&second, &reply(&second, "200 OK", &lines));
    assert_eq!(n.ue.expires_at(), Some(Instant::from_secs(3_000)));
    let mut n = Network::new();
    let second = challenged(&mut n);
    let lines = ["Contact: <sip:001010000000001@192.0.2.10:31001>", "Expires: 70"];
    n.answer(&second, &reply(&second, "200 OK", &lines));
    assert_eq!(n.ue.expires_at(), Some(Instant::from_secs(70)));
}

/// The trace of the operator 460-60 leaves out the comma.
#[test]
fn associated_identities_without_their_commas() {
    let mut n = Network::new();
    let second = challenged(&mut n);
    n.answer(&second, &reply(&second, "200 OK", &["P-Associated-URI: <tel:+8613800138000><sip:a@b>", "Expires: 70"]));
    assert_eq!(n.ue.associated().len(), 2);
    assert_eq!(n.ue.associated()[0].as_str(), "tel:+8613800138000");
}

#[test]
fn registers_over_tcp() {
    let mut n = Network::with(|c| c.transport = Transport::Tcp);
    n.register();
    let first = n.sent();
    assert_eq!((first.transport, first.from.port()), (Transport::Tcp, 0), "any port; the listener has ours");
    assert!(first.header("Via").starts_with("SIP/2.0/TCP 192.0.2.10:5060;"));
    let challenge = n.challenge(&first, |text| text);
    n.deliver(&challenge, 5060, 43_210, Transport::Tcp, None);
    let second = n.sent();
    assert_eq!((second.transport, second.from.port(), second.to.port()), (Transport::Tcp, 31_000, 6100));
    assert!(second.header("Contact").starts_with("<sip:001010000000001@192.0.2.10:31001>"));
    n.answer(&second, &granted(&second, 600));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

/// RFC 3261 clause 18.1.1: a large REGISTER goes by TCP, and by UDP where that is refused.
#[test]
fn a_large_register_goes_by_tcp() {
    let mut n = Network::with(|c| c.features = format!(";+x=\"{}\"", "y".repeat(1_300)).into());
    n.register();
    let first = n.sent();
    assert_eq!(first.transport, Transport::Tcp);
    assert!(first.header("Via").starts_with("SIP/2.0/TCP "));
    let failed = imsreg::packet::Connection {
        local: first.from,
        remote: first.to,
        transport: Transport::Tcp,
        protocol: imsreg::packet::Protocol::Sip,
        inbound: false,
        state: imsreg::packet::ConnectionState::Failed,
    };
    n.call(|ue, now, out| ue.connection(now, &failed, out));
    let again = n.sent();
    assert_eq!((again.transport, again.from.port()), (Transport::Udp, 5060));
    assert!(again.header("Via").starts_with("SIP/2.0/UDP "));
}

#[test]
fn without_agreement_everything_stays_in_clear() {
    let mut n = Network::with(|c| c.sec_agree = SecAgreePolicy::Off);
    n.register();
    let first = n.sent();
    for name in ["Security-Client", "Require", "Proxy-Require"] {
        assert!(first.all(name).is_empty());
    }
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    assert_eq!((second.sa, second.from.port(), second.to.port()), (None, 5060, 5060));
    assert!(second.all("Security-Verify").is_empty());
    assert_eq!(second.credential("response").unwrap(), n.expected(&second));
    n.answer(&second, &granted(&second, 600));
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n.at(300.0);
    assert_eq!(n.sent().credential("nc").unwrap(), "00000002");
}

/// TS 24.229 table 7.7.1: T1 is 2 s, T2 16 s between UE and P-CSCF.
#[test]
fn retransmitted_by_the_timers_of_gm() {
    let mut n = Network::new();
    n.register();
    n.at(127.0);
    let all: Vec<Sent> = (0..11).map(|_| n.sent()).collect();
    n.quiet();
    let times: Vec<u64> = all.iter().map(|m| m.at.as_micros() / 1_000_000).collect();
    assert_eq!(times, [0, 2, 6, 14, 30, 46, 62, 78, 94, 110, 126]);
    assert!(all.iter().all(|m| m.text == all[0].text));
    assert_eq!(n.ue.status(), UeStatus::Registering);
    n.at(128.0);
    assert_eq!(n.ue.status(), UeStatus::Waiting);
    assert!(n.ue.failure().unwrap().contains("Timer F"));
}

#[test]
fn an_expired_registration_is_gone() {
    let mut n = Network::with(|c| c.refresh = false).registered(100);
    n.at(99.0);
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n.at(100.0);
    assert_eq!(n.ue.status(), UeStatus::Idle);
    assert!(n.told(|e| matches!(e, What::Deregistered { cause: "expired", .. })));
    n.at(129.0);
    assert_eq!(n.sets.len(), 1, "a set outlives its registration by 30 s");
    n.at(131.0);
    assert!(n.sets.is_empty());
}

#[test]
fn no_key_is_printed() {
    let n = Network::new().registered(600);
    let text = format!("{:?} {:?}", n.ue, n.events);
    for secret in ["0123456789abcdef", "fedcba9876543210", "[48, 49, 50"] {
        assert!(!text.contains(secret));
    }
}

/// The answer to a good challenge, sent.
fn challenged(n: &mut Network) -> Sent {
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    n.sent()
}

/// TS 24.229 clause 5.1.1.5.1: from port_uc to port_ps, Via and Contact name port_us.
fn protected(n: &Network, m: &Sent) {
    let set = &n.sets[&m.sa.expect("protected").set];
    assert_eq!((m.from.port(), m.to.port()), (set.ue.port_c, set.pcscf.port_s));
    let via = format!("SIP/2.0/UDP 192.0.2.10:{};branch=", set.ue.port_s);
    assert!(m.header("Via").starts_with(&via), "{}", m.text);
    assert!(m.header("Contact").starts_with(&format!("<sip:001010000000001@192.0.2.10:{}>", set.ue.port_s)));
    assert_eq!((m.header("Require"), m.header("Proxy-Require")), ("sec-agree", "sec-agree"));
}

/// A P-CSCF that takes new SPIs and ports.
fn other_server(text: String) -> String {
    let new = SECURITY_SERVER.replace("500", "700").replace("5100", "7100").replace("6100", "7200");
    text.replace(SECURITY_SERVER, &new)
}

fn options(branch: &str) -> String {
    format!(
        "OPTIONS sip:001010000000001@192.0.2.10:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:7200;branch={branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:p@example>;tag=1\r\nTo: <sip:u@example>\r\nCall-ID: c{branch}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

fn kind(what: &What) -> &'static str {
    match what {
        What::AutnVerified { .. } => "AutnVerified",
        What::SaInstalled { .. } => "SaInstalled",
        What::SaEstablished { .. } => "SaEstablished",
        What::Registered { .. } => "Registered",
        _ => "other",
    }
}
