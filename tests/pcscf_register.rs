//! What the P-CSCF does with a REGISTER besides security agreement: its duties as a proxy (TS 24.229 clause 5.2.2.1), bad
//! input, silence of the core.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::packet::Transport;
use imsreg::pcscf::SecAgreePolicy;
use imsreg::sip::HeaderName;
use pcscf_rig::{CORE, PCSCF, Phone, REALM, Rig, SECOND_CORE, accepted, address, challenge, config, port_ps, response};

#[test]
fn the_way_of_one_registration() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    let request = rig.forwarded();
    assert_eq!((request.from, request.to), (address(PCSCF), address(CORE)));
    rig.to_core.push(request);
    let challenge = rig.challenge(10, &mut phone);
    assert_eq!((challenge.from, challenge.to, challenge.protected), (address(PCSCF), phone.clear(), false));
    phone.send_protected(&mut rig, 20);
    let ok = rig.accept(30, 3_600);
    assert_eq!((ok.from.port(), ok.to, ok.protected), (rig.installed[0].pcscf.port_c, phone.server(), true));
    assert_eq!(rig.order, ["REGISTER", "install 1", "401", "REGISTER", "200"]);
    assert_eq!(rig.pcscf.identities(&phone.impi()).collect::<Vec<_>>(), [phone.impu().as_str(), "tel:+99912345"]);
    assert_eq!(rig.pcscf.service_route(&phone.impi()).unwrap(), format!("<sip:orig@scscf.{REALM}:6060;lr>"));
    assert!(rig.refusals().is_empty());
}

#[test]
fn the_request_to_the_core_has_what_table_4_1_asks_for() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let lines = phone.contact(5_060)
        + &phone.agreement()
        + &phone.credentials("").replace("response=\"\"", "response=\"\", Integrity-Protected = \"yes\" ")
        + "P-Asserted-Identity: <sip:boss@home>\r\nP-Charging-Vector: icid-value=x\r\n\
           P-Charging-Function-Addresses: ccf=1\r\nP-Visited-Network-ID: other\r\nPath: <sip:evil@x;lr>\r\n\
           P-Access-Network-Info: 3GPP-NR;utran-cell-id-3gpp=1, 3GPP-NR;network-provided;utran-cell-id-3gpp=2\r\n\
           Route: <sip:10.0.0.1:5060;lr>, <sip:scscf.home;lr>\r\nP-User-Database: <aaa://x>\r\nX-New: kept\r\n";
    let text = phone.request("REGISTER", 5_060, &lines);
    phone.send_clear(&mut rig, 0, &text);
    let sent = rig.forwarded();
    let message = sent.message();
    let all = |name| message.values(name).collect::<Vec<_>>();
    let vias = all(HeaderName::Via);
    assert!(vias[0].starts_with("SIP/2.0/UDP pcscf.visited.example:5060;branch=z9hG4bK"), "{}", sent.text);
    assert_eq!(vias[1], "SIP/2.0/UDP 10.1.0.1:5060;branch=z9hG4bK1001;received=10.1.0.1;rport=5060");
    assert_eq!(all(HeaderName::MaxForwards), ["69"]);
    assert_eq!(all(HeaderName::Require), ["path"]);
    assert_eq!(all(HeaderName::Path).len(), 1);
    let path = &message.name_addrs(HeaderName::Path).unwrap()[0];
    assert_eq!((path.uri.host, path.uri.user.map(str::len)), ("pcscf.visited.example", Some(17)));
    assert!(path.uri.params.has("lr"));
    assert_eq!(all(HeaderName::PVisitedNetworkId), ["visited.example"]);
    let charging = all(HeaderName::PChargingVector);
    assert!(charging[0].contains(";icid-generated-at=10.0.0.1;orig-ioi=\"Type 1visited.example\""), "{charging:?}");
    assert_eq!(all(HeaderName::PAccessNetworkInfo), ["3GPP-NR;utran-cell-id-3gpp=1"]);
    let credentials = message.authorization().unwrap().unwrap();
    assert_eq!(credentials.integrity_protected, Some("no"));
    assert_eq!(sent.text.to_ascii_lowercase().matches("integrity-protected").count(), 1);
    for gone in [
        HeaderName::ProxyRequire,
        HeaderName::SecurityClient,
        HeaderName::PAssertedIdentity,
        HeaderName::PChargingFunctionAddresses,
        HeaderName::Route,
    ] {
        assert_eq!(all(gone), [""; 0], "{gone}");
    }
    assert!(message.header_named("P-User-Database").is_none());
    assert_eq!(message.header_named("X-New"), Some("kept"));
    assert_eq!(all(HeaderName::Supported), ["path, sec-agree"]);
}

#[test]
fn a_protected_register_is_marked_and_its_verify_ends_here() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    let first = rig.to_core[0].clone();
    rig.challenge(10, &mut phone);
    phone.send_protected(&mut rig, 20);
    let second = rig.forwarded();
    assert_eq!(second.message().authorization().unwrap().unwrap().integrity_protected, Some("yes"));
    assert!(second.header(HeaderName::SecurityVerify).is_none());
    assert_eq!(second.header(HeaderName::Path), first.header(HeaderName::Path), "the token names the subscriber");
    assert_ne!(second.header(HeaderName::PChargingVector), first.header(HeaderName::PChargingVector), "icid is new");
}

#[test]
fn without_credentials_the_request_goes_on_as_it_is() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let lines = phone.contact(5_060) + &phone.agreement() + "Require: foo\r\n";
    let text = phone.request("REGISTER", 5_060, &lines);
    phone.send_clear(&mut rig, 0, &text);
    let sent = rig.forwarded();
    assert!(sent.header(HeaderName::Authorization).is_none());
    assert_eq!(sent.header(HeaderName::Require).unwrap(), "path, foo");
    // The challenge is served all the same: the IMPI is that of To.
    rig.to_core.push(sent);
    rig.challenge(10, &mut phone);
    phone.send_protected(&mut rig, 20);
    rig.accept(30, 600);
}

#[test]
fn another_scheme_gets_no_mark() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let lines = phone.contact(5_060) + &phone.agreement() + "Authorization: Capability a=\"b,c\"\r\n";
    let text = phone.request("REGISTER", 5_060, &lines);
    phone.send_clear(&mut rig, 0, &text);
    assert_eq!(rig.forwarded().header(HeaderName::Authorization).unwrap(), "Capability a=\"b,c\"");
}

#[test]
fn sip_digest_without_an_agreement_gets_no_mark_and_aka_gets_no() {
    let mut rig = Rig::new(imsreg::pcscf::PcscfConfig { sec_agree: SecAgreePolicy::Off, ..config() });
    let mut phone = Phone::new(1);
    let aka = phone.credentials("");
    for (line, mark) in [(aka.clone(), Some("no")), (aka.replace(",algorithm=AKAv1-MD5", ""), None)] {
        let text = phone.request("REGISTER", 5_060, &(phone.contact(5_060) + &line));
        phone.send_clear(&mut rig, 0, &text);
        let sent = rig.forwarded();
        assert_eq!(sent.message().authorization().unwrap().unwrap().integrity_protected, mark);
    }
}

#[test]
fn what_the_core_adds_for_the_network_stays_in_it() {
    let strip = vec!["server".into(), "X-Core".into()];
    let mut rig = Rig::new(imsreg::pcscf::PcscfConfig { strip_from_answers: strip, ..config() });
    let mut phone = Phone::new(1);
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    phone.send_protected(&mut rig, 20);
    let request = rig.forwarded();
    let text = accepted(&request, 600)
        .replace("Path:", "Server: s\r\nx-core: 1\r\nSecurity-Server: tls\r\nX-Kept: 1\r\nPath:");
    rig.core_sends(30, &text);
    let ok = rig.answer();
    for gone in ["P-Charging", "Server:", "x-core", "pcscf.visited.example:5060"] {
        assert!(!ok.text.contains(gone), "{gone}: {}", ok.text);
    }
    for kept in ["P-Associated-URI", "Service-Route", "Path", "X-Kept"] {
        assert!(ok.text.contains(kept), "{kept}: {}", ok.text);
    }
    assert_eq!(ok.message().values(HeaderName::Via).count(), 1);
}

#[test]
fn a_final_answer_other_than_200_is_relayed() {
    for status in ["403 Forbidden", "420 Bad Extension", "423 Interval Too Brief", "500 x", "600 Busy Everywhere"] {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        phone.send_first(&mut rig, 0);
        let request = rig.forwarded();
        rig.core_sends(10, &response(&request, status, "Min-Expires: 60\r\nUnsupported: foo\r\n"));
        let answer = rig.answer();
        assert!(answer.text.starts_with(&format!("SIP/2.0 {status}\r\n")), "{}", answer.text);
        assert!(answer.text.contains("Min-Expires: 60\r\nUnsupported: foo\r\n"));
        assert!(rig.installed.is_empty());
    }
}

/// TS 24.229 clauses 5.1.1.2.1 and 5.1.1.5.1: after 423 and 439 the UE asks again otherwise, and may do so over the
/// temporary set, which ends with reg-await-auth or a failed authentication.
#[test]
fn what_is_to_be_asked_otherwise_leaves_the_temporary_set_usable() {
    for status in ["423 Interval Too Brief", "439 First Hop Lacks Outbound Support"] {
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        phone.send_first(&mut rig, 0);
        rig.challenge(10, &mut phone);
        phone.send_protected(&mut rig, 20);
        let request = rig.forwarded();
        rig.core_sends(30, &response(&request, status, "Min-Expires: 60\r\n"));
        let answer = rig.answer();
        assert!(answer.protected && answer.text.starts_with(&format!("SIP/2.0 {status}\r\n")), "{}", answer.text);
        phone.send_protected(&mut rig, 200_000);
        rig.accept(200_010, 60);
        assert_eq!(rig.installed.len(), 1, "{status}");
        // Who does not come again loses the set with reg-await-auth.
        let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
        phone.send_first(&mut rig, 0);
        rig.challenge(10, &mut phone);
        phone.send_protected(&mut rig, 20);
        let request = rig.forwarded();
        rig.core_sends(30, &response(&request, status, "Min-Expires: 60\r\n"));
        rig.answer();
        rig.drive(240_011);
        assert_eq!(rig.pcscf.sa_sets(), 0, "{status}");
    }
}

#[test]
fn silence_of_the_core_is_504_and_never_408() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.drive(31_999);
    assert!(rig.to_ue.iter().all(|m| m.status() == 100), "only a late 100 may come before");
    rig.drive(32_000);
    let answer = rig.to_ue.pop().unwrap();
    assert_eq!((answer.at, answer.status(), answer.to), (32_000, 504, phone.clear()));
    assert_eq!(answer.message().via().unwrap().branch(), Some("z9hG4bK1001"));
    assert!(answer.message().to().unwrap().tag().is_some());
    // A 408 of the core is silence, too.
    phone.call_id += "b";
    phone.send_first(&mut rig, 40_000);
    let request = rig.to_core.pop().unwrap();
    rig.core_sends(40_010, &response(&request, "408 Request Timeout", ""));
    assert_eq!(rig.to_ue.pop().unwrap().status(), 504);
}

#[test]
fn the_next_entry_point_takes_over() {
    let next_hops = vec![address(CORE), address(SECOND_CORE)];
    for how in ["silence", "480 Temporarily Unavailable", "305 Use Proxy"] {
        let mut rig = Rig::new(imsreg::pcscf::PcscfConfig { next_hops: next_hops.clone(), ..config() });
        let mut phone = Phone::new(1);
        phone.send_first(&mut rig, 0);
        let first = rig.forwarded();
        if how == "silence" {
            rig.drive(32_000);
            rig.to_core.retain(|m| m.to == address(SECOND_CORE));
        } else {
            rig.core_sends(10, &response(&first, how, ""));
        }
        let second = rig.forwarded();
        assert_eq!(second.to, address(SECOND_CORE));
        let branch = |m: &pcscf_rig::Sent| m.message().via().unwrap().branch().unwrap().to_owned();
        assert_ne!(branch(&first), branch(&second));
        assert_eq!(first.text.replace(&branch(&first), ""), second.text.replace(&branch(&second), ""));
        rig.core_sends(if how == "silence" { 33_000 } else { 20 }, &challenge(&second, "n"));
        assert_eq!(rig.to_ue.pop().unwrap().status(), 401);
        assert_eq!(rig.installed.len(), 1);
    }
}

#[test]
fn max_forwards_and_unknown_extensions() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let first = phone.first();
    phone.send_clear(&mut rig, 0, &first.replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(rig.answer().status(), 483);
    let first = phone.first();
    phone.send_clear(&mut rig, 0, &first.replace("Proxy-Require: sec-agree", "Proxy-Require: sec-agree, foo, bar"));
    let answer = rig.answer();
    assert_eq!((answer.status(), answer.header(HeaderName::Unsupported).as_deref()), (420, Some("foo, bar")));
    let first = phone.first();
    phone.send_clear(&mut rig, 0, &first.replace("Max-Forwards: 70\r\n", ""));
    let sent = rig.to_core.pop().expect("RFC 3261 clause 16.6: 70 is assumed");
    assert_eq!(sent.header(HeaderName::MaxForwards).unwrap(), "69");
}

#[test]
fn malformed_requests_are_answered_where_they_can_be() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let mut bend = |rig: &mut Rig, from: &str, to: &str| {
        let text = phone.first();
        assert!(text.contains(from));
        let text = text.replacen(from, to, 1);
        phone.send_clear(rig, 0, &text);
        std::mem::take(&mut rig.to_ue).pop().map(|m| m.status())
    };
    assert_eq!(bend(&mut rig, "CSeq: ", "CSeq: x"), Some(400));
    assert_eq!(bend(&mut rig, "Contact: <", "Contact: *, <"), Some(400));
    assert_eq!(bend(&mut rig, "To: <", "To: <sip:other@x>\r\nTo: <"), Some(400));
    assert_eq!(bend(&mut rig, "username=\"", "username=\"x\",username=\""), Some(400));
    assert_eq!(bend(&mut rig, "REGISTER sip:", "REGISTER frob:"), Some(416));
    assert_eq!(bend(&mut rig, "SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), Some(505));
    assert_eq!(bend(&mut rig, "Content-Length: 0", "Content-Length: 9"), Some(400));
    assert_eq!(bend(&mut rig, "Via: ", "X-Via: "), None);
    assert!(rig.to_core.is_empty());
}

#[test]
fn keep_alives_and_noise_are_not_answered() {
    let mut rig = Rig::new(config());
    let phone = Phone::new(1);
    let stun = "\0\u{1}\0\0\u{21}\u{12}";
    for text in ["", "\r\n\r\n", "\0\0\0\0", stun, "noise", "SIP/2.0 200 OK\r\n\r\n"] {
        phone.send_clear(&mut rig, 0, text);
    }
    rig.silent();
    assert_eq!(rig.pcscf.transactions(), 0);
}

#[test]
fn requests_other_than_register() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let ask = |rig: &mut Rig, phone: &mut Phone, method: &str, uri: &str, lines: &str| {
        let text = phone.request(method, 5_060, lines).replacen(&format!("sip:{REALM}"), uri, 1);
        phone.send_clear(rig, 0, &text);
        std::mem::take(&mut rig.to_ue).pop().map(|m| m.status())
    };
    assert_eq!(ask(&mut rig, &mut phone, "OPTIONS", "sip:10.0.0.1:5060", ""), Some(200));
    assert_eq!(ask(&mut rig, &mut phone, "OPTIONS", "sip:pcscf.visited.example", ""), Some(200));
    assert_eq!(ask(&mut rig, &mut phone, "OPTIONS", "sip:somebody@home.example", ""), Some(403));
    assert_eq!(ask(&mut rig, &mut phone, "MESSAGE", "sip:somebody@home.example", ""), Some(403));
    assert_eq!(ask(&mut rig, &mut phone, "MESSAGE", "sip:somebody@home.example", "Require: sec-agree\r\n"), Some(494));
    assert_eq!(ask(&mut rig, &mut phone, "CANCEL", "sip:somebody@home.example", ""), Some(481));
    assert_eq!(ask(&mut rig, &mut phone, "ACK", "sip:somebody@home.example", ""), None);
    assert!(rig.to_core.is_empty());
}

#[test]
fn retransmissions_reach_nobody_twice() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    let first = phone.first();
    for at in [0, 500, 1_500] {
        phone.send_clear(&mut rig, at, &first);
    }
    let request = rig.to_core.remove(0);
    assert!(rig.to_core.iter().all(|r| r.text == request.text), "only timer E repeats it");
    rig.to_core.clear();
    rig.core_sends(1_600, &challenge(&request, "n"));
    let answer = rig.answer();
    phone.send_clear(&mut rig, 1_700, &first);
    assert_eq!(rig.answer().text, answer.text);
    assert_eq!(rig.installed.len(), 1);
    rig.core_sends(1_800, &challenge(&request, "n"));
    rig.silent();
}

#[test]
fn tcp_answers_stay_on_the_connection_and_keep_their_sa() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.transport = Transport::Tcp;
    phone.send_first(&mut rig, 0);
    let challenge = rig.challenge(10, &mut phone);
    assert_eq!((challenge.transport, challenge.to), (Transport::Tcp, phone.clear()));
    phone.send_protected(&mut rig, 20);
    let ok = rig.accept(30, 3_600);
    assert_eq!((ok.transport, ok.from, ok.to, ok.protected), (Transport::Tcp, port_ps(), phone.client(), true));
}

#[test]
fn nothing_stays_of_what_has_ended() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 600);
    rig.drive(700_000);
    assert_eq!((rig.pcscf.subscribers(), rig.pcscf.sa_sets(), rig.pcscf.transactions()), (0, 0, 0));
    assert_eq!(rig.plane.len(), 0);
    assert!(rig.pcscf.next_timeout().is_none());
    assert!(rig.events.iter().any(|e| matches!(e, What::SaRemoved { .. })));
}

/// Registered, and refreshed by a REGISTER that the next one is like.
fn refreshed() -> (Rig, Phone) {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    rig.register(0, &mut phone, 3_600);
    for at in [1_000, 2_000] {
        let text = phone.protected();
        phone.send_over_sa(&mut rig, at, &text);
        rig.accept(at + 10, 3_600);
        assert_eq!(rig.extended.last().map(|(_, until)| *until), Some((at + 10) / 1_000 + 3_630));
    }
    (rig, phone)
}

#[test]
fn what_a_200_to_a_refresh_says_otherwise_counts() {
    let (mut rig, mut phone) = refreshed();
    let identities = |rig: &Rig, phone: &Phone| rig.pcscf.identities(&phone.impi()).collect::<Vec<_>>();
    assert_eq!(identities(&rig, &phone), [phone.impu().as_str(), "tel:+99912345"]);
    let registered = |rig: &Rig| rig.events.iter().filter(|event| matches!(event, What::Registered { .. })).count();
    assert_eq!(registered(&rig), 3);
    for (n, (from, to)) in [
        ("orig@scscf", "other@scscf"),
        ("tel:+99912345", "tel:+99967890"),
        ("expires=3600", "expires=60000"),
        ("P-Associated-URI", "Expires: 70\r\nP-Associated-URI"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = 3_000 + 1_000 * n as u64;
        let text = phone.protected();
        phone.send_over_sa(&mut rig, at, &text);
        let request = rig.forwarded();
        let (all, only) = (accepted(&request, 3_600), accepted(&request, 3_600).replace(from, to));
        assert_ne!(all, only);
        rig.core_sends(at, &only);
        assert_eq!(rig.answer().status(), 200);
        let route = rig.pcscf.service_route(&phone.impi()).unwrap();
        assert_eq!(
            (route.contains("other@"), identities(&rig, &phone)[1] == "tel:+99967890"),
            (n == 0, n == 1),
            "{to}"
        );
        let granted = if n == 2 { 60_000 } else { 3_600 };
        assert_eq!(rig.extended.last().map(|(_, until)| *until >= at / 1_000 + granted), Some(true), "{to}");
    }
    assert_eq!(registered(&rig), 7);
    // And one that takes the Contact away ends the registration.
    let text = phone.protected();
    phone.send_over_sa(&mut rig, 9_000, &text);
    let request = rig.forwarded();
    rig.core_sends(9_000, &response(&request, "200 OK", ""));
    assert_eq!((rig.answer().status(), identities(&rig, &phone).len()), (200, 0));
}

#[test]
fn a_refresh_like_the_one_before_is_judged_by_what_differs() {
    for (from, to, status) in [
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("Max-Forwards: 70", "Max-Forwards: x", 400),
        (" REGISTER\r\nContact", " INVITE\r\nContact", 400),
        ("Max-Forwards", "Via: SIP/2.0/UDP\r\nMax-Forwards", 400),
        ("CSeq: ", "CSeq: 9 REGISTER\r\nCSeq: ", 400),
        ("Security-Verify: ipsec", "Security-Verify: x-ipsec", 494),
        ("Digest username=\"0010", "Digest username=\"0020", 403),
        ("Digest username", "Digest realm=\"a\",username", 400),
        ("Via: SIP/2.0/UDP 10.1.0.1", "Via: SIP/2.0/UDP 10.1.0.2", 403),
        (">;tag=t", ">tag=t", 400),
        ("Call-ID: call1", "Call-ID: call 1", 400),
        ("Proxy-Require: sec-agree", "Proxy-Require: x-new", 420),
        ("REGISTER sip:", "REGISTER http:", 416),
        (";+sip.instance", ";+sip.instance=", 400),
    ] {
        let (mut rig, mut phone) = refreshed();
        let text = phone.protected();
        assert!(text.contains(from), "{from}");
        phone.send_over_sa(&mut rig, 3_000, &text.replacen(from, to, 1));
        let answers: Vec<u16> = rig.to_ue.iter().map(|answer| answer.status()).collect();
        assert_eq!((&*answers, rig.to_core.len()), (&[status][..], 0), "{to}");
    }
}
