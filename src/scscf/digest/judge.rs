//! Whether an answer to a digest challenge is right (RFC 2617 clause 3.2.2, RFC 7616 clause 3.4).

use super::nonces::{Credentials, Verdict};
use crate::aka::digest::{self, Algorithm, Checked, Inputs, LastHa2, Qop, Response, Secret};
use crate::random::Token;
use crate::scscf::Scscf;
use crate::scscf::refusal::Refusal;
use crate::scscf::registrar::HssId;
use crate::sip::header::digest::Digest;
use crate::time::Instant;
use std::rc::Rc;
use subtle::ConstantTimeEq;

/// Credentials with what they cover.
pub(super) struct Claim<'c, 'a> {
    pub(super) credentials: &'c Digest<'a>,
    pub(super) method: &'c str,
    pub(super) body: &'c [u8],
    /// The private and the public identity, canonical, of who claims to be authenticated.
    pub(super) who: (&'c str, &'c str),
}

/// What they are worth.
pub(super) enum Judged<'a> {
    /// The user knows the password.
    Right { info: Info<'a>, hss: HssId },
    /// He does not.
    Wrong { hss: HssId },
    /// He does, but has used this nonce before.
    Stale(Rc<Credentials>),
    /// No nonce of ours for him, or not any more.
    Unknown,
}

/// Authentication-Info (RFC 2617 clause 3.2.3).
#[derive(Debug, Default)]
pub(in crate::scscf) struct Info<'a> {
    /// With qop, cnonce and nc as they came.
    proof: Option<(Response, [&'a str; 3])>,
    next_nonce: Option<Token<NONCE_LEN>>,
}

impl Scscf {
    /// Uses the nonce up to its count.
    pub(super) fn judge<'a>(&mut self, now: Instant, claim: &Claim<'_, 'a>) -> Result<Judged<'a>, Refusal> {
        let given = claim.credentials;
        let Some(id) = self.nonces.find(now, given.nonce.unwrap_or_default(), claim.who.1) else {
            return Ok(Judged::Unknown);
        };
        let Some(nonce) = self.nonces.get_mut(id) else { return Ok(Judged::Unknown) };
        let credentials = Rc::clone(&nonce.credentials);
        let hss = credentials.hss;
        let rspauth = match credentials.check(given, claim.method, claim.body, &mut self.last_ha2)? {
            Checked::Wrong => {
                self.nonces.remove(id);
                return Ok(Judged::Wrong { hss });
            }
            Checked::Right { rspauth } => rspauth,
        };
        let count = given.qop.and(given.nc).and_then(|nc| u32::from_str_radix(nc, 16).ok());
        if !nonce.count(count) {
            return Ok(Judged::Stale(credentials));
        }
        let next_nonce = self.next_nonce(now, id, given.qop.is_none(), claim.who);
        let proof = match (rspauth, given.qop, given.cnonce, given.nc) {
            (Some(rspauth), Some(qop), Some(cnonce), Some(nc)) => Some((rspauth, [qop, cnonce, nc])),
            _ => None,
        };
        Ok(Judged::Right { info: Info { proof, next_nonce }, hss })
    }

    /// A nonce for the next request where this one is used up or grows old.
    fn next_nonce(
        &mut self,
        now: Instant,
        id: crate::scscf::table::Id,
        is_used_up: bool,
        who: (&str, &str),
    ) -> Option<Token<NONCE_LEN>> {
        let nonce = self.nonces.get_mut(id)?;
        if nonce.is_replaced || matches!(nonce.credentials.verdict, Verdict::Recorded(_)) {
            return None;
        }
        let credentials = Rc::clone(&nonce.credentials);
        if !is_used_up && !self.nonces.is_ageing(now, id) {
            return None;
        }
        if let Some(nonce) = self.nonces.get_mut(id) {
            nonce.is_replaced = true;
        }
        let next = self.random.token::<NONCE_LEN>();
        self.nonces.insert(now, next.as_str(), who, credentials);
        Some(next)
    }
}

impl Credentials {
    /// Compares in constant time.
    pub(super) fn check(
        &self,
        given: &Digest<'_>,
        method: &str,
        body: &[u8],
        last_ha2: &mut LastHa2,
    ) -> Result<Checked, Refusal> {
        let response = given.response.filter(|r| !r.is_empty()).ok_or(Refusal::IncompleteCredentials)?;
        let (md5, alternate) = match &self.verdict {
            Verdict::Recorded(text) if bool::from(text.as_bytes().ct_eq(response.as_bytes())) => {
                return Ok(Checked::Right { rspauth: None });
            }
            Verdict::Recorded(_) => return Ok(Checked::Wrong),
            Verdict::Computed { md5, alternate } => (md5, alternate),
        };
        let algorithm = given.algorithm.map_or(Some(Algorithm::Md5), Algorithm::from_token);
        let ha1 = match (algorithm, alternate) {
            (Some(Algorithm::Md5), _) => md5,
            (Some(asked), Some((offered, ha1))) if asked == *offered => ha1,
            _ => return Err(Refusal::WrongAlgorithm),
        };
        let inputs = inputs(given, algorithm.unwrap_or(Algorithm::Md5), method, body)?;
        let is_offered = |auth_int| self.terms.qop.split(',').any(|qop| (qop.trim() == "auth-int") == auth_int);
        if inputs.qop.is_some_and(|qop| !is_offered(qop.auth_int)) {
            return Err(Refusal::IncompleteCredentials);
        }
        Ok(digest::check(&inputs, Secret::Ha1(&ha1.0), response, last_ha2))
    }
}

impl Info<'_> {
    /// The value, or nothing.
    pub(in crate::scscf) fn parts(&self) -> Option<[&str; 12]> {
        let mut parts = [""; 12];
        if let Some((rspauth, [qop, cnonce, nc])) = &self.proof {
            let proof = ["qop=", qop, ",rspauth=\"", rspauth.as_str(), "\",cnonce=\"", cnonce, "\",nc=", nc];
            parts[..8].copy_from_slice(&proof);
        }
        if let Some(next) = &self.next_nonce {
            let separator = if self.proof.is_some() { "," } else { "" };
            parts[8..].copy_from_slice(&[separator, "nextnonce=\"", next.as_str(), "\""]);
        }
        (self.proof.is_some() || self.next_nonce.is_some()).then_some(parts)
    }
}

/// What a response is computed over. The digest covers `uri` as the UE wrote it: proxies change the Request-URI.
pub(in crate::scscf) fn inputs<'a>(
    credentials: &Digest<'a>,
    algorithm: Algorithm,
    method: &'a str,
    body: &'a [u8],
) -> Result<Inputs<'a>, Refusal> {
    let qop = match (credentials.qop, credentials.nc, credentials.cnonce) {
        (None, ..) => None,
        (Some(qop), Some(nc), Some(cnonce)) if is_count(nc) => Some(Qop { auth_int: is_auth_int(qop)?, nc, cnonce }),
        _ => return Err(Refusal::IncompleteCredentials),
    };
    Ok(Inputs {
        algorithm,
        username: credentials.username.ok_or(Refusal::IncompleteCredentials)?,
        realm: credentials.realm.ok_or(Refusal::IncompleteCredentials)?,
        nonce: credentials.nonce.unwrap_or_default(),
        uri: credentials.uri.ok_or(Refusal::IncompleteCredentials)?,
        method,
        qop,
        body,
    })
}

fn is_count(nc: &str) -> bool {
    nc.len() == 8 && u32::from_str_radix(nc, 16).is_ok_and(|n| n > 0)
}

fn is_auth_int(qop: &str) -> Result<bool, Refusal> {
    match qop {
        q if q.eq_ignore_ascii_case("auth") => Ok(false),
        q if q.eq_ignore_ascii_case("auth-int") => Ok(true),
        _ => Err(Refusal::IncompleteCredentials),
    }
}

/// Characters of a nonce, five random bits each.
pub(super) const NONCE_LEN: usize = 26;
