//! P-Served-User (RFC 5502): for whom an application server or a proxy acts.

use super::HeaderName;
use super::name_addr::NameAddr;
use crate::sip::Message;

/// Whom an application server calls for, canonical: P-Served-User, or else the first of P-Asserted-Identity (TS 24.229
/// clause 5.4.3.2). `None`: neither can be read.
pub fn served_user(message: &Message<'_>) -> Option<String> {
    let mut impu = String::new();
    match message.header_named("P-Served-User") {
        Some(served) => NameAddr::parse(HeaderName::Other, served).ok()?.uri.canonical(&mut impu),
        None => message.name_addrs(HeaderName::PAssertedIdentity).ok()?.first()?.uri.canonical(&mut impu),
    }
    Some(impu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_counts_and_without_it_who_is_asserted() {
        let of = |lines: &str| {
            let text = format!("MESSAGE sip:b@x SIP/2.0\r\nCall-ID: 1\r\n{lines}Content-Length: 0\r\n\r\n");
            served_user(&Message::parse(text.as_bytes()).unwrap())
        };
        let asserted = "P-Asserted-Identity: \"A\" <sip:A@X>, <tel:+1>\r\n";
        let served = "P-Served-User: <sip:c@x>;sescase=orig;regstate=unreg\r\n";
        assert_eq!(of(&format!("{asserted}{served}")).as_deref(), Some("sip:c@x"));
        assert_eq!(of(asserted).as_deref(), Some("sip:A@x"));
        assert_eq!(of("P-Served-User: <\r\n"), None);
        assert_eq!(of(""), None);
    }
}
