//! A mutation at work.

use super::avp::{self, Change};
use super::fill::Memory;
use super::guise::Guise;
use super::sip::SipText;
use super::{AvpData, Edit, Fate, Lose, Lost, Mutation, Passage, SetFaultKind, Way};
use crate::aka::vector::{SubscriberKeys, Vector, open_autn};
use crate::diameter::{Avps, Header, Writer};
use crate::event::Role;
use crate::packet::Protocol;
use crate::time::Duration;
use memchr::memmem;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};

/// Alters what has to do with one UE.
#[derive(Clone, Debug)]
pub struct Mutator {
    mutation: Mutation,
    /// A text that stands in whatever tells of this UE.
    identity: Box<str>,
    /// Call-IDs and Session-Ids of its messages.
    known: BTreeSet<Box<[u8]>>,
    /// Of each alteration: what it has fitted, by a hash of it.
    seen: Vec<Vec<u64>>,
    memory: Memory,
    /// What counts as protected where nothing is.
    guise: Option<Guise>,
    /// How many sets UE and P-CSCF have made.
    sets: [usize; 2],
    has_acted: bool,
}

/// A message that leaves or arrives.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Who sends it.
    pub sender: Role,
    /// Who receives it.
    pub receiver: Role,
    /// What it is.
    pub protocol: Protocol,
    /// True where an SA carries it.
    pub protected: bool,
    /// False where another UE is an end of it.
    pub of_ue: bool,
    /// The message.
    pub bytes: &'a [u8],
}

/// What leaves in place of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaving {
    /// How much later.
    pub after: Duration,
    /// What becomes of it then.
    pub fate: Fate,
    /// True: it leaves outside of any SA.
    pub clear: bool,
    /// The port that it leaves from.
    pub from_port: Option<u16>,
    /// The port that it goes to.
    pub to_port: Option<u16>,
    /// Another SA carries it.
    pub over: Option<Way>,
    /// The message.
    pub bytes: Vec<u8>,
}

impl Leaving {
    /// The same, of a message that another mutator has altered `before`.
    pub fn behind(self, before: &Self) -> Self {
        Self {
            after: before.after + self.after,
            fate: Fate { lost: self.fate.lost.or(before.fate.lost), reset: before.fate.reset || self.fate.reset },
            clear: before.clear || self.clear,
            from_port: self.from_port.or(before.from_port),
            to_port: self.to_port.or(before.to_port),
            over: self.over.or(before.over),
            bytes: self.bytes,
        }
    }
}

impl Mutator {
    /// For the UE in whose messages `identity` stands, its IMSI for instance.
    pub fn new(mutation: Mutation, identity: &str) -> Self {
        let seen = vec![Vec::new(); mutation.alterations.len()];
        let (known, memory) = (BTreeSet::new(), Memory::default());
        let guise = mutation.in_clear.then(Guise::default);
        Self { mutation, identity: identity.into(), known, seen, memory, guise, sets: [0; 2], has_acted: false }
    }

    /// Fills placeholders of names that its owner knows: `ue2.impi`, `realm`.
    #[must_use]
    pub fn naming(mut self, names: &[(Box<str>, Box<str>)]) -> Self {
        names.iter().for_each(|(name, value)| self.memory.name(name, value));
        self
    }

    /// Whether anything was altered so far, where something is to be: what it means may never come.
    pub const fn has_acted(&self) -> bool {
        let Mutation { alterations, sets, .. } = &self.mutation;
        self.has_acted || alterations.is_empty() && sets.is_empty()
    }

    /// Whether it cannot do without the keys of its UE, and has none.
    pub fn wants_keys(&self) -> bool {
        let edits =
            self.mutation.alterations.iter().flat_map(|alteration| {
                alteration.edits.iter().chain(alteration.copy.iter().flat_map(|copy| &copy.edits))
            });
        self.memory.keys.is_none() && { edits }.any(|edit| matches!(edit, Edit::Amf { .. }))
    }

    /// The keys of its UE, as the HSS has them.
    pub fn hold_keys(&mut self, keys: SubscriberKeys) {
        self.memory.keys = Some(keys);
    }

    /// What it does.
    pub const fn mutation(&self) -> &Mutation {
        &self.mutation
    }

    /// What leaves in place of a message: nothing, it, or several. `None`: it leaves as it is.
    pub fn leaves(&mut self, passing: &Passing<'_>) -> Option<Vec<Leaving>> {
        if !self.is_of_ue(passing) {
            if let (Role::Ue, Some(sip)) = (passing.sender, SipText::read(passing.bytes)) {
                self.memory.see_other(&sip);
            }
            return None;
        }
        let sip = match passing.protocol {
            Protocol::Sip => SipText::read(passing.bytes),
            Protocol::Diameter => None,
        };
        let hash = hash_of(passing);
        let passing = &self.guised(passing, sip.as_ref());
        let mut bytes = passing.bytes.to_vec();
        let mut passage = Passage::default();
        let mut copies = Vec::new();
        let mut is_altered = false;
        for index in 0..self.mutation.alterations.len() {
            if self.mutation.alterations[index].on_arrival {
                continue;
            }
            let Some(is_first) = self.fits(index, passing, hash) else { continue };
            is_altered = true;
            let alteration = &self.mutation.alterations[index];
            bytes = edited(&bytes, passing.protocol, &alteration.edits, &self.memory, hash);
            combine(&mut passage, &alteration.passage, is_first);
            if let Some(repeat) = alteration.copy.as_ref().filter(|_| is_first) {
                copies.push((index, repeat.after));
            }
        }
        let mut leaving = Vec::new();
        if is_altered && !passage.drop {
            leaving.push(leaving_of(&passage, bytes.clone()));
        }
        for (index, after) in copies {
            let repeat = self.mutation.alterations[index].copy.as_ref().expect("it was looked at above");
            let copied = edited(&bytes, passing.protocol, &repeat.edits, &self.memory, hash.rotate_left(7));
            let mut own = Passage::default();
            combine(&mut own, &repeat.passage, true);
            own.delay += after;
            leaving.push(leaving_of(&own, copied));
        }
        if let Some(guise) = self.guise.as_mut().filter(|_| passing.protected) {
            // Whatever was made of it, its answer follows a challenge, too.
            leaving.iter().filter_map(|leaving| SipText::read(&leaving.bytes)).for_each(|sip| guise.note(&sip));
        }
        match &sip {
            Some(sip) => self.memory.see(sip),
            None if passing.protocol == Protocol::Diameter => self.memory.see_diameter(passing.bytes),
            None => {}
        }
        self.has_acted |= is_altered;
        is_altered.then_some(leaving)
    }

    /// What its receiver gets in place of a message; `None`: what arrived.
    pub fn arrives(&mut self, passing: &Passing<'_>) -> Option<Vec<u8>> {
        if !self.mutation.alterations.iter().any(|alteration| alteration.on_arrival) || !self.is_of_ue(passing) {
            return None;
        }
        let hash = hash_of(passing);
        let sip = SipText::read(passing.bytes).filter(|_| self.guise.is_some());
        let passing = &self.guised(passing, sip.as_ref());
        let mut bytes: Option<Vec<u8>> = None;
        for index in 0..self.mutation.alterations.len() {
            if !self.mutation.alterations[index].on_arrival || self.fits(index, passing, hash).is_none() {
                continue;
            }
            let edits = &self.mutation.alterations[index].edits;
            let before = bytes.as_deref().unwrap_or(passing.bytes);
            bytes = Some(edited(before, passing.protocol, edits, &self.memory, hash));
        }
        self.has_acted |= bytes.is_some();
        bytes
    }

    /// The message as patterns see it.
    fn guised<'p>(&mut self, passing: &Passing<'p>, sip: Option<&SipText>) -> Passing<'p> {
        let is_gm = passing.sender == Role::Ue || passing.receiver == Role::Ue;
        match (&mut self.guise, sip) {
            (Some(guise), Some(sip)) if is_gm => Passing { protected: guise.covers(sip), ..*passing },
            _ => *passing,
        }
    }

    /// What is wrong with the set that the UE or its P-CSCF makes now.
    pub fn makes_set(&mut self, role: Role) -> Option<SetFaultKind> {
        let made = &mut self.sets[usize::from(role != Role::Ue)];
        *made += 1;
        let number = *made;
        let fits = |fault: &&super::SetFault| fault.at == role && fault.number.is_none_or(|wanted| wanted == number);
        let fault = self.mutation.sets.iter().find(fits).map(|fault| fault.fault);
        self.has_acted |= fault.is_some();
        fault
    }

    /// Whether this alteration means the message, and whether it is the first copy of it.
    fn fits(&mut self, index: usize, passing: &Passing<'_>, hash: u64) -> Option<bool> {
        let pattern = &self.mutation.alterations[index].pattern;
        let fits = pattern.from == passing.sender
            && pattern.to.is_none_or(|to| to == passing.receiver)
            && pattern.fits(passing.protocol, passing.protected, passing.bytes);
        if !fits {
            return None;
        }
        let seen = &mut self.seen[index];
        let before = seen.iter().position(|other| *other == hash);
        let place = before.unwrap_or(seen.len());
        if before.is_none() {
            seen.push(hash);
        }
        pattern.occurrences.has(place + 1).then_some(before.is_none())
    }

    /// Whether a message has to do with the UE: it is an end of it, or tells its identity, or it belongs to one that does.
    fn is_of_ue(&mut self, passing: &Passing<'_>) -> bool {
        if !passing.of_ue {
            return false;
        }
        let key = match passing.protocol {
            Protocol::Sip => SipText::read(passing.bytes).and_then(|sip| Some(sip.value("Call-ID")?.as_bytes().into())),
            Protocol::Diameter => Avps::of(passing.bytes).find(SESSION_ID, 0).map(|avp| Box::<[u8]>::from(avp.data)),
        };
        let Some(key) = key else { return false };
        let is_end = passing.sender == Role::Ue || passing.receiver == Role::Ue;
        let tells = is_end || memmem::find(passing.bytes, self.identity.as_bytes()).is_some();
        if tells {
            self.known.insert(key);
            return true;
        }
        self.known.contains(&key)
    }
}

fn combine(passage: &mut Passage, with: &Passage, is_first: bool) {
    passage.drop |= with.drop;
    match with.lose {
        Lose::First if is_first => passage.lose = Lose::All,
        Lose::Fragment if is_first && passage.lose == Lose::Nothing => passage.lose = Lose::Fragment,
        Lose::All => passage.lose = Lose::All,
        Lose::Nothing | Lose::First | Lose::Fragment => {}
    }
    passage.delay += with.delay;
    passage.clear |= with.clear;
    passage.from_port = with.from_port.or(passage.from_port);
    passage.to_port = with.to_port.or(passage.to_port);
    passage.over = with.over.or(passage.over);
    passage.reset |= with.reset;
}

fn leaving_of(passage: &Passage, bytes: Vec<u8>) -> Leaving {
    let Passage { delay, clear, from_port, to_port, over, reset, lose, drop: _ } = *passage;
    let lost = match lose {
        Lose::All => Some(Lost::Whole),
        Lose::Fragment => Some(Lost::Fragment),
        Lose::Nothing | Lose::First => None,
    };
    Leaving { after: delay, fate: Fate { lost, reset }, clear, from_port, to_port, over, bytes }
}

fn edited(bytes: &[u8], protocol: Protocol, edits: &[Edit], memory: &Memory, hash: u64) -> Vec<u8> {
    match protocol {
        Protocol::Sip if edits.is_empty() => bytes.to_vec(),
        Protocol::Sip => match SipText::read(bytes) {
            Some(mut sip) => {
                for edit in edits {
                    edit_sip(&mut sip, edit, memory, hash);
                }
                sip.write()
            }
            None => bytes.to_vec(),
        },
        Protocol::Diameter => {
            edits.iter().fold(bytes.to_vec(), |bytes, edit| edit_diameter(&bytes, edit, memory, hash))
        }
    }
}

fn edit_sip(sip: &mut SipText, edit: &Edit, memory: &Memory, hash: u64) {
    let fill = |sip: &SipText, text: &str| memory.fill(text, Some(sip), hash);
    match edit {
        Edit::StartLine(line) => sip.start = fill(sip, line),
        Edit::SetHeader { header, value } => sip.set(header, fill(sip, value)),
        Edit::AddHeader { header, value } => sip.add(header, fill(sip, value)),
        Edit::RemoveHeader { header } => sip.remove(header),
        Edit::ReplaceInHeader { header, old, new } => {
            let (old, new) = (fill(sip, old), fill(sip, new));
            sip.replace_in(header, &old, &new);
        }
        Edit::SetParameter { header, element, parameter, value } => {
            let value = value.as_ref().map(|value| fill(sip, value));
            sip.set_parameter(header, *element, parameter, value.as_deref());
        }
        Edit::Elements { header, shape } => sip.shape(header, *shape),
        Edit::Replace { old, new } => {
            let (old, new) = (fill(sip, old), fill(sip, new));
            sip.start = sip.start.replace(&old, &new);
            for (_, value) in &mut sip.headers {
                *value = value.replace(&old, &new);
            }
            sip.body = sip.body.replace(&old, &new);
            sip.state_length();
        }
        Edit::Body(body) => {
            sip.body = fill(sip, body);
            sip.state_length();
        }
        Edit::SetAvp { .. }
        | Edit::RemoveAvp { .. }
        | Edit::FlipAvp { .. }
        | Edit::Amf { .. }
        | Edit::Result { .. } => {}
    }
}

fn edit_diameter(bytes: &[u8], edit: &Edit, memory: &Memory, hash: u64) -> Vec<u8> {
    match edit {
        Edit::SetAvp { path, data } => match data {
            AvpData::Number(number) => avp::change(bytes, path, &Change::Set(&number.to_be_bytes())),
            AvpData::Text(text) => avp::change(bytes, path, &Change::Set(memory.fill(text, None, hash).as_bytes())),
            AvpData::Octets(octets) => avp::change(bytes, path, &Change::Set(octets)),
            AvpData::First => match memory.first_avp(bytes, path) {
                Some(data) => avp::change(bytes, path, &Change::Set(data)),
                None => bytes.to_vec(),
            },
        },
        Edit::RemoveAvp { path } => avp::change(bytes, path, &Change::Remove),
        Edit::FlipAvp { path, octet } => avp::change(bytes, path, &Change::Flip(*octet)),
        Edit::Amf { path, amf } => with_amf(bytes, path, *amf, memory).unwrap_or_else(|| bytes.to_vec()),
        Edit::Result { code, experimental } => result(bytes, *code, *experimental),
        _ => bytes.to_vec(),
    }
}

/// RAND and AUTN with another AMF: SQN stays, MAC is made anew (TS 33.102 clause 6.3.2).
fn with_amf(bytes: &[u8], path: &[u32], amf: [u8; 2], memory: &Memory) -> Option<Vec<u8>> {
    let data = avp::find(bytes, path)?;
    let (rand, autn) = data.split_first_chunk::<16>()?;
    let keys = memory.keys.as_ref()?;
    let sqn = open_autn(keys, rand, autn.try_into().ok()?).sqn;
    let made = Vector::compute(keys, *rand, sqn, amf);
    Some(avp::change(bytes, path, &Change::Set(&[made.rand, made.autn].concat())))
}

/// An answer with this result and nothing behind its head, as one that refuses has.
fn result(bytes: &[u8], code: u32, experimental: bool) -> Vec<u8> {
    let Some(header) = Header::read(bytes) else { return bytes.to_vec() };
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, &header);
    for avp in Avps::of(bytes).map_while(Result::ok).filter(|avp| HEAD.contains(&avp.code) && avp.vendor == 0) {
        writer.raw(avp.raw);
    }
    if experimental {
        writer.group(EXPERIMENTAL_RESULT, 0, true, |group| {
            group.u32(VENDOR_ID, 0, true, avp::VENDOR_3GPP).u32(EXPERIMENTAL_RESULT_CODE, 0, true, code);
        });
    } else {
        writer.u32(RESULT_CODE, 0, true, code);
    }
    writer.finish();
    out
}

fn hash_of(passing: &Passing<'_>) -> u64 {
    // Fixed, so that the same world gives the same bytes.
    let mut hasher = foldhash::fast::FixedState::with_seed(0).build_hasher();
    hasher.write(passing.bytes);
    hasher.write_u8(passing.sender as u8);
    hasher.write_u8(passing.receiver as u8);
    hasher.finish()
}

const SESSION_ID: u32 = 263;
const RESULT_CODE: u32 = 268;
const EXPERIMENTAL_RESULT: u32 = 297;
const EXPERIMENTAL_RESULT_CODE: u32 = 298;
const VENDOR_ID: u32 = 266;
/// Session-Id, Vendor-Specific-Application-Id, Auth-Session-State, Origin-Host, Origin-Realm, Proxy-Info.
const HEAD: [u32; 6] = [SESSION_ID, 260, 277, 264, 296, 284];
