//! Multimedia-Auth-Request and -Answer (command 303).

use super::envelope::{AnswerParts, RequestParts, once, required};
use super::{CxResult, Envelope, RequestEnvelope, VENDOR};
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

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

/// SIP-Authentication-Scheme (TS 29.229 clause 6.3.9).
pub mod scheme {
    /// IMS AKA, of every version: the digest algorithm is the S-CSCF's choice.
    pub const AKA: &str = "Digest-AKAv1-MD5";
    /// HTTP digest with a password.
    pub const SIP_DIGEST: &str = "SIP Digest";
    /// The line that the access network has authenticated (NBA).
    pub const NASS_BUNDLED: &str = "NASS-Bundled";
    /// The address that the access network has given out (GIBA).
    pub const EARLY_IMS: &str = "Early-IMS-Security";
    /// The S-CSCF cannot tell: the HSS chooses.
    pub const UNKNOWN: &str = "Unknown";
}

/// One SIP-Auth-Data-Item 612. `Debug` hides what is secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AuthItem<'a> {
    /// SIP-Item-Number.
    pub number: Option<u32>,
    /// SIP-Authentication-Scheme.
    pub scheme: Option<&'a str>,
    /// SIP-Authenticate: RAND and AUTN.
    pub authenticate: Option<&'a [u8]>,
    /// SIP-Authorization: XRES.
    pub xres: Option<&'a [u8]>,
    /// SIP-Authentication-Context: in place of XRES, the `response` of a recorded UE as ASCII (docs/cx.md).
    pub context: Option<&'a [u8]>,
    /// Confidentiality-Key.
    pub ck: Option<&'a [u8]>,
    /// Integrity-Key.
    pub ik: Option<&'a [u8]>,
    /// SIP-Digest-Authenticate.
    pub digest: Option<DigestAuthenticate<'a>>,
    /// Framed-IP-Address: four octets.
    pub framed_ip_address: Option<&'a [u8]>,
    /// Framed-IPv6-Prefix: zero, length, prefix (RFC 3162 clause 2.3).
    pub framed_ipv6_prefix: Option<&'a [u8]>,
    /// Line-Identifiers.
    pub lines: Vec<&'a [u8]>,
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
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = RequestParts::default();
        let (mut impi, mut impu, mut items, mut item, mut server_name) = (None, None, None, None, None);
        Avps::of(message).try_each(|avp| match (avp.vendor, avp.code) {
            (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8),
            (VENDOR, d::PUBLIC_IDENTITY) => once(&mut impu, avp, Avp::utf8),
            (VENDOR, d::SIP_NUMBER_AUTH_ITEMS) => once(&mut items, avp, Avp::u32),
            (VENDOR, d::SIP_AUTH_DATA_ITEM) => once(&mut item, avp, decode_wanted),
            (VENDOR, d::SERVER_NAME) => once(&mut server_name, avp, Avp::utf8),
            _ => common.take(avp),
        })?;
        let envelope = common.finish()?;
        let impi = required(impi, d::USER_NAME, 0)?;
        let impu = required(impu, d::PUBLIC_IDENTITY, VENDOR)?;
        let items = required(items, d::SIP_NUMBER_AUTH_ITEMS, VENDOR)?;
        let (scheme, resync) = required(item, d::SIP_AUTH_DATA_ITEM, VENDOR)?;
        let server_name = required(server_name, d::SERVER_NAME, VENDOR)?;
        Ok(Self { envelope, impi, impu, items, scheme, resync, server_name })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        w.octets(d::USER_NAME, 0, true, self.impi.as_bytes());
        w.octets(d::PUBLIC_IDENTITY, VENDOR, true, self.impu.as_bytes());
        w.u32(d::SIP_NUMBER_AUTH_ITEMS, VENDOR, true, self.items);
        w.group(d::SIP_AUTH_DATA_ITEM, VENDOR, true, |w| {
            w.octets(d::SIP_AUTHENTICATION_SCHEME, VENDOR, true, self.scheme.as_bytes());
            if let Some(auts) = self.resync {
                w.octets(d::SIP_AUTHORIZATION, VENDOR, true, auts);
            }
        });
        w.octets(d::SERVER_NAME, VENDOR, true, self.server_name.as_bytes());
    }
}

impl<'a> Maa<'a> {
    /// Reads a whole message.
    pub fn decode(message: &'a [u8]) -> Result<Self, Fault> {
        let mut common = AnswerParts::default();
        let (mut impi, mut impu, mut items) = (None, None, Vec::new());
        Avps::of(message).try_each(|avp| match (avp.vendor, avp.code) {
            (0, d::USER_NAME) => once(&mut impi, avp, Avp::utf8),
            (VENDOR, d::PUBLIC_IDENTITY) => once(&mut impu, avp, Avp::utf8),
            (VENDOR, d::SIP_AUTH_DATA_ITEM) => {
                if items.is_empty() {
                    // One is the rule: no room for the three more that a first push would reserve.
                    items.reserve_exact(1);
                }
                items.push(AuthItem::decode(avp)?);
                Ok(())
            }
            _ => common.take(avp),
        })?;
        let (envelope, result) = common.finish()?;
        if items.len() > 1 {
            items.sort_by_key(|item| item.number);
        }
        Ok(Self { envelope, result, impi, impu, items })
    }

    /// Writes every AVP.
    pub fn encode(&self, w: &mut Writer<'_>) {
        self.envelope.encode(w);
        self.result.encode(w);
        if let Some(impi) = self.impi {
            w.octets(d::USER_NAME, 0, true, impi.as_bytes());
        }
        if let Some(impu) = self.impu {
            w.octets(d::PUBLIC_IDENTITY, VENDOR, true, impu.as_bytes());
        }
        if !self.items.is_empty() {
            w.u32(d::SIP_NUMBER_AUTH_ITEMS, VENDOR, true, u32::try_from(self.items.len()).unwrap_or(u32::MAX));
        }
        for item in &self.items {
            item.encode(w);
        }
    }
}

/// The SIP-Auth-Data-Item of a request: the scheme, and RAND and AUTS for resynchronisation.
fn decode_wanted<'a>(group: &Avp<'a>) -> Result<(&'a str, Option<&'a [u8]>), Fault> {
    let (mut scheme, mut resync) = (None, None);
    for avp in group.group() {
        let avp = &avp?;
        match (avp.vendor, avp.code) {
            (VENDOR, d::SIP_AUTHENTICATION_SCHEME) => once(&mut scheme, avp, Avp::utf8)?,
            (VENDOR, d::SIP_AUTHORIZATION) if avp.data.len() != RAND_AND_AUTS => return Err(Fault::invalid_value(avp)),
            (VENDOR, d::SIP_AUTHORIZATION) => once(&mut resync, avp, Avp::octets)?,
            _ => {}
        }
    }
    Ok((required(scheme, d::SIP_AUTHENTICATION_SCHEME, VENDOR)?, resync))
}

impl<'a> AuthItem<'a> {
    #[inline]
    pub(super) fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let mut this = Self::default();
        group.group().try_each(|avp| match (avp.vendor, avp.code) {
            (VENDOR, d::SIP_ITEM_NUMBER) => once(&mut this.number, avp, Avp::u32),
            (VENDOR, d::SIP_AUTHENTICATION_SCHEME) => once(&mut this.scheme, avp, Avp::utf8),
            (VENDOR, d::SIP_AUTHENTICATE) => once(&mut this.authenticate, avp, Avp::octets),
            (VENDOR, d::SIP_AUTHORIZATION) => once(&mut this.xres, avp, Avp::octets),
            (VENDOR, d::SIP_AUTHENTICATION_CONTEXT) => once(&mut this.context, avp, Avp::octets),
            (VENDOR, d::CONFIDENTIALITY_KEY) => once(&mut this.ck, avp, Avp::octets),
            (VENDOR, d::INTEGRITY_KEY) => once(&mut this.ik, avp, Avp::octets),
            (VENDOR, d::SIP_DIGEST_AUTHENTICATE) => once(&mut this.digest, avp, DigestAuthenticate::decode),
            (0, d::FRAMED_IP_ADDRESS) => once(&mut this.framed_ip_address, avp, Avp::octets),
            (0, d::FRAMED_IPV6_PREFIX) => once(&mut this.framed_ipv6_prefix, avp, Avp::octets),
            (d::ETSI, d::LINE_IDENTIFIER) => {
                this.lines.push(avp.octets()?);
                Ok(())
            }
            _ => Ok(()),
        })?;
        Ok(this)
    }

    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.group(d::SIP_AUTH_DATA_ITEM, VENDOR, true, |w| {
            if let Some(number) = self.number {
                w.u32(d::SIP_ITEM_NUMBER, VENDOR, true, number);
            }
            for (code, data) in [
                (d::SIP_AUTHENTICATION_SCHEME, self.scheme.map(str::as_bytes)),
                (d::SIP_AUTHENTICATE, self.authenticate),
                (d::SIP_AUTHORIZATION, self.xres),
                (d::SIP_AUTHENTICATION_CONTEXT, self.context),
                (d::CONFIDENTIALITY_KEY, self.ck),
                (d::INTEGRITY_KEY, self.ik),
            ] {
                if let Some(data) = data {
                    w.octets(code, VENDOR, true, data);
                }
            }
            if let Some(digest) = &self.digest {
                digest.encode(w);
            }
            for (code, data) in
                [(d::FRAMED_IP_ADDRESS, self.framed_ip_address), (d::FRAMED_IPV6_PREFIX, self.framed_ipv6_prefix)]
            {
                if let Some(data) = data {
                    w.octets(code, 0, true, data);
                }
            }
            for line in &self.lines {
                w.octets(d::LINE_IDENTIFIER, d::ETSI, false, line);
            }
        });
    }
}

impl<'a> DigestAuthenticate<'a> {
    fn decode(group: &Avp<'a>) -> Result<Self, Fault> {
        let (mut realm, mut algorithm, mut qop, mut ha1) = (None, None, None, None);
        let (mut alternate_algorithm, mut alternate_ha1) = (None, None);
        for avp in group.group() {
            let avp = &avp?;
            match (avp.vendor, avp.code) {
                (0, d::DIGEST_REALM) => once(&mut realm, avp, Avp::utf8)?,
                (0, d::DIGEST_ALGORITHM) => once(&mut algorithm, avp, Avp::utf8)?,
                (0, d::DIGEST_QOP) => once(&mut qop, avp, Avp::utf8)?,
                (0, d::DIGEST_HA1) => once(&mut ha1, avp, Avp::utf8)?,
                (VENDOR, d::ALTERNATE_DIGEST_ALGORITHM) => once(&mut alternate_algorithm, avp, Avp::utf8)?,
                (VENDOR, d::ALTERNATE_DIGEST_HA1) => once(&mut alternate_ha1, avp, Avp::utf8)?,
                _ => {}
            }
        }
        Ok(Self {
            realm: required(realm, d::DIGEST_REALM, 0)?,
            algorithm,
            qop: required(qop, d::DIGEST_QOP, 0)?,
            ha1: required(ha1, d::DIGEST_HA1, 0)?,
            alternate_algorithm,
            alternate_ha1,
        })
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.group(d::SIP_DIGEST_AUTHENTICATE, VENDOR, false, |w| {
            w.octets(d::DIGEST_REALM, 0, true, self.realm.as_bytes());
            if let Some(algorithm) = self.algorithm {
                w.octets(d::DIGEST_ALGORITHM, 0, true, algorithm.as_bytes());
            }
            w.octets(d::DIGEST_QOP, 0, true, self.qop.as_bytes());
            w.octets(d::DIGEST_HA1, 0, true, self.ha1.as_bytes());
            if let Some(algorithm) = self.alternate_algorithm {
                w.octets(d::ALTERNATE_DIGEST_ALGORITHM, VENDOR, false, algorithm.as_bytes());
            }
            if let Some(ha1) = self.alternate_ha1 {
                w.octets(d::ALTERNATE_DIGEST_HA1, VENDOR, false, ha1.as_bytes());
            }
        });
    }
}

/// Octets of RAND and AUTS.
const RAND_AND_AUTS: usize = 30;
