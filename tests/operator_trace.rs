//! The operator trace of the seed documents: our core, with the profile of that network, answers the recorded UE with the
//! recorded 401 and 200.
//!
//! The UE is played from the file; of what it sends only Security-Verify is rewritten, to the SPIs and ports that our
//! P-CSCF has chosen. RAND and AUTN are the recorded ones, so the nonce is; XRES is unknown, so the S-CSCF compares the
//! response with the recorded text. Answers are compared header by header, parameter by parameter; [`ALLOWED`] lists what
//! may differ, and why.
#![cfg(feature = "live")]

mod common;
#[expect(dead_code, reason = "more is allowed to sessions")]
#[path = "common/facts.rs"]
mod facts;
#[path = "common/scratch.rs"]
mod scratch;

use common::{Recorder, address, name};
use facts::{Allowed, assert_all_used, assert_same, both_given, differences, in_repository, recorded};
use imsreg::config::{Elements, load_profile, load_subscribers};
use imsreg::derive::{self, Parts};
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::ims::{Ims, Outward, Wiring};
use imsreg::packet::{Effect, Packet, Protocol, Transport};
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::sip::{HeaderName, Message, Uri};
use imsreg::time::{Epoch, Instant};
use imsreg::trace::Options;
use imsreg::trace::story::{Group, Limits, Registration, Story};
use scratch::Scratch;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// What may differ between a recorded answer and ours, by header, element and parameter.
const ALLOWED: &[Allowed] = &[
    Allowed {
        at: "Via[0] host",
        holds: same_address,
        reason: "IPv6 spelling: the operator writes all zeros and upper case (RFC 4291), we leave Via as received",
    },
    Allowed {
        at: "Via[0] ;received",
        holds: only_ours_and_the_ue,
        reason: "RFC 3581 clause 4 wants received beside rport, the operator leaves it out",
    },
    Allowed {
        at: "Contact[0] URI",
        holds: same_uri,
        reason: "IPv6 spelling: the operator writes all zeros and upper case (RFC 4291), we write what the UE gave",
    },
    Allowed { at: "To[0] ;tag", holds: both_given, reason: "a tag is chosen anew by each UAS" },
    Allowed { at: "Security-Server[0] ;spi-c", holds: both_spis, reason: "SPIs are chosen anew for each set" },
    Allowed { at: "Security-Server[0] ;spi-s", holds: both_spis, reason: "SPIs are chosen anew for each set" },
];

/// The UE's addresses: the first REGISTER leaves port 5060, the second its protected client port, and answers to that
/// come to its protected server port.
const UE: &str = "[2001:683:890:1942:1::9e0b:baea]:5060";
const UE_PORT_C: &str = "[2001:683:890:1942:1::9e0b:baea]:31100";
const UE_PORT_S: &str = "[2001:683:890:1942:1::9e0b:baea]:31800";

#[test]
fn the_recorded_ue_gets_the_recorded_answers() {
    let mut trace = Trace::start();
    let mut used = BTreeSet::new();

    let challenge = trace.register(0, &recorded("seeds/ims-01-register.sip"), UE, trace.pcscf);
    assert_eq!((challenge.from, challenge.to), (trace.pcscf, address(UE)));
    assert_same(&recorded("seeds/ims-02-401.sip"), &challenge.text, ALLOWED, &mut used);

    let (port_c, port_s) = trace.protected_ports(&challenge.text);
    let answer = recorded("seeds/ims-03-register-auth.sip");
    let answer = with_security_verify(&answer, &security_server(&challenge.text));
    let registered = trace.register(40, &answer, UE_PORT_C, port_s);
    assert_eq!((registered.from, registered.to), (port_c, address(UE_PORT_S)));
    let recorded = with_the_missing_comma(&recorded("seeds/ims-04-200.sip"));
    assert_same(&recorded, &registered.text, ALLOWED, &mut used);

    assert_all_used(ALLOWED, &used);
}

/// The loop closes: what `imsreg profile` makes of the trace answers as the trace does, in its form as well.
#[test]
fn the_profile_derived_from_the_trace_answers_so_too() {
    let parts = ["ims-01-register", "ims-02-401", "ims-03-register-auth", "ims-04-200"];
    let messages = parts.map(|part| recorded(&format!("seeds/{part}.sip")));
    let groups = groups(&messages.join("\n\n"));
    let registration = Registration::of(&groups[0]);
    let both = Parts { network: true, device: true };
    let scratch = Scratch::new("operator-trace-derived");
    let profile = scratch.file("derived.yaml", &derive::profile(&registration, both, "ims").unwrap());
    let subscribers = scratch.file("subscribers.yaml", &derive::subscribers(&registration, "ims").unwrap());

    let mut trace = Trace::with(&profile, &subscribers);
    let mut used = BTreeSet::new();
    let [register, challenge, answer, accepted] = &messages;
    let challenged = trace.register(0, register, UE, trace.pcscf);
    assert_same(challenge, &challenged.text, ALLOWED, &mut used);
    assert_eq!(names_of(challenge), names_of(&challenged.text));
    let line = |text: &str, name: &str| text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert_eq!(line(challenge, "WWW-Authenticate"), line(&challenged.text, "WWW-Authenticate"));

    let (_, port_s) = trace.protected_ports(&challenged.text);
    let answer = with_security_verify(answer, &security_server(&challenged.text));
    let registered = trace.register(40, &answer, UE_PORT_C, port_s);
    let with_comma = with_the_missing_comma;
    assert_same(&with_comma(accepted), &with_comma(&registered.text), ALLOWED, &mut used);
    assert_eq!(names_of(accepted), names_of(&registered.text));
    assert_eq!(line(accepted, "P-Associated-URI"), line(&registered.text, "P-Associated-URI"), "without the comma");
    assert_all_used(ALLOWED, &used);
}

#[test]
fn another_response_is_refused() {
    let mut trace = Trace::start();
    let challenge = trace.register(0, &recorded("seeds/ims-01-register.sip"), UE, trace.pcscf);
    let (_, port_s) = trace.protected_ports(&challenge.text);
    let answer = with_security_verify(&recorded("seeds/ims-03-register-auth.sip"), &security_server(&challenge.text));
    let wrong = answer.replacen("01b656a14d1bc707", "01b656a14d1bc708", 1);
    assert_ne!(wrong, answer);
    assert_eq!(trace.register(40, &wrong, UE_PORT_C, port_s).name, "403 REGISTER");
}

#[test]
fn another_security_verify_is_refused() {
    let register = recorded("seeds/ims-03-register-auth.sip");
    for (from, to) in [(";ealg=aes-cbc", ";ealg=null"), (";port-s=9900", ";port-s=9901"), (";spi-c=", ";spi-c=1")] {
        let mut trace = Trace::start();
        let challenge = trace.register(0, &recorded("seeds/ims-01-register.sip"), UE, trace.pcscf);
        let (_, port_s) = trace.protected_ports(&challenge.text);
        let list = security_server(&challenge.text);
        let mangled = if from == ";spi-c=" { spoil_spi(&list) } else { list.replacen(from, to, 1) };
        assert_ne!(mangled, list);
        let answer = trace.register(40, &with_security_verify(&register, &mangled), UE_PORT_C, port_s);
        assert_eq!(answer.name, "494 REGISTER", "{mangled}");
    }
}

/// The recorded SPIs are those of another set.
#[test]
fn the_trace_as_it_was_recorded_is_refused() {
    let mut trace = Trace::start();
    let challenge = trace.register(0, &recorded("seeds/ims-01-register.sip"), UE, trace.pcscf);
    let (_, port_s) = trace.protected_ports(&challenge.text);
    let answer = trace.register(40, &recorded("seeds/ims-03-register-auth.sip"), UE_PORT_C, port_s);
    assert_eq!(answer.name, "494 REGISTER");
}

/// A comparison that finds nothing would be worth nothing.
#[test]
fn a_difference_that_is_not_listed_is_found() {
    let recorded = with_the_missing_comma(&recorded("seeds/ims-04-200.sip"));
    let changes = [
        ("Accept-Resource-Priority: wps.4\r\n", "", "accept-resource-priority[0]"),
        ("Content-Length: 0", "Server: x\r\nContent-Length: 0", "Server[0]"),
        (";expires=900", ";expires=901", "Contact[0] ;expires"),
        ("expires=900;", "", "Contact[0] ;expires"),
        (";+g.3gpp.smsip", "", "Contact[0] ;+g.3gpp.smsip"),
        (";audio", ";audio;video", "Contact[0] ;video"),
        ("BAEA]:31800>", "BAEB]:31800>", "Contact[0] URI"),
        (", <sip:+8613801049906@ims.huawei.com;user=phone>", "", "P-Associated-URI[1]"),
        (";user=phone", "", "P-Associated-URI[1] URI"),
        (";rport=31100", ";rport=31101", "Via[0] ;rport"),
        (";rport=31100", ";rport=31100;received=2001:683::9", "Via[0] ;received"),
        ("9E0B:BAEA]:31800;branch", "9E0B:BAEB]:31800;branch", "Via[0] host"),
        (";branch=z9hG4bKX5", ";branch=z9hG4bKX6", "Via[0] ;branch"),
        (";tag=gqj0iolo", "", "To[0] ;tag"),
        (";tag=W4fcb1D", ";tag=W4fcb1E", "From[0] ;tag"),
        ("CSeq: 2", "CSeq: 3", "CSeq[0]"),
        ("SIP/2.0 200 OK", "SIP/2.0 202 Accepted", "status"),
    ];
    for (from, to, at) in changes {
        let changed = recorded.replacen(from, to, 1);
        assert_ne!(changed, recorded, "{from} is not there");
        let found = differences(&recorded, &changed, ALLOWED, &mut BTreeSet::new());
        assert!(!found.is_empty() && found.iter().all(|difference| difference.starts_with(at)), "{from}: {found:?}");
    }
    assert_eq!(differences(&recorded, &recorded, ALLOWED, &mut BTreeSet::new()), Vec::<String>::new());
}

fn groups(text: &str) -> Vec<Group> {
    let mut story = Story::new(Limits::default());
    for sighting in imsreg::trace::open(text.as_bytes(), Options::default()).expect("a text with messages") {
        story.see(sighting.expect("readable"));
    }
    story.finish();
    std::iter::from_fn(|| story.next()).collect()
}

/// The names of the header lines, in order, as they are spelled.
fn names_of(text: &str) -> Vec<&str> {
    text.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0)).collect()
}

/// Our core, and a clock.
struct Trace {
    ims: Ims,
    tap: Recorder,
    pcscf: SocketAddr,
}

/// What the UE hears.
struct Heard {
    from: SocketAddr,
    to: SocketAddr,
    name: String,
    text: String,
}

impl Trace {
    fn start() -> Self {
        Self::with(&in_repository("profiles/huawei-460-60.yaml"), &in_repository("hss-data/huawei-460-60.yaml"))
    }

    fn with(profile: &Path, subscribers: &Path) -> Self {
        let profile = load_profile(&profile.display().to_string(), &[]).unwrap_or_else(|faults| panic!("{faults}"));
        let subscribers = load_subscribers(subscribers, &profile).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(profile.wiring, Wiring::Local);
        let (all, epoch) = (Elements::ALL, Epoch::SIMULATION);
        let mut random = Random::seeded(460);
        let mut ims = Ims::new(profile.wiring);
        let pcscf = profile.pcscf(all).expect("a whole profile");
        let listener = pcscf.listen.iter().copied().find(SocketAddr::is_ipv6).expect("a listener for IPv6");
        ims.add(Hss::new(profile.hss(epoch).expect("sound"), subscribers.store, random.fork()))
            .expect("free addresses");
        let scscf = profile.scscf(all, epoch).expect("a whole profile");
        ims.add(Scscf::new(scscf, random.fork())).expect("free addresses");
        let icscf = profile.icscf(all, epoch).expect("a whole profile");
        ims.add(Icscf::new(icscf, random.fork())).expect("free addresses");
        ims.add(Pcscf::new(pcscf, random.fork())).expect("free addresses");
        let mut this = Self { ims, tap: Recorder::default(), pcscf: listener };
        let mut out = Outward::new();
        this.ims.start(Instant::ZERO, &mut out, &mut this.tap);
        assert!(out.is_empty(), "all elements are in one process");
        this
    }

    /// The UE sends a REGISTER, by UDP as recorded, and hears one answer.
    fn register(&mut self, at: u64, text: &str, from: &str, to: SocketAddr) -> Heard {
        let now = Instant::from_millis(at);
        let (from, transport, protocol) = (address(from), Transport::Udp, Protocol::Sip);
        let packet = Packet { bytes: text.as_bytes(), protocol, transport, from, to, sa: None };
        let mut out = Outward::new();
        self.ims.receive(now, &packet, &mut out, &mut self.tap);
        let (effects, bytes) = out.drain();
        let sent = effects.filter_map(|(_, effect)| match effect {
            Effect::Transmit { from, to, transport: Transport::Udp, protocol, range, .. } => {
                let text = String::from_utf8(bytes[range.clone()].to_vec()).expect("text");
                Some(Heard { from, to, name: name(protocol, &bytes[range]), text })
            }
            Effect::InstallSa(_) | Effect::RemoveSa(_) | Effect::Record { .. } => None,
            other => panic!("{other:?}"),
        });
        let mut heard: Vec<Heard> = sent.filter(|heard| !heard.name.starts_with("100 ")).collect();
        assert_eq!(heard.len(), 1, "{}", self.tap.trace());
        heard.remove(0)
    }

    /// port_pc and port_ps of the challenge, at the address that the UE talks to.
    fn protected_ports(&self, challenge: &str) -> (SocketAddr, SocketAddr) {
        let message = Message::parse(challenge.as_bytes()).expect("a message");
        let list = message.security(HeaderName::SecurityServer).expect("a list");
        let at = |port: Option<u16>| SocketAddr::new(self.pcscf.ip(), port.expect("a port"));
        (at(list.0[0].port_c), at(list.0[0].port_s))
    }
}

fn security_server(challenge: &str) -> String {
    let message = Message::parse(challenge.as_bytes()).expect("a message");
    message.header(HeaderName::SecurityServer).expect("a list").to_owned()
}

fn with_security_verify(register: &str, list: &str) -> String {
    let mut text = String::new();
    for line in register.split_inclusive("\r\n") {
        match line.strip_prefix("Security-Verify: ") {
            Some(_) => text.extend(["Security-Verify: ", list, "\r\n"]),
            None => text.push_str(line),
        }
    }
    text
}

/// Another number of as many digits.
fn spoil_spi(list: &str) -> String {
    let at = list.find(";spi-c=").expect("an SPI") + ";spi-c=".len();
    let other = if list[at..].starts_with('1') { "2" } else { "1" };
    [&list[..at], other, &list[at + 1..]].concat()
}

/// The operator's P-Associated-URI has white space where RFC 7315 wants a comma.
fn with_the_missing_comma(recorded: &str) -> String {
    assert_eq!(recorded.matches(">  <").count(), 1);
    recorded.replacen(">  <", ">, <", 1)
}

fn same_address(recorded: Option<&str>, ours: Option<&str>) -> bool {
    ip(recorded).is_some_and(|recorded| ip(ours) == Some(recorded))
}

fn only_ours_and_the_ue(recorded: Option<&str>, ours: Option<&str>) -> bool {
    recorded.is_none() && ip(ours) == Some(address(UE).ip())
}

fn ip(text: Option<&str>) -> Option<IpAddr> {
    text?.trim_matches(['[', ']']).parse().ok()
}

/// Also the text: with the host in one spelling, nothing differs.
fn same_uri(recorded: Option<&str>, ours: Option<&str>) -> bool {
    let canonical = |text: Option<&str>| {
        let mut canonical = String::new();
        Uri::parse(text?).ok()?.canonical(&mut canonical);
        Some(canonical)
    };
    canonical(recorded).is_some_and(|recorded| canonical(ours) == Some(recorded))
}

/// TS 33.203 clause 7.1: 32 bits, 256 at least.
fn both_spis(recorded: Option<&str>, ours: Option<&str>) -> bool {
    [recorded, ours].iter().all(|text| text.and_then(|text| text.parse::<u32>().ok()).is_some_and(|spi| spi > 255))
}
