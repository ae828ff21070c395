//! ESP on bytes on one core, beside `openssl speed` in the same run, and what it adds to one registration:
//! `cargo bench --bench esp`.

use imsreg::aka::{Ck, Ik};
use imsreg::config::{Elements, load_profile, load_subscribers};
use imsreg::event::Event;
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::identity::Spi;
use imsreg::ims::{Ims, Outward, Tap};
use imsreg::ip::Upper;
use imsreg::ip::transport::{Segment, TcpFields, write_tcp, write_udp};
use imsreg::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity, Mode, SaSet, SaSetId};
use imsreg::ipsec::esp::Engine;
use imsreg::packet::{Packet, Transport};
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use std::hint::black_box;
use std::net::SocketAddr;
use std::process::Command;

fn main() {
    for (name, algorithms, peers) in CASES {
        let [seal, open] = one(algorithms);
        println!("ESP {name}, {DATA} octets: {seal:6.0} ns to seal, {open:6.0} ns to open");
        if peers.is_empty() {
            continue;
        }
        let Some(openssl) = peers.iter().map(|peer| speed(peer)).sum::<Option<f64>>() else {
            println!("not run: openssl speed");
            continue;
        };
        println!("openssl speed, the algorithms of {name}, {BLOCKS} octets, encrypting: {openssl:6.0} ns");
        println!("ESP {name} seal against openssl: {:.2}", seal / openssl);
    }
    registration();
}

/// Sealing and opening one datagram, each alone.
fn one(algorithms: Algorithms) -> [f64; 2] {
    let mut ends = Ends::new(algorithms);
    let set = Ends::set(algorithms);
    let (from, to) = ((set.ue_address, set.ue.port_c).into(), (set.pcscf_address, set.pcscf.port_s).into());
    let mut datagram = Vec::new();
    write_udp(&mut datagram, from, to, &[b'x'; DATA]);
    let segment =
        Segment { source: set.ue_address, destination: set.pcscf_address, upper: Upper::Udp, octets: &datagram };
    let (mut best, mut packets) = ([f64::INFINITY; 2], vec![Vec::new(); ROUNDS]);
    let mut out = Vec::with_capacity(2_000);
    for _ in 0..500 {
        let seal = seconds(|| {
            for packet in &mut packets {
                packet.clear();
                ends.ue.seal(black_box(&segment), packet).expect("an SA between these ends");
            }
        });
        let open = seconds(|| {
            for packet in &packets {
                out.clear();
                let carrier = imsreg::ipsec::esp::Carrier::Ip;
                let opened = ends.pcscf.open(set.ue_address, set.pcscf_address, carrier, black_box(packet), &mut out);
                black_box(opened.expect("it was sealed by the other end"));
            }
        });
        best = [best[0].min(seal), best[1].min(open)];
    }
    best.map(|seconds| seconds / ROUNDS as f64 * 1e9)
}

/// The messages of one registration that go over its SAs: a set made at both ends, every packet sealed and opened, and the
/// set removed again. Each end is counted by itself.
fn registration() {
    let messages = protected_messages();
    let octets: usize = messages.iter().map(|(.., bytes)| bytes.len()).sum();
    println!("one registration of profile lab: {} protected messages, {octets} octets", messages.len());
    for (name, algorithms, _) in CASES {
        let mut ends = Ends::new(algorithms);
        let pcscf_set = Ends::set(algorithms);
        let ue_set = SaSet { at_ue: true, ..pcscf_set.clone() };
        let segments: Vec<(bool, Upper, Vec<u8>)> =
            messages.iter().flat_map(|(from_ue, upper, bytes)| segments(&ue_set, *from_ue, *upper, bytes)).collect();
        let (mut esp, mut out) = (Vec::with_capacity(4_000), Vec::with_capacity(4_000));
        // What each end spends: seconds at the UE, seconds at the P-CSCF.
        let mut once = |spent: &mut [f64; 2]| {
            spent[0] += seconds(|| {
                ends.ue.remove(ue_set.id);
                ends.ue.install(&ue_set).expect("no other set is there");
            });
            spent[1] += seconds(|| {
                ends.pcscf.remove(pcscf_set.id);
                ends.pcscf.install(&pcscf_set).expect("no other set is there");
            });
            for (from_ue, upper, octets) in &segments {
                let (mut source, mut destination) = (ue_set.ue_address, ue_set.pcscf_address);
                let (mut sender, mut receiver) = (&mut ends.ue, &mut ends.pcscf);
                if !from_ue {
                    (source, destination) = (destination, source);
                    (sender, receiver) = (receiver, sender);
                }
                esp.clear();
                out.clear();
                let segment = Segment { source, destination, upper: *upper, octets };
                let mut sealed = None;
                spent[usize::from(!from_ue)] += seconds(|| sealed = sender.seal(&segment, &mut esp).ok());
                let sealed = sealed.expect("an SA between these ends");
                spent[usize::from(*from_ue)] += seconds(|| {
                    let opened = receiver.open(sealed.source, sealed.destination, sealed.carrier, &esp, &mut out);
                    assert_eq!(opened.expect("it was sealed by the other end").segment.len(), octets.len());
                });
            }
        };
        let mut best = [f64::INFINITY; 2];
        for _ in 0..400 {
            let mut spent = [0.0; 2];
            (0..10).for_each(|_| once(&mut spent));
            best = [best[0].min(spent[0]), best[1].min(spent[1])];
        }
        let [ue, pcscf] = best.map(|seconds| seconds / 10.0 * 1e6);
        // A registration is measured without its UE (docs/performance.md).
        println!("ESP {name} on bytes adds to it: {pcscf:5.2} us at the P-CSCF (goal 10), {ue:5.2} us at the UE");
    }
}

/// What goes over SAs when one UE registers: whether the UE sent it, what carried it, the message.
fn protected_messages() -> Vec<(bool, Upper, Vec<u8>)> {
    struct Protected(Vec<(SocketAddr, Upper, Vec<u8>)>);
    impl Tap for Protected {
        fn packet(&mut self, _: Instant, packet: &Packet<'_>) {
            if packet.sa.is_some() {
                let upper = if packet.transport == Transport::Udp { Upper::Udp } else { Upper::Tcp };
                self.0.push((packet.from, upper, packet.bytes.to_vec()));
            }
        }
        fn event(&mut self, _: Instant, _: &Event) {}
    }
    let profile = load_profile("lab", &[]).expect("a profile that is built in");
    let subscribers = load_subscribers("hss-data/lab.yaml".as_ref(), &profile).expect("a file of the repository");
    let subscription = subscribers.subscription(0).expect("a subscriber whose keys are known");
    let (all, epoch, mut random) = (Elements::ALL, Epoch::SIMULATION, Random::seeded(7));
    let mut ims = Ims::new(profile.wiring);
    let good = "a profile that is built in";
    ims.add(Hss::new(profile.hss(epoch).expect(good), subscribers.store, random.fork())).expect(good);
    ims.add(Scscf::new(profile.scscf(all, epoch).expect(good), random.fork())).expect(good);
    ims.add(Icscf::new(profile.icscf(all, epoch).expect(good), random.fork())).expect(good);
    ims.add(Pcscf::new(profile.pcscf(all).expect(good), random.fork())).expect(good);
    let config = profile.ue(&subscription, profile.pcscf.listen[0], profile.ue.address, epoch);
    let address = config.local.ip();
    let ue = ims.add(Ue::new(config, random.fork())).expect(good);
    let (mut out, mut tap) = (Outward::new(), Protected(Vec::new()));
    ims.start(Instant::ZERO, &mut out, &mut tap);
    ims.command(ue, Instant::ZERO, &mut out, &mut tap, |element, out| {
        element.as_ue_mut().expect("it was added as a UE").register(Instant::ZERO, out);
    });
    let mut now = Instant::ZERO;
    while ims.element(ue).as_ue().map(Ue::status) != Some(UeStatus::Registered) {
        now += Duration::from_millis(1);
        ims.handle_timeout(now, &mut out, &mut tap);
    }
    tap.0.into_iter().map(|(from, upper, bytes)| (from.ip() == address, upper, bytes)).collect()
}

/// As datagrams, or as segments of at most 1,340 octets; SA 1 and SA 2 over UDP, SA 1 and SA 3 over TCP.
fn segments(set: &SaSet, from_ue: bool, upper: Upper, bytes: &[u8]) -> Vec<(bool, Upper, Vec<u8>)> {
    let at_ue = |port| SocketAddr::new(set.ue_address, port);
    let at_pcscf = |port| SocketAddr::new(set.pcscf_address, port);
    let (from, to) = match (from_ue, upper) {
        (true, _) => (at_ue(set.ue.port_c), at_pcscf(set.pcscf.port_s)),
        (false, Upper::Udp) => (at_pcscf(set.pcscf.port_c), at_ue(set.ue.port_s)),
        (false, Upper::Tcp) => (at_pcscf(set.pcscf.port_s), at_ue(set.ue.port_c)),
    };
    let most = if upper == Upper::Udp { usize::MAX } else { 1_340 };
    let fields = TcpFields { sequence: 1, acknowledged: 1, flags: 0x18 };
    let write = |data: &[u8]| {
        let mut octets = Vec::new();
        match upper {
            Upper::Udp => write_udp(&mut octets, from, to, data),
            Upper::Tcp => write_tcp(&mut octets, from, to, fields, data),
        }
        (from_ue, upper, octets)
    };
    bytes.chunks(most.min(bytes.len())).map(write).collect()
}

/// Both ends of one set.
struct Ends {
    ue: Engine,
    pcscf: Engine,
}

impl Ends {
    fn new(algorithms: Algorithms) -> Self {
        let mut ends = Self { ue: Engine::new(Random::seeded(1)), pcscf: Engine::new(Random::seeded(2)) };
        ends.pcscf.install(&Self::set(algorithms)).expect("the first set");
        ends.ue.install(&SaSet { at_ue: true, ..Self::set(algorithms) }).expect("the first set");
        ends
    }

    fn set(algorithms: Algorithms) -> SaSet {
        SaSet {
            id: SaSetId(1),
            ue_address: "10.45.0.2".parse().expect("an address"),
            pcscf_address: "10.45.0.1".parse().expect("an address"),
            ue: Endpoint { spi_c: Spi(300), spi_s: Spi(301), port_c: 31_100, port_s: 31_800 },
            pcscf: Endpoint { spi_c: Spi(400), spi_s: Spi(401), port_c: 9_950, port_s: 9_900 },
            algorithms,
            mode: Mode::Transport,
            ck: Ck([1; 16]),
            ik: Ik([2; 16]),
            at_ue: false,
        }
    }
}

/// Nanoseconds that `openssl speed` takes for a block of [`BLOCKS`] octets.
fn speed(algorithm: &[&str]) -> Option<f64> {
    let output = Command::new("openssl")
        .args(["speed", "-mr", "-seconds", "1", "-bytes", BLOCKS])
        .args(algorithm)
        .output()
        .ok()?;
    // +F:number:name:octets a second
    let text = String::from_utf8_lossy(&output.stdout);
    let rate: f64 = text.lines().find(|line| line.starts_with("+F"))?.rsplit(':').next()?.parse().ok()?;
    Some(BLOCKS.parse::<f64>().ok()? / rate * 1e9)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn seconds(run: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// Of the datagram; with its header and the trailer of ESP [`BLOCKS`] octets are encrypted.
const DATA: usize = 1_100;
const BLOCKS: &str = "1120";
/// A fraction of a millisecond: some of the many batches meet no other process.
const ROUNDS: usize = 50;
/// Name, pair, what of openssl does the same.
const CASES: [(&str, Algorithms, &[&[&str]]); 5] = [
    (
        "aes-cbc and hmac-sha-1-96",
        Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc },
        &[&["-evp", "aes-128-cbc"], &["-hmac", "sha1"]],
    ),
    (
        "null and hmac-md5-96",
        Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null },
        &[&["-hmac", "md5"]],
    ),
    ("aes-gcm", Algorithms { integrity: Integrity::Null, encryption: Encryption::AesGcm }, &[&["-evp", "aes-128-gcm"]]),
    ("aes-gmac", Algorithms { integrity: Integrity::AesGmac, encryption: Encryption::Null }, &[]),
    (
        "des-ede3-cbc and hmac-sha-1-96",
        Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::DesEde3Cbc },
        &[&["-evp", "des-ede3-cbc"], &["-hmac", "sha1"]],
    ),
];
