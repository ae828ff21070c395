//! Requests to the kernel's tables of states and policies, over a netlink socket.
//!
//! The kernel works a request off before `send` returns and its answer is in the socket then, so nothing here waits: an
//! answer that is not there is an error.

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_xfrm::policy::{DelGetMessage as AnyPolicy, ModifyMessage as Policy};
use netlink_packet_xfrm::state::{GetDumpMessage, ModifyMessage as State};
use netlink_packet_xfrm::{XfrmAttrs, XfrmMessage};
use netlink_sys::constants::NETLINK_XFRM;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use zeroize::Zeroize;

/// What the kernel plane asks of a kernel.
pub(super) trait Xfrm {
    /// Has one request carried out. Its keys are wiped.
    fn ask(&mut self, request: XfrmMessage) -> io::Result<()>;

    /// The state that a request names, with its keys wiped.
    fn state(&mut self, request: XfrmMessage) -> io::Result<State>;

    /// All states, with keys wiped.
    fn states(&mut self) -> io::Result<Vec<State>>;

    /// All policies.
    fn policies(&mut self) -> io::Result<Vec<Policy>>;
}

/// This machine's kernel, in the network namespace of the thread that opened it.
pub(super) struct Kernel {
    socket: Socket,
    sequence: u32,
}

impl Kernel {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_XFRM)?;
        socket.bind_auto()?;
        // An answer repeats its request, keys included, unless it is told not to.
        socket.set_cap_ack(true)?;
        socket.set_non_blocking(true)?;
        // A dump of many states does not fit into what is usual.
        let _ = socket.set_rx_buf_sz(RECEIVE_BUFFER);
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0 })
    }

    fn send(&mut self, request: XfrmMessage, flags: u16) -> io::Result<u32> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        if let NetlinkPayload::InnerMessage(request) = &mut message.payload {
            wipe(request);
        }
        let sent = self.socket.send(&bytes, 0);
        bytes.zeroize();
        sent.map(|_| self.sequence)
    }

    /// Reads what answers `sequence` until `done` has seen its end.
    fn answers(
        &self,
        sequence: u32,
        mut done: impl FnMut(NetlinkPayload<XfrmMessage>) -> Option<io::Result<()>>,
    ) -> io::Result<()> {
        loop {
            let (mut bytes, _) = self.socket.recv_from_full().map_err(|e| match e.kind() {
                io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer"),
                _ => e,
            })?;
            let mut rest = &bytes[..];
            let mut end = None;
            while end.is_none() && !rest.is_empty() {
                let message = NetlinkMessage::<XfrmMessage>::deserialize(rest).map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidData, "an answer of the kernel that is no netlink")
                })?;
                let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).next_multiple_of(4);
                rest = rest.get(length..).unwrap_or_default();
                if message.header.sequence_number == sequence {
                    end = done(message.payload);
                }
            }
            bytes.zeroize();
            if let Some(end) = end {
                return end;
            }
        }
    }

    fn dump(&mut self, request: XfrmMessage, mut take: impl FnMut(XfrmMessage)) -> io::Result<()> {
        let sequence = self.send(request, NLM_F_DUMP)?;
        self.answers(sequence, |payload| match payload {
            NetlinkPayload::Error(error) if error.code.is_some() => Some(Err(error.to_io())),
            NetlinkPayload::Done(_) => Some(Ok(())),
            NetlinkPayload::InnerMessage(message) => {
                take(message);
                None
            }
            _ => None,
        })
    }
}

impl Xfrm for Kernel {
    fn ask(&mut self, request: XfrmMessage) -> io::Result<()> {
        let sequence = self.send(request, NLM_F_ACK)?;
        self.answers(sequence, |payload| match payload {
            NetlinkPayload::Error(error) if error.code.is_some() => Some(Err(error.to_io())),
            NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => Some(Ok(())),
            _ => None,
        })
    }

    fn state(&mut self, request: XfrmMessage) -> io::Result<State> {
        let sequence = self.send(request, 0)?;
        let mut state = None;
        self.answers(sequence, |payload| match payload {
            NetlinkPayload::Error(error) => Some(Err(error.to_io())),
            NetlinkPayload::InnerMessage(mut message) => {
                wipe(&mut message);
                if let XfrmMessage::AddSa(answer) = message {
                    state = Some(answer);
                }
                Some(Ok(()))
            }
            _ => None,
        })?;
        state.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn states(&mut self) -> io::Result<Vec<State>> {
        let mut states = Vec::new();
        self.dump(XfrmMessage::GetDumpSa(GetDumpMessage::default()), |mut message| {
            wipe(&mut message);
            if let XfrmMessage::AddSa(state) = message {
                states.push(state);
            }
        })?;
        Ok(states)
    }

    fn policies(&mut self) -> io::Result<Vec<Policy>> {
        let mut policies = Vec::new();
        self.dump(XfrmMessage::GetPolicy(AnyPolicy::default()), |message| {
            if let XfrmMessage::AddPolicy(policy) = message {
                policies.push(policy);
            }
        })?;
        Ok(policies)
    }
}

/// Overwrites the keys of a message.
fn wipe(message: &mut XfrmMessage) {
    let (XfrmMessage::AddSa(state) | XfrmMessage::UpdateSa(state)) = message else { return };
    for attribute in &mut state.nlas {
        match attribute {
            XfrmAttrs::AuthenticationAlg(alg) | XfrmAttrs::EncryptionAlg(alg) => alg.alg_key.zeroize(),
            XfrmAttrs::AuthenticationAlgTrunc(alg) => alg.alg_key.zeroize(),
            XfrmAttrs::EncryptionAlgAead(alg) => alg.alg_key.zeroize(),
            _ => {}
        }
    }
}

const RECEIVE_BUFFER: u32 = 1 << 20;
