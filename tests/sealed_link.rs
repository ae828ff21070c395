//! Gm over the simulated link with what is protected as ESP, octet for octet, under the keys of each side: a fault of keys,
//! ports, order or life shows as silence, as on a wire (`docs/sec-agree.md`).
#![cfg(feature = "live")]

mod common;

use common::{Recorder, address, pass, run};
use imsreg::capture::Entry;
use imsreg::config::{NetworkFault, Scenario, Setting, load_scenario};
use imsreg::event::{Role, What};
use imsreg::ipsec::esp::Drop;
use imsreg::packet::{Route, Transport};
use imsreg::sim::{EspPacket, Link, Simulation};
use imsreg::time::{Duration, Instant};
use imsreg::ue::{Misbehaviour, UeStatus};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Over UDP: one pair of algorithms and few features keep a REGISTER below 1,300 octets.
const SMALL: [(&str, &str); 4] = [
    ("ue.features", ";audio"),
    ("ue.algorithms", "hmac-sha-1-96/aes-cbc"),
    ("pcscf.algorithms", "hmac-sha-1-96/aes-cbc"),
    ("ue.transport", "udp"),
];
const PORT_PS: &str = "127.0.0.1:6100";
const UE: &str = "10.64.0.1";

fn scenario(name: &str, set: &[(&str, &str)]) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(format!("{name}.yaml"));
    let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.esp = true;
    scenario.settings.extend(set.iter().map(|(key, value)| Setting::new("set", key, (*value).to_owned())));
    scenario
}

fn start(name: &str, set: &[(&str, &str)]) -> Simulation<Recorder> {
    let mut simulation = Simulation::new(&scenario(name, set), Recorder::default()).unwrap_or_else(|f| panic!("{f}"));
    simulation.world_mut().keep_esp();
    simulation
}

/// Sets in the tables of the elements, and in the planes.
fn sets(simulation: &Simulation<Recorder>) -> (usize, usize) {
    let world = simulation.world();
    (world.ims().sa_sets(), world.esp_sets().expect("ESP is carried"))
}

/// Everything that was sent, by time, ends and name.
fn hops(simulation: &Simulation<Recorder>) -> Vec<(u64, SocketAddr, SocketAddr, &str)> {
    simulation.world().tap.hops.iter().map(|hop| (hop.at, hop.from, hop.to, &*hop.name)).collect()
}

fn host(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// How often the P-CSCF dropped something for this reason.
fn dropped(simulation: &Simulation<Recorder>, reason: Drop) -> u64 {
    simulation.world().esp_counters(host("127.0.0.1")).map_or(0, |counters| counters.dropped(reason))
}

fn told(simulation: &Simulation<Recorder>, wanted: impl Fn(Role, &What) -> bool) -> usize {
    let entries = &simulation.world().tap.capture.entries;
    entries.iter().filter(|e| matches!(e, Entry::Event { event, .. } if wanted(event.role, &event.what))).count()
}

/// SIP code cannot tell what carries it: every scenario has the same course with ESP and without. Where the P-CSCF is
/// killed, its host is silent with ESP, and resets connections without; a datagram that comes twice is dropped as a replay.
#[test]
fn every_scenario_has_the_same_course_with_esp() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).expect("scenarios").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let with = scenario(&name, &[]);
        if with.nat.is_some() {
            // Nothing protected passes a NAT in clear.
            continue;
        }
        let without = Scenario { esp: false, ..with.clone() };
        let differs = |fault: &NetworkFault| {
            matches!(fault, NetworkFault::Crash { role: Role::Pcscf, .. } | NetworkFault::Link { duplication: 1.., .. })
        };
        let is_same = !with.faults.iter().any(differs);
        let (with, without) = (run(&with), run(&without));
        if is_same {
            let first = hops(&with).into_iter().zip(hops(&without)).find(|(a, b)| a != b);
            assert!(first.is_none(), "{name}: {first:?}\n{}", with.world().tap.trace());
            assert_eq!(hops(&with).len(), hops(&without).len(), "{name}");
            compared += 1;
        }
        assert_eq!(with.registered(), without.registered(), "{name}");
        assert_eq!(sets(&with).0, sets(&with).1, "{name}: tables and planes hold the same sets");
    }
    assert!(compared > 15, "{compared}");
}

/// After the 401 nothing passes between UE and P-CSCF but ESP, whatever the algorithms and the transport.
#[test]
fn a_life_is_sealed_with_every_pair_of_algorithms() {
    let pairs = [
        "hmac-sha-1-96/aes-cbc",
        "hmac-sha-1-96/des-ede3-cbc",
        "hmac-sha-1-96/null",
        "hmac-md5-96/aes-cbc",
        "hmac-md5-96/des-ede3-cbc",
        "hmac-md5-96/null",
        "aes-gmac/null",
        "null/aes-gcm",
    ];
    for (pair, transport) in pairs.iter().flat_map(|pair| [(pair, "udp"), (pair, "tcp")]) {
        let set = [("ue.algorithms", *pair), ("pcscf.algorithms", *pair), ("ue.transport", transport)];
        let mut simulation = start("life", &set);
        simulation.run();
        let trace = simulation.world().tap.trace();
        let gm: Vec<_> = hops(&simulation)
            .into_iter()
            .filter(|(_, from, to, _)| [from, to].iter().any(|end| end.ip().to_string().starts_with("10.64.")))
            .collect();
        let in_clear = gm.iter().filter(|(_, from, to, _)| [from, to].iter().any(|end| end.port() == 5060)).count();
        let gm = gm.len();
        let sealed = simulation.world_mut().take_esp().len();
        assert_eq!(gm, in_clear + sealed, "{pair} {transport}\n{trace}");
        assert!(sealed > 4, "{pair}");
        let offered = told(&simulation, |role, what| {
            role == Role::Pcscf
                && matches!(what, What::SaInstalled { algorithms, .. } if *algorithms == pair.replace('/', " / "))
        });
        assert!(offered > 0, "{pair}\n{trace}");
        let drops: u64 = Drop::ALL.iter().map(|reason| dropped(&simulation, *reason)).sum();
        assert_eq!(drops, 0, "{pair} {transport}\n{trace}");
    }
}

/// The packet of the protected REGISTER, which was lost; UE and P-CSCF wait for each other.
fn lost_register() -> (Simulation<Recorder>, EspPacket) {
    let mut simulation = start("first-registration", &SMALL);
    let (ue, start) = (simulation.ue(0), Instant::from_secs(1));
    simulation.world_mut().start();
    simulation.world_mut().run_until(start);
    simulation.world_mut().command(ue, |element, now, out| element.as_ue_mut().unwrap().register(now, out));
    while simulation.world().esp_sets() < Some(2) {
        let soon = simulation.world().now() + Duration::from_micros(500);
        simulation.world_mut().run_until(soon);
        // The 401 is the last datagram to pass.
        if simulation.world().esp_sets() == Some(1) {
            let link = Link { loss: 1_000, ..Link::CLEAN };
            let passed =
                simulation.world().tap.hops.iter().any(|hop| hop.name == "401 REGISTER" && hop.to.ip() == host(UE));
            if passed {
                simulation.world_mut().links.between.push((Role::Ue, Role::Pcscf, link));
            }
        }
    }
    let sealed = simulation.world_mut().take_esp();
    let [packet] = &sealed[..] else { panic!("one packet expected: {}", sealed.len()) };
    let packet = packet.clone();
    let sent = simulation.world().tap.hops.iter().rfind(|hop| hop.from.ip() == host(UE)).expect("the REGISTER");
    assert_eq!(sent.transport, Transport::Udp, "{}", String::from_utf8_lossy(&sent.bytes));
    (simulation, packet)
}

fn answers(simulation: &Simulation<Recorder>) -> usize {
    simulation.world().tap.hops.iter().filter(|hop| hop.to.ip() == host(UE) && hop.at > 1_010).count()
}

/// RFC 4303 clause 3.4: whatever octet is changed between SPI and ICV, nothing reaches SIP; the packet itself does then.
#[test]
fn any_octet_changed_is_silence_and_the_packet_itself_is_heard_once() {
    let (mut simulation, packet) = lost_register();
    let before = hops(&simulation).len();
    for at in 0..packet.octets.len() {
        let mut changed = packet.clone();
        changed.octets[at] ^= 0x10;
        simulation.world_mut().inject_esp(changed);
    }
    let soon = simulation.world().now() + Duration::from_millis(100);
    simulation.world_mut().run_until(soon);
    assert_eq!(hops(&simulation).len(), before, "{}", simulation.world().tap.trace());
    let drops = [Drop::Icv, Drop::UnknownSpi].map(|reason| dropped(&simulation, reason));
    assert_eq!(drops.iter().sum::<u64>(), packet.octets.len() as u64, "{drops:?}");
    assert_eq!(told(&simulation, |_, what| matches!(what, What::PacketDropped { .. })), packet.octets.len());

    for copies in 0..3 {
        simulation.world_mut().inject_esp(packet.clone());
        let soon = simulation.world().now() + Duration::from_millis(200);
        simulation.world_mut().run_until(soon);
        assert_eq!(dropped(&simulation, Drop::Replayed), copies);
    }
    let accepted = simulation.world().tap.hops.iter().filter(|hop| hop.name == "200 REGISTER");
    assert_eq!(accepted.filter(|hop| hop.to.ip() == host(UE)).count(), 1, "one 200, for one request");
}

/// TS 24.229 table 7.8.1: after reg-await-auth there is no SA, so no answer.
#[test]
fn a_protected_register_after_four_minutes_is_silence() {
    let (mut simulation, packet) = lost_register();
    simulation.world_mut().run_until(Instant::from_millis(241_100));
    let before = answers(&simulation);
    simulation.world_mut().inject_esp(packet);
    simulation.world_mut().run_until(Instant::from_millis(241_200));
    assert_eq!((answers(&simulation), dropped(&simulation, Drop::UnknownSpi)), (before, 1));
}

/// TS 33.203 clause 7.1, `kernel-ipsec`: a packet from another address is not the UE's, whatever its ICV.
#[test]
fn another_source_address_is_silence() {
    let (mut simulation, packet) = lost_register();
    let before = answers(&simulation);
    simulation.world_mut().inject_esp(EspPacket { source: host("10.64.0.2"), ..packet });
    let soon = simulation.world().now() + Duration::from_millis(100);
    simulation.world_mut().run_until(soon);
    assert_eq!(answers(&simulation), before);
    assert_eq!([Drop::Selector, Drop::InnerChecksum].map(|reason| dropped(&simulation, reason)).iter().sum::<u64>(), 1);
}

/// The wall: what comes to a protected port in clear is dropped and named, also between the ports of an SA.
#[test]
fn clear_text_does_not_reach_a_protected_port() {
    let mut simulation = start("first-registration", &SMALL);
    simulation.run();
    assert_eq!(simulation.registered(), 1);
    let before = hops(&simulation).len();
    let register = b"REGISTER sip:x SIP/2.0\r\n\r\n";
    let walls = |simulation: &Simulation<Recorder>| {
        told(simulation, |_, w| matches!(w, What::PacketDropped { cause: "clear text at a protected port", .. }))
    };
    for (n, (from, to)) in [
        ("10.64.0.1:31000", PORT_PS),
        ("10.64.0.1:31001", "127.0.0.1:5100"),
        ("10.64.0.9:5060", PORT_PS),
        ("127.0.0.1:5060", "10.64.0.1:31001"),
    ]
    .into_iter()
    .enumerate()
    {
        simulation.world_mut().send_from_outside(Route::sip(Transport::Udp, address(from), address(to)), register);
        pass(&mut simulation, 1);
        assert_eq!((walls(&simulation), hops(&simulation).len()), (n + 1, before + n + 1), "{from} {to}");
    }
}

/// Each misbehaviour ends in silence or in a refusal, and leaves nothing behind.
#[test]
fn ues_that_do_it_wrong_are_not_registered() {
    for (how, reason, answer) in [
        (Misbehaviour::OldKeys, Some(Drop::Icv), None),
        (Misbehaviour::WrongExpansion, Some(Drop::Icv), None),
        (Misbehaviour::WrongPorts, Some(Drop::Selector), None),
        (Misbehaviour::WrongResponse, None, Some("403 REGISTER")),
        (Misbehaviour::MacFailure, None, Some("401 REGISTER")),
    ] {
        let mut simulation = start("first-registration", &SMALL);
        let id = simulation.ue(0);
        simulation.world_mut().command(id, |element, _, _| element.as_ue_mut().unwrap().misbehave(Some(how)));
        simulation.run();
        let trace = simulation.world().tap.trace();
        assert_eq!(simulation.registered(), 0, "{how:?}\n{trace}");
        if let Some(reason) = reason {
            assert!(dropped(&simulation, reason) > 0, "{how:?}\n{trace}");
        }
        let heard = |name: &str| simulation.world().tap.hops.iter().any(|h| h.name == name && h.to.ip() == host(UE));
        assert!(answer.is_none_or(heard), "{how:?}\n{trace}");
        assert!(!heard("200 REGISTER"), "{how:?}\n{trace}");
    }
}

/// A UE that sends everything twice is registered once, and the second copy never reaches SIP.
#[test]
fn a_replay_is_dropped() {
    let mut simulation = start("first-registration", &SMALL);
    let id = simulation.ue(0);
    simulation
        .world_mut()
        .command(id, |element, _, _| element.as_ue_mut().unwrap().misbehave(Some(Misbehaviour::Replay)));
    simulation.run();
    assert_eq!((simulation.registered(), dropped(&simulation, Drop::Replayed)), (1, 1));
}

/// TS 33.203 clause 7.1: SPIs that are in use are not agreed to again.
#[test]
fn spis_offered_again_are_refused_and_the_old_set_serves() {
    let mut simulation = start("re-authentication", &SMALL);
    let id = simulation.ue(0);
    simulation
        .world_mut()
        .command(id, |element, _, _| element.as_ue_mut().unwrap().misbehave(Some(Misbehaviour::ReusedSpi)));
    simulation.run();
    let refused = told(&simulation, |role, what| {
        role == Role::Pcscf && matches!(what, What::Refused { status: 403, cause, .. } if cause.contains("in use"))
    });
    assert!(refused > 0, "{}", simulation.world().tap.trace());
}

/// Field lesson 9: what the P-CSCF before left in the kernel is taken away when the next one starts; the UE that comes
/// with the same ports gets its set.
#[test]
fn lesson_09_sets_of_an_earlier_process_are_swept_at_start() {
    let mut simulation = start("first-registration", &SMALL);
    simulation.run();
    assert_eq!(sets(&simulation), (2, 2));
    simulation.crash(Role::Pcscf);
    assert_eq!(sets(&simulation), (1, 2), "the process is gone, its sets are still in the plane");
    simulation.restart(Role::Pcscf);
    assert_eq!(sets(&simulation), (1, 1));
    let id = simulation.ue(0);
    simulation.world_mut().command(id, |element, now, out| element.as_ue_mut().unwrap().register(now, out));
    pass(&mut simulation, 300);
    assert_eq!((simulation.registered(), sets(&simulation)), (1, (2, 2)), "{}", simulation.world().tap.trace());
}

/// Field lesson 10: what nobody removes any more ends by itself, a minute after the SIP timers would have ended it, and
/// each refresh moves that end (field lesson 12).
#[test]
fn lesson_10_what_nobody_removes_ends_by_itself() {
    let mut simulation = start(
        "refresh",
        &[SMALL[0], SMALL[1], SMALL[2], SMALL[3], ("scscf.expires.max", "3600s"), ("scscf.challenge", "never")],
    );
    simulation.run();
    let ends = simulation.ues().next().and_then(|ue| ue.expires_at()).expect("registered");
    simulation.crash(Role::Pcscf);
    let ue = simulation.ue(0);
    assert_eq!(simulation.world().esp_sets(), Some(2));
    simulation.world_mut().run_until(ends + Duration::from_secs(80));
    let left = simulation.world().esp_sets();
    assert!(left >= Some(1), "the P-CSCF's: {left:?} {ue:?}");
    simulation.world_mut().run_until(ends + Duration::from_secs(30 + 60 + 1));
    let trace = simulation.world().tap.trace();
    let of_pcscf = simulation.world().esp_counters(host("127.0.0.1")).is_some();
    assert!(of_pcscf && simulation.world().esp_sets() < left, "{trace}");
}

/// Field lesson 21: many at a time at a plane that takes its time for each.
#[test]
fn lesson_21_a_wave_at_a_slow_plane_registers() {
    let mut wave = scenario("first-registration", &SMALL);
    (wave.ues, wave.steps[0].ue) = (5, None);
    wave.hss_data = "hss-data/lab.yaml".into();
    let mut simulation = Simulation::new(&wave, Recorder::default()).unwrap_or_else(|f| panic!("{f}"));
    simulation.world_mut().set_sa_latency(Duration::from_millis(900));
    simulation.run();
    assert_eq!((simulation.registered(), sets(&simulation)), (5, (10, 10)), "{}", simulation.world().tap.trace());
    assert!(simulation.ues().all(|ue| ue.status() == UeStatus::Registered));
}

/// De-registration over TCP (SL-06, field lesson 18): the 200 goes through the set, then its connections end, then the
/// set, 64*T1 later; nothing of it leaves in clear.
#[test]
fn the_200_then_the_connections_then_the_set() {
    let mut life = scenario("first-registration", &[("ue.transport", "tcp")]);
    life.until = Duration::from_secs(2);
    let mut simulation = Simulation::new(&life, Recorder::default()).unwrap_or_else(|f| panic!("{f}"));
    simulation.run();
    let protected = |simulation: &Simulation<Recorder>| {
        let all = simulation.world().connections_of(host(UE));
        all.iter().filter(|(client, _)| client.port() == 31_000).count()
    };
    assert_eq!((simulation.registered(), protected(&simulation)), (1, 1));
    let (id, begun) = (simulation.ue(0), simulation.world().now());
    simulation.world_mut().command(id, |element, now, out| element.as_ue_mut().unwrap().deregister(now, out));
    pass(&mut simulation, 127);
    let trace = simulation.world().tap.trace();
    let last = simulation.world().tap.hops.iter().rfind(|hop| hop.to.ip() == host(UE)).expect("an answer");
    assert_eq!((&*last.name, last.to.port()), ("200 REGISTER", 31_000), "{trace}");
    // The UE is done with its set at the 200, and with it go the connections; the P-CSCF keeps its own for copies.
    assert_eq!((sets(&simulation), protected(&simulation)), ((1, 1), 0), "{trace}");
    pass(&mut simulation, 3);
    assert_eq!(sets(&simulation), (0, 0), "{trace}");
    let removed = simulation.world().tap.capture.entries.iter().filter_map(|entry| match entry {
        Entry::Event { at, event } if matches!(event.what, What::SaRemoved { .. }) => Some((event.role, *at)),
        _ => None,
    });
    let removed: Vec<(Role, Instant)> = removed.collect();
    assert!(matches!(removed[..], [(Role::Ue, _), (Role::Pcscf, _)]), "{removed:?}");
    assert!(removed[1].1 >= begun + Duration::from_secs(128), "{removed:?}");
}
