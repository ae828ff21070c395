//! Transactions of RFC 3261 clause 17 with RFC 4320, RFC 6026 and RFC 3581.
//!
//! [`Transactions`] absorbs retransmissions, repeats requests and answers, and matches responses. Its owner sees each
//! request once and each client transaction end once. The branch and the internal id carry the slot, so a response
//! finds its transaction by index.

use super::Message;
use crate::packet::{Outbox, Packet, Route, Transport};
use crate::random::Random;
use crate::time::{Duration, Instant};

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
    /// An ACK that belongs to no transaction (for a 2xx): never answered.
    Ack,
    /// A 1xx for a client transaction.
    Provisional(ClientId),
    /// The final response of a client transaction, once. The context comes back.
    Final(ClientId, C),
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
    _random: Random,
    _contexts: Vec<C>,
}

impl<C> Transactions<C> {
    /// No transactions. `random` makes the branches.
    pub fn new(random: Random) -> Self {
        Self { _random: random, _contexts: Vec::new() }
    }

    /// Takes a message that passed [`Message::parse`]. Retransmissions are answered here.
    /// `timers` are those of the side the packet came from.
    pub fn receive(
        &mut self,
        _now: Instant,
        _timers: Timers,
        _packet: &Packet<'_>,
        _message: &Message<'_>,
        _out: &mut Outbox,
    ) -> Incoming<C> {
        todo!()
    }

    /// Where the answer of `server` will go: RFC 3261 clause 18.2.2 and RFC 3581, from the request's topmost Via.
    pub fn route(&self, _server: ServerId) -> Option<Route> {
        todo!()
    }

    /// Sends the answers of `server` elsewhere: the protected ports of TS 24.229 clause 5.2.2.
    pub fn set_route(&mut self, _server: ServerId, _route: Route) {
        todo!()
    }

    /// Sends a response; `write` writes the whole message. A second final answer is ignored. 408 to a non-INVITE is
    /// never sent (RFC 4320).
    pub fn respond(
        &mut self,
        _now: Instant,
        _server: ServerId,
        _status: u16,
        _out: &mut Outbox,
        _write: impl FnOnce(&mut Vec<u8>),
    ) {
        todo!()
    }

    /// Ends `server` without an answer: the request is dropped, later copies of it too.
    pub fn abandon(&mut self, _now: Instant, _server: ServerId) {
        todo!()
    }

    /// Sends a request in a new client transaction. `write` writes the whole message for the given transport and
    /// branch (without magic cookie doubts: the text begins with `z9hG4bK`). When `route` is UDP, `may_switch` is set and
    /// the message is larger than 1,300 octets, it is written again for TCP (RFC 3261 clause 18.1.1) and falls back to
    /// UDP if the connection is refused.
    pub fn request(
        &mut self,
        _now: Instant,
        _timers: Timers,
        _route: Route,
        _may_switch: bool,
        _context: C,
        _out: &mut Outbox,
        _write: impl FnMut(&mut Vec<u8>, Transport, &str),
    ) -> ClientId {
        todo!()
    }

    /// The context of a client transaction that is still open.
    pub fn context(&mut self, _client: ClientId) -> Option<&mut C> {
        todo!()
    }

    /// The request as sent by a client transaction that is still open or has just [`Ended`].
    pub fn sent(&self, _client: ClientId) -> Option<&[u8]> {
        todo!()
    }

    /// A TCP connection from or to these addresses failed or closed: client transactions waiting on it end.
    pub fn connection_lost(
        &mut self,
        _now: Instant,
        _connection: &crate::packet::Connection,
        _out: &mut Outbox,
        _ended: &mut Vec<Ended<C>>,
    ) {
        todo!()
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// Runs the timers that are due; client transactions that ended without an answer go to `ended`.
    pub fn handle_timeout(&mut self, _now: Instant, _out: &mut Outbox, _ended: &mut Vec<Ended<C>>) {
        todo!()
    }

    /// Server and client transactions alive, those that only absorb repetitions included.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
