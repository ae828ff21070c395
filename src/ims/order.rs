//! What an operator asks of a running network, for `imsreg ctl` and for scenarios.

use super::Element;
use crate::cx::ReasonCode;
use crate::event::Role;
use crate::packet::Outbox;
use crate::scscf::Termination;
use crate::time::{Duration, Instant};

/// An order, for the element of [`Order::role`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// The S-CSCF ends the registrations of a public identity (TS 24.229 clause 5.4.1.5).
    Deregister {
        /// In canonical form.
        impu: String,
        /// What the UE is told.
        termination: Termination,
    },
    /// The S-CSCF wants a public identity authenticated again (TS 24.229 clause 5.4.1.6).
    Reauthenticate {
        /// In canonical form.
        impu: String,
        /// How long its bindings last now.
        within: Duration,
    },
    /// The HSS sends RTR (TS 29.228 clause 6.1.3).
    Terminate {
        /// A private or public identity.
        identity: String,
        /// Reason-Code.
        reason: ReasonCode,
    },
    /// The HSS sends PPR (TS 29.228 clause 6.2).
    PushProfile {
        /// A private or public identity.
        identity: String,
    },
}

impl Order {
    /// Who can carry it out.
    pub const fn role(&self) -> Role {
        match self {
            Self::Deregister { .. } | Self::Reauthenticate { .. } => Role::Scscf,
            Self::Terminate { .. } | Self::PushProfile { .. } => Role::Hss,
        }
    }
}

impl Element {
    /// Carries an order out, or says why not.
    pub fn carry_out(&mut self, now: Instant, order: &Order, out: &mut Outbox) -> Result<(), String> {
        let nobody =
            |sets: usize| if sets == 0 { Err("nobody is registered under this identity".to_owned()) } else { Ok(()) };
        match (self, order) {
            (Self::Scscf(scscf), Order::Deregister { impu, termination }) => {
                nobody(scscf.deregister_by_operator(now, impu, *termination, out))
            }
            (Self::Scscf(scscf), Order::Reauthenticate { impu, within }) => {
                nobody(scscf.reauthenticate(now, impu, *within, out))
            }
            (Self::Hss(hss), Order::Terminate { identity, reason }) => {
                hss.deregister(now, identity, *reason, out).map_err(|e| e.to_string())
            }
            (Self::Hss(hss), Order::PushProfile { identity }) => {
                hss.push_profile(now, identity, out).map_err(|e| e.to_string())
            }
            (element, order) => Err(format!("the {} does not do that, the {} does", element.role(), order.role())),
        }
    }
}
