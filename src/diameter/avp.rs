//! AVPs: a reader over borrowed bytes, a writer to the end of a buffer.

use super::dictionary;
use super::{Fault, Header, header};
use ascii::AsciiStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One AVP as received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Avp<'a> {
    /// Code.
    pub code: u32,
    /// Vendor id, 0 without V.
    pub vendor: u32,
    /// M
    pub mandatory: bool,
    /// The whole AVP with header, without padding: for Failed-AVP.
    pub raw: &'a [u8],
    /// Data without padding.
    pub data: &'a [u8],
}

impl<'a> Avp<'a> {
    /// Unsigned32 or Enumerated; 5014 if it is not four octets.
    #[inline]
    pub fn u32(&self) -> Result<u32, Fault> {
        match self.data.try_into() {
            Ok(octets) => Ok(u32::from_be_bytes(octets)),
            Err(_) => Err(Fault::invalid_length(self)),
        }
    }

    /// Enumerated of the values `0..=highest`; 5004 beyond.
    #[inline]
    pub fn enumerated(&self, highest: u32) -> Result<u32, Fault> {
        match self.u32()? {
            value if value <= highest => Ok(value),
            _ => Err(Fault::invalid_value(self)),
        }
    }

    /// UTF8String; 5004 if it is not UTF-8.
    #[inline]
    pub fn utf8(&self) -> Result<&'a str, Fault> {
        match AsciiStr::from_ascii(self.data) {
            Ok(text) => Ok(text.as_str()),
            Err(_) => self.beyond_ascii(),
        }
    }

    #[cold]
    fn beyond_ascii(&self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.data).map_err(|_| Fault::invalid_value(self))
    }

    /// OctetString: any octets.
    #[inline]
    pub fn octets(&self) -> Result<&'a [u8], Fault> {
        Ok(self.data)
    }

    /// The AVPs of a Grouped AVP.
    #[inline]
    pub fn group(&self) -> Avps<'a> {
        Avps::new(self.data)
    }

    /// Address (IPv4 or IPv6).
    pub fn address(&self) -> Result<IpAddr, Fault> {
        match *self.data {
            [0, 1, a, b, c, d] => Ok(Ipv4Addr::new(a, b, c, d).into()),
            [0, 2, ref octets @ ..] => match <[u8; 16]>::try_from(octets) {
                Ok(octets) => Ok(Ipv6Addr::from(octets).into()),
                Err(_) => Err(Fault::invalid_length(self)),
            },
            [0, 1, ..] | [] | [_] => Err(Fault::invalid_length(self)),
            _ => Err(Fault::invalid_value(self)),
        }
    }
}

/// The AVPs of a message or group in order. A fault in a length ends the iteration.
#[derive(Clone, Debug)]
pub struct Avps<'a> {
    rest: &'a [u8],
}

impl<'a> Avps<'a> {
    /// The AVPs behind the header of `message`.
    #[inline]
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message.get(header::LEN..).unwrap_or_default() }
    }

    /// The AVPs of `bytes`, without header.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The first AVP of this code and vendor; faults on the way count as absence.
    pub fn find(&self, code: u32, vendor: u32) -> Option<Avp<'a>> {
        self.clone().map_while(Result::ok).find(|avp| avp.code == code && avp.vendor == vendor)
    }

    /// Shows every AVP to `take`, in order; the first fault ends it.
    #[inline]
    pub fn try_each(self, mut take: impl FnMut(&Avp<'a>) -> Result<(), Fault>) -> Result<(), Fault> {
        let mut rest = self.rest;
        while !rest.is_empty() {
            let Some((avp, behind)) = split(rest) else { return Err(Fault::broken(rest)) };
            rest = behind;
            take(&avp)?;
        }
        Ok(())
    }

    /// Walks to the end, for the sake of the lengths.
    pub fn check(self) -> Result<(), Fault> {
        for avp in self {
            avp?;
        }
        Ok(())
    }
}

impl<'a> Iterator for Avps<'a> {
    type Item = Result<Avp<'a>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match split(self.rest) {
            Some((avp, rest)) => {
                self.rest = rest;
                Some(Ok(avp))
            }
            None => Some(Err(Fault::broken(std::mem::take(&mut self.rest)))),
        }
    }
}

/// The AVP at the front and what follows. The last AVP of a group may lack its padding.
#[inline]
fn split(bytes: &[u8]) -> Option<(Avp<'_>, &[u8])> {
    let head = u64::from_be_bytes(*bytes.first_chunk::<8>()?);
    let code = (head >> 32) as u32;
    let flags = (head >> 24) as u8;
    let len = (head & 0xff_ffff) as usize;
    let raw = bytes.get(..len)?;
    let (vendor, data) = if flags & VENDOR_BIT == 0 {
        (0, raw.get(8..)?)
    } else {
        let vendor = raw.get(8..)?.first_chunk::<4>()?;
        (u32::from_be_bytes(*vendor), raw.get(12..)?)
    };
    // A length of 24 bits leaves room for the padding.
    let rest = bytes.get((len + 3) & !3..).unwrap_or_default();
    Some((Avp { code, vendor, mandatory: flags & MANDATORY_BIT != 0, raw, data }, rest))
}

/// Writes one message to the end of a buffer and fills in lengths.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    start: usize,
}

impl<'b> Writer<'b> {
    /// Starts a message.
    pub fn new(out: &'b mut Vec<u8>, header: &Header) -> Self {
        let start = out.len();
        header.write(out);
        Self { out, start }
    }

    /// Writes AVPs without a message around them; nothing is to be finished.
    pub const fn avps(out: &'b mut Vec<u8>) -> Self {
        Self { start: out.len(), out }
    }

    /// OctetString, UTF8String, DiameterIdentity. `vendor` 0: no V bit.
    #[inline]
    pub fn octets(&mut self, code: u32, vendor: u32, mandatory: bool, data: &[u8]) -> &mut Self {
        self.head(code, vendor, mandatory, data.len());
        self.out.extend_from_slice(data);
        self.pad();
        self
    }

    /// Unsigned32, Enumerated.
    #[inline]
    pub fn u32(&mut self, code: u32, vendor: u32, mandatory: bool, value: u32) -> &mut Self {
        self.head(code, vendor, mandatory, 4);
        self.out.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Address.
    pub fn address(&mut self, code: u32, vendor: u32, mandatory: bool, value: IpAddr) -> &mut Self {
        match value {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                self.octets(code, vendor, mandatory, &[0, 1, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let mut octets = [0; 18];
                octets[1] = 2;
                octets[2..].copy_from_slice(&v6.octets());
                self.octets(code, vendor, mandatory, &octets)
            }
        }
    }

    /// Grouped; `write` writes what is inside.
    #[inline]
    pub fn group(&mut self, code: u32, vendor: u32, mandatory: bool, write: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        let start = self.out.len();
        self.head(code, vendor, mandatory, 0);
        write(&mut Writer { out: self.out, start });
        self.set_length(start);
        self
    }

    /// A whole AVP, header included, padded here.
    pub fn raw(&mut self, avp: &[u8]) -> &mut Self {
        self.out.extend_from_slice(avp);
        self.pad();
        self
    }

    /// Sets the message length.
    pub fn finish(self) {
        let start = self.start;
        let mut this = self;
        this.set_length_at(start, 1);
    }

    #[inline]
    fn head(&mut self, code: u32, vendor: u32, mandatory: bool, data: usize) {
        let flags = if mandatory { MANDATORY_BIT } else { 0 };
        let c = code.to_be_bytes();
        if vendor == 0 {
            let [_, l0, l1, l2] = length(8 + data);
            self.out.extend_from_slice(&[c[0], c[1], c[2], c[3], flags, l0, l1, l2]);
        } else {
            let [_, l0, l1, l2] = length(12 + data);
            let v = vendor.to_be_bytes();
            let flags = flags | VENDOR_BIT;
            self.out.extend_from_slice(&[c[0], c[1], c[2], c[3], flags, l0, l1, l2, v[0], v[1], v[2], v[3]]);
        }
    }

    #[inline]
    fn pad(&mut self) {
        // Messages begin anywhere in a buffer, so what counts is the distance from there.
        let padding = (self.out.len() - self.start).wrapping_neg() & 3;
        for _ in 0..padding {
            self.out.push(0);
        }
    }

    fn set_length(&mut self, start: usize) {
        self.set_length_at(start, 5);
    }

    fn set_length_at(&mut self, start: usize, offset: usize) {
        let [_, octets @ ..] = length(self.out.len() - start);
        self.out[start + offset..start + offset + 3].copy_from_slice(&octets);
    }
}

/// An AVP with data of the minimum size of its type, all zero: for Failed-AVP.
pub(super) fn zero_filled(code: u32, vendor: u32) -> Vec<u8> {
    let definition = dictionary::lookup(code, vendor);
    let (len, mandatory) = definition.map_or((0, true), |d| (d.kind.minimum_len(), d.mandatory));
    let mut out = Vec::with_capacity(20);
    Writer::avps(&mut out).octets(code, vendor, mandatory, &[0; 8][..len.min(8)]);
    out
}

/// A length field: 24 bits, the highest octet is not sent.
fn length(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

const VENDOR_BIT: u8 = 0x80;
const MANDATORY_BIT: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read_again() {
        let mut out = vec![9; 3];
        let mut w = Writer { start: 3, out: &mut out };
        w.octets(1, 0, true, b"abcde").u32(614, 10_415, true, 5).group(260, 0, true, |w| {
            w.octets(2, 0, false, b"x").address(257, 0, true, "::1".parse().unwrap());
        });
        let avps: Vec<Avp<'_>> = Avps::new(&out[3..]).map(Result::unwrap).collect();
        assert_eq!((avps[0].code, avps[0].vendor, avps[0].data), (1, 0, &b"abcde"[..]));
        assert_eq!((avps[1].vendor, avps[1].mandatory, avps[1].u32()), (10_415, true, Ok(5)));
        let inner: Vec<Avp<'_>> = avps[2].group().map(Result::unwrap).collect();
        assert!(!inner[0].mandatory);
        assert_eq!(inner[1].address(), Ok("::1".parse().unwrap()));
        assert_eq!((out.len() - 3) % 4, 0);
    }

    #[test]
    fn a_length_below_the_header_or_beyond_the_end_is_5014_with_the_avp_zero_filled() {
        for len in [0, 7, 11, 17] {
            // User-Authorization-Type, 16 octets.
            let bytes = [0, 0, 2, 0x6f, 0xc0, 0, 0, len, 0, 0, 0x28, 0xaf, 0, 0, 0, 1];
            let mut avps = Avps::new(&bytes);
            let fault = avps.next().unwrap().unwrap_err();
            let failed = [0, 0, 2, 0x6f, 0xc0, 0, 0, 16, 0, 0, 0x28, 0xaf, 0, 0, 0, 0];
            assert_eq!((fault.code, fault.failed_avp.as_deref()), (5014, Some(&failed[..])), "length {len}");
            assert!(avps.next().is_none());
        }
    }

    #[test]
    fn addresses_of_other_families_and_sizes_are_faults() {
        let address = |data| Avp { code: 257, vendor: 0, mandatory: true, raw: &[], data }.address();
        assert_eq!(address(&[0, 1, 10, 0, 0, 1]), Ok("10.0.0.1".parse().unwrap()));
        assert_eq!(address(&[0, 1, 10, 0, 0]).unwrap_err().code, 5014);
        assert_eq!(address(&[0, 2, 10, 0, 0]).unwrap_err().code, 5014);
        assert_eq!(address(&[0, 8, 49]).unwrap_err().code, 5004);
        assert_eq!(address(&[]).unwrap_err().code, 5014);
    }
}
