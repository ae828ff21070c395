//! A recorded softphone gives its call up: the other side never answers, and is then one of ours that rings.
//!
//! Rewritten in what the phone sent: Route, which is the Service-Route of its registration.

use crate::facts::{Allowed, assert_all_used, assert_same, both_given, only_theirs, recorded};
use crate::network::{Network, Phone, answer, body, plain, status, with};
use crate::scratch::Scratch;
use imsreg::packet::Transport;
use imsreg::sip::Message;
use imsreg::time::Duration;
use std::collections::BTreeSet;

/// What the last answer to INVITE may differ in.
const BACK: &[Allowed] = &[
    Allowed { at: "Via[0] ;received", holds: both_given, reason: "the recorded phone was behind a NAT" },
    Allowed { at: "To[0] ;tag", holds: both_given, reason: "a tag is chosen anew by each UAS" },
    Allowed { at: "Server[0]", holds: only_theirs, reason: "we do not say what we are" },
    Allowed { at: "Warning[0]", holds: only_theirs, reason: "theirs tells its noisy feedback" },
];

fn network(test: &str) -> (Network, Phone, Phone) {
    let users = "subscribers:
  - {impus: ['sip:800001@voip.brujula.net'], password: unused}
  - {impus: ['sip:99900000044@voip.brujula.net'], password: unused}
";
    let settings = [
        "realm=voip.brujula.net",
        "pcscf.listen=[\"200.68.120.81:5060\"]",
        "pcscf.core=127.0.0.1:5060",
        "scscf.unauthenticated=everybody",
    ];
    let mut network = Network::new("plain-digest", &settings, &Scratch::new(test).file("s.yaml", users));
    let contact = "sip:800001@192.168.1.2";
    let caller = plain(&mut network, Transport::Udp, "192.168.1.2:5060", "sip:800001@voip.brujula.net", contact);
    let (called, contact) = ("192.0.2.44:5060", "sip:99900000044@192.0.2.44");
    let called = plain(&mut network, Transport::Udp, called, "sip:99900000044@voip.brujula.net", contact);
    (network, caller, called)
}

fn sends(network: &mut Network, caller: &Phone, name: &str) {
    let text = with(&recorded(name), None, &[("Route", caller.routes.clone())]);
    network.sends(Transport::Udp, caller.client, caller.network, &text);
}

#[test]
fn a_call_that_nobody_answers_is_given_up() {
    let (mut network, caller, _) = network("replayed-silent");
    sends(&mut network, &caller, "recorded/cancelled-01-invite.sip");
    network.pass(Duration::from_secs(34));
    // The Via of the CANCEL says 192.168.1.2, that of the INVITE 192.168.1.2:5060: the same place.
    sends(&mut network, &caller, "recorded/cancelled-02-cancel.sip");
    let cancelled = network.told(caller.client);
    // RFC 3261 clause 9.2: 200, whatever becomes of the INVITE. The recorded server sent a 408, when 28 s had gone by.
    assert_eq!(status(&cancelled), 200);
    assert_eq!(status(&recorded("recorded/cancelled-03-408-cancel.sip")), 408);
    network.pass(Duration::from_secs(200));
    let refused = network.told(caller.client);
    let mut used = BTreeSet::new();
    assert_same(&recorded("recorded/cancelled-04-408.sip"), &refused, BACK, &mut used);
    assert_all_used(BACK, &used);
    let tag = Message::parse(refused.as_bytes()).unwrap().to().unwrap().tag().unwrap().to_owned();
    let ack = recorded("recorded/cancelled-05-ack.sip").replace("a6a1c5f60faecf035a1ae5b6e96e979a-6167", &tag);
    network.sends(Transport::Udp, caller.client, caller.network, &ack);
}

#[test]
fn a_call_that_rings_is_given_up() {
    let (mut network, caller, called) = network("replayed-ringing");
    sends(&mut network, &caller, "recorded/cancelled-01-invite.sip");
    let invite = network.hears(called.client);
    assert_eq!(body(&invite.text), body(&recorded("recorded/cancelled-01-invite.sip")));
    network.answers(&called, &invite, &answer("180 Ringing", &invite.text));
    assert_eq!(status(&network.told(caller.client)), 180);
    sends(&mut network, &caller, "recorded/cancelled-02-cancel.sip");
    let cancel = network.hears(called.client);
    assert!(cancel.text.starts_with("CANCEL sip:99900000044@192.0.2.44 SIP/2.0\r\n"), "{}", cancel.text);
    assert_eq!(status(&network.told(caller.client)), 200);
    network.answers(&called, &cancel, &answer("200 OK", &cancel.text));
    network.answers(&called, &invite, &answer("487 Request Terminated", &invite.text));
    assert!(network.told(called.client).starts_with("ACK "));
    let refused = network.told(caller.client);
    assert_eq!(status(&refused), 487);
    let ack = recorded("recorded/cancelled-05-ack.sip").replace("a6a1c5f60faecf035a1ae5b6e96e979a-6167", "called");
    network.sends(Transport::Udp, caller.client, caller.network, &ack);
    network.pass(Duration::from_secs(60));
    network.quiet();
}
