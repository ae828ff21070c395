//! Application servers on the way of requests (ISC, TS 24.229 clauses 5.4.3.2 and 5.4.3.3): the S-CSCF between scripted
//! P-CSCFs, a scripted I-CSCF, a scripted HSS and scripted application servers.

#[path = "scscf_bench/driver.rs"]
mod driver;
#[expect(dead_code, reason = "challenges are for the tests of the registrar")]
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, header, headers, status};
use imsreg::cx::user_data::{ApplicationServer, Condition, ImsSubscription, InitialFilterCriteria, PublicIdentity};
use imsreg::cx::user_data::{ServiceProfile, Spt, TriggerPoint};
use imsreg::cx::{APPLICATION, CxResult, ReasonCode, RequestEnvelope, Rta, Rtr, Sar, ServerAssignmentType as Assign};
use imsreg::diameter::{Header, Writer};
use imsreg::event::What;
use imsreg::scscf::{Scscf, ScscfConfig};
use imsreg::time::Duration;
use user::{ICSCF, IMPI, Register, scscf};

const CALLER: &str = "127.0.0.11:5060";
const CALLED: &str = "127.0.0.12:5060";
const AS1: &str = "192.0.2.7:5090";
const AS2: &str = "192.0.2.8:5090";

const ORIGINATING: u8 = 0;
const TERMINATING: u8 = 1;

fn config() -> ScscfConfig {
    let hosts = [
        ("pcscf1.example", "127.0.0.11"),
        ("pcscf2.example", "127.0.0.12"),
        ("as1.example", "192.0.2.7"),
        ("as2.example", "192.0.2.8"),
        (&*format!("scscf.{REALM}"), "127.0.0.1"),
    ];
    let hosts = hosts.map(|(name, ip)| (name.into(), ip.parse().unwrap())).into();
    let icscf = Some(ICSCF.parse().unwrap());
    ScscfConfig { hosts, icscf, ..user::config() }
}

fn sip(name: &str) -> String {
    format!("sip:{name}@{REALM}")
}

/// Criteria for requests of this case, of any method but REGISTER.
fn criteria(priority: u32, server: &str, case: u8) -> InitialFilterCriteria {
    let spt = |condition, negated| Spt { negated, groups: vec![0], condition, registration_types: Vec::new() };
    let not_register = spt(Condition::Method("REGISTER".into()), true);
    InitialFilterCriteria {
        priority,
        trigger: Some(TriggerPoint {
            cnf: false,
            conditions: vec![spt(Condition::SessionCase(case), false), not_register],
        }),
        server: ApplicationServer {
            server_name: format!("sip:{server}.example:5090"),
            terminate_on_failure: false,
            service_info: None,
            include_register_request: false,
            include_register_response: false,
        },
        registered_part: None,
    }
}

fn terminating(mut criteria: InitialFilterCriteria) -> InitialFilterCriteria {
    criteria.server.terminate_on_failure = true;
    criteria
}

/// Registers a user with these criteria; returns his Service-Route.
fn register(s: &mut Driver<Scscf>, name: &str, pcscf: &str, filter_criteria: Vec<InitialFilterCriteria>) -> String {
    let register = Register {
        impi: format!("{name}@{REALM}"),
        impu: sip(name),
        call_id: format!("{name}@ue"),
        contacts: vec![format!("<sip:{name}@198.51.100.1:5062>")],
        integrity_protected: Some("auth-done"),
        path: format!("<sip:{name}-token@{pcscf};lr>"),
        ..Register::initial()
    };
    s.register(&register);
    let identities = vec![PublicIdentity::new(sip(name))];
    let profile = ServiceProfile { identities, filter_criteria, ..ServiceProfile::default() };
    let mut xml = Vec::new();
    ImsSubscription { private_id: IMPI.into(), profiles: vec![profile] }.write(&mut xml);
    s.assign(Assign::Registration, CxResult::SUCCESS, Some(std::str::from_utf8(&xml).unwrap()));
    let text = s.sent().text;
    assert_eq!(status(&text), 200, "{text}");
    s.quiet();
    s.events();
    header(&text, "Service-Route").into()
}

/// Alice, with these criteria, sends a message to Bob.
fn from_alice(criteria: Vec<InitialFilterCriteria>) -> Driver<Scscf> {
    let mut s = scscf(config());
    let route = register(&mut s, "alice", "pcscf1.example", criteria);
    let lines = format!(
        "Route: {route}\r\nP-Asserted-Identity: <{}>\r\nP-Served-User: <sip:forged@x>\r\nX-Own: kept\r\n\
         P-Charging-Vector: icid-value=\"icid-7\";orig-ioi=\"visited1\"\r\n",
        sip("alice")
    );
    s.sip(CALLER, &request("MESSAGE", &sip("bob"), &lines, "text/plain", "hi"));
    s
}

/// Bob, with these criteria, is sent a message by somebody elsewhere.
fn to_bob(criteria: Vec<InitialFilterCriteria>) -> Driver<Scscf> {
    let mut s = scscf(config());
    register(&mut s, "bob", "pcscf2.example", criteria);
    s.sip(ICSCF, &request("MESSAGE", &sip("bob"), "Route: <sip:icscf-put@127.0.0.1:6060;lr>\r\n", "text/plain", "hi"));
    s
}

fn request(method: &str, uri: &str, lines: &str, content_type: &str, body: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP hop.example;branch=z9hG4bKone\r\nMax-Forwards: 69\r\n\
         From: <{}>;tag=a\r\nTo: <{uri}>\r\nCall-ID: call@alice\r\nCSeq: 2 {method}\r\n{lines}\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        sip("alice"),
        body.len()
    )
}

/// What an application server sends back: its Via on top, its own Route gone.
fn returned(text: &str, branch: &str) -> String {
    let own = header(text, "Route").to_owned();
    text.replacen(&format!("Route: {own}\r\n"), "", 1).replacen(
        "Via: ",
        &format!("Via: SIP/2.0/TCP as.example:5090;branch=z9hG4bK{branch}\r\nVia: "),
        1,
    )
}

fn response(request: &str, line: &str) -> String {
    let mut text = format!("SIP/2.0 {line}\r\n");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        text.extend(headers(request, name).map(|value| format!("{name}: {value}\r\n")));
    }
    text + &format!("To: {};tag=b\r\nContent-Length: 0\r\n\r\n", header(request, "To"))
}

impl Driver<Scscf> {
    #[track_caller]
    fn sent_to(&mut self, to: &str) -> String {
        let sent = self.sent();
        assert_eq!(sent.to, to.parse().unwrap(), "{}", sent.text);
        sent.text
    }

    /// Servers left out: status, and whether the request goes on.
    fn left_out(&mut self) -> Vec<(u16, bool)> {
        let left_out = |what| match what {
            What::ServiceLeftOut { status, goes_on, .. } => Some((status, goes_on)),
            _ => None,
        };
        self.events().into_iter().filter_map(left_out).collect()
    }
}

#[test]
fn a_request_of_a_user_passes_his_application_servers_in_order_of_priority() {
    let all = vec![
        criteria(9, "as2", ORIGINATING),
        criteria(1, "as1", ORIGINATING),
        // Not of this case.
        criteria(5, "as2", TERMINATING),
    ];
    let mut s = from_alice(all);
    let first = s.sent_to(AS1);
    assert!(first.starts_with(&format!("MESSAGE {} SIP/2.0\r\n", sip("bob"))));
    let routes: Vec<&str> = headers(&first, "Route").collect();
    assert_eq!((routes[0], routes.len()), ("<sip:as1.example:5090;lr>", 2));
    assert!(routes[1].starts_with("<sip:i") && routes[1].ends_with(&format!("@scscf.{REALM}:6060;lr>")), "{routes:?}");
    let served = format!("<{}>;sescase=orig;regstate=reg", sip("alice"));
    assert_eq!(headers(&first, "P-Served-User").collect::<Vec<_>>(), [&*served]);
    assert_eq!(header(&first, "P-Charging-Vector"), "icid-value=\"icid-7\";orig-ioi=\"Type 3home1.net\"");
    assert_eq!((header(&first, "X-Own"), headers(&first, "Record-Route").count()), ("kept", 0));
    s.quiet();

    s.sip(AS1, &returned(&first, "as1"));
    let second = s.sent_to(AS2);
    assert_eq!(headers(&second, "Route").next(), Some("<sip:as2.example:5090;lr>"));
    assert_ne!(headers(&second, "Route").nth(1), Some(routes[1]), "how far the criteria were asked");
    s.sip(AS2, &returned(&second, "as2"));
    let last = s.sent_to(ICSCF);
    for absent in ["Route", "P-Served-User"] {
        assert_eq!(headers(&last, absent).count(), 0, "{absent}");
    }
    assert_eq!((header(&last, "X-Own"), headers(&last, "Via").count()), ("kept", 6));
    // The answer takes the whole way back.
    s.sip(ICSCF, &response(&last, "202 Accepted"));
    let to_second = s.sent_to(AS2);
    assert_eq!((status(&to_second), headers(&to_second, "Via").count()), (202, 5));
    s.sip(AS2, &response(&second, "202 Accepted"));
    s.sip(AS1, &response(&first, "202 Accepted"));
    assert_eq!(status(&s.sent_to(AS1)), 202);
    assert_eq!(status(&s.sent_to(CALLER)), 202);
    s.quiet();
    assert_eq!((s.element.forwarding(), s.left_out()), (0, vec![]));
}

#[test]
fn a_request_for_a_user_passes_his_application_server() {
    let mut s = to_bob(vec![criteria(1, "as1", TERMINATING), criteria(0, "as2", ORIGINATING)]);
    let first = s.sent_to(AS1);
    assert_eq!(header(&first, "P-Served-User"), format!("<{}>;sescase=term;regstate=reg", sip("bob")));
    assert_eq!(headers(&first, "P-Called-Party-ID").count(), 0);
    s.sip(AS1, &returned(&first, "as1"));
    let last = s.sent_to(CALLED);
    assert!(last.starts_with("MESSAGE sip:bob@198.51.100.1:5062 SIP/2.0\r\n"), "{last}");
    assert_eq!(header(&last, "P-Called-Party-ID"), format!("<{}>", sip("bob")));
    assert_eq!(header(&last, "Route"), "<sip:bob-token@pcscf2.example;lr>");
    assert_eq!(headers(&last, "P-Served-User").count(), 0);
    s.quiet();
}

#[test]
fn an_application_server_may_answer_itself_or_call_somebody_else() {
    let mut s = to_bob(vec![terminating(criteria(1, "as1", TERMINATING)), criteria(2, "as2", TERMINATING)]);
    let first = s.sent_to(AS1);
    s.sip(AS1, &response(&first, "486 Busy Here"));
    assert_eq!(status(&s.sent_to(ICSCF)), 486);
    s.quiet();
    assert_eq!(s.left_out(), []);

    // Diverted: Bob's criteria end, and the request leaves.
    let mut s = to_bob(vec![criteria(1, "as1", TERMINATING), criteria(2, "as2", TERMINATING)]);
    let first = s.sent_to(AS1);
    s.sip(AS1, &returned(&first, "as1").replacen(&sip("bob"), &sip("carol"), 1));
    let last = s.sent_to(ICSCF);
    assert!(last.starts_with(&format!("MESSAGE {} SIP/2.0\r\n", sip("carol"))), "{last}");
    s.quiet();
}

#[test]
fn a_server_that_fails_is_left_out_or_ends_the_request_as_its_handling_says() {
    for (line, told) in [("503 Service Unavailable", 503), ("408 Request Timeout", 408), ("500 Oops", 500)] {
        let mut s = from_alice(vec![criteria(1, "as1", ORIGINATING), criteria(2, "as2", ORIGINATING)]);
        let first = s.sent_to(AS1);
        s.sip(AS1, &response(&first, line));
        // The next server is asked, the failed one is not asked again.
        let second = s.sent_to(AS2);
        assert_eq!(s.left_out(), [(told, true)]);
        s.sip(AS2, &returned(&second, "as2"));
        let last = s.sent_to(ICSCF);
        s.sip(ICSCF, &response(&last, "200 OK"));
        assert_eq!(status(&s.sent_to(AS2)), 200);
        s.sip(AS2, &response(&second, "200 OK"));
        assert_eq!(status(&s.sent_to(CALLER)), 200);
        s.quiet();

        let mut s = from_alice(vec![terminating(criteria(1, "as1", ORIGINATING)), criteria(2, "as2", ORIGINATING)]);
        let first = s.sent_to(AS1);
        s.sip(AS1, &response(&first, line));
        // A 503 goes on as 500 (RFC 3261 clause 16.7), and a 408 says nothing to a request other than INVITE (RFC 4320).
        if told == 408 {
            s.quiet();
        } else {
            assert_eq!(status(&s.sent_to(CALLER)), 500);
        }
        assert_eq!(s.left_out(), [(told, false)]);
        s.quiet();
        assert_eq!(s.element.forwarding(), 0);
    }
}

#[test]
fn silence_is_a_failure_after_64_t1() {
    let mut s = from_alice(vec![criteria(1, "as1", ORIGINATING)]);
    s.sent_to(AS1);
    s.pass(Duration::from_millis(31_999));
    s.quiet();
    s.pass(Duration::from_millis(1));
    s.sent_to(ICSCF);
    assert_eq!(s.left_out(), [(408, true)]);
}

#[test]
fn a_server_without_address_is_left_out_or_ends_the_request() {
    let mut s = from_alice(vec![criteria(1, "nowhere", ORIGINATING), criteria(2, "as2", ORIGINATING)]);
    s.sent_to(AS2);
    assert_eq!(s.left_out(), [(0, true)]);
    s.quiet();
    let mut s = from_alice(vec![terminating(criteria(1, "nowhere", ORIGINATING)), criteria(2, "as2", ORIGINATING)]);
    assert_eq!(status(&s.sent_to(CALLER)), 500);
    assert_eq!(s.left_out(), [(0, false)]);
    s.quiet();
    assert_eq!(s.element.forwarding(), 0);
}

#[test]
fn the_session_description_and_the_method_decide_too() {
    let spt = |condition| Spt { negated: false, groups: vec![0], condition, registration_types: Vec::new() };
    let mut video = criteria(1, "as1", ORIGINATING);
    video.trigger.as_mut().unwrap().conditions.extend([
        spt(Condition::Method("INVITE".into())),
        spt(Condition::SessionDescription { line: "m".into(), content: Some("^video ".into()) }),
    ]);
    let audio = "v=0\r\nm=audio 1 RTP/AVP 0\r\n";
    let both = "v=0\r\nm=audio 1 RTP/AVP 0\r\nm=video 2 RTP/AVP 31\r\n";
    for (content_type, body, to) in [
        ("application/sdp", both, AS1),
        ("Application/SDP ;x=y", both, AS1),
        ("application/sdp", audio, ICSCF),
        ("text/plain", both, ICSCF),
    ] {
        let mut s = scscf(config());
        let route = register(&mut s, "alice", "pcscf1.example", vec![video.clone()]);
        let lines = format!("Route: {route}\r\nP-Asserted-Identity: <{}>\r\n", sip("alice"));
        s.sip(CALLER, &request("INVITE", &sip("bob"), &lines, content_type, body));
        s.sent_to(to);
        s.quiet();
    }
}

#[test]
fn within_a_dialog_nobody_is_asked() {
    let mut s = scscf(config());
    register(&mut s, "alice", "pcscf1.example", vec![criteria(1, "as1", ORIGINATING)]);
    let lines = format!("Route: <sip:mo@scscf.{REALM}:6060;lr>, <sip:x@pcscf2.example;lr>\r\n");
    let text = request("BYE", "sip:bob@198.51.100.1", &lines, "text/plain", "");
    let to = "To: <sip:bob@198.51.100.1>";
    s.sip(CALLER, &text.replace(to, &format!("{to};tag=b")));
    s.sent_to(CALLED);
    s.quiet();
}

#[test]
fn a_token_of_nobody_is_refused() {
    let mut s = from_alice(vec![criteria(1, "as1", ORIGINATING)]);
    let first = s.sent_to(AS1);
    let token = headers(&first, "Route").nth(1).unwrap().to_owned();
    for (n, (forged, expected)) in [
        (token.replacen("<sip:i", "<sip:iffff", 1), 403),
        // No token at all: a request for Bob, who is not here.
        (token.replacen(".o.", ".x.", 1), 480),
    ]
    .into_iter()
    .enumerate()
    {
        let text = returned(&first, &format!("f{n}")).replacen(&token, &forged, 1);
        s.sip(AS1, &text.replace("call@alice", &format!("call{n}@alice")));
        if expected == 480 {
            s.assign(Assign::UnregisteredUser, CxResult::USER_UNKNOWN, None);
        }
        assert_eq!(status(&s.sent_to(AS1)), expected, "{forged}");
    }
    s.quiet();
}

const TERMINATING_UNREGISTERED: u8 = 2;
const ORIGINATING_UNREGISTERED: u8 = 3;
const ORIGINATING_CDIV: u8 = 4;

/// User data of a user with these criteria.
fn profile_of(name: &str, filter_criteria: Vec<InitialFilterCriteria>) -> String {
    let profile =
        ServiceProfile { identities: vec![PublicIdentity::new(sip(name))], filter_criteria, ..Default::default() };
    let mut xml = Vec::new();
    ImsSubscription { private_id: format!("{name}@{REALM}"), profiles: vec![profile] }.write(&mut xml);
    String::from_utf8(xml).unwrap()
}

/// The S-CSCF asks for the profile of a user who is not registered, and gets one with these criteria.
fn give_profile(s: &mut Driver<Scscf>, name: &str, criteria: Vec<InitialFilterCriteria>) {
    let sar = s.asked();
    let asked = Sar::decode(&sar).unwrap();
    assert_eq!((asked.assignment, asked.impi, &*asked.impus), (Assign::UnregisteredUser, None, &[&*sip(name)][..]));
    s.answer_sar(&sar, CxResult::SUCCESS, Some(&profile_of(name, criteria)));
}

/// TS 24.229 clause 5.4.3.3, TS 29.228 clause 6.1.2: Bob, who is not registered, is sent a message.
fn to_absent_bob(criteria: Vec<InitialFilterCriteria>) -> Driver<Scscf> {
    let mut s = scscf(config());
    s.sip(ICSCF, &request("MESSAGE", &sip("bob"), "Route: <sip:icscf-put@127.0.0.1:6060;lr>\r\n", "text/plain", "hi"));
    give_profile(&mut s, "bob", criteria);
    s
}

fn numbered(text: &str, n: u32) -> String {
    text.replace("call@alice", &format!("call{n}@alice")).replace("z9hG4bKone", &format!("z9hG4bKn{n}"))
}

#[test]
fn a_user_who_is_not_registered_has_his_application_servers_all_the_same() {
    let mut s = to_absent_bob(vec![
        criteria(1, "as2", TERMINATING),
        criteria(2, "as1", TERMINATING_UNREGISTERED),
        InitialFilterCriteria { registered_part: Some(true), ..criteria(0, "as2", TERMINATING_UNREGISTERED) },
    ]);
    let first = s.sent_to(AS1);
    assert_eq!(header(&first, "P-Served-User"), format!("<{}>;sescase=term;regstate=unreg", sip("bob")));
    assert_eq!(headers(&first, "Route").next(), Some("<sip:as1.example:5090;lr>"));
    // The server answers for him, a voice mail perhaps.
    s.sip(AS1, &response(&first, "200 OK"));
    assert_eq!(status(&s.sent_to(ICSCF)), 200);
    // 200 s later he is called again: his profile is here still.
    s.pass(Duration::from_secs(200));
    s.quiet();
    let again = request("MESSAGE", &sip("bob"), "", "text/plain", "hi");
    s.sip(ICSCF, &numbered(&again, 2));
    let second = s.sent_to(AS1);
    // The server sends it back as it was: nobody is there to take it.
    s.sip(AS1, &returned(&second, "as1"));
    assert_eq!(status(&s.sent_to(AS1)), 480);
    s.sip(AS1, &response(&second, "480 Temporarily Unavailable"));
    assert_eq!(status(&s.sent_to(ICSCF)), 480);
    // 300 s after he was last asked for the HSS has him back.
    s.pass(Duration::from_secs(299));
    s.quiet();
    s.pass(Duration::from_secs(1));
    s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
    s.quiet();
    assert_eq!((s.element.registrations(), s.element.forwarding()), (0, 0));
}

#[test]
fn without_services_a_user_who_is_not_registered_is_not_reached() {
    // Criteria for others than him, none at all, nobody of this name.
    for (result, criteria) in [
        (CxResult::SUCCESS, vec![InitialFilterCriteria { registered_part: Some(true), ..criteria(1, "as1", 2) }]),
        (CxResult::SUCCESS, vec![]),
        (CxResult::USER_UNKNOWN, vec![]),
    ] {
        let mut s = scscf(config());
        s.sip(ICSCF, &request("MESSAGE", &sip("bob"), "", "text/plain", "hi"));
        let sar = s.asked();
        let xml = (result == CxResult::SUCCESS).then(|| profile_of("bob", criteria));
        s.answer_sar(&sar, result, xml.as_deref());
        assert_eq!(status(&s.sent_to(ICSCF)), 480);
        if result == CxResult::SUCCESS {
            s.assign(Assign::TimeoutDeregistration, CxResult::SUCCESS, None);
        }
        s.quiet();
        s.pass(Duration::from_secs(1_000));
        s.quiet();
    }
    // Criteria that this request does not meet.
    let mut s = to_absent_bob(vec![criteria(1, "as1", ORIGINATING_UNREGISTERED)]);
    assert_eq!(status(&s.sent_to(ICSCF)), 480);
    // The HSS is silent.
    let mut s = scscf(config());
    s.sip(ICSCF, &request("MESSAGE", &sip("bob"), "", "text/plain", "hi"));
    s.asked();
    s.pass(Duration::from_secs(20));
    assert_eq!(status(&s.sent_to(ICSCF)), 480);
}

/// TS 24.229 clause 5.7.3: an application server calls by itself, for Alice.
#[test]
fn an_application_server_calls_for_a_user_who_is_not_registered() {
    let by_server = |n: u32, lines: &str| {
        let lines = format!("Route: <sip:scscf.{REALM}:6060;lr;orig>\r\n{lines}");
        numbered(&request("MESSAGE", &sip("bob"), &lines, "text/plain", "hi"), n)
    };
    let served = format!("P-Served-User: <{}>;sescase=orig;regstate=unreg\r\n", sip("alice"));
    let mut s = scscf(config());
    s.sip(AS2, &by_server(1, &served));
    give_profile(&mut s, "alice", vec![criteria(1, "as1", ORIGINATING_UNREGISTERED), criteria(2, "as2", ORIGINATING)]);
    let first = s.sent_to(AS1);
    assert_eq!(header(&first, "P-Served-User"), format!("<{}>;sescase=orig;regstate=unreg", sip("alice")));
    s.sip(AS1, &returned(&first, "as1"));
    let last = s.sent_to(ICSCF);
    assert!(last.starts_with(&format!("MESSAGE {} SIP/2.0\r\n", sip("bob"))), "{last}");
    assert_eq!((headers(&last, "P-Served-User").count(), headers(&last, "Route").count()), (0, 0));
    // By P-Asserted-Identity, where there is no P-Served-User.
    s.sip(AS2, &by_server(2, &format!("P-Asserted-Identity: <{}>\r\n", sip("alice"))));
    s.sent_to(AS1);
    // For nobody.
    s.sip(AS2, &by_server(3, ""));
    assert_eq!(status(&s.sent_to(AS2)), 403);
    s.quiet();

    // Of a user who is registered the other criteria are asked.
    let mut s = scscf(config());
    register(&mut s, "alice", "pcscf1.example", vec![criteria(1, "as1", ORIGINATING)]);
    s.sip(AS2, &by_server(4, &served));
    let first = s.sent_to(AS1);
    assert_eq!(header(&first, "P-Served-User"), format!("<{}>;sescase=orig;regstate=reg", sip("alice")));
}

/// RFC 8498: the criteria of who diverts are asked for the diverted request, and then it leaves.
#[test]
fn a_diverted_request_passes_the_servers_for_diverted_ones() {
    for absent in [false, true] {
        let case = if absent { TERMINATING_UNREGISTERED } else { TERMINATING };
        let all = vec![criteria(5, "as1", case), criteria(9, "as2", case), criteria(1, "as2", ORIGINATING_CDIV)];
        let mut s = if absent { to_absent_bob(all) } else { to_bob(all) };
        let first = s.sent_to(AS1);
        s.sip(AS1, &returned(&first, "as1").replacen(&sip("bob"), &sip("carol"), 1));
        let second = s.sent_to(AS2);
        assert!(second.starts_with(&format!("MESSAGE {} SIP/2.0\r\n", sip("carol"))), "{second}");
        let state = if absent { "unreg" } else { "reg" };
        assert_eq!(header(&second, "P-Served-User"), format!("<{}>;orig-cdiv;regstate={state}", sip("bob")));
        s.sip(AS2, &returned(&second, "as2"));
        let last = s.sent_to(ICSCF);
        assert!(last.starts_with(&format!("MESSAGE {} SIP/2.0\r\n", sip("carol"))), "{last}");
        assert_eq!(headers(&last, "P-Served-User").count(), 0);
        s.quiet();
    }
}

#[test]
fn what_is_kept_for_a_user_who_is_not_registered_ends() {
    let kept = || {
        let mut s = to_absent_bob(vec![criteria(1, "as1", TERMINATING_UNREGISTERED)]);
        let first = s.sent_to(AS1);
        (s, first)
    };
    // He registers: nothing is told to the HSS, and his criteria are others now.
    let (mut s, _) = kept();
    register(&mut s, "bob", "pcscf2.example", vec![criteria(1, "as1", TERMINATING_UNREGISTERED)]);
    let again = numbered(&request("MESSAGE", &sip("bob"), "", "text/plain", "hi"), 2);
    s.sip(ICSCF, &again);
    s.sent_to(CALLED);
    s.pass(Duration::from_secs(400));
    assert!(s.next_sent().is_none_or(|sent| sent.to != AS1.parse().unwrap()));

    // The HSS ends it (TS 29.228 clause 6.1.3): the next request asks again.
    let (mut s, first) = kept();
    let impi = format!("bob@{REALM}");
    let envelope = RequestEnvelope {
        session_id: "hss;1;1",
        origin_host: "hss.example",
        origin_realm: REALM,
        destination_host: None,
        destination_realm: REALM,
    };
    let rtr = Rtr {
        envelope,
        impi: &impi,
        impus: Vec::new(),
        reason: ReasonCode::RemoveScscf,
        reason_info: None,
        associated_identities: Vec::new(),
    };
    let header = Header {
        request: true,
        proxiable: true,
        error: false,
        retransmitted: false,
        command: Rtr::COMMAND,
        application: APPLICATION,
        hop_by_hop: 9,
        end_to_end: 9,
    };
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes, &header);
    rtr.encode(&mut w);
    w.finish();
    s.diameter(&bytes);
    assert_eq!(Rta::decode(&s.asked()).unwrap().result, CxResult::SUCCESS);
    s.sip(AS1, &returned(&first, "as1"));
    assert_eq!(status(&s.sent_to(AS1)), 403, "its token is of nobody any more");
    s.sip(ICSCF, &again);
    give_profile(&mut s, "bob", Vec::new());
}

/// TS 29.228 annex B.2.1: the criteria of a SharedIFCSetID are those that the S-CSCF was given.
#[test]
fn the_criteria_of_a_shared_set_are_asked_with_the_own_ones() {
    let sets = [(7, vec![criteria(1, "as1", ORIGINATING)]), (8, vec![criteria(9, "nowhere", ORIGINATING)])];
    let mut s = scscf(ScscfConfig { shared_ifc_sets: sets.into(), ..config() });
    let register = Register {
        impi: format!("alice@{REALM}"),
        impu: sip("alice"),
        contacts: vec!["<sip:alice@198.51.100.1:5062>".into()],
        integrity_protected: Some("auth-done"),
        path: "<sip:alice-token@pcscf1.example;lr>".into(),
        ..Register::initial()
    };
    s.register(&register);
    let sar = s.asked();
    assert!(Sar::decode(&sar).unwrap().supports_shared_ifc);
    let profile = ServiceProfile {
        identities: vec![PublicIdentity::new(sip("alice"))],
        filter_criteria: vec![criteria(2, "as2", ORIGINATING)],
        shared_ifc_sets: vec![7, 99],
        ..ServiceProfile::default()
    };
    let mut xml = Vec::new();
    ImsSubscription { private_id: IMPI.into(), profiles: vec![profile] }.write(&mut xml);
    s.answer_sar(&sar, CxResult::SUCCESS, Some(std::str::from_utf8(&xml).unwrap()));
    let text = s.sent().text;
    assert_eq!(status(&text), 200, "{text}");
    let faults = s.events().into_iter().filter_map(|what| match what {
        What::FilterFault { cause } => Some(cause),
        _ => None,
    });
    assert_eq!(faults.collect::<Vec<_>>(), ["shared iFC set 99 is not known to this S-CSCF"]);

    let route = header(&text, "Service-Route");
    let lines = format!("Route: {route}\r\nP-Asserted-Identity: <{}>\r\n", sip("alice"));
    s.sip(CALLER, &request("MESSAGE", &sip("bob"), &lines, "text/plain", "hi"));
    let first = s.sent_to(AS1);
    s.sip(AS1, &returned(&first, "as1"));
    let second = s.sent_to(AS2);
    s.sip(AS2, &returned(&second, "as2"));
    s.sent_to(ICSCF);
    s.quiet();
}
