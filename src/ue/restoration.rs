//! When the network has lost what it knew of this UE (TS 24.229 clauses 5.1.1.4.1 and 5.1.2A.1.6, TS 23.380).

use super::attempt::Attempt;
use super::failure::{Failure, Stage};
use super::security::Set;
use super::{Asked, Goal, Registration, Ue, remove, tell};
use crate::event::What;
use crate::ipsec::association::Endpoint;
use crate::packet::Outbox;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::{HeaderName, Message, alternative_service};
use crate::time::{Duration, Instant};

impl Ue {
    /// True for a refresh that nobody answers, or for whose registration nobody is found: an initial registration
    /// follows at once. Security associations that the P-CSCF has lost are such a silence.
    pub(super) fn starts_over(attempt: &Attempt, failure: &Failure, retry_after: Option<Duration>) -> bool {
        let is_lost = match failure {
            Failure::Refused { status, stage, .. } => *stage == Stage::Refresh && matches!(status, 408 | 500 | 504),
            Failure::Timeout { stage } | Failure::Transport { stage } => *stage == Stage::Refresh,
            _ => false,
        };
        is_lost && attempt.renews && retry_after.is_none()
    }

    /// A P-CSCF that agrees to ports of a set that is there already has lost that set: two sets cannot have them, and
    /// the old registration had nothing else (TS 33.203 clause 7.4; field lesson 9).
    pub(super) fn forget_overtaken(&mut self, ue: Endpoint, pcscf: Endpoint, out: &mut Outbox) {
        let is_overtaken = |set: &Set| {
            let same = |own: u16, new: u16, other: u16, other_new: u16| own == new && other == other_new;
            same(set.ue.port_s, ue.port_s, set.pcscf.port_c, pcscf.port_c)
                || same(set.ue.port_c, ue.port_c, set.pcscf.port_s, pcscf.port_s)
        };
        self.retiring.retain(|set| {
            let stays = !is_overtaken(set);
            if !stays {
                remove(out, set.id, OVERTAKEN);
            }
            stays
        });
        let Some(registration) = self.registration.take_if(|r| r.set.as_ref().is_some_and(is_overtaken)) else {
            return;
        };
        let impu = registration.default_identity(&self.config).clone();
        if let Some(set) = registration.set {
            remove(out, set.id, OVERTAKEN);
        }
        self.drop_calls("the network has lost the registration", out);
        let impi = self.config.impi.clone();
        tell(out, || What::Deregistered { impi, impu, cause: OVERTAKEN });
    }

    /// A 504 that asks for an initial registration, from who may ask for it.
    pub(super) fn heed_alternative_service(
        &mut self,
        now: Instant,
        asked: &Asked,
        response: &Message<'_>,
        out: &mut Outbox,
    ) {
        let is_initial = matches!(asked, Asked::Standalone { .. } | Asked::Invite(_));
        if !is_initial || response.status() != Some(504) || self.is_busy() || self.goal != Goal::Registered {
            return;
        }
        let is_of_ours = |registration: &Registration| registration.is_served_by(response);
        if !self.registration.as_ref().is_some_and(is_of_ours) || !alternative_service::asks_for_registration(response)
        {
            return;
        }
        self.drop_calls("the network has lost the registration", out);
        let cause = "the network has lost the registration and asks for another (TS 24.229 clause 5.1.2A.1.6)";
        tell(out, || What::RetryAt { after: Duration::ZERO, cause: cause.to_owned() });
        self.start(now, Goal::Registered, true, out);
    }
}

impl Registration {
    /// P-Asserted-Identity names the S-CSCF of Service-Route or the P-CSCF of Path: somebody else has nothing to say.
    fn is_served_by(&self, response: &Message<'_>) -> bool {
        let Ok(asserted) = response.name_addrs(HeaderName::PAssertedIdentity) else { return false };
        let servers = self.service_route.iter().map(|element| (HeaderName::ServiceRoute, element));
        let mut servers = servers.chain(self.path.iter().map(|element| (HeaderName::Path, element)));
        servers.any(|(name, element)| {
            let server = NameAddr::parse(name, element);
            server.is_ok_and(|server| asserted.iter().any(|asserted| asserted.uri.equivalent(&server.uri)))
        })
    }
}

const OVERTAKEN: &str = "the P-CSCF has given its ports to a new set";
