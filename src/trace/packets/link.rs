//! Link layers: from a frame to the IP packet in it.

use super::Octets;
use foldhash::fast::FixedState;
use std::hash::BuildHasher;

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame<'a> {
    /// An IP packet; the number names where on the link it was seen.
    Ip(Octets<'a>, u64),
    /// Something else, which is none of ours.
    Other,
    /// It ends before it tells.
    Short,
    /// A link type that is not read here.
    Unknown,
}

/// Takes a frame of LINKTYPE `link` apart (www.tcpdump.org/linktypes.html).
pub(super) fn open(link: u16, frame: Octets<'_>) -> Frame<'_> {
    let Octets { bytes, .. } = frame;
    let open = match link {
        NULL | LOOP => loopback(link, bytes),
        ETHERNET => ethernet(bytes),
        LINUX_COOKED => cooked(bytes, 14, 16),
        LINUX_COOKED_2 => cooked(bytes, 0, 20),
        PPP => ppp(bytes),
        RAW | 12 | 14 | IPV4 | IPV6 => Some((0, Some(0))),
        _ => return Frame::Unknown,
    };
    match open {
        None => Frame::Short,
        Some((_, None)) => Frame::Other,
        Some((seen_at, Some(start))) => match frame.from(start) {
            Some(packet) => Frame::Ip(packet, seen_at),
            None => Frame::Short,
        },
    }
}

/// Where it was seen and where the IP packet begins, if it is one. `None` for a frame that is too short.
type Found = Option<(u64, Option<usize>)>;

fn ethernet(bytes: &[u8]) -> Found {
    let addresses = bytes.get(..12)?;
    Some((FixedState::default().hash_one(addresses), ether_type(bytes, 12)?))
}

/// The type of packet and the interface are in front of the rest.
fn cooked(bytes: &[u8], protocol: usize, len: usize) -> Found {
    let head = bytes.get(..len)?;
    // Type of packet (came in, goes out), and with version 2 the interface.
    let seen_at = if protocol == 0 { &head[4..12] } else { &head[..4] };
    let seen_at = FixedState::default().hash_one(seen_at);
    let kind = u16::from_be_bytes([head[protocol], head[protocol + 1]]);
    Some((seen_at, behind(bytes, kind, len)?))
}

/// An EtherType at `at` and what follows it.
fn ether_type(bytes: &[u8], at: usize) -> Option<Option<usize>> {
    let kind = bytes.get(at..at + 2)?;
    behind(bytes, u16::from_be_bytes([kind[0], kind[1]]), at + 2)
}

/// Where the IP packet of a payload of this EtherType begins.
fn behind(bytes: &[u8], mut kind: u16, mut at: usize) -> Option<Option<usize>> {
    for _ in 0..MOST_TAGS {
        match kind {
            0x0800 | 0x86dd => return Some(Some(at)),
            // 802.1Q, 802.1ad, and what came before it.
            0x8100 | 0x88a8 | 0x9100 => {
                let tag = bytes.get(at..at + 4)?;
                kind = u16::from_be_bytes([tag[2], tag[3]]);
                at += 4;
            }
            // MPLS, up to the bottom of the stack. What is below tells by its version.
            0x8847 | 0x8848 => {
                let label = bytes.get(at..at + 4)?;
                at += 4;
                if label[2] & 1 != 0 {
                    return Some(matches!(bytes.get(at)? >> 4, 4 | 6).then_some(at));
                }
            }
            // A PPPoE session.
            0x8864 => {
                let head = bytes.get(at..at + 8)?;
                return Some(matches!([head[6], head[7]], [0, 0x21 | 0x57]).then_some(at + 8));
            }
            _ => return Some(None),
        }
    }
    Some(None)
}

/// The address family of BSD, in the order of the host that captured, or of the network.
fn loopback(link: u16, bytes: &[u8]) -> Found {
    let family: &[u8; 4] = bytes.first_chunk()?;
    let is_ip = |family: u32| matches!(family, 2 | 10 | 24 | 28 | 30);
    let big = u32::from_be_bytes(*family);
    let found = is_ip(big) || (link == NULL && is_ip(u32::from_le_bytes(*family)));
    Some((0, found.then_some(4)))
}

fn ppp(bytes: &[u8]) -> Found {
    let at = if bytes.starts_with(&[0xff, 3]) { 2 } else { 0 };
    match bytes.get(at..)? {
        [0x21 | 0x57, ..] => Some((0, Some(at + 1))),
        [0, 0x21 | 0x57, ..] => Some((0, Some(at + 2))),
        [] => None,
        _ => Some((0, None)),
    }
}

const NULL: u16 = 0;
pub(super) const ETHERNET: u16 = 1;
const PPP: u16 = 9;
const RAW: u16 = 101;
const LOOP: u16 = 108;
const LINUX_COOKED: u16 = 113;
const IPV4: u16 = 228;
const IPV6: u16 = 229;
const LINUX_COOKED_2: u16 = 276;
const MOST_TAGS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(link: u16, head: &[u8]) -> Option<usize> {
        let frame = [head, &[0x45, 0, 0, 20]].concat();
        match open(link, Octets::whole(&frame)) {
            Frame::Ip(octets, _) => Some(frame.len() - octets.bytes.len()),
            _ => None,
        }
    }

    #[test]
    fn every_link_type_has_its_head() {
        let macs = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let ethernet = |rest: &[u8]| [&macs[..], rest].concat();
        assert_eq!(found(1, &ethernet(&[8, 0])), Some(14));
        assert_eq!(found(1, &ethernet(&[0x86, 0xdd])), Some(14));
        assert_eq!(found(1, &ethernet(&[0x81, 0, 0, 7, 8, 0])), Some(18));
        assert_eq!(found(1, &ethernet(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 8, 8, 0])), Some(22));
        assert_eq!(found(1, &ethernet(&[0x88, 0x47, 0, 0, 0, 0, 0, 0, 1, 64])), Some(22));
        assert_eq!(found(1, &ethernet(&[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0, 0x21])), Some(22));
        assert_eq!(found(1, &ethernet(&[8, 6])), None);
        assert_eq!(found(113, &[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0]), Some(16));
        assert_eq!(found(276, &[8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0]), Some(20));
        assert_eq!((found(101, &[]), found(12, &[]), found(228, &[])), (Some(0), Some(0), Some(0)));
        assert_eq!(
            (found(0, &[2, 0, 0, 0]), found(0, &[0, 0, 0, 30]), found(108, &[0, 0, 0, 2])),
            (Some(4), Some(4), Some(4))
        );
        assert_eq!(found(108, &[2, 0, 0, 0]), None);
        assert_eq!((found(9, &[0xff, 3, 0, 0x21]), found(9, &[0x21])), (Some(4), Some(1)));
        assert_eq!(open(147, Octets::whole(&[0; 40])), Frame::Unknown);
    }

    #[test]
    fn a_frame_cut_in_its_head_is_short() {
        for (link, len) in [(1, 13), (113, 15), (276, 19), (0, 3)] {
            assert_eq!(open(link, Octets::whole(&[0; 40][..len])), Frame::Short, "{link}");
        }
    }

    #[test]
    fn what_comes_in_and_what_goes_out_is_seen_at_two_places() {
        let place = |kind: u8| match open(113, Octets::whole(&[0, kind, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0])) {
            Frame::Ip(_, place) => place,
            other => panic!("{other:?}"),
        };
        assert_ne!(place(0), place(4));
        assert_eq!(place(0), place(0));
    }
}
