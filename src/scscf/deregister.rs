//! De-registration by the UE (TS 24.229 clause 5.4.1.4).

use super::answer::Granted;
use super::binding::Binding;
use super::contacts::Wish;
use super::refusal::Refusal;
use super::register::Register;
use super::{Due, Scscf};
use crate::cx::ServerAssignmentType;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::sip::transaction::ServerId;
use crate::time::Instant;

impl Scscf {
    /// Removes bindings, all that are named or none; with the last one the registration of the whole set ends. The UE
    /// is answered at once: whether the HSS hears of it does not change that the UE is gone. Bindings for emergency
    /// calls stay, and the HSS hears nothing before they have ended too.
    pub(super) fn deregister(
        &mut self,
        now: Instant,
        server: ServerId,
        register: &Register<'_, '_>,
        wish: &Wish<'_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let id = register.registration.ok_or(Refusal::UnknownBinding)?;
        let compact = &self.registrar.compact;
        let named = |b: &Binding| match wish {
            Wish::Unbind(wanted) => wanted.iter().any(|w| b.is_of(&w.key(), compact)),
            _ => !b.is_emergency(),
        };
        if let Wish::Unbind(wanted) = wish {
            let bound = self.registrar.bindings(id);
            if !wanted.iter().all(|w| bound.iter().any(|b| b.is_of(&w.key(), &self.registrar.compact))) {
                return Err(Refusal::UnknownBinding);
            }
        }
        let chosen: Vec<bool> = self.registrar.bindings(id).iter().map(named).collect();
        if !chosen.contains(&true) {
            return Err(Refusal::UnknownBinding);
        }
        let mut chosen = chosen.into_iter();
        let (mut removed, kept): (Vec<Binding>, Vec<Binding>) =
            self.registrar.take_bindings(id).into_iter().partition(|_| chosen.next().unwrap_or(false));
        for binding in &mut removed {
            binding.ended_by(register.call_id, register.cseq, &self.registrar.compact);
        }
        let (ended, emergency) = (kept.is_empty(), kept.iter().all(|b| b.is_emergency()));
        if let Some(deadline) = self.registrar.bind(id, kept) {
            self.timeouts.at(deadline, Due::Expiry(id));
        }
        let granted = Granted { registration: id, others: &[], removed: &removed, outbound: false, gruu: None };
        let reply = self.reply_to_granted(server, register, &[]);
        self.answer_granted(now, &reply, &granted, out);
        if ended {
            let hss = self.registrar.hss_of(id);
            self.tell(out, || What::Deregistered {
                impi: register.impi.into(),
                impu: register.impu.as_str().into(),
                cause: "the UE asked for it",
            });
            let assignment = match self.config.store_server_name {
                true => ServerAssignmentType::UserDeregistrationStoreServerName,
                false => ServerAssignmentType::UserDeregistration,
            };
            self.end_assignment(now, register.impi, &register.impu, assignment, hss, out);
            self.announce_deregistered(now, id, Some(register.message), out);
            self.end_registration(now, id, removed, ContactEvent::Unregistered, out);
        } else if emergency {
            self.tell_deregistered(id, "the UE asked for it", out);
            self.announce_deregistered(now, id, Some(register.message), out);
            self.end_watching(now, id, &removed, ContactEvent::Unregistered, out);
        } else {
            self.notify_changed(now, id, &removed, ContactEvent::Unregistered, out);
        }
        Ok(())
    }
}
