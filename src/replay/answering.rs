//! Responses: the recorded ones, to the requests of now.

use super::answers::{Challenge, Values};
use super::comparison::Sender;
use super::player::{Asked, Player};
use super::report::Outcome;
use super::rewrite::{Rewrite, renewed_value, rewrite};
use super::script::{Step, endpoint};
use crate::packet::Outbox;
use crate::sip::header::digest::Digest;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::sec_agree::Mechanisms;
use crate::sip::transaction::copy_vias;
use crate::sip::{HeaderName, Message, Writer};
use crate::time::Instant;

impl Player {
    /// Answers a request that came. A 401 with a security agreement waits for its SAs.
    pub(super) fn answer(&mut self, now: Instant, index: usize, step: &Step, out: &mut Outbox) {
        if self.awaits_set(now, index, step, out) {
            return;
        }
        let Some(asked) = self.asked.get(&step.exchange) else { return };
        let Asked { server, source, ref bytes, .. } = *asked;
        let request = bytes.clone();
        let Ok(request) = Message::parse(&request) else { return };
        if let Some(tag) = step.sip().and_then(|sip| Some(sip.to().ok()?.tag()?.to_owned()))
            && !self.renewals.has_tag(&tag)
        {
            let fresh = self.random.token::<10>();
            self.renewals.tag(&tag, fresh.as_str());
        }
        let challenge = self.challenge_of(step);
        let Self { transactions, renewals, .. } = self;
        transactions.respond(now, server, step.status.unwrap_or(500), out, |out| {
            let mut vias = Vec::new();
            copy_vias(&request, source, &mut Writer::response(&mut vias, 200, ""));
            let start = vias.iter().position(|octet| *octet == b'\n').map_or(0, |end| end + 1);
            let mut vias = Some(vias.split_off(start));
            let mut routes = Some(raw(&request, HeaderName::RecordRoute));
            let message = rewrite(&step.bytes, renewals, None, |line| match line.name {
                HeaderName::Via => vias.take().map_or(Rewrite::Drop, Rewrite::Lines),
                HeaderName::RecordRoute => match routes.take().filter(|lines| !lines.is_empty()) {
                    Some(lines) => Rewrite::Lines(lines),
                    None => Rewrite::Drop,
                },
                HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                    Rewrite::Value(request.header(line.name).unwrap_or_default().to_owned())
                }
                HeaderName::To => Rewrite::Value(to_of(&request, &renewed_value(line, renewals))),
                HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate => match &challenge {
                    Some((recorded, now)) if recorded == line.value => Rewrite::Value(renewals.renewed(now)),
                    _ => Rewrite::Renew,
                },
                _ => Rewrite::Renew,
            });
            out.extend_from_slice(&message);
        });
        self.report.note(now, Some(step.number), &step.name(), Outcome::Sent);
    }

    /// Starts the set of a Security-Server: true where its 401 has to wait.
    fn awaits_set(&mut self, now: Instant, index: usize, step: &Step, out: &mut Outbox) -> bool {
        if step.status != Some(401) {
            return false;
        }
        if !self.made.contains(&index) {
            self.make_challenge(step);
            self.made.push(index);
        }
        let Some(recorded) = step.sip().and_then(|sip| endpoint(&sip, HeaderName::SecurityServer)) else {
            return false;
        };
        if self.prepared.contains(&index) {
            return false;
        }
        self.renew_endpoint(recorded);
        let Some(asked) = self.asked.get(&step.exchange) else { return false };
        let (request, ends) = (asked.bytes.clone(), (asked.source.ip(), self.config.local.ip()));
        let Ok(request) = Message::parse(&request) else { return false };
        let client = request.security(HeaderName::SecurityClient).unwrap_or_default();
        let list = renewed_list(step, self);
        let Ok(server) = Mechanisms::parse(HeaderName::SecurityServer, list.iter().map(String::as_str)) else {
            return false;
        };
        self.prepared.push(index);
        let waits = self.install(now, (&client, &server), ends, out);
        if waits {
            self.settled[index] = false;
        }
        waits
    }

    /// Makes the challenge of a 401 anew where K or the password is known.
    fn make_challenge(&mut self, step: &Step) {
        let Some(sip) = step.sip() else { return };
        let Some(value) = sip.header(HeaderName::WwwAuthenticate) else { return };
        let name = HeaderName::WwwAuthenticate;
        let Ok(Some(digest)) = Digest::parse(name, value) else { return };
        let values = Values::of(&digest);
        let recorded = Challenge { recorded: values.clone(), now: values };
        // Beyond what the recorded network used, and beyond what the UE has told.
        let sqn = self.sqn.max(recorded.recorded_sqn(&self.config.known).unwrap_or_default());
        self.sqn = sqn + SQN_STEP;
        let (now, challenge) = Challenge::made_anew(value, name, self.sqn, &self.config.known, &mut self.random);
        if challenge.recorded.nonce != challenge.now.nonce {
            self.renewals.text(&challenge.recorded.nonce, &challenge.now.nonce);
        }
        self.values.retain(|(known, _)| known != value);
        self.values.push((value.to_owned(), now));
        self.challenges.push(challenge);
    }

    fn challenge_of(&self, step: &Step) -> Option<(String, String)> {
        let sip = step.sip()?;
        let value = sip.header(HeaderName::WwwAuthenticate)?;
        self.values.iter().find(|(known, _)| known == value).cloned()
    }
}

/// Security-Server as it is sent now.
fn renewed_list(step: &Step, player: &Player) -> Vec<String> {
    let Some(sip) = step.sip() else { return Vec::new() };
    sip.values(HeaderName::SecurityServer).map(|value| player.renewals.mechanisms(Sender::Network, value)).collect()
}

/// To of a response: that of the request, and our tag where it has none.
fn to_of(request: &Message<'_>, renewed: &str) -> String {
    let to = request.header(HeaderName::To).unwrap_or_default();
    let has_tag = request.to().is_ok_and(|to| to.tag().is_some());
    let name = HeaderName::To;
    let tag = NameAddr::parse(name, renewed).ok().and_then(|to| to.tag());
    match tag.filter(|_| !has_tag) {
        Some(tag) => format!("{to};tag={tag}"),
        None => to.to_owned(),
    }
}

fn raw(message: &Message<'_>, name: HeaderName) -> Vec<u8> {
    message.lines_of(name).flat_map(|line| line.raw.iter().copied()).collect()
}

/// One step of SEQ (TS 33.102 annex C.3.2: IND has five bits).
const SQN_STEP: u64 = 32;
