//! PPR: the HSS pushes a profile, or charging addresses (TS 29.228 clause 6.2).

use super::envelope;
use crate::cx::sar::Charging;
use crate::cx::{CxResult, Ppa, Ppr};
use crate::diameter::Header;
use crate::diameter::peer::PeerId;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::scscf::Scscf;
use crate::scscf::registrar::canonical;
use crate::scscf::table::Id;
use crate::time::Instant;

impl Scscf {
    /// Takes what is pushed, answers, and tells watchers where the identities are others now.
    pub(super) fn on_ppr(&mut self, now: Instant, peer: PeerId, header: &Header, ppr: &Ppr<'_>, out: &mut Outbox) {
        let outcome = self.take_profile(ppr);
        let result = match &outcome {
            Ok(_) => CxResult::SUCCESS,
            Err(result) => *result,
        };
        let ppa = Ppa { envelope: envelope(&self.config.diameter, ppr.envelope.session_id), result };
        self.node.answer(peer, header, false, out, |w| ppa.encode(w));
        for cause in self.registrar.take_criteria_faults() {
            self.tell(out, || What::FilterFault { cause });
        }
        for id in outcome.unwrap_or_default() {
            self.notify_changed(now, id, &[], ContactEvent::Registered, out);
        }
    }

    /// The registrations whose identities have changed.
    fn take_profile(&mut self, ppr: &Ppr<'_>) -> Result<Vec<Id>, CxResult> {
        let all = self.registrar.all_of_impi(ppr.impi);
        if ppr.user_data.is_none() && ppr.charging.is_none() && ppr.auth.is_none() {
            return Err(CxResult::UNABLE_TO_COMPLY);
        }
        if all.is_empty() {
            return self.take_unregistered_profile(ppr).map(|()| Vec::new());
        }
        let Some(xml) = ppr.user_data else {
            for id in all.into_iter().filter(|_| ppr.charging.is_some()) {
                self.registrar.set_charging(id, ppr.charging.unwrap_or_default());
            }
            return Ok(Vec::new());
        };
        let mut changed = Vec::new();
        let mut is_known = false;
        for id in all {
            let Some(registration) = self.registrar.get(id) else { continue };
            let before = self.registrar.charging_names(registration);
            let [primary_event, secondary_event, primary_collection, secondary_collection] =
                before.each_ref().map(Option::as_deref);
            let kept = Charging { primary_event, secondary_event, primary_collection, secondary_collection };
            let charging = ppr.charging.unwrap_or(kept);
            let data = self.registrar.user_data(xml, Some(charging)).map_err(|_| CxResult::NOT_SUPPORTED_USER_DATA)?;
            let pushed: Vec<String> = data.identities.iter().map(|i| canonical(i.to_string())).collect();
            let stated = self.stated(id);
            // A document for another set of this user is not about this registration.
            let is_about = stated.iter().any(|impu| pushed.contains(&canonical(impu.clone())));
            if !is_about || self.registrar.is_all_barred(&data) {
                let refused = is_about;
                self.registrar.discard(data);
                if refused {
                    return Err(CxResult::UNABLE_TO_COMPLY);
                }
                continue;
            }
            is_known = true;
            self.registrar.update(id, ppr.impi, data);
            if self.stated(id) != stated {
                changed.push(id);
            }
        }
        if is_known { Ok(changed) } else { Err(CxResult::USER_UNKNOWN) }
    }

    /// The identities of a set that are not barred.
    fn stated(&self, id: Id) -> Vec<String> {
        let Some(registration) = self.registrar.get(id) else { return Vec::new() };
        let identities = self.registrar.identities(registration);
        identities.filter(|(_, is_stated)| *is_stated).map(|(impu, _)| impu).collect()
    }
}
