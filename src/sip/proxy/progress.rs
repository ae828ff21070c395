//! What comes of the copies of a request: responses on their way back, CANCEL, silence (RFC 3261 clauses 16.7 to 16.10).

use super::context::{Context, Sent};
use super::emit::{Rewrite, write_own_response, write_response};
use super::{Branch, Cancelled, ContextId, Due, Io, Progress, Proxy, TIMER_C};
use crate::sip::Message;
use crate::sip::transaction::{ClientId, EndCause, ServerId};

impl<K: Rewrite> Proxy<K> {
    /// A provisional response: sent back, but for 100 (clause 16.7 steps 2 and 5).
    pub fn provisional<C>(&mut self, io: &mut Io<'_, C>, branch: Branch, response: &Message<'_>) {
        let Some(open) = self.contexts.get_mut(&branch.context) else { return };
        let status = response.status().unwrap_or_default();
        open.heard(branch.number, status, io.now + TIMER_C);
        if status > 100 && !open.is_answered {
            let Context { server, kept, .. } = open;
            io.transactions.respond(io.now, *server, status, io.out, |bytes| {
                write_response(response, status, kept, &[], bytes);
            });
        }
    }

    /// A 2xx to INVITE, each one: sent back at once; what else is out is cancelled (clause 16.7 steps 5 and 10).
    pub fn accepted<C>(&mut self, io: &mut Io<'_, C>, branch: Branch, response: &Message<'_>) {
        let Some(open) = self.contexts.get_mut(&branch.context) else { return };
        let is_first = !std::mem::replace(&mut open.is_answered, true);
        open.ended(branch.number);
        let status = response.status().unwrap_or_default();
        let Context { server, kept, .. } = open;
        io.transactions.respond(io.now, *server, status, io.out, |bytes| {
            write_response(response, status, kept, &[], bytes);
        });
        if is_first {
            open.lasts = true;
            self.timeouts.after(io.now, open.repeats, Due::End(branch.context));
            self.cancel_pending(io, branch.context, Some("SIP;cause=200;text=\"Call completed elsewhere\""));
        }
    }

    /// Any other final response (clause 16.7 steps 5 and 6).
    pub fn answered<C>(&mut self, io: &mut Io<'_, C>, branch: Branch, response: &Message<'_>) -> Progress {
        let Some(open) = self.contexts.get_mut(&branch.context) else { return Progress::Going };
        open.ended(branch.number);
        let status = response.status().unwrap_or_default();
        if status / 100 == 2 {
            if !std::mem::replace(&mut open.is_answered, true) {
                let Context { server, kept, .. } = open;
                io.transactions.respond(io.now, *server, status, io.out, |bytes| {
                    write_response(response, status, kept, &[], bytes);
                });
            }
        } else {
            open.consider(status, response);
            if status >= 600 {
                self.cancel_pending(io, branch.context, None);
            }
        }
        self.settle(io, branch.context)
    }

    /// A client transaction ended without a final response: as if 408 or 503 had come (clauses 16.8 and 16.9).
    pub fn ended<C>(&mut self, io: &mut Io<'_, C>, client: ClientId, branch: Branch, cause: EndCause) -> Progress {
        let status = match cause {
            EndCause::Timeout => 408,
            EndCause::TransportError => 503,
        };
        let sent = io.transactions.sent(client).unwrap_or_default().to_vec();
        self.give_up(io, branch, status, &sent)
    }

    /// Sends the best response back, and ends the context (clause 16.7 steps 6 to 9).
    pub fn conclude<C>(&mut self, io: &mut Io<'_, C>, context: ContextId) -> Option<K> {
        let Context { server, kept, best, challenges, .. } = self.remove(context)?;
        let parsed = best.as_ref().and_then(|best| Some((best.status, Message::parse(&best.response).ok()?)));
        let Some((status, response)) = parsed else {
            // A copy that nobody could have answered.
            io.transactions.abandon(io.now, server);
            return Some(kept);
        };
        // A 503 would make the client avoid us, not the one who is overloaded.
        let status = if status == 503 { 500 } else { status };
        let more: &[u8] = if matches!(status, 401 | 407) { &challenges } else { &[] };
        io.transactions.respond(io.now, server, status, io.out, |bytes| {
            write_response(&response, status, &kept, more, bytes);
        });
        Some(kept)
    }

    /// The request of `server` is cancelled (clause 16.10). The CANCEL itself is answered by the element.
    pub fn cancel<C>(&mut self, io: &mut Io<'_, C>, server: ServerId, reason: Option<&str>) -> Cancelled<K> {
        let Some(&context) = self.by_server.get(&server) else { return Cancelled::Unknown };
        let Some(open) = self.contexts.get_mut(&context) else { return Cancelled::Unknown };
        if !open.is_invite || open.is_answered {
            return Cancelled::Passed;
        }
        open.is_cancelled = true;
        if open.pending().next().is_none() {
            return self.remove(context).map_or(Cancelled::Unknown, |closed| Cancelled::NotForwarded(closed.kept));
        }
        self.cancel_pending(io, context, reason);
        Cancelled::Passed
    }

    pub(super) fn on_timer_c<C>(&mut self, io: &mut Io<'_, C>, branch: Branch) -> Progress {
        let Some(open) = self.contexts.get_mut(&branch.context) else { return Progress::Going };
        let Some(Sent::Pending { client, until, has_rung }) = open.sent(branch.number) else { return Progress::Going };
        if until > io.now {
            self.timeouts.at(until, Due::C(branch));
            return Progress::Going;
        }
        if has_rung {
            io.transactions.cancel(io.now, client, None, io.out);
            return Progress::Going;
        }
        let sent = io.transactions.sent(client).unwrap_or_default().to_vec();
        io.transactions.forget(client);
        self.give_up(io, branch, 408, &sent)
    }

    /// `sent` is the copy to which nobody answers.
    fn give_up<C>(&mut self, io: &mut Io<'_, C>, branch: Branch, status: u16, sent: &[u8]) -> Progress {
        let Some(open) = self.contexts.get_mut(&branch.context) else { return Progress::Going };
        open.ended(branch.number);
        let tag = self.random.token::<10>();
        let mut response = Vec::new();
        if let Ok(sent) = Message::parse(sent) {
            write_own_response(&sent, status, tag.as_str(), &mut response);
        }
        if let Ok(response) = Message::parse(&response) {
            open.consider(status, &response);
        }
        self.settle(io, branch.context)
    }

    fn cancel_pending<C>(&self, io: &mut Io<'_, C>, context: ContextId, reason: Option<&str>) {
        let Some(open) = self.contexts.get(&context).filter(|open| open.is_invite) else { return };
        for (_, client) in open.pending() {
            io.transactions.cancel(io.now, client, reason, io.out);
        }
    }

    /// Looks whether anything is still to come.
    pub(super) fn settle<C>(&mut self, io: &mut Io<'_, C>, context: ContextId) -> Progress {
        let Some(open) = self.contexts.get(&context) else { return Progress::Going };
        if open.pending().next().is_some() || open.lasts {
            return Progress::Going;
        }
        if open.is_answered {
            self.remove(context);
            return Progress::Going;
        }
        let status = open.best.as_ref().map_or(408, |best| best.status);
        if open.is_cancelled || status >= 600 {
            self.conclude(io, context);
            return Progress::Going;
        }
        Progress::Exhausted { context, status }
    }
}
