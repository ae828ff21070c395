//! The sockets that carry ESP: a raw one for each local address, and one on UDP port 4500 where a set wants it.

use super::{LARGEST, Lift};
use crate::ip;
use crate::ipsec::esp::{self, Carrier, Datagram};
use crate::live::sockets::send_at_once;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The sockets of one local address.
pub(super) struct Outside {
    local: IpAddr,
    raw: Served,
    /// UDP-encapsulated ESP (RFC 3948).
    tunnels: Option<Served>,
}

/// A socket and the task that reads it.
struct Served {
    socket: Rc<UdpSocket>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Outside {
    /// Opens the raw socket of `local`.
    pub(super) fn open(local: IpAddr, lift: &Rc<Lift>) -> io::Result<Self> {
        let socket = Rc::new(raw(local)?);
        let task = tokio::task::spawn_local(receive_raw(Rc::clone(lift), Rc::clone(&socket), local));
        Ok(Self { local, raw: Served { socket, task }, tunnels: None })
    }

    /// Opens UDP port 4500 too, unless it is open.
    pub(super) fn serve_tunnels(&mut self, lift: &Rc<Lift>) -> io::Result<()> {
        if self.tunnels.is_none() {
            let socket = Rc::new(crate::live::sockets::bind_udp(SocketAddr::new(self.local, esp::PORT), None)?);
            let task = tokio::task::spawn_local(receive_udp(Rc::clone(lift), Rc::clone(&socket), self.local));
            self.tunnels = Some(Served { socket, task });
        }
        Ok(())
    }

    /// Sends one ESP packet.
    pub(super) fn send(&self, destination: IpAddr, carrier: Carrier, esp: &[u8]) -> io::Result<usize> {
        match (carrier, &self.tunnels) {
            (Carrier::Ip, _) => send_at_once(&self.raw.socket, esp, SocketAddr::new(destination, 0)),
            (Carrier::Udp { destination_port, .. }, Some(tunnels)) => {
                send_at_once(&tunnels.socket, esp, SocketAddr::new(destination, destination_port))
            }
            (Carrier::Udp { .. }, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Ends the tasks and waits until they have let go of the sockets.
    pub(super) async fn close(self) {
        for mut served in [Some(self.raw), self.tunnels].into_iter().flatten() {
            served.task.abort();
            let _ = (&mut served.task).await;
        }
    }
}

/// Tells early what would fail later: raw sockets want CAP_NET_RAW.
pub(super) fn probe() -> Result<(), (String, &'static str)> {
    let opened = raw(Ipv4Addr::LOCALHOST.into()).or_else(|e| match e.kind() {
        // A host of IPv6 only.
        io::ErrorKind::AddrNotAvailable => raw(Ipv6Addr::LOCALHOST.into()),
        _ => Err(e),
    });
    opened.map(drop).map_err(|error| {
        let todo =
            "run it as root or with CAP_NET_RAW (setcap cap_net_admin,cap_net_raw+ep), or take plane unprivileged";
        (format!("no raw socket for ESP: {error}"), todo)
    })
}

/// A raw socket behaves as one of UDP whose ports are zero.
fn raw(local: IpAddr) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(local, 0);
    let socket = Socket::new(Domain::for_address(address), Type::RAW, Some(Protocol::from(i32::from(ip::ESP))))?;
    // The system may grant less.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

async fn receive_raw(lift: Rc<Lift>, socket: Rc<UdpSocket>, local: IpAddr) {
    let mut buffer = vec![0; LARGEST];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let mut packet = &buffer[..length];
        if local.is_ipv4() {
            // The header is read along, that of IPv6 is not.
            let header = packet.first().map_or(0, |octet| usize::from(octet & 0x0f) * 4);
            packet = packet.get(header..).unwrap_or_default();
        }
        lift.inward(from.ip(), local, Carrier::Ip, packet);
    }
}

async fn receive_udp(lift: Rc<Lift>, socket: Rc<UdpSocket>, local: IpAddr) {
    let mut buffer = vec![0; LARGEST];
    loop {
        // An error is ICMP's news of an earlier datagram.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        if let Datagram::Esp(esp) = Datagram::of(&buffer[..length]) {
            let carrier = Carrier::Udp { source_port: from.port(), destination_port: esp::PORT };
            lift.inward(from.ip(), local, carrier, esp);
        }
    }
}

const BUFFER: usize = 4 << 20;
