//! Client transactions (RFC 3261 clause 17.1, RFC 6026); what only INVITE has is in `invite`.

use super::branch::{Branch, CHANCE};
use super::invite::Cancel;
use super::table::{Buffers, Handle, Members, Slab};
use super::{ClientId, EndCause, Ended, Incoming, Shared, Timer, Timers};
use crate::packet::{Connection, ConnectionState, Outbox, Route, Transport};
use crate::random::Token;
use crate::sip::header::via;
use crate::sip::{HeaderName, Message, Method};
use crate::time::{Duration, Instant};

/// All client transactions of one element.
#[derive(Debug)]
pub(super) struct Clients<C> {
    slab: Slab<Client<C>>,
    /// Those that wait for a response over TCP.
    on_connections: Members,
    /// Those whose request is readable until the next packet or timer, though they are through.
    answered: Vec<Handle>,
    /// How many of `answered` have nothing to absorb.
    ended: usize,
}

#[derive(Debug)]
pub(super) struct Client<C> {
    pub(super) state: State<C>,
    pub(super) is_invite: bool,
    pub(super) timers: Timers,
    pub(super) route: Route,
    /// The random part of the branch.
    token: Token<CHANCE>,
    /// The request as sent last.
    pub(super) request: Vec<u8>,
    /// What its owner does not want any more (INVITE only).
    pub(super) cancel: Option<Box<Cancel>>,
    /// What to send when TCP fails (RFC 3261 clause 18.1.1).
    fallback: Option<Fallback>,
    /// In [`Clients::on_connections`].
    place: Option<u32>,
}

#[derive(Debug)]
pub(super) enum State<C> {
    /// No response yet; over UDP the request is repeated, next after this interval.
    Trying(C, Duration),
    /// A provisional response came.
    Proceeding(C),
    /// The final response came; copies are absorbed.
    Completed,
    /// A final response to INVITE other than 2xx came; its copies are answered with this ACK.
    Acknowledged(Box<[u8]>),
    /// A 2xx to INVITE came; copies of it, and what other branches say, are for the owner (RFC 6026 clause 7.2).
    Accepted(C),
    /// Nothing is left but the bytes.
    Ended,
}

#[derive(Debug)]
struct Fallback {
    route: Route,
    request: Vec<u8>,
}

/// What comes due for a client transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ClientTimer {
    /// E, for INVITE A: repeat the request.
    E,
    /// F, for INVITE B: no response came.
    F,
    /// K, for INVITE D or M: no copy of the final response will come any more.
    K,
    /// E of a CANCEL.
    Cancel,
    /// Nothing has come of a CANCEL.
    Cancelled,
}

impl<C> Clients<C> {
    pub(super) const fn new() -> Self {
        Self { slab: Slab::new(), on_connections: Members::new(), answered: Vec::new(), ended: 0 }
    }

    #[expect(clippy::too_many_arguments, reason = "the door of the module has them")]
    pub(super) fn request(
        &mut self,
        now: Instant,
        timers: Timers,
        route: Route,
        may_switch: bool,
        context: C,
        out: &mut Outbox,
        shared: &mut Shared,
        mut write: impl FnMut(&mut Vec<u8>, Transport, &str),
    ) -> ClientId {
        let (token, request) = (shared.random.token(), shared.buffers.take());
        let handle = self.slab.insert(|_| Client {
            state: State::Trying(context, timers.t1),
            timers,
            route,
            token,
            request,
            is_invite: false,
            cancel: None,
            fallback: None,
            place: None,
        });
        let client = self.slab.get_mut(handle).expect("just inserted");
        let branch = Branch::new(handle.into(), token);
        write(&mut client.request, route.transport, branch.as_str());
        client.is_invite = client.request.starts_with(b"INVITE ");
        if may_switch && route.transport == Transport::Udp && client.request.len() > LARGEST_DATAGRAM {
            let mut request = shared.buffers.take();
            write(&mut request, Transport::Tcp, branch.as_str());
            let request = std::mem::replace(&mut client.request, request);
            client.fallback = Some(Fallback { route, request });
            client.route.transport = Transport::Tcp;
            if route.sa.is_none() {
                client.route.from.set_port(0);
            }
        }
        if client.route.transport.is_stream() {
            client.place = Some(self.on_connections.join(handle.index));
        }
        client.send(now, handle, client.timers.t1, out, shared);
        shared.timeouts.after(now, 64 * timers.t1, Timer::Client(handle, ClientTimer::F));
        handle.into()
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        status: u16,
        message: &Message<'_>,
        out: &mut Outbox,
        shared: &mut Shared,
    ) -> Incoming<C> {
        let Some((handle, method)) = self.find(message) else { return Incoming::Stray };
        let client = self.slab.get_mut(handle).expect("just found");
        if client.is_invite {
            return self.receive_for_invite(now, handle, (status, method), message, out, shared);
        }
        match &client.state {
            State::Completed => return Incoming::Absorbed,
            State::Trying(..) | State::Proceeding(_) if client.has_sent(method) => {}
            _ => return Incoming::Stray,
        }
        let is_reliable = client.route.transport.is_reliable();
        let through = if is_reliable { State::Ended } else { State::Completed };
        let (State::Trying(context, _) | State::Proceeding(context)) = std::mem::replace(&mut client.state, through)
        else {
            unreachable!("other states have returned")
        };
        if status < 200 {
            client.state = State::Proceeding(context);
            return Incoming::Provisional(handle.into());
        }
        if !is_reliable {
            shared.timeouts.after(now, client.timers.t4, Timer::Client(handle, ClientTimer::K));
        }
        self.close(handle);
        Incoming::Final(handle.into(), context)
    }

    pub(super) fn context(&mut self, client: ClientId) -> Option<&mut C> {
        match &mut self.slab.get_mut(client.into())?.state {
            State::Trying(context, _) | State::Proceeding(context) | State::Accepted(context) => Some(context),
            State::Completed | State::Acknowledged(_) | State::Ended => None,
        }
    }

    /// Ends a transaction whose outcome nobody wants to know any more.
    pub(super) fn forget(&mut self, client: ClientId) -> Option<C> {
        let handle = client.into();
        match std::mem::replace(&mut self.slab.get_mut(handle)?.state, State::Ended) {
            State::Trying(context, _) | State::Proceeding(context) => {
                self.close(handle);
                Some(context)
            }
            other => {
                self.slab.get_mut(handle)?.state = other;
                None
            }
        }
    }

    pub(super) fn sent(&self, client: ClientId) -> Option<&[u8]> {
        self.slab.get(client.into()).map(|client| client.request.as_slice()).filter(|request| !request.is_empty())
    }

    /// Frees what was only kept for [`Clients::sent`].
    pub(super) fn release_answered(&mut self, buffers: &mut Buffers) {
        while let Some(handle) = self.answered.pop() {
            let Some(client) = self.slab.get_mut(handle) else { continue };
            buffers.give(std::mem::take(&mut client.request));
            if let Some(fallback) = client.fallback.take() {
                buffers.give(fallback.request);
            }
            if matches!(client.state, State::Ended) {
                self.slab.free(handle);
            }
        }
        self.ended = 0;
    }

    pub(super) fn connection_lost(
        &mut self,
        now: Instant,
        connection: &Connection,
        out: &mut Outbox,
        shared: &mut Shared,
        ended: &mut Vec<Ended<C>>,
    ) {
        let mut position = 0;
        while let Some(index) = self.on_connections.as_slice().get(position) {
            let (handle, client) = self.slab.current_mut(*index).expect("members are alive");
            if !client.waits_on(connection) {
                position += 1;
                continue;
            }
            match client.fallback.take() {
                Some(fallback) if matches!(client.state, State::Trying(..)) => {
                    let place = client.place.take();
                    shared.buffers.give(std::mem::replace(&mut client.request, fallback.request));
                    client.route = fallback.route;
                    client.send(now, handle, client.timers.t1, out, shared);
                    self.leave(place);
                }
                fallback => {
                    client.fallback = fallback;
                    self.end(handle, EndCause::TransportError, ended);
                }
            }
        }
    }

    pub(super) fn handle_timer(
        &mut self,
        now: Instant,
        handle: Handle,
        timer: ClientTimer,
        out: &mut Outbox,
        shared: &mut Shared,
        ended: &mut Vec<Ended<C>>,
    ) {
        let Some(client) = self.slab.get_mut(handle) else { return };
        match (timer, &mut client.state) {
            (ClientTimer::E, State::Trying(_, interval)) => {
                *interval *= 2;
                if !client.is_invite {
                    *interval = (*interval).min(client.timers.t2);
                }
                let interval = *interval;
                client.send(now, handle, interval, out, shared);
            }
            (ClientTimer::E, State::Proceeding(_)) if !client.is_invite => {
                client.send(now, handle, client.timers.t2, out, shared);
            }
            (ClientTimer::F, State::Trying(..))
            | (ClientTimer::Cancelled, State::Trying(..) | State::Proceeding(_)) => {
                self.end(handle, EndCause::Timeout, ended);
            }
            (ClientTimer::F, State::Proceeding(_)) if !client.is_invite => self.end(handle, EndCause::Timeout, ended),
            (ClientTimer::K, State::Completed | State::Acknowledged(_) | State::Accepted(_)) => {
                shared.buffers.give(std::mem::take(&mut client.request));
                self.slab.free(handle);
            }
            (ClientTimer::Cancel, State::Trying(..) | State::Proceeding(_)) => {
                client.repeat_cancel(now, handle, out, shared);
            }
            _ => {}
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.slab.len() - self.ended
    }

    /// True for a timer without effect from now on.
    pub(super) fn is_stale(&self, handle: Handle, timer: ClientTimer) -> bool {
        let is_open = |client: &Client<C>| matches!(client.state, State::Trying(..) | State::Proceeding(_));
        let waits_for_answer = matches!(timer, ClientTimer::E | ClientTimer::F);
        self.slab.get(handle).is_none_or(|client| waits_for_answer && !is_open(client))
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut Client<C>> {
        self.slab.get_mut(handle)
    }

    /// The transaction whose branch is in the topmost Via, and the method in CSeq (RFC 3261 clause 17.1.3).
    fn find<'m>(&self, message: &Message<'m>) -> Option<(Handle, Method<'m>)> {
        let (id, token) = Branch::read(via::first_branch(message.header(HeaderName::Via)?)?)?;
        self.slab.get(id.into()).filter(|client| client.token.as_bytes() == token.as_bytes())?;
        Some((id.into(), message.cseq().ok()?.method))
    }

    /// Hands the context back: no final response will come.
    fn end(&mut self, handle: Handle, cause: EndCause, ended: &mut Vec<Ended<C>>) {
        let Some(client) = self.slab.get_mut(handle) else { return };
        if let State::Trying(context, _) | State::Proceeding(context) =
            std::mem::replace(&mut client.state, State::Ended)
        {
            ended.push(Ended { client: handle.into(), context, cause });
            self.close(handle);
        }
    }

    /// Books a transaction that has just become `Completed`, `Acknowledged`, `Accepted` or `Ended`.
    pub(super) fn close(&mut self, handle: Handle) {
        let client = self.slab.get_mut(handle).expect("the caller has just used it");
        self.answered.push(handle);
        self.ended += usize::from(matches!(client.state, State::Ended));
        let place = client.place.take();
        self.leave(place);
    }

    fn leave(&mut self, place: Option<u32>) {
        if let Some(place) = place
            && let Some(moved) = self.on_connections.leave(place)
            && let Some((_, client)) = self.slab.current_mut(moved)
        {
            client.place = Some(place);
        }
    }
}

impl<C> Client<C> {
    /// Sends the request; over UDP it will be repeated after `interval`.
    fn send(&self, now: Instant, handle: Handle, interval: Duration, out: &mut Outbox, shared: &mut Shared) {
        out.transmit(self.route, |bytes| bytes.extend_from_slice(&self.request));
        if !self.route.transport.is_reliable() {
            shared.timeouts.after(now, interval, Timer::Client(handle, ClientTimer::E));
        }
    }

    /// True when its request, which is still there, has this method.
    fn has_sent(&self, method: Method<'_>) -> bool {
        self.request.strip_prefix(method.as_str().as_bytes()).is_some_and(|line| line.first() == Some(&b' '))
    }

    fn waits_on(&self, connection: &Connection) -> bool {
        let (from, local) = (self.route.from, connection.local);
        let ours = from == local || (from.port() == 0 && from.ip() == local.ip() && !connection.inbound);
        self.route.to == connection.remote && ours && connection.state != ConnectionState::Opened
    }
}

/// RFC 3261 clause 18.1.1, path MTU unknown.
const LARGEST_DATAGRAM: usize = 1_300;
