//! Plane `none`: protected messages stay in clear, and the addresses and ports of a packet stand for its SA.

use super::{InClear, Plane};
use crate::ipsec::association::{Mode, SaSet, SaSetId};
use crate::live::shard::Shared;
use crate::time::Duration;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// `ims::Ims` keeps its table of SAs, so nothing is left to do.
pub(super) struct None;

impl Plane for None {
    fn prepare(&self, _socket: &Socket, _local: SocketAddr) -> io::Result<()> {
        Ok(())
    }

    fn release(&self, _local: SocketAddr) {}

    fn in_clear(&self) -> InClear {
        InClear::Socket
    }

    fn install(&mut self, set: &SaSet, _shared: &Shared) -> Result<(), String> {
        match set.mode {
            Mode::Transport => Ok(()),
            // Clear text has the addresses of the NAT, and no SA would fit it.
            Mode::UdpTunnel { .. } => Err("no UDP-enc-tun under plane none; take userspace".to_owned()),
        }
    }

    fn extend(&mut self, _set: SaSetId, _life: Duration) {}

    fn remove(&mut self, _set: SaSetId) {}

    fn stop(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(std::future::ready(()))
    }
}
