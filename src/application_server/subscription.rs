//! Subscriptions to the reg event package of users (TS 24.229 clause 5.7.1.1, RFC 3680).

use super::{ApplicationServer, Asked, Due, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::Outbox;
use crate::random::Token;
use crate::reginfo::{self, Watcher};
use crate::sip::header::event::{Event, SubscriptionState};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, Uri, Writer, destination};
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// By Call-ID.
#[derive(Debug, Default)]
pub(super) struct Subscriptions(BTreeMap<Box<str>, Subscription>);

/// One subscription: its dialog, and what was said in it.
#[derive(Debug)]
struct Subscription {
    impu: Impu,
    tag: Token<10>,
    /// The notifier's tag, once it has answered.
    remote_tag: Option<Box<str>>,
    /// The notifier: the S-CSCF, and within the dialog its Contact.
    scscf: Box<str>,
    target: Option<Box<str>>,
    cseq: u32,
    /// CSeq of the last NOTIFY.
    notified: Option<u32>,
    watcher: Watcher,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is one to this user.
    pub(super) fn has(&self, impu: &Impu) -> bool {
        self.0.values().any(|s| s.impu == *impu)
    }
}

impl ApplicationServer {
    /// Subscribes at the S-CSCF that has registered the user.
    pub(super) fn subscribe(&mut self, now: Instant, impu: &Impu, scscf: &str, out: &mut Outbox) {
        let call_id: Box<str> = format!("{}@{}", self.random.token::<20>(), self.host).into();
        let subscription = Subscription {
            impu: impu.clone(),
            tag: self.random.token(),
            remote_tag: None,
            scscf: scscf.into(),
            target: None,
            cseq: 0,
            notified: None,
            watcher: Watcher::new(),
        };
        self.subscriptions.0.insert(call_id.clone(), subscription);
        self.send_subscribe(now, &call_id, out);
    }

    /// Half of the time is over, or all but ten minutes.
    pub(super) fn refresh(&mut self, now: Instant, call_id: &str, out: &mut Outbox) {
        let Some(subscription) = self.subscriptions.0.get(call_id) else { return };
        if self.users.has(&subscription.impu) {
            self.send_subscribe(now, call_id, out);
        } else {
            self.subscriptions.0.remove(call_id);
        }
    }

    /// The notifier has answered.
    pub(super) fn on_subscribed(&mut self, now: Instant, call_id: &str, response: &Message<'_>, out: &mut Outbox) {
        let status = response.status().unwrap_or_default();
        if status / 100 != 2 {
            return self.on_subscribe_failed(call_id, status, out);
        }
        let Some(subscription) = self.subscriptions.0.get_mut(call_id) else { return };
        subscription.remote_tag = response.to().ok().and_then(|to| to.tag()).map(Into::into);
        subscription.take_target(response);
        let granted = response.expires().unwrap_or(EXPIRES);
        let wait = if granted > 1_200 { granted - 600 } else { granted / 2 };
        self.timeouts.at(now + Duration::from_secs(wait.max(1).into()), Due::Refresh(call_id.into()));
    }

    /// The notifier has refused, or did not answer (status 0): there is no subscription.
    pub(super) fn on_subscribe_failed(&mut self, call_id: &str, status: u16, out: &mut Outbox) {
        if let Some(subscription) = self.subscriptions.0.remove(call_id) {
            tell(out, || What::RequestAnswered { method: "SUBSCRIBE", to: subscription.impu, status });
        }
    }

    /// News of a user.
    pub(super) fn on_notify(&mut self, now: Instant, server: ServerId, notify: &Message<'_>, out: &mut Outbox) {
        let package = notify.header(HeaderName::Event).and_then(|value| Event::parse(value).ok());
        if package.is_none_or(|event| event.package != reginfo::PACKAGE) {
            return self.answer(now, server, notify, 489, out);
        }
        let state = notify.header(HeaderName::SubscriptionState).and_then(|v| SubscriptionState::parse(v).ok());
        let (Some(state), Ok(cseq)) = (state, notify.cseq()) else {
            return self.answer(now, server, notify, 400, out);
        };
        let call_id = notify.call_id().unwrap_or_default();
        let of_dialog = |s: &&mut Subscription| notify.to().is_ok_and(|to| to.tag() == Some(s.tag.as_str()));
        let Some(subscription) = self.subscriptions.0.get_mut(call_id).filter(of_dialog) else {
            return self.answer(now, server, notify, 481, out);
        };
        // RFC 3261 clause 12.2.2.
        if subscription.notified.is_some_and(|last| cseq.number <= last) {
            return self.answer(now, server, notify, 500, out);
        }
        subscription.notified = Some(cseq.number);
        // The NOTIFY may come before the 200.
        subscription.take_target(notify);
        let verdict = (!notify.body().is_empty()).then(|| subscription.watcher.take(notify.body(), &[]));
        let impu = subscription.impu.clone();
        let ends = state.state.eq_ignore_ascii_case("terminated");
        tell(out, || What::RegistrationNotified {
            impu,
            subscription: state.state.to_owned(),
            registrations: verdict.iter().filter_map(|v| v.document.as_ref()).flat_map(in_words).collect(),
            faults: verdict.iter().flat_map(|v| &v.faults).map(ToString::to_string).collect(),
        });
        self.answer(now, server, notify, 200, out);
        if ends {
            self.subscriptions.0.remove(call_id);
        } else if verdict.is_some_and(|v| v.needs_full_state) {
            self.send_subscribe(now, call_id, out);
        }
    }

    fn send_subscribe(&mut self, now: Instant, call_id: &str, out: &mut Outbox) {
        let Self { config, subscriptions, transactions, sent_by, .. } = self;
        let Some(subscription) = subscriptions.0.get_mut(call_id) else { return };
        subscription.cseq += 1;
        let next = subscription.target.as_deref().unwrap_or(&subscription.scscf);
        let way = Uri::parse(next)
            .ok()
            .and_then(|uri| destination::resolve(&uri, &config.hosts, &config.listen, config.transport));
        let Some((route, listener)) = way else { return self.on_subscribe_failed(call_id, 0, out) };
        let asked = Asked::Subscription(call_id.into());
        transactions.request(now, config.timers, route, true, asked, out, |bytes, transport, branch| {
            let uri = subscription.target.as_deref().unwrap_or(subscription.impu.as_str());
            let mut w = Writer::request(bytes, "SUBSCRIBE", uri);
            let via = ["SIP/2.0/", transport.as_str(), " ", &sent_by[listener], ";branch=", branch];
            w.header_parts(HeaderName::Via, &via);
            w.header_number(HeaderName::MaxForwards, 70);
            if subscription.target.is_none() {
                let loose = if subscription.scscf.contains(";lr") { "" } else { ";lr" };
                w.header_parts(HeaderName::Route, &["<", &subscription.scscf, loose, ">"]);
            }
            w.header_parts(HeaderName::From, &["<", &config.name, ">;tag=", subscription.tag.as_str()]);
            match &subscription.remote_tag {
                Some(tag) => w.header_parts(HeaderName::To, &["<", subscription.impu.as_str(), ">;tag=", tag]),
                None => w.header_parts(HeaderName::To, &["<", subscription.impu.as_str(), ">"]),
            };
            w.header(HeaderName::CallId, call_id);
            w.header_fmt(HeaderName::CSeq, format_args!("{} SUBSCRIBE", subscription.cseq));
            w.header_parts(HeaderName::Contact, &["<", &config.name, ">"]);
            w.header_parts(HeaderName::PAssertedIdentity, &["<", &config.name, ">"]);
            w.header(HeaderName::Event, reginfo::PACKAGE);
            w.header(HeaderName::Accept, reginfo::CONTENT_TYPE);
            w.header_number(HeaderName::Expires, EXPIRES.into());
            w.finish(b"");
        });
    }
}

impl Subscription {
    /// The remote target of the dialog (RFC 3261 clause 12.1.2).
    fn take_target(&mut self, message: &Message<'_>) {
        if let Ok(crate::sip::header::contact::Contacts::List(contacts)) = message.contacts()
            && let Some(contact) = contacts.first()
        {
            self.target = Some(contact.address.uri.text.into());
        }
    }
}

/// One text for each contact, and for each identity without.
fn in_words(document: &reginfo::Reginfo<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for registration in &document.registrations {
        let (aor, state) = (&registration.aor, registration.state.as_str());
        if registration.contacts.is_empty() {
            found.push(format!("{aor} {state}"));
        }
        for contact in &registration.contacts {
            found.push(format!("{aor} {state}: {} {}", contact.uri, contact.event.as_str()));
        }
    }
    found
}

/// As long as a registration (TS 24.229 clause 5.7.1.1).
const EXPIRES: u32 = 600_000;
