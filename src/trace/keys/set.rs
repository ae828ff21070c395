//! The keys of one set of SAs, or of one line of a file: what they may be, until an ICV tells.

use super::{Icv, Mistake, OpenedBy};
use crate::aka::{Ck, Ik};
use crate::ipsec::association::{Algorithms, Encryption, Integrity};
use crate::ipsec::esp::{Drop, Inside, Opener};
use crate::ipsec::keys::{EspKey, encryption_key, integrity_key};

/// Candidates, the likeliest first.
#[derive(Debug)]
pub(super) struct Set {
    candidates: Vec<Candidate>,
    /// CK and IK with the pairs that may be agreed, where messages told them: a file has keys only.
    vectors: Vec<(Ck, Ik, Vec<Algorithms>)>,
    /// An ICV was right: no other candidate is looked at.
    is_proved: bool,
}

/// A pair of algorithms with keys.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) algorithms: Algorithms,
    pub(super) encryption: EspKey,
    pub(super) integrity: EspKey,
    pub(super) by: OpenedBy,
    /// False where a file tells how long the ICV is and not what made it.
    pub(super) is_judged: bool,
    opener: Option<Opener>,
    /// The same without encryption.
    clear: Option<Opener>,
}

impl Set {
    pub(super) fn of_file(candidate: Candidate) -> Self {
        Self { candidates: vec![candidate], vectors: Vec::new(), is_proved: false }
    }

    pub(super) const fn new() -> Self {
        Self { candidates: Vec::new(), vectors: Vec::new(), is_proved: false }
    }

    /// Adds the keys that a CK and IK make under these pairs.
    pub(super) fn add(&mut self, pairs: &[Algorithms], ck: &Ck, ik: &Ik, by: OpenedBy) {
        self.vectors.push((ck.clone(), ik.clone(), pairs.to_vec()));
        for &algorithms in pairs {
            if self.candidates.len() < MOST_CANDIDATES && !self.is_proved {
                let encryption = encryption_key(algorithms.encryption, ck, ik);
                let integrity = integrity_key(algorithms.integrity, ck, ik);
                self.candidates.push(Candidate::new(algorithms, encryption, integrity, by));
            }
        }
    }

    /// True where messages told its keys.
    pub(super) const fn is_learnt(&self) -> bool {
        !self.vectors.is_empty()
    }

    /// What explains the ICV of a packet that is wrong.
    pub(super) fn mistake(&self, esp: &[u8]) -> Option<Mistake> {
        self.vectors.iter().find_map(|(ck, ik, agreed)| Mistake::of(esp, agreed, ck, ik))
    }

    /// Keys of this pair; of one without encryption, those of any with its integrity.
    pub(super) fn sealer(&mut self, algorithms: Algorithms) -> Option<&Opener> {
        let Algorithms { integrity, encryption } = algorithms;
        if let Some(at) = self.candidates.iter().position(|candidate| candidate.algorithms == algorithms) {
            return self.candidates[at].opener();
        }
        let is_bare = encryption == Encryption::Null;
        let at = self.candidates.iter().position(|candidate| is_bare && candidate.algorithms.integrity == integrity)?;
        self.candidates[at].clear()
    }

    /// What the ICV of a packet says that nothing encrypts.
    pub(super) fn judge(&mut self, esp: &[u8]) -> (Icv, Option<Algorithms>) {
        let mut icv = Icv::Unknown;
        let mut scratch = Vec::new();
        for candidate in &mut self.candidates {
            scratch.clear();
            match candidate.clear().map(|opener| opener.open(esp, &mut scratch)) {
                Some(Ok(_) | Err(Drop::Padding)) if candidate.is_judged => {
                    let pair = Algorithms { encryption: Encryption::Null, ..candidate.algorithms };
                    return (Icv::Right, Some(pair));
                }
                Some(Err(Drop::Icv)) if candidate.is_judged => icv = Icv::Wrong,
                _ => {}
            }
        }
        (icv, None)
    }

    /// Opens a packet whose ICV is right, or not to be judged.
    pub(super) fn open(
        &mut self,
        esp: &[u8],
        out: &mut Vec<u8>,
        plausible: impl Fn(&Inside, &[u8]) -> bool,
    ) -> Option<(Inside, OpenedBy, Icv, Option<Algorithms>)> {
        let mut unreadable = None;
        for at in 0..self.candidates.len() {
            let candidate = &mut self.candidates[at];
            let (by, is_judged, pair) = (candidate.by, candidate.is_judged, candidate.algorithms);
            let Some(opener) = candidate.opener() else { continue };
            out.clear();
            if is_judged {
                match opener.open(esp, out) {
                    Ok(inside) if plausible(&inside, out) => {
                        self.prove(at);
                        return Some((inside, by, Icv::Right, Some(pair)));
                    }
                    Err(Drop::Icv | Drop::Length) => {}
                    // The ICV tells nothing of what is encrypted how: another pair may open it.
                    Ok(_) | Err(_) => unreadable = unreadable.or(Some(at)),
                }
                continue;
            }
            let Ok(inside) = opener.open_unverified(esp, out) else { continue };
            if plausible(&inside, out) {
                return Some((inside, by, Icv::Unknown, None));
            }
        }
        let at = unreadable?;
        let candidate = &mut self.candidates[at];
        let (by, pair) = (candidate.by, candidate.algorithms);
        out.clear();
        // The ICV was right, and nothing readable is under it.
        let inside = candidate.opener()?.open(esp, out).unwrap_or(Inside { next_header: 0, payload: 0..0 });
        Some((inside, by, Icv::Right, Some(pair)))
    }

    /// What has opened one packet opens all others.
    fn prove(&mut self, at: usize) {
        if !self.is_proved {
            self.candidates.swap(0, at);
            self.candidates.truncate(1);
            self.is_proved = true;
        }
    }

    /// Opens a packet whose ICV is wrong.
    pub(super) fn open_unverified(
        &mut self,
        esp: &[u8],
        out: &mut Vec<u8>,
        plausible: impl Fn(&Inside, &[u8]) -> bool,
    ) -> Option<(Inside, OpenedBy)> {
        for candidate in &mut self.candidates {
            let by = candidate.by;
            out.clear();
            if let Some(Ok(inside)) = candidate.opener().map(|opener| opener.open_unverified(esp, out))
                && plausible(&inside, out)
            {
                return Some((inside, by));
            }
        }
        None
    }
}

impl Candidate {
    pub(super) const fn new(algorithms: Algorithms, encryption: EspKey, integrity: EspKey, by: OpenedBy) -> Self {
        Self { algorithms, encryption, integrity, by, is_judged: true, opener: None, clear: None }
    }

    /// Made when the first packet wants it: of most candidates none does.
    fn opener(&mut self) -> Option<&Opener> {
        if self.opener.is_none() {
            self.opener = Opener::new(self.algorithms, &self.encryption, &self.integrity);
        }
        self.opener.as_ref()
    }

    fn clear(&mut self) -> Option<&Opener> {
        if self.algorithms.integrity == Integrity::Null {
            return None;
        }
        if self.clear.is_none() {
            let algorithms = Algorithms { encryption: Encryption::Null, ..self.algorithms };
            self.clear = Opener::new(algorithms, &EspKey::of(&[])?, &self.integrity);
        }
        self.clear.as_ref()
    }
}

const MOST_CANDIDATES: usize = 48;
