//! The authentication centre: SQN_HE, resynchronisation, vectors (TS 33.102 clause 6.3 and annex C).

use super::config::SqnScheme;
use super::state::State;
use crate::aka::Xres;
use crate::aka::vector::{SubscriberKeys, Vector, open_auts};
use crate::aka::{Ck, Ik};
use crate::random::Random;
use crate::time::{Epoch, Instant};

/// One item of an MAA: RAND and AUTN with what answers them.
pub(super) struct Challenge {
    /// RAND and AUTN.
    pub(super) authenticate: [u8; 32],
    pub(super) expected: Expected,
}

/// By what the S-CSCF will judge the UE.
pub(super) enum Expected {
    /// XRES, CK, IK.
    Keys(Xres, Ck, Ik),
    /// The `response` of a recorded UE.
    Response(Box<str>),
}

/// What became of SQN_HE.
pub(super) struct Resynchronised {
    pub(super) before: u64,
    pub(super) after: u64,
    pub(super) mac_s_valid: bool,
}

/// SQN generation of one HSS at one moment.
#[derive(Clone, Copy)]
pub(super) struct Generator {
    scheme: SqnScheme,
    /// GLC of TS 33.102 annex C.3.3.
    clock: u64,
}

impl Generator {
    pub(super) fn new(scheme: SqnScheme, epoch: Epoch, now: Instant) -> Self {
        // One tick a second, counted from 2026: a USIM that has seen nothing yet accepts a jump of 2^28.
        Self { scheme, clock: epoch.unix_secs(now).saturating_sub(CLOCK_START) }
    }

    /// Takes SQN_MS of `resync` (RAND and AUTS) if SQN_HE would not be accepted (TS 33.102 clause 6.3.5).
    pub(super) fn resynchronise(self, state: &mut State, keys: &SubscriberKeys, resync: &[u8; 30]) -> Resynchronised {
        let (rand, auts) = resync.split_at(16);
        let rand = rand.try_into().expect("16 octets in front of AUTS");
        let auts = auts.try_into().expect("30 less 16 octets");
        let before = state.sqn;
        let opened = open_auts(keys, rand, auts);
        if let Some(sqn_ms) = opened.map(|opened| opened.sqn_ms)
            && !self.next(state).is_some_and(|next| is_acceptable(next, sqn_ms))
        {
            state.sqn = sqn_ms;
            state.clock_offset = seq(sqn_ms).cast_signed() - self.clock.cast_signed();
        }
        Resynchronised { before, after: state.sqn, mac_s_valid: opened.is_some() }
    }

    /// A fresh vector, with any RAND. `None`: the sequence numbers are used up, they never wrap (annex C.1.2).
    pub(super) fn vector(
        self,
        state: &mut State,
        keys: &SubscriberKeys,
        amf: [u8; 2],
        random: &mut Random,
    ) -> Option<Challenge> {
        state.sqn = self.next(state)?;
        let Vector { rand, autn, xres, ck, ik } = Vector::compute(keys, random.bytes(), state.sqn, amf);
        Some(Challenge { authenticate: join(rand, autn), expected: Expected::Keys(xres, ck, ik) })
    }

    /// The SQN after that of `state`; IND stays as provisioned.
    fn next(self, state: &State) -> Option<u64> {
        let counted = seq(state.sqn) + 1;
        let seq = match self.scheme {
            SqnScheme::Counter => counted,
            SqnScheme::TimeBased => counted.max(self.clock.saturating_add_signed(state.clock_offset)),
        };
        (seq < 1 << SEQ_BITS).then_some((seq << IND_BITS) | (state.sqn & IND))
    }
}

pub(super) fn join(rand: [u8; 16], autn: [u8; 16]) -> [u8; 32] {
    let mut both = [0; 32];
    both[..16].copy_from_slice(&rand);
    both[16..].copy_from_slice(&autn);
    both
}

/// Whether a USIM whose highest SQN is `sqn_ms` accepts `sqn` in any slot.
fn is_acceptable(sqn: u64, sqn_ms: u64) -> bool {
    seq(sqn).checked_sub(seq(sqn_ms)).is_some_and(|ahead| (1..=DELTA).contains(&ahead))
}

fn seq(sqn: u64) -> u64 {
    sqn >> IND_BITS
}

const IND_BITS: u32 = 5;
const IND: u64 = (1 << IND_BITS) - 1;
const SEQ_BITS: u32 = 43;
const DELTA: u64 = 1 << 28;
/// 2026-01-01T00:00:00Z.
const CLOCK_START: u64 = 1_767_225_600;
