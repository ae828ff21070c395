//! Challenges and credentials: digest AKA as a UE (RFC 3310, TS 24.229 clause 5.1.1.5).

use super::failure::Failure;
use super::{Login, UeConfig};
use crate::aka::digest::{self, Algorithm, Inputs, Qop, Secret};
use crate::aka::{Ck, Ik, Xres};
use crate::random::{Random, Token};
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Message};
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
    /// The challenge names it, so the answer does.
    states_algorithm: bool,
    /// `None`: the challenge has no qop, so the answer has none (RFC 2617 clause 3.2.2).
    qop: Option<Quality>,
    /// RAND and AUTN; `None`: a password is asked for.
    pub(super) aka: Option<([u8; 16], [u8; 16])>,
    /// The last answer was right, but for the age of its nonce.
    pub(super) is_stale: bool,
}

/// A `qop` value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Quality {
    Auth,
    AuthInt,
}

impl Challenge {
    /// The first challenge of a 401 or 407 that can be answered with what `config` has (RFC 8760 clause 2.4). `ck` and
    /// `ik`, should they get this far, are not looked at.
    pub(super) fn pick(message: &Message<'_>, config: &UeConfig) -> Result<Self, Failure> {
        let fault = |fault| Failure::Challenge { fault };
        let header = match message.status() {
            Some(407) => HeaderName::ProxyAuthenticate,
            _ => HeaderName::WwwAuthenticate,
        };
        let mut first_fault = "no challenge of scheme Digest";
        for (at, value) in message.values(header).enumerate() {
            let Some(challenge) = Digest::parse(header, value).map_err(|e| fault(e.fault))? else { continue };
            match Self::read(&challenge, config) {
                Ok(challenge) => return Ok(challenge),
                Err(fault) if at == 0 => first_fault = fault,
                Err(_) => {}
            }
        }
        Err(fault(first_fault))
    }

    fn read(digest: &Digest<'_>, config: &UeConfig) -> Result<Self, &'static str> {
        let algorithm = digest.algorithm.map_or(Some(Algorithm::Md5), Algorithm::from_token);
        let algorithm = algorithm.ok_or("algorithm is not known")?;
        let nonce = digest.nonce.ok_or("no nonce")?;
        let aka = match is_aka(algorithm) {
            true if config.usim.is_some() => Some(Self::rand_and_autn(nonce)?),
            true => return Err("algorithm is that of a USIM, and there is none"),
            false if config.login.is_some() => None,
            false => return Err("algorithm is not AKAv1 or AKAv2"),
        };
        Ok(Self {
            realm: digest.realm.ok_or("no realm")?.into(),
            nonce: nonce.into(),
            opaque: digest.opaque.map(Into::into),
            algorithm,
            states_algorithm: digest.algorithm.is_some(),
            qop: digest.qop.map(Quality::choose).transpose()?,
            aka,
            is_stale: digest.stale.is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    fn rand_and_autn(nonce: &str) -> Result<([u8; 16], [u8; 16]), &'static str> {
        let octets = BASE64.decode(nonce.as_bytes()).or_else(|_| BASE64_NOPAD.decode(nonce.as_bytes()));
        let octets = octets.map_err(|_| "nonce is not base64")?;
        let (Some(rand), Some(autn)) =
            (octets.first_chunk::<16>(), octets.get(16..).and_then(|o| o.first_chunk::<16>()))
        else {
            return Err("nonce is shorter than RAND and AUTN");
        };
        Ok((*rand, *autn))
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
    /// The password is known.
    Password(Login),
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
    /// cnonce of the last answer with qop: what the network proves itself by.
    cnonce: Option<Token<16>>,
}

impl Credentials {
    /// Not used yet.
    pub(super) const fn new(challenge: Challenge, proof: Proof) -> Self {
        Self { challenge, proof, count: 0, cnonce: None }
    }

    /// Counts on where these have the nonce of `earlier` ones (RFC 2617 clause 3.2.2).
    pub(super) fn count_on(&mut self, earlier: &Self) {
        if earlier.challenge.nonce == self.challenge.nonce {
            self.count = earlier.count;
        }
    }

    /// The value of Authorization for the next REGISTER.
    pub(super) fn authorization(&mut self, config: &UeConfig, random: &mut Random) -> String {
        self.value(config, ("REGISTER", &format!("sip:{}", config.realm), b""), random)
    }

    /// The value of Authorization or Proxy-Authorization for a request: its method, Request-URI and body.
    pub(super) fn value(
        &mut self,
        config: &UeConfig,
        (method, uri, body): (&str, &str, &[u8]),
        random: &mut Random,
    ) -> String {
        let Challenge { realm, nonce, opaque, algorithm, qop, .. } = &self.challenge;
        self.count += 1;
        let username = self.proof.username(config);
        let (nc, cnonce) = (format!("{:08x}", self.count), random.token::<16>());
        self.cnonce = qop.map(|_| cnonce);
        // With an empty response there is nothing that a qop could qualify.
        let qop = qop.filter(|_| !matches!(self.proof, Proof::MacFailure));
        let inputs = Inputs {
            algorithm: *algorithm,
            username,
            realm,
            nonce,
            uri,
            method,
            qop: qop.map(|q| Qop { auth_int: q == Quality::AuthInt, nc: &nc, cnonce: cnonce.as_str() }),
            body,
        };
        let response = self.proof.secret().map(|secret| digest::response(&inputs, secret));
        let response = response.as_ref().map_or("", digest::Response::as_str);

        let mut out = format!(
            "Digest username=\"{username}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\""
        );
        let write = &mut out;
        let written = (|| {
            if self.challenge.states_algorithm {
                write!(write, ", algorithm={}", algorithm.as_str())?;
            }
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

impl Credentials {
    /// Takes Authentication-Info of a 2xx: the next nonce, and the proof that the network knows the password; false
    /// where that is wrong (RFC 2617 clause 3.2.3).
    pub(super) fn take_info(&mut self, info: &str, config: &UeConfig, (uri, body): (&str, &[u8])) -> bool {
        let info = format!("Digest {info}");
        let Ok(Some(digest)) = Digest::parse(HeaderName::AuthenticationInfo, &info) else { return true };
        let parameter = |name: &str| digest.params().find(|p| p.0.eq_ignore_ascii_case(name)).map(|p| p.1);
        let is_right = parameter("rspauth").is_none_or(|rspauth| self.is_proof(rspauth, config, uri, body));
        if let Some(next) = parameter("nextnonce").filter(|_| self.challenge.aka.is_none()) {
            self.challenge.nonce = next.into();
            self.count = 0;
        }
        is_right
    }

    fn is_proof(&self, rspauth: &str, config: &UeConfig, uri: &str, body: &[u8]) -> bool {
        let Challenge { realm, nonce, algorithm, qop, .. } = &self.challenge;
        let (Some(qop), Some(cnonce), Some(secret)) = (qop, &self.cnonce, self.proof.secret()) else { return true };
        let nc = format!("{:08x}", self.count);
        let inputs = Inputs {
            algorithm: *algorithm,
            username: self.proof.username(config),
            realm,
            nonce,
            uri,
            method: "",
            qop: Some(Qop { auth_int: *qop == Quality::AuthInt, nc: &nc, cnonce: cnonce.as_str() }),
            body,
        };
        digest::rspauth(&inputs, secret).matches(rspauth)
    }
}

impl Proof {
    fn username<'a>(&'a self, config: &'a UeConfig) -> &'a str {
        match self {
            Self::Password(login) => &login.username,
            _ => config.impi.as_str(),
        }
    }

    fn secret(&self) -> Option<Secret<'_>> {
        match self {
            Self::Response { res, ck, ik } => Some(Secret::Aka { res: res.as_slice(), ik: &ik.0, ck: &ck.0 }),
            Self::Password(login) => Some(Secret::Password(login.password.0.as_bytes())),
            Self::Synchronisation { .. } => Some(Secret::Password(b"")),
            Self::MacFailure => None,
        }
    }
}

/// Authorization of a REGISTER before any challenge (TS 24.229 clause 5.1.1.2.2).
pub(super) fn unchallenged(config: &UeConfig) -> String {
    let realm = &config.realm;
    let username = match &config.login {
        Some(login) if config.usim.is_none() => &*login.username,
        _ => config.impi.as_str(),
    };
    format!("Digest username=\"{username}\", realm=\"{realm}\", uri=\"sip:{realm}\", nonce=\"\", response=\"\"")
}

/// Valid challenges that one attempt answers: the first, and two more from a network that lost count.
pub(super) const MAX_ANSWERS: u8 = 3;
