//! The SAs that are alive, looked up by addresses and ports: what plane `none` has in place of ESP.

use super::association::{SaId, SaSet, SaSetId};
use std::net::SocketAddr;

/// All sets alive on one host.
#[derive(Debug, Default)]
pub struct SaTable {
    _sets: Vec<SaSet>,
}

/// What a plane says to an inbound packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inbound {
    /// It matches the selectors of this SA.
    Protected(SaId),
    /// Neither address belongs to a set: ordinary traffic.
    Clear,
    /// It goes to a protected port of ours without fitting any SA: dropped.
    Refused,
}

impl SaTable {
    /// Adds a set; an error if its selectors or SPIs collide with those of a set alive. Installing the same set again
    /// changes nothing.
    pub fn install(&mut self, _set: &SaSet) -> Result<(), Collision> {
        todo!()
    }

    /// Removes a set; unknown ones are ignored.
    pub fn remove(&mut self, _set: SaSetId) {
        todo!()
    }

    /// Judges a packet by its addresses. `protected_port` tells whether the local port serves protected traffic only.
    pub fn inbound(&self, _from: SocketAddr, _to: SocketAddr, _protected_port: bool) -> Inbound {
        todo!()
    }

    /// True when `sa` may carry a packet between these addresses.
    pub fn outbound(&self, _sa: SaId, _from: SocketAddr, _to: SocketAddr) -> bool {
        todo!()
    }

    /// True while `set` is alive.
    pub fn contains(&self, _set: SaSetId) -> bool {
        todo!()
    }

    /// How many sets are alive.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A set whose SPIs or selectors are in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collision;
