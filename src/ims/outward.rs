//! What leaves an [`Ims`](super::Ims), for its driver.

use crate::packet::{Effect, Outbox, Protocol, Route, Transport};

/// Which element of an [`Ims`](super::Ims); by default the first.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Debug)]
pub struct ElementId(pub(super) usize);

/// What leaves an [`Ims`](super::Ims): effects for the driver in order, each with the element that wants it. Two elements at one
/// address have connections of their own, so a driver keeps the owner of each connection that it opens.
#[derive(Debug, Default)]
pub struct Outward {
    effects: Outbox,
    owners: Vec<ElementId>,
}

impl Outward {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// True when nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Effects with their elements, drained, and the bytes they refer to. Call [`Outward::clear`] afterwards.
    pub fn drain(&mut self) -> (impl Iterator<Item = (ElementId, Effect)> + '_, &[u8]) {
        let (effects, bytes) = self.effects.drain();
        (self.owners.drain(..).zip(effects), &*bytes)
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.effects.clear();
        self.owners.clear();
    }

    /// Adds an effect of another box, whose `bytes` it refers to.
    pub fn append(&mut self, owner: ElementId, effect: Effect, bytes: &[u8]) {
        match effect {
            Effect::Transmit { from, to, transport, protocol, sa, range } => {
                self.transmit(owner.0, Route { from, to, transport, protocol, sa }, &bytes[range]);
            }
            Effect::TransmitPart { from, to, sa, range } => {
                let (transport, protocol) = (Transport::Udp, Protocol::Sip);
                self.transmit_part(owner.0, &Route { from, to, transport, protocol, sa }, &bytes[range]);
            }
            Effect::Record { key, value } => self.record(owner.0, &bytes[key], &bytes[value]),
            other => self.push(owner.0, other),
        }
    }

    pub(super) fn push(&mut self, owner: usize, effect: Effect) {
        self.owners.push(ElementId(owner));
        self.effects.push(effect);
    }

    pub(super) fn record(&mut self, owner: usize, key: &[u8], value: &[u8]) {
        self.owners.push(ElementId(owner));
        self.effects.record(key, |b| b.extend_from_slice(value));
    }

    pub(super) fn transmit_part(&mut self, owner: usize, route: &Route, bytes: &[u8]) {
        self.owners.push(ElementId(owner));
        self.effects.transmit_part(route, bytes);
    }

    pub(super) fn transmit(&mut self, owner: usize, route: Route, bytes: &[u8]) {
        self.owners.push(ElementId(owner));
        self.effects.transmit(route, |b| b.extend_from_slice(bytes));
    }
}
