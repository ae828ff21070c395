//! Requests between two registered users through S-CSCF and I-CSCF (TS 24.229 clauses 5.3.2 and 5.4.3, RFC 3261 clause
//! 16). P-CSCFs and HSS are scripted; every hop is bytes.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[expect(dead_code, reason = "challenges are for the tests of the registrar")]
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, Sent, header, headers, node, status};
use imsreg::cx::{Capabilities, CxResult, Lia, Lir, ServerAssignmentType as Assign, UserAuthorizationType};
use imsreg::event::What;
use imsreg::icscf::{Icscf, IcscfConfig, ScscfEntry};
use imsreg::packet::Transport;
use imsreg::random::Random;
use imsreg::scscf::{Scscf, ScscfConfig};
use imsreg::sip::transaction::Timers;
use imsreg::time::Duration;
use user::{ICSCF, OWN, Register, scscf, user_data};

/// The P-CSCF of the caller, that of the user called, and another one.
const CALLER: &str = "127.0.0.11:5060";
const CALLED: &str = "127.0.0.12:5060";
const THIRD: &str = "127.0.0.13:5060";
/// Where requests for other networks go.
const ELSEWHERE: &str = "192.0.2.77:5060";

const BOB: &str = "sip:bob@ims.mnc001.mcc001.3gppnetwork.org";

fn config() -> ScscfConfig {
    let hosts = [
        ("pcscf1.example", "127.0.0.11"),
        ("pcscf2.example", "127.0.0.12"),
        ("pcscf3.example", "127.0.0.13"),
        ("other.example", "192.0.2.77"),
        (&*format!("scscf.{REALM}"), "127.0.0.1"),
    ];
    let hosts = hosts.map(|(name, ip)| (name.into(), ip.parse().unwrap())).into();
    ScscfConfig { hosts, ..user::config() }
}

/// A user who is registered.
struct User {
    name: &'static str,
    /// The Service-Route of his registration.
    route: String,
}

/// Alice and Bob are registered; Alice has a barred identity besides.
fn both() -> (Driver<Scscf>, User, User) {
    both_with(config())
}

fn both_with(config: ScscfConfig) -> (Driver<Scscf>, User, User) {
    let mut s = scscf(config);
    let alice = register(&mut s, "alice", "pcscf1.example", &alice_set());
    let bob = register(&mut s, "bob", "pcscf2.example", &set("bob", "+2"));
    (s, alice, bob)
}

fn set(name: &str, number: &str) -> String {
    user_data(&[(&sip(name), false), (&format!("tel:{number}"), false)])
}

fn alice_set() -> String {
    user_data(&[
        (&sip("alice"), false),
        (&sip("hidden"), true),
        ("tel:+9", false),
        (&format!("sip:+1@{REALM}"), false),
        ("tel:+1", false),
    ])
}

fn sip(name: &str) -> String {
    format!("sip:{name}@{REALM}")
}

fn register(s: &mut Driver<Scscf>, name: &'static str, pcscf: &'static str, set: &str) -> User {
    register_with(s, name, pcscf, set, "")
}

/// The Contact has these header parameters.
fn register_with(s: &mut Driver<Scscf>, name: &'static str, pcscf: &'static str, set: &str, params: &str) -> User {
    let register = Register {
        impi: format!("{name}@{REALM}"),
        impu: sip(name.split('-').next().unwrap()),
        call_id: format!("{name}@ue"),
        contacts: vec![format!("<sip:{name}@198.51.100.1:5062;ob>{params}")],
        integrity_protected: Some("auth-done"),
        path: format!("<sip:{name}-token@{pcscf};lr>, <sip:edge.example;lr>"),
        ..Register::initial()
    };
    s.register(&register);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(set));
    let text = s.sent().text;
    assert_eq!(status(&text), 200, "{text}");
    s.events();
    User { name, route: header(&text, "Service-Route").into() }
}

/// A request, with these further lines.
fn request(method: &str, uri: &str, branch: &str, lines: &str) -> String {
    let number = if method == "INVITE" || method == "ACK" || method == "CANCEL" { 1 } else { 2 };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP pcscf.example;branch=z9hG4bK{branch}\r\n\
         Via: SIP/2.0/UDP 198.51.100.9:5060;branch=z9hG4bKue{branch}\r\nMax-Forwards: 69\r\n\
         From: <sip:alice@{REALM}>;tag=a\r\nTo: <{uri}>\r\nCall-ID: call@alice\r\nCSeq: {number} {method}\r\n\
         {lines}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    )
}

impl User {
    fn lines(&self) -> String {
        format!(
            "Route: {}\r\nP-Asserted-Identity: <{}>\r\nP-Access-Network-Info: 3GPP-E-UTRAN-FDD\r\n\
             P-Charging-Vector: icid-value=\"icid-7\";orig-ioi=\"visited1\"\r\n",
            self.route,
            sip(self.name)
        )
    }
}

/// A response to `request` with this To tag and further lines.
fn response(request: &str, line: &str, tag: &str, lines: &str) -> String {
    let copied: String = request
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .split("\r\n")
        .filter(|l| ["Via", "From", "Call-ID", "CSeq", "Record-Route"].iter().any(|n| l.starts_with(&format!("{n}: "))))
        .map(|l| format!("{l}\r\n"))
        .collect();
    let to = header(request, "To").split(";tag=").next().unwrap().to_owned();
    format!("SIP/2.0 {line}\r\n{copied}To: {to};tag={tag}\r\n{lines}Content-Length: 0\r\n\r\n")
}

fn line(text: &str) -> &str {
    text.lines().next().unwrap()
}

impl Driver<Scscf> {
    #[track_caller]
    fn sent_to(&mut self, to: &str) -> String {
        let Sent { to: receiver, text } = self.sent();
        assert_eq!(receiver, to.parse().unwrap(), "{text}");
        text
    }

    #[track_caller]
    fn answer_to(&mut self, to: &str) -> u16 {
        status(&self.sent_to(to))
    }

    /// The clause of the latest refusal.
    fn refused(&mut self) -> &'static str {
        let mut refusals = self.events().into_iter().filter_map(|event| match event {
            What::Refused { clause, .. } => Some(clause),
            _ => None,
        });
        refusals.next_back().expect("a refusal is told")
    }
}

#[test]
fn a_message_leaves_for_the_i_cscf_of_the_home_network() {
    let (mut s, alice, _) = both();
    s.sip(CALLER, &request("MESSAGE", BOB, "1", &alice.lines()));
    let text = s.sent_to(ICSCF);
    assert_eq!(line(&text), format!("MESSAGE {BOB} SIP/2.0"));
    let vias: Vec<&str> = headers(&text, "Via").collect();
    assert_eq!(vias.len(), 3);
    assert!(vias[0].starts_with(&format!("SIP/2.0/TCP scscf.{REALM}:6060;branch=z9hG4bK")), "{}", vias[0]);
    assert_eq!(vias[1], "SIP/2.0/TCP pcscf.example;branch=z9hG4bK1;received=127.0.0.11");
    assert_eq!(header(&text, "Max-Forwards"), "68");
    for absent in ["Route", "Record-Route", "P-Access-Network-Info", "P-Called-Party-ID"] {
        assert_eq!(headers(&text, absent).count(), 0, "{absent}");
    }
    assert_eq!(
        headers(&text, "P-Asserted-Identity").collect::<Vec<_>>(),
        [&*format!("<{}>", sip("alice")), "<tel:+9>"]
    );
    assert_eq!(header(&text, "P-Charging-Vector"), "icid-value=\"icid-7\";orig-ioi=\"home1.net\"");
    assert!(text.ends_with("\r\nContent-Length: 2\r\n\r\nhi"));
    let vector = "P-Charging-Vector: icid-value=\"icid-7\";orig-ioi=\"home1.net\";term-ioi=\"home2.net\"\r\n";
    s.sip(ICSCF, &response(&text, "202 Accepted", "b", vector));
    let text = s.sent_to(CALLER);
    assert_eq!((status(&text), headers(&text, "Via").count()), (202, 2));
    assert_eq!(
        header(&text, "P-Charging-Vector"),
        "icid-value=\"icid-7\";orig-ioi=\"visited1\";term-ioi=\"home1.net\""
    );
    s.quiet();
}

#[test]
fn a_sip_uri_and_its_number_are_asserted_together() {
    let (mut s, alice, _) = both();
    for (n, (given, completed)) in [
        (format!("<sip:+1@{REALM}>"), "<tel:+1>".to_owned()),
        ("<tel:+1>".into(), format!("<sip:+1@{REALM}>")),
        ("<tel:+9>".into(), format!("<{}>", sip("alice"))),
    ]
    .into_iter()
    .enumerate()
    {
        let lines = alice.lines().replace(&format!("<{}>", sip("alice")), &given);
        s.sip(CALLER, &request("MESSAGE", BOB, &n.to_string(), &lines));
        let text = s.sent_to(ICSCF);
        assert_eq!(headers(&text, "P-Asserted-Identity").collect::<Vec<_>>(), [given, completed]);
    }
    let lines = alice.lines().replace("P-Access", "P-Asserted-Identity: <tel:+1>\r\nP-Access");
    s.sip(CALLER, &request("MESSAGE", BOB, "both", &lines));
    assert_eq!(headers(&s.sent_to(ICSCF), "P-Asserted-Identity").count(), 2, "both were there");
}

#[test]
fn a_message_arrives_at_the_contact_by_its_path() {
    let (mut s, ..) = both();
    let lines = format!(
        "Route: <sip:scscf.{REALM}:6060;lr>\r\nP-Called-Party-ID: <sip:forged@x>\r\n\
         P-Charging-Vector: icid-value=\"icid-7\";orig-ioi=\"other1\"\r\n"
    );
    s.sip(ICSCF, &request("MESSAGE", BOB, "1", &lines));
    let text = s.sent_to(CALLED);
    assert_eq!(line(&text), "MESSAGE sip:bob@198.51.100.1:5062;ob SIP/2.0");
    assert_eq!(
        headers(&text, "Route").collect::<Vec<_>>(),
        ["<sip:bob-token@pcscf2.example;lr>", "<sip:edge.example;lr>"]
    );
    assert_eq!(headers(&text, "P-Called-Party-ID").collect::<Vec<_>>(), [format!("<{BOB}>")]);
    assert_eq!(header(&text, "P-Charging-Vector"), "icid-value=\"icid-7\";orig-ioi=\"home1.net\"");
    let more = "P-Access-Network-Info: 3GPP-NR-FDD\r\nP-Charging-Vector: icid-value=\"icid-7\"\r\n";
    s.sip(CALLED, &response(&text, "200 OK", "b", more));
    let text = s.sent_to(ICSCF);
    assert_eq!((status(&text), headers(&text, "P-Access-Network-Info").count()), (200, 0));
    assert_eq!(header(&text, "P-Charging-Vector"), "icid-value=\"icid-7\";orig-ioi=\"other1\";term-ioi=\"home1.net\"");
}

#[test]
fn a_number_is_called_in_each_of_its_forms() {
    let (mut s, ..) = both();
    for (n, uri) in ["tel:+2", "tel:+(2)", &format!("sip:+2@{REALM};user=phone")].iter().enumerate() {
        s.sip(ICSCF, &request("MESSAGE", uri, &n.to_string(), ""));
        let text = s.sent_to(CALLED);
        assert_eq!(header(&text, "P-Called-Party-ID"), format!("<{uri}>"));
    }
}

#[test]
fn a_session_from_invite_to_bye() {
    let (mut s, alice, _) = both();
    s.sip(CALLER, &request("INVITE", BOB, "1", &alice.lines()));
    let invite = s.sent_to(ICSCF);
    let originating = format!("<sip:mo@scscf.{REALM}:6060;lr>");
    assert_eq!(header(&invite, "Record-Route"), originating);

    // The I-CSCF brings it back: a spiral, and no loop.
    let lines: String = invite.split("\r\n").skip(1).map(|l| format!("{l}\r\n")).collect();
    let copy = format!(
        "INVITE {BOB} SIP/2.0\r\nVia: SIP/2.0/TCP {ICSCF};branch=z9hG4bKicscf\r\nRoute: <sip:scscf.{REALM}:6060;lr>\r\n{}",
        lines.trim_end_matches("\r\n")
    );
    s.sip(ICSCF, &copy);
    let invite_to_bob = s.sent_to(CALLED);
    let terminating = format!("<sip:mt@scscf.{REALM}:6060;lr>");
    assert_eq!(headers(&invite_to_bob, "Record-Route").collect::<Vec<_>>(), [&*terminating, &*originating]);
    assert_eq!(headers(&invite_to_bob, "Via").count(), 5);
    s.pass(Duration::from_millis(200));
    assert_eq!((s.answer_to(CALLER), s.answer_to(ICSCF)), (100, 100));

    let contact = "Contact: <sip:bob@198.51.100.1:5062>\r\n";
    for line in ["100 Trying", "180 Ringing", "200 OK"] {
        s.sip(CALLED, &response(&invite_to_bob, line, "b", contact));
        if line.starts_with("100") {
            s.quiet();
            continue;
        }
        let text = s.sent_to(ICSCF);
        assert_eq!((self::line(&text), headers(&text, "Via").count()), (&*format!("SIP/2.0 {line}"), 4));
        // The I-CSCF takes its Via away.
        s.sip(ICSCF, &text.replace(&format!("Via: SIP/2.0/TCP {ICSCF};branch=z9hG4bKicscf\r\n"), ""));
        let text = s.sent_to(CALLER);
        assert_eq!((self::line(&text), headers(&text, "Via").count()), (&*format!("SIP/2.0 {line}"), 2));
        assert_eq!(headers(&text, "Record-Route").count(), 2);
    }
    // A 2xx that is repeated passes again (RFC 6026).
    s.sip(CALLED, &response(&invite_to_bob, "200 OK", "b", contact));
    assert_eq!(s.answer_to(ICSCF), 200);

    // Within the dialog Route alone counts: to us, to us again, to the P-CSCF, to the UE.
    for (n, method) in ["ACK", "PRACK", "UPDATE", "INFO", "BYE"].into_iter().enumerate() {
        let route =
            format!("Route: {originating}, {terminating}, <sip:bob-token@pcscf2.example;lr>\r\n{}", contact_of_alice());
        let text = request(method, "sip:bob@198.51.100.1:5062", &format!("m{n}"), &route)
            .replace("To: <sip:bob@198.51.100.1:5062>", &format!("To: <{BOB}>;tag=b"));
        s.sip(CALLER, &text);
        let again = s.sent_to(OWN);
        assert_eq!(header(&again, "Route"), terminating);
        s.sip(OWN, &again);
        let last = s.sent_to(CALLED);
        assert_eq!(line(&last), format!("{method} sip:bob@198.51.100.1:5062 SIP/2.0"));
        assert_eq!(headers(&last, "Route").collect::<Vec<_>>(), ["<sip:bob-token@pcscf2.example;lr>"]);
        assert_eq!((headers(&last, "Record-Route").count(), header(&last, "Max-Forwards")), (0, "67"));
        if method != "ACK" {
            s.sip(CALLED, &response(&last, "200 OK", "b", ""));
            let back = s.sent_to(OWN);
            s.sip(OWN, &back);
            assert_eq!(s.answer_to(CALLER), 200);
        }
        s.quiet();
    }
    s.pass(Duration::from_secs(200));
    s.quiet();
    assert_eq!(s.element.forwarding(), 0);
}

fn contact_of_alice() -> String {
    "Contact: <sip:alice@198.51.100.9>\r\n".into()
}

#[test]
fn a_strict_router_gets_the_request_uri_that_it_wants() {
    let (mut s, ..) = both();
    let route = format!("Route: <sip:mt@scscf.{REALM}:6060;lr>, <sip:other.example;x=y>, <sip:last.example;lr>\r\n");
    let text = request("INFO", "sip:bob@198.51.100.1", "1", &route)
        .replace("To: <sip:bob@198.51.100.1>", &format!("To: <{BOB}>;tag=b"));
    s.sip(CALLER, &text);
    let text = s.sent_to(ELSEWHERE);
    assert_eq!(line(&text), "INFO sip:other.example;x=y SIP/2.0");
    assert_eq!(headers(&text, "Route").collect::<Vec<_>>(), ["<sip:last.example;lr>", "<sip:bob@198.51.100.1>"]);
    // And what such a one sends us: our URI in front, the target at the end.
    let own = format!("sip:mt@scscf.{REALM}:6060;lr");
    let text = request("INFO", &own, "2", "Route: <sip:pcscf2.example;lr>, <sip:bob@198.51.100.1>\r\n")
        .replace(&format!("To: <{own}>"), &format!("To: <{BOB}>;tag=b"));
    s.sip(CALLER, &text);
    let text = s.sent_to(CALLED);
    assert_eq!(line(&text), "INFO sip:bob@198.51.100.1 SIP/2.0");
    assert_eq!(headers(&text, "Route").collect::<Vec<_>>(), ["<sip:pcscf2.example;lr>"]);
}

#[test]
fn an_emergency_registration_is_not_called() {
    let mut s = scscf(config());
    let register = Register {
        impi: format!("bob@{REALM}"),
        impu: BOB.into(),
        contacts: vec!["<sip:bob@198.51.100.1:5062;sos>".into()],
        integrity_protected: Some("auth-done"),
        ..Register::initial()
    };
    s.register(&register);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(&set("bob", "+2")));
    assert_eq!(status(&s.sent().text), 200);
    s.sip(ICSCF, &request("MESSAGE", BOB, "1", ""));
    assert_eq!(s.answer_to(ICSCF), 480);
    assert_eq!(s.element.forwarding(), 0);
    s.quiet();
}

#[test]
fn who_may_not_call() {
    refuses_who_may_not_call(false);
}

/// With restoration a token of another process is nobody's, but one of this process still says who calls.
#[test]
fn with_restoration_neither() {
    refuses_who_may_not_call(true);
}

fn refuses_who_may_not_call(restoration: bool) {
    let (mut s, alice, bob) = both_with(ScscfConfig { restoration, ..config() });
    let good = alice.lines();
    let asserted = format!("P-Asserted-Identity: <{}>\r\n", sip("alice"));
    for (n, lines) in [
        good.replace(&asserted, ""),
        good.replace(&asserted, &format!("P-Asserted-Identity: <{BOB}>\r\n")),
        good.replace(&asserted, &format!("P-Asserted-Identity: <{}>\r\n", sip("hidden"))),
        good.replace(&asserted, &format!("{asserted}P-Asserted-Identity: <tel:+2>\r\n")),
        good.replace(&alice.route, &bob.route),
        good.replace(&alice.route, &format!("<sip:o7777@scscf.{REALM}:6060;lr>")),
    ]
    .iter()
    .enumerate()
    .take(if restoration { 5 } else { 6 })
    {
        s.sip(CALLER, &request("MESSAGE", BOB, &n.to_string(), lines));
        assert_eq!((s.answer_to(CALLER), s.refused()), (403, "TS 24.229 clause 5.4.3.2"), "{lines}");
    }
    s.sip("192.0.2.200:5060", &request("MESSAGE", BOB, "x", &good));
    assert_eq!((s.answer_to("192.0.2.200:5060"), s.refused()), (403, "TS 24.229 clause 4.4"));
    s.quiet();
}

#[test]
fn who_cannot_be_called() {
    let (mut s, alice, _) = both();
    for (n, (uri, expected)) in
        [(sip("nobody"), 480), ("tel:+777".into(), 480), (sip("hidden"), 404), ("sip:x@unknown.example".into(), 404)]
            .iter()
            .enumerate()
    {
        s.sip(ICSCF, &request("MESSAGE", uri, &n.to_string(), ""));
        if *expected == 480 {
            s.assign(Assign::UnregisteredUser, CxResult::USER_UNKNOWN, None);
        }
        assert_eq!((s.answer_to(ICSCF), s.refused()), (*expected, "TS 24.229 clause 5.4.3.3"), "{uri}");
    }
    s.sip(CALLER, &request("MESSAGE", "sip:x@unknown.example", "o", &alice.lines()));
    assert_eq!((s.answer_to(CALLER), s.refused()), (404, "TS 24.229 clause 5.4.3.2"));
    s.sip(CALLER, &request("MESSAGE", "sip:x@other.example", "p", &alice.lines()));
    assert_eq!(line(&s.sent_to(ELSEWHERE)), "MESSAGE sip:x@other.example SIP/2.0");
    s.quiet();
}

#[test]
fn a_registration_that_has_ended_serves_nobody() {
    let (mut s, alice, _) = both();
    s.pass(Duration::from_secs(600_001));
    for _ in 0..2 {
        let request = s.asked();
        s.answer_sar(&request, CxResult::SUCCESS, None);
    }
    s.sip(ICSCF, &request("MESSAGE", BOB, "1", ""));
    s.assign(Assign::UnregisteredUser, CxResult::USER_UNKNOWN, None);
    assert_eq!(s.answer_to(ICSCF), 480);
    s.sip(CALLER, &request("MESSAGE", BOB, "2", &alice.lines()));
    assert_eq!(s.answer_to(CALLER), 403);
}

#[test]
fn what_no_proxy_forwards() {
    let (mut s, alice, _) = both();
    let good = request("INVITE", BOB, "1", &alice.lines());
    s.sip(CALLER, &good.replace("Max-Forwards: 69", "Max-Forwards: 0"));
    assert_eq!((s.answer_to(CALLER), s.refused()), (483, "RFC 3261 clause 16.3"));
    s.sip(CALLER, &request("INVITE", BOB, "2", &(alice.lines() + "Proxy-Require: sec-agree, teleport\r\n")));
    let text = s.sent_to(CALLER);
    assert_eq!((status(&text), header(&text, "Unsupported")), (420, "teleport"));
    // A request that comes back as it left.
    s.sip(CALLER, &request("INVITE", BOB, "3", &alice.lines()));
    let copy = s.sent_to(ICSCF);
    let via = headers(&copy, "Via").next().unwrap();
    let back = request("INVITE", BOB, "4", &alice.lines()).replacen("Via: ", &format!("Via: {via}\r\nVia: "), 1);
    s.sip(CALLER, &back);
    assert_eq!((s.answer_to(CALLER), s.refused()), (482, "RFC 3261 clause 16.3"));
    // For us, and nothing that we do.
    let own = format!("sip:scscf.{REALM}:6060");
    s.sip(CALLER, &request("INVITE", &own, "5", ""));
    assert_eq!(s.answer_to(CALLER), 501);
    s.sip(CALLER, &request("OPTIONS", &own, "6", ""));
    assert_eq!(s.answer_to(CALLER), 200);
    s.sip(CALLER, &request("BYE", &own, "7", "").replace(&format!("To: <{own}>"), &format!("To: <{own}>;tag=x")));
    assert_eq!(s.answer_to(CALLER), 481);
    s.quiet();
}

/// Bob has two phones under two private identities.
fn two_phones() -> (Driver<Scscf>, String, String) {
    let (mut s, ..) = both();
    register(&mut s, "bob-2", "pcscf3.example", &set("bob", "+2"));
    s.sip(ICSCF, &request("INVITE", BOB, "1", ""));
    let mut copies = [s.sent(), s.sent()].map(|sent| (sent.to.to_string(), sent.text));
    copies.sort();
    let [(first, one), (second, other)] = copies;
    assert_eq!((&*first, &*second), (CALLED, THIRD));
    assert_eq!(line(&other), "INVITE sip:bob-2@198.51.100.1:5062;ob SIP/2.0");
    (s, one, other)
}

#[test]
fn every_binding_is_tried_and_the_first_2xx_ends_the_others() {
    let (mut s, one, other) = two_phones();
    for (from, text, tag) in [(CALLED, &one, "b1"), (THIRD, &other, "b2")] {
        s.sip(from, &response(text, "180 Ringing", tag, ""));
        assert_eq!(s.answer_to(ICSCF), 180);
    }
    s.sip(CALLED, &response(&one, "200 OK", "b1", ""));
    assert_eq!(s.answer_to(ICSCF), 200);
    let cancel = s.sent_to(THIRD);
    assert_eq!(line(&cancel), "CANCEL sip:bob-2@198.51.100.1:5062;ob SIP/2.0");
    assert_eq!(headers(&cancel, "Via").collect::<Vec<_>>(), [headers(&other, "Via").next().unwrap()]);
    assert_eq!(headers(&cancel, "Route").count(), 2);
    assert_eq!(header(&cancel, "Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
    s.sip(THIRD, &response(&cancel, "200 OK", "b2", ""));
    s.sip(THIRD, &response(&other, "487 Request Terminated", "b2", ""));
    assert_eq!(line(&s.sent_to(THIRD)), "ACK sip:bob-2@198.51.100.1:5062;ob SIP/2.0");
    s.pass(Duration::from_secs(100));
    s.quiet();
}

/// A phone that was quicker than the CANCEL: the caller must hear of it.
#[test]
fn a_second_2xx_passes_as_well() {
    let (mut s, one, other) = two_phones();
    s.sip(CALLED, &response(&one, "200 OK", "b1", ""));
    assert_eq!(s.answer_to(ICSCF), 200);
    s.sip(THIRD, &response(&other, "200 OK", "b2", ""));
    assert_eq!(s.answer_to(ICSCF), 200);
    s.quiet();
}

#[test]
fn the_best_refusal_goes_back_when_all_have_refused() {
    for (first, second, expected) in
        [("486 Busy Here", "404 Not Found", 486), ("503 Overload", "503 Overload", 500), ("500 x", "480 y", 480)]
    {
        let (mut s, one, other) = two_phones();
        s.sip(CALLED, &response(&one, first, "b1", ""));
        assert!(line(&s.sent_to(CALLED)).starts_with("ACK "));
        s.quiet();
        s.sip(THIRD, &response(&other, second, "b2", ""));
        assert!(line(&s.sent_to(THIRD)).starts_with("ACK "));
        assert_eq!(s.answer_to(ICSCF), expected, "{first}, {second}");
        s.quiet();
    }
}

#[test]
fn the_challenges_of_all_phones_go_back_together() {
    let (mut s, one, other) = two_phones();
    s.sip(CALLED, &response(&one, "401 Unauthorized", "b1", "WWW-Authenticate: Digest realm=\"one\"\r\n"));
    s.sent_to(CALLED);
    let challenge = "Proxy-Authenticate: Digest realm=\"other\"\r\n";
    s.sip(THIRD, &response(&other, "407 Proxy Authentication Required", "b2", challenge));
    s.sent_to(THIRD);
    let text = s.sent_to(ICSCF);
    assert_eq!((status(&text), header(&text, "WWW-Authenticate")), (401, "Digest realm=\"one\""));
    assert_eq!(header(&text, "Proxy-Authenticate"), "Digest realm=\"other\"");
}

#[test]
fn bindings_are_tried_in_the_order_of_q() {
    let mut s = scscf(config());
    register_with(&mut s, "bob", "pcscf2.example", &set("bob", "+2"), ";q=0.3");
    register_with(&mut s, "bob-2", "pcscf3.example", &set("bob", "+2"), "");
    s.sip(ICSCF, &request("INVITE", BOB, "1", ""));
    let first = s.sent_to(THIRD);
    s.quiet();
    s.sip(THIRD, &response(&first, "486 Busy Here", "b2", ""));
    assert!(line(&s.sent_to(THIRD)).starts_with("ACK "));
    let second = s.sent_to(CALLED);
    assert!(headers(&second, "Via").next() != headers(&first, "Via").next());
    s.sip(CALLED, &response(&second, "480 Temporarily Unavailable", "b1", ""));
    assert!(line(&s.sent_to(CALLED)).starts_with("ACK "));
    assert_eq!(s.answer_to(ICSCF), 486, "the first of two of one class");
    // A 6xx is the last word; who cancels wants no second try.
    s.sip(ICSCF, &request("INVITE", BOB, "2", "").replace("call@alice", "call2@alice"));
    let first = s.sent_to(THIRD);
    s.sip(THIRD, &response(&first, "603 Decline", "b2", ""));
    assert!(line(&s.sent_to(THIRD)).starts_with("ACK "));
    assert_eq!(s.answer_to(ICSCF), 603);
    // The caller may ask for all at once, or for one.
    s.sip(ICSCF, &request("MESSAGE", BOB, "3", "Request-Disposition: parallel\r\n"));
    s.sent_to(CALLED);
    s.sent_to(THIRD);
    s.sip(ICSCF, &request("MESSAGE", BOB, "4", "Request-Disposition: queue, no-fork\r\n"));
    let only = s.sent_to(THIRD);
    s.sip(THIRD, &response(&only, "480 Temporarily Unavailable", "b2", ""));
    assert_eq!(s.answer_to(ICSCF), 480);
    s.quiet();
}

#[test]
fn a_6xx_ends_the_search() {
    let (mut s, one, other) = two_phones();
    s.sip(THIRD, &response(&other, "180 Ringing", "b2", ""));
    assert_eq!(s.answer_to(ICSCF), 180);
    s.sip(CALLED, &response(&one, "603 Decline", "b1", ""));
    assert!(line(&s.sent_to(CALLED)).starts_with("ACK "));
    assert!(line(&s.sent_to(THIRD)).starts_with("CANCEL "));
    s.sip(THIRD, &response(&other, "487 Request Terminated", "b2", ""));
    assert!(line(&s.sent_to(THIRD)).starts_with("ACK "));
    assert_eq!(s.answer_to(ICSCF), 603);
    s.quiet();
    assert_eq!(s.element.forwarding(), 0);
}

#[test]
fn the_caller_gives_up() {
    let (mut s, alice, _) = both();
    s.sip(CALLER, &request("INVITE", BOB, "1", &alice.lines()));
    let invite = s.sent_to(ICSCF);
    s.sip(ICSCF, &response(&invite, "180 Ringing", "b", ""));
    assert_eq!(s.answer_to(CALLER), 180);
    let cancel = request("CANCEL", BOB, "1", "Reason: SIP;cause=487\r\n");
    s.sip(CALLER, &cancel);
    assert_eq!(s.answer_to(CALLER), 200);
    let sent = s.sent_to(ICSCF);
    assert_eq!((line(&sent), header(&sent, "Reason")), (&*format!("CANCEL {BOB} SIP/2.0"), "SIP;cause=487"));
    s.sip(ICSCF, &response(&sent, "200 OK", "b", ""));
    s.quiet();
    s.sip(ICSCF, &response(&invite, "487 Request Terminated", "b", ""));
    assert!(line(&s.sent_to(ICSCF)).starts_with("ACK "));
    assert_eq!(s.answer_to(CALLER), 487);
    // Too late, and for nothing that we know.
    s.sip(CALLER, &request("CANCEL", BOB, "other", ""));
    assert_eq!(s.answer_to(CALLER), 481);
    s.quiet();
}

#[test]
fn nobody_rings_for_ever() {
    let (mut s, alice, _) = both();
    s.sip(CALLER, &request("INVITE", BOB, "1", &alice.lines()));
    let invite = s.sent_to(ICSCF);
    s.sip(ICSCF, &response(&invite, "180 Ringing", "b", ""));
    assert_eq!(s.answer_to(CALLER), 180);
    s.pass(Duration::from_secs(100));
    s.sip(ICSCF, &response(&invite, "180 Ringing", "b", ""));
    assert_eq!(s.answer_to(CALLER), 180);
    // Timer C began again.
    s.pass(Duration::from_millis(180_900));
    s.quiet();
    s.pass(Duration::from_millis(200));
    assert!(line(&s.sent_to(ICSCF)).starts_with("CANCEL "));
    // Nobody answers that either.
    s.pass(Duration::from_secs(33));
    assert_eq!(s.answer_to(CALLER), 408);
    s.pass(Duration::from_secs(40));
    s.quiet();
}

#[test]
fn silence_is_408_to_an_invite_and_nothing_to_others() {
    let (mut s, alice, _) = both();
    s.sip(CALLER, &request("INVITE", BOB, "1", &alice.lines()));
    s.sent_to(ICSCF);
    s.sip(CALLER, &request("MESSAGE", BOB, "2", &alice.lines()));
    s.sent_to(ICSCF);
    s.pass(Duration::from_millis(200));
    assert_eq!(s.answer_to(CALLER), 100);
    s.pass(Duration::from_secs(33));
    let text = s.sent_to(CALLER);
    assert_eq!((status(&text), header(&text, "CSeq")), (408, "1 INVITE"));
    assert!(header(&text, "To").contains(";tag="));
    s.pass(Duration::from_secs(100));
    s.quiet();
    assert_eq!(s.element.forwarding(), 0);
}

#[test]
fn without_an_i_cscf_the_s_cscf_finds_its_users_itself() {
    let mut s = scscf(ScscfConfig { icscf: None, ..config() });
    let alice = register(&mut s, "alice", "pcscf1.example", &alice_set());
    register(&mut s, "bob", "pcscf2.example", &set("bob", "+2"));
    s.sip(CALLER, &request("INVITE", "tel:+2", "1", &alice.lines()));
    let text = s.sent_to(OWN);
    s.sip(OWN, &text);
    assert_eq!(line(&s.sent_to(CALLED)), "INVITE sip:bob@198.51.100.1:5062;ob SIP/2.0");
    s.pass(Duration::from_millis(200));
    assert_eq!((s.answer_to(CALLER), s.answer_to(OWN)), (100, 100));
}

/// Thousands of messages in any order: nothing panics, and when all timers have run nothing is left.
#[test]
fn whatever_happens_every_request_ends() {
    let mut random = Random::seeded(11);
    let (mut s, alice, _) = both();
    register(&mut s, "bob-2", "pcscf3.example", &set("bob", "+2"));
    let methods = ["INVITE", "MESSAGE", "CANCEL", "ACK", "BYE", "OPTIONS", "SUBSCRIBE", "REGISTRATION"];
    let lines =
        ["180 Ringing", "200 OK", "404 Not Found", "503 Overload", "603 Decline", "401 Unauthorized", "100 Trying"];
    let mut copies = Vec::new();
    for n in 0..3_000 {
        s.pass(Duration::from_millis(random.below(4_000).into()));
        while let Some(sent) = s.next_sent() {
            if !sent.text.starts_with("SIP/2.0") {
                copies.push(sent);
            }
        }
        let pick = |random: &mut Random, count: usize| random.below(u32::try_from(count).unwrap()) as usize;
        if random.below(2) == 0 || copies.is_empty() {
            let method = methods[pick(&mut random, methods.len())];
            let uri = [BOB, "tel:+2", "sip:x@other.example"][pick(&mut random, 3)];
            let (from, lines) = [(CALLER, alice.lines()), (ICSCF, String::new())][pick(&mut random, 2)].clone();
            let back = random.below(40);
            s.sip(from, &request(method, uri, &(n - n.min(back)).to_string(), &lines));
        } else {
            let at = pick(&mut random, copies.len().min(20));
            let Sent { to, text } = &copies[copies.len() - 1 - at];
            let line = lines[pick(&mut random, lines.len())];
            let (to, text) = (to.to_string(), response(text, line, "b", ""));
            s.sip(&to, &text);
        }
    }
    s.pass(Duration::from_secs(400));
    assert_eq!(s.element.forwarding(), 0);
}

fn icscf() -> Driver<Icscf> {
    let entry = |name: &str, capabilities: &[u32]| ScscfEntry { name: name.into(), capabilities: capabilities.into() };
    let config = IcscfConfig {
        listen: vec![ICSCF.parse().unwrap()],
        host: "icscf.example".into(),
        transport: Transport::Tcp,
        timers: Timers::CORE,
        diameter: node("icscf.example"),
        realm: REALM.into(),
        scscfs: vec![entry("sip:scscf1.example:6061", &[1]), entry("sip:scscf2.example;lr", &[1, 2])],
        limits: imsreg::sip::overload::Limits::default(),
        hosts: [
            ("scscf1.example", "127.0.0.3"),
            ("scscf2.example", "127.0.0.4"),
            (&*format!("scscf.{REALM}"), "127.0.0.1"),
        ]
        .map(|(name, ip)| (name.into(), ip.parse().unwrap()))
        .into(),
        trusted: Vec::new(),
    };
    Driver::new(Icscf::new(config, Random::seeded(3)), ICSCF)
}

impl Driver<Icscf> {
    /// The HSS is asked where `impu` is served, and answers.
    #[track_caller]
    fn located(&mut self, impu: &str, result: CxResult, name: Option<&str>, capabilities: Option<Capabilities<'_>>) {
        self.located_for(impu, None, result, name, capabilities);
    }

    #[track_caller]
    fn located_for(
        &mut self,
        impu: &str,
        purpose: Option<UserAuthorizationType>,
        result: CxResult,
        name: Option<&str>,
        capabilities: Option<Capabilities<'_>>,
    ) {
        let request = self.asked();
        let lir = Lir::decode(&request).unwrap();
        assert_eq!((lir.impu, lir.originating, lir.authorization_type), (impu, false, purpose));
        let envelope = user::envelope(lir.envelope.session_id);
        let lia = Lia { envelope, result, server_name: name, capabilities };
        self.hss(&request, false, |w| lia.encode(w));
    }

    #[track_caller]
    fn sent_to(&mut self, to: &str) -> String {
        let Sent { to: receiver, text } = self.sent();
        assert_eq!(receiver, to.parse().unwrap(), "{text}");
        text
    }
}

#[test]
fn the_i_cscf_asks_the_hss_who_serves_the_user_called() {
    let mut i = icscf();
    let uri = "sip:bob@IMS.mnc001.mcc001.3gppnetwork.org;x=y";
    i.sip(OWN, &request("INVITE", uri, "1", "Route: <sip:icscf.example:4060;lr>\r\n"));
    i.located(BOB, CxResult::SUCCESS, Some("sip:scscf1.example:6061"), None);
    let invite = i.sent_to("127.0.0.3:6061");
    assert_eq!(line(&invite), format!("INVITE {uri} SIP/2.0"));
    assert_eq!(headers(&invite, "Route").collect::<Vec<_>>(), ["<sip:scscf1.example:6061;lr>"]);
    assert_eq!((headers(&invite, "Record-Route").count(), headers(&invite, "Via").count()), (0, 3));
    for line in ["180 Ringing", "200 OK", "200 OK"] {
        i.sip("127.0.0.3:6061", &response(&invite, line, "b", ""));
        let text = i.sent_to(OWN);
        assert_eq!((self::line(&text), headers(&text, "Via").count()), (&*format!("SIP/2.0 {line}"), 2));
    }
    i.pass(Duration::from_secs(100));
    i.quiet();
}

#[test]
fn what_the_i_cscf_makes_of_lia() {
    let mut i = icscf();
    let wanted = Capabilities { mandatory: vec![2], ..Capabilities::default() };
    for (n, (result, capabilities, expected)) in [
        (CxResult::USER_UNKNOWN, None, Err(404)),
        (CxResult::IDENTITY_NOT_REGISTERED, None, Err(480)),
        (CxResult::UNABLE_TO_COMPLY, None, Err(480)),
        (CxResult::UNREGISTERED_SERVICE, Some(wanted), Ok("<sip:scscf2.example;lr>")),
        (CxResult::UNREGISTERED_SERVICE, Some(Capabilities { mandatory: vec![9], ..Default::default() }), Err(600)),
    ]
    .into_iter()
    .enumerate()
    {
        i.sip(OWN, &request("MESSAGE", "tel:+2", &n.to_string(), ""));
        i.located("tel:+2", result, None, capabilities);
        let text = i.sent().text;
        match expected {
            Ok(route) => assert_eq!(header(&text, "Route"), route),
            Err(expected) => assert_eq!(status(&text), expected, "{result}"),
        }
    }
    i.sip(OWN, &request("MESSAGE", BOB, "far", ""));
    i.located(BOB, CxResult::SUCCESS, Some("sip:nowhere.example"), None);
    assert_eq!(status(&i.sent().text), 404);
    i.sip(OWN, &request("MESSAGE", BOB, "silent", ""));
    i.asked();
    i.pass(Duration::from_secs(6));
    assert_eq!(status(&i.sent().text), 480);
}

#[test]
fn a_cancel_that_comes_before_the_lia_ends_the_request() {
    let mut i = icscf();
    i.sip(OWN, &request("INVITE", BOB, "1", ""));
    i.sip(OWN, &request("CANCEL", BOB, "1", ""));
    let (ok, ended) = (i.sent().text, i.sent().text);
    assert_eq!((status(&ok), header(&ok, "CSeq")), (200, "1 CANCEL"));
    assert_eq!((status(&ended), header(&ended, "CSeq"), headers(&ended, "Via").count()), (487, "1 INVITE", 2));
    i.located(BOB, CxResult::SUCCESS, Some("sip:scscf1.example:6061"), None);
    i.pass(Duration::from_secs(1));
    i.quiet();
}

#[test]
fn a_cancel_passes_the_i_cscf() {
    let mut i = icscf();
    i.sip(OWN, &request("INVITE", BOB, "1", ""));
    i.located(BOB, CxResult::SUCCESS, Some("sip:scscf1.example:6061"), None);
    let invite = i.sent_to("127.0.0.3:6061");
    i.sip(OWN, &request("CANCEL", BOB, "1", ""));
    assert_eq!(status(&i.sent_to(OWN)), 200);
    i.quiet();
    i.sip("127.0.0.3:6061", &response(&invite, "100 Trying", "b", ""));
    let cancel = i.sent_to("127.0.0.3:6061");
    assert_eq!(line(&cancel), format!("CANCEL {BOB} SIP/2.0"));
    assert_eq!(header(&cancel, "Route"), "<sip:scscf1.example:6061;lr>");
    i.sip("127.0.0.3:6061", &response(&invite, "487 Request Terminated", "b", ""));
    assert!(line(&i.sent_to("127.0.0.3:6061")).starts_with("ACK "));
    assert_eq!(status(&i.sent_to(OWN)), 487);
    i.quiet();
}

/// TS 23.380 clause 4.2: an S-CSCF that is gone is replaced.
#[test]
fn another_s_cscf_is_asked_for_where_the_first_is_gone() {
    let another = Some(UserAuthorizationType::RegistrationAndCapabilities);
    for answers in [true, false] {
        let mut i = icscf();
        i.sip(OWN, &request("INVITE", BOB, "1", ""));
        i.located(BOB, CxResult::SUCCESS, Some("sip:scscf1.example:6061"), None);
        i.sent_to("127.0.0.3:6061");
        i.pass(Duration::from_millis(200));
        assert_eq!(status(&i.sent_to(OWN)), 100);
        i.pass(Duration::from_secs(32));
        i.located_for(BOB, another, CxResult::SUCCESS, None, Some(Capabilities::default()));
        let invite = i.sent_to("127.0.0.4:5060");
        assert_eq!(headers(&invite, "Route").collect::<Vec<_>>(), ["<sip:scscf2.example;lr>"]);
        if answers {
            i.sip("127.0.0.4:5060", &response(&invite, "503 Overload", "b", ""));
            assert!(line(&i.sent_to("127.0.0.4:5060")).starts_with("ACK "));
            // 408 says least of all that was said.
            assert_eq!(status(&i.sent_to(OWN)), 408);
        } else {
            i.pass(Duration::from_secs(33));
            i.located_for(BOB, another, CxResult::SUCCESS, None, Some(Capabilities::default()));
            assert_eq!(status(&i.sent_to(OWN)), 408, "there is no third");
        }
        i.pass(Duration::from_secs(100));
        i.quiet();
    }
    // What has rung is there, and a MESSAGE has been given up by its sender.
    let mut i = icscf();
    i.sip(OWN, &request("INVITE", BOB, "1", ""));
    i.located(BOB, CxResult::SUCCESS, Some("sip:scscf1.example:6061"), None);
    let invite = i.sent_to("127.0.0.3:6061");
    i.sip("127.0.0.3:6061", &response(&invite, "408 Request Timeout", "b", ""));
    assert!(line(&i.sent_to("127.0.0.3:6061")).starts_with("ACK "));
    assert_eq!(status(&i.sent_to(OWN)), 408);
    i.sip(OWN, &request("MESSAGE", BOB, "2", ""));
    i.located(BOB, CxResult::SUCCESS, Some("sip:scscf1.example:6061"), None);
    i.sent_to("127.0.0.3:6061");
    i.pass(Duration::from_secs(100));
    i.quiet();
}

/// Requests and responses with octets changed, left out and doubled: whatever they are now, nothing panics.
#[test]
fn spoilt_messages_are_borne() {
    let mut random = Random::seeded(23);
    let ((mut s, alice, _), mut i) = (both(), icscf());
    let dialog = format!("Route: <sip:mo@scscf.{REALM}:6060;lr>, <sip:pcscf2.example;lr>\r\n");
    s.sip(CALLER, &request("INVITE", BOB, "1", &alice.lines()));
    let invite = s.sent_to(ICSCF);
    let texts = [
        request("INVITE", BOB, "2", &alice.lines()),
        request("MESSAGE", "tel:+2", "3", ""),
        request("CANCEL", BOB, "2", "Reason: SIP;cause=1\r\n"),
        request("ACK", BOB, "4", &dialog).replace("@ims", ";tag=b@ims"),
        request("BYE", BOB, "5", &dialog).replace("\r\nCall-ID", ";tag=b\r\nCall-ID"),
        response(&invite, "180 Ringing", "b", ""),
        response(&invite, "486 Busy Here", "b", "P-Charging-Vector: icid-value=\"a;b\";term-ioi=x\r\n"),
    ];
    let (mut forwarded, mut refused) = (0, 0);
    for n in 0..6_000_u32 {
        let mut text = texts[random.below(7) as usize].clone();
        if !text.starts_with("SIP/2.0 ") {
            text = text.replace("z9hG4bK", &format!("z9hG4bK{}", n / 3));
        }
        for _ in 0..random.below(4) {
            let at = random.below(u32::try_from(text.len()).unwrap()) as usize;
            match random.below(3) {
                0 => text.replace_range(
                    at..=at,
                    char::from(b"<>;:@,\"\\\r\n /=.%0aZ\0"[random.below(19) as usize]).encode_utf8(&mut [0; 4]),
                ),
                1 => drop(text.remove(at)),
                _ => text.insert(at, char::from(text.as_bytes()[at])),
            }
        }
        s.sip(CALLER, &text);
        i.sip(OWN, &text);
        while let Some(sent) = s.next_sent() {
            *if sent.text.starts_with("SIP/2.0 ") { &mut refused } else { &mut forwarded } += 1;
        }
        while i.next_sent().is_some() {}
    }
    assert!(forwarded > 1_000 && refused > 1_000, "{forwarded} forwarded, {refused} refused");
    s.pass(Duration::from_secs(400));
    i.pass(Duration::from_secs(400));
    assert_eq!(s.element.forwarding(), 0);
}

#[test]
fn both_cscfs_carry_a_message_and_its_answer() {
    let ((mut s, alice, _), mut i) = (both(), icscf());
    s.sip(CALLER, &request("MESSAGE", BOB, "1", &alice.lines()));
    i.sip(OWN, &s.sent_to(ICSCF));
    i.located(BOB, CxResult::SUCCESS, Some(&config().name), None);
    s.sip(ICSCF, &i.sent_to(OWN));
    let arrived = s.sent_to(CALLED);
    assert_eq!(headers(&arrived, "Via").count(), 5);
    assert_eq!(header(&arrived, "Max-Forwards"), "66");
    assert_eq!(headers(&arrived, "P-Asserted-Identity").count(), 2);
    s.sip(CALLED, &response(&arrived, "200 OK", "b", ""));
    i.sip(OWN, &s.sent_to(ICSCF));
    s.sip(ICSCF, &i.sent_to(OWN));
    let text = s.sent_to(CALLER);
    assert_eq!((status(&text), headers(&text, "Via").count()), (200, 2));
    s.quiet();
    i.quiet();
}

/// TS 24.229 clause 5.3.2.1A, TS 29.228 clause 6.1.4: `orig` in Route, of an application server that calls by itself.
#[test]
fn the_i_cscf_asks_who_serves_the_user_for_whom_a_server_calls() {
    let mut i = icscf();
    let route = "Route: <sip:icscf.example:4060;lr;orig>\r\n";
    let served = format!("{route}P-Served-User: <{}>;sescase=orig;regstate=unreg\r\n", sip("alice"));
    i.sip(OWN, &request("MESSAGE", BOB, "1", &served));
    let asked = i.asked();
    let lir = Lir::decode(&asked).unwrap();
    assert_eq!((lir.impu, lir.originating), (&*sip("alice"), true));
    let envelope = user::envelope(lir.envelope.session_id);
    let result = CxResult::UNREGISTERED_SERVICE;
    i.hss(&asked, false, |w| Lia { envelope, result, server_name: None, capabilities: None }.encode(w));
    let text = i.sent_to("127.0.0.3:6061");
    assert_eq!(line(&text), format!("MESSAGE {BOB} SIP/2.0"));
    assert_eq!(header(&text, "Route"), "<sip:scscf1.example:6061;lr;orig>");
    assert_eq!(header(&text, "P-Served-User"), format!("<{}>;sescase=orig;regstate=unreg", sip("alice")));
    i.sip(OWN, &request("MESSAGE", BOB, "2", route));
    assert_eq!(status(&i.sent_to(OWN)), 403);
    i.quiet();
}
