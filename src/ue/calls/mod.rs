//! Sessions of a UE (RFC 3261 clauses 12 to 15): `calling` is the side that invites, `called` the side invited.

mod called;
mod calling;

use super::dialog::Dialog;
use super::outgoing::{CannotSend, Content, Request, Way};
use super::{Asked, Ue, sdp, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::Outbox;
use crate::sip::transaction::{ClientId, ServerId};
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

/// All sessions of one UE: a handful at most.
#[derive(Debug, Default)]
pub(super) struct Calls {
    all: Vec<Call>,
    last: u32,
}

#[derive(Debug)]
struct Call {
    number: u32,
    peer: Impu,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Inviting(Inviting),
    Ringing(Ringing),
    Confirmed(Confirmed),
    Ending(Ending),
}

/// Our INVITE has left; a final response is awaited.
#[derive(Debug)]
struct Inviting {
    client: ClientId,
    dialog: Dialog,
    /// One for each tag that a provisional response had.
    early: Vec<Dialog>,
    cancelled: bool,
    /// The INVITE holds an offer, so the ACK needs no answer.
    has_offered: bool,
}

/// An INVITE has come and is answered by 180.
#[derive(Debug)]
struct Ringing {
    server: ServerId,
    source: SocketAddr,
    request: Box<[u8]>,
    dialog: Dialog,
    answer_at: Option<Instant>,
}

/// Both sides have agreed.
#[derive(Debug)]
struct Confirmed {
    dialog: Dialog,
    /// Our last ACK, for repetitions of the 2xx (RFC 3261 clause 13.2.2.4).
    ack: Option<Acknowledged>,
    /// Our last 2xx, until its ACK comes (RFC 3261 clause 13.3.1.4).
    answer: Option<Unacknowledged>,
}

#[derive(Debug)]
struct Acknowledged {
    seq: u32,
    bytes: Box<[u8]>,
}

#[derive(Debug)]
struct Unacknowledged {
    server: ServerId,
    seq: u32,
    bytes: Box<[u8]>,
    repeat_at: Instant,
    interval: Duration,
    until: Instant,
}

/// Our BYE has left.
#[derive(Debug)]
struct Ending {
    dialog: Dialog,
    cause: &'static str,
}

impl Ue {
    /// Ends a call: CANCEL before the final answer to our INVITE, 603 to an INVITE that still rings, else BYE.
    pub fn hang_up(&mut self, now: Instant, call: u32, out: &mut Outbox) -> Result<(), CannotSend> {
        let found = self.calls.get(call).ok_or(CannotSend::NoSuchCall)?;
        match &mut found.stage {
            Stage::Inviting(inviting) => {
                inviting.cancelled = true;
                let client = inviting.client;
                self.transactions.cancel(now, client, None, out);
                Ok(())
            }
            Stage::Ringing(_) => {
                self.refuse_ringing(now, call, 603, "declined", out);
                Ok(())
            }
            // RFC 3261 clause 15: the called side waits for the ACK first.
            Stage::Confirmed(confirmed) if confirmed.answer.is_some() => Err(CannotSend::NoSuchCall),
            Stage::Confirmed(_) => self.bye(now, call, "hung up", out),
            Stage::Ending(_) => Err(CannotSend::NoSuchCall),
        }
    }

    /// The number of the call that began last, of those that there are.
    pub fn newest_call(&self) -> Option<u32> {
        self.calls.all.last().map(|call| call.number)
    }

    /// A session description to offer: one audio stream, inactive, because no media is sent.
    pub fn offer(&self) -> String {
        sdp::offer(self.config.local.ip())
    }

    /// The request of a call was sent again, as `client` and with this number.
    pub(in crate::ue) fn on_sent_again(&mut self, call: u32, client: ClientId, seq: u32) {
        match self.calls.get(call).map(|call| &mut call.stage) {
            Some(Stage::Inviting(inviting)) => {
                inviting.client = client;
                inviting.dialog.local_seq = seq;
                inviting.early.clear();
            }
            Some(Stage::Confirmed(Confirmed { dialog, .. }) | Stage::Ending(Ending { dialog, .. })) => {
                dialog.local_seq = seq;
            }
            Some(Stage::Ringing(_)) | None => {}
        }
    }

    /// How many calls there are, in whatever state.
    pub fn calls(&self) -> usize {
        self.calls.all.len()
    }

    /// Ends a confirmed dialog by BYE.
    fn bye(&mut self, now: Instant, call: u32, cause: &'static str, out: &mut Outbox) -> Result<(), CannotSend> {
        let way = self.way().ok_or(CannotSend::NotRegistered)?;
        let found = self.calls.get(call).ok_or(CannotSend::NoSuchCall)?;
        let Stage::Confirmed(confirmed) = &found.stage else { return Err(CannotSend::NoSuchCall) };
        let mut dialog = confirmed.dialog.clone();
        self.ask_for(now, "BYE", &mut dialog, &way, Content::default(), Asked::Bye(call), out);
        self.calls.set(call, Stage::Ending(Ending { dialog, cause }));
        Ok(())
    }

    /// Our BYE is answered, or nobody will answer it.
    pub(super) fn on_bye_through(&mut self, call: u32, out: &mut Outbox) {
        let Some(Stage::Ending(ending)) = self.calls.get(call).map(|c| &c.stage) else { return };
        let cause = ending.cause;
        self.calls.end(call, 200, cause, out);
    }

    /// Nothing can be sent any more.
    pub(super) fn drop_calls(&mut self, cause: &'static str, out: &mut Outbox) {
        while let Some(call) = self.calls.all.last().map(|c| c.number) {
            self.calls.end(call, 0, cause, out);
        }
    }

    pub(super) fn next_call_timeout(&self) -> Option<Instant> {
        self.calls.all.iter().filter_map(Call::due).min()
    }

    pub(super) fn handle_call_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let due = |calls: &Calls| calls.all.iter().find(|c| c.due().is_some_and(|at| at <= now)).map(|c| c.number);
        while let Some(call) = due(&self.calls) {
            self.on_call_due(now, call, out);
        }
    }

    /// ACK of a 2xx goes straight out: no transaction waits for anything (RFC 3261 clause 13.2.2.4).
    fn acknowledge(
        &mut self,
        dialog: &Dialog,
        seq: u32,
        way: &Way,
        content: Content<'_>,
        out: &mut Outbox,
    ) -> Acknowledged {
        let branch = format!("z9hG4bK{}", self.random.token::<16>());
        let config = &self.config;
        let request =
            Request { method: "ACK", seq, dialog, way, content, config, registration: None, proxy_authorization: None };
        let bytes = out.transmit(way.route, |bytes| request.write(bytes, way.route.transport, &branch));
        Acknowledged { seq, bytes: bytes.into() }
    }
}

impl Calls {
    fn add(&mut self, peer: Impu, stage: Stage) -> u32 {
        self.last += 1;
        self.all.push(Call { number: self.last, peer, stage });
        self.last
    }

    fn get(&mut self, number: u32) -> Option<&mut Call> {
        self.all.iter_mut().find(|c| c.number == number)
    }

    fn set(&mut self, number: u32, stage: Stage) {
        if let Some(call) = self.get(number) {
            call.stage = stage;
        }
    }

    /// The call whose dialog a request of the other side belongs to.
    fn of(&mut self, request: &Message<'_>) -> Option<&mut Call> {
        self.all.iter_mut().find(|c| match &c.stage {
            Stage::Inviting(inviting) => inviting.early.iter().any(|d| d.holds(request)),
            Stage::Ringing(Ringing { dialog, .. })
            | Stage::Confirmed(Confirmed { dialog, .. })
            | Stage::Ending(Ending { dialog, .. }) => dialog.holds(request),
        })
    }

    fn end(&mut self, number: u32, status: u16, cause: &'static str, out: &mut Outbox) {
        let Some(at) = self.all.iter().position(|c| c.number == number) else { return };
        let Call { number: call, peer, .. } = self.all.remove(at);
        tell(out, || What::DialogEnded { call, peer, status, cause });
    }
}

impl Call {
    fn due(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Ringing(ringing) => ringing.answer_at,
            Stage::Confirmed(confirmed) => confirmed.answer.as_ref().map(|a| a.repeat_at.min(a.until)),
            Stage::Inviting(_) | Stage::Ending(_) => None,
        }
    }
}

/// Whom a call is with, as From or To names them.
fn peer(message: &Message<'_>) -> Impu {
    message.from().map_or_else(|_| Impu::from(""), |from| Impu::from(from.uri.text))
}

/// What a session offers to the other side in all its messages.
const ALLOWED: (HeaderName, &str) = (HeaderName::Allow, super::requests::ALLOW);
