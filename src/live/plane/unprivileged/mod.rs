//! Plane `unprivileged`: our own ESP as payload of UDP between two imsreg ends, without any privilege.
//!
//! No socket of the system is opened for a protected port: datagrams are written and read here, connections are those
//! of a TCP stack within the process, and both go as ESP packets over one UDP socket for each local address. The P-CSCF
//! has that socket at a port that both ends know; a UE has any, and is answered where its last genuine packet came from.

mod tcp;

pub(in crate::live) use tcp::InsideStream;

use super::mappings::Mappings;
use super::{InClear, Plane};
use crate::event::Role;
use crate::ims::Wire;
use crate::ip::transport::{Segment, begins, write_udp};
use crate::ip::{self, Packet as IpPacket, Upper};
use crate::ipsec::association::{Mode, SaSet, SaSetId};
use crate::ipsec::esp::{Carrier, Counters, Datagram, Engine, KEEP_ALIVE};
use crate::live::shard::{self, Shared};
use crate::live::sockets::{bind_udp, send_at_once};
use crate::packet::{Packet, Protocol, Route, Transport};
use crate::random::Random;
use crate::time::Duration;
use socket2::Socket;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use tcp::Stack;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The plane.
pub(super) struct Unprivileged {
    inside: Rc<Inside>,
    /// Sends keep-alives, from the first tunnel on.
    keep_alives: Option<JoinHandle<()>>,
}

impl Unprivileged {
    /// `port` is where P-CSCFs have their UDP socket.
    pub(super) fn open(random: Random, port: u16) -> Self {
        let inside = Inside { port, state: RefCell::new(State::new(random)), mappings: Mappings::new() };
        Self { inside: Rc::new(inside), keep_alives: None }
    }
}

impl Plane for Unprivileged {
    fn inside(&self) -> Option<&Rc<Inside>> {
        Some(&self.inside)
    }

    fn prepare(&self, _socket: &Socket, _local: SocketAddr) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the plane has its protected ports within the process"))
    }

    fn release(&self, _local: SocketAddr) {}

    fn start(&mut self, shared: &Shared) {
        let mut state = self.inside.state.borrow_mut();
        state.shared = Some(Rc::clone(shared));
        for (local, end) in &mut state.ends {
            end.serve(&self.inside, *local);
        }
    }

    fn watch(&mut self, wire: Rc<dyn Wire>) {
        self.inside.state.borrow_mut().wire = Some(wire);
    }

    fn install(&mut self, set: &SaSet, _shared: &Shared) -> Result<(), String> {
        let mut state = self.inside.state.borrow_mut();
        let known = state.engine.contains(set.id);
        if state.engine.install(set).is_err() {
            return Err("its SPIs or ports belong to a set alive".to_owned());
        }
        if let (Some(wire), false) = (&state.wire, known) {
            wire.sealed(set);
        }
        state.role = if set.at_ue { Role::Ue } else { Role::Pcscf };
        if set.at_ue {
            state.peers.insert(set.id, SocketAddr::new(set.pcscf_address, self.inside.port));
        }
        drop(state);
        self.inside.mappings.add(set);
        if set.at_ue && set.mode != Mode::Transport && self.keep_alives.is_none() {
            let inside = Rc::clone(&self.inside);
            let keep = async move { inside.mappings.keep(|from, to| inside.keep_alive(from, to)).await };
            self.keep_alives = Some(tokio::task::spawn_local(keep));
        }
        Ok(())
    }

    // SIP timers end a set, and nothing of ours outlives the process.
    fn extend(&mut self, _set: SaSetId, _life: Duration) {}

    fn counters(&self, set: SaSetId) -> Option<Counters> {
        self.inside.state.borrow().engine.counters_of(set)
    }

    fn replay(&mut self, set: SaSetId) {
        self.inside.state.borrow_mut().replays.push(set);
    }

    fn in_clear(&self) -> InClear {
        InClear::Borrowed
    }

    fn deafen(&mut self, deaf: bool) -> bool {
        self.inside.state.borrow_mut().deaf = deaf;
        true
    }

    fn remove(&mut self, set: SaSetId) {
        let mut state = self.inside.state.borrow_mut();
        state.replays.retain(|replayed| *replayed != set);
        state.engine.remove(set);
        state.peers.remove(&set);
        self.inside.mappings.remove(set);
    }

    fn stop(&mut self) -> Pin<Box<dyn Future<Output = ()>>> {
        let mut state = self.inside.state.borrow_mut();
        let ends = std::mem::take(&mut state.ends);
        let keep_alives = self.keep_alives.take();
        // It holds us, and we hold it.
        state.shared = None;
        Box::pin(async move {
            for task in ends.into_values().flat_map(|mut end| std::mem::take(&mut end.tasks)).chain(keep_alives) {
                task.abort();
                let _ = task.await;
            }
        })
    }
}

/// What carries protected datagrams and connections within the process.
pub(in crate::live) struct Inside {
    port: u16,
    state: RefCell<State>,
    mappings: Mappings,
}

struct State {
    engine: Engine,
    random: Random,
    /// By local address.
    ends: HashMap<IpAddr, End>,
    /// Where the ESP packets of a set go.
    peers: HashMap<SaSetId, SocketAddr>,
    shared: Option<Shared>,
    /// As what packets that are not let in are told.
    role: Role,
    /// Who looks at ESP itself.
    wire: Option<Rc<dyn Wire>>,
    /// Those of UEs that misbehave: what leaves over them leaves twice.
    replays: Vec<SaSetId>,
    /// SYNs are not answered.
    deaf: bool,
    /// Kept for their memory.
    segment: Vec<u8>,
    esp: Vec<u8>,
}

/// One local address.
struct End {
    socket: Rc<UdpSocket>,
    stack: Stack,
    /// The protected ports that are open.
    ports: HashSet<u16>,
    tasks: Vec<JoinHandle<()>>,
}

impl Inside {
    /// Opens a protected port of a P-CSCF.
    pub(in crate::live) fn serve(self: &Rc<Self>, address: SocketAddr, tcp: bool) -> io::Result<()> {
        self.open(address, tcp, self.port)
    }

    /// Opens a protected port of a UE. One that is open stays so.
    pub(in crate::live) fn open_at_ue(self: &Rc<Self>, address: SocketAddr, tcp: bool) -> io::Result<()> {
        self.open(address, tcp, 0)
    }

    fn open(self: &Rc<Self>, address: SocketAddr, tcp: bool, esp_port: u16) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        let local = address.ip();
        if !state.ends.contains_key(&local) {
            let at = SocketAddr::new(local, esp_port);
            let socket = bind_udp(at, None).map_err(|error| {
                io::Error::new(error.kind(), format!("UDP port {esp_port} for ESP (--esp-port): {error}"))
            })?;
            let stack = Stack::new(local, u64::from(state.random.below(u32::MAX)));
            let mut end = End { socket: Rc::new(socket), stack, ports: HashSet::new(), tasks: Vec::new() };
            if state.shared.is_some() {
                end.serve(self, local);
            }
            state.ends.insert(local, end);
        }
        let end = state.ends.get_mut(&local).expect("it was just put in");
        end.ports.insert(address.port());
        if tcp {
            end.stack.listen(address.port());
        }
        Ok(())
    }

    /// Closes a protected port; with the last of an address its socket goes.
    pub(in crate::live) fn close(&self, address: SocketAddr) {
        let mut state = self.state.borrow_mut();
        let Some(end) = state.ends.get_mut(&address.ip()) else { return };
        end.ports.remove(&address.port());
        end.stack.end(address.port());
        if end.ports.is_empty() {
            state.ends.remove(&address.ip());
        }
    }

    /// Sends one protected datagram.
    pub(in crate::live) fn send(&self, route: Route, bytes: &[u8]) {
        let mut state = self.state.borrow_mut();
        let mut segment = std::mem::take(&mut state.segment);
        segment.clear();
        write_udp(&mut segment, route.from, route.to, bytes);
        let sent = Segment { source: route.from.ip(), destination: route.to.ip(), upper: Upper::Udp, octets: &segment };
        state.seal(sent, &self.mappings);
        state.segment = segment;
    }

    /// Begins a protected connection; [`InsideStream::established`] waits for it.
    pub(in crate::live) fn connect(self: &Rc<Self>, from: SocketAddr, to: SocketAddr) -> io::Result<InsideStream> {
        let mut state = self.state.borrow_mut();
        let end = state.ends.get_mut(&from.ip()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        let handle = end.stack.connect(from, to)?;
        drop(state);
        self.turn(from.ip());
        Ok(InsideStream::new(Rc::clone(self), from, handle))
    }

    /// Takes a datagram of the socket of `local`.
    fn inward(self: &Rc<Self>, from: SocketAddr, local: IpAddr, datagram: &[u8]) {
        let Datagram::Esp(esp) = Datagram::of(datagram) else { return };
        let mut state = self.state.borrow_mut();
        state.show(from, local, true, esp);
        let mut segment = std::mem::take(&mut state.segment);
        segment.clear();
        // Transport mode goes the same way here, and its SAs know of no UDP.
        let carrier = match state.engine.is_for_tunnel(esp) {
            true => Carrier::Udp { source_port: from.port(), destination_port: self.port },
            false => Carrier::Ip,
        };
        let opened = state.engine.open(from.ip(), local, carrier, esp, &mut segment);
        if let Ok(opened) = &opened {
            state.peers.insert(opened.sa.set, from);
        }
        let (shared, role) = (state.shared.clone(), state.role);
        match opened {
            Ok(opened) if state.deaf && begins(opened.upper, &segment[opened.segment.clone()]) => {}
            Ok(opened) if opened.upper == Upper::Tcp => {
                if let Some(end) = state.ends.get_mut(&local) {
                    let mut packet = Vec::with_capacity(ip::header_len(local) + opened.segment.len());
                    let (source, destination) = (opened.source.ip(), opened.destination.ip());
                    ip::write(&mut packet, source, destination, opened.upper.number(), &segment[opened.segment]);
                    end.stack.take(packet);
                }
                drop(state);
                self.turn(local);
            }
            Ok(opened) => {
                drop(state);
                let Some(shared) = shared else { return };
                let packet = Packet {
                    bytes: &segment[opened.data],
                    protocol: Protocol::Sip,
                    transport: Transport::Udp,
                    from: opened.source,
                    to: opened.destination,
                    sa: None,
                };
                let mut shard = shared.borrow_mut();
                let now = shard.clock.now();
                shard.packet(now, &packet);
                drop(shard);
                shard::finish(&shared);
            }
            Err(reason) => {
                drop(state);
                if let Some(shared) = shared {
                    super::tell(&shared, role, from.ip(), local, reason);
                }
            }
        }
        self.state.borrow_mut().segment = segment;
    }

    fn keep_alive(&self, from: IpAddr, to: IpAddr) {
        let state = self.state.borrow();
        let peer = SocketAddr::new(to, self.port);
        state.show(peer, from, false, &KEEP_ALIVE);
        if let Some(Err(error)) = state.ends.get(&from).map(|end| send_at_once(&end.socket, &KEEP_ALIVE, peer)) {
            tracing::debug!(%from, %peer, %error, "keep-alive not sent");
        }
    }

    /// Lets the TCP stack of `local` work: what it sends is sealed, what it accepts is served.
    fn turn(self: &Rc<Self>, local: IpAddr) {
        let mut state = self.state.borrow_mut();
        let Some(end) = state.ends.get_mut(&local) else { return };
        let accepted = end.stack.turn();
        end.stack.wake();
        let packets = end.stack.sent();
        let shared = state.shared.clone();
        for packet in packets {
            let Ok(packet) = IpPacket::parse(&packet) else { continue };
            let ip::Header { source, destination, .. } = packet.header;
            state.seal(Segment { source, destination, upper: Upper::Tcp, octets: packet.payload }, &self.mappings);
        }
        drop(state);
        let Some(shared) = shared else { return };
        for (handle, address) in accepted {
            let stream = InsideStream::new(Rc::clone(self), address, handle);
            tokio::task::spawn_local(tcp::serve(stream, Rc::clone(&shared)));
        }
    }
}

impl State {
    fn new(mut random: Random) -> Self {
        Self {
            engine: Engine::new(random.fork()),
            random,
            ends: HashMap::new(),
            peers: HashMap::new(),
            shared: None,
            role: Role::Pcscf,
            wire: None,
            replays: Vec::new(),
            deaf: false,
            segment: Vec::new(),
            esp: Vec::new(),
        }
    }

    /// Seals a segment and sends it to where its set's other side is.
    fn seal(&mut self, segment: Segment<'_>, mappings: &Mappings) {
        let mut esp = std::mem::take(&mut self.esp);
        let Self { engine, ends, peers, replays, .. } = self;
        esp.clear();
        let sent = engine.seal(&segment, &mut esp).map_err(|reason| reason.to_string()).and_then(|sealed| {
            let peer = peers.get(&sealed.sa.set).ok_or("nothing has come from the other side yet")?;
            let end = ends.get(&segment.source).ok_or("no protected port has that address")?;
            for _ in 0..usize::from(replays.contains(&sealed.sa.set)) {
                send_at_once(&end.socket, &esp, *peer).map_err(|error| error.to_string())?;
            }
            send_at_once(&end.socket, &esp, *peer).map_err(|error| error.to_string())?;
            mappings.sent(sealed.source, sealed.destination, sealed.carrier);
            Ok(*peer)
        });
        match sent {
            Ok(peer) => self.show(peer, segment.source, false, &esp),
            Err(cause) => {
                let Segment { source, destination, .. } = segment;
                tracing::debug!(%source, %destination, cause, "protected packet not sent");
            }
        }
        self.esp = esp;
    }

    /// Shows an ESP packet between the socket of `local` and the other side.
    fn show(&self, peer: SocketAddr, local: IpAddr, inbound: bool, esp: &[u8]) {
        let (Some(wire), Some(end)) = (&self.wire, self.ends.get(&local)) else { return };
        let here = SocketAddr::new(local, end.socket.local_addr().map_or(0, |address| address.port()));
        let (from, to) = if inbound { (peer, here) } else { (here, peer) };
        let carrier = Carrier::Udp { source_port: from.port(), destination_port: to.port() };
        super::show(Some(&**wire), from.ip(), to.ip(), carrier, esp);
    }
}

impl End {
    /// Starts the tasks of an address: one reads the socket, one is the clock of the stack.
    fn serve(&mut self, inside: &Rc<Inside>, local: IpAddr) {
        self.tasks = vec![
            tokio::task::spawn_local(receive(Rc::clone(inside), Rc::clone(&self.socket), local)),
            tokio::task::spawn_local(run_timers(Rc::clone(inside), local)),
        ];
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn receive(inside: Rc<Inside>, socket: Rc<UdpSocket>, local: IpAddr) {
    let mut buffer = vec![0; 65_536];
    loop {
        // An error is ICMP's news of an earlier datagram.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        inside.inward(from, local, &buffer[..length]);
    }
}

async fn run_timers(inside: Rc<Inside>, local: IpAddr) {
    loop {
        let (delay, woken) = {
            let mut state = inside.state.borrow_mut();
            let Some(end) = state.ends.get_mut(&local) else { return };
            (end.stack.delay(), end.stack.woken())
        };
        match delay {
            Some(delay) => {
                tokio::select! {
                    () = tokio::time::sleep(delay) => inside.turn(local),
                    () = woken.notified() => {}
                }
            }
            None => woken.notified().await,
        }
    }
}
