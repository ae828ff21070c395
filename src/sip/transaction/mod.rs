//! Transactions of RFC 3261 clause 17 with RFC 4320, RFC 6026 and RFC 3581.
//!
//! [`Transactions`] absorbs retransmissions, repeats requests and answers, and matches responses. Its owner sees each
//! request once and each client transaction end once. The branch and the internal id carry the slot, so a response
//! finds its transaction by index.

mod answered;
mod branch;
mod client;
mod invite;
mod key;
mod places;
mod route;
mod served;
mod server;
mod table;

pub use route::copy_vias;

use super::{Message, StartLine};
use crate::packet::{Connection, ConnectionState, Outbox, Packet, Route, Transport};
use crate::random::Random;
use crate::time::{Duration, Instant, Timeouts};
use client::{ClientTimer, Clients};
use server::{ServerTimer, Servers};
use std::net::SocketAddr;
use table::{Buffers, Handle};

/// T1, T2 and T4 of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timers {
    /// Round-trip estimate.
    pub t1: Duration,
    /// Largest retransmission interval of non-INVITE requests and INVITE responses.
    pub t2: Duration,
    /// How long a message lives in the network.
    pub t4: Duration,
}

impl Timers {
    /// RFC 3261 table 4: 500 ms, 4 s, 5 s.
    pub const CORE: Self =
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
    /// TS 24.229 table 7.7.1, between UE and P-CSCF: 2 s, 16 s, 17 s.
    pub const GM: Self = Self { t1: Duration::from_secs(2), t2: Duration::from_secs(16), t4: Duration::from_secs(17) };
}

/// A server transaction. Stale ids are harmless.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ServerId {
    /// Slot.
    pub index: u32,
    /// Which use of the slot.
    pub generation: u32,
}

/// A client transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId {
    /// Slot.
    pub index: u32,
    /// Which use of the slot.
    pub generation: u32,
}

/// What [`Transactions::receive`] made of a message.
#[derive(Debug)]
pub enum Incoming<C> {
    /// A request not seen before. Answer it with [`Transactions::respond`].
    Request(ServerId),
    /// A merged request (RFC 3261 clause 8.2.2.2): answer 482.
    Merged(ServerId),
    /// CANCEL; `cancelled` is the server transaction it names, if there is one (else 481).
    Cancel {
        /// The CANCEL's own transaction.
        server: ServerId,
        /// What it wants cancelled.
        cancelled: Option<ServerId>,
    },
    /// An ACK for a 2xx: never answered.
    Ack,
    /// A 1xx for a client transaction.
    Provisional(ClientId),
    /// The final response of a client transaction, once. The context comes back. For INVITE: none but 2xx, and its ACK
    /// has been sent.
    Final(ClientId, C),
    /// A 2xx to INVITE, each one: repeated, and from other branches (RFC 6026 clause 7.2). The context stays for 64 T1;
    /// the ACK is the owner's work.
    Accepted(ClientId),
    /// A retransmission or something late: dealt with.
    Absorbed,
    /// A response without transaction: dropped.
    Stray,
}

/// A client transaction that ended without a final response.
#[derive(Debug)]
pub struct Ended<C> {
    /// Which.
    pub client: ClientId,
    /// What the owner gave.
    pub context: C,
    /// Why.
    pub cause: EndCause,
}

/// Why a client transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndCause {
    /// Timer F or B.
    Timeout,
    /// The transport said no.
    TransportError,
}

/// All transactions of one element. `C` is what its owner wants back when a client transaction ends.
#[derive(Debug)]
pub struct Transactions<C> {
    servers: Servers,
    clients: Clients<C>,
    shared: Shared,
}

/// What both kinds of transaction use.
#[derive(Debug)]
struct Shared {
    timeouts: Timeouts<Timer>,
    buffers: Buffers,
    random: Random,
}

#[derive(Clone, Copy, Debug)]
enum Timer {
    Server(Handle, ServerTimer),
    /// Answered requests of a side end.
    Answered(u8),
    Client(Handle, ClientTimer),
}

impl<C> Transactions<C> {
    /// No transactions. `random` makes the branches.
    pub fn new(mut random: Random) -> Self {
        let servers = Servers::new(&mut random);
        let shared = Shared { timeouts: Timeouts::new(), buffers: Buffers::default(), random };
        Self { servers, clients: Clients::new(), shared }
    }

    /// Takes a message that passed [`Message::parse`]. Retransmissions are answered here.
    /// `timers` are those of the side the packet came from.
    pub fn receive(
        &mut self,
        now: Instant,
        timers: Timers,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Incoming<C> {
        self.clients.release_answered(&mut self.shared.buffers);
        self.drop_stale();
        let Self { servers, clients, shared } = self;
        match message.start() {
            StartLine::Request { method, uri } => {
                servers.receive(now, timers, packet, message, (method, uri), out, shared)
            }
            StartLine::Response { status, .. } => clients.receive(now, status, message, out, shared),
        }
    }

    /// Where the request of `server` came from: for [`copy_vias`].
    pub fn source(&self, server: ServerId) -> Option<SocketAddr> {
        self.servers.source(server)
    }

    /// Where the answer of `server` will go: RFC 3261 clause 18.2.2 and RFC 3581, from the request's topmost Via.
    pub fn route(&self, server: ServerId) -> Option<Route> {
        self.servers.route(server)
    }

    /// Sends the answers of `server` elsewhere: the protected ports of TS 24.229 clause 5.2.2.
    pub fn set_route(&mut self, server: ServerId, route: Route) {
        self.servers.set_route(server, route);
    }

    /// Sends a response; `write` writes the whole message, its Via lines by [`copy_vias`]. A second final answer is
    /// ignored, but for 2xx to INVITE, which pass as often as the owner repeats them (RFC 6026 clause 7.1). 408 to a
    /// non-INVITE is never sent, nor any provisional response to it but a 100 that is late enough (RFC 4320).
    pub fn respond(
        &mut self,
        now: Instant,
        server: ServerId,
        status: u16,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.servers.respond(now, server, status, out, &mut self.shared, true, write);
    }

    /// The same, and nothing is remembered: copies of the request are new requests. That of an INVITE stays until its
    /// ACK.
    pub fn respond_once(
        &mut self,
        now: Instant,
        server: ServerId,
        status: u16,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.servers.respond(now, server, status, out, &mut self.shared, false, write);
    }

    /// Ends `server` without an answer: the request is dropped, later copies of it too.
    pub fn abandon(&mut self, now: Instant, server: ServerId) {
        self.servers.abandon(now, server, &mut self.shared);
    }

    /// Forgets a server transaction that nobody will answer: copies of its request are new requests.
    pub fn forget_unanswered(&mut self, server: ServerId) {
        self.servers.forget_unanswered(server, &mut self.shared);
    }

    /// Sends a request other than ACK and CANCEL in a new client transaction. `write` writes the whole message for the
    /// given transport and branch (without magic cookie doubts: the text begins with `z9hG4bK`). When `route` is UDP,
    /// `may_switch` is set and the message is larger than 1,300 octets, it is written again for TCP (RFC 3261 clause
    /// 18.1.1) and falls back to UDP if the connection is refused.
    #[expect(clippy::too_many_arguments, reason = "each is decided by the caller, and none belongs to another")]
    pub fn request(
        &mut self,
        now: Instant,
        timers: Timers,
        route: Route,
        may_switch: bool,
        context: C,
        out: &mut Outbox,
        write: impl FnMut(&mut Vec<u8>, Transport, &str),
    ) -> ClientId {
        self.clients.request(now, timers, route, may_switch, context, out, &mut self.shared, write)
    }

    /// Cancels an INVITE (RFC 3261 clause 9.1), with this Reason: at once, or when a provisional response has come.
    /// Its final response still comes, or it ends by [`EndCause::Timeout`] 64 T1 after the CANCEL.
    pub fn cancel(&mut self, now: Instant, client: ClientId, reason: Option<&str>, out: &mut Outbox) {
        self.clients.cancel(now, client, reason, out, &mut self.shared);
    }

    /// Ends an open client transaction at once; what may still come is stray.
    pub fn forget(&mut self, client: ClientId) -> Option<C> {
        self.clients.forget(client)
    }

    /// The context of a client transaction that is still open.
    pub fn context(&mut self, client: ClientId) -> Option<&mut C> {
        self.clients.context(client)
    }

    /// The request as sent by a client transaction that is still open, or that has ended in the last call of
    /// [`Transactions::receive`], [`Transactions::handle_timeout`] or [`Transactions::connection_lost`].
    pub fn sent(&self, client: ClientId) -> Option<&[u8]> {
        self.clients.sent(client)
    }

    /// A TCP connection from or to these addresses failed or closed: client transactions waiting on it end, answers
    /// that were to go over it take a new one.
    pub fn connection_lost(
        &mut self,
        now: Instant,
        connection: &Connection,
        out: &mut Outbox,
        ended: &mut Vec<Ended<C>>,
    ) {
        let Self { servers, clients, shared } = self;
        clients.release_answered(&mut shared.buffers);
        if connection.state != ConnectionState::Opened {
            servers.connection_lost(connection);
            clients.connection_lost(now, connection, out, shared, ended);
        }
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.shared.timeouts.next()
    }

    /// Runs the timers that are due; client transactions that ended without an answer go to `ended`.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox, ended: &mut Vec<Ended<C>>) {
        let Self { servers, clients, shared } = self;
        clients.release_answered(&mut shared.buffers);
        while let Some(timer) = shared.timeouts.pop(now) {
            match timer {
                Timer::Server(handle, timer) => servers.handle_timer(now, handle, timer, out, shared),
                Timer::Answered(side) => servers.end_answered(now, side, shared),
                Timer::Client(handle, timer) => clients.handle_timer(now, handle, timer, out, shared, ended),
            }
        }
        self.drop_stale();
    }

    /// An answer comes long before most timers: what it leaves without effect is to wake nobody.
    fn drop_stale(&mut self) {
        let Self { servers, clients, shared } = self;
        shared.timeouts.drop_stale(|timer| match timer {
            Timer::Server(handle, timer) => servers.is_stale(*handle, *timer),
            Timer::Answered(_) => false,
            Timer::Client(handle, timer) => clients.is_stale(*handle, *timer),
        });
    }

    /// Server and client transactions alive, those that only absorb repetitions included, and for up to 2 T1 those that
    /// have done so.
    pub fn len(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<ServerId> for Handle {
    fn from(ServerId { index, generation }: ServerId) -> Self {
        Self { index, generation }
    }
}

impl From<Handle> for ServerId {
    fn from(Handle { index, generation }: Handle) -> Self {
        Self { index, generation }
    }
}

impl From<ClientId> for Handle {
    fn from(ClientId { index, generation }: ClientId) -> Self {
        Self { index, generation }
    }
}

impl From<Handle> for ClientId {
    fn from(Handle { index, generation }: Handle) -> Self {
        Self { index, generation }
    }
}
