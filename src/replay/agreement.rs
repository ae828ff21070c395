//! The security agreement of a replay: the recorded lists with SPIs and ports of now (TS 33.203 clause 7).

use super::comparison::Sender;
use super::player::{LiveSet, Player};
use super::report::Outcome;
use crate::aka::{Ck, Ik};
use crate::identity::Spi;
use crate::ipsec::association::{Endpoint, Mod, Mode, PortPair, SaId, SaSet, SaSetId};
use crate::ipsec::negotiate::{self, Offer};
use crate::packet::{Effect, Outbox, Route, Transport};
use crate::sip::header::sec_agree::Mechanisms;
use crate::time::Instant;
use std::net::{IpAddr, SocketAddr};

impl Player {
    /// Renews our SPIs and ports: once for each recorded set of them.
    pub(super) fn renew_endpoint(&mut self, recorded: Endpoint) -> Endpoint {
        if let Some((_, now)) = self.endpoints.iter().find(|(known, _)| *known == recorded) {
            return *now;
        }
        let (clients, port_s) = self.config.protected_ports.clone();
        let width = clients.end() - clients.start() + 1;
        let given = u16::try_from(self.endpoints.len()).unwrap_or(u16::MAX);
        let port_c = clients.start() + given % width;
        let spi_c = self.spi(&[]);
        let spi_s = self.spi(&[spi_c]);
        let now = Endpoint { spi_c, spi_s, port_c, port_s };
        self.endpoints.push((recorded, now));
        self.note_endpoint(self.config.side, self.config.local.ip(), recorded, now);
        now
    }

    /// Renews the SPIs and ports of one side wherever they stand.
    pub(super) fn note_endpoint(&mut self, of: Sender, address: IpAddr, recorded: Endpoint, now: Endpoint) {
        self.renewals.endpoint(of, &recorded, &now);
        let list = if of == Sender::Ue { &self.script.ue } else { &self.script.pcscf };
        let mut hosts: Vec<IpAddr> = list.iter().map(SocketAddr::ip).collect();
        hosts.dedup();
        for host in hosts {
            for (old, new) in [(recorded.port_c, now.port_c), (recorded.port_s, now.port_s)] {
                self.renewals.end(SocketAddr::new(host, old), SocketAddr::new(address, new));
            }
        }
    }

    /// Asks for the set that two lists agree on. What comes next waits for it.
    pub(super) fn install(
        &mut self,
        now: Instant,
        (client, server): (&Mechanisms<'_>, &Mechanisms<'_>),
        (ue, pcscf): (IpAddr, IpAddr),
        out: &mut Outbox,
    ) -> bool {
        let mut skipped = String::new();
        let offers = negotiate::usable(client, &mut skipped);
        let algorithms: Vec<_> = offers.iter().map(|offer| offer.algorithms).collect();
        let modes: Vec<Mod> = offers.iter().map(|offer| offer.mode).collect();
        let chosen = negotiate::choose_at_ue(server, &algorithms, &modes);
        let (Some(Offer { algorithms, mode, endpoint, .. }), Some(own)) = (chosen, offers.first()) else {
            let text = "the two lists have no pair of algorithms in common: no security association is made";
            self.report.note(now, None, "security agreement", Outcome::Note(text.to_owned()));
            return false;
        };
        let at_ue = self.config.side == Sender::Ue;
        // Names of the two sides of one process must differ.
        let name = self.random.next_u64() >> 2;
        let id = SaSetId(if at_ue { name | 1 << 62 } else { name });
        let keys = self.challenges.last().and_then(|challenge| challenge.keys(&self.config.known));
        let (ck, ik) = keys.unwrap_or((Ck([0; 16]), Ik([0; 16])));
        let mode = match mode {
            Mod::Trans => Mode::Transport,
            Mod::UdpEncTun => Mode::UdpTunnel { outer_ue: ue },
        };
        let (ue_address, pcscf_address) = (ue, pcscf);
        let set =
            SaSet { id, ue_address, pcscf_address, ue: own.endpoint, pcscf: endpoint, algorithms, mode, ck, ik, at_ue };
        self.sets.push(LiveSet { id, ue: own.endpoint, pcscf: endpoint, is_there: false });
        self.installing = Some(id);
        out.push(Effect::InstallSa(Box::new(set)));
        true
    }

    /// The way of a request of ours over the newest set.
    pub(super) fn protected_route(&self, transport: Transport) -> Option<Route> {
        let set = self.sets.iter().rev().find(|set| set.is_there)?;
        let other = self.other.map_or(self.config.pcscf, |route| route.to);
        let (here, there, pair) = match self.config.side {
            Sender::Ue => (set.ue.port_c, set.pcscf.port_s, PortPair::UcPs),
            Sender::Network => (set.pcscf.port_c, set.ue.port_s, PortPair::UsPc),
        };
        let (from, to) = (SocketAddr::new(self.config.local.ip(), here), SocketAddr::new(other.ip(), there));
        Some(Route::sip(transport, from, to).protected(SaId { set: set.id, pair }))
    }

    /// The way of a response of ours to what came over an SA (TS 24.229 clauses 5.1.1.2.2 and 5.2.2).
    pub(super) fn way_back(&self, came: Route) -> Option<Route> {
        let sa = came.sa?;
        let set = self.sets.iter().find(|set| set.id == sa.set)?;
        if came.transport.is_reliable() {
            return Some(Route { from: came.to, to: came.from, ..came });
        }
        let (here, there, pair) = match self.config.side {
            Sender::Ue => (set.ue.port_c, set.pcscf.port_s, PortPair::UcPs),
            Sender::Network => (set.pcscf.port_c, set.ue.port_s, PortPair::UsPc),
        };
        let (from, to) = (SocketAddr::new(came.to.ip(), here), SocketAddr::new(came.from.ip(), there));
        Some(Route::sip(came.transport, from, to).protected(SaId { set: sa.set, pair }))
    }

    fn spi(&mut self, taken: &[Spi]) -> Spi {
        loop {
            let spi = Spi(self.random.next_u32());
            let is_ours = self.endpoints.iter().any(|(_, now)| now.spi_c == spi || now.spi_s == spi);
            if spi >= Spi::FIRST && !is_ours && !taken.contains(&spi) {
                return spi;
            }
        }
    }
}
