//! Via (RFC 3261 clause 20.42, RFC 3581).

use super::grammar::{self, LWS, Parsed};
use super::params::Params;
use super::{HeaderError, HeaderName};
use memchr::memchr2;
use nom::Parser;
use nom::character::complete::digit1;
use nom::combinator::opt;
use nom::sequence::{delimited, preceded};

/// One Via element.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The element as received.
    pub text: &'a str,
    /// `UDP`, `TCP`, `TLS`, ... as written.
    pub transport: &'a str,
    /// Host of sent-by, IPv6 with its brackets.
    pub host: &'a str,
    /// Port of sent-by.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport`, `keep`, ...
    pub params: Params<'a>,
    // Whoever answers needs these, so they are noted while the parameters are read.
    branch: Option<&'a str>,
    maddr: Option<&'a str>,
    received: Option<Option<&'a str>>,
    has_rport: bool,
}

impl<'a> Via<'a> {
    /// Reads one element; returns it and the rest of the line after the comma, if any.
    pub fn parse(text: &'a str) -> Result<(Self, Option<&'a str>), HeaderError> {
        let fault = |fault| HeaderError::bad(HeaderName::Via, fault);
        let (transport, host, port, rest) = match usual_start(text) {
            Some(usual) => usual,
            None => any_start(text).map_err(fault)?,
        };
        let (mut branch, mut maddr, mut received, mut has_rport) = (None, None, None, false);
        // Nearly every Via has but these. A known name is a token, which need not be looked at octet by octet.
        let mut others = rest;
        loop {
            if let Some((value, after)) = usual_parameter(others, ";branch=") {
                branch = branch.or(Some(value));
                others = after;
            } else if let Some((value, after)) = usual_parameter(others, ";received=") {
                received = received.or(Some(Some(value)));
                others = after;
            } else if let Some((_, after)) = usual_parameter(others, ";rport=") {
                has_rport = true;
                others = after;
            } else if let Some(after) = others.strip_prefix(";rport")
                && matches!(after.as_bytes(), [] | [b';' | b',', ..])
            {
                has_rport = true;
                others = after;
            } else {
                break;
            }
        }
        if !matches!(others.as_bytes(), [] | [b',', ..]) {
            let see = |name: &'a str, value| {
                let is = |known: &str| grammar::same(name.as_bytes(), known.as_bytes());
                match name.len() {
                    6 if is("branch") => branch = branch.or(value),
                    5 if is("rport") => has_rport = true,
                    8 if is("received") => received = received.or(Some(value)),
                    5 if is("maddr") => maddr = maddr.or(value),
                    _ => {}
                }
            };
            others = Params::take(others, see).map_err(fault)?.1;
        }
        let params = Params { text: grammar::trim(&rest[..rest.len() - others.len()]) };
        let rest = others;
        let (element, next) = match rest.as_bytes() {
            [] => (text, None),
            [b',', ..] => (&text[..text.len() - rest.len()], Some(&rest[1..])),
            _ => return Err(fault("something follows the parameters")),
        };
        let text = grammar::trim(element);
        Ok((Self { text, transport, host, port, params, branch, maddr, received, has_rport }, next))
    }

    /// `branch`
    pub fn branch(&self) -> Option<&'a str> {
        self.branch
    }

    /// `maddr`
    pub(crate) fn maddr(&self) -> Option<&'a str> {
        self.maddr
    }

    /// True when `rport` is there, with or without value.
    pub(crate) fn has_rport(&self) -> bool {
        self.has_rport
    }

    /// True when `received` is there, whatever it holds.
    pub(crate) fn has_received(&self) -> bool {
        self.received.is_some()
    }

    /// `received` as an address, with or without brackets.
    pub fn received(&self) -> Option<std::net::IpAddr> {
        address(self.received??)
    }

    /// Host of sent-by as an address, if it is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        address(self.host)
    }
}

/// `branch` of the first element of `list`. Where it is the first parameter, as in what we write, nothing else is read.
pub(crate) fn first_branch(list: &str) -> Option<&str> {
    let parameters = memchr2(b';', b',', list.as_bytes())?;
    match usual_parameter(&list[parameters..], ";branch=") {
        Some((branch, _)) => Some(branch),
        None => Via::parse(list).ok()?.0.branch(),
    }
}

/// An IP address; IPv6 with or without brackets.
pub(crate) fn address(host: &str) -> Option<std::net::IpAddr> {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).parse().ok()
}

/// Transport, host and port of sent-by, and what follows.
type Start<'a> = (&'a str, &'a str, Option<u16>, &'a str);

/// `SIP/2.0/transport host [:port]` as nearly everybody writes it.
#[inline]
fn usual_start(text: &str) -> Option<Start<'_>> {
    let bytes = text.as_bytes();
    let transport_end = PROTOCOL.len()
        + match bytes.strip_prefix(PROTOCOL)? {
            [b'U', b'D', b'P', b' ', ..] | [b'T', b'C', b'P', b' ', ..] => 3,
            other => grammar::span(other, grammar::TOKEN),
        };
    if bytes.get(transport_end) != Some(&b' ') {
        return None;
    }
    let host_end = host_end(bytes, transport_end + 1)?;
    let (port, end) = match bytes.get(host_end) {
        Some(b':') => {
            let (port, length) = grammar::leading_number(&bytes[host_end + 1..]).filter(|&(_, length)| length > 0)?;
            (Some(u16::try_from(port).ok()?), host_end + 1 + length)
        }
        _ => (None, host_end),
    };
    let transport = text.get(PROTOCOL.len()..transport_end).filter(|transport| !transport.is_empty())?;
    let is_usual = matches!(bytes.get(end), None | Some(b';' | b','));
    is_usual.then_some((transport, text.get(transport_end + 1..host_end)?, port, text.get(end..)?))
}

const PROTOCOL: &[u8] = b"SIP/2.0/";

/// The unquoted value of the parameter that `list` begins with, if that begins so, and what follows.
#[inline(always)]
fn usual_parameter<'a>(list: &'a str, begin: &str) -> Option<(&'a str, &'a str)> {
    let value = list.strip_prefix(begin)?;
    let end = grammar::value_end(value.as_bytes(), 0);
    let is_usual = end > 0 && matches!(value.as_bytes().get(end), None | Some(b';' | b','));
    is_usual.then(|| value.split_at(end))
}

/// The same in any form. The name of the protocol is not looked at.
fn any_start(text: &str) -> Result<Start<'_>, &'static str> {
    let (rest, transport) = sent_protocol(text).map_err(|_| "expected SIP/2.0/transport")?;
    let (rest, (host, port)) = sent_by(rest).map_err(|_| "expected a host and a port")?;
    let port = match port {
        Some(digits) => Some(grammar::number(digits, 65535).ok_or("port is larger than 65535")? as u16),
        None => None,
    };
    Ok((transport, host, port, rest))
}

/// `SIP / 2.0 / transport`
fn sent_protocol(input: &str) -> Parsed<'_, &str> {
    let slash = || grammar::separator(b'/');
    let name = delimited(grammar::lws, grammar::token, slash());
    let version = delimited(grammar::lws, grammar::token, slash());
    let mut parser = delimited((name, version), grammar::token, grammar::run(LWS));
    parser.parse(input)
}

/// `host [: port]`
fn sent_by(input: &str) -> Parsed<'_, (&str, Option<&str>)> {
    let (rest, host) = host(input)?;
    let (rest, port) = opt(preceded(grammar::separator(b':'), digit1)).parse(rest)?;
    Ok((rest, (host, port)))
}

/// A host name, an IPv4 address, or an IPv6 reference.
pub(crate) fn host(input: &str) -> Parsed<'_, &str> {
    match host_end(input.as_bytes(), 0) {
        Some(end) => Ok((&input[end..], &input[..end])),
        None => Err(nom::Err::Error(())),
    }
}

/// Where the host at `from` ends, if there is one.
#[inline]
pub(crate) fn host_end(text: &[u8], from: usize) -> Option<usize> {
    let end = match text.get(from..)? {
        [b'[', inside @ ..] => {
            let length = grammar::span(inside, grammar::IPV6);
            if length > 0 && inside.get(length) == Some(&b']') { from + length + 2 } else { from }
        }
        _ => grammar::host_end(text, from),
    };
    (end > from).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_elements_with_white_space_everywhere() {
        let line = "SIP  / 2.0\r\n  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP/2.0/UDP [2001:db8::1] : 5062;rport";
        let (first, rest) = Via::parse(line).unwrap();
        assert_eq!((first.transport, first.host, first.port), ("TCP", "spindle.example.com", None));
        assert_eq!(first.branch(), Some("z9hG4bK9ikj8"));
        let (second, rest) = Via::parse(rest.unwrap()).unwrap();
        assert_eq!((second.transport, second.host, second.port), ("UDP", "[2001:db8::1]", Some(5062)));
        assert_eq!(second.params.get("rport"), Some(None));
        assert_eq!(second.text, "SIP/2.0/UDP [2001:db8::1] : 5062;rport");
        assert_eq!(rest, None);
    }

    #[test]
    fn received_with_and_without_brackets() {
        let with = Via::parse("SIP/2.0/UDP h;received=[2001:db8:0::1]").unwrap().0;
        let without = Via::parse("SIP/2.0/UDP h;received=2001:DB8::1").unwrap().0;
        assert_eq!(with.received(), without.received());
        assert!(with.received().is_some());
    }

    #[test]
    fn the_first_branch_is_that_of_the_first_element() {
        for (list, branch) in [
            ("SIP/2.0/UDP h:5060;branch=z9hG4bKa;rport, SIP/2.0/UDP i;branch=z9hG4bKb", Some("z9hG4bKa")),
            ("SIP/2.0/UDP h;rport;x=\";branch=b\"; BRANCH = z9hG4bKa", Some("z9hG4bKa")),
            ("SIP/2.0/UDP h, SIP/2.0/UDP i;branch=z9hG4bKb", None),
            ("SIP/2.0/UDP h", None),
            ("h;x", None),
        ] {
            assert_eq!(first_branch(list), branch, "{list}");
        }
    }

    #[test]
    fn faults() {
        for text in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0 h",
            "SIP/2.0/UDP h:65536",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP h;a;;",
            "SIP/2.0/UDP 192.0.2.15;;,;,,",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP h x",
        ] {
            assert!(Via::parse(text).is_err(), "{text}");
        }
    }
}
