//! RES, CK and IK of challenges, as they are and as they become.

use super::cipher::{Cipher, Class};
use crate::aka::digest::Secret;
use crate::aka::vector::SubscriberKeys;
use data_encoding::{BASE64, BASE64_NOPAD};
use std::collections::HashMap;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What is known of challenges, by RAND.
pub(super) struct Vectors {
    cipher: Cipher,
    subscribers: Vec<(Option<String>, SubscriberKeys)>,
    known: HashMap<[u8; 16], Known>,
}

/// RES, CK and IK of one challenge.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Known {
    res: Vec<u8>,
    ck: [u8; 16],
    ik: [u8; 16],
}

impl Known {
    pub(super) fn secret(&self) -> Secret<'_> {
        Secret::Aka { res: &self.res, ik: &self.ik, ck: &self.ck }
    }
}

impl Vectors {
    pub(super) fn new(cipher: Cipher) -> Self {
        Self { cipher, subscribers: Vec::new(), known: HashMap::new() }
    }

    pub(super) fn add_subscriber(&mut self, impi: Option<String>, keys: SubscriberKeys) {
        self.subscribers.push((impi, keys));
    }

    /// What an answer of the HSS tells. CK and IK may be missing: only AKAv2 takes them.
    pub(super) fn learn(&mut self, rand: [u8; 16], res: &[u8], ck: Option<[u8; 16]>, ik: Option<[u8; 16]>) {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let known = Known { res: res.to_vec(), ck: ck.unwrap_or_default(), ik: ik.unwrap_or_default() };
        self.known.insert(rand, known);
    }

    /// As it is, and as it becomes.
    pub(super) fn of_nonce(&self, nonce: &str, username: Option<&str>) -> Option<(Known, Known)> {
        let octets = BASE64.decode(nonce.as_bytes()).or_else(|_| BASE64_NOPAD.decode(nonce.as_bytes())).ok()?;
        let rand = *octets.first_chunk::<16>()?;
        let real = match self.known.get(&rand) {
            Some(known) => known.clone(),
            None => {
                let is_of = |impi: &Option<String>| match impi {
                    None => true,
                    Some(impi) => username.is_some_and(|name| name == impi || name.split('@').next() == Some(impi)),
                };
                let (_, keys) = self.subscribers.iter().find(|(impi, _)| is_of(impi))?;
                let out = keys.outputs(&rand);
                Known { res: out.res.as_slice().to_vec(), ck: out.ck.0, ik: out.ik.0 }
            }
        };
        let key = |octets: &[u8]| self.cipher.octets(Class::Key, &[octets], octets.len());
        let sixteen = |octets: &[u8; 16]| key(octets).try_into().unwrap_or_default();
        let made = Known { res: key(&real.res), ck: sixteen(&real.ck), ik: sixteen(&real.ik) };
        Some((real, made))
    }
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vectors").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

const MOST: usize = 100_000;
