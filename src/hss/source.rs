//! One entry of the store, and what names a subscriber within it.

use super::range::Range;
use super::store::{AuthVectors, ChargingAddresses, RecordedVector, Subscriber};
use crate::aka::vector::SubscriberKeys;
use crate::cx::user_data::{IdentityType, ImsSubscription, ServiceProfile};
use std::borrow::Cow;

/// One subscriber of the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Member {
    /// Counts all subscribers, those of ranges included.
    pub(super) id: u64,
    pub(super) source: u32,
    /// Which of its range, from zero.
    pub(super) n: u64,
}

/// Where an identity stands: index of the service profile, index within it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    profile: u16,
    identity: u16,
}

/// Where the vectors of one subscriber come from.
pub(super) enum Auth<'a> {
    Algorithm(Cow<'a, SubscriberKeys>),
    Recorded(&'a [RecordedVector]),
    /// There are none: he is authenticated otherwise.
    None,
}

/// One entry of the subscriber file: a subscriber, or a range with its first.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) first_id: u64,
    pub(super) document: ImsSubscription,
    pub(super) auth: AuthVectors,
    pub(super) amf: [u8; 2],
    pub(super) sqn: u64,
    pub(super) capabilities: Option<(Vec<u32>, Vec<u32>)>,
    pub(super) visited_networks: Option<Vec<Box<str>>>,
    pub(super) charging: ChargingAddresses,
    pub(super) range: Option<Box<Range>>,
}

impl Source {
    pub(super) fn new(first_id: u64, subscriber: Subscriber) -> Self {
        let Subscriber { impi, profiles, auth, amf, sqn, capabilities, visited_networks, charging } = subscriber;
        let document = ImsSubscription { private_id: impi.to_string(), profiles };
        Self { first_id, document, auth, amf, sqn, capabilities, visited_networks, charging, range: None }
    }

    pub(super) fn impi(&self) -> &str {
        &self.document.private_id
    }

    /// All public identities in order.
    pub(super) fn impus(&self) -> impl Iterator<Item = (&str, Place)> {
        self.document.profiles.iter().zip(0..).flat_map(|(profile, p)| {
            let place = move |identity| Place { profile: p, identity };
            profile.identities.iter().zip(0..).map(move |(impu, i)| (impu.identity.as_str(), place(i)))
        })
    }

    /// The one at `place`.
    pub(super) fn impu(&self, place: Place) -> &str {
        &self.profile(place).identities[usize::from(place.identity)].identity
    }

    pub(super) fn profile(&self, place: Place) -> &ServiceProfile {
        &self.document.profiles[usize::from(place.profile)]
    }

    pub(super) fn kind(&self, place: Place) -> IdentityType {
        self.profile(place).identities[usize::from(place.identity)].kind
    }

    pub(super) fn is_barred(&self, place: Place) -> bool {
        self.profile(place).identities[usize::from(place.identity)].barred
    }

    /// True when nothing of the implicit registration set may be used.
    pub(super) fn is_wholly_barred(&self) -> bool {
        self.document.profiles.iter().all(|profile| profile.identities.iter().all(|impu| impu.barred))
    }
}
