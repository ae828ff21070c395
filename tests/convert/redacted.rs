//! What is redacted shows the same ladder, has the same verdicts, and holds nothing of whom it was.

use crate::scratch::Scratch;
use crate::{beside, convert, imsreg, name, shown, simulated, text, verdicts};
use imsreg::convert::redact::Redactor;
use imsreg::packet::{Protocol, Transport};
use imsreg::time::Instant;
use imsreg::trace::{Ends, Message, Place, Protection, Seen, Sighting};
use proptest::prelude::*;
use std::path::Path;

/// What a ladder shows of the course, and not of whom.
const OF_WHOM: [&str; 8] = ["impi", "impu", "source", "destination", "details", "label", "lines", "shut"];

#[track_caller]
fn assert_same_course(original: &Path, redacted: &Path) {
    assert_eq!(shown(redacted, &OF_WHOM), shown(original, &OF_WHOM), "{}", original.display());
    let (before, after) = (verdicts(original), verdicts(redacted));
    let digest = ["AK-03"];
    let differences: Vec<_> =
        before.symmetric_difference(&after).filter(|(rule, ..)| !digest.contains(&rule.as_str())).collect();
    assert!(differences.is_empty(), "{}: {differences:?}", original.display());
}

#[test]
fn a_simulated_registration() {
    for scenario in ["first-registration.yaml", "reg-event.yaml"] {
        let scratch = Scratch::new(&format!("redacted-{scenario}"));
        let capture = simulated(&scratch.0, scenario);
        let out = scratch.0.join("out.pcapng");
        let said = convert(&capture, &out, &["--redact"]);
        // The MAA tells XRES: every response is calculated anew.
        assert!(!said.contains("no longer verifies"), "{said}");
        assert_same_course(&capture, &out);
        assert_eq!(verdicts(&out), verdicts(&capture), "AK-03 as well");
        let octets = std::fs::read(&out).expect("written");
        for gone in ["001010000000001", "000000001@"] {
            assert!(memchr::memmem::find(&octets, gone.as_bytes()).is_none(), "{scenario}: {gone}");
        }
    }
}

#[test]
fn every_capture_beside_the_repository() {
    let scratch = Scratch::new("redacted-corpus");
    for file in beside("corpus/pcap", &[".pcap", ".pcapng"]) {
        let out = scratch.0.join("out.pcapng");
        convert(&file, &out, &["--redact", "--redact-seed", "a seed"]);
        assert_same_course(&file, &out);
        let (original, octets) = (std::fs::read(&file).expect("a file"), std::fs::read(&out).expect("written"));
        for gone in [
            &b"001011234567893"[..],
            b"0398765432100",
            b"192.168.101.",
            b"10.4.128.21",
            b"35622410-304848",
            b"1234567893",
        ] {
            let was = memchr::memmem::find(&original, gone).is_some();
            assert!(!was || memchr::memmem::find(&octets, gone).is_none(), "{}: {gone:?}", file.display());
        }
    }
}

/// Causes and remarks with their messages.
fn diagnoses(trace: &Path) -> String {
    let output = imsreg(&["diagnose", name(trace), "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{}: {e}: {}", trace.display(), text(&output.stderr)));
    let of = |list: &str| {
        let all = report[list].as_array().expect("a list").iter();
        all.map(|cause| format!("{} {} {}; ", cause["name"], cause["registration"], cause["messages"]))
            .collect::<String>()
    };
    format!("{}: {}", of("causes"), of("remarks"))
}

#[test]
fn what_is_wrong_with_a_trace_stays_wrong() {
    let scratch = Scratch::new("redacted-probes");
    for folder in ["clean", "faulty", "unobservable"] {
        for file in beside(&format!("probes/captures/{folder}"), &[".pcap", ".pcapng"]) {
            let out = scratch.0.join("out.pcapng");
            convert(&file, &out, &["--redact", "--redact-seed", "a seed"]);
            assert_same_course(&file, &out);
            assert_eq!(diagnoses(&out), diagnoses(&file), "{}", file.display());
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_octets_and_no_seed_others() {
    let scratch = Scratch::new("redacted-seed");
    let capture = simulated(&scratch.0, "first-registration.yaml");
    let of = |name: &str, flags: &[&str]| {
        let out = scratch.0.join(name);
        convert(&capture, &out, flags);
        std::fs::read(out).expect("written")
    };
    let seeded = of("a.pcapng", &["--redact", "--redact-seed", "7"]);
    assert!(seeded == of("b.pcapng", &["--redact", "--redact-seed", "7"]));
    assert!(seeded != of("c.pcapng", &["--redact", "--redact-seed", "8"]));
    assert!(of("d.pcapng", &["--redact"]) != of("e.pcapng", &["--redact"]));
}

fn redacted(redactor: &mut Redactor, bytes: &[u8], from: &str, to: &str) -> Sighting {
    let ends = Ends { from: from.parse().expect("ends"), to: to.parse().expect("ends"), transport: Transport::Udp };
    let message = Message {
        protocol: Protocol::Sip,
        ends: Some(ends),
        protection: Protection::Clear,
        cut: false,
        bytes: bytes.to_vec(),
    };
    let mut sighting = Sighting { place: Place::Packet(1), at: Some(Instant::ZERO), seen: Seen::Message(message) };
    redactor.redact(&mut sighting);
    sighting
}

fn bytes_of(sighting: &Sighting) -> &[u8] {
    match &sighting.seen {
        Seen::Message(message) => &message.bytes,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whoever it was, wherever he stands.
    #[test]
    fn nothing_of_an_identity_remains(
        msin in "[1-9][0-9]{8}",
        number in "[1-9][0-9]{9,11}",
        user in "[a-z]{6,10}",
        imei in "[0-9]{6}",
        v4 in any::<[u8; 4]>(),
        host in 1_u16..,
    ) {
        let v4 = std::net::Ipv4Addr::new(172, v4[1], v4[2], v4[3]);
        let v6 = format!("2a02:{:x}:{host:x}::{host:x}", v4.octets()[1]);
        let body = format!(
            "<reginfo><registration aor=\"sip:+{number}@home.example\"><contact callid=\"c-1@{v4}\"><uri>sip:{user}@[{v6}]</uri>\
             <display-name>tel:+{number}</display-name></contact></registration></reginfo>"
        );
        let message = format!(
            "NOTIFY sip:{user}@[{v6}]:5060 SIP/2.0\r\nVia: SIP/2.0/UDP {v4}:5060;branch=z9hG4bK{v4};received={v6}\r\n\
             Max-Forwards: 70\r\nRoute: <sip:{number}@{v4};lr>\r\n\
             From: \"{user}\" <sip:00101{msin}0@home.example>;tag=1\r\nTo: <tel:+{number}>;tag={number}\r\nCall-ID: c-1@{v4}\r\n\
             Contact: {user} <sip:{user}@[{v6}]>;expires=60;+sip.instance=\"<urn:gsma:imei:35999900-{imei}-0>\"\r\n\
             Authorization: Digest username=\"00101{msin}0@home.example\",realm=\"home.example\",nonce=\"abc\",uri=\"sip:home.example\",\
             response=\"0123456789abcdef0123456789abcdef\"\r\nCSeq: 7 NOTIFY\r\nContent-Type: application/reginfo+xml\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut redactor = Redactor::with_seed("test");
        let out = redacted(&mut redactor, message.as_bytes(), &format!("{v4}:5060"), &format!("[{v6}]:5060"));
        let found = String::from_utf8(bytes_of(&out).to_vec()).expect("UTF-8");
        let all = format!("{found}{:?}", out.seen);
        for gone in [&msin, &number, &user, &imei, &v4.to_string(), &v6] {
            prop_assert!(!all.contains(gone.as_str()), "{gone} in {found}");
        }
        for kept in ["NOTIFY sip:", ":5060 SIP/2.0\r\n", "home.example", "urn:gsma:imei:359999", "CSeq: 7 NOTIFY", "expires=60"] {
            prop_assert!(found.contains(kept), "{kept} not in {found}");
        }
        // Its length is right, and what was equal still is.
        let sip = imsreg::sip::Message::parse(found.as_bytes()).expect("a message");
        prop_assert_eq!(sip.bytes().len(), found.len());
        prop_assert_eq!(found.matches(&found[11..found.find('@').expect("a user")]).count(), message.matches(user.as_str()).count());
        let again = redacted(&mut redactor, message.as_bytes(), &format!("{v4}:5060"), &format!("[{v6}]:5060"));
        prop_assert_eq!(bytes_of(&again), bytes_of(&out));
    }

    /// Never a panic, whatever the octets.
    #[test]
    fn any_octets(head in proptest::collection::vec(any::<u8>(), 0..400), at in 0_usize..300, octet: u8) {
        let mut redactor = Redactor::with_seed("test");
        redacted(&mut redactor, &head, "192.0.2.1:5060", "192.0.2.2:5060");
        let mut message = b"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1];branch=1\r\nAuthorization: Digest username=\"a\",\
            response=\"00\", ck=\"zz\"\r\nContact: \"A\" <sip:a@b>;x=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\", B<tel:+1>\r\n\
            Content-Length: 5\r\n\r\nhello".to_vec();
        if let Some(place) = message.get_mut(at) {
            *place = octet;
        }
        redacted(&mut redactor, &message, "192.0.2.1:5060", "192.0.2.2:5060");
        let mut sighting = redacted(&mut redactor, b"x", "192.0.2.1:5060", "192.0.2.2:5060");
        let Seen::Message(inner) = &mut sighting.seen else { panic!("a message") };
        inner.protocol = Protocol::Diameter;
        inner.bytes = [&[1, 0, 0, octet, 0, 0, 1, 47][..], &head].concat();
        redactor.redact(&mut sighting);
    }
}
