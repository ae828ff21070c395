//! Requests of a user who is served here (TS 24.229 clause 5.4.3.2).

use super::rewrite::{Caller, Request};
use super::{Copy, Way};
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::refusal::Refusal;
use crate::scscf::registrar::is_canonically;
use crate::scscf::table::Id;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::served_user::served_user;
use crate::sip::proxy::{ContextId, Received};
use crate::sip::{HeaderName, Uri};
use crate::time::Instant;

impl Scscf {
    /// Whose request it is that has the token of the Service-Route of `registration`.
    pub(super) fn caller(&self, received: &Received<'_, '_>, registration: Id) -> Result<Caller, Refusal> {
        let other_identity = self.other_identity(received, registration)?;
        Ok(Caller { registration: Some(registration), other_identity })
    }

    /// For whom an application server calls by itself: `orig` in Route (TS 24.229 clause 5.7.3).
    pub(super) fn caller_named(&mut self, received: &Received<'_, '_>) -> Result<Caller, Refusal> {
        let impu = served_user(received.message).ok_or(Refusal::NotAsserted)?;
        let registration = self.registrar.serving(&impu).first().copied();
        if registration.is_none() && self.unregistered.find(&impu).is_none() {
            return Err(Refusal::CallerNotRegistered);
        }
        Ok(Caller { registration, other_identity: None })
    }

    /// Sends the request on towards whom it calls.
    pub(super) fn send_onwards(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        caller: &Caller,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let asserted = caller.other_identity.clone();
        let request = Request { asserted, called: None, orig_ioi: self.config.ioi.clone() };
        let way = self.way_onwards(received)?;
        let record_route = format!("<sip:mo@{};lr>", self.route_base);
        let record_route = received.makes_dialog().then_some(&*record_route);
        let copy = Copy { uri: received.uri, routes: &received.routes, record_route, way };
        self.forward(now, context, received, &copy, &request, out);
        Ok(())
    }

    /// Checks that P-Asserted-Identity is of the registered set. What it lacks of a pair of SIP and tel URI is
    /// returned.
    pub(super) fn other_identity(
        &self,
        received: &Received<'_, '_>,
        registration: Id,
    ) -> Result<Option<String>, Refusal> {
        let registration = self.registrar.get(registration).ok_or(Refusal::RegistrationGone)?;
        let asserted = received.message.name_addrs(HeaderName::PAssertedIdentity)?;
        let first = asserted.first().ok_or(Refusal::NotAsserted)?;
        let set: Vec<String> =
            self.registrar.identities(registration).filter(|(_, is_stated)| *is_stated).map(|(text, _)| text).collect();
        for NameAddr { uri, .. } in &asserted {
            let mut impu = String::new();
            uri.canonical(&mut impu);
            if !set.iter().any(|identity| is_canonically(identity, &impu)) {
                return Err(Refusal::AssertedNotOfSet);
            }
        }
        if asserted.len() > 1 {
            return Ok(None);
        }
        let others = || set.iter().filter(|text| Uri::parse(text).is_ok_and(|uri| uri.is_tel() != first.uri.is_tel()));
        let same_number = others().find(|text| Uri::parse(text).is_ok_and(|uri| uri.user == first.uri.user));
        Ok(same_number.or_else(|| others().next()).cloned())
    }

    /// Where Route leads; else the I-CSCF of the target's network.
    fn way_onwards(&self, received: &Received<'_, '_>) -> Result<Way, Refusal> {
        if received.routes.is_empty() && self.is_home(&Uri::parse(received.uri)?) {
            return Ok(self.way_home());
        }
        self.way_of(received)
    }
}

/// True for a request with `orig` in the Route that led here, and no token.
pub(super) fn is_by_server(received: &Received<'_, '_>) -> bool {
    received.own.as_ref().is_some_and(|own| own.params.has("orig"))
}
