//! An HSS that is killed and started again in the middle of the life of registrations.
#![cfg(feature = "live")]

mod common;

use common::{Recorder, run};
use imsreg::capture::Entry;
use imsreg::config::{NetworkFault, Scenario, load_scenario};
use imsreg::event::{Role, What};
use imsreg::sim::Simulation;
use imsreg::time::Duration;
use std::path::Path;

fn scenario() -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/hss-crash.yaml");
    load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Second and name of the Cx messages from `second` on.
fn cx(simulation: &Simulation<Recorder>, second: u64) -> Vec<(u64, &str)> {
    let cx = ["UAR", "UAA", "MAR", "MAA", "SAR", "SAA"];
    let hops = &simulation.world().tap.hops;
    let late = hops.iter().map(|hop| (hop.at / 1_000, hop.name.as_str())).filter(|(at, _)| *at >= second);
    late.filter(|(_, name)| cx.contains(name)).collect()
}

/// The scenario's times count from the first second.
#[test]
fn a_refresh_after_the_restart_finds_the_registration_and_a_fresh_sqn() {
    let simulation = run(&scenario());
    let trace = simulation.world().tap.trace();
    assert_eq!(simulation.registered(), 1, "{trace}");
    let names = ["UAR", "UAA", "MAR", "MAA", "UAR", "UAA", "SAR", "SAA"];
    assert_eq!(cx(&simulation, 10), names.map(|name| (41, name)), "{trace}");
    // The USIM took the SQN that came after the crash: nothing was resynchronised.
    let events = simulation.world().tap.capture.entries.iter().filter_map(|entry| match entry {
        Entry::Event { event, .. } => Some(&event.what),
        Entry::Hop(_) => None,
    });
    assert!(!events.into_iter().any(|what| matches!(what, What::SqnResynchronised { .. })), "{trace}");
    // The UAA after the crash names the S-CSCF that the SAR before it had stored.
    let uaa = simulation.world().tap.hops.iter().filter(|hop| hop.name == "UAA").nth(2).expect("of the refresh");
    assert_eq!(uaa.at / 1_000, 41);
    let holds = |text: &[u8]| uaa.bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"sip:scscf.ims.mnc001.mcc001.3gppnetwork.org:6060"), "{trace}");
}

#[test]
fn killed_at_any_moment_of_a_registration_it_lets_the_ue_register_in_the_end() {
    let mut scenario = scenario();
    // Every millisecond of the first registration, which takes some 30.
    for at in 0..40 {
        let from = Duration::from_millis(at);
        let until = from + Duration::from_millis(500);
        scenario.faults = vec![NetworkFault::Crash { role: Role::Hss, from, until }];
        scenario.until = Duration::from_secs(600);
        scenario.steps.truncate(1);
        let simulation = run(&scenario);
        assert_eq!(simulation.registered(), 1, "killed after {at} ms:\n{}", simulation.world().tap.trace());
    }
}
