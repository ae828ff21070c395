//! Ladders from hops made by hand: a whole registration, and what must not be seen in it.

mod registration;

use imsreg::capture::{Capture, Entry};
use imsreg::event::{Event, Role, What};
use imsreg::ladder::draw::{self, Style};
use imsreg::ladder::{Columns, Draughtsman, Ladder, Options, json, summary, text};
use imsreg::packet::{Packet, Protocol, Transport};
use imsreg::time::Instant;
use registration::{CK, IK, XRES, at, capture};

#[test]
fn a_registration_is_drawn_as_in_the_golden_file() {
    let drawn = text(&capture(), &options());
    let golden = include_str!("registration.ladder");
    assert!(drawn == golden, "drawn:\n{drawn}");
}

#[test]
fn twelve_sip_and_eight_cx_lines() {
    let ladder = Ladder::of(&capture(), &options());
    assert_eq!((ladder.counts.sip, ladder.counts.cx), (12, 8));
    assert_eq!((ladder.counts.trying, ladder.counts.base, ladder.counts.other), (1, 2, 1));
    assert!(draw::ladder(&ladder, &Style::default()).lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn keys_are_shown_on_demand_only() {
    for show_keys in [false, true] {
        let options = Options { show_keys, ..options() };
        let mut drawn = draw::ladder(&Ladder::of(&capture(), &options), &Style { width: 400, ..Style::default() });
        for entry in &capture().entries {
            drawn += &json::entry(entry, &options);
        }
        for secret in [CK, IK, XRES] {
            let hex = data_encoding::HEXLOWER.encode(secret);
            assert_eq!(drawn.contains(&hex), show_keys, "{hex}");
        }
    }
}

/// What an old terminal or a log cannot show is replaced, and no message can start a line of its own.
#[test]
fn control_characters_do_not_reach_the_terminal() {
    let message = "SIP/2.0 403 Stop\u{1b}[2J\r\nVia: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                To: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\nWarning: 399 x \"a\u{7}b\"\r\n\r\n";
    let mut capture = Capture::new();
    let (from, to) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.10:5060".parse().unwrap());
    let bytes = message.as_bytes();
    let packet = Packet { bytes, protocol: Protocol::Sip, transport: Transport::Udp, from, to, sa: None };
    capture.entries.push(Entry::hop(Instant::ZERO, &packet));
    let columns = Columns::from_listeners([(from, Role::Pcscf), (to, Role::Ue)]);
    let drawn = text(&capture, &Options { columns, ..Options::default() });
    assert!(drawn.contains("403 Stop"), "{drawn}");
    assert!(!drawn.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn the_same_bytes_on_the_same_way_are_a_repetition() {
    let mut draughtsman = Draughtsman::new(&options());
    let capture = capture();
    let first = capture.hops().find(|hop| hop.bytes.starts_with(b"REGISTER")).unwrap();
    assert_eq!(draughtsman.packet(first.at, &first.packet()).unwrap().repeats, None);
    assert_eq!(draughtsman.packet(first.at, &first.packet()).unwrap().repeats, Some(1));
}

#[test]
fn every_object_of_json_is_read_by_others() {
    let mut ends = Vec::new();
    for entry in &capture().entries {
        let line = json::entry(entry, &options());
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(value["at"].is_number());
        if let Entry::Hop(_) = entry {
            assert_eq!(value["event"], "message");
            ends.push(format!("{} {}", value["from"].as_str().unwrap_or("?"), value["label"].as_str().unwrap()));
        }
    }
    assert_eq!(ends[..4], ["? CER", "? CEA", "UE REGISTER", "P-CSCF 100 Trying"]);
    let what = What::Refused { status: 403, cause: "a \"b\"\\\n\u{1}".into(), clause: "TS 33.203 clause 7.2" };
    let entry = Entry::Event { at: Instant::from_millis(1_500), event: Event { role: Role::Pcscf, what } };
    let line = json::entry(&entry, &options());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["event"], "refused");
    assert_eq!(value["at"], 1.5);
    assert_eq!(value["cause"], "a \"b\"\\\n\u{1}");
    assert!(!line.contains('\n'));
}

#[test]
fn what_cannot_be_read_is_said_to_be_so() {
    assert_eq!(summary(Protocol::Sip, b"hello", false).to_string(), "5 octets");
    assert_eq!(summary(Protocol::Diameter, &[1; 30], false).to_string(), "30 octets");
}

fn options() -> Options {
    let columns = Columns::from_listeners([
        (at(20_000), Role::Ue),
        (at(5060), Role::Pcscf),
        (at(4060), Role::Icscf),
        (at(6060), Role::Scscf),
        (at(3868), Role::Hss),
    ]);
    Options { columns, ..Options::default() }
}
