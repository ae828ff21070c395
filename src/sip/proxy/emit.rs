//! What a proxy writes: copies of requests, responses on their way back (RFC 3261 clauses 16.6 and 16.7).

use super::Received;
use crate::packet::Route;
use crate::sip::emit::reason_phrase;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::via::Via;
use crate::sip::transaction::{Timers, copy_vias};
use crate::sip::{HeaderName, Line, Message, NameSet, Part, Writer};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

/// What an element changes in a message that it passes on, beyond what every proxy does.
pub trait Rewrite {
    /// The headers that it wants to see line by line; all others are copied. Via, Max-Forwards, Route of requests, and
    /// Content-Length are the proxy's own.
    fn names(&self) -> NameSet {
        NameSet::default()
    }

    /// A line of [`Rewrite::names`]: written as it shall be, or not at all.
    fn line(&self, line: &Line<'_>, w: &mut Writer<'_>) {
        w.copy(line);
    }

    /// What is added after the last line.
    fn add(&self, w: &mut Writer<'_>) {
        let _ = w;
    }
}

/// Nothing is changed.
impl Rewrite for () {}

/// Where a copy of a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'t> {
    /// Its Request-URI.
    pub uri: &'t str,
    /// Its Route, the topmost element first. When that has no `lr`, it becomes the Request-URI, and `uri` the last
    /// element (clause 16.6 step 6).
    pub routes: &'t [&'t str],
    /// Our element of Record-Route, with `lr`.
    pub record_route: Option<&'t str>,
    /// The next hop.
    pub hop: Hop<'t>,
}

/// The next hop, and how we appear to it.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'t> {
    /// Where, and how.
    pub route: Route,
    /// A large request may take TCP ([`super::Transactions::request`]).
    pub may_switch: bool,
    /// sent-by of our Via.
    pub sent_by: &'t str,
    /// The timers of that side.
    pub timers: Timers,
}

/// Writes a copy of a request with our Via, which comes in pieces. The Via of who sent it says from where, if that is
/// known (RFC 3261 clause 18.2.1).
pub(super) fn write_request(
    request: &Received<'_, '_>,
    target: &Target<'_>,
    via: &[&str],
    source: Option<SocketAddr>,
    rewrite: &dyn Rewrite,
    out: &mut Vec<u8>,
) {
    let strict = strict_router(target.routes);
    let mut w = Writer::request(out, request.method.as_str(), strict.unwrap_or(target.uri));
    w.header_parts(HeaderName::Via, via);
    if let Some(source) = source {
        copy_vias(request.message, source, &mut w);
    }
    if let Some(own) = target.record_route {
        w.header(HeaderName::RecordRoute, own);
    }
    for route in &target.routes[usize::from(strict.is_some())..] {
        w.header(HeaderName::Route, route);
    }
    if strict.is_some() {
        w.header_parts(HeaderName::Route, &["<", target.uri, ">"]);
    }
    w.header_number(HeaderName::MaxForwards, request.hops.into());
    let own = if source.is_some() { REQUEST.union(NameSet::of(&[HeaderName::Via])) } else { REQUEST };
    copy(request.message, own, rewrite, &mut w);
    w.finish(request.message.body());
}

/// Writes a response without our Via. `more` are lines added to it.
pub(super) fn write_response(
    response: &Message<'_>,
    status: u16,
    rewrite: &dyn Rewrite,
    more: &[u8],
    out: &mut Vec<u8>,
) {
    let reason = match response.start() {
        crate::sip::StartLine::Response { status: own, reason } if own == status => reason,
        _ => reason_phrase(status),
    };
    let mut w = Writer::response(out, status, reason);
    let mut own_via = true;
    for line in response.lines().filter(|line| line.name == HeaderName::Via) {
        if !std::mem::take(&mut own_via) {
            w.copy(&line);
        } else if let Ok((_, Some(rest))) = Via::parse(line.value) {
            w.header(HeaderName::Via, rest.trim_ascii_start());
        }
    }
    copy(response, RESPONSE, rewrite, &mut w);
    w.raw().extend_from_slice(more);
    w.finish(response.body());
}

/// Our own response to a copy that we sent: as if its receiver had written it.
pub(super) fn write_own_response(sent: &Message<'_>, status: u16, tag: &str, out: &mut Vec<u8>) {
    let mut w = Writer::response(out, status, reason_phrase(status));
    let has_tag = sent.to().is_ok_and(|to| to.tag().is_some());
    for part in sent.parts(OWN) {
        match part {
            Part::Line(line) if line.name == HeaderName::To && !has_tag => {
                w.header_parts(HeaderName::To, &[line.value, ";tag=", tag]);
            }
            Part::Line(line) => {
                w.copy(&line);
            }
            Part::Run(_) => {}
        }
    }
    w.finish(b"");
}

/// The branch of an ACK that is forwarded without transaction: the same for every copy of it.
pub(super) fn ack_branch(ack: &Message<'_>, hasher: &FixedState) -> String {
    let call = (ack.header(HeaderName::Via), ack.header(HeaderName::CallId), ack.header(HeaderName::CSeq));
    format!("z9hG4bK{:016x}", hasher.hash_one((call, ack.request_uri())))
}

fn copy(message: &Message<'_>, own: NameSet, rewrite: &dyn Rewrite, w: &mut Writer<'_>) {
    for part in message.parts(own.union(rewrite.names())) {
        match part {
            Part::Run(run) => {
                w.copy_run(&run);
            }
            Part::Line(line) if own.contains(line.name) => {}
            Part::Line(line) => rewrite.line(&line, w),
        }
    }
    rewrite.add(w);
}

/// The URI of the topmost Route, if it has no `lr`.
fn strict_router<'t>(routes: &[&'t str]) -> Option<&'t str> {
    let top = NameAddr::parse(HeaderName::Route, routes.first()?).ok()?;
    (top.uri.is_sip() && !top.uri.params.has("lr")).then_some(top.uri.text)
}

const REQUEST: NameSet = NameSet::of(&[HeaderName::Route, HeaderName::MaxForwards, HeaderName::ContentLength]);
const RESPONSE: NameSet = NameSet::of(&[HeaderName::Via, HeaderName::ContentLength]);
const OWN: NameSet =
    NameSet::of(&[HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]);
