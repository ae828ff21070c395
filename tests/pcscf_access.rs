//! UEs without security agreement at the P-CSCF: the IP association of SIP digest (TS 24.229 clause 5.2.2.2) and what the
//! access network tells (clause 5.2.2.4).

mod pcscf_rig;

use imsreg::packet::Transport;
use imsreg::pcscf::{PcscfConfig, SecAgreePolicy};
use imsreg::sip::HeaderName;
use imsreg::sip::header::digest::Digest;
use pcscf_rig::{PCSCF, REALM, Rig, Sent, address, config, response};

const HOME: &str = "192.0.2.7:5060";
const CAFE: &str = "192.0.2.8:5060";

fn rig() -> Rig {
    Rig::new(PcscfConfig { sec_agree: SecAgreePolicy::Offered, many_ues_per_address: true, ..config() })
}

/// A REGISTER of `user`; `response`: what answers a challenge. Returns `integrity-protected` as the core sees it.
fn register(rig: &mut Rig, at: u64, from: &str, user: &str, expires: u32, more: &str) -> Option<String> {
    let text = format!(
        "REGISTER sip:{REALM} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{at};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@{REALM}>;tag=u\r\nTo: <sip:{user}@{REALM}>\r\nCall-ID: {user}\r\nCSeq: {at} REGISTER\r\n\
         Contact: <sip:{user}@{from}>\r\nExpires: {expires}\r\nAuthorization: Digest username=\"{user}\",realm=\"{REALM}\",\
         uri=\"sip:{REALM}\"{more}\r\nContent-Length: 0\r\n\r\n"
    );
    rig.ue_sends(at, Transport::Udp, address(from), address(PCSCF), &text);
    let credentials = rig.to_core.last().expect("it goes on").header(HeaderName::Authorization).unwrap();
    let credentials = Digest::parse(HeaderName::Authorization, &credentials).unwrap().unwrap();
    credentials.integrity_protected.map(str::to_owned)
}

const ANSWER: &str = ",nonce=\"n\",response=\"0123456789abcdef0123456789abcdef\"";
const EMPTY: &str = ",nonce=\"\",response=\"\"";

/// The core answers what it got last.
fn answer(rig: &mut Rig, at: u64, status: &str, lines: &str) -> Sent {
    let request = rig.forwarded();
    rig.core_sends(at, &response(&request, status, lines));
    rig.answer()
}

fn accept(rig: &mut Rig, at: u64, user: &str, from: &str, expires: u32) {
    let lines =
        format!("Contact: <sip:{user}@{from}>;expires={expires}\r\nService-Route: <sip:o@scscf.{REALM};lr>\r\n");
    assert_eq!(answer(rig, at, "200 OK", &lines).status(), 200);
}

#[test]
fn an_address_becomes_known_by_the_200_and_unknown_with_the_registration() {
    let mut rig = rig();
    assert_eq!(register(&mut rig, 10, HOME, "bob", 3_600, EMPTY), None);
    answer(&mut rig, 20, "401 Unauthorized", "WWW-Authenticate: Digest realm=\"x\",nonce=\"n\"\r\n");
    assert_eq!(register(&mut rig, 30, HOME, "bob", 3_600, ANSWER).as_deref(), Some("ip-assoc-pending"));
    accept(&mut rig, 40, "bob", HOME, 3_600);
    for (at, more) in [(50, EMPTY), (60, ANSWER)] {
        assert_eq!(register(&mut rig, at, HOME, "bob", 3_600, more).as_deref(), Some("ip-assoc-yes"));
        accept(&mut rig, at + 5, "bob", HOME, 3_600);
    }
    assert_eq!(register(&mut rig, 70, HOME, "bob", 0, ANSWER).as_deref(), Some("ip-assoc-yes"));
    assert_eq!(answer(&mut rig, 75, "200 OK", "").status(), 200);
    assert_eq!(register(&mut rig, 80, HOME, "bob", 3_600, ANSWER).as_deref(), Some("ip-assoc-pending"));
}

#[test]
fn the_association_is_of_one_user_at_one_address_and_port() {
    let mut rig = rig();
    register(&mut rig, 10, HOME, "bob", 3_600, ANSWER);
    accept(&mut rig, 20, "bob", HOME, 3_600);
    for (at, from, user) in [(30, HOME, "eve"), (40, CAFE, "bob"), (50, "192.0.2.7:5062", "bob")] {
        assert_eq!(register(&mut rig, at, from, user, 3_600, ANSWER).as_deref(), Some("ip-assoc-pending"), "{from}");
        assert_eq!(answer(&mut rig, at + 5, "403 Forbidden", "").status(), 403);
    }
    // Whoever registers there next takes the place.
    register(&mut rig, 60, HOME, "eve", 3_600, ANSWER);
    accept(&mut rig, 65, "eve", HOME, 3_600);
    assert_eq!(register(&mut rig, 70, HOME, "bob", 3_600, ANSWER).as_deref(), Some("ip-assoc-pending"));
    answer(&mut rig, 75, "403 Forbidden", "");
    assert_eq!(register(&mut rig, 80, HOME, "eve", 3_600, ANSWER).as_deref(), Some("ip-assoc-yes"));
}

#[test]
fn it_ends_when_the_registration_expires() {
    let mut rig = rig();
    register(&mut rig, 10, HOME, "bob", 60, ANSWER);
    accept(&mut rig, 20, "bob", HOME, 60);
    assert_eq!(register(&mut rig, 59_000, HOME, "bob", 60, ANSWER).as_deref(), Some("ip-assoc-yes"));
    answer(&mut rig, 59_100, "500 Server Internal Error", "");
    assert_eq!(register(&mut rig, 61_000, HOME, "bob", 60, ANSWER).as_deref(), Some("ip-assoc-pending"));
}

/// What a UE writes there is not believed; AKA has values of its own.
#[test]
fn the_word_is_the_p_cscfs() {
    let mut rig = rig();
    let claimed = format!("{ANSWER},integrity-protected=\"ip-assoc-yes\"");
    assert_eq!(register(&mut rig, 10, HOME, "bob", 60, &claimed).as_deref(), Some("ip-assoc-pending"));
    answer(&mut rig, 15, "403 Forbidden", "");
    let aka = format!("{ANSWER},algorithm=AKAv1-MD5");
    assert_eq!(register(&mut rig, 20, HOME, "bob", 60, &aka).as_deref(), Some("no"));
}

#[test]
fn the_line_of_an_address_is_told_by_the_network_alone() {
    let lines = [(address(HOME).ip(), "dsl-7".into())].into();
    let mut rig = Rig::new(PcscfConfig { sec_agree: SecAgreePolicy::Offered, lines, ..config() });
    register(&mut rig, 10, HOME, "bob", 60, EMPTY);
    let told = |sent: &Sent| sent.header(HeaderName::PAccessNetworkInfo);
    let expected = "xDSL;dsl-location=\"dsl-7\";network-provided";
    assert_eq!(rig.to_core.pop().and_then(|sent| told(&sent)).as_deref(), Some(expected));
    register(&mut rig, 20, CAFE, "eve", 60, EMPTY);
    assert_eq!(rig.to_core.pop().and_then(|sent| told(&sent)), None);
}
