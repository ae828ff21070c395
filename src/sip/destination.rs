//! From a URI to where it is reached: IP literals and the names of the profile's `hosts`, no DNS.

use super::Uri;
use crate::packet::{Route, Transport};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Host names to addresses.
pub type Hosts = BTreeMap<Box<str>, IpAddr>;

/// How an element that listens at `listen` reaches `uri`, and which of its listeners its Via names; `None` where the host
/// has no address, or the element none of its family. `transport` is for a URI that names none.
///
/// A SIPS URI is reached by TLS whatever `transport` says of what is below (RFC 3261 clause 26.2.2, RFC 5630 clause 3.1.3),
/// and there is none over UDP. `transport=tls`, deprecated and still written, asks for one hop of it.
pub fn resolve(uri: &Uri<'_>, hosts: &Hosts, listen: &[SocketAddr], transport: Transport) -> Option<(Route, usize)> {
    let ip = uri.ip().or_else(|| address(hosts, uri.host))?;
    let named = |name: &str| uri.params.value("transport").is_some_and(|named| named.eq_ignore_ascii_case(name));
    let transport = match () {
        () if uri.is_sips() && named("udp") => return None,
        () if uri.is_sips() || named("tls") => Transport::Tls,
        () if named("tcp") => Transport::Tcp,
        () if named("udp") => Transport::Udp,
        () => transport,
    };
    let to = SocketAddr::new(ip, uri.port.unwrap_or_else(|| usual_port(transport)));
    let listener = listen.iter().position(|own| own.is_ipv4() == to.is_ipv4())?;
    let own = listen[listener];
    let from = match transport {
        Transport::Udp => own,
        // Any connection from that address: an element listens on its own port.
        Transport::Tcp | Transport::Tls | Transport::Sctp => SocketAddr::new(own.ip(), 0),
    };
    Some((Route::sip(transport, from, to), listener))
}

/// The port of a URI that names none (RFC 3261 clause 19.1.2; RFC 3263 clause 4.2 for `transport=tls`).
pub const fn usual_port(transport: Transport) -> u16 {
    if matches!(transport, Transport::Tls) { 5061 } else { 5060 }
}

fn address(hosts: &Hosts, host: &str) -> Option<IpAddr> {
    let known = hosts.get(host).copied();
    known.or_else(|| hosts.iter().find(|(name, _)| name.eq_ignore_ascii_case(host)).map(|(_, ip)| *ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_literals_ports_and_families() {
        let hosts = Hosts::from([("as.example".into(), "192.0.2.7".parse().unwrap())]);
        let listen = ["127.0.0.1:6060".parse().unwrap()];
        let way = |uri: &str| {
            let (route, listener) = resolve(&Uri::parse(uri).unwrap(), &hosts, &listen, Transport::Tcp)?;
            assert_eq!(listener, 0);
            Some(format!("{} {} {}", route.transport, route.from, route.to))
        };
        assert_eq!(way("sip:AS.example:5090").as_deref(), Some("TCP 127.0.0.1:0 192.0.2.7:5090"));
        assert_eq!(way("sip:192.0.2.9;transport=UDP").as_deref(), Some("UDP 127.0.0.1:6060 192.0.2.9:5060"));
        assert_eq!(way("sip:other.example"), None);
        assert_eq!(way("sip:[2001:db8::1]"), None);
        assert_eq!(way("sip:192.0.2.9;transport=TLS").as_deref(), Some("TLS 127.0.0.1:0 192.0.2.9:5061"));
        for uri in ["sips:192.0.2.9", "SIPS:192.0.2.9;transport=tcp", "sips:192.0.2.9;transport=sctp"] {
            assert_eq!(way(uri).as_deref(), Some("TLS 127.0.0.1:0 192.0.2.9:5061"), "{uri}");
        }
        assert_eq!(way("sips:192.0.2.9:5090;transport=tls").as_deref(), Some("TLS 127.0.0.1:0 192.0.2.9:5090"));
        assert_eq!(way("sips:192.0.2.9;transport=udp"), None);
    }
}
