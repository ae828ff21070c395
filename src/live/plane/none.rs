//! Plane `none`: protected messages stay in clear, and the addresses and ports of a packet stand for its SA.

use super::{Installation, Plane};
use crate::ipsec::association::{SaSet, SaSetId};
use crate::live::shard::Shared;
use crate::time::Instant;
use socket2::Socket;
use std::io;
use std::pin::Pin;

/// `ims::Ims` keeps its table of SAs, so nothing is left to do.
pub(super) struct None;

impl Plane for None {
    fn prepare(&self, _socket: &Socket) -> io::Result<()> {
        Ok(())
    }

    fn install(&mut self, _set: &SaSet, _shared: &Shared) -> Installation {
        Installation::Done
    }

    fn extend(&mut self, _set: SaSetId, _until: Instant) {}

    fn remove(&mut self, _set: SaSetId) {}

    fn stop(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }
}
