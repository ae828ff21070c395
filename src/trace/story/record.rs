//! What is kept of a trace: messages once, in the order of the trace.

use super::role::Known;
use crate::packet::{Protocol, Transport};
use crate::time::Instant;
use crate::trace::{Connection, Ends, Lost, Place, Protection, Sealed};
use std::net::IpAddr;

/// A SIP or Diameter message of the trace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// SIP and Diameter messages count from 1 over the whole trace.
    pub number: u64,
    /// Where in the trace.
    pub place: Place,
    /// When, where the trace shows it.
    pub at: Option<Instant>,
    /// What it is.
    pub protocol: Protocol,
    /// Between whom, where the trace shows it.
    pub ends: Option<Ends>,
    /// What protected it.
    pub protection: Protection,
    /// True where the trace holds only its beginning.
    pub cut: bool,
    /// Its octets.
    pub bytes: Vec<u8>,
}

impl Record {
    /// True where the transport is known to retransmit by itself.
    pub fn is_reliable(&self) -> bool {
        self.ends.is_some_and(|ends| ends.transport.is_reliable())
    }

    /// True for UDP.
    pub fn is_udp(&self) -> bool {
        self.ends.is_some_and(|ends| ends.transport == Transport::Udp)
    }

    /// What it takes in memory, about.
    pub(super) const fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

/// The messages of one registration, or those that belong to none, as [`super::Story`] hands them out.
/// [`super::Registration::of`] reads them.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Registrations count from 1 in the order of their first REGISTER. `None`: what belongs to no registration.
    pub id: Option<u64>,
    /// True where an earlier part has been handed out: memory did not suffice to wait for the rest.
    pub continued: bool,
    /// The messages.
    pub records: Vec<Record>,
    /// ESP that stayed shut, by SPI.
    pub shut: Vec<ShutSpi>,
    /// Steps in the lives of its connections.
    pub connections: Vec<ConnectionStep>,
    /// Packets of it that did not get through.
    pub lost: Vec<LostPacket>,
    /// The time of the last thing that the trace had shown, of whomever, when this was handed out.
    pub seen_until: Option<Instant>,
    /// What the rest of the trace tells about the addresses of these messages.
    pub known: Known,
}

/// ESP packets of one SPI that stayed shut, or whose ICV was wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShutSpi {
    /// The SPI, which the receiver chose.
    pub spi: u32,
    /// The sender.
    pub from: IpAddr,
    /// The receiver.
    pub to: IpAddr,
    /// How many.
    pub count: u64,
    /// The last one.
    pub last: (Place, Option<Instant>),
    /// The first few, with their octets, for whoever tries other keys.
    pub first: Vec<(Place, Option<Instant>, Sealed)>,
}

impl ShutSpi {
    pub(super) fn count(list: &mut Vec<Self>, place: Place, at: Option<Instant>, sealed: Sealed) {
        let (spi, from, to) = (sealed.spi, sealed.from, sealed.to);
        let known = list.iter().position(|shut| (shut.spi, shut.from, shut.to) == (spi, from, to));
        let index = known.unwrap_or_else(|| {
            list.push(Self { spi, from, to, count: 0, last: (place, at), first: Vec::new() });
            list.len() - 1
        });
        let shut = &mut list[index];
        shut.count += 1;
        shut.last = (place, at);
        if shut.first.len() < KEPT_OF_A_SPI {
            shut.first.push((place, at, sealed));
        }
    }
}

/// A packet that did not get through, and when that was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LostPacket {
    /// Where in the trace.
    pub place: Place,
    /// When.
    pub at: Option<Instant>,
    /// What.
    pub lost: Lost,
}

/// A step in the life of a connection, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionStep {
    /// Where in the trace.
    pub place: Place,
    /// When.
    pub at: Option<Instant>,
    /// What.
    pub connection: Connection,
}

const KEPT_OF_A_SPI: usize = 8;
