//! What stands above a message and tells when it was seen, between whom, and what carried it.

use super::lines::Ahead;
use super::stamp::Stamp;
use super::{arrow, kamailio, ngrep, pjsua, sbc};
use crate::packet::Transport;
use std::net::{Ipv6Addr, SocketAddr};

/// What a text tells of the message below.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Banner {
    pub(super) stamp: Option<Stamp>,
    /// Sender and receiver, where both are shown.
    pub(super) addresses: Option<(SocketAddr, SocketAddr)>,
    pub(super) transport: Option<Transport>,
}

/// The banner that begins here, and of how many lines it is.
pub(super) fn read(ahead: &mut dyn Ahead) -> Option<(Banner, usize)> {
    if let Some(found) = kamailio::banner(ahead) {
        return Some(found);
    }
    let line = ahead.text(0)?;
    one_line(line).map(|banner| (banner, 1))
}

/// True for a line that begins a banner, so that no message goes on there.
pub(super) fn is_banner(line: &[u8]) -> bool {
    one_line(line).is_some() || line.starts_with(b"====================")
}

fn one_line(line: &[u8]) -> Option<Banner> {
    if line.len() > LONGEST {
        return None;
    }
    ngrep::banner(line).or_else(|| sbc::banner(line)).or_else(|| pjsua::banner(line)).or_else(|| arrow::banner(line))
}

/// `10.0.0.1:5060`, `[2001:db8::1]:5060`, and `2001:db8::1:5060` as ngrep writes it.
pub(super) fn socket(text: &[u8]) -> Option<SocketAddr> {
    let text = str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':')?;
    Some(SocketAddr::new(host.parse::<Ipv6Addr>().ok()?.into(), port.parse().ok()?))
}

/// The transport of a name.
pub(super) fn transport(name: &[u8]) -> Option<Transport> {
    let all = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Sctp];
    all.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_str().as_bytes()))
}

/// Banners are short.
const LONGEST: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_are_read() {
        let text = |text: &str| socket(text.as_bytes()).map(|address| address.to_string());
        assert_eq!(text("10.0.0.1:5060").as_deref(), Some("10.0.0.1:5060"));
        assert_eq!(text("[2001:db8::1]:5060").as_deref(), Some("[2001:db8::1]:5060"));
        assert_eq!(text("2001:db8::1:5060").as_deref(), Some("[2001:db8::1]:5060"));
        assert_eq!(text("UE"), None);
        assert_eq!(text("10.0.0.1"), None);
    }
}
