//! Keys of ESP: those that somebody gives, those that a trace shows, and those that follow from K.
//!
//! CK and IK stand in the 401 of the S-CSCF on Mw and in the Multimedia-Auth-Answer; the RAND of the nonce tells which
//! registration they belong to. SPIs and algorithms stand in Security-Client and Security-Server of the same registration.
//! Which of the algorithms offered was chosen is told by the ICV.

mod esp_sa;
mod learn;
mod mistake;
mod set;

pub use esp_sa::{IgnoredLine, KeyFile};
pub use mistake::Mistake;

use super::recent::Recent;
use super::{Ends, Icv, OpenedBy};
use crate::aka::vector::SubscriberKeys;
use crate::ipsec::association::Algorithms;
use crate::ipsec::esp::Inside;
use crate::packet::Protocol;
use learn::Learnt;
use set::Set;
use std::fmt;
use std::net::IpAddr;

/// All keys that are known. Keys are wiped when they go; `Debug` shows none.
pub struct Keyring {
    subscribers: Vec<(Option<Box<str>>, SubscriberKeys)>,
    learnt: Learnt,
    sets: Recent<u32, Set>,
    last_set: u32,
    /// The sets of an SPI, the newest last.
    spis: Recent<u32, Vec<u32>>,
    /// The sets between two addresses, the lower first, for SPIs that the trace does not tell.
    ends: Recent<(IpAddr, IpAddr), Vec<u32>>,
    /// Of a file, for every SPI.
    any_spi: Vec<u32>,
    /// What became known since this was last asked.
    fresh: Vec<Fresh>,
}

/// SAs whose keys became known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fresh {
    spis: Vec<u32>,
    ends: (IpAddr, IpAddr),
}

impl Fresh {
    /// True if an ESP packet of this SPI between these addresses may be under one of them.
    pub(super) fn fits(&self, spi: u32, source: IpAddr, destination: IpAddr) -> bool {
        self.spis.contains(&spi) || self.ends == pair(source, destination)
    }
}

/// What the keys make of an ESP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Judged {
    /// Opened into the buffer.
    Opened {
        inside: Inside,
        by: OpenedBy,
        icv: Icv,
        /// Under which the ICV is right.
        pair: Option<Algorithms>,
        /// What explains a wrong ICV.
        mistake: Option<Mistake>,
    },
    WrongIcv(Option<Mistake>),
    NoKey,
}

impl Keyring {
    /// No key.
    pub fn new() -> Self {
        Self {
            subscribers: Vec::new(),
            learnt: Learnt::new(),
            sets: Recent::new(MOST_SETS),
            last_set: 0,
            spis: Recent::new(MOST_SETS * 4),
            ends: Recent::new(MOST_SETS),
            any_spi: Vec::new(),
            fresh: Vec::new(),
        }
    }

    /// Adds the keys of a file `esp_sa` of Wireshark, as [`crate::capture::esp_sa`] writes it. Lines that name algorithms
    /// which TS 33.203 does not have are ignored and told.
    pub fn add_file(&mut self, text: &str) -> KeyFile {
        let (lines, file) = esp_sa::read(text);
        for line in lines {
            let id = self.add_set(Set::of_file(line.candidate));
            match line.spi {
                Some(spi) => self.name(spi, id),
                None => self.any_spi.push(id),
            }
        }
        file
    }

    /// Adds the keys of the subscriber with this private identity, or those of all: CK and IK follow from them and the
    /// RAND of a nonce.
    pub fn add_subscriber(&mut self, impi: Option<&str>, keys: SubscriberKeys) {
        self.subscribers.push((impi.map(Into::into), keys));
    }

    /// What became known since this was last asked.
    pub(super) fn take_fresh(&mut self) -> Vec<Fresh> {
        std::mem::take(&mut self.fresh)
    }

    /// Learns from a message of the trace. True if that made a key known.
    pub(super) fn learn(&mut self, protocol: Protocol, ends: &Ends, bytes: &[u8]) -> bool {
        match protocol {
            Protocol::Sip if bytes.starts_with(b"REGISTER ") => self.learn_request(ends, bytes),
            Protocol::Sip if bytes.starts_with(b"SIP/2.0 401") => self.learn_challenge(ends, bytes),
            Protocol::Sip => false,
            Protocol::Diameter => self.learn_answer(bytes),
        }
    }

    /// Learns from a message, whatever trace it is of.
    pub fn learn_from(&mut self, message: &super::Message) {
        if let Some(ends) = &message.ends {
            self.learn(message.protocol, ends, &message.bytes);
        }
    }

    /// Seals `content`, a protocol number and octets, under the keys that are known for an SPI: appends the packet from
    /// SPI to ICV. False where there are none of these algorithms.
    pub fn seal(
        &mut self,
        head: (u32, u32),
        ends: (IpAddr, IpAddr),
        algorithms: Algorithms,
        iv: &[u8; 16],
        content: (u8, &[u8]),
        out: &mut Vec<u8>,
    ) -> bool {
        self.candidates(head.0, ends.0, ends.1).into_iter().any(|(id, _)| {
            let opener = self.sets.get_mut(&id).and_then(|set| set.sealer(algorithms));
            opener.is_some_and(|opener| opener.seal(head, iv, content, out))
        })
    }

    /// What the ICV of a packet says that nothing encrypts, and what explains a wrong one.
    pub(super) fn judge(
        &mut self,
        spi: u32,
        source: IpAddr,
        destination: IpAddr,
        esp: &[u8],
    ) -> (Icv, Option<Algorithms>, Option<Mistake>) {
        let mut icv = Icv::Unknown;
        let candidates = self.candidates(spi, source, destination);
        for &(id, is_named) in &candidates {
            let Some(set) = self.sets.get_mut(&id) else { continue };
            match set.judge(esp) {
                (Icv::Right, _) if self.is_of_others(&candidates, id) => {
                    return (Icv::Wrong, None, Some(Mistake::OtherChallenge));
                }
                (Icv::Right, pair) => {
                    if !is_named {
                        self.name(spi, id);
                    }
                    return (Icv::Right, pair, None);
                }
                (Icv::Wrong, _) if is_named => icv = Icv::Wrong,
                (Icv::Wrong | Icv::Unknown, _) => {}
            }
        }
        let mistake = if icv == Icv::Wrong { self.mistake(&candidates, esp) } else { None };
        (icv, None, mistake)
    }

    /// Opens a packet into `out`. Under a wrong ICV only if `plausible` finds that the key decrypts it nonetheless.
    pub(super) fn open(
        &mut self,
        spi: u32,
        source: IpAddr,
        destination: IpAddr,
        esp: &[u8],
        out: &mut Vec<u8>,
        plausible: impl Fn(&Inside, &[u8]) -> bool,
    ) -> Judged {
        let candidates = self.candidates(spi, source, destination);
        for &(id, is_named) in &candidates {
            let Some(set) = self.sets.get_mut(&id) else { continue };
            if let Some((inside, by, icv, pair)) = set.open(esp, out, &plausible) {
                if self.is_of_others(&candidates, id) {
                    let mistake = Some(Mistake::OtherChallenge);
                    return Judged::Opened { inside, by, icv: Icv::Wrong, pair: None, mistake };
                }
                if !is_named {
                    self.name(spi, id);
                }
                return Judged::Opened { inside, by, icv, pair, mistake: None };
            }
        }
        for &(id, _) in &candidates {
            let Some(set) = self.sets.get_mut(&id) else { continue };
            if let Some((inside, by)) = set.open_unverified(esp, out, &plausible) {
                let mistake = self.mistake(&candidates, esp);
                return Judged::Opened { inside, by, icv: Icv::Wrong, pair: None, mistake };
            }
        }
        if candidates.iter().any(|(_, is_named)| *is_named) {
            Judged::WrongIcv(self.mistake(&candidates, esp))
        } else {
            Judged::NoKey
        }
    }

    /// What explains a wrong ICV under the sets that the SPI is of.
    fn mistake(&mut self, candidates: &[(u32, bool)], esp: &[u8]) -> Option<Mistake> {
        let named = candidates.iter().filter(|(_, is_named)| *is_named);
        named.filter_map(|(id, _)| self.sets.get_mut(id)?.mistake(esp)).next()
    }

    /// True for a set that the messages of the trace do not give this SPI, while they give it to another whose keys are
    /// known: the receiver does not have these keys.
    fn is_of_others(&mut self, candidates: &[(u32, bool)], id: u32) -> bool {
        let is_named = |id: u32| candidates.iter().any(|(other, is_named)| *other == id && *is_named);
        let mut is_learnt = |id: u32| self.sets.get_mut(&id).is_some_and(|set| set.is_learnt());
        let named: Vec<u32> = candidates.iter().filter(|(_, is_named)| *is_named).map(|(id, _)| *id).collect();
        !is_named(id) && is_learnt(id) && named.into_iter().any(is_learnt)
    }

    /// The sets to try, and whether the SPI is known to be theirs.
    fn candidates(&mut self, spi: u32, source: IpAddr, destination: IpAddr) -> Vec<(u32, bool)> {
        let named = self.spis.get_mut(&spi).map(|ids| ids.as_slice()).unwrap_or_default();
        let mut found: Vec<(u32, bool)> = named.iter().rev().map(|id| (*id, true)).collect();
        found.extend(self.any_spi.iter().map(|id| (*id, false)));
        if let Some(ids) = self.ends.get_mut(&pair(source, destination)) {
            found.extend(
                ids.iter().rev().filter(|id| !named_has(&found, **id)).map(|id| (*id, false)).collect::<Vec<_>>(),
            );
        }
        found
    }

    fn add_set(&mut self, set: Set) -> u32 {
        self.last_set = self.last_set.wrapping_add(1);
        self.sets.insert(self.last_set, set);
        self.last_set
    }

    fn name(&mut self, spi: u32, id: u32) {
        push_recent(&mut self.spis, spi, id);
    }

    fn place(&mut self, a: IpAddr, b: IpAddr, id: u32) {
        push_recent(&mut self.ends, pair(a, b), id);
    }
}

impl Default for Keyring {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("subscribers", &self.subscribers.len()).finish_non_exhaustive()
    }
}

fn named_has(found: &[(u32, bool)], id: u32) -> bool {
    found.iter().any(|(other, _)| *other == id)
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

/// SPIs and addresses are used again: the newest few sets count.
fn push_recent<K: Eq + std::hash::Hash + Copy>(map: &mut Recent<K, Vec<u32>>, key: K, id: u32) {
    match map.get_mut(&key) {
        Some(ids) if ids.contains(&id) => {}
        Some(ids) => {
            if ids.len() == MOST_SETS_OF_ONE {
                ids.remove(0);
            }
            ids.push(id);
        }
        None => map.insert(key, vec![id]),
    }
}

const MOST_SETS: usize = 16_384;
const MOST_SETS_OF_ONE: usize = 4;
