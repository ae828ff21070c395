//! What holds for every sequence of octets taken as a SIP message. The fuzz target and `tests/sip_properties.rs` call it.

use imsreg::sip::header::contact::Contacts;
use imsreg::sip::{HeaderName, Message, StartLine, Writer, frame};

/// Parsing, checking and every typed header end without a panic; framing agrees with parsing; what is copied out reads
/// the same.
pub(crate) fn sip_message(bytes: &[u8]) {
    let _ = frame::next(bytes);
    let _ = Message::salvage(bytes);
    let Ok(message) = Message::parse(bytes) else { return };
    let _ = message.check();
    read_all(&message);
    let copy = copied(&message);
    let again = Message::parse(&copy).expect("a copied message parses");
    assert_eq!(again.start(), message.start());
    assert_eq!(again.body(), message.body());
    let values = |message: &Message<'_>| -> Vec<(HeaderName, String)> {
        let lines = message.lines().filter(|line| line.name != HeaderName::ContentLength);
        lines.map(|line| (line.name, line.value.replace("\r\n", "\n"))).collect()
    };
    assert_eq!(values(&again), values(&message));
    assert_eq!(again.check(), message.check());
    let framed = frame::next(&copy).expect("a message with Content-Length frames");
    assert_eq!(framed, frame::Frame::Message(copy.len()));
}

/// Asks for everything.
fn read_all(message: &Message<'_>) {
    let _ = (message.via(), message.from(), message.to(), message.call_id(), message.cseq());
    let _ = (message.max_forwards(), message.expires(), message.charging_vector());
    if let Ok(Contacts::List(contacts)) = message.contacts() {
        for contact in contacts {
            let _ = (contact.instance(), contact.reg_id(), contact.q());
            assert!(contact.address.uri.equivalent(&contact.address.uri));
            contact.address.uri.canonical(&mut String::new());
        }
    }
    if let Ok(Some(credentials)) = message.authorization() {
        let _ = credentials.params().count();
    }
    let _ = message.challenges();
    for name in [HeaderName::SecurityClient, HeaderName::SecurityServer, HeaderName::SecurityVerify] {
        let _ = message.security(name);
    }
    for name in [HeaderName::Path, HeaderName::Route, HeaderName::PAssociatedUri] {
        let _ = message.name_addrs(name);
    }
    let _ = message.access_networks().count();
    for &(name, ..) in HeaderName::ALL {
        let _ = message.elements(name).count();
    }
}

fn copied(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = match message.start() {
        StartLine::Request { method, uri } => Writer::request(&mut out, method.as_str(), uri),
        StartLine::Response { status, reason } => Writer::response(&mut out, status, reason),
    };
    for line in message.lines().filter(|line| line.name != HeaderName::ContentLength) {
        writer.copy(&line);
    }
    writer.finish(message.body());
    out
}
