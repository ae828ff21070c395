//! Authentication attempts: what is awaited between a REGISTER and its end (TS 24.229 clause 5.4.1.2).

use super::contacts::Planned;
use super::digest::OpenRegister;
use super::refresh::Prolonged;
use super::register::Register;
use super::registrar::HssId;
use super::reply::Reply;
use super::table::{Id, Table};
use crate::aka::{Ck, Ik, Xres};
use crate::identity::Shortened;
use crate::time::Instant;
use data_encoding::BASE64;
use foldhash::fast::FixedState;
use std::fmt;
use std::hash::BuildHasher;
use subtle::ConstantTimeEq;

/// One attempt of one IMPI to register one IMPU, for usual or for emergency calls.
pub(super) struct Attempt {
    /// Who registers what.
    pub(super) subject: Subject,
    /// What is awaited.
    pub(super) state: State,
    /// Resynchronisations so far.
    pub(super) resyncs: u32,
    /// Challenges in a row that the UE found invalid.
    pub(super) mac_failures: u32,
    /// The HSS to ask, once one has answered.
    pub(super) hss: Option<HssId>,
}

/// A private and a public identity, in one piece.
pub(super) struct Subject {
    text: Box<str>,
    impi: usize,
    /// It registers for emergency calls.
    pub(super) is_emergency: bool,
}

/// What an attempt waits for.
pub(super) enum State {
    /// The HSS is asked for a vector.
    AwaitingMaa(AwaitingMaa),
    /// The UE is asked to answer: reg-await-auth runs.
    Challenged(Box<Challenged>),
    /// The UE is authenticated, the HSS is told.
    AwaitingSaa(AwaitingSaa),
}

/// The REGISTER to be challenged.
pub(super) struct AwaitingMaa {
    /// Its answer as far as it is known.
    pub(super) reply: Reply,
    /// Its Call-ID.
    pub(super) call_id: Box<str>,
    /// Its CSeq number.
    pub(super) cseq: u32,
    /// What the challenge will ask for.
    pub(super) algorithm: crate::aka::digest::Algorithm,
    /// RAND and AUTS, when the USIM asked for resynchronisation.
    pub(super) resync: Option<[u8; RESYNC_LEN]>,
    /// All of it, where the HSS is to say how its user is authenticated.
    pub(super) open: Option<OpenRegister>,
}

/// The challenge, tied to Call-ID and nonce; the attempt ties it to IMPI and IMPU.
pub(super) struct Challenged {
    /// Of the REGISTER that was challenged.
    pub(super) call_id: Box<str>,
    /// Of the same.
    pub(super) cseq: u32,
    /// RAND and AUTN in base64, as sent.
    pub(super) nonce: [u8; NONCE_LEN],
    /// The answer expected.
    pub(super) expected: Expected,
    /// `algorithm` of the challenge.
    pub(super) algorithm: crate::aka::digest::Algorithm,
    /// When reg-await-auth ends.
    pub(super) until: Instant,
}

/// What an answer is checked against.
pub(super) enum Expected {
    /// The response is computed from these.
    Vector {
        /// XRES
        xres: Xres,
        /// CK
        ck: Ck,
        /// IK
        ik: Ik,
    },
    /// The response that a recorded UE gave; its keys are unknown.
    Recorded(Box<[u8]>),
}

/// The REGISTER that binds.
pub(super) struct AwaitingSaa {
    /// Its answer as far as it is known.
    pub(super) reply: Reply,
    /// What it binds and removes.
    pub(super) planned: Vec<Planned>,
    /// Or what it prolongs: then nothing is planned.
    pub(super) prolonged: Option<Prolonged>,
    /// It binds a flow of RFC 5626.
    pub(super) outbound: bool,
    /// Its UE supports GRUUs.
    pub(super) gruu: bool,
    /// All of it, where application servers may want to see it, or it has not been read.
    pub(super) register: Vec<u8>,
    /// SCSCF-Restoration-Info for the HSS; nothing where none is left with it.
    pub(super) left: Vec<u8>,
    /// The other attempt of the same identities was through first: `left` does not know its binding.
    pub(super) is_outdated: bool,
}

impl Challenged {
    /// True when `nonce` is the one sent.
    pub(super) fn has_nonce(&self, nonce: &str) -> bool {
        bool::from(self.nonce.ct_eq(nonce.as_bytes()))
    }

    /// RAND.
    pub(super) fn rand(&self) -> [u8; RAND_LEN] {
        let authenticate = BASE64.decode(&self.nonce).expect("encoded when the challenge was made");
        *authenticate.first_chunk().expect("RAND and AUTN")
    }
}

/// Characters of a nonce: base64 of RAND and AUTN.
pub(super) const NONCE_LEN: usize = 44;

/// RAND.
pub(super) const RAND_LEN: usize = 16;

/// RAND and AUTS.
pub(super) const RESYNC_LEN: usize = 30;

/// All attempts, one for each pair of IMPI and IMPU, and one more for emergency calls: an emergency registration is a
/// matter of its own from its first REGISTER on (TS 24.229 clauses 5.1.6.2 and 5.4.8.2). They end by themselves: by an answer, or with reg-await-auth.
#[derive(Debug)]
pub(super) struct Attempts {
    /// By IMPI, which hardly ever has two.
    table: Table<Attempt>,
    hasher: FixedState,
}

impl Attempts {
    /// None yet.
    pub(super) fn new(seed: u64) -> Self {
        Self { table: Table::new(seed), hasher: FixedState::with_seed(seed) }
    }

    /// The attempt of this pair.
    pub(super) fn find(&self, impi: &str, impu: &str, is_emergency: bool) -> Option<Id> {
        let is_it = |a: &Attempt| a.subject.is_emergency == is_emergency && a.impi() == impi && a.impu() == impu;
        self.table.chain(self.hasher.hash_one(impi)).find(|(_, a)| is_it(a)).map(|(id, _)| id)
    }

    /// True while any attempt of this IMPI goes on. Of another with its hash, too: whoever asks then takes the longer way.
    pub(super) fn has_any(&self, impi: &str) -> bool {
        self.table.chain(self.hasher.hash_one(impi)).next().is_some()
    }

    /// Starts an attempt; one of the same pair must have been removed.
    pub(super) fn insert(&mut self, attempt: Attempt) -> Id {
        self.table.insert(self.hasher.hash_one(attempt.impi()), attempt)
    }

    /// What an attempt waits for, if it still goes on.
    pub(super) fn state(&self, id: Id) -> Option<&State> {
        self.get(id).map(|a| &a.state)
    }

    /// The attempt, if it still goes on.
    pub(super) fn get(&self, id: Id) -> Option<&Attempt> {
        self.table.get(id)
    }

    /// The attempt, if it still goes on.
    pub(super) fn get_mut(&mut self, id: Id) -> Option<&mut Attempt> {
        self.table.get_mut(id)
    }

    /// Ends an attempt.
    pub(super) fn remove(&mut self, id: Id) -> Option<Attempt> {
        self.table.remove(id)
    }

    /// How many go on.
    pub(super) const fn len(&self) -> usize {
        self.table.len()
    }
}

impl fmt::Debug for Attempt {
    /// Shows neither keys nor messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::AwaitingMaa(_) => "AwaitingMaa",
            State::Challenged(_) => "Challenged",
            State::AwaitingSaa(_) => "AwaitingSaa",
        };
        f.debug_struct(state).field("impi", &Shortened(self.impi())).field("impu", &Shortened(self.impu())).finish()
    }
}

impl Attempt {
    /// A first challenge, or an assignment without one.
    pub(super) fn new(register: &Register<'_, '_>, hss: Option<HssId>, state: State) -> Self {
        Self::of(Subject::of(register), hss, state)
    }

    /// The same for a subject.
    pub(super) const fn of(subject: Subject, hss: Option<HssId>, state: State) -> Self {
        Self { subject, state, resyncs: 0, mac_failures: 0, hss }
    }

    /// The private identity.
    pub(super) fn impi(&self) -> &str {
        self.subject.impi()
    }

    /// The public identity.
    pub(super) fn impu(&self) -> &str {
        self.subject.impu()
    }
}

impl Subject {
    /// Who registers.
    pub(super) fn of(register: &Register<'_, '_>) -> Self {
        let Register { impi, ref impu, is_emergency, .. } = *register;
        Self::new(impi, impu, is_emergency)
    }

    /// This one.
    pub(super) fn new(impi: &str, impu: &str, is_emergency: bool) -> Self {
        Self { text: [impi, impu].concat().into(), impi: impi.len(), is_emergency }
    }

    /// The private identity.
    pub(super) fn impi(&self) -> &str {
        &self.text[..self.impi]
    }

    /// The public identity.
    pub(super) fn impu(&self) -> &str {
        &self.text[self.impi..]
    }
}
