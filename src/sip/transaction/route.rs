//! The way of a response: RFC 3261 clauses 18.2.1 and 18.2.2, RFC 3581.

use crate::decimal::Decimal;
use crate::packet::{Packet, Route, Transport};
use crate::sip::header::via::{Via, address};
use crate::sip::octets;
use crate::sip::{HeaderName, Message, Writer};
use memchr::memchr2;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// Where the response to a request goes, from its packet and its topmost Via.
pub(super) fn response_route(packet: &Packet<'_>, top: Option<&Via<'_>>) -> Route {
    let to = match packet.transport {
        Transport::Tcp | Transport::Tls | Transport::Sctp => packet.from,
        Transport::Udp => top.map_or(packet.from, |top| datagram_target(top, packet.from)),
    };
    Route::sip(packet.transport, packet.to, to)
}

fn datagram_target(top: &Via<'_>, source: SocketAddr) -> SocketAddr {
    // A maddr of the other family or by name is out of reach for this socket.
    let maddr = top.maddr().and_then(address).filter(|ip| ip.is_ipv4() == source.is_ipv4());
    match maddr {
        Some(ip) => SocketAddr::new(ip, port(top)),
        None if top.has_rport() => source,
        None => SocketAddr::new(source.ip(), port(top)),
    }
}

/// Where the sender listens.
pub(super) fn port(top: &Via<'_>) -> u16 {
    top.port.unwrap_or(DEFAULT_PORT)
}

/// Copies the Via lines of a request into a message, the topmost one with what the server adds: `received` where the
/// source differs from sent-by or the client asked for `rport`, and the port in `rport`. What the client itself put
/// there is overwritten.
pub fn copy_vias(message: &Message<'_>, source: SocketAddr, writer: &mut Writer<'_>) {
    let mut top = message.top_via();
    for line in message.lines_of(HeaderName::Via) {
        match top.take().and_then(|(via, rest)| Some((via, Stamp::of(via, source)?, rest))) {
            Some((via, stamp, rest)) => {
                let out = writer.raw();
                out.extend_from_slice(b"Via: ");
                stamp.write(via, source, out);
                if let Some(rest) = rest {
                    out.extend_from_slice(b", ");
                    out.extend_from_slice(rest.trim_ascii().as_bytes());
                }
                out.extend_from_slice(b"\r\n");
            }
            None => {
                writer.copy(&line);
            }
        }
    }
}

/// What a server adds to the topmost Via; what the client put in its place goes.
#[derive(Clone, Copy)]
struct Stamp {
    adds_address: bool,
    adds_port: bool,
}

impl Stamp {
    /// How the server stamps `top` (RFC 3261 clause 18.2.1, RFC 3581 clause 4); `None`: it stays as it is.
    fn of(top: &Via<'_>, source: SocketAddr) -> Option<Self> {
        let adds_address = top.has_rport() || top.ip() != Some(source.ip());
        (adds_address || top.has_received()).then_some(Self { adds_address, adds_port: top.has_rport() })
    }

    fn write(self, top: &Via<'_>, source: SocketAddr, out: &mut Vec<u8>) {
        let Via { text, params, .. } = *top;
        let end = if top.has_rport() || top.has_received() { text.len() - params.text.len() } else { text.len() };
        out.extend_from_slice(text[..end].trim_ascii_end().as_bytes());
        for parameter in split(&text[end..]) {
            if !is(parameter, "received") && !is(parameter, "rport") {
                out.push(b';');
                out.extend_from_slice(parameter.as_bytes());
            }
        }
        if self.adds_address {
            out.extend_from_slice(b";received=");
            push_ip(out, source.ip());
        }
        if self.adds_port {
            out.extend_from_slice(b";rport=");
            out.extend_from_slice(Decimal::new(source.port()).as_bytes());
        }
    }
}

/// The parameters as written, at semicolons outside quotes.
fn split(params: &str) -> impl Iterator<Item = &str> {
    let mut rest = params;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = parameter_end(rest.as_bytes());
            let parameter = rest[..end].trim_ascii();
            rest = rest.get(end + 1..).unwrap_or_default();
            if !parameter.is_empty() {
                return Some(parameter);
            }
        }
        None
    })
}

/// Where the first semicolon outside quotes is.
fn parameter_end(params: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at = octets::run_end(params, at, |block| !(octets::equal(block, b';') | octets::equal(block, b'"')));
        match params.get(at) {
            Some(b'"') => at = quote_end(params, at + 1),
            _ => return at,
        }
    }
}

/// Behind the quote that closes the string whose inside starts at `at`.
fn quote_end(params: &[u8], mut at: usize) -> usize {
    while let Some(found) = params.get(at..).and_then(|inside| memchr2(b'"', b'\\', inside)) {
        at += found;
        if params[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    params.len()
}

/// True when a parameter has this name, which is in lower case.
fn is(parameter: &str, wanted: &str) -> bool {
    let (Some(name), Some(rest)) = (parameter.get(..wanted.len()), parameter.get(wanted.len()..)) else { return false };
    name.eq_ignore_ascii_case(wanted) && matches!(rest.trim_ascii_start().as_bytes(), [] | [b'=', ..])
}

fn push_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            for (at, octet) in v4.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(Decimal::new(octet).as_bytes());
            }
        }
        IpAddr::V6(v6) => write!(out, "{v6}").expect("a Vec takes every write"),
    }
}

/// RFC 3261 clause 18.2.2: of a Via without port.
pub(super) const DEFAULT_PORT: u16 = 5060;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Protocol;

    fn top(text: &str) -> Via<'_> {
        Via::parse(text).expect("a Via").0
    }

    fn to(transport: Transport, text: &str) -> String {
        let from = "192.0.2.1:40000".parse().expect("an address");
        let to = "192.0.2.9:5060".parse().expect("an address");
        let packet = Packet { bytes: b"", protocol: Protocol::Sip, transport, from, to, sa: None };
        let request = format!("OPTIONS sip:a SIP/2.0\r\nVia: {text}\r\n\r\n");
        let message = Message::parse(request.as_bytes()).expect("a message");
        let route = response_route(&packet, message.top_via().map(|(via, _)| via));
        assert_eq!((route.from, route.transport), (to, transport));
        route.to.to_string()
    }

    fn stamped(text: &str, source: &str) -> String {
        let (mut out, source) = (Vec::new(), source.parse().expect("an address"));
        let top = top(text);
        Stamp::of(&top, source).expect("something to add").write(&top, source, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn udp_answers_go_by_maddr_then_rport_then_sent_by() {
        let udp = |text| to(Transport::Udp, text);
        assert_eq!(udp("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa"), "192.0.2.1:5070");
        assert_eq!(udp("SIP/2.0/UDP ue.example.org;branch=z9hG4bKa"), "192.0.2.1:5060");
        assert_eq!(udp("SIP/2.0/UDP 10.0.0.1:5070;rport;branch=z9hG4bKa"), "192.0.2.1:40000");
        assert_eq!(udp("SIP/2.0/UDP 10.0.0.1:5070;received=203.0.113.5;branch=z9hG4bKa"), "192.0.2.1:5070");
        assert_eq!(udp("SIP/2.0/UDP 10.0.0.1:5070;maddr=224.0.1.75;rport;branch=z9hG4bKa"), "224.0.1.75:5070");
        assert_eq!(udp("SIP/2.0/UDP 10.0.0.1:5070;maddr=host.example.org;branch=z9hG4bKa"), "192.0.2.1:5070");
        assert_eq!(udp("SIP/2.0/UDP 10.0.0.1:5070;maddr=2001:db8::1;branch=z9hG4bKa"), "192.0.2.1:5070");
    }

    #[test]
    fn tcp_answers_stay_on_the_connection() {
        assert_eq!(to(Transport::Tcp, "SIP/2.0/TCP 10.0.0.1:5070;maddr=224.0.1.75;branch=z9hG4bKa"), "192.0.2.1:40000");
    }

    #[test]
    fn the_source_is_stamped_over_what_the_client_claims() {
        assert_eq!(
            stamped("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;received=203.0.113.5;rport=9", "192.0.2.1:40000"),
            "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKa;received=192.0.2.1;rport=40000"
        );
        assert_eq!(
            stamped("SIP/2.0/UDP 192.0.2.1;received=203.0.113.5;x=\"a;rport\";branch=z9hG4bKa", "192.0.2.1:5060"),
            "SIP/2.0/UDP 192.0.2.1;x=\"a;rport\";branch=z9hG4bKa"
        );
        assert_eq!(
            stamped(r#"SIP/2.0/UDP 10.0.0.1;rport;x="\\\";rport";;y ;branch=z9hG4bKa"#, "192.0.2.1:7"),
            r#"SIP/2.0/UDP 10.0.0.1;x="\\\";rport";y;branch=z9hG4bKa;received=192.0.2.1;rport=7"#
        );
        assert_eq!(
            stamped("SIP/2.0/UDP ue.example.org ; branch=z9hG4bKa", "192.0.2.100:7"),
            "SIP/2.0/UDP ue.example.org ; branch=z9hG4bKa;received=192.0.2.100"
        );
        assert_eq!(
            stamped("SIP/2.0/UDP [2001:db8::9]:5070;rport;branch=z9hG4bKa", "[2001:db8::9]:5071"),
            "SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKa;received=2001:db8::9;rport=5071"
        );
    }

    #[test]
    fn sent_by_compares_as_an_address() {
        let source = "[2001:db8::9]:5060".parse().expect("an address");
        assert!(Stamp::of(&top("SIP/2.0/UDP [2001:0DB8:0::9]:5060;branch=z9hG4bKa"), source).is_none());
        assert!(Stamp::of(&top("SIP/2.0/UDP ue.example.org;branch=z9hG4bKa"), source).is_some());
    }
}
