//! What a message says of whom it belongs to.

use crate::cx;
use crate::diameter::{Avps, Header, dictionary};
use crate::sip::header::contact::Contacts;
use crate::sip::{HeaderName, Message, Method, NameSet};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

/// Reads a message of a trace: whole, or as much of it as there is.
pub(super) fn read(bytes: &[u8]) -> Option<Message<'_>> {
    Message::parse(bytes).ok().or_else(|| Message::beginning(bytes))
}

/// The method that a message is about: its own, or that of the request it answers.
pub(super) fn method<'a>(message: &Message<'a>) -> Option<Method<'a>> {
    message.method().or_else(|| message.cseq().ok().map(|cseq| cseq.method))
}

/// How many elements a request has passed, the sender included: its Vias.
pub(super) fn vias(message: &Message<'_>) -> usize {
    message.elements(HeaderName::Via).count()
}

/// True for a REGISTER of an S-CSCF at an application server (TS 24.229 clause 5.4.1.7): it is about somebody else, and
/// nobody is to be authenticated.
pub(super) fn is_third_party(message: &Message<'_>) -> bool {
    is_about_another(message) && (message.status().is_some() || vias(message) <= 1)
}

/// The same, however many elements it has passed.
pub(super) fn is_about_another(message: &Message<'_>) -> bool {
    if message.has_any(OF_A_UE) || method(message) != Some(Method::Register) {
        return false;
    }
    message.from().is_ok_and(|from| message.to().is_ok_and(|to| !from.uri.equivalent(&to.uri)))
}

/// The private identity that a REGISTER tells, or that follows from its public one.
pub(super) fn impi<'a>(message: &Message<'a>) -> Option<&'a str> {
    let told =
        message.authorization().ok().flatten().and_then(|digest| digest.username).filter(|name| !name.is_empty());
    // User names of plain digest have no domain.
    told.or_else(|| message.to().ok().map(|to| to.uri.implied_impi()))
}

/// The public identity that a REGISTER is about.
pub(super) fn impu<'a>(message: &Message<'a>) -> Option<&'a str> {
    message.to().ok().map(|to| to.uri.text)
}

/// True for a REGISTER that asks for the end of its binding.
pub(super) fn is_deregistration(message: &Message<'_>) -> bool {
    match message.contacts() {
        Ok(Contacts::Star) => true,
        Ok(Contacts::List(contacts)) if !contacts.is_empty() => {
            contacts.iter().all(|contact| contact.expires.or_else(|| message.expires()) == Some(0))
        }
        _ => message.expires() == Some(0),
    }
}

/// The identity without parameters and with a scheme, as an index: what two spellings share.
pub(super) fn canonical(identity: &str) -> String {
    bare(identity).to_ascii_lowercase()
}

/// The same as it is spelled.
fn bare(identity: &str) -> &str {
    let text = identity.trim_matches(|c| matches!(c, '<' | '>'));
    let text = text.strip_prefix("sip:").or_else(|| text.strip_prefix("sips:")).unwrap_or(text);
    let end = text.bytes().position(|b| matches!(b, b';' | b'?'));
    &text[..end.unwrap_or(text.len())]
}

/// An identity as an index: equal for what [`canonical`] makes the same text of.
pub(super) fn hash(identity: &str, hasher: &impl BuildHasher) -> u64 {
    let (bare, mut hasher) = (bare(identity), hasher.build_hasher());
    let mut lower = [0; 64];
    for part in bare.as_bytes().chunks(lower.len()) {
        let lower = &mut lower[..part.len()];
        lower.copy_from_slice(part);
        lower.make_ascii_lowercase();
        hasher.write(lower);
    }
    hasher.finish()
}

/// What a Diameter message says.
pub(super) struct DiameterNames<'a> {
    pub(super) header: Header,
    pub(super) impi: Option<&'a str>,
    pub(super) impu: Option<&'a str>,
    pub(super) session: Option<&'a str>,
    pub(super) framed: Option<IpAddr>,
}

impl<'a> DiameterNames<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let header = Header::read(bytes)?;
        let avps = Avps::of(bytes);
        let text = |code, vendor| avps.find(code, vendor).and_then(|avp| avp.utf8().ok());
        let framed = avps.find(dictionary::FRAMED_IP_ADDRESS, 0).and_then(|avp| avp.octets().ok());
        let framed = framed.and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(IpAddr::from);
        Some(Self {
            header,
            impi: text(dictionary::USER_NAME, 0),
            impu: text(dictionary::PUBLIC_IDENTITY, cx::VENDOR),
            session: text(dictionary::SESSION_ID, 0),
            framed,
        })
    }
}

const OF_A_UE: NameSet = NameSet::of(&[
    HeaderName::Authorization,
    HeaderName::SecurityClient,
    HeaderName::SecurityServer,
    HeaderName::WwwAuthenticate,
    HeaderName::Path,
]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_registered_by_whom() {
        let own = b"REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:u@h>\r\nFrom: <sip:u@h>;tag=1\r\n\r\n";
        let third = b"REGISTER sip:as SIP/2.0\r\nVia: SIP/2.0/UDP s\r\nTo: <sip:u@h>\r\nFrom: <sip:s.h>;tag=1\r\n\r\n";
        assert!(!is_third_party(&read(own).unwrap()));
        assert!(is_third_party(&read(third).unwrap()));
        assert_eq!((impi(&read(own).unwrap()), impu(&read(own).unwrap())), (Some("u@h"), Some("sip:u@h")));
    }

    #[test]
    fn the_end_of_a_binding() {
        let register = |headers: &str| format!("REGISTER sip:h SIP/2.0\r\n{headers}\r\n");
        for (headers, expected) in [
            ("Contact: <sip:a@b>\r\nExpires: 0\r\n", true),
            ("Contact: <sip:a@b>;expires=0\r\nExpires: 60\r\n", true),
            ("Contact: *\r\nExpires: 0\r\n", true),
            ("Contact: <sip:a@b>;expires=0,<sip:a@c>;expires=9\r\n", false),
            ("Contact: <sip:a@b>\r\nExpires: 600000\r\n", false),
            ("", false),
        ] {
            assert_eq!(is_deregistration(&read(register(headers).as_bytes()).unwrap()), expected, "{headers}");
        }
    }

    #[test]
    fn spellings_of_an_identity() {
        assert_eq!(canonical("<sip:U@H;user=phone>"), canonical("sip:u@h"));
        assert_eq!(canonical("tel:+1"), "tel:+1");
    }
}
