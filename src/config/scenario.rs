//! Scenarios: `tests/scenarios/*.yaml`, what happens in a simulated world and when.
//!
//! ```yaml
//! seed: 1
//! profile: lab                     # and hss_data: hss-data/lab.yaml
//! set: {ue.transport: tcp}         # keys of the profile, on top of it
//! ues: 2                           # the first two subscribers
//! as: true                         # with the application server of the profile
//! esp: true                        # what goes over SAs is ESP, octet for octet
//! nat: {address: 203.0.113.1, timeout: 60s}    # the UEs are behind it; `timeout` is a minute if left out
//! steps:                           # without `ue`: every UE
//!   - {at: 0s, ue: 1, do: register}
//!   - {at: 20s, ue: 1, do: message, to: 2}     # to the default identity of that UE; also: call, hang_up
//!   - {at: 90s, do: deregister}
//! faults:                          # without `between`: every link
//!   - {between: [ue, pcscf], loss: 20%, duplication: 1%, jitter: 30ms, latency: 40ms}
//!   - {outage: icscf, from: 10s, until: 2m}
//!   - {crash: hss, from: 30s, until: 31s}     # killed; the next process has what was on its disk
//! until: 2m                        # else ten seconds after the last step
//! ```
//!
//! Times count from the moment when the elements have had a second to connect.

use super::fault::{Collector, Faults};
use super::profile::Setting;
use super::read::{self, Fields, Leaf, Path};
use super::source::{self, Sources};
use super::value::{COUNT, DURATION, FLAG, IP, TEXT};
use super::yaml::{self, Node, Value};
use crate::event::Role;
use crate::time::Duration;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

/// A scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// `seed`; 1 if the file has none.
    pub seed: u64,
    /// `profile`; else `lab`.
    pub profile: String,
    /// `set`
    pub settings: Vec<Setting>,
    /// `hss_data`; else `hss-data/lab.yaml`.
    pub hss_data: PathBuf,
    /// `ues`: the first so many subscribers.
    pub ues: u32,
    /// `as`: whether there is an application server.
    pub application_server: bool,
    /// `esp`: whether what goes over SAs is ESP.
    pub esp: bool,
    /// `nat`: what the UEs are behind.
    pub nat: Option<NatSetting>,
    /// `steps`, in the order of time.
    pub steps: Vec<Step>,
    /// `faults`
    pub faults: Vec<NetworkFault>,
    /// `until`
    pub until: Duration,
}

/// `nat`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NatSetting {
    /// `address`: the one outside.
    pub address: IpAddr,
    /// `timeout`: the silence after which it forgets where a datagram came from.
    pub timeout: Duration,
}

/// What UEs are told to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// `at`
    pub at: Duration,
    /// `ue`, counted from 0; `None`: every one.
    pub ue: Option<u32>,
    /// `do`
    pub action: Action,
    /// `to`, counted from 0: whom a message or a call is for.
    pub to: Option<u32>,
}

/// `do`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Action {
    Register,
    Reregister,
    Deregister,
    Emergency,
    SecondIdentity,
    Message,
    Call,
    HangUp,
    Network(ByNetwork),
    RestartNat,
}

/// What the network does with a UE's registration, without being asked by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByNetwork {
    /// `reauthenticate`: the S-CSCF wants it authenticated again, within a minute.
    Reauthenticate,
    /// `network_deregister`: the S-CSCF ends it; the UE may come back at once.
    Deregister,
    /// `terminate`: the HSS ends it for good (RTR, PERMANENT_TERMINATION).
    Terminate,
    /// `change_server`: the HSS wants it at another S-CSCF (RTR, SERVER_CHANGE).
    ChangeServer,
}

impl Action {
    /// True where somebody is needed whom it is for.
    pub const fn has_target(self) -> bool {
        matches!(self, Self::Message | Self::Call)
    }
}

/// One entry of `faults`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetworkFault {
    /// A link, or all of them, that is not as it should be.
    Link {
        /// `between`
        between: Option<(Role, Role)>,
        /// `latency`
        latency: Option<Duration>,
        /// `jitter`
        jitter: Duration,
        /// `loss`, of a thousand.
        loss: u32,
        /// `duplication`, of a thousand.
        duplication: u32,
    },
    /// An element that is cut off.
    Outage {
        /// `outage`
        role: Role,
        /// `from`
        from: Duration,
        /// `until`
        until: Duration,
    },
    /// An element whose process is killed, and started again.
    Crash {
        /// `crash`
        role: Role,
        /// `from`
        from: Duration,
        /// `until`
        until: Duration,
    },
}

/// Reads a scenario.
pub fn load_scenario(path: &FilePath) -> Result<Scenario, Faults> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let (origin, text) = source::read(path).map_err(|why| Faults::one(path.display().to_string(), "", why))?;
    let number = sources.add_file(&origin, text);
    let scenario = match yaml::parse(sources.text(number), number) {
        Ok(root) => Some(decode(&root, &mut faults)),
        Err(error) => {
            faults.syntax(number, error);
            None
        }
    };
    faults.finish(&sources, scenario)
}

fn decode(root: &Node, faults: &mut Collector) -> Scenario {
    let mut f = Fields::new(root, Path::Root, faults);
    let seed = f.leaf("seed", SEED, faults).unwrap_or(1);
    let profile = f.leaf("profile", TEXT, faults).map_or_else(|| "lab".to_owned(), Into::into);
    let settings = f.entries("set", TEXT, TEXT, faults).unwrap_or_default();
    let hss_data = f.leaf("hss_data", TEXT, faults).map_or_else(|| "hss-data/lab.yaml".into(), |t| PathBuf::from(&*t));
    let ues = f.leaf("ues", COUNT, faults).unwrap_or(1);
    let application_server = f.leaf("as", FLAG, faults).unwrap_or(false);
    let esp = f.leaf("esp", FLAG, faults).unwrap_or(false);
    let nat = nat(&mut f, esp, faults);
    let items = |f: &mut Fields<'_>, key, faults: &mut Collector| f.items(key, faults).map(<[Node]>::to_vec);
    let steps_node = items(&mut f, "steps", faults).unwrap_or_default();
    let faults_node = items(&mut f, "faults", faults).unwrap_or_default();
    let path = |key| Path::Key(&Path::Root, key);
    let mut steps: Vec<Step> = (steps_node.iter().enumerate())
        .filter_map(|(i, node)| step(node, Path::Index(&path("steps"), i), ues, faults))
        .collect();
    steps.sort_by_key(|step| step.at);
    let network = (faults_node.iter().enumerate())
        .filter_map(|(i, node)| network_fault(node, Path::Index(&path("faults"), i), application_server, faults))
        .collect();
    let last = steps.last().map_or(Duration::ZERO, |step| step.at);
    let until = f.leaf("until", MOMENT, faults).unwrap_or(last + Duration::from_secs(10));
    f.finish(faults);
    let settings = settings.into_iter().map(|(key, value)| Setting::new("set", &key, value)).collect();
    Scenario { seed, profile, settings, hss_data, ues, application_server, esp, nat, steps, faults: network, until }
}

/// `nat: {address: ADDRESS, timeout: TIME}`: only ESP in UDP passes it.
fn nat(root: &mut Fields<'_>, esp: bool, faults: &mut Collector) -> Option<NatSetting> {
    let mut f = root.fields("nat", faults)?;
    let address = f.leaf("address", IP, faults);
    if f.get("address").is_none() {
        f.missing("address", IP.expected, faults);
    }
    let timeout = f.leaf("timeout", DURATION, faults).unwrap_or(NAT_TIMEOUT);
    if !esp {
        faults.at(f.node(), Path::Key(&Path::Root, "nat"), "found in a scenario without `esp: true`");
    }
    f.finish(faults);
    Some(NatSetting { address: address?, timeout })
}

pub(super) fn step(node: &Node, path: Path<'_>, ues: u32, faults: &mut Collector) -> Option<Step> {
    let mut f = Fields::new(node, path, faults);
    let at = f.leaf("at", MOMENT, faults).unwrap_or_default();
    let ue = f.leaf_at("ue", COUNT, faults);
    let action = f.leaf("do", ACTION, faults);
    if f.get("do").is_none() {
        f.missing("do", ACTION.expected, faults);
    }
    let to = f.leaf_at("to", COUNT, faults);
    if to.is_none() && f.get("to").is_none() && action.is_some_and(Action::has_target) {
        f.missing("to", COUNT.expected, faults);
    }
    f.finish(faults);
    for (key, given) in [("ue", ue), ("to", to)] {
        if let Some((node, number)) = given
            && number > ues
        {
            faults.at(node, Path::Key(&path, key), format!("\"{number}\" found, one of {ues} UEs expected"));
        }
    }
    let from_zero = |given: Option<(&Node, u32)>| given.map(|(_, number)| number - 1);
    Some(Step { at, ue: from_zero(ue), action: action?, to: from_zero(to) })
}

fn network_fault(
    node: &Node,
    path: Path<'_>,
    application_server: bool,
    faults: &mut Collector,
) -> Option<NetworkFault> {
    let mut f = Fields::new(node, path, faults);
    let fault = if f.get("outage").is_some() {
        let role = f.leaf("outage", ROLE, faults);
        let (from, until) = period(&mut f, faults);
        role.map(|role| NetworkFault::Outage { role, from, until })
    } else if f.get("crash").is_some() {
        let role = f.leaf_at("crash", SERVER, faults);
        if let Some((node, Role::ApplicationServer)) = role
            && !application_server
        {
            faults.at(node, Path::Key(&path, "crash"), "\"as\" found in a scenario without `as: true`");
        }
        let role = role.map(|(_, role)| role);
        let (from, until) = period(&mut f, faults);
        role.map(|role| NetworkFault::Crash { role, from, until })
    } else {
        let between = f.get("between").map(|node| pair(node, Path::Key(&path, "between"), faults));
        let latency = f.leaf("latency", MOMENT, faults);
        let jitter = f.leaf("jitter", MOMENT, faults).unwrap_or_default();
        let loss = f.leaf("loss", PERCENT, faults).unwrap_or(0);
        let duplication = f.leaf("duplication", PERCENT, faults).unwrap_or(0);
        match between {
            Some(None) => None,
            between => Some(NetworkFault::Link { between: between.flatten(), latency, jitter, loss, duplication }),
        }
    };
    f.finish(faults);
    fault
}

fn period(f: &mut Fields<'_>, faults: &mut Collector) -> (Duration, Duration) {
    let from = f.leaf("from", MOMENT, faults).unwrap_or_default();
    (from, f.leaf("until", MOMENT, faults).unwrap_or(Duration::MAX))
}

fn pair(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<(Role, Role)> {
    let Value::List(items) = &node.value else {
        faults.at(node, path, format!("{} found, two elements such as [ue, pcscf] expected", read::found(node, "")));
        return None;
    };
    let [a, b] = items.as_slice() else {
        faults.at(node, path, format!("{} elements found, two such as [ue, pcscf] expected", items.len()));
        return None;
    };
    let a = read::leaf(a, Path::Index(&path, 0), ROLE, faults);
    let b = read::leaf(b, Path::Index(&path, 1), ROLE, faults);
    a.zip(b)
}

/// Less than RFC 4787 clause 4.3 wants of a NAT, and as much as many have.
const NAT_TIMEOUT: Duration = Duration::from_secs(60);

const SEED: Leaf<u64> = Leaf { read: |t| t.parse().ok(), expected: "a number from 0 to 18446744073709551615" };

pub(super) const MOMENT: Leaf<Duration> = Leaf {
    read: |t| match t {
        "0" | "0s" | "0ms" => Some(Duration::ZERO),
        _ => (DURATION.read)(t),
    },
    expected: "a time such as 0s, 500ms, 60s, 4m or 2h",
};

const ACTION: Leaf<Action> = Leaf {
    read: |t| match t {
        "register" => Some(Action::Register),
        "reregister" => Some(Action::Reregister),
        "deregister" => Some(Action::Deregister),
        "emergency" => Some(Action::Emergency),
        "second_identity" => Some(Action::SecondIdentity),
        "message" => Some(Action::Message),
        "call" => Some(Action::Call),
        "hang_up" => Some(Action::HangUp),
        "reauthenticate" => Some(Action::Network(ByNetwork::Reauthenticate)),
        "network_deregister" => Some(Action::Network(ByNetwork::Deregister)),
        "terminate" => Some(Action::Network(ByNetwork::Terminate)),
        "change_server" => Some(Action::Network(ByNetwork::ChangeServer)),
        "restart_nat" => Some(Action::RestartNat),
        _ => None,
    },
    expected: "register, reregister, deregister, emergency, second_identity, message, call, hang_up, reauthenticate, \
               network_deregister, terminate, change_server or restart_nat",
};

pub(super) const ROLE: Leaf<Role> = Leaf {
    read: |t| match t {
        "ue" => Some(Role::Ue),
        "pcscf" => Some(Role::Pcscf),
        "icscf" => Some(Role::Icscf),
        "scscf" => Some(Role::Scscf),
        "hss" => Some(Role::Hss),
        "as" => Some(Role::ApplicationServer),
        _ => None,
    },
    expected: "ue, pcscf, icscf, scscf, hss or as",
};

const SERVER: Leaf<Role> =
    Leaf { read: |t| (ROLE.read)(t).filter(|role| *role != Role::Ue), expected: "pcscf, icscf, scscf, hss or as" };

/// As parts of a thousand.
const PERCENT: Leaf<u32> = Leaf {
    read: |t| {
        let (whole, tenth) = match t.strip_suffix('%')?.split_once('.') {
            Some((whole, tenth)) => (whole, Some(tenth).filter(|tenth| tenth.len() == 1)?),
            None => (t.strip_suffix('%')?, "0"),
        };
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
        digits(whole)?.checked_mul(10)?.checked_add(digits(tenth)?).filter(|rate| *rate <= 1_000)
    },
    expected: "a percentage from 0% to 100%, with one decimal place at most",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    fn read(text: &str) -> Result<Scenario, Vec<String>> {
        testing::read(text, |root, faults| Some(decode(root, faults)))
    }

    #[test]
    fn the_example_above_is_read() {
        let text = testing::example(include_str!("scenario.rs"));
        let scenario = read(&text).expect("no faults");
        assert_eq!((scenario.seed, scenario.ues, scenario.until), (1, 2, Duration::from_secs(120)));
        let nat = NatSetting { address: "203.0.113.1".parse().expect("an address"), timeout: NAT_TIMEOUT };
        assert_eq!(scenario.nat, Some(nat));
        assert_eq!(scenario.settings, [Setting::new("set", "ue.transport", "tcp")]);
        let [first, second, third] = scenario.steps[..] else { panic!("{scenario:?}") };
        assert_eq!(first, Step { at: Duration::ZERO, ue: Some(0), action: Action::Register, to: None });
        assert_eq!(second, Step { at: Duration::from_secs(20), ue: Some(0), action: Action::Message, to: Some(1) });
        assert_eq!(third, Step { at: Duration::from_secs(90), ue: None, action: Action::Deregister, to: None });
        let [
            NetworkFault::Link { between, loss, duplication, .. },
            NetworkFault::Outage { role, from, .. },
            NetworkFault::Crash { role: crashed, from: killed, until: started },
        ] = scenario.faults[..]
        else {
            panic!("{scenario:?}")
        };
        assert_eq!((crashed, killed, started), (Role::Hss, Duration::from_secs(30), Duration::from_secs(31)));
        assert_eq!((between, loss, duplication), (Some((Role::Ue, Role::Pcscf)), 200, 10));
        assert_eq!((role, from), (Role::Icscf, Duration::from_secs(10)));
    }

    #[test]
    fn faults_of_a_nat_have_their_place() {
        for (text, expected) in [
            ("esp: true\nnat: {timeout: 60s}\n", "f.yaml:2:6: nat.address: missing"),
            ("esp: true\nnat: {address: home}\n", "f.yaml:2:16: nat.address: \"home\" found"),
            ("esp: true\nnat: {address: 203.0.113.1, port: 1}\n", "f.yaml:2:29"),
            ("nat: {address: 203.0.113.1}\n", "f.yaml:1:6: nat: found in a scenario without `esp: true`"),
        ] {
            let faults = read(text).expect_err(text);
            assert!(faults.len() == 1 && faults[0].starts_with(expected), "{faults:#?}");
        }
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = "ues: 1\nsteps:\n  - {at: soon, do: register}\n  - {ue: 2, do: dance}\n  - {at: 1s}\n  - {do: call}\n  - {do: message, to: 2}\n\
                    faults:\n  - {loss: 120%}\n  - {between: [ue, mgcf]}\n  - {between: ue}\n  - {outage: all}\n  - {crash: ue}\n  - {crash: as}\nspeed: 1\n";
        let faults = read(text).expect_err("faults");
        let starts = ["f.yaml:3:10", "f.yaml:4:10", "f.yaml:4:17", "f.yaml:5:5", "f.yaml:6:5", "f.yaml:7:23"];
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "{faults:#?}");
        }
        assert_eq!(faults.len(), 13, "{faults:#?}");
    }
}
