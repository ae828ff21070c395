//! RTR: the HSS ends registrations (TS 29.228 clause 6.1.3, TS 24.229 clause 5.4.1.5).

use super::envelope;
use crate::cx::{CxResult, ReasonCode, Rta, Rtr};
use crate::diameter::Header;
use crate::diameter::peer::PeerId;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::scscf::Scscf;
use crate::scscf::table::Id;
use crate::time::Instant;

impl Scscf {
    /// Answers at once; what then happens on the SIP side depends on the reason.
    pub(super) fn on_rtr(&mut self, now: Instant, peer: PeerId, header: &Header, rtr: &Rtr<'_>, out: &mut Outbox) {
        let mut named = Vec::new();
        for impi in std::iter::once(&rtr.impi).chain(&rtr.associated_identities) {
            named.extend(self.registrations_named(impi, &rtr.impus));
        }
        let kept = self.end_unregistered(rtr.impi);
        let survives = match rtr.reason {
            // These leave bindings for emergency calls alone.
            ReasonCode::PermanentTermination | ReasonCode::ServerChange | ReasonCode::RemoveScscf => true,
            ReasonCode::NewServerAssigned => false,
        };
        let (mut pairs, mut protected) = (Vec::new(), 0);
        for id in named.iter().filter(|_| survives) {
            let bindings = self.registrar.bindings(*id);
            let emergency = bindings.iter().filter(|b| b.is_emergency()).count();
            if let Some(registration) = self.registrar.get(*id).filter(|_| emergency > 0) {
                pairs.push((self.registrar.impi(registration), self.registrar.default_impu(registration)));
                protected += usize::from(emergency == bindings.len());
            }
        }
        let result = match (named.len(), pairs.len()) {
            // What is kept for a user who is not registered is nothing here.
            (0, _) if kept || rtr.reason == ReasonCode::RemoveScscf => CxResult::SUCCESS,
            (0, _) => CxResult::USER_UNKNOWN,
            (_, 0) => CxResult::SUCCESS,
            (all, _) if all == protected => CxResult::UNABLE_TO_COMPLY,
            _ => CxResult::LIMITED_SUCCESS,
        };
        let rta = Rta {
            envelope: envelope(&self.config.diameter, rtr.envelope.session_id),
            result,
            emergency: pairs.iter().map(|(impi, impu)| (impi.as_str(), impu.as_str())).collect(),
        };
        self.node.answer(peer, header, false, out, |w| rta.encode(w));
        for id in named {
            self.end_by_hss(now, id, rtr.reason, out);
        }
    }

    fn end_by_hss(&mut self, now: Instant, id: Id, reason: ReasonCode, out: &mut Outbox) {
        let Some(registration) = self.registrar.get(id) else { return };
        let (impi, impu) = (self.registrar.impi(registration), self.registrar.default_impu(registration));
        let cause = match reason {
            ReasonCode::PermanentTermination => "the HSS: permanent termination",
            ReasonCode::ServerChange => "the HSS: another S-CSCF is to be selected",
            ReasonCode::NewServerAssigned => "the HSS: another S-CSCF has taken over",
            // It concerns users who are not registered.
            ReasonCode::RemoveScscf => return,
        };
        let ended = match reason {
            ReasonCode::PermanentTermination => self.terminate_registration(now, id, ContactEvent::Rejected, out),
            ReasonCode::ServerChange => self.terminate_registration(now, id, ContactEvent::Deactivated, out),
            ReasonCode::NewServerAssigned | ReasonCode::RemoveScscf => {
                // The user is registered elsewhere: a NOTIFY would throw him out there.
                self.drop_registration(id);
                true
            }
        };
        if ended {
            self.tell(out, || What::Deregistered { impi: impi.into(), impu: impu.into(), cause });
        }
    }
}
