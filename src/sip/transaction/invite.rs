//! What client transactions of INVITE have of their own: ACK and CANCEL (RFC 3261 clauses 17.1.1 and 9.1, RFC 6026).

use super::client::{Client, ClientTimer, Clients, State};
use super::table::Handle;
use super::{ClientId, Incoming, Shared, Timer};
use crate::packet::Outbox;
use crate::sip::{HeaderName, Message, Method, NameSet, Part, Writer};
use crate::time::{Duration, Instant};

/// A CANCEL: a transaction of its own that shares the branch, and whose outcome only its INVITE tells.
#[derive(Debug)]
pub(super) struct Cancel {
    state: CancelState,
    /// Reason (RFC 3326).
    reason: Option<Box<str>>,
}

#[derive(Debug)]
enum CancelState {
    /// Until a provisional response says that the INVITE has arrived.
    AwaitingProvisional,
    /// Sent; over UDP it is repeated, next after this interval.
    Sent(Box<[u8]>, Duration),
    /// Somebody has answered it.
    Answered,
}

impl<C> Clients<C> {
    /// Sends a CANCEL now or as soon as a provisional response has come.
    pub(super) fn cancel(
        &mut self,
        now: Instant,
        client: ClientId,
        reason: Option<&str>,
        out: &mut Outbox,
        shared: &mut Shared,
    ) {
        let handle = client.into();
        let Some(client) = self.get_mut(handle).filter(|client| client.is_invite && client.cancel.is_none()) else {
            return;
        };
        let has_arrived = match client.state {
            State::Trying(..) => false,
            State::Proceeding(_) => true,
            _ => return,
        };
        client.cancel =
            Some(Box::new(Cancel { state: CancelState::AwaitingProvisional, reason: reason.map(Into::into) }));
        if has_arrived {
            client.send_cancel(now, handle, out, shared);
        }
    }

    /// A response with the branch of an INVITE.
    pub(super) fn receive_for_invite(
        &mut self,
        now: Instant,
        handle: Handle,
        (status, method): (u16, Method<'_>),
        response: &Message<'_>,
        out: &mut Outbox,
        shared: &mut Shared,
    ) -> Incoming<C> {
        let client = self.get_mut(handle).expect("the caller has just found it");
        match (method, &client.state) {
            (Method::Cancel, _) => return client.cancel_answered(status),
            (Method::Invite, State::Trying(..) | State::Proceeding(_)) => {}
            (Method::Invite, State::Accepted(_)) if status / 100 == 2 => return Incoming::Accepted(handle.into()),
            (Method::Invite, State::Accepted(_)) => return Incoming::Absorbed,
            (Method::Invite, State::Acknowledged(ack)) => {
                if status >= 300 && !ack.is_empty() {
                    out.transmit(client.route, |bytes| bytes.extend_from_slice(ack));
                }
                return Incoming::Absorbed;
            }
            _ => return Incoming::Stray,
        }
        let (State::Trying(context, _) | State::Proceeding(context)) =
            std::mem::replace(&mut client.state, State::Ended)
        else {
            unreachable!("other states have returned")
        };
        let through = 64 * client.timers.t1;
        match status {
            ..200 => {
                client.state = State::Proceeding(context);
                if client.cancel.is_some() {
                    client.send_cancel(now, handle, out, shared);
                }
                Incoming::Provisional(handle.into())
            }
            200..300 => {
                client.state = State::Accepted(context);
                shared.timeouts.after(now, through, Timer::Client(handle, ClientTimer::K));
                self.close(handle);
                Incoming::Accepted(handle.into())
            }
            _ => {
                let ack = ack_for(&client.request, response).unwrap_or_default();
                if !ack.is_empty() {
                    out.transmit(client.route, |bytes| bytes.extend_from_slice(&ack));
                }
                if !client.route.transport.is_reliable() {
                    client.state = State::Acknowledged(ack);
                    let through = through.max(SHORTEST_D);
                    shared.timeouts.after(now, through, Timer::Client(handle, ClientTimer::K));
                }
                self.close(handle);
                Incoming::Final(handle.into(), context)
            }
        }
    }
}

impl<C> Client<C> {
    /// Sends the CANCEL that waits, if one does.
    fn send_cancel(&mut self, now: Instant, handle: Handle, out: &mut Outbox, shared: &mut Shared) {
        let Some(cancel) = self.cancel.as_deref_mut() else { return };
        if !matches!(cancel.state, CancelState::AwaitingProvisional) {
            return;
        }
        if let Some(request) = cancel_for(&self.request, cancel.reason.as_deref()) {
            out.transmit(self.route, |bytes| bytes.extend_from_slice(&request));
            cancel.state = CancelState::Sent(request, self.timers.t1);
        }
        if !self.route.transport.is_reliable() {
            shared.timeouts.after(now, self.timers.t1, Timer::Client(handle, ClientTimer::Cancel));
        }
        // RFC 3261 clause 9.1: without a final response by then the INVITE counts as cancelled.
        shared.timeouts.after(now, 64 * self.timers.t1, Timer::Client(handle, ClientTimer::Cancelled));
    }

    /// Timer E of the CANCEL.
    pub(super) fn repeat_cancel(&mut self, now: Instant, handle: Handle, out: &mut Outbox, shared: &mut Shared) {
        let Some(cancel) = self.cancel.as_deref_mut() else { return };
        let CancelState::Sent(request, interval) = &mut cancel.state else { return };
        out.transmit(self.route, |bytes| bytes.extend_from_slice(request));
        *interval = (*interval * 2).min(self.timers.t2);
        shared.timeouts.after(now, *interval, Timer::Client(handle, ClientTimer::Cancel));
    }

    fn cancel_answered(&mut self, status: u16) -> Incoming<C> {
        let Some(cancel) = self.cancel.as_deref_mut() else { return Incoming::Stray };
        match cancel.state {
            CancelState::AwaitingProvisional => Incoming::Stray,
            CancelState::Sent(..) if status >= 200 => {
                cancel.state = CancelState::Answered;
                Incoming::Absorbed
            }
            _ => Incoming::Absorbed,
        }
    }
}

/// RFC 3261 clause 17.1.1.3: goes where the INVITE went, with the same branch.
fn ack_for(request: &[u8], response: &Message<'_>) -> Option<Box<[u8]>> {
    let mut out = Vec::new();
    write_related(request, Method::Ack, Some(response), &mut out)?.finish(b"");
    Some(out.into())
}

fn cancel_for(request: &[u8], reason: Option<&str>) -> Option<Box<[u8]>> {
    let mut out = Vec::new();
    let mut w = write_related(request, Method::Cancel, None, &mut out)?;
    if let Some(reason) = reason {
        w.header_named("Reason", reason);
    }
    w.finish(b"");
    Some(out.into())
}

/// What ACK and CANCEL take from the INVITE; the To of an ACK is that of the response. `None` where the owner wrote no
/// message.
fn write_related<'b>(
    request: &[u8],
    method: Method<'_>,
    response: Option<&Message<'_>>,
    out: &'b mut Vec<u8>,
) -> Option<Writer<'b>> {
    let request = Message::parse(request).ok()?;
    let mut w = Writer::request(out, method.as_str(), request.request_uri().unwrap_or_default());
    w.header_number(HeaderName::MaxForwards, MAX_FORWARDS);
    let mut is_top = true;
    for part in request.parts(RELATED) {
        let Part::Line(line) = part else { continue };
        match line.name {
            // Ours is a line of its own.
            HeaderName::Via if !std::mem::take(&mut is_top) => {}
            HeaderName::To => {
                let theirs = response.and_then(|response| response.header(HeaderName::To));
                w.header(HeaderName::To, theirs.unwrap_or(line.value));
            }
            HeaderName::CSeq => {
                let number = request.cseq().map_or(0, |cseq| cseq.number);
                w.header_fmt(HeaderName::CSeq, format_args!("{number} {method}"));
            }
            _ => {
                w.copy(&line);
            }
        }
    }
    Some(w)
}

const RELATED: NameSet = NameSet::of(&[
    HeaderName::Via,
    HeaderName::Route,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
]);
const MAX_FORWARDS: u64 = 70;
/// Timer D over UDP: at least 32 s, whatever T1 is.
const SHORTEST_D: Duration = Duration::from_secs(32);
