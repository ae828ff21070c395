//! Subscriptions that outlive this process: what is left of them with the HSS, and how they come back (TS 23.380 clause
//! 4.4, TS 29.229 clauses 6.3.51 and 6.3.68).

use super::subscription::{Dialog, Subscription};
use crate::cx::SubscriptionInfo;
use crate::scscf::Scscf;
use crate::scscf::table::Id;
use crate::sip::HeaderName;
use crate::sip::header::name_addr::NameAddr;
use crate::time::Instant;

/// A subscription in texts of headers.
#[derive(Debug)]
pub(in crate::scscf) struct LeftSubscription {
    call_id: String,
    from: String,
    to: String,
    routes: String,
    contact: String,
}

impl LeftSubscription {
    /// The Contact of the watcher, in angle brackets.
    pub(in crate::scscf) fn contact(&self) -> &str {
        &self.contact
    }

    /// As the HSS is told of it.
    pub(in crate::scscf) fn info(&self) -> SubscriptionInfo<'_> {
        SubscriptionInfo {
            call_id: self.call_id.as_bytes(),
            from: self.from.as_bytes(),
            to: self.to.as_bytes(),
            record_route: Some(self.routes.as_bytes()).filter(|routes| !routes.is_empty()),
            contact: self.contact.as_bytes(),
        }
    }
}

impl Scscf {
    /// The subscriptions to a registration, as the HSS is told of them.
    pub(in crate::scscf) fn subscriptions_left(&self, registration: Id) -> Vec<LeftSubscription> {
        let subscriptions = &self.notifier.subscriptions;
        let list = subscriptions.list(self.registrar.watchers(registration));
        let left = list.filter_map(|id| {
            let dialog = subscriptions.get(id)?.dialog(&self.registrar.compact);
            let tag = subscriptions.tag(id);
            Some(LeftSubscription {
                from: format!("<{}>;tag={}", dialog.remote_uri, dialog.remote_tag),
                to: format!("<{}>;tag={tag}", dialog.local_uri),
                contact: format!("<{}>", dialog.target),
                call_id: dialog.call_id,
                routes: dialog.routes,
            })
        });
        left.collect()
    }

    /// A subscription goes on in its dialog, until `expires_at`. What cannot be read is left to the watcher, who will
    /// hear 481 and subscribe anew.
    pub(in crate::scscf) fn restore_subscription(
        &mut self,
        now: Instant,
        registration: Id,
        info: &SubscriptionInfo<'_>,
        expires_at: Instant,
    ) {
        let Some((dialog, tag)) = read(info) else { return };
        let known = self.watchers(registration).into_iter().filter_map(|id| self.notifier.subscriptions.get(id));
        if known.into_iter().any(|s| s.is_of(&dialog.call_id, &dialog.remote_tag, &self.registrar.compact)) {
            return;
        }
        let head = self.registrar.watchers(registration);
        let mut subscription = Subscription::new(&dialog, registration, expires_at, 0, &self.registrar.compact);
        // CSeq and version of what was sent before are not known. Both only ever rise by one with each NOTIFY, so the
        // clock is ahead of them.
        let seconds = self.config.diameter.epoch.unix_secs(now);
        subscription.continue_from(u32::try_from(seconds).unwrap_or(u32::MAX));
        let id = self.notifier.subscriptions.insert(head, subscription);
        self.notifier.subscriptions.keep_tag(id, &tag);
        self.registrar.set_watchers(registration, id.index());
        self.wake(registration, expires_at);
    }
}

fn read(info: &SubscriptionInfo<'_>) -> Option<(Dialog, String)> {
    let text = |octets| std::str::from_utf8(octets).ok();
    let (from, to) = (text(info.from)?, text(info.to)?);
    let from = NameAddr::parse(HeaderName::From, from).ok()?;
    let to = NameAddr::parse(HeaderName::To, to).ok()?;
    let contact = NameAddr::parse(HeaderName::Contact, text(info.contact)?).ok()?;
    let dialog = Dialog {
        call_id: text(info.call_id)?.to_owned(),
        remote_tag: from.tag()?.to_owned(),
        local_uri: to.uri.text.to_owned(),
        remote_uri: from.uri.text.to_owned(),
        target: contact.uri.text.to_owned(),
        routes: info.record_route.map_or(Some(""), text)?.to_owned(),
        event_id: String::new(),
    };
    Some((dialog, to.tag()?.to_owned()))
}
