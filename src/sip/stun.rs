//! STUN binding as a keep-alive on the port of SIP (RFC 5626 clause 8, RFC 5389): no authentication, no fingerprint.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What names a request and its response.
pub type TransactionId = [u8; 12];

/// A STUN message as far as keep-alives need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stun {
    /// A binding request.
    Request {
        /// Its name.
        id: TransactionId,
        /// The first attribute that must be understood and is not.
        unknown: Option<u16>,
    },
    /// A binding response that tells the sender's address as it was seen.
    Response {
        /// Of which request.
        id: TransactionId,
        /// XOR-MAPPED-ADDRESS.
        mapped: SocketAddr,
    },
    /// Any other message: an error response, an indication.
    Other,
}

/// True for a datagram that is STUN and not SIP: the first two bits are zero, and the magic cookie stands in its place.
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER && bytes[0] < 4 && bytes[4..8] == COOKIE
}

impl Stun {
    /// Reads a datagram; `None` for what is no well-formed STUN message.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let length = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
        if !is_stun(bytes) || length % 4 != 0 || bytes.len() != HEADER + length {
            return None;
        }
        let id: TransactionId = bytes[8..HEADER].try_into().ok()?;
        let (mut mapped, mut unknown) = (None, None);
        let mut rest = &bytes[HEADER..];
        while let [a, b, c, d, after @ ..] = rest {
            let kind = u16::from_be_bytes([*a, *b]);
            let size = usize::from(u16::from_be_bytes([*c, *d]));
            let value = after.get(..size)?;
            match kind {
                XOR_MAPPED_ADDRESS => mapped = mapped.or_else(|| unmask(value, &id)),
                // RFC 5389 clause 15: from 0x8000 on an attribute may be ignored.
                0x8000.. => {}
                _ if UNDERSTOOD.contains(&kind) => {}
                _ => unknown = unknown.or(Some(kind)),
            }
            rest = after.get(size.next_multiple_of(4)..)?;
        }
        Some(match (u16::from_be_bytes([bytes[0], bytes[1]]), mapped) {
            (BINDING_REQUEST, _) => Self::Request { id, unknown },
            (BINDING_RESPONSE, Some(mapped)) => Self::Response { id, mapped },
            _ => Self::Other,
        })
    }
}

/// Appends a binding request.
pub fn write_request(id: &TransactionId, out: &mut Vec<u8>) {
    write(BINDING_REQUEST, id, &[], out);
}

/// Appends the response to a request from `source`.
pub fn write_response(id: &TransactionId, source: SocketAddr, out: &mut Vec<u8>) {
    let mut value = vec![0, if source.is_ipv4() { IPV4 } else { IPV6 }];
    value.extend((source.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]])).to_be_bytes());
    match source.ip() {
        IpAddr::V4(ip) => value.extend(masked(&ip.octets(), id)),
        IpAddr::V6(ip) => value.extend(masked(&ip.octets(), id)),
    }
    write(BINDING_RESPONSE, id, &[(XOR_MAPPED_ADDRESS, &value)], out);
}

/// Appends the error 420 to a request with an attribute that is not understood (RFC 5389 clause 7.3.1).
pub fn write_unknown_attribute(id: &TransactionId, unknown: u16, out: &mut Vec<u8>) {
    let reason = b"\0\0\x04\x14Unknown Attribute";
    write(BINDING_ERROR, id, &[(ERROR_CODE, reason), (UNKNOWN_ATTRIBUTES, &unknown.to_be_bytes())], out);
}

fn write(kind: u16, id: &TransactionId, attributes: &[(u16, &[u8])], out: &mut Vec<u8>) {
    let length: usize = attributes.iter().map(|(_, value)| 4 + value.len().next_multiple_of(4)).sum();
    let short = |n: usize| u16::try_from(n).expect("the attributes above are short").to_be_bytes();
    out.extend(kind.to_be_bytes());
    out.extend(short(length));
    out.extend(COOKIE);
    out.extend(id);
    for (kind, value) in attributes {
        out.extend(kind.to_be_bytes());
        out.extend(short(value.len()));
        out.extend_from_slice(value);
        out.resize(out.len() + value.len().next_multiple_of(4) - value.len(), 0);
    }
}

fn masked(address: &[u8], id: &TransactionId) -> impl Iterator<Item = u8> {
    address.iter().zip(COOKIE.iter().chain(id)).map(|(octet, mask)| octet ^ mask)
}

fn unmask(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let [_, family, a, b, address @ ..] = value else { return None };
    let port = u16::from_be_bytes([a ^ COOKIE[0], b ^ COOKIE[1]]);
    let octets: Vec<u8> = masked(address, id).collect();
    let ip = match *family {
        IPV4 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
        IPV6 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_RESPONSE: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const IPV4: u8 = 1;
const IPV6: u8 = 2;

/// MAPPED-ADDRESS, USERNAME, MESSAGE-INTEGRITY, ERROR-CODE, UNKNOWN-ATTRIBUTES, REALM, NONCE, PRIORITY, USE-CANDIDATE:
/// known, though a keep-alive has no use for them.
const UNDERSTOOD: [u16; 9] = [0x0001, 0x0006, 0x0008, 0x0009, 0x000a, 0x0014, 0x0015, 0x0024, 0x0025];

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    const ID: TransactionId = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    /// RFC 5769 clauses 2.2 and 2.3: the attribute of each sample response.
    #[test]
    fn addresses_of_rfc_5769() {
        for (source, attribute) in [
            ("192.0.2.1:32853", "002000080001a147e112a643"),
            ("[2001:db8:1234:5678:11:2233:4455:6677]:32853", "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"),
        ] {
            let source = source.parse().unwrap();
            let mut out = Vec::new();
            write_response(&ID, source, &mut out);
            assert_eq!(HEXLOWER.encode(&out[20..]), attribute);
            assert_eq!(Stun::read(&out), Some(Stun::Response { id: ID, mapped: source }));
        }
    }

    /// RFC 5769 clause 2.1: SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY, FINGERPRINT.
    #[test]
    fn the_sample_request_of_rfc_5769_is_read() {
        let sample = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
                      002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
                      000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
        let bytes = HEXLOWER.decode(sample.as_bytes()).unwrap();
        assert_eq!(Stun::read(&bytes), Some(Stun::Request { id: ID, unknown: None }));
    }

    #[test]
    fn an_attribute_that_must_be_understood_is_named() {
        let mut out = Vec::new();
        write(BINDING_REQUEST, &ID, &[(0x0003, &[0, 0, 0, 6])], &mut out);
        assert_eq!(Stun::read(&out), Some(Stun::Request { id: ID, unknown: Some(3) }));
        let mut error = Vec::new();
        write_unknown_attribute(&ID, 3, &mut error);
        assert_eq!((error[..2].to_vec(), error.len() % 4), (vec![1, 0x11], 0));
        assert_eq!(Stun::read(&error), Some(Stun::Other));
        assert!(error.windows(6).any(|w| w == [0, 10, 0, 2, 0, 3]));
    }

    #[test]
    fn what_is_no_stun() {
        let mut good = Vec::new();
        write_request(&ID, &mut good);
        assert_eq!(Stun::read(&good), Some(Stun::Request { id: ID, unknown: None }));
        assert_eq!(Stun::read(&good[..19]), None);
        for (at, octet) in [(0, 4), (3, 4), (3, 1), (4, 0)] {
            let mut bad = good.clone();
            bad[at] = octet;
            assert_eq!(Stun::read(&bad), None, "{at}");
        }
        assert!(!is_stun(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n") && !is_stun(b""));
        // An attribute longer than the message.
        let mut cut = Vec::new();
        write(BINDING_REQUEST, &ID, &[(0x8022, &[1, 2, 3, 4])], &mut cut);
        cut[23] = 9;
        assert_eq!(Stun::read(&cut), None);
    }
}
