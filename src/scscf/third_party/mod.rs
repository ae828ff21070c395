//! Third-party REGISTER: application servers hear who is registered (TS 24.229 clause 5.4.1.7).
//!
//! It goes out after the 200 to the UE, and its answer never changes that 200. A subscriber without filter criteria costs
//! a look at the profile.

mod kept;
mod request;

pub(super) use kept::Kept;

use super::table::Id;
use super::{Asked, Scscf};
use crate::cx::filter::{self, RegistrationType, SessionCase};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::{Effect, Outbox, Protocol};
use crate::reginfo::ContactEvent;
use crate::sip::{HeaderName, Message, Uri, destination};
use crate::time::Instant;
use request::ThirdPartyRegister;

/// What a third-party REGISTER was for: what its client transaction gives back.
#[derive(Debug)]
pub(super) struct ThirdParty {
    /// The registration that it tells of.
    registration: Id,
    /// The identity in To.
    impu: Impu,
    /// The application server.
    server: Box<str>,
    /// DefaultHandling SESSION_TERMINATED, and there is a registration to end: Expires is not 0.
    ends_registration: bool,
}

/// What application servers are told of a registration.
struct Announcement<'a> {
    kind: RegistrationType,
    /// The REGISTER of the UE, where there is one.
    register: Option<&'a Message<'a>>,
    /// Its 200, for a registration that begins or goes on.
    answer: &'a [u8],
    /// As the 200 says, 0 at the end.
    expires: u64,
}

impl Scscf {
    /// The REGISTER of a UE until its 200, kept where filter criteria may want to see it; empty elsewhere. The user data
    /// of a set that is not registered yet are not known.
    pub(super) fn keep_register(&mut self, registration: Option<Id>, register: &[u8]) -> Vec<u8> {
        let known = registration.and_then(|id| self.registrar.get(id));
        match known {
            Some(known) if !self.registrar.profile(known).has_criteria() => Vec::new(),
            _ => self.kept.take(register),
        }
    }

    /// A registration has begun, or goes on: the 200 has just been sent. `register` is from [`Scscf::keep_register`].
    pub(super) fn announce_registered(
        &mut self,
        now: Instant,
        registration: Id,
        is_first: bool,
        register: Vec<u8>,
        out: &mut Outbox,
    ) {
        if self.has_criteria(registration) {
            let kind = if is_first { RegistrationType::InitialRegistration } else { RegistrationType::ReRegistration };
            // An emergency registration is for emergency calls alone, whatever services the user has.
            let bindings = self.registrar.bindings(registration).iter().filter(|b| !b.is_emergency());
            let Some(last) = bindings.map(|b| b.expires_at).max() else { return self.kept.give(register) };
            let left = last.saturating_since(now);
            let answer = last_answer(out).to_vec();
            let register = Message::parse(&register).ok();
            let expires = left.as_secs() + u64::from(left.subsec_nanos() > 0);
            let announcement = Announcement { kind, register: register.as_ref(), answer: &answer, expires };
            self.announce(now, registration, &announcement, out);
        }
        self.kept.give(register);
    }

    /// A registration ends: by `register`, or where there is none by time or by the network, which counts as if the UE
    /// had asked for it. It must still be there.
    pub(super) fn announce_deregistered(
        &mut self,
        now: Instant,
        registration: Id,
        register: Option<&Message<'_>>,
        out: &mut Outbox,
    ) {
        if self.has_criteria(registration) {
            let kind = RegistrationType::DeRegistration;
            let announcement = Announcement { kind, register, answer: &[], expires: 0 };
            self.announce(now, registration, &announcement, out);
        }
    }

    /// An application server has answered.
    pub(super) fn on_third_party_answered(&mut self, now: Instant, asked: ThirdParty, status: u16, out: &mut Outbox) {
        if status == 408 || status / 100 == 5 {
            self.on_third_party_failed(now, asked, status, out);
        }
    }

    /// An application server has refused in a way that DefaultHandling is for, or did not answer (status 0).
    pub(super) fn on_third_party_failed(&mut self, now: Instant, asked: ThirdParty, status: u16, out: &mut Outbox) {
        let ThirdParty { registration, impu, server, ends_registration } = asked;
        let ends_registration = ends_registration && self.registrar.get(registration).is_some();
        self.tell(out, || What::ServiceFailed { server: server.into(), impu, status, ends_registration });
        if ends_registration {
            // With `rejected` the UE does not come back at once, to be refused again.
            let cause = "an application server did not take it";
            self.deregister_by_network(now, registration, ContactEvent::Rejected, cause, out);
        }
    }

    fn has_criteria(&self, registration: Id) -> bool {
        self.registrar.get(registration).is_some_and(|r| self.registrar.profile(r).has_criteria())
    }

    fn announce(&mut self, now: Instant, id: Id, announcement: &Announcement<'_>, out: &mut Outbox) {
        let Self { transactions, registrar, config, random, .. } = self;
        let Some(registration) = registrar.get(id) else { return };
        let home = ["sip:", &*config.realm].concat();
        let headers = announcement.register.map(HeadersOf);
        let request = filter::Request {
            method: "REGISTER",
            request_uri: announcement.register.and_then(Message::request_uri).unwrap_or(&home),
            headers: headers.as_ref().map_or(&() as &dyn filter::Headers, |h| h),
            session_description: "",
            // A REGISTER is served as what its sender originates.
            session_case: SessionCase::OriginatingRegistered,
            registration: Some(announcement.kind),
        };
        let profile = registrar.profile(registration);
        let mut unreachable = Vec::new();
        for (service, criteria) in profile.criteria().iter().enumerate() {
            let Some(impu) = registrar.identity_of_service(registration, service) else { continue };
            for criterion in criteria.matching(&request) {
                let server = &criterion.server;
                let ends_registration = server.terminate_on_failure && announcement.expires > 0;
                let asked = ThirdParty {
                    registration: id,
                    impu: Impu::from(impu.as_str()),
                    server: server.server_name.as_str().into(),
                    ends_registration,
                };
                let way = Uri::parse(&server.server_name)
                    .ok()
                    .and_then(|uri| destination::resolve(&uri, &config.hosts, &config.listen, config.transport));
                let Some((route, listener)) = way else {
                    unreachable.push(asked);
                    continue;
                };
                let message = ThirdPartyRegister::new(config, listener, server, &impu, announcement, random);
                let asked = Asked::ThirdParty(Box::new(asked));
                transactions.request(now, config.timers, route, true, asked, out, |bytes, transport, branch| {
                    message.write(transport, branch, profile, bytes);
                });
            }
        }
        for asked in unreachable {
            self.on_third_party_failed(now, asked, 0, out);
        }
    }
}

/// The headers of a message, as filter criteria look at them.
pub(super) struct HeadersOf<'m, 'a>(pub(super) &'m Message<'a>);

impl filter::Headers for HeadersOf<'_, '_> {
    fn any(&self, test: &mut dyn FnMut(&str, &str) -> bool) -> bool {
        self.0.lines().any(|line| {
            let name = if line.name == HeaderName::Other { line.name_text } else { line.name.as_str() };
            test(name, line.value)
        })
    }
}

/// The SIP message that was sent last.
fn last_answer(out: &Outbox) -> &[u8] {
    let sent = out.effects().iter().rev().find_map(|effect| match effect {
        Effect::Transmit { protocol: Protocol::Sip, range, .. } => Some(range.clone()),
        _ => None,
    });
    sent.map_or(&[], |range| &out.bytes()[range])
}
