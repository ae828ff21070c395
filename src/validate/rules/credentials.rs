//! Challenges and credentials as the judge reads them, and what their keys make of them (RFC 3310, TS 33.102 clause 6.3).

use super::walk::Answering;
use crate::aka::digest::{Algorithm, Inputs, Qop, Secret};
use crate::aka::vector::{SubscriberKeys, open_autn};
use crate::cx::{Maa, Mar};
use crate::sip::Message as Sip;
use crate::sip::header::digest::Digest;
use crate::trace::story::{Message, Registration};
use crate::validate::Context;
use data_encoding::{BASE64, BASE64_NOPAD};
use std::collections::HashMap;

/// RES, CK and IK of a challenge: computed, or XRES as the HSS gave it.
pub(super) enum ResOf<'r> {
    Computed(Box<crate::aka::vector::Outputs>),
    Given { xres: &'r [u8], ik_ck: Option<(&'r [u8; 16], &'r [u8; 16])> },
}

impl<'r> ResOf<'r> {
    pub(super) fn the(
        answer: &Answering<'r>,
        known: &HashMap<[u8; 16], Given<'r>>,
        context: &Context<'_>,
    ) -> Option<Self> {
        let rand = rand_of(answer)?;
        if let Some(keys) = keys_for(answer, context) {
            return Some(Self::Computed(Box::new(keys.outputs(&rand))));
        }
        let Given { xres, ik_ck } = *known.get(&rand)?;
        Some(Self::Given { xres, ik_ck })
    }

    /// `None`: the password of AKAv2 has IK and CK in it, and they are not known.
    pub(super) fn secret(&self, algorithm: Algorithm) -> Option<Secret<'_>> {
        match *self {
            Self::Computed(ref out) => Some(Secret::Aka { res: out.res.as_slice(), ik: &out.ik.0, ck: &out.ck.0 }),
            Self::Given { xres, ik_ck: Some((ik, ck)) } => Some(Secret::Aka { res: xres, ik, ck }),
            Self::Given { xres, ik_ck: None } => {
                let takes_keys = matches!(algorithm, Algorithm::AkaV2Md5 | Algorithm::AkaV2Sha256);
                (!takes_keys).then_some(Secret::Password(xres))
            }
        }
    }
}

/// What a Multimedia-Auth-Answer gives for a RAND.
pub(super) struct Given<'r> {
    xres: &'r [u8],
    ik_ck: Option<(&'r [u8; 16], &'r [u8; 16])>,
}

/// What the Multimedia-Auth-Answers give.
pub(super) fn given_by_rand<'r>(registration: &'r Registration<'r>) -> HashMap<[u8; 16], Given<'r>> {
    let mut all = HashMap::new();
    let key = |octets: Option<&'r [u8]>| octets.and_then(|octets| <&[u8; 16]>::try_from(octets).ok());
    let exchanges = registration.exchanges().filter(|exchange| exchange.command() == Some(Mar::COMMAND));
    for maa in exchanges.filter_map(|exchange| exchange.last()) {
        let Ok(maa) = Maa::decode(&maa.record().bytes) else { continue };
        for item in maa.items {
            let rand = item.authenticate.and_then(|octets| octets.first_chunk()).copied();
            if let (Some(rand), Some(xres)) = (rand, item.xres) {
                all.entry(rand).or_insert_with(|| Given { xres, ik_ck: key(item.ik).zip(key(item.ck)) });
            }
        }
    }
    all
}

pub(crate) fn inputs<'a>(algorithm: Algorithm, digest: &Digest<'a>, sip: &Sip<'a>) -> Inputs<'a> {
    let qop = digest.qop.map(|qop| Qop {
        auth_int: qop.eq_ignore_ascii_case("auth-int"),
        nc: digest.nc.unwrap_or_default(),
        cnonce: digest.cnonce.unwrap_or_default(),
    });
    Inputs {
        algorithm,
        username: digest.username.unwrap_or_default(),
        realm: digest.realm.unwrap_or_default(),
        nonce: digest.nonce.unwrap_or_default(),
        uri: digest.uri.unwrap_or_default(),
        method: "REGISTER",
        qop,
        body: sip.body(),
    }
}

pub(crate) fn first_challenge<'r>(message: Message<'r>) -> Option<&'r Digest<'r>> {
    message.first_challenge()
}

pub(crate) fn digest_of<'r>(message: Message<'r>) -> Option<&'r Digest<'r>> {
    message.credentials()
}

pub(crate) fn rand_autn(challenge: Message<'_>) -> Option<([u8; 16], [u8; 16])> {
    rand_autn_in(first_challenge(challenge)?)
}

/// RAND of the challenge that was answered.
pub(super) fn rand_of(answer: &Answering<'_>) -> Option<[u8; 16]> {
    rand_autn_in(&answer.asked()?).map(|(rand, _)| rand)
}

fn rand_autn_in(challenge: &Digest<'_>) -> Option<([u8; 16], [u8; 16])> {
    let octets = decode(challenge.nonce?)?;
    Some((octets.get(..16)?.try_into().ok()?, octets.get(16..32)?.try_into().ok()?))
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let octets = BASE64.decode(text.as_bytes()).or_else(|_| BASE64_NOPAD.decode(text.as_bytes())).ok()?;
    (!octets.is_empty()).then_some(octets)
}

pub(super) fn keys_for<'c>(answer: &Answering<'_>, context: &'c Context<'_>) -> Option<&'c SubscriberKeys> {
    context.keys_of(digest_of(answer.register)?.username?)
}

/// Whether AUTN is of who knows K; `None`: the keys are not known.
pub(super) fn mac_is_right(answer: &Answering<'_>, context: &Context<'_>) -> Option<bool> {
    let (rand, autn) = rand_autn_in(&answer.asked()?)?;
    Some(open_autn(keys_for(answer, context)?, &rand, &autn).is_genuine)
}
