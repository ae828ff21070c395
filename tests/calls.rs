//! Two registered users send messages and call each other, through the P-CSCF and the S-CSCF.
#![cfg(feature = "live")]

mod common;

use common::{Recorder, Sent};
use imsreg::capture::Entry;
use imsreg::config::{Scenario, Setting, load_scenario};
use imsreg::event::{Role, What};
use imsreg::identity::Impu;
use imsreg::ims::ElementId;
use imsreg::packet::Outbox;
use imsreg::sim::Simulation;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::{Duration, Instant};
use imsreg::ue::Ue;
use std::net::IpAddr;
use std::path::Path;

const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 10.64.0.1\r\ns=-\r\nc=IN IP4 10.64.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Two UEs, registered.
struct Calls {
    simulation: Simulation<Recorder>,
    ues: [ElementId; 2],
    /// Messages and events before the test began.
    seen: (usize, usize),
}

impl Calls {
    fn new(settings: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/life.yaml");
        let mut scenario: Scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
        scenario.steps.truncate(1);
        scenario.until = Duration::from_secs(10);
        scenario.settings.extend(settings.iter().map(|(key, value)| Setting::new("test", key, *value)));
        let mut simulation =
            Simulation::new(&scenario, Recorder::default()).unwrap_or_else(|faults| panic!("{faults}"));
        simulation.run();
        assert_eq!(simulation.registered(), 2, "{}", simulation.world().tap.trace());
        let id = |ue: &Ue| simulation.world().ims().owner(ue.config().local).expect("it listens");
        let ues: Vec<ElementId> = simulation.ues().map(id).collect();
        let tap = &simulation.world().tap;
        let seen = (tap.hops.len(), tap.capture.entries.len());
        Self { ues: ues.try_into().expect("two"), simulation, seen }
    }

    fn ue(&self, number: usize) -> &Ue {
        self.simulation.world().ims().element(self.ues[number]).as_ue().expect("a UE")
    }

    fn address(&self, number: usize) -> IpAddr {
        self.ue(number).config().local.ip()
    }

    /// The default identity.
    fn identity(&self, number: usize) -> String {
        self.ue(number).associated()[0].as_str().to_owned()
    }

    fn tell<T>(&mut self, number: usize, command: impl FnOnce(&mut Ue, Instant, &mut Outbox) -> T) -> T {
        let mut result = None;
        self.simulation.world_mut().command(self.ues[number], |element, now, out| {
            result = Some(command(element.as_ue_mut().expect("a UE"), now, out));
        });
        result.expect("the command has run")
    }

    fn after(&mut self, time: Duration) {
        let until = self.simulation.world().now() + time;
        self.simulation.world_mut().run_until(until);
    }

    fn hops(&self) -> &[Sent] {
        &self.simulation.world().tap.hops[self.seen.0..]
    }

    /// What was sent between the UEs and the P-CSCF: number of the UE, direction, first word and CSeq method.
    fn gm(&self) -> Vec<String> {
        let number = |ip: IpAddr| (0..2).find(|n| self.address(*n) == ip);
        let word = |hop: &Sent| {
            hop.name.split(" sip:").next().unwrap_or_default().split(" tel:").next().unwrap_or_default().to_owned()
        };
        let line = |hop: &Sent| match (number(hop.from.ip()), number(hop.to.ip())) {
            (Some(n), _) => Some(format!("{n} > {}", word(hop))),
            (_, Some(n)) => Some(format!("{n} < {}", word(hop))),
            _ => None,
        };
        self.hops().iter().filter_map(line).collect()
    }

    fn events(&self, number: usize) -> Vec<String> {
        let own = self.identity(number);
        let entries = &self.simulation.world().tap.capture.entries[self.seen.1..];
        fn name(what: &What) -> Option<(&Impu, String)> {
            match what {
                What::MessageReceived { from, octets, .. } => Some((from, format!("message of {octets}"))),
                What::RequestAnswered { to, status, .. } => Some((to, format!("answered {status}"))),
                What::DialogEarly { peer, status, .. } => Some((peer, format!("early {status}"))),
                What::DialogConfirmed { peer, .. } => Some((peer, "confirmed".into())),
                What::DialogEnded { peer, status, cause, .. } => Some((peer, format!("ended {status} {cause}"))),
                _ => None,
            }
        }
        entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Event { event, .. } if event.role == Role::Ue => name(&event.what),
                _ => None,
            })
            .filter(|(peer, _)| peer.as_str() != own)
            .map(|(_, text)| text)
            .collect()
    }

    /// The first message of this name that reaches a UE.
    fn heard(&self, number: usize, name: &str) -> &Sent {
        let ip = self.address(number);
        self.hops()
            .iter()
            .find(|hop| hop.to.ip() == ip && hop.name.starts_with(name))
            .unwrap_or_else(|| panic!("{}", self.trace()))
    }

    fn trace(&self) -> String {
        self.simulation.world().tap.trace()
    }

    fn call(&mut self) -> u32 {
        let to = self.identity(1);
        self.tell(0, |ue, now, out| ue.invite(now, &to, OFFER, out)).expect("it can be sent")
    }
}

fn header(sent: &Sent, name: HeaderName) -> String {
    Message::parse(&sent.bytes).expect("a message").header(name).unwrap_or_default().to_owned()
}

#[test]
fn a_message_goes_from_one_user_to_another() {
    let mut calls = Calls::new(&[]);
    let to = calls.identity(1);
    calls.tell(0, |ue, now, out| ue.message(now, &to, "text/plain", b"hello", out)).expect("it can be sent");
    calls.after(Duration::from_secs(5));
    assert_eq!(calls.gm(), ["0 > MESSAGE", "1 < MESSAGE", "1 > 200 MESSAGE", "0 < 200 MESSAGE"], "{}", calls.trace());
    let heard = calls.heard(1, "MESSAGE");
    assert!(heard.bytes.ends_with(b"\r\n\r\nhello"));
    assert_eq!(header(heard, HeaderName::PAssertedIdentity), format!("<{}>", calls.identity(0)));
    assert_eq!(header(heard, HeaderName::PCalledPartyId), format!("<{to}>"));
    assert_eq!(header(heard, HeaderName::PChargingVector), "");
    assert!(heard.name.ends_with(&format!("@{}:31001", calls.address(1))), "the Contact: {}", heard.name);
    assert_eq!((calls.events(0), calls.events(1)), (vec!["answered 200".into()], vec!["message of 5".into()]));
}

#[test]
fn a_call_is_made_answered_and_ended_by_either_side() {
    for ends in [0, 1] {
        let mut calls = Calls::new(&[("ue.invite", "3s")]);
        let call = calls.call();
        calls.after(Duration::from_secs(10));
        let set_up = [
            "0 > INVITE",
            "1 < INVITE",
            "1 > 180 INVITE",
            "0 < 180 INVITE",
            "1 > 200 INVITE",
            "0 < 200 INVITE",
            "0 > ACK",
            "1 < ACK",
        ];
        let without_100 = |all: Vec<String>| all.into_iter().filter(|line| !line.contains("100 ")).collect::<Vec<_>>();
        assert_eq!(without_100(calls.gm()), set_up, "{}", calls.trace());
        assert_eq!(calls.events(0), ["early 180", "confirmed"]);
        assert_eq!(calls.events(1), ["early 180", "confirmed"]);
        let number = if ends == 0 { call } else { 1 };
        calls.tell(ends, |ue, now, out| ue.hang_up(now, number, out)).expect("it is confirmed");
        calls.after(Duration::from_secs(5));
        let other = 1 - ends;
        let bye = [
            format!("{ends} > BYE"),
            format!("{other} < BYE"),
            format!("{other} > 200 BYE"),
            format!("{ends} < 200 BYE"),
        ];
        assert_eq!(without_100(calls.gm())[set_up.len()..], bye, "{}", calls.trace());
        assert_eq!(calls.events(ends).last().unwrap(), "ended 200 hung up");
        assert_eq!(calls.events(other).last().unwrap(), "ended 200 the other side hung up");
        assert_eq!((calls.ue(0).calls(), calls.ue(1).calls()), (0, 0));
    }
}

/// Every message of a dialog passes both proxies: Record-Route holds them, and Route is used up on the way.
#[test]
fn a_dialog_stays_on_its_way() {
    let mut calls = Calls::new(&[("ue.invite", "1s")]);
    calls.call();
    calls.after(Duration::from_secs(5));
    let invite = calls.heard(1, "INVITE");
    let record = |sent: &Sent| {
        let message = Message::parse(&sent.bytes).expect("a message");
        message.elements(HeaderName::RecordRoute).map(str::to_owned).collect::<Vec<_>>()
    };
    // P-CSCF of the called side, S-CSCF, P-CSCF of the calling side; each P-CSCF for both of its sides.
    let recorded = record(invite);
    assert_eq!(recorded.iter().filter(|r| r.contains("pcscf.")).count(), 2, "{recorded:?}");
    assert_eq!(recorded.iter().filter(|r| r.contains(":6100;lr")).count(), 2, "{recorded:?}");
    assert!(recorded.iter().any(|r| r.contains("scscf.")), "{recorded:?}");
    assert_eq!(record(calls.heard(0, "200 INVITE")), recorded);
    assert_eq!(header(calls.heard(1, "ACK"), HeaderName::Route), "");
}

#[test]
fn a_busy_user_says_so() {
    let mut calls = Calls::new(&[("ue.invite", "busy")]);
    calls.call();
    calls.after(Duration::from_secs(10));
    assert_eq!(calls.events(0), ["ended 486 refused"], "{}", calls.trace());
    let acks = calls.gm().iter().filter(|line| line.ends_with("ACK")).count();
    assert_eq!(acks, 2, "hop by hop: to the P-CSCF, and of it to the called side");
}

#[test]
fn a_caller_who_gives_up_cancels() {
    let mut calls = Calls::new(&[("ue.invite", "ring")]);
    let call = calls.call();
    calls.after(Duration::from_secs(20));
    calls.tell(0, |ue, now, out| ue.hang_up(now, call, out)).expect("it is ringing");
    calls.after(Duration::from_secs(10));
    assert_eq!(calls.events(0), ["early 180", "ended 487 cancelled"], "{}", calls.trace());
    assert_eq!(calls.events(1), ["early 180", "ended 487 cancelled by the caller"]);
    assert!(calls.gm().contains(&"1 < CANCEL".to_owned()));
}

#[test]
fn a_session_is_changed_while_it_lives() {
    let mut calls = Calls::new(&[("ue.invite", "1s")]);
    let call = calls.call();
    calls.after(Duration::from_secs(5));
    calls.tell(0, |ue, now, out| ue.reinvite(now, call, OFFER, out)).expect("it is confirmed");
    calls.after(Duration::from_secs(5));
    let acks = calls.gm().iter().filter(|line| *line == "1 < ACK").count();
    assert_eq!((acks, calls.ue(0).calls(), calls.ue(1).calls()), (2, 1, 1), "{}", calls.trace());
}

#[test]
fn a_user_who_has_gone_is_not_reached() {
    let mut calls = Calls::new(&[]);
    let to = calls.identity(1);
    calls.tell(1, Ue::deregister);
    calls.after(Duration::from_secs(5));
    calls.tell(0, |ue, now, out| ue.message(now, &to, "text/plain", b"hello", out)).expect("it can be sent");
    calls.after(Duration::from_secs(5));
    let answered = calls.events(0).iter().filter(|e| e.starts_with("answered 4")).count();
    assert_eq!(answered, 1, "{}", calls.trace());
}

#[test]
fn calls_work_without_sas_and_over_tcp() {
    for settings in
        [&[("ue.sec_agree", "off"), ("ue.invite", "1s")][..], &[("ue.transport", "tcp"), ("ue.invite", "1s")]]
    {
        let mut calls = Calls::new(settings);
        let call = calls.call();
        calls.after(Duration::from_secs(5));
        assert_eq!(calls.events(0), ["early 180", "confirmed"], "{settings:?} {}", calls.trace());
        calls.tell(0, |ue, now, out| ue.hang_up(now, call, out)).expect("it is confirmed");
        calls.after(Duration::from_secs(5));
        assert_eq!(calls.events(1).last().unwrap(), "ended 200 the other side hung up");
    }
}

#[test]
fn calls_survive_a_lossy_radio_link() {
    let mut calls = Calls::new(&[("ue.invite", "1s")]);
    let lossy = imsreg::sim::Link { loss: 200, ..imsreg::sim::Link::CLEAN };
    calls.simulation.world_mut().links.between.push((Role::Ue, Role::Pcscf, lossy));
    calls.simulation.world_mut().links.between.push((Role::Pcscf, Role::Ue, lossy));
    let mut ended = 0;
    for _ in 0..10 {
        let call = calls.call();
        calls.after(Duration::from_secs(100));
        if calls.tell(0, |ue, now, out| ue.hang_up(now, call, out)).is_ok() {
            calls.after(Duration::from_secs(100));
            ended += 1;
        }
    }
    assert_eq!(ended, 10, "{}", calls.trace());
    assert_eq!((calls.ue(0).calls(), calls.ue(1).calls()), (0, 0));
}
