//! Keep-alives at the P-CSCF, and between all elements: pings answered, `keep` and Flow-Timer, OPTIONS to the silent.
#![cfg(feature = "live")]

mod common;
mod pcscf_rig;

use common::Recorder;
use imsreg::config::{Setting, load_scenario};
use imsreg::event::What;
use imsreg::ladder::summary;
use imsreg::packet::{Protocol, Transport};
use imsreg::pcscf::{PcscfConfig, SecAgreePolicy};
use imsreg::sim::{Outage, Simulation};
use imsreg::sip::HeaderName;
use imsreg::sip::stun::{self, Stun};
use imsreg::time::{Duration, Instant};
use pcscf_rig::{Phone, Rig, address, config, port_ps, response};
use std::path::Path;

const ID: stun::TransactionId = *b"0123456789ab";

fn binding_request() -> Vec<u8> {
    let mut bytes = Vec::new();
    stun::write_request(&ID, &mut bytes);
    bytes
}

#[test]
fn pings_are_answered_where_they_came_from() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    // In clear, from somebody unknown.
    rig.ue_sends(0, Transport::Udp, phone.clear(), address(pcscf_rig::PCSCF), &binding_request());
    let answer = rig.answer();
    assert_eq!((answer.from, answer.to, answer.protected), (address(pcscf_rig::PCSCF), phone.clear(), false));
    assert_eq!(Stun::read(&answer.bytes), Some(Stun::Response { id: ID, mapped: phone.clear() }));
    rig.ue_sends(0, Transport::Tcp, phone.clear(), address(pcscf_rig::PCSCF), "\r\n\r\n");
    assert_eq!(rig.answer().bytes, b"\r\n");
    // Over the set: from port_ps back to port_uc.
    rig.register(10, &mut phone, 3_600);
    rig.ue_sends(1_000, Transport::Udp, phone.client(), port_ps(), &binding_request());
    let answer = rig.answer();
    assert_eq!((answer.from, answer.to, answer.protected), (port_ps(), phone.client(), true));
    assert_eq!(Stun::read(&answer.bytes), Some(Stun::Response { id: ID, mapped: phone.client() }));
    rig.ue_sends(1_000, Transport::Tcp, phone.client(), port_ps(), "\r\n\r\n");
    assert_eq!((rig.to_ue[0].transport, &*rig.answer().bytes), (Transport::Tcp, &b"\r\n"[..]));
    // Line ends in a datagram are no ping, a pong asks nothing.
    rig.ue_sends(1_000, Transport::Udp, phone.client(), port_ps(), "\r\n\r\n");
    rig.ue_sends(1_000, Transport::Tcp, phone.client(), port_ps(), "\r\n");
    rig.silent();
}

#[test]
fn a_ping_is_dropped_where_a_message_would_be() {
    let (mut rig, mut phone) = (Rig::new(config()), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    rig.ue_sends(20, Transport::Udp, phone.client(), port_ps(), &binding_request());
    rig.silent();
    phone.send_protected(&mut rig, 30);
    rig.accept(40, 3_600);
    let dropped = rig.pcscf.dropped();
    rig.ue_sends(50, Transport::Udp, phone.clear(), address(pcscf_rig::PCSCF), &binding_request());
    rig.silent();
    assert_eq!(rig.pcscf.dropped(), dropped + 1, "clear text beside live SAs");
}

#[test]
fn ladders_name_keep_alives() {
    let label = |bytes: &[u8]| summary(Protocol::Sip, bytes, false).label;
    assert_eq!((label(b"\r\n\r\n"), label(b"\r\n")), ("CRLF CRLF".to_owned(), "CRLF".to_owned()));
    let mut response = Vec::new();
    stun::write_response(&ID, address("10.0.0.1:5060"), &mut response);
    assert_eq!(label(&binding_request()), "STUN binding request");
    assert_eq!((label(&response), label(b"noise")), ("STUN binding response".to_owned(), "5 octets".to_owned()));
}

/// RFC 5389 clause 7.3.1.
#[test]
fn a_stun_attribute_that_must_be_understood_is_refused_by_420() {
    let (mut rig, phone) = (Rig::new(config()), Phone::new(1));
    let mut request = binding_request();
    request[3] = 8;
    request.extend([0, 3, 0, 4, 0, 0, 0, 6]);
    rig.ue_sends(0, Transport::Udp, phone.clear(), address(pcscf_rig::PCSCF), &request);
    let answer = rig.answer();
    assert_eq!((&answer.bytes[..2], &answer.bytes[24..28]), (&[1, 0x11][..], &[0, 0, 4, 20][..]));
}

/// RFC 6223 clause 6: the 200 says how often, the 401 nothing; who does not offer is not asked.
#[test]
fn keep_gets_its_value_in_the_200() {
    let asking = || PcscfConfig { keep_alive: Some(Duration::from_secs(25)), ..config() };
    for (config, offers, value) in
        [(asking(), true, Some(Some("25"))), (asking(), false, None), (config(), true, Some(None))]
    {
        let (mut rig, mut phone) = (Rig::new(config), Phone::new(1));
        let offer = |text: String| if offers { text.replacen(";branch", ";keep;branch", 1) } else { text };
        let first = offer(phone.first());
        phone.send_clear(&mut rig, 0, &first);
        let challenge = rig.challenge(10, &mut phone);
        assert_eq!(challenge.message().via().unwrap().params.get("keep"), offers.then_some(None));
        let second = offer(phone.protected());
        phone.send_over_sa(&mut rig, 20, &second);
        let ok = rig.accept(30, 3_600);
        assert_eq!(ok.message().via().unwrap().params.get("keep"), value, "{}", ok.text);
        assert_eq!(ok.header(HeaderName::FlowTimer), None, "no outbound");
    }
}

/// RFC 5626 clause 5.4.
#[test]
fn flow_timer_goes_with_outbound() {
    let (mut rig, mut phone) =
        (Rig::new(PcscfConfig { keep_alive: Some(Duration::from_secs(25)), ..config() }), Phone::new(1));
    phone.send_first(&mut rig, 0);
    rig.challenge(10, &mut phone);
    phone.send_protected(&mut rig, 20);
    let request = rig.forwarded();
    let ok = pcscf_rig::accepted(&request, 3_600).replace("\r\nPath", "\r\nRequire: outbound\r\nPath");
    rig.core_sends(30, &ok);
    assert_eq!(rig.answer().header(HeaderName::FlowTimer).as_deref(), Some("25"));
}

/// A registered phone that is asked when it is silent for a minute, and its Path.
fn probed(sec_agree: SecAgreePolicy) -> (Rig, Phone, String) {
    let interval = Some(Duration::from_secs(60));
    let (mut rig, mut phone) =
        (Rig::new(PcscfConfig { options_interval: interval, sec_agree, ..config() }), Phone::new(1));
    phone.send_first(&mut rig, 0);
    if sec_agree != SecAgreePolicy::Off {
        rig.challenge(10, &mut phone);
        phone.send_protected(&mut rig, 20);
    }
    let register = rig.forwarded();
    let path = register.header(HeaderName::Path).unwrap();
    rig.core_sends(30, &pcscf_rig::accepted(&register, 3_600));
    rig.answer();
    (rig, phone, path)
}

fn message_for(path: &str, branch: &str) -> String {
    format!(
        "MESSAGE sip:u@10.1.0.1:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2:6060;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 60\r\nRoute: {path}\r\nFrom: <sip:b@x>;tag=b\r\nTo: <sip:u@x>\r\nCall-ID: {branch}\r\n\
         CSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Field lesson 39: on the way that a request for it would take.
#[test]
fn lesson_39_a_silent_ue_is_asked_through_its_set() {
    let (mut rig, phone, _) = probed(SecAgreePolicy::Required);
    rig.drive(60_029);
    rig.silent();
    rig.drive(60_030);
    let probe = rig.answer();
    assert!(probe.text.starts_with("OPTIONS sip:10.1.0.1:31001 SIP/2.0\r\n"), "{}", probe.text);
    assert_eq!((probe.from.port(), probe.to, probe.protected), (5_100, phone.server(), true));
    assert!(probe.header(HeaderName::Via).unwrap().starts_with("SIP/2.0/UDP 10.0.0.1:6100;"));
    // Any answer will do.
    phone.send_over_sa(&mut rig, 60_100, &response(&probe, "481 No", ""));
    rig.drive(120_099);
    rig.silent();
    rig.drive(120_100);
    assert!(rig.answer().text.starts_with("OPTIONS "), "a minute after it was heard last");
}

#[test]
fn whoever_is_heard_is_not_asked() {
    let (mut rig, mut phone, _) = probed(SecAgreePolicy::Required);
    for minute in 0..5 {
        let at = 50_000 + minute * 60_000 - minute * 10_000;
        if minute % 2 == 0 {
            rig.ue_sends(at, Transport::Udp, phone.client(), port_ps(), &binding_request());
            rig.answer();
        } else {
            let text = phone.request("MESSAGE", 31_001, "");
            phone.send_over_sa(&mut rig, at, &text);
            rig.served(at + 10);
        }
    }
    rig.silent();
}

/// Field lesson 38: two questions, four seconds each; requests are refused until the UE is heard again.
#[test]
fn lesson_38_two_unanswered_questions_make_a_flow_silent() {
    let (mut rig, mut phone, path) = probed(SecAgreePolicy::Required);
    rig.drive(68_029);
    let probes = rig.to_ue.iter().filter(|m| m.text.starts_with("OPTIONS "));
    let calls: std::collections::BTreeSet<String> = probes.map(|m| m.header(HeaderName::CallId).unwrap()).collect();
    assert_eq!(calls.len(), 2);
    assert!(!rig.events.iter().any(|e| matches!(e, What::UeSilent { .. })));
    rig.drive(68_030);
    rig.to_ue.clear();
    assert!(rig.events.iter().any(|e| matches!(e, What::UeSilent { since, .. } if since.as_secs() == 68)));
    rig.core_sends(69_000, &message_for(&path, "a"));
    assert_eq!(rig.forwarded().status(), 430);
    assert_eq!((rig.pcscf.sa_sets(), rig.pcscf.subscribers()), (1, 1), "field lesson 37: nothing is de-registered");
    let text = phone.request("MESSAGE", 31_001, "");
    phone.send_over_sa(&mut rig, 70_000, &text);
    rig.served(70_010);
    rig.core_sends(71_000, &message_for(&path, "b"));
    assert!(rig.answer().text.starts_with("MESSAGE "));
}

#[test]
fn a_silent_ue_is_asked_again_every_now_and_then() {
    let (mut rig, phone, path) = probed(SecAgreePolicy::Off);
    rig.drive(68_030);
    rig.to_ue.clear();
    rig.drive(128_030);
    let probe = rig.to_ue.iter().find(|m| m.text.starts_with("OPTIONS ")).expect("asked once more").clone();
    assert_eq!((probe.to, probe.protected), (phone.clear(), false));
    rig.to_ue.clear();
    phone.send_clear(&mut rig, 128_100, &response(&probe, "200 OK", ""));
    rig.core_sends(129_000, &message_for(&path, "a"));
    assert!(rig.to_ue.iter().any(|m| m.text.starts_with("MESSAGE ")), "it is there again");
}

#[test]
fn nobody_is_asked_after_the_end_of_its_registration() {
    let (mut rig, _, _) = probed(SecAgreePolicy::Required);
    rig.drive(3_700_000);
    rig.to_ue.clear();
    rig.drive(4_000_000);
    rig.silent();
    assert_eq!(rig.pcscf.next_timeout(), None);
}

fn simulation(settings: &[(&str, &str)], until: u64) -> Simulation<Recorder> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/first-registration.yaml");
    let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.until = Duration::from_secs(until);
    scenario.settings.extend(settings.iter().map(|(key, value)| Setting::new("test", key, *value)));
    Simulation::new(&scenario, Recorder::default()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What is no message, by length.
fn count(simulation: &Simulation<Recorder>, octets: usize) -> usize {
    simulation.world().tap.hops.iter().filter(|hop| hop.name == format!("{octets} octets")).count()
}

#[test]
fn a_ue_and_a_pcscf_keep_their_flow_open() {
    for (transport, ping, pong) in [("udp", 20, 32), ("tcp", 4, 2)] {
        let settings = [("pcscf.keep_alive", "25s"), ("ue.keep_alive", "negotiated"), ("ue.transport", transport)];
        let mut simulation = simulation(&settings, 600);
        simulation.run();
        assert_eq!(simulation.registered(), 1, "{}", simulation.world().tap.trace());
        let pings = count(&simulation, ping);
        // 600 s at 20 to 25 s.
        assert!((23..=30).contains(&pings), "{transport}: {pings}");
        assert_eq!(count(&simulation, pong), pings);
        let registers = simulation.world().tap.count().iter().filter(|(name, _)| name.starts_with("REGISTER")).count();
        assert_eq!(registers, 2, "the names of two hops: nothing was registered anew");
    }
}

/// The P-CSCF is out of reach for long enough: the UE begins again by itself.
#[test]
fn a_ue_whose_pings_are_lost_registers_anew() {
    let mut simulation = simulation(&[("ue.keep_alive", "60s")], 600);
    let outage =
        Outage { role: imsreg::event::Role::Pcscf, from: Instant::from_secs(50), until: Instant::from_secs(150) };
    simulation.world_mut().links.outages.push(outage);
    simulation.run();
    assert_eq!(simulation.registered(), 1, "{}", simulation.world().tap.trace());
    let granted = simulation.world().tap.count().get("401 REGISTER").copied().unwrap_or_default();
    assert_eq!(granted, 6, "two challenges over three hops: {:?}", simulation.world().tap.count());
}
