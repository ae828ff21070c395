//! The AVPs that every Cx message has.

use crate::diameter::{Fault, Header, Writer};

/// What every request carries besides its own AVPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEnvelope<'a> {
    /// Session-Id.
    pub session_id: &'a str,
    /// Origin-Host.
    pub origin_host: &'a str,
    /// Origin-Realm.
    pub origin_realm: &'a str,
    /// Destination-Host; the S-CSCF learns it from the first answer.
    pub destination_host: Option<&'a str>,
    /// Destination-Realm.
    pub destination_realm: &'a str,
}

/// What every answer carries besides its own AVPs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// Session-Id of the request.
    pub session_id: &'a str,
    /// Origin-Host.
    pub origin_host: &'a str,
    /// Origin-Realm.
    pub origin_realm: &'a str,
}

impl<'a> RequestEnvelope<'a> {
    /// Writes Session-Id, Vendor-Specific-Application-Id, Auth-Session-State, Origin-*, Destination-*.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let _ = w;
        todo!()
    }
}

impl<'a> Envelope<'a> {
    /// Writes Session-Id, Vendor-Specific-Application-Id, Auth-Session-State, Origin-*.
    pub fn encode(&self, w: &mut Writer<'_>) {
        let _ = w;
        todo!()
    }
}

/// Writes an answer that reports `fault`: Session-Id (if the request had one), Origin-*, Result-Code, Error-Message,
/// Failed-AVP. The caller sets the E bit for 3xxx.
pub fn encode_fault(
    fault: &Fault,
    request: &[u8],
    header: &Header,
    origin_host: &str,
    origin_realm: &str,
    w: &mut Writer<'_>,
) {
    let _ = (fault, request, header, origin_host, origin_realm, w);
    todo!()
}
