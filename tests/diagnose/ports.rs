//! Ports, addresses, and what goes past the SAs.

use crate::kit::*;
use crate::trace::{Trace, is_first, is_second, to_ue};
use imsreg::diagnose::Certainty;
use imsreg::packet::Transport;
use imsreg::time::Duration;
use imsreg::trace::story::Registration;
use imsreg::trace::{Connection, Ends, Message, Protection, Seen, Sighting, Step};

fn watched() -> Trace {
    Trace::of("reg-event").gm()
}

fn message(trace: &Trace, pick: impl Fn(&str) -> bool) -> &Message {
    match &trace.sightings[trace.position(pick)].seen {
        Seen::Message(message) => message,
        _ => panic!("a message"),
    }
}

fn is_notify(text: &str) -> bool {
    text.starts_with("NOTIFY ")
}

fn is_subscribe(text: &str) -> bool {
    text.starts_with("SUBSCRIBE ")
}

/// port-c and port-s of the UE and of the P-CSCF in the first set.
fn ports(trace: &Trace) -> [u16; 4] {
    let groups = trace.groups();
    let registration = Registration::of(&groups[0]);
    let set = registration.sets().next().expect("a set");
    let (ue, pcscf) = (set.ue().expect("an offer"), set.pcscf().expect("a list"));
    [ue.port_c, ue.port_s, pcscf.port_c, pcscf.port_s]
}

/// Behind place `after`, a step of a TCP connection.
fn step(mut trace: Trace, after: usize, later: u64, step: Step, ends: Ends, protection: Protection) -> Trace {
    let ends = Ends { transport: Transport::Tcp, ..ends };
    let at = trace.sightings[after].at.map(|at| at + Duration::from_millis(later));
    let seen = Seen::Connection(Connection { ends, protection, step });
    let place = trace.sightings[after].place;
    trace.sightings.insert(after + 1, Sighting { place, at, seen });
    trace
}

/// The first message that `pick` takes goes in clear between these ends.
fn past(trace: Trace, pick: impl Fn(&str) -> bool + Copy, from: u16, to: u16) -> Trace {
    let own = message(&trace, pick).ends.expect("ends");
    trace.in_clear(pick).moved(pick, move |ends| {
        *ends = own;
        ends.from.set_port(from);
        ends.to.set_port(to);
    })
}

#[test]
fn a_connection_that_nobody_accepts() {
    let name = "DIAG-PORT-TCP";
    let waiting = || silent(first().gm());
    let trace = waiting();
    let [port_c, _, _, port_s] = ports(&trace);
    let challenge = trace.position(to_ue("401"));
    let mut ends = message(&trace, to_ue("401")).ends.expect("ends");
    std::mem::swap(&mut ends.from, &mut ends.to);
    ends.from.set_port(port_c);
    ends.to.set_port(port_s);
    let protection = message(&first().gm(), is_second).protection;
    let asked = || {
        let trace = step(waiting(), challenge, 100, Step::Asked, ends, protection);
        step(trace, challenge + 1, 1_000, Step::Asked, ends, protection)
    };
    diagnosed(&asked()).caused_by(name, Certainty::Certain, "no SYN and ACK");
    let back = Ends { from: ends.to, to: ends.from, ..ends };
    let accepted = step(asked(), challenge + 2, 50, Step::Accepted, back, protection);
    diagnosed(&accepted).caused_by("DIAG-AKA-SILENT", Certainty::Likely, "silence");
    diagnosed(&step(asked(), challenge + 2, 50, Step::Reset, back, protection)).caused_by(
        name,
        Certainty::Certain,
        "RST",
    );
    diagnosed(&waiting()).not_by(name);
}

#[test]
fn a_wrong_port_of_the_p_cscf() {
    let name = "DIAG-PORT-SRC";
    let moved = || first().gm().moved(to_ue("200"), |ends| ends.from.set_port(5060));
    diagnosed(&moved()).remarks(name, "5060");
    let trace = moved();
    let (request, last) = (trace.position(is_second), trace.sightings.len() - 1);
    let again = trace.copied(request, last, Duration::from_secs(2), str::to_owned).copied(
        request,
        last + 1,
        Duration::from_secs(4),
        str::to_owned,
    );
    diagnosed(&again).caused_by(name, Certainty::Certain, "5060");
    let [_, port_s, ..] = ports(&watched());
    diagnosed(&past(watched(), is_notify, 5060, port_s)).remarks(name, "NOTIFY in clear from port 5060");
    let sound = diagnosed(&watched());
    assert!(sound.remarks.iter().all(|remark| remark.cause.name != name), "{sound:#?}");
}

#[test]
fn each_set_has_a_port_c_of_its_own() {
    let name = "DIAG-PORT-SRC";
    let trace = || Trace::of("re-authentication").gm();
    let groups = trace().groups();
    let registration = Registration::of(&groups[0]);
    let sets: Vec<_> = registration.sets().collect();
    let [first, .., last] = &sets[..] else { panic!("two sets") };
    let (old, new) = (first.pcscf().expect("a list").port_c, last.pcscf().expect("a list").port_c);
    assert_ne!(old, new);
    let (ue, pcscf) = last.addresses().expect("addresses");
    let opened = |port: u16| {
        let ends = Ends {
            from: (pcscf, port).into(),
            to: (ue, last.ue().expect("an offer").port_s).into(),
            transport: Transport::Tcp,
        };
        let end = trace().sightings.len() - 1;
        diagnosed(&step(trace(), end, 100, Step::Asked, ends, Protection::Clear))
    };
    opened(5060).remarks(name, "a connection in clear from port 5060");
    // Where the plane is `none` that is all that can be seen.
    let sound = opened(new);
    assert!(sound.remarks.iter().all(|remark| remark.cause.name != name), "{sound:#?}");
}

#[test]
fn past_the_sas() {
    let name = "DIAG-CLEAR";
    let answered = || refused(first().gm().in_clear(is_second), 2, "403 Forbidden");
    diagnosed(&answered()).caused_by(name, Certainty::Certain, "in clear");
    diagnosed(&first().gm().in_clear(is_second)).remarks(name, "in clear, and 200");
    diagnosed(&watched().in_clear(is_subscribe)).remarks(name, "SUBSCRIBE in clear");
    diagnosed(&refused(first().gm(), 2, "403 Forbidden")).not_by(name);
    // A narrower name.
    let [_, port_s, ..] = ports(&watched());
    let notify = diagnosed(&past(watched(), is_notify, 5060, port_s));
    assert!(notify.remarks.iter().all(|remark| remark.cause.name != name), "{notify:#?}");
}

#[test]
fn options_in_clear() {
    let name = "DIAG-KEEPALIVE";
    let asked = |trace: Trace| {
        trace.edit(
            |text| is_notify(text) || text.contains(" NOTIFY\r\n"),
            |text| text.replacen("NOTIFY sip:", "OPTIONS sip:", 1).replace(" NOTIFY\r\n", " OPTIONS\r\n"),
        )
    };
    let is_options = |text: &str| text.starts_with("OPTIONS ");
    let [_, port_s, ..] = ports(&watched());
    diagnosed(&past(asked(watched()), is_options, 5060, port_s)).remarks(name, "in clear from port 5060");
    let inside = diagnosed(&asked(watched()));
    assert!(inside.remarks.iter().all(|remark| remark.cause.name != name), "{inside:#?}");
}

#[test]
fn a_registration_that_ends_with_its_connection() {
    let name = "DIAG-KEEPALIVE";
    let told = |text: &str| is_notify(text) && text.contains("Subscription-State: terminated");
    // The HSS ends the registration: the UE does not ask for it.
    let ended = || Trace::of("network-deregistration").gm();
    let closed = |how: Step, later: u64| {
        let trace = ended();
        let at = trace.position(told);
        let Seen::Message(notify) = &trace.sightings[at].seen else { panic!("a message") };
        let (ends, protection) = (notify.ends.expect("addresses"), notify.protection);
        let mut trace = step(trace, at - 1, 0, how, Ends { transport: Transport::Tcp, ..ends }, protection);
        trace.sightings[at].at = trace.sightings[at + 1].at;
        for sighting in &mut trace.sightings[at + 1..] {
            sighting.at = sighting.at.map(|at| at + Duration::from_secs(later));
        }
        trace
    };
    diagnosed(&closed(Step::Closed, 1)).remarks(name, "the end of the connection");
    diagnosed(&closed(Step::Reset, 1)).remarks(name, "a reset of the connection");
    let is_silent = |trace: &Trace| {
        let said = diagnosed(trace);
        assert!(said.remarks.iter().all(|remark| remark.cause.name != name), "{said:#?}");
    };
    is_silent(&closed(Step::Closed, 60));
    is_silent(&closed(Step::Accepted, 1));
    is_silent(&ended());
}

#[test]
fn an_address_that_changes() {
    let name = "DIAG-NAT";
    let outside = "203.0.113.9".parse().expect("an address");
    let behind = |trace: Trace| {
        let trace = trace.moved(is_first, |ends| ends.from.set_ip(outside));
        trace.moved(to_ue("401"), |ends| ends.to.set_ip(outside))
    };
    diagnosed(&behind(silent(first().gm()))).caused_by(name, Certainty::Likely, "203.0.113.9");
    diagnosed(&silent(first().gm())).not_by(name);
    let refusal = refused(first().gm(), 1, "494 Security Agreement Required");
    let refusal = refusal.moved(is_first, |ends| ends.from.set_ip(outside));
    diagnosed(&refusal).caused_by(name, Certainty::Likely, "203.0.113.9");
}

#[test]
fn the_port_of_via() {
    let name = "DIAG-VIA5060";
    let astray = |port: u16| {
        let trace = first().gm().moved(to_ue("200"), move |ends| ends.to.set_port(port));
        let (request, last) = (trace.position(is_second), trace.sightings.len() - 1);
        let trace = trace.copied(request, last, Duration::from_secs(2), str::to_owned);
        trace.copied(request, last + 1, Duration::from_secs(4), str::to_owned)
    };
    diagnosed(&astray(5060)).caused_by(name, Certainty::Certain, "port 5060");
    diagnosed(&astray(5070)).not_by(name);
    assert!(diagnosed(&first()).remarks.iter().all(|remark| remark.cause.name != name));
}
