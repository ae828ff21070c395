//! Requests of a registered UE outside of dialogs.

use crate::network::{Network, SECURITY_SERVER, Sent, reply};
use imsreg::event::What;
use imsreg::identity::Impu;
use imsreg::packet::Transport;
use imsreg::pcscf::SecAgreePolicy;
use imsreg::ue::{CannotSend, Ue};

const BOB: &str = "sip:bob@home.example";

fn send(n: &mut Network, body: &str) -> Result<(), CannotSend> {
    let mut sent = Ok(());
    n.call(|ue, now, out| sent = ue.message(now, BOB, "text/plain", body.as_bytes(), out));
    sent
}

/// TS 24.229 clause 5.1.2A.1.1.
#[test]
fn a_message_takes_the_service_route_through_the_sa() {
    let mut n = Network::new().registered(7_200);
    send(&mut n, "hello").unwrap();
    let message = n.sent();
    assert!(message.text.starts_with("MESSAGE sip:bob@home.example SIP/2.0\r\n"), "{}", message.text);
    assert_eq!((message.from.port(), message.to.port(), message.sa.is_some()), (31_000, 6100, true));
    assert_eq!(message.all("Route"), ["<sip:192.0.2.1:6100;lr>", "<sip:token@scscf.example:6060;lr>"]);
    assert!(message.header("Via").starts_with("SIP/2.0/UDP 192.0.2.10:31001;branch=z9hG4bK"));
    assert!(message.header("From").starts_with("<sip:+99912345@ims.example>;tag="), "the default identity");
    assert_eq!(message.header("To"), "<sip:bob@home.example>");
    assert_eq!(message.header("P-Preferred-Identity"), "<sip:+99912345@ims.example>");
    assert_eq!(message.header("P-Access-Network-Info"), "3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=0010100010000001");
    assert_eq!(message.header("Security-Verify"), SECURITY_SERVER);
    assert_eq!((message.header("Require"), message.header("Proxy-Require")), ("sec-agree", "sec-agree"));
    assert_eq!((message.header("Content-Type"), message.header("Content-Length")), ("text/plain", "5"));
    assert!(message.all("Contact").is_empty(), "RFC 3428 clause 4: no Contact");
    assert!(message.text.ends_with("\r\n\r\nhello"));
    n.answer(&message, &reply(&message, "202 Accepted", &[]));
    let told = |e: &What| *e == What::RequestAnswered { method: "MESSAGE", to: Impu::from(BOB), status: 202 };
    assert!(n.told(told), "{:?}", n.events);
}

#[test]
fn options_asks_and_hears() {
    let mut n = Network::new().registered(7_200);
    n.call(|ue, now, out| ue.options(now, BOB, out).unwrap());
    let options = n.sent();
    assert_eq!((options.header("Accept"), options.all("Contact").len()), ("application/sdp", 1));
    assert!(options.header("Contact").starts_with("<sip:001010000000001@192.0.2.10:31001>"));
    n.answer(&options, &reply(&options, "486 Busy Here", &[]));
    assert!(n.told(|e| matches!(e, What::RequestAnswered { method: "OPTIONS", status: 486, .. })));
}

#[test]
fn silence_is_told_after_timer_f_of_gm() {
    let mut n = Network::new().registered(7_200);
    send(&mut n, "").unwrap();
    n.at(127.9);
    assert!(!n.told(|e| matches!(e, What::RequestAnswered { .. })));
    n.at(128.0);
    assert!(n.told(|e| matches!(e, What::RequestAnswered { status: 0, .. })));
}

#[test]
fn a_large_message_goes_by_tcp_on_the_same_set() {
    let mut n = Network::new().registered(7_200);
    send(&mut n, &"x".repeat(1_300)).unwrap();
    let message = n.sent();
    assert_eq!((message.transport, message.from.port(), message.to.port()), (Transport::Tcp, 31_000, 6100));
    assert!(message.header("Via").starts_with("SIP/2.0/TCP "));
}

#[test]
fn an_answer_in_clear_is_not_taken() {
    let mut n = Network::new().registered(7_200);
    send(&mut n, "hello").unwrap();
    let message = n.sent();
    n.deliver(&reply(&message, "200 OK", &[]), 5060, 5060, Transport::Udp, None);
    assert!(!n.told(|e| matches!(e, What::RequestAnswered { .. })));
    assert!(n.told(|e| matches!(e, What::PacketDropped { .. })));
}

#[test]
fn what_cannot_be_sent_is_said() {
    let mut n = Network::new();
    assert_eq!(send(&mut n, "x"), Err(CannotSend::NotRegistered));
    n = n.registered(7_200);
    n.call(|ue, now, out| assert_eq!(ue.options(now, "mailto:a@b", out), Err(CannotSend::BadTarget)));
    n.call(|ue, now, out| assert_eq!(ue.hang_up(now, 1, out), Err(CannotSend::NoSuchCall)));
    n.quiet();
}

/// A UE of a network without security agreements: the same headers but for those of the agreement.
#[test]
fn without_a_set_a_message_goes_in_clear() {
    let mut n = Network::with(|c| c.sec_agree = SecAgreePolicy::Off);
    n.register();
    let first = n.sent();
    n.answer(&first, &crate::network::granted(&first, 3_600));
    send(&mut n, "hello").unwrap();
    let message: Sent = n.sent();
    assert_eq!((message.sa, message.to.port()), (None, 5060));
    assert_eq!(message.all("Route")[0], "<sip:192.0.2.1:5060;lr>");
    assert!(message.all("Security-Verify").is_empty() && message.all("Require").is_empty());
    assert!(message.header("Via").ends_with(";rport"));
}

#[test]
fn a_message_that_comes_is_told_and_answered_without_contact() {
    let mut n = Network::new().registered(7_200);
    let text = "MESSAGE sip:001010000000001@192.0.2.10:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:6100;branch=z9hG4bKm\r\n\
                Max-Forwards: 70\r\nFrom: <sip:bob@home.example>;tag=1\r\nTo: <sip:u@example>\r\nCall-ID: m\r\n\
                CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi";
    let sa =
        imsreg::ipsec::association::SaId { set: n.only_set().id, pair: imsreg::ipsec::association::PortPair::UsPc };
    n.deliver(text, 5100, 31_001, Transport::Udp, Some(sa));
    let answer = n.sent();
    assert!(answer.text.starts_with("SIP/2.0 200 OK\r\n") && answer.all("Contact").is_empty());
    let told = What::MessageReceived { from: Impu::from(BOB), content_type: "text/plain".into(), octets: 2 };
    assert!(n.told(|e| *e == told), "{:?}", n.events);
    n.call(Ue::deregister);
}
