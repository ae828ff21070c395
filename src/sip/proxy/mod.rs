//! A stateful proxy without its decisions (RFC 3261 clause 16, RFC 4320, RFC 5393, RFC 6026).
//!
//! [`Proxy`] holds the response contexts of one element. The element reads a request with [`Proxy::read`], opens a
//! context, says where copies go and what is changed in them, and hands over what its client transactions report.
//! Which response is the best, what is sent back when, what is cancelled: that is decided here.

mod context;
mod emit;
mod progress;
mod received;

pub use emit::{Hop, Rewrite, Target};
pub use received::{Fault, Received};

use super::transaction::{ServerId, Transactions};
use super::{Message, Uri};
use crate::packet::Outbox;
use crate::random::Random;
use crate::time::{Duration, Instant, Timeouts};
use context::{Context, Sent};
use emit::{ack_branch, write_request};
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// One copy of a request that was forwarded: what its client transaction gives back to the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    context: ContextId,
    number: u32,
}

impl Branch {
    /// The context that it belongs to.
    pub const fn context(self) -> ContextId {
        self.context
    }
}

/// A response context. Ids are never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ContextId(u64);

/// What every step works on.
#[derive(Debug)]
pub struct Io<'i, C> {
    /// The time.
    pub now: Instant,
    /// The transactions of the element, both sides.
    pub transactions: &'i mut Transactions<C>,
    /// What is to be done.
    pub out: &'i mut Outbox,
}

/// What a response, or its absence, has led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// Nothing to decide: more may come, or the best response has been sent.
    Going,
    /// Every copy has failed. The element forwards more copies, or calls [`Proxy::conclude`].
    Exhausted {
        /// Of which request.
        context: ContextId,
        /// The best response so far; 408 or 503 may be our own.
        status: u16,
    },
}

/// What has become of a CANCEL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled<K> {
    /// The copies are cancelled; their final responses decide.
    Passed,
    /// Nothing had been forwarded yet: the element answers 487.
    NotForwarded(K),
    /// There is no such request any more.
    Unknown,
}

/// All response contexts of one element. `K` is what it keeps with each, and what rewrites the responses.
#[derive(Debug)]
pub struct Proxy<K> {
    contexts: HashMap<ContextId, Context<K>, FixedState>,
    by_server: HashMap<ServerId, ContextId, FixedState>,
    timeouts: Timeouts<Due>,
    next: u64,
    /// Seeded: nobody can foretell the part of our branches that tells a loop.
    hasher: FixedState,
    random: Random,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    /// Timer C of a branch (RFC 3261 clause 16.8).
    C(Branch),
    /// No 2xx will be repeated any more.
    End(ContextId),
}

impl<K: Rewrite> Proxy<K> {
    /// No context.
    pub fn new(mut random: Random) -> Self {
        let hasher = FixedState::with_seed(random.next_u64());
        Self {
            contexts: HashMap::with_hasher(hasher.clone()),
            by_server: HashMap::with_hasher(hasher.clone()),
            timeouts: Timeouts::new(),
            next: 0,
            hasher,
            random,
        }
    }

    /// Validates a request (clause 16.3) and takes the element's own values out of Request-URI and Route (clause 16.4).
    /// `is_own` recognises URIs that the element has put into Record-Route, Path or Service-Route; `understood` are the
    /// option tags of Proxy-Require that it knows.
    pub fn read<'m, 'a>(
        &self,
        message: &'m Message<'a>,
        is_own: impl Fn(&Uri<'_>) -> bool,
        understood: &[&str],
    ) -> Result<Received<'m, 'a>, Fault> {
        Received::read(message, is_own, understood, &self.hasher)
    }

    /// Opens the context of a request.
    pub fn open(&mut self, server: ServerId, request: &Received<'_, '_>, kept: K) -> ContextId {
        let id = ContextId(self.next);
        self.next += 1;
        self.contexts.insert(id, Context::new(server, request.is_invite(), kept));
        self.by_server.insert(server, id);
        id
    }

    /// What the element keeps with a context, while there is one.
    pub fn kept(&mut self, context: ContextId) -> Option<&mut K> {
        self.contexts.get_mut(&context).map(|context| &mut context.kept)
    }

    /// The server transaction of a context, while there is one.
    pub fn server(&self, context: ContextId) -> Option<ServerId> {
        self.contexts.get(&context).map(|context| context.server)
    }

    /// True when a provisional response has come to a copy that is still out.
    pub fn has_rung(&self, branch: Branch) -> bool {
        let sent = self.contexts.get(&branch.context).and_then(|context| context.sent(branch.number));
        matches!(sent, Some(Sent::Pending { has_rung: true, .. }))
    }

    /// True when there is a response that [`Proxy::conclude`] would send.
    pub fn has_best(&self, context: ContextId) -> bool {
        self.contexts.get(&context).is_some_and(|context| context.best.is_some())
    }

    /// Forgets what was answered so far: the request begins anew.
    pub fn discard_best(&mut self, context: ContextId) {
        if let Some(open) = self.contexts.get_mut(&context) {
            open.best = None;
            open.challenges.clear();
        }
    }

    /// Drops a context whose request the element answers itself. Copies still out are cancelled and forgotten.
    pub fn close<C>(&mut self, io: &mut Io<'_, C>, context: ContextId) -> Option<K> {
        let closed = self.remove(context)?;
        for (_, client) in closed.pending() {
            io.transactions.cancel(io.now, client, None, io.out);
        }
        Some(closed.kept)
    }

    /// Sends a copy of `request` to `target` (clause 16.6); `rewrite` is what the element changes in it.
    pub fn forward<C: From<Branch>>(
        &mut self,
        io: &mut Io<'_, C>,
        context: ContextId,
        request: &Received<'_, '_>,
        target: &Target<'_>,
        rewrite: &dyn Rewrite,
    ) -> Option<Branch> {
        let open = self.contexts.get_mut(&context).filter(|open| !open.is_answered)?;
        let branch = Branch { context, number: open.next_number() };
        let Hop { route, may_switch, sent_by, timers } = target.hop;
        let source = io.transactions.source(open.server);
        let client = io.transactions.request(
            io.now,
            timers,
            route,
            may_switch,
            branch.into(),
            io.out,
            |bytes, transport, id| {
                let via = ["SIP/2.0/", transport.as_str(), " ", sent_by, ";branch=", id, ".", request.loop_mark()];
                write_request(request, target, &via, source, rewrite, bytes);
            },
        );
        open.add(Sent::Pending { client, until: io.now + TIMER_C, has_rung: false });
        open.repeats = open.repeats.max(64 * timers.t1);
        if open.is_invite {
            self.timeouts.after(io.now, TIMER_C, Due::C(branch));
        }
        Some(branch)
    }

    /// Forwards an ACK for a 2xx, which belongs to no transaction (clause 16.11).
    pub fn forward_ack(
        &self,
        out: &mut Outbox,
        request: &Received<'_, '_>,
        target: &Target<'_>,
        rewrite: &dyn Rewrite,
    ) {
        let Hop { route, sent_by, .. } = target.hop;
        let branch = ack_branch(request.message, &self.hasher);
        let via = ["SIP/2.0/", route.transport.as_str(), " ", sent_by, ";branch=", &branch, ".", request.loop_mark()];
        out.transmit(route, |bytes| write_request(request, target, &via, None, rewrite, bytes));
    }

    /// The earliest timer.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    /// Runs the timers that are due. Requests whose copies have all failed go to `progress`.
    pub fn handle_timeout<C>(&mut self, io: &mut Io<'_, C>, progress: &mut Vec<Progress>) {
        while let Some(due) = self.timeouts.pop(io.now) {
            match due {
                Due::C(branch) => progress.push(self.on_timer_c(io, branch)),
                Due::End(context) => {
                    if let Some(open) = self.contexts.get_mut(&context) {
                        open.lasts = false;
                        progress.push(self.settle(io, context));
                    }
                }
            }
        }
        progress.retain(|one| *one != Progress::Going);
    }

    /// Requests that are being served.
    pub fn len(&self) -> usize {
        self.contexts.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    fn remove(&mut self, context: ContextId) -> Option<Context<K>> {
        let closed = self.contexts.remove(&context)?;
        self.by_server.remove(&closed.server);
        Some(closed)
    }
}

/// Longer than three minutes (clause 16.6 step 11).
const TIMER_C: Duration = Duration::from_secs(181);
