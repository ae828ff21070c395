//! CSCFs that are killed and started again with nothing of what they knew (TS 23.380). A line has a second and a
//! message.
#![cfg(feature = "live")]

mod common;

use common::Recorder;
use imsreg::capture::Entry;
use imsreg::config::{Scenario, Setting, load_scenario};
use imsreg::event::What;
use imsreg::sim::Simulation;
use std::path::Path;

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/{name}.yaml"));
    load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"))
}

fn set(scenario: &mut Scenario, key: &str, value: &str) {
    scenario.settings.push(Setting::new("set", key, value));
}

fn run(scenario: &Scenario) -> Simulation<Recorder> {
    let mut simulation = Simulation::new(scenario, Recorder::default()).unwrap_or_else(|faults| panic!("{faults}"));
    simulation.run();
    simulation
}

/// Seconds of the scenario and messages, from `second` on; base messages of Diameter left out.
fn lines(simulation: &Simulation<Recorder>, second: u64) -> Vec<String> {
    let base = ["CER", "CEA", "DWR", "DWA", "DPR", "DPA"];
    let hops = simulation.world().tap.hops.iter().filter(|hop| !base.contains(&hop.name.as_str()));
    let line = |hop: &common::Sent| (hop.at / 1_000 - 1, hop.name.split(" sip:").next().unwrap_or_default().to_owned());
    hops.map(line).filter(|(at, _)| *at >= second).map(|(at, name)| format!("{at} {name}")).collect()
}

fn restored(simulation: &Simulation<Recorder>) -> Vec<u64> {
    let found = simulation.world().tap.capture.entries.iter().filter_map(|entry| match entry {
        Entry::Event { event, .. } => match &event.what {
            What::RegistrationRestored { expires, .. } => Some(expires.as_secs()),
            _ => None,
        },
        Entry::Hop(_) => None,
    });
    found.collect()
}

#[test]
fn a_restarted_s_cscf_goes_on_with_a_refresh() {
    let simulation = run(&scenario("scscf-crash"));
    let trace = simulation.world().tap.trace();
    assert_eq!(
        lines(&simulation, 20),
        [
            "30 REGISTER",
            "30 REGISTER",
            "30 UAR",
            "30 UAA",
            "30 REGISTER",
            "30 SAR",
            "30 SAA",
            "30 SAR",
            "30 SAA",
            "30 200 REGISTER",
            "30 200 REGISTER",
            "30 200 REGISTER",
        ],
        "{trace}"
    );
    assert_eq!(simulation.registered(), 1);
    let left = restored(&simulation);
    assert!(matches!(left[..], [599_969 | 599_970]), "what was granted less 30 s: {left:?}");
}

#[test]
fn without_restoration_it_starts_from_nothing() {
    let mut scenario = scenario("scscf-crash");
    set(&mut scenario, "scscf.restoration", "false");
    let simulation = run(&scenario);
    assert!(restored(&simulation).is_empty());
    let answers = lines(&simulation, 30);
    assert!(answers.contains(&"30 500 REGISTER".to_owned()), "{answers:?}");
}
