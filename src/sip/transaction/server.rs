//! Server transactions (RFC 3261 clause 17.2, RFC 4320, RFC 6026).

use super::answered::{Answered, Request};
use super::key::{self, Head, KeyShape};
use super::places::{Place, Places, SIDES};
use super::route::{DEFAULT_PORT, port, response_route};
use super::served::{Reconnect, Server, State, until_t2};
use super::table::{Handle, Members, Slab};
use super::{Incoming, ServerId, Shared, Timer, Timers};
use crate::packet::{Connection, Outbox, Packet, Route, Transport};
use crate::random::Random;
use crate::sip::header::grammar;
use crate::sip::header::via::Via;
use crate::sip::{HeaderName, Message, Method};
use crate::time::{Duration, Instant};
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;

/// All server transactions of one element.
#[derive(Debug)]
pub(super) struct Servers {
    slab: Slab<Server>,
    /// By the hash of the key.
    by_key: Places,
    /// By the hash of Call-ID and CSeq number: merged requests, and what a CANCEL means.
    by_call: Places,
    /// Those that want another connection when theirs is lost.
    on_connections: Members,
    hasher: FixedState,
    /// The key of the request at hand.
    key: Vec<u8>,
    /// Those that requests come from: one or two.
    sides: Vec<Side>,
}

/// What the requests of one side have in common.
#[derive(Debug)]
struct Side {
    timers: Timers,
    /// Requests other than INVITE that were answered over UDP.
    answered: Answered,
}

/// What comes due for a server transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ServerTimer {
    /// A 100 must be sent if there is no other answer.
    Trying,
    /// The client has given up.
    Expiry,
    /// G: repeat the final response to INVITE.
    G,
    /// H: no ACK came.
    H,
    /// I or L, or J of what nobody answered: nothing more to absorb.
    End,
}

impl Servers {
    pub(super) fn new(random: &mut Random) -> Self {
        let hasher = FixedState::with_seed(random.next_u64());
        Self {
            slab: Slab::new(),
            by_key: Places::default(),
            by_call: Places::default(),
            on_connections: Members::new(),
            hasher,
            key: Vec::new(),
            sides: Vec::new(),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a request comes with its line, its packet and its side")]
    pub(super) fn receive<C>(
        &mut self,
        now: Instant,
        timers: Timers,
        packet: &Packet<'_>,
        message: &Message<'_>,
        (method, uri): (Method<'_>, &str),
        out: &mut Outbox,
        shared: &mut Shared,
    ) -> Incoming<C> {
        let top = message.top_via().map(|(via, _)| via);
        let shape = key::write(&mut self.key, message, method, uri, top);
        let key_hash = self.hash(|hasher| hasher.write(&self.key));
        if let Some(place) = self.find(now, key_hash, &self.key) {
            if method != Method::Ack {
                self.repeat(now, place, out);
            } else if let Some(handle) = self.open(place) {
                if self.slab.get(handle).is_some_and(|server| server.state == State::Accepted) {
                    return Incoming::Ack;
                }
                self.acknowledge(now, handle, message, shared);
            }
            return Incoming::Absorbed;
        }
        if method == Method::Ack {
            return Incoming::Ack;
        }
        // Whether the two are well-formed is judged by who serves the request.
        let number = |cseq: &str| grammar::leading_number(cseq.as_bytes()).filter(|&(_, length)| length > 0);
        let call = message.header(HeaderName::CallId).zip(message.header(HeaderName::CSeq).and_then(number));
        let call_hash = call.map(|(call_id, (number, _))| {
            let hash = self.hash(|hasher| {
                hasher.write(call_id.as_bytes());
                hasher.write_u64(number);
            });
            hash.max(NO_CALL + 1)
        });
        let relative = call_hash.and_then(|hash| self.of_call(now, hash));
        let is_cancel = method == Method::Cancel;
        let related = relative.filter(|place| {
            self.head(now, *place).is_some_and(|other| {
                if is_cancel { other.is_cancelled_by(&self.key, shape) } else { other.is_merged_with(message, method) }
            })
        });
        let (buffer, message_start) = self.keep_request(method, packet, message, shared);
        let key_length = length(self.key.len());
        let side = self.side(timers);
        let handle = self.slab.insert(|_| Server {
            state: State::Trying,
            is_invite: method == Method::Invite,
            is_reliable: packet.transport.is_reliable(),
            side,
            since: now,
            source: packet.from,
            route: response_route(packet, top),
            reconnect: None,
            key_hash,
            call_hash: call_hash.filter(|_| !is_cancel).unwrap_or(NO_CALL),
            shape,
            buffer,
            key_length,
            message_start,
        });
        self.index(handle, relative.is_some(), packet, top);
        self.start_timers(now, handle, shared);
        let server = ServerId::from(handle);
        let related = if is_cancel { self.find_invite(now, shape).or(related) } else { related };
        match related {
            _ if is_cancel => Incoming::Cancel { server, cancelled: related.map(|place| self.id(place)) },
            Some(_) => Incoming::Merged(server),
            None => Incoming::Request(server),
        }
    }

    pub(super) fn source(&self, server: ServerId) -> Option<SocketAddr> {
        self.slab.get(server.into()).map(|server| server.source)
    }

    pub(super) fn route(&self, server: ServerId) -> Option<Route> {
        self.slab.get(server.into()).map(|server| server.route)
    }

    pub(super) fn set_route(&mut self, server: ServerId, route: Route) {
        let Some(found) = self.slab.get_mut(server.into()) else { return };
        found.route = route;
        if let Some(reconnect) = found.reconnect.take() {
            self.leave(reconnect.place);
        }
    }

    /// `keeps`: the answer to a request other than INVITE is kept for its copies.
    #[expect(clippy::too_many_arguments, reason = "each is decided by the caller, and none belongs to another")]
    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        status: u16,
        out: &mut Outbox,
        shared: &mut Shared,
        keeps: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let handle = server.into();
        let Some(server) = self.slab.get_mut(handle) else { return };
        if server.state == State::Accepted && status / 100 == 2 {
            out.transmit(server.route, write);
            return;
        }
        let timers = self.sides[usize::from(server.side)].timers;
        if !server.is_open() || (status < 200 && !server.may_be_provisional(now, status, timers)) {
            return;
        }
        if status == 408 && !server.is_invite {
            return self.abandon(now, handle.into(), shared);
        }
        let bytes = out.transmit(server.route, write);
        if !server.is_invite && status >= 200 {
            if server.is_reliable || !keeps {
                self.remove(handle, shared);
            } else {
                self.keep_answer(now, handle, bytes, shared);
            }
            return;
        }
        server.keep(bytes);
        let Timers { t1, .. } = timers;
        match status {
            ..200 => server.state = State::Proceeding,
            200..300 => {
                server.state = State::Accepted;
                server.buffer.truncate(server.message_start as usize);
                shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::End));
            }
            _ => {
                server.state = State::Completed(t1);
                if !server.is_reliable {
                    shared.timeouts.after(now, t1, Timer::Server(handle, ServerTimer::G));
                }
                shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::H));
            }
        }
    }

    pub(super) fn abandon(&mut self, now: Instant, server: ServerId, shared: &mut Shared) {
        let handle = server.into();
        let Some(server) = self.slab.get_mut(handle).filter(|server| server.is_open()) else { return };
        if server.is_reliable {
            self.remove(handle, shared);
        } else {
            server.state = State::Abandoned;
            let t1 = self.sides[usize::from(server.side)].timers.t1;
            shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::End));
        }
    }

    /// Copies of its request are new requests.
    pub(super) fn forget_unanswered(&mut self, server: ServerId, shared: &mut Shared) {
        if self.slab.get(server.into()).is_some_and(Server::is_open) {
            self.remove(server.into(), shared);
        }
    }

    /// RFC 3261 clause 18.2.2: the answer then goes over a new connection to the port in sent-by.
    pub(super) fn connection_lost(&mut self, connection: &Connection) {
        for index in self.on_connections.as_slice() {
            let Some((_, server)) = self.slab.current_mut(*index) else { continue };
            if let Some(reconnect) = server.reconnect
                && (server.route.from, server.route.to) == (connection.local, connection.remote)
            {
                server.route.from.set_port(0);
                server.route.to = SocketAddr::new(server.source.ip(), reconnect.port);
            }
        }
    }

    pub(super) fn handle_timer(
        &mut self,
        now: Instant,
        handle: Handle,
        timer: ServerTimer,
        out: &mut Outbox,
        shared: &mut Shared,
    ) {
        let Some(server) = self.slab.get_mut(handle) else { return };
        let timers = self.sides[usize::from(server.side)].timers;
        match timer {
            ServerTimer::Trying => {
                // Ringing takes as long as its owner lets it.
                if server.is_open() && !server.is_invite {
                    let left = (server.since + 64 * timers.t1).saturating_since(now);
                    shared.timeouts.after(now, left, Timer::Server(handle, ServerTimer::Expiry));
                }
                if server.state == State::Trying {
                    server.send_trying(out);
                }
            }
            ServerTimer::Expiry if server.is_open() => self.remove(handle, shared),
            ServerTimer::G => {
                if let State::Completed(interval) = server.state {
                    server.repeat(out);
                    let interval = (interval * 2).min(timers.t2);
                    server.state = State::Completed(interval);
                    shared.timeouts.after(now, interval, Timer::Server(handle, ServerTimer::G));
                }
            }
            ServerTimer::H if matches!(server.state, State::Completed(_)) => self.remove(handle, shared),
            ServerTimer::End => self.remove(handle, shared),
            ServerTimer::Expiry | ServerTimer::H => {}
        }
    }

    /// J of requests that this side has answered.
    pub(super) fn end_answered(&mut self, now: Instant, side: u8, shared: &mut Shared) {
        let Side { timers, answered } = &mut self.sides[usize::from(side)];
        if let Some(next) = answered.leave(now, PAUSE * timers.t1) {
            shared.timeouts.at(next, Timer::Answered(side));
        }
        self.clear_places();
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len() + self.sides.iter().map(|side| side.answered.len()).sum::<usize>()
    }

    /// True for a timer without effect from now on.
    pub(super) fn is_stale(&self, handle: Handle, timer: ServerTimer) -> bool {
        self.slab.get(handle).is_none_or(|server| timer == ServerTimer::Trying && !server.is_open())
    }

    fn side(&mut self, timers: Timers) -> u8 {
        let at = self.sides.iter().position(|side| side.timers == timers).unwrap_or_else(|| {
            self.sides.push(Side { timers, answered: Answered::default() });
            self.sides.len() - 1
        });
        u8::try_from(at).ok().filter(|side| *side < SIDES).expect("an element has one or two sides")
    }

    fn hash(&self, write: impl FnOnce(&mut <FixedState as BuildHasher>::Hasher)) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        write(&mut hasher);
        hasher.finish()
    }

    /// The transaction with this key.
    fn find(&self, now: Instant, hash: u64, key: &[u8]) -> Option<Place> {
        self.by_key.find(hash, |place| self.head(now, place).is_some_and(|head| head.key == key))
    }

    /// The INVITE that the CANCEL at hand names. Copies of one INVITE that came on several ways share all but this.
    fn find_invite(&self, now: Instant, shape: KeyShape) -> Option<Place> {
        let mut key = self.key[..shape.identity as usize].to_vec();
        key::push_method(&mut key, Method::Invite);
        self.find(now, self.hash(|hasher| hasher.write(&key)), &key)
    }

    /// The eldest with this hash of Call-ID and CSeq number.
    fn of_call(&self, now: Instant, hash: u64) -> Option<Place> {
        self.by_call.find(hash, |place| match place {
            Place::Slot(index) => self.slab.current(index).is_some_and(|(_, server)| server.call_hash == hash),
            Place::Answered { .. } => self.answered(now, place).is_some_and(|(request, _)| request.call_hash == hash),
        })
    }

    /// What is kept of the request that is there.
    fn head(&self, now: Instant, place: Place) -> Option<Head<'_>> {
        match place {
            Place::Slot(index) => self.slab.current(index).map(|(_, server)| server.head()),
            Place::Answered { .. } => self.answered(now, place).map(|(request, _)| request.head),
        }
    }

    fn answered(&self, now: Instant, place: Place) -> Option<(Request<'_>, &[u8])> {
        match place {
            Place::Slot(_) => None,
            Place::Answered { side, serial } => self.sides.get(usize::from(side))?.answered.get(now, serial),
        }
    }

    /// The transaction that is there, unless it is among the answered ones.
    fn open(&self, place: Place) -> Option<Handle> {
        match place {
            Place::Slot(index) => self.slab.current(index).map(|(handle, _)| handle),
            Place::Answered { .. } => None,
        }
    }

    /// Of one that was answered nothing is left to do: its id is out of date.
    fn id(&self, place: Place) -> ServerId {
        self.open(place).map_or(ServerId { index: u32::MAX, generation: 0 }, ServerId::from)
    }

    /// Answers a copy of the request that is there, where there is an answer.
    fn repeat(&self, now: Instant, place: Place, out: &mut Outbox) {
        match self.answered(now, place) {
            Some((request, answer)) => {
                out.transmit(request.route, |bytes| bytes.extend_from_slice(answer));
            }
            None => {
                if let Some(server) = self.open(place).and_then(|handle| self.slab.get(handle)) {
                    server.repeat(out);
                }
            }
        }
    }

    /// From now on only copies of the request matter.
    fn keep_answer(&mut self, now: Instant, handle: Handle, answer: &[u8], shared: &mut Shared) {
        let Some(server) = self.slab.get(handle) else { return };
        let Server { route, call_hash, key_hash, side, .. } = *server;
        let Side { timers, answered } = &mut self.sides[usize::from(side)];
        let until = now + 64 * timers.t1;
        if answered.len() == 0 {
            shared.timeouts.at(until, Timer::Answered(side));
        }
        let serial = answered.push(until, &Request { route, call_hash, head: server.head() }, answer);
        let (from, to) = (Place::Slot(handle.index), Place::Answered { side, serial });
        self.by_key.relocate(key_hash, from, to);
        if call_hash != NO_CALL {
            self.by_call.relocate(call_hash, from, to);
        }
        self.vacate(handle, shared);
    }

    /// Key and From value, where they end, and the request too where a 100 may have to be made of it.
    fn keep_request(
        &self,
        method: Method<'_>,
        packet: &Packet<'_>,
        message: &Message<'_>,
        shared: &mut Shared,
    ) -> (Vec<u8>, u32) {
        let mut buffer = shared.buffers.take();
        buffer.extend_from_slice(&self.key);
        buffer.extend_from_slice(message.header(HeaderName::From).unwrap_or_default().as_bytes());
        let message_start = length(buffer.len());
        if method == Method::Invite || !packet.transport.is_reliable() {
            buffer.extend_from_slice(message.bytes());
        }
        (buffer, message_start)
    }

    fn index(&mut self, handle: Handle, has_elder: bool, packet: &Packet<'_>, top: Option<&Via<'_>>) {
        let Self { slab, by_key, by_call, sides, .. } = self;
        let server = slab.get_mut(handle).expect("the caller has just inserted it");
        let holds = |place| match place {
            Place::Slot(_) => true,
            Place::Answered { side, serial } => sides[usize::from(side)].answered.holds(serial),
        };
        by_key.insert(server.key_hash, Place::Slot(handle.index), holds);
        if server.call_hash != NO_CALL && !has_elder {
            by_call.insert(server.call_hash, Place::Slot(handle.index), holds);
        }
        // Who is behind another TLS connection nobody has proved: an answer has the one of its request, or none.
        if packet.transport == Transport::Tcp {
            let place = self.on_connections.join(handle.index);
            server.reconnect = Some(Reconnect { port: top.map_or(DEFAULT_PORT, port), place });
        }
    }

    fn start_timers(&self, now: Instant, handle: Handle, shared: &mut Shared) {
        let server = self.slab.get(handle).expect("the caller has just inserted it");
        let timers = self.sides[usize::from(server.side)].timers;
        let (after, timer) = match server {
            Server { is_invite: true, .. } => (INVITE_TRYING, ServerTimer::Trying),
            Server { is_reliable: false, .. } => (until_t2(timers), ServerTimer::Trying),
            _ => (64 * timers.t1, ServerTimer::Expiry),
        };
        shared.timeouts.after(now, after, Timer::Server(handle, timer));
    }

    fn acknowledge(&mut self, now: Instant, handle: Handle, ack: &Message<'_>, shared: &mut Shared) {
        let Some(server) = self.slab.get_mut(handle) else { return };
        if !matches!(server.state, State::Completed(_)) || !(server.shape.cookie || server.answered_with_tag_of(ack)) {
            return;
        }
        if server.is_reliable {
            self.remove(handle, shared);
        } else {
            server.state = State::Confirmed;
            let t4 = self.sides[usize::from(server.side)].timers.t4;
            shared.timeouts.after(now, t4, Timer::Server(handle, ServerTimer::End));
        }
    }

    fn remove(&mut self, handle: Handle, shared: &mut Shared) {
        let Some(server) = self.slab.get(handle) else { return };
        let place = Place::Slot(handle.index);
        self.by_key.remove(server.key_hash, place);
        if server.call_hash != NO_CALL {
            self.by_call.remove(server.call_hash, place);
        }
        self.vacate(handle, shared);
        self.clear_places();
    }

    /// The slot goes to the next request.
    fn vacate(&mut self, handle: Handle, shared: &mut Shared) {
        let Some(server) = self.slab.get_mut(handle) else { return };
        shared.buffers.give(std::mem::take(&mut server.buffer));
        let reconnect = server.reconnect;
        self.slab.free(handle);
        if let Some(reconnect) = reconnect {
            self.leave(reconnect.place);
        }
    }

    fn clear_places(&mut self) {
        if self.len() == 0 {
            self.by_key.clear();
            self.by_call.clear();
        }
    }

    fn leave(&mut self, place: u32) {
        if let Some(moved) = self.on_connections.leave(place)
            && let Some((_, server)) = self.slab.current_mut(moved)
            && let Some(reconnect) = &mut server.reconnect
        {
            reconnect.place = place;
        }
    }
}

/// A length within one message.
fn length(octets: usize) -> u32 {
    u32::try_from(octets).expect("a message is shorter than 2^32 octets")
}

/// No hash of Call-ID and CSeq number.
const NO_CALL: u64 = 0;
/// In T1: how long those whose timer J has run may wait for each other before they leave the memory.
const PAUSE: u32 = 2;
/// RFC 3261 clause 17.2.1.
const INVITE_TRYING: Duration = Duration::from_millis(200);
