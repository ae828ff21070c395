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
}

impl Misbehaviour {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::OldKeys,
        Self::WrongExpansion,
        Self::ReusedSpi,
        Self::Replay,
        Self::WrongPorts,
        Self::WrongResponse,
        Self::MacFailure,
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
}

impl Wrong {
    pub(super) const fn new(how: Misbehaviour) -> Self {
        Self { how, keys: (Ck([0; 16]), Ik([0; 16])), spis: None }
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
            Misbehaviour::ReusedSpi | Misbehaviour::Replay | Misbehaviour::WrongResponse | Misbehaviour::MacFailure => {
            }
        }
        (ck, ik, ue)
    }

    /// What it answers a challenge with.
    pub(super) fn answer(&self, res: Xres) -> Xres {
        if self.how != Misbehaviour::WrongResponse {
            return res;
        }
        let mut octets = res.as_slice().to_vec();
        octets[0] ^= 1;
        Xres::new(&octets).expect("as long as before")
    }
}

/// How far the port used is from the one offered.
const WRONG_PORT: u16 = 501;
