//! The way of a response: RFC 3261 clauses 18.2.1 and 18.2.2, RFC 3581.

use crate::packet::{Packet, Route, Transport};
use crate::sip::header::via::Via;
use crate::sip::{HeaderName, Message, Writer};
use std::net::{IpAddr, SocketAddr};

/// The topmost Via of a request, its parameters looked through once.
#[derive(Clone, Copy, Debug)]
pub(super) struct TopVia<'a> {
    pub(super) via: Via<'a>,
    pub(super) branch: Option<&'a str>,
    maddr: Option<&'a str>,
    wants_port: bool,
}

impl<'a> TopVia<'a> {
    pub(super) fn of(message: &Message<'a>) -> Option<Self> {
        let via = message.via().ok()?;
        let mut top = Self { via, branch: None, maddr: None, wants_port: false };
        for (name, value) in via.params.iter() {
            match name.len() {
                6 if name.eq_ignore_ascii_case("branch") => top.branch = top.branch.or(value),
                5 if name.eq_ignore_ascii_case("maddr") => top.maddr = top.maddr.or(value),
                5 if name.eq_ignore_ascii_case("rport") => top.wants_port = true,
                _ => {}
            }
        }
        Some(top)
    }

    fn datagram_target(&self, source: SocketAddr) -> SocketAddr {
        // A maddr of the other family or by name is out of reach for this socket.
        let maddr = self.maddr.and_then(address).filter(|ip| ip.is_ipv4() == source.is_ipv4());
        match maddr {
            Some(ip) => SocketAddr::new(ip, self.port()),
            None if self.wants_port => source,
            None => SocketAddr::new(source.ip(), self.port()),
        }
    }

    fn port(&self) -> u16 {
        self.via.port.unwrap_or(DEFAULT_PORT)
    }
}

/// Where the response to a request goes, from its packet and its topmost Via.
pub(super) fn response_route(packet: &Packet<'_>, top: Option<&TopVia<'_>>) -> Route {
    let to = match packet.transport {
        Transport::Tcp => packet.from,
        Transport::Udp => top.map_or(packet.from, |top| top.datagram_target(packet.from)),
    };
    Route::sip(packet.transport, packet.to, to)
}

/// Where a new connection for the response goes once that of the request is gone.
pub(super) fn reconnect_target(packet: &Packet<'_>, top: Option<&TopVia<'_>>) -> SocketAddr {
    SocketAddr::new(packet.from.ip(), top.map_or(DEFAULT_PORT, TopVia::port))
}

/// Copies the Via lines of a request into a message, the topmost one with what the server adds: `received` where the
/// source differs from sent-by or the client asked for `rport`, and the port in `rport`. What the client itself put
/// there is overwritten.
pub fn copy_vias(message: &Message<'_>, source: SocketAddr, writer: &mut Writer<'_>) {
    let mut topmost = true;
    for line in message.lines().filter(|line| line.name == HeaderName::Via) {
        match Via::parse(line.value) {
            Ok((via, rest)) if topmost && needs_stamp(&via, source) => {
                let out = writer.raw();
                out.extend_from_slice(b"Via: ");
                stamp(out, &via, source);
                if let Some(rest) = rest {
                    out.extend_from_slice(b", ");
                    out.extend_from_slice(rest.trim_ascii().as_bytes());
                }
                out.extend_from_slice(b"\r\n");
            }
            _ => {
                writer.copy(&line);
            }
        }
        topmost = false;
    }
}

fn needs_stamp(via: &Via<'_>, source: SocketAddr) -> bool {
    via.params.has("rport") || via.params.has("received") || address(via.host) != Some(source.ip())
}

fn stamp(out: &mut Vec<u8>, via: &Via<'_>, source: SocketAddr) {
    let wants_port = via.params.has("rport");
    let end = via.text.len() - via.params.text.len();
    out.extend_from_slice(via.text[..end].trim_ascii_end().as_bytes());
    for parameter in split(via.params.text) {
        let name = parameter.split('=').next().unwrap_or_default().trim_ascii();
        if !name.eq_ignore_ascii_case("received") && !name.eq_ignore_ascii_case("rport") {
            out.push(b';');
            out.extend_from_slice(parameter.as_bytes());
        }
    }
    if wants_port || address(via.host) != Some(source.ip()) {
        push_fmt(out, format_args!(";received={}", source.ip()));
    }
    if wants_port {
        push_fmt(out, format_args!(";rport={}", source.port()));
    }
}

/// The parameters as written, at semicolons outside quotes.
fn split(params: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let separates = move |c: char| {
        let inside = quoted;
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        c == ';' && !inside
    };
    params.split(separates).map(str::trim_ascii).filter(|parameter| !parameter.is_empty())
}

fn push_fmt(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    out.write_fmt(text).expect("a Vec takes every write");
}

fn address(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).parse().ok()
}

const DEFAULT_PORT: u16 = 5060;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Protocol;

    fn via(text: &str) -> Via<'_> {
        Via::parse(text).expect("a Via").0
    }

    fn to(transport: Transport, text: &str) -> String {
        let from = "192.0.2.1:40000".parse().expect("an address");
        let to = "192.0.2.9:5060".parse().expect("an address");
        let packet = Packet { bytes: b"", protocol: Protocol::Sip, transport, from, to, sa: None };
        let request = format!("OPTIONS sip:a SIP/2.0\r\nVia: {text}\r\n\r\n");
        let message = Message::parse(request.as_bytes()).expect("a message");
        let route = response_route(&packet, TopVia::of(&message).as_ref());
        assert_eq!((route.from, route.transport), (to, transport));
        route.to.to_string()
    }

    fn stamped(text: &str, source: &str) -> String {
        let mut out = Vec::new();
        stamp(&mut out, &via(text), source.parse().expect("an address"));
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
            stamped("SIP/2.0/UDP [2001:db8::9]:5070;rport;branch=z9hG4bKa", "[2001:db8::9]:5071"),
            "SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKa;received=2001:db8::9;rport=5071"
        );
    }

    #[test]
    fn sent_by_compares_as_an_address() {
        let source = "[2001:db8::9]:5060".parse().expect("an address");
        assert!(!needs_stamp(&via("SIP/2.0/UDP [2001:0DB8:0::9]:5060;branch=z9hG4bKa"), source));
        assert!(needs_stamp(&via("SIP/2.0/UDP ue.example.org;branch=z9hG4bKa"), source));
    }
}
