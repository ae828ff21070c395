//! TCP within the process: a stack for each local address, and its connections as streams.

use super::Inside;
use crate::live::shard::Shared;
use crate::live::stream::{self, Line};
use crate::packet::{Connection, ConnectionState, Protocol, Transport};
use crate::time::Duration;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr, IpListenEndpoint};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// The connections of one local address.
pub(super) struct Stack {
    local: IpAddr,
    interface: Interface,
    wire: Wire,
    sockets: SocketSet<'static>,
    /// A socket in state LISTEN for each port: it becomes the next connection.
    listeners: HashMap<u16, SocketHandle>,
    began: tokio::time::Instant,
    woken: Rc<Notify>,
}

/// A connection of a stack. Another stack at the same address may use its handle again.
#[derive(Clone)]
pub(super) struct Held {
    handle: SocketHandle,
    of: Rc<Notify>,
}

impl Stack {
    pub(super) fn new(local: IpAddr, seed: u64) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        // Everything is next to us.
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(local.into(), 0)).expect("there is room for one");
        });
        Self {
            local,
            interface,
            wire,
            sockets: SocketSet::new(Vec::new()),
            listeners: HashMap::new(),
            began: tokio::time::Instant::now(),
            woken: Rc::default(),
        }
    }

    /// Accepts connections to a port from now on.
    pub(super) fn listen(&mut self, port: u16) {
        if !self.listeners.contains_key(&port) {
            let mut socket = socket();
            let at = IpListenEndpoint { addr: Some(self.local.into()), port };
            socket.listen(at).expect("a new socket, and no port is zero");
            self.listeners.insert(port, self.sockets.add(socket));
        }
    }

    /// Accepts none any more.
    pub(super) fn end(&mut self, port: u16) {
        if let Some(handle) = self.listeners.remove(&port) {
            self.sockets.remove(handle);
        }
    }

    /// Sends the first segment of a connection, at the next turn.
    pub(super) fn connect(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<Held> {
        let mut socket = socket();
        let begun = socket.connect(self.interface.context(), to, from);
        begun.map_err(|error| io::Error::new(io::ErrorKind::AddrNotAvailable, format!("{error:?}")))?;
        let handle = self.sockets.add(socket);
        Ok(Held { handle, of: self.woken() })
    }

    /// Takes an IP packet.
    pub(super) fn take(&mut self, packet: Vec<u8>) {
        self.wire.inbound.push_back(packet);
    }

    /// Works on what has come and what is due. Connections that have begun are returned with their local ends.
    pub(super) fn turn(&mut self) -> Vec<(Held, SocketAddr)> {
        let now = self.now();
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        let sockets = &self.sockets;
        let begun = |handle: &SocketHandle| sockets.get::<Socket<'_>>(*handle).state() != State::Listen;
        let taken: Vec<_> = self.listeners.iter().filter(|(_, h)| begun(h)).map(|(port, h)| (*port, *h)).collect();
        for (port, _) in &taken {
            self.listeners.remove(port);
            self.listen(*port);
        }
        taken
            .into_iter()
            .map(|(port, handle)| (Held { handle, of: self.woken() }, SocketAddr::new(self.local, port)))
            .collect()
    }

    /// The IP packets that are to leave.
    pub(super) fn sent(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.wire.outbound)
    }

    /// How long nothing is due; `None`: until something happens.
    pub(super) fn delay(&mut self) -> Option<Duration> {
        let now = self.now();
        self.interface.poll_delay(now, &self.sockets).map(|delay| Duration::from_micros(delay.total_micros()))
    }

    fn owns(&self, held: &Held) -> bool {
        Rc::ptr_eq(&self.woken, &held.of)
    }

    /// What is due may have changed.
    pub(super) fn wake(&self) {
        self.woken.notify_one();
    }

    /// Notified by [`Self::wake`].
    pub(super) fn woken(&self) -> Rc<Notify> {
        Rc::clone(&self.woken)
    }

    fn now(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX))
    }
}

/// One connection. Dropped, it is reset.
pub(in crate::live) struct InsideStream {
    inside: Rc<Inside>,
    local: SocketAddr,
    held: Held,
}

impl InsideStream {
    pub(super) const fn new(inside: Rc<Inside>, local: SocketAddr, held: Held) -> Self {
        Self { inside, local, held }
    }

    /// Our end.
    pub(in crate::live) const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits until the connection is open; the other end.
    pub(in crate::live) async fn established(&self) -> io::Result<SocketAddr> {
        std::future::poll_fn(|cx| {
            self.with(|socket| match socket.state() {
                State::Listen | State::SynSent | State::SynReceived => {
                    socket.register_recv_waker(cx.waker());
                    Poll::Pending
                }
                _ => Poll::Ready(
                    socket
                        .remote_endpoint()
                        .map(SocketAddr::from)
                        .ok_or_else(|| io::ErrorKind::ConnectionRefused.into()),
                ),
            })
            .unwrap_or_else(gone)
        })
        .await
    }

    /// Writes what there is room for.
    pub(in crate::live) fn try_write(&self, bytes: &[u8]) {
        self.with(|socket| socket.send_slice(bytes));
        self.inside.turn(self.local.ip());
    }

    /// `None` when the address has gone with its last protected port.
    fn with<T>(&self, call: impl FnOnce(&mut Socket<'static>) -> T) -> Option<T> {
        let mut state = self.inside.state.borrow_mut();
        let end = state.ends.get_mut(&self.local.ip())?;
        end.stack.owns(&self.held).then(|| call(end.stack.sockets.get_mut(self.held.handle)))
    }
}

impl AsyncRead for InsideStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.with(|socket| {
            if socket.can_recv() {
                let taken = socket.recv(|data| {
                    let length = data.len().min(buffer.remaining());
                    buffer.put_slice(&data[..length]);
                    (length, ())
                });
                return Poll::Ready(taken.map_err(|error| io::Error::other(format!("{error:?}"))));
            }
            if !socket.may_recv() {
                return Poll::Ready(Ok(()));
            }
            socket.register_recv_waker(cx.waker());
            Poll::Pending
        });
        if matches!(read, Some(Poll::Ready(Ok(())))) {
            // There is room again.
            self.inside.turn(self.local.ip());
        }
        read.unwrap_or_else(gone)
    }
}

impl AsyncWrite for InsideStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.with(|socket| {
            if !socket.may_send() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            match socket.send_slice(bytes) {
                Ok(0) => {
                    socket.register_send_waker(cx.waker());
                    Poll::Pending
                }
                sent => Poll::Ready(sent.map_err(|error| io::Error::other(format!("{error:?}")))),
            }
        });
        self.inside.turn(self.local.ip());
        written.unwrap_or_else(gone)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ready when the other side has everything.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = self.with(|socket| {
            socket.close();
            match socket.state() {
                State::Closed | State::TimeWait | State::FinWait2 => Poll::Ready(Ok(())),
                _ => {
                    socket.register_send_waker(cx.waker());
                    Poll::Pending
                }
            }
        });
        self.inside.turn(self.local.ip());
        closed.unwrap_or_else(gone)
    }
}

impl Drop for InsideStream {
    fn drop(&mut self) {
        self.with(|socket| socket.abort());
        self.inside.turn(self.local.ip());
        let mut state = self.inside.state.borrow_mut();
        if let Some(end) = state.ends.get_mut(&self.local.ip()).filter(|end| end.stack.owns(&self.held)) {
            end.stack.sockets.remove(self.held.handle);
        }
    }
}

/// Serves a connection that the other side opened.
pub(super) async fn serve(stream: InsideStream, shared: Shared) {
    let local = stream.local_addr();
    let Ok(Ok(remote)) = tokio::time::timeout(stream::CONNECT_PATIENCE, stream.established()).await else { return };
    let (transport, protocol, state) = (Transport::Tcp, Protocol::Sip, ConnectionState::Opened);
    let connection = Connection { local, remote, transport, protocol, inbound: true, state };
    stream::run(Line::Inside(stream), None, connection, Vec::new(), shared).await;
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::from_raw_os_error(ENETDOWN)))
}

fn socket() -> Socket<'static> {
    let buffer = || SocketBuffer::new(vec![0; BUFFER]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.set_nagle_enabled(false);
    // A peer that is gone is not waited for for ever.
    socket.set_timeout(Some(smoltcp::time::Duration::from_secs(30)));
    socket
}

/// The IP packets of a stack, in both directions.
#[derive(Default)]
struct Wire {
    inbound: VecDeque<Vec<u8>>,
    outbound: VecDeque<Vec<u8>>,
}

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received, Sending<'_>)> {
        let packet = self.inbound.pop_front()?;
        Some((Received(packet), Sending(&mut self.outbound)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending(&mut self.outbound))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Sending<'a>(&'a mut VecDeque<Vec<u8>>);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

/// With ESP, UDP and IP around it a packet of this size fits into 1,500 octets.
const MTU: usize = 1_380;
const BUFFER: usize = 65_536;
const ENETDOWN: i32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Carries packets between two stacks until both are quiet; what `b` accepts.
    fn exchange(a: &mut Stack, b: &mut Stack) -> Vec<(Held, SocketAddr)> {
        let mut accepted = Vec::new();
        loop {
            a.turn();
            accepted.extend(b.turn());
            let (from_a, from_b) = (a.sent(), b.sent());
            if from_a.is_empty() && from_b.is_empty() {
                return accepted;
            }
            from_a.into_iter().for_each(|packet| b.take(packet));
            from_b.into_iter().for_each(|packet| a.take(packet));
        }
    }

    #[test]
    fn a_connection_leaves_a_listener_for_the_next_one() {
        for (here, there) in [("127.0.0.1:31000", "127.0.0.1:6100"), ("[fd90::2]:31000", "[fd90::1]:6100")] {
            let (here, there): (SocketAddr, SocketAddr) = (here.parse().unwrap(), there.parse().unwrap());
            let (mut a, mut b) = (Stack::new(here.ip(), 1), Stack::new(there.ip(), 2));
            b.listen(there.port());
            let mut other = here;
            other.set_port(31_002);
            for from in [here, other] {
                let held = a.connect(from, there).unwrap();
                let accepted = exchange(&mut a, &mut b);
                let [(end, local)] = &accepted[..] else { panic!("{} accepted", accepted.len()) };
                assert_eq!((*local, b.owns(end), a.owns(end)), (there, true, false));
                let socket = b.sockets.get::<Socket<'_>>(end.handle);
                assert_eq!(socket.remote_endpoint().map(SocketAddr::from), Some(from));
                assert_eq!(a.sockets.get::<Socket<'_>>(held.handle).state(), State::Established);
            }
            // Where nobody listens, it is refused.
            b.end(there.port());
            other.set_port(31_004);
            let held = a.connect(other, there).unwrap();
            assert!(exchange(&mut a, &mut b).is_empty());
            assert_eq!(a.sockets.get::<Socket<'_>>(held.handle).state(), State::Closed);
        }
    }

    #[test]
    fn no_packet_is_larger_than_what_fits_with_esp_around_it() {
        let (here, there): (SocketAddr, SocketAddr) =
            ("[fd90::2]:31000".parse().unwrap(), "[fd90::1]:6100".parse().unwrap());
        let (mut a, mut b) = (Stack::new(here.ip(), 1), Stack::new(there.ip(), 2));
        b.listen(there.port());
        let held = a.connect(here, there).unwrap();
        exchange(&mut a, &mut b);
        let sent = a.sockets.get_mut::<Socket<'_>>(held.handle).send_slice(&[b'x'; 5_000]).unwrap();
        a.turn();
        let packets = a.sent();
        let octets: usize = packets.iter().map(|packet| packet.len() - 60).sum();
        assert!((4_900..=sent).contains(&octets), "{octets} of {sent} octets in {} packets", packets.len());
        assert!(packets.iter().all(|packet| packet.len() <= MTU));
    }
}
