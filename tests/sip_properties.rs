//! SIP for octets that nobody has thought of: no panic, parse(emit(x)) = x, framing does not depend on segments.

#[path = "../fuzz/properties/sec_agree.rs"]
mod sec_agree;
#[path = "../fuzz/properties/sip_message.rs"]
mod sip_message;

use imsreg::sip::frame::{self, Frame};
use imsreg::sip::header::contact::Contacts;
use imsreg::sip::{HeaderName, Message, Writer};
use proptest::prelude::*;

/// Octets that are SIP in large part: pieces of messages in any order.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&str] = &[
    "REGISTER sip:a.b SIP/2.0\r\n",
    "SIP/2.0 200 OK\r\n",
    "\r\n",
    "\n",
    " ",
    "\t",
    "\r\n ",
    ",",
    ";",
    "=",
    "\"",
    "\\",
    "<",
    ">",
    ":",
    "@",
    "%41",
    "%",
    "[2001:db8::1]",
    "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\n",
    "v: SIP / 2.0 / TCP h:5060 ;rport ,",
    "From: <sip:a@b>;tag=1\r\n",
    "t: \"x\" <sip:a@b>\r\n",
    "Call-ID: x@y\r\n",
    "CSeq: 1 REGISTER\r\n",
    "Max-Forwards: 70\r\n",
    "m: <sip:a@[::1]:5060>;expires=7;+sip.instance=\"<urn:x>\"\r\n",
    "Contact: *\r\n",
    "Expires: 0\r\n",
    "l: 0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: -1\r\n",
    "Authorization: Digest username=\"a\",realm=b,nonce=\"\",auts=\"AAAA\"\r\n",
    "WWW-Authenticate: Digest realm=\"a\",nonce=\"b\",qop=\"auth,auth-int\"\r\n",
    "Security-Client: ipsec-3gpp;alg=hmac-md5-96;spi-c=1;spi-s=2;port-c=3;port-s=4;q=0.5\r\n",
    "P-Associated-URI: <sip:a@b> <tel:+1>\r\n",
    "P-Charging-Vector: icid-value=\"x\";orig-ioi=y\r\n",
    "P-Access-Network-Info: 3GPP-NR;network-provided\r\n",
    "Require: sec-agree, path\r\n",
    "X-Any: thing\r\n",
    "sip:a@b;lr?x=y",
    "tel:+1-2",
];

/// A message whose header values are as given.
fn emitted(values: &[(HeaderName, String)], other: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::request(&mut out, "REGISTER", "sip:example.com");
    for (name, value) in values {
        writer.header(*name, value);
    }
    writer.header_named("X-Other", other).header_fmt(HeaderName::UserAgent, format_args!("{other}{}", 1));
    writer.finish(body);
    out
}

/// How a stream is cut, as `frame` reads it when it arrives in `segments`.
fn frames(segments: &[&[u8]]) -> Vec<(Frame, Vec<u8>)> {
    let mut buffer = Vec::new();
    let mut found = Vec::new();
    for segment in segments {
        buffer.extend_from_slice(segment);
        while let Ok(frame) = frame::next(&buffer) {
            let length = match frame {
                Frame::Message(length) | Frame::Ping(length) | Frame::Skip(length) => length,
                Frame::Incomplete => break,
            };
            assert!(length > 0 && length <= buffer.len(), "{frame:?} of {} octets", buffer.len());
            found.push((frame, buffer.drain(..length).collect()));
        }
    }
    found
}

/// Skipped octets side by side are one, however many calls it took.
fn merged(frames: Vec<(Frame, Vec<u8>)>) -> Vec<(bool, Vec<u8>)> {
    let mut merged: Vec<(bool, Vec<u8>)> = Vec::new();
    for (frame, bytes) in frames {
        let skip = matches!(frame, Frame::Skip(_));
        match merged.last_mut() {
            Some((true, last)) if skip => last.extend(bytes),
            _ => merged.push((skip, bytes)),
        }
    }
    merged
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_octets(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        sip_message::sip_message(&bytes);
        sec_agree::sec_agree(&bytes);
    }

    #[test]
    fn octets_that_look_like_sip(bytes in pieces()) {
        sip_message::sip_message(&bytes);
        sec_agree::sec_agree(&bytes);
    }

    #[test]
    fn a_sound_offer_with_one_octet_changed(at in 0usize..1000, octet in any::<u8>()) {
        let mut bytes = include_bytes!("../fuzz/corpus/sec_agree/client").to_vec();
        let at = at * bytes.len() / 1000;
        bytes[at] = octet;
        sec_agree::sec_agree(&bytes);
    }

    #[test]
    fn a_sound_message_with_one_octet_changed(at in 0usize..1000, octet in any::<u8>()) {
        let mut bytes = include_bytes!("data/seeds/ims-03-register-auth.sip").to_vec();
        let at = at * bytes.len() / 1000;
        bytes[at] = octet;
        sip_message::sip_message(&bytes);
    }

    #[test]
    fn values_survive_emit_and_parse(
        values in proptest::collection::vec((0..HeaderName::ALL.len(), "[ -~\u{e9}\u{5927}]{0,40}"), 0..60),
        other in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let values: Vec<_> = values
            .into_iter()
            .map(|(index, value)| (HeaderName::ALL[index].0, value))
            .filter(|(name, _)| *name != HeaderName::ContentLength)
            .collect();
        let bytes = emitted(&values, &other, &body);
        let message = Message::parse(&bytes).expect("what is emitted parses");
        let read: Vec<_> = message.lines().map(|line| (line.name, line.value.to_owned())).collect();
        let trimmed = values.iter().map(|(name, value)| (*name, value.trim_matches(' ').to_owned()));
        prop_assert_eq!(&read[..values.len()], &trimmed.collect::<Vec<_>>()[..]);
        prop_assert_eq!(message.header_named("x-other"), Some(other.trim_matches(' ')));
        prop_assert_eq!(message.body(), &body[..]);
    }

    #[test]
    fn no_value_can_start_a_line(value in "[\r\n a:]{0,40}", uri in "[\r\na ]{1,10}") {
        let mut out = Vec::new();
        let mut writer = Writer::request(&mut out, "REGISTER", &format!("sip:{uri}"));
        writer.header(HeaderName::Subject, &value);
        writer.header_fmt(HeaderName::Server, format_args!("{value}{}", 1));
        writer.header_named(&format!("X{value}"), &value);
        writer.finish(&[]);
        let message = Message::parse(&out).expect("what is emitted parses");
        prop_assert_eq!(message.lines().count(), 4);
        prop_assert_eq!(message.body().len(), 0);
        let mut response = Vec::new();
        Writer::response(&mut response, 200, &value).finish(&[]);
        prop_assert_eq!(Message::parse(&response).expect("what is emitted parses").lines().count(), 1);
    }

    #[test]
    fn framing_does_not_depend_on_segments(bytes in pieces(), cuts in proptest::collection::vec(0usize..1000, 0..6)) {
        let whole = merged(frames(&[&bytes]));
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut * bytes.len() / 1000).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let segments: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&merged(frames(&segments)), &whole);
        let octets: Vec<_> = bytes.chunks(1).collect();
        prop_assert_eq!(merged(frames(&octets)), whole);
    }
}

/// Found by the fuzz target.
#[test]
fn white_space_behind_the_numbers_of_an_offer_is_not_of_it() {
    sec_agree::sec_agree(include_bytes!("../fuzz/corpus/sec_agree/line-ends-behind-numbers"));
}

#[test]
fn messages_keep_alives_and_junk_at_every_octet() {
    let register = &include_bytes!("data/seeds/ims-01-register.sip")[..];
    let body = &include_bytes!("data/seeds/ivms-keepalive-01-message.sip")[..];
    let stream = [b"\r\n\r\n", register, b"\r\n", b"\x00\x01junk\r\n", body, b"\x01\x02", register].concat();
    let expected = [
        (false, b"\r\n\r\n".to_vec()),
        (false, register.to_vec()),
        (true, b"\r\n\x00\x01junk\r\n".to_vec()),
        (false, body.to_vec()),
        (true, b"\x01\x02".to_vec()),
        (false, register.to_vec()),
    ];
    for cut in 0..=stream.len() {
        let (one, two) = stream.split_at(cut);
        assert_eq!(merged(frames(&[one, two])), expected, "cut at {cut}");
    }
    assert_eq!(merged(frames(&stream.chunks(1).collect::<Vec<_>>())), expected);
}

#[test]
fn contacts_survive_emit_and_parse() {
    let seed = include_bytes!("data/seeds/ims-03-register-auth.sip");
    let message = Message::parse(seed).expect("the seed parses");
    let Ok(Contacts::List(before)) = message.contacts() else { panic!("one Contact") };
    let mut out = Vec::new();
    let mut writer = Writer::response(&mut out, 200, "OK");
    writer.header(HeaderName::Contact, before[0].address.text);
    writer.finish(&[]);
    let again = Message::parse(&out).expect("what is emitted parses");
    let Ok(Contacts::List(after)) = again.contacts() else { panic!("one Contact") };
    assert!(before[0].address.uri.equivalent(&after[0].address.uri));
    assert_eq!(before[0].address.params, after[0].address.params);
}
