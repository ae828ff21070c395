//! Worlds with a faulty UE and a sound one, drawn by a seed, and what is captured of them.

use imsreg::aka::vector::SubscriberKeys;
use imsreg::capture::pcapng::Writer;
use imsreg::capture::{Entry, Hop};
use imsreg::config::{
    Action, MutationCase, NatSetting, NetworkFault, Scenario, Setting, Step, load_profile, load_subscribers,
};
use imsreg::event::{Event, Role};
use imsreg::ims::Tap;
use imsreg::mutation::{Alteration, Lose, Mutation, Mutator, Passage, Pattern};
use imsreg::packet::{Packet, Transport};
use imsreg::random::Random;
use imsreg::sim::{Simulation, is_ue};
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// IMSI of the faulty UE, and of the sound one.
pub(crate) const FIRST: &str = "001010000000001";
pub(crate) const SECOND: &str = "001010000001000";

/// What a seed has drawn.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) esp: bool,
    transport: Transport,
    v6: bool,
    core_udp: bool,
    gm_only: bool,
    pub(crate) keys: bool,
    algorithms: &'static str,
    /// Datagrams lost on Gm, of a thousand.
    loss: u32,
}

impl Shape {
    /// `lossy`: whether datagrams get lost on Gm. What `needs` names is not drawn.
    pub(crate) fn draw(seed: u64, lossy: bool, needs: &[Box<str>]) -> Self {
        let mut random = Random::seeded(seed ^ 0x6d75_7461_6e74);
        let has = |word: &str| needs.iter().any(|need| &**need == word);
        let mut drawn = |of: u32| random.below(of);
        let (udp, v6, plane, core, gm, keys) = (drawn(5), drawn(3), drawn(2), drawn(3), drawn(3), drawn(3));
        let (algorithms, loss) = (drawn(4), drawn(81));
        let transport = match (has("udp"), has("tcp")) {
            (true, _) => Transport::Udp,
            (_, true) => Transport::Tcp,
            _ if udp < 3 => Transport::Udp,
            _ => Transport::Tcp,
        };
        let gm_only = gm == 0 && !has("core");
        let esp = has("esp") || (plane == 0 && !has("plain"));
        let algorithms = match (has("pairs"), has("udp")) {
            (true, _) => PAIRS,
            // With two pairs the protected REGISTER is too large for UDP.
            (false, true) => ALGORITHMS[algorithms as usize % (ALGORITHMS.len() - 1)],
            (false, false) => ALGORITHMS[algorithms as usize],
        };
        Self {
            seed,
            esp,
            transport,
            v6: v6 == 0 && !has("v4"),
            // Where nothing is sent again on Gm, something is in the core.
            core_udp: has("core-udp") || transport == Transport::Tcp || core == 0,
            gm_only,
            // ESP of which nobody has the keys shows nothing.
            keys: !has("no-keys") && (has("keys") || (gm_only && esp) || keys > 0),
            algorithms,
            loss: if lossy && !has("no-loss") { 20 + loss } else { 0 },
        }
    }

    fn settings(&self, needs: &[Box<str>]) -> Vec<Setting> {
        let has = |word: &str| needs.iter().any(|need| &**need == word);
        let mut settings = Vec::new();
        let mut set = |key: &str, value: &str| settings.push(Setting::new("set", key, value));
        if self.v6 {
            set("pcscf.listen", "[\"[::1]:5060\"]");
            set("icscf.listen", "[\"[::1]:4060\"]");
            set("scscf.listen", "[\"[::1]:6060\"]");
            set("hss.listen", "\"[::1]:3868\"");
        }
        let is_udp = self.transport == Transport::Udp;
        set("ue.transport", if is_udp { "udp" } else { "tcp" });
        if self.core_udp {
            set("core_transport", "udp");
        }
        if is_udp && !has("features") {
            // Few enough octets for UDP.
            set("ue.features", ";+g.3gpp.smsip");
            set("ue.access_network", "3GPP-E-UTRAN-FDD");
            set("ue.user_agent", "phone");
        }
        if !has("own-pairs") {
            set("ue.algorithms", self.algorithms);
            set("pcscf.algorithms", self.algorithms);
        }
        settings
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, esp, transport, v6, core_udp, gm_only, keys, algorithms, loss } = self;
        let word = |yes: bool, a: &'static str, b: &'static str| if yes { a } else { b };
        write!(
            f,
            "seed {seed}: {transport} {} {} {algorithms}, core {}, {}, {}, loss {loss} of 1000",
            word(*v6, "IPv6", "IPv4"),
            word(*esp, "ESP", "plane none"),
            word(*core_udp, "UDP", "TCP"),
            word(*gm_only, "Gm only", "everything seen"),
            word(*keys, "keys known", "no keys"),
        )
    }
}

const PAIRS: &str = "[[hmac-sha-1-96, aes-cbc], [hmac-sha-1-96, \"null\"]]";
const ALGORITHMS: [&str; 4] =
    ["[[hmac-sha-1-96, aes-cbc]]", "[[hmac-sha-1-96, \"null\"]]", "[[hmac-md5-96, aes-cbc]]", PAIRS];

/// What is left of a world.
pub(crate) struct Recorded {
    /// A pcapng file.
    pub(crate) capture: Vec<u8>,
    /// The keys that a reader is given, by IMPI.
    pub(crate) keys: Vec<(String, SubscriberKeys)>,
    /// Whether the faulty UE is registered in the end.
    pub(crate) registered: bool,
}

/// Runs a case in a world of this shape.
pub(crate) fn run(case: &MutationCase, shape: &Shape) -> Recorded {
    let alone = case.needs.iter().any(|need| &**need == "alone");
    let long = case.needs.iter().any(|need| &**need == "long");
    let register = |ue, at| Step { at, ue: Some(ue), action: Action::Register, to: None };
    let mut steps = case.steps.clone();
    if steps.is_empty() {
        steps.push(register(0, Duration::ZERO));
        if !alone {
            steps.push(register(1, Duration::from_millis(300)));
        }
    }
    let last = steps.last().map_or(Duration::ZERO, |step| step.at);
    let until = case.until.unwrap_or_else(|| last + Duration::from_secs(if long { 141 } else { 60 }));
    if !alone && (long || case.until.is_some()) && until > last + Duration::from_secs(10) {
        // A capture ends with its last packet: without one, nobody can say that something did not happen.
        steps.push(Step { at: until - Duration::from_secs(4), ue: Some(1), action: Action::Reregister, to: None });
    }
    let mut settings = shape.settings(&case.needs);
    settings.extend_from_slice(&case.settings);
    let hss_data = case.hss_data.clone().unwrap_or_else(|| PathBuf::from("tests/mutations/hss/two.yaml"));
    let scenario = Scenario {
        seed: shape.seed,
        profile: case.profile.as_deref().unwrap_or("volte").to_owned(),
        settings,
        hss_data,
        ues: if alone { 1 } else { 2 },
        application_server: false,
        esp: shape.esp,
        nat: case.needs.iter().any(|need| &**need == "nat").then(|| NatSetting {
            address: "203.0.113.1".parse().expect("an address"),
            timeout: Duration::from_secs(60),
        }),
        steps,
        faults: faults(shape),
        until,
    };
    let recorder = Recorder::new(shape);
    let mut simulation = Simulation::mutated(&scenario, case, recorder.clone()).unwrap_or_else(|faults| {
        panic!("{}: {faults}", case.mutation.id);
    });
    if !alone {
        let second = simulation.ue(1);
        simulation.world_mut().mutate(second, Mutator::new(once_lost(shape), SECOND));
    }
    simulation.run();
    let registered = simulation.ues().next().map(Ue::status) == Some(UeStatus::Registered);
    let data = case.ue_data.as_ref().unwrap_or(&scenario.hss_data);
    let keys = if shape.keys { keys(data) } else { Vec::new() };
    Recorded { capture: recorder.finish(), keys, registered }
}

fn faults(shape: &Shape) -> Vec<NetworkFault> {
    let link = |between, loss| NetworkFault::Link {
        between,
        latency: Some(Duration::from_millis(20)),
        jitter: Duration::ZERO,
        loss,
        duplication: 0,
    };
    vec![link(Some((Role::Ue, Role::Pcscf)), shape.loss)]
}

/// The sound UE, or its P-CSCF, has to send a REGISTER twice.
fn once_lost(shape: &Shape) -> Mutation {
    let from = if shape.transport == Transport::Udp { Role::Ue } else { Role::Pcscf };
    let to = if from == Role::Ue { Role::Pcscf } else { Role::Icscf };
    let pattern = Pattern {
        message: "REGISTER".into(),
        to: Some(to),
        occurrences: imsreg::mutation::Occurrences::Only(vec![1]),
        ..Pattern::from(from)
    };
    let passage = Passage { lose: Lose::First, ..Passage::default() };
    Mutation::new("once-lost", vec![Alteration { passage, ..Alteration::new(pattern, Vec::new()) }])
}

fn keys(path: &Path) -> Vec<(String, SubscriberKeys)> {
    let profile = load_profile("volte", &[]).expect("it is in the binary");
    let subscribers = load_subscribers(path, &profile).unwrap_or_else(|faults| panic!("{faults}"));
    let all = (0..2).map_while(|index| subscribers.subscription(index));
    all.filter_map(|s| Some((s.impi.as_str().to_owned(), s.usim.as_ref()?.keys().clone()))).collect()
}

/// Writes what passes as a capture: what is sealed as ESP, everything else in clear.
#[derive(Clone)]
pub(crate) struct Recorder(Rc<RefCell<Inner>>);

struct Inner {
    writer: Option<Writer<Shared>>,
    octets: Shared,
    esp: bool,
    gm_only: bool,
}

impl Recorder {
    pub(crate) fn new(shape: &Shape) -> Self {
        let octets = Shared::default();
        let writer = Writer::new(octets.clone(), Epoch::SIMULATION).expect("memory takes it");
        Self(Rc::new(RefCell::new(Inner { writer: Some(writer), octets, esp: shape.esp, gm_only: shape.gm_only })))
    }

    pub(crate) fn finish(&self) -> Vec<u8> {
        let mut inner = self.0.borrow_mut();
        inner.writer.take().expect("it ends once").finish().expect("memory takes it");
        std::mem::take(&mut inner.octets.0.borrow_mut())
    }
}

impl Tap for Recorder {
    fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let mut inner = self.0.borrow_mut();
        let is_sealed = inner.esp && packet.sa.is_some();
        let is_gm = is_ue(packet.from.ip()) || is_ue(packet.to.ip());
        if is_sealed || (inner.gm_only && !is_gm) {
            return;
        }
        let Entry::Hop(hop) = Entry::hop(now, packet) else { return };
        let hop = Hop { sa: None, ..hop };
        inner.writer.as_mut().expect("it has not ended").hop(&hop).expect("memory takes it");
    }

    fn esp(&mut self, now: Instant, packet: &[u8]) {
        let mut inner = self.0.borrow_mut();
        inner.writer.as_mut().expect("it has not ended").wire(now, packet).expect("memory takes it");
    }

    fn event(&mut self, _now: Instant, _event: &Event) {}

    fn wants_events(&self) -> bool {
        false
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
