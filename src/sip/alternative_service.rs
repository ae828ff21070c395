//! `application/3gpp-ims+xml` with an alternative service (TS 24.229 clause 7.6): the network sends a UE back to an
//! initial registration.

use super::{HeaderName, Message};
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Content-Type.
pub const CONTENT_TYPE: &str = "application/3gpp-ims+xml";

/// "Register anew": what was known of the user is lost.
pub const INITIAL_REGISTRATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ims-3gpp version=\"1\">\
     <alternative-service><type>restoration</type><reason>registration lost</reason>\
     <action>initial-registration</action></alternative-service></ims-3gpp>\n";

/// True when `response` asks for an initial registration: type `restoration`, action `initial-registration`.
pub fn asks_for_registration(response: &Message<'_>) -> bool {
    let is_of_type = response.header(HeaderName::ContentType).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or(value);
        essence.trim().eq_ignore_ascii_case(CONTENT_TYPE)
    });
    is_of_type && std::str::from_utf8(response.body()).is_ok_and(is_restoration)
}

fn is_restoration(xml: &str) -> bool {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut kind, mut action) = (Vec::new(), String::new(), String::new());
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => path.push(start.local_name().as_ref().to_vec()),
            Ok(Event::End(_)) => drop(path.pop()),
            Ok(Event::Text(text)) => {
                let names: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
                let Ok(text) = text.decode() else { return false };
                match names[..] {
                    [b"ims-3gpp", b"alternative-service", b"type"] => kind.push_str(text.trim()),
                    // Later versions of the schema put it into an extension.
                    [b"ims-3gpp", b"alternative-service", .., b"action"] => action.push_str(text.trim()),
                    _ => {}
                }
            }
            Ok(Event::Eof) => return path.is_empty() && kind == "restoration" && action == "initial-registration",
            // What is no XML asks for nothing; a DTD is not expected.
            Err(_) | Ok(Event::DocType(_)) => return false,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_understood() {
        assert!(is_restoration(INITIAL_REGISTRATION));
        let extension = "<ims-3gpp version=\"1\"><alternative-service>\n <type>restoration</type><reason/>\
                         <anyext><action> initial-registration </action></anyext></alternative-service></ims-3gpp>";
        assert!(is_restoration(extension));
    }

    #[test]
    fn others_are_not_taken_for_it() {
        let emergency = INITIAL_REGISTRATION.replace("restoration", "emergency");
        let elsewhere = INITIAL_REGISTRATION.replace("alternative-service", "service-info");
        let other_action = INITIAL_REGISTRATION.replace("initial-registration", "emergency-registration");
        let open = INITIAL_REGISTRATION.replace("</ims-3gpp>", "");
        for xml in [&*emergency, &elsewhere, &other_action, &open, "", "restoration", "<ims-3gpp>"] {
            assert!(!is_restoration(xml), "{xml}");
        }
    }

    #[test]
    fn the_content_type_counts() {
        let response = |kind: &str| {
            let xml = INITIAL_REGISTRATION;
            format!(
                "SIP/2.0 504 Server Time-out\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n\
                 To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Type: {kind}\r\n\
                 Content-Length: {}\r\n\r\n{xml}",
                xml.len()
            )
        };
        for (kind, asks) in
            [(CONTENT_TYPE, true), ("Application/3GPP-IMS+xml;charset=utf-8", true), ("text/plain", false)]
        {
            let text = response(kind);
            assert_eq!(asks_for_registration(&Message::parse(text.as_bytes()).unwrap()), asks, "{kind}");
        }
    }
}
