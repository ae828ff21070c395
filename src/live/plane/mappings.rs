//! What keeps the mappings of NATs before the UEs of a process (RFC 3948 clause 4).

use crate::ipsec::association::{SaSet, SaSetId};
use crate::ipsec::esp::{Carrier, KeepAlives};
use crate::live::clock::Clock;
use std::cell::RefCell;
use std::net::IpAddr;
use tokio::sync::Notify;

/// The tunnels that there are, and when they have sent.
pub(super) struct Mappings {
    clock: Clock,
    tunnels: RefCell<KeepAlives>,
    /// There may be something to wait for.
    has_tunnel: Notify,
}

impl Mappings {
    pub(super) fn new() -> Self {
        Self { clock: Clock::start(), tunnels: RefCell::default(), has_tunnel: Notify::new() }
    }

    /// A set is installed.
    pub(super) fn add(&self, set: &SaSet) {
        self.tunnels.borrow_mut().add(self.clock.now(), set);
        self.has_tunnel.notify_one();
    }

    /// A set is gone.
    pub(super) fn remove(&self, set: SaSetId) {
        self.tunnels.borrow_mut().remove(set);
    }

    /// An ESP packet has left.
    pub(super) fn sent(&self, from: IpAddr, to: IpAddr, carrier: Carrier) {
        if matches!(carrier, Carrier::Udp { .. }) {
            self.tunnels.borrow_mut().sent(self.clock.now(), from, to);
        }
    }

    /// Calls `send` whenever a keep-alive is due between two addresses. Never ends.
    pub(super) async fn keep(&self, send: impl Fn(IpAddr, IpAddr)) {
        loop {
            let due = self.tunnels.borrow_mut().due(self.clock.now());
            due.into_iter().for_each(|(from, to)| send(from, to));
            let next = self.tunnels.borrow().next_timeout();
            match next {
                Some(next) => tokio::time::sleep_until(self.clock.deadline(next)).await,
                None => self.has_tunnel.notified().await,
            }
        }
    }
}
