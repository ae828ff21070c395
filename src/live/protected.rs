//! Protected ports of UEs: they come and go with sets of SAs. Those of a P-CSCF are ordinary listeners.

use super::shard::Shared;
use super::sockets::{UdpSockets, bind_stream, bind_udp};
use super::stream;
use crate::ipsec::association::{SaSet, SaSetId};
use crate::packet::{Protocol, Transport};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::task::JoinHandle;

#[derive(Debug, Default)]
pub(super) struct ProtectedPorts {
    sets: HashMap<SaSetId, [SocketAddr; 2]>,
    /// A UE listens on port_us before its protected REGISTER (TS 33.203 clause 7.1); port_us outlives a set.
    listeners: HashMap<SocketAddr, JoinHandle<()>>,
}

impl ProtectedPorts {
    /// Opens the two ports of a UE's set. Ports that are open stay so.
    pub(super) fn open(&mut self, set: &SaSet, udp: &mut UdpSockets, shared: &Shared) -> io::Result<()> {
        if !set.at_ue {
            return Ok(());
        }
        let [client, server] = [set.ue.port_c, set.ue.port_s].map(|p| SocketAddr::new(set.ue_address, p));
        for address in [client, server] {
            if !udp.contains(address) {
                udp.add(address, bind_udp(address)?, shared);
            }
        }
        if let Entry::Vacant(free) = self.listeners.entry(server) {
            let listener = bind_stream(Transport::Tcp, server)?;
            free.insert(tokio::task::spawn_local(stream::accept(
                listener,
                Transport::Tcp,
                Protocol::Sip,
                Rc::clone(shared),
            )));
        }
        self.sets.insert(set.id, [client, server]);
        Ok(())
    }

    /// Closes the ports that no other set uses.
    pub(super) fn close(&mut self, set: SaSetId, udp: &mut UdpSockets) {
        let Some(ports) = self.sets.remove(&set) else { return };
        for address in ports {
            if self.sets.values().any(|others| others.contains(&address)) {
                continue;
            }
            udp.remove(address);
            if let Some(task) = self.listeners.remove(&address) {
                task.abort();
            }
        }
    }
}
