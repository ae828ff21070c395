//! Responses (TS 24.229 clause 5.4.1.2.2, RFC 3261 clauses 8.2.6 and 10.3).

use super::Scscf;
use super::binding::Binding;
use super::refusal::Refusal;
use super::register::Register;
use super::table::Id;
use crate::event::What;
use crate::packet::Outbox;
use crate::sip::emit::reason_phrase;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, Writer};
use crate::time::Instant;
use std::io::Write;

/// What a 200 states.
pub(super) struct Granted<'a> {
    /// The registration, its bindings as they are now.
    pub(super) registration: Id,
    /// Registrations of other IMPIs whose bindings serve the same identity.
    pub(super) others: &'a [Id],
    /// Bindings that this REGISTER removed.
    pub(super) removed: &'a [Binding],
    /// A flow of RFC 5626 was bound.
    pub(super) outbound: bool,
}

impl Scscf {
    /// Answers `server`; `more` writes the headers beyond those of every response.
    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        status: u16,
        out: &mut Outbox,
        more: impl FnOnce(&mut Writer<'_>),
    ) {
        let tag = self.random.token::<10>();
        self.transactions.respond(now, server, status, out, |bytes| {
            let mut w = begin(request, status, tag.as_str(), bytes);
            more(&mut w);
            w.finish(b"");
        });
    }

    /// Answers a request that is not served.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        self.respond(now, server, request, refusal.status(), out, |w| {
            match refusal {
                Refusal::UnknownExtension(tags) => {
                    w.header(HeaderName::Unsupported, tags);
                }
                Refusal::IntervalTooBrief { min_expires } => {
                    w.header_fmt(HeaderName::MinExpires, format_args!("{min_expires}"));
                }
                _ => {}
            }
            if let Some(seconds) = refusal.retry_after() {
                w.header_fmt(HeaderName::RetryAfter, format_args!("{seconds}"));
            }
        });
        let (status, clause) = (refusal.status(), refusal.clause());
        self.tell(out, || What::Refused { status, cause: refusal.to_string(), clause });
    }

    /// The same for a request that waited as bytes.
    pub(super) fn refuse_waiting(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &[u8],
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        let request = Message::parse(request).expect("it was parsed when it came");
        self.refuse(now, server, &request, refusal, out);
    }

    /// 200 to a REGISTER without Contact: what is bound.
    pub(super) fn answer_query(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        out: &mut Outbox,
    ) {
        match self.registrar.find(register.impi, &register.impu) {
            Some(registration) => {
                let granted = Granted { registration, others: &[], removed: &[], outbound: false };
                self.answer_granted(now, server, register, &granted, out);
            }
            None => self.respond(now, server, register.message, 200, out, |_| ()),
        }
    }

    /// 200 to a REGISTER that was served.
    pub(super) fn answer_granted(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        granted: &Granted<'_>,
        out: &mut Outbox,
    ) {
        let tag = self.random.token::<10>();
        let Self { transactions, registrar, config, route_base, .. } = self;
        let request = register.message;
        transactions.respond(now, server, 200, out, |bytes| {
            let mut w = begin(request, 200, tag.as_str(), bytes);
            for binding in granted.removed {
                raw_line(&mut w, HeaderName::Contact, |out| binding.write_removed(&registrar.compact, out));
            }
            for id in std::iter::once(&granted.registration).chain(granted.others) {
                for binding in registrar.bindings(*id) {
                    raw_line(&mut w, HeaderName::Contact, |out| binding.write(now, &registrar.compact, out));
                }
            }
            let registration = registrar.get(granted.registration).filter(|r| !r.bindings.as_slice().is_empty());
            if let Some(registration) = registration {
                for path in request.values(HeaderName::Path) {
                    w.header(HeaderName::Path, path);
                }
                // The token leads back to the registration without being stored.
                let token = granted.registration.to_bits();
                w.header_fmt(HeaderName::ServiceRoute, format_args!("<sip:o{token:x}@{route_base};lr>"));
                raw_line(&mut w, HeaderName::PAssociatedUri, |out| registrar.write_associated(registration, out));
                if granted.outbound {
                    w.header(HeaderName::Require, "outbound");
                }
            }
            if let Some(vector) = request.header(HeaderName::PChargingVector) {
                let ioi = &config.ioi;
                w.header_fmt(HeaderName::PChargingVector, format_args!("{vector};term-ioi=\"{ioi}\""));
            }
            if let Some(registration) = registration.filter(|_| is_home(request, &config.realm)) {
                write_charging(&mut w, registrar.profile(registration).charging());
            }
            for (name, value) in &config.extra_headers_in_200 {
                w.header_named(name, value);
            }
            w.finish(b"");
        });
    }
}

/// Starts a response: status line, and what it copies from the request. `tag` goes to To unless there is one.
pub(super) fn begin<'b>(request: &Message<'_>, status: u16, tag: &str, out: &'b mut Vec<u8>) -> Writer<'b> {
    let mut w = Writer::response(out, status, reason_phrase(status));
    let has_tag = request.to().is_ok_and(|to| to.tag().is_some());
    for line in request.lines() {
        match line.name {
            HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                w.copy(&line);
            }
            HeaderName::To if has_tag => {
                w.copy(&line);
            }
            HeaderName::To => {
                w.header_fmt(HeaderName::To, format_args!("{};tag={tag}", line.value));
            }
            _ => {}
        }
    }
    w
}

/// A line whose value is unpacked in place.
fn raw_line(w: &mut Writer<'_>, name: HeaderName, value: impl FnOnce(&mut Vec<u8>)) {
    let out = w.raw();
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(b"\r\n");
}

/// TS 24.229 clause 5.4.1.2.2: charging addresses stay in the network; P-Visited-Network-ID tells where the P-CSCF is.
fn is_home(request: &Message<'_>, realm: &str) -> bool {
    let visited = request.elements(HeaderName::PVisitedNetworkId).next();
    visited.is_some_and(|v| v.split(';').next().unwrap_or(v).trim().trim_matches('"').eq_ignore_ascii_case(realm))
}

fn write_charging<'a>(w: &mut Writer<'_>, addresses: impl Iterator<Item = (&'static str, &'a str)>) {
    let mut addresses = addresses.peekable();
    if addresses.peek().is_none() {
        return;
    }
    raw_line(w, HeaderName::PChargingFunctionAddresses, |out| {
        for (n, (param, address)) in addresses.enumerate() {
            let separator = if n == 0 { "" } else { ";" };
            let plain = address.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.[:]".contains(&b));
            let quote = if plain { "" } else { "\"" };
            write!(out, "{separator}{param}={quote}{address}{quote}").expect("a Vec takes every octet");
        }
    });
}
