//! What an answer takes from its request, written while the request is at hand (RFC 3261 clause 8.2.6).

use super::answer::{copy_common, raw_line};
use super::contacts::{Wanted, write_again};
use super::digest::Info;
use super::register::Register;
use super::{Scratch, Scscf};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, Writer};

/// The answer to one REGISTER as far as it depends on the REGISTER alone.
pub(super) struct Reply {
    /// Its transaction.
    pub(super) server: ServerId,
    lines: Box<[u8]>,
    /// Where Via, From, To, Call-ID and CSeq end, which every answer has; Path follows.
    common: usize,
    /// Where Path ends; the Contact that is asked for follows, if it is one.
    path: usize,
    /// Where that ends; P-Charging-Vector and Authentication-Info follow.
    contact: usize,
    /// P-Visited-Network-ID names the home network.
    pub(super) is_home: bool,
}

impl Scscf {
    /// For any answer but the 200 that grants.
    pub(super) fn reply(&mut self, server: ServerId, register: &Register<'_, '_>) -> Reply {
        let tag = self.random.token::<10>();
        let Self { scratch: Scratch(scratch), .. } = self;
        scratch.clear();
        copy_common(register.message, register.has_to_tag, tag.as_str(), &mut Writer::lines(scratch));
        let lines: Box<[u8]> = scratch[..].into();
        let end = lines.len();
        Reply { server, common: end, path: end, contact: end, lines, is_home: false }
    }

    /// For the 200 that grants what is wanted, and any other.
    pub(super) fn reply_to_granted(
        &mut self,
        server: ServerId,
        register: &Register<'_, '_>,
        wanted: &[Wanted<'_>],
    ) -> Reply {
        let contact = |out: &mut Vec<u8>| match wanted {
            [only] if !only.expires.is_zero() => {
                only.write(out);
                true
            }
            _ => false,
        };
        self.reply_with(server, register.message, register.has_to_tag, contact, &register.authentication_info)
    }

    /// The same for a REGISTER that prolongs what is bound by so many seconds; `is_as_written`: see `Binding::is_as_written`.
    pub(super) fn reply_to_refresh(
        &mut self,
        server: ServerId,
        request: &Message<'_>,
        granted: u32,
        is_as_written: bool,
    ) -> Reply {
        let contact = if is_as_written { request.only(HeaderName::Contact) } else { None };
        let contact = |out: &mut Vec<u8>| contact.is_some_and(|contact| write_again(contact, granted, out));
        self.reply_with(server, request, false, contact, &Info::default())
    }

    fn reply_with(
        &mut self,
        server: ServerId,
        request: &Message<'_>,
        has_to_tag: bool,
        write_contact: impl FnOnce(&mut Vec<u8>) -> bool,
        info: &Info<'_>,
    ) -> Reply {
        let tag = self.random.token::<10>();
        let Self { scratch: Scratch(scratch), config, .. } = self;
        scratch.clear();
        let mut w = Writer::lines(scratch);
        copy_common(request, has_to_tag, tag.as_str(), &mut w);
        let common = w.raw().len();
        for line in request.lines_of(HeaderName::Path) {
            w.copy(&line);
        }
        let path = w.raw().len();
        let mut has_contact = false;
        raw_line(&mut w, HeaderName::Contact, |out| has_contact = write_contact(out));
        if !has_contact {
            w.raw().truncate(path);
        }
        let contact = w.raw().len();
        if let Some(vector) = request.header(HeaderName::PChargingVector) {
            w.header_parts(HeaderName::PChargingVector, &[vector, ";term-ioi=\"", &config.ioi, "\""]);
        }
        if let Some(info) = info.parts() {
            w.header_parts(HeaderName::AuthenticationInfo, &info);
        }
        let is_home = is_home(request, &config.realm);
        Reply { server, lines: scratch[..].into(), common, path, contact, is_home }
    }
}

impl Reply {
    /// Starts the response: status line, and what every answer has.
    pub(super) fn begin<'b>(&self, status: u16, out: &'b mut Vec<u8>) -> Writer<'b> {
        let mut w = Writer::usual_response(out, status);
        w.raw().extend_from_slice(&self.lines[..self.common]);
        w
    }

    /// The Path lines.
    pub(super) fn path(&self) -> &[u8] {
        &self.lines[self.common..self.path]
    }

    /// The line of the only Contact that is asked for, as it is once it is bound; or nothing.
    pub(super) fn contact(&self) -> &[u8] {
        &self.lines[self.path..self.contact]
    }

    /// The lines of P-Charging-Vector and Authentication-Info, or nothing.
    pub(super) fn later_lines(&self) -> &[u8] {
        &self.lines[self.contact..]
    }
}

/// TS 24.229 clause 5.4.1.2.2: charging addresses stay in the network; P-Visited-Network-ID tells where the P-CSCF is.
fn is_home(request: &Message<'_>, realm: &str) -> bool {
    let quoted = |value: &str| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) == Some(realm);
    // Most often it is our own name and nothing else.
    if request.header(HeaderName::PVisitedNetworkId).is_some_and(|value| value == realm || quoted(value)) {
        return true;
    }
    let visited = request.elements(HeaderName::PVisitedNetworkId).next();
    visited.is_some_and(|v| v.split(';').next().unwrap_or(v).trim().trim_matches('"').eq_ignore_ascii_case(realm))
}
