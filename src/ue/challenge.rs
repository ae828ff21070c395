//! Challenges and credentials: digest AKA as a UE (RFC 3310, TS 24.229 clause 5.1.1.5).

use super::UeConfig;
use super::failure::Failure;
use crate::aka::digest::{self, Algorithm, Inputs, Qop, Secret};
use crate::aka::{Ck, Ik, Xres};
use crate::random::Random;
use crate::sip::Message;
use crate::sip::header::digest::Digest;
use data_encoding::{BASE64, BASE64_NOPAD};
use std::fmt::Write;

/// A challenge that can be answered.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    realm: Box<str>,
    /// As received, without quotes.
    pub(super) nonce: Box<str>,
    opaque: Option<Box<str>>,
    algorithm: Algorithm,
    /// `None`: the challenge has no qop, so the answer has none (RFC 2617 clause 3.2.2).
    qop: Option<Quality>,
    /// RAND.
    pub(super) rand: [u8; 16],
    /// AUTN.
    pub(super) autn: [u8; 16],
}

/// A `qop` value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quality {
    Auth,
    AuthInt,
}

impl Challenge {
    /// The first digest AKA challenge of a 401 that can be answered. `ck` and `ik`, should they get this far, are
    /// not looked at.
    pub(super) fn pick(message: &Message<'_>) -> Result<Self, Failure> {
        let fault = |fault| Failure::Challenge { fault };
        let challenges = message.challenges().map_err(|e| fault(e.fault))?;
        let mut first_fault = "no challenge of scheme Digest";
        for (at, challenge) in challenges.iter().enumerate() {
            match Self::read(challenge) {
                Ok(challenge) => return Ok(challenge),
                Err(fault) if at == 0 => first_fault = fault,
                Err(_) => {}
            }
        }
        Err(fault(first_fault))
    }

    fn read(digest: &Digest<'_>) -> Result<Self, &'static str> {
        let algorithm = digest.algorithm.and_then(Algorithm::from_token).filter(|a| is_aka(*a));
        let algorithm = algorithm.ok_or("algorithm is not AKAv1 or AKAv2")?;
        let nonce = digest.nonce.ok_or("no nonce")?;
        let octets = BASE64.decode(nonce.as_bytes()).or_else(|_| BASE64_NOPAD.decode(nonce.as_bytes()));
        let octets = octets.map_err(|_| "nonce is not base64")?;
        let (Some(rand), Some(autn)) =
            (octets.first_chunk::<16>(), octets.get(16..).and_then(|o| o.first_chunk::<16>()))
        else {
            return Err("nonce is shorter than RAND and AUTN");
        };
        Ok(Self {
            realm: digest.realm.ok_or("no realm")?.into(),
            nonce: nonce.into(),
            opaque: digest.opaque.map(Into::into),
            algorithm,
            qop: digest.qop.map(Quality::choose).transpose()?,
            rand: *rand,
            autn: *autn,
        })
    }
}

impl Quality {
    fn choose(list: &str) -> Result<Self, &'static str> {
        let offers = |name: &str| list.split(',').any(|q| q.trim().eq_ignore_ascii_case(name));
        match (offers("auth"), offers("auth-int")) {
            (true, _) => Ok(Self::Auth),
            (false, true) => Ok(Self::AuthInt),
            (false, false) => Err("qop is neither auth nor auth-int"),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

const fn is_aka(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::AkaV1Md5 | Algorithm::AkaV1Sha256 | Algorithm::AkaV2Md5 | Algorithm::AkaV2Sha256)
}

/// What a challenge is answered with.
#[derive(Clone, Debug)]
pub(super) enum Proof {
    /// The MAC was right and the SQN fresh.
    Response { res: Xres, ck: Ck, ik: Ik },
    /// The MAC was wrong: an empty response, no AUTS (TS 33.203 clause 6.1.2.2).
    MacFailure,
    /// The SQN was out of range: AUTS, and a digest with an empty password (RFC 3310 clause 3.4).
    Synchronisation { auts: [u8; 14] },
}

/// A challenge with its proof: an Authorization header that can be written again, nc growing.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// What was asked.
    pub(super) challenge: Challenge,
    proof: Proof,
    /// How often the nonce was used.
    count: u32,
}

impl Credentials {
    /// Not used yet.
    pub(super) const fn new(challenge: Challenge, proof: Proof) -> Self {
        Self { challenge, proof, count: 0 }
    }

    /// The value of Authorization for the next REGISTER.
    pub(super) fn authorization(&mut self, config: &UeConfig, random: &mut Random) -> String {
        let Challenge { realm, nonce, opaque, algorithm, qop, .. } = &self.challenge;
        self.count += 1;
        let (impi, uri) = (config.impi.as_str(), format!("sip:{}", config.realm));
        let (nc, cnonce) = (format!("{:08x}", self.count), random.token::<16>());
        // With an empty response there is nothing that a qop could qualify.
        let qop = qop.filter(|_| !matches!(self.proof, Proof::MacFailure));
        let inputs = Inputs {
            algorithm: *algorithm,
            username: impi,
            realm,
            nonce,
            uri: &uri,
            method: "REGISTER",
            qop: qop.map(|q| Qop { auth_int: q == Quality::AuthInt, nc: &nc, cnonce: cnonce.as_str() }),
            body: b"",
        };
        let secret = match &self.proof {
            Proof::Response { res, ck, ik } => Some(Secret::Aka { res: res.as_slice(), ik: &ik.0, ck: &ck.0 }),
            Proof::Synchronisation { .. } => Some(Secret::Password(b"")),
            Proof::MacFailure => None,
        };
        let response = secret.map(|secret| digest::response(&inputs, secret));
        let response = response.as_ref().map_or("", digest::Response::as_str);

        let mut out = format!(
            "Digest username=\"{impi}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm={}",
            algorithm.as_str()
        );
        let write = &mut out;
        let written = (|| {
            if let Some(qop) = qop {
                write!(write, ", qop={}, nc={nc}, cnonce=\"{cnonce}\"", qop.as_str())?;
            }
            if let Some(opaque) = opaque {
                write!(write, ", opaque=\"{opaque}\"")?;
            }
            if let Proof::Synchronisation { auts } = &self.proof {
                write!(write, ", auts=\"{}\"", BASE64.encode(auts))?;
            }
            Ok::<(), std::fmt::Error>(())
        })();
        written.expect("writing to a String");
        out
    }
}

/// Authorization of a REGISTER before any challenge (TS 24.229 clause 5.1.1.2.2).
pub(super) fn unchallenged(config: &UeConfig) -> String {
    let UeConfig { impi, realm, .. } = config;
    format!("Digest username=\"{impi}\", realm=\"{realm}\", uri=\"sip:{realm}\", nonce=\"\", response=\"\"")
}
