//! SIP digest, NASS-Bundled and GIBA at the S-CSCF, between a scripted HSS and a scripted I-CSCF (TS 24.229 clause 5.4.1,
//! TS 33.203 annexes N, O and R to T).

#[path = "scscf_bench/driver.rs"]
#[expect(dead_code, reason = "events are the matter of others")]
mod driver;
#[path = "scscf_bench/user.rs"]
#[expect(dead_code, reason = "most of it is for AKA")]
mod user;

use driver::{Driver, REALM, header, headers, status};
use imsreg::aka::digest::{self, Algorithm, Inputs, Qop, Secret, ha1};
use imsreg::aka::{Ha1, Password};
use imsreg::cx::mar::{DigestAuthenticate, scheme};
use imsreg::cx::{AuthItem, CxResult, Mar, Sar, ServerAssignmentType as Assign};
use imsreg::scscf::{ChallengePolicy, DigestConfig, Scscf, ScscfConfig, Unauthenticated};
use imsreg::sip::header::digest::Digest;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::Duration;
use user::{ICSCF, IMPI, TEMPORARY, config, lab_set, scscf};

const PASSWORD: &str = "open sesame";

/// A phone without USIM.
struct Phone {
    cseq: u32,
    call_id: &'static str,
    expires: u32,
    password: &'static str,
    algorithm: Algorithm,
    auth_int: bool,
    body: &'static str,
    integrity_protected: Option<&'static str>,
    lines: Vec<String>,
    via: &'static str,
}

impl Phone {
    fn new() -> Self {
        Self {
            cseq: 0,
            call_id: "c1",
            expires: 3_600,
            password: PASSWORD,
            algorithm: Algorithm::Md5,
            auth_int: false,
            body: "",
            integrity_protected: None,
            lines: Vec::new(),
            via: "192.0.2.7:5060",
        }
    }

    /// A REGISTER with these parameters of Authorization; none without them.
    fn register(&mut self, credentials: Option<&str>) -> String {
        self.cseq += 1;
        let Self { cseq, call_id, expires, body, via, .. } = self;
        let protected = self.integrity_protected.map_or_else(String::new, |v| format!(",integrity-protected=\"{v}\""));
        let authorization =
            credentials.map_or_else(String::new, |c| format!("Authorization: Digest {c}{protected}\r\n"));
        let lines: String = self.lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!(
            "REGISTER sip:scscf.{REALM}:6060 SIP/2.0\r\nVia: SIP/2.0/TCP {ICSCF};branch=z9hG4bKi{call_id}{cseq}\r\n\
             Via: SIP/2.0/UDP {via};branch=z9hG4bKu{cseq}\r\nMax-Forwards: 68\r\nFrom: <{TEMPORARY}>;tag=ue\r\n\
             To: <{TEMPORARY}>\r\nCall-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\nPath: <sip:t@pcscf.{REALM};lr>\r\n\
             Contact: <sip:u@192.0.2.7:5060>\r\nExpires: {expires}\r\n{lines}{authorization}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn first(&mut self) -> String {
        self.register(Some(&format!(
            "username=\"{IMPI}\",realm=\"{REALM}\",uri=\"sip:{REALM}\",nonce=\"\",response=\"\""
        )))
    }

    /// Credentials for a nonce; `count`: with qop.
    fn credentials(&self, nonce: &str, count: Option<u32>) -> String {
        let nc = format!("{:08x}", count.unwrap_or(0));
        let qop = count.map(|_| Qop { auth_int: self.auth_int, nc: &nc, cnonce: "c0" });
        let uri = format!("sip:{REALM}");
        let response =
            digest::response(&self.inputs(nonce, &uri, qop, self.body), Secret::Password(self.password.as_bytes()));
        let name = if self.auth_int { "auth-int" } else { "auth" };
        let qop = count.map_or_else(String::new, |_| format!(",qop={name},nc={nc},cnonce=\"c0\""));
        format!(
            "username=\"{IMPI}\",realm=\"{REALM}\",nonce=\"{nonce}\",uri=\"{uri}\",response=\"{}\",algorithm={}{qop}",
            response.as_str(),
            self.algorithm.as_str()
        )
    }

    fn inputs<'a>(&self, nonce: &'a str, uri: &'a str, qop: Option<Qop<'a>>, body: &'a str) -> Inputs<'a> {
        let (algorithm, body) = (self.algorithm, body.as_bytes());
        Inputs { algorithm, username: IMPI, realm: REALM, nonce, uri, method: "REGISTER", qop, body }
    }

    fn answer(&mut self, nonce: &str, count: Option<u32>) -> String {
        let credentials = self.credentials(nonce, count);
        self.register(Some(&credentials))
    }
}

/// What the HSS has.
struct Given {
    qop: &'static str,
    algorithm: Option<&'static str>,
    alternate: Option<Algorithm>,
}

const MD5_AUTH: Given = Given { qop: "auth", algorithm: Some("MD5"), alternate: None };

fn hash(algorithm: Algorithm) -> Ha1 {
    ha1(algorithm, IMPI, REALM, &Password(PASSWORD.into()))
}

trait Course {
    fn hear(&mut self, text: &str);
    fn give(&mut self, given: &Given);
    fn said(&mut self) -> String;
    /// The user data come, and the 200.
    fn welcome(&mut self) -> String;
}

impl Course for Driver<Scscf> {
    fn hear(&mut self, text: &str) {
        self.sip(ICSCF, text);
    }

    fn give(&mut self, given: &Given) {
        let request = self.asked();
        assert_eq!(Mar::decode(&request).unwrap().scheme, "Unknown");
        let (md5, alternate) = (hash(Algorithm::Md5), given.alternate.map(|a| (a, hash(a))));
        let digest = DigestAuthenticate {
            realm: REALM,
            algorithm: given.algorithm,
            qop: given.qop,
            ha1: &md5.0,
            alternate_algorithm: alternate.as_ref().map(|(a, _)| a.as_str()),
            alternate_ha1: alternate.as_ref().map(|(_, h)| &*h.0),
        };
        let item = AuthItem { scheme: Some(scheme::SIP_DIGEST), digest: Some(digest), ..AuthItem::default() };
        self.maa(&request, CxResult::SUCCESS, vec![item]);
    }

    fn said(&mut self) -> String {
        self.sent().text
    }

    fn welcome(&mut self) -> String {
        self.assign(Assign::Registration, CxResult::SUCCESS, Some(&lab_set()));
        let text = self.said();
        assert_eq!(status(&text), 200, "{text}");
        text
    }
}

/// The first challenge of a phone.
fn challenged(s: &mut Driver<Scscf>, phone: &mut Phone, given: &Given) -> String {
    let first = phone.first();
    s.hear(&first);
    s.give(given);
    let text = s.said();
    assert_eq!(status(&text), 401, "{text}");
    text
}

fn parameter(text: &str, line: usize, name: &str) -> Option<String> {
    let message = Message::parse(text.as_bytes()).unwrap();
    let value = message.values(HeaderName::WwwAuthenticate).nth(line)?;
    let challenge = Digest::parse(HeaderName::WwwAuthenticate, value).unwrap().unwrap();
    challenge.params().find(|p| p.0 == name).map(|p| p.1.to_owned())
}

fn nonce_of(text: &str) -> String {
    parameter(text, 0, "nonce").unwrap()
}

fn info(text: &str, name: &str) -> Option<String> {
    let info = headers(text, "Authentication-Info").next()?;
    info.split(',').find_map(|p| p.strip_prefix(name)?.strip_prefix('=')).map(|v| v.trim_matches('"').to_owned())
}

#[test]
fn a_password_registers_and_the_answer_proves_that_the_network_knows_it_too() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let text = challenged(&mut s, &mut phone, &MD5_AUTH);
    let nonce = nonce_of(&text);
    let expected = format!("Digest realm=\"{REALM}\",nonce=\"{nonce}\",algorithm=MD5,qop=\"auth\"");
    assert_eq!(headers(&text, "WWW-Authenticate").collect::<Vec<_>>(), [expected]);

    phone.integrity_protected = Some("ip-assoc-pending");
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    let request = s.asked();
    let sar = Sar::decode(&request).unwrap();
    assert_eq!((sar.impi, sar.assignment), (Some(IMPI), Assign::Registration));
    s.answer_sar(&request, CxResult::SUCCESS, Some(&lab_set()));
    let text = s.said();
    assert_eq!(status(&text), 200);
    let uri = format!("sip:{REALM}");
    let qop = Some(Qop { auth_int: false, nc: "00000001", cnonce: "c0" });
    let rspauth = digest::rspauth(&phone.inputs(&nonce, &uri, qop, ""), Secret::Password(PASSWORD.as_bytes()));
    let expected = format!("qop=auth,rspauth=\"{}\",cnonce=\"c0\",nc=00000001", rspauth.as_str());
    assert_eq!(header(&text, "Authentication-Info"), expected);

    // The nonce serves again with a larger count, and nobody is asked but for the assignment.
    let again = phone.answer(&nonce, Some(2));
    s.hear(&again);
    s.assign_again();
    assert_eq!((status(&s.said()), s.element.registrations()), (200, 1));
    s.quiet();
}

/// The nonce is of the identity, not of the call: phones begin a new one after a challenge (seed document 4).
#[test]
fn the_answer_may_come_in_another_call() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    phone.call_id = "c2";
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    s.welcome();
}

#[test]
fn a_count_that_does_not_grow_is_stale_and_the_password_is_not_wrong() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let answer = phone.answer(&nonce, Some(5));
    s.hear(&answer);
    s.welcome();
    for count in [5, 4, 1] {
        let again = phone.answer(&nonce, Some(count));
        s.hear(&again);
        let text = s.said();
        assert_eq!((status(&text), parameter(&text, 0, "stale").as_deref()), (401, Some("true")));
        assert_ne!(nonce_of(&text), nonce);
        s.quiet();
    }
    let again = phone.answer(&nonce, Some(6));
    s.hear(&again);
    s.assign_again();
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_nonce_of_another_run_is_stale_if_the_digest_is_right_and_a_plain_challenge_if_not() {
    for (password, stale) in [(PASSWORD, Some("true")), ("guessed", None)] {
        let mut s = scscf(config());
        let mut phone = Phone { password, ..Phone::new() };
        let answer = phone.answer("bd2e4df9e3d9b280", Some(1));
        s.hear(&answer);
        s.give(&MD5_AUTH);
        let text = s.said();
        assert_eq!((status(&text), parameter(&text, 0, "stale").as_deref()), (401, stale));
    }
}

#[test]
fn a_wrong_password_is_refused_and_the_nonce_goes_with_it() {
    let mut s = scscf(config());
    let mut phone = Phone { password: "guessed", ..Phone::new() };
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    s.assign(Assign::AuthenticationFailure, CxResult::SUCCESS, None);
    assert_eq!(s.answered(), 403);
    phone.password = PASSWORD;
    let answer = phone.answer(&nonce, Some(2));
    s.hear(&answer);
    s.give(&MD5_AUTH);
    assert_eq!(s.answered(), 401);
}

/// Field lesson 51, for digest: without the identity the nonce would serve whoever knows any password.
#[test]
fn a_nonce_serves_its_own_identity_only() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let other = phone.answer(&nonce, Some(1)).replace(TEMPORARY, &TEMPORARY.replace("0001@", "0002@"));
    s.hear(&other);
    let request = s.asked();
    assert!(Mar::decode(&request).unwrap().impu.contains("0002@"), "a challenge of its own");
}

#[test]
fn nonces_end_with_their_life_and_the_next_one_comes_before() {
    let digest = DigestConfig { nonce_lifetime: Duration::from_secs(100), ..DigestConfig::default() };
    let mut s = scscf(ScscfConfig { digest, ..config() });
    let mut phone = Phone::new();
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    assert_eq!(info(&s.welcome(), "nextnonce"), None);
    s.pass(Duration::from_secs(60));
    let again = phone.answer(&nonce, Some(2));
    s.hear(&again);
    s.assign_again();
    let text = s.said();
    let next = info(&text, "nextnonce").unwrap();
    assert_eq!(info(&text, "nc").as_deref(), Some("00000002"));
    s.pass(Duration::from_secs(60));
    // The old one has gone, the next one is good.
    let old = phone.answer(&nonce, Some(3));
    s.hear(&old);
    s.give(&MD5_AUTH);
    assert_eq!(parameter(&s.said(), 0, "stale").as_deref(), Some("true"));
    let next = phone.answer(&next, Some(1));
    s.hear(&next);
    s.assign_again();
    assert_eq!(s.answered(), 200);
}

/// RFC 2069 form: there is no count, so a nonce serves once, and the 200 brings another.
#[test]
fn without_qop_a_nonce_serves_once() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let given = Given { qop: "", algorithm: None, alternate: None };
    let text = challenged(&mut s, &mut phone, &given);
    let nonce = nonce_of(&text);
    assert_eq!(header(&text, "WWW-Authenticate"), format!("Digest realm=\"{REALM}\",nonce=\"{nonce}\""));
    let answer = phone.answer(&nonce, None);
    s.hear(&answer);
    let text = s.welcome();
    let next = info(&text, "nextnonce").unwrap();
    assert_eq!(info(&text, "rspauth"), None);
    let again = phone.answer(&nonce, None);
    s.hear(&again);
    assert_eq!(parameter(&s.said(), 0, "stale").as_deref(), Some("true"));
    let answer = phone.answer(&next, None);
    s.hear(&answer);
    s.assign_again();
    assert_eq!(s.answered(), 200);
}

#[test]
fn a_better_algorithm_is_offered_first_and_either_is_taken() {
    for algorithm in [Algorithm::Sha256, Algorithm::Md5] {
        let mut s = scscf(config());
        let mut phone = Phone { algorithm, ..Phone::new() };
        let given = Given { alternate: Some(Algorithm::Sha256), ..MD5_AUTH };
        let text = challenged(&mut s, &mut phone, &given);
        let algorithms: Vec<_> = (0..2).map(|n| parameter(&text, n, "algorithm").unwrap()).collect();
        assert_eq!(algorithms, ["SHA-256", "MD5"]);
        let answer = phone.answer(&nonce_of(&text), Some(1));
        s.hear(&answer);
        assert_eq!(info(&s.welcome(), "rspauth").unwrap().len(), if algorithm == Algorithm::Md5 { 32 } else { 64 });
    }
    let mut s = scscf(config());
    let mut phone = Phone { algorithm: Algorithm::Sha256, ..Phone::new() };
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    assert_eq!(s.answered(), 403, "it was not offered");
}

#[test]
fn auth_int_covers_the_body() {
    let given = Given { qop: "auth,auth-int", ..MD5_AUTH };
    for (changed, expected) in [(false, 200), (true, 403)] {
        let mut s = scscf(config());
        let mut phone = Phone { auth_int: true, body: "signed", ..Phone::new() };
        let nonce = nonce_of(&challenged(&mut s, &mut phone, &given));
        let answer = phone.answer(&nonce, Some(1));
        s.hear(&if changed { answer.replace("signed", "forged") } else { answer });
        if changed {
            s.assign(Assign::AuthenticationFailure, CxResult::SUCCESS, None);
            assert_eq!(s.answered(), expected);
        } else {
            let text = s.welcome();
            assert_eq!(info(&text, "qop").as_deref(), Some("auth-int"));
        }
    }
    let mut s = scscf(config());
    let mut phone = Phone { auth_int: true, ..Phone::new() };
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    assert_eq!(s.answered(), 400, "it was not offered");
}

/// TS 24.229 clause 5.4.1.2.2: an address or TLS session that the P-CSCF knows may take the place of a challenge.
#[test]
fn a_known_address_refreshes_without_challenge_where_the_policy_says_so() {
    for (challenge, value, expected) in [
        (ChallengePolicy::Never, "ip-assoc-yes", 200),
        (ChallengePolicy::Never, "tls-yes", 200),
        (ChallengePolicy::Never, "ip-assoc-pending", 401),
        (ChallengePolicy::Always, "ip-assoc-yes", 401),
    ] {
        let mut s = scscf(ScscfConfig { challenge, ..config() });
        let mut phone = Phone::new();
        let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
        let answer = phone.answer(&nonce, Some(1));
        s.hear(&answer);
        s.welcome();
        phone.integrity_protected = Some(value);
        let refresh = phone.first();
        s.hear(&refresh);
        if expected == 200 {
            s.assign_again();
        } else {
            s.give(&MD5_AUTH);
        }
        assert_eq!(s.answered(), expected, "{value}");
    }
}

#[test]
fn a_phone_leaves_with_the_same_nonce() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    let answer = phone.answer(&nonce, Some(1));
    s.hear(&answer);
    s.welcome();
    phone.expires = 0;
    let leave = phone.answer(&nonce, Some(2));
    s.hear(&leave);
    s.assign(Assign::UserDeregistration, CxResult::SUCCESS, None);
    let text = s.said();
    assert_eq!((status(&text), s.element.registrations()), (200, 0));
    assert_eq!(info(&text, "nc").as_deref(), Some("00000002"));
}

/// TS 24.229 clause 5.4.1.2.1A: reg-await-auth runs for these challenges too, and the HSS has something pending.
#[test]
fn a_challenge_that_nobody_answers_ends_at_the_hss_too() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let nonce = nonce_of(&challenged(&mut s, &mut phone, &MD5_AUTH));
    s.pass(Duration::from_secs(239));
    s.quiet();
    s.pass(Duration::from_secs(2));
    s.assign(Assign::AuthenticationTimeout, CxResult::SUCCESS, None);
    let late = phone.answer(&nonce, Some(1));
    s.hear(&late);
    s.give(&MD5_AUTH);
    let text = s.said();
    assert_eq!(parameter(&text, 0, "stale").as_deref(), Some("true"));
    // Answered in time there is nothing to be told.
    let answer = phone.answer(&nonce_of(&text), Some(1));
    s.hear(&answer);
    s.welcome();
    s.pass(Duration::from_secs(600));
    s.quiet();
}

/// A user of AKA whose P-CSCF says nothing gets his vector.
#[test]
fn what_the_hss_has_decides() {
    let mut s = scscf(config());
    let mut phone = Phone::new();
    let first = phone.first();
    s.hear(&first);
    s.give_vector(1);
    assert_eq!(parameter(&s.said(), 0, "algorithm").as_deref(), Some("AKAv1-MD5"));
}

#[test]
fn incomplete_or_foreign_items_challenge_nobody() {
    let digest = DigestAuthenticate {
        realm: REALM,
        algorithm: None,
        qop: "auth",
        ha1: "short",
        alternate_algorithm: None,
        alternate_ha1: None,
    };
    let md5 = hash(Algorithm::Md5);
    for item in [
        AuthItem { scheme: Some(scheme::SIP_DIGEST), ..AuthItem::default() },
        AuthItem { scheme: Some(scheme::SIP_DIGEST), digest: Some(digest), ..AuthItem::default() },
        AuthItem {
            scheme: Some(scheme::SIP_DIGEST),
            digest: Some(DigestAuthenticate { realm: "a\"b", ha1: &md5.0, ..digest }),
            ..AuthItem::default()
        },
        AuthItem { scheme: Some("Basic"), ..AuthItem::default() },
    ] {
        let mut s = scscf(config());
        let mut phone = Phone::new();
        let first = phone.first();
        s.hear(&first);
        let request = s.asked();
        s.maa(&request, CxResult::SUCCESS, vec![item]);
        assert_eq!(s.answered(), 480);
    }
}

#[test]
fn an_address_of_the_access_network_registers_without_challenge() {
    for (via, expected) in [
        ("192.0.2.7:5060", 200),
        ("10.1.1.1:5060;received=192.0.2.7", 200),
        ("192.0.2.8:5060", 403),
        ("192.0.2.7:5060;received=192.0.2.8", 403),
    ] {
        let mut s = scscf(config());
        let mut phone = Phone { via, ..Phone::new() };
        let register = phone.register(None);
        s.hear(&register);
        let request = s.asked();
        let address = [192, 0, 2, 7];
        let item =
            AuthItem { scheme: Some(scheme::EARLY_IMS), framed_ip_address: Some(&address), ..AuthItem::default() };
        s.maa(&request, CxResult::SUCCESS, vec![item]);
        if expected == 200 {
            s.welcome();
        } else {
            assert_eq!(s.answered(), expected, "{via}");
        }
    }
}

#[test]
fn a_line_of_the_access_network_registers_without_challenge() {
    for (line, expected) in [
        ("P-Access-Network-Info: xDSL;dsl-location=\"line-7\";network-provided", 200),
        ("P-Access-Network-Info: xDSL;dsl-location=\"line-8\";network-provided", 403),
        ("P-Access-Network-Info: xDSL;dsl-location=\"line-7\"", 403),
        ("Subject: none", 403),
    ] {
        let mut s = scscf(config());
        let mut phone = Phone { lines: vec![line.to_owned()], ..Phone::new() };
        let register = phone.register(None);
        s.hear(&register);
        let request = s.asked();
        let item = AuthItem { scheme: Some(scheme::NASS_BUNDLED), lines: vec![b"line-7"], ..AuthItem::default() };
        s.maa(&request, CxResult::SUCCESS, vec![item]);
        if expected == 200 {
            s.welcome();
        } else {
            assert_eq!(s.answered(), expected, "{line}");
        }
    }
}

#[test]
fn whom_the_profile_names_registers_unauthenticated() {
    let these = Unauthenticated::These(vec![TEMPORARY.into()]);
    for (unauthenticated, is_free) in
        [(Unauthenticated::Everybody, true), (these, true), (Unauthenticated::These(vec!["sip:a@b".into()]), false)]
    {
        let digest = DigestConfig { unauthenticated, ..DigestConfig::default() };
        let mut s = scscf(ScscfConfig { digest, ..config() });
        let mut phone = Phone::new();
        let register = phone.register(None);
        s.hear(&register);
        if is_free {
            s.welcome();
        } else {
            s.give(&MD5_AUTH);
            assert_eq!(s.answered(), 401);
        }
    }
    // AKA is not switched off by it.
    let digest = DigestConfig { unauthenticated: Unauthenticated::Everybody, ..DigestConfig::default() };
    let mut s = scscf(ScscfConfig { digest, ..config() });
    let mut phone = Phone { integrity_protected: Some("no"), ..Phone::new() };
    let register = phone.first();
    s.hear(&register);
    s.give_vector(1);
    assert_eq!(s.answered(), 401);
}

#[test]
fn a_node_of_the_trust_domain_may_have_authenticated_the_user() {
    let mut s = scscf(config());
    let mut phone = Phone { integrity_protected: Some("auth-done"), ..Phone::new() };
    let register = phone.first();
    s.hear(&register);
    s.welcome();
}
