//! Responses (TS 24.229 clause 5.4.1.2.2, RFC 3261 clauses 8.2.6 and 10.3).

use super::Scscf;
use super::binding::Binding;
use super::refusal::Refusal;
use super::register::Register;
use super::reply::Reply;
use super::table::Id;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo;
use crate::sip::proxy::Fault;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, NameSet, Part, Writer};
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
    /// The identity registered, canonical, where the UE supports GRUUs.
    pub(super) gruu: Option<&'a str>,
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

    /// The same with a body, which `more` returns.
    pub(super) fn refuse_by(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        refusal: &Refusal,
        out: &mut Outbox,
        more: impl FnOnce(&mut Writer<'_>) -> &'static [u8],
    ) {
        let (status, tag) = (refusal.status(), self.random.token::<10>());
        self.transactions.respond(now, server, status, out, |bytes| {
            let mut w = begin(request, status, tag.as_str(), bytes);
            let body = more(&mut w);
            w.finish(body);
        });
        self.tell_refused(refusal, out);
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
        self.respond(now, server, request, refusal.status(), out, |w| write_refusal(refusal, w));
        self.tell_refused(refusal, out);
    }

    /// The same for a REGISTER that waited for the HSS.
    pub(super) fn refuse_waiting(&mut self, now: Instant, reply: &Reply, refusal: &Refusal, out: &mut Outbox) {
        let status = refusal.status();
        self.transactions.respond(now, reply.server, status, out, |bytes| {
            let mut w = reply.begin(status, bytes);
            write_refusal(refusal, &mut w);
            w.finish(b"");
        });
        self.tell_refused(refusal, out);
    }

    pub(super) fn tell_refused(&self, refusal: &Refusal, out: &mut Outbox) {
        let (status, clause) = (refusal.status(), refusal.clause());
        self.tell(out, || What::Refused { status, cause: refusal.to_string(), clause });
    }

    /// 200 to a REGISTER without Contact: what is bound.
    pub(super) fn answer_query(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        out: &mut Outbox,
    ) {
        match register.registration {
            Some(registration) => {
                let reply = self.reply_to_granted(server, register, &[]);
                let gruu = register.supports_gruu.then_some(&*register.impu);
                let granted = Granted { registration, others: &[], removed: &[], outbound: false, gruu };
                self.answer_granted(now, &reply, &granted, out);
            }
            None => self.respond(now, server, register.message, 200, out, |_| ()),
        }
    }

    /// 200 to a REGISTER that was served.
    pub(super) fn answer_granted(&mut self, now: Instant, reply: &Reply, granted: &Granted<'_>, out: &mut Outbox) {
        let Self { transactions, registrar, config, route_base, gruus, random, .. } = self;
        let gruus = granted.gruu.map(|impu| (gruus.get(random), impu));
        transactions.respond(now, reply.server, 200, out, |bytes| {
            let mut w = reply.begin(200, bytes);
            for binding in granted.removed {
                raw_line(&mut w, HeaderName::Contact, |out| binding.write_removed(&registrar.compact, out));
            }
            let bound = registrar.bindings(granted.registration);
            // The only binding is the one that was asked for.
            let is_as_asked = bound.len() == 1 && granted.others.is_empty() && gruus.is_none();
            if is_as_asked && !reply.contact().is_empty() {
                w.raw().extend_from_slice(reply.contact());
            } else {
                for id in std::iter::once(&granted.registration).chain(granted.others) {
                    for binding in registrar.bindings(*id) {
                        raw_line(&mut w, HeaderName::Contact, |out| {
                            binding.write(now, &registrar.compact, out);
                            if let Some((gruus, impu)) = gruus {
                                gruus.write(registrar, *id, binding, impu, route_base, out);
                            }
                        });
                    }
                }
            }
            let registration = registrar.get(granted.registration).filter(|r| !r.bindings.as_slice().is_empty());
            if let Some(registration) = registration {
                w.raw().extend_from_slice(reply.path());
                raw_line(&mut w, HeaderName::ServiceRoute, |out| {
                    // The token leads back to the registration without being stored.
                    out.extend_from_slice(b"<sip:o");
                    push_hex(granted.registration.to_bits(), out);
                    out.push(b'@');
                    out.extend_from_slice(route_base.as_bytes());
                    out.extend_from_slice(b";lr>");
                });
                let (start, mut states_any) = (w.raw().len(), false);
                raw_line(&mut w, HeaderName::PAssociatedUri, |out| {
                    states_any = registrar.write_associated(registration, out);
                });
                if !states_any {
                    w.raw().truncate(start);
                }
                if granted.outbound {
                    w.header(HeaderName::Require, "outbound");
                }
            }
            w.raw().extend_from_slice(reply.later_lines());
            if let Some(registration) = registration.filter(|_| reply.is_home) {
                write_charging(&mut w, registrar.profile(registration).charging());
            }
            if let Some(form) = config.digest.date {
                w.header(HeaderName::Date, &form.write(config.diameter.epoch, now));
            }
            for (name, value) in &config.extra_headers_in_200 {
                w.header_named(name, value);
            }
            w.finish(b"");
        });
    }
}

/// Starts a response to a request that is at hand. `tag` goes to To unless there is one.
pub(super) fn begin<'b>(request: &Message<'_>, status: u16, tag: &str, out: &'b mut Vec<u8>) -> Writer<'b> {
    let mut w = Writer::usual_response(out, status);
    copy_common(request, request.to().is_ok_and(|to| to.tag().is_some()), tag, &mut w);
    w
}

/// What every response copies from its request; `tag` goes to a To that has none.
pub(super) fn copy_common(request: &Message<'_>, has_tag: bool, tag: &str, w: &mut Writer<'_>) {
    let changed = if has_tag { NameSet::default() } else { NameSet::of(&[HeaderName::To]) };
    request.parts_without(COMMON.complement(), changed).for_each(|part| {
        match part {
            Part::Run(run) => w.copy_run(&run),
            Part::Line(line) => w.header_parts(HeaderName::To, &[line.value, ";tag=", tag]),
        };
    });
}

const COMMON: NameSet =
    NameSet::of(&[HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq]);

fn write_refusal(refusal: &Refusal, w: &mut Writer<'_>) {
    match refusal {
        Refusal::UnknownExtension(tags) | Refusal::Forwarding(Fault::UnknownExtension(tags)) => {
            w.header(HeaderName::Unsupported, tags);
        }
        Refusal::UnknownEvent => {
            w.header(HeaderName::AllowEvents, reginfo::PACKAGE);
        }
        Refusal::NothingAcceptable => {
            w.header(HeaderName::Accept, reginfo::CONTENT_TYPE);
        }
        Refusal::IntervalTooBrief { min_expires } => {
            w.header_number(HeaderName::MinExpires, *min_expires);
        }
        _ => {}
    }
    if let Some(seconds) = refusal.retry_after() {
        w.header_number(HeaderName::RetryAfter, seconds.into());
    }
}

/// A line whose value is unpacked in place.
pub(super) fn raw_line(w: &mut Writer<'_>, name: HeaderName, value: impl FnOnce(&mut Vec<u8>)) {
    let out = w.raw();
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    value(out);
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_charging<'a>(w: &mut Writer<'_>, addresses: impl Iterator<Item = (&'static str, &'a str)>) {
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

fn push_hex(number: u64, out: &mut Vec<u8>) {
    let digits = 16 - number.leading_zeros() / 4;
    out.extend((0..digits.max(1)).rev().map(|digit| b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15]));
}
