//! TCP connections: framing inwards, queues outwards.

use super::shard::{self, Shared};
use crate::diameter;
use crate::ims::ElementId;
use crate::packet::{Connection, ConnectionState, Packet, Protocol, Route, Transport};
use crate::sip::frame::{self, Frame};
use crate::time::Duration;
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// All connections, by their pair of addresses (local, remote).
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: HashMap<(SocketAddr, SocketAddr), Stream, foldhash::fast::RandomState>,
    /// Connections on their way; the key may hold port 0, the value what waits to be written.
    opening: HashMap<(ElementId, SocketAddr, SocketAddr), Vec<Vec<u8>>, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Stream {
    /// The element that asked for it.
    owner: Option<ElementId>,
    queue: mpsc::UnboundedSender<Command>,
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
        let Route { from, to, protocol, .. } = route;
        if let Some(queue) = self.opening.get_mut(&(owner, from, to)) {
            queue.push(bytes.to_vec());
            return;
        }
        let connection = if from.port() == 0 {
            let ours = |(l, r): &(SocketAddr, SocketAddr), s: &Stream| {
                *r == to && l.ip() == from.ip() && s.owner == Some(owner)
            };
            self.open.iter().find(|(ends, s)| ours(ends, s)).map(|(_, s)| s)
        } else {
            self.open.get(&(from, to))
        };
        // A connection that has just ended has no receiver any more: open another one.
        let sent = connection.is_some_and(|s| s.queue.send(Command::Write(bytes.to_vec())).is_ok());
        if !sent {
            self.connect(shared, owner, from, to, protocol, vec![bytes.to_vec()]);
        }
    }

    /// Opens a connection; what is in `first` goes out when it is there.
    pub(super) fn connect(
        &mut self,
        shared: &Shared,
        owner: ElementId,
        from: SocketAddr,
        to: SocketAddr,
        protocol: Protocol,
        first: Vec<Vec<u8>>,
    ) {
        if self.opening.insert((owner, from, to), first).is_some() {
            return;
        }
        let shared = Rc::clone(shared);
        tokio::task::spawn_local(async move {
            let opened = tokio::time::timeout(CONNECT_PATIENCE, dial(from, to)).await;
            let stream = opened.map_err(io::Error::from).flatten();
            let waiting = shared.borrow_mut().streams.opening.remove(&(owner, from, to)).unwrap_or_default();
            match stream.and_then(|s| Ok((s.local_addr()?, s))) {
                Ok((local, stream)) => {
                    let connection =
                        Connection { local, remote: to, protocol, inbound: false, state: ConnectionState::Opened };
                    run(stream, Some(owner), connection, waiting, shared).await;
                }
                Err(error) => {
                    tracing::debug!(%from, %to, %error, "connection not opened");
                    let state = ConnectionState::Failed;
                    let owner = Some(owner);
                    shard::news(
                        &shared,
                        owner,
                        Connection { local: from, remote: to, protocol, inbound: false, state },
                    );
                }
            }
        });
    }

    /// Answers a keep-alive (RFC 5626 clause 4.4.1).
    fn pong(&self, local: SocketAddr, remote: SocketAddr) {
        if let Some(stream) = self.open.get(&(local, remote)) {
            let _ = stream.queue.send(Command::Write(b"\r\n".to_vec()));
        }
    }

    /// Ends a connection after what is queued.
    pub(super) fn close(&self, local: SocketAddr, remote: SocketAddr) {
        if let Some(stream) = self.open.get(&(local, remote)) {
            let _ = stream.queue.send(Command::Close);
        }
    }

    /// Ends all of them.
    pub(super) fn close_all(&self) {
        for stream in self.open.values() {
            let _ = stream.queue.send(Command::Close);
        }
    }
}

/// Accepts connections for as long as the listener lives.
pub(super) async fn accept(listener: TcpListener, protocol: Protocol, shared: Shared) {
    loop {
        let Ok((stream, remote)) = listener.accept().await else {
            // Out of descriptors: others may end meanwhile.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else { continue };
        let connection = Connection { local, remote, protocol, inbound: true, state: ConnectionState::Opened };
        tokio::task::spawn_local(run(stream, None, connection, Vec::new(), Rc::clone(&shared)));
    }
}

/// A TCP socket with the options that all of ours have.
pub(super) fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Protected connections leave from fixed ports, again and again.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn dial(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(from)?;
    socket.bind(&from.into())?;
    TcpSocket::from_std_stream(socket.into()).connect(to).await
}

async fn run(stream: TcpStream, owner: Option<ElementId>, connection: Connection, first: Vec<Vec<u8>>, shared: Shared) {
    let Connection { local, remote, protocol, .. } = connection;
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let (queue, commands) = mpsc::unbounded_channel();
    for bytes in first {
        let _ = queue.send(Command::Write(bytes));
    }
    shared.borrow_mut().streams.open.insert((local, remote), Stream { owner, queue });
    shard::news(&shared, owner, connection);
    tokio::select! {
        () = receive(read, connection, &shared) => {}
        () = transmit(write, commands) => {}
    }
    shared.borrow_mut().streams.open.remove(&(local, remote));
    let state = ConnectionState::Closed;
    shard::news(&shared, owner, Connection { local, remote, protocol, inbound: connection.inbound, state });
}

async fn transmit(mut stream: OwnedWriteHalf, mut commands: mpsc::UnboundedReceiver<Command>) {
    let mut batch = Vec::new();
    while let Some(command) = commands.recv().await {
        let Command::Write(bytes) = command else { break };
        batch.extend_from_slice(&bytes);
        let mut close = false;
        while let Ok(next) = commands.try_recv() {
            match next {
                Command::Write(bytes) => batch.extend_from_slice(&bytes),
                Command::Close => close = true,
            }
        }
        if stream.write_all(&batch).await.is_err() || close {
            break;
        }
        batch.clear();
    }
    let _ = stream.shutdown().await;
}

async fn receive(mut stream: OwnedReadHalf, connection: Connection, shared: &Shared) {
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
                let step = step(connection.protocol, &buffer[used..]);
                let packet = |bytes| Packet {
                    bytes,
                    protocol: connection.protocol,
                    transport: Transport::Tcp,
                    from: connection.remote,
                    to: connection.local,
                    sa: None,
                };
                match step {
                    Step::Message(n) => {
                        shard.packet(now, &packet(&buffer[used..used + n]));
                        used += n;
                    }
                    Step::Ping(n) => {
                        shard.streams.pong(connection.local, connection.remote);
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
            shared.borrow_mut().streams.close(connection.local, connection.remote);
            // What was queued before the close is written by the other half.
            std::future::pending::<()>().await;
        }
    }
}

/// What the front of a stream holds.
enum Step {
    Message(usize),
    Ping(usize),
    Skip(usize),
    Incomplete,
    Broken,
}

fn step(protocol: Protocol, buffer: &[u8]) -> Step {
    match protocol {
        _ if buffer.is_empty() => Step::Incomplete,
        Protocol::Sip => match frame::next(buffer) {
            Ok(Frame::Message(n)) => Step::Message(n),
            Ok(Frame::Ping(n)) => Step::Ping(n),
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
const CONNECT_PATIENCE: Duration = Duration::from_secs(4);
/// The largest Diameter message taken.
const DIAMETER_LIMIT: usize = 1 << 20;
