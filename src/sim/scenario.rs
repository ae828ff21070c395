//! A scenario come to life.

use super::link::{Link, Links, Outage};
use super::world::World;
use crate::config::{
    Action, Elements, Faults, NetworkFault, Scenario, Step, Subscribers, load_profile, load_subscribers,
};
use crate::hss::Hss;
use crate::icscf::Icscf;
use crate::ims::{AddressTaken, ElementId, Ims, Tap, Wiring};
use crate::pcscf::Pcscf;
use crate::random::Random;
use crate::scscf::Scscf;
use crate::time::{Duration, Epoch, Instant};
use crate::ue::{Ue, UeStatus};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// All elements and UEs of a scenario in a world.
#[derive(Debug)]
pub struct Simulation<T> {
    world: World<T>,
    ues: Vec<ElementId>,
    steps: Vec<Step>,
    until: Duration,
}

impl<T: Tap> Simulation<T> {
    /// Reads what the scenario names and builds it. Nothing has happened yet.
    pub fn new(scenario: &Scenario, tap: T) -> Result<Self, Faults> {
        let profile = load_profile(&scenario.profile, &scenario.settings)?;
        let subscribers = load_subscribers(&scenario.hss_data, &profile)?;
        // One generator for each: elements do not disturb each other's sequence, nor does the network.
        let mut random = Random::seeded(scenario.seed);
        let mut ims = Ims::new(Wiring::Wire);
        let epoch = Epoch::SIMULATION;
        let taken = |taken: AddressTaken| Faults::one(&*scenario.profile, "", taken.to_string());
        let pcscf = profile.pcscf(Elements::ALL)?;
        let access = pcscf.listen[0];
        ims.add(Pcscf::new(pcscf, random.fork())).map_err(taken)?;
        ims.add(Icscf::new(profile.icscf(Elements::ALL, epoch)?, random.fork())).map_err(taken)?;
        ims.add(Scscf::new(profile.scscf(Elements::ALL, epoch)?, random.fork())).map_err(taken)?;
        let mut ues = Vec::new();
        let mut subscriptions = Vec::new();
        for number in 0..scenario.ues {
            subscriptions.push(subscription(&subscribers, number, scenario)?);
        }
        ims.add(Hss::new(profile.hss(epoch), subscribers.store, random.fork())).map_err(taken)?;
        for (number, subscription) in (0..).zip(&subscriptions) {
            let config = profile.ue(subscription, access, ue_address(access.ip(), number), epoch);
            ues.push(ims.add(Ue::new(config, random.fork())).map_err(taken)?);
        }
        let world = World::new(ims, links(&scenario.faults), random.next_u64(), tap);
        Ok(Self { world, ues, steps: scenario.steps.clone(), until: scenario.until })
    }

    /// Lets everything happen.
    pub fn run(&mut self) {
        self.world.start();
        for step in std::mem::take(&mut self.steps) {
            self.world.run_until(START + step.at);
            for (number, ue) in (0..).zip(&self.ues) {
                if step.ue.is_none_or(|chosen| chosen == number) {
                    self.world.command(*ue, |element, now, out| {
                        let ue = element.as_ue_mut().expect("only UEs are in the list");
                        match step.action {
                            Action::Register | Action::Reregister => ue.register(now, out),
                            Action::Deregister => ue.deregister(now, out),
                        }
                    });
                }
            }
        }
        self.world.run_until(START + self.until);
    }

    /// The world, to look at.
    pub const fn world(&self) -> &World<T> {
        &self.world
    }

    /// The world, for more than the scenario says.
    pub const fn world_mut(&mut self) -> &mut World<T> {
        &mut self.world
    }

    /// What saw everything.
    pub fn into_tap(self) -> T {
        self.world.tap
    }

    /// Where each UE stands.
    pub fn ues(&self) -> impl Iterator<Item = &Ue> {
        self.ues.iter().filter_map(|id| self.world.ims().element(*id).as_ue())
    }

    /// How many UEs are registered.
    pub fn registered(&self) -> usize {
        self.ues().filter(|ue| ue.status() == UeStatus::Registered).count()
    }
}

fn subscription(
    subscribers: &Subscribers,
    number: u32,
    scenario: &Scenario,
) -> Result<crate::config::Subscription, Faults> {
    let missing = || {
        let message = format!("{} UEs wanted, {number} subscribers with keys found", scenario.ues);
        Faults::one(scenario.hss_data.display().to_string(), "", message)
    };
    subscribers.subscription(number.into()).ok_or_else(missing)
}

/// Every UE has an address of its own.
fn ue_address(access: IpAddr, number: u32) -> SocketAddr {
    let ip = match access {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(FIRST_UE_V4.to_bits().wrapping_add(number))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(FIRST_UE_V6.to_bits() + u128::from(number))),
    };
    SocketAddr::new(ip, 5060)
}

fn links(faults: &[NetworkFault]) -> Links {
    let mut links = Links::default();
    for fault in faults {
        match *fault {
            NetworkFault::Link { between, latency, jitter, loss, duplication } => {
                let latency = latency.unwrap_or(Link::CLEAN.latency);
                let link = Link { latency, jitter, loss, duplication };
                match between {
                    Some((a, b)) => links.between.push((a, b, link)),
                    None => links.default = link,
                }
            }
            NetworkFault::Outage { role, from, until } => {
                // What is down from the beginning has not come up before it either.
                let from = if from.is_zero() { Instant::ZERO } else { START + from };
                links.outages.push(Outage { role, from, until: START + until });
            }
        }
    }
    links
}

/// When the times of a scenario begin: elements have connected by then.
const START: Instant = Instant::from_secs(1);
/// TEST-NET-2 and the documentation prefix would do; a private network looks like an access network.
const FIRST_UE_V4: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const FIRST_UE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
