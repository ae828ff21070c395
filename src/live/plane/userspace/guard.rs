//! A socket behind every port that connections leave from, so that no segment meets a port without one.
//!
//! A segment for no socket is answered by the kernel with a reset that belongs to nobody, and so leaves by the ordinary
//! routes, in clear. With a guard it belongs to the guard's device and leaves sealed.

use socket2::{Domain, SockFilter, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

/// The guards, and how many sets each serves.
#[derive(Default)]
pub(super) struct Guards(HashMap<SocketAddr, (Socket, usize)>);

impl Guards {
    /// One more set has this client port.
    pub(super) fn take(&mut self, local: SocketAddr, device: &str) -> io::Result<()> {
        if let Some((_, sets)) = self.0.get_mut(&local) {
            *sets += 1;
            return Ok(());
        }
        self.0.insert(local, (listener(local, device)?, 1));
        Ok(())
    }

    /// One set less has it.
    pub(super) fn give_back(&mut self, local: SocketAddr) {
        if let Some((_, sets)) = self.0.get_mut(&local) {
            *sets -= 1;
            if *sets == 0 {
                self.0.remove(&local);
            }
        }
    }
}

/// Lets connections leave from a port that has a guard.
pub(super) fn beside_guards(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)
}

/// A listener that lets nobody in.
fn listener(local: SocketAddr, device: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, None)?;
    if local.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(device.as_bytes()))?;
    beside_guards(&socket)?;
    socket.attach_filter(&NO_SYN)?;
    socket.bind(&local.into())?;
    socket.listen(1)?;
    Ok(socket)
}

/// What opens a connection is dropped, everything else passes: the octet of flags, of which SYN without ACK.
const NO_SYN: [SockFilter; 5] = [
    SockFilter::new(LOAD_OCTET, 0, 0, 13),
    SockFilter::new(AND, 0, 0, 0x12),
    SockFilter::new(IF_EQUAL, 0, 1, 0x02),
    SockFilter::new(RETURN, 0, 0, 0),
    SockFilter::new(RETURN, 0, 0, u32::MAX),
];
/// BPF_LD, BPF_B, BPF_ABS
const LOAD_OCTET: u16 = 0x30;
/// BPF_ALU, BPF_AND, BPF_K
const AND: u16 = 0x54;
/// BPF_JMP, BPF_JEQ, BPF_K
const IF_EQUAL: u16 = 0x15;
/// BPF_RET, BPF_K
const RETURN: u16 = 0x06;
