//! Responses to requests other than REGISTER: of the core to UEs, and of UEs to the core.

use super::Asked;
use super::rewrite::{Passage, is_private};
use crate::event::{Event, Role, What};
use crate::packet::{Outbox, Packet};
use crate::pcscf::Pcscf;
use crate::pcscf::refusal::Refusal;
use crate::pcscf::refuse::tell;
use crate::pcscf::to_ue::Answer;
use crate::sip::Message;
use crate::sip::proxy::{Branch, Progress};
use crate::sip::transaction::{ClientId, EndCause, Ended, Incoming};
use crate::time::Instant;

impl Pcscf {
    pub(in crate::pcscf) fn on_passed_response(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        if let Err(cause) = self.admit_response(now, packet) {
            self.dropped += 1;
            let (from, to) = (packet.from, packet.to);
            out.event(|| Event { role: Role::Pcscf, what: What::PacketDropped { from, to, cause } });
            return;
        }
        match self.to_ue.receive(now, packet, message, out) {
            Incoming::Provisional(client) => {
                if let Some(&mut Asked::Passed(branch)) = self.to_ue.context(client) {
                    self.note_privacy(branch, message);
                    self.proxy.provisional(&mut self.to_ue.io(now, out), branch, message);
                }
            }
            Incoming::Accepted(client) => {
                if let Some(&mut Asked::Passed(branch)) = self.to_ue.context(client) {
                    self.note_privacy(branch, message);
                    self.proxy.accepted(&mut self.to_ue.io(now, out), branch, message);
                }
            }
            Incoming::Final(_, Asked::Passed(branch)) => {
                self.note_privacy(branch, message);
                let progress = self.proxy.answered(&mut self.to_ue.io(now, out), branch, message);
                self.on_progress(now, progress, out);
            }
            Incoming::Final(_, Asked::Probe(flow)) => self.heard(now, flow),
            Incoming::Final(_, Asked::Watch(flow)) => self.on_subscribed(now, flow, Some(message)),
            _ => {}
        }
    }

    /// Requests that were passed on and will not be answered.
    pub(in crate::pcscf) fn on_unanswered(&mut self, now: Instant, ended: Vec<Ended<Asked>>, out: &mut Outbox) {
        for Ended { client, context, cause } in ended {
            match context {
                Asked::Passed(branch) if cause == EndCause::TransportError && self.is_for_ue(branch) => {
                    self.on_flow_failed(now, client, branch, out);
                }
                Asked::Passed(branch) => {
                    let progress = self.proxy.ended(&mut self.to_ue.io(now, out), client, branch, cause);
                    let is_done = match progress {
                        Progress::Exhausted { context, .. } => self.send_to_registration(now, context, out),
                        Progress::Going => true,
                    };
                    if !is_done {
                        self.on_progress(now, progress, out);
                    }
                }
                // `liveness` has its own timers.
                Asked::Probe(_) => {}
                Asked::Watch(flow) => self.on_subscribed(now, flow, None),
            }
        }
    }

    /// The connection to a UE cannot be made, or was lost before the answer (RFC 5626 clause 5.3.1).
    fn on_flow_failed(&mut self, now: Instant, client: ClientId, branch: Branch, out: &mut Outbox) {
        let sent = self.to_ue.sent(client).unwrap_or_default().to_vec();
        let Some(server) = self.proxy.server(branch.context()) else { return };
        self.proxy.close(&mut self.to_ue.io(now, out), branch.context());
        let Ok(request) = Message::parse(&sent) else { return self.to_ue.abandon(now, server) };
        let answer = Answer::Forwarded { request: &request, status: Refusal::FlowGone.status() };
        self.to_ue.answer(now, server, &answer, out);
        tell(&Refusal::FlowGone, out);
    }

    fn is_for_ue(&mut self, branch: Branch) -> bool {
        matches!(self.proxy.kept(branch.context()), Some(Passage::ToUe { .. }))
    }

    /// Runs timer C and the like.
    pub(in crate::pcscf) fn handle_passing_timeout(&mut self, now: Instant, out: &mut Outbox) {
        let mut all = Vec::new();
        self.proxy.handle_timeout(&mut self.to_ue.io(now, out), &mut all);
        for progress in all {
            self.on_progress(now, progress, out);
        }
    }

    /// There is one way, and it has failed: the best response decides.
    fn on_progress(&mut self, now: Instant, progress: Progress, out: &mut Outbox) {
        if let Progress::Exhausted { context, .. } = progress {
            self.proxy.conclude(&mut self.to_ue.io(now, out), context);
        }
    }

    /// TS 33.203 clause 7.1: a UE with SAs answers over them, and over none that is temporary.
    fn admit_response(&mut self, now: Instant, packet: &Packet<'_>) -> Result<(), &'static str> {
        if packet.sa.is_none() {
            return match self.books.has_established(packet.from) && !self.is_core(packet.from.ip()) {
                true => Err("answer in clear beside live SAs"),
                false => Ok(()),
            };
        }
        let over = self.books.carrier(packet).ok_or("no SA fits this packet")?;
        if !self.books.get(over).is_some_and(|set| set.phase.is_established()) {
            return Err("answer over a temporary SA");
        }
        self.books.used(now, over);
        if let Some(flow) = self.books.get(over).map(|set| set.flow) {
            self.heard(now, flow);
        }
        Ok(())
    }

    fn note_privacy(&mut self, branch: Branch, message: &Message<'_>) {
        if let Some(Passage::FromUe { is_private: slot, .. }) = self.proxy.kept(branch.context()) {
            *slot = is_private(message);
        }
    }
}
