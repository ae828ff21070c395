use crate::network::{Network, Sent};
use imsreg::event::What;
use imsreg::ipsec::association::{PortPair, SaId};
use imsreg::packet::Transport;

fn request(method: &str, to_tag: &str, more: &str) -> String {
    let id = format!("{method}{}", to_tag.trim_start_matches(";tag="));
    format!(
        "{method} sip:001010000000001@192.0.2.10:31001 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:6100;branch=z9hG4bK{id}\r\nVia: SIP/2.0/UDP 192.0.2.3:6060;branch=z9hG4bKs\r\n\
         Max-Forwards: 70\r\nFrom: <sip:s@example>;tag=1\r\nTo: <sip:u@example>{to_tag}\r\nCall-ID: {id}\r\n\
         CSeq: 1 {method}\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

fn ask(n: &mut Network, text: &str) -> Sent {
    let sa = SaId { set: n.only_set().id, pair: PortPair::UsPc };
    n.deliver(text, 5100, 31_001, Transport::Udp, Some(sa));
    n.sent()
}

#[test]
fn requests_are_answered_by_what_a_ue_serves() {
    let mut n = Network::new().registered(7_200);
    for (method, tag, more, status) in [
        ("OPTIONS", "", "", "200 OK"),
        ("NOTIFY", ";tag=x", "Event: reg\r\nSubscription-State: active\r\n", "481 Call/Transaction Does Not Exist"),
        ("INVITE", "", "", "400 Bad Request"),
        ("INVITE", ";tag=x", "Contact: <sip:s@192.0.2.3>\r\n", "481 Call/Transaction Does Not Exist"),
        ("MESSAGE", "", "", "200 OK"),
        ("PUBLISH", "", "", "405 Method Not Allowed"),
        ("BYE", ";tag=x", "", "481 Call/Transaction Does Not Exist"),
        ("CANCEL", "", "", "481 Call/Transaction Does Not Exist"),
        ("FROB", "", "", "501 Not Implemented"),
        ("OPTIONS", ";tag=y", "Require: frob\r\n", "420 Bad Extension"),
    ] {
        let answer = ask(&mut n, &request(method, tag, more));
        assert_eq!(answer.text.lines().next().unwrap(), format!("SIP/2.0 {status}"));
        // TS 33.203 clause 7.1: over UDP the answer takes port_uc to port_ps.
        assert_eq!((answer.from.port(), answer.to.port()), (31_000, 6100));
        assert_eq!(answer.sa.unwrap().pair, PortPair::UcPs);
        assert_eq!(answer.all("Via").len(), 2);
        assert!(answer.header("To").contains(";tag="));
        assert_eq!(answer.header("CSeq"), format!("1 {method}"));
    }
    assert_eq!(ask(&mut n, &request("OPTIONS", ";tag=z", "Require: frob\r\n")).header("Unsupported"), "frob");
}

#[test]
fn a_copy_is_answered_by_the_same_bytes() {
    let mut n = Network::new().registered(7_200);
    let first = ask(&mut n, &request("OPTIONS", "", ""));
    let again = ask(&mut n, &request("OPTIONS", "", ""));
    assert_eq!(first.text, again.text);
}

#[test]
fn over_tcp_the_answer_takes_the_connection() {
    let mut n = Network::new().registered(7_200);
    let sa = SaId { set: n.only_set().id, pair: PortPair::UsPc };
    n.deliver(&request("NOTIFY", ";tag=x", "").replace("/UDP", "/TCP"), 5100, 31_001, Transport::Tcp, Some(sa));
    let answer = n.sent();
    assert_eq!((answer.transport, answer.from.port(), answer.to.port()), (Transport::Tcp, 31_001, 5100));
    assert_eq!(answer.sa, Some(sa));
}

/// TS 33.203 clause 7.1.
#[test]
fn clear_text_beside_live_sas_is_dropped() {
    let mut n = Network::new().registered(7_200);
    n.deliver(&request("OPTIONS", "", ""), 5060, 5060, Transport::Udp, None);
    n.quiet();
    assert!(n.told(|e| matches!(e, What::PacketDropped { .. })));
}

#[test]
fn what_is_no_sip_is_dropped_and_keep_alives_are_silent() {
    let mut n = Network::new();
    n.deliver("\r\n\r\n", 5060, 5060, Transport::Udp, None);
    assert!(n.events.is_empty());
    n.deliver("hello\r\n\r\n", 5060, 5060, Transport::Udp, None);
    n.quiet();
    assert!(n.told(|e| matches!(e, What::Discarded { .. })));
}
