//! NOTIFY: one at a time in each dialog, later changes together (RFC 6665 clause 4.2.2).

use super::document::{self, Gone};
use super::subscription::Dialog;
use crate::decimal::Decimal;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo;
use crate::scscf::binding::Binding;
use crate::scscf::table::Id;
use crate::scscf::{Asked, Scscf};
use crate::sip::{HeaderName, Message, Uri, Writer, destination};
use crate::time::Instant;

/// What a watcher is still to be told, once its last NOTIFY is answered.
#[derive(Debug)]
pub(super) enum Owed {
    /// The state as it is then, and what has ended meanwhile.
    State(Vec<Gone>),
    /// This, and that there will be no more.
    Last(Vec<u8>, &'static str),
}

/// Subscription-State of a NOTIFY.
#[derive(Clone, Copy)]
enum State {
    Active { seconds: u64 },
    Terminated { reason: &'static str },
}

impl Scscf {
    /// Tells one watcher the state as it is, and what has ended.
    pub(super) fn notify(&mut self, now: Instant, id: Id, gone: &[Gone], out: &mut Outbox) {
        let Some(subscription) = self.notifier.subscriptions.get(id) else { return };
        if subscription.is_outstanding() {
            match self.notifier.owed.entry(id).or_insert_with(|| Owed::State(Vec::new())) {
                Owed::State(owed) => owed.extend_from_slice(gone),
                Owed::Last(..) => {}
            }
            return;
        }
        let left = subscription.expires_at.saturating_since(now);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let Some(registration) = self.registrar.get(subscription.registration) else { return };
        let mut body = Vec::with_capacity(2_048);
        let gruus = |binding: &Binding, aor: &str| self.gruus_of(subscription.registration, binding, aor);
        document::write(&self.registrar, now, registration, gone, subscription.sent(), gruus, &mut body);
        self.send(now, id, &body, State::Active { seconds }, out);
    }

    /// Tells one watcher the last that it will hear, and ends the subscription.
    pub(super) fn notify_last(&mut self, now: Instant, id: Id, gone: &[Gone], reason: &'static str, out: &mut Outbox) {
        let Some(subscription) = self.notifier.subscriptions.get(id) else { return };
        let Some(registration) = self.registrar.get(subscription.registration) else { return };
        let is_outstanding = subscription.is_outstanding();
        let mut all = match self.notifier.owed.remove(&id) {
            Some(Owed::State(owed)) => owed,
            _ => Vec::new(),
        };
        all.extend_from_slice(gone);
        let mut body = Vec::with_capacity(2_048);
        // Nothing comes between: the next NOTIFY is this one.
        let gruus = |binding: &Binding, aor: &str| self.gruus_of(subscription.registration, binding, aor);
        document::write(&self.registrar, now, registration, &all, subscription.sent(), gruus, &mut body);
        self.tell(out, || What::SubscriptionEnded { impu: self.watched(id), cause: reason });
        self.unlink(id);
        if is_outstanding {
            self.notifier.owed.insert(id, Owed::Last(body, reason));
        } else {
            self.send_last(now, id, &body, reason, out);
        }
    }

    /// A NOTIFY was answered.
    pub(in crate::scscf) fn on_notified(&mut self, now: Instant, id: Id, response: &Message<'_>, out: &mut Outbox) {
        let status = response.status().unwrap_or_default();
        // A refusal that names a time is not the end of the subscription.
        if status / 100 == 2 || response.header(HeaderName::RetryAfter).is_some() {
            self.on_through(now, id, out);
        } else {
            self.on_not_notified(id, "a NOTIFY was refused", out);
        }
    }

    /// A NOTIFY was refused or not answered: there is nobody to tell any more.
    pub(in crate::scscf) fn on_not_notified(&mut self, id: Id, cause: &'static str, out: &mut Outbox) {
        let Some(subscription) = self.notifier.subscriptions.get(id) else { return };
        let is_linked = !matches!(self.notifier.owed.get(&id), Some(Owed::Last(..)));
        if is_linked && subscription.is_outstanding() {
            self.tell(out, || What::SubscriptionEnded { impu: self.watched(id), cause });
        }
        self.forget_subscription(id);
    }

    fn on_through(&mut self, now: Instant, id: Id, out: &mut Outbox) {
        let Some(subscription) = self.notifier.subscriptions.get_mut(id) else { return };
        subscription.answered();
        match self.notifier.owed.remove(&id) {
            None => {}
            Some(Owed::State(gone)) => self.notify(now, id, &gone, out),
            Some(Owed::Last(body, reason)) => self.send_last(now, id, &body, reason, out),
        }
    }

    fn send_last(&mut self, now: Instant, id: Id, body: &[u8], reason: &'static str, out: &mut Outbox) {
        self.send(now, id, body, State::Terminated { reason }, out);
        self.notifier.subscriptions.remove(id);
    }

    fn send(&mut self, now: Instant, id: Id, body: &[u8], state: State, out: &mut Outbox) {
        let tag = self.notifier.subscriptions.tag(id);
        let Some(subscription) = self.notifier.subscriptions.get_mut(id) else { return };
        let dialog = subscription.dialog(&self.registrar.compact);
        subscription.send();
        let cseq = subscription.sent();
        let way = Uri::parse(dialog.next_hop())
            .ok()
            .and_then(|uri| destination::resolve(&uri, &self.config.hosts, &self.config.listen, self.config.transport));
        let Some((route, listener)) = way else {
            return self.on_not_notified(id, "the watcher cannot be reached", out);
        };
        let Self { transactions, config, route_base, .. } = self;
        let host = Uri::parse(&config.name).map_or("", |uri| uri.host);
        let port = config.listen[listener].port();
        transactions.request(now, config.timers, route, true, Asked::Notify(id), out, |bytes, transport, branch| {
            let mut w = Writer::request(bytes, "NOTIFY", &dialog.target);
            let port = Decimal::new(port);
            let via = ["SIP/2.0/", transport.as_str(), " ", host, ":", port.as_str(), ";branch=", branch];
            w.header_parts(HeaderName::Via, &via);
            w.header_number(HeaderName::MaxForwards, 70);
            if !dialog.routes.is_empty() {
                w.header(HeaderName::Route, &dialog.routes);
            }
            write_dialog(&dialog, &tag, &mut w);
            w.header_parts(HeaderName::CSeq, &[Decimal::new(cseq).as_str(), " NOTIFY"]);
            w.header_parts(HeaderName::Contact, &["<sip:", route_base, ">"]);
            match state {
                State::Active { seconds } => {
                    let seconds = Decimal::new(seconds);
                    w.header_parts(HeaderName::SubscriptionState, &["active;expires=", seconds.as_str()]);
                }
                State::Terminated { reason } => {
                    w.header_parts(HeaderName::SubscriptionState, &["terminated;reason=", reason]);
                }
            }
            w.header(HeaderName::ContentType, reginfo::CONTENT_TYPE);
            w.finish(body);
        });
    }
}

/// Both sides are named as in the dialog, never by a Contact (RFC 3261 clause 12.2.1.1): handsets insist.
fn write_dialog(dialog: &Dialog, tag: &str, w: &mut Writer<'_>) {
    w.header_parts(HeaderName::From, &["<", &dialog.local_uri, ">;tag=", tag]);
    let to = ["<", &*dialog.remote_uri, ">;tag=", &*dialog.remote_tag];
    w.header_parts(HeaderName::To, if dialog.remote_tag.is_empty() { &to[..2] } else { &to });
    w.header(HeaderName::CallId, &dialog.call_id);
    let event = [reginfo::PACKAGE, ";id=", &*dialog.event_id];
    w.header_parts(HeaderName::Event, if dialog.event_id.is_empty() { &event[..1] } else { &event });
}
