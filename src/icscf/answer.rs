//! Requests sent on, responses sent back, and own responses (RFC 3261 clauses 16.6 and 16.7).

use super::Icscf;
use super::refusal::Refusal;
use crate::event::{Event, Role, What};
use crate::packet::Outbox;
use crate::sip::emit::reason_phrase;
use crate::sip::header::via::Via;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, NameSet, Part, Writer};
use crate::time::Instant;

impl Icscf {
    /// Sends the S-CSCF's answer back: our Via is removed, nothing else changed but what RFC 3261 clause 16.7 asks for.
    pub(super) fn relay(&mut self, now: Instant, server: ServerId, response: &Message<'_>, out: &mut Outbox) {
        let status = match response.status().unwrap_or_default() {
            // A lone 503 would make the P-CSCF avoid us.
            503 => 500,
            status => status,
        };
        self.transactions.respond(now, server, status, out, |bytes| {
            let mut w = Writer::response(bytes, status, reason_phrase(status));
            let mut own_via = true;
            for part in response.parts(NameSet::of(&[HeaderName::Via, HeaderName::ContentLength])) {
                match part {
                    Part::Run(run) => {
                        w.copy_run(&run);
                    }
                    Part::Line(line) if line.name == HeaderName::Via && own_via => {
                        own_via = false;
                        // Without a comma the line is ours alone.
                        if memchr::memchr(b',', line.value.as_bytes()).is_some()
                            && let Ok((_, Some(rest))) = Via::parse(line.value)
                        {
                            w.header(HeaderName::Via, rest.trim_start());
                        }
                    }
                    Part::Line(line) if line.name == HeaderName::Via => {
                        w.copy(&line);
                    }
                    Part::Line(_) => {}
                }
            }
            w.finish(response.body());
        });
    }

    /// 200 to what is served here.
    pub(super) fn accept(&mut self, now: Instant, server: ServerId, request: &Message<'_>, out: &mut Outbox) {
        self.respond(now, server, request, 200, None, out);
    }

    /// Answers a request that is not forwarded.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        refusal: &Refusal,
        out: &mut Outbox,
    ) {
        let unsupported = match refusal {
            Refusal::UnknownExtension(tags) => Some(&**tags),
            _ => None,
        };
        self.respond(now, server, request, refusal.status(), unsupported, out);
        self.tell_refused(refusal, out);
    }

    /// Says why in an event.
    pub(super) fn tell_refused(&self, refusal: &Refusal, out: &mut Outbox) {
        out.event(|| Event {
            role: Role::Icscf,
            what: What::Refused { status: refusal.status(), cause: refusal.to_string(), clause: refusal.clause() },
        });
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

    fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        request: &Message<'_>,
        status: u16,
        unsupported: Option<&str>,
        out: &mut Outbox,
    ) {
        let tag = self.random.token::<10>();
        self.transactions.respond(now, server, status, out, |bytes| {
            let mut w = Writer::response(bytes, status, reason_phrase(status));
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
                        w.header_parts(HeaderName::To, &[line.value, ";tag=", tag.as_str()]);
                    }
                    _ => {}
                }
            }
            if let Some(tags) = unsupported {
                w.header(HeaderName::Unsupported, tags);
            }
            w.finish(b"");
        });
    }
}

/// The request with no Route and one hop less: what is forwarded, but for Request-URI and our Via. Built when it comes,
/// so that it need not be parsed again when the HSS has answered.
pub(super) fn one_hop_less(request: &Message<'_>, hops: Option<u8>, out: &mut Vec<u8>) {
    let mut w = Writer::request(out, "REGISTER", request.request_uri().unwrap_or_default());
    w.header_number(HeaderName::MaxForwards, hops.map_or(MAX_FORWARDS, |hops| hops.saturating_sub(1)).into());
    for part in request.parts(NameSet::of(&[HeaderName::Route, HeaderName::MaxForwards, HeaderName::ContentLength])) {
        if let Part::Run(run) = part {
            w.copy_run(&run);
        }
    }
    w.finish(request.body());
}

/// Writes what [`one_hop_less`] made, for one S-CSCF, with our Via: its value in pieces.
pub(super) fn forward(request: &[u8], scscf: &str, via: &[&str], out: &mut Vec<u8>) {
    Writer::request(out, "REGISTER", scscf).header_parts(HeaderName::Via, via);
    out.extend_from_slice(&request[line_end(request)..]);
}

/// What [`forward`] was given, from what it wrote; the Request-URI is that of the S-CSCF still.
pub(super) fn without_own_via(sent: &[u8]) -> Vec<u8> {
    let (line, headers) = sent.split_at(line_end(sent));
    [line, &headers[line_end(headers)..]].concat()
}

fn line_end(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

/// For a request that has none (RFC 3261 clause 16.6).
const MAX_FORWARDS: u8 = 70;
