//! Two flows of one device (RFC 5626): formed, refreshed and recovered one by one.

use crate::network::{Network, Sent, granted, reply};
use imsreg::event::What;
use imsreg::packet::Transport;
use imsreg::sip::stun::{self, Stun};
use imsreg::time::Duration;
use imsreg::ue::{KeepAlivePolicy, UeStatus};

fn network(second: &str) -> Network {
    Network::with(|config| {
        config.reg_id = Some(1);
        config.second_flow = Some(second.parse().unwrap());
        config.keep_alive = KeepAlivePolicy::Every(Duration::from_secs(1_000));
    })
}

/// The registrar supports flows.
fn granted_flow(request: &Sent) -> String {
    granted(request, 600_000).replacen("\r\nContact", "\r\nRequire: outbound\r\nContact", 1)
}

fn reg_id(request: &Sent) -> Option<u32> {
    let contact = request.header("Contact");
    assert_eq!(contact.contains(";reg-id="), request.header("Supported").contains("outbound"), "{contact}");
    contact.split(";reg-id=").nth(1).map(|id| id.split(';').next().unwrap().parse().unwrap())
}

/// Challenge, answer and 200 for a REGISTER in clear; what the answer was.
fn grant(n: &mut Network, first: &Sent) -> Sent {
    assert!(first.text.starts_with("REGISTER ") && first.sa.is_none(), "{}", first.text);
    let challenge = n.challenge(first, |text| text);
    n.answer(first, &challenge);
    let second = n.sent();
    n.answer(&second, &granted_flow(&second));
    second
}

/// Both flows are registered.
fn two() -> Network {
    let mut n = network("192.0.2.1:5060");
    n.register();
    for _ in 0..2 {
        let first = n.sent();
        grant(&mut n, &first);
    }
    assert_eq!(n.ue.second_flow().map(|flow| flow.status()), Some(UeStatus::Registered));
    n.quiet();
    n
}

/// Answers keep-alives until the flow with this reg-id sends one, which stays unanswered until it has failed.
fn fail(n: &mut Network, second: bool) -> Sent {
    loop {
        let sent = n.next_sent();
        if sent.text.starts_with("REGISTER ") {
            return sent;
        }
        let Some(Stun::Request { id, .. }) = Stun::read(&sent.bytes) else { panic!("{}", sent.text) };
        if second == (sent.from.port() > 31_050) {
            continue;
        }
        let mut bytes = Vec::new();
        stun::write_response(&id, sent.from, &mut bytes);
        n.deliver(&bytes, sent.to.port(), sent.from.port(), Transport::Udp, sent.sa);
    }
}

/// RFC 5626 clauses 4.2 and 4.2.1.
#[test]
fn the_second_flow_follows_the_first() {
    let mut n = network("192.0.2.2:5060");
    n.register();
    let first = n.sent();
    assert_eq!((reg_id(&first), first.to.ip().to_string().as_str()), (Some(1), "192.0.2.1"));
    let one = grant(&mut n, &first);
    let second = n.sent();
    assert_eq!((reg_id(&second), second.to.ip().to_string().as_str()), (Some(2), "192.0.2.2"));
    assert_ne!(second.header("Call-ID"), first.header("Call-ID"));
    let instance = |sent: &Sent| sent.header("Contact").split(";+sip.instance=").nth(1).unwrap()[..30].to_owned();
    assert_eq!(instance(&first), instance(&second), "one device");

    let n = two();
    assert_eq!((n.ue.status(), n.sets.len()), (UeStatus::Registered, 2));
    let ports: Vec<u16> = n.sets.values().flat_map(|set| [set.ue.port_c, set.ue.port_s]).collect();
    assert!(ports.iter().all(|port| ports.iter().filter(|other| *other == port).count() == 1), "{ports:?}");
    assert!(one.sa.is_some());

    // The registrar supports none: there is no second.
    let mut n = network("192.0.2.1:5060");
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &granted(&second, 600_000));
    n.quiet();
    assert!(n.ue.second_flow().is_none());
}

/// RFC 5626 clause 4.5: 30 s and its powers of two where all flows have failed, 90 s where another one works.
#[test]
fn a_flow_that_fails_is_formed_anew_at_once_and_then_with_growing_waits() {
    for second in [false, true] {
        let mut n = two();
        let mut register = fail(&mut n, second);
        assert_eq!((reg_id(&register), register.sa), (Some(1 + u32::from(second)), None));
        for upper in [180.0, 360.0] {
            n.answer(&register, &reply(&register, "500 Oops", &[]));
            let wait = n.wait();
            assert!((upper / 2.0..=upper).contains(&wait), "{wait}");
            register = fail(&mut n, second);
            assert_eq!(reg_id(&register), Some(1 + u32::from(second)));
        }
        grant(&mut n, &register);
        n.quiet();
        assert_eq!(n.sets.len(), 2, "the new set has taken the place of the old one");
        assert_eq!(n.ue.second_flow().map(|flow| flow.status()), Some(UeStatus::Registered));
    }
}

/// RFC 5626 clause 4.3.
#[test]
fn while_the_first_flow_is_formed_anew_requests_take_the_second() {
    let mut n = two();
    let message = |n: &mut Network| {
        n.call(|ue, now, out| ue.message(now, "sip:bob@home.example", "text/plain", b"hi", out).unwrap());
        let sent = n.sent();
        assert!(sent.text.starts_with("MESSAGE "), "{}", sent.text);
        // RFC 5626 clause 11.5: to an end 430 is as good as 400.
        n.answer(&sent, &reply(&sent, "430 Flow Failed", &[]));
        n.quiet();
        sent.from.port()
    };
    assert!(message(&mut n) < 31_050);
    assert!(n.told(|what| matches!(what, What::RequestAnswered { status: 430, .. })));
    let register = fail(&mut n, false);
    assert!(message(&mut n) > 31_050);
    grant(&mut n, &register);
    assert!(message(&mut n) < 31_050);
}

/// RFC 5626 clause 11.6, TS 24.229 clause 5.4.1.2.2.
#[test]
fn where_the_first_hop_supports_no_flows_the_ue_does_without() {
    let mut n = network("192.0.2.1:5060");
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &reply(&second, "439 First Hop Lacks Outbound Support", &[]));
    let again = n.sent();
    assert_eq!((reg_id(&again), again.at), (None, second.at));
    grant(&mut n, &again);
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n.quiet();

    // By the other first hop: the first flow is enough.
    let mut n = network("192.0.2.1:5060");
    n.register();
    let first = n.sent();
    grant(&mut n, &first);
    let second = n.sent();
    n.answer(&second, &reply(&second, "439 First Hop Lacks Outbound Support", &[]));
    n.quiet();
    assert_eq!(n.ue.second_flow().map(|flow| flow.status()), Some(UeStatus::Failed { status: 439 }));
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn a_ue_that_leaves_ends_both_flows() {
    let mut n = two();
    n.deregister();
    for _ in 0..2 {
        let sent = n.sent();
        assert!(sent.header("Expires") == "0" && sent.sa.is_some(), "{}", sent.text);
        n.answer(&sent, &reply(&sent, "200 OK", &[]));
    }
    n.quiet();
    assert_eq!((n.ue.status(), n.sets.len()), (UeStatus::Idle, 0));
    assert_eq!(n.ue.second_flow().map(|flow| flow.status()), Some(UeStatus::Idle));
}
