//! What tells one server transaction from another (RFC 3261 clause 17.2.3).
//!
//! A key is text: an identity that a CANCEL shares with what it cancels, then what follows the method. Keys are found
//! by a 64-bit hash and then compared in full.

use super::route::port;
use crate::sip::header::grammar;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::via::Via;
use crate::sip::{HeaderName, Message, Method};

/// How a key is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KeyShape {
    /// The length of what a CANCEL shares with its target.
    pub(super) identity: u32,
    /// True when the branch has the magic cookie. Without, the rules of RFC 2543 hold.
    pub(super) cookie: bool,
}

/// What is kept of a request to tell others from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) key: &'a [u8],
    pub(super) shape: KeyShape,
    /// The value of From.
    pub(super) from: &'a [u8],
}

impl Head<'_> {
    /// RFC 3261 clause 9.2, for a CANCEL with this key.
    pub(super) fn is_cancelled_by(&self, key: &[u8], shape: KeyShape) -> bool {
        self.shape == shape && self.key[..shape.identity as usize] == key[..shape.identity as usize]
    }

    /// RFC 3261 clause 8.2.2.2, for a request that matched by Call-ID and CSeq number, and not by its branch.
    pub(super) fn is_merged_with(&self, message: &Message<'_>, method: Method<'_>) -> bool {
        let Ok(from) = std::str::from_utf8(self.from) else { return false };
        let Ok(from) = NameAddr::parse(HeaderName::From, from) else { return false };
        self.method() == method.as_str().as_bytes()
            && message.from().is_ok_and(|other| other.tag() == from.tag())
            && message.to().is_ok_and(|to| to.tag().is_none())
    }

    fn method(&self) -> &[u8] {
        self.key[self.shape.identity as usize..].split(|octet| *octet == 0).next().unwrap_or_default()
    }
}

/// Writes the key of a request. An ACK gets that of its INVITE.
pub(super) fn write(
    key: &mut Vec<u8>,
    message: &Message<'_>,
    method: Method<'_>,
    uri: &str,
    top: Option<&Via<'_>>,
) -> KeyShape {
    key.clear();
    let branch = top.and_then(Via::branch).filter(|branch| has_cookie(branch));
    match (branch, top) {
        (Some(branch), Some(top)) => {
            field(key, branch);
            let host = key.len();
            field(key, top.host);
            key[host..].make_ascii_lowercase();
            // Phones leave the port of their CANCEL out that their INVITE says.
            key.extend_from_slice(&port(top).to_be_bytes());
        }
        _ => write_rfc2543(key, message, uri, top),
    }
    let identity = u32::try_from(key.len()).expect("a message is shorter than 2^32 octets");
    push_method(key, if method == Method::Ack { Method::Invite } else { method });
    // The To tag of an ACK is that of the answer: it is compared apart.
    if branch.is_none() && !matches!(method, Method::Invite | Method::Ack | Method::Cancel) {
        field(key, message.to().ok().and_then(|to| to.tag()).unwrap_or_default());
    }
    KeyShape { identity, cookie: branch.is_some() }
}

/// What follows the identity.
pub(super) fn push_method(key: &mut Vec<u8>, method: Method<'_>) {
    field(key, method.as_str());
}

fn write_rfc2543(key: &mut Vec<u8>, message: &Message<'_>, uri: &str, top: Option<&Via<'_>>) {
    field(key, "");
    field(key, uri);
    field(key, message.from().ok().and_then(|from| from.tag()).unwrap_or_default());
    field(key, message.call_id().unwrap_or_default());
    key.extend_from_slice(&message.cseq().map_or(0, |cseq| cseq.number).to_be_bytes());
    field(key, top.map_or("", |top| top.text));
}

/// No header value holds NUL, so fields cannot run into each other.
fn field(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(text.as_bytes());
    key.push(0);
}

/// RFC 3261 clause 8.1.1.7; tokens compare in any case.
fn has_cookie(branch: &str) -> bool {
    let is_cookie = |start: &str| grammar::same(start.as_bytes(), COOKIE.as_bytes());
    branch.get(..COOKIE.len()).is_some_and(is_cookie) && branch.len() > COOKIE.len()
}

pub(super) const COOKIE: &str = "z9hG4bK";
