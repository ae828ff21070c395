//! RFC 4475, RFC 5118, messages of Kamailio and malformed IMS messages: each gets the verdict that its index demands.

mod sip_support;

use imsreg::sip::header::contact::Contacts;
use imsreg::sip::{HeaderName, Message, Method, ParseError};
use sip_support::{field, index, read, shared};

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Accepted,
    Answered(u16),
    Discarded,
}

/// A receiver in miniature: what syntax alone decides, then what RFC 3261 clause 8.2 and TS 24.229 add for a server
/// that knows no extension but those of IMS, no body but SDP, and has no credentials to compare with.
fn receive(bytes: &[u8]) -> Outcome {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => match Message::salvage(bytes) {
            Some(_) => return Outcome::Answered(error.status()),
            None => return Outcome::Discarded,
        },
    };
    let typed = message.check().and_then(|()| {
        message.authorization()?;
        message.challenges()?;
        message.security(HeaderName::SecurityVerify)?;
        message.security(HeaderName::SecurityClient)
    });
    let Some(method) = message.method() else {
        return if typed.is_ok() { Outcome::Accepted } else { Outcome::Discarded };
    };
    match typed {
        Err(error) => Outcome::Answered(error.status),
        Ok(offer) => serve(&message, method, offer.0.iter().any(|m| m.alg.is_some() && m.mode != Some("tun"))),
    }
}

fn serve(message: &Message<'_>, method: Method<'_>, usable_offer: bool) -> Outcome {
    let known = ["path", "sec-agree", "100rel", "gruu", "outbound", "timer"];
    let unknown = |name| message.elements(name).any(|tag| !known.iter().any(|k| k.eq_ignore_ascii_case(tag)));
    let holds_sdp =
        |name| message.elements(name).any(|media| media.to_ascii_lowercase().starts_with("application/sdp"));
    if message.max_forwards() == Ok(Some(0)) {
        return Outcome::Answered(483);
    }
    if unknown(HeaderName::Require) || unknown(HeaderName::ProxyRequire) {
        return Outcome::Answered(420);
    }
    if method == Method::Invite {
        if message.header(HeaderName::ContentType).is_some() && !holds_sdp(HeaderName::ContentType) {
            return Outcome::Answered(415);
        }
        if message.header(HeaderName::Accept).is_some() && !holds_sdp(HeaderName::Accept) {
            return Outcome::Answered(406);
        }
    }
    if method == Method::Register && message.has_option(HeaderName::Require, "sec-agree") && !usable_offer {
        return Outcome::Answered(494);
    }
    let answers = matches!(message.authorization(), Ok(Some(digest)) if digest.response.is_some_and(|r| !r.is_empty()));
    if message.header(HeaderName::Authorization).is_some() && !answers {
        return Outcome::Answered(401);
    }
    Outcome::Accepted
}

/// Statuses that syntax alone gives.
fn is_syntax(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Discarded | Outcome::Answered(400 | 416 | 501 | 505 | 513))
}

#[test]
fn every_message_gets_the_verdict_of_the_index() {
    let Some(folder) = shared("the torture corpus", "corpus/torture") else { return };
    let entries = index(&folder.join("index.yaml"));
    assert_eq!(entries.len(), 80, "49 of RFC 4475, 12 of RFC 5118, 5 of Kamailio, 14 of IMS");
    let mut failures = Vec::new();
    for entry in &entries {
        let file = field(entry, "file").expect("a file name");
        let outcome = receive(&read(&folder.join(file)));
        let expect = field(entry, "expect").unwrap_or("null");
        let expected = match expect {
            "null" | "200" => Outcome::Accepted,
            "discard" => Outcome::Discarded,
            status => Outcome::Answered(status.parse().expect("a status")),
        };
        let sound = match field(entry, "verdict") {
            // A broadcast address in the second Via is well-formed; not forwarding it there is a proxy's business.
            Some("valid") if expect == "discard" => !is_syntax(outcome),
            Some("valid" | "must-reject") => outcome == expected,
            Some("tolerate") => [expected, Outcome::Accepted].contains(&outcome) || is_syntax(outcome),
            _ => true,
        };
        if !sound {
            failures.push(format!("{file}: {outcome:?} instead of {expected:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_vector_of_rfc_4475_gets_its_verdict() {
    let Some(path) = shared("the vectors of RFC 4475", "spec/vectors/sip_torture.json") else { return };
    let vectors: serde_json::Value = serde_json::from_slice(&read(&path)).expect("JSON");
    let messages = vectors["messages"].as_array().expect("a list");
    assert_eq!(messages.len(), 49);
    let mut failures = Vec::new();
    for vector in messages {
        let text = |key: &str| vector[key].as_str().unwrap_or("").to_owned();
        let bytes = data_encoding::BASE64.decode(text("base64").as_bytes()).expect("base64");
        assert_eq!(vector["length"], bytes.len());
        let outcome = receive(&bytes);
        let expect = text("expect");
        let mut allowed = Vec::new();
        if ["accept", "or repair", "or read"].iter().any(|word| expect.contains(word)) {
            allowed.push(Outcome::Accepted);
        }
        if expect == "drop response" {
            // bcast is well-formed: what is dropped there is the proxy's copy.
            allowed.push(if text("id") == "bcast" { Outcome::Accepted } else { Outcome::Discarded });
        }
        let statuses = expect.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
        allowed.extend(statuses.filter(|&status| (400..700).contains(&status)).map(Outcome::Answered));
        assert!(!allowed.is_empty(), "{expect}");
        if !allowed.contains(&outcome) {
            failures.push(format!("{}: {outcome:?}, not '{expect}'", text("id")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What some of the messages are about, beyond accepted or refused.
#[test]
fn what_the_messages_are_about() {
    let Some(folder) = shared("the details of the torture corpus", "corpus/torture") else { return };
    let with = |file: &str, look: &dyn Fn(&Message<'_>)| {
        let bytes = read(&folder.join(file));
        look(&Message::parse(&bytes).unwrap_or_else(|error| panic!("{file}: {error}")));
    };
    with("rfc4475/wsinv.sip", &|m| {
        assert_eq!((m.to().unwrap().tag(), m.from().unwrap().tag()), (Some("1918181833n"), Some("98asjd8")));
        assert_eq!((m.max_forwards(), m.cseq().unwrap().number), (Ok(Some(68)), 9));
        assert_eq!(m.from().unwrap().display, Some(r#""J Rosenberg \\\"""#));
        assert_eq!(m.elements(HeaderName::Via).count(), 3);
        assert_eq!(m.header_named("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
        let route = m.name_addrs(HeaderName::Route).unwrap();
        assert!(route[0].uri.params.has("lr") && route[0].uri.params.has("unknown-no-value"));
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("one Contact") };
        assert_eq!((contacts[0].q(), contacts[0].address.params.has("secondparam")), (Some(330), true));
        assert_eq!(m.body().len(), 150);
    });
    with("rfc4475/intmeth.sip", &|m| {
        assert_eq!(m.method(), Some(Method::Other("!interesting-Method0123456789_*+`.%indeed'~")));
        assert_eq!(m.from().unwrap().params.value("fromParam''~+*_!.-%"), Some("работающий"));
        assert_eq!(m.header_named("extensionheader-!.%*+_`'~"), Some("\u{feff}大停電"));
    });
    with("rfc4475/esc01.sip", &|m| {
        assert_eq!(m.to().unwrap().uri.user, Some("%75se%72"));
        let mut canonical = String::new();
        m.to().unwrap().uri.canonical(&mut canonical);
        assert_eq!(canonical, "sip:user@example.com");
    });
    with("rfc4475/escnull.sip", &|m| {
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("two Contacts") };
        assert!(!contacts[0].address.uri.equivalent(&contacts[1].address.uri));
    });
    with("rfc4475/esc02.sip", &|m| {
        assert_eq!(m.method(), Some(Method::Other("RE%47IST%45R")));
        assert_ne!(m.method(), Some(Method::Register));
    });
    with("rfc4475/dblreq.sip", &|m| assert_eq!((m.body().len(), m.cseq().unwrap().number), (0, 8)));
    with("rfc4475/semiuri.sip", &|m| {
        let uri = imsreg::sip::Uri::parse(m.request_uri().unwrap()).unwrap();
        assert_eq!((uri.user, uri.params.iter().count()), (Some("user;par=u%40example.net"), 0));
    });
    with("rfc4475/longreq.sip", &|m| assert_eq!(m.elements(HeaderName::Via).count(), 34));
    with("rfc4475/cparam01.sip", &|m| {
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("one Contact") };
        assert!(contacts[0].address.params.has("unknownparam") && !contacts[0].address.uri.params.has("unknownparam"));
    });
    with("rfc4475/cparam02.sip", &|m| {
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("one Contact") };
        assert!(!contacts[0].address.params.has("unknownparam") && contacts[0].address.uri.params.has("unknownparam"));
    });
    with("rfc4475/regescrt.sip", &|m| {
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("one Contact") };
        assert_eq!(contacts[0].address.uri.headers, Some("Route=%3Csip:sip.example.com%3E"));
    });
    with("rfc5118/port-ambiguous.sip", &|m| {
        let uri = imsreg::sip::Uri::parse(m.request_uri().unwrap()).unwrap();
        assert_eq!((uri.host, uri.port), ("[2001:db8::10:5070]", None));
    });
    with("rfc5118/port-unambiguous.sip", &|m| {
        let uri = imsreg::sip::Uri::parse(m.request_uri().unwrap()).unwrap();
        assert_eq!((uri.host, uri.port), ("[2001:db8::10]", Some(5070)));
    });
    for file in ["rfc5118/via-received-param-with-delim.sip", "rfc5118/via-received-param-no-delim.sip"] {
        with(file, &|m| assert_eq!(m.via().unwrap().received(), "2001:db8::9:255".parse().ok(), "{file}"));
    }
    with("ims-malformed/contact-bad-expires.sip", &|m| {
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("one Contact") };
        assert_eq!(contacts[0].expires, Some(3600));
    });
    with("kamailio/kam-register02.sip", &|m| {
        let Contacts::List(contacts) = m.contacts().unwrap() else { panic!("one Contact") };
        assert_eq!((contacts[0].expires, m.expires()), (Some(2), Some(0)));
    });
    with("kamailio/kam-bad_via1.sip", &|m| assert_eq!(m.via().unwrap().host, "193.175.133.193"));
}

/// The faults of framing have names of their own.
#[test]
fn framing_faults() {
    let fault = |bytes: &[u8]| Message::parse(bytes).expect_err("a fault");
    assert_eq!(fault(b""), ParseError::Truncated);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\nVia: x\r\n"), ParseError::Truncated);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\nVia: x\r\n y"), ParseError::Truncated);
    assert_eq!(fault(b"INVITE sip:a HTTP/1.1\r\n\r\n"), ParseError::StartLine);
    assert_eq!(fault(b"INVITE  sip:a SIP/2.0\r\n\r\n"), ParseError::StartLine);
    assert_eq!(fault(b"IN@VITE sip:a SIP/2.0\r\n\r\n"), ParseError::StartLine);
    assert_eq!(fault(b"INVITE sip:a SIP/7.0\r\n\r\n"), ParseError::Version);
    assert_eq!(fault(b"SIP/3.0 200 OK\r\n\r\n"), ParseError::Version);
    assert_eq!(fault(b"SIP/2.0 99 X\r\n\r\n"), ParseError::Status);
    assert_eq!(fault(b"SIP/2.0 700 X\r\n\r\n"), ParseError::Status);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\nno colon\r\n\r\n"), ParseError::HeaderLine);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\n: x\r\n\r\n"), ParseError::HeaderLine);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\n folded: x\r\n\r\n"), ParseError::HeaderLine);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\nA: x\rVia: y\r\n\r\n"), ParseError::HeaderLine);
    assert_eq!(fault(b"INVITE sip:a SIP/2.0\r\nA: \xff\r\n\r\n"), ParseError::Encoding);
    for length in ["1", "-0", "+0", "x", "", "99999999999999999999999", "0\r\nl: 1"] {
        let bytes = format!("INVITE sip:a SIP/2.0\r\nl: {length}\r\n\r\n");
        assert_eq!(fault(bytes.as_bytes()), ParseError::ContentLength, "{length}");
    }
    let lines = "A: x\r\n".repeat(600);
    assert_eq!(fault(format!("INVITE sip:a SIP/2.0\r\n{lines}\r\n").as_bytes()), ParseError::TooLarge);
    let long = "x".repeat(70_000);
    assert_eq!(fault(format!("INVITE sip:a SIP/2.0\r\nA: {long}\r\n\r\n").as_bytes()), ParseError::TooLarge);
}
