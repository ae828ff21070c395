//! The UE's subscription to its registration (TS 24.229 clauses 5.1.1.3, 5.1.1.5A and 5.1.1.7).

use crate::network::{Network, Sent, granted, reply};
use imsreg::event::What;
use imsreg::ipsec::association::{PortPair, SaId};
use imsreg::packet::Transport;
use imsreg::reginfo::{Contact, ContactEvent as E, DocumentState, Reginfo, Registration, RegistrationState};
use imsreg::ue::UeStatus;

const DEFAULT: &str = "sip:+99912345@ims.example";
const TEL: &str = "tel:+99912345";

/// Registered, and the SUBSCRIBE that follows.
fn subscribing() -> (Network, Sent) {
    let mut n = Network::with(|config| config.subscribe = true).registered(3_600);
    let subscribe = n.sent();
    n.quiet();
    (n, subscribe)
}

/// The same with a 200.
fn watching() -> (Network, Sent) {
    let (mut n, subscribe) = subscribing();
    n.answer(&subscribe, &accepted(&subscribe));
    n.quiet();
    (n, subscribe)
}

fn accepted(subscribe: &Sent) -> String {
    let expires = format!("Expires: {}", subscribe.header("Expires"));
    reply(
        subscribe,
        "200 OK",
        &[&expires, "Contact: <sip:scscf.example:6060>", "Record-Route: <sip:rr@192.0.2.1:6100;lr>"],
    )
}

/// What the network says of the UE's Contact.
fn document(version: u32, event: E, expires: u64) -> String {
    let mut contact = Contact::new("c", event, "sip:001010000000001@192.0.2.10:31001");
    contact.expires = Some(expires);
    let state = match contact.state.as_str() {
        "active" => RegistrationState::Active,
        _ => RegistrationState::Terminated,
    };
    let of = |aor: &'static str, id: &'static str| {
        let contact = Contact { id: format!("{id}.c").into(), ..contact.clone() };
        Registration { aor: aor.into(), id: id.into(), state, contacts: vec![contact], wildcard: None }
    };
    let mut out = Vec::new();
    let registrations = vec![of(DEFAULT, "a"), of(TEL, "b")];
    Reginfo { version, state: DocumentState::Full, registrations }.write(&mut out);
    String::from_utf8(out).unwrap()
}

fn notify(subscribe: &Sent, cseq: u32, state: &str, body: &str) -> String {
    let (from, to) = (subscribe.header("To"), subscribe.header("From"));
    format!(
        "NOTIFY sip:001010000000001@192.0.2.10:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:6100;branch=z9hG4bKn{cseq}\r\n\
         Max-Forwards: 69\r\nFrom: {from};tag=network\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} NOTIFY\r\n\
         Contact: <sip:scscf.example:6060>\r\nEvent: reg\r\nSubscription-State: {state}\r\n\
         Content-Type: application/reginfo+xml\r\nContent-Length: {}\r\n\r\n{body}",
        subscribe.header("Call-ID"),
        body.len()
    )
}

/// A NOTIFY arrives through the set in use; the status of its answer.
fn deliver(n: &mut Network, text: &str) -> u16 {
    let set = n.sets.values().last().expect("a set");
    let (from, to) = (set.pcscf.port_c, set.ue.port_s);
    let sa = SaId { set: set.id, pair: PortPair::UsPc };
    n.deliver(text, from, to, Transport::Udp, Some(sa));
    let answer = n.sent();
    assert!(answer.sa.is_some(), "protected");
    answer.text[8..11].parse().unwrap()
}

fn faults(n: &Network) -> Vec<(&str, &str)> {
    let faults = n.events.iter().filter_map(|e| match e {
        What::NotifyFault { cause, clause } => Some((cause.as_str(), *clause)),
        _ => None,
    });
    faults.collect()
}

#[test]
fn it_subscribes_to_its_default_identity_after_the_200() {
    let (n, m) = subscribing();
    assert_eq!(m.text.lines().next().unwrap(), format!("SUBSCRIBE {DEFAULT} SIP/2.0"));
    assert!(m.sa.is_some() && m.header("From").starts_with(&format!("<{DEFAULT}>;tag=")));
    assert_eq!((m.header("To"), m.header("Event")), (&*format!("<{DEFAULT}>"), "reg"));
    assert_eq!((m.header("Accept"), m.header("Expires")), ("application/reginfo+xml", "600000"));
    assert_eq!(m.all("Route"), ["<sip:192.0.2.1:6100;lr>", "<sip:token@scscf.example:6060;lr>"]);
    assert!(m.header("Contact").starts_with("<sip:001010000000001@192.0.2.10:31001>"));
    assert!(n.told(|e| matches!(e, What::Registered { .. })));
    let mut off = Network::new().registered(3_600);
    off.at(1.0);
    off.quiet();
}

#[test]
fn a_notify_may_come_before_the_200() {
    for notify_first in [true, false] {
        let (mut n, subscribe) = subscribing();
        let text = notify(&subscribe, 1, "active;expires=3000", &document(0, E::Created, 3_600));
        if notify_first {
            assert_eq!(deliver(&mut n, &text), 200);
        }
        n.answer(&subscribe, &accepted(&subscribe));
        if !notify_first {
            assert_eq!(deliver(&mut n, &text), 200);
        }
        assert_eq!(faults(&n), []);
        let next = notify(&subscribe, 2, "active;expires=2990", &document(1, E::Refreshed, 3_590));
        assert_eq!(deliver(&mut n, &next), 200);
        assert_eq!(deliver(&mut n, &next.replace("z9hG4bKn2", "z9hG4bKx")), 500, "CSeq of before");
        assert_eq!(
            deliver(
                &mut n,
                &next
                    .replace("CSeq: 2", "CSeq: 3")
                    .replace("z9hG4bKn2", "z9hG4bKy")
                    .replace(";tag=network", ";tag=other")
            ),
            481
        );
        assert_eq!(faults(&n), []);
    }
}

#[test]
fn what_is_wrong_with_a_notify_is_told_and_does_no_harm() {
    let (mut n, subscribe) = watching();
    let good = notify(&subscribe, 1, "active;expires=3000", &document(0, E::Created, 3_600));
    let changed = |cseq: u32, from: &str, to: &str| {
        good.replace("CSeq: 1 ", &format!("CSeq: {cseq} "))
            .replace("z9hG4bKn1", &format!("z9hG4bKn{cseq}"))
            .replace(from, to)
    };
    assert_eq!(deliver(&mut n, &changed(1, "Event: reg", "Event: dialog")), 489);
    assert_eq!(deliver(&mut n, &changed(2, "Content-Type: application/reginfo+xml", "Content-Type: text/plain")), 415);
    assert_eq!(deliver(&mut n, &changed(3, "Subscription-State: active;expires=3000\r\n", "")), 400);
    assert_eq!(faults(&n), []);
    // Lesson 74: a core that names sides by their Contacts.
    let contact = changed(4, &format!("From: <{DEFAULT}>"), "From: <sip:scscf.example:6060>");
    assert_eq!(deliver(&mut n, &contact), 200);
    assert_eq!(faults(&n), [("From and To are not the URIs of the dialog", "RFC 3261 clause 12.2.1.1")]);
    n.events.clear();
    // The same version again, and the literal `aor` of a core of long ago.
    assert_eq!(deliver(&mut n, &changed(5, "aor=\"tel:+99912345\"", "aor=\"aor\"          ")), 200);
    let found: Vec<&str> = faults(&n).into_iter().map(|(cause, _)| cause).collect();
    assert_eq!(
        found,
        ["version 0 after version 0", "aor is not of the registered set", "full state without tel:+99912345"]
    );
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn a_contact_bound_by_anothers_register_is_told() {
    let mut n = Network::with(|config| config.subscribe = true);
    n.register();
    let first = n.sent();
    let challenge = n.challenge(&first, |text| text);
    n.answer(&first, &challenge);
    let second = n.sent();
    n.answer(&second, &granted(&second, 3_600));
    let subscribe = n.sent();
    n.answer(&subscribe, &accepted(&subscribe));
    let ours = second.header("Call-ID");
    let with = |version, call_id: &str, cseq: u32| {
        let said = format!(" expires=\"3600\" callid=\"{call_id}\" cseq=\"{cseq}\"");
        let body = document(version, E::Refreshed, 3_600).replace(" expires=\"3600\"", &said);
        notify(&subscribe, version + 1, "active;expires=3000", &body)
    };
    assert_eq!(deliver(&mut n, &with(0, ours, second.cseq())), 200);
    assert_eq!(faults(&n), []);
    assert_eq!(deliver(&mut n, &with(1, "another", 1)), 200);
    assert_eq!(faults(&n), [("callid of our contact is not that of our REGISTER", "RFC 3680 clause 5.1")]);
    n.events.clear();
    assert_eq!(deliver(&mut n, &with(2, ours, second.cseq() + 1)), 200);
    assert_eq!(faults(&n), [("cseq of our contact is higher than that of our last REGISTER", "RFC 3680 clause 5.1")]);
    assert_eq!(n.ue.status(), UeStatus::Registered);
}

#[test]
fn rejected_is_the_end() {
    let (mut n, subscribe) = watching();
    let text = notify(&subscribe, 1, "terminated;reason=deactivated", &document(0, E::Rejected, 0));
    n.at(5.0);
    assert_eq!(deliver(&mut n, &text), 200);
    assert_eq!(n.ue.status(), UeStatus::Idle);
    assert_eq!(n.sets.len(), 1, "the set lives until the transaction of the NOTIFY is over");
    // The NOTIFY is repeated: its answer was lost.
    assert_eq!(deliver(&mut n, &text), 200);
    n.at(134.0);
    assert_eq!(n.sets.len(), 0);
    n.at(1_000_000.0);
    n.quiet();
}

#[test]
fn deactivated_is_a_new_beginning() {
    let (mut n, subscribe) = watching();
    let text = notify(&subscribe, 1, "terminated;reason=deactivated", &document(0, E::Deactivated, 0));
    assert_eq!(deliver(&mut n, &text), 200);
    let register = n.sent();
    assert!(register.text.starts_with("REGISTER ") && register.sa.is_none(), "an initial registration, in clear");
    assert_eq!(register.credential("nonce").unwrap(), "");
    n.quiet();
    let challenge = n.challenge(&register, |text| text.replace("port-c=5100", "port-c=5101"));
    n.answer(&register, &challenge);
    let second = n.sent();
    n.answer(&second, &granted(&second, 3_600));
    let again = n.sent();
    assert!(again.text.starts_with("SUBSCRIBE ") && again.header("Call-ID") != subscribe.header("Call-ID"));
}

#[test]
fn probation_is_a_new_beginning_later() {
    let (mut n, subscribe) = watching();
    let body = document(0, E::Probation, 0).replace(" expires=\"0\"", " retry-after=\"90\"");
    assert_eq!(deliver(&mut n, &notify(&subscribe, 1, "terminated;reason=probation", &body)), 200);
    assert_eq!(n.wait(), 90.0);
    n.at(89.0);
    n.quiet();
    n.at(91.0);
    assert!(n.sent().text.starts_with("REGISTER "));
}

#[test]
fn shortened_halves_the_time_that_is_left() {
    let (mut n, subscribe) = watching();
    n.at(10.0);
    let text = notify(&subscribe, 1, "active;expires=3000", &document(0, E::Shortened, 60));
    assert_eq!(deliver(&mut n, &text), 200);
    n.at(39.0);
    n.quiet();
    n.at(41.0);
    let register = n.sent();
    assert!(register.text.starts_with("REGISTER ") && register.sa.is_some());
    assert_eq!((register.at - imsreg::time::Instant::ZERO).as_secs(), 40);
}

#[test]
fn a_subscription_is_refreshed_within_its_dialog_and_made_anew_where_that_is_gone() {
    let (mut n, subscribe) = subscribing();
    n.answer(&subscribe, &accepted(&subscribe).replace("Expires: 600000", "Expires: 1000"));
    n.at(499.0);
    n.quiet();
    n.at(501.0);
    let refresh = n.sent();
    assert_eq!(refresh.text.lines().next().unwrap(), "SUBSCRIBE sip:scscf.example:6060 SIP/2.0");
    assert_eq!(refresh.header("Call-ID"), subscribe.header("Call-ID"));
    assert_eq!((refresh.header("Route"), refresh.cseq()), ("<sip:rr@192.0.2.1:6100;lr>", subscribe.cseq() + 1));
    assert!(refresh.header("To").ends_with(";tag=network"));
    n.answer(&refresh, &reply(&refresh, "481 Gone", &[]).replace(";tag=network;tag=network", ";tag=network"));
    let anew = n.sent();
    assert_eq!(anew.text.lines().next().unwrap(), format!("SUBSCRIBE {DEFAULT} SIP/2.0"));
    assert_ne!(anew.header("Call-ID"), subscribe.header("Call-ID"));
    // The subscription ends and the registration does not.
    n.answer(&anew, &accepted(&anew));
    let text = notify(&anew, 1, "terminated;reason=timeout", &document(0, E::Created, 3_000));
    assert_eq!(deliver(&mut n, &text), 200);
    assert!(n.sent().text.starts_with(&format!("SUBSCRIBE {DEFAULT} ")));
    n.quiet();
}

#[test]
fn who_may_not_subscribe_tries_again_with_the_next_200() {
    let (mut n, subscribe) = subscribing();
    n.answer(&subscribe, &reply(&subscribe, "403 Forbidden", &[]));
    n.at(100.0);
    n.quiet();
    assert_eq!(n.ue.status(), UeStatus::Registered);
    n.register();
    let refresh = n.sent();
    n.answer(&refresh, &granted(&refresh, 3_600));
    assert!(n.sent().text.starts_with(&format!("SUBSCRIBE {DEFAULT} ")));
    let (mut n, subscribe) = subscribing();
    n.answer(&subscribe, &reply(&subscribe, "423 Interval Too Brief", &["Min-Expires: 700000"]));
    assert_eq!(n.sent().header("Expires"), "700000");
}

/// The subscription that follows, ended by its first NOTIFY, which has this number.
fn ended_at_once(n: &mut Network, cseq: u32) {
    let subscribe = n.sent();
    assert!(subscribe.text.starts_with(&format!("SUBSCRIBE {DEFAULT} ")));
    n.answer(&subscribe, &accepted(&subscribe).replace("Expires: 600000", "Expires: 0"));
    let text = notify(&subscribe, cseq, "terminated;reason=timeout", &document(0, E::Created, 3_000));
    assert_eq!(deliver(n, &text), 200);
}

/// RFC 6665 clause 4.1.3 lets it come back at once, and would let it do nothing else.
#[test]
fn a_network_that_ends_every_subscription_is_not_asked_without_end() {
    let mut n = Network::with(|config| config.subscribe = true).registered(600_000);
    ended_at_once(&mut n, 1);
    ended_at_once(&mut n, 2);
    n.quiet();
    let first = n.wait();
    assert!((15.0..=60.0).contains(&first), "{first}");
    n.at(first + 1.0);
    ended_at_once(&mut n, 3);
    n.quiet();
    assert!(n.wait() >= first, "it grows");
    // One that has lasted begins anew.
    let mut n = Network::with(|config| config.subscribe = true).registered(600_000);
    ended_at_once(&mut n, 4);
    let subscribe = n.sent();
    n.answer(&subscribe, &accepted(&subscribe));
    n.at(100.0);
    let text = notify(&subscribe, 5, "terminated;reason=timeout", &document(0, E::Created, 3_000));
    assert_eq!(deliver(&mut n, &text), 200);
    ended_at_once(&mut n, 6);
}

/// A document that is not enough asks for another one; a network that has no other is asked as rarely.
#[test]
fn a_network_without_full_state_is_not_asked_without_end() {
    let (mut n, subscribe) = watching();
    for cseq in 1..=2 {
        let body = document(7 + cseq, E::Created, 3_600).replace("\"full\"", "\"partial\"");
        let text = notify(&subscribe, cseq, "active;expires=3000", &body);
        assert_eq!(deliver(&mut n, &text), 200);
        if cseq == 1 {
            let again = n.sent();
            assert!(again.text.starts_with("SUBSCRIBE ") && again.cseq() == subscribe.cseq() + 1);
            n.answer(&again, &accepted(&again).replace(";tag=network;tag=network", ";tag=network"));
        }
        n.quiet();
    }
    assert!((15.0..=60.0).contains(&n.wait()), "{}", n.wait());
}
