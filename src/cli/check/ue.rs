//! Cases against a UE: we are the network, each case a new one; at the same address, or side by side at several.

use super::UNALTERED;
use super::command::{Started, Told};
use super::pace::{Pace, is_enough, span};
use super::tape::{Gm, Tape};
use crate::aka::vector::SubscriberKeys;
use crate::cli::args::{CheckUeArgs, FlagsOf};
use crate::cli::{Failure, network};
use crate::config::{
    Action, ByNetwork, CheckCase, Elements, MutationCase, PlaneChoice, Profile, Setting as ProfileSetting, Step,
    Subscription, load_profile, load_subscribers,
};
use crate::conformance::{Accused, End, Outcome, Recording, Setting, Verdict, judge};
use crate::cx::ReasonCode;
use crate::event::Role;
use crate::ims::{Fault, Ims, Order, Whom, led_by};
use crate::live::plane::OpenPlane;
use crate::live::{Clock, Live, obstacle};
use crate::packet::Transport;
use crate::pcscf::SecAgreePolicy;
use crate::scscf::Termination;
use crate::sim::names_of;
use crate::time::{Duration, Instant};
use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

/// Plays cases against one UE.
pub(super) struct Rig {
    args: Rc<CheckUeArgs>,
    plane: PlaneChoice,
    setting: Setting,
    control: bool,
    pace: Pace,
}

impl Rig {
    pub(super) fn new(args: Rc<CheckUeArgs>) -> Result<Self, Failure> {
        let mut rig =
            Self { args, plane: PlaneChoice::None, setting: Setting::full(false), control: false, pace: Pace::UNKNOWN };
        let profile = rig.profile(None, &[], 0)?;
        rig.plane = profile.pcscf.ipsec;
        let sec_agree = profile.pcscf.sec_agree == SecAgreePolicy::Required;
        let esp = rig.plane != PlaneChoice::None;
        rig.setting = Setting { ues: 1, sec_agree, fast: rig.args.run.fast, ..Setting::full(esp) };
        Ok(rig)
    }

    /// What the run offers.
    pub(super) const fn setting(&self) -> Setting {
        self.setting
    }

    /// Where the UE is waited for.
    pub(super) fn target(&self) -> Result<String, Failure> {
        Ok(format!("the UE at {}", self.profile(None, &[], 0)?.pcscf_for_ue()))
    }

    /// How many cases can be played side by side, and at how many addresses: a UE that nobody starts comes to one only.
    pub(super) fn places(&self) -> u32 {
        self.args.jobs
    }

    /// How long a case takes about, of this UE.
    pub(super) fn span(&self, case: &CheckCase) -> Duration {
        if case.case.obstacle(&self.setting).is_some() { Duration::ZERO } else { span(&case.case) }
    }

    /// A registration in which nothing is wrong.
    pub(super) async fn control(&mut self) -> Result<(Option<String>, Recording), Failure> {
        let case = CheckCase::control(Accused::Ue);
        self.control = true;
        let Some(Played { recording, slowest, over, .. }) = self.play(&case, 0).await? else {
            let (patience, target) = (self.args.patience, self.target()?);
            return Err(Failure::Usage(format!("no REGISTER came within {patience} s: {target} (--patience)")));
        };
        self.setting.udp = over == Transport::Udp;
        self.setting.tcp = over == Transport::Tcp;
        // Beside others it may be slower than alone.
        self.pace = if self.places() > 1 { Pace::UNKNOWN } else { Pace::of(slowest) };
        let failure = unregistered(&case, &recording);
        self.control = failure.is_none();
        Ok((failure, recording))
    }

    /// The same behind the last case.
    pub(super) async fn control_again(&self) -> Result<(Option<String>, Option<Recording>), Failure> {
        let case = CheckCase::control(Accused::Ue);
        Ok(match self.play_when_free(&case, 0).await? {
            Some(Played { recording, .. }) => (unregistered(&case, &recording), Some(recording)),
            None => (Some(self.nobody_came()), None),
        })
    }

    /// Plays a case at one of the places, unless something stands against it, and judges it.
    pub(super) async fn check(&self, case: &CheckCase, place: u32) -> Result<Outcome, Failure> {
        let left_out = |verdict| Ok(Outcome::new(&case.case, verdict, None, Duration::ZERO));
        if let Some(why) = case.case.obstacle(&self.setting).or_else(|| self.cannot(&case.world)) {
            return left_out(Verdict::NotApplicable(why));
        }
        if !self.control && case.case.expects_refusal() {
            return left_out(Verdict::NotJudged("the control registration did not succeed".to_owned()));
        }
        let clock = Clock::start();
        let Some(Played { recording, has_acted, .. }) = self.play_when_free(case, place).await? else {
            return left_out(Verdict::NotObservable(self.nobody_came()));
        };
        let verdict = match has_acted {
            true => judge(&case.case, &recording),
            false => Verdict::NotObservable(UNALTERED.to_owned()),
        };
        Ok(Outcome::new(&case.case, verdict, Some(recording), clock.now().saturating_since(Instant::ZERO)))
    }

    fn nobody_came(&self) -> String {
        format!("no REGISTER came within {} s", self.args.patience)
    }

    async fn play_when_free(&self, case: &CheckCase, place: u32) -> Result<Option<Played>, Failure> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            match self.play(case, place).await {
                // A UE of another case that was started a moment ago has our sockets until its program runs, those too that
                // the case before at this place has closed.
                Err(Failure::Bind(error, _)) if tries > 0 && error.source.kind() == ErrorKind::AddrInUse => {
                    tokio::time::sleep(AGAIN).await;
                }
                played => return played,
            }
        }
    }

    /// Why we cannot play a world with somebody else's UE.
    fn cannot(&self, world: &MutationCase) -> Option<String> {
        let is_possible = |step: &&Step| {
            let can = step.ue == Some(0) && self.args.ue_orders && order_line(**step, &[]).is_some();
            can || matches!(step.action, Action::Network(_))
        };
        let ordered = world.steps.iter().skip(1).find(|step| !is_possible(step));
        let ordered = ordered.map(|_| "needs a UE that does on request more than to register (--ue-orders)".to_owned());
        let together = world.one_address.then(|| "needs UEs of ours at one address".to_owned());
        let settings = world.ue_settings.iter().chain(&world.settings).find(|setting| setting.path.starts_with("ue."));
        let settings = settings.map(|setting| format!("needs a UE with {}", setting.path));
        let misbehaves = world.misbehaviour.map(|_| "needs a UE that is made to misbehave".to_owned());
        // The kernel drops them before anybody sees them.
        let unseen = self.plane == PlaneChoice::Kernel && world.mutation.sets.iter().any(|set| set.at == Role::Pcscf);
        let unseen = unseen.then(|| "plane kernel does not show what its SAs do not open".to_owned());
        let impossible = || obstacle(&world.mutation, self.plane, &Elements::ALL.roles());
        together.or(ordered).or(settings).or(misbehaves).or(unseen).or_else(impossible)
    }

    /// What the profile is set to, `world` last.
    fn settings(&self, world: &[ProfileSetting], place: u32) -> Result<Vec<ProfileSetting>, Failure> {
        let own = |key: &str, value: String| ProfileSetting::new("check", key, value);
        let core = core(place);
        let at = |port: u16| format!("{core}:{port}");
        let mut settings = vec![
            own("pcscf.sec_agree", "required".to_owned()),
            // From case to case the same USIM gets ever higher SQNs.
            own("hss.sqn", "time".to_owned()),
        ];
        settings.extend(self.args.settings()?);
        settings.extend(
            [("icscf.listen", 4060), ("scscf.listen", 6060), ("hss.listen", 3868)]
                .map(|(key, port)| own(key, at(port))),
        );
        settings.extend_from_slice(world);
        Ok(settings)
    }

    /// The network at a place: each has an address of its own.
    fn profile(&self, name: Option<&str>, world: &[ProfileSetting], place: u32) -> Result<Profile, Failure> {
        let name = name.unwrap_or_else(|| self.args.profile.name());
        let mut profile = load_profile(name, &self.settings(world, place)?)?;
        for listener in &mut profile.pcscf.listen {
            let at = match listener.ip() {
                IpAddr::V4(v4) => v4.to_bits().checked_add(place).map(|bits| IpAddr::V4(bits.into())),
                IpAddr::V6(v6) => v6.to_bits().checked_add(place.into()).map(|bits| IpAddr::V6(bits.into())),
            };
            let why = || Failure::Usage(format!("--listen {listener}: no address number {place} after it"));
            listener.set_ip(at.ok_or_else(why)?);
        }
        Ok(profile)
    }

    /// `None`: nobody came.
    async fn play(&self, case: &CheckCase, place: u32) -> Result<Option<Played>, Failure> {
        // With the set go all tasks of a case, and its sockets with them.
        let tasks = tokio::task::LocalSet::new();
        tasks.run_until(self.play_alone(case, place)).await
    }

    async fn play_alone(&self, case: &CheckCase, place: u32) -> Result<Option<Played>, Failure> {
        let mut profile = self.profile(case.world.profile.as_deref(), &case.world.settings, place)?;
        let file = case.world.hss_data.clone().unwrap_or_else(|| self.args.hss_data());
        let subscribers = load_subscribers(&file, &profile)?;
        let known: Vec<Subscription> = (0..MANY).map_while(|number| subscribers.subscription(number)).collect();
        let names = names_of(known.iter().map(|of| (&of.impi, &of.impu, &of.realm)));
        let known = known.iter();
        let keys: Vec<(Box<str>, SubscriberKeys)> =
            known.filter_map(|of| Some((of.impi.as_str().into(), of.usim.as_ref()?.keys().clone()))).collect();
        let clock = Clock::start();
        let plane = OpenPlane::open(self.plane, profile.pcscf.esp_port, network::seed()?).await?;
        let subscribers = Some(subscribers);
        let network = network::build(&mut profile, Elements::ALL, subscribers, None, clock, FlagsOf::Check, plane)?;
        let own = ends(&network.ims);
        let gm = Gm::Pcscf { core: core(place), own: own.clone() };
        let tape = Tape::new(clock, gm).map_err(|e| Failure::Usage(e.to_string()))?;
        let live = Live::start(network.ims, network.sockets, clock, Box::new(tape.clone()));
        let live = live.map_err(|e| Failure::Bind(e, FlagsOf::Check))?;
        let (whom, mutation) = (Whom::Outside(None), case.world.mutation.clone());
        live.mutate(Some(Fault { whom, mutation, names: names.clone() }));
        let command = self.args.ue_command.as_deref();
        let (pcscf, takes_orders) = (profile.pcscf_for_ue(), self.args.ue_orders);
        let told = Told { pcscf, case: &case.case.id, place, takes_orders };
        let started = command.map(|command| Started::new(command, &told)).transpose()?;
        let (live, tape, met) = (&live, &tape, Cell::new(None));
        let run = Run { rig: self, case, live, tape, clock, own, names, keys, started: started.as_ref(), met };
        let came = run.play(&profile).await;
        let has_acted = live.look(Ims::has_mutated);
        let (slowest, over) = (tape.slowest(), tape.heard_over());
        let played = came.then(|| Played { recording: run.recording(), slowest, over, has_acted });
        live.mutate(None);
        if run.started.is_none() {
            run.send_away().await;
        }
        drop(run);
        if let Some(started) = started {
            started.end().await;
        }
        live.stop(STOP).await;
        Ok(played)
    }
}

/// What a case came to.
struct Played {
    recording: Recording,
    slowest: Duration,
    /// What the UE registers over.
    over: Transport,
    /// What was to be altered was there.
    has_acted: bool,
}

/// One case while it is played.
struct Run<'r> {
    rig: &'r Rig,
    case: &'r CheckCase,
    live: &'r Live,
    tape: &'r Tape,
    clock: Clock,
    own: Vec<End>,
    names: Vec<(Box<str>, Box<str>)>,
    keys: Vec<(Box<str>, SubscriberKeys)>,
    /// The UE, where we start it.
    started: Option<&'r Started>,
    /// Whether all was there that is expected, when the recording had so many octets.
    met: Cell<Option<(usize, bool)>>,
}

impl Run<'_> {
    /// The UE comes, then all steps of the network, and what follows the last. False: it did not come.
    async fn play(&self, profile: &Profile) -> bool {
        let patience = Instant::ZERO + Duration::from_secs(u64::from(self.rig.args.patience));
        while self.tape.heard().is_none() {
            if self.clock.now() >= patience {
                return false;
            }
            self.look(patience).await;
        }
        let (world, case) = (&self.case.world, &self.case.case);
        let is_timed = case.waits.is_some();
        let begin = self.clock.now();
        for step in &world.steps {
            let due = begin + step.at;
            while self.clock.now() < due && (is_timed || !self.is_over()) {
                self.look(due).await;
            }
            // Beside others the UE may need longer than the case has thought.
            let latest = due + LATE;
            while self.registered().is_none() && self.clock.now() < latest && step.at > Duration::ZERO {
                self.look(latest).await;
            }
            match (step.action, self.started, order_line(*step, &self.names())) {
                (Action::Network(by), ..) => self.order(by, profile),
                // The UE registers by itself when it is started.
                (_, Some(started), Some(line)) if !std::ptr::eq(step, &raw const world.steps[0]) => {
                    started.order(&line)
                }
                _ => {}
            }
        }
        let last = self.clock.now();
        let end = match (is_timed, world.until) {
            (true, Some(until)) => begin + until,
            _ => last + AFTERWARDS,
        };
        while self.clock.now() < end {
            let passed = self.clock.now().saturating_since(last);
            let is_silent = |over: Duration| self.tape.quiet().min(over) >= self.rig.pace.silent;
            if self.is_over() && is_enough(case, passed, is_silent, || self.is_met()) {
                break;
            }
            self.look(end).await;
        }
        true
    }

    /// Lets things happen for a moment.
    async fn look(&self, until: Instant) {
        let left = until.saturating_since(self.clock.now());
        let _ = tokio::time::timeout(left.min(LOOK), self.live.changed()).await;
    }

    /// Whether nothing follows any more: nothing has passed for long enough.
    fn is_over(&self) -> bool {
        let Pace { settled, silent } = self.rig.pace;
        let needed = if self.tape.is_waiting() { silent } else { settled };
        self.live.look(Ims::next_departure).is_none() && self.tape.quiet() >= needed
    }

    /// Whether all that is expected is there.
    fn is_met(&self) -> bool {
        let len = self.tape.len();
        if let Some((_, is_met)) = self.met.get().filter(|(judged, _)| *judged == len) {
            return is_met;
        }
        let is_met = judge(&self.case.case, &self.recording()) == Verdict::Passed;
        self.met.set(Some((len, is_met)));
        is_met
    }

    /// Who comes is the first UE.
    fn names(&self) -> Vec<(Box<str>, Box<str>)> {
        let mut names = self.names.clone();
        if let Some(user) = self.live.look(|ims| ims.mutated_user().map(str::to_owned)) {
            led_by(&mut names, &user);
        }
        names
    }

    fn recording(&self) -> Recording {
        Recording {
            capture: self.tape.capture(),
            ues: Vec::new(),
            network: self.own.clone(),
            names: self.names(),
            keys: self.keys.clone(),
            setting: self.rig.setting,
            control: self.rig.control,
        }
    }

    /// The network does something with the registration, as `imsreg ctl` does. Where there is none, nothing happens.
    fn order(&self, by: ByNetwork, profile: &Profile) {
        let Some(impu) = self.registered() else { return };
        let order = match by {
            ByNetwork::Reauthenticate => Order::Reauthenticate { impu, within: REAUTHENTICATION },
            ByNetwork::Deregister => Order::Deregister { impu, termination: Termination::Deactivated },
            ByNetwork::Terminate => Order::Terminate { identity: impu, reason: ReasonCode::PermanentTermination },
            ByNetwork::ChangeServer => Order::Terminate { identity: impu, reason: ReasonCode::ServerChange },
        };
        tracing::debug!(realm = %profile.realm, ?order, "the network acts");
        self.carry_out(&order);
    }

    fn carry_out(&self, order: &Order) {
        if let Some(element) = self.live.look(|ims| ims.of_role(order.role())) {
            let _: Result<(), String> =
                self.live.command(element, |element, now, out| element.carry_out(now, order, out));
        }
    }

    /// The default identity of who is registered.
    fn registered(&self) -> Option<String> {
        self.live.look(|ims| {
            let scscf = ims.element(ims.of_role(Role::Scscf)?).as_scscf()?;
            let registration = scscf.registration_views(None).into_iter().next()?;
            registration.identities.into_iter().find(|(_, barred)| !barred).map(|(impu, _)| impu)
        })
    }

    /// A UE that nobody starts is told that its registration is over, and to come again: for the next case.
    async fn send_away(&self) {
        let Some(impu) = self.registered() else { return };
        self.carry_out(&Order::Deregister { impu, termination: Termination::Deactivated });
        let told = async {
            while self.tape.is_waiting() {
                self.live.changed().await;
            }
        };
        let _ = tokio::time::timeout(self.rig.pace.silent, told).await;
    }
}

/// Why a control registration did not succeed: rules that the UE breaks in it are another matter.
fn unregistered(control: &CheckCase, recording: &Recording) -> Option<String> {
    let verdict = judge(&control.case, recording);
    let met = control.case.expect.iter().all(|wanted| {
        let wanted = wanted.to_string();
        verdict.failures().iter().all(|failure| failure.expected != wanted)
    });
    if met && verdict.why().is_none() {
        return None;
    }
    let found = verdict.failures().first().map(|failure| failure.found.clone());
    Some(found.or_else(|| verdict.why().map(str::to_owned)).unwrap_or_default())
}

/// What a UE is told to do; `None`: no UE is told that.
fn order_line(step: Step, names: &[(Box<str>, Box<str>)]) -> Option<String> {
    match step.action {
        Action::Register | Action::Reregister => Some("register".to_owned()),
        Action::Deregister => Some("deregister".to_owned()),
        Action::SecondIdentity => Some("second-identity".to_owned()),
        Action::Message => {
            let name = format!("ue{}.impu", step.to? + 1);
            let to = names.iter().find(|(of, _)| **of == *name).map(|(_, impu)| &**impu);
            Some(format!("message {}", to.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Where the elements behind the P-CSCF of a place are.
fn core(place: u32) -> IpAddr {
    let [a, b, ..] = std::process::id().to_le_bytes();
    let [place, ..] = place.to_le_bytes();
    Ipv4Addr::new(127, 65_u8.saturating_add(place), b, a.max(1)).into()
}

/// The P-CSCF on Gm, port by port: a UE may be on the same host.
fn ends(ims: &Ims) -> Vec<End> {
    let listeners = ims.listeners().into_iter().filter(|listener| listener.role == Role::Pcscf);
    let end = |at: std::net::SocketAddr| End { address: at.ip(), ports: at.port()..=at.port() };
    listeners.map(|listener| end(listener.address)).collect()
}

/// Nothing of a case is waited for any longer.
const AFTERWARDS: Duration = Duration::from_secs(140);
/// How long a registration lasts when it is to be authenticated again.
const REAUTHENTICATION: Duration = Duration::from_secs(60);
/// How much later than in virtual time a UE may be registered.
const LATE: Duration = Duration::from_secs(20);
/// How often the sockets of a place are asked for, and how long after each other.
const TRIES: u32 = 20;
const AGAIN: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(20);
/// Connections that are open still are nobody's any more.
const STOP: Duration = Duration::from_millis(50);
/// Subscribers whose keys the judge is told.
const MANY: u64 = 1_000;
