//! Subscriptions, packed: a dialog, what it watches, how far it was told.

use crate::scscf::compact::Compact;
use crate::scscf::table::{Id, NONE};
use crate::sip::{HeaderName, header::name_addr::NameAddr};
use crate::time::Instant;
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::fmt::Write;
use std::hash::BuildHasher;

/// One subscription, which is one dialog (RFC 6665 clause 4.1).
pub(super) struct Subscription {
    /// The texts of the dialog, packed, zero octets between; see [`Dialog::pack`].
    texts: Box<[u8]>,
    /// What is watched.
    pub(super) registration: Id,
    /// When it ends unless it is refreshed.
    pub(super) expires_at: Instant,
    /// Of the last SUBSCRIBE.
    pub(super) remote_cseq: u32,
    /// CSeq of the last NOTIFY, in 31 bits as every CSeq, and [`OUTSTANDING`].
    notified: u32,
}

/// The texts of a dialog, as the notifier sees it.
#[derive(Debug)]
pub(super) struct Dialog {
    pub(super) call_id: String,
    pub(super) remote_tag: String,
    /// To of the SUBSCRIBE.
    pub(super) local_uri: String,
    /// From of the SUBSCRIBE.
    pub(super) remote_uri: String,
    /// Contact of the last SUBSCRIBE.
    pub(super) target: String,
    /// As one comma list.
    pub(super) routes: String,
    /// `id` of Event, or nothing.
    pub(super) event_id: String,
}

impl Subscription {
    pub(super) fn new(dialog: &Dialog, registration: Id, expires_at: Instant, cseq: u32, compact: &Compact) -> Self {
        let texts = dialog.pack(compact);
        Self { texts, registration, expires_at, remote_cseq: cseq, notified: 0 }
    }

    /// How many NOTIFYs were sent: version of the next document, CSeq of the last NOTIFY.
    pub(super) const fn sent(&self) -> u32 {
        self.notified & !OUTSTANDING
    }

    /// NOTIFYs of another process count as sent.
    pub(super) const fn continue_from(&mut self, sent: u32) {
        self.notified = sent & !OUTSTANDING;
    }

    /// One more NOTIFY is sent, and waits for its answer.
    pub(super) const fn send(&mut self) {
        self.notified = self.notified.wrapping_add(1) | OUTSTANDING;
    }

    /// The last NOTIFY was answered.
    pub(super) const fn answered(&mut self) {
        self.notified &= !OUTSTANDING;
    }

    /// A NOTIFY waits for its answer.
    pub(super) const fn is_outstanding(&self) -> bool {
        self.notified & OUTSTANDING != 0
    }

    /// The dialog, unpacked.
    pub(super) fn dialog(&self, compact: &Compact) -> Dialog {
        let mut texts = self.texts.split(|b| *b == 0);
        let mut next = || texts.next().unwrap_or_default();
        let (call_id, remote_tag, local_uri) = (compact.text(next()), compact.text(next()), compact.text(next()));
        let likewise = |packed: &[u8]| {
            let (shared, rest) =
                packed.split_first().map_or((0, packed), |(code, rest)| (usize::from(*code).saturating_sub(1), rest));
            local_uri.get(..shared).unwrap_or_default().to_owned() + &compact.text(rest)
        };
        let (remote_uri, target) = (likewise(next()), likewise(next()));
        let (routes, event_id) = (compact.text(next()), compact.text(next()));
        Dialog { call_id, remote_tag, local_uri, remote_uri, target, routes, event_id }
    }

    /// The other side has another address now.
    pub(super) fn set_target(&mut self, target: &str, compact: &Compact) {
        let dialog = self.dialog(compact);
        if dialog.target != target {
            self.texts = Dialog { target: target.to_owned(), ..dialog }.pack(compact);
        }
    }

    /// True for a request of this dialog.
    pub(super) fn is_of(&self, call_id: &str, remote_tag: &str, compact: &Compact) -> bool {
        let mut texts = self.texts.split(|b| *b == 0);
        texts.next().is_some_and(|own| compact.is(own, call_id))
            && texts.next().is_some_and(|own| compact.is(own, remote_tag))
    }
}

impl Dialog {
    /// What a UE writes about itself begins as its identity does: of the URI of the watcher and of its target only what
    /// differs is kept, behind an octet that says how much does not.
    fn pack(&self, compact: &Compact) -> Box<[u8]> {
        let Self { call_id, remote_tag, local_uri, remote_uri, target, routes, event_id } = self;
        let mut texts = Vec::with_capacity(256);
        for text in [call_id, remote_tag, local_uri] {
            compact.pack(text, &mut texts);
            texts.push(0);
        }
        for text in [remote_uri, target] {
            let shared = shared(text, local_uri);
            texts.push(shared + 1);
            compact.pack(&text[usize::from(shared)..], &mut texts);
            texts.push(0);
        }
        compact.pack(routes, &mut texts);
        texts.push(0);
        compact.pack(event_id, &mut texts);
        // A copy of the final size: to cut the buffer down would leave holes in memory.
        texts.as_slice().into()
    }

    /// Where a request goes first: the topmost route, else the target.
    pub(super) fn next_hop(&self) -> &str {
        let first = NameAddr::take(HeaderName::Route, &self.routes, |_, _| ());
        match first {
            Ok((route, _)) if !self.routes.is_empty() => route.uri.text,
            _ => &self.target,
        }
    }
}

/// The last NOTIFY waits for its answer.
const OUTSTANDING: u32 = 1 << 31;

/// How many octets both texts begin with, as far as one octet can say.
fn shared(text: &str, other: &str) -> u8 {
    let alike = text.bytes().zip(other.bytes()).zip(0..u8::MAX - 1).take_while(|((a, b), _)| a == b).count();
    let at = (0..=alike).rfind(|at| text.is_char_boundary(*at)).unwrap_or_default();
    u8::try_from(at).expect("no more than were counted")
}

/// All subscriptions. Those of one registration form a list whose head the registration holds.
#[derive(Debug)]
pub(super) struct Subscriptions {
    slots: Vec<Slot>,
    /// First unused slot.
    free: u32,
    used: usize,
    hasher: FixedState,
    /// Tags that another process of ours gave; few, and mostly none.
    kept_tags: HashMap<Id, Box<str>, FixedState>,
    by_kept_tag: HashMap<Box<str>, Id, FixedState>,
}

struct Slot {
    generation: u32,
    /// The next of the same registration, or the next unused one; [`NONE`] ends a list.
    next: u32,
    value: Option<Subscription>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("is_used", &self.value.is_some()).finish_non_exhaustive()
    }
}

impl Subscriptions {
    pub(super) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            slots: Vec::new(),
            free: NONE,
            used: 0,
            kept_tags: HashMap::with_hasher(hasher.clone()),
            by_kept_tag: HashMap::with_hasher(hasher.clone()),
            hasher,
        }
    }

    /// Puts `subscription` in front of the list that begins with `head`; its index is the new head.
    pub(super) fn insert(&mut self, head: u32, subscription: Subscription) -> Id {
        self.used += 1;
        let index = match self.slots.get_mut(self.free as usize) {
            Some(slot) => {
                let index = self.free;
                self.free = slot.next;
                slot.next = head;
                slot.value = Some(subscription);
                index
            }
            None => {
                let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 - 1 values fit in memory");
                self.slots.push(Slot { generation: 0, next: head, value: Some(subscription) });
                index
            }
        };
        self.id(index)
    }

    /// The subscriptions of the list that begins with `head`, the newest first.
    pub(super) fn list(&self, head: u32) -> impl Iterator<Item = Id> {
        let mut at = head;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            let id = self.id(at);
            at = slot.next;
            Some(id)
        })
    }

    pub(super) fn get(&self, id: Id) -> Option<&Subscription> {
        self.slots.get(id.index() as usize).filter(|s| s.generation == id.generation())?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Subscription> {
        self.slots.get_mut(id.index() as usize).filter(|s| s.generation == id.generation())?.value.as_mut()
    }

    /// Takes it out of the list that begins with `head`. Returns the new head.
    pub(super) fn unlink(&mut self, head: u32, id: Id) -> u32 {
        let Some(next) = self.slots.get(id.index() as usize).map(|s| s.next) else { return head };
        if head == id.index() {
            return next;
        }
        let mut at = head;
        while let Some(slot) = self.slots.get_mut(at as usize) {
            if slot.next == id.index() {
                slot.next = next;
                break;
            }
            at = slot.next;
        }
        head
    }

    /// Forgets one that is in no list any more.
    pub(super) fn remove(&mut self, id: Id) -> Option<Subscription> {
        let slot = self.slots.get_mut(id.index() as usize).filter(|s| s.generation == id.generation())?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        slot.next = self.free;
        self.free = id.index();
        self.used -= 1;
        if let Some(tag) = self.kept_tags.remove(&id) {
            self.by_kept_tag.remove(&tag);
        }
        Some(value)
    }

    pub(super) const fn len(&self) -> usize {
        self.used
    }

    /// The local tag of a dialog: it leads back to the subscription without being stored, and nobody can make one up.
    pub(super) fn tag(&self, id: Id) -> String {
        if let Some(kept) = self.kept_tags.get(&id) {
            return kept.to_string();
        }
        let mut tag = String::with_capacity(24);
        write!(tag, "{:08x}{:x}", self.check(id), id.to_bits()).expect("a String takes every write");
        tag
    }

    /// The subscription with this local tag.
    pub(super) fn by_tag(&self, tag: &str) -> Option<Id> {
        if let Some(kept) = self.by_kept_tag.get(tag) {
            return Some(*kept);
        }
        let (check, id) = tag.split_at_checked(8)?;
        let id = Id::from_bits(u64::from_str_radix(id, 16).ok()?);
        let is_ours = u32::from_str_radix(check, 16).is_ok_and(|check| check == self.check(id));
        Some(id).filter(|id| is_ours && self.get(*id).is_some())
    }

    /// The dialog has a local tag from elsewhere.
    pub(super) fn keep_tag(&mut self, id: Id, tag: &str) {
        self.kept_tags.insert(id, tag.into());
        self.by_kept_tag.insert(tag.into(), id);
    }

    fn check(&self, id: Id) -> u32 {
        (self.hasher.hash_one(id) >> 32) as u32
    }

    fn id(&self, index: u32) -> Id {
        Id::new(index, self.slots[index as usize].generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialog() -> Dialog {
        Dialog {
            call_id: "yQFjFiHYzbfiJeASucHAGQ@192.168.101.5".into(),
            remote_tag: "6197e96a".into(),
            local_uri: "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org".into(),
            remote_uri: "sip:+99912345@ims.mnc001.mcc001.3gppnetwork.org".into(),
            target: "sip:001010000000001@192.168.101.5:31001".into(),
            routes: "<sip:abcdefghij@pcscf.ims.mnc001.mcc001.3gppnetwork.org:6100;lr>".into(),
            event_id: String::new(),
        }
    }

    #[test]
    fn the_subscription_of_a_phone_takes_few_octets() {
        let compact = Compact::new("ims.mnc001.mcc001.3gppnetwork.org");
        let owner = Id::new(1, 2);
        let subscription = Subscription::new(&dialog(), owner, Instant::from_secs(5), 1, &compact);
        // Issue 4: with a reg subscription a subscriber takes 200 octets more. The rest is for the allocator.
        let octets = subscription.texts.len() + size_of::<Slot>();
        assert!(octets <= 170, "{octets}");
        let back = subscription.dialog(&compact);
        assert_eq!(format!("{back:?}"), format!("{:?}", dialog()));
        assert_eq!(back.next_hop(), "sip:abcdefghij@pcscf.ims.mnc001.mcc001.3gppnetwork.org:6100;lr");
        assert!(subscription.is_of("yQFjFiHYzbfiJeASucHAGQ@192.168.101.5", "6197e96a", &compact));
        assert!(!subscription.is_of("yQFjFiHYzbfiJeASucHAGQ@192.168.101.5", "6197e96b", &compact));
    }

    #[test]
    fn notifys_are_counted_while_they_wait() {
        let compact = Compact::new("x");
        let mut subscription = Subscription::new(&dialog(), Id::new(1, 2), Instant::ZERO, 1, &compact);
        assert_eq!((subscription.sent(), subscription.is_outstanding()), (0, false));
        for sent in 1..4 {
            subscription.send();
            assert_eq!((subscription.sent(), subscription.is_outstanding()), (sent, true));
            subscription.answered();
            assert_eq!((subscription.sent(), subscription.is_outstanding()), (sent, false));
        }
        subscription.continue_from(u32::MAX);
        assert_eq!((subscription.sent(), subscription.is_outstanding()), (u32::MAX >> 1, false));
    }

    #[test]
    fn whatever_a_watcher_calls_itself_comes_back() {
        let compact = Compact::new("home.example");
        let long = format!("sip:{}@home.example", "a".repeat(300));
        for local in ["sip:é@home.example", "", &long] {
            for other in ["sip:è@home.example;gr", "sip:é@home.example", "tel:+1", "", &long] {
                let dialog =
                    Dialog { local_uri: local.into(), remote_uri: other.into(), target: other.into(), ..dialog() };
                let mut subscription = Subscription::new(&dialog, Id::new(1, 2), Instant::ZERO, 1, &compact);
                assert_eq!(format!("{:?}", subscription.dialog(&compact)), format!("{dialog:?}"));
                subscription.set_target("sip:é@x", &compact);
                assert_eq!(subscription.dialog(&compact).target, "sip:é@x");
            }
        }
    }

    #[test]
    fn lists_and_tags() {
        let compact = Compact::new("x");
        let mut all = Subscriptions::new(7);
        let new = || Subscription::new(&dialog(), Id::new(0, 0), Instant::ZERO, 1, &compact);
        let mut head = NONE;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let id = all.insert(head, new());
            head = id.index();
            ids.push(id);
        }
        assert_eq!(all.list(head).collect::<Vec<_>>(), [ids[2], ids[1], ids[0]]);
        let tags: Vec<String> = ids.iter().map(|id| all.tag(*id)).collect();
        assert_eq!(all.by_tag(&tags[1]), Some(ids[1]));
        assert_eq!(all.by_tag(&format!("{}{}", &tags[0][..8], &tags[1][8..])), None, "a tag that was made up");
        head = all.unlink(head, ids[1]);
        all.remove(ids[1]);
        assert_eq!((all.list(head).collect::<Vec<_>>(), all.len()), (vec![ids[2], ids[0]], 2));
        assert_eq!(all.by_tag(&tags[1]), None);
        head = all.unlink(head, ids[2]);
        all.remove(ids[2]);
        let again = all.insert(head, new());
        assert_ne!(again, ids[2], "a slot that is used again has another id");
        assert_eq!(all.list(again.index()).collect::<Vec<_>>(), [again, ids[0]]);
    }
}
