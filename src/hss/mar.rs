//! MAR: authentication vectors (TS 29.228 clause 6.3.1).

use super::Records;
use super::auc::{Challenge, Expected, Generator, join};
use super::source::{Auth, Member};
use super::state::{Registration, State};
use super::store::{AuthVectors, DigestCredentials, RecordedVector};
use crate::cx::mar::{DigestAuthenticate, scheme};
use crate::cx::{AuthItem, CxResult, Maa, Mar};
use crate::event::{Event, Role, What};
use crate::identity::Impi;
use crate::packet::Outbox;
use crate::time::Instant;

/// What an MAA gives.
pub(super) struct Given {
    result: CxResult,
    challenges: Vec<Challenge>,
    /// The subscriber without vectors, and how many challenges of his trace were given before.
    other: Option<(Member, usize)>,
}

pub(super) fn answer(records: &mut Records, now: Instant, mar: &Mar<'_>, out: &mut Outbox) -> Given {
    match judge(records, mar) {
        Ok(member) => {
            let given = give(records, member, now, mar, out);
            records.record_change(out);
            given
        }
        Err(result) => Given::error(result),
    }
}

impl Given {
    pub(super) fn message<'a>(&'a self, records: &'a Records, mar: &Mar<'a>) -> Maa<'a> {
        let mut items: Vec<_> =
            self.challenges.iter().zip(1..).map(|(challenge, number)| item(challenge, number)).collect();
        if let Some((member, given)) = self.other {
            items.push(other_item(&records.store.of(member).auth, given));
        }
        let envelope = records.envelope(&mar.envelope);
        Maa { envelope, result: self.result, impi: Some(mar.impi), impu: Some(mar.impu), items }
    }

    const fn error(result: CxResult) -> Self {
        Self { result, challenges: Vec::new(), other: None }
    }
}

/// The checks in the order of the clause.
fn judge(records: &Records, mar: &Mar<'_>) -> Result<Member, CxResult> {
    let store = &records.store;
    let owner = store.by_impi(mar.impi).ok_or(CxResult::USER_UNKNOWN)?;
    let (member, _) = store.by_impu_of(owner, mar.impu).ok_or(CxResult::USER_UNKNOWN)?;
    if owner != member {
        return Err(CxResult::IDENTITIES_DONT_MATCH);
    }
    // `Unknown` leaves the choice to the HSS, which takes what the subscriber has.
    let is_had = |asked: &str| asked.eq_ignore_ascii_case(store.of(member).auth.scheme());
    let is_supported = is_had(mar.scheme) || mar.scheme.eq_ignore_ascii_case(scheme::UNKNOWN);
    if is_supported { Ok(member) } else { Err(CxResult::AUTH_SCHEME_NOT_SUPPORTED) }
}

fn give(records: &mut Records, member: Member, now: Instant, mar: &Mar<'_>, out: &mut Outbox) -> Given {
    let Records { config, store, states, random, .. } = records;
    let source = store.of(member);
    let auth = store.auth(member);
    let generator = Generator::new(config.sqn, config.diameter.epoch, now);
    let state = states.of(member, source);
    if let (Some(resync), Auth::Algorithm(keys)) = (mar.resync.and_then(|r| r.try_into().ok()), &auth) {
        let done = generator.resynchronise(state, keys, resync);
        out.event(|| Event {
            role: Role::Hss,
            what: What::SqnResynchronised {
                impi: Impi::from(mar.impi),
                before: done.before,
                after: done.after,
                mac_s_valid: done.mac_s_valid,
            },
        });
    }
    // An AUTS only continues a challenge: it does not take a registered user away from its S-CSCF.
    let is_registered = state.registration == Registration::Registered;
    // Nothing is pending where the S-CSCF only compares.
    let is_answered = !matches!(source.auth, AuthVectors::Lines(_) | AuthVectors::Address(_));
    state.authentication_pending |= is_answered && state.registration == Registration::NotRegistered;
    if mar.resync.is_none() || !is_registered {
        states.assign(member, source, mar.server_name);
    }
    let state = states.of(member, source);
    let wanted = mar.items.min(MOST_ITEMS) as usize;
    let challenges: Option<Vec<_>> = match auth {
        Auth::Algorithm(keys) => (0..wanted).map(|_| generator.vector(state, &keys, source.amf, random)).collect(),
        Auth::Recorded(vectors) => (0..wanted).map(|_| replay(state, vectors)).collect(),
        Auth::None => {
            let before = usize::from(state.recorded);
            if matches!(&source.auth, AuthVectors::Digest(credentials) if !credentials.recorded.is_empty()) {
                state.recorded = state.recorded.saturating_add(1);
            }
            return Given { result: CxResult::SUCCESS, challenges: Vec::new(), other: Some((member, before)) };
        }
    };
    match challenges {
        Some(challenges) => Given { result: CxResult::SUCCESS, challenges, other: None },
        None => Given::error(CxResult::UNABLE_TO_COMPLY),
    }
}

/// The next vector of a trace, the last one again when it has no more.
fn replay(state: &mut State, vectors: &[RecordedVector]) -> Option<Challenge> {
    let vector = vectors.get(usize::from(state.recorded)).or_else(|| vectors.last())?;
    state.recorded = state.recorded.saturating_add(1);
    Some(Challenge {
        authenticate: join(vector.rand, vector.autn),
        expected: Expected::Response(vector.response.clone()),
    })
}

fn item<'a>(challenge: &'a Challenge, number: u32) -> AuthItem<'a> {
    let item = AuthItem {
        number: Some(number),
        scheme: Some(scheme::AKA),
        authenticate: Some(&challenge.authenticate),
        ..AuthItem::default()
    };
    match &challenge.expected {
        Expected::Keys(xres, ck, ik) => {
            AuthItem { xres: Some(xres.as_slice()), ck: Some(&ck.0), ik: Some(&ik.0), ..item }
        }
        Expected::Response(response) => AuthItem { context: Some(response.as_bytes()), ..item },
    }
}

/// The one item of who has no vectors.
fn other_item(auth: &AuthVectors, given: usize) -> AuthItem<'_> {
    let item = AuthItem { number: Some(1), scheme: Some(auth.scheme()), ..AuthItem::default() };
    match auth {
        AuthVectors::Digest(credentials) => {
            let recorded = credentials.recorded.get(given).or_else(|| credentials.recorded.last());
            AuthItem {
                digest: Some(digest(credentials)),
                authenticate: recorded.map(|r| r.nonce.as_bytes()),
                context: recorded.map(|r| r.response.as_bytes()),
                ..item
            }
        }
        AuthVectors::Lines(lines) => AuthItem { lines: lines.iter().map(|line| line.as_bytes()).collect(), ..item },
        AuthVectors::Address(address) => AuthItem {
            framed_ip_address: address.framed_ip_address(),
            framed_ipv6_prefix: address.framed_ipv6_prefix(),
            ..item
        },
        AuthVectors::Algorithm(_) | AuthVectors::Recorded(_) => item,
    }
}

fn digest(credentials: &DigestCredentials) -> DigestAuthenticate<'_> {
    DigestAuthenticate {
        realm: &credentials.realm,
        algorithm: credentials.states_md5.then_some("MD5"),
        qop: &credentials.qop,
        ha1: credentials.ha1.as_ref().map_or("", |ha1| &ha1.0),
        alternate_algorithm: credentials.alternate.as_ref().map(|(algorithm, _)| algorithm.as_str()),
        alternate_ha1: credentials.alternate.as_ref().map(|(_, ha1)| &*ha1.0),
    }
}

/// Vectors in one answer, however many are asked for: those not used are lost.
const MOST_ITEMS: u32 = 5;
