//! Request validation and route information preprocessing (RFC 3261 clauses 16.3 and 16.4, RFC 5393).

use crate::sip::header::name_addr::NameAddr;
use crate::sip::{HeaderError, HeaderName, Message, Method, Uri};
use foldhash::fast::FixedState;
use std::fmt::Write;
use std::hash::BuildHasher;
use thiserror::Error;

/// A request that may be forwarded, without the values that named this element.
#[derive(Debug)]
pub struct Received<'m, 'a> {
    /// As received.
    pub message: &'m Message<'a>,
    /// Its method.
    pub method: Method<'a>,
    /// Its Request-URI; where a strict router has put ours there, what it had put last in Route.
    pub uri: &'a str,
    /// The URI that named this element, if one did: the topmost Route, or the Request-URI of a strict router.
    pub own: Option<Uri<'a>>,
    /// What is left of Route.
    pub routes: Vec<&'a str>,
    /// Max-Forwards of the copies.
    pub hops: u8,
    /// Stands in our Via: what decided the way of this request.
    loop_mark: String,
}

/// Why a request is not forwarded.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// Something that every proxy reads is malformed or missing.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// Max-Forwards is used up.
    #[error("Max-Forwards is 0")]
    TooManyHops,
    /// It was here before, and nothing would be decided otherwise.
    #[error("loop")]
    Loop,
    /// Proxy-Require names what the element does not understand.
    #[error("Proxy-Require names {0}")]
    UnknownExtension(String),
}

impl Fault {
    /// The status to answer with; 420 goes with Unsupported.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Header(error) => error.status,
            Self::TooManyHops => 483,
            Self::Loop => 482,
            Self::UnknownExtension(_) => 420,
        }
    }

    /// The clause that asks for it.
    pub const fn clause(&self) -> &'static str {
        "RFC 3261 clause 16.3"
    }
}

impl<'m, 'a> Received<'m, 'a> {
    pub(super) fn read(
        message: &'m Message<'a>,
        is_own: impl Fn(&Uri<'_>) -> bool,
        understood: &[&str],
        hasher: &FixedState,
    ) -> Result<Self, Fault> {
        let not_a_request = HeaderError::bad(HeaderName::Other, "not a request");
        let (Some(method), Some(mut uri)) = (message.method(), message.request_uri()) else {
            return Err(Fault::Header(not_a_request));
        };
        message.via()?;
        message.call_id()?;
        message.cseq()?;
        message.from()?;
        message.to()?;
        let hops = match message.max_forwards()? {
            Some(0) => return Err(Fault::TooManyHops),
            Some(hops) => hops - 1,
            None => MAX_FORWARDS,
        };
        let loop_mark = loop_mark(message, hasher);
        if message.values(HeaderName::Via).any(|via| via.contains(&loop_mark)) {
            return Err(Fault::Loop);
        }
        let is_unknown = |tag: &&str| !understood.iter().any(|known| known.eq_ignore_ascii_case(tag));
        let unknown: Vec<&str> = message.elements(HeaderName::ProxyRequire).filter(is_unknown).collect();
        if !unknown.is_empty() {
            return Err(Fault::UnknownExtension(unknown.join(", ")));
        }
        let mut routes = message.name_addrs(HeaderName::Route)?;
        let mut own = None;
        let request_uri = Uri::parse(uri)?;
        if request_uri.params.has("lr")
            && is_own(&request_uri)
            && let Some(last) = routes.pop()
        {
            (own, uri) = (Some(request_uri), last.uri.text);
        }
        if routes.first().is_some_and(|first| is_own(&first.uri)) {
            own = Some(routes.remove(0).uri);
        }
        let routes = routes.iter().map(|route: &NameAddr<'a>| route.text).collect();
        Ok(Self { message, method, uri, own, routes, hops, loop_mark })
    }

    /// True for INVITE.
    pub fn is_invite(&self) -> bool {
        self.method == Method::Invite
    }

    /// True within a dialog: the way is that of Route alone.
    pub fn is_in_dialog(&self) -> bool {
        self.message.to().is_ok_and(|to| to.tag().is_some())
    }

    /// True when the request may make a dialog or target refresh: Record-Route is of use.
    pub fn makes_dialog(&self) -> bool {
        matches!(self.method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify)
    }

    pub(super) fn loop_mark(&self) -> &str {
        &self.loop_mark
    }
}

/// What the routing of a request depends on (RFC 5393 clause 4.2.2), in 16 digits.
fn loop_mark(message: &Message<'_>, hasher: &FixedState) -> String {
    let mut text = String::with_capacity(256);
    text.push_str(message.request_uri().unwrap_or_default());
    for name in [HeaderName::Route, HeaderName::ProxyRequire, HeaderName::CallId, HeaderName::CSeq, HeaderName::From] {
        for value in message.values(name) {
            text.push('\n');
            text.push_str(value);
        }
    }
    let hash = hasher.hash_one(text.as_bytes());
    text.clear();
    // Writing to a String cannot fail.
    let _ = write!(text, "{hash:016x}");
    text
}

/// For a request that has none (clause 16.6 step 3).
const MAX_FORWARDS: u8 = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, more: &str) -> String {
        format!(
            "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKone\r\nFrom: <sip:a@x>;tag=1\r\n\
             To: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n{more}\r\n"
        )
    }

    fn read<T>(text: &str, see: impl FnOnce(Result<Received<'_, '_>, Fault>) -> T) -> T {
        let message = Message::parse(text.as_bytes()).unwrap();
        see(Received::read(&message, |uri| uri.host == "own", &["known"], &FixedState::with_seed(1)))
    }

    #[test]
    fn own_values_are_taken_out() {
        for (uri, route, left, target, own) in [
            ("sip:b@x", "", &[][..], "sip:b@x", None),
            (
                "sip:b@x",
                "Route: <sip:t@own;lr>, <sip:next;lr>\r\n",
                &["<sip:next;lr>"],
                "sip:b@x",
                Some("sip:t@own;lr"),
            ),
            ("sip:b@x", "Route: <sip:next;lr>\r\n", &["<sip:next;lr>"], "sip:b@x", None),
            ("sip:t@own;lr", "Route: <sip:next>, <sip:b@x>\r\n", &["<sip:next>"], "sip:b@x", Some("sip:t@own;lr")),
            ("sip:t@own;lr", "", &[], "sip:t@own;lr", None),
        ] {
            read(&request(uri, route), |received| {
                let received = received.unwrap();
                assert_eq!((&received.routes[..], received.uri), (left, target));
                assert_eq!((received.own.map(|own| own.text), received.hops), (own, 70));
            });
        }
    }

    #[test]
    fn what_is_not_forwarded() {
        for (more, status) in [
            ("Max-Forwards: 0\r\n", 483),
            ("Max-Forwards: x\r\n", 400),
            ("Proxy-Require: known, other\r\n", 420),
            ("Route: <sip:\r\n", 400),
        ] {
            assert_eq!(read(&request("sip:b@x", more), |r| r.unwrap_err().status()), status, "{more}");
        }
        read(&request("sip:b@x", "Max-Forwards: 1\r\nProxy-Require: known\r\n"), |r| assert_eq!(r.unwrap().hops, 0));
    }

    #[test]
    fn a_loop_is_not_a_spiral() {
        let mark = read(&request("sip:b@x", ""), |r| r.unwrap().loop_mark().to_owned());
        let ours = format!("Via: SIP/2.0/UDP own;branch=z9hG4bKabc.{mark}\r\n");
        assert_eq!(read(&request("sip:b@x", &ours), |r| r.unwrap_err()), Fault::Loop);
        read(&request("sip:contact@y", &ours), |r| assert!(r.is_ok()));
        read(&request("sip:b@x", &format!("{ours}Route: <sip:t@own;lr>\r\n")), |r| assert!(r.is_ok()));
    }
}
