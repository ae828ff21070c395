//! `imsreg profile`: what it makes of a trace is configuration, and the loop closes: elements that run with it say what was
//! recorded.
#![cfg(feature = "live")]

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use common::{Recorder, run};
use imsreg::config::{
    Action, Elements, Scenario, Setting, Step, embedded_devices, load_device, load_profile, load_subscribers,
};
use imsreg::derive::{self, Parts};
use imsreg::packet::Protocol;
use imsreg::random::Random;
use imsreg::time::{Duration, Epoch};
use imsreg::trace::story::{Group, Limits, Registration, Story};
use imsreg::trace::{Options, Sighting};
use scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BOTH: Parts = Parts { network: true, device: true };
const NETWORK: Parts = Parts { network: true, device: false };
const DEVICE: Parts = Parts { network: false, device: true };

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One UE registers, registers anew, and leaves.
fn scenario(profile: &str, hss_data: &str, settings: &[(&str, &str)]) -> Scenario {
    let step = |seconds, action| Step { at: Duration::from_secs(seconds), ue: Some(0), action, to: None };
    Scenario {
        seed: 11,
        profile: profile.to_owned(),
        settings: settings.iter().map(|(key, value)| Setting::new("set", key, *value)).collect(),
        hss_data: hss_data.into(),
        ues: 1,
        application_server: false,
        esp: false,
        nat: None,
        steps: vec![step(0, Action::Register), step(30, Action::Reregister), step(60, Action::Deregister)],
        faults: Vec::new(),
        until: Duration::from_secs(70),
    }
}

fn groups_of(tap: &Recorder) -> Vec<Group> {
    let mut story = Story::new(Limits::default());
    for (number, hop) in (1..).zip(tap.capture.hops()) {
        story.see(Sighting::of_hop(number, hop));
    }
    story.finish();
    std::iter::from_fn(|| story.next()).collect()
}

fn groups_in(path: &Path) -> Vec<Group> {
    let Ok(file) = fs::File::open(path) else { panic!("{} cannot be opened", path.display()) };
    let mut story = Story::new(Limits::default());
    let Ok(trace) = imsreg::trace::open(file, Options::default()) else { return Vec::new() };
    trace.map_while(Result::ok).for_each(|sighting| story.see(sighting));
    story.finish();
    std::iter::from_fn(|| story.next()).collect()
}

fn derived(groups: &[Group], parts: Parts) -> String {
    derive::profile(&Registration::of(&groups[0]), parts, "a test").unwrap_or_else(|nothing| panic!("{nothing}"))
}

/// What UE and P-CSCF say to each other.
fn gm(tap: &Recorder) -> Vec<String> {
    let ue = |address: std::net::SocketAddr| address.ip().to_string().starts_with("10.64.");
    let hops = tap.capture.hops().filter(|hop| hop.protocol == Protocol::Sip && (ue(hop.from) || ue(hop.to)));
    hops.map(|hop| String::from_utf8_lossy(&hop.bytes).into_owned()).collect()
}

#[track_caller]
fn assert_same(first: &[String], second: &[String], profile: &str, yaml: &str) {
    for (one, other) in first.iter().zip(second) {
        assert_eq!(one, other, "{profile}\n{yaml}");
    }
    assert_eq!(first.len(), second.len(), "{profile}\n{yaml}");
}

/// What is derived from a run of a profile makes the next run the same, octet for octet: nothing that the network or the
/// UE draws by lot is drawn otherwise.
#[test]
fn a_simulation_derived_from_a_simulation_is_the_same() {
    let scratch = Scratch::new("derive-loop");
    for (profile, hss_data, settings) in [
        ("lab", "lab", &[][..]),
        ("volte", "lab", &[][..]),
        (
            "huawei-460-60",
            "lab",
            &[("realm", "ims.mnc001.mcc001.3gppnetwork.org"), ("pcscf.listen", "127.0.0.1:5060")][..],
        ),
        ("plain-digest", "plain-digest", &[][..]),
        ("gb28181", "gb28181", &[][..]),
        ("hikvision", "gb28181", &[][..]),
        (
            "volte",
            "lab",
            &[("scscf.challenge", "never"), ("pcscf.q", "[1, 0.7, 0.35, 0]"), ("scscf.max_subscription", "900s")][..],
        ),
        ("volte", "lab", &[("ue.keep_alive", "negotiated"), ("pcscf.keep_alive", "30s"), ("ue.gruu", "true")][..]),
        (
            "volte",
            "lab",
            &[("ue.contact_user", "x1"), ("ue.contact_parameters", ";transport=udp"), ("scscf.qop", "none")][..],
        ),
    ] {
        let hss_data = in_repository(&format!("hss-data/{hss_data}.yaml")).display().to_string();
        let first = run(&scenario(profile, &hss_data, settings));
        let groups = groups_of(&first.world().tap);
        let said = gm(&first.world().tap);
        assert!(said.iter().any(|text| text.starts_with("SIP/2.0 200")), "{profile}: nobody is registered");
        let yaml = derived(&groups, BOTH);
        let path = scratch.file("again.yaml", &yaml).display().to_string();
        let second = run(&scenario(&path, &hss_data, &[]));
        assert_same(&said, &gm(&second.world().tap), profile, &yaml);
        // What it says of itself is what was said of it.
        assert_eq!(derived(&groups_of(&second.world().tap), BOTH), yaml, "{profile}");
    }
}

/// The device of the operator trace in our network: it writes as it was recorded, and what is derived from that is the same.
#[test]
fn a_device_of_another_make_writes_as_it_was_recorded() {
    let seeds = ["ims-01-register", "ims-02-401", "ims-03-register-auth", "ims-04-200"];
    let texts = seeds.map(|name| fs::read_to_string(in_repository(&format!("tests/data/seeds/{name}.sip"))).unwrap());
    let scratch = Scratch::new("derive-device");
    let trace = scratch.file("ims.txt", &texts.join("\n\n"));
    let device = derived(&groups_in(&trace), DEVICE);
    let with = |device: &str| format!("extends: lab\n{device}");
    let profile = scratch.file("phone.yaml", &with(&device)).display().to_string();
    let hss_data = in_repository("hss-data/lab.yaml").display().to_string();
    // As the recorded network.
    let settings = [("scscf.qop", "none")];
    let first = run(&scenario(&profile, &hss_data, &settings));
    let said = gm(&first.world().tap);
    let registers: Vec<&String> = said.iter().filter(|text| text.starts_with("REGISTER")).collect();
    for (ours, recorded) in [(registers[0], &texts[0]), (registers[1], &texts[2])] {
        let names = |text: &str| -> Vec<String> {
            text.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
        };
        assert_eq!(names(ours), names(recorded));
        for name in ["Supported", "Allow", "P-Access-Network-Info", "User-Agent", "Expires", "Max-Forwards"] {
            let line = |text: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            assert_eq!(line(ours), line(recorded));
        }
        let parameters = |text: &str, name: &str| -> Vec<String> {
            let value = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.split([',', ';']).map(|part| part.split('=').next().unwrap().to_owned()).collect()
        };
        for name in ["Authorization: ", "Security-Client: ", "Contact: <sip:"] {
            let (ours, recorded) = (parameters(ours, name), parameters(recorded, name));
            assert_eq!(ours[1..], recorded[1..], "{name}");
        }
    }
    assert!(said.iter().any(|text| text.starts_with("SIP/2.0 200")), "our network takes it as it is");
    let again = derived(&groups_of(&first.world().tap), DEVICE);
    let profile = scratch.file("phone.yaml", &with(&again)).display().to_string();
    assert_same(&said, &gm(&run(&scenario(&profile, &hss_data, &settings)).world().tap), "the device", &again);
}

/// The devices that are shipped register, and the loop closes for each.
#[test]
fn every_device_that_is_shipped_registers() {
    let scratch = Scratch::new("derive-shipped");
    let mut devices: Vec<&str> = embedded_devices().collect();
    devices.sort_unstable();
    assert_eq!(devices, ["android", "doubango", "exosip", "huawei", "samsung"]);
    for device in devices {
        let (network, hss_data) = if device == "exosip" { ("plain-digest", "plain-digest") } else { ("lab", "lab") };
        let own = fs::read_to_string(in_repository(&format!("profiles/ue/{device}.yaml"))).unwrap();
        let profile = scratch.file("phone.yaml", &format!("extends: {network}\n{own}")).display().to_string();
        assert!(load_device(network, Some(device), &[]).is_ok(), "{device} by its name");
        let hss_data = in_repository(&format!("hss-data/{hss_data}.yaml")).display().to_string();
        let first = run(&scenario(&profile, &hss_data, &[]));
        let said = gm(&first.world().tap);
        assert!(said.iter().any(|text| text.starts_with("SIP/2.0 200")), "{device}: {}", first.world().tap.trace());
        let yaml = derived(&groups_of(&first.world().tap), BOTH);
        let again = scratch.file("again.yaml", &yaml).display().to_string();
        assert_same(&said, &gm(&run(&scenario(&again, &hss_data, &[])).world().tap), device, &yaml);
    }
}

/// From a trace to a core that does the same, as people do it.
#[test]
fn three_commands_close_the_loop() {
    let scratch = Scratch::new("derive-commands");
    let imsreg = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_imsreg")).args(args).output().expect("the binary that cargo built");
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (output.status.code(), String::from_utf8(text).expect("UTF-8"))
    };
    let path = |name: &str| scratch.0.join(name).display().to_string();
    let (net, subscriber) = (path("net.yaml"), path("subscriber.yaml"));
    for (system, parts) in [
        ("ims", &["ims-01-register", "ims-02-401", "ims-03-register-auth", "ims-04-200"][..]),
        ("gb28181", &["gb28181-01-register", "gb28181-02-401", "gb28181-03-register-auth", "gb28181-04-200"][..]),
        (
            "hikvision",
            &["hikvision-01-register", "hikvision-02-401", "hikvision-03-register-auth", "hikvision-04-200"][..],
        ),
        ("biloxi", &["biloxi-01-register", "biloxi-02-200"][..]),
    ] {
        let seed = |name: &&str| fs::read_to_string(in_repository(&format!("tests/data/seeds/{name}.sip"))).unwrap();
        let texts: Vec<String> = parts.iter().map(seed).collect();
        let trace = scratch.file(system, &texts.join("\n\n")).display().to_string();
        let written = imsreg(&["profile", &trace, "-o", &net, "--hss-data-out", &subscriber]);
        assert_eq!(written, (Some(0), String::new()), "{system}");
        let (status, report) =
            imsreg(&["replay", &trace, "--against", "core", "--profile", &net, "--hss-data", &subscriber]);
        assert!(report.contains("no difference that matters"), "{system}: {report}");
        assert_eq!(status, Some(0), "{system}: {report}");
    }
    let trace = path("ims");
    let (status, yaml) = imsreg(&["profile", &trace, "--device"]);
    assert!(status == Some(0) && yaml.contains("\nue:\n") && !yaml.contains("\npcscf:\n"), "{yaml}");
    let (status, json) = imsreg(&["profile", &trace, "--json"]);
    assert!(
        status == Some(0) && json.starts_with("{\"registration\":1") && json.contains("\"hss_data\":\"#"),
        "{json}"
    );
    let (status, why) = imsreg(&["profile", &trace, "--registration", "7"]);
    assert!(status == Some(2) && why.ends_with("there is no registration 7\n"), "{why}");
    let call = scratch
        .file("call", "MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP c;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n");
    let (status, why) = imsreg(&["profile", call.to_str().unwrap()]);
    assert!(status == Some(2) && why.contains("no registration in"), "{why}");
}

/// Whatever was recorded: there is no fault, and what is written is configuration.
#[test]
fn everything_that_was_recorded_gives_configuration() {
    let scratch = Scratch::new("derive-corpus");
    let mut files = Vec::new();
    for entry in fs::read_dir(in_repository("tests/data/seeds")).unwrap().flatten() {
        files.push(entry.path());
    }
    let shared = std::env::var_os("IMSREG_SHARED").map_or_else(|| in_repository("../shared"), PathBuf::from);
    for folder in ["corpus/pcap", "corpus/dumps", "corpus/ims"] {
        files.extend(fs::read_dir(shared.join(folder)).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    let mut loaded = 0;
    for file in files {
        for group in groups_in(&file) {
            let registration = Registration::of(&group);
            if registration.id().is_none() {
                continue;
            }
            let sound = |yaml: &str, faults: Option<String>| {
                assert_eq!(faults, None, "{}\n{yaml}", file.display());
            };
            if let Ok(yaml) = derive::profile(&registration, NETWORK, "x") {
                let path = scratch.file("net.yaml", &yaml);
                let profile = load_profile(path.to_str().unwrap(), &[]);
                sound(&yaml, profile.as_ref().err().map(ToString::to_string));
                let profile = profile.unwrap();
                sound(&yaml, profile.pcscf(Elements::ALL).err().map(|faults| faults.to_string()));
                let scscf = profile.scscf(Elements::ALL, Epoch::SIMULATION);
                sound(&yaml, scscf.err().map(|faults| faults.to_string()));
                let subscribers = derive::subscribers(&registration, "x").unwrap();
                let path = scratch.file("subscribers.yaml", &subscribers);
                let faults = load_subscribers(&path, &profile).err().map(|faults| faults.to_string());
                sound(&subscribers, faults);
                loaded += 1;
            }
            if let Ok(yaml) = derive::profile(&registration, DEVICE, "x") {
                let path = scratch.file("phone.yaml", &yaml);
                let device = load_device("volte", path.to_str(), &[]);
                sound(&yaml, device.err().map(|faults| faults.to_string()));
                loaded += 1;
            }
        }
    }
    assert!(loaded >= 20, "{loaded}");
}

/// Those that mean something to YAML or to SIP, and others.
const OCTETS: &[u8] = b"\"'#{}:;,<>@=%*- \t\\|&![]?\x01\xc3a0";

/// A recording with octets changed is one all the same: what is written of it is still configuration.
#[test]
fn changed_octets_do_no_harm() {
    let scratch = Scratch::new("derive-changed");
    let mut random = Random::seeded(6);
    let mut loaded = 0;
    for parts in [
        ["ims-01-register", "ims-02-401", "ims-03-register-auth", "ims-04-200"],
        ["gb28181-01-register", "gb28181-02-401", "gb28181-03-register-auth", "gb28181-04-200"],
        ["hikvision-01-register", "hikvision-02-401", "hikvision-03-register-auth", "hikvision-04-200"],
    ] {
        let seed = |name: &str| fs::read_to_string(in_repository(&format!("tests/data/seeds/{name}.sip"))).unwrap();
        let whole = parts.map(seed).join("\n\n").into_bytes();
        for _ in 0..60 {
            let mut text = whole.clone();
            for _ in 0..3 {
                let at = random.below(u32::try_from(text.len()).unwrap()) as usize;
                text[at] = OCTETS[random.below(u32::try_from(OCTETS.len()).unwrap()) as usize];
            }
            let shown = String::from_utf8_lossy(&text).into_owned();
            let path = scratch.0.join("trace");
            fs::write(&path, &text).unwrap();
            for group in groups_in(&path) {
                let registration = Registration::of(&group);
                let sound = |yaml: &str, faults: Option<String>| assert_eq!(faults, None, "{shown}\n{yaml}");
                if let Ok(yaml) = derive::profile(&registration, BOTH, "x") {
                    let realm = if yaml.contains("\nrealm: ") { "" } else { "realm: x.example\n" };
                    let whole = format!("{realm}{yaml}");
                    let path = scratch.file("net.yaml", &whole);
                    let profile = load_profile(path.to_str().unwrap(), &[]);
                    sound(&yaml, profile.as_ref().err().map(ToString::to_string));
                    let subscribers = derive::subscribers(&registration, "x").unwrap_or_default();
                    let path = scratch.file("subscribers.yaml", &subscribers);
                    let faults = load_subscribers(&path, &profile.unwrap()).err().map(|faults| faults.to_string());
                    sound(&subscribers, faults.filter(|_| !subscribers.is_empty()));
                    loaded += 1;
                }
            }
        }
    }
    assert!(loaded > 120, "{loaded}");
}

/// The keys of a challenge go to the P-CSCF alone: a trace that shows them on Gm does not make a profile that does.
#[test]
fn no_key_of_a_trace_is_written() {
    let challenge = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK1\r\nCSeq: 1 REGISTER\r\n\
        From: <sip:u@ims.example>;tag=1\r\nTo: <sip:u@ims.example>;tag=2\r\nCall-ID: c\r\n\
        WWW-Authenticate: Digest ck=\"00112233445566778899aabbccddeeff\",realm=\"ims.example\", \
        nonce=\"bm9uY2U=\", ik=\"ffeeddccbbaa99887766554433221100\", algorithm=AKAv1-MD5\r\nContent-Length: 0\r\n\r\n";
    let scratch = Scratch::new("derive-keys");
    let groups = groups_in(&scratch.file("keys.txt", challenge));
    let yaml = derived(&groups, NETWORK);
    assert!(yaml.contains("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, {*}"), "{yaml}");
    assert!(!yaml.contains("00112233") && !yaml.contains("ffeedd"), "{yaml}");
}

/// A device is a UE: a file with more is refused.
#[test]
fn a_device_profile_says_nothing_of_the_network() {
    let scratch = Scratch::new("derive-keys-of-a-device");
    let path = scratch.file("phone.yaml", "realm: x.example\nue: {expires: 60s}\n");
    let faults = load_device("volte", path.to_str(), &[]).unwrap_err().to_string();
    assert!(faults.ends_with("realm: found in a device profile, one of extends, timers, ue expected"), "{faults}");
    let sound = scratch.file("phone.yaml", "ue: {expires: 60s}\n");
    assert_eq!(load_device("volte", sound.to_str(), &[]).unwrap().ue.expires, Duration::from_secs(60));
}
