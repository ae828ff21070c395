//! Keep-alives of a UE: agreed, sent, judged (RFC 5626 clause 4.4, RFC 6223).

use crate::network::{Network, Sent, granted};
use imsreg::event::What;
use imsreg::ipsec::association::PortPair;
use imsreg::packet::Transport;
use imsreg::sip::stun::{self, Stun};
use imsreg::time::{Duration, Instant};
use imsreg::ue::{KeepAlivePolicy, UeConfig, UeStatus};
use std::net::SocketAddr;

/// Registers with a 200 that is changed at the end.
fn registered(policy: KeepAlivePolicy, transport: Transport, change: impl Fn(String) -> String) -> Network {
    let mut n = Network::with(|c: &mut UeConfig| {
        c.keep_alive = policy;
        c.transport = transport;
    });
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &change(granted(&second, 600_000)));
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n
}

fn every(secs: u64, transport: Transport) -> Network {
    registered(KeepAlivePolicy::Every(Duration::from_secs(secs)), transport, |text| text)
}

/// Answers a binding request: it comes from port_ps, where the request went.
fn respond(n: &mut Network, request: &Sent, mapped: &str) {
    let Some(Stun::Request { id, unknown: None }) = Stun::read(&request.bytes) else { panic!("{}", request.text) };
    let mut bytes = Vec::new();
    stun::write_response(&id, mapped.parse::<SocketAddr>().unwrap(), &mut bytes);
    n.deliver(&bytes, request.to.port(), request.from.port(), Transport::Udp, request.sa);
}

fn waits(n: &Network) -> Vec<&str> {
    fn cause(what: &What) -> Option<&str> {
        if let What::RetryAt { cause, .. } = what { Some(cause) } else { None }
    }
    n.events.iter().filter_map(cause).collect()
}

#[test]
fn keep_is_offered_and_its_value_obeyed() {
    for (via, more) in [(";keep=30", ""), (";keep", "Flow-Timer: 30\r\n")] {
        let mut n = registered(KeepAlivePolicy::Negotiated, Transport::Udp, |text| {
            assert!(text.contains(";keep\r\n"), "offered: {text}");
            text.replacen(";keep\r\n", &format!("{via}\r\n{more}"), 1)
        });
        let ping = n.next_sent();
        assert!((Instant::from_secs(24)..=Instant::from_secs(30)).contains(&ping.at), "{:?}", ping.at);
        // Through the set, port_uc to port_ps.
        assert_eq!((ping.from.port(), ping.to.port(), ping.sa.unwrap().pair), (31_000, 6100, PortPair::UcPs));
        respond(&mut n, &ping, "192.0.2.10:31000");
        n.quiet();
    }
}

#[test]
fn without_a_value_none_is_sent() {
    let mut n = registered(KeepAlivePolicy::Negotiated, Transport::Udp, |text| text);
    n.at(1_000.0);
    n.quiet();
    let mut n = registered(KeepAlivePolicy::Off, Transport::Udp, |text| {
        assert!(!text.contains("keep"));
        text.replacen("\r\nFrom", ";keep=30\r\nFrom", 1)
    });
    n.at(1_000.0);
    n.quiet();
}

/// RFC 5626 clause 4.4: between 80 and 100 per cent of the interval, and never in step.
#[test]
fn answered_binding_requests_follow_each_other() {
    let mut n = every(100, Transport::Udp);
    let mut last = n.now;
    let mut gaps = Vec::new();
    for _ in 0..20 {
        let ping = n.next_sent();
        gaps.push((ping.at - last).as_secs_f64());
        last = ping.at;
        respond(&mut n, &ping, "192.0.2.10:31000");
    }
    assert!(waits(&n).is_empty());
    assert!(gaps.iter().all(|gap| (80.0..=100.0).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]));
}

/// RFC 5389 clause 7.2.1: seven requests, 500 ms doubled, and 16 times that after the last.
#[test]
fn an_unanswered_binding_request_is_repeated_and_then_the_flow_is_made_anew() {
    let mut n = every(100, Transport::Udp);
    n.at(100.0);
    let mut times: Vec<f64> = Vec::new();
    let first = n.sent();
    n.at(first.at.as_micros() as f64 / 1e6 + 39.4);
    for _ in 0..6 {
        let again = n.sent();
        assert_eq!(again.bytes, first.bytes);
        times.push((again.at - first.at).as_secs_f64());
    }
    assert_eq!(times, [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]);
    n.quiet();
    n.at(first.at.as_micros() as f64 / 1e6 + 39.6);
    assert_eq!(waits(&n), ["the P-CSCF does not answer keep-alives"]);
    let register = n.sent();
    assert!(register.text.starts_with("REGISTER ") && register.sa.is_none(), "an initial registration");
}

/// RFC 5626 clause 4.4.2.
#[test]
fn another_mapped_address_is_another_flow() {
    let mut n = every(100, Transport::Udp);
    let ping = n.next_sent();
    respond(&mut n, &ping, "203.0.113.1:4000");
    let ping = n.next_sent();
    respond(&mut n, &ping, "203.0.113.1:4001");
    assert_eq!(waits(&n), ["the P-CSCF sees another address"]);
    assert!(n.sent().text.starts_with("REGISTER "));
}

#[test]
fn a_response_to_somebody_else_or_in_clear_does_not_count() {
    let mut n = every(100, Transport::Udp);
    let ping = n.next_sent();
    let mut bytes = Vec::new();
    stun::write_response(&[7; 12], "192.0.2.10:31000".parse().unwrap(), &mut bytes);
    n.deliver(&bytes, 6100, 31_000, Transport::Udp, ping.sa);
    let clear = Sent { sa: None, ..ping.clone() };
    respond(&mut n, &clear, "192.0.2.10:31000");
    n.at(ping.at.as_micros() as f64 / 1e6 + 0.5);
    assert_eq!(n.sent().bytes, ping.bytes, "it still waits");
}

/// RFC 5626 clause 4.4.1.
#[test]
fn on_a_connection_two_line_ends_are_answered_by_one_within_ten_seconds() {
    let mut n = every(100, Transport::Tcp);
    let ping = n.next_sent();
    assert_eq!((&*ping.bytes, ping.transport), (&b"\r\n\r\n"[..], Transport::Tcp));
    n.deliver("\r\n", ping.to.port(), ping.from.port(), Transport::Tcp, ping.sa);
    let ping = n.next_sent();
    let sent_at = ping.at.as_micros() as f64 / 1e6;
    n.at(sent_at + 9.9);
    n.quiet();
    n.at(sent_at + 10.0);
    assert_eq!(waits(&n), ["the P-CSCF does not answer keep-alives"]);
    assert!(n.sent().text.starts_with("REGISTER "));
}

#[test]
fn a_ue_answers_pings_itself() {
    let mut n = every(100, Transport::Tcp);
    let sa = imsreg::ipsec::association::SaId { set: n.only_set().id, pair: PortPair::UsPc };
    n.deliver("\r\n\r\n", 5100, 31_001, Transport::Tcp, Some(sa));
    let pong = n.sent();
    assert_eq!((&*pong.bytes, pong.from.port(), pong.to.port()), (&b"\r\n"[..], 31_001, 5100));
    n.deliver("\r\n\r\n", 5060, 5060, Transport::Tcp, None);
    n.quiet();
}
