//! Traces: what people captured, as messages, whatever the capture was made of.
//!
//! A reader (one for captures of packets, one for pasted dumps and logs) hands out [`Sighting`]s one after the other, in
//! the order of the trace and in bounded memory. What cannot be read is a sighting as well, with its place and the
//! reason: nothing is dropped silently. What a trace does not show (the addresses of a pasted message, its time) is
//! `None`, never made up, so that a rule can answer that it cannot be judged.

pub mod drawn;
pub mod hep;
pub mod keys;
pub mod packets;
pub mod story;
pub mod text;

mod open;
mod recent;

pub use keys::Mistake;
pub use open::{Fault, Trace, open, receive};
pub use packets::{Options, Summary};

use crate::capture::Hop;
use crate::ipsec::association::{Algorithms, SaId};
use crate::packet::{Protocol, Transport};
use crate::time::Instant;
use std::fmt;
use std::net::SocketAddr;

/// One thing that a trace shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    /// Where in the trace.
    pub place: Place,
    /// When, after the first packet of the trace.
    pub at: Option<Instant>,
    /// What.
    pub seen: Seen,
}

/// Where in a trace something stands. Of what came in several packets or lines, the one that completed it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// The number of a packet, from 1, as Wireshark counts.
    Packet(u64),
    /// The number of a line, from 1: where a message begins.
    Line(u64),
    /// The number of a hop, from 1, of a capture of our own.
    Hop(u64),
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A SIP or Diameter message.
    Message(Message),
    /// An ESP packet that could not be opened, or whose ICV is wrong.
    Sealed(Sealed),
    /// The ICV of an ESP packet whose content was handed out before its key was known.
    Verified(Verified),
    /// A step in the life of a TCP connection or SCTP association.
    Connection(Connection),
    /// A packet that did not get through, as the trace tells.
    Lost(Lost),
    /// Something that could not be read.
    Unread(Unread),
}

/// A whole SIP or Diameter message, or as much of it as there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// What it is.
    pub protocol: Protocol,
    /// Between whom, where the trace shows it.
    pub ends: Option<Ends>,
    /// What protected it.
    pub protection: Protection,
    /// True where the capture holds only its beginning (snap length, or the end of a file).
    pub cut: bool,
    /// Its octets.
    pub bytes: Vec<u8>,
}

/// The innermost addresses of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ends {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// What carried it.
    pub transport: Transport,
}

/// What protected a message on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Nothing.
    Clear,
    /// ESP that could be opened.
    Esp(Esp),
    /// An SA of a capture of our own: the packets themselves are not in it.
    Set(SaId),
    /// A text tells that something did, or does not tell whether.
    Unknown,
}

/// ESP around a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Esp {
    /// Of the SA.
    pub spi: u32,
    /// Of the packet that completed the message.
    pub sequence: u32,
    /// What its ICV says.
    pub icv: Icv,
    /// How it was opened.
    pub by: OpenedBy,
    /// The algorithms under which the ICV is right.
    pub pair: Option<Algorithms>,
    /// What explains a wrong ICV.
    pub mistake: Option<Mistake>,
}

/// What the ICV of an ESP packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Icv {
    /// Right under the integrity key.
    Right,
    /// Wrong under the integrity key.
    Wrong,
    /// No key is known to judge it by.
    Unknown,
}

/// What opened an ESP packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OpenedBy {
    /// Nothing was encrypted; the shape of what is inside showed it.
    Trial,
    /// A file of keys.
    KeyFile,
    /// CK and IK that the trace shows (a 401 on Mw, a Multimedia-Auth-Answer).
    Revealed,
    /// CK and IK computed from K and OP or OPc, and RAND in the trace.
    Computed,
}

/// An ESP packet that stays shut, or whose ICV is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The addresses of the packet that carried it.
    pub from: std::net::IpAddr,
    /// See `from`.
    pub to: std::net::IpAddr,
    /// Of the SA.
    pub spi: u32,
    /// Of the packet.
    pub sequence: u32,
    /// Why it stays shut.
    pub why: Shut,
    /// What explains a wrong ICV.
    pub mistake: Option<Mistake>,
    /// The packet from SPI to ICV, for whoever tries other keys; empty where it was cut.
    pub esp: Vec<u8>,
}

/// What the ICV of an ESP packet says now that its key is known: nothing was encrypted, and what was inside has been handed
/// out as not judged. The place is that of the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The receiver of the packet, who chose the SPI.
    pub to: std::net::IpAddr,
    /// What is known now.
    pub esp: Esp,
}

/// Why an ESP packet stays shut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shut {
    /// No key is known for its SPI, and it is not in clear.
    NoKey,
    /// A key is known, and the ICV is wrong under it.
    WrongIcv,
    /// The ICV is right, and what is inside is no datagram or segment.
    Inside,
    /// The capture holds only its beginning.
    Cut,
}

/// A step in the life of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Who showed it to whom.
    pub ends: Ends,
    /// What protected the segment.
    pub protection: Protection,
    /// What it was.
    pub step: Step,
}

/// What a segment says of its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// SYN, or INIT of SCTP.
    Asked,
    /// SYN and ACK, or INIT ACK.
    Accepted,
    /// The first FIN of a side, or SHUTDOWN.
    Closed,
    /// RST, or ABORT.
    Reset,
    /// Octets are missing in the trace; reading went on at the next message.
    Gap,
}

/// A packet that did not get through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// Its sender.
    pub from: std::net::IpAddr,
    /// Its receiver.
    pub to: std::net::IpAddr,
    /// Their ports, where they are told.
    pub ports: Option<(u16, u16)>,
    /// Why.
    pub why: Loss,
}

/// Why a packet did not get through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// Some of its fragments never came.
    Fragments,
    /// ICMP: its receiver, or a router, does not take it (RFC 792, RFC 4443 clause 3.1).
    Unreachable,
    /// ICMP: it is larger than the path takes, in octets; 0: not told (RFC 1191, RFC 8201).
    TooLarge(u32),
}

/// Something that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unread {
    /// Why, in words; the same words for the same reason, so that they can be counted.
    pub reason: &'static str,
    /// How many octets.
    pub octets: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(n) => write!(f, "packet {n}"),
            Self::Line(n) => write!(f, "line {n}"),
            Self::Hop(n) => write!(f, "hop {n}"),
        }
    }
}

impl Sighting {
    /// A hop of a capture of our own, the `number`th.
    pub fn of_hop(number: u64, hop: &Hop) -> Self {
        let Hop { at, from, to, transport, protocol, sa, ref bytes } = *hop;
        let ends = Some(Ends { from, to, transport });
        let protection = sa.map_or(Protection::Clear, Protection::Set);
        let message = Message { protocol, ends, protection, cut: false, bytes: bytes.clone() };
        Self { place: Place::Hop(number), at: Some(at), seen: Seen::Message(message) }
    }
}
