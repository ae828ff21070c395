//! Faults of the network and of the HSS. Each ends in a status of the tables of `docs/registration.md`, and nobody who was
//! answered 200 is lost.
#![cfg(feature = "live")]

mod common;
#[path = "scscf_bench/driver.rs"]
mod driver;
#[path = "scscf_bench/user.rs"]
mod user;

use common::{Recorder, run};
use driver::{Driver, header, status};
use imsreg::config::{Elements, NetworkFault, Scenario, Setting, load_profile, load_scenario, load_subscribers};
use imsreg::cx::{CxResult, Envelope, Uaa, Uar};
use imsreg::diameter::Header;
use imsreg::event::{Role, What};
use imsreg::hss::{Hss, HssConfig};
use imsreg::icscf::{Icscf, IcscfConfig};
use imsreg::ims::{Element, ElementId, Ims, Wiring};
use imsreg::packet::Transport;
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::sim::{Links, Reset, Simulation, World};
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use user::Register;

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(format!("{name}.yaml"));
    load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"))
}

fn set(scenario: &mut Scenario, key: &str, value: &str) {
    scenario.settings.push(Setting::new("set", key, value));
}

fn simulation(scenario: &Scenario) -> Simulation<Recorder> {
    Simulation::new(scenario, Recorder::default()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What the UEs were answered to their REGISTERs.
fn statuses(simulation: &Simulation<Recorder>) -> BTreeSet<u16> {
    let ues: Vec<IpAddr> = simulation.ues().map(|ue| ue.config().local.ip()).collect();
    answers(&simulation.world().tap, &ues)
}

fn answers(tap: &Recorder, ues: &[IpAddr]) -> BTreeSet<u16> {
    let to_ue = tap.hops.iter().filter(|hop| ues.contains(&hop.to.ip()));
    to_ue.filter_map(|hop| hop.name.strip_suffix(" REGISTER")?.parse().ok()).collect()
}

#[track_caller]
fn all_of_the_tables(found: &BTreeSet<u16>, table: &[u16], trace: impl FnOnce() -> String) {
    assert!(found.iter().all(|status| table.contains(status)), "{found:?}\n{}", trace());
}

/// From the moment of the scenario's first step.
fn at(secs: u64) -> Instant {
    Instant::from_secs(1 + secs)
}

#[test]
fn a_slow_hss_delays_registrations_and_one_that_is_too_slow_is_as_silent() {
    for (latency, found) in [(1_000, &[100, 200, 401][..]), (3_000, &[480, 504])] {
        let mut scenario = scenario("first-registration");
        scenario.faults = [Role::Icscf, Role::Scscf]
            .map(|role| NetworkFault::Link {
                between: Some((role, Role::Hss)),
                latency: Some(Duration::from_millis(latency)),
                jitter: Duration::ZERO,
                loss: 0,
                duplication: 0,
            })
            .to_vec();
        scenario.until = Duration::from_secs(29);
        set(&mut scenario, "ue.subscribe", "false");
        let mut simulation = simulation(&scenario);
        simulation.run();
        all_of_the_tables(&statuses(&simulation), found, || simulation.world().tap.trace());
        assert_eq!(simulation.registered(), usize::from(latency == 1_000), "{}", simulation.world().tap.trace());
        if latency == 1_000 {
            continue;
        }
        // It gets well, and so do they.
        simulation.world_mut().links = Links::default();
        simulation.world_mut().run_until(at(300));
        assert_eq!(simulation.registered(), 1, "{}", simulation.world().tap.trace());
    }
}

/// Ten users are registered when the HSS goes for 30 s. Half of them refresh meanwhile, the others do not notice.
#[test]
fn an_hss_that_is_gone_for_30_seconds_costs_nobody_his_registration() {
    let mut scenario = scenario("hss-outage");
    scenario.ues = 10;
    scenario.faults =
        vec![NetworkFault::Outage { role: Role::Hss, from: Duration::from_secs(20), until: Duration::from_secs(50) }];
    scenario.steps.truncate(1);
    scenario.steps[0].ue = None;
    for ue in 0..5 {
        let mut step = scenario.steps[0];
        step.ue = Some(ue);
        step.at = Duration::from_secs(22 + u64::from(ue) * 5);
        step.action = imsreg::config::Action::Reregister;
        scenario.steps.push(step);
    }
    scenario.until = Duration::from_secs(60);
    let mut simulation = run(&scenario);
    let scscf = simulation.world().ims().of_role(Role::Scscf).expect("an S-CSCF");
    let registrations = |s: &Simulation<Recorder>| match s.world().ims().element(scscf) {
        Element::Scscf(scscf) => scscf.registrations(),
        other => panic!("{other:?}"),
    };
    assert_eq!(registrations(&simulation), 10);
    let found = statuses(&simulation);
    assert!(found.contains(&504) || found.contains(&480) || found.contains(&500), "nobody noticed: {found:?}");
    all_of_the_tables(&found, &[100, 200, 401, 480, 500, 504], || simulation.world().tap.trace());
    simulation.world_mut().run_until(at(600));
    assert_eq!((simulation.registered(), registrations(&simulation)), (10, 10), "{}", simulation.world().tap.trace());
}

#[test]
fn a_silent_hss_is_a_status_every_time_and_no_state_is_left() {
    let mut scenario = scenario("hss-outage");
    scenario.ues = 3;
    scenario.steps[0].ue = None;
    scenario.faults =
        vec![NetworkFault::Outage { role: Role::Hss, from: Duration::ZERO, until: Duration::from_secs(100_000) }];
    scenario.until = Duration::from_secs(3_600);
    let simulation = run(&scenario);
    assert_eq!((simulation.registered(), simulation.world().ims().sa_sets()), (0, 0));
    assert_eq!(statuses(&simulation), BTreeSet::from([504]), "{}", simulation.world().tap.trace());
}

/// Every code that an HSS may answer, sensible or not.
fn results() -> impl Iterator<Item = CxResult> {
    let base = [3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 4001, 4002, 4003];
    let base = base.into_iter().chain(5001..=5017).map(CxResult::Base);
    base.chain((2001..=2005).chain(4100..=4102).chain(5001..=5012).map(CxResult::Experimental))
}

#[test]
fn every_result_code_of_the_hss_ends_in_a_status_of_the_tables() {
    for result in results().filter(|result| !result.is_success()) {
        // MAR: no challenge, no attempt.
        let mut s = user::scscf(user::config());
        s.register(&Register::initial());
        let request = s.asked();
        s.maa(&request, result, Vec::new());
        let found = s.answered();
        assert!([403, 480].contains(&found), "MAA {result}: {found}");
        s.quiet();
        assert_eq!((s.element.attempts(), s.element.registrations()), (0, 0), "MAA {result}");

        // SAR of a first registration: nobody is registered.
        let first = Register::initial();
        let challenge = s.challenge(&first, 1);
        s.register(&first.answering(&challenge));
        refuse(&mut s, result);
        assert_eq!((s.element.attempts(), s.element.registrations()), (0, 0), "SAA {result}");

        // SAR of a refresh: who was answered 200 stays registered, and may refresh later.
        let mut s = user::scscf(user::config());
        let (registered, _) = s.registered();
        s.register(&registered.next());
        let found = refuse(&mut s, result);
        assert_eq!(s.element.registrations(), 1, "SAA {result}: {found}");
        s.register(&registered.next().next());
        s.assign_again();
        assert_eq!(s.answered(), 200, "SAA {result}");
    }
}

/// The SAA, and the answer of the REGISTER.
fn refuse(s: &mut Driver<Scscf>, result: CxResult) -> u16 {
    let request = s.asked();
    s.answer_sar(&request, result, None);
    if result == CxResult::Base(3002) {
        // Nobody answers to the name of the HSS that was asked before: the realm is asked.
        let request = s.asked();
        s.answer_sar(&request, result, None);
    }
    let text = s.sent().text;
    let found = status(&text);
    assert!([403, 500].contains(&found), "SAA {result}: {found}");
    assert!(found != 500 || header(&text, "Retry-After") == "30", "SAA {result}: {text}");
    let told = s.events();
    assert!(told.iter().any(|what| matches!(what, What::Refused { status, .. } if *status == found)), "{told:?}");
    found
}

#[test]
fn every_result_code_to_uar_ends_in_a_status_of_the_tables() {
    let config = || IcscfConfig {
        listen: vec![user::ICSCF.parse().unwrap()],
        host: "icscf.example".into(),
        transport: Transport::Tcp,
        timers: imsreg::sip::transaction::Timers::CORE,
        diameter: driver::node("icscf.example"),
        realm: driver::REALM.into(),
        scscfs: Vec::new(),
        limits: Default::default(),
        hosts: Default::default(),
        trusted: Vec::new(),
    };
    let known = [CxResult::SUCCESS, CxResult::FIRST_REGISTRATION, CxResult::SUBSEQUENT_REGISTRATION];
    for result in results() {
        let mut i = Driver::new(Icscf::new(config(), Random::seeded(3)), user::ICSCF);
        i.sip("127.0.0.1:5060", &Register::initial().text());
        let request = i.asked();
        let session_id = Uar::decode(&request).unwrap().envelope.session_id.to_owned();
        let envelope = Envelope { session_id: &session_id, origin_host: "hss.example", origin_realm: driver::REALM };
        let uaa = Uaa { envelope, result, server_name: None, capabilities: None };
        i.hss(&request, false, |w| uaa.encode(w));
        let found = status(&i.sent().text);
        // Where the HSS lets the user in, there is no S-CSCF in this network.
        let table: &[u16] = if known.contains(&result) { &[600] } else { &[403, 480] };
        assert!(table.contains(&found), "UAA {result}: {found}");
        i.quiet();
    }
}

/// Thirty users come at one moment to a network that takes on three registrations at a time: the others are shed and come
/// back spread. Nobody who was answered 200 hears anything else afterwards.
#[test]
fn a_crowd_is_registered_in_the_end_by_a_network_that_sheds() {
    let mut scenario = scenario("loss");
    scenario.faults.clear();
    scenario.ues = 30;
    scenario.until = Duration::from_secs(1_800);
    set(&mut scenario, "limits.waiting", "3");
    set(&mut scenario, "ue.subscribe", "false");
    let simulation = run(&scenario);
    let trace = || simulation.world().tap.trace();
    assert_eq!(simulation.registered(), 30, "{}", trace());
    let found = statuses(&simulation);
    assert!(found.contains(&503), "nobody was shed: {found:?}");
    // What the S-CSCF sheds comes through the I-CSCF as 500 (RFC 3261 clause 16.7).
    all_of_the_tables(&found, &[200, 401, 500, 503], trace);
    for ue in simulation.ues() {
        let answers = simulation.world().tap.to(ue.config().local.ip());
        let accepted = answers.iter().filter(|name| **name == "200 REGISTER").count();
        assert_eq!((accepted, answers.last()), (1, Some(&"200 REGISTER")), "{answers:?}");
        let shed_after_challenge =
            answers.windows(2).any(|pair| pair[0] == "401 REGISTER" && pair[1] != "200 REGISTER");
        assert!(!shed_after_challenge, "{answers:?}");
    }
}

/// A hundred who were refused at one moment do not come back at one moment; who is challenged answers at once.
#[test]
fn lesson_85_a_crowd_comes_back_spread_and_answers_challenges_at_once() {
    let mut scenario = scenario("loss");
    scenario.faults.clear();
    scenario.ues = 100;
    scenario.until = Duration::from_secs(120);
    set(&mut scenario, "limits.waiting", "3");
    set(&mut scenario, "ue.subscribe", "false");
    let simulation = run(&scenario);
    let (mut refused_at, mut back_at) = (Vec::new(), Vec::new());
    for ue in simulation.ues() {
        let ip = ue.config().local.ip();
        let all = simulation.world().tap.hops.iter().filter(|hop| hop.from.ip() == ip || hop.to.ip() == ip);
        let all: Vec<_> = all.filter(|hop| hop.name.ends_with("REGISTER") || hop.from.ip() == ip).collect();
        for pair in all.windows(2).filter(|pair| pair[0].name == "401 REGISTER") {
            // A hop has the time at which it arrives.
            assert!(pair[1].from.ip() == ip && pair[1].at - pair[0].at <= 50, "{} at {}", pair[1].name, pair[1].at);
        }
        let is_refusal = |name: &str| ["500 REGISTER", "503 REGISTER"].contains(&name);
        if let Some(at) = all.iter().position(|hop| is_refusal(&hop.name)) {
            refused_at.push(all[at].at);
            back_at.extend(all.get(at + 1).map(|hop| hop.at));
        }
    }
    let span = |times: &[u64]| times.iter().max().zip(times.iter().min()).map_or(0, |(last, first)| last - first);
    assert!(refused_at.len() > 50 && span(&refused_at) < 1_000, "{refused_at:?}");
    assert_eq!(back_at.len(), refused_at.len());
    // Half to one and a half of 30 s; a hundred spread over 30 s are some three a second.
    let most = back_at.iter().map(|at| back_at.iter().filter(|other| (*at..at + 1_000).contains(other)).count()).max();
    assert!(span(&back_at) > 20_000 && most.is_some_and(|most| most <= 15), "{most:?} in a second: {back_at:?}");
}

/// One in five is lost, both ways, on every link: UDP everywhere, so that nothing is repeated but by SIP itself.
#[test]
fn twenty_percent_loss_on_every_link_prevents_no_registration() {
    for seed in 1..=5 {
        let mut scenario = scenario("loss");
        scenario.seed = seed;
        scenario.faults = vec![NetworkFault::Link {
            between: None,
            latency: None,
            jitter: Duration::ZERO,
            loss: 200,
            duplication: 0,
        }];
        scenario.until = Duration::from_secs(900);
        set(&mut scenario, "ue.subscribe", "false");
        let simulation = run(&scenario);
        assert_eq!(simulation.registered(), 10, "seed {seed}\n{}", simulation.world().tap.trace());
        // Repetitions and stored answers make up for all of it: nobody is refused.
        let table = [100, 200, 401];
        all_of_the_tables(&statuses(&simulation), &table, || simulation.world().tap.trace());
    }
}

/// The connection of every message of a registration is reset, before it arrives and behind it: SIP on Gm and between
/// the CSCFs, and Diameter. The UE is registered in the end, by itself.
#[test]
fn a_reset_at_any_message_of_a_registration_delays_it() {
    let mut scenario = scenario("first-registration");
    set(&mut scenario, "ue.transport", "tcp");
    set(&mut scenario, "ue.subscribe", "false");
    scenario.until = Duration::from_secs(400);
    let mut seen = BTreeSet::new();
    for reset in [Reset::InsteadOf, Reset::Behind] {
        for passed in 0.. {
            let mut simulation = simulation(&scenario);
            simulation.world_mut().reset_after(passed, reset);
            simulation.run();
            let trace = || format!("{reset:?} after {passed}\n{}", simulation.world().tap.trace());
            assert_eq!(simulation.registered(), 1, "{}", trace());
            let found = statuses(&simulation);
            all_of_the_tables(&found, &[100, 200, 401, 480, 500, 504], trace);
            seen.extend(found);
            // No SA outlives what it was made for: one set at either end.
            assert_eq!(simulation.world().ims().sa_sets(), 2, "{}", trace());
            if passed > 40 {
                break;
            }
        }
    }
    assert!(seen.contains(&504) || seen.contains(&480), "no reset was noticed: {seen:?}");
}

/// A world with two HSSs of the same subscribers; the second one knows no registration of the first.
struct TwoHss {
    world: World<Recorder>,
    first: ElementId,
    config: HssConfig,
    ue: ElementId,
}

fn two_hss() -> TwoHss {
    let scenario = scenario("first-registration");
    let mut settings = scenario.settings.clone();
    let peers = "[\"127.0.0.1:3868\", \"127.0.0.2:3868\"]";
    for (key, value) in [("icscf.hss", peers), ("scscf.hss", peers), ("ue.subscribe", "false")] {
        settings.push(Setting::new("set", key, value));
    }
    let profile = load_profile(&scenario.profile, &settings).unwrap_or_else(|faults| panic!("{faults}"));
    let subscribers = load_subscribers(&scenario.hss_data, &profile).unwrap_or_else(|faults| panic!("{faults}"));
    let (all, epoch) = (Elements::ALL, Epoch::SIMULATION);
    let mut ims = Ims::new(Wiring::Wire);
    let pcscf = profile.pcscf(all).expect("no faults");
    let access = pcscf.listen[0];
    let mut random = Random::seeded(9);
    ims.add(Pcscf::new(pcscf, random.fork())).expect("free");
    ims.add(Icscf::new(profile.icscf(all, epoch).expect("no faults"), random.fork())).expect("free");
    ims.add(Scscf::new(profile.scscf(all, epoch).expect("no faults"), random.fork())).expect("free");
    let config = profile.hss(epoch).expect("no faults");
    let first = ims.add(Hss::new(config.clone(), subscribers.store.clone(), random.fork())).expect("free");
    let mut other = config.clone();
    other.diameter.origin_host = "hss2.example".into();
    other.diameter.address = "127.0.0.2".parse().unwrap();
    other.diameter.listen = Some("127.0.0.2:3868".parse().unwrap());
    ims.add(Hss::new(other, subscribers.store.clone(), random.fork())).expect("free");
    let local: SocketAddr = "127.0.1.1:5060".parse().unwrap();
    let subscription = subscribers.subscription(0).expect("a subscriber with keys");
    let ue = ims.add(Ue::new(profile.ue(&subscription, access, local, epoch), random.fork())).expect("free");
    let world = World::new(ims, Links::default(), 1, Recorder::default());
    TwoHss { world, first, config, ue }
}

/// The preferred HSS dies at every millisecond of a registration, MAR under way among them.
#[test]
fn another_hss_takes_over_in_the_middle_of_a_registration() {
    let mut repeated = BTreeSet::new();
    for millis in 0..40 {
        let TwoHss { mut world, first, config, ue } = two_hss();
        world.start();
        world.run_until(at(0));
        world.command(ue, |element, now, out| element.as_ue_mut().expect("a UE").register(now, out));
        world.run_until(at(0) + Duration::from_millis(millis));
        let nobody = imsreg::hss::Store::default();
        world.crash(first, Hss::new(config, nobody, Random::seeded(1)));
        world.run_until(at(120));
        let status = world.ims().element(ue).as_ue().expect("a UE").status();
        assert_eq!(status, UeStatus::Registered, "after {millis} ms\n{}", world.tap.trace());
        let found = answers(&world.tap, &["127.0.1.1".parse().unwrap()]);
        all_of_the_tables(&found, &[100, 200, 401, 480, 500, 504], || {
            format!("after {millis} ms\n{}", world.tap.trace())
        });
        let cx = world.tap.hops.iter().filter(|hop| hop.to.port() == 3868).filter_map(|hop| Header::read(&hop.bytes));
        repeated.extend(cx.filter(|h| h.request && h.retransmitted).map(|h| h.command));
    }
    // UAR, SAR and MAR were each caught on their way, and went to the other HSS with T (RFC 6733 clause 5.5.4).
    assert_eq!(repeated, BTreeSet::from([300, 301, 303]));
}
