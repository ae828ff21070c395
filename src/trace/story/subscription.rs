//! Subscriptions to the registration event package (RFC 3680, TS 24.229 clause 5.1.1.3), and what they were told.

use super::journey::Journey;
use super::message::{Message, Parsed};
use super::registration::Registration;
use crate::event::Role;
use crate::reginfo::{Fault, Reginfo};
use crate::sip::header::event::{Event, SubscriptionState};
use crate::sip::{self, HeaderName, Method};
use std::collections::HashMap;
use std::fmt;

/// One dialog of a watcher: SUBSCRIBEs and NOTIFYs with one Call-ID.
#[derive(Clone, Copy)]
pub struct Subscription<'r> {
    pub(super) of: &'r Registration<'r>,
    pub(super) index: usize,
}

impl<'r> Subscription<'r> {
    /// The SUBSCRIBEs: the first, refreshes, and the one that ends it.
    pub fn subscribes(self) -> impl Iterator<Item = Journey<'r>> {
        self.journeys(Method::Subscribe)
    }

    /// The NOTIFYs.
    pub fn notifies(self) -> impl Iterator<Item = Journey<'r>> {
        self.journeys(Method::Notify)
    }

    /// Who watches: UE, P-CSCF or application server.
    pub fn watcher(self) -> Option<Role> {
        let subscribed = self.subscribes().find_map(|journey| journey.first().client());
        subscribed.or_else(|| self.notifies().filter_map(|journey| journey.hops().last()).find_map(|hop| hop.server()))
    }

    /// Its Call-ID.
    pub fn call_id(self) -> &'r str {
        &self.of.subscriptions[self.index].call_id
    }

    fn journeys(self, method: Method<'static>) -> impl Iterator<Item = Journey<'r>> {
        let data = &self.of.subscriptions[self.index];
        let all = data.journeys.iter().map(move |index| Journey { of: self.of, index: *index });
        all.filter(move |journey| journey.method() == Some(method))
    }
}

impl fmt::Debug for Subscription<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = &self.of.subscriptions[self.index];
        f.debug_list().entries(data.journeys.iter().map(|index| Journey { of: self.of, index: *index })).finish()
    }
}

impl<'r> Message<'r> {
    /// The reginfo document of a NOTIFY; `faults` gets what is wrong with it.
    pub fn reginfo(self, faults: &mut Vec<Fault>) -> Option<Reginfo<'r>> {
        let sip = self.sip().filter(|sip| is_reg(sip))?;
        Reginfo::read(sip.body(), faults)
    }

    /// The document of a NOTIFY of the reg event package, read once; `None` where it has none.
    pub fn document(self) -> Option<&'r Document<'r>> {
        let Documents { read, of_messages } = &self.of.documents;
        let at = of_messages.binary_search_by_key(&self.index, |(message, _)| *message).ok()?;
        Some(&read[of_messages[at].1])
    }

    /// Subscription-State of a NOTIFY.
    pub fn subscription_state(self) -> Option<SubscriptionState<'r>> {
        SubscriptionState::parse(self.sip()?.header(HeaderName::SubscriptionState)?).ok()
    }
}

/// A reginfo document, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Document<'r> {
    /// What it says; `None` where it cannot be read.
    pub reginfo: Option<Reginfo<'r>>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

/// The documents of a registration.
#[derive(Default, Debug)]
pub(super) struct Documents<'a> {
    read: Vec<Document<'a>>,
    /// Messages by their places, each with its document.
    of_messages: Vec<(usize, usize)>,
}

/// Reads the documents of messages. What several hops carry is read once.
pub(super) fn documents<'a>(parsed: &[Parsed<'a>]) -> Documents<'a> {
    let mut all = Documents::default();
    let mut known: HashMap<&'a [u8], usize> = HashMap::new();
    for (index, parsed) in parsed.iter().enumerate() {
        let Some(sip) = parsed.sip().filter(|sip| is_reg(sip) && !sip.body().is_empty()) else { continue };
        let document = *known.entry(sip.body()).or_insert_with(|| {
            let mut faults = Vec::new();
            let reginfo = Reginfo::read(sip.body(), &mut faults);
            all.read.push(Document { reginfo, faults });
            all.read.len() - 1
        });
        all.of_messages.push((index, document));
    }
    all
}

#[derive(Debug)]
pub(super) struct SubscriptionData {
    call_id: String,
    journeys: Vec<usize>,
}

impl SubscriptionData {
    pub(super) fn journeys(&self) -> impl Iterator<Item = usize> {
        self.journeys.iter().copied()
    }
}

/// True for Event: reg.
pub(super) fn is_reg(message: &sip::Message<'_>) -> bool {
    let event = message.header(HeaderName::Event).and_then(|value| Event::parse(value).ok());
    event.is_some_and(|event| event.package.eq_ignore_ascii_case("reg"))
}

/// The subscriptions of `of`, in the order of their first messages.
pub(super) fn all(of: &Registration<'_>) -> Vec<SubscriptionData> {
    let mut all: Vec<SubscriptionData> = Vec::new();
    let mut by_call: HashMap<&str, usize> = HashMap::new();
    for journey in of.journeys() {
        let Some(sip) = journey.first().messages().find_map(Message::sip) else { continue };
        let Ok(call_id) = sip.call_id() else { continue };
        let known = by_call.get(call_id).copied();
        let of_event = matches!(journey.method(), Some(Method::Subscribe | Method::Notify));
        // Answers do not repeat Event.
        if !of_event || !(is_reg(sip) || sip.status().is_some() && known.is_some()) {
            continue;
        }
        let index = known.unwrap_or_else(|| {
            by_call.insert(call_id, all.len());
            all.push(SubscriptionData { call_id: call_id.to_owned(), journeys: Vec::new() });
            all.len() - 1
        });
        all[index].journeys.push(journey.index());
    }
    all
}
