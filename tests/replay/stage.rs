//! From a recording to a report.

use crate::common::Recorder;
use imsreg::aka::milenage::Milenage;
use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Op};
use imsreg::capture::Entry;
use imsreg::config::{Profile, Setting, Subscription, load_profile};
use imsreg::event::Event;
use imsreg::hss::Store;
use imsreg::ims::Tap;
use imsreg::packet::Packet;
use imsreg::replay::{Known, Outcome, Report, Script};
use imsreg::sim::replay::Stage;
use imsreg::time::Instant;
use imsreg::trace::story::{Limits, Registration, Story};
use imsreg::trace::{Options, Sighting};
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

/// The scripts of all registrations of a trace that can be played.
pub(crate) fn scripts(trace: &[u8]) -> Vec<Script> {
    let reader = imsreg::trace::open(trace, Options::default()).expect("a trace");
    let mut story = Story::new(Limits::default());
    for sighting in reader {
        story.see(sighting.expect("sound"));
    }
    of_story(story)
}

/// The same of a capture of our own.
pub(crate) fn of_capture(entries: &[Entry]) -> Vec<Script> {
    let mut story = Story::new(Limits::default());
    let hops = entries.iter().filter_map(|entry| if let Entry::Hop(hop) = entry { Some(hop) } else { None });
    for (number, hop) in (1..).zip(hops) {
        story.see(Sighting::of_hop(number, hop));
    }
    of_story(story)
}

fn of_story(mut story: Story) -> Vec<Script> {
    story.finish();
    let mut all = Vec::new();
    while let Some(group) = story.next() {
        let registration = Registration::of(&group);
        if registration.id().is_some() {
            all.extend(Script::of(&registration));
        }
    }
    all
}

pub(crate) fn profile(name: &str, settings: &[&str]) -> Profile {
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
    load_profile(name, &settings).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(crate) fn stage(profile: &Profile, known: Known) -> Stage<'_> {
    Stage { profile, known, ignored: Vec::new(), speed: 1.0, esp: false, seed: 7 }
}

/// What differs in what matters, a line each.
pub(crate) fn faults(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in report.entries.iter().filter(|entry| entry.matters()) {
        let name = &entry.name;
        match &entry.outcome {
            Outcome::Came(comparison) => lines.extend(comparison.faults().map(|item| format!("{name}: {item}"))),
            other => lines.push(format!("{name}: {other:?}")),
        }
    }
    lines
}

/// What was sent and what came, in order.
pub(crate) fn course(report: &Report) -> Vec<String> {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Sent => "sent".to_owned(),
        Outcome::Came(_) => "came".to_owned(),
        other => format!("{other:?}"),
    };
    report.entries.iter().map(|entry| format!("{} {}", of(&entry.outcome), entry.name)).collect()
}

/// The scripts of a scenario of this project, as its capture shows them.
pub(crate) fn simulated(scenario: &str, settings: &[&str]) -> Vec<Script> {
    let scripts = of_capture(&run(scenario, settings));
    assert!(!scripts.is_empty());
    scripts
}

/// The capture of a scenario.
pub(crate) fn captured(scenario: &str) -> Vec<Entry> {
    run(scenario, &[])
}

fn run(scenario: &str, settings: &[&str]) -> Vec<Entry> {
    let path = format!("{}/tests/scenarios/{scenario}.yaml", env!("CARGO_MANIFEST_DIR"));
    let mut scenario = imsreg::config::load_scenario(path.as_ref()).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.settings.extend(settings.iter().map(|setting| Setting::from_set(setting).unwrap()));
    crate::common::run(&scenario).into_tap().capture.entries
}

fn lab(profile: &Profile) -> imsreg::config::Subscribers {
    let path = format!("{}/hss-data/lab.yaml", env!("CARGO_MANIFEST_DIR"));
    imsreg::config::load_subscribers(path.as_ref(), profile).unwrap_or_else(|faults| panic!("{faults}"))
}

pub(crate) fn lab_store(profile: &Profile) -> Store {
    lab(profile).store
}

pub(crate) fn lab_subscription(profile: &Profile) -> Subscription {
    lab(profile).subscription(0).expect("a subscriber with keys")
}

/// Keys of the subscriber whose registration this is.
pub(crate) fn lab_keys(script: &Script) -> SubscriberKeys {
    let impi = script.identities().impi.expect("an identity");
    let imsi = impi.split('@').next().unwrap_or_default();
    let subscription = lab(&profile("lab", &[])).subscription_of(imsi).expect("a subscriber of the lab");
    subscription.usim.expect("keys").keys().clone()
}

pub(crate) fn of_known(k: [u8; 16]) -> Known {
    let k = K(k);
    let opc = Milenage::opc(&k, &Op([0; 16]));
    Known::Keys(SubscriberKeys::Milenage { k, opc })
}

/// The files of a directory that all projects share; none where it is not there.
pub(crate) fn shared(directory: &str) -> Vec<PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(root.join(directory)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    all.retain(|path| {
        path.extension().is_some_and(|e| ["pcap", "pcapng", "txt", "sip"].iter().any(|known| e == *known))
    });
    all.sort();
    all
}

/// A recorder that is looked at afterwards.
pub(crate) struct Shared(pub(crate) Rc<RefCell<Recorder>>);

impl Tap for Shared {
    fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        self.0.borrow_mut().packet(now, packet);
    }

    fn event(&mut self, now: Instant, event: &Event) {
        self.0.borrow_mut().event(now, event);
    }
}
