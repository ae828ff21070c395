//! UEs behind a NAT (TS 33.203 annex M, TS 24.229 annex F): who is, and what may be agreed with them.

use super::Pcscf;
use super::config::NatPolicy;
use crate::ipsec::association::Mod;
use crate::sip::header::via::Via;
use std::net::IpAddr;

/// What lies between us and the sender of a REGISTER in clear.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    /// What SAs may be agreed on, the preferred first.
    pub(super) modes: &'static [Mod],
    /// The address of the UE as it knows it, where a NAT shows another one.
    pub(super) inside: Option<IpAddr>,
}

impl Between {
    /// Nothing.
    pub(super) const OPEN: Self = Self { modes: &[Mod::Trans], inside: None };
}

impl Pcscf {
    /// A NAT is where the topmost Via names another address than the packet came from (TS 24.229 clause F.1). A host name
    /// tells nothing.
    pub(super) fn between(&self, via: &Via<'_>, source: IpAddr) -> Between {
        match via.ip().filter(|ip| *ip != source) {
            Some(inside) if self.config.nat != NatPolicy::Off => self.behind_nat(inside, source),
            _ => Between::OPEN,
        }
    }

    /// TS 33.203 clause M.7.1: UDP-encapsulated tunnel mode shall be used behind a NAT.
    fn behind_nat(&self, inside: IpAddr, source: IpAddr) -> Between {
        let ours = self.config.core.ip() == inside || self.config.listen.iter().any(|l| l.ip() == inside);
        let is_host = !ours && !inside.is_unspecified() && !inside.is_multicast();
        let can_tunnel = self.config.carries_tunnels && is_host && inside.is_ipv4() == source.is_ipv4();
        let modes: &[Mod] = match (self.config.nat, can_tunnel) {
            (NatPolicy::Required, true) => &[Mod::UdpEncTun],
            (NatPolicy::Required, false) => &[],
            (NatPolicy::Offered, true) => &[Mod::UdpEncTun, Mod::Trans],
            (NatPolicy::Offered, false) | (NatPolicy::Off, _) => &[Mod::Trans],
        };
        Between { modes, inside: Some(inside) }
    }
}
