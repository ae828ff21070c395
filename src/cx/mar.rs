//! Multimedia-Auth-Request and -Answer (command 303).

use super::{CxResult, Envelope, RequestEnvelope};
use crate::diameter::{Fault, Writer};

/// MAR, from the S-CSCF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mar<'a> {
    /// Common AVPs.
    pub envelope: RequestEnvelope<'a>,
    /// User-Name: the IMPI.
    pub impi: &'a str,
    /// Public-Identity.
    pub impu: &'a str,
    /// SIP-Number-Auth-Items: how many vectors are wanted.
    pub items: u32,
    /// SIP-Authentication-Scheme.
    pub scheme: &'a str,
    /// SIP-Authorization for resynchronisation: RAND and AUTS, 30 octets.
    pub resync: Option<&'a [u8]>,
    /// Server-Name: the S-CSCF's SIP URI.
    pub server_name: &'a str,
}

/// MAA, from the HSS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maa<'a> {
    /// Common AVPs.
    pub envelope: Envelope<'a>,
    /// Outcome.
    pub result: CxResult,
    /// User-Name.
    pub impi: Option<&'a str>,
    /// Public-Identity.
    pub impu: Option<&'a str>,
    /// SIP-Auth-Data-Items, in the order of SIP-Item-Number.
    pub items: Vec<AuthItem<'a>>,
}

/// One SIP-Auth-Data-Item 612. `Debug` hides what is secret.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct AuthItem<'a> {
    /// SIP-Item-Number.
    pub number: Option<u32>,
    /// SIP-Authentication-Scheme.
    pub scheme: Option<&'a str>,
    /// SIP-Authenticate: RAND and AUTN.
    pub authenticate: Option<&'a [u8]>,
    /// SIP-Authorization: XRES.
    pub xres: Option<&'a [u8]>,
    /// Confidentiality-Key.
    pub ck: Option<&'a [u8]>,
    /// Integrity-Key.
    pub ik: Option<&'a [u8]>,
    /// SIP-Digest-Authenticate.
    pub digest: Option<DigestAuthenticate<'a>>,
}

/// SIP-Digest-Authenticate 635. `Debug` hides HA1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DigestAuthenticate<'a> {
    /// Digest-Realm.
    pub realm: &'a str,
    /// Digest-Algorithm; absent: MD5.
    pub algorithm: Option<&'a str>,
    /// Digest-QoP.
    pub qop: &'a str,
    /// Digest-HA1, always the MD5 one.
    pub ha1: &'a str,
    /// Alternate-Digest-Algorithm.
    pub alternate_algorithm: Option<&'a str>,
    /// Alternate-Digest-HA1.
    pub alternate_ha1: Option<&'a str>,
}

impl std::fmt::Debug for AuthItem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthItem").field("number", &self.number).field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for DigestAuthenticate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestAuthenticate").field("realm", &self.realm).field("qop", &self.qop).finish_non_exhaustive()
    }
}

impl<'a> Mar<'a> {
    /// Command code.
    pub const COMMAND: u32 = 303;

    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}

impl<'a> Maa<'a> {
    /// Reads a whole message.
    pub fn decode(_message: &'a [u8]) -> Result<Self, Fault> {
        todo!()
    }

    /// Writes every AVP.
    pub fn encode(&self, _w: &mut Writer<'_>) {
        todo!()
    }
}
