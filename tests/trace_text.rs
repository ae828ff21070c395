//! Pasted dumps, consoles and logs (`corpus/seeds`, `corpus/dumps`, `corpus/pcap`, read in place), and the writer of text.

#[path = "../fuzz/properties/text_trace.rs"]
mod property;
#[expect(dead_code, reason = "no index is read here")]
mod sip_support;

use imsreg::packet::{Protocol, Transport};
use imsreg::sip;
use imsreg::time::Instant;
use imsreg::trace::text::{Reader, write};
use imsreg::trace::{Ends, Message, Place, Protection, Seen, Sighting};
use proptest::prelude::*;
use sip_support::{read, shared};
use std::net::SocketAddr;

/// Each dump with the messages that it holds, in order, octet for octet. Those of the first document are equal too: where
/// its author cut lines, what is joined again is what was sent.
const SEEDS: &[(&str, &[&str])] = &[
    ("ims-01-register", &["ims-01-register"]),
    ("ims-02-401", &["ims-02-401"]),
    ("ims-03-register-auth", &["ims-03-register-auth"]),
    ("ims-04-200", &["ims-04-200"]),
    ("ims-full", &["ims-01-register", "ims-02-401", "ims-03-register-auth", "ims-04-200"]),
    ("gb28181-full", &["gb28181-01-register", "gb28181-02-401", "gb28181-03-register-auth", "gb28181-04-200"]),
    ("biloxi-full", &["biloxi-01-register", "biloxi-02-200"]),
    ("ngrep-01-register", &["ngrep-01-register"]),
    ("ngrep-02-401", &["ngrep-02-401"]),
    ("ngrep-03-register-auth", &["ngrep-03-register-auth"]),
    ("ngrep-04-200", &["ngrep-04-200"]),
    ("ngrep-05-401-other", &["ngrep-05-401-other"]),
    (
        "ngrep-full",
        &["ngrep-01-register", "ngrep-02-401", "ngrep-03-register-auth", "ngrep-04-200", "ngrep-05-401-other"],
    ),
    (
        "sip-notes-full",
        &[
            "pager-00-message",
            "pager-01-message",
            "pager-02-message-forwarded",
            "pager-03-200",
            "pager-04-200-forwarded",
            "rtc-01-register",
            "rtc-02-200",
            "rtc-03-register",
            "rtc-04-401",
            "rtc-05-register-auth",
            "rtc-06-200",
            "hikvision-01-register",
            "hikvision-02-401",
            "hikvision-03-register-auth",
            "hikvision-04-200",
            "ivms-01-register-stale",
            "ivms-02-401",
            "ivms-03-register-auth",
            "ivms-04-200",
            "ivms-keepalive-01-message",
            "ivms-keepalive-02-200",
            "ivms-dereg-01-register-stale",
            "ivms-dereg-02-401",
            "ivms-dereg-03-register-auth",
            "ivms-dereg-04-200",
        ],
    ),
];

/// Each dump with messages of `corpus/ims`.
const DUMPS: &[(&str, &[&str])] = &[
    ("pjsua-console", &["reg-pjsua-vonr-1", "401-kamailio-md5", "reg-pjsua-vonr-2", "200-kamailio-three-puis"]),
    ("logcat-prefixed", &["reg-android-open-ims-tcp6", "401-security-server-q"]),
    ("annotated-notes", &["reg-huawei-nr-tcp", "200-minimal-ims-nr"]),
    ("numbered-lines", &["spec-reg-initial"]),
];

#[test]
fn dumps_of_the_seed_documents_hold_what_the_index_says() {
    let Some(folder) = shared("the seed documents", "corpus/seeds") else { return };
    for (dump, messages) in SEEDS {
        let found = messages_of(&sightings(&read(&folder.join(format!("{dump}.dump.txt")))));
        let expected = messages.iter().map(|name| (*name, read(&folder.join(format!("{name}.sip")))));
        assert_equal(dump, &found, expected);
    }
}

#[test]
fn consoles_logs_and_notes_hold_what_the_index_says() {
    let Some(folder) = shared("the text dumps", "corpus/dumps") else { return };
    for (dump, messages) in DUMPS {
        let found = messages_of(&sightings(&read(&folder.join(format!("{dump}.txt")))));
        let expected = messages.iter().map(|name| (*name, read(&folder.join(format!("../ims/{name}.sip")))));
        assert_equal(dump, &found, expected);
    }
}

#[track_caller]
fn assert_equal<'a>(dump: &str, found: &[Message], expected: impl Iterator<Item = (&'a str, Vec<u8>)>) {
    let expected: Vec<_> = expected.collect();
    let first_line = |m: &Message| String::from_utf8_lossy(&m.bytes).lines().next().unwrap_or_default().to_owned();
    assert_eq!(found.len(), expected.len(), "{dump}: {:#?}", found.iter().map(first_line).collect::<Vec<_>>());
    for (message, (name, bytes)) in found.iter().zip(&expected) {
        let (ours, theirs) = (String::from_utf8_lossy(&message.bytes), String::from_utf8_lossy(bytes));
        assert_eq!(ours, theirs, "{dump}: {name}");
        assert!(!message.cut, "{dump}: {name}");
    }
}

#[test]
fn prose_is_one_block_between_two_messages() {
    let Some(folder) = shared("the seed documents", "corpus/seeds") else { return };
    let text = read(&folder.join("ims-full.dump.txt"));
    let lines: Vec<_> = sightings(&text).into_iter().map(|s| (s.place, matches!(s.seen, Seen::Message(_)))).collect();
    let line = |n, is_message| (Place::Line(n), is_message);
    let expected = [
        line(1, false),
        line(3, true),
        line(37, false),
        line(62, true),
        line(75, false),
        line(77, true),
        line(118, false),
    ];
    assert_eq!(lines[..7], expected);
}

#[test]
fn the_log_of_a_session_border_controller_is_read_with_time_and_addresses() {
    let Some(folder) = shared("the text log", "corpus/pcap") else { return };
    let all = sightings(&read(&folder.join("sip-text-log.txt")));
    let mut told = Vec::new();
    for sighting in &all {
        told.push(match &sighting.seen {
            Seen::Message(message) => {
                let Ends { from, to, transport } = message.ends.expect("the log shows both");
                let parsed = sip::Message::parse(&message.bytes).expect("sound");
                let what = parsed.method().map_or_else(|| parsed.status().unwrap_or(0).to_string(), |m| m.to_string());
                assert!(!message.cut);
                format!("{} {} {from} -> {to} {transport} {what}", sighting.place, sighting.at.expect("a time"))
            }
            Seen::Unread(unread) => format!("{} {}", sighting.place, unread.reason),
            _ => panic!("neither"),
        });
    }
    assert_eq!(
        told,
        [
            "line 1 text that is no message",
            "line 5 0.000000 10.102.130.150:5060 -> 10.102.130.185:5060 UDP REGISTER",
            "line 19 0.100000 10.102.130.185:5060 -> 10.102.130.150:5060 UDP 200",
            "line 30 256.684000 127.0.0.1:5070 -> 127.0.0.1:5060 UDP INVITE",
            "line 55 256.688000 127.0.0.1:5060 -> 127.0.0.1:5070 UDP 100",
            "line 64 text that is no message",
            "line 125 256.711000 127.0.0.1:5060 -> 127.0.0.1:5070 UDP 181",
            "line 134 text that is no message",
        ]
    );
    let invite = messages_of(&all).remove(2);
    assert!(invite.bytes.ends_with(b"a=rtpmap:0 PCMU/8000/1\r\n"), "Content-Length says 187");
}

#[test]
fn a_text_that_names_roles_shows_times_and_no_addresses() {
    let Some(folder) = shared("the unobservable captures", "probes/captures/unobservable") else { return };
    let all = sightings(&read(&folder.join("u003-text-dump.txt")));
    let times: Vec<_> = all.iter().map(|sighting| sighting.at.map(Instant::as_micros)).collect();
    let expected: Vec<_> = (0..8).map(|n| Some(n * 20_000)).collect();
    assert_eq!(times, expected);
    for message in messages_of(&all) {
        assert_eq!((message.ends, message.protection, message.cut), (None, Protection::Unknown, false));
        let parsed = sip::Message::parse(&message.bytes).expect("sound");
        assert_eq!(parsed.bytes().len(), message.bytes.len(), "the body is as long as Content-Length says");
    }
}

fn sightings(text: &[u8]) -> Vec<Sighting> {
    Reader::new(text).map(|sighting| sighting.expect("memory does not fail")).collect()
}

fn messages_of(sightings: &[Sighting]) -> Vec<Message> {
    let message = |sighting: &Sighting| match &sighting.seen {
        Seen::Message(message) => Some(message.clone()),
        _ => None,
    };
    sightings.iter().filter_map(message).collect()
}

fn any_message() -> impl Strategy<Value = Message> {
    let text = "[ -~\r\n\t]{0,80}".prop_map(String::into_bytes);
    let octets = proptest::collection::vec(any::<u8>(), 0..80);
    let transport = proptest::sample::select(vec![Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Sctp]);
    let ends = (any::<SocketAddr>(), any::<SocketAddr>(), transport);
    let protocol = proptest::sample::select(vec![Protocol::Sip, Protocol::Diameter]);
    (prop_oneof![text, octets], proptest::option::of(ends), protocol, any::<bool>()).prop_map(
        |(bytes, ends, protocol, cut)| {
            let ends = ends.map(|(from, to, transport)| Ends { from: plain(from), to: plain(to), transport });
            Message { protocol, ends, protection: Protection::Unknown, cut, bytes }
        },
    )
}

/// Scope and flow label are no part of an address in a trace.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        messages in proptest::collection::vec((proptest::option::of(0_u64..1 << 50), any_message()), 0..6)
    ) {
        let sightings: Vec<_> = messages
            .into_iter()
            .map(|(at, message)| {
                let at = at.map(Instant::from_micros);
                Sighting { place: Place::Line(0), at, seen: Seen::Message(message) }
            })
            .collect();
        let mut text = Vec::new();
        for sighting in &sightings {
            write(sighting, &mut text);
        }
        let again: Vec<_> = self::sightings(&text).into_iter().map(|s| Sighting { place: Place::Line(0), ..s }).collect();
        prop_assert_eq!(again, sightings);
    }

    #[test]
    fn octets_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        property::text_trace(&bytes);
    }

    #[test]
    fn pieces_of_all_forms_never_panic(pieces in proptest::collection::vec(piece(), 0..30)) {
        property::text_trace(pieces.concat().as_bytes());
    }
}

/// What texts are made of.
fn piece() -> impl Strategy<Value = String> {
    let known = [
        "REGISTER sip:a.example SIP/2.0",
        "SIP/2.0 401 Unauthorized",
        "SIP/2.0 200 OK.",
        "aucSipMsg:",
        "**Security-Client**: ",
        "ipsec-3gpp;alg=hmac-md5-96,",
        "Via: SIP/2.0/UDP 10.0.0.1:5060",
        "Call-ID: 1.",
        "Content-Length: 12",
        "Content-Length: 99999999999999999999",
        "Content-Type: application/sdp",
        "[ Line  1 ] ",
        "05-16 12:50:56.100 26900 26926 D PHH     : > ",
        "U 2004/12/01 10:31:32.123456 10.0.0.1:5060 -> 10.0.0.2:5060",
        "Mar  6 13:34:49.416 On [6:0]10.0.0.1:5060 received from 10.0.0.2:5060",
        "====================\ntag: rcv\nsrcip: 10.0.0.1\n~~~~~~~~~~~~~~~~~~~~\n",
        "||||||||||||||||||||",
        "Frame 1: 60 bytes on wire\n",
        "Session Initiation Protocol\n    Request-Line: OPTIONS sip:a SIP/2.0\n    Message Header\n",
        "        Via: SIP/2.0/UDP a\n    Message Body\n        Session Description Protocol\n            x (v): 0\n",
        "+0.1 10.0.0.1:5060 -> 10.0.0.2:5060 UDP Sip 20 octets",
        "- - -> - - Diameter 20 octets cut hex",
        "\\r\\n",
        "#015#012",
        "\\u003c",
        " // x",
        "```",
        "--end msg--",
        "\u{a0}",
        "\n",
        "\r\n",
        "\n\n",
    ];
    prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,12}"]
}
