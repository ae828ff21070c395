//! Bindings over all elements in virtual time: flows of RFC 5626, GRUUs, identities that share security associations, UEs
//! that begin anew. A line has a second and a message.
#![cfg(feature = "live")]

mod common;

use common::{Recorder, pass, run};
use imsreg::config::{Scenario, Setting, load_scenario};
use imsreg::cx::ReasonCode;
use imsreg::event::Role;
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::sim::Simulation;
use imsreg::time::Duration;
use imsreg::ue::Ue;
use std::path::Path;

/// One UE that registers at once; `set` is on top of the lab profile.
fn scenario(set: &[(&str, &str)], ues: u32, until: u64) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/first-registration.yaml");
    let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.settings.extend(set.iter().map(|(key, value)| Setting::new("set", key, *value)));
    scenario.ues = ues;
    scenario.steps.iter_mut().for_each(|step| step.ue = None);
    scenario.until = Duration::from_secs(until);
    scenario
}

fn ue(simulation: &Simulation<Recorder>, n: usize) -> &Ue {
    simulation.ues().nth(n).expect("there are as many")
}

fn pcscf(simulation: &Simulation<Recorder>) -> &Pcscf {
    let ims = simulation.world().ims();
    ims.of_role(Role::Pcscf).and_then(|id| ims.element(id).as_pcscf()).expect("there is one")
}

/// Texts of the messages whose name begins so, in order.
fn texts(simulation: &Simulation<Recorder>, name: &str) -> Vec<String> {
    let hops = simulation.world().tap.hops.iter().filter(|hop| hop.name.starts_with(name));
    hops.map(|hop| String::from_utf8_lossy(&hop.bytes).into_owned()).collect()
}

#[test]
fn a_flow_of_rfc_5626_is_marked_by_the_p_cscf_and_required_by_the_registrar() {
    let simulation = run(&scenario(&[("ue.reg_id", "1")], 1, 5));
    let trace = simulation.world().tap.trace();
    assert_eq!(simulation.registered(), 1, "{trace}");
    let answer = texts(&simulation, "200 REGISTER").pop().expect("it is registered");
    assert!(
        answer.contains(";lr;ob>") && answer.contains("Require: outbound") && answer.contains(";reg-id=1"),
        "{answer}"
    );

    // Where the profile does not allow it, the registrar says so, and the UE does without.
    let simulation = run(&scenario(&[("ue.reg_id", "1"), ("pcscf.outbound", "false")], 1, 5));
    assert_eq!(texts(&simulation, "439 REGISTER").len(), 3, "{}", simulation.world().tap.trace());
    assert_eq!(simulation.registered(), 1);
}

#[test]
fn two_flows_of_a_ue_live_beside_each_other_and_are_told_of_together() {
    let settings =
        [("ue.reg_id", "1"), ("ue.second_flow", "127.0.0.1:5060"), ("ue.subscribe", "true"), ("wiring", "local")];
    let mut simulation = run(&scenario(&settings, 1, 5));
    let trace = simulation.world().tap.trace();
    assert_eq!(
        (simulation.registered(), simulation.world().ims().sa_sets()),
        (1, 4),
        "two sets, at either end: {trace}"
    );
    let answer = texts(&simulation, "200 REGISTER").pop().expect("it is registered");
    assert!(answer.contains(";reg-id=1") && answer.contains(";reg-id=2"), "{answer}");
    // The network ends both: the UE hears of both in one subscription, and forms both again.
    let impi = ue(&simulation, 0).config().impi.to_string();
    let hss = simulation.world().ims().of_role(Role::Hss).expect("there is one");
    simulation.world_mut().command(hss, |element, now, out| {
        let hss = element.as_hss_mut().expect("the HSS");
        hss.deregister(now, &impi, ReasonCode::ServerChange, out).expect("he is served");
    });
    pass(&mut simulation, 5);
    assert_eq!(simulation.world().ims().sa_sets(), 4, "{}", simulation.world().tap.trace());
}

/// Seconds of the scenario and messages from `second` on, without Diameter's base protocol and reg event.
fn lines(simulation: &Simulation<Recorder>, second: u64) -> Vec<String> {
    let left_out = ["CER", "CEA", "DWR", "DWA", "SUBSCRIBE", "200 SUBSCRIBE", "NOTIFY", "200 NOTIFY"];
    let short = |hop: &common::Sent| hop.name.split(" sip:").next().unwrap_or_default().to_owned();
    let hops = simulation.world().tap.hops.iter().map(|hop| ((hop.at / 1_000).saturating_sub(1), short(hop)));
    hops.filter(|(at, name)| *at >= second && !left_out.iter().any(|out| name.starts_with(out)))
        .map(|(at, name)| format!("{at} {name}"))
        .collect()
}

/// When the UE sends REGISTER, and whether it is challenged; a second REGISTER in that second answers.
fn attempts(simulation: &Simulation<Recorder>) -> Vec<(u64, bool)> {
    let mut found: Vec<(u64, bool)> = Vec::new();
    for line in lines(simulation, 0) {
        let (at, name) = line.split_once(' ').expect("second and name");
        let at = at.parse().expect("a number");
        match name {
            "REGISTER" if found.last().is_none_or(|(last, _)| *last != at) => found.push((at, false)),
            "401 REGISTER" => found.last_mut().expect("a REGISTER comes first").1 = true,
            _ => {}
        }
    }
    found
}

#[test]
fn it_is_refreshed_at_half_the_time_or_600_s_before_its_end() {
    for (granted, expected) in [("1000s", 500), ("1200s", 600), ("1202s", 602), ("3600s", 3_000)] {
        let simulation =
            run(&scenario(&[("scscf.expires.max", granted), ("scscf.challenge", "never")], 1, 2 * expected + 50));
        assert_eq!(attempts(&simulation), [(0, true), (expected, false), (2 * expected, false)], "{granted}");
    }
}

#[test]
fn the_policy_of_the_registrar_decides_which_refresh_is_challenged() {
    for (policy, challenged) in [
        ("always", [true, true, true, true]),
        ("never", [true, false, false, false]),
        ("every 2", [true, false, true, false]),
        ("after 800s", [true, false, true, false]),
    ] {
        let set = [("scscf.expires.max", "1000s"), ("scscf.challenge", policy)];
        let simulation = run(&scenario(&set, 1, 1_600));
        let expected: Vec<(u64, bool)> = [0, 500, 1_000, 1_500].into_iter().zip(challenged).collect();
        assert_eq!(attempts(&simulation), expected, "{policy}");
        assert_eq!(simulation.registered(), 1);
        // A challenged refresh changes the set of SAs; the old one goes when its last transactions are over.
        let sets = pcscf(&simulation).sa_sets();
        assert!(sets <= 2, "{sets}");
    }
}

#[test]
fn a_registrar_that_wants_longer_is_obeyed() {
    let simulation = run(&scenario(&[("scscf.expires.min", "600s"), ("ue.expires", "100s")], 1, 20));
    assert_eq!(simulation.registered(), 1, "{}", simulation.world().tap.trace());
    let refused = texts(&simulation, "423 REGISTER");
    assert!(refused.len() == 3 && refused[0].contains("Min-Expires: 600"), "{refused:?}");
    assert!(texts(&simulation, "200 REGISTER")[0].contains(";expires=600;"));
}

#[test]
fn a_ue_is_called_by_its_gruus_from_anywhere() {
    let mut simulation = run(&scenario(&[("ue.gruu", "true")], 2, 5));
    assert_eq!(simulation.registered(), 2, "{}", simulation.world().tap.trace());
    let called = ue(&simulation, 1);
    let public = called.public_gruu().expect("a 200 gave it").to_owned();
    let temporary = called.temporary_gruu().expect("a 200 gave it").to_owned();
    assert!(public.contains(";gr=urn:uuid:") && temporary.starts_with("sip:tgruu."), "{public} {temporary}");
    let (here, there) = (simulation.ue(0), ue(&simulation, 1).config().local.ip());
    for gruu in [&public, &temporary] {
        let before = texts(&simulation, "MESSAGE").len();
        simulation.world_mut().command(here, |element, now, out| {
            let ue = element.as_ue_mut().expect("a UE");
            ue.message(now, gruu, "text/plain", b"hello", out).expect("it is registered");
        });
        pass(&mut simulation, 3);
        let trace = simulation.world().tap.trace();
        let last = texts(&simulation, "MESSAGE").split_off(before).pop().expect("it was sent");
        assert!(last.starts_with(&format!("MESSAGE sip:001010000001000@{there}:")), "{last}\n{trace}");
        assert_eq!(lines(&simulation, 0).last().map(|l| l.split_once(' ').unwrap().1), Some("200 MESSAGE"), "{trace}");
    }
}

#[test]
fn within_a_call_both_sides_are_known_by_their_gruus() {
    let mut simulation = run(&scenario(&[("ue.gruu", "true")], 2, 5));
    let to = ue(&simulation, 1).config().impu.to_string();
    let (caller, called) = (simulation.ue(0), simulation.ue(1));
    simulation.world_mut().command(caller, |element, now, out| {
        let ue = element.as_ue_mut().expect("a UE");
        let offer = ue.offer();
        ue.invite(now, &to, &offer, out).expect("it is registered");
    });
    pass(&mut simulation, 10);
    for text in texts(&simulation, "INVITE").into_iter().chain(texts(&simulation, "200 INVITE")) {
        assert!(text.contains(";gr=urn:uuid:"), "{text}");
    }
    // The side that was called ends it: its BYE is for the GRUU of the caller, and reaches his address.
    simulation.world_mut().command(called, |element, now, out| {
        let ue = element.as_ue_mut().expect("a UE");
        let call = ue.newest_call().expect("it was answered");
        ue.hang_up(now, call, out).expect("it goes on");
    });
    pass(&mut simulation, 5);
    let trace = simulation.world().tap.trace();
    let byes = texts(&simulation, "BYE");
    assert!(byes.first().is_some_and(|bye| bye.lines().next().is_some_and(|l| l.contains(";gr="))), "{trace}");
    assert!(byes.last().is_some_and(|bye| bye.lines().next().is_some_and(|l| !l.contains(";gr="))), "{trace}");
    assert_eq!((ue(&simulation, 0).calls(), ue(&simulation, 1).calls()), (0, 0), "{trace}");
}

#[test]
fn a_ue_that_begins_from_nothing_takes_the_place_of_its_old_registration() {
    let mut simulation = run(&scenario(&[("ue.subscribe", "true")], 1, 10));
    let (id, config) = (simulation.ue(0), ue(&simulation, 0).config().clone());
    // 10 s: its battery is taken out; 20 s: it is switched on and knows nothing.
    simulation.world_mut().crash(id, Ue::new(config, Random::seeded(99)));
    pass(&mut simulation, 10);
    simulation.world_mut().restart(id);
    let before = simulation.world().tap.hops.len();
    simulation.world_mut().command(id, |element, now, out| element.as_ue_mut().expect("a UE").register(now, out));
    pass(&mut simulation, 5);
    let trace = simulation.world().tap.trace();
    assert_eq!(simulation.registered(), 1, "{trace}");
    // The old set went with the challenge, for the new one has its ports; so what the old subscription is told finds no
    // way and ends it. The new one is served.
    assert_eq!(pcscf(&simulation).sa_sets(), 1, "{trace}");
    let since = &simulation.world().tap.hops[before..];
    let count = |name: &str| since.iter().filter(|hop| hop.name.starts_with(name)).count();
    assert_eq!((count("430 NOTIFY"), count("200 NOTIFY")), (1, 2), "{trace}");
    let ims = simulation.world().ims();
    let scscf = ims.of_role(Role::Scscf).and_then(|id| ims.element(id).as_scscf()).expect("there is one");
    assert_eq!(scscf.subscriptions(), 1, "{trace}");
    let contacts: usize = scscf.registration_views(None).iter().map(|view| view.contacts.len()).sum();
    assert_eq!(contacts, 1, "{trace}");
}

#[test]
fn a_second_identity_shares_the_security_associations() {
    for (policy, challenges) in [("never", 0), ("always", 9)] {
        let set = [("scscf.challenge", policy), ("scscf.expires.max", "1000s")];
        // Challenges come far enough from each other for the P-CSCF: an IMPI has three sets at most, and an old one lives
        // for 128 s beside the new one.
        let mut simulation = run(&scenario(&set, 1, 170));
        let (id, second) = (simulation.ue(0), ue(&simulation, 0).associated()[1].clone());
        // 170 s: another identity of the user, over the SAs of the first.
        let before = simulation.world().tap.hops.len();
        let impu = second.clone();
        simulation.world_mut().command(id, |element, now, out| {
            element.as_ue_mut().expect("a UE").register_identity(now, impu, out).expect("the first is registered");
        });
        pass(&mut simulation, 530);
        let trace = simulation.world().tap.trace();
        let since = &simulation.world().tap.hops[before..];
        assert_eq!(since.iter().filter(|hop| hop.name.starts_with("401 REGISTER")).count(), challenges, "{trace}");
        assert_eq!(ue(&simulation, 0).other_identities().collect::<Vec<_>>(), [&second], "{trace}");
        // 500 s and 670 s: each has been refreshed for itself.
        let refreshed: Vec<u64> = attempts(&simulation).iter().map(|(at, _)| *at).filter(|at| *at > 170).collect();
        assert_eq!(refreshed, [500, 670], "{policy}: {trace}");
        pass(&mut simulation, 150);
        // They are of one implicit set, so they end together; what a temporary set carried last lives for 240 s.
        simulation.world_mut().command(id, |element, now, out| element.as_ue_mut().expect("a UE").deregister(now, out));
        pass(&mut simulation, 300);
        let trace = simulation.world().tap.trace();
        assert_eq!(
            (simulation.registered(), pcscf(&simulation).sa_sets(), pcscf(&simulation).subscribers()),
            (0, 0, 0),
            "{trace}"
        );
    }
}
