//! The life of sets of SAs, and their keys.

use crate::kit::*;
use crate::trace::{Trace, change, is_register_of_ue, is_second, to_ue};
use imsreg::diagnose::{Certainty, Diagnosis};
use imsreg::ipsec::trial::Expansion;
use imsreg::packet::Transport;
use imsreg::time::Duration;
use imsreg::trace::story::Registration;
use imsreg::trace::{Connection, Ends, Esp, Icv, Mistake, OpenedBy, Protection, Seen, Sighting, Step};

fn again() -> Trace {
    Trace::of("re-authentication").gm()
}

fn left() -> Trace {
    Trace::of("reg-event")
}

/// The REGISTER with a CSeq, as the UE sends it.
fn number(number: u32) -> impl Fn(&str) -> bool {
    move |text| is_register_of_ue(text) && text.contains(&format!("\r\nCSeq: {number} REGISTER\r\n"))
}

/// The answer to it, as the UE gets it.
fn answer(status: &'static str, number: u32) -> impl Fn(&str) -> bool {
    move |text| to_ue(status)(text) && text.contains(&format!("\r\nCSeq: {number} REGISTER\r\n"))
}

/// The value of a header of the first message that `pick` takes.
fn value_of(trace: &Trace, pick: impl Fn(&str) -> bool, header: &str) -> String {
    let Seen::Message(message) = &trace.sightings[trace.position(pick)].seen else { panic!("a message") };
    let text = String::from_utf8_lossy(&message.bytes).into_owned();
    let line = text.split("\r\n").find_map(|line| line.strip_prefix(&format!("{header}: ")));
    line.expect("the header").to_owned()
}

/// What stands behind a message is left out, and the trace goes on.
fn ending_with(trace: Trace, pick: impl Fn(&str) -> bool) -> Trace {
    let end = trace.position(pick);
    Trace { sightings: trace.sightings[..=end].to_vec() }.going_on(200)
}

fn delayed(mut trace: Trace, pick: impl Fn(&str) -> bool, seconds: u64) -> Trace {
    let from = trace.position(pick);
    for sighting in &mut trace.sightings[from..] {
        sighting.at = sighting.at.map(|at| at + Duration::from_secs(seconds));
    }
    trace
}

#[track_caller]
fn does_not_remark(diagnosis: &Diagnosis, name: &str) {
    assert!(diagnosis.remarks.iter().all(|remark| remark.cause.name != name), "{diagnosis:#?}");
    assert!(diagnosis.causes.iter().all(|cause| cause.cause.name != name), "{diagnosis:#?}");
}

#[test]
fn a_second_challenge_with_the_old_parameters() {
    let name = "DIAG-SA-2NDCHALLENGE";
    let old = value_of(&again(), to_ue("401"), "Security-Server");
    let repeated = || again().edit(answer("401", 3), |text| change(text, "Security-Server", |_| old.clone()));
    diagnosed(&ending_with(repeated(), answer("401", 3))).caused_by(name, Certainty::Certain, "again");
    diagnosed(&repeated()).remarks(name, "again");
    does_not_remark(&diagnosed(&again()), name);
    diagnosed(&ending_with(again(), answer("401", 3))).not_by(name);
}

#[test]
fn an_offer_that_repeats_itself() {
    let name = "DIAG-SEC-SPIREUSE";
    let old = value_of(&again(), number(1), "Security-Client");
    let repeated = || again().edit(number(3), |text| change(text, "Security-Client", |_| old.clone()));
    diagnosed(&ending_with(repeated(), answer("401", 3))).caused_by(name, Certainty::Certain, "again");
    does_not_remark(&diagnosed(&again()), name);
    diagnosed(&ending_with(again(), answer("401", 3))).not_by(name);
    // The answer to a challenge offers the same.
    diagnosed(&ending_with(first().gm(), to_ue("401"))).not_by(name);
}

#[test]
fn sas_that_are_left() {
    let name = "DIAG-SA-STALE";
    let old = value_of(&again(), to_ue("401"), "Security-Server");
    let anew = || {
        let trace = again().in_clear(number(3)).in_clear(answer("401", 3));
        let back = |ends: &mut Ends| std::mem::swap(&mut ends.from, &mut ends.to);
        trace.moved(answer("401", 3), back)
    };
    let repeated = anew().edit(answer("401", 3), |text| change(text, "Security-Server", |_| old.clone()));
    diagnosed(&ending_with(repeated, answer("401", 3))).caused_by(name, Certainty::Certain, "again");
    diagnosed(&ending_with(anew(), answer("401", 3))).not_by(name);
    let told = |text: &str| text.starts_with("NOTIFY ") && text.contains("event=\"rejected\"");
    let replaced = Trace::of("network-deregistration").gm();
    diagnosed(&replaced.clone().moved(told, |ends| ends.from.set_port(5100))).remarks(name, "SAs of before");
    does_not_remark(&diagnosed(&replaced), name);
}

#[test]
fn sas_that_a_refresh_did_not_move() {
    let name = "DIAG-SA-LIFETIME";
    let granted = |text: &str| text.replace("expires=600000", "expires=60");
    let short = || left().gm().edit(answer("200", 2), granted);
    let end = |trace: Trace| ending_with(trace, number(4));
    diagnosed(&end(delayed(short(), number(4), 100))).caused_by(name, Certainty::Certain, "none");
    // Before the first end nothing tells that it is for want of the refresh.
    diagnosed(&end(short())).caused_by(name, Certainty::Possible, "answered before");
    diagnosed(&ending_with(first().gm(), is_second)).not_by(name);
    does_not_remark(&diagnosed(&left()), name);
}

#[test]
fn sas_that_end_before_the_200() {
    let name = "DIAG-SA-EARLYDEL";
    let in_clear = || left().gm().in_clear(answer("200", 4));
    let repeated = || {
        let trace = in_clear();
        let (request, end) = (trace.position(number(4)), trace.sightings.len() - 1);
        trace.copied(request, end, Duration::from_secs(2), str::to_owned)
    };
    diagnosed(&repeated()).caused_by(name, Certainty::Certain, "200 in clear");
    diagnosed(&in_clear()).remarks(name, "200 in clear");
    let lost = || left().without(answer("200", 4));
    diagnosed(&lost().going_on(200)).caused_by(name, Certainty::Certain, "none over Gm");
    diagnosed(&lost().gm().going_on(200)).caused_by(name, Certainty::Likely, "NOTIFY of the end");
    does_not_remark(&diagnosed(&left()), name);
    // Without a NOTIFY nothing tells that the SAs have gone.
    diagnosed(&ending_with(left().gm(), number(4))).not_by(name);
}

/// The answer to the challenge as ESP that was opened so, and nothing back.
fn sealed(icv: Icv, mistake: Option<Mistake>) -> Trace {
    let mut trace = ending_with(first().gm(), is_second);
    let spi = trace.spi_s_of_pcscf();
    let at = trace.position(is_second);
    for sighting in &mut trace.sightings[at..] {
        if let Seen::Message(message) = &mut sighting.seen {
            let by = OpenedBy::Computed;
            message.protection = Protection::Esp(Esp { spi, sequence: 1, icv, by, pair: None, mistake });
        }
    }
    trace
}

#[test]
fn keys_of_esp() {
    let name = "DIAG-KEY";
    let expanded = Some(Mistake::Expanded(Expansion::CkForIntegrity));
    diagnosed(&sealed(Icv::Wrong, expanded)).caused_by(name, Certainty::Certain, "made of CK");
    let other = Some(Mistake::OtherChallenge);
    diagnosed(&sealed(Icv::Wrong, other)).caused_by(name, Certainty::Certain, "of another challenge");
    diagnosed(&sealed(Icv::Wrong, None)).caused_by(name, Certainty::Certain, "a wrong one on SPI");
    diagnosed(&sealed(Icv::Unknown, None)).caused_by(name, Certainty::Possible, "no key is known");
    diagnosed(&sealed(Icv::Right, None)).caused_by(name, Certainty::Possible, "those of the P-CSCF");
    diagnosed(&ending_with(first().gm(), is_second)).not_by(name);
    diagnosed(&silent(first().gm())).not_by(name);
    // The P-CSCF was given another CK than the HSS had.
    let other = |text: &str| change(text, "WWW-Authenticate", |value| crate::trace::set(value, "ck", &"0".repeat(32)));
    let lost = || ending_with(first(), is_second);
    let given = |text: &str| text.starts_with("SIP/2.0 401 ") && text.contains("ck=\"");
    diagnosed(&lost().edit(given, other)).caused_by(name, Certainty::Certain, "the MAA and the 401");
    diagnosed(&lost()).not_by(name);
}

#[test]
fn a_syn_under_another_key() {
    let name = "DIAG-KEY";
    let challenged = || silent(first().gm());
    let spi = first().gm().spi_s_of_pcscf();
    let asked = |icv: Icv, by: OpenedBy| {
        let mut trace = challenged();
        let at = trace.position(to_ue("401"));
        let Seen::Message(challenge) = &trace.sightings[at].seen else { panic!("a message") };
        let Ends { mut from, mut to, .. } = challenge.ends.expect("ends");
        let groups = trace.groups();
        let set = Registration::of(&groups[0]).sets().next().map(|set| (set.ue(), set.pcscf()));
        let (Some(ue), Some(pcscf)) = set.expect("a set") else { panic!("both ends") };
        from.set_port(pcscf.port_s);
        to.set_port(ue.port_c);
        let ends = Ends { from: to, to: from, transport: Transport::Tcp };
        let esp = Esp { spi, sequence: 1, icv, by, pair: None, mistake: None };
        let step = Connection { ends, protection: Protection::Esp(esp), step: Step::Asked };
        let (place, time) = (trace.sightings[at].place, trace.sightings[at].at);
        let later = time.map(|time| time + Duration::from_millis(50));
        trace.sightings.insert(at + 1, Sighting { place, at: later, seen: Seen::Connection(step) });
        diagnosed(&trace)
    };
    let computed = OpenedBy::Computed;
    asked(Icv::Wrong, computed).caused_by(name, Certainty::Certain, "a wrong one on SPI");
    asked(Icv::Right, computed).caused_by("DIAG-PORT-TCP", Certainty::Likely, "no SYN and ACK");
    // Agreed is aes-cbc.
    asked(Icv::Right, OpenedBy::Trial).caused_by("DIAG-SEC-PICK", Certainty::Certain, "null encryption");
}

#[test]
fn esp_under_another_pair() {
    use imsreg::ipsec::association::{Algorithms, Encryption, Integrity};
    let pair = Algorithms { integrity: Integrity::HmacMd5, encryption: Encryption::Null };
    let other = diagnosed(&sealed(Icv::Wrong, Some(Mistake::OtherPair(pair))));
    other.caused_by("DIAG-SEC-PICK", Certainty::Certain, "hmac-md5-96 with null");
}
