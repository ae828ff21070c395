//! Responses of our own (RFC 3261 clause 8.2.6).

use super::ApplicationServer;
use crate::packet::Outbox;
use crate::sip::emit::reason_phrase;
use crate::sip::transaction::{ServerId, copy_vias};
use crate::sip::{HeaderName, Message, Writer};
use crate::time::Instant;

impl ApplicationServer {
    /// Answers by a status alone.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        status: u16,
        out: &mut Outbox,
    ) {
        self.answer_with(now, server, request, status, out, |_| ());
    }

    /// Answers; `more` writes the headers beyond those of every response.
    pub(super) fn answer_with(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        status: u16,
        out: &mut Outbox,
        more: impl FnOnce(&mut Writer<'_>),
    ) {
        let tag = self.random.token::<10>();
        let source = self.transactions.source(server);
        self.transactions.respond(now, server, status, out, |bytes| {
            let mut w = Writer::response(bytes, status, reason_phrase(status));
            if let Some(source) = source {
                copy_vias(request, source, &mut w);
            }
            for name in [HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
                let value = request.header(name).unwrap_or_default();
                if name == HeaderName::To && request.to().is_ok_and(|to| to.tag().is_none()) {
                    w.header_parts(name, &[value, ";tag=", tag.as_str()]);
                } else {
                    w.header(name, value);
                }
            }
            more(&mut w);
            w.finish(b"");
        });
    }
}
