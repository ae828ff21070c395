//! Nonces of SIP digest, remembered with what answers them. The oldest goes where there are too many: whoever loses one
//! is challenged again, and told that the password is not wrong (`stale`).

use crate::aka::Ha1;
use crate::aka::digest::Algorithm;
use crate::scscf::registrar::HssId;
use crate::scscf::table::{Id, Table};
use crate::time::{Duration, Instant};
use foldhash::fast::FixedState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::rc::Rc;

/// What an answer is checked with, as the HSS gave it.
#[derive(Debug)]
pub(in crate::scscf) struct Credentials {
    pub(in crate::scscf) terms: Rc<Terms>,
    pub(in crate::scscf) verdict: Verdict,
    /// The HSS that gave it.
    pub(in crate::scscf) hss: HssId,
}

/// What a challenge says of every user alike, most often.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::scscf) struct Terms {
    pub(in crate::scscf) realm: Box<str>,
    /// `auth`, `auth-int`, both, or nothing.
    pub(in crate::scscf) qop: Box<str>,
    /// Challenges state `algorithm=MD5`; absent it means the same.
    pub(in crate::scscf) states_md5: bool,
}

/// By what a response is judged.
#[derive(Debug)]
pub(in crate::scscf) enum Verdict {
    /// It is computed: HA1 of MD5, and of a better algorithm where there is one.
    Computed { md5: Ha1, alternate: Option<(Algorithm, Ha1)> },
    /// It is this text: that of a recorded UE whose password is unknown.
    Recorded(Box<str>),
}

/// One nonce.
#[derive(Debug)]
pub(in crate::scscf) struct Nonce {
    /// The nonce, then IMPI and IMPU it was made for.
    texts: Box<str>,
    impi_at: u32,
    impu_at: u32,
    pub(in crate::scscf) credentials: Rc<Credentials>,
    /// The highest nonce count so far.
    count: u32,
    made_at: Instant,
    /// Another one was given to take its place.
    pub(in crate::scscf) is_replaced: bool,
}

/// All of them, in order of age.
#[derive(Debug)]
pub(in crate::scscf) struct Nonces {
    table: Table<Nonce>,
    hasher: FixedState,
    by_age: VecDeque<Id>,
    /// Challenges to REGISTERs in order of age: answered or not, until reg-await-auth.
    awaiting: VecDeque<(Instant, Id)>,
    lifetime: Duration,
    /// Those of the last user.
    terms: Rc<Terms>,
    /// By IMPI, for proxy authentication; empty where there is none.
    users: HashMap<Box<str>, Rc<Credentials>, FixedState>,
}

impl Nonces {
    /// None yet; each lives `lifetime`.
    pub(in crate::scscf) fn new(seed: u64, lifetime: Duration) -> Self {
        let hasher = FixedState::with_seed(seed);
        let users = HashMap::with_hasher(hasher.clone());
        let terms = Rc::new(Terms { realm: Box::default(), qop: Box::default(), states_md5: false });
        let (by_age, awaiting) = (VecDeque::new(), VecDeque::new());
        Self { table: Table::new(seed), hasher, by_age, awaiting, lifetime, terms, users }
    }

    /// These terms; kept once where they are those of the user before.
    pub(in crate::scscf) fn terms(&mut self, realm: &str, qop: &str, states_md5: bool) -> Rc<Terms> {
        let last = &*self.terms;
        if (&*last.realm, &*last.qop, last.states_md5) != (realm, qop, states_md5) {
            self.terms = Rc::new(Terms { realm: realm.into(), qop: qop.into(), states_md5 });
        }
        Rc::clone(&self.terms)
    }

    /// Remembers a nonce for `impi` and `impu`.
    pub(in crate::scscf) fn insert(
        &mut self,
        now: Instant,
        text: &str,
        (impi, impu): (&str, &str),
        credentials: Rc<Credentials>,
    ) -> Id {
        while let Some(oldest) = self.by_age.front()
            && (self.by_age.len() >= MOST || self.table.get(*oldest).is_none_or(|n| self.is_old(now, n)))
        {
            self.table.remove(*oldest);
            self.by_age.pop_front();
        }
        // A recorded nonce may be given twice: the later one counts.
        if let Some(same) = self.find(now, text, impu) {
            self.table.remove(same);
        }
        let at = |octets: usize| u32::try_from(octets).expect("texts of one message");
        let nonce = Nonce {
            texts: [text, impi, impu].concat().into(),
            impi_at: at(text.len()),
            impu_at: at(text.len() + impi.len()),
            credentials,
            count: 0,
            made_at: now,
            is_replaced: false,
        };
        let id = self.table.insert(self.hasher.hash_one(text), nonce);
        self.by_age.push_back(id);
        id
    }

    /// The answer to a nonce is awaited until `until`.
    pub(in crate::scscf) fn await_answer(&mut self, id: Id, until: Instant) {
        if self.awaiting.len() >= MOST {
            self.awaiting.pop_front();
        }
        self.awaiting.push_back((until, id));
    }

    /// When the wait for an answer ends next.
    pub(in crate::scscf) fn next_timeout(&self) -> Option<Instant> {
        self.awaiting.front().map(|(until, ..)| *until)
    }

    /// Takes a challenge out that nobody has answered in time.
    pub(in crate::scscf) fn unanswered(&mut self, now: Instant) -> Option<Nonce> {
        while self.next_timeout().is_some_and(|until| until <= now) {
            let (_, id) = self.awaiting.pop_front()?;
            if self.table.get(id).is_some_and(|nonce| nonce.count == 0) {
                return self.table.remove(id);
            }
        }
        None
    }

    /// The nonce of this text, if it was made for `impu` and lives.
    pub(in crate::scscf) fn find(&self, now: Instant, text: &str, impu: &str) -> Option<Id> {
        let is_it = |n: &Nonce| n.text() == text && n.impu() == impu && !self.is_old(now, n);
        self.table.chain(self.hasher.hash_one(text)).find(|(_, n)| is_it(n)).map(|(id, _)| id)
    }

    /// It, if it is still there.
    pub(in crate::scscf) fn get_mut(&mut self, id: Id) -> Option<&mut Nonce> {
        self.table.get_mut(id)
    }

    /// Forgets it: an answer was wrong.
    pub(in crate::scscf) fn remove(&mut self, id: Id) {
        self.table.remove(id);
    }

    /// What a user has registered with.
    pub(in crate::scscf) fn credentials_of(&self, impi: &str) -> Option<Rc<Credentials>> {
        self.users.get(impi).cloned()
    }

    /// The user has answered `nonce`.
    pub(in crate::scscf) fn remember_user(&mut self, now: Instant, impi: &str, nonce: &str, impu: &str) {
        if let Some(nonce) = self.find(now, nonce, impu).and_then(|id| self.table.get(id)) {
            self.users.insert(impi.into(), Rc::clone(&nonce.credentials));
        }
    }

    /// With `most` users or more, forgets those that are gone.
    pub(in crate::scscf) fn forget_users(&mut self, most: usize, is_there: impl Fn(&str) -> bool) {
        if self.users.len() >= most {
            self.users.retain(|impi, _| is_there(impi));
        }
    }

    /// True when a nonce should give way to a newer one.
    pub(in crate::scscf) fn is_ageing(&self, now: Instant, id: Id) -> bool {
        self.table.get(id).is_some_and(|nonce| now.saturating_since(nonce.made_at) > self.lifetime / 2)
    }

    fn is_old(&self, now: Instant, nonce: &Nonce) -> bool {
        now.saturating_since(nonce.made_at) > self.lifetime
    }
}

impl Nonce {
    fn text(&self) -> &str {
        &self.texts[..self.impi_at as usize]
    }

    /// The private identity challenged.
    pub(in crate::scscf) fn impi(&self) -> &str {
        &self.texts[self.impi_at as usize..self.impu_at as usize]
    }

    /// The public identity challenged.
    pub(in crate::scscf) fn impu(&self) -> &str {
        &self.texts[self.impu_at as usize..]
    }

    /// Uses the count up: false where it is not larger than all before. Without qop a nonce serves once.
    pub(in crate::scscf) fn count(&mut self, count: Option<u32>) -> bool {
        let is_larger = count.unwrap_or(1) > self.count;
        if is_larger {
            self.count = count.unwrap_or(u32::MAX);
        }
        is_larger
    }
}

/// Nonces remembered at most.
const MOST: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scscf::registrar::Registrar;

    fn credentials() -> Rc<Credentials> {
        let hss = Registrar::new(1, "x").hss_named("hss");
        let verdict = Verdict::Recorded("r".into());
        let terms = Rc::new(Terms { realm: "x".into(), qop: "auth".into(), states_md5: true });
        Rc::new(Credentials { terms, verdict, hss })
    }

    #[test]
    fn a_nonce_is_of_one_identity_and_lives_as_long_as_told() {
        let mut nonces = Nonces::new(1, Duration::from_secs(10));
        nonces.insert(Instant::ZERO, "a", ("u@x", "sip:u@x"), credentials());
        assert!(nonces.find(Instant::from_secs(10), "a", "sip:u@x").is_some());
        assert!(nonces.find(Instant::from_secs(10), "a", "sip:v@x").is_none());
        assert!(nonces.find(Instant::from_secs(11), "a", "sip:u@x").is_none());
        nonces.insert(Instant::from_secs(11), "b", ("u@x", "sip:u@x"), credentials());
        assert_eq!((nonces.table.len(), nonces.by_age.len()), (1, 1));
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let mut nonces = Nonces::new(1, Duration::from_secs(10));
        let shared = credentials();
        for n in 0..=MOST {
            nonces.insert(Instant::ZERO, &n.to_string(), ("u@x", "sip:u@x"), Rc::clone(&shared));
        }
        assert_eq!(nonces.by_age.len(), MOST);
        assert!(nonces.find(Instant::ZERO, "0", "sip:u@x").is_none());
        assert!(nonces.find(Instant::ZERO, "1", "sip:u@x").is_some());
    }

    #[test]
    fn counts_grow_and_without_count_a_nonce_serves_once() {
        let mut nonces = Nonces::new(1, Duration::from_secs(10));
        nonces.insert(Instant::ZERO, "a", ("u", "u"), credentials());
        let id = nonces.find(Instant::ZERO, "a", "u").unwrap();
        let nonce = nonces.get_mut(id).unwrap();
        assert!(nonce.count(Some(1)) && !nonce.count(Some(1)) && nonce.count(Some(3)) && !nonce.count(Some(2)));
        assert!(!nonce.count(None), "who has counted goes on counting");
        nonces.insert(Instant::ZERO, "b", ("u", "u"), credentials());
        let id = nonces.find(Instant::ZERO, "b", "u").unwrap();
        let nonce = nonces.get_mut(id).unwrap();
        assert!(nonce.count(None) && !nonce.count(None) && !nonce.count(Some(9)));
    }
}
