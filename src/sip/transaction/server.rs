//! Server transactions (RFC 3261 clause 17.2, RFC 4320, RFC 6026).

use super::key::{self, KeyShape};
use super::places::Places;
use super::route::{DEFAULT_PORT, copy_vias, port, response_route};
use super::table::{Handle, Members, Slab};
use super::{Incoming, ServerId, Shared, Timer, Timers};
use crate::packet::{Connection, Outbox, Packet, Route, Transport};
use crate::random::Random;
use crate::sip::header::grammar;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::via::Via;
use crate::sip::{HeaderName, Message, Method, Writer};
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
    /// Timers of the sides that requests come from: one or two.
    sides: Vec<Timers>,
}

#[derive(Debug)]
struct Server {
    state: State,
    is_invite: bool,
    is_reliable: bool,
    /// In [`Servers::sides`].
    side: u16,
    since: Instant,
    source: SocketAddr,
    route: Route,
    reconnect: Option<Reconnect>,
    key_hash: u64,
    /// [`NO_CALL`] where there is none.
    call_hash: u64,
    shape: KeyShape,
    /// Key, From value, then the message kept: the request until it is answered, afterwards the last answer.
    buffer: Vec<u8>,
    key_length: u32,
    message_start: u32,
}

/// How a response finds its way when the connection of the request is lost.
#[derive(Clone, Copy, Debug)]
struct Reconnect {
    /// At the host that the request came from.
    port: u16,
    /// In [`Servers::on_connections`].
    place: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Not answered.
    Trying,
    /// A provisional response has been sent.
    Proceeding,
    /// A final response has been sent, and is repeated for every copy of the request. For INVITE also by itself, next
    /// after this interval, until the ACK comes.
    Completed(Duration),
    /// The ACK has come; copies of it are absorbed.
    Confirmed,
    /// A 2xx to INVITE has been sent (RFC 6026 clause 7.1): repeating it is not our work.
    Accepted,
    /// Nothing is answered, copies are absorbed.
    Abandoned,
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
    /// I, J or L: nothing more to absorb.
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
        if let Some(handle) = self.find(key_hash) {
            if method == Method::Ack {
                if self.slab.get(handle).is_some_and(|server| server.state == State::Accepted) {
                    return Incoming::Ack;
                }
                self.acknowledge(now, handle, message, shared);
            } else if let Some(server) = self.slab.get(handle) {
                server.repeat(out);
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
        let relative = call_hash.and_then(|hash| self.of_call(hash));
        let is_cancel = method == Method::Cancel;
        let related = relative.and_then(|index| self.slab.current(index)).and_then(|(handle, other)| {
            let related =
                if is_cancel { other.is_cancelled_by(&self.key, shape) } else { other.is_merged_with(message, method) };
            related.then_some(handle)
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
        let related = if is_cancel { self.find_invite(shape).or(related) } else { related };
        match related {
            _ if is_cancel => Incoming::Cancel { server, cancelled: related.map(ServerId::from) },
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

    pub(super) fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        status: u16,
        out: &mut Outbox,
        shared: &mut Shared,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let handle = server.into();
        let Some(server) = self.slab.get_mut(handle) else { return };
        if server.state == State::Accepted && status / 100 == 2 {
            out.transmit(server.route, write);
            return;
        }
        let timers = self.sides[usize::from(server.side)];
        if !server.is_open() || (status < 200 && !server.may_be_provisional(now, status, timers)) {
            return;
        }
        if status == 408 && !server.is_invite {
            return self.abandon(now, handle.into(), shared);
        }
        let bytes = out.transmit(server.route, write);
        if server.is_reliable && !server.is_invite && status >= 200 {
            self.remove(handle, shared);
            return;
        }
        if status < 200 {
            server.keep(bytes);
        } else {
            // The answer stays for 64 T1, in its own size; the room goes to the next request.
            let kept = [&server.buffer[..server.message_start as usize], bytes].concat();
            shared.buffers.give(std::mem::replace(&mut server.buffer, kept));
        }
        let Timers { t1, .. } = timers;
        match status {
            ..200 => server.state = State::Proceeding,
            200..300 if server.is_invite => {
                server.state = State::Accepted;
                server.buffer.truncate(server.message_start as usize);
                shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::End));
            }
            _ if server.is_invite => {
                server.state = State::Completed(t1);
                if !server.is_reliable {
                    shared.timeouts.after(now, t1, Timer::Server(handle, ServerTimer::G));
                }
                shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::H));
            }
            _ => {
                server.state = State::Completed(t1);
                shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::End));
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
            let t1 = self.sides[usize::from(server.side)].t1;
            shared.timeouts.after(now, 64 * t1, Timer::Server(handle, ServerTimer::End));
        }
    }

    /// Not for INVITE, whose ACK must find it.
    pub(super) fn forget_answered(&mut self, server: ServerId, shared: &mut Shared) {
        if self.slab.get(server.into()).is_some_and(|server| !server.is_open() && !server.is_invite) {
            self.remove(server.into(), shared);
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
            let Some((_, server)) = self.slab.current(*index) else { continue };
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
        let timers = self.sides[usize::from(server.side)];
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

    pub(super) const fn len(&self) -> usize {
        self.slab.len()
    }

    /// True for a timer without effect from now on.
    pub(super) fn is_stale(&self, handle: Handle, timer: ServerTimer) -> bool {
        self.slab.get(handle).is_none_or(|server| timer == ServerTimer::Trying && !server.is_open())
    }

    fn side(&mut self, timers: Timers) -> u16 {
        let at = self.sides.iter().position(|side| *side == timers).unwrap_or_else(|| {
            self.sides.push(timers);
            self.sides.len() - 1
        });
        u16::try_from(at).expect("an element has one or two sides")
    }

    fn hash(&self, write: impl FnOnce(&mut <FixedState as BuildHasher>::Hasher)) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        write(&mut hasher);
        hasher.finish()
    }

    /// The transaction with the key of the request at hand.
    fn find(&mut self, key_hash: u64) -> Option<Handle> {
        let Self { by_key, slab, key, .. } = self;
        find(by_key, slab, key_hash, key)
    }

    /// The INVITE that the CANCEL at hand names. Copies of one INVITE that came on several ways share all but this.
    fn find_invite(&mut self, shape: KeyShape) -> Option<Handle> {
        let mut key = self.key[..shape.identity as usize].to_vec();
        key::push_method(&mut key, Method::Invite);
        let hash = self.hash(|hasher| hasher.write(&key));
        find(&self.by_key, &mut self.slab, hash, &key)
    }

    /// The eldest with this hash of Call-ID and CSeq number.
    fn of_call(&mut self, hash: u64) -> Option<u32> {
        let Self { by_call, slab, .. } = self;
        by_call.find(hash, |index| slab.current(index).is_some_and(|(_, server)| server.call_hash == hash))
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
        let server = self.slab.get_mut(handle).expect("the caller has just inserted it");
        self.by_key.insert(server.key_hash, handle.index);
        if server.call_hash != NO_CALL && !has_elder {
            self.by_call.insert(server.call_hash, handle.index);
        }
        // Who is behind another TLS connection nobody has proved: an answer has the one of its request, or none.
        if packet.transport == Transport::Tcp {
            let place = self.on_connections.join(handle.index);
            server.reconnect = Some(Reconnect { port: top.map_or(DEFAULT_PORT, port), place });
        }
    }

    fn start_timers(&self, now: Instant, handle: Handle, shared: &mut Shared) {
        let server = self.slab.get(handle).expect("the caller has just inserted it");
        let timers = self.sides[usize::from(server.side)];
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
            let t4 = self.sides[usize::from(server.side)].t4;
            shared.timeouts.after(now, t4, Timer::Server(handle, ServerTimer::End));
        }
    }

    fn remove(&mut self, handle: Handle, shared: &mut Shared) {
        let Some(server) = self.slab.get_mut(handle) else { return };
        shared.buffers.give(std::mem::take(&mut server.buffer));
        let reconnect = server.reconnect;
        self.by_key.remove(server.key_hash, handle.index);
        if server.call_hash != NO_CALL {
            self.by_call.remove(server.call_hash, handle.index);
        }
        self.slab.free(handle);
        if let Some(reconnect) = reconnect {
            self.leave(reconnect.place);
        }
    }

    fn leave(&mut self, place: u32) {
        if let Some(moved) = self.on_connections.leave(place)
            && let Some((_, server)) = self.slab.current(moved)
            && let Some(reconnect) = &mut server.reconnect
        {
            reconnect.place = place;
        }
    }
}

impl Server {
    fn key(&self) -> &[u8] {
        &self.buffer[..self.key_length as usize]
    }

    /// What is kept behind key and From.
    fn message(&self) -> &[u8] {
        &self.buffer[self.message_start as usize..]
    }

    const fn is_open(&self) -> bool {
        matches!(self.state, State::Trying | State::Proceeding)
    }

    /// RFC 4320 clause 4.1.
    fn may_be_provisional(&self, now: Instant, status: u16, timers: Timers) -> bool {
        self.is_invite || (status == 100 && (self.is_reliable || now >= self.since + until_t2(timers)))
    }

    /// Answers a copy of the request, where there is an answer.
    fn repeat(&self, out: &mut Outbox) {
        if matches!(self.state, State::Proceeding | State::Completed(_)) {
            out.transmit(self.route, |bytes| bytes.extend_from_slice(self.message()));
        }
    }

    fn send_trying(&mut self, out: &mut Outbox) {
        let Ok(request) = Message::parse(self.message()) else { return };
        let trying = out.transmit(self.route, |bytes| write_trying(bytes, &request, self.source));
        self.keep(trying);
        self.state = State::Proceeding;
    }

    /// Keeps an answer in place of what was kept before.
    fn keep(&mut self, answer: &[u8]) {
        self.buffer.truncate(self.message_start as usize);
        self.buffer.extend_from_slice(answer);
    }

    fn is_cancelled_by(&self, key: &[u8], shape: KeyShape) -> bool {
        self.shape == shape && self.buffer[..shape.identity as usize] == key[..shape.identity as usize]
    }

    /// RFC 3261 clause 8.2.2.2, for a request that matched by Call-ID and CSeq number, and not by its branch.
    fn is_merged_with(&self, message: &Message<'_>, method: Method<'_>) -> bool {
        let Ok(from) = std::str::from_utf8(&self.buffer[self.key_length as usize..self.message_start as usize]) else {
            return false;
        };
        let Ok(from) = NameAddr::parse(HeaderName::From, from) else { return false };
        self.method() == method.as_str().as_bytes()
            && message.from().is_ok_and(|other| other.tag() == from.tag())
            && message.to().is_ok_and(|to| to.tag().is_none())
    }

    fn method(&self) -> &[u8] {
        self.buffer[self.shape.identity as usize..self.key_length as usize]
            .split(|octet| *octet == 0)
            .next()
            .unwrap_or_default()
    }

    fn answered_with_tag_of(&self, ack: &Message<'_>) -> bool {
        let Ok(answer) = Message::parse(self.message()) else { return false };
        match (answer.to(), ack.to()) {
            (Ok(answered), Ok(acknowledged)) => answered.tag() == acknowledged.tag(),
            _ => false,
        }
    }
}

/// A length within one message.
fn length(octets: usize) -> u32 {
    u32::try_from(octets).expect("a message is shorter than 2^32 octets")
}

/// The transaction with this key.
fn find(by_key: &Places, slab: &mut Slab<Server>, hash: u64, key: &[u8]) -> Option<Handle> {
    let has_key = |server: &Server| server.key_hash == hash && server.key() == key;
    let index = by_key.find(hash, |index| slab.current(index).is_some_and(|(_, server)| has_key(server)))?;
    slab.current(index).map(|(handle, _)| handle)
}

fn write_trying(out: &mut Vec<u8>, request: &Message<'_>, source: SocketAddr) {
    let mut writer = Writer::response(out, 100, "Trying");
    copy_vias(request, source, &mut writer);
    for line in request.lines() {
        let is_timestamp = line.name_text.eq_ignore_ascii_case("Timestamp");
        if matches!(line.name, HeaderName::From | HeaderName::To | HeaderName::CallId | HeaderName::CSeq)
            || is_timestamp
        {
            writer.copy(&line);
        }
    }
    writer.finish(b"");
}

/// How long a client over UDP takes until its timer E is set to T2.
fn until_t2(timers: Timers) -> Duration {
    let (mut elapsed, mut interval) = (Duration::ZERO, timers.t1.max(Duration::from_millis(1)));
    while interval < timers.t2 {
        elapsed += interval;
        interval *= 2;
    }
    elapsed
}

/// No hash of Call-ID and CSeq number.
const NO_CALL: u64 = 0;
/// RFC 3261 clause 17.2.1.
const INVITE_TRYING: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timer_e_grows_to_t2() {
        assert_eq!(until_t2(Timers::CORE), Duration::from_millis(3_500));
        assert_eq!(until_t2(Timers::GM), Duration::from_secs(14));
    }
}
