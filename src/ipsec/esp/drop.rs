//! Why a packet is not sealed or not let in.

/// A reason, one a fault. Nothing is answered to any of them: the packet is dropped and counted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[repr(u8)]
pub enum Drop {
    /// Outbound: no set has an SA between these addresses and ports.
    #[error("no SA")]
    NoSa,
    /// Outbound: neither UDP nor TCP, or no ports in it, or more than one packet holds.
    #[error("not to be sealed")]
    Unsealable,
    /// Outbound: 2^32 - 1 packets were sent on this SA, and its sequence number never wraps (RFC 4303 clause 3.3.3).
    #[error("sequence number exhausted")]
    SequenceExhausted,
    /// Outbound: nothing has come out of the UE's NAT yet, so its port is not known (annex M).
    #[error("port of the NAT not known")]
    NatPortUnknown,
    /// Fewer octets than the fields of the SA's algorithms, or no whole number of blocks.
    #[error("wrong length")]
    Length,
    /// No set has an SA with this SPI that ends at this address.
    #[error("unknown SPI")]
    UnknownSpi,
    /// In UDP on an SA in transport mode, or bare on one in UDP-encapsulated tunnel mode.
    #[error("wrong encapsulation")]
    Encapsulation,
    /// A sequence number that was seen before, or zero.
    #[error("replayed")]
    Replayed,
    /// A sequence number before the window.
    #[error("before the replay window")]
    TooOld,
    /// The integrity check value is not that of the packet under the SA's key.
    #[error("wrong ICV")]
    Icv,
    /// The padding is not 1, 2, 3, ... or longer than the packet (RFC 4303 clause 2.4).
    #[error("wrong padding")]
    Padding,
    /// Next header 59: traffic that only hides traffic (RFC 4303 clause 2.6).
    #[error("dummy packet")]
    Dummy,
    /// The next header is neither UDP nor TCP (in tunnel mode: not the IP version of the SA, or not them inside it).
    #[error("wrong next header")]
    NextHeader,
    /// Tunnel mode: what was sealed is no whole IP packet.
    #[error("wrong inner packet")]
    InnerPacket,
    /// Addresses or ports are not those of the SA.
    #[error("wrong selector")]
    Selector,
    /// Length or checksum of the UDP datagram or TCP segment that was sealed.
    #[error("wrong inner checksum")]
    InnerChecksum,
}

impl Drop {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::NoSa,
        Self::Unsealable,
        Self::SequenceExhausted,
        Self::NatPortUnknown,
        Self::Length,
        Self::UnknownSpi,
        Self::Encapsulation,
        Self::Replayed,
        Self::TooOld,
        Self::Icv,
        Self::Padding,
        Self::Dummy,
        Self::NextHeader,
        Self::InnerPacket,
        Self::Selector,
        Self::InnerChecksum,
    ];

    /// In one word, for tables and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSa => "no-sa",
            Self::Unsealable => "unsealable",
            Self::SequenceExhausted => "sequence-exhausted",
            Self::NatPortUnknown => "nat-port-unknown",
            Self::Length => "length",
            Self::UnknownSpi => "unknown-spi",
            Self::Encapsulation => "encapsulation",
            Self::Replayed => "replayed",
            Self::TooOld => "too-old",
            Self::Icv => "icv",
            Self::Padding => "padding",
            Self::Dummy => "dummy",
            Self::NextHeader => "next-header",
            Self::InnerPacket => "inner-packet",
            Self::Selector => "selector",
            Self::InnerChecksum => "inner-checksum",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_of_the_numbers_and_each_word_is_its_own() {
        for (at, reason) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            assert!(Drop::ALL[..at].iter().all(|other| other.as_str() != reason.as_str()));
        }
    }
}
