//! What has another value now than when it was recorded: addresses, tags, Call-IDs, SPIs.
//!
//! A [`Renewals`] puts the values of now in the place of the recorded ones, wherever they stand, and leaves every other
//! octet as it is.

use super::comparison::Sender;
use crate::ipsec::association::Endpoint;
use crate::sip::header::via::Via;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Recorded values and those of now.
#[derive(Clone, Default)]
pub(super) struct Renewals {
    /// Texts that stand for themselves, the longest first.
    texts: Vec<(String, String)>,
    call_ids: Vec<(String, String)>,
    ends: Vec<(SocketAddr, SocketAddr)>,
    hosts: Vec<(IpAddr, IpAddr)>,
    /// Of whom, which parameter, recorded, now.
    numbers: Vec<(Sender, &'static str, u32, u32)>,
}

impl Renewals {
    /// A text that is long enough to be nothing else: an identity, a URI.
    pub(super) fn text(&mut self, recorded: &str, now: &str) {
        if recorded.is_empty() {
            return;
        }
        self.texts.retain(|(old, _)| old != recorded);
        self.texts.push((recorded.to_owned(), now.to_owned()));
        self.texts.sort_by_key(|(old, _)| std::cmp::Reverse(old.len()));
    }

    /// A tag of From or To.
    pub(super) fn tag(&mut self, recorded: &str, now: &str) {
        self.text(&format!("tag={recorded}"), &format!("tag={now}"));
    }

    /// A branch of our own Via.
    pub(super) fn branch(&mut self, recorded: &str, now: &str) {
        self.text(&format!("branch={recorded}"), &format!("branch={now}"));
    }

    /// True where the tag has a value of now.
    pub(super) fn has_tag(&self, recorded: &str) -> bool {
        let tag = format!("tag={recorded}");
        self.texts.iter().any(|(old, _)| *old == tag)
    }

    /// A Call-ID.
    pub(super) fn call_id(&mut self, recorded: &str, now: &str) {
        self.call_ids.retain(|(old, _)| old != recorded);
        self.call_ids.push((recorded.to_owned(), now.to_owned()));
        if recorded.len() >= SHORTEST_CALL_ID {
            self.text(recorded, now);
        }
    }

    /// The Call-ID of now.
    pub(super) fn call_id_of(&self, recorded: &str) -> Option<&str> {
        self.call_ids.iter().find(|(old, _)| old == recorded).map(|(_, now)| now.as_str())
    }

    /// An address with its port.
    pub(super) fn end(&mut self, recorded: SocketAddr, now: SocketAddr) {
        self.ends.retain(|(old, _)| *old != recorded);
        self.ends.push((recorded, now));
    }

    /// An address with any port.
    pub(super) fn host(&mut self, recorded: IpAddr, now: IpAddr) {
        self.hosts.retain(|(old, _)| *old != recorded);
        self.hosts.push((recorded, now));
    }

    /// SPIs and ports of one side, as its security header names them.
    pub(super) fn endpoint(&mut self, of: Sender, recorded: &Endpoint, now: &Endpoint) {
        for (name, old, new) in [
            ("spi-c", recorded.spi_c.0, now.spi_c.0),
            ("spi-s", recorded.spi_s.0, now.spi_s.0),
            ("port-c", recorded.port_c.into(), now.port_c.into()),
            ("port-s", recorded.port_s.into(), now.port_s.into()),
        ] {
            self.numbers.retain(|(who, what, number, _)| (*who, *what, *number) != (of, name, old));
            self.numbers.push((of, name, old, new));
        }
    }

    /// The address and port of now.
    pub(super) fn end_of(&self, recorded: SocketAddr) -> Option<SocketAddr> {
        self.ends.iter().find(|(old, _)| *old == recorded).map(|(_, now)| *now)
    }

    /// A value with everything renewed.
    pub(super) fn renewed(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(first) = text[at..].chars().next() {
            if let Some((old, now)) = self.text_at(text, at) {
                out.push_str(now);
                at += old.len();
            } else if let Some(length) = self.address_at(text, at, &mut out) {
                at += length;
            } else {
                out.push(first);
                at += first.len_utf8();
            }
        }
        out
    }

    /// Sent-by of a Via: 5060 where no port is written.
    pub(super) fn sent_by(&self, via: &Via<'_>) -> Option<String> {
        let recorded = SocketAddr::new(via.ip()?, via.port.unwrap_or(DEFAULT_PORT));
        let now = self.end_of(recorded)?;
        if now == recorded {
            return None;
        }
        let host = if now.ip() == recorded.ip() { via.host.to_owned() } else { in_uri(now.ip()) };
        Some(match (via.port, now.port()) {
            (None, DEFAULT_PORT) => host,
            (_, port) => format!("{host}:{port}"),
        })
    }

    /// A value of Security-Client, -Server or -Verify.
    pub(super) fn mechanisms(&self, of: Sender, value: &str) -> String {
        let lower = value.to_ascii_lowercase();
        let mut out = String::with_capacity(value.len());
        let mut done = 0;
        for (at, _) in lower.match_indices(';') {
            let rest = lower[at + 1..].trim_start();
            let Some(name) = NUMBERS.iter().find(|name| rest.starts_with(**name)) else { continue };
            let Some(number) = rest[name.len()..].trim_start().strip_prefix('=') else { continue };
            let number = number.trim_start().trim_start_matches('"');
            let length = number.bytes().take_while(u8::is_ascii_digit).count();
            let start = lower.len() - number.len();
            let renewed = number[..length].parse().ok().and_then(|old: u32| self.number(of, name, old));
            if let Some(renewed) = renewed {
                out.push_str(&value[done..start]);
                out.push_str(&renewed.to_string());
                done = start + length;
            }
        }
        out.push_str(&value[done..]);
        out
    }

    fn number(&self, of: Sender, name: &str, old: u32) -> Option<u32> {
        let found = self.numbers.iter().rev().find(|(who, what, number, _)| (*who, *what, *number) == (of, name, old));
        found.map(|(.., now)| *now)
    }

    fn text_at(&self, text: &str, at: usize) -> Option<(&str, &str)> {
        let found = self.texts.iter().find(|(old, _)| text[at..].starts_with(old) && stands_alone(text, at, old));
        found.map(|(old, now)| (old.as_str(), now.as_str()))
    }

    /// Writes the address of now for one at `at`; how long that was.
    fn address_at(&self, text: &str, at: usize, out: &mut String) -> Option<usize> {
        let found = Address::read(text, at)?;
        let is_uri = ["@", "sip:", "sips:"].iter().any(|front| text[..at].ends_with(front));
        let port = found.port.or_else(|| is_uri.then_some(DEFAULT_PORT));
        let end = port.and_then(|port| self.end_of(SocketAddr::new(found.ip, port)));
        let host = || self.hosts.iter().find(|(old, _)| *old == found.ip).map(|(_, now)| *now);
        let (ip, port) = match end {
            Some(end) if found.port.is_none() && end.port() == DEFAULT_PORT => (end.ip(), None),
            Some(end) => (end.ip(), Some(end.port())),
            None => (host()?, found.port),
        };
        if ip == found.ip {
            out.push_str(&text[at..at + found.host_length]);
        } else if is_uri || found.is_bracketed || port.is_some() {
            out.push_str(&in_uri(ip));
        } else {
            out.push_str(&ip.to_string());
        }
        if let Some(port) = port {
            out.push_str(&format!(":{port}"));
        }
        Some(found.length)
    }
}

/// Identities and addresses are not for logs.
impl std::fmt::Debug for Renewals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Renewals({} texts, {} ends)", self.texts.len(), self.ends.len())
    }
}

/// An address in a text.
struct Address {
    ip: IpAddr,
    is_bracketed: bool,
    host_length: usize,
    port: Option<u16>,
    length: usize,
}

impl Address {
    fn read(text: &str, at: usize) -> Option<Self> {
        let rest = &text[at..];
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':') && !is_after_scheme(text, at)
        }) {
            return None;
        }
        let run = |rest: &str, is: fn(&u8) -> bool| rest.bytes().take_while(is).count();
        let (ip, is_bracketed, host_length) = if let Some(inside) = rest.strip_prefix('[') {
            let close = inside.find(']')?;
            (inside[..close].parse::<Ipv6Addr>().ok()?.into(), true, close + 2)
        } else {
            let four = run(rest, |c| c.is_ascii_digit() || *c == b'.');
            match rest[..four].trim_end_matches('.').parse::<Ipv4Addr>() {
                Ok(ip) => (ip.into(), false, rest[..four].trim_end_matches('.').len()),
                Err(_) => {
                    let six = run(rest, |c| c.is_ascii_hexdigit() || matches!(c, b':' | b'.'));
                    (rest[..six].parse::<Ipv6Addr>().ok()?.into(), false, six)
                }
            }
        };
        let behind = &rest[host_length..];
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if behind.starts_with(is_word) || behind.strip_prefix('.').is_some_and(|behind| behind.starts_with(is_word)) {
            return None;
        }
        let digits = behind.strip_prefix(':').map_or(0, |port| run(port, u8::is_ascii_digit));
        let port = behind.get(1..=digits).and_then(|port| port.parse().ok()).filter(|_| digits > 0);
        let length = host_length + port.map_or(0, |_: u16| digits + 1);
        Some(Self { ip, is_bracketed, host_length, port, length })
    }
}

fn is_after_scheme(text: &str, at: usize) -> bool {
    text[..at].ends_with("sip:") || text[..at].ends_with("sips:") || text[..at].ends_with(' ')
}

/// True where no letter or digit before or behind goes on with it.
fn stands_alone(text: &str, at: usize, old: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '%' | '~' | '!' | '*');
    let before = text[..at].chars().next_back().filter(|_| old.starts_with(goes_on));
    let behind = text[at + old.len()..].chars().next().filter(|_| old.ends_with(goes_on));
    !before.is_some_and(goes_on) && !behind.is_some_and(goes_on)
}

fn in_uri(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

const NUMBERS: [&str; 4] = ["spi-c", "spi-s", "port-c", "port-s"];
const DEFAULT_PORT: u16 = 5060;
/// A shorter one might stand for something else elsewhere.
const SHORTEST_CALL_ID: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Spi;

    fn renewals() -> Renewals {
        let mut renewals = Renewals::default();
        renewals.host("10.0.0.7".parse().unwrap(), "192.0.2.1".parse().unwrap());
        renewals.end("10.0.0.7:5060".parse().unwrap(), "192.0.2.1:20000".parse().unwrap());
        renewals.end("[2001:db8::7]:5060".parse().unwrap(), "[2001:db8::7]:5060".parse().unwrap());
        renewals.host("2001:db8::8".parse().unwrap(), "2001:db8::9".parse().unwrap());
        renewals.tag("1", "fresh");
        renewals.call_id("c", "other");
        renewals
    }

    #[test]
    fn addresses_wherever_they_stand() {
        for (recorded, now) in [
            ("<sip:u@10.0.0.7:5060;lr>", "<sip:u@192.0.2.1:20000;lr>"),
            ("<sip:10.0.0.7>", "<sip:192.0.2.1:20000>"),
            ("<sip:u@10.0.0.7:7000>", "<sip:u@192.0.2.1:7000>"),
            ("c=IN IP4 10.0.0.7", "c=IN IP4 192.0.2.1"),
            (";received=10.0.0.7", ";received=192.0.2.1"),
            ("110.0.0.7 10.0.0.71 x10.0.0.7 10.0.0.7.example", "110.0.0.7 10.0.0.71 x10.0.0.7 10.0.0.7.example"),
            ("sip:u@[2001:DB8:0:0:0:0:0:7]:5060", "sip:u@[2001:DB8:0:0:0:0:0:7]:5060"),
            ("sip:u@[2001:DB8:0:0:0:0:0:8]", "sip:u@[2001:db8::9]"),
            ("c=IN IP6 2001:DB8::8", "c=IN IP6 2001:db8::9"),
            ("12:30:59 ::: [x", "12:30:59 ::: [x"),
        ] {
            assert_eq!(renewals().renewed(recorded), now);
        }
    }

    #[test]
    fn short_texts_only_where_they_mean_it() {
        let recorded = "CSeq: 1;tag=1;q=1;tag=11;x-tag=1 c";
        assert_eq!(renewals().renewed(recorded), "CSeq: 1;tag=fresh;q=1;tag=11;x-tag=1 c");
        assert_eq!(renewals().call_id_of("c"), Some("other"));
        let via = Via::parse("SIP/2.0/UDP 10.0.0.7;branch=z9hG4bKa").unwrap().0;
        assert_eq!(renewals().sent_by(&via).as_deref(), Some("192.0.2.1:20000"));
    }

    #[test]
    fn numbers_of_a_security_header_keep_their_dress() {
        let of = |spi, port_c| Endpoint { spi_c: Spi(spi), spi_s: Spi(spi + 1), port_c, port_s: 6000 };
        let mut renewals = renewals();
        renewals.endpoint(Sender::Ue, &of(300, 31000), &of(7000, 40000));
        let value = "ipsec-3gpp; alg=hmac-md5-96;SPI-C = 300;spi-s=301;port-c=31000;port-s=6000;x=300,\r\n ipsec-3gpp;spi-c=999";
        assert_eq!(
            renewals.mechanisms(Sender::Ue, value),
            "ipsec-3gpp; alg=hmac-md5-96;SPI-C = 7000;spi-s=7001;port-c=40000;port-s=6000;x=300,\r\n ipsec-3gpp;spi-c=999"
        );
        assert_eq!(renewals.mechanisms(Sender::Network, value), value);
    }
}
