//! Seed document 3, "IMS中的SIP注册": the flow that it draws with the recorded UE of seed document 1, a third-party
//! REGISTER in it; then a proxy of another network asks this UE for a password by 407, and all of that passes our core
//! and the security association.
//!
//! Rewritten in what the UE sent: Security-Verify (our SPIs). In the INVITE, ACK and INVITE of another recording: Via and
//! Contact (the addresses of this UE), Route (the Service-Route it was given), Require, Proxy-Require and Security-Verify
//! besides. Rewritten in what the other network sent: Via, which is that of the INVITE as our core sent it.

use crate::common::{Sent, address};
use crate::facts::{
    Allowed, anything, assert_all_used, assert_same, both_given, fewer, in_repository, only_ours, only_theirs, recorded,
};
use crate::network::{Network, answer, offered, server_port, values, with};
use crate::scratch::Scratch;
use imsreg::packet::Transport;
use imsreg::sip::{HeaderName, Message};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const UE: &str = "[2001:683:890:1942:1::9e0b:baea]:5060";
const UE_PORT_C: &str = "[2001:683:890:1942:1::9e0b:baea]:31100";
const UE_PORT_S: &str = "[2001:683:890:1942:1::9e0b:baea]:31800";
const SCSCF: &str = "127.0.0.1:6060";
const APPLICATION_SERVER: &str = "192.0.2.90:5090";
/// As recorded.
const ELSEWHERE: &str = "212.242.33.35:5060";

/// The drawing, line by line: who, to whom, what.
const DRAWN: [(&str, &str, &str); 11] = [
    ("Endpoint", "S-CSCF", "REGISTER"),
    ("S-CSCF", "Endpoint", "100"),
    ("S-CSCF", "HSS", "MAR"),
    ("HSS", "S-CSCF", "MAA"),
    ("S-CSCF", "Endpoint", "401"),
    ("Endpoint", "S-CSCF", "REGISTER"),
    ("S-CSCF", "HSS", "SAR"),
    ("HSS", "S-CSCF", "SAA"),
    ("S-CSCF", "AS", "REGISTER"),
    ("AS", "S-CSCF", "200"),
    ("S-CSCF", "Endpoint", "200"),
];

/// A core with the recorded UE registered; its offer, and where the UE sends to.
fn registered(scratch: &Scratch) -> (Network, String, SocketAddr) {
    let subscribers = std::fs::read_to_string(in_repository("hss-data/huawei-460-60.yaml")).unwrap()
        + "    ifc: [{server: 'sip:as.example:5090', priority: 0, conditions: [{method: REGISTER}]}]\n";
    let settings = [
        "pcscf.listen=[\"[::1]:5060\"]",
        "pcscf.core=127.0.0.1:5060",
        "pcscf.strip_from_answers=[]",
        "hosts={as.example: 192.0.2.90, sip.cybercity.dk: 212.242.33.35}",
        // A user without password is never asked for one.
        "scscf.proxy_auth=true",
    ];
    let profile = in_repository("profiles/huawei-460-60.yaml");
    let mut network =
        Network::new(profile.to_str().unwrap(), &settings, &scratch.file("subscribers.yaml", &subscribers));
    network.sends(Transport::Udp, address(UE), network.pcscf, &recorded("seeds/ims-01-register.sip"));
    let offer = offered(&network.told(address(UE)));
    let server = SocketAddr::new(network.pcscf.ip(), server_port(&offer));
    let answer = with(&recorded("seeds/ims-03-register-auth.sip"), None, &[("Security-Verify", vec![offer.clone()])]);
    network.sends(Transport::Udp, address(UE_PORT_C), server, &answer);
    (network, offer, server)
}

#[test]
fn the_flow_of_the_seed_document_with_a_third_party_register() {
    let (mut network, ..) = registered(&Scratch::new("replayed-ims"));
    assert!(network.told(address(UE)).starts_with("SIP/2.0 200 "));
    let asked = network.hears(address(APPLICATION_SERVER));
    network.sends(asked.transport, asked.to, asked.from, &answer("200 OK", &asked.text));
    network.quiet();

    let ours: Vec<_> = network.tap.hops.iter().filter_map(drawn).collect();
    let ours: Vec<_> = ours.iter().map(|(from, to, word)| (*from, *to, &**word)).collect();
    // Two differences: a 100 is sent only where an answer takes long (RFC 4320 clause 4.1), and the third-party REGISTER
    // comes after the 200 (TS 24.229 clause 5.4.1.7).
    let mut expected: Vec<_> = DRAWN.into_iter().filter(|line| line.2 != "100").collect();
    let last = expected.pop().unwrap();
    expected.insert(expected.len() - 2, last);
    assert_eq!(ours, expected, "{}", network.tap.trace());
}

/// A message as the drawing has it; P-CSCF and I-CSCF are not drawn, nor what is between them and the HSS.
fn drawn(hop: &Sent) -> Option<(&'static str, &'static str, String)> {
    let word = hop.name.split(' ').next().unwrap_or_default().to_owned();
    let (from, to) = match &*word {
        "MAR" | "SAR" => ("S-CSCF", "HSS"),
        "MAA" | "SAA" => ("HSS", "S-CSCF"),
        _ if hop.to == address(APPLICATION_SERVER) => ("S-CSCF", "AS"),
        _ if hop.from == address(APPLICATION_SERVER) => ("AS", "S-CSCF"),
        _ if hop.to == address(SCSCF) && hop.name.starts_with("REGISTER ") => ("Endpoint", "S-CSCF"),
        _ if hop.from == address(SCSCF) && hop.name.ends_with(" REGISTER") => ("S-CSCF", "Endpoint"),
        _ => return None,
    };
    Some((from, to, word))
}

/// What the INVITE may differ in where it reaches the other network, from what the recorded phone sent.
const THERE: &[Allowed] = &[
    Allowed { at: "Via of proxy*", holds: only_ours, reason: "the hops in between are ours" },
    Allowed { at: "Via[0] ;received", holds: only_ours, reason: "RFC 3581 clause 4" },
    Allowed { at: "Via[0] ;rport", holds: both_given, reason: "RFC 3581 clause 4" },
    Allowed { at: "Record-Route*", holds: only_ours, reason: "the hops in between are ours" },
    Allowed { at: "Route*", holds: only_theirs, reason: "used up" },
    Allowed { at: "Max-Forwards[0]", holds: fewer, reason: "two hops" },
    Allowed { at: "Security-Verify*", holds: only_theirs, reason: "of the first hop" },
    Allowed { at: "Require[0]", holds: only_theirs, reason: "of the first hop" },
    Allowed { at: "Proxy-Require[0]", holds: only_theirs, reason: "of the first hop" },
    Allowed { at: "P-Charging-Vector[0]", holds: only_ours, reason: "TS 24.229 clause 5.4.3.2, between networks" },
    Allowed { at: "P-Asserted-Identity*", holds: only_ours, reason: "the default identity, From is none of this user" },
];

/// What an answer may differ in at the UE.
const BACK: &[Allowed] =
    &[Allowed { at: "Via[0]*", holds: anything, reason: "the Via of this UE, not that of the recorded phone" }];

#[test]
fn a_407_of_another_network_passes_the_security_association() {
    let (mut network, offer, server) = registered(&Scratch::new("replayed-407"));
    let accepted = network.told(address(UE));
    network.hears(address(APPLICATION_SERVER));
    let mut routes = vec![format!("<sip:{server};lr>")];
    routes.extend(values(&accepted, HeaderName::ServiceRoute));
    let from_ue = |name: &str, branch: &str| {
        let text = recorded(name);
        let mut lines = vec![
            ("Via", vec![format!("SIP/2.0/UDP {UE_PORT_S};branch=z9hG4bK{branch};rport")]),
            ("Route", routes.clone()),
            ("Security-Verify", vec![offer.clone()]),
            ("Require", vec!["sec-agree".to_owned()]),
            ("Proxy-Require", vec!["sec-agree".to_owned()]),
        ];
        if text.contains("\r\nContact:") {
            lines.push(("Contact", vec![format!("<sip:460600100049906@{UE_PORT_S}>")]));
        }
        with(&text, None, &lines)
    };
    let mut used = [BTreeSet::new(), BTreeSet::new()];
    let mut round = |network: &mut Network, sent: &str, branch: &str, answers: &[&str], ack: &str| {
        let invite = from_ue(sent, branch);
        network.sends(Transport::Udp, address(UE_PORT_C), server, &invite);
        let arrived = network.hears(address(ELSEWHERE));
        assert_same(&invite, &arrived.text, THERE, &mut used[0]);
        let vias = values(&arrived.text, HeaderName::Via);
        let mut last = String::new();
        for answer in answers {
            let answer = recorded(answer);
            network.sends(arrived.transport, arrived.to, arrived.from, &with(&answer, None, &[("Via", vias.clone())]));
            last = network.told(address(UE));
            assert_same(&answer, &last, BACK, &mut used[1]);
        }
        // The S-CSCF and the P-CSCF acknowledge a refusal themselves (RFC 3261 clause 17.1.1.3), the UE to the P-CSCF.
        assert!(network.told(address(ELSEWHERE)).starts_with("ACK sip:99904724@sip.cybercity.dk SIP/2.0\r\n"));
        network.sends(Transport::Udp, address(UE_PORT_C), server, &from_ue(ack, branch));
        network.quiet();
        (arrived.text, last)
    };
    let [invite, asked, ack, again, progress, refused, last_ack] =
        ["01-invite", "02-407", "03-ack", "04-invite-again", "05-183", "06-480", "07-ack-480"]
            .map(|name| format!("recorded/asked-{name}.sip"));
    let (_, asked) = round(&mut network, &invite, "one", &[&asked], &ack);
    assert_eq!(
        values(&asked, HeaderName::ProxyAuthenticate),
        values(&recorded("recorded/asked-02-407.sip"), HeaderName::ProxyAuthenticate)
    );
    // With credentials for the other network, which are no business of ours.
    let (arrived, _) = round(&mut network, &again, "two", &[&progress, &refused], &last_ack);
    assert_eq!(
        Message::parse(arrived.as_bytes()).unwrap().header(HeaderName::ProxyAuthorization),
        Message::parse(recorded(&again).as_bytes()).unwrap().header(HeaderName::ProxyAuthorization)
    );
    assert_all_used(THERE, &used[0]);
    assert_all_used(BACK, &used[1]);
}
