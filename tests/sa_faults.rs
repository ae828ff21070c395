//! Registrations and de-registrations among faults: sets that cannot be made, packets lost, wrong RES, wrong MAC, a P-CSCF
//! that is killed. Nothing is left of any of them: no set in any table, none in any plane, no port.
#![cfg(feature = "live")]

use imsreg::config::{Scenario, Setting, load_scenario};
use imsreg::event::Role;
use imsreg::random::Random;
use imsreg::sim::{Link, Plane, Simulation};
use imsreg::time::{Duration, Instant};
use imsreg::ue::Misbehaviour;
use std::net::SocketAddr;
use std::path::Path;

const UES: u32 = 20;
const ROUNDS: u32 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Refused,
    SilentPlane,
    Lost,
    WrongResponse,
    MacFailure,
    WrongKeys,
    PcscfKilled,
}

const FAULTS: [Fault; 7] = [
    Fault::Refused,
    Fault::SilentPlane,
    Fault::Lost,
    Fault::WrongResponse,
    Fault::MacFailure,
    Fault::WrongKeys,
    Fault::PcscfKilled,
];

fn scenario() -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/first-registration.yaml");
    let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    scenario.esp = true;
    scenario.ues = UES;
    scenario.steps.clear();
    for (key, value) in [("scscf.expires.max", "600s"), ("scscf.expires.default", "600s"), ("ue.refresh", "false")] {
        scenario.settings.push(Setting::new("set", key, value.to_owned()));
    }
    scenario
}

/// One registration and one de-registration a round; every twentieth round, by chance, with a fault.
#[test]
fn ten_thousand_registrations_among_faults_leave_nothing() {
    let mut simulation = Simulation::new(&scenario(), ()).unwrap_or_else(|faults| panic!("{faults}"));
    let mut random = Random::seeded(5);
    let mut met = [0; FAULTS.len()];
    let (mut registered, mut most) = (0, 0);
    simulation.world_mut().start();
    simulation.world_mut().run_until(Instant::from_secs(1));
    for round in 0..ROUNDS {
        let fault = (random.below(100) < 5).then(|| random.below(FAULTS.len() as u32) as usize);
        let ue = simulation.ue((round % UES) as usize);
        let wrong = fault.and_then(|fault| match FAULTS[fault] {
            Fault::WrongResponse => Some(Misbehaviour::WrongResponse),
            Fault::MacFailure => Some(Misbehaviour::MacFailure),
            Fault::WrongKeys => Some(Misbehaviour::OldKeys),
            _ => None,
        });
        let world = simulation.world_mut();
        match fault.map(|fault| FAULTS[fault]) {
            Some(Fault::Refused) => world.set_plane(Plane::Refuses),
            Some(Fault::SilentPlane) => world.set_plane(Plane::IsSilent),
            Some(Fault::Lost) => world.links.default = Link { loss: 700, ..Link::CLEAN },
            _ => {}
        }
        world.command(ue, |element, now, out| {
            let ue = element.as_ue_mut().expect("a UE");
            ue.misbehave(wrong);
            ue.register(now, out);
        });
        let half = world.now() + Duration::from_millis(15);
        if fault.is_some_and(|fault| FAULTS[fault] == Fault::PcscfKilled) {
            // In the middle of the registration.
            world.run_until(half);
            simulation.crash(Role::Pcscf);
            simulation.restart(Role::Pcscf);
        }
        let world = simulation.world_mut();
        world.run_until(half + Duration::from_millis(500));
        world.set_plane(Plane::Works);
        world.links.default = Link::CLEAN;
        let gone = simulation.ue(((round + UES / 2) % UES) as usize);
        let world = simulation.world_mut();
        world.command(gone, |element, now, out| element.as_ue_mut().expect("a UE").deregister(now, out));
        let next = world.now() + Duration::from_secs(2);
        world.run_until(next);
        met[fault.unwrap_or(0)] += u32::from(fault.is_some());
        registered += simulation.registered();
        most = most.max(simulation.world().ims().sa_sets());
    }
    assert!(met.iter().all(|times| *times > 30), "{met:?}");
    assert!(registered as u32 > 5 * ROUNDS, "most UEs are registered most of the time: {registered}");
    assert!(most <= 2 * 3 * UES as usize, "{most}");

    // The network's grants last ten minutes, temporary sets four.
    for number in 0..UES as usize {
        let ue = simulation.ue(number);
        simulation.world_mut().command(ue, |element, now, out| {
            let ue = element.as_ue_mut().expect("a UE");
            ue.misbehave(None);
            ue.deregister(now, out);
        });
    }
    let end = simulation.world().now() + Duration::from_secs(1_200);
    simulation.world_mut().run_until(end);
    let world = simulation.world();
    assert_eq!((world.ims().sa_sets(), world.esp_sets()), (0, Some(0)), "sets in tables, sets in planes");
    let pcscf = world.ims().of_role(Role::Pcscf).and_then(|id| world.ims().element(id).as_pcscf()).expect("a P-CSCF");
    assert_eq!((pcscf.sa_sets(), pcscf.subscribers(), pcscf.transactions()), (0, 0, 0));
    for ue in simulation.ues() {
        let (ip, (first, _)) = (ue.config().local.ip(), ue.config().protected_ports);
        let open = (0..2_000).filter(|n| world.ims().is_protected(SocketAddr::new(ip, first.wrapping_add(*n)))).count();
        assert_eq!(open, 0, "ports of {ip}");
        // Connections in clear stay open as long as anybody likes.
        let protected = |(client, server): &(SocketAddr, SocketAddr)| client.port() < 49_152 && server.port() != 5_060;
        assert!(!world.connections_of(ip).iter().any(protected), "{:?}", world.connections_of(ip));
    }
}
