//! Listening sockets: UDP and TCP on every SIP address of every element, TLS on its own, TCP and SCTP for Diameter.

use super::plane::{OpenPlane, Plane};
use super::ports::{self, Holder};
use super::shard::{self, Shared};
use super::stream;
use super::tls::{self, Tls};
use crate::ims::Listener;
use crate::packet::{Packet, Protocol, Route, Transport};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

/// Sockets that are bound and not served yet.
#[derive(Debug, Default)]
pub struct Sockets {
    /// What protected ones are made by.
    pub(super) plane: OpenPlane,
    udp: HashMap<SocketAddr, UdpSocket>,
    tcp: HashMap<SocketAddr, (TcpListener, Protocol)>,
    sctp: HashMap<SocketAddr, TcpListener>,
    tls: HashMap<SocketAddr, TcpListener>,
    /// What TLS is spoken with.
    pub(super) speaks: Tls,
}

/// A listener that cannot be opened.
#[derive(Debug)]
pub struct BindError {
    /// Which.
    pub listener: Listener,
    /// UDP, TCP, TLS or SCTP.
    pub transport: Transport,
    /// What the system said.
    pub source: io::Error,
    /// Who holds the port, if /proc shows it.
    pub holder: Option<Holder>,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener: Listener { address, role, .. }, transport, source, holder } = self;
        write!(f, "the {role} cannot listen on {address}/{transport}: ")?;
        match (source.kind(), holder) {
            (io::ErrorKind::AddrInUse, Some(h)) => write!(f, "the port is held by {h}"),
            (io::ErrorKind::AddrInUse, None) => f.write_str("the port is in use"),
            (io::ErrorKind::AddrNotAvailable, _) => f.write_str("no interface of this machine has that address"),
            _ if *transport == Transport::Sctp && stream::lacks_sctp(source) => f.write_str(stream::NO_SCTP),
            _ => write!(f, "{source}"),
        }
    }
}

impl std::error::Error for BindError {}

impl Sockets {
    /// None yet, over plane `none`.
    pub fn new() -> Self {
        Self::default()
    }

    /// None yet; protected ones will be carried by `plane`.
    pub fn over(plane: OpenPlane) -> Self {
        Self { plane, ..Self::default() }
    }

    /// TLS is spoken with this.
    pub fn speak(&mut self, tls: Tls) {
        self.speaks = tls;
    }

    /// Opens what `listener` names, unless it is open. Port 0: the system chooses one, free for UDP and TCP alike, and
    /// the address taken is returned.
    pub fn bind(&mut self, listener: &Listener) -> Result<SocketAddr, BindError> {
        let fail = |transport, source: io::Error| {
            let holder = ports::holder(listener.address, transport);
            BindError { listener: *listener, transport, source, holder }
        };
        let plane = listener.protected.then_some(&*self.plane.0);
        if let Some(inside) = plane.and_then(Plane::inside) {
            inside.serve(listener.address, listener.tcp).map_err(|e| fail(Transport::Udp, e))?;
            return Ok(listener.address);
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            let mut address = listener.address;
            let mut udp = None;
            if listener.udp && !self.udp.contains_key(&address) {
                let socket = bind_udp(address, plane).map_err(|e| fail(Transport::Udp, e))?;
                address = socket.local_addr().map_err(|e| fail(Transport::Udp, e))?;
                udp = Some(socket);
            }
            if listener.tcp && !self.tcp.contains_key(&address) {
                match bind_stream(Transport::Tcp, address, plane) {
                    Ok(socket) => {
                        address = socket.local_addr().map_err(|e| fail(Transport::Tcp, e))?;
                        self.tcp.insert(address, (socket, listener.protocol));
                    }
                    // Somebody else has TCP on the port that UDP was given: draw again.
                    Err(_) if listener.address.port() == 0 && attempts < 32 => continue,
                    Err(e) => return Err(fail(Transport::Tcp, e)),
                }
            }
            if listener.sctp && !self.sctp.contains_key(&address) {
                let socket = bind_stream(Transport::Sctp, address, None).map_err(|e| fail(Transport::Sctp, e))?;
                address = socket.local_addr().map_err(|e| fail(Transport::Sctp, e))?;
                self.sctp.insert(address, socket);
            }
            if listener.tls && !self.tls.contains_key(&address) {
                let socket = bind_stream(Transport::Tls, address, None).map_err(|e| fail(Transport::Tls, e))?;
                address = socket.local_addr().map_err(|e| fail(Transport::Tls, e))?;
                self.tls.insert(address, socket);
            }
            if let Some(socket) = udp {
                self.udp.insert(address, socket);
            }
            return Ok(address);
        }
    }

    /// Starts a task for each socket.
    pub(super) fn serve(self, shared: &Shared) {
        for (address, socket) in self.udp {
            let mut shard = shared.borrow_mut();
            shard.udp.add(address, socket, shared);
        }
        for (_, (listener, protocol)) in self.tcp {
            tokio::task::spawn_local(stream::accept(listener, Transport::Tcp, protocol, Rc::clone(shared)));
        }
        for listener in self.tls.into_values() {
            tokio::task::spawn_local(tls::accept(listener, Rc::clone(shared)));
        }
        for listener in self.sctp.into_values() {
            let (transport, protocol) = (Transport::Sctp, Protocol::Diameter);
            tokio::task::spawn_local(stream::accept(listener, transport, protocol, Rc::clone(shared)));
        }
    }
}

/// UDP sockets that are served, by their address.
#[derive(Debug, Default)]
pub(super) struct UdpSockets {
    sockets: HashMap<SocketAddr, (Rc<UdpSocket>, JoinHandle<()>), foldhash::fast::RandomState>,
    /// Datagrams that the system did not take.
    pub(super) lost: u64,
}

impl UdpSockets {
    /// Serves a socket.
    pub(super) fn add(&mut self, address: SocketAddr, socket: UdpSocket, shared: &Shared) {
        let socket = Rc::new(socket);
        let task = tokio::task::spawn_local(receive(address, Rc::clone(&socket), Rc::clone(shared)));
        self.sockets.insert(address, (socket, task));
    }

    /// True when `address` is served.
    pub(super) fn contains(&self, address: SocketAddr) -> bool {
        self.sockets.contains_key(&address)
    }

    /// Ends a socket.
    pub(super) fn remove(&mut self, address: SocketAddr) {
        if let Some((_, task)) = self.sockets.remove(&address) {
            task.abort();
        }
    }

    /// Sends one datagram. As on any network it may be lost; retransmission is the transaction's business.
    pub(super) fn send(&mut self, route: Route, bytes: &[u8]) {
        let sent = match self.sockets.get(&route.from) {
            Some((socket, _)) => send_at_once(socket, bytes, route.to).map_err(|e| e.to_string()),
            None => Err("no socket has that address".to_owned()),
        };
        if let Err(error) = sent {
            self.lost += 1;
            tracing::debug!(from = %route.from, to = %route.to, error, "datagram not sent");
        }
    }
}

/// The reactor knows of a new socket that it can be written to only after it has looked for the first time: what is
/// sent before goes past it.
pub(super) fn send_at_once(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    match socket.try_send_to(bytes, to) {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => SockRef::from(socket).send_to(bytes, &to.into()),
        Err(e) if to.is_ipv4() && e.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
            in_fragments(socket, bytes, to)
        }
        sent => sent,
    }
}

/// A datagram that is larger than the way to `to` takes goes in pieces all the same.
fn in_fragments(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    let whole = sockopt::ip_mtu_discover(socket)?;
    sockopt::set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT)?;
    let sent = SockRef::from(socket).send_to(bytes, &to.into());
    sockopt::set_ip_mtu_discover(socket, whole)?;
    sent
}

async fn receive(address: SocketAddr, socket: Rc<UdpSocket>, shared: Shared) {
    let mut buffer = vec![0; 65_536];
    while socket.readable().await.is_ok() {
        let mut shard = shared.borrow_mut();
        let now = shard.clock.now();
        for _ in 0..BATCH {
            let (length, from) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // ICMP told that an earlier datagram of ours found no port: nothing about this socket.
                Err(_) => continue,
            };
            shard.packet(
                now,
                &Packet {
                    bytes: &buffer[..length],
                    protocol: Protocol::Sip,
                    transport: Transport::Udp,
                    from,
                    to: address,
                    sa: None,
                },
            );
        }
        drop(shard);
        shard::finish(&shared);
    }
}

/// Binds a UDP socket with a receive buffer for bursts (field lesson 89); a protected one with its plane.
pub(super) fn bind_udp(address: SocketAddr, plane: Option<&dyn Plane>) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system may grant less; the default loses datagrams at IMS rates.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(RECEIVE_BUFFER);
    socket.set_nonblocking(true)?;
    if let Some(plane) = plane {
        plane.prepare(&socket, address)?;
    }
    if address.is_ipv4() && plane.is_none() {
        // What cannot be fragmented needs no identification (RFC 6864), and to draw one costs the system a fortieth of what
        // a registration over UDP costs.
        let _ = sockopt::set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::DO);
    }
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Binds a listener for TCP connections or SCTP associations; a protected one with its plane.
pub(super) fn bind_stream(
    transport: Transport,
    address: SocketAddr,
    plane: Option<&dyn Plane>,
) -> io::Result<TcpListener> {
    let socket = stream::socket(transport, address, plane)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    TcpListener::from_std(socket.into())
}

/// Datagrams taken from one socket before others get their turn.
const BATCH: usize = 64;
const RECEIVE_BUFFER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lesson_89_the_receive_buffer_is_that_of_bursts() {
        let plain = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        let ours = bind_udp("127.0.0.1:0".parse().expect("an address"), None).expect("a port");
        let size = |socket: SockRef<'_>| socket.recv_buffer_size().expect("a size");
        let (before, now) = (size((&plain).into()), size((&ours).into()));
        let most =
            std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok().and_then(|text| text.trim().parse().ok());
        // Linux doubles what it is asked for, and grants no more than its limit.
        let granted = most.map_or(before, |most: usize| RECEIVE_BUFFER.min(most));
        assert!(now >= granted && now >= before, "{now} octets, {before} without asking, {granted} allowed");
    }
}
