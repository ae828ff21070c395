//! Overload (product.md, "What must always hold"): new registrations are shed first by 503 with a spread Retry-After,
//! never BYE or ACK, nor the answer to a challenge that was sent; what has waited 8 s for the HSS is dropped; nobody who
//! was answered 200 is lost. Times of the P-CSCF are milliseconds.

#[path = "scscf_bench/driver.rs"]
mod driver;
mod pcscf_rig;
#[path = "scscf_bench/user.rs"]
mod user;

use driver::{Driver, REALM, header, node, status};
use imsreg::cx::{CxResult, Envelope, Uaa, Uar};
use imsreg::event::What;
use imsreg::icscf::{Icscf, IcscfConfig, ScscfEntry};
use imsreg::packet::Transport;
use imsreg::pcscf::PcscfConfig;
use imsreg::random::Random;
use imsreg::scscf::{Scscf, ScscfConfig};
use imsreg::sip::HeaderName;
use imsreg::sip::overload::Limits;
use imsreg::sip::transaction::Timers;
use imsreg::time::Duration;
use pcscf_rig::{CORE, Phone, Rig, Sent, address, response};
use std::collections::BTreeSet;
use user::{ICSCF, Register, lab_set};

/// Room for so many registrations at a time.
fn waiting(waiting: usize) -> Limits {
    Limits { waiting, ..Limits::default() }
}

fn pcscf(limits: Limits) -> Rig {
    Rig::new(PcscfConfig { limits, ..pcscf_rig::config() })
}

fn retry_after(answer: &Sent) -> u32 {
    answer.header(HeaderName::RetryAfter).expect("Retry-After").parse().expect("seconds")
}

#[test]
fn the_pcscf_sheds_who_comes_too_many_and_serves_whom_it_has_challenged() {
    let mut rig = pcscf(waiting(2));
    let [mut first, mut second, mut third] = [1, 2, 3].map(Phone::new);
    first.send_first(&mut rig, 0);
    rig.challenge(10, &mut first);
    // Over UDP the transaction towards the core absorbs for T4 = 5 s: it is no request that waits afterwards.
    second.send_first(&mut rig, 6_000);
    let asked = rig.forwarded();
    third.send_first(&mut rig, 6_010);
    let shed = rig.answer();
    assert_eq!((shed.status(), shed.at), (503, 6_010), "{}", shed.text);
    assert!((15..=45).contains(&retry_after(&shed)), "{}", shed.text);
    assert!(rig.to_core.is_empty(), "the core hears nothing of it");

    // Both that were begun are finished.
    first.send_protected(&mut rig, 6_020);
    rig.accept(6_030, 3_600);
    rig.core_sends(6_040, &pcscf_rig::challenge(&asked, "n2"));
    let challenged = rig.answer();
    assert_eq!(challenged.status(), 401, "{}", challenged.text);
    second.note(&challenged);
    second.send_protected(&mut rig, 6_050);
    rig.accept(6_060, 3_600);
    // And there is room again.
    third.send_first(&mut rig, 20_000);
    rig.challenge(20_010, &mut third);
}

#[test]
fn what_is_shed_costs_no_memory_and_its_copies_hear_the_same() {
    let mut rig = pcscf(waiting(1));
    let mut first = Phone::new(1);
    first.send_first(&mut rig, 0);
    rig.forwarded();
    let (transactions, subscribers) = (rig.pcscf.transactions(), rig.pcscf.subscribers());
    let mut waits = BTreeSet::new();
    for n in 2..102 {
        let mut phone = Phone::new(n);
        let text = phone.first();
        phone.send_clear(&mut rig, 10, &text);
        let shed = rig.answer();
        phone.send_clear(&mut rig, 10, &text);
        assert_eq!((shed.status(), rig.answer().text), (503, shed.text.clone()));
        waits.insert(retry_after(&shed));
    }
    assert_eq!((rig.pcscf.transactions(), rig.pcscf.subscribers()), (transactions, subscribers));
    assert!(waits.len() > 20, "those who were shed come back at different times: {waits:?}");
}

/// The tables are full: a refresh is still served; at twice as many it is not, nor is a MESSAGE. An ACK and a BYE always
/// are, and so is who answers a challenge.
#[test]
fn the_pcscf_sheds_in_the_order_of_the_table() {
    let to_bob = |text: &str| text.replacen(&format!("sip:{REALM}"), "sip:bob@198.51.100.7", 1);
    let mut rig = pcscf(Limits { transactions: 2, ..Limits::default() });
    let [mut phone, mut challenged, mut stranger] = [1, 2, 3].map(Phone::new);
    rig.register(0, &mut phone, 600_000);
    challenged.send_first(&mut rig, 150_000);
    rig.challenge(150_010, &mut challenged);

    // The transactions of the call stay for 64 T1 (RFC 6026).
    let invite = phone.request("INVITE", phone.port_s, "Contact: <sip:u@10.1.0.1:31001>\r\n");
    phone.send_over_sa(&mut rig, 300_000, &to_bob(&invite));
    let sent = rig.forwarded();
    let recorded: Vec<&str> = sent.message().elements(HeaderName::RecordRoute).collect();
    let route = format!("Route: {}, {}, <sip:s@10.0.0.2:6060;lr>\r\n", recorded[1], recorded[0]);
    let record = format!("Record-Route: {}, {}\r\nContact: <sip:bob@198.51.100.7>\r\n", recorded[0], recorded[1]);
    rig.core_sends(300_010, &response(&sent, "200 OK", &record));
    assert_eq!(rig.answer().status(), 200);
    assert_eq!(rig.pcscf.transactions(), 2);
    stranger.send_first(&mut rig, 300_020);
    assert_eq!(rig.answer().status(), 503);
    phone.send_protected(&mut rig, 300_030);
    rig.accept(300_040, 600_000);

    assert_eq!(rig.pcscf.transactions(), 4, "twice as many as there may be");
    phone.send_protected(&mut rig, 300_050);
    assert_eq!(rig.answer().status(), 503);
    let message = phone.request("MESSAGE", phone.port_s, "");
    phone.send_over_sa(&mut rig, 300_060, &to_bob(&message));
    assert_eq!(rig.answer().status(), 503);
    for (at, method) in [(300_070, "ACK"), (300_080, "BYE")] {
        let text = to_bob(&phone.request(method, phone.port_s, &route)).replace("\r\nCall-ID", ";tag=core\r\nCall-ID");
        phone.send_over_sa(&mut rig, at, &text);
        let passed = rig.forwarded();
        assert!(passed.text.starts_with(method), "{}", passed.text);
        if method == "BYE" {
            rig.core_sends(at + 5, &response(&passed, "200 OK", ""));
            assert_eq!(rig.answer().status(), 200);
        }
    }
    challenged.send_protected(&mut rig, 300_090);
    rig.accept(300_100, 3_600);
    for phone in [&phone, &challenged] {
        assert!(rig.pcscf.service_route(&phone.impi()).is_some(), "who was answered 200 is registered");
    }
    // All has ended after 64 T1 of Gm.
    stranger.send_first(&mut rig, 500_000);
    rig.challenge(500_010, &mut stranger);
}

/// RFC 3263 clause 4.3: an I-CSCF that is overloaded is passed over, the last one's word is what the UE hears.
#[test]
fn another_icscf_is_tried_where_one_sheds() {
    let next_hops = vec![address(CORE), address(pcscf_rig::SECOND_CORE)];
    let mut rig = Rig::new(PcscfConfig { next_hops, ..pcscf_rig::config() });
    let mut phone = Phone::new(1);
    phone.send_first(&mut rig, 0);
    for (at, to) in [(10, CORE), (20, pcscf_rig::SECOND_CORE)] {
        let asked = rig.forwarded();
        assert_eq!(asked.to, address(to));
        rig.core_sends(at, &response(&asked, "503 Service Unavailable", "Retry-After: 17\r\n"));
    }
    let answer = rig.answer();
    assert_eq!((answer.status(), retry_after(&answer)), (503, 17), "{}", answer.text);
}

fn icscf(limits: Limits, request_timeout: Duration) -> Driver<Icscf> {
    let mut diameter = node("icscf.example");
    diameter.request_timeout = request_timeout;
    let config = IcscfConfig {
        listen: vec![ICSCF.parse().unwrap()],
        host: "icscf.example".into(),
        transport: Transport::Tcp,
        timers: Timers::CORE,
        diameter,
        realm: REALM.into(),
        scscfs: vec![ScscfEntry { name: "sip:127.0.0.1:6060".into(), capabilities: Vec::new() }],
        limits,
        hosts: Default::default(),
        trusted: Vec::new(),
    };
    Driver::new(Icscf::new(config, Random::seeded(3)), ICSCF)
}

/// Of another user each.
fn newcomer(n: u32) -> Register {
    let mut register = Register::initial();
    register.impi = format!("00101{n:010}@{REALM}");
    register.impu = format!("sip:{}", register.impi);
    register.call_id = format!("call-{n}@ue");
    register
}

fn uaa(i: &mut Driver<Icscf>, request: &[u8]) {
    let uar = Uar::decode(request).unwrap();
    let envelope = Envelope { session_id: uar.envelope.session_id, origin_host: "hss.example", origin_realm: REALM };
    let uaa = Uaa { envelope, result: CxResult::FIRST_REGISTRATION, server_name: None, capabilities: None };
    i.hss(request, false, |w| uaa.encode(w));
}

const P_CSCF: &str = "127.0.0.1:5060";

#[test]
fn the_icscf_sheds_while_the_hss_is_slow() {
    let mut i = icscf(waiting(2), Duration::from_secs(5));
    for n in 1..=3 {
        i.sip(P_CSCF, &newcomer(n).text());
    }
    let shed = i.sent().text;
    assert_eq!(status(&shed), 503, "{shed}");
    assert!((15..=45).contains(&header(&shed, "Retry-After").parse::<u32>().unwrap()), "{shed}");
    assert!(header(&shed, "Call-ID").contains("call-3"), "the newest: {shed}");
    let told = |what: &What| matches!(what, What::Refused { status: 503, .. });
    assert_eq!(i.events().iter().filter(|what| told(what)).count(), 1);
    // The answer to a challenge passes.
    let answer = Register { answer: "nonce=\"n\",response=\"r\"".into(), ..newcomer(4).next() };
    i.sip(P_CSCF, &answer.text());
    let asked = [i.asked(), i.asked(), i.asked()];
    i.quiet();
    for request in &asked {
        uaa(&mut i, request);
        assert!(i.sent().text.starts_with("REGISTER sip:127.0.0.1:6060"));
    }
    i.sip(P_CSCF, &newcomer(5).text());
    i.asked();
    i.quiet();
}

/// Whatever `diameter.request_timeout` says.
#[test]
fn what_waited_eight_seconds_for_the_hss_is_answered_and_a_late_answer_ignored() {
    let mut i = icscf(Limits::default(), Duration::from_secs(60));
    i.sip(P_CSCF, &newcomer(1).text());
    let request = i.asked();
    i.pass(Duration::from_millis(7_999));
    i.quiet();
    i.pass(Duration::from_millis(1));
    assert_eq!(status(&i.sent().text), 480);
    uaa(&mut i, &request);
    i.quiet();

    let mut s = scscf(Limits::default(), Duration::from_secs(60));
    s.register(&Register::initial());
    let request = s.asked();
    s.pass(Duration::from_millis(7_999));
    s.quiet();
    s.pass(Duration::from_millis(1));
    assert_eq!(s.answered(), 480);
    assert_eq!(s.element.attempts(), 0);
    s.give_vector_to(&request, 1);
    s.quiet();

    // So is one that binds; what the HSS says of it later registers nobody.
    let first = Register::initial();
    let challenge = s.challenge(&first, 1);
    s.register(&first.answering(&challenge));
    let request = s.asked();
    s.pass(Duration::from_secs(8));
    let text = s.sent().text;
    assert_eq!((status(&text), header(&text, "Retry-After")), (500, "30"), "{text}");
    s.answer_sar(&request, CxResult::SUCCESS, Some(&lab_set()));
    assert!(s.next_sent().is_none());
    assert_eq!((s.element.registrations(), s.element.attempts()), (0, 0));
}

fn scscf(limits: Limits, request_timeout: Duration) -> Driver<Scscf> {
    let mut config = ScscfConfig { limits, ..user::config() };
    config.diameter.request_timeout = request_timeout;
    user::scscf(config)
}

#[test]
fn the_scscf_sheds_newcomers_and_keeps_whom_it_knows() {
    let mut s = scscf(waiting(2), Duration::from_secs(5));
    let (registered, _) = s.registered();
    let challenged = [1, 2].map(|n| {
        let register = newcomer(10 + u32::from(n));
        let challenge = s.challenge(&register, n);
        (register, challenge)
    });
    assert_eq!(s.element.attempts(), 2);
    for n in 20..30 {
        // Also with a nonce that was never given.
        let answer = ["nonce=\"\",response=\"\"", "nonce=\"bm9uY2U=\",response=\"00\""][n as usize % 2];
        s.register(&Register { answer: answer.into(), ..newcomer(n) });
        let text = s.sent().text;
        assert_eq!(status(&text), 503, "{text}");
        assert!((15..=45).contains(&header(&text, "Retry-After").parse::<u32>().unwrap()), "{text}");
    }
    s.quiet();
    // A refresh of who is registered.
    s.register(&registered.next());
    s.assign_again();
    assert_eq!(s.answered(), 200);
    // Who lost a 401 asks again and replaces his attempt.
    let (register, _) = &challenged[1];
    let again = Register { cseq: 2, ..register.clone() };
    let challenge = s.challenge(&again, 2);
    // The answers that were asked for.
    for (register, challenge) in [(&challenged[0].0, &challenged[0].1), (&again, &challenge)] {
        s.register(&register.answering(challenge));
        let request = s.asked();
        let xml = user::user_data(&[(&register.impu, false)]).replace(user::IMPI, &register.impi);
        s.answer_sar(&request, CxResult::SUCCESS, Some(&xml));
        assert_eq!(s.answered(), 200);
    }
    assert_eq!((s.element.registrations(), s.element.attempts()), (3, 0));
    s.challenge(&newcomer(40), 3);
}

/// What is never shed has an end too: at four times the limit it is dropped unanswered and without a trace, and counted.
/// Its sender repeats it, and is served when there is room.
#[test]
fn a_flood_of_byes_is_bounded() {
    let mut rig = pcscf(Limits { transactions: 4, ..Limits::default() });
    let mut phone = Phone::new(1);
    rig.register(0, &mut phone, 600_000);
    let to_bob = |text: &str| text.replacen(&format!("sip:{REALM}"), "sip:bob@198.51.100.7", 1);
    let invite = phone.request("INVITE", phone.port_s, "Contact: <sip:u@10.1.0.1:31001>\r\n");
    phone.send_over_sa(&mut rig, 10_000, &to_bob(&invite));
    let sent = rig.forwarded();
    let recorded: Vec<&str> = sent.message().elements(HeaderName::RecordRoute).collect();
    let route = format!("Route: {}, {}, <sip:s@10.0.0.2:6060;lr>\r\n", recorded[1], recorded[0]);
    let record = format!("Record-Route: {}, {}\r\nContact: <sip:bob@198.51.100.7>\r\n", recorded[0], recorded[1]);
    rig.core_sends(10_010, &response(&sent, "200 OK", &record));
    rig.drive(200_000);
    rig.to_core.clear();
    rig.to_ue.clear();
    let mut flood: Vec<String> = Vec::new();
    for n in 0..40 {
        let to = format!("To: <{}>", phone.impu());
        let bye = phone.request("BYE", phone.port_s, &route).replacen(&to, "To: <sip:bob@x>;tag=core", 1);
        let bye = to_bob(&bye);
        phone.send_over_sa(&mut rig, 200_001 + n, &bye);
        flood.push(bye);
    }
    let held = rig.pcscf.transactions();
    assert!((15..=18).contains(&held), "four times four, give or take what one request takes: {held}");
    let (shed, dropped) = rig.pcscf.refused_for_overload();
    assert!(shed == 0 && dropped > 20, "{dropped}");
    let passed = rig.to_core.iter().filter(|sent| sent.text.starts_with("BYE ")).count();
    assert_eq!(passed as u64 + dropped, 40);
    assert!(rig.to_ue.is_empty(), "nobody hears 503 to a BYE: {:#?}", rig.to_ue);
    // Later the last of them is taken as if it came first.
    rig.drive(400_000);
    rig.to_core.clear();
    phone.send_over_sa(&mut rig, 400_001, flood.last().expect("forty"));
    assert!(rig.to_core.iter().any(|sent| sent.text.starts_with("BYE ")));
}
