//! Requests of ours that wait for an answer, or for a peer.

use super::PeerId;
use super::identifiers::BASE_MESSAGES;
use crate::diameter::Header;
use crate::time::Instant;
use std::collections::VecDeque;

/// A slab; the hop-by-hop id is the index (20 bits) and the generation (12 bits) of a slot.
#[derive(Debug)]
pub(super) struct Pending<C> {
    slots: Vec<Slot<C>>,
    free: Vec<u32>,
    /// By time: every request waits equally long.
    deadlines: VecDeque<(Instant, u32)>,
    /// Buffers of answered requests, for the next ones.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Slot<C> {
    generation: u32,
    waiting: Option<Waiting<C>>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Waiting<C> {
    /// What the owner wants back.
    pub(super) context: C,
    /// Where it was sent; `None`: it waits for a peer.
    pub(super) link: Option<PeerId>,
    /// The only host that may have it.
    pub(super) host: Option<Box<str>>,
    /// True once it was sent to anybody.
    pub(super) sent: bool,
    command: u32,
    end_to_end: u32,
    /// The whole message, for failover.
    pub(super) message: Vec<u8>,
}

impl<C> Pending<C> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), deadlines: VecDeque::new(), spare: Vec::new() }
    }

    /// The hop-by-hop id that [`Pending::insert`] will use next. `None`: a million requests wait already.
    pub(super) fn next_id(&self) -> Option<u32> {
        match self.free.last() {
            Some(&index) => Some(id(index, self.slots[index as usize].generation)),
            None => u32::try_from(self.slots.len()).ok().filter(|&index| index <= INDEX).map(|index| id(index, 0)),
        }
    }

    /// An empty buffer.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps a request under the id of [`Pending::next_id`].
    pub(super) fn insert(
        &mut self,
        deadline: Instant,
        header: &Header,
        context: C,
        link: Option<PeerId>,
        host: Option<Box<str>>,
        message: Vec<u8>,
    ) {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.slots.push(Slot { generation: 0, waiting: None });
                u32::try_from(self.slots.len() - 1).expect("below the limit of next_id")
            }
        };
        let Header { command, end_to_end, .. } = *header;
        let sent = link.is_some();
        let slot = &mut self.slots[index as usize];
        slot.waiting = Some(Waiting { context, link, host, sent, command, end_to_end, message });
        self.deadlines.push_back((deadline, id(index, slot.generation)));
    }

    /// Takes the request that `answer` belongs to. It may come from a peer that was given up meanwhile.
    pub(super) fn take_answered(&mut self, answer: &Header) -> Option<C> {
        let waiting = self.get(answer.hop_by_hop)?;
        if (waiting.command, waiting.end_to_end) != (answer.command, answer.end_to_end) {
            return None;
        }
        let waiting = self.remove(answer.hop_by_hop)?;
        self.drop_stale_deadlines();
        Some(self.recycle(waiting))
    }

    /// Takes one request that has waited too long.
    pub(super) fn take_expired(&mut self, now: Instant) -> Option<Waiting<C>> {
        loop {
            let (at, id) = *self.deadlines.front()?;
            if at > now {
                return None;
            }
            self.deadlines.pop_front();
            let expired = self.remove(id);
            self.drop_stale_deadlines();
            if expired.is_some() {
                return expired;
            }
        }
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, _)| *at)
    }

    /// The ids of the requests that are at `link`, the oldest first; `None`: that are nowhere.
    pub(super) fn at(&self, link: Option<PeerId>) -> Vec<u32> {
        let ids = self.deadlines.iter().map(|(_, id)| *id);
        ids.filter(|id| self.get(*id).is_some_and(|w| w.link == link)).collect()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Waiting<C>> {
        let slot = self.slots.get((id & INDEX) as usize)?;
        slot.waiting.as_ref().filter(|_| slot.generation == id >> INDEX_BITS)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Waiting<C>> {
        let slot = self.slots.get_mut((id & INDEX) as usize)?;
        let generation = slot.generation;
        slot.waiting.as_mut().filter(|_| generation == id >> INDEX_BITS)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn remove(&mut self, id: u32) -> Option<Waiting<C>> {
        let index = id & INDEX;
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.generation == id >> INDEX_BITS)?;
        let waiting = slot.waiting.take()?;
        slot.generation = (slot.generation + 1) % GENERATIONS;
        self.free.push(index);
        Some(waiting)
    }

    fn recycle(&mut self, mut waiting: Waiting<C>) -> C {
        if self.spare.len() < SPARE_BUFFERS {
            waiting.message.clear();
            self.spare.push(waiting.message);
        }
        waiting.context
    }

    /// Answered requests at the front have no deadline any more.
    fn drop_stale_deadlines(&mut self) {
        while let Some((_, id)) = self.deadlines.front() {
            if self.get(*id).is_some() {
                break;
            }
            self.deadlines.pop_front();
        }
    }
}

const fn id(index: u32, generation: u32) -> u32 {
    generation << INDEX_BITS | index
}

const INDEX_BITS: u32 = 20;
const INDEX: u32 = (1 << INDEX_BITS) - 1;
/// One less than twelve bits hold: the last one marks base messages.
const GENERATIONS: u32 = BASE_MESSAGES >> INDEX_BITS;
const SPARE_BUFFERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(hop_by_hop: u32) -> Header {
        Header {
            request: false,
            proxiable: true,
            error: false,
            retransmitted: false,
            command: 300,
            application: 1,
            hop_by_hop,
            end_to_end: 9,
        }
    }

    #[test]
    fn an_answer_finds_its_request_once_and_no_later_one() {
        let mut p = Pending::new();
        let first = p.next_id().unwrap();
        p.insert(Instant::from_secs(5), &header(first), "a", Some(PeerId(1)), None, vec![1]);
        assert_eq!(p.take_answered(&Header { end_to_end: 8, ..header(first) }), None);
        assert_eq!(p.take_answered(&header(first)), Some("a"));
        assert_eq!(p.next_deadline(), None);
        let second = p.next_id().unwrap();
        assert_ne!(first, second);
        p.insert(Instant::from_secs(6), &header(second), "b", None, None, vec![2]);
        assert_eq!(p.take_answered(&header(first)), None);
        assert_eq!(p.at(None), [second]);
        assert!(p.take_expired(Instant::from_secs(5)).is_none());
        assert_eq!(p.take_expired(Instant::from_secs(6)).map(|w| w.context), Some("b"));
        assert_eq!(p.len(), 0);
    }

    #[test]
    fn generations_never_look_like_base_messages() {
        let mut p = Pending::new();
        for _ in 0..10_000 {
            let id = p.next_id().unwrap();
            assert_ne!(id & BASE_MESSAGES, BASE_MESSAGES);
            p.insert(Instant::ZERO, &header(id), (), None, None, Vec::new());
            assert_eq!(p.take_answered(&header(id)), Some(()));
        }
    }
}
