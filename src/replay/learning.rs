//! What is learnt from what comes: tags, addresses, routes, identities, challenges.

use super::answers::{Challenge, Values};
use super::comparison::Sender;
use super::player::Player;
use super::report::Outcome;
use super::script::{Step, endpoint, endpoint_of};
use crate::packet::{Outbox, Packet, Route};
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Message, Uri};
use crate::time::Instant;
use std::net::SocketAddr;

impl Player {
    /// Tags, Call-ID, addresses and routes of the other side.
    pub(super) fn learn(&mut self, step: &Step, message: &Message<'_>) {
        let Some(recorded) = step.sip() else { return };
        let tags = [(recorded.to(), message.to()), (recorded.from(), message.from())];
        for (recorded, now) in tags {
            if let (Some(recorded), Some(now)) =
                (recorded.ok().and_then(|to| to.tag()), now.ok().and_then(|to| to.tag()))
                && !self.renewals.has_tag(recorded)
            {
                self.renewals.tag(recorded, now);
            }
        }
        if step.is_request()
            && let (Ok(recorded), Ok(now)) = (recorded.call_id(), message.call_id())
        {
            self.renewals.call_id(recorded, now);
        }
        let contact = |message: &Message<'_>| {
            let list = message.name_addrs(HeaderName::Contact).unwrap_or_default();
            list.first().map(|contact| contact.uri.text.to_owned())
        };
        let is_own = step.is_register() && step.status.is_some();
        if let (Some(recorded), Some(now), false) = (contact(&recorded), contact(message), is_own) {
            self.renewals.text(&recorded, &now);
        }
        let elements = |message: &Message<'_>, name| message.elements(name).map(str::to_owned).collect::<Vec<_>>();
        for name in [HeaderName::ServiceRoute, HeaderName::RecordRoute] {
            let (mut old, mut new) = (elements(&recorded, name), elements(message, name));
            // RFC 3261 clause 12.1.2: a client reverses what it hears in a response.
            if name == HeaderName::RecordRoute && !step.is_request() {
                old.reverse();
                new.reverse();
            }
            if !old.is_empty() && !self.routes.contains(&(old.clone(), new.clone())) {
                self.routes.push((old, new));
            }
        }
    }

    /// Where a request comes from, and who says so: before it is compared.
    pub(super) fn learn_sender(&mut self, step: &Step, packet: &Packet<'_>, message: &Message<'_>) {
        let Some(recorded) = step.sip() else { return };
        if packet.sa.is_none() {
            self.other = Some(Route::sip(packet.transport, packet.to, packet.from));
        }
        if self.config.side == Sender::Ue {
            return;
        }
        let via = |message: &Message<'_>| {
            let via = message.via().ok()?;
            Some(SocketAddr::new(via.ip()?, via.port.unwrap_or(5060)))
        };
        if let (Some(recorded), Some(now)) = (via(&recorded), via(message)) {
            self.renewals.end(recorded, now);
            if !self.script.pcscf.iter().any(|other| other.ip() == recorded.ip()) {
                self.renewals.host(recorded.ip(), now.ip());
            }
        }
        if let (Some(ends), None) = (step.ends, packet.sa) {
            self.renewals.end(ends.from, packet.from);
        }
        if !step.is_register() {
            return;
        }
        let name = HeaderName::SecurityClient;
        if let (Some(recorded), Some(now)) = (endpoint(&recorded, name), endpoint(message, name)) {
            self.note_endpoint(Sender::Ue, packet.from.ip(), recorded, now);
        }
        self.learn_identity(&recorded, message);
    }

    /// Another subscriber registers: realm, public and private identity.
    fn learn_identity(&mut self, recorded: &Message<'_>, now: &Message<'_>) {
        let domain = |message: &Message<'_>| Some(Uri::parse(message.request_uri()?).ok()?.host.to_owned());
        let user = |message: &Message<'_>| Some(message.to().ok()?.uri.user?.to_owned());
        let private = |message: &Message<'_>| {
            let name = message.authorization().ok()??.username?.to_owned();
            Some(name.split('@').next().unwrap_or_default().to_owned())
        };
        let pairs = [(domain(recorded), domain(now)), (user(recorded), user(now)), (private(recorded), private(now))];
        for (recorded, now) in pairs.into_iter().filter_map(|(recorded, now)| recorded.zip(now)) {
            if recorded != now && recorded.len() >= SHORTEST_IDENTITY {
                self.renewals.text(&recorded, &now);
            }
        }
    }

    /// A challenge came: what answers it follows from it, and the SAs.
    pub(super) fn challenged(
        &mut self,
        now: Instant,
        step: &Step,
        asked: usize,
        packet: &Packet<'_>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let name = if step.status == Some(407) { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
        let Some(recorded) = step.sip() else { return };
        let first = |value: Option<&str>| {
            let digest = Digest::parse(name, value?).ok()??;
            Some(Values::of(&digest))
        };
        let (Some(was), Some(is)) = (first(recorded.header(name)), first(message.header(name))) else { return };
        let challenge = Challenge { recorded: was, now: is };
        if challenge.is_genuine(&self.config.known) == Some(false) {
            let text = "AUTN was not made with this K: another K, OPc or algorithm";
            self.report.note(now, Some(step.number), &step.name(), Outcome::Note(text.to_owned()));
        }
        self.challenges.push(challenge);
        let Ok(server) = message.security(HeaderName::SecurityServer) else { return };
        if server.0.is_empty() {
            return;
        }
        let text = |message: &Message<'_>| message.values(HeaderName::SecurityServer).collect::<Vec<_>>().join(", ");
        self.mirrors.push((text(&recorded), text(message)));
        let recorded = recorded.security(HeaderName::SecurityServer).unwrap_or_default();
        for (old, new) in recorded.0.iter().zip(&server.0) {
            if let (Some(old), Some(new)) = (endpoint_of(old), endpoint_of(new)) {
                self.note_endpoint(Sender::Network, packet.from.ip(), old, new);
            }
        }
        let Some(sent) = self.sent(asked) else { return };
        let Ok(sent) = Message::parse(&sent) else { return };
        let client = sent.security(HeaderName::SecurityClient).unwrap_or_default();
        self.install(now, (&client, &server), (packet.to.ip(), packet.from.ip()), out);
    }
}

/// A shorter one might be part of something else.
const SHORTEST_IDENTITY: usize = 5;
