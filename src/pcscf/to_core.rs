//! A REGISTER on its way to the core (TS 24.229 clause 5.2.2.1; RFC 3261 clause 16.6).

use super::auth_params::rewrite;
use super::config::PcscfConfig;
use super::request::is_sec_agree;
use crate::packet::Transport;
use crate::sip::header::access_network::AccessNetwork;
use crate::sip::header::grammar;
use crate::sip::header::via::Via;
use crate::sip::message::elements;
use crate::sip::transaction::copy_vias;
use crate::sip::{HeaderName, Line, Message, NameSet, Part, Writer};
use std::net::{IpAddr, SocketAddr};

/// Parts of messages that never change.
#[derive(Debug)]
pub(super) struct Texts {
    /// Host and port in Via.
    pub(super) sent_by: Box<str>,
    /// Path after its token.
    pub(super) path: Box<str>,
    /// The same for a flow of RFC 5626.
    path_of_flow: Box<str>,
    /// The line P-Visited-Network-ID, or nothing.
    visited_network: Box<str>,
    /// P-Charging-Vector after its icid-value.
    pub(super) charging: Box<str>,
    /// The parameter `term-ioi` of responses, or nothing.
    pub(super) term_ioi: Box<str>,
}

impl Texts {
    pub(super) fn new(config: &PcscfConfig) -> Self {
        let (core, port) = (config.core, config.core.port());
        let host = config.host.replace(char::is_control, "");
        let sent_by = match &*host {
            "" => format!("{}:{port}", Host(core.ip())),
            host => format!("{host}:{port}"),
        };
        let path_host = match (&*host, port) {
            ("", _) => sent_by.clone(),
            (host, 5060) => host.to_owned(),
            (host, port) => format!("{host}:{port}"),
        };
        let charging = match quotable(&config.ioi) {
            ioi if ioi.is_empty() => format!(";icid-generated-at={}", Host(core.ip())),
            // TS 24.229 clause 7.2A.5: the type is part of the value.
            ioi => format!(";icid-generated-at={};orig-ioi=\"Type 1{ioi}\"", Host(core.ip())),
        };
        let term_ioi = match quotable(&config.ioi) {
            ioi if ioi.is_empty() => String::new(),
            ioi => format!(";term-ioi=\"Type 1{ioi}\""),
        };
        Self {
            term_ioi: term_ioi.into(),
            sent_by: sent_by.into(),
            path: format!("@{path_host};lr>\r\n").into(),
            path_of_flow: format!("@{path_host};lr;ob>\r\n").into(),
            visited_network: visited_network(&config.visited_network).into(),
            charging: (charging + "\r\n").into(),
        }
    }
}

/// What the P-CSCF adds.
pub(super) struct Additions<'a> {
    pub(super) texts: &'a Texts,
    /// Where the request came from.
    pub(super) source: SocketAddr,
    /// Its Max-Forwards.
    pub(super) hops: Option<u8>,
    /// User part of Path.
    pub(super) token: &'a [u8],
    /// The UE asks for a flow of RFC 5626, and gets one.
    pub(super) outbound: bool,
    /// `integrity-protected`, if any.
    pub(super) integrity: Option<&'static str>,
    /// icid-value.
    pub(super) icid: &'a [u8],
    /// The line that the UE is on, as the access network says.
    pub(super) line: Option<&'a str>,
}

/// Writes `request` for the core.
pub(super) fn write_register(
    out: &mut Vec<u8>,
    transport: Transport,
    branch: &str,
    request: &Message<'_>,
    add: &Additions<'_>,
) {
    let texts = add.texts;
    let mut w = Writer::request(out, "REGISTER", request.request_uri().unwrap_or_default());
    write_own_via(&mut w, transport, &texts.sent_by, branch);
    copy_vias(request, add.source, &mut w);
    w.header_number(HeaderName::MaxForwards, u64::from(add.hops.unwrap_or(70).saturating_sub(1)));
    // Other proxies than this one have no place before the home network (RFC 3327 clause 5.1).
    let path = if add.outbound { &texts.path_of_flow } else { &texts.path };
    write_pieces(&mut w, &[b"Path: <sip:", add.token, path.as_bytes()]);
    write_tags(&mut w, request, HeaderName::Require, "path");
    write_tags(&mut w, request, HeaderName::ProxyRequire, "");
    let charging = texts.charging.as_bytes();
    write_pieces(&mut w, &[texts.visited_network.as_bytes(), b"P-Charging-Vector: icid-value=", add.icid, charging]);
    if let Some(line) = add.line {
        // What NASS tells (TS 24.229 clause 5.2.2.4).
        let value = ["xDSL;dsl-location=\"", line, "\";network-provided"];
        w.header_parts(HeaderName::PAccessNetworkInfo, &value);
    }
    for part in request.parts_without(LEFT_OUT, LOOKED_AT) {
        match part {
            Part::Run(run) => {
                w.copy_run(&run);
            }
            Part::Line(line) => match line.name {
                HeaderName::Authorization => write_credentials(&mut w, &line, add.integrity),
                HeaderName::PAccessNetworkInfo => write_access_network(&mut w, &line),
                HeaderName::Other if !NETWORK_ONLY.iter().any(|name| line.name_text.eq_ignore_ascii_case(name)) => {
                    w.copy(&line);
                }
                _ => {}
            },
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
    let (transport, sent_by, branch) = (transport.as_str().as_bytes(), sent_by.as_bytes(), branch.as_bytes());
    write_pieces(w, &[b"Via: SIP/2.0/", transport, b" ", sent_by, b";branch=", branch, b"\r\n"]);
}

fn write_pieces(w: &mut Writer<'_>, pieces: &[&[u8]]) {
    for piece in pieces {
        w.raw().extend_from_slice(piece);
    }
}

/// Require and Proxy-Require without `sec-agree`, which ends here (TS 24.229 clause 5.2.2.1), and with `ours`.
pub(super) fn write_tags(w: &mut Writer<'_>, request: &Message<'_>, name: HeaderName, ours: &str) {
    let start = w.raw().len();
    write_pieces(w, &[name.as_str().as_bytes(), b": "]);
    let empty = w.raw().len();
    w.raw().extend_from_slice(ours.as_bytes());
    if !is_sec_agree(request, name) {
        let theirs = request.elements(name);
        for tag in theirs.filter(|t| !t.eq_ignore_ascii_case("sec-agree") && !t.eq_ignore_ascii_case(ours)) {
            let comma: &[u8] = if w.raw().len() > empty { b", " } else { b"" };
            write_pieces(w, &[comma, tag.as_bytes()]);
        }
    }
    if w.raw().len() == empty {
        w.raw().truncate(start);
    } else {
        w.raw().extend_from_slice(b"\r\n");
    }
}

fn visited_network(network: &str) -> String {
    let is_token = network.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
    match quotable(network) {
        text if text.is_empty() => text,
        text if is_token => format!("P-Visited-Network-ID: {text}\r\n"),
        text => format!("P-Visited-Network-ID: \"{text}\"\r\n"),
    }
}

/// What can stand between quotes as it is.
fn quotable(text: &str) -> String {
    text.replace(|c: char| c.is_control() || matches!(c, '"' | '\\'), "")
}

/// `integrity-protected` is the P-CSCF's word alone: what the UE wrote goes (TS 24.229 clause 5.2.2.1).
fn write_credentials(w: &mut Writer<'_>, line: &Line<'_>, integrity: Option<&'static str>) {
    let is_digest = line.value.get(..6).is_some_and(|s| s.eq_ignore_ascii_case("Digest"));
    let out = w.raw();
    out.extend_from_slice(b"Authorization: ");
    if memchr::memchr2(b'\r', b'\n', line.value.as_bytes()).is_none()
        && !grammar::mentions(line.value, "integrity-protected", 8)
    {
        out.extend_from_slice(line.value.as_bytes());
    } else {
        // `examine` has refused what cannot be read.
        let _ = rewrite(line.value, out, |name, _| name.eq_ignore_ascii_case("integrity-protected"));
    }
    if let Some(value) = integrity.filter(|_| is_digest) {
        out.extend_from_slice(b",integrity-protected=\"");
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

/// A UE cannot speak for the network (RFC 7315 clause 4.4).
pub(super) fn write_access_network(w: &mut Writer<'_>, line: &Line<'_>) {
    if !grammar::mentions(line.value, "network-provided", 3) {
        w.copy(line);
        return;
    }
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

/// The topmost Via of a request names its sender; a response never goes further than it.
pub(super) fn via_count(request: &Message<'_>) -> usize {
    if request.only(HeaderName::Via).is_some_and(|line| memchr::memchr(b',', line.as_bytes()).is_none()) {
        return 1;
    }
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
struct Host(IpAddr);

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "[{v6}]"),
        }
    }
}

/// Copied where the UE may say so.
const LOOKED_AT: NameSet = NameSet::of(&[HeaderName::Authorization, HeaderName::PAccessNetworkInfo, HeaderName::Other]);

/// Written anew, or not for the core from a UE: the trust boundary of TS 24.229 clause 5.2.2.1. The rest is copied.
const LEFT_OUT: NameSet = NameSet::of(&[
    HeaderName::Via,
    HeaderName::MaxForwards,
    HeaderName::Require,
    HeaderName::ProxyRequire,
    HeaderName::ContentLength,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::Path,
    HeaderName::ServiceRoute,
    HeaderName::PAssertedIdentity,
    HeaderName::PAssociatedUri,
    HeaderName::PChargingVector,
    HeaderName::PChargingFunctionAddresses,
    HeaderName::PVisitedNetworkId,
    HeaderName::SecurityClient,
    HeaderName::SecurityServer,
    HeaderName::SecurityVerify,
]);

/// Private headers between elements of a network (RFC 7315, RFC 5502, RFC 6050, TS 29.228).
pub(super) const NETWORK_ONLY: [&str; 4] = ["P-User-Database", "P-Profile-Key", "P-Served-User", "P-Asserted-Service"];
