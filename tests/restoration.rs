//! CSCFs that are killed and started again with nothing of what they knew (TS 23.380). A line has a second and a
//! message.
#![cfg(feature = "live")]

mod common;

use common::{Recorder, pass, run};
use imsreg::capture::Entry;
use imsreg::config::{NetworkFault, Scenario, Setting, load_profile, load_scenario, load_subscribers};
use imsreg::event::{Role, What};
use imsreg::hss::Hss;
use imsreg::random::Random;
use imsreg::sim::Simulation;
use imsreg::time::{Duration, Epoch};
use std::path::Path;

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/{name}.yaml"));
    load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"))
}

fn set(scenario: &mut Scenario, key: &str, value: &str) {
    scenario.settings.push(Setting::new("set", key, value));
}

/// Seconds of the scenario and messages, from `second` on; base messages of Diameter left out.
fn lines(simulation: &Simulation<Recorder>, second: u64) -> Vec<String> {
    let hops = simulation.world().tap.hops.iter().filter(|hop| !BASE.contains(&hop.name.as_str()));
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

/// A simulation that has come to `second`.
fn run_to(scenario: &Scenario, second: u64) -> Simulation<Recorder> {
    let mut scenario = scenario.clone();
    scenario.until = Duration::from_secs(second);
    run(&scenario)
}

/// The first UE sends a message to the second; what that leads to within `seconds`.
fn message(simulation: &mut Simulation<Recorder>, from: usize, to: usize, seconds: u64) -> Vec<String> {
    let before = simulation.world().tap.hops.len();
    let to = simulation.ues().nth(to).expect("two UEs").config().impu.to_string();
    let ue = simulation.ue(from);
    simulation.world_mut().command(ue, |element, now, out| {
        let ue = element.as_ue_mut().expect("a UE");
        ue.message(now, &to, "text/plain", b"hello", out).expect("it believes to be registered");
    });
    pass(simulation, seconds);
    let hops = &simulation.world().tap.hops[before..];
    let names = hops.iter().map(|hop| hop.name.split(" sip:").next().unwrap_or_default().to_owned());
    names.filter(|name| !BASE.contains(&name.as_str())).collect()
}

fn two(name: &str) -> Scenario {
    let mut scenario = scenario(name);
    scenario.ues = 2;
    scenario.steps.truncate(1);
    scenario
}

#[test]
fn after_a_restart_requests_bring_back_who_sends_and_who_is_called() {
    let mut simulation = run_to(&two("scscf-crash"), 30);
    assert!(restored(&simulation).is_empty(), "nobody has asked yet");
    let lines = message(&mut simulation, 0, 1, 5);
    let trace = simulation.world().tap.trace();
    assert_eq!(restored(&simulation).len(), 2, "{trace}");
    assert_eq!(lines.iter().filter(|line| *line == "SAR").count(), 2, "NO_ASSIGNMENT, UNREGISTERED_USER: {lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("200 MESSAGE"), "{trace}");
    // Both are known now.
    let lines = message(&mut simulation, 1, 0, 5);
    assert_eq!(lines.iter().filter(|line| *line == "SAR").count(), 0, "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("200 MESSAGE"), "{}", simulation.world().tap.trace());
}

#[test]
fn the_hss_may_have_been_restarted_too() {
    let mut scenario = two("scscf-crash");
    let (from, until) = (Duration::from_secs(22), Duration::from_secs(23));
    scenario.faults.push(NetworkFault::Crash { role: Role::Hss, from, until });
    let mut simulation = run_to(&scenario, 70);
    let lines = message(&mut simulation, 0, 1, 5);
    assert_eq!(lines.last().map(String::as_str), Some("200 MESSAGE"), "{}", simulation.world().tap.trace());
    assert_eq!(restored(&simulation).len(), 2);
}

#[test]
fn where_nothing_comes_back_the_ue_is_sent_to_an_initial_registration() {
    let mut simulation = run_to(&two("scscf-crash"), 15);
    // The HSS comes back without its state.
    let profile = load_profile("lab", &[]).expect("in the binary");
    let subscribers = load_subscribers(Path::new("hss-data/lab.yaml"), &profile).expect("in the binary");
    let config = profile.hss(Epoch::SIMULATION).expect("a good profile");
    let hss = Hss::new(config, subscribers.store, Random::seeded(9));
    let world = simulation.world_mut();
    let id = world.ims().owner(profile.hss.listen).expect("the HSS");
    world.crash(id, hss);
    world.restart(id);
    simulation.crash(Role::Scscf);
    simulation.restart(Role::Scscf);
    pass(&mut simulation, 40);
    let lines = message(&mut simulation, 0, 1, 5);
    let trace = simulation.world().tap.trace();
    let end = ["504 MESSAGE", "504 MESSAGE", "REGISTER", "REGISTER", "UAR", "UAA", "REGISTER", "MAR", "MAA"];
    let at = lines.iter().position(|line| line == "504 MESSAGE").unwrap_or_else(|| panic!("no 504: {trace}"));
    assert_eq!(&lines[at..at + end.len()], end, "{trace}");
    assert_eq!(simulation.registered(), 2);
    assert!(restored(&simulation).is_empty());
    let hops = &simulation.world().tap.hops;
    let heard = hops.iter().rposition(|hop| hop.name == "504 MESSAGE").expect("found above");
    assert_eq!(hops[heard + 1].to.port(), 5060, "in clear: {trace}");
}

#[test]
fn a_restarted_p_cscf_drops_what_lost_sas_carried_and_the_ue_begins_anew() {
    let mut scenario = scenario("pcscf-crash");
    scenario.until = Duration::from_secs(30 + 128);
    let mut simulation = run(&scenario);
    // One REGISTER over the SAs that only the UE has, and its repetitions (timer E of TS 24.229).
    let sent: Vec<String> = lines(&simulation, 20).into_iter().filter(|line| line.ends_with("REGISTER")).collect();
    let begun = sent.iter().position(|line| line.starts_with("158 "));
    assert!(sent[..begun.unwrap_or(sent.len())].iter().all(|line| line.ends_with(" REGISTER")), "{sent:?}");
    let dropped = simulation.world().tap.capture.entries.iter().any(|entry| match entry {
        Entry::Event { event, .. } => matches!(event.what, What::PacketDropped { cause: "no SA fits this packet", .. }),
        Entry::Hop(_) => false,
    });
    assert!(dropped);
    pass(&mut simulation, 2);
    let trace = simulation.world().tap.trace();
    let anew = lines(&simulation, 157);
    let expected = ["REGISTER", "REGISTER", "UAR", "UAA", "REGISTER", "MAR", "MAA", "401 REGISTER"];
    let names: Vec<&str> = anew.iter().filter_map(|line| line.split_once(' ')).map(|(_, name)| name).collect();
    assert_eq!(&names[..expected.len()], expected, "{trace}");
    assert_eq!(names.last(), Some(&"200 REGISTER"), "{trace}");
    assert_eq!((simulation.registered(), simulation.world().ims().sa_sets()), (1, 2), "one set at either end");
}

#[test]
fn what_is_sent_to_an_old_path_is_430_and_the_binding_goes() {
    let mut scenario = two("pcscf-crash");
    scenario.steps.truncate(1);
    let mut simulation = run_to(&scenario, 30);
    // The sender begins anew, the other does not know yet that its SAs are lost.
    let sender = simulation.ue(0);
    simulation.world_mut().command(sender, |element, now, out| element.as_ue_mut().expect("a UE").register(now, out));
    pass(&mut simulation, 140);
    let lines = message(&mut simulation, 0, 1, 5);
    let trace = simulation.world().tap.trace();
    let at = lines.iter().position(|line| line == "430 MESSAGE").unwrap_or_else(|| panic!("no 430: {trace}"));
    assert!(lines[at..].iter().any(|line| line == "SAR"), "the registration has ended: {lines:?}");
    let lines = message(&mut simulation, 0, 1, 5);
    assert!(!lines.contains(&"430 MESSAGE".to_owned()), "nothing goes there any more: {lines:?}");
}

#[test]
fn after_a_restart_the_ue_is_told_of_its_refresh_in_the_dialog_of_its_subscription() {
    let mut scenario = scenario("scscf-crash");
    set(&mut scenario, "ue.subscribe", "true");
    let simulation = run(&scenario);
    let trace = simulation.world().tap.trace();
    let before: Vec<String> = lines(&simulation, 0).into_iter().filter(|line| line.contains("SUBSCRIBE")).collect();
    assert!(before.contains(&"0 200 SUBSCRIBE".to_owned()), "{trace}");
    let after = lines(&simulation, 20);
    assert!(!after.iter().any(|line| line.contains("SUBSCRIBE")), "nobody subscribes anew: {trace}");
    assert!(after.contains(&"30 NOTIFY".to_owned()) && after.contains(&"30 200 NOTIFY".to_owned()), "{trace}");
}

/// The S-CSCF does not come back: the P-CSCF knows no more than that nobody is there.
#[test]
fn a_p_cscf_whose_s_cscf_is_gone_sends_the_ue_to_an_initial_registration() {
    let mut simulation = run_to(&two("scscf-crash"), 15);
    simulation.crash(Role::Scscf);
    pass(&mut simulation, 5);
    let lines = message(&mut simulation, 0, 1, 2);
    let trace = simulation.world().tap.trace();
    assert_eq!(lines[..4], ["MESSAGE", "504 MESSAGE", "REGISTER", "REGISTER"], "{trace}");
    let answer = simulation.world().tap.hops.iter().rfind(|hop| hop.name == "504 MESSAGE").expect("found above");
    let text = String::from_utf8_lossy(&answer.bytes);
    assert!(
        text.contains("<action>initial-registration</action>") && text.contains("P-Asserted-Identity: <sip:"),
        "{text}"
    );
}

const BASE: [&str; 6] = ["CER", "CEA", "DWR", "DWA", "DPR", "DPA"];
