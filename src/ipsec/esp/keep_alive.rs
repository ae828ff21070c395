//! Keep-alives of tunnels (RFC 3948 clause 4): something leaves every 20 s, so that the NAT between keeps its mapping.
//! Only a UE sends them: the P-CSCF is never behind the NAT (TS 33.203 clause M.1).

use crate::ipsec::association::{Mode, SaSet, SaSetId};
use crate::time::{Duration, Instant, Timeouts};
use std::collections::HashMap;
use std::net::IpAddr;

/// The tunnels of the UEs of one host, and when each has sent last.
#[derive(Debug)]
pub struct KeepAlives {
    tunnels: HashMap<Ends, Tunnel>,
    sets: HashMap<SaSetId, Ends>,
    timeouts: Timeouts<Ends>,
}

/// Our address outside, and that of the P-CSCF. Tunnels of one pair have one mapping.
type Ends = (IpAddr, IpAddr);

#[derive(Debug)]
struct Tunnel {
    sets: usize,
    sent: Instant,
}

impl KeepAlives {
    /// No tunnel yet.
    pub fn new() -> Self {
        Self { tunnels: HashMap::new(), sets: HashMap::new(), timeouts: Timeouts::new() }
    }

    /// A set is installed; those of a P-CSCF and those in transport mode need nothing.
    pub fn add(&mut self, now: Instant, set: &SaSet) {
        let Mode::UdpTunnel { outer_ue } = set.mode else { return };
        let ends = (outer_ue, set.pcscf_address);
        if !set.at_ue || self.sets.insert(set.id, ends).is_some() {
            return;
        }
        let timeouts = &mut self.timeouts;
        let tunnel = self.tunnels.entry(ends).or_insert_with(|| {
            timeouts.at(now + INTERVAL, ends);
            Tunnel { sets: 0, sent: now }
        });
        tunnel.sets += 1;
    }

    /// A set is gone.
    pub fn remove(&mut self, set: SaSetId) {
        let Some(ends) = self.sets.remove(&set) else { return };
        if let Some(tunnel) = self.tunnels.get_mut(&ends) {
            // With its timer it goes altogether.
            tunnel.sets -= 1;
        }
    }

    /// An ESP packet has left between these addresses.
    pub fn sent(&mut self, now: Instant, from: IpAddr, to: IpAddr) {
        if let Some(tunnel) = self.tunnels.get_mut(&(from, to)) {
            tunnel.sent = now;
        }
    }

    /// When to ask again.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timeouts.next()
    }

    /// Between which addresses a keep-alive must leave now: these count as sent.
    pub fn due(&mut self, now: Instant) -> Vec<(IpAddr, IpAddr)> {
        let mut silent = Vec::new();
        while let Some(ends) = self.timeouts.pop(now) {
            let Some(tunnel) = self.tunnels.get_mut(&ends).filter(|tunnel| tunnel.sets > 0) else {
                self.tunnels.remove(&ends);
                continue;
            };
            if tunnel.sent + INTERVAL <= now {
                tunnel.sent = now;
                silent.push(ends);
            }
            self.timeouts.at(tunnel.sent + INTERVAL, ends);
        }
        silent
    }
}

impl Default for KeepAlives {
    fn default() -> Self {
        Self::new()
    }
}

/// RFC 3948 clause 4: the default of M.
const INTERVAL: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn set(id: u64) -> SaSet {
        let set = SaSet::for_tests(true);
        SaSet { id: SaSetId(id), mode: Mode::UdpTunnel { outer_ue: set.ue_address }, ..set }
    }

    #[test]
    fn what_is_silent_for_20_seconds_says_something() {
        let at = Instant::from_secs;
        let mut keep_alives = KeepAlives::new();
        keep_alives.add(at(0), &SaSet::for_tests(true));
        keep_alives.add(at(0), &SaSet { at_ue: false, ..set(7) });
        assert_eq!(keep_alives.next_timeout(), None, "transport mode, and the P-CSCF");
        keep_alives.add(at(0), &set(1));
        keep_alives.add(at(5), &set(2));
        let ends = (set(1).ue_address, set(1).pcscf_address);
        keep_alives.sent(at(12), ends.0, ends.1);
        assert_eq!((keep_alives.next_timeout(), keep_alives.due(at(20))), (Some(at(20)), vec![]));
        assert_eq!((keep_alives.next_timeout(), keep_alives.due(at(32))), (Some(at(32)), vec![ends]));
        keep_alives.remove(SaSetId(1));
        assert_eq!(keep_alives.due(at(52)), [ends], "one mapping for both sets");
        keep_alives.remove(SaSetId(2));
        keep_alives.remove(SaSetId(2));
        assert_eq!((keep_alives.due(at(72)), keep_alives.next_timeout()), (vec![], None));
    }
}
