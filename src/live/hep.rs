//! HEP over UDP and TCP: as a source of a trace, and as the place where one goes.

#![expect(clippy::disallowed_types, reason = "a trace is read and written without event loop: its sockets block")]

use crate::trace::hep;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// `hep:udp:ADDR:PORT` or `hep:tcp:ADDR:PORT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Datagrams.
    Udp(SocketAddr),
    /// Connections.
    Tcp(SocketAddr),
}

impl Place {
    /// `None`: it is the name of a file; an error where only the first word is right.
    pub fn of(text: &str) -> Option<Result<Self, String>> {
        let rest = text.strip_prefix("hep:")?;
        let read = match rest.split_once(':') {
            Some(("udp", at)) => at.parse().map(Self::Udp).ok(),
            Some(("tcp", at)) => at.parse().map(Self::Tcp).ok(),
            _ => None,
        };
        Some(read.ok_or_else(|| format!("{text}: hep:udp:ADDR:PORT or hep:tcp:ADDR:PORT expected")))
    }
}

/// As it is written on a command line.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(at) => write!(f, "hep:udp:{at}"),
            Self::Tcp(at) => write!(f, "hep:tcp:{at}"),
        }
    }
}

/// What a collector is sent, until somebody ends it: then it ends as a file does.
pub struct Source {
    packets: Receiver<Vec<u8>>,
    rest: Vec<u8>,
    at: usize,
    foreign: Arc<AtomicU64>,
}

impl Source {
    /// Listens, and tells where: port 0 is any. `wait` runs on a thread of its own: it calls its argument when it has
    /// begun to wait, and returns when the trace is to end.
    pub fn listen(place: Place, wait: impl FnOnce(&dyn Fn()) + Send + 'static) -> io::Result<(Self, Place)> {
        let (sender, packets) = sync_channel(WAITING);
        let shared = Listener { sender, foreign: Arc::default(), is_over: Arc::default(), open: Arc::default() };
        let listener = shared.clone();
        let place = match place {
            Place::Udp(at) => {
                let socket = UdpSocket::bind(at)?;
                socket.set_read_timeout(Some(PATIENCE))?;
                let at = socket.local_addr()?;
                thread::spawn(move || listener.datagrams(&socket));
                Place::Udp(at)
            }
            Place::Tcp(at) => {
                let server = TcpListener::bind(at)?;
                server.set_nonblocking(true)?;
                let at = server.local_addr()?;
                thread::spawn(move || listener.connections(&server));
                Place::Tcp(at)
            }
        };
        let foreign = Arc::clone(&shared.foreign);
        let (begun, ready) = sync_channel(1);
        thread::spawn(move || {
            wait(&|| {
                let _ = begun.send(());
            });
            shared.is_over.store(true, Ordering::Relaxed);
        });
        // Whoever is told where may end it at once. A waiter that has gone has ended it.
        let _ = ready.recv();
        Ok((Self { packets, rest: Vec::new(), at: 0, foreign }, place))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.rest.len() {
            match self.packets.recv() {
                Ok(packet) if !packet.is_empty() => (self.rest, self.at) = (packet, 0),
                _ => {
                    let foreign = self.foreign.swap(0, Ordering::Relaxed);
                    if foreign > 0 {
                        tracing::warn!("datagrams and connections that are no HEP 3, and are not read: {foreign}");
                    }
                    return Ok(0);
                }
            }
        }
        let len = out.len().min(self.rest.len() - self.at);
        out[..len].copy_from_slice(&self.rest[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// What the threads that listen share. Once it is over, they read what has come already, and no more.
#[derive(Clone)]
struct Listener {
    sender: SyncSender<Vec<u8>>,
    foreign: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    /// Connections that are being read.
    open: Arc<AtomicU64>,
}

impl Listener {
    /// Each datagram is a packet. The empty packet stands for the end.
    fn datagrams(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            match socket.recv(&mut buffer) {
                Ok(len) if matches!(hep::length(&buffer[..len]), Ok(Some(said)) if said == len) => {
                    if self.sender.send(buffer[..len].to_vec()).is_err() {
                        return;
                    }
                }
                Ok(_) => {
                    self.foreign.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) if is_pause(&error) && !self.is_over() => {}
                Err(_) => {
                    drop(self.sender.send(Vec::new()));
                    return;
                }
            }
        }
    }

    fn connections(&self, server: &TcpListener) {
        loop {
            match server.accept() {
                Ok((stream, _)) => {
                    let this = self.clone();
                    self.open.fetch_add(1, Ordering::Relaxed);
                    thread::spawn(move || {
                        this.packets_of(stream);
                        this.open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
                Err(error) if is_pause(&error) && !(self.is_over() && self.open.load(Ordering::Relaxed) == 0) => {
                    thread::sleep(PATIENCE);
                }
                Err(_) => {
                    drop(self.sender.send(Vec::new()));
                    return;
                }
            }
        }
    }

    /// Whole packets of one stream, so that those of several do not mix.
    fn packets_of(&self, mut stream: TcpStream) {
        if stream.set_nonblocking(false).is_err() || stream.set_read_timeout(Some(PATIENCE)).is_err() {
            return;
        }
        let (mut buffer, mut block) = (Vec::new(), [0; 8_192]);
        loop {
            let len = match stream.read(&mut block) {
                Ok(0) => break,
                Ok(len) => len,
                Err(error) if is_pause(&error) && !self.is_over() => continue,
                Err(_) => break,
            };
            buffer.extend_from_slice(&block[..len]);
            loop {
                match hep::length(&buffer) {
                    Ok(Some(len)) if buffer.len() >= len => {
                        let rest = buffer.split_off(len);
                        if self.sender.send(std::mem::replace(&mut buffer, rest)).is_err() {
                            return;
                        }
                    }
                    Ok(_) => break,
                    // There is no way to the next packet that is certain.
                    Err(_) => {
                        self.foreign.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                }
            }
        }
        self.foreign.fetch_add(u64::from(!buffer.is_empty()), Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A collector that is sent packets.
#[derive(Debug)]
pub struct Collector {
    to: To,
    interval: Duration,
    next: Instant,
}

#[derive(Debug)]
enum To {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Collector {
    /// Connects; `rate` is the most packets in a second.
    pub fn connect(place: Place, rate: u32) -> io::Result<Self> {
        let to = match place {
            Place::Udp(at) => {
                let any: SocketAddr = if at.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(at)?;
                To::Udp(socket)
            }
            Place::Tcp(at) => To::Tcp(TcpStream::connect(at)?),
        };
        Ok(Self { to, interval: Duration::from_secs(1) / rate, next: Instant::now() })
    }

    /// Sends a packet, not faster than the rate.
    pub fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        thread::sleep(self.next.saturating_duration_since(now));
        self.next = self.next.max(now) + self.interval;
        match &mut self.to {
            To::Udp(socket) => socket.send(packet).map(drop),
            To::Tcp(stream) => stream.write_all(packet),
        }
    }
}

const WAITING: usize = 4_096;
const PATIENCE: Duration = Duration::from_millis(50);
