//! The I-CSCF between a scripted P-CSCF, a scripted HSS and scripted S-CSCFs (TS 24.229 clause 5.3.1).

#[path = "scscf_bench/driver.rs"]
mod driver;

use driver::{Driver, REALM, header, headers, node, status};
use imsreg::cx::{Capabilities, CxResult, Envelope, Uaa, Uar, UserAuthorizationType as Type};
use imsreg::event::What;
use imsreg::icscf::{Icscf, IcscfConfig, ScscfEntry};
use imsreg::packet::Transport;
use imsreg::random::Random;
use imsreg::sip::overload::Limits;
use imsreg::sip::transaction::Timers;
use imsreg::time::Duration;

const OWN: &str = "127.0.0.1:4060";
const PCSCF: &str = "127.0.0.1:5060";
const FIRST: &str = "sip:scscf1.example:6060";
const SECOND: &str = "sip:scscf2.example:6061";

fn config() -> IcscfConfig {
    let entry = |name: &str, capabilities: &[u32]| ScscfEntry { name: name.into(), capabilities: capabilities.into() };
    IcscfConfig {
        listen: vec![OWN.parse().unwrap()],
        host: "icscf.example".into(),
        transport: Transport::Tcp,
        timers: Timers::CORE,
        diameter: node("icscf.example"),
        realm: REALM.into(),
        limits: Limits::default(),
        scscfs: vec![entry(FIRST, &[1]), entry(SECOND, &[1, 2])],
        hosts: [("scscf1.example", "127.0.0.3"), ("scscf2.example", "127.0.0.4"), ("pcscf.example", "192.0.2.5")]
            .map(|(name, ip)| (name.into(), ip.parse().unwrap()))
            .into(),
        trusted: Vec::new(),
    }
}

fn icscf() -> Driver<Icscf> {
    Driver::new(Icscf::new(config(), Random::seeded(3)), OWN)
}

/// A REGISTER from the P-CSCF with these further lines.
fn register(n: u32, lines: &str, authorization: &str) -> String {
    format!(
        "REGISTER sip:{REALM} SIP/2.0\r\n\
         Via: SIP/2.0/TCP 127.0.0.1:5060;branch=z9hG4bKp{n}\r\n\
         Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKu{n};rport=5060;received=192.0.2.1\r\n\
         Route: <sip:icscf.example:4060;lr>\r\nMax-Forwards: 69\r\n\
         From: <sip:001010000000001@{REALM}>;tag=ue\r\nTo: \"UE\" <sip:001010000000001@{REALM};x=y>\r\n\
         Call-ID: call-1@ue\r\nCSeq: {n} REGISTER\r\nPath: <sip:token@pcscf.example;lr>\r\nRequire: path\r\n\
         P-Visited-Network-ID: \"visited.example\"\r\n{lines}\
         Authorization: Digest username=\"001010000000001@{REALM}\",realm=\"{REALM}\",uri=\"sip:{REALM}\",{authorization}\r\n\
         X-Unknown: kept\r\nContent-Length: 0\r\n\r\n"
    )
}

fn first() -> String {
    register(1, CONTACT, "nonce=\"\",response=\"\",integrity-protected=\"no\"")
}

const CONTACT: &str = "Contact: <sip:001010000000001@192.0.2.1:5060>\r\nExpires: 600000\r\n";

impl Driver<Icscf> {
    fn uaa(&mut self, expected: Type, result: CxResult, name: Option<&str>, capabilities: Option<Capabilities<'_>>) {
        let request = self.asked();
        let uar = Uar::decode(&request).unwrap();
        assert_eq!(uar.authorization_type, expected);
        let envelope =
            Envelope { session_id: uar.envelope.session_id, origin_host: "hss.example", origin_realm: REALM };
        let uaa = Uaa { envelope, result, server_name: name, capabilities };
        self.hss(&request, false, |w| uaa.encode(w));
    }

    /// The S-CSCF answers `request`.
    fn scscf(&mut self, from: &str, request: &str, line: &str, more: &str) {
        let copied: String = request
            .split("\r\n")
            .filter(|l| ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].iter().any(|name| l.starts_with(name)))
            .map(|l| format!("{l}\r\n"))
            .collect();
        self.sip(from, &format!("SIP/2.0 {line}\r\n{copied}{more}Content-Length: 0\r\n\r\n"));
    }

    fn answered(&mut self) -> u16 {
        status(&self.sent().text)
    }
}

fn capabilities(mandatory: &[u32], names: &[&'static str]) -> Option<Capabilities<'static>> {
    Some(Capabilities { mandatory: mandatory.into(), optional: Vec::new(), server_names: names.into() })
}

/// RFC 3261 clauses 10.3 step 1 and 21.4.5: nothing is bound in, or sent to, another domain.
#[test]
fn a_register_for_another_domain_is_404() {
    let to = |target: &str| first().replacen(&format!("REGISTER sip:{REALM}"), &format!("REGISTER {target}"), 1);
    let beside = format!("sip:x{REALM}");
    for target in [&*beside, "sip:other.example", "sip:user@other.example:5060;transport=udp", "sips:other.example"] {
        let mut i = icscf();
        i.sip(PCSCF, &to(target));
        assert_eq!(i.answered(), 404, "{target}");
        i.quiet();
    }
    let upper = format!("sip:{}", REALM.to_uppercase());
    let below = format!("sip:registrar.{REALM}");
    for target in
        [&*upper, &*below, "sip:icscf.example", "sip:pcscf.example:5060", "sip:192.0.2.9:5060", "sip:[2001:db8::1]"]
    {
        let mut i = icscf();
        i.sip(PCSCF, &to(target));
        assert_eq!(Uar::decode(&i.asked()).unwrap().authorization_type, Type::Registration, "{target}");
    }
    // A user of a second domain: the HSS knows it or not.
    let mut i = icscf();
    i.sip(PCSCF, &first().replace(REALM, "second.example"));
    i.uaa(Type::Registration, CxResult::USER_UNKNOWN, None, None);
    assert_eq!(i.answered(), 403);
}

#[test]
fn a_register_is_forwarded_and_its_answer_comes_back() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    let request = i.asked();
    let uar = Uar::decode(&request).unwrap();
    assert_eq!((uar.impi, uar.impu), (&*format!("001010000000001@{REALM}"), &*format!("sip:001010000000001@{REALM}")));
    assert_eq!((uar.visited_network, uar.emergency), (&b"visited.example"[..], false));
    assert_eq!(uar.envelope.destination_host, None);
    let envelope = Envelope { session_id: uar.envelope.session_id, origin_host: "hss.example", origin_realm: REALM };
    let uaa = Uaa {
        envelope,
        result: CxResult::FIRST_REGISTRATION,
        server_name: None,
        capabilities: capabilities(&[2], &[]),
    };
    i.hss(&request, false, |w| uaa.encode(w));

    let sent = i.sent();
    assert_eq!(sent.to, "127.0.0.4:6061".parse().unwrap());
    let text = sent.text;
    assert!(
        text.starts_with(&format!("REGISTER {SECOND} SIP/2.0\r\nVia: SIP/2.0/TCP icscf.example:4060;branch=z9hG4bK")),
        "{text}"
    );
    assert_eq!((headers(&text, "Via").count(), headers(&text, "Route").count()), (3, 0));
    assert_eq!((header(&text, "Max-Forwards"), header(&text, "X-Unknown")), ("68", "kept"));
    i.quiet();

    i.scscf("127.0.0.4:6061", &text, "401 Unauthorized", "WWW-Authenticate: Digest realm=\"r\",ck=\"00\"\r\n");
    let sent = i.sent();
    assert_eq!(sent.to, PCSCF.parse().unwrap());
    assert_eq!(status(&sent.text), 401);
    let vias: Vec<&str> = headers(&sent.text, "Via").collect();
    assert_eq!((vias.len(), &vias[0][..26]), (2, "SIP/2.0/TCP 127.0.0.1:5060"));
    assert_eq!(header(&sent.text, "WWW-Authenticate"), "Digest realm=\"r\",ck=\"00\"");
}

#[test]
fn via_elements_on_one_line_lose_ours_only() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
    let text = i.sent().text;
    let vias = headers(&text, "Via").collect::<Vec<_>>().join(", ");
    let others: String = text
        .split("\r\n")
        .filter(|l| ["From", "To: ", "Call", "CSeq"].iter().any(|n| l.starts_with(n)))
        .map(|l| format!("{l}\r\n"))
        .collect();
    i.sip("127.0.0.3:6060", &format!("SIP/2.0 200 OK\r\nVia: {vias}\r\n{others}Content-Length: 0\r\n\r\n"));
    let text = i.sent().text;
    assert_eq!(headers(&text, "Via").collect::<Vec<_>>(), [vias.split_once(", ").unwrap().1]);
}

#[test]
fn the_type_of_uar_follows_the_expiry_and_sos_is_flagged() {
    let contact = "Contact: <sip:a@192.0.2.1>";
    for (lines, expected, emergency) in [
        (format!("{contact}\r\nExpires: 0\r\n"), Type::DeRegistration, false),
        (format!("{contact};expires=0\r\nExpires: 600\r\n"), Type::DeRegistration, false),
        (format!("{contact};expires=60\r\nExpires: 0\r\n"), Type::Registration, false),
        ("Contact: *\r\nExpires: 0\r\n".to_owned(), Type::DeRegistration, false),
        (String::new(), Type::Registration, false),
        ("Contact: <sip:a@192.0.2.1;sos>\r\n".to_owned(), Type::Registration, true),
    ] {
        let mut i = icscf();
        i.sip(PCSCF, &register(1, &lines, "nonce=\"\""));
        let request = i.asked();
        let uar = Uar::decode(&request).unwrap();
        assert_eq!((uar.authorization_type, uar.emergency), (expected, emergency), "{lines}");
    }
}

#[test]
fn without_authorization_the_identity_comes_from_to() {
    let mut i = icscf();
    let text = first().replace("Authorization: Digest", "X-Not: Digest").replace(";x=y>", ":5070;x=y>");
    i.sip(PCSCF, &text);
    let request = i.asked();
    assert_eq!(Uar::decode(&request).unwrap().impi, format!("001010000000001@{REALM}"));
}

#[test]
fn what_the_hss_says_decides_the_status() {
    for (result, expected) in [
        (CxResult::USER_UNKNOWN, 403),
        (CxResult::IDENTITIES_DONT_MATCH, 403),
        (CxResult::ROAMING_NOT_ALLOWED, 403),
        (CxResult::AUTHORIZATION_REJECTED, 403),
        (CxResult::Base(3002), 480),
        (CxResult::Base(3004), 480),
        (CxResult::UNABLE_TO_COMPLY, 480),
        (CxResult::IDENTITY_NOT_REGISTERED, 480),
    ] {
        let mut i = icscf();
        i.sip(PCSCF, &first());
        i.uaa(Type::Registration, result, None, None);
        assert_eq!(i.answered(), expected, "{result}");
        i.quiet();
    }
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.asked();
    i.pass(Duration::from_secs(6));
    assert_eq!(i.answered(), 480, "no answer at all");
}

#[test]
fn no_s_cscf_with_the_capabilities_is_600() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::FIRST_REGISTRATION, None, capabilities(&[1, 9], &[]));
    assert_eq!(i.answered(), 600);
    let clause = "TS 24.229 clause 5.3.1.2";
    let cause = "no S-CSCF has the capabilities that the HSS asks for".to_owned();
    assert!(i.events().contains(&What::Refused { status: 600, cause, clause }));
}

#[test]
fn neither_name_nor_capabilities_means_any_s_cscf() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUCCESS, None, None);
    assert_eq!(i.sent().to, "127.0.0.3:6060".parse().unwrap());
}

#[test]
fn another_s_cscf_is_tried_after_480_3xx_and_408() {
    for line in ["480 Temporarily Unavailable", "302 Moved Temporarily", "408 Request Timeout"] {
        let mut i = icscf();
        i.sip(PCSCF, &first());
        i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
        let text = i.sent().text;
        i.scscf("127.0.0.3:6060", &text, line, "");
        i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, capabilities(&[1], &[]));
        let sent = i.sent();
        assert_eq!(sent.to, "127.0.0.4:6061".parse().unwrap(), "{line}");
        i.scscf("127.0.0.4:6061", &sent.text, "200 OK", "");
        assert_eq!(i.answered(), 200);
        i.quiet();
    }
}

#[test]
fn the_operators_list_is_tried_in_order() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    let list = || capabilities(&[], &[SECOND, FIRST]);
    i.uaa(Type::Registration, CxResult::FIRST_REGISTRATION, None, list());
    let sent = i.sent();
    assert_eq!(sent.to, "127.0.0.4:6061".parse().unwrap());
    i.scscf("127.0.0.4:6061", &sent.text, "480 Temporarily Unavailable", "");
    i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, list());
    assert_eq!(i.sent().to, "127.0.0.3:6060".parse().unwrap());
}

#[test]
fn when_no_other_is_left_the_last_word_is_relayed() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::FIRST_REGISTRATION, None, capabilities(&[2], &[]));
    let text = i.sent().text;
    i.scscf("127.0.0.4:6061", &text, "480 Temporarily Unavailable", "X-Reason: why\r\n");
    i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, capabilities(&[2], &[]));
    let text = i.sent().text;
    assert_eq!((status(&text), header(&text, "X-Reason")), (480, "why"));
}

#[test]
fn a_second_choice_that_the_hss_refuses_is_403() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
    let text = i.sent().text;
    i.scscf("127.0.0.3:6060", &text, "480 Temporarily Unavailable", "");
    i.uaa(Type::RegistrationAndCapabilities, CxResult::UNABLE_TO_COMPLY, None, None);
    assert_eq!(i.answered(), 403);
}

#[test]
fn a_protected_register_has_no_second_choice() {
    let protected = register(2, CONTACT, "nonce=\"n\",response=\"r\",integrity-protected=\"yes\"");
    let mut i = icscf();
    i.sip(PCSCF, &protected);
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
    let text = i.sent().text;
    i.scscf("127.0.0.3:6060", &text, "480 Temporarily Unavailable", "");
    assert_eq!(i.answered(), 480);
    i.quiet();
    let mut i = icscf();
    i.sip(PCSCF, &protected);
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
    i.sent();
    i.pass(Duration::from_secs(40));
    assert_eq!(i.answered(), 504);
    i.quiet();
}

#[test]
fn a_name_that_leads_nowhere_is_silence() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some("sip:nowhere.example"), None);
    i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, None);
    let sent = i.sent();
    assert_eq!(sent.to, "127.0.0.3:6060".parse().unwrap());
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some("sip:127.0.0.9:7000;transport=udp"), None);
    assert_eq!(i.sent().to, "127.0.0.9:7000".parse().unwrap());
}

#[test]
fn who_may_send_what() {
    let mut i = icscf();
    i.sip("192.0.2.77:5060", &first());
    assert_eq!(i.answered(), 403);
    i.sip("192.0.2.5:5060", &first().replace("z9hG4bKp1", "z9hG4bKp2"));
    i.asked();
    let of = |method: &str, n: u32| {
        first()
            .replace("REGISTER", method)
            .replace("call-1", &format!("call-{n}"))
            .replace("z9hG4bKp1", &format!("z9hG4bKm{n}"))
    };
    for (n, (method, expected)) in (2..).zip([("OPTIONS", 200), ("INVITE", 501), ("SUBSCRIBE", 501), ("CANCEL", 481)]) {
        i.sip(PCSCF, &of(method, n));
        assert_eq!(i.answered(), expected, "{method}");
    }
    i.sip(PCSCF, &of("REGISTER", 20).replace("Max-Forwards: 69", "Max-Forwards: 0"));
    assert_eq!(i.answered(), 483);
    i.sip(PCSCF, &of("REGISTER", 21).replace("X-Unknown: kept", "Proxy-Require: sec-agree, foo"));
    let text = i.sent().text;
    assert_eq!((status(&text), header(&text, "Unsupported")), (420, "foo"));
    i.sip(PCSCF, &of("REGISTER", 22).replace("CSeq: 1 REGISTER", "CSeq: x REGISTER"));
    assert_eq!(i.answered(), 400);
    // A ping and its pong (RFC 5626 clause 3.5.1).
    i.sip(PCSCF, "\r\n\r\n");
    assert_eq!(i.sent().text, "\r\n");
    i.quiet();
}

#[test]
fn lesson_62_another_s_cscf_is_found_before_the_p_cscf_gives_up() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
    i.sent();
    i.pass(Duration::from_secs(8));
    // Type 2 of UAR, and capabilities in the answer: neither name nor list is enough to find nobody.
    i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, capabilities(&[1], &[]));
    assert_eq!(i.sent().to, "127.0.0.4:6061".parse().unwrap());
    i.pass(Duration::from_secs(8));
    i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, capabilities(&[1], &[]));
    assert_eq!(i.answered(), 504);
}

/// product.md, overload: what has waited 8 s is dropped, whomever the HSS has kept waiting.
#[test]
fn the_waits_of_a_register_for_the_hss_add_up() {
    for (uaa_after, patience) in [(0, 8_000), (3_000, 5_000), (4_900, 3_100)] {
        let mut i = icscf();
        i.sip(PCSCF, &first());
        i.pass(Duration::from_millis(uaa_after));
        i.uaa(Type::Registration, CxResult::FIRST_REGISTRATION, Some(FIRST), None);
        let sent = i.sent();
        assert!(sent.text.starts_with("REGISTER "));
        // The S-CSCF waits for the HSS in its turn.
        i.pass(Duration::from_millis(patience - 100));
        i.quiet();
        i.pass(Duration::from_millis(100));
        if uaa_after == 0 {
            // The S-CSCF is what is slow: another one may take over.
            i.uaa(Type::RegistrationAndCapabilities, CxResult::SUCCESS, None, capabilities(&[1], &[]));
            assert_eq!(i.sent().to, "127.0.0.4:6061".parse().unwrap());
        } else {
            assert_eq!(status(&i.sent().text), 504);
        }
        i.quiet();
        // The late answer finds nobody.
        i.scscf("127.0.0.3:6060", &sent.text, "SIP/2.0 200 OK", "");
        assert!(i.next_sent().is_none_or(|sent| !sent.text.starts_with("SIP/2.0 200")));
    }
}

#[test]
fn lesson_90_a_lone_503_goes_on_as_500() {
    let mut i = icscf();
    i.sip(PCSCF, &first());
    i.uaa(Type::Registration, CxResult::SUBSEQUENT_REGISTRATION, Some(FIRST), None);
    let text = i.sent().text;
    i.scscf("127.0.0.3:6060", &text, "503 Service Unavailable", "Retry-After: 10\r\n");
    let text = i.sent().text;
    assert_eq!((status(&text), header(&text, "Retry-After")), (500, "10"));
}
