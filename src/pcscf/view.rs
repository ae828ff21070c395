//! What a P-CSCF shows of itself on request: its sets of security associations.

use super::Pcscf;
use super::flow::Phase;
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Endpoint, SaSetId};
use crate::time::Instant;
use std::net::IpAddr;

/// One set of four SAs.
#[derive(Clone, Debug)]
pub struct SaSetView {
    /// Its name in this process.
    pub id: SaSetId,
    /// `temporary`, `established`, `replaced`, `failed` or `deregistered`.
    pub phase: &'static str,
    /// The UE's address.
    pub ue_address: IpAddr,
    /// The address of the NAT before the UE, where the set is in tunnel mode.
    pub nat: Option<IpAddr>,
    /// The UE's SPIs and ports.
    pub ue: Endpoint,
    /// The P-CSCF's address.
    pub pcscf_address: IpAddr,
    /// The P-CSCF's SPIs: client, server.
    pub spis: (Spi, Spi),
    /// The P-CSCF's ports: client, server.
    pub ports: (u16, u16),
    /// What protects it.
    pub algorithms: Algorithms,
    /// When it ends at the SIP level.
    pub ends: Instant,
    /// The default identities of what is registered over it, in canonical form.
    pub identities: Vec<String>,
}

impl Pcscf {
    /// All sets alive, the oldest first.
    pub fn sa_set_views(&self) -> Vec<SaSetView> {
        let mut views: Vec<SaSetView> = self
            .books
            .sets()
            .map(|set| SaSetView {
                id: set.id,
                phase: match set.phase {
                    Phase::Challenged => "temporary",
                    Phase::Registered { .. } => "established",
                    Phase::Replaced => "replaced",
                    Phase::Failed => "failed",
                    Phase::Deregistered => "deregistered",
                },
                ue_address: set.ue_address,
                nat: self.books.outside(set),
                ue: set.ue,
                pcscf_address: self.books.address(set),
                spis: (set.spi_c, set.spi_s),
                ports: (set.port_c, self.config.port_s),
                algorithms: set.algorithms,
                ends: set.ends,
                identities: self.books.registrations(set.flow).iter().filter_map(|r| r.identities().next()).collect(),
            })
            .collect();
        views.sort_unstable_by_key(|view| view.id);
        views
    }
}
