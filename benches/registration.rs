//! What one registration costs: CPU of P-, I-, S-CSCF and HSS in one process, every hop real bytes, and memory for each
//! subscriber that stays registered (`docs/architecture.md`, `docs/performance.md`).
//!
//!     cargo bench --bench registration                    all of the following, over 100,000 subscribers
//!     cargo bench --bench registration -- cpu 20000       only CPU of a first registration, over so many
//!     cargo bench --bench registration -- refresh 20000   a refresh without challenge beside it
//!     ... -- once 300 [refresh|refresh-without-sar|subscribe]   so many played back once, for callgrind; with refresh each
//!                                                         UE refreshes three times more
//!     cargo bench --bench registration -- memory          only memory, then with a subscription to reg for each UE
//!
//! The UEs run once with the same seed and what they send is recorded; it is then played back against a fresh core, which
//! therefore answers the same bytes, and the process CPU of that second run is what counts. Vectors are computed inside,
//! transactions time out inside, 200s are counted. For the memory figure the recording lies in a file and another process
//! plays it, so that no UE is in the process that is measured.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use imsreg::config::{Elements, Profile, Setting, Subscribers, load_profile, load_subscribers};
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::ims::{ElementId, Ims, Outward, Wiring};
use imsreg::packet::{Effect, Packet, Protocol, Transport};
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use md5::{Digest, Md5};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

const SEED: u64 = 7;
/// What the system would give a UE that opens a connection.
const TCP_PORT: u16 = 40_000;
/// Between two registrations, in virtual time: a thousand a second.
const PACE: Duration = Duration::from_millis(1);

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    let what = args.next();
    let count = |given: Option<String>, or: u32| given.and_then(|n| n.parse().ok()).unwrap_or(or);
    match what.as_deref() {
        None => {
            cpu(100_000)?;
            memory()?;
            refresh(20_000)
        }
        Some("cpu") => cpu(count(args.next(), 100_000)),
        Some("refresh") => refresh(count(args.next(), 20_000)),
        Some("memory") => memory(),
        Some("play") => {
            let file = args.next().expect("play FILE 200s");
            play_for_memory(Path::new(&file), count(args.next(), 1))
        }
        Some("once") => {
            let count = count(args.next(), 1_000);
            once(
                count,
                match args.next().as_deref() {
                    Some("refresh") => Plan { refreshes: REFRESHES, ..Plan::default() },
                    Some("refresh-without-sar") => Plan { refreshes: REFRESHES, without_sar: true, ..Plan::default() },
                    Some("subscribe") => Plan { subscribe: true, ..Plan::default() },
                    _ => Plan::default(),
                },
            )
        }
        Some(other) => panic!("cpu, refresh, memory or once expected, {other} found"),
    }
}

/// What each UE does.
#[derive(Clone, Copy, Default)]
struct Plan {
    /// Refreshes over its SA after the first registration; the lab does not challenge them.
    refreshes: u32,
    /// The S-CSCF tells the HSS of refreshes only what is new.
    without_sar: bool,
    /// Subscribes to the reg event package.
    subscribe: bool,
}

impl Plan {
    /// How many 200s the core gives to one UE.
    fn answers(self) -> u32 {
        1 + self.refreshes + u32::from(self.subscribe)
    }
}

/// Prints the CPU of `count` registrations, and how many times the cryptography it is: that ratio is the goal, which a
/// slower machine changes little.
fn cpu(count: u32) -> io::Result<()> {
    let before = cryptography();
    let spent = micros(spent(count, Plan::default())?, count);
    let cryptography = before.min(cryptography());
    println!("CPU per registration, 12 SIP and 8 Cx messages: {spent:.2} us ({count} registrations)");
    println!(
        "cryptography of one AKA registration: {cryptography:.2} us; ratio {:.1} (goal 25 us / 1.9 us = 13.2)",
        spent / cryptography
    );
    Ok(())
}

/// CPU of the cryptography of one AKA registration as `../shared/peers/udp-floor` measures it, whose 1.9 us the goal was
/// set beside: a key schedule and eight blocks of AES-128 for Milenage, three MD5 of 300 octets for the digest.
fn cryptography() -> f64 {
    const ROUNDS: u32 = 200_000;
    let before = cpu_nanos();
    for round in 0..ROUNDS {
        let cipher = Aes128::new(&[7; 16].into());
        let mut block = Block::from([round as u8; 16]);
        for _ in 0..8 {
            cipher.encrypt_block(&mut block);
        }
        for digest in 0..3 {
            black_box(Md5::digest([digest ^ block[1]; 300]));
        }
    }
    micros(cpu_nanos() - before, ROUNDS)
}

/// Records what `count` UEs do and measures the CPU of playing it back.
fn spent(count: u32, plan: Plan) -> io::Result<u64> {
    let recording = recorded(count, plan)?;
    // The first playback warms caches and allocator up, the second is measured.
    play_back(&recording, &mut Core::new(count, plan), plan)?;
    measured(&recording, count, plan)
}

/// CPU of a fresh core while a recording is played back to it: without what it takes the player to bring the octets out
/// of memory, which a socket would have done.
fn measured(recording: &[u8], count: u32, plan: Plan) -> io::Result<u64> {
    let mut core = Core::new(count, plan);
    let before = cpu_nanos();
    play_back(recording, &mut core, plan)?;
    let played = cpu_nanos();
    let (mut rest, mut buffer) = (recording, Vec::new());
    while read_packet(&mut rest, &mut buffer)?.is_some() {
        black_box(&buffer);
    }
    Ok((played - before).saturating_sub(cpu_nanos() - played))
}

/// Prints what a refresh costs: the same run with refreshes costs so much more. A machine that changes its speed between
/// two runs shows in such a difference three times, so the two are played in turn, and the least of each counts; what is
/// judged is instructions (`once`).
fn refresh(count: u32) -> io::Result<()> {
    for without_sar in [false, true] {
        refresh_as(count, Plan { refreshes: REFRESHES, without_sar, ..Plan::default() })?;
    }
    Ok(())
}

fn refresh_as(count: u32, refreshing: Plan) -> io::Result<()> {
    let (short, long) = (recorded(count, Plan::default())?, recorded(count, refreshing)?);
    let (mut first, mut both) = (u64::MAX, u64::MAX);
    for _ in 0..4 {
        first = first.min(measured(&short, count, Plan::default())?);
        both = both.min(measured(&long, count, refreshing)?);
    }
    let (one, registration) = (micros(both.saturating_sub(first), count * REFRESHES), micros(first, count));
    let what = if refreshing.without_sar { ", without SAR" } else { "" };
    println!(
        "CPU per refresh without challenge{what}: {one:.2} us, of a registration's {registration:.2} us: {:.2} (goal 0.33)",
        one / registration
    );
    Ok(())
}

/// More than one, so that noise counts less.
const REFRESHES: u32 = 3;

/// Plays `count` registrations back once: for callgrind, which counts the instructions of [`play_back`].
fn once(count: u32, plan: Plan) -> io::Result<()> {
    let recording = recorded(count, plan)?;
    let mut core = Core::new(count, plan);
    play_back(&recording, &mut core, plan)?;
    let watched = if plan.subscribe { count } else { 0 };
    assert_eq!(core.subscriptions(), watched as usize, "every NOTIFY must have its answer");
    println!("{count} registrations played back");
    Ok(())
}

fn memory() -> io::Result<()> {
    for subscribe in [false, true] {
        let plan = Plan { subscribe, ..Plan::default() };
        let file = target().join("registration-recording.bin");
        record(MEMORY_LAST, plan, &mut BufWriter::new(File::create(&file)?))?;
        let me = std::env::current_exe()?;
        let output = Command::new(me).arg("play").arg(&file).arg(plan.answers().to_string()).output()?;
        fs::remove_file(&file)?;
        io::stderr().write_all(&output.stderr)?;
        assert!(output.status.success(), "the process that plays the recording failed");
        let what = if subscribe { ", with a subscription to reg" } else { "" };
        print!("memory per registered subscriber, all elements{what}: {}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}

const MEMORY_FIRST: u32 = 10_000;
const MEMORY_LAST: u32 = 110_000;

/// `each`: how many 200s a UE gets.
fn play_for_memory(file: &Path, each: u32) -> io::Result<()> {
    let mut core = Core::new(MEMORY_LAST, Plan::default());
    let mut first = 0;
    let answers = play(&mut BufReader::new(File::open(file)?), &mut core, |core, answers| {
        if answers == MEMORY_FIRST * each && first == 0 {
            core.settle();
            first = resident();
        }
    })?;
    core.settle();
    let last = resident();
    let watched = if each > 1 { MEMORY_LAST as usize } else { 0 };
    assert_eq!(core.subscriptions(), watched, "every NOTIFY must have its answer");
    assert_eq!(answers, MEMORY_LAST * each, "every registration must end with its 200");
    println!("{} octets ({first} to {last} resident)", (last - first) / u64::from(MEMORY_LAST - MEMORY_FIRST));
    Ok(())
}

/// P-, I-, S-CSCF and HSS, wired within the process.
struct Core {
    subscribers: u32,
    ims: Ims,
    scscf: ElementId,
    out: Outward,
    now: Instant,
}

impl Core {
    fn new(count: u32, plan: Plan) -> Self {
        let (profile, subscribers) = lab(count, plan);
        let mut random = Random::seeded(SEED);
        let mut ims = Ims::new(profile.wiring);
        let epoch = Epoch::SIMULATION;
        let all = Elements::ALL;
        let wired = "the lab's addresses differ";
        ims.add(Hss::new(profile.hss(epoch).expect("lab"), subscribers.store, random.fork())).expect(wired);
        let scscf = ims.add(Scscf::new(profile.scscf(all, epoch).expect("lab"), random.fork())).expect(wired);
        ims.add(Icscf::new(profile.icscf(all, epoch).expect("lab"), random.fork())).expect(wired);
        ims.add(Pcscf::new(profile.pcscf(all).expect("lab"), random.fork())).expect(wired);
        let mut core = Self { subscribers: count, ims, scscf, out: Outward::new(), now: Instant::ZERO };
        core.ims.start(core.now, &mut core.out, &mut ());
        core.out.clear();
        core
    }

    /// Runs timers up to `at`.
    fn advance(&mut self, at: Instant, answers: &mut dyn FnMut(&Effect, &[u8])) {
        while let Some(due) = self.ims.next_timeout().filter(|due| *due <= at) {
            self.now = due;
            self.ims.handle_timeout(due, &mut self.out, &mut ());
            self.hand_out(answers);
        }
        self.now = at;
    }

    fn receive(&mut self, packet: &Packet<'_>, answers: &mut dyn FnMut(&Effect, &[u8])) {
        self.ims.receive(self.now, packet, &mut self.out, &mut ());
        self.hand_out(answers);
    }

    fn hand_out(&mut self, answers: &mut dyn FnMut(&Effect, &[u8])) {
        {
            let (effects, bytes) = self.out.drain();
            effects.for_each(|(_, effect)| answers(&effect, bytes));
        }
        self.out.clear();
    }

    /// How many UEs watch their registration.
    fn subscriptions(&self) -> usize {
        self.ims.element(self.scscf).as_scscf().expect("added as such").subscriptions()
    }

    /// Lets every transaction end.
    fn settle(&mut self) {
        let end = self.now + Duration::from_secs(300);
        self.advance(end, &mut |_, _| ());
    }
}

fn lab(count: u32, plan: Plan) -> (Profile, Subscribers) {
    let setting = plan.without_sar.then(|| Setting::from_set("scscf.sar_at_refresh=when-changed").expect("a setting"));
    let profile = load_profile("lab", setting.as_slice()).expect("the lab profile is sound");
    let yaml = format!(
        "subscribers:\n  - {{imsi: \"001010000001000\", range: {count}, k: \"4b{{imsi}}\", op: 30313233343536373839616263646566, \
         msisdn: \"+99900000000\"}}\n"
    );
    let file = target().join(format!("bench-subscribers-{}.yaml", std::process::id()));
    fs::write(&file, yaml).expect("target/ is writable");
    let subscribers = load_subscribers(&file, &profile).expect("the subscribers are sound");
    fs::remove_file(&file).expect("just written");
    (profile, subscribers)
}

/// Runs `count` UEs one after the other against a core, and writes what they send.
fn record(count: u32, plan: Plan, recording: &mut impl Write) -> io::Result<()> {
    let (profile, subscribers) = lab(count, plan);
    let mut core = Core::new(count, plan);
    let mut random = Random::seeded(SEED + 1);
    for n in 0..count {
        let at = Instant::ZERO + PACE * n;
        core.advance(at, &mut |_, _| ());
        // Each UE has an address of its own, as in a network.
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + n)), 5060);
        let subscription = subscribers.subscription(u64::from(n)).expect("within the range");
        let mut config = profile.ue(&subscription, profile.pcscf.listen[0], local, Epoch::SIMULATION);
        config.refresh = false;
        config.subscribe = plan.subscribe;
        let mut host = Ims::new(Wiring::Wire);
        let ue = host.add(Ue::new(config, random.fork())).expect("the only element");
        for _ in 0..=plan.refreshes {
            let mut out = Outward::new();
            host.command(ue, at, &mut out, &mut (), |e, o| e.as_ue_mut().expect("a UE").register(at, o));
            exchange(&mut host, local, &mut core, at, &mut out, recording)?;
        }
        let ue = host.element(ue).as_ue().expect("a UE");
        assert_eq!(ue.status(), UeStatus::Registered, "UE {n}: {:?}", ue.failure());
    }
    recording.flush()
}

/// Carries messages between a UE and the core until nobody has anything more to say.
fn exchange(
    host: &mut Ims,
    local: SocketAddr,
    core: &mut Core,
    at: Instant,
    out: &mut Outward,
    recording: &mut impl Write,
) -> io::Result<()> {
    let mut back: VecDeque<(Vec<u8>, SocketAddr, SocketAddr, Transport)> = VecDeque::new();
    loop {
        {
            let (effects, bytes) = out.drain();
            for (_, effect) in effects {
                let Effect::Transmit { mut from, to, transport, range, .. } = effect else { continue };
                if from.port() == 0 {
                    from.set_port(TCP_PORT);
                }
                let packet = sip(&bytes[range], from, to, transport);
                write_packet(recording, at, &packet)?;
                core.receive(&packet, &mut |effect, bytes| {
                    if let Effect::Transmit { from, to, transport, range, .. } = effect {
                        back.push_back((bytes[range.clone()].to_vec(), *from, *to, *transport));
                    }
                });
            }
        }
        out.clear();
        let Some((bytes, from, mut to, transport)) = back.pop_front() else { return Ok(()) };
        if to.port() == TCP_PORT {
            to = local;
        }
        host.receive(at, &sip(&bytes, from, to, transport), out, &mut ());
    }
}

/// The recording of what `count` UEs do.
fn recorded(count: u32, plan: Plan) -> io::Result<Vec<u8>> {
    let mut recording = Vec::new();
    record(count, plan, &mut recording)?;
    Ok(recording)
}

/// Plays a recording until every transaction has ended. A function of its own in every build: what is counted is what it
/// calls.
#[inline(never)]
fn play_back(mut recording: &[u8], core: &mut Core, plan: Plan) -> io::Result<()> {
    let answers = play(&mut recording, core, |_, _| ())?;
    core.settle();
    assert_eq!(answers, core.subscribers * plan.answers(), "every REGISTER must end with its 200");
    Ok(())
}

/// Plays a recording; counts the 200s and tells `progress` how many there are before each UE.
fn play(recording: &mut impl Read, core: &mut Core, mut progress: impl FnMut(&mut Core, u32)) -> io::Result<u32> {
    let mut registered = 0;
    let mut buffer = Vec::new();
    while let Some((at, from, to, transport)) = read_packet(recording, &mut buffer)? {
        // One UE has said everything that it has to say before the next one begins.
        if at > core.now {
            progress(core, registered);
        }
        let mut count = |effect: &Effect, bytes: &[u8]| {
            if let Effect::Transmit { range, .. } = effect {
                registered += u32::from(bytes[range.clone()].starts_with(b"SIP/2.0 200"));
            }
        };
        if at > core.now {
            core.advance(at, &mut count);
        }
        core.receive(&sip(&buffer, from, to, transport), &mut count);
    }
    Ok(registered)
}

fn sip(bytes: &[u8], from: SocketAddr, to: SocketAddr, transport: Transport) -> Packet<'_> {
    Packet { bytes, protocol: Protocol::Sip, transport, from, to, sa: None }
}

fn write_packet(out: &mut impl Write, at: Instant, packet: &Packet<'_>) -> io::Result<()> {
    out.write_all(&at.as_micros().to_be_bytes())?;
    for address in [packet.from, packet.to] {
        let IpAddr::V4(v4) = address.ip() else { unreachable!("the bench uses IPv4") };
        out.write_all(&v4.octets())?;
        out.write_all(&address.port().to_be_bytes())?;
    }
    out.write_all(&[u8::from(packet.transport == Transport::Tcp)])?;
    let length = u32::try_from(packet.bytes.len()).expect("a SIP message");
    out.write_all(&length.to_be_bytes())?;
    out.write_all(packet.bytes)
}

type Head = (Instant, SocketAddr, SocketAddr, Transport);

fn read_packet(input: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<Option<Head>> {
    let mut head = [0; 25];
    match input.read_exact(&mut head) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let number = |range: std::ops::Range<usize>| head[range].iter().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    let address = |at: usize| {
        let port = u16::from_be_bytes([head[at + 4], head[at + 5]]);
        SocketAddr::from(([head[at], head[at + 1], head[at + 2], head[at + 3]], port))
    };
    let transport = if head[20] == 1 { Transport::Tcp } else { Transport::Udp };
    bytes.resize(usize::try_from(number(21..25)).expect("32 bits"), 0);
    input.read_exact(bytes)?;
    Ok(Some((Instant::from_micros(number(0..8)), address(8), address(14), transport)))
}

/// CPU that this thread has used (the bench has one).
fn cpu_nanos() -> u64 {
    let text = fs::read_to_string("/proc/self/schedstat").expect("Linux");
    text.split_whitespace().next().and_then(|n| n.parse().ok()).expect("nanoseconds first")
}

/// Resident octets of this process.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = text.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("resident pages second");
    pages * 4_096
}

fn micros(nanos: u64, count: u32) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let nanos = nanos as f64;
    nanos / f64::from(count) / 1_000.0
}

fn target() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}
