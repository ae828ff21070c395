//! Sightings to registrations, while they stream by.
//!
//! A message finds its registration by what it shares with earlier ones: the end of the UE, Call-ID, SPI, identities,
//! hop-by-hop identifier. What finds none belongs to the group of what belongs to no registration.

use super::names::{self, DiameterNames};
use super::record::{ConnectionStep, Group, LostPacket, Record, ShutSpi};
use super::role::Known;
use super::totals::Totals;
use crate::diameter::dictionary;
use crate::event::Role;
use crate::packet::Protocol;
use crate::sip::keep_alive::is_keep_alive;
use crate::sip::{HeaderName, Message, Method, Uri};
use crate::time::{Duration, Instant};
use crate::trace::{Connection, Ends, Lost, Message as Sighted, Place, Protection, Sealed, Seen, Sighting, Verified};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

/// How much a [`Story`] keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of messages, with what is noted beside them. Beyond, the registration that was silent longest is handed out
    /// as it stands.
    pub octets: usize,
    /// Below this nothing leaves before the end of the trace: a reader may hand out late what waited for a key, and numbers
    /// follow the places in the trace while nothing has left.
    pub early: usize,
    /// How long after its end a registration still waits for what may follow: longer than 64*T1 of TS 24.229 table 7.8.1.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { octets: 64 << 20, early: 8 << 20, grace: Duration::from_secs(300) }
    }
}

/// Sorts a trace into registrations.
///
/// ```
/// use imsreg::trace::story::{Limits, Registration, Story};
///
/// let mut story = Story::new(Limits::default());
/// // for sighting in reader { story.see(sighting); while let Some(group) = story.next() { .. } }
/// story.finish();
/// while let Some(group) = story.next() {
///     let registration = Registration::of(&group);
///     println!("{:?} of {:?}", registration.id(), registration.impu());
/// }
/// assert_eq!(story.totals().messages(), 0);
/// ```
#[derive(Debug, Default)]
pub struct Story {
    limits: Limits,
    totals: Totals,
    groups: HashMap<Serial, Open, RandomState>,
    /// What belongs to no registration.
    rest: Group,
    rest_octets: usize,
    octets: usize,
    /// Which group has a key; `None`: more than one, so that it tells nothing.
    keys: HashMap<Key, Option<Serial>, RandomState>,
    /// Groups by the last thing that happened in them.
    order: BTreeMap<u64, Serial>,
    /// Groups that have ended, in the order of their last message.
    ended: BTreeMap<u64, Serial>,
    /// The number of what had to leave early, by private identity and address of the UE.
    handed_out: HashMap<(u64, Option<IpAddr>), u64, RandomState>,
    known: Known,
    /// Hosts of the network: a UE is never found by them alone.
    core: HashSet<IpAddr, RandomState>,
    last: u64,
    last_place: Option<Place>,
    /// Something came later than its place says.
    is_disordered: bool,
    has_left: bool,
    ready: VecDeque<Group>,
    hasher: RandomState,
}

/// Names a group that is being filled.
type Serial = u64;

#[derive(Debug, Default)]
struct Open {
    group: Group,
    keys: Vec<Key>,
    octets: usize,
    last: u64,
    last_at: Option<Instant>,
    has_ended: bool,
    asks_for_the_end: bool,
    /// The address of the UE.
    ue: Option<IpAddr>,
    /// The private identity, as an index.
    impi: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    Call(u64),
    Impi(u64),
    Impu(u64),
    /// An end of a UE.
    End(SocketAddr),
    Host(IpAddr),
    /// SPI and receiver.
    Spi(u32, IpAddr),
    Session(u64),
    /// Hop-by-hop and end-to-end identifier, command.
    Hop(u32, u32, u32),
}

impl Story {
    /// Nothing seen yet.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The next thing of the trace.
    pub fn see(&mut self, sighting: Sighting) {
        let Sighting { place, at, seen } = sighting;
        if let Seen::Verified(verified) = seen {
            return self.verified(&verified);
        }
        self.totals.until = self.totals.until.max(at);
        self.is_disordered |= self.last_place > Some(place);
        self.last_place = self.last_place.max(Some(place));
        match seen {
            Seen::Message(message) => self.message(place, at, message),
            Seen::Sealed(sealed) => self.sealed(place, at, sealed),
            Seen::Connection(connection) => self.connection(place, at, connection),
            Seen::Verified(_) => {}
            Seen::Lost(lost) => self.lost(place, at, lost),
            Seen::Unread(unread) => self.totals.unread(place, &unread),
        }
        self.hand_out_what_has_ended();
        self.make_room();
    }

    /// The trace goes on until `at` at least, with packets of others: what has not come by then has not been sent.
    pub fn passed(&mut self, at: Instant) {
        if self.totals.until.is_some_and(|until| until < at) {
            self.totals.until = Some(at);
            self.hand_out_what_has_ended();
        }
    }

    /// The trace has ended: everything is handed out.
    pub fn finish(&mut self) {
        if self.is_disordered && !self.has_left {
            self.number_by_place();
        }
        let mut serials: Vec<Serial> = self.groups.keys().copied().collect();
        serials.sort_unstable();
        for serial in serials {
            self.hand_out(serial);
        }
        self.hand_out_rest();
    }

    /// What is complete, or had to leave: registrations, and at last what belongs to none.
    #[expect(clippy::should_implement_trait, reason = "after `None` more may come")]
    pub fn next(&mut self) -> Option<Group> {
        self.ready.pop_front()
    }

    /// What was seen so far.
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    fn message(&mut self, place: Place, at: Option<Instant>, message: Sighted) {
        let Sighted { protocol, ends, protection, cut, bytes } = message;
        if protocol == Protocol::Sip && is_keep_alive(&bytes) {
            self.totals.keep_alives += 1;
            return;
        }
        let number = self.totals.message(protocol);
        let record = Record { number, place, at, protocol, ends, protection, cut, bytes };
        let serial = match protocol {
            Protocol::Sip => match names::read(&record.bytes) {
                Some(sip) => self.of_sip(&record, &sip),
                None => self.by_way(&record),
            },
            Protocol::Diameter => self.of_diameter(&record),
        };
        self.keep(serial, record);
    }

    fn of_sip(&mut self, record: &Record, message: &Message<'_>) -> Option<Serial> {
        let is_register = names::method(message) == Some(Method::Register);
        let call = message.call_id().ok().map(|call| Key::Call(self.hasher.hash_one(call)));
        // One that was cut in its first lines does not tell whose it is: it belongs to what goes that way, if anything does.
        let is_told = call.is_some() || message.to().is_ok();
        let by_way = if is_register && is_told { None } else { self.by_way(record) };
        let serial = if by_way.is_none() && is_register && !names::is_third_party(message) {
            let serial = self.of_register(record, message, call);
            self.after_register(serial, record, message);
            Some(serial)
        } else {
            by_way.or_else(|| self.find(call?)).or_else(|| self.by_identity(message))
        }?;
        // A call between two UEs of one trace has one Call-ID; it stays with who was first.
        if let Some(call) = call.filter(|call| !self.keys.contains_key(call)) {
            self.bind(call, serial);
        }
        Some(serial)
    }

    fn of_register(&mut self, record: &Record, message: &Message<'_>, call: Option<Key>) -> Serial {
        let ue = self.ue_of(record, message);
        let hash = |identity: Option<&str>| names::hash(identity.unwrap_or_default(), &self.hasher);
        let (impu, impi) = (hash(names::impu(message)), hash(names::impi(message)));
        let keys = [Key::Impi(impi), Key::Impu(impu)];
        let is_same_ue = |this: &Self, serial: Serial| match (ue, this.groups.get(&serial).and_then(|open| open.ue)) {
            (Some(a), Some(b)) => a.ip() == b,
            _ => true,
        };
        let by_identity = |this: &Self| {
            let found = keys.into_iter().filter_map(|key| this.find(key));
            found.into_iter().find(|serial| is_same_ue(this, *serial))
        };
        let known = call.and_then(|call| self.find(call)).or_else(|| by_identity(self));
        let serial = known.unwrap_or_else(|| self.begin(impi, ue.map(|ue| ue.ip())));
        // The latest registration of an identity is meant by those who only name it.
        for key in keys {
            self.bind(key, serial);
        }
        if let Some(ue) = ue {
            let open = self.groups.get_mut(&serial).expect("found or begun above");
            open.ue.get_or_insert_with(|| ue.ip());
            self.bind_ue(serial, Key::End(ue));
            self.bind_ue(serial, Key::Host(ue.ip()));
        }
        serial
    }

    /// The end of the UE, where a REGISTER or its answer is between it and its first element.
    fn ue_of(&mut self, record: &Record, message: &Message<'_>) -> Option<SocketAddr> {
        let Ends { from, to, .. } = record.ends?;
        let vias = names::vias(message);
        if vias != 1 || message.has_any(super::roles::BEHIND_PCSCF) {
            if message.status().is_none() && vias > 1 {
                self.core.insert(to.ip());
                self.core.insert(from.ip());
            }
            return None;
        }
        let (ue, network) = if message.status().is_none() { (from, to) } else { (to, from) };
        self.core.insert(network.ip());
        self.known.note(network, Role::Pcscf);
        Some(ue)
    }

    /// Notes what later messages are found by, and whether it has ended.
    fn after_register(&mut self, serial: Serial, record: &Record, message: &Message<'_>) {
        for name in [HeaderName::SecurityClient, HeaderName::SecurityServer] {
            let (Some(ends), true) = (record.ends, message.header(name).is_some()) else { continue };
            let list = message.sound_security(name);
            for element in &list.0 {
                for spi in [element.spi_c, element.spi_s].into_iter().flatten() {
                    self.bind(Key::Spi(spi, ends.from.ip()), serial);
                }
                for port in [element.port_c, element.port_s].into_iter().flatten() {
                    if name == HeaderName::SecurityClient {
                        self.bind_ue(serial, Key::End(SocketAddr::new(ends.from.ip(), port)));
                    } else {
                        self.known.note(SocketAddr::new(ends.from.ip(), port), Role::Pcscf);
                    }
                }
            }
        }
        if message.status() == Some(200) {
            for identity in message.elements(HeaderName::PAssociatedUri) {
                let key = Key::Impu(names::hash(identity, &self.hasher));
                self.bind(key, serial);
            }
        }
        let Some(open) = self.groups.get_mut(&serial) else { return };
        match message.status() {
            None => {
                open.asks_for_the_end = names::is_deregistration(message);
                open.has_ended = false;
            }
            Some(200..=299) => open.has_ended = open.asks_for_the_end,
            Some(401 | 407 | ..200) => {}
            Some(_) => open.has_ended = true,
        }
    }

    /// By who has sent or gets it.
    fn by_way(&self, record: &Record) -> Option<Serial> {
        let Ends { from, to, .. } = record.ends?;
        let spi = match record.protection {
            Protection::Esp(esp) => self.find(Key::Spi(esp.spi, to.ip())),
            Protection::Clear | Protection::Set(_) | Protection::Unknown => None,
        };
        spi.or_else(|| self.find(Key::End(from)))
            .or_else(|| self.find(Key::End(to)))
            .or_else(|| self.by_hosts(from, to))
    }

    fn by_hosts(&self, from: SocketAddr, to: SocketAddr) -> Option<Serial> {
        let host = |address: SocketAddr| {
            if self.core.contains(&address.ip()) { None } else { self.find(Key::Host(address.ip())) }
        };
        host(from).or_else(|| host(to))
    }

    fn by_identity(&self, message: &Message<'_>) -> Option<Serial> {
        let asserted = message.elements(HeaderName::PAssertedIdentity);
        let uri = message.request_uri();
        let contact =
            uri.and_then(|uri| Uri::parse(uri).ok()).and_then(|uri| Some((uri.ip()?, uri.port.unwrap_or(5060))));
        if let Some(found) = contact.and_then(|contact| self.find(Key::End(contact.into()))) {
            return Some(found);
        }
        let to = message.to().ok().map(|to| to.uri.text);
        let from = message.from().ok().map(|from| from.uri.text);
        let identities = asserted.chain(from).chain(to).chain(uri);
        let mut keys = identities.map(|identity| Key::Impu(names::hash(identity, &self.hasher)));
        keys.find_map(|key| self.find(key))
    }

    fn of_diameter(&mut self, record: &Record) -> Option<Serial> {
        let names = DiameterNames::of(&record.bytes)?;
        let header = names.header;
        let hop = Key::Hop(header.hop_by_hop, header.end_to_end, header.command);
        let session = names.session.map(|session| Key::Session(self.hasher.hash_one(session)));
        self.learn_diameter(record, &names);
        let identity = |name: Option<&str>| Some(names::hash(name?, &self.hasher));
        let (impi, impu) = (identity(names.impi).map(Key::Impi), identity(names.impu).map(Key::Impu));
        let keys = if header.request { [impi, impu, session, None] } else { [Some(hop), session, None, None] };
        let found = keys.into_iter().flatten().find_map(|key| self.find(key));
        let serial = found.or_else(|| self.find(Key::Host(names.framed?)))?;
        for key in [Some(hop), session].into_iter().flatten() {
            self.bind(key, serial);
        }
        Some(serial)
    }

    fn learn_diameter(&mut self, record: &Record, names: &DiameterNames<'_>) {
        let Some((ends, (client, server))) = record.ends.zip(super::roles::of_command(names.header.command)) else {
            return;
        };
        let (client_end, server_end) = if names.header.request { (ends.from, ends.to) } else { (ends.to, ends.from) };
        if names.header.application == dictionary::CX {
            self.known.note(client_end, client);
            self.known.note(server_end, server);
        }
        self.core.insert(client_end.ip());
        self.core.insert(server_end.ip());
    }

    fn sealed(&mut self, place: Place, at: Option<Instant>, sealed: Sealed) {
        self.totals.shut(sealed.spi);
        let spi = self.find(Key::Spi(sealed.spi, sealed.to));
        let host = |address: IpAddr| if self.core.contains(&address) { None } else { self.find(Key::Host(address)) };
        let serial = spi.or_else(|| host(sealed.from)).or_else(|| host(sealed.to));
        self.touch(serial, at);
        let group = self.group_mut(serial);
        if group.shut.len() < MOST_SPIS {
            ShutSpi::count(&mut group.shut, place, at, sealed);
        }
    }

    /// A packet that did not get through says nothing of a UE that is not known.
    fn lost(&mut self, place: Place, at: Option<Instant>, lost: Lost) {
        let Lost { from, to, ports, .. } = lost;
        let ends = ports.map(|(a, b)| (SocketAddr::new(from, a), SocketAddr::new(to, b)));
        let by_ends = ends.and_then(|(from, to)| self.find(Key::End(from)).or_else(|| self.find(Key::End(to))));
        let host = |address: IpAddr| if self.core.contains(&address) { None } else { self.find(Key::Host(address)) };
        let serial = by_ends.or_else(|| host(from)).or_else(|| host(to));
        if let Some(open) = serial.and_then(|serial| self.groups.get_mut(&serial))
            && open.group.lost.len() < MOST_LOST
        {
            open.group.lost.push(LostPacket { place, at, lost });
        }
    }

    /// What came out of that ESP packet is judged after all, unless it has left.
    fn verified(&mut self, verified: &Verified) {
        let serial = self.find(Key::Spi(verified.esp.spi, verified.to));
        for group in
            [serial.and_then(|serial| self.groups.get_mut(&serial)).map(|open| &mut open.group), Some(&mut self.rest)]
        {
            let Some(group) = group else { continue };
            let records = group.records.iter_mut().rev().take(MOST_LOOKED_BACK).map(|record| &mut record.protection);
            let steps = group.connections.iter_mut().rev().take(MOST_LOOKED_BACK);
            let steps = steps.map(|step| &mut step.connection.protection);
            for protection in records.chain(steps) {
                if let Protection::Esp(esp) = protection
                    && (esp.spi, esp.sequence, esp.by) == (verified.esp.spi, verified.esp.sequence, verified.esp.by)
                {
                    *esp = verified.esp;
                }
            }
        }
    }

    fn connection(&mut self, place: Place, at: Option<Instant>, connection: Connection) {
        self.totals.step(connection.step);
        let Ends { from, to, .. } = connection.ends;
        let spi = match connection.protection {
            Protection::Esp(esp) => self.find(Key::Spi(esp.spi, to.ip())),
            Protection::Clear | Protection::Set(_) | Protection::Unknown => None,
        };
        let ends = || self.find(Key::End(from)).or_else(|| self.find(Key::End(to)));
        let serial = spi.or_else(ends).or_else(|| self.by_hosts(from, to));
        self.touch(serial, at);
        let group = self.group_mut(serial);
        if group.connections.len() < MOST_STEPS {
            group.connections.push(ConnectionStep { place, at, connection });
        }
    }

    fn find(&self, key: Key) -> Option<Serial> {
        self.keys.get(&key).copied().flatten()
    }

    /// The latest group that says so has the key.
    fn bind(&mut self, key: Key, serial: Serial) {
        if self.keys.insert(key, Some(serial)) != Some(Some(serial)) {
            self.note_key(serial, key);
        }
    }

    /// An end or host that two UEs alive share tells neither.
    fn bind_ue(&mut self, serial: Serial, key: Key) {
        let shared = self.find(key).filter(|other| *other != serial && self.is_alive_beside(*other, serial)).is_some();
        let shared = shared || self.keys.get(&key) == Some(&None);
        if self.keys.insert(key, (!shared).then_some(serial)) != Some(Some(serial)) {
            self.note_key(serial, key);
        }
    }

    fn is_alive_beside(&self, other: Serial, serial: Serial) -> bool {
        let impi = |serial| self.groups.get(&serial).map(|open: &Open| open.impi);
        self.groups.get(&other).is_some_and(|open| !open.has_ended) && impi(other) != impi(serial)
    }

    fn note_key(&mut self, serial: Serial, key: Key) {
        if let Some(open) = self.groups.get_mut(&serial) {
            open.keys.push(key);
        }
    }

    fn begin(&mut self, impi: u64, ue: Option<IpAddr>) -> Serial {
        let before = self.handed_out.get(&(impi, ue)).copied();
        let id = before.unwrap_or_else(|| {
            self.totals.registrations += 1;
            self.totals.registrations
        });
        self.last += 1;
        let serial = self.last;
        let group = Group { id: Some(id), continued: before.is_some(), ..Group::default() };
        self.groups.insert(serial, Open { group, impi, last: serial, ..Open::default() });
        self.order.insert(serial, serial);
        serial
    }

    fn group_mut(&mut self, serial: Option<Serial>) -> &mut Group {
        match serial.and_then(|serial| self.groups.get_mut(&serial)) {
            Some(open) => &mut open.group,
            None => &mut self.rest,
        }
    }

    fn keep(&mut self, serial: Option<Serial>, record: Record) {
        let (weight, at) = (record.weight(), record.at);
        self.octets += weight;
        self.touch(serial, at);
        match serial.and_then(|serial| self.groups.get_mut(&serial)) {
            Some(open) => open.octets += weight,
            None => self.rest_octets += weight,
        }
        let records = &mut self.group_mut(serial).records;
        records.push(record);
        if records.len() >= MOST_RECORDS {
            match serial {
                Some(serial) => self.hand_out_early(serial),
                None => self.hand_out_rest(),
            }
        }
    }

    /// It may go on, and then has the same number.
    fn hand_out_early(&mut self, serial: Serial) {
        if let Some(open) = self.groups.get(&serial)
            && self.handed_out.len() < MOST_HANDED_OUT
            && let Some(id) = open.group.id
        {
            self.handed_out.insert((open.impi, open.ue), id);
            // Behind the P-CSCF the address of the UE is not seen.
            self.handed_out.insert((open.impi, None), id);
        }
        self.hand_out(serial);
    }

    /// Something has happened in a group.
    fn touch(&mut self, serial: Option<Serial>, at: Option<Instant>) {
        self.last += 1;
        let Some((serial, open)) = serial.and_then(|serial| Some((serial, self.groups.get_mut(&serial)?))) else {
            return;
        };
        self.order.remove(&open.last);
        self.ended.remove(&open.last);
        open.last = self.last;
        open.last_at = open.last_at.max(at);
        self.order.insert(open.last, serial);
        if open.has_ended {
            self.ended.insert(open.last, serial);
        }
    }

    fn hand_out_what_has_ended(&mut self) {
        while self.octets >= self.limits.early
            && let Some((_, &serial)) = self.ended.first_key_value()
        {
            let last = self.groups.get(&serial).and_then(|open| open.last_at);
            let waited = self.totals.until.zip(last).is_some_and(|(now, last)| now - last > self.limits.grace);
            if !waited {
                return;
            }
            self.hand_out(serial);
        }
    }

    fn make_room(&mut self) {
        if self.rest_octets > self.limits.octets / 4 {
            self.hand_out_rest();
        }
        while self.octets > self.limits.octets {
            let Some((_, &serial)) = self.order.first_key_value() else {
                self.hand_out_rest();
                return;
            };
            self.hand_out_early(serial);
        }
    }

    fn hand_out(&mut self, serial: Serial) {
        let Some(open) = self.groups.remove(&serial) else { return };
        self.order.remove(&open.last);
        self.ended.remove(&open.last);
        self.octets -= open.octets;
        for key in open.keys {
            if self.keys.get(&key).is_some_and(|owner| owner.is_none_or(|owner| owner == serial)) {
                self.keys.remove(&key);
            }
        }
        self.leave(open.group);
    }

    fn hand_out_rest(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        self.octets -= std::mem::take(&mut self.rest_octets);
        if !(rest.records.is_empty() && rest.shut.is_empty() && rest.connections.is_empty()) {
            self.leave(rest);
        }
    }

    /// Messages count in the order of their places.
    fn number_by_place(&mut self) {
        let groups = self.groups.values_mut().map(|open| &mut open.group).chain([&mut self.rest]);
        let mut all: Vec<&mut Record> = groups.flat_map(|group| &mut group.records).collect();
        all.sort_by_key(|record| (record.place, record.number));
        for (number, record) in (1..).zip(all) {
            record.number = number;
        }
    }

    fn leave(&mut self, mut group: Group) {
        self.has_left = true;
        if self.is_disordered {
            group.records.sort_by_key(|record| (record.place, record.number));
        }
        group.seen_until = self.totals.until;
        for ends in group.records.iter().filter_map(|record| record.ends) {
            group.known.learn(&self.known, ends.from);
            group.known.learn(&self.known, ends.to);
        }
        self.ready.push_back(group);
    }
}

/// Of one registration at once.
const MOST_RECORDS: usize = 20_000;
/// How far back what is judged late is looked for.
const MOST_LOOKED_BACK: usize = 4_096;
const MOST_SPIS: usize = 256;
const MOST_LOST: usize = 256;
const MOST_STEPS: usize = 4_096;
const MOST_HANDED_OUT: usize = 100_000;
