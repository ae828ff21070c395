//! IP, UDP, TCP and SCTP headers for packets that never had any (RFC 791, RFC 8200, RFC 768, RFC 9293, RFC 9260).

pub(crate) use crate::ip::transport::{ACK, FIN, PSH, SYN, TcpFields};
use crate::ip::{self, transport};
use std::net::SocketAddr;

/// Appends a datagram.
pub(crate) fn udp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
    let begun = ip::begin(out, from.ip(), to.ip(), ip::UDP);
    transport::write_udp(out, from, to, payload);
    begun.finish(out);
}

/// Appends a segment.
pub(crate) fn tcp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, fields: TcpFields, payload: &[u8]) {
    let begun = ip::begin(out, from.ip(), to.ip(), ip::TCP);
    transport::write_tcp(out, from, to, fields, payload);
    begun.finish(out);
}

/// Appends an SCTP packet with one DATA chunk, the `number`th from this sender.
pub(crate) fn sctp(out: &mut Vec<u8>, from: SocketAddr, to: SocketAddr, number: u32, payload: &[u8]) {
    let chunk = DATA_LEN + payload.len();
    let padding = chunk.next_multiple_of(4) - chunk;
    let begun = ip::begin(out, from.ip(), to.ip(), SCTP);
    let start = out.len();
    out.extend_from_slice(&from.port().to_be_bytes());
    out.extend_from_slice(&to.port().to_be_bytes());
    // A verification tag of the receiver's choice, the checksum.
    out.extend_from_slice(&u32::from(to.port()).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    // DATA, unfragmented; stream 0, the same count for transmission and stream.
    out.extend_from_slice(&[0, BEGIN_AND_END]);
    out.extend_from_slice(&u16::try_from(chunk).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&number.to_be_bytes()[2..]);
    out.extend_from_slice(&DIAMETER.to_be_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(&[0; 3][..padding]);
    let sum = CRC32C.checksum(&out[start..]);
    // RFC 9260 appendix A: the octets of the CRC go out in the order of their significance reversed.
    out[start + 8..start + 12].copy_from_slice(&sum.to_le_bytes());
    begun.finish(out);
}

/// The most octets of payload that one packet of ours takes, whatever carries it.
pub(crate) const LARGEST_PAYLOAD: usize = 60_000;

/// RFC 9260 clause 6.8 and appendix A.
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
/// Payload protocol identifier of Diameter (RFC 6733 clause 2.1).
const DIAMETER: u32 = 46;
const BEGIN_AND_END: u8 = 3;
const SCTP: u8 = 132;
const DATA_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    /// "123456789", the check value of CRC-32C.
    #[test]
    fn an_sctp_packet_carries_its_message() {
        assert_eq!(CRC32C.checksum(b"123456789"), 0xe306_9283);
        let (from, to) = ("10.0.0.1:40000".parse().unwrap(), "10.0.0.2:3868".parse().unwrap());
        let mut out = Vec::new();
        sctp(&mut out, from, to, 7, b"odd");
        assert_eq!((out.len(), out.len() % 4), (20 + 12 + 16 + 4, 0));
        let sum = u32::from_le_bytes(out[28..32].try_into().unwrap());
        out[28..32].fill(0);
        assert_eq!(CRC32C.checksum(&out[20..]), sum);
        // The length of the chunk does not count its padding.
        assert_eq!((&out[34..36], &out[44..48], &out[48..]), (&[0, 19][..], &[0, 0, 0, 46][..], &b"odd\0"[..]));
    }
}
