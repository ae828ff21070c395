//! Emergency registrations over all elements in virtual time (TS 24.229 clauses 5.1.6, 5.2.10 and 5.4.8). A line has a
//! second and a message.
#![cfg(feature = "live")]

mod common;

use common::{Recorder, pass, run};
use imsreg::capture::Entry;
use imsreg::config::{Action, Scenario, Setting, Step, load_scenario};
use imsreg::cx::{CxResult, ReasonCode, Rta, Uar};
use imsreg::event::{Role, What};
use imsreg::ims::Element;
use imsreg::pcscf::Pcscf;
use imsreg::scscf::Scscf;
use imsreg::sim::Simulation;
use imsreg::time::Duration;
use imsreg::ue::{Ue, UeStatus};
use std::path::Path;

fn scenario(steps: &[(u64, Action)], set: &[(&str, &str)], until: u64) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/first-registration.yaml");
    let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    let step =
        |(at, action): &(u64, Action)| Step { at: Duration::from_secs(*at), ue: None, action: *action, to: None };
    scenario.steps = steps.iter().map(step).collect();
    scenario.settings.extend(set.iter().map(|(key, value)| Setting::new("set", key, *value)));
    scenario.until = Duration::from_secs(until);
    scenario
}

fn element(simulation: &Simulation<Recorder>, role: Role) -> &Element {
    let ims = simulation.world().ims();
    ims.of_role(role).map(|id| ims.element(id)).expect("there is one of each role")
}

fn pcscf(simulation: &Simulation<Recorder>) -> &Pcscf {
    element(simulation, Role::Pcscf).as_pcscf().expect("a P-CSCF")
}

fn scscf(simulation: &Simulation<Recorder>) -> &Scscf {
    element(simulation, Role::Scscf).as_scscf().expect("an S-CSCF")
}

fn ue(simulation: &Simulation<Recorder>) -> &Ue {
    simulation.ues().next().expect("there is one")
}

/// What is bound at the S-CSCF: true for emergency calls.
fn bound(simulation: &Simulation<Recorder>) -> Vec<bool> {
    let views = scscf(simulation).registration_views(None);
    let mut bound: Vec<bool> = views.iter().flat_map(|v| &v.contacts).map(|c| c.uri.ends_with(";sos")).collect();
    bound.sort_unstable();
    bound
}

/// Seconds and messages from `second` on, without Diameter's base protocol.
fn lines(simulation: &Simulation<Recorder>, second: u64) -> Vec<String> {
    let short = |hop: &common::Sent| hop.name.split(" sip:").next().unwrap_or_default().to_owned();
    let hops = simulation.world().tap.hops.iter().map(|hop| ((hop.at / 1_000).saturating_sub(1), short(hop)));
    hops.filter(|(at, name)| *at >= second && !["CER", "CEA", "DWR", "DWA"].iter().any(|base| name.starts_with(base)))
        .map(|(at, name)| format!("{at} {name}"))
        .collect()
}

fn named<'s>(simulation: &'s Simulation<Recorder>, name: &str) -> Vec<&'s [u8]> {
    simulation.world().tap.hops.iter().filter(|hop| hop.name.starts_with(name)).map(|hop| &*hop.bytes).collect()
}

#[test]
fn it_has_sets_of_its_own_beside_the_usual_registration_and_nobody_hears_of_it() {
    let simulation = run(&scenario(&[(0, Action::Register), (10, Action::Emergency)], &[], 20));
    let trace = simulation.world().tap.trace();
    assert_eq!(ue(&simulation).status(), UeStatus::Registered, "{trace}");
    assert_eq!(ue(&simulation).emergency().map(Ue::status), Some(UeStatus::Registered), "{trace}");
    assert_eq!(bound(&simulation), [false, true], "{trace}");
    assert_eq!((pcscf(&simulation).sa_sets(), pcscf(&simulation).subscribers()), (2, 2), "{trace}");
    assert_eq!(
        lines(&simulation, 10),
        [
            "10 REGISTER",
            "10 REGISTER",
            "10 UAR",
            "10 UAA",
            "10 REGISTER",
            "10 MAR",
            "10 MAA",
            "10 401 REGISTER",
            "10 401 REGISTER",
            "10 401 REGISTER",
            "10 REGISTER",
            "10 REGISTER",
            "10 UAR",
            "10 UAA",
            "10 REGISTER",
            "10 SAR",
            "10 SAA",
            "10 200 REGISTER",
            "10 200 REGISTER",
            "10 200 REGISTER",
        ],
        "{trace}"
    );
    let flags: Vec<bool> = named(&simulation, "UAR").iter().map(|uar| Uar::decode(uar).unwrap().emergency).collect();
    assert_eq!(flags, [false, false, true, true], "UAR-Flags of the I-CSCF");
}

#[test]
fn it_is_not_refreshed_not_ended_by_its_ue_and_expires() {
    let set = [("scscf.expires.max", "1000s"), ("ue.emergency", "true")];
    let simulation = run(&scenario(&[(0, Action::Register), (100, Action::Deregister)], &set, 900));
    let trace = simulation.world().tap.trace();
    assert_eq!(bound(&simulation), [true], "{trace}");
    assert_eq!(lines(&simulation, 1), [""; 0], "{trace}");
    let simulation = run(&scenario(&[(0, Action::Register)], &set, 1_031));
    let trace = simulation.world().tap.trace();
    assert_eq!(lines(&simulation, 1), ["1000 SAR", "1000 SAA"], "{trace}");
    assert_eq!((scscf(&simulation).registrations(), pcscf(&simulation).sa_sets()), (0, 0), "{trace}");
    assert_eq!(ue(&simulation).status(), UeStatus::Idle);
}

#[test]
fn the_usual_registration_goes_and_it_stays() {
    let steps = [(0, Action::Register), (10, Action::Emergency), (20, Action::Deregister)];
    let simulation = run(&scenario(&steps, &[("ue.subscribe", "false")], 200));
    let trace = simulation.world().tap.trace();
    assert_eq!(bound(&simulation), [true], "{trace}");
    assert_eq!((pcscf(&simulation).sa_sets(), pcscf(&simulation).subscribers()), (1, 1), "{trace}");
    assert_eq!(named(&simulation, "SAR").len(), 2, "the HSS hears nothing of it yet: {trace}");
    assert_eq!(ue(&simulation).status(), UeStatus::Idle);
    assert_eq!(ue(&simulation).emergency().map(Ue::status), Some(UeStatus::Registered));
}

#[test]
fn the_hss_cannot_end_it() {
    // With a usual registration beside, that one ends.
    for (steps, result) in [
        (&[(0, Action::Register), (10, Action::Emergency)][..], CxResult::LIMITED_SUCCESS),
        (&[(10, Action::Emergency)], CxResult::UNABLE_TO_COMPLY),
    ] {
        let mut simulation = run(&scenario(steps, &[], 20));
        let ims = simulation.world().ims();
        let hss = ims.of_role(Role::Hss).expect("there is one");
        let impi = ue(&simulation).config().impi.as_str().to_owned();
        simulation.world_mut().command(hss, |element, now, out| {
            let Element::Hss(hss) = element else { panic!("an HSS") };
            hss.deregister(now, &impi, ReasonCode::PermanentTermination, out).expect("he is served");
        });
        pass(&mut simulation, 5);
        let trace = simulation.world().tap.trace();
        let rtas = named(&simulation, "RTA");
        let rta = Rta::decode(rtas[0]).unwrap();
        assert_eq!((rta.result, rta.emergency.len()), (result, 1), "{trace}");
        assert_eq!(rta.emergency[0].0, impi);
        assert_eq!(bound(&simulation), [true], "{trace}");
        // The HSS knows it as registered still: its S-CSCF is served by name.
        simulation.world_mut().command(hss, |element, now, out| {
            let Element::Hss(hss) = element else { panic!("an HSS") };
            hss.push_profile(now, &impi, out).expect("he is served");
        });
    }
}

#[test]
fn where_the_user_may_not_roam_he_may_register_for_emergency_calls() {
    let set = [("pcscf.visited_network", "elsewhere.example"), ("hss.visited_networks", "[another.example]")];
    let simulation = run(&scenario(&[(0, Action::Register), (10, Action::Emergency)], &set, 20));
    let trace = simulation.world().tap.trace();
    assert_eq!(ue(&simulation).status(), UeStatus::Failed { status: 403 }, "{trace}");
    assert_eq!(ue(&simulation).emergency().map(Ue::status), Some(UeStatus::Registered), "{trace}");
    assert_eq!(bound(&simulation), [true]);
}

#[test]
fn one_usim_serves_both() {
    let steps = [(0, Action::Register), (10, Action::Emergency), (20, Action::Reregister), (30, Action::Emergency)];
    let simulation = run(&scenario(&steps, &[("scscf.challenge", "always")], 40));
    let trace = simulation.world().tap.trace();
    let out_of_range = simulation.world().tap.capture.entries.iter().filter(
        |entry| matches!(entry, Entry::Event { event, .. } if matches!(event.what, What::SqnOutOfRange { .. })),
    );
    assert_eq!(out_of_range.count(), 0, "{trace}");
    assert_eq!(bound(&simulation), [false, true], "{trace}");
}
