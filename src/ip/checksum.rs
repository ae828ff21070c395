//! The ones' complement sum (RFC 1071).

use std::net::IpAddr;

/// The sum over `octets`, folded to 16 bits. An odd octet at the end counts as if a zero followed.
pub(super) fn sum(octets: &[u8], start: u32) -> u16 {
    let mut sum = u64::from(start);
    // The sum of 32-bit words folds to the same 16 bits (RFC 1071 clause 2).
    let mut words = octets.chunks_exact(4);
    for word in &mut words {
        sum += u64::from(u32::from_be_bytes(word.try_into().expect("chunks of four octets")));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    sum += u64::from(u32::from_be_bytes(last));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("folded to sixteen bits")
}

/// The sum over the pseudo header of UDP and TCP and `segment`; its complement goes into the checksum field, and with
/// that field filled in the sum is 0xffff.
pub(super) fn with_pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let start = u32::from(protocol) + u32::try_from(segment.len()).expect("a segment fits into a packet");
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            sum(&destination.octets(), u32::from(sum(&source.octets(), start)))
        }
        (source, destination) => {
            let source = sum(&super::wide(source).octets(), start);
            sum(&super::wide(destination).octets(), u32::from(source))
        }
    };
    sum(segment, u32::from(addresses))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 1071 clause 3, whole and cut to odd lengths.
    #[test]
    fn the_example_of_rfc_1071() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&octets, 0), 0xddf2);
        assert_eq!(sum(&octets[..7], 0), 0xdcfb);
        assert_eq!(sum(&octets[..5], 0), 0xe605);
        assert_eq!(sum(&octets[..2], 0), 1);
        assert_eq!(sum(&[], 7), 7);
    }
}
