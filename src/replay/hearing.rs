//! What comes: found in the script, compared, and learnt from.

use super::answers::Judged;
use super::comparison::{Comparison, Sender};
use super::player::{Asked, Player};
use super::report::Outcome;
use super::rewrite::renewed;
use super::script::{Step, endpoint};
use crate::packet::{Effect, Outbox, Packet, Route};
use crate::sip::transaction::{ServerId, copy_vias};
use crate::sip::{HeaderName, Message, Writer};
use crate::time::Instant;

impl Player {
    /// The final response to the request of step `asked`.
    pub(super) fn hear_response(
        &mut self,
        now: Instant,
        asked: usize,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let exchange = self.script.steps[asked].exchange;
        let awaited = self.of_exchange(exchange).find(|index| self.script.steps[*index].status.is_some());
        let Some(index) = awaited else {
            let name = format!("{} to {}", message.status().unwrap_or_default(), self.script.steps[asked].method);
            let is_last = asked + 1 == self.script.steps.len();
            let outcome = match is_last {
                true => Outcome::Note("the recording ends before its answer".to_owned()),
                false => Outcome::Added,
            };
            self.report.note(now, None, &name, outcome);
            return;
        };
        let step = self.script.steps[index].clone();
        let comparison = self.compare(&step, message);
        self.settle(index, now);
        self.report.note(now, Some(step.number), &step.name(), Outcome::Came(comparison));
        self.learn(&step, message);
        if message.status() != step.status {
            if step.is_register() {
                self.finish(now);
            }
            return;
        }
        if matches!(step.status, Some(401 | 407)) {
            self.challenged(now, &step, asked, packet, message, out);
        }
    }

    /// A request that is new.
    pub(super) fn hear_request(
        &mut self,
        now: Instant,
        server: ServerId,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let method = message.method().map_or("", |method| method.as_str());
        let is_awaited = |(settled, step): (&bool, &Step)| {
            !settled && step.is_request() && step.sender != self.config.side && *step.method == *method
        };
        let found = self.settled.iter().zip(&self.script.steps).position(is_awaited);
        let route = Route { sa: packet.sa, ..Route::sip(packet.transport, packet.from, packet.to) };
        let Some(index) = found.filter(|index| !self.asks_again(now, *index, server, packet, message, out)) else {
            if found.is_none() {
                let is_early = !self.is_over();
                self.report.note(
                    now,
                    None,
                    method,
                    if is_early {
                        Outcome::Added
                    } else {
                        Outcome::Note("it came after the end of the recording".to_owned())
                    },
                );
                let status = if self.config.side == Sender::Ue { 200 } else { 501 };
                self.refuse(now, server, message, status, out);
            }
            return;
        };
        let step = self.script.steps[index].clone();
        self.learn_sender(&step, packet, message);
        let mut comparison = self.compare(&step, message);
        self.judge(&step, message, &mut comparison);
        self.last = self.last.or(Some(now));
        self.settle(index, now);
        self.report.note(now, Some(step.number), &step.name(), Outcome::Came(comparison));
        self.learn(&step, message);
        let asked = Asked { server, bytes: packet.bytes.to_vec(), source: packet.from, route };
        if let Some(back) = self.way_back(asked.route) {
            self.transactions.set_route(server, back);
        }
        self.asked.insert(step.exchange, asked);
    }

    /// A request that the recording does not have is answered, so that it is not repeated.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        server: ServerId,
        message: &Message<'_>,
        status: u16,
        out: &mut Outbox,
    ) {
        let Some(source) = self.transactions.source(server) else { return };
        let tag = self.random.token::<8>();
        self.transactions.respond(now, server, status, out, |bytes| {
            let reason = if status == 501 { "Not Recorded" } else { crate::sip::emit::reason_phrase(status) };
            let mut writer = Writer::response(bytes, status, reason);
            copy_vias(message, source, &mut writer);
            for name in [HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
                message.lines_of(name).for_each(|line| {
                    writer.copy(&line);
                });
            }
            let to = message.header(HeaderName::To).unwrap_or_default();
            let tag =
                if message.to().is_ok_and(|to| to.tag().is_some()) { String::new() } else { format!(";tag={tag}") };
            writer.header_parts(HeaderName::To, &[to, &tag]);
            writer.finish(b"");
        });
    }

    fn compare(&self, step: &Step, message: &Message<'_>) -> Comparison {
        let expected = renewed(&step.bytes, &self.renewals);
        Comparison::of(step.sender, &step.bytes, &expected, message.bytes(), &self.config.ignored)
    }

    /// An answer is right or wrong where K is known, whatever was recorded.
    fn judge(&self, step: &Step, message: &Message<'_>, comparison: &mut Comparison) {
        let Some(value) = message.header(HeaderName::Authorization) else { return };
        let method = &*step.method;
        let judged = self.challenges.iter().rev().map(|challenge| {
            challenge.judge(value, HeaderName::Authorization, method, message.body(), &self.config.known)
        });
        if let Some(judged) = judged.into_iter().find(|judged| *judged != Judged::Unknown) {
            comparison.judged("Authorization", ";response", judged == Judged::Right);
        }
    }

    /// A UE that is behind with its SQN: K knows how to make another challenge. True where one was sent.
    fn asks_again(
        &mut self,
        now: Instant,
        awaited: usize,
        server: ServerId,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) -> bool {
        let has_auts =
            |message: &Message<'_>| matches!(message.authorization(), Ok(Some(digest)) if digest.auts.is_some());
        let recorded = self.script.steps[awaited].sip();
        if self.config.side == Sender::Ue || !has_auts(message) || recorded.as_ref().is_some_and(has_auts) {
            return false;
        }
        let value = message.header(HeaderName::Authorization).unwrap_or_default();
        let Some(sqn_ms) = self.challenges.last().and_then(|last| last.resynchronised(value, &self.config.known))
        else {
            return false;
        };
        let is_challenge =
            |(index, step): (usize, &Step)| (index < awaited && step.status == Some(401)).then_some(index);
        let Some(challenge) = self.script.steps.iter().enumerate().rev().find_map(is_challenge) else { return false };
        self.sqn = sqn_ms;
        // Another challenge, and a set of its own.
        self.made.retain(|made| *made != challenge);
        self.prepared.retain(|prepared| *prepared != challenge);
        if let Some(set) = self.sets.pop() {
            out.push(Effect::RemoveSa(set.id));
        }
        let name = HeaderName::SecurityClient;
        let offered = self.script.steps[..challenge].iter().rev().find_map(|step| endpoint(&step.sip()?, name));
        if let (Some(recorded), Some(now)) = (offered, endpoint(message, name)) {
            self.note_endpoint(Sender::Ue, packet.from.ip(), recorded, now);
        }
        let route = Route { sa: packet.sa, ..Route::sip(packet.transport, packet.from, packet.to) };
        let exchange = self.script.steps[challenge].exchange;
        self.asked.insert(exchange, Asked { server, bytes: packet.bytes.to_vec(), source: packet.from, route });
        let number = self.script.steps[challenge].number;
        let text = "the SQN of the UE is higher: challenged again".to_owned();
        self.report.note(now, Some(number), "401 to REGISTER", Outcome::Note(text));
        self.last = Some(now);
        self.play(now, challenge, out);
        true
    }
}
