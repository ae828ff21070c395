//! One JSON object a line: messages and events for programs.

use super::Options;
use crate::capture::{Entry, Hop};
use crate::event::{Event, What};
use crate::time::Instant;
use std::fmt::Write;

/// The object as one line, without its end: `event`, `at` in seconds, and what the ladder would show.
pub fn entry(entry: &Entry, options: &Options) -> String {
    match entry {
        Entry::Hop(hop) => message(hop, options),
        Entry::Event { at, event } => self::event(*at, event),
    }
}

fn message(hop: &Hop, options: &Options) -> String {
    let mut o = Object::new("message", hop.at);
    if let Some((from, to)) = options.columns.ends(&hop.packet()) {
        o.text("from", from.as_str()).text("to", to.as_str());
    }
    let protocol = format!("{:?}", hop.protocol);
    o.text("source", &hop.from.to_string()).text("destination", &hop.to.to_string());
    o.text("protocol", &protocol).text("transport", hop.transport.as_str());
    o.raw("protected", if hop.sa.is_some() { "true" } else { "false" });
    if let Some(sa) = hop.sa {
        o.raw("set", &sa.set.to_string());
    }
    let summary = super::summary(hop.protocol, &hop.bytes, options.show_keys);
    o.text("label", &summary.label).list("details", &summary.details);
    o.end()
}

fn event(at: Instant, event: &Event) -> String {
    let mut o = Object::new(name(&event.what), at);
    o.text("role", event.role.as_str());
    match &event.what {
        What::AutnVerified { impi } | What::MacFailure { impi } | What::ResponseVerified { impi } => {
            o.text("impi", impi.as_str());
        }
        What::SqnOutOfRange { impi, sqn, sqn_ms } => {
            o.text("impi", impi.as_str()).text("sqn", &format!("{sqn:012x}")).text("sqn_ms", &format!("{sqn_ms:012x}"));
        }
        What::SqnResynchronised { impi, before, after, mac_s_valid } => {
            o.text("impi", impi.as_str()).text("before", &format!("{before:012x}"));
            o.text("after", &format!("{after:012x}")).raw("mac_s_valid", &mac_s_valid.to_string());
        }
        What::Challenged { impi, impu } => {
            o.text("impi", impi.as_str()).text("impu", impu.as_str());
        }
        What::AuthenticationFailed { impi, cause } => {
            o.text("impi", impi.as_str()).text("cause", cause);
        }
        What::Registered { impi, impu, expires } | What::RegistrationRestored { impi, impu, expires } => {
            o.text("impi", impi.as_str()).text("impu", impu.as_str()).raw("expires", &expires.as_secs().to_string());
        }
        What::Deregistered { impi, impu, cause } => {
            o.text("impi", impi.as_str()).text("impu", impu.as_str()).text("cause", cause);
        }
        What::Refused { status, cause, clause } => {
            o.number("status", (*status).into()).text("cause", cause).text("clause", clause);
        }
        What::SaInstalled { set, ue, algorithms, spis, ports } => {
            o.text("set", &set.to_string()).text("ue", &ue.to_string()).text("algorithms", algorithms);
            o.raw("spi_c", &spis.0.to_string()).raw("spi_s", &spis.1.to_string());
            o.number("port_c", ports.0.into()).number("port_s", ports.1.into());
        }
        What::SaEstablished { set, lifetime } => {
            o.text("set", &set.to_string()).raw("lifetime", &lifetime.as_secs().to_string());
        }
        What::SaRemoved { set, cause } => {
            o.text("set", &set.to_string()).text("cause", cause);
        }
        What::TlsBound { ue } => {
            o.text("ue", &ue.to_string());
        }
        What::TlsUnbound { ue, cause } => {
            o.text("ue", &ue.to_string()).text("cause", cause);
        }
        What::PacketDropped { from, to, cause } => {
            o.text("source", &from.to_string()).text("destination", &to.to_string()).text("cause", cause);
        }
        What::OfferSkipped { unknown } => {
            o.text("unknown", unknown);
        }
        What::PeerOpen { host } => {
            o.text("host", host);
        }
        What::PeerDown { host, cause } => {
            o.text("host", host).text("cause", cause);
        }
        What::Discarded { from, cause } => {
            o.text("source", &from.to_string()).text("cause", cause);
        }
        What::MessageReceived { from, content_type, octets } => {
            o.text("from", from.as_str()).text("content_type", content_type).raw("octets", &octets.to_string());
        }
        What::RequestAnswered { method, to, status } => {
            o.text("method", method).text("to", to.as_str()).number("status", (*status).into());
        }
        What::DialogEarly { call, peer, status } => {
            o.raw("call", &call.to_string()).text("peer", peer.as_str()).number("status", (*status).into());
        }
        What::DialogConfirmed { call, peer } => {
            o.raw("call", &call.to_string()).text("peer", peer.as_str());
        }
        What::DialogEnded { call, peer, status, cause } => {
            o.raw("call", &call.to_string()).text("peer", peer.as_str());
            o.number("status", (*status).into()).text("cause", cause);
        }
        What::Subscribed { impu, watcher, expires } => {
            o.text("impu", impu.as_str()).text("watcher", watcher.as_str());
            o.raw("expires", &expires.as_secs().to_string());
        }
        What::SubscriptionEnded { impu, cause } => {
            o.text("impu", impu.as_str()).text("cause", cause);
        }
        What::NotifyFault { cause, clause } => {
            o.text("cause", cause).text("clause", clause);
        }
        What::FilterFault { cause } => {
            o.text("cause", cause);
        }
        What::ServiceFailed { server, impu, status, ends_registration } => {
            o.text("server", server).text("impu", impu.as_str()).number("status", (*status).into());
            o.raw("ends_registration", &ends_registration.to_string());
        }
        What::ServiceLeftOut { server, status, goes_on } => {
            o.text("server", server).number("status", (*status).into()).raw("goes_on", &goes_on.to_string());
        }
        What::RegistrationTold { impu, expires, content } => {
            o.text("impu", impu.as_str()).raw("expires", &expires.to_string()).list("content", content);
        }
        What::RegistrationNotified { impu, subscription, registrations, faults } => {
            o.text("impu", impu.as_str()).text("subscription", subscription);
            o.list("registrations", registrations).list("faults", faults);
        }
        What::UeSilent { ue, since } => {
            o.text("ue", &ue.to_string()).raw("since", &since.as_secs().to_string());
        }
        What::RetryAt { after, cause } => {
            o.raw("after", &format!("{:.3}", after.as_secs_f64())).text("cause", cause);
        }
        What::GaveUp { status, cause } => {
            o.number("status", (*status).into()).text("cause", cause);
        }
    }
    o.end()
}

/// The value of `event`.
const fn name(what: &What) -> &'static str {
    match what {
        What::AutnVerified { .. } => "autn-verified",
        What::MacFailure { .. } => "mac-failure",
        What::SqnOutOfRange { .. } => "sqn-out-of-range",
        What::SqnResynchronised { .. } => "sqn-resynchronised",
        What::Challenged { .. } => "challenged",
        What::ResponseVerified { .. } => "response-verified",
        What::AuthenticationFailed { .. } => "authentication-failed",
        What::Registered { .. } => "registered",
        What::RegistrationRestored { .. } => "registration-restored",
        What::Deregistered { .. } => "deregistered",
        What::Refused { .. } => "refused",
        What::SaInstalled { .. } => "sa-installed",
        What::SaEstablished { .. } => "sa-established",
        What::SaRemoved { .. } => "sa-removed",
        What::TlsBound { .. } => "tls-bound",
        What::TlsUnbound { .. } => "tls-unbound",
        What::PacketDropped { .. } => "packet-dropped",
        What::OfferSkipped { .. } => "offer-skipped",
        What::PeerOpen { .. } => "peer-open",
        What::PeerDown { .. } => "peer-down",
        What::Discarded { .. } => "discarded",
        What::MessageReceived { .. } => "message-received",
        What::RequestAnswered { .. } => "request-answered",
        What::DialogEarly { .. } => "dialog-early",
        What::DialogConfirmed { .. } => "dialog-confirmed",
        What::DialogEnded { .. } => "dialog-ended",
        What::Subscribed { .. } => "subscribed",
        What::SubscriptionEnded { .. } => "subscription-ended",
        What::NotifyFault { .. } => "notify-fault",
        What::FilterFault { .. } => "filter-fault",
        What::ServiceFailed { .. } => "service-failed",
        What::ServiceLeftOut { .. } => "service-left-out",
        What::RegistrationTold { .. } => "registration-told",
        What::RegistrationNotified { .. } => "registration-notified",
        What::UeSilent { .. } => "ue-silent",
        What::RetryAt { .. } => "retry-at",
        What::GaveUp { .. } => "gave-up",
    }
}

/// Writes one object.
#[derive(Debug)]
struct Object(String);

impl Object {
    fn new(event: &str, at: Instant) -> Self {
        let mut this = Self("{".to_owned());
        this.text("event", event).raw("at", &at.to_string());
        this
    }

    fn key(&mut self, key: &str) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.string(key);
        self.0.push(':');
        self
    }

    fn text(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).string(value);
        self
    }

    fn number(&mut self, key: &str, value: usize) -> &mut Self {
        self.raw(key, &value.to_string())
    }

    fn raw(&mut self, key: &str, value: &str) -> &mut Self {
        self.key(key).0.push_str(value);
        self
    }

    fn list(&mut self, key: &str, values: &[String]) -> &mut Self {
        self.key(key).0.push('[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.0.push(',');
            }
            self.string(value);
        }
        self.0.push(']');
        self
    }

    /// RFC 8259 clause 7.
    fn string(&mut self, value: &str) {
        self.0.push('"');
        for c in value.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                c if c < ' ' => write!(self.0, "\\u{:04x}", u32::from(c)).expect("writing to a String"),
                c => self.0.push(c),
            }
        }
        self.0.push('"');
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
