//! Making fragments (RFC 791 clause 3.2, RFC 8200 clause 4.5): of an ESP packet as a whole, as transport mode wants it.

use super::packet::FRAGMENT;
use super::{Begun, Malformed, Packet, V4_LEN, V6_LEN};

/// Hands out `packet` in parts of at most `mtu` octets, in order; whole where it fits. `identification` is fresh for the
/// addresses of the packet; IPv4 takes its lower half. `packet` has no options or extension headers and is no fragment
/// itself, as those of [`super::write`].
pub fn split(packet: &[u8], mtu: usize, identification: u32, mut each: impl FnMut(&[u8])) -> Result<(), CannotSplit> {
    if packet.len() <= mtu {
        each(packet);
        return Ok(());
    }
    let Packet { header, payload, payload_start } = Packet::parse(packet).map_err(CannotSplit::Malformed)?;
    let is_v4 = header.source.is_ipv4();
    if header.fragment.is_some() || payload_start != super::header_len(header.source) {
        return Err(CannotSplit::Headers);
    }
    let head_len = if is_v4 { V4_LEN } else { V6_LEN + FRAGMENT_LEN };
    // All parts but the last are whole words of eight octets.
    let most = mtu.saturating_sub(head_len) / 8 * 8;
    if most == 0 {
        return Err(CannotSplit::Mtu);
    }
    let mut part = Vec::with_capacity(head_len + most);
    for (at, octets) in payload.chunks(most).enumerate() {
        let offset = at * most;
        let more = offset + octets.len() < payload.len();
        part.clear();
        part.extend_from_slice(&packet[..payload_start]);
        let offset = u16::try_from(offset).expect("a packet has at most 65,535 octets");
        if is_v4 {
            #[expect(clippy::cast_possible_truncation, reason = "IPv4 has room for the lower half")]
            part[4..6].copy_from_slice(&(identification as u16).to_be_bytes());
            let more = u16::from(more) << 13;
            part[6..8].copy_from_slice(&(more | (offset / 8)).to_be_bytes());
        } else {
            part[6] = FRAGMENT;
            part.extend_from_slice(&[header.protocol, 0]);
            part.extend_from_slice(&(offset | u16::from(more)).to_be_bytes());
            part.extend_from_slice(&identification.to_be_bytes());
        }
        part.extend_from_slice(octets);
        Begun { start: 0 }.finish(&mut part);
        each(&part);
    }
    Ok(())
}

/// Why there are no parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotSplit {
    /// It is no IP packet.
    #[error(transparent)]
    Malformed(Malformed),
    /// Options, extension headers, or a fragment already.
    #[error("more than a plain header")]
    Headers,
    /// Not even eight octets fit.
    #[error("MTU too small")]
    Mtu,
}

const FRAGMENT_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip;
    use std::net::IpAddr;

    #[test]
    fn parts_hold_everything_once_and_fit() {
        for (source, destination) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "fe80::2")] {
            let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
            for len in [1, 1_400, 1_480, 1_481, 3_000, 65_000] {
                let payload: Vec<u8> = (0..len).map(|i: u32| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
                let mut packet = Vec::new();
                ip::write(&mut packet, source, destination, ip::ESP, &payload);
                for mtu in [68, 576, 1_280, 1_500] {
                    let (mut back, mut count) = (Vec::new(), 0);
                    split(&packet, mtu, 0x0102_0304, |part| {
                        assert!(part.len() <= mtu);
                        let part = Packet::parse(part).unwrap();
                        assert_eq!((part.header.source, part.header.protocol), (source, ip::ESP));
                        if let Some(fragment) = part.header.fragment {
                            let identification = if source.is_ipv4() { 0x0304 } else { 0x0102_0304 };
                            assert_eq!((fragment.identification, fragment.offset), (identification, back.len()));
                            assert_eq!(fragment.more, back.len() + part.payload.len() < payload.len());
                        }
                        back.extend_from_slice(part.payload);
                        count += 1;
                    })
                    .unwrap();
                    assert!(back == payload, "{len} {mtu}");
                    assert_eq!(count == 1, packet.len() <= mtu);
                }
                assert_eq!(split(&packet, 27, 1, |_| {}).is_err(), packet.len() > 27);
            }
        }
    }

    #[test]
    fn a_part_is_not_split_again() {
        let mut packet = Vec::new();
        ip::write(&mut packet, "::1".parse().unwrap(), "::2".parse().unwrap(), ip::ESP, &[7; 2_000]);
        split(&packet, 1_280, 1, |part| {
            assert_eq!(split(part, 100, 1, |_| {}), Err(CannotSplit::Headers));
        })
        .unwrap();
    }
}
