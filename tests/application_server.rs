//! The application server (ISC, TS 24.229 clauses 5.4.1.7 and 5.7), alone and in a whole network, in virtual time.
#![cfg(feature = "live")]

mod common;
#[path = "common/scratch.rs"]
mod scratch;

use common::{Driver, Recorder, Sent, address};
use imsreg::application_server::{ApplicationServer, ApplicationServerConfig, Behaviour, Reaction};
use imsreg::capture::Entry;
use imsreg::config::{Elements, Profile, Setting, load_profile, load_scenario, load_subscribers};
use imsreg::event::{Role, What};
use imsreg::hss::Hss;
use imsreg::icscf::Icscf;
use imsreg::ims::{Element, ElementId, Ims, Wiring};
use imsreg::ladder::{self, Columns, Ladder, Options, Row};
use imsreg::packet::{Packet, Protocol, Transport};
use imsreg::pcscf::Pcscf;
use imsreg::random::Random;
use imsreg::scscf::Scscf;
use imsreg::sim::{Links, Simulation, World};
use imsreg::sip::transaction::Timers;
use imsreg::time::{Duration, Epoch, Instant};
use imsreg::ue::{Ue, UeStatus};
use proptest::prelude::*;
use scratch::Scratch;

const AS: &str = "192.0.2.7:5090";
const SCSCF: &str = "192.0.2.6:6060";
const IMPU: &str = "sip:+99912345@ims.example";

fn config() -> ApplicationServerConfig {
    ApplicationServerConfig {
        name: "sip:as.example:5090".into(),
        listen: vec![address(AS)],
        transport: Transport::Udp,
        timers: Timers::CORE,
        hosts: [("scscf.example".into(), "192.0.2.6".parse().unwrap())].into(),
        register: Behaviour::ACCEPT,
        requests: Behaviour::ACCEPT,
        subscribe: false,
    }
}

fn alone(config: ApplicationServerConfig) -> Driver {
    Driver::new(ApplicationServer::new(config, Random::seeded(5)))
}

fn users(driver: &Driver) -> (usize, usize) {
    let Element::ApplicationServer(server) = &driver.element else { panic!("an application server") };
    (server.users(), server.subscriptions())
}

/// A third-party REGISTER.
fn told(n: u32, expires: u32) -> String {
    format!(
        "REGISTER sip:as.example:5090 SIP/2.0\r\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKr{n}\r\nMax-Forwards: 70\r\n\
         From: <sip:scscf.example:6060>;tag=s{n}\r\nTo: <{IMPU}>\r\nCall-ID: r{n}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:scscf.example:6060>\r\nExpires: {expires}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A request of a user, sent over by the S-CSCF with its way back in Route.
fn over_isc(method: &str) -> String {
    format!(
        "{method} sip:bob@ims.example SIP/2.0\r\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKisc\r\nMax-Forwards: 68\r\n\
         Route: <sip:as.example:5090;lr>, <sip:odi7@scscf.example:6060;lr>\r\nFrom: <{IMPU}>;tag=u\r\n\
         To: <sip:bob@ims.example>\r\nCall-ID: isc\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The answer to what the application server has sent.
fn answering(sent: &Sent, status: u16, more: &str) -> String {
    let text = String::from_utf8(sent.bytes.clone()).unwrap();
    let mut answer = format!("SIP/2.0 {status} x\r\n");
    for line in text.lines() {
        if ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            answer += &format!("{line}\r\n");
        } else if line.starts_with("To:") {
            answer += &format!("{line}{}\r\n", if line.contains(";tag=") { "" } else { ";tag=n" });
        }
    }
    answer + more + "Content-Length: 0\r\n\r\n"
}

fn line<'s>(sent: &'s Sent, name: &str) -> Option<&'s str> {
    let text = std::str::from_utf8(&sent.bytes).unwrap();
    text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn a_register_is_accepted_and_a_user_is_known_until_he_goes_or_his_time_is_over() {
    let mut d = alone(config());
    d.send_udp(0, SCSCF, AS, &told(1, 600));
    let [ok] = d.expect(0, ["200 REGISTER"]);
    assert_eq!((line(&ok, "Expires"), line(&ok, "Contact")), (Some("600"), Some("<sip:scscf.example:6060>")));
    assert_eq!(users(&d), (1, 0));
    d.send_udp(500_000, SCSCF, AS, &told(2, 600));
    d.expect(500_000, ["200 REGISTER"]);
    d.drive(1_099_999);
    assert_eq!(users(&d), (1, 0));
    d.drive(1_100_000);
    assert_eq!(users(&d), (0, 0));
    d.send_udp(1_200_000, SCSCF, AS, &told(3, 600));
    d.expect(1_200_000, ["200 REGISTER"]);
    d.send_udp(1_201_000, SCSCF, AS, &told(4, 0));
    let [gone] = d.expect(1_201_000, ["200 REGISTER"]);
    assert_eq!((line(&gone, "Expires"), line(&gone, "Contact")), (Some("0"), None));
    assert_eq!(users(&d), (0, 0));
}

#[test]
fn a_register_is_refused_delayed_or_left_alone() {
    let with = |reaction, delay| alone(ApplicationServerConfig { register: Behaviour { reaction, delay }, ..config() });
    let mut d = with(Reaction::Refuse(503), Duration::ZERO);
    d.send_udp(0, SCSCF, AS, &told(1, 600));
    d.expect(0, ["503 REGISTER"]);
    assert_eq!(users(&d), (0, 0));
    let mut d = with(Reaction::Accept, Duration::from_secs(3));
    d.send_udp(0, SCSCF, AS, &told(1, 600));
    // A copy of the S-CSCF is absorbed.
    d.send_udp(500, SCSCF, AS, &told(1, 600));
    d.drive(2_999);
    assert_eq!(users(&d), (0, 0));
    d.expect(3_000, ["200 REGISTER"]);
    assert_eq!(users(&d), (1, 0));
    let mut d = with(Reaction::Silence, Duration::ZERO);
    d.send_udp(0, SCSCF, AS, &told(1, 600));
    d.send_udp(500, SCSCF, AS, &told(1, 600));
    d.expect(40_000, []);
}

#[test]
fn other_requests_go_back_by_route_and_their_answers_too() {
    let mut d = alone(config());
    d.send_udp(0, SCSCF, AS, &over_isc("MESSAGE"));
    let [sent] = d.expect(0, ["MESSAGE sip:bob@ims.example"]);
    assert_eq!(sent.to, address(SCSCF));
    assert_eq!(
        (line(&sent, "Route"), line(&sent, "Max-Forwards")),
        (Some("<sip:odi7@scscf.example:6060;lr>"), Some("67"))
    );
    assert!(line(&sent, "Via").unwrap().starts_with("SIP/2.0/UDP as.example:5090;branch=z9hG4bK"));
    d.send_udp(100, SCSCF, AS, &answering(&sent, 202, ""));
    let [back] = d.expect(100, ["202 MESSAGE"]);
    assert_eq!(line(&back, "Via"), Some("SIP/2.0/UDP 192.0.2.6:6060;branch=z9hG4bKisc"));
}

#[test]
fn other_requests_are_refused_delayed_or_left_alone() {
    let with = |reaction, delay| alone(ApplicationServerConfig { requests: Behaviour { reaction, delay }, ..config() });
    let mut d = with(Reaction::Refuse(403), Duration::from_secs(1));
    d.send_udp(0, SCSCF, AS, &over_isc("MESSAGE"));
    d.expect(1_000, ["403 MESSAGE"]);
    let mut d = with(Reaction::Silence, Duration::ZERO);
    d.send_udp(0, SCSCF, AS, &over_isc("MESSAGE"));
    d.expect(40_000, []);
    let mut d = with(Reaction::Accept, Duration::from_millis(100));
    d.send_udp(0, SCSCF, AS, &over_isc("MESSAGE"));
    d.expect(100, ["MESSAGE sip:bob@ims.example"]);
}

#[test]
fn an_invite_is_sent_on_answered_and_cancelled() {
    let mut d = alone(config());
    d.send_udp(0, SCSCF, AS, &over_isc("INVITE"));
    let [sent] = d.expect(0, ["INVITE sip:bob@ims.example"]);
    d.send_udp(50, SCSCF, AS, &answering(&sent, 180, ""));
    d.expect(50, ["180 INVITE"]);
    d.send_udp(90, SCSCF, AS, &over_isc("INVITE").replacen("INVITE", "CANCEL", 1).replace("1 INVITE", "1 CANCEL"));
    d.expect(90, ["200 CANCEL", "CANCEL sip:bob@ims.example"]);
    d.send_udp(95, SCSCF, AS, &answering(&sent, 487, ""));
    d.expect(95, ["ACK sip:bob@ims.example", "487 INVITE"]);

    // Before it has been sent on, it is answered here.
    let late = Behaviour { reaction: Reaction::Accept, delay: Duration::from_secs(1) };
    let mut d = alone(ApplicationServerConfig { requests: late, ..config() });
    d.send_udp(0, SCSCF, AS, &over_isc("INVITE"));
    d.send_udp(90, SCSCF, AS, &over_isc("INVITE").replacen("INVITE", "CANCEL", 1).replace("1 INVITE", "1 CANCEL"));
    d.expect(90, ["200 CANCEL", "487 INVITE"]);
}

#[test]
fn what_is_for_nobody_here_is_refused() {
    let mut d = alone(config());
    let to_us = |method: &str| {
        over_isc(method)
            .replace("Route: <sip:as.example:5090;lr>, <sip:odi7@scscf.example:6060;lr>\r\n", "")
            .replace(" sip:bob@ims.example SIP", " sip:as.example:5090 SIP")
    };
    d.send_udp(0, SCSCF, AS, &to_us("OPTIONS"));
    d.expect(0, ["200 OPTIONS"]);
    d.send_udp(10, SCSCF, AS, &to_us("MESSAGE").replace("isc", "isc2"));
    d.expect(10, ["404 MESSAGE"]);
    d.send_udp(
        20,
        SCSCF,
        AS,
        &to_us("NOTIFY")
            .replace("isc", "isc3")
            .replace("Content-Length", "Event: reg\r\nSubscription-State: active\r\nContent-Length"),
    );
    d.expect(20, ["481 NOTIFY"]);
    d.send_udp(30, SCSCF, AS, &over_isc("MESSAGE").replace("isc", "isc4").replace("Forwards: 68", "Forwards: 0"));
    d.expect(30, ["483 MESSAGE"]);
    d.send_udp(40, SCSCF, AS, &over_isc("MESSAGE").replace("isc", "isc5").replace("odi7@scscf.", "odi7@nowhere."));
    d.expect(40, ["404 MESSAGE"]);
    d.send_udp(50, SCSCF, AS, "junk");
    d.send_udp(50, SCSCF, AS, "\r\n\r\n");
    d.expect(50, []);
}

/// RFC 3680 and RFC 6665: the dialog of the subscription from its SUBSCRIBE to its end.
#[test]
fn the_registration_state_of_a_user_is_subscribed_to() {
    let mut d = alone(ApplicationServerConfig { subscribe: true, ..config() });
    d.send_udp(0, SCSCF, AS, &told(1, 600_000));
    let [_, subscribe] = d.expect(0, ["200 REGISTER", &format!("SUBSCRIBE {IMPU}")]);
    assert_eq!(subscribe.to, address(SCSCF));
    for (name, value) in [
        ("Route", "<sip:scscf.example:6060;lr>"),
        ("To", &format!("<{IMPU}>")),
        ("CSeq", "1 SUBSCRIBE"),
        ("Contact", "<sip:as.example:5090>"),
        ("P-Asserted-Identity", "<sip:as.example:5090>"),
        ("Event", "reg"),
        ("Accept", "application/reginfo+xml"),
        ("Expires", "600000"),
    ] {
        assert_eq!(line(&subscribe, name), Some(value));
    }
    d.send_udp(10, SCSCF, AS, &answering(&subscribe, 200, "Expires: 3600\r\nContact: <sip:scscf.example:6060>\r\n"));
    assert_eq!(users(&d), (1, 1));
    // A second REGISTER of the user makes no second subscription.
    d.send_udp(15, SCSCF, AS, &told(2, 600_000));
    d.drive(15);

    let notify = |n: u32, state: &str, version: u32| {
        let tag = line(&subscribe, "From").unwrap();
        let call_id = line(&subscribe, "Call-ID").unwrap();
        let body = format!(
            "<?xml version=\"1.0\"?>\n<reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{version}\" state=\"full\">\
             <registration aor=\"{IMPU}\" id=\"a\" state=\"active\"><contact id=\"c\" state=\"active\" event=\"registered\">\
             <uri>sip:ue@10.0.0.1</uri></contact></registration></reginfo>"
        );
        format!(
            "NOTIFY sip:as.example:5090 SIP/2.0\r\nVia: SIP/2.0/UDP {SCSCF};branch=z9hG4bKn{n}\r\nMax-Forwards: 70\r\n\
             From: <{IMPU}>;tag=n\r\nTo: {tag}\r\nCall-ID: {call_id}\r\nCSeq: {n} NOTIFY\r\nEvent: reg\r\n\
             Subscription-State: {state}\r\nContent-Type: application/reginfo+xml\r\nContact: <sip:scscf.example:6060>\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    d.expect(15, ["200 REGISTER"]);
    d.send_udp(20, SCSCF, AS, &notify(1, "active;expires=3600", 0));
    d.expect(20, ["200 NOTIFY"]);
    // An old one under a new branch, and one of another dialog.
    d.send_udp(30, SCSCF, AS, &notify(1, "active;expires=3600", 0).replace("z9hG4bKn1", "z9hG4bKn1a"));
    d.expect(30, ["500 NOTIFY"]);
    d.send_udp(40, SCSCF, AS, &notify(2, "active", 1).replace(";tag=", ";tag=x"));
    d.expect(40, ["481 NOTIFY"]);
    // Ten minutes before the hour is over.
    let [refresh] = d.expect(3_000_010, ["SUBSCRIBE sip:scscf.example:6060"]);
    assert_eq!((line(&refresh, "CSeq"), line(&refresh, "Route")), (Some("2 SUBSCRIBE"), None));
    assert_eq!(line(&refresh, "To"), Some(&*format!("<{IMPU}>;tag=n")));
    assert_eq!(line(&refresh, "From"), line(&subscribe, "From"));
    d.send_udp(
        3_000_020,
        SCSCF,
        AS,
        &answering(&refresh, 200, "Expires: 3600\r\nContact: <sip:scscf.example:6060>\r\n"),
    );
    d.send_udp(3_100_000, SCSCF, AS, &notify(3, "terminated;reason=deactivated", 1));
    d.expect(3_100_000, ["200 NOTIFY"]);
    assert_eq!(users(&d), (1, 0));
    d.send_udp(3_100_010, SCSCF, AS, &notify(4, "terminated", 2));
    d.expect(3_100_010, ["481 NOTIFY"]);
    d.expect(6_700_000, []);
}

#[test]
fn a_subscription_refused_or_unanswered_is_none() {
    let mut d = alone(ApplicationServerConfig { subscribe: true, ..config() });
    d.send_udp(0, SCSCF, AS, &told(1, 600));
    let [_, subscribe] = d.expect(0, ["200 REGISTER", &format!("SUBSCRIBE {IMPU}")]);
    d.send_udp(10, SCSCF, AS, &answering(&subscribe, 403, ""));
    assert_eq!(users(&d), (1, 0));
    d.send_udp(20, SCSCF, AS, &told(2, 600));
    d.drive(32_019);
    assert_eq!(users(&d), (1, 1));
    d.drive(32_020);
    assert_eq!(users(&d), (1, 0));
}

proptest! {
    /// Spoilt in one octet or cut short: it is answered or dropped, and the next request is served.
    #[test]
    fn spoilt_messages_are_borne(which in 0_usize..4, at in any::<prop::sample::Index>(), octet: u8, cut: bool) {
        let mut d = alone(ApplicationServerConfig { subscribe: true, ..config() });
        let body = "Content-Type: multipart/mixed;boundary=b\r\nContent-Length: 65\r\n\r\n--b\r\nContent-Type: \
                    message/sip\r\n\r\nSIP/2.0 200 OK\r\n\r\n\r\n--b--\r\n";
        let whole = match which {
            0 => told(1, 600),
            1 => over_isc("INVITE"),
            2 => told(1, 600).replace("Content-Length: 0\r\n\r\n", body),
            _ => over_isc("NOTIFY").replace("Content-Length", "Event: reg\r\nSubscription-State: active\r\nContent-Length"),
        };
        let mut bytes = whole.into_bytes();
        let at = at.index(bytes.len());
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] = octet;
        }
        let (from, to) = (address(SCSCF), address(AS));
        let (protocol, transport) = (Protocol::Sip, Transport::Udp);
        d.send(0, &Packet { bytes: &bytes, protocol, transport, from, to, sa: None });
        d.drive(100_000);
        d.send_udp(100_000, SCSCF, AS, &told(2, 600));
        prop_assert!(users(&d).0 >= 1);
    }
}

/// `tests/scenarios/application-server.yaml`: arrows at the application server, by whole seconds.
#[test]
fn the_ladder_has_a_column_for_the_application_server() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/application-server.yaml");
    let scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
    let mut simulation = Simulation::new(&scenario, Recorder::default()).unwrap_or_else(|faults| panic!("{faults}"));
    simulation.run();
    let listeners = simulation.world().ims().listeners();
    let columns = Columns::from_listeners(listeners.iter().map(|listener| (listener.address, listener.role)));
    let options = Options { columns, ..Options::default() };
    let capture = simulation.into_tap().capture;
    let arrows: Vec<(u64, String, Role, Role)> = (Ladder::of(&capture, &options).rows.into_iter())
        .filter_map(|row| match row {
            Row::Arrow(a) if a.from == Role::ApplicationServer || a.to == Role::ApplicationServer => {
                Some((a.at.as_micros() / 1_000_000 - 1, a.summary.label.to_string(), a.from, a.to))
            }
            _ => None,
        })
        .collect();
    let (scscf, server) = (Role::Scscf, Role::ApplicationServer);
    let expected = [
        (0, "REGISTER", scscf, server),
        (0, "200 OK", server, scscf),
        (0, "SUBSCRIBE", server, scscf),
        (0, "200 OK", scscf, server),
        (0, "NOTIFY", scscf, server),
        (0, "200 OK", server, scscf),
        (10, "REGISTER", scscf, server),
        (10, "NOTIFY", scscf, server),
        (10, "200 OK", server, scscf),
        (10, "200 OK", server, scscf),
        (20, "REGISTER", scscf, server),
        (20, "NOTIFY", scscf, server),
        (20, "200 OK", server, scscf),
        (20, "200 OK", server, scscf),
    ];
    let text = ladder::text(&capture, &options);
    assert_eq!(arrows, expected.map(|(at, label, from, to)| (at, label.to_owned(), from, to)), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120));
    assert!(text.lines().next().unwrap().contains(" AS "), "{text}");
    assert!(text.contains("with application/3gpp-ims+xml mmtel, message/sip REGISTER, message/sip 200"), "{text}");
}

// --------------------------------------------------------------------------------------------------- in a whole network

/// A network with two application servers, the first asked first, and one UE.
struct Network {
    world: World<Recorder>,
    ue: ElementId,
    scscf: ElementId,
}

const LAB: &str = "ims.mnc001.mcc001.3gppnetwork.org";

impl Network {
    /// `handling` is that of the first server's criteria, `register` what it does.
    fn new(name: &str, handling: &str, register: Behaviour) -> Self {
        Self::with(name, handling, register, "")
    }

    /// With further criteria.
    fn with(name: &str, handling: &str, register: Behaviour, more_criteria: &str) -> Self {
        let hosts = format!("hosts.as1.{LAB}=127.0.0.8");
        let more = format!("hosts.as2.{LAB}=127.0.0.9");
        let profile = profile(&[&hosts, &more, "ue.refresh=false", "ue.expires=3600s"]);
        let scratch = Scratch::new(&format!("as-{name}"));
        let criteria = |priority: u32, server: &str, handling: &str, more: &str| {
            format!(
                "      - {{priority: {priority}, server: \"sip:{server}.{LAB}:5090\", default_handling: {handling}, {more}\
                 conditions: [{{method: REGISTER}}]}}\n"
            )
        };
        let text = format!(
            "subscribers:\n  - imsi: \"001010000000001\"\n    k: 465b5ce8b199b49faa5f0a2ee238a6bc\n    \
             opc: cd63cb71954a9f4e48a5994e37a02baf\n    msisdn: \"+99912345\"\n    ifc:\n{}{}{more_criteria}",
            criteria(7, "as2", "continue", "service_info: mmtel, include: [request, response], "),
            criteria(1, "as1", handling, ""),
        );
        let file = scratch.file("hss-data.yaml", &text);
        let subscribers = load_subscribers(&file, &profile).unwrap_or_else(|faults| panic!("{faults}"));
        let (all, epoch, mut random) = (Elements::ALL, Epoch::SIMULATION, Random::seeded(3));
        let mut ims = Ims::new(Wiring::Wire);
        let subscription = subscribers.subscription(0).unwrap();
        ims.add(Hss::new(profile.hss(epoch).unwrap(), subscribers.store, random.fork())).unwrap();
        let scscf = ims.add(Scscf::new(profile.scscf(all, epoch).unwrap(), random.fork())).unwrap();
        ims.add(Icscf::new(profile.icscf(all, epoch).unwrap(), random.fork())).unwrap();
        let pcscf = profile.pcscf(all).unwrap();
        let access = pcscf.listen[0];
        ims.add(Pcscf::new(pcscf, random.fork())).unwrap();
        for (name, ip, register) in [("as1", "127.0.0.8", register), ("as2", "127.0.0.9", Behaviour::ACCEPT)] {
            let server = ApplicationServerConfig {
                name: format!("sip:{name}.{LAB}:5090").into(),
                listen: vec![address(&format!("{ip}:5090"))],
                register,
                ..profile.application_server(all)
            };
            ims.add(ApplicationServer::new(server, random.fork())).unwrap();
        }
        let ue = profile.ue(&subscription, access, address("10.0.0.1:5060"), epoch);
        let ue = ims.add(Ue::new(ue, random.fork())).unwrap();
        let mut world = World::new(ims, Links::default(), 1, Recorder::default());
        world.start();
        world.run_until(Instant::from_secs(1));
        Self { world, ue, scscf }
    }

    fn register(&mut self) {
        self.world.command(self.ue, |e, now, out| e.as_ue_mut().unwrap().register(now, out));
    }

    fn deregister(&mut self) {
        self.world.command(self.ue, |e, now, out| e.as_ue_mut().unwrap().deregister(now, out));
    }

    fn run_until(&mut self, seconds: u64) {
        self.world.run_until(Instant::from_secs(seconds));
    }

    /// Registrations at the S-CSCF, and where the UE stands.
    fn registered(&self) -> (usize, UeStatus) {
        let Element::Scscf(scscf) = self.world.ims().element(self.scscf) else { panic!("the S-CSCF") };
        (scscf.registrations(), self.world.ims().element(self.ue).as_ue().unwrap().status())
    }

    /// REGISTERs to application servers and their answers: whole seconds, what, and whose.
    fn isc(&self) -> Vec<(u64, String)> {
        let servers = [(address("127.0.0.8:5090"), "as1"), (address("127.0.0.9:5090"), "as2")];
        let hops = self.world.tap.hops.iter().filter_map(|hop| {
            let to = servers.iter().find(|(at, _)| *at == hop.to);
            let from = servers.iter().find(|(at, _)| *at == hop.from);
            let text = match (to, from) {
                (Some((_, name)), _) if hop.name.starts_with("REGISTER") => {
                    format!("{name} REGISTER Expires {}", line(hop, "Expires").unwrap())
                }
                (_, Some((_, name))) if hop.name.ends_with(" REGISTER") => format!("{name} {}", &hop.name[..3]),
                _ => return None,
            };
            Some((hop.at / 1_000, text))
        });
        hops.collect()
    }

    /// What NOTIFYs said to application servers; nothing was wrong with them.
    fn notified(&self) -> Vec<String> {
        let entries = self.world.tap.capture.entries.iter();
        let notified = entries.filter_map(|entry| match entry {
            Entry::Event { event, .. } if event.role == Role::ApplicationServer => match &event.what {
                What::RegistrationNotified { subscription, registrations, faults, .. } => {
                    assert!(faults.is_empty(), "{faults:?}");
                    Some(format!("{subscription} {}", registrations.join(", ")))
                }
                _ => None,
            },
            _ => None,
        });
        notified.collect()
    }

    /// What application servers were told, and what the S-CSCF made of their answers.
    fn events(&self) -> Vec<String> {
        let told = self.world.tap.capture.entries.iter().filter_map(|entry| {
            let Entry::Event { event, .. } = entry else { return None };
            match &event.what {
                What::RegistrationTold { expires, content, .. } if event.role == Role::ApplicationServer => {
                    Some(format!("told {expires} {}", content.join(", ")))
                }
                What::ServiceFailed { status, ends_registration, .. } => {
                    Some(format!("failed {status} {ends_registration}"))
                }
                _ => None,
            }
        });
        told.collect()
    }
}

fn profile(settings: &[&str]) -> Profile {
    let settings: Vec<Setting> = settings.iter().map(|s| Setting::from_set(s).unwrap()).collect();
    load_profile("lab", &settings).unwrap_or_else(|faults| panic!("{faults}"))
}

fn lines(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(at, text)| (*at, (*text).to_owned())).collect()
}

#[test]
fn two_servers_are_told_in_order_with_what_they_asked_for_and_of_the_end() {
    let mut n = Network::new("two", "terminate", Behaviour::ACCEPT);
    n.register();
    n.run_until(10);
    assert_eq!(n.registered(), (1, UeStatus::Registered), "{}", n.world.tap.trace());
    n.deregister();
    n.run_until(20);
    assert_eq!(n.registered(), (0, UeStatus::Idle));
    let expected = lines(&[
        (1, "as1 REGISTER Expires 3600"),
        (1, "as2 REGISTER Expires 3600"),
        (1, "as1 200"),
        (1, "as2 200"),
        (10, "as1 REGISTER Expires 0"),
        (10, "as2 REGISTER Expires 0"),
        (10, "as1 200"),
        (10, "as2 200"),
    ]);
    assert_eq!(n.isc(), expected, "{}", n.world.tap.trace());
    let with_bodies = "told 3600 application/3gpp-ims+xml mmtel, message/sip REGISTER, message/sip 200";
    assert_eq!(n.events(), ["told 3600 ", with_bodies, "told 0 ", "told 0 "]);
    // The 200 to the UE does not wait for them.
    let at = |name: &str| n.world.tap.hops.iter().position(|hop| hop.name == name).unwrap();
    assert!(at("200 REGISTER") < at(&format!("REGISTER sip:as1.{LAB}:5090")));
}

#[test]
fn a_refusal_ends_the_registration_where_the_handling_says_so() {
    let refusing = Behaviour { reaction: Reaction::Refuse(503), delay: Duration::ZERO };
    for (handling, left) in [("terminate", 0), ("continue", 1)] {
        let mut n = Network::new(&format!("refused-{handling}"), handling, refusing);
        n.register();
        n.run_until(30);
        assert_eq!(n.registered().0, left, "{}", n.world.tap.trace());
        let mut expected = lines(&[
            (1, "as1 REGISTER Expires 3600"),
            (1, "as2 REGISTER Expires 3600"),
            (1, "as1 503"),
            (1, "as2 200"),
        ]);
        let mut events = vec!["told 3600 "];
        events.push("told 3600 application/3gpp-ims+xml mmtel, message/sip REGISTER, message/sip 200");
        if left == 0 {
            expected.extend(lines(&[
                (1, "as1 REGISTER Expires 0"),
                (1, "as2 REGISTER Expires 0"),
                (1, "as1 503"),
                (1, "as2 200"),
            ]));
            events.extend(["failed 503 true", "told 0 ", "told 0 ", "failed 503 false"]);
        } else {
            events.push("failed 503 false");
        }
        assert_eq!(n.isc(), expected, "{}", n.world.tap.trace());
        assert_eq!(n.events(), events);
    }
}

#[test]
fn silence_ends_the_registration_after_64_t1_where_the_handling_says_so() {
    let silent = Behaviour { reaction: Reaction::Silence, delay: Duration::ZERO };
    for (handling, left) in [("terminate", 0), ("continue", 1)] {
        let mut n = Network::new(&format!("silent-{handling}"), handling, silent);
        n.register();
        n.run_until(32);
        assert_eq!(n.registered().0, 1);
        n.run_until(120);
        assert_eq!(n.registered().0, left, "{}", n.world.tap.trace());
        let expected: &[(u64, &str)] = &[
            (1, "as1 REGISTER Expires 3600"),
            (1, "as2 REGISTER Expires 3600"),
            (1, "as2 200"),
            (33, "as1 REGISTER Expires 0"),
            (33, "as2 REGISTER Expires 0"),
            (33, "as2 200"),
        ];
        assert_eq!(n.isc(), lines(&expected[..if left == 0 { 6 } else { 3 }]), "{}", n.world.tap.trace());
        // The other server, which watches, hears why.
        let rejected =
            n.notified().iter().filter(|text| text.contains("terminated") && text.contains("rejected")).count();
        assert_eq!(rejected, usize::from(left == 0), "{:?}", n.notified());
    }
}

#[test]
fn a_slow_answer_is_as_good_as_a_fast_one() {
    for handling in ["terminate", "continue"] {
        let slow = Behaviour { reaction: Reaction::Accept, delay: Duration::from_secs(20) };
        let mut n = Network::new(&format!("slow-{handling}"), handling, slow);
        n.register();
        n.run_until(60);
        assert_eq!(n.registered(), (1, UeStatus::Registered));
        let expected = lines(&[
            (1, "as1 REGISTER Expires 3600"),
            (1, "as2 REGISTER Expires 3600"),
            (1, "as2 200"),
            (21, "as1 200"),
        ]);
        assert_eq!(n.isc(), expected, "{}", n.world.tap.trace());
    }
}

/// A message of a user to himself: each server is passed as often as the criteria say, on his way out and in.
#[test]
fn a_message_passes_the_servers_of_both_sides() {
    let more = ["originating", "terminating"].map(|case| {
        let (priority, server) = if case == "originating" { (20, "as1") } else { (21, "as2") };
        format!(
            "      - {{priority: {priority}, server: \"sip:{server}.{LAB}:5090\", conditions: [{{session_case: {case}}}, \
             {{not: true, method: REGISTER}}]}}\n"
        )
    });
    let mut n = Network::with("message", "continue", Behaviour::ACCEPT, &more.concat());
    n.register();
    n.run_until(10);
    let to = format!("sip:+99912345@{LAB}");
    n.world.command(n.ue, |e, now, out| {
        e.as_ue_mut().unwrap().message(now, &to, "text/plain", b"to myself", out).unwrap();
    });
    n.run_until(20);
    let trace = n.world.tap.trace();
    let (as1, as2) = (address("127.0.0.8:5090"), address("127.0.0.9:5090"));
    let way: Vec<&str> = (n.world.tap.hops.iter())
        .filter(|hop| hop.name.starts_with("MESSAGE"))
        .map(|hop| match hop.to {
            to if to == as1 => "as1",
            to if to == as2 => "as2",
            to if to == address("10.0.0.1:31001") => "ue",
            to => match to.port() {
                5060 | 6100 => "p-cscf",
                4060 => "i-cscf",
                6060 => "s-cscf",
                _ => "elsewhere",
            },
        })
        .collect();
    assert_eq!(
        way,
        ["p-cscf", "s-cscf", "as1", "s-cscf", "i-cscf", "s-cscf", "as2", "s-cscf", "p-cscf", "ue"],
        "{trace}"
    );
    let events = n.world.tap.capture.entries.iter();
    let received = events.filter(|entry| {
        matches!(entry, Entry::Event { event, .. } if matches!(event.what, What::MessageReceived { octets: 9, .. }))
    });
    assert_eq!(received.count(), 1, "{trace}");
    let answered = n.world.tap.hops.iter().filter(|hop| hop.name == "200 MESSAGE").count();
    assert_eq!(answered, 10, "{trace}");
}
