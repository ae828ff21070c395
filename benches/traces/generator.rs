//! Captures of a busy network: UEs register, subscribe to their registration and are told of it, some leave; Gm, Mw and Cx
//! are captured, every second UE is in ESP, and a part of the messages was sent again.

use imsreg::capture::Hop;
use imsreg::config::{Elements, Profile, Subscribers, load_profile, load_subscribers};
use imsreg::event::Event;
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::ims::{ElementId, Ims, Outward, SaAnswers, Tap};
use imsreg::ip::transport::{ACK, PSH, SYN, Segment, TcpFields, write_tcp, write_udp};
use imsreg::ip::{self, Upper};
use imsreg::ipsec::association::{SaSet, SaSetId};
use imsreg::ipsec::esp::Engine;
use imsreg::packet::{Effect, Packet, Protocol, Transport};
use imsreg::pcscf::{Pcscf, SecAgreePolicy};
use imsreg::random::Random;
use imsreg::scscf::{ChallengePolicy, Scscf};
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Makes generations of UEs, each of them and its core new, one after the other on one capture.
pub(crate) struct Generator<W> {
    profile: Profile,
    subscribers: Subscribers,
    random: Random,
    /// UEs so far.
    ues: u32,
    now: Instant,
    file: File<W>,
}

/// What each UE of a generation does besides to register and to subscribe.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lives {
    /// How many UEs.
    pub(crate) ues: u32,
    /// How often each refreshes its registration, every five minutes.
    pub(crate) refreshes: u32,
    /// Every refresh is challenged, and makes new SAs.
    pub is_challenged: bool,
}

/// What a capture holds.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) registrations: u64,
    pub(crate) sip: u64,
    pub(crate) diameter: u64,
    /// SIP messages that were sent again, counted in `sip` as well.
    pub(crate) again: u64,
    /// SIP messages in ESP, counted in `sip` as well.
    pub(crate) sealed: u64,
    pub(crate) octets: u64,
}

impl<W: Write> Generator<W> {
    /// Writes the head of the file. At most `most` UEs will come.
    pub(crate) fn new(out: W, most: u32) -> io::Result<Self> {
        let (profile, subscribers) = lab(most);
        let mut file = File { out, counts: Counts::default(), waiting: Waiting::default(), wires: Wires::new(0) };
        file.head()?;
        Ok(Self { profile, subscribers, random: Random::seeded(SEED), ues: 0, now: Instant::ZERO, file })
    }

    /// What is written so far.
    pub(crate) fn counts(&self) -> Counts {
        self.file.counts
    }

    /// Lets a generation of UEs live.
    pub(crate) fn generation(&mut self, lives: Lives) -> io::Result<()> {
        self.profile.scscf.challenge =
            if lives.is_challenged { ChallengePolicy::Always } else { ChallengePolicy::Never };
        let mut network = Network::new(&self.profile, &self.subscribers, &mut self.random);
        self.file.wires = Wires::new(self.ues);
        let mut plan: BTreeMap<(Instant, u32), Step> = BTreeMap::new();
        for ue in 0..lives.ues {
            let begin = self.now + PACE * ue;
            plan.insert((begin, ue), Step::Register);
            for nth in 1..=lives.refreshes {
                plan.insert((begin + REFRESH * nth, ue), Step::Register);
            }
            if ue % 4 == 3 {
                plan.insert((begin + REFRESH * (lives.refreshes + 1), ue), Step::Leave);
            }
        }
        network.call(self.now, &mut self.file, |ims, now, out, tap| ims.start(now, out, tap));
        let mut ids: Vec<ElementId> = Vec::new();
        while let Some(((at, ue), step)) = plan.pop_first() {
            network.run_until(at, &mut self.file)?;
            if ids.len() <= ue as usize {
                let number = self.ues + ue;
                ids.push(network.add(&self.profile, &self.subscribers, number, self.random.fork()));
                self.file.counts.registrations += 1;
            }
            let id = ids[ue as usize];
            network.call(at, &mut self.file, |ims, now, out, tap| {
                ims.command(id, now, out, tap, |element, out| {
                    let ue = element.as_ue_mut().expect("added as such");
                    match step {
                        Step::Register => ue.register(now, out),
                        Step::Leave => ue.deregister(now, out),
                    }
                });
            });
            self.now = at;
        }
        self.now += REFRESH;
        network.run_until(self.now, &mut self.file)?;
        for (index, id) in ids.iter().enumerate() {
            let ue = network.ims.element(*id).as_ue().expect("added as such");
            let expected = if index % 4 == 3 { UeStatus::Idle } else { UeStatus::Registered };
            assert_eq!(ue.status(), expected, "UE {index}: {:?}", ue.failure());
        }
        self.ues += lives.ues;
        Ok(())
    }

    /// Writes everything through.
    pub(crate) fn finish(mut self) -> io::Result<Counts> {
        self.file.out.flush()?;
        Ok(self.file.counts)
    }
}

#[derive(Clone, Copy)]
enum Step {
    Register,
    Leave,
}

/// The core and its UEs, wired in memory.
struct Network {
    ims: Ims,
    out: Outward,
}

impl Network {
    fn new(profile: &Profile, subscribers: &Subscribers, random: &mut Random) -> Self {
        let (all, epoch) = (Elements::ALL, Epoch::SIMULATION);
        let mut ims = Ims::new(profile.wiring);
        ims.set_sa_answers(SaAnswers::Driver);
        let good = "the lab profile is sound";
        ims.add(Hss::new(profile.hss(epoch).expect(good), subscribers.store.clone(), random.fork())).expect(good);
        ims.add(Scscf::new(profile.scscf(all, epoch).expect(good), random.fork())).expect(good);
        ims.add(Icscf::new(profile.icscf(all, epoch).expect(good), random.fork())).expect(good);
        ims.add(Pcscf::new(profile.pcscf(all).expect(good), random.fork())).expect(good);
        Self { ims, out: Outward::new() }
    }

    fn add(&mut self, profile: &Profile, subscribers: &Subscribers, number: u32, random: Random) -> ElementId {
        let subscription = subscribers.subscription(u64::from(number)).expect("within the range");
        // Each UE has an address of its own, as in a network.
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + number)), 5060);
        let mut config = profile.ue(&subscription, profile.pcscf.listen[0], local, Epoch::SIMULATION);
        config.refresh = false;
        config.subscribe = true;
        if number % 2 == 1 {
            config.sec_agree = SecAgreePolicy::Off;
        }
        self.ims.add(Ue::new(config, random)).expect("an address of its own")
    }

    fn run_until<W: Write>(&mut self, at: Instant, file: &mut File<W>) -> io::Result<()> {
        while let Some(due) = self.ims.next_timeout().filter(|due| *due <= at) {
            self.call(due, file, |ims, now, out, tap| ims.handle_timeout(now, out, tap));
            file.write_until(due)?;
        }
        file.write_until(at)
    }

    /// One call, and the answers of the plane that it asks for.
    fn call<W: Write>(
        &mut self,
        now: Instant,
        file: &mut File<W>,
        call: impl FnOnce(&mut Ims, Instant, &mut Outward, &mut dyn Tap),
    ) {
        file.waiting.offset = Duration::ZERO;
        call(&mut self.ims, now, &mut self.out, &mut file.waiting);
        loop {
            let sets: Vec<(ElementId, Box<SaSet>)> = {
                let (effects, _) = self.out.drain();
                effects
                    .filter_map(|(owner, effect)| match effect {
                        Effect::InstallSa(set) => Some((owner, set)),
                        _ => None,
                    })
                    .collect()
            };
            self.out.clear();
            if sets.is_empty() {
                return;
            }
            for (owner, set) in sets {
                file.wires.install(&set);
                self.ims.sa_installed(now, owner, set.id, &mut self.out, &mut file.waiting);
            }
        }
    }
}

/// The capture.
struct File<W> {
    out: W,
    counts: Counts,
    waiting: Waiting,
    wires: Wires,
}

/// What was sent, by its time, until it is known that nothing comes before it.
#[derive(Default)]
struct Waiting {
    hops: BTreeMap<(Instant, u64), Hop>,
    number: u64,
    /// Within one call everything happens at once; on the wire it takes time.
    offset: Duration,
    /// Messages that are still to be sent again.
    owed: u32,
}

impl Tap for Waiting {
    fn packet(&mut self, now: Instant, packet: &Packet<'_>) {
        let Packet { bytes, protocol, transport, from, to, sa } = *packet;
        self.offset += HOP;
        let at = now + self.offset;
        let hop = Hop { at, from, to, transport, protocol, sa, bytes: bytes.to_vec() };
        self.number += 1;
        if protocol == Protocol::Sip {
            self.owed += AGAIN;
        }
        // The network repeats what a stream loses by itself.
        if transport == Transport::Udp && protocol == Protocol::Sip && self.owed >= 1_000 {
            self.owed -= 1_000;
            let at = at + T1;
            self.hops.insert((at, self.number | AGAIN_BIT), Hop { at, ..hop.clone() });
        }
        self.hops.insert((at, self.number), hop);
    }

    fn event(&mut self, _: Instant, _: &Event) {}

    fn wants_events(&self) -> bool {
        false
    }
}

impl<W: Write> File<W> {
    /// pcap, little-endian, raw IP.
    fn head(&mut self) -> io::Result<()> {
        let words: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 101];
        self.counts.octets += 24;
        words.iter().try_for_each(|word| self.out.write_all(&word.to_le_bytes()))
    }

    /// Writes what was sent before `at`.
    fn write_until(&mut self, at: Instant) -> io::Result<()> {
        while let Some(entry) = self.waiting.hops.first_entry().filter(|entry| entry.key().0 < at) {
            let (key, hop) = entry.remove_entry();
            match hop.protocol {
                Protocol::Sip => self.counts.sip += 1,
                Protocol::Diameter => self.counts.diameter += 1,
            }
            self.counts.again += u64::from(key.1 & AGAIN_BIT != 0);
            self.counts.sealed += u64::from(hop.sa.is_some());
            for packet in self.wires.packets(&hop) {
                self.record(hop.at, &packet)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, at: Instant, packet: &[u8]) -> io::Result<()> {
        let micros = at.as_micros();
        let len = u32::try_from(packet.len()).expect("a packet");
        let seconds = u32::try_from(START + micros / 1_000_000).expect("before 2106");
        let rest = u32::try_from(micros % 1_000_000).expect("below a million");
        for word in [seconds, rest, len, len] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.counts.octets += 16 + packet.len() as u64;
        self.out.write_all(packet)
    }
}

const KEPT: usize = 6;

/// What makes packets of messages.
struct Wires {
    ues: HashMap<IpAddr, Engine>,
    pcscf: Engine,
    /// The sets of each UE at either end, the oldest first.
    sets: HashMap<(IpAddr, bool), VecDeque<SaSetId>>,
    /// The next octet of each direction.
    streams: HashMap<(SocketAddr, SocketAddr), u32>,
    next_stream: u32,
    identification: u16,
}

impl Wires {
    fn new(generation: u32) -> Self {
        Self {
            ues: HashMap::new(),
            pcscf: Engine::new(Random::seeded(SEED)),
            sets: HashMap::new(),
            streams: HashMap::new(),
            next_stream: generation << 10,
            identification: 0,
        }
    }

    fn install(&mut self, set: &SaSet) {
        let engine = if set.at_ue {
            self.ues.entry(set.ue_address).or_insert_with(|| Engine::new(Random::seeded(SEED + 1)))
        } else {
            &mut self.pcscf
        };
        engine.install(set).expect("elements choose SPIs that are free");
        // An identity has three sets at most; what was sent over one of them may still wait to be written.
        let sets = self.sets.entry((set.ue_address, set.at_ue)).or_default();
        sets.push_back(set.id);
        if sets.len() > KEPT
            && let Some(oldest) = sets.pop_front()
        {
            engine.remove(oldest);
        }
    }

    fn packets(&mut self, hop: &Hop) -> Vec<Vec<u8>> {
        let (from, to) = (hop.from, hop.to);
        match hop.transport {
            Transport::Udp => {
                let mut datagram = Vec::new();
                write_udp(&mut datagram, from, to, &hop.bytes);
                vec![self.packet(hop, (from, to), Upper::Udp, &datagram)]
            }
            Transport::Tcp | Transport::Tls | Transport::Sctp => {
                let mut packets = Vec::new();
                if !self.streams.contains_key(&(from, to)) {
                    // No two connections begin alike.
                    self.next_stream = self.next_stream.wrapping_add(1 << 20);
                    self.streams.insert((from, to), self.next_stream);
                    self.streams.insert((to, from), self.next_stream);
                    packets.push(self.segment(hop, (from, to), SYN, &[]));
                    packets.push(self.segment(hop, (to, from), SYN | ACK, &[]));
                    packets.push(self.segment(hop, (from, to), ACK, &[]));
                }
                for part in hop.bytes.chunks(MAXIMUM_SEGMENT) {
                    packets.push(self.segment(hop, (from, to), PSH | ACK, part));
                }
                packets
            }
        }
    }

    fn segment(&mut self, hop: &Hop, (from, to): (SocketAddr, SocketAddr), flags: u8, data: &[u8]) -> Vec<u8> {
        let acknowledged = if flags & ACK != 0 { self.streams[&(to, from)] } else { 0 };
        let next = self.streams.get_mut(&(from, to)).expect("opened before");
        let fields = TcpFields { sequence: *next, acknowledged, flags };
        let len = u32::try_from(data.len()).expect("a segment") + u32::from(flags & SYN != 0);
        *next = next.wrapping_add(len);
        let mut segment = Vec::new();
        write_tcp(&mut segment, from, to, fields, data);
        self.packet(hop, (from, to), Upper::Tcp, &segment)
    }

    /// A packet of what carries `hop`, in one direction or the other.
    fn packet(&mut self, hop: &Hop, ends: (SocketAddr, SocketAddr), upper: Upper, octets: &[u8]) -> Vec<u8> {
        let (source, destination) = (ends.0.ip(), ends.1.ip());
        let mut packet = Vec::new();
        if hop.sa.is_some() {
            let engine = self.ues.get_mut(&source).unwrap_or(&mut self.pcscf);
            let mut esp = Vec::new();
            let segment = Segment { source, destination, upper, octets };
            let sealed = engine.seal(&segment, &mut esp).expect("a set between these ends");
            ip::write(&mut packet, sealed.source, sealed.destination, ip::ESP, &esp);
        } else {
            let number = if upper == Upper::Udp { ip::UDP } else { ip::TCP };
            let begun = ip::begin(&mut packet, source, destination, number);
            packet.extend_from_slice(octets);
            begun.finish(&mut packet);
        }
        self.identification = self.identification.wrapping_add(1);
        packet[4..6].copy_from_slice(&self.identification.to_be_bytes());
        packet
    }
}

fn lab(count: u32) -> (Profile, Subscribers) {
    let profile = load_profile("lab", &[]).expect("the lab profile is sound");
    let yaml = format!(
        "subscribers:\n  - {{imsi: \"001010000001000\", range: {count}, k: \"4b{{imsi}}\", op: 30313233343536373839616263646566, \
         msisdn: \"+99900000000\"}}\n"
    );
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("traces-{}.yaml", std::process::id()));
    fs::write(&file, yaml).expect("target/ is writable");
    let subscribers = load_subscribers(&file, &profile).expect("the subscribers are sound");
    fs::remove_file(&file).expect("just written");
    (profile, subscribers)
}

const SEED: u64 = 50_000;
/// Between two UEs: lives of many overlap.
const PACE: Duration = Duration::from_millis(20);
/// From one element to the next.
const HOP: Duration = Duration::from_millis(1);
const REFRESH: Duration = Duration::from_secs(300);
/// After this time a message without answer is sent again (RFC 3261 clause 17.1.1.1).
const T1: Duration = Duration::from_millis(500);
/// Of a thousand SIP messages.
const AGAIN: u32 = 20;
const AGAIN_BIT: u64 = 1 << 63;
/// Seconds of the calendar at the beginning.
const START: u64 = 1_790_000_000;
const MAXIMUM_SEGMENT: usize = 1_340;
