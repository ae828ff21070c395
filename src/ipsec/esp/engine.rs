//! All sets of one host.

use super::set::Set;

use super::{Counters, Drop};
use crate::identity::Spi;
use crate::ip::{self, Packet, Upper, transport::Segment};
use crate::ipsec::association::{SaId, SaSet, SaSetId};
use crate::ipsec::table::{Collision, SaTable};
use crate::random::Random;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// All sets of one host, and what its packets become under them.
///
/// Keys are expanded when a set is installed; sealing and opening expand none and take memory only from the buffer that
/// is handed in. `Debug` shows how many sets there are and nothing else.
pub struct Engine {
    table: SaTable,
    /// At the places of the table.
    sets: Vec<Option<Box<Set>>>,
    /// IVs of CBC.
    random: Random,
    totals: Counters,
}

/// What an ESP packet is put into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Carrier {
    /// IP, protocol 50.
    Ip,
    /// UDP (RFC 3948), for sets in tunnel mode.
    Udp {
        /// Port of the sender.
        source_port: u16,
        /// Port of the receiver.
        destination_port: u16,
    },
}

/// How a packet that was sealed goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The SA that it is under.
    pub sa: SaId,
    /// Address of the sender, in the header outside.
    pub source: IpAddr,
    /// Address of the receiver, in the header outside.
    pub destination: IpAddr,
    /// What it is put into.
    pub carrier: Carrier,
}

/// What was in an ESP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The SA that it was under.
    pub sa: SaId,
    /// Address and port of the sender, inside.
    pub source: SocketAddr,
    /// Address and port of the receiver, inside.
    pub destination: SocketAddr,
    /// What it is.
    pub upper: Upper,
    /// The datagram or segment with its header: what was appended to the buffer.
    pub segment: Range<usize>,
    /// The data in it.
    pub data: Range<usize>,
}

impl Engine {
    /// No set yet.
    pub fn new(random: Random) -> Self {
        Self { table: SaTable::default(), sets: Vec::new(), random, totals: Counters::default() }
    }

    /// Adds a set: all four SAs or none. An error if its selectors or SPIs collide with those of a set alive, or if its
    /// pair of algorithms is none of TS 33.203. Installing a set again changes nothing: its sequence numbers go on.
    pub fn install(&mut self, set: &SaSet) -> Result<(), Collision> {
        if self.table.contains(set.id) {
            return self.table.install(set);
        }
        let prepared = Set::new(set, &mut self.random).ok_or(Collision)?;
        self.table.install(set)?;
        let place = self.table.place(set.id).expect("it was just installed");
        if self.sets.len() <= place {
            self.sets.resize_with(place + 1, || None);
        }
        self.sets[place] = Some(Box::new(prepared));
        Ok(())
    }

    /// Removes a set and wipes its keys; unknown ones are ignored.
    pub fn remove(&mut self, set: SaSetId) {
        if let Some(place) = self.table.place(set) {
            self.sets[place] = None;
            self.table.remove(set);
        }
    }

    /// True while a set is alive.
    pub fn contains(&self, set: SaSetId) -> bool {
        self.table.contains(set)
    }

    /// How many sets are alive.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The SA that a segment from us between these addresses and ports goes under.
    pub fn outbound(&self, source: SocketAddr, destination: SocketAddr) -> Option<SaId> {
        self.table.find(source, destination).map(|(place, pair)| SaId { set: self.table.id(place), pair })
    }

    /// Seals a datagram or segment of ours under the SA between its addresses and ports: appends the ESP packet, from SPI
    /// to ICV, to `out`. On an error `out` is as it was.
    pub fn seal(&mut self, segment: &Segment<'_>, out: &mut Vec<u8>) -> Result<Sealed, Drop> {
        self.try_seal(segment, out).inspect_err(|reason| self.totals.drop(*reason))
    }

    fn try_seal(&mut self, segment: &Segment<'_>, out: &mut Vec<u8>) -> Result<Sealed, Drop> {
        let Segment { source, destination, upper, octets } = *segment;
        let (source_port, destination_port) = segment.ports().ok_or(Drop::Unsealable)?;
        let local = SocketAddr::new(source, source_port);
        let remote = SocketAddr::new(destination, destination_port);
        let (place, pair) = self.table.find(local, remote).ok_or(Drop::NoSa)?;
        let set = self.sets[place].as_mut().expect("the table names places of sets only");
        let sealed = match set.outer(source, destination) {
            _ if octets.len() > LARGEST_SEGMENT => Err(Drop::Unsealable),
            Err(reason) => Err(reason),
            Ok((outer_source, outer_destination, carrier)) => if set.is_tunnel() {
                let next_header = if source.is_ipv4() { IP_IN_IP } else { IPV6_IN_IP };
                set.seal(pair, next_header, &mut self.random, out, |out| {
                    ip::write(out, source, destination, upper.number(), octets);
                })
            } else {
                set.seal(pair, upper.number(), &mut self.random, out, |out| out.extend_from_slice(octets))
            }
            .map(|()| (outer_source, outer_destination, carrier)),
        };
        let (source, destination, carrier) = sealed.inspect_err(|reason| set.count_drop(*reason))?;
        set.count_sealed(octets.len());
        self.totals.sealed += 1;
        self.totals.sealed_octets += octets.len() as u64;
        Ok(Sealed { sa: SaId { set: self.table.id(place), pair }, source, destination, carrier })
    }

    /// True for a packet whose set is in tunnel mode.
    pub fn is_for_tunnel(&self, esp: &[u8]) -> bool {
        let spi = esp.first_chunk().map(|spi| Spi(u32::from_be_bytes(*spi)));
        let place = spi.and_then(|spi| self.table.find_spi(spi)).map(|(place, _)| place);
        place.and_then(|place| self.sets[place].as_ref()).is_some_and(|set| set.is_tunnel())
    }

    /// Opens an ESP packet, from SPI to ICV, that came between these addresses: appends the datagram or segment in it,
    /// with its header, to `out`. On an error `out` is as it was.
    pub fn open(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        carrier: Carrier,
        esp: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Drop> {
        let start = out.len();
        self.try_open(source, destination, carrier, esp, out).inspect_err(|reason| {
            out.truncate(start);
            self.totals.drop(*reason);
        })
    }

    fn try_open(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        carrier: Carrier,
        esp: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Opened, Drop> {
        let spi = Spi(u32::from_be_bytes(*esp.first_chunk().ok_or(Drop::Length)?));
        let (place, server) = self.table.find_spi(spi).ok_or(Drop::UnknownSpi)?;
        let set = self.sets[place].as_mut().expect("the table names places of sets only");
        if !set.ends_at(destination) {
            return Err(Drop::UnknownSpi);
        }
        let pair = set.pair(server);
        let start = out.len();
        let opened = set
            .open(pair, source, carrier, esp, out)
            .and_then(|next_header| match set.is_tunnel() {
                true => take_out_of_tunnel(next_header, start, out),
                false => {
                    let upper = Upper::from_number(next_header).ok_or_else(|| not_upper(next_header))?;
                    Ok((source, destination, upper))
                }
            })
            .and_then(|(source, destination, upper)| {
                let segment = Segment { source, destination, upper, octets: &out[start..] };
                let (source_port, destination_port) = segment.ports().ok_or(Drop::InnerChecksum)?;
                let source = SocketAddr::new(source, source_port);
                let destination = SocketAddr::new(destination, destination_port);
                if !self.table.fits(place, pair, destination, source) {
                    return Err(Drop::Selector);
                }
                let checked = segment.check().map_err(|_| Drop::InnerChecksum)?;
                let (len, data_len) = (checked.octets.len(), checked.data.len());
                out.truncate(start + len);
                let sa = SaId { set: self.table.id(place), pair };
                let data = out.len() - data_len..out.len();
                Ok(Opened { sa, source, destination, upper, segment: start..out.len(), data })
            })
            .inspect_err(|reason| set.count_drop(*reason))?;
        set.count_opened(opened.segment.len());
        self.totals.opened += 1;
        self.totals.opened_octets += opened.segment.len() as u64;
        Ok(opened)
    }

    /// Of a set that is alive.
    pub fn counters_of(&self, set: SaSetId) -> Option<Counters> {
        let set = self.sets[self.table.place(set)?].as_ref().expect("the table names places of sets only");
        Some(set.counters())
    }

    /// Of all sets, also of those removed, and of packets that belonged to none.
    pub const fn counters(&self) -> &Counters {
        &self.totals
    }

    #[cfg(test)]
    fn set_sent(&mut self, sa: SaId, sent: u32) {
        let place = self.table.place(sa.set).unwrap();
        self.sets[place].as_mut().unwrap().set_sent(sa.pair, sent);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("sets", &self.len()).finish_non_exhaustive()
    }
}

/// Leaves the segment of the IP packet that begins at `start`.
fn take_out_of_tunnel(next_header: u8, start: usize, out: &mut Vec<u8>) -> Result<(IpAddr, IpAddr, Upper), Drop> {
    if !matches!(next_header, IP_IN_IP | IPV6_IN_IP) {
        return Err(not_upper(next_header));
    }
    let packet = Packet::parse(&out[start..]).map_err(|_| Drop::InnerPacket)?;
    let ip::Header { source, destination, protocol, fragment } = packet.header;
    if source.is_ipv4() != (next_header == IP_IN_IP) {
        return Err(Drop::NextHeader);
    }
    if fragment.is_some() {
        return Err(Drop::InnerPacket);
    }
    let upper = Upper::from_number(protocol).ok_or(Drop::NextHeader)?;
    let (at, len) = (start + packet.payload_start, packet.payload.len());
    out.copy_within(at..at + len, start);
    out.truncate(start + len);
    Ok((source, destination, upper))
}

const fn not_upper(next_header: u8) -> Drop {
    if next_header == NO_NEXT_HEADER { Drop::Dummy } else { Drop::NextHeader }
}

const IP_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const NO_NEXT_HEADER: u8 = 59;
/// What is left of the 65,535 octets of an IP packet after any headers and fields of ours.
const LARGEST_SEGMENT: usize = 65_300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ip::transport::write_udp;
    use crate::ipsec::association::PortPair;

    fn datagram(from: &str, to: &str) -> (SocketAddr, SocketAddr, Vec<u8>) {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let mut octets = Vec::new();
        write_udp(&mut octets, from, to, b"REGISTER");
        (from, to, octets)
    }

    #[test]
    fn the_last_sequence_number_is_sent_and_no_other_after_it() {
        let mut engine = Engine::new(Random::seeded(1));
        engine.install(&SaSet::for_tests(true)).unwrap();
        let (from, to, octets) = datagram("10.0.0.7:31000", "10.0.0.1:6100");
        let segment = Segment { source: from.ip(), destination: to.ip(), upper: Upper::Udp, octets: &octets };
        engine.set_sent(SaId { set: SaSetId(1), pair: PortPair::UcPs }, u32::MAX - 1);
        let mut out = b"before".to_vec();
        engine.seal(&segment, &mut out).unwrap();
        assert_eq!(out[6..14], [0, 0, 1, 0x91, 0xff, 0xff, 0xff, 0xff]);
        let len = out.len();
        assert_eq!(engine.seal(&segment, &mut out), Err(Drop::SequenceExhausted));
        assert_eq!(engine.seal(&segment, &mut out), Err(Drop::SequenceExhausted));
        assert_eq!((out.len(), engine.counters().dropped(Drop::SequenceExhausted)), (len, 2));
    }

    #[test]
    fn debug_shows_no_key() {
        let mut engine = Engine::new(Random::seeded(1));
        engine.install(&SaSet::for_tests(true)).unwrap();
        assert_eq!(format!("{engine:?}"), "Engine { sets: 1, .. }");
    }
}
