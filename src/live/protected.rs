//! Sets of SAs in the driver: protected ports of UEs come and go with them, the plane makes the SAs. The protected
//! ports of a P-CSCF are ordinary listeners.

use super::plane::{OpenPlane, Plane};
use super::shard::{self, Shard, Shared};
use super::sockets::{bind_stream, bind_udp};
use super::stream;
use crate::ims::ElementId;
use crate::ipsec::association::{SaSet, SaSetId};
use crate::ipsec::esp::Counters;
use crate::mutation::SetFaultKind;
use crate::packet::{Protocol, SaFailure, SaFault, Transport};
use crate::time::{Duration, Instant};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::task::JoinHandle;

/// The sets alive, and the plane that carries them.
pub(super) struct Protected {
    pub(super) plane: Box<dyn Plane>,
    sets: HashMap<SaSetId, Set>,
    /// A UE listens on port_us before its protected REGISTER (TS 33.203 clause 7.1); port_us outlives a set.
    listeners: HashMap<SocketAddr, JoinHandle<()>>,
    /// What came while connections of a set are being reset.
    waiting: VecDeque<Order>,
    is_resetting: bool,
}

struct Set {
    /// Local and remote end of the two pairs of ports.
    pairs: [(SocketAddr, SocketAddr); 2],
    at_ue: bool,
    /// Who is told of it.
    owner: ElementId,
    since: Instant,
}

/// What a set has carried.
#[derive(Clone, Copy, Debug)]
pub struct SaTraffic {
    /// How long it has lived.
    pub age: Duration,
    /// Packets through it and drops; `None` where the plane does not count.
    pub counters: Option<Counters>,
}

enum Order {
    Install(ElementId, Box<SaSet>),
    Extend(SaSetId, Instant),
    Remove(SaSetId),
}

impl Protected {
    pub(super) fn new(OpenPlane(plane): OpenPlane) -> Self {
        Self { plane, sets: HashMap::new(), listeners: HashMap::new(), waiting: VecDeque::new(), is_resetting: false }
    }
}

/// Opens the ports of a UE's set and lets the plane make the SAs.
pub(super) fn install(shard: &mut Shard, shared: &Shared, now: Instant, owner: ElementId, set: Box<SaSet>) {
    if shard.protected.is_resetting {
        shard.protected.waiting.push_back(Order::Install(owner, set));
        return;
    }
    let fault = shard.ims.set_fault(owner, &set);
    let made = fault.and_then(|fault| fault.altered(&set));
    let result = open_ports(shard, shared, now, owner, &set)
        .map_err(|error| SaFault::Port(error.to_string().into()))
        .and_then(|()| {
            match fault {
                Some(SetFaultKind::Refused) => Err("so it was told".to_owned()),
                _ => shard.protected.plane.install(made.as_ref().unwrap_or(&set), shared),
            }
            .map_err(|cause| SaFault::Refused(cause.into()))
        });
    if let (Some(SetFaultKind::EndsAfter(life)), Ok(())) = (fault, &result) {
        let (shared, set) = (Rc::clone(shared), set.id);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(life).await;
            // Nobody is told.
            shared.borrow_mut().protected.plane.remove(set);
        });
    }
    conclude(shard, now, set.id, result);
}

/// Tells the plane the end of a set.
pub(super) fn extend(shard: &mut Shard, now: Instant, set: SaSetId, until: Instant) {
    if shard.protected.is_resetting {
        shard.protected.waiting.push_back(Order::Extend(set, until));
    } else {
        shard.protected.plane.extend(set, until.saturating_since(now));
    }
}

/// What a set that is alive has carried.
pub(super) fn traffic(shard: &Shard, now: Instant, set: SaSetId) -> Option<SaTraffic> {
    let Protected { plane, sets, .. } = &shard.protected;
    let age = now.saturating_since(sets.get(&set)?.since);
    Some(SaTraffic { age, counters: plane.counters(set) })
}

/// Lets the plane send twice what leaves over a set.
pub(super) fn replay(shard: &mut Shard, set: SaSetId) {
    shard.protected.plane.replay(set);
}

/// Resets the connections of a set, then ends its SAs and closes the ports that no other set uses: what is open when
/// its SAs go would send its FIN in clear.
pub(super) fn remove(shard: &mut Shard, shared: &Shared, id: SaSetId) {
    if shard.protected.is_resetting {
        shard.protected.waiting.push_back(Order::Remove(id));
        return;
    }
    let Some(set) = shard.protected.sets.get(&id) else { return };
    let pairs = set.pairs;
    if !shard.streams.reset(&pairs) {
        end(shard, id);
        return;
    }
    shard.protected.is_resetting = true;
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        ended(&shared, &pairs).await;
        shard::with(&shared, |shard, now| {
            end(shard, id);
            shard.protected.is_resetting = false;
            for order in std::mem::take(&mut shard.protected.waiting) {
                match order {
                    Order::Install(owner, set) => install(shard, &shared, now, owner, set),
                    Order::Extend(set, until) => extend(shard, now, set, until),
                    Order::Remove(id) => remove(shard, &shared, id),
                }
            }
        });
    });
}

/// Resets all protected connections and ends the plane.
pub(super) async fn stop(shared: &Shared) {
    let pairs: Vec<_> = shared.borrow().protected.sets.values().flat_map(|set| set.pairs).collect();
    if shared.borrow().streams.reset(&pairs) {
        ended(shared, &pairs).await;
    }
    let stopped = shared.borrow_mut().protected.plane.stop();
    stopped.await;
}

/// Waits until no connection between these ends is open.
async fn ended(shared: &Shared, pairs: &[(SocketAddr, SocketAddr)]) {
    let changed = shared.borrow().changed.clone();
    loop {
        let notified = changed.notified();
        if !shared.borrow().streams.any(pairs) {
            break;
        }
        notified.await;
    }
}

fn conclude(shard: &mut Shard, now: Instant, set: SaSetId, result: Result<(), SaFault>) {
    let Some(owner) = shard.protected.sets.get(&set).map(|set| set.owner) else { return };
    match result {
        Ok(()) => shard.ims.sa_installed(now, owner, set, &mut shard.out, &mut *shard.tap),
        Err(cause) => {
            tracing::warn!(%set, %cause, "the SAs of a set could not be made");
            close_ports(shard, set);
            let failure = SaFailure { set, cause };
            shard.ims.sa_failed(now, owner, &failure, &mut shard.out, &mut *shard.tap);
        }
    }
}

fn end(shard: &mut Shard, set: SaSetId) {
    shard.protected.plane.remove(set);
    close_ports(shard, set);
}

/// Opens the two ports of a UE's set. Ports that are open stay so.
fn open_ports(shard: &mut Shard, shared: &Shared, since: Instant, owner: ElementId, set: &SaSet) -> io::Result<()> {
    let Shard { protected: Protected { plane, sets, listeners, .. }, udp, .. } = shard;
    let (local, remote) = if set.at_ue { (set.ue, set.pcscf) } else { (set.pcscf, set.ue) };
    let (here, there) =
        if set.at_ue { (set.ue_address, set.pcscf_address) } else { (set.pcscf_address, set.ue_address) };
    let pair = |l, r| (SocketAddr::new(here, l), SocketAddr::new(there, r));
    let pairs = [pair(local.port_c, remote.port_s), pair(local.port_s, remote.port_c)];
    sets.insert(set.id, Set { pairs, at_ue: set.at_ue, owner, since });
    if !set.at_ue {
        return Ok(());
    }
    let [(client, _), (server, _)] = pairs;
    if let Some(inside) = plane.inside() {
        inside.open_at_ue(client, false)?;
        return inside.open_at_ue(server, true);
    }
    for address in [client, server] {
        if !udp.contains(address) {
            udp.add(address, bind_udp(address, Some(&**plane))?, shared);
        }
    }
    if let Entry::Vacant(free) = listeners.entry(server) {
        let listener = bind_stream(Transport::Tcp, server, Some(&**plane))?;
        let task = stream::accept(listener, Transport::Tcp, Protocol::Sip, Rc::clone(shared));
        free.insert(tokio::task::spawn_local(task));
    }
    Ok(())
}

/// Closes the ports of a UE that no other set uses.
fn close_ports(shard: &mut Shard, set: SaSetId) {
    let Shard { protected: Protected { plane, sets, listeners, .. }, udp, .. } = shard;
    let Some(set) = sets.remove(&set).filter(|set| set.at_ue) else { return };
    for (address, _) in set.pairs {
        if sets.values().any(|others| others.pairs.iter().any(|(local, _)| *local == address)) {
            continue;
        }
        if let Some(inside) = plane.inside() {
            inside.close(address);
            continue;
        }
        udp.remove(address);
        if let Some(task) = listeners.remove(&address) {
            task.abort();
        }
        plane.release(address);
    }
}
