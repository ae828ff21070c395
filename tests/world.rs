//! The simulated world itself, with one UE in it and a test outside that plays the P-CSCF.

mod common;

use common::{Recorder, address, name};
use imsreg::aka::K;
use imsreg::aka::usim::Usim;
use imsreg::aka::vector::SubscriberKeys;
use imsreg::event::Role;
use imsreg::ims::{ElementId, Ims, Wiring};
use imsreg::ipsec::association::Mod;
use imsreg::packet::{Route, Transport};
use imsreg::pcscf::SecAgreePolicy;
use imsreg::random::Random;
use imsreg::sim::{Letter, Link, Links, Outage, World};
use imsreg::sip::transaction::Timers;
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{InvitePolicy, KeepAlivePolicy, RetryPolicy, Ue, UeConfig, UeStatus};

const PCSCF: &str = "10.0.0.9:5060";
const UE: &str = "10.0.0.1:5060";

fn world(transport: Transport, links: Links, seed: u64) -> (World<Recorder>, ElementId) {
    let config = UeConfig {
        impi: "001010000000001@example.org".into(),
        impu: "sip:001010000000001@example.org".into(),
        realm: "example.org".into(),
        usim: Some(Usim::new(SubscriberKeys::Xor { k: K([7; 16]) }, 0)),
        login: None,
        pcscf: address(PCSCF),
        local: address(UE),
        protected_ports: (31_000, 31_001),
        port_c_pool: 16,
        transport,
        sec_agree: SecAgreePolicy::Off,
        algorithms: Vec::new(),
        modes: vec![Mod::Trans],
        expires: Duration::from_secs(3_600),
        timers: Timers::GM,
        retry: RetryPolicy { base: Duration::from_secs(30), max: Duration::from_secs(1_800), attempts: Some(1) },
        instance: None,
        contact_user: None,
        contact_parameters: "".into(),
        features: "".into(),
        access_network: None,
        user_agent: "test".into(),
        invite: InvitePolicy::default(),
        keep_alive: KeepAlivePolicy::Off,
        refresh: false,
        subscribe: false,
        reg_id: None,
        second_flow: None,
        gruu: false,
        emergency: false,
        forms: None,
        epoch: Epoch::SIMULATION,
    };
    let mut ims = Ims::new(Wiring::Wire);
    let ue = ims.add(Ue::new(config, Random::seeded(4))).expect("free addresses");
    (World::new(ims, links, seed, Recorder::default()), ue)
}

/// One whose P-CSCF answers, or at least listens.
fn with_pcscf(transport: Transport, links: Links, seed: u64) -> (World<Recorder>, ElementId) {
    let (mut world, ue) = world(transport, links, seed);
    world.open_outside(address(PCSCF), Role::Pcscf);
    (world, ue)
}

fn register(world: &mut World<Recorder>, ue: ElementId) {
    world.command(ue, |element, now, out| element.as_ue_mut().expect("a UE").register(now, out));
}

fn status(world: &World<Recorder>, ue: ElementId) -> UeStatus {
    world.ims().element(ue).as_ue().expect("a UE").status()
}

/// When the REGISTERs arrived, in milliseconds.
fn arrivals(letters: &[Letter]) -> Vec<u64> {
    assert!(letters.iter().all(|letter| name(letter.route.protocol, &letter.bytes) == "REGISTER sip:example.org"));
    letters.iter().map(|letter| letter.at.as_micros() / 1_000).collect()
}

fn answer(letter: &Letter, status: u16) -> (Route, Vec<u8>) {
    let request = String::from_utf8(letter.bytes.clone()).expect("text");
    let mut text = format!("SIP/2.0 {status} x\r\n");
    for line in request.lines() {
        if ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            text.push_str(line);
            text.push_str(if line.starts_with("To:") { ";tag=net\r\n" } else { "\r\n" });
        }
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    (Route::sip(letter.route.transport, letter.route.to, letter.route.from), text.into_bytes())
}

#[test]
fn a_datagram_takes_the_latency_of_its_link() {
    let links = Links {
        between: vec![(Role::Pcscf, Role::Ue, Link { latency: Duration::from_millis(40), ..Link::CLEAN })],
        ..Links::default()
    };
    let (mut world, ue) = with_pcscf(Transport::Udp, links, 1);
    register(&mut world, ue);
    world.run_until(Instant::from_secs(31));
    // Timer E of TS 24.229: 2, 4, 8, 16 s.
    assert_eq!(arrivals(&world.take_letters()), [40, 2_040, 6_040, 14_040, 30_040]);
    world.run_until(Instant::from_secs(129));
    assert_eq!(status(&world, ue), UeStatus::Failed { status: 0 });
}

#[test]
fn what_the_party_outside_answers_arrives() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut world, ue) = with_pcscf(transport, Links::default(), 1);
        register(&mut world, ue);
        world.run_until(Instant::from_millis(10));
        let letters = world.take_letters();
        // A stream is opened first: there, back, and then comes the segment.
        assert_eq!(arrivals(&letters), [if transport == Transport::Tcp { 3 } else { 1 }]);
        let (route, bytes) = answer(&letters[0], 403);
        world.send_from_outside(route, &bytes);
        world.run_until(Instant::from_millis(12));
        assert_eq!(world.tap.hops.len(), 2, "{:?}", world.tap.count());
        assert_ne!(status(&world, ue), UeStatus::Registering);
    }
}

#[test]
fn a_connection_to_nobody_fails() {
    let (mut world, ue) = world(Transport::Tcp, Links::default(), 1);
    register(&mut world, ue);
    world.run_until(Instant::from_secs(5));
    assert_eq!(status(&world, ue), UeStatus::Failed { status: 0 });
}

#[test]
fn lost_datagrams_are_seen_and_do_not_arrive() {
    let default = Link { loss: 1_000, ..Link::CLEAN };
    let (mut world, ue) = with_pcscf(Transport::Udp, Links { default, ..Links::default() }, 1);
    register(&mut world, ue);
    world.run_until(Instant::from_secs(10));
    assert_eq!((world.tap.hops.len(), world.take_letters().len()), (3, 0));
}

#[test]
fn duplicates_and_disorder_come_with_the_seed() {
    let default = Link { jitter: Duration::from_secs(9), duplication: 500, ..Link::CLEAN };
    let run = |seed| {
        let (mut world, ue) = with_pcscf(Transport::Udp, Links { default, ..Links::default() }, seed);
        register(&mut world, ue);
        world.run_until(Instant::from_secs(60));
        (arrivals(&world.take_letters()), world.tap.everything())
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
    assert!(run(1).0.len() > 5, "five were sent");
    assert!(run(1).0.is_sorted());
}

#[test]
fn an_outage_ends() {
    let outage = Outage { role: Role::Pcscf, from: Instant::ZERO, until: Instant::from_secs(6) };
    let (mut world, ue) = with_pcscf(Transport::Udp, Links { outages: vec![outage], ..Links::default() }, 1);
    register(&mut world, ue);
    world.run_until(Instant::from_secs(15));
    assert_eq!(arrivals(&world.take_letters()), [6_001, 14_001]);
}

#[test]
fn a_stream_outlives_a_short_outage_and_breaks_in_a_long_one() {
    let outage = |secs| {
        let outage = Outage { role: Role::Pcscf, from: Instant::from_millis(2), until: Instant::from_secs(secs) };
        Links { outages: vec![outage], ..Links::default() }
    };
    for secs in [10, 60] {
        let (mut world, ue) = with_pcscf(Transport::Tcp, outage(secs), 1);
        register(&mut world, ue);
        world.run_until(Instant::from_millis(10));
        let letters = world.take_letters();
        assert_eq!(letters.len(), 1, "it was on its way already");
        let (route, bytes) = answer(&letters[0], 403);
        world.send_from_outside(route, &bytes);
        world.run_until(Instant::from_millis(9_999));
        assert_eq!(status(&world, ue), UeStatus::Registering);
        world.run_until(Instant::from_millis(10_002));
        assert_eq!(status(&world, ue) == UeStatus::Registering, secs == 60);
        world.run_until(Instant::from_secs(16));
        assert_eq!(status(&world, ue), UeStatus::Failed { status: if secs == 60 { 0 } else { 403 } });
    }
}
