//! DefaultHandling SESSION_TERMINATED: without its application server a user is not registered (TS 24.229 clause 5.4.1.7).

use crate::cx::ServerAssignmentType;
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::scscf::Scscf;
use crate::scscf::table::Id;
use crate::time::Instant;

impl Scscf {
    /// De-registers for the network. The application servers hear of it, and what they say to that has no consequence.
    pub(super) fn end_by_default_handling(&mut self, now: Instant, id: Id, out: &mut Outbox) {
        let Some(registration) = self.registrar.get(id) else { return };
        let (impi, impu) = (self.registrar.impi(registration), self.registrar.default_impu(registration));
        let hss = self.registrar.hss_of(id);
        let assignment = ServerAssignmentType::AdministrativeDeregistration;
        self.end_assignment(now, &impi, &impu, assignment, hss, out);
        self.tell(out, || What::Deregistered {
            impi: impi.into(),
            impu: impu.into(),
            cause: "an application server did not take it",
        });
        self.announce_deregistered(now, id, None, out);
        self.end_registration(now, id, Vec::new(), ContactEvent::Rejected, out);
    }
}
