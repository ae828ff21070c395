//! Authentication attempts: what is awaited between a REGISTER and its end (TS 24.229 clause 5.4.1.2).

use super::registrar::HssId;
use super::table::{Id, Table};
use crate::aka::{Ck, Ik, Xres};
use crate::identity::Shortened;
use crate::sip::transaction::ServerId;
use crate::time::Instant;
use data_encoding::BASE64;
use foldhash::fast::FixedState;
use std::fmt;
use std::hash::BuildHasher;
use subtle::ConstantTimeEq;

/// One attempt of one IMPI to register one IMPU.
pub(super) struct Attempt {
    impi: Box<str>,
    impu: Box<str>,
    /// What is awaited.
    pub(super) state: State,
    /// Resynchronisations so far.
    pub(super) resyncs: u32,
    /// Challenges in a row that the UE found invalid.
    pub(super) mac_failures: u32,
    /// The HSS to ask, once one has answered.
    pub(super) hss: Option<HssId>,
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
    /// Its transaction.
    pub(super) server: ServerId,
    /// Its bytes.
    pub(super) request: Box<[u8]>,
    /// What the challenge will ask for.
    pub(super) algorithm: crate::aka::digest::Algorithm,
    /// RAND and AUTS, when the USIM asked for resynchronisation.
    pub(super) resync: Option<[u8; RESYNC_LEN]>,
}

/// The challenge, tied to Call-ID and nonce; the attempt ties it to IMPI and IMPU.
pub(super) struct Challenged {
    call_id: Box<str>,
    /// Of the REGISTER that was challenged.
    pub(super) cseq: u32,
    /// RAND and AUTN.
    pub(super) authenticate: [u8; 32],
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
    /// Its transaction.
    pub(super) server: ServerId,
    /// Its bytes.
    pub(super) request: Box<[u8]>,
}

impl Challenged {
    /// A challenge of the REGISTER with this Call-ID and CSeq.
    pub(super) fn new(
        register: &super::register::Register<'_, '_>,
        authenticate: [u8; 32],
        expected: Expected,
        algorithm: crate::aka::digest::Algorithm,
        until: Instant,
    ) -> Self {
        Self { call_id: register.call_id.into(), cseq: register.cseq, authenticate, expected, algorithm, until }
    }

    /// Call-ID of the REGISTER that was challenged.
    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    /// True when `nonce` is the one sent.
    pub(super) fn has_nonce(&self, nonce: &str) -> bool {
        let mut sent = [0; NONCE_LEN];
        BASE64.encode_mut(&self.authenticate, &mut sent);
        bool::from(sent.ct_eq(nonce.as_bytes()))
    }
}

/// Characters of a nonce: base64 of RAND and AUTN.
pub(super) const NONCE_LEN: usize = 44;

/// RAND and AUTS.
pub(super) const RESYNC_LEN: usize = 30;

/// All attempts, one for each pair of IMPI and IMPU. They end by themselves: by an answer, or with reg-await-auth.
#[derive(Debug)]
pub(super) struct Attempts {
    table: Table<Attempt>,
    hasher: FixedState,
}

impl Attempts {
    /// None yet.
    pub(super) fn new(seed: u64) -> Self {
        Self { table: Table::new(seed), hasher: FixedState::with_seed(seed) }
    }

    /// The attempt of this pair.
    pub(super) fn find(&self, impi: &str, impu: &str) -> Option<Id> {
        self.table.chain(self.hash(impi, impu)).find(|(_, a)| &*a.impi == impi && &*a.impu == impu).map(|(id, _)| id)
    }

    /// Starts an attempt; one of the same pair must have been removed.
    pub(super) fn insert(&mut self, attempt: Attempt) -> Id {
        self.table.insert(self.hash(&attempt.impi, &attempt.impu), attempt)
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
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn hash(&self, impi: &str, impu: &str) -> u64 {
        self.hasher.hash_one((impi, impu))
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
        f.debug_struct(state).field("impi", &Shortened(&self.impi)).field("impu", &Shortened(&self.impu)).finish()
    }
}

impl Attempt {
    /// A first challenge of this pair.
    pub(super) fn new(impi: &str, impu: &str, hss: Option<HssId>, state: State) -> Self {
        Self { impi: impi.into(), impu: impu.into(), state, resyncs: 0, mac_failures: 0, hss }
    }

    /// The private identity.
    pub(super) fn impi(&self) -> &str {
        &self.impi
    }

    /// The public identity.
    pub(super) fn impu(&self) -> &str {
        &self.impu
    }
}
