//! How subscribers without USIM are authenticated: a password or its hash, a line, an address; or not at all by keys.

use super::value::{ADDRESS, CHALLENGE_NONCE, DIGEST_ALGORITHM, HA1, LINE, PASSWORD, QOP, RESPONSE, USERNAME};
use crate::aka::digest::Algorithm;
use crate::aka::{Ha1, Password};
use crate::config::fault::Collector;
use crate::config::read::{Fields, Path};
use crate::hss::store::{AccessAddress, AuthVectors, DigestCredentials, RecordedDigest};

/// What stands in place of keys.
#[derive(Debug)]
pub(super) struct Access {
    secret: Option<Secret>,
    digest: Option<DigestKeys>,
    lines: Option<Vec<Box<str>>>,
    address: Option<AccessAddress>,
}

#[derive(Debug)]
enum Secret {
    Password(Password),
    Ha1(Ha1),
}

/// `digest`: what is hashed beside the password, and what a challenge says.
#[derive(Debug, Default)]
struct DigestKeys {
    username: Option<Box<str>>,
    realm: Option<Box<str>>,
    qop: Option<Box<str>>,
    algorithm: Option<Option<Algorithm>>,
    recorded: Vec<RecordedDigest>,
}

impl Access {
    /// Reads the keys; `None` where there is none of them.
    pub(super) fn read(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Self> {
        let given: Vec<_> = KINDS.into_iter().filter(|key| f.get(key).is_some()).collect();
        let (first, others) = given.split_first()?;
        for key in others.iter().filter(|key| **key != "digest") {
            let message = format!("found beside {first}, one of the two expected");
            faults.at(f.node_of(key), Path::Key(&f.path, key), message);
        }
        for key in AKA_KEYS {
            if let Some(node) = f.get(key) {
                faults.at(node, Path::Key(&f.path, key), format!("found beside {first}, one of the two expected"));
            }
        }
        let password = f.leaf("password", PASSWORD, faults).map(Secret::Password);
        let secret = f.leaf("ha1", HA1, faults).map(Secret::Ha1).or(password);
        let digest = f.fields("digest", faults).map(|mut d| {
            let keys = DigestKeys {
                username: d.leaf("username", USERNAME, faults),
                realm: d.leaf("realm", USERNAME, faults),
                qop: d.leaf("qop", QOP, faults),
                algorithm: d.leaf("algorithm", DIGEST_ALGORITHM, faults),
                recorded: recorded(&mut d, faults),
            };
            d.finish(faults);
            keys
        });
        if secret.is_none() && *first == "digest" && digest.as_ref().is_some_and(|d| d.recorded.is_empty()) {
            f.missing("password", "password, ha1, or digest.recorded", faults);
        }
        let (lines, address) = (f.list("lines", LINE, faults), f.leaf("address", ADDRESS, faults));
        Some(Self { secret, digest, lines, address })
    }

    /// The password that a simulated UE types in.
    pub(super) fn password(&self) -> Option<&Password> {
        match &self.secret {
            Some(Secret::Password(password)) => Some(password),
            Some(Secret::Ha1(_)) | None => None,
        }
    }

    /// The user name in credentials, where it is not the IMPI.
    pub(super) fn username(&self) -> Option<&str> {
        self.digest.as_ref()?.username.as_deref()
    }

    /// For the HSS. `impi` and `realm` stand where the file names no others.
    pub(super) fn vectors(&self, impi: &str, realm: &str) -> Option<AuthVectors> {
        if let Some(lines) = &self.lines {
            return Some(AuthVectors::Lines(lines.clone()));
        }
        if let Some(address) = self.address {
            return Some(AuthVectors::Address(address));
        }
        let none = DigestKeys::default();
        let keys = self.digest.as_ref().unwrap_or(&none);
        let (username, realm) = (keys.username.as_deref().unwrap_or(impi), keys.realm.as_deref().unwrap_or(realm));
        let qop = keys.qop.as_deref().unwrap_or("auth");
        let algorithm = keys.algorithm.unwrap_or(Some(Algorithm::Md5));
        let alternate = algorithm.filter(|algorithm| *algorithm != Algorithm::Md5);
        let mut credentials = match &self.secret {
            Some(Secret::Password(password)) => {
                DigestCredentials::of_password(username, realm, qop, password, alternate)
            }
            secret => DigestCredentials {
                realm: realm.into(),
                qop: qop.into(),
                states_md5: true,
                ha1: secret.as_ref().and_then(|s| if let Secret::Ha1(ha1) = s { Some(ha1.clone()) } else { None }),
                alternate: None,
                recorded: keys.recorded.clone(),
            },
        };
        credentials.states_md5 = algorithm.is_some();
        Some(AuthVectors::Digest(Box::new(credentials)))
    }
}

fn recorded(d: &mut Fields<'_>, faults: &mut Collector) -> Vec<RecordedDigest> {
    let Some(items) = d.items("recorded", faults) else { return Vec::new() };
    let path = Path::Key(&d.path, "recorded");
    let mut all = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let mut v = Fields::new(item, Path::Index(&path, i), faults);
        let (nonce, response) = (v.leaf("nonce", CHALLENGE_NONCE, faults), v.leaf("response", RESPONSE, faults));
        for (key, expected) in [("nonce", CHALLENGE_NONCE.expected), ("response", RESPONSE.expected)] {
            if v.get(key).is_none() {
                v.missing(key, expected, faults);
            }
        }
        v.finish(faults);
        all.extend(nonce.zip(response).map(|(nonce, response)| RecordedDigest { nonce, response }));
    }
    all
}

/// Any of these says that there are no AKA keys.
const KINDS: [&str; 5] = ["password", "ha1", "lines", "address", "digest"];
const AKA_KEYS: [&str; 6] = ["k", "op", "opc", "top", "topc", "recorded"];
