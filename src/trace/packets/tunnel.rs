//! Mirrors and overlays: GRE (RFC 2784, RFC 2890), ERSPAN inside of it, and VXLAN (RFC 7348).

use super::Octets;

/// What a tunnel carries, and a number that tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carried<'a> {
    /// An IP packet.
    Ip(u32, Octets<'a>),
    /// A frame of Ethernet.
    Frame(u32, Octets<'a>),
    /// Something else.
    Other,
}

/// Takes GRE apart. `None`: it ends in its head.
pub(super) fn gre(octets: Octets<'_>) -> Option<Carried<'_>> {
    let &[flags, version, kind0, kind1] = octets.bytes.first_chunk()?;
    // Version 1 carries PPP; source routes are long gone.
    if version & 0x07 != 0 || flags & 0x40 != 0 {
        return Some(Carried::Other);
    }
    let has = |flag: u8| flags & flag != 0;
    let mut at = 4;
    if has(0x80) {
        at += 4;
    }
    let mut key = 0;
    if has(0x20) {
        let word: &[u8; 4] = octets.bytes.get(at..)?.first_chunk()?;
        key = u32::from_be_bytes(*word);
        at += 4;
    }
    if has(0x10) {
        at += 4;
    }
    let inner = |skipped: usize| octets.from(at + skipped);
    Some(match u16::from_be_bytes([kind0, kind1]) {
        0x0800 | 0x86dd => Carried::Ip(key, inner(0)?),
        0x6558 => Carried::Frame(key, inner(0)?),
        // ERSPAN: type I has no head of its own and no number, type II eight octets, type III twelve, or twenty with a
        // sub-header.
        0x88be if !has(0x10) => Carried::Frame(key, inner(0)?),
        0x88be => Carried::Frame(key, inner(8)?),
        0x22eb => {
            let has_more = octets.bytes.get(at + 11)? & 1 != 0;
            Carried::Frame(key, inner(if has_more { 20 } else { 12 })?)
        }
        _ => Carried::Other,
    })
}

/// Takes VXLAN apart. `None`: it is none, or ends in its head.
pub(super) fn vxlan(octets: Octets<'_>) -> Option<Carried<'_>> {
    let &[flags, _, _, _, n0, n1, n2, _] = octets.bytes.first_chunk()?;
    if flags & 0x08 == 0 {
        return None;
    }
    Some(Carried::Frame(u32::from_be_bytes([0, n0, n1, n2]), octets.from(8)?))
}

pub(super) const GRE: u8 = 47;
/// RFC 7348, and what Linux took before it.
pub(super) const VXLAN: [u16; 2] = [4789, 8472];

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(head: &[u8]) -> Option<Carried<'static>> {
        let octets = [head, &INNER].concat().leak();
        gre(Octets::whole(octets))
    }

    const INNER: [u8; 3] = [0x45, 1, 2];

    #[test]
    fn heads_of_gre_are_as_long_as_their_flags_say() {
        let ip = |key| Some(Carried::Ip(key, Octets::whole(&INNER)));
        let frame = |key| Some(Carried::Frame(key, Octets::whole(&INNER)));
        assert_eq!(carried(&[0, 0, 8, 0]), ip(0));
        assert_eq!(carried(&[0x80, 0, 0x86, 0xdd, 9, 9, 0, 0]), ip(0));
        assert_eq!(carried(&[0xb0, 0, 8, 0, 9, 9, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1]), ip(7));
        assert_eq!(carried(&[0x20, 0, 0x65, 0x58, 0, 0, 0, 7]), frame(7));
        assert_eq!(carried(&[0, 0, 0x88, 0xbe]), frame(0));
        assert_eq!(carried(&[&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1][..], &[0x10; 8]].concat()), frame(0));
        assert_eq!(carried(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x20; 12]].concat()), frame(0));
        assert_eq!(carried(&[&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &[0x21; 20]].concat()), frame(0));
        assert_eq!(carried(&[0x30, 1, 0x88, 0x0b]), Some(Carried::Other));
        assert_eq!(carried(&[0x40, 0, 8, 0]), Some(Carried::Other));
    }

    #[test]
    fn heads_that_are_cut_tell_nothing() {
        let whole = [0xb0, 0, 0x22, 0xeb, 9, 9, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0x21, 0, 0, 0];
        for len in 0..whole.len() {
            assert_eq!(gre(Octets { bytes: &whole[..len], missing: whole.len() - len }), None, "{len}");
        }
        let head = [8, 0, 0, 0, 0, 1, 0, 0];
        assert_eq!(vxlan(Octets::whole(&head)), Some(Carried::Frame(256, Octets::whole(&[]))));
        assert_eq!(vxlan(Octets::whole(&head[..7])), None);
        assert_eq!(vxlan(Octets::whole(&[0; 20])), None);
    }
}
