//! Registration over a simulated network: the scenarios of `tests/scenarios`.
//!
//! `NAME.ladder` is what the ladder of the scenario NAME must look like; with `IMSREG_BLESS` set, the test writes it.
#![cfg(feature = "live")]

mod common;

use common::{Recorder, run};
use imsreg::capture::Entry;
use imsreg::config::{NetworkFault, Scenario, Setting, load_scenario};
use imsreg::event::{Role, What};
use imsreg::ladder::{self, Columns, Options};
use imsreg::sim::Simulation;
use imsreg::ue::UeStatus;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(name)
}

fn scenario(name: &str) -> Scenario {
    load_scenario(&path(&format!("{name}.yaml"))).unwrap_or_else(|faults| panic!("{faults}"))
}

fn count(simulation: &Simulation<Recorder>, name: &str) -> usize {
    simulation.world().tap.count().get(name).copied().unwrap_or(0)
}

/// REGISTERs that UEs sent, repetitions included: two for each registration would do.
fn from_ues(simulation: &Simulation<Recorder>) -> usize {
    let ues: Vec<IpAddr> = simulation.ues().map(|ue| ue.config().local.ip()).collect();
    simulation.world().tap.hops.iter().filter(|hop| ues.contains(&hop.from.ip()) && hop.name == REGISTER).count()
}

const REGISTER: &str = "REGISTER sip:ims.mnc001.mcc001.3gppnetwork.org";
const REGISTER_AT_SCSCF: &str = "REGISTER sip:scscf.ims.mnc001.mcc001.3gppnetwork.org:6060";

/// Messages that the transport repeats or that no transaction needs do not count.
#[test]
fn a_registration_is_twelve_sip_and_eight_cx_messages() {
    let simulation = run(&scenario("first-registration"));
    assert_eq!(simulation.registered(), 1, "{}", simulation.world().tap.trace());
    let found = simulation.world().tap.count();
    let expected = [(REGISTER, 4), (REGISTER_AT_SCSCF, 2), ("401 REGISTER", 3), ("200 REGISTER", 3)];
    let cx = ["UAR", "UAA", "MAR", "MAA", "SAR", "SAA"].map(|name| (name, if name.starts_with('U') { 2 } else { 1 }));
    for (name, times) in expected.into_iter().chain(cx) {
        assert_eq!(found.get(name), Some(&times), "{name} in {found:?}");
    }
    let base = ["CER", "CEA", "DWR", "DWA"];
    let known = |name: &str| base.contains(&name) || expected.iter().chain(&cx).any(|(known, _)| *known == name);
    assert!(found.keys().all(|name| known(name)), "{found:?}");
    assert_eq!(simulation.world().ims().sa_sets(), 2, "one set, at either end");
}

#[test]
fn the_ladders_of_a_life_are_as_they_were() {
    for name in GOLDEN {
        let simulation = run(&scenario(name));
        let listeners = simulation.world().ims().listeners();
        let columns = Columns::from_listeners(listeners.iter().map(|listener| (listener.address, listener.role)));
        let text = ladder::text(&simulation.into_tap().capture, &Options { columns, ..Options::default() });
        let golden = path(&format!("{name}.ladder"));
        if std::env::var_os("IMSREG_BLESS").is_some() {
            std::fs::write(&golden, &text).expect("a place to write");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_else(|e| panic!("{name}.ladder: {e}"));
        assert!(text == expected, "{name} looks different now:\n{text}");
    }
}

/// Every `.ladder` of `tests/scenarios` is in this list, and nothing else.
const GOLDEN: [&str; 9] = [
    "first-registration",
    "refresh",
    "re-authentication",
    "second-identity",
    "emergency",
    "shortened",
    "nat",
    "network-deregistration",
    "restoration",
];

#[test]
fn no_golden_ladder_is_forgotten() {
    let files = std::fs::read_dir(path("")).expect("the scenarios");
    let mut found: Vec<String> =
        files.filter_map(|file| Some(file.ok()?.file_name().to_str()?.strip_suffix(".ladder")?.to_owned())).collect();
    found.sort_unstable();
    let mut expected = GOLDEN.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for name in ["first-registration", "loss", "duplication", "reordering", "life"] {
        let mut scenario = scenario(name);
        let one = run(&scenario).into_tap().everything();
        assert!(one == run(&scenario).into_tap().everything(), "{name} differs from itself");
        scenario.seed += 1;
        assert!(one != run(&scenario).into_tap().everything(), "{name} does not depend on its seed");
    }
}

#[test]
fn a_lossy_radio_link_delays_registrations_and_prevents_none() {
    let simulation = run(&scenario("loss"));
    assert_eq!(simulation.registered(), 10, "{}", simulation.world().tap.trace());
    assert!(from_ues(&simulation) > 25, "nothing was lost, so nothing was tested");
}

#[test]
fn duplicates_are_acted_upon_once() {
    let simulation = run(&scenario("duplication"));
    assert_eq!(simulation.registered(), 10);
    assert_eq!((count(&simulation, "MAR"), count(&simulation, "SAR")), (10, 10));
    assert_eq!(from_ues(&simulation), 20, "nobody had to repeat anything");
    assert!(count(&simulation, "401 REGISTER") > 30, "no duplicate was answered");
}

#[test]
fn messages_that_overtake_each_other_do_no_harm() {
    let simulation = run(&scenario("reordering"));
    assert_eq!(simulation.registered(), 10, "{}", simulation.world().tap.trace());
    assert_eq!(count(&simulation, "482 REGISTER"), 0);
}

#[test]
fn without_the_icscf_the_ue_gets_504() {
    let simulation = run(&scenario("icscf-outage"));
    let ue = simulation.ues().next().expect("a UE").config().local.ip();
    let answers = simulation.world().tap.to(ue);
    assert!(
        !answers.is_empty() && answers.iter().all(|name| *name == "504 REGISTER"),
        "{}",
        simulation.world().tap.trace()
    );
    assert_eq!(simulation.world().ims().sa_sets(), 0);
}

/// Over UDP the P-CSCF waits for timer F of the core, and tells the UE so once its timer E has grown (RFC 4320).
#[test]
fn lesson_84_a_slow_core_is_a_100_and_then_504() {
    let mut scenario = scenario("icscf-outage");
    scenario.settings = self::scenario("loss").settings;
    let simulation = run(&scenario);
    let ue = simulation.ues().next().expect("a UE").config().local.ip();
    let answers: Vec<(u64, &str)> =
        simulation.world().tap.hops.iter().filter(|hop| hop.to.ip() == ue).map(|hop| (hop.at, &*hop.name)).collect();
    // The second 100 answers the REGISTER that the UE repeats 16 s after its third repetition.
    let [(15_001, "100 REGISTER"), (31_001, "100 REGISTER"), (33_001, "504 REGISTER")] = answers[..] else {
        panic!("{}", simulation.world().tap.trace())
    };
}

#[test]
fn without_the_scscf_the_ue_gets_504() {
    let mut scenario = scenario("icscf-outage");
    let NetworkFault::Outage { role, .. } = &mut scenario.faults[0] else { panic!("an outage is expected") };
    *role = Role::Scscf;
    let simulation = run(&scenario);
    let ue = simulation.ues().next().expect("a UE").config().local.ip();
    let answers = simulation.world().tap.to(ue);
    assert!(
        !answers.is_empty() && answers.iter().all(|name| *name == "504 REGISTER"),
        "{}",
        simulation.world().tap.trace()
    );
}

#[test]
fn everything_works_over_ipv6() {
    let mut scenario = scenario("life");
    for (key, value) in [
        ("pcscf.listen", "[\"[::1]:5060\"]"),
        ("icscf.listen", "[\"[::1]:4060\"]"),
        ("scscf.listen", "[\"[::1]:6060\"]"),
        ("hss.listen", "\"[::1]:3868\""),
        ("hosts", "{scscf.ims.mnc001.mcc001.3gppnetwork.org: \"::1\"}"),
    ] {
        scenario.settings.push(Setting::new("test", key, value));
    }
    let simulation = run(&scenario);
    assert!(simulation.world().tap.hops.iter().all(|hop| hop.from.is_ipv6() && hop.to.is_ipv6()));
    let states: Vec<UeStatus> = simulation.ues().map(imsreg::ue::Ue::status).collect();
    assert_eq!(states, [UeStatus::Idle, UeStatus::Registered], "{}", simulation.world().tap.trace());
}

#[test]
fn without_the_hss_nobody_is_registered_until_it_is_back() {
    let mut scenario = scenario("hss-outage");
    let end = std::mem::replace(&mut scenario.until, std::time::Duration::from_secs(15));
    let down = run(&scenario);
    assert_eq!(down.registered(), 0);
    assert_eq!(count(&down, "UAR"), 0);
    let ue = down.ues().next().expect("a UE").config().local.ip();
    let answers = down.world().tap.to(ue);
    assert!(
        !answers.is_empty() && answers.iter().all(|name| ["480 REGISTER", "504 REGISTER"].contains(name)),
        "{}",
        down.world().tap.trace()
    );
    scenario.until = end;
    assert_eq!(run(&scenario).registered(), 1, "the UE tries again");
}

#[test]
fn a_ue_refreshes_and_goes() {
    let simulation = run(&scenario("life"));
    let states: Vec<UeStatus> = simulation.ues().map(imsreg::ue::Ue::status).collect();
    assert_eq!(states, [UeStatus::Idle, UeStatus::Registered]);
    assert_eq!(simulation.world().ims().sa_sets(), 2, "those of the UE that stays");
}

#[test]
fn two_users_send_a_message_and_call_each_other() {
    let simulation = run(&scenario("call"));
    for (name, times) in [("200 MESSAGE", 6), ("180 INVITE", 6), ("200 INVITE", 6), ("200 BYE", 5)] {
        assert_eq!(count(&simulation, name), times, "{name} {}", simulation.world().tap.trace());
    }
    assert!(simulation.ues().all(|ue| ue.calls() == 0));
}

#[test]
fn the_command_prints_the_same_for_the_same_seed() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_imsreg"))
            .arg("simulate")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("the command runs");
        (output.status.code(), String::from_utf8(output.stdout).expect("text"))
    };
    let (status, text) = run(&["first-registration"]);
    assert_eq!(status, Some(0));
    assert!(text.ends_with("seed 1: 1 of 1 UEs are registered at the end\n"), "{text}");
    assert_eq!(run(&["tests/scenarios/first-registration.yaml", "--seed", "1"]).1, text);
    assert_ne!(run(&["first-registration", "--seed", "2"]).1, text);
    assert_eq!(run(&["no-such-scenario"]).0, Some(2));
}

#[test]
fn lesson_24_a_set_that_cannot_be_installed_fails_the_registration() {
    let mut simulation = Simulation::new(&scenario("first-registration"), Recorder::default()).expect("no faults");
    simulation.world_mut().set_plane(imsreg::sim::Plane::Refuses);
    simulation.run();
    assert_eq!(simulation.registered(), 0);
    assert_eq!((count(&simulation, "MAR"), count(&simulation, "SAR"), count(&simulation, "200 REGISTER")), (1, 0, 0));
    assert_eq!(simulation.world().ims().sa_sets(), 0);
    assert!(simulation.world().tap.trace().contains("500 REGISTER"), "{}", simulation.world().tap.trace());
}

/// The 401 waits for the plane; a plane that says nothing ends the attempt.
#[test]
fn a_plane_that_is_slow_delays_and_one_that_is_silent_fails_the_registration() {
    let mut simulation = Simulation::new(&scenario("first-registration"), Recorder::default()).expect("no faults");
    simulation.world_mut().set_sa_latency(imsreg::time::Duration::from_secs(1));
    simulation.run();
    assert_eq!((simulation.registered(), simulation.world().ims().sa_sets()), (1, 2));
    let at =
        |name: &str| simulation.world().tap.hops.iter().filter(|h| h.name == name).map(|h| h.at).collect::<Vec<_>>();
    let challenges = at("401 REGISTER");
    assert!(challenges[2] >= challenges[1] + 1_000, "{challenges:?}");

    let mut simulation = Simulation::new(&scenario("first-registration"), Recorder::default()).expect("no faults");
    simulation.world_mut().set_plane(imsreg::sim::Plane::IsSilent);
    simulation.run();
    assert_eq!((simulation.registered(), simulation.world().ims().sa_sets()), (0, 0));
    let trace = simulation.world().tap.trace();
    assert!(trace.contains("500 REGISTER") && !trace.contains("200 REGISTER"), "{trace}");
}

/// SUBSCRIBE after the 200; NOTIFY then, at the refresh and at the end. Our UE finds nothing wrong with our core.
#[test]
fn a_ue_watches_its_registration() {
    let simulation = run(&scenario("reg-event"));
    let trace = simulation.world().tap.trace();
    let ue = simulation.ues().next().expect("one UE").config().local.ip();
    let from_ue: Vec<&str> =
        simulation.world().tap.hops.iter().filter(|h| h.from.ip() == ue).map(|h| &*h.name).collect();
    let default = "SUBSCRIBE sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org";
    let notified = "200 NOTIFY";
    assert_eq!(from_ue, [REGISTER, REGISTER, default, notified, REGISTER, notified, REGISTER, notified], "{trace}");
    let events = simulation.world().tap.capture.entries.iter().filter_map(|entry| match entry {
        Entry::Event { event, .. } => Some(&event.what),
        Entry::Hop(_) => None,
    });
    let events: Vec<&What> = events.collect();
    assert!(!events.iter().any(|e| matches!(e, What::NotifyFault { .. } | What::Refused { .. })), "{trace}");
    let ended = |e: &&&What| matches!(e, What::SubscriptionEnded { cause: "deactivated", .. });
    assert_eq!(events.iter().filter(ended).count(), 1, "{trace}");
    assert_eq!((simulation.registered(), simulation.world().ims().sa_sets()), (0, 0));
}

/// TS 24.229 clauses 5.4.1.5 and 5.4.1.6, TS 29.228 clause 6.1.3: a UE that is told obeys, and its P-CSCF lets go.
#[test]
fn what_the_network_begins_reaches_ue_and_p_cscf() {
    let simulation = run(&scenario("network-initiative"));
    let trace = simulation.world().tap.trace();
    let told: Vec<(Role, u64, &What)> = simulation
        .world()
        .tap
        .capture
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Event { at, event } => {
                Some((event.role, (at.as_micros() / 1_000_000).saturating_sub(1), &event.what))
            }
            Entry::Hop(_) => None,
        })
        .collect();
    assert!(!told.iter().any(|(.., e)| matches!(e, What::NotifyFault { .. } | What::Refused { .. })), "{trace}");
    let of_ue = |(role, at, what): &(Role, u64, &What)| match what {
        _ if *role != Role::Ue => None,
        What::Registered { .. } => Some((*at, "registered")),
        What::Deregistered { cause, .. } => Some((*at, *cause)),
        _ => None,
    };
    let course: Vec<(u64, &str)> = told.iter().filter_map(of_ue).collect();
    let expected = [
        (0, "registered"),
        // At half of the minute that it was given.
        (40, "registered"),
        (100, "the network: register again"),
        (100, "registered"),
        (200, "the network has ended it"),
    ];
    assert_eq!(course, expected, "{trace}");
    let at_pcscf = |(role, at, what): &(Role, u64, &What)| match what {
        What::Deregistered { cause: "the network has ended it", .. } if *role == Role::Pcscf => Some(*at),
        _ => None,
    };
    // Five seconds later, so that the UE hears of it first; one that has begun anew meanwhile is left alone.
    assert_eq!(told.iter().filter_map(at_pcscf).collect::<Vec<_>>(), [205], "{trace}");
    assert_eq!(count(&simulation, "MAR"), 3, "the first, the one again, and that of the new beginning\n{trace}");
    assert_eq!((count(&simulation, "RTR"), count(&simulation, "RTA")), (2, 2));
    assert_eq!((simulation.registered(), simulation.world().ims().sa_sets()), (0, 0), "{trace}");
}
