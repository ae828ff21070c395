//! What matters in a SIP message of a registration.

use super::{Summary, identity, key, short};
use crate::sip::header::contact::Contacts;
use crate::sip::header::digest::Digest;
use crate::sip::header::sec_agree::Mechanisms;
use crate::sip::keep_alive::{PING, PONG};
use crate::sip::stun::Stun;
use crate::sip::{HeaderName, Message, Method, StartLine};

/// What is no message and keeps a flow open (RFC 5626 clause 3.5).
pub(super) fn keep_alive(bytes: &[u8]) -> Option<Summary> {
    let label = match (bytes, Stun::read(bytes)) {
        (PING, _) => "CRLF CRLF",
        (PONG, _) => "CRLF",
        (_, Some(Stun::Request { .. })) => "STUN binding request",
        (_, Some(Stun::Response { .. })) => "STUN binding response",
        (_, Some(Stun::Other)) => "STUN",
        (_, None) => return None,
    };
    Some(Summary::new(label.to_owned()))
}

pub(super) fn summary(message: &Message<'_>, show_keys: bool) -> Summary {
    match message.start() {
        StartLine::Request { method, uri } => request(message, method, uri),
        StartLine::Response { status, reason } => response(message, status, reason, show_keys),
    }
}

fn request(message: &Message<'_>, method: Method<'_>, uri: &str) -> Summary {
    let mut s = Summary::new(method.as_str().to_owned());
    if method == Method::Register {
        s.say(message.to().ok().map(|to| identity(to.uri.text)));
    } else {
        s.say(Some(uri.to_owned()));
    }
    s.say(message.header(HeaderName::Event).map(|event| format!("event {event}")));
    s.say(message.header(HeaderName::SubscriptionState).map(ToOwned::to_owned));
    s.say(message.expires().map(expires));
    if let Ok(Some(digest)) = message.authorization() {
        credentials(&digest, &mut s);
    }
    for (name, what) in [(HeaderName::SecurityClient, "offers"), (HeaderName::SecurityVerify, "verifies")] {
        s.say(message.security(name).ok().and_then(|list| agreement(&list, what)));
    }
    s
}

fn response(message: &Message<'_>, status: u16, reason: &str, show_keys: bool) -> Summary {
    let mut s = Summary::new(format!("{status} {reason}").trim_end().to_owned());
    let method = message.cseq().ok().map(|cseq| cseq.method).filter(|method| *method != Method::Register);
    s.say(method.map(|method| method.to_string()));
    for challenge in message.challenges().unwrap_or_default() {
        s.say(challenge.algorithm.map(ToOwned::to_owned));
        s.say(challenge.nonce.map(|nonce| format!("nonce {}", short(nonce))));
        let keys = [("ck", challenge.ck), ("ik", challenge.ik)].map(|(name, k)| Some((name, key(show_keys, k?))));
        let keys: Vec<String> = keys.iter().flatten().map(|(name, key)| format!("{name} {key}")).collect();
        s.say(Some(keys.join(" ")));
        s.say(challenge.qop.map(|qop| format!("qop {qop}")));
        s.say(challenge.stale.map(|stale| format!("stale={stale}")));
    }
    s.say(message.security(HeaderName::SecurityServer).ok().and_then(|list| agreement(&list, "agrees to")));
    if (200..300).contains(&status) {
        granted(message, &mut s);
    }
    for (name, what) in [
        (HeaderName::MinExpires, "Min-Expires"),
        (HeaderName::RetryAfter, "Retry-After"),
        (HeaderName::Unsupported, "Unsupported"),
        (HeaderName::Warning, "Warning"),
    ] {
        s.say(message.header(name).map(|value| format!("{what} {value}")));
    }
    s
}

fn granted(message: &Message<'_>, s: &mut Summary) {
    let contacts = match message.contacts() {
        Ok(Contacts::List(contacts)) => contacts.iter().filter_map(|contact| contact.expires).max(),
        _ => None,
    };
    s.say(contacts.or_else(|| message.expires()).map(expires));
    let identities: Vec<&str> = message.elements(HeaderName::PAssociatedUri).collect();
    if let Some(first) = identities.first() {
        s.say(Some(more(identity(first.trim_matches(['<', '>'])), identities.len())));
    }
    let route = message.elements(HeaderName::ServiceRoute).next();
    s.say(route.map(|route| format!("Service-Route {}", route.trim_matches(['<', '>']))));
}

fn credentials(digest: &Digest<'_>, s: &mut Summary) {
    if let Some(nonce) = digest.nonce.filter(|nonce| !nonce.is_empty()) {
        s.say(Some(format!("nonce {}", short(nonce))));
        s.say(Some(match digest.response {
            None | Some("") => "no response".to_owned(),
            Some(response) => format!("response {}", short(response)),
        }));
        s.say(digest.nc.filter(|nc| *nc != "00000001").map(|nc| format!("nc {nc}")));
        s.say(digest.auts.map(|auts| format!("auts {}", short(auts))));
    }
    s.say(digest.integrity_protected.map(|value| format!("integrity-protected={value}")));
}

/// Algorithms, SPIs and ports of the first ipsec-3gpp element, and how many there are.
fn agreement(list: &Mechanisms<'_>, what: &str) -> Option<String> {
    let first = list.0.iter().find(|m| m.name.eq_ignore_ascii_case("ipsec-3gpp"));
    let Some(m) = first else { return list.0.first().map(|m| format!("{what} {}", m.name)) };
    let pair = format!("{what} {}/{}", m.alg.unwrap_or("?"), m.ealg.unwrap_or("null"));
    let (Some(spi_c), Some(spi_s), Some(port_c), Some(port_s)) = (m.spi_c, m.spi_s, m.port_c, m.port_s) else {
        return Some(format!("{} without SPIs or ports", more(pair, list.0.len())));
    };
    Some(format!("{} spi {spi_c}/{spi_s} port {port_c}/{port_s}", more(pair, list.0.len())))
}

fn more(first: String, count: usize) -> String {
    if count > 1 { format!("{first} (+{})", count - 1) } else { first }
}

fn expires(secs: u32) -> String {
    if secs == 0 { "expires 0 (de-registration)".to_owned() } else { format!("expires {secs}") }
}
