//! What is left with the HSS, and what becomes of it again.

use crate::cx::{RestorationInfo, ScscfRestorationInfo, SubscriptionInfo};
use crate::decimal::Decimal;
use crate::diameter::Writer;
use crate::scscf::ScscfConfig;
use crate::scscf::binding::{Binding, Planned, Stated};
use crate::scscf::compact::Compact;
use crate::scscf::contacts::{Replaces, Wanted};
use crate::scscf::notifier::LeftSubscription;
use crate::sip::HeaderName;
use crate::sip::header::contact::{Contact, Contacts};
use crate::sip::header::name_addr::NameAddr;
use crate::time::{Duration, Instant};

/// SCSCF-Restoration-Info as it will be when a REGISTER is through.
pub(in crate::scscf) struct Left<'a> {
    pub(in crate::scscf) config: &'a ScscfConfig,
    pub(in crate::scscf) compact: &'a Compact,
    pub(in crate::scscf) now: Instant,
    pub(in crate::scscf) impi: &'a str,
    pub(in crate::scscf) subscriptions: Vec<LeftSubscription>,
}

impl Left<'_> {
    /// The AVP: what `planned` makes of `bindings`.
    pub(in crate::scscf) fn write(&self, planned: &[Planned], bindings: &[Binding]) -> Vec<u8> {
        let Self { config, compact, now, impi, ref subscriptions } = *self;
        let replaces = Replaces::of(planned, config.digest.parallel_contacts);
        let stays = |b: &&Binding| !replaces.takes(b) && !planned.iter().any(|p| p.is_of(b, compact));
        let kept = bindings.iter().filter(stays).map(|b| (b.stated(compact), b.expires_at));
        let bound = planned.iter().filter(|p| !p.expires.is_zero());
        let mut stated: Vec<(Stated, Instant)> =
            kept.chain(bound.map(|p| (p.stated(compact), now + p.expires))).collect();
        let Some(last) = stated.iter().map(|(_, ends_at)| *ends_at).max() else { return Vec::new() };
        if stated.len() > 1 {
            // Registration-Time-Out is one for all: it is that of the longest, and these say how much shorter others are.
            for (stated, ends_at) in &mut stated {
                stated.contact += ";expires=";
                stated.contact += Decimal::new(ends_at.saturating_since(now).as_secs()).as_str();
            }
        }
        let infos = stated.iter().map(|(stated, _)| RestorationInfo {
            path: stated.path.as_bytes(),
            contact: stated.contact.as_bytes(),
            cseq: Some(stated.cseq),
            call_id: Some(stated.call_id.as_bytes()).filter(|call_id| !call_id.is_empty()),
            subscription: of(subscriptions, |watcher| stated.contact.starts_with(watcher.contact())),
            pcscf_subscription: of(subscriptions, |watcher| is_first_of(&stated.path, watcher.contact())),
        });
        let info = ScscfRestorationInfo {
            impi,
            bindings: infos.collect(),
            ends_at: Some(config.diameter.epoch.unix_secs(last)),
            scheme: Some(&config.scheme),
        };
        let mut octets = Vec::new();
        info.encode(&mut Writer::avps(&mut octets));
        octets
    }
}

fn of(list: &[LeftSubscription], is_it: impl Fn(&LeftSubscription) -> bool) -> Option<SubscriptionInfo<'_>> {
    list.iter().find(|watcher| is_it(watcher)).map(LeftSubscription::info)
}

/// True for the Contact of the P-CSCF that is the first of Path.
fn is_first_of(path: &str, contact: &str) -> bool {
    let host = |name, text| NameAddr::take(name, text, |_, _| ()).map(|(address, _)| address.uri.host);
    matches!((host(HeaderName::Path, path), host(HeaderName::Contact, contact)), (Ok(a), Ok(b)) if a == b)
}

/// The bindings of the HSS that still last as ours: the longest for `left`. What cannot be read is left out.
pub(super) fn read(
    info: &ScscfRestorationInfo<'_>,
    impu: &str,
    left: Duration,
    now: Instant,
    compact: &Compact,
) -> Vec<Binding> {
    let expires = |binding: &RestorationInfo<'_>| read_contact(binding, |contact| contact.expires).flatten();
    let longest = info.bindings.iter().filter_map(expires).max();
    let bindings = info.bindings.iter().filter_map(|binding| {
        let shorter = longest.zip(expires(binding)).map_or(0, |(longest, own)| longest - own);
        let left = left.saturating_sub(Duration::from_secs(shorter.into()));
        if left.is_zero() { None } else { read_binding(binding, impu, left, now, compact) }
    });
    bindings.collect()
}

fn read_binding(
    info: &RestorationInfo<'_>,
    impu: &str,
    expires: Duration,
    now: Instant,
    compact: &Compact,
) -> Option<Binding> {
    let path = std::str::from_utf8(info.path).ok()?;
    let call_id = info.call_id.map_or(Some(""), |octets| std::str::from_utf8(octets).ok())?;
    let first_hop = NameAddr::parse(HeaderName::Path, path.split(',').next()?);
    let planned = read_contact(info, |contact| {
        let is_flow = contact.instance().is_some() && first_hop.is_ok_and(|hop| hop.uri.params.has("ob"));
        let flow = contact.reg_id().filter(|_| is_flow);
        let wanted = Wanted { contact, expires, flow };
        let cseq = info.cseq.unwrap_or(0);
        Planned::of(call_id, cseq, impu, [path].into_iter(), &wanted, compact, &mut Vec::new())
    })?;
    Some(Binding::restored(planned, now))
}

fn read_contact<T>(info: &RestorationInfo<'_>, with: impl FnOnce(&Contact<'_>) -> T) -> Option<T> {
    let contact = std::str::from_utf8(info.contact).ok()?;
    let Contacts::List(contacts) = Contacts::parse(std::iter::once(contact)).ok()? else { return None };
    let [contact] = &contacts[..] else { return None };
    Some(with(contact))
}
