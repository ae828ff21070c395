//! UEs behind a NAT in virtual time (TS 33.203 annex M, RFC 3948): ESP in UDP, octet for octet, through mappings that end,
//! move and are kept (`docs/sec-agree.md`).
#![cfg(feature = "live")]

mod common;

use common::Recorder;
use imsreg::capture::Entry;
use imsreg::config::{Action, ByNetwork, NetworkFault, Scenario, Setting, Step, load_scenario};
use imsreg::event::{Role, What};
use imsreg::ipsec::esp::{Carrier, KEEP_ALIVE};
use imsreg::packet::Transport;
use imsreg::sim::{EspPacket, Simulation};
use imsreg::time::Duration;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

const NAT: &str = "203.0.113.1";
const PCSCF: &str = "127.0.0.1";

/// The scenario `nat`: what it sets, then `set`; its steps replaced.
fn scenario(set: &[(&str, &str)], steps: Vec<Step>) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/nat.yaml");
    let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.settings.extend(set.iter().map(|(key, value)| Setting::new("set", key, (*value).to_owned())));
    scenario.until = steps.last().map_or(Duration::ZERO, |step| step.at) + Duration::from_secs(300);
    scenario.steps = steps;
    scenario
}

fn run(scenario: &Scenario) -> Simulation<Recorder> {
    let mut simulation = Simulation::new(scenario, Recorder::default()).unwrap_or_else(|f| panic!("{f}"));
    simulation.world_mut().keep_esp();
    simulation.run();
    simulation
}

const fn step(at: u64, ue: Option<u32>, action: Action) -> Step {
    Step { at: Duration::from_secs(at), ue, action, to: Some(0) }
}

fn told(simulation: &Simulation<Recorder>, wanted: impl Fn(Role, &What) -> bool) -> usize {
    let entries = &simulation.world().tap.capture.entries;
    entries.iter().filter(|e| matches!(e, Entry::Event { event, .. } if wanted(event.role, &event.what))).count()
}

/// Messages that the first UE got.
fn messages(simulation: &Simulation<Recorder>) -> usize {
    told(simulation, |role, what| role == Role::Ue && matches!(what, What::MessageReceived { .. }))
}

fn lost_at_the_nat(simulation: &Simulation<Recorder>) -> usize {
    told(simulation, |_, what| matches!(what, What::PacketDropped { cause: "the NAT knows no way", .. }))
}

/// Sets in the tables of the elements, and in the planes.
fn sets(simulation: &Simulation<Recorder>) -> (usize, usize) {
    let world = simulation.world();
    (world.ims().sa_sets(), world.esp_sets().expect("ESP is carried"))
}

fn host(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What the world outside the NAT sees of protected messages: UDP between the NAT and port 4500 of the P-CSCF.
#[track_caller]
fn check_outside(packets: &[EspPacket]) {
    for packet in packets {
        let Carrier::Udp { source_port, destination_port } = packet.carrier else { panic!("bare ESP: {packet:?}") };
        if packet.source == host(PCSCF) {
            // Packets to UEs are shown as the UE gets them.
            assert_eq!((source_port, destination_port), (4_500, 4_500));
            assert!(packet.destination.to_string().starts_with("10.64.0."), "{packet:?}");
        } else {
            assert_eq!((packet.source, packet.destination, destination_port), (host(NAT), host(PCSCF), 4_500));
            assert!(source_port >= 40_000, "{packet:?}");
        }
    }
}

/// Registration, message after ten minutes of silence, restart of the NAT, refresh by new ports, message, the network's
/// wish to authenticate again (a NOTIFY, then a new set), de-registration.
#[test]
fn a_life_behind_a_nat() {
    for (transport, pair) in
        [("udp", "hmac-sha-1-96/aes-cbc"), ("tcp", "hmac-sha-1-96/aes-cbc"), ("udp", "null/aes-gcm")]
    {
        let set = [
            ("ue.transport", transport),
            ("ue.algorithms", pair),
            ("pcscf.algorithms", pair),
            ("ue.subscribe", "true"),
        ];
        let steps = vec![
            step(0, None, Action::Register),
            step(600, Some(1), Action::Message),
            step(700, None, Action::RestartNat),
            step(710, Some(0), Action::Reregister),
            step(720, Some(1), Action::Message),
            step(1_400, Some(0), Action::Network(ByNetwork::Reauthenticate)),
            step(1_700, Some(1), Action::Message),
            step(1_800, None, Action::Deregister),
        ];
        let mut simulation = run(&scenario(&set, steps));
        let trace = simulation.world().tap.trace();
        assert_eq!(messages(&simulation), 3, "{transport} {pair}\n{trace}");
        let hops = &simulation.world().tap.hops;
        let notified = hops.iter().filter(|hop| hop.name.starts_with("NOTIFY") && hop.to.ip() == host("10.64.0.1"));
        assert!(notified.filter(|hop| hop.at > 1_400_000).count() >= 1, "{transport}\n{trace}");
        let tunnels = told(&simulation, |role, what| {
            role == Role::Pcscf
                && matches!(what, What::SaInstalled { algorithms, .. } if algorithms.ends_with("UDP-enc-tun by 203.0.113.1"))
        });
        assert_eq!(tunnels, 3, "two first sets, one of the re-authentication\n{trace}");
        if transport == "udp" {
            let mut registers = hops.iter().filter(|hop| hop.name.starts_with("REGISTER") && hop.to.port() == 6_100);
            assert!(registers.all(|hop| hop.transport == Transport::Udp), "{trace}");
        }
        assert_eq!(lost_at_the_nat(&simulation), 0, "{transport}\n{trace}");
        assert_eq!((simulation.registered(), sets(&simulation)), (0, (0, 0)), "{transport}\n{trace}");
        let packets = simulation.world_mut().take_esp();
        check_outside(&packets);
        // Two UEs, half an hour, every 20 s but where something else was said.
        let keep_alives = packets.iter().filter(|packet| packet.octets == KEEP_ALIVE).count();
        assert!((2 * 80..=2 * 90).contains(&keep_alives), "{keep_alives}");
    }
}

/// The mapping is there because of the keep-alives: a NAT that forgets sooner than they come loses the message.
#[test]
fn without_a_mapping_a_message_is_lost() {
    let steps = || vec![step(0, None, Action::Register), step(600, Some(1), Action::Message)];
    let set = [("ue.transport", "udp")];
    let mut scenario = scenario(&set, steps());
    assert_eq!(messages(&run(&scenario)), 1);
    let nat = scenario.nat.as_mut().expect("the scenario has one");
    nat.timeout = Duration::from_secs(15);
    let simulation = run(&scenario);
    assert_eq!(messages(&simulation), 0);
    assert!(lost_at_the_nat(&simulation) > 0);
}

/// A NAT that restarts chooses another port: the P-CSCF knows of it by the next packet of the UE that opens, and no sooner.
/// A keep-alive, which nothing authenticates, does not tell (RFC 3948 clause 2.3).
#[test]
fn the_port_of_the_nat_is_that_of_the_newest_genuine_packet() {
    let life = |refreshes: bool| {
        let mut steps = vec![step(0, None, Action::Register), step(100, None, Action::RestartNat)];
        steps.extend(refreshes.then_some(step(150, Some(0), Action::Reregister)));
        // Less than Timer F before the end: nothing else happens.
        steps.push(step(200, Some(1), Action::Message));
        let mut scenario = scenario(&[("ue.transport", "udp")], steps);
        scenario.until = Duration::from_secs(230);
        run(&scenario)
    };
    assert_eq!(messages(&life(true)), 1);
    let simulation = life(false);
    assert_eq!(messages(&simulation), 0, "{}", simulation.world().tap.trace());
    assert!(lost_at_the_nat(&simulation) > 0);
}

/// TS 33.203 clause M.7.1: nothing but the tunnel behind a NAT. A policy that lets others try sees them fail: bare ESP has
/// no ports that a NAT could translate.
#[test]
fn without_the_offer_there_is_no_registration() {
    let steps = || vec![step(0, Some(0), Action::Register)];
    for (nat, refused) in [("required", true), ("offered", false)] {
        let set = [("ue.modes", "[trans]"), ("pcscf.nat", nat), ("ue.retry.attempts", "1"), ("ue.transport", "udp")];
        let simulation = run(&scenario(&set, steps()));
        let trace = simulation.world().tap.trace();
        let cause = told(&simulation, |role, what| {
            role == Role::Pcscf
                && matches!(what, What::Refused { status: 494, cause, .. } if cause.contains("behind a NAT, at 10.64.0.1"))
        });
        assert_eq!(cause > 0, refused, "{trace}");
        assert_eq!(lost_at_the_nat(&simulation) > 0, !refused, "{trace}");
        assert_eq!((simulation.registered(), sets(&simulation)), (0, (0, 0)), "{trace}");
    }
}

/// A UE that offers both and is behind no NAT gets transport mode.
#[test]
fn in_the_open_there_is_no_tunnel() {
    let mut scenario = scenario(&[], vec![step(0, None, Action::Register)]);
    scenario.nat = None;
    let mut simulation = run(&scenario);
    assert_eq!((simulation.registered(), sets(&simulation)), (2, (4, 4)));
    assert!(simulation.world_mut().take_esp().iter().all(|packet| packet.carrier == Carrier::Ip));
}

/// Where the UE writes it and what it says: private in clear, that of the NAT over SAs (TS 24.229 clause F.2.1.2.2).
#[test]
fn via_and_contact_name_the_address_that_can_be_seen() {
    let simulation = run(&scenario(&[("ue.transport", "udp")], vec![step(0, Some(0), Action::Register)]));
    let registers: Vec<String> = (simulation.world().tap.hops.iter())
        .filter(|hop| hop.from.ip() == host("10.64.0.1") && hop.name.starts_with("REGISTER"))
        .map(|hop| String::from_utf8_lossy(&hop.bytes).into_owned())
        .collect();
    let [first, second] = &registers[..] else { panic!("two expected: {registers:#?}") };
    assert!(first.contains("Via: SIP/2.0/UDP 10.64.0.1:5060;") && first.contains("@10.64.0.1:5060>"), "{first}");
    assert!(
        second.contains("Via: SIP/2.0/UDP 203.0.113.1:31001;") && second.contains("@203.0.113.1:31001>"),
        "{second}"
    );
    let challenge =
        simulation.world().tap.hops.iter().find(|hop| hop.name == "401 REGISTER" && hop.to.ip() == host(NAT));
    let challenge = String::from_utf8_lossy(&challenge.expect("it went to the NAT").bytes).into_owned();
    assert!(challenge.contains(";received=203.0.113.1") && challenge.contains(";rport=40001"), "{challenge}");
}

/// Both sides of a call are behind the NAT, and name the same address in Contact: the way is that of the sets.
#[test]
fn a_call_between_neighbours() {
    let steps = vec![
        step(0, None, Action::Register),
        step(100, Some(1), Action::Call),
        step(300, Some(1), Action::HangUp),
        step(400, None, Action::Deregister),
    ];
    let simulation = run(&scenario(&[], steps));
    let trace = simulation.world().tap.trace();
    let answered = |name: &str| {
        let hops = &simulation.world().tap.hops;
        hops.iter().filter(|hop| hop.name == name && hop.to.ip() == host("10.64.0.2")).count()
    };
    assert_eq!((answered("200 INVITE"), answered("200 BYE")), (1, 1), "{trace}");
    assert_eq!((lost_at_the_nat(&simulation), sets(&simulation)), (0, (0, 0)), "{trace}");
}

/// Many UEs, one NAT, a network that loses one packet in ten: all get there, each by a port of its own.
#[test]
fn many_behind_one_nat() {
    let mut scenario = scenario(
        &[("ue.transport", "udp")],
        vec![step(0, None, Action::Register), step(600, None, Action::Deregister)],
    );
    scenario.ues = 40;
    scenario.hss_data = "hss-data/lab.yaml".into();
    let link = NetworkFault::Link {
        between: Some((Role::Ue, Role::Pcscf)),
        latency: None,
        jitter: Duration::from_millis(30),
        loss: 100,
        duplication: 50,
    };
    scenario.faults.push(link);
    let mut simulation = Simulation::new(&scenario, Recorder::default()).unwrap_or_else(|f| panic!("{f}"));
    simulation.world_mut().keep_esp();
    let mut ended = scenario.clone();
    ended.steps.truncate(1);
    ended.until = Duration::from_secs(120);
    assert_eq!(run(&ended).registered(), 40);
    simulation.run();
    assert_eq!((simulation.registered(), sets(&simulation)), (0, (0, 0)));
    let packets = simulation.world_mut().take_esp();
    check_outside(&packets);
    let from = packets.iter().filter(|packet| packet.source == host(NAT)).map(|packet| packet.carrier);
    let ports: BTreeSet<u16> =
        from.filter_map(|c| if let Carrier::Udp { source_port, .. } = c { Some(source_port) } else { None }).collect();
    assert!(ports.len() >= 40, "{ports:?}");
}
