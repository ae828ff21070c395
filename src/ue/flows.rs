//! The second flow of a device (RFC 5626): another reg-id, by another P-CSCF or another connection.
//!
//! It has its own REGISTERs, security associations and timers, so it is a UE of its own behind the first, as an emergency
//! registration is. The first forms it, and is the one that subscribes to the registration of both.

use super::timers::back_off;
use super::{Failed, Goal, RetryPolicy, State, Ue, UeConfig, UeStatus};
use crate::packet::{Outbox, Packet};
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::net::SocketAddr;

/// What one flow knows of the other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flow {
    pub(super) is_second: bool,
    /// The other one is registered.
    other_lives: bool,
}

impl Ue {
    /// The second flow, if it has ever been formed.
    pub fn second_flow(&self) -> Option<&Self> {
        self.second.as_deref()
    }

    /// Forms the second flow after a 200 of the first: the registrar must have said that it supports flows (RFC 5626
    /// clause 4.2.1).
    pub(super) fn form_second_flow(&mut self, now: Instant, renews: bool, accepted: &Message<'_>, out: &mut Outbox) {
        let Some(pcscf) = self.config.second_flow.filter(|_| self.config.flow().is_some()) else { return };
        if !accepted.has_option(HeaderName::Require, "outbound") {
            return;
        }
        let Self { second, config, random, .. } = self;
        let second = second.get_or_insert_with(|| {
            let mut second = Self::new(config.for_second_flow(pcscf), random.fork());
            second.flow.is_second = true;
            Box::new(second)
        });
        // One that has given up tries again when everything begins anew.
        if !matches!((second.status(), renews), (UeStatus::Idle, _) | (UeStatus::Failed { .. }, false)) {
            return;
        }
        second.flow.other_lives = true;
        self.share_usim();
        if let Some(second) = &mut self.second {
            second.register(now, out);
        }
    }

    /// The network has ended both flows: what the first one does then it does for both, as two challenges of one identity
    /// would replace each other (TS 24.229 clause 5.1.1.2).
    pub(super) fn end_with_first_flow(&mut self, now: Instant, out: &mut Outbox) {
        self.goal = Goal::Deregistered;
        if !self.is_busy() {
            self.end_registration("the network has ended it", now, out);
        }
    }

    /// Each flow learns whether the other one is there.
    pub(super) fn compare_flows(&mut self) {
        if let Some(second) = &mut self.second {
            second.flow.other_lives = self.registration.is_some();
            self.flow.other_lives = second.registration.is_some();
        }
    }

    /// RFC 5626 clause 4.5: with another flow that works there is less hurry.
    pub(super) fn wait_after_failure(&mut self) -> Duration {
        let retry = self.config.retry;
        let base = if self.flow.other_lives { retry.base * NOT_ALL_FAILED } else { retry.base };
        back_off(&RetryPolicy { base, ..retry }, self.failures, &mut self.random)
    }

    /// 439: the first hop does not support flows. The first one is registered without a reg-id; the second is of no use.
    /// True where the REGISTER may be sent again.
    pub(super) fn does_without_flow(&mut self) -> bool {
        let goes_on = self.config.flow().is_some() && !self.flow.is_second;
        if goes_on {
            self.config.reg_id = None;
        }
        goes_on
    }

    /// Which flow new requests outside of dialogs take: the first one, unless it has failed and the other has not (RFC
    /// 5626 clause 4.3).
    pub(super) fn flow_for_requests(&mut self) -> Option<&mut Self> {
        let has_failed = self.registration.is_none() || self.failures > 0 || self.is_busy() && self.flow_has_failed();
        self.second.as_deref_mut().filter(|second| has_failed && second.registration.is_some() && second.failures == 0)
    }

    /// An initial registration is under way beside a registration that lives.
    fn flow_has_failed(&self) -> bool {
        let attempt = match &self.state {
            State::Registering(registering) => &registering.attempt,
            State::Securing(securing) => &securing.attempt,
            State::Answering(answering) => &answering.attempt,
            State::Idle | State::Waiting(_) | State::Failed(Failed { .. }) => return false,
        };
        !attempt.renews
    }

    /// The registrations beside this one: for emergency calls, and the second flow.
    pub(super) fn beside(&self) -> impl Iterator<Item = &Self> {
        self.emergency.iter().chain(&self.second).map(|other| &**other)
    }

    /// The same.
    pub(super) fn beside_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.emergency.iter_mut().chain(&mut self.second).map(|other| &mut **other)
    }

    /// The registration beside this one that a packet is for.
    pub(super) fn receiver(&mut self, packet: &Packet<'_>) -> Option<&mut Self> {
        let pcscf = self.config.pcscf;
        self.beside_mut().find(|other| {
            let by_address = other.flow.is_second && other.config.pcscf != pcscf && packet.from == other.config.pcscf;
            other.is_receiver(packet) || (by_address && packet.sa.is_none())
        })
    }
}

impl UeConfig {
    /// The same UE by the next reg-id, with other protected ports. It may stand beside an emergency registration.
    fn for_second_flow(&self, pcscf: SocketAddr) -> Self {
        let (first, port_s) = self.protected_ports;
        let behind = first.saturating_add(self.port_c_pool.saturating_mul(4)).saturating_add(4);
        let ports =
            if port_s == behind || port_s == behind + 1 { (behind + 2, behind + 3) } else { (behind, behind + 1) };
        let reg_id = self.reg_id.map(|id| id + 1);
        Self { pcscf, protected_ports: ports, reg_id, second_flow: None, subscribe: false, ..self.clone() }
    }
}

/// The defaults of RFC 5626 clause 4.5 are 30 s where all flows have failed, and 90 s where another one works.
const NOT_ALL_FAILED: u32 = 3;
