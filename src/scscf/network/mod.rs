//! What the network begins: the HSS ends or changes what is registered (RTR, PPR), and so does the operator
//! (TS 24.229 clauses 5.4.1.5 and 5.4.1.6, TS 29.228 clauses 6.1.3 and 6.2).

mod operator;
mod ppr;
mod rtr;

pub use operator::Termination;

use super::Scscf;
use super::binding::Binding;
use super::registrar::canonical;
use super::table::Id;
use crate::cx::envelope::encode_fault;
use crate::cx::{Envelope, Ppr, Rtr, ServerAssignmentType};
use crate::diameter::peer::{NodeConfig, PeerId};
use crate::diameter::{Fault, Header};
use crate::event::What;
use crate::packet::Outbox;
use crate::reginfo::ContactEvent;
use crate::time::Instant;

impl Scscf {
    /// Serves a request of the HSS or refuses it.
    pub(super) fn on_hss_request(
        &mut self,
        now: Instant,
        peer: PeerId,
        header: &Header,
        message: &[u8],
        out: &mut Outbox,
    ) {
        let outcome = match header.command {
            Rtr::COMMAND => Rtr::decode(message).map(|rtr| self.on_rtr(now, peer, header, &rtr, out)),
            Ppr::COMMAND => Ppr::decode(message).map(|ppr| self.on_ppr(now, peer, header, &ppr, out)),
            _ => Err(Fault::new(COMMAND_UNSUPPORTED, "command not supported by this S-CSCF")),
        };
        if let Err(fault) = outcome {
            let own = &self.config.diameter;
            self.node.answer(peer, header, fault.is_protocol_error(), out, |w| {
                encode_fault(&fault, message, header, &own.origin_host, &own.origin_realm, w);
            });
        }
    }

    /// The registrations of `impi` that hold one of `impus`, or all of them where none is named.
    fn registrations_named(&self, impi: &str, impus: &[&str]) -> Vec<Id> {
        let wanted: Vec<String> = impus.iter().map(|impu| canonical((*impu).to_owned())).collect();
        let of_impi = self.registrar.all_of_impi(impi).into_iter();
        let holds = |id: &Id| {
            let Some(registration) = self.registrar.get(*id) else { return false };
            let mut own = self.registrar.identities(registration).map(|(impu, _)| canonical(impu));
            wanted.is_empty() || own.any(|impu| wanted.contains(&impu))
        };
        of_impi.filter(holds).collect()
    }

    /// Ends a registration, and tells the HSS too. True when nothing is left.
    pub(super) fn deregister_by_network(
        &mut self,
        now: Instant,
        id: Id,
        event: ContactEvent,
        cause: &'static str,
        out: &mut Outbox,
    ) -> bool {
        let Some(registration) = self.registrar.get(id) else { return false };
        let (impi, impu) = (self.registrar.impi(registration), self.registrar.default_impu(registration));
        let hss = self.registrar.hss_of(id);
        if !self.terminate_registration(now, id, event, out) {
            return false;
        }
        let assignment = ServerAssignmentType::AdministrativeDeregistration;
        self.end_assignment(now, &impi, &impu, assignment, hss, out);
        self.tell(out, || What::Deregistered { impi: impi.into(), impu: impu.into(), cause });
        true
    }

    /// Ends what the network ends: all bindings but those for emergency calls, which outlive it. Application servers and
    /// watchers hear of it. True when nothing is left.
    fn terminate_registration(&mut self, now: Instant, id: Id, event: ContactEvent, out: &mut Outbox) -> bool {
        let (kept, gone): (Vec<Binding>, Vec<Binding>) = {
            let bindings = self.registrar.bindings(id).iter();
            let is_kept: Vec<bool> = bindings.map(|b| b.is_emergency()).collect();
            let mut is_kept = is_kept.into_iter();
            self.registrar.take_bindings(id).into_iter().partition(|_| is_kept.next().unwrap_or(false))
        };
        if kept.is_empty() {
            self.announce_deregistered(now, id, None, out);
            self.end_registration(now, id, gone, event, out);
            return true;
        }
        self.rebind(id, kept);
        if !gone.is_empty() {
            self.announce_deregistered(now, id, None, out);
            self.end_watching(now, id, &gone, event, out);
        }
        false
    }
}

/// The common AVPs of an answer.
fn envelope<'a>(own: &'a NodeConfig, session_id: &'a str) -> Envelope<'a> {
    Envelope { session_id, origin_host: &own.origin_host, origin_realm: &own.origin_realm }
}

/// DIAMETER_COMMAND_UNSUPPORTED (RFC 6733 clause 7.1.3).
const COMMAND_UNSUPPORTED: u32 = 3001;
