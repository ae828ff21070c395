//! Cases of conformance against our own elements, in virtual time: `imsreg check pcscf self`, `imsreg check ue self`.

use super::scenario::{Beside, Simulation};
use crate::capture::Entry;
use crate::capture::pcapng::Writer;
use crate::config::{
    Action, CheckCase, Faults, MutationCase, NetworkFault, Scenario, Setting as ProfileSetting, Step, hss_data_of,
    load_profile, load_subscribers,
};
use crate::conformance::{Accused, End, Outcome, Recording, Setting, Verdict, judge};
use crate::event::{Event, Role};
use crate::ims::Tap;
use crate::mutation::Mutation;
use crate::packet::Packet;
use crate::time::{Duration, Epoch, Instant};
use std::cell::RefCell;
use std::io::{self, Write};
use std::net::IpAddr;
use std::rc::Rc;

/// Plays cases against our own elements.
#[derive(Debug)]
pub struct CheckRig {
    setting: Setting,
    seed: u64,
    control: bool,
}

impl CheckRig {
    /// Plays the control registration.
    pub fn new(setting: Setting, seed: u64) -> Result<Self, Faults> {
        let mut rig = Self { setting, seed, control: true };
        let control = CheckCase::control(Accused::Pcscf);
        let recording = rig.play(&control, None)?;
        rig.control = judge(&control.case, &recording) == Verdict::Passed;
        Ok(rig)
    }

    /// Whether the control registration succeeded.
    pub const fn control(&self) -> bool {
        self.control
    }

    /// Plays a case, unless the setting stands against it, and judges it. `faulty` is a further mutation, on the side of
    /// the accused.
    pub fn check(&self, case: &CheckCase, faulty: Option<&MutationCase>) -> Result<Outcome, Faults> {
        if let Some(why) = case.case.obstacle(&self.setting) {
            return Ok(Outcome::new(&case.case, Verdict::NotApplicable(why), None, Duration::ZERO));
        }
        let recording = self.play(case, faulty)?;
        let verdict = judge(&case.case, &recording);
        let took = scenario(case, faulty, &self.setting, self.seed).until;
        Ok(Outcome::new(&case.case, verdict, Some(recording), took))
    }

    /// Plays a case.
    pub fn play(&self, case: &CheckCase, faulty: Option<&MutationCase>) -> Result<Recording, Faults> {
        let case = &case.clone().in_setting(&self.setting);
        let scenario = scenario(case, faulty, &self.setting, self.seed);
        let recorder = Recorder::new(scenario.esp);
        let mut simulation = Simulation::mutated(&scenario, &case.world, recorder.clone())?;
        if let Some(faulty) = faulty {
            simulation.add_fault(&Mutation { in_clear: !self.setting.agreement, ..faulty.mutation.clone() });
        }
        simulation.run();
        let profile = load_profile(&scenario.profile, &scenario.settings)?;
        let subscribers = load_subscribers(&scenario.hss_data, &profile)?;
        let known = (0..scenario.ues.into()).map_while(|number| subscribers.subscription(number));
        let keys = known.filter_map(|of| Some((of.impi.as_str().into(), of.usim.as_ref()?.keys().clone()))).collect();
        let hosts: Vec<IpAddr> = simulation.ues().map(|ue| ue.config().local.ip()).collect();
        let ues = match hosts.first().filter(|_| case.world.one_address) {
            Some(shared) => Beside::ends(*shared, scenario.ues),
            None => hosts.into_iter().map(End::host).collect(),
        };
        let network = profile.pcscf.listen.iter().map(|listener| End::host(listener.ip())).collect();
        let names = simulation.names();
        drop(simulation);
        let (setting, control) = (self.setting, self.control);
        Ok(Recording { capture: recorder.finish(), ues, network, names, keys, setting, control })
    }
}

/// The world of a case.
fn scenario(case: &CheckCase, faulty: Option<&MutationCase>, setting: &Setting, seed: u64) -> Scenario {
    let world = &case.world;
    let mut settings = case.habits();
    if !setting.agreement {
        let off = [("ue.sec_agree", "off"), ("pcscf.sec_agree", "off"), ("scscf.aka_without_sa", "accept")];
        settings.extend(off.map(|(key, value)| ProfileSetting::new("check", key, value)));
    }
    settings.extend_from_slice(&world.settings);
    settings.extend(faulty.into_iter().flat_map(|faulty| faulty.settings.iter().cloned()));
    let profile = world.profile.as_deref().unwrap_or("volte").to_owned();
    let hss_data = faulty.and_then(|faulty| faulty.hss_data.clone()).or_else(|| world.hss_data.clone());
    let mut steps = world.steps.clone();
    if steps.is_empty() {
        steps.push(Step { at: Duration::ZERO, ue: Some(0), action: Action::Register, to: None });
    }
    let last = steps.last().map_or(Duration::ZERO, |step| step.at);
    Scenario {
        seed,
        hss_data: hss_data.unwrap_or_else(|| hss_data_of(&profile)),
        profile,
        settings,
        ues: u32::try_from(setting.ues).unwrap_or(u32::MAX),
        application_server: false,
        esp: setting.esp,
        nat: None,
        steps,
        faults: vec![NetworkFault::Link {
            between: Some((Role::Ue, Role::Pcscf)),
            latency: Some(Duration::from_millis(20)),
            jitter: Duration::ZERO,
            loss: 0,
            duplication: 0,
        }],
        until: world.until.unwrap_or_else(|| last + AFTERWARDS),
    }
}

/// Writes what passes on Gm as a capture: ESP where there is ESP, everything else in clear.
#[derive(Clone)]
struct Recorder(Rc<RefCell<Option<Writer<Shared>>>>, Shared, bool);

impl Recorder {
    fn new(esp: bool) -> Self {
        let octets = Shared::default();
        let writer = Writer::new(octets.clone(), Epoch::SIMULATION).expect("memory takes it");
        Self(Rc::new(RefCell::new(Some(writer))), octets, esp)
    }

    fn finish(&self) -> Vec<u8> {
        let writer = self.0.borrow_mut().take().expect("it ends once");
        writer.finish().expect("memory takes it");
        std::mem::take(&mut self.1.0.borrow_mut())
    }
}

impl Tap for Recorder {
    fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let is_sealed = self.2 && packet.sa.is_some();
        if is_sealed || !is_ue(packet.from.ip()) && !is_ue(packet.to.ip()) {
            return;
        }
        if let (Entry::Hop(hop), Some(writer)) = (Entry::hop(now, packet), self.0.borrow_mut().as_mut()) {
            writer.hop(&hop).expect("memory takes it");
        }
    }

    fn esp(&mut self, now: Instant, packet: &[u8]) {
        if let Some(writer) = self.0.borrow_mut().as_mut() {
            writer.wire(now, packet).expect("memory takes it");
        }
    }

    fn event(&mut self, _now: Instant, _event: &Event) {}

    fn wants_events(&self) -> bool {
        false
    }
}

/// Whether a UE of a simulation can have an address.
pub fn is_ue(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[..2] == [10, 64],
        IpAddr::V6(v6) => v6.segments()[..2] == [0xfd00, 0x64],
    }
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long a run goes on behind its last step: every transaction on Gm is over by then (64*T1 with T1 = 2 s).
const AFTERWARDS: Duration = Duration::from_secs(140);
