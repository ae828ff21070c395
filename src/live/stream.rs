//! TCP connections, TLS sessions and SCTP associations: framing inwards, queues outwards.
//!
//! SCTP is used by its one-to-one sockets (RFC 6458 clause 4), which behave as streams that keep the borders of what is
//! written: one write is one user message, as RFC 6733 clause 2.1 wants it. The payload protocol identifier stays zero,
//! because setting it takes a socket option that the standard library does not know.

use super::plane::{InsideStream, Plane};
use super::shard::{self, Shared};
use super::tls;
use crate::diameter;
use crate::ims::ElementId;
use crate::packet::{Connection, ConnectionState, Packet, Protocol, Route, Transport};
use crate::sip::frame::{self, Frame};
use crate::sip::keep_alive::PONG;
use crate::time::Duration;
use socket2::{Domain, Protocol as IpProtocol, SockRef, Socket, Type};
use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsStream;

/// A connection: transport, local end, remote end.
pub(super) type Ends = (Transport, SocketAddr, SocketAddr);

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<Ends, Stream, foldhash::fast::RandomState>,
    /// Connections on their way; the key may hold port 0, the value what waits to be written.
    opening: HashMap<(ElementId, Ends), Vec<Vec<u8>>, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Stream {
    /// The element that asked for it.
    owner: Option<ElementId>,
    queue: mpsc::UnboundedSender<Command>,
    /// Octets that the peer has not taken.
    queued: Rc<Cell<usize>>,
    /// There are too many of them.
    unread: Rc<Notify>,
    /// It is to end at once, by a reset.
    reset: Rc<Notify>,
    /// It ends when what is queued has left: nothing new goes there.
    closing: Cell<bool>,
}

/// What carries a stream.
pub(super) enum Line {
    /// TCP or SCTP.
    Plain(TcpStream),
    /// TCP within the process.
    Inside(InsideStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Line {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(stream) => stream.local_addr(),
            Self::Inside(stream) => Ok(stream.local_addr()),
            Self::Tls(stream) => stream.get_ref().0.local_addr(),
        }
    }
}

impl Stream {
    /// Queues a message; false where the connection has just ended. A peer that does not read is cut off: what is
    /// queued for it must not grow for ever (field lesson 60).
    fn write(&self, bytes: &[u8]) -> bool {
        let queued = self.queued.get() + bytes.len();
        if queued > QUEUE_LIMIT {
            self.unread.notify_one();
            return !self.queue.is_closed();
        }
        self.queued.set(queued);
        self.queue.send(Command::Write(bytes.to_vec())).is_ok()
    }
}

#[derive(Debug)]
enum Command {
    Write(Vec<u8>),
    Close,
}

impl Streams {
    /// True while a connection is open or on its way.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.is_empty() || !self.opening.is_empty()
    }

    /// Sends on the connection that `route` names, or opens it.
    pub(super) fn send(&mut self, shared: &Shared, owner: ElementId, route: Route, bytes: &[u8]) {
        let Route { from, to, transport, .. } = route;
        if let Some(queue) = self.opening.get_mut(&(owner, (transport, from, to))) {
            if queue.len() < OPENING_LIMIT {
                queue.push(bytes.to_vec());
            }
            return;
        }
        let connection = if from.port() == 0 {
            let ours = |(t, l, r): &Ends, s: &Stream| {
                *t == transport && *r == to && l.ip() == from.ip() && s.owner == Some(owner) && !s.closing.get()
            };
            self.open.iter().find(|(ends, s)| ours(ends, s)).map(|(_, s)| s)
        } else {
            self.open.get(&(transport, from, to))
        };
        // A connection that has just ended has no receiver any more: open another one.
        let sent = connection.is_some_and(|s| s.write(bytes));
        if !sent && transport == Transport::Tls && from.port() != 0 {
            // Whoever is meant was behind that session.
            let (state, protocol, shared) = (ConnectionState::Failed, route.protocol, Rc::clone(shared));
            let news = Connection { local: from, remote: to, transport, protocol, inbound: false, state };
            tokio::task::spawn_local(async move { shard::news(&shared, Some(owner), news) });
        } else if !sent {
            self.connect(shared, owner, route, vec![bytes.to_vec()]);
        }
    }

    /// Opens a connection; what is in `first` goes out when it is there.
    pub(super) fn connect(&mut self, shared: &Shared, owner: ElementId, route: Route, first: Vec<Vec<u8>>) {
        let Route { from, to, transport, protocol, .. } = route;
        let ends = (transport, from, to);
        if self.opening.insert((owner, ends), first).is_some() {
            return;
        }
        let shared = Rc::clone(shared);
        tokio::task::spawn_local(async move {
            let line = {
                let shard = shared.borrow();
                let plane = route.sa.map(|_| &*shard.protected.plane);
                match plane.and_then(Plane::inside) {
                    Some(inside) => inside.connect(from, to).map(Begun::Inside),
                    None => bind(transport, from, plane).map(Begun::Bound),
                }
            };
            let opened = tokio::time::timeout(CONNECT_PATIENCE, dial(line, to)).await;
            let stream = match opened.map_err(io::Error::from).flatten() {
                Ok(Line::Plain(stream)) if transport == Transport::Tls => tls::handshake(stream, to, &shared).await,
                line => line,
            };
            let waiting = shared.borrow_mut().streams.opening.remove(&(owner, ends)).unwrap_or_default();
            let asked = |local, state| Connection { local, remote: to, transport, protocol, inbound: false, state };
            match stream.and_then(|s| Ok((s.local_addr()?, s))) {
                Ok((local, stream)) => {
                    let connection = asked(local, ConnectionState::Opened);
                    run(stream, Some(owner), connection, waiting, shared).await;
                }
                Err(error) => {
                    if transport == Transport::Sctp && lacks_sctp(&error) {
                        tracing::warn!(%to, "{NO_SCTP}");
                    }
                    tracing::debug!(%from, %to, %transport, %error, "connection not opened");
                    shard::news(&shared, Some(owner), asked(from, ConnectionState::Failed));
                }
            }
        });
    }

    /// Ends a connection after what is queued.
    pub(super) fn close(&self, ends: Ends) {
        if let Some(stream) = self.open.get(&ends) {
            stream.closing.set(true);
            let _ = stream.queue.send(Command::Close);
        }
    }

    /// Ends the connections between these ends at once, after what can be written without waiting: no FIN is left to
    /// be repeated. False when there is none.
    pub(super) fn reset(&self, pairs: &[(SocketAddr, SocketAddr)]) -> bool {
        for stream in pairs.iter().filter_map(|(l, r)| self.open.get(&(Transport::Tcp, *l, *r))) {
            stream.reset.notify_one();
        }
        self.any(pairs)
    }

    /// True while one between these ends is open.
    pub(super) fn any(&self, pairs: &[(SocketAddr, SocketAddr)]) -> bool {
        pairs.iter().any(|(l, r)| self.open.contains_key(&(Transport::Tcp, *l, *r)))
    }

    /// Ends all of them.
    pub(super) fn close_all(&self) {
        for stream in self.open.values() {
            let _ = stream.queue.send(Command::Close);
        }
    }
}

/// Accepts connections for as long as the listener lives.
pub(super) async fn accept(listener: TcpListener, transport: Transport, protocol: Protocol, shared: Shared) {
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of descriptors: others may end meanwhile.
            tokio::time::sleep(super::ACCEPT_AGAIN).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else { continue };
        let connection =
            Connection { local, remote, transport, protocol, inbound: true, state: ConnectionState::Opened };
        tokio::task::spawn_local(run(Line::Plain(stream), None, connection, Vec::new(), Rc::clone(&shared)));
    }
}

/// A TCP or SCTP socket with the options that all of ours have.
pub(super) fn socket(transport: Transport, address: SocketAddr, plane: Option<&dyn Plane>) -> io::Result<Socket> {
    let protocol = (transport == Transport::Sctp).then(|| IpProtocol::from(IPPROTO_SCTP));
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, protocol)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Protected connections leave from fixed ports, again and again.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if let Some(plane) = plane {
        plane.prepare(&socket, address)?;
    }
    Ok(socket)
}

/// True for what a kernel without SCTP answers.
pub(super) fn lacks_sctp(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EPROTONOSUPPORT | ESOCKTNOSUPPORT))
}

fn bind(transport: Transport, from: SocketAddr, plane: Option<&dyn Plane>) -> io::Result<Socket> {
    let socket = socket(transport, from, plane)?;
    socket.bind(&from.into())?;
    Ok(socket)
}

/// A connection on its way.
enum Begun {
    Bound(Socket),
    Inside(InsideStream),
}

async fn dial(begun: io::Result<Begun>, to: SocketAddr) -> io::Result<Line> {
    Ok(match begun? {
        Begun::Bound(socket) => Line::Plain(TcpSocket::from_std_stream(socket.into()).connect(to).await?),
        Begun::Inside(stream) => {
            stream.established().await?;
            Line::Inside(stream)
        }
    })
}

/// Serves a connection to its end.
pub(super) async fn run(
    line: Line,
    owner: Option<ElementId>,
    connection: Connection,
    first: Vec<Vec<u8>>,
    shared: Shared,
) {
    let Connection { local, remote, transport, .. } = connection;
    let ends = (transport, local, remote);
    let (queue, mut commands) = mpsc::unbounded_channel();
    let (queued, unread, reset) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()), Rc::new(Notify::new()));
    let opened = Stream {
        owner,
        queue,
        queued: Rc::clone(&queued),
        unread: Rc::clone(&unread),
        reset: Rc::clone(&reset),
        closing: Cell::new(false),
    };
    for bytes in first {
        opened.write(&bytes);
    }
    // Its port may be nobody's any more when it ends with its set.
    let is_protected = shared.borrow().ims.is_protected(local);
    shared.borrow_mut().streams.open.insert(ends, opened);
    shard::news(&shared, owner, connection);
    match line {
        Line::Plain(stream) => {
            if transport == Transport::Tcp {
                let _ = stream.set_nodelay(true);
            }
            let (mut read, mut write) = stream.into_split();
            let is_reset = tokio::select! {
                biased;
                () = reset.notified() => {
                    while let Ok(Command::Write(bytes)) = commands.try_recv() {
                        let _ = write.try_write(&bytes);
                    }
                    true
                }
                () = receive(&mut read, connection, &shared) => false,
                () = transmit(&mut write, transport, &mut commands, &queued) => false,
                () = unread.notified() => false,
            };
            // A FIN that is not answered before its SAs go would be repeated without them: protected connections are
            // reset.
            if is_protected || is_reset {
                let _ = SockRef::from(write.as_ref()).set_linger(Some(Duration::ZERO));
            }
        }
        Line::Inside(stream) => {
            let (mut read, mut write) = tokio::io::split(stream);
            let is_reset = tokio::select! {
                biased;
                () = reset.notified() => true,
                () = receive(&mut read, connection, &shared) => false,
                () = transmit(&mut write, transport, &mut commands, &queued) => false,
                () = unread.notified() => false,
            };
            let stream = read.unsplit(write);
            while is_reset && let Ok(Command::Write(bytes)) = commands.try_recv() {
                stream.try_write(&bytes);
            }
        }
        Line::Tls(stream) => {
            let _ = stream.get_ref().0.set_nodelay(true);
            let (mut read, mut write) = tokio::io::split(stream);
            tokio::select! {
                () = receive(&mut read, connection, &shared) => {}
                () = transmit(&mut write, transport, &mut commands, &queued) => {}
                () = unread.notified() => {}
            }
        }
    }
    shared.borrow_mut().streams.open.remove(&ends);
    shard::news(&shared, owner, Connection { state: ConnectionState::Closed, ..connection });
}

async fn transmit(
    stream: &mut (impl AsyncWrite + Unpin),
    transport: Transport,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    queued: &Cell<usize>,
) {
    let mut batch = Vec::new();
    while let Some(command) = commands.recv().await {
        let Command::Write(bytes) = command else { break };
        batch.extend_from_slice(&bytes);
        let mut close = false;
        // What one write holds is one user message of SCTP.
        while transport.is_stream()
            && let Ok(next) = commands.try_recv()
        {
            match next {
                Command::Write(bytes) => batch.extend_from_slice(&bytes),
                Command::Close => close = true,
            }
        }
        let written = match stream.write_all(&batch).await {
            Ok(()) => stream.flush().await,
            error => error,
        };
        if written.is_err() || close {
            break;
        }
        queued.set(queued.get() - batch.len());
        batch.clear();
    }
    let _ = stream.shutdown().await;
}

async fn receive(stream: &mut (impl AsyncRead + Unpin), connection: Connection, shared: &Shared) {
    let ends = (connection.transport, connection.local, connection.remote);
    let mut buffer: Vec<u8> = Vec::with_capacity(8_192);
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let more = {
            let mut shard = shared.borrow_mut();
            let now = shard.clock.now();
            let mut used = 0;
            let more = loop {
                let step = step(connection.protocol, !connection.inbound, &buffer[used..]);
                let packet = |bytes| Packet {
                    bytes,
                    protocol: connection.protocol,
                    transport: connection.transport,
                    from: connection.remote,
                    to: connection.local,
                    sa: None,
                };
                match step {
                    Step::Message(n) => {
                        shard.packet(now, &packet(&buffer[used..used + n]));
                        used += n;
                    }
                    Step::Skip(n) => used += n,
                    Step::Incomplete => break true,
                    Step::Broken => {
                        // The element may still answer 400 to what it can read.
                        shard.packet(now, &packet(&buffer[used..]));
                        break false;
                    }
                }
            };
            buffer.drain(..used);
            more
        };
        shard::finish(shared);
        if !more {
            shared.borrow().streams.close(ends);
            // What was queued before the close is written by the other half.
            std::future::pending::<()>().await;
        }
    }
}

/// What the front of a stream holds.
enum Step {
    Message(usize),
    Skip(usize),
    Incomplete,
    Broken,
}

/// `is_ours`: we opened the connection, so a CRLF in it answers a ping of ours and begins none.
fn step(protocol: Protocol, is_ours: bool, buffer: &[u8]) -> Step {
    match protocol {
        _ if buffer.is_empty() => Step::Incomplete,
        Protocol::Sip if is_ours && buffer.starts_with(PONG) => Step::Message(PONG.len()),
        Protocol::Sip => match frame::next(buffer) {
            Ok(Frame::Message(n) | Frame::Ping(n)) => Step::Message(n),
            Ok(Frame::Skip(n)) => Step::Skip(n),
            Ok(Frame::Incomplete) => Step::Incomplete,
            Err(_) => Step::Broken,
        },
        Protocol::Diameter => match diameter::header::frame(buffer, DIAMETER_LIMIT) {
            Some(Ok(n)) if buffer.len() >= n => Step::Message(n),
            Some(Ok(_)) | None => Step::Incomplete,
            Some(Err(_)) => Step::Broken,
        },
    }
}

/// A dead peer answers neither SYN nor RST (field lesson 35).
pub(super) const CONNECT_PATIENCE: Duration = Duration::from_secs(4);
/// What may be queued for a peer that does not read.
const QUEUE_LIMIT: usize = 64 << 20;
/// Messages that may wait for a connection.
const OPENING_LIMIT: usize = 100_000;
/// What is missing where the kernel knows no SCTP.
pub(super) const NO_SCTP: &str =
    "this kernel has no SCTP: its module `sctp` is not loaded (modprobe sctp), or was never built";
const IPPROTO_SCTP: i32 = 132;
const EPROTONOSUPPORT: i32 = 93;
const ESOCKTNOSUPPORT: i32 = 94;
/// The largest Diameter message taken.
const DIAMETER_LIMIT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lesson_60_what_is_queued_for_a_peer_that_does_not_read_is_bounded() {
        let (queue, mut commands) = mpsc::unbounded_channel();
        let (unread, reset) = (Rc::default(), Rc::default());
        let stream = Stream { owner: None, queue, queued: Rc::default(), unread, reset, closing: Cell::default() };
        let message = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            assert!(stream.write(&message));
        }
        assert_eq!(stream.queued.get(), QUEUE_LIMIT);
        assert!(stream.write(b"x"), "the connection is there still");
        stream.unread.notified().await;
        let mut octets = 0;
        while let Ok(Command::Write(bytes)) = commands.try_recv() {
            octets += bytes.len();
        }
        assert_eq!(octets, QUEUE_LIMIT);
        drop(commands);
        assert!(!stream.write(b"x"), "another one is opened");
    }
}
