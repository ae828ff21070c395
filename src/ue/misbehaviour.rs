//! A UE that does its security associations wrong on request, so that a P-CSCF can be seen to withstand it.

use super::UeConfig;
use super::security::{Proposal, offer};
use crate::aka::{Ck, Ik, Xres};
use crate::identity::Spi;
use crate::ipsec::association::Endpoint;

/// What is done wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misbehaviour {
    /// SAs have the keys of the challenge before: of zeros the first time.
    OldKeys,
    /// The keys of ESP are made of CK and IK the wrong way round (TS 33.203 annex I).
    WrongExpansion,
    /// Every Security-Client offers the SPIs of the first (TS 33.203 clause 7.1).
    ReusedSpi,
    /// What goes over an SA goes twice, with the same sequence number (RFC 4303 clause 3.4.3).
    Replay,
    /// Protected messages leave from another port than the port_uc that was offered.
    WrongPorts,
    /// The keys are right and RES is wrong.
    WrongResponse,
    /// Every challenge counts as one with a wrong MAC (TS 33.102 clause 6.3.3).
    MacFailure,
    /// The first challenge counts as one whose SQN was used before (TS 33.102 clause 6.3.5).
    UsedSqn,
    /// RES ends before its first octet of zero, as strings of C do (RFC 3310 clause 3.3 takes octets).
    CutResponse,
    /// RES lacks its last octet.
    ShortResponse,
    /// RES has an octet of zero more.
    LongResponse,
    /// RES is written in hexadecimal digits before it is hashed.
    HexResponse,
    /// RES has so many octets: cut, or filled up with octets of zero; one that has as many anyway ends otherwise.
    ResOf(u8),
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 12 + LENGTHS] = [
        Self::OldKeys,
        Self::WrongExpansion,
        Self::ReusedSpi,
        Self::Replay,
        Self::WrongPorts,
        Self::WrongResponse,
        Self::MacFailure,
        Self::UsedSqn,
        Self::CutResponse,
        Self::ShortResponse,
        Self::LongResponse,
        Self::HexResponse,
        Self::ResOf(0),
        Self::ResOf(4),
        Self::ResOf(5),
        Self::ResOf(6),
        Self::ResOf(7),
        Self::ResOf(8),
        Self::ResOf(9),
        Self::ResOf(10),
        Self::ResOf(11),
        Self::ResOf(12),
        Self::ResOf(13),
        Self::ResOf(14),
        Self::ResOf(15),
        Self::ResOf(16),
    ];

    /// As on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OldKeys => "old-keys",
            Self::WrongExpansion => "wrong-expansion",
            Self::ReusedSpi => "reused-spi",
            Self::Replay => "replay",
            Self::WrongPorts => "wrong-ports",
            Self::WrongResponse => "wrong-response",
            Self::MacFailure => "mac-failure",
            Self::UsedSqn => "used-sqn",
            Self::CutResponse => "cut-response",
            Self::ShortResponse => "short-response",
            Self::LongResponse => "long-response",
            Self::HexResponse => "hex-response",
            Self::ResOf(octets) => match octets {
                0 => "res-of-0",
                4 => "res-of-4",
                5 => "res-of-5",
                6 => "res-of-6",
                7 => "res-of-7",
                8 => "res-of-8",
                9 => "res-of-9",
                10 => "res-of-10",
                11 => "res-of-11",
                12 => "res-of-12",
                13 => "res-of-13",
                14 => "res-of-14",
                15 => "res-of-15",
                _ => "res-of-16",
            },
        }
    }

    /// True where only ESP shows it.
    pub const fn needs_esp(self) -> bool {
        matches!(self, Self::OldKeys | Self::WrongExpansion | Self::Replay)
    }
}

/// One that misbehaves, and what it keeps for that.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) how: Misbehaviour,
    keys: (Ck, Ik),
    spis: Option<(Spi, Spi)>,
    has_objected: bool,
}

impl Wrong {
    pub(super) const fn new(how: Misbehaviour) -> Self {
        Self { how, keys: (Ck([0; 16]), Ik([0; 16])), spis: None, has_objected: false }
    }

    /// What it offers in place of an honest proposal.
    pub(super) fn propose(&mut self, config: &UeConfig, mut honest: Proposal) -> Proposal {
        if self.how == Misbehaviour::ReusedSpi
            && let Proposal::Sas { endpoint, text } = &mut honest
        {
            let first = *self.spis.get_or_insert((endpoint.spi_c, endpoint.spi_s));
            (endpoint.spi_c, endpoint.spi_s) = first;
            *text = offer(config, endpoint);
        }
        honest
    }

    /// What its SAs are made of.
    pub(super) fn install(&mut self, ck: Ck, ik: Ik, mut ue: Endpoint) -> (Ck, Ik, Endpoint) {
        match self.how {
            Misbehaviour::OldKeys => {
                let (ck, ik) = std::mem::replace(&mut self.keys, (ck, ik));
                return (ck, ik, ue);
            }
            Misbehaviour::WrongExpansion => return (Ck(ik.0), Ik(ck.0), ue),
            Misbehaviour::WrongPorts => ue.port_c = ue.port_c.wrapping_add(WRONG_PORT),
            Misbehaviour::ReusedSpi
            | Misbehaviour::Replay
            | Misbehaviour::WrongResponse
            | Misbehaviour::MacFailure
            | Misbehaviour::UsedSqn
            | Misbehaviour::CutResponse
            | Misbehaviour::ShortResponse
            | Misbehaviour::LongResponse
            | Misbehaviour::HexResponse
            | Misbehaviour::ResOf(_) => {}
        }
        (ck, ik, ue)
    }

    /// Whether its USIM is to have seen this challenge before.
    pub(super) fn has_seen_it(&mut self) -> bool {
        self.how == Misbehaviour::UsedSqn && !std::mem::replace(&mut self.has_objected, true)
    }

    /// What it answers a challenge with.
    pub(super) fn answer(&self, res: Xres) -> Xres {
        let octets = res.as_slice();
        let wrong = match self.how {
            Misbehaviour::WrongResponse => [&[octets[0] ^ 1], &octets[1..]].concat(),
            Misbehaviour::CutResponse => octets.split(|octet| *octet == 0).next().unwrap_or_default().to_vec(),
            Misbehaviour::ShortResponse => octets[..octets.len() - 1].to_vec(),
            Misbehaviour::LongResponse => [octets, &[0]].concat(),
            Misbehaviour::HexResponse => data_encoding::HEXLOWER.encode(octets).into_bytes(),
            Misbehaviour::ResOf(0) => return Xres::empty(),
            Misbehaviour::ResOf(len) => {
                let mut wrong = octets.to_vec();
                wrong.resize(len.into(), 0);
                if let Some(last) = wrong.last_mut().filter(|_| octets.len() == usize::from(len)) {
                    *last ^= 1;
                }
                wrong
            }
            _ => return res,
        };
        // What is empty, or longer than a RES, is none.
        Xres::new(wrong.get(..32).unwrap_or(&wrong)).unwrap_or(res)
    }
}

/// RES of 4 to 16 octets (TS 33.102 clause 6.3.7), and an empty one.
const LENGTHS: usize = 14;
/// How far the port used is from the one offered.
const WRONG_PORT: u16 = 501;
