//! The P-CSCF keeps the flows of one user apart: the usual one, those of RFC 5626, and that for emergency calls
//! (TS 24.229 clauses 5.2.2.1 and 5.2.10, TS 33.203 clause 7.4). Times are milliseconds.

mod pcscf_rig;

use imsreg::pcscf::PcscfConfig;
use imsreg::sip::HeaderName;
use pcscf_rig::{Phone, Rig, Sent, accepted, challenge, config};

/// What a Contact says of its flow: behind the port, and behind the instance.
#[derive(Clone, Copy)]
struct Marks(&'static str, &'static str);

const USUAL: Marks = Marks("", "");
const EMERGENCY: Marks = Marks(";sos", "");
const FIRST: Marks = Marks("", ";reg-id=1");
const SECOND: Marks = Marks("", ";reg-id=2");

fn marked(text: &str, Marks(uri, header): Marks) -> String {
    text.replace(">;+sip.instance=\"<urn:x>\"", &format!("{uri}>;+sip.instance=\"<urn:x>\"{header}"))
}

/// A whole registration from clear text on, with a set of its own; returns the protected REGISTER as the core sees it.
fn register(rig: &mut Rig, at: u64, phone: &mut Phone, marks: Marks, nonce: &str) -> Sent {
    let first = phone.first();
    phone.send_clear(rig, at, &marked(&first, marks));
    let request = rig.forwarded();
    rig.core_sends(at + 1, &challenge(&request, nonce));
    let answer = rig.answer();
    assert_eq!(answer.status(), 401);
    phone.note(&answer);
    refresh(rig, at + 2, phone, marks)
}

/// A protected REGISTER that is granted.
fn refresh(rig: &mut Rig, at: u64, phone: &mut Phone, marks: Marks) -> Sent {
    let protected = phone.protected();
    phone.send_over_sa(rig, at, &marked(&protected, marks));
    let request = rig.forwarded();
    rig.core_sends(at + 1, &accepted(&request, 3_600));
    assert_eq!(rig.answer().status(), 200);
    request
}

fn path(request: &Sent) -> String {
    request.header(HeaderName::Path).expect("the P-CSCF adds Path")
}

/// The same phone on another flow: other SPIs and client port, another Call-ID.
fn other(phone: &Phone, n: u32) -> Phone {
    let mut other = Phone { call_id: format!("call-{n}"), branch: phone.branch + 100 * n, ..phone.clone() };
    other.spis = (phone.spis.0 + 10_000 * n, phone.spis.1 + 10_000 * n);
    other.port_c += 10 * n as u16;
    other
}

#[test]
fn flows_of_one_ue_have_sets_and_tokens_of_their_own() {
    let mut rig = Rig::new(config());
    let mut phones = vec![Phone::new(1)];
    let mut paths = Vec::new();
    for (n, marks) in (0..).zip([USUAL, FIRST, SECOND, EMERGENCY]) {
        let mut phone = other(&phones[0], n);
        let request = register(&mut rig, u64::from(n) * 1_000, &mut phone, marks, &format!("bm9uY2U{n}"));
        let path = path(&request);
        assert_eq!(path.ends_with(";lr;ob>"), matches!(n, 1 | 2), "{path}");
        assert!(!paths.contains(&path), "{path}");
        paths.push(path);
        phones.push(phone);
    }
    assert_eq!(rig.pcscf.sa_sets(), 4);
    assert_eq!(rig.pcscf.subscribers(), 4);
    // 10 s: each is refreshed over its own set, by its own token.
    for (n, marks) in (0..).zip([USUAL, FIRST, SECOND, EMERGENCY]) {
        let request = refresh(&mut rig, 10_000 + n * 10, &mut phones[n as usize + 1], marks);
        assert_eq!(path(&request), paths[n as usize]);
    }
    // 20 s: the UE starts the second flow of RFC 5626 again from nothing: its set goes, the others stay.
    let mut again = other(&phones[0], 9);
    let request = register(&mut rig, 20_000, &mut again, SECOND, "bm9uY2U9");
    assert_eq!((path(&request), rig.pcscf.sa_sets()), (paths[2].clone(), 4));
}

#[test]
fn an_emergency_registration_leaves_the_usual_one_alone_and_ends_alone() {
    let mut rig = Rig::new(config());
    let mut usual = Phone::new(1);
    let mut emergency = other(&usual, 1);
    register(&mut rig, 0, &mut usual, USUAL, "bm9uY2Ux");
    register(&mut rig, 1_000, &mut emergency, EMERGENCY, "bm9uY2Uy");
    assert!(rig.pcscf.identities(&usual.impi()).count() > 0);
    // 5 s: the usual registration is ended by `*` over its set; 64*T1 later its set goes.
    let protected = usual.protected().replace("Expires: 600000", "Expires: 0");
    let contact = usual.contact(usual.port_s);
    usual.send_over_sa(&mut rig, 5_000, &protected.replace(&contact, "Contact: *\r\n"));
    let request = rig.forwarded();
    rig.core_sends(5_001, &pcscf_rig::response(&request, "200 OK", ""));
    assert_eq!(rig.answer().status(), 200);
    rig.drive(140_000);
    assert_eq!((rig.pcscf.sa_sets(), rig.pcscf.identities(&usual.impi()).count()), (1, 0));
    // 3,632 s: the emergency registration has ended by its expiry, and 30 s later its set.
    rig.drive(3_640_000);
    assert_eq!((rig.pcscf.sa_sets(), rig.pcscf.subscribers()), (0, 0));
}

#[test]
fn where_the_profile_says_no_a_reg_id_means_nothing_here() {
    let mut rig = Rig::new(PcscfConfig { outbound: false, ..config() });
    let mut first = Phone::new(1);
    let request = register(&mut rig, 0, &mut first, FIRST, "bm9uY2Ux");
    assert!(path(&request).ends_with(";lr>"), "{}", path(&request));
    let mut second = other(&first, 1);
    register(&mut rig, 1_000, &mut second, SECOND, "bm9uY2Uy");
    assert_eq!(rig.pcscf.subscribers(), 1);
}

#[test]
fn the_set_of_a_flow_serves_its_own_user_only() {
    let mut rig = Rig::new(config());
    let mut phone = Phone::new(1);
    register(&mut rig, 0, &mut phone, FIRST, "bm9uY2Ux");
    let mut stranger = Phone { user: "001010000000099".into(), ..phone.clone() };
    let protected = stranger.protected();
    phone.send_over_sa(&mut rig, 1_000, &marked(&protected, FIRST));
    assert_eq!(rig.answer().status(), 403);
}
