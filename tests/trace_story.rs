//! Traces sorted into registrations: every scenario of the simulation, read back as if a stranger had captured it.
#![cfg(feature = "live")]

mod common;

use common::run;
use imsreg::capture::Capture;
use imsreg::config::{Scenario, load_scenario};
use imsreg::ladder::{Columns, Draughtsman, Options};
use imsreg::sip::Method;
use imsreg::time::Duration;
use imsreg::trace::story::{Group, Interface, Kind, Limits, Outcome, Registration, SetEnd, Story, Timer};
use imsreg::trace::{Message, Place, Protection, Seen, Sighting};
use std::collections::BTreeSet;
use std::path::Path;

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(format!("{name}.yaml"));
    load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"))
}

/// Everything that is handed out, and in which order.
fn groups(capture: &Capture, limits: Limits) -> Vec<Group> {
    let mut story = Story::new(limits);
    let mut groups = Vec::new();
    for (number, hop) in (1..).zip(capture.hops()) {
        story.see(Sighting::of_hop(number, hop));
        groups.extend(std::iter::from_fn(|| story.next()));
    }
    story.finish();
    groups.extend(std::iter::from_fn(|| story.next()));
    groups
}

/// The attempts with their REGISTERs, the sets with their messages, the watchers with what they were told.
fn shape(registration: &Registration<'_>) -> String {
    let attempts = registration.attempts().map(|attempt| {
        let hops: Vec<String> =
            attempt.journeys().map(|j| format!("{}+{}", j.hops().count(), j.diameter().count())).collect();
        format!("{:?} {:?} {}", attempt.kind(), attempt.outcome(), hops.join(" "))
    });
    let sets = registration.sets().map(|set| format!("set {}", set.messages().count()));
    let watchers = registration.subscriptions().map(|subscription| {
        let watcher = subscription.watcher().map_or("?", |role| role.as_str());
        format!("{watcher} {}/{}", subscription.subscribes().count(), subscription.notifies().count())
    });
    attempts.chain(sets).chain(watchers).collect::<Vec<_>>().join("; ")
}

/// What each scenario is, and what must be found in it.
const SHAPES: [(&str, &str); 13] = [
    (
        "application-server",
        "Initial Registered 3+2 3+2; Refresh Registered 3+2; Deregistration Deregistered 3+2; set 6; AS 1/3",
    ),
    ("emergency", "Initial Registered 3+2 3+2; Initial Registered 3+2 3+2; set 2; set 2"),
    ("first-registration", "Initial Registered 3+2 3+2; set 2"),
    ("hss-outage", "Initial Refused(504) 2+0; Initial Registered 3+2 3+2; set 2"),
    ("icscf-outage", "Initial Refused(504) 1+0; Initial Refused(504) 1+0"),
    (
        "network-deregistration",
        "Initial Registered 3+2 3+2; Initial Registered 3+2 3+2; set 8; set 8; P-CSCF 1/2; UE 1/2; P-CSCF 1/2; UE 1/2",
    ),
    ("pcscf-crash", "Initial Registered 3+2 3+2; Refresh Unanswered 1+0; Initial Registered 3+2 3+2; set 3; set 2"),
    (
        "re-authentication",
        "Initial Registered 3+2 3+2; Refresh Registered 3+2 3+2; Refresh Registered 3+2 3+2; set 4; set 4; set 2",
    ),
    ("refresh", "Initial Registered 3+2 3+2; Refresh Registered 3+2; set 4"),
    (
        "reg-event",
        "Initial Registered 3+2 3+2; Refresh Registered 3+2; Deregistration Deregistered 3+2; set 14; UE 1/3",
    ),
    ("restoration", "Initial Registered 3+2 3+2; Refresh Registered 3+3; set 4"),
    ("second-identity", "Initial Registered 3+2 3+2; Initial Registered 3+2; set 4"),
    ("shortened", "Initial Registered 3+2 3+2; Refresh Registered 3+2 3+2; set 12; set 2; P-CSCF 1/3; UE 1/3"),
];

/// Hops and Cx exchanges of each REGISTER, messages over each set, SUBSCRIBEs and NOTIFYs of each watcher.
#[test]
fn what_happened_is_told() {
    for (name, expected) in SHAPES {
        let simulation = run(&scenario(name));
        let groups = groups(&simulation.world().tap.capture, Limits::default());
        let (registrations, rest): (Vec<_>, Vec<_>) = groups.iter().partition(|group| group.id.is_some());
        let shapes: Vec<String> = registrations.iter().map(|group| shape(&Registration::of(group))).collect();
        assert_eq!(shapes, [expected], "{name}");
        // What is left is talk of Diameter peers.
        for message in
            rest.iter().map(|group| Registration::of(group)).collect::<Vec<_>>().iter().flat_map(Registration::messages)
        {
            assert_eq!(message.interface(), Interface::OtherDiameter, "{name}: {message:?}");
        }
    }
}

/// Each UE has its registration, whatever the link does to its messages, and every message is in one group.
#[test]
fn every_ue_is_told_from_every_other() {
    for (name, ues) in [("loss", 10), ("duplication", 10), ("reordering", 10), ("life", 2), ("call", 2)] {
        let simulation = run(&scenario(name));
        let capture = &simulation.world().tap.capture;
        let groups = groups(capture, Limits::default());
        let ids: Vec<u64> = groups.iter().filter_map(|group| group.id).collect();
        assert_eq!(ids, (1..=ues).collect::<Vec<u64>>(), "{name}");
        let mut impis = BTreeSet::new();
        for group in groups.iter().filter(|group| group.id.is_some()) {
            let registration = Registration::of(group);
            impis.extend(registration.impi().map(ToOwned::to_owned));
            let initial = registration.attempts().next().unwrap();
            assert_eq!((initial.kind(), initial.outcome()), (Kind::Initial, Outcome::Registered), "{name}");
            assert_eq!(initial.challenges().count(), 1, "{name}");
            assert!(registration.set(0).established().is_some(), "{name}");
        }
        assert_eq!(impis.len() as u64, ues, "{name}");
        let mut numbers: Vec<u64> = groups.iter().flat_map(|g| g.records.iter().map(|record| record.number)).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=capture.hops().count() as u64).collect::<Vec<u64>>(), "{name}");
    }
}

/// With little memory registrations leave before their end, under the number that they have; nothing is lost.
#[test]
fn little_memory_loses_nothing() {
    let simulation = run(&scenario("life"));
    let capture = &simulation.world().tap.capture;
    let limits = Limits { octets: 20_000, ..Limits::default() };
    let groups = groups(capture, limits);
    assert!(groups.iter().any(|group| group.continued), "20 kB hold no life");
    let ids: BTreeSet<u64> = groups.iter().filter_map(|group| group.id).collect();
    assert_eq!(ids, BTreeSet::from([1, 2]));
    let messages: usize = groups.iter().map(|group| group.records.len()).sum();
    assert_eq!(messages, capture.hops().count());
    for group in &groups {
        let held: usize = group.records.iter().map(|record| record.bytes.len()).sum();
        assert!(held <= 20_000, "{held}");
    }
}

/// A registration is handed out some time after its end, before the trace has ended.
#[test]
fn what_has_ended_leaves_early() {
    let simulation = run(&scenario("reg-event"));
    let mut story = Story::new(Limits { early: 0, grace: Duration::from_secs(100), ..Limits::default() });
    for (number, hop) in (1..).zip(simulation.world().tap.capture.hops()) {
        story.see(Sighting::of_hop(number, hop));
    }
    let group = story.next().expect("the UE de-registers, and minutes go by");
    assert_eq!(Registration::of(&group).attempts().last().unwrap().outcome(), Outcome::Deregistered);
}

/// As in a text: neither addresses nor times. What is on Gm is still told from what is behind.
#[test]
fn texts_have_no_addresses() {
    let simulation = run(&scenario("reg-event"));
    let mut story = Story::new(Limits::default());
    for (number, hop) in (1..).zip(simulation.world().tap.capture.hops()) {
        let Seen::Message(message) = Sighting::of_hop(number, hop).seen else { unreachable!("a hop is a message") };
        let message = Message { ends: None, protection: Protection::Unknown, ..message };
        story.see(Sighting { place: Place::Line(number), at: None, seen: Seen::Message(message) });
    }
    story.finish();
    let group = story.next().unwrap();
    let registration = Registration::of(&group);
    let found = shape(&registration);
    assert_eq!(
        found,
        "Initial Registered 3+2 3+2; Refresh Registered 3+2; Deregistration Deregistered 3+2; set 0; UE 1/3"
    );
    let shown = registration.observable();
    assert!(!shown.addresses && !shown.times && shown.gm_clear && shown.gm_inner && shown.mw && shown.cx && shown.keys);
    assert!(registration.messages().all(|message| message.from().is_some() && message.to().is_some()));
}

/// A re-authentication makes a second set, whose first message ends the first.
#[test]
fn a_newer_set_takes_the_place_of_the_older() {
    let simulation = run(&scenario("re-authentication"));
    let groups = groups(&simulation.world().tap.capture, Limits::default());
    let registration = Registration::of(&groups[0]);
    let sets: Vec<_> = registration.sets().collect();
    let agreed = |n: usize| sets[n].agreed().expect("a common pair");
    assert_eq!(agreed(0).algorithms, agreed(1).algorithms);
    assert_eq!(sets[0].ue().unwrap().port_s, sets[1].ue().unwrap().port_s, "port_us stays");
    assert_ne!(sets[0].ue().unwrap().port_c, sets[1].ue().unwrap().port_c, "port_uc is new");
    for pair in sets.windows(2) {
        let first_use = pair[1].messages().next().unwrap();
        assert!(first_use.is(Method::Register));
        assert_eq!(pair[0].end(), Some(SetEnd::Replaced(first_use)));
    }
    assert_eq!(sets[2].end(), None);
    let second = registration.attempts().nth(1).unwrap();
    // The REGISTER that is challenged still goes over the older set.
    assert_eq!(second.request().unwrap().carried().sa().unwrap().set, 0);
    assert_eq!(second.answer().unwrap().request().unwrap().carried().sa().unwrap().set, 1);
}

/// Lost datagrams come again when T1 of TS 24.229 says so.
#[test]
fn timers_explain_times() {
    let simulation = run(&scenario("loss"));
    let mut retransmissions = 0;
    for group in groups(&simulation.world().tap.capture, Limits::default()) {
        for (message, wait) in Registration::of(&group).waits() {
            let Timer::Retransmission { t1, nth } = wait.timer else { panic!("{message:?}: {wait:?}") };
            assert_eq!((t1, message.interface()), (Duration::from_secs(2), Interface::Gm));
            assert!(wait.elapsed.abs_diff(Duration::from_secs(2_u64.pow(nth))) < t1 / 2, "{wait:?}");
            retransmissions += 1;
        }
    }
    assert!(retransmissions > 3, "{retransmissions}");
}

/// Who is who needs no configuration: what a ladder knows from the listeners of the elements is found from the traffic.
#[test]
fn roles_are_those_of_the_elements() {
    for name in SCENARIOS {
        let simulation = run(&scenario(name));
        let listeners = simulation.world().ims().listeners();
        let columns = Columns::from_listeners(listeners.iter().map(|listener| (listener.address, listener.role)));
        let mut draughtsman = Draughtsman::new(&Options { columns, ..Options::default() });
        let hops: Vec<_> = simulation.world().tap.capture.hops().collect();
        let arrows: Vec<_> = hops.iter().map(|hop| draughtsman.packet(hop.at, &hop.packet())).collect();
        let mut judged = 0;
        let mut wrong = Vec::new();
        for group in groups(&simulation.world().tap.capture, Limits::default()) {
            for message in Registration::of(&group).messages() {
                let Place::Hop(hop) = message.place else { panic!("hops only") };
                let Some(arrow) = &arrows[usize::try_from(hop).unwrap() - 1] else { continue };
                judged += 1;
                if (message.from(), message.to()) != (Some(arrow.from), Some(arrow.to)) {
                    wrong.push(format!(
                        "{name} {hop} {:?} is {} to {}: {}",
                        message, arrow.from, arrow.to, arrow.summary.label
                    ));
                }
            }
        }
        assert!(judged > 3, "{name}: {judged}");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

const SCENARIOS: [&str; 21] = [
    "application-server",
    "call",
    "duplication",
    "emergency",
    "first-registration",
    "hss-crash",
    "hss-outage",
    "icscf-outage",
    "life",
    "loss",
    "network-deregistration",
    "network-initiative",
    "pcscf-crash",
    "re-authentication",
    "refresh",
    "reg-event",
    "reordering",
    "restoration",
    "scscf-crash",
    "second-identity",
    "shortened",
];
