//! An emergency registration beside the usual one (TS 24.229 clause 5.1.6).
//!
//! It has its own REGISTERs, security associations and timers, so it is a UE of its own, at the same address and with the
//! same USIM; packets find it by their security associations, and the answers before there are any by their branch.

use super::{Answering, Registering, State, Ue, UeConfig};
use crate::aka::usim::Usim;
use crate::packet::{Outbox, Packet};
use crate::sip::Message;
use crate::time::Instant;

impl Ue {
    /// Registers for emergency calls, beside a usual registration or without.
    pub fn register_emergency(&mut self, now: Instant, out: &mut Outbox) {
        let Self { emergency, config, random, .. } = self;
        emergency.get_or_insert_with(|| Box::new(Self::new(config.for_emergency(), random.fork())));
        self.share_usim();
        if let Some(other) = &mut self.emergency {
            other.register(now, out);
        }
    }

    /// There is one USIM, whichever registration its last challenge was for.
    pub(super) fn share_usim(&mut self) {
        let Self { config, emergency, second, .. } = self;
        let Some(own) = &mut config.usim else { return };
        let others = || emergency.iter().chain(second.iter());
        others().filter_map(|other| other.config.usim.as_ref()).for_each(|other| take_newer(own, other));
        for other in emergency.iter_mut().chain(second) {
            other.config.usim.iter_mut().for_each(|other| take_newer(other, own));
        }
    }

    /// The emergency registration, if there has been one.
    pub fn emergency(&self) -> Option<&Self> {
        self.emergency.as_deref()
    }

    /// True for a packet of this registration, which is beside another one at the same address.
    pub(super) fn is_receiver(&self, packet: &Packet<'_>) -> bool {
        match packet.sa {
            Some(sa) => {
                let established = self.registration.as_ref().and_then(|r| r.set.as_ref());
                self.retiring.iter().chain(established).chain(self.temporary()).any(|set| set.id == sa.set)
            }
            None => {
                let (State::Registering(Registering { sent, .. }) | State::Answering(Answering { sent, .. })) =
                    &self.state
                else {
                    return false;
                };
                Message::parse(packet.bytes)
                    .is_ok_and(|m| m.status().is_some() && m.via().is_ok_and(|via| via.branch() == Some(&sent.branch)))
            }
        }
    }
}

impl UeConfig {
    /// The same UE for emergency calls, with other protected ports.
    fn for_emergency(&self) -> Self {
        let (first, port_s) = self.protected_ports;
        let behind = first.saturating_add(self.port_c_pool.saturating_mul(2));
        let ports = if port_s == behind + 1 { (behind + 2, behind + 3) } else { (behind, behind + 1) };
        let usual = Self { second_flow: None, subscribe: false, reg_id: None, gruu: false, ..self.clone() };
        Self { emergency: true, protected_ports: ports, ..usual }
    }
}

fn take_newer(to: &mut Usim, from: &Usim) {
    let newer: Vec<u64> = to.sqn_array().iter().zip(from.sqn_array()).map(|(a, b)| *a.max(&b)).collect();
    if let Ok(array) = newer.try_into() {
        to.set_sqn_array(array);
    }
}
