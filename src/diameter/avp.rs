//! AVPs: a reader over borrowed bytes, a writer to the end of a buffer.

use super::{Fault, Header};
use std::net::IpAddr;

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
    pub fn u32(&self) -> Result<u32, Fault> {
        todo!()
    }

    /// UTF8String; 5004 if it is not UTF-8.
    pub fn utf8(&self) -> Result<&'a str, Fault> {
        todo!()
    }

    /// The AVPs of a Grouped AVP.
    pub fn group(&self) -> Avps<'a> {
        todo!()
    }

    /// Address (IPv4 or IPv6).
    pub fn address(&self) -> Result<IpAddr, Fault> {
        todo!()
    }
}

/// The AVPs of a message or group in order. A fault in a length ends the iteration.
#[derive(Clone, Debug)]
pub struct Avps<'a> {
    rest: &'a [u8],
}

impl<'a> Avps<'a> {
    /// The AVPs behind the header of `message`.
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message.get(super::header::LEN..).unwrap_or_default() }
    }

    /// The AVPs of `bytes`, without header.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The first AVP of this code and vendor; faults on the way count as absence.
    pub fn find(&self, _code: u32, _vendor: u32) -> Option<Avp<'a>> {
        let _ = self.rest;
        todo!()
    }
}

impl<'a> Iterator for Avps<'a> {
    type Item = Result<Avp<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

/// Writes one message to the end of a buffer and fills in lengths.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Writer<'b> {
    /// Starts a message.
    pub fn new(out: &'b mut Vec<u8>, header: &Header) -> Self {
        let _ = header;
        Self { out }
    }

    /// OctetString, UTF8String, DiameterIdentity. `vendor` 0: no V bit.
    pub fn octets(&mut self, code: u32, vendor: u32, mandatory: bool, data: &[u8]) -> &mut Self {
        let _ = (code, vendor, mandatory, data);
        self
    }

    /// Unsigned32, Enumerated.
    pub fn u32(&mut self, code: u32, vendor: u32, mandatory: bool, value: u32) -> &mut Self {
        let _ = (code, vendor, mandatory, value);
        self
    }

    /// Address.
    pub fn address(&mut self, code: u32, vendor: u32, mandatory: bool, value: IpAddr) -> &mut Self {
        let _ = (code, vendor, mandatory, value);
        self
    }

    /// Grouped; `write` writes what is inside.
    pub fn group(&mut self, code: u32, vendor: u32, mandatory: bool, write: impl FnOnce(&mut Writer<'_>)) -> &mut Self {
        let _ = (code, vendor, mandatory, write, &self.out);
        self
    }

    /// A whole AVP, header included, padded here.
    pub fn raw(&mut self, avp: &[u8]) -> &mut Self {
        let _ = avp;
        self
    }

    /// Sets the message length.
    pub fn finish(self) {
        todo!()
    }
}
