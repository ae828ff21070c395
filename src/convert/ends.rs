//! Ends for messages of texts that tell none: made up, the same for the same names, from the range for measurements
//! (RFC 2544, 198.18.0.0/15) and the one for documentation (RFC 3849).

use crate::packet::{Protocol, Transport};
use crate::sip::{HeaderName, Message as Sip, Uri};
use crate::trace::{Ends, Message};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What was made up so far.
#[derive(Default, Debug)]
pub struct MadeUp {
    hosts: HashMap<String, u32>,
    /// By branch: where the answer comes from.
    requests: HashMap<String, Ends>,
    /// How many messages have ends that are made up.
    pub count: u64,
}

impl MadeUp {
    /// The ends of a message: its own, or made up.
    pub fn of(&mut self, message: &Message) -> Ends {
        if let Some(ends) = message.ends {
            return ends;
        }
        self.count += 1;
        match message.protocol {
            Protocol::Sip => self.of_sip(&message.bytes),
            Protocol::Diameter => None,
        }
        .unwrap_or_else(|| self.unknown(message.protocol))
    }

    /// The topmost Via names the sender of a request and the receiver of an answer. A Route names the next hop; where
    /// there is none, whoever takes all of the sender's requests.
    fn of_sip(&mut self, bytes: &[u8]) -> Option<Ends> {
        let sip = Sip::parse(bytes).ok().or_else(|| Sip::beginning(bytes))?;
        let via = sip.via().ok()?;
        let transport = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Sctp]
            .into_iter()
            .find(|transport| transport.as_str().eq_ignore_ascii_case(via.transport))
            .unwrap_or(Transport::Udp);
        let near = (via.host, via.port.unwrap_or(5060));
        let branch = via.branch().unwrap_or_default().to_owned();
        if sip.method().is_none() {
            if let Some(Ends { from, to, transport }) = self.requests.get(&branch).copied() {
                return Some(Ends { from: to, to: from, transport });
            }
            let receiver = self.socket(near, None);
            let sender = self.socket((&format!("next hop of {}", via.host), 5060), Some(receiver.ip()));
            return Some(Ends { from: sender, to: receiver, transport });
        }
        let from = self.socket(near, None);
        let route = sip.header(HeaderName::Route).and_then(|route| {
            let uri = route.split_once('<').map_or(route, |(_, uri)| uri);
            Uri::parse(uri.split_once('>').map_or(uri, |(uri, _)| uri)).ok()
        });
        let target = sip.request_uri().and_then(|uri| Uri::parse(uri).ok());
        // A REGISTER names the home domain, which is nobody's address.
        let target = target.filter(|_| sip.method() != Some(crate::sip::Method::Register));
        let to = match route
            .or(target)
            .and_then(|uri| Some((Some(uri.host).filter(|host| !host.is_empty())?.to_owned(), uri.port)))
        {
            Some((host, port)) => self.socket((&host, port.unwrap_or(5060)), Some(from.ip())),
            None => self.socket((&format!("next hop of {}", via.host), 5060), Some(from.ip())),
        };
        let ends = Ends { from, to, transport };
        if self.requests.len() > MOST {
            self.requests.clear();
        }
        self.requests.insert(branch, ends);
        Some(ends)
    }

    fn unknown(&mut self, protocol: Protocol) -> Ends {
        let (port, transport) = match protocol {
            Protocol::Sip => (5060, Transport::Udp),
            Protocol::Diameter => (3868, Transport::Tcp),
        };
        let from = self.socket(("somebody", port), None);
        Ends { from, to: self.socket(("somebody else", port), None), transport }
    }

    /// An address as it is, a name as a number. `like` tells the family.
    fn socket(&mut self, (host, port): (&str, u16), like: Option<IpAddr>) -> SocketAddr {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        if let Some(address) = literal.filter(|ip: &IpAddr| like.is_none_or(|like| like.is_ipv4() == ip.is_ipv4())) {
            return SocketAddr::new(address, port);
        }
        if self.hosts.len() > MOST {
            self.hosts.clear();
        }
        let next = self.hosts.len() as u32 + 1;
        let number = *self.hosts.entry(host.to_ascii_lowercase()).or_insert(next);
        let address = match like {
            Some(IpAddr::V6(_)) => {
                Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, (number >> 16) as u16, number as u16).into()
            }
            _ => IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 | (number & 0x1_ffff))),
        };
        SocketAddr::new(address, port)
    }
}

const MOST: usize = 100_000;
