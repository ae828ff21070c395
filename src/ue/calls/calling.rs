//! The side that invites.

use super::{ALLOWED, Acknowledged, Call, Confirmed, Inviting, Stage};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::Outbox;
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Message};
use crate::time::Instant;
use crate::ue::dialog::Dialog;
use crate::ue::outgoing::{CannotSend, Content};
use crate::ue::{Asked, Ue, sdp, tell};

impl Ue {
    /// Invites `to` to a session, with this offer; without one the other side makes it. Returns the number of the call.
    pub fn invite(&mut self, now: Instant, to: &str, offer: &str, out: &mut Outbox) -> Result<u32, CannotSend> {
        let way = self.way().ok_or(CannotSend::NotRegistered)?;
        let mut dialog = self.outside(to)?;
        let number = self.calls.last + 1;
        let asked = Asked::Invite(number);
        let client = self.ask_for(now, "INVITE", &mut dialog, &way, inviting(offer), asked, out);
        let has_offered = !offer.is_empty();
        let stage = Inviting { client, dialog, early: Vec::new(), cancelled: false, has_offered };
        Ok(self.calls.add(Impu::from(to), Stage::Inviting(stage)))
    }

    /// Sends another INVITE in a confirmed dialog, with this offer.
    pub fn reinvite(&mut self, now: Instant, call: u32, offer: &str, out: &mut Outbox) -> Result<(), CannotSend> {
        let way = self.way().ok_or(CannotSend::NotRegistered)?;
        let found = self.calls.get(call).ok_or(CannotSend::NoSuchCall)?;
        let Stage::Confirmed(confirmed) = &found.stage else { return Err(CannotSend::NoSuchCall) };
        let mut dialog = confirmed.dialog.clone();
        self.ask_for(now, "INVITE", &mut dialog, &way, inviting(offer), Asked::Reinvite(call), out);
        let Some(Call { stage: Stage::Confirmed(confirmed), .. }) = self.calls.get(call) else {
            unreachable!("it was confirmed a moment ago")
        };
        confirmed.dialog = dialog;
        Ok(())
    }

    /// A 1xx: with a tag it makes an early dialog (RFC 3261 clause 12.1).
    pub(in crate::ue) fn on_invite_provisional(&mut self, call: u32, response: &Message<'_>, out: &mut Outbox) {
        let status = response.status().unwrap_or_default();
        let Some(Call { stage: Stage::Inviting(inviting), peer, .. }) = self.calls.get(call) else { return };
        if status == 100 || inviting.early.iter().any(|d| d.is_with(response)) {
            return;
        }
        if let Some(early) = inviting.dialog.answered_by(response) {
            inviting.early.push(early);
            let peer = peer.clone();
            tell(out, || What::DialogEarly { call, peer, status });
        }
    }

    /// A 2xx, each copy and each branch of it (RFC 3261 clause 13.2.2.4).
    pub(in crate::ue) fn on_invite_accepted(
        &mut self,
        now: Instant,
        call: u32,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Ok(seq) = response.cseq().map(|cseq| cseq.number) else { return };
        let Some(way) = self.way() else { return };
        let Some(found) = self.calls.get(call) else { return };
        let (outside, cancelled, has_offered) = match &mut found.stage {
            Stage::Inviting(inviting) => (inviting.dialog.clone(), inviting.cancelled, inviting.has_offered),
            Stage::Confirmed(confirmed) if confirmed.dialog.is_with(response) => {
                match &confirmed.ack {
                    Some(ack) if ack.seq == seq => {
                        out.transmit(way.route, |bytes| bytes.extend_from_slice(&ack.bytes));
                    }
                    _ => self.accept_again(call, seq, response, out),
                }
                return;
            }
            Stage::Confirmed(Confirmed { dialog, .. }) => (dialog.clone(), true, true),
            Stage::Ringing(_) | Stage::Ending(_) => return,
        };
        let Some(mut dialog) = outside.answered_by(response) else { return };
        let is_first = matches!(found.stage, Stage::Inviting(_));
        let ack = self.answer_in_ack(&dialog, seq, has_offered, response, out);
        if !is_first {
            // Another branch was faster: this dialog ends at once.
            self.ask_for(now, "BYE", &mut dialog, &way, Content::default(), Asked::Nothing, out);
            return;
        }
        let confirmed = Confirmed { dialog, ack: Some(ack), answer: None };
        self.calls.set(call, Stage::Confirmed(confirmed));
        let peer = self.calls.get(call).map(|c| c.peer.clone()).expect("it was there a moment ago");
        tell(out, || What::DialogConfirmed { call, peer });
        if cancelled {
            // The 2xx and the CANCEL have crossed (RFC 3261 clause 9.1).
            let sent = self.bye(now, call, "cancelled, and yet accepted", out);
            debug_assert!(sent.is_ok(), "there is a way, and the dialog is confirmed");
        }
    }

    /// A final response other than 2xx, or 0 for none.
    pub(in crate::ue) fn on_invite_failed(&mut self, call: u32, status: u16, out: &mut Outbox) {
        let Some(Call { stage: Stage::Inviting(inviting), .. }) = self.calls.get(call) else { return };
        let cause = match status {
            _ if inviting.cancelled => "cancelled",
            0 => "no answer",
            _ => "refused",
        };
        self.calls.end(call, status, cause, out);
    }

    /// A final response other than 2xx to another INVITE: the session stays as it was, unless there is none any more
    /// (RFC 3261 clause 14.1).
    pub(in crate::ue) fn on_reinvite_failed(&mut self, call: u32, status: u16, out: &mut Outbox) {
        if matches!(status, 0 | 408 | 481) {
            self.calls.end(call, status, "the other side has forgotten it", out);
        }
    }

    /// The 2xx to another INVITE of ours.
    fn accept_again(&mut self, call: u32, seq: u32, response: &Message<'_>, out: &mut Outbox) {
        let Some(Call { stage: Stage::Confirmed(confirmed), .. }) = self.calls.get(call) else { return };
        confirmed.dialog.refresh(response);
        let dialog = confirmed.dialog.clone();
        let ack = self.answer_in_ack(&dialog, seq, true, response, out);
        if let Some(Call { stage: Stage::Confirmed(confirmed), .. }) = self.calls.get(call) {
            confirmed.ack = Some(ack);
        }
    }

    /// The ACK; it holds the answer where the 2xx holds the offer.
    fn answer_in_ack(
        &mut self,
        dialog: &Dialog,
        seq: u32,
        has_offered: bool,
        response: &Message<'_>,
        out: &mut Outbox,
    ) -> Acknowledged {
        let is_offer = !has_offered && sdp::is_sdp(response.header(HeaderName::ContentType));
        let answer = if is_offer { sdp::answer(response.body(), self.config.local.ip()) } else { String::new() };
        let content_type = if is_offer { sdp::CONTENT_TYPE } else { "" };
        let content = Content { content_type, body: answer.as_bytes(), ..Content::default() };
        let way = self.way().expect("the caller has found one");
        self.acknowledge(dialog, seq, &way, content, out)
    }

    /// True when `client` is the INVITE of a call that is still being set up.
    pub(in crate::ue) fn call_of(&mut self, client: ClientId) -> Option<u32> {
        match self.transactions.context(client)? {
            Asked::Invite(call) | Asked::Reinvite(call) => Some(*call),
            _ => None,
        }
    }
}

fn inviting(offer: &str) -> Content<'_> {
    let content_type = if offer.is_empty() { "" } else { sdp::CONTENT_TYPE };
    Content { content_type, body: offer.as_bytes(), with_contact: true, more: &[ALLOWED] }
}
