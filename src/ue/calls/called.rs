//! The side that is invited.

use super::{Call, Confirmed, Ringing, Stage, Unacknowledged, peer};
use crate::event::What;
use crate::packet::{Outbox, Packet};
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message, Method};
use crate::time::Instant;
use crate::ue::dialog::Dialog;
use crate::ue::outgoing::CannotSend;
use crate::ue::requests::Reply;
use crate::ue::{InvitePolicy, Ue, sdp, tell};

impl Ue {
    /// Answers a call that rings.
    pub fn pick_up(&mut self, now: Instant, call: u32, out: &mut Outbox) -> Result<(), CannotSend> {
        match self.calls.get(call) {
            Some(Call { stage: Stage::Ringing(_), .. }) => {
                self.accept(now, call, out);
                Ok(())
            }
            _ => Err(CannotSend::NoSuchCall),
        }
    }

    /// INVITE outside of dialogs.
    pub(in crate::ue) fn on_invite(
        &mut self,
        now: Instant,
        server: ServerId,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let tag = self.random.token::<12>();
        let Some(dialog) = Dialog::asked_by(message, tag.as_str()) else {
            // Without a Contact nobody can be answered within the dialog (RFC 3261 clause 8.1.1.8).
            return self.respond(now, server, 400, packet, message, out);
        };
        let answer_at = match self.config.invite {
            InvitePolicy::Answer { after } => Some(now + after),
            InvitePolicy::Ring => None,
            InvitePolicy::Refuse { status } => return self.respond(now, server, status, packet, message, out),
        };
        let source = packet.from;
        let request = message.bytes().into();
        let peer = peer(message);
        let ringing = Ringing { server, source, request, dialog, answer_at };
        let call = self.calls.add(peer.clone(), Stage::Ringing(ringing));
        let reply = Reply { tag: tag.as_str(), with_contact: true, ..Reply::new(180) };
        self.reply(now, server, source, message, &reply, out);
        tell(out, || What::DialogEarly { call, peer, status: 180 });
        self.handle_call_timeout(now, out);
    }

    /// A request within a dialog. `None`: there is no such dialog.
    pub(in crate::ue) fn on_in_dialog(
        &mut self,
        now: Instant,
        server: ServerId,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> Option<()> {
        let here = self.config.local.ip();
        let Call { number: call, stage, .. } = self.calls.of(message)?;
        let call = *call;
        let (dialog, is_ringing) = match stage {
            Stage::Inviting(inviting) => (inviting.early.iter_mut().find(|d| d.holds(message))?, false),
            Stage::Ringing(ringing) => (&mut ringing.dialog, true),
            Stage::Confirmed(confirmed) => (&mut confirmed.dialog, false),
            Stage::Ending(ending) => (&mut ending.dialog, false),
        };
        if !dialog.advance(message) {
            // RFC 3261 clause 12.2.2.
            self.respond(now, server, 500, packet, message, out);
            return Some(());
        }
        match message.method()? {
            Method::Bye => {
                self.respond(now, server, 200, packet, message, out);
                if is_ringing {
                    self.refuse_ringing(now, call, 487, "the caller hung up", out);
                } else {
                    self.calls.end(call, 200, "the other side hung up", out);
                }
            }
            Method::Invite | Method::Update => {
                dialog.refresh(message);
                let tag: Box<str> = dialog.local_tag().into();
                let is_invite = message.method() == Some(Method::Invite);
                let is_pending = match stage {
                    Stage::Confirmed(confirmed) => is_invite && confirmed.answer.is_some(),
                    // RFC 3261 clause 14.2; in an early dialog only UPDATE is possible.
                    _ => is_invite,
                };
                if is_pending {
                    self.respond(now, server, 491, packet, message, out);
                    return Some(());
                }
                let body = description(message, is_invite, here);
                let reply = Reply { tag: &tag, with_contact: true, body: &body, ..Reply::new(200) };
                let bytes: Box<[u8]> = self.reply(now, server, packet.from, message, &reply, out).into();
                if is_invite {
                    self.await_ack(now, call, server, message, bytes);
                }
            }
            // INFO and MESSAGE within a session.
            Method::Info | Method::Message | Method::Options => {
                self.respond(now, server, 200, packet, message, out);
            }
            _ => self.respond(now, server, 405, packet, message, out),
        }
        Some(())
    }

    /// An ACK for a 2xx of ours.
    pub(in crate::ue) fn on_ack(&mut self, message: &Message<'_>) {
        let Some(Call { stage: Stage::Confirmed(confirmed), .. }) = self.calls.of(message) else { return };
        let seq = message.cseq().map(|cseq| cseq.number);
        if confirmed.answer.as_ref().is_some_and(|answer| seq == Ok(answer.seq)) {
            confirmed.answer = None;
        }
    }

    /// A CANCEL of the INVITE of `invite` has come.
    pub(in crate::ue) fn on_invite_cancelled(&mut self, now: Instant, invite: ServerId, out: &mut Outbox) {
        let is_it = |c: &&Call| matches!(&c.stage, Stage::Ringing(ringing) if ringing.server == invite);
        if let Some(call) = self.calls.all.iter().find(is_it).map(|c| c.number) {
            self.refuse_ringing(now, call, 487, "cancelled by the caller", out);
        }
    }

    /// What a timer of a call is for: the answer after ringing, a 2xx repeated, or the end of waiting for its ACK.
    pub(super) fn on_call_due(&mut self, now: Instant, call: u32, out: &mut Outbox) {
        let t2 = self.config.timers.t2;
        match self.calls.get(call).map(|c| &mut c.stage) {
            Some(Stage::Ringing(_)) => self.accept(now, call, out),
            Some(Stage::Confirmed(Confirmed { answer: Some(answer), .. })) if answer.until > now => {
                answer.interval = (answer.interval * 2).min(t2);
                answer.repeat_at = now + answer.interval;
                let server = answer.server;
                let bytes = &answer.bytes;
                self.transactions.respond(now, server, 200, out, |out| out.extend_from_slice(bytes));
            }
            Some(Stage::Confirmed(confirmed)) => {
                // RFC 3261 clause 13.3.1.4.
                confirmed.answer = None;
                if self.bye(now, call, "no ACK came", out).is_err() {
                    self.calls.end(call, 0, "no ACK came", out);
                }
            }
            _ => {}
        }
    }

    /// Answers an INVITE that rings by 200.
    fn accept(&mut self, now: Instant, call: u32, out: &mut Outbox) {
        let Some(found) = self.calls.get(call) else { return };
        let peer = found.peer.clone();
        let Stage::Ringing(Ringing { server, source, request, dialog, .. }) = &found.stage else { return };
        let (server, source, request, dialog) = (*server, *source, request.clone(), dialog.clone());
        let Ok(message) = Message::parse(&request) else { return };
        let body = description(&message, true, self.config.local.ip());
        let tag: Box<str> = dialog.local_tag().into();
        let reply = Reply { tag: &tag, with_contact: true, body: &body, ..Reply::new(200) };
        let bytes: Box<[u8]> = self.reply(now, server, source, &message, &reply, out).into();
        self.calls.set(call, Stage::Confirmed(Confirmed { dialog, ack: None, answer: None }));
        self.await_ack(now, call, server, &message, bytes);
        tell(out, || What::DialogConfirmed { call, peer });
    }

    /// RFC 3261 clause 13.3.1.4: a 2xx is repeated until its ACK comes, over any transport.
    fn await_ack(&mut self, now: Instant, call: u32, server: ServerId, invite: &Message<'_>, bytes: Box<[u8]>) {
        let t1 = self.config.timers.t1;
        let seq = invite.cseq().map_or(0, |cseq| cseq.number);
        if let Some(Call { stage: Stage::Confirmed(confirmed), .. }) = self.calls.get(call) {
            let (repeat_at, until) = (now + t1, now + t1 * 64);
            confirmed.answer = Some(Unacknowledged { server, seq, bytes, repeat_at, interval: t1, until });
        }
    }

    /// Ends an INVITE that rings.
    pub(super) fn refuse_ringing(
        &mut self,
        now: Instant,
        call: u32,
        status: u16,
        cause: &'static str,
        out: &mut Outbox,
    ) {
        let Some(Call { stage: Stage::Ringing(ringing), .. }) = self.calls.get(call) else { return };
        let Ringing { server, source, request, dialog, .. } = ringing;
        let (server, source, request, tag) = (*server, *source, request.clone(), Box::<str>::from(dialog.local_tag()));
        if let Ok(message) = Message::parse(&request) {
            let reply = Reply { tag: &tag, ..Reply::new(status) };
            self.reply(now, server, source, &message, &reply, out);
        }
        self.calls.end(call, status, cause, out);
    }
}

/// The description in a 200: the answer to an offer, or an offer where an INVITE has none.
fn description(request: &Message<'_>, is_invite: bool, here: std::net::IpAddr) -> String {
    if sdp::is_sdp(request.header(HeaderName::ContentType)) {
        sdp::answer(request.body(), here)
    } else if is_invite {
        sdp::offer(here)
    } else {
        String::new()
    }
}
