//! What messages of the trace tell of keys: CK and IK, SPIs, algorithms.

use super::set::Set;
use super::{Ends, Fresh, Keyring, OpenedBy};
use crate::aka::vector::open_autn;
use crate::aka::{Ck, Ik};
use crate::diameter::{Avps, Header, dictionary};
use crate::ipsec::association::{Algorithms, Encryption, Integrity};
use crate::sip::header::sec_agree::Mechanisms;
use crate::sip::{HeaderName, Message};
use crate::trace::recent::Recent;
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use foldhash::fast::FixedState;
use std::hash::BuildHasher;
use std::net::IpAddr;

/// What was learnt of late.
pub(super) struct Learnt {
    /// By Call-ID.
    offers: Recent<u64, Offer>,
    /// By RAND.
    challenges: Recent<[u8; 16], Challenge>,
}

/// The first REGISTER of a registration.
#[derive(Clone, Debug)]
struct Offer {
    impi: Option<Box<str>>,
    /// SPIs of Security-Client, and the address it came from.
    client: Option<(Vec<u32>, IpAddr)>,
}

/// All that is known of one RAND.
#[derive(Default)]
struct Challenge {
    vectors: Vec<(Ck, Ik, OpenedBy)>,
    agreement: Option<Agreement>,
    /// K was tried.
    is_computed: bool,
    set: Option<u32>,
}

/// What both sides said of one set of SAs.
#[derive(Clone, Debug)]
struct Agreement {
    spis: Vec<u32>,
    pairs: Vec<Algorithms>,
    ends: (IpAddr, IpAddr),
}

impl Learnt {
    pub(super) fn new() -> Self {
        Self { offers: Recent::new(MOST), challenges: Recent::new(MOST) }
    }

    fn challenge(&mut self, rand: [u8; 16]) -> &mut Challenge {
        if self.challenges.get_mut(&rand).is_none() {
            self.challenges.insert(rand, Challenge::default());
        }
        self.challenges.get_mut(&rand).expect("inserted above")
    }
}

impl Keyring {
    /// Security-Client of a REGISTER, and Security-Verify of one that answers a challenge.
    pub(super) fn learn_request(&mut self, ends: &Ends, bytes: &[u8]) -> bool {
        let Ok(message) = Message::parse(bytes) else { return false };
        let Some(call) = message.header(HeaderName::CallId).map(hash) else { return false };
        let client = spis(&message.sound_security(HeaderName::SecurityClient));
        if client.is_empty() && self.learnt.offers.get_mut(&call).is_some() {
            return false;
        }
        let digest = message.authorization().ok().flatten();
        let impi = digest.as_ref().and_then(|digest| digest.username).map(Into::into);
        if client.is_empty() {
            // On Mw: the name alone.
            if let Some(impi) = impi {
                self.learnt.offers.insert(call, Offer { impi: Some(impi), client: None });
            }
            return false;
        }
        let offer = Offer { impi, client: Some((client, ends.from.ip())) };
        self.learnt.offers.insert(call, offer.clone());
        let nonce = digest.and_then(|digest| rand_of(digest.nonce?));
        let Some((rand, autn)) = nonce else { return false };
        let verify = message.sound_security(HeaderName::SecurityVerify);
        if verify.0.is_empty() {
            return false;
        }
        // Where the 401 is not in the trace, this tells the same.
        let is_computed = self.compute(rand, autn, offer.impi.as_deref());
        self.agree(rand, &verify, Some(&offer), (ends.from.ip(), ends.to.ip())) || is_computed
    }

    /// CK and IK of a 401 on Mw, Security-Server of one on Gm.
    pub(super) fn learn_challenge(&mut self, ends: &Ends, bytes: &[u8]) -> bool {
        let Ok(message) = Message::parse(bytes) else { return false };
        let Ok(challenges) = message.challenges() else { return false };
        let mut has_learnt = false;
        for digest in challenges {
            let Some((rand, autn)) = digest.nonce.and_then(rand_of) else { continue };
            if let (Some(ck), Some(ik)) = (digest.ck.and_then(hex), digest.ik.and_then(hex)) {
                has_learnt |= self.reveal(rand, Ck(ck), Ik(ik), OpenedBy::Revealed);
            }
            let call = message.header(HeaderName::CallId).map(hash).unwrap_or_default();
            let offer = self.learnt.offers.get_mut(&call).cloned();
            let server = message.sound_security(HeaderName::SecurityServer);
            if !server.0.is_empty() {
                let ue = ends.to.ip();
                has_learnt |= self.compute(rand, autn, offer.as_ref().and_then(|offer| offer.impi.as_deref()));
                has_learnt |= self.agree(rand, &server, offer.as_ref(), (ue, ends.from.ip()));
            }
        }
        has_learnt
    }

    /// CK and IK of a Multimedia-Auth-Answer.
    pub(super) fn learn_answer(&mut self, bytes: &[u8]) -> bool {
        let is_answer =
            Header::read(bytes).is_some_and(|header| header.command == dictionary::MULTIMEDIA_AUTH && !header.request);
        if !is_answer {
            return false;
        }
        let mut has_learnt = false;
        for avp in Avps::of(bytes).map_while(Result::ok) {
            if (avp.code, avp.vendor) != (dictionary::SIP_AUTH_DATA_ITEM, dictionary::TGPP) {
                continue;
            }
            let find = |code| avp.group().find(code, dictionary::TGPP).map(|avp| avp.data);
            let rand = find(dictionary::SIP_AUTHENTICATE).and_then(|data| data.first_chunk()).copied();
            let key = |code| find(code).and_then(|data| <[u8; 16]>::try_from(data).ok());
            let keys = (key(dictionary::CONFIDENTIALITY_KEY), key(dictionary::INTEGRITY_KEY));
            if let (Some(rand), (Some(ck), Some(ik))) = (rand, keys) {
                has_learnt |= self.reveal(rand, Ck(ck), Ik(ik), OpenedBy::Revealed);
            }
        }
        has_learnt
    }

    /// A CK and IK of this RAND. True if SAs are known that they belong to.
    fn reveal(&mut self, rand: [u8; 16], ck: Ck, ik: Ik, by: OpenedBy) -> bool {
        let challenge = self.learnt.challenge(rand);
        let is_known = challenge.vectors.iter().any(|(known_ck, known_ik, _)| *known_ck == ck && *known_ik == ik);
        if is_known || challenge.vectors.len() == MOST_VECTORS {
            return false;
        }
        challenge.vectors.push((ck, ik, by));
        self.install(rand)
    }

    /// What follows from K, where it is given.
    fn compute(&mut self, rand: [u8; 16], autn: Option<[u8; 16]>, impi: Option<&str>) -> bool {
        let challenge = self.learnt.challenge(rand);
        if std::mem::replace(&mut challenge.is_computed, true) {
            return false;
        }
        let of_impi = |named: &Option<Box<str>>| match (named, impi) {
            (None, _) => true,
            (Some(named), Some(impi)) => **named == *impi,
            (Some(_), None) => false,
        };
        let mut found: Vec<(Ck, Ik)> = Vec::new();
        for (named, keys) in &self.subscribers {
            // Nobody named: AUTN tells whose challenge it is.
            let fits =
                of_impi(named) || (impi.is_none() && autn.is_some_and(|autn| open_autn(keys, &rand, &autn).is_genuine));
            if fits && found.len() < MOST_VECTORS {
                let outputs = keys.outputs(&rand);
                found.push((outputs.ck, outputs.ik));
            }
        }
        let mut has_learnt = false;
        for (ck, ik) in found {
            has_learnt |= self.reveal(rand, ck, ik, OpenedBy::Computed);
        }
        has_learnt
    }

    /// SPIs and algorithms of the SAs that a challenge leads to. `ends` are UE and P-CSCF.
    fn agree(
        &mut self,
        rand: [u8; 16],
        server: &Mechanisms<'_>,
        offer: Option<&Offer>,
        ends: (IpAddr, IpAddr),
    ) -> bool {
        let mut pairs = Vec::new();
        for mechanism in &server.0 {
            let integrity = mechanism.alg.and_then(Integrity::from_token);
            // Absent means null (TS 33.203 annex H).
            let encryption = mechanism.ealg.map_or(Some(Encryption::Null), Encryption::from_token);
            if let (Some(integrity), Some(encryption)) = (integrity, encryption) {
                let algorithms = Algorithms { integrity, encryption };
                if algorithms.is_valid() && !pairs.contains(&algorithms) {
                    pairs.push(algorithms);
                }
            }
        }
        let mut all = spis(server);
        if all.is_empty() {
            return false;
        }
        if let Some((of_ue, _)) = offer.and_then(|offer| offer.client.as_ref()) {
            all.extend(of_ue);
        }
        let challenge = self.learnt.challenge(rand);
        if challenge.agreement.as_ref().is_some_and(|known| known.spis.len() >= all.len()) {
            return false;
        }
        challenge.agreement = Some(Agreement { spis: all, pairs, ends });
        challenge.set = None;
        self.install(rand)
    }

    /// Makes the set of a challenge of which both keys and SPIs are known.
    fn install(&mut self, rand: [u8; 16]) -> bool {
        let challenge = self.learnt.challenge(rand);
        let (Some(Agreement { spis, pairs, ends }), false) =
            (challenge.agreement.clone(), challenge.vectors.is_empty())
        else {
            return false;
        };
        let (vectors, old) = (challenge.vectors.clone(), challenge.set);
        self.fresh.push(Fresh { spis: spis.clone(), ends: super::pair(ends.0, ends.1) });
        let mut set = Set::new();
        for (ck, ik, by) in &vectors {
            set.add(&pairs, ck, ik, *by);
        }
        match old.and_then(|id| self.sets.get_mut(&id)) {
            Some(known) => *known = set,
            None => {
                let id = self.add_set(set);
                self.learnt.challenge(rand).set = Some(id);
                self.place(ends.0, ends.1, id);
                for spi in spis {
                    self.name(spi, id);
                }
            }
        }
        true
    }
}

/// Every `spi-c` and `spi-s` of ipsec-3gpp: each element has its own (TS 33.203 annex H), and which one was chosen is not
/// yet known.
fn spis(list: &Mechanisms<'_>) -> Vec<u32> {
    let ipsec = list.0.iter().filter(|mechanism| mechanism.name.eq_ignore_ascii_case("ipsec-3gpp"));
    let mut all = Vec::new();
    for (spi_c, spi_s) in ipsec.filter_map(|mechanism| mechanism.spi_c.zip(mechanism.spi_s)) {
        for spi in [spi_c, spi_s] {
            if !all.contains(&spi) && all.len() < MOST_SPIS {
                all.push(spi);
            }
        }
    }
    all
}

/// RAND and AUTN of a nonce (RFC 3310 clause 3.2).
fn rand_of(nonce: &str) -> Option<([u8; 16], Option<[u8; 16]>)> {
    let nonce = nonce.trim_matches('"').as_bytes();
    let octets = BASE64.decode(nonce).or_else(|_| BASE64_NOPAD.decode(nonce)).ok()?;
    let (rand, rest) = octets.split_first_chunk()?;
    Some((*rand, rest.first_chunk().copied()))
}

fn hex(text: &str) -> Option<[u8; 16]> {
    let octets = HEXLOWER_PERMISSIVE.decode(text.trim_matches('"').as_bytes()).ok()?;
    octets.try_into().ok()
}

fn hash(text: &str) -> u64 {
    FixedState::default().hash_one(text)
}

const MOST: usize = 8_192;
const MOST_VECTORS: usize = 4;

/// A handset offers two, or two for each element.
const MOST_SPIS: usize = 32;
