//! `imsreg register --count`: many UEs against any P-CSCF, all in one process, each at an address of its own.

use super::args::{FlagsOf, RegisterArgs};
use super::record::Record;
use super::{Failure, Interrupt, network, register, report};
use crate::config::{MutationCase, Profile, Subscription, UeFlags, counted_up, load_subscribers};
use crate::event::Role;
use crate::ims::{ElementId, Ims, Listener, Wiring};
use crate::ladder::Options;
use crate::live::{Clock, Live, descriptors};
use crate::time::Duration;
use crate::ue::{Ue, UeStatus};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// The first of them has the fault.
pub(super) async fn run(
    args: &RegisterArgs,
    profile: &Profile,
    fault: Option<MutationCase>,
    mut interrupt: Interrupt,
) -> Result<(), Failure> {
    let first = args.source.expect("--count requires it");
    let (wanted, limit) = (u64::from(args.count) * DESCRIPTORS, descriptors::raise_limit());
    if wanted > limit {
        let count = args.count;
        let why = format!("--count {count}: {wanted} sockets wanted, this process may have {limit} (ulimit -n)");
        return Err(Failure::Usage(why));
    }
    let subscriptions = subscriptions(args, profile)?;
    let clock = Clock::start();
    let mut random = network::seed()?;
    let mut sockets = register::sockets(args, profile).await?;
    let mut ims = Ims::new(Wiring::Wire);
    let mut ues = Vec::with_capacity(subscriptions.len());
    for (n, subscription) in (0..).zip(&subscriptions) {
        register::servable(profile, subscription)?;
        let address = address(first, n).ok_or_else(|| Failure::Usage(format!("--source {first}: no {n} after it")))?;
        let listener = Listener::sip(address, Role::Ue);
        let local = sockets.bind(&listener).map_err(|e| Failure::Bind(e, FlagsOf::Register))?;
        let mut config = register::ue_config(args, profile, subscription, local, clock, &mut random);
        config.instance = config.instance.map(|instance| device(&instance, n).unwrap_or(instance));
        let mut ue = Ue::new(config, random.fork());
        ue.misbehave(fault.as_ref().filter(|_| n == 0).and_then(|fault| fault.misbehaviour));
        ues.push(ims.add(ue).map_err(|e| Failure::Usage(e.to_string()))?);
    }
    let record = Record::new(Some(clock));
    if args.common.json {
        record.print_lines(Options::default());
    }
    if let Some(path) = &args.capture {
        record.write_to(path)?;
    }
    let live =
        Live::start(ims, sockets, clock, Box::new(record.clone())).map_err(|e| Failure::Bind(e, FlagsOf::Register))?;
    let all: Vec<&Subscription> = subscriptions.iter().collect();
    live.mutate(fault.zip(ues.first()).map(|(fault, ue)| register::of(*ue, &all, fault.mutation)));
    let crowd = Crowd { args, live: &live, clock };
    let result = crowd.course(&ues, &mut interrupt).await;
    live.stop(Duration::from_secs(1)).await;
    if args.common.json {
        println!("{}", result.json());
    } else {
        print!("{result}");
    }
    record.finish()?;
    result.failure().map_or(Ok(()), |why| Err(Failure::Failed(why)))
}

/// UEs of one run.
struct Crowd<'r> {
    args: &'r RegisterArgs,
    live: &'r Live,
    clock: Clock,
}

/// What every UE is told to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Register,
    Deregister,
}

/// What became of an order.
#[derive(Default)]
struct Outcome {
    done: Vec<ElementId>,
    /// Causes of failure, and how many UEs failed so.
    failed: BTreeMap<String, usize>,
    seconds: f64,
}

/// What became of a run.
struct Summary {
    asked: usize,
    registered: Outcome,
    /// Of those registered, with --stay.
    lost: usize,
    deregistered: Option<Outcome>,
}

impl Crowd<'_> {
    /// All register, stay if asked to, de-register if asked to.
    async fn course(&self, ues: &[ElementId], interrupt: &mut Interrupt) -> Summary {
        let registered = self.each(ues, Order::Register, interrupt).await;
        if self.args.stay && !registered.done.is_empty() {
            if !self.args.common.json {
                println!("{} registered", registered.done.len());
            }
            interrupt.wait().await;
        }
        let alive: Vec<_> =
            registered.done.iter().copied().filter(|ue| self.status(*ue).0 == UeStatus::Registered).collect();
        // A refresh under way is no loss.
        let is_lost = |ue: &&ElementId| matches!(self.status(**ue).0, UeStatus::Failed { .. } | UeStatus::Idle);
        let lost = registered.done.iter().filter(is_lost).count();
        let deregistered = match self.args.deregister {
            true => Some(self.each(&alive, Order::Deregister, interrupt).await),
            false => None,
        };
        Summary { asked: ues.len(), registered, lost, deregistered }
    }

    /// Gives each UE its order, as many in a second as --rate says, and waits for what becomes of it.
    async fn each(&self, ues: &[ElementId], order: Order, interrupt: &mut Interrupt) -> Outcome {
        let (begin, patience) = (self.clock.now(), Duration::from_secs(u64::from(self.args.timeout)));
        let mut outcome = Outcome::default();
        let mut waiting = ues.iter().copied();
        let mut under_way = Vec::new();
        while outcome.number() < ues.len() {
            let now = self.clock.now();
            let elapsed = now.saturating_since(begin);
            let due = self.args.rate.map_or(ues.len(), |rate| due(rate, elapsed));
            while outcome.number() + under_way.len() < due
                && let Some(ue) = waiting.next()
            {
                self.give(ue, order);
                under_way.push((ue, now));
            }
            under_way.retain(|&(ue, since)| {
                let settled = self.settled(ue, order).or_else(|| {
                    let is_late = now.saturating_since(since) > patience;
                    is_late.then(|| Err(format!("no final answer within {} s (--timeout)", self.args.timeout)))
                });
                let is_open = settled.is_none();
                match settled {
                    Some(Ok(())) => outcome.done.push(ue),
                    Some(Err(cause)) => outcome.fail(cause, 1),
                    None => {}
                }
                is_open
            });
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = interrupt.wait() => {
                    outcome.fail("interrupted".to_owned(), ues.len() - outcome.number());
                }
            }
        }
        outcome.seconds = self.clock.now().saturating_since(begin).as_secs_f64();
        outcome
    }

    fn give(&self, ue: ElementId, order: Order) {
        self.live.command(ue, |element, now, out| {
            let ue = element.as_ue_mut().expect("this process has UEs only");
            match order {
                Order::Register => ue.register(now, out),
                Order::Deregister => ue.deregister(now, out),
            }
        });
    }

    /// Whether an order has had its end, and which.
    fn settled(&self, ue: ElementId, order: Order) -> Option<Result<(), String>> {
        let (status, failure) = self.status(ue);
        match (order, status) {
            (Order::Register, UeStatus::Registered) | (Order::Deregister, UeStatus::Idle) => Some(Ok(())),
            (Order::Register, UeStatus::Failed { status }) => {
                Some(Err(failure.unwrap_or_else(|| format!("the registration failed with status {status}"))))
            }
            _ => None,
        }
    }

    fn status(&self, ue: ElementId) -> (UeStatus, Option<String>) {
        self.live.look(|ims| {
            let ue = ims.element(ue).as_ue().expect("this process has UEs only");
            let status = ue.status();
            let is_failed = matches!(status, UeStatus::Failed { .. });
            (status, ue.failure().filter(|_| is_failed).map(str::to_owned))
        })
    }
}

impl Outcome {
    fn number(&self) -> usize {
        self.done.len() + self.failed.values().sum::<usize>()
    }

    fn fail(&mut self, cause: String, ues: usize) {
        if ues > 0 {
            *self.failed.entry(cause).or_default() += ues;
        }
    }
}

impl Summary {
    /// One line, where not everything went well.
    fn failure(&self) -> Option<String> {
        let (registered, asked) = (self.registered.done.len(), self.asked);
        let first = |outcome: &Outcome| outcome.failed.keys().next().cloned().unwrap_or_default();
        if registered < asked {
            return Some(format!("{} of {asked} UEs not registered: {}", asked - registered, first(&self.registered)));
        }
        if self.lost > 0 {
            return Some(format!("{} of {asked} registrations were lost", self.lost));
        }
        let ended = self.deregistered.as_ref().filter(|outcome| !outcome.failed.is_empty())?;
        let failed = ended.number() - ended.done.len();
        Some(format!("{failed} of {} UEs not de-registered: {}", ended.number(), first(ended)))
    }

    /// The last line of a run with --json.
    fn json(&self) -> serde_json::Value {
        let failure = self.failure();
        let mut last = report::json(failure.as_deref());
        last["ues"] = json!(self.asked);
        last["registered"] = json!(self.registered.done.len());
        last["seconds"] = json!(self.registered.seconds);
        last["not_registered"] = json!(self.registered.failed);
        last["lost"] = json!(self.lost);
        if let Some(ended) = &self.deregistered {
            last["deregistered"] = json!(ended.done.len());
            last["not_deregistered"] = json!(ended.failed);
        }
        last
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { done, failed, seconds } = &self.registered;
        writeln!(f, "{} of {} UEs registered in {seconds:.1} s", done.len(), self.asked)?;
        for (cause, ues) in failed {
            writeln!(f, "not registered, {ues}: {cause}")?;
        }
        if self.lost > 0 {
            writeln!(f, "lost, {}", self.lost)?;
        }
        let Some(ended) = &self.deregistered else { return Ok(()) };
        writeln!(f, "{} of {} UEs de-registered in {:.1} s", ended.done.len(), ended.number(), ended.seconds)?;
        for (cause, ues) in &ended.failed {
            writeln!(f, "not de-registered, {ues}: {cause}")?;
        }
        Ok(())
    }
}

/// Those of the UEs: the IMSI is counted up, keys are those of the flags for all, or of a subscriber file.
fn subscriptions(args: &RegisterArgs, profile: &Profile) -> Result<Vec<Subscription>, Failure> {
    let first = args.imsi.as_deref().unwrap_or_default();
    let file = match &args.subscriber {
        Some(path) => Some((path, load_subscribers(path, profile)?)),
        None => None,
    };
    let one = |n: u32| {
        let imsi = counted_up(first, n.into())
            .ok_or_else(|| Failure::Usage(format!("--imsi {first}: no {n} after it (--count)")))?;
        match &file {
            None => Ok(UeFlags { imsi, ..args.ue_flags() }.subscription()?),
            Some((path, subscribers)) => subscribers.subscription_of(&imsi).ok_or_else(|| {
                Failure::Usage(format!("--imsi {imsi}: no subscriber of {} whose keys are known", path.display()))
            }),
        }
    };
    (0..args.count).map(one).collect()
}

/// The address that is `n` after this one.
fn address(first: SocketAddr, n: u32) -> Option<SocketAddr> {
    let ip = match first.ip() {
        IpAddr::V4(ip) => IpAddr::V4(ip.to_bits().checked_add(n)?.into()),
        IpAddr::V6(ip) => IpAddr::V6(ip.to_bits().checked_add(n.into())?.into()),
    };
    Some(SocketAddr::new(ip, first.port()))
}

/// Another device of the same make: the serial number of an IMEI counted up (RFC 7254, TS 23.003 clause 6.2.1).
fn device(instance: &str, n: u32) -> Option<Box<str>> {
    let (make, number) = instance.strip_prefix("urn:gsma:imei:")?.split_once('-')?;
    let (serial, check) = number.split_once('-')?;
    let serial = counted_up(serial, n.into())?;
    Some(format!("urn:gsma:imei:{make}-{serial}-{check}").into())
}

/// How many have their order after so long; the first has it at once.
fn due(rate: u32, elapsed: Duration) -> usize {
    usize::try_from(elapsed.as_micros() * u128::from(rate) / 1_000_000).unwrap_or(usize::MAX).saturating_add(1)
}

/// Of a UE: two sockets in clear, and four of each set with a connection and one for ESP, while an old set goes.
const DESCRIPTORS: u64 = 12;
/// How often UEs are looked at.
const LOOK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_devices_are_counted_up() {
        let next = |text: &str, n| address(text.parse().unwrap(), n).map(|a| a.to_string());
        assert_eq!(next("10.0.0.250:5060", 10).as_deref(), Some("10.0.1.4:5060"));
        assert_eq!(next("[fd00::ffff]:0", 1).as_deref(), Some("[fd00::1:0]:0"));
        assert_eq!(next("255.255.255.255:0", 1), None);
        let imei = "urn:gsma:imei:35000000-000099-0";
        assert_eq!(device(imei, 1).as_deref(), Some("urn:gsma:imei:35000000-000100-0"));
        assert_eq!(device(imei, 1_000_000), None);
        assert_eq!(device("urn:uuid:0", 1), None);
    }

    #[test]
    fn the_rate_is_kept_from_the_first_ue_on() {
        let after = |millis| due(50, Duration::from_millis(millis));
        assert_eq!([after(0), after(19), after(20), after(1_000)], [1, 1, 2, 51]);
    }

    #[test]
    fn a_summary_names_what_failed_and_how_often() {
        let mut registered = Outcome { seconds: 2.04, ..Outcome::default() };
        registered.fail("403 Forbidden".into(), 2);
        registered.fail("interrupted".into(), 0);
        let summary = Summary { asked: 2, registered, lost: 0, deregistered: Some(Outcome::default()) };
        assert_eq!(summary.failure().as_deref(), Some("2 of 2 UEs not registered: 403 Forbidden"));
        let text =
            "0 of 2 UEs registered in 2.0 s\nnot registered, 2: 403 Forbidden\n0 of 0 UEs de-registered in 0.0 s\n";
        assert_eq!(summary.to_string(), text);
        let json = summary.json();
        assert_eq!((&json["ok"], &json["not_registered"]), (&json!(false), &json!({"403 Forbidden": 2})));
    }
}
