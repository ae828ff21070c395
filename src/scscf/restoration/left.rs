//! What is left with the HSS, and what becomes of it again.

use crate::cx::{RestorationInfo, ScscfRestorationInfo, SubscriptionInfo};
use crate::diameter::Writer;
use crate::scscf::ScscfConfig;
use crate::scscf::binding::{Binding, Planned, Stated};
use crate::scscf::compact::Compact;
use crate::scscf::contacts::{Replaces, Wanted};
use crate::scscf::notifier::LeftSubscription;
use crate::sip::HeaderName;
use crate::sip::header::contact::Contacts;
use crate::sip::header::name_addr::NameAddr;
use crate::time::{Duration, Instant};

/// SCSCF-Restoration-Info as it will be when a REGISTER is through.
pub(in crate::scscf) struct Left<'a> {
    pub(in crate::scscf) config: &'a ScscfConfig,
    pub(in crate::scscf) compact: &'a Compact,
    pub(in crate::scscf) now: Instant,
    pub(in crate::scscf) impi: &'a str,
    pub(in crate::scscf) call_id: &'a str,
    pub(in crate::scscf) subscriptions: Vec<LeftSubscription>,
}

impl Left<'_> {
    /// The AVP: what `planned` makes of `bindings`.
    pub(in crate::scscf) fn write(&self, wanted: &[Wanted<'_>], planned: &[Planned], bindings: &[Binding]) -> Vec<u8> {
        let Self { config, compact, now, impi, call_id, ref subscriptions } = *self;
        let replaces = Replaces::of(planned, config.digest.parallel_contacts, compact);
        let stays = |b: &&Binding| !replaces.takes(b, compact) && !planned.iter().any(|p| p.is_of(b, compact));
        let bound = || planned.iter().filter(|p| !p.expires.is_zero());
        let stated: Vec<(Stated, bool)> = bindings
            .iter()
            .filter(stays)
            .map(|b| (b.stated(compact), false))
            .chain(bound().map(|p| (p.stated(compact), true)))
            .collect();
        let infos = stated.iter().map(|(stated, is_new)| RestorationInfo {
            path: stated.path.as_bytes(),
            contact: stated.contact.as_bytes(),
            cseq: Some(stated.cseq),
            // Of the others only a hash is kept.
            call_id: is_new.then_some(call_id.as_bytes()),
            subscription: of(subscriptions, |watcher| stated.contact.starts_with(watcher.contact())),
            pcscf_subscription: of(subscriptions, |watcher| is_first_of(&stated.path, watcher.contact())),
        });
        let bindings_info: Vec<_> = infos.collect();
        if bindings_info.is_empty() {
            return Vec::new();
        }
        let longest = wanted.iter().map(|w| now + w.expires).chain(bindings.iter().filter(stays).map(|b| b.expires_at));
        let info = ScscfRestorationInfo {
            impi,
            bindings: bindings_info,
            ends_at: longest.max().map(|at| config.diameter.epoch.unix_secs(at)),
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

/// A binding of the HSS as one of ours; `None`: it cannot be read.
pub(super) fn read(
    info: &RestorationInfo<'_>,
    impu: &str,
    expires: Duration,
    now: Instant,
    compact: &Compact,
) -> Option<Binding> {
    let text = |octets| std::str::from_utf8(octets).ok();
    let (path, contact) = (text(info.path)?, text(info.contact)?);
    let Contacts::List(contacts) = Contacts::parse(std::iter::once(contact)).ok()? else { return None };
    let [contact] = &contacts[..] else { return None };
    let call_id = info.call_id.map_or(Some(""), text)?;
    let first_hop = NameAddr::parse(HeaderName::Path, path.split(',').next()?);
    let is_flow = contact.instance().is_some() && first_hop.is_ok_and(|hop| hop.uri.params.has("ob"));
    let flow = contact.reg_id().filter(|_| is_flow);
    let wanted = Wanted { contact, expires, flow };
    let planned =
        Planned::of(call_id, info.cseq.unwrap_or(0), impu, [path].into_iter(), &wanted, compact, &mut Vec::new());
    Some(Binding::new(planned, now))
}
