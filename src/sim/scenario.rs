//! A scenario come to life.

use super::link::{Link, Links, Outage};
use super::world::World;
use crate::application_server::ApplicationServer;
use crate::config::{
    Action, ByNetwork, Elements, Faults, MutationCase, NatSetting, NetworkFault, Profile, Scenario, Step, Subscribers,
    load_profile, load_subscribers,
};
use crate::conformance::End;
use crate::cx::ReasonCode;
use crate::event::Role;
use crate::hss::{Hss, Store};
use crate::icscf::Icscf;
use crate::identity::{Impi, Impu, Realm};
use crate::ims::{AddressTaken, Element, ElementId, Ims, Order, Tap, Wiring};
use crate::mutation::{Mutation, Mutator};
use crate::pcscf::Pcscf;
use crate::random::Random;
use crate::scscf::{Scscf, Termination};
use crate::time::{Duration, Epoch, Instant};
use crate::ue::{CannotSend, Ue, UeStatus};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

/// All elements and UEs of a scenario in a world.
#[derive(Debug)]
pub struct Simulation<T> {
    world: World<T>,
    servers: Vec<(Role, ElementId)>,
    ues: Vec<ElementId>,
    network: Network,
    plan: Vec<(Duration, Happening)>,
    until: Duration,
}

/// What is told at one moment.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Step(Step),
    Crash(Role),
    Restart(Role),
}

/// Makes the elements of the network, and their successors.
#[derive(Debug)]
struct Network {
    profile: Profile,
    store: Store,
    /// Those that there are.
    elements: Elements,
    random: Random,
}

impl<T: Tap> Simulation<T> {
    /// Reads what the scenario names and builds it. Nothing has happened yet.
    pub fn new(scenario: &Scenario, tap: T) -> Result<Self, Faults> {
        Self::with_fault(scenario, None, tap)
    }

    /// The same, and the first UE and what has to do with it are as the mutation says.
    pub fn mutated(scenario: &Scenario, case: &MutationCase, tap: T) -> Result<Self, Faults> {
        Self::with_fault(scenario, Some(case), tap)
    }

    fn with_fault(scenario: &Scenario, case: Option<&MutationCase>, tap: T) -> Result<Self, Faults> {
        let profile = load_profile(&scenario.profile, &scenario.settings)?;
        let faulty = case.map(|case| [&scenario.settings[..], &case.ue_settings[..]].concat());
        let faulty = faulty.map(|settings| load_profile(&scenario.profile, &settings)).transpose()?;
        let subscribers = load_subscribers(&scenario.hss_data, &profile)?;
        let known_to_ues =
            case.and_then(|case| case.ue_data.as_ref()).map(|path| load_subscribers(path, &profile)).transpose()?;
        let access = profile.pcscf_for_ue();
        let mut subscriptions = Vec::new();
        for number in 0..scenario.ues {
            subscriptions.push(subscription(known_to_ues.as_ref().unwrap_or(&subscribers), number, scenario)?);
        }
        let elements = Elements { application_server: scenario.application_server, ..Elements::ALL };
        let random = Random::seeded(scenario.seed);
        let mut network = Network { profile, store: subscribers.store, elements, random };
        let mut ims = Ims::new(Wiring::Wire);
        let taken = |taken: AddressTaken| Faults::one(&*scenario.profile, "", taken.to_string());
        let mut servers = Vec::new();
        for role in [Role::Pcscf, Role::Icscf, Role::Scscf, Role::Hss] {
            servers.push((role, ims.add(network.element(role)?).map_err(taken)?));
        }
        let mut ues = Vec::new();
        for (number, subscription) in (0..).zip(&subscriptions) {
            let is_beside = number > 0 && case.is_some_and(|case| case.one_address);
            let beside = is_beside.then(|| Beside::first(ue_address(access.ip(), 0).ip(), number));
            let address = beside.as_ref().map_or_else(|| ue_address(access.ip(), number), |beside| beside.local);
            let profile = faulty.as_ref().filter(|_| number == 0).unwrap_or(&network.profile);
            let mut config = profile.ue(subscription, access, address, Epoch::SIMULATION);
            if let Some(Beside { protected, .. }) = beside {
                config.protected_ports = protected;
            }
            let mut ue = Ue::new(config, network.random.fork());
            ue.misbehave(case.filter(|_| number == 0).and_then(|case| case.misbehaviour));
            ues.push(ims.add(ue).map_err(taken)?);
        }
        let on_the_way = network.random.next_u64();
        // The last to come: without it everything else is the same.
        if scenario.application_server {
            let role = Role::ApplicationServer;
            servers.push((role, ims.add(network.element(role)?).map_err(taken)?));
        }
        let mut world = World::new(ims, links(&scenario.faults), on_the_way, tap);
        if scenario.esp {
            world.carry_esp();
        }
        if let Some(NatSetting { address, timeout }) = scenario.nat {
            world.put_nat(address, timeout, (0..scenario.ues).map(|number| ue_address(access.ip(), number).ip()));
        }
        if let (Some(case), Some(ue)) = (case, ues.first()) {
            let mutator = mutator(&world, &ues, *ue, &case.mutation);
            world.mutate(*ue, mutator);
        }
        Ok(Self { world, servers, ues, network, plan: plan(scenario), until: scenario.until })
    }

    /// A further fault, of an element: what has to do with any of the UEs is as the mutation says.
    pub fn add_fault(&mut self, mutation: &Mutation) {
        for ue in &self.ues {
            let mutator = mutator(&self.world, &self.ues, *ue, mutation);
            self.world.mutate(*ue, mutator);
        }
    }

    /// What placeholders of mutations call the UEs by, without braces: `ue1.impi` and the like.
    pub fn names(&self) -> Vec<(Box<str>, Box<str>)> {
        names(&self.world, &self.ues)
    }

    /// Lets everything happen.
    pub fn run(&mut self) {
        self.world.start();
        for (at, happening) in std::mem::take(&mut self.plan) {
            self.world.run_until(START + at);
            match happening {
                Happening::Step(step) => self.step(step),
                Happening::Crash(role) => self.crash(role),
                Happening::Restart(role) => self.restart(role),
            }
        }
        self.world.run_until(START + self.until);
    }

    /// Kills the process of an element: its next one has what it recorded, and nothing else.
    pub fn crash(&mut self, role: Role) {
        let mut successor = self.network.element(role).expect("its configuration was good the first time");
        if let Element::Hss(hss) = &mut successor {
            for (key, value) in self.world.journal() {
                hss.restore(key, value).expect("a record that an HSS wrote");
            }
        }
        self.world.crash(self.server(role), successor);
    }

    /// Starts the process of an element that crashed.
    pub fn restart(&mut self, role: Role) {
        self.world.restart(self.server(role));
    }

    fn step(&mut self, step: Step) {
        match step.action {
            Action::Network(network) => return self.order(step.ue, network),
            Action::RestartNat => return self.world.restart_nat(),
            _ => {}
        }
        let to = step.to.map(|to| self.identity(to)).unwrap_or_default();
        for (number, ue) in (0..).zip(&self.ues) {
            if step.ue.is_none_or(|chosen| chosen == number) {
                self.world.command(*ue, |element, now, out| {
                    let ue = element.as_ue_mut().expect("only UEs are in the list");
                    let sent = match step.action {
                        Action::Register | Action::Reregister => return ue.register(now, out),
                        Action::Deregister => return ue.deregister(now, out),
                        Action::Emergency => return ue.register_emergency(now, out),
                        Action::SecondIdentity => match ue.associated().get(1).cloned() {
                            Some(second) => ue.register_identity(now, second, out),
                            None => Ok(()),
                        },
                        Action::Message => ue.message(now, &to, "text/plain", b"hello", out),
                        Action::Call => ue.invite(now, &to, &ue.offer(), out).map(|_| ()),
                        Action::Network(_) | Action::RestartNat => return,
                        Action::HangUp => ue.newest_call().map_or(Ok(()), |call| ue.hang_up(now, call, out)),
                    };
                    // A UE that is not registered, or has no call, does nothing: the ladder shows as much.
                    let _: Result<(), CannotSend> = sent;
                });
            }
        }
    }

    /// The network does something with the registration of a UE, or of each. Where there is none, nothing happens.
    fn order(&mut self, ue: Option<u32>, by: ByNetwork) {
        let ues = u32::try_from(self.ues.len()).expect("the scenario counts them so");
        for number in (0..ues).filter(|number| ue.is_none_or(|chosen| chosen == *number)) {
            let impu = self.identity(number);
            let order = match by {
                ByNetwork::Reauthenticate => Order::Reauthenticate { impu, within: REAUTHENTICATION },
                ByNetwork::Deregister => Order::Deregister { impu, termination: Termination::Deactivated },
                ByNetwork::Terminate => Order::Terminate { identity: impu, reason: ReasonCode::PermanentTermination },
                ByNetwork::ChangeServer => Order::Terminate { identity: impu, reason: ReasonCode::ServerChange },
            };
            let server = self.server(order.role());
            self.world.command(server, |element, now, out| {
                let _ = element.carry_out(now, &order, out);
            });
        }
    }

    /// The default identity of a UE, or the one that it wants to register.
    fn identity(&self, number: u32) -> String {
        let ue = self.ues().nth(number as usize).expect("the scenario was checked when it was read");
        ue.associated().first().unwrap_or_else(|| &ue.config().impu).as_str().to_owned()
    }

    fn server(&self, role: Role) -> ElementId {
        let found = self.servers.iter().find(|(of, _)| *of == role);
        found.expect("a scenario has one server of each role").1
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

    /// The n-th UE, for [`World::command`].
    pub fn ue(&self, n: usize) -> ElementId {
        self.ues[n]
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

impl Network {
    fn element(&mut self, role: Role) -> Result<Element, Faults> {
        let (profile, here, epoch) = (&self.profile, self.elements, Epoch::SIMULATION);
        // One generator for each: elements do not disturb each other's sequence, nor does the network.
        let random = self.random.fork();
        Ok(match role {
            Role::Pcscf => Pcscf::new(profile.pcscf(here)?, random).into(),
            Role::Icscf => Icscf::new(profile.icscf(here, epoch)?, random).into(),
            Role::Scscf => Scscf::new(profile.scscf(here, epoch)?, random).into(),
            Role::Hss => {
                let mut hss = Hss::new(profile.hss(epoch)?, self.store.clone(), random);
                hss.record_changes();
                hss.into()
            }
            Role::ApplicationServer => ApplicationServer::new(profile.application_server(here), random).into(),
            Role::Ue => unreachable!("no server of this role is asked for"),
        })
    }
}

/// A fault that has to do with a UE, known by the user part of its IMPI.
fn mutator<T: Tap>(world: &World<T>, ues: &[ElementId], ue: ElementId, mutation: &Mutation) -> Mutator {
    let impi = world.ims().element(ue).as_ue().map(|ue| ue.config().impi.as_str().to_owned()).unwrap_or_default();
    Mutator::new(mutation.clone(), impi.split('@').next().unwrap_or_default()).naming(&names(world, ues))
}

/// What placeholders call the UEs by: `ue1.impi` and the like.
fn names<T: Tap>(world: &World<T>, ues: &[ElementId]) -> Vec<(Box<str>, Box<str>)> {
    let configs = ues.iter().filter_map(|ue| world.ims().element(*ue).as_ue()).map(Ue::config);
    names_of(configs.map(|config| (&config.impi, &config.impu, &config.realm)))
}

/// The same of UEs that have these identities.
pub fn names_of<'u>(ues: impl Iterator<Item = (&'u Impi, &'u Impu, &'u Realm)>) -> Vec<(Box<str>, Box<str>)> {
    let of_ue = (1..).zip(ues).flat_map(|(number, (impi, impu, realm))| {
        let impi = impi.as_str();
        let user = impi.split('@').next().unwrap_or_default();
        let name = |what: &str, value: &str| (format!("ue{number}.{what}").into(), value.into());
        [name("impi", impi), name("impu", impu.as_str()), name("user", user), ("realm".into(), realm.as_str().into())]
    });
    of_ue.collect()
}

/// Steps, crashes and restarts in the order of time.
fn plan(scenario: &Scenario) -> Vec<(Duration, Happening)> {
    let mut plan: Vec<_> = scenario.steps.iter().map(|step| (step.at, Happening::Step(*step))).collect();
    for fault in &scenario.faults {
        if let NetworkFault::Crash { role, from, until } = *fault {
            plan.push((from, Happening::Crash(role)));
            plan.extend((until < Duration::MAX).then_some((until, Happening::Restart(role))));
        }
    }
    plan.sort_by_key(|(at, _)| *at);
    plan
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
/// Where a UE is that shares the address of the first one: at ports above those that systems give to clients.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beside {
    /// Outside of SAs.
    pub local: SocketAddr,
    /// port_uc and port_us.
    pub protected: (u16, u16),
    /// All that are its own.
    pub ports: RangeInclusive<u16>,
}

impl Beside {
    /// For the UE of this number, from 1; the first is number 0, and has all other ports.
    pub fn first(address: IpAddr, number: u32) -> Self {
        let number = u16::try_from(number).unwrap_or(1).clamp(1, 20);
        let first = FIRST_BESIDE + (number - 1) * PORTS_BESIDE;
        let local = SocketAddr::new(address, first);
        Self { local, protected: (first + 10, first + 11), ports: first..=first + (PORTS_BESIDE - 1) }
    }

    /// All ends of so many UEs at one address, the first first.
    pub fn ends(address: IpAddr, ues: u32) -> Vec<End> {
        let others = (1..ues).map(|number| End { address, ports: Self::first(address, number).ports });
        std::iter::once(End { address, ports: 0..=FIRST_BESIDE - 1 }).chain(others).collect()
    }
}

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
            NetworkFault::Crash { .. } => {}
        }
    }
    links
}

/// When the times of a scenario begin: elements have connected by then.
const START: Instant = Instant::from_secs(1);
/// How long a registration lasts when it is to be authenticated again.
const REAUTHENTICATION: Duration = Duration::from_secs(60);
/// Above those that Linux gives to clients.
const FIRST_BESIDE: u16 = 61_000;
const PORTS_BESIDE: u16 = 200;
/// TEST-NET-2 and the documentation prefix would do; a private network looks like an access network.
const FIRST_UE_V4: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const FIRST_UE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
