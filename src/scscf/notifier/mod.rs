//! The notifier of the reg event package (RFC 3680, TS 24.229 clause 5.4.2.1).
//!
//! A registration holds the head of the list of its watchers: one that nobody watches costs a look at that head.

mod authorise;
mod document;
mod notify;
mod restored;
mod subscribe;
mod subscription;

pub(super) use restored::LeftSubscription;

use super::binding::Binding;
use super::proxy::token;
use super::refusal::Refusal;
use super::registrar::{Registrar, canonical};
use super::table::{Id, NONE};
use super::{Due, Scscf};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::Outbox;
use crate::reginfo::{self, ContactEvent};
use crate::sip::header::event::Event;
use crate::sip::transaction::ServerId;
use crate::sip::{Checked, HeaderName, Message, Uri, destination};
use crate::time::Instant;
use document::Gone;
use notify::Owed;
use std::collections::HashMap;
use std::net::IpAddr;
use subscribe::Subscribe;
use subscription::{Dialog, Subscription, Subscriptions};

/// All subscriptions of this S-CSCF.
#[derive(Debug)]
pub(super) struct Notifier {
    subscriptions: Subscriptions,
    /// By subscription; only those whose NOTIFY is outstanding while something changes.
    owed: HashMap<Id, Owed>,
}

impl Notifier {
    /// Nobody watches. `seed` keeps tags from being made up.
    pub(super) fn new(seed: u64) -> Self {
        Self { subscriptions: Subscriptions::new(seed), owed: HashMap::new() }
    }
}

impl Scscf {
    /// How many subscriptions to the reg event package there are.
    pub fn subscriptions(&self) -> usize {
        self.notifier.subscriptions.len()
    }

    /// True for a SUBSCRIBE that is served here; any other is forwarded like other requests.
    pub(super) fn is_for_notifier(&mut self, subscribe: &Message<'_>) -> bool {
        let Ok(received) = self.read(subscribe) else { return false };
        if self.is_for_us(&received) {
            return true;
        }
        let event = subscribe.header(HeaderName::Event).map(Event::parse);
        let is_reg = event.is_none_or(|e| e.is_ok_and(|e| e.package.eq_ignore_ascii_case(reginfo::PACKAGE)));
        if !is_reg || !received.routes.is_empty() || received.is_in_dialog() {
            return false;
        }
        let Some(sender) = token(&received) else { return true };
        // What a user of ours wants to know of a user of another S-CSCF goes there.
        let impu = canonical(received.uri.to_owned());
        self.registrar.is_of(sender, &impu) || !self.registrar.serving(&impu).is_empty()
    }

    /// Serves a SUBSCRIBE or refuses it.
    pub(super) fn on_subscribe(
        &mut self,
        now: Instant,
        server: ServerId,
        from: IpAddr,
        message: &Message<'_>,
        checked: &Checked<'_>,
        out: &mut Outbox,
    ) {
        let outcome = Subscribe::read(message, checked, &self.config).and_then(|subscribe| match subscribe.to_tag {
            Some(tag) => self.resubscribe(now, server, &subscribe, tag, out),
            None => self.subscribe(now, server, &subscribe, out),
        });
        if let Err(refusal) = outcome {
            if let Some(user) = self.lost_watched(&checked.to.uri, &refusal)
                && self.restore(now, server, from, message, user, out)
            {
                return;
            }
            self.refuse(now, server, message, &refusal, out);
        }
    }

    /// A registration has changed: bindings are there or prolonged, and `gone` was ended by `event`.
    pub(super) fn notify_changed(
        &mut self,
        now: Instant,
        registration: Id,
        gone: &[Binding],
        event: ContactEvent,
        out: &mut Outbox,
    ) {
        if self.registrar.watchers(registration) != NONE {
            let gone = Gone::all(gone, event, &self.registrar.compact);
            for id in self.watchers(registration) {
                self.notify(now, id, &gone, out);
            }
        }
    }

    /// A registration ends, what is bound by `event`: every watcher hears the last of it.
    pub(super) fn end_registration(
        &mut self,
        now: Instant,
        registration: Id,
        mut gone: Vec<Binding>,
        event: ContactEvent,
        out: &mut Outbox,
    ) {
        if self.registrar.watchers(registration) != NONE {
            gone.extend(self.registrar.take_bindings(registration));
            self.end_watching(now, registration, &gone, event, out);
        }
        self.registrar.remove(registration);
    }

    /// Nothing is left of a registration that watchers may know of: `gone` was ended by `event`.
    pub(super) fn end_watching(
        &mut self,
        now: Instant,
        registration: Id,
        gone: &[Binding],
        event: ContactEvent,
        out: &mut Outbox,
    ) {
        let gone = Gone::all(gone, event, &self.registrar.compact);
        for id in self.watchers(registration) {
            self.notify_last(now, id, &gone, "deactivated", out);
        }
    }

    /// A registration ends here and nobody is to hear of it: it goes on at another S-CSCF.
    pub(super) fn drop_registration(&mut self, registration: Id) {
        for id in self.watchers(registration) {
            self.forget_subscription(id);
        }
        self.registrar.remove(registration);
    }

    /// Ends the subscriptions of a registration whose time is over, and waits for the next.
    pub(super) fn expire_subscriptions(&mut self, now: Instant, registration: Id, out: &mut Outbox) {
        for id in self.watchers(registration) {
            if self.notifier.subscriptions.get(id).is_some_and(|s| s.expires_at <= now) {
                self.notify_last(now, id, &[], "timeout", out);
            }
        }
        let left = self.watchers(registration);
        let next = left.iter().filter_map(|id| self.notifier.subscriptions.get(*id)).map(|s| s.expires_at).min();
        if let Some(next) = next {
            self.wake(registration, next);
        }
    }

    fn subscribe(
        &mut self,
        now: Instant,
        server: ServerId,
        subscribe: &Subscribe<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let registration = self.bound(subscribe).ok_or(Refusal::NothingBound)?;
        let entry = self.registrar.get(registration).ok_or(Refusal::NothingBound)?;
        let is_emergency = |b: &Binding| b.is_emergency();
        if !authorise::may_watch(&self.registrar, entry, subscribe.message)
            || entry.bindings.as_slice().iter().all(is_emergency)
        {
            return Err(Refusal::MayNotWatch);
        }
        let target = subscribe.target.ok_or(Refusal::NoContact)?;
        if self.watchers(registration).len() >= MOST_WATCHERS {
            return Err(Refusal::TooManyWatchers);
        }
        let dialog = Dialog {
            call_id: subscribe.call_id.to_owned(),
            remote_tag: subscribe.from_tag.to_owned(),
            local_uri: subscribe.to_uri.to_owned(),
            remote_uri: subscribe.from_uri.to_owned(),
            target: target.to_owned(),
            routes: self.routes(registration, subscribe, target),
            event_id: subscribe.event_id.to_owned(),
        };
        if !self.reaches(dialog.next_hop()) {
            return Err(Refusal::NoContact);
        }
        let (expires_at, head) = (now + subscribe.expires, self.registrar.watchers(registration));
        let new = Subscription::new(&dialog, registration, expires_at, subscribe.cseq, &self.registrar.compact);
        let id = self.notifier.subscriptions.insert(head, new);
        self.registrar.set_watchers(registration, id.index());
        self.accept(now, server, subscribe, id, out);
        let expires = subscribe.expires;
        self.tell(out, || What::Subscribed {
            impu: self.watched(id),
            watcher: Impu::from(subscribe.from_uri),
            expires,
        });
        self.after_subscribe(now, id, registration, subscribe, out);
        self.leave_again(now, registration, out);
        Ok(())
    }

    /// The registration to be watched. A UE nearly always watches its own, to which the Service-Route leads: no index of
    /// identities is needed then.
    fn bound(&mut self, subscribe: &Subscribe<'_, '_>) -> Option<Id> {
        let sender = self.read(subscribe.message).ok().and_then(|received| token(&received));
        let sender = sender.filter(|id| self.registrar.is_of(*id, &subscribe.impu));
        let is_bound = |registrar: &Registrar, id: &Id| !registrar.bindings(*id).is_empty();
        if let Some(own) = sender.filter(|id| is_bound(&self.registrar, id)) {
            return Some(own);
        }
        let found = self.registrar.serving(&subscribe.impu);
        found.into_iter().find(|id| is_bound(&self.registrar, id))
    }

    /// A SUBSCRIBE of a dialog prolongs the subscription or ends it.
    fn resubscribe(
        &mut self,
        now: Instant,
        server: ServerId,
        subscribe: &Subscribe<'_, '_>,
        tag: &str,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let Self { registrar, notifier, .. } = self;
        let id = notifier.subscriptions.by_tag(tag).ok_or(Refusal::UnknownSubscription)?;
        let subscription = notifier.subscriptions.get_mut(id).ok_or(Refusal::UnknownSubscription)?;
        // One whose last NOTIFY waits to be sent has ended.
        if !subscription.is_of(subscribe.call_id, subscribe.from_tag, &registrar.compact)
            || matches!(notifier.owed.get(&id), Some(Owed::Last(..)))
        {
            return Err(Refusal::UnknownSubscription);
        }
        if subscribe.cseq <= subscription.remote_cseq {
            return Err(Refusal::CSeqNotNewer);
        }
        subscription.remote_cseq = subscribe.cseq;
        subscription.expires_at = now + subscribe.expires;
        if let Some(target) = subscribe.target {
            subscription.set_target(target, &registrar.compact);
        }
        let registration = subscription.registration;
        self.accept(now, server, subscribe, id, out);
        self.after_subscribe(now, id, registration, subscribe, out);
        Ok(())
    }

    /// 200 to a SUBSCRIBE.
    fn accept(&mut self, now: Instant, server: ServerId, subscribe: &Subscribe<'_, '_>, id: Id, out: &mut Outbox) {
        let tag = self.notifier.subscriptions.tag(id);
        let Self { transactions, route_base, .. } = self;
        transactions.respond(now, server, 200, out, |bytes| {
            let mut w = super::answer::begin(subscribe.message, 200, &tag, bytes);
            for line in subscribe.message.lines_of(HeaderName::RecordRoute) {
                w.copy(&line);
            }
            w.header_parts(HeaderName::Contact, &["<sip:", route_base, ">"]);
            w.header_number(HeaderName::Expires, subscribe.expires.as_secs());
            w.finish(b"");
        });
    }

    /// Every SUBSCRIBE brings a NOTIFY at once (RFC 6665 clause 4.2.1.2).
    fn after_subscribe(
        &mut self,
        now: Instant,
        id: Id,
        registration: Id,
        subscribe: &Subscribe<'_, '_>,
        out: &mut Outbox,
    ) {
        if subscribe.expires.is_zero() {
            self.notify_last(now, id, &[], "timeout", out);
        } else {
            self.wake(registration, now + subscribe.expires);
            self.notify(now, id, &[], out);
        }
    }

    /// Without Record-Route a watcher that is the UE itself is reached by its Path.
    fn routes(&self, registration: Id, subscribe: &Subscribe<'_, '_>, target: &str) -> String {
        let routes = subscribe.routes();
        let compact = &self.registrar.compact;
        let is_target = |b: &&Binding| {
            let own = b.contact(compact);
            matches!((Uri::parse(&own), Uri::parse(target)), (Ok(own), Ok(target)) if own.equivalent(&target))
        };
        match self.registrar.bindings(registration).iter().find(is_target) {
            Some(binding) if routes.is_empty() => binding.path(compact),
            _ => routes,
        }
    }

    fn reaches(&self, uri: &str) -> bool {
        let config = &self.config;
        Uri::parse(uri)
            .is_ok_and(|uri| destination::resolve(&uri, &config.hosts, &config.listen, config.transport).is_some())
    }

    fn watchers(&self, registration: Id) -> Vec<Id> {
        self.notifier.subscriptions.list(self.registrar.watchers(registration)).collect()
    }

    /// The identity that a watcher subscribed to.
    fn watched(&self, id: Id) -> Impu {
        let subscription = self.notifier.subscriptions.get(id);
        subscription.map_or_else(String::new, |s| s.dialog(&self.registrar.compact).local_uri).into()
    }

    /// Takes a subscription from the list of its registration.
    fn unlink(&mut self, id: Id) {
        let Some(registration) = self.notifier.subscriptions.get(id).map(|s| s.registration) else { return };
        let head = self.registrar.watchers(registration);
        let head = self.notifier.subscriptions.unlink(head, id);
        self.registrar.set_watchers(registration, head);
    }

    fn forget_subscription(&mut self, id: Id) {
        if !matches!(self.notifier.owed.remove(&id), Some(Owed::Last(..))) {
            self.unlink(id);
        }
        self.notifier.subscriptions.remove(id);
    }

    fn wake(&mut self, registration: Id, at: Instant) {
        if let Some(at) = self.registrar.wake(registration, at) {
            self.timeouts.at(at, Due::Expiry(registration));
        }
    }
}

/// The UE, its P-CSCF, application servers, and what they left behind when they were restarted.
const MOST_WATCHERS: usize = 32;
