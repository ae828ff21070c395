//! What a fault made on purpose lets leave from where nothing leaves: from other ports, and outside of an SA.

use super::plane::InClear;
use super::shard::{Shard, Shared};
use super::sockets::{bind_udp, send_at_once};
use crate::config::PlaneChoice;
use crate::event::Role;
use crate::ims::ElementId;
use crate::ip;
use crate::ip::transport::write_udp;
use crate::mutation::{Alteration, Lose, MTU, Mutation, Passage, SetFaultKind};
use crate::packet::{Route, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Sends what an altered route takes where the driver sends nothing else; false: it goes the way of all messages.
pub(super) fn send(shard: &mut Shard, shared: &Shared, owner: ElementId, route: Route, bytes: &[u8]) -> bool {
    if route.sa.is_some() {
        return false;
    }
    let in_clear = shard.protected.plane.in_clear();
    let is_protected = shard.ims.is_protected(route.from) && in_clear != InClear::Socket;
    match route.transport {
        Transport::Udp if is_protected => {
            let sent = match in_clear {
                InClear::Raw => raw(route.from, route.to, bytes),
                _ => bind_udp(route.from, None).and_then(|socket| send_at_once(&socket, bytes, route.to)),
            };
            if let Err(error) = sent {
                tracing::warn!(from = %route.from, to = %route.to, %error, "a message in clear could not be sent");
            }
            true
        }
        Transport::Udp => {
            if !shard.udp.contains(route.from) {
                match bind_udp(route.from, None) {
                    Ok(socket) => shard.udp.add(route.from, socket, shared),
                    Err(error) => tracing::warn!(from = %route.from, %error, "a message could not leave this port"),
                }
            }
            false
        }
        // The connection of the SA is not to be used, and its port belongs to the plane.
        Transport::Tcp if is_protected => {
            let from = SocketAddr::new(route.from.ip(), 0);
            shard.streams.connect(shared, owner, Route { from, ..route }, vec![bytes.to_vec()]);
            true
        }
        // Nor does the system give the port of a listener to a connection that we open.
        Transport::Tcp if shard.ims.owner(route.from).is_some() && !shard.streams.any(&[(route.from, route.to)]) => {
            let from = SocketAddr::new(route.from.ip(), 0);
            shard.streams.send(shared, owner, Route { from, ..route }, bytes);
            true
        }
        Transport::Tcp | Transport::Tls | Transport::Sctp => false,
    }
}

/// Sends the fragments of a datagram but for the last; nothing where it fits into one packet.
pub(super) fn send_part(from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
    if let Err(error) = part(from, to, bytes) {
        tracing::warn!(%from, %error, "a fragment could not be sent");
    }
}

fn part(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let mut packet = Vec::new();
    let begun = ip::begin(&mut packet, from.ip(), to.ip(), ip::UDP);
    write_udp(&mut packet, from, to, bytes);
    begun.finish(&mut packet);
    let mut parts = Vec::new();
    // Nobody puts them together, so any name will do.
    let identification = std::process::id();
    ip::fragments::split(&packet, MTU, identification, |part| parts.push(part.to_vec())).map_err(io::Error::other)?;
    parts.pop();
    let socket = packet_socket(from.ip())?;
    for part in parts {
        socket.send_to(&part, &SocketAddr::new(to.ip(), 0).into())?;
    }
    Ok(())
}

/// For whole IP packets.
fn packet_socket(from: IpAddr) -> io::Result<Socket> {
    let socket = raw_socket(from)?;
    match from {
        IpAddr::V4(_) => socket.set_header_included_v4(true)?,
        IpAddr::V6(_) => socket.set_header_included_v6(true)?,
    }
    Ok(socket)
}

/// A datagram past the sockets of its port.
fn raw(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> io::Result<usize> {
    let mut segment = Vec::new();
    write_udp(&mut segment, from, to, bytes);
    raw_socket(from.ip())?.send_to(&segment, &SocketAddr::new(to.ip(), 0).into())
}

fn raw_socket(from: IpAddr) -> io::Result<Socket> {
    let from = SocketAddr::new(from, 0);
    let socket = Socket::new(Domain::for_address(from), Type::RAW, Some(Protocol::from(i32::from(ip::UDP))))?;
    socket.bind(&from.into())?;
    Ok(socket)
}

/// Why a mutation cannot be carried out by a process that has these roles, over this plane; `None`: it can.
pub fn obstacle(mutation: &Mutation, plane: PlaneChoice, roles: &[Role]) -> Option<String> {
    let Mutation { alterations, sets, deaf, .. } = mutation;
    let is_esp = plane != PlaneChoice::None;
    let absent = |role: Role| (!roles.contains(&role)).then(|| format!("the {role} is not in this process"));
    alterations.iter().find_map(|alteration| of_alteration(alteration, plane, roles)).or_else(|| {
        let of_sets = sets.iter().find_map(|set| {
            let needs_esp = !is_esp && set.fault != SetFaultKind::Refused;
            let why = needs_esp.then(|| format!("plane {plane} has no keys and no SAs that could be wrong"));
            absent(set.at).or(why)
        });
        let of_deaf = deaf.and_then(|role| {
            let can = matches!(plane, PlaneChoice::Userspace | PlaneChoice::Unprivileged);
            absent(role).or_else(|| (!can).then(|| format!("plane {plane} cannot keep silent where a SYN comes")))
        });
        of_sets.or(of_deaf)
    })
}

fn of_alteration(alteration: &Alteration, plane: PlaneChoice, roles: &[Role]) -> Option<String> {
    let Alteration { pattern, on_arrival, passage, copy, .. } = alteration;
    let at = if *on_arrival { pattern.to } else { Some(pattern.from) };
    if let Some(role) = at.filter(|role| !roles.contains(role)) {
        return Some(format!("the {role} is not in this process"));
    }
    if *on_arrival && roles == [pattern.from] {
        return Some(format!("nobody in this process receives what the {} sends", pattern.from));
    }
    let passages = [Some(passage), copy.as_ref().map(|copy| &copy.passage)];
    passages.into_iter().flatten().find_map(|passage| of_passage(passage, pattern.protected, plane))
}

fn of_passage(passage: &Passage, protected: Option<bool>, plane: PlaneChoice) -> Option<String> {
    if passage.lose == Lose::Fragment {
        if plane != PlaneChoice::None && protected != Some(false) {
            return Some(format!("plane {plane} seals datagrams whole and sends all of their fragments"));
        }
        if let Err(denied) = raw_socket(IpAddr::from([127, 0, 0, 1])) {
            return Some(format!("no raw socket to send a part of a datagram ({denied}); run it with CAP_NET_RAW"));
        }
    }
    let moves = passage.from_port.is_some() || passage.to_port.is_some();
    match plane {
        PlaneChoice::None if passage.clear && !moves => {
            Some("plane none has everything in clear: ports alone tell what is outside of an SA".to_owned())
        }
        PlaneChoice::Kernel if passage.clear && passage.from_port.is_none() => {
            let denied = raw_socket(IpAddr::from([127, 0, 0, 1])).err()?;
            Some(format!("no raw socket to send past the plane ({denied}); run it with CAP_NET_RAW"))
        }
        PlaneChoice::Userspace | PlaneChoice::Kernel | PlaneChoice::Unprivileged
            if moves && !passage.clear && protected == Some(true) =>
        {
            Some(format!("no SA of plane {plane} carries other ports; `clear: true` leaves outside of it"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutation::{Pattern, SetFault};

    fn sends(passage: Passage) -> Mutation {
        let pattern = Pattern { protected: Some(true), ..Pattern::from(Role::Ue) };
        Mutation::new("m", vec![Alteration { passage, ..Alteration::new(pattern, Vec::new()) }])
    }

    #[test]
    fn what_cannot_be_done_is_told() {
        let clear = Passage { clear: true, ..Passage::default() };
        let elsewhere = Passage { to_port: Some(5060), ..Passage::default() };
        let both = Passage { clear: true, ..elsewhere };
        let why = |passage: &Passage, plane| obstacle(&sends(passage.clone()), plane, &[Role::Ue]);
        assert!(why(&clear, PlaneChoice::None).is_some_and(|why| why.contains("plane none")));
        assert!(why(&elsewhere, PlaneChoice::Userspace).is_some_and(|why| why.contains("other ports")));
        for plane in [PlaneChoice::None, PlaneChoice::Userspace, PlaneChoice::Unprivileged] {
            assert_eq!(why(&both, plane), None, "{plane}");
        }
        assert_eq!(why(&clear, PlaneChoice::Unprivileged), None);
        let part = Passage { lose: Lose::Fragment, ..Passage::default() };
        assert!(why(&part, PlaneChoice::Kernel).is_some_and(|why| why.contains("seals datagrams whole")));
        let is_raw = raw_socket(IpAddr::from([127, 0, 0, 1])).is_ok();
        assert!(why(&part, PlaneChoice::None).is_none_or(|why| !is_raw && why.contains("CAP_NET_RAW")));
        let elsewhere = obstacle(&sends(clear), PlaneChoice::Unprivileged, &[Role::Pcscf]);
        assert_eq!(elsewhere.as_deref(), Some("the UE is not in this process"));
    }

    #[test]
    fn faults_of_sets_want_esp_and_silence_wants_a_plane_of_ours() {
        let set = |fault| Mutation {
            sets: vec![SetFault { at: Role::Ue, number: None, fault }],
            ..sends(Passage::default())
        };
        let why = |mutation: &Mutation, plane| obstacle(mutation, plane, &[Role::Ue]);
        assert!(why(&set(SetFaultKind::WrongCk), PlaneChoice::None).is_some());
        assert_eq!(why(&set(SetFaultKind::Refused), PlaneChoice::None), None);
        assert_eq!(why(&set(SetFaultKind::WrongCk), PlaneChoice::Kernel), None);
        let deaf = |role| Mutation { deaf: Some(role), ..sends(Passage::default()) };
        assert_eq!(why(&deaf(Role::Ue), PlaneChoice::Unprivileged), None);
        assert!(why(&deaf(Role::Ue), PlaneChoice::Kernel).is_some());
        assert!(why(&deaf(Role::Pcscf), PlaneChoice::Userspace).is_some());
    }
}
