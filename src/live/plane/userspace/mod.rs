//! Plane `userspace`: our own ESP between a TUN device, to which the protected sockets are bound, and raw sockets.
//!
//! What a protected socket sends comes out of the device as an IP packet, is sealed, and leaves by a raw socket as
//! protocol 50; what comes in there is opened and written into the device. The binding of the sockets is the policy: a
//! clear packet to a protected port finds no socket, and a protected socket reaches nothing but the device.

mod device;
mod guard;
mod outside;

use super::mappings::Mappings;
use super::{Plane, Unavailable};
use crate::config::PlaneChoice;
use crate::event::Role;
use crate::ims::Wire;
use crate::ip::transport::{Segment, begins};
use crate::ip::{self, Packet, Upper};
use crate::ipsec::association::{Mode, SaSet, SaSetId};
use crate::ipsec::esp::{self, Carrier, Counters, Engine};
use crate::live::shard::Shared;
use crate::random::Random;
use crate::time::Duration;
use device::Device;
use guard::Guards;
use outside::Outside;
use socket2::{Socket, Type};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use tokio::task::JoinHandle;

/// The plane. Its device goes with the process, whatever becomes of it.
pub(super) struct Userspace {
    lift: Rc<Lift>,
    /// Reads the device.
    task: Option<JoinHandle<()>>,
    /// Sends keep-alives, from the first tunnel on.
    keep_alives: Option<JoinHandle<()>>,
}

impl Userspace {
    /// Makes the device; an error names what is missing.
    pub(super) async fn open(random: Random) -> Result<Self, Unavailable> {
        let unavailable =
            |(why, todo): (String, &'static str)| Unavailable { plane: PlaneChoice::Userspace, why, todo };
        let device = Device::open().await.map_err(unavailable)?;
        outside::probe().map_err(unavailable)?;
        let state = State {
            engine: Engine::new(random),
            ends: HashMap::new(),
            sets: HashMap::new(),
            guards: Guards::default(),
            replays: Vec::new(),
            deaf: false,
            watcher: None,
            wire: None,
            segment: Vec::new(),
            packet: Vec::new(),
        };
        let lift = Lift { device, state: RefCell::new(state), mappings: Mappings::new() };
        Ok(Self { lift: Rc::new(lift), task: None, keep_alives: None })
    }
}

impl Plane for Userspace {
    fn prepare(&self, socket: &Socket, local: SocketAddr) -> io::Result<()> {
        if local.ip() == IpAddr::V6(Ipv6Addr::LOCALHOST) {
            // RFC 4291 clause 2.5.3.
            let why = "no packet for ::1 may come from a device; take another address, or plane unprivileged";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        socket.bind_device(Some(self.lift.device.name().as_bytes()))?;
        if socket.r#type()? == Type::STREAM {
            guard::beside_guards(socket)?;
            socket.set_tcp_mss(SEGMENT)?;
        }
        Ok(())
    }

    fn release(&self, _local: SocketAddr) {}

    fn watch(&mut self, wire: Rc<dyn Wire>) {
        self.lift.state.borrow_mut().wire = Some(wire);
    }

    fn install(&mut self, set: &SaSet, shared: &Shared) -> Result<(), String> {
        if self.task.is_none() {
            self.task = Some(tokio::task::spawn_local(Lift::carry_out(Rc::clone(&self.lift))));
        }
        if set.at_ue && set.mode != Mode::Transport && self.keep_alives.is_none() {
            let lift = Rc::clone(&self.lift);
            let keep = async move { lift.mappings.keep(|from, to| lift.keep_alive(from, to)).await };
            self.keep_alives = Some(tokio::task::spawn_local(keep));
        }
        self.lift.install(set, shared)
    }

    // Nothing of ours outlives the process, and SIP timers end a set.
    fn extend(&mut self, _set: SaSetId, _life: Duration) {}

    fn counters(&self, set: SaSetId) -> Option<Counters> {
        self.lift.state.borrow().engine.counters_of(set)
    }

    fn replay(&mut self, set: SaSetId) {
        self.lift.state.borrow_mut().replays.push(set);
    }

    fn deafen(&mut self, deaf: bool) -> bool {
        self.lift.state.borrow_mut().deaf = deaf;
        true
    }

    fn remove(&mut self, set: SaSetId) {
        // What was sent through the set before, a reset among it, is in the device still.
        self.lift.drain();
        self.lift.state.borrow_mut().remove(set);
        self.lift.mappings.remove(set);
    }

    fn stop(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        self.lift.drain();
        let tasks = [self.task.take(), self.keep_alives.take()];
        let lift = Rc::clone(&self.lift);
        Box::pin(async move {
            let ends = {
                let mut state = lift.state.borrow_mut();
                // It holds us, and we hold it.
                state.watcher = None;
                std::mem::take(&mut state.ends)
            };
            for end in ends.into_values() {
                end.outside.close().await;
            }
            // Nothing comes in any more.
            lift.state.borrow_mut().guards = Guards::default();
            for task in tasks.into_iter().flatten() {
                task.abort();
                let _ = task.await;
            }
        })
    }
}

/// What moves packets between the device and the outside.
struct Lift {
    device: Device,
    state: RefCell<State>,
    mappings: Mappings,
}

struct State {
    engine: Engine,
    /// By local address, outside the SAs.
    ends: HashMap<IpAddr, End>,
    /// Their local address outside, and the port that their connections leave from.
    sets: HashMap<SaSetId, (IpAddr, SocketAddr)>,
    guards: Guards,
    /// Those of UEs that misbehave: what leaves over them leaves twice.
    replays: Vec<SaSetId>,
    /// SYNs are not answered.
    deaf: bool,
    /// Who is told of packets that are not let in, and as what.
    watcher: Option<(Shared, Role)>,
    /// Who looks at ESP itself.
    wire: Option<Rc<dyn Wire>>,
    /// Kept for their memory.
    segment: Vec<u8>,
    packet: Vec<u8>,
}

struct End {
    outside: Outside,
    sets: usize,
}

impl Lift {
    fn install(self: &Rc<Self>, set: &SaSet, shared: &Shared) -> Result<(), String> {
        let mut state = self.state.borrow_mut();
        let role = if set.at_ue { Role::Ue } else { Role::Pcscf };
        state.watcher.get_or_insert_with(|| (Rc::clone(shared), role));
        let known = state.engine.contains(set.id);
        state.engine.install(set).map_err(|_| "its SPIs or ports belong to a set alive".to_owned())?;
        if known {
            return Ok(());
        }
        let (local, client) = (local_end(set), client_port(set));
        let guarded = state.guards.take(client, self.device.name());
        let served = guarded.and_then(|()| {
            let served = state.serve(local, set.mode != Mode::Transport, self);
            served.inspect_err(|_| state.guards.give_back(client))
        });
        if let Err(error) = served {
            state.engine.remove(set.id);
            return Err(format!("no ESP at {local}: {error}"));
        }
        state.sets.insert(set.id, (local, client));
        self.mappings.add(set);
        if let Some(wire) = &state.wire {
            wire.sealed(set);
        }
        Ok(())
    }

    /// The task that reads the device.
    async fn carry_out(self: Rc<Self>) {
        let mut buffer = vec![0; LARGEST];
        while let Ok(length) = self.device.receive(&mut buffer).await {
            self.outward(&buffer[..length]);
            self.drain_into(&mut buffer);
        }
    }

    fn keep_alive(&self, from: IpAddr, to: IpAddr) {
        let state = self.state.borrow();
        let carrier = Carrier::Udp { source_port: esp::PORT, destination_port: esp::PORT };
        super::show(state.wire.as_deref(), from, to, carrier, &esp::KEEP_ALIVE);
        if let Some(Err(error)) = state.ends.get(&from).map(|end| end.outside.send(to, carrier, &esp::KEEP_ALIVE)) {
            tracing::debug!(%from, %to, %error, "keep-alive not sent");
        }
    }

    /// Sends what waits in the device.
    fn drain(&self) {
        self.drain_into(&mut vec![0; LARGEST]);
    }

    fn drain_into(&self, buffer: &mut [u8]) {
        while let Ok(length) = self.device.try_receive(buffer) {
            self.outward(&buffer[..length]);
        }
    }

    /// Seals a packet of a protected socket and sends it.
    fn outward(&self, packet: &[u8]) {
        // The kernel's own noise (router solicitations) is neither UDP nor TCP.
        let Ok(packet) = Packet::parse(packet) else { return };
        let ip::Header { source, destination, protocol, fragment: None } = packet.header else { return };
        let Some(upper) = Upper::from_number(protocol) else { return };
        let mut state = self.state.borrow_mut();
        let State { engine, ends, wire, packet: out, replays, .. } = &mut *state;
        out.clear();
        let segment = Segment { source, destination, upper, octets: packet.payload };
        let sent = engine.seal(&segment, out).map_err(|reason| reason.to_string()).and_then(|sealed| {
            let end = ends.get(&sealed.source).ok_or_else(|| "no end of a set has that address".to_owned())?;
            for _ in 0..=usize::from(replays.contains(&sealed.sa.set)) {
                super::show(wire.as_deref(), sealed.source, sealed.destination, sealed.carrier, out);
                end.outside.send(sealed.destination, sealed.carrier, out).map_err(|error| error.to_string())?;
            }
            self.mappings.sent(sealed.source, sealed.destination, sealed.carrier);
            Ok(())
        });
        if let Err(cause) = sent {
            tracing::debug!(%source, %destination, cause, "protected packet not sent");
        }
    }

    /// Opens an ESP packet and hands what is in it to the protected sockets.
    fn inward(&self, source: IpAddr, destination: IpAddr, carrier: Carrier, esp: &[u8]) {
        let mut state = self.state.borrow_mut();
        let State { engine, segment, packet, watcher, wire, deaf, .. } = &mut *state;
        super::show(wire.as_deref(), source, destination, carrier, esp);
        segment.clear();
        match engine.open(source, destination, carrier, esp, segment) {
            Ok(opened) if *deaf && begins(opened.upper, &segment[opened.segment.clone()]) => {}
            Ok(opened) => {
                packet.clear();
                let octets = &segment[opened.segment];
                ip::write(packet, opened.source.ip(), opened.destination.ip(), opened.upper.number(), octets);
                if let Err(error) = self.device.send(packet) {
                    tracing::debug!(%error, "packet not handed to its socket");
                }
            }
            Err(reason) => {
                let Some((shared, role)) = watcher.clone() else { return };
                drop(state);
                super::tell(&shared, role, source, destination, reason);
            }
        }
    }
}

impl State {
    /// Opens the sockets of a local address, unless another set has done so.
    fn serve(&mut self, local: IpAddr, tunnel: bool, lift: &Rc<Lift>) -> io::Result<()> {
        if let Some(end) = self.ends.get_mut(&local) {
            if tunnel {
                end.outside.serve_tunnels(lift)?;
            }
            end.sets += 1;
            return Ok(());
        }
        let mut outside = Outside::open(local, lift)?;
        if tunnel {
            outside.serve_tunnels(lift)?;
        }
        self.ends.insert(local, End { outside, sets: 1 });
        Ok(())
    }

    fn remove(&mut self, set: SaSetId) {
        self.engine.remove(set);
        self.replays.retain(|replayed| *replayed != set);
        let Some((local, client)) = self.sets.remove(&set) else { return };
        self.guards.give_back(client);
        if let Some(end) = self.ends.get_mut(&local) {
            end.sets -= 1;
            if end.sets == 0 {
                self.ends.remove(&local);
            }
        }
    }
}

/// Where the ESP packets of a set end on this side.
fn local_end(set: &SaSet) -> IpAddr {
    match (set.at_ue, set.mode) {
        (false, _) => set.pcscf_address,
        (true, Mode::Transport) => set.ue_address,
        (true, Mode::UdpTunnel { outer_ue }) => outer_ue,
    }
}

/// The port that connections of a set leave from on this side.
fn client_port(set: &SaSet) -> SocketAddr {
    match set.at_ue {
        true => SocketAddr::new(set.ue_address, set.ue.port_c),
        false => SocketAddr::new(set.pcscf_address, set.pcscf.port_c),
    }
}

/// A TCP segment that leaves room for headers and ESP in 1,500 octets (recipe of kernel-ipsec.md: IPv6, aes-cbc).
const SEGMENT: u32 = 1_340;
/// An IP packet.
const LARGEST: usize = 65_536;
