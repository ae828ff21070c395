//! Requests other than REGISTER through the P-CSCF (TS 24.229 clauses 5.2.6 to 5.2.8): from UEs to the core, from the
//! core to UEs, and the answers.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::packet::{ConnectionState, Packet, Protocol, Transport};
use imsreg::pcscf::{PcscfConfig, SecAgreePolicy};
use imsreg::sip::HeaderName;
use pcscf_rig::{CORE, PCSCF, Phone, REALM, Rig, Sent, address, config, response};
use std::net::SocketAddr;

const BOB: &str = "sip:bob@home.example";
/// What the UE says of itself and may not.
const CLAIMS: &str = "P-Asserted-Identity: <sip:king@home.example>\r\nP-Charging-Vector: icid-value=mine\r\n\
    P-Charging-Function-Addresses: ccf=1\r\nP-Visited-Network-ID: mine\r\nP-Served-User: <sip:king@home.example>\r\n\
    P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1\r\n\
    P-Access-Network-Info: IEEE-802.11;network-provided\r\nPath: <sip:evil@x;lr>\r\n";

fn registered(config: PcscfConfig) -> (Rig, Phone) {
    let (mut rig, mut phone) = (Rig::new(config), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    (rig, phone)
}

/// A request of a phone over its set to somebody.
fn of(phone: &mut Phone, method: &str, lines: &str) -> String {
    let route = format!("Route: <sip:10.0.0.1:6100;lr>, <sip:orig@scscf.{REALM}:6060;lr>\r\n{lines}");
    phone.request(method, phone.port_s, &route).replacen(&format!("sip:{REALM}"), BOB, 1)
}

/// The token in the Path of the last registration.
fn path(rig: &mut Rig, phone: &mut Phone, at: u64) -> String {
    phone.send_protected(rig, at);
    let register = rig.forwarded();
    let path = register.header(HeaderName::Path).expect("a Path");
    rig.core_sends(at + 1, &pcscf_rig::accepted(&register, 3_600));
    rig.answer();
    path
}

/// A request of the core by this Route.
fn from_core(method: &str, branch: &str, route: &str, lines: &str) -> String {
    format!(
        "{method} sip:u@10.1.0.1:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:6060;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 60\r\nRoute: {route}\r\nFrom: <{BOB}>;tag=bob\r\nTo: <sip:u@home.example>\r\nCall-ID: m\r\n\
         CSeq: 1 {method}\r\nContact: <sip:bob@198.51.100.7>\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

/// The phone answers what reached it: from port_uc to port_ps.
fn answer(rig: &mut Rig, phone: &Phone, at: u64, request: &Sent, status: &str, lines: &str) {
    let text = response(request, status, lines).replace(";tag=core", ";tag=phone");
    phone.send_over_sa(rig, at, &text);
}

fn all(sent: &Sent, name: HeaderName) -> Vec<String> {
    sent.message().elements(name).map(str::to_owned).collect()
}

#[test]
fn a_request_of_a_ue_takes_its_service_route_and_loses_what_ends_here() {
    let (mut rig, mut phone) = registered(config());
    let verify = format!(
        "Require: sec-agree\r\nProxy-Require: sec-agree\r\nSecurity-Verify: {}\r\nP-Preferred-Identity: <tel:+999-12345>\r\n",
        phone.server.clone().unwrap()
    );
    let text = of(&mut phone, "MESSAGE", &(verify + CLAIMS));
    phone.send_over_sa(&mut rig, 1_000, &text);
    let sent = rig.forwarded();
    assert!(sent.text.starts_with(&format!("MESSAGE {BOB} SIP/2.0\r\n")), "{}", sent.text);
    assert_eq!((sent.from, sent.to), (address(PCSCF), SocketAddr::new(address(CORE).ip(), 6_060)));
    assert_eq!(all(&sent, HeaderName::Route), [format!("<sip:orig@scscf.{REALM}:6060;lr>")]);
    assert_eq!(all(&sent, HeaderName::PAssertedIdentity), ["<tel:+99912345>"], "registered, in its canonical form");
    assert_eq!(sent.header(HeaderName::MaxForwards).unwrap(), "69");
    assert_eq!(sent.message().values(HeaderName::Via).count(), 2);
    assert!(sent.header(HeaderName::Via).unwrap().starts_with("SIP/2.0/UDP pcscf.visited.example:5060;branch=z9hG4bK"));
    let charging = sent.header(HeaderName::PChargingVector).unwrap();
    assert!(
        charging.starts_with("icid-value=") && charging.ends_with("orig-ioi=\"Type 1visited.example\""),
        "{charging}"
    );
    assert_eq!(all(&sent, HeaderName::PAccessNetworkInfo), ["3GPP-E-UTRAN-FDD;utran-cell-id-3gpp=1"]);
    for gone in [
        HeaderName::Require,
        HeaderName::ProxyRequire,
        HeaderName::SecurityVerify,
        HeaderName::PPreferredIdentity,
        HeaderName::PChargingFunctionAddresses,
        HeaderName::PVisitedNetworkId,
        HeaderName::Path,
        HeaderName::RecordRoute,
    ] {
        assert_eq!(sent.header(gone), None, "{gone}");
    }
    assert!(!sent.text.contains("king") && !sent.text.contains("mine"), "{}", sent.text);
    let ok = response(&sent, "200 OK", "P-Charging-Vector: icid-value=1\r\nP-Charging-Function-Addresses: ccf=1\r\n");
    rig.core_sends(1_010, &ok);
    let heard = rig.answer();
    // Field lesson 25: over UDP from port_pc to port_us.
    assert_eq!((heard.status(), heard.to, heard.protected), (200, phone.server(), true));
    assert_eq!(heard.message().values(HeaderName::Via).count(), 1);
    assert!(!heard.text.contains("P-Charging"), "{}", heard.text);
}

/// Registration.md 4.4: the stored list counts, whatever the UE writes.
#[test]
fn a_foreign_route_is_replaced_by_the_service_route() {
    let (mut rig, mut phone) = registered(config());
    for route in ["", "Route: <sip:elsewhere.example;lr>\r\n", "Route: <sip:10.0.0.1:6100;lr>\r\n"] {
        let text = phone.request("OPTIONS", 31_001, route).replacen(&format!("sip:{REALM}"), BOB, 1);
        phone.send_over_sa(&mut rig, 1_000, &text);
        assert_eq!(all(&rig.forwarded(), HeaderName::Route), [format!("<sip:orig@scscf.{REALM}:6060;lr>")], "{route}");
    }
}

#[test]
fn an_identity_that_is_not_registered_gives_way_to_the_default() {
    let (mut rig, mut phone) = registered(config());
    for preferred in ["", "P-Preferred-Identity: <sip:king@home.example>\r\n", "P-Preferred-Identity: \"x\r\n"] {
        let text = of(&mut phone, "MESSAGE", preferred);
        phone.send_over_sa(&mut rig, 1_000, &text);
        assert_eq!(all(&rig.forwarded(), HeaderName::PAssertedIdentity), [format!("<{}>", phone.impu())]);
    }
}

#[test]
fn a_dialog_is_recorded_on_both_sides_and_followed() {
    let (mut rig, mut phone) = registered(config());
    let invite = of(&mut phone, "INVITE", "Contact: <sip:u@10.1.0.1:31001>\r\n");
    phone.send_over_sa(&mut rig, 1_000, &invite);
    let sent = rig.forwarded();
    let recorded = all(&sent, HeaderName::RecordRoute);
    let [core, ue] = &recorded[..] else { panic!("{recorded:?}") };
    assert!(core.ends_with("@pcscf.visited.example;lr>"), "{core}");
    assert_eq!(ue, "<sip:10.0.0.1:6100;lr>");
    // Ringing, then accepted: both come back over the set, the record untouched.
    let record = format!("Record-Route: <sip:s@10.0.0.2:6060;lr>, {core}, {ue}\r\nContact: <sip:bob@198.51.100.7>\r\n");
    for (at, status) in [(1_010, "180 Ringing"), (1_020, "200 OK"), (1_520, "200 OK")] {
        rig.core_sends(at, &response(&sent, status, &record));
        let heard = rig.answer();
        assert_eq!((heard.to, heard.message().elements(HeaderName::RecordRoute).count()), (phone.server(), 3));
    }
    let in_dialog = |phone: &mut Phone, method: &str, routes: &str| {
        phone
            .request(method, 31_001, &format!("Route: {routes}\r\n"))
            .replacen(&format!("sip:{REALM}"), "sip:bob@198.51.100.7", 1)
            .replace("\r\nCall-ID", ";tag=core\r\nCall-ID")
    };
    let routes = format!("{ue}, {core}, <sip:s@10.0.0.2:6060;lr>");
    for (at, method) in [(2_000, "ACK"), (3_000, "BYE")] {
        let text = in_dialog(&mut phone, method, &routes);
        phone.send_over_sa(&mut rig, at, &text);
        let sent = rig.forwarded();
        assert!(sent.text.starts_with(&format!("{method} sip:bob@198.51.100.7 SIP/2.0\r\n")), "{}", sent.text);
        assert_eq!((all(&sent, HeaderName::Route), sent.to.port()), (vec!["<sip:s@10.0.0.2:6060;lr>".into()], 6_060));
        let charged = sent.header(HeaderName::PChargingVector).is_some();
        assert!(!charged, "one icid-value a dialog");
        assert_eq!(sent.header(HeaderName::PAssertedIdentity).is_some(), method == "BYE");
        if method == "BYE" {
            rig.core_sends(3_010, &response(&sent, "200 OK", ""));
            assert_eq!(rig.answer().status(), 200);
        }
    }
    // A UE that takes its Service-Route here too.
    let own = format!("<sip:orig@scscf.{REALM}:6060;lr>");
    for (at, routes) in [(3_500, own.clone()), (3_600, format!("<sip:10.0.0.1:6100;lr>, {own}"))] {
        let text = in_dialog(&mut phone, "SUBSCRIBE", &routes);
        phone.send_over_sa(&mut rig, at, &text);
        let sent = rig.forwarded();
        assert_eq!(all(&sent, HeaderName::Route), std::slice::from_ref(&own));
        rig.core_sends(at + 10, &response(&sent, "200 OK", ""));
        assert_eq!(rig.answer().status(), 200);
    }
    // Without our element for the core nothing was recorded here.
    let foreign = in_dialog(&mut phone, "BYE", "<sip:10.0.0.1:6100;lr>, <sip:victim.example;lr>");
    phone.send_over_sa(&mut rig, 4_000, &foreign);
    assert_eq!(rig.answer().status(), 400);
    rig.silent();
}

#[test]
fn a_cancel_follows_its_invite() {
    let (mut rig, mut phone) = registered(config());
    let invite = of(&mut phone, "INVITE", "Contact: <sip:u@10.1.0.1:31001>\r\n");
    phone.send_over_sa(&mut rig, 1_000, &invite);
    let sent = rig.forwarded();
    rig.core_sends(1_010, &response(&sent, "180 Ringing", ""));
    rig.answer();
    let cancel = invite.replace("INVITE", "CANCEL");
    phone.send_over_sa(&mut rig, 2_000, &cancel);
    let heard = rig.answer();
    assert_eq!((heard.status(), heard.header(HeaderName::CSeq).unwrap().ends_with(" CANCEL")), (200, true));
    let passed = rig.forwarded();
    assert!(passed.text.starts_with("CANCEL ") && passed.header(HeaderName::Via) == sent.header(HeaderName::Via));
    rig.core_sends(2_010, &response(&passed, "200 OK", ""));
    rig.core_sends(2_020, &response(&sent, "487 Request Terminated", ""));
    assert!(rig.forwarded().text.starts_with("ACK "));
    assert_eq!(rig.answer().status(), 487);
}

/// Field lesson 1: nothing that looks like a key reaches a UE, whatever it answers. The rig asserts it.
#[test]
fn a_challenge_to_a_message_loses_its_keys() {
    let (mut rig, mut phone) = registered(config());
    let message = of(&mut phone, "MESSAGE", "");
    phone.send_over_sa(&mut rig, 1_000, &message);
    let sent = rig.forwarded();
    let challenge = format!("Proxy-Authenticate: Digest realm=\"{REALM}\",nonce=\"n\",ck=\"00\",ik=\"00\"\r\n");
    rig.core_sends(1_010, &response(&sent, "407 Proxy Authentication Required", &challenge));
    let heard = rig.answer();
    assert_eq!(heard.header(HeaderName::ProxyAuthenticate).unwrap(), format!("Digest realm=\"{REALM}\",nonce=\"n\""));
}

/// TS 24.229 clause 5.2.6.3: where nobody of the core answers, the UE is to register anew. RFC 4320 forbids 408 alone.
#[test]
fn a_silent_core_is_a_504_that_asks_for_an_initial_registration() {
    let (mut rig, mut phone) = registered(config());
    let message = of(&mut phone, "MESSAGE", "");
    phone.send_over_sa(&mut rig, 1_000, &message);
    let invite = of(&mut phone, "INVITE", "Contact: <sip:u@10.1.0.1:31001>\r\n");
    phone.send_over_sa(&mut rig, 1_000, &invite);
    rig.drive(33_100);
    let finals: Vec<&Sent> = rig.to_ue.iter().filter(|sent| sent.status() >= 200).collect();
    assert_eq!(finals.iter().map(|sent| sent.status()).collect::<Vec<_>>(), [504, 504]);
    for sent in finals {
        let asserted = sent.header(HeaderName::PAssertedIdentity).expect("who says so");
        assert!(asserted.starts_with("<sip:") && asserted.ends_with(";lr>"), "our URI in Path: {asserted}");
        assert_eq!(sent.header(HeaderName::ContentType).unwrap(), "application/3gpp-ims+xml");
    }
}

#[test]
fn who_is_not_registered_is_refused_and_who_has_sas_is_not_heard_in_clear() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    let message = of(&mut phone, "MESSAGE", "");
    phone.send_over_sa(&mut rig, 20, &message);
    rig.silent();
    assert!(matches!(rig.events.last(), Some(What::PacketDropped { cause, .. }) if cause.contains("temporary")));
    phone.send_protected(&mut rig, 30);
    rig.accept(40, 3_600);
    let message = of(&mut phone, "MESSAGE", "");
    phone.send_clear(&mut rig, 50, &message);
    rig.silent();
    let mut stranger = Phone::new(2);
    let message = of(&mut stranger, "MESSAGE", "");
    stranger.send_clear(&mut rig, 60, &message);
    assert_eq!(rig.answer().status(), 403);
}

#[test]
fn a_request_of_the_core_reaches_the_ue_through_its_set() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    let lines = "P-Asserted-Identity: <sip:bob@home.example>\r\nP-Charging-Vector: icid-value=i;orig-ioi=\"Type 1h\"\r\n\
                 P-Charging-Function-Addresses: ccf=1\r\nP-Called-Party-ID: <tel:+99912345>\r\n";
    rig.core_sends(1_000, &from_core("INVITE", "i", &path, lines));
    let heard = rig.answer();
    assert!(heard.text.starts_with("INVITE sip:u@10.1.0.1:31001 SIP/2.0\r\n"), "{}", heard.text);
    assert_eq!((heard.from.port(), heard.to, heard.protected), (5_100, phone.server(), true));
    // Field lesson 28.
    assert!(heard.header(HeaderName::Via).unwrap().starts_with("SIP/2.0/UDP 10.0.0.1:6100;branch=z9hG4bK"));
    let recorded = all(&heard, HeaderName::RecordRoute);
    assert_eq!(recorded, ["<sip:10.0.0.1:6100;lr>".to_owned(), path.clone()]);
    assert_eq!(heard.header(HeaderName::Route), None);
    assert!(!heard.text.contains("P-Charging"));
    assert_eq!(all(&heard, HeaderName::PAssertedIdentity), ["<sip:bob@home.example>"]);
    let record = format!("Record-Route: {}\r\nContact: <sip:u@10.1.0.1:31001>\r\n{CLAIMS}", recorded.join(", "));
    answer(&mut rig, &phone, 1_100, &heard, "180 Ringing", &record);
    let ringing = rig.forwarded();
    assert_eq!((ringing.status(), ringing.to), (180, "10.0.0.2:6060".parse().unwrap()));
    // TS 24.229 clause 5.2.6.4.4: who was called answers.
    assert_eq!(all(&ringing, HeaderName::PAssertedIdentity), ["<tel:+99912345>"]);
    let charging = "icid-value=i;orig-ioi=\"Type 1h\";term-ioi=\"Type 1visited.example\"";
    assert_eq!(ringing.header(HeaderName::PChargingVector).unwrap(), charging);
    assert!(!ringing.text.contains("king") && !ringing.text.contains("mine"), "{}", ringing.text);
    answer(&mut rig, &phone, 2_000, &heard, "200 OK", &record);
    assert_eq!(rig.forwarded().status(), 200);
    let in_dialog = format!("{path}, <sip:10.0.0.1:6100;lr>");
    for (at, method) in [(2_100, "ACK"), (3_000, "BYE")] {
        let text = from_core(method, method, &in_dialog, "")
            .replace("home.example>\r\nCall", "home.example>;tag=phone\r\nCall");
        rig.core_sends(at, &text);
        let heard = rig.answer();
        assert!(heard.text.starts_with(method) && heard.header(HeaderName::Route).is_none(), "{}", heard.text);
        assert_eq!((heard.to, heard.protected), (phone.server(), true));
    }
}

#[test]
fn privacy_keeps_the_asserted_identity_in_the_network() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    let lines = "P-Asserted-Identity: <sip:bob@home.example>\r\nPrivacy: user;id\r\n";
    rig.core_sends(1_000, &from_core("MESSAGE", "m", &path, lines));
    assert_eq!(rig.answer().header(HeaderName::PAssertedIdentity), None);
    let message = of(&mut phone, "MESSAGE", "");
    phone.send_over_sa(&mut rig, 2_000, &message);
    let sent = rig.forwarded();
    rig.core_sends(2_010, &response(&sent, "200 OK", lines));
    assert_eq!(rig.answer().header(HeaderName::PAssertedIdentity), None);
}

/// RFC 5626 clause 5.3.1.
#[test]
fn a_forged_token_is_403_and_a_flow_that_has_gone_430() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    let forged = path.replacen("<sip:", "<sip:a", 1);
    rig.core_sends(1_000, &from_core("MESSAGE", "a", &forged, ""));
    assert_eq!(rig.forwarded().status(), 403);
    // Registration and set end: 3,600 s after the last REGISTER, and 30 s later.
    rig.drive(3_700_000);
    rig.core_sends(3_700_000, &from_core("MESSAGE", "b", &path, ""));
    assert_eq!(rig.forwarded().status(), 430);
    // After a restart the flow has gone with all others; what no P-CSCF of ours can have written is forged.
    let mut other = Rig::new(PcscfConfig { port_s: 6_100, ..config() });
    other.core_sends(0, &from_core("MESSAGE", "c", "<sip:aaaaaaaaaaaaaaaaa@pcscf.visited.example;lr>", ""));
    assert_eq!(other.forwarded().status(), 430);
    other.core_sends(1, &from_core("MESSAGE", "d", "<sip:aaaaaaaaaaaaaaaa1@pcscf.visited.example;lr>", ""));
    assert_eq!(other.forwarded().status(), 403);
}

#[test]
fn a_stranger_with_a_token_is_not_the_core() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    let text = from_core("MESSAGE", "m", &path, "");
    let (from, to) = (address("203.0.113.1:5060"), address(PCSCF));
    let packet =
        Packet { bytes: text.as_bytes(), protocol: Protocol::Sip, transport: Transport::Udp, from, to, sa: None };
    rig.packet(1_000, &packet);
    assert_eq!(rig.answer().status(), 403);
    // One that is configured is.
    let (mut rig, mut phone) = registered(PcscfConfig { trusted: vec![from.ip()], ..config() });
    let path = self::path(&mut rig, &mut phone, 500);
    let text = from_core("MESSAGE", "m", &path, "");
    rig.packet(1_000, &Packet { bytes: text.as_bytes(), ..packet });
    assert!(rig.answer().text.starts_with("MESSAGE "));
}

/// TS 33.203 clause 7.4, registration.md 4.3: a new set carries requests to the UE once the UE has used it.
#[test]
fn a_request_of_the_core_waits_for_the_ue_to_use_its_new_set() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    rig.reauthenticate(10_000, &mut phone, 3_600);
    rig.core_sends(11_000, &from_core("MESSAGE", "a", &path, ""));
    let heard = rig.answer();
    assert_eq!(heard.from.port(), 5_100, "the old set");
    // The phone answers over the new set, which is its first use.
    let text = response(&heard, "200 OK", "");
    phone.send_over_sa(&mut rig, 11_100, &text);
    assert_eq!(rig.forwarded().status(), 200);
    rig.core_sends(12_000, &from_core("MESSAGE", "b", &path, "").replace("Call-ID: m", "Call-ID: n"));
    assert_eq!(rig.answer().from.port(), 5_101, "the new set");
}

#[test]
fn a_large_request_of_the_core_goes_by_tcp_between_the_same_ports() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    let subject = format!("Subject: {}\r\n", "x".repeat(1_300));
    rig.core_sends(1_000, &from_core("MESSAGE", "a", &path, &subject));
    let heard = rig.answer();
    assert_eq!((heard.transport, heard.from.port(), heard.to), (Transport::Tcp, 5_100, phone.server()));
    // Field lesson 26: the answer comes on the same connection.
    let text = response(&heard, "200 OK", "");
    rig.ue_sends(1_010, Transport::Tcp, heard.to, heard.from, &text);
    assert_eq!(rig.forwarded().status(), 200);
}

/// RFC 5626 clause 5.3.1: the flow is there by the books, and its connection cannot be made.
#[test]
fn a_connection_that_cannot_be_made_is_a_flow_that_failed() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    let text = from_core("MESSAGE", "a", &path, "").replace("31001 SIP/2.0", "31001;transport=tcp SIP/2.0");
    rig.core_sends(1_000, &text);
    let heard = rig.answer();
    assert_eq!((heard.transport, heard.from.port()), (Transport::Tcp, 5_100));
    rig.connection(1_010, heard.from, heard.to, ConnectionState::Failed);
    let failed = rig.forwarded();
    assert_eq!((failed.status(), failed.message().values(HeaderName::Via).count()), (430, 1), "{}", failed.text);
}

#[test]
fn an_answer_of_a_ue_in_clear_beside_its_sas_is_dropped() {
    let (mut rig, mut phone) = registered(config());
    let path = path(&mut rig, &mut phone, 500);
    rig.core_sends(1_000, &from_core("MESSAGE", "a", &path, ""));
    let heard = rig.answer();
    phone.send_clear(&mut rig, 1_010, &response(&heard, "200 OK", ""));
    rig.silent();
    assert!(matches!(rig.events.last(), Some(What::PacketDropped { cause, .. }) if cause.contains("answer in clear")));
    answer(&mut rig, &phone, 1_020, &heard, "200 OK", "");
    assert_eq!(rig.forwarded().status(), 200);
}

#[test]
fn without_sas_requests_go_both_ways_in_clear() {
    let mut rig = Rig::new(PcscfConfig { sec_agree: SecAgreePolicy::Off, ..config() });
    let mut phone = Phone::new(2);
    phone.send_first(&mut rig, 0);
    let register = rig.forwarded();
    let path = register.header(HeaderName::Path).unwrap();
    rig.core_sends(10, &pcscf_rig::accepted(&register, 60));
    assert_eq!(rig.answer().status(), 200);
    let message = phone.request("MESSAGE", 5_060, "").replacen(&format!("sip:{REALM}"), BOB, 1);
    phone.send_clear(&mut rig, 1_000, &message);
    let sent = rig.forwarded();
    assert_eq!(all(&sent, HeaderName::PAssertedIdentity), [format!("<{}>", phone.impu())]);
    // RFC 3581: the way back is stamped into the Via that is passed on.
    assert!(sent.text.contains("received=10.1.0.2;rport=5060"), "{}", sent.text);
    rig.core_sends(1_005, &response(&sent, "200 OK", ""));
    assert_eq!(rig.answer().to, phone.clear());
    rig.core_sends(1_010, &from_core("MESSAGE", "a", &path, ""));
    let heard = rig.answer();
    assert_eq!((heard.from, heard.to, heard.protected), (address(PCSCF), phone.clear(), false));
    phone.send_clear(&mut rig, 1_020, &response(&heard, "200 OK", ""));
    assert_eq!(rig.forwarded().status(), 200);
    rig.drive(60_011);
    let message = phone.request("MESSAGE", 5_060, "");
    phone.send_clear(&mut rig, 60_012, &message);
    assert_eq!(rig.answer().status(), 403, "the registration has expired");
    assert_eq!(rig.pcscf.subscribers(), 0);
}

#[test]
fn options_to_the_pcscf_itself_are_its_own() {
    let (mut rig, mut phone) = registered(config());
    let options = phone.request("OPTIONS", 31_001, "").replacen(&format!("sip:{REALM}"), "sip:10.0.0.1:5060", 1);
    phone.send_over_sa(&mut rig, 1_000, &options);
    let heard = rig.answer();
    assert!(heard.header(HeaderName::Allow).unwrap().contains("MESSAGE"));
}
