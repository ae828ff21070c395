//! UDP: SIP on any port, ESP on port 4500, GTP-U on port 2152, VXLAN.

use super::network::Payload;
use super::tunnel::{self, Carried};
use super::{Octets, Out, Point, Protection};
use super::{content, hep};
use crate::ipsec::esp::{self, PORT};
use crate::packet::{Protocol, Transport};
use crate::sip::keep_alive::is_keep_alive;
use crate::trace::Ends;
use std::net::SocketAddr;

/// A datagram between two ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Datagram<'a> {
    from: SocketAddr,
    to: SocketAddr,
    pub(super) data: Octets<'a>,
}

/// What a datagram holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind<'a> {
    /// The packet of a user, and the number of his tunnel (TS 29.281).
    GtpU { tunnel: u32, packet: Octets<'a> },
    /// A frame of an overlay.
    Vxlan(Carried<'a>),
    /// A packet of RFC 3948.
    Esp,
    /// A message, where it begins.
    Sip { start: usize },
    /// What an agent captured.
    Hep,
    /// Nothing to be said.
    KeepAlive,
    /// Nothing of ours.
    Other,
    /// Something that should have been ours.
    Unread(&'static str),
}

impl<'a> Datagram<'a> {
    /// `None` where not even the header is there. Checksums are not judged: network cards compute them behind the
    /// capture.
    pub(super) fn read(payload: Payload<'a>) -> Option<Self> {
        let Payload { source, destination, octets, .. } = payload;
        let head: &[u8; 8] = octets.bytes.first_chunk()?;
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        // RFC 2675 and offload leave zero.
        let data = match usize::from(word(4)) {
            0 => octets.from(8)?,
            len => octets.up_to(len).from(8)?,
        };
        Some(Self { from: SocketAddr::new(source, word(0)), to: SocketAddr::new(destination, word(2)), data })
    }

    pub(super) fn kind(&self, point: Point) -> Kind<'a> {
        let Self { from, to, data } = *self;
        let is_of = |port: u16| from.port() == port || to.port() == port;
        if is_of(GTP_U)
            && let Some(kind) = gtp_u(data)
        {
            return kind;
        }
        if tunnel::VXLAN.contains(&to.port())
            && let Some(carried) = tunnel::vxlan(data)
        {
            return Kind::Vxlan(carried);
        }
        if data.bytes.starts_with(hep::MAGIC) {
            return Kind::Hep;
        }
        let on_esp_port = is_of(PORT).then(|| esp::Datagram::of(data.bytes));
        match content::sip_start(data.bytes) {
            // What stands before the message is no junk there: nothing is encrypted in that ESP.
            Some(1..) if matches!(on_esp_port, Some(esp::Datagram::Esp(_))) => return Kind::Esp,
            Some(start) => return Kind::Sip { start },
            None => {}
        }
        match on_esp_port {
            Some(esp::Datagram::Esp(_)) => return Kind::Esp,
            Some(esp::Datagram::KeepAlive) => return Kind::KeepAlive,
            Some(esp::Datagram::NonEsp) => return Kind::Other,
            None => {}
        }
        // What else is on a port of SIP, or protected by an SA of Gm, was meant for a SIP element.
        let is_expected = is_of(5060) || matches!(point.protection, Protection::Esp(_));
        match data.bytes {
            bytes if is_keep_alive(bytes) && (is_expected || !bytes.is_empty()) => Kind::KeepAlive,
            _ if !is_expected => Kind::Other,
            // RFC 3320 clause 7: five bits that no text begins with.
            [0xf8..=0xff, ..] => Kind::Unread("SigComp, which is not unpacked"),
            _ => Kind::Unread("a datagram without SIP message where one is expected"),
        }
    }

    pub(super) fn message(&self, point: Point, start: usize, out: &mut Out) {
        let ends = Ends { from: self.from, to: self.to, transport: Transport::Udp };
        out.message(point, Protocol::Sip, ends, self.data.is_cut(), &self.data.bytes[start..]);
    }
}

/// A packet in GTP-U (TS 29.281 clause 5), its extension headers walked over. `None` for what is not GTP-U.
fn gtp_u(data: Octets<'_>) -> Option<Kind<'_>> {
    let head: &[u8; 8] = data.bytes.first_chunk()?;
    let [flags, kind, len0, len1, t0, t1, t2, t3] = *head;
    // Version 1, protocol type GTP.
    if flags & 0xf0 != 0x30 {
        return None;
    }
    if kind != G_PDU {
        return Some(Kind::Other);
    }
    let data = data.up_to(8 + usize::from(u16::from_be_bytes([len0, len1])));
    let mut at = 8;
    if flags & 0x07 != 0 {
        // Sequence number, N-PDU number, type of the first extension header.
        at += 4;
        let mut next = if flags & 0x04 == 0 { 0 } else { *data.bytes.get(11)? };
        while next != 0 {
            let len = usize::from(*data.bytes.get(at)?) * 4;
            if len == 0 {
                return Some(Kind::Unread("a GTP-U extension header without length"));
            }
            next = *data.bytes.get(at + len - 1)?;
            at += len;
        }
    }
    let packet = data.from(at)?;
    // A PDU may be a frame of Ethernet or nothing at all.
    Some(match packet.bytes.first().map(|first| first >> 4) {
        Some(4 | 6) => Kind::GtpU { tunnel: u32::from_be_bytes([t0, t1, t2, t3]), packet },
        _ => Kind::Other,
    })
}

const GTP_U: u16 = 2152;
const G_PDU: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_headers_of_gtp_u_are_walked_over() {
        let inner = [0x45, 0, 0, 20];
        let with = |head: &[u8]| {
            let len = u16::try_from(head.len() - 8 + inner.len()).unwrap().to_be_bytes();
            let mut octets = [head, &inner].concat();
            octets[2..4].copy_from_slice(&len);
            // Padding of the link is none of it.
            octets.push(0xee);
            octets
        };
        let plain = with(&[0x30, 255, 0, 0, 0, 0, 0, 7]);
        let numbered = with(&[0x32, 255, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0]);
        let extended = with(&[0x34, 255, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0x85, 1, 0x10, 9, 0xc0, 1, 0, 0, 0]);
        for octets in [plain, numbered, extended] {
            match gtp_u(Octets::whole(&octets)) {
                Some(Kind::GtpU { tunnel: 7, packet }) => assert_eq!(packet, Octets::whole(&inner)),
                other => panic!("{other:?}"),
            }
            for len in 0..octets.len() {
                // Never a panic, whatever was cut.
                let _ = gtp_u(Octets { bytes: &octets[..len], missing: octets.len() - len });
            }
        }
        let echo = [0x32, 1, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0];
        assert!(matches!(gtp_u(Octets::whole(&echo)), Some(Kind::Other)));
        assert!(gtp_u(Octets::whole(b"INVITE sip:a SIP/2.0")).is_none());
    }
}
