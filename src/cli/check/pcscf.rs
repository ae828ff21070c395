//! Cases against a P-CSCF: we are the UEs, each case a new one over sockets of its own.

use super::UNALTERED;
use super::pace::{Pace, awaits, is_enough};
use super::tape::{Gm, Tape};
use crate::cli::args::{CheckPcscfArgs, FlagsOf};
use crate::cli::{Failure, network, register};
use crate::config::{
    Action, CheckCase, MutationCase, PlaneChoice, Profile, Step, Subscription, load_device, load_subscribers,
    write_usim_file,
};
use crate::conformance::{Accused, End, Outcome, Recording, Setting, Verdict, judge};
use crate::event::Role;
use crate::ims::{ElementId, Ims, Listener, Wiring};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Live, Sockets, obstacle};
use crate::packet::Outbox;
use crate::pcscf::SecAgreePolicy;
use crate::random::Random;
use crate::sim::{Beside, names_of};
use crate::time::{Duration, Instant};
use crate::ue::{CannotSend, Ue, UeStatus};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Plays cases against one P-CSCF.
pub(super) struct Rig<'a> {
    args: &'a CheckPcscfArgs,
    target: SocketAddr,
    /// Our UEs, whose SQNs go on from case to case.
    subscriptions: Vec<Subscription>,
    plane: PlaneChoice,
    /// The port of our UEs outside of SAs.
    port: u16,
    setting: Setting,
    control: bool,
    random: Random,
    /// How long the other side took at most in the fastest registration so far.
    slowest: Duration,
    pace: Pace,
    begun: Clock,
    sent: u32,
    /// How many cases were played.
    played: u32,
}

impl<'a> Rig<'a> {
    pub(super) fn new(args: &'a CheckPcscfArgs, target: SocketAddr) -> Result<Self, Failure> {
        let profile = load_device(args.profile_name(), args.ue.device.as_deref(), &args.settings()?)?;
        let subscriptions = subscriptions(args, &profile)?;
        let plane = profile.ue.ipsec;
        let setting = Setting {
            ues: subscriptions.len(),
            second_identity: false,
            operator: false,
            sec_agree: args.sec_agree == "required",
            agreement: profile.ue.sec_agree != SecAgreePolicy::Off,
            fast: args.run.fast,
            ..Setting::full(plane != PlaneChoice::None)
        };
        let (random, begun) = (network::seed()?, Clock::start());
        let pace = Pace::UNKNOWN;
        let mut rig = Self {
            args,
            target,
            subscriptions,
            plane,
            port: USUAL,
            setting,
            control: false,
            random,
            slowest: Duration::ZERO,
            pace,
            begun,
            sent: 0,
            played: 0,
        };
        rig.find_addresses()?;
        Ok(rig)
    }

    /// What the run offers.
    pub(super) const fn setting(&self) -> Setting {
        self.setting
    }

    /// A registration in which nothing is wrong: why it did not succeed, and what was recorded. It tells how fast the
    /// other side is, and what it has.
    pub(super) async fn control(&mut self) -> Result<(Option<String>, Recording), Failure> {
        let case = CheckCase::control(Accused::Pcscf);
        let played = self.play(&case).await?;
        if !played.heard {
            return Err(Failure::Usage(format!("no answer from {}", self.target)));
        }
        if played.wrong_mac {
            let impi = self.subscriptions[0].impi.as_str();
            return Err(Failure::Usage(format!("wrong key: the challenge for {impi} does not verify with K and OPc")));
        }
        // Who is asked for the first time is often slow once.
        let slowest = match Pace::of(played.slowest) {
            Pace::LEAST => played.slowest,
            _ => played.slowest.min(self.play(&case).await?.slowest),
        };
        (self.slowest, self.pace) = (slowest, Pace::of(slowest));
        self.setting.second_identity = played.identities > 1;
        let verdict = judge(&case.case, &Recording { control: true, ..played.recording.clone() });
        self.control = played.registered;
        let failure = match (played.registered, verdict.failures().first()) {
            (true, _) => None,
            (false, Some(failure)) => Some(played.why.unwrap_or_else(|| failure.found.clone())),
            (false, None) => Some(played.why.unwrap_or_else(|| "it has not ended".to_owned())),
        };
        Ok((failure, played.recording))
    }

    /// The same behind the last case. What that one has left may stand against it once.
    pub(super) async fn control_again(&mut self) -> Result<(Option<String>, Option<Recording>), Failure> {
        let case = CheckCase::control(Accused::Pcscf);
        let mut played = self.play(&case).await?;
        if !played.registered {
            played = self.play(&case).await?;
        }
        let why = match played.heard {
            true => played.why.unwrap_or_else(|| "it has not ended".to_owned()),
            false => format!("no answer from {}", self.target),
        };
        Ok(((!played.registered).then_some(why), Some(played.recording)))
    }

    /// Plays a case, unless something stands against it, and judges it.
    pub(super) async fn check(&mut self, case: &CheckCase) -> Result<Outcome, Failure> {
        let left_out = |verdict| Ok(Outcome::new(&case.case, verdict, None, Duration::ZERO));
        if let Some(why) = case.case.obstacle(&self.setting).or_else(|| self.cannot(&case.world)) {
            return left_out(Verdict::NotApplicable(why));
        }
        if !self.control && case.case.expects_refusal() {
            return left_out(Verdict::NotJudged("the control registration did not succeed".to_owned()));
        }
        let clock = Clock::start();
        let played = self.play(&case.clone().in_setting(&self.setting)).await?;
        if played.registered {
            // What was slow at first may be no longer.
            self.slowest = self.slowest.min(played.slowest);
            self.pace = Pace::of(self.slowest);
        }
        let verdict = match played.has_acted {
            true => judge(&case.case, &played.recording),
            false => Verdict::NotObservable(UNALTERED.to_owned()),
        };
        let took = clock.now().saturating_since(Instant::ZERO);
        Ok(Outcome::new(&case.case, verdict, Some(played.recording), took))
    }

    /// Keeps the SQNs of the first UE where --usim says so.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        let sqns = self.subscriptions[0].usim.as_ref().map(|usim| usim.sqn_array());
        match (&self.args.ue.usim, sqns) {
            (Some(path), Some(sqns)) => {
                write_usim_file(path, &sqns).map_err(|e| Failure::Usage(format!("--usim {}: {e}", path.display())))
            }
            _ => Ok(()),
        }
    }

    /// Why we cannot play a world against somebody else.
    fn cannot(&self, world: &MutationCase) -> Option<String> {
        let foreign = world.settings.iter().find(|setting| !setting.path.starts_with("ue."));
        let foreign = foreign.map(|setting| format!("needs a network with {}={}", setting.path, setting.value));
        let subscribers = world.hss_data.as_ref().map(|path| format!("needs the subscribers of {}", path.display()));
        let operator = world.steps.iter().any(|step| matches!(step.action, Action::Network(_) | Action::RestartNat));
        let operator = operator.then(|| "needs an operator".to_owned());
        let esp = matches!(self.plane, PlaneChoice::None | PlaneChoice::Kernel);
        let misbehaves = world.misbehaviour.filter(|how| how.needs_esp() && esp);
        let misbehaves = misbehaves.map(|how| format!("{} shows in ESP of our own only", how.as_str()));
        let impossible = || obstacle(&world.mutation, self.plane, &[Role::Ue]);
        foreign.or(subscribers).or(operator).or(misbehaves).or_else(impossible)
    }

    /// Where our UEs are: each at an address of its own, so that a P-CSCF can tell them apart.
    fn find_addresses(&mut self) -> Result<(), Failure> {
        let first = self.address(0, 0)?;
        if first == self.target.ip() {
            let why = format!("--source {first}: the P-CSCF has that address, another one of this host expected");
            return Err(Failure::Usage(why));
        }
        let is_ours = |address: IpAddr, port: u16| {
            let listener = Listener::sip(SocketAddr::new(address, port), Role::Ue);
            Sockets::new().bind(&listener).map_err(|e| Failure::Bind(e, FlagsOf::Check))
        };
        self.port = match self.args.source.map(|source| source.port()).filter(|port| *port != 0) {
            Some(port) => port,
            None if is_ours(first, USUAL).is_ok() => USUAL,
            None => 0,
        };
        is_ours(first, self.port)?;
        let ues = self.subscriptions.len();
        if ues > 1 && self.addresses() == 1 && self.address(0, 1).and_then(|at| is_ours(at, self.port)).is_err() {
            self.setting.ues = 1;
            self.subscriptions.truncate(1);
        }
        is_ours(self.address(self.addresses() - 1, self.subscriptions.len() - 1)?, self.port).map(|_| ())
    }

    /// How many places there are for our UEs.
    fn addresses(&self) -> u32 {
        let own = self.args.source.is_none() && self.target.ip().is_loopback() && self.target.is_ipv4();
        self.args.addresses.unwrap_or(if own { PLACES } else { 1 })
    }

    fn address(&self, case: u32, ue: usize) -> Result<IpAddr, Failure> {
        let number = |number: usize| u32::try_from(number).expect("two UEs at most");
        let offset =
            (case % self.addresses()).saturating_mul(number(self.subscriptions.len())).saturating_add(number(ue));
        let first = match (self.args.source, self.target.ip()) {
            (Some(source), _) => source.ip(),
            // Every address of 127/8 is ours to take.
            (None, IpAddr::V4(v4)) if v4.is_loopback() => {
                Ipv4Addr::from_bits(v4.to_bits() ^ LOOPBACK_UES.to_bits()).into()
            }
            (None, _) => register::source_towards(self.target)?,
        };
        let next = match first {
            IpAddr::V4(v4) => v4.to_bits().checked_add(offset).map(|bits| IpAddr::V4(bits.into())),
            IpAddr::V6(v6) => v6.to_bits().checked_add(offset.into()).map(|bits| IpAddr::V6(bits.into())),
        };
        next.ok_or_else(|| Failure::Usage(format!("--source {first}: no address after it")))
    }

    async fn play(&mut self, case: &CheckCase) -> Result<Played, Failure> {
        let allowed = Duration::from_secs_f64(f64::from(self.sent) / f64::from(self.args.rate));
        let passed = self.begun.now().saturating_since(Instant::ZERO);
        tokio::time::sleep(allowed.saturating_sub(passed)).await;
        // With the set go all tasks of a case, and its sockets with them.
        let tasks = tokio::task::LocalSet::new();
        let played = tasks.run_until(self.play_alone(case)).await?;
        drop(tasks);
        self.played += 1;
        if played.is_left {
            // A registration that our UE knows nothing of ends with the next sound one: from where the P-CSCF has no SAs.
            let tasks = tokio::task::LocalSet::new();
            let again = CheckCase::control(Accused::Pcscf);
            tasks.run_until(self.play_alone(&again)).await?;
            self.played += 1;
        }
        Ok(played)
    }

    async fn play_alone(&mut self, case: &CheckCase) -> Result<Played, Failure> {
        let clock = Clock::start();
        let mut settings = case.habits();
        settings.extend(self.args.settings()?);
        settings.extend_from_slice(&case.world.settings);
        let profile = case.world.profile.as_deref().unwrap_or_else(|| self.args.profile_name());
        let device = self.args.ue.device.as_deref();
        let sound = load_device(profile, device, &settings)?;
        settings.extend_from_slice(&case.world.ue_settings);
        let faulty = load_device(profile, device, &settings)?;
        let plane = OpenPlane::open(self.plane, sound.ue.esp_port, network::seed()?).await?;
        let mut sockets = Sockets::over(plane);
        let mut ims = Ims::new(Wiring::Wire);
        let (mut ues, mut ends) = (Vec::new(), Vec::new());
        for number in 0..self.subscriptions.len() {
            let profile = if number == 0 { &faulty } else { &sound };
            let is_beside = number > 0 && case.world.one_address;
            let beside = is_beside.then(|| (ends[0], u32::try_from(number).expect("two UEs at most")));
            let beside = beside.map(|(address, number)| Beside::first(address, number));
            let own = || Ok::<_, Failure>(SocketAddr::new(self.address(self.played, number)?, self.port));
            let listener = Listener::sip(beside.as_ref().map_or_else(own, |beside| Ok(beside.local))?, Role::Ue);
            let local = sockets.bind(&listener).map_err(|e| Failure::Bind(e, FlagsOf::Check))?;
            let mut config = profile.ue(&self.subscriptions[number], self.target, local, clock.epoch());
            config.protected_ports = match beside {
                Some(beside) => beside.protected,
                None => register::protected_ports(&profile.ue, local.ip(), &mut self.random),
            };
            let mut ue = Ue::new(config, self.random.fork());
            ue.misbehave(case.world.misbehaviour.filter(|_| number == 0));
            ues.push(ims.add(ue).map_err(|e| Failure::Usage(e.to_string()))?);
            ends.push(local.ip());
        }
        let tape = Tape::new(clock, Gm::Ues(ends.clone())).map_err(|e| Failure::Usage(e.to_string()))?;
        let live = Live::start(ims, sockets, clock, Box::new(tape.clone()));
        let live = live.map_err(|e| Failure::Bind(e, FlagsOf::Check))?;
        live.confine(self.target.ip());
        let all: Vec<&Subscription> = self.subscriptions.iter().collect();
        live.mutate(Some(register::of(ues[0], &all, case.world.mutation.clone())));
        let run = Run { rig: self, case, live: &live, ues: &ues, ends: &ends, tape: &tape, clock };
        run.play().await;
        let has_acted = live.look(Ims::has_mutated);
        let (recording, heard, wrong_mac) = (run.recording(), tape.heard().is_some(), tape.has_wrong_mac());
        let slowest = tape.slowest();
        let (registered, why, identities) = run.first(|ue| {
            let is_registered = ue.status() == UeStatus::Registered;
            (is_registered, ue.failure().map(str::to_owned), ue.associated().len())
        });
        run.clean().await;
        let usims: Vec<_> = ues.iter().map(|ue| run.of(*ue, |ue| ue.usim().cloned())).collect();
        live.stop(STOP).await;
        self.sent += tape.sent();
        for (subscription, usim) in self.subscriptions.iter_mut().zip(usims) {
            subscription.usim = usim;
        }
        let is_left = tape.is_granted() && !registered;
        Ok(Played { recording, registered, why, identities, heard, wrong_mac, slowest, is_left, has_acted })
    }
}

/// What a case came to.
struct Played {
    recording: Recording,
    /// The first UE is registered at the end.
    registered: bool,
    /// Why it is not.
    why: Option<String>,
    /// How many public identities it was told of.
    identities: usize,
    heard: bool,
    wrong_mac: bool,
    slowest: Duration,
    /// The other side may have a registration still.
    is_left: bool,
    /// What was to be altered was there.
    has_acted: bool,
}

/// One case while it is played.
struct Run<'r> {
    rig: &'r Rig<'r>,
    case: &'r CheckCase,
    live: &'r Live,
    ues: &'r [ElementId],
    ends: &'r [IpAddr],
    tape: &'r Tape,
    clock: Clock,
}

impl Run<'_> {
    /// All steps, and what follows the last.
    async fn play(&self) {
        let world = &self.case.world;
        let first = Step { at: Duration::ZERO, ue: Some(0), action: Action::Register, to: None };
        let steps = if world.steps.is_empty() { std::slice::from_ref(&first) } else { &world.steps[..] };
        // Where a timer of the peer must pass, the times of the case are kept.
        let is_timed = self.case.case.waits.is_some();
        let begin = self.clock.now();
        let mut before = begin;
        for step in steps {
            let due = begin + step.at;
            while self.clock.now() < due && (is_timed || !self.is_over(before, self.patience(*step))) {
                self.look(due).await;
            }
            self.step(*step);
            before = self.clock.now();
        }
        let last = before;
        let case = &self.case.case;
        let end = match (is_timed, world.until) {
            (true, Some(until)) => begin + until,
            _ => last + AFTERWARDS,
        };
        while self.clock.now() < end {
            let passed = self.clock.now().saturating_since(last);
            let is_silent = |over| !awaits(case) || over >= self.rig.pace.silent;
            if self.is_over(last, self.rig.pace.silent) && is_enough(case, passed, is_silent, || self.is_met()) {
                break;
            }
            self.look(end).await;
        }
    }

    /// Lets things happen for a moment.
    async fn look(&self, until: Instant) {
        let left = until.saturating_since(self.clock.now());
        let _ = tokio::time::timeout(left.min(LOOK), self.live.changed()).await;
    }

    /// Whether nothing follows any more, or nothing will: nothing has passed, or nothing has come, for long enough.
    fn is_over(&self, since: Instant, silent: Duration) -> bool {
        let is_securing = self.ues.iter().any(|ue| self.of(*ue, Ue::is_securing));
        if is_securing || self.live.look(Ims::next_departure).is_some() {
            return false;
        }
        if !self.tape.is_waiting() && self.tape.quiet() >= self.rig.pace.settled {
            return true;
        }
        self.tape.silence().min(self.clock.now().saturating_since(since)) >= silent
    }

    /// How long nothing must have come before a step: a UE whose REGISTER is under way would do nothing.
    fn patience(&self, step: Step) -> Duration {
        let chosen = (0..).zip(self.ues).filter(|(number, _)| step.ue.is_none_or(|chosen| chosen == *number));
        match chosen.into_iter().any(|(_, ue)| self.of(*ue, Ue::is_registering)) {
            true => self.rig.pace.silent.max(Pace::UNKNOWN.silent),
            false => self.rig.pace.silent,
        }
    }

    /// Whether all that is expected is there.
    fn is_met(&self) -> bool {
        judge(&self.case.case, &self.recording()) == Verdict::Passed
    }

    fn recording(&self) -> Recording {
        let keys = self.rig.subscriptions.iter();
        let keys = keys.filter_map(|of| Some((of.impi.as_str().into(), of.usim.as_ref()?.keys().clone())));
        Recording {
            capture: self.tape.capture(),
            ues: match self.case.world.one_address {
                true => Beside::ends(self.ends[0], u32::try_from(self.ends.len()).expect("two UEs at most")),
                false => self.ends.iter().map(|end| End::host(*end)).collect(),
            },
            network: vec![End::host(self.rig.target.ip())],
            names: names_of(self.rig.subscriptions.iter().map(|of| (&of.impi, &of.impu, &of.realm))),
            keys: keys.collect(),
            setting: self.rig.setting,
            control: self.rig.control,
        }
    }

    fn step(&self, step: Step) {
        let to = step.to.and_then(|to| self.ues.get(to as usize)).map(|to| self.of(*to, identity)).unwrap_or_default();
        for (number, ue) in (0..).zip(self.ues) {
            if step.ue.is_none_or(|chosen| chosen == number) {
                self.live.command(*ue, |element, now, out| {
                    let ue = element.as_ue_mut().expect("this process has UEs only");
                    // A UE that is not registered, or has no call, does nothing: the recording shows as much.
                    let _: Result<(), CannotSend> = act(ue, step.action, &to, now, out);
                });
            }
        }
    }

    /// Leaves nothing behind at the peer: who is registered de-registers, who may be registers soundly before.
    async fn clean(&self) {
        self.live.mutate(None);
        for ue in self.ues {
            self.live.command(*ue, |element, _, _| {
                if let Some(ue) = element.as_ue_mut() {
                    ue.misbehave(None);
                }
            });
            if self.of(*ue, Ue::status) == UeStatus::Registered {
                self.live.command(*ue, |element, now, out| element.as_ue_mut().map(|ue| ue.deregister(now, out)));
                let gone = async {
                    while !matches!(self.of(*ue, Ue::status), UeStatus::Idle | UeStatus::Failed { .. }) {
                        self.live.changed().await;
                    }
                };
                let _ = tokio::time::timeout(self.rig.pace.silent, gone).await;
            }
        }
    }

    fn of<T>(&self, ue: ElementId, look: impl FnOnce(&Ue) -> T) -> T {
        self.live.look(|ims| look(ims.element(ue).as_ue().expect("this process has UEs only")))
    }

    fn first<T>(&self, look: impl FnOnce(&Ue) -> T) -> T {
        self.of(self.ues[0], look)
    }
}

fn act(ue: &mut Ue, action: Action, to: &str, now: Instant, out: &mut Outbox) -> Result<(), CannotSend> {
    match action {
        Action::Register | Action::Reregister => ue.register(now, out),
        Action::Deregister => ue.deregister(now, out),
        Action::Emergency => ue.register_emergency(now, out),
        Action::SecondIdentity => {
            let second = ue.associated().get(1).cloned();
            return second.map_or(Ok(()), |second| ue.register_identity(now, second, out));
        }
        Action::Message => return ue.message(now, to, "text/plain", b"hello", out),
        Action::Call => return ue.invite(now, to, &ue.offer(), out).map(|_| ()),
        Action::HangUp => return ue.newest_call().map_or(Ok(()), |call| ue.hang_up(now, call, out)),
        Action::Network(_) | Action::RestartNat => {}
    }
    Ok(())
}

/// The default identity of a UE, or the one that it wants to register.
fn identity(ue: &Ue) -> String {
    ue.associated().first().unwrap_or_else(|| &ue.config().impu).as_str().to_owned()
}

/// From flags, or from a subscriber file: the first UE, and a second where the file has one.
fn subscriptions(args: &CheckPcscfArgs, profile: &Profile) -> Result<Vec<Subscription>, Failure> {
    let Some(file) = &args.subscriber else {
        if args.imsi.is_none() {
            let why = "who is the UE? --imsi IMSI with --k and --opc, or --subscriber FILE expected";
            return Err(Failure::Usage(why.to_owned()));
        }
        return Ok(vec![args.ue_flags().subscription()?]);
    };
    let subscribers = load_subscribers(file, profile)?;
    let missing = |flag: &str, imsi: &str| {
        Failure::Usage(format!("{flag} {imsi}: no subscriber of {} whose keys are known", file.display()))
    };
    let all = || (0..MANY).map_while(|number| subscribers.subscription(number)).filter(|of| of.usim.is_some());
    let first = match &args.imsi {
        Some(imsi) => subscribers.subscription_of(imsi).ok_or_else(|| missing("--imsi", imsi))?,
        None => all().next().ok_or_else(|| missing("--subscriber", "first"))?,
    };
    let second = match &args.second_imsi {
        Some(imsi) => Some(subscribers.subscription_of(imsi).ok_or_else(|| missing("--second-imsi", imsi))?),
        None => all().find(|other| other.impi != first.impi),
    };
    Ok([Some(first), second].into_iter().flatten().collect())
}

/// How many places our UEs have on loopback.
const PLACES: u32 = 200;
/// The port of whoever says nothing else (RFC 3261 clause 19.1.2): cases write it into messages.
const USUAL: u16 = 5060;
/// Nothing of a case is waited for any longer: every transaction on Gm is over by then (64*T1 with T1 = 2 s).
const AFTERWARDS: Duration = Duration::from_secs(140);
const LOOK: Duration = Duration::from_millis(20);
/// Connections that are open still are nobody's any more.
const STOP: Duration = Duration::from_millis(50);
/// What a loopback address of the P-CSCF is changed by to be that of a UE.
const LOOPBACK_UES: Ipv4Addr = Ipv4Addr::new(0, 64, 0, 128);
/// Subscribers looked through for a second UE.
const MANY: u64 = 16;
