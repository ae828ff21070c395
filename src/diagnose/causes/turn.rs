//! A challenge and the REGISTER that follows it, with the keys that judge them.

use crate::aka::digest::Algorithm;
use crate::aka::trial::{self, Answer, Fit, Others, Source};
use crate::aka::vector::open_auts;
use crate::aka::{Ck, Ik, Xres};
use crate::cx::{Maa, Mar};
use crate::diagnose::Case;
use crate::sip::StartLine;
use crate::sip::header::digest::Digest;
use crate::trace::story::{Attempt, Exchange, Journey, Message, Registration};
use crate::validate::rules::credentials::{decode, digest_of, inputs, rand_autn};

/// A challenge and the REGISTER that follows it in its attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'r> {
    pub(super) challenge: Message<'r>,
    pub(super) asked: Digest<'r>,
    pub(super) register: Message<'r>,
    pub(super) journey: Journey<'r>,
    /// Authorization of the REGISTER.
    pub(super) given: Digest<'r>,
}

/// What a UE says of a challenge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// A response.
    Response,
    /// auts: the SQN is out of range.
    Auts,
    /// An empty response: the MAC is wrong.
    Empty,
}

impl<'r> Turn<'r> {
    /// Those of an attempt, in order.
    pub(super) fn all(attempt: Attempt<'r>) -> Vec<Self> {
        let journeys: Vec<Journey<'r>> = attempt.journeys().collect();
        let turn = |pair: &[Journey<'r>]| {
            let challenge = pair[0].last().filter(|last| matches!(last.status(), Some(401 | 407)))?;
            let register = pair[1].request()?;
            let given = digest_of(register)?;
            Some(Self { challenge, asked: challenge.challenge_for(given)?, register, journey: pair[1], given: *given })
        };
        journeys.windows(2).filter_map(turn).collect()
    }

    pub(super) fn said(&self) -> Said {
        if self.given.auts.is_some() {
            Said::Auts
        } else if self.given.response.is_none_or(str::is_empty) {
            Said::Empty
        } else {
            Said::Response
        }
    }

    /// The final answer to the REGISTER.
    pub(super) fn reply(&self) -> Option<Message<'r>> {
        self.journey.last()
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = Message<'r>> + use<'r> {
        [self.challenge, self.register].into_iter().chain(self.reply())
    }

    /// What the response was computed with: `Some(None)` where no known variant fits, `None` where neither the keys nor XRES
    /// are known.
    pub(super) fn fit(&self, case: &Case<'r>) -> Option<Option<Fit>> {
        let (rand, _) = rand_autn(self.challenge)?;
        let vector = Vector::of(case.registration, &rand);
        let source = match (&case.typed, &vector) {
            (Some(typed), _) => Source::Typed { typed, rand: &rand },
            (None, Some(vector)) => {
                let keys = vector.ck.as_ref().zip(vector.ik.as_ref());
                Source::Vector { xres: &vector.xres, keys }
            }
            (None, None) => return None,
        };
        let algorithm = Algorithm::from_token(self.asked.algorithm.unwrap_or("MD5"))?;
        let sip = self.register.sip()?;
        let request_uri = match sip.start() {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        };
        let counts = self.given.nc.zip(self.given.cnonce);
        let answer = Answer {
            inputs: inputs(algorithm, &self.given, sip),
            response: self.given.response?,
            others: Others {
                realms: self.asked.realm.as_slice(),
                uris: request_uri.as_slice(),
                nonces: self.asked.nonce.as_slice(),
                counts,
                ..Others::default()
            },
        };
        Some(trial::of_response(source, &answer))
    }

    /// True where the HSS gave another XRES than the keys make.
    pub(super) fn is_xres_other(&self, case: &Case<'r>) -> bool {
        let given = rand_autn(self.challenge).and_then(|(rand, _)| Vector::of(case.registration, &rand));
        let made = case.keys.and_then(|_| self.res(case));
        given.zip(made).is_some_and(|(given, made)| given.xres.as_slice() != made.as_slice())
    }

    /// True where nonce or realm are not those of the challenge: what was hashed is not the question then.
    pub(super) fn is_of_another_challenge(&self) -> bool {
        self.given.nonce != self.asked.nonce || self.asked.realm.is_some() && self.given.realm != self.asked.realm
    }

    /// RES as octets, where the keys or XRES are known.
    pub(super) fn res(&self, case: &Case<'r>) -> Option<Xres> {
        let (rand, _) = rand_autn(self.challenge)?;
        match case.keys {
            Some(keys) => Some(keys.outputs(&rand).res),
            None => Vector::of(case.registration, &rand).map(|vector| vector.xres),
        }
    }

    /// SQN_MS of auts; `None` also where its MAC-S is wrong.
    pub(super) fn sqn_ms(&self, case: &Case<'r>) -> Option<u64> {
        let (rand, _) = rand_autn(self.challenge)?;
        Some(open_auts(case.keys?, &rand, &self.auts()?)?.sqn_ms)
    }

    pub(super) fn auts(&self) -> Option<[u8; 14]> {
        decode(self.given.auts?)?.try_into().ok()
    }
}

/// What AUTN of a challenge was made with; its SQN. `Some(None)`: no known mistake fits; `None`: the keys are not known.
pub(super) fn autn_fit(challenge: Message<'_>, case: &Case<'_>) -> Option<Option<Fit>> {
    let (rand, autn) = rand_autn(challenge)?;
    Some(trial::of_autn(case.typed.as_ref()?, &rand, &autn))
}

/// True where AUTN is of who has other keys than those given.
pub(super) fn is_forged(challenge: Message<'_>, case: &Case<'_>) -> bool {
    autn_fit(challenge, case).is_some_and(|fit| !fit.is_some_and(|fit| fit.is_as_given()))
}

/// An authentication vector that the HSS gave.
struct Vector {
    xres: Xres,
    ck: Option<Ck>,
    ik: Option<Ik>,
}

impl Vector {
    fn of(registration: &Registration<'_>, rand: &[u8; 16]) -> Option<Self> {
        let answers = registration.exchanges().filter(|exchange| exchange.command() == Some(Mar::COMMAND));
        answers.filter_map(Exchange::last).find_map(|maa| {
            let maa = Maa::decode(&maa.record().bytes).ok()?;
            let item = maa.items.iter().find(|item| item.authenticate.is_some_and(|a| a.starts_with(rand)))?;
            let key = |octets: Option<&[u8]>| octets.and_then(|octets| <[u8; 16]>::try_from(octets).ok());
            Some(Self { xres: Xres::new(item.xres?)?, ck: key(item.ck).map(Ck), ik: key(item.ik).map(Ik) })
        })
    }
}
