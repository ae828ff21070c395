//! Messages and header values of handsets and cores (`corpus/ims`, read in place).

mod sip_support;

use imsreg::reginfo::{Fault, Watcher};
use imsreg::sip::header::access_network::AccessNetwork;
use imsreg::sip::header::contact::Contacts;
use imsreg::sip::header::sec_agree::Mechanisms;
use imsreg::sip::{HeaderName, Message, StartLine, frame};
use sip_support::{field, index, read, scalar, shared};

/// The printing conventions of RFC 5627 (`<allOneLine>`) stand inside this message.
const NOT_SIP: &str = "rfc5627-200-gruu.sip";

#[test]
fn every_message_is_read() {
    let Some(folder) = shared("the IMS corpus", "corpus/ims") else { return };
    let entries = index(&folder.join("index.yaml"));
    assert_eq!(entries.len(), 73);
    for entry in &entries {
        let file = field(entry, "file").expect("a file name");
        let bytes = read(&folder.join(file));
        let message = Message::parse(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(message.bytes().len().to_string(), field(entry, "octets").expect("a size"), "{file}");
        assert_eq!(frame::next(&bytes), Ok(frame::Frame::Message(message.bytes().len())), "{file}");
        if file == NOT_SIP {
            assert_eq!(message.check().expect_err("a fault").header, HeaderName::CSeq);
            continue;
        }
        message.check().unwrap_or_else(|error| panic!("{file}: {error}"));
        let what = match message.start() {
            StartLine::Request { method, .. } => method.to_string(),
            StartLine::Response { status, .. } => status.to_string(),
        };
        assert_eq!(what, field(entry, "what").expect("method or status"), "{file}");
        let cseq = message.cseq().expect("checked");
        assert_eq!(format!("{} {}", cseq.number, cseq.method), field(entry, "cseq").expect("a CSeq"), "{file}");
        assert_eq!(message.call_id().expect("checked"), field(entry, "call_id").expect("a Call-ID"), "{file}");
        let transport = field(entry, "transport").expect("a transport");
        assert!(message.via().expect("checked").transport.eq_ignore_ascii_case(transport), "{file}");
        read_typed(file, &message);
        let offers = message.security(HeaderName::SecurityClient).expect("read above").0.len();
        if let Some(expected) = field(entry, "security_client_offers") {
            assert_eq!(offers.to_string(), expected, "{file}");
        }
    }
}

/// Every typed header of a message that a peer sent in earnest can be read.
fn read_typed(file: &str, message: &Message<'_>) {
    let sound = |name: &str, fault: Option<imsreg::sip::HeaderError>| {
        assert!(fault.is_none(), "{file}: {name}: {fault:?}");
    };
    sound("Authorization", message.authorization().err());
    sound("WWW-Authenticate", message.challenges().err());
    sound("P-Charging-Vector", message.charging_vector().err());
    sound("P-Access-Network-Info", message.access_networks().find_map(Result::err));
    for name in [HeaderName::SecurityClient, HeaderName::SecurityServer, HeaderName::SecurityVerify] {
        sound(name.as_str(), message.security(name).err());
    }
    for name in [
        HeaderName::Path,
        HeaderName::ServiceRoute,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::PAssociatedUri,
        HeaderName::PAssertedIdentity,
        HeaderName::PPreferredIdentity,
        HeaderName::PCalledPartyId,
    ] {
        sound(name.as_str(), message.name_addrs(name).err());
    }
    for challenge in message.challenges().expect("read above") {
        assert!(challenge.realm.is_some() && challenge.nonce.is_some(), "{file}");
    }
}

#[test]
fn single_header_values() {
    let Some(path) = shared("the header values of the IMS corpus", "corpus/ims/headers.yaml") else { return };
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for (section, rows) in sections(&String::from_utf8(read(&path)).expect("UTF-8")) {
        for row in rows {
            let value = row.value.as_str();
            match section.as_str() {
                "security_client" => {
                    let list = Mechanisms::parse(HeaderName::SecurityClient, std::iter::once(value)).expect(value).0;
                    assert_eq!(Some(list.len()), row.number("offers"), "{value}");
                    assert!(list.iter().all(|m| m.name != "ipsec-3gpp" || m.spi_c.is_some() && m.port_s.is_some()));
                }
                "security_server" => {
                    let list = Mechanisms::parse(HeaderName::SecurityServer, std::iter::once(value)).expect(value).0;
                    assert_eq!(list[0].alg.is_some(), row.field("usable") != Some("false"), "{value}");
                }
                "p_access_network_info" => {
                    match AccessNetwork::parse(value) {
                        Ok(info) => assert!(!info.access_type.is_empty() && !info.is_network_provided()),
                        // A handset wrote two headers into one value.
                        Err(_) => assert!(value.contains(": 3GPP-UTRAN; np"), "{value}"),
                    }
                }
                "p_associated_uri" => {
                    // Digits of a subscriber are masked by letters.
                    let masked = value.replace(['X', 'Y'], "0");
                    let bytes = format!("SIP/2.0 200 OK\r\nP-Associated-URI: {masked}\r\n\r\n");
                    let message = Message::parse(bytes.as_bytes()).expect("it frames");
                    let uris = message.name_addrs(HeaderName::PAssociatedUri).expect(value);
                    assert_eq!(Some(uris.len()), row.number("uris"), "{value}");
                }
                "contact" => {
                    let Contacts::List(list) = Contacts::parse(std::iter::once(value)).expect(value) else {
                        panic!("{value}")
                    };
                    assert!(list[0].address.uri.is_sip());
                }
                _ => continue,
            }
            *counts.entry(section.clone()).or_default() += 1;
        }
    }
    let counts: Vec<_> = counts.iter().map(|(section, count)| (section.as_str(), *count)).collect();
    let expected = [
        ("contact", 3),
        ("p_access_network_info", 9),
        ("p_associated_uri", 3),
        ("security_client", 7),
        ("security_server", 5),
    ];
    assert_eq!(counts, expected);
}

/// One row of headers.yaml.
struct Row {
    value: String,
    fields: Vec<(String, String)>,
}

impl Row {
    fn field(&self, key: &str) -> Option<&str> {
        field(&self.fields, key)
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.field(key)?.parse().ok()
    }
}

/// headers.yaml: sections of rows, a row being a scalar or a map with `value`.
fn sections(text: &str) -> Vec<(String, Vec<Row>)> {
    let mut sections: Vec<(String, Vec<Row>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with([' ', '-'])) {
            sections.push((name.to_owned(), Vec::new()));
            continue;
        }
        let Some((_, rows)) = sections.last_mut() else { continue };
        let (text, new) = match line.strip_prefix("- ") {
            Some(text) => (text, true),
            None => (line.trim_start(), false),
        };
        if new {
            rows.push(Row { value: scalar(text), fields: Vec::new() });
        }
        let Some(row) = rows.last_mut() else { continue };
        let key = text.split_once(": ").filter(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        if let Some((key, value)) = key {
            if key == "value" {
                row.value = scalar(value);
            }
            row.fields.push((key.to_owned(), scalar(value)));
        }
    }
    sections
}

/// A core that a tablet accepts: versions that do not begin at 0, and one id for the contact of two identities.
#[test]
fn a_notify_of_the_corpus() {
    let Some(folder) = shared("the IMS corpus", "corpus/ims") else { return };
    let bytes = read(&folder.join("ims-samsung-11-notify.sip"));
    let message = Message::parse(&bytes).expect("a NOTIFY");
    let set = ["tel:0398765432100", "sip:0398765432100"];
    let verdict = Watcher::new().take(message.body(), &set);
    assert_eq!(verdict.faults, [Fault::FirstVersion(2), Fault::RepeatedContactId]);
    let document = verdict.document.expect("it can be read");
    let uri = "sip:192.168.101.5:6300;alias=192.168.101.5~6301~2";
    let (registration, contact) = document.about(uri).next().expect("the contact of the tablet");
    assert_eq!((&*registration.aor, contact.expires, contact.q.as_deref()), (set[0], Some(3599), Some("1.000")));
    assert_eq!(contact.params[3], ("+sip.instance".into(), "\"<urn:gsma:imei:35622410-304848-0>\"".into()));
}
