//! A REGISTER on its way to the core (TS 24.229 clause 5.2.2.1; RFC 3261 clause 16.6).

use super::auth_params::rewrite;
use crate::packet::Transport;
use crate::sip::header::access_network::AccessNetwork;
use crate::sip::header::via::Via;
use crate::sip::message::elements;
use crate::sip::transaction::copy_vias;
use crate::sip::{HeaderName, Line, Message, Writer};
use std::net::{IpAddr, SocketAddr};

/// What the P-CSCF adds.
pub(super) struct Additions<'a> {
    /// Where the request came from.
    pub(super) source: SocketAddr,
    /// Host and port in Via.
    pub(super) sent_by: &'a str,
    /// User part of Path.
    pub(super) token: &'a str,
    /// Host and port in Path.
    pub(super) host: &'a str,
    /// `integrity-protected`, if any.
    pub(super) integrity: Option<&'static str>,
    /// P-Visited-Network-ID.
    pub(super) visited_network: &'a str,
    /// icid-value.
    pub(super) icid: &'a str,
    /// icid-generated-at.
    pub(super) address: IpAddr,
    /// orig-ioi.
    pub(super) ioi: &'a str,
}

/// Writes `request` for the core.
pub(super) fn write_register(
    out: &mut Vec<u8>,
    transport: Transport,
    branch: &str,
    request: &Message<'_>,
    add: &Additions<'_>,
) {
    let mut w = Writer::request(out, "REGISTER", request.request_uri().unwrap_or_default());
    write_own_via(&mut w, transport, add.sent_by, branch);
    copy_vias(request, add.source, &mut w);
    let hops = request.max_forwards().ok().flatten().unwrap_or(70).saturating_sub(1);
    w.header_number(HeaderName::MaxForwards, u64::from(hops));
    // Other proxies than this one have no place before the home network (RFC 3327 clause 5.1).
    w.header_fmt(HeaderName::Path, format_args!("<sip:{}@{};lr>", add.token, add.host));
    write_tags(&mut w, request, HeaderName::Require, "path");
    write_tags(&mut w, request, HeaderName::ProxyRequire, "");
    write_visited_network(&mut w, add.visited_network);
    write_charging_vector(&mut w, add);
    for line in request.lines() {
        match line.name {
            HeaderName::Authorization => write_credentials(&mut w, &line, add.integrity),
            HeaderName::PAccessNetworkInfo => write_access_network(&mut w, &line),
            _ if is_written_here_or_dropped(&line) => {}
            _ => {
                w.copy(&line);
            }
        }
    }
    w.finish(request.body());
}

/// Writes a request again for another next hop: a new topmost Via, the rest as it was.
pub(super) fn write_again(out: &mut Vec<u8>, transport: Transport, branch: &str, sent_by: &str, sent: &Message<'_>) {
    let method = sent.method().map_or("REGISTER", |m| m.as_str());
    let mut w = Writer::request(out, method, sent.request_uri().unwrap_or_default());
    write_own_via(&mut w, transport, sent_by, branch);
    let mut topmost = true;
    for line in sent.lines().filter(|l| l.name != HeaderName::ContentLength) {
        if line.name == HeaderName::Via && std::mem::take(&mut topmost) {
            continue;
        }
        w.copy(&line);
    }
    w.finish(sent.body());
}

fn write_own_via(w: &mut Writer<'_>, transport: Transport, sent_by: &str, branch: &str) {
    w.header_fmt(HeaderName::Via, format_args!("SIP/2.0/{transport} {sent_by};branch={branch}"));
}

/// Require and Proxy-Require without `sec-agree`, which ends here (TS 24.229 clause 5.2.2.1), and with `ours`.
fn write_tags(w: &mut Writer<'_>, request: &Message<'_>, name: HeaderName, ours: &str) {
    let start = w.raw().len();
    w.raw().extend_from_slice(name.as_str().as_bytes());
    w.raw().extend_from_slice(b": ");
    let empty = w.raw().len();
    w.raw().extend_from_slice(ours.as_bytes());
    let theirs = request.elements(name);
    for tag in theirs.filter(|t| !t.eq_ignore_ascii_case("sec-agree") && !t.eq_ignore_ascii_case(ours)) {
        if w.raw().len() > empty {
            w.raw().extend_from_slice(b", ");
        }
        w.raw().extend_from_slice(tag.as_bytes());
    }
    if w.raw().len() == empty {
        w.raw().truncate(start);
    } else {
        w.raw().extend_from_slice(b"\r\n");
    }
}

fn write_visited_network(w: &mut Writer<'_>, network: &str) {
    let is_token = network.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
    if is_token && !network.is_empty() {
        w.header(HeaderName::PVisitedNetworkId, network);
    } else if !network.is_empty() {
        w.header_fmt(HeaderName::PVisitedNetworkId, format_args!("\"{}\"", network.replace(['"', '\\'], "")));
    }
}

fn write_charging_vector(w: &mut Writer<'_>, add: &Additions<'_>) {
    let at = Host(add.address);
    let (icid, ioi) = (add.icid, add.ioi);
    w.header_fmt(HeaderName::PChargingVector, format_args!("icid-value={icid};icid-generated-at={at};orig-ioi={ioi}"));
}

/// `integrity-protected` is the P-CSCF's word alone: what the UE wrote goes (TS 24.229 clause 5.2.2.1).
fn write_credentials(w: &mut Writer<'_>, line: &Line<'_>, integrity: Option<&'static str>) {
    let is_digest = line.value.get(..6).is_some_and(|s| s.eq_ignore_ascii_case("Digest"));
    let out = w.raw();
    out.extend_from_slice(b"Authorization: ");
    // `examine` has refused what cannot be read.
    let _ = rewrite(line.value, out, |name, _| name.eq_ignore_ascii_case("integrity-protected"));
    if let Some(value) = integrity.filter(|_| is_digest) {
        out.extend_from_slice(b",integrity-protected=\"");
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

/// A UE cannot speak for the network (RFC 7315 clause 4.4).
fn write_access_network(w: &mut Writer<'_>, line: &Line<'_>) {
    let of_network = |text: &str| match AccessNetwork::parse(text) {
        Ok(info) => info.is_network_provided(),
        Err(_) => text.to_ascii_lowercase().contains("network-provided"),
    };
    if !elements(line.value).any(of_network) {
        w.copy(line);
        return;
    }
    for element in elements(line.value).filter(|e| !of_network(e)) {
        w.header(HeaderName::PAccessNetworkInfo, element);
    }
}

/// Written above, or not for the core from a UE: the trust boundary of TS 24.229 clause 5.2.2.1.
fn is_written_here_or_dropped(line: &Line<'_>) -> bool {
    match line.name {
        HeaderName::Via
        | HeaderName::MaxForwards
        | HeaderName::Require
        | HeaderName::ProxyRequire
        | HeaderName::ContentLength
        | HeaderName::Route
        | HeaderName::RecordRoute
        | HeaderName::Path
        | HeaderName::ServiceRoute
        | HeaderName::PAssertedIdentity
        | HeaderName::PAssociatedUri
        | HeaderName::PChargingVector
        | HeaderName::PChargingFunctionAddresses
        | HeaderName::PVisitedNetworkId
        | HeaderName::SecurityClient
        | HeaderName::SecurityServer
        | HeaderName::SecurityVerify => true,
        HeaderName::Other => NETWORK_ONLY.iter().any(|name| line.name_text.eq_ignore_ascii_case(name)),
        _ => false,
    }
}

/// The topmost Via of a request names its sender; a response never goes further than it.
pub(super) fn via_count(request: &Message<'_>) -> usize {
    let mut count = 0;
    for value in request.values(HeaderName::Via) {
        let mut rest = Some(value);
        while let Some(list) = rest {
            count += 1;
            rest = Via::parse(list).ok().and_then(|(_, rest)| rest);
        }
    }
    count
}

/// An address as a host: IPv6 in brackets.
pub(super) struct Host(pub(super) IpAddr);

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "[{v6}]"),
        }
    }
}

/// Private headers between elements of a network (RFC 7315, RFC 5502, RFC 6050, TS 29.228).
const NETWORK_ONLY: [&str; 4] = ["P-User-Database", "P-Profile-Key", "P-Served-User", "P-Asserted-Service"];
